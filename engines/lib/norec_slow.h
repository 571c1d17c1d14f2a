/*
 * norec_slow.h - the algorithm of engine norec, the rare half, included by one engine.c behind
 * tm.h: validation, commits with writes, roll-back, waiting.  See norec.h.  The engine adds
 * tm_commit and tm_irrevocable out of what is here, and its descriptor.
 */
#ifndef ALLCORES_NOREC_SLOW_H
#define ALLCORES_NOREC_SLOW_H

#include "fatal.h"
#include "norec.h"

#include <string.h>

enum {
    READ_LOG_INITIAL = 256, /* entries */
    INDEX_INITIAL = 64,     /* slots; half as many writes fit */
    POINTERS_INITIAL = 16,
    LOCK_DOUBLINGS = 6,      /* waiting for the lock: pauses double up to 2^6, */
    LOCK_SPINS = 10,         /* that often, then the processor is given up, */
    LOCK_YIELDS = 40,        /* up to this count, then the thread sleeps for a while at a time, */
    LOCK_NAP_NS = 50000,     /* because the owner may be doing I/O in an irrevocable block */
    LOSS_DOUBLINGS = 8,      /* back-off behind lost executions: at most 2^8 pauses */
    RETRY_SPINS = 200,       /* tm_retry: looks at the number before sleeping */
    RETRY_HOLD_NS = 1000000, /* how long a sleeper keeps its read set from being reclaimed */
};

TM_CHECKPOINT_DEFINITION

struct tm_global tm_global;
struct tm_reclaim tm_reclaim;

/* ---- small helpers -------------------------------------------------------------------------- */

static void *checked(void *memory, const char *what) {
    if (memory == NULL)
        tm_fatal("out of memory: %s", what);
    return memory;
}

static uint64_t next_random(struct tm_thread *self) {
    struct tm_rand rng = {self->rng};
    const uint64_t r = tm_random(&rng);
    self->rng = rng.state;
    return r;
}

static void push(struct tm_pointers *list, void *object) {
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? POINTERS_INITIAL : 2 * list->capacity;
        void **larger = checked(machine_alloc(capacity * sizeof *larger), "list of objects");
        if (list->count > 0)
            memcpy(larger, list->object, list->count * sizeof *larger);
        machine_free(list->object);
        list->object = larger;
        list->capacity = capacity;
    }
    list->object[list->count++] = object;
}

/* Each set bit becomes a byte of ones. */
static uint64_t bytes_of_mask(uint64_t mask) {
    /* Byte i keeps bit i, is then carried into its top bit, and that is spread. */
    const uint64_t one_bit = (mask * UINT64_C(0x0101010101010101)) & UINT64_C(0x8040201008040201);
    const uint64_t low =
        ((one_bit + UINT64_C(0x7f7f7f7f7f7f7f7f)) >> 7) & UINT64_C(0x0101010101010101);
    return low * 0xff;
}

