/*
 * test_sim_htm.c - hardware transactions of the simulated machine: exact rollback, strong
 * isolation, every bit of the status, and the limits of each profile.
 *
 * The file is not instrumented; its accesses to simulated memory call the hooks by hand (load,
 * store), so everything that is not one of them takes no time, and costs can be told beforehand.
 */
#include "cell.h"
#include "sim/htm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simulated_only.h"

#ifndef NO_SIMULATED_MACHINE

/* The machine's own functions, under the names that the build gives them. */
unsigned machine_tx_begin__sim(void);
void machine_tx_end__sim(void);
void machine_tx_abort__sim(unsigned code);
bool machine_tx_test__sim(void);
const char *machine_tx_unavailable__sim(void);
void machine_yield__sim(void);
void machine_cpu_relax__sim(void);
void machine_wake__sim(_Atomic uint32_t *word, unsigned n);
bool machine_wait__sim(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void machine_heavy_barrier__sim(void);
void *machine_alloc__sim(size_t bytes);
void *machine_alloc_aligned__sim(size_t bytes, size_t align);
void machine_free__sim(void *p);
int machine_object_open__sim(const char *name, size_t bytes);
void *machine_reserve__sim(size_t bytes, enum machine_access access);
bool machine_map__sim(void *at, size_t bytes, int object, uint64_t from, enum machine_access access,
                      bool populate);
bool machine_map_anonymous__sim(void *at, size_t bytes, enum machine_access access);
bool machine_zero_pages__sim(void *at, size_t bytes);
void machine_object_punch__sim(int object, uint64_t at, size_t bytes);
bool machine_object_write__sim(int object, uint64_t at, const void *from, size_t bytes);
void machine_catch_faults__sim(machine_fault_handler *handler);
bool machine_set_gs__sim(const void *base);
int machine_pipe__sim(int fds[2], size_t capacity_bytes, bool nonblocking);
ssize_t machine_write__sim(int fd, const void *buffer, size_t bytes);
ssize_t machine_read__sim(int fd, void *buffer, size_t bytes);

/* Hooks. */
void __tsan_read8(void *p);
void __tsan_write8(void *p);
void __sanitizer_cov_trace_pc(void);
uint64_t __tsan_atomic64_fetch_add(volatile uint64_t *p, uint64_t v, int order);
void *sim_memcpy(void *to, const void *from, size_t bytes);
void *sim_memset(void *to, int byte, size_t bytes);
void __tsan_unaligned_write8(void *p);

enum { LINE = 64, PAGE = 4096, WORDS = LINE / 8, THREADS_MAX = 64 };
enum {
    CONFLICT = MACHINE_TX_CONFLICT | MACHINE_TX_RETRY,
    CAPACITY = MACHINE_TX_CAPACITY,
    STARTED = (int)MACHINE_TX_STARTED
};

static const struct machine *machine;

static inline uint64_t load(const uint64_t *p) {
    __tsan_read8((void *)(uintptr_t)p);
    return *p;
}

static inline void store(uint64_t *p, uint64_t v) {
    __tsan_write8(p);
    *p = v;
}

static uint64_t next_random(uint64_t *s) {
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s * UINT64_C(2685821657736338717) >> 16;
}

/* `overrides`: separated by blanks. */
static void open_with(const char *profile, const char *overrides) {
    char text[512], why[512] = "";
    const char *list[32];
    size_t n = 0;
    snprintf(text, sizeof text, "%s", overrides);
    char *rest = NULL;
    for (char *o = strtok_r(text, " ", &rest); o != NULL; o = strtok_r(NULL, " ", &rest))
        list[n++] = o;
    if (!machine->open(profile, list, n, 1, why, sizeof why))
        fail_msg("%s", why);
}

static struct machine_counters counted(void) {
    struct machine_counters counters;
    machine->counters(&counters);
    uint64_t ended = counters.tx_commits;
    for (unsigned c = 0; c < MACHINE_TX_CAUSES; c++)
        ended += counters.tx_aborts[c];
    assert_int_equal(ended, counters.tx_begins); /* nothing is left running */
    return counters;
}

struct worker {
    unsigned index;
    void (*fn)(struct worker *);
    uint64_t found, more, statuses;
    unsigned status; /* of the last abort */
    uint64_t *memory;
    size_t size;
};

typedef void work(struct worker *);

static void worker_main(void *argument) {
    struct worker *w = argument;
    w->fn(w);
}

/* Worker i runs fn[i % kinds] on hardware thread i. */
static void run(struct worker *w, unsigned n, void (*const *fn)(struct worker *), unsigned kinds,
                uint64_t *memory, size_t size) {
    struct machine_thread *threads[THREADS_MAX];
    for (unsigned i = 0; i < n; i++) {
        w[i] = (struct worker){.index = i, .fn = fn[i % kinds], .memory = memory, .size = size};
        threads[i] = machine->spawn(i, worker_main, &w[i]);
        assert_non_null(threads[i]);
    }
    for (unsigned i = 0; i < n; i++)
        machine->join(threads[i]);
}

static struct worker run_one(void (*fn)(struct worker *), uint64_t *memory, size_t size) {
    struct worker w;
    run(&w, 1, &fn, 1, memory, size);
    return w;
}

/* Zeroed, on a page. */
static uint64_t *memory_of(size_t bytes) {
    uint64_t *p = machine_alloc_aligned__sim(bytes, PAGE);
    assert_non_null(p);
    return p;
}

/* Spends time, as computing does, and lets others go on. */
static void spend_until(uint64_t ns) {
    while (machine->now_ns() < ns)
        if (sim_cpu_now->clock >= sim_cpu_now->horizon)
            sim_catch_up(sim_cpu_now);
}

static void spend(uint64_t ns) { spend_until(machine->now_ns() + ns); }

static uint64_t cycles_of(uint64_t from, uint64_t to) { return (to - from) / SIM_TICKS; }

/* ---- begin, end, abort ---------------------------------------------------------------------- */

static void empty_and_aborted(struct worker *w) {
    uint64_t start = sim_cpu_now->clock;
    assert_false(machine_tx_test__sim());
    unsigned status = machine_tx_begin__sim();
    assert_int_equal(status, MACHINE_TX_STARTED);
    assert_true(machine_tx_test__sim());
    machine_tx_end__sim();
    assert_false(machine_tx_test__sim());
    w->found = cycles_of(start, sim_cpu_now->clock);
    for (unsigned code = 0; code < 256; code++) {
        start = sim_cpu_now->clock;
        status = machine_tx_begin__sim();
        if (status == MACHINE_TX_STARTED) {
            machine_tx_abort__sim(code);
            fail();
        }
        assert_int_equal(status, MACHINE_TX_EXPLICIT | code << MACHINE_TX_CODE_SHIFT);
        assert_false(machine_tx_test__sim());
        w->more += cycles_of(start, sim_cpu_now->clock);
    }
    machine_tx_abort__sim(1); /* outside: nothing */
    w->more /= 256;
}

static void costs_are_the_profiles(void **state) {
    (void)state;
    static const struct {
        const char *profile, *overrides;
        unsigned empty, aborted;
    } expected[] = {
        {"i7-4770", "", 35, 144}, /* the published figures, as the profile's input */
        {"cascade-lake", "", 35, 144},
        {"ideal", "", 2, 2},
        {"i7-4770", "htm.begin=100 htm.commit=50 htm.abort=1000", 150, 1100},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        open_with(expected[i].profile, expected[i].overrides);
        const struct worker w = run_one(empty_and_aborted, NULL, 0);
        assert_int_equal(w.found, expected[i].empty);
        assert_int_equal(w.more, expected[i].aborted);
        const struct machine_counters c = counted();
        assert_int_equal(c.tx_begins, 257);
        assert_int_equal(c.tx_commits, 1);
        assert_int_equal(c.tx_aborts[MACHINE_TX_BY_EXPLICIT], 256);
        machine->close();
    }
}

static void availability_is_the_profiles(void **state) {
    (void)state;
    struct machine_description d;
    char why[256];
    assert_null(machine_tx_unavailable__sim());
    open_with("epyc-7003", "");
    assert_non_null(strstr(machine_tx_unavailable__sim(), "epyc-7003"));
    assert_non_null(strstr(machine->htm_unavailable(), "no hardware transactions"));
    machine->close();
    open_with("epyc-7003", "htm.present=true");
    assert_null(machine_tx_unavailable__sim());
    assert_int_equal(run_one(empty_and_aborted, NULL, 0).found, 35);
    machine->close();
    for (const char *const *p = machine->profiles(); *p != NULL; p++) {
        assert_true(machine->describe(*p, NULL, 0, &d, why, sizeof why));
        open_with(*p, "");
        assert_int_equal(d.htm_unavailable[0] == '\0', machine_tx_unavailable__sim() == NULL);
        machine->close();
    }
}

/* ---- rollback ------------------------------------------------------------------------------- */

enum { HEAP_WORDS = 512, LOCALS = 24, TRANSACTIONS = 60, BLOCKS = 8 };

struct program {
    uint64_t *heap;
    uint64_t *block[BLOCKS]; /* of machine_alloc */
};

/* Some accesses of a nested call with locals of its own. */
#define DEFINE_PROGRAM(level)                                                                      \
    __attribute__((noinline, optimize(#level))) static uint64_t nested_##level(                    \
        struct program *p, uint64_t seed, unsigned depth) {                                        \
        uint64_t a = seed, b = seed >> 7, sum = 0, local[6];                                       \
        for (unsigned i = 0; i < 6; i++)                                                           \
            local[i] = a * (i + 1);                                                                \
        for (unsigned i = 0; i < 4; i++) {                                                         \
            uint64_t *word = &p->heap[(a >> 9) % HEAP_WORDS];                                      \
            a = a * 0x9e3779b97f4a7c15 + load(word);                                               \
            store(word, a ^ b);                                                                    \
            local[a % 6] += b;                                                                     \
            b = b * 31 + local[(a >> 3) % 6];                                                      \
            sum += a;                                                                              \
        }                                                                                          \
        if (depth > 0)                                                                             \
            sum ^= nested_##level(p, a + b, depth - 1);                                            \
        for (unsigned i = 0; i < 6; i++)                                                           \
            sum = sum * 31 + local[i];                                                             \
        return sum;                                                                                \
    }                                                                                              \
    /* Transactions that change memory, registers, the stack and allocations; the result depends   \
     * on all of them. */                                                                          \
    __attribute__((noinline, optimize(#level))) static uint64_t program_##level(                   \
        struct program *p, uint64_t seed, uint64_t *aborts) {                                      \
        uint64_t a = seed, b = ~seed, c = seed * 3, d = 7, local[LOCALS];                          \
        double x = 1;                                                                              \
        for (unsigned i = 0; i < LOCALS; i++)                                                      \
            local[i] = i * seed;                                                                   \
        for (unsigned t = 0; t < TRANSACTIONS; t++) {                                              \
            while (machine_tx_begin__sim() != MACHINE_TX_STARTED)                                  \
                ++*aborts;                                                                         \
            const unsigned steps = 1 + (unsigned)(a >> 20) % 8;                                    \
            for (unsigned i = 0; i < steps; i++) {                                                 \
                uint64_t *word = &p->heap[(b >> 11) % HEAP_WORDS];                                 \
                const unsigned block = (unsigned)(c >> 13) % BLOCKS;                               \
                a = a * 0xd1342543de82ef95 + load(word) + d;                                       \
                store(word, a);                                                                    \
                local[a % LOCALS] ^= b;                                                            \
                b += local[(a >> 8) % LOCALS] * 5 + i;                                             \
                c = (c << 7 | c >> 57) ^ nested_##level(p, a, (unsigned)(b >> 5) % 4);             \
                x = x * 1.0009765625 + (double)(c & 0xff);                                         \
                if (p->block[block] == NULL) {                                                     \
                    uint64_t *new = machine_alloc__sim(40 + 8 * (a % 20));                         \
                    __tsan_write8(&p->block[block]);                                               \
                    p->block[block] = new;                                                         \
                    store(new, a);                                                                 \
                } else {                                                                           \
                    d += load(p->block[block]);                                                    \
                    machine_free__sim(p->block[block]);                                            \
                    __tsan_write8(&p->block[block]);                                               \
                    p->block[block] = NULL;                                                        \
                }                                                                                  \
            }                                                                                      \
            d = d * 17 + t;                                                                        \
            machine_tx_end__sim();                                                                 \
        }                                                                                          \
        for (unsigned i = 0; i < LOCALS; i++)                                                      \
            a = a * 31 + local[i];                                                                 \
        uint64_t bits;                                                                             \
        memcpy(&bits, &x, sizeof bits);                                                            \
        return (((a * 31 + b) * 31 + c) * 31 + d) * 31 + bits;                                     \
    }
DEFINE_PROGRAM(O1)
DEFINE_PROGRAM(O2)
DEFINE_PROGRAM(O3)

struct injection {
    uint64_t random;
    unsigned one_in;
    uint64_t asked, injected;
    unsigned last;
};

static bool inject(void *context, const struct sim_cpu *c, enum sim_tx_point point,
                   uintptr_t address, unsigned *status) {
    struct injection *in = context;
    assert_non_null(c->tx);
    assert_true((address == 0) == (point == SIM_TX_BEGIN || point == SIM_TX_END));
    in->asked++;
    if (in->one_in == 0 || next_random(&in->random) % in->one_in != 0)
        return false;
    in->injected++;
    in->last = *status = (unsigned)next_random(&in->random) & 0xff00001f;
    return true;
}

/* The thread's free lists have what transactions may ask for, of pages that are there. */
static void fill_lists(void) {
    void *warm[64];
    for (size_t bytes = 24; bytes <= 240; bytes += 16) {
        for (unsigned i = 0; i < 64; i++)
            warm[i] = machine_alloc__sim(bytes);
        for (unsigned i = 0; i < 64; i++)
            machine_free__sim(warm[i]);
    }
}

static void runs_program(struct worker *w) {
    static uint64_t (*const programs[])(struct program *, uint64_t,
                                        uint64_t *) = {program_O1, program_O2, program_O3};
    struct program *p = (struct program *)(void *)w->memory;
    fill_lists();
    w->found = programs[w->size % 3](p, w->size * 0x9e3779b97f4a7c15 + 1, &w->more);
    for (unsigned i = 0; i < HEAP_WORDS; i++)
        w->found = w->found * 31 + load(&p->heap[i]);
    for (unsigned i = 0; i < BLOCKS; i++)
        w->found = w->found * 31 + (p->block[i] != NULL ? load(p->block[i]) : 99);
}

static uint64_t run_program(unsigned number, struct injection *in, uint64_t *aborts) {
    const struct sim_tx_injector injector = {inject, in};
    open_with("i7-4770", "tick=1000ms");
    sim_tx_inject(in != NULL ? &injector : NULL);
    struct program *p = (struct program *)(void *)memory_of(sizeof *p);
    memset(p, 0, sizeof *p);
    p->heap = memory_of(HEAP_WORDS * 8);
    const struct worker w = run_one(runs_program, (uint64_t *)(void *)p, number);
    const struct machine_counters c = counted();
    assert_int_equal(c.tx_commits, TRANSACTIONS);
    assert_int_equal(c.tx_aborts[MACHINE_TX_BY_INJECTION], in != NULL ? in->injected : 0);
    *aborts += c.tx_begins - c.tx_commits;
    sim_tx_inject(NULL);
    machine->close();
    return w.found;
}

static void rollback_is_exact(void **state) {
    (void)state;
    struct injection in = {.random = 42, .one_in = 150};
    uint64_t aborts = 0, others = 0;
    for (unsigned number = 0; number < 300; number++) {
        const uint64_t expected = run_program(number, NULL, &others);
        in.one_in = 40 + number;
        in.injected = 0;
        assert_int_equal(run_program(number, &in, &aborts), expected);
    }
    print_message("           %llu injected aborts, %llu others\n", (unsigned long long)aborts,
                  (unsigned long long)others);
    assert_true(aborts > 20000);
}

/* Reads where the program writes, until it has ended: that aborts it, wherever it is, and changes
 * nothing. */
static void disturbs(struct worker *w) {
    const struct program *p = (const struct program *)(const void *)w->memory;
    uint64_t random = w->index * 99 + w->size;
    for (unsigned i = 0; w->memory[0] != 0 && i < 1000000; i++) {
        (void)load(&p->heap[next_random(&random) % HEAP_WORDS]);
        spend(next_random(&random) % 200);
        if (*(volatile uint64_t *)&w->memory[sizeof *p / 8] != 0)
            break;
    }
}

static void runs_disturbed(struct worker *w) {
    runs_program(w);
    w->memory[sizeof(struct program) / 8] = 1;
}

static void rollback_by_others_is_exact(void **state) {
    (void)state;
    uint64_t conflicts = 0, others = 0;
    for (unsigned number = 0; number < 120; number++) {
        struct worker w[3];
        const uint64_t expected = run_program(number, NULL, &others);
        open_with("i7-4770", "tick=1000ms");
        struct program *p = (struct program *)(void *)memory_of(PAGE);
        p->heap = memory_of(HEAP_WORDS * 8);
        run(w, 3, (work *const[]){runs_disturbed, disturbs, disturbs}, 3, (uint64_t *)(void *)p,
            number);
        assert_int_equal(w[0].found, expected);
        const struct machine_counters c = counted();
        assert_int_equal(c.tx_commits, TRANSACTIONS);
        conflicts += c.tx_aborts[MACHINE_TX_BY_CONFLICT] + c.tx_aborts[MACHINE_TX_BY_FALSE_SHARING];
        machine->close();
    }
    print_message("           %llu conflicts\n", (unsigned long long)conflicts);
    assert_true(conflicts > 3000);
}

/* ---- conflicts ------------------------------------------------------------------------------ */

enum { TX_AT = 20000, OTHER_AT = 30000, TX_END = 40000 };

static void tx_writes(struct worker *w) {
    spend_until(TX_AT);
    w->status = machine_tx_begin__sim();
    if (w->status != MACHINE_TX_STARTED) {
        w->found = machine->now_ns();
        return;
    }
    store(w->memory, load(w->memory) + 1);
    spend_until(TX_END);
    machine_tx_end__sim();
}

static void tx_reads(struct worker *w) {
    spend_until(TX_AT);
    w->status = machine_tx_begin__sim();
    if (w->status != MACHINE_TX_STARTED) {
        w->found = machine->now_ns();
        return;
    }
    const uint64_t v = load(w->memory);
    spend_until(TX_END);
    assert_int_equal(load(w->memory), v);
    machine_tx_end__sim();
}

static void reads_it(struct worker *w) {
    spend_until(TX_AT - 5000);
    (void)load(w->memory + 3);
    spend_until(OTHER_AT);
    w->found = load(w->memory);
}

static void writes_it(struct worker *w) {
    spend_until(TX_AT - 5000);
    store(w->memory + 3, 1); /* a sibling could hit from here on */
    spend_until(OTHER_AT);
    store(w->memory, 100);
}

static void adds_to_it(struct worker *w) {
    spend_until(OTHER_AT);
    w->found = __tsan_atomic64_fetch_add(w->memory, 100, __ATOMIC_SEQ_CST);
}

static void copies_it(struct worker *w) {
    uint64_t copy[3 * WORDS];
    spend_until(OTHER_AT);
    sim_memcpy(copy, w->memory, sizeof copy);
    w->found = copy[0];
}

static void other_tx(struct worker *w) {
    spend_until(OTHER_AT);
    w->status = machine_tx_begin__sim();
    if (w->status != MACHINE_TX_STARTED)
        return;
    store(w->memory + 1, 100); /* the same line, another word */
    machine_tx_end__sim();
}

/* The first is in a transaction when the second does its part.  Returns the first one's status. */
static unsigned meet(work *tx, work *other, unsigned second_cpu, struct worker w[2]) {
    uint64_t *memory = memory_of(PAGE);
    struct machine_thread *threads[2];
    memory[0] = 5;
    for (unsigned i = 0; i < 2; i++) {
        w[i] = (struct worker){.fn = i == 0 ? tx : other, .memory = memory};
        threads[i] = machine->spawn(i == 0 ? 0 : second_cpu, worker_main, &w[i]);
    }
    for (unsigned i = 0; i < 2; i++)
        machine->join(threads[i]);
    w[0].more = memory[0];
    return w[0].status;
}

static void isolation_is_strong(void **state) {
    (void)state;
    static const struct {
        work *tx, *other;
        unsigned status;
        uint64_t seen, after; /* by the other; in memory at the end */
    } cases[] = {
        {tx_writes, reads_it, CONFLICT, 5, 5},
        {tx_writes, writes_it, CONFLICT, 0, 100},
        {tx_writes, adds_to_it, CONFLICT, 5, 105},
        {tx_writes, copies_it, CONFLICT, 5, 5},
        {tx_reads, reads_it, MACHINE_TX_STARTED, 5, 5},
        {tx_reads, writes_it, CONFLICT, 0, 100},
        {tx_reads, adds_to_it, CONFLICT, 5, 105},
        {tx_reads, copies_it, MACHINE_TX_STARTED, 5, 5},
    };
    static const char *const profiles[] = {"i7-4770", "zec12", "hypothetical-64", "ideal"};
    for (unsigned p = 0; p < 4; p++)
        for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
            /* Another core; on i7-4770 the sibling too, who shares the L1. */
            for (unsigned cpu = 1; cpu <= (p == 0 ? 4 : 1); cpu += 3) {
                struct worker w[2];
                open_with(profiles[p], p == 0 ? "" : "htm.policy=responder"); /* no difference */
                assert_int_equal(meet(cases[i].tx, cases[i].other, cpu, w), cases[i].status);
                assert_int_equal(w[1].found, cases[i].seen);
                assert_int_equal(w[0].more, cases[i].after);
                if (cases[i].status == CONFLICT) /* it was told when it happened */
                    assert_in_range(w[0].found, OTHER_AT, OTHER_AT + 1500);
                (void)counted();
                machine->close();
            }
        }
}

static uint64_t *other_name; /* of the same page */

/* Reads a line, and then so many that it is in the L3 only. */
static void tx_reads_much(struct worker *w) {
    uint64_t *much = w->memory + PAGE / 8;
    for (unsigned line = 0; line < 8192; line++)
        (void)load(&much[line * WORDS]);
    w->status = machine_tx_begin__sim();
    if (w->status != MACHINE_TX_STARTED)
        return;
    (void)load(w->memory);
    for (unsigned line = 0; line < 8192; line++)
        (void)load(&much[line * WORDS]);
    spend_until(2000000);
    w->found = load(w->memory);
    machine_tx_end__sim();
}

static void writes_later(struct worker *w) {
    spend_until(1500000);
    if (w->size == 1)
        (void)load(w->memory + 1); /* nobody else has it: this gets the right to write */
    store(w->size == 2 ? other_name : w->memory, 100);
}

static void reads_beyond_the_l2_are_isolated(void **state) {
    (void)state;
    for (size_t how = 0; how < 3; how++) {
        struct worker w[2];
        open_with("i7-4770", "tick=1000ms");
        const int object = machine_object_open__sim("pages", PAGE);
        uint64_t *memory = machine_reserve__sim(8192 * LINE + PAGE, MACHINE_READ_WRITE);
        other_name = machine_reserve__sim(PAGE, MACHINE_READ_WRITE);
        assert_true(machine_map__sim(memory, PAGE, object, 0, MACHINE_READ_WRITE, false));
        assert_true(machine_map__sim(other_name, PAGE, object, 0, MACHINE_READ_WRITE, false));
        store(memory, 5);
        run(w, 2, (work *const[]){tx_reads_much, writes_later}, 2, memory, how);
        assert_int_equal(w[0].status, CONFLICT);
        (void)counted();
        machine->close();
    }
}

/* Accesses of several lines are made when the last one of them is there; until then others may
 * get at the first ones. */
enum { WIDE_BYTES = 16 * LINE };

static void tx_looks_twice(struct worker *w) {
    uint64_t random = w->index + 1;
    while (w->memory[PAGE / 8] == 0) {
        spend(next_random(&random) % 100); /* in no step with the others */
        if (machine_tx_begin__sim() != MACHINE_TX_STARTED)
            continue;
        const uint64_t v = load(&w->memory[WORDS - 1]);
        (void)load(&w->memory[WORDS]); /* the other line, so that its writer has to wait */
        spend(200);
        w->found += load(&w->memory[WORDS - 1]) != v;
        machine_tx_end__sim();
        w->more++;
    }
}

static void tx_lies(struct worker *w) { /* what it writes is never there */
    for (unsigned i = 0; w->memory[PAGE / 8] == 0; i++)
        if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
            store(&w->memory[WORDS - 1 + i % 16 * WORDS], 666);
            spend(100);
            machine_tx_abort__sim(1);
        } else {
            w->more++;
            spend(50);
        }
}

static void writes_wide(struct worker *w) {
    static uint64_t pattern[WIDE_BYTES / 8];
    for (unsigned i = 0; i < 10000; i++) {
        char *end_of_line = (char *)w->memory + LINE - 4;
        const uint64_t value = i * UINT64_C(0x100000001);
        switch (i % 8) {
        case 0:
            for (unsigned k = 0; k < WIDE_BYTES / 8; k++)
                pattern[k] = i;
            sim_memcpy(w->memory, pattern, WIDE_BYTES);
            break;
        case 1:
            sim_memset(w->memory, (int)i, WIDE_BYTES);
            break;
        default:
            __tsan_unaligned_write8(end_of_line);
            memcpy(end_of_line, &value, sizeof value);
        }
        spend(i * 7 % 400);
    }
    w->memory[PAGE / 8] = 1;
}

static void reads_wide(struct worker *w) {
    uint64_t copy[WIDE_BYTES / 8];
    for (unsigned i = 0; i < 3000; i++) {
        sim_memcpy(copy, w->memory, WIDE_BYTES);
        for (unsigned k = 0; k < WIDE_BYTES / 8; k++)
            w->found += copy[k] == 666;
        spend(i * 7 % 900);
    }
    w->memory[PAGE / 8] = 1;
}

static void wide_accesses_are_isolated(void **state) {
    (void)state;
    static work *const kinds[2][2] = {{tx_looks_twice, writes_wide}, {tx_lies, reads_wide}};
    for (unsigned i = 0; i < 2; i++) {
        struct worker w[4];
        open_with("i7-4770", "");
        run(w, 4, (work *const[]){kinds[i][0], kinds[i][1], kinds[i][0], kinds[i][0]}, 4,
            memory_of(2 * PAGE), 0);
        for (unsigned k = 0; k < 4; k++)
            assert_int_equal(w[k].found, 0);
        assert_true(w[0].more > 1000);
        machine->close();
    }
}

static void aborts_a_store(struct worker *w) {
    store(w->memory, 1);
    uint64_t start = sim_cpu_now->clock;
    (void)load(w->memory);
    w->found = sim_cpu_now->clock - start; /* a hit in the L1 */
    if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
        store(w->memory, 2);
        machine_tx_abort__sim(1);
    }
    start = sim_cpu_now->clock;
    (void)load(w->memory);
    w->more = sim_cpu_now->clock - start; /* and in the L2 */
}

static void aborted_stores_leave_the_l1(void **state) {
    (void)state;
    open_with("i7-4770", "overlap=0");
    const struct worker w = run_one(aborts_a_store, memory_of(PAGE), 0);
    assert_int_equal(w.found, 4 * SIM_TICKS);
    assert_int_equal(w.more, 12 * SIM_TICKS);
    machine->close();
}

static void policies_decide_between_transactions(void **state) {
    (void)state;
    static const struct {
        const char *policy;
        bool first_wins;
    } cases[] = {{"htm.policy=requester", false},
                 {"htm.policy=responder", true},
                 {"htm.policy=oldest", true}};
    for (unsigned i = 0; i < 3; i++) {
        struct worker w[2];
        open_with("i7-4770", cases[i].policy);
        const unsigned status = meet(tx_writes, other_tx, 1, w);
        assert_int_equal(status, cases[i].first_wins ? MACHINE_TX_STARTED : CONFLICT);
        assert_int_equal(w[1].status, cases[i].first_wins ? CONFLICT : MACHINE_TX_STARTED);
        assert_int_equal(w[0].more, cases[i].first_wins ? 6 : 5);
        const struct machine_counters c = counted();
        assert_int_equal(c.tx_aborts[MACHINE_TX_BY_FALSE_SHARING], 1);
        machine->close();
    }
}

/* The younger of two does not make the older give way. */
static void old_tx(struct worker *w) {
    spend_until(TX_AT);
    w->status = machine_tx_begin__sim();
    if (w->status != MACHINE_TX_STARTED)
        return;
    spend_until(OTHER_AT + 5000);
    store(w->memory, 6);
    machine_tx_end__sim();
}
static void young_tx(struct worker *w) {
    spend_until(OTHER_AT);
    w->status = machine_tx_begin__sim();
    if (w->status != MACHINE_TX_STARTED)
        return;
    store(w->memory, 7);
    spend_until(TX_END);
    machine_tx_end__sim();
}

static void the_oldest_wins_when_it_asks(void **state) {
    (void)state;
    struct worker w[2];
    open_with("i7-4770", "htm.policy=oldest");
    assert_int_equal(meet(old_tx, young_tx, 1, w), MACHINE_TX_STARTED);
    assert_int_equal(w[1].status, CONFLICT);
    assert_int_equal(w[0].more, 6);
    machine->close();
    open_with("i7-4770", "htm.policy=responder");
    assert_int_equal(meet(old_tx, young_tx, 1, w), CONFLICT);
    assert_int_equal(w[1].status, MACHINE_TX_STARTED);
    assert_int_equal(w[0].more, 7);
    machine->close();
}

static struct sim_abort last_abort;
static void listen_to(void *context, const struct sim_abort *abort) {
    (void)context;
    last_abort = *abort;
}

static void aborts_are_told_with_their_aggressor(void **state) {
    (void)state;
    struct worker w[2];
    open_with("i7-4770", "");
    sim_htm_listen(listen_to, NULL);
    (void)meet(tx_reads, writes_it, 2, w);
    sim_htm_listen(NULL, NULL);
    assert_int_equal(last_abort.cause, MACHINE_TX_BY_CONFLICT);
    assert_int_equal(last_abort.status, CONFLICT);
    assert_int_equal(last_abort.victim, 0);
    assert_int_equal(last_abort.aggressor, 2);
    assert_ptr_equal((void *)last_abort.address, w[0].memory);
    assert_ptr_equal((void *)last_abort.by_address, w[0].memory);
    const uint64_t ns = (uint64_t)((double)(last_abort.ended - last_abort.began) / SIM_TICKS / 3.4);
    assert_in_range(ns, OTHER_AT - TX_AT - 200, OTHER_AT - TX_AT + 1500);
    assert_in_range(counted().tx_wasted_ns, ns - 1, ns + 1);
    machine->close();
}

/* Threads move money between accounts in transactions; each also checks the sum in one.  Others
 * read and write from outside. */
enum { ACCOUNTS = 40, MOVES = 150, INITIAL = 1000 };

static void moves_money(struct worker *w) {
    uint64_t random = w->index * 77 + 1;
    for (unsigned i = 0; i < MOVES; i++) {
        uint64_t *from = &w->memory[next_random(&random) % ACCOUNTS * w->size];
        uint64_t *to = &w->memory[next_random(&random) % ACCOUNTS * w->size];
        const bool audits = i % 8 == 0;
        for (unsigned tries = 0; machine_tx_begin__sim() != MACHINE_TX_STARTED; tries++) {
            if (!(tries < 20000))
                fail_msg("no transaction gets through");
            spend(next_random(&random) % (200 << (tries < 6 ? tries : 6)));
        }
        if (audits) {
            uint64_t sum = 0;
            for (unsigned a = 0; a < ACCOUNTS; a++)
                sum += load(&w->memory[a * w->size]);
            w->found += sum != (uint64_t)ACCOUNTS * INITIAL;
        } else {
            store(from, load(from) - 3);
            spend(next_random(&random) % 50);
            store(to, load(to) + 3);
        }
        machine_tx_end__sim();
        w->more++;
    }
}

static void adds_and_looks(struct worker *w) { /* two words: an atomic pair, one line apart */
    uint64_t random = w->index + 5;
    uint64_t *extra = w->memory + (ACCOUNTS + 2) * w->size;
    for (unsigned i = 0; i < MOVES; i++) {
        (void)__tsan_atomic64_fetch_add(extra, 1, __ATOMIC_SEQ_CST);
        w->found += load(&w->memory[next_random(&random) % ACCOUNTS * w->size]) % 3 != INITIAL % 3;
        spend(next_random(&random) % 3000);
    }
}

static void money_is_neither_made_nor_lost(void **state) {
    (void)state;
    static const char *const policies[] = {"htm.policy=requester", "htm.policy=responder",
                                           "htm.policy=oldest"};
    static const char *const profiles[] = {"i7-4770", "zec12", "hypothetical-64"};
    static work *const kinds[] = {moves_money, moves_money, moves_money, adds_and_looks};
    uint64_t aborts = 0;
    for (unsigned p = 0; p < 9; p++) {
        struct worker w[THREADS_MAX];
        open_with(profiles[p / 3], policies[p % 3]);
        const unsigned threads = p / 3 == 2 ? 16 : 8;
        const size_t stride = p % 2 == 0 ? 1 : WORDS; /* words apart: false sharing, too */
        uint64_t *memory = memory_of(8 * PAGE);
        for (unsigned a = 0; a < ACCOUNTS; a++)
            memory[a * stride] = INITIAL;
        run(w, threads, kinds, 4, memory, stride);
        uint64_t sum = 0;
        for (unsigned a = 0; a < ACCOUNTS; a++)
            sum += memory[a * stride];
        assert_int_equal(sum, (uint64_t)ACCOUNTS * INITIAL);
        assert_int_equal(memory[(ACCOUNTS + 2) * stride], threads / 4 * MOVES);
        for (unsigned i = 0; i < threads; i++)
            assert_int_equal(w[i].found, 0);
        const struct machine_counters c = counted();
        assert_int_equal(c.tx_commits, threads / 4 * 3 * MOVES);
        aborts += c.tx_begins - c.tx_commits;
        machine->close();
    }
    print_message("           %llu aborts\n", (unsigned long long)aborts);
    assert_true(aborts > 1000);
}

/* ---- capacity ------------------------------------------------------------------------------- */

/* w->size lines, w->more words apart, written in one transaction; tried ten times. */
static void writes_lines(struct worker *w) {
    const size_t stride = w->memory[0];
    for (unsigned round = 0; round < 10; round++) {
        w->status = machine_tx_begin__sim();
        if (w->status != MACHINE_TX_STARTED) {
            w->statuses |= w->status;
            continue;
        }
        for (size_t i = 0; i < w->size; i++)
            store(&w->memory[WORDS + i * stride], i);
        machine_tx_end__sim();
        w->found++;
    }
}

static struct worker written(const char *profile, const char *overrides, size_t lines,
                             size_t stride_bytes) {
    open_with(profile, overrides);
    uint64_t *memory = memory_of(lines * stride_bytes + PAGE);
    memory[0] = stride_bytes / 8;
    return run_one(writes_lines, memory, lines);
}

static void nine_lines_of_a_set_abort_always(void **state) {
    (void)state;
    struct worker w = written("i7-4770", "", 8, PAGE);
    assert_int_equal(w.found, 10);
    (void)counted();
    machine->close();
    w = written("i7-4770", "", 9, PAGE);
    assert_int_equal(w.found, 0);
    assert_int_equal(w.statuses, CAPACITY);
    assert_int_equal(counted().tx_aborts[MACHINE_TX_BY_ASSOCIATIVITY], 10);
    machine->close();
    w = written("i7-4770", "l1.size=48K", 12, PAGE); /* 12 ways */
    assert_int_equal(w.found, 10);
    machine->close();
    w = written("i7-4770", "l1.size=48K", 13, PAGE);
    assert_int_equal(w.found, 0);
    machine->close();
    w = written("i7-4770", "htm.write_level=l2", 9, PAGE); /* other sets of the L2 */
    assert_int_equal(w.found, 10);
    machine->close();
}

static void what_is_written_stays_within_the_l1(void **state) {
    (void)state;
    struct worker w = written("i7-4770", "", 512, LINE);
    assert_int_equal(w.found, 10);
    machine->close();
    w = written("i7-4770", "", 513, LINE);
    assert_int_equal(w.found, 0);
    assert_int_equal(w.statuses, CAPACITY);
    assert_int_equal(counted().tx_aborts[MACHINE_TX_BY_WRITE_CAPACITY], 10);
    machine->close();
}

/* The store cache: 64 entries of 128 bytes, two to a line of 256. */
static void the_store_cache_is_a_limit(void **state) {
    (void)state;
    static const struct {
        size_t lines, stride;
        unsigned commits;
    } cases[] = {{64, 128, 10}, {65, 128, 0},  {64, 256, 10},
                 {65, 256, 0},  {1024, 8, 10}, {1024, 16, 0}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_with("zec12", "");
        uint64_t *memory = memory_of(8 * PAGE);
        memory[0] = cases[i].stride / 8;
        /* writes_lines begins 64 bytes behind the start: let that be an entry's. */
        struct worker w = run_one(writes_lines, memory + 8, 0);
        assert_int_equal(w.found, 10);
        memory[8] = cases[i].stride / 8;
        w = run_one(writes_lines, memory + 8, cases[i].lines);
        assert_int_equal(w.found, cases[i].commits);
        assert_int_equal(w.statuses, cases[i].commits == 0 ? CAPACITY : 0);
        machine->close();
    }
}

/* Reads w->size bytes in one transaction, having read them once outside; tried three times. */
static void reads_lines(struct worker *w) {
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < w->size / 8; i += WORDS)
            (void)load(&w->memory[i]);
        w->status = machine_tx_begin__sim();
        if (w->status != MACHINE_TX_STARTED) {
            w->statuses |= w->status;
            continue;
        }
        for (size_t i = 0; i < w->size / 8; i += WORDS)
            (void)load(&w->memory[i]);
        machine_tx_end__sim();
        w->found++;
    }
    w->memory[w->size / 8] = 1; /* for the sibling: it is over */
}

