/*
 * runner.c - carries out a plan: journal, worker processes, results file.  See runner.h.
 *
 * The journal (OUT.journal) holds every finished sample from the moment it is finished; the results
 * file is rendered from it when the run is complete, and the journal is removed once that file is
 * on the disk, for the samples are in it.  So a journal that exists is an unfinished run.
 */
#include "runner.h"

#include "carry.h"
#include "env.h"
#include "journal.h"
#include "results.h"
#include "schedule.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What the observer of a run sees and says. */
struct teller {
    const struct plan *plan;
    struct journal *journal;
    char why[JOURNAL_WHY_SIZE]; /* when a record could not be kept */
    bool line; /* a progress line is wanted: stderr is a terminal, and no --quiet */
    bool line_shown;
    size_t done_before; /* samples that were there when this process began */
    uint64_t began_ns;
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void clear_line(struct teller *t) {
    if (t->line_shown)
        fputs("\r\033[K", stderr);
    t->line_shown = false;
}

static void progress(void *state, size_t done, size_t total, const struct plan_cell *cell) {
    struct teller *t = state;
    if (!t->line)
        return;
    char left[64] = "";
    const size_t fresh = done - t->done_before;
    if (fresh > 0 && total > done) {
        const double seconds =
            (double)(now_ns() - t->began_ns) * 1e-9 * (double)(total - done) / (double)fresh;
        snprintf(left, sizeof left, seconds < 90 ? ", %.0f s left" : ", %.1f min left",
                 seconds < 90 ? seconds : seconds / 60);
    }
    fprintf(stderr, "\r%zu/%zu%s  %.60s\033[K", done, total, left, cell->name);
    fflush(stderr);
    t->line_shown = true;
}

static void tell_failure(const struct plan *plan, const struct record *r) {
    const struct plan_cell *cell = &plan->cells[r->cell];
    if (r->outcome != RECORD_OK && !plan_cell_contained(cell))
        fprintf(stderr, "allcores: %s failed (%s, pass %u): %s\n", cell->name,
                r->kind == RECORD_TIMED ? "sample" : "diagnostic pass", r->pass, r->sample.why);
}

static bool keep(void *state, const struct record *record) {
    struct teller *t = state;
    if (record->outcome != RECORD_OK)
        clear_line(t);
    tell_failure(t->plan, record);
    return journal_append(t->journal, record, t->why);
}

/* ---- the verdict --------------------------------------------------------------------------- */

struct verdict {
    size_t cells, failed, expected, unavailable;
};

static struct verdict judge(const struct plan *plan, const struct run_data *data) {
    struct verdict v = {.cells = plan->count};
    for (size_t i = 0; i < plan->count; i++) {
        const bool contained = plan_cell_contained(&plan->cells[i]);
        bool failed = run_data_failure(data, i) != NULL;
        for (unsigned k = RECORD_WASTED; k < RECORD_KINDS; k++)
            failed |= run_data_slot(data, i, 0, (enum record_kind)k)->outcome > RECORD_OK;
        v.unavailable += plan->cells[i].unavailable != NULL;
        v.failed += failed && !contained;
        v.expected += failed && contained;
    }
    return v;
}

static int verdict_status(const struct verdict *v) {
    return v->failed > 0 || v->unavailable == v->cells ? EXIT_FAILED : EXIT_DONE;
}

static void tell_verdict(const char *what, const char *out, const struct verdict *v) {
    fprintf(stderr, "allcores: %s %s: %zu cells, %zu failed", what, out, v->cells, v->failed);
    if (v->expected > 0)
        fprintf(stderr, ", %zu wrong as expected", v->expected);
    if (v->unavailable > 0)
        fprintf(stderr, ", %zu unavailable", v->unavailable);
    fputc('\n', stderr);
}

/* One line for each engine and reason, and not one for each of a hundred cells. */
static void tell_unavailable(const struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_cell *cell = &plan->cells[i];
        size_t count = 0;
        bool told = false;
        for (size_t j = 0; cell->unavailable != NULL && j < plan->count; j++) {
            const struct plan_cell *other = &plan->cells[j];
            const bool same = other->unavailable != NULL &&
                              strcmp(other->unavailable, cell->unavailable) == 0 &&
                              strcmp(plan_cell_place(other), plan_cell_place(cell)) == 0 &&
                              strcmp(other->engine, cell->engine) == 0;
            told |= same && j < i;
            count += same;
        }
        if (count == 1)
            fprintf(stderr, "allcores: warning: %s is unavailable: %s\n", cell->name,
                    cell->unavailable);
        else if (count > 1 && !told)
            fprintf(stderr, "allcores: warning: %zu cells of %s%s%s are unavailable: %s\n", count,
                    cell->engine, plan_cell_simulated(cell) ? " on " : "",
                    plan_cell_simulated(cell) ? plan_cell_place(cell) : "", cell->unavailable);
    }
}

/* ---- before and after ---------------------------------------------------------------------- */

