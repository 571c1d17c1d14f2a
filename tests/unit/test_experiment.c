/*
 * test_experiment.c - experiments are read, refused with their place when something is wrong, and
 * multiplied out into the cells that their groups say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "experiment.h"

static const char good[] =
    "{'name': 'x', 'title': 't', 'question': 'q', 'expect': 'e', 'machine': 'native',"
    " 'groups': [{'engines': 'seq,gil', 'workloads': 'txsize', 'threads': '1',"
    "             'sweep': [{'of': 'workload.reads', 'values': ['1', '2', '3']}]}],"
    " 'figure': {'x': {'parameter': 'workload.reads', 'label': 'reads', 'scale': 'log'},"
    "            'panels': [{'y': 'time', 'title': 'p', 'label': 'ns'}]}}";

/* `good` with one text replaced (and ' for "), parsed; *why says what was wrong. */
static bool parse(const char *from, const char *to, struct experiment *e, char *why) {
    char text[4096];
    const char *at = strstr(good, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    for (char *c = text; *c != '\0'; c++)
        if (*c == '\'')
            *c = '"';
    return experiment_parse_text("file", text, e, why, EXPERIMENT_WHY_SIZE);
}

static void wrong_files_are_refused_with_their_place(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } cases[] = {
        {"{'name'", "{'nam'", "file: unknown key 'nam'; did you mean name?"},
        {"'name': 'x',", "", "file: name: is missing, must be a string"},
        {"'name': 'x'", "'name': 'X y'", "file: name: is 'X y', must be of a-z, 0-9 and -"},
        {"'title': 't'", "'title': 7", "file: title: is a number, must be a string"},
        {"'question': 'q'", "'question': ''", "file: question: is empty"},
        {"'expect': 'e'", "'expect': 'a\\nb'", "file: expect: has a control character"},
        {"'native'", "'native,sim:ideal'", "file: machine: is 'native,sim:ideal', must be one"},
        {"'groups': [", "'repetitions': 0, 'groups': [", "file: repetitions: is 0, must be from 1"},
        {"'groups': [", "'repetitions': 2.5, 'groups': [", "file: repetitions: is 2.5, must be a"},
        {"'groups': [", "'min_time_s': 'x', 'groups': [", "file: min_time_s: is a string"},
        {"'groups': [", "'set': [], 'groups': [", "file: set: has 0 elements"},
        {"'groups': [{", "'groups': [7, {", "file: groups[0]: is a number, must be an object"},
        {"'engines': 'seq,gil', ", "", "file: groups[0].engines: is missing"},
        {"'threads': '1'", "'threads': 1", "file: groups[0].threads: is a number"},
        {"'sweep': [", "'sweep': [{}, ", "file: groups[0].sweep[0].of: is missing"},
        {"'of': 'workload.reads'", "'of': 'reads'",
         "file: groups[0].sweep[0].of: is 'reads', must be threads, workload.PARAMETER"},
        {"'of': 'workload.reads'", "'of': 'threads'", "sweep[0].of: is threads, which a group"},
        {"['1', '2', '3']", "[1]", "sweep[0].values[0]: is a number, must be a string"},
        {"['1', '2', '3']", "'1'", "sweep[0].values: is a string, must be an array"},
        {"'scale': 'log'", "'scale': 'lin'", "file: figure.x.scale: is 'lin', must be linear or"},
        {"'scale': 'log'", "'factor': -1", "file: figure.x.factor: is -1"},
        {"'parameter': 'workload.reads'", "'parameter': 'workload.writes'",
         "file: figure.x.parameter: is varied by none of the groups"},
        {"'parameter': 'workload.reads'", "'parameter': 'threads'", "is varied by none"},
        {"'y': 'time'", "'y': 'tine'",
         "file: figure.panels[0].y: unknown quantity 'tine'; did you mean time?"},
        {"'y': 'time'", "'y': 'time', 'causes': ['c']",
         "file: figure.panels[0].causes: go with y = aborts"},
        {"'y': 'time'", "'y': 'time', 'bars': true",
         "file: figure.panels[0].bars: go with y = aborts"},
        {"'y': 'time'", "'y': 'aborts', 'bars': true, 'causes': ['c']", "bars: go with y = aborts"},
        {"'y': 'time'", "'y': 'aborts', 'bars': true, 'scale': 'log'", "bars: go with y = aborts"},
        {"'y': 'time'", "'y': 'aborts', 'bars': true", "file: figure.panels[0].bars: go in the"},
        {"'panels': [",
         "'names': {'txsize': '12345678901234567890123456789012345678901'}, 'panels': [",
         "file: figure.names.txsize: has more than 40 characters"},
        {"'groups': [", "'warmup_s': 11, 'groups': [", "file: warmup_s: is 11"},
        {"'groups': [", "'warmup_s': 0, 'groups': [", "file: warmup_s: is 0"},
        {"'y': 'time'", "'y': 'aborts', 'bars': 1", "figure.panels[0].bars: is a number, must be"},
        {"'panels': [", "'names': ['n'], 'panels': [", "file: figure.names: is an array, must be"},
        {"'panels': [", "'names': {'txsize': 1}, 'panels': [",
         "file: figure.names.txsize: is a number, must be a string"},
        {"[{'y'", "[1, {'y'", "file: figure.panels[0]: is a number, must be an object"},
        {"'figure': {", "'figures': {", "file: unknown key 'figures'; did you mean figure?"},
        {"'title': 't',", "'title': 't' ", "file:1:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct experiment e;
        char why[EXPERIMENT_WHY_SIZE] = "";
        assert_false(parse(cases[i].from, cases[i].to, &e, why));
        if (strstr(why, cases[i].message) == NULL)
            fail_msg("case %zu: '%s' is not in '%s'", i, cases[i].message, why);
        assert_null(e.json);
        experiment_free(&e);
    }
}

static void good_files_are_read(void **state) {
    (void)state;
    struct experiment e;
    char why[EXPERIMENT_WHY_SIZE];
    assert_true(parse("'groups': [", "'repetitions': 7, 'min_time_s': 0.25, 'groups': [", &e, why));
    assert_string_equal(e.name, "x");
    assert_int_equal(e.repetitions, 7);
    assert_true(e.min_time_s == 0.25);
    assert_int_equal(e.groups, 1);
    assert_int_equal(e.group[0].sweep[0].count, 3);
    assert_true(e.x_axis.logarithmic && !e.panel[0].y.logarithmic && e.x_axis.factor == 1);
    assert_int_equal(e.panel[0].quantity, QUANTITY_TIME);
    assert_true(!e.panel[0].bars && e.name_count == 0);
    experiment_free(&e);
    assert_true(parse("'panels': [{'y': 'time'",
                      "'names': {'txsize': 'n reads'}, 'panels': [{'y': 'time', 'title': 'q', "
                      "'label': 'ns'}, {'y': 'aborts', 'bars': true",
                      &e, why));
    assert_true(!e.panel[0].bars && e.panel[1].bars && e.name_count == 1 && e.warmup_s == 0);
    assert_string_equal(e.names[0].of, "txsize");
    assert_string_equal(e.names[0].name, "n reads");
    experiment_free(&e);
    assert_true(parse("'groups': [", "'warmup_s': 0.02, 'groups': [", &e, why));
    assert_true(e.warmup_s == 0.02);
    experiment_free(&e);
}

/* The cells' names, in order. */
static void expect_cells(const char *from, const char *to, const char *const *names) {
    struct experiment e;
    struct plan plan = {.cells = NULL};
    char why[EXPERIMENT_WHY_SIZE] = "";
    assert_true(parse(from, to, &e, why));
    plan.overrides = calloc(PLAN_OVERRIDES_MAX, sizeof *plan.overrides);
    assert_non_null(plan.overrides);
    if (!experiment_cells(&e, &plan, why, sizeof why))
        fail_msg("%s", why);
    size_t n = 0;
    for (; names[n] != NULL; n++) {
        assert_true(n < plan.count);
        assert_string_equal(plan.cells[n].name, names[n]);
    }
    assert_int_equal(plan.count, n);
    plan_free(&plan);
    experiment_free(&e);
}

static void groups_are_multiplied_out(void **state) {
    (void)state;
    expect_cells("'1', '2', '3'", "'4', '5'",
                 (const char *const[]){
                     "txsize:reads=4/seq/threads:1", "txsize:reads=4/gil/threads:1",
                     "txsize:reads=5/seq/threads:1", "txsize:reads=5/gil/threads:1", NULL});
    /* Two sweeps of a workload and an engine; a cell that two groups have is there once. */
    expect_cells("{'engines': 'seq,gil', 'workloads': 'txsize', 'threads': '1',"
                 "             'sweep': [{'of': 'workload.reads', 'values': ['1', '2', '3']}]}",
                 "{'engines': 'gil', 'workloads': 'null,txsize:writes=2', 'threads': '1,2'},"
                 "{'engines': 'gil', 'workloads': 'txsize', 'sweep': ["
                 "{'of': 'workload.reads', 'values': ['1', '2']},"
                 "{'of': 'engine.interval_us', 'values': ['5', '6']}]},"
                 "{'engines': 'gil', 'workloads': 'txsize:writes=2', 'threads': '2'}",
                 (const char *const[]){
                     "null/gil/threads:1", "null/gil/threads:2", "txsize:writes=2/gil/threads:1",
                     "txsize:writes=2/gil/threads:2", "txsize:reads=1/gil:interval_us=5/threads:1",
                     "txsize:reads=2/gil:interval_us=5/threads:1",
                     "txsize:reads=1/gil:interval_us=6/threads:1",
                     "txsize:reads=2/gil:interval_us=6/threads:1", NULL});
}

static void unknown_plugins_are_refused_with_their_group(void **state) {
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } cases[] = {
        {"'seq,gil'", "'sqe'", "experiment x: groups[0]: --engine: unknown engine 'sqe'"},
        {"'native'", "'sim:nowhere'", "experiment x: groups[0]: --machine: "},
        {"['1', '2', '3']", "['1', 'many']", "experiment x: groups[0]: --workload txsize"},
        {"'threads': '1'", "'threads': '0'", "experiment x: groups[0]: --threads"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct experiment e;
        struct plan plan = {.cells = NULL};
        char why[EXPERIMENT_WHY_SIZE] = "";
        assert_true(parse(cases[i].from, cases[i].to, &e, why));
        plan.overrides = calloc(PLAN_OVERRIDES_MAX, sizeof *plan.overrides);
        assert_false(experiment_cells(&e, &plan, why, sizeof why));
        if (strstr(why, cases[i].message) == NULL)
            fail_msg("case %zu: '%s' is not in '%s'", i, cases[i].message, why);
        plan_free(&plan);
        experiment_free(&e);
    }
}

/* Each is called as its file, and whatever it cannot run for is an engine of later. */
static void built_in_experiments_are_right(void **state) {
    (void)state;
    static const char *const wanted[] = {
        "lemming",         "htm-length",    "capacity-cliff",        "smt-halving",
        "interrupt-limit", "false-sharing", "hybrid-instrumentation"};
    size_t found = 0;
    for (const char *const *n = experiment_names(); *n != NULL; n++) {
        struct experiment e;
        char why[EXPERIMENT_WHY_SIZE] = "";
        if (!experiment_load(*n, &e, why, sizeof why))
            fail_msg("%s", why);
        assert_string_equal(e.name, *n);
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
            found += strcmp(*n, wanted[i]) == 0;
        experiment_free(&e);
    }
    assert_int_equal(found, sizeof wanted / sizeof *wanted);
    struct experiment e;
    char why[EXPERIMENT_WHY_SIZE] = "";
    assert_false(experiment_load("leming", &e, why, sizeof why));
    assert_non_null(strstr(why, "unknown experiment 'leming'; did you mean lemming?"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_files_are_refused_with_their_place),
        cmocka_unit_test(good_files_are_read),
        cmocka_unit_test(groups_are_multiplied_out),
        cmocka_unit_test(unknown_plugins_are_refused_with_their_group),
        cmocka_unit_test(built_in_experiments_are_right),
    };
    return cmocka_run_group_tests_name("experiments", tests, NULL, NULL);
}
