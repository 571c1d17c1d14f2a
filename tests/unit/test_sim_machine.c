/*
 * The simulated machine's threads, order and operating system, seen from its interface: functions
 * that run on simulated threads call it as an engine would.  They are not instrumented, so what
 * they do between two calls takes no time, and each figure can be told beforehand.
 */
#include "cell.h"
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "simulated_only.h"

#ifndef NO_SIMULATED_MACHINE

/* The machine's own functions, under the names that the build gives them. */
void machine_yield__sim(void);
void machine_cpu_relax__sim(void);
void *machine_alloc__sim(size_t bytes);
void *machine_alloc_aligned__sim(size_t bytes, size_t align);
void machine_free__sim(void *p);
int machine_pipe__sim(int fds[2], size_t capacity_bytes, bool nonblocking);
ssize_t machine_write__sim(int fd, const void *buffer, size_t bytes);
ssize_t machine_read__sim(int fd, void *buffer, size_t bytes);
void machine_close__sim(int fd);

enum { THREADS_MAX = 64 };

static const struct machine *machine;

/* One socket of `cores` single cores, with the figures that the tests count on. */
static void open_with(unsigned cores, uint64_t seed, const char *more) {
    char count[64], why[256] = "";
    snprintf(count, sizeof count, "cores_per_group=%u", cores);
    const char *const overrides[] = {
        "sockets=1",
        "groups_per_socket=1",
        count,
        "smt=1",
        "syscall=100",
        "context_switch=1000",
        "wake=3000",
        "wake_deep=30000",
        "deep_idle=1000000",
        "time_slice=20000",
        "tick=10000",
        "tick_cost=200",
        more,
    };
    const size_t n = sizeof overrides / sizeof *overrides - (more == NULL);
    if (!machine->open("i7-4770", overrides, n, seed, why, sizeof why))
        fail_msg("%s", why);
}

/* ---- threads ------------------------------------------------------------------------------- */

struct worker {
    unsigned index;
    void (*fn)(struct worker *);
    void *shared;
    uint64_t start_ns, end_ns, cpu_ns;
    uint64_t found;
};

static void worker_main(void *argument) {
    struct worker *w = argument;
    w->start_ns = machine->now_ns();
    w->fn(w);
    w->end_ns = machine->now_ns();
    w->cpu_ns = machine->cpu_ns();
}

static void run_all(struct worker *workers, unsigned n, void (*const *fn)(struct worker *),
                    unsigned kinds, void *shared) {
    struct machine_thread *threads[THREADS_MAX];
    for (unsigned i = 0; i < n; i++) {
        workers[i] = (struct worker){.index = i, .fn = fn[i % kinds], .shared = shared};
        threads[i] = machine->spawn(i, worker_main, &workers[i]);
        assert_non_null(threads[i]);
        assert_int_equal(workers[i].start_ns, 0); /* spawn runs nothing */
    }
    for (unsigned i = 0; i < n; i++)
        machine->join(threads[i]);
}

static void pause_for(uint64_t ns) {
    const uint64_t end = machine->now_ns() + ns;
    while (machine->now_ns() < end)
        machine_cpu_relax__sim();
}

static void pauses(struct worker *w) {
    (void)w;
    pause_for(100000);
}

/* As many threads as processors run at the same time; twice as many take twice as long. */
static void test_threads_share_processors(void **state) {
    (void)state;
    for (unsigned n = 1; n <= 8; n *= 2) {
        struct worker workers[THREADS_MAX];
        open_with(4, 1, NULL);
        run_all(workers, n, (void (*const[])(struct worker *)){pauses}, 1, NULL);
        uint64_t last = 0;
        for (unsigned i = 0; i < n; i++) {
            if (workers[i].end_ns > last)
                last = workers[i].end_ns;
            assert_true(workers[i].cpu_ns <= workers[i].end_ns - workers[i].start_ns + 10);
        }
        /* Pauses end by the clock, so a thread that waited for its processor pauses less. */
        assert_in_range(last, 100000, 100000 + 1100 + 30000);
        if (n == 8) {
            uint64_t busy = 0;
            for (unsigned i = 0; i < n; i++)
                busy += workers[i].cpu_ns;
            assert_in_range(busy, 4 * 80000, 4 * 125000);
        }
        machine->close();
    }
}

static void pauses_often(struct worker *w) {
    (void)w;
    for (unsigned i = 0; i < 20000; i++)
        machine_cpu_relax__sim();
}

