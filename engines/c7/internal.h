/*
 * internal.h - the state of engine c7, its owners, and the invariants; also what white-box tests
 * look at.
 *
 * Invariants
 *  I1 Segment 0 is the committed state: outside of a commit's copying it shows nothing of running
 *     blocks.  Only direct mode and a commit store to it.
 *  I2 A segment never stores to a page that it maps shared (these are mapped read-only): it makes
 *     the page private first.  Objects are created on private pages.
 *  I3 owner[u] == n, u the first unit of an old object or the second one of a card: segment n's
 *     running execution has written it, and it stands in `written`.  Only n stores that value, and
 *     takes it back at the end.  The bytes find conflicts early, but each is taken by a load and a
 *     store, so in a race two segments may go on: what is written is marked as read, too, so the
 *     one that commits first finds the other among the readers (pause), or invalidates it (log).
 *  I4 The flag C7_WRITE_BARRIER of an object is clear only in the view of a segment whose running
 *     execution created the object, or owns all of it.  In segment 0 it is always set.
 *  I5 commit=pause: `group` is not 0 exactly while segments commit; when a
 *     member of it copies no other segment is in C7_RUNNING but for the moment until it sees that
 *     it is to wait, and all views agree with segment 0 but for what their own executions have
 *     written, and what members are copying.
 *  I6 commit=log: a segment's bit in holders[p] is set exactly while it may access page p.  To set
 *     a bit takes the inbox locks of all live segments; to commit to page p, the own one and those
 *     of its holders (with the own one biased, see log.c, no lock at all if there are no others).
 *     So while a segment has its own lock, the committed contents of the pages that it holds do not
 *     change, and nobody becomes a holder of anything.  (Pages that nobody has
 *     a reference into are the exception: their new user becomes a holder at once.)
 *  I7 commit=log: what a segment sees on the pages that it holds is the committed state of one
 *     moment, the last one at which its inbox was empty, plus what its own execution did.  A block
 *     that only reads took place then.
 *  I8 A thread that waits for an owner byte or for the token holds no lock, and gives up when it is
 *     told to abort.  Waits go from the older to the younger block (the irrevocable one counts as
 *     the oldest), so there is no circle of them.
 */
#ifndef ALLCORES_C7_INTERNAL_H
#define ALLCORES_C7_INTERNAL_H

#include "tm.h"

#include "../lib/fatal.h"

enum {
    C7_SEGMENTS_MAX = 64,
    C7_PAGE_SHIFT = 12,
    C7_PAGE = 1 << C7_PAGE_SHIFT,
    C7_UNIT_SHIFT =
        4, /* objects are aligned to units of 16 bytes: one marker, one owner byte each */
    C7_UNIT = 1 << C7_UNIT_SHIFT,
    C7_CARD_SHIFT = 8, /* 32 items of 8 bytes */
    C7_CARD = 1 << C7_CARD_SHIFT,
    C7_LARGE_OFFSET =
        8, /* where a long object starts in its first unit: so its items are aligned to 16 */
    C7_SMALL_UNITS = 128,    /* longer objects have pages of their own, and cards */
    C7_COPIED_WHOLE = 4,     /* units: of longer objects a commit stores the lines that differ */
    C7_BATCH_PAGES = 16,     /* made private at once, where nothing speaks against it */
    C7_BLOCK_ORDER = 4,      /* an allocation block has 2^this pages */
    C7_INBOX_ENTRIES = 2048, /* more go to the bitmap of pages */
    C7_VERSION_MAX = 255,    /* read versions are 1 .. this */
    C7_BIAS_MIN =
        64, /* commits without another thread at the inbox until it is biased, at first, */
    C7_BIAS_MAX = 1 << 14,   /* and at most: it doubles whenever the bias is revoked */
    C7_LOSSES_PRIORITY = 12, /* commit=log: from then on the block runs with its inbox locked */
    C7_LENGTH_MIN = 1 << 10, /* tm_should_break: bytes */
    C7_LENGTH_MAX = 1 << 20,
    C7_RESHARE_COMMITS = 1 << 20, /* how often a segment thinks about giving private pages back */
    C7_RESHARE_PAGES = 1024,      /* when it has more than so many */
    C7_NAP_NS = 50000,
    C7_SERIALS_TO_WRAP = 20000, /* twice the executions until the numbers wrap; even */
};

