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

HOT void __sanitizer_cov_trace_pc(void) {
    struct sim_cpu *c = sim_cpu_now;
    sim_instructions(c, sim_block_instructions((uintptr_t)__builtin_return_address(0)));
}

/* ---- plain accesses ------------------------------------------------------------------------- */

/* Slow paths: which instruction of the program it is about. */
#define HERE() ((void)(sim_explore_pc = __builtin_return_address(0)))

/* `bytes` within a line. */
static inline __attribute__((always_inline)) void touch(const volatile void *p, size_t bytes,
                                                        enum sim_right right) {
    struct sim_cpu *c = sim_cpu_now;
    const uintptr_t address = linear(c, p);
    if (__builtin_expect(c->clock < c->horizon && sim_memory_hit(c->port, address, right), 1)) {
        c->accesses++;
        c->clock += c->l1_ticks;
        return;
    }
    HERE();
    sim_access(c, address, bytes, right);
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
        sim_locked((uintptr_t)p);                                                                  \
        return __atomic_fetch_##operation(p, v, __ATOMIC_RELAXED);                                 \
    }
#define COMPARE(bits, type, strength)                                                              \
    int __tsan_atomic##bits##_compare_exchange_##strength(volatile type *p, type *expected,        \
                                                          type v, int order, int failure) {        \
        (void)order, (void)failure;                                                                \
        HERE();                                                                                    \
        p = LINEAR(p);                                                                             \
        sim_locked((uintptr_t)p);                                                                  \
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
            sim_locked((uintptr_t)p);                                                              \
        else                                                                                       \
            touch(p, sizeof(type), SIM_WRITE);                                                     \
        __atomic_store_n(p, v, __ATOMIC_RELAXED);                                                  \
    }                                                                                              \
    type __tsan_atomic##bits##_exchange(volatile type *p, type v, int order) {                     \
        (void)order;                                                                               \
        HERE();                                                                                    \
        p = LINEAR(p);                                                                             \
        sim_locked((uintptr_t)p);                                                                  \
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
        sim_locked((uintptr_t)p);                                                                  \
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
int sim_memcmp(const void *a, const void *b, size_t bytes) {
    const unsigned char *x = a, *y = b;
    size_t equal = 0;
    while (equal < bytes && x[equal] == y[equal])
        equal++;
    const size_t seen = equal < bytes ? equal + 1 : bytes;
    HERE();
    charge(a, NULL, seen);
    charge(b, NULL, seen);
    return memcmp(a, b, bytes);
}

size_t sim_strlen(const char *s) {
    charge(s, NULL, strlen(s) + 1);
    return strlen(s);
}

int sim_strcmp(const char *a, const char *b) {
    charge(a, NULL, strlen(a) + 1);
    charge(b, NULL, strlen(b) + 1);
    return strcmp(a, b);
}
