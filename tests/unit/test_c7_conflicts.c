/*
 * test_c7_conflicts.c - two and three threads of engine c7, stepped through every conflict and
 * every way in which they can share a page: who wins, what each of them sees, and what becomes of
 * the owner bytes, markers and private pages.  See c7_inside.h for how they are stepped.
 *
 * Each test runs with commit=pause and commit=log; where the two promise different things the test
 * says so.
 */
#if defined(__SANITIZE_THREAD__)
#include <stdio.h>
/* This engine makes no claim that TSan could check. */
int main(void) {
    puts("0 passed, 0 failed, 1 skipped");
    return 0;
}
#else

#include "c7_inside.h"

enum { LONG_WORDS = 4096, CARD_WORDS = C7_CARD / 8, PAGE_WORDS = C7_PAGE / 8, COLD_PAGES = 40 };

struct cell {
    TM_HEADER;
    uint64_t value;
};
typedef TM_REF(struct cell) cell_ref;

struct array {
    TM_HEADER;
    uint64_t word[];
};
typedef TM_REF(struct array) array_ref;

/* x, y and z lie on one page, far on another one, `array` is long and has cards, `cold` too, and no
 * warm-up touches it. */
static struct {
    cell_ref x, y, z, far;
    array_ref array, cold;
} world;

static uint32_t unit_of(cell_ref ref) { return tm_c7_unit((uintptr_t)ref); }

/* What segment `number` shows at this place; 0 is the committed state. */
static uint64_t view(unsigned number, cell_ref ref) {
    return *(const uint64_t *)(tm_c7.segment[number].base + (uintptr_t)ref +
                               offsetof(struct cell, value));
}
static uint64_t view_word(unsigned number, unsigned i) {
    return *(const uint64_t *)(tm_c7.segment[number].base + (uintptr_t)world.array +
                               offsetof(struct array, word) + 8 * (size_t)i);
}

static void set_up(enum c7_commit commit, unsigned threads, unsigned segments) {
    engine_start(commit, threads, segments, 64);
    struct tm_thread *self = tm_engine_descriptor.attach(0, true);
    world.x = tm_new(self, struct cell);
    world.y = tm_new(self, struct cell);
    world.z = tm_new(self, struct cell);
    /* Behind a long object, and so many small ones that its page is not in the same batch. */
    world.array = tm_new_array(self, struct array, word, LONG_WORDS);
    for (unsigned i = 0; i < 2 * C7_BATCH_PAGES * C7_PAGE / 32; i++)
        world.far = tm_new(self, struct cell);
    assert_true(tm_c7_page(unit_of(world.x)) == tm_c7_page(unit_of(world.z)));
    assert_true(tm_c7_page(unit_of(world.x)) + C7_BATCH_PAGES < tm_c7_page(unit_of(world.far)));
    world.cold = tm_new_array(self, struct array, word, COLD_PAGES * PAGE_WORDS);
    tm_engine_descriptor.detach(self);
}

/* With commit=log a page must be touched once before commits to it are told to the segment, and
 * first touches wait for irrevocable blocks: that is done with before a test begins. */
static void touch_pages(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->seen[0] = tm_get(world.x, value);
        for (unsigned i = 0; i < LONG_WORDS; i += C7_PAGE / 8)
            actor->seen[0] += tm_get_at(world.array, word, i);
        actor->seen[0] += tm_get_at(world.array, word, LONG_WORDS - 1);
    }
}

/* Nobody owns anything, and what is committed is this. */
static void expect_state(uint64_t x, uint64_t y) {
    assert_true(tm_c7_owner(unit_of(world.x)) == 0);
    assert_true(tm_c7_owner(unit_of(world.y)) == 0);
    assert_true(atomic_load(&tm_c7.token) == 0);
    assert_true(view(0, world.x) == x);
    assert_true(view(0, world.y) == y);
}

static struct actor *const A = &actors[0], *const B = &actors[1], *const C = &actors[2];

#define START(...)                                                                                 \
    do {                                                                                           \
        warm_up = touch_pages;                                                                     \
        START_COLD(__VA_ARGS__);                                                                   \
    } while (0)
#define START_COLD(...)                                                                            \
    do {                                                                                           \
        static const script scripts_[] = {__VA_ARGS__};                                            \
        const unsigned count_ = sizeof scripts_ / sizeof *scripts_;                                \
        set_up(commit_of(state), count_, count_);                                                  \
        actors_start(count_, scripts_);                                                            \
    } while (0)

static uint64_t aborts_of(const struct actor *actor) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < TM_CAUSES; i++)
        sum += actor->aborts[i];
    return sum;
}

/* It has lost its execution to `winner` for this reason, at this object, and that is all. */
static void expect_one_abort(const struct actor *loser, enum tm_cause cause,
                             const struct actor *winner, cell_ref where) {
    assert_int_equal(aborts_of(loser), 1);
    assert_int_equal(loser->aborts[cause], 1);
    assert_int_equal(loser->executions, 2);
    assert_int_equal(loser->last_abort.cause, cause);
    assert_int_equal(loser->last_abort.peer, (int)winner->index);
    assert_true((uintptr_t)loser->last_abort.address == (uintptr_t)unit_of(where) << C7_UNIT_SHIFT);
    assert_non_null(loser->last_abort.site);
}

static void expect_no_abort(const struct actor *actor) {
    assert_int_equal(aborts_of(actor), 0);
    assert_int_equal(actor->executions, 1);
}

/* ---- scripts --------------------------------------------------------------------------------- */

/* Adds 1 (actor 0) or 10 (actor 1) or 100 (actor 2) to x: points 1 before, 2 behind the write. */
static void add_to_x(struct actor *actor, struct tm_thread *self) {
    static const uint64_t amounts[] = {1, 10, 100};
    const uint64_t amount = amounts[actor->index];
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        tm_set(world.x, value, tm_get(world.x, value) + amount);
        point(actor, 2);
    }
}

/* Writes x without having read it. */
static void overwrite_x(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        tm_set(world.x, value, 7 + actor->index);
        point(actor, 2);
    }
}

/* Reads x, then x again: both the same in every execution. */
static void read_x_twice(struct actor *actor, struct tm_thread *self) {
    uint64_t first = 0, second = 0;
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        first = tm_get(world.x, value);
        point(actor, 2);
        second = tm_get(world.x, value);
        point(actor, 3);
    }
    actor->seen[0] = first;
    actor->seen[1] = second;
}

/* ---- write-write ----------------------------------------------------------------------------- */

/* Of two that began at the same age the lower segment wins; the one that comes second to the object
 * loses at once if it is the younger. */
