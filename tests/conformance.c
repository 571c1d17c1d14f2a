/*
 * conformance - one suite for every engine: runs the tests of tests/conformance (workloads whose
 * name begins with `conformance_`) and, briefly, all real workloads, through the same adapter as
 * the benchmark.
 *
 * One cmocka test per test, engine with options, machine and number of threads; its name is that of
 * a cell, `zombie/norec/threads:2`.  Each runs in a child process with a time limit, so that a
 * crash or an endless wait is one failed test; simulated ones several at a time.  An engine whose
 * option must stand in the environment before the process starts gets a child that executes this
 * program anew.
 *
 *   conformance [FILTER...]     tests whose name contains one of the filters; all without one
 *   conformance --list          the names
 *   conformance --one NAME      this one test, in this process: exit 0, or 1 with the reason on
 *                               stderr
 *
 * On the simulated machine a test runs on a small computer, every other seed on one with two
 * hardware threads, so that threads are preempted anywhere, unless the test wants one seed only;
 * real workloads run a tenth as long, tests that run by time a fifth, and with one thread, which
 * never waits, a fiftieth.  Of an engine of hardware transactions, which are slow to
 * simulate, choices other than the default one are tested with four threads and one seed and not by
 * time, and real workloads with four threads only.
 *
 * In front of these: `--seed N` runs seed number N only, `--seeds N` the first N seeds.  A failure
 * names its seed.
 */
#include "cell.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1, LIMIT_S = 120 };
#else
enum { SANITIZED = 0, LIMIT_S = 30 };
#endif

enum {
    TESTS_MAX = 8192,
    VALUES_MAX = 16,
    NAME_SIZE = 128,
    SEEDS = 3,
    SIMULATED_SEEDS = 2, /* one on each computer */
    SEEDS_S = 3,
    SEEDS_PER_LIMIT = 50
};

static const char prefix[] = "conformance_";

/* What is simulated: four cores; two hardware threads that many a thread has to share. */
static const char simulated_profile[] = "i7-4770";
static const char *const few_hardware_threads[] = {"cores_per_group=2", "smt=1"};

struct test {
    char name[NAME_SIZE];
    const struct tm_cell *cell;
    const struct machine *machine;
    union tm_value args[VALUES_MAX], options[VALUES_MAX];
    unsigned threads;
    bool one_seed;        /* the second, if there is one: with few hardware threads */
    uint64_t ops_factor;  /* multiplies the test's operations */
    char environment[64]; /* "VAR=value" that must be set before the process starts, or "" */
};

static struct test tests[TESTS_MAX];
static size_t test_count;

/* ---- one test, in this process ----------------------------------------------------------- */

/* Value of the integer parameter `name`, or `otherwise` when the workload has none of that name. */
static int64_t parameter(const struct test *t, const char *name, int64_t otherwise) {
    const struct tm_param *params = t->cell->workload->params;
    for (unsigned i = 0; params != NULL && params[i].name != NULL; i++)
        if (strcmp(params[i].name, name) == 0)
            return t->args[i].i;
    return otherwise;
}

static bool is_conformance(const struct tm_workload *workload) {
    return strncmp(workload->name, prefix, sizeof prefix - 1) == 0;
}

