/*
 * test_claims.c - the claims that are compiled in, and the judging, on made-up results: every rule
 * can give every verdict; figures are found, combined and divided as the data says; wrong files are
 * refused.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "claim.h"

static char why[EXPERIMENT_WHY_SIZE];

/* ---- every rule can give every verdict ---------------------------------------------------------
 */

static struct claim_value exactly(double value) {
    return (struct claim_value){.present = true, .value = value, .low = value, .high = value};
}

static struct claim_value between(double low, double high) {
    return (struct claim_value){
        .present = true, .value = (low + high) / 2, .low = low, .high = high};
}

static double inside(const struct claim_range *r) {
    return isfinite(r->low) ? r->low : isfinite(r->high) ? r->high : 0;
}

static double outside(const struct claim_range *r) {
    assert_true(isfinite(r->low) || isfinite(r->high)); /* otherwise the rule cannot fail */
    return isfinite(r->high) ? r->high + 1 : r->low - 1;
}

/* Just beyond an end of what is reproduced, within what is partly so; false: there is no such. */
static bool partly(const struct claim_quantity *q, struct claim_value *value) {
    if (q->partly.high > q->reproduced.high) {
        *value = exactly(isfinite(q->partly.high) ? (q->reproduced.high + q->partly.high) / 2
                                                  : q->reproduced.high + 1);
        return true;
    }
    if (q->partly.low < q->reproduced.low) {
        *value = exactly(isfinite(q->partly.low) ? (q->reproduced.low + q->partly.low) / 2
                                                 : q->reproduced.low - 1);
        return true;
    }
    return false;
}

static void test_each_rule_can_give_each_verdict(void **state) {
    (void)state;
    unsigned pending = 0;
    for (const char *const *id = claim_ids(); *id != NULL; id++) {
        struct claim c;
        if (!claim_load(*id, &c, why, sizeof why))
            fail_msg("%s", why);
        assert_string_equal(c.id, *id);
        struct claim_value yes[CLAIM_QUANTITIES_MAX] = {0}, no[CLAIM_QUANTITIES_MAX] = {0}, some;
        for (unsigned i = 0; i < c.quantities; i++) {
            const struct claim_quantity *q = &c.quantity[i];
            yes[i] = exactly(inside(&q->reproduced));
            no[i] = exactly(outside(&q->partly));
            assert_int_equal(claim_judge_quantity(q, &yes[i]), CLAIM_REPRODUCED);
            assert_int_equal(claim_judge_quantity(q, &no[i]), CLAIM_NOT_REPRODUCED);
            const struct claim_value wide =
                between(fmin(yes[i].value, no[i].value), fmax(yes[i].value, no[i].value));
            assert_int_equal(claim_judge_quantity(q, &wide), CLAIM_INCONCLUSIVE);
            if (partly(q, &some))
                assert_int_equal(claim_judge_quantity(q, &some), CLAIM_PARTLY);
        }
        if (c.quantities == 0) {
            assert_int_equal(claim_judge(&c, yes), CLAIM_PENDING);
            assert_non_null(c.pending);
            pending++;
            claim_free(&c);
            continue;
        }
        assert_int_equal(claim_judge(&c, yes), CLAIM_REPRODUCED);
        assert_int_equal(claim_judge(&c, no), CLAIM_NOT_REPRODUCED);
        struct claim_value mixed[CLAIM_QUANTITIES_MAX];
        memcpy(mixed, yes, sizeof mixed);
        unsigned partlies = 0;
        for (unsigned i = 0; i < c.quantities; i++) {
            const struct claim_quantity *q = &c.quantity[i];
            mixed[i] = no[i];
            const bool refuted = claim_refutes(q) || c.quantities == 1;
            assert_int_equal(claim_judge(&c, mixed), refuted ? CLAIM_NOT_REPRODUCED : CLAIM_PARTLY);
            partlies += !refuted;
            if (partly(q, &mixed[i])) {
                assert_int_equal(claim_judge(&c, mixed), CLAIM_PARTLY);
                partlies++;
            }
            mixed[i] = yes[i];
        }
        assert_true(partlies > 0);
        mixed[0] = between(fmin(yes[0].value, no[0].value), fmax(yes[0].value, no[0].value));
        assert_int_equal(claim_judge(&c, mixed), CLAIM_INCONCLUSIVE);
        mixed[0].present = false;
        assert_int_equal(claim_judge(&c, mixed), CLAIM_NOT_TESTABLE);
        claim_free(&c);
    }
    assert_true(pending >= 1);
}