/* Reads as much of its own, round and round. */
static void reads_beside(struct worker *w) {
    const uint64_t *own = w->memory + w->size / 8 + PAGE / 8;
    for (size_t i = 0; w->memory[w->size / 8] == 0; i = (i + WORDS) % (w->size / 8))
        (void)load(&own[i]);
}

static unsigned reads_that_commit(const char *overrides, size_t bytes, bool sibling) {
    struct worker w[2];
    char more[128];
    snprintf(more, sizeof more, "tick=1000ms cores_per_group=1 %s", overrides);
    open_with("i7-4770", more);
    uint64_t *memory = memory_of(2 * bytes + 2 * PAGE);
    run(w, sibling ? 2 : 1, (work *const[]){reads_lines, reads_beside}, 2, memory, bytes);
    if (w[0].found < 3)
        assert_int_equal(w[0].statuses, CAPACITY);
    machine->close();
    return (unsigned)w[0].found;
}

static void what_is_read_stays_within_the_l3(void **state) {
    (void)state;
    enum { M = 1 << 20 };
    assert_int_equal(reads_that_commit("", 4 * M, false), 3);
    assert_int_equal(reads_that_commit("", 7 * M + M / 2, false), 3);
    assert_int_equal(reads_that_commit("", 8 * M + PAGE, false), 0);
    assert_int_equal(reads_that_commit("", 10 * M, false), 0);
    /* A sibling takes its part. */
    assert_int_equal(reads_that_commit("", 3 * M, true), 3);
    assert_int_equal(reads_that_commit("", 7 * M + M / 2, true), 0);
    /* Tracked in the L2 or the L1 only. */
    assert_int_equal(reads_that_commit("htm.read_level=l2", 192 << 10, false), 3);
    assert_int_equal(reads_that_commit("htm.read_level=l2", 264 << 10, false), 0);
    assert_int_equal(reads_that_commit("htm.read_level=l1", 32 << 10, false), 3);
    assert_int_equal(reads_that_commit("htm.read_level=l1", 33 << 10, false), 0);
    assert_int_equal(reads_that_commit("htm.read_level=l1", 24 << 10, true), 0);
}