/* What the engine counted against what the test did. */
static bool counters_plausible(const struct test *t, const struct cell_sample *s, char *why) {
    if (s->ops == 0 || s->elapsed_ns == 0) {
        snprintf(why, CELL_WHY_SIZE, "%llu operations in %llu ns", (unsigned long long)s->ops,
                 (unsigned long long)s->elapsed_ns);
        return false;
    }
    int64_t blocks = parameter(t, "blocks", -1);
    if (strcmp(t->cell->workload->name, "null") == 0)
        blocks = 1;
    if (blocks >= 0 && s->stats.commits != s->ops * (uint64_t)blocks) {
        snprintf(why, CELL_WHY_SIZE, "%llu commits counted, %llu blocks completed",
                 (unsigned long long)s->stats.commits,
                 (unsigned long long)(s->ops * (uint64_t)blocks));
        return false;
    }
    if (!is_conformance(t->cell->workload))
        return true;
    const int64_t irrevocable = parameter(t, "irrevocable", 0);
    if (irrevocable >= 0 && s->stats.irrevocable != s->ops * (uint64_t)irrevocable) {
        snprintf(why, CELL_WHY_SIZE, "%llu irrevocable blocks counted, %llu completed",
                 (unsigned long long)s->stats.irrevocable,
                 (unsigned long long)(s->ops * (uint64_t)irrevocable));
        return false;
    }
    const int64_t restarts = parameter(t, "restarts", 0);
    if (s->stats.aborts[TM_EXPLICIT] < s->ops * (uint64_t)restarts) {
        snprintf(why, CELL_WHY_SIZE, "%llu explicit aborts counted, at least %llu happened",
                 (unsigned long long)s->stats.aborts[TM_EXPLICIT],
                 (unsigned long long)(s->ops * (uint64_t)restarts));
        return false;
    }
    const int64_t rss_mb = parameter(t, "rss_mb", 0);
    if (rss_mb > 0 && !SANITIZED && s->rss_bytes >> 20 > (uint64_t)rss_mb) {
        snprintf(why, CELL_WHY_SIZE, "resident set %llu MiB, expected at most %lld: memory leaks",
                 (unsigned long long)(s->rss_bytes >> 20), (long long)rss_mb);
        return false;
    }
    return true;
}

/* What --seed and --seeds ask for; 0: nothing. */
static uint64_t only_seed, first_seeds;
/* What --one asks for: the tests of other workloads are not even made, which takes longer than most
 * tests.  NULL: all. */
static const char *only_test;
/* A test in its child process.  In memory that is shared with children, but not with programs that
 * are executed anew. */
struct run {
    pid_t pid; /* 0: not started, -1: there is none to be had */
    int in;    /* what it says */
    _Atomic uint64_t
        seed; /* that runs, for a parent that has to tell why its child is gone; 0: none */
};
static struct run *runs;     /* of each test in tests[], and one more */
static struct run *this_run; /* of the test in this process */

/* How many seeds the test wants.  Sanitizers make everything slower. */
static uint64_t seeds_of(const struct test *t) {
    const uint64_t seeds =
        (uint64_t)parameter(t, "seeds", t->machine->simulated ? SIMULATED_SEEDS : SEEDS);
    return SANITIZED && seeds > SEEDS ? (seeds + 9) / 10 : seeds;
}

