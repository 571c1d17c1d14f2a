/*
 * test_results.c - what is rendered from known samples: times, ratios and their baselines,
 * failures; and that the file is replaced whole or not at all.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "env.h"
#include "results.h"
#include "runner_plan.h"
#include "stats.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct rendered {
    struct fake_plan fake;
    struct run_data data;
    json_t *document;
};

static void begin(struct rendered *r, unsigned repetitions) {
    memset(r, 0, sizeof *r);
    fake_plan_init(&r->fake, repetitions);
}

/* After the last cell was added. */
static void allocate(struct rendered *r) { assert_true(run_data_init(&r->data, &r->fake.plan)); }

static void put(struct rendered *r, size_t cell, unsigned pass, struct cell_sample sample) {
    struct record record = {.cell = cell, .pass = pass, .outcome = RECORD_OK, .sample = sample};
    record.start = pass / 3;
    assert_true(run_data_put(&r->data, &record));
}

static void put_failure(struct rendered *r, size_t cell, unsigned pass, enum record_outcome outcome,
                        const char *why) {
    struct record record = {.cell = cell, .pass = pass, .outcome = outcome};
    snprintf(record.sample.why, sizeof record.sample.why, "%s", why);
    assert_true(run_data_put(&r->data, &record));
}

/* Every pass of a cell: ns, ns + 1, ns + 2, ... */
static void put_all(struct rendered *r, size_t cell, double ns) {
    for (unsigned pass = 0; pass < r->fake.plan.repetitions; pass++)
        put(r, cell, pass, fake_sample(ns + pass));
}

static void render(struct rendered *r) {
    json_t *context = json_object();
    r->document = results_render(&r->fake.plan, &r->data, context);
    json_decref(context);
    assert_non_null(r->document);
}

static void end(struct rendered *r) {
    json_decref(r->document);
    run_data_free(&r->data);
}

static json_t *array_of(const struct rendered *r, const char *key) {
    json_t *array = json_object_get(r->document, key);
    assert_true(json_is_array(array));
    return array;
}

/* The entry of `cells` with this name. */
static json_t *cell_named(const struct rendered *r, const char *name) {
    size_t i;
    json_t *cell;
    json_array_foreach(array_of(r, "cells"), i, cell) {
        if (strcmp(json_string_value(json_object_get(cell, "name")), name) == 0)
            return cell;
    }
    return NULL;
}

static double number(const json_t *obj, const char *key) {
    const json_t *value = json_object_get(obj, key);
    if (!json_is_number(value))
        fail_msg("%s is no number", key);
    return json_number_value(value);
}

static bool is_null(const json_t *obj, const char *key) {
    return json_is_null(json_object_get(obj, key));
}

static void near(double got, double wanted) {
    if (!(fabs(got - wanted) <= 1e-9 * fabs(wanted)))
        fail_msg("got %.17g, wanted %.17g", got, wanted);
}

static size_t benchmarks_named(const struct rendered *r, const char *run_name) {
    size_t i, n = 0;
    json_t *entry;
    json_array_foreach(array_of(r, "benchmarks"), i, entry) n +=
        strcmp(json_string_value(json_object_get(entry, "run_name")), run_name) == 0;
    return n;
}

/* ---- times --------------------------------------------------------------------------------- */

static void a_cell_has_its_raw_samples_their_median_and_interval(void **state) {
    (void)state;
    struct rendered r;
    begin(&r, 7);
    fake_plan_add(&r.fake, &fake_seq, 1);
    allocate(&r);
    for (unsigned pass = 0; pass < 7; pass++) /* 10 16 15 14 13 12 11 */
        put(&r, 0, pass, fake_sample(pass == 0 ? 10 : 17 - pass));
    render(&r);
    json_t *cell = cell_named(&r, "work/seq/threads:1");
    near(number(cell, "median_ns"), 13);
    assert_int_equal(number(cell, "samples"), 7);
    assert_int_equal(number(cell, "verify_failed"), 0);
    const json_t *raw = json_object_get(cell, "raw_ns");
    assert_int_equal(json_array_size(raw), 7);
    near(json_number_value(json_array_get(raw, 1)), 16);
    const double x[] = {10, 16, 15, 14, 13, 12, 11};
    const struct estimate e = stats_median_ci95(x, 7, r.fake.plan.seed);
    near(json_number_value(json_array_get(json_object_get(cell, "ci95_ns"), 0)), e.low);
    near(json_number_value(json_array_get(json_object_get(cell, "ci95_ns"), 1)), e.high);
    assert_int_equal(number(cell, "ops"), 7000);
    assert_int_equal(number(cell, "commits"), 7000);
    assert_int_equal(number(json_object_get(cell, "ops_per_thread"), "min"), 500);
    assert_true(is_null(cell, "reads")); /* the engine does not count accesses */
    assert_true(is_null(cell, "latency_ns"));
    near(number(json_object_get(cell, "params"), "size"), 16);
    end(&r);
}

