/*
 * test_carry.c - which sample is measured when, and what follows from one that failed; with a mock
 * executor, no processes and no clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "carry.h"
#include "runner_plan.h"
#include "schedule.h"

enum { LOG_MAX = 1024 };

/* What the mock executor was asked, in order, and what it is to answer. */
struct mock {
    struct fake_plan *fake;
    unsigned starts, measured, kept;
    struct {
        size_t cell;
        enum record_kind kind;
        uint64_t seed, limit_ns;
        unsigned start; /* number of start calls before it */
    } log[LOG_MAX];
    size_t bad_cell; /* samples of this cell come out as bad_outcome */
    enum record_outcome bad_outcome;
    unsigned interrupt_at, broken_at, unkept_at; /* at the n-th sample, 1 is the first; 0: never */
    uint64_t aborts;                             /* in every sample */
};

static void mock_start(void *state) { ((struct mock *)state)->starts++; }

static enum executor_result mock_measure(void *state, const struct request *request,
                                         uint64_t limit_ns, enum record_outcome *outcome,
                                         struct cell_sample *sample) {
    struct mock *m = state;
    assert_true(m->measured < LOG_MAX);
    const size_t cell = (size_t)(request->cell - m->fake->cells);
    m->log[m->measured].cell = cell;
    m->log[m->measured].kind = request->kind;
    m->log[m->measured].seed = request->seed;
    m->log[m->measured].limit_ns = limit_ns;
    m->log[m->measured].start = m->starts;
    m->measured++;
    if (m->measured == m->interrupt_at)
        return EXECUTOR_INTERRUPTED;
    if (m->measured == m->broken_at) {
        *sample = (struct cell_sample){.why = "no processes left"};
        return EXECUTOR_BROKEN;
    }
    *outcome = cell == m->bad_cell ? m->bad_outcome : RECORD_OK;
    *sample = fake_sample(10);
    sample->stats.aborts[TM_VALIDATION] = m->aborts;
    if (*outcome != RECORD_OK)
        *sample = (struct cell_sample){.why = "it is wrong"};
    return EXECUTOR_DONE;
}

static bool mock_keep(void *state, const struct record *record) {
    struct mock *m = state;
    m->kept++;
    /* Lock-step: a record is kept before the next sample is asked for. */
    assert_int_equal(m->kept, m->measured);
    assert_int_equal(record->cell, m->log[m->measured - 1].cell);
    return m->kept != m->unkept_at;
}

static void mock_progress(void *state, size_t done, size_t total, const struct plan_cell *cell) {
    (void)state, (void)cell;
    assert_true(done < total);
}

static enum carry_result carry(struct mock *m, struct run_data *data) {
    const struct executor executor = {.state = m, .start = mock_start, .measure = mock_measure};
    const struct observer observer = {m, mock_keep, mock_progress};
    char why[CELL_WHY_SIZE];
    return carry_out(&m->fake->plan, data, &executor, &observer, why);
}

static struct mock mock_of(struct fake_plan *fake) {
    return (struct mock){.fake = fake, .bad_cell = SIZE_MAX};
}

/* ---- schedule ------------------------------------------------------------------------------ */

static void passes_are_spread_over_at_least_three_starts(void **state) {
    (void)state;
    const unsigned expected[][2] = {{1, 1}, {2, 2}, {3, 3}, {4, 3}, {9, 3}, {10, 4}, {30, 10}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(schedule_starts(expected[i][0]), expected[i][1]);
    unsigned lengths[4] = {0};
    for (unsigned pass = 0; pass < 10; pass++)
        lengths[schedule_start_of(pass, 10)]++;
    assert_int_equal(lengths[0], 3);
    assert_int_equal(lengths[1], 3);
    assert_int_equal(lengths[2], 2);
    assert_int_equal(lengths[3], 2);
    for (unsigned passes = 1; passes < 100; passes++) {
        assert_int_equal(schedule_start_of(0, passes), 0);
        assert_int_equal(schedule_start_of(passes - 1, passes), schedule_starts(passes) - 1);
        for (unsigned pass = 1; pass < passes; pass++) {
            const unsigned step =
                schedule_start_of(pass, passes) - schedule_start_of(pass - 1, passes);
            assert_true(step <= 1);
        }
    }
}

static void an_order_is_a_permutation_that_its_seed_repeats(void **state) {
    (void)state;
    enum { N = 50 };
    size_t a[N], b[N], other_pass[N], other_seed[N];
    schedule_order(1, 0, a, N);
    schedule_order(1, 0, b, N);
    schedule_order(1, 1, other_pass, N);
    schedule_order(2, 0, other_seed, N);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, other_pass, sizeof a);
    assert_memory_not_equal(a, other_seed, sizeof a);
    bool seen[N] = {false};
    for (size_t i = 0; i < N; i++) {
        assert_true(a[i] < N && !seen[a[i]]);
        seen[a[i]] = true;
    }
}

