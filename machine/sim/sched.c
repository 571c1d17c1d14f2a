/*
 * sched.c - who runs next: hardware threads in the order of their clocks, and the simulated
 * operating system that puts software threads on them.
 *
 * Order.  The hardware threads that have something to run, but for the one that is running on the
 * host, wait in a binary heap keyed by (clock, number); time-outs wait in a second one.  The
 * running one goes on until it has to let others pass (sim_order, sim_catch_up, sim.h); then it
 * changes places with the heap's first, which costs one sift and one fiber switch.  Nothing is ever
 * switched to through a scheduler fiber.
 *
 * Operating system.  Thread i starts on hardware thread i mod n (the profile numbers the first
 * hardware threads of all cores first).  Each hardware thread has a queue of threads that wait for
 * it, first in first out.  A thread runs until it sleeps, yields, ends, or, when others wait, a
 * timer tick finds its time slice used up; it does not matter what locks it holds.  Who is woken
 * goes back to its hardware thread if that one is idle, otherwise to the nearest idle one (one
 * whose core is idle first, then one of the same group), otherwise into the queue: a waking thread
 * preempts nobody. A hardware thread that runs out of work pulls the first of the longest queue.
 * Idle hardware threads take no ticks.
 *
 * Time.  From wake-up to running: wake_ns, or wake_deep_ns when the hardware thread has been idle
 * for longer than deep_idle_ns.  From one thread to the next: context_switch_ns.
 *
 * The seed sets: when each thread starts (up to START_NS after time 0: threads are not created in
 * the same instant), the phase of each hardware thread's timer tick, and up to 1/JITTER of the
 * latency on top of each DRAM access (refresh, open rows, bank conflicts: a real one is not a
 * constant either).
 *
 * Invariants
 * - Whoever is in the heap has `running`; the running one (sim_cpu_now) is not in the heap.
 * - A thread is in exactly one place: `running` of one hardware thread, one queue, one list of
 *   sleepers, or ended.
 * - No hardware thread is idle while a thread waits in a queue.
 * - turn and horizon of sim_cpu_now are right whenever a fiber runs; those of others mean nothing.
 */
#include "gs.h"
#include "htm.h"
#include "internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { START_NS = 1000, JITTER = 16, SLEEPER_LISTS = 256, THREADS_MAX = SIM_STACKS };

/* A key of the heap: clock, then number, so that ties go to the lower number.  2^54 ticks are more
 * than 24 hours at any clock that fits. */
enum { NUMBER_BITS = 10 };
typedef uint64_t heap_key;

enum thread_state { READY, RUNNING, SLEEPING, ENDED };

struct sim_thread {
    struct sim_fiber fiber;
    void (*fn)(void *);
    void *argument;
    uintptr_t gs;   /* where its %gs begins */
    unsigned stack; /* its number */
    unsigned heap;  /* of the arena */
    enum thread_state state;
    struct cpu *cpu;         /* where it runs, waits, or ran last */
    struct sim_thread *next; /* in a queue or in a list of sleepers */
    const void *key;         /* what it sleeps on */
    uint64_t sleep;          /* counts its sleeps: a time-out is for one of them */
    bool timed_out;          /* the last sleep ended by time */
    bool joined;             /* the host waits for its end */
    uint64_t cpu_ticks;      /* on hardware threads, before `since` */
    uint64_t since;          /* clock when it was last put on one */
};

struct queue { /* of threads, first in first out */
    struct sim_thread *first, *last;
};

struct cpu {
    struct sim_cpu pub;
    struct cpu *sibling;  /* of the same core; NULL without SMT */
    struct queue waiting; /* for this hardware thread */
    unsigned waiters;     /* in it */
    uint64_t interrupt;   /* clock of the next interrupt; UINT64_MAX: none */
    uint64_t tick;        /* clock of the next timer tick; UINT64_MAX: none */
    uint64_t slice;       /* clock when the running thread got here */
    uint64_t idle_since;
    uint64_t stolen; /* ticks that interrupts from others take as soon as it goes on */
};

struct timeout {           /* of one sleep */
    uint64_t time, number; /* numbered in the order of their making, which breaks ties */
    struct sim_thread *thread;
    uint64_t sleep;
};

struct sim_session sim_session;

/* The dummy: its filter is empty for ever, so every access takes the slow path and ends there. */
static struct sim_port host_port;
const uint64_t sim_no_load = UINT64_MAX; /* nothing lies behind it */
static struct sim_cpu host_cpu = {
    .horizon = UINT64_MAX, .turn = UINT64_MAX, .port = &host_port, .dummy = true};
struct sim_cpu *sim_cpu_now = &host_cpu;

static struct sched {
    struct cpu *cpu; /* [sim_session.cpus] */
    heap_key *heap;  /* [heap_size]: runnable, but not running on the host */
    unsigned heap_size;
    struct timeout *timeout; /* a heap too */
    size_t timeouts, timeouts_room;
    uint64_t timeout_number;
    struct queue sleepers[SLEEPER_LISTS]; /* by key */
    unsigned queued;                      /* threads in all queues */
    unsigned idle;                        /* hardware threads without one */
    unsigned alive;                       /* threads that have not ended */
    struct sim_fiber host;                /* the host's thread, while fibers run */
    unsigned free_stack[THREADS_MAX], free_stacks, stacks;
    uint64_t context_switches;
    uint64_t frontier; /* clock at which the last one went on; for policies */
    bool regions;      /* declared */
} sched;

