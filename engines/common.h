/*
 * common.h - what every engine's thread has: counters, the last abort, flags.
 *
 * Rules for the writers of engines: `struct tm_thread` begins with a `struct tm_common`; all of it
 * is written by its own thread only and read by others after that thread has finished.
 */
#ifndef ALLCORES_COMMON_H
#define ALLCORES_COMMON_H

#include <stdbool.h>
#include <stdint.h>

#define TM_CACHE_LINE 64
/* So far apart are things that must not meet on a line of any machine: a zEC12 has lines of 256
 * bytes; two of 64 are what x86's adjacent-line prefetcher couples. */
#define TM_APART 256

#define tm_likely(x) __builtin_expect(!!(x), 1)
#define tm_unlikely(x) __builtin_expect(!!(x), 0)
#define TM_INLINE static inline __attribute__((always_inline))
#define TM_COLD __attribute__((noinline, cold))

/* Why an execution of a block was thrown away.  tm_cause_names (harness) follows this order. */
enum tm_cause {
    TM_VALIDATION,  /* a value or version that was read has changed */
    TM_EXPLICIT,    /* tm_abort_restart */
    TM_UNKNOWN,     /* the runtime does not say (libitm) */
    TM_WRITE_WRITE, /* another block owns an object that this one wants to write */
    TM_WRITE_READ,  /* another block writes, or has written, an object that this one has read */
    /* Hardware transactions, by the status of the abort. */
    TM_CONFLICT,    /* another thread touched a line that this one holds */
    TM_CAPACITY,    /* more lines than the caches can hold for it */
    TM_OTHER,       /* the status names no cause: an interrupt, a fault, a system call, PAUSE... */
    TM_LOCK_BUSY,   /* the lock that was elided is taken */
    TM_IRREVOCABLE, /* tm_irrevocable, which hardware cannot promise */
    TM_CAUSES
};
#define TM_CAUSE_NAMES                                                                             \
    {                                                                                              \
        "validation", "explicit", "unknown", "write_write", "write_read", "conflict", "capacity",  \
            "other", "lock_busy", "irrevocable"                                                    \
    }

/*
 * Counters of one thread since it attached.  `commits` counts outermost blocks; a block that waited
 * in tm_retry counts under `retries`, not under `aborts`.  An engine whose barriers are plain loads
 * and stores does not count accesses: its `counts_accesses` stays false and results say null.
 */
struct tm_stats {
    uint64_t commits;
    uint64_t aborts[TM_CAUSES];
    uint64_t retries;      /* times a block blocked in tm_retry */
    uint64_t fallbacks;    /* blocks that ended on the engine's slow or serial path */
    uint64_t irrevocable;  /* blocks that became irrevocable */
    uint64_t handovers;    /* times a GIL was given to a waiting thread */
    uint64_t reads;        /* logged reads of committed blocks */
    uint64_t writes;       /* distinct words written by committed blocks */
    uint64_t read_set_max; /* entries, of committed blocks */
    uint64_t write_set_max;
    /* Lemming cascades of lock elision: runs of blocks that took the lock for no other reason than
     * that the one before had it. */
    uint64_t cascades;           /* that began */
    uint64_t cascade_blocks;     /* that were part of one, the first of each not counted */
    uint64_t cascade_blocks_max; /* of one cascade */
    uint64_t wasted_ns;          /* time in executions that were thrown away; only while `timed` */
    uint64_t lock_ns; /* time in blocks under the lock that was to be elided; only while `timed` */
    bool counts_accesses;
};

/* The last abort, kept from the start so that conflict reports need no new hooks. */
struct tm_event {
    enum tm_cause cause;
    const void *site;    /* code address of the victim's block */
    const void *address; /* the word or object that conflicted; NULL when unknown */
    int peer;            /* index of the thread that won; -1 when unknown */
};

struct tm_common {
    uint32_t depth; /* 0 outside of blocks; engines count the nesting or just set 1 */
    uint32_t index; /* thread number, 0 .. threads-1 */
    bool timed;     /* measure wasted_ns: set for the separate diagnostic pass only */
    struct tm_stats stats;
    struct tm_event last_abort;
};

#endif
