/*
 * test_c7_soak.c - engine c7 under programs that allocate and free all the time: its memory stays
 * where it is, and nothing of the heap is lost.
 *
 *   test_c7_soak [SECONDS [FILTER]]    all loads whose name contains FILTER, in SECONDS altogether
 *
 * `make test` runs it for some twenty seconds; for minutes, by hand.  Each load runs with
 * commit=pause and commit=log, on one, two and four threads, in a process of its own.  Meanwhile
 * are sampled: the resident memory of the process (a frame that several segments map counts as
 * often), the memory behind the engine's frames, and the pages of the heap that are in use.  The
 * highest of each in the last third of the time may be larger than that in the half before by what
 * chance does only.  Behind it the workload verifies and frees everything, and then each unit of
 * the heap must be free: a leak of one object fails.
 */
#if defined(__SANITIZE_THREAD__)
#include <stdio.h>
/* This engine makes no claim that TSan could check. */
int main(void) {
    puts("0 passed, 0 failed, 1 skipped");
    return 0;
}
#else

#include "c7_inside.h"

#include <math.h>
#include <sys/stat.h>

#if defined(__SANITIZE_ADDRESS__)
enum { SANITIZED = 1, SECONDS = 12 };
#else
enum { SANITIZED = 0, SECONDS = 24 };
#endif

enum { HEAP_MB = 256, THREADS_MAX = 4, SAMPLES = 120, LOOP_OPS = 64, WHY_SIZE = 200 };

/* ---- the test's own loads
 *
 * Places that all threads share hold objects; a thread replaces the object at some place by a new
 * one.  So what one thread allocates another one frees.  Some executions are thrown away behind
 * their allocations.
 */

enum { PLACES = 64, THROWN_AWAY = 8 /* one of so many */ };

struct array {
    TM_HEADER;
    uint64_t word[];
};
typedef TM_REF(struct array) array_ref;

struct places {
    TM_HEADER;
    array_ref at[PLACES];
};
typedef TM_REF(struct places) places_ref;

static places_ref places;

/* Words of the next object. */
static uint64_t words_of_any_size(struct tm_rand *rng) {
    const uint64_t dice = tm_random_below(rng, 100);
    return 1 + (dice < 80   ? tm_random_below(rng, 32)
                : dice < 97 ? tm_random_below(rng, 256)
                            : tm_random_below(rng, 4096));
}
static uint64_t words_of_one_size(struct tm_rand *rng) {
    (void)rng;
    return 5;
}
static uint64_t words_of_huge_objects(struct tm_rand *rng) {
    return (UINT64_C(32) << 10) + tm_random_below(rng, 96 << 10); /* 256 KiB to 1 MiB */
}

/* Length at both ends; false: the object is not what was put there. */
static bool intact(struct tm_thread *self, array_ref array) {
    const uint64_t words = tm_get_at(array, word, 0);
    return words > 0 && tm_get_at(array, word, words - 1) == words;
}

/* Returns how many operations found something wrong. */
static TM_NOINLINE uint64_t replace(struct tm_thread *self, uint64_t (*size)(struct tm_rand *),
                                    uint64_t used, struct tm_rand *rng, uint64_t n) {
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t words = size(rng), place = tm_random_below(rng, used);
        _Atomic bool gives_up = tm_random_below(rng, THROWN_AWAY) == 0; /* in memory, not undone */
        bool good = false;
        atomic (self) {
            good = true;
            const array_ref new = tm_new_array(self, struct array, word, words);
            tm_set_at(new, word, 0, words);
            tm_set_at(new, word, words - 1, words);
            const array_ref old = tm_get_at(places, at, place);
            if (old != NULL) {
                good = intact(self, old);
                tm_free(self, old);
            }
            tm_set_at(places, at, place, new);
            if (atomic_exchange(&gives_up, false))
                tm_abort_restart(self);
        }
        wrong += !good;
    }
    return wrong;
}

/* ---- loads ----------------------------------------------------------------------------------- */

/* A workload of the matrix with settings, or one of the above. */
static const struct load {
    const char *name, *settings;
    uint64_t (*size)(struct tm_rand *); /* NULL: a workload */
    uint64_t places;
} loads[] = {
    {"intset", "kind=list:range=256:updates=100", NULL, 0},
    {"intset", "kind=tree:range=2048:updates=100", NULL, 0},
    {"intset", "kind=hash:range=2048:updates=100", NULL, 0},
    {"dict", "size=500:updates=0:inserts=50:removals=50", NULL, 0},
    {"dict", "size=500:updates=0:inserts=50:removals=50:conflicts=key", NULL, 0},
    {"eventloop", "work=0", NULL, 0},
    {"queue", "work=0:merge=1", NULL, 0},
    {"replace", "one size", words_of_one_size, PLACES},
    {"replace", "any size", words_of_any_size, PLACES},
    {"replace", "huge objects", words_of_huge_objects, 4},
};
enum { LOADS = sizeof loads / sizeof *loads };

