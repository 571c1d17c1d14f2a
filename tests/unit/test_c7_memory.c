/*
 * test_c7_memory.c - the bounds of engine c7: read versions that wrap around, a full heap, memory
 * that is used again for ever, and any number of segments and threads.
 *
 * Each test runs with commit=pause and commit=log.
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

#include <sys/stat.h>

enum { SMALL_HEAP_MB = 16, SMALL_HEAP = SMALL_HEAP_MB << 20, HANDED = 120 };

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

struct holder {
    TM_HEADER;
    array_ref at[HANDED];
};
typedef TM_REF(struct holder) holder_ref;

static struct {
    cell_ref x, y;
    cell_ref own[CELL_THREADS_MAX];
    holder_ref holder;
} world;

static struct actor *const A = &actors[0], *const B = &actors[1];

static void set_up(enum c7_commit commit, unsigned threads, unsigned segments, unsigned heap_mb) {
    engine_start(commit, threads, segments, heap_mb);
    struct tm_thread *self = tm_engine_descriptor.attach(0, true);
    world.x = tm_new(self, struct cell);
    world.y = tm_new(self, struct cell);
    world.holder = tm_new(self, struct holder);
    for (unsigned i = 0; i < threads; i++)
        world.own[i] = tm_new(self, struct cell);
    tm_engine_descriptor.detach(self);
}

static uint32_t unit_of(cell_ref ref) { return tm_c7_unit((uintptr_t)ref); }

static uint64_t committed(cell_ref ref) {
    return *(const uint64_t *)(tm_c7.segment[0].base + (uintptr_t)ref +
                               offsetof(struct cell, value));
}

/* ---- read versions -----------------------------------------------------------------------------
 */

/* Reads x in a block with some read version, runs blocks until that version comes again, and reads
 * y in that one. */
static void read_x_then_y_a_round_later(struct actor *actor, struct tm_thread *self) {
    uint8_t version = 0;
    atomic (self) {
        actor->seen[0] = tm_get(world.x, value);
        version = *tm_c7_read_version(self->segment);
    }
    actor->seen[1] = version;
    unsigned blocks = 0;
    do {
        atomic (self) {
            actor->seen[2] = tm_get(world.y, value);
        }
        blocks++;
    } while (*tm_c7_read_version(self->segment) != version);
    actor->seen[3] = blocks;
    atomic (self) {
        actor->executions++;
        actor->seen[2] = tm_get(world.y, value);
        point(actor, 1);
    }
}
static void write_x_once(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        tm_set(world.x, value, 7);
    }
}

/* A marker of the same version from the round before is none: the markers have been zeroed. */
static void markers_are_gone(enum c7_commit commit, size_t before_x) {
    static const script scripts[] = {read_x_then_y_a_round_later, write_x_once};
    set_up(commit, 2, 2, 4 * SMALL_HEAP_MB);
    struct tm_thread *self = tm_engine_descriptor.attach(0, true);
    const uint32_t end = tm_c7.first_page + (uint32_t)(before_x >> C7_PAGE_SHIFT);
    while (tm_c7_page(unit_of(world.x)) < end)
        world.x = tm_new(self, struct cell);
    tm_engine_descriptor.detach(self);
    actors_start(2, scripts);
    go_to(A, 1);
    assert_int_equal(A->seen[3], C7_VERSION_MAX - 1);
    assert_true(*tm_c7_read_version(&tm_c7.segment[1]) == A->seen[1]);
    assert_false(tm_c7_has_read(&tm_c7.segment[1], unit_of(world.x)));
    assert_true(tm_c7_has_read(&tm_c7.segment[1], unit_of(world.y)));
    go(B);
    expect_end(B);
    go(A);
    expect_end(A);
    assert_int_equal(A->executions, 1);
    assert_int_equal(B->executions, 1);
    stop();
}
/* Those of the first page of the heap, those that are zeroed by a loop, and, in a larger heap,
 * those that the kernel takes back. */
static void markers_of_the_last_round_are_gone(void **state) {
    markers_are_gone(commit_of(state), 0);
    markers_are_gone(commit_of(state), 2 << 20);
    markers_are_gone(commit_of(state),
                     (20 << 20) + (40 << 10)); /* second half of a page of markers */
}