static void fewer_than_six_samples_have_no_interval(void **state) {
    (void)state;
    struct rendered r;
    begin(&r, 5);
    fake_plan_add(&r.fake, &fake_seq, 1);
    allocate(&r);
    put_all(&r, 0, 10);
    render(&r);
    json_t *cell = cell_named(&r, "work/seq/threads:1");
    near(number(cell, "median_ns"), 12);
    assert_true(is_null(cell, "ci95_ns"));
    assert_true(is_null(json_object_get(cell, "slowdown"), "ci95"));
    end(&r);
}

static void benchmarks_are_what_the_library_would_write(void **state) {
    (void)state;
    struct rendered r;
    begin(&r, 3);
    fake_plan_add(&r.fake, &fake_stm, 2);
    allocate(&r);
    put(&r, 0, 0, fake_sample(10));
    put(&r, 0, 1, fake_sample(20));
    put(&r, 0, 2, fake_sample(60));
    render(&r);
    json_t *all = array_of(&r, "benchmarks");
    assert_int_equal(json_array_size(all), 3 + 4);
    json_t *one = json_array_get(all, 1);
    assert_string_equal(json_string_value(json_object_get(one, "name")), "work/stm/threads:2");
    assert_string_equal(json_string_value(json_object_get(one, "run_type")), "iteration");
    assert_string_equal(json_string_value(json_object_get(one, "time_unit")), "ns");
    assert_int_equal(number(one, "repetition_index"), 1);
    assert_int_equal(number(one, "iterations"), 1000);
    near(number(one, "real_time"), 20);
    near(number(one, "cpu_time"), 20);
    static const struct {
        const char *name;
        double value;
    } aggregates[] = {
        {"mean", 30}, {"median", 20}, {"stddev", 26.457513110645905}, {"cv", 0.88191710368819686}};
    for (size_t i = 0; i < 4; i++) {
        char name[64];
        json_t *a = json_array_get(all, 3 + i);
        snprintf(name, sizeof name, "work/stm/threads:2_%s", aggregates[i].name);
        assert_string_equal(json_string_value(json_object_get(a, "name")), name);
        assert_string_equal(json_string_value(json_object_get(a, "aggregate_name")),
                            aggregates[i].name);
        near(number(a, "real_time"), aggregates[i].value);
    }
    end(&r);
}

/* ---- ratios -------------------------------------------------------------------------------- */

static void ratio(const json_t *cell, const char *key, double value, const char *baseline) {
    const json_t *obj = json_object_get(cell, key);
    if (obj == NULL)
        fail_msg("no %s", key);
    near(number(obj, "value"), value);
    assert_string_equal(json_string_value(json_object_get(obj, "baseline")), baseline);
}

/* Cells: 0 seq, 1 gil:mode=section, 2 gil, 3 gil at 2 threads, 4 stm, 5 stm at 2 threads.  Each is
 * one time throughout, so the ratios have known answers. */
static void make_matrix(struct rendered *r) {
    begin(r, 6);
    fake_plan_add(&r->fake, &fake_seq, 1);
    const size_t section = fake_plan_add(&r->fake, &fake_gil, 1);
    r->fake.cells[section].options[0].choice = 1;
    snprintf(r->fake.names[section], sizeof r->fake.names[section],
             "work/gil:mode=section/threads:1");
    fake_plan_add(&r->fake, &fake_gil, 1);
    fake_plan_add(&r->fake, &fake_gil, 2);
    fake_plan_add(&r->fake, &fake_stm, 1);
    fake_plan_add(&r->fake, &fake_stm, 2);
    allocate(r);
    static const double ns[] = {10, 16, 12, 15, 40, 24};
    for (size_t cell = 0; cell < 6; cell++)
        for (unsigned pass = 0; pass < 6; pass++)
            put(r, cell, pass, fake_sample(ns[cell]));
}

