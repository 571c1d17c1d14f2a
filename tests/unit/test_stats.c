/*
 * test_stats.c - medians with known answers; how often an interval covers the truth, on made-up
 * data whose truth is known; pairing cancels drift that both series share.  All seeds are fixed.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stats.h"

enum { TRIALS = 1000, SAMPLES_MAX = 64 };

static uint64_t xorshift(uint64_t *s) {
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* Uniform in (0, 1). */
static double uniform(uint64_t *s) { return ((double)(xorshift(s) >> 11) + 0.5) * 0x1p-53; }

/* Exponential with median 1: skewed to the right, as run times are. */
static double skewed(uint64_t *s) { return -log(uniform(s)) / log(2.0); }

static double normal(uint64_t *s) {
    return sqrt(-2 * log(uniform(s))) * cos(2 * M_PI * uniform(s));
}

static void median_of_known_lists(void **state) {
    (void)state;
    assert_true(stats_median((const double[]){7}, 1) == 7);
    assert_true(stats_median((const double[]){3, 1}, 2) == 2);
    assert_true(stats_median((const double[]){9, 1, 5}, 3) == 5);
    assert_true(stats_median((const double[]){4, 1, 3, 2}, 4) == 2.5);
    assert_true(stats_median((const double[]){2, 2, 2, 2, 100}, 5) == 2);
    assert_true(stats_median((const double[]){-1, -3, -2}, 3) == -2);
}

static void input_is_left_alone(void **state) {
    (void)state;
    const double original[] = {5, 3, 8, 1, 9, 2, 7};
    double x[7];
    memcpy(x, original, sizeof x);
    stats_median(x, 7);
    stats_median_ci95(x, 7, 1);
    stats_ratio_ci95(x, x, 7, 1);
    assert_memory_equal(x, original, sizeof x);
}

static void fewer_than_six_samples_have_no_interval(void **state) {
    (void)state;
    const double x[] = {1, 2, 3, 4, 5, 6};
    for (size_t n = 1; n <= 6; n++) {
        assert_int_equal(stats_median_ci95(x, n, 1).has_interval, n == 6);
        assert_int_equal(stats_ratio_ci95(x, x, n, 1).has_interval, n == 6);
    }
    assert_true(stats_median_ci95(x, 5, 1).value == 3);
    assert_true(stats_ratio_ci95(x, (const double[]){2, 2, 2}, 3, 1).value == 1);
}

static void same_seed_same_interval(void **state) {
    (void)state;
    double x[20];
    uint64_t s = 4;
    for (size_t i = 0; i < 20; i++)
        x[i] = skewed(&s);
    const struct estimate a = stats_median_ci95(x, 20, 9), b = stats_median_ci95(x, 20, 9);
    assert_true(a.value == b.value && a.low == b.low && a.high == b.high);
    assert_true(a.low < a.value && a.value < a.high);
}

static void order_of_samples_does_not_move_the_median(void **state) {
    (void)state;
    const double up[] = {1, 2, 3, 4, 5, 6, 7, 8}, down[] = {8, 7, 6, 5, 4, 3, 2, 1};
    assert_true(stats_median_ci95(up, 8, 1).value == 4.5);
    assert_true(stats_median_ci95(down, 8, 1).value == 4.5);
}

static void constant_samples_have_an_interval_of_no_width(void **state) {
    (void)state;
    const double x[] = {3, 3, 3, 3, 3, 3}, y[] = {2, 2, 2, 2, 2, 2};
    const struct estimate m = stats_median_ci95(x, 6, 1), r = stats_ratio_ci95(x, y, 6, 1);
    assert_true(m.value == 3 && m.low == 3 && m.high == 3 && m.has_interval);
    assert_true(r.value == 1.5 && r.low == 1.5 && r.high == 1.5 && r.has_interval);
}

/*
 * The bootstrap distribution of a median can be counted: with n odd, a resample's median is at most
 * the j-th smallest when more than half of n draws fall among the j smallest.  For n = 11 and
 * samples 1..11 that gives P(<= 2) = 0.0072 and P(<= 3) = 0.0512 (binomial sums), so the 2.5 %
 * quantile is 3 and, by symmetry, the other end 9.
 */
