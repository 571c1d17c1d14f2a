/*
 * explore.h - schedule exploration: a machine on which every interleaving is the caller's to
 * choose.
 *
 * A machine that can (struct machine, `explorer`) runs the same cells as for a simulation, but
 * without caches and without time: one event after the other, and before each one that others could
 * see a policy says which thread goes on.  Between two events a thread runs alone.
 *
 * Events.  An access to tracked memory (what machine_alloc gave, and the program's data), a locked
 * operation, a fence, a pause, a call of the system.  A thread's events are numbered from 1; its
 * start is event 1.  The policy is asked before an event that may matter: anything but a plain
 * access, or an access to 8 bytes that two threads have touched and one has written (since the
 * last `forget`); with `every` before each event.  The numbers count all events either way, so a
 * schedule that is written down as (thread, event) does not depend on what has been learned.
 *
 * Memory model.  Sequentially consistent, or x86-TSO (P. Sewell et al., "x86-TSO: a rigorous and
 * usable programmer's model for x86 multiprocessors", CACM 2010): each thread has a FIFO store
 * buffer that it alone sees through.  Plain stores go into it; locked operations, fences and calls
 * of the system empty it first, and the policy may drain any of them from its oldest store up to
 * one that it names.  The program performs its own stores, so a thread's buffered stores are taken
 * out of memory when it is switched out and put back when it goes on.
 *   Not modelled: buffering of stores to stacks, and of single stores beyond 64 bytes (they empty
 * the buffer).  A pause empties the buffer, so that spinning threads are seen at last.
 *
 * Hardware transactions (machine.h).  Strongly isolated: what one stores is in memory for its own
 * thread only, until the commit makes all of it visible at once and empties the buffer.  Sets are
 * of 8 bytes, finer than any processor's, so fewer conflicts hide behind each other.  Whoever asks
 * wins: an access of another thread (a buffered store: when it is drained) that meets a set dooms
 * its transaction, which does nothing more but return from its begin.  System calls and pauses
 * abort, as do more than a few hundred stores; and the policy may abort any transaction with any
 * status at any decision.  Where in between makes no difference, as an aborted transaction leaves
 * nothing behind. Not modelled: conflicts on stacks.
 *
 * Memory.  What is freed is never used again within a run: an access to it, to the gap behind an
 * object, or to what was never allocated ends the run with a verdict, as do deadlock, a crash, and
 * a run that does not end under fair continuation.
 *
 * Deterministic: equal choices give equal runs.  One host thread; not re-entrant.
 */
#ifndef ALLCORES_EXPLORE_H
#define ALLCORES_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXPLORE_THREADS = 8, EXPLORE_STORES = 64 };

enum explore_kind {
    EXPLORE_START,
    EXPLORE_READ,
    EXPLORE_WRITE,
    EXPLORE_LOCKED,
    EXPLORE_FENCE,
    EXPLORE_PAUSE, /* machine_cpu_relax, machine_yield: lets others go on */
    EXPLORE_WAIT,  /* machine_wait: looks at the word */
    EXPLORE_SLEEP, /* and sleeps: goes on when it is woken, or its time is over */
    EXPLORE_WAKE,
    EXPLORE_BARRIER, /* machine_heavy_barrier */
    EXPLORE_TX_BEGIN,
    EXPLORE_TX_COMMIT,
    EXPLORE_TX_ABORT, /* it was doomed, or aborts itself: begin returns once more */
    EXPLORE_END
};

struct explore_op {
    enum explore_kind kind;
    uint32_t bytes;
    uintptr_t address; /* 0 where there is none */
    const void *pc;    /* behind the instruction; NULL where there is none */
};

/* What a policy sees.  Bit t of a mask stands for thread t. */
struct explore_view {
    unsigned threads;
    unsigned current;                        /* who ran last */
    uint64_t event;                          /* number of its pending event */
    uint32_t enabled;                        /* can go on */
    uint32_t timeouts;                       /* sleep, and could go on because their time is over */
    uint32_t yielding;                       /* of `enabled`: about to pause */
    uint32_t transactions;                   /* in a hardware transaction that is not doomed yet */
    const struct explore_op *const *pending; /* [threads] what each would do next */
    const unsigned *buffered;                /* [threads] stores in its buffer */
    const uint64_t *oldest;                  /* [threads] the event of the oldest of them */
    uint64_t steps;                          /* events so far, of all threads */
};

