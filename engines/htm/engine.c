/*
 * htm - the rare half: retry policies, the lock, waiting, memory, threads.  See engine.h.
 *
 * The policies, where a block that keeps aborting takes the lock:
 *
 *   glibc   GNU C library 2.24, sysdeps/unix/sysv/linux/x86/elision-lock.c and elision-conf.c:
 *           three tries, as long as the status says that another may succeed.  Any other status,
 * the lock found taken among them, makes this block and the next three take the lock without a try
 * (adapt_count).  It does not wait for the lock before it tries: the one that holds it makes others
 * take it, and these again others, long after its reason is gone - the lemming effect (D. Dice, Y.
 * Lev, M. Moir, D. Nussbaum, "Early experience with a commercial hardware transactional memory
 * implementation", ASPLOS 2009). wait    waits until the lock is free and tries again, which ends
 * that (Intel 64 and IA-32 Architectures Optimization Reference Manual, chapter on TSX: "avoid the
 * lemming effect"); such aborts do not count as tries. odaira  R. Odaira, J. G. Castanos, H.
 * Tomari, "Eliminating global interpreter locks in Ruby through hardware transactional memory",
 * PPoPP 2014: a few tries while the status says that another may succeed, more of them while the
 * lock was what was in the way, and a transaction length for each site that is shortened while too
 * many of its transactions abort.  All its constants from memory. fixed   the same with the length
 * given by an option: HTM-1, HTM-16, HTM-256 of that paper. c7      the hardware mode of PyPy's
 * stmgc ("htm-c7"): the same with other constants, 100 and 10; from memory.
 */
#include "tm.h"

#include "../lib/fatal.h"

#include <string.h>

TM_CHECKPOINT_DEFINITION

struct htm tm_htm;

enum {
    GLIBC_TRIES = 3,        /* retry_try_xbegin */
    GLIBC_SKIPS = 3,        /* skip_lock_busy and skip_lock_internal_abort */
    WAIT_TRIES = 5,         /* ours: the manual says "a few" */
    ODAIRA_TRIES = 3,       /* transient retries; from memory, like the rest of it */
    ODAIRA_BUSY_TRIES = 16, /* retries because of the lock */
    ODAIRA_LENGTH = 255,    /* the initial one */
    ODAIRA_PERIOD = 300,    /* transactions of a site from one decision to the next */
    C7_TRIES = 100,
    C7_BUSY_TRIES = 10,
    HTM_SITES = 64, /* sites of a thread; what comes later shares the last one */
    FREED_INITIAL = 64
};
/* What becomes of a length that was too long: times 0.75; from memory. */
static const double odaira_attenuation = 0.75;

enum htm_policy { GLIBC, WAIT, ODAIRA, C7, FIXED };

static const struct {
    uint16_t tries, busy_tries; /* 0: without limit */
} policies[] = {
    [GLIBC] = {GLIBC_TRIES, 0},
    [WAIT] = {WAIT_TRIES, 0},
    [ODAIRA] = {ODAIRA_TRIES, ODAIRA_BUSY_TRIES},
    [C7] = {C7_TRIES, C7_BUSY_TRIES},
    [FIXED] = {ODAIRA_TRIES, ODAIRA_BUSY_TRIES},
};

/* Of the running measurement; written by start, with no thread attached. */
static struct {
    enum htm_policy policy;
    uint16_t tries, busy_tries;
    int32_t length;
    uint16_t aborts_max; /* policy=odaira: of one site in one period */
} htm_options;

struct htm_site {
    const void *address; /* in the code of the block; NULL: not used yet */
    uint16_t length;
    uint16_t begun, aborted; /* transactions of this period */
};

/* ---- policy=odaira: the length of transactions ---------------------------------------------- */

/* In order of appearance and searched in that order: code lies elsewhere in each process, and a
 * simulation must not depend on that. */
