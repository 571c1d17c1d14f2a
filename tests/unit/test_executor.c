/*
 * test_executor.c - what becomes of a sample whose worker crashes, hangs, babbles or is
 * interrupted.
 *
 * The executor starts /proc/self/exe, so this program plays the worker too, and does what the name
 * of the cell says.  It answers with its process id in `commits`, which tells processes apart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "executor.h"
#include "runner_plan.h"

#include <signal.h>
#include <unistd.h>

static const uint64_t ms = 1000000, long_ns = 20000000000U;

/* ---- the worker ---------------------------------------------------------------------------- */

static int play_worker(bool contained) {
    char line[4096];
    int status = 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        json_t *json = json_loads(line, 0, NULL);
        const char *asked = json_string_value(json_object_get(json, "name"));
        char name[64];
        if (asked == NULL)
            return 99;
        snprintf(name, sizeof name, "%s", asked);
        json_decref(json);
        const char *method = getenv("FAKE_METHOD");
        struct cell_sample s = fake_sample(10);
        if (strstr(name, "crash") != NULL)
            raise(SIGKILL);
        if (strstr(name, "leave") != NULL)
            return 3;
        if (strstr(name, "hang") != NULL)
            pause();
        if (strstr(name, "late") != NULL)
            status = 9;
        if (strstr(name, "babble") != NULL) {
            puts("hello");
            fflush(stdout);
            continue;
        }
        if (strstr(name, "wrong") != NULL) {
            s = (struct cell_sample){.ok = false};
            strcpy(s.why, "sum is 3, not 4");
        }
        s.stats.commits = (uint64_t)getpid();
        s.stats.reads = method != NULL && strcmp(method, "two") == 0 ? 2 : method != NULL;
        s.stats.writes = contained;
        json_t *answer = sample_to_json(&s);
        char *text = json_dumps(answer, JSON_COMPACT);
        puts(text);
        fflush(stdout);
        free(text);
        json_decref(answer);
    }
    return status;
}

/* ---- the tests ----------------------------------------------------------------------------- */

struct bench {
    struct fake_plan fake;
    struct process_executor *processes;
    struct executor executor;
    enum record_outcome outcome;
    struct cell_sample sample;
};

static void open_bench(struct bench *b) {
    memset(b, 0, sizeof *b);
    fake_plan_init(&b->fake, 3);
    b->processes = process_executor_open(2);
    assert_non_null(b->processes);
    b->executor = process_executor_interface(b->processes);
}

static enum executor_result measure(struct bench *b, size_t cell, uint64_t limit_ns) {
    const struct request request = {.cell = &b->fake.cells[cell], .interval_ns = 1};
    return b->executor.measure(b->executor.state, &request, limit_ns, &b->outcome, &b->sample);
}

/* Measures a cell that succeeds; returns the process that did. */
static uint64_t process_of(struct bench *b, size_t cell) {
    assert_int_equal(measure(b, cell, long_ns), EXECUTOR_DONE);
    assert_int_equal(b->outcome, RECORD_OK);
    return b->sample.stats.commits;
}

static size_t add_named(struct bench *b, const char *name) {
    const size_t cell = fake_plan_add(&b->fake, &fake_seq, 1);
    snprintf(b->fake.names[cell], sizeof b->fake.names[cell], "%s", name);
    return cell;
}

static void close_well(struct bench *b) {
    char why[CELL_WHY_SIZE] = "";
    if (!process_executor_close(b->processes, why, sizeof why))
        fail_msg("%s", why);
}

static void one_process_measures_until_the_next_start(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    const size_t cell = add_named(&b, "good"), other = add_named(&b, "good too");
    b.executor.start(b.executor.state);
    const uint64_t first = process_of(&b, cell);
    assert_int_equal(b.sample.elapsed_ns, 10000);
    assert_int_not_equal(first, getpid());
    assert_int_equal(process_of(&b, other), first);
    assert_int_equal(process_of(&b, cell), first);
    b.executor.start(b.executor.state);
    assert_int_not_equal(process_of(&b, cell), first);
    close_well(&b);
}

static void each_environment_has_a_process_and_others_share_the_first(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    const size_t plain = add_named(&b, "plain");
    const size_t one = fake_plan_add(&b.fake, &fake_environment, 1);
    const size_t two = fake_plan_add(&b.fake, &fake_environment, 1);
    b.fake.cells[two].options[0].choice = 1;
    b.executor.start(b.executor.state);
    const uint64_t first = process_of(&b, two);
    assert_int_equal(b.sample.stats.reads, 2);
    const uint64_t second = process_of(&b, one);
    assert_int_equal(b.sample.stats.reads, 1);
    assert_int_not_equal(first, second);
    assert_int_equal(process_of(&b, plain), first);
    assert_int_equal(process_of(&b, two), first);
    assert_int_equal(process_of(&b, one), second);
    close_well(&b);
}

static void a_wrong_result_is_an_answer(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    const size_t good = add_named(&b, "good"), wrong = add_named(&b, "wrong");
    const uint64_t process = process_of(&b, good);
    assert_int_equal(measure(&b, wrong, long_ns), EXECUTOR_DONE);
    assert_int_equal(b.outcome, RECORD_WRONG);
    assert_string_equal(b.sample.why, "sum is 3, not 4");
    assert_int_equal(process_of(&b, good), process);
    close_well(&b);
}