static void second_writer_that_is_younger_loses_at_once(void **state) {
    START(overwrite_x, overwrite_x);
    go_to(A, 1);
    go_to(B, 1);
    go_to(A, 2);
    assert_true(tm_c7_owner(unit_of(world.x)) == 1);
    assert_true(view(1, world.x) == 7 && view(0, world.x) == 0);
    go_to(B, 1); /* aborted, backed off, begun again */
    assert_true(tm_c7_owner(unit_of(world.x)) == 1);
    go(A);
    expect_end(A);
    go_to(B, 2);
    assert_true(tm_c7_owner(unit_of(world.x)) == 2);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_one_abort(B, TM_WRITE_WRITE, A, world.x);
    expect_state(8, 0);
    stop();
}

/* The owner is the younger one: it is told to abort, and the older one waits for it. */
static void second_writer_that_is_older_takes_the_object(void **state) {
    START(add_to_x, add_to_x);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    assert_true(tm_c7_owner(unit_of(world.x)) == 2 && view(2, world.x) == 10);
    go_to(A, 2);
    expect_point(B, 1);
    assert_true(tm_c7_owner(unit_of(world.x)) == 1);
    if (tm_c7_is_private(&tm_c7.segment[2], unit_of(world.x))) /* copied back */
        assert_true(view(2, world.x) == 0);
    go(A);
    expect_end(A);
    go_to(B, 2);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_one_abort(B, TM_WRITE_WRITE, A, world.x);
    expect_state(11, 0);
    stop();
}

/* While the owner is at no safe point the older one waits, without having been given the object. */
static void add_to_x_blindly(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        tm_set(world.x, value, tm_get(world.x, value) + 10);
        blind_point(actor, 2);
        tm_safepoint(self);
        point(actor, 3);
    }
}
static void older_writer_waits_for_a_safe_point(void **state) {
    START(add_to_x, add_to_x_blindly);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    go(A);
    expect_blocked(A);
    assert_true(tm_c7_owner(unit_of(world.x)) == 2);
    go_to(B, 1);
    expect_point(A, 2);
    go(A);
    expect_end(A);
    go_to(B, 2);
    go_to(B, 3);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_one_abort(B, TM_WRITE_WRITE, A, world.x);
    expect_state(11, 0);
    stop();
}

/* Age decides, and the number of the segment only among equals. */
static void age_beats_segment_number(void **state) {
    START(overwrite_x, overwrite_x);
    go_to(B, 1);
    atomic_fetch_add(&tm_c7.clock, 1); /* as a conflict of others does */
    go_to(A, 1);
    go_to(A, 2);
    assert_true(tm_c7_owner(unit_of(world.x)) == 1);
    go_to(B, 2);
    expect_point(A, 1);
    assert_true(tm_c7_owner(unit_of(world.x)) == 2);
    go(B);
    expect_end(B);
    go_to(A, 2);
    go(A);
    expect_end(A);
    expect_no_abort(B);
    expect_one_abort(A, TM_WRITE_WRITE, B, world.x);
    expect_state(7, 0);
    stop();
}

/* The loser keeps its age over its executions, so a newcomer loses against it. */
static void a_loser_becomes_the_oldest(void **state) {
    START(overwrite_x, overwrite_x, overwrite_x);
    go_to(B, 1);
    go_to(C, 1); /* younger than B: same age, higher number */
    go_to(B, 2);
    go_to(C, 1); /* lost */
    go(B);
    expect_end(B);
    go_to(A, 1); /* the lowest number, but younger than C now */
    go_to(A, 2);
    go_to(C, 2); /* takes it */
    expect_point(A, 1);
    go(C);
    expect_end(C);
    go_to(A, 2);
    go(A);
    expect_end(A);
    expect_one_abort(C, TM_WRITE_WRITE, B, world.x);
    expect_one_abort(A, TM_WRITE_WRITE, C, world.x);
    expect_state(7, 0);
    stop();
}

/* Each owns what the other wants: the younger gives up, the older goes on, nobody waits for ever.
 */
static void write_two(struct actor *actor, struct tm_thread *self) {
    const cell_ref first = actor->index == 0 ? world.x : world.y;
    const cell_ref second = actor->index == 0 ? world.y : world.x;
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        tm_set(first, value, tm_get(first, value) + 1);
        point(actor, 2);
        tm_set(second, value, tm_get(second, value) + 1);
        point(actor, 3);
    }
}
static void crossed_writes_end(void **state) {
    START(write_two, write_two);
    go_to(A, 1);
    go_to(B, 1);
    go_to(A, 2);
    go_to(B, 2);
    assert_true(tm_c7_owner(unit_of(world.x)) == 1 && tm_c7_owner(unit_of(world.y)) == 2);
    go_to(A, 3);
    expect_point(B, 1);
    assert_true(tm_c7_owner(unit_of(world.x)) == 1 && tm_c7_owner(unit_of(world.y)) == 1);
    go(A);
    expect_end(A);
    go_to(B, 2);
    go_to(B, 3);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_one_abort(B, TM_WRITE_WRITE, A, world.y);
    expect_state(2, 2);
    stop();
}

/* commit=log takes owner bytes by a load and a store, so two may believe that an object is theirs:
 * here, because the byte is taken away from B.  The one that commits first invalidates the other,
 * which has marked what it has written. */
static void overwrite_x_on_a_private_page(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        tm_set(world.z, value, 1);
    }
    overwrite_x(actor, self);
}
static void writers_that_race_for_an_object(void **state) {
    START(overwrite_x, overwrite_x_on_a_private_page);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    assert_true(tm_c7_owner(unit_of(world.x)) == 2);
    assert_true(tm_c7_has_read(&tm_c7.segment[2], unit_of(world.x)));
    atomic_store(&tm_c7.owner[unit_of(world.x)], 0);
    go_to(A, 2);
    go(A);
    expect_end(A);
    expect_point(B, 1);
    go_to(B, 2);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_one_abort(B, TM_WRITE_READ, A, world.x);
    expect_state(8, 0);
    stop();
}

/* ---- write-read ------------------------------------------------------------------------------ */

/* A write that has not been committed is seen by nobody else, and conflicts with no reader that
 * ends before it. */
static void uncommitted_writes_are_not_seen(void **state) {
    START(overwrite_x, read_x_twice);
    go_to(A, 1);
    go_to(B, 1);
    go_to(A, 2);
    go_to(B, 2);
    go_to(B, 3);
    assert_true(view(1, world.x) == 7 && view(2, world.x) == 0 && view(0, world.x) == 0);
    assert_true(tm_c7_has_read(&tm_c7.segment[2], unit_of(world.x)));
    go(B);
    expect_end(B);
    go(A);
    expect_end(A);
    expect_no_abort(A);
    expect_no_abort(B);
    assert_true(B->seen[0] == 0 && B->seen[1] == 0);
    expect_state(7, 0);
    stop();
}

/* Another object on the page of one that is written is no conflict. */
static void read_y(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        actor->seen[0] = tm_get(world.y, value);
        point(actor, 2);
    }
}
static void readers_of_neighbours_do_not_conflict(void **state) {
    START(overwrite_x, read_y);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    go_to(A, 2);
    go(A);
    expect_end(A);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_no_abort(B);
    expect_state(7, 0);
    stop();
}

