/*
 * carry.h - the order of a run: which sample next, what to do about one that failed.  Knows neither
 * clock nor processes nor files, so it is tested with a mock executor.
 */
#ifndef ALLCORES_CARRY_H
#define ALLCORES_CARRY_H

#include "executor.h"

/* Whoever wants to know.  All functions are called from the thread that runs carry_out. */
struct observer {
    void *state;
    /* A record is finished: keep it.  False: it cannot be kept, and the run ends. */
    bool (*keep)(void *state, const struct record *record);
    /* The next sample is about to start; done and total count samples of this run. */
    void (*progress)(void *state, size_t done, size_t total, const struct plan_cell *cell);
};

enum carry_result {
    CARRY_DONE,
    CARRY_INTERRUPTED, /* by a signal */
    CARRY_NOT_KEPT,    /* the observer could not keep a record */
    CARRY_BROKEN       /* no worker could be started: `why` */
};

/*
 * Measures what `data` lacks of the plan and puts it there.  Pass after pass, in the order of
 * schedule.h; then the diagnostic passes.  A cell that has failed is not measured again, unless its
 * failures are expected.
 *
 * Simulated cells come behind all others, as many samples at a time as the executor has lanes, for
 * nothing of them is timed.  Their samples differ by their seeds only, so each is taken, whatever
 * became of the others (but for those of a cell that hung): what the results say must not depend on
 * which of them was finished first.
 */
enum carry_result carry_out(const struct plan *plan, struct run_data *data,
                            const struct executor *executor, const struct observer *observer,
                            char why[CELL_WHY_SIZE]);

/* Timed samples of the plan's available cells; *done: how many of them `data` holds. */
size_t carry_total(const struct plan *plan, const struct run_data *data, size_t *done);

#endif
