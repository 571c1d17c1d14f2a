/*
 * check.c - the subcommand `check`: which programs run on which engines under which schedules, and
 * what is said of them.
 */
#include "check.h"

#include "buildinfo.h"
#include "check_dpor.h"
#include "check_explain.h"
#include "check_policies.h"
#include "check_run.h"
#include "check_smaller.h"
#include "cli.h"
#include "outfile.h"
#include "runner.h"
#include "spec.h"
#include "splitmix.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEDULES_DEFAULT 20000
#define SCHEDULES_MAX UINT64_C(1000000000000)
#define MINUTES_MAX 100000.0
#define SUBJECTS_MAX 64

enum { ENGINE, PROGRAM, SCHEDULES, MINUTES, STRATEGY, MODEL, SEED, REPLAY, OUT, QUIET, OPTIONS };

static const struct cli_option options[] = {
    [ENGINE] = {"engine", "E[:k=v]...[,...]",
                "engines to check, written as for run; default: every engine that\n"
                "is simulated and promises something to several threads, with each\n"
                "choice of its options"},
    [PROGRAM] = {"program", "T[+T]...[,...]",
                 "one program: the transactions of each thread, threads separated\n"
                 "by commas (rmw+ro,scan; event+event,event+event: a reactor with\n"
                 "two threads); default: all pairs of the catalogue, triples, and\n"
                 "larger ones drawn from the seed, a third each; all triples from\n"
                 "about 130,000 schedules on"},
    [SCHEDULES] = {"schedules", "N", "how many to run for each engine; default: 20000"},
    [MINUTES] = {"minutes", "M",
                 "for each engine at most so long, and without --schedules exactly"},
    [STRATEGY] = {"strategy", "S",
                  "random, pct, dpor (exhaustive, --model sc), or mix (the default)"},
    [MODEL] = {"model", "sc|tso",
               "sequential consistency, or x86-TSO with store buffers; default: tso"},
    [SEED] = {"seed", "N", "decides programs and schedules; default: 1"},
    [REPLAY] = {"replay", "LINE",
                "run this one schedule, a line that an earlier check has printed,\n"
                "and tell what happens"},
    [OUT] = {"out", "FILE.json", "a summary as JSON"},
    [QUIET] = {"quiet", NULL, "no progress, failures only"},
    [OPTIONS] = {NULL, NULL, NULL},
};

static const struct cli_command command = {
    .name = "check",
    .usage = "check [options]",
    .about =
        "Runs small programs of transactions on a simulated machine under chosen schedules, and\n"
        "checks that each execution is opaque, each committed one strictly serialisable, that\n"
        "privatised data is safe, that nothing is used after it was freed, nothing leaks, and "
        "that\n"
        "every thread gets to its end.  A failing schedule is made smaller, explained, and "
        "printed\n"
        "as one line that replays it.\n",
    .options = options,
    .more = "examples:\n"
            "  allcores check --engine norec --schedules 100000\n"
            "  allcores check --engine nosync --program rmw,rmw --strategy dpor --model sc\n"
            "\n"
            "exit status: 0 nothing was found; 1 a schedule failed; 2 wrong usage or bad input.\n",
};

extern const struct check_catalogue *const __start_tm_checks[] __attribute__((weak)),
    *const __stop_tm_checks[] __attribute__((weak));

static const struct check_catalogue *catalogue_of(const struct tm_engine *engine) {
    /* cppcheck-suppress comparePointers; the linker makes one array of them */
    for (const struct check_catalogue *const *c = __start_tm_checks; c < __stop_tm_checks; c++)
        if ((*c)->engine == engine)
            return *c;
    return NULL;
}

static bool has_catalogue(const char *engine) {
    /* cppcheck-suppress comparePointers; the linker makes one array of them */
    for (const struct check_catalogue *const *c = __start_tm_checks; c < __stop_tm_checks; c++)
        if (strcmp((*c)->engine->name, engine) == 0)
            return true;
    return false;
}