/* A rule that names a cell which its experiment does not have would be "not testable" for ever. */
static void test_each_quantity_has_its_cells(void **state) {
    (void)state;
    for (const char *const *id = claim_ids(); *id != NULL; id++) {
        struct claim c;
        assert_true(claim_load(*id, &c, why, sizeof why));
        for (unsigned i = 0; i < c.quantities; i++) {
            const struct claim_quantity *q = &c.quantity[i];
            if (q->explored)
                continue;
            struct experiment e;
            struct plan plan = {.overrides = calloc(PLAN_OVERRIDES_MAX, sizeof *plan.overrides)};
            assert_non_null(plan.overrides);
            if (!experiment_load(q->experiment, &e, why, sizeof why))
                fail_msg("%s: %s", c.id, why);
            if (!experiment_overrides(&e, &plan, why, sizeof why) ||
                !experiment_cells(&e, &plan, why, sizeof why)) {
                print_message("%s: %s\n", c.id, why); /* an engine that this build has not */
                plan_free(&plan);
                experiment_free(&e);
                continue;
            }
            for (unsigned side = 0; side < (q->is_ratio ? 2U : 1U); side++) {
                const struct claim_cells *cells = side == 0 ? &q->cells : &q->against;
                bool found = false;
                for (size_t k = 0; k < plan.count && !found; k++) {
                    char name[512];
                    const unsigned threads = plan.cells[k].threads;
                    bool counts = cells->threads_count == 0;
                    for (unsigned t = 0; t < cells->threads_count; t++)
                        counts |= cells->threads[t] == threads;
                    snprintf(name, sizeof name, "%s/%s/threads:%u",
                             strcmp(cells->workload, "*") == 0 ? "" : cells->workload,
                             cells->engine, threads);
                    found = counts && (strcmp(cells->engine, "*") == 0 ||
                                       strstr(plan.cells[k].name, name) != NULL ||
                                       (strchr(cells->engine, ',') != NULL &&
                                        strstr(cells->engine, plan.cells[k].engine) != NULL));
                }
                if (!found)
                    fail_msg("%s: %s: experiment %s has no cell %s/%s", c.id, q->name,
                             q->experiment, cells->workload, cells->engine);
            }
            plan_free(&plan);
            experiment_free(&e);
        }
        claim_free(&c);
    }
}

/* ---- figures from results ----------------------------------------------------------------------
 */

static struct load_cell cells[8];
static struct load_gap gaps[3];
static char host_label[] = "measured: native, a computer";
static struct load_host host = {.machine = "native", .label = host_label};

static struct load made_up(void) {
    static const double times[] = {10, 40, 20, 30};
    static const char *const workloads[] = {"a", "b", "a", "b"};
    for (unsigned i = 0; i < 4; i++)
        cells[i] = (struct load_cell){.workload = workloads[i],
                                      .engine = i < 2 ? "norec" : "gil",
                                      .threads = 1,
                                      .samples = 10,
                                      .has_time = true,
                                      .median_ns = times[i],
                                      .has_interval = true,
                                      .low_ns = times[i] * 0.9,
                                      .high_ns = times[i] * 1.1};
    cells[1].verify_failed = 3;
    gaps[0] = (struct load_gap){.workload = "c", .engine = "htm", .threads = 1, .reason = "no RTM"};
    gaps[1] =
        (struct load_gap){.workload = "b", .engine = "norec", .threads = 1, .reason = "wrong"};
    gaps[2] = (struct load_gap){.workload = "d", .engine = "norec", .threads = 1, .reason = "gone"};
    return (struct load){.cells = cells,
                         .cells_count = 4,
                         .failures = gaps + 1,
                         .failures_count = 2,
                         .hosts = &host,
                         .hosts_count = 1,
                         .unavailable = gaps,
                         .unavailable_count = 1};
}

static struct claim_value find(struct claim_quantity q) {
    const struct load load = made_up();
    struct claim_value v;
    claim_measure(&q, &load, &v);
    return v;
}

