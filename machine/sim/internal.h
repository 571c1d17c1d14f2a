/*
 * internal.h - what the parts of the simulated machine share beside sim.h: fibers, the arena, the
 * life of a simulation, and sleeping.  Nothing outside of machine/sim includes it.
 *
 * Thread-safety: none (one host thread simulates).
 */
#ifndef ALLCORES_SIM_INTERNAL_H
#define ALLCORES_SIM_INTERNAL_H

#define TM_SIMULATED /* machine_cpu_relax is a function of this machine */
#include "explore.h"
#include "machine.h"
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

/* The simulation cannot go on: one line, and the process fails.  The state of the program is lost,
 * because its threads' stacks are abandoned. */
#define sim_fatal(...)                                                                             \
    do {                                                                                           \
        fflush(stdout);                                                                            \
        fprintf(stderr, "allcores: simulated machine: " __VA_ARGS__);                              \
        fputc('\n', stderr);                                                                       \
        exit(EXIT_FAILURE);                                                                        \
    } while (0)

/* Nothing has been predicted yet (hooks.c). */
void sim_flow_reset(void);

/* ---- fibers (fiber.c) ----------------------------------------------------------------------- */

enum { SIM_STACK_BYTES = 1 << 20, SIM_STACKS = 4096, SIM_PAGE = 4096 };

/* Assembly: what the System V x86-64 ABI calls callee-saved goes to the stack, and comes back from
 * there: rbp, rbx, r12 to r15, and the control words of SSE and x87. */
#define SIM_SAVE_REGISTERS                                                                         \
    "    pushq %rbp\n"                                                                             \
    "    pushq %rbx\n"                                                                             \
    "    pushq %r12\n"                                                                             \
    "    pushq %r13\n"                                                                             \
    "    pushq %r14\n"                                                                             \
    "    pushq %r15\n"                                                                             \
    "    subq $8, %rsp\n"                                                                          \
    "    stmxcsr (%rsp)\n"                                                                         \
    "    fnstcw 4(%rsp)\n"
#define SIM_RESTORE_REGISTERS                                                                      \
    "    ldmxcsr (%rsp)\n"                                                                         \
    "    fldcw 4(%rsp)\n"                                                                          \
    "    addq $8, %rsp\n"                                                                          \
    "    popq %r15\n"                                                                              \
    "    popq %r14\n"                                                                              \
    "    popq %r13\n"                                                                              \
    "    popq %r12\n"                                                                              \
    "    popq %rbx\n"                                                                              \
    "    popq %rbp\n"

/* A stack and, while the fiber does not run, where it goes on. */
struct sim_fiber {
    void *sp;         /* saved stack pointer; the callee-saved registers lie there */
    uint64_t returns; /* what the call at which it was left returns, if that is looked at */
    char *low, *high; /* bounds of the stack, without its guard page; NULL: the host's own */
};

/* Stack number `index` for a fiber that will run fn(argument); fn never returns.  False and errno
 * when memory is out. */
bool sim_fiber_create(struct sim_fiber *fiber, unsigned index, void (*fn)(void *), void *argument);
/* Saves the running fiber in `from` and goes on with `to`. */
void sim_fiber_switch(struct sim_fiber *from, const struct sim_fiber *to);
/* Far from where Linux puts programs, libraries and its own stacks. */
#define SIM_STACKS_START UINT64_C(0x300000000000)
/* Does the address lie in a stack? */
static inline bool sim_fiber_in_stacks(uintptr_t address) {
    return address - SIM_STACKS_START < (uintptr_t)SIM_STACKS * SIM_STACK_BYTES;
}
/* The stacks' contents are forgotten; no fiber is alive. */
void sim_fiber_reset(void);
/* Where stacks lie: [*start, *start + *bytes).  False and errno when they cannot be had. */
bool sim_fiber_area(uintptr_t *start, size_t *bytes);

/* ---- the arena (arena.c) -------------------------------------------------------------------- */

/* False when the address space is taken. */
bool sim_arena_open(void);
/* Empties it, of whatever was not freed too. */
void sim_arena_reset(void);
void sim_arena_area(uintptr_t *start, size_t *bytes);
/* From its start, what was ever in use since the last reset, in bytes. */
size_t sim_arena_used(void);

/* The object of machine_alloc goes back to the lists of heap `number`; free of charge. */
void sim_arena_give_back(void *p, unsigned number);

/* A thread's own free lists; 0 belongs to the host's thread (setup and verification). */
unsigned sim_arena_attach(void);
void sim_arena_detach(unsigned heap);

/* ---- pages (pages.c) ------------------------------------------------------------------------ */

/* Reservations lie here. */
#define SIM_PAGES UINT64_C(0x400000000000)
#define SIM_PAGES_BYTES (UINT64_C(16) << 40)

static inline bool sim_pages_has(uintptr_t address) {
    return address - SIM_PAGES < SIM_PAGES_BYTES;
}
/* Does the page of this address, which lies there, allow the access? */
bool sim_pages_allow(uintptr_t address, enum sim_right right);
/* It does not: charges the fault and calls the program's handler.  The access is tried again when
 * this returns, perhaps on another hardware thread; the handler may also leave by a jump. */