/* A tick each 10 us takes 200 ns, also from somebody who does nothing but pause. */
static void test_ticks_take_time(void **state) {
    (void)state;
    struct worker with, without;
    open_with(1, 1, NULL);
    run_all(&with, 1, (void (*const[])(struct worker *)){pauses_often}, 1, NULL);
    struct machine_counters counters;
    machine->counters(&counters);
    assert_int_equal(counters.context_switches, 0);
    machine->close();
    open_with(1, 1, "tick=1000ms");
    run_all(&without, 1, (void (*const[])(struct worker *)){pauses_often}, 1, NULL);
    machine->close();
    const uint64_t pure = 20000 * 9 * 10 / 34; /* 9 cycles each, at 3.4 GHz */
    assert_in_range(without.end_ns - without.start_ns, pure, pure + 50);
    assert_in_range(with.end_ns - with.start_ns, pure + 5 * 200, pure + 6 * 200 + 50);
}

/* ---- waiting and waking -------------------------------------------------------------------- */

struct baton {
    _Atomic uint32_t word;
    uint64_t written_ns;
};

static void waits(struct worker *w) {
    struct baton *b = w->shared;
    while (b->word == 0)
        w->found = machine->wait(&b->word, 0, UINT64_MAX);
}

static void wakes(struct worker *w) {
    struct baton *b = w->shared;
    pause_for(20000);
    b->word = 1;
    b->written_ns = machine->now_ns();
    machine->wake(&b->word, 1);
}

static void test_wake_up_takes_its_time(void **state) {
    (void)state;
    struct worker workers[2];
    struct baton baton = {0, 0};
    open_with(2, 3, NULL);
    run_all(workers, 2, (void (*const[])(struct worker *)){waits, wakes}, 2, &baton);
    machine->close();
    assert_true(workers[0].found);
    /* The call, then 3 us; the clock itself is read for some ten ns. */
    assert_in_range(workers[0].end_ns - baton.written_ns, 3100, 3200);
    /* It slept, so it was on its processor for the calls and the way back only. */
    assert_true(workers[0].cpu_ns < 1000);

    struct baton deep = {0, 0};
    open_with(2, 3, "deep_idle=5000");
    run_all(workers, 2, (void (*const[])(struct worker *)){waits, wakes}, 2, &deep);
    machine->close();
    assert_in_range(workers[0].end_ns - deep.written_ns, 30100, 30200);
}

static void waits_in_vain(struct worker *w) {
    struct baton *b = w->shared;
    w->found = machine->wait(&b->word, 0, 40000) ? 1 : 2;
    w->found += machine->wait(&b->word, 7, 40000) ? 10 : 20; /* the word is another one */
}

static void test_time_outs(void **state) {
    (void)state;
    struct worker worker;
    struct baton baton = {0, 0};
    open_with(2, 5, NULL);
    run_all(&worker, 1, (void (*const[])(struct worker *)){waits_in_vain}, 1, &baton);
    machine->close();
    assert_int_equal(worker.found, 12);
    assert_in_range(worker.end_ns - worker.start_ns, 43000, 43600);
}

/* ---- preemption ---------------------------------------------------------------------------- */

/* A spin lock without any way to sleep: only preemption of the waiting thread gets it freed. */
static void spins(struct worker *w) {
    struct baton *b = w->shared;
    while (atomic_exchange(&b->word, 1) != 0)
        machine_cpu_relax__sim();
    pause_for(50000); /* longer than a slice: the holder is preempted, too */
    atomic_store(&b->word, 0);
    w->found = 1;
}

static void test_lock_holders_are_preempted(void **state) {
    (void)state;
    struct worker workers[3];
    struct baton baton = {0, 0};
    open_with(1, 7, NULL);
    run_all(workers, 3, (void (*const[])(struct worker *)){spins}, 1, &baton);
    struct machine_counters counters;
    machine->counters(&counters);
    machine->close();
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(workers[i].found, 1);
    assert_true(counters.context_switches >= 6);
}

static void yields(struct worker *w) {
    unsigned *turn = w->shared;
    for (unsigned i = 0; i < 10; i++) {
        w->found += *turn == w->index; /* in turns, from the first on */
        *turn = (*turn + 1) % 2;
        machine_yield__sim();
    }
}

static void test_yield_goes_around(void **state) {
    (void)state;
    struct worker workers[2];
    unsigned turn = 0;
    open_with(1, 1, "tick=1000000000");
    run_all(workers, 2, (void (*const[])(struct worker *)){yields}, 1, &turn);
    machine->close();
    assert_int_equal(workers[0].found, 10);
    assert_int_equal(workers[1].found, 10);
}

/* The processor whose thread has ended pulls one that waits elsewhere. */
static void long_if_even(struct worker *w) { pause_for(w->index % 2 == 0 ? 100000 : 1000); }