/* Reads are found in every version of more than two rounds. */
enum { ROUNDS = 2 * C7_VERSION_MAX + 20 };
static void read_x_many_times(struct actor *actor, struct tm_thread *self) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned executions = 0;
        atomic (self) {
            executions = ++actor->executions;
            actor->seen[0] = tm_get(world.x, value);
            if (executions % 2 == 1) /* the second execution goes through */
                point(actor, 1);
        }
        actor->seen[1] += executions % 2 == 0 && actor->seen[0] == i + 1;
    }
}
static void write_x_many_times(struct actor *actor, struct tm_thread *self) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        atomic (self) {
            tm_set(world.x, value, i + 1);
        }
        point(actor, 1);
    }
}
static void reads_are_found_in_every_version(void **state) {
    /* The writer has the lower number: it wins against a reader of the same age. */
    static const script scripts[] = {write_x_many_times, read_x_many_times};
    set_up(commit_of(state), 2, 2, SMALL_HEAP_MB);
    actors_start(2, scripts);
    struct actor *writer = A, *reader = B;
    go_to(reader, 1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        go_to(writer, 1);
        expect_point(reader, i + 1 < ROUNDS ? 1 : AT_END);
    }
    go(writer);
    expect_end(writer);
    assert_int_equal(reader->executions, 2 * ROUNDS);
    assert_int_equal(reader->aborts[TM_WRITE_READ], ROUNDS);
    assert_int_equal(reader->seen[1], ROUNDS);
    stop();
}

/* ---- a full heap
 * ---------------------------------------------------------------------------------- */