static void ratios_name_their_baselines(void **state) {
    (void)state;
    struct rendered r;
    make_matrix(&r);
    render(&r);
    const json_t *stm1 = cell_named(&r, "work/stm/threads:1");
    const json_t *stm2 = cell_named(&r, "work/stm/threads:2");
    ratio(stm1, "slowdown", 4, "work/seq/threads:1");
    assert_null(json_object_get(stm2, "slowdown"));
    ratio(stm2, "scaling", 40.0 / 24, "work/stm/threads:1");
    ratio(stm2, "speedup_over_gil", 0.5, "work/gil/threads:1");
    ratio(stm2, "ratio_to_gil_section", 16.0 / 24, "work/gil:mode=section/threads:1");
    ratio(cell_named(&r, "work/gil/threads:2"), "scaling", 0.8, "work/gil/threads:1");
    ratio(cell_named(&r, "work/gil:mode=section/threads:1"), "speedup_over_gil", 0.75,
          "work/gil/threads:1");
    ratio(cell_named(&r, "work/seq/threads:1"), "slowdown", 1, "work/seq/threads:1");
    end(&r);
}

static void samples_of_one_pass_are_paired(void **state) {
    (void)state;
    struct rendered r;
    begin(&r, 8);
    fake_plan_add(&r.fake, &fake_seq, 1);
    fake_plan_add(&r.fake, &fake_stm, 1);
    allocate(&r);
    for (unsigned pass = 0; pass < 8; pass++) { /* drift of 1:8, and always exactly twice as slow */
        put(&r, 0, pass, fake_sample(10 * (pass + 1)));
        put(&r, 1, pass, fake_sample(20 * (pass + 1)));
    }
    render(&r);
    const json_t *slowdown = json_object_get(cell_named(&r, "work/stm/threads:1"), "slowdown");
    near(number(slowdown, "value"), 2);
    near(json_number_value(json_array_get(json_object_get(slowdown, "ci95"), 0)), 2);
    near(json_number_value(json_array_get(json_object_get(slowdown, "ci95"), 1)), 2);
    end(&r);
}

static void other_work_is_no_baseline(void **state) {
    (void)state;
    struct rendered r;
    make_matrix(&r);
    r.fake.cells[0].args[0].i = 17;
    r.fake.cells[2].options[1].choice = 1; /* gil with barrier=gc is not the gil that is meant */
    render(&r);
    assert_null(json_object_get(cell_named(&r, "work/stm/threads:1"), "slowdown"));
    assert_null(json_object_get(cell_named(&r, "work/stm/threads:1"), "speedup_over_gil"));
    /* With the other barrier it is not the same engine at one thread, either. */
    assert_null(json_object_get(cell_named(&r, "work/gil/threads:2"), "scaling"));
    end(&r);
}

/* ---- failures ------------------------------------------------------------------------------ */

static void a_failed_cell_has_no_time_and_is_no_baseline(void **state) {
    (void)state;
    struct rendered r;
    begin(&r, 3);
    fake_plan_add(&r.fake, &fake_seq, 1);
    fake_plan_add(&r.fake, &fake_stm, 1);
    allocate(&r);
    put(&r, 0, 0, fake_sample(10));
    put_failure(&r, 0, 1, RECORD_WRONG, "sum is 3, not 4");
    put_all(&r, 1, 20);
    render(&r);
    const json_t *seq = cell_named(&r, "work/seq/threads:1");
    assert_true(is_null(seq, "median_ns"));
    assert_int_equal(json_array_size(json_object_get(seq, "raw_ns")), 0);
    assert_int_equal(number(seq, "samples"), 2);
    assert_int_equal(number(seq, "verify_failed"), 1);
    assert_int_equal(number(seq, "commits"), 1000); /* of the sample that was verified */
    assert_int_equal(benchmarks_named(&r, "work/seq/threads:1"), 0);
    assert_int_equal(benchmarks_named(&r, "work/stm/threads:1"), 3 + 4);
    assert_null(json_object_get(cell_named(&r, "work/stm/threads:1"), "slowdown"));
    json_t *failure = json_array_get(array_of(&r, "failures"), 0);
    assert_int_equal(json_array_size(array_of(&r, "failures")), 1);
    assert_string_equal(json_string_value(json_object_get(failure, "reason")), "sum is 3, not 4");
    assert_true(json_is_false(json_object_get(failure, "expected")));
    assert_int_equal(number(failure, "pass"), 1);
    end(&r);
}