static const unsigned thread_counts[] = {1, 2, 4};
enum { THREAD_COUNTS = sizeof thread_counts / sizeof *thread_counts };

struct soak {
    const struct load *load;
    const struct tm_workload *workload; /* NULL: one of the above */
    void *world;
    _Atomic bool over;
};

struct worker {
    struct soak *soak;
    unsigned index;
    pthread_t thread;
    uint64_t ops, wrong; /* read when it is joined */
};

static void *work(void *argument) {
    struct worker *worker = argument;
    struct soak *soak = worker->soak;
    struct tm_thread *self = tm_engine_descriptor.attach(worker->index, false);
    struct tm_rand rng = {worker->index + 1};
    while (!atomic_load(&soak->over)) {
        if (soak->workload != NULL)
            soak->workload->loop(self, soak->world, &rng, LOOP_OPS);
        else
            worker->wrong += replace(self, soak->load->size, soak->load->places, &rng, LOOP_OPS);
        worker->ops += LOOP_OPS;
    }
    if (soak->workload != NULL && soak->workload->leave != NULL)
        soak->workload->leave(self, soak->world);
    tm_engine_descriptor.detach(self);
    return NULL;
}

/* ---- what is measured ------------------------------------------------------------------------ */

enum { RESIDENT, FRAMES, HEAP, MEASURES };
static const struct measure {
    const char *what;
    double more; /* what chance does: so much of it, */
    double kib;  /* and so much besides */
} measures[MEASURES] = {
    [RESIDENT] = {"resident memory", 0.4, 1024},
    [FRAMES] = {"memory of the frames", 0.4, 1024},
    [HEAP] = {"heap in use", 0.4, 512},
};

enum { WARM_UP, BEFORE, LAST, WINDOWS };
struct highest {
    double kib[WINDOWS][MEASURES];
};

