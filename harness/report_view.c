/*
 * report_view.c - rows and columns of a report, and how engines and numbers look.  See
 * report_view.h.
 */
#include "report_view.h"

#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool add_name(const char **names, size_t *count, const char *name) {
    for (size_t i = 0; i < *count; i++)
        if (names[i] != NULL && strcmp(names[i], name) == 0)
            return false;
    names[(*count)++] = name;
    return true;
}

static void add_threads(struct view *view, unsigned threads) {
    size_t i = 0;
    while (i < view->threads_count && view->threads[i] < threads)
        i++;
    if (i < view->threads_count && view->threads[i] == threads)
        return;
    memmove(view->threads + i + 1, view->threads + i,
            (view->threads_count - i) * sizeof *view->threads);
    view->threads[i] = threads;
    view->threads_count++;
}

bool view_make(struct view *view, const struct load *load, size_t host) {
    *view = (struct view){.load = load, .host = host};
    view->workloads = calloc(load->cells_count + 1, sizeof *view->workloads);
    view->engines = calloc(load->cells_count + 1, sizeof *view->engines);
    view->threads = calloc(load->cells_count + 1, sizeof *view->threads);
    if (view->workloads == NULL || view->engines == NULL || view->threads == NULL) {
        cli_error("report", "out of memory");
        return false;
    }
    for (size_t i = 0; i < load->cells_count; i++) {
        const struct load_cell *cell = &load->cells[i];
        if (cell->host != host)
            continue;
        add_name(view->workloads, &view->workloads_count, cell->workload);
        add_name(view->engines, &view->engines_count, cell->engine);
        add_threads(view, cell->threads);
    }
    return true;
}

void view_free(struct view *view) {
    free(view->workloads);
    free(view->engines);
    free(view->threads);
    *view = (struct view){0};
}

const struct load_cell *view_cell(const struct view *view, const char *workload, const char *engine,
                                  unsigned threads) {
    for (size_t i = 0; i < view->load->cells_count; i++) {
        const struct load_cell *cell = &view->load->cells[i];
        if (cell->host == view->host && cell->threads == threads &&
            strcmp(cell->workload, workload) == 0 && strcmp(cell->engine, engine) == 0)
            return cell;
    }
    return NULL;
}

const char *view_colour(size_t engine) {
    static const char *const colours[] = {"#000000", "#0072B2", "#56B4E9", "#009E73",
                                          "#D55E00", "#E69F00", "#CC79A7"};
    return colours[engine % 7];
}

int view_marker(size_t engine) {
    static const int markers[] = {5, 7, 9, 11, 13, 6, 4, 8, 10, 12, 3};
    return markers[engine % 11];
}

const char *view_dash(size_t engine) {
    static const char *const dashes[] = {"1",      "(9,3)",         "(3,3)",        "(12,4,3,4)",
                                         "(18,4)", "(9,3,3,3,3,3)", "(6,2,2,2,6,6)"};
    return dashes[engine % 7];
}

const char *view_over(const struct view *view) {
    return view->load->hosts[view->host].simulated ? " over seeds" : "";
}

void view_number(double value, char text[VIEW_NUMBER_SIZE]) {
    const double size = fabs(value);
    if (size >= 1e6 || (size < 0.001 && size > 0))
        snprintf(text, VIEW_NUMBER_SIZE, "%.2e", value);
    else
        snprintf(text, VIEW_NUMBER_SIZE, "%.*f",
                 size >= 99.95    ? 0
                 : size >= 9.995  ? 1
                 : size >= 0.0995 ? 2
                 : size > 0       ? 3
                                  : 0,
                 value);
}

void view_no_time(const struct load_cell *cell, char *text, size_t size) {
    if (cell->samples < cell->samples_wanted && cell->verify_failed == 0)
        snprintf(text, size, "incomplete: %u of %u runs", cell->samples, cell->samples_wanted);
    else if (cell->verify_failed == 0) /* which proves nothing */
        snprintf(text, size, "no error seen in %u runs", cell->samples);
    else
        snprintf(text, size, "failed in %u of %u runs", cell->verify_failed, cell->samples);
}
