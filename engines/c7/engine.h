/*
 * c7 - object-based software transactional memory after C7, the STM library of PyPy.
 *
 * A. Rigo, R. Meier, "PyPy-STM" (the library's revision of 2017, read as facts, not as code); R.
 * Meier, A. Rigo, T. Gross, "A transactional system for structured parallelism in dynamic
 * languages", 2016. README.md in this folder has the picture of the memory, the protocols and what
 * differs from the original; internal.h has the data structures, their owners and the invariants.
 *
 * In short.  A reference is an offset.  Each running block has a memory segment of its own, which
 * %gs points to (addressing=plain: a base pointer that is added), so the same reference reads each
 * thread's own view. A read stores one byte, the block's read version, into the marker of the
 * object; there is no branch in it. A write tests one flag of the object; the slow path behind it
 * runs once per object and block and takes the object's owner byte (so write-write conflicts are
 * found at once), makes the page private, and notes the object.  commit=pause stops all other
 * threads, looks for their markers on the written objects, and copies the objects to segment 0, the
 * committed state, and to all private copies.  commit=log stops nobody: it tells those segments
 * that hold a written page, and they bring their view up to date when they look.
 *
 * Guarantees
 *  - Opacity: nobody but its own thread changes what a running block sees.  With commit=pause all
 * others stand at safe points when a commit changes their views, and a block whose reads have
 * changed is aborted there; with commit=log a view changes when its own thread imports, and only if
 * nothing that was read changed.
 *  - Privatization and publication safe: a commit is complete in every view (pause), or announced
 * to every view that could show the old state (log), before the block ends.
 *  - Progress: the older block wins, an irrevocable one always.  With commit=log a reader always
 * loses to a committer, but a block that has lost often runs with its inbox locked and cannot be
 * invalidated any more.
 *  - Not claimed: freedom from data races in C11's terms.  Data is plain memory; synchronisation is
 * in the protocol's words (all of them C11 atomics).
 */
#ifndef ALLCORES_C7_ENGINE_H
#define ALLCORES_C7_ENGINE_H

#include "../lib/checkpoint.h"

struct c7_segment;

struct tm_thread {
    struct tm_common common;
    struct c7_segment *segment; /* never NULL; one that nobody signals while the thread has none */
    char *base;                 /* address of the segment's offset 0 */
    bool direct;                /* setup, verify, teardown: segment 0, accesses are immediate */
    bool bound;                 /* the segment is this thread's for good */
    struct tm_checkpoint checkpoint;
    uint64_t age;    /* of the current block, kept over its executions; UINT64_MAX: not begun */
    unsigned losses; /* executions of the current block that were thrown away */
    uint32_t
        changes_begin; /* more threads than segments: commits so far when the execution began */
    uint64_t rng;      /* for the back-off */
    uint64_t start_ns; /* of this execution; only while common.timed */
    int64_t length;    /* tm_should_break: how long a transaction may become, see internal.h */
    struct tm_thread *next; /* in the queue for a segment */
    _Atomic uint32_t given; /* number of the segment that was handed over in the queue; a futex */
    _Atomic uint32_t nap;   /* always 0: a word to sleep on for a time */
};

enum {
    C7_CONTROL = 4096,   /* offset of the control page: the read version is its first byte */
    C7_WRITE_BARRIER = 1 /* header flag: the next write must take the slow path */
};

/* Bit-fields, because an access to one has the alias set of its structure, whereas a plain byte may
 * alias everything: the compiler then keeps the version in a register over a loop and stores the
 * marker of an object that a loop keeps reading once. */
struct c7_marker {
    uint8_t version : 8;
};
struct c7_version {
    uint8_t value : 8;
};

#define TM_FN      /* functions need no other code inside of blocks */
#define TM_PURE_FN /* likewise */
#define TM_HEADER                                                                                  \
    struct {                                                                                       \
        uint32_t units; /* length of the object in units of 16 bytes */                            \
        uint8_t flags;                                                                             \
    } tm_header

#if defined(C7_PLAIN)
#define TM_SEG
#define C7_AT(lvalue) (*(__typeof__(lvalue) *)(self->base + (uintptr_t) & (lvalue)))
#define C7_MARK(ref)                                                                               \
    (((struct c7_marker *)(self->base + ((uintptr_t)(ref) >> 4)))->version =                       \
         ((const struct c7_version *)(self->base + C7_CONTROL))->value)
#else
#define TM_SEG __seg_gs
#define C7_AT(lvalue) (lvalue)
#ifdef C7_UNMARKED /* wrong results; measures what read markers cost (engines/hybrid/README.md) */
#define C7_MARK(ref) ((void)(ref))
#else
#define C7_MARK(ref)                                                                               \
    (((struct c7_marker __seg_gs *)((uintptr_t)(ref) >> 4))->version =                             \
         ((const struct c7_version __seg_gs *)C7_CONTROL)->value)
#endif
#endif

/* Elements of arrays, and plain data, are read through the base address in both variants: gcc
 * (12.2) vectorises loops over %gs accesses, but where elements do not lie side by side it drops
 * the segment prefix.  The empty assembly keeps loops over fields, and loops that write, from being
 * vectorised at all; it costs no instruction. */
