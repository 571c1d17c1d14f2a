/*
 * check_smaller.c - see check_smaller.h.
 */
#include "check_smaller.h"

#include "check_policies.h"
#include "splitmix.h"

#include <string.h>

enum {
    PROGRAM_RUNS = 400,     /* schedules of each program that might do; */
    HARDWARE_FACTOR = 5,    /* as many times as many where aborts are choices, too */
    PREEMPTION_RUNS = 1500, /* schedules of the program that is left */
    MINIMISED_MAX = 24,     /* of those that fail, so many are made smaller */
    ENOUGH = 2,             /* preemptions: few enough to be understood */
    ENOUGH_AT_LAST = 4,     /* with more than these it is tried again, */
    HARDER = 8,             /* so many times as long */
    DEPTHS = 3,             /* PCT's d: from 2 on */
    STEPS = 2500,           /* from one failing schedule to a neighbour */
    NEAR = 16,              /* events that a neighbour's switch is away, in half of the tries */
};

static struct check_schedule trial;
static struct check_outcome trial_outcome;
static unsigned runs;

/* Runs the program under schedule `i` of the search, whose failing one is then in `trial`.
 * `decisions` follows the length of the runs. */
static bool fails(const struct check_subject *subject, const struct check_program *program,
                  uint64_t i, bool random, uint64_t *decisions) {
    static struct check_random walk;
    static struct check_pct pct;
    struct explore_policy policy = {.choose = check_pct_choose, .context = &pct};
    if (random) {
        check_random_begin(&walk, i);
        policy = (struct explore_policy){.choose = check_random_choose, .context = &walk};
    } else {
        check_pct_begin(&pct, i, 2 + (unsigned)(i / 2 % DEPTHS), *decisions);
    }
    check_run(subject, program, &policy, &trial, &trial_outcome);
    runs++;
    if (!random)
        *decisions = pct.asked > 0 ? pct.asked : 1;
    if (trial_outcome.failure == CHECK_OK || trial.overflow)
        return false;
    const enum check_failure failure = trial_outcome.failure;
    check_replay(subject, program, &trial, &trial_outcome, NULL, NULL);
    runs++;
    return trial_outcome.failure == failure;
}

static void take_trial(struct check_schedule *schedule, struct check_outcome *outcome) {
    memcpy(schedule->deviation, trial.deviation, trial.deviations * sizeof *trial.deviation);
    schedule->deviations = trial.deviations;
    schedule->overflow = false;
    *outcome = trial_outcome;
}

/* The program without transaction `i` of thread `t`, and without the thread if that was all. */
static struct check_program leave_out(const struct check_program *p, unsigned t, unsigned i) {
    struct check_program smaller = *p;
    memmove(&smaller.tx[t][i], &smaller.tx[t][i + 1], p->length[t] - i - 1);
    if (--smaller.length[t] > 0)
        return smaller;
    for (unsigned k = t; k + 1 < p->threads; k++) {
        smaller.length[k] = p->length[k + 1];
        memcpy(smaller.tx[k], p->tx[k + 1], sizeof smaller.tx[k]);
    }
    smaller.threads--;
    return smaller;
}

/* Leaves one transaction out, if it fails without one. */
static bool shorten(const struct check_subject *subject, struct check_program *program,
                    struct check_schedule *schedule, struct check_outcome *outcome,
                    unsigned effort) {
    const uint64_t schedules =
        (uint64_t)PROGRAM_RUNS * effort *
        (subject->catalogue->engine->transactional_hardware ? HARDWARE_FACTOR : 1);
    for (unsigned t = 0; t < program->threads; t++)
        for (unsigned i = 0; i < program->length[t]; i++) {
            const struct check_program smaller = leave_out(program, t, i);
            if (smaller.threads == 0 || !check_program_sensible(subject->catalogue, &smaller))
                continue;
            subject->explorer->forget();
            uint64_t decisions = 30;
            for (uint64_t n = 1; n <= schedules; n++)
                if (fails(subject, &smaller, n, n % 2 == 0, &decisions)) {
                    *program = smaller;
                    take_trial(schedule, outcome);
                    return true;
                }
        }
    return false;
}

/* A walk from failing schedule to failing schedule: one switch comes at another event of its
 * thread, and the schedule may not have more preemptions for that.  Now and then others become
 * superfluous. */
static void walk(const struct check_subject *subject, const struct check_program *program,
                 struct check_schedule *schedule, struct check_outcome *outcome, unsigned effort) {
    static struct check_schedule least;
    static struct check_outcome least_outcome;
    uint64_t state = 1;
    unsigned minimised = 0;
    memcpy(&least, schedule, sizeof least);
    least_outcome = *outcome;
    for (unsigned n = 0; n < STEPS * effort && check_preemptions(&least) > ENOUGH; n++) {
        memcpy(trial.deviation, schedule->deviation,
               schedule->deviations * sizeof *schedule->deviation);
        trial.deviations = schedule->deviations;
        struct check_deviation *d = &trial.deviation[splitmix64(&state) % trial.deviations];
        if (splitmix64(&state) % 2 == 0) {
            d->event += splitmix64(&state) % (2 * NEAR + 1);
            d->event = d->event > NEAR ? d->event - NEAR : 1;
        } else {
            d->event = 1 + splitmix64(&state) % (subject->explorer->events(d->thread) + 1);
        }
        check_replay(subject, program, &trial, &trial_outcome, NULL, NULL);
        runs++;
        if (trial_outcome.failure != outcome->failure ||
            check_preemptions(&trial) > check_preemptions(schedule))
            continue;
        const bool fewer = check_preemptions(&trial) < check_preemptions(schedule);
        take_trial(schedule, outcome);
        if (!fewer && (n % 8 != 0 || minimised++ >= MINIMISED_MAX * effort))
            continue;
        runs += check_minimise(subject, program, schedule, outcome);
        if (check_preemptions(schedule) < check_preemptions(&least)) {
            memcpy(&least, schedule, sizeof least);
            least_outcome = *outcome;
        }
    }
    memcpy(schedule, &least, sizeof least);
    *outcome = least_outcome;
}

/* `effort`: how many times as many runs as usual. */
static void make_smaller(const struct check_subject *subject, struct check_program *program,
                         struct check_schedule *schedule, struct check_outcome *outcome,
                         unsigned effort) {
    static struct check_schedule other;
    static struct check_outcome other_outcome;
    while (shorten(subject, program, schedule, outcome, effort))
        ;
    subject->explorer->forget();
    runs += check_minimise(subject, program, schedule, outcome);
    uint64_t decisions = 30;
    unsigned minimised = 0;
    for (uint64_t n = 1;
         n <= (uint64_t)PREEMPTION_RUNS * effort && minimised < MINIMISED_MAX * effort; n++) {
        const unsigned best = check_preemptions(schedule);
        if (best <= ENOUGH)
            break;
        if (!fails(subject, program, n, false, &decisions))
            continue;
        take_trial(&other, &other_outcome);
        runs += check_minimise(subject, program, &other, &other_outcome);
        minimised++;
        if (check_preemptions(&other) < best) {
            memcpy(schedule, &other, sizeof other);
            *outcome = other_outcome;
        }
    }
    walk(subject, program, schedule, outcome, effort);
}

unsigned check_smaller(const struct check_subject *subject, struct check_program *program,
                       struct check_schedule *schedule, struct check_outcome *outcome) {
    runs = 0;
    make_smaller(subject, program, schedule, outcome, 1);
    if (check_preemptions(schedule) > ENOUGH_AT_LAST)
        make_smaller(subject, program, schedule, outcome, HARDER);
    return runs;
}