static struct htm_site *site_of(struct tm_thread *self, const void *address) {
    struct htm_site *site = self->sites;
    for (; site < self->sites + HTM_SITES - 1 && site->address != NULL; site++)
        if (site->address == address)
            return site;
    if (site->address == NULL)
        *site = (struct htm_site){.address = address, .length = ODAIRA_LENGTH};
    return site;
}

static void choose_length(struct tm_thread *self, const void *address) {
    if (self->site == NULL || self->site->address != address)
        self->site = site_of(self, address);
    self->length = self->calls_left = self->site->length;
    if (self->site->begun < ODAIRA_PERIOD)
        self->site->begun++;
}

/* The first abort of a block.  A site whose period has passed without too many of them keeps its
 * length for good. */
static void adjust_length(struct tm_thread *self) {
    struct htm_site *site = self->site;
    if (self->attempt.adjusted || site->length <= 1 || site->begun >= ODAIRA_PERIOD)
        return;
    self->attempt.adjusted = true;
    if (++site->aborted <= htm_options.aborts_max)
        return;
    site->length = (uint16_t)(site->length * odaira_attenuation);
    site->begun = site->aborted = 0;
    self->length = self->calls_left = site->length;
}

/* ---- the lock ------------------------------------------------------------------------------- */

static void give_lock(struct tm_thread *self) {
    if (self->lock_ns != 0)
        self->common.stats.lock_ns += machine_now_ns() - self->lock_ns;
    if (tm_section_release(&tm_htm.lock))
        machine_wake(&tm_htm.lock.locked,
                     UINT32_MAX); /* some of them only wait for it to be free */
}

static void get_lock(struct tm_thread *self) {
    if (!tm_section_try(&tm_htm.lock))
        tm_section_contended(&tm_htm.lock);
    self->lock_ns = self->common.timed ? machine_now_ns() : 0;
}

/* This block runs under the lock.  `lemming`: for no other reason than that somebody had it. */
static void take_lock(struct tm_thread *self, bool lemming) {
    struct tm_stats *stats = &self->common.stats;
    get_lock(self);
    self->locked = true;
    stats->fallbacks++;
    tm_htm.cascade = lemming ? tm_htm.cascade + 1 : 0;
    stats->cascades += tm_htm.cascade == 1;
    stats->cascade_blocks += lemming;
    if (tm_htm.cascade > stats->cascade_blocks_max)
        stats->cascade_blocks_max = tm_htm.cascade;
}

TM_COLD void tm_htm_end_locked(struct tm_thread *self) {
    self->locked = false;
    give_lock(self);
}

/* ---- before and behind an execution --------------------------------------------------------- */

/* The lock is taken.  True when it is free again, false when this thread has got it instead. */
static bool await_lock(struct tm_thread *self) {
    if (tm_section_spin(&tm_htm.lock, false))
        return true;
    if (htm_options.policy == WAIT) {
        tm_section_sleep(&tm_htm.lock, false);
        return true;
    }
    take_lock(self, true); /* as both models of the other policies do, with a bounded spin */
    return false;
}

static bool lock_is_taken(void) {
    return atomic_load_explicit(&tm_htm.lock.locked, memory_order_relaxed) != 0;
}

/* An execution is about to begin. */
static bool started(struct tm_thread *self) {
    if (self->common.timed)
        self->start_ns = machine_now_ns();
    return true;
}

TM_NOINLINE bool tm_htm_prepare(struct tm_thread *self) {
    if (htm_options.policy == GLIBC) {
        const int32_t skips = atomic_load_explicit(&tm_htm.adapt_count, memory_order_relaxed);
        if (skips > 0) {
            atomic_store_explicit(&tm_htm.adapt_count, skips - 1, memory_order_relaxed);
            take_lock(self, atomic_load_explicit(&tm_htm.skip_busy, memory_order_relaxed));
            return false;
        }
        return started(self);
    }
    if (htm_options.policy == ODAIRA)
        choose_length(self, __builtin_return_address(0));
    if (lock_is_taken() && !await_lock(self))
        return false;
    return started(self);
}