static const struct sim_policy *policy;

void sim_set_policy(const struct sim_policy *p) { policy = p; }

/* ---- queues --------------------------------------------------------------------------------- */

static void append(struct queue *q, struct sim_thread *t) {
    t->next = NULL;
    if (q->first == NULL)
        q->first = t;
    else
        q->last->next = t;
    q->last = t;
}

/* `before`: the one in front of t, NULL for the first. */
static void take_out(struct queue *q, struct sim_thread *before, struct sim_thread *t) {
    if (before == NULL)
        q->first = t->next;
    else
        before->next = t->next;
    if (q->last == t)
        q->last = before;
    t->next = NULL;
}

static struct queue *sleepers_of(const void *key) {
    return &sched.sleepers[((uintptr_t)key >> 3) % SLEEPER_LISTS];
}

/* ---- the heap of hardware threads ------------------------------------------------------------ */

static heap_key key_of(const struct sim_cpu *c) { return c->clock << NUMBER_BITS | c->number; }

static struct cpu *cpu_of_key(heap_key key) { return &sched.cpu[key & ((1U << NUMBER_BITS) - 1)]; }

static struct cpu *cpu_of(struct sim_cpu *c) { return (struct cpu *)c; }

/* Puts `key` where the first was, and restores the order. */
static void heap_replace(heap_key key) {
    heap_key *const h = sched.heap;
    const unsigned n = sched.heap_size;
    unsigned at = 0;
    for (unsigned child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && h[child + 1] < h[child];
        if (key <= h[child])
            break;
        h[at] = h[child];
    }
    h[at] = key;
}

static void heap_insert(heap_key key) {
    heap_key *const h = sched.heap;
    unsigned at = sched.heap_size++;
    for (; at > 0 && key < h[(at - 1) / 2]; at = (at - 1) / 2)
        h[at] = h[(at - 1) / 2];
    h[at] = key;
}

static void heap_remove_first(void) {
    const heap_key last = sched.heap[--sched.heap_size];
    if (sched.heap_size > 0)
        heap_replace(last);
}

/* ---- time-outs ------------------------------------------------------------------------------ */

static bool earlier(const struct timeout *a, const struct timeout *b) {
    return a->time != b->time ? a->time < b->time : a->number < b->number;
}

static void timeout_add(uint64_t time, struct sim_thread *t) {
    if (sched.timeouts == sched.timeouts_room) {
        const size_t room = sched.timeouts_room == 0 ? 64 : 2 * sched.timeouts_room;
        struct timeout *larger = realloc(sched.timeout, room * sizeof *larger);
        if (larger == NULL)
            sim_fatal("out of memory: %zu time-outs", room);
        sched.timeout = larger;
        sched.timeouts_room = room;
    }
    const struct timeout new = {time, sched.timeout_number++, t, t->sleep};
    size_t at = sched.timeouts++;
    for (; at > 0 && earlier(&new, &sched.timeout[(at - 1) / 2]); at = (at - 1) / 2)
        sched.timeout[at] = sched.timeout[(at - 1) / 2];
    sched.timeout[at] = new;
}

static struct timeout timeout_take(void) {
    struct timeout *const h = sched.timeout;
    const struct timeout first = h[0], last = h[--sched.timeouts];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < sched.timeouts; at = child) {
        child += child + 1 < sched.timeouts && earlier(&h[child + 1], &h[child]);
        if (!earlier(&h[child], &last))
            break;
        h[at] = h[child];
    }
    h[at] = last;
    return first;
}

/* ---- hardware threads ----------------------------------------------------------------------- */

/* Until when the running one may go on. */
static void set_limits(struct cpu *cpu) {
    struct sim_cpu *c = &cpu->pub;
    uint64_t turn = UINT64_MAX - 1;
    if (policy != NULL) {
        c->turn = c->horizon = 0;
        return;
    }
    if (sched.heap_size > 0) {
        const heap_key other = sched.heap[0];
        turn = other >> NUMBER_BITS;
        /* A tie goes to the lower number. */
        if ((other & ((1U << NUMBER_BITS) - 1)) < c->number && turn > 0)
            turn--;
    }
    if (sched.timeouts > 0 && sched.timeout[0].time <= turn)
        turn = sched.timeout[0].time - (sched.timeout[0].time > 0);
    const uint64_t lead = sim_session.costs.lead;
    const uint64_t interrupt = cpu->interrupt < c->alarm ? cpu->interrupt : c->alarm;
    c->horizon = turn >= UINT64_MAX - 1 - lead ? UINT64_MAX : turn + 1 + lead;
    if (interrupt <= turn)
        turn = interrupt - 1;
    if (interrupt < c->horizon)
        c->horizon = interrupt;
    c->turn = turn;
}