/* The sibling of a transaction that has filled 6 of 8 ways reads lines of the same sets. */
static void sibling_reads(struct worker *w) {
    const uint64_t *own = w->memory + 64 * PAGE / 8;
    for (unsigned i = 0; i < 20000; i++)
        (void)load(&own[i % 4096 * WORDS]);
}
static void writes_six_ways(struct worker *w) {
    for (unsigned i = 0; i < 20; i++) {
        w->status = machine_tx_begin__sim();
        if (w->status != MACHINE_TX_STARTED) {
            w->statuses |= w->status;
            continue;
        }
        for (unsigned line = 0; line < 6 * 64; line++)
            store(&w->memory[line * WORDS], line);
        spend(500);
        machine_tx_end__sim();
        w->found++;
    }
}

static void siblings_compete_for_the_l1(void **state) {
    (void)state;
    struct worker w[2];
    for (unsigned smt = 0; smt < 2; smt++) {
        open_with("i7-4770", smt == 1 ? "cores_per_group=1" : "cores_per_group=2");
        uint64_t *memory = memory_of(2 << 20);
        run(w, 2, (work *const[]){writes_six_ways, sibling_reads}, 2, memory, 0);
        if (smt == 1) {
            assert_true(w[0].found < 5);
            assert_int_equal(w[0].statuses, CAPACITY);
        } else {
            assert_int_equal(w[0].found, 20);
        }
        machine->close();
    }
}

