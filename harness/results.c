/*
 * results.c - renders the results file.  See results.h.
 *
 * Ratios are taken between samples of the same pass, which were measured minutes or less apart and
 * in random order, and are bootstrapped as pairs (stats.h).  Simulated samples of the same pass
 * have the same seed.
 *
 * Of simulated cells nothing is written that differs between two runs of the same program with the
 * same arguments: what simulating cost goes into `context`, where everything of that kind is.
 */
#include "results.h"

#include "buildinfo.h"
#include "journal.h"
#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const cause_names[TM_CAUSES] = TM_CAUSE_NAMES;

/* One cell's samples, ready for statistics. */
struct view {
    const struct plan_cell *cell;
    size_t index;
    double *raw_ns; /* [repetitions], by pass; only when usable */
    bool usable;    /* every sample is there and verified, and its time may be shown */
    unsigned ok, failed, missing;
};

struct render {
    const struct plan *plan;
    const struct run_data *data;
    struct view *views; /* [plan->count] */
};

static const struct cell_sample *sample_at(const struct render *r, const struct view *v,
                                           unsigned pass) {
    return &run_data_slot(r->data, v->index, pass, RECORD_TIMED)->sample;
}

static double ns_per_op(const struct cell_sample *s) {
    return (double)s->elapsed_ns / (double)s->ops;
}

static bool make_view(const struct render *r, size_t index) {
    struct view *v = &r->views[index];
    *v = (struct view){.cell = &r->plan->cells[index], .index = index};
    v->raw_ns = calloc(r->plan->repetitions > 0 ? r->plan->repetitions : 1, sizeof *v->raw_ns);
    if (v->raw_ns == NULL)
        return false;
    for (unsigned pass = 0; pass < r->plan->repetitions; pass++) {
        const struct record *record = run_data_slot(r->data, index, pass, RECORD_TIMED);
        if (record->outcome == RECORD_OK) {
            v->raw_ns[pass] = ns_per_op(&record->sample);
            v->ok++;
        } else if (record->outcome == RECORD_MISSING) {
            v->missing++;
        } else {
            v->failed++;
        }
    }
    v->usable = v->ok > 0 && v->ok == r->plan->repetitions && !plan_cell_contained(v->cell);
    return true;
}

/* ---- small pieces -------------------------------------------------------------------------- */