static void every_place_in_a_pass_is_equally_likely(void **state) {
    (void)state;
    enum { N = 4, PASSES = 4000 };
    unsigned first[N] = {0};
    size_t order[N];
    for (unsigned pass = 0; pass < PASSES; pass++) {
        schedule_order(3, pass, order, N);
        first[order[0]]++;
    }
    for (size_t i = 0; i < N; i++) /* 1000 expected, standard deviation 27 */
        assert_in_range(first[i], 890, 1110);
}

/* ---- a run --------------------------------------------------------------------------------- */

static void each_pass_measures_every_cell_once_with_one_seed(void **state) {
    (void)state;
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 10);
    fake_plan_add(&f, &fake_seq, 1);
    fake_plan_add(&f, &fake_gil, 1);
    fake_plan_add(&f, &fake_gil, 2);
    struct mock m = mock_of(&f);
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry(&m, &data), CARRY_DONE);
    assert_int_equal(m.measured, 30);
    assert_int_equal(m.kept, 30);
    assert_int_equal(m.starts, 4);
    for (unsigned pass = 0; pass < 10; pass++) {
        unsigned seen = 0;
        for (unsigned i = 0; i < 3; i++) {
            seen |= 1U << m.log[pass * 3 + i].cell;
            assert_int_equal(m.log[pass * 3 + i].seed, schedule_sample_seed(7, pass));
            assert_int_equal(m.log[pass * 3 + i].start, schedule_start_of(pass, 10) + 1);
        }
        assert_int_equal(seen, 7);
    }
    assert_int_not_equal(m.log[0].seed, m.log[3].seed);
    assert_int_equal(data.starts, 4);
    run_data_free(&data);
}

static void an_unavailable_cell_is_never_measured(void **state) {
    (void)state;
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 3);
    fake_plan_add(&f, &fake_seq, 1);
    f.cells[fake_plan_add(&f, &fake_stm, 2)].unavailable = "no transactions here";
    struct mock m = mock_of(&f);
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry(&m, &data), CARRY_DONE);
    assert_int_equal(m.measured, 3);
    run_data_free(&data);
}

static void a_failed_cell_is_given_up_and_the_others_go_on(void **state) {
    (void)state;
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 5);
    fake_plan_add(&f, &fake_seq, 1);
    fake_plan_add(&f, &fake_gil, 2);
    struct mock m = mock_of(&f);
    m.bad_cell = 1;
    m.bad_outcome = RECORD_CRASHED;
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry(&m, &data), CARRY_DONE);
    assert_int_equal(m.measured, 5 + 1);
    assert_non_null(run_data_failure(&data, 1));
    assert_null(run_data_failure(&data, 0));
    run_data_free(&data);
}

static void expected_failures_do_not_end_their_cell(void **state) {
    (void)state;
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 5);
    fake_plan_add(&f, &fake_unsafe, 1);
    fake_plan_add(&f, &fake_unsafe, 2);
    struct mock m = mock_of(&f);
    m.bad_cell = 1;
    m.bad_outcome = RECORD_HUNG;
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry(&m, &data), CARRY_DONE);
    assert_int_equal(m.measured, 10);
    /* After the first hang the limit is shorter, but longer than the sample asks for. */
    uint64_t first = 0, later = 0;
    for (unsigned i = 0; i < m.measured; i++)
        if (m.log[i].cell == 1) {
            if (first == 0)
                first = m.log[i].limit_ns;
            later = m.log[i].limit_ns;
        }
    assert_int_equal(first, UINT64_C(7000000000)); /* 20 * 0.1 s + 5 s */
    assert_true(later < first && later > UINT64_C(400000000));
    run_data_free(&data);
}

static void a_long_warm_up_is_not_taken_for_a_hang(void **state) {
    (void)state;
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 1);
    f.plan.warmup_s = 10;
    fake_plan_add(&f, &fake_unsafe, 2);
    struct mock m = mock_of(&f);
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry(&m, &data), CARRY_DONE);
    assert_int_equal(m.log[0].limit_ns, UINT64_C(207000000000)); /* 20 * 10.1 s + 5 s */
    run_data_free(&data);
}

static void one_thread_without_synchronisation_is_an_ordinary_cell(void **state) {
    (void)state;
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 5);
    fake_plan_add(&f, &fake_unsafe, 1);
    struct mock m = mock_of(&f);
    m.bad_cell = 0;
    m.bad_outcome = RECORD_WRONG;
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry(&m, &data), CARRY_DONE);
    assert_int_equal(m.measured, 1);
    run_data_free(&data);
}

