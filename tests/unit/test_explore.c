/*
 * Schedule exploration: litmus tests of the two memory models, with hooks called by hand as gcc
 * would, and the searches over them.  What a test counts is the set of outcomes that all schedules
 * together have.
 */
#include "cell.h"
#include "check_dpor.h"
#include "check_policies.h"
#include "machine.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "simulated_only.h"

#ifndef NO_SIMULATED_MACHINE

void __tsan_read8(void *p);
void __tsan_write8(void *p);
void __tsan_write4(void *p);
void __tsan_atomic_thread_fence(int order);
uint64_t __tsan_atomic64_exchange(volatile uint64_t *p, uint64_t v, int order);
uint64_t __tsan_atomic64_compare_exchange_val(volatile uint64_t *p, uint64_t expected, uint64_t v,
                                              int order, int failure);
void machine_cpu_relax__sim(void);
bool machine_wait__sim(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void machine_wake__sim(_Atomic uint32_t *word, unsigned n);
void machine_heavy_barrier__sim(void);
unsigned machine_tx_begin__sim(void);
void machine_tx_end__sim(void);
void machine_tx_abort__sim(unsigned code);
bool machine_tx_test__sim(void);
void *machine_alloc__sim(size_t bytes);
void machine_free__sim(void *p);

static const struct machine_explorer *x;

/* In tracked memory: the program's data. */
static volatile uint64_t a, b;
static _Atomic uint32_t word;
static uint64_t result[4]; /* not accessed through hooks */

static uint64_t load(volatile uint64_t *p) {
    __tsan_read8((void *)p);
    return *p;
}
static void store(volatile uint64_t *p, uint64_t v) {
    __tsan_write8((void *)p);
    *p = v;
}

static const struct explore_limits limits = {2000, 20000};

/* ---- running many schedules ----------------------------------------------------------------- */

typedef void body(void *);

static enum explore_verdict once(bool tso, const struct explore_policy *policy, body *const *bodies,
                                 unsigned n) {
    x->reset(tso);
    a = b = 0;
    word = 0;
    memset(result, 0, sizeof result);
    for (unsigned i = 0; i < n; i++)
        x->spawn(bodies[i], NULL);
    return x->run(policy, &limits);
}

/* Bit r0 + 2 r1 + ... of all outcomes (results are 0 or 1) of `runs` random schedules. */
static unsigned outcomes(bool tso, body *const *bodies, unsigned n, unsigned results, bool pct) {
    unsigned seen = 0;
    x->forget();
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct check_random walk;
        struct check_pct p;
        struct explore_policy policy = {.choose = check_random_choose, .context = &walk};
        if (pct) {
            policy = (struct explore_policy){.choose = check_pct_choose, .context = &p};
            check_pct_begin(&p, seed, 3, 8);
        } else {
            check_random_begin(&walk, seed);
        }
        assert_int_equal(once(tso, &policy, bodies, n), EXPLORE_DONE);
        unsigned outcome = 0;
        for (unsigned r = 0; r < results; r++)
            outcome |= (unsigned)result[r] << r;
        seen |= 1U << outcome;
    }
    return seen;
}

/* ---- litmus tests --------------------------------------------------------------------------- */

static void buffered_left(void *unused) {
    (void)unused;
    store(&a, 1);
    result[0] = load(&b);
}
static void buffered_right(void *unused) {
    (void)unused;
    store(&b, 1);
    result[1] = load(&a);
}
static body *const store_buffering[] = {buffered_left, buffered_right};

static void test_store_buffering_is_seen_under_tso_only(void **state) {
    (void)state;
    for (int pct = 0; pct < 2; pct++) {
        assert_int_equal(outcomes(false, store_buffering, 2, 2, pct), 0xe);
        assert_int_equal(outcomes(true, store_buffering, 2, 2, pct), 0xf);
    }
}