static json_t *complete(json_t *json, bool ok) {
    if (!ok) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *interval(const struct estimate *e) {
    return e->has_interval ? json_pack("[f, f]", e->low, e->high) : json_null();
}

static json_t *optional_u64(bool known, uint64_t value) {
    return known ? json_u64(value) : json_null();
}

static bool put_place(json_t *obj, const struct plan_cell *c) {
    return json_put(obj, "name", json_string(c->name)) &&
           json_put(obj, "workload", json_string(c->workload)) &&
           json_put(obj, "engine", json_string(c->engine)) &&
           json_put(obj, "machine", json_string(plan_cell_place(c))) &&
           json_put(obj, "threads", json_u64(c->threads));
}

/* ---- Google Benchmark's part --------------------------------------------------------------- */

/* What all entries of one cell have in common. */
static json_t *entry(const struct render *r, const struct view *v, const char *suffix,
                     const char *run_type) {
    char *name = NULL;
    if (asprintf(&name, "%s%s", v->cell->name, suffix) < 0)
        return NULL;
    json_t *obj = json_object();
    const bool ok = obj != NULL && json_put(obj, "name", json_string(name)) &&
                    json_put(obj, "family_index", json_u64(v->index)) &&
                    json_put(obj, "per_family_instance_index", json_u64(0)) &&
                    json_put(obj, "run_name", json_string(v->cell->name)) &&
                    json_put(obj, "run_type", json_string(run_type)) &&
                    json_put(obj, "repetitions", json_u64(r->plan->repetitions));
    free(name);
    return complete(obj, ok);
}

static json_t *iteration_entry(const struct render *r, const struct view *v, unsigned pass) {
    const struct record *record = run_data_slot(r->data, v->index, pass, RECORD_TIMED);
    const struct cell_sample *s = &record->sample;
    json_t *obj = entry(r, v, "", "iteration");
    return complete(obj,
                    obj != NULL && json_put(obj, "repetition_index", json_u64(pass)) &&
                        json_put(obj, "threads", json_u64(v->cell->threads)) &&
                        json_put(obj, "iterations", json_u64(s->ops)) &&
                        json_put(obj, "real_time", json_real(v->raw_ns[pass])) &&
                        json_put(obj, "cpu_time", json_real((double)s->cpu_ns / (double)s->ops)) &&
                        json_put(obj, "time_unit", json_string("ns")) &&
                        json_put(obj, "process_start", json_u64(record->start)));
}

static double mean(const double *x, unsigned n) {
    double sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += x[i];
    return sum / n;
}

static double deviation(const double *x, unsigned n) {
    const double m = mean(x, n);
    double sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += (x[i] - m) * (x[i] - m);
    return sqrt(sum / (n - 1));
}

static json_t *aggregate_entry(const struct render *r, const struct view *v, const char *name,
                               const char *unit, double real, double cpu) {
    char suffix[16];
    snprintf(suffix, sizeof suffix, "_%s", name);
    json_t *obj = entry(r, v, suffix, "aggregate");
    return complete(obj, obj != NULL && json_put(obj, "threads", json_u64(v->cell->threads)) &&
                             json_put(obj, "aggregate_name", json_string(name)) &&
                             json_put(obj, "aggregate_unit", json_string(unit)) &&
                             json_put(obj, "iterations", json_u64(r->plan->repetitions)) &&
                             json_put(obj, "real_time", json_real(real)) &&
                             json_put(obj, "cpu_time", json_real(cpu)) &&
                             json_put(obj, "time_unit", json_string("ns")));
}

/* mean, median, stddev and cv, as the library itself writes them for more than one repetition. */
static bool append_aggregates(const struct render *r, const struct view *v, json_t *array) {
    const unsigned n = r->plan->repetitions;
    if (n < 2)
        return true;
    double *cpu = calloc(n, sizeof *cpu);
    if (cpu == NULL)
        return false;
    for (unsigned i = 0; i < n; i++) {
        const struct cell_sample *s = sample_at(r, v, i);
        cpu[i] = (double)s->cpu_ns / (double)s->ops;
    }
    const double *real = v->raw_ns;
    const double real_mean = mean(real, n), cpu_mean = mean(cpu, n);
    const double real_sd = deviation(real, n), cpu_sd = deviation(cpu, n);
    const bool ok =
        json_array_append_new(array, aggregate_entry(r, v, "mean", "time", real_mean, cpu_mean)) ==
            0 &&
        json_array_append_new(array, aggregate_entry(r, v, "median", "time", stats_median(real, n),
                                                     stats_median(cpu, n))) == 0 &&
        json_array_append_new(array, aggregate_entry(r, v, "stddev", "time", real_sd, cpu_sd)) ==
            0 &&
        json_array_append_new(array, aggregate_entry(r, v, "cv", "percentage", real_sd / real_mean,
                                                     cpu_mean > 0 ? cpu_sd / cpu_mean : 0)) == 0;
    free(cpu);
    return ok;
}

static json_t *benchmarks(const struct render *r) {
    json_t *array = json_array();
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < r->plan->count; i++) {
        const struct view *v = &r->views[i];
        if (!v->usable)
            continue;
        for (unsigned pass = 0; ok && pass < r->plan->repetitions; pass++)
            ok = json_array_append_new(array, iteration_entry(r, v, pass)) == 0;
        ok = ok && append_aggregates(r, v, array);
    }
    return complete(array, ok);
}

/* ---- ratios -------------------------------------------------------------------------------- */

static bool same_values(const struct tm_param *params, const union tm_value *a,
                        const union tm_value *b) {
    for (unsigned i = 0; params != NULL && params[i].name != NULL; i++) {
        const bool same = params[i].type == TM_INT    ? a[i].i == b[i].i
                          : params[i].type == TM_REAL ? a[i].r == b[i].r
                                                      : a[i].choice == b[i].choice;
        if (!same)
            return false;
    }
    return true;
}

static bool same_overrides(const struct plan_cell *a, const struct plan_cell *b) {
    bool same = a->override_count == b->override_count;
    for (size_t i = 0; same && i < a->override_count; i++)
        same = strcmp(a->overrides[i], b->overrides[i]) == 0;
    return same;
}