static enum tm_cause cause_of(unsigned status) {
    if (status & MACHINE_TX_EXPLICIT)
        switch (status >> MACHINE_TX_CODE_SHIFT) {
        case HTM_LOCK_BUSY:
            return TM_LOCK_BUSY;
        case HTM_IRREVOCABLE:
            return TM_IRREVOCABLE;
        default:
            return TM_EXPLICIT;
        }
    return status & MACHINE_TX_CAPACITY   ? TM_CAPACITY
           : status & MACHINE_TX_CONFLICT ? TM_CONFLICT
                                          : TM_OTHER;
}

/* tm_retry in a transaction.  The first time the thread announces itself and runs the block once
 * more, because a commit that it depends on may have come between its reads and the announcement;
 * when that comes to the same end, and nobody has been woken since, it sleeps. */
static void await_change(struct tm_thread *self) {
    /* Sequentially consistent throughout: see I4. */
    if (!self->announced || atomic_load(&tm_htm.changes) != self->seen) {
        self->common.stats.retries += !self->announced;
        self->seen = atomic_load(&tm_htm.changes);
        atomic_fetch_or(&tm_htm.attention, 1);
        self->announced = true;
        return;
    }
    while (atomic_load(&tm_htm.changes) == self->seen)
        machine_wait(&tm_htm.changes, self->seen, UINT64_MAX);
    self->announced = false;
}

/* glibc: the next blocks take the lock at once.  Careful not to write what is there already. */
static void skip_tries(bool busy) {
    if (atomic_load_explicit(&tm_htm.adapt_count, memory_order_relaxed) == GLIBC_SKIPS)
        return;
    atomic_store_explicit(&tm_htm.skip_busy, busy, memory_order_relaxed);
    atomic_store_explicit(&tm_htm.adapt_count, GLIBC_SKIPS, memory_order_relaxed);
}

/* Is this abort one behind which the policy tries again? */
static bool worth_another(struct tm_thread *self, unsigned status, enum tm_cause cause) {
    struct htm_attempt *attempt = &self->attempt;
    const bool transient = (status & MACHINE_TX_RETRY) != 0;
    if (htm_options.policy == GLIBC && !transient) {
        skip_tries(cause == TM_LOCK_BUSY);
        return false;
    }
    if (cause == TM_EXPLICIT || cause == TM_IRREVOCABLE)
        return false;
    if (cause == TM_LOCK_BUSY)
        return htm_options.busy_tries == 0 || ++attempt->busy <= htm_options.busy_tries;
    /* policy=wait: status 0 is worth a try, too: an interrupt, or a page that is mapped by then. */
    if (htm_options.policy == WAIT ? cause == TM_CAPACITY : !transient)
        return false;
    return ++attempt->aborts < htm_options.tries;
}

TM_NOINLINE bool tm_htm_again(struct tm_thread *self, unsigned status) {
    if ((status & MACHINE_TX_EXPLICIT) && status >> MACHINE_TX_CODE_SHIFT == HTM_RETRY) {
        await_change(self);
        return (!lock_is_taken() || await_lock(self)) && started(self);
    }
    const enum tm_cause cause = cause_of(status);
    self->common.stats.aborts[cause]++;
    self->common.last_abort =
        (struct tm_event){.cause = cause, .site = __builtin_return_address(0), .peer = -1};
    if (self->common.timed)
        self->common.stats.wasted_ns += machine_now_ns() - self->start_ns;
    if (htm_options.policy == ODAIRA && self->site != NULL)
        adjust_length(self);
    if (!worth_another(self, status, cause)) {
        take_lock(self, cause == TM_LOCK_BUSY);
        return false;
    }
    if (htm_options.policy != GLIBC && lock_is_taken() && !await_lock(self))
        return false;
    return started(self);
}

/* ---- tm_retry, tm_abort_restart, tm_irrevocable --------------------------------------------- */