static void fenced_left(void *unused) {
    (void)unused;
    store(&a, 1);
    __tsan_atomic_thread_fence(__ATOMIC_SEQ_CST);
    result[0] = load(&b);
}
static void fenced_right(void *unused) {
    (void)unused;
    (void)__tsan_atomic64_exchange(&b, 1, __ATOMIC_RELAXED);
    result[1] = load(&a);
}

static void test_fences_and_locked_operations_empty_the_buffer(void **state) {
    (void)state;
    body *const both[] = {fenced_left, fenced_right};
    assert_int_equal(outcomes(true, both, 2, 2, false), 0xe);
    body *const one[] = {fenced_left, buffered_right};
    assert_int_equal(outcomes(true, one, 2, 2, false), 0xf);
}

static void barrier_left(void *unused) {
    (void)unused;
    store(&a, 1);
    machine_heavy_barrier__sim();
    result[0] = load(&b);
}

static void test_a_heavy_barrier_empties_all_buffers(void **state) {
    (void)state;
    body *const one[] = {barrier_left, buffered_right};
    assert_int_equal(outcomes(true, one, 2, 2, false), 0xe);
}

static void message_out(void *unused) {
    (void)unused;
    store(&a, 1);
    store(&b, 1);
}
static void message_in(void *unused) {
    (void)unused;
    result[0] = load(&b);
    result[1] = load(&a);
}

static void test_stores_arrive_in_order(void **state) {
    (void)state;
    body *const bodies[] = {message_out, message_in};
    /* Not: b = 1 and a = 0. */
    assert_int_equal(outcomes(true, bodies, 2, 2, false), 0xd);
}

/* A thread sees its own stores, of whatever size, also when it was switched out between. */
typedef volatile uint32_t __attribute__((may_alias)) half;
static void parts(void *unused) {
    (void)unused;
    store(&a, UINT64_C(0x1111111111111111));
    __tsan_write4((void *)&a);
    *(half *)&a = 0x22222222;
    result[0] = load(&a) == UINT64_C(0x1111111122222222);
    store(&a, UINT64_C(0x3333333333333333));
    (void)load(&b);
    result[1] = load(&a) == UINT64_C(0x3333333333333333);
    store(&b, 1);
}
static void onlooker(void *unused) {
    (void)unused;
    const uint64_t seen = load(&a);
    result[2] = seen == 0 || seen == UINT64_C(0x1111111111111111) ||
                seen == UINT64_C(0x1111111122222222) || seen == UINT64_C(0x3333333333333333);
    (void)load(&b);
}

static void test_own_stores_that_overlap(void **state) {
    (void)state;
    body *const bodies[] = {parts, onlooker};
    assert_int_equal(outcomes(true, bodies, 2, 3, false), 1U << 7);
    assert_int_equal(a, UINT64_C(0x3333333333333333));
}

/* ---- search --------------------------------------------------------------------------------- */

static unsigned search(body *const *bodies, unsigned n, unsigned results, unsigned bound,
                       unsigned *runs, bool *complete) {
    static struct check_dpor d;
    const struct explore_policy policy = {
        .choose = check_dpor_choose, .context = &d, .every = true};
    unsigned seen = 0;
    *runs = 0;
    check_dpor_begin(&d, bound);
    do {
        assert_int_equal(once(false, &policy, bodies, n), EXPLORE_DONE);
        unsigned outcome = 0;
        for (unsigned r = 0; r < results; r++)
            outcome |= (unsigned)result[r] << r;
        seen |= 1U << outcome;
        ++*runs;
    } while (check_dpor_next(&d));
    *complete = !d.bounded;
    return seen;
}

static void increments(void *unused) {
    (void)unused;
    store(&a, load(&a) + 1);
    result[3] = *(volatile uint64_t *)&a == 3;
}

static void test_the_search_finds_all_outcomes_of_few_schedules(void **state) {
    (void)state;
    unsigned runs;
    bool complete;
    assert_int_equal(search(store_buffering, 2, 2, UINT32_MAX, &runs, &complete), 0xe);
    assert_true(complete);
    assert_in_range(runs, 3, 4); /* of 6 interleavings, 3 differ */
    /* Without a preemption: one thread behind the other. */
    assert_int_equal(search(store_buffering, 2, 2, 0, &runs, &complete), 0x6);
    assert_false(complete);
    body *const three[] = {increments, increments, increments};
    (void)search(three, 3, 0, UINT32_MAX, &runs, &complete);
    assert_true(complete);
    /* 90 interleavings of two events each; those whose reads and writes are ordered alike are one.
     */
    assert_in_range(runs, 10, 90);
}

