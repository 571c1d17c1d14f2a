/*
 * test_sim_memory.c - the simulated memory: sequences worked out by hand, and random accesses of
 * many threads compared with a second, naive model of the same rules (lists instead of sets, tags
 * and bit sets; nothing is found but by searching).
 *
 * `test_sim_memory --bench` prints what accesses cost in host time instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "sim/memory.h"

enum { T = SIM_TICKS, LINE = 64, PAGE = 4096 };
#define BASE ((uintptr_t)0x10000000)

/* Every level and every distance has a latency of its own. */
static struct sim_profile profile_of(unsigned sockets, unsigned groups, unsigned cores,
                                     unsigned smt) {
    return (struct sim_profile){
        .name = "test",
        .sockets = sockets,
        .groups_per_socket = groups,
        .cores_per_group = cores,
        .smt = smt,
        .clock_ghz = 2,
        .line_bytes = LINE,
        .l1 = {32 << 10, 8, 4, SIM_LRU},
        .l2 = {256 << 10, 8, 12, SIM_LRU},
        .l3 = {2 << 20, 16, 42, SIM_LRU},
        .dram_cycles = 246,
        .upgrade_cycles = 50,
        .transfer_group_cycles = 60,
        .transfer_socket_cycles = 150,
        .transfer_remote_cycles = 300,
        .page_bytes = PAGE,
        .page_fault_ns = 500,
    };
}

static struct sim_memory *memory_of(struct sim_profile p) {
    struct sim_memory *m = sim_memory_create(&p, 1);
    assert_non_null(m);
    return m;
}

static struct sim_memory *with_region(struct sim_profile p, size_t bytes) {
    struct sim_memory *m = memory_of(p);
    assert_true(sim_memory_region(m, BASE, bytes, true));
    return m;
}

static void end(struct sim_memory *m) {
    const char *wrong = sim_memory_check(m);
    if (wrong != NULL)
        fail_msg("%s", wrong);
    sim_memory_destroy(m);
}

/* One page holds it all: places in the caches follow from the addresses, whatever is touched first.
 */
static struct sim_memory *with_a_large_page(struct sim_profile p) {
    p.page_bytes = 16 << 20;
    return with_region(p, 16 << 20);
}

/* Far apart, so that nothing queues. */
static uint64_t clock_now;
static enum sim_level last_level;

static uint64_t at(struct sim_memory *m, unsigned thread, uintptr_t address, enum sim_right right,
                   uint64_t now) {
    return sim_memory_access(m, thread, address, right, now, &last_level);
}

#define EXPECT(m, thread, address, right, cycles, level)                                           \
    do {                                                                                           \
        clock_now += 1000000;                                                                      \
        assert_int_equal(at(m, thread, address, right, clock_now), (uint64_t)(cycles)*T);          \
        assert_int_equal(last_level, level);                                                       \
    } while (0)

static bool hits(struct sim_memory *m, unsigned thread, uintptr_t address, enum sim_right right) {
    return sim_memory_hit(sim_memory_port(m, thread), address, right);
}

static uint64_t next(uint64_t *s) {
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s >> 11;
}

/* ---- one core ------------------------------------------------------------------------------ */

static void each_level_answers_after_a_miss(void **state) {
    (void)state;
    struct sim_memory *m = with_a_large_page(profile_of(1, 1, 1, 1));
    EXPECT(m, 0, BASE, SIM_READ, 246, SIM_DRAM);
    assert_true(hits(m, 0, BASE + 63, SIM_READ));
    assert_false(hits(m, 0, BASE + 64, SIM_READ));
    EXPECT(m, 0, BASE, SIM_READ, 4, SIM_L1);
    /* 8 more lines of its L1 set (64 sets), which lie in two sets of the L2. */
    for (uintptr_t i = 1; i <= 8; i++)
        EXPECT(m, 0, BASE + i * 64 * LINE, SIM_READ, 246, SIM_DRAM);
    assert_false(hits(m, 0, BASE, SIM_READ));
    EXPECT(m, 0, BASE, SIM_READ, 12, SIM_L2);
    /* With the 8th of those, 9 more of its L2 set (512 sets), which push it out of its L1 set too.
     */
    for (uintptr_t i = 2; i <= 9; i++)
        EXPECT(m, 0, BASE + i * 512 * LINE, SIM_READ, 246, SIM_DRAM);
    EXPECT(m, 0, BASE, SIM_READ, 42, SIM_L3);
    /* 16 more lines of its L3 set (2048 sets); two are there already. */
    for (uintptr_t i = 1; i <= 18; i++)
        at(m, 0, BASE + i * 2048 * LINE, SIM_READ, clock_now += 1000000);
    EXPECT(m, 0, BASE, SIM_READ, 246, SIM_DRAM);
    const struct sim_port *p = sim_memory_port(m, 0);
    assert_int_equal(p->page_faults, 0);
    assert_int_equal(p->transfers + p->upgrades + p->invalidated, 0);
    assert_true(p->accesses > p->l1_misses && p->l1_misses > p->l2_misses &&
                p->l2_misses > p->l3_misses);
    end(m);
}

static void lru_evicts_exactly_the_oldest_of_a_set(void **state) {
    (void)state;
    struct sim_memory *m = with_a_large_page(profile_of(1, 1, 1, 1));
    const uintptr_t step = 64 * LINE;
    for (uintptr_t i = 0; i < 8; i++)
        at(m, 0, BASE + i * step, SIM_READ, 0);
    for (uintptr_t i = 0; i < 8; i++) /* all eight fit; uses 0 last, by the filter */
        assert_true(hits(m, 0, BASE + (7 - i) * step, SIM_READ));
    at(m, 0, BASE + 8 * step, SIM_READ, 0); /* 7 is the oldest */
    assert_false(hits(m, 0, BASE + 7 * step, SIM_READ));
    for (uintptr_t i = 0; i < 7; i++)
        assert_true(hits(m, 0, BASE + i * step, SIM_READ)); /* now 8 is the oldest */
    at(m, 0, BASE + 9 * step, SIM_READ, 0);
    assert_false(hits(m, 0, BASE + 8 * step, SIM_READ));
    assert_true(hits(m, 0, BASE, SIM_READ));
    assert_true(hits(m, 0, BASE + 9 * step, SIM_READ));
    end(m);
}