void sim_pages_fault(uintptr_t address, enum sim_right right);
/* One number for all addresses of the same byte, which lies there; 0: its page is not accessible.
 */
uint64_t sim_pages_byte(uintptr_t address);
/* False: too many regions. */
bool sim_pages_declare(struct sim_memory *m);
/* All reservations and objects are gone. */
void sim_pages_reset(void);

/* ---- pipes (pipe.c) ------------------------------------------------------------------------- */

/* Forgets all of them; the arena takes back their memory. */
void sim_pipe_reset(void);

/* ---- the simulation (sched.c) --------------------------------------------------------------- */

/* What the profile says, in ticks. */
struct sim_costs {
    double ticks_per_ns;
    uint64_t lead, atomic, fence, pause;
    uint64_t syscall, context_switch, wake, wake_deep, deep_idle, slice, tick, tick_cost;
    uint64_t page_fault, map_page;
};

struct sim_session {
    bool open;
    struct sim_profile profile;
    struct sim_costs costs;
    struct sim_memory *memory;
    unsigned cpus;   /* hardware threads */
    uint64_t random; /* xorshift64* state of the seed: offsets, jitter */
};
extern struct sim_session sim_session;

/* False when memory is out. */
bool sim_sched_open(void);
void sim_sched_close(void);
struct sim_cpu *sim_sched_cpu(unsigned number);
uint64_t sim_context_switches(void);

/* NULL and errno on failure. */
struct sim_thread *sim_thread_create(unsigned index, void (*fn)(void *), void *argument);
void sim_thread_join(struct sim_thread *thread);
uint64_t sim_thread_cpu_ticks(void); /* of the running one; 0 on the host */
unsigned sim_thread_heap(void);      /* number of its heap; 0 on the host */

/* Of the thread that the hardware thread runs: its fiber, the number of its heap. */
struct sim_fiber *sim_cpu_fiber(const struct sim_cpu *c);
unsigned sim_cpu_heap(const struct sim_cpu *c);
/* The hardware thread, which is not the running one, has lost so many ticks when it goes on. */
void sim_steal(struct sim_cpu *c, uint64_t ticks);
/* `alarm` of the running one has changed. */
void sim_alarm(struct sim_cpu *c);
/* %gs of the thread that the hardware thread runs begins at `base` again. */
void sim_restore_gs(struct sim_cpu *c, uintptr_t base);
/* %gs of the running thread (or the host) begins at `base`, on the host too.  False: the host
 * cannot. */
bool sim_set_gs(uintptr_t base);

/* The running thread sleeps until sim_wake(key) or `timeout` ticks have passed (UINT64_MAX: for
 * ever).  False when the time ran out. */
bool sim_sleep(const void *key, uint64_t timeout);
/* Wakes up to `n` of those that sleep on `key`, the first first. */
void sim_wake(const void *key, unsigned n);
/* A call of the operating system begins: its cost, and its place in the order.  Returns the
 * hardware thread. */
struct sim_cpu *sim_syscall(void);
void sim_yield(void);
/* Every other hardware thread that runs something is interrupted for `ticks`.  Returns how many. */
unsigned sim_interrupt_others(uint64_t ticks);

/* The host's thread is the dummy again: behind exploration. */
void sim_dummy_again(void);
/* What exploration needs of %gs: the host's is 0; that of the thread that goes on. */
void sim_start_gs(void);
void sim_enter_gs(uintptr_t base);

/* ---- schedule exploration (explore.c) ------------------------------------------------------- */

/* While this is set, the functions below stand in for the scheduler, the caches and the arena. */
extern bool sim_exploring;
/* Behind the instruction whose hook runs; kept on slow paths only. */
extern const void *sim_explore_pc;
extern const struct machine_explorer sim_explorer;

void sim_explore_access(uintptr_t address, size_t bytes, enum sim_right right);
void sim_explore_locked(uintptr_t address);
/* A fence, a pause or a call of the system; `key`: the word that it is about, or NULL. */
void sim_explore_call(enum explore_kind kind, const void *key);
bool sim_explore_sleep(const void *key, uint64_t timeout_ns);
void sim_explore_wake(const void *key, unsigned n);
uint64_t sim_explore_now_ns(void);
/* An access that its page does not allow, and that no handler has made possible: ends the run. */
_Noreturn void sim_explore_refused(uintptr_t address, enum sim_right right);
/* htm.c: gives the stack its bytes back, from `sp` upward, and returns `status` from the
 * machine_tx_begin that was called there. */
_Noreturn void sim_tx_leave(void *sp, const void *copy, size_t bytes, unsigned status);
/* machine_tx_*: as sim_tx_start and the functions behind it in htm.c. */
unsigned sim_explore_tx_begin(char *sp);
void sim_explore_tx_end(void);
void sim_explore_tx_abort(unsigned code);
bool sim_explore_tx_test(void);
void *sim_explore_alloc(size_t bytes, size_t align, const void *pc);
void sim_explore_free(void *p);

static inline uint64_t sim_random(void) {
    uint64_t x = sim_session.random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    sim_session.random = x;
    return x * UINT64_C(2685821657736338717);
}
/* Uniform over 0 .. n-1, 0 < n <= 2^32. */
static inline uint64_t sim_random_below(uint64_t n) { return ((sim_random() >> 32) * n) >> 32; }

#endif
