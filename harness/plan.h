/*
 * plan.h - what is to be measured: the cells a command line asks for, and how.
 *
 * The front end (cli, spec) makes a plan, the runner carries it out.  A plan is immutable once it
 * has been made; it owns every string in it.
 */
#ifndef ALLCORES_PLAN_H
#define ALLCORES_PLAN_H

#include "cell.h"

enum { PLAN_VALUES_MAX = 16 }; /* parameters of one plug-in, at most */

struct plan_cell {
    char *name;     /* WORKLOAD[:k=v]/ENGINE[:k=v]/threads:N, parameters as they were given */
    char *workload; /* "counter:mode=shared", as given */
    char *engine;   /* "gil:mode=section", as given */
    const struct tm_workload *workload_plugin;
    const struct tm_engine *engine_plugin; /* the variant that the options select */
    const struct machine *machine;
    unsigned threads;
    union tm_value args[PLAN_VALUES_MAX];    /* parallel to workload_plugin->params, all of them */
    union tm_value options[PLAN_VALUES_MAX]; /* parallel to engine_plugin->options, all of them */
    const struct tm_cell
        *cell; /* NULL when not compiled for this machine: then `unavailable` is set */
    const char *unavailable; /* why it cannot run here (static), or NULL */
};

struct plan {
    struct plan_cell *cells; /* [count] */
    size_t count;
    unsigned repetitions; /* samples a cell, in all */
    double min_time_s;    /* length of one measured interval */
    uint64_t seed;        /* decides operation streams and the interleaving */
    const char *out;      /* results file, owned; the journal is beside it: OUT.journal */
    bool resume;
    bool quiet;
    bool latency; /* one more pass a cell that times single operations */
    int argc;     /* the command line, for the results file */
    char **argv;  /* [argc], owned; argv[0] is "allcores" */
};

/* Frees what the plan owns and empties it; the struct itself is the caller's.  An empty plan is
 * allowed. */
void plan_free(struct plan *plan);

#endif