/* Clears the announcement before it counts: whoever announces itself in between sleeps until the
 * next commit, which is as good. */
TM_COLD void tm_htm_attention(void) {
    atomic_fetch_and(&tm_htm.attention, 0);
    atomic_fetch_add(&tm_htm.changes, 1);
    machine_wake(&tm_htm.changes, UINT32_MAX);
}

/* A transaction cannot sleep: it aborts and says why, and tm_htm_again waits.  Under the lock as in
 * gil: which block wrote what was read, the engine does not know, so the end of any block will do;
 * the announcement is made under the lock, so the next one cannot miss it. */
_Noreturn void tm_block_retry(struct tm_thread *self) {
    if (self->direct)
        tm_fatal("tm_retry in setup or verify: nothing can wake it");
    if (!self->locked)
        machine_tx_abort(HTM_RETRY);
    self->common.stats.retries++;
    const uint32_t seen = atomic_load(&tm_htm.changes);
    atomic_fetch_or(&tm_htm.attention, 1);
    give_lock(self);
    while (atomic_load(&tm_htm.changes) == seen)
        machine_wait(&tm_htm.changes, seen, UINT64_MAX);
    get_lock(self);
    self->calls_left = self->length;
    tm_checkpoint_resume(&self->checkpoint);
}

/* Under the lock the program's own notes on how often it has restarted survive, so a block that has
 * restarted in a transaction goes there. */
_Noreturn void tm_block_restart(struct tm_thread *self) {
    if (self->direct)
        tm_fatal("tm_abort_restart in setup or verify");
    if (!self->locked)
        machine_tx_abort(HTM_RESTART);
    self->common.stats.aborts[TM_EXPLICIT]++;
    self->common.last_abort = (struct tm_event){
        .cause = TM_EXPLICIT,
        .site = (const void *)self->checkpoint.rip, /* NOLINT(performance-no-int-to-ptr) */
        .peer = -1,
    };
    self->calls_left = self->length;
    tm_checkpoint_resume(&self->checkpoint);
}

void tm_irrevocable(struct tm_thread *self) {
    if (self->direct)
        return;
    if (self->common.depth == 0)
        tm_fatal("tm_irrevocable outside of a block");
    if (!self->locked)
        machine_tx_abort(HTM_IRREVOCABLE);
    self->common.stats.irrevocable++;
}

/* ---- memory --------------------------------------------------------------------------------- */

/* In a transaction an allocator's own stores are undone like all others.  Where it has lists for
 * each thread (machine_alloc does) it shares nothing with other transactions; where it needs the
 * system, the transaction aborts. */
void *tm_alloc(TM_SELF, size_t bytes) {
    void *object = machine_alloc(bytes);
    if (object == NULL)
        tm_fatal("out of memory: tm_new asked for %zu bytes", bytes);
    return memset(object, 0, bytes);
}

/* Freed behind the commit: the transaction neither touches the allocator's lists nor calls the
 * system for it. */
void tm_release(struct tm_thread *self, void *object) {
    if (self->direct || self->locked) { /* nobody else can see it */
        machine_free(object);
        return;
    }
    if (object == NULL)
        return;
    if (self->freed.count == self->freed.capacity) {
        const size_t capacity =
            self->freed.capacity == 0 ? FREED_INITIAL : 2 * self->freed.capacity;
        void **larger = machine_alloc(capacity * sizeof *larger);
        if (larger == NULL)
            tm_fatal("out of memory: list of %zu freed objects", capacity);
        for (size_t i = 0; i < self->freed.count; i++)
            larger[i] = self->freed.object[i];
        if (self->freed.object != NULL) /* goes the way of the objects */
            larger[self->freed.count++] = self->freed.object;
        self->freed.object = larger;
        self->freed.capacity = capacity;
    }
    self->freed.object[self->freed.count++] = object;
}

