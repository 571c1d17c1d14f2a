/*
 * runner_plan.h - made-up plans and samples for the tests of the runner: no compiled cell is behind
 * them.
 */
#ifndef ALLCORES_TEST_RUNNER_PLAN_H
#define ALLCORES_TEST_RUNNER_PLAN_H

#include "record.h"

#include <stdio.h>
#include <string.h>

enum { PLAN_CELLS_MAX = 8 };

static const struct tm_param fake_options[] = {
    {"method", "which", TM_CHOICE, "one", 0, 0, "one|two"},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};
static const struct tm_param fake_params[] = {
    {"size", "how many", TM_INT, "16", 1, 1000, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};
static const struct tm_param fake_gil_options[] = {
    {"mode", "when it is released", TM_CHOICE, "switch", 0, 0, "switch|section"},
    {"barrier", "what a store costs", TM_CHOICE, "none", 0, 0, "none|gc"},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};
static const struct tm_engine fake_seq = {.name = "seq", .max_threads = 1};
static const struct tm_engine fake_gil = {
    .name = "gil", .options = fake_gil_options, .max_threads = 64};
static const struct tm_engine fake_stm = {.name = "stm", .max_threads = 64, .rollback = true};
static const struct tm_engine fake_unsafe = {.name = "nosync", .max_threads = 64, .unsafe = true};
static const struct tm_engine fake_environment = {.name = "libitm",
                                                  .options = fake_options,
                                                  .max_threads = 64,
                                                  .process_env = "FAKE_METHOD:method"};
static const struct machine fake_machine = {.name = "native"};
static const struct machine fake_simulator = {.name = "sim", .simulated = true};

/* Descriptors of one workload, as the build makes them: one an engine. */
static const struct tm_workload fake_work[PLAN_CELLS_MAX] = {
    {.name = "work", .params = fake_params}, {.name = "work", .params = fake_params},
    {.name = "work", .params = fake_params}, {.name = "work", .params = fake_params},
    {.name = "work", .params = fake_params}, {.name = "work", .params = fake_params},
    {.name = "work", .params = fake_params}, {.name = "work", .params = fake_params},
};

struct fake_plan {
    struct plan plan;
    struct plan_cell cells[PLAN_CELLS_MAX];
    char names[PLAN_CELLS_MAX][64];
    char engines[PLAN_CELLS_MAX][32];
};

static inline void fake_plan_init(struct fake_plan *f, unsigned repetitions) {
    static char program[] = "allcores", command[] = "run", quoted[] = "it's";
    static char *argv[] = {program, command, quoted, NULL};
    memset(f, 0, sizeof *f);
    f->plan = (struct plan){.cells = f->cells,
                            .repetitions = repetitions,
                            .min_time_s = 0.1,
                            .sim_time_s = 0.0002,
                            .seed = 7,
                            .out = "unused.json",
                            .quiet = true,
                            .argc = 3,
                            .argv = argv};
}

/* Appends a cell of work:size=16 with default options; returns its index. */
static inline size_t fake_plan_add(struct fake_plan *f, const struct tm_engine *engine,
                                   unsigned threads) {
    const size_t i = f->plan.count++;
    struct plan_cell *c = &f->cells[i];
    snprintf(f->engines[i], sizeof f->engines[i], "%s", engine->name);
    snprintf(f->names[i], sizeof f->names[i], "work/%s/threads:%u", engine->name, threads);
    *c = (struct plan_cell){.name = f->names[i],
                            .engine = f->engines[i],
                            .workload_plugin = &fake_work[i],
                            .engine_plugin = engine,
                            .machine = &fake_machine,
                            .threads = threads};
    static char work[] = "work";
    c->workload = work;
    c->args[0].i = 16;
    return i;
}

/* The same on the simulated machine of this profile; `place` is "sim:PROFILE" and must stay. */
static inline size_t fake_plan_add_simulated(struct fake_plan *f, const struct tm_engine *engine,
                                             unsigned threads, char *place) {
    const size_t i = fake_plan_add(f, engine, threads);
    snprintf(f->names[i], sizeof f->names[i], "work/%s/threads:%u/%s", engine->name, threads,
             place);
    f->cells[i].machine = &fake_simulator;
    f->cells[i].place = place;
    return i;
}

/* A verified sample of `ns` nanoseconds per operation. */
static inline struct cell_sample fake_sample(double ns) {
    struct cell_sample s = {.ok = true, .ops = 1000, .ops_min = 500, .ops_max = 500};
    s.elapsed_ns = (uint64_t)(ns * 1000);
    s.cpu_ns = s.elapsed_ns;
    s.rss_bytes = 4096;
    s.stats.commits = s.ops;
    return s;
}

#endif
