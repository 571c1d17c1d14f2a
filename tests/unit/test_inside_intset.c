/*
 * test_inside_intset.c - list and tree against a plain model, what intset's verification refuses,
 * and that runs repeat.
 */
#include "workload_inside.h"

#include "intset.c"

/* Keys in order, and a tree's shape with its colours. */
static uint64_t tree_digest(TM_SELF, tree_node_ref node, uint64_t digest) {
    if (node == NULL)
        return inside_mix(digest, UINT64_MAX);
    digest = inside_mix(digest, 2 * tm_get(node, key) + tm_get(node, red));
    digest = tree_digest(self, tm_get_at(node, child, 0), digest);
    return tree_digest(self, tm_get_at(node, child, 1), digest);
}

static uint64_t intset_digest(TM_SELF, struct world *w) {
    uint64_t digest = 0;
    for (uint64_t i = 0; i < w->buckets; i++)
        for (list_ref node = tm_get(w->bucket[i], next); node != NULL; node = tm_get(node, next))
            digest = inside_mix(digest, tm_get(node, key));
    return w->kind == TREE ? tree_digest(self, tm_get(w->tree, root), digest) : digest;
}

static list_ref first_of_list(TM_SELF, struct world *w) { return tm_get(w->bucket[0], next); }

static void list_is_out_of_order(TM_SELF, struct world *w) {
    const list_ref first = first_of_list(self, w);
    const list_ref second = tm_get(first, next);
    const uint64_t key = tm_get(first, key);
    tm_set(first, key, tm_get(second, key));
    tm_set(second, key, key);
}

static void list_has_a_wrong_key(TM_SELF, struct world *w) {
    const list_ref first = first_of_list(self, w);
    tm_set(first, key, tm_get(first, key) ^ 1);
}

static void list_has_a_key_beyond_the_range(TM_SELF, struct world *w) {
    list_ref node = w->bucket[0];
    while (tm_get(node, next) != NULL)
        node = tm_get(node, next);
    tm_set(node, key, tm_get(node, key) ^ 1 << 20);
}

static void list_loses_a_node(TM_SELF, struct world *w) {
    static list_ref lost;
    if (lost == NULL) {
        lost = first_of_list(self, w);
        tm_set(w->bucket[0], next, tm_get(lost, next));
    } else {
        tm_set(w->bucket[0], next, lost);
        lost = NULL;
    }
}

static void hash_has_a_chain_in_another_bucket(TM_SELF, struct world *w) {
    const list_ref chain = first_of_list(self, w);
    tm_set(w->bucket[0], next, tm_get(w->bucket[1], next));
    tm_set(w->bucket[1], next, chain);
}

static void tree_has_another_colour(TM_SELF, struct world *w) {
    const tree_node_ref root = tm_get(w->tree, root);
    const tree_node_ref node = tm_get_at(root, child, 0);
    tm_set(node, red, !tm_get(node, red));
}

static void tree_has_a_red_root(TM_SELF, struct world *w) {
    const tree_node_ref root = tm_get(w->tree, root);
    tm_set(root, red, !tm_get(root, red));
}

static void tree_is_out_of_order(TM_SELF, struct world *w) {
    const tree_node_ref root = tm_get(w->tree, root);
    const tree_node_ref left = tm_get_at(root, child, 0);
    tm_set_at(root, child, 0, tm_get_at(root, child, 1));
    tm_set_at(root, child, 1, left);
}

static void tree_has_a_wrong_parent(TM_SELF, struct world *w) {
    const tree_node_ref root = tm_get(w->tree, root);
    const tree_node_ref left = tm_get_at(root, child, 0);
    tm_set(left, parent, tm_get(left, parent) == root ? left : root);
}

static void a_successful_update_is_forgotten(TM_SELF, struct world *w) { w->stats[0].keys ^= 1; }

static void another_key_was_meant(TM_SELF, struct world *w) { w->stats[0].key_sum ^= 1; }

