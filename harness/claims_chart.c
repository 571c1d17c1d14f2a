/*
 * claims_chart.c - the signature picture.  See claims.h.
 */
#include "claims.h"

#include "cli.h"
#include "figure_script.h"
#include "report_view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 6, COLUMNS_MAX = 5, ENGINES_MAX = 12, POINTS_MAX = 32 };

struct point {
    double conflict, speedup, low, high;
};

struct curve {
    struct point point[POINTS_MAX]; /* by conflict */
    unsigned count;
};

struct size {
    double reads, writes;
};

struct chart {
    const struct load *load;
    unsigned threads[ROWS_MAX], rows;
    struct size size[COLUMNS_MAX];
    unsigned columns;
    const char *engine[ENGINES_MAX];
    unsigned engines;
    struct curve curve[ROWS_MAX][COLUMNS_MAX][ENGINES_MAX];
    struct script_range x, y;
    const struct load_host *host;
    bool intervals; /* there are any */
};

/* The number behind ":KEY=" in a cell's workload, or `fallback`. */
static double number_in(const char *workload, const char *key, double fallback) {
    char word[32];
    snprintf(word, sizeof word, ":%.28s=", key);
    const char *at = strstr(workload, word);
    return at != NULL ? strtod(at + strlen(word), NULL) : fallback;
}

static int by_conflict(const void *a, const void *b) {
    const struct point *p = a, *q = b;
    return (p->conflict > q->conflict) - (p->conflict < q->conflict);
}

static unsigned find_row(struct chart *c, unsigned threads) {
    for (unsigned i = 0; i < c->rows; i++)
        if (c->threads[i] == threads)
            return i;
    if (c->rows < ROWS_MAX)
        c->threads[c->rows++] = threads;
    return c->rows - 1;
}

static unsigned find_column(struct chart *c, struct size size) {
    for (unsigned i = 0; i < c->columns; i++)
        if (c->size[i].reads == size.reads && c->size[i].writes == size.writes)
            return i;
    if (c->columns < COLUMNS_MAX)
        c->size[c->columns++] = size;
    return c->columns - 1;
}

static unsigned find_engine(struct chart *c, const char *engine) {
    for (unsigned i = 0; i < c->engines; i++)
        if (strcmp(c->engine[i], engine) == 0)
            return i;
    if (c->engines < ENGINES_MAX)
        c->engine[c->engines++] = engine;
    return c->engines - 1;
}

static void add_cell(struct chart *c, const struct load_cell *cell) {
    const double conflict = number_in(cell->workload, "conflict", 0);
    if (!cell->speedup.present || conflict <= 0)
        return;
    const struct size size = {number_in(cell->workload, "reads", 8),
                              number_in(cell->workload, "writes", 1)};
    struct curve *curve =
        &c->curve[find_row(c, cell->threads)][find_column(c, size)][find_engine(c, cell->engine)];
    if (curve->count == POINTS_MAX)
        return;
    const struct load_ratio *r = &cell->speedup;
    curve->point[curve->count++] =
        (struct point){conflict, r->value, r->has_interval ? r->low : r->value,
                       r->has_interval ? r->high : r->value};
    c->intervals |= r->has_interval;
    script_include(&c->x, conflict);
    script_include(&c->y, r->value);
    c->host = &c->load->hosts[cell->host];
}

/* Where a curve that begins well above 1 falls below it, on straight lines between the points as
 * they are drawn; 0: nowhere. */
static double crossing(const struct curve *curve) {
    for (unsigned i = 1; i < curve->count && curve->point[0].speedup > 1.1; i++) {
        const struct point *a = &curve->point[i - 1], *b = &curve->point[i];
        if (a->speedup >= 1 && b->speedup < 1)
            return exp(log(a->conflict) + log(b->conflict / a->conflict) * log(a->speedup) /
                                              log(a->speedup / b->speedup));
    }
    return 0;
}