/* Of this computer, also when the machine is a simulated one. */
static time_t now_s(void) {
    struct timespec t = {0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static bool run_here(const struct test *t, char *why) {
    const uint64_t interval_ms =
        (uint64_t)parameter(t, "interval_ms", is_conformance(t->cell->workload) ? 0 : 10);
    const uint64_t by_time = t->machine->simulated ? SIMULATED_SEEDS : 1;
    const uint64_t seeds = first_seeds > 0 ? first_seeds : interval_ms > 0 ? by_time : seeds_of(t);
    const uint64_t one_is = seeds < SIMULATED_SEEDS ? seeds : SIMULATED_SEEDS;
    const bool one = t->one_seed && only_seed + first_seeds == 0;
    const uint64_t begin = only_seed > 0 ? only_seed : one ? one_is : 1;
    const uint64_t end = only_seed > 0 ? only_seed : one ? one_is : seeds;
    const time_t start_s = now_s();
    for (uint64_t seed = begin; seed <= end; seed++) {
        if (seed > SEEDS && only_seed + first_seeds == 0 && now_s() - start_s > SEEDS_S)
            break; /* a slow engine: fewer seeds */
        atomic_store(&this_run->seed, seed);
        struct cell_request request = {
            .cell = t->cell,
            .machine = t->machine,
            .args = t->args,
            .options = t->options,
            .threads = t->threads,
            .seed = seed * UINT64_C(0x9e3779b97f4a7c15),
        };
        if (t->machine->simulated) {
            request.profile = simulated_profile;
            request.overrides = few_hardware_threads;
            request.override_count =
                seed % 2 == 0 && seeds_of(t) > 1
                    ? sizeof few_hardware_threads / sizeof *few_hardware_threads
                    : 0;
        }
        if (interval_ms > 0) {
            const uint64_t simulated_ms =
                is_conformance(t->cell->workload) ? t->threads > 1 ? 200000 : 20000 : 100000;
            const uint64_t ms = t->machine->simulated ? simulated_ms : 1000000;
            request.warmup_ns = ms;
            request.interval_ns = interval_ms * ms;
        } else {
            request.ops_per_thread = (uint64_t)parameter(t, "ops", 1000) * t->ops_factor;
        }
        struct cell_sample sample;
        if (!cell_measure(&request, &sample)) {
            snprintf(why, CELL_WHY_SIZE, "seed %llu: %.200s", (unsigned long long)seed, sample.why);
            return false;
        }
        char counters[CELL_WHY_SIZE];
        if (!counters_plausible(t, &sample, counters)) {
            snprintf(why, CELL_WHY_SIZE, "seed %llu: %.200s", (unsigned long long)seed, counters);
            return false;
        }
    }
    return true;
}

/* ---- one test, in a child ---------------------------------------------------------------- */

/* Of a test.  More seeds than usual take longer, and so do simulated threads: on one processor. */
static unsigned limit_s(const struct test *t) {
    return (unsigned)(LIMIT_S * (1 + first_seeds / SEEDS_PER_LIMIT)) *
           (t->machine->simulated ? 4 : 1);
}

static _Noreturn void child(const struct test *t, int out) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(limit_s(t)); /* ends the process; survives an exec */
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; !SANITIZED && i < sizeof fatal / sizeof *fatal; i++)
        signal(fatal[i], SIG_DFL); /* cmocka's handlers would exit without a word */
    if (t->environment[0] != '\0') {
        char variable[sizeof t->environment];
        memcpy(variable, t->environment, sizeof variable);
        char *value = strchr(variable, '=');
        *value++ = '\0';
        setenv(variable, value, 1);
        dup2(out, STDERR_FILENO);
        char number[24];
        snprintf(number, sizeof number, "%" PRIu64, only_seed > 0 ? only_seed : first_seeds);
        if (only_seed + first_seeds > 0)
            execl("/proc/self/exe", "conformance", only_seed > 0 ? "--seed" : "--seeds", number,
                  "--one", t->name, (char *)NULL);
        else
            execl("/proc/self/exe", "conformance", "--one", t->name, (char *)NULL);
        dprintf(out, "execl: %s", strerror(errno));
        _exit(1);
    }
    char why[CELL_WHY_SIZE] = "";
    const bool ok = run_here(t, why);
    if (!ok)
        dprintf(out, "%s", why);
    fflush(NULL);
    exit(ok ? 0 : 1); /* not _exit: a leak sanitizer looks now */
}

static void start(const struct test *t, struct run *run) {
    int fds[2];
    *run = (struct run){.pid = -1, .in = -1};
    if (pipe(fds) != 0)
        return;
    fflush(NULL);
    run->in = fds[0];
    const pid_t pid = fork();
    if (pid == 0) {
        this_run = run;
        close(fds[0]);
        child(t, fds[1]);
    }
    run->pid = pid;
    close(fds[1]);
}

