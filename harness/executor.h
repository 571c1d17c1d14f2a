/*
 * executor.h - who measures a sample: worker processes, or a mock in the tests of scheduling.
 */
#ifndef ALLCORES_EXECUTOR_H
#define ALLCORES_EXECUTOR_H

#include "record.h"

enum executor_result {
    EXECUTOR_DONE,        /* outcome and sample are filled in */
    EXECUTOR_INTERRUPTED, /* a signal asked the run to end; the sample does not count */
    EXECUTOR_BROKEN       /* no worker could be started; sample->why says why */
};

struct executor {
    void *state;
    /* From here on samples are measured by new processes. */
    void (*start)(void *state);
    /* Measures one sample.  `limit_ns` is the longest that it may take. */
    enum executor_result (*measure)(void *state, const struct request *request, uint64_t limit_ns,
                                    enum record_outcome *outcome, struct cell_sample *sample);
    /*
     * For samples in which nothing is timed: up to `lanes` at a time, each by a process of its own.
     * `submit` begins one on a lane that is free; `collect` waits until one of those that were
     * begun is finished, and says on which lane.  0: cannot do that, both are NULL.
     */
    unsigned lanes;
    enum executor_result (*submit)(void *state, unsigned lane, const struct request *request,
                                   uint64_t limit_ns, char why[CELL_WHY_SIZE]);
    enum executor_result (*collect)(void *state, unsigned *lane, enum record_outcome *outcome,
                                    struct cell_sample *sample);
};

/* ---- worker processes ---------------------------------------------------------------------- */

struct process_executor; /* owned by one thread; one at a time in a process */

/* Takes over SIGINT, SIGTERM and SIGHUP (unless that is ignored, as under nohup) until it is
 * closed. `lanes`: processes at a time, for what is not timed; at most EXECUTOR_LANES_MAX.  NULL
 * and errno on failure. */
enum { EXECUTOR_LANES_MAX = 256 };
struct process_executor *process_executor_open(unsigned lanes);
struct executor process_executor_interface(struct process_executor *p);
/* The signal that interrupted the run, or 0. */
int process_executor_signal(const struct process_executor *p);
/* Lets the workers end.  False when one of them did not end well: `why` says how. */
bool process_executor_close(struct process_executor *p, char *why, size_t why_size);

#endif