/* The committer finds the marker of a younger reader, which aborts at its safe point, and in none
 * of its executions sees two values. */
static void committer_beats_a_younger_reader(void **state) {
    START(overwrite_x, read_x_twice);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    go_to(A, 2);
    go(A);
    expect_end(A);
    expect_point(B, 1);
    go_to(B, 2);
    go_to(B, 3);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_one_abort(B, TM_WRITE_READ, A, world.x);
    assert_true(B->seen[0] == 7 && B->seen[1] == 7);
    expect_state(7, 0);
    stop();
}

/* commit=pause: an older reader wins, the committer starts again.  commit=log: the committer wins
 * always (readers that lose often get priority, see below). */
static void committer_against_an_older_reader(void **state) {
    START(read_x_twice, overwrite_x);
    go_to(A, 1);
    go_to(B, 1);
    go_to(A, 2);
    go_to(B, 2);
    if (commit_of(state) == C7_PAUSE) {
        go_to(B, 1);
        assert_true(view(0, world.x) == 0);
        assert_true(tm_c7_owner(unit_of(world.x)) == 0);
        go_to(A, 3);
        go(A);
        expect_end(A);
        go_to(B, 2);
        go(B);
        expect_end(B);
        expect_no_abort(A);
        expect_one_abort(B, TM_WRITE_READ, A, world.x);
        assert_true(A->seen[0] == 0 && A->seen[1] == 0);
    } else {
        go(B);
        expect_end(B);
        expect_point(A, 1);
        go_to(A, 2);
        go_to(A, 3);
        go(A);
        expect_end(A);
        expect_no_abort(B);
        expect_one_abort(A, TM_WRITE_READ, B, world.x);
        assert_true(A->seen[0] == 8 && A->seen[1] == 8);
    }
    expect_state(8, 0);
    stop();
}

/* Reads x, and without a safe point in between writes it, or another object. */
static void read_x_write_x(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        const uint64_t x = tm_get(world.x, value);
        blind_point(actor, 2);
        tm_set(world.x, value, x + 100);
        point(actor, 3);
    }
}
static void read_x_write_y(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        const uint64_t x = tm_get(world.x, value);
        blind_point(actor, 2);
        tm_set(world.y, value, x + 100);
        blind_point(actor, 3);
    }
}

/* commit=pause: the committer waits for the reader, which stands at no safe point, and the reader
 * aborts in its write barrier, or behind its commit at the latest.  commit=log: the commit waits
 * for nobody, and the reader must not write upon what it has read: no update is lost. */
static void update_of_a_stale_value_aborts(void **state) {
    START(overwrite_x, read_x_write_x);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    go_to(A, 2);
    go(A);
    if (commit_of(state) == C7_PAUSE) {
        expect_blocked(A);
        assert_true(view(0, world.x) == 0);
    } else {
        expect_end(A);
        assert_true(view(0, world.x) == 7 && view(2, world.x) == 0);
    }
    go_to(B, 1);
    if (commit_of(state) == C7_PAUSE)
        expect_end(A);
    go_to(B, 2);
    go_to(B, 3);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    assert_int_equal(B->executions, 2);
    assert_int_equal(aborts_of(B), 1);
    expect_state(107, 0);
    stop();
}

/* The same where the block writes something else.  commit=log: the commit finds it.  commit=pause:
 * the reader comes to its own commit while the other one waits for it.  Nobody has read what it has
 * written, so it commits, and first; the other one has lost nothing, although it is the younger. */
static void commit_upon_a_stale_value(void **state) {
    const bool pause = commit_of(state) == C7_PAUSE;
    START(overwrite_x, read_x_write_y);
    go_to(B, 1);
    atomic_fetch_add(&tm_c7.clock, 1);
    go_to(A, 1);
    go_to(B, 2);
    go_to(B, 3);
    go_to(A, 2);
    go(A);
    if (pause) {
        expect_blocked(A);
        go(B);
        expect_end(B);
        expect_end(A);
        expect_no_abort(B);
        expect_state(7, 100);
    } else {
        expect_end(A);
        go_to(B, 1);
        assert_true(view(0, world.y) == 0);
        go_to(B, 2);
        go_to(B, 3);
        go(B);
        expect_end(B);
        expect_one_abort(B, TM_WRITE_READ, A, world.x);
        expect_state(7, 107);
    }
    expect_no_abort(A);
    stop();
}

/* Where a block waits that is about to commit: at safe points, or (the test sets this) not. */
static bool last_point_is_blind;
static void last_point(struct actor *actor, int n) {
    if (last_point_is_blind)
        blind_point(actor, n);
    else
        point(actor, n);
}

/* Two that read what the other one writes: one of them starts again. */
static void read_other_write_own(struct actor *actor, struct tm_thread *self) {
    const cell_ref own = actor->index == 0 ? world.x : world.y;
    const cell_ref other = actor->index == 0 ? world.y : world.x;
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        tm_set(own, value, tm_get(other, value) + 1);
        last_point(actor, 2);
    }
}
static void write_skew_is_found(void **state) {
    START(read_other_write_own, read_other_write_own);
    go_to(A, 1);
    go_to(B, 1);
    go_to(A, 2);
    go_to(B, 2);
    go(A);
    expect_end(A);
    expect_point(B, 1);
    go_to(B, 2);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_one_abort(B, TM_WRITE_READ, A, world.x);
    expect_state(1, 2);
    stop();
}

/* Adds 1 to an object that nobody else wants. */
static void add_to_own(struct actor *actor, struct tm_thread *self) {
    const cell_ref own = actor->index == 0 ? world.x : world.y;
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        tm_set(own, value, tm_get(own, value) + 1);
        last_point(actor, 2);
    }
}

/* Adds to x, from a point without safe points on. */
static void blind_then_add_to_x(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        blind_point(actor, 1);
        tm_set(world.x, value, tm_get(world.x, value) + 1);
        point(actor, 2);
    }
}

/* ---- commit=pause: several commits in one stop ------------------------------------------------
 */

static void be_in_the_way(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        blind_point(actor, 1);
        tm_safepoint(self);
        point(actor, 2);
    }
}

/* Two wait for the third one to stand, and commit then, both of them, while it stands. */
static void two_commit_in_one_stop(void **state) {
    last_point_is_blind = true;
    START(add_to_own, add_to_own, be_in_the_way);
    for (struct actor *a = A; a <= B; a++) {
        go_to(a, 1);
        go_to(a, 2);
    }
    go_to(C, 1);
    go(A);
    expect_blocked(A);
    go(B);
    expect_blocked(B);
    assert_true(atomic_load(&tm_c7.group) == 3);
    assert_true(view(0, world.x) == 0 && view(0, world.y) == 0);
    go(C);
    expect_end(A);
    expect_end(B);
    expect_point(C, 2);
    assert_true(atomic_load(&tm_c7.group) == 0);
    for (unsigned segment = 0; segment <= 3; segment++)
        assert_true(view(segment, world.x) == 1 && view(segment, world.y) == 1);
    go(C);
    expect_end(C);
    expect_no_abort(A);
    expect_no_abort(B);
    expect_no_abort(C);
    expect_state(1, 1);
    stop();
}