/* The same work on the same machine, whatever the engine and the threads. */
static bool same_work(const struct plan_cell *a, const struct plan_cell *b) {
    /* Descriptors are compiled once per engine: names tell workloads apart, pointers do not. */
    return strcmp(a->workload_plugin->name, b->workload_plugin->name) == 0 &&
           strcmp(plan_cell_place(a), plan_cell_place(b)) == 0 && same_overrides(a, b) &&
           same_values(a->workload_plugin->params, a->args, b->args);
}

/* Does option `name` of this cell's engine have the value `text`?  True when there is no such
 * option. */
static bool option_is(const struct plan_cell *c, const char *name, const char *text) {
    const struct tm_param *options = c->engine_plugin->options;
    for (unsigned i = 0; options != NULL && options[i].name != NULL; i++)
        if (strcmp(options[i].name, name) == 0) {
            union tm_value wanted;
            char why[CELL_WHY_SIZE];
            return param_parse(&options[i], text, &wanted, why, sizeof why) &&
                   wanted.choice == c->options[i].choice;
        }
    return true;
}

static bool options_are_default(const struct plan_cell *c) {
    union tm_value values[PLAN_VALUES_MAX];
    params_default(c->engine_plugin->options, values);
    return same_values(c->engine_plugin->options, values, c->options);
}

/* Which one-thread cells are a baseline. */
enum baseline { BASELINE_SEQ, BASELINE_SELF, BASELINE_GIL_SWITCH, BASELINE_GIL_SECTION };

static bool is_baseline(const struct plan_cell *b, const struct plan_cell *c, enum baseline kind) {
    if (b->threads != 1 || !same_work(b, c))
        return false;
    const bool gil = strcmp(b->engine_plugin->name, "gil") == 0 && option_is(b, "barrier", "none");
    switch (kind) {
    case BASELINE_SEQ:
        return strcmp(b->engine_plugin->name, "seq") == 0;
    case BASELINE_SELF:
        return strcmp(b->engine_plugin->name, c->engine_plugin->name) == 0 &&
               same_values(b->engine_plugin->options, b->options, c->options);
    case BASELINE_GIL_SWITCH:
        return gil && option_is(b, "mode", "switch");
    case BASELINE_GIL_SECTION:
        return gil && option_is(b, "mode", "section");
    }
    return false;
}

/* The usable baseline of a cell, or NULL.  Where several would do (two switch intervals), the one
 * with more defaults comes first, then the order of the plan. */
static const struct view *find_baseline(const struct render *r, const struct view *v,
                                        enum baseline kind) {
    const struct view *found = NULL;
    for (size_t i = 0; i < r->plan->count; i++) {
        const struct view *b = &r->views[i];
        if (!b->usable || !is_baseline(b->cell, v->cell, kind))
            continue;
        if (found == NULL)
            found = b;
        else if (options_are_default(b->cell) && !options_are_default(found->cell))
            found = b;
    }
    return found;
}

/* Puts median(numerator) / median(denominator) under `key`; nothing when there is no baseline. */
static bool put_ratio(const struct render *r, json_t *obj, const char *key, const struct view *v,
                      enum baseline kind, bool baseline_above) {
    const struct view *b = v->usable ? find_baseline(r, v, kind) : NULL;
    if (b == NULL)
        return true;
    const struct estimate e = stats_ratio_ci95(baseline_above ? b->raw_ns : v->raw_ns,
                                               baseline_above ? v->raw_ns : b->raw_ns,
                                               r->plan->repetitions, r->plan->seed);
    return json_put(obj, key,
                    json_pack("{s:f, s:o, s:s}", "value", e.value, "ci95", interval(&e), "baseline",
                              b->cell->name));
}

/* ---- cells --------------------------------------------------------------------------------- */

/* Sums and extremes over the verified samples of a cell. */
struct totals {
    struct tm_stats stats;
    uint64_t ops, ops_min, ops_max, rss_bytes;
};

