/*
 * machine.c - the simulated machine as engines, workloads and the harness see it: machine.h on top
 * of the scheduler (sched.c), the memory (memory.c), and the profile (profile.c).
 *
 * Between open and close there is one simulation; everything that it depends on is the profile, the
 * seed, the program, and what the harness asks for.  The host's clock is never read.
 */
#include "block.h"
#include "htm.h"
#include "internal.h"

#include "plugin.h"

#include <string.h>

/* Reading the clock: a call into the vDSO, RDTSC and the conversion. */
enum { CLOCK_INSTRUCTIONS = 40 };

/* ---- time ----------------------------------------------------------------------------------- */

static uint64_t ns_of(uint64_t ticks) {
    return sim_session.open ? (uint64_t)((double)ticks / sim_session.costs.ticks_per_ns) : 0;
}

static uint64_t ticks_of(uint64_t ns) {
    return (uint64_t)((double)ns * sim_session.costs.ticks_per_ns + 0.5);
}

uint64_t machine_now_ns(void) {
    if (sim_exploring)
        return sim_explore_now_ns();
    struct sim_cpu *c = sim_cpu_now;
    sim_instructions(c, CLOCK_INSTRUCTIONS);
    return ns_of(c->clock);
}

static uint64_t cpu_ns(void) { return ns_of(sim_thread_cpu_ticks()); }

/* ---- waiting -------------------------------------------------------------------------------- */

bool machine_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns) {
    if (sim_exploring) {
        sim_explore_pc = __builtin_return_address(0);
        sim_explore_call(EXPLORE_WAIT, (const void *)word);
        return atomic_load_explicit(word, memory_order_relaxed) != expected ||
               sim_explore_sleep((const void *)word, timeout_ns);
    }
    (void)sim_syscall();
    /* The kernel looks at the word; from there to the sleep nothing else runs. */
    sim_access(sim_cpu_now, (uintptr_t)word, sizeof *word, SIM_READ);
    if (atomic_load_explicit(word, memory_order_relaxed) != expected)
        return true;
    return sim_sleep((const void *)word,
                     timeout_ns < UINT64_MAX / 1024 ? ticks_of(timeout_ns) : UINT64_MAX);
}

void machine_wake(_Atomic uint32_t *word, unsigned n) {
    if (sim_exploring) {
        sim_explore_pc = __builtin_return_address(0);
        sim_explore_call(EXPLORE_WAKE, (const void *)word);
        sim_explore_wake((const void *)word, n);
        return;
    }
    (void)sim_syscall();
    sim_wake((const void *)word, n);
}

void machine_yield(void) {
    if (sim_exploring)
        machine_cpu_relax();
    else
        sim_yield();
}

unsigned machine_batch(unsigned usual) { return sim_exploring ? 1 : usual; }

/* membarrier(2) interrupts every processor that runs a thread of the process, and waits for them.
 */
void machine_heavy_barrier(void) {
    if (sim_exploring) {
        sim_explore_pc = __builtin_return_address(0);
        sim_explore_call(EXPLORE_BARRIER, NULL);
        return;
    }
    struct sim_cpu *c = sim_syscall();
    if (!c->dummy && sim_interrupt_others(sim_session.costs.syscall) > 0)
        c->clock += sim_session.costs.context_switch;
}

/* ---- the machine as the harness sees it ----------------------------------------------------- */

static const char *unavailable(void) { return NULL; }

static unsigned max_threads(void) { return 1024; }

static void set_costs(void) {
    const struct sim_profile *p = &sim_session.profile;
    struct sim_costs *costs = &sim_session.costs;
    costs->ticks_per_ns = SIM_TICKS * p->clock_ghz;
    costs->lead = (uint64_t)p->lead_cycles * SIM_TICKS;
    costs->atomic = (uint64_t)p->atomic_cycles * SIM_TICKS;
    costs->fence = (uint64_t)p->fence_cycles * SIM_TICKS;
    costs->pause = (uint64_t)p->pause_cycles * SIM_TICKS;
    costs->syscall = ticks_of(p->syscall_ns);
    costs->context_switch = ticks_of(p->context_switch_ns);
    costs->wake = ticks_of(p->wake_ns);
    costs->wake_deep = ticks_of(p->wake_deep_ns);
    costs->deep_idle = ticks_of(p->deep_idle_ns);
    costs->slice = ticks_of(p->time_slice_ns);
    costs->tick = ticks_of(p->tick_ns);
    costs->tick_cost = ticks_of(p->tick_cost_ns);
    costs->page_fault = ticks_of(p->page_fault_ns);
    costs->map_page = ticks_of(p->map_page_ns);
}