/* Each has read what the other one has written: one of them commits. */
static void skew_in_one_stop_is_found(void **state) {
    last_point_is_blind = true;
    START(read_other_write_own, read_other_write_own, be_in_the_way);
    for (struct actor *a = A; a <= B; a++) {
        go_to(a, 1);
        go_to(a, 2);
    }
    go_to(C, 1);
    go(A);
    expect_blocked(A);
    go(B);
    expect_blocked(B);
    assert_true(atomic_load(&tm_c7.group) == 3);
    go(C);
    expect_end(A);
    expect_point(B, 1);
    expect_point(C, 2);
    assert_true(atomic_load(&tm_c7.disputed) == 0);
    go_to(B, 2);
    go(B);
    expect_end(B);
    go(C);
    expect_end(C);
    expect_no_abort(A);
    expect_one_abort(B, TM_WRITE_READ, A, world.x);
    expect_no_abort(C);
    expect_state(1, 2);
    stop();
}

/* One that wants to commit is told to abort before the world is stopped for it. */
static void doomed_committer_aborts(void **state) {
    START(blind_then_add_to_x, overwrite_x);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    go(B);
    expect_blocked(B);
    assert_true(atomic_load(&tm_c7.group) == 2);
    go_to(A, 2);
    expect_point(B, 1);
    assert_true(tm_c7_owner(unit_of(world.x)) == 1);
    assert_true(view(0, world.x) == 0);
    go(A);
    expect_end(A);
    assert_true(view(0, world.x) == 1);
    go_to(B, 2);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_one_abort(B, TM_WRITE_WRITE, A, world.x);
    expect_state(8, 0);
    stop();
}

/* A thread that is signalled at a write goes on, to come to its commit, but not for ever. */
static void write_cells(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        blind_point(actor, 1);
        tm_set(world.y, value, 1);
        blind_point(actor, 2);
        tm_set(world.z, value, 1);
        blind_point(actor, 3);
    }
}
static void second_signal_at_a_write_is_obeyed(void **state) {
    START(overwrite_x, write_cells);
    go_to(A, 1);
    go_to(A, 2);
    go_to(B, 1);
    go(A);
    expect_blocked(A);
    go_to(B, 2);
    expect_blocked(A);
    assert_true(view(0, world.x) == 0);
    go(B);
    expect_end(A);
    expect_point(B, 3);
    assert_true(view(0, world.x) == 7 && view(2, world.x) == 7);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_no_abort(B);
    expect_state(7, 1);
    stop();
}

/* ---- commit=log: the bias ----------------------------------------------------------------------
 */

/* Commits in peace, then one behind point 1. */
static void commit_often(struct actor *actor, struct tm_thread *self) {
    for (unsigned i = 0; i < C7_BIAS_MIN; i++)
        atomic (self) {
            tm_set(world.far, value, i);
        }
    point(actor, 1);
    atomic (self) {
        tm_set(world.far, value, 1000);
    }
}
static void read_far_write_x(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        const uint64_t value = tm_get(world.far, value);
        point(actor, 1);
        tm_set(world.x, value, value);
    }
}

/* A thread that nobody disturbs commits without its lock; who touches one of its pages puts an end
 * to that, and is told of its commits from then on. */
static void bias_is_revoked(void **state) {
    START_COLD(commit_often, read_far_write_x);
    const struct c7_segment *s = &tm_c7.segment[1];
    assert_true(!atomic_load(&s->biased));
    go_to(A, 1);
    assert_true(atomic_load(&s->biased));
    assert_true(view(0, world.far) == C7_BIAS_MIN - 1);
    go_to(B, 1);
    assert_true(!atomic_load(&s->biased));
    assert_true(s->quiet_wanted == 2 * C7_BIAS_MIN);
    go(A);
    expect_end(A);
    assert_true(!atomic_load(&s->biased)); /* B holds the page */
    expect_point(B, 1);
    go(B);
    expect_end(B);
    expect_one_abort(B, TM_WRITE_READ, A, world.far);
    expect_state(1000, 0);
    stop();
}

/* commit=log: a page that is touched for the first time shows the state of now, so the rest of the
 * view must not be older. */
static void read_x_then_far(struct actor *actor, struct tm_thread *self) {
    uint64_t x = 0, far = 0;
    atomic (self) {
        actor->executions++;
        blind_point(actor, 1);
        x = tm_get(world.x, value);
        blind_point(actor, 2);
        far = tm_get(world.far, value);
        blind_point(actor, 3);
    }
    actor->seen[0] = x;
    actor->seen[1] = far;
}
static void write_x_and_far(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        tm_set(world.x, value, 7);
        tm_set(world.far, value, 7);
    }
}
static void first_touch_of_a_page_keeps_the_snapshot(void **state) {
    START(write_x_and_far, read_x_then_far);
    go_to(B, 1);
    go_to(B, 2);
    assert_true(tm_c7_holds(&tm_c7.segment[2], unit_of(world.x)));
    assert_false(tm_c7_holds(&tm_c7.segment[2], unit_of(world.far)));
    go(A);
    expect_end(A);
    assert_true(view(2, world.x) == 0);
    go_to(B, 1);
    go_to(B, 2);
    go_to(B, 3);
    go(B);
    expect_end(B);
    assert_int_equal(B->executions, 2);
    assert_int_equal(aborts_of(B), 1);
    assert_true(B->seen[0] == 7 && B->seen[1] == 7);
    stop();
}

/* commit=log: a reader of a page that it shares with the committed state keeps what it sees until
 * it looks at its inbox. */
static void committed_page_stays_as_it_was_for_a_reader(void **state) {
    START(overwrite_x, read_x_twice);
    go_to(B, 1);
    go_to(B, 2); /* has read, waits at safe points */
    go_to(A, 1);
    go_to(A, 2);
    assert_false(tm_c7_is_private(&tm_c7.segment[2], unit_of(world.x)));
    go(A);
    expect_end(A);
    expect_point(B, 1);
    assert_true(tm_c7_is_private(&tm_c7.segment[2], unit_of(world.x)));
    assert_true(view(2, world.x) == 7);
    go_to(B, 2);
    go_to(B, 3);
    go(B);
    expect_end(B);
    assert_true(B->seen[0] == 7);
    stop();
}