/* Awaits the end of a test; false and the reason when it did not succeed. */
static bool finish(const struct test *t, struct run *run, char *why, size_t why_size) {
    const int in = run->in;
    const pid_t pid = run->pid;
    why[0] = '\0';
    if (pid < 0) {
        snprintf(why, why_size, "no child process");
        if (in >= 0)
            close(in);
        return false;
    }
    size_t length = 0;
    ssize_t n = 0;
    char rest[256];
    do { /* keep the beginning, swallow the rest */
        const bool room = length + 1 < why_size;
        n = read(in, room ? why + length : rest, room ? why_size - 1 - length : sizeof rest);
        if (n > 0 && room)
            length += (size_t)n;
    } while (n > 0 || (n < 0 && errno == EINTR));
    why[length] = '\0';
    close(in);
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) {
        snprintf(why, why_size, "no child process: %s", strerror(errno));
        return false;
    }
    if (WIFSIGNALED(status)) {
        const int number = WTERMSIG(status);
        const uint64_t seed = atomic_load(&run->seed);
        if (length == 0 && seed > 0)
            length = (size_t)snprintf(why, why_size, "seed %" PRIu64 ":", seed);
        if (number == SIGALRM)
            snprintf(why + length, why_size - length, "%sno end within %u s", length > 0 ? " " : "",
                     limit_s(t));
        else
            snprintf(why + length, why_size - length, "%s[killed by signal %d, %s]",
                     length > 0 ? " " : "", number, strsignal(number));
        return false;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Tests in the order in which they run, NULL behind the last: those that have the machine for
 * themselves, then the simulated ones. */
static const struct test *order[TESTS_MAX + 1];

/* A simulated test keeps one processor busy.  So the next ones are begun as well, one more than
 * there are processors, so that none idles behind a long one. */
static void start_simulated(const struct test *const *next) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    for (long i = 0; i <= processors && next[i] != NULL && next[i]->machine->simulated; i++) {
        struct run *run = &runs[next[i] - tests];
        if (run->pid == 0)
            start(next[i], run);
    }
}

static void test_cell(void **state) {
    static const struct test *const *next = order; /* cmocka keeps the order */
    const struct test *t = *state;
    struct run *run = &runs[t - tests];
    start_simulated(next++);
    if (run->pid == 0)
        start(t, run);
    char why[1024];
    if (!finish(t, run, why, sizeof why))
        fail_msg("%s: %s", t->name, why);
}

/* ---- the tests can fail ------------------------------------------------------------------ */

/* Engine nosync with several threads breaks every rule: probes that do not notice are worthless. */
static void test_probes_catch_a_broken_engine(void **state) {
    (void)state;
    static const char *const probes[] = {"atomicity", "isolation",   "write_skew",     "zombie",
                                         "small",     "irrevocable", "random_programs"};
    unsigned caught = 0, existing = 0;
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        char name[NAME_SIZE];
        snprintf(name, sizeof name, "%s%s", prefix, probes[i]);
        struct test t = {.cell = cell_find(name, "nosync", NULL, "native"),
                         .machine = machine_find("native"),
                         .threads = 2,
                         .ops_factor = 20};
        if (t.cell == NULL)
            continue;
        existing++;
        snprintf(t.name, sizeof t.name, "%s/nosync/threads:2", probes[i]);
        params_default(t.cell->workload->params, t.args);
        params_default(t.cell->engine->options, t.options);
        char why[1024];
        start(&t, &runs[TESTS_MAX]);
        if (!finish(&t, &runs[TESTS_MAX], why, sizeof why)) {
            caught++;
            print_message("  %s (as it should): %s\n", t.name, why);
        } else {
            print_message("  %s: nothing noticed this time\n", t.name);
        }
    }
    if (existing == 0)
        skip(); /* a sanitizer build has no nosync */
    assert_true(caught > 0);
}

/* ---- enumeration ------------------------------------------------------------------------- */

/* Text of choice number `index` in "a|b|c". */
static void choice_text(const char *choices, unsigned index, char *out, size_t size) {
    const char *c = choices;
    for (; index > 0; index--)
        c = strchr(c, '|') + 1;
    snprintf(out, size, "%.*s", (int)strcspn(c, "|"), c);
}

static unsigned choice_count(const char *choices) {
    unsigned n = 1;
    for (const char *c = choices; (c = strchr(c, '|')) != NULL; c++)
        n++;
    return n;
}

/* "VAR=value" for an engine that needs its option in the environment. */
static void set_environment(struct test *t, const struct tm_engine *engine) {
    const char *colon = engine->process_env != NULL ? strchr(engine->process_env, ':') : NULL;
    for (unsigned i = 0; colon != NULL && engine->options[i].name != NULL; i++) {
        const struct tm_param *p = &engine->options[i];
        if (p->type != TM_CHOICE || strcmp(p->name, colon + 1) != 0)
            continue;
        char value[32];
        choice_text(p->choices, t->options[i].choice, value, sizeof value);
        snprintf(t->environment, sizeof t->environment, "%.*s=%.24s",
                 (int)(colon - engine->process_env), engine->process_env, value);
    }
}