#define C7_FLAT(lvalue) (*(__typeof__(C7_RVALUE(lvalue)) *)(self->base + (uintptr_t) & (lvalue)))
/* An expression of the lvalue's type without qualifiers and address space; for __typeof__ only. */
#define C7_RVALUE(lvalue)                                                                          \
    ({                                                                                             \
        __auto_type tm_t_ = (lvalue);                                                              \
        tm_t_;                                                                                     \
    })

#define TM_READ(ref, lvalue)                                                                       \
    ({                                                                                             \
        C7_MARK(ref);                                                                              \
        __asm__ volatile("" ::);                                                                   \
        __auto_type tm_v_ = C7_AT(lvalue);                                                         \
        tm_v_;                                                                                     \
    })
#define TM_READ_AT(ref, field, i)                                                                  \
    ({                                                                                             \
        C7_MARK(ref);                                                                              \
        C7_FLAT((ref)->field[i]);                                                                  \
    })
#define TM_WRITE(ref, lvalue, v)                                                                   \
    ({                                                                                             \
        if (tm_unlikely(C7_AT((ref)->tm_header.flags) & C7_WRITE_BARRIER))                         \
            tm_c7_write(self, (uintptr_t)(ref), (uintptr_t) & (lvalue));                           \
        __asm__ volatile("" ::);                                                                   \
        (void)(C7_AT(lvalue) = (v));                                                               \
    })
#define TM_WRITE_AT(ref, field, i, v) TM_WRITE(ref, (ref)->field[i], v)

/* Privatised data is in this thread's own view; a change of it must reach the others before they
 * can find the object again, so it is a transaction of its own. */
#define TM_PLAIN_READ(ref, lvalue) ((void)(ref), C7_FLAT(lvalue))
#define TM_PLAIN_WRITE(ref, lvalue, v)                                                             \
    ({                                                                                             \
        __typeof__(C7_RVALUE(lvalue)) tm_p_ = (v);                                                 \
        tm_c7_plain_write(self, (uintptr_t)(ref), (uintptr_t) & (lvalue), sizeof(lvalue),          \
                          TM_TO_BITS(tm_p_, tm_p_));                                               \
    })

/* The rest of a write to the field at offset `field` of the object at offset `object`, whose flag
 * is set. */
void tm_c7_write(struct tm_thread *self, uintptr_t object, uintptr_t field);
void tm_c7_plain_write(struct tm_thread *self, uintptr_t object, uintptr_t field, size_t bytes,
                       uint64_t bits);
/* A safe point at which somebody wants something. */
void tm_c7_attention(struct tm_thread *self);
void tm_c7_begin(struct tm_thread *self);
void tm_c7_commit(struct tm_thread *self);

TM_INLINE int tm_end(struct tm_thread *self) {
    if (--self->common.depth == 0)
        tm_c7_commit(self);
    return 1;
}

#define TM_ATOMIC(self_)                                                                           \
    for (TM_BLOCK = {.done = ({                                                                    \
                         if ((self_)->common.depth++ == 0) {                                       \
                             tm_checkpoint(&(self_)->checkpoint);                                  \
                             tm_c7_begin(self_);                                                   \
                         }                                                                         \
                         0;                                                                        \
                     })};                                                                          \
         !tm_block_.done; tm_block_.done = tm_end(self_))

void TM_SEG *tm_alloc(struct tm_thread *self, size_t bytes);
void tm_release(struct tm_thread *self, const void TM_SEG *object);
_Noreturn void tm_block_retry(struct tm_thread *self);
_Noreturn void tm_block_restart(struct tm_thread *self);
void tm_irrevocable(struct tm_thread *self);

/* What the inline half knows of a segment: the allocation limit, which others overwrite with 0 to
 * signal. */
struct c7_signal {
    _Atomic uintptr_t limit; /* end of the allocation block; 0: look at tm_c7_attention.  Set to 0
                                by everybody, set back by the segment's thread */
    int64_t budget; /* tm_should_break: what is left of the transaction's length; its thread's */
};

TM_INLINE void tm_safepoint(struct tm_thread *self) {
    if (tm_unlikely(atomic_load_explicit(&((struct c7_signal *)self->segment)->limit,
                                         memory_order_relaxed) == 0))
        tm_c7_attention(self);
}

/* A call costs as much of the budget as an allocation of so many bytes. */
enum { C7_BREAK_COST = 64 };
TM_INLINE bool tm_should_break(struct tm_thread *self) {
    struct c7_signal *signal = (struct c7_signal *)self->segment;
    signal->budget -= C7_BREAK_COST;
    return signal->budget < 0 ||
           tm_unlikely(atomic_load_explicit(&signal->limit, memory_order_relaxed) == 0);
}

/* Outside of blocks a thread holds nothing that others wait for. */
TM_INLINE void tm_blocking_enter(TM_SELF) {}
TM_INLINE void tm_blocking_leave(TM_SELF) {}

#endif