static bool near(double a, double b) { return fabs(a - b) < 1e-9 * fabs(b); }

static void test_figures_are_combined(void **state) {
    (void)state;
    struct claim_quantity q = {.measure = CLAIM_TIME,
                               .cells = {.engine = "norec", .workload = "*"}};
    assert_true(near(find(q).value, 25));
    assert_true(near(find(q).low, 9) && near(find(q).high, 44)); /* of both */
    q.take = CLAIM_MIN;
    assert_true(near(find(q).value, 10) && near(find(q).high, 11));
    q.take = CLAIM_MAX;
    assert_true(near(find(q).value, 40) && near(find(q).low, 36));
    q.take = CLAIM_GEOMEAN;
    assert_true(near(find(q).value, 20) && near(find(q).low, 18) && near(find(q).high, 22));
    assert_string_equal(find(q).machine, host_label);
    q.is_ratio = true;
    q.against = (struct claim_cells){.engine = "gil", .workload = "a"};
    assert_true(near(find(q).value, 1) && near(find(q).low, 18 / 22.0) &&
                near(find(q).high, 22 / 18.0));
    q.cells.threads[0] = 2;
    q.cells.threads_count = 1;
    assert_false(find(q).present);
}

static void test_wrong_results_count_and_gaps_are_told(void **state) {
    (void)state;
    struct claim_quantity q = {.measure = CLAIM_WRONG, .cells = {.engine = "*", .workload = "*"}};
    assert_true(find(q).value == 2); /* b, whose samples failed, once; d, which has none */
    q.cells.engine = "gil";
    assert_true(find(q).present && find(q).value == 0);
    q.measure = CLAIM_SAMPLES;
    assert_true(find(q).value == 20);
    q.cells = (struct claim_cells){.engine = "htm", .workload = "c"};
    assert_false(find(q).present);
    assert_string_equal(find(q).why, "no RTM");
}

/* What is settled stays so, whatever an inconclusive quantity may turn out to be. */
static void test_partly_is_settled(void **state) {
    (void)state;
    struct claim c = {.quantities = 3};
    for (unsigned i = 0; i < 3; i++)
        c.quantity[i] =
            (struct claim_quantity){.reproduced = {2, INFINITY}, .partly = {1, INFINITY}};
    struct claim_value v[3] = {exactly(3), exactly(0.5), between(0.5, 3)};
    assert_int_equal(claim_judge(&c, v), CLAIM_PARTLY);
    v[1] = exactly(3);
    assert_int_equal(claim_judge(&c, v), CLAIM_INCONCLUSIVE);
    v[1] = exactly(1.5);
    assert_int_equal(claim_judge(&c, v), CLAIM_PARTLY);
    c.quantity[0].decides = true;
    v[0] = exactly(0.5);
    assert_int_equal(claim_judge(&c, v), CLAIM_NOT_REPRODUCED);
    v[2].present = false;
    assert_int_equal(claim_judge(&c, v), CLAIM_NOT_REPRODUCED);
    v[0] = between(0.5, 1.5);
    assert_int_equal(claim_judge(&c, v), CLAIM_NOT_TESTABLE);
}

static void test_single_samples_and_lists(void **state) {
    (void)state;
    struct claim_quantity q = {.measure = CLAIM_TIME,
                               .take = CLAIM_MAX,
                               .cells = {.engine = "gil,norec", .workload = "*"}};
    assert_true(near(find(q).value, 40) && !find(q).guessed);
    q.cells.engine = "hybrid,gil";
    assert_true(near(find(q).value, 30));
    q.cells.engine = "nore,orec,norecc";
    assert_false(find(q).present);
    const struct load load = made_up();
    cells[3].has_interval = false; /* one sample: judged as if it were 10 % off */
    q.cells.engine = "gil";
    struct claim_value v;
    claim_measure(&q, &load, &v);
    assert_true(v.guessed && near(v.value, 30) && near(v.low, 27) && near(v.high, 33));
    cells[0].samples = 3;
    q = (struct claim_quantity){
        .measure = CLAIM_SAMPLES, .take = CLAIM_MIN, .cells = {.engine = "*", .workload = "*"}};
    claim_measure(&q, &load, &v);
    assert_true(v.value == 13); /* norec's */
}