static void intset_refuses(void **state) {
    (void)state;
    static const inside_damage list[] = {list_is_out_of_order,
                                         list_has_a_wrong_key,
                                         list_has_a_key_beyond_the_range,
                                         list_loses_a_node,
                                         a_successful_update_is_forgotten,
                                         another_key_was_meant};
    static const inside_damage hash[] = {list_is_out_of_order, list_has_a_wrong_key,
                                         list_loses_a_node, hash_has_a_chain_in_another_bucket,
                                         a_successful_update_is_forgotten};
    static const inside_damage tree[] = {tree_has_another_colour,
                                         tree_has_a_red_root,
                                         tree_is_out_of_order,
                                         tree_has_a_wrong_parent,
                                         a_successful_update_is_forgotten,
                                         another_key_was_meant};
    struct inside inside = inside_build(&intset_workload, INSIDE_SETTINGS("kind=list"), 1, 1, 1000);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        inside_expect_refusal(&inside, list[i]);
    inside_free(&inside);
    inside =
        inside_build(&intset_workload, INSIDE_SETTINGS("kind=hash", "buckets=100"), 1, 1, 1000);
    for (size_t i = 0; i < sizeof hash / sizeof hash[0]; i++)
        inside_expect_refusal(&inside, hash[i]);
    inside_free(&inside);
    inside = inside_build(&intset_workload, INSIDE_SETTINGS("kind=tree"), 1, 1, 1000);
    for (size_t i = 0; i < sizeof tree / sizeof tree[0]; i++)
        inside_expect_refusal(&inside, tree[i]);
    inside_free(&inside);
    inside_check_ops(&intset_workload, INSIDE_SETTINGS("kind=tree"));
}

static void intset_repeats(void **state) {
    (void)state;
    inside_check_seeds(&intset_workload, INSIDE_SETTINGS("kind=list"), 2000, intset_digest);
    inside_check_seeds(&intset_workload, INSIDE_SETTINGS("kind=tree"), 20000, intset_digest);
    inside_check_seeds(&intset_workload, INSIDE_SETTINGS("kind=hash"), 20000, intset_digest);
}

/* List and tree beside a plain array, through phases in which they grow and shrink to nothing; the
 * tree's shape is checked after each step. */
static void containers_agree_with_a_model(void **state) {
    (void)state;
    enum { KEYS = 60, STEPS = 30000 };
    bool model[KEYS];
    memset(model, 0, sizeof model);
    uint64_t size = 0;
    struct tm_thread *self = tm_engine_descriptor.attach(0, true);
    const list_ref list = list_new(self);
    const tree_ref tree = tree_new(self);
    struct tm_rand rng = {7};
    for (unsigned step = 0; step < STEPS; step++) {
        const uint64_t key = tm_random_below(&rng, KEYS);
        assert_true(list_contains(self, list, key) == model[key]);
        assert_true(tree_contains(self, tree, key) == model[key]);
        if (tm_random_below(&rng, 100) < (step / 1000 % 2 ? 5 : 60)) {
            assert_true(list_insert(self, list, key) == !model[key]);
            assert_true(tree_insert(self, tree, key) == !model[key]);
            size += !model[key];
            model[key] = true;
        } else {
            assert_true(list_remove(self, list, key) == model[key]);
            assert_true(tree_remove(self, tree, key) == model[key]);
            size -= model[key];
            model[key] = false;
        }
        struct intset_found found = {0, 0};
        char why[CELL_WHY_SIZE] = "";
        if (intset_verify_tree(self, tm_get(tree, root), NULL, 0, KEYS, 0, &found, why,
                               sizeof why) < 0)
            fail_msg("step %u: %s", step, why);
        assert_true(found.keys == size);
    }
    list_free(self, list);
    tree_free(self, tree);
    tm_engine_descriptor.detach(self);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intset_refuses),
        cmocka_unit_test(intset_repeats),
        cmocka_unit_test(containers_agree_with_a_model),
    };
    return cmocka_run_group_tests_name("intset from inside", tests, NULL, NULL);
}