static struct totals total(const struct render *r, const struct view *v) {
    struct totals t = {.ops_min = UINT64_MAX};
    for (unsigned pass = 0; pass < r->plan->repetitions; pass++) {
        const struct record *record = run_data_slot(r->data, v->index, pass, RECORD_TIMED);
        if (record->outcome != RECORD_OK)
            continue;
        const struct cell_sample *s = &record->sample;
        t.ops += s->ops;
        t.ops_min = s->ops_min < t.ops_min ? s->ops_min : t.ops_min;
        t.ops_max = s->ops_max > t.ops_max ? s->ops_max : t.ops_max;
        t.rss_bytes = s->rss_bytes > t.rss_bytes ? s->rss_bytes : t.rss_bytes;
        t.stats.commits += s->stats.commits;
        for (int c = 0; c < TM_CAUSES; c++)
            t.stats.aborts[c] += s->stats.aborts[c];
        t.stats.retries += s->stats.retries;
        t.stats.fallbacks += s->stats.fallbacks;
        t.stats.irrevocable += s->stats.irrevocable;
        t.stats.handovers += s->stats.handovers;
        t.stats.reads += s->stats.reads;
        t.stats.writes += s->stats.writes;
        if (s->stats.read_set_max > t.stats.read_set_max)
            t.stats.read_set_max = s->stats.read_set_max;
        if (s->stats.write_set_max > t.stats.write_set_max)
            t.stats.write_set_max = s->stats.write_set_max;
        t.stats.counts_accesses |= s->stats.counts_accesses;
    }
    return t;
}

static json_t *aborts(const struct tm_stats *s) {
    json_t *obj = json_object();
    bool ok = obj != NULL;
    for (int c = 0; ok && c < TM_CAUSES; c++)
        ok = json_put(obj, cause_names[c], json_u64(s->aborts[c]));
    return complete(obj, ok);
}

static uint64_t abort_count(const struct tm_stats *s) {
    uint64_t n = 0;
    for (int c = 0; c < TM_CAUSES; c++)
        n += s->aborts[c];
    return n;
}

/* Share of the threads' time that went into executions which were thrown away.  Zero where no timed
 * sample aborted anything; null where it is not known: the separate pass saw no aborted work, or
 * the engine does not measure it. */
static json_t *wasted_ratio(const struct render *r, const struct view *v, const struct totals *t) {
    if (!v->usable)
        return json_null();
    if (abort_count(&t->stats) == 0)
        return json_real(0);
    const struct record *w = run_data_slot(r->data, v->index, 0, RECORD_WASTED);
    if (w->outcome != RECORD_OK || w->sample.stats.wasted_ns == 0)
        return json_null();
    return json_real((double)w->sample.stats.wasted_ns /
                     ((double)v->cell->threads * (double)w->sample.elapsed_ns));
}

static json_t *latency(const struct render *r, const struct view *v) {
    const struct record *l = run_data_slot(r->data, v->index, 0, RECORD_LATENCY);
    if (!v->usable || l->outcome != RECORD_OK)
        return json_null();
    json_t *obj = json_object();
    return complete(obj, obj != NULL && json_put(obj, "p50", json_u64(l->sample.latency_p50_ns)) &&
                             json_put(obj, "p99", json_u64(l->sample.latency_p99_ns)) &&
                             json_put(obj, "max", json_u64(l->sample.latency_max_ns)));
}

static bool put_times(const struct render *r, json_t *obj, const struct view *v) {
    json_t *raw = json_array();
    bool ok = raw != NULL;
    for (unsigned i = 0; ok && v->usable && i < r->plan->repetitions; i++)
        ok = json_array_append_new(raw, json_real(v->raw_ns[i])) == 0;
    ok = ok && json_object_set(obj, "raw_ns", raw) == 0;
    json_decref(raw);
    if (!ok)
        return false;
    if (!v->usable)
        return json_put(obj, "median_ns", json_null()) && json_put(obj, "ci95_ns", json_null());
    const struct estimate e = stats_median_ci95(v->raw_ns, r->plan->repetitions, r->plan->seed);
    return json_put(obj, "median_ns", json_real(e.value)) && json_put(obj, "ci95_ns", interval(&e));
}