static void test_explorations_are_counted(void **state) {
    (void)state;
    json_t *summary = json_loads(
        "{\"check\": ["
        "{\"engine\": \"gil\", \"result\": \"ok\", \"schedules\": 103, \"unjudged\": 3},"
        "{\"engine\": \"norec\", \"result\": \"dirty read\", \"schedules\": 7, \"unjudged\": 0}]}",
        0, NULL);
    struct claim_quantity q = {
        .explored = true, .measure = CLAIM_WRONG, .cells = {.engine = "*", .workload = "*"}};
    struct claim_value v;
    claim_measure_explored(&q, summary, &v);
    assert_true(v.present && v.value == 1 && v.low == 1 && v.high == 1);
    assert_non_null(strstr(v.machine, "simulated"));
    q.measure = CLAIM_SAMPLES;
    claim_measure_explored(&q, summary, &v);
    assert_true(v.value == 107);
    q.cells.engine = "gil";
    claim_measure_explored(&q, summary, &v);
    assert_true(v.value == 100);
    q.measure = CLAIM_WRONG;
    claim_measure_explored(&q, summary, &v);
    assert_true(v.present && v.value == 0);
    q.cells.engine = "c7"; /* nothing wrong, but nothing tried either */
    claim_measure_explored(&q, summary, &v);
    assert_false(v.present);
    claim_measure_explored(&q, NULL, &v);
    assert_false(v.present);
    q = (struct claim_quantity){.explored = true,
                                .measure = CLAIM_SAMPLES,
                                .take = CLAIM_MIN,
                                .cells = {.engine = "*", .workload = "*"}};
    claim_measure_explored(&q, summary, &v);
    assert_true(v.value == 7);
    json_t *crashed = json_pack("{s:s, s:b}", "why", "a signal", "crashed", 1);
    claim_measure_explored(&q, crashed, &v);
    assert_false(v.present);
    assert_string_equal(v.why, "a signal");
    q.measure = CLAIM_WRONG;
    claim_measure_explored(&q, crashed, &v);
    assert_true(v.present && v.value == 1);
    json_decref(crashed);
    json_decref(summary);
}

/* Claims that share an exploration's file must mean the same by it, and no experiment is in it. */
static void test_explorations_are_the_same_everywhere(void **state) {
    (void)state;
    static struct claim all[64];
    unsigned n = 0, shared = 0;
    for (const char *const *id = claim_ids(); *id != NULL; id++)
        assert_true(claim_load(*id, &all[n++], why, sizeof why));
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < all[i].explorations; k++) {
            const struct claim_exploration *x = &all[i].exploration[k];
            for (const char *const *name = experiment_names(); *name != NULL; name++)
                assert_string_not_equal(*name, x->name);
            for (unsigned j = 0; j < i; j++)
                for (unsigned m = 0; m < all[j].explorations; m++) {
                    const struct claim_exploration *y = &all[j].exploration[m];
                    if (strcmp(x->name, y->name) != 0)
                        continue;
                    shared++;
                    assert_int_equal(x->schedules, y->schedules);
                    assert_int_equal(x->quick_schedules, y->quick_schedules);
                    assert_string_equal(x->engines != NULL ? x->engines : "",
                                        y->engines != NULL ? y->engines : "");
                    assert_string_equal(x->program != NULL ? x->program : "",
                                        y->program != NULL ? y->program : "");
                }
        }
    assert_true(shared > 0);
    for (unsigned i = 0; i < n; i++)
        claim_free(&all[i]);
}

/* ---- files -------------------------------------------------------------------------------------
 */

