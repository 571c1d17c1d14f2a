/*
 * memory.h - the simulated memory: address translation, private L1 and L2, shared L3 per group of
 * cores, directory coherence (MESI), and what each access costs.
 *
 * Time is in ticks, SIM_TICKS a cycle.  One host thread runs the whole simulation; nothing here is
 * thread-safe.  State changes are atomic: an access is made when its hardware thread has the
 * smallest clock, its latency is the time that passes for this thread.  Two accesses that want the
 * same line queue for it (the line is busy while it travels).
 *
 * Fast path (inline, sim_memory_hit): a per-thread filter of virtual lines that are in the own L1
 * with sufficient rights.  Invariant F: a filter entry with right r implies that its line is in
 * this core's L1 in a state that allows r; whoever takes a line away, downgrades or remaps it
 * clears the entry first (an L1 way knows the one filter entry of each SMT sibling that names it).
 */
#ifndef ALLCORES_SIM_MEMORY_H
#define ALLCORES_SIM_MEMORY_H

#include "profile.h"

enum { SIM_TICKS = 64 }; /* ticks a cycle */

enum sim_right { SIM_NONE, SIM_READ, SIM_WRITE };

enum { SIM_FILTER_SIZE = 1024 };

struct sim_filter_entry {
    uintptr_t line; /* virtual address >> line shift; meaningless when right is SIM_NONE */
    uint32_t right; /* enum sim_right */
    uint32_t way;   /* index of the L1 way */
};

struct sim_way; /* a line's place in a cache, memory.c */

struct sim_memory; /* all caches, the directory and the page table */

/* The part of a hardware thread that the memory owns. */
struct sim_port {
    struct sim_filter_entry filter[SIM_FILTER_SIZE];
    uint32_t *stamp;     /* replacement stamps of this core's L1 ways, shared by SMT siblings */
    uint32_t *stamp_now; /* this core's counter of L1 accesses */
    unsigned line_shift;
    unsigned thread; /* hardware thread number */
    /* Counters since sim_memory_create.  accesses: calls of sim_memory_access; invalidated: copies
     * that other cores have lost to this thread's writes. */
    uint64_t accesses, l1_misses, l2_misses, l3_misses, upgrades, transfers, invalidated,
        page_faults;
};

/* True when the access to the line of `address` hits the own L1 with the right; it is then done
 * (replacement state updated).  The caller charges the cost of an L1 hit. */
static inline bool sim_memory_hit(struct sim_port *p, uintptr_t address, enum sim_right right) {
    const uintptr_t line = address >> p->line_shift;
    const struct sim_filter_entry *e = &p->filter[line & (SIM_FILTER_SIZE - 1)];
    if (__builtin_expect(e->line == line && e->right >= (uint32_t)right, 1)) {
        p->stamp[e->way] = ++*p->stamp_now;
        return true;
    }
    return false;
}

/* NULL when memory is out.  Owned by the caller.  1 to 1024 hardware threads. */
struct sim_memory *sim_memory_create(const struct sim_profile *profile, uint64_t seed);
void sim_memory_destroy(struct sim_memory *m);

/* Owned by the memory. */
struct sim_port *sim_memory_port(struct sim_memory *m, unsigned thread);

/*
 * Would this access stay within the core's own L1 (a hit that the filter does not know, for example
 * after a filter collision)?  Then it needs no order.  Changes nothing but the filter.
 */
bool sim_memory_is_local(struct sim_memory *m, unsigned thread, uintptr_t address,
                         enum sim_right right);

/* Would this access stay within the core's own L1 and L2?  Then no other core can see it, and it
 * needs no order either.  Changes nothing. */
bool sim_memory_is_private(struct sim_memory *m, unsigned thread, uintptr_t address,
                           enum sim_right right);

/*
 * The access itself, one line (the caller splits what crosses a border).  `now`: ticks of the
 * thread's clock.  Returns the latency in ticks until the value is there (a load) or the line is
 * owned (a store), without any overlap taken off; *level says where it was found.
 */
enum sim_level { SIM_L1, SIM_L2, SIM_L3, SIM_TRANSFER, SIM_UPGRADE, SIM_DRAM };
uint64_t sim_memory_access(struct sim_memory *m, unsigned thread, uintptr_t address,
                           enum sim_right right, uint64_t now, enum sim_level *level);

/* ---- address translation ------------------------------------------------------------------- */

/*
 * Addresses inside of a region have frames: regions are declared by the machine (the arena, fiber
 * stacks, the program's data and bss, an engine's segments).  Frames are numbered in the order of
 * first touch, so that physical addresses do not depend on the host's address space.  An address
 * outside of every region always hits (constants, the harness's own memory).
 *
 * sim_memory_region: [start, start + bytes) has anonymous pages, each getting its frame on first
 * touch (counted as a page fault: sim_memory_access adds profile.page_fault_ns unless `resident`;
 * the fault clears the page, which leaves its lines in the L2 of the core).
 */
bool sim_memory_region(struct sim_memory *m, uintptr_t start, size_t bytes, bool resident);

/*
 * A region whose pages are names: on the first access to a page after the region was declared, or
 * after the page was forgotten, `resolve` says which frame it names.  Object 0: a new anonymous
 * frame; otherwise page `page` of that object, and two pages that name one frame share its lines.
 * `resident`: the first access costs no page fault.  `read_only`: the machine wants to see writes,
 * so these never hit by sim_memory_hit.
 */
struct sim_page_name {
    unsigned object;
    uint64_t page;
    bool resident;
    bool read_only; /* no filter entry of it has the right to write */
};
typedef struct sim_page_name sim_page_resolver(uintptr_t page_address);
bool sim_memory_region_of_names(struct sim_memory *m, uintptr_t start, size_t bytes,
                                sim_page_resolver *resolve);

/* The pages are forgotten by all hardware threads (munmap, mmap over them, MADV_DONTNEED): their
 * next touch resolves anew.  Anonymous frames are gone with their lines; those of objects stay.
 * Returns how many of the pages had been touched. */
size_t sim_memory_forget(struct sim_memory *m, uintptr_t start, size_t bytes);

/* Pages of an object are punched out: their frames are gone with their lines.  No page names them.
 * Returns how many frames there were. */
size_t sim_memory_drop(struct sim_memory *m, unsigned object, uint64_t first, uint64_t pages);

/* The pages are touched at once, all of a region of names, without a fault.  *entries: how many had
 * not been touched.  Returns how many of them were given new frames, which the thread clears. */
size_t sim_memory_populate(struct sim_memory *m, unsigned thread, uintptr_t start, size_t bytes,
                           size_t *entries);

/* Has the page of this address been touched? */
bool sim_memory_is_touched(struct sim_memory *m, uintptr_t address);
/* The same, or does it name one that exists? */
bool sim_memory_is_resident(struct sim_memory *m, uintptr_t address);
/* Frames of regions of names that exist. */
uint64_t sim_memory_named_frames(const struct sim_memory *m);

/* For tests: looks at all invariants, takes long.  NULL, or what is wrong. */
const char *sim_memory_check(const struct sim_memory *m);

/* ---- for later: hardware transactions hook in here ------------------------------------------ */

/* Called for every line that leaves a core's L1 (evicted, invalidated, downgraded), before it does.
 * `by`: the hardware thread whose access causes it; of the core itself when pages are forgotten.
 * NULL: nobody is interested. */
typedef void sim_line_event(void *context, unsigned core, uint64_t physical_line, unsigned by,
                            bool evicted, bool for_write);
void sim_memory_watch(struct sim_memory *m, sim_line_event *event, void *context);

#endif
