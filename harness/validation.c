/*
 * validation.c - predicted against measured.  See validation.h.
 */
#include "validation.h"

#include "stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const validation_metric_names[VALIDATION_METRICS] = {"slowdown", "scaling",
                                                                 "speedup_over_gil"};

/* "counter:mode=shared" is a counter. */
static bool is(const char *spec, const char *name) {
    const size_t n = strlen(name);
    return strncmp(spec, name, n) == 0 && (spec[n] == '\0' || spec[n] == ':');
}

/* Why a cell is not judged; NULL: it is. */
static const char *left_out(const struct load_cell *cell) {
    if (is(cell->workload, "null") || is(cell->workload, "counter"))
        return "calibration";
    if (is(cell->engine, "gil") && cell->threads == 1)
        return "the GIL on one thread";
    return NULL;
}

static const struct load_cell *counterpart(const struct load *load, const struct load_cell *cell,
                                           size_t host) {
    for (size_t i = 0; i < load->cells_count; i++) {
        const struct load_cell *other = &load->cells[i];
        if (other->host == host && other->threads == cell->threads &&
            strcmp(other->workload, cell->workload) == 0 &&
            strcmp(other->engine, cell->engine) == 0)
            return other;
    }
    return NULL;
}

static const struct load_ratio *ratio_of(const struct load_cell *cell,
                                         enum validation_metric metric) {
    const struct load_ratio *ratios[VALIDATION_METRICS] = {&cell->slowdown, &cell->scaling,
                                                           &cell->speedup};
    return ratios[metric];
}

/* Is the ratio of this cell a prediction, and not 1 by definition? */
static bool predicts(const struct load_cell *cell, enum validation_metric metric) {
    switch (metric) {
    case VALIDATION_SLOWDOWN:
        return cell->threads == 1 && !is(cell->engine, "seq");
    case VALIDATION_SCALING:
    case VALIDATION_SPEEDUP:
        return cell->threads > 1;
    }
    return false;
}

static const char *why_no_time(const struct load *load, const struct load_cell *like,
                               const char *machine, const struct load_cell *cell) {
    const struct load_gap *const lists[2] = {load->failures, load->unavailable};
    const size_t counts[2] = {load->failures_count, load->unavailable_count};
    for (unsigned l = 0; l < 2; l++)
        for (size_t i = 0; i < counts[l]; i++) {
            const struct load_gap *gap = &lists[l][i];
            if (strcmp(gap->workload, like->workload) == 0 &&
                strcmp(gap->engine, like->engine) == 0 && strcmp(gap->machine, machine) == 0 &&
                (gap->threads == like->threads || gap->threads == 0))
                return gap->reason;
        }
    return cell == NULL ? "not in the file" : "no time in the file";
}

static void add_gap(struct validation *v, const struct load *load, const struct load_cell *has,
                    const char *machine, const struct load_cell *has_not) {
    v->gaps[v->gaps_count++] =
        (struct validation_gap){has, machine, why_no_time(load, has, machine, has_not)};
}

static void compare_cell(struct validation *v, const struct load_cell *measured,
                         const struct load_cell *predicted) {
    for (unsigned m = 0; m < VALIDATION_METRICS; m++) {
        const struct load_ratio *a = ratio_of(measured, m), *b = ratio_of(predicted, m);
        if (!predicts(measured, m) || !a->present || !b->present || !(a->value > 0))
            continue;
        v->points[v->points_count++] = (struct validation_point){
            .metric = m,
            .measured_cell = measured,
            .predicted_cell = predicted,
            .measured = a,
            .predicted = b,
            .error = fabs(b->value / a->value - 1),
            .left_out = left_out(measured),
        };
    }
}

static bool add_pair(struct validation *v, const struct load_cell *a, const struct load_cell *b,
                     const struct load_cell *a_predicted, const struct load_cell *b_predicted) {
    if (!a->has_interval || !b->has_interval || a->high_ns >= b->low_ns)
        return false;
    const bool alike = a_predicted->median_ns < b_predicted->median_ns;
    v->pairs[v->pairs_count++] = (struct validation_pair){a, b, a_predicted, b_predicted, alike};
    v->pairs_alike += alike;
    return true;
}

