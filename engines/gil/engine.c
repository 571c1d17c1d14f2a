/*
 * gil - the rare half: hand-over, sleeping, the stand-in for a collector, threads.  See engine.h.
 */
#include "tm.h"

#include "../lib/fatal.h"

#include <string.h>

TM_CHECKPOINT_DEFINITION

struct gil tm_gil;

/* Of the running measurement; written by start, with no thread attached. */
static struct {
    bool section;
    uint64_t interval_ns;
} gil_options;

/* ---- mode=switch --------------------------------------------------------------------------- */

/* Waits for its turn.  Sequentially consistent throughout: between taking a ticket and looking at
 * `serving` here, and between writing `serving` and looking at `next` in release, at least one of
 * the two threads sees the other. */
static void gil_acquire(struct tm_thread *self) {
    const uint32_t ticket = atomic_fetch_add(&tm_gil.next, 1);
    _Atomic uint32_t *woken = &tm_gil.slot[ticket % GIL_TICKETS].woken;
    for (;;) {
        const uint32_t seen = atomic_load(woken);
        const uint32_t serving = atomic_load(&tm_gil.serving);
        if (serving == ticket)
            break;
        const bool in_time = machine_wait(woken, seen, gil_options.interval_ns);
        /* As CPython: ask only if nobody was served for a whole interval. */
        if (!in_time && atomic_load(&tm_gil.serving) == serving && serving != ticket)
            atomic_fetch_or(&tm_gil.attention, GIL_ASKED);
    }
    self->ticket = ticket;
    atomic_fetch_and(&tm_gil.attention, ~(uint32_t)GIL_ASKED);
}

static void gil_release(struct tm_thread *self) {
    const uint32_t next = self->ticket + 1;
    atomic_store(&tm_gil.serving, next);
    if (atomic_load(&tm_gil.next) != next) {
        _Atomic uint32_t *woken = &tm_gil.slot[next % GIL_TICKETS].woken;
        atomic_fetch_add(woken, 1);
        machine_wake(woken, 1);
    }
}

/* ---- mode=section -------------------------------------------------------------------------- */

TM_COLD void tm_gil_contended(TM_SELF) { tm_section_contended(&tm_gil.lock); }

TM_COLD void tm_gil_wake_sleeper(void) { machine_wake(&tm_gil.lock.locked, 1); }

/* ---- both ---------------------------------------------------------------------------------- */

/* At the end of a block, still under the lock; in mode=switch also at a safe point. */
TM_COLD void tm_gil_attention(struct tm_thread *self) {
    if (atomic_load(&tm_gil.attention) & GIL_RETRIERS) {
        atomic_fetch_and(&tm_gil.attention, ~(uint32_t)GIL_RETRIERS);
        atomic_fetch_add(&tm_gil.changes, 1);
        machine_wake(&tm_gil.changes, UINT32_MAX);
    }
    if (!self->section && !self->direct && (atomic_load(&tm_gil.attention) & GIL_ASKED)) {
        self->common.stats.handovers++;
        gil_release(self);
        gil_acquire(self);
    }
}

static void lock_for_block(struct tm_thread *self) {
    if (!self->section) {
        gil_acquire(self);
    } else if (!tm_section_try(&tm_gil.lock)) {
        tm_gil_contended(self);
    }
}

static void unlock_for_block(struct tm_thread *self) {
    if (!self->section) {
        gil_release(self);
    } else if (tm_section_release(&tm_gil.lock)) {
        tm_gil_wake_sleeper();
    }
}

/* Sleeps until some block has ended: which one wrote what was read, a lock does not know.  The
 * request is made under the lock, so the end of the next block cannot miss it. */
_Noreturn void tm_block_retry(struct tm_thread *self) {
    if (self->direct)
        tm_fatal("tm_retry in setup or verify: nothing can wake it");
    self->common.stats.retries++;
    const uint32_t seen = atomic_load(&tm_gil.changes);
    atomic_fetch_or(&tm_gil.attention, GIL_RETRIERS);
    unlock_for_block(self);
    while (atomic_load(&tm_gil.changes) == seen)
        machine_wait(&tm_gil.changes, seen, UINT64_MAX);
    lock_for_block(self);
    self->common.depth = 1;
    tm_checkpoint_resume(&self->checkpoint);
}

_Noreturn void tm_block_restart(struct tm_thread *self) {
    self->common.stats.aborts[TM_EXPLICIT]++;
    self->common.last_abort = (struct tm_event){
        .cause = TM_EXPLICIT, .site = (const void *)self->checkpoint.rip, .peer = -1};
    self->common.depth = 1;
    tm_checkpoint_resume(&self->checkpoint);
}

void tm_blocking_enter(struct tm_thread *self) {
    if (!self->section && !self->direct)
        gil_release(self);
}