static void test_wrong_files_are_refused(void **state) {
    (void)state;
#define HEAD                                                                                       \
    "{\"id\": \"x\", \"statement\": \"s\", \"source\": \"s\", \"published\": \"p\", "              \
    "\"false_if\": \"f\", \"explanation\": \"e\", "
#define QUANTITY(of, ranges)                                                                       \
    HEAD "\"experiments\": [\"gil-flat\"], \"quantities\": [{\"name\": \"n\", \"experiment\": "    \
         "\"gil-flat\", \"measure\": \"time\", \"of\": " of ", " ranges "}]}"
#define EXPLORED(schedules, measure, of)                                                           \
    HEAD "\"experiments\": [], \"explorations\": [{\"name\": \"all\", " schedules                  \
         "}], \"quantities\": [{\"name\": \"n\", \"experiment\": \"all\", \"measure\": \"" measure \
         "\", \"of\": " of ", " RANGES "}]}"
#define OF "{\"engine\": \"gil\", \"workload\": \"*\"}"
#define RANGES "\"reproduced\": [1, 2], \"partly\": [0, null]"
    static const struct {
        const char *text, *expected;
    } files[] = {
        {"{", "x:"},
        {HEAD "\"experiments\": []}", "quantities"},
        {HEAD "\"experiments\": [], \"quantities\": []}", "unless the claim is pending"},
        {HEAD "\"experiments\": [], \"quantities\": [], \"pendign\": \"x\"}", "pendign"},
        {QUANTITY("{\"engine\": \"gil\"}", RANGES), "workload"},
        {QUANTITY("{\"engine\": \"gil\", \"workload\": \"*\", \"take\": \"mean\"}", RANGES),
         "did you mean median"},
        {QUANTITY("{\"engine\": \"gil\", \"workload\": \"*\", \"threads\": [0]}", RANGES),
         "from 1 to 1024"},
        {QUANTITY(OF, "\"reproduced\": [2, 1], \"partly\": [0, 3]"), "end before it begins"},
        {QUANTITY(OF, "\"reproduced\": [1, 4], \"partly\": [0, 3]"), "must lie within"},
        {QUANTITY(OF, "\"reproduced\": [1], \"partly\": [0, 3]"), "[LOW, HIGH]"},
        {HEAD "\"figure\": \"other\", \"experiments\": [\"gil-flat\"], \"quantities\": []}",
         "one of the experiments, or runs"},
        {HEAD "\"experiments\": [\"a\"], \"charts\": [\"b\"], \"quantities\": []}",
         "among the experiments"},
        {EXPLORED("\"schedules\": 1, \"quick_schedules\": 2", "wrong", OF), "as many schedules"},
        {EXPLORED("\"schedules\": 2, \"quick_schedules\": 0", "wrong", OF), "1 or more"},
        {EXPLORED("\"schedules\": 2, \"quick_schedules\": 1", "time", OF), "wrong or samples"},
        {EXPLORED("\"schedules\": 2, \"quick_schedules\": 1", "wrong",
                  "{\"engine\": \"gil\", \"workload\": \"bank\"}"),
         "no workloads"},
        {HEAD "\"experiments\": [\"bank\"], \"explorations\": [{\"name\": \"bank\", "
              "\"schedules\": 1, \"quick_schedules\": 1}], \"quantities\": []}",
         "that of another experiment"},
    };
    struct claim c;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_false(claim_parse_text("x", files[i].text, &c, why, sizeof why));
        if (strstr(why, files[i].expected) == NULL)
            fail_msg("file %zu: '%s' does not say '%s'", i, why, files[i].expected);
    }
    if (!claim_parse_text("x", EXPLORED("\"schedules\": 2, \"quick_schedules\": 1", "wrong", OF),
                          &c, why, sizeof why))
        fail_msg("%s", why);
    assert_true(c.quantity[0].explored && c.exploration[0].schedules == 2);
    claim_free(&c);
    if (!claim_parse_text("x", QUANTITY(OF, RANGES), &c, why, sizeof why))
        fail_msg("%s", why);
    assert_true(isinf(c.quantity[0].partly.high));
    claim_free(&c);
    assert_false(claim_load("gil-falt", &c, why, sizeof why));
    assert_non_null(strstr(why, "did you mean gil-flat?"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule_can_give_each_verdict),
        cmocka_unit_test(test_each_quantity_has_its_cells),
        cmocka_unit_test(test_figures_are_combined),
        cmocka_unit_test(test_wrong_results_count_and_gaps_are_told),
        cmocka_unit_test(test_partly_is_settled),
        cmocka_unit_test(test_single_samples_and_lists),
        cmocka_unit_test(test_explorations_are_counted),
        cmocka_unit_test(test_explorations_are_the_same_everywhere),
        cmocka_unit_test(test_wrong_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