enum c7_commit { C7_PAUSE, C7_LOG };

/* What a segment is doing; commit=pause. */
enum c7_phase {
    C7_OUTSIDE, /* no block runs */
    C7_RUNNING, /* a block runs: nobody may touch the segment's view */
    C7_PAUSED   /* a block runs and stands at a safe point */
};

/* A piece of an object that the running execution has written or created.  In units from offset 0.
 */
struct c7_chunk {
    uint32_t object; /* first unit of the object */
    uint32_t start;  /* of the piece: the object itself, or one of its cards */
    uint32_t units;
    uint32_t kind;
};
enum c7_kind {
    C7_OLD,    /* owner byte taken at `start`, copied back if the execution is thrown away */
    C7_FRESH,  /* created on memory that nobody has ever had a reference to */
    C7_REUSED, /* created on memory of a freed object */
    C7_TAKEN,  /* no memory, but the owner byte at `start`: of an object with cards, or being set up
                */
    C7_PIECE,  /* a card; its owner byte, at `start` + 1, says that it stands here */
};

struct c7_chunks {                    /* grows; owned by its segment */
    struct c7_chunk *at, *next, *end; /* its start, where the next goes, where it is full */
};
TM_INLINE size_t tm_c7_count(const struct c7_chunks *list) {
    return (size_t)(list->next - list->at);
}

/* What a committer tells a segment that holds a page it has changed. */
struct c7_message {
    uint32_t object, start, units; /* as in struct c7_chunk */
    uint32_t sender;               /* segment */
};

struct c7_slots { /* free slots of one length, by unit; grows */
    uint32_t *unit;
    uint32_t count, capacity;
};

struct c7_segment {
    _Alignas(128) struct c7_signal signal; /* first: engine.h's inline half knows it */

    /* The inbox (commit=log).  All under `lock`, but `pending`, which its thread may look at
     * without, and the bias.  On the line of the signal: who leaves a message signals, too. */
    _Atomic uint32_t lock;     /* 0 free, 1 held */
    _Atomic uint32_t pending;  /* not 0: messages or pages wait; a futex of tm_retry */
    _Atomic uint32_t sleeping; /* its thread sleeps on `pending` */
    uint32_t messages;
    struct c7_message *message;     /* [C7_INBOX_ENTRIES] */
    _Atomic bool biased;            /* its thread may commit without the lock, see log.c */
    _Atomic bool unlocked_commit;   /* it does: set and reset by its thread */
    bool overflow;                  /* some went to dirty_pages instead */
    uint32_t quiet_commits;         /* of its thread since another one had the lock */
    uint32_t quiet_wanted;          /* so many make it biased again */
    uint32_t dirty_low, dirty_high; /* pages from low to below high */
    uint64_t *dirty_pages;          /* bitmap by page number */

    /* Written by its thread; read by others in conflicts, and by committers with commit=pause. */
    _Alignas(128) _Atomic uint32_t phase; /* enum c7_phase; a futex of whoever stops the others */
    _Atomic uint32_t serial;              /* of executions: odd while one runs */
    _Atomic uint32_t irrevocable;         /* the running block cannot abort */
    _Atomic uint32_t retrying;            /* it sleeps in tm_retry: loses every conflict */
    _Atomic uint64_t age;                 /* of the running block: smaller is older */

    /* Written by whoever wins a conflict, before it signals; read by the segment's thread. */
    _Alignas(128) _Atomic uint32_t doomed; /* serial of the execution that must abort; a futex */
    _Atomic uint32_t doomed_cause;         /* enum tm_cause */
    _Atomic uint32_t doomed_by;            /* segment */
    _Atomic uint32_t doomed_object;        /* unit */