static bool put_counters(const struct render *r, json_t *obj, const struct view *v) {
    const struct totals t = total(r, v);
    const struct tm_stats *s = &t.stats;
    const bool counts = s->counts_accesses;
    return json_put(obj, "ops", json_u64(t.ops)) &&
           json_put(obj, "commits", json_u64(s->commits)) && json_put(obj, "aborts", aborts(s)) &&
           json_put(obj, "retries", json_u64(s->retries)) &&
           json_put(obj, "fallbacks", json_u64(s->fallbacks)) &&
           json_put(obj, "irrevocable", json_u64(s->irrevocable)) &&
           json_put(obj, "handovers", json_u64(s->handovers)) &&
           json_put(obj, "reads", optional_u64(counts, s->reads)) &&
           json_put(obj, "writes", optional_u64(counts, s->writes)) &&
           json_put(obj, "read_set_max", optional_u64(counts, s->read_set_max)) &&
           json_put(obj, "write_set_max", optional_u64(counts, s->write_set_max)) &&
           json_put(obj, "wasted_ratio", wasted_ratio(r, v, &t)) &&
           json_put(obj, "ops_per_thread",
                    v->ok == 0 ? json_null()
                               : json_pack("{s:I, s:I}", "min", (json_int_t)t.ops_min, "max",
                                           (json_int_t)t.ops_max)) &&
           json_put(obj, "rss_bytes", optional_u64(v->ok > 0, t.rss_bytes)) &&
           json_put(obj, "latency_ns", latency(r, v));
}

/* What only simulated cells have: samples are seeds, and so is what an interval is over. */
static bool put_simulated(json_t *obj, const struct plan_cell *c) {
    return !plan_cell_simulated(c) ||
           (json_put(obj, "interval", json_string("over seeds")) &&
            json_put(obj, "hypothetical", json_boolean(c->hypothetical)) &&
            json_put(obj, "overrides", overrides_to_json(c)));
}

static json_t *cell_entry(const struct render *r, const struct view *v) {
    const struct plan_cell *c = v->cell;
    json_t *obj = json_object();
    return complete(
        obj, obj != NULL && put_place(obj, c) && put_simulated(obj, c) &&
                 json_put(obj, "params", params_to_json(c->workload_plugin->params, c->args)) &&
                 json_put(obj, "options", params_to_json(c->engine_plugin->options, c->options)) &&
                 json_put(obj, "samples", json_u64(v->ok + v->failed)) &&
                 json_put(obj, "verify_failed", json_u64(v->failed)) && put_times(r, obj, v) &&
                 put_counters(r, obj, v) &&
                 put_ratio(r, obj, "slowdown", v->cell->threads == 1 ? v : &(struct view){0},
                           BASELINE_SEQ, false) &&
                 put_ratio(r, obj, "scaling", v, BASELINE_SELF, true) &&
                 put_ratio(r, obj, "speedup_over_gil", v, BASELINE_GIL_SWITCH, true) &&
                 put_ratio(r, obj, "ratio_to_gil_section", v, BASELINE_GIL_SECTION, true));
}

static json_t *cells(const struct render *r) {
    json_t *array = json_array();
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < r->plan->count; i++)
        if (r->views[i].ok + r->views[i].failed > 0)
            ok = json_array_append_new(array, cell_entry(r, &r->views[i])) == 0;
    return complete(array, ok);
}

/* ---- failures ------------------------------------------------------------------------------ */

static json_t *failure_entry(const struct render *r, const struct view *v,
                             const struct record *first) {
    unsigned count[RECORD_OUTCOMES] = {0};
    for (unsigned pass = 0; pass < r->plan->repetitions; pass++)
        count[run_data_slot(r->data, v->index, pass, RECORD_TIMED)->outcome]++;
    json_t *obj = json_object();
    return complete(obj,
                    obj != NULL && put_place(obj, v->cell) &&
                        json_put(obj, "reason", json_string(first->sample.why)) &&
                        json_put(obj, "expected", json_boolean(plan_cell_contained(v->cell))) &&
                        json_put(obj, "pass", json_u64(first->pass)) &&
                        json_put(obj, "samples", json_u64(v->ok + v->failed)) &&
                        json_put(obj, "wrong", json_u64(count[RECORD_WRONG])) &&
                        json_put(obj, "crashed", json_u64(count[RECORD_CRASHED])) &&
                        json_put(obj, "hung", json_u64(count[RECORD_HUNG])));
}

/* One entry a cell; its reason is that of the first sample that failed. */
static json_t *failures(const struct render *r) {
    json_t *array = json_array();
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < r->plan->count; i++) {
        const struct record *first = run_data_failure(r->data, i);
        if (first != NULL)
            ok = json_array_append_new(array, failure_entry(r, &r->views[i], first)) == 0;
    }
    return complete(array, ok);
}

