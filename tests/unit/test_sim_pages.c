/*
 * The simulated machine's pages, seen from its interface: two names of a page share its lines,
 * privatisation separates them, faults call the handler, and everything has its price.  The tests
 * are not instrumented: they call the hooks themselves, as gcc would, in front of each access.
 */
#include "cell.h"
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "simulated_only.h"

#ifndef NO_SIMULATED_MACHINE

/* The machine's own functions, under the names that the build gives them. */
int machine_object_open__sim(const char *name, size_t bytes);
void machine_object_close__sim(int object);
bool machine_object_write__sim(int object, uint64_t at, const void *from, size_t bytes);
void machine_object_punch__sim(int object, uint64_t at, size_t bytes);
void *machine_reserve__sim(size_t bytes, enum machine_access access);
void machine_unreserve__sim(void *start, size_t bytes);
bool machine_map__sim(void *at, size_t bytes, int object, uint64_t from, enum machine_access access,
                      bool populate);
bool machine_map_anonymous__sim(void *at, size_t bytes, enum machine_access access);
bool machine_zero_pages__sim(void *at, size_t bytes);
bool machine_resident_pages__sim(void *at, size_t bytes, unsigned char *resident);
void machine_catch_faults__sim(machine_fault_handler *handler);
void machine_ignore_faults__sim(void);
bool machine_set_gs__sim(const void *base);
void machine_yield__sim(void);
void machine_cpu_relax__sim(void);
void machine_expect_store__sim(const void *line);

/* What gcc calls in front of an access. */
void __tsan_read8(void *p);
void __tsan_write8(void *p);
uint64_t __tsan_atomic64_fetch_add(volatile uint64_t *p, uint64_t v, int order);

enum { PAGE = 4096, WORDS = PAGE / sizeof(uint64_t), PAGES = 16 };
/* ns, see open_with */
enum { SYSCALL = 100, MAP_PAGE = 1000, FAULT = 500, ENTRY = FAULT / 4, SWITCH = 2000 };

static const struct machine *machine;

static uint64_t load(uint64_t *p) {
    __tsan_read8(p);
    return *(volatile uint64_t *)p;
}

static void store(uint64_t *p, uint64_t v) {
    __tsan_write8(p);
    *(volatile uint64_t *)p = v;
}

/* `cores` single cores without timer ticks. */
static void open_with(unsigned cores) {
    char count[64], why[256] = "";
    snprintf(count, sizeof count, "cores_per_group=%u", cores);
    const char *const overrides[] = {"sockets=1",      "groups_per_socket=1", count,
                                     "smt=1",          "syscall=100",         "map_page=1000",
                                     "page_fault=500", "context_switch=2000", "tick=1000ms"};
    if (!machine->open("i7-4770", overrides, sizeof overrides / sizeof *overrides, 1, why,
                       sizeof why))
        fail_msg("%s", why);
}

static struct machine_counters counters(void) {
    struct machine_counters c;
    machine->counters(&c);
    return c;
}

/* Runs fn on the simulated hardware thread `index`, to its end. */
static void run_on(unsigned index, void (*fn)(void *), void *argument) {
    struct machine_thread *t = machine->spawn(index, fn, argument);
    assert_non_null(t);
    machine->join(t);
}

/* The object's pages 0 .. PAGES-1 at two places, and an address for anonymous ones. */
struct views {
    int object;
    uint64_t *a, *b, *spare;
    uint64_t found[16];
    unsigned faults, phase;
};

static struct views v;

static void two_views(enum machine_access access_of_b) {
    memset(&v, 0, sizeof v);
    v.object = machine_object_open__sim("test", 2 * PAGES * PAGE);
    assert_true(v.object > 0);
    v.a = machine_reserve__sim(3 * PAGES * PAGE, MACHINE_NO_ACCESS);
    assert_non_null(v.a);
    v.b = v.a + PAGES * WORDS;
    v.spare = v.b + PAGES * WORDS;
    assert_true(machine_map__sim(v.a, PAGES * PAGE, v.object, 0, MACHINE_READ_WRITE, false));
    assert_true(machine_map__sim(v.b, PAGES * PAGE, v.object, 0, access_of_b, false));
}

