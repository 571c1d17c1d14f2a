/*
 * test_spec.c - the command line's words become the right plan, or one line that says what would be
 * right.  Plug-ins of its own are registered here, so that nothing depends on what is in the
 * engines and workloads folders.
 */
#include "outfile.h"
#include "spec.h"
#include "suggest.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h> /* needs the four headers above it */

/* ---- plug-ins for the tests ---------------------------------------------------------------- */

static const char *nothing_missing(void) { return NULL; }
static const char *part_missing(void) { return "the part is missing"; }

static const struct tm_param trial_options[] = {
    {"flavour", "which build", TM_CHOICE, "a", .choices = "a|b|c"},
    {"level", "a whole number", TM_INT, "7", -5, 100, NULL},
    {"ratio", "a number", TM_REAL, "0.25", 0, 1, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};
static const struct tm_param trial_params[] = {
    {"size", "a whole number", TM_INT, "10", 1, 1000, NULL},
    {"mode", "a choice", TM_CHOICE, "plain", .choices = "plain|fancy"},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

#define TRIAL_ENGINE(object, ...)                                                                  \
    static const struct tm_engine object = {__VA_ARGS__, .help = "for the tests",                  \
                                            .stands_for = "nothing"};                              \
    TM_REGISTER(tm_engines, struct tm_engine, object)

TRIAL_ENGINE(trial, .name = "trial", .options = trial_options, .max_threads = 1024,
             .unavailable = nothing_missing);
TRIAL_ENGINE(trial_b, .name = "trial", .variant = "flavour=b", .options = trial_options,
             .max_threads = 1024, .unavailable = nothing_missing);
TRIAL_ENGINE(trial_lonely, .name = "triallonely", .max_threads = 1, .unavailable = nothing_missing);
TRIAL_ENGINE(trial_missing, .name = "trialmissing", .max_threads = 1024,
             .unavailable = part_missing);

static const struct tm_workload trial_load = {
    .name = "trialload", .help = "for the tests", .params = trial_params};
static const struct tm_workload trial_other = {.name = "trialother", .help = "for the tests"};

#define TRIAL_CELL(object, workload, engine)                                                       \
    static const struct tm_cell object = {&(workload), &(engine), "native"};                       \
    TM_REGISTER(tm_cells, struct tm_cell, object)

TRIAL_CELL(load_trial, trial_load, trial);
TRIAL_CELL(load_trial_b, trial_load, trial_b);
TRIAL_CELL(load_lonely, trial_load, trial_lonely);
TRIAL_CELL(load_missing, trial_load, trial_missing);
TRIAL_CELL(other_trial, trial_other, trial); /* and no other engine */

/* ---- helpers ------------------------------------------------------------------------------- */

static struct plan plan_of(const char *engines, const char *workloads, const char *threads) {
    const struct spec spec = {.engines = engines, .workloads = workloads, .threads = threads};
    struct plan plan = {.cells = NULL};
    char why[SPEC_WHY_SIZE] = "";
    if (!spec_cells(&spec, &plan, why, sizeof why))
        fail_msg("refused: %s", why);
    return plan;
}

static void assert_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        fail_msg("'%s' does not contain '%s'", text, part);
}

static void assert_refused(const char *engines, const char *workloads, const char *threads,
                           const char *machine, const char *hint) {
    const struct spec spec = {engines, workloads, threads, machine};
    struct plan plan = {.cells = NULL, .count = 77};
    char why[SPEC_WHY_SIZE] = "";
    if (spec_cells(&spec, &plan, why, sizeof why))
        fail_msg("accepted, but it should say '%s'", hint);
    assert_contains(why, hint);
    assert_null(plan.cells); /* left as it was */
    assert_int_equal(plan.count, 77);
}

/* ---- cells --------------------------------------------------------------------------------- */

static void names_are_as_given(void **state) {
    (void)state;
    struct plan plan = plan_of("trial:ratio=0.50:level=-3,triallonely",
                               "trialload:mode=fancy:size=007,trialother", "2,1");
    const char *const expected[] = {
        "trialload:mode=fancy:size=007/trial:ratio=0.50:level=-3/threads:2",
        "trialload:mode=fancy:size=007/trial:ratio=0.50:level=-3/threads:1",
        "trialload:mode=fancy:size=007/triallonely/threads:2",
        "trialload:mode=fancy:size=007/triallonely/threads:1",
        "trialother/trial:ratio=0.50:level=-3/threads:2",
        "trialother/trial:ratio=0.50:level=-3/threads:1",
        "trialother/triallonely/threads:2",
        "trialother/triallonely/threads:1",
    };
    assert_int_equal(plan.count, 8);
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(plan.cells[i].name, expected[i]);
    const struct plan_cell *c = &plan.cells[0];
    assert_string_equal(c->workload, "trialload:mode=fancy:size=007");
    assert_string_equal(c->engine, "trial:ratio=0.50:level=-3");
    assert_int_equal(c->args[0].i, 7);
    assert_int_equal(c->args[1].choice, 1);
    assert_int_equal(c->options[0].choice, 0);
    assert_int_equal(c->options[1].i, -3);
    assert_true(c->options[2].r == 0.5);
    assert_ptr_equal(c->cell, &load_trial);
    assert_null(c->unavailable);
    plan_free(&plan);
    assert_int_equal(plan.count, 0);
}

static void options_not_given_have_their_defaults(void **state) {
    (void)state;
    struct plan plan = plan_of("trial", "trialload", "1");
    assert_int_equal(plan.count, 1);
    assert_string_equal(plan.cells[0].name, "trialload/trial/threads:1");
    assert_int_equal(plan.cells[0].args[0].i, 10);
    assert_int_equal(plan.cells[0].options[1].i, 7);
    assert_true(plan.cells[0].options[2].r == 0.25);
    plan_free(&plan);
}

static void an_option_selects_the_variant(void **state) {
    (void)state;
    struct plan plan = plan_of("trial:flavour=b,trial:flavour=c", "trialload,trialother", "1");
    assert_int_equal(plan.count, 4);
    assert_ptr_equal(plan.cells[0].cell, &load_trial_b);
    assert_ptr_equal(plan.cells[0].engine_plugin, &trial_b);
    assert_ptr_equal(plan.cells[1].cell, &load_trial); /* no build of its own: the default one */
    /* trialother was not compiled with flavour=b */
    assert_null(plan.cells[2].cell);
    assert_string_equal(plan.cells[2].unavailable, "not compiled for this machine");
    assert_ptr_equal(plan.cells[3].cell, &other_trial);
    plan_free(&plan);
}

static void an_engine_that_cannot_run_is_planned_as_unavailable(void **state) {
    (void)state;
    struct plan plan = plan_of("trialmissing,trial", "trialload", "1");
    assert_int_equal(plan.count, 2);
    assert_string_equal(plan.cells[0].unavailable, "the part is missing");
    assert_null(plan.cells[1].unavailable);
    plan_free(&plan);
}

static void an_engine_of_one_thread_is_unavailable_at_two_when_asked(void **state) {
    (void)state;
    struct plan plan = plan_of("triallonely", "trialload", "1,2");
    assert_int_equal(plan.count, 2);
    assert_null(plan.cells[0].unavailable);
    assert_non_null(plan.cells[1].unavailable);
    assert_contains(plan.cells[1].unavailable, "one thread");
    plan_free(&plan);
}

static void an_engine_of_one_thread_has_one_cell_by_default(void **state) {
    (void)state;
    struct plan plan = plan_of("triallonely", "trialload", NULL);
    assert_int_equal(plan.count, 1);
    assert_int_equal(plan.cells[0].threads, 1);
    assert_null(plan.cells[0].unavailable);
    plan_free(&plan);
}

static void without_lists_everything_is_planned_once(void **state) {
    (void)state;
    const char *engines[SPEC_NAMES_MAX + 1], *workloads[SPEC_NAMES_MAX + 1];
    const size_t n = spec_engine_names(engines), m = spec_workload_names(workloads);
    struct plan plan = plan_of(NULL, NULL, "1");
    assert_int_equal(plan.count, n * m);
    for (size_t i = 0; i < plan.count; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(plan.cells[i].name, plan.cells[j].name);
    plan_free(&plan);
}

static void bad_lists_are_refused_with_what_would_be_right(void **state) {
    (void)state;
    /* engines */
    assert_refused("", NULL, NULL, NULL, "--engine is empty");
    assert_refused("trial,,triallonely", NULL, NULL, NULL, "an empty name");
    assert_refused("trial,", NULL, NULL, NULL, "an empty name");
    assert_refused(":level=1", NULL, NULL, NULL, "an empty name");
    assert_refused("trail", NULL, NULL, NULL, "did you mean trial?");
    assert_refused("TRIAL", NULL, NULL, NULL, "did you mean trial?");
    assert_refused("zzzzzzzzzz", NULL, NULL, NULL, "there are: ");
    assert_refused("trialload", NULL, NULL, NULL, "write --workload trialload");
    assert_refused("trial,trial", NULL, NULL, NULL, "trial is there twice");
    assert_refused("trial,trial:flavour=a", NULL, NULL, NULL, "mean the same");
    assert_refused("trial:ratio=0.5,trial:ratio=0.50", NULL, NULL, NULL, "mean the same");
    /* parameters */
    assert_refused("trial:", NULL, NULL, NULL, "write trial:parameter=value");
    assert_refused("trial:level", NULL, NULL, NULL, "write level=7");
    assert_refused("trial:levle=1", NULL, NULL, NULL, "did you mean level?");
    assert_refused("triallonely:level=1", NULL, NULL, NULL, "triallonely has none");
    assert_refused("trial:level=1:level=2", NULL, NULL, NULL, "level is there twice");
    assert_refused("trial:level=", NULL, NULL, NULL, "whole number from -5 to 100");
    assert_refused("trial:level=101", NULL, NULL, NULL, "whole number from -5 to 100");
    assert_refused("trial:level=-6", NULL, NULL, NULL, "whole number from -5 to 100");
    assert_refused("trial:level=1.5", NULL, NULL, NULL, "whole number from -5 to 100");
    assert_refused("trial:level=1x", NULL, NULL, NULL, "whole number from -5 to 100");
    assert_refused("trial:level= 1", NULL, NULL, NULL, "letters, digits");
    assert_refused("trial:level=99999999999999999999", NULL, NULL, NULL, "from -5 to 100");
    assert_refused("trial:ratio=nan", NULL, NULL, NULL, "number from 0 to 1");
    assert_refused("trial:ratio=inf", NULL, NULL, NULL, "number from 0 to 1");
    assert_refused("trial:ratio=1.01", NULL, NULL, NULL, "number from 0 to 1");
    assert_refused("trial:flavour=d", NULL, NULL, NULL, "must be one of a|b|c");
    assert_refused("trial:flavour=1", NULL, NULL, NULL, "must be one of a|b|c");
    assert_refused("trial:flavour=", NULL, NULL, NULL, "must be one of a|b|c");
    /* workloads */
    assert_refused(NULL, "", NULL, NULL, "--workload is empty");
    assert_refused(NULL, "trialloda", NULL, NULL, "did you mean trialload?");
    assert_refused(NULL, "trialload:mode=fnacy", NULL, NULL, "did you mean fancy?");
    assert_refused(NULL, "trialload:size=0", NULL, NULL, "whole number from 1 to 1000");
    assert_refused(NULL, "trial", NULL, NULL, "write --engine trial");
    assert_refused(NULL, "trialload,trialload:size=10", NULL, NULL, "mean the same");
    /* machines */
    assert_refused(NULL, NULL, NULL, "", "there are: native");
    assert_refused(NULL, NULL, NULL, "natvie", "did you mean native?");
    assert_refused(NULL, NULL, NULL, "sim:abacus", "there are: native");
}

static void very_long_input_still_gets_its_hint(void **state) {
    (void)state;
    char *text = malloc(100001);
    assert_non_null(text);
    memset(text, '9', 100000);
    text[100000] = '\0';
    assert_refused(text, NULL, NULL, NULL, "there are: ");
    assert_refused(NULL, NULL, text, NULL, "must be from 1 to");
    memcpy(text, "trial:level=", 12);
    assert_refused(text, NULL, NULL, NULL, "from -5 to 100");
    free(text);
}

/* ---- threads ------------------------------------------------------------------------------- */

static void assert_threads(const char *text, const unsigned *expected, size_t n) {
    unsigned *threads = NULL;
    size_t count = 0;
    char why[SPEC_WHY_SIZE] = "";
    if (!spec_threads(text, 64, &threads, &count, why, sizeof why))
        fail_msg("refused: %s", why);
    assert_int_equal(count, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(threads[i], expected[i]);
    free(threads);
}

static void thread_lists_and_ranges_mix(void **state) {
    (void)state;
    assert_threads("1", (const unsigned[]){1}, 1);
    assert_threads("64", (const unsigned[]){64}, 1);
    assert_threads("4,2,1", (const unsigned[]){4, 2, 1}, 3);
    assert_threads("1-4", (const unsigned[]){1, 2, 3, 4}, 4);
    assert_threads("1,3-5,8", (const unsigned[]){1, 3, 4, 5, 8}, 5);
    assert_threads("2-2", (const unsigned[]){2}, 1);
}

static void bad_thread_lists_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *hint;
    } bad[] = {
        {"", "is empty"},
        {",", "a count is missing"},
        {"1,", "a count is missing"},
        {",1", "a count is missing"},
        {"1,,2", "a count is missing"},
        {"-", "a count is missing"},
        {"1-", "a count is missing"},
        {"-4", "a count is missing"},
        {"0", "from 1 to 64"},
        {"0-2", "from 1 to 64"},
        {"65", "from 1 to 64"},
        {"1-65", "from 1 to 64"},
        {"4294967297", "from 1 to 64"},
        {"18446744073709551617", "from 1 to 64"},
        {"two", "not a count"},
        {"1 ,2", "not a count"},
        {"+1", "not a count"},
        {"1.5", "not a count"},
        {"1-2-3", "not a count"},
        {"0x2", "not a count"},
        {"4-2", "runs backwards; write 2-4"},
        {"2,2", "2 is there twice"},
        {"1-4,3", "3 is there twice"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned *threads = NULL;
        size_t count = 0;
        char why[SPEC_WHY_SIZE] = "";
        if (spec_threads(bad[i].text, 64, &threads, &count, why, sizeof why))
            fail_msg("'%s' was accepted", bad[i].text);
        assert_contains(why, bad[i].hint);
        assert_contains(why, "--threads");
        assert_null(threads);
    }
}

static void default_threads_double_up_to_the_processors(void **state) {
    (void)state;
    char text[128];
    unsigned *threads = NULL;
    size_t count = 0;
    char why[SPEC_WHY_SIZE] = "";
    spec_default_threads(spec_processors(), text, sizeof text);
    assert_true(spec_threads(text, CELL_THREADS_MAX, &threads, &count, why, sizeof why));
    assert_int_equal(threads[0], 1);
    for (size_t i = 1; i < count; i++) {
        assert_true(threads[i] > threads[i - 1]);
        assert_true(threads[i] <= 2 * threads[i - 1]);
    }
    free(threads);
}

/* ---- numbers and suggestions --------------------------------------------------------------- */

static void whole_numbers(void **state) {
    (void)state;
    uint64_t v = 0;
    assert_true(spec_whole("0", 0, 10, &v));
    assert_true(spec_whole("18446744073709551615", 0, UINT64_MAX, &v));
    assert_true(v == UINT64_MAX);
    assert_false(spec_whole("18446744073709551616", 0, UINT64_MAX, &v));
    assert_false(spec_whole("36893488147419103232", 0, UINT64_MAX, &v)); /* 2^65 wraps to 0 */
    assert_false(spec_whole("", 0, 10, &v));
    assert_false(spec_whole("-1", 0, 10, &v));
    assert_false(spec_whole("+1", 0, 10, &v));
    assert_false(spec_whole(" 1", 0, 10, &v));
    assert_false(spec_whole("1e3", 0, 10000, &v));
    assert_false(spec_whole("11", 0, 10, &v));
    assert_false(spec_whole("0", 1, 10, &v));
}

static void real_numbers(void **state) {
    (void)state;
    double v = 0;
    assert_true(spec_real("0.05", 0, 10, &v));
    assert_true(v == 0.05);
    assert_true(spec_real(".5", 0, 10, &v));
    assert_true(spec_real("1e-3", 0, 10, &v));
    static const char *const bad[] = {"",    "nan", "NaN", "inf", "-1",    "+1", "1s",
                                      "0x1", "1,5", "e3",  "11",  "1e400", "1e", "."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (spec_real(bad[i], 0, 10, &v))
            fail_msg("'%s' was accepted", bad[i]);
}

static void distances_are_known(void **state) {
    (void)state;
    assert_int_equal(suggest_distance("", ""), 0);
    assert_int_equal(suggest_distance("seq", "seq"), 0);
    assert_int_equal(suggest_distance("seq", "SEQ"), 0);
    assert_int_equal(suggest_distance("", "abc"), 3);
    assert_int_equal(suggest_distance("gil", "gill"), 1);
    assert_int_equal(suggest_distance("norec", "noerc"), 1); /* neighbours swapped */
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("ca", "abc"), 3); /* optimal string alignment, not 2 */
}

static void only_near_names_are_suggested(void **state) {
    (void)state;
    const char *const names[] = {"gil", "libitm", "norec", "nosync", "seq", NULL};
    assert_string_equal(suggest_nearest("norce", names), "norec");
    assert_string_equal(suggest_nearest("libtm", names), "libitm");
    assert_string_equal(suggest_nearest("nos", names), "nosync"); /* the beginning of one */
    assert_string_equal(suggest_nearest("sq", names), "seq");
    assert_null(suggest_nearest("xyz", names));
    assert_null(suggest_nearest("x", names));
    assert_null(suggest_nearest("", names));
    assert_null(suggest_nearest("transaction", names));
    char text[64];
    assert_string_equal(suggest_phrase("xyz", names, text, sizeof text),
                        "there are: gil, libitm, norec, nosync, seq");
    assert_string_equal(suggest_phrase("xyz", names, text, 25), "there are: gil, ...");
}

/* ---- the results file ---------------------------------------------------------------------- */

static char folder[] = "/tmp/test-spec-XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder); /* fails when a test or a check left something behind */
}

static const char *in_folder(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_file(const char *name, const char *text) {
    FILE *f = fopen(in_folder(name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_out(const char *path, bool resume, const char *hint) {
    char why[SPEC_WHY_SIZE] = "";
    char *chosen = outfile_choose(path, resume, why, sizeof why);
    if (hint == NULL) {
        if (chosen == NULL)
            fail_msg("refused: %s", why);
        assert_string_equal(chosen, path);
    } else {
        assert_null(chosen);
        assert_contains(why, hint);
    }
    free(chosen);
}

static void a_new_results_file_leaves_no_trace_of_the_check(void **state) {
    (void)state;
    assert_out(in_folder("new.json"), false, NULL);
    assert_out(in_folder("new.json"), true, NULL); /* nothing there yet: all is missing */
    assert_int_equal(access(in_folder("new.json"), F_OK), -1);
    assert_int_equal(access(in_folder("new.json.journal"), F_OK), -1);
}

static void samples_are_not_overwritten(void **state) {
    (void)state;
    put_file("old.json", "{\n \"context\": {}, \"benchmarks\": []}\n");
    assert_out(in_folder("old.json"), false, "add --resume");
    assert_out(in_folder("old.json"), true, NULL);
    unlink(in_folder("old.json"));
    put_file("old.json.journal", "{}\n");
    assert_out(in_folder("old.json"), false, "add --resume");
    assert_out(in_folder("old.json"), true, NULL);
    unlink(in_folder("old.json.journal"));
}

static void an_empty_file_may_be_written_to(void **state) {
    (void)state;
    put_file("empty.json", "");
    assert_out(in_folder("empty.json"), false, NULL);
    assert_int_equal(access(in_folder("empty.json"), F_OK), 0);
    unlink(in_folder("empty.json"));
}

static void other_peoples_files_are_not_overwritten(void **state) {
    (void)state;
    put_file("letter.txt", "Dear \"context\"\n");
    assert_out(in_folder("letter.txt"), false, "not a results file");
    assert_out(in_folder("letter.txt"), true, "not a results file");
    unlink(in_folder("letter.txt"));
}

static void paths_that_cannot_be_written_are_refused(void **state) {
    (void)state;
    char longest[600], why[SPEC_WHY_SIZE];
    assert_out("", false, "is empty");
    assert_out(folder, false, "is a folder");
    assert_out("/dev/null", false, "not a regular file");
    assert_out("/dev/full", true, "not a regular file");
    assert_out("/proc/allcores.json", false, "--out /proc/allcores.json");
    assert_out(in_folder("missing/x.json"), false, "does not exist");
    put_file("file", "x");
    assert_out(in_folder("file/x.json"), false, "Not a directory");
    unlink(in_folder("file"));
    /* 250 bytes are a name, but not with ".journal" behind it */
    snprintf(longest, sizeof longest, "%s/%0250d", folder, 0);
    assert_null(outfile_choose(longest, false, why, sizeof why));
    assert_contains(why, "name too long");
}

static void resume_without_a_path_takes_the_run_interrupted_last(void **state) {
    (void)state;
    char why[SPEC_WHY_SIZE], here[512];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(folder), 0);
    assert_null(outfile_choose(NULL, true, why, sizeof why));
    assert_contains(why, "give --out FILE.json");
    assert_int_equal(access("results", F_OK), -1);
    assert_int_equal(mkdir("results", 0777), 0);
    assert_int_equal(mkdir("results/local", 0777), 0);
    static const struct {
        const char *path;
        time_t written;
    } files[] = {{"results/local/a.json.journal", 1000},
                 {"results/local/c.json.journal", 3000},
                 {"results/local/b.json.journal", 2000},
                 {"results/local/z.json", 4000}};
    for (size_t i = 0; i < 4; i++) {
        const struct timespec times[2] = {{files[i].written, 0}, {files[i].written, 0}};
        FILE *f = fopen(files[i].path, "w");
        assert_non_null(f);
        fputs("{}\n", f);
        fclose(f);
        assert_int_equal(utimensat(AT_FDCWD, files[i].path, times, 0), 0);
    }
    char *chosen = outfile_choose(NULL, true, why, sizeof why);
    assert_non_null(chosen);
    assert_string_equal(chosen, "results/local/c.json");
    free(chosen);
    chosen = outfile_choose(NULL, false, why, sizeof why); /* a new run takes a new name */
    assert_non_null(chosen);
    assert_int_equal(strncmp(chosen, "results/local/2", 15), 0);
    assert_int_equal(access(chosen, F_OK), -1);
    free(chosen);
    for (size_t i = 0; i < 4; i++)
        unlink(files[i].path);
    assert_int_equal(rmdir("results/local"), 0);
    assert_int_equal(rmdir("results"), 0);
    assert_int_equal(chdir(here), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_as_given),
        cmocka_unit_test(options_not_given_have_their_defaults),
        cmocka_unit_test(an_option_selects_the_variant),
        cmocka_unit_test(an_engine_that_cannot_run_is_planned_as_unavailable),
        cmocka_unit_test(an_engine_of_one_thread_is_unavailable_at_two_when_asked),
        cmocka_unit_test(an_engine_of_one_thread_has_one_cell_by_default),
        cmocka_unit_test(without_lists_everything_is_planned_once),
        cmocka_unit_test(bad_lists_are_refused_with_what_would_be_right),
        cmocka_unit_test(very_long_input_still_gets_its_hint),
        cmocka_unit_test(thread_lists_and_ranges_mix),
        cmocka_unit_test(bad_thread_lists_are_refused),
        cmocka_unit_test(default_threads_double_up_to_the_processors),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(real_numbers),
        cmocka_unit_test(distances_are_known),
        cmocka_unit_test(only_near_names_are_suggested),
        cmocka_unit_test(a_new_results_file_leaves_no_trace_of_the_check),
        cmocka_unit_test(samples_are_not_overwritten),
        cmocka_unit_test(an_empty_file_may_be_written_to),
        cmocka_unit_test(other_peoples_files_are_not_overwritten),
        cmocka_unit_test(paths_that_cannot_be_written_are_refused),
        cmocka_unit_test(resume_without_a_path_takes_the_run_interrupted_last),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