/* What the engine prints before it aborts the process; `take` runs in a child. */
static void expect_message(enum c7_commit commit, void (*take)(struct tm_thread *self),
                           const char *message) {
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka catches it */
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        set_up(commit, 2, 2, SMALL_HEAP_MB);
        take(tm_engine_descriptor.attach(0, false));
        _exit(0);
    }
    close(fds[1]);
    char text[512];
    size_t length = 0;
    for (ssize_t n = 0; (n = read(fds[0], text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)n;
    text[length] = '\0';
    close(fds[0]);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_string_equal(text, message);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void take_small_objects(struct tm_thread *self) {
    for (unsigned i = 0; i < SMALL_HEAP / 16; i++) {
        atomic (self) {
            const cell_ref cell = tm_new(self, struct cell);
            tm_set(cell, value, i);
        }
    }
}
static void take_small_objects_in_one_block(struct tm_thread *self) {
    atomic (self) {
        for (unsigned i = 0; i < SMALL_HEAP / 96; i++)
            (void)tm_new_array(self, struct array, word, 11);
    }
}
static void take_huge_object(struct tm_thread *self) {
    atomic (self) {
        (void)tm_new_array(self, struct array, word, SMALL_HEAP / 8);
    }
}
static void take_pages(struct tm_thread *self) {
    atomic (self) {
        for (unsigned i = 0; i < 200; i++)
            (void)tm_new_array(self, struct array, word, 14000);
    }
}

/* One line: what is full, how large it is, what was asked for, and what to try. */
static void a_full_heap_is_told_in_one_line(void **state) {
    const enum c7_commit commit = commit_of(state);
#define FULL(bytes)                                                                                \
    "allcores: fatal: c7: the heap of 16 MiB is full (tm_new of " bytes                            \
    " bytes); try c7:heap_mb=32\n"
    expect_message(commit, take_small_objects, FULL("16"));
    expect_message(commit, take_small_objects_in_one_block, FULL("96"));
    expect_message(commit, take_huge_object, FULL("16777224"));
    expect_message(commit, take_pages, FULL("112008"));
}

/* The system has no memory for a frame: here, because the file behind the frames ends. */
static void take_memory_that_is_not_there(struct tm_thread *self) {
    assert_int_equal(ftruncate(tm_c7.fd, 0), 0);
    take_small_objects(self);
}
static void missing_memory_is_told_in_one_line(void **state) {
    expect_message(commit_of(state), take_memory_that_is_not_there,
                   "allcores: fatal: c7: the system has no memory for a page of the heap (fewer "
                   "c7:segments=N, or threads, or a smaller c7:heap_mb=N need less)\n");
}

/* ---- memory is used again
 * --------------------------------------------------------------------------- */

enum { CHURN_BYTES = 12 * SMALL_HEAP, LIVE_MAX = 16 };

/* Words of the `i`-th object: small ones, some longer than a page, now and then a megabyte. */
static uint64_t churn_words(struct tm_rand *rng) {
    const uint64_t dice = tm_random_below(rng, 1000);
    if (dice < 900)
        return tm_random_below(rng, 40);
    if (dice < 990)
        return 100 + tm_random_below(rng, 400);
    return dice < 998 ? 2000 + tm_random_below(rng, 4000) : 100000;
}

/* Replaces objects in the holder that all threads share, until ten times the heap has gone through;
 * a third of the executions is thrown away behind its allocations. */
static void churn(struct actor *actor, struct tm_thread *self) {
    struct tm_rand rng = {actor->index + 1};
    uint64_t bytes = 0, wrong = 0;
    while (bytes < CHURN_BYTES) {
        const uint64_t words = 1 + churn_words(&rng), place = tm_random_below(&rng, LIVE_MAX);
        const bool gives_up = tm_random_below(&rng, 3) == 0;
        uint64_t bad = 0;
        actor->executions = 0;
        atomic (self) {
            actor->executions++;
            bad = 0;
            const array_ref new = tm_new_array(self, struct array, word, words);
            for (uint64_t i = 0; i < words; i++)
                bad += tm_get_at(new, word, i) != 0;
            tm_set_at(new, word, 0, words);
            tm_set_at(new, word, words - 1, words);
            const array_ref old = tm_get_at(world.holder, at, place);
            if (old != NULL) {
                const uint64_t length = tm_get_at(old, word, 0);
                bad += length == 0 || tm_get_at(old, word, length - 1) != length;
                tm_free(self, old);
            }
            tm_set_at(world.holder, at, place, new);
            if (gives_up && actor->executions == 1)
                tm_abort_restart(self);
        }
        wrong += bad;
        bytes += 8 * words;
    }
    actor->seen[0] = wrong;
}

/* Objects that one thread has allocated and another one freed, of all sizes, and those of
 * executions that were thrown away: the heap never fills. */
static void freed_memory_is_used_again(void **state) {
    static const script scripts[] = {churn, churn, churn};
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        set_up(commit_of(state), threads, threads, 2 * SMALL_HEAP_MB);
        actors_start(threads, scripts);
        for (unsigned i = 0; i < threads; i++)
            go(&actors[i]);
        for (unsigned i = 0; i < threads; i++) {
            expect_end(&actors[i]);
            assert_true(actors[i].seen[0] == 0);
            assert_true(actors[i].aborts[TM_EXPLICIT] > 100);
        }
        stop();
    }
}

/* A producer and a consumer of thousands of small objects, of more than the heap holds in all: what
 * the one frees the other gets. */
enum { HAND_OVERS = 3 * (SMALL_HEAP / 64) / HANDED };
static void produce(struct actor *actor, struct tm_thread *self) {
    (void)actor;
    for (unsigned i = 0; i < HAND_OVERS; i++) {
        atomic (self) {
            if (tm_get_at(world.holder, at, 0) != NULL)
                tm_retry(self);
            for (unsigned k = 0; k < HANDED; k++)
                tm_set_at(world.holder, at, k, tm_new_array(self, struct array, word, 7));
        }
    }
}
static void consume(struct actor *actor, struct tm_thread *self) {
    (void)actor;
    for (unsigned i = 0; i < HAND_OVERS; i++) {
        atomic (self) {
            if (tm_get_at(world.holder, at, 0) == NULL)
                tm_retry(self);
            for (unsigned k = 0; k < HANDED; k++) {
                tm_free(self, tm_get_at(world.holder, at, k));
                tm_set_at(world.holder, at, k, NULL);
            }
        }
    }
}
static void memory_returns_to_a_producer(void **state) {
    static const script scripts[] = {produce, consume};
    set_up(commit_of(state), 2, 2, SMALL_HEAP_MB);
    actors_start(2, scripts);
    go(A);
    go(B);
    expect_end(A);
    expect_end(B);
    stop();
}

/* Only what is in use is resident: a large object that is freed and a hundred of the same size
 * behind it take the memory of a few. */
static uint64_t resident_kb(void) {
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
    fclose(f);
    return pages * 4;
}
static void large_objects_in_turn(struct actor *actor, struct tm_thread *self) {
    enum { WORDS = 1 << 18 };
    uint64_t most_kb = 0;
    for (unsigned i = 0; i < 100; i++) {
        atomic (self) {
            const array_ref old = tm_get_at(world.holder, at, 0);
            const array_ref new = tm_new_array(self, struct array, word, WORDS);
            for (unsigned k = 0; k < WORDS; k += 64)
                tm_set_at(new, word, k, i + 1);
            if (old != NULL)
                tm_free(self, old);
            tm_set_at(world.holder, at, 0, new);
        }
        const uint64_t kb = resident_kb();
        most_kb = kb > most_kb ? kb : most_kb;
    }
    actor->seen[0] = most_kb;
}
static void resident_memory_is_bounded(void **state) {
    static const script scripts[] = {large_objects_in_turn};
    set_up(commit_of(state), 2, 2, 256);
    const uint64_t before_kb = resident_kb();
    actors_start(1, scripts);
    go(A);
    expect_end(A);
    /* Two to four of 2 MiB live or free, in segment 0 and in the thread's own, and markers. */
    assert_in_range(A->seen[0], before_kb, before_kb + 64 * 1024);
    stop();
}

/* Objects of a quarter of the heap, in turn with two threads: each finds what the other has left.
 */
enum { HUGE_WORDS = 60 << 17, HUGE_TURNS = 3 };
static void huge_objects_in_turn(struct actor *actor, struct tm_thread *self) {
    uint64_t wrong = 0;
    for (unsigned i = 0; i < HUGE_TURNS; i++) {
        const uint64_t turn = 2 * i + actor->index;
        uint64_t bad = 0;
        atomic (self) {
            bad = 0;
            const array_ref old = tm_get_at(world.holder, at, 0);
            if (old != NULL) {
                for (uint64_t k = 0; k < HUGE_WORDS; k++)
                    bad += tm_get_at(old, word, k) != k + turn - 1;
                tm_free(self, old);
                tm_set_at(world.holder, at, 0, NULL);
            }
        }
        wrong += bad;
        atomic (self) {
            const array_ref new = tm_new_array(self, struct array, word, HUGE_WORDS);
            bad = 0;
            for (uint64_t k = 0; k < HUGE_WORDS; k++)
                bad += tm_get_at(new, word, k) != 0;
            for (uint64_t k = 0; k < HUGE_WORDS; k++)
                tm_set_at(new, word, k, k + turn);
            tm_set_at(world.holder, at, 0, new);
        }
        wrong += bad;
        point(actor, 1);
    }
    actor->seen[0] = wrong;
}
static void huge_objects_come_and_go(void **state) {
    static const script scripts[] = {huge_objects_in_turn, huge_objects_in_turn};
    set_up(commit_of(state), 2, 2, 256);
    const uint64_t live = heap_units_live();
    actors_start(2, scripts);
    for (unsigned i = 0; i < HUGE_TURNS; i++) {
        go_to(A, 1);
        go_to(B, 1);
    }
    go(A);
    expect_end(A);
    go(B);
    expect_end(B);
    assert_true(A->seen[0] == 0 && B->seen[0] == 0);
    /* The last one lives; it takes a power of two of pages. */
    assert_true(heap_units_live() == live + ((64 << 20) >> C7_UNIT_SHIFT));
    stop();
}

/* Behind many commits the pages that a segment has made private are shared again, and their frames
 * given back; what is committed stays, also of the other thread's, and pages become private anew.
 */
enum { SPREAD_PAGES = C7_RESHARE_PAGES + 100, SPREAD_WORDS = SPREAD_PAGES * (C7_PAGE / 8) };
static void write_all_pages(struct actor *actor, struct tm_thread *self) {
    const array_ref array = tm_get_at(world.holder, at, 0);
    for (unsigned round = 1; round <= 2; round++) {
        atomic (self) {
            for (unsigned i = 0; i < SPREAD_PAGES; i++)
                tm_set_at(array, word, (uint64_t)i * (C7_PAGE / 8),
                          tm_get_at(array, word, (uint64_t)i * (C7_PAGE / 8)) + 1);
        }
        point(actor, 1);
        self->segment->commits = C7_RESHARE_COMMITS;
        atomic (self) {
            actor->seen[0] = tm_get(world.x, value);
        }
        point(actor, 2);
    }
    uint64_t sum = 0;
    atomic (self) {
        sum = 0;
        for (unsigned i = 0; i < SPREAD_PAGES; i++)
            sum += tm_get_at(array, word, (uint64_t)i * (C7_PAGE / 8));
    }
    actor->seen[1] = sum;
}
static unsigned private_pages_of(unsigned segment) {
    unsigned count = 0;
    for (uint32_t page = tm_c7.first_page; page < tm_c7.end_page; page++)
        count += (atomic_load(&tm_c7.privates[page]) & tm_c7.segment[segment].bit) != 0;
    return count;
}
static uint64_t frames_kb(void) {
    struct stat status;
    assert_int_equal(fstat(tm_c7.fd, &status), 0);
    return (uint64_t)status.st_blocks / 2;
}
static void private_pages_are_shared_again(void **state) {
    static const script scripts[] = {write_all_pages, write_all_pages};
    set_up(commit_of(state), 2, 2, 64);
    struct tm_thread *self = tm_engine_descriptor.attach(0, true);
    const array_ref array = tm_new_array(self, struct array, word, SPREAD_WORDS);
    tm_set_at(world.holder, at, 0, array);
    tm_engine_descriptor.detach(self);
    actors_start(2, scripts);
    for (unsigned round = 1; round <= 2; round++)
        for (unsigned a = 0; a < 2; a++) {
            go_to(&actors[a], 1);
            assert_true(private_pages_of(a + 1) >= SPREAD_PAGES);
            const uint64_t before = frames_kb();
            go_to(&actors[a], 2);
            assert_in_range(private_pages_of(a + 1), 0, C7_BATCH_PAGES);
            assert_in_range(frames_kb(), 0, before - 4 * (uint64_t)C7_RESHARE_PAGES);
        }
    for (unsigned a = 0; a < 2; a++) {
        go(&actors[a]);
        expect_end(&actors[a]);
        assert_true(actors[a].seen[1] == 4 * (uint64_t)SPREAD_PAGES);
    }
    stop();
}

/* ---- accesses outside of blocks
 * ----------------------------------------------------------------------- */

/* A plain write is a transaction inside, but none that the program has asked for, wherever it
 * stands: outside of blocks, in one, in setup. */
static void write_plainly(struct actor *actor, struct tm_thread *self) {
    (void)actor;
    tm_plain_set(world.x, value, 5);
    atomic (self) {
        tm_set(world.y, value, 6);
    }
    atomic (self) {
        tm_set(world.y, value, tm_get(world.y, value) + 1);
        tm_plain_set(world.x, value, tm_plain_get(world.x, value) + 1);
    }
}
static void plain_writes_count_as_no_commit(void **state) {
    static const script scripts[] = {write_plainly};
    set_up(commit_of(state), 2, 2, SMALL_HEAP_MB);
    actors_start(1, scripts);
    go(A);
    expect_end(A);
    assert_true(A->commits == 2);
    assert_true(committed(world.x) == 6 && committed(world.y) == 7);
    struct tm_thread *self = tm_engine_descriptor.attach(0, true);
    tm_plain_set(world.x, value, 8);
    assert_true(committed(world.x) == 8);
    assert_true(tm_engine_descriptor.stats(self)->commits == 0);
    assert_int_equal(self->common.depth, 1);
    stop();
}

/* ---- segments and threads
 * ------------------------------------------------------------------------------ */

enum { BLOCKS = 64 };
struct walker {
    pthread_t thread;
    unsigned index;
    uint64_t commits;
};

static void *walk(void *argument) {
    struct walker *walker = argument;
    struct tm_thread *self = tm_engine_descriptor.attach(walker->index, false);
    if (self == NULL)
        return NULL;
    const cell_ref own = world.own[walker->index];
    for (unsigned i = 0; i < BLOCKS; i++) {
        atomic (self) {
            tm_set(own, value, tm_get(own, value) + 1);
            if (i % 8 == 0)
                tm_set(world.x, value, tm_get(world.x, value) + 1);
        }
    }
    walker->commits = tm_engine_descriptor.stats(self)->commits;
    tm_engine_descriptor.detach(self);
    return NULL;
}

static void run_walkers(enum c7_commit commit, unsigned threads, unsigned segments) {
    static struct walker walkers[128];
    assert_true(threads <= 128);
    set_up(commit, threads, segments, SMALL_HEAP_MB);
    assert_int_equal(tm_c7.segments, threads < segments ? threads : segments);
    for (unsigned i = 0; i < threads; i++) {
        walkers[i] = (struct walker){.index = i};
        assert_int_equal(pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]), 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(walkers[i].thread, NULL);
        assert_true(walkers[i].commits == BLOCKS);
        assert_true(committed(world.own[i]) == BLOCKS);
    }
    assert_true(committed(world.x) == threads * (uint64_t)(BLOCKS / 8));
    tm_engine_descriptor.stop();
}