/* Stores the bytes of a word that the mask names, a field at a time where they allow it. */
static void store_masked(uint64_t word, uint64_t bits) {
    const uint64_t address = word & TM_ADDRESS_MASK;
    unsigned mask = (unsigned)(word >> TM_TAG_SHIFT);
    char *base = (char *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
    if (mask == 0xff) {
        tm_store(base, 8, bits);
        return;
    }
    while (mask != 0) {
        const unsigned i = (unsigned)__builtin_ctz(mask);
        const size_t bytes = i % 4 == 0 && (mask >> i & 15) == 15 ? 4
                             : i % 2 == 0 && (mask >> i & 3) == 3 ? 2
                                                                  : 1;
        tm_store(base + i, bytes, bits >> (8 * i));
        mask &= ~(((1U << bytes) - 1) << i);
    }
}

/* ---- the sequence lock ---------------------------------------------------------------------- */

/* The number, once it is even. */
static uint64_t clock_when_free(struct tm_thread *self) {
    for (unsigned tries = 0;; tries++) {
        /* Acquire: pairs with the release in release_clock. */
        const uint64_t now = atomic_load_explicit(&tm_global.clock, memory_order_acquire);
        if ((now & 1) == 0)
            return now;
        if (tries < LOCK_SPINS)
            for (unsigned i = 1U << (tries < LOCK_DOUBLINGS ? tries : LOCK_DOUBLINGS); i > 0; i--)
                machine_cpu_relax();
        else if (tries < LOCK_YIELDS) /* the owner may be waiting for this very processor */
            machine_yield();
        else
            machine_wait(&self->nap, 0, LOCK_NAP_NS);
    }
}

/* Reads everything again.  NULL: all of it held at the new snapshot.  Otherwise the first entry
 * whose value is another one, or an empty one when the engine wants no more of it. */
static const struct tm_read_entry *validate(struct tm_thread *self) {
    static const struct tm_read_entry given_up = {0, 0};
    for (;;) {
        if (TM_NOREC_GIVES_UP(self, (uint64_t)(self->read_next - self->read_log)))
            return &given_up;
        const uint64_t second = TM_NOREC_SECOND();
        const uint64_t now = clock_when_free(self);
        for (const struct tm_read_entry *e = self->read_log; e < self->read_next; e++) {
            const uint64_t tag = e->field >> TM_TAG_SHIFT;
            const uint64_t address = e->field & TM_ADDRESS_MASK;
            const void *field = (const void *)(uintptr_t)address; /* NOLINT(*-no-int-to-ptr) */
            if (tm_load(field, tag == 0 ? 8 : tag) != e->bits)
                return e;
        }
        /* Relaxed: ordered behind the loads of the values by their acquire. */
        if (atomic_load_explicit(&tm_global.clock, memory_order_relaxed) == now &&
            TM_NOREC_SECOND() == second) {
            self->snapshot = now;
            TM_NOREC_SECOND_IS(self, second);
            return NULL;
        }
    }
}

static void empty_write_set(struct tm_thread *self) {
    if ((uint32_t)self->write_stamp == 0)
        return;
    const uint64_t version = ((self->write_stamp >> 32) + 1) & UINT32_MAX;
    self->write_stamp = version << 32;
    if (version == 0) { /* after 2^32 sets: old slots would look like new ones */
        memset(self->index, 0, (self->index_mask + 1) * sizeof *self->index);
        self->write_stamp = UINT64_C(1) << 32;
    }
}

/* The block ends or restarts: all that it kept for that is forgotten. */
static void reset(struct tm_thread *self) {
    empty_write_set(self);
    self->read_limit = self->read_end;
    self->allocated.count = 0;
    self->freed.count = 0;
}

/* The execution is given up: nobody has seen anything of it. */
static void roll_back(struct tm_thread *self) {
    tm_reclaim_end(&self->reclaim);
    if (self->common.timed)
        self->common.stats.wasted_ns += machine_now_ns() - self->start_ns;
    for (size_t i = 0; i < self->allocated.count; i++)
        machine_free(self->allocated.object[i]);
    reset(self);
    self->common.depth = 1;
}

static _Noreturn void restart(struct tm_thread *self) { tm_checkpoint_resume(&self->checkpoint); }

/* `changed` is what validate has returned. */
static _Noreturn TM_COLD void lose(struct tm_thread *self, const struct tm_read_entry *changed) {
    const uint64_t address = changed->field & TM_ADDRESS_MASK;
    /* Acquire: the owner stored its index before it released this number. */
    const uint64_t now = atomic_load_explicit(&tm_global.clock, memory_order_acquire);
    int peer = -1; /* known only when there was a single commit since the snapshot */
    if (now == self->snapshot + 2) {
        peer = (int)atomic_load_explicit(&tm_global.owner, memory_order_acquire);
        if (atomic_load_explicit(&tm_global.clock, memory_order_relaxed) != now)
            peer = -1;
    }
    self->common.last_abort = (struct tm_event){
        .cause = TM_VALIDATION,
        .site = (const void *)self->checkpoint.rip, /* NOLINT(performance-no-int-to-ptr) */
        .address = (const void *)address,           /* NOLINT(performance-no-int-to-ptr) */
        .peer = peer,
    };
    self->common.stats.aborts[TM_VALIDATION]++;
    roll_back(self);
    if (self->losses_commits != self->common.stats.commits)
        self->losses = 0;
    self->losses_commits = self->common.stats.commits;
    self->losses++;
    if (self->losses > LOSS_DOUBLINGS)
        machine_yield();
    else
        for (uint64_t i = next_random(self) >> (64 - self->losses); i > 0; i--)
            machine_cpu_relax();
    restart(self);
}

/* The clock becomes odd and is this thread's, with all that was read still true. */
static void take_clock(struct tm_thread *self) {
    for (;;) {
        uint64_t expected = self->snapshot;
        /* A look first: a failing compare-and-swap would take the line from its owner.
         * Acquire: pairs with the release in release_clock. */
        if (atomic_load_explicit(&tm_global.clock, memory_order_relaxed) == expected &&
            atomic_compare_exchange_strong_explicit(&tm_global.clock, &expected, expected + 1,
                                                    memory_order_acquire, memory_order_relaxed)) {
            if (tm_likely(!TM_NOREC_SECOND_MOVED(self)))
                break;
            /* Others have committed before the lock was ours.  Nothing was written: the number goes
             * back.  Release: as in release_clock. */
            atomic_store_explicit(&tm_global.clock, expected, memory_order_release);
        }
        const struct tm_read_entry *changed = validate(self);
        if (changed != NULL)
            lose(self, changed);
    }
    /* Release: ordered behind the compare-and-swap for whoever looks at the number again. */
    atomic_store_explicit(&tm_global.owner, self->common.index, memory_order_release);
    TM_NOREC_TAKEN(self);
}

/* A commit has taken effect that somebody may sleep for. */
static inline void wake_waiters(void) {
    if (tm_unlikely(atomic_load_explicit(&tm_global.waiters, memory_order_relaxed) > 0)) {
        /* Release: pairs with the acquire in wait_for_change. */
        atomic_fetch_add_explicit(&tm_global.wakeups, 1, memory_order_release);
        machine_wake(&tm_global.wakeups, UINT32_MAX);
    }
}

static void release_clock(struct tm_thread *self) {
    TM_NOREC_GIVEN(self);
    /* Release: whoever reads this number sees the write-back. */
    atomic_store_explicit(&tm_global.clock, self->snapshot + 2, memory_order_release);
    machine_light_barrier(); /* pairs with the heavy one in wait_for_change */
    wake_waiters();
}

/* Counts the writes and stores them; the clock is ours. */
static void write_back(struct tm_thread *self) {
    const uint32_t writes = (uint32_t)self->write_stamp;
    for (const struct tm_write_entry *e = self->write_log, *end = e + writes; e < end; e++)
        store_masked(e->word, e->bits);
    self->common.stats.writes += writes;
    if (writes > self->common.stats.write_set_max)
        self->common.stats.write_set_max = writes;
}

/* ---- barriers, the rest --------------------------------------------------------------------- */

/* The entry of a word (its address alone), or NULL. */
static struct tm_write_entry *find_write(const struct tm_thread *self, uint64_t address) {
    for (uint64_t i = tm_hash(address);; i++) {
        const uint64_t slot = self->index[i & self->index_mask];
        if ((slot ^ self->write_stamp) >> 32 != 0)
            return NULL;
        struct tm_write_entry *entry = &self->write_log[(uint32_t)slot];
        if ((entry->word & TM_ADDRESS_MASK) == address)
            return entry;
    }
}

static TM_COLD void grow_read_log(struct tm_thread *self) {
    const size_t used = (size_t)(self->read_next - self->read_log);
    struct tm_read_entry *larger = checked(machine_alloc(2 * used * sizeof *larger), "read log");
    memcpy(larger, self->read_log, used * sizeof *larger);
    machine_free(self->read_log);
    if (self->read_limit != NULL)
        self->read_limit = larger + 2 * used;
    self->read_log = larger;
    self->read_next = larger + used;
    self->read_end = larger + 2 * used;
}

uint64_t tm_read_slow(struct tm_thread *self, uint64_t field) {
    const uint64_t tag = field >> TM_TAG_SHIFT;
    const uint64_t address = field & TM_ADDRESS_MASK;
    const void *memory = (const void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */
    const size_t bytes = tag == 0 ? 8 : tag;
    if (self->direct)
        return tm_load(memory, bytes);

    uint64_t own = 0;      /* what this block has written of the field, */
    uint64_t own_mask = 0; /* and which bits these are */
    if ((uint32_t)self->write_stamp > 0) {
        const struct tm_write_entry *entry = find_write(self, address & ~UINT64_C(7));
        if (entry != NULL) {
            const uint64_t all = tag == 0 ? UINT64_MAX : (UINT64_C(1) << 8 * bytes) - 1;
            const unsigned shift = 8 * (address & 7);
            own_mask = bytes_of_mask(entry->word >> TM_TAG_SHIFT) >> shift & all;
            own = entry->bits >> shift & own_mask;
            if (own_mask == all)
                return own;
        }
    }

    uint64_t bits = tm_load(memory, bytes);
    while (tm_moved(self)) {
        const struct tm_read_entry *changed = validate(self);
        if (changed != NULL)
            lose(self, changed);
        bits = tm_load(memory, bytes);
    }
    if (self->read_next == self->read_end)
        grow_read_log(self);
    *self->read_next++ = (struct tm_read_entry){field, bits};
    return (bits & ~own_mask) | own;
}

static TM_COLD void grow_write_set(struct tm_thread *self) {
    const uint64_t used = (uint32_t)self->write_stamp;
    const uint64_t slots = 2 * (self->index_mask + 1);
    if (slots > UINT32_MAX)
        tm_fatal("a block writes more than 2^30 words");
    struct tm_write_entry *log = checked(machine_alloc(slots / 2 * sizeof *log), "write log");
    memcpy(log, self->write_log, used * sizeof *log);
    machine_free(self->write_log);
    machine_free(self->index);
    self->write_log = log;
    self->index = checked(machine_alloc_aligned(slots * sizeof *self->index, TM_CACHE_LINE),
                          "index of the write log");
    self->index_mask = slots - 1;
    self->write_capacity = self->write_limit = slots / 2;
    const uint64_t version = self->write_stamp >> 32 << 32;
    for (uint64_t n = 0; n < used; n++) {
        uint64_t i = tm_hash(log[n].word & TM_ADDRESS_MASK);
        while (self->index[i & self->index_mask] != 0)
            i++;
        self->index[i & self->index_mask] = version | n;
    }
}

void tm_write_slow(struct tm_thread *self, uint64_t word, uint64_t bits) {
    if (self->direct) {
        store_masked(word, bits);
        return;
    }
    const uint64_t address = word & TM_ADDRESS_MASK;
    struct tm_write_entry *entry = find_write(self, address);
    if (entry != NULL) {
        entry->bits = (entry->bits & ~bytes_of_mask(word >> TM_TAG_SHIFT)) | bits;
        entry->word |= word;
        return;
    }
    if ((uint32_t)self->write_stamp == self->write_capacity)
        grow_write_set(self);
    const uint64_t stamp = self->write_stamp++;
    uint64_t i = tm_hash(address);
    while ((self->index[i & self->index_mask] ^ stamp) >> 32 == 0)
        i++;
    self->index[i & self->index_mask] = stamp;
    self->write_log[(uint32_t)stamp] = (struct tm_write_entry){word, bits};
    self->read_limit = NULL;
}

/* ---- memory --------------------------------------------------------------------------------- */

static void *alloc_object(TM_SELF, size_t bytes) {
    void *object = machine_alloc(bytes);
    if (object == NULL)
        tm_fatal("out of memory: tm_new asked for %zu bytes", bytes);
    if (!self->direct && !TM_NOREC_UNDONE(self)) {
        push(&self->allocated, object);
        self->read_limit = NULL;
    }
    return memset(object, 0, bytes);
}

static void release_object(TM_SELF, void *object) {
    if (self->direct && !self->irrevocable) { /* nobody else is attached */
        machine_free(object);
        return;
    }
    if (object != NULL)
        push(&self->freed, object);
    self->read_limit = NULL;
}

/* ---- blocks --------------------------------------------------------------------------------- */

void tm_start_slow(struct tm_thread *self) {
    TM_NOREC_SECOND_IS(self, TM_NOREC_SECOND());
    self->snapshot = clock_when_free(self);
    if (self->common.timed)
        self->start_ns = machine_now_ns();
}

/* The block has committed; its number is released. */
static void commit_ended(struct tm_thread *self) {
    if (self->irrevocable) {
        self->irrevocable = self->direct = false;
        self->write_limit = self->write_capacity;
    }
    tm_reclaim_end(&self->reclaim);
    for (size_t i = 0; i < self->freed.count; i++)
        tm_reclaim_retire(&self->reclaim, self->freed.object[i]);

    struct tm_stats *stats = &self->common.stats;
    const uint64_t reads = (uint64_t)(self->read_next - self->read_log);
    stats->commits++;
    stats->reads += reads;
    if (reads > stats->read_set_max)
        stats->read_set_max = reads;
    reset(self);
}

static void become_irrevocable(struct tm_thread *self) {
    take_clock(self);
    write_back(self);
    empty_write_set(self);
    self->irrevocable = self->direct = true;
    self->read_limit = NULL;
    self->write_limit = 0;
    self->common.stats.irrevocable++;
}

/* Sleeps until something that was read has changed, or may have. */
static void wait_for_change(struct tm_thread *self) {
    for (unsigned i = 0; i < machine_batch(RETRY_SPINS); i++) {
        /* Relaxed: a hint, validate looks again. */
        if (tm_moved(self) && validate(self) != NULL)
            return;
        machine_cpu_relax();
    }
    /* A committer that does not see this has released its number before the heavy barrier, so that
     * this thread sees the number. */
    atomic_fetch_add_explicit(&tm_global.waiters, 1, memory_order_relaxed);
    machine_heavy_barrier(); /* pairs with the light one in release_clock */
    const uint64_t hold_until_ns = machine_now_ns() + RETRY_HOLD_NS;
    bool reclaimable = false;
    for (;;) {
        /* Acquire: pairs with the increment in release_clock.  Read before the number: an increment
         * behind this makes machine_wait return at once. */
        const uint32_t wakeups = atomic_load_explicit(&tm_global.wakeups, memory_order_acquire);
        if (tm_moved(self) && (reclaimable || validate(self) != NULL))
            break;
        const uint64_t now_ns = reclaimable ? 0 : machine_now_ns();
        if (!reclaimable && now_ns >= hold_until_ns) {
            /* Objects in the read set must not be kept for ever, not even while other commits wake
             * this thread all the time.  So the set is given up, and the next commit of anybody
             * restarts the block. */
            tm_reclaim_end(&self->reclaim);
            reclaimable = true;
        }
        if (!tm_moved(self))
            machine_wait(&tm_global.wakeups, wakeups,
                         reclaimable ? UINT64_MAX : hold_until_ns - now_ns);
    }
    atomic_fetch_sub_explicit(&tm_global.waiters, 1, memory_order_relaxed);
}

static _Noreturn void retry_block(struct tm_thread *self) {
    if (self->direct)
        tm_fatal("tm_retry in %s", self->irrevocable ? "an irrevocable block" : "direct mode");
    self->common.stats.retries++;
    const bool timed = self->common.timed;
    self->common.timed = false; /* time asleep is not wasted in an aborted execution */
    wait_for_change(self);
    roll_back(self);
    self->common.timed = timed;
    restart(self);
}

static _Noreturn void restart_block(struct tm_thread *self) {
    if (self->direct)
        tm_fatal("tm_abort_restart in %s",
                 self->irrevocable ? "an irrevocable block" : "direct mode");
    self->common.last_abort = (struct tm_event){
        .cause = TM_EXPLICIT,
        .site = (const void *)self->checkpoint.rip, /* NOLINT(performance-no-int-to-ptr) */
        .peer = -1,
    };
    self->common.stats.aborts[TM_EXPLICIT]++;
    roll_back(self);
    restart(self);
}

/* ---- threads -------------------------------------------------------------------------------- */

static void close_thread(struct tm_thread *self) {
    tm_reclaim_detach(&self->reclaim);
    machine_free(self->allocated.object);
    machine_free(self->freed.object);
    machine_free(self->read_log);
    machine_free(self->write_log);
    machine_free(self->index);
    machine_free(self);
}

static struct tm_thread *open_thread(unsigned index, bool direct) {
    struct tm_thread *self = machine_alloc_aligned(sizeof *self, TM_CACHE_LINE);
    if (self == NULL)
        return NULL;
    self->common.index = index;
    self->common.stats.counts_accesses = true;
    self->common.last_abort.peer = -1;
    self->read_log = machine_alloc(READ_LOG_INITIAL * sizeof *self->read_log);
    self->write_log = machine_alloc(INDEX_INITIAL / 2 * sizeof *self->write_log);
    self->index = machine_alloc_aligned(INDEX_INITIAL * sizeof *self->index, TM_CACHE_LINE);
    if (self->read_log == NULL || self->write_log == NULL || self->index == NULL) {
        close_thread(self);
        return NULL;
    }
    tm_reclaim_attach(&self->reclaim, index);
    self->read_next = self->read_log;
    self->read_end = self->read_log + READ_LOG_INITIAL;
    self->index_mask = INDEX_INITIAL - 1;
    self->write_capacity = INDEX_INITIAL / 2;
    self->write_stamp = UINT64_C(1) << 32;
    self->rng = (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    if (direct) { /* inside of an outermost block that never ends, so to speak */
        self->direct = true;
        self->common.depth = 1;
    } else {
        self->read_limit = self->read_end;
        self->write_limit = self->write_capacity;
    }
    return self;
}

#endif