/* A tree of bits, as the hardware has it, beside the model, which has none. */
static void tree_plru_is_that_of_a_tree_of_bits(void **state) {
    (void)state;
    struct sim_profile p = profile_of(1, 1, 1, 1);
    p.l1.replacement = SIM_TREE_PLRU;
    struct sim_memory *m = with_a_large_page(p);
    enum { WAYS = 8, LINES = 12 };
    unsigned in_way[WAYS],
        bits[WAYS] = {0}; /* node 1 is the root; 1: the victim is in the upper half */
    int way_of[LINES];
    for (unsigned i = 0; i < LINES; i++)
        way_of[i] = -1;
    unsigned filled = 0, evictions = 0, not_lru = 0;
    unsigned last_use[LINES] = {0};
    uint64_t random = 12345;
    for (unsigned n = 1; n <= 20000; n++) {
        const unsigned line = (unsigned)(next(&random) % LINES);
        const uintptr_t address = BASE + line * (uintptr_t)(64 * LINE);
        const bool hit = hits(m, 0, address, SIM_READ);
        assert_int_equal(hit, way_of[line] >= 0);
        if (!hit) {
            at(m, 0, address, SIM_READ, 0);
            unsigned way = filled;
            if (filled < WAYS) {
                filled++;
            } else {
                unsigned node = 1;
                while (node < WAYS)
                    node = 2 * node + bits[node];
                way = node - WAYS;
                evictions++;
                for (unsigned w = 0; w < WAYS; w++)
                    if (last_use[in_way[w]] < last_use[in_way[way]]) {
                        not_lru++;
                        break;
                    }
                way_of[in_way[way]] = -1;
            }
            in_way[way] = line;
            way_of[line] = (int)way;
        }
        last_use[line] = n;
        for (unsigned node = (unsigned)way_of[line] + WAYS; node > 1; node /= 2)
            bits[node / 2] = (node & 1) == 0;
    }
    assert_true(evictions > 1000 && not_lru > 100);
    end(m);
}

static void random_replacement_depends_on_the_seed_only(void **state) {
    (void)state;
    struct sim_profile p = profile_of(1, 1, 1, 1);
    p.l1.replacement = SIM_RANDOM;
    uint64_t sum[3];
    for (unsigned run = 0; run < 3; run++) {
        struct sim_memory *m = sim_memory_create(&p, run < 2 ? 7 : 8);
        assert_non_null(m);
        assert_true(sim_memory_region(m, BASE, 64 << 20, true));
        sum[run] = 0;
        uint64_t random = 99;
        for (unsigned n = 0; n < 5000; n++) {
            const uintptr_t address = BASE + next(&random) % 12 * (64 * LINE);
            sum[run] = sum[run] * 31 + at(m, 0, address, SIM_READ, 0);
        }
        end(m);
    }
    assert_true(sum[0] == sum[1]);
    assert_true(sum[0] != sum[2]);
}

/* Chasing a chain round and round: what does not fit a level with LRU misses there always. */
static void latency_follows_the_footprint(void **state) {
    (void)state;
    static const struct {
        size_t bytes;
        unsigned cycles;
    } footprint[] = {{16 << 10, 4},   {32 << 10, 4}, {64 << 10, 12}, {256 << 10, 12},
                     {512 << 10, 42}, {2 << 20, 42}, {4 << 20, 246}};
    struct sim_profile p = profile_of(1, 1, 1, 1);
    for (size_t f = 0; f < sizeof footprint / sizeof *footprint; f++) {
        struct sim_memory *m = with_region(p, 64 << 20);
        uint64_t sum = 0;
        const size_t lines = footprint[f].bytes / LINE;
        for (unsigned round = 0; round < 3; round++) {
            sum = 0;
            for (size_t i = 0; i < lines; i++)
                sum += hits(m, 0, BASE + i * LINE, SIM_READ)
                           ? (uint64_t)p.l1.latency_cycles * T
                           : at(m, 0, BASE + i * LINE, SIM_READ, clock_now += 1000000);
        }
        assert_int_equal(sum / lines, footprint[f].cycles * T);
        end(m);
    }
}

static void the_l2_spares_what_is_in_the_l1(void **state) {
    (void)state;
    struct sim_memory *m = with_a_large_page(profile_of(1, 1, 1, 1));
    at(m, 0, BASE, SIM_WRITE, 0);
    for (uintptr_t i = 1; i <= 60; i++) {         /* the same L1 set and L2 set */
        EXPECT(m, 0, BASE, SIM_WRITE, 4, SIM_L1); /* which the L2 does not see */
        at(m, 0, BASE + i * 512 * LINE, SIM_READ, 0);
    }
    EXPECT(m, 0, BASE, SIM_WRITE, 4, SIM_L1);
    end(m);
}

static void a_line_that_leaves_the_l3_leaves_its_cores(void **state) {
    (void)state;
    struct sim_memory *m = with_a_large_page(profile_of(1, 1, 2, 1));
    at(m, 0, BASE, SIM_WRITE, 0);
    for (uintptr_t i = 1; i < 16; i++) {
        at(m, 1, BASE + i * 2048 * LINE, SIM_READ, 0);
        assert_true(hits(m, 0, BASE, SIM_WRITE)); /* which the L3 does not see */
    }
    at(m, 1, BASE + 16 * 2048 * LINE, SIM_READ, 0);
    assert_false(hits(m, 0, BASE, SIM_READ));
    EXPECT(m, 0, BASE, SIM_READ, 246, SIM_DRAM);
    end(m);
}

/* ---- several cores ------------------------------------------------------------------------- */

/* 2 sockets of 2 groups of 2 cores. */
enum { OWN = 0, GROUP = 1, SOCKET = 2, REMOTE = 4 };

static void transfers_cost_their_distance(void **state) {
    (void)state;
    static const struct {
        unsigned other, cycles;
    } distance[] = {{GROUP, 60}, {SOCKET, 150}, {REMOTE, 300}, {REMOTE + 3, 300}};
    for (size_t i = 0; i < sizeof distance / sizeof *distance; i++) {
        const unsigned other = distance[i].other, cycles = distance[i].cycles;
        struct sim_memory *m = with_region(profile_of(2, 2, 2, 1), 1 << 20);
        EXPECT(m, OWN, BASE, SIM_WRITE, 246, SIM_DRAM);
        EXPECT(m, other, BASE, SIM_WRITE, cycles, SIM_TRANSFER);
        assert_false(hits(m, OWN, BASE, SIM_READ));
        EXPECT(m, OWN, BASE, SIM_READ, cycles, SIM_TRANSFER); /* both share it now */
        assert_true(hits(m, other, BASE, SIM_READ));
        assert_false(hits(m, other, BASE, SIM_WRITE));
        assert_false(hits(m, OWN, BASE, SIM_WRITE));
        EXPECT(m, OWN, BASE, SIM_WRITE, other == GROUP ? 50 : cycles, SIM_UPGRADE);
        assert_false(hits(m, other, BASE, SIM_READ));
        assert_int_equal(sim_memory_port(m, OWN)->transfers, 1);
        assert_int_equal(sim_memory_port(m, OWN)->upgrades, 1);
        assert_int_equal(sim_memory_port(m, OWN)->invalidated, 1);
        end(m);
    }
}

