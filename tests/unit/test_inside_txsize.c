/*
 * test_inside_txsize.c - the order of txsize's accesses, what its verification refuses, and that
 * its runs repeat.
 */
#include "workload_inside.h"

#include "txsize.c"

static uint64_t txsize_digest(TM_SELF, struct world *w) {
    uint64_t digest = 0;
    for (uint64_t i = 0; i < w->objects; i++)
        digest = inside_mix(digest, tm_get(w->thread[0].pool[i], value));
    for (uint64_t i = 0; w->sharing && i < w->objects; i++)
        digest = inside_mix(digest, tm_get(w->shared[i], value));
    return digest;
}

static void private_value_changes(TM_SELF, struct world *w) {
    tm_set(w->thread[0].pool[2], value, tm_get(w->thread[0].pool[2], value) ^ 1);
}

static void shared_value_changes(TM_SELF, struct world *w) {
    tm_set(w->shared[2], value, tm_get(w->shared[2], value) ^ 1);
}

static void shared_value_is_lost(TM_SELF, struct world *w) {
    static uint64_t kept;
    const uint64_t value = tm_get(w->shared[2], value);
    tm_set(w->shared[2], value, value != 0 ? 0 : kept);
    kept = value;
}

/* A stamp of a thread that never ran: of the wrong writer. */
static void shared_value_is_of_another_thread(TM_SELF, struct world *w) {
    tm_set(w->shared[2], value, tm_get(w->shared[2], value) ^ UINT64_C(3) << 48);
}

static void another_pool_is_written(TM_SELF, struct world *w) {
    tm_set(w->thread[1].pool[0], value, tm_get(w->thread[1].pool[0], value) ^ 1);
}

static void txsize_refuses(void **state) {
    (void)state;
    struct inside inside = inside_build(
        &txsize_workload, INSIDE_SETTINGS("objects=8", "writes=3", "conflict=0.5", "write=blind"),
        2, 1, 5000);
    inside_expect_refusal(&inside, private_value_changes);
    inside_expect_refusal(&inside, another_pool_is_written);
    inside_expect_refusal(&inside, shared_value_changes);
    inside_expect_refusal(&inside, shared_value_is_lost);
    inside_expect_refusal(&inside, shared_value_is_of_another_thread);
    inside_free(&inside);
    inside = inside_build(&txsize_workload,
                          INSIDE_SETTINGS("objects=8", "writes=3", "conflict=0.5", "write=add"), 2,
                          1, 5000);
    inside_expect_refusal(&inside, private_value_changes);
    inside_expect_refusal(&inside, another_pool_is_written);
    inside_expect_refusal(&inside, shared_value_changes);
    inside_free(&inside);
    inside_check_ops(&txsize_workload, INSIDE_SETTINGS("writes=0"));
    inside_check_ops(&txsize_workload, INSIDE_SETTINGS("reads=0", "writes=0"));
}

static void txsize_repeats(void **state) {
    (void)state;
    inside_check_seeds(&txsize_workload, INSIDE_SETTINGS("objects=64", "conflict=0.3"), 100,
                       txsize_digest);
}

/* Which positions of a block are written, found by running one block, against the documented
 * order. */
static void txsize_spreads_its_writes(void **state) {
    (void)state;
    static const struct {
        const char *reads, *writes, *order;
    } cases[] = {
        {"reads=8", "writes=1", "rrrrwrrrr"},  {"reads=9", "writes=1", "rrrrwrrrrr"},
        {"reads=8", "writes=2", "rrwrrrrwrr"}, {"reads=3", "writes=2", "wrrwr"},
        {"reads=0", "writes=3", "www"},        {"reads=2", "writes=5", "wrwrwww"},
        {"reads=5", "writes=3", "wrrwrrwr"},   {"reads=3", "writes=0", "rrr"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const struct inside inside = inside_build(
            &txsize_workload, INSIDE_SETTINGS(cases[c].reads, cases[c].writes), 1, 1, 1);
        const struct txsize_thread *thread = &inside.world->thread[0];
        assert_int_equal(thread->at, strlen(cases[c].order));
        for (size_t k = 0; cases[c].order[k] != '\0'; k++)
            assert_true((tm_get(thread->operand[k], value) != 0) == (cases[c].order[k] == 'w'));
        inside_free(&inside);
    }
}

static void txsize_operands_of_a_block_are_distinct(void **state) {
    (void)state;
    const struct inside inside = inside_build(
        &txsize_workload, INSIDE_SETTINGS("reads=40", "writes=24", "objects=64"), 1, 1, 0);
    const struct txsize_thread *thread = &inside.world->thread[0];
    for (uint64_t block = 0; block < inside.world->blocks; block++) {
        uint64_t seen = 0;
        for (unsigned k = 0; k < 64; k++)
            seen |= UINT64_C(1) << thread->number[block * 64 + k];
        assert_true(seen == UINT64_MAX);
    }
    inside_free(&inside);
}

/* Consecutive objects of a fresh heap; a few neighbours may be placed elsewhere. */
static void txsize_keeps_its_stride(void **state) {
    (void)state;
    const struct inside inside =
        inside_build(&txsize_workload, INSIDE_SETTINGS("stride=4096", "objects=100"), 1, 1, 0);
    object_ref *pool = inside.world->thread[0].pool;
    unsigned exact = 0;
    for (unsigned i = 0; i + 1 < 100; i++)
        exact += (uintptr_t)pool[i + 1] - (uintptr_t)pool[i] == 4096;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their malloc has red zones  \
                                                                     */
    assert_true(exact >= 90);
#endif
    inside_free(&inside);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(txsize_refuses),
        cmocka_unit_test(txsize_repeats),
        cmocka_unit_test(txsize_spreads_its_writes),
        cmocka_unit_test(txsize_operands_of_a_block_are_distinct),
        cmocka_unit_test(txsize_keeps_its_stride),
    };
    return cmocka_run_group_tests_name("txsize from inside", tests, NULL, NULL);
}