/* ---- names --------------------------------------------------------------------------------- */

static void uses_both_views(void *argument) {
    (void)argument;
    store(v.a, 7);
    v.found[0] = load(v.b);
    const struct machine_counters before = counters();
    const uint64_t start = machine->now_ns();
    for (unsigned i = 0; i < 100; i++) {
        store(v.a, i);
        v.found[1] += load(v.b) == i;
    }
    v.found[2] = machine->now_ns() - start;
    v.found[3] = counters().l1_misses - before.l1_misses;
    /* A page of its own behind the second name. */
    v.found[4] = machine_object_write__sim(v.object, PAGES * PAGE, v.a, PAGE);
    v.found[5] = machine_map__sim(v.b, PAGE, v.object, PAGES * PAGE, MACHINE_READ_WRITE, true);
    v.found[6] = load(v.b);
    store(v.b, 1000);
    v.found[7] = load(v.a);
}

static void test_two_names_share_lines_until_one_is_private(void **state) {
    (void)state;
    open_with(1);
    two_views(MACHINE_READ_ONLY);
    run_on(0, uses_both_views, NULL);
    machine->close();
    assert_int_equal(v.found[0], 7);
    assert_int_equal(v.found[1], 100);
    assert_true(v.found[2] < 400); /* 200 hits and a look at the clock */
    assert_int_equal(v.found[3], 0);
    assert_true(v.found[4] && v.found[5]);
    assert_int_equal(v.found[6], 99);
    assert_int_equal(v.found[7], 99);
}

/* Two cores write: of one line, through two names, or of two lines behind the same names. */
static void writes_often(void *argument) {
    uint64_t *p = argument;
    for (unsigned i = 0; i < 1000; i++) {
        store(p, i);
        machine_cpu_relax__sim();
    }
}

static uint64_t transfers_of_two_writers(bool separate) {
    open_with(2);
    two_views(MACHINE_READ_WRITE);
    if (separate)
        assert_true(machine_map__sim(v.b, PAGE, v.object, PAGES * PAGE, MACHINE_READ_WRITE, false));
    struct machine_thread *t[] = {machine->spawn(0, writes_often, v.a),
                                  machine->spawn(1, writes_often, v.b)};
    machine->join(t[0]);
    machine->join(t[1]);
    const uint64_t n = counters().transfers;
    machine->close();
    return n;
}

static void test_private_pages_do_not_collide(void **state) {
    (void)state;
    assert_true(transfers_of_two_writers(false) > 500);
    assert_true(transfers_of_two_writers(true) < 10);
}

/* ---- faults -------------------------------------------------------------------------------- */

static bool make_accessible(uintptr_t address) {
    v.faults++;
    v.found[8] = address;
    return machine_map__sim((void *)(address & ~(uintptr_t)(PAGE - 1)), PAGE, v.object, 0,
                            MACHINE_READ_WRITE, true);
}

static void touches_spare(void *argument) {
    (void)argument;
    store(v.a, 5);
    const uint64_t start = machine->now_ns();
    v.found[0] = load(v.spare + 3);
    v.found[1] = machine->now_ns() - start;
    v.found[2] = load(v.spare);
    v.found[3] = load(v.spare + 3);
}

static void test_handler_is_called_once(void **state) {
    (void)state;
    open_with(1);
    two_views(MACHINE_READ_ONLY);
    machine_catch_faults__sim(make_accessible);
    run_on(0, touches_spare, NULL);
    machine->close();
    assert_int_equal(v.faults, 1);
    assert_int_equal(v.found[8], (uintptr_t)(v.spare + 3));
    assert_int_equal(v.found[2], 5);
    /* Fault, signal and way back, one page mapped; then the clock and some lines. */
    assert_in_range(v.found[1], FAULT + 2 * SYSCALL + MAP_PAGE,
                    FAULT + 2 * SYSCALL + MAP_PAGE + 200);
}

static void writes_read_only(void *argument) {
    (void)argument;
    store(v.a, 1);
    v.found[0] = load(v.b); /* the core has the line, exclusively, under this name too */
    v.found[1] = v.faults;
    store(v.b, 2);
    v.found[2] = v.faults;
    store(v.b, 3);
    v.found[3] = load(v.a);
}