static void any_number_of_segments_works(void **state) {
    for (unsigned segments = 1; segments <= C7_SEGMENTS_MAX; segments++)
        run_walkers(commit_of(state), segments, segments);
}

static void threads_share_too_few_segments(void **state) {
    static const struct {
        unsigned threads, segments;
    } cases[] = {{2, 1}, {5, 1}, {5, 2}, {70, 64}, {100, 3}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        run_walkers(commit_of(state), cases[i].threads, cases[i].segments);
}

/* A thread that finds no segment waits for one, and gets it when a block ends. */
static void hold_a_segment(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->executions++;
        point(actor, 1);
        tm_set(world.own[actor->index], value, 1);
    }
    actor->seen[0] = (uintptr_t)self->segment == (uintptr_t)&tm_c7.nobody;
}
static void a_thread_waits_for_a_segment(void **state) {
    static const script scripts[] = {hold_a_segment, hold_a_segment, hold_a_segment};
    set_up(commit_of(state), 3, 2, SMALL_HEAP_MB);
    actors_start(3, scripts);
    go_to(&actors[0], 1);
    go_to(&actors[1], 1);
    go(&actors[2]);
    expect_blocked(&actors[2]);
    go(&actors[1]);
    expect_end(&actors[1]);
    expect_point(&actors[2], 1);
    go(&actors[2]);
    expect_end(&actors[2]);
    go(&actors[0]);
    expect_end(&actors[0]);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(actors[i].executions, 1);
        assert_true(actors[i].seen[0]);
        assert_true(committed(world.own[i]) == 1);
    }
    stop();
}

