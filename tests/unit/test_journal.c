/*
 * test_journal.c - no finished sample is lost, whatever the last moment of a run was; a file that
 * is not this run's journal is refused with a reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "journal.h"
#include "runner_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORDS = 3, TEXT_MAX = 65536 };

static char folder[64];
static char path[128];

/* One opening: its data, and what journal_open said. */
struct opened {
    struct fake_plan fake;
    struct run_data data;
    json_t *identity, *context;
    struct journal *journal;
    bool dropped, moved;
    char why[JOURNAL_WHY_SIZE];
};

static bool open_with(struct opened *o, bool resume, unsigned repetitions, uint64_t seed) {
    memset(o, 0, sizeof *o);
    fake_plan_init(&o->fake, repetitions);
    o->fake.plan.seed = seed;
    fake_plan_add(&o->fake, &fake_seq, 1);
    fake_plan_add(&o->fake, &fake_stm, 2);
    assert_true(run_data_init(&o->data, &o->fake.plan));
    o->identity = plan_identity(&o->fake.plan);
    o->context = json_pack("{s:s}", "date", resume ? "second" : "first");
    assert_non_null(o->identity);
    return journal_open(path, o->identity, &o->context, resume, &o->data, &o->journal, &o->dropped,
                        &o->moved, o->why) == JOURNAL_OPEN;
}

static void close_it(struct opened *o, bool remove) {
    journal_close(o->journal, remove);
    run_data_free(&o->data);
    json_decref(o->identity);
    json_decref(o->context);
}

static struct record record_at(size_t cell, unsigned pass) {
    struct record r = {.cell = cell, .pass = pass, .outcome = RECORD_OK, .start = pass};
    r.sample = fake_sample(10 + pass);
    return r;
}

/* A journal with RECORDS samples of cell 0 and whatever else; closed again. */
static void write_journal(void) {
    struct opened o;
    (void)unlink(path);
    assert_true(open_with(&o, false, 10, 7));
    for (unsigned pass = 0; pass < RECORDS; pass++) {
        const struct record r = record_at(0, pass);
        assert_true(journal_append(o.journal, &r, o.why));
    }
    close_it(&o, false);
}

static size_t load(char *text) {
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    const size_t n = fread(text, 1, TEXT_MAX - 1, f);
    fclose(f);
    text[n] = '\0';
    return n;
}

static void store(const char *text, size_t n) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static unsigned samples_in(const struct run_data *data) {
    unsigned n = 0;
    for (size_t cell = 0; cell < data->cells; cell++)
        for (unsigned pass = 0; pass < data->repetitions; pass++)
            n += run_data_slot(data, cell, pass, RECORD_TIMED)->outcome != RECORD_MISSING;
    return n;
}

/* ---- what is written is read --------------------------------------------------------------- */

