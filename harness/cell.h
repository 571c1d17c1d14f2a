/*
 * cell.h - the one adapter between a compiled cell (workload x engine x machine) and whoever runs
 * it: the benchmark and the conformance tests alike, so that what is measured is what was verified.
 */
#ifndef ALLCORES_CELL_H
#define ALLCORES_CELL_H

#include "common.h"
#include "machine.h"
#include "plugin.h"

enum { CELL_THREADS_MAX = 1024, CELL_WHY_SIZE = 256, CELL_LATENCY_SAMPLES = 4096 };

/*
 * One measurement.  On a simulated machine all times are virtual.
 */
struct cell_request {
    const struct tm_cell *cell;
    const struct machine *machine;
    const union tm_value *args; /* of the workload, parallel to its params; NULL if it has none */
    const union tm_value *options; /* of the engine, parallel to its options; NULL if it has none */
    const char *profile;           /* of a simulated machine; NULL otherwise */
    const char *const *overrides;  /* [override_count] "key=value", applied to the profile */
    size_t override_count;
    unsigned threads;        /* 1 .. CELL_THREADS_MAX */
    uint64_t seed;           /* decides the operation stream of every thread */
    uint64_t ops_per_thread; /* > 0: that many operations each, no warm-up; 0: by time */
    uint64_t warmup_ns;      /* by time: all run this long before the interval; counted for
                                all threads from the opening of the start barrier */
    uint64_t interval_ns;    /* by time: length of the measured interval */
    bool timed;              /* have the engine measure wasted_ns (diagnostic pass) */
    bool latency;            /* time single operations (diagnostic pass): fills latency */
};

/* What came of it.  Plain data, owned by the caller. */
struct cell_sample {
    bool ok;
    char why[CELL_WHY_SIZE]; /* one line when !ok */
    uint64_t elapsed_ns;     /* first thread's start to last thread's end */
    uint64_t cpu_ns;         /* processor time of all threads in it; 0: machine has no such clock */
    uint64_t ops;            /* operations that all threads completed in it */
    uint64_t ops_min, ops_max; /* of the threads */
    struct tm_stats stats; /* sum over the threads (set maxima: largest), of the same interval */
    uint64_t rss_bytes;    /* resident set of the process behind the interval */
    uint64_t latency_p50_ns, latency_p99_ns, latency_max_ns; /* only with `latency` */
    /* What the simulation took, for judging the simulator; 0 on other machines.  host_ns is
     * processor time of the process that simulates, the only figure here that differs between equal
     * runs. */
    uint64_t host_ns, accesses, switches;
    uint64_t instructions; /* simulated ones, setup and verification included; not recorded */
    /* Hardware transactions as the simulated machine counts them, from its start to its end. */
    struct cell_transactions {
        uint64_t begins, commits, wasted_ns;
        uint64_t aborts[MACHINE_TX_CAUSES];
    } transactions;
};

/* In the order of the causes; in files and tables. */
extern const char *const cell_transaction_causes[MACHINE_TX_CAUSES];

/*
 * Runs setup, the threads, verify and teardown once.  Returns sample->ok.  Not thread-safe: one
 * measurement at a time in a process.
 */
bool cell_measure(const struct cell_request *request, struct cell_sample *sample);

/* What was linked.  Arrays end with NULL; order is by name. */
const struct tm_cell *const *cells_all(void);
const struct tm_engine *const *engines_all(void); /* one entry per variant */
const struct machine *const *machines_all(void);

/* The cell for this workload, engine and variant (NULL: default build) on this machine, or NULL. */
const struct tm_cell *cell_find(const char *workload, const char *engine, const char *variant,
                                const char *machine);

/* The variant an engine has for these option values: the descriptor whose `variant` names one of
 * them, otherwise the default build.  `options` parallel to the engine's options, may be NULL. */
const struct tm_engine *engine_variant(const char *engine, const union tm_value *options);

const struct machine *machine_find(const char *name);

/* Default values of a parameter list into values[]; returns how many there are. */
unsigned params_default(const struct tm_param *params, union tm_value *values);
/* Parses one value.  False when it does not fit the type or range (what would be right goes to
 * why). */
bool param_parse(const struct tm_param *param, const char *text, union tm_value *value, char *why,
                 size_t why_size);

#endif