/* Threads come and go, and what they have committed stays; a segment's next thread sees it. */
static void write_and_leave(struct actor *actor, struct tm_thread *self) {
    (void)actor;
    atomic (self) {
        tm_set(world.x, value, 3 * tm_get(world.x, value) + 1);
    }
}
static void segments_outlive_their_threads(void **state) {
    static const script scripts[] = {write_and_leave, write_and_leave};
    set_up(commit_of(state), 2, 2, SMALL_HEAP_MB);
    uint64_t expected = 0;
    for (unsigned round = 0; round < 20; round++) {
        actors_start(2, scripts);
        for (unsigned i = 0; i < 2; i++) {
            struct actor *actor = &actors[(round + i) % 2];
            go(actor);
            expect_end(actor);
            expected = 3 * expected + 1;
            assert_true(committed(world.x) == expected);
        }
        actors_leave();
    }
    tm_engine_descriptor.stop();
}

/* A thread leaves, others commit to pages that it has held, and the next thread of its segment sees
 * that.  One host thread is both. */
static TM_NOINLINE void set_x(struct tm_thread *self, uint64_t value) {
    tm_c7_enter(self);
    atomic (self) {
        tm_set(world.x, value, value);
        tm_set(world.y, value, value);
    }
}
static TM_NOINLINE uint64_t get_x_and_y(struct tm_thread *self) {
    uint64_t x = 0, y = 0;
    tm_c7_enter(self);
    atomic (self) {
        x = tm_get(world.x, value);
        y = tm_get(world.y, value);
    }
    return 1000 * x + y;
}
static void next_thread_of_a_segment_sees_later_commits(void **state) {
    set_up(commit_of(state), 2, 2, SMALL_HEAP_MB);
    struct tm_thread *other = tm_engine_descriptor.attach(1, false);
    assert_true(get_x_and_y(other) == 0);
    for (unsigned round = 1; round <= 3; round++) {
        struct tm_thread *self = tm_engine_descriptor.attach(0, false);
        assert_true(get_x_and_y(self) == 1001 * 2 * (uint64_t)(round - 1));
        set_x(self, 2 * round - 1);
        tm_engine_descriptor.detach(self);
        assert_true(get_x_and_y(other) == 1001 * (2 * (uint64_t)round - 1));
        set_x(other, 2 * round);
    }
    tm_engine_descriptor.detach(other);
    tm_engine_descriptor.stop();
}

