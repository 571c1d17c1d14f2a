/*
 * spec.h - from the words of the command line to the cells of a plan.
 *
 * An item is NAME[:parameter=value]..., a list is items separated by commas.  Every function
 * reports bad input as one line in `why` (what, where, and what would be right), returns false and
 * leaves its output as it was.  Not thread-safe (the registry sorts itself on first use).
 */
#ifndef ALLCORES_SPEC_H
#define ALLCORES_SPEC_H

#include "plan.h"

enum { SPEC_NAMES_MAX = 256, SPEC_WHY_SIZE = 512 };

/* What was asked for; NULL means the default.  The strings are read during the call only. */
struct spec {
    const char *engines;   /* default: every engine with its default options */
    const char *workloads; /* default: every workload with its default parameters */
    const char *threads;   /* "1,2,4", "1-8", "1,4-6"; default: spec_default_threads */
    const char *machine;   /* "native", "sim:PROFILE", or a list of these; default: "native" */
};

/*
 * Fills plan->cells and plan->count: machine by machine, workload by workload, engine by engine,
 * threads in the order given.  plan->overrides is there already and set for the simulated machines.
 *  Of an engine that is limited to fewer threads, the cells beyond its limit are part of
 * the plan (as unavailable) when threads were given, and left out when they were not.  The caller
 * owns the cells: plan_free.
 */
bool spec_cells(const struct spec *spec, struct plan *plan, char *why, size_t why_size);

/* A list of thread counts, each 1 .. limit, no count twice.  The caller frees *threads. */
bool spec_threads(const char *text, unsigned limit, unsigned **threads, size_t *count, char *why,
                  size_t why_size);

/* 1, 2, 4, ... up to the number of processors, and that number itself; in the same notation as on
 * the command line. */
void spec_default_threads(unsigned processors, char *text, size_t text_size);
/* The number of processors that this process may use, at least 1. */
unsigned spec_processors(void);

/* Whole numbers without sign or blanks, decimal; true when `low` <= value <= `high`. */
bool spec_whole(const char *text, uint64_t low, uint64_t high, uint64_t *value);
/* Decimal numbers (no sign but in the exponent, neither "nan" nor "inf"), low <= value <= high. */
bool spec_real(const char *text, double low, double high, double *value);

/* Names of what was linked, each once, sorted, ended by NULL; returns how many.  At most
 * SPEC_NAMES_MAX. */
size_t spec_engine_names(const char *names[SPEC_NAMES_MAX + 1]);
size_t spec_workload_names(const char *names[SPEC_NAMES_MAX + 1]);

/* A workload's descriptor by its name, or NULL.  (Each engine has a copy of its own of it; they
 * differ in the code they point to only.) */
const struct tm_workload *spec_workload(const char *name);

/* Why an engine variant cannot run on a machine (one line, static), or NULL.  `htm`: why there are
 * no hardware transactions, or NULL; of a simulated machine its profile decides. */
const char *spec_unavailable(const struct tm_engine *engine, const struct machine *machine,
                             const char *htm);
/* That reason for a simulated machine. */
const char *spec_htm_unavailable(const struct machine_description *description);

#endif
