/*
 * check_run.h - one program of `allcores check` under one schedule, and what a failing one is made
 * of: written down, replayed, made smaller.
 *
 * A schedule is written down as what it has chosen otherwise than explore_default would: at which
 * event of which thread, and what.  So equal lines are equal runs, and a line with an entry taken
 * out is a schedule too.
 */
#ifndef ALLCORES_CHECK_RUN_H
#define ALLCORES_CHECK_RUN_H

#include "check_history.h"
#include "machine.h"

enum { CHECK_TX_MAX = 8, CHECK_OPTIONS = 8, CHECK_DEVIATIONS = 4096, CHECK_WHY = 2048 };

/* An engine with options, under a memory model. */
struct check_subject {
    const struct check_catalogue *catalogue;
    const struct machine_explorer *explorer;
    union tm_value options[CHECK_OPTIONS];
    char text[160]; /* "gil:mode=section" */
    bool tso;
};

/* Threads that run transactions of the catalogue, one after the other. */
struct check_program {
    unsigned threads;
    unsigned length[EXPLORE_THREADS];
    uint8_t tx[EXPLORE_THREADS][CHECK_TX_MAX]; /* indices into the catalogue */
};

/* "rmw+ro,scan": threads are separated by commas.  False and `why` when it is none. */
bool check_program_parse(const struct check_catalogue *catalogue, const char *text,
                         struct check_program *program, char *why, size_t why_size);
void check_program_text(const struct check_catalogue *catalogue,
                        const struct check_program *program, char *text, size_t size);
/* Can all that waits be woken, whatever the order?  Does it mix what has nothing in common? */
bool check_program_sensible(const struct check_catalogue *catalogue,
                            const struct check_program *program);

/* What was chosen before event `event` of `thread`, otherwise than by default. */
struct check_deviation {
    uint8_t thread, what, chosen; /* what: enum explore_what */
    bool preempts;                /* the thread could have gone on, and did not pause */
    uint64_t event, detail;
};

struct check_schedule {
    struct check_deviation deviation[CHECK_DEVIATIONS];
    unsigned deviations;
    bool overflow; /* more of them: cannot be replayed */
};

unsigned check_preemptions(const struct check_schedule *schedule);
/* "0@12:1,1@40:d0.33,0@51:a1.6": before event 12 of thread 0 thread 1 goes on; before event 40 of
 * thread 1 the buffer of thread 0 is drained up to the store of its event 33; before event 51 of
 * thread 0 the transaction of thread 1 is aborted with status 6.  False when the text is none. */
bool check_schedule_parse(const char *text, struct check_schedule *schedule);
void check_schedule_text(const struct check_schedule *schedule, char *text, size_t size);

struct check_outcome {
    enum check_failure failure;
    char why[CHECK_WHY];
    uint64_t steps;
    bool unjudged; /* the history was too long */
};

extern struct check_history check_history; /* of the last run */

/*
 * Runs the program once.  The inner policy chooses, and what it chose is written into `schedule`
 * (not for a replay: NULL).
 */
void check_run(const struct check_subject *subject, const struct check_program *program,
               const struct explore_policy *policy, struct check_schedule *schedule,
               struct check_outcome *outcome);

/* The same under a schedule; deviations that were reached get their `preempts` set. */
void check_replay(const struct check_subject *subject, const struct check_program *program,
                  struct check_schedule *schedule, struct check_outcome *outcome,
                  void (*happened)(void *context, unsigned thread, uint64_t event,
                                   const struct explore_op *op),
                  void *context);

/* Takes out of the schedule what the failure does not need: it fails in the same way.  Returns the
 * number of runs that this took. */
unsigned check_minimise(const struct check_subject *subject, const struct check_program *program,
                        struct check_schedule *schedule, struct check_outcome *outcome);

#endif