static void a_read_alone_may_write_a_shared_one_may_not(void **state) {
    (void)state;
    struct sim_memory *m = with_region(profile_of(1, 1, 2, 1), 1 << 20);
    EXPECT(m, 0, BASE, SIM_READ, 246, SIM_DRAM);
    assert_true(hits(m, 0, BASE, SIM_WRITE)); /* exclusive */
    EXPECT(m, 1, BASE, SIM_READ, 60, SIM_TRANSFER);
    assert_true(hits(m, 0, BASE, SIM_READ));
    assert_false(hits(m, 0, BASE, SIM_WRITE));
    assert_false(sim_memory_is_local(m, 1, BASE, SIM_WRITE));
    assert_true(sim_memory_is_local(m, 1, BASE, SIM_READ));
    EXPECT(m, 1, BASE, SIM_WRITE, 50, SIM_UPGRADE);
    EXPECT(m, 0, BASE, SIM_READ, 60, SIM_TRANSFER);
    end(m);
}

static void the_l3_serves_what_cores_have_evicted(void **state) {
    (void)state;
    struct sim_memory *m = with_a_large_page(profile_of(2, 2, 2, 1));
    at(m, OWN, BASE, SIM_WRITE, 0);
    for (uintptr_t i = 1; i <= 16; i++)
        at(m, OWN, BASE + i * 512 * LINE, SIM_READ, 0);
    EXPECT(m, GROUP, BASE, SIM_READ, 42, SIM_L3);
    assert_true(hits(m, GROUP, BASE, SIM_WRITE)); /* nobody else has it */
    for (uintptr_t i = 1; i <= 16; i++)
        at(m, GROUP, BASE + i * 512 * LINE, SIM_READ, clock_now += 1000000);
    EXPECT(m, REMOTE, BASE, SIM_READ, 300, SIM_TRANSFER); /* from the other group's L3 */
    assert_false(hits(m, REMOTE, BASE, SIM_WRITE));
    EXPECT(m, SOCKET, BASE, SIM_READ, 150, SIM_TRANSFER); /* from the nearest of two */
    EXPECT(m, OWN, BASE, SIM_WRITE, 300, SIM_L3);         /* the farthest has to be told */
    assert_false(hits(m, REMOTE, BASE, SIM_READ));
    assert_false(hits(m, SOCKET, BASE, SIM_READ));
    end(m);
}

static void false_sharing_costs_a_transfer_each_time(void **state) {
    (void)state;
    struct sim_memory *m = with_region(profile_of(1, 1, 2, 1), 1 << 20);
    at(m, 0, BASE, SIM_WRITE, 0);
    for (unsigned i = 0; i < 100; i++) {
        EXPECT(m, 1, BASE + 8, SIM_WRITE, 60, SIM_TRANSFER);
        EXPECT(m, 0, BASE, SIM_WRITE, 60, SIM_TRANSFER);
    }
    EXPECT(m, 1, BASE + LINE, SIM_WRITE, 246, SIM_DRAM); /* apart: each keeps its own */
    EXPECT(m, 0, BASE, SIM_WRITE, 4, SIM_L1);
    EXPECT(m, 1, BASE + LINE, SIM_WRITE, 4, SIM_L1);
    end(m);
}

static void requests_queue_for_a_line_that_travels(void **state) {
    (void)state;
    struct sim_memory *m = with_region(profile_of(1, 1, 4, 1), 1 << 20);
    assert_int_equal(at(m, 0, BASE, SIM_WRITE, 0), 246 * T);             /* arrives at 246 */
    assert_int_equal(at(m, 1, BASE, SIM_WRITE, 10 * T), (236 + 60) * T); /* at 306 */
    assert_int_equal(at(m, 2, BASE, SIM_WRITE, 20 * T), (286 + 60) * T); /* at 366 */
    assert_int_equal(at(m, 3, BASE, SIM_READ, 366 * T), 60 * T);         /* at 426, shared */
    assert_int_equal(at(m, 0, BASE, SIM_READ, 400 * T), (26 + 42) * T);  /* from the L3 */
    assert_int_equal(at(m, 1, BASE, SIM_READ, 430 * T), 42 * T);         /* beside the one before */
    /* Another line is not concerned. */
    assert_int_equal(at(m, 0, BASE + LINE, SIM_READ, 0), 246 * T);
    assert_int_equal(at(m, 1, BASE + LINE, SIM_READ, 100 * T), (146 + 60) * T);
    end(m);
}

static void smt_siblings_share_the_l1(void **state) {
    (void)state;
    struct sim_memory *m = with_a_large_page(profile_of(1, 1, 2, 2));
    /* threads 0 and 2 are core 0; 1 and 3 are core 1 */
    at(m, 0, BASE, SIM_WRITE, 0);
    assert_false(hits(m, 2, BASE, SIM_WRITE)); /* its filter does not know yet */
    assert_true(sim_memory_is_local(m, 2, BASE, SIM_WRITE));
    assert_true(hits(m, 2, BASE, SIM_WRITE));
    EXPECT(m, 3, BASE, SIM_READ, 60, SIM_TRANSFER);
    for (unsigned t = 0; t <= 2; t += 2) {
        assert_true(hits(m, t, BASE, SIM_READ));
        assert_false(hits(m, t, BASE, SIM_WRITE));
    }
    EXPECT(m, 1, BASE, SIM_WRITE, 50, SIM_UPGRADE);
    assert_false(hits(m, 0, BASE, SIM_READ));
    assert_false(hits(m, 2, BASE, SIM_READ));
    /* They compete for the ways: stamps are shared. */
    for (uintptr_t i = 0; i < 8; i++)
        at(m, i % 2 * 2, BASE + i * 64 * LINE + LINE, SIM_READ, clock_now += 1000000);
    assert_true(hits(m, 0, BASE + LINE, SIM_READ));
    at(m, 2, BASE + 8 * 64 * LINE + LINE, SIM_READ, clock_now += 1000000);
    assert_true(hits(m, 0, BASE + LINE, SIM_READ));
    assert_false(hits(m, 2, BASE + 64 * LINE + LINE, SIM_READ));
    end(m);
}

static struct {
    unsigned calls, core, by, filter_knew;
    uint64_t line;
    bool evicted, for_write;
    struct sim_memory *m;
} seen;

