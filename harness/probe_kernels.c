/*
 * probe_kernels.c - the micro-benchmarks of `allcores machine probe`.  See probe_kernels.h.
 *
 * Loops whose instructions are counted are written in assembly, so that the count is what is
 * written here and not what a compiler makes of it.  Everything is timed by CLOCK_MONOTONIC, which
 * does not depend on the cycles of the core; a sample is long enough (0.1 ms and more) that one
 * look at the clock, some 25 ns, does not matter, except where a line says otherwise.
 */
#include "probe_kernels.h"

#include "stats.h"

#include <errno.h>
#include <immintrin.h>
#include <linux/futex.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FAIL(...) (snprintf(why, size, __VA_ARGS__), -1.0)

enum {
    HUGE_PAGE = 2 << 20,
    PAGE = 4096,
    HANDED_LINES = 128, /* fit every L1; two lines apart, so that fetching pairs gains nothing */
    MAP_PAGES = 256,
    MIX_WORDS = 512 /* 4 KiB, in every L1 */
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static double seconds_since(uint64_t start_ns, double operations) {
    return (double)(now_ns() - start_ns) * 1e-9 / operations;
}

static size_t scaled(const struct probe_rig *rig, size_t n) {
    const size_t m = n * rig->scale / 100;
    return m > 0 ? m : 1;
}

static bool pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

/* ---- rings --------------------------------------------------------------------------------- */

static uint64_t xorshift(uint64_t *s) {
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

void probe_cycle(uint32_t *next, uint32_t lines, uint64_t seed) {
    uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
    for (uint32_t i = 0; i < lines; i++)
        next[i] = i;
    for (uint32_t i = lines - 1; i > 0; i--) {
        const uint32_t j = (uint32_t)((xorshift(&state) >> 16) % i); /* j < i: one cycle */
        const uint32_t t = next[i];
        next[i] = next[j];
        next[j] = t;
    }
}

/* Does the kernel say that at least half of these bytes are in huge pages?  proc(5), smaps. */
static bool in_huge_pages(const char *base, size_t bytes) {
    FILE *f = fopen("/proc/self/smaps", "re");
    char line[512];
    bool here = false, huge = false;
    while (f != NULL && !huge && fgets(line, sizeof line, f) != NULL) {
        unsigned long start, end, kib;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = start <= (uintptr_t)base && (uintptr_t)base < end;
        else if (here && sscanf(line, "AnonHugePages: %lu kB", &kib) == 1)
            huge = kib * 2048 >= bytes;
    }
    if (f != NULL)
        fclose(f);
    return huge;
}

static bool ring_make(struct probe_ring *ring, size_t bytes, size_t stride, bool huge,
                      uint64_t seed) {
    *ring = (struct probe_ring){.bytes = bytes, .stride = stride, .huge = huge};
    ring->lines = bytes / stride;
    ring->mapped_bytes = (bytes + 2 * (size_t)HUGE_PAGE - 1) & ~((size_t)HUGE_PAGE - 1);
    ring->mapped_bytes += HUGE_PAGE;
    ring->base =
        mmap(NULL, ring->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t *next = malloc(ring->lines * sizeof *next);
    ring->order = malloc(ring->lines * sizeof *ring->order);
    if (ring->base == MAP_FAILED) {
        ring->base = NULL;
        ring->mapped_bytes = 0;
    }
    if (ring->base == NULL || next == NULL || ring->order == NULL) {
        free(next);
        return false;
    }
    /* Huge pages begin at a multiple of their size. */
    char *start = ring->base + (-(uintptr_t)ring->base & (HUGE_PAGE - 1));
    madvise(ring->base, ring->mapped_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memset(start, 0, bytes);
    ring->huge_gotten = huge && in_huge_pages(start, bytes);
    probe_cycle(next, (uint32_t)ring->lines, seed);
    uint32_t line = 0;
    for (size_t i = 0; i < ring->lines; i++) {
        ring->order[i] = line;
        *(void **)(start + line * stride) = start + next[line] * stride;
        line = next[line];
    }
    free(next);
    ring->cursor = start;
    return true;
}

static void ring_free(struct probe_ring *ring) {
    if (ring->base != NULL)
        munmap(ring->base, ring->mapped_bytes);
    free(ring->order);
    *ring = (struct probe_ring){0};
}

static char *ring_start(const struct probe_ring *ring) {
    return ring->base + (-(uintptr_t)ring->base & (HUGE_PAGE - 1));
}

/* Follows the ring; the caller has timed it. */
static void *chase(void *from, size_t steps) {
    void *p = from;
    for (size_t i = 0; i < steps; i++)
        p = *(void *volatile *)p;
    return p;
}

/* The median of slices that are short beside a time slice of the scheduler: one in which another
 * program ran does not count. */
enum { SLICES = 9 };

static double chase_ring(const struct probe_rig *rig, struct probe_ring *ring, size_t steps) {
    double slices[SLICES];
    steps = scaled(rig, steps) / SLICES + 1;
    ring->cursor = chase(ring->cursor, ring->lines < 65536 ? ring->lines : 1024); /* warm */
    for (unsigned i = 0; i < SLICES; i++) {
        const uint64_t start = now_ns();
        ring->cursor = chase(ring->cursor, steps);
        slices[i] = seconds_since(start, (double)steps);
    }
    return stats_median(slices, SLICES);
}

double probe_l1(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    return chase_ring(rig, &rig->l1, 400000);
}

double probe_l2(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    return chase_ring(rig, &rig->l2, 200000);
}

double probe_l2_small_pages(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    return chase_ring(rig, &rig->small_pages_l2, 200000);
}

double probe_l3(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    /* Laps bring the ring back after others have had the caches: an L3 that gets what L2 evicts may
     * not keep what it sees for the first time. */
    enum { LAPS = 4 };
    rig->l3.cursor = chase(rig->l3.cursor, LAPS * rig->l3.lines);
    return chase_ring(rig, &rig->l3, 100000);
}

/* The lines ahead are flushed from all caches, so that the size of the L3, which other guests of a
 * host may share, does not matter. */
static double chase_flushed(const struct probe_rig *rig, struct probe_ring *ring) {
    size_t steps = scaled(rig, 40000) + SLICES;
    if (steps > ring->lines)
        steps = ring->lines;
    void *p = ring->cursor;
    for (size_t i = 0; i < steps; i++) {
        void *next = *(void *volatile *)p;
        _mm_clflush(p);
        p = next;
    }
    _mm_mfence();
    const size_t slice = steps / SLICES;
    double slices[SLICES];
    for (unsigned i = 0; i < SLICES; i++) {
        const uint64_t start = now_ns();
        ring->cursor = chase(ring->cursor, slice);
        slices[i] = seconds_since(start, (double)slice);
    }
    return stats_median(slices, SLICES);
}

double probe_dram(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    return chase_flushed(rig, &rig->dram);
}

double probe_dram_small_pages(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    return chase_flushed(rig, &rig->small_pages_dram);
}

double probe_l2_independent(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const struct probe_ring *ring = &rig->l2;
    const char *start_of = ring_start(ring);
    const size_t laps = scaled(rig, 20);
    uint64_t sum = 0;
    chase(ring->cursor, ring->lines);
    const uint64_t start = now_ns();
    for (size_t lap = 0; lap < laps; lap++)
        for (size_t i = 0; i < ring->lines; i++)
            sum += *(const volatile uint64_t *)(start_of + ring->order[i] * ring->stride);
    const double each = seconds_since(start, (double)(laps * ring->lines));
    __asm__ volatile("" ::"r"(sum));
    return each;
}

double probe_l2_stores(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const struct probe_ring *ring = &rig->l2;
    char *start_of = ring_start(ring);
    const size_t laps = scaled(rig, 20);
    chase(ring->cursor, ring->lines);
    const uint64_t start = now_ns();
    for (size_t lap = 0; lap < laps; lap++)
        for (size_t i = 0; i < ring->lines; i++) /* behind the pointer */
            *(volatile uint64_t *)(start_of + ring->order[i] * ring->stride + 8) = i;
    return seconds_since(start, (double)(laps * ring->lines));
}

/* ---- the core ------------------------------------------------------------------------------ */

double probe_add_chain(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const uint64_t rounds = scaled(rig, 60000);
    uint64_t n = rounds, x = 0;
    const uint64_t one = 1;
    const uint64_t start = now_ns();
    /* Registers only: some cores execute additions of small constants while renaming. */
    __asm__ volatile("1:\n"
                     ".rept 64\n"
                     "add %2, %1\n"
                     ".endr\n"
                     "dec %0\n"
                     "jnz 1b"
                     : "+r"(n), "+r"(x)
                     : "r"(one)
                     : "cc");
    return seconds_since(start, (double)rounds * 64);
}

double probe_mul_chain(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const uint64_t rounds = scaled(rig, 20000);
    uint64_t n = rounds, x = 1;
    const uint64_t three = 3;
    const uint64_t start = now_ns();
    __asm__ volatile("1:\n"
                     ".rept 64\n"
                     "imul %2, %1\n"
                     ".endr\n"
                     "dec %0\n"
                     "jnz 1b"
                     : "+r"(n), "+r"(x)
                     : "r"(three)
                     : "cc");
    return seconds_since(start, (double)rounds * 64);
}

static void add_streams(uint64_t rounds) {
    const uint64_t one = 1;
    __asm__ volatile("1:\n"
                     ".rept 8\n"
                     "add %1, %%rax\n"
                     "add %1, %%rdx\n"
                     "add %1, %%rsi\n"
                     "add %1, %%rdi\n"
                     "add %1, %%r8\n"
                     "add %1, %%r9\n"
                     "add %1, %%r10\n"
                     "add %1, %%r11\n"
                     ".endr\n"
                     "dec %0\n"
                     "jnz 1b"
                     : "+r"(rounds)
                     : "r"(one)
                     : "cc", "rax", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
}

const char probe_mix_text[] =
    "20 instructions: 5 loads (2 of them at an address that was just loaded), 2 stores, 3 branches "
    "(predictable), 10 of arithmetic; all data in L1; a round needs the one before it through 4 of "
    "arithmetic and through no load";

/*
 * What a program does while nothing misses.  Table of random indices; r8 sums, rcx steps through
 * the table.  No round waits for a load of the one before: chains of loads are charged by the
 * simulator beside `overlap`, and would be in it a second time.
 */
static void mix(uint64_t *table, uint64_t rounds) {
    uint64_t *out = table + MIX_WORDS;
    __asm__ volatile("mov $1, %%ecx\n"
                     "xor %%r8d, %%r8d\n"
                     "mov $-1, %%r9\n"
                     "1:\n"
                     "mov (%1,%%rcx,8), %%rax\n"   /*  1 load */
                     "lea 1(%%rax,%%rcx), %%rdx\n" /*  2 */
                     "and $511, %%edx\n"           /*  3 */
                     "mov (%1,%%rdx,8), %%rsi\n"   /*  4 load at what was loaded */
                     "add %%rsi, %%r8\n"           /*  5 */
                     "js 2f\n"                     /*  6 branch, never taken */
                     "mov %%r8, (%2,%%rdx,8)\n"    /*  7 store */
                     "mov (%1,%%rsi,8), %%rdi\n"   /*  8 load at what was loaded */
                     "xor %%rdi, %%r8\n"           /*  9 */
                     "cmp %%r8, %%r9\n"            /* 10 */
                     "je 2f\n"                     /* 11 branch, never taken */
                     "mov 8(%1), %%r10\n"          /* 12 load */
                     "add $7, %%ecx\n"             /* 13 carried */
                     "xor $5, %%ecx\n"             /* 14 carried */
                     "lea 3(%%rcx), %%ecx\n"       /* 15 carried */
                     "mov %%rax, 16(%2)\n"         /* 16 store */
                     "mov 24(%1), %%r11\n"         /* 17 load */
                     "and $511, %%ecx\n"           /* 18 carried */
                     "2:\n"
                     "dec %0\n" /* 19 */
                     "jnz 1b"   /* 20 branch, taken */
                     : "+r"(rounds)
                     : "r"(table), "r"(out)
                     : "cc", "memory", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
}

/* The same without memory: a move between registers for each load and store.  Not one dependency is
 * lost, only the latency of the loads. */
static void mix_registers(uint64_t rounds) {
    const uint64_t one = 1;
    __asm__ volatile("mov $1, %%ecx\n"
                     "xor %%r8d, %%r8d\n"
                     "mov $-1, %%r9\n"
                     "1:\n"
                     "mov %%rcx, %%rax\n"          /*  1 for a load */
                     "lea 1(%%rax,%%rcx), %%rdx\n" /*  2 */
                     "and $511, %%edx\n"           /*  3 */
                     "mov %%rdx, %%rsi\n"          /*  4 for a load */
                     "add %%rsi, %%r8\n"           /*  5 */
                     "js 2f\n"                     /*  6 */
                     "mov %%r8, %%r10\n"           /*  7 for a store */
                     "mov %%rsi, %%rdi\n"          /*  8 for a load */
                     "xor %%rdi, %%r8\n"           /*  9 */
                     "cmp %%r8, %%r9\n"            /* 10 */
                     "je 2f\n"                     /* 11 */
                     "mov %1, %%r10\n"             /* 12 for a load */
                     "add $7, %%ecx\n"             /* 13 carried */
                     "xor $5, %%ecx\n"             /* 14 carried */
                     "lea 3(%%rcx), %%ecx\n"       /* 15 carried */
                     "mov %%rax, %%rdx\n"          /* 16 for a store */
                     "mov %1, %%r11\n"             /* 17 for a load */
                     "and $511, %%ecx\n"           /* 18 carried */
                     "2:\n"
                     "dec %0\n" /* 19 */
                     "jnz 1b"   /* 20 */
                     : "+r"(rounds)
                     : "r"(one)
                     : "cc", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
}

enum { MIX_ROUNDS = 60000, STREAM_ROUNDS = 60000, STREAM_ADDS = 64 };

double probe_mix(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const uint64_t rounds = scaled(rig, MIX_ROUNDS);
    mix(rig->mix_table, 1000);
    const uint64_t start = now_ns();
    mix(rig->mix_table, rounds);
    return seconds_since(start, (double)rounds * PROBE_MIX_INSTRUCTIONS);
}

double probe_mix_registers(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const uint64_t rounds = scaled(rig, MIX_ROUNDS);
    mix_registers(1000);
    const uint64_t start = now_ns();
    mix_registers(rounds);
    return seconds_since(start, (double)rounds * PROBE_MIX_INSTRUCTIONS);
}

double probe_add_streams(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const uint64_t rounds = scaled(rig, STREAM_ROUNDS);
    const uint64_t start = now_ns();
    add_streams(rounds);
    return seconds_since(start, (double)rounds * STREAM_ADDS);
}

/* ---- two threads --------------------------------------------------------------------------- */

/* What they share: each on lines of its own. */
struct pair {
    _Alignas(2 * PROBE_LINE_MAX) atomic_uint word;
    _Alignas(2 * PROBE_LINE_MAX) atomic_uint answer;
    _Alignas(2 * PROBE_LINE_MAX) atomic_bool stop;
    struct probe_rig *rig;
    unsigned rounds;
    uint64_t *stamps; /* of wake-ups: called; then: running */
    int cpu;          /* where the second thread runs */
    bool pinned;
    uint64_t *table;
};

typedef void *second_thread(void *pair);

static bool pair_start(struct pair *pair, pthread_t *thread, second_thread *body, int cpu,
                       char *why, size_t size) {
    pair->cpu = cpu;
    const int error = pthread_create(thread, NULL, body, pair);
    if (error == 0)
        return true;
    snprintf(why, size, "no second thread: %s", strerror(error));
    return false;
}

/* First thing that a second thread does. */
static void second_begins(struct pair *pair) {
    pair->pinned = pin(pair->cpu);
    atomic_store(&pair->answer, 1);
}

static void wait_for(const atomic_uint *word, unsigned value) {
    while (atomic_load_explicit(word, memory_order_acquire) != value)
        ;
}

/* As wait_for, for what may take long and on the same processor. */
static void wait_politely(const atomic_uint *word, unsigned value) {
    while (atomic_load_explicit(word, memory_order_acquire) != value)
        sched_yield();
}

static double not_pinned(const struct pair *pair, char *why, size_t size) {
    return FAIL("processor %d cannot be used", pair->cpu);
}

static void *mix_until_stop(void *argument) {
    struct pair *pair = argument;
    second_begins(pair);
    while (!atomic_load_explicit(&pair->stop, memory_order_relaxed))
        mix(pair->table, 500);
    return NULL;
}

static void *streams_until_stop(void *argument) {
    struct pair *pair = argument;
    second_begins(pair);
    while (!atomic_load_explicit(&pair->stop, memory_order_relaxed))
        add_streams(500);
    return NULL;
}

static double beside(struct probe_rig *rig, probe_kernel *kernel, second_thread *body, int cpu,
                     char *why, size_t size) {
    struct pair pair = {.rig = rig};
    pthread_t thread;
    uint64_t table[2 * MIX_WORDS];
    if (cpu < 0)
        return FAIL("no processor for a second thread");
    memcpy(table, rig->mix_table, sizeof table);
    pair.table = table;
    if (!pair_start(&pair, &thread, body, cpu, why, size))
        return -1;
    wait_politely(&pair.answer, 1);
    const double each = kernel(rig, why, size);
    atomic_store(&pair.stop, true);
    pthread_join(thread, NULL);
    return pair.pinned ? each : not_pinned(&pair, why, size);
}

double probe_add_streams_helper(struct probe_rig *rig, char *why, size_t size) {
    return beside(rig, probe_add_streams, streams_until_stop, rig->helper, why, size);
}

double probe_add_streams_sibling(struct probe_rig *rig, char *why, size_t size) {
    return beside(rig, probe_add_streams, streams_until_stop, rig->sibling, why, size);
}

double probe_mix_sibling(struct probe_rig *rig, char *why, size_t size) {
    return beside(rig, probe_mix, mix_until_stop, rig->sibling, why, size);
}

/* Rounds are answered one by one: word = round (odd: modify the lines, even: read them), answer =
 * round when it is done.  Round 1 is the thread's beginning. */
static void *hand_lines(void *argument) {
    struct pair *pair = argument;
    const struct probe_ring *ring = &pair->rig->handed;
    second_begins(pair);
    for (unsigned round = 2; round <= pair->rounds; round++) {
        wait_for(&pair->word, round);
        void *p = ring->cursor;
        for (size_t i = 0; i < ring->lines; i++) {
            void *next = *(void *volatile *)p;
            if (round % 2 == 1)
                *(void *volatile *)p = next;
            p = next;
        }
        atomic_thread_fence(memory_order_seq_cst);
        atomic_store(&pair->answer, round);
    }
    return NULL;
}

/* A lap of locked additions of nothing, each at the address that the one before it gave. */
static void *locked_chase(void *from, size_t steps) {
    uintptr_t p = (uintptr_t)from;
    for (size_t i = 0; i < steps; i++)
        p = atomic_fetch_add_explicit((_Atomic uintptr_t *)p, 0, memory_order_seq_cst);
    return (void *)p;
}

/* The partner modifies all lines, this thread reads them (timed for the transfer), the partner
 * reads them too, this thread modifies them (timed for the upgrade). */
static double hand_over(struct probe_rig *rig, int cpu, bool upgrade, char *why, size_t size) {
    enum { LAPS_MAX = 64 };
    const unsigned laps = (unsigned)scaled(rig, LAPS_MAX);
    struct pair pair = {.rig = rig, .rounds = 2 * laps + 2};
    double seconds[LAPS_MAX];
    unsigned lap = 0;
    struct probe_ring *ring = &rig->handed;
    pthread_t thread;
    if (cpu < 0)
        return FAIL("there is no such processor");
    if (!pair_start(&pair, &thread, hand_lines, cpu, why, size))
        return -1;
    wait_politely(&pair.answer, 1);
    atomic_store(&pair.word, 2);
    wait_for(&pair.answer, 2);
    for (unsigned round = 3; round < pair.rounds; round += 2) {
        atomic_store(&pair.word, round);
        wait_for(&pair.answer, round);
        uint64_t start = now_ns();
        chase(ring->cursor, ring->lines);
        const double transfer = seconds_since(start, (double)ring->lines);
        atomic_store(&pair.word, round + 1);
        wait_for(&pair.answer, round + 1);
        start = now_ns();
        locked_chase(ring->cursor, ring->lines);
        seconds[lap++] = upgrade ? seconds_since(start, (double)ring->lines) : transfer;
    }
    pthread_join(thread, NULL);
    if (!pair.pinned)
        return not_pinned(&pair, why, size);
    return stats_median(seconds, lap);
}

double probe_transfer_group(struct probe_rig *rig, char *why, size_t size) {
    return hand_over(rig, rig->partner[0], false, why, size);
}

double probe_transfer_socket(struct probe_rig *rig, char *why, size_t size) {
    return hand_over(rig, rig->partner[1], false, why, size);
}

double probe_transfer_remote(struct probe_rig *rig, char *why, size_t size) {
    return hand_over(rig, rig->partner[2], false, why, size);
}

double probe_upgrade(struct probe_rig *rig, char *why, size_t size) {
    return hand_over(rig, rig->partner[0], true, why, size);
}

static void *return_ball(void *argument) {
    struct pair *pair = argument;
    second_begins(pair);
    for (unsigned i = 1; i <= pair->rounds; i++) {
        wait_for(&pair->word, 2 * i - 1);
        atomic_store_explicit(&pair->word, 2 * i, memory_order_release);
    }
    return NULL;
}

double probe_ping_pong(struct probe_rig *rig, char *why, size_t size) {
    struct pair pair = {.rig = rig, .rounds = (unsigned)scaled(rig, 5000)};
    pthread_t thread;
    if (rig->helper < 0)
        return FAIL("there is just one processor");
    if (!pair_start(&pair, &thread, return_ball, rig->helper, why, size))
        return -1;
    wait_politely(&pair.answer, 1);
    const uint64_t start = now_ns();
    for (unsigned i = 1; i <= pair.rounds; i++) {
        atomic_store_explicit(&pair.word, 2 * i - 1, memory_order_release);
        wait_for(&pair.word, 2 * i);
    }
    const double each = seconds_since(start, 2.0 * pair.rounds);
    pthread_join(thread, NULL);
    return pair.pinned ? each : not_pinned(&pair, why, size);
}

/* ---- atomics, fences, pause ---------------------------------------------------------------- */

/* A line that no other thread has. */
static _Alignas(2 * PROBE_LINE_MAX) struct {
    _Atomic uint64_t word;
    char rest[2 * PROBE_LINE_MAX - 8];
} own;

/* Each operation needs the result of the one before it: latency, not throughput. */
double probe_locked_add(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const size_t n = scaled(rig, 50000);
    uint64_t x = 1;
    const uint64_t start = now_ns();
    for (size_t i = 0; i < n; i++)
        x = atomic_fetch_add(&own.word, x);
    const double each = seconds_since(start, (double)n);
    __asm__ volatile("" ::"r"(x));
    return each;
}

double probe_xchg(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const size_t n = scaled(rig, 50000);
    uint64_t x = 1;
    const uint64_t start = now_ns();
    for (size_t i = 0; i < n; i++)
        x = atomic_exchange(&own.word, x);
    const double each = seconds_since(start, (double)n);
    __asm__ volatile("" ::"r"(x));
    return each;
}

double probe_cas(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const size_t n = scaled(rig, 50000);
    uint64_t x = atomic_load(&own.word);
    const uint64_t start = now_ns();
    for (size_t i = 0; i < n; i++)
        if (atomic_compare_exchange_strong(&own.word, &x, x + 1))
            x++;
    return seconds_since(start, (double)n);
}

/* Seconds a round.  What is skipped or not is one instruction, which costs nothing by itself. */
static double branch(const struct probe_rig *rig, uint64_t bit) {
    const uint64_t rounds = scaled(rig, 20000);
    uint64_t n = rounds, x = UINT64_C(0x9e3779b97f4a7c15), t = 0, taken = 0;
    const uint64_t start = now_ns();
    __asm__ volatile("1:\n"
                     "mov %1, %2\n"
                     "shl $13, %2\n"
                     "xor %2, %1\n"
                     "mov %1, %2\n"
                     "shr $7, %2\n"
                     "xor %2, %1\n"
                     "mov %1, %2\n"
                     "shl $17, %2\n"
                     "xor %2, %1\n"
                     "test %4, %1\n"
                     "jz 2f\n"
                     "inc %3\n"
                     "2:\n"
                     "dec %0\n"
                     "jnz 1b"
                     : "+r"(n), "+r"(x), "+r"(t), "+r"(taken)
                     : "r"(bit)
                     : "cc");
    return seconds_since(start, (double)rounds);
}

double probe_branch(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    return branch(rig, 0);
}

double probe_branch_random(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    return branch(rig, UINT64_C(1) << 40);
}

/* A store before each fence, as programs have one. */
double probe_fence(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const size_t n = scaled(rig, 50000);
    const uint64_t start = now_ns();
    for (size_t i = 0; i < n; i++) {
        atomic_store_explicit(&own.word, i, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
    }
    return seconds_since(start, (double)n);
}

double probe_mfence(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const size_t n = scaled(rig, 50000);
    const uint64_t start = now_ns();
    for (size_t i = 0; i < n; i++) {
        atomic_store_explicit(&own.word, i, memory_order_relaxed);
        _mm_mfence();
    }
    return seconds_since(start, (double)n);
}

double probe_pause(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const size_t n = scaled(rig, 20000);
    const uint64_t start = now_ns();
    for (size_t i = 0; i < n; i++)
        _mm_pause();
    return seconds_since(start, (double)n);
}

/* ---- the operating system ------------------------------------------------------------------ */

double probe_syscall(struct probe_rig *rig, char *why, size_t size) {
    (void)why, (void)size;
    const size_t n = scaled(rig, 5000);
    const uint64_t start = now_ns();
    for (size_t i = 0; i < n; i++)
        syscall(SYS_getppid);
    return seconds_since(start, (double)n);
}

/* Has the woken thread slept?  Returns whether the kernel says so. */
static bool futex_wait(atomic_uint *word, unsigned expected) {
    return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0) == 0;
}

static void futex_wake(atomic_uint *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* stamps[i]: when the i-th sleep ended; 0 when it was none. */
static void *sleep_again_and_again(void *argument) {
    struct pair *pair = argument;
    pair->pinned = pin(pair->cpu);
    for (unsigned i = 0; i < pair->rounds; i++) {
        bool slept = false;
        atomic_store(&pair->answer, i + 1); /* about to sleep */
        while (atomic_load(&pair->word) == i)
            slept = futex_wait(&pair->word, i) || slept;
        pair->stamps[i] = slept ? now_ns() : 0;
    }
    return NULL;
}

double probe_wake_after(struct probe_rig *rig, unsigned idle_ns, unsigned times, char *why,
                        size_t size) {
    enum { TIMES_MAX = 64 };
    uint64_t running[TIMES_MAX] = {0}, called[TIMES_MAX];
    double latencies[TIMES_MAX];
    struct pair pair = {.rig = rig, .rounds = times, .stamps = running};
    pthread_t thread;
    if (rig->helper < 0)
        return FAIL("there is just one processor");
    if (times > TIMES_MAX)
        return FAIL("at most %d wake-ups a sample", TIMES_MAX);
    if (!pair_start(&pair, &thread, sleep_again_and_again, rig->helper, why, size))
        return -1;
    for (unsigned i = 0; i < times; i++) {
        wait_politely(&pair.answer, i + 1);
        for (const uint64_t start = now_ns(); now_ns() - start < idle_ns;)
            _mm_pause();
        called[i] = now_ns();
        atomic_store(&pair.word, i + 1);
        futex_wake(&pair.word);
    }
    pthread_join(thread, NULL);
    if (!pair.pinned)
        return not_pinned(&pair, why, size);
    size_t n = 0;
    for (unsigned i = 0; i < times; i++)
        if (running[i] > called[i])
            latencies[n++] = (double)(running[i] - called[i]);
    return n == 0 ? FAIL("no thread fell asleep within %u us", idle_ns / 1000)
                  : stats_median(latencies, n) * 1e-9;
}

const unsigned probe_idle_ns[PROBE_IDLES] = {30000,  60000,   120000,  250000,
                                             500000, 1000000, 2500000, 5000000};

double probe_wake(struct probe_rig *rig, char *why, size_t size) {
    return probe_wake_after(rig, 30000, 32, why, size);
}

double probe_wake_deep(struct probe_rig *rig, char *why, size_t size) {
    return probe_wake_after(rig, 10000000, 3, why, size);
}

/* Even words are the first thread's turn, odd ones the second's. */
static void take_turns(struct pair *pair, unsigned parity) {
    for (unsigned i = 0; i < pair->rounds; i++) {
        unsigned seen;
        while (((seen = atomic_load(&pair->word)) & 1) != parity)
            futex_wait(&pair->word, seen);
        atomic_store(&pair->word, seen + 1);
        futex_wake(&pair->word);
    }
}

static void *second_takes_turns(void *argument) {
    struct pair *pair = argument;
    second_begins(pair);
    take_turns(pair, 1);
    return NULL;
}

double probe_handoff(struct probe_rig *rig, char *why, size_t size) {
    struct pair pair = {.rig = rig, .rounds = (unsigned)scaled(rig, 1000)};
    pthread_t thread;
    if (!pair_start(&pair, &thread, second_takes_turns, rig->cpu, why, size))
        return -1;
    wait_politely(&pair.answer, 1);
    const uint64_t start = now_ns();
    take_turns(&pair, 0);
    const double each = seconds_since(start, 2.0 * pair.rounds);
    pthread_join(thread, NULL);
    return pair.pinned ? each : not_pinned(&pair, why, size);
}

double probe_page_fault(struct probe_rig *rig, char *why, size_t size) {
    const size_t pages = scaled(rig, 2000);
    char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return FAIL("mmap: %s", strerror(errno));
    madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
    const uint64_t start = now_ns();
    for (size_t i = 0; i < pages; i++)
        *(volatile char *)(p + i * PAGE) = 1;
    const double each = seconds_since(start, (double)pages);
    munmap(p, pages * PAGE);
    return each;
}

/* One page of a memory object over another one, as copy-on-write between segments needs it.  Every
 * page becomes a mapping of its own: they stand in reverse order, which cannot be merged. */
double probe_map_page(struct probe_rig *rig, char *why, size_t size) {
    if (rig->page_pool == NULL)
        return FAIL("no memory object: memfd_create is not allowed");
    if (mmap(rig->page_pool, (size_t)MAP_PAGES * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED,
             rig->page_file, 0) == MAP_FAILED)
        return FAIL("mmap: %s", strerror(errno));
    const uint64_t start = now_ns();
    for (size_t i = 0; i < MAP_PAGES; i++)
        if (mmap(rig->page_pool + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED | MAP_POPULATE, rig->page_file,
                 (off_t)(MAP_PAGES - 1 - i) * PAGE) == MAP_FAILED)
            return FAIL("mmap: %s", strerror(errno));
    return seconds_since(start, MAP_PAGES);
}

/* ---- interruptions ------------------------------------------------------------------------- */

static void *spin_until_stop(void *argument) {
    struct pair *pair = argument;
    second_begins(pair);
    while (!atomic_load_explicit(&pair->stop, memory_order_relaxed))
        add_streams(100);
    return NULL;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

size_t probe_periodic(const struct probe_gaps *gaps, double period_ns, double *lengths_ns) {
    enum { BINS = 64 }; /* of the period; a gap belongs to two that overlap by half */
    unsigned in_bin[BINS] = {0}, best = 0;
    for (size_t i = 0; i < gaps->count; i++) {
        const double phase = fmod(gaps->start_ns[i], period_ns) / period_ns;
        const unsigned bin = (unsigned)(phase * BINS) % BINS;
        in_bin[bin]++;
        in_bin[(bin + BINS - 1) % BINS]++;
    }
    for (unsigned b = 1; b < BINS; b++)
        if (in_bin[b] > in_bin[best])
            best = b;
    size_t n = 0;
    for (size_t i = 0; i < gaps->count; i++) {
        const double phase = fmod(gaps->start_ns[i], period_ns) / period_ns;
        const unsigned bin = (unsigned)(phase * BINS) % BINS;
        if (bin == best || bin == (best + 1) % BINS)
            lengths_ns[n++] = gaps->length_ns[i];
    }
    qsort(lengths_ns, n, sizeof *lengths_ns, by_value);
    return n;
}

bool probe_watch(struct probe_rig *rig, double seconds, double threshold_ns, bool contended,
                 struct probe_gaps *gaps, char *why, size_t size) {
    struct pair pair = {.rig = rig};
    pthread_t thread;
    size_t n = 0;
    gaps->count = 0;
    if (contended) {
        if (!pair_start(&pair, &thread, spin_until_stop, rig->cpu, why, size))
            return false;
        wait_politely(&pair.answer, 1);
    }
    const uint64_t begin = now_ns();
    for (uint64_t last = begin, t; (double)(last - begin) < seconds * 1e9; last = t) {
        t = now_ns();
        if ((double)(t - last) > threshold_ns && n < PROBE_GAPS_MAX) {
            gaps->start_ns[n] = (double)(last - begin);
            gaps->length_ns[n++] = (double)(t - last);
        }
    }
    gaps->count = n;
    if (contended) {
        atomic_store(&pair.stop, true);
        pthread_join(thread, NULL);
    }
    return true;
}

/* ---- the rig ------------------------------------------------------------------------------- */

static bool page_pool_make(struct probe_rig *rig) {
    rig->page_file = memfd_create("allcores-probe", MFD_CLOEXEC);
    if (rig->page_file < 0)
        return true; /* told when it is measured */
    void *p = MAP_FAILED;
    if (ftruncate(rig->page_file, (off_t)MAP_PAGES * PAGE) == 0)
        p = mmap(NULL, (size_t)MAP_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, rig->page_file,
                 0);
    if (p == MAP_FAILED)
        return false;
    memset(p, 1, (size_t)MAP_PAGES * PAGE);
    rig->page_pool = p;
    return true;
}

static bool mix_table_make(struct probe_rig *rig) {
    uint64_t state = 12345;
    rig->mix_table = aligned_alloc(PAGE, 2 * MIX_WORDS * sizeof *rig->mix_table);
    for (size_t i = 0; rig->mix_table != NULL && i < 2 * MIX_WORDS; i++)
        rig->mix_table[i] = (xorshift(&state) >> 20) % MIX_WORDS;
    return rig->mix_table != NULL;
}

bool probe_rig_make(struct probe_rig *rig, const size_t footprints[4], char *why, size_t size) {
    rig->page_file = -1;
    if (!pin(rig->cpu)) {
        snprintf(why, size, "this program may not run on processor %d: %s", rig->cpu,
                 strerror(errno));
        return false;
    }
    const size_t line = rig->line;
    if (!ring_make(&rig->l1, footprints[0], line, false, 1) ||
        !ring_make(&rig->l2, footprints[1], line, true, 2) ||
        !ring_make(&rig->l3, footprints[2], line, true, 3) ||
        !ring_make(&rig->dram, footprints[3], line, true, 4) ||
        !ring_make(&rig->small_pages_l2, footprints[1], line, false, 5) ||
        !ring_make(&rig->small_pages_dram, footprints[3], line, false, 6) ||
        !ring_make(&rig->handed, 2 * line * HANDED_LINES, 2 * line, false, 7) ||
        !mix_table_make(rig) || !page_pool_make(rig)) {
        snprintf(why, size, "out of memory: the largest buffer is %zu MiB", footprints[3] >> 20);
        return false;
    }
    return true;
}

void probe_rig_free(struct probe_rig *rig) {
    struct probe_ring *const rings[] = {
        &rig->l1,    &rig->l2, &rig->l3, &rig->dram, &rig->small_pages_l2, &rig->small_pages_dram,
        &rig->handed};
    for (size_t i = 0; i < sizeof rings / sizeof *rings; i++)
        ring_free(rings[i]);
    free(rig->mix_table);
    if (rig->page_pool != NULL)
        munmap(rig->page_pool, (size_t)MAP_PAGES * PAGE);
    if (rig->page_file >= 0)
        close(rig->page_file);
    *rig = (struct probe_rig){0};
}