    /* Its own thread's (a stopped world's committer writes to memory behind `base` only). */
    _Alignas(128) char *base;
    uint32_t number;                  /* 0 .. 64 */
    uint64_t bit;                     /* in holders and privates; 0 for segment 0 */
    struct tm_thread *_Atomic thread; /* whose it is; NULL: nobody's.  Others look at it, too */
    bool holds_lock;                  /* its own inbox lock, through to the end of the block */
    bool holds_token;
    bool left; /* it has had a thread, which has detached */
    struct c7_chunks written;
    struct c7_chunks freed;  /* objects that tm_free named in the running execution */
    uintptr_t next;          /* where the next object goes; the block's end is in `block_end` */
    uintptr_t block_end;     /* what signal.limit is while nobody signals; never 0 */
    enum c7_kind block_kind; /* of what is bumped out of the block */
    uint32_t taken; /* pages between the page allocator and this segment, C7_NO_RUN: none */
    unsigned taken_order;
    uintptr_t begin_next; /* next and block_end when the execution began */
    uintptr_t begin_end;
    struct c7_slots slots[C7_SMALL_UNITS + 1]; /* free memory of small objects by length */
    uint64_t commits;                          /* since the last thought about private pages */
    bool hurried; /* commit=pause: this execution went on at a write although it was signalled */
    _Atomic uint64_t private_pages; /* made private since then; counted by committers, too */
    _Atomic int32_t borders; /* between pages in different states: that many mappings, about */
};

/* A run of free pages of the page allocator (a buddy system). */
enum { C7_ORDERS = 32 };

struct c7_global {
    /* commit=pause: bits of the segments that commit and have stopped the others, see pause.c.
     * Those of them that have found readers.  A futex of who waits for the group to be empty. */
    _Alignas(128) _Atomic uint64_t group;
    _Atomic uint64_t disputed;
    _Atomic uint32_t stop_wakes;
    _Atomic uint32_t stop_sleepers;
    /* The segment whose block is irrevocable or has priority, 0: none.  A futex. */
    _Alignas(128) _Atomic uint32_t token;
    _Atomic uint32_t token_sleepers;
    /* Counts conflicts; a block's age is its value at the begin. */
    _Alignas(128) _Atomic uint64_t clock;
    /* More threads than segments. */
    _Alignas(128) _Atomic uint32_t changes; /* commits that wrote; a futex of tm_retry */
    _Atomic uint32_t change_sleepers;
    _Atomic uint32_t queue_lock;
    uint64_t free_segments;              /* bit n-1: segment n; under queue_lock */
    struct tm_thread *queue, *queue_end; /* threads that wait for a segment; under queue_lock */

    /* Constant between start and stop. */
    _Alignas(128) enum c7_commit commit;
    bool alone;          /* one segment: nobody to stop, to tell, or to conflict with */
    bool oversubscribed; /* more threads than segments */
    unsigned segments;   /* without segment 0 */
    unsigned threads;
    int32_t borders_max; /* a segment's share of the mappings that the kernel allows */
    int fd;              /* frames: page p of segment i is file page i * pages + p - first_page */
    char *reserve;       /* segment i starts at reserve + i * stride */
    size_t stride;
    uintptr_t heap; /* offset of the heap */
    size_t heap_bytes;
    uint32_t first_page, end_page; /* of the heap, in pages from offset 0 */
    _Atomic uint8_t *owner;        /* [unit] segment that has written the object, 0: none */
    _Atomic uint64_t *holders;     /* [page] commit=log: segments that may access it */
    _Atomic uint64_t *privates;    /* [page] segments with a private copy */
    size_t owner_bytes, mask_bytes;

    _Alignas(128) _Atomic uint64_t live; /* segments with a thread; changed under all inbox locks */
    _Atomic uint32_t used_end;           /* pages from here on have never been used */

    /* The page allocator and free slots that segments had too many of. */
    _Alignas(128) _Atomic uint32_t heap_lock;
    uint32_t *run_next, *run_prev; /* [page - first_page] of the first page of a free run */
    uint8_t *run_order; /* [page - first_page] order + 1 of the free run that starts here */
    uint32_t run_free[C7_ORDERS]; /* first run of each order, C7_NO_RUN: none */
    struct c7_slots slots[C7_SMALL_UNITS + 1];
    /* Their counts again; written under heap_lock, read by all for a glance without it. */
    _Atomic uint32_t slot_count[C7_SMALL_UNITS + 1];

    struct c7_segment segment[C7_SEGMENTS_MAX + 1];
    struct c7_segment nobody; /* of threads that have no segment */
};
#define C7_NO_RUN UINT32_MAX

extern struct c7_global tm_c7 __attribute__((visibility("hidden")));

