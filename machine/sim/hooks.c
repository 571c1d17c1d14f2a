/*
 * hooks.c - what gcc's instrumentation calls: the front end of the simulator.
 *
 * Cells of this machine are compiled with -fsanitize=thread and -fsanitize-coverage=trace-pc, and
 * this file is the runtime instead of libtsan (interface: gcc 12, gcc/sanitizer.def and
 * gcc/builtin-types.def).  A hook is called before the access that it tells about; between its
 * return and the access nothing else runs.  Atomic operations are made here.
 *
 * Model
 * - A load and a plain, relaxed or release store are what x86 makes of them: a hit in the own L1
 *   runs ahead as far as the profile's lead allows, everything else is ordered.
 * - A read-modify-write operation, a failing compare-and-exchange and a sequentially consistent
 *   store are locked instructions: ordered.
 * - A sequentially consistent fence is ordered; weaker ones cost nothing on x86.
 * - Library functions that read or write memory, called from instrumented code, are the copies at
 *   the end of this file: their accesses go line by line.
 *
 * All of it runs on the host's one thread.
 */
#include "block.h"
#include "htm.h"
#include "internal.h"

#include <string.h>

/* gcc knows some of these as built-in functions and wants to see no prototype of its own kind. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wbuiltin-declaration-mismatch"

#define HOT __attribute__((hot, aligned(64)))

typedef __int128 int128;

/*
 * The address as the caches know it: gcc hands the hook the bare offset of a %gs access, see
 * SIM_GS_BITS.  The branch costs other engines' cells less than a conditional move would (1 % of
 * the host's time, against 3 %), and c7's too.
 */
static inline __attribute__((always_inline)) uintptr_t linear(const struct sim_cpu *c,
                                                              const volatile void *p) {
    const uintptr_t address = (uintptr_t)p;
    return __builtin_expect(address >> SIM_GS_BITS == 0, 0) ? address + c->gs : address;
}

/* The same for the operations that hooks make themselves. */
#define LINEAR(p) ((__typeof__(p))linear(sim_cpu_now, p))

/* ---- blocks --------------------------------------------------------------------------------- */

/*
 * Branch prediction.  A block predicts the one behind it, by itself and by the path that led to it,
 * and remembers which of the two is right more often (S. McFarling, "Combining branch predictors",
 * DEC WRL TN-36, 1993, with blocks in the place of taken and not taken).  One table for all
 * hardware threads: they run the same program, and a table for each would cost the host its caches.
 */
enum { BLOCKS = 4096, PATHS = 8192, CONFIDENT = 3, BY_PATH = 4 };
struct prediction {
    uint32_t block;
    uint8_t confidence, choice; /* choice, of blocks: at least BY_PATH: the path knows better */
};
static struct prediction by_block[BLOCKS], by_path[PATHS];

void sim_flow_reset(void) {
    memset(by_block, 0, sizeof by_block);
    memset(by_path, 0, sizeof by_path);
}

static inline __attribute__((always_inline)) bool learn(struct prediction *p, uint32_t block) {
    const bool right = p->block == block;
    if (__builtin_expect(right, 1)) {
        p->confidence += p->confidence < CONFIDENT;
    } else if (p->confidence > 0) {
        p->confidence--;
    } else {
        p->block = block;
    }
    return right;
}

/* `block` comes behind f->block. */
static inline __attribute__((always_inline)) void follow(struct sim_cpu *c, uint32_t block) {
    struct sim_flow *f = &c->flow;
    struct prediction *b = &by_block[(f->block >> 2 ^ f->block >> 10) % BLOCKS];
    struct prediction *p = &by_path[f->path % PATHS];
    const bool trusted = b->choice >= BY_PATH, b_right = learn(b, block), p_right = learn(p, block);
    if (b_right != p_right) {
        if (p_right)
            b->choice += b->choice < 2 * BY_PATH - 1;
        else
            b->choice -= b->choice > 0;
    }
    f->path = (f->path << 3 ^ block >> 2) & 0xffffff;
    f->path ^= f->path >> 13;
    if (__builtin_expect(!(trusted ? p_right : b_right), 0)) {
        /* It is found out when the condition is known, which hangs on the last load as a rule. */
        if (c->clock < f->last_ready)
            c->clock = f->last_ready;
        c->clock += f->branch_miss;
    }
}