static void interval_of_eleven_ranks_is_three_to_nine(void **state) {
    (void)state;
    double x[11];
    for (size_t i = 0; i < 11; i++)
        x[i] = (double)i + 1;
    for (uint64_t seed = 0; seed < 20; seed++) {
        const struct estimate e = stats_median_ci95(x, 11, seed);
        assert_true(e.value == 6);
        assert_true(e.low == 3 && e.high == 9);
    }
}

/* In percent: how many of TRIALS intervals of n samples contain the true median 1. */
static double coverage(size_t n, bool ratio) {
    unsigned covered = 0;
    uint64_t s = 77;
    for (unsigned t = 0; t < TRIALS; t++) {
        double x[SAMPLES_MAX], y[SAMPLES_MAX];
        for (size_t i = 0; i < n; i++) {
            x[i] = ratio ? exp(0.2 * normal(&s)) : skewed(&s);
            y[i] = exp(0.2 * normal(&s));
        }
        const struct estimate e = ratio ? stats_ratio_ci95(x, y, n, t) : stats_median_ci95(x, n, t);
        covered += e.low <= 1 && 1 <= e.high;
    }
    return 100.0 * covered / TRIALS;
}

/* 95 % is nominal; small samples of a discrete statistic stay within a few points of it. */
static void intervals_cover_the_truth(void **state) {
    (void)state;
    for (size_t n = 10; n <= 50; n += 20) {
        const double median = coverage(n, false), ratio = coverage(n, true);
        print_message("n = %zu: median covered in %.1f %%, ratio in %.1f %%\n", n, median, ratio);
        assert_true(median >= 91 && median <= 99);
        assert_true(ratio >= 91 && ratio <= 99);
    }
}

/* A wrong truth must be rejected, or the test above would pass for an interval of any width. */
static void intervals_exclude_what_is_not_true(void **state) {
    (void)state;
    uint64_t s = 5;
    double x[30], y[30];
    for (size_t i = 0; i < 30; i++) {
        x[i] = 2 + 0.1 * normal(&s);
        y[i] = 1 + 0.05 * normal(&s);
    }
    const struct estimate e = stats_ratio_ci95(x, y, 30, 1);
    assert_true(e.low > 1.8 && e.high < 2.2 && e.low < 2.0 && e.high > 1.9);
}

static void pairing_cancels_common_drift(void **state) {
    (void)state;
    uint64_t s = 11;
    double x[30], y[30], shuffled[30];
    for (size_t i = 0; i < 30; i++) {
        const double drift = 1 + (double)i / 10; /* the machine gets four times slower */
        x[i] = 3 * drift * (1 + 0.005 * normal(&s));
        y[i] = drift * (1 + 0.005 * normal(&s));
    }
    for (size_t i = 0; i < 30; i++)
        shuffled[i] = y[(i * 7 + 3) % 30];
    const struct estimate paired = stats_ratio_ci95(x, y, 30, 1);
    const struct estimate unpaired = stats_ratio_ci95(x, shuffled, 30, 1);
    assert_true(paired.low < 3 && 3 < paired.high);
    assert_true(paired.high - paired.low < 0.1);
    assert_true(unpaired.high - unpaired.low > 5 * (paired.high - paired.low));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(median_of_known_lists),
        cmocka_unit_test(input_is_left_alone),
        cmocka_unit_test(fewer_than_six_samples_have_no_interval),
        cmocka_unit_test(same_seed_same_interval),
        cmocka_unit_test(order_of_samples_does_not_move_the_median),
        cmocka_unit_test(constant_samples_have_an_interval_of_no_width),
        cmocka_unit_test(interval_of_eleven_ranks_is_three_to_nine),
        cmocka_unit_test(intervals_cover_the_truth),
        cmocka_unit_test(intervals_exclude_what_is_not_true),
        cmocka_unit_test(pairing_cancels_common_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
