/*
 * c7_inside.h - lets a unit test step several threads of engine c7 through a conflict, one at a
 * time, and look into the engine meanwhile.
 *
 * A test has a director (the thread that runs the test) and actors, threads that are attached to
 * the engine and run a script.  A script calls `point(actor, n)`: it has come to point n and waits
 * there until the director lets it go.  Inside of a block it waits at safe points, as a program
 * does that allocates: commits may happen meanwhile, and an abort takes the script back to the
 * start of its block, so that the next point at which it is seen is an earlier one.  At a
 * `blind_point` it waits without safe points.  The director sees points in the order in which they
 * are reached: `expect_point(actor, n)`, `go(actor)`, `expect_blocked(actor)` (it is in the engine,
 * and waits for somebody), `expect_end(actor)` (its script is over; it stays attached until the
 * test stops the engine).  At most one actor is let go at a time, unless the
 * test is about two that meet, so every run takes the same way.
 *
 * The objects of the matrix carry the names of their cell (scripts/qualify); this file calls them
 * by those names.  Sanitizer builds have the plain variant of the engine, that of TSan none.
 */
#ifndef ALLCORES_C7_INSIDE_H
#define ALLCORES_C7_INSIDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TM_ENGINE c7
#define TM_MACHINE native
#if defined(__SANITIZE_ADDRESS__)
#define C7_PLAIN
#define C7_NAME(name) name##__c7_plain__native
#define C7_ADDRESSING "plain"
#else
#define C7_NAME(name) name##__c7__native
#define C7_ADDRESSING "gs"
#endif
#define tm_c7 C7_NAME(tm_c7)
#define tm_c7_attention C7_NAME(tm_c7_attention)
#define tm_c7_begin C7_NAME(tm_c7_begin)
#define tm_c7_commit C7_NAME(tm_c7_commit)
#define tm_c7_contend C7_NAME(tm_c7_contend)
#define tm_c7_enter C7_NAME(tm_c7_enter)
#define tm_c7_grow C7_NAME(tm_c7_grow)
#define tm_c7_plain_write C7_NAME(tm_c7_plain_write)
#define tm_c7_reshare C7_NAME(tm_c7_reshare)
#define tm_c7_write C7_NAME(tm_c7_write)
#define tm_alloc C7_NAME(tm_alloc)
#define tm_release C7_NAME(tm_release)
#define tm_block_retry C7_NAME(tm_block_retry)
#define tm_block_restart C7_NAME(tm_block_restart)
#define tm_checkpoint C7_NAME(tm_checkpoint)
#define tm_irrevocable C7_NAME(tm_irrevocable)
#define tm_engine_descriptor C7_NAME(tm_engine_descriptor)
#define machine_yield machine_yield__native
#define machine_now_ns machine_now_ns__native

#define TM_RESTARTS
#include "cell.h"
#include "c7/internal.h"

enum {
    ACTORS_MAX = 3,
    NOWHERE = -1,
    AT_END = -2,
    POINT_LIMIT_S = 10, /* an actor that does not come to its point by then hangs */
    BLOCKED_MS = 30,    /* one that is seen nowhere for so long is taken to be blocked */
    TEST_LIMIT_S = 100
};

/* ---- the engine ----------------------------------------------------------------------------- */

/* Which commit the tests run with: cmocka's initial state points to one. */
__attribute__((unused)) static enum c7_commit commits_by_pause = C7_PAUSE, commits_by_log = C7_LOG;

__attribute__((unused)) static enum c7_commit commit_of(void **state) {
    return *(const enum c7_commit *)*state;
}

static void pause_briefly(void) {
    const struct timespec t = {0, 20000};
    nanosleep(&t, NULL);
}

/* Starts the engine.  The test fails when it does not. */
__attribute__((unused)) static void engine_start(enum c7_commit commit, unsigned threads,
                                                 unsigned segments, unsigned heap_mb) {
    const struct tm_param *params = tm_engine_descriptor.options;
    union tm_value values[16];
    const unsigned n = params_default(params, values);
    char why[CELL_WHY_SIZE] = "", text[24];
    for (unsigned i = 0; i < n; i++) {
        const char *value = NULL;
        if (strcmp(params[i].name, "commit") == 0)
            value = commit == C7_LOG ? "log" : "pause";
        else if (strcmp(params[i].name, "addressing") == 0)
            value = C7_ADDRESSING;
        else if (strcmp(params[i].name, "segments") == 0)
            snprintf(text, sizeof text, "%u", segments), value = text;
        else if (strcmp(params[i].name, "heap_mb") == 0)
            snprintf(text, sizeof text, "%u", heap_mb), value = text;
        if (value != NULL && !param_parse(&params[i], value, &values[i], why, sizeof why))
            fail_msg("%s: %s", params[i].name, why);
    }
    if (!tm_engine_descriptor.start(values, threads, why, sizeof why))
        fail_msg("start: %s", why);
}