static void refresh_limits(void) {
    if (!sim_cpu_now->dummy)
        set_limits(cpu_of(sim_cpu_now));
}

/* Instructions take longer while the other hardware thread of the core is busy. */
static void set_speed(struct cpu *cpu) {
    const struct sim_profile *p = &sim_session.profile;
    const bool shared = cpu->sibling != NULL && cpu->sibling->pub.running != NULL;
    const double ticks = SIM_TICKS / (shared ? p->ipc * p->smt_ipc : p->ipc);
    cpu->pub.ticks_per_instruction = (uint32_t)(ticks + 0.5);
}

/* The interrupts to come: timer ticks while something runs; without ticks, ends of time slices. */
static void set_interrupt(struct cpu *cpu) {
    cpu->interrupt = cpu->tick;
    if (cpu->tick == UINT64_MAX && cpu->waiters > 0 && sim_session.costs.slice > 0)
        cpu->interrupt = cpu->slice + sim_session.costs.slice;
    if (cpu->interrupt <= cpu->pub.clock)
        cpu->interrupt = cpu->pub.clock + 1;
}

/* `t` (NULL: nothing) is on the hardware thread from its present clock on. */
static void put_on(struct cpu *cpu, struct sim_thread *t) {
    struct sim_cpu *c = &cpu->pub;
    const bool was_busy = c->running != NULL;
    c->running = t;
    c->gs = t != NULL ? t->gs : 0;
    if (t != NULL) {
        t->state = RUNNING;
        t->cpu = cpu;
        t->since = c->clock;
        cpu->slice = c->clock;
    } else {
        cpu->idle_since = c->clock;
    }
    if (was_busy != (t != NULL)) {
        sched.idle += was_busy ? 1U : -1U;
        if (cpu->sibling != NULL)
            set_speed(cpu->sibling);
        const uint64_t period = sim_session.costs.tick;
        if (t != NULL && cpu->tick <= c->clock) /* no ticks came while it was idle */
            cpu->tick += ((c->clock - cpu->tick) / period + 1) * period;
    }
    set_interrupt(cpu);
}

/* The running thread leaves its hardware thread, on its present clock. */
static void take_off(struct cpu *cpu) {
    struct sim_thread *t = cpu->pub.running;
    assert(cpu->pub.tx == NULL);
    t->cpu_ticks += cpu->pub.clock - t->since;
}

static void enqueue(struct cpu *cpu, struct sim_thread *t) {
    t->state = READY;
    t->cpu = cpu;
    append(&cpu->waiting, t);
    cpu->waiters++;
    sched.queued++;
    set_interrupt(cpu);
}

static struct sim_thread *dequeue(struct cpu *cpu) {
    struct sim_thread *t = cpu->waiting.first;
    take_out(&cpu->waiting, NULL, t);
    cpu->waiters--;
    sched.queued--;
    return t;
}

static unsigned group_of(const struct cpu *cpu) {
    const struct sim_profile *p = &sim_session.profile;
    return cpu->pub.number % (sim_session.cpus / p->smt) / p->cores_per_group;
}

/* The best idle hardware thread for `t`, which ran on a busy one; NULL: none is idle. */
static struct cpu *find_idle(const struct sim_thread *t) {
    struct cpu *best = NULL;
    unsigned best_cost = UINT32_MAX;
    if (sched.idle == 0)
        return NULL;
    for (unsigned i = 1; i < sim_session.cpus; i++) {
        struct cpu *cpu = &sched.cpu[(t->cpu->pub.number + i) % sim_session.cpus];
        if (cpu->pub.running != NULL)
            continue;
        const unsigned cost = 2 * (cpu->sibling != NULL && cpu->sibling->pub.running != NULL) +
                              (group_of(cpu) != group_of(t->cpu));
        if (cost < best_cost) {
            best_cost = cost;
            best = cpu;
        }
    }
    return best;
}

/* A thread may run from `time` on. */
static void make_ready(struct sim_thread *t, uint64_t time) {
    struct cpu *cpu = t->cpu->pub.running == NULL ? t->cpu : find_idle(t);
    if (cpu == NULL) {
        enqueue(t->cpu, t);
    } else {
        struct sim_cpu *c = &cpu->pub;
        const struct sim_costs *costs = &sim_session.costs;
        if (c->clock < time)
            c->clock = time;
        c->clock += c->clock - cpu->idle_since > costs->deep_idle ? costs->wake_deep : costs->wake;
        put_on(cpu, t);
        heap_insert(key_of(c));
    }
    refresh_limits();
}

/* The hardware thread has nothing to run: the next of its queue, or of the longest one.  Returns
 * false when it is idle now. */
static bool find_work(struct cpu *cpu) {
    struct cpu *from = cpu;
    if (cpu->waiters == 0 && sched.queued > 0)
        for (unsigned i = 0; i < sim_session.cpus; i++)
            if (sched.cpu[i].waiters > from->waiters)
                from = &sched.cpu[i];
    if (from->waiters == 0) {
        put_on(cpu, NULL);
        return false;
    }
    struct sim_thread *t = dequeue(from);
    if (from != cpu)
        set_interrupt(from);
    cpu->pub.clock += sim_session.costs.context_switch;
    sched.context_switches++;
    put_on(cpu, t);
    return true;
}

