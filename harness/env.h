/*
 * env.h - the environment of a run, as far as it can move a time.
 */
#ifndef ALLCORES_ENV_H
#define ALLCORES_ENV_H

#include "plan.h"

#include <jansson.h>

/*
 * The `context` object of a results file: Google Benchmark's own keys (its host name is left out),
 * and ours.  What cannot be found out is null.  Takes some milliseconds: it measures the clock.  A
 * new reference; NULL when memory is out.  Call it from one thread.
 */
json_t *env_capture(const struct plan *plan);

#endif