static void see(void *context, unsigned core, uint64_t line, unsigned by, bool evicted,
                bool for_write) {
    assert_ptr_equal(context, &seen);
    seen.calls++;
    seen.core = core;
    seen.line = line;
    seen.by = by;
    seen.evicted = evicted;
    seen.for_write = for_write;
    const struct sim_port *p = sim_memory_port(seen.m, core);
    seen.filter_knew += p->filter[(BASE / LINE + line) % SIM_FILTER_SIZE].right != SIM_NONE;
}

static void losses_are_told_before_they_happen(void **state) {
    (void)state;
    struct sim_memory *m = with_a_large_page(profile_of(1, 1, 2, 2));
    memset(&seen, 0, sizeof seen);
    seen.m = m;
    sim_memory_watch(m, see, &seen);
    at(m, 0, BASE, SIM_WRITE, 0);
    assert_int_equal(seen.calls, 0);
    at(m, 3, BASE, SIM_READ, 0);
    assert_int_equal(seen.calls, 1);
    assert_true(seen.core == 0 && seen.line == 0 && seen.by == 3 && !seen.evicted &&
                !seen.for_write && seen.filter_knew == 1);
    at(m, 1, BASE, SIM_WRITE, 0); /* an upgrade in core 1 */
    assert_int_equal(seen.calls, 2);
    assert_true(seen.core == 0 && seen.line == 0 && seen.by == 1 && !seen.evicted &&
                seen.for_write && seen.filter_knew == 2);
    for (uintptr_t i = 1; i < 8; i++)
        at(m, 1, BASE + i * 64 * LINE, SIM_READ, 0);
    assert_int_equal(seen.calls, 2);
    at(m, 1, BASE + 8 * 64 * LINE, SIM_READ, 0);
    assert_int_equal(seen.calls, 3);
    assert_true(seen.core == 1 && seen.line == 0 && seen.by == 1 && seen.evicted);
    at(m, 0, BASE, SIM_WRITE, 0); /* only in core 1's L2: nothing leaves an L1 */
    assert_int_equal(seen.calls, 3);
    end(m);
}

/* ---- pages --------------------------------------------------------------------------------- */

static struct sim_page_name names_object(uintptr_t address) {
    /* Names from BASE and from BASE + 64 pages on: the same 64 pages of object 1. */
    return (struct sim_page_name){1, (address - BASE) / PAGE % 64, true, false};
}

static void two_names_of_a_frame_share_its_lines(void **state) {
    (void)state;
    struct sim_memory *m = memory_of(profile_of(1, 1, 2, 1));
    assert_true(sim_memory_region_of_names(m, BASE, 128 * PAGE, names_object));
    const uintptr_t a = BASE + 3 * PAGE + 128, b = a + 64 * PAGE;
    EXPECT(m, 0, a, SIM_READ, 246, SIM_DRAM);
    EXPECT(m, 0, b, SIM_READ, 4, SIM_L1);
    assert_false(hits(m, 0, a, SIM_READ)); /* a filter knows one name, the last */
    assert_true(hits(m, 0, b, SIM_WRITE));
    EXPECT(m, 1, a, SIM_WRITE, 60, SIM_TRANSFER);
    assert_false(hits(m, 0, b, SIM_READ));
    EXPECT(m, 0, b, SIM_READ, 60, SIM_TRANSFER);
    assert_int_equal(sim_memory_port(m, 0)->page_faults, 0);
    /* Forgetting one name leaves the lines, and the other name. */
    sim_memory_forget(m, b, 1);
    assert_false(hits(m, 0, b, SIM_READ));
    assert_true(hits(m, 1, a, SIM_READ));
    EXPECT(m, 0, b, SIM_READ, 4, SIM_L1);
    /* Punching the page out of the object takes the lines. */
    sim_memory_forget(m, a, 1);
    sim_memory_forget(m, b, 1);
    sim_memory_drop(m, 1, 3, 1);
    EXPECT(m, 1, a, SIM_READ, 246, SIM_DRAM);
    end(m);
}

static void forgotten_pages_come_back_empty(void **state) {
    (void)state;
    struct sim_memory *m = with_region(profile_of(1, 1, 2, 1), 256 * PAGE);
    for (uintptr_t i = 0; i < 4; i++)
        at(m, 0, BASE + i * PAGE, SIM_WRITE, clock_now += 1000000);
    sim_memory_forget(m, BASE + PAGE, 2 * PAGE);
    assert_true(hits(m, 0, BASE, SIM_WRITE));
    assert_false(hits(m, 0, BASE + PAGE, SIM_READ));
    assert_false(hits(m, 0, BASE + 2 * PAGE, SIM_READ));
    assert_true(hits(m, 0, BASE + 3 * PAGE, SIM_WRITE));
    assert_false(sim_memory_is_local(m, 0, BASE + PAGE, SIM_READ));
    EXPECT(m, 0, BASE + PAGE, SIM_READ, 246, SIM_DRAM);
    sim_memory_forget(m, BASE, (size_t)1 << 40); /* far more than there is */
    for (uintptr_t i = 0; i < 4; i++)
        assert_false(hits(m, 0, BASE + i * PAGE, SIM_READ));
    end(m);
}

static void a_page_fault_costs_once_and_clears_the_page(void **state) {
    (void)state;
    struct sim_memory *m = memory_of(profile_of(1, 1, 2, 1));
    assert_true(sim_memory_region(m, BASE, 16 * PAGE, false));
    EXPECT(m, 0, BASE + 640, SIM_READ, 1000 + 12,
           SIM_L2); /* 500 ns at 2 GHz, then a cleared line */
    EXPECT(m, 0, BASE, SIM_WRITE, 12, SIM_L2);
    EXPECT(m, 1, BASE + LINE, SIM_READ, 60, SIM_TRANSFER);
    assert_int_equal(sim_memory_port(m, 0)->page_faults, 1);
    assert_int_equal(sim_memory_port(m, 1)->page_faults, 0);
    sim_memory_forget(m, BASE, PAGE);
    EXPECT(m, 1, BASE, SIM_READ, 1000 + 12, SIM_L2);
    assert_int_equal(sim_memory_port(m, 1)->page_faults, 1);
    end(m);
}

static void the_first_touch_numbers_the_frames(void **state) {
    (void)state;
    struct sim_memory *m = with_region(profile_of(1, 1, 2, 1), 16 * PAGE);
    memset(&seen, 0, sizeof seen);
    seen.m = m;
    sim_memory_watch(m, see, &seen);
    static const unsigned order[] = {7, 2, 9, 0};
    for (unsigned i = 0; i < 4; i++)
        at(m, 0, BASE + order[i] * PAGE + 5 * LINE, SIM_WRITE, clock_now += 1000000);
    for (unsigned i = 0; i < 4; i++) {
        at(m, 1, BASE + order[i] * PAGE + 5 * LINE, SIM_READ, clock_now += 1000000);
        assert_int_equal(seen.line, i * (PAGE / LINE) + 5);
    }
    end(m);
}