/* Ticks are due: they take their time, and the thread its leave when its slice is used up. */
static void interrupted(struct cpu *cpu) {
    struct sim_cpu *c = &cpu->pub;
    while (cpu->tick <= c->clock) {
        cpu->tick += sim_session.costs.tick;
        c->clock += sim_session.costs.tick_cost;
    }
    if (cpu->waiters > 0 && c->clock - cpu->slice >= sim_session.costs.slice) {
        struct sim_thread *t = c->running;
        take_off(cpu);
        enqueue(cpu, t);
        (void)find_work(cpu);
    }
    set_interrupt(cpu);
}

/* ---- who runs next -------------------------------------------------------------------------- */

/* Sleepers whose time is over by `until` get ready. */
static void expire(uint64_t until) {
    while (sched.timeouts > 0 && sched.timeout[0].time <= until) {
        const struct timeout due = timeout_take();
        struct sim_thread *t = due.thread;
        if (t->sleep != due.sleep || t->state != SLEEPING)
            continue;
        struct queue *q = sleepers_of(t->key);
        struct sim_thread *before = NULL;
        for (struct sim_thread *s = q->first; s != t; s = s->next)
            before = s;
        take_out(q, before, t);
        t->timed_out = true;
        make_ready(t, due.time);
    }
}

/* The host's %gs, while fibers run. */
static uintptr_t gs_now;

static bool fsgsbase; /* constant while a simulation is open */

static bool write_gs(uintptr_t base) {
    gs_now = base;
    return gs_set_base(base, fsgsbase);
}

bool sim_set_gs(uintptr_t base) {
    struct sim_cpu *c = sim_cpu_now;
    c->gs = base;
    if (c->running != NULL)
        c->running->gs = base;
    return gs_now == base || write_gs(base);
}

void sim_restore_gs(struct sim_cpu *c, uintptr_t base) {
    c->gs = c->running->gs = base;
    if (c == sim_cpu_now && gs_now != base)
        (void)write_gs(base);
}

/* Who goes on has its %gs.  It cannot fail: the same has worked before. */
static inline void enter_gs(uintptr_t base) {
    if (__builtin_expect(gs_now != base, 0))
        (void)write_gs(base);
}

/* `cpu` goes on, on its running thread's fiber; `self` is the fiber we are on. */
static void resume(struct cpu *cpu, struct sim_fiber *self) {
    struct sim_cpu *c = &cpu->pub;
    c->clock += cpu->stolen;
    cpu->stolen = 0;
    if (policy != NULL) {
        if (c->clock < sched.frontier)
            c->clock = sched.frontier;
        sched.frontier = c->clock;
    }
    sim_flow_cut(sim_cpu_now);
    sim_flow_cut(c);
    sim_cpu_now = c;
    set_limits(cpu);
    enter_gs(c->gs);
    if (&c->running->fiber != self) {
        c->switches++;
        sim_fiber_switch(self, &c->running->fiber);
    }
}

/* The policy chooses among the heap and `current` (NULL: it does not want to go on). */
static struct cpu *ask_policy(struct cpu *current) {
    static struct sim_cpu *runnable[1U << NUMBER_BITS];
    size_t n = 0;
    if (current != NULL)
        heap_insert(key_of(&current->pub));
    struct cpu *chosen = NULL;
    /* The heap is emptied in its order, then filled again but for the chosen one. */
    while (sched.heap_size > 0) {
        runnable[n++] = &cpu_of_key(sched.heap[0])->pub;
        heap_remove_first();
    }
    const size_t index = policy->choose(policy->context, runnable, n);
    for (size_t i = 0; i < n; i++)
        if (i == index)
            chosen = cpu_of(runnable[i]);
        else
            heap_insert(key_of(runnable[i]));
    if (chosen == NULL)
        sim_fatal("the policy chose hardware thread %zu of %zu", index, n);
    return chosen;
}

static _Noreturn void deadlock(void) {
    sim_fatal("deadlock: all of %u threads sleep, and none of them has a time-out", sched.alive);
}

/*
 * Lets the first in the order go on.  `cpu`: the one that was running and wants to go on too; NULL:
 * there is none (it is idle, or we are the host).  Returns when `self` goes on.
 */
static void dispatch(struct cpu *cpu, struct sim_fiber *self) {
    for (;;) {
        if (cpu == NULL && sched.heap_size == 0 && sched.timeouts == 0)
            deadlock();
        uint64_t first = cpu != NULL ? cpu->pub.clock : UINT64_MAX;
        if (sched.heap_size > 0 && sched.heap[0] >> NUMBER_BITS < first)
            first = sched.heap[0] >> NUMBER_BITS;
        if (sched.timeouts == 0 || sched.timeout[0].time > first)
            break;
        expire(sched.timeout[0].time);
    }
    if (cpu == NULL && sched.heap_size == 0) /* the time-outs were old ones */
        deadlock();
    struct cpu *next = cpu;
    if (policy != NULL) {
        next = ask_policy(cpu);
    } else if (cpu == NULL) {
        next = cpu_of_key(sched.heap[0]);
        heap_remove_first();
    } else if (sched.heap_size > 0 && sched.heap[0] < key_of(&cpu->pub)) {
        next = cpu_of_key(sched.heap[0]);
        heap_replace(key_of(&cpu->pub));
    }
    resume(next, self);
}