/* commit=log: a block that has lost often enough runs so that nobody can invalidate it. */
static void write_x_again_and_again(struct actor *actor, struct tm_thread *self) {
    for (unsigned i = 0; i < C7_LOSSES_PRIORITY + 1; i++) {
        atomic (self) {
            tm_set(world.x, value, tm_get(world.x, value) + 1);
        }
        point(actor, 1);
    }
}
static void reader_that_loses_often_gets_priority(void **state) {
    START(write_x_again_and_again, read_x_twice);
    go_to(B, 1);
    for (unsigned i = 0; i < C7_LOSSES_PRIORITY; i++) {
        go_to(B, 2);
        go_to(A, 1);
        expect_point(B, 1);
    }
    assert_true(atomic_load(&tm_c7.token) == 2);
    go_to(B, 2);
    go(A);
    expect_blocked(A);
    go_to(B, 3);
    go(B);
    expect_end(B);
    expect_point(A, 1);
    go(A);
    expect_end(A);
    assert_int_equal(B->aborts[TM_WRITE_READ], C7_LOSSES_PRIORITY);
    assert_true(B->seen[0] == C7_LOSSES_PRIORITY && B->seen[1] == C7_LOSSES_PRIORITY);
    expect_state(C7_LOSSES_PRIORITY + 1, 0);
    stop();
}

/* ---- irrevocable ------------------------------------------------------------------------------
 */

static void irrevocable_write_x(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        tm_irrevocable(self);
        point(actor, 2);
        tm_set(world.x, value, tm_get(world.x, value) + 10);
        point(actor, 3);
    }
}

/* It takes an object from an older block, ... */
static void irrevocable_takes_the_object_of_an_older_block(void **state) {
    START(add_to_x, irrevocable_write_x);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    assert_true(atomic_load(&tm_c7.token) == 2);
    go_to(A, 2);
    assert_true(tm_c7_owner(unit_of(world.x)) == 1);
    go_to(B, 3);
    expect_point(A, 1);
    assert_true(tm_c7_owner(unit_of(world.x)) == 2);
    go(B);
    expect_end(B);
    go_to(A, 2);
    go(A);
    expect_end(A);
    expect_no_abort(B);
    expect_one_abort(A, TM_WRITE_WRITE, B, world.x);
    expect_state(11, 0);
    stop();
}

/* ... it keeps its own from one, ... */
static void older_block_yields_to_an_irrevocable_owner(void **state) {
    START(add_to_x, irrevocable_write_x);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    go_to(B, 3);
    go_to(A, 1); /* lost */
    assert_true(tm_c7_owner(unit_of(world.x)) == 2);
    go(B);
    expect_end(B);
    go_to(A, 2);
    go(A);
    expect_end(A);
    expect_no_abort(B);
    expect_one_abort(A, TM_WRITE_WRITE, B, world.x);
    expect_state(11, 0);
    stop();
}

/* ... and commits what an older block has read. */
static void irrevocable_commits_against_an_older_reader(void **state) {
    START(read_x_twice, irrevocable_write_x);
    go_to(A, 1);
    go_to(A, 2);
    go_to(B, 1);
    go_to(B, 2);
    go_to(B, 3);
    go(B);
    expect_end(B);
    expect_point(A, 1);
    go_to(A, 2);
    go_to(A, 3);
    go(A);
    expect_end(A);
    expect_no_abort(B);
    expect_one_abort(A, TM_WRITE_READ, B, world.x);
    assert_true(A->seen[0] == 10 && A->seen[1] == 10);
    expect_state(10, 0);
    stop();
}

/* What it has read stays: whoever wants to commit a change of that waits or starts again. */
static void irrevocable_read_x(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        actor->seen[0] = tm_get(world.x, value);
        tm_irrevocable(self);
        point(actor, 2);
        actor->seen[1] = tm_get(world.x, value);
        point(actor, 3);
    }
}
static void reads_of_an_irrevocable_block_stay(void **state) {
    START(overwrite_x, irrevocable_read_x);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    go_to(A, 2);
    go(A);
    if (commit_of(state) == C7_PAUSE)
        expect_point(A, 1); /* has lost */
    else
        expect_blocked(A);
    assert_true(view(0, world.x) == 0);
    go_to(B, 3);
    go(B);
    expect_end(B);
    if (commit_of(state) == C7_PAUSE) {
        go_to(A, 2);
        go(A);
    }
    expect_end(A);
    expect_no_abort(B);
    assert_true(B->seen[0] == 0 && B->seen[1] == 0);
    expect_state(7, 0);
    stop();
}

/* One at a time. */
static void second_irrevocable_block_waits(void **state) {
    START(irrevocable_write_x, irrevocable_write_x);
    go_to(B, 1);
    go_to(B, 2);
    go_to(A, 1);
    go(A);
    expect_blocked(A);
    assert_true(atomic_load(&tm_c7.token) == 2);
    go_to(B, 3);
    go(B);
    expect_end(B);
    expect_point(A, 2);
    assert_true(atomic_load(&tm_c7.token) == 1);
    go_to(A, 3);
    go(A);
    expect_end(A);
    expect_no_abort(A);
    expect_no_abort(B);
    expect_state(20, 0);
    stop();
}

/* A block that waits for the token owns x; the irrevocable one wants it: it does not wait for the
 * waiter. */
static void write_x_then_irrevocable(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        tm_set(world.x, value, tm_get(world.x, value) + 1);
        point(actor, 2);
        tm_irrevocable(self);
        point(actor, 3);
    }
}
static void nobody_waits_for_who_waits_for_the_token(void **state) {
    START(write_x_then_irrevocable, irrevocable_write_x);
    go_to(B, 1);
    go_to(B, 2);
    go_to(A, 1);
    go_to(A, 2);
    go(A);
    expect_blocked(A);
    go_to(B, 3);
    expect_point(A, 1);
    go(B);
    expect_end(B);
    go_to(A, 2);
    go_to(A, 3);
    go(A);
    expect_end(A);
    expect_no_abort(B);
    assert_int_equal(A->executions, 2);
    expect_state(11, 0);
    stop();
}

/* ---- pages -------------------------------------------------------------------------------------
 */

/* Two owners on one page: the commit of one reaches the private copy of the other, and leaves what
 * that has written alone. */
static void page_of_two_owners(void **state) {
    START(add_to_own, add_to_own);
    go_to(A, 1);
    go_to(B, 1);
    go_to(A, 2);
    go_to(B, 2);
    assert_true(tm_c7_is_private(&tm_c7.segment[1], unit_of(world.x)));
    assert_true(tm_c7_is_private(&tm_c7.segment[2], unit_of(world.y)));
    assert_true(tm_c7_owner(unit_of(world.x)) == 1 && tm_c7_owner(unit_of(world.y)) == 2);
    assert_true(view(1, world.x) == 1 && view(1, world.y) == 0);
    assert_true(view(2, world.x) == 0 && view(2, world.y) == 1);
    assert_true(view(0, world.x) == 0 && view(0, world.y) == 0);
    go(A);
    expect_end(A);
    assert_true(view(0, world.x) == 1 && view(0, world.y) == 0);
    for (unsigned i = 0; i < 1000 && view(2, world.x) == 0; i++)
        pause_briefly(); /* commit=log: until B's next safe point */
    assert_true(view(2, world.x) == 1 && view(2, world.y) == 1);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_no_abort(B);
    expect_state(1, 1);
    stop();
}