HOT void __sanitizer_cov_trace_pc(void) {
    struct sim_cpu *c = sim_cpu_now;
    const uintptr_t pc = (uintptr_t)__builtin_return_address(0);
    const uint32_t block = (uint32_t)(pc - sim_block_text); /* the host may put the text anywhere */
    const uint64_t n = sim_block_instructions(pc);
    c->instructions += n;
    uint64_t ticks = n * c->ticks_per_instruction;
    if (block == c->flow.block) { /* a loop of one block: a round waits for the one before */
        const uint64_t round = (uint64_t)sim_block_round(pc) * SIM_TICKS;
        ticks = round > ticks ? round : ticks;
    }
    c->clock += ticks;
    if (c->flow.branch_miss != 0)
        follow(c, block);
    c->flow.block = block;
}

/* ---- plain accesses ------------------------------------------------------------------------- */

/* Slow paths: which instruction of the program it is about. */
#define HERE() ((void)(sim_explore_pc = __builtin_return_address(0)))

/* When the address of a load is known, ticks.  `p`: as the program has it. */
static inline __attribute__((always_inline)) uint64_t address_known(struct sim_cpu *c,
                                                                    const volatile void *p) {
    struct sim_flow *f = &c->flow;
    f->value[f->slot] = *f->last;
    uint64_t known = c->clock;
    for (unsigned i = 0; i < SIM_LOADS; i++) {
        const uint64_t ready = (uintptr_t)p - f->value[i] < SIM_NEAR_BYTES ? f->ready[i] : 0;
        known = ready > known ? ready : known;
    }
    return known;
}

/* A load of a value that is there at `ready`. */
static inline __attribute__((always_inline)) void loads(struct sim_cpu *c, uintptr_t address,
                                                        size_t bytes, uint64_t ready) {
    struct sim_flow *f = &c->flow;
    f->last_ready = ready;
    if (bytes == sizeof(uint64_t)) {
        f->slot = (f->slot + 1) % SIM_LOADS;
        f->ready[f->slot] = ready;
        f->last = (const uint64_t *)address;
    }
    if (c->clock + f->window < ready)
        c->clock = ready - f->window;
}

/* Not a hit, or not its turn.  Apart, so that a hit needs no registers saved. */
static __attribute__((noinline)) void touch_slowly(const volatile void *p, size_t bytes,
                                                   enum sim_right right) {
    struct sim_cpu *c = sim_cpu_now;
    const uintptr_t address = linear(c, p);
    if (right == SIM_WRITE || c->dummy || sim_exploring) {
        (void)sim_access(c, address, bytes, right);
        return;
    }
    const uint64_t known = address_known(c, p) - c->clock;
    const uint64_t latency = sim_access(c, address, bytes, right);
    c = sim_cpu_now;
    loads(c, address, bytes, c->clock + known + latency);
}

/* `bytes` within a line. */
static inline __attribute__((always_inline)) void touch(const volatile void *p, size_t bytes,
                                                        enum sim_right right) {
    struct sim_cpu *c = sim_cpu_now;
    const uintptr_t address = linear(c, p);
    if (__builtin_expect(c->clock < c->horizon && sim_memory_hit(c->port, address, right), 1)) {
        c->accesses++;
        if (right == SIM_READ)
            loads(c, address, bytes, address_known(c, p) + c->l1_latency);
        c->clock += c->l1_ticks;
        return;
    }
    HERE();
    touch_slowly(p, bytes, right);
}

/* `bytes` that may cross a line. */
static inline __attribute__((always_inline)) void touch_any(const volatile void *p, size_t bytes,
                                                            enum sim_right right) {
    struct sim_cpu *c = sim_cpu_now;
    const uintptr_t address = linear(c, p);
    const unsigned shift = c->port->line_shift;
    if (__builtin_expect(address >> shift == (address + bytes - 1) >> shift, 1))
        touch(p, bytes, right);
    else {
        HERE();
        sim_access(c, address, bytes, right);
    }
}