/* ---- subjects ------------------------------------------------------------------------------- */

static struct check_subject subjects[SUBJECTS_MAX];
static unsigned subject_count;

/* Every choice of every option that is one, as the conformance suite has them too. */
static void default_engines(char *text, size_t size) {
    size_t n = 0;
    const char *last = "";
    for (const struct tm_engine *const *e = engines_all(); *e != NULL; e++) {
        if (strcmp((*e)->name, last) == 0 || (*e)->unsafe || (*e)->max_threads == 1)
            continue;
        last = (*e)->name;
        if (!has_catalogue(last))
            continue;
        n += (size_t)snprintf(text + n, size - n, "%s%s", n > 0 ? "," : "", last);
        for (const struct tm_param *p = (*e)->options; p != NULL && p->name != NULL; p++) {
            if (p->type != TM_CHOICE)
                continue;
            for (const char *c = p->choices; *c != '\0';) {
                const size_t length = strcspn(c, "|");
                if (strlen(p->def) != length || strncmp(p->def, c, length) != 0)
                    n += (size_t)snprintf(text + n, size - n, ",%s:%s=%.*s", last, p->name,
                                          (int)length, c);
                c += length + (c[length] == '|');
            }
        }
    }
}

/* `given`: what the user typed, or NULL. */
static int make_subjects(const char *given, bool tso) {
    static char text[2048];
    const struct machine *machine = machine_find("sim");
    char why[SPEC_WHY_SIZE];
    if (__start_tm_checks == NULL || machine == NULL || machine->explorer == NULL) {
        fprintf(stderr, "allcores check: this build has no simulated machine\n");
        return EXIT_FAILED;
    }
    if (given == NULL)
        default_engines(text, sizeof text);
    const struct spec spec = {.engines = given != NULL ? given : text,
                              .workloads = "null",
                              .threads = "1",
                              .machine = "sim:ideal"};
    static struct plan plan;
    if (!spec_cells(&spec, &plan, why, sizeof why))
        return cli_error("check", "%s", why);
    for (size_t i = 0; i < plan.count; i++) {
        const struct plan_cell *cell = &plan.cells[i];
        const struct check_catalogue *catalogue = catalogue_of(cell->engine_plugin);
        if (catalogue == NULL) {
            if (given != NULL)
                return cli_error("check", "%s is not simulated: %s", cell->engine,
                                 cell->unavailable != NULL ? cell->unavailable
                                                           : "it has no cells on machine sim");
            continue;
        }
        if (subject_count == SUBJECTS_MAX)
            return cli_error("check", "more than %d engines: name fewer", SUBJECTS_MAX);
        struct check_subject *s = &subjects[subject_count++];
        *s = (struct check_subject){
            .catalogue = catalogue, .explorer = machine->explorer, .tso = tso};
        _Static_assert((int)CHECK_OPTIONS <= (int)PLAN_VALUES_MAX, "options are copied whole");
        memcpy(s->options, cell->options, sizeof s->options);
        snprintf(s->text, sizeof s->text, "%s", cell->engine);
    }
    plan_free(&plan);
    return EXIT_DONE;
}

/* ---- programs ------------------------------------------------------------------------------- */

struct list {
    struct check_program *program;
    size_t count, room;
};

static void add_program(const struct check_catalogue *catalogue, struct list *list,
                        const struct check_program *p) {
    if (p->threads > catalogue->engine->max_threads || !check_program_sensible(catalogue, p))
        return;
    if (list->count == list->room) {
        list->room = list->room == 0 ? 256 : 2 * list->room;
        struct check_program *larger = realloc(list->program, list->room * sizeof *larger);
        if (larger == NULL)
            abort();
        list->program = larger;
    }
    list->program[list->count++] = *p;
}

