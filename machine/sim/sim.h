/*
 * sim.h - the simulated machine: hardware threads, software threads on fibers, and who runs next.
 *
 * One simulation at a time, on one host thread.  Engines and workloads are the same sources as
 * natively; gcc's hooks (__tsan_*, __sanitizer_cov_trace_pc, hooks.c) tell about each access before
 * it happens and about each basic block.  A hook runs on the fiber of the software thread whose
 * access it is; between the return of the hook and the program's own access nothing else runs.
 *
 * Order.  Each hardware thread has a clock (ticks).  What others could see - misses, upgrades,
 * atomics, fences, pause, calls of the operating system - happens strictly in the order of the
 * clocks (ties: by number).  A hit in the own L1 or L2 with sufficient rights may run ahead of the
 * others by at most lead_cycles.
 *
 *   c->clock <  c->horizon          a hit may go on        (horizon = next other clock + lead)
 *   c->clock <= c->turn             an ordered event may happen (turn = next other clock)
 *
 * Whoever makes another hardware thread runnable at a time before `turn` lowers both.
 *
 * Switching is by a policy (struct sim_policy): the default picks the smallest clock; schedule
 * exploration will put its own in its place and sees every ordered event.
 */
#ifndef ALLCORES_SIM_H
#define ALLCORES_SIM_H

#include "memory.h"

struct sim_thread; /* a software thread on its fiber */
struct sim_tx;     /* a hardware transaction, htm.c */

/*
 * What out-of-order execution can not hide: chains of loads whose addresses come from each other,
 * and branches that were predicted wrongly.  The clock says when instructions enter the processor.
 * A load is done its latency after it has entered and its address is known; its address comes from
 * an earlier load when it points close behind the value that this one has brought.  The clock waits
 * where a load would be done later than the instructions of the reorder window allow.
 */
enum { SIM_LOADS = 2, SIM_NEAR_BYTES = 4096 };
struct sim_flow {
    uint64_t value[SIM_LOADS]; /* what the last loads of 8 bytes have brought */
    uint64_t ready[SIM_LOADS]; /* when, ticks */
    const uint64_t *last;      /* the last of them, whose value is there when the next hook runs */
    uint64_t last_ready;       /* of the last load of any size */
    uint32_t slot;             /* of the last of them */
    uint32_t window;           /* ticks */
    uint32_t branch_miss;      /* ticks */
    uint32_t block;            /* the last one */
    uint32_t path;             /* hash of the last blocks */
};
extern const uint64_t sim_no_load; /* where `last` points when there was none */

/* The loaded values may be gone: pages change, or others run. */
#define sim_flow_cut(c) ((c)->flow.last = &sim_no_load)

/* A hardware thread. */
struct sim_cpu {
    uint64_t clock;   /* ticks */
    uint64_t horizon; /* hits go on below it */
    uint64_t turn;    /* ordered events happen at or below it */
    struct sim_port *port;
    uint32_t ticks_per_instruction; /* with the present number of busy SMT siblings */
    uint32_t l1_ticks;              /* what a hit costs, overlap taken off */
    uint32_t l1_latency;            /* until its value is there */
    unsigned number;
    bool dummy;   /* outside of a simulation (setup, constructors): nothing is modelled */
    uintptr_t gs; /* where %gs of the running thread begins */
    struct sim_flow flow;
    struct sim_thread *running;                /* NULL: idle */
    struct sim_tx *tx;                         /* the transaction that it is in, or NULL */
    uint64_t alarm;                            /* clock at which that aborts for no reason */
    uint64_t accesses, instructions, switches; /* counters since the machine was opened */
    /* scheduler's and operating system's own fields follow in sched.c's view of it */
};

/* gcc hands a hook the bare offset of a %gs access.  Below 2^SIM_GS_BITS no program that is
 * position-independent has an address, and engines have no larger offsets. */
enum { SIM_GS_BITS = 36 };

/* The hardware thread whose fiber runs now; never NULL (a dummy outside of a simulation). */
extern struct sim_cpu *sim_cpu_now;

/* Not yet its turn: switches to other fibers until clock <= turn.  Called before ordered events. */
void sim_order(struct sim_cpu *c);
/* A hit has reached the horizon: lets others catch up. */
void sim_catch_up(struct sim_cpu *c);

/*
 * Slow path of an access, which may cross lines (hooks.c calls it when sim_memory_hit says no):
 * orders it where needed, makes it, charges its cost.  Nothing on a dummy.
 *
 * Returns what of its latency was not charged, ticks: the time from the clock to the value.
 *
 * This, sim_order and sim_catch_up may give way to other fibers, and the software thread may go on
 * on another hardware thread: behind them `c` is stale, sim_cpu_now is right.
 */
uint64_t sim_access(struct sim_cpu *c, uintptr_t address, size_t bytes, enum sim_right right);

/* A locked operation on a naturally aligned word: ordered, with the right to write. */
void sim_locked(uintptr_t address, size_t bytes);
/* A full fence: ordered. */
void sim_fence(void);
/* `n` of the program's instructions that no block contains (library functions). */
static inline void sim_instructions(struct sim_cpu *c, uint64_t n) {
    c->instructions += n;
    c->clock += n * c->ticks_per_instruction;
}

/* ---- who runs next -------------------------------------------------------------------------- */

/*
 * Asked before every ordered event and every hit: which of the `n` runnable hardware threads goes
 * on?  They are in the order of their clocks; returns an index below n.  A thread that goes on
 * behind its time has its clock set forward to that of the event before.
 */
struct sim_policy {
    size_t (*choose)(void *context, struct sim_cpu *const *runnable, size_t n);
    void *context;
};
/* NULL: the smallest clock (the default).  Between two simulations; not copied. */
void sim_set_policy(const struct sim_policy *policy);

/* ---- aborts on request ---------------------------------------------------------------------- */

/*
 * Asked at every begin, access and commit of a hardware transaction, before it is made: shall the
 * transaction abort here?  True: with *status, any set of RTM's bits, 0 included (machine.h);
 * MACHINE_TX_NESTED is set as it is true.  Costs no simulated time, but the transaction's accesses
 * are slower on the host.
 */
enum sim_tx_point { SIM_TX_BEGIN, SIM_TX_READ, SIM_TX_WRITE, SIM_TX_END };
struct sim_tx_injector {
    bool (*ask)(void *context, const struct sim_cpu *c, enum sim_tx_point point, uintptr_t address,
                unsigned *status);
    void *context;
};
/* NULL: nothing is injected (the default).  Between two simulations; not copied. */
void sim_tx_inject(const struct sim_tx_injector *injector);

#endif
