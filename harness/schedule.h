/*
 * schedule.h - which sample is measured when.  Pure functions of their arguments: no clock, no
 * state.
 *
 * A run consists of passes; pass j measures sample j of every cell once, in an order that is
 * shuffled anew for each pass, so that slow drift of the machine hits all cells alike.  Passes are
 * spread over several process starts, because the placement of code, stack and heap (ASLR) is drawn
 * once a process and shifts timings by more than the noise within one (Mytkowicz et al., "Producing
 * wrong data without doing anything obviously wrong", ASPLOS 2009).
 */
#ifndef ALLCORES_SCHEDULE_H
#define ALLCORES_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

/* How many process starts a run of this many passes is spread over: all of them up to 3, then at
 * least 3 and at most 3 passes a start. */
unsigned schedule_starts(unsigned passes);

/* The start, 0 .. schedule_starts(passes)-1, that pass belongs to (pass < passes).  Starts are
 * contiguous and differ by at most one pass in length, the longer ones first: 10 passes are 3, 3,
 * 2, 2. */
unsigned schedule_start_of(unsigned pass, unsigned passes);

/* Fills order[n] with the permutation of 0 .. n-1 in which pass `pass` measures its cells. */
void schedule_order(uint64_t seed, unsigned pass, size_t *order, size_t n);

/* Seed of the operation streams of one pass: the same for every cell, so that all engines are given
 * the same operations.  Below 2^63, because JSON integers of common readers end there. */
uint64_t schedule_sample_seed(uint64_t seed, unsigned pass);

#endif