/* The running thread lets others pass once. */
static void pass(struct sim_cpu *c) {
    struct cpu *cpu = cpu_of(c);
    struct sim_thread *self = c->running;
    if (c->tx != NULL && c->clock >= c->alarm)
        sim_htm_abort(c, MACHINE_TX_BY_NOTHING);
    if (c->clock >= cpu->interrupt) {
        if (c->tx != NULL) /* the interrupt is taken behind the abort */
            sim_htm_abort(c, MACHINE_TX_BY_INTERRUPT);
        interrupted(cpu);
    }
    dispatch(cpu, &self->fiber);
}

__attribute__((cold, noinline)) void sim_order(struct sim_cpu *c) {
    if (c->dummy)
        return;
    do {
        pass(c);
        c = sim_cpu_now;
    } while (policy == NULL && c->clock > c->turn);
}

__attribute__((cold, noinline)) void sim_catch_up(struct sim_cpu *c) {
    if (c->dummy)
        return;
    do {
        pass(c);
        c = sim_cpu_now;
    } while (policy == NULL && c->clock >= c->horizon);
}

/* The running thread is in a queue, asleep or at its end: another one goes on.  Returns when it
 * goes on itself. */
static void give_way(struct sim_thread *self) {
    struct cpu *cpu = cpu_of(sim_cpu_now);
    sim_cpu_now = &host_cpu; /* nobody runs: nobody's limits need to be kept */
    dispatch(find_work(cpu) ? cpu : NULL, &self->fiber);
}

/* ---- accesses ------------------------------------------------------------------------------- */

static inline struct sim_cpu *in_order(void) {
    struct sim_cpu *c = sim_cpu_now;
    if (__builtin_expect(c->clock > c->turn, 0)) {
        sim_order(c);
        c = sim_cpu_now;
    }
    return c;
}

/* The access itself, in order.  Returns the latency, page fault not included, and charges that. */
static uint64_t miss(struct sim_cpu *c, uintptr_t address, enum sim_right right,
                     enum sim_level *level) {
    const uint64_t faults = c->port->page_faults;
    uint64_t latency =
        sim_memory_access(sim_session.memory, c->number, address, right, c->clock, level);
    if (__builtin_expect(c->port->page_faults != faults, 0)) {
        const uint64_t fault = sim_session.costs.page_fault;
        const uint64_t part = latency < fault ? latency : fault;
        c->clock += part;
        latency -= part;
    }
    if (*level == SIM_DRAM && latency >= JITTER)
        latency += sim_random_below(latency / JITTER + 1);
    return latency;
}

/* Behind this the page of the address allows the access.  Returns the hardware thread. */
static struct sim_cpu *admit(uintptr_t address, enum sim_right right) {
    while (!sim_pages_allow(address, right)) {
        if (sim_cpu_now->tx != NULL)
            sim_htm_abort(sim_cpu_now, MACHINE_TX_BY_FAULT);
        sim_pages_fault(address, right);
        (void)in_order();
    }
    return sim_cpu_now;
}

/* Notes that a thread uses another one's stack. */
static void see_stack(const struct sim_cpu *c, uintptr_t address) {
    const struct sim_fiber *own = &c->running->fiber;
    if (sim_fiber_in_stacks(address) &&
        (address < (uintptr_t)own->low || address >= (uintptr_t)own->high))
        sim_htm_stacks_shared = true;
}

/* `bytes`: from there on, of this line and perhaps of further ones.  Returns what of the latency
 * was not charged. */
static uint64_t access_line(uintptr_t address, size_t bytes, enum sim_right right) {
    struct sim_cpu *c = sim_cpu_now;
    const struct sim_profile *p = &sim_session.profile;
    c->accesses++;
    if (c->clock >= c->horizon) {
        sim_catch_up(c);
        c = sim_cpu_now;
    }
    /* A hit that the filter had forgotten is a hit like any other: whether two addresses share an
     * entry of the filter must not be seen.  (While there are transactions it goes the long way,
     * to the same end, as it may be their first access to the line, or a conflict.) */
    if (sim_memory_hit(c->port, address, right) ||
        (sim_htm_running == 0 &&
         sim_memory_is_local(sim_session.memory, c->number, address, right) &&
         sim_memory_hit(c->port, address, right))) {
        c->clock += c->l1_ticks;
        return c->l1_latency - c->l1_ticks;
    }
    see_stack(c, address);
    if (!sim_memory_is_private(sim_session.memory, c->number, address, right))
        c = in_order();
    if (__builtin_expect(sim_pages_has(address), 0))
        c = admit(address, right);
    if (sim_htm_running > 0)
        sim_htm_before(c, address, bytes, right);
    enum sim_level level = SIM_L1;
    const uint64_t latency = miss(c, address, right, &level);
    double exposed = 1;
    if (level == SIM_L1)
        exposed = 0; /* costs what a hit costs */
    else if (right == SIM_WRITE)
        exposed = 1 - p->store_overlap;
    else if (level == SIM_L2 || level == SIM_L3)
        exposed = 1 - p->overlap;
    const uint64_t charged = level == SIM_L1 ? c->l1_ticks : (uint64_t)((double)latency * exposed);
    c->clock += charged;
    if (sim_htm_running > 0)
        sim_htm_after(c, address, right);
    return latency > charged ? latency - charged : 0;
}