static void other_word(void *unused) {
    (void)unused;
    store(&b, 1);
    (void)load(&b);
    store(&b, 0);
}
static void this_word(void *unused) {
    (void)unused;
    store(&a, 1);
    (void)load(&a);
    store(&a, 0);
}

static void test_independent_threads_are_one_schedule(void **state) {
    (void)state;
    unsigned runs;
    bool complete;
    body *const bodies[] = {this_word, other_word};
    (void)search(bodies, 2, 0, UINT32_MAX, &runs, &complete);
    assert_int_equal(runs, 1);
    assert_true(complete);
}

/* ---- verdicts ------------------------------------------------------------------------------- */

static struct explore_choice by_default(void *context, const struct explore_view *view) {
    (void)context;
    return explore_default(view);
}
static const struct explore_policy usual = {.choose = by_default};

static void sleeper(void *unused) {
    (void)unused;
    (void)machine_wait__sim(&word, 0, UINT64_MAX);
}
static void waker(void *unused) {
    (void)unused;
    word = 1;
    machine_wake__sim(&word, 1);
}
static void impatient(void *unused) {
    (void)unused;
    result[0] = machine_wait__sim(&word, 0, 1000);
}
static void spinner(void *unused) {
    (void)unused;
    while (load(&a) == 0)
        machine_cpu_relax__sim();
}
static void spinner_without_pause(void *unused) {
    (void)unused;
    while (load(&a) == 0)
        ;
}
static void sets(void *unused) {
    (void)unused;
    store(&a, 1);
}

static void test_who_sleeps_for_ever_is_a_deadlock(void **state) {
    (void)state;
    body *const alone[] = {sleeper}, *const both[] = {sleeper, waker}, *const timed[] = {impatient};
    assert_int_equal(once(false, &usual, alone, 1), EXPLORE_DEADLOCK);
    assert_int_equal(once(false, &usual, both, 2), EXPLORE_DONE);
    assert_int_equal(once(false, &usual, timed, 1), EXPLORE_DONE);
    assert_false(result[0]);
}

static void test_who_spins_goes_on_when_the_others_have(void **state) {
    (void)state;
    body *const good[] = {spinner, sets}, *const bad[] = {spinner, spinner};
    body *const rude[] = {spinner_without_pause, sets};
    assert_int_equal(once(true, &usual, good, 2), EXPLORE_DONE);
    assert_int_equal(once(true, &usual, rude, 2), EXPLORE_DONE); /* by the fair continuation */
    assert_int_equal(once(true, &usual, bad, 2), EXPLORE_NO_END);
}

static uint64_t *object;
static void reads_object(void *unused) {
    (void)unused;
    (void)load(object);
}
static void frees_object(void *unused) {
    (void)unused;
    machine_free__sim(object);
}
static void reads_behind(void *unused) {
    (void)unused;
    (void)load(object + 2);
}
static void crashes(void *unused) {
    (void)unused;
    __builtin_trap();
}

static enum explore_verdict with_object(body *const *bodies, unsigned n) {
    x->reset(false);
    object = machine_alloc__sim(16);
    for (unsigned i = 0; i < n; i++)
        x->spawn(bodies[i], NULL);
    return x->run(&usual, &limits);
}

