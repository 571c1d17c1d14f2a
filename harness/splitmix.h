/*
 * splitmix.h - the harness's random numbers: SplitMix64 (Steele, Lea, Flood, "Fast splittable
 * pseudorandom number generators", OOPSLA 2014).
 */
#ifndef ALLCORES_SPLITMIX_H
#define ALLCORES_SPLITMIX_H

#include <stdint.h>

/* The next number.  Any state, zero included, begins a sequence of full period.  Thread-safe as far
 * as the state is the caller's. */
static inline uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