/* The results file is replaced by rename, which must not hit a folder, a device or a pipe. */
static bool out_is_writable(const char *out) {
    struct stat s;
    if (stat(out, &s) != 0) {
        if (errno == ENOENT)
            return true; /* whether its folder takes files shows when the journal is created */
        fprintf(stderr, "allcores: %s: %s\n", out, strerror(errno));
        return false;
    }
    if (S_ISREG(s.st_mode))
        return true;
    fprintf(stderr, "allcores: %s: not a regular file: name a file to write the results to\n", out);
    return false;
}

enum complete { COMPLETE_NO, COMPLETE_YES, COMPLETE_OTHER };

/* Is the results file that of this very plan?  *failed: it lists failures that were not expected.
 */
static enum complete already_complete(const struct plan *plan, const json_t *identity,
                                      bool *failed) {
    struct stat s;
    if (stat(plan->out, &s) != 0)
        return COMPLETE_NO;
    json_t *old = json_load_file(plan->out, 0, NULL);
    /* The file's numbers have been through its number of digits. */
    char *text = json_dumps(identity, JSON_REAL_PRECISION(15));
    json_t *mine = text != NULL ? json_loads(text, 0, NULL) : NULL;
    const bool same = mine != NULL && json_equal(mine, json_object_get(old, "plan"));
    size_t i;
    json_t *entry;
    *failed = false;
    json_array_foreach(json_object_get(old, "failures"), i, entry) *failed |=
        !json_is_true(json_object_get(entry, "expected"));
    *failed |= json_array_size(json_object_get(old, "cells")) == 0;
    free(text);
    json_decref(mine);
    json_decref(old);
    return same ? COMPLETE_YES : COMPLETE_OTHER;
}

/* What simulating took: host time, which the results of the cells have no word of. */
static void tell_simulation(const json_t *simulation) {
    const double accesses = json_number_value(json_object_get(simulation, "accesses"));
    if (accesses <= 0)
        return;
    fprintf(stderr,
            "allcores: simulated %.3g accesses in %.3g s of processor time: %.3g million a second; "
            "%.3g switches\n",
            accesses, json_number_value(json_object_get(simulation, "host_seconds")),
            json_number_value(json_object_get(simulation, "accesses_per_host_second")) * 1e-6,
            json_number_value(json_object_get(simulation, "switches")));
}

/* Is there a cell that a simulated machine could run, having what this computer lacks? */
static bool lacks_transactions(const struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++)
        if (plan->cells[i].unavailable != NULL && !plan_cell_simulated(&plan->cells[i]) &&
            plan->cells[i].engine_plugin->transactional_hardware)
            return true;
    return false;
}

static int render(const struct plan *plan, const struct run_data *data, json_t *context,
                  struct journal *journal) {
    char why[JOURNAL_WHY_SIZE];
    json_t *document = results_render(plan, data, context);
    bool ok = document != NULL;
    if (!ok)
        snprintf(why, sizeof why, "%s: out of memory", plan->out);
    ok = ok && results_write(plan->out, document, why, sizeof why);
    json_decref(document);
    if (!ok) {
        fprintf(stderr, "allcores: %s (finished samples stay in %s.journal: --resume goes on)\n",
                why, plan->out);
        journal_close(journal, false);
        return EXIT_BAD_INPUT;
    }
    journal_close(journal, true);
    const struct verdict v = judge(plan, data);
    if (!plan->quiet)
        tell_verdict("wrote", plan->out, &v);
    if (!plan->quiet)
        tell_simulation(json_object_get(context, "simulation"));
    if (v.unavailable == v.cells)
        fprintf(stderr, "allcores: nothing of what was asked for can run here%s\n",
                lacks_transactions(plan) ? "; for hardware transactions: --machine sim:i7-4770"
                                         : "");
    return verdict_status(&v);
}

