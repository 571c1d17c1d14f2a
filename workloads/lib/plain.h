/*
 * plain.h - what workloads keep beside their transactional objects: ratios and per-thread lines.
 *
 * Nothing here is transactional.  Chances are drawn and statistics are written outside of blocks
 * only.
 */
#ifndef ALLCORES_LIB_PLAIN_H
#define ALLCORES_LIB_PLAIN_H

#include "tm.h"

/* A probability as a threshold for the upper half of a random number: 2^32 is "always". */
typedef uint64_t plain_chance;

/* From a probability of 0 to 1. */
static inline plain_chance plain_chance_of(double probability) {
    return (plain_chance)(probability * 4294967296.0 + 0.5);
}

/* One draw.  A chance of 0 is never true, one of 1 always. */
static inline bool plain_happens(struct tm_rand *rng, plain_chance chance) {
    return (tm_random(rng) >> 32) < chance;
}

/* A generator of its own for setup, so that equal seeds build equal worlds.  `stream` tells several
 * generators of one setup apart.  (splitmix64's finalizer, as the harness seeds its threads.) */
static inline struct tm_rand plain_rand(uint64_t seed, uint64_t stream) {
    uint64_t z = seed ^ (stream + 1) * UINT64_C(0xd1342543de82ef95);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (struct tm_rand){z != 0 ? z : 1};
}

#endif