static bool declare_regions(void);

/*
 * Setting up takes no time, but leaves its traces: what it touches has its page, and the lines that
 * it touched last are in the caches of the first core, as they are when a program starts its
 * threads behind its setup.
 */
static void warm(uintptr_t address, size_t bytes, enum sim_right right) {
    if (sim_pages_has(address))
        for (uintptr_t at = address; at < address + bytes; at = (at | (SIM_PAGE - 1)) + 1)
            (void)admit(at, right);
    if (!sim_session.open || sched.stacks > 0 || bytes == 0)
        return;
    if (!sched.regions && !(sched.regions = declare_regions()))
        return; /* out of memory: the first thread says so */
    struct sim_port *port = sim_memory_port(sim_session.memory, 0);
    enum sim_level level;
    const uintptr_t last = (address + bytes - 1) >> port->line_shift;
    for (uintptr_t line = address >> port->line_shift; line <= last; line++)
        if (!sim_memory_hit(port, line << port->line_shift, right))
            (void)sim_memory_access(sim_session.memory, 0, line << port->line_shift, right, 0,
                                    &level);
}

uint64_t sim_access(struct sim_cpu *c, uintptr_t address, size_t bytes, enum sim_right right) {
    if (__builtin_expect(sim_exploring, 0)) {
        sim_explore_access(address, bytes, right);
        return 0;
    }
    if (c->dummy)
        warm(address, bytes, right);
    if (c->dummy || bytes == 0)
        return 0;
    const unsigned shift = c->port->line_shift;
    const uintptr_t last = (address + bytes - 1) >> shift;
    uint64_t left = access_line(address, bytes, right);
    for (uintptr_t line = (address >> shift) + 1; line <= last; line++)
        left = access_line(line << shift, address + bytes - (line << shift), right);
    if (last > address >> shift) /* others have run between two of them */
        sim_htm_claim(address, bytes, right);
    return left;
}

void sim_locked(uintptr_t address, size_t bytes) {
    if (__builtin_expect(sim_exploring, 0)) {
        sim_explore_locked(address);
        return;
    }
    if (sim_cpu_now->dummy) {
        warm(address, 1, SIM_WRITE);
        return;
    }
    struct sim_cpu *c = in_order();
    c->accesses++;
    if (!sim_memory_hit(c->port, address, SIM_WRITE)) {
        see_stack(c, address);
        if (__builtin_expect(sim_pages_has(address), 0))
            c = admit(address, SIM_WRITE);
        if (sim_htm_running > 0)
            sim_htm_before(c, address, bytes, SIM_WRITE);
        enum sim_level level = SIM_L1;
        const uint64_t latency = miss(c, address, SIM_WRITE, &level);
        if (level != SIM_L1)
            c->clock += latency; /* nothing hides behind a locked instruction */
        if (sim_htm_running > 0)
            sim_htm_after(c, address, SIM_WRITE);
    }
    c->clock += sim_session.costs.atomic;
}

/* Prefetching: as a store, it does not wait for the line but takes its place in the queue. */
static void expect(const void *line, enum sim_right right) {
    const uintptr_t address = (uintptr_t)line;
    struct sim_cpu *c = sim_cpu_now;
    if (c->dummy || sim_exploring)
        return;
    sim_instructions(c, 1);
    if (sim_memory_hit(c->port, address, right))
        return;
    if (!sim_memory_is_private(sim_session.memory, c->number, address, right))
        c = in_order();
    if (!sim_memory_is_touched(sim_session.memory, address) ||
        (sim_pages_has(address) && !sim_pages_allow(address, right)))
        return;              /* it would be a fault */
    if (sim_htm_running > 0) /* to others it is an access like any other, to a transaction too */
        sim_htm_before(c, address, 1, right);
    enum sim_level level = SIM_L1;
    const uint64_t latency = miss(c, address, right, &level);
    if (level != SIM_L1)
        c->clock += (uint64_t)((double)latency * (1 - sim_session.profile.store_overlap));
    if (sim_htm_running > 0)
        sim_htm_after(c, address, right);
}

void machine_expect_load(const void *line) { expect(line, SIM_READ); }
void machine_expect_store(const void *line) { expect(line, SIM_WRITE); }

void sim_fence(void) {
    if (sim_exploring) {
        sim_explore_call(EXPLORE_FENCE, NULL);
        return;
    }
    if (sim_cpu_now->dummy)
        return;
    in_order()->clock += sim_session.costs.fence;
}