static void test_idle_processors_pull(void **state) {
    (void)state;
    struct worker workers[4];
    open_with(2, 1, NULL); /* 0 and 2 start on the same one */
    run_all(workers, 4, (void (*const[])(struct worker *)){long_if_even}, 1, NULL);
    machine->close();
    for (unsigned i = 0; i < 4; i += 2)
        assert_true(workers[i].cpu_ns > 90000);
}

/* ---- pipes --------------------------------------------------------------------------------- */

enum { PIPE_TOTAL = 100000 };

struct channel {
    int fds[2];
};

static void writes_all(struct worker *w) {
    struct channel *c = w->shared;
    unsigned char piece[3000];
    for (unsigned done = 0; done < PIPE_TOTAL; done += sizeof piece) {
        const unsigned left = PIPE_TOTAL - done;
        const size_t n = left < sizeof piece ? left : sizeof piece;
        for (size_t i = 0; i < n; i++)
            piece[i] = (unsigned char)((done + i) % 251);
        assert_int_equal(machine_write__sim(c->fds[1], piece, n), n);
    }
    machine_close__sim(c->fds[1]);
}

static void reads_all(struct worker *w) {
    struct channel *c = w->shared;
    unsigned char piece[777];
    ssize_t n;
    while ((n = machine_read__sim(c->fds[0], piece, sizeof piece)) > 0)
        for (ssize_t i = 0; i < n; i++)
            w->found += piece[i] == (unsigned char)(w->found % 251);
    assert_int_equal(n, 0); /* the writing end is closed */
}

static void test_pipes(void **state) {
    (void)state;
    struct worker workers[2];
    struct channel channel;
    char byte[8192] = {0};
    open_with(2, 1, NULL);
    assert_int_equal(machine_pipe__sim(channel.fds, 4096, false), 0);
    run_all(workers, 2, (void (*const[])(struct worker *)){writes_all, reads_all}, 2, &channel);
    assert_int_equal(workers[1].found, PIPE_TOTAL);
    machine_close__sim(channel.fds[0]);

    assert_int_equal(machine_pipe__sim(channel.fds, 4096, true), 0);
    assert_int_equal(machine_read__sim(channel.fds[0], byte, 1), -11 /* EAGAIN */);
    assert_int_equal(machine_write__sim(channel.fds[1], byte, 4000), 4000);
    assert_int_equal(machine_write__sim(channel.fds[1], byte, 100), -11); /* all or nothing */
    assert_int_equal(machine_write__sim(channel.fds[1], byte, 5000), 96);
    assert_int_equal(machine_read__sim(channel.fds[0], byte, sizeof byte), 4096);
    machine_close__sim(channel.fds[0]);
    assert_int_equal(machine_write__sim(channel.fds[1], byte, 1), -32 /* EPIPE */);
    machine_close__sim(channel.fds[1]);
    assert_int_equal(machine_write__sim(channel.fds[1], byte, 1), -9 /* EBADF */);
    machine->close();
}

/* ---- memory -------------------------------------------------------------------------------- */

static void test_memory_is_reused(void **state) {
    (void)state;
    enum { N = 500 };
    static void *block[N];
    static const size_t sizes[] = {1, 24, 25, 120, 1016, 1017, 5000, 16000, 17000, 100000};
    open_with(1, 1, NULL);
    uint64_t first_round = 0;
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 0; i < N; i++) {
            const size_t size = sizes[(i + round) % (sizeof sizes / sizeof *sizes)];
            block[i] =
                i % 7 == 3 ? machine_alloc_aligned__sim(size, 128) : machine_alloc__sim(size);
            assert_non_null(block[i]);
            assert_int_equal((uintptr_t)block[i] % (i % 7 == 3 ? 128 : 16), 0);
            memset(block[i], (int)i, size);
        }
        for (unsigned i = 0; i < N; i++) { /* nobody wrote into somebody else's */
            const size_t size = sizes[(i + round) % (sizeof sizes / sizeof *sizes)];
            const unsigned char *p = block[i];
            assert_int_equal(p[0], (unsigned char)i);
            assert_int_equal(p[size - 1], (unsigned char)i);
        }
        for (unsigned i = 0; i < N; i++)
            machine_free__sim(block[i]);
        if (round == 0)
            first_round = machine->resident_bytes();
    }
    assert_true(machine->resident_bytes() <= first_round * 3 / 2);
    machine->close();
    open_with(1, 1, NULL);
    void *p = machine_alloc__sim(100);
    machine->close();
    open_with(1, 1, NULL); /* the same address, and what was there is gone */
    assert_ptr_equal(machine_alloc__sim(100), p);
    assert_int_equal(*(unsigned char *)p, 0);
    machine->close();
}

/* ---- determinism --------------------------------------------------------------------------- */