static void addresses_outside_of_regions_always_hit(void **state) {
    (void)state;
    struct sim_memory *m = with_region(profile_of(1, 1, 2, 1), 64 << 20);
    const uintptr_t outside = BASE - 4 * LINE;
    assert_true(sim_memory_is_local(m, 0, outside, SIM_WRITE));
    assert_true(hits(m, 0, outside, SIM_WRITE));
    EXPECT(m, 1, outside, SIM_WRITE, 4, SIM_L1);
    assert_true(hits(m, 1, outside, SIM_WRITE));
    assert_true(hits(m, 0, outside, SIM_WRITE)); /* nobody loses it */
    /* No way's eviction takes it from the filter, other than by its place there. */
    for (uintptr_t i = 0; i < 9 * 64; i++)
        at(m, 0, BASE + i * LINE, SIM_READ, clock_now += 1000000);
    assert_true(hits(m, 0, outside, SIM_WRITE));
    /* Inside from now on. */
    assert_true(sim_memory_region(m, BASE - PAGE, PAGE, true));
    assert_false(hits(m, 0, outside, SIM_READ));
    EXPECT(m, 0, outside, SIM_READ, 246, SIM_DRAM);
    end(m);
}

/* ---- 1024 threads -------------------------------------------------------------------------- */

static void a_line_can_have_1024_holders(void **state) {
    (void)state;
    static const unsigned shape[][4] = {
        {1, 1, 1024, 1}, {2, 64, 8, 1}, {4, 256, 1, 1}, {2, 32, 8, 2}};
    for (size_t s = 0; s < sizeof shape / sizeof *shape; s++) {
        const struct sim_profile p = profile_of(shape[s][0], shape[s][1], shape[s][2], shape[s][3]);
        const unsigned cores = 1024 / p.smt;
        struct sim_memory *m = with_region(p, 1 << 20);
        for (unsigned t = 0; t < 1024; t++)
            at(m, t, BASE, SIM_READ, clock_now += 1000000);
        for (unsigned t = 0; t < 1024; t++)
            assert_true(hits(m, t, BASE, SIM_READ));
        EXPECT(m, 1023, BASE, SIM_WRITE, p.sockets > 1 ? 300 : 50, SIM_UPGRADE);
        assert_int_equal(sim_memory_port(m, 1023)->invalidated, cores - 1);
        for (unsigned t = 0; t < 1023; t++)
            assert_int_equal(hits(m, t, BASE, SIM_READ), p.smt == 2 && t == 511);
        for (unsigned t = 0; t < 2048; t++) /* a counter */
            at(m, t % 1024, BASE, SIM_WRITE, clock_now += 1000000);
        assert_true(hits(m, 1023, BASE, SIM_WRITE));
        end(m);
    }
}

/* ---- the naive model ----------------------------------------------------------------------- */

enum { CORES = 192, GROUPS = 96, FRAMES = 64, PAGE_LINES = 4, LINES = FRAMES * PAGE_LINES };
enum { PAGES = 12, NAMES = 6, WAYS = 8, SETS = 16 };

/* Lines of each set, last used first. */
struct list {
    unsigned sets, ways, n[SETS];
    int line[SETS][WAYS];
};

struct naive {
    struct sim_profile p;
    unsigned cores, groups;
    struct list l1[CORES], l2[CORES], l3[GROUPS];
    uint8_t exclusive[CORES][LINES]; /* rights of the lines in l2 */
    uint64_t busy[LINES];
    int frame_of_page[PAGES + NAMES], frame_of_object[NAMES];
    int unused[FRAMES];
    unsigned unuseds, frames;
    uint64_t events, event_sum;
    uint64_t transfers, upgrades, invalidated, l1_misses, l2_misses, l3_misses, faults;
};

static struct naive ref;
static unsigned by_now;

static void list_init(struct list *l, const struct sim_cache_profile *p) {
    memset(l, 0, sizeof *l);
    l->ways = p->ways;
    l->sets = (unsigned)(p->size_bytes / LINE / p->ways);
}

static int list_find(const struct list *l, int line) {
    const unsigned set = (unsigned)line % l->sets;
    for (unsigned i = 0; i < l->n[set]; i++)
        if (l->line[set][i] == line)
            return (int)i;
    return -1;
}

static void list_remove(struct list *l, int line) {
    const unsigned set = (unsigned)line % l->sets;
    const int i = list_find(l, line);
    if (i >= 0)
        memmove(&l->line[set][i], &l->line[set][i + 1], (--l->n[set] - (unsigned)i) * sizeof(int));
}

static void list_first(struct list *l, int line) {
    const unsigned set = (unsigned)line % l->sets;
    list_remove(l, line);
    memmove(&l->line[set][1], &l->line[set][0], l->n[set]++ * sizeof(int));
    l->line[set][0] = line;
}

static uint64_t event_value(unsigned core, uint64_t line, unsigned by, bool evicted,
                            bool for_write) {
    uint64_t x = core + 1024 * (line + 4096 * (by + 4096 * (uint64_t)(2 * evicted + for_write)));
    x *= UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 29;
}

static void naive_event(unsigned core, int line, bool evicted, bool for_write) {
    ref.events++;
    ref.event_sum += event_value(core, (uint64_t)line, by_now, evicted, for_write);
}

static void naive_leave(unsigned core, int line, bool evicted, bool for_write) {
    if (list_find(&ref.l1[core], line) >= 0)
        naive_event(core, line, evicted, for_write);
    list_remove(&ref.l1[core], line);
    list_remove(&ref.l2[core], line);
    ref.exclusive[core][line] = 0;
}

static unsigned group_of(unsigned core) { return core / ref.p.cores_per_group; }

static unsigned far(unsigned core, unsigned group) {
    const unsigned own = group_of(core), n = ref.p.groups_per_socket;
    return own == group           ? ref.p.transfer_group_cycles
           : own / n == group / n ? ref.p.transfer_socket_cycles
                                  : ref.p.transfer_remote_cycles;
}

static unsigned most(unsigned a, unsigned b) { return a > b ? a : b; }

static unsigned naive_invalidate(unsigned core, int line) {
    unsigned farthest = 0;
    for (unsigned c = 0; c < ref.cores; c++)
        if (c != core && list_find(&ref.l2[c], line) >= 0) {
            farthest = most(farthest, group_of(c) == group_of(core) ? ref.p.upgrade_cycles
                                                                    : far(core, group_of(c)));
            ref.invalidated++;
            naive_leave(c, line, false, true);
        }
    for (unsigned g = 0; g < ref.groups; g++)
        if (g != group_of(core) && list_find(&ref.l3[g], line) >= 0) {
            farthest = most(farthest, far(core, g));
            list_remove(&ref.l3[g], line);
        }
    return farthest;
}