/* Combinations of parameters that are worth a test beside the default and the single choices. */
static const struct {
    const char *workload, *arguments;
} combinations[] = {
    {"eventloop", ":mode=chained:style=coroutine"},
    {"eventloop", ":mode=counter:style=coroutine"},
    {"eventloop", ":mode=chained:pool=2:sessions=3"}, /* threads wait for seats and for events */
    {"eventloop", ":sessions=1:work=0"},
    {"io", ":every=1"},
    {"dict", ":conflicts=key:size=20:updates=30:inserts=30:removals=30"},
    {"queue", ":merge=1"},
    {"queue", ":merge=1:items=1:work=0"},
};

/* Sets what ":k=v:k=v" says among the values of `params`. */
static void apply(const struct tm_param *params, const char *arguments, union tm_value *values) {
    char text[128];
    snprintf(text, sizeof text, "%s", arguments);
    char *rest = NULL;
    for (char *word = strtok_r(text, ":", &rest); word != NULL; word = strtok_r(NULL, ":", &rest)) {
        char *value = strchr(word, '='), why[CELL_WHY_SIZE] = "no such parameter";
        *value++ = '\0';
        unsigned i = 0;
        while (params[i].name != NULL && strcmp(params[i].name, word) != 0)
            i++;
        if (params[i].name == NULL ||
            !param_parse(&params[i], value, &values[i], why, sizeof why)) {
            fprintf(stderr, "conformance: %s: %s\n", word, why);
            exit(2);
        }
    }
}

/* Why this engine cannot run on this machine, or NULL. */
static const char *unavailable(const struct tm_engine *engine, const struct machine *machine) {
    if (!machine->simulated || !engine->transactional_hardware)
        return engine->unavailable();
    static struct machine_description description; /* of simulated_profile; read once */
    static const struct machine *described;
    char why[CELL_WHY_SIZE];
    if (described != machine &&
        !machine->describe(simulated_profile, NULL, 0, &description, why, sizeof why))
        return "the profile cannot be read";
    described = machine;
    return description.htm_unavailable[0] != '\0' ? description.htm_unavailable : NULL;
}

/* What is not tested is said once. */
static void tell_unavailable(const struct tm_engine *engine, const struct machine *machine,
                             const char *reason) {
    static char told[32][NAME_SIZE];
    char line[NAME_SIZE];
    snprintf(line, sizeof line, "# skipped: %.30s on %.16s: %.60s", engine->name, machine->name,
             reason);
    for (unsigned i = 0; i < sizeof told / sizeof *told; i++) {
        if (strcmp(told[i], line) == 0)
            return;
        if (told[i][0] == '\0') {
            memcpy(told[i], line, sizeof line);
            fprintf(stderr, "%s\n", line);
            return;
        }
    }
}