/* ---- the heap -------------------------------------------------------------------------------- */

/* Pages that are not free as pages: they have objects on them, or free slots. */
__attribute__((unused)) static uint32_t heap_pages_taken(void) {
    const uint32_t pages = tm_c7.end_page - tm_c7.first_page;
    uint32_t free_pages = 0;
    while (atomic_exchange(&tm_c7.heap_lock, 1) != 0)
        pause_briefly();
    for (unsigned order = 0; order < C7_ORDERS; order++)
        for (uint32_t run = tm_c7.run_free[order]; run != C7_NO_RUN; run = tm_c7.run_next[run])
            free_pages += UINT32_C(1) << order;
    atomic_store(&tm_c7.heap_lock, 0);
    return pages - free_pages;
}

/* Units that are neither on free pages, nor free slots, nor what is left of the segments' blocks:
 * those of objects.  Nobody runs a block meanwhile. */
__attribute__((unused)) static uint64_t heap_units_live(void) {
    uint64_t live = (uint64_t)heap_pages_taken() << (C7_PAGE_SHIFT - C7_UNIT_SHIFT);
    for (unsigned units = 0; units <= C7_SMALL_UNITS; units++)
        live -= (uint64_t)units * tm_c7.slots[units].count;
    for (unsigned i = 0; i <= tm_c7.segments; i++) {
        const struct c7_segment *s = &tm_c7.segment[i];
        live -= (s->block_end - s->next) >> C7_UNIT_SHIFT;
        for (unsigned units = 0; units <= C7_SMALL_UNITS; units++)
            live -= (uint64_t)units * s->slots[units].count;
    }
    return live;
}

/* ---- actors ---------------------------------------------------------------------------------- */

struct actor;
typedef void (*script)(struct actor *actor, struct tm_thread *self);

struct actor {
    unsigned index;
    script run;
    pthread_t thread;
    struct tm_thread *self;
    unsigned executions;                 /* of the block: scripts count them */
    uint64_t seen[4];                    /* what scripts have read, in executions that committed */
    uint64_t commits, aborts[TM_CAUSES]; /* the engine's counters at the end */
    struct tm_event last_abort;
    /* Turn-taking.  `arrivals` and `point` are written by the actor, `released` by the director. */
    _Atomic int point;
    _Atomic unsigned arrivals; /* points that it has come to */
    _Atomic unsigned released; /* it may leave the point of this arrival */
    unsigned expected;         /* the director's: arrivals that it has seen */
};

static struct actor actors[ACTORS_MAX];
static unsigned actor_count;
/* What an actor does before its first point, NULL: nothing. */
static script warm_up;

static unsigned arrive(struct actor *actor, int point) {
    atomic_store(&actor->point, point);
    return atomic_fetch_add(&actor->arrivals, 1) + 1;
}

/* A script has come to point `n`, and waits at safe points when it is in a block. */
__attribute__((unused)) static TM_NOINLINE void point(struct actor *actor, int n) {
    struct tm_thread *self = actor->self;
    const unsigned arrival = arrive(actor, n);
    while (atomic_load(&actor->released) < arrival) {
        pause_briefly();
        if (self->common.depth > 0)
            tm_safepoint(self);
    }
}

/* The same without safe points. */
__attribute__((unused)) static TM_NOINLINE void blind_point(struct actor *actor, int n) {
    const unsigned arrival = arrive(actor, n);
    while (atomic_load(&actor->released) < arrival)
        pause_briefly();
}

static void *actor_main(void *argument) {
    struct actor *actor = argument;
    struct tm_thread *self = tm_engine_descriptor.attach(actor->index, false);
    actor->self = self;
    if (warm_up != NULL)
        warm_up(actor, self);
    point(actor, 0);
    actor->run(actor, self);
    const struct tm_stats *stats = tm_engine_descriptor.stats(self);
    actor->commits = stats->commits;
    memcpy(actor->aborts, stats->aborts, sizeof actor->aborts);
    actor->last_abort = self->common.last_abort;
    point(actor, AT_END);
    tm_engine_descriptor.detach(self);
    return NULL;
}

