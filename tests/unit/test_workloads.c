/*
 * test_workloads.c - every workload that was linked verifies with seq, one thread and a fixed
 * number of operations: with its defaults, and the data workloads with parameters at the edges.
 * On the engines with synchronisation the same runs with several threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cell.h"

/* One sample of a cell with "name=value:name=value" (may be empty) set. */
static struct cell_sample measure(const struct tm_cell *cell, const char *settings,
                                  unsigned threads, uint64_t ops_per_thread) {
    union tm_value args[16], options[16];
    const struct tm_param *params = cell->workload->params;
    params_default(params, args);
    params_default(cell->engine->options, options);
    for (const char *s = settings; *s != '\0'; s += *s == ':') {
        char text[64];
        const size_t length = strcspn(s, ":");
        assert_true(length < sizeof text);
        memcpy(text, s, length);
        text[length] = '\0';
        s += length;
        char *value = strchr(text, '=');
        assert_non_null(value);
        *value++ = '\0';
        unsigned i = 0;
        while (params[i].name != NULL && strcmp(params[i].name, text) != 0)
            i++;
        assert_non_null(params[i].name);
        char why[CELL_WHY_SIZE];
        assert_true(param_parse(&params[i], value, &args[i], why, sizeof why));
    }
    const struct cell_request request = {.cell = cell,
                                         .machine = machine_find("native"),
                                         .args = args,
                                         .options = options,
                                         .threads = threads,
                                         .seed = 11,
                                         .ops_per_thread = ops_per_thread};
    struct cell_sample sample;
    cell_measure(&request, &sample);
    return sample;
}

static void expect_verified(const struct tm_cell *cell, const char *settings, unsigned threads,
                            uint64_t ops) {
    const struct cell_sample sample = measure(cell, settings, threads, ops);
    if (!sample.ok)
        fail_msg("%s:%s on %s%s%s, %u threads: %s", cell->workload->name, settings,
                 cell->engine->name, cell->engine->variant != NULL ? ":" : "",
                 cell->engine->variant != NULL ? cell->engine->variant : "", threads, sample.why);
    assert_true(sample.ops == ops * threads);
}

static void defaults_verify(void **state) {
    (void)state;
    unsigned cells = 0;
    for (const struct tm_cell *const *c = cells_all(); *c != NULL; c++) {
        if (strcmp((*c)->engine->name, "seq") != 0 || strcmp((*c)->machine, "native") != 0)
            continue;
        expect_verified(*c, "", 1, 2000);
        cells++;
    }
    assert_true(cells >= 6);
}

static const struct {
    const char *workload, *settings;
} edges[] = {
    {"txsize", "reads=0:writes=0"},
    {"txsize", "reads=0:writes=7:conflict=1"},
    {"txsize", "reads=100:writes=0"},
    {"txsize", "reads=20:writes=13:conflict=0.5:objects=3"},
    {"txsize", "reads=20:writes=13:conflict=0.5:objects=3:write=add"},
    {"txsize", "reads=5000:writes=500:objects=1:stride=32"},
    {"txsize", "stride=4096:objects=16:conflict=1:write=add"},
    {"bank", "accounts=2:audits=50"},
    {"bank", "audits=0"},
    {"bank", "audits=100:accounts=100"},
    {"dict", "size=1:updates=0:inserts=50:removals=50"},
    {"dict", "size=100:updates=10:lookups=10:inserts=35:removals=35"},
    {"dict", "size=1000:updates=0:inserts=10:removals=80"},
    {"dict", "size=1000:updates=20:inserts=60"},
    {"dict", "size=100:work=5:updates=50"},
    {"dict", "size=1:updates=0:inserts=50:removals=50:conflicts=key"},
    {"dict", "size=100:updates=10:lookups=10:inserts=35:removals=35:conflicts=key"},
    {"dict", "size=1000:updates=20:inserts=60:conflicts=key"},
    {"dict", "size=100:work=5:updates=50:conflicts=key"},
    {"queue", "items=1:work=0"},
    {"queue", "items=64"},
    {"queue", "merge=1:items=3:work=10"},
    {"queue", "merge=1:items=64:work=0"},
    {"intset", "kind=list"},
    {"intset", "kind=list:range=1:updates=100"},
    {"intset", "kind=list:range=40:updates=100"},
    {"intset", "kind=tree"},
    {"intset", "kind=tree:range=2:updates=100"},
    {"intset", "kind=tree:range=100:updates=100"},
    {"intset", "kind=hash:updates=0"},
    {"intset", "kind=hash:range=100:buckets=7:updates=100"},
    {"intset", "kind=hash:range=10:buckets=1:updates=100"},
    {"bytecode", "bytecodes=1:updates=100"},
    {"bytecode", "bytecodes=33:span=1:freelist=global"},
    {"bytecode", "bytecodes=61:span=16:inline_cache=miss:counters=shared:updates=100"},
    {"bytecode", "bytecodes=61:freelist=engine:counters=local:inline_cache=fill"},
    {"bytecode", "bytecodes=61:span=3:freelist=global:inline_cache=always:counters=shared"},
};
enum { EDGES = sizeof edges / sizeof edges[0] };

