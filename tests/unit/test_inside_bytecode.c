/*
 * test_inside_bytecode.c - what bytecode's verification refuses, that blocks of any length give the
 * same, that what is documented of the program is so, and that runs repeat.
 */
#include "workload_inside.h"

#include "bytecode.c"

static uint64_t bytecode_digest(TM_SELF, struct world *w) {
    const struct bytecode_thread *thread = &w->thread[0];
    uint64_t digest = tm_get(thread->context, pc);
    for (uint64_t i = 0; i < tm_get(thread->context, sp); i++)
        digest = inside_mix(digest, tm_get(tm_get_at(thread->stack, slot, i), value));
    for (unsigned i = 0; i < OBJECTS; i++)
        for (unsigned k = 0; k < OBJECT_SLOTS; k++)
            digest = inside_mix(digest, tm_get(tm_get_at(thread->object[i], attribute, k), value));
    for (unsigned i = 0; i < TOTALS; i++)
        digest = inside_mix(digest,
                            table_value(self, w->totals, table_find(self, w->totals, key_of(i))));
    return digest;
}

/* ---- damages ------------------------------------------------------------------------------- */

static void pc_changes(TM_SELF, struct world *w) {
    tm_set(w->thread[0].context, pc, tm_get(w->thread[0].context, pc) ^ 1);
}

static void a_frame_forgets_its_caller(TM_SELF, struct world *w) {
    const context_ref context = w->thread[0].context;
    const uint64_t top = tm_get(context, depth) - 1;
    tm_set_at(context, saved_pc, top, tm_get_at(context, saved_pc, top) ^ 1);
}

static void a_local_changes(TM_SELF, struct world *w) {
    const box_ref box = tm_get_at(w->thread[0].stack, slot, MAIN_RANDOM);
    tm_set(box, value, tm_get(box, value) ^ 1);
}

static void an_attribute_changes_its_kind(TM_SELF, struct world *w) {
    const box_ref box = tm_get_at(w->thread[0].object[3], attribute, 1);
    tm_set(box, kind, tm_get(box, kind) ^ BOX_INT ^ BOX_FLOAT);
}

static void a_reference_too_many(TM_SELF, struct world *w) {
    const box_ref box = tm_get_at(w->thread[0].object[3], attribute, 1);
    static bool damaged;
    tm_set(box, references, tm_get(box, references) + (damaged ? UINT32_MAX : 1));
    damaged = !damaged;
}

static void a_free_box_is_lost(TM_SELF, struct world *w) {
    static box_ref lost;
    const box_list_ref list = w->thread[0].boxes;
    if (lost == NULL) {
        lost = tm_get(list, first);
        tm_set(list, first, tm_get(lost, next));
    } else {
        tm_set(list, first, lost);
        lost = NULL;
    }
}

static void a_free_list_has_a_loop(TM_SELF, struct world *w) {
    static box_ref rest;
    const box_ref first = tm_get(w->thread[0].boxes, first);
    const box_ref next = tm_get(first, next);
    tm_set(first, next, next == first ? rest : first);
    rest = next;
}

static void a_free_box_is_in_use(TM_SELF, struct world *w) {
    const box_ref box = tm_get(w->thread[0].boxes, first);
    tm_set(box, references, tm_get(box, references) ^ 1);
}

static void more_boxes_were_made(TM_SELF, struct world *w) {
    const box_list_ref list = w->thread[0].boxes;
    tm_set(list, made, tm_get(list, made) ^ 1);
}

static void a_total_changes(TM_SELF, struct world *w) {
    const uint64_t entry = table_find(self, w->totals, key_of(9));
    table_set_value(self, w->totals, entry, table_value(self, w->totals, entry) ^ 1);
}

static void a_counter_is_off_by_one(TM_SELF, struct world *w) {
    const counter_ref counter = w->thread[0].counter[KERNEL_MIX];
    tm_set(counter, calls, tm_get(counter, calls) ^ 1);
}

static cache_ref some_cache(struct world *w) {
    unsigned i = 0;
    while (w->cache[i] == NULL || opcode_of(w->code[i]) != OP_CALL)
        i++;
    return w->cache[i];
}

static void a_cache_leads_elsewhere(TM_SELF, struct world *w) {
    const cache_ref cache = some_cache(w);
    tm_set(cache, target, tm_get(cache, target) ^ 1);
}

static void a_use_is_lost(TM_SELF, struct world *w) {
    const cache_ref cache = some_cache(w);
    tm_set(cache, uses, tm_get(cache, uses) ^ 1);
}

static void bytecode_refuses(void **state) {
    (void)state;
    /* An odd number of bytecodes: the program stops anywhere, here within a call. */
    struct inside inside =
        inside_build(&bytecode_workload, INSIDE_SETTINGS("bytecodes=251", "updates=20"), 1, 1, 401);
    assert_true(tm_get(inside.world->thread[0].context, depth) > 0);
    inside_expect_refusal(&inside, pc_changes);
    inside_expect_refusal(&inside, a_frame_forgets_its_caller);
    inside_expect_refusal(&inside, a_local_changes);
    inside_expect_refusal(&inside, an_attribute_changes_its_kind);
    inside_expect_refusal(&inside, a_reference_too_many);
    inside_expect_refusal(&inside, a_free_box_is_lost);
    inside_expect_refusal(&inside, a_free_list_has_a_loop);
    inside_expect_refusal(&inside, a_free_box_is_in_use);
    inside_expect_refusal(&inside, more_boxes_were_made);
    inside_expect_refusal(&inside, a_total_changes);
    inside_expect_refusal(&inside, a_counter_is_off_by_one);
    inside_free(&inside);
    inside = inside_build(&bytecode_workload,
                          INSIDE_SETTINGS("inline_cache=always", "counters=shared"), 1, 1, 100);
    inside_expect_refusal(&inside, a_cache_leads_elsewhere);
    inside_expect_refusal(&inside, a_use_is_lost);
    inside_expect_refusal(&inside, a_counter_is_off_by_one);
    inside_free(&inside);
    inside_check_ops(&bytecode_workload, INSIDE_SETTINGS("bytecodes=10"));
}

