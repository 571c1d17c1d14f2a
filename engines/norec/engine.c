/*
 * norec - commits, and the descriptor.  engine.h has the paper, the guarantees and the invariants;
 * lib/norec.h and lib/norec_slow.h the algorithm, which engine hybrid shares.
 */
#include "tm.h"

#include "../lib/norec_slow.h"

void tm_commit(struct tm_thread *self) {
    const bool writes = (uint32_t)self->write_stamp > 0;
    if (writes) {
        take_clock(self);
        write_back(self);
    }
    if (writes || self->irrevocable)
        release_clock(self);
    commit_ended(self);
}

void *tm_alloc(TM_SELF, size_t bytes) { return alloc_object(self, bytes); }
void tm_release(TM_SELF, void *object) { release_object(self, object); }
_Noreturn void tm_block_retry(struct tm_thread *self) { retry_block(self); }
_Noreturn void tm_block_restart(struct tm_thread *self) { restart_block(self); }

void tm_irrevocable(struct tm_thread *self) {
    if (self->direct) /* irrevocable already, or alone */
        return;
    if (self->common.depth == 0)
        tm_fatal("tm_irrevocable outside of a block");
    become_irrevocable(self);
}

/* ---- descriptor ----------------------------------------------------------------------------- */

static const char *norec_unavailable(void) { return NULL; }

static bool norec_start(const union tm_value *options, unsigned threads, char *why,
                        size_t why_size) {
    (void)options;
    atomic_store_explicit(&tm_global.clock, 0, memory_order_relaxed);
    if (tm_reclaim_start(threads))
        return true;
    snprintf(why, why_size, "out of memory");
    return false;
}

static void norec_stop(void) { tm_reclaim_stop(); }

/* Outside of blocks a thread holds nothing. */
static void norec_pause(struct tm_thread *self) { (void)self; }

static struct tm_stats *norec_stats(struct tm_thread *self) { return &self->common.stats; }

const struct tm_engine tm_engine_descriptor = {
    .name = "norec",
    .help = "STM with one sequence lock, a redo log and validation by value (NOrec, 2010)",
    .stands_for = "software transactional memory: \"at least 2x slower\"",
    .max_threads = 1024,
    .rollback = true,
    .race_free = true,
    .unavailable = norec_unavailable,
    .start = norec_start,
    .attach = open_thread,
    .detach = close_thread,
    .suspend = norec_pause,
    .resume = norec_pause,
    .stop = norec_stop,
    .stats = norec_stats,
};
TM_REGISTER(tm_engines, struct tm_engine, tm_engine_descriptor);