static void after_a_death_the_next_sample_has_a_new_worker(void **state) {
    (void)state;
    static const struct {
        const char *name, *why;
        enum record_outcome outcome;
        uint64_t limit_ms;
    } deaths[] = {
        {"crash", "the process was killed by signal 9 (Killed)", RECORD_CRASHED, 20000},
        {"leave", "the process ended with status 3", RECORD_CRASHED, 20000},
        {"hang", "no end within the limit of 0.2 s", RECORD_HUNG, 200},
        {"babble", "the worker's answer is not readable: not JSON", RECORD_CRASHED, 20000},
    };
    struct bench b;
    open_bench(&b);
    const size_t good = add_named(&b, "good");
    uint64_t process = process_of(&b, good);
    for (size_t i = 0; i < sizeof deaths / sizeof deaths[0]; i++) {
        const size_t bad = add_named(&b, deaths[i].name);
        assert_int_equal(measure(&b, bad, deaths[i].limit_ms * ms), EXECUTOR_DONE);
        assert_int_equal(b.outcome, deaths[i].outcome);
        assert_string_equal(b.sample.why, deaths[i].why);
        assert_int_equal(kill((pid_t)process, 0), -1);
        const uint64_t next = process_of(&b, good);
        assert_int_not_equal(next, process);
        process = next;
    }
    close_well(&b);
}

static enum executor_result collect(struct bench *b, unsigned *lane) {
    return b->executor.collect(b->executor.state, lane, &b->outcome, &b->sample);
}

static void submit(struct bench *b, unsigned lane, size_t cell, uint64_t limit_ns) {
    const struct request request = {.cell = &b->fake.cells[cell], .interval_ns = 1};
    char why[CELL_WHY_SIZE];
    assert_int_equal(b->executor.submit(b->executor.state, lane, &request, limit_ns, why),
                     EXECUTOR_DONE);
}

static void lanes_have_a_process_a_sample_and_do_not_wait_for_each_other(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    const size_t good = add_named(&b, "good"), hang = add_named(&b, "hang");
    const size_t crash = add_named(&b, "crash"), wrong = add_named(&b, "wrong");
    unsigned lane = 99;
    assert_int_equal(b.executor.lanes, 2);
    submit(&b, 0, hang, 2000 * ms);
    submit(&b, 1, good, long_ns);
    assert_int_equal(collect(&b, &lane), EXECUTOR_DONE);
    assert_int_equal(lane, 1);
    assert_int_equal(b.outcome, RECORD_OK);
    const uint64_t first = b.sample.stats.commits;
    submit(&b, 1, good, long_ns);
    assert_int_equal(collect(&b, &lane), EXECUTOR_DONE);
    assert_int_equal(lane, 1);
    assert_int_not_equal(b.sample.stats.commits, first);
    submit(&b, 1, crash, long_ns);
    assert_int_equal(collect(&b, &lane), EXECUTOR_DONE);
    assert_int_equal(lane, 1);
    assert_int_equal(b.outcome, RECORD_CRASHED);
    submit(&b, 1, wrong, long_ns);
    assert_int_equal(collect(&b, &lane), EXECUTOR_DONE);
    assert_int_equal(b.outcome, RECORD_WRONG);
    assert_int_equal(collect(&b, &lane), EXECUTOR_DONE);
    assert_int_equal(lane, 0);
    assert_int_equal(b.outcome, RECORD_HUNG);
    assert_non_null(strstr(b.sample.why, "no end within the limit of 2.0 s"));
    close_well(&b);
}

static void a_contained_sample_has_a_process_of_its_own(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    const size_t good = add_named(&b, "good");
    const size_t races = fake_plan_add(&b.fake, &fake_unsafe, 2);
    const size_t alone = fake_plan_add(&b.fake, &fake_unsafe, 1);
    const uint64_t process = process_of(&b, good);
    assert_int_equal(b.sample.stats.writes, 0);
    const uint64_t first = process_of(&b, races);
    assert_int_equal(b.sample.stats.writes, 1);
    assert_int_equal(kill((pid_t)first, 0), -1);
    const uint64_t second = process_of(&b, races);
    assert_int_not_equal(first, second);
    assert_int_not_equal(first, process);
    assert_int_equal(process_of(&b, alone), process);
    close_well(&b);
}

static void a_signal_interrupts_the_sample_and_the_run(void **state) {
    (void)state;
    struct bench b;
    open_bench(&b);
    const size_t good = add_named(&b, "good"), hang = add_named(&b, "hang");
    (void)process_of(&b, good);
    const pid_t me = getpid(), child = fork();
    if (child == 0) {
        usleep(100000);
        kill(me, SIGTERM);
        _exit(0);
    }
    assert_int_equal(process_executor_signal(b.processes), 0);
    assert_int_equal(measure(&b, hang, long_ns), EXECUTOR_INTERRUPTED);
    assert_int_equal(process_executor_signal(b.processes), SIGTERM);
    assert_int_equal(measure(&b, good, long_ns), EXECUTOR_INTERRUPTED);
    close_well(&b);
}

static void a_worker_that_ends_badly_is_told(void **state) {
    (void)state;
    struct bench b;
    char why[CELL_WHY_SIZE] = "";
    open_bench(&b);
    (void)process_of(&b, add_named(&b, "late"));
    assert_false(process_executor_close(b.processes, why, sizeof why));
    assert_non_null(strstr(why, "status 9"));
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "worker") == 0)
        return play_worker(argc > 2 && strcmp(argv[2], "contained") == 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_process_measures_until_the_next_start),
        cmocka_unit_test(each_environment_has_a_process_and_others_share_the_first),
        cmocka_unit_test(a_wrong_result_is_an_answer),
        cmocka_unit_test(after_a_death_the_next_sample_has_a_new_worker),
        cmocka_unit_test(lanes_have_a_process_a_sample_and_do_not_wait_for_each_other),
        cmocka_unit_test(a_contained_sample_has_a_process_of_its_own),
        cmocka_unit_test(a_signal_interrupts_the_sample_and_the_run),
        cmocka_unit_test(a_worker_that_ends_badly_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
