/*
 * check_dpor.h - bounded exhaustive search with partial-order reduction.
 *
 * Dynamic partial-order reduction (C. Flanagan, P. Godefroid, "Dynamic partial-order reduction for
 * model checking software", POPL 2005) with sleep sets (P. Godefroid, LNCS 1032, 1996): of all
 * schedules that differ only in the order of events that do not depend on each other, about one is
 * run.  Stateless: each schedule begins anew.  Bounded by a number of preemptions (M. Musuvathi,
 * S. Qadeer, "Iterative context bounding", PLDI 2007); with a bound reduction may leave out
 * schedules that the bound allows (K. Coons et al., OOPSLA 2013), without one it leaves out none
 * but those of loops that wait: a thread that pauses goes on when the others cannot, or have moved.
 *
 * Events depend on each other when they touch a byte in common and one writes, when one wakes what
 * the other sleeps on, and under TSO draining counts as the write.  The real-time order of blocks
 * is not part of it: of two schedules that differ in nothing else only one is judged.
 *
 * Sequential consistency only.
 */
#ifndef ALLCORES_CHECK_DPOR_H
#define ALLCORES_CHECK_DPOR_H

#include "explore.h"

enum { CHECK_DPOR_DEPTH = 4096 };

struct check_dpor_step {
    uint32_t enabled;   /* could have gone on here */
    uint32_t backtrack; /* are to be tried */
    uint32_t done;      /* were */
    uint32_t sleep;     /* need not be: what they do next commutes with all since */
    uint8_t chosen;
    uint8_t before;       /* who ran last */
    bool free;            /* leaving `before` is no preemption here */
    uint16_t preemptions; /* up to here, this choice not counted */
    struct explore_op op; /* what the chosen one does */
    struct explore_op pending[EXPLORE_THREADS];
    uint32_t clock[EXPLORE_THREADS]; /* happens-before: per thread, how many steps it has seen */
    uint32_t index;                  /* number of this step among those of its thread, from 1 */
};

struct check_dpor {
    struct check_dpor_step step[CHECK_DPOR_DEPTH];
    unsigned depth;  /* steps of the run so far */
    unsigned prefix; /* of which are given by the search */
    unsigned bound;  /* preemptions; UINT32_MAX: none */
    bool cut;        /* the run was deeper than CHECK_DPOR_DEPTH */
    bool redundant;  /* the run was one that sleep sets leave out: it went on by default */
    bool bounded;    /* the bound, or the depth, has kept something from being tried */
};

void check_dpor_begin(struct check_dpor *d, unsigned bound);
struct explore_choice check_dpor_choose(void *context, const struct explore_view *view);
/* Behind a run: what else is to be tried?  False when that was all. */
bool check_dpor_next(struct check_dpor *d);

#endif