void machine_cpu_relax(void) {
    if (sim_exploring) {
        sim_explore_pc = __builtin_return_address(0);
        sim_explore_call(EXPLORE_PAUSE, NULL);
        return;
    }
    if (sim_cpu_now->dummy)
        return;
    struct sim_cpu *c = in_order();
    if (c->tx != NULL && sim_session.profile.htm.pause_aborts)
        sim_htm_abort(c, MACHINE_TX_BY_PAUSE);
    c->clock += sim_session.costs.pause;
}

/* ---- sleeping ------------------------------------------------------------------------------- */

struct sim_cpu *sim_syscall(void) {
    struct sim_cpu *c = sim_cpu_now;
    if (sim_exploring) {
        sim_explore_pc = __builtin_return_address(0);
        sim_explore_call(EXPLORE_BARRIER, NULL);
        return c;
    }
    if (c->dummy)
        return c;
    if (c->tx != NULL)
        sim_htm_abort(c, MACHINE_TX_BY_SYSCALL);
    c->clock += sim_session.costs.syscall;
    return in_order();
}

bool sim_sleep(const void *key, uint64_t timeout) {
    struct sim_cpu *c = sim_cpu_now;
    if (c->dummy) {
        if (timeout == UINT64_MAX)
            sim_fatal("setup or verification waits, and no thread runs that could wake it");
        return false;
    }
    struct sim_thread *self = c->running;
    self->state = SLEEPING;
    self->key = key;
    self->sleep++;
    self->timed_out = false;
    append(sleepers_of(key), self);
    if (timeout < UINT64_MAX / 2 - c->clock)
        timeout_add(c->clock + timeout, self);
    take_off(cpu_of(c));
    give_way(self);
    return !self->timed_out;
}

void sim_wake(const void *key, unsigned n) {
    struct queue *q = sleepers_of(key);
    struct sim_thread *before = NULL, *next;
    for (struct sim_thread *t = q->first; t != NULL && n > 0; t = next) {
        next = t->next;
        if (t->key != key) {
            before = t;
            continue;
        }
        take_out(q, before, t);
        make_ready(t, sim_cpu_now->clock);
        n--;
    }
}

void sim_yield(void) {
    struct sim_cpu *c = sim_syscall();
    if (c->dummy || cpu_of(c)->waiters == 0)
        return;
    struct sim_thread *self = c->running;
    take_off(cpu_of(c));
    enqueue(cpu_of(c), self);
    give_way(self);
}

unsigned sim_interrupt_others(uint64_t ticks) {
    unsigned n = 0;
    for (unsigned i = 0; i < sim_session.cpus; i++)
        if (sched.cpu[i].pub.running != NULL && &sched.cpu[i].pub != sim_cpu_now) {
            sim_htm_interrupt(&sched.cpu[i].pub);
            sched.cpu[i].stolen += ticks;
            n++;
        }
    return n;
}

/* ---- threads -------------------------------------------------------------------------------- */

/* The end of a thread; its stack is given back by who joins it. */
static _Noreturn void end_thread(struct sim_thread *self) {
    if (sim_cpu_now->tx != NULL) /* the end of a thread is a system call */
        sim_htm_abort(sim_cpu_now, MACHINE_TX_BY_SYSCALL);
    struct sim_cpu *c = in_order();
    if (host_cpu.clock < c->clock)
        host_cpu.clock = c->clock;
    take_off(cpu_of(c));
    self->state = ENDED;
    sched.alive--;
    sim_arena_detach(self->heap);
    struct cpu *cpu = cpu_of(c);
    sim_cpu_now = &host_cpu;
    const bool busy = find_work(cpu);
    if (self->joined) {
        if (busy)
            heap_insert(key_of(&cpu->pub));
        sim_fiber_switch(&self->fiber, &sched.host);
    }
    dispatch(busy ? cpu : NULL, &self->fiber);
    __builtin_unreachable();
}

static void thread_main(void *argument) {
    struct sim_thread *self = argument;
    self->fn(self->argument);
    end_thread(self);
}

/* The program's memory, once per simulation: what setup has touched has its pages already. */
static bool declare_regions(void) {
    extern char __data_start[], _end[];
    uintptr_t arena, stacks;
    size_t arena_bytes, stacks_bytes;
    struct sim_memory *m = sim_session.memory;
    sim_arena_area(&arena, &arena_bytes);
    if (!sim_fiber_area(&stacks, &stacks_bytes))
        return false;
    const size_t used = sim_arena_used();
    const uintptr_t data = (uintptr_t)__data_start & ~(uintptr_t)(SIM_PAGE - 1);
    const uintptr_t data_end = ((uintptr_t)_end + SIM_PAGE - 1) & ~(uintptr_t)(SIM_PAGE - 1);
    return sim_memory_region(m, data, data_end - data, true) &&
           (used == 0 || sim_memory_region(m, arena, used, true)) &&
           sim_memory_region(m, arena + used, arena_bytes - used, false) &&
           sim_memory_region(m, stacks, stacks_bytes, true) && sim_pages_declare(m);
}

