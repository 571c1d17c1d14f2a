/*
 * seq - the rare half: threads, memory, restarts.  nosync is this file too, with more than one
 * thread.
 */
#include "tm.h"

#include "../lib/fatal.h"

#include <string.h>

TM_CHECKPOINT_DEFINITION

#ifndef SEQ_NAME /* nosync sets it */
#define SEQ_NAME "seq"
#define SEQ_MAX_THREADS 1
#define SEQ_UNSAFE false
#define SEQ_HELP "no synchronisation, one thread: the limit every slowdown is relative to"
#define SEQ_STANDS_FOR "the sequential program"
#endif

void *tm_alloc(TM_SELF, size_t bytes) {
    void *object = machine_alloc(bytes);
    if (object == NULL)
        tm_fatal("out of memory: tm_new asked for %zu bytes", bytes);
    return memset(object, 0, bytes);
}

void tm_release(TM_SELF, void *object) { machine_free(object); }

/* Nobody else can change what this thread has read: waiting would last for ever. */
_Noreturn void tm_block_retry(struct tm_thread *self) {
    if (SEQ_MAX_THREADS == 1)
        tm_fatal("tm_retry with one thread: nothing can wake it");
    self->common.stats.retries++;
    machine_yield();
    self->common.depth = 1;
    tm_checkpoint_resume(&self->checkpoint);
}

_Noreturn void tm_block_restart(struct tm_thread *self) {
    self->common.stats.aborts[TM_EXPLICIT]++;
    self->common.depth = 1;
    tm_checkpoint_resume(&self->checkpoint);
}

static const char *seq_unavailable(void) { return NULL; }

static bool seq_start(const union tm_value *options, unsigned threads, char *why, size_t why_size) {
    (void)options, (void)threads, (void)why, (void)why_size;
    return true;
}

static void seq_stop(void) {}

static struct tm_thread *seq_attach(unsigned index, bool direct) {
    (void)direct; /* every access is direct */
    struct tm_thread *self = machine_alloc_aligned(sizeof *self, TM_CACHE_LINE);
    if (self != NULL)
        self->common.index = index;
    return self;
}

static void seq_detach(struct tm_thread *self) { machine_free(self); }

static void seq_pause(struct tm_thread *self) { (void)self; }

static struct tm_stats *seq_stats(struct tm_thread *self) { return &self->common.stats; }

const struct tm_engine tm_engine_descriptor = {
    .name = SEQ_NAME,
    .help = SEQ_HELP,
    .stands_for = SEQ_STANDS_FOR,
    .max_threads = SEQ_MAX_THREADS,
    .unsafe = SEQ_UNSAFE,
    .unavailable = seq_unavailable,
    .start = seq_start,
    .attach = seq_attach,
    .detach = seq_detach,
    .suspend = seq_pause,
    .resume = seq_pause,
    .stop = seq_stop,
    .stats = seq_stats,
};
TM_REGISTER(tm_engines, struct tm_engine, tm_engine_descriptor);