#define PLAIN(bytes)                                                                               \
    HOT void __tsan_read##bytes(void *p) { touch(p, bytes, SIM_READ); }                            \
    HOT void __tsan_write##bytes(void *p) { touch(p, bytes, SIM_WRITE); }                          \
    void __tsan_volatile_read##bytes(void *p) { touch(p, bytes, SIM_READ); }                       \
    void __tsan_volatile_write##bytes(void *p) { touch(p, bytes, SIM_WRITE); }                     \
    void __tsan_unaligned_read##bytes(void *p) { touch_any(p, bytes, SIM_READ); }                  \
    void __tsan_unaligned_write##bytes(void *p) { touch_any(p, bytes, SIM_WRITE); }                \
    void __tsan_unaligned_volatile_read##bytes(void *p) { touch_any(p, bytes, SIM_READ); }         \
    void __tsan_unaligned_volatile_write##bytes(void *p) { touch_any(p, bytes, SIM_WRITE); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

/* Vectors of which gcc does not know that they are aligned, and structures. */
HOT void __tsan_read_range(void *p, size_t bytes) { touch_any(p, bytes, SIM_READ); }
HOT void __tsan_write_range(void *p, size_t bytes) { touch_any(p, bytes, SIM_WRITE); }

/* C++ only, but part of the interface. */
void __tsan_vptr_update(void *p, void *value) {
    (void)value;
    touch(p, sizeof(void *), SIM_WRITE);
}
void __tsan_vptr_read(void *p) { touch(p, sizeof(void *), SIM_READ); }

void __tsan_init(void) {}
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void) {}

/* ---- atomic operations ---------------------------------------------------------------------- */

#define FETCH(bits, type, operation)                                                               \
    type __tsan_atomic##bits##_fetch_##operation(volatile type *p, type v, int order) {            \
        (void)order;                                                                               \
        HERE();                                                                                    \
        p = LINEAR(p);                                                                             \
        sim_locked((uintptr_t)p, sizeof(type));                                                    \
        return __atomic_fetch_##operation(p, v, __ATOMIC_RELAXED);                                 \
    }
#define COMPARE(bits, type, strength)                                                              \
    int __tsan_atomic##bits##_compare_exchange_##strength(volatile type *p, type *expected,        \
                                                          type v, int order, int failure) {        \
        (void)order, (void)failure;                                                                \
        HERE();                                                                                    \
        p = LINEAR(p);                                                                             \
        sim_locked((uintptr_t)p, sizeof(type));                                                    \
        return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_RELAXED,                \
                                           __ATOMIC_RELAXED);                                      \
    }
#define ATOMIC(bits, type)                                                                         \
    HOT type __tsan_atomic##bits##_load(const volatile type *p, int order) {                       \
        (void)order;                                                                               \
        p = LINEAR(p);                                                                             \
        touch(p, sizeof(type), SIM_READ);                                                          \
        return __atomic_load_n(p, __ATOMIC_RELAXED);                                               \
    }                                                                                              \
    HOT void __tsan_atomic##bits##_store(volatile type *p, type v, int order) {                    \
        HERE();                                                                                    \
        p = LINEAR(p);                                                                             \
        if (order == __ATOMIC_SEQ_CST)                                                             \
            sim_locked((uintptr_t)p, sizeof(type));                                                \
        else                                                                                       \
            touch(p, sizeof(type), SIM_WRITE);                                                     \
        __atomic_store_n(p, v, __ATOMIC_RELAXED);                                                  \
    }                                                                                              \
    type __tsan_atomic##bits##_exchange(volatile type *p, type v, int order) {                     \
        (void)order;                                                                               \
        HERE();                                                                                    \
        p = LINEAR(p);                                                                             \
        sim_locked((uintptr_t)p, sizeof(type));                                                    \
        return __atomic_exchange_n(p, v, __ATOMIC_RELAXED);                                        \
    }                                                                                              \
    FETCH(bits, type, add)                                                                         \
    FETCH(bits, type, sub)                                                                         \
    FETCH(bits, type, and)                                                                         \
    FETCH(bits, type, or)                                                                          \
    FETCH(bits, type, xor)                                                                         \
    FETCH(bits, type, nand)                                                                        \
    COMPARE(bits, type, strong)                                                                    \
    COMPARE(bits, type, weak)                                                                      \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *p, type expected, type v,       \
                                                    int order, int failure) {                      \
        (void)order, (void)failure;                                                                \
        HERE();                                                                                    \
        p = LINEAR(p);                                                                             \
        sim_locked((uintptr_t)p, sizeof(type));                                                    \
        __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);   \
        return expected;                                                                           \
    }
ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_atomic_thread_fence(int order) {
    HERE();
    if (order == __ATOMIC_SEQ_CST)
        sim_fence();
}
void __tsan_atomic_signal_fence(int order) { (void)order; } /* for the compiler alone */