static void edges_verify_on_seq(void **state) {
    (void)state;
    for (unsigned i = 0; i < EDGES; i++) {
        const struct tm_cell *cell = cell_find(edges[i].workload, "seq", NULL, "native");
        assert_non_null(cell);
        expect_verified(cell, edges[i].settings, 1, 2000);
    }
}

static void edges_verify_on_every_synchronised_engine(void **state) {
    (void)state;
    static const unsigned threads[] = {1, 2, 4};
    for (const struct tm_cell *const *c = cells_all(); *c != NULL; c++) {
        const struct tm_engine *engine = (*c)->engine;
        if (strcmp((*c)->machine, "native") != 0 || engine->unsafe || engine->max_threads < 4 ||
            engine->unavailable() != NULL)
            continue;
        for (unsigned i = 0; i < EDGES; i++)
            if (strcmp(edges[i].workload, (*c)->workload->name) == 0)
                for (unsigned t = 0; t < 3; t++)
                    expect_verified(*c, edges[i].settings, threads[t], 300);
    }
}

/* Arguments that make no sense together are refused in setup, with a reason. */
static void nonsense_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *workload, *settings, *reason;
    } cases[] = {
        {"txsize", "stride=40", "multiple of 16"},
        {"dict", "updates=60:lookups=50", "at most 100"},
        {"intset", "kind=list:range=100000", "at most 65536"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct tm_cell *cell = cell_find(cases[i].workload, "seq", NULL, "native");
        assert_non_null(cell);
        const struct cell_sample sample = measure(cell, cases[i].settings, 1, 10);
        assert_false(sample.ok);
        assert_non_null(strstr(sample.why, cases[i].reason));
    }
}

/* Engines that need a variable before the process starts get it, with the default of the option it
 * stands for, and this program starts again. */
static void restart_with_environment(char **argv) {
    bool restart = false;
    for (const struct tm_engine *const *e = engines_all(); *e != NULL; e++) {
        const char *colon = (*e)->process_env != NULL ? strchr((*e)->process_env, ':') : NULL;
        const struct tm_param *option = (*e)->options;
        while (colon != NULL && option->name != NULL && strcmp(option->name, colon + 1) != 0)
            option++;
        char name[64];
        if (colon == NULL || option->name == NULL ||
            (size_t)(colon - (*e)->process_env) >= sizeof name)
            continue;
        memcpy(name, (*e)->process_env, (size_t)(colon - (*e)->process_env));
        name[colon - (*e)->process_env] = '\0';
        if (getenv(name) == NULL)
            restart = setenv(name, option->def, 1) == 0;
    }
    if (restart)
        execv("/proc/self/exe", argv);
}

int main(int argc, char **argv) {
    (void)argc;
    restart_with_environment(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_verify),
        cmocka_unit_test(edges_verify_on_seq),
        cmocka_unit_test(edges_verify_on_every_synchronised_engine),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("workloads", tests, NULL, NULL);
}