/* ---- nesting -------------------------------------------------------------------------------- */

static void nests(struct worker *w) {
    for (unsigned depth = 1; depth <= w->size; depth++) { /* w->size: one too many */
        w->status = machine_tx_begin__sim();
        if (w->status != MACHINE_TX_STARTED) {
            assert_int_equal(depth, w->size);
            w->found++;
            continue;
        }
        for (unsigned i = 1; i < depth; i++)
            assert_int_equal(machine_tx_begin__sim(), MACHINE_TX_STARTED);
        assert_true(depth < w->size);
        for (unsigned i = 0; i < depth; i++) {
            assert_true(machine_tx_test__sim());
            machine_tx_end__sim();
        }
        assert_false(machine_tx_test__sim());
    }
    assert_int_equal(w->status, MACHINE_TX_NESTED);
    /* An abort leads to the outermost, whose stores it undoes as well. */
    w->memory[0] = 1;
    w->status = machine_tx_begin__sim();
    if (w->status == MACHINE_TX_STARTED) {
        store(w->memory, 2);
        (void)machine_tx_begin__sim();
        store(w->memory, 3);
        machine_tx_abort__sim(9);
    }
    assert_int_equal(w->status,
                     MACHINE_TX_NESTED | MACHINE_TX_EXPLICIT | 9U << MACHINE_TX_CODE_SHIFT);
    assert_int_equal(w->memory[0], 1);
    assert_false(machine_tx_test__sim());
    /* Behind the inner end it is nested no more. */
    w->status = machine_tx_begin__sim();
    if (w->status == MACHINE_TX_STARTED) {
        (void)machine_tx_begin__sim();
        machine_tx_end__sim();
        machine_tx_abort__sim(9);
    }
    assert_int_equal(w->status, MACHINE_TX_EXPLICIT | 9U << MACHINE_TX_CODE_SHIFT);
}