/* ---- looking at things (white-box tests) ----------------------------------------------------- */

/* The segment of a thread, and how many there are. */
TM_INLINE struct c7_segment *tm_c7_segment_of(const struct tm_thread *self) {
    return self->segment;
}
TM_INLINE uint32_t tm_c7_unit(uintptr_t offset) { return (uint32_t)(offset >> C7_UNIT_SHIFT); }
TM_INLINE uint32_t tm_c7_page(uint32_t unit) { return unit >> (C7_PAGE_SHIFT - C7_UNIT_SHIFT); }
/* Has the segment a private copy of the page with this unit? */
TM_INLINE bool tm_c7_is_private(const struct c7_segment *s, uint32_t unit) {
    return (atomic_load_explicit(&tm_c7.privates[tm_c7_page(unit)], memory_order_relaxed) &
            s->bit) != 0;
}
/* commit=log: may the segment access the page? */
TM_INLINE bool tm_c7_holds(const struct c7_segment *s, uint32_t unit) {
    return (atomic_load_explicit(&tm_c7.holders[tm_c7_page(unit)], memory_order_relaxed) &
            s->bit) != 0;
}
/* The segment that has written the object, 0: none. */
TM_INLINE uint8_t tm_c7_owner(uint32_t unit) {
    return atomic_load_explicit(&tm_c7.owner[unit], memory_order_relaxed);
}
TM_INLINE uint8_t *tm_c7_marker(const struct c7_segment *s, uint32_t unit) {
    return (uint8_t *)s->base + unit;
}
TM_INLINE uint8_t *tm_c7_read_version(const struct c7_segment *s) {
    return (uint8_t *)s->base + C7_CONTROL;
}
/* Has the running execution read (or written) the object? */
TM_INLINE bool tm_c7_has_read(const struct c7_segment *s, uint32_t unit) {
    return *tm_c7_marker(s, unit) == *tm_c7_read_version(s);
}

TM_INLINE char *tm_c7_at(const struct c7_segment *s, uint32_t unit) {
    return s->base + ((uintptr_t)unit << C7_UNIT_SHIFT);
}

/* What an object begins with. */
struct c7_object {
    TM_HEADER;
};
/* Length and flag as one word: bytes stored one by one could not be forwarded to the loads of a
 * copy. */
#define C7_HEADER_BARRIER ((uint64_t)C7_WRITE_BARRIER << 32)
typedef uint64_t tm_c7_word __attribute__((may_alias));
/* Of a short object; that of a long one is the word behind it. */
TM_INLINE tm_c7_word *tm_c7_header(const struct c7_segment *s, uint32_t unit) {
    return (tm_c7_word *)tm_c7_at(s, unit);
}

/* %gs goes to the thread's segment (plain variant: nothing to do).  Called by attach and whenever a
 * thread gets a segment; tests that step several threads on one host thread call it at each switch.
 */
void tm_c7_enter(const struct tm_thread *self);

/* ---- pages.c: the memory map ------------------------------------------------------------------
 */

/* Everything of `tm_c7` that is mapped.  False and `why` on failure. */
bool tm_c7_map(size_t heap_mb, char *why, size_t why_size);
void tm_c7_unmap(void);
/* The page, and neighbours where that is free, become private to the segment: its thread calls
 * this, in a block. */
void tm_c7_privatize(struct c7_segment *s, uint32_t page);
/* Pages that nobody has a reference into become private to the segment. */
void tm_c7_take_pages(struct c7_segment *s, uint32_t page, uint32_t count);
/* commit=log, under s's inbox lock: the page that s maps shared becomes private, while s may be
 * reading it. */
void tm_c7_convert(struct c7_segment *s, uint32_t page);
/* commit=log, under all inbox locks: s becomes a holder of the page. */
void tm_c7_hold(struct c7_segment *s, uint32_t page);
/* Outside of blocks: the private pages of the segment are shared again, and their frames given
 * back. */
void tm_c7_reshare(struct c7_segment *s);
/* The segment forgets all its pages, as before its first thread. */
void tm_c7_forget_pages(struct c7_segment *s);
/* At the end of an execution: the next read version.  After 255 the markers are zeroed. */
void tm_c7_next_version(struct c7_segment *s);

/* ---- heap.c: who gets which memory -------------------------------------------------------------
 */

