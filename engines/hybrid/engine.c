/*
 * hybrid - the rare half: what becomes of an abort, software blocks, their commits.  See engine.h;
 * the software algorithm is in lib/norec_slow.h.
 */
#include "tm.h"

#include "../lib/norec_slow.h"

enum {
    HARDWARE_TRIES = 6,     /* of a block; ours */
    CONFLICT_FIRST = 1,     /* back-off behind the first conflict: up to 2^(1+1) pauses, */
    CONFLICT_DOUBLINGS = 5, /* and twice as many behind each further one, that often; ours */
    POSTFIX_TRIES = 4,      /* slow=rh: of the write-back as a hardware transaction; ours */
    VALIDATIONS = 8,        /* of all that a block has read, until software gives up; ours, */
    VALIDATED_LEAST = 512   /* reads; but not before these; ours */
};

/* Of the running measurement; written by start, with no thread attached. */
static struct {
    bool rh, serial;
    uint16_t tries;
    int32_t length;
} hybrid_options;

/* ---- aborts --------------------------------------------------------------------------------- */

static enum tm_cause cause_of(unsigned status) {
    if (status & MACHINE_TX_EXPLICIT)
        switch (status >> MACHINE_TX_CODE_SHIFT) {
        case HYBRID_BUSY:
            return TM_LOCK_BUSY;
        case HYBRID_IRREVOCABLE:
            return TM_IRREVOCABLE;
        default:
            return TM_EXPLICIT;
        }
    return status & MACHINE_TX_CAPACITY   ? TM_CAPACITY
           : status & MACHINE_TX_CONFLICT ? TM_CONFLICT
                                          : TM_OTHER;
}

static void count_abort(struct tm_thread *self, enum tm_cause cause, const void *site) {
    self->common.stats.aborts[cause]++;
    self->common.last_abort = (struct tm_event){.cause = cause, .site = site, .peer = -1};
    if (self->common.timed)
        self->common.stats.wasted_ns += machine_now_ns() - self->start_ns;
}

/* Until hardware may run, and may commit. */
static void await_software(struct tm_thread *self) {
    while (atomic_load_explicit(self->subscribed, memory_order_relaxed) & 1)
        (void)clock_when_free(self); /* its owner is the one that has set the other word, too */
    if (atomic_load_explicit(self->moved, memory_order_relaxed) & 1)
        (void)clock_when_free(self);
}

/* Where whoever asks for a line gets it, transactions that abort each other do so again unless one
 * of them waits. */
static void back_off(struct tm_thread *self) {
    const unsigned doublings =
        self->now.aborts < CONFLICT_DOUBLINGS ? self->now.aborts : CONFLICT_DOUBLINGS;
    for (uint64_t i = next_random(self) >> (63 - CONFLICT_FIRST - doublings); i > 0; i--)
        machine_cpu_relax();
}

TM_COLD void tm_hybrid_timed(struct tm_thread *self) { self->start_ns = machine_now_ns(); }

TM_NOINLINE bool tm_hybrid_again(struct tm_thread *self, unsigned status) {
    const enum tm_cause cause = cause_of(status);
    bool again = false;
    if (cause != TM_EXPLICIT || status >> MACHINE_TX_CODE_SHIFT != HYBRID_RETRY)
        count_abort(self, cause, __builtin_return_address(0));
    switch (cause) {
    case TM_LOCK_BUSY: /* not the block's fault: no try of it is counted */
        await_software(self);
        again = true;
        break;
    case TM_CONFLICT:
        back_off(self);
        again = ++self->now.aborts < hybrid_options.tries;
        break;
    case TM_OTHER:
        again = ++self->now.aborts < hybrid_options.tries;
        break;
    default: /* capacity; or the block asks for what only software can do */
        break;
    }
    if (again) {
        if (self->common.timed)
            tm_hybrid_timed(self);
        return true;
    }
    self->serial = hybrid_options.serial && (cause == TM_CONFLICT || cause == TM_IRREVOCABLE);
    self->hardware = false;
    self->common.stats.fallbacks++;
    return false;
}

/* ---- blocks --------------------------------------------------------------------------------- */

/* As norec's take_clock, but for a block that has read nothing. */
static void start_serial(struct tm_thread *self) {
    self->hardware = true;
    uint64_t now;
    do
        now = clock_when_free(self);
    while (!atomic_compare_exchange_weak_explicit(&tm_global.clock, &now, now + 1,
                                                  memory_order_acquire, memory_order_relaxed));
    atomic_store_explicit(&tm_global.owner, self->common.index, memory_order_release);
    TM_NOREC_TAKEN(self);
    self->snapshot = now;
    self->read_next = self->read_log;
    self->irrevocable = self->direct = true;
}