static void test_bad_accesses_end_the_run(void **state) {
    (void)state;
    size_t bytes = 0;
    const void *pc;
    char line[256];
    x->close(); /* cmocka has taken the signals */
    assert_true(x->open(line, sizeof line));
    body *const good[] = {reads_object, frees_object}, *const late[] = {frees_object, reads_object};
    body *const twice[] = {frees_object, frees_object}, *const behind[] = {reads_behind};
    body *const trap[] = {crashes};
    assert_int_equal(with_object(good, 1), EXPLORE_DONE);
    assert_int_equal(x->leaks(&bytes, &pc), 1);
    assert_int_equal(bytes, 16);
    assert_int_equal(with_object(good, 2), EXPLORE_DONE);
    assert_int_equal(x->leaks(&bytes, &pc), 0);
    assert_int_equal(with_object(late, 2), EXPLORE_FREED);
    x->explain(line, sizeof line);
    assert_non_null(strstr(line, "thread 1"));
    assert_int_equal(with_object(twice, 2), EXPLORE_FREED);
    assert_int_equal(with_object(behind, 1), EXPLORE_WILD);
    assert_int_equal(with_object(trap, 1), EXPLORE_CRASH);
    assert_int_equal(with_object(good, 2), EXPLORE_DONE); /* and goes on */
}

/* ---- hardware transactions ------------------------------------------------------------------ */

enum { ENDS = 6 }; /* what `ends` counts: commits, then aborts by status */
static unsigned ends[ENDS];
static unsigned status_seen;

static void counts(unsigned status) {
    status_seen = status;
    ends[status == MACHINE_TX_STARTED                         ? 0
         : status == (MACHINE_TX_CONFLICT | MACHINE_TX_RETRY) ? 1
         : status == MACHINE_TX_CAPACITY                      ? 2
         : (status & MACHINE_TX_EXPLICIT) != 0                ? 3
         : status == 0                                        ? 4
                                                              : 5]++;
}

/* Two stores in a transaction, again until they are made. */
static void writes_both(void *unused) {
    (void)unused;
    for (;;) {
        volatile unsigned depth = 0; /* on the stack: comes back with it */
        const unsigned status = machine_tx_begin__sim();
        if (status != MACHINE_TX_STARTED) {
            result[3] |= depth != 0;
            counts(status);
            continue;
        }
        depth = 1;
        store(&a, 1);
        store(&b, 1);
        machine_tx_end__sim();
        counts(MACHINE_TX_STARTED);
        return;
    }
}
static void reads_both(void *unused) {
    (void)unused;
    result[0] = load(&a);
    result[1] = load(&b);
}
static void reads_both_in_one(void *unused) {
    (void)unused;
    while (machine_tx_begin__sim() != MACHINE_TX_STARTED)
        ;
    const uint64_t first = load(&a), second = load(&b);
    result[2] |= first != second; /* noted by an execution that aborts later, too */
    machine_tx_end__sim();
    result[0] = first;
    result[1] = second;
}

static void test_a_transaction_is_seen_whole_or_not_at_all(void **state) {
    (void)state;
    body *const plain[] = {writes_both, reads_both}, *const both[] = {writes_both,
                                                                      reads_both_in_one};
    for (int tso = 0; tso < 2; tso++)
        for (int pct = 0; pct < 2; pct++) {
            memset(ends, 0, sizeof ends);
            /* 0 and 0, 0 and 1, 1 and 1; never 1 and 0, and no stack that was left as it was. */
            assert_int_equal(outcomes(tso != 0, plain, 2, 4, pct != 0), 1 << 0 | 1 << 2 | 1 << 3);
            assert_in_range(ends[1], 1, UINT_MAX); /* whoever asks wins */
            assert_int_equal(ends[0], 2000);
            /* A transaction sees both or none, and so does one that is thrown away later. */
            assert_int_equal(outcomes(tso != 0, both, 2, 4, pct != 0), 1 << 0 | 1 << 3);
            assert_in_range(ends[2], 1, UINT_MAX); /* injected */
            assert_in_range(ends[4], 1, UINT_MAX);
            assert_int_equal(ends[3], 0);
        }
}

