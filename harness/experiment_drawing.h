/*
 * experiment_drawing.h - what the parts of an experiment's figure have in common: its cells, placed
 * on the axes.  For experiment_figure.c, which fills it in, and experiment_bars.c.
 */
#ifndef ALLCORES_EXPERIMENT_DRAWING_H
#define ALLCORES_EXPERIMENT_DRAWING_H

#include "experiment.h"

enum { CURVES_MAX = 64, TEXT_SIZE = EXPERIMENT_TEXT_SIZE };

/* What tells curves apart. */
enum { NAME_ENGINE, NAME_THREADS, NAME_WORKLOAD, NAME_SET, NAME_CAUSE, NAMES };
struct curve {
    char name[NAMES][TEXT_SIZE];
    char label[TEXT_SIZE];
};

struct point {
    unsigned curve;
    const struct load_cell *cell;
    bool has_x;
    double x;
    double value, low, high; /* of the quantity */
    bool has_interval;
    double sample_factor; /* a sample is this times its own time, or over it; 0: no samples */
    bool sample_inverse;
};

struct drawing {
    const struct experiment *e;
    const struct load *load;
    size_t file;
    struct curve curve[CURVES_MAX];
    unsigned curves;
    unsigned shown[NAMES]; /* nonzero: the labels say it */
    struct point *point[EXPERIMENT_PANELS_MAX];
    size_t points[EXPERIMENT_PANELS_MAX];
};

/* Margins, title and the label of the x axis of a panel between two shares of the page's width. */
void experiment_frame(FILE *f, const char *title, const char *x_label, double left, double right);

/* Is there room for the bars of the panel?  False when one line on stderr has said that there is
 * not. */
bool experiment_bars_fit(const struct drawing *d, unsigned panel);
/* The panel between two shares of the page's width: for each curve that has aborts at the largest x
 * of all, a bar of them, split by cause. */
void experiment_bars(FILE *f, const struct drawing *d, unsigned panel, double left, double right);

#endif
