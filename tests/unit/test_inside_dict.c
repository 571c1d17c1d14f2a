/*
 * test_inside_dict.c - dict's table grows and shrinks as its header says, what the verification
 * refuses, and that runs repeat.
 */
#include "workload_inside.h"

#include "dict.c"

static uint64_t dict_digest(TM_SELF, struct world *w) {
    uint64_t digest = tm_get(w->table, bits);
    for (uint64_t i = 0; i < tm_get(w->table, used); i++) {
        digest = inside_mix(digest, tm_get_at(tm_get(w->table, keys), word, i));
        digest = inside_mix(digest, table_value(self, w->table, i));
    }
    return digest;
}

static void value_changes(TM_SELF, struct world *w) {
    table_set_value(self, w->table, 5, table_value(self, w->table, 5) ^ 1);
}

static void key_changes(TM_SELF, struct world *w) {
    const table_words_ref keys = tm_get(w->table, keys);
    tm_set_at(keys, word, 5, tm_get_at(keys, word, 5) ^ 1);
}

static void swap_slots(TM_SELF, struct world *w, uint64_t a, uint64_t b) {
    const table_index_ref index = tm_get(w->table, index);
    const uint32_t slot = tm_get_at(index, slot, a);
    tm_set_at(index, slot, a, tm_get_at(index, slot, b));
    tm_set_at(index, slot, b, slot);
}

/* Two entries change places in the index only: neither key is found where it stands. */
static void index_is_mixed_up(TM_SELF, struct world *w) {
    const table_words_ref keys = tm_get(w->table, keys);
    static uint64_t a = TABLE_NONE, b;
    if (a == TABLE_NONE) {
        a = table_slot(self, w->table, tm_get_at(keys, word, 0));
        b = table_slot(self, w->table, tm_get_at(keys, word, 1));
    }
    swap_slots(self, w, a, b);
}

static void index_loses_an_entry(TM_SELF, struct world *w) {
    static uint64_t s = TABLE_NONE;
    static uint32_t kept = TABLE_DELETED;
    const table_index_ref index = tm_get(w->table, index);
    if (s == TABLE_NONE)
        s = table_slot(self, w->table, tm_get_at(tm_get(w->table, keys), word, 0));
    const uint32_t slot = tm_get_at(index, slot, s);
    tm_set_at(index, slot, s, kept);
    kept = slot;
}

static void filled_is_wrong(TM_SELF, struct world *w) {
    tm_set(w->table, filled, tm_get(w->table, filled) ^ 1);
}

static void used_is_beyond_the_arrays(TM_SELF, struct world *w) {
    tm_set(w->table, used, tm_get(w->table, used) ^ UINT64_C(1) << 40);
}

static void a_scan_went_back(TM_SELF, struct world *w) { w->stats[0].went_back ^= 1; }

static void dict_refuses(void **state) {
    (void)state;
    struct inside inside = inside_build(
        &dict_workload, INSIDE_SETTINGS("size=100", "updates=30", "inserts=30", "removals=30"), 1,
        1, 5000);
    inside_expect_refusal(&inside, value_changes);
    inside_expect_refusal(&inside, key_changes);
    inside_expect_refusal(&inside, index_is_mixed_up);
    inside_expect_refusal(&inside, index_loses_an_entry);
    inside_expect_refusal(&inside, filled_is_wrong);
    inside_expect_refusal(&inside, used_is_beyond_the_arrays);
    inside_free(&inside);
    inside = inside_build(&dict_workload, INSIDE_SETTINGS("size=100"), 1, 1, 100);
    inside_expect_refusal(&inside, a_scan_went_back);
    inside_free(&inside);
    inside_check_ops(&dict_workload, INSIDE_SETTINGS("size=100"));
}

static void dict_scan_notices_a_smaller_sum(void **state) {
    (void)state;
    struct inside inside =
        inside_build(&dict_workload, INSIDE_SETTINGS("updates=0", "size=10"), 1, 1, 2);
    struct tm_rand rng = {1};
    const uint64_t value = table_value(inside.self, inside.world->table, 5);
    table_set_value(inside.self, inside.world->table, 5, value - 1);
    dict_workload.loop(inside.self, inside.world, &rng, 1);
    table_set_value(inside.self, inside.world->table, 5, value);
    assert_true(inside.world->stats[0].went_back == 1);
    assert_false(inside_verifies(&inside, 3));
    inside_free(&inside);
}

static void dict_repeats(void **state) {
    (void)state;
    inside_check_seeds(&dict_workload,
                       INSIDE_SETTINGS("size=100", "updates=30", "inserts=30", "removals=30"), 5000,
                       dict_digest);
}

static void dict_has_the_documented_size(void **state) {
    (void)state;
    const struct inside inside =
        inside_build(&dict_workload, INSIDE_SETTINGS("size=10000"), 1, 1, 10);
    assert_int_equal(tm_get(inside.world->table, used), 10000);
    assert_int_equal(tm_get(inside.world->table, bits), 14);
    inside_free(&inside);
}

/* The table beside an array that is a plain model of it: every operation, growth from nothing,
 * rebuilds because of deleted entries. */
static void table_agrees_with_a_model(void **state) {
    (void)state;
    enum { KEYS = 500, STEPS = 100000 };
    uint64_t model[KEYS]; /* value + 1, or 0 when absent */
    memset(model, 0, sizeof model);
    uint64_t size = 0;
    struct tm_thread *self = tm_engine_descriptor.attach(0, true);
    const table_ref table = table_new(self);
    struct tm_rand rng = {42};
    for (unsigned step = 0; step < STEPS; step++) {
        const uint64_t key = tm_random_below(&rng, KEYS);
        const uint64_t slot = table_slot(self, table, key);
        const uint64_t entry = table_find(self, table, key);
        assert_true((slot != TABLE_NONE) == (model[key] != 0));
        assert_true((entry != TABLE_NONE) == (model[key] != 0));
        if (entry != TABLE_NONE)
            assert_true(table_value(self, table, entry) == model[key] - 1);
        const bool inserts = tm_random_below(&rng, 100) < (step / 20000 % 2 ? 30 : 70);
        if (inserts && entry == TABLE_NONE) {
            table_add(self, table, key, step);
            model[key] = step + 1;
            size++;
        } else if (!inserts && slot != TABLE_NONE) {
            table_remove(self, table, slot);
            model[key] = 0;
            size--;
        }
        assert_true(tm_get(table, used) == size);
        assert_true(tm_get(table, filled) <= table_capacity(self, tm_get(table, bits)));
    }
    table_free(self, table);
    tm_engine_descriptor.detach(self);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dict_refuses),
        cmocka_unit_test(dict_scan_notices_a_smaller_sum),
        cmocka_unit_test(dict_repeats),
        cmocka_unit_test(dict_has_the_documented_size),
        cmocka_unit_test(table_agrees_with_a_model),
    };
    return cmocka_run_group_tests_name("dict from inside", tests, NULL, NULL);
}