enum explore_what {
    EXPLORE_GO_ON, /* `thread`, of enabled or timeouts, goes on */
    EXPLORE_DRAIN, /* its buffer is drained up to the store that event `detail` made; ask again */
    EXPLORE_ABORT  /* its transaction is doomed with status `detail`; ask again */
};
struct explore_choice {
    uint8_t what; /* enum explore_what */
    uint8_t thread;
    uint64_t detail;
};

struct explore_policy {
    struct explore_choice (*choose)(void *context, const struct explore_view *view);
    /* Optional: each event as it happens, for traces and happens-before. */
    void (*happened)(void *context, unsigned thread, uint64_t event, const struct explore_op *op);
    void *context;
    bool every; /* ask before every event */
};

enum explore_verdict {
    EXPLORE_DONE,     /* all threads ended */
    EXPLORE_DEADLOCK, /* all that are left sleep for ever */
    EXPLORE_NO_END,   /* steps_max under a fair continuation were not enough */
    EXPLORE_FREED,    /* access to memory that was freed */
    EXPLORE_WILD,     /* access to memory that was never allocated, or a bad free */
    EXPLORE_CRASH,    /* a signal */
    EXPLORE_STOPPED   /* machine_explorer.stop */
};

struct explore_limits {
    uint64_t fair_after; /* from so many steps on the default policy replaces the given one */
    uint64_t steps_max;
};

struct machine_explorer {
    /* Enters exploration: the machine must not be open.  False and `why` when memory is out. */
    bool (*open)(char *why, size_t why_size);
    void (*close)(void);
    /* What was learned about sharing is forgotten: another program follows. */
    void (*forget)(void);
    /* How many granules are known to be shared now. */
    size_t (*shared)(void);
    /* A new run: memory is empty, no thread exists.  tso: with store buffers. */
    void (*reset)(bool tso);
    /* Calls fn(argument) on the host; false when a signal ended it (setup, verification). */
    bool (*guard)(void (*fn)(void *), void *argument);
    /* Thread number = order of calls; runs nothing yet. */
    void (*spawn)(void (*fn)(void *), void *argument);
    /* Runs all threads.  Behind a verdict other than DONE their stacks are abandoned, and all that
     * may be called is reset or close. */
    enum explore_verdict (*run)(const struct explore_policy *policy,
                                const struct explore_limits *limits);
    /* From within a thread: ends the run. */
    void (*stop)(void);
    /* Thread, event and access that the verdict is about; one line. */
    void (*explain)(char *line, size_t size);
    unsigned (*verdict_thread)(void);
    /* Number of the running thread; of the host EXPLORE_THREADS. */
    unsigned (*thread)(void);
    uint64_t (*events)(unsigned thread);
    uint64_t (*steps)(void);
    /* What a thread has in its buffer: event numbers of its stores, oldest first; returns how many.
     */
    unsigned (*stores)(unsigned thread, uint64_t events[EXPLORE_STORES]);
    /* Allocations that are not freed; *bytes of the first one and who made it. */
    size_t (*leaks)(size_t *bytes, const void **pc);
    /* "object 3 (64 bytes of thread 1) + 16", into text. */
    void (*name)(uintptr_t address, char *text, size_t size);
    bool (*is_shared)(uintptr_t address, size_t bytes);
};

/*
 * The fair, non-preemptive continuation that schedules are written down against: whoever ran goes
 * on; when it pauses, sleeps or has ended, the next one in the circle that can go on and does not
 * pause either; when all pause, the next one; when none can go on, the first whose time is over.
 */
static inline struct explore_choice explore_default(const struct explore_view *view) {
    struct explore_choice choice = {0};
    const uint32_t going = view->enabled & ~view->yielding;
    if (going >> view->current & 1) {
        choice.thread = (uint8_t)view->current;
        return choice;
    }
    const uint32_t sets[] = {going, view->enabled, view->timeouts};
    for (unsigned s = 0; s < 3; s++)
        for (unsigned i = 1; i <= view->threads; i++) {
            const unsigned t = (view->current + i) % view->threads;
            if (sets[s] >> t & 1) {
                choice.thread = (uint8_t)t;
                return choice;
            }
        }
    return choice;
}

#endif