/* Everything between an open journal and its end; closes the journal. */
static int measure_and_render(const struct plan *plan, struct run_data *data, json_t *context,
                              struct journal *journal) {
    struct process_executor *processes = process_executor_open(plan->jobs);
    if (processes == NULL) {
        fprintf(stderr, "allcores: signals cannot be received: %s\n", strerror(errno));
        journal_close(journal, false);
        return EXIT_FAILED;
    }
    struct teller teller = {.plan = plan, .journal = journal, .began_ns = now_ns()};
    teller.line = !plan->quiet && isatty(STDERR_FILENO);
    const size_t total = carry_total(plan, data, &teller.done_before);
    if (!plan->quiet && plan_measures(plan))
        fprintf(stderr,
                "allcores: %zu cells, %zu samples of %g s in %u process starts, seed %" PRIu64
                ", to %s\n",
                plan->count, total, plan->min_time_s, schedule_starts(plan->repetitions),
                plan->seed, plan->out);
    if (!plan->quiet && plan_simulates(plan))
        fprintf(stderr,
                "allcores: %zu cells, simulated ones with %u seeds of %g s virtual time, %u at a "
                "time, seed %" PRIu64 ", to %s\n",
                plan->count, plan->repetitions, plan->sim_time_s, plan->jobs, plan->seed,
                plan->out);
    if (!plan->quiet && plan->warmup_s > 0)
        fprintf(stderr, "allcores: each behind a warm-up of %g s\n", plan->warmup_s);
    if (!plan->quiet && teller.done_before > 0)
        fprintf(stderr, "allcores: resuming: %zu of them are there\n", teller.done_before);
    const struct observer observer = {.state = &teller, .keep = keep, .progress = progress};
    const struct executor executor = process_executor_interface(processes);
    char why[CELL_WHY_SIZE] = "";
    const enum carry_result result = carry_out(plan, data, &executor, &observer, why);
    clear_line(&teller);
    const int caught = process_executor_signal(processes);
    size_t done;
    (void)carry_total(plan, data, &done);
    int status = EXIT_DONE;
    switch (result) {
    case CARRY_DONE:
        status = render(plan, data, context, journal);
        break;
    case CARRY_INTERRUPTED:
        fprintf(stderr,
                "allcores: interrupted: %zu of %zu samples are in %s.journal; the same command "
                "with --resume does the rest\n",
                done, total, plan->out);
        status = 128 + caught; /* as a shell reports it */
        break;
    case CARRY_NOT_KEPT:
        fprintf(stderr, "allcores: %s (what was finished before is readable: --resume goes on)\n",
                teller.why);
        status = EXIT_BAD_INPUT;
        break;
    case CARRY_BROKEN:
        fprintf(stderr, "allcores: %s (%zu of %zu samples are in %s.journal)\n", why, done, total,
                plan->out);
        status = EXIT_FAILED;
        break;
    }
    if (result != CARRY_DONE)
        journal_close(journal, false);
    /* Signals are held back until here: a results file is not left half made. */
    if (!process_executor_close(processes, why, sizeof why)) {
        fprintf(stderr, "allcores: %s\n", why);
        status = status == EXIT_DONE ? EXIT_FAILED : status;
    }
    return status;
}

/* With an identity, a context and empty data at hand. */
static int run_with(const struct plan *plan, const json_t *identity, json_t **context,
                    const char *journal_path, struct run_data *data) {
    struct journal *journal = NULL;
    bool dropped, moved;
    char why[JOURNAL_WHY_SIZE];
    if (journal_open(journal_path, identity, context, plan->resume, data, &journal, &dropped,
                     &moved, why) == JOURNAL_REFUSED) {
        fprintf(stderr, "allcores: %s\n", why);
        return EXIT_BAD_INPUT;
    }
    if (dropped)
        fprintf(stderr, "allcores: note: the last line of %s was torn by a crash and is dropped\n",
                journal_path);
    if (moved)
        fprintf(stderr,
                "allcores: note: the unfinished run in %s was not resumed; it is now %s.old\n",
                journal_path, journal_path);
    /* Now that the journal is ours: another run may have ended since the results file was looked
     * for.  A journal with samples has the better claim to the name. */
    struct stat out;
    if (data->starts == 0 && stat(plan->out, &out) == 0 && out.st_size > 0) {
        fprintf(stderr,
                "allcores: %s: has results already, and its journal no samples: give another "
                "--out\n",
                plan->out);
        journal_close(journal, true);
        return EXIT_BAD_INPUT;
    }
    tell_unavailable(plan);
    return measure_and_render(plan, data, *context, journal);
}

static int run_checked(const struct plan *plan) {
    char *journal_path = NULL;
    if (!out_is_writable(plan->out))
        return EXIT_BAD_INPUT;
    json_t *identity = plan_identity(plan);
    if (identity == NULL || asprintf(&journal_path, "%s.journal", plan->out) < 0) {
        json_decref(identity);
        fprintf(stderr, "allcores: out of memory, or a value that JSON has no form for\n");
        return EXIT_FAILED;
    }
    int status;
    bool failed = false;
    const enum complete complete = plan->resume && access(journal_path, F_OK) != 0
                                       ? already_complete(plan, identity, &failed)
                                       : COMPLETE_NO;
    if (complete == COMPLETE_YES) {
        if (!plan->quiet)
            fprintf(stderr, "allcores: %s is complete: nothing to resume\n", plan->out);
        status = failed ? EXIT_FAILED : EXIT_DONE;
    } else if (complete == COMPLETE_OTHER) {
        fprintf(stderr,
                "allcores: %s: not the results of this command line, and there is no journal to "
                "resume: give another --out\n",
                plan->out);
        status = EXIT_BAD_INPUT;
    } else {
        struct run_data data;
        json_t *context = env_capture(plan);
        if (context == NULL || !run_data_init(&data, plan)) {
            fprintf(stderr, "allcores: out of memory\n");
            status = EXIT_FAILED;
        } else {
            status = run_with(plan, identity, &context, journal_path, &data);
            run_data_free(&data);
        }
        json_decref(context);
    }
    json_decref(identity);
    free(journal_path);
    return status;
}

/* A closed standard error must not become the number of the journal's file. */
static void fill_standard_files(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", O_RDWR); /* takes the lowest free number, which is fd */
}

int runner_run(const struct plan *plan) {
    fill_standard_files();
    /* A limit on file sizes is then an error of write(2), like a full disk. */
    void (*const before)(int) = signal(SIGXFSZ, SIG_IGN);
    const int status = run_checked(plan);
    signal(SIGXFSZ, before);
    return status;
}