/* ---- commit=log: notes about memory that has been freed
 *
 * They must not be applied to the object that is created there next.  The new object's thread takes
 * the memory in a block that began before the notes were written, and the signal that came with
 * them is hidden from it until then, as if they had come between its safe point and its taking the
 * memory.
 */
enum { NOTED_WORDS = 700 };
static array_ref noted;
static void touch_noted(struct actor *actor, struct tm_thread *self) {
    atomic (self) {
        actor->seen[3] = tm_get_at(noted, word, 0) + tm_get_at(noted, word, NOTED_WORDS - 1);
    }
}
static void write_noted_and_free_it(struct actor *actor, struct tm_thread *self) {
    (void)actor;
    atomic (self) {
        for (unsigned i = 0; i < NOTED_WORDS; i++)
            tm_set_at(noted, word, i, 5);
    }
    atomic (self) {
        tm_free(self, noted);
    }
}
static void create_on_freed_memory(struct actor *actor, struct tm_thread *self) {
    uint64_t wrong = 0;
    atomic (self) {
        actor->executions++;
        blind_point(actor, 1);
        wrong = 0;
        atomic_store(&self->segment->signal.limit, self->segment->block_end);
        const array_ref new = tm_new_array(self, struct array, word, NOTED_WORDS);
        actor->seen[0] = (uintptr_t) new;
        for (unsigned i = 0; i < NOTED_WORDS; i++)
            tm_set_at(new, word, i, 6);
        atomic_store(&self->segment->signal.limit, 0);
        tm_safepoint(self);
        for (unsigned i = 0; i < NOTED_WORDS; i++)
            wrong += tm_get_at(new, word, i) != 6;
    }
    actor->seen[1] = wrong;
}
static void notes_do_not_outlive_their_object(void **state) {
    static const script scripts[] = {write_noted_and_free_it, create_on_freed_memory};
    set_up(commit_of(state), 2, 2, SMALL_HEAP_MB);
    struct tm_thread *self = tm_engine_descriptor.attach(0, true);
    noted = tm_new_array(self, struct array, word, NOTED_WORDS);
    tm_engine_descriptor.detach(self);
    warm_up = touch_noted;
    actors_start(2, scripts);
    go_to(B, 1);
    go(A);
    expect_end(A);
    assert_true(atomic_load(&tm_c7.segment[2].pending) != 0);
    go(B);
    expect_end(B);
    assert_true(B->seen[0] == (uintptr_t)noted);
    assert_int_equal(B->executions, 1);
    assert_true(B->seen[1] == 0);
    stop();
}

