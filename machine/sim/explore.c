/*
 * explore.c - schedule exploration on the simulated machine: explore.h on top of the fibers, in
 * place of the scheduler, the caches and the arena.
 *
 * While sim_exploring is set, the slow paths of hooks.c, sched.c and arena.c end up here; the fast
 * paths never hit, because the threads' clocks stand at their horizon.
 *
 * Invariants
 * - At most one thread's buffered stores are in memory: those of the running one (`in`).  While it
 *   is the policy that runs, they are still those of the thread that ran last.
 * - store[i].under of a thread that is in: what the memory held below store i, with the thread's
 *   older stores in place.  Of a thread that is out, store[i].value is what it has stored.
 * - A running transaction's stores (tx.store) lie on top of the thread's buffered ones: they are
 * put in behind them and taken out before them, and no policy drains them.
 * - The newest store of the thread that is in may not have been made yet (its hook has returned,
 * the program's instruction follows): its value is read from memory only when the thread leaves.
 */
#include "internal.h"

#include "block.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define AREA ((char *)UINT64_C(0x280000000000))
enum {
    GRANULE_SHIFT = 3,
    REGION_SHIFT = 22, /* bytes of one thread's own region of the area */
    REGIONS = EXPLORE_THREADS + 1,
    AREA_BYTES = REGIONS << REGION_SHIFT,
    GAP = 16, /* in front of each object; its number lies there */
    ALLOCATIONS = 1 << 16,
    STORE_BYTES = 64,
    FRESH = 0xa5, /* what uninitialised memory is full of */
    FAIR_QUANTUM = 64,
    FAIR_SLEEP = 1000, /* events; then the time of a sleeper is over */
    PAGED = 1 << 10,   /* mapped pages whose granules are remembered; a power of two */
    TX_STORES = 512,   /* of a transaction, to different places; more is too much for it */
    TX_MARKS = 4096,   /* granules in its sets; likewise */
    TX_OBJECTS = 512,
    TX_NESTING = 7
};

/* State of a granule: what it is now, and what was learned about it. */
enum { FREE_YET, LIVE, FREED, LIFE = 3, WRITTEN = 4, MANY = 8, OWNER_SHIFT = 4 };

struct store {
    uintptr_t address;
    uint32_t bytes;
    uint64_t event;
    unsigned char under[STORE_BYTES]; /* while in */
    unsigned char value[STORE_BYTES]; /* while out */
};

/* Which threads' transactions have a granule in their sets: bit t for thread t. */
struct marks {
    uint8_t read, written;
};

/* The hardware transaction of a thread. */
struct tx {
    bool running,
        doomed;      /* doomed: it is over already, and the thread returns from its begin next */
    unsigned status; /* that it returns */
    unsigned depth;
    char *sp;    /* of the begin's frame */
    char *stack; /* copy of what was above it then, to the end */
    size_t stack_bytes, stack_room;
    struct store store[TX_STORES];
    unsigned stores;
    struct marks *mark[TX_MARKS];
    unsigned marks;
    void *allocated[TX_OBJECTS], *freed[TX_OBJECTS];
    unsigned allocations, frees;
};

struct thread {
    struct sim_cpu cpu;
    struct sim_fiber fiber;
    void (*fn)(void *);
    void *argument;
    enum { ABLE, ASLEEP, ENDED } state;
    bool timed_out;
    const void *key;
    uint64_t deadline; /* UINT64_MAX: none */
    uint64_t events;
    struct explore_op pending;
    unsigned stores;
    struct store store[EXPLORE_STORES];
    struct tx tx;
};

struct allocation {
    char *object;
    size_t bytes;
    const void *pc;
    unsigned thread;
    bool live;
};

bool sim_exploring;
const void *sim_explore_pc;

static struct sim_port no_port;
static struct sim_cpu host_cpu = {.port = &no_port, .dummy = true};

static struct explore {
    bool mapped, tso;
    uint8_t *area_state; /* [AREA_BYTES >> GRANULE_SHIFT] */
    uint8_t *data_state;
    struct marks *area_marks, *data_marks; /* of the same granules */
    struct paged {     /* of mapped pages, by what sim_pages_byte says: a hash table that forgets */
        uint64_t page; /* 0: unused */
        uint8_t state[SIM_PAGE >> GRANULE_SHIFT];
    } * paged; /* [PAGED] */
    uintptr_t data, data_end;
    char *top[REGIONS];        /* of each region: from here on nothing is in use */
    const char *high[REGIONS]; /* the highest top since `forget` */
    struct allocation *allocation;
    unsigned allocations;
    size_t shared;
    unsigned threads, live;
    struct thread *now; /* NULL: the host */
    struct thread *in;  /* whose buffered stores are in memory; NULL: nobody's */
    struct sim_fiber host;
    const struct explore_policy *policy;
    struct explore_limits limits;
    uint64_t steps, time_ns, quantum;
    enum explore_verdict verdict;
    unsigned verdict_thread;
    char explanation[256];
    sigjmp_buf escape;
    bool guarded;
    const struct explore_op *pending[EXPLORE_THREADS];
    unsigned buffered[EXPLORE_THREADS];
    uint64_t oldest[EXPLORE_THREADS];
} x;
static struct thread thread[EXPLORE_THREADS];

/* ---- store buffers -------------------------------------------------------------------------- */

