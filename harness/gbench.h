/*
 * gbench.h - Google Benchmark behind a C interface.
 *
 * The library measures nothing by itself here: a sample's time is the one that cell_measure took
 * ("manual time"), one iteration, one repetition, and the order of samples is the runner's, because
 * the library's own random interleaving cannot be seeded.  What it contributes is its report of a
 * run and its description of the machine, so that the results file is its format and not an
 * imitation.
 *
 * Not thread-safe: the library keeps its list of benchmarks in global state.
 */
#ifndef ALLCORES_GBENCH_H
#define ALLCORES_GBENCH_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Measures once.  Stores seconds per operation and returns true, or returns false and says why. */
typedef bool gbench_body(void *argument, double *seconds_per_op, char *why, size_t why_size);

/* Runs the body once as a benchmark of this name.  True: *real_ns is what the library reports as
 * the run's time.  False: `why` is the body's reason, or that the library did not run it. */
bool gbench_run(const char *name, gbench_body *body, void *argument, double *real_ns, char *why,
                size_t why_size);

/* The `context` object that the library writes into its own JSON files (date, num_cpus, caches,
 * load average, ...), as JSON text.  Freed by the caller with free(); NULL when memory is out. */
char *gbench_context(void);

#ifdef __cplusplus
}
#endif
#endif