/* Transactions that are drawn from; those behind them must be named. */
static unsigned size_of(const struct check_catalogue *catalogue) {
    const struct check_transaction *t = catalogue->transactions;
    unsigned n = 0;
    while (t[n].name != NULL && (t[n].needs & CHECK_BY_NAME) == 0)
        n++;
    return n;
}

static void add_pairs(const struct check_catalogue *catalogue, struct list *list) {
    const unsigned n = size_of(catalogue);
    for (unsigned a = 0; a < n; a++)
        for (unsigned b = a; b < n; b++)
            add_program(catalogue, list,
                        &(struct check_program){2, {1, 1}, {{(uint8_t)a}, {(uint8_t)b}}});
}

static void add_triples(const struct check_catalogue *catalogue, struct list *list) {
    const unsigned n = size_of(catalogue);
    for (unsigned a = 0; a < n; a++)
        for (unsigned b = a; b < n; b++)
            for (unsigned c = b; c < n; c++)
                add_program(catalogue, list,
                            &(struct check_program){
                                3, {1, 1, 1}, {{(uint8_t)a}, {(uint8_t)b}, {(uint8_t)c}}});
}

/* Two to four threads of one to three transactions. */
static void draw_program(const struct check_catalogue *catalogue, uint64_t *state,
                         struct check_program *p) {
    const unsigned n = size_of(catalogue);
    *p = (struct check_program){.threads = 0};
    if (n == 0)
        return;
    do {
        *p = (struct check_program){.threads = 2 + (unsigned)(splitmix64(state) % 3)};
        const uint8_t first = (uint8_t)(splitmix64(state) % n);
        for (unsigned t = 0; t < p->threads; t++) {
            p->length[t] = 1 + (unsigned)(splitmix64(state) % 3);
            for (unsigned i = 0; i < p->length[t]; i++) /* from the same part of the catalogue */
                p->tx[t][i] = splitmix64(state) % 2
                                  ? (uint8_t)(splitmix64(state) % n)
                                  : (uint8_t)((first + splitmix64(state) % 4) % n);
        }
    } while (!check_program_sensible(catalogue, p));
}

/* ---- exploring ------------------------------------------------------------------------------ */

enum strategy { MIX, RANDOM, PCT, DPOR };
static const char *const strategies[] = {"mix", "random", "pct", "dpor", NULL};

static struct explore {
    const struct check_subject *subject;
    uint64_t seed, schedules, limit; /* limit: UINT64_MAX: none */
    double start_s, seconds;         /* seconds: 0: no limit */
    enum strategy strategy;
    bool line; /* progress on a terminal */
    double told_s;
    uint64_t programs, exhausted, unjudged;
    size_t pairs, all_pairs, triples,
        all_triples; /* of the catalogue: met, and how many are there */
    struct check_schedule schedule;
    struct check_outcome outcome;
    struct check_program program; /* that failed */
} x;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool over(void) {
    return x.schedules >= x.limit || (x.seconds > 0 && now_s() - x.start_s >= x.seconds);
}

static void progress(void) {
    if (!x.line)
        return;
    const double now = now_s();
    if (now - x.told_s < 0.2)
        return;
    x.told_s = now;
    double part = x.limit != UINT64_MAX ? (double)x.schedules / (double)x.limit : 0;
    if (x.seconds > 0 && (now - x.start_s) / x.seconds > part)
        part = (now - x.start_s) / x.seconds;
    fprintf(stderr, "\r%s: %lu schedules, %.0f a second, %.0f %%\033[K", x.subject->text,
            (unsigned long)x.schedules, (double)x.schedules / (now - x.start_s + 1e-9), 100 * part);
}

static void clear_line(void) {
    if (x.line)
        fprintf(stderr, "\r\033[K");
}

static bool run_one(const struct check_program *p, const struct explore_policy *policy) {
    check_run(x.subject, p, policy, &x.schedule, &x.outcome);
    x.schedules++;
    x.unjudged += x.outcome.unjudged;
    progress();
    if (x.outcome.failure == CHECK_OK)
        return true;
    x.program = *p;
    return false;
}