static bool compare_pairs(struct validation *v, const struct load *load, size_t native,
                          size_t simulated) {
    /* Judged cells with times on both machines. */
    const struct load_cell **cells = calloc(load->cells_count + 1, sizeof *cells);
    size_t n = 0, most = 0;
    if (cells == NULL)
        return false;
    for (size_t i = 0; i < load->cells_count; i++) {
        const struct load_cell *cell = &load->cells[i];
        const struct load_cell *other = counterpart(load, cell, simulated);
        if (cell->host == native && cell->has_time && left_out(cell) == NULL && other != NULL &&
            other->has_time)
            cells[n++] = cell;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            most += cells[i]->threads == cells[j]->threads &&
                    strcmp(cells[i]->workload, cells[j]->workload) == 0;
    v->pairs = calloc(most + 1, sizeof *v->pairs);
    for (size_t i = 0; v->pairs != NULL && i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            const struct load_cell *a = cells[i], *b = cells[j];
            if (a->threads != b->threads || strcmp(a->workload, b->workload) != 0)
                continue;
            const struct load_cell *ap = counterpart(load, a, simulated);
            const struct load_cell *bp = counterpart(load, b, simulated);
            if (!add_pair(v, a, b, ap, bp))
                add_pair(v, b, a, bp, ap);
        }
    free(cells);
    return v->pairs != NULL;
}

static bool summarise(struct validation *v, enum validation_metric metric) {
    struct validation_summary *s = &v->summary[metric];
    double *errors = calloc(v->points_count + 1, sizeof *errors), sum = 0;
    if (errors == NULL)
        return false;
    for (size_t i = 0; i < v->points_count; i++) {
        const struct validation_point *point = &v->points[i];
        if (point->metric != metric || point->left_out != NULL)
            continue;
        errors[s->count++] = point->error;
        sum += point->error;
        s->beyond_25 += point->error > 0.25;
        s->beyond_50 += point->error > 0.5;
        if (s->worst_point == NULL || point->error > s->worst) {
            s->worst = point->error;
            s->worst_point = point;
        }
    }
    if (s->count > 0) {
        s->median = stats_median(errors, s->count);
        s->mean = sum / (double)s->count;
    }
    free(errors);
    return true;
}

/* Indices of the native host and of the simulated one that is meant. */
static bool find_hosts(const struct load *load, const char *machine, size_t *native,
                       size_t *simulated, char *why, size_t size) {
    size_t natives = 0, simulations = 0;
    for (size_t h = 0; h < load->hosts_count; h++) {
        const struct load_host *host = &load->hosts[h];
        if (strcmp(host->machine, "native") == 0) {
            *native = h;
            natives++;
        } else if (machine == NULL || strcmp(host->machine, machine) == 0) {
            *simulated = h;
            simulations++;
        }
    }
    if (natives != 1)
        return snprintf(why, size,
                        natives == 0 ? "there are no native cells: run with --machine native,%s"
                                     : "there are cells of several computers: give the results of "
                                       "one with those of %s",
                        machine != NULL ? machine : "sim:PROFILE"),
               false;
    if (simulations != 1)
        return snprintf(why, size,
                        simulations == 0 ? "there are no cells of %s: run with --machine native,%s"
                                         : "there are cells of several simulated machines: choose "
                                           "one with --profile, %s %s",
                        simulations == 0 ? (machine != NULL ? machine : "a simulated machine")
                                         : "for example",
                        machine != NULL    ? machine
                        : simulations == 0 ? "sim:PROFILE"
                                           : load->hosts[*simulated].machine + strlen("sim:")),
               false;
    return true;
}

bool validation_make(struct validation *v, const struct load *load, const char *machine, char *why,
                     size_t size) {
    size_t native = 0, simulated = 0;
    *v = (struct validation){0};
    if (!find_hosts(load, machine, &native, &simulated, why, size))
        return false;
    v->predicting = load->hosts[simulated].machine;
    v->measured_host = &load->hosts[native];
    v->predicting_host = &load->hosts[simulated];
    v->points = calloc(load->cells_count * VALIDATION_METRICS + 1, sizeof *v->points);
    v->gaps = calloc(load->cells_count + 1, sizeof *v->gaps);
    if (v->points == NULL || v->gaps == NULL)
        return snprintf(why, size, "out of memory"), false;
    for (size_t i = 0; i < load->cells_count; i++) {
        const struct load_cell *cell = &load->cells[i];
        if (cell->host != native && cell->host != simulated)
            continue;
        const size_t other_host = cell->host == native ? simulated : native;
        const struct load_cell *other = counterpart(load, cell, other_host);
        if (!cell->has_time)
            continue; /* told from the other side, if that one has a time */
        if (other == NULL || !other->has_time)
            add_gap(v, load, cell, load->hosts[other_host].machine, other);
        else if (cell->host == native)
            compare_cell(v, cell, other);
    }
    if (!compare_pairs(v, load, native, simulated))
        return snprintf(why, size, "out of memory"), false;
    for (unsigned m = 0; m < VALIDATION_METRICS; m++)
        if (!summarise(v, m))
            return snprintf(why, size, "out of memory"), false;
    if (v->points_count == 0)
        return snprintf(why, size,
                        "no cell has a ratio on both machines: run seq with one thread beside the "
                        "other engines, on both"),
               false;
    return true;
}

void validation_free(struct validation *v) {
    free(v->points);
    free(v->gaps);
    free(v->pairs);
    *v = (struct validation){0};
}