/* The page becomes private behind the commit of another: the copy is of the new state. */
static void page_is_made_private_behind_a_commit(void **state) {
    START(add_to_own, add_to_own);
    go_to(B, 1);
    go_to(A, 1);
    go_to(A, 2);
    assert_false(tm_c7_is_private(&tm_c7.segment[2], unit_of(world.x)));
    go(A);
    expect_end(A);
    go_to(B, 2);
    assert_true(tm_c7_is_private(&tm_c7.segment[2], unit_of(world.x)));
    assert_true(view(2, world.x) == 1 && view(2, world.y) == 1);
    go(B);
    expect_end(B);
    expect_no_abort(B);
    expect_state(1, 1);
    stop();
}

/* A segment that has made a page private while another one's commit was waiting for it: the commit
 * must reach the new copy, too. */
static void blind_then_write_y(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        blind_point(actor, 1);
        tm_set(world.y, value, tm_get(world.y, value) + 1);
        blind_point(actor, 2);
        tm_safepoint(self);
        point(actor, 3);
    }
}
static void page_is_made_private_while_a_commit_waits(void **state) {
    START(add_to_own, blind_then_write_y);
    go_to(B, 1);
    go_to(A, 1);
    go_to(A, 2);
    go(A);
    if (commit_of(state) == C7_PAUSE)
        expect_blocked(A);
    else
        expect_end(A);
    go_to(B, 2);
    assert_true(tm_c7_is_private(&tm_c7.segment[2], unit_of(world.y)));
    assert_true(view(2, world.y) == 1);
    go_to(B, 3);
    if (commit_of(state) == C7_PAUSE)
        expect_end(A);
    assert_true(view(2, world.x) == 1 && view(2, world.y) == 1);
    assert_true(view(0, world.x) == 1 && view(0, world.y) == 0);
    go(B);
    expect_end(B);
    expect_no_abort(A);
    expect_no_abort(B);
    expect_state(1, 1);
    stop();
}

/* An execution that is thrown away leaves its page as segment 0 is, owner bytes included, and the
 * neighbour's commits on it. */
static void write_and_restart(struct actor *actor, struct tm_thread *self) {
    unsigned executions = 0; /* plain counting is in the actor */
    (void)executions;
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        if (actor->executions == 1) {
            tm_set(world.y, value, 1000);
            tm_set(world.z, value, 1000);
            tm_set_at(world.array, word, 5, 1000);
            tm_set_at(world.array, word, LONG_WORDS - 1, 1000);
            const cell_ref new = tm_new(self, struct cell);
            tm_set(new, value, 1000);
            point(actor, 2);
            tm_abort_restart(self);
        }
        tm_set(world.y, value, tm_get(world.y, value) + 1);
    }
}
static void abort_copies_back(void **state) {
    START(overwrite_x, write_and_restart);
    go_to(B, 1);
    go_to(B, 2);
    assert_true(view(2, world.z) == 1000 && view_word(2, 5) == 1000);
    go_to(A, 1);
    go_to(A, 2);
    go(A);
    expect_end(A);
    go_to(B, 1);
    assert_true(view(2, world.y) == 0 && view(2, world.z) == 0 && view(2, world.x) == 7);
    assert_true(view_word(2, 5) == 0 && view_word(2, LONG_WORDS - 1) == 0);
    assert_true(tm_c7_owner(unit_of(world.y)) == 0 && tm_c7_owner(unit_of(world.z)) == 0);
    assert_true(tm_c7_owner(tm_c7_unit((uintptr_t)world.array)) == 0);
    go(B);
    expect_end(B);
    assert_int_equal(B->aborts[TM_EXPLICIT], 1);
    assert_true(view_word(0, 5) == 0 && view(0, world.z) == 0);
    expect_state(7, 1);
    stop();
}

/* A short object that lies on two pages is private on both when it has been written, and is copied
 * back, and out, as a whole; with commit=log the second page may never have been touched before. */
enum { STRADDLING_WORDS = 100 };
static array_ref straddling;
static void allocate_straddling(struct tm_thread *self) {
    uint32_t first = 0, last = 0;
    do {
        straddling = tm_new_array(self, struct array, word, STRADDLING_WORDS);
        first = tm_c7_page(tm_c7_unit((uintptr_t)straddling));
        last = tm_c7_page(tm_c7_unit((uintptr_t)straddling + 8 * STRADDLING_WORDS));
    } while (first == last);
}
static void write_straddling(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        tm_set_at(straddling, word, STRADDLING_WORDS - 1, 8);
        tm_set_at(straddling, word, 0, 9);
        point(actor, 1);
        if (actor->executions == 1)
            tm_abort_restart(self);
    }
}
static void read_straddling(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->seen[0] = tm_get_at(straddling, word, 0);
        actor->seen[1] = tm_get_at(straddling, word, STRADDLING_WORDS - 1);
        point(actor, 1);
    }
}
static void object_on_two_pages(void **state) {
    static const script scripts[] = {write_straddling, read_straddling};
    set_up(commit_of(state), 2, 2);
    struct tm_thread *self = tm_engine_descriptor.attach(0, true);
    allocate_straddling(self);
    tm_engine_descriptor.detach(self);
    actors_start(2, scripts);
    const uint32_t first = tm_c7_unit((uintptr_t)straddling);
    const uint32_t last = tm_c7_unit((uintptr_t)straddling + 8 * STRADDLING_WORDS);
    go_to(A, 1);
    assert_true(tm_c7_is_private(&tm_c7.segment[1], first));
    assert_true(tm_c7_is_private(&tm_c7.segment[1], last));
    go_to(A, 1);
    go_to(B, 1);
    assert_true(B->seen[0] == 0 && B->seen[1] == 0);
    go(B);
    expect_end(B);
    go(A);
    expect_end(A);
    actors_leave();
    static const script again[] = {read_straddling, read_straddling};
    actors_start(2, again);
    for (unsigned i = 0; i < 2; i++) {
        go_to(&actors[i], 1);
        assert_true(actors[i].seen[0] == 9 && actors[i].seen[1] == 8);
        go(&actors[i]);
        expect_end(&actors[i]);
    }
    stop();
}