/* Objects of any kind, as bytes: engines' atomics included. */
static void copy(void *to, const void *from, size_t bytes) { memcpy(to, from, bytes); }

static void *at(uintptr_t address) {
    return (void *)address;
} /* NOLINT(performance-no-int-to-ptr) */

static void take_out(struct store *store, unsigned n) {
    while (n-- > 0) {
        copy(store[n].value, at(store[n].address), store[n].bytes);
        copy(at(store[n].address), store[n].under, store[n].bytes);
    }
}

static void put_in(struct store *store, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        copy(store[i].under, at(store[i].address), store[i].bytes);
        copy(at(store[i].address), store[i].value, store[i].bytes);
    }
}

static void take_out_stores(void) {
    struct thread *t = x.in;
    if (t == NULL)
        return;
    take_out(t->tx.store, t->tx.stores);
    take_out(t->store, t->stores);
    x.in = NULL;
}

static void put_in_stores(struct thread *t) {
    put_in(t->store, t->stores);
    put_in(t->tx.store, t->tx.stores);
    x.in = t;
}

static void meet(const struct thread *t, uintptr_t address, size_t bytes, bool write);

/* The `n` oldest stores reach memory. */
static void drain(struct thread *t, unsigned n) {
    if (n == 0)
        return;
    for (unsigned i = 0; i < n; i++)
        meet(t, t->store[i].address, t->store[i].bytes, true);
    if (t != x.in) {
        struct thread *in = x.in;
        take_out_stores();
        for (unsigned i = 0; i < n; i++)
            copy(at(t->store[i].address), t->store[i].value, t->store[i].bytes);
        if (in != NULL)
            put_in_stores(in);
    }
    t->stores -= n;
    memmove(t->store, t->store + n, t->stores * sizeof *t->store);
}

static void drain_all(struct thread *t) { drain(t, t->stores); }

/* ---- memory --------------------------------------------------------------------------------- */

/* A granule that is reached through several addresses has one state.  It is alive: what engines
 * keep in pages they give out themselves. */
static uint8_t *states_of_page(uint64_t page) {
    uint64_t i = page * UINT64_C(0x9e3779b97f4a7c15) >> 48;
    struct paged *p = NULL;
    for (unsigned tries = 0; tries < 16; tries++, i++) {
        p = &x.paged[i % PAGED];
        if (p->page == page)
            return p->state;
        if (p->page == 0)
            break;
    }
    p->page = page; /* too many in one place: one is forgotten */
    memset(p->state, LIVE, sizeof p->state);
    return p->state;
}

/* States of this granule and those behind it, of which *count are at hand; NULL: not tracked. */
static uint8_t *states_from(uintptr_t address, size_t *count) {
    size_t end;
    uint8_t *state;
    if (address - (uintptr_t)AREA < AREA_BYTES) {
        end = AREA_BYTES - (address - (uintptr_t)AREA);
        state = &x.area_state[(address - (uintptr_t)AREA) >> GRANULE_SHIFT];
    } else if (address - x.data < x.data_end - x.data) {
        end = x.data_end - address;
        state = &x.data_state[(address - x.data) >> GRANULE_SHIFT];
    } else if (sim_pages_has(address)) {
        /* One more: where nothing is mapped sim_pages_byte says 0. */
        uint8_t *const page = states_of_page(sim_pages_byte(address) / SIM_PAGE + 1);
        end = SIM_PAGE - address % SIM_PAGE;
        state = &page[address % SIM_PAGE >> GRANULE_SHIFT];
    } else {
        return NULL;
    }
    *count = (end + (1U << GRANULE_SHIFT) - 1) >> GRANULE_SHIFT;
    return state;
}

static uint8_t *state_of(uintptr_t address) {
    size_t count;
    return states_from(address, &count);
}

/* Is it memory whose accesses are events? */
static bool tracked(uintptr_t address) { return state_of(address) != NULL; }

static void name(uintptr_t address, char *text, size_t size) {
    for (unsigned i = 0; i < x.allocations; i++) {
        const struct allocation *a = &x.allocation[i];
        const uintptr_t start = (uintptr_t)a->object;
        if (address >= start && address < start + a->bytes) {
            snprintf(text, size, "#%u+%zu", i, (size_t)(address - start));
            return;
        }
    }
    if (address - x.data < x.data_end - x.data) /* the same wherever the program was loaded */
        snprintf(text, size, "data+%#zx", (size_t)(address - x.data));
    else
        snprintf(text, size, "%#zx", (size_t)address);
}

static _Noreturn void end_run(enum explore_verdict verdict, unsigned t) {
    x.verdict = verdict;
    x.verdict_thread = t;
    struct thread *self = x.now;
    x.now = NULL;
    sim_cpu_now = &host_cpu;
    sim_enter_gs(host_cpu.gs);
    if (self == NULL) /* setup or verification */
        siglongjmp(x.escape, 1);
    sim_fiber_switch(&self->fiber, &x.host);
    __builtin_unreachable();
}

static void event(enum explore_kind kind, uintptr_t address, size_t bytes, bool ask);

static unsigned number(const struct thread *t) { return (unsigned)(t - thread); }

