/*
 * test_validation.c - predicted against measured, on made-up cells whose answers are known: errors,
 * what is left out, ranks where intervals do and do not overlap, cells that one machine lacks.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "validation.h"

enum { CELLS_MAX = 32 };

static struct load_cell cells[CELLS_MAX];
static struct load_gap failures[CELLS_MAX];
static struct load_host hosts[3] = {
    {.machine = "native"},
    {.machine = "sim:a", .simulated = true},
    {.machine = "sim:b", .simulated = true},
};
static struct load load;
static struct validation v;
static char why[256];

static int start(void **state) {
    (void)state;
    load = (struct load){.cells = cells, .hosts = hosts, .hosts_count = 2, .failures = failures};
    return 0;
}

static int end(void **state) {
    (void)state;
    validation_free(&v);
    return 0;
}

/* A cell with an interval of 10 % around its time. */
static struct load_cell *add(size_t host, const char *workload, const char *engine,
                             unsigned threads, double ns) {
    struct load_cell *cell = &cells[load.cells_count++];
    assert_true(load.cells_count <= CELLS_MAX);
    *cell = (struct load_cell){.workload = workload,
                               .engine = engine,
                               .machine = hosts[host].machine,
                               .threads = threads,
                               .has_time = true,
                               .median_ns = ns,
                               .has_interval = true,
                               .low_ns = ns * 0.9,
                               .high_ns = ns * 1.1,
                               .host = host};
    return cell;
}

static void slowdown(size_t host, const char *workload, const char *engine, double value) {
    add(host, workload, engine, 1, 100 * value)->slowdown =
        (struct load_ratio){.present = true, .value = value};
}

static void scaling(size_t host, const char *workload, const char *engine, double value) {
    add(host, workload, engine, 2, 100 / value)->scaling =
        (struct load_ratio){.present = true, .value = value};
}

static void compare(void) {
    if (!validation_make(&v, &load, NULL, why, sizeof why))
        fail_msg("%s", why);
}

static bool near(double a, double b) { return fabs(a - b) < 1e-9; }

static void errors_are_relative_to_what_was_measured(void **state) {
    (void)state;
    slowdown(0, "bank", "norec", 2);
    slowdown(1, "bank", "norec", 3);
    slowdown(0, "dict", "norec", 4);
    slowdown(1, "dict", "norec", 3);
    slowdown(0, "intset", "norec", 5);
    slowdown(1, "intset", "norec", 5.5);
    scaling(0, "bank", "norec", 2);
    scaling(1, "bank", "norec", 0.5);
    compare();
    const struct validation_summary *s = &v.summary[VALIDATION_SLOWDOWN];
    assert_int_equal(v.points_count, 4);
    assert_int_equal(s->count, 3);
    assert_true(near(s->median, 0.25));
    assert_true(near(s->mean, (0.5 + 0.25 + 0.1) / 3));
    assert_true(near(s->worst, 0.5));
    assert_string_equal(s->worst_point->measured_cell->workload, "bank");
    assert_int_equal(s->beyond_25, 1); /* a quarter is not beyond it */
    assert_int_equal(s->beyond_50, 0);
    assert_int_equal(v.summary[VALIDATION_SCALING].count, 1);
    assert_true(near(v.summary[VALIDATION_SCALING].median, 0.75));
    assert_int_equal(v.summary[VALIDATION_SCALING].beyond_50, 1);
}

static void calibration_and_the_gil_on_one_thread_are_not_judged(void **state) {
    (void)state;
    slowdown(0, "null", "norec", 2);
    slowdown(1, "null", "norec", 20);
    slowdown(0, "counter:mode=shared", "norec", 2);
    slowdown(1, "counter:mode=shared", "norec", 20);
    slowdown(0, "bank", "gil:mode=section", 2);
    slowdown(1, "bank", "gil:mode=section", 20);
    slowdown(0, "bank", "gilded", 2);
    slowdown(1, "bank", "gilded", 2);
    scaling(0, "bank", "gil", 1);
    scaling(1, "bank", "gil", 1.2);
    compare();
    assert_int_equal(v.points_count, 5);
    assert_int_equal(v.summary[VALIDATION_SLOWDOWN].count, 1);
    assert_true(near(v.summary[VALIDATION_SLOWDOWN].worst, 0));
    assert_int_equal(v.summary[VALIDATION_SCALING].count, 1);
    assert_true(near(v.summary[VALIDATION_SCALING].worst, 0.2));
}

