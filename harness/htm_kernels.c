/*
 * htm_kernels.c - see htm_kernels.h.
 *
 * The method of the capacity curves is that of the published measurements of Haswell's TSX: a
 * transaction touches n lines once each, and the share of the tries that commit is drawn against n.
 */
#include "htm_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const htm_pattern_names[HTM_PATTERNS] = {"dense", "strided", "random"};

enum { RANDOM_REGION = 4, PAGE = 4096, COST_TRIES = 2000, ADDITIONS = 1000, GIVE_UP = 200 };

/* A point while it is measured.  The threads' results are apart; `over` goes from one to the
 * other. */
struct job {
    const struct machine *machine;
    const struct machine_transactions *tx;
    const struct htm_question *q;
    char *memory;    /* of the tries, one part each */
    char *beside;    /* the sibling's */
    uint32_t *order; /* of the lines that a random try takes; q->lines for each try */
    size_t part;     /* bytes of a part */
    size_t step;     /* between lines */
    double ns, between_ns;
    volatile bool over;
    struct htm_answer answer;
};

/* ---- accesses ------------------------------------------------------------------------------- */

static inline void touch(const struct job *job, char *p, bool write) {
    volatile uint64_t *word = (volatile uint64_t *)(void *)p;
    if (job->tx->access != NULL)
        job->tx->access(word, sizeof *word, write);
    if (write)
        *word = 1;
    else
        (void)*word;
}

static char *line_of(const struct job *job, char *part, unsigned try, size_t i) {
    const size_t line = job->order != NULL ? job->order[try * job->q->lines + i] : i;
    return part + line * job->step;
}

/* ---- threads -------------------------------------------------------------------------------- */

static void footprint_main(void *argument) {
    struct job *job = argument;
    const struct htm_question *q = job->q;
    /* Pages get their places by first touch: in order, so that a stride in addresses is one. */
    for (size_t at = 0; q->stride_bytes != 0 && at < job->part; at += PAGE)
        touch(job, job->memory + at, false);
    for (unsigned t = 0; t < q->tries; t++) {
        /* Warm ones may be the same lines as before, cold ones must not. */
        char *part = job->memory + (q->warm ? 0 : t) * job->part;
        for (size_t i = 0; q->warm && i < q->lines; i++)
            touch(job, line_of(job, part, t, i), false);
        job->answer.tries++;
        if (job->tx->begin() != MACHINE_TX_STARTED)
            continue;
        for (size_t i = 0; i < q->lines; i++)
            touch(job, line_of(job, part, t, i), q->write);
        job->tx->end();
        job->answer.commits++;
    }
    job->over = true;
}

static void beside_main(void *argument) {
    struct job *job = argument;
    for (size_t i = 0; !job->over; i = i + 1 < job->q->lines ? i + 1 : 0)
        touch(job, line_of(job, job->beside, 0, i), false);
}

static void empty_main(void *argument) {
    struct job *job = argument;
    const uint64_t start = job->machine->now_ns();
    for (unsigned t = 0; t < COST_TRIES; t++)
        if (job->tx->begin() == MACHINE_TX_STARTED) {
            job->tx->end();
            job->answer.commits++;
        }
    job->answer.tries = COST_TRIES;
    job->answer.ns = (double)(job->machine->now_ns() - start) / COST_TRIES;
}

static void aborted_main(void *argument) {
    struct job *job = argument;
    const uint64_t start = job->machine->now_ns();
    for (unsigned t = 0; t < COST_TRIES; t++)
        if (job->tx->begin() == MACHINE_TX_STARTED)
            job->tx->abort();
    job->answer.tries = COST_TRIES;
    job->answer.ns = (double)(job->machine->now_ns() - start) / COST_TRIES;
}

/* The access lets a simulated thread be interrupted. */
static void compute(const struct job *job, double ns) {
    const uint64_t end = job->machine->now_ns() + (uint64_t)ns;
    while (job->machine->now_ns() < end) {
        for (unsigned i = 0; i < 16; i++)
            (void)job->machine->now_ns();
        touch(job, job->memory, false);
    }
}