static void nesting_is_flat_and_limited(void **state) {
    (void)state;
    open_with("i7-4770", "");
    assert_int_equal(run_one(nests, memory_of(PAGE), 8).found, 1);
    assert_int_equal(counted().tx_aborts[MACHINE_TX_BY_NESTING], 1);
    machine->close();
    open_with("i7-4770", "htm.nesting=1");
    assert_int_equal(run_one(empty_and_aborted, NULL, 0).found, 35);
    machine->close();
    open_with("zec12", "");
    assert_int_equal(run_one(nests, memory_of(PAGE), 17).found, 1);
    machine->close();
}

/* ---- interrupts, system calls, faults, pause ------------------------------------------------- */

/* A hundred transactions of w->size ns. */
static void lasts(struct worker *w) {
    for (unsigned i = 0; i < 100; i++) {
        w->status = machine_tx_begin__sim();
        if (w->status != MACHINE_TX_STARTED) {
            assert_int_equal(w->status, 0);
            continue;
        }
        spend(w->size);
        machine_tx_end__sim();
        w->found++;
    }
}

static void interrupts_limit_the_duration(void **state) {
    (void)state;
    open_with("i7-4770", "tick=100us tick_cost=2us");
    assert_in_range(run_one(lasts, NULL, 1000).found, 98, 100);
    machine->close();
    open_with("i7-4770", "tick=100us tick_cost=2us");
    assert_in_range(run_one(lasts, NULL, 50000).found, 30, 70);
    struct machine_counters c = counted();
    assert_int_equal(c.tx_aborts[MACHINE_TX_BY_INTERRUPT], 100 - c.tx_commits);
    machine->close();
    open_with("i7-4770", "tick=100us tick_cost=2us");
    assert_int_equal(run_one(lasts, NULL, 101000).found, 0);
    machine->close();
}