/* The same object is written again by the next block of the same thread: the flag is back on. */
static void write_x_in_two_blocks(struct actor *actor, struct tm_thread *self) {
    for (unsigned i = 0; i < 2; i++) {
        atomic (self) {
            tm_set(world.x, value, tm_get(world.x, value) + 1);
            tm_set(world.x, value, tm_get(world.x, value) + 1);
            point(actor, 1);
        }
    }
}
static void every_block_takes_the_owner_byte_anew(void **state) {
    START(write_x_in_two_blocks, read_x_twice);
    go_to(A, 1);
    assert_true(tm_c7_owner(unit_of(world.x)) == 1);
    assert_int_equal((int)tm_c7_count(&tm_c7.segment[1].written), 1);
    go_to(A, 1);
    assert_true(tm_c7_owner(unit_of(world.x)) == 1);
    assert_int_equal((int)tm_c7_count(&tm_c7.segment[1].written), 1);
    assert_true(view(0, world.x) == 2);
    go(A);
    expect_end(A);
    for (int i = 1; i <= 3; i++)
        go_to(B, i);
    go(B);
    expect_end(B);
    expect_state(4, 0);
    stop();
}

/* A new object is found by another thread in the block behind its commit, with all its contents. */
static void publish(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        const array_ref new = tm_new_array(self, struct array, word, 700);
        for (unsigned i = 0; i < 700; i++)
            tm_set_at(new, word, i, 3 * i);
        const cell_ref small = tm_new(self, struct cell);
        tm_set(small, value, 77);
        actor->seen[0] = (uintptr_t) new;
        actor->seen[1] = (uintptr_t)small;
        point(actor, 1);
    }
}
static void find_published(struct actor *actor, struct tm_thread *self) {
    (void)actor;
    uint64_t wrong = 0, small = 0;
    const array_ref array = (array_ref)actors[0].seen[0]; /* NOLINT(performance-no-int-to-ptr) */
    const cell_ref cell = (cell_ref)actors[0].seen[1];    /* NOLINT(performance-no-int-to-ptr) */
    atomic (self) {
        wrong = 0;
        for (unsigned i = 0; i < 700; i++)
            wrong += tm_get_at(array, word, i) != 3 * i;
        tm_set_at(array, word, 0, 1);
        small = tm_get(cell, value);
        tm_set(cell, value, 78);
    }
    actor->seen[0] = wrong;
    actor->seen[1] = small;
}
static void new_objects_are_published_whole(void **state) {
    START(publish, find_published);
    go_to(A, 1);
    assert_int_equal((int)tm_c7_count(&tm_c7.segment[1].written), 2);
    go(A);
    expect_end(A);
    go(B);
    expect_end(B);
    assert_true(B->seen[0] == 0 && B->seen[1] == 77);
    stop();
}

/* ---- cards
 * --------------------------------------------------------------------------------------- */

/* Writes a word of its own card of the array. */
static void write_card_of_array(struct actor *actor, struct tm_thread *self) {
    const unsigned i = actor->index == 0 ? 3 * CARD_WORDS : 90 * CARD_WORDS;
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        tm_set_at(world.array, word, i, tm_get_at(world.array, word, i) + 1 + actor->index);
        tm_set_at(world.array, word, i, tm_get_at(world.array, word, i) + 1 + actor->index);
        point(actor, 2);
    }
}

/* As in the original an array is one object: two that write different cards conflict. */
static void writes_to_different_cards_conflict(void **state) {
    START(write_card_of_array, write_card_of_array);
    go_to(A, 1);
    go_to(B, 1);
    go_to(A, 2);
    assert_true(tm_c7_owner(tm_c7_unit((uintptr_t)world.array)) == 1);
    go_to(B, 1);
    go(A);
    expect_end(A);
    go_to(B, 2);
    go(B);
    expect_end(B);
    assert_int_equal(B->aborts[TM_WRITE_WRITE], 1);
    assert_true(view_word(0, 3 * CARD_WORDS) == 2 && view_word(0, 90 * CARD_WORDS) == 4);
    assert_true(tm_c7_owner(tm_c7_unit((uintptr_t)world.array)) == 0);
    stop();
}

/* Only the cards that were written are private, noted and copied. */
static void only_written_cards_are_copied(void **state) {
    START(write_card_of_array, read_x_twice);
    go_to(A, 1);
    go_to(A, 2);
    const struct c7_segment *s = &tm_c7.segment[1];
    uint32_t units = 0;
    for (size_t i = 0; i < tm_c7_count(&s->written); i++)
        units += s->written.at[i].units;
    assert_int_equal(units, C7_CARD / C7_UNIT);
    assert_false(
        tm_c7_is_private(s, tm_c7_unit((uintptr_t)world.array) + LONG_WORDS * 8 / C7_UNIT - 1) &&
        LONG_WORDS * 8 > 2 * C7_BATCH_PAGES * C7_PAGE);
    go(A);
    expect_end(A);
    for (unsigned i = 0; i < LONG_WORDS; i++)
        assert_true(view_word(0, i) == (i == 3 * CARD_WORDS ? 2 : 0));
    for (int i = 1; i <= 3; i++)
        go_to(B, i);
    go(B);
    expect_end(B);
    stop();
}

/* Reading any element is reading the array: a commit of any card finds it. */
static void read_last_of_array(struct actor *actor, struct tm_thread *self) {
    uint64_t seen = 0;
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        seen = tm_get_at(world.array, word, LONG_WORDS - 1);
        point(actor, 2);
        seen += tm_get_at(world.array, word, 3 * CARD_WORDS);
        point(actor, 3);
    }
    actor->seen[0] = seen;
}
static void reader_of_another_card_conflicts(void **state) {
    START(write_card_of_array, read_last_of_array);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    go_to(A, 2);
    go(A);
    expect_end(A);
    expect_point(B, 1);
    go_to(B, 2);
    go_to(B, 3);
    go(B);
    expect_end(B);
    assert_int_equal(B->executions, 2);
    assert_int_equal(B->aborts[TM_WRITE_READ], 1);
    assert_true(B->seen[0] == 2);
    stop();
}

/* commit=log: where the pages of the two were never touched by both, there is no conflict: the
 * block takes place behind the commit. */
static void reader_of_an_untouched_page_goes_on(void **state) {
    START_COLD(write_card_of_array, read_last_of_array);
    go_to(A, 1);
    go_to(B, 1);
    go_to(B, 2);
    go_to(A, 2);
    go(A);
    expect_end(A);
    go_to(B, 3);
    go(B);
    expect_end(B);
    expect_no_abort(B);
    assert_true(B->seen[0] == 2);
    stop();
}

/* A commit of many cards reaches the views of all others. */
static void write_all_of_array(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        for (unsigned i = 0; i < LONG_WORDS; i++)
            tm_set_at(world.array, word, i, tm_get_at(world.array, word, i) + 1 + i);
        point(actor, 1);
    }
}
static void whole_array_is_written_in_turn(void **state) {
    START(write_all_of_array, write_all_of_array, write_all_of_array);
    for (unsigned a = 0; a < 3; a++) {
        go_to(&actors[a], 1);
        go(&actors[a]);
        expect_end(&actors[a]);
    }
    for (unsigned i = 0; i < LONG_WORDS; i++)
        assert_true(view_word(0, i) == 3 * (1 + (uint64_t)i));
    stop();
}