static void duration_main(void *argument) {
    struct job *job = argument;
    uint64_t random = 1;
    for (unsigned t = 0; t < job->q->tries; t++) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        compute(job, job->between_ns * (double)(random >> 40) / (1 << 24));
        job->answer.tries++;
        if (job->tx->begin() != MACHINE_TX_STARTED)
            continue;
        compute(job, job->ns);
        job->tx->end();
        job->answer.commits++;
    }
}

struct adder {
    struct job *job;
    char *word;
    struct htm_answer answer;
};

static void sharing_main(void *argument) {
    struct adder *a = argument;
    const struct job *job = a->job;
    const uint64_t start = job->machine->now_ns();
    while (a->answer.commits < ADDITIONS && a->answer.tries < (uint64_t)ADDITIONS * GIVE_UP) {
        a->answer.tries++;
        if (job->tx->begin() != MACHINE_TX_STARTED)
            continue;
        touch(job, a->word, false);
        touch(job, a->word, true);
        job->tx->end();
        a->answer.commits++;
    }
    a->answer.ns = (double)(job->machine->now_ns() - start);
}

/* ---- points --------------------------------------------------------------------------------- */

static bool open_machine(const struct htm_rig *rig, bool ticks, char *why) {
    static const char *const quiet[] = {"tick=10000ms"};
    return !rig->machine->simulated ||
           rig->machine->open(rig->profile, quiet, ticks ? 0 : 1, 1, why, CELL_WHY_SIZE);
}

static void close_machine(const struct htm_rig *rig, struct htm_answer *a) {
    if (!rig->machine->simulated)
        return;
    struct machine_counters counters;
    rig->machine->counters(&counters);
    memcpy(a->aborts, counters.tx_aborts, sizeof a->aborts);
    rig->machine->close();
}

static bool no_memory(char *why) {
    snprintf(why, CELL_WHY_SIZE, "out of memory");
    return false;
}

/* Runs fn[i](argument[i]) on thread index[i]. */
static bool run_threads(const struct htm_rig *rig, unsigned n, void (*const *fn)(void *),
                        void *const *argument, const unsigned *index, char *why) {
    struct machine_thread *threads[2];
    for (unsigned i = 0; i < n; i++) {
        threads[i] = rig->machine->spawn(index[i], fn[i], argument[i]);
        if (threads[i] == NULL) {
            snprintf(why, CELL_WHY_SIZE, "a thread cannot be started");
            if (i == 1) /* the first one does not wait for the second */
                rig->machine->join(threads[0]);
            return false;
        }
    }
    for (unsigned i = 0; i < n; i++)
        rig->machine->join(threads[i]);
    return true;
}

static bool run_job(const struct htm_rig *rig, struct job *job, void (*fn)(void *), char *why) {
    void (*const functions[2])(void *) = {fn, beside_main};
    void *const arguments[2] = {job, job};
    const unsigned index[2] = {0, rig->sibling};
    return run_threads(rig, job->q->sibling ? 2 : 1, functions, arguments, index, why);
}

static struct job job_of(const struct htm_rig *rig, const struct htm_question *q) {
    return (struct job){.machine = rig->machine, .tx = rig->machine->transactions, .q = q};
}

/* For each try q->lines different ones of `total`, which are more: Fisher and Yates, from the
 * front. */
static bool shuffle(struct job *job, size_t total) {
    const struct htm_question *q = job->q;
    uint32_t *all = malloc(total * sizeof *all);
    job->order = malloc(q->tries * q->lines * sizeof *job->order);
    if (all == NULL || job->order == NULL) {
        free(all);
        return false;
    }
    uint64_t random = q->lines * 2 + 1;
    for (size_t i = 0; i < total; i++)
        all[i] = (uint32_t)i;
    for (unsigned t = 0; t < q->tries; t++)
        for (size_t i = 0; i < q->lines; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            const size_t left = total > i ? total - i : 1;
            const size_t other = i + (size_t)((random >> 16) % left);
            const uint32_t taken = all[other];
            all[other] = all[i];
            job->order[t * q->lines + i] = all[i] = taken;
        }
    free(all);
    return true;
}

