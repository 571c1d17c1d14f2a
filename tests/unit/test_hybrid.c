/*
 * test_hybrid.c - engine hybrid with injected results of XBEGIN: what becomes of a block that
 * hardware does not commit, and what hardware owes to software blocks that run beside it.
 */
#define TM_ENGINE hybrid
#define INSIDE_ENGINE "hybrid/engine.c"
#include "htm_inside.h"

#define EXPLICIT(code) ((unsigned)MACHINE_TX_EXPLICIT | (unsigned)(code) << MACHINE_TX_CODE_SHIFT)
enum {
    CONFLICT = MACHINE_TX_CONFLICT | MACHINE_TX_RETRY,
    CAPACITY = MACHINE_TX_CAPACITY,
    INTERRUPT = 0
};

static const char *const slows[] = {"slow=norec", "slow=rh"};
static const char *const contendeds[] = {"contended=serial", "contended=software"};

struct object {
    TM_HEADER;
    uint64_t field;
    uint8_t byte;
};
static struct object object;

enum kind { IN_HARDWARE, IN_SOFTWARE, SERIAL };
static enum kind ran_as;

static TM_NOINLINE void one_block(struct tm_thread *self) {
    atomic (self) {
        tm_set((&object), field, tm_get((&object), field) + 1);
        tm_set((&object), byte, (uint8_t)tm_get((&object), field));
        ran_as = tm_in_software(self)      ? IN_SOFTWARE
                 : TM_THREAD(self)->serial ? SERIAL
                                           : IN_HARDWARE;
        if (ran_as == SERIAL)
            assert_true(tm_global.clock & 1);
    }
}

static uint64_t aborts_of(const struct tm_thread *self) {
    uint64_t sum = 0;
    for (unsigned c = 0; c < TM_CAUSES; c++)
        sum += self->common.stats.aborts[c];
    return sum;
}

static void at_rest(const struct tm_thread *self) {
    assert_int_equal(tm_global.clock & 1, 0);
    assert_int_equal(tm_global.second & 1, 0);
    assert_int_equal(tm_global.exclusive, 0);
    assert_int_equal(tm_global.software, 0);
    assert_int_equal(self->common.depth, 0);
    assert_true(self->hardware);
    assert_false(self->serial);
    assert_false(self->direct);
    assert_int_equal(self->write_limit, self->write_capacity);
}

/* Which kind a block becomes whose hardware executions all end with this status, behind how many of
 * them, by what engine.h says. */
static void every_status_on_every_way(void **state) {
    (void)state;
    static const struct {
        unsigned status, tries; /* 0 tries: for ever */
        bool contended;
        enum tm_cause cause;
    } cases[] = {
        {CONFLICT, 6, true, TM_CONFLICT},
        {MACHINE_TX_CONFLICT, 6, true, TM_CONFLICT},
        {CONFLICT | MACHINE_TX_NESTED, 6, true, TM_CONFLICT},
        {MACHINE_TX_RETRY, 6, false, TM_OTHER},
        {INTERRUPT, 6, false, TM_OTHER},
        {MACHINE_TX_DEBUG, 6, false, TM_OTHER},
        {CAPACITY, 1, false, TM_CAPACITY},
        {CAPACITY | MACHINE_TX_RETRY, 1, false, TM_CAPACITY},
        {CAPACITY | MACHINE_TX_CONFLICT, 1, false, TM_CAPACITY},
        {EXPLICIT(HYBRID_IRREVOCABLE), 1, true, TM_IRREVOCABLE},
        {EXPLICIT(HYBRID_RESTART), 1, false, TM_EXPLICIT},
        {EXPLICIT(HYBRID_RETRY), 1, false, TM_CAUSES}, /* waiting is no abort */
        {EXPLICIT(77), 1, false, TM_EXPLICIT},
        {EXPLICIT(HYBRID_BUSY), 0, false, TM_LOCK_BUSY},
    };
    for (unsigned slow = 0; slow < 2; slow++)
        for (unsigned contended = 0; contended < 2; contended++)
            for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++) {
                struct tm_thread *self =
                    inside_start((const char *const[]){slows[slow], contendeds[contended], NULL});
                const unsigned given = cases[c].tries == 0 ? 50 : cases[c].tries;
                inside_repeat(given, cases[c].status);
                const uint64_t before = object.field;
                one_block(self);
                const enum kind wanted = cases[c].tries == 0                    ? IN_HARDWARE
                                         : cases[c].contended && contended == 0 ? SERIAL
                                                                                : IN_SOFTWARE;
                if (ran_as != wanted)
                    fail_msg("%s:%s, status %x: kind %d, wanted %d", slows[slow],
                             contendeds[contended], cases[c].status, ran_as, wanted);
                assert_int_equal(object.field, before + 1);
                assert_int_equal(object.byte, (uint8_t)object.field);
                assert_int_equal(self->common.stats.commits, 1);
                assert_int_equal(self->common.stats.fallbacks, wanted != IN_HARDWARE);
                assert_int_equal(aborts_of(self), cases[c].cause == TM_CAUSES ? 0 : given);
                if (cases[c].cause != TM_CAUSES)
                    assert_int_equal(self->common.stats.aborts[cases[c].cause], given);
                /* slow=rh: the software commit was a transaction of its own. */
                const unsigned postfix = slow == 1 && wanted == IN_SOFTWARE;
                assert_int_equal(tx.begun, given + (wanted == IN_HARDWARE) + postfix);
                /* Hardware moves no clock when nobody is there to see it; the others do. */
                assert_int_equal(tm_global.clock, wanted == IN_HARDWARE ? 0 : 2);
                assert_int_equal(tm_global.second, 0);
                at_rest(self);
                inside_repeat(0, 0);
                one_block(self);
                assert_int_equal(ran_as, IN_HARDWARE);
                inside_stop(self);
            }
}

