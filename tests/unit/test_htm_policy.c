/*
 * test_htm_policy.c - the retry policies of engine htm, with injected results of XBEGIN: every
 * status at every try, the lock taken and free, on a computer that need not have RTM.
 */
#define TM_ENGINE htm
#define INSIDE_ENGINE "htm/engine.c"
#include "htm_inside.h"

/* The statuses of the SDM; a code stands in the top byte. */
#define EXPLICIT(code) ((unsigned)MACHINE_TX_EXPLICIT | (unsigned)(code) << MACHINE_TX_CODE_SHIFT)
enum {
    RETRY = MACHINE_TX_RETRY,
    CONFLICT = MACHINE_TX_CONFLICT | MACHINE_TX_RETRY,
    CAPACITY = MACHINE_TX_CAPACITY,
    INTERRUPT = 0
};

static const char *const policy_names[] = {"glibc", "wait", "odaira", "c7", "fixed"};
enum { POLICIES = sizeof policy_names / sizeof *policy_names };

static struct tm_thread *start_policy(unsigned policy, const char *more) {
    char text[32];
    snprintf(text, sizeof text, "policy=%s", policy_names[policy]);
    return inside_start((const char *const[]){text, more, NULL});
}

static uint64_t value;  /* what the blocks change */
static unsigned bodies; /* executions of a body */
static bool was_locked;

static void one_block(struct tm_thread *self) {
    bodies = 0;
    atomic (self) {
        value++;
        bodies++;
        was_locked = tm_htm.lock.locked == 1;
    }
}

static uint64_t aborts_of(const struct tm_thread *self) {
    uint64_t sum = 0;
    for (unsigned c = 0; c < TM_CAUSES; c++)
        sum += self->common.stats.aborts[c];
    return sum;
}

/* What a policy is to do when every try of a block ends with this status, in the words of its
 * sources and not of the engine: tries until the lock is taken, 0 = for ever. */
static unsigned tries_wanted(unsigned policy, unsigned status) {
    const bool busy = status == EXPLICIT(HTM_LOCK_BUSY);
    const bool retry = (status & MACHINE_TX_RETRY) != 0;
    switch (policy) {
    case 0: /* glibc */
        return retry ? 3 : 1;
    case 1: /* wait */
        return busy ? 0 : (status & MACHINE_TX_EXPLICIT) || (status & MACHINE_TX_CAPACITY) ? 1 : 5;
    case 3: /* c7 */
        return busy ? 11 : retry ? 100 : 1;
    default: /* odaira, fixed */
        return busy ? 17 : retry ? 3 : 1;
    }
}

static enum tm_cause cause_wanted(unsigned status) {
    if (status & MACHINE_TX_EXPLICIT)
        return status == EXPLICIT(HTM_LOCK_BUSY)     ? TM_LOCK_BUSY
               : status == EXPLICIT(HTM_IRREVOCABLE) ? TM_IRREVOCABLE
                                                     : TM_EXPLICIT;
    return status & MACHINE_TX_CAPACITY   ? TM_CAPACITY
           : status & MACHINE_TX_CONFLICT ? TM_CONFLICT
                                          : TM_OTHER;
}