static void naive_fill_l3(unsigned group, int line) {
    struct list *l3 = &ref.l3[group];
    const unsigned set = (unsigned)line % l3->sets;
    if (l3->n[set] == l3->ways) {
        const int victim = l3->line[set][l3->ways - 1];
        for (unsigned c = 0; c < ref.cores; c++)
            if (group_of(c) == group && list_find(&ref.l2[c], victim) >= 0)
                naive_leave(c, victim, true, false);
        list_remove(l3, victim);
    }
    list_first(l3, line);
}

static void naive_fill_l2(unsigned core, int line, bool exclusive) {
    struct list *l2 = &ref.l2[core];
    const unsigned set = (unsigned)line % l2->sets;
    if (l2->n[set] == l2->ways) {
        int victim = l2->line[set][l2->ways - 1];
        for (unsigned i = l2->ways; i-- > 0;)
            if (list_find(&ref.l1[core], l2->line[set][i]) < 0) {
                victim = l2->line[set][i];
                break;
            }
        naive_leave(core, victim, true, false);
    }
    list_first(l2, line);
    ref.exclusive[core][line] = exclusive;
}

static int naive_new_frame(void) {
    return ref.unuseds > 0 ? ref.unused[--ref.unuseds] : (int)ref.frames++;
}

static uint64_t naive_access(unsigned thread, unsigned page, unsigned in_page, enum sim_right right,
                             uint64_t now, enum sim_level *level) {
    const unsigned core = thread % ref.cores, group = group_of(core);
    uint64_t latency = 0;
    by_now = thread;
    if (ref.frame_of_page[page] < 0) {
        const bool object = page >= PAGES;
        int *frame = object ? &ref.frame_of_object[(page - PAGES) % (NAMES / 2)] : NULL;
        const bool new = !object || *frame < 0;
        const int f = new ? naive_new_frame() : *frame;
        if (object)
            *frame = f;
        ref.frame_of_page[page] = f;
        if (!object || page % 2 == 0) { /* half of the names are resident */
            ref.faults++;
            latency += (uint64_t)(ref.p.page_fault_ns * 2) * T;
            for (int i = 0; new &&i < PAGE_LINES; i++) {
                naive_fill_l3(group, f * PAGE_LINES + i);
                naive_fill_l2(core, f * PAGE_LINES + i, true);
            }
        }
    }
    const int line = ref.frame_of_page[page] * PAGE_LINES + (int)in_page;
    const bool in_l2 = list_find(&ref.l2[core], line) >= 0;
    const bool may = in_l2 && (right == SIM_READ || ref.exclusive[core][line]);
    if (list_find(&ref.l1[core], line) >= 0 && may) {
        list_first(&ref.l1[core], line);
        *level = SIM_L1;
        return latency + (uint64_t)ref.p.l1.latency_cycles * T;
    }
    struct list *l1 = &ref.l1[core];
    const unsigned set = (unsigned)line % l1->sets;
    if (list_find(l1, line) < 0) {
        ref.l1_misses++;
        if (l1->n[set] == l1->ways) {
            naive_event(core, l1->line[set][l1->ways - 1], true, false);
            list_remove(l1, l1->line[set][l1->ways - 1]);
        }
    }
    if (may) {
        *level = SIM_L2;
        latency += (uint64_t)ref.p.l2.latency_cycles * T;
        list_first(&ref.l2[core], line);
        list_first(l1, line);
        return latency;
    }
    unsigned cycles;
    if (in_l2) {
        *level = SIM_UPGRADE;
        ref.upgrades++;
        cycles = most(ref.p.upgrade_cycles, naive_invalidate(core, line));
        ref.exclusive[core][line] = 1;
        list_first(&ref.l2[core], line);
    } else {
        ref.l2_misses++;
        const bool here = list_find(&ref.l3[group], line) >= 0;
        ref.l3_misses += !here;
        unsigned owner = ref.cores, nearest = 0;
        for (unsigned c = 0; c < ref.cores; c++)
            if (ref.exclusive[c][line])
                owner = c;
        for (unsigned g = 0; g < ref.groups; g++)
            if (g != group && list_find(&ref.l3[g], line) >= 0)
                nearest = nearest == 0 || far(core, g) < nearest ? far(core, g) : nearest;
        if (owner < ref.cores) {
            *level = SIM_TRANSFER;
            cycles = far(core, group_of(owner));
            if (right == SIM_WRITE) {
                naive_invalidate(core, line);
            } else {
                ref.exclusive[owner][line] = 0;
                if (list_find(&ref.l1[owner], line) >= 0)
                    naive_event(owner, line, false, false);
            }
        } else {
            *level = here ? SIM_L3 : nearest != 0 ? SIM_TRANSFER : SIM_DRAM;
            cycles = here ? ref.p.l3.latency_cycles : nearest != 0 ? nearest : ref.p.dram_cycles;
            if (right == SIM_WRITE)
                cycles = most(cycles, naive_invalidate(core, line));
        }
        ref.transfers += *level == SIM_TRANSFER;
        bool alone = true;
        for (unsigned c = 0; c < ref.cores; c++)
            alone = alone && list_find(&ref.l2[c], line) < 0;
        for (unsigned g = 0; g < ref.groups; g++)
            alone = alone && (g == group || list_find(&ref.l3[g], line) < 0);
        if (here)
            list_first(&ref.l3[group], line);
        else
            naive_fill_l3(group, line);
        naive_fill_l2(core, line, alone);
    }
    list_first(l1, line);
    if (ref.busy[line] > now + latency)
        latency = ref.busy[line] - now;
    latency += (uint64_t)cycles * T;
    if (right == SIM_WRITE || *level != SIM_L3)
        ref.busy[line] = now + latency;
    return latency;
}

static void naive_drop(int frame) {
    for (int line = frame * PAGE_LINES; line < (frame + 1) * PAGE_LINES; line++) {
        for (unsigned c = 0; c < ref.cores; c++) {
            by_now = c;
            if (list_find(&ref.l2[c], line) >= 0)
                naive_leave(c, line, false, true);
        }
        for (unsigned g = 0; g < ref.groups; g++)
            list_remove(&ref.l3[g], line);
        ref.busy[line] = 0;
    }
    ref.unused[ref.unuseds++] = frame;
}

static void naive_forget(unsigned page) {
    const int frame = ref.frame_of_page[page];
    ref.frame_of_page[page] = -1;
    if (frame >= 0 && page < PAGES)
        naive_drop(frame);
}