/* Adds the tests of this workload on this engine with these options, for 1, 2 and 4 threads. */
static void add_tests(const char *workload, const char *arguments, const char *engine,
                      const union tm_value *options, const char *option_text,
                      const struct machine *machine) {
    const struct tm_engine *variant = engine_variant(engine, options);
    const struct tm_cell *cell =
        variant == NULL ? NULL : cell_find(workload, engine, variant->variant, machine->name);
    if (cell == NULL || machine->unavailable() != NULL)
        return;
    const char *reason = unavailable(variant, machine);
    if (reason != NULL) {
        tell_unavailable(variant, machine, reason);
        return;
    }
    const char *name = is_conformance(cell->workload) ? workload + sizeof prefix - 1 : workload;
    for (unsigned threads = 1; threads <= 4; threads *= 2) {
        if (threads > variant->max_threads || (variant->unsafe && threads > 1))
            continue;
        const bool slow = machine->simulated && variant->transactional_hardware;
        const bool chosen = option_text[0] != '\0';
        if (slow && (chosen || !is_conformance(cell->workload)) && threads < 4)
            continue;
        if (slow && chosen && !is_conformance(cell->workload))
            continue;
        if (test_count == TESTS_MAX) {
            fprintf(stderr, "conformance: more than %d tests\n", TESTS_MAX);
            exit(2);
        }
        struct test *t = &tests[test_count++];
        *t = (struct test){.cell = cell, .machine = machine, .threads = threads, .ops_factor = 1};
        t->one_seed = slow && chosen;
        snprintf(t->name, sizeof t->name, "%.24s%.40s/%.16s%.32s/threads:%u%s%.16s", name,
                 arguments, engine, option_text, threads,
                 strcmp(machine->name, "native") == 0 ? "" : "/",
                 strcmp(machine->name, "native") == 0 ? "" : machine->name);
        params_default(cell->workload->params, t->args);
        apply(cell->workload->params, arguments, t->args);
        if (options != NULL)
            memcpy(t->options, options, sizeof t->options);
        set_environment(t, variant);
    }
}

/* Does the conformance test run for a time instead of a number of operations? */
static bool by_time(const char *workload) {
    const struct tm_workload *found = NULL;
    for (const struct tm_cell *const *c = cells_all(); *c != NULL && found == NULL; c++)
        if (strcmp((*c)->workload->name, workload) == 0)
            found = (*c)->workload;
    const struct tm_param *params = found == NULL ? NULL : found->params;
    for (unsigned i = 0; params != NULL && params[i].name != NULL; i++)
        if (strcmp(params[i].name, "interval_ms") == 0)
            return true;
    return false;
}

/* Default options, and every other choice of every option that is a choice. */
static void add_engine(const char *workload, const char *arguments, const struct tm_engine *engine,
                       const struct machine *machine) {
    union tm_value defaults[VALUES_MAX] = {{0}};
    params_default(engine->options, defaults);
    add_tests(workload, arguments, engine->name, defaults, "", machine);
    for (unsigned i = 0; engine->options != NULL && engine->options[i].name != NULL; i++) {
        const struct tm_param *p = &engine->options[i];
        for (unsigned c = 0; p->type == TM_CHOICE && c < choice_count(p->choices); c++) {
            if (c == defaults[i].choice)
                continue;
            if (machine->simulated && engine->transactional_hardware && by_time(workload))
                continue;
            union tm_value options[VALUES_MAX];
            memcpy(options, defaults, sizeof options);
            options[i].choice = c;
            char value[32], text[80];
            choice_text(p->choices, c, value, sizeof value);
            snprintf(text, sizeof text, ":%s=%s", p->name, value);
            add_tests(workload, arguments, engine->name, options, text, machine);
        }
    }
}

static void add_arguments(const char *workload, const char *arguments) {
    const char *last_engine = "";
    for (const struct tm_engine *const *e = engines_all(); *e != NULL; e++) {
        if (strcmp((*e)->name, last_engine) == 0)
            continue;
        last_engine = (*e)->name;
        for (const struct machine *const *m = machines_all(); *m != NULL; m++)
            add_engine(workload, arguments, *e, *m);
    }
}

/* Default parameters, every other choice of every parameter that is a choice, and combinations. */
static void add_workload(const struct tm_workload *workload) {
    const char *name = workload->name + (is_conformance(workload) ? sizeof prefix - 1 : 0);
    if (only_test != NULL && (strncmp(only_test, name, strlen(name)) != 0 ||
                              strchr(":/", only_test[strlen(name)]) == NULL))
        return;
    union tm_value defaults[VALUES_MAX] = {{0}};
    params_default(workload->params, defaults);
    add_arguments(workload->name, "");
    for (unsigned i = 0; workload->params != NULL && workload->params[i].name != NULL; i++) {
        const struct tm_param *p = &workload->params[i];
        for (unsigned c = 0; p->type == TM_CHOICE && c < choice_count(p->choices); c++) {
            if (c == defaults[i].choice)
                continue;
            char value[32], text[80];
            choice_text(p->choices, c, value, sizeof value);
            snprintf(text, sizeof text, ":%.32s=%s", p->name, value);
            add_arguments(workload->name, text);
        }
    }
    for (size_t i = 0; i < sizeof combinations / sizeof *combinations; i++)
        if (strcmp(combinations[i].workload, workload->name) == 0)
            add_arguments(workload->name, combinations[i].arguments);
}