static void every_status_on_every_policy(void **state) {
    (void)state;
    static const unsigned codes[] = {HTM_LOCK_BUSY, HTM_RESTART, HTM_IRREVOCABLE, 0, 77};
    unsigned seen = 0;
    for (unsigned policy = 0; policy < POLICIES; policy++)
        for (unsigned bits = 0; bits < 64; bits++) {
            if ((bits & MACHINE_TX_EXPLICIT) && (bits & MACHINE_TX_RETRY))
                continue; /* the processor never says that */
            for (unsigned c = 0; c < ((bits & MACHINE_TX_EXPLICIT) ? 5U : 1U); c++) {
                const unsigned status =
                    (bits & MACHINE_TX_EXPLICIT) ? EXPLICIT(codes[c]) | bits : bits;
                const unsigned plain = status & ~(unsigned)(MACHINE_TX_NESTED | MACHINE_TX_DEBUG);
                /* An explicit abort stands alone but for the nesting. */
                if ((bits & MACHINE_TX_EXPLICIT) &&
                    (bits & (MACHINE_TX_CONFLICT | MACHINE_TX_CAPACITY)))
                    continue;
                struct tm_thread *self = start_policy(policy, NULL);
                const unsigned wanted = tries_wanted(policy, plain);
                const unsigned given = 120;
                inside_repeat(given, status);
                const uint64_t before = value;
                one_block(self);
                const struct tm_stats *stats = &self->common.stats;
                assert_int_equal(value, before + 1);
                assert_int_equal(bodies, 1);
                assert_int_equal(stats->commits, 1);
                assert_int_equal(self->common.depth, 0);
                assert_int_equal(tm_htm.lock.locked, 0);
                if (wanted == 0) {
                    assert_int_equal(tx.begun, given + 1);
                    assert_false(was_locked);
                    assert_int_equal(stats->fallbacks, 0);
                } else {
                    if (tx.begun != wanted)
                        fail_msg("policy %s, status %x: %u tries, wanted %u", policy_names[policy],
                                 status, tx.begun, wanted);
                    assert_true(was_locked);
                    assert_int_equal(stats->fallbacks, 1);
                }
                assert_int_equal(stats->aborts[cause_wanted(plain)], wanted == 0 ? given : wanted);
                assert_int_equal(aborts_of(self), wanted == 0 ? given : wanted);
                assert_int_equal(self->common.last_abort.cause, cause_wanted(plain));
                assert_int_equal(self->common.last_abort.peer, -1);
                assert_non_null(self->common.last_abort.site);
                assert_int_equal(tm_htm.adapt_count,
                                 policy == 0 && !(status & MACHINE_TX_RETRY) ? 3 : 0);
                /* The next block begins anew. */
                inside_repeat(0, 0);
                tm_htm.adapt_count = 0;
                one_block(self);
                assert_int_equal(tx.begun, 1);
                assert_false(was_locked);
                inside_stop(self);
                seen++;
            }
        }
    assert_true(seen > 5 * 30);
}

/* A block that succeeds before its tries are over is no fallback. */
static void a_late_success_is_a_commit_in_hardware(void **state) {
    (void)state;
    for (unsigned policy = 0; policy < POLICIES; policy++) {
        struct tm_thread *self = start_policy(policy, NULL);
        inside_repeat(2, CONFLICT);
        one_block(self);
        assert_int_equal(tx.begun, 3);
        assert_false(was_locked);
        assert_int_equal(self->common.stats.aborts[TM_CONFLICT], 2);
        assert_int_equal(self->common.stats.fallbacks, 0);
        inside_stop(self);
    }
}

static void retries_is_the_number_of_tries(void **state) {
    (void)state;
    for (unsigned policy = 0; policy < POLICIES; policy++) {
        struct tm_thread *self = start_policy(policy, "retries=7");
        inside_repeat(50, CONFLICT);
        one_block(self);
        assert_int_equal(tx.begun, 7);
        assert_true(was_locked);
        inside_stop(self);
    }
}

/* ---- glibc ---------------------------------------------------------------------------------- */

static void glibc_takes_the_lock_for_three_more_blocks(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(GLIBC, NULL);
    inside_repeat(1, EXPLICIT(HTM_LOCK_BUSY));
    one_block(self);
    assert_true(was_locked);
    for (unsigned i = 0; i < 3; i++) {
        one_block(self);
        assert_true(was_locked);
        assert_int_equal(tx.begun, 1); /* no try at all */
    }
    one_block(self);
    assert_false(was_locked);
    assert_int_equal(self->common.stats.fallbacks, 4);
    /* One cascade of four: nothing but the lock that was taken once made them take it. */
    assert_int_equal(self->common.stats.cascades, 1);
    assert_int_equal(self->common.stats.cascade_blocks, 4);
    assert_int_equal(self->common.stats.cascade_blocks_max, 4);
    inside_stop(self);
}