static void adds_to_read_only(void *argument) {
    (void)argument;
    store(v.a, 1);
    v.found[0] = load(v.b);
    v.found[2] = __tsan_atomic64_fetch_add(v.b, 2, __ATOMIC_SEQ_CST);
    v.found[3] = load(v.a);
}

static void test_writes_to_read_only_pages_are_caught(void **state) {
    (void)state;
    open_with(1);
    two_views(MACHINE_READ_ONLY);
    machine_catch_faults__sim(make_accessible);
    run_on(0, writes_read_only, NULL);
    machine->close();
    assert_int_equal(v.found[1], 0);
    assert_int_equal(v.found[2], 1);
    assert_int_equal(v.faults, 1);
    assert_int_equal(v.found[3], 3);
    open_with(1);
    two_views(MACHINE_READ_ONLY);
    machine_catch_faults__sim(make_accessible);
    run_on(0, adds_to_read_only, NULL);
    machine->close();
    assert_int_equal(v.faults, 1);
    assert_int_equal(v.found[2], 1);
    assert_int_equal(v.found[3], 3);
}

static jmp_buf way_out;

static bool jump_out(uintptr_t address) {
    (void)address;
    v.faults++;
    machine_cpu_relax__sim(); /* others pass */
    longjmp(way_out, 1);
}

static void is_thrown_out(void *argument) {
    (void)argument;
    for (volatile unsigned i = 0; i < 10; i++)
        if (setjmp(way_out) == 0) {
            (void)load(v.spare + i * WORDS);
            v.found[0]++; /* never */
        }
    store(v.a, 9);
    v.found[1] = load(v.b);
}

static void test_handlers_may_jump_out(void **state) {
    (void)state;
    open_with(2);
    two_views(MACHINE_READ_ONLY);
    machine_catch_faults__sim(jump_out);
    struct machine_thread *t[] = {machine->spawn(0, is_thrown_out, NULL),
                                  machine->spawn(1, writes_often, v.a + 8 * WORDS)};
    machine->join(t[0]);
    machine->join(t[1]);
    machine->close();
    assert_int_equal(v.faults, 10);
    assert_int_equal(v.found[0], 0);
    assert_int_equal(v.found[1], 9);
}

/* What is thought to be needed is no access, so it is nobody's fault. */
static void expects_spare(void *argument) {
    (void)argument;
    machine_expect_store__sim(v.spare);
    machine_expect_store__sim(v.a);
    store(v.a + 1, 1);
}

static void test_expectations_do_not_fault(void **state) {
    (void)state;
    open_with(1);
    two_views(MACHINE_READ_ONLY);
    machine_catch_faults__sim(jump_out);
    run_on(0, expects_spare, NULL);
    assert_int_equal(counters().page_faults, 1); /* the store's */
    machine->close();
    assert_int_equal(v.faults, 0);
}

static bool refuse(uintptr_t address) {
    (void)address;
    return false;
}

static void reads_spare(void *argument) {
    (void)argument;
    (void)load(v.spare);
}

static void ends_with(machine_fault_handler *handler) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        open_with(1);
        two_views(MACHINE_READ_ONLY);
        if (handler != NULL)
            machine_catch_faults__sim(handler);
        run_on(0, reads_spare, NULL);
        _exit(0);
    }
    close(fds[1]);
    char text[256] = "", wanted[64];
    const ssize_t n = read(fds[0], text, sizeof text - 1);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(fds[0]);
    assert_true(n > 0);
    snprintf(wanted, sizeof wanted, "reads address %p", (void *)v.spare); /* always the same */
    assert_non_null(strstr(text, wanted));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAILURE);
}