static void every_field_comes_back(void **state) {
    (void)state;
    struct opened o;
    (void)unlink(path);
    struct record r, failed; /* compared byte by byte: no padding may be left to chance */
    memset(&r, 0, sizeof r);
    memset(&failed, 0, sizeof failed);
    r.cell = 1, r.pass = 9, r.outcome = RECORD_OK, r.start = 3;
    /* A different value in every counter, a large one among them. */
    struct cell_sample *s = &r.sample;
    s->ok = true;
    s->elapsed_ns = UINT64_C(9223372036854775807);
    s->cpu_ns = 2, s->ops = 3, s->ops_min = 4, s->ops_max = 5, s->rss_bytes = 6;
    s->latency_p50_ns = 7, s->latency_p99_ns = 8, s->latency_max_ns = 9;
    s->stats.commits = 10, s->stats.retries = 14, s->stats.fallbacks = 15;
    for (unsigned cause = 0; cause < TM_CAUSES; cause++)
        s->stats.aborts[cause] = 100 + cause;
    s->stats.irrevocable = 16, s->stats.handovers = 17, s->stats.reads = 18;
    s->stats.writes = 19, s->stats.read_set_max = 20, s->stats.write_set_max = 21;
    s->stats.wasted_ns = 22, s->stats.counts_accesses = true;
    s->host_ns = 23, s->accesses = 24, s->switches = 25;
    s->transactions.begins = 26, s->transactions.commits = 27, s->transactions.wasted_ns = 28;
    for (unsigned cause = 0; cause < MACHINE_TX_CAUSES; cause++)
        s->transactions.aborts[cause] = 200 + cause;
    failed.cell = 1, failed.kind = RECORD_LATENCY, failed.outcome = RECORD_HUNG;
    strcpy(failed.sample.why, "a \"quoted\"\nreason");
    assert_true(open_with(&o, false, 10, 7));
    assert_true(journal_append(o.journal, &r, o.why));
    assert_true(journal_append(o.journal, &failed, o.why));
    close_it(&o, false);
    assert_true(open_with(&o, true, 10, 7));
    assert_memory_equal(run_data_slot(&o.data, 1, 9, RECORD_TIMED), &r, sizeof r);
    assert_memory_equal(run_data_slot(&o.data, 1, 0, RECORD_LATENCY), &failed, sizeof failed);
    assert_int_equal(o.data.starts, 4);
    assert_string_equal(json_string_value(json_object_get(o.context, "date")), "first");
    close_it(&o, true);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_number_without_json_form_is_not_written(void **state) {
    (void)state;
    struct opened o;
    (void)unlink(path);
    struct record r = record_at(0, 0);
    r.sample.stats.commits = UINT64_C(9223372036854775808);
    assert_true(open_with(&o, false, 10, 7));
    assert_false(journal_append(o.journal, &r, o.why));
    close_it(&o, false);
    assert_true(open_with(&o, true, 10, 7));
    assert_int_equal(samples_in(&o.data), 0);
    close_it(&o, true);
}

static void without_resume_an_old_journal_is_kept_under_another_name(void **state) {
    (void)state;
    struct opened o;
    char old[160];
    struct stat s;
    write_journal();
    assert_true(open_with(&o, false, 10, 7));
    assert_true(o.moved);
    assert_int_equal(samples_in(&o.data), 0);
    snprintf(old, sizeof old, "%s.old", path);
    assert_int_equal(stat(old, &s), 0);
    assert_true(s.st_size > 0);
    unlink(old);
    close_it(&o, true);
}

/* ---- crashes ------------------------------------------------------------------------------- */

static void a_file_cut_anywhere_keeps_its_whole_lines(void **state) {
    (void)state;
    char whole[TEXT_MAX];
    write_journal();
    const size_t size = load(whole);
    const size_t header = strcspn(whole, "\n") + 1;
    for (size_t cut = 0; cut <= size; cut++) {
        struct opened o;
        unsigned lines = 0;
        for (size_t i = header; i < cut; i++)
            lines += whole[i] == '\n';
        store(whole, cut);
        assert_true(open_with(&o, true, 10, 7));
        assert_int_equal(samples_in(&o.data), lines);
        assert_int_equal(o.dropped, cut > 0 && whole[cut - 1] != '\n');
        /* What is measured next goes behind the last whole line. */
        const struct record r = record_at(1, 0);
        assert_true(journal_append(o.journal, &r, o.why));
        close_it(&o, false);
        assert_true(open_with(&o, true, 10, 7));
        assert_int_equal(samples_in(&o.data), lines + 1);
        assert_false(o.dropped);
        close_it(&o, false);
    }
}

static void a_full_disk_leaves_the_finished_samples_readable(void **state) {
    (void)state;
    struct opened o;
    struct rlimit before;
    struct stat s;
    write_journal();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(open_with(&o, true, 10, 7));
    assert_int_equal(stat(path, &s), 0);
    /* Room for a part of the next line only. */
    const struct rlimit limit = {(rlim_t)s.st_size + 40, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct record r = record_at(1, 0);
    const bool written = journal_append(o.journal, &r, o.why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(written);
    assert_non_null(strstr(o.why, path));
    assert_non_null(strstr(o.why, strerror(EFBIG)));
    close_it(&o, false);
    assert_true(open_with(&o, true, 10, 7));
    assert_int_equal(samples_in(&o.data), RECORDS);
    assert_false(o.dropped);
    close_it(&o, true);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void refused_because(struct opened *o, const char *reason) {
    if (strstr(o->why, path) == NULL || strstr(o->why, reason) == NULL)
        fail_msg("said: %s; wanted: %s", o->why, reason);
    assert_null(strchr(o->why, '\n'));
    o->journal = NULL;
    close_it(o, false);
}

static void another_run_is_refused_with_the_difference(void **state) {
    (void)state;
    struct opened o;
    write_journal();
    assert_false(open_with(&o, true, 11, 7));
    refused_because(&o, "--repetitions");
    assert_false(open_with(&o, true, 10, 8));
    refused_because(&o, "--seed");
    char text[TEXT_MAX];
    (void)load(text);
    struct opened still;
    assert_true(open_with(&still, true, 10, 7));
    assert_int_equal(samples_in(&still.data), RECORDS);
    close_it(&still, true);
}

static void a_second_run_at_the_same_time_is_refused(void **state) {
    (void)state;
    struct opened first, second;
    write_journal();
    assert_true(open_with(&first, true, 10, 7));
    assert_false(open_with(&second, true, 10, 7));
    refused_because(&second, "another run");
    close_it(&first, true);
}

static void garbage_in_the_middle_is_refused_and_left_alone(void **state) {
    (void)state;
    static const char *const lines[] = {
        "garbage",
        "{}",
        "[]",
        "{\"cell\":0}",
        "{\"cell\":-1,\"pass\":0,\"kind\":\"timed\",\"start\":0,\"outcome\":\"wrong\",\"why\":"
        "\"x\"}",
        "{\"cell\":7,\"pass\":0,\"kind\":\"timed\",\"start\":0,\"outcome\":\"wrong\",\"why\":"
        "\"x\"}",
        "{\"cell\":0,\"pass\":99,\"kind\":\"timed\",\"start\":0,\"outcome\":\"wrong\",\"why\":"
        "\"x\"}",
        "{\"cell\":0,\"pass\":0,\"kind\":\"other\",\"start\":0,\"outcome\":\"wrong\",\"why\":"
        "\"x\"}",
        "{\"cell\":0,\"pass\":0,\"kind\":\"timed\",\"start\":0,\"outcome\":\"missing\",\"why\":"
        "\"x\"}",
        "{\"cell\":0,\"pass\":0,\"kind\":\"timed\",\"start\":0,\"outcome\":\"ok\"}",
        "",
    };
    char whole[TEXT_MAX], broken[TEXT_MAX];
    write_journal();
    const size_t size = load(whole);
    const size_t header = strcspn(whole, "\n") + 1;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct opened o;
        const int n = snprintf(broken, sizeof broken, "%.*s%s\n%s", (int)header, whole, lines[i],
                               whole + header);
        store(broken, (size_t)n);
        assert_false(open_with(&o, true, 10, 7));
        refused_because(&o, "line 2 is damaged");
        assert_int_equal(load(whole), n);
        snprintf(whole + header, sizeof whole - header, "%s",
                 broken + header + strlen(lines[i]) + 1);
        assert_int_equal(strlen(whole), size);
    }
}

static void a_sample_that_is_there_twice_is_refused(void **state) {
    (void)state;
    struct opened o;
    char text[TEXT_MAX];
    write_journal();
    const size_t size = load(text);
    const size_t header = strcspn(text, "\n") + 1;
    const size_t line = strcspn(text + header, "\n") + 1;
    memmove(text + size, text + header, line);
    store(text, size + line);
    assert_false(open_with(&o, true, 10, 7));
    refused_because(&o, "line 5 is damaged");
}

static void other_files_are_not_taken_for_journals(void **state) {
    (void)state;
    static const char *const files[] = {"hello\n", "{}\n", "{\"journal\":\"allcores\"}\n",
                                        "{\"journal\":\"other\",\"context\":{}}\n", "\n"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct opened o;
        char text[TEXT_MAX];
        store(files[i], strlen(files[i]));
        assert_false(open_with(&o, true, 10, 7));
        refused_because(&o, "header");
        assert_int_equal(load(text), strlen(files[i]));
    }
    unlink(path);
    struct opened o;
    assert_int_equal(mkdir(path, 0777), 0);
    assert_false(open_with(&o, true, 10, 7));
    refused_because(&o, "directory");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0666), 0);
    assert_false(open_with(&o, true, 10, 7));
    refused_because(&o, "regular file");
    unlink(path);
}

/* Not a check of what is said, but that there is always an answer (and no bad access, in the
 * sanitizer build). */
static void no_damaged_byte_is_fatal(void **state) {
    (void)state;
    char whole[TEXT_MAX], broken[TEXT_MAX];
    write_journal();
    const size_t size = load(whole);
    uint64_t random = 1;
    unsigned refused = 0;
    for (unsigned i = 0; i < 1000; i++) {
        struct opened o;
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
        memcpy(broken, whole, size);
        broken[(random >> 33) % size] ^= (char)(1U << ((random >> 20) % 8));
        store(broken, size);
        const bool ok = open_with(&o, true, 10, 7);
        refused += !ok;
        if (!ok)
            o.journal = NULL;
        close_it(&o, false);
    }
    assert_in_range(refused, 500, 1000);
}

static int make_folder(void **state) {
    (void)state;
    /* In memory where that is possible: thousands of syncs are waited for here. */
    snprintf(folder, sizeof folder, "%s/allcores-journal-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/out.json.journal", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(a_number_without_json_form_is_not_written),
        cmocka_unit_test(without_resume_an_old_journal_is_kept_under_another_name),
        cmocka_unit_test(a_file_cut_anywhere_keeps_its_whole_lines),
        cmocka_unit_test(a_full_disk_leaves_the_finished_samples_readable),
        cmocka_unit_test(another_run_is_refused_with_the_difference),
        cmocka_unit_test(a_second_run_at_the_same_time_is_refused),
        cmocka_unit_test(garbage_in_the_middle_is_refused_and_left_alone),
        cmocka_unit_test(a_sample_that_is_there_twice_is_refused),
        cmocka_unit_test(other_files_are_not_taken_for_journals),
        cmocka_unit_test(no_damaged_byte_is_fatal),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
