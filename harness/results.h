/*
 * results.h - renders the results file: Google Benchmark's JSON with our own keys beside it.
 *
 * harness/results.schema.json describes every key.  Numbers come from finished, verified samples
 * only.
 */
#ifndef ALLCORES_RESULTS_H
#define ALLCORES_RESULTS_H

#include "record.h"

/* The whole document for what `data` holds of the plan; `context` is env_capture's object
 * (borrowed; what simulating took is added to it).  A cell with a missing, failed or contained
 * sample has no entry in `benchmarks`.  A new reference; NULL when memory is out or a number has no
 * JSON form.  Pure but for that. */
json_t *results_render(const struct plan *plan, const struct run_data *data, json_t *context);

/* Writes the document to PATH by way of PATH.tmp: sync, rename, sync of the folder, so that at any
 * moment PATH is absent, the old file or the new one.  False and `why` on failure, with PATH.tmp
 * removed. */
bool results_write(const char *path, const json_t *document, char *why, size_t why_size);

#endif