static void seq_is_no_prediction(void **state) {
    (void)state;
    slowdown(0, "bank", "seq", 1);
    slowdown(1, "bank", "seq", 1);
    slowdown(0, "bank", "norec", 2);
    slowdown(1, "bank", "norec", 2);
    compare();
    assert_int_equal(v.points_count, 1);
}

static void ranks_count_where_intervals_do_not_overlap(void **state) {
    (void)state;
    /* Measured: a < b for certain, b and c overlap, a < c for certain. */
    static const double measured[] = {1, 2, 2.2}, predicted[] = {1.5, 1.4, 9};
    static const char *const engines[] = {"a", "b", "c"};
    for (unsigned e = 0; e < 3; e++) {
        slowdown(0, "bank", engines[e], measured[e]);
        slowdown(1, "bank", engines[e], predicted[e]);
    }
    /* Another workload is another race. */
    slowdown(0, "dict", "a", 50);
    slowdown(1, "dict", "a", 50);
    compare();
    assert_int_equal(v.pairs_count, 2);
    assert_int_equal(v.pairs_alike, 1);
    for (size_t i = 0; i < v.pairs_count; i++) {
        assert_string_equal(v.pairs[i].faster->engine, "a");
        assert_int_equal(v.pairs[i].alike, strcmp(v.pairs[i].slower->engine, "c") == 0);
    }
}

static void cells_without_an_interval_have_no_rank(void **state) {
    (void)state;
    slowdown(0, "bank", "a", 1);
    slowdown(1, "bank", "a", 1);
    slowdown(0, "bank", "b", 9);
    slowdown(1, "bank", "b", 9);
    cells[0].has_interval = false;
    compare();
    assert_int_equal(v.pairs_count, 0);
}

static void missing_cells_are_told_with_their_reason(void **state) {
    (void)state;
    slowdown(0, "bank", "norec", 2);
    slowdown(1, "bank", "norec", 2);
    slowdown(0, "dict", "norec", 2);  /* failed when simulated */
    slowdown(1, "queue", "norec", 2); /* never run natively */
    slowdown(0, "intset", "norec", 2);
    slowdown(1, "intset", "norec", 2);
    cells[load.cells_count - 1].has_time = false;
    failures[0] = (struct load_gap){.workload = "dict",
                                    .engine = "norec",
                                    .machine = "sim:a",
                                    .reason = "it lost a key",
                                    .threads = 1};
    load.failures_count = 1;
    compare();
    assert_int_equal(v.points_count, 1);
    assert_int_equal(v.gaps_count, 3);
    assert_string_equal(v.gaps[0].machine, "sim:a");
    assert_string_equal(v.gaps[0].reason, "it lost a key");
    assert_string_equal(v.gaps[1].machine, "native");
    assert_string_equal(v.gaps[1].reason, "not in the file");
    assert_string_equal(v.gaps[2].reason, "no time in the file");
}

static void the_simulated_machine_must_be_clear(void **state) {
    (void)state;
    slowdown(0, "bank", "norec", 2);
    slowdown(1, "bank", "norec", 3);
    slowdown(2, "bank", "norec", 4);
    load.hosts_count = 3;
    assert_false(validation_make(&v, &load, NULL, why, sizeof why));
    assert_non_null(strstr(why, "several simulated machines"));
    validation_free(&v);
    assert_true(validation_make(&v, &load, "sim:b", why, sizeof why));
    assert_true(near(v.points[0].error, 1));
    validation_free(&v);
    assert_false(validation_make(&v, &load, "sim:c", why, sizeof why));
    assert_non_null(strstr(why, "no cells of sim:c"));
    validation_free(&v);
    hosts[0].machine = "sim:c";
    assert_false(validation_make(&v, &load, "sim:b", why, sizeof why));
    hosts[0].machine = "native";
    assert_non_null(strstr(why, "no native cells"));
}

static void nothing_in_common_is_refused(void **state) {
    (void)state;
    slowdown(0, "bank", "norec", 2);
    slowdown(1, "dict", "norec", 2);
    assert_false(validation_make(&v, &load, NULL, why, sizeof why));
    assert_non_null(strstr(why, "no cell has a ratio on both machines"));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)
    const struct CMUnitTest tests[] = {
        TEST(errors_are_relative_to_what_was_measured),
        TEST(calibration_and_the_gil_on_one_thread_are_not_judged),
        TEST(seq_is_no_prediction),
        TEST(ranks_count_where_intervals_do_not_overlap),
        TEST(cells_without_an_interval_have_no_rank),
        TEST(missing_cells_are_told_with_their_reason),
        TEST(the_simulated_machine_must_be_clear),
        TEST(nothing_in_common_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
