/*
 * schedule.c - which sample is measured when.  See schedule.h.
 */
#include "schedule.h"

#include "splitmix.h"

unsigned schedule_starts(unsigned passes) {
    enum { STARTS_MIN = 3, PASSES_PER_START_MAX = 3 };
    const unsigned starts = passes / PASSES_PER_START_MAX + (passes % PASSES_PER_START_MAX != 0);
    if (passes < STARTS_MIN)
        return passes;
    return starts < STARTS_MIN ? STARTS_MIN : starts;
}

unsigned schedule_start_of(unsigned pass, unsigned passes) {
    const unsigned starts = schedule_starts(passes);
    const unsigned length = passes / starts, longer = passes % starts;
    const unsigned in_longer = longer * (length + 1);
    return pass < in_longer ? pass / (length + 1) : longer + (pass - in_longer) / length;
}

/* A generator for one purpose in one pass. */
static uint64_t stream(uint64_t seed, unsigned pass, uint64_t purpose) {
    uint64_t state = seed;
    state = splitmix64(&state) ^ purpose;
    state = splitmix64(&state) ^ pass;
    return splitmix64(&state);
}

void schedule_order(uint64_t seed, unsigned pass, size_t *order, size_t n) {
    uint64_t state = stream(seed, pass, UINT64_C(0x6f72646572));
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t i = n; i > 1; i--) { /* Fisher-Yates; the modulo's bias is below n * 2^-64 */
        const size_t j = (size_t)(splitmix64(&state) % i);
        const size_t other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

uint64_t schedule_sample_seed(uint64_t seed, unsigned pass) {
    return stream(seed, pass, UINT64_C(0x73616d706c65)) >> 1;
}