static void mixture(struct worker *w) {
    struct baton *b = w->shared;
    for (unsigned i = 0; i < 50; i++) {
        pause_for(100 * (w->index + 1));
        w->found = w->found * 31 + atomic_fetch_add(&b->word, 1);
        if (i % 5 == w->index % 5)
            machine->wait(&b->word, b->word, 3000);
        machine->wake(&b->word, 1);
    }
}

static uint64_t fingerprint(uint64_t seed) {
    struct worker workers[12];
    struct baton baton = {0, 0};
    uint64_t print = 0;
    open_with(5, seed, NULL);
    run_all(workers, 12, (void (*const[])(struct worker *)){mixture}, 1, &baton);
    for (unsigned i = 0; i < 12; i++)
        print = ((print * 31 + workers[i].found) * 31 + workers[i].end_ns) * 31 + workers[i].cpu_ns;
    machine->close();
    return print;
}

static void test_seeds_decide_everything(void **state) {
    (void)state;
    unsigned different = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        const uint64_t print = fingerprint(seed);
        assert_int_equal(print, fingerprint(seed));
        different += print != fingerprint(seed + 1);
    }
    assert_int_equal(different, 5);
}

/* ---- policies ------------------------------------------------------------------------------ */

/* Asked, counts, and lets the last one go on as long as there is one. */
struct last_first {
    uint64_t asked, most;
};

static size_t choose_last(void *context, struct sim_cpu *const *runnable, size_t n) {
    struct last_first *l = context;
    l->asked++;
    if (n > l->most)
        l->most = n;
    for (size_t i = 1; i < n; i++)
        assert_true(runnable[i - 1]->clock <= runnable[i]->clock);
    size_t highest = 0;
    for (size_t i = 0; i < n; i++)
        if (runnable[i]->number > runnable[highest]->number)
            highest = i;
    return highest;
}

static void notes_its_place(struct worker *w) {
    unsigned *place = w->shared;
    for (unsigned i = 0; i < 100; i++)
        machine_cpu_relax__sim();
    w->found = ++*place;
}

/* Who has the highest number runs to its end first, whatever the clocks say. */
static void test_policies_decide_who_runs(void **state) {
    (void)state;
    struct worker workers[4];
    struct last_first last = {0, 0};
    const struct sim_policy policy = {choose_last, &last};
    unsigned place = 0;
    open_with(4, 1, NULL);
    sim_set_policy(&policy);
    run_all(workers, 4, (void (*const[])(struct worker *)){notes_its_place}, 1, &place);
    sim_set_policy(NULL);
    machine->close();
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(workers[i].found, 4 - i);
    assert_int_equal(last.most, 4);
    assert_true(last.asked >= 400);
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void waits_for_ever(struct worker *w) {
    struct baton *b = w->shared;
    machine->wait(&b->word, 0, UINT64_MAX);
}

static void test_deadlock_is_told(void **state) {
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        struct worker workers[2];
        struct baton baton = {0, 0};
        dup2(fds[1], STDERR_FILENO);
        open_with(2, 1, NULL);
        run_all(workers, 2, (void (*const[])(struct worker *)){waits_for_ever}, 1, &baton);
        _exit(0);
    }
    close(fds[1]);
    char text[256] = "";
    const ssize_t n = read(fds[0], text, sizeof text - 1);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(fds[0]);
    assert_true(n > 0);
    assert_non_null(strstr(text, "deadlock: all of 2 threads sleep"));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
}

static void test_wrong_profiles_are_refused(void **state) {
    (void)state;
    char why[256] = "";
    assert_false(machine->open("no-such-machine", NULL, 0, 1, why, sizeof why));
    assert_true(strlen(why) > 10);
    const char *const wrong[] = {"l1.latency=fast"};
    why[0] = '\0';
    assert_false(machine->open("ideal", wrong, 1, 1, why, sizeof why));
    assert_true(strlen(why) > 10);
}

int main(void) {
    machine = machine_find("sim");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_share_processors),
        cmocka_unit_test(test_ticks_take_time),
        cmocka_unit_test(test_wake_up_takes_its_time),
        cmocka_unit_test(test_time_outs),
        cmocka_unit_test(test_lock_holders_are_preempted),
        cmocka_unit_test(test_yield_goes_around),
        cmocka_unit_test(test_idle_processors_pull),
        cmocka_unit_test(test_pipes),
        cmocka_unit_test(test_memory_is_reused),
        cmocka_unit_test(test_seeds_decide_everything),
        cmocka_unit_test(test_policies_decide_who_runs),
        cmocka_unit_test(test_deadlock_is_told),
        cmocka_unit_test(test_wrong_profiles_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