static void enumerate(void) {
    const char *last = "";
    for (const struct tm_cell *const *c = cells_all(); *c != NULL; c++) { /* sorted by workload */
        if (strcmp((*c)->workload->name, last) != 0)
            add_workload((*c)->workload);
        last = (*c)->workload->name;
    }
}

static int run_one(const char *name) {
    for (size_t i = 0; i < test_count; i++)
        if (strcmp(tests[i].name, name) == 0) {
            char why[CELL_WHY_SIZE] = "";
            if (run_here(&tests[i], why))
                return 0;
            fprintf(stderr, "%s\n", why);
            return 1;
        }
    fprintf(stderr, "conformance: no test is called %s; --list shows them\n", name);
    return 2;
}

static bool wanted(const char *name, int filters, char **filter) {
    for (int i = 0; i < filters; i++)
        if (strstr(name, filter[i]) != NULL)
            return true;
    return filters == 0;
}

/* Takes `--seed N` and `--seeds N` from the front of the arguments; false when N is no number. */
static bool take_seeds(int *argc, char **argv) {
    while (*argc > 1 && (strcmp(argv[1], "--seed") == 0 || strcmp(argv[1], "--seeds") == 0)) {
        char *end = NULL;
        errno = 0;
        const unsigned long long n = *argc > 2 ? strtoull(argv[2], &end, 10) : 0;
        if (n == 0 || n > 1000000000 || *end != '\0' || argv[2][0] == '-')
            return false;
        *(strcmp(argv[1], "--seed") == 0 ? &only_seed : &first_seeds) = n;
        memmove(argv + 1, argv + 3, (size_t)(*argc - 2) * sizeof *argv);
        *argc -= 2;
    }
    return true;
}

int main(int argc, char **argv) {
    runs = mmap(NULL, (TESTS_MAX + 1) * sizeof *runs, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (runs == MAP_FAILED) {
        perror("conformance: mmap");
        return 1;
    }
    this_run = &runs[TESTS_MAX];
    if (!take_seeds(&argc, argv)) {
        fprintf(stderr, "conformance: --seed and --seeds need a number from 1 to 1000000000\n");
        return 2;
    }
    if (argc == 3 && strcmp(argv[1], "--one") == 0)
        only_test = argv[2];
    enumerate();
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < test_count; i++)
            puts(tests[i].name);
        return 0;
    }
    if (only_test != NULL)
        return run_one(only_test);
    if (argc > 1 && argv[1][0] == '-') {
        fprintf(stderr,
                "conformance: unknown option %s; use [--seed N | --seeds N] [FILTER...], --list or "
                "--one NAME\n",
                argv[1]);
        return 2;
    }
    static struct CMUnitTest unit[TESTS_MAX + 1];
    size_t n = 0;
    for (int simulated = 0; simulated < 2; simulated++)
        for (size_t i = 0; i < test_count; i++)
            if (tests[i].machine->simulated == simulated &&
                wanted(tests[i].name, argc - 1, argv + 1)) {
                order[n] = &tests[i];
                unit[n++] = (struct CMUnitTest){
                    .name = tests[i].name, .test_func = test_cell, .initial_state = &tests[i]};
            }
    if (wanted("probes_catch_a_broken_engine", argc - 1, argv + 1))
        unit[n++] = (struct CMUnitTest)cmocka_unit_test(test_probes_catch_a_broken_engine);
    if (n == 0) {
        fprintf(stderr, "conformance: no test matches; --list shows the names\n");
        return 2;
    }
    const int failed = _cmocka_run_group_tests("conformance", unit, n, NULL, NULL);
    printf("conformance: %zu tests ran, %d failed\n", n, failed);
    return failed == 0 ? 0 : 1;
}
