/*
 * null - nothing at all in a block: the floor.  With seq it measures the harness itself, with every
 * other engine the price of an empty block.  Also the shortest example of a workload.
 */
#include "tm.h"

static void *null_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    (void)setup, (void)why, (void)why_size;
    static char world; /* nothing to share, but NULL would mean failure */
    return &world;
}

static inline void null_run(TM_SELF, void *world, struct tm_rand *rng) {
    (void)world, (void)rng;
    atomic (self) {
    }
}

static bool null_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    (void)world, (void)ops, (void)why, (void)why_size;
    return true; /* there is no state */
}

static void null_teardown(TM_SELF, void *world) { (void)world; }

TM_WORKLOAD(null, .help = "an empty block: the floor", .setup = null_setup, .verify = null_verify,
            .teardown = null_teardown);