static _Noreturn void bad_access(uintptr_t address, size_t bytes, const char *what, bool freed) {
    char object[64];
    name(address, object, sizeof object);
    const unsigned t = x.now != NULL ? number(x.now) : EXPLORE_THREADS;
    if (x.now != NULL)
        snprintf(x.explanation, sizeof x.explanation,
                 "thread %u, event %lu: %s of %zu bytes at %s, %s", t, (unsigned long)x.now->events,
                 what, bytes, object, freed ? "which was freed" : "which was never allocated");
    else
        snprintf(x.explanation, sizeof x.explanation,
                 "setup or verification: %s of %zu bytes at %s, %s", what, bytes, object,
                 freed ? "which was freed" : "which was never allocated");
    end_run(freed ? EXPLORE_FREED : EXPLORE_WILD, t);
}

static void free_now(void *p);
static _Noreturn void abort_own(struct thread *t, unsigned status);

void *sim_explore_alloc(size_t bytes, size_t align, const void *pc) {
    const unsigned region = x.now == NULL ? 0 : number(x.now) + 1;
    char *const end = AREA + ((size_t)(region + 1) << REGION_SHIFT);
    const uintptr_t start = ((uintptr_t)x.top[region] + GAP + align - 1) & ~(uintptr_t)(align - 1);
    const size_t room = (bytes + 15) & ~(size_t)15;
    if (x.allocations == ALLOCATIONS || room > (size_t)((uintptr_t)end - start))
        return NULL;
    char *object = at(start);
    x.top[region] = object + room;
    x.allocation[x.allocations] = (struct allocation){
        object, bytes, pc, x.now == NULL ? EXPLORE_THREADS : number(x.now), true};
    *(uint32_t *)(void *)(object - sizeof(uint32_t)) = x.allocations++;
    uint8_t *state = state_of(start);
    for (size_t i = 0; i < (bytes + 7) >> GRANULE_SHIFT; i++)
        state[i] = (uint8_t)((state[i] & ~LIFE) | LIVE);
    memset(object, FRESH, room);
    if (x.now != NULL && x.now->tx.running) {
        struct tx *tx = &x.now->tx;
        if (tx->allocations == TX_OBJECTS)
            abort_own(x.now, MACHINE_TX_CAPACITY);
        tx->allocated[tx->allocations++] = object;
    }
    return object;
}

void sim_explore_free(void *p) {
    const uintptr_t address = (uintptr_t)p;
    uint32_t index = UINT32_MAX;
    if (address - (uintptr_t)AREA < AREA_BYTES && address % 16 == 0)
        index = *(uint32_t *)(void *)((char *)p - sizeof(uint32_t));
    if (index >= x.allocations || x.allocation[index].object != p)
        bad_access(address, 1, "a free", false);
    struct allocation *a = &x.allocation[index];
    bool live = a->live;
    if (x.now != NULL && x.now->tx.running) { /* done when it commits */
        struct tx *tx = &x.now->tx;
        for (unsigned i = 0; i < tx->frees; i++)
            live = live && tx->freed[i] != p;
        if (live && tx->frees == TX_OBJECTS)
            abort_own(x.now, MACHINE_TX_CAPACITY);
        if (live) {
            tx->freed[tx->frees++] = p;
            return;
        }
    }
    if (!live)
        bad_access(address, 1, "a free", true);
    free_now(p);
}

/* An object that is alive. */
static void free_now(void *p) {
    struct allocation *a = &x.allocation[*(uint32_t *)(void *)((char *)p - sizeof(uint32_t))];
    a->live = false;
    uint8_t *state = state_of((uintptr_t)p);
    for (size_t i = 0, n = (a->bytes + 7) >> GRANULE_SHIFT; i < n; i++)
        state[i] = (uint8_t)((state[i] & ~LIFE) | FREED);
}

static size_t leaks(size_t *bytes, const void **pc) {
    size_t n = 0;
    for (unsigned i = 0; i < x.allocations; i++)
        if (x.allocation[i].live && n++ == 0) {
            *bytes = x.allocation[i].bytes;
            *pc = x.allocation[i].pc;
        }
    return n;
}

/* ---- hardware transactions ------------------------------------------------------------------- */

static void clear_marks(struct thread *t) {
    const uint8_t others = (uint8_t) ~(1U << number(t));
    for (unsigned i = 0; i < t->tx.marks; i++) {
        t->tx.mark[i]->read &= others;
        t->tx.mark[i]->written &= others;
    }
    t->tx.marks = 0;
}

/* The transaction is over, as if it had never been; only its thread does not know yet. */
static void doom(struct thread *t, unsigned status) {
    struct tx *tx = &t->tx;
    if (t == x.in) {
        take_out_stores();
        tx->stores = 0;
        put_in_stores(t);
    }
    tx->stores = 0;
    clear_marks(t);
    tx->running = false;
    tx->doomed = true;
    tx->status = status | (tx->depth > 1 ? MACHINE_TX_NESTED : 0U);
    for (unsigned i = tx->allocations; i-- > 0;)
        free_now(tx->allocated[i]);
    tx->allocations = tx->frees = 0;
    t->pending = (struct explore_op){EXPLORE_TX_ABORT, 0, 0, t->pending.pc};
}

/* The thread, which runs, finds out that its transaction is over. */
static _Noreturn void leave(struct thread *t) {
    t->tx.doomed = false;
    sim_tx_leave(t->tx.sp, t->tx.stack, t->tx.stack_bytes, t->tx.status);
}

/* By the running thread's own doing. */
static _Noreturn void abort_own(struct thread *t, unsigned status) {
    event(EXPLORE_TX_ABORT, 0, 0, false);
    doom(t, status);
    leave(t);
}

