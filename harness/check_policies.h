/*
 * check_policies.h - who goes on: the strategies of `allcores check`.
 *
 * random   before each event that may matter another thread goes on with a probability that is
 * drawn for the run, and a buffer is drained with another one pct      S. Burckhardt et al., "A
 * randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010: random
 * priorities, and d - 1 places where the running thread's becomes the lowest; under TSO each buffer
 * is a thread of its own.  A thread that pauses falls to the end, or it would spin for ever. dpor
 * check_dpor.h
 */
#ifndef ALLCORES_CHECK_POLICIES_H
#define ALLCORES_CHECK_POLICIES_H

#include "explore.h"

/* Aborts of hardware transactions: in half of the runs, at decisions while one is running.  In half
 * of these all transactions of some threads, or of all of them, abort with one status, so that what
 * they do without hardware is seen beside others who have it, and among themselves. */
struct check_aborts {
    uint64_t state;
    uint32_t chance; /* of 2^32; 0: none */
    uint32_t never;  /* threads whose transactions all abort, */
    unsigned status; /* with this */
    unsigned left;   /* aborts in this run: it has to come to its end */
};

struct check_random {
    struct check_aborts aborts;
    uint64_t state;
    uint32_t switch_chance, drain_chance, timeout_chance; /* of 2^32 */
};
void check_random_begin(struct check_random *r, uint64_t seed);
struct explore_choice check_random_choose(void *context, const struct explore_view *view);

enum { CHECK_CHANGES_MAX = 8 };
struct check_pct {
    struct check_aborts aborts;
    uint64_t state;
    int64_t priority[2 * EXPLORE_THREADS]; /* of threads, then of their buffers */
    int64_t lowest;
    uint64_t asked; /* decisions so far in this run */
    uint64_t change[CHECK_CHANGES_MAX];
    unsigned changes;
    bool impatient; /* sleepers' time may be over while others could run */
};
/* `decisions`: how many a run has, about. */
void check_pct_begin(struct check_pct *p, uint64_t seed, unsigned depth, uint64_t decisions);
struct explore_choice check_pct_choose(void *context, const struct explore_view *view);

#endif