static json_t *unavailable(const struct render *r) {
    json_t *array = json_array();
    bool ok = array != NULL;
    for (size_t i = 0; ok && i < r->plan->count; i++) {
        const struct plan_cell *c = &r->plan->cells[i];
        if (c->unavailable == NULL)
            continue;
        json_t *obj = json_object();
        ok = json_array_append_new(
                 array, complete(obj, obj != NULL && put_place(obj, c) &&
                                          json_put(obj, "reason", json_string(c->unavailable)))) ==
             0;
    }
    return complete(array, ok);
}

/* ---- the document -------------------------------------------------------------------------- */

/* What simulating took, over all samples that are known. */
static json_t *simulation(const struct plan *plan, const struct run_data *data) {
    uint64_t samples = 0, host_ns = 0, accesses = 0, switches = 0;
    for (size_t i = 0; i < plan->count; i++)
        for (unsigned pass = 0; plan_cell_simulated(&plan->cells[i]) && pass < plan->repetitions;
             pass++) {
            const struct record *record = run_data_slot(data, i, pass, RECORD_TIMED);
            if (record->outcome != RECORD_OK)
                continue;
            samples++;
            host_ns += record->sample.host_ns;
            accesses += record->sample.accesses;
            switches += record->sample.switches;
        }
    json_t *obj = json_object();
    return complete(obj,
                    obj != NULL && json_put(obj, "samples", json_u64(samples)) &&
                        json_put(obj, "host_seconds", json_real((double)host_ns * 1e-9)) &&
                        json_put(obj, "accesses", json_u64(accesses)) &&
                        json_put(obj, "switches", json_u64(switches)) &&
                        json_put(obj, "accesses_per_host_second",
                                 host_ns > 0 ? json_real((double)accesses * 1e9 / (double)host_ns)
                                             : json_null()));
}

json_t *results_render(const struct plan *plan, const struct run_data *data, json_t *context) {
    struct render r = {.plan = plan, .data = data};
    r.views = calloc(plan->count > 0 ? plan->count : 1, sizeof *r.views);
    bool ok = r.views != NULL;
    for (size_t i = 0; ok && i < plan->count; i++)
        ok = make_view(&r, i);
    json_t *document = ok ? json_object() : NULL;
    if (plan_simulates(plan))
        ok = ok && json_put(context, "simulation", simulation(plan, data));
    ok = ok && document != NULL && json_object_set(document, "context", context) == 0 &&
         json_put(document, "benchmarks", benchmarks(&r)) &&
         json_put(document, "cells", cells(&r)) && json_put(document, "failures", failures(&r)) &&
         json_put(document, "unavailable", unavailable(&r)) &&
         json_put(document, "process_starts", json_u64(data->starts)) &&
         json_put(document, "plan", plan_identity(plan)) &&
         (plan->experiment == NULL ||
          json_object_set(document, "experiment", plan->experiment) == 0);
    for (size_t i = 0; r.views != NULL && i < plan->count; i++)
        free(r.views[i].raw_ns);
    free(r.views);
    return complete(document, ok);
}

static bool write_all(int fd, const char *text, size_t length) {
    for (size_t done = 0; done < length;) {
        const ssize_t n = write(fd, text + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

bool results_write(const char *path, const json_t *document, char *why, size_t why_size) {
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.tmp", path) < 0)
        temporary = NULL;
    char *text = json_dumps(document, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
    if (text == NULL || temporary == NULL) {
        snprintf(why, why_size, "%s: out of memory", path);
        free(temporary);
        free(text);
        return false;
    }
    const size_t length = strlen(text);
    text[length] = '\n';
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    bool ok = fd >= 0 && write_all(fd, text, length + 1) && fsync(fd) == 0;
    int error = errno;
    if (fd >= 0 && close(fd) != 0 && ok) {
        ok = false;
        error = errno;
    }
    if (ok && rename(temporary, path) != 0) {
        ok = false;
        error = errno;
    }
    if (ok) {
        journal_sync_folder(path);
    } else {
        snprintf(why, why_size, "%s: %s", path, strerror(error));
        if (fd >= 0)
            (void)unlink(temporary);
    }
    free(text);
    free(temporary);
    return ok;
}