static void tx_waits(struct worker *w) {
    spend_until(TX_AT);
    w->status = machine_tx_begin__sim();
    if (w->status != MACHINE_TX_STARTED)
        return;
    spend_until(TX_END);
    machine_tx_end__sim();
}
static void interrupts_all(struct worker *w) {
    (void)w;
    spend_until(OTHER_AT);
    machine_heavy_barrier__sim();
}

static void a_barrier_interrupts_transactions(void **state) {
    (void)state;
    struct worker w[2];
    open_with("i7-4770", "");
    assert_int_equal(meet(tx_waits, interrupts_all, 2, w), 0);
    assert_int_equal(counted().tx_aborts[MACHINE_TX_BY_INTERRUPT], 1);
    machine->close();
}

static int pipe_ends[2];

/* Call number w->size of the system in a transaction. */
static void calls_system(struct worker *w) {
    static _Atomic uint32_t word;
    char byte = 'x';
    store(w->memory, 7);
    w->status = machine_tx_begin__sim();
    if (w->status == MACHINE_TX_STARTED) {
        store(w->memory, 8);
        switch (w->size) {
        case 0:
            machine_yield__sim();
            break;
        case 1:
            machine_wake__sim(&word, 1);
            break;
        case 2:
            (void)machine_wait__sim(&word, 0, 1000);
            break;
        case 3:
            machine_heavy_barrier__sim();
            break;
        case 4:
            (void)machine_write__sim(pipe_ends[1], &byte, 1);
            break;
        case 5:
            (void)machine_read__sim(pipe_ends[0], &byte, 1);
            break;
        default:
            return; /* the end of the thread */
        }
        fail();
    }
    w->found += load(w->memory); /* undone */
}

static void system_calls_abort_and_are_not_made(void **state) {
    (void)state;
    char byte;
    for (size_t call = 0; call < 7; call++) {
        open_with("i7-4770", "");
        assert_int_equal(machine_pipe__sim(pipe_ends, 4096, true), 0);
        uint64_t *memory = memory_of(PAGE);
        const struct worker w = run_one(calls_system, memory, call);
        assert_int_equal(w.status, 0);
        assert_int_equal(w.found, 7);
        assert_int_equal(memory[0], 7);
        assert_int_equal(machine_read__sim(pipe_ends[0], &byte, 1), -11); /* EAGAIN: nothing */
        assert_int_equal(counted().tx_aborts[MACHINE_TX_BY_SYSCALL], 1);
        machine->close();
    }
}

static void touches_new_pages(struct worker *w) {
    uint64_t *new = machine_alloc__sim(100 * PAGE);
    for (unsigned page = 1; page < 20; page++) {
        for (unsigned try = 0; try < 5; try++) {
            w->status = machine_tx_begin__sim();
            if (w->status == MACHINE_TX_STARTED) {
                if (page % 2 == 0)
                    store(&new[page * PAGE / 8], 1);
                else
                    (void)load(&new[page * PAGE / 8]);
                machine_tx_end__sim();
                w->found++;
            } else {
                assert_int_equal(w->status, 0);
            }
        }
        assert_int_equal(w->found, page - 1);
        (void)load(&new[page * PAGE / 8 + 8]);
        if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
            store(&new[page * PAGE / 8], 1);
            machine_tx_end__sim();
            w->found++;
        }
    }
}

static void first_touch_aborts_until_it_is_made_outside(void **state) {
    (void)state;
    open_with("i7-4770", "tick=1000ms");
    assert_int_equal(run_one(touches_new_pages, NULL, 0).found, 19);
    const struct machine_counters c = counted();
    assert_int_equal(c.tx_aborts[MACHINE_TX_BY_FAULT], 19 * 5);
    machine->close();
}

static void pauses(struct worker *w) {
    w->status = machine_tx_begin__sim();
    if (w->status == MACHINE_TX_STARTED) {
        machine_cpu_relax__sim();
        machine_tx_end__sim();
    }
}

static void pause_aborts_where_the_profile_says_so(void **state) {
    (void)state;
    open_with("i7-4770", "");
    assert_int_equal(run_one(pauses, NULL, 0).status, 0);
    assert_int_equal(counted().tx_aborts[MACHINE_TX_BY_PAUSE], 1);
    machine->close();
    open_with("i7-4770", "htm.pause_aborts=false");
    assert_int_equal(run_one(pauses, NULL, 0).status, MACHINE_TX_STARTED);
    machine->close();
}

static void spurious_aborts_come_at_their_rate(void **state) {
    (void)state;
    /* 1000 per million cycles: of transactions of 1000 cycles, a share of 1/e commits. */
    uint64_t commits = 0, aborts = 0;
    open_with("i7-4770", "clock=1 htm.spurious=1000 htm.begin=0 htm.commit=0 tick=1000ms");
    for (unsigned i = 0; i < 20; i++)
        commits += run_one(lasts, NULL, 1000).found;
    aborts = counted().tx_aborts[MACHINE_TX_BY_NOTHING];
    assert_int_equal(commits + aborts, 2000);
    assert_in_range(commits, 660, 810); /* 736 +- 3.4 sigma; a binomial of 2000 */
    machine->close();
}