/* ---- all of them
 * ------------------------------------------------------------------------------------------ */

#define BOTH(test)                                                                                 \
    {#test ": pause", test, NULL, NULL, &commits_by_pause}, {                                      \
#test ": log", test, NULL, NULL, &commits_by_log                                           \
    }

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        BOTH(markers_of_the_last_round_are_gone),
        BOTH(reads_are_found_in_every_version),
        BOTH(a_full_heap_is_told_in_one_line),
        BOTH(missing_memory_is_told_in_one_line),
        BOTH(freed_memory_is_used_again),
        BOTH(huge_objects_come_and_go),
        BOTH(private_pages_are_shared_again),
        BOTH(plain_writes_count_as_no_commit),
        BOTH(memory_returns_to_a_producer),
        BOTH(resident_memory_is_bounded),
        BOTH(any_number_of_segments_works),
        BOTH(threads_share_too_few_segments),
        BOTH(a_thread_waits_for_a_segment),
        BOTH(segments_outlive_their_threads),
        BOTH(next_thread_of_a_segment_sees_later_commits),
        {"notes_do_not_outlive_their_object: log", notes_do_not_outlive_their_object, NULL, NULL,
         &commits_by_log},
    };
    return run_each("c7, memory", tests, sizeof tests / sizeof *tests, argv) == 0 ? 0 : 1;
}

#endif