enum { SMALL_PAGE = PAGE_LINES * LINE };

static uintptr_t address_of(unsigned page, unsigned in_page) {
    /* Pages of one kind collide in the filter now and then. */
    return BASE +
           (page < PAGES ? (uintptr_t)page * 64 * SMALL_PAGE
                         : ((uintptr_t)4096 + page - PAGES) * SMALL_PAGE) +
           in_page * LINE;
}

static struct sim_page_name small_names(uintptr_t address) {
    const unsigned page = (unsigned)((address - BASE) / SMALL_PAGE - 4096);
    return (struct sim_page_name){2, page % (NAMES / 2), (page + PAGES) % 2 != 0, false};
}

static uint64_t seen_events, seen_sum;

static void sum_events(void *context, unsigned core, uint64_t line, unsigned by, bool evicted,
                       bool for_write) {
    (void)context;
    seen_events++;
    seen_sum += event_value(core, line, by, evicted, for_write);
}

static struct sim_profile random_machine(uint64_t *random, bool large) {
    static const unsigned shapes[][3] = {{1, 1, 1}, {1, 1, 2}, {1, 1, 4}, {1, 2, 2},
                                         {2, 1, 3}, {2, 2, 2}, {2, 3, 1}, {1, 4, 4}};
    static const unsigned large_shapes[][3] = {{1, 1, 96}, {2, 48, 1}, {2, 12, 8}, {3, 32, 2}};
    const unsigned *s = large ? large_shapes[next(random) % 4] : shapes[next(random) % 8];
    struct sim_profile p = profile_of(s[0], s[1], s[2], (unsigned)(1 + next(random) % 2));
    p.page_bytes = SMALL_PAGE;
    const unsigned l1_ways = (unsigned)(1 + next(random) % 4);
    const unsigned l2_ways = (unsigned)(1 + next(random) % 5);
    const unsigned l3_ways = (unsigned)(2 + next(random) % 7);
    p.l1 = (struct sim_cache_profile){(uint64_t)LINE * l1_ways << next(random) % 3, l1_ways, 4,
                                      SIM_LRU};
    p.l2 = (struct sim_cache_profile){(uint64_t)LINE * l2_ways << (1 + next(random) % 3), l2_ways,
                                      12, SIM_LRU};
    p.l3 = (struct sim_cache_profile){LINE * l3_ways * (1 + next(random) % SETS), l3_ways, 42,
                                      SIM_LRU};
    return p;
}

static void check_with_naive(struct sim_memory *m) {
    const char *wrong = sim_memory_check(m);
    if (wrong != NULL)
        fail_msg("%s", wrong);
    for (unsigned t = 0; t < ref.cores * ref.p.smt; t++)
        for (unsigned page = 0; page < PAGES + NAMES; page++)
            for (unsigned i = 0; i < PAGE_LINES; i++) {
                const uintptr_t v = address_of(page, i) / LINE;
                const struct sim_filter_entry *e =
                    &sim_memory_port(m, t)->filter[v % SIM_FILTER_SIZE];
                if (e->line != v || e->right == SIM_NONE)
                    continue;
                const unsigned core = t % ref.cores;
                assert_true(ref.frame_of_page[page] >= 0);
                const int line = ref.frame_of_page[page] * PAGE_LINES + (int)i;
                assert_true(list_find(&ref.l1[core], line) >= 0);
                if (e->right == SIM_WRITE)
                    assert_true(ref.exclusive[core][line]);
            }
    uint64_t sum[7] = {0};
    for (unsigned t = 0; t < ref.cores * ref.p.smt; t++) {
        const struct sim_port *p = sim_memory_port(m, t);
        const uint64_t value[7] = {p->transfers, p->upgrades,  p->invalidated, p->l1_misses,
                                   p->l2_misses, p->l3_misses, p->page_faults};
        for (unsigned i = 0; i < 7; i++)
            sum[i] += value[i];
    }
    const uint64_t expected[7] = {ref.transfers, ref.upgrades,  ref.invalidated, ref.l1_misses,
                                  ref.l2_misses, ref.l3_misses, ref.faults};
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(sum[i], expected[i]);
}

static void run_against_naive(uint64_t seed, bool large, unsigned steps) {
    uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (unsigned i = 0; i < 8; i++)
        next(&random);
    memset(&ref, 0, sizeof ref);
    ref.p = random_machine(&random, large);
    ref.groups = ref.p.sockets * ref.p.groups_per_socket;
    ref.cores = ref.groups * ref.p.cores_per_group;
    for (unsigned c = 0; c < ref.cores; c++) {
        list_init(&ref.l1[c], &ref.p.l1);
        list_init(&ref.l2[c], &ref.p.l2);
    }
    for (unsigned g = 0; g < ref.groups; g++)
        list_init(&ref.l3[g], &ref.p.l3);
    memset(ref.frame_of_page, -1, sizeof ref.frame_of_page);
    memset(ref.frame_of_object, -1, sizeof ref.frame_of_object);
    seen_events = seen_sum = 0;
    struct sim_memory *m = sim_memory_create(&ref.p, seed);
    assert_non_null(m);
    assert_true(sim_memory_region(m, BASE, (size_t)4096 * SMALL_PAGE, false));
    assert_true(
        sim_memory_region_of_names(m, address_of(PAGES, 0), NAMES * SMALL_PAGE, small_names));
    sim_memory_watch(m, sum_events, NULL);

    const unsigned threads = ref.cores * ref.p.smt;
    const unsigned pages = (unsigned)(1 + next(&random) % (PAGES + NAMES));
    const unsigned writes = (unsigned)(next(&random) % 100);
    uint64_t now = 0;
    for (unsigned n = 0; n < steps; n++) {
        const unsigned t = (unsigned)(next(&random) % threads);
        const unsigned page = PAGES + NAMES - 1 - (unsigned)(next(&random) % pages);
        const unsigned in_page = (unsigned)(next(&random) % PAGE_LINES);
        const enum sim_right right = next(&random) % 100 < writes ? SIM_WRITE : SIM_READ;
        const uintptr_t address = address_of(page, in_page) + next(&random) % LINE;
        now += next(&random) % (200 * T);
        if (next(&random) % 100 == 0) {
            sim_memory_forget(m, address_of(page, 0), SMALL_PAGE);
            naive_forget(page);
        } else if (next(&random) % 200 == 0) {
            const unsigned at_page = (unsigned)(next(&random) % (NAMES / 2));
            for (unsigned i = at_page; i < NAMES; i += NAMES / 2) {
                sim_memory_forget(m, address_of(PAGES + i, 0), SMALL_PAGE);
                naive_forget(PAGES + i);
            }
            sim_memory_drop(m, 2, at_page, 1);
            if (ref.frame_of_object[at_page] >= 0)
                naive_drop(ref.frame_of_object[at_page]);
            ref.frame_of_object[at_page] = -1;
        }
        enum sim_level expected_level, level = SIM_L1;
        const bool known = ref.frame_of_page[page] >= 0;
        const uint64_t expected = naive_access(t, page, in_page, right, now, &expected_level);
        uint64_t latency = (uint64_t)ref.p.l1.latency_cycles * T;
        if (!hits(m, t, address, right)) {
            const bool private = sim_memory_is_private(m, t, address, right);
            assert_int_equal(private,
                             known && (expected_level == SIM_L1 || expected_level == SIM_L2));
            const bool local = sim_memory_is_local(m, t, address, right);
            assert_int_equal(local, known && expected_level == SIM_L1);
            latency = sim_memory_access(m, t, address, right, now, &level);
        }
        if (latency != expected || level != expected_level)
            fail_msg("seed %llu step %u: %llu ticks at level %d, by the naive model %llu at %d",
                     (unsigned long long)seed, n, (unsigned long long)latency, level,
                     (unsigned long long)expected, expected_level);
        if (seen_events != ref.events || seen_sum != ref.event_sum)
            fail_msg("seed %llu step %u: other lines were lost than by the naive model",
                     (unsigned long long)seed, n);
        if (n % (large ? 256 : 64) == 0)
            check_with_naive(m);
    }
    check_with_naive(m);
    sim_memory_destroy(m);
}