static void increments_in_one(void *unused) {
    (void)unused;
    while (machine_tx_begin__sim() != MACHINE_TX_STARTED)
        ;
    store(&a, load(&a) + 1);
    machine_tx_end__sim();
    result[0] = *(volatile uint64_t *)&a == 3;
}
static void increments_locked(void *unused) {
    (void)unused;
    for (;;) {
        const uint64_t seen = load(&a);
        if (__tsan_atomic64_compare_exchange_val(&a, seen, seen + 1, 0, 0) == seen)
            break;
    }
    result[0] = *(volatile uint64_t *)&a == 3;
}

static void test_no_increment_is_lost(void **state) {
    (void)state;
    body *const bodies[] = {increments_in_one, increments_in_one, increments_locked};
    assert_int_equal(outcomes(true, bodies, 3, 1, false) & 2U, 2);
    assert_int_equal(a, 3);
    assert_int_equal(outcomes(true, bodies, 3, 1, true) & 2U, 2);
    assert_int_equal(a, 3);
}

/* The store before the transaction may still be in the buffer while it runs, not behind it. */
static void reads_inside(void *unused) {
    (void)unused;
    store(&a, 1);
    while (machine_tx_begin__sim() != MACHINE_TX_STARTED)
        ;
    machine_tx_end__sim();
    result[0] = load(&b);
}
static void keeps_what_it_saw(void *unused) {
    (void)unused;
    store(&a, 1);
    if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
        result[0] = load(&b); /* not tracked: survives the abort */
        machine_tx_abort__sim(7);
    }
}

static void fenced_other(void *unused) {
    (void)unused;
    (void)__tsan_atomic64_exchange(&b, 1, __ATOMIC_RELAXED);
    result[1] = load(&a);
}

static void test_an_abort_orders_nothing_and_a_commit_does(void **state) {
    (void)state;
    body *const aborted[] = {keeps_what_it_saw, fenced_other};
    body *const committed[] = {reads_inside, fenced_other};
    assert_int_equal(outcomes(true, aborted, 2, 2, false) & 1U, 1);
    assert_int_equal(outcomes(true, committed, 2, 2, false) & 1U, 0);
}

static enum explore_verdict alone(body *one) {
    body *const bodies[] = {one};
    memset(ends, 0, sizeof ends);
    return once(true, &usual, bodies, 1);
}

static void aborts_itself(void *unused) {
    (void)unused;
    store(&a, 5);
    const unsigned status = machine_tx_begin__sim();
    if (status == MACHINE_TX_STARTED) {
        store(&a, 6);
        store(&b, 6);
        result[0] = machine_tx_test__sim();
        machine_tx_abort__sim(9);
    }
    counts(status);
    result[1] = load(&a);
    result[2] = load(&b);
    result[3] = machine_tx_test__sim();
}
static void too_large(void *unused) {
    (void)unused;
    uint64_t *large = machine_alloc__sim(1 << 16);
    const unsigned status = machine_tx_begin__sim();
    if (status == MACHINE_TX_STARTED) {
        for (unsigned i = 0; i < 1 << 13; i++)
            store(large + i, i);
        machine_tx_end__sim();
    }
    counts(status);
    machine_free__sim(large);
}
static void pauses_inside(void *unused) {
    (void)unused;
    const unsigned status = machine_tx_begin__sim();
    if (status == MACHINE_TX_STARTED) {
        machine_cpu_relax__sim();
        machine_tx_end__sim();
    }
    counts(status);
}
static void calls_inside(void *unused) {
    (void)unused;
    const unsigned status = machine_tx_begin__sim();
    if (status == MACHINE_TX_STARTED) {
        machine_wake__sim(&word, 1);
        machine_tx_end__sim();
    }
    counts(status);
}
static void allocates_and_aborts(void *unused) {
    (void)unused;
    if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
        object = machine_alloc__sim(16);
        machine_free__sim(machine_alloc__sim(16));
        machine_tx_abort__sim(1);
    }
}
static void frees_and_aborts(void *unused) {
    (void)unused;
    uint64_t *mine = machine_alloc__sim(16);
    if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
        machine_free__sim(mine);
        machine_tx_abort__sim(1);
    }
    store(mine, 1); /* still there */
    if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
        machine_free__sim(mine);
        machine_tx_end__sim();
    }
    store(mine, 1); /* not any more */
}
static void nests(void *unused) {
    (void)unused;
    const unsigned status = machine_tx_begin__sim();
    if (status == MACHINE_TX_STARTED) {
        (void)machine_tx_begin__sim();
        store(&a, 6);
        machine_tx_end__sim();
        result[0] = machine_tx_test__sim();
        (void)machine_tx_begin__sim();
        machine_tx_abort__sim(2);
    }
    counts(status);
    result[1] = load(&a);
}
static void ends_without_begin(void *unused) {
    (void)unused;
    machine_tx_end__sim();
}