static void close_machine(void) {
    sim_htm_close();
    sim_sched_close();
    if (sim_session.memory != NULL)
        sim_memory_destroy(sim_session.memory);
    sim_session = (struct sim_session){0};
    sim_pages_reset();
    sim_pipe_reset();
    sim_arena_reset();
    sim_fiber_reset();
}

static bool describe(const char *profile, const char *const *overrides, size_t override_count,
                     struct machine_description *description, char *why, size_t why_size) {
    struct sim_profile p;
    if (!sim_profile_load(profile, overrides, override_count, &p, why, why_size))
        return false;
    *description = (struct machine_description){.hypothetical = p.hypothetical,
                                                .hardware_threads = sim_profile_threads(&p)};
    _Static_assert(sizeof description->title == sizeof p.title, "titles are copied whole");
    memcpy(description->title, p.title, sizeof p.title);
    if (!p.htm.present)
        snprintf(description->htm_unavailable, sizeof description->htm_unavailable,
                 "%s has no hardware transactions", p.name);
    return true;
}

static bool open_machine(const char *profile, const char *const *overrides, size_t override_count,
                         uint64_t seed, char *why, size_t why_size) {
    sim_session = (struct sim_session){0};
    struct sim_profile *p = &sim_session.profile;
    if (!sim_profile_load(profile, overrides, override_count, p, why, why_size))
        return false;
    sim_session.cpus = sim_profile_threads(p);
    set_costs();
    sim_session.random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int i = 0; i < 8; i++) /* small seeds have few bits */
        (void)sim_random();
    if (!sim_arena_open() || !sim_block_open()) {
        snprintf(why, why_size,
                 "the simulated machine cannot have its memory: out of memory, or "
                 "its addresses are taken");
        return false;
    }
    sim_session.memory = sim_memory_create(p, seed);
    if (sim_session.memory == NULL || !sim_sched_open() || !sim_htm_open()) {
        snprintf(why, why_size, "out of memory: %u simulated hardware threads", sim_session.cpus);
        close_machine();
        return false;
    }
    sim_session.open = true;
    return true;
}

static struct machine_thread *spawn(unsigned index, void (*fn)(void *), void *argument) {
    if (!sim_session.open)
        sim_fatal("a thread is started before the machine was opened with a profile");
    return (struct machine_thread *)sim_thread_create(index, fn, argument);
}

static void join(struct machine_thread *thread) { sim_thread_join((struct sim_thread *)thread); }

static uint64_t resident_bytes(void) {
    return sim_arena_used() + sim_memory_named_frames(sim_session.memory) * SIM_PAGE;
}

static void counters(struct machine_counters *sum) {
    *sum = (struct machine_counters){.context_switches = sim_context_switches()};
    for (unsigned i = 0; i < sim_session.cpus; i++) {
        const struct sim_cpu *c = sim_sched_cpu(i);
        const struct sim_port *p = c->port;
        sum->accesses += c->accesses;
        sum->instructions += c->instructions;
        sum->switches += c->switches;
        sum->l1_misses += p->l1_misses;
        sum->l2_misses += p->l2_misses;
        sum->l3_misses += p->l3_misses;
        sum->upgrades += p->upgrades;
        sum->transfers += p->transfers;
        sum->page_faults += p->page_faults;
    }
    sim_htm_counters(sum);
}

static void before_access(const volatile void *address, size_t bytes, bool write) {
    sim_access(sim_cpu_now, (uintptr_t)address, bytes, write ? SIM_WRITE : SIM_READ);
}

static void abort_with_1(void) { machine_tx_abort(1); }

static const struct machine_transactions transactions = {
    .begin = machine_tx_begin,
    .end = machine_tx_end,
    .abort = abort_with_1,
    .access = before_access,
    .alloc = machine_alloc,
    .free = machine_free,
};

static const struct machine sim = {
    .name = "sim",
    .help = "a simulated computer (sim:PROFILE): any number of cores, virtual time, deterministic",
    .unavailable = unavailable,
    .max_threads = max_threads,
    .spawn = spawn,
    .join = join,
    .now_ns = machine_now_ns,
    .cpu_ns = cpu_ns,
    .wait = machine_wait,
    .wake = machine_wake,
    .htm_unavailable = machine_tx_unavailable,
    .transactions = &transactions,
    .simulated = true,
    .profiles = sim_profile_names,
    .describe = describe,
    .open = open_machine,
    .close = close_machine,
    .resident_bytes = resident_bytes,
    .counters = counters,
    .explorer = &sim_explorer,
};
TM_REGISTER(tm_machines, struct machine, sim);