/* `n` schedules drawn from the seed.  False: the last one failed. */
static bool sample(const struct check_program *p, uint64_t n, uint64_t seed) {
    static struct check_random walk;
    static struct check_pct pct;
    uint64_t decisions = 30;
    for (uint64_t i = 0; i < n && !over(); i++) {
        const bool by_pct = x.strategy == PCT || (x.strategy == MIX && i % 2 == 1);
        struct explore_policy policy = {.choose = check_random_choose, .context = &walk};
        if (by_pct) {
            check_pct_begin(&pct, seed + i, 2 + (unsigned)(i / 2 % 4), decisions);
            policy = (struct explore_policy){.choose = check_pct_choose, .context = &pct};
        } else {
            check_random_begin(&walk, seed + i);
        }
        if (!run_one(p, &policy))
            return false;
        if (by_pct && pct.asked > decisions)
            decisions = pct.asked;
        else if (by_pct) /* follows the longest, slowly back: few runs spin for long */
            decisions -= (decisions - pct.asked) / 8;
    }
    return true;
}

/* All schedules with at most `bound` preemptions, but not more than `n`. */
static bool exhaust(const struct check_program *p, uint64_t n, unsigned bound) {
    static struct check_dpor dpor;
    const struct explore_policy policy = {.choose = check_dpor_choose, .context = &dpor};
    size_t shared;
    do { /* what is learned to be shared on the way adds places to switch at: begin again */
        shared = x.subject->explorer->shared();
        check_dpor_begin(&dpor, bound);
        bool more = true;
        while (more && n-- > 0 && !over()) {
            if (!run_one(p, &policy))
                return false;
            if (x.subject->explorer->shared() != shared)
                break;
            more = check_dpor_next(&dpor);
        }
        if (!more) {
            x.exhausted += !dpor.bounded;
            return true;
        }
    } while (x.subject->explorer->shared() != shared && !over());
    return true;
}

static bool explore_program(const struct check_program *p, uint64_t n, uint64_t seed) {
    x.subject->explorer->forget();
    x.programs++;
    if (x.strategy == DPOR)
        return exhaust(p, n, UINT32_MAX);
    const uint64_t first = n > 4 ? 4 : n; /* learns what is shared */
    if (!sample(p, first, seed))
        return false;
    if (x.strategy == MIX && !x.subject->tso && p->threads == 2 && !over() && !exhaust(p, n / 4, 2))
        return false;
    return sample(p, n - first, seed + first);
}

/* Pairs get about half of all schedules, triples and larger programs a quarter each. */
static bool explore_all(void) {
    struct list pairs = {0}, triples = {0};
    const struct check_catalogue *catalogue = x.subject->catalogue;
    add_pairs(catalogue, &pairs);
    add_triples(catalogue, &triples);
    uint64_t state = x.seed;
    size_t pair = 0, triple = splitmix64(&state) % (triples.count + 1);
    uint64_t each = x.limit == UINT64_MAX || pairs.count == 0 ? 200 : x.limit / 2 / pairs.count;
    if (x.limit != UINT64_MAX && each > 40 &&
        triples.count > pairs.count) /* then all triples, too */
        each = x.limit / 2 / triples.count < 40 ? 40 : x.limit / 2 / triples.count;
    each = each < 8 ? 8 : each > 1000 ? 1000 : each;
    x.all_pairs = pairs.count;
    x.all_triples = triples.count;
    bool good = true;
    while (good && !over()) {
        struct check_program larger = {.threads = 0};
        if (pairs.count > 0) {
            good = explore_program(&pairs.program[pair++ % pairs.count], each, splitmix64(&state));
            x.pairs += x.pairs < pairs.count;
            if (!good || over())
                break;
        }
        if (triples.count > 0) { /* a stride that meets all of them */
            triple = (triple + 617) % triples.count;
            good = explore_program(&triples.program[triple], each / 2, splitmix64(&state));
            x.triples += x.triples < triples.count;
            if (!good || over())
                break;
        }
        draw_program(catalogue, &state, &larger);
        if (larger.threads <= catalogue->engine->max_threads)
            good = explore_program(&larger, each / 2, splitmix64(&state));
        if (pairs.count == 0 && triples.count == 0 &&
            larger.threads > catalogue->engine->max_threads)
            break;
    }
    free(pairs.program);
    free(triples.program);
    return good;
}