static struct marks *marks_of(uintptr_t address) {
    if (address - (uintptr_t)AREA < AREA_BYTES)
        return &x.area_marks[(address - (uintptr_t)AREA) >> GRANULE_SHIFT];
    if (address - x.data < x.data_end - x.data)
        return &x.data_marks[(address - x.data) >> GRANULE_SHIFT];
    return NULL; /* engines that map pages have no hardware transactions */
}

/* An access of `t` that others can see: transactions of others that it does not go together with
 * are over. */
static void meet(const struct thread *t, uintptr_t address, size_t bytes, bool write) {
    const uintptr_t last = (address + bytes - 1) >> GRANULE_SHIFT;
    for (uintptr_t g = address >> GRANULE_SHIFT; g <= last; g++) {
        const struct marks *m = marks_of(g << GRANULE_SHIFT);
        if (m == NULL)
            return;
        unsigned victims = (m->written | (write ? m->read : 0U)) & ~(1U << number(t));
        for (; victims != 0; victims &= victims - 1)
            doom(&thread[__builtin_ctz(victims)], MACHINE_TX_CONFLICT | MACHINE_TX_RETRY);
    }
}

static void join_set(struct thread *t, uintptr_t address, size_t bytes, bool write) {
    struct tx *tx = &t->tx;
    const uint8_t me = (uint8_t)(1U << number(t));
    const uintptr_t last = (address + bytes - 1) >> GRANULE_SHIFT;
    for (uintptr_t g = address >> GRANULE_SHIFT; g <= last; g++) {
        struct marks *m = marks_of(g << GRANULE_SHIFT);
        if (m == NULL)
            break;
        if (((m->read | m->written) & me) == 0) {
            if (tx->marks == TX_MARKS)
                abort_own(t, MACHINE_TX_CAPACITY);
            tx->mark[tx->marks++] = m;
        }
        if (write)
            m->written |= me;
        else
            m->read |= me;
    }
}

/* A store of the transaction is about to be made. */
static void log_store(struct thread *t, uintptr_t address, size_t bytes) {
    struct tx *tx = &t->tx;
    for (unsigned i = 0; i < tx->stores; i++) /* the value is looked at when the thread leaves */
        if (tx->store[i].address == address && tx->store[i].bytes == bytes)
            return;
    if (tx->stores == TX_STORES)
        abort_own(t, MACHINE_TX_CAPACITY);
    struct store *s = &tx->store[tx->stores++];
    s->address = address;
    s->bytes = (uint32_t)bytes;
    s->event = t->events;
    copy(s->under, at(address), bytes);
}

static void tx_access(struct thread *t, uintptr_t address, size_t bytes, bool write) {
    join_set(t, address, bytes, write);
    for (; write && bytes > 0;) {
        const size_t part = bytes < STORE_BYTES ? bytes : STORE_BYTES;
        log_store(t, address, part);
        address += part;
        bytes -= part;
    }
}

unsigned sim_explore_tx_begin(char *sp) {
    struct thread *t = x.now;
    if (t == NULL)
        return 0; /* setup, verification: nobody else is there, and this is a legal answer */
    struct tx *tx = &t->tx;
    if (tx->running) {
        if (tx->depth++ == TX_NESTING)
            abort_own(t, 0);
        return MACHINE_TX_STARTED;
    }
    event(EXPLORE_TX_BEGIN, 0, 0, true);
    tx->running = true;
    tx->depth = 1;
    tx->sp = sp;
    tx->stack_bytes = (size_t)(t->fiber.high - sp);
    if (tx->stack_room < tx->stack_bytes) {
        free(tx->stack);
        tx->stack_room = 2 * tx->stack_bytes;
        tx->stack = malloc(tx->stack_room);
        if (tx->stack == NULL)
            sim_fatal("out of memory for hardware transactions");
    }
    memcpy(tx->stack, sp, tx->stack_bytes);
    return MACHINE_TX_STARTED;
}

void sim_explore_tx_end(void) {
    struct thread *t = x.now;
    if (t == NULL || !t->tx.running) { /* XEND outside of a transaction is a fault */
        snprintf(x.explanation, sizeof x.explanation,
                 "a hardware transaction is ended outside of any");
        end_run(EXPLORE_CRASH, t != NULL ? number(t) : EXPLORE_THREADS);
    }
    struct tx *tx = &t->tx;
    if (tx->depth > 1) {
        tx->depth--;
        return;
    }
    event(EXPLORE_TX_COMMIT, 0, 0, true);
    tx->running = false;
    tx->stores = 0; /* they are in memory, and stay there */
    clear_marks(t);
    drain_all(t);
    tx->allocations = 0;
    for (unsigned i = 0; i < tx->frees; i++)
        free_now(tx->freed[i]);
    tx->frees = 0;
}

void sim_explore_tx_abort(unsigned code) {
    struct thread *t = x.now;
    if (t != NULL && t->tx.running)
        abort_own(t, MACHINE_TX_EXPLICIT | (code & 0xff) << MACHINE_TX_CODE_SHIFT);
}

bool sim_explore_tx_test(void) { return x.now != NULL && x.now->tx.running; }

/* ---- who goes on ---------------------------------------------------------------------------- */