/* Waits until the actor comes to its next point, at most so long; returns the point, or NOWHERE. */
__attribute__((unused)) static int next_point(struct actor *actor, unsigned ms) {
    const uint64_t end = machine_now_ns() + ms * UINT64_C(1000000);
    while (atomic_load(&actor->arrivals) == actor->expected) {
        if (machine_now_ns() > end)
            return NOWHERE;
        pause_briefly();
    }
    actor->expected++;
    assert_int_equal(atomic_load(&actor->arrivals), actor->expected);
    return atomic_load(&actor->point);
}

/* The next point of the actor is this one. */
#define expect_point(actor_, n_)                                                                   \
    do {                                                                                           \
        const int found_ = next_point((actor_), POINT_LIMIT_S * 1000);                             \
        if (found_ != (n_))                                                                        \
            fail_msg("actor %u came to point %d, expected %d (%d: its end, %d: it hangs)",         \
                     (actor_)->index, found_, (n_), AT_END, NOWHERE);                              \
    } while (0)

__attribute__((unused)) static void go(struct actor *actor) {
    atomic_store(&actor->released, actor->expected);
}

/* The actor goes on, and comes to this point. */
#define go_to(actor_, n_)                                                                          \
    do {                                                                                           \
        go(actor_);                                                                                \
        expect_point(actor_, n_);                                                                  \
    } while (0)

/* It does not come to a point: it waits in the engine. */
#define expect_blocked(actor_)                                                                     \
    do {                                                                                           \
        const int found_ = next_point((actor_), BLOCKED_MS);                                       \
        if (found_ != NOWHERE)                                                                     \
            fail_msg("actor %u came to point %d, expected it to wait", (actor_)->index, found_);   \
    } while (0)

/* The script is over. */
#define expect_end(actor_) expect_point(actor_, AT_END)

/* Actors with these scripts, attached; they stand in front of their first block. */
__attribute__((unused)) static void actors_start(unsigned count, const script *scripts) {
    actor_count = count;
    memset((void *)actors, 0, sizeof actors);
    for (unsigned i = 0; i < count; i++) {
        actors[i].index = i;
        actors[i].run = scripts[i];
        assert_int_equal(pthread_create(&actors[i].thread, NULL, actor_main, &actors[i]), 0);
        expect_point(&actors[i], 0);
    }
}

/* All actors have come to their ends: they leave, one behind the other. */
__attribute__((unused)) static void actors_leave(void) {
    for (unsigned i = 0; i < actor_count; i++) {
        assert_int_equal(atomic_load(&actors[i].point), AT_END);
        assert_int_equal(atomic_load(&actors[i].arrivals), actors[i].expected);
        go(&actors[i]);
        pthread_join(actors[i].thread, NULL);
    }
    actor_count = 0;
}

/* They leave, and the engine stops. */
__attribute__((unused)) static void stop(void) {
    actors_leave();
    tm_engine_descriptor.stop();
}

/* ---- all tests of a program --------------------------------------------------------------------
 */

/* Runs each test in a process of its own: one that fails leaves threads behind.  Only those whose
 * name contains argv[1], if there is one.  Returns how many failed; the children report in cmocka's
 * words, and for one that was killed this does. */
__attribute__((unused)) static int run_each(const char *group, const struct CMUnitTest *tests,
                                            size_t count, char **argv) {
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        if (argv[1] != NULL && strstr(tests[i].name, argv[1]) == NULL)
            continue;
        fflush(NULL);
        const pid_t pid = fork();
        if (pid == 0) {
            alarm(TEST_LIMIT_S);
            const int result = _cmocka_run_group_tests(group, &tests[i], 1, NULL, NULL);
            fflush(NULL);
            _exit(result == 0 ? 0 : 1);
        }
        int status = -1;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
            WEXITSTATUS(status) > 1) { /* cmocka's handlers exit, too */
            printf("[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] %s: %s\n", tests[i].name,
                   pid < 0               ? "no process"
                   : WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
                                         : "its process ended");
            failed++;
        } else if (WEXITSTATUS(status) != 0) {
            failed++;
        }
    }
    return failed;
}

#endif
