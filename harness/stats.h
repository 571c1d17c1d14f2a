/*
 * stats.h - medians and bootstrap intervals.  Pure functions of their arguments: same input and
 * seed, same output.  Thread-safe.
 */
#ifndef ALLCORES_STATS_H
#define ALLCORES_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STATS_SAMPLES_MIN = 6, STATS_RESAMPLES = 2000 };

/* A value with its 95 % confidence interval; has_interval is false below STATS_SAMPLES_MIN samples.
 */
struct estimate {
    double value, low, high;
    bool has_interval;
};

/* Median of x[n], n > 0; the mean of the two middle ones when n is even.  x is not changed. */
double stats_median(const double *x, size_t n);

/* Median with the percentile bootstrap's 95 % interval (Efron & Tibshirani 1993, ch. 13). */
struct estimate stats_median_ci95(const double *x, size_t n, uint64_t seed);

/*
 * median(numerator) / median(denominator) where numerator[i] and denominator[i] come from the same
 * interleaved round: rounds are resampled as pairs, so drift that hits both cancels.
 */
struct estimate stats_ratio_ci95(const double *numerator, const double *denominator, size_t n,
                                 uint64_t seed);

#endif