static void skips_behind_an_own_abort_are_no_cascade(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(GLIBC, NULL);
    inside_repeat(1, CAPACITY);
    for (unsigned i = 0; i < 4; i++)
        one_block(self);
    assert_int_equal(self->common.stats.fallbacks, 4);
    assert_int_equal(self->common.stats.cascades, 0);
    assert_int_equal(self->common.stats.cascade_blocks, 0);
    inside_stop(self);
}

/* ---- the lock is taken ---------------------------------------------------------------------- */

static void free_the_lock(void) { tm_htm.lock.locked = 0; }

/* `wait` sleeps until the lock is free, never takes it, and tries again; before the first try, too.
 */
static void wait_waits_until_the_lock_is_free(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(WAIT, NULL);
    tx.asleep = free_the_lock;
    tm_htm.lock.locked = 1;
    one_block(self);
    assert_int_equal(tx.sleeps, 1);
    assert_int_equal(tx.begun, 1);
    assert_false(was_locked);
    assert_int_equal(tm_htm.lock.sleepers, 0);
    assert_int_equal(self->common.stats.fallbacks, 0);
    assert_int_equal(self->common.stats.cascades, 0);
    inside_stop(self);
}

static void take_the_lock_at_first(unsigned try) { tm_htm.lock.locked = try == 0; }

static void wait_does_not_count_executions_that_found_it_taken(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(WAIT, "retries=2");
    const unsigned script[] = {EXPLICIT(HTM_LOCK_BUSY), CONFLICT, EXPLICIT(HTM_LOCK_BUSY),
                               EXPLICIT(HTM_LOCK_BUSY)};
    inside_script(4, script);
    tx.before = take_the_lock_at_first;
    tx.asleep = free_the_lock;
    one_block(self);
    assert_int_equal(tx.begun, 5);
    assert_false(was_locked);
    assert_int_equal(self->common.stats.aborts[TM_LOCK_BUSY], 3);
    inside_stop(self);
}

/* The other policies spin for a while and then take it themselves: a cascade, if it had no other
 * reason. */
static void the_others_take_the_lock_behind_a_bounded_spin(void **state) {
    (void)state;
    static const unsigned bounded[] = {ODAIRA, C7, FIXED};
    for (unsigned i = 0; i < 3; i++) {
        struct tm_thread *self = start_policy(bounded[i], NULL);
        tx.asleep = free_the_lock;
        tm_htm.lock.locked = 1;
        one_block(self);
        assert_int_equal(tx.begun, 0);
        assert_true(was_locked);
        assert_int_equal(self->common.stats.fallbacks, 1);
        assert_int_equal(self->common.stats.cascades, 1);
        assert_int_equal(self->common.stats.cascade_blocks, 1);
        /* A fallback with a reason of its own begins anew. */
        inside_repeat(200, CAPACITY);
        one_block(self);
        assert_true(was_locked);
        assert_int_equal(tm_htm.cascade, 0);
        assert_int_equal(self->common.stats.cascade_blocks, 1);
        inside_stop(self);
    }
}

/* ---- tm_retry ------------------------------------------------------------------------------- */

static void somebody_commits(void) { tm_htm_attention(); }

/* Once more before it sleeps, since a commit may have come before the announcement. */
static void retry_announces_itself_runs_again_and_then_sleeps(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(WAIT, NULL);
    inside_repeat(1, EXPLICIT(HTM_RETRY));
    tx.asleep = somebody_commits;
    one_block(self); /* the second execution found what it wanted */
    assert_int_equal(tx.sleeps, 0);
    assert_int_equal(tx.begun, 2);
    assert_int_equal(self->common.stats.retries, 1);
    assert_int_equal(aborts_of(self), 0);
    inside_stop(self);

    self = start_policy(WAIT, NULL);
    inside_repeat(2, EXPLICIT(HTM_RETRY));
    tx.asleep = somebody_commits;
    one_block(self);
    assert_int_equal(tx.sleeps, 1);
    assert_int_equal(tx.begun, 3);
    assert_int_equal(self->common.stats.retries, 1);
    assert_int_equal(tm_htm.attention, 0);
    inside_stop(self);
}