/* Whole pages, aligned to them, that are there but in no cache. */
static char *pages(const struct job *job, size_t bytes, void **base) {
    *base = job->tx->alloc(bytes + PAGE);
    if (*base == NULL)
        return NULL;
    char *start = (char *)(((uintptr_t)*base + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    if (job->tx->access == NULL) /* real pages have to be touched */
        memset(start, 0, bytes);
    return start;
}

bool htm_footprint(const struct htm_rig *rig, const struct htm_question *q, struct htm_answer *a,
                   char *why) {
    struct job job = job_of(rig, q);
    const size_t total = q->pattern == HTM_RANDOM ? q->lines * RANDOM_REGION : q->lines;
    const size_t unit = q->unit_bytes != 0 ? q->unit_bytes : rig->line_bytes;
    job.step = q->stride_bytes != 0 ? q->stride_bytes : q->pattern == HTM_STRIDED ? 2 * unit : unit;
    job.part = (total * job.step + PAGE - 1) / PAGE * PAGE;
    if (!open_machine(rig, false, why))
        return false;
    void *base = NULL, *beside = NULL;
    job.memory = pages(&job, job.part * (q->warm ? 1 : q->tries), &base);
    bool ok = job.memory != NULL;
    if (ok && q->sibling)
        ok = (job.beside = pages(&job, job.part, &beside)) != NULL;
    ok = ok && (q->pattern != HTM_RANDOM || shuffle(&job, total));
    if (!ok)
        (void)no_memory(why);
    ok = ok && run_job(rig, &job, footprint_main, why);
    rig->machine->transactions->free(base);
    rig->machine->transactions->free(beside);
    free(job.order);
    *a = job.answer;
    close_machine(rig, a);
    return ok;
}

static bool cost(const struct htm_rig *rig, void (*fn)(void *), struct htm_answer *a, char *why) {
    static const struct htm_question none;
    struct job job = job_of(rig, &none);
    if (!open_machine(rig, false, why))
        return false;
    const bool ok = run_job(rig, &job, fn, why);
    *a = job.answer;
    close_machine(rig, a);
    return ok;
}

bool htm_empty(const struct htm_rig *rig, const struct htm_question *q, struct htm_answer *a,
               char *why) {
    (void)q;
    return cost(rig, empty_main, a, why);
}

bool htm_aborted(const struct htm_rig *rig, const struct htm_question *q, struct htm_answer *a,
                 char *why) {
    (void)q;
    return cost(rig, aborted_main, a, why);
}

bool htm_duration(const struct htm_rig *rig, double ns, double between_ns, unsigned tries,
                  struct htm_answer *a, char *why) {
    const struct htm_question q = {.tries = tries};
    struct job job = job_of(rig, &q);
    job.ns = ns;
    job.between_ns = between_ns;
    if (!open_machine(rig, true, why))
        return false;
    void *base;
    job.memory = pages(&job, PAGE, &base);
    const bool ok = job.memory != NULL ? run_job(rig, &job, duration_main, why) : no_memory(why);
    rig->machine->transactions->free(base);
    *a = job.answer;
    close_machine(rig, a);
    return ok;
}

bool htm_sharing(const struct htm_rig *rig, const struct htm_question *q, struct htm_answer *a,
                 char *why) {
    struct job job = job_of(rig, q);
    if (!open_machine(rig, false, why))
        return false;
    void *base;
    job.memory = pages(&job, PAGE, &base);
    struct adder adders[2] = {{.job = &job, .word = job.memory},
                              {.job = &job, .word = job.memory + q->stride_bytes}};
    void (*const functions[2])(void *) = {sharing_main, sharing_main};
    void *const arguments[2] = {&adders[0], &adders[1]};
    static const unsigned index[2] = {0, 1};
    const bool ok =
        job.memory != NULL ? run_threads(rig, 2, functions, arguments, index, why) : no_memory(why);
    rig->machine->transactions->free(base);
    *a = (struct htm_answer){0};
    for (unsigned i = 0; i < 2; i++) {
        a->tries += adders[i].answer.tries;
        a->commits += adders[i].answer.commits;
        a->ns += adders[i].answer.ns;
    }
    a->ns = a->commits > 0 ? a->ns / (double)a->commits : 0;
    close_machine(rig, a);
    return ok;
}