struct sim_thread *sim_thread_create(unsigned index, void (*fn)(void *), void *argument) {
    if (!sched.regions && !(sched.regions = declare_regions())) {
        errno = ENOMEM;
        return NULL;
    }
    const unsigned stack =
        sched.free_stacks > 0 ? sched.free_stack[sched.free_stacks - 1] : sched.stacks;
    struct sim_thread *t = calloc(1, sizeof *t);
    if (t == NULL || !sim_fiber_create(&t->fiber, stack, thread_main, t)) {
        free(t);
        return NULL;
    }
    if (sched.free_stacks > 0)
        sched.free_stacks--;
    else
        sched.stacks++;
    t->fn = fn;
    t->argument = argument;
    t->stack = stack;
    t->heap = sim_arena_attach();
    sched.alive++;
    struct cpu *cpu = &sched.cpu[index % sim_session.cpus];
    if (cpu->pub.running != NULL) {
        enqueue(cpu, t);
        return t;
    }
    const uint64_t offset = sim_random_below(START_NS + 1);
    if (cpu->pub.clock < host_cpu.clock)
        cpu->pub.clock = host_cpu.clock;
    cpu->pub.clock += (uint64_t)((double)offset * sim_session.costs.ticks_per_ns);
    put_on(cpu, t);
    heap_insert(key_of(&cpu->pub));
    return t;
}

void sim_thread_join(struct sim_thread *thread) {
    if (thread->state != ENDED) {
        thread->joined = true;
        dispatch(NULL, &sched.host);
        sim_cpu_now = &host_cpu;
        enter_gs(host_cpu.gs);
    }
    sched.free_stack[sched.free_stacks++] = thread->stack;
    free(thread);
}

uint64_t sim_thread_cpu_ticks(void) {
    const struct sim_cpu *c = sim_cpu_now;
    return c->dummy ? 0 : c->running->cpu_ticks + (c->clock - c->running->since);
}

struct sim_fiber *sim_cpu_fiber(const struct sim_cpu *c) {
    return &c->running->fiber;
}

unsigned sim_cpu_heap(const struct sim_cpu *c) { return c->running->heap; }

void sim_steal(struct sim_cpu *c, uint64_t ticks) { cpu_of(c)->stolen += ticks; }

void sim_alarm(struct sim_cpu *c) { set_limits(cpu_of(c)); }

unsigned sim_thread_heap(void) { return sim_cpu_now->dummy ? 0 : sim_cpu_now->running->heap; }

/* ---- opening and closing -------------------------------------------------------------------- */

void sim_dummy_again(void) { sim_cpu_now = &host_cpu; }

void sim_start_gs(void) {
    fsgsbase = gs_has_fsgsbase();
    (void)write_gs(0); /* a native engine may have had it */
}

void sim_enter_gs(uintptr_t base) { enter_gs(base); }

struct sim_cpu *sim_sched_cpu(unsigned number) {
    return &sched.cpu[number].pub;
}

uint64_t sim_context_switches(void) { return sched.context_switches; }

bool sim_sched_open(void) {
    const struct sim_profile *p = &sim_session.profile;
    const unsigned n = sim_session.cpus, cores = n / p->smt;
    struct cpu *cpu = calloc(n, sizeof *cpu);
    heap_key *heap = calloc(n, sizeof *heap);
    if (cpu == NULL || heap == NULL) {
        free(cpu);
        free(heap);
        return false;
    }
    memset(&sched, 0, sizeof sched);
    sched.cpu = cpu;
    sched.heap = heap;
    sched.idle = n;
    host_cpu.clock = 0;
    sim_flow_reset();
    host_cpu.gs = 0;
    sim_start_gs();
    for (unsigned i = 0; i < n; i++) {
        cpu[i].pub.number = i;
        cpu[i].pub.alarm = UINT64_MAX;
        cpu[i].pub.port = sim_memory_port(sim_session.memory, i);
        cpu[i].pub.l1_latency = p->l1.latency_cycles * SIM_TICKS;
        cpu[i].pub.flow.last = &sim_no_load;
        cpu[i].pub.flow.window = (uint32_t)(p->reorder_instructions / p->ipc * SIM_TICKS);
        cpu[i].pub.flow.branch_miss = p->branch_miss_cycles * SIM_TICKS;
        cpu[i].pub.l1_ticks = (uint32_t)(p->l1.latency_cycles * (1 - p->overlap) * SIM_TICKS + 0.5);
        cpu[i].sibling = p->smt == 2 ? &cpu[(i + cores) % n] : NULL;
        cpu[i].tick = sim_session.costs.tick == 0
                          ? UINT64_MAX
                          : 1 + (uint64_t)((double)sim_random_below(1U << 31) / (1U << 31) *
                                           (double)sim_session.costs.tick);
        set_speed(&cpu[i]);
        set_interrupt(&cpu[i]);
    }
    return true;
}

void sim_sched_close(void) {
    free(sched.cpu);
    free(sched.heap);
    free(sched.timeout);
    sched.cpu = NULL;
    sched.heap = NULL;
    sched.timeout = NULL;
    host_cpu.clock = 0;
}