TM_COLD void tm_htm_free(struct tm_thread *self) {
    for (size_t i = 0; i < self->freed.count; i++)
        machine_free(self->freed.object[i]);
    self->freed.count = 0;
}

/* ---- descriptor ----------------------------------------------------------------------------- */

enum { OPTION_POLICY, OPTION_RETRIES, OPTION_LENGTH, OPTION_ABORTS };

static const struct tm_param htm_params[] = {
    [OPTION_POLICY] =
        {"policy",
         "who tries again when: glibc (3 tries, then 3 blocks without), wait (for the "
         "lock, then again), odaira (dynamic length), c7 (100 tries), fixed (length=N)",
         TM_CHOICE, "wait", .choices = "glibc|wait|odaira|c7|fixed"},
    [OPTION_RETRIES] = {"retries",
                        "transactions of a block before it takes the lock, those that found it "
                        "taken not counted; 0: as many as the policy says",
                        TM_INT, "0", 0, 10000, NULL},
    [OPTION_LENGTH] = {"length",
                       "calls of tm_should_break that a block spans; policy=odaira finds its own",
                       TM_INT, "16", 1, 1e6, NULL},
    [OPTION_ABORTS] =
        {"abort_percent",
         "policy=odaira: aborted blocks that are not too many, in percent (published: "
         "6 on Xeon, 1 on zEC12)",
         TM_REAL, "6", 0, 100, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

static bool htm_start(const union tm_value *options, unsigned threads, char *why, size_t why_size) {
    (void)threads, (void)why, (void)why_size;
    memset((void *)&tm_htm, 0, sizeof tm_htm);
    htm_options.policy = (enum htm_policy)options[OPTION_POLICY].choice;
    htm_options.tries = policies[htm_options.policy].tries;
    if (options[OPTION_RETRIES].i > 0)
        htm_options.tries = (uint16_t)options[OPTION_RETRIES].i;
    htm_options.busy_tries = policies[htm_options.policy].busy_tries;
    htm_options.length = (int32_t)options[OPTION_LENGTH].i;
    htm_options.aborts_max = (uint16_t)(ODAIRA_PERIOD * options[OPTION_ABORTS].r / 100);
    return true;
}

static void htm_stop(void) {}

static void htm_detach(struct tm_thread *self) {
    machine_free(self->freed.object);
    machine_free(self->sites);
    machine_free(self);
}

static struct tm_thread *htm_attach(unsigned index, bool direct) {
    struct tm_thread *self = machine_alloc_aligned(sizeof *self, TM_APART);
    if (self == NULL)
        return NULL;
    self->common.index = index;
    self->common.last_abort.peer = -1;
    self->direct = direct;
    self->common.depth = direct ? 1 : 0; /* as inside of a block that never ends */
    self->length = htm_options.length;
    self->prepare = htm_options.policy == GLIBC || htm_options.policy == ODAIRA;
    if (htm_options.policy == ODAIRA && !direct) {
        self->sites = machine_alloc_aligned(HTM_SITES * sizeof *self->sites, TM_CACHE_LINE);
        if (self->sites == NULL) {
            htm_detach(self);
            return NULL;
        }
    }
    return self;
}

static void htm_pause(struct tm_thread *self) { (void)self; }

static struct tm_stats *htm_stats(struct tm_thread *self) { return &self->common.stats; }

const struct tm_engine tm_engine_descriptor = {
    .name = "htm",
    .help = "each block a hardware transaction that elides the global lock, with retry policies",
    .stands_for = "HTM in Ruby; lock elision with Intel's RTM",
    .options = htm_params,
    .max_threads = 1024,
    .transactional_hardware = true,
    .unavailable = machine_tx_unavailable,
    .start = htm_start,
    .attach = htm_attach,
    .detach = htm_detach,
    .suspend = htm_pause,
    .resume = htm_pause,
    .stop = htm_stop,
    .stats = htm_stats,
};
TM_REGISTER(tm_engines, struct tm_engine, tm_engine_descriptor);