/* slow=rh: a commit whose transaction never succeeds is done in steps, hardware excluded. */
static void rh_falls_back_to_a_commit_in_steps(void **state) {
    (void)state;
    static const unsigned ends[] = {CONFLICT, CAPACITY, INTERRUPT};
    for (unsigned e = 0; e < 3; e++) {
        struct tm_thread *self = inside_start((const char *const[]){"slow=rh", NULL});
        unsigned script[40] = {CAPACITY};
        for (unsigned i = 1; i < 40; i++)
            script[i] = ends[e];
        inside_script(40, script);
        const uint64_t before = object.field;
        one_block(self);
        assert_int_equal(ran_as, IN_SOFTWARE);
        assert_int_equal(object.field, before + 1);
        assert_int_equal(tx.begun, 1 + (ends[e] == CAPACITY ? 1 : 4));
        assert_int_equal(tm_global.clock, 2);
        at_rest(self);
        inside_stop(self);
    }
}

/* While a software block is somewhere, hardware that has written moves its clock, and only that. */
static void hardware_tells_software_of_its_writes(void **state) {
    (void)state;
    for (unsigned slow = 0; slow < 2; slow++) {
        struct tm_thread *self = inside_start((const char *const[]){slows[slow], NULL});
        tm_global.software = 1;
        one_block(self);
        assert_int_equal(tm_global.second, slow == 0 ? 2 : 0);
        assert_int_equal(tm_global.clock, slow == 1 ? 2 : 0);
        uint64_t seen = 0;
        atomic (self) {
            seen = tm_get((&object), field);
        }
        assert_int_equal(seen, object.field);
        assert_int_equal(tm_global.second + tm_global.clock, 2);
        tm_global.software = 0;
        inside_stop(self);
    }
}

static void other_commits(unsigned try) {
    (void)try;
    object.field += 100;
    tm_global.second += 2;
}

/* A hardware commit between a software block's reads and its commit is noticed. */
static void software_validates_against_hardware(void **state) {
    (void)state;
    struct tm_thread *self = inside_start((const char *const[]){"slow=norec", NULL});
    inside_repeat(1, CAPACITY);
    const uint64_t before = object.field;
    static unsigned executions;
    executions = 0;
    atomic (self) {
        executions++;
        const uint64_t v = tm_get((&object), field);
        if (executions == 1)
            other_commits(0);
        tm_set((&object), field, v + 1);
    }
    assert_int_equal(executions, 2);
    assert_int_equal(object.field, before + 101);
    assert_int_equal(self->common.stats.aborts[TM_VALIDATION], 1);
    at_rest(self);
    inside_stop(self);
}

static void somebody_commits(void) {
    tm_global.second += 2;
    tm_global.wakeups++;
}

/* tm_retry and tm_abort_restart of a serial block give the sequence lock back. */
static void serial_blocks_can_wait_and_restart(void **state) {
    (void)state;
    struct tm_thread *self = inside_start((const char *const[]){"slow=norec", NULL});
    inside_repeat(6, CONFLICT);
    tx.asleep = somebody_commits;
    static unsigned executions;
    executions = 0;
    atomic (self) {
        executions++;
        assert_true(tm_global.clock & 1);
        if (executions == 1)
            tm_retry(self);
        if (executions == 2)
            tm_abort_restart(self);
        tm_irrevocable(self);
        tm_irrevocable(self);
        tm_set((&object), field, 0);
    }
    assert_int_equal(executions, 3);
    assert_int_equal(tx.sleeps, 1);
    assert_int_equal(self->common.stats.retries, 1);
    assert_int_equal(self->common.stats.aborts[TM_EXPLICIT], 1);
    assert_int_equal(self->common.stats.irrevocable, 1);
    assert_int_equal(self->common.stats.commits, 1);
    assert_int_equal(tm_global.waiters, 0);
    at_rest(self);
    inside_stop(self);
}

/* Objects are freed when software blocks cannot see them any more; nested blocks are one. */
static void memory_and_nesting_on_every_way(void **state) {
    (void)state;
    static const unsigned statuses[] = {MACHINE_TX_STARTED, CAPACITY, CONFLICT};
    for (unsigned s = 0; s < 3; s++) {
        struct tm_thread *self = inside_start((const char *const[]){"slow=rh", "length=3", NULL});
        for (unsigned i = 0; i < 300; i++) {
            inside_repeat(statuses[s] == MACHINE_TX_STARTED ? 0 : 6, statuses[s]);
            unsigned calls = 0;
            atomic (self) {
                calls = 1;
                struct object *made = tm_new(self, struct object);
                tm_set(made, field, 7);
                atomic (self) {
                    tm_set(made, byte, (uint8_t)tm_get(made, field));
                }
                assert_int_equal(tm_get(made, byte), 7);
                assert_int_equal(tm_index(self), 0);
                tm_free(self, made);
                while (!tm_should_break(self))
                    calls++;
            }
            assert_int_equal(calls, 3);
            assert_int_equal(self->freed.count, 0);
            assert_int_equal(self->allocated.count, 0);
        }
        assert_int_equal(self->common.stats.commits, 300);
        at_rest(self);
        inside_stop(self);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_on_every_way),
        cmocka_unit_test(rh_falls_back_to_a_commit_in_steps),
        cmocka_unit_test(hardware_tells_software_of_its_writes),
        cmocka_unit_test(software_validates_against_hardware),
        cmocka_unit_test(serial_blocks_can_wait_and_restart),
        cmocka_unit_test(memory_and_nesting_on_every_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
