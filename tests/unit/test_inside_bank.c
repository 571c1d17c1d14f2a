/*
 * test_inside_bank.c - what bank's verification refuses, and that its runs repeat.
 */
#include "workload_inside.h"

#include "bank.c"

static uint64_t bank_digest(TM_SELF, struct world *w) {
    uint64_t digest = 0;
    for (uint64_t i = 0; i < w->accounts; i++)
        digest = inside_mix(digest, tm_get(w->account[i], balance));
    return digest;
}

static void money_appears(TM_SELF, struct world *w) {
    tm_set(w->account[3], balance, tm_get(w->account[3], balance) ^ 1);
}

/* The total stays as it was. */
static void account_is_overdrawn(TM_SELF, struct world *w) {
    static bool damaged;
    const uint64_t amount = damaged ? -UINT64_C(100000) : UINT64_C(100000);
    tm_set(w->account[0], balance, tm_get(w->account[0], balance) - amount);
    tm_set(w->account[1], balance, tm_get(w->account[1], balance) + amount);
    damaged = !damaged;
}

static void audit_saw_another_total(TM_SELF, struct world *w) { w->stats[0].bad_audits ^= 1; }

static void bank_refuses(void **state) {
    (void)state;
    const struct inside inside =
        inside_build(&bank_workload, INSIDE_SETTINGS("accounts=50"), 1, 1, 5000);
    inside_expect_refusal(&inside, money_appears);
    inside_expect_refusal(&inside, account_is_overdrawn);
    inside_expect_refusal(&inside, audit_saw_another_total);
    inside_free(&inside);
    inside_check_ops(&bank_workload, INSIDE_SETTINGS("audits=10"));
}

static void bank_audit_reports_a_wrong_total(void **state) {
    (void)state;
    const struct inside inside =
        inside_build(&bank_workload, INSIDE_SETTINGS("audits=100"), 1, 1, 1);
    struct tm_rand rng = {1};
    money_appears(inside.self, inside.world);
    bank_workload.loop(inside.self, inside.world, &rng, 3);
    money_appears(inside.self, inside.world);
    assert_true(inside.world->stats[0].bad_audits == 3);
    assert_false(inside_verifies(&inside, 4));
    inside_free(&inside);
}

static void bank_repeats(void **state) {
    (void)state;
    inside_check_seeds(&bank_workload, INSIDE_SETTINGS("audits=2"), 5000, bank_digest);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bank_refuses),
        cmocka_unit_test(bank_audit_reports_a_wrong_total),
        cmocka_unit_test(bank_repeats),
    };
    return cmocka_run_group_tests_name("bank from inside", tests, NULL, NULL);
}