static void deadlock(void) {
    char *line = x.explanation;
    size_t room = sizeof x.explanation;
    int n = snprintf(line, room, "deadlock:");
    for (unsigned t = 0; t < x.threads && (size_t)n < room; t++)
        if (thread[t].state == ASLEEP) {
            char word[64];
            name((uintptr_t)thread[t].key, word, sizeof word);
            n += snprintf(line + n, room - (size_t)n, " thread %u sleeps on %s for ever;", t, word);
        }
}

/* Of those whose time could be over the one whose time is over first; `otherwise` if there is none.
 */
static uint8_t first_timeout(const struct explore_view *view, uint8_t otherwise) {
    uint8_t first = otherwise;
    for (unsigned t = 0; t < view->threads; t++)
        if ((view->timeouts >> t & 1) != 0 &&
            ((view->timeouts >> first & 1) == 0 || thread[t].deadline < thread[first].deadline))
            first = (uint8_t)t;
    return first;
}

/* Before the pending event of `self` (NULL: of thread 0, and the host asks): who is next?  Returns
 * when self goes on. */
static void decide(struct thread *self) {
    struct explore_view view = {.threads = x.threads,
                                .current = self == NULL ? 0 : number(self),
                                .event = self == NULL ? 1 : self->events,
                                .pending = x.pending,
                                .buffered = x.buffered,
                                .oldest = x.oldest,
                                .steps = x.steps};
    for (unsigned t = 0; t < x.threads; t++) {
        if (thread[t].state == ABLE) {
            view.enabled |= 1U << t;
            view.yielding |= (uint32_t)(thread[t].pending.kind == EXPLORE_PAUSE) << t;
        } else if (thread[t].state == ASLEEP && thread[t].deadline != UINT64_MAX) {
            view.timeouts |= 1U << t;
        }
        view.transactions |= (uint32_t)thread[t].tx.running << t;
        x.buffered[t] = thread[t].stores;
        x.oldest[t] = thread[t].store[0].event;
    }
    if ((view.enabled | view.timeouts) == 0) {
        deadlock();
        end_run(EXPLORE_DEADLOCK, view.current);
    }
    const bool fair = x.steps > x.limits.fair_after;
    if (x.steps > x.limits.steps_max) {
        snprintf(x.explanation, sizeof x.explanation,
                 "no end after %lu events, the last %lu of them scheduled fairly",
                 (unsigned long)x.steps, (unsigned long)(x.steps - x.limits.fair_after));
        end_run(EXPLORE_NO_END, view.current);
    }
    struct explore_choice choice;
    for (;;) {
        if (fair) {
            if (++x.quantum % FAIR_QUANTUM == 0) /* a loop without a pause is not for ever either */
                view.yielding |= view.enabled & 1U << view.current;
            choice = explore_default(&view);
            if (x.quantum % FAIR_SLEEP == 0) /* nor do others spin until time stands still */
                choice.thread = first_timeout(&view, choice.thread);
        } else {
            choice = x.policy->choose(x.policy->context, &view);
        }
        if (choice.what == EXPLORE_GO_ON)
            break;
        struct thread *t = &thread[choice.thread];
        if (choice.what == EXPLORE_ABORT) {
            if (t->tx.running)
                doom(t, (unsigned)choice.detail);
        } else {
            unsigned n = 0;
            while (n < t->stores && t->store[n].event <= choice.detail)
                n++;
            drain(t, n);
            x.buffered[choice.thread] = t->stores;
            x.oldest[choice.thread] = t->store[0].event;
        }
        view.transactions = 0;
        view.yielding = 0;
        for (unsigned i = 0; i < x.threads; i++) {
            view.transactions |= (uint32_t)thread[i].tx.running << i;
            view.yielding |=
                (uint32_t)(thread[i].state == ABLE && thread[i].pending.kind == EXPLORE_PAUSE) << i;
        }
    }
    if (((view.enabled | view.timeouts) >> choice.thread & 1) == 0)
        sim_fatal("the policy chose thread %u, which cannot go on", choice.thread);
    struct thread *next = &thread[choice.thread];
    if (next->state == ASLEEP) {
        next->state = ABLE;
        next->timed_out = true;
        if (x.time_ns < next->deadline)
            x.time_ns = next->deadline;
    }
    if (next != self) {
        take_out_stores();
        put_in_stores(next);
        x.now = next;
        sim_cpu_now = &next->cpu;
        sim_enter_gs(next->cpu.gs);
        sim_fiber_switch(self == NULL ? &x.host : &self->fiber, &next->fiber);
    }
    if (self != NULL && self->tx.doomed) { /* instead of what was pending */
        if (x.policy->happened != NULL)
            x.policy->happened(x.policy->context, number(self), self->events, &self->pending);
        leave(self);
    }
}

/* An event of the running thread: others may go first, then it happens. */
static void event(enum explore_kind kind, uintptr_t address, size_t bytes, bool ask) {
    struct thread *t = x.now;
    t->events++;
    x.steps++;
    t->pending = (struct explore_op){kind, (uint32_t)bytes, address, sim_explore_pc};
    if (ask || x.policy->every || x.steps > x.limits.fair_after)
        decide(t);
    if (x.policy->happened != NULL)
        x.policy->happened(x.policy->context, number(t), t->events, &t->pending);
}

/* Of n states, at least one, how many from the first on have these bits?  Eight at a time: whole
 * tables are cleared before a program begins. */