static void random_accesses_agree_with_the_naive_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++)
        run_against_naive(seed, false, 400);
}

static void wide_machines_agree_with_the_naive_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_against_naive(seed, true, 2000);
}

/* ---- host time ----------------------------------------------------------------------------- */

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Every step one thread, in turn, and one access to `bytes` of its own memory or of all threads'.
 */
static void bench(const char *what, struct sim_profile p, unsigned threads, size_t bytes,
                  bool shared, unsigned write_percent, bool in_sequence) {
    enum { STEPS = 4000000 };
    struct sim_memory *m = with_region(p, (size_t)16 << 30);
    uint64_t random = 88172645463325252, slow = 0, now = 0;
    double start = 0;
    uint64_t next_line[1024] = {0};
    enum sim_level level;
    const size_t lines = bytes / LINE;
    for (unsigned n = 0; n < 2 * STEPS; n++) {
        if (n == STEPS) {
            start = cpu_seconds();
            slow = 0;
        }
        const unsigned t = n % threads;
        const uint64_t r = next(&random);
        const uint64_t line = in_sequence ? next_line[t]++ % lines : (r >> 8) % lines;
        const uintptr_t address = BASE + (shared ? 0 : t * bytes) + line * LINE;
        const enum sim_right right = r % 128 * 100 < write_percent * 128 ? SIM_WRITE : SIM_READ;
        if (!hits(m, t, address, right)) {
            if (!sim_memory_is_local(m, t, address, right)) /* as the simulator asks */
                (void)sim_memory_is_private(m, t, address, right);
            (void)sim_memory_access(m, t, address, right, now += 64, &level);
            slow++;
        }
    }
    const double time = cpu_seconds() - start;
    printf("%-44s %6.1f ns a step, %3.0f %% of them misses\n", what, 1e9 * time / STEPS,
           100.0 * (double)slow / STEPS);
    sim_memory_destroy(m);
}

static int bench_all(void) {
    const struct sim_profile one = profile_of(1, 1, 1, 1), p64 = profile_of(1, 8, 8, 1),
                             p1024 = profile_of(2, 64, 8, 1);
    bench("L1 hits", one, 1, 16 << 10, false, 30, true);
    bench("L2 hits, in sequence", one, 1, 128 << 10, false, 30, true);
    bench("L2 hits, at random", one, 1, 200 << 10, false, 30, false);
    bench("L3 hits", one, 1, 1 << 20, false, 30, true);
    bench("memory", one, 1, 16 << 20, false, 30, true);
    bench("16 cores, own 128 KiB", profile_of(1, 2, 8, 1), 16, 128 << 10, false, 30, true);
    bench("64 cores, own 128 KiB", p64, 64, 128 << 10, false, 30, true);
    bench("1024 cores, own 128 KiB", p1024, 1024, 128 << 10, false, 30, true);
    bench("64 cores, 1 MiB shared, 10 % writes", p64, 64, 1 << 20, true, 10, false);
    bench("1024 cores, 1 MiB shared, 10 % writes", p1024, 1024, 1 << 20, true, 10, false);
    bench("64 cores, a shared counter", p64, 64, 64, true, 100, false);
    bench("1024 cores, a shared counter", p1024, 1024, 64, true, 100, false);
    bench("64 cores, a shared line, 2 % writes", p64, 64, 64, true, 2, false);
    bench("1024 cores, a shared line, 2 % writes", p1024, 1024, 64, true, 2, false);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--bench") == 0)
        return bench_all();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level_answers_after_a_miss),
        cmocka_unit_test(lru_evicts_exactly_the_oldest_of_a_set),
        cmocka_unit_test(tree_plru_is_that_of_a_tree_of_bits),
        cmocka_unit_test(random_replacement_depends_on_the_seed_only),
        cmocka_unit_test(latency_follows_the_footprint),
        cmocka_unit_test(the_l2_spares_what_is_in_the_l1),
        cmocka_unit_test(a_line_that_leaves_the_l3_leaves_its_cores),
        cmocka_unit_test(transfers_cost_their_distance),
        cmocka_unit_test(a_read_alone_may_write_a_shared_one_may_not),
        cmocka_unit_test(the_l3_serves_what_cores_have_evicted),
        cmocka_unit_test(false_sharing_costs_a_transfer_each_time),
        cmocka_unit_test(requests_queue_for_a_line_that_travels),
        cmocka_unit_test(smt_siblings_share_the_l1),
        cmocka_unit_test(losses_are_told_before_they_happen),
        cmocka_unit_test(two_names_of_a_frame_share_its_lines),
        cmocka_unit_test(forgotten_pages_come_back_empty),
        cmocka_unit_test(a_page_fault_costs_once_and_clears_the_page),
        cmocka_unit_test(the_first_touch_numbers_the_frames),
        cmocka_unit_test(addresses_outside_of_regions_always_hit),
        cmocka_unit_test(a_line_can_have_1024_holders),
        cmocka_unit_test(random_accesses_agree_with_the_naive_model),
        cmocka_unit_test(wide_machines_agree_with_the_naive_model),
    };
    return cmocka_run_group_tests_name("simulated memory", tests, NULL, NULL);
}
