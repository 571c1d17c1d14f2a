/*
 * validation.h - what a simulated machine predicts against what was measured, cell by cell: a pure
 * function of a loaded results file.
 *
 * A prediction is a ratio that the simulator gives for a cell: its slowdown (one thread), its
 * scaling and its speed-up over the GIL (more threads).  Times themselves are not compared: they
 * carry the error of the baseline in them.  The relative error is |predicted / measured - 1|.
 *
 * Judged is what counts in medians and ranks: not the workloads `null` and `counter`, with which a
 * profile may be calibrated, and not the GIL on one thread.
 *
 * Borrows from the load, which must live longer.  Not thread-safe.
 */
#ifndef ALLCORES_VALIDATION_H
#define ALLCORES_VALIDATION_H

#include "load.h"

enum validation_metric { VALIDATION_SLOWDOWN, VALIDATION_SCALING, VALIDATION_SPEEDUP };
enum { VALIDATION_METRICS = 3 };

extern const char *const validation_metric_names[VALIDATION_METRICS]; /* as in results files */

struct validation_point {
    enum validation_metric metric;
    const struct load_cell *measured_cell, *predicted_cell;
    const struct load_ratio *measured, *predicted;
    double error;
    const char *left_out; /* why it is not judged; NULL: it is */
};

/* A cell that one of the machines has no time of. */
struct validation_gap {
    const struct load_cell *cell; /* of the machine that has one */
    const char *machine;          /* the one that has none */
    const char *reason;
};

/* Two engines whose measured times differ for certain: their intervals do not overlap. */
struct validation_pair {
    const struct load_cell *faster, *slower; /* as measured */
    const struct load_cell *faster_predicted, *slower_predicted;
    bool alike; /* the simulator ranks them the same way */
};

struct validation_summary { /* of the judged points of a metric */
    size_t count, beyond_25, beyond_50;
    double median, mean, worst; /* relative errors; 0 when count is 0 */
    const struct validation_point *worst_point;
};

struct validation {
    const char *predicting; /* "sim:PROFILE" */
    const struct load_host *measured_host, *predicting_host;
    struct validation_point *points;
    size_t points_count;
    struct validation_gap *gaps;
    size_t gaps_count;
    struct validation_pair *pairs; /* of judged cells */
    size_t pairs_count, pairs_alike;
    struct validation_summary summary[VALIDATION_METRICS];
};

/*
 * Compares the native cells of the load with those of `machine` ("sim:PROFILE"; NULL: of the only
 * simulated machine in it).  False and one line in `why` when there is nothing to compare or memory
 * is out.  validation_free in any case.
 */
bool validation_make(struct validation *v, const struct load *load, const char *machine, char *why,
                     size_t size);
void validation_free(struct validation *v);

#endif
