/*
 * machine.h - the seam between engines/workloads and the machine they run on.
 *
 * Engine and workload code is plain C11 (loads, stores, <stdatomic.h>); this header holds what C
 * has no word for.  The build appends the machine's name to every symbol that begins with
 * `machine_`, so one binary can hold several machines.  All functions are thread-safe unless they
 * say otherwise.
 */
#ifndef ALLCORES_MACHINE_H
#define ALLCORES_MACHINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- time ---------------------------------------------------------------------------------- */

/* Monotonic nanoseconds since an arbitrary start.  Native: CLOCK_MONOTONIC. */
uint64_t machine_now_ns(void);

/* ---- waiting ------------------------------------------------------------------------------- */

/* A hint inside spin loops (PAUSE).  The build says TM_SIMULATED where code is compiled for a
 * simulated machine: there it takes the time that the profile says, and others get their turn. */
#ifdef TM_SIMULATED
void machine_cpu_relax(void);
#else
static inline void machine_cpu_relax(void) { __builtin_ia32_pause(); }
#endif

/* Sleeps while *word == expected, at most timeout_ns (UINT64_MAX: without limit).  May return early
 * for no reason: the caller checks its condition again.  Returns false when the time ran out.
 * futex(2), FUTEX_WAIT_PRIVATE. */
bool machine_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns);

/* Wakes up to n threads that sleep on *word. */
void machine_wake(_Atomic uint32_t *word, unsigned n);

/* The calling thread gives up its processor to whoever is runnable. */
void machine_yield(void);

/*
 * A full memory barrier on every thread of the process, executed by the caller (membarrier(2),
 * PRIVATE_EXPEDITED).  It pairs with a mere compiler barrier on the other side, which makes the
 * common side of an asymmetric Dekker handshake free.  Costs microseconds.
 */
void machine_heavy_barrier(void);
/* The other side of that handshake. */
static inline void machine_light_barrier(void) { atomic_signal_fence(memory_order_seq_cst); }

/* ---- memory -------------------------------------------------------------------------------- */

/* Uninitialised memory, 16-byte aligned; NULL when out of memory.  Owned by the caller. */
void *machine_alloc(size_t bytes);
/* Zeroed memory aligned to `align` (a power of two, at least 16). */
void *machine_alloc_aligned(size_t bytes, size_t align);
/* Both kinds go back here; NULL is allowed. */
void machine_free(void *p);

/*
 * A number that only speed depends on, such as how many things to collect before they are worked
 * off, or how often to look before going to sleep: `usual`, or 1 on a machine that explores
 * schedules, so that small programs get behind it.
 */
#ifdef TM_SIMULATED
unsigned machine_batch(unsigned usual);
#else
static inline unsigned machine_batch(unsigned usual) { return usual; }
#endif

/* ---- pages (memory that is mapped at several addresses) ---------------------------------------
 */

/* An object of `bytes` zero bytes whose pages can be mapped, at several addresses at a time.
 * Returns its number, or a negative errno.  memfd_create(2): sparse, memory is taken by use. */
int machine_object_open(const char *name, size_t bytes);
void machine_object_close(int object);
/* Copies bytes into the object at byte `at`, whether or not that is mapped anywhere. */
bool machine_object_write(int object, uint64_t at, const void *from, size_t bytes);
/* The object's pages there are zero again and take no memory, where the system can do that. */
void machine_object_punch(int object, uint64_t at, size_t bytes);

enum machine_access { MACHINE_NO_ACCESS, MACHINE_READ_ONLY, MACHINE_READ_WRITE };

/* Address space, zero when it is accessible; memory is taken by use.  NULL and errno on failure. */
void *machine_reserve(size_t bytes, enum machine_access access);
void machine_unreserve(void *start, size_t bytes);
/* The pages from `at` on become those of the object from byte `from` on, in one atomic step for
 * other threads.  `populate`: make them accessible at once instead of at first touch.  False and
 * errno on failure.  mmap(2) with MAP_SHARED | MAP_FIXED. */
bool machine_map(void *at, size_t bytes, int object, uint64_t from, enum machine_access access,
                 bool populate);
/* The pages become zero and private to this address, or inaccessible. */
bool machine_map_anonymous(void *at, size_t bytes, enum machine_access access);
/* Anonymous pages are zero again.  madvise(2), MADV_DONTNEED. */
bool machine_zero_pages(void *at, size_t bytes);
/* resident[i]: nonzero when the i-th page has memory.  mincore(2). */
bool machine_resident_pages(void *at, size_t bytes, unsigned char *resident);
/* The system may find out only when a page of an object is touched that it has no memory for.  The
 * program then ends, with this line on stderr if the address lies in [start, start + bytes).  NULL:
 * no more.  One range at a time.  SIGBUS. */
void machine_explain_no_memory(const void *start, size_t bytes, const char *line);
/* How many mappings the system allows, about (vm.max_map_count). */
long machine_mappings_max(void);

/* Called in the thread that touched an inaccessible page, at that very access, which is repeated
 * when it returns true; false: nobody's business, the program ends there.  One handler at a time.
 */