static void races_are_counted_and_never_timed(void **state) {
    (void)state;
    struct rendered r;
    begin(&r, 4);
    fake_plan_add(&r.fake, &fake_unsafe, 1);
    fake_plan_add(&r.fake, &fake_unsafe, 2);
    const size_t lucky = fake_plan_add(&r.fake, &fake_unsafe, 4);
    allocate(&r);
    put_all(&r, 0, 10);
    put(&r, 1, 0, fake_sample(10));
    put_failure(&r, 1, 1, RECORD_CRASHED, "signal 11");
    put_failure(&r, 1, 2, RECORD_HUNG, "no end");
    put_failure(&r, 1, 3, RECORD_WRONG, "lost updates");
    put_all(&r, lucky, 10);
    render(&r);
    near(number(cell_named(&r, "work/nosync/threads:1"), "median_ns"), 11.5);
    const json_t *two = cell_named(&r, "work/nosync/threads:2");
    assert_true(is_null(two, "median_ns"));
    assert_int_equal(number(two, "samples"), 4);
    assert_int_equal(number(two, "verify_failed"), 3);
    const json_t *four = cell_named(&r, "work/nosync/threads:4");
    assert_true(is_null(four, "median_ns")); /* luck is no result */
    assert_int_equal(number(four, "verify_failed"), 0);
    assert_int_equal(benchmarks_named(&r, "work/nosync/threads:2"), 0);
    assert_int_equal(benchmarks_named(&r, "work/nosync/threads:4"), 0);
    assert_int_equal(json_array_size(array_of(&r, "failures")), 1);
    const json_t *failure = json_array_get(array_of(&r, "failures"), 0);
    assert_true(json_is_true(json_object_get(failure, "expected")));
    assert_int_equal(number(failure, "wrong"), 1);
    assert_int_equal(number(failure, "crashed"), 1);
    assert_int_equal(number(failure, "hung"), 1);
    end(&r);
}

static void an_unavailable_cell_is_listed_with_its_reason(void **state) {
    (void)state;
    struct rendered r;
    begin(&r, 1);
    fake_plan_add(&r.fake, &fake_seq, 1);
    r.fake.cells[fake_plan_add(&r.fake, &fake_stm, 2)].unavailable = "no transactions here";
    allocate(&r);
    put_all(&r, 0, 10);
    render(&r);
    assert_int_equal(json_array_size(array_of(&r, "cells")), 1);
    assert_int_equal(json_array_size(array_of(&r, "benchmarks")), 1); /* no aggregates of one */
    const json_t *entry = json_array_get(array_of(&r, "unavailable"), 0);
    assert_string_equal(json_string_value(json_object_get(entry, "engine")), "stm");
    assert_string_equal(json_string_value(json_object_get(entry, "reason")),
                        "no transactions here");
    end(&r);
}

/* ---- diagnostic passes --------------------------------------------------------------------- */