static size_t alike(const uint8_t *state, size_t n, uint8_t mask, uint8_t bits) {
    const uint64_t all = UINT64_C(0x0101010101010101);
    size_t i = 0;
    for (uint64_t eight; i + 8 <= n; i += 8) {
        copy(&eight, state + i, sizeof eight);
        if ((eight & all * mask) != all * bits)
            break;
    }
    while (i < n && (state[i] & mask) == bits)
        i++;
    return i;
}

/* Is it a place that others write or read too?  Remembers who was here. */
static bool learn(const struct thread *t, uintptr_t address, size_t bytes, bool write) {
    bool shared = false;
    const unsigned me = number(t) + 1;
    const uintptr_t last = (address + bytes - 1) >> GRANULE_SHIFT;
    size_t count = 0;
    uint8_t *s = NULL;
    size_t n;
    for (uintptr_t g = address >> GRANULE_SHIFT; g <= last; g += n, s += n, count -= n) {
        if (count == 0 && (s = states_from(g << GRANULE_SHIFT, &count)) == NULL)
            break;
        const uint8_t before = *s;
        n = alike(s, count < last - g + 1 ? count : last - g + 1, UINT8_MAX, before);
        uint8_t state = before | (write ? WRITTEN : 0);
        if (state >> OWNER_SHIFT == 0)
            state |= (uint8_t)(me << OWNER_SHIFT);
        else if (state >> OWNER_SHIFT != me)
            state |= MANY;
        memset(s, state, n);
        const bool is = (state & (WRITTEN | MANY)) == (WRITTEN | MANY);
        if (is && (before & (WRITTEN | MANY)) != (WRITTEN | MANY))
            x.shared += n;
        shared |= is;
    }
    return shared;
}

static void check_life(uintptr_t address, size_t bytes, const char *what) {
    if (address < 1 << 16)
        bad_access(address, bytes, what, false);
    if (sim_pages_has(address)) /* the pages say what is allowed */
        return;
    const uintptr_t last = (address + bytes - 1) >> GRANULE_SHIFT;
    size_t count = 0;
    const uint8_t *s = NULL;
    size_t n;
    for (uintptr_t g = address >> GRANULE_SHIFT; g <= last; g += n, s += n, count -= n) {
        if (count == 0 && (s = states_from(g << GRANULE_SHIFT, &count)) == NULL)
            return;
        n = alike(s, count < last - g + 1 ? count : last - g + 1, LIFE, LIVE);
        if (n == 0)
            bad_access(address, bytes, what, (*s & LIFE) == FREED);
    }
}

_Noreturn void sim_explore_refused(uintptr_t address, enum sim_right right) {
    bad_access(address, 1, right == SIM_WRITE ? "a store" : "a load", false);
}

/* Behind this the pages allow the access. */
static void admit(uintptr_t address, size_t bytes, enum sim_right right) {
    if (!sim_pages_has(address))
        return;
    for (uintptr_t at = address; at < address + bytes; at = (at | (SIM_PAGE - 1)) + 1)
        while (!sim_pages_allow(at, right))
            sim_pages_fault(at, right);
}

static bool on_own_stack(const struct thread *t, uintptr_t address) {
    return address >= (uintptr_t)t->fiber.low && address < (uintptr_t)t->fiber.high;
}

/* ---- what the hooks call -------------------------------------------------------------------- */

void sim_explore_access(uintptr_t address, size_t bytes, enum sim_right right) {
    struct thread *t = x.now;
    if (bytes == 0 || (t != NULL && on_own_stack(t, address)))
        return;
    const char *what = right == SIM_WRITE ? "a store" : "a load";
    admit(address, bytes, right);
    if (t == NULL || !tracked(address)) {
        check_life(address, bytes, what);
        return;
    }
    const void *pc = sim_explore_pc; /* others may have been here meanwhile */
    event(right == SIM_WRITE ? EXPLORE_WRITE : EXPLORE_READ, address, bytes,
          learn(t, address, bytes, right == SIM_WRITE));
    check_life(address, bytes, what);
    sim_explore_pc = pc;
    admit(address, bytes, right); /* others may have changed the pages meanwhile */
    if (t->tx.running || right != SIM_WRITE || !x.tso)
        meet(t, address, bytes, right == SIM_WRITE);
    if (t->tx.running) {
        tx_access(t, address, bytes, right == SIM_WRITE);
        return;
    }
    if (right != SIM_WRITE || !x.tso)
        return;
    if (bytes > STORE_BYTES) {
        drain_all(t);
        meet(t, address, bytes, true);
        return;
    }
    if (t->stores == EXPLORE_STORES)
        drain(t, 1);
    struct store *s = &t->store[t->stores++];
    s->address = address;
    s->bytes = (uint32_t)bytes;
    s->event = t->events;
    copy(s->under, at(address), bytes);
}

void sim_explore_locked(uintptr_t address) {
    struct thread *t = x.now;
    const uintptr_t word = address & ~(uintptr_t)7;
    admit(address, 1, SIM_WRITE);
    if (t == NULL || on_own_stack(t, address) || !tracked(address)) {
        check_life(address, 1, "a locked operation");
        return;
    }
    (void)learn(t, word, 8, true);
    event(EXPLORE_LOCKED, word, 8, true);
    check_life(address, 1, "a locked operation");
    admit(address, 1, SIM_WRITE);
    if (!t->tx.running)
        drain_all(t);
    meet(t, word, 8, true);
    if (t->tx.running)
        tx_access(t, word, 8, true);
}