bool tm_hybrid_gives_up(struct tm_thread *self, uint64_t reads) {
    if (!hybrid_options.serial)
        return false;
    self->validated += (int64_t)reads;
    self->serial = self->validated > VALIDATIONS * (int64_t)reads + VALIDATED_LEAST;
    return self->serial;
}

/* Called behind the checkpoint, so for each execution. */
TM_NOINLINE void tm_hybrid_software(struct tm_thread *self) {
    if (!self->counted) {
        self->counted = true;
        /* Sequentially consistent: a hardware block that has read 0 either commits before this, or
         * this aborts it; so what comes behind sees what it wrote. */
        atomic_fetch_add(&tm_global.software, 1);
    }
    self->now.calls_left = self->fresh.calls_left;
    if (self->validated < 0)
        self->validated = 0;
    if (self->serial) {
        start_serial(self);
        return;
    }
    TM_NOREC_SECOND_IS(self, TM_NOREC_SECOND());
    tm_start(self); /* the sequence lock behind the second clock: both held at that moment */
}

void tm_hybrid_exclude(uint64_t exclusive) {
    /* Release: the write-back's stores come behind the 1 and before the 0. */
    if (hybrid_options.rh)
        atomic_store_explicit(&tm_global.exclusive, exclusive, memory_order_release);
}

/* slow=rh: the write-back as one hardware transaction.  False when that is not to be had. */
static bool commit_in_hardware(struct tm_thread *self) {
    for (unsigned tries = 0; tries < POSTFIX_TRIES;) {
        const unsigned status = machine_tx_begin();
        if (status == MACHINE_TX_STARTED) {
            /* Relaxed throughout: the transaction's end orders. */
            if (atomic_load_explicit(&tm_global.clock, memory_order_relaxed) != self->snapshot)
                machine_tx_abort(HYBRID_MOVED);
            write_back(self);
            atomic_store_explicit(&tm_global.clock, self->snapshot + 2, memory_order_relaxed);
            atomic_store_explicit(&tm_global.owner, self->common.index, memory_order_relaxed);
            machine_tx_end();
            return true;
        }
        if (status & MACHINE_TX_EXPLICIT) {
            const struct tm_read_entry *changed = validate(self);
            if (changed != NULL)
                lose(self, changed);
            continue;
        }
        if (status & MACHINE_TX_CAPACITY)
            return false;
        tries++;
    }
    return false;
}

/* Of a software block. */
TM_NOINLINE void tm_commit(struct tm_thread *self) {
    const bool writes = (uint32_t)self->write_stamp > 0;
    if (writes && hybrid_options.rh && commit_in_hardware(self)) {
        wake_waiters();
    } else if (writes || self->irrevocable) {
        if (writes) {
            take_clock(self);
            write_back(self);
        }
        release_clock(self);
    }
    commit_ended(self);
    self->hardware = true;
    self->counted = self->serial = false;
    self->validated = 0;
    /* Release: hardware that sees the count without this block need not move a clock for it. */
    atomic_fetch_sub_explicit(&tm_global.software, 1, memory_order_release);
}

void *tm_alloc(TM_SELF, size_t bytes) { return alloc_object(TM_THREAD(self), bytes); }
void tm_release(TM_SELF, void *object) { release_object(TM_THREAD(self), object); }

/* A serial execution is given up: it has not written anything. */
static void leave_serial(struct tm_thread *self) {
    release_clock(self);
    self->snapshot += 2;
    self->irrevocable = self->direct = false;
    self->write_limit = self->write_capacity;
    self->common.depth = 1;
}

/* Which commit wrote what was read, a serial block does not know: the next one will do. */
static void await_commit(struct tm_thread *self) {
    /* A committer that does not see this has moved its clock before the heavy barrier. */
    atomic_fetch_add_explicit(&tm_global.waiters, 1, memory_order_relaxed);
    machine_heavy_barrier(); /* pairs with the light one in release_clock */
    for (;;) {
        /* Acquire: pairs with the increment in wake_waiters.  Read before the clocks. */
        const uint32_t wakeups = atomic_load_explicit(&tm_global.wakeups, memory_order_acquire);
        if (tm_moved(self))
            break;
        machine_wait(&tm_global.wakeups, wakeups, UINT64_MAX);
    }
    atomic_fetch_sub_explicit(&tm_global.waiters, 1, memory_order_relaxed);
}

_Noreturn void tm_block_retry(TM_SELF) {
    struct tm_thread *thread = TM_THREAD(self);
    if (thread->serial) {
        thread->common.stats.retries++;
        /* While the sequence lock is ours: what moves it is a commit behind our reads. */
        TM_NOREC_SECOND_IS(thread, TM_NOREC_SECOND());
        leave_serial(thread);
        await_commit(thread);
        restart(thread);
    }
    if (!tm_in_software(self) && !thread->direct)
        machine_tx_abort(HYBRID_RETRY);
    thread->validated = INT64_MIN / 2; /* a sleeper validates because it was woken */
    retry_block(thread);
}