static void test_what_aborts_and_what_is_undone(void **state) {
    (void)state;
    size_t bytes;
    const void *pc;
    assert_int_equal(alone(aborts_itself), EXPLORE_DONE);
    assert_int_equal(status_seen, MACHINE_TX_EXPLICIT | 9U << MACHINE_TX_CODE_SHIFT);
    assert_true(result[0] == 1 && result[1] == 5 && result[2] == 0 && result[3] == 0);
    assert_int_equal(alone(too_large), EXPLORE_DONE);
    assert_int_equal(ends[2], 1);
    assert_int_equal(alone(pauses_inside), EXPLORE_DONE);
    assert_int_equal(ends[4], 1);
    assert_int_equal(alone(calls_inside), EXPLORE_DONE);
    assert_int_equal(ends[4], 1);
    assert_int_equal(alone(nests), EXPLORE_DONE);
    assert_int_equal(status_seen,
                     MACHINE_TX_EXPLICIT | MACHINE_TX_NESTED | 2U << MACHINE_TX_CODE_SHIFT);
    assert_true(result[0] == 1 && result[1] == 0);
    assert_int_equal(alone(allocates_and_aborts), EXPLORE_DONE);
    assert_int_equal(x->leaks(&bytes, &pc), 0);
    assert_int_equal(alone(frees_and_aborts), EXPLORE_FREED);
    assert_int_equal(alone(ends_without_begin), EXPLORE_CRASH);
}

/* Two transactions that touch the same word: all orders of them, aborts included. */
static void test_the_search_goes_through_transactions(void **state) {
    (void)state;
    unsigned runs;
    bool complete;
    body *const apart[] = {writes_both, other_word};
    body *const both[] = {writes_both, reads_both};
    assert_int_equal(search(both, 2, 2, 3, &runs, &complete), 0xd);
    (void)search(apart, 2, 0, 3, &runs, &complete);
    assert_in_range(runs, 2, 2000);
}

static int open_explorer(void **state) {
    (void)state;
    char why[128];
    x = machine_find("sim")->explorer;
    return x->open(why, sizeof why) ? 0 : -1;
}

static int close_explorer(void **state) {
    (void)state;
    x->close();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_buffering_is_seen_under_tso_only),
        cmocka_unit_test(test_fences_and_locked_operations_empty_the_buffer),
        cmocka_unit_test(test_a_heavy_barrier_empties_all_buffers),
        cmocka_unit_test(test_stores_arrive_in_order),
        cmocka_unit_test(test_own_stores_that_overlap),
        cmocka_unit_test(test_the_search_finds_all_outcomes_of_few_schedules),
        cmocka_unit_test(test_independent_threads_are_one_schedule),
        cmocka_unit_test(test_who_sleeps_for_ever_is_a_deadlock),
        cmocka_unit_test(test_who_spins_goes_on_when_the_others_have),
        cmocka_unit_test(test_bad_accesses_end_the_run),
        cmocka_unit_test(test_a_transaction_is_seen_whole_or_not_at_all),
        cmocka_unit_test(test_no_increment_is_lost),
        cmocka_unit_test(test_an_abort_orders_nothing_and_a_commit_does),
        cmocka_unit_test(test_what_aborts_and_what_is_undone),
        cmocka_unit_test(test_the_search_goes_through_transactions),
    };
    return cmocka_run_group_tests_name("explore", tests, open_explorer, close_explorer);
}

#endif
