/*
 * record.h - one finished sample, what is known of a whole run, and both as JSON.
 *
 * A record is what a worker reports, what the journal holds a line of, and what the results file is
 * rendered from.  Functions are thread-safe as long as their arguments are not shared.
 */
#ifndef ALLCORES_RECORD_H
#define ALLCORES_RECORD_H

#include "plan.h"

#include <jansson.h>

/* What a sample was taken for.  Only the first kind is ever a time. */
enum record_kind {
    RECORD_TIMED,   /* a sample of the cell's time */
    RECORD_WASTED,  /* diagnostic pass: the engine measured the time of aborted executions */
    RECORD_LATENCY, /* diagnostic pass: single operations were timed */
    RECORD_KINDS
};

enum record_outcome {
    RECORD_MISSING, /* not measured; never written to a journal */
    RECORD_OK,      /* measured and verified */
    RECORD_WRONG,   /* it said itself what was wrong: a failed verification, setup or start */
    RECORD_CRASHED, /* the process died */
    RECORD_HUNG,    /* the time limit ran out */
    RECORD_OUTCOMES
};

struct record {
    size_t cell;   /* index into the plan's cells */
    unsigned pass; /* 0 .. repetitions-1; 0 in diagnostic passes */
    enum record_kind kind;
    enum record_outcome outcome;
    unsigned start;            /* number of the process start that measured it */
    struct cell_sample sample; /* numbers when RECORD_OK, `why` otherwise */
};

/* Everything that is known of the execution of one plan.  Owned by one thread. */
struct run_data {
    size_t cells;
    unsigned repetitions;
    unsigned starts;              /* process starts so far */
    struct record *timed;         /* [cells * repetitions], a cell's passes side by side */
    struct record *wasted;        /* [cells] */
    struct record *latency;       /* [cells] */
    const struct record **failed; /* [cells] the first failed timed sample that was put, or NULL */
};

/* Empty data for the plan; false when memory is out.  run_data_free is allowed after both. */
bool run_data_init(struct run_data *data, const struct plan *plan);
void run_data_free(struct run_data *data);

/* The slot of a record, which must lie inside of the plan.  Owned by data. */
struct record *run_data_slot(const struct run_data *data, size_t cell, unsigned pass,
                             enum record_kind kind) __attribute__((returns_nonnull));

/* Stores a finished record and raises `starts` above its start.  False when it lies outside of the
 * plan or its slot is taken. */
bool run_data_put(struct run_data *data, const struct record *record);

/* The first timed sample of this cell that did not succeed, in pass order; NULL when there is none.
 */
const struct record *run_data_failure(const struct run_data *data, size_t cell);

/* Wrong results, crashes and hangs are outcomes of this cell and no failures of the run: several
 * threads without synchronisation. */
bool plan_cell_contained(const struct plan_cell *cell);

/* Samples of this cell are simulated: nothing is timed, so they may be taken in any order and side
 * by side, and each in a process of its own. */
bool plan_cell_simulated(const struct plan_cell *cell);

/* "VAR=value" when the engine needs that in its environment before the process starts.  False: no
 * need.
 */
bool plan_cell_environment(const struct plan_cell *cell, char *text, size_t text_size);

/* ---- JSON.  Functions that return json_t * return a new reference, or NULL when memory is out or
 * a number has no JSON form. ----------------------------------------------------------------------
 */

/* obj[key] = value, which is stolen.  False when value is NULL or memory is out. */
bool json_put(json_t *obj, const char *key, json_t *value);
/* An integer; NULL above 2^63-1, where jansson would wrap. */
json_t *json_u64(uint64_t value);

/* All values of a parameter list as an object: name -> number or the choice's text. */
json_t *params_to_json(const struct tm_param *params, const union tm_value *values);

/* What was set of the profiles, as an array of "key=value". */
json_t *overrides_to_json(const struct plan_cell *cell);
json_t *plan_overrides_to_json(const struct plan *plan);

const char *record_kind_name(enum record_kind kind);
const char *record_outcome_name(enum record_outcome outcome);

json_t *sample_to_json(const struct cell_sample *sample);
/* Causes that occurred -> counts; NULL when memory is out. */
json_t *transaction_aborts_to_json(const struct cell_transactions *t);
bool sample_from_json(const json_t *json, struct cell_sample *sample, char *why, size_t why_size);

json_t *record_to_json(const struct record *record);
bool record_from_json(const json_t *json, struct record *record, char *why, size_t why_size);

/* What a worker is asked to measure. */
struct request {
    const struct plan_cell *cell;
    enum record_kind kind;
    uint64_t seed, warmup_ns, interval_ns;
};
json_t *request_to_json(const struct request *q);

/* The other side of it.  Plain data, except that plug-ins are those of this binary and that strings
 * are those of the JSON, which must outlive it. */
struct parsed_request {
    struct cell_request request; /* args and options point into this struct: do not copy it */
    char name[768];
    union tm_value args[PLAN_VALUES_MAX], options[PLAN_VALUES_MAX];
    const char *overrides[PLAN_OVERRIDES_MAX]; /* point into the JSON that was parsed */
};
bool request_from_json(const json_t *json, struct parsed_request *parsed, char *why,
                       size_t why_size);

/* What makes two runs the same: cells with all values, repetitions, interval, seed, diagnostic
 * passes, and the build.  Equal objects (json_equal) may share a journal. */
json_t *plan_identity(const struct plan *plan);

#endif