static void wasted_time_and_latency_come_from_their_own_passes(void **state) {
    (void)state;
    struct rendered r;
    begin(&r, 1);
    fake_plan_add(&r.fake, &fake_stm, 2);
    fake_plan_add(&r.fake, &fake_stm, 4);
    fake_plan_add(&r.fake, &fake_stm, 1);
    allocate(&r);
    put(&r, 2, 0, fake_sample(10)); /* no aborts: nothing can have been wasted */
    struct cell_sample s = fake_sample(10);
    s.stats.aborts[TM_VALIDATION] = 5;
    s.stats.counts_accesses = true;
    s.stats.reads = 99;
    put(&r, 0, 0, s);
    put(&r, 1, 0, s);
    struct record wasted = {.cell = 0, .kind = RECORD_WASTED, .outcome = RECORD_OK, .sample = s};
    wasted.sample.stats.wasted_ns = 5000; /* of 2 threads * 10000 ns */
    assert_true(run_data_put(&r.data, &wasted));
    wasted.cell = 1;
    wasted.sample.stats.wasted_ns = 0; /* aborts, and no time: this engine does not measure it */
    assert_true(run_data_put(&r.data, &wasted));
    struct record latency = {.cell = 0, .kind = RECORD_LATENCY, .outcome = RECORD_OK, .sample = s};
    latency.sample.latency_p50_ns = 50, latency.sample.latency_p99_ns = 99;
    latency.sample.latency_max_ns = 1000;
    assert_true(run_data_put(&r.data, &latency));
    render(&r);
    const json_t *two = cell_named(&r, "work/stm/threads:2");
    near(number(two, "wasted_ratio"), 0.25);
    assert_int_equal(number(json_object_get(two, "latency_ns"), "p99"), 99);
    assert_int_equal(number(two, "reads"), 99);
    assert_int_equal(number(json_object_get(two, "aborts"), "validation"), 5);
    assert_true(is_null(cell_named(&r, "work/stm/threads:4"), "wasted_ratio"));
    assert_true(number(cell_named(&r, "work/stm/threads:1"), "wasted_ratio") == 0);
    end(&r);
}

/* ---- the file ------------------------------------------------------------------------------ */

static char folder[] = "/tmp/allcores-results-XXXXXX";

static void a_file_is_replaced_whole_or_not_at_all(void **state) {
    (void)state;
    char path[128], temporary[160], why[512] = "";
    struct rlimit before;
    snprintf(path, sizeof path, "%s/out.json", folder);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    json_t *old = json_pack("{s:s}", "which", "old"), *new = json_object();
    for (int i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%d", i);
        json_object_set_new(new, key, json_integer(i));
    }
    assert_true(results_write(path, old, why, sizeof why));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit limit = {4096, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const bool written = results_write(path, new, why, sizeof why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(written);
    assert_non_null(strstr(why, path));
    assert_int_equal(access(temporary, F_OK), -1);
    json_t *read = json_load_file(path, 0, NULL);
    assert_true(json_equal(read, old));
    json_decref(read);
    assert_true(results_write(path, new, why, sizeof why));
    read = json_load_file(path, 0, NULL);
    assert_true(json_equal(read, new));
    json_decref(read);
    assert_false(results_write("/nonexistent/folder/out.json", old, why, sizeof why));
    assert_non_null(strstr(why, "No such file"));
    json_decref(old);
    json_decref(new);
    unlink(path);
}

static void the_context_describes_machine_and_build(void **state) {
    (void)state;
    struct fake_plan f;
    fake_plan_init(&f, 3);
    json_t *context = env_capture(&f.plan);
    assert_non_null(context);
    static const char *const keys[] = {
        "date",     "num_cpus",   "caches",       "load_avg",      "library_build_type",
        "compiler", "flags",      "git_revision", "cpu_model",     "kernel",
        "topology", "clock",      "governor",     "clock_cost_ns", "clock_resolution_ns",
        "aslr",     "hypervisor", "seed",         "repetitions",   "min_time_s"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (json_object_get(context, keys[i]) == NULL)
            fail_msg("no %s", keys[i]);
    assert_null(json_object_get(context, "host_name"));
    assert_string_equal(json_string_value(json_object_get(context, "command_line")),
                        "allcores run 'it'\\''s'");
    assert_true(number(context, "clock_cost_ns") > 0);
    assert_int_equal(number(context, "seed"), 7);
    json_decref(context);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cell_has_its_raw_samples_their_median_and_interval),
        cmocka_unit_test(fewer_than_six_samples_have_no_interval),
        cmocka_unit_test(benchmarks_are_what_the_library_would_write),
        cmocka_unit_test(ratios_name_their_baselines),
        cmocka_unit_test(samples_of_one_pass_are_paired),
        cmocka_unit_test(other_work_is_no_baseline),
        cmocka_unit_test(a_failed_cell_has_no_time_and_is_no_baseline),
        cmocka_unit_test(races_are_counted_and_never_timed),
        cmocka_unit_test(an_unavailable_cell_is_listed_with_its_reason),
        cmocka_unit_test(wasted_time_and_latency_come_from_their_own_passes),
        cmocka_unit_test(a_file_is_replaced_whole_or_not_at_all),
        cmocka_unit_test(the_context_describes_machine_and_build),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