typedef bool machine_fault_handler(uintptr_t address);
void machine_catch_faults(machine_fault_handler *handler);
void machine_ignore_faults(void);

/* %gs of the calling thread begins at `base`, for accesses through __seg_gs.  False: neither
 * FSGSBASE nor arch_prctl(2) works. */
bool machine_set_gs(const void *base);

/* The line is about to be loaded, or stored to: the processor may begin to fetch it, for storing
 * without being sent for twice.  Never faults.  PREFETCHT0, PREFETCHW. */
#ifdef TM_SIMULATED
void machine_expect_load(const void *line);
void machine_expect_store(const void *line);
#else
static inline void machine_expect_load(const void *line) { __builtin_prefetch(line); }
static inline void machine_expect_store(const void *line) {
    __asm__("prefetchw %0" ::"m"(*(const char *)line));
}
#endif

/* ---- hardware transactions ------------------------------------------------------------------ */

/*
 * Intel's RTM (SDM vol. 1, "Programming with Intel TSX"), on every machine in its terms.  Only
 * where `htm_unavailable` of struct machine says NULL.
 *
 * machine_tx_begin returns MACHINE_TX_STARTED inside of a new transaction.  When that aborts, all
 * that it stored is undone, and the same call returns once more, outside of any transaction and
 * with the stack and the registers as they were, this time with the status: a set of the bits below
 * (0 is a legal one).  So the frame of its caller must still be live, as nobody restores one that
 * has returned.  Nesting is flat: an abort leads to the outermost begin.
 */
/* NULL where transactions may commit, otherwise why not.  Simulated: of the profile that is open;
 * without one, of no profile in particular, so NULL. */
const char *machine_tx_unavailable(void);

#define MACHINE_TX_STARTED (~0U)
enum {
    MACHINE_TX_EXPLICIT = 1 << 0, /* machine_tx_abort; its code is in bits 31:24 */
    MACHINE_TX_RETRY = 1 << 1,    /* may succeed when it is tried again; never with EXPLICIT */
    MACHINE_TX_CONFLICT = 1 << 2,
    MACHINE_TX_CAPACITY = 1 << 3,
    MACHINE_TX_DEBUG = 1 << 4,
    MACHINE_TX_NESTED = 1 << 5, /* a nested transaction was running */
    MACHINE_TX_CODE_SHIFT = 24
};

#ifdef TM_SIMULATED
unsigned machine_tx_begin(void);
/* Ends the innermost; the outermost one commits.  Outside of transactions: the program's error. */
void machine_tx_end(void);
/* Aborts with EXPLICIT and the code (0 to 255) when inside of a transaction, otherwise nothing. */
void machine_tx_abort(unsigned code);
/* Is a transaction running? */
bool machine_tx_test(void);
#else
/* By assembly instead of the intrinsics, which would want -mrtm for all of a file, and with it for
 * the engines beside. */
static inline __attribute__((always_inline)) unsigned machine_tx_begin(void) {
    unsigned status = MACHINE_TX_STARTED;
    __asm__ volatile("xbegin 1f\n1:" : "+a"(status)::"memory");
    return status;
}
static inline __attribute__((always_inline)) void machine_tx_end(void) {
    __asm__ volatile("xend" ::: "memory");
}
/* `code`: a constant. */
#define machine_tx_abort(code) __asm__ volatile("xabort %0" ::"i"(code) : "memory")
static inline __attribute__((always_inline)) bool machine_tx_test(void) {
    bool inside;
    __asm__ volatile("xtest\n\tsetnz %0" : "=r"(inside)::"cc", "memory");
    return inside;
}
#endif

/* ---- blocking calls ------------------------------------------------------------------------ */

/* pipe2(2), write(2) and read(2) of this machine's operating system; negative errno on failure. */
int machine_pipe(int fds[2], size_t capacity_bytes, bool nonblocking);
ssize_t machine_write(int fd, const void *buffer, size_t bytes);
ssize_t machine_read(int fd, void *buffer, size_t bytes);
void machine_close(int fd);

/* ---- the machine as the harness sees it ---------------------------------------------------- */

struct machine_explorer; /* explore.h */

struct machine_thread; /* one running thread, owned by the machine from spawn to join */

/* A profile of a simulated machine. */
struct machine_description {
    char title[128];
    bool hypothetical;         /* no such machine was ever sold: every label says so */
    unsigned hardware_threads; /* in all */
    char htm_unavailable[96];  /* why it has no hardware transactions; "": it has */
};