/* Fences, pauses and calls of the system, which order all that came before. */
void sim_explore_call(enum explore_kind kind, const void *key) {
    struct thread *t = x.now;
    if (t == NULL)
        return;
    if (t->tx.running) {
        if (kind != EXPLORE_FENCE)
            abort_own(t, 0);
        return;
    }
    if (kind == EXPLORE_PAUSE)
        drain_all(t);
    event(kind, (uintptr_t)key, key != NULL ? 4 : 0, true);
    drain_all(t);
    if (kind == EXPLORE_BARRIER)
        for (unsigned i = 0; i < x.threads; i++)
            drain_all(&thread[i]);
}

bool sim_explore_sleep(const void *key, uint64_t timeout_ns) {
    struct thread *t = x.now;
    if (t == NULL) {
        if (timeout_ns == UINT64_MAX)
            sim_fatal("setup or verification waits, and no thread runs that could wake it");
        return false;
    }
    drain_all(t);
    t->state = ASLEEP;
    t->key = key;
    t->timed_out = false;
    t->deadline = timeout_ns < UINT64_MAX / 2 ? x.time_ns + timeout_ns : UINT64_MAX;
    event(EXPLORE_SLEEP, (uintptr_t)key, 4, true);
    return !t->timed_out;
}

void sim_explore_wake(const void *key, unsigned n) {
    for (unsigned i = 0; i < x.threads && n > 0; i++)
        if (thread[i].state == ASLEEP && thread[i].key == key) {
            thread[i].state = ABLE;
            n--;
        }
}

uint64_t sim_explore_now_ns(void) { return ++x.time_ns; }

/* ---- runs ----------------------------------------------------------------------------------- */

static void thread_main(void *argument) {
    struct thread *t = argument;
    if (x.policy->happened != NULL)
        x.policy->happened(x.policy->context, number(t), 1, &t->pending);
    t->fn(t->argument);
    sim_explore_pc = NULL;
    if (t->tx.running) /* the end of a thread is a system call */
        abort_own(t, 0);
    event(EXPLORE_END, 0, 0, true); /* others may go on before its last stores are seen */
    drain_all(t);
    t->state = ENDED;
    t->events++;
    if (--x.live == 0)
        end_run(EXPLORE_DONE, number(t));
    decide(t);
    __builtin_unreachable();
}

static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    if (!x.guarded) {
        struct sigaction plain = {.sa_handler = SIG_DFL};
        (void)sigaction(signal, &plain, NULL);
        return; /* happens again, and ends the process */
    }
    x.verdict = EXPLORE_CRASH;
    x.verdict_thread = x.now != NULL ? number(x.now) : EXPLORE_THREADS;
    if (x.now != NULL)
        snprintf(x.explanation, sizeof x.explanation, "thread %u, event %lu: %s, address %p",
                 number(x.now), (unsigned long)x.now->events, strsignal(signal), info->si_addr);
    else
        snprintf(x.explanation, sizeof x.explanation, "setup or verification: %s, address %p",
                 strsignal(signal), info->si_addr);
    x.now = NULL;
    sim_cpu_now = &host_cpu;
    sim_enter_gs(host_cpu.gs);
    siglongjmp(x.escape, 1);
}

static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
enum { SIGNALS = sizeof signals / sizeof *signals };
static struct sigaction signal_before[SIGNALS];
static char signal_stack[64 << 10];

static bool open_explorer(char *why, size_t why_size) {
    extern char __data_start[], _end[];
    x.data = (uintptr_t)__data_start & ~(uintptr_t)15;
    x.data_end = ((uintptr_t)_end + 15) & ~(uintptr_t)15;
    const size_t data_granules = (x.data_end - x.data) >> GRANULE_SHIFT;
    if (!x.mapped) {
        void *p = mmap(AREA, AREA_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        x.mapped = p == AREA;
    }
    if (x.area_state == NULL)
        x.area_state = calloc(AREA_BYTES >> GRANULE_SHIFT, 1);
    if (x.data_state == NULL)
        x.data_state = malloc(data_granules + 1);
    if (x.area_marks == NULL)
        x.area_marks = calloc(AREA_BYTES >> GRANULE_SHIFT, sizeof *x.area_marks);
    if (x.data_marks == NULL)
        x.data_marks = calloc(data_granules + 1, sizeof *x.data_marks);
    if (x.paged == NULL)
        x.paged = calloc(PAGED, sizeof *x.paged);
    if (x.allocation == NULL)
        x.allocation = calloc(ALLOCATIONS, sizeof *x.allocation);
    if (!x.mapped || x.area_state == NULL || x.data_state == NULL || x.allocation == NULL ||
        x.paged == NULL || x.area_marks == NULL || x.data_marks == NULL || !sim_block_open()) {
        snprintf(why, why_size, "schedule exploration cannot have its memory");
        return false;
    }
    memset(x.data_state, LIVE, data_granules + 1);
    for (unsigned r = 0; r < REGIONS; r++)
        x.high[r] = x.top[r] = AREA + ((size_t)r << REGION_SHIFT);
    no_port.line_shift = 6;
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    (void)sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_ONSTACK | SA_NODEFER | SA_SIGINFO};
    for (unsigned i = 0; i < SIGNALS; i++)
        (void)sigaction(signals[i], &action, &signal_before[i]);
    sim_cpu_now = &host_cpu;
    sim_start_gs();
    sim_exploring = true;
    return true;
}