static double resident_kib(void) {
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        if (fscanf(f, "%*u %lu", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return 4.0 * (double)pages;
}

static double frames_kib(void) {
    struct stat status = {.st_blocks = 0};
    (void)fstat(tm_c7.fd, &status);
    return (double)status.st_blocks / 2;
}

static void sample(struct highest *highest, unsigned number) {
    const unsigned window = number < SAMPLES / 6       ? WARM_UP
                            : number < SAMPLES * 2 / 3 ? BEFORE
                                                       : LAST;
    const double now[MEASURES] = {
        [RESIDENT] = resident_kib(),
        [FRAMES] = frames_kib(),
        [HEAP] = 4.0 * heap_pages_taken(),
    };
    for (unsigned m = 0; m < MEASURES; m++)
        highest->kib[window][m] = fmax(highest->kib[window][m], now[m]);
}

/* False, and the reason in `why`, when memory grew. */
static bool bounded(const struct highest *highest, char *why) {
    for (unsigned m = 0; m < MEASURES; m++) {
        const double before = highest->kib[BEFORE][m], last = highest->kib[LAST][m];
        const double most = before * (1 + measures[m].more) + measures[m].kib;
        if (m == RESIDENT && SANITIZED) /* which keeps what was freed for a while */
            continue;
        if (last > most) {
            snprintf(why, WHY_SIZE, "%s grows: %.0f KiB, then %.0f KiB, at most %.0f KiB expected",
                     measures[m].what, before, last, most);
            return false;
        }
    }
    return true;
}

/* ---- one soak -------------------------------------------------------------------------------- */

static bool set_up(struct soak *soak, struct tm_thread *direct, unsigned threads, char *why) {
    if (soak->load->size != NULL) {
        places = tm_new(direct, struct places);
        return true;
    }
    const struct tm_cell *cell =
        cell_find(soak->load->name, "c7", tm_engine_descriptor.variant, "native");
    if (cell == NULL) {
        snprintf(why, WHY_SIZE, "there is no such workload");
        return false;
    }
    soak->workload = cell->workload;
    union tm_value args[16];
    params_default(cell->workload->params, args);
    char text[128];
    snprintf(text, sizeof text, "%s", soak->load->settings);
    for (char *rest = text, *setting; (setting = strsep(&rest, ":")) != NULL;) {
        const size_t length = strcspn(setting, "=");
        const struct tm_param *param = cell->workload->params;
        while (param->name != NULL &&
               (strncmp(param->name, setting, length) != 0 || param->name[length] != '\0'))
            param++;
        if (param->name == NULL || setting[length] != '=' ||
            !param_parse(param, setting + length + 1, &args[param - cell->workload->params], why,
                         WHY_SIZE))
            return false;
    }
    const struct tm_setup setup = {.args = args, .threads = threads, .seed = 5};
    soak->world = cell->workload->setup(direct, &setup, why, WHY_SIZE);
    return soak->world != NULL;
}

static bool tear_down(struct soak *soak, struct tm_thread *self, uint64_t ops, char *why) {
    bool ok = true;
    if (soak->workload != NULL) {
        ok = soak->workload->verify(self, soak->world, ops, why, WHY_SIZE);
        soak->workload->teardown(self, soak->world);
        return ok;
    }
    for (unsigned i = 0; i < PLACES; i++) {
        const array_ref array = tm_get_at(places, at, i);
        if (array != NULL && !intact(self, array))
            ok = false;
        tm_free(self, array);
    }
    tm_free(self, places);
    if (!ok)
        snprintf(why, WHY_SIZE, "an object is not what was put there");
    return ok;
}

/* Runs the load for so long; prints what it found. */
static bool run(const struct load *load, enum c7_commit commit, unsigned threads, double seconds) {
    struct soak soak = {.load = load};
    struct worker workers[THREADS_MAX];
    struct highest highest = {.kib = {{0}}};
    char why[WHY_SIZE] = "";
    engine_start(commit, threads, threads, HEAP_MB);
    struct tm_thread *direct = tm_engine_descriptor.attach(0, true);
    bool ok = set_up(&soak, direct, threads, why);
    uint64_t ops = 0, wrong = 0, begin = machine_now_ns();
    double took = 0;
    if (ok) {
        for (unsigned i = 0; i < threads; i++) {
            workers[i] = (struct worker){.soak = &soak, .index = i};
            assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        for (unsigned i = 0; i < SAMPLES; i++) {
            const uint64_t due = begin + (uint64_t)(seconds * 1e9 * (i + 1) / SAMPLES);
            for (uint64_t now; (now = machine_now_ns()) < due;) {
                const uint64_t left = due - now;
                const struct timespec t = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
                nanosleep(&t, NULL);
            }
            sample(&highest, i);
        }
        took = (double)(machine_now_ns() - begin) / 1e9;
        atomic_store(&soak.over, true);
        for (unsigned i = 0; i < threads; i++) {
            pthread_join(workers[i].thread, NULL);
            ops += workers[i].ops;
            wrong += workers[i].wrong;
        }
        ok = tear_down(&soak, direct, ops, why);
        if (ok && wrong > 0) {
            snprintf(why, WHY_SIZE, "%lu objects were not what was put there", wrong);
            ok = false;
        }
        const uint64_t live = heap_units_live();
        if (ok && live != 0) {
            snprintf(why, WHY_SIZE, "a leak: %lu units of the heap are not free at the end", live);
            ok = false;
        }
        ok = ok && bounded(&highest, why);
    }
    tm_engine_descriptor.detach(direct);
    tm_engine_descriptor.stop();
    printf("%s - %s:%s, commit=%s, %u threads: %.0f operations/s", ok ? "ok" : "not ok", load->name,
           load->settings, commit == C7_LOG ? "log" : "pause", threads,
           ok ? (double)ops / took : 0);
    for (unsigned m = 0; m < MEASURES; m++)
        printf(", %s %.0f -> %.0f KiB", measures[m].what, highest.kib[BEFORE][m],
               highest.kib[LAST][m]);
    printf("%s%s\n", *why != '\0' && !ok ? ": " : "", ok ? "" : why);
    return ok;
}

/* In a child: resident memory is that of this load alone, and a crash is one failure. */
static bool run_in_child(const struct load *load, enum c7_commit commit, unsigned threads,
                         double seconds) {
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        alarm((unsigned)(2 * seconds) + 30);
        const bool ok = run(load, commit, threads, seconds);
        fflush(NULL);
        _exit(ok ? 0 : 1);
    }
    int status = -1;
    const bool ended = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status);
    if (!ended)
        printf("not ok - %s:%s, commit=%s, %u threads: %s\n", load->name, load->settings,
               commit == C7_LOG ? "log" : "pause", threads,
               pid > 0 && WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "no process");
    return ended && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv) {
    char *end = NULL;
    const double seconds = argc > 1 ? strtod(argv[1], &end) : SECONDS;
    if (argc > 3 || (end != NULL && (*end != '\0' || end == argv[1])) || !(seconds > 0) ||
        seconds > 1e6) {
        fprintf(stderr, "test_c7_soak: usage: test_c7_soak [SECONDS [FILTER]], SECONDS above 0\n");
        return 2;
    }
    unsigned wanted = 0, passed = 0;
    bool runs[LOADS];
    for (unsigned i = 0; i < LOADS; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s:%s", loads[i].name, loads[i].settings);
        runs[i] = argc < 3 || strstr(name, argv[2]) != NULL;
        wanted += runs[i] ? 2 * THREAD_COUNTS : 0;
    }
    if (wanted == 0) {
        fprintf(stderr, "test_c7_soak: no load's name contains '%s'\n", argv[2]);
        return 2;
    }
    for (unsigned i = 0; i < LOADS; i++)
        for (unsigned c = 0; runs[i] && c < 2; c++)
            for (unsigned t = 0; t < THREAD_COUNTS; t++)
                passed += run_in_child(&loads[i], c == 0 ? C7_PAUSE : C7_LOG, thread_counts[t],
                                       seconds / wanted);
    printf("%u passed, %u failed\n", passed, wanted - passed);
    return passed == wanted ? 0 : 1;
}

#endif