static void test_a_fault_that_nobody_wants_ends_the_program(void **state) {
    (void)state;
    ends_with(NULL);
    ends_with(refuse);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void looks_at_memory(void *argument) {
    (void)argument;
    unsigned char resident[PAGES];
    v.found[0] = machine_map_anonymous__sim(v.spare, PAGES * PAGE, MACHINE_READ_WRITE);
    for (unsigned i = 0; i < PAGES; i += 3)
        store(v.spare + i * WORDS, i + 1);
    (void)load(v.spare + WORDS);
    v.found[0] &= machine_resident_pages__sim(v.spare, PAGES * PAGE, resident);
    for (unsigned i = 0; i < PAGES; i++)
        v.found[1] += resident[i] == (i % 3 == 0 || i == 1);
    v.found[0] &= machine_zero_pages__sim(v.spare + WORDS, 4 * PAGE);
    v.found[0] &= machine_resident_pages__sim(v.spare, PAGES * PAGE, resident);
    for (unsigned i = 0; i < PAGES; i++)
        v.found[2] += resident[i] == (i % 3 == 0 && i != 3);
    v.found[3] = load(v.spare);
    v.found[4] = load(v.spare + 3 * WORDS);
    v.found[5] = load(v.spare + 6 * WORDS);
    /* A page of an object has memory when anybody has touched it. */
    store(v.a + 5 * WORDS, 3);
    v.found[0] &= machine_resident_pages__sim(v.b, PAGES * PAGE, resident);
    for (unsigned i = 0; i < PAGES; i++)
        v.found[6] += resident[i] == (i == 5);
}

static void test_resident_pages_are_those_that_were_touched(void **state) {
    (void)state;
    open_with(1);
    two_views(MACHINE_READ_ONLY);
    const uint64_t before = machine->resident_bytes();
    run_on(0, looks_at_memory, NULL);
    /* spare: 0, 3, 6, 9, 12, 15; then 3 once more; and one of the object. */
    assert_int_equal(machine->resident_bytes() - before, 7 * PAGE);
    machine->close();
    assert_true(v.found[0]);
    assert_int_equal(v.found[1], PAGES);
    assert_int_equal(v.found[2], PAGES);
    assert_int_equal(v.found[3], 1);
    assert_int_equal(v.found[4], 0);
    assert_int_equal(v.found[5], 7);
    assert_int_equal(v.found[6], PAGES);
}

static void punches(void *argument) {
    (void)argument;
    store(v.a + 2 * WORDS, 8);
    store(v.a + 3 * WORDS, 9);
    v.found[0] = load(v.b + 2 * WORDS);
    machine_object_punch__sim(v.object, 2 * PAGE, PAGE);
    v.found[1] = load(v.b + 2 * WORDS);
    v.found[2] = load(v.a + 2 * WORDS);
    v.found[3] = load(v.a + 3 * WORDS);
}

static void test_punched_pages_are_zero(void **state) {
    (void)state;
    open_with(1);
    two_views(MACHINE_READ_ONLY);
    const uint64_t before = machine->resident_bytes();
    run_on(0, punches, NULL);
    assert_int_equal(machine->resident_bytes() - before, 2 * PAGE);
    machine->close();
    assert_int_equal(v.found[0], 8);
    assert_int_equal(v.found[1], 0);
    assert_int_equal(v.found[2], 0);
    assert_int_equal(v.found[3], 9);
}

/* ---- costs --------------------------------------------------------------------------------- */

static uint64_t map_time(uint64_t *at, unsigned pages, unsigned from, bool populate) {
    const uint64_t start = machine->now_ns();
    v.found[15] += !machine_map__sim(at, (size_t)pages * PAGE, v.object, (uint64_t)from * PAGE,
                                     MACHINE_READ_WRITE, populate);
    return machine->now_ns() - start;
}

static void maps(void *argument) {
    (void)argument;
    for (unsigned i = 0; i < 4; i++)
        store(v.a + i * WORDS, 1);
    v.found[0] = map_time(v.spare, 1, 0, true); /* has memory */
    v.found[1] = map_time(v.spare, 4, 0, true); /* one of them was accessible before */
    v.found[2] = map_time(v.spare, 1, 8, true); /* has none yet */
    v.found[3] = map_time(v.spare + 8 * WORDS, 4, 0, false);
    const uint64_t start = machine->now_ns();
    store(v.spare + 8 * WORDS, 1);
    v.found[4] = machine->now_ns() - start;
}

static void pauses_long(void *argument) {
    uint64_t *end = argument;
    while (machine->now_ns() < *end)
        machine_cpu_relax__sim();
}

static void test_mapping_has_its_price(void **state) {
    (void)state;
    enum { CLOCK = 60 }; /* reading it, and a few lines */
    for (unsigned others = 0; others < 3; others++) {
        open_with(4);
        two_views(MACHINE_READ_ONLY);
        uint64_t end = 100000;
        struct machine_thread *t[3] = {machine->spawn(0, maps, NULL)};
        for (unsigned i = 1; i <= others; i++)
            t[i] = machine->spawn(i, pauses_long, &end);
        for (unsigned i = 0; i <= others; i++)
            machine->join(t[i]);
        machine->close();
        const uint64_t shot = others > 0 ? SWITCH : 0;
        assert_int_equal(v.found[15], 0);
        assert_in_range(v.found[0], MAP_PAGE, MAP_PAGE + CLOCK);
        assert_in_range(v.found[1], MAP_PAGE + 4 * ENTRY + shot,
                        MAP_PAGE + 4 * ENTRY + shot + CLOCK);
        assert_in_range(v.found[2], MAP_PAGE + ENTRY + FAULT + shot,
                        MAP_PAGE + ENTRY + FAULT + shot + CLOCK);
        assert_in_range(v.found[3], MAP_PAGE, MAP_PAGE + CLOCK);
        assert_in_range(v.found[4], FAULT, FAULT + CLOCK);
    }
}

/* The copy leaves its traces in the caches of who makes it. */
static void copies(void *argument) {
    (void)argument;
    for (unsigned i = 0; i < WORDS; i++)
        store(v.a + i, i);
    struct machine_counters before = counters();
    v.found[0] = machine_object_write__sim(v.object, PAGES * PAGE, v.a, PAGE);
    v.found[1] = counters().l3_misses - before.l3_misses;
    v.found[2] = machine_map__sim(v.spare, PAGE, v.object, PAGES * PAGE, MACHINE_READ_ONLY, true);
    before = counters();
    for (unsigned i = 0; i < WORDS; i++)
        v.found[3] += load(v.spare + i) == i;
    v.found[4] = counters().l2_misses - before.l2_misses;
}

static void test_copies_go_through_the_caches(void **state) {
    (void)state;
    open_with(1);
    two_views(MACHINE_READ_ONLY);
    run_on(0, copies, NULL);
    machine->close();
    assert_true(v.found[0] && v.found[2]);
    assert_int_equal(v.found[1], PAGE / 64); /* of the new page; the old one is there */
    assert_int_equal(v.found[3], WORDS);
    assert_int_equal(v.found[4], 0);
}

/* ---- %gs ----------------------------------------------------------------------------------- */

static uint64_t gs_load(uintptr_t offset) {
    __tsan_read8((void *)offset); /* NOLINT(*-no-int-to-ptr): gcc hands the bare offset */
    uint64_t value;
    __asm__ volatile("movq %%gs:(%1), %0" : "=r"(value) : "r"(offset));
    return value;
}

/* Threads that take turns on one hardware thread keep their own. */
static void reads_through_gs(void *argument) {
    uint64_t *base = argument;
    assert_true(machine_set_gs__sim(base));
    for (unsigned i = 0; i < 20; i++) {
        v.found[base == v.a ? 0 : 1] += gs_load(4 * PAGE);
        machine_yield__sim();
    }
    /* An atomic operation is made by the hook itself. */
    volatile uint64_t *word = (volatile uint64_t *)(5 * PAGE); /* NOLINT(*-no-int-to-ptr) */
    for (unsigned i = 0; i < 3; i++)
        (void)__tsan_atomic64_fetch_add(word, base == v.a ? 1 : 10, __ATOMIC_SEQ_CST);
}

static void test_each_thread_has_its_gs(void **state) {
    (void)state;
    open_with(1);
    two_views(MACHINE_READ_WRITE);
    assert_true(
        machine_map__sim(v.b, PAGES * PAGE, v.object, PAGES * PAGE, MACHINE_READ_WRITE, false));
    assert_true(machine_set_gs__sim(v.a));
    v.a[4 * WORDS] = 1;
    v.b[4 * WORDS] = 100;
    struct machine_thread *t[] = {machine->spawn(0, reads_through_gs, v.a),
                                  machine->spawn(1, reads_through_gs, v.b)};
    machine->join(t[0]);
    machine->join(t[1]);
    assert_int_equal(gs_load(4 * PAGE), 1); /* the host has its own again */
    assert_int_equal(v.a[5 * WORDS], 3);
    assert_int_equal(v.b[5 * WORDS], 30);
    machine->close();
    assert_int_equal(v.found[0], 20);
    assert_int_equal(v.found[1], 2000);
}

/* ---- random -------------------------------------------------------------------------------- */

/* What each of the pages shows, against what was stored, over many changes of mappings. */
static void changes_at_random(void *argument) {
    uint64_t *wrong = argument, random = 1;
    uint64_t content[2 * PAGES] = {0}; /* first word of the object's pages */
    int page_of[PAGES];                /* which of them the i-th page of `a` shows; -1: anonymous */
    uint64_t own[PAGES] = {0};
    for (int i = 0; i < PAGES; i++)
        page_of[i] = i;
    for (unsigned n = 0; n < 3000; n++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        const unsigned i = random >> 33 & (PAGES - 1), kind = random >> 50 & 7;
        unsigned count = 1 + (random >> 54 & 3);
        count = count < PAGES - i ? count : PAGES - i;
        const unsigned from = random >> 40 & (PAGES - 1);
        uint64_t *at = v.a + i * WORDS;
        if (kind < 2) {
            *wrong += !machine_map__sim(at, count * PAGE, v.object, (uint64_t)from * PAGE,
                                        MACHINE_READ_WRITE, kind == 0);
            for (unsigned k = 0; k < count; k++)
                page_of[i + k] = (int)(from + k);
        } else if (kind == 2) {
            *wrong += !machine_map_anonymous__sim(at, count * PAGE, MACHINE_READ_WRITE);
            for (unsigned k = 0; k < count; k++) {
                page_of[i + k] = -1;
                own[i + k] = 0;
            }
        } else if (kind == 3) {
            machine_object_punch__sim(v.object, (uint64_t)from * PAGE, PAGE);
            content[from] = 0;
        } else {
            uint64_t *expected = page_of[i] < 0 ? &own[i] : &content[page_of[i]];
            *wrong += load(at) != *expected;
            if (kind > 5)
                store(at, *expected = n);
        }
    }
}

static void test_changes_at_random_keep_everything_right(void **state) {
    (void)state;
    uint64_t wrong = 0;
    open_with(2);
    two_views(MACHINE_READ_ONLY);
    run_on(0, changes_at_random, &wrong);
    /* Objects are numbered anew, and everything lies where it lay. */
    uint64_t *const place = v.a;
    assert_int_equal(v.object, 1);
    machine_object_close__sim(v.object);
    machine->close();
    assert_int_equal(wrong, 0);
    open_with(1);
    two_views(MACHINE_READ_ONLY);
    assert_ptr_equal(v.a, place);
    assert_int_equal(v.object, 1);
    assert_int_equal(*v.a, 0);
    machine_unreserve__sim(v.a, 3 * PAGES * PAGE);
    assert_ptr_equal(machine_reserve__sim(PAGE, MACHINE_NO_ACCESS), place);
    machine->close();
}

int main(void) {
    machine = machine_find("sim");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_names_share_lines_until_one_is_private),
        cmocka_unit_test(test_private_pages_do_not_collide),
        cmocka_unit_test(test_handler_is_called_once),
        cmocka_unit_test(test_writes_to_read_only_pages_are_caught),
        cmocka_unit_test(test_handlers_may_jump_out),
        cmocka_unit_test(test_expectations_do_not_fault),
        cmocka_unit_test(test_a_fault_that_nobody_wants_ends_the_program),
        cmocka_unit_test(test_resident_pages_are_those_that_were_touched),
        cmocka_unit_test(test_punched_pages_are_zero),
        cmocka_unit_test(test_mapping_has_its_price),
        cmocka_unit_test(test_copies_go_through_the_caches),
        cmocka_unit_test(test_each_thread_has_its_gs),
        cmocka_unit_test(test_changes_at_random_keep_everything_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