void tm_blocking_leave(struct tm_thread *self) {
    if (!self->section && !self->direct)
        gil_acquire(self);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void *allocate(size_t bytes) {
    void *object = machine_alloc(bytes);
    if (object == NULL)
        tm_fatal("out of memory: tm_new asked for %zu bytes", bytes);
    return memset(object, 0, bytes);
}

#ifdef GIL_BARRIER_GC

static void gc_push(struct tm_gc_list *list, void *object) {
    if (list->length == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 256;
        void **grown = machine_alloc(capacity * sizeof *grown);
        if (grown == NULL)
            tm_fatal("out of memory: %zu remembered objects", capacity);
        if (list->length > 0)
            memcpy(grown, list->object, list->length * sizeof *grown);
        machine_free(list->object);
        list->object = grown;
        list->capacity = capacity;
    }
    list->object[list->length++] = object;
}

TM_COLD void tm_gc_remember(struct tm_thread *self, void *object, uint32_t *flags) {
    *flags &= ~(uint32_t)GIL_OLD;
    gc_push(&self->remembered, object);
}

/* The header is an object's first member. */
TM_COLD void tm_gc_collect(struct tm_thread *self) {
    for (size_t i = 0; i < self->remembered.length; i++)
        *(uint32_t *)self->remembered.object[i] |= GIL_OLD;
    self->remembered.length = 0;
    for (size_t i = 0; i < self->dead.length; i++)
        machine_free(self->dead.object[i]);
    self->dead.length = 0;
}

void *tm_alloc(struct tm_thread *self, size_t bytes) {
    void *object = allocate(bytes);
    gc_push(&self->remembered,
            object); /* young: written without the barrier until the block ends */
    return object;
}

/* The object may be in the remembered set: its memory goes back behind the block. */
void tm_release(struct tm_thread *self, void *object) { gc_push(&self->dead, object); }

#else

void *tm_alloc(TM_SELF, size_t bytes) { return allocate(bytes); }

/* Whoever holds the lock is the only one who can see the object. */
void tm_release(TM_SELF, void *object) { machine_free(object); }

#endif

/* ---- threads ------------------------------------------------------------------------------- */

static const char *gil_unavailable(void) { return NULL; }

enum { OPTION_MODE, OPTION_INTERVAL, OPTION_BARRIER };

static const struct tm_param gil_params[] = {
    [OPTION_MODE] =
        {"mode",
         "switch: held from one hand-over to the next (CPython); section: taken for each block",
         TM_CHOICE, "switch", .choices = "switch|section"},
    [OPTION_INTERVAL] = {"interval_us",
                         "mode=switch: microseconds until a waiting thread asks for the lock",
                         TM_INT, "5000", 1, 10000000, NULL},
    [OPTION_BARRIER] = {"barrier", "gc: with the write barrier of a generational collector",
                        TM_CHOICE, "none", .choices = "none|gc"},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

static bool gil_start(const union tm_value *options, unsigned threads, char *why, size_t why_size) {
    (void)threads, (void)why, (void)why_size;
    memset((void *)&tm_gil, 0, sizeof tm_gil);
    gil_options.section = options[OPTION_MODE].choice == 1;
    gil_options.interval_ns = (uint64_t)options[OPTION_INTERVAL].i * 1000;
    return true;
}

static void gil_stop(void) {}

static struct tm_thread *gil_attach(unsigned index, bool direct) {
    struct tm_thread *self = machine_alloc_aligned(sizeof *self, TM_CACHE_LINE);
    if (self == NULL)
        return NULL;
    self->common.index = index;
    self->direct = direct;
    self->section = gil_options.section && !direct;
    tm_blocking_leave(self);
    return self;
}

static void gil_detach(struct tm_thread *self) {
#ifdef GIL_BARRIER_GC
    tm_gc_collect(self);
    machine_free(self->remembered.object);
    machine_free(self->dead.object);
#endif
    tm_blocking_enter(self);
    machine_free(self);
}

static struct tm_stats *gil_stats(struct tm_thread *self) { return &self->common.stats; }

const struct tm_engine tm_engine_descriptor = {
    .name = "gil",
#ifdef GIL_BARRIER_GC
    .variant = "barrier=gc",
#endif
    .help = "one global lock: handed over on request (mode=switch) or taken for each block "
            "(mode=section)",
    .stands_for = "CPython, PyPy, Ruby; the coarse lock of the STM literature",
    .options = gil_params,
    .max_threads = 1024,
    .race_free = true,
    .unavailable = gil_unavailable,
    .start = gil_start,
    .attach = gil_attach,
    .detach = gil_detach,
    .suspend = tm_blocking_enter,
    .resume = tm_blocking_leave,
    .stop = gil_stop,
    .stats = gil_stats,
};
TM_REGISTER(tm_engines, struct tm_engine, tm_engine_descriptor);