/* ---- library functions ---------------------------------------------------------------------- */

/*
 * The build (machine.mk) makes instrumented code call these instead of the C library's.  The work
 * is counted as WIDE bytes per load or store, as the library's vector code does it, and CALL for
 * getting there.
 */
enum { WIDE = 32, CALL = 12 };

static void charge(const void *read, const void *written, size_t bytes) {
    struct sim_cpu *c = sim_cpu_now;
    if (!c->dummy)
        sim_instructions(c, CALL + 2 * (bytes / WIDE));
    if (read != NULL)
        sim_access(c, (uintptr_t)read, bytes, SIM_READ);
    if (written != NULL) /* the thread may have moved to another hardware thread */
        sim_access(sim_cpu_now, (uintptr_t)written, bytes, SIM_WRITE);
    /* Others have run meanwhile; the work itself is done behind this. */
    sim_htm_claim((uintptr_t)read, read != NULL ? bytes : 0, SIM_READ);
    sim_htm_claim((uintptr_t)written, written != NULL ? bytes : 0, SIM_WRITE);
}

void *sim_memcpy(void *to, const void *from, size_t bytes);
void *sim_memmove(void *to, const void *from, size_t bytes);
void *sim_memset(void *to, int byte, size_t bytes);
int sim_memcmp(const void *a, const void *b, size_t bytes);
size_t sim_strlen(const char *s);
int sim_strcmp(const char *a, const char *b);

void *sim_memcpy(void *to, const void *from, size_t bytes) {
    HERE();
    charge(from, to, bytes);
    return memcpy(to, from, bytes);
}

void *sim_memmove(void *to, const void *from, size_t bytes) {
    HERE();
    charge(from, to, bytes);
    return memmove(to, from, bytes);
}

void *sim_memset(void *to, int byte, size_t bytes) {
    HERE();
    charge(NULL, to, bytes);
    return memset(to, byte, bytes);
}

/* How far it reads is how far the two are equal. */
static size_t seen_by_memcmp(const unsigned char *x, const unsigned char *y, size_t bytes) {
    size_t equal = 0;
    while (equal < bytes && x[equal] == y[equal])
        equal++;
    return equal < bytes ? equal + 1 : bytes;
}

/* Both are charged for, and then nobody's transaction has written to them. */
static void charge_both(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
    charge(a, NULL, a_bytes);
    charge(b, NULL, b_bytes);
    sim_htm_claim((uintptr_t)a, a_bytes, SIM_READ);
}

/* What was looked at before it was charged for may have been the store of a transaction that the
 * charge has aborted; then it is looked at again. */
int sim_memcmp(const void *a, const void *b, size_t bytes) {
    HERE();
    for (size_t charged = 0, seen; (seen = seen_by_memcmp(a, b, bytes)) > charged; charged = seen)
        charge_both(a, seen, b, seen);
    if (bytes == 0)
        charge_both(a, 0, b, 0);
    return memcmp(a, b, bytes);
}

size_t sim_strlen(const char *s) {
    for (size_t charged = 0, seen; (seen = strlen(s) + 1) > charged; charged = seen)
        charge(s, NULL, seen);
    return strlen(s);
}

int sim_strcmp(const char *a, const char *b) {
    for (size_t in_a = 0, in_b = 0; strlen(a) + 1 > in_a || strlen(b) + 1 > in_b;) {
        in_a = strlen(a) + 1;
        in_b = strlen(b) + 1;
        charge_both(a, in_a, b, in_b);
    }
    return strcmp(a, b);
}
