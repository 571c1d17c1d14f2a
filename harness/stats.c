/*
 * stats.c - medians and percentile bootstrap intervals.  See stats.h.
 *
 * Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13.
 *
 * A resample is never sorted: the samples are sorted once, a resample is how often each of them was
 * drawn, and its median is found by walking those counts in sorted order.  A round's numerator and
 * denominator share one count, which is what makes the ratio's interval a paired one.
 *
 * Running out of memory here means a few kilobytes were refused: the process aborts.
 */
#include "stats.h"

#include "splitmix.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *allocate(size_t n, size_t size) {
    void *p = calloc(n, size);
    if (p == NULL)
        abort();
    return p;
}

double stats_median(const double *x, size_t n) {
    assert(n > 0);
    double *sorted = allocate(n, sizeof *sorted);
    memcpy(sorted, x, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_doubles);
    const double median = n % 2 != 0 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
    free(sorted);
    return median;
}

/* A sample and the round it came from. */
struct ranked {
    double value;
    size_t round;
};

static int compare_ranked(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

/* x[n] in ascending order, each with its round; the caller frees it. */
static struct ranked *rank(const double *x, size_t n) {
    struct ranked *ranked = allocate(n, sizeof *ranked);
    for (size_t i = 0; i < n; i++)
        ranked[i] = (struct ranked){x[i], i};
    qsort(ranked, n, sizeof *ranked, compare_ranked);
    return ranked;
}

/* Median of the resample in which round r occurs drawn[r] times; the counts add up to n. */
static double resample_median(const struct ranked *ranked, const size_t *drawn, size_t n) {
    const size_t lower = (n - 1) / 2, upper = n / 2; /* the middle one, or the two middle ones */
    size_t seen = 0;
    double low_middle = 0;
    bool have_low = false;
    for (size_t i = 0; i < n; i++) {
        seen += drawn[ranked[i].round];
        if (!have_low && seen > lower) {
            low_middle = ranked[i].value;
            have_low = true;
        }
        if (seen > upper)
            return (low_middle + ranked[i].value) / 2;
    }
    return low_middle;
}

/* Draws n rounds of n with replacement. */
static void resample(size_t *drawn, size_t n, uint64_t *random) {
    memset(drawn, 0, n * sizeof *drawn);
    for (size_t i = 0; i < n; i++)
        drawn[(size_t)(((splitmix64(random) >> 32) * (uint64_t)n) >> 32)]++;
}

/* The interval from STATS_RESAMPLES replicates, which are sorted in place. */
static void take_interval(struct estimate *e, double *replicates) {
    /* With B replicates, the 0.025 quantile is the k-th smallest, k = 0.025 (B + 1). */
    const size_t k = (STATS_RESAMPLES + 1) / 40;
    qsort(replicates, STATS_RESAMPLES, sizeof *replicates, compare_doubles);
    e->low = replicates[k - 1];
    e->high = replicates[STATS_RESAMPLES - k];
    e->has_interval = isfinite(e->low) && isfinite(e->high);
}

/* Both estimates: a median when `denominator` is NULL, otherwise a ratio of medians. */
static struct estimate estimate(const double *numerator, const double *denominator, size_t n,
                                uint64_t seed) {
    assert(n > 0 && n <= UINT32_MAX);
    struct estimate e = {.value = stats_median(numerator, n)};
    if (denominator != NULL)
        e.value /= stats_median(denominator, n);
    e.low = e.high = e.value;
    if (n < STATS_SAMPLES_MIN)
        return e;

    struct ranked *above = rank(numerator, n);
    struct ranked *below = denominator != NULL ? rank(denominator, n) : NULL;
    size_t *drawn = allocate(n, sizeof *drawn);
    double *replicates = allocate(STATS_RESAMPLES, sizeof *replicates);
    uint64_t random = seed;
    for (size_t b = 0; b < STATS_RESAMPLES; b++) {
        resample(drawn, n, &random);
        replicates[b] = resample_median(above, drawn, n);
        if (below != NULL)
            replicates[b] /= resample_median(below, drawn, n);
    }
    take_interval(&e, replicates);
    free(replicates);
    free(drawn);
    free(below);
    free(above);
    return e;
}

struct estimate stats_median_ci95(const double *x, size_t n, uint64_t seed) {
    return estimate(x, NULL, n, seed);
}

struct estimate stats_ratio_ci95(const double *numerator, const double *denominator, size_t n,
                                 uint64_t seed) {
    assert(denominator != NULL);
    return estimate(numerator, denominator, n, seed);
}
