/*
 * probe_kernels.h - the micro-benchmarks of `allcores machine probe`: one function a quantity, each
 * call one sample.
 *
 * Methods follow McVoy and Staelin, "lmbench: Portable tools for performance analysis" (USENIX
 * 1996): dependent loads around a random cycle for latencies, ping-pong between threads for
 * everything that two processors are needed for.
 *
 * x86-64 Linux.  Not thread-safe: one rig at a time, used by the thread that made it (kernels start
 * threads of their own and end them).
 */
#ifndef ALLCORES_PROBE_KERNELS_H
#define ALLCORES_PROBE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROBE_LINE_MAX = 256, PROBE_IDLES = 8 };

/* A buffer whose lines are a random cycle: the word at the start of each line is the address of the
 * next one. */
struct probe_ring {
    char *base;
    size_t bytes; /* of the footprint */
    size_t mapped_bytes;
    size_t stride, lines;
    uint32_t *order;  /* the cycle: line order[i] points to line order[i + 1] */
    void *cursor;     /* where the next sample goes on */
    bool huge;        /* asked for huge pages */
    bool huge_gotten; /* and the kernel says it gave at least half of it in them */
};

/* What the kernels work with.  Made by probe_rig_make. */
struct probe_rig {
    unsigned scale; /* work of a sample in percent: 100, less when it must be quick */
    int cpu;        /* operating system's number of the processor that measures */
    int sibling;    /* another hardware thread of its core; -1: there is none */
    int partner[3]; /* on another core of the same L3, of the same socket, of another socket; -1 */
    int helper;     /* any other processor; -1: there is just one */
    size_t line;    /* bytes */
    struct probe_ring l1, l2, l3, dram; /* footprints inside of each level; dram is flushed first */
    struct probe_ring small_pages_l2, small_pages_dram; /* the same in 4 KiB pages */
    struct probe_ring handed; /* lines that another core has just modified or read */
    uint64_t *mix_table;      /* of the instruction mix */
    char *page_pool;          /* of map_page */
    int page_file;
};

/*
 * One sample.  Seconds for each operation; negative: it could not be measured, and `why` (one line,
 * size bytes) says why.
 */
typedef double probe_kernel(struct probe_rig *rig, char *why, size_t size);

probe_kernel probe_add_chain;   /* dependent additions of registers: a cycle each */
probe_kernel probe_mul_chain;   /* dependent multiplications: three cycles each, as a check */
probe_kernel probe_add_streams; /* eight independent chains: as many a cycle as there are units */
probe_kernel probe_add_streams_helper;  /* the same while `helper` does it too */
probe_kernel probe_add_streams_sibling; /* the same while the sibling does it too */
/* A branch a round, on a bit of an xorshift generator: always 0, or random. */
probe_kernel probe_branch, probe_branch_random;
probe_kernel probe_l1, probe_l2, probe_l3, probe_dram; /* dependent loads */
probe_kernel probe_l2_small_pages, probe_dram_small_pages;
probe_kernel probe_l2_independent;  /* loads that do not wait for each other */
probe_kernel probe_l2_stores;       /* stores, likewise */
probe_kernel probe_mix;             /* one instruction of the mix */
probe_kernel probe_mix_sibling;     /* the same while the sibling does it too */
probe_kernel probe_mix_registers;   /* of the mix with its loads and stores replaced by moves */
probe_kernel probe_transfer_group;  /* dependent loads of lines modified by partner[0] */
probe_kernel probe_transfer_socket; /* by partner[1] */
probe_kernel probe_transfer_remote; /* by partner[2] */
probe_kernel probe_upgrade;         /* dependent locked additions to lines that two cores share */
probe_kernel probe_ping_pong;       /* a flag handed over by a store, one way */
probe_kernel probe_locked_add, probe_xchg, probe_cas;
probe_kernel probe_fence;  /* as the compiler makes atomic_thread_fence(memory_order_seq_cst) */
probe_kernel probe_mfence; /* the instruction of that name */
probe_kernel probe_pause;
probe_kernel probe_syscall;   /* getppid */
probe_kernel probe_wake;      /* futex wake-up to the woken thread running, asleep for 30 us */
probe_kernel probe_wake_deep; /* the same, asleep for 10 ms */
probe_kernel probe_handoff;   /* futex ping-pong on one processor, one way */
probe_kernel probe_page_fault;
probe_kernel probe_map_page;

/* Wake-up after each of these idle times, in ns. */
extern const unsigned probe_idle_ns[PROBE_IDLES];
double probe_wake_after(struct probe_rig *rig, unsigned idle_ns, unsigned times, char *why,
                        size_t size);

/* What took the processor away from a loop that looks at the clock, in the order of time. */
enum { PROBE_GAPS_MAX = 4096 };
struct probe_gaps {
    size_t count;
    double start_ns[PROBE_GAPS_MAX]; /* since the first look */
    double length_ns[PROBE_GAPS_MAX];
};

/*
 * Watches the clock for `seconds` on rig->cpu and notes every gap of more than `threshold_ns`, with
 * a second thread competing for the processor if `contended`.
 */
bool probe_watch(struct probe_rig *rig, double seconds, double threshold_ns, bool contended,
                 struct probe_gaps *gaps, char *why, size_t size);

/*
 * Lengths of those gaps that come at the same phase of a period (the timer's: others come at any),
 * sorted, into lengths_ns[PROBE_GAPS_MAX]; returns how many.  A pure function.
 */
size_t probe_periodic(const struct probe_gaps *gaps, double period_ns, double *lengths_ns);

/*
 * The cycle: next[i] follows line i; all `lines` of them are on one cycle (Sattolo's algorithm,
 * CACM 1986), a pure function of the seed.  lines > 0.
 */
void probe_cycle(uint32_t *next, uint32_t lines, uint64_t seed);

/*
 * `cpu` and the others must be set; footprints in bytes of l1, l2, l3, dram.  Pins the calling
 * thread to rig->cpu.  False and `why` when memory is out.  probe_rig_free in any case.
 */
bool probe_rig_make(struct probe_rig *rig, const size_t footprints[4], char *why, size_t size);
void probe_rig_free(struct probe_rig *rig);

/* Instructions, loads and stores in one round of the mix, and what it consists of. */
enum { PROBE_MIX_INSTRUCTIONS = 20, PROBE_MIX_LOADS = 5, PROBE_MIX_STORES = 2 };
extern const char probe_mix_text[];

#endif