static void line_of(const struct check_subject *s, const struct check_program *p,
                    const struct check_schedule *schedule, char *text, size_t size) {
    char program[512];
    static char choices[CHECK_DEVIATIONS * 24];
    check_program_text(s->catalogue, p, program, sizeof program);
    check_schedule_text(schedule, choices, sizeof choices);
    const int n = snprintf(text, size, "%s/%s/%s/", s->text, program, s->tso ? "tso" : "sc");
    if ((size_t)n < size)
        snprintf(text + n, size - (size_t)n, "%.*s", (int)(size - (size_t)n - 1), choices);
}

/* Tells of the failure, as small as it gets.  The line is left in `line`. */
static void tell(char *line, size_t size, uint64_t found_after, unsigned *preemptions) {
    const enum check_failure failure = x.outcome.failure;
    clear_line();
    printf("%s: %s, found by schedule %lu\n", x.subject->text, check_failure_names[failure],
           (unsigned long)found_after);
    /* Of a schedule with too many switches the first ones will do if it does not end anyhow. */
    check_replay(x.subject, &x.program, &x.schedule, &x.outcome, NULL, NULL);
    if (x.outcome.failure != failure) {
        printf(x.schedule.overflow
                   ? "  it has too many switches to be replayed (that ends with: %s)\n"
                   : "  the replay does not fail the same way (%s): please report this\n",
               check_failure_names[x.outcome.failure]);
        line[0] = '\0';
        return;
    }
    const unsigned runs = check_smaller(x.subject, &x.program, &x.schedule, &x.outcome);
    check_explain(x.subject, &x.program, &x.schedule, stdout);
    line_of(x.subject, &x.program, &x.schedule, line, size);
    *preemptions = check_preemptions(&x.schedule);
    printf("made smaller by %u runs; to see it again:\n  allcores check --replay '%s'\n\n", runs,
           line);
}

/* ---- replay --------------------------------------------------------------------------------- */

static int replay(const char *given) {
    char *line = strdup(given), *field[4] = {line}, why[SPEC_WHY_SIZE];
    if (line == NULL)
        abort();
    unsigned fields = 1;
    for (char *c = line; *c != '\0' && fields < 4; c++)
        if (*c == '/') {
            *c = '\0';
            field[fields++] = c + 1;
        }
    const char *const form = "a line is ENGINE/PROGRAM/sc|tso/SCHEDULE, as check prints it";
    int status = EXIT_DONE;
    const bool tso = fields == 4 && strcmp(field[2], "tso") == 0;
    if (fields < 4 || (!tso && strcmp(field[2], "sc") != 0))
        status = cli_error("check", "--replay: this is no such line; %s", form);
    else if (!check_schedule_parse(field[3], &x.schedule))
        status = cli_error("check", "--replay: '%.60s' is no schedule; %s", field[3], form);
    if (status == EXIT_DONE)
        status = make_subjects(field[0], tso);
    if (status == EXIT_DONE && subject_count != 1)
        status = cli_error("check", "--replay: one engine; %s", form);
    if (status == EXIT_DONE &&
        !check_program_parse(subjects[0].catalogue, field[1], &x.program, why, sizeof why))
        status = cli_error("check", "--replay: %s; %s", why, form);
    free(line);
    if (status != EXIT_DONE)
        return status;
    x.subject = &subjects[0];
    if (!x.subject->explorer->open(why, sizeof why)) {
        fprintf(stderr, "allcores check: %s\n", why);
        return EXIT_FAILED;
    }
    /* Twice: the first run finds out what is shared, which only the story depends on. */
    check_replay(x.subject, &x.program, &x.schedule, &x.outcome, NULL, NULL);
    check_explain(x.subject, &x.program, &x.schedule, stdout);
    x.subject->explorer->close();
    return x.outcome.failure == CHECK_OK ? EXIT_DONE : EXIT_FAILED;
}