static void commit_before_second(unsigned try) {
    if (try == 1) /* between the announcement and the second execution's end */
        tm_htm_attention();
}

static void retry_does_not_miss_a_commit_behind_its_announcement(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(WAIT, NULL);
    inside_repeat(2, EXPLICIT(HTM_RETRY));
    tx.before = commit_before_second;
    one_block(self); /* tx.asleep is not set: sleeping would be for ever */
    assert_int_equal(tx.sleeps, 0);
    assert_int_equal(tx.begun, 3);
    assert_int_equal(tm_htm.attention, 0); /* its own commit has seen the second announcement */
    inside_stop(self);
}

static void a_commit_wakes_who_waits(void **state) {
    (void)state;
    for (unsigned locked = 0; locked < 2; locked++) {
        struct tm_thread *self = start_policy(WAIT, NULL);
        tm_htm.attention = 1;
        inside_repeat(locked * 10, CAPACITY);
        one_block(self);
        assert_int_equal(was_locked, locked);
        assert_int_equal(tm_htm.attention, 0);
        assert_int_equal(tm_htm.changes, 1);
        inside_stop(self);
    }
}

/* Under the lock tm_retry gives the lock away, sleeps, and has it again. */
static void retry_under_the_lock(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(WAIT, NULL);
    inside_repeat(10, CAPACITY);
    tx.asleep = somebody_commits;
    static unsigned executions;
    executions = 0;
    atomic (self) {
        if (++executions < 3)
            tm_retry(self);
    }
    assert_int_equal(executions, 3);
    assert_int_equal(tx.sleeps, 2);
    assert_int_equal(self->common.stats.retries, 2);
    assert_int_equal(self->common.stats.fallbacks, 1);
    assert_int_equal(self->common.stats.commits, 1);
    assert_int_equal(tm_htm.lock.locked, 0);
    inside_stop(self);
}

static void restart_and_irrevocable_under_the_lock(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(WAIT, NULL);
    inside_repeat(1, EXPLICIT(HTM_IRREVOCABLE));
    static unsigned executions;
    executions = 0;
    atomic (self) {
        if (++executions < 4)
            tm_abort_restart(self);
        tm_irrevocable(self);
        assert_int_equal(tm_htm.lock.locked, 1);
    }
    assert_int_equal(self->common.stats.aborts[TM_EXPLICIT], 3);
    assert_int_equal(self->common.stats.aborts[TM_IRREVOCABLE], 1);
    assert_int_equal(self->common.stats.irrevocable, 1);
    assert_int_equal(self->common.stats.commits, 1);
    inside_stop(self);
}

/* ---- length --------------------------------------------------------------------------------- */

static int32_t calls_of_a_block(struct tm_thread *self) {
    int32_t calls = 1;
    atomic (self) {
        calls = 1;
        while (!tm_should_break(self))
            calls++;
    }
    return calls;
}

static void a_block_spans_length_calls(void **state) {
    (void)state;
    for (unsigned policy = 0; policy < POLICIES; policy++) {
        if (policy == ODAIRA)
            continue;
        struct tm_thread *self = start_policy(policy, "length=5");
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(calls_of_a_block(self), 5);
        inside_repeat(200, CAPACITY); /* under the lock as well */
        assert_int_equal(calls_of_a_block(self), 5);
        inside_stop(self);
    }
}

/* 255, times 0.75 whenever more than 6 % of 300 blocks have aborted; a period without that ends it.
 */
