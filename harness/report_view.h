/*
 * report_view.h - what the parts of a report share: the cells of one host in rows and columns, how
 * an engine looks, how a number reads, and the figures that were drawn.
 */
#ifndef ALLCORES_REPORT_VIEW_H
#define ALLCORES_REPORT_VIEW_H

#include "load.h"

#include <stdio.h>

enum { VIEW_NUMBER_SIZE = 32 };

/* The cells of one host.  Borrows from the load; the lists are in order of first appearance. */
struct view {
    const struct load *load;
    size_t host;
    const char **workloads; /* [workloads_count] */
    size_t workloads_count;
    const char **engines; /* [engines_count] */
    size_t engines_count;
    unsigned *threads; /* [threads_count], ascending */
    size_t threads_count;
};

/* False when memory ran out.  The caller calls view_free in any case. */
bool view_make(struct view *view, const struct load *load, size_t host);
void view_free(struct view *view);

/* The cell, or NULL when it was not measured. */
const struct load_cell *view_cell(const struct view *view, const char *workload, const char *engine,
                                  unsigned threads);

/* Colour "#RRGGBB", gnuplot's point type and dash type of the i-th engine: told apart without
 * colour by marker and dash, and with it by any eye (palette of Okabe and Ito, 2008). */
const char *view_colour(size_t engine);
int view_marker(size_t engine);
const char *view_dash(size_t engine);

/* What intervals are over, where it must be said: " over seeds" or "". */
const char *view_over(const struct view *view);

/* Three significant digits or so, without an exponent while it can be read without one. */
void view_number(double value, char text[VIEW_NUMBER_SIZE]);

/* Why a cell has no time: "failed in 7 of 10 runs", "incomplete: 4 of 10 runs". */
void view_no_time(const struct load_cell *cell, char *text, size_t size);

/* One drawn figure: NAME.svg, NAME.png, NAME.gp. */
struct figure {
    char *name;
    char *title;
    const char *section; /* "experiment", "slowdown", "speedup" or "aborts" (static) */
    size_t host;         /* of all but "experiment" */
    char *caption;       /* "experiment": what one should see; otherwise NULL */
};

struct figures {
    struct figure *list;
    size_t count;
};

void figures_free(struct figures *figures);

/* Adds an experiment's figure, which the caller draws under the name that is returned (borrowed).
 * NULL when one line on stderr has said why not. */
const char *figures_add_experiment(struct figures *figures, const char *experiment,
                                   const char *title, const char *caption);

/* Writes the scripts of every figure of this view into the folder and has gnuplot draw them there.
 * False when one line on stderr has said why not. */
bool figures_draw(const struct view *view, const char *folder, struct figures *figures);

/* Draws the script NAME.gp of the folder as NAME.svg and NAME.png there.  False when one line on
 * stderr has said why not. */
bool figure_render(const char *folder, const char *name);

/* Writes tables.md and index.html into the folder, which has the figures.  `views` has one entry
 * for each host of the load. */
bool page_write(const struct load *load, const struct view *views, const struct figures *figures,
                const char *folder);

/* A file of the report, opened for writing; NULL or false when one line on stderr said why not. */
FILE *report_open(const char *folder, const char *name);
bool report_close(FILE *file, const char *folder, const char *name);

#endif