/* ---- the subcommand ------------------------------------------------------------------------- */

static int write_summary(const char *path, json_t *summary) {
    char *fresh = NULL;
    struct stat there;
    bool ok;
    if (lstat(path, &there) == 0 && !S_ISREG(there.st_mode)) /* a device, a link: written to */
        ok = json_dump_file(summary, path, JSON_INDENT(2)) == 0;
    else
        ok = asprintf(&fresh, "%s.new", path) >= 0 &&
             json_dump_file(summary, fresh, JSON_INDENT(2)) == 0 && rename(fresh, path) == 0;
    const int status =
        ok ? EXIT_DONE
           : cli_error("check", "--out: %s cannot be written: %s", path, strerror(errno));
    if (!ok && fresh != NULL)
        unlink(fresh);
    free(fresh);
    return status;
}

static bool one_of(const char *const *names, const char *name, unsigned *index) {
    for (unsigned i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0) {
            *index = i;
            return true;
        }
    return false;
}

int check_main(int argc, char **argv) {
    static const char *const models[] = {"sc", "tso", NULL};
    const char *values[OPTIONS + 1], *operands[1];
    int status;
    unsigned model = 1, strategy = MIX;
    uint64_t seed = 1, schedules = 0;
    double minutes = 0;
    if (!cli_parse(&command, argc, argv, values, operands, &status))
        return status;
    if (values[MODEL] != NULL && !one_of(models, values[MODEL], &model))
        return cli_error("check", "--model is sc or tso, not '%.60s'", values[MODEL]);
    if (values[STRATEGY] != NULL && !one_of(strategies, values[STRATEGY], &strategy))
        return cli_error("check", "--strategy is mix, random, pct or dpor, not '%.60s'",
                         values[STRATEGY]);
    if (values[SEED] != NULL && !spec_whole(values[SEED], 0, INT64_MAX, &seed))
        return cli_error("check", "--seed is a whole number, not '%.60s'", values[SEED]);
    if (values[SCHEDULES] != NULL && !spec_whole(values[SCHEDULES], 1, SCHEDULES_MAX, &schedules))
        return cli_error("check", "--schedules is a whole number from 1 on, not '%.60s'",
                         values[SCHEDULES]);
    if (values[MINUTES] != NULL && !spec_real(values[MINUTES], 0.001, MINUTES_MAX, &minutes))
        return cli_error("check",
                         "--minutes is a number of minutes from 0.001 to 100000, not '%.60s'",
                         values[MINUTES]);
    if (values[REPLAY] != NULL) {
        for (unsigned o = 0; o < OPTIONS; o++)
            if (o != REPLAY && o != QUIET && values[o] != NULL)
                return cli_error("check", "--replay: the line says it all, leave --%s out",
                                 options[o].name);
        return replay(values[REPLAY]);
    }
    if (strategy == DPOR && model == 1) {
        if (values[MODEL] != NULL)
            return cli_error("check", "--strategy dpor explores --model sc only");
        model = 0;
    }
    status = make_subjects(values[ENGINE], model == 1);
    if (status != EXIT_DONE)
        return status;
    char why[SPEC_WHY_SIZE];
    struct check_program program = {.threads = 0};
    if (values[PROGRAM] != NULL && subject_count > 0) {
        if (!check_program_parse(subjects[0].catalogue, values[PROGRAM], &program, why, sizeof why))
            return cli_error("check", "--program: %s", why);
        if (!check_program_sensible(subjects[0].catalogue, &program))
            return cli_error("check", "--program: some get may never find a token, or different "
                                      "containers are mixed");
    }
    if (!machine_find("sim")->explorer->open(why, sizeof why)) {
        fprintf(stderr, "allcores check: %s\n", why);
        return EXIT_FAILED;
    }
    json_t *engines = json_array();
    bool failed = false;
    for (unsigned i = 0; i < subject_count; i++) {
        static char line[CHECK_DEVIATIONS * 24];
        unsigned preemptions = 0;
        x.subject = &subjects[i];
        x.seed = seed;
        x.strategy = (enum strategy)strategy;
        x.schedules = x.programs = x.exhausted = x.unjudged = 0;
        x.pairs = x.all_pairs = x.triples = x.all_triples = 0;
        x.limit = schedules > 0 ? schedules : minutes > 0 ? UINT64_MAX : SCHEDULES_DEFAULT;
        x.seconds = 60 * minutes;
        x.line = values[QUIET] == NULL && isatty(STDERR_FILENO);
        x.start_s = now_s();
        x.outcome.failure = CHECK_OK;
        const bool good =
            values[PROGRAM] != NULL ? explore_program(&program, x.limit, seed) : explore_all();
        const double took = now_s() - x.start_s;
        const uint64_t ran = x.schedules;
        line[0] = '\0';
        enum check_failure failure = good ? CHECK_OK : x.outcome.failure;
        if (!good) {
            failed = true;
            tell(line, sizeof line, ran, &preemptions);
            if (line[0] != '\0')
                failure = x.outcome.failure; /* of the line: a smaller one may fail otherwise */
        }
        clear_line();
        if (good && values[QUIET] == NULL) {
            printf("%s: %lu schedules of %lu programs, %s, %.0f a second: nothing found",
                   x.subject->text, (unsigned long)ran, (unsigned long)x.programs,
                   model == 1 ? "tso" : "sc", (double)ran / took);
            if (x.all_pairs > 0)
                printf("; %zu of %zu pairs, %zu of %zu triples", x.pairs, x.all_pairs, x.triples,
                       x.all_triples);
            if (x.exhausted > 0)
                printf("; %lu programs exhausted%s", (unsigned long)x.exhausted,
                       x.subject->catalogue->engine->transactional_hardware
                           ? " (without injected aborts)"
                           : "");
            if (x.unjudged > 0)
                printf("; %lu histories too long to be judged", (unsigned long)x.unjudged);
            printf("\n");
        }
        fflush(stdout);
        json_array_append_new(
            engines,
            json_pack("{s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, "
                      "s:s, s:s, s:I}",
                      "engine", x.subject->text, "unsafe", x.subject->catalogue->engine->unsafe,
                      "program", values[PROGRAM] != NULL ? values[PROGRAM] : "", "model",
                      models[model], "seed", (json_int_t)seed, "asked",
                      (json_int_t)(x.limit == UINT64_MAX ? 0 : x.limit), "schedules",
                      (json_int_t)ran, "programs", (json_int_t)x.programs, "exhausted",
                      (json_int_t)x.exhausted, "pairs", (json_int_t)x.pairs, "all_pairs",
                      (json_int_t)x.all_pairs, "triples", (json_int_t)x.triples, "all_triples",
                      (json_int_t)x.all_triples, "unjudged", (json_int_t)x.unjudged, "seconds",
                      took, "result", check_failure_names[failure], "replay", line, "preemptions",
                      (json_int_t)preemptions));
    }
    machine_find("sim")->explorer->close();
    json_t *summary = json_pack("{s:s, s:b, s:o}", "git_revision", buildinfo.git_revision,
                                "git_dirty", buildinfo.git_dirty, "check", engines);
    status = failed ? EXIT_FAILED : EXIT_DONE;
    if (values[OUT] != NULL && write_summary(values[OUT], summary) != EXIT_DONE)
        status = EXIT_BAD_INPUT;
    json_decref(summary);
    return status;
}