/* ---- injection ------------------------------------------------------------------------------ */

static unsigned injected_status;
static unsigned injected_after;
static bool inject_once(void *context, const struct sim_cpu *c, enum sim_tx_point point,
                        uintptr_t address, unsigned *status) {
    (void)context, (void)c, (void)point, (void)address;
    *status = injected_status;
    return injected_after-- == 0;
}

static void three_accesses(struct worker *w) {
    w->status = machine_tx_begin__sim();
    if (w->status == MACHINE_TX_STARTED) {
        w->found++;
        store(w->memory, 1);
        w->found++;
        (void)load(w->memory); /* hits */
        w->found++;
        store(w->memory, 2); /* hits */
        w->found++;
        machine_tx_end__sim();
    }
}

/* Any status at any point, on every bit of it; 5 points: begin, three accesses, end. */
static void every_status_can_be_injected_everywhere(void **state) {
    (void)state;
    static const unsigned statuses[] = {0,
                                        MACHINE_TX_RETRY,
                                        CONFLICT,
                                        MACHINE_TX_CONFLICT,
                                        CAPACITY,
                                        MACHINE_TX_DEBUG,
                                        MACHINE_TX_EXPLICIT | 0xabU << MACHINE_TX_CODE_SHIFT,
                                        CAPACITY | MACHINE_TX_RETRY};
    const struct sim_tx_injector injector = {inject_once, NULL};
    for (unsigned s = 0; s < sizeof statuses / sizeof *statuses; s++)
        for (unsigned at = 0; at <= 5; at++) {
            open_with("i7-4770", "");
            uint64_t *memory = memory_of(PAGE);
            injected_status = statuses[s];
            injected_after = at;
            sim_tx_inject(&injector);
            const struct worker w = run_one(three_accesses, memory, 0);
            sim_tx_inject(NULL);
            assert_int_equal(w.status, at < 5 ? statuses[s] : MACHINE_TX_STARTED);
            assert_int_equal(memory[0], at < 5 ? 0 : 2);
            machine->close();
        }
}

/* ---- allocation ----------------------------------------------------------------------------- */

static void allocates(struct worker *w) {
    uint64_t *kept[10], *volatile taken = NULL; /* of an aborted one */
    void *first[10];
    for (unsigned i = 0; i < 10; i++)
        first[i] = machine_alloc__sim(56);
    for (unsigned i = 0; i < 10; i++)
        machine_free__sim(first[i]);
    /* Taken back: the next one gets the same. */
    if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
        uint64_t *p = machine_alloc__sim(56);
        store(p, 1);
        machine_tx_abort__sim(1);
    }
    for (unsigned i = 0; i < 10; i++) {
        kept[i] = machine_alloc__sim(56);
        w->found += kept[i] == first[9 - i];
        store(kept[i], i);
    }
    /* A free that aborts is none. */
    if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
        for (unsigned i = 0; i < 10; i++)
            machine_free__sim(kept[i]);
        taken = machine_alloc__sim(56);
        for (unsigned i = 0; i < 10; i++)
            w->more += taken == kept[i]; /* undone, but it must not be so anyway */
        machine_tx_abort__sim(1);
    }
    for (unsigned i = 0; i < 10; i++)
        w->found += load(kept[i]) == i;
    /* One that commits is one, from there on. */
    if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
        machine_free__sim(kept[3]);
        uint64_t *p = machine_alloc__sim(56);
        assert_ptr_not_equal(p, kept[3]);
        machine_tx_end__sim();
    }
    w->found += machine_alloc__sim(56) == kept[3];
}

static void allocation_is_transactional(void **state) {
    (void)state;
    open_with("i7-4770", "tick=1000ms");
    const struct worker w = run_one(allocates, NULL, 0);
    assert_int_equal(w.found, 21);
    assert_int_equal(w.more, 0);
    machine->close();
}

/* Many threads allocate and free in transactions that often abort, and write all over what they
 * have: whatever two of them had at once would be seen, and so would a broken list. */
enum { HELD = 12 };
static void holds_blocks(struct worker *w) {
    uint64_t random = w->index * 31 + 7;
    uint64_t *held[HELD] = {NULL};
    size_t words[HELD] = {0};
    fill_lists();
    for (unsigned i = 0; i < 400; i++) {
        const unsigned slot = (unsigned)(next_random(&random) % HELD);
        const size_t bytes = 24 + next_random(&random) % 200;
        const bool inside = next_random(&random) % 4 != 0;
        const bool aborts = next_random(&random) % 3 == 0;
        for (size_t k = 0; held[slot] != NULL && k < words[slot]; k++)
            w->found += load(&held[slot][k]) != (w->index + 1) * 1000 + slot;
        if (inside && machine_tx_begin__sim() != MACHINE_TX_STARTED) {
            w->more++;
            continue;
        }
        if (held[slot] != NULL)
            machine_free__sim(held[slot]);
        uint64_t *new = machine_alloc__sim(bytes);
        for (size_t k = 0; k < bytes / 8; k++)
            store(&new[k], (w->index + 1) * 1000 + slot);
        if (inside && aborts)
            machine_tx_abort__sim(1);
        if (inside)
            machine_tx_end__sim();
        held[slot] = new;
        words[slot] = bytes / 8;
    }
    for (unsigned slot = 0; slot < HELD; slot++)
        machine_free__sim(held[slot]);
}

static void blocks_belong_to_one_thread_at_a_time(void **state) {
    (void)state;
    struct worker w[8];
    open_with("i7-4770", "");
    run(w, 8, (work *const[]){holds_blocks}, 1, NULL, 0);
    uint64_t aborts = 0;
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(w[i].found, 0);
        aborts += w[i].more;
    }
    assert_true(aborts > 500);
    machine->close();
}

/* Blocks of 40 bytes lie 48 apart: the second and the third share a line, and the word in front of
 * the second, which is all that its free uses, lies in another one. */
static uint64_t *volatile neighbour;

static void aborts_beside(struct worker *w) {
    (void)w;
    spend_until(TX_AT);
    if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
        store(neighbour, 1);
        spend_until(TX_END);
        machine_tx_abort__sim(1);
    }
}

static void frees_beside(struct worker *w) {
    uint64_t *block[4];
    for (unsigned i = 0; i < 4; i++) {
        block[i] = machine_alloc__sim(40);
        store(block[i], UINT64_MAX);
    }
    assert_int_equal((uintptr_t)block[1] % LINE, 0);
    neighbour = block[2];
    spend_until(OTHER_AT);
    machine_free__sim(block[3]);
    machine_free__sim(block[1]);
    spend_until(TX_END + 5000);
    w->found = machine_alloc__sim(40) == block[1];
    w->found += machine_alloc__sim(40) == block[3];
}

static void free_lists_survive_aborts_beside_them(void **state) {
    (void)state;
    struct worker w[2];
    open_with("i7-4770", "");
    (void)meet(aborts_beside, frees_beside, 1, w);
    assert_int_equal(w[1].found, 2);
    assert_int_equal(counted().tx_aborts[MACHINE_TX_BY_EXPLICIT], 1);
    machine->close();
}

/* ---- stacks --------------------------------------------------------------------------------- */

static uint64_t *volatile lent; /* a word on a thread's stack */

static void lends_its_stack(struct worker *w) {
    uint64_t word = 1;
    lent = &word;
    spend_until(TX_AT);
    w->status = machine_tx_begin__sim();
    if (w->status == MACHINE_TX_STARTED) {
        spend_until(TX_END); /* does not touch the word itself */
        machine_tx_end__sim();
    }
    spend_until(TX_END + 1000);
    __asm__ volatile("" : "+m"(word));
    w->found = word;
}

static void writes_on_the_stack(struct worker *w) {
    spend_until(TX_AT - 5000);
    store(lent, load(lent) + 1); /* it can hit from here on */
    spend_until(w->size == 0 ? OTHER_AT : TX_AT - 2000);
    store(lent, load(lent) + 1);
}

static void what_others_write_on_a_stack_is_kept(void **state) {
    (void)state;
    struct worker w[2];
    open_with("i7-4770", "");
    assert_int_equal(meet(lends_its_stack, writes_on_the_stack, 1, w), CONFLICT);
    assert_int_equal(w[0].found, 3);
    machine->close();
}

/* ---- pages ---------------------------------------------------------------------------------- */

static int object;