_Noreturn void tm_block_restart(TM_SELF) {
    struct tm_thread *thread = TM_THREAD(self);
    if (thread->serial) {
        count_abort(thread, TM_EXPLICIT,
                    (const void *)thread->checkpoint.rip); /* NOLINT(*-no-int-to-ptr) */
        leave_serial(thread);
        restart(thread);
    }
    if (!tm_in_software(self) && !thread->direct)
        machine_tx_abort(HYBRID_RESTART);
    restart_block(thread);
}

void tm_irrevocable(struct tm_thread *tagged) {
    struct tm_thread *self = TM_THREAD(tagged);
    if (self->serial && !self->now.irrevocable) {
        self->now.irrevocable = true;
        self->common.stats.irrevocable++;
    }
    if (self->direct) /* irrevocable already, or alone */
        return;
    if (self->common.depth == 0)
        tm_fatal("tm_irrevocable outside of a block");
    if (self->hardware)
        machine_tx_abort(HYBRID_IRREVOCABLE);
    become_irrevocable(self);
}

/* ---- behind a hardware commit --------------------------------------------------------------- */

TM_COLD void tm_hybrid_wake(void) { wake_waiters(); }

TM_COLD void tm_hybrid_free(struct tm_thread *self) {
    for (size_t i = 0; i < self->freed.count; i++)
        tm_reclaim_retire(&self->reclaim, self->freed.object[i]);
    self->freed.count = 0;
    self->read_limit = self->read_end;
}

/* ---- descriptor ----------------------------------------------------------------------------- */

enum { OPTION_SLOW, OPTION_CONTENDED, OPTION_RETRIES, OPTION_LENGTH };

static const struct tm_param hybrid_params[] = {
    [OPTION_SLOW] =
        {"slow",
         "what software and hardware blocks agree on: norec (hardware subscribes to the "
         "sequence lock), rh (software commits by a short hardware transaction)",
         TM_CHOICE, "norec", .choices = "norec|rh"},
    [OPTION_CONTENDED] =
        {"contended",
         "a block that loses all its tries to conflicts, is irrevocable, or does not get done in "
         "software: serial (alone with the sequence lock), or software as well",
         TM_CHOICE, "serial", .choices = "serial|software"},
    [OPTION_RETRIES] = {"retries",
                        "transactions of a block before it runs in software, those that found "
                        "software writing not counted; 0: 6",
                        TM_INT, "0", 0, 10000, NULL},
    [OPTION_LENGTH] = {"length", "calls of tm_should_break that a block spans", TM_INT, "16", 1,
                       1e6, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

static bool hybrid_start(const union tm_value *options, unsigned threads, char *why,
                         size_t why_size) {
    memset((void *)&tm_global, 0, sizeof tm_global);
    hybrid_options.rh = options[OPTION_SLOW].choice == 1;
    hybrid_options.serial = options[OPTION_CONTENDED].choice == 0;
    hybrid_options.tries =
        options[OPTION_RETRIES].i > 0 ? (uint16_t)options[OPTION_RETRIES].i : HARDWARE_TRIES;
    hybrid_options.length = (int32_t)options[OPTION_LENGTH].i;
    if (tm_reclaim_start(threads))
        return true;
    snprintf(why, why_size, "out of memory");
    return false;
}

static void hybrid_stop(void) { tm_reclaim_stop(); }

static struct tm_thread *hybrid_attach(unsigned index, bool direct) {
    struct tm_thread *self = open_thread(index, direct);
    if (self == NULL)
        return NULL;
    self->common.stats.counts_accesses = false; /* hardware counts none */
    self->hardware = true;
    self->fresh.calls_left = hybrid_options.length;
    self->subscribed = hybrid_options.rh ? &tm_global.exclusive : &tm_global.clock;
    self->moved = hybrid_options.rh ? &tm_global.clock : &tm_global.second;
    return self;
}

/* Outside of blocks a thread holds nothing. */
static void hybrid_pause(struct tm_thread *self) { (void)self; }

static struct tm_stats *hybrid_stats(struct tm_thread *self) { return &self->common.stats; }

const struct tm_engine tm_engine_descriptor = {
    .name = "hybrid",
    .help = "hardware transactions, and software ones at the same time for what these cannot do",
    .stands_for = "hybrid transactional memory: Hybrid NOrec, reduced-hardware NOrec",
    .options = hybrid_params,
    .max_threads = 1024,
    .transactional_hardware = true,
    .unavailable = machine_tx_unavailable,
    .start = hybrid_start,
    .attach = hybrid_attach,
    .detach = close_thread,
    .suspend = hybrid_pause,
    .resume = hybrid_pause,
    .stop = hybrid_stop,
    .stats = hybrid_stats,
};
TM_REGISTER(tm_engines, struct tm_engine, tm_engine_descriptor);