void tm_c7_heap_start(void);
void tm_c7_heap_stop(void);
/* The execution ends: its new objects are old now, and what it freed is free. */
void tm_c7_heap_commit(struct c7_segment *s);
/* The execution was thrown away: its new objects are free. */
void tm_c7_heap_abort(struct c7_segment *s);
void tm_c7_grow(struct c7_chunks *list);
void *tm_c7_memory(size_t bytes, const char *what);

/* ---- conflict.c: who wins, waiting, giving up --------------------------------------------------
 */

/* The unit was owned by another segment: waits until it is not, or aborts. */
void tm_c7_contend(struct tm_thread *self, uint32_t object, uint32_t unit);
/* Does the block of `a` win over that of `b`? */
bool tm_c7_wins(const struct c7_segment *a, const struct c7_segment *b);
/* Tells the execution `serial` of the segment to abort. */
void tm_c7_doom(struct c7_segment *victim, uint32_t serial, const struct c7_segment *winner,
                enum tm_cause cause, uint32_t unit);
/* Aborts if somebody has told this execution to. */
void tm_c7_obey(struct tm_thread *self);
bool tm_c7_is_doomed(const struct c7_segment *s);
/* The execution is given up: views and owner bytes as before it.  Does not restart. */
void tm_c7_roll_back(struct tm_thread *self);
/* Behind commit and roll-back: the next read version; locks, token and segment are given back. */
void tm_c7_end_execution(struct tm_thread *self);
_Noreturn void tm_c7_abort(struct tm_thread *self, enum tm_cause cause, uint32_t peer,
                           uint32_t unit);
/* The one right to be irrevocable, or to have priority; aborts when told to. */
void tm_c7_take_token(struct tm_thread *self);
void tm_c7_drop_token(struct c7_segment *s);
/* `n`-th turn of a loop that waits for something that takes a microsecond, or a descheduled
 * thread's slice. */
void tm_c7_spin(struct tm_thread *self, unsigned n);

/* ---- pause.c: commits that stop the other threads ----------------------------------------------
 */

/* From C7_OUTSIDE or C7_PAUSED to C7_RUNNING, when nobody has stopped us. */
void tm_c7_run(struct c7_segment *s);
/* At a safe point: others may commit now. */
void tm_c7_stand(struct c7_segment *s);
void tm_c7_leave(struct c7_segment *s);
void tm_c7_commit_pause(struct tm_thread *self);

/* ---- log.c: commits that stop nobody ------------------------------------------------------------
 */

void tm_c7_commit_log(struct tm_thread *self);
/* The view becomes the current committed state; aborts if what was read has changed. */
void tm_c7_import(struct tm_thread *self);
/* Locks the own inbox for the rest of the block, with the view up to date, or aborts. */
void tm_c7_hold_inbox(struct tm_thread *self);
void tm_c7_release_inbox(struct c7_segment *s);
/* Sleeps until something that the execution has read has changed. */
void tm_c7_wait_log(struct tm_thread *self);
/* The segment's thread touched a page that the segment does not hold.  False: the address is none
 * of ours. */
bool tm_c7_fault(uintptr_t address);
void tm_c7_lock_own(struct tm_thread *self);
void tm_c7_unlock(struct c7_segment *s);
/* The inbox locks of the own and all live segments; returns those that it took, for unlock_all.
 * Nobody comes or leaves meanwhile. */
uint64_t tm_c7_lock_all(struct tm_thread *self);
void tm_c7_unlock_all(uint64_t locked);

/* ---- small things ------------------------------------------------------------------------------
 */

typedef long long tm_c7_v16 __attribute__((vector_size(16), may_alias));

/* The empty assembly keeps the loop what it is: most objects have a few units only. */
TM_INLINE void tm_c7_copy(char *to, const char *from, uint32_t units) {
    for (size_t i = 0, bytes = (size_t)units * C7_UNIT; i < bytes; i += C7_UNIT) {
        *(tm_c7_v16 *)(to + i) = *(const tm_c7_v16 *)(from + i);
        __asm__ volatile("" : "+r"(i));
    }
}

/* The same, but lines that are equal are not stored to: they stay in the caches of others, who read
 * them because of the next line, or the next object. */