static void an_interrupted_run_goes_on_where_it_ended(void **state) {
    (void)state;
    for (unsigned at = 1; at <= 20; at++) {
        struct fake_plan f;
        struct run_data data;
        fake_plan_init(&f, 10);
        fake_plan_add(&f, &fake_seq, 1);
        fake_plan_add(&f, &fake_gil, 2);
        struct mock m = mock_of(&f);
        m.interrupt_at = at;
        assert_true(run_data_init(&data, &f.plan));
        assert_int_equal(carry(&m, &data), CARRY_INTERRUPTED);
        assert_int_equal(m.kept, at - 1);
        size_t done;
        assert_int_equal(carry_total(&f.plan, &data, &done), 20);
        assert_int_equal(done, at - 1);
        const unsigned starts = data.starts;
        struct mock again = mock_of(&f);
        assert_int_equal(carry(&again, &data), CARRY_DONE);
        assert_int_equal(again.kept, 20 - (at - 1));
        /* What was interrupted is measured again, with the same operations. */
        assert_int_equal(again.log[0].cell, m.log[at - 1].cell);
        assert_int_equal(again.log[0].seed, m.log[at - 1].seed);
        assert_int_equal(run_data_slot(&data, again.log[0].cell, (at - 1) / 2, RECORD_TIMED)->start,
                         starts);
        run_data_free(&data);
    }
}

static void a_record_that_cannot_be_kept_ends_the_run(void **state) {
    (void)state;
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 3);
    fake_plan_add(&f, &fake_seq, 1);
    struct mock m = mock_of(&f);
    m.unkept_at = 2;
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry(&m, &data), CARRY_NOT_KEPT);
    assert_int_equal(m.measured, 2);
    run_data_free(&data);
}

static void no_worker_ends_the_run_with_a_reason(void **state) {
    (void)state;
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 3);
    fake_plan_add(&f, &fake_seq, 1);
    struct mock m = mock_of(&f);
    m.broken_at = 2;
    const struct executor executor = {.state = &m, .start = mock_start, .measure = mock_measure};
    const struct observer observer = {&m, mock_keep, mock_progress};
    char why[CELL_WHY_SIZE] = "";
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry_out(&f.plan, &data, &executor, &observer, why), CARRY_BROKEN);
    assert_string_equal(why, "no processes left");
    assert_int_equal(m.kept, 1);
    run_data_free(&data);
}

static void diagnostic_passes_follow_in_a_start_of_their_own(void **state) {
    (void)state;
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 3);
    fake_plan_add(&f, &fake_stm, 2);
    fake_plan_add(&f, &fake_unsafe, 2);
    f.plan.latency = true;
    struct mock m = mock_of(&f);
    m.aborts = 1;
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry(&m, &data), CARRY_DONE);
    assert_int_equal(m.measured, 6 + 2);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(m.log[i].kind, RECORD_TIMED);
    assert_int_equal(m.log[6].kind, RECORD_WASTED);
    assert_int_equal(m.log[6].cell, 0);
    assert_int_equal(m.log[7].kind, RECORD_LATENCY);
    assert_int_equal(m.log[7].cell, 0);
    assert_int_equal(m.log[6].start, 4);
    assert_int_equal(m.log[7].start, 4);
    run_data_free(&data);
}

static void without_aborts_there_is_no_diagnostic_pass(void **state) {
    (void)state;
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 3);
    fake_plan_add(&f, &fake_stm, 2);
    struct mock m = mock_of(&f);
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry(&m, &data), CARRY_DONE);
    assert_int_equal(m.measured, 3);
    run_data_free(&data);
}

static void an_engine_names_the_environment_it_needs(void **state) {
    (void)state;
    struct fake_plan f;
    char text[64];
    fake_plan_init(&f, 3);
    const size_t seq = fake_plan_add(&f, &fake_seq, 1);
    const size_t two = fake_plan_add(&f, &fake_environment, 1);
    f.cells[two].options[0].choice = 1;
    assert_false(plan_cell_environment(&f.cells[seq], text, sizeof text));
    assert_true(plan_cell_environment(&f.cells[two], text, sizeof text));
    assert_string_equal(text, "FAKE_METHOD=two");
}

/* ---- simulated cells ------------------------------------------------------------------------- */

enum { LANES = 3 };

/* Answers the request that was submitted last, first. */
struct lanes {
    struct mock mock;
    unsigned busy, most_busy;
    struct request request[LANES];
    bool taken[LANES];
    unsigned order[LANES], finished[PLAN_CELLS_MAX];
};

static enum executor_result lanes_submit(void *state, unsigned lane, const struct request *request,
                                         uint64_t limit_ns, char why[CELL_WHY_SIZE]) {
    struct lanes *l = state;
    (void)limit_ns, (void)why;
    assert_true(lane < LANES && !l->taken[lane]);
    l->taken[lane] = true;
    l->request[lane] = *request;
    l->order[l->busy++] = lane;
    l->most_busy = l->busy > l->most_busy ? l->busy : l->most_busy;
    return EXECUTOR_DONE;
}

