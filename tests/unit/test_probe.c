/*
 * test_probe.c - the pure parts of `machine probe`: the pointer chase visits every line once before
 * it repeats, gaps of the timer are told from others, a cache keeps a power of two of sets, names.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probe.h"
#include "probe_kernels.h"

static void permutation_is_one_cycle(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 64, 1000, 16384};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint64_t seed = 1; seed <= 5; seed++) {
            const uint32_t n = sizes[s];
            uint32_t *next = malloc(n * sizeof *next);
            assert_non_null(next);
            probe_cycle(next, n, seed);
            uint32_t at = 0, steps = 0;
            do {
                assert_true(next[at] < n);
                at = next[at];
                steps++;
            } while (at != 0 && steps <= n);
            assert_int_equal(steps, n);
            free(next);
        }
}

static void permutation_is_random_and_of_its_seed(void **state) {
    (void)state;
    enum { N = 4096 };
    static uint32_t a[N], b[N], c[N];
    probe_cycle(a, N, 1);
    probe_cycle(b, N, 1);
    probe_cycle(c, N, 2);
    assert_memory_equal(a, b, sizeof a);
    unsigned same = 0, near = 0;
    for (uint32_t i = 0; i < N; i++) {
        same += a[i] == c[i];
        near += a[i] - i <= 8 || i - a[i] <= 8; /* a prefetcher would see it coming */
    }
    assert_true(same < N / 100);
    assert_true(near < N / 50);
}

/* Ticks every 4 ms of 3 us each, beside gaps of 40 us at odd times. */
static void gaps_of_the_timer_are_found(void **state) {
    (void)state;
    static struct probe_gaps gaps;
    static double lengths[PROBE_GAPS_MAX];
    const double tick = 4e6;
    double other = 123457;
    gaps.count = 0;
    for (unsigned i = 0; i < 250; i++) {
        gaps.start_ns[gaps.count] = 3.9e6 + i * tick + (i % 7) * 1000;
        gaps.length_ns[gaps.count++] = 3000 + i % 10;
        if (i % 2 == 0) {
            gaps.start_ns[gaps.count] = i * tick + fmod(other *= 1.61803, tick);
            gaps.length_ns[gaps.count++] = 40000;
        }
    }
    const size_t n = probe_periodic(&gaps, tick, lengths);
    assert_in_range(n, 250, 262);
    assert_true(lengths[n / 2] >= 3000 && lengths[n / 2] < 3010);
    assert_true(lengths[0] >= 3000);
    gaps.count = 0;
    assert_int_equal(probe_periodic(&gaps, tick, lengths), 0);
}

/* Around the end of the period, where the phase wraps. */
static void gaps_that_straddle_the_period_are_one_group(void **state) {
    (void)state;
    static struct probe_gaps gaps;
    static double lengths[PROBE_GAPS_MAX];
    gaps.count = 100;
    for (unsigned i = 0; i < 100; i++) {
        gaps.start_ns[i] = (i + 1) * 1e6 + (i % 2 == 0 ? -5000.0 : 5000.0);
        gaps.length_ns[i] = 1000;
    }
    assert_int_equal(probe_periodic(&gaps, 1e6, lengths), 100);
}

static void a_cache_has_a_power_of_two_of_sets(void **state) {
    (void)state;
    assert_int_equal(probe_ways(48 << 10, 64, 12), 12);
    assert_int_equal(probe_ways(32 << 10, 64, 8), 8);
    assert_int_equal(probe_ways((uint64_t)480 << 20, 64, 16), 15);
    assert_int_equal(probe_ways(0, 64, 8), 0);
    for (uint64_t kib = 16; kib <= 4096; kib += 16) {
        const unsigned ways = probe_ways(kib << 10, 64, 8);
        if (ways == 0)
            continue;
        const uint64_t sets = (kib << 10) / 64 / ways;
        assert_int_equal(sets * ways * 64, kib << 10);
        assert_int_equal(sets & (sets - 1), 0);
    }
}

static void names_come_from_the_path(void **state) {
    (void)state;
    char name[PROBE_NAME_SIZE];
    probe_name("this.json", name);
    assert_string_equal(name, "this");
    probe_name("/a/b.c/my machine.v2.json", name);
    assert_string_equal(name, "my-machine.v2");
    probe_name(".json", name);
    assert_string_equal(name, ".json");
    char path[200];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    probe_name(path, name);
    assert_int_equal(strlen(name), PROBE_NAME_SIZE - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permutation_is_one_cycle),
        cmocka_unit_test(permutation_is_random_and_of_its_seed),
        cmocka_unit_test(gaps_of_the_timer_are_found),
        cmocka_unit_test(gaps_that_straddle_the_period_are_one_group),
        cmocka_unit_test(a_cache_has_a_power_of_two_of_sets),
        cmocka_unit_test(names_come_from_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
