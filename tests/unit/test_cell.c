/*
 * test_cell.c - the measured interval: it begins for all threads at once and lasts as long as was
 * asked for, even where most threads spend their warm-up waiting for a lock; and the times of
 * single operations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "cell.h"

enum { VALUES_MAX = 16 };

static const uint64_t ms = 1000000;

/* counter on gil, whose threads wait interval_us for their turn; by time, 20 ms of each kind. */
static struct cell_sample measure_gil(unsigned threads, const char *interval_us, bool latency) {
    union tm_value args[VALUES_MAX], options[VALUES_MAX];
    const struct tm_cell *cell = cell_find("counter", "gil", NULL, "native");
    assert_non_null(cell);
    params_default(cell->workload->params, args);
    const struct tm_param *o = cell->engine->options;
    params_default(o, options);
    for (unsigned i = 0; o[i].name != NULL; i++) {
        char why[CELL_WHY_SIZE];
        if (strcmp(o[i].name, "interval_us") == 0)
            assert_true(param_parse(&o[i], interval_us, &options[i], why, sizeof why));
    }
    const struct cell_request request = {.cell = cell,
                                         .machine = machine_find("native"),
                                         .args = args,
                                         .options = options,
                                         .threads = threads,
                                         .seed = 11,
                                         .warmup_ns = 20 * ms,
                                         .interval_ns = 20 * ms,
                                         .latency = latency};
    struct cell_sample sample;
    if (!cell_measure(&request, &sample))
        fail_msg("%s", sample.why);
    return sample;
}

/*
 * With 4 threads and turns of 20 ms, the last thread gets its first turn 60 ms after the first one.
 * If it warmed up then, that would lengthen the interval to 80 ms and more without being counted.
 * A busy computer may lengthen an interval too, so one good try of several is enough.
 */
static void waiting_threads_do_not_warm_up_in_the_interval(void **state) {
    (void)state;
    enum { TRIES = 10 };
    uint64_t shortest = UINT64_MAX;
    for (int i = 0; i < TRIES && shortest >= 35 * ms; i++) {
        const struct cell_sample sample = measure_gil(4, "20000", false);
        assert_true(sample.elapsed_ns >= 20 * ms);
        assert_true(sample.ops_min > 0);
        shortest = sample.elapsed_ns < shortest ? sample.elapsed_ns : shortest;
    }
    assert_true(shortest < 35 * ms);
}

static void one_thread_measures_the_interval(void **state) {
    (void)state;
    const struct cell_sample sample = measure_gil(1, "5000", false);
    assert_true(sample.elapsed_ns >= 20 * ms);
    assert_true(sample.ops_min == sample.ops && sample.ops_max == sample.ops && sample.ops > 0);
}

/* Of four threads that take turns of 5 ms, far fewer than one operation in a hundred waits for one.
 */
static void latency_is_that_of_all_operations(void **state) {
    (void)state;
    const struct cell_sample sample = measure_gil(4, "5000", true);
    assert_true(sample.latency_p50_ns > 0);
    assert_true(sample.latency_p50_ns <= sample.latency_p99_ns);
    assert_true(sample.latency_p99_ns <= sample.latency_max_ns);
    assert_true(sample.latency_p99_ns < 1 * ms && sample.latency_max_ns > 4 * ms);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_threads_do_not_warm_up_in_the_interval),
        cmocka_unit_test(one_thread_measures_the_interval),
        cmocka_unit_test(latency_is_that_of_all_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