static enum executor_result lanes_collect(void *state, unsigned *lane, enum record_outcome *outcome,
                                          struct cell_sample *sample) {
    struct lanes *l = state;
    assert_true(l->busy > 0);
    *lane = l->order[--l->busy];
    l->taken[*lane] = false;
    return mock_measure(&l->mock, &l->request[*lane], 0, outcome, sample);
}

static bool lanes_keep(void *state, const struct record *record) {
    struct lanes *l = state;
    l->finished[record->cell]++;
    return true;
}

static void simulated_samples_run_side_by_side_and_are_told_apart(void **state) {
    (void)state;
    static char place[] = "sim:one";
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 4);
    const size_t native = fake_plan_add(&f, &fake_stm, 2);
    const size_t first = fake_plan_add_simulated(&f, &fake_stm, 1, place);
    const size_t bad = fake_plan_add_simulated(&f, &fake_stm, 2, place);
    struct lanes l = {.mock = mock_of(&f)};
    l.mock.bad_cell = bad;
    l.mock.bad_outcome = RECORD_WRONG;
    const struct executor executor = {.state = &l,
                                      .start = mock_start,
                                      .measure = mock_measure,
                                      .lanes = LANES,
                                      .submit = lanes_submit,
                                      .collect = lanes_collect};
    const struct observer observer = {&l, lanes_keep, mock_progress};
    char why[CELL_WHY_SIZE];
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry_out(&f.plan, &data, &executor, &observer, why), CARRY_DONE);
    assert_int_equal(l.most_busy, LANES);
    assert_int_equal(l.finished[native], 4);
    assert_int_equal(l.finished[first], 4);
    assert_int_equal(l.finished[bad], 4); /* or the results would depend on what came first */
    for (size_t i = 0; i < 4; i++)        /* what is timed, is timed before */
        assert_int_equal(l.mock.log[i].cell, native);
    for (unsigned pass = 0; pass < 4; pass++) {
        const struct record *r = run_data_slot(&data, first, pass, RECORD_TIMED);
        assert_int_equal(r->outcome, RECORD_OK);
        assert_int_equal(r->start, pass * 3 + first);
    }
    for (unsigned i = 0; i < l.mock.measured; i++) {
        unsigned same = 0;
        for (unsigned j = 0; j < l.mock.measured; j++)
            same += l.mock.log[i].cell == l.mock.log[j].cell &&
                    l.mock.log[i].seed == l.mock.log[j].seed;
        assert_int_equal(same, 1); /* each sample of a cell has a seed of its own */
    }
    run_data_free(&data);
}

static void a_simulated_cell_that_hung_is_given_up(void **state) {
    (void)state;
    static char place[] = "sim:one";
    struct fake_plan f;
    struct run_data data;
    fake_plan_init(&f, 4);
    const size_t cell = fake_plan_add_simulated(&f, &fake_stm, 2, place);
    struct mock m = mock_of(&f);
    m.bad_cell = cell;
    m.bad_outcome = RECORD_HUNG;
    assert_true(run_data_init(&data, &f.plan));
    assert_int_equal(carry(&m, &data), CARRY_DONE);
    assert_int_equal(m.measured, 1);
    run_data_free(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_are_spread_over_at_least_three_starts),
        cmocka_unit_test(an_order_is_a_permutation_that_its_seed_repeats),
        cmocka_unit_test(every_place_in_a_pass_is_equally_likely),
        cmocka_unit_test(each_pass_measures_every_cell_once_with_one_seed),
        cmocka_unit_test(an_unavailable_cell_is_never_measured),
        cmocka_unit_test(a_failed_cell_is_given_up_and_the_others_go_on),
        cmocka_unit_test(expected_failures_do_not_end_their_cell),
        cmocka_unit_test(a_long_warm_up_is_not_taken_for_a_hang),
        cmocka_unit_test(one_thread_without_synchronisation_is_an_ordinary_cell),
        cmocka_unit_test(an_interrupted_run_goes_on_where_it_ended),
        cmocka_unit_test(a_record_that_cannot_be_kept_ends_the_run),
        cmocka_unit_test(no_worker_ends_the_run_with_a_reason),
        cmocka_unit_test(diagnostic_passes_follow_in_a_start_of_their_own),
        cmocka_unit_test(without_aborts_there_is_no_diagnostic_pass),
        cmocka_unit_test(an_engine_names_the_environment_it_needs),
        cmocka_unit_test(simulated_samples_run_side_by_side_and_are_told_apart),
        cmocka_unit_test(a_simulated_cell_that_hung_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
