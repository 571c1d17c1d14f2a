/*
 * plan.h - what is to be measured: the cells a command line asks for, and how.
 *
 * The front end (cli, spec) makes a plan, the runner carries it out.  A plan is immutable once it
 * has been made; it owns every string in it.
 */
#ifndef ALLCORES_PLAN_H
#define ALLCORES_PLAN_H

#include "cell.h"

#include <jansson.h>

enum {
    PLAN_VALUES_MAX = 16,   /* parameters of one plug-in, at most */
    PLAN_OVERRIDES_MAX = 64 /* values of a profile that one run sets, at most */
};

struct plan_cell {
    char *name;     /* WORKLOAD[:k=v]/ENGINE[:k=v]/threads:N[/sim:PROFILE], as it was given */
    char *workload; /* "counter:mode=shared", as given */
    char *engine;   /* "gil:mode=section", as given */
    const struct tm_workload *workload_plugin;
    const struct tm_engine *engine_plugin; /* the variant that the options select */
    const struct machine *machine;
    char *place; /* "sim:PROFILE"; NULL: the machine's own name says it */
    /* "key=value" for the profile of a simulated machine, in order; owned by the plan */
    const char *const *overrides;
    size_t override_count;
    char **own_overrides; /* [override_count] when they are not those of the plan: owned */
    bool hypothetical;    /* a simulated machine that was never sold */
    unsigned threads;
    union tm_value args[PLAN_VALUES_MAX];    /* parallel to workload_plugin->params, all of them */
    union tm_value options[PLAN_VALUES_MAX]; /* parallel to engine_plugin->options, all of them */
    const struct tm_cell
        *cell; /* NULL when not compiled for this machine: then `unavailable` is set */
    const char *unavailable; /* why it cannot run here (static), or NULL */
};

#define PLAN_WARM_UP_MAX_S 10.0
struct plan {
    struct plan_cell *cells; /* [count] */
    size_t count;
    unsigned repetitions; /* samples a cell, in all */
    double min_time_s;    /* length of one measured interval, native */
    double sim_time_s;    /* the same of a simulated machine, virtual time */
    double warmup_s;      /* how long threads run before it, up to PLAN_WARM_UP_MAX_S; 0: as long
                             as caches need */
    char **overrides;     /* [override_count] of every simulated machine, owned */
    size_t override_count;
    unsigned jobs;   /* simulated samples at a time */
    uint64_t seed;   /* decides operation streams and the interleaving */
    const char *out; /* results file, owned; the journal is beside it: OUT.journal */
    bool resume;
    bool quiet;
    bool latency;       /* one more pass a cell that times single operations */
    json_t *experiment; /* that the cells are of, for the results file; a reference, or NULL */
    int argc;           /* the command line, for the results file */
    char **argv;        /* [argc], owned; argv[0] is "allcores" */
};

/* "native" or "sim:PROFILE", as the results call it.  Borrowed from the cell. */
const char *plan_cell_place(const struct plan_cell *cell);
/* PROFILE of a simulated machine, otherwise NULL.  Borrowed from the cell. */
const char *plan_cell_profile(const struct plan_cell *cell);
/* Does any cell of the plan run on a simulated machine?  On any other? */
bool plan_simulates(const struct plan *plan);
bool plan_measures(const struct plan *plan);

/* Frees what the plan owns and empties it; the struct itself is the caller's.  An empty plan is
 * allowed. */
void plan_free(struct plan *plan);

#endif
