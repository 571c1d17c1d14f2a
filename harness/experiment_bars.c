/*
 * experiment_bars.c - why executions were thrown away: a panel of an experiment's figure.  See
 * experiment_drawing.h.
 *
 * A bar lies for each curve, in the order of the legend, below its name and above its causes in
 * words; causes have the same colour in all of them.
 */
#include "experiment_drawing.h"

#include "cli.h"
#include "figure_script.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CAUSES_MAX = 10, ROWS_MAX = 10 };

/* The cell of which the bar is. */
struct row {
    unsigned curve;
    const struct point *point;
};

struct bars {
    struct row row[ROWS_MAX];
    unsigned rows;
    const char *cause[CAUSES_MAX]; /* that any of them has */
    unsigned causes;
    double high; /* the longest bar */
};

/* Causes are told apart beside the colours of curves; from dark to light. */
static const char *colour_of(unsigned cause) {
    static const char *const colours[] = {"#7A0019", "#E8871E", "#4B6A9B", "#8C8C8C", "#3F7F4F",
                                          "#C9A9D9", "#D9D26A", "#222222", "#5FB7C4", "#F2B8A0"};
    return colours[cause % (sizeof colours / sizeof *colours)];
}

static unsigned cause_of(struct bars *b, const char *name) {
    for (unsigned i = 0; i < b->causes; i++)
        if (strcmp(b->cause[i], name) == 0)
            return i;
    if (b->causes < CAUSES_MAX)
        b->cause[b->causes++] = name;
    return b->causes - 1;
}

/* What one aborted execution of the cell adds to its bar. */
static double unit_of(const struct point *p) { return p->value / p->cell->aborts_total; }

/* The largest x of the panel. */
static double last_x(const struct drawing *d, unsigned panel) {
    double last = -INFINITY;
    for (size_t i = 0; i < d->points[panel]; i++)
        if (d->point[panel][i].has_x)
            last = fmax(last, d->point[panel][i].x);
    return last;
}

/* Curves whose cell is not there, because it failed, have no bar.  False when there are too many.
 */
static bool find_rows(struct bars *b, const struct drawing *d, unsigned panel) {
    const double last = last_x(d, panel);
    for (unsigned c = 0; c < d->curves; c++)
        for (size_t i = 0; i < d->points[panel]; i++) {
            const struct point *p = &d->point[panel][i];
            if (p->curve != c || !p->has_x || p->x != last || !(p->value > 0))
                continue;
            if (b->rows == ROWS_MAX)
                return false;
            b->row[b->rows++] = (struct row){c, p};
            b->high = fmax(b->high, p->value);
            for (size_t k = 0; k < p->cell->abort_causes; k++)
                if (p->cell->aborts[k].count > 0)
                    (void)cause_of(b, p->cell->aborts[k].name);
        }
    return true;
}

bool experiment_bars_fit(const struct drawing *d, unsigned panel) {
    struct bars b = {.rows = 0};
    if (find_rows(&b, d, panel))
        return true;
    cli_error(NULL, "experiment %s: figure.panels[%u] has more than %d bars", d->e->name, panel,
              ROWS_MAX);
    return false;
}

/* "conflict 3.1, lock 0.8": those that are a fiftieth of the bar at least. */
static void in_words(const struct point *p, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t k = 0; k < p->cell->abort_causes && used < size; k++) {
        const struct load_cause *cause = &p->cell->aborts[k];
        if (cause->count >= 0.02 * p->cell->aborts_total)
            used += (size_t)snprintf(text + used, size - used,
                                     cause->count * unit_of(p) < 10 ? "%s%s %.2g" : "%s%s %.0f",
                                     used > 0 ? ", " : "", cause->name, cause->count * unit_of(p));
    }
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '_' ? ' ' : *c;
}

void experiment_bars(FILE *f, const struct drawing *d, unsigned panel, double left, double right) {
    const struct experiment_panel *what = &d->e->panel[panel];
    struct bars b = {.rows = 0};
    (void)find_rows(&b, d, panel);
    char title[TEXT_SIZE];
    snprintf(title, sizeof title, "%.180s, %g %s", what->title, last_x(d, panel),
             d->e->x.part == PART_THREADS ? "threads" : d->e->x_axis.label);
    const double high = b.high > 0 ? b.high * 1.04 : 1, width = right - left;
    experiment_frame(f, title, what->y.label, left, right);
    fprintf(f, "unset logscale\nunset ytics\nset xrange [0:%.9g]\nset yrange [0:%u]\n", high,
            b.rows > 0 ? b.rows : 1);
    script_ticks(f, "x", 0, high, false, width * 24);
    for (unsigned r = 0; r < b.rows; r++) {
        const struct point *p = b.row[r].point;
        const double foot = b.rows - 1 - r; /* the first one above */
        const char *name = d->curve[b.row[r].curve].label;
        char words[TEXT_SIZE];
        in_words(p, words, sizeof words);
        script_label(f, name, "first", 0.01 * high, foot + 0.80, "left",
                     script_fit(name, SCRIPT_SMALL_PX - 1, width), "#000000", false);
        script_label(f, words, "first", 0.01 * high, foot + 0.24, "left",
                     script_fit(words, SCRIPT_SMALL_PX - 3, width), "#333333", false);
        double from = 0;
        for (size_t k = 0; k < p->cell->abort_causes; k++) {
            const double to = from + p->cell->aborts[k].count * unit_of(p);
            if (to > from)
                fprintf(f,
                        "set object rectangle from first %.9g,first %.4f to first %.9g,first %.4f "
                        "fc rgb '%s' fs solid noborder front\n",
                        from, foot + 0.40, to, foot + 0.68,
                        colour_of(cause_of(&b, p->cell->aborts[k].name)));
            from = to;
        }
    }
    if (b.rows == 0)
        script_label(f, "none was", "first", high / 2, 0.5, "center", SCRIPT_TEXT_PX, "#333333",
                     false);
    fputs("plot -1 with lines\nunset label\nunset object\nset ytics\n", f);
}