static void put_panel(FILE *f, const struct chart *c, unsigned row, unsigned column) {
    const double left = 0.085, right = 0.80, top = 0.815, bottom = 0.165, gap = 0.018;
    const double width = (right - left - gap * (c->columns - 1)) / c->columns;
    const double height = (top - bottom - gap * (c->rows - 1)) / c->rows;
    const double x = left + column * (width + gap), y = top - row * (height + gap) - height;
    char text[96];
    script_margins(f, x, x + width, y, y + height);
    fprintf(f, "set logscale xy\nset xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\n", c->x.low,
            c->x.high, c->y.low, c->y.high);
    script_ticks(f, "x", c->x.low, c->x.high, true, 4);
    script_ticks(f, "y", c->y.low, c->y.high, true, 5);
    if (row + 1 < c->rows)
        fputs("unset xtics\n", f);
    if (column > 0)
        fputs("unset ytics\n", f);
    /* Below the line it is not worth it. */
    fprintf(
        f, "set object 1 rectangle from graph 0,graph 0 to graph 1,first 1 behind fc rgb '#EEEEEE' "
           "fs solid noborder\n"
           "set arrow 1 from graph 0,first 1 to graph 1,first 1 nohead lw 2.5 lc rgb '#B00020'\n");
    if (row == 0) {
        const struct size *s = &c->size[column];
        snprintf(text, sizeof text, "%g reads, %g write%s", s->reads, s->writes,
                 s->writes == 1 ? "" : "s");
        script_label(f, text, "screen", x + width / 2, top + 0.022, "center",
                     script_fit(text, SCRIPT_TEXT_PX, width), "#000000", true);
    }
    if (column == 0) {
        snprintf(text, sizeof text, "%u thread%s", c->threads[row],
                 c->threads[row] == 1 ? "" : "s");
        fputs("set label ", f);
        script_string(f, text);
        fprintf(f,
                " at screen 0.028,screen %.4f center rotate by 90 noenhanced font '%s,%d' tc rgb "
                "'#000000'\n",
                y + height / 2, SCRIPT_FONT, SCRIPT_SMALL_PX);
    }
    for (unsigned e = 0; e < c->engines; e++) {
        const struct curve *curve = &c->curve[row][column][e];
        fprintf(f, "$c%u << EOD\n", e);
        for (unsigned i = 0; i < curve->count; i++)
            fprintf(f, "%.9g %.9g %.9g %.9g\n", curve->point[i].conflict,
                    fmax(curve->point[i].speedup, c->y.low), fmax(curve->point[i].low, c->y.low),
                    curve->point[i].high);
        fprintf(f, "EOD\n$x%u << EOD\n", e);
        if (crossing(curve) > 0)
            fprintf(f, "%.9g 1\n", crossing(curve));
        fputs("EOD\n", f);
    }
    fputs("plot ", f);
    for (unsigned e = 0; e < c->engines; e++) {
        if (c->curve[row][column][e].count == 0)
            continue;
        fprintf(f,
                "$c%u using 1:2 with lines lw 2.5 dt %s lc rgb '%s', \\\n"
                "$c%u using 1:2:3:4 with yerrorbars lw 1.5 pt %d ps 1.3*marker lc rgb '%s', \\\n",
                e, view_dash(e), view_colour(e), e, view_marker(e), view_colour(e));
        if (crossing(&c->curve[row][column][e]) > 0)
            fprintf(f, "$x%u using 1:2 with points pt 2 lw 4 ps 2.2*marker lc rgb '%s', \\\n", e,
                    view_colour(e));
    }
    fputs("-1e9 with lines\nunset label\nunset arrow\nunset object\nunset grid\nunset logscale\n",
          f);
}

static void put_legend(FILE *f, const struct chart *c) {
    double y = 0.80;
    for (unsigned e = 0; e < c->engines; e++, y -= 0.047) {
        fprintf(
            f,
            "set arrow from screen 0.82,screen %.4f to screen 0.855,screen %.4f nohead lw 2.5 dt "
            "%s lc rgb '%s'\n"
            "set label '' at screen 0.8375,screen %.4f point pt %d ps 1.6*marker lc rgb '%s'\n",
            y, y, view_dash(e), view_colour(e), y, view_marker(e), view_colour(e));
        script_label(f, c->engine[e], "screen", 0.862, y, "left",
                     script_fit(c->engine[e], SCRIPT_SMALL_PX, 0.13), "#000000", false);
    }
    static const char *const notes[] = {"grey: slower than", "the GIL on 1 thread",
                                        "x: from here on not", "worth it any more"};
    y -= 0.02;
    for (unsigned i = 0; i < sizeof notes / sizeof *notes; i++, y -= 0.036)
        script_label(f, notes[i], "screen", 0.82, y, "left", SCRIPT_SMALL_PX - 2, "#333333", false);
}

static bool draw(const struct experiment *e, const struct chart *c, const char *folder,
                 const char *stem) {
    static const char axis[] =
        "probability that an access goes to the objects that all threads share";
    char *name;
    FILE *f = script_open(stem, folder, &name);
    if (f == NULL)
        return false;
    script_page(f, e->title,
                c->intervals
                    ? "Speed-up over the GIL on one thread; markers: medians with 95 % intervals"
                    : "Speed-up over the GIL on one thread; markers: single samples",
                c->host->label, c->host->simulated);
    put_legend(f, c);
    script_label(f, axis, "screen", 0.4425, 0.095, "center", script_fit(axis, SCRIPT_TEXT_PX, 0.7),
                 "#333333", false);
    script_page_end(f);
    for (unsigned row = 0; row < c->rows; row++)
        for (unsigned column = 0; column < c->columns; column++)
            put_panel(f, c, row, column);
    return script_close(f, folder, name) && figure_render(folder, stem);
}

bool claims_chart(const struct experiment *experiment, const struct load *load, size_t file,
                  const char *folder, const char *stem) {
    struct chart *c = calloc(1, sizeof *c);
    if (c == NULL) {
        cli_error("claims", "out of memory");
        return false;
    }
    c->load = load;
    for (size_t i = 0; i < load->cells_count; i++)
        if (load->cells[i].file == file)
            add_cell(c, &load->cells[i]);
    for (unsigned row = 0; row < c->rows; row++)
        for (unsigned column = 0; column < c->columns; column++)
            for (unsigned e = 0; e < c->engines; e++)
                qsort(c->curve[row][column][e].point, c->curve[row][column][e].count,
                      sizeof(struct point), by_conflict);
    bool ok = c->rows > 0;
    if (!ok)
        cli_error("claims", "%s: no cell has a speed-up to draw", load->files[file].path);
    c->x.low /= 1.25;
    c->x.high *= 1.25;
    c->y.low = fmax(c->y.low / 1.3, 0.01); /* what is lower does not matter any more */
    c->y.high *= 1.3;
    ok = ok && draw(experiment, c, folder, stem);
    free(c);
    return ok;
}