/* The same bytecodes, however they are cut into operations and blocks, and wherever boxes, names
 * and counts are kept. */
static void cuts_do_not_matter(void **state) {
    (void)state;
    static const struct {
        const char *bytecodes, *span, *freelist, *cache;
        uint64_t ops;
    } cuts[] = {
        {"bytecodes=1000", "span=0", "freelist=local", "inline_cache=none", 30},
        {"bytecodes=1000", "span=1", "freelist=global", "inline_cache=fill", 30},
        {"bytecodes=1000", "span=7", "freelist=engine", "inline_cache=miss", 30},
        {"bytecodes=30", "span=16", "freelist=local", "inline_cache=always", 1000},
        {"bytecodes=1", "span=999999", "freelist=local", "inline_cache=none", 30000},
    };
    uint64_t digests[sizeof cuts / sizeof *cuts];
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        const struct inside inside =
            inside_build(&bytecode_workload,
                         INSIDE_SETTINGS(cuts[i].bytecodes, cuts[i].span, cuts[i].freelist,
                                         cuts[i].cache, "updates=10"),
                         1, 3, cuts[i].ops);
        assert_true(inside_verifies(&inside, cuts[i].ops));
        digests[i] = bytecode_digest(inside.self, inside.world);
        inside_free(&inside);
        assert_true(digests[i] == digests[0]);
    }
}

/* The share of loops that update, objects of both classes, results that come from dictionaries. */
static void program_does_what_is_documented(void **state) {
    (void)state;
    const struct inside inside = inside_build(
        &bytecode_workload,
        INSIDE_SETTINGS("bytecodes=1000", "updates=25", "counters=local", "inline_cache=always"), 1,
        5, 1000);
    struct world *w = inside.world;
    const struct bytecode_thread *thread = &w->thread[0];
    const uint64_t loops = tm_get(thread->counter[MAIN], calls);
    const uint64_t circles = tm_get(thread->counter[CIRCLE_STEP], calls);
    const uint64_t mixes = tm_get(thread->counter[KERNEL_MIX], calls);
    assert_true(loops > 10000 && mixes >= loops && mixes <= loops + 1);
    assert_true(circles > loops * 45 / 100 && circles < loops * 55 / 100);
    unsigned before_update = 0;
    while (opcode_of(w->code[before_update]) != OP_UPDATE)
        before_update++;
    /* SCALE, two bytecodes before an update, is executed for updates only. */
    const uint64_t updates = tm_get(w->cache[before_update - 2], uses);
    assert_true(updates > loops * 23 / 100 && updates < loops * 27 / 100);
    /* Boxes are taken from the heap that setup made. */
    assert_int_equal(tm_get(thread->boxes, made), OBJECTS * OBJECT_SLOTS + STACK_MAX);
    inside_free(&inside);
}

static void shared_boxes_are_never_counted(void **state) {
    (void)state;
    const struct inside inside =
        inside_build(&bytecode_workload, INSIDE_SETTINGS("freelist=engine"), 1, 5, 100);
    assert_int_equal(tm_get(inside.world->global[0], references), BOX_IMMORTAL);
    assert_int_equal(tm_get(inside.world->none, references), BOX_IMMORTAL);
    inside_free(&inside);
}

/* A list that is full gives back to the engine, an empty one makes new boxes. */
static void lists_have_limits(void **state) {
    (void)state;
    struct tm_thread *self = tm_engine_descriptor.attach(0, true);
    const box_list_ref list = tm_new(self, struct box_list);
    enum { MANY = BOX_LIST_MAX + 3 * BOX_BATCH };
    static box_ref boxes[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        boxes[i] = box_new(self, list, true, BOX_INT, i);
        box_keep(self, boxes[i]);
    }
    assert_int_equal(tm_get(list, made), MANY);
    assert_int_equal(tm_get(list, length), 0);
    for (unsigned i = 0; i < MANY; i++) {
        box_release(self, list, true, boxes[i]);
        assert_int_equal(tm_get(boxes[i], value), i); /* somebody else holds it */
        box_release(self, list, true, boxes[i]);
    }
    assert_int_equal(tm_get(list, length), BOX_LIST_MAX);
    assert_int_equal(tm_get(list, made), BOX_LIST_MAX);
    box_list_free(self, list);
    tm_engine_descriptor.detach(self);
}

static void bytecode_repeats(void **state) {
    (void)state;
    inside_check_seeds(&bytecode_workload, INSIDE_SETTINGS("updates=30"), 300, bytecode_digest);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytecode_refuses),
        cmocka_unit_test(cuts_do_not_matter),
        cmocka_unit_test(program_does_what_is_documented),
        cmocka_unit_test(shared_boxes_are_never_counted),
        cmocka_unit_test(lists_have_limits),
        cmocka_unit_test(bytecode_repeats),
    };
    return cmocka_run_group_tests_name("bytecode from inside", tests, NULL, NULL);
}