/* ---- commit=log: aborts without a conflict of objects, and their bounds ------------------------
 */

/* While one thread commits without a pause to a page that the other one holds, that one reads pages
 * it has never touched: each first touch finds a non-empty inbox and starts the block again.  It
 * ends all the same, at the latest when it has priority. */
static _Atomic unsigned laps;
static _Atomic bool cold_block_is_over;
static void write_x_until_over(struct actor *actor, struct tm_thread *self) {
    (void)actor;
    while (!atomic_load(&cold_block_is_over)) {
        atomic (self) {
            tm_set(world.x, value, tm_get(world.x, value) + 1);
        }
        atomic_fetch_add(&laps, 1);
    }
}
/* A commit of the other, or a millisecond: it waits when we have priority. */
static TM_NOINLINE void wait_for_a_lap(void) {
    const unsigned now = atomic_load(&laps);
    const uint64_t end = machine_now_ns() + 1000000;
    while (atomic_load(&laps) == now && machine_now_ns() < end)
        ;
}
static void read_cold_pages(struct actor *actor, struct tm_thread *self) {
    uint64_t sum = 0;
    atomic (self) {
        actor->executions++;
        sum = 0;
        for (unsigned i = 0; i < COLD_PAGES; i++) {
            sum += tm_get_at(world.cold, word, i * PAGE_WORDS);
            wait_for_a_lap();
        }
    }
    atomic_store(&cold_block_is_over, true);
    actor->seen[0] = sum;
}
static void long_cold_block_ends(void **state) {
    START(write_x_until_over, read_cold_pages);
    go(A);
    go(B);
    expect_end(B);
    expect_end(A);
    assert_in_range(B->executions, 3, C7_LOSSES_PRIORITY + 1);
    assert_int_equal(B->aborts[TM_VALIDATION], B->executions - 1);
    assert_int_equal(aborts_of(B), B->executions - 1);
    assert_int_equal(aborts_of(A), 0);
    stop();
}

/* More messages than an inbox holds, the important one behind them: it counts, and the view is
 * right behind it. */
static void write_y_often_then_x(struct actor *actor, struct tm_thread *self) {
    for (unsigned i = 0; i < C7_INBOX_ENTRIES + 100; i++) {
        atomic (self) {
            actor->executions++;
            tm_set(world.y, value, tm_get(world.y, value) + 1);
        }
    }
    atomic (self) {
        tm_set(world.x, value, 7);
        tm_set_at(world.array, word, LONG_WORDS - 1, 9);
    }
}
static void read_x_blindly(struct actor *actor, struct tm_thread *self) {
    uint64_t first = 0, second = 0;
    atomic (self) {
        actor->executions++;
        first = tm_get(world.x, value);
        if (actor->executions == 1)
            blind_point(actor, 1);
        tm_safepoint(self);
        point(actor, 2);
        second = tm_get(world.x, value);
    }
    actor->seen[0] = first;
    actor->seen[1] = second;
}
static void full_inbox_loses_nothing(void **state) {
    START(write_y_often_then_x, read_x_blindly);
    go_to(B, 1);
    go(A);
    expect_end(A);
    assert_true(tm_c7.segment[2].overflow);
    go_to(B, 2);
    assert_int_equal(B->executions, 2);
    assert_false(tm_c7.segment[2].overflow);
    assert_true(view(2, world.x) == 7 && view(2, world.y) == C7_INBOX_ENTRIES + 100);
    assert_true(view_word(2, LONG_WORDS - 1) == 9);
    go(B);
    expect_end(B);
    assert_int_equal(B->aborts[TM_VALIDATION], 1);
    assert_int_equal(aborts_of(B), 1);
    assert_true(B->seen[0] == 7 && B->seen[1] == 7);
    stop();
}

/* ---- all of them
 * ----------------------------------------------------------------------------------- */

#define BOTH(test)                                                                                 \
    {#test ": pause", test, NULL, NULL, &commits_by_pause}, {                                      \
#test ": log", test, NULL, NULL, &commits_by_log                                           \
    }
#define LOG(test)                                                                                  \
    { #test ": log", test, NULL, NULL, &commits_by_log }

#define PAUSE(test)                                                                                \
    { #test ": pause", test, NULL, NULL, &commits_by_pause }

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        BOTH(second_writer_that_is_younger_loses_at_once),
        BOTH(second_writer_that_is_older_takes_the_object),
        BOTH(older_writer_waits_for_a_safe_point),
        BOTH(age_beats_segment_number),
        BOTH(a_loser_becomes_the_oldest),
        BOTH(crossed_writes_end),
        LOG(writers_that_race_for_an_object),
        BOTH(uncommitted_writes_are_not_seen),
        BOTH(readers_of_neighbours_do_not_conflict),
        BOTH(committer_beats_a_younger_reader),
        BOTH(committer_against_an_older_reader),
        BOTH(update_of_a_stale_value_aborts),
        BOTH(commit_upon_a_stale_value),
        BOTH(write_skew_is_found),
        PAUSE(two_commit_in_one_stop),
        PAUSE(skew_in_one_stop_is_found),
        PAUSE(doomed_committer_aborts),
        PAUSE(second_signal_at_a_write_is_obeyed),
        LOG(bias_is_revoked),
        LOG(first_touch_of_a_page_keeps_the_snapshot),
        LOG(committed_page_stays_as_it_was_for_a_reader),
        LOG(reader_that_loses_often_gets_priority),
        BOTH(irrevocable_takes_the_object_of_an_older_block),
        BOTH(older_block_yields_to_an_irrevocable_owner),
        BOTH(irrevocable_commits_against_an_older_reader),
        BOTH(reads_of_an_irrevocable_block_stay),
        BOTH(second_irrevocable_block_waits),
        BOTH(nobody_waits_for_who_waits_for_the_token),
        BOTH(page_of_two_owners),
        BOTH(page_is_made_private_behind_a_commit),
        BOTH(page_is_made_private_while_a_commit_waits),
        BOTH(abort_copies_back),
        BOTH(object_on_two_pages),
        BOTH(every_block_takes_the_owner_byte_anew),
        BOTH(new_objects_are_published_whole),
        BOTH(writes_to_different_cards_conflict),
        BOTH(only_written_cards_are_copied),
        BOTH(reader_of_another_card_conflicts),
        LOG(reader_of_an_untouched_page_goes_on),
        BOTH(whole_array_is_written_in_turn),
        LOG(long_cold_block_ends),
        LOG(full_inbox_loses_nothing),
    };
    return run_each("c7, conflicts", tests, sizeof tests / sizeof *tests, argv) == 0 ? 0 : 1;
}

#endif