static void writes_other_name(struct worker *w) {
    if (w->size == 1) /* its page has been touched before */
        (void)load(other_name + WORDS);
    spend_until(OTHER_AT);
    store(other_name, 100);
}

static void punches(struct worker *w) {
    (void)w;
    spend_until(OTHER_AT);
    machine_object_punch__sim(object, 0, PAGE);
}

static void maps_over(struct worker *w) {
    spend_until(OTHER_AT);
    assert_true(machine_map_anonymous__sim(w->memory, PAGE, MACHINE_READ_WRITE));
    store(w->memory, 100);
}

static void writes_object(struct worker *w) {
    static const uint64_t value = 100;
    (void)w;
    spend_until(OTHER_AT);
    assert_true(machine_object_write__sim(object, 0, &value, sizeof value));
}

static void zeroes(struct worker *w) {
    spend_until(OTHER_AT);
    assert_true(machine_zero_pages__sim(w->memory, PAGE));
}

/* The page is known by two names; the transaction uses one, and then something happens. */
static void pages_are_isolated_by_all_their_names(void **state) {
    (void)state;
    static const struct {
        work *tx, *other;
        bool anonymous;
        uint64_t after;
    } cases[] = {
        {tx_reads, writes_other_name, false, 100},
        {tx_writes, writes_other_name, false, 100},
        {tx_writes, punches, false, 0},
        {tx_writes, maps_over, false, 100},
        {tx_writes, maps_over, true, 100},
        {tx_writes, zeroes, true, 0},
        {tx_writes, writes_object, false, 100},
        {tx_reads, writes_object, false, 100},
    };
    for (unsigned i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        struct worker w[2];
        struct machine_thread *threads[2];
        open_with("i7-4770", "");
        object = machine_object_open__sim("pages", 4 * PAGE);
        assert_true(object > 0);
        uint64_t *memory = machine_reserve__sim(PAGE, MACHINE_READ_WRITE);
        other_name = machine_reserve__sim(PAGE, MACHINE_READ_WRITE);
        if (!cases[i / 2].anonymous)
            assert_true(machine_map__sim(memory, PAGE, object, 0, MACHINE_READ_WRITE, false));
        assert_true(machine_map__sim(other_name, PAGE, object, 0, MACHINE_READ_WRITE, false));
        store(memory, 5); /* touched */
        memory[1] = 77;
        for (unsigned k = 0; k < 2; k++) {
            w[k] = (struct worker){.fn = k == 0 ? cases[i / 2].tx : cases[i / 2].other,
                                   .memory = memory,
                                   .size = i % 2};
            threads[k] = machine->spawn(k, worker_main, &w[k]);
        }
        for (unsigned k = 0; k < 2; k++)
            machine->join(threads[k]);
        assert_int_not_equal(w[0].status, MACHINE_TX_STARTED);
        assert_int_equal(memory[0], cases[i / 2].after);
        work *const other = cases[i / 2].other;
        const bool same = other == writes_other_name || other == writes_object;
        assert_int_equal(memory[1], same ? 77 : 0);
        (void)counted();
        machine->close();
    }
}

static unsigned faults_caught;
static bool opens_page(uintptr_t address) {
    faults_caught++;
    return machine_map_anonymous__sim((void *)(address & ~(uintptr_t)(PAGE - 1)), PAGE,
                                      MACHINE_READ_WRITE);
}

static void uses_closed_page(struct worker *w) {
    machine_catch_faults__sim(opens_page);
    for (unsigned i = 0; i < 3; i++) {
        w->status = machine_tx_begin__sim();
        if (w->status == MACHINE_TX_STARTED) {
            store(w->memory, 1);
            machine_tx_end__sim();
        }
        assert_int_equal(w->status, 0);
        assert_int_equal(faults_caught, 0);
    }
    store(w->memory, 2);
    assert_int_equal(faults_caught, 1);
    w->status = machine_tx_begin__sim();
    if (w->status == MACHINE_TX_STARTED) {
        store(w->memory, 3);
        machine_tx_end__sim();
    }
}

static void faults_are_suppressed(void **state) {
    (void)state;
    open_with("i7-4770", "");
    faults_caught = 0;
    uint64_t *memory = machine_reserve__sim(PAGE, MACHINE_NO_ACCESS);
    const struct worker w = run_one(uses_closed_page, memory, 0);
    assert_int_equal(w.status, MACHINE_TX_STARTED);
    assert_int_equal(memory[0], 3);
    assert_int_equal(counted().tx_aborts[MACHINE_TX_BY_FAULT], 3);
    machine->close();
}

static void sets_gs(struct worker *w) {
    assert_true(machine_set_gs__sim(w->memory));
    if (machine_tx_begin__sim() == MACHINE_TX_STARTED) {
        assert_true(machine_set_gs__sim(w->memory + WORDS));
        assert_ptr_equal((void *)sim_cpu_now->gs, w->memory + WORDS);
        machine_tx_abort__sim(1);
    }
    assert_ptr_equal((void *)sim_cpu_now->gs, w->memory);
    uint64_t first; /* the processor's, too */
    __asm__ volatile("movq %%gs:0, %0" : "=r"(first));
    w->found = first;
}

static void gs_comes_back(void **state) {
    (void)state;
    open_with("i7-4770", "");
    uint64_t *memory = memory_of(PAGE);
    memory[0] = 41;
    memory[WORDS] = 42;
    assert_int_equal(run_one(sets_gs, memory, 0).found, 41);
    machine->close();
}

/* ---- determinism ---------------------------------------------------------------------------- */

static uint64_t fingerprint(void) {
    struct worker w[8];
    open_with("i7-4770", "htm.spurious=10");
    uint64_t *memory = memory_of(4 * PAGE), print = 0;
    for (unsigned a = 0; a < ACCOUNTS; a++)
        memory[a] = INITIAL;
    run(w, 8, (work *const[]){moves_money}, 1, memory, 1);
    const struct machine_counters c = counted();
    for (unsigned i = 0; i < MACHINE_TX_CAUSES; i++)
        print = print * 31 + c.tx_aborts[i];
    print = ((print * 31 + c.accesses) * 31 + c.instructions) * 31 + c.tx_wasted_ns;
    print = print * 31 + machine->now_ns();
    machine->close();
    return print;
}

static void runs_repeat_themselves(void **state) {
    (void)state;
    assert_int_equal(fingerprint(), fingerprint());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(costs_are_the_profiles),
        cmocka_unit_test(availability_is_the_profiles),
        cmocka_unit_test(rollback_is_exact),
        cmocka_unit_test(rollback_by_others_is_exact),
        cmocka_unit_test(isolation_is_strong),
        cmocka_unit_test(reads_beyond_the_l2_are_isolated),
        cmocka_unit_test(wide_accesses_are_isolated),
        cmocka_unit_test(aborted_stores_leave_the_l1),
        cmocka_unit_test(policies_decide_between_transactions),
        cmocka_unit_test(the_oldest_wins_when_it_asks),
        cmocka_unit_test(aborts_are_told_with_their_aggressor),
        cmocka_unit_test(money_is_neither_made_nor_lost),
        cmocka_unit_test(nine_lines_of_a_set_abort_always),
        cmocka_unit_test(what_is_written_stays_within_the_l1),
        cmocka_unit_test(the_store_cache_is_a_limit),
        cmocka_unit_test(what_is_read_stays_within_the_l3),
        cmocka_unit_test(siblings_compete_for_the_l1),
        cmocka_unit_test(nesting_is_flat_and_limited),
        cmocka_unit_test(interrupts_limit_the_duration),
        cmocka_unit_test(a_barrier_interrupts_transactions),
        cmocka_unit_test(system_calls_abort_and_are_not_made),
        cmocka_unit_test(first_touch_aborts_until_it_is_made_outside),
        cmocka_unit_test(pause_aborts_where_the_profile_says_so),
        cmocka_unit_test(spurious_aborts_come_at_their_rate),
        cmocka_unit_test(every_status_can_be_injected_everywhere),
        cmocka_unit_test(allocation_is_transactional),
        cmocka_unit_test(blocks_belong_to_one_thread_at_a_time),
        cmocka_unit_test(free_lists_survive_aborts_beside_them),
        cmocka_unit_test(what_others_write_on_a_stack_is_kept),
        cmocka_unit_test(pages_are_isolated_by_all_their_names),
        cmocka_unit_test(faults_are_suppressed),
        cmocka_unit_test(gs_comes_back),
        cmocka_unit_test(runs_repeat_themselves),
    };
    machine = machine_find("sim");
    assert_non_null(machine);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