/* Why a transaction of a simulated machine aborted, which the status only hints at. */
enum machine_tx_cause {
    MACHINE_TX_BY_CONFLICT,       /* another thread wanted a line of it */
    MACHINE_TX_BY_FALSE_SHARING,  /* likewise, but no byte that either is known to have used */
    MACHINE_TX_BY_READ_CAPACITY,  /* a line that was read left the caches that track it */
    MACHINE_TX_BY_WRITE_CAPACITY, /* a line that was written left its cache, or the store cache is
                                     full */
    MACHINE_TX_BY_ASSOCIATIVITY,  /* likewise, though all that was written would fill half of it */
    MACHINE_TX_BY_INTERRUPT,
    MACHINE_TX_BY_SYSCALL,
    MACHINE_TX_BY_FAULT, /* first touch of a page, or an inaccessible one */
    MACHINE_TX_BY_PAUSE,
    MACHINE_TX_BY_EXPLICIT, /* machine_tx_abort */
    MACHINE_TX_BY_NESTING,  /* too deep */
    MACHINE_TX_BY_NOTHING,  /* the profile's rate of spurious aborts */
    MACHINE_TX_BY_INJECTION,
    MACHINE_TX_CAUSES
};
/* In the order of the causes, for tables and files. */
#define MACHINE_TX_CAUSE_NAMES                                                                     \
    "conflict", "false_sharing", "read_capacity", "write_capacity", "associativity", "interrupt",  \
        "syscall", "fault", "pause", "explicit", "nesting", "spurious", "injected"

/* What a simulated machine did since it was opened. */
struct machine_counters {
    uint64_t accesses;     /* to memory, of the simulated threads */
    uint64_t instructions; /* executed by them */
    uint64_t l1_misses, l2_misses, l3_misses;
    uint64_t upgrades;    /* lines held shared that were made exclusive */
    uint64_t transfers;   /* lines that came from another core's cache */
    uint64_t page_faults; /* first touches of a page */
    uint64_t switches; /* from one hardware thread to the next on the host: what simulating cost */
    uint64_t context_switches;             /* of the simulated operating system */
    uint64_t tx_begins, tx_commits;        /* hardware transactions, outermost */
    uint64_t tx_aborts[MACHINE_TX_CAUSES]; /* begins that are in neither still run */
    uint64_t tx_wasted_ns;                 /* in transactions that aborted */
};

/* Hardware transactions for the harness's kernels, which are not instrumented: machine_tx_* as
 * functions, and what a simulated machine must be told before each access (NULL on a real one). */
struct machine_transactions {
    unsigned (*begin)(void);
    void (*end)(void);
    void (*abort)(void); /* with the code 1 */
    void (*access)(const volatile void *address, size_t bytes, bool write);
    void *(*alloc)(size_t bytes);
    void (*free)(void *p);
};

struct machine {
    const char *name;
    const char *help;
    /* NULL when usable, otherwise why not. */
    const char *(*unavailable)(void);
    unsigned (*max_threads)(void); /* the largest thread count worth asking for: an upper limit */
    /* Starts fn(argument) on the machine's processor for thread `index` (spread over physical cores
     * first, then over their hardware threads, then around again).  NULL and errno on failure. */
    struct machine_thread *(*spawn)(unsigned index, void (*fn)(void *), void *argument);
    void (*join)(struct machine_thread *thread);
    uint64_t (*now_ns)(void);
    /* Processor time of the calling thread in nanoseconds; NULL when there is no such clock. */
    uint64_t (*cpu_ns)(void);
    /* machine_wait and machine_wake, for the harness's start barrier. */
    bool (*wait)(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns);
    void (*wake)(_Atomic uint32_t *word, unsigned n);
    /* Hardware transactions: NULL when a probe transaction committed, otherwise the reason.
     * Simulated: as machine_tx_unavailable. */
    const char *(*htm_unavailable)(void);
    const struct machine_transactions *transactions;

    /* ---- simulated machines only; all NULL and false on a real one --------------------------- */

    bool simulated;
    /* Names of the profiles that are built in, NULL-terminated. */
    const char *const *(*profiles)(void);
    /* What a profile with these overrides would be, without opening it.  False and `why` as open.
     */
    bool (*describe)(const char *profile, const char *const *overrides, size_t override_count,
                     struct machine_description *description, char *why, size_t why_size);
    /*
     * Before an engine is started for one sample: the machine that `profile` describes, with
     * `override_count` overrides "key=value" in order, in its first state (memory empty, caches
     * cold, clocks at 0).  A sample is a function of program, profile, overrides, seed and request.
     * False and one line in `why` (what, where, what would be right) when the profile or an
     * override is refused or memory is out.  Nothing is open yet; the strings are not kept.
     *
     * Between `spawn`, which runs nothing, and `join`, which runs the machine until that thread has
     * ended, time stands still; what the calling thread itself does (setup, verification) is not
     * modelled and takes no time.  One host thread makes all calls.
     */
    bool (*open)(const char *profile, const char *const *overrides, size_t override_count,
                 uint64_t seed, char *why, size_t why_size);
    /* Behind the engine's stop: everything is given back. */
    void (*close)(void);
    /* Memory of the simulated program, between open and close, in bytes. */
    uint64_t (*resident_bytes)(void);
    /* Between open and close. */
    void (*counters)(struct machine_counters *counters);
    const struct machine_explorer *explorer; /* schedule exploration (explore.h) */
};

/* Machines register here: TM_REGISTER(tm_machines, struct machine, name). */

#endif