TM_INLINE void tm_c7_copy_changes(char *to, const char *from, uint32_t units) {
    const uint32_t line = 64 / C7_UNIT;
    for (; units >= line; units -= line, to += 64, from += 64) {
        const tm_c7_v16 *old = (const tm_c7_v16 *)to, *new = (const tm_c7_v16 *)from;
        const tm_c7_v16 changed =
            (old[0] ^ new[0]) | (old[1] ^ new[1]) | (old[2] ^ new[2]) | (old[3] ^ new[3]);
        if ((changed[0] | changed[1]) != 0)
            tm_c7_copy(to, from, line);
    }
    tm_c7_copy(to, from, units);
}

/* A commit: the piece goes to segment 0, with the write barrier on.  The first unit by words,
 * because the processor forwards the block's latest stores to loads of the same size only. */
TM_INLINE void tm_c7_publish(struct c7_segment *s, const struct c7_chunk *c) {
    tm_c7_word *from = tm_c7_header(s, c->start), *to = tm_c7_header(&tm_c7.segment[0], c->start);
    tm_c7_word first = from[0], second = from[1];
    if (tm_likely(c->kind == C7_OLD))
        from[0] = first |= C7_HEADER_BARRIER;
    else if (c->kind == C7_TAKEN)
        return;
    else if (c->kind != C7_PIECE && c->units <= C7_SMALL_UNITS)
        from[0] = first |= C7_HEADER_BARRIER;
    else if (c->kind != C7_PIECE)
        from[1] = second |= C7_HEADER_BARRIER; /* see C7_LARGE_OFFSET */
    to[0] = first;
    to[1] = second;
    if (tm_likely(c->units <= C7_COPIED_WHOLE))
        tm_c7_copy((char *)(to + 2), (const char *)(from + 2), c->units - 1);
    else
        tm_c7_copy_changes((char *)(to + 2), (const char *)(from + 2), c->units - 1);
}

/* Behind it: others may own the object. */
TM_INLINE void tm_c7_disown(const struct c7_chunk *c) {
    /* Release: pairs with the acquire in tm_c7_try_own. */
    if (tm_likely(c->kind == C7_OLD) || c->kind == C7_TAKEN)
        atomic_store_explicit(&tm_c7.owner[c->start], 0, memory_order_release);
    else if (c->kind == C7_PIECE)
        atomic_store_explicit(&tm_c7.owner[c->start + 1], 0, memory_order_release);
}

TM_INLINE bool tm_c7_running(const struct c7_segment *s) {
    return (atomic_load_explicit(&s->serial, memory_order_relaxed) & 1) != 0;
}
/* Whoever signals has stored its reason first: sequentially consistent, see tm_c7_unsignal. */
TM_INLINE void tm_c7_signal(struct c7_segment *s) { atomic_store(&s->signal.limit, 0); }
/* The limit is itself again; reasons are looked at behind this, so none is lost. */
TM_INLINE void tm_c7_unsignal(struct c7_segment *s) {
    atomic_exchange(&s->signal.limit, s->block_end);
}

TM_INLINE void tm_c7_push(struct c7_chunks *list, struct c7_chunk chunk) {
    if (tm_unlikely(list->next == list->end))
        tm_c7_grow(list);
    *list->next++ = chunk;
}

/* One try to take the owner byte of the unit; false: somebody else has it.  Two may believe to have
 * it (I3), so it costs no atomic instruction. */
TM_INLINE bool tm_c7_try_own(const struct c7_segment *s, uint32_t unit) {
    _Atomic uint8_t *byte = &tm_c7.owner[unit];
    const uint8_t me = (uint8_t)s->number;
    /* Acquire: pairs with the release of whoever had it: its commit, or its message, is there. */
    const uint8_t owner = atomic_load_explicit(byte, memory_order_acquire);
    if (tm_unlikely(owner != 0 && owner != me))
        return false;
    atomic_store_explicit(byte, me, memory_order_relaxed);
    return true;
}

/* Takes the owner byte, waiting for a younger owner to give it up, or aborts. */
TM_INLINE void tm_c7_own(struct tm_thread *self, uint32_t object, uint32_t unit) {
    while (tm_unlikely(!tm_c7_try_own(self->segment, unit)))
        tm_c7_contend(self, object, unit);
}

#endif