static void close_explorer(void) {
    for (unsigned i = 0; i < SIGNALS; i++)
        (void)sigaction(signals[i], &signal_before[i], NULL);
    sim_pages_reset();
    sim_enter_gs(0);
    sim_exploring = false;
    sim_dummy_again();
}

static void forget(void) {
    for (unsigned r = 0; r < REGIONS; r++) {
        const char *start = AREA + ((size_t)r << REGION_SHIFT);
        memset(state_of((uintptr_t)start), 0, ((size_t)(x.high[r] - start) >> GRANULE_SHIFT) + 1);
        x.high[r] = start;
    }
    memset(x.data_state, LIVE, (x.data_end - x.data) >> GRANULE_SHIFT);
    memset(x.paged, 0, PAGED * sizeof *x.paged);
    x.shared = 0;
}

static void reset(bool tso) {
    for (unsigned r = 0; r < REGIONS; r++) {
        char *start = AREA + ((size_t)r << REGION_SHIFT);
        if (x.high[r] < x.top[r])
            x.high[r] = x.top[r];
        uint8_t *state = state_of((uintptr_t)start);
        for (size_t i = 0, n = (size_t)(x.top[r] - start) >> GRANULE_SHIFT; i < n; i++)
            state[i] &= (uint8_t)~LIFE;
        x.top[r] = start;
    }
    for (unsigned t = 0; t < EXPLORE_THREADS; t++) { /* of a run that has been abandoned */
        clear_marks(&thread[t]);
        thread[t].tx.running = thread[t].tx.doomed = false;
        thread[t].tx.stores = thread[t].tx.allocations = thread[t].tx.frees = 0;
    }
    sim_pages_reset();
    host_cpu.gs = 0;
    sim_enter_gs(0);
    x.allocations = 0;
    x.tso = tso;
    x.threads = x.live = 0;
    x.now = x.in = NULL;
    x.steps = x.time_ns = x.quantum = 0;
    x.verdict = EXPLORE_DONE;
    x.explanation[0] = '\0';
    sim_cpu_now = &host_cpu;
}

static bool guard(void (*fn)(void *), void *argument) {
    if (sigsetjmp(x.escape, 0) != 0) {
        x.guarded = false;
        return false;
    }
    x.guarded = true;
    fn(argument);
    x.guarded = false;
    return true;
}

static void spawn(void (*fn)(void *), void *argument) {
    if (x.threads == EXPLORE_THREADS)
        sim_fatal("schedule exploration has at most %d threads", EXPLORE_THREADS);
    struct thread *t = &thread[x.threads++];
    if (!sim_fiber_create(&t->fiber, x.threads - 1, thread_main, t))
        sim_fatal("a stack for thread %u: %s", x.threads, strerror(errno));
    t->cpu = (struct sim_cpu){.port = &no_port, .ticks_per_instruction = 1};
    t->fn = fn;
    t->argument = argument;
    t->state = ABLE;
    t->events = 1;
    t->stores = 0;
    t->key = NULL;
    t->pending = (struct explore_op){EXPLORE_START, 0, 0, NULL};
    x.pending[x.threads - 1] = &t->pending;
    x.live++;
    x.steps++;
}

static void run_threads(void *unused) {
    (void)unused;
    decide(NULL);
}

static enum explore_verdict run(const struct explore_policy *policy,
                                const struct explore_limits *limits) {
    x.policy = policy;
    x.limits = *limits;
    (void)guard(run_threads, NULL);
    return x.verdict;
}

static void stop(void) { end_run(EXPLORE_STOPPED, x.now != NULL ? number(x.now) : 0); }

static void explain(char *line, size_t size) { snprintf(line, size, "%s", x.explanation); }

static unsigned verdict_thread(void) { return x.verdict_thread; }

static unsigned thread_now(void) { return x.now != NULL ? number(x.now) : EXPLORE_THREADS; }

static uint64_t events_of(unsigned t) { return thread[t].events; }

static uint64_t steps(void) { return x.steps; }

static size_t shared(void) { return x.shared; }

static unsigned stores(unsigned t, uint64_t events[EXPLORE_STORES]) {
    for (unsigned i = 0; i < thread[t].stores; i++)
        events[i] = thread[t].store[i].event;
    return thread[t].stores;
}

static bool is_shared(uintptr_t address, size_t bytes) {
    const uintptr_t last = (address + bytes - 1) >> GRANULE_SHIFT;
    for (uintptr_t g = address >> GRANULE_SHIFT; g <= last; g++) {
        const uint8_t *s = state_of(g << GRANULE_SHIFT);
        if (s != NULL && (*s & (WRITTEN | MANY)) == (WRITTEN | MANY))
            return true;
    }
    return false;
}

const struct machine_explorer sim_explorer = {
    .open = open_explorer,
    .close = close_explorer,
    .forget = forget,
    .shared = shared,
    .reset = reset,
    .guard = guard,
    .spawn = spawn,
    .run = run,
    .stop = stop,
    .explain = explain,
    .verdict_thread = verdict_thread,
    .thread = thread_now,
    .events = events_of,
    .steps = steps,
    .stores = stores,
    .leaks = leaks,
    .name = name,
    .is_shared = is_shared,
};