static void odaira_shortens_a_site_that_aborts_too_often(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(ODAIRA, NULL);
    const int32_t lengths[] = {255, 191, 143, 107};
    for (unsigned step = 0; step < 3; step++)
        for (unsigned i = 0; i < 19; i++) {
            inside_repeat(0, 0);
            assert_int_equal(calls_of_a_block(self), lengths[step]);
            inside_repeat(1, CONFLICT);
            /* The 19th abort is one too many, and already its second try is shorter. */
            assert_int_equal(calls_of_a_block(self), lengths[step + (i == 18)]);
        }
    inside_repeat(0, 0);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(calls_of_a_block(self), 107);
    for (unsigned i = 0; i < 50; i++) { /* the period is over: it stays */
        inside_repeat(1, CONFLICT);
        assert_int_equal(calls_of_a_block(self), 107);
    }
    inside_stop(self);
}

static TM_NOINLINE int32_t calls_of_another_block(struct tm_thread *self) {
    int32_t calls = 1;
    atomic (self) {
        calls = 1;
        while (!tm_should_break(self))
            calls++;
        value += 2;
    }
    return calls;
}

static void odaira_counts_each_site_by_itself(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(ODAIRA, "abort_percent=0");
    inside_repeat(1, CONFLICT);
    assert_int_equal(calls_of_a_block(self), 191);
    assert_int_equal(calls_of_another_block(self), 255);
    assert_int_equal(calls_of_a_block(self), 191);
    /* However many of its tries abort, a block counts once. */
    inside_repeat(2, CONFLICT);
    assert_int_equal(calls_of_a_block(self), 143);
    inside_stop(self);
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void times_are_counted_while_timed(void **state) {
    (void)state;
    struct tm_thread *self = start_policy(WAIT, NULL);
    inside_repeat(10, CONFLICT);
    one_block(self);
    assert_int_equal(self->common.stats.wasted_ns, 0);
    assert_int_equal(self->common.stats.lock_ns, 0);
    self->common.timed = true;
    for (unsigned i = 0; i < 100; i++) {
        inside_repeat(10, CONFLICT);
        one_block(self);
    }
    assert_true(self->common.stats.wasted_ns > 0);
    assert_true(self->common.stats.lock_ns > 0);
    inside_stop(self);
}

static void freed_objects_go_back_behind_the_commit(void **state) {
    (void)state;
    struct object {
        TM_HEADER;
        uint64_t field;
    };
    struct tm_thread *self = start_policy(WAIT, NULL);
    for (unsigned round = 0; round < 3; round++) {
        atomic (self) {
            for (unsigned i = 0; i < 300; i++) { /* the list grows */
                struct object *object = tm_new(self, struct object);
                assert_int_equal(object->field, 0);
                object->field = 1;
                tm_free(self, object);
            }
            assert_true(self->freed.count >= 300);
        }
        assert_int_equal(self->freed.count, 0);
    }
    atomic (self) {
        atomic (self) {
            value++;
        } /* nested: one transaction */
    }
    assert_int_equal(self->common.stats.commits, 4);
    inside_stop(self);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_on_every_policy),
        cmocka_unit_test(a_late_success_is_a_commit_in_hardware),
        cmocka_unit_test(retries_is_the_number_of_tries),
        cmocka_unit_test(glibc_takes_the_lock_for_three_more_blocks),
        cmocka_unit_test(skips_behind_an_own_abort_are_no_cascade),
        cmocka_unit_test(wait_waits_until_the_lock_is_free),
        cmocka_unit_test(wait_does_not_count_executions_that_found_it_taken),
        cmocka_unit_test(the_others_take_the_lock_behind_a_bounded_spin),
        cmocka_unit_test(retry_announces_itself_runs_again_and_then_sleeps),
        cmocka_unit_test(retry_does_not_miss_a_commit_behind_its_announcement),
        cmocka_unit_test(a_commit_wakes_who_waits),
        cmocka_unit_test(retry_under_the_lock),
        cmocka_unit_test(restart_and_irrevocable_under_the_lock),
        cmocka_unit_test(a_block_spans_length_calls),
        cmocka_unit_test(odaira_shortens_a_site_that_aborts_too_often),
        cmocka_unit_test(odaira_counts_each_site_by_itself),
        cmocka_unit_test(times_are_counted_while_timed),
        cmocka_unit_test(freed_objects_go_back_behind_the_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
