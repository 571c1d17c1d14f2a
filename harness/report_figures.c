/*
 * report_figures.c - the figures of a report: gnuplot scripts that carry their data, drawn as SVG
 * and PNG.
 *
 * A script sets no terminal and no output, so that it can be drawn again in any form:
 *     gnuplot -e "set terminal pdfcairo size 16cm,9cm; set output 'slowdown.pdf'" slowdown.gp
 * Every position on the page is computed here; nothing is left to gnuplot's guess of how wide a
 * text is.  Bars carry their engine's name beside them and curves differ in marker and dash, so
 * that no figure depends on colour.
 */
#include "figure_script.h"
#include "report_view.h"

#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PANELS_MAX = 8 /* on one page: more could not be read from the back of a room */ };

#define FONT SCRIPT_FONT
/* Mean width of a character in units of the font size: generous for the common sans-serif fonts. */
static const double char_width = 0.57;

void figures_free(struct figures *figures) {
    for (size_t i = 0; i < figures->count; i++) {
        free(figures->list[i].name);
        free(figures->list[i].title);
        free(figures->list[i].caption);
    }
    free(figures->list);
    *figures = (struct figures){0};
}

/* ---- pieces of a script -------------------------------------------------------------------- */

/* A byte inside a double-quoted string of gnuplot.  Whatever could end the string, be replaced by
 * the output of a command or by a macro goes out as its octal code. */
static void put_byte(FILE *f, char c) {
    if (isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || strchr(" .,:;=+-/()[]<>%{}_", c))
        fputc(c, f);
    else
        fprintf(f, "\\%03o", (unsigned)(unsigned char)c);
}

void script_include(struct script_range *range, double value) {
    if (!range->any || value < range->low)
        range->low = value;
    if (!range->any || value > range->high)
        range->high = value;
    range->any = true;
}

void script_string(FILE *f, const char *s) {
    fputc('"', f);
    for (; *s != '\0'; s++)
        put_byte(f, *s);
    fputc('"', f);
}

/* The same for text that is set in bold, which only gnuplot's enhanced mode can do in SVG: what
 * that mode would read as markup is escaped. */
static void put_bold(FILE *f, const char *s) {
    fputs("\"{/:Bold ", f);
    for (; *s != '\0'; s++) {
        if (strchr("\\{}_^@&~", *s) != NULL)
            put_byte(f, '\\');
        put_byte(f, *s);
    }
    fputs("}\"", f);
}

void script_label(FILE *f, const char *text, const char *system, double x, double y,
                  const char *align, int size_px, const char *colour, bool bold) {
    fputs("set label ", f);
    if (bold)
        put_bold(f, text);
    else
        script_string(f, text);
    fprintf(f, " at %s %.6g,%s %.6g %s %s font '%s,%d' tc rgb '%s' front\n", system, x, system, y,
            align, bold ? "enhanced" : "noenhanced", FONT, size_px, colour);
}

double script_text_width(const char *text, int size_px) {
    return (double)strlen(text) * size_px * char_width / SCRIPT_WIDTH_PX;
}

/* The largest size up to `size_px` at which the text fits into a share of the page's width. */
int script_fit(const char *text, int size_px, double width) {
    while (size_px > 13 && script_text_width(text, size_px) > width)
        size_px--;
    return size_px;
}

void script_page(FILE *f, const char *title, const char *reading, const char *machine,
                 bool simulated) {
    fputs("if (!exists(\"marker\")) marker = 1\nset encoding utf8\nset multiplot\nset key off\n"
          "unset border\nunset tics\nset xrange [0:1]\nset yrange [0:1]\n"
          "set lmargin at screen 0\nset rmargin at screen 1\n"
          "set bmargin at screen 0\nset tmargin at screen 1\n",
          f);
    const int title_px = script_fit(title, SCRIPT_TITLE_PX, 0.96);
    if (simulated) { /* right under the title: nobody takes it for a measurement */
        script_label(f, title, "screen", 0.02, 0.963, "left", title_px, "#000000", true);
        script_label(f, machine, "screen", 0.02, 0.923, "left",
                     script_fit(machine, SCRIPT_TEXT_PX, 0.96), "#B00020", true);
        script_label(f, reading, "screen", 0.02, 0.889, "left",
                     script_fit(reading, SCRIPT_SMALL_PX, 0.96), "#333333", false);
        return;
    }
    script_label(f, title, "screen", 0.02, 0.957, "left", title_px, "#000000", true);
    script_label(f, reading, "screen", 0.02, 0.909, "left",
                 script_fit(reading, SCRIPT_TEXT_PX, 0.96), "#333333", false);
    script_label(f, machine, "screen", 0.98, 0.02, "right",
                 script_fit(machine, SCRIPT_SMALL_PX, 0.96), "#333333", false);
}

static void put_page(FILE *f, const struct view *view, const char *title, const char *reading) {
    const struct load_host *host = &view->load->hosts[view->host];
    script_page(f, title, reading, host->label, host->simulated);
}

/* Draws what was set so far, then clears it for the next panel. */
void script_page_end(FILE *f) {
    fputs("plot -1 with lines\nunset label\nunset arrow\nunset object\n"
          "set border 3 lc rgb '#666666'\nset style line 1 lc rgb '#666666'\n",
          f);
}

void script_margins(FILE *f, double left, double right, double bottom, double top) {
    fprintf(f,
            "set lmargin at screen %.4f\nset rmargin at screen %.4f\n"
            "set bmargin at screen %.4f\nset tmargin at screen %.4f\n",
            left, right, bottom, top);
}

static void open_ticks(FILE *f, const char *axis) {
    fprintf(f, "set %stics nomirror out scale 0.6 noenhanced font '%s,%d' tc rgb '#333333' (", axis,
            FONT, SCRIPT_SMALL_PX);
}

void script_ticks_at(FILE *f, const char *axis, const double *tick, unsigned ticks) {
    open_ticks(f, axis);
    for (unsigned i = 0; i < ticks; i++)
        fprintf(f, "%s'%g' %.9g", i > 0 ? "," : "", tick[i], tick[i]);
    fputs(")\n", f);
}

void script_paragraph(FILE *f, const char *text, double y) {
    const double width = 0.96, line = 0.028;
    const size_t length = strlen(text);
    size_t first = length;
    if (script_text_width(text, SCRIPT_SMALL_PX) > width) {
        const char *gap = strchr(text + length / 2, ' '); /* behind the middle, or before it */
        gap = gap != NULL ? gap : memrchr(text, ' ', length / 2);
        first = gap != NULL ? (size_t)(gap - text) : length;
    }
    const char *second = first < length ? text + first + 1 : NULL;
    char upper[512];
    snprintf(upper, sizeof upper, "%.*s", (int)first, text);
    const int size = script_fit(second != NULL && strlen(second) > first ? second : upper,
                                SCRIPT_SMALL_PX, width);
    script_label(f, upper, "screen", 0.02, second != NULL ? y + line : y, "left", size, "#333333",
                 false);
    if (second != NULL)
        script_label(f, second, "screen", 0.02, y, "left", size, "#333333", false);
}

/* Ticks of an axis at 1, 2, 5 times the powers of ten (only the powers when there are many). */
void script_ticks(FILE *f, const char *axis, double low, double high, bool logarithmic,
                  double room) {
    open_ticks(f, axis);
    bool first = true;
    if (logarithmic) {
        const double decades = log10(high / low);
        const bool dense = decades * 3 <= room;
        for (int e = -9; e <= 9; e++)
            for (int m = 0; m < (dense ? 3 : 1); m++) {
                const double tick = pow(10, e) * (m == 0 ? 1 : m == 1 ? 2 : 5);
                if (tick < low * 0.999 || tick > high * 1.001)
                    continue;
                fprintf(f, "%s'%g' %g", first ? "" : ",", tick, tick);
                first = false;
            }
    } else {
        const double raw = (high - low) / room, power = pow(10, floor(log10(raw)));
        const double step = raw <= power       ? power
                            : raw <= 2 * power ? 2 * power
                            : raw <= 5 * power ? 5 * power
                                               : 10 * power;
        const long last = (long)floor(high * 1.0001 / step);
        for (long i = (long)ceil(low / step); i <= last; i++) {
            const double tick = (double)i * step;
            fprintf(f, "%s'%g' %g", first ? "" : ",", tick, tick);
            first = false;
        }
    }
    fputs(")\n", f);
}

/* A grid of panels, one a workload, with the row names left of the first column. */
struct grid {
    size_t columns, rows;
    double left, right, bottom, top;
};

static struct grid make_grid(size_t panels, double names_width) {
    static const unsigned char columns[PANELS_MAX + 1] = {1, 1, 2, 3, 2, 3, 3, 4, 4};
    struct grid g = {.columns = columns[panels], .bottom = 0.075, .top = 0.875, .right = 0.985};
    g.rows = (panels + g.columns - 1) / g.columns;
    g.left = 0.025 + (names_width < 0.24 ? names_width : 0.24);
    return g;
}

struct panel {
    double left, right, bottom, top;
    bool first_column;
};

static struct panel grid_panel(const struct grid *g, size_t index) {
    const size_t column = index % g->columns, row = index / g->columns;
    const double width = (g->right - g->left) / (double)g->columns;
    const double height = (g->top - g->bottom) / (double)g->rows;
    return (struct panel){.left = g->left + width * (double)column,
                          .right = g->left + width * (double)(column + 1) - 0.018,
                          .bottom = g->top - height * (double)(row + 1) + 0.055,
                          .top = g->top - height * (double)row - 0.068,
                          .first_column = column == 0};
}

/* "dict:size=1000:work=5" as a bold name and its parameters on a line of their own. */
static void put_panel_title(FILE *f, const struct panel *p, const char *workload) {
    const char *colon = strchr(workload, ':');
    char *name = strndup(workload, colon != NULL ? (size_t)(colon - workload) : strlen(workload));
    script_label(f, name != NULL ? name : workload, "screen", p->left, p->top + 0.042, "left",
                 SCRIPT_TEXT_PX + 1, "#000000", true);
    if (colon != NULL)
        script_label(f, colon + 1, "screen", p->left, p->top + 0.016, "left",
                     script_fit(colon + 1, SCRIPT_SMALL_PX, p->right - p->left), "#333333", false);
    free(name);
}

/* ---- slowdown ------------------------------------------------------------------------------ */

static void include_ratio(struct script_range *r, const struct load_ratio *ratio) {
    script_include(r, ratio->value);
    if (ratio->has_interval) {
        script_include(r, ratio->low);
        script_include(r, ratio->high);
    }
}

/* Slowdown of a workload under an engine: of its one-thread cell. */
static const struct load_cell *slowdown_cell(const struct view *view, const char *workload,
                                             const char *engine) {
    const struct load_cell *cell = view_cell(view, workload, engine, 1);
    return cell != NULL && cell->slowdown.present ? cell : NULL;
}

static bool is_baseline(const struct load_cell *cell) {
    return cell->slowdown.baseline != NULL && strcmp(cell->slowdown.baseline, cell->name) == 0;
}

/* Engines that have a slowdown of their own in this view; seq is the line at 1, not a bar. */
static size_t slowdown_engines(const struct view *view, size_t *engines) {
    size_t n = 0;
    for (size_t e = 0; e < view->engines_count; e++)
        for (size_t w = 0; w < view->workloads_count; w++) {
            const struct load_cell *cell =
                slowdown_cell(view, view->workloads[w], view->engines[e]);
            if (cell != NULL && !is_baseline(cell) && strcmp(cell->engine, "seq") != 0) {
                engines[n++] = e;
                break;
            }
        }
    return n;
}

static size_t slowdown_workloads(const struct view *view, const size_t *engines, size_t n,
                                 size_t *workloads, struct script_range *range) {
    size_t count = 0;
    for (size_t w = 0; w < view->workloads_count; w++) {
        bool any = false;
        for (size_t i = 0; i < n; i++) {
            const struct load_cell *cell =
                slowdown_cell(view, view->workloads[w], view->engines[engines[i]]);
            if (cell == NULL)
                continue;
            include_ratio(range, &cell->slowdown);
            any = true;
        }
        if (any)
            workloads[count++] = w;
    }
    return count;
}

static double longest(const char **names, const size_t *which, size_t n, int size_px) {
    double width = 0;
    for (size_t i = 0; i < n; i++) {
        const double w = script_text_width(names[which[i]], size_px);
        width = w > width ? w : width;
    }
    return width + 0.012;
}

static void slowdown_panel(FILE *f, const struct view *view, const char *workload,
                           const size_t *engines, size_t n, const struct panel *p,
                           const struct script_range *axis) {
    const double base = axis->logarithmic ? 1 : 0;
    script_margins(f, p->left, p->right, p->bottom, p->top);
    put_panel_title(f, p, workload);
    fprintf(f, "set xrange [%.6g:%.6g]\nset yrange [%.2f:-0.5]\n%s\n", axis->low, axis->high,
            (double)n - 0.5, axis->logarithmic ? "set logscale x" : "unset logscale x");
    script_ticks(f, "x", axis->low, axis->high, axis->logarithmic, (p->right - p->left) * 24);
    fputs("unset ytics\nset style textbox opaque fillcolor rgb 'white' noborder margins 0.3,0.1\n",
          f);
    fprintf(f, "$lines << EOD\n1 -0.5\n1 %.1f\n\n2 -0.5\n2 %.1f\nEOD\n$d << EOD\n", (double)n - 0.5,
            (double)n - 0.5);
    bool drawn = false;
    for (size_t i = 0; i < n; i++) {
        const struct load_cell *cell = slowdown_cell(view, workload, view->engines[engines[i]]);
        if (cell == NULL)
            continue;
        const struct load_ratio *s = &cell->slowdown;
        fprintf(f, "%zu %.9g %.9g %.9g %ld\n", i, s->value, s->has_interval ? s->low : s->value,
                s->has_interval ? s->high : s->value,
                strtol(view_colour(engines[i]) + 1, NULL, 16));
        drawn = true;
    }
    fputs("EOD\n", f);
    for (size_t i = 0; i < n; i++) {
        const struct load_cell *cell = slowdown_cell(view, workload, view->engines[engines[i]]);
        char text[VIEW_NUMBER_SIZE + 2] = "not measured";
        double at = axis->logarithmic ? 1 : 0;
        if (cell != NULL) {
            view_number(cell->slowdown.value, text);
            const size_t end = strlen(text);
            snprintf(text + end, sizeof text - end, "x");
            at = cell->slowdown.has_interval ? cell->slowdown.high : cell->slowdown.value;
            at = at < 1 ? 1 : at;
        }
        fputs("set label ", f);
        script_string(f, text);
        fprintf(f,
                " at first %.6g,%zu left offset character 0.8,0 boxed noenhanced font '%s,%d' tc "
                "rgb '%s' front\n",
                at, i, FONT, SCRIPT_SMALL_PX, cell != NULL ? "#000000" : "#777777");
        if (p->first_column) {
            const char *name = view->engines[engines[i]];
            fputs("set label ", f);
            script_string(f, name);
            fprintf(
                f,
                " at screen %.4f, first %zu right noenhanced font '%s,%d' tc rgb '#000000' front\n",
                p->left - 0.008, i, FONT, script_fit(name, SCRIPT_TEXT_PX, 0.24));
        }
    }
    if (drawn)
        fprintf(f,
                "plot $d using 2:1:(%g):2:($1-0.36):($1+0.36):5 with boxxyerror lc rgb variable fs "
                "solid 0.8 noborder, $lines every :::0::0 using 1:2 with lines lw 2 lc rgb "
                "'#000000', $lines every :::1::1 using 1:2 with lines lw 2 dt (6,5) lc rgb "
                "'#B00020', $d using 2:1:3:4 with xerrorbars pt 0 lw 2 lc rgb '#000000'\n",
                base);
    else
        fputs("plot -1e9 with lines\n", f);
    fputs("unset label\nunset arrow\nunset object\n", f);
}

static void slowdown_axis(struct script_range *axis) {
    script_include(axis, 1);
    script_include(axis, 2.1);
    axis->logarithmic = axis->high > 6;
    if (axis->logarithmic) {
        axis->low = axis->low < 1 ? axis->low / 1.15 : 0.9;
        axis->high *= pow(axis->high / axis->low, 0.34); /* room for the number behind the bar */
    } else {
        axis->low = 0;
        axis->high *= 1.36;
    }
}

/* ---- figures and their names --------------------------------------------------------------- */

static bool out_of_memory(void) {
    cli_error("report", "out of memory");
    return false;
}

/* Adds a figure; its name is made from `stem` and `slug` and is unique.  Takes `title` (malloc'ed).
 */
static struct figure *append_figure(struct figures *figures, char *title, const char *section,
                                    const char *stem, const char *slug) {
    struct figure *more = realloc(figures->list, (figures->count + 1) * sizeof *figures->list);
    char *name = NULL;
    if (more != NULL)
        figures->list = more;
    if (more == NULL || title == NULL || asprintf(&name, "%s%s", stem, slug) < 0) {
        free(title);
        out_of_memory();
        return NULL;
    }
    for (char *c = name; *c != '\0'; c++)
        *c = isalnum((unsigned char)*c) ? (char)tolower((unsigned char)*c) : '-';
    for (size_t i = 0, suffix = 2; i < figures->count; i++)
        if (strcmp(figures->list[i].name, name) == 0) { /* "a:b=c" and "a-b-c" */
            char *longer = NULL;
            if (asprintf(&longer, "%.*s-%zu", (int)strcspn(name, "~"), name, suffix++) < 0) {
                free(name);
                free(title);
                out_of_memory();
                return NULL;
            }
            free(name);
            name = longer;
            i = (size_t)-1; /* from the start, with the new name */
        }
    struct figure *figure = &figures->list[figures->count++];
    *figure = (struct figure){.name = name, .title = title, .section = section};
    return figure;
}

static struct figure *add_figure(struct figures *figures, const struct view *view, char *title,
                                 const char *section, const char *stem) {
    struct figure *figure =
        append_figure(figures, title, section, stem, view->load->hosts[view->host].slug);
    if (figure != NULL)
        figure->host = view->host;
    return figure;
}

const char *figures_add_experiment(struct figures *figures, const char *experiment,
                                   const char *title, const char *caption) {
    struct figure *figure =
        append_figure(figures, strdup(title), "experiment", "experiment-", experiment);
    if (figure == NULL)
        return NULL;
    figure->caption = strdup(caption);
    if (figure->caption != NULL)
        return figure->name;
    out_of_memory();
    return NULL;
}

FILE *script_open(const char *figure, const char *folder, char **name) {
    *name = NULL;
    if (asprintf(name, "%s.gp", figure) < 0) {
        *name = NULL;
        out_of_memory();
        return NULL;
    }
    FILE *f = report_open(folder, *name);
    if (f != NULL)
        fprintf(f,
                "# Draw it again: gnuplot -e \"set terminal svg enhanced size %d,%d; "
                "marker = 0.5; set output '%s.svg'\" %s\n",
                SCRIPT_WIDTH_PX, SCRIPT_HEIGHT_PX, figure, *name);
    return f;
}

bool script_close(FILE *f, const char *folder, char *name) {
    fputs("unset multiplot\n", f);
    const bool ok = report_close(f, folder, name);
    free(name);
    return ok;
}

static char *page_title(const char *what, size_t page, size_t pages) {
    char *title = NULL;
    const int made = pages > 1 ? asprintf(&title, "%s (%zu of %zu)", what, page + 1, pages)
                               : asprintf(&title, "%s", what);
    return made >= 0 ? title : NULL;
}

static void page_stem(char stem[32], const char *what, size_t page, size_t pages) {
    if (pages > 1)
        snprintf(stem, 32, "%s-%zu", what, page + 1);
    else
        snprintf(stem, 32, "%s", what);
}

static bool slowdown_page(const struct view *view, const char *folder, struct figures *figures,
                          const size_t *workloads, size_t panels, const size_t *engines, size_t n,
                          const struct script_range *axis, size_t page, size_t pages) {
    char stem[32];
    page_stem(stem, "slowdown", page, pages);
    const struct figure *figure =
        add_figure(figures, view,
                   page_title("What an engine costs on one thread: time per operation against seq",
                              page, pages),
                   "slowdown", stem);
    char *name;
    FILE *f = figure != NULL ? script_open(figure->name, folder, &name) : NULL;
    if (f == NULL)
        return false;
    char reading[256];
    snprintf(reading, sizeof reading,
             "times slower than seq; %s; dashed: 2x; whiskers: 95 %% interval of the median%s",
             axis->logarithmic ? "log scale, bars start at 1 = no cost" : "solid line: 1 = no cost",
             view_over(view));
    put_page(f, view, figure->title, reading);
    script_page_end(f);
    const struct grid grid = make_grid(panels, longest(view->engines, engines, n, SCRIPT_TEXT_PX));
    for (size_t i = 0; i < panels; i++) {
        const struct panel panel = grid_panel(&grid, i);
        slowdown_panel(f, view, view->workloads[workloads[i]], engines, n, &panel, axis);
    }
    return script_close(f, folder, name);
}

/* Splits n panels into pages of about equal size. */
static size_t page_count(size_t n) { return (n + PANELS_MAX - 1) / PANELS_MAX; }
static size_t page_start(size_t n, size_t pages, size_t page) { return n * page / pages; }

static bool slowdown_figures(const struct view *view, const char *folder, struct figures *figures) {
    size_t *engines = calloc(view->engines_count + 1, sizeof *engines);
    size_t *workloads = calloc(view->workloads_count + 1, sizeof *workloads);
    bool ok = (engines != NULL && workloads != NULL) || out_of_memory();
    if (ok) {
        struct script_range axis = {0};
        const size_t n = slowdown_engines(view, engines);
        const size_t count = slowdown_workloads(view, engines, n, workloads, &axis);
        const size_t pages = page_count(count);
        slowdown_axis(&axis);
        for (size_t page = 0; ok && page < pages; page++) {
            const size_t from = page_start(count, pages, page);
            const size_t to = page_start(count, pages, page + 1);
            ok = slowdown_page(view, folder, figures, workloads + from, to - from, engines, n,
                               &axis, page, pages);
        }
    }
    free(engines);
    free(workloads);
    return ok;
}

/* ---- speed-up and scaling ------------------------------------------------------------------ */

/* The two ratios that are drawn over threads. */
struct curve_kind {
    const char *title, *axis;
    bool speedup;
};

static const struct load_ratio *ratio_of(const struct load_cell *cell, bool speedup) {
    return speedup ? &cell->speedup : &cell->scaling;
}

/*
 * What a single sample says: the ratio's value is (baseline time) / median, so a sample's own is
 * value * median / sample.
 */
static double sample_ratio(const struct load_cell *cell, const struct load_ratio *r, size_t i) {
    return r->value * cell->median_ns / cell->raw_ns[i];
}

static const struct load_cell *curve_cell(const struct view *view, const char *workload, size_t e,
                                          size_t t, bool speedup) {
    const struct load_cell *cell = view_cell(view, workload, view->engines[e], view->threads[t]);
    return cell != NULL && cell->has_time && ratio_of(cell, speedup)->present ? cell : NULL;
}

/* Has this engine a curve on this workload: a point, and for scaling more than its own 1? */
static bool has_curve(const struct view *view, const char *workload, size_t e, bool speedup) {
    for (size_t t = 0; t < view->threads_count; t++) {
        const struct load_cell *cell = curve_cell(view, workload, e, t, speedup);
        if (cell != NULL && (speedup || cell->threads > 1))
            return true;
    }
    return false;
}

static struct script_range curve_range(const struct view *view, const char *workload,
                                       bool speedup) {
    struct script_range r = {0};
    for (size_t e = 0; e < view->engines_count; e++)
        for (size_t t = 0; t < view->threads_count && has_curve(view, workload, e, speedup); t++) {
            const struct load_cell *cell = curve_cell(view, workload, e, t, speedup);
            if (cell == NULL)
                continue;
            include_ratio(&r, ratio_of(cell, speedup));
            for (size_t i = 0; i < cell->raw_count; i++)
                script_include(&r, sample_ratio(cell, ratio_of(cell, speedup), i));
        }
    return r;
}

/* Threads stand on a doubling scale; engines are set beside each other around each count. */
static double thread_x(const struct view *view, size_t t) { return log2(view->threads[t]); }

static double slot_width(const struct view *view) {
    double gap = 1;
    for (size_t t = 1; t < view->threads_count; t++)
        gap = fmin(gap, thread_x(view, t) - thread_x(view, t - 1));
    return 0.62 * gap / (double)(view->engines_count > 0 ? view->engines_count : 1);
}

static double slot_offset(const struct view *view, size_t e) {
    return slot_width(view) * ((double)e - ((double)view->engines_count - 1) / 2);
}

static void put_thread_ticks(FILE *f, const struct view *view, double units_per_tick) {
    fprintf(f, "set xtics nomirror out scale 0.6 noenhanced font '%s,%d' tc rgb '#333333' (", FONT,
            SCRIPT_SMALL_PX);
    double last = -10;
    for (size_t t = 0; t < view->threads_count; t++) {
        const double x = thread_x(view, t);
        if (x - last < units_per_tick)
            continue;
        fprintf(f, "%s'%u' %.6g", last < -5 ? "" : ",", view->threads[t], x);
        last = x;
    }
    fputs(")\n", f);
}

/* Data blocks $mE (medians) and $rE (samples) of every engine, and the commands that draw them. */
static void put_curves(FILE *f, const struct view *view, const char *workload, bool speedup) {
    for (size_t e = 0; e < view->engines_count; e++) {
        if (!has_curve(view, workload, e, speedup))
            continue;
        const double offset = slot_offset(view, e), width = slot_width(view);
        fprintf(f, "$m%zu << EOD\n", e);
        for (size_t t = 0; t < view->threads_count; t++) {
            const struct load_cell *cell = curve_cell(view, workload, e, t, speedup);
            if (cell == NULL)
                continue;
            const struct load_ratio *r = ratio_of(cell, speedup);
            fprintf(f, "%.6g %.9g %.9g %.9g\n", thread_x(view, t) + offset, r->value,
                    r->has_interval ? r->low : r->value, r->has_interval ? r->high : r->value);
        }
        fprintf(f, "EOD\n$r%zu << EOD\n", e);
        for (size_t t = 0; t < view->threads_count; t++) {
            const struct load_cell *cell = curve_cell(view, workload, e, t, speedup);
            for (size_t i = 0; cell != NULL && i < cell->raw_count; i++)
                fprintf(f, "%.6g %.9g\n",
                        thread_x(view, t) + offset +
                            width * 0.7 * ((double)((i * 7) % 11) / 10 - 0.5),
                        sample_ratio(cell, ratio_of(cell, speedup), i));
        }
        fputs("EOD\n", f);
    }
    fputs("plot ", f);
    for (size_t e = 0; e < view->engines_count; e++)
        if (has_curve(view, workload, e, speedup))
            fprintf(f, "$r%zu using 1:2 with points pt 7 ps 0.6*marker lc rgb '#A0%s', \\\n", e,
                    view_colour(e) + 1);
    for (size_t e = 0; e < view->engines_count; e++)
        if (has_curve(view, workload, e, speedup))
            fprintf(
                f,
                "$m%zu using 1:2 with lines lw 2.5 dt %s lc rgb '%s', \\\n"
                "$m%zu using 1:2:3:4 with yerrorbars lw 2 pt %d ps 1.9*marker lc rgb '%s', \\\n",
                e, view_dash(e), view_colour(e), e, view_marker(e), view_colour(e));
    fputs("-1e9 with lines\n", f);
}

static void curve_panel(FILE *f, const struct view *view, const char *workload,
                        const struct curve_kind *kind, double left, double right) {
    struct script_range y = curve_range(view, workload, kind->speedup);
    script_margins(f, left, right, 0.175, 0.80);
    script_label(f, kind->title, "screen", left, 0.835, "left", SCRIPT_TEXT_PX + 1, "#000000",
                 true);
    if (!y.any) {
        script_label(f, "not measured", "screen", (left + right) / 2, 0.5, "center", SCRIPT_TEXT_PX,
                     "#777777", false);
        fputs("set xrange [0:1]\nset yrange [0:1]\nunset logscale\nunset tics\nunset border\n"
              "plot -1 with lines\nset border 3\nunset label\n",
              f);
        return;
    }
    script_include(&y, 1);
    y.logarithmic = y.high / y.low > 8;
    y.low = y.logarithmic ? y.low / 1.25 : 0;
    y.high *= y.logarithmic ? 1.25 : 1.1;
    const double x_last = thread_x(view, view->threads_count - 1);
    const double margin = 0.5 * (slot_width(view) * (double)view->engines_count) + 0.12;
    const double x_low = thread_x(view, 0) - margin, x_high = x_last + margin;
    fprintf(f, "set xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\nunset logscale\n%s", x_low, x_high,
            y.low, y.high, y.logarithmic ? "set logscale y\n" : "");
    script_ticks(f, "y", y.low, y.high, y.logarithmic, 9);
    put_thread_ticks(f, view, (x_high - x_low) * 0.055);
    script_label(f, "threads", "screen", (left + right) / 2, 0.105, "center", SCRIPT_TEXT_PX,
                 "#333333", false);
    fprintf(f,
            "set grid ytics lc rgb '#DDDDDD' lw 1\n"
            "set arrow from %.6g,1 to %.6g,1 nohead lw 2 lc rgb '#666666'\n",
            x_low, x_high);
    if (!kind->speedup && view->threads_count > 1) { /* n threads, n times */
        const double end = fmin(x_last, log2(y.high));
        fprintf(f, "set arrow from 0,1 to %.6g,%.6g nohead lw 2 dt (2,4) lc rgb '#777777'\n", end,
                exp2(end));
    }
    put_curves(f, view, workload, kind->speedup);
    fputs("unset label\nunset arrow\nunset grid\nunset logscale\n", f);
}

/* Legend at the right: marker, dash and name; under it what has no time. */
static void put_legend(FILE *f, const struct view *view, const char *workload) {
    const double left = 0.775;
    double y = 0.80;
    for (size_t e = 0; e < view->engines_count; e++) {
        if (!has_curve(view, workload, e, true) && !has_curve(view, workload, e, false))
            continue;
        const char *name = view->engines[e];
        fprintf(f,
                "set arrow from screen %.4f,screen %.4f to screen %.4f,screen %.4f nohead lw 2.5 "
                "dt %s lc rgb '%s'\n"
                "set label '' at screen %.4f,screen %.4f point pt %d ps 1.9*marker lc rgb '%s'\n",
                left, y, left + 0.04, y, view_dash(e), view_colour(e), left + 0.02, y,
                view_marker(e), view_colour(e));
        script_label(f, name, "screen", left + 0.048, y, "left",
                     script_fit(name, SCRIPT_TEXT_PX, 0.17), "#000000", false);
        y -= 0.045;
    }
    fprintf(f,
            "set arrow from screen %.4f,screen %.4f to screen %.4f,screen %.4f nohead lw 2 "
            "dt (2,4) lc rgb '#777777'\n",
            left, y, left + 0.04, y);
    script_label(f, "n threads, n times", "screen", left + 0.048, y, "left", SCRIPT_SMALL_PX,
                 "#333333", false);
    y -= 0.065;
    for (size_t e = 0; e < view->engines_count; e++)
        for (size_t t = 0; t < view->threads_count && y > 0.1; t++) {
            const struct load_cell *cell =
                view_cell(view, workload, view->engines[e], view->threads[t]);
            if (cell == NULL || cell->has_time)
                continue;
            char who[160], what[64];
            snprintf(who, sizeof who, "%s, %u thread%s:", cell->engine, cell->threads,
                     cell->threads == 1 ? "" : "s");
            view_no_time(cell, what, sizeof what);
            script_label(f, who, "screen", left, y, "left", script_fit(who, SCRIPT_SMALL_PX, 0.22),
                         "#B00020", false);
            script_label(f, what, "screen", left, y - 0.03, "left",
                         script_fit(what, SCRIPT_SMALL_PX, 0.22), "#B00020", true);
            y -= 0.075;
        }
}

static bool curve_figure(const struct view *view, const char *folder, struct figures *figures,
                         const char *workload) {
    static const struct curve_kind speedup = {"speed-up over the GIL on 1 thread", NULL, true};
    static const struct curve_kind scaling = {"scaling: over itself on 1 thread", NULL, false};
    char *title = NULL, *stem = NULL, *name;
    bool any = false;
    for (size_t e = 0; e < view->engines_count; e++)
        any = any || has_curve(view, workload, e, true) || has_curve(view, workload, e, false);
    if (!any)
        return true;
    if (asprintf(&title, "%s: throughput as threads are added", workload) < 0)
        title = NULL;
    if (asprintf(&stem, "threads-%s", workload) < 0)
        stem = NULL;
    if (stem == NULL) {
        free(title);
        return out_of_memory();
    }
    const struct figure *figure = add_figure(figures, view, title, "speedup", stem);
    free(stem);
    FILE *f = figure != NULL ? script_open(figure->name, folder, &name) : NULL;
    if (f == NULL)
        return false;
    char reading[256];
    snprintf(reading, sizeof reading,
             "higher is better; marker: median with its 95 %% interval%s; dots: every %s; engines "
             "are set apart sideways",
             view_over(view), view->load->hosts[view->host].simulated ? "seed" : "sample");
    put_page(f, view, figure->title, reading);
    put_legend(f, view, workload);
    script_page_end(f);
    curve_panel(f, view, workload, &speedup, 0.06, 0.385);
    curve_panel(f, view, workload, &scaling, 0.435, 0.755);
    return script_close(f, folder, name);
}

/* ---- aborts -------------------------------------------------------------------------------- */

/* A row of the abort figure: an engine at a thread count. */
struct abort_row {
    size_t engine, thread;
    char *name;
};

struct abort_figure {
    const struct view *view;
    struct abort_row *rows;
    size_t rows_count;
    const char **causes;
    size_t causes_count;
    size_t *workloads;
    size_t workloads_count;
    double most; /* aborts a commit, of any cell */
};

static double aborts_per_commit(const struct load_cell *cell, double aborts) {
    return cell->commits > 0 ? aborts / cell->commits : 0;
}

static void add_cause(struct abort_figure *a, const char *cause) {
    for (size_t i = 0; i < a->causes_count; i++)
        if (strcmp(a->causes[i], cause) == 0)
            return;
    a->causes[a->causes_count++] = cause;
}

/* Has the cell something to show here?  Collects its causes. */
static bool abort_cell_counts(struct abort_figure *a, const struct load_cell *cell) {
    if (cell == NULL)
        return false;
    for (size_t i = 0; i < cell->abort_causes && cell->commits > 0; i++)
        if (cell->aborts[i].count > 0)
            add_cause(a, cell->aborts[i].name);
    a->most = fmax(a->most, aborts_per_commit(cell, cell->aborts_total));
    return cell->verify_failed > 0 || aborts_per_commit(cell, cell->aborts_total) > 0;
}

static bool abort_rows(struct abort_figure *a) {
    const struct view *view = a->view;
    for (size_t e = 0; e < view->engines_count; e++)
        for (size_t t = 0; t < view->threads_count; t++) {
            bool any = false;
            for (size_t w = 0; w < view->workloads_count; w++)
                any = abort_cell_counts(a, view_cell(view, view->workloads[w], view->engines[e],
                                                     view->threads[t])) ||
                      any;
            if (!any)
                continue;
            struct abort_row *row = &a->rows[a->rows_count];
            *row = (struct abort_row){e, t, NULL};
            if (asprintf(&row->name, "%s, %u thread%s", view->engines[e], view->threads[t],
                         view->threads[t] == 1 ? "" : "s") < 0) {
                row->name = NULL;
                return out_of_memory();
            }
            a->rows_count++;
        }
    return true;
}

static void abort_workloads(struct abort_figure *a) {
    const struct view *view = a->view;
    for (size_t w = 0; w < view->workloads_count; w++)
        for (size_t r = 0; r < a->rows_count; r++)
            if (abort_cell_counts(a, view_cell(view, view->workloads[w],
                                               view->engines[a->rows[r].engine],
                                               view->threads[a->rows[r].thread]))) {
                a->workloads[a->workloads_count++] = w;
                break;
            }
}

/* Fills that differ in grey: solid, pale, then gnuplot's hatchings.  A rectangle calls its colour
 * fc, a bar lc. */
static void put_fill(FILE *f, size_t cause, const char *colour_word) {
    static const char *const colours[] = {"#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"};
    static const char *const fills[] = {"solid 1.0", "solid 0.45", "pattern 4", "pattern 5",
                                        "pattern 2"};
    fprintf(f, "%s rgb '%s' fs %s border lc rgb '#333333'", colour_word, colours[cause % 5],
            fills[cause % 5]);
}

static double count_of(const struct load_cell *cell, const char *cause) {
    for (size_t i = 0; i < cell->abort_causes; i++)
        if (strcmp(cell->aborts[i].name, cause) == 0)
            return cell->aborts[i].count;
    return 0;
}

static const struct load_cell *abort_cell(const struct abort_figure *a, size_t w, size_t row) {
    return view_cell(a->view, a->view->workloads[w], a->view->engines[a->rows[row].engine],
                     a->view->threads[a->rows[row].thread]);
}

static void abort_panel_labels(FILE *f, const struct abort_figure *a, size_t w,
                               const struct panel *p) {
    for (size_t r = 0; r < a->rows_count; r++) {
        const struct load_cell *cell = abort_cell(a, w, r);
        char text[64] = "not measured";
        double at = 0;
        const char *colour = "#777777";
        if (cell != NULL && !cell->has_time) {
            view_no_time(cell, text, sizeof text);
            colour = "#B00020";
        } else if (cell != NULL && cell->commits > 0) {
            at = aborts_per_commit(cell, cell->aborts_total);
            view_number(at, text);
            colour = "#000000";
        }
        fputs("set label ", f);
        script_string(f, text);
        fprintf(f,
                " at first %.6g,%zu left offset character 0.8,0 boxed noenhanced font '%s,%d' tc "
                "rgb '%s' front\n",
                at, r, FONT, SCRIPT_SMALL_PX, colour);
        if (p->first_column) {
            fputs("set label ", f);
            script_string(f, a->rows[r].name);
            fprintf(
                f,
                " at screen %.4f, first %zu right noenhanced font '%s,%d' tc rgb '#000000' front\n",
                p->left - 0.008, r, FONT, script_fit(a->rows[r].name, SCRIPT_SMALL_PX, 0.24));
        }
    }
}

static void abort_panel(FILE *f, const struct abort_figure *a, size_t w, const struct panel *p) {
    const double most = a->most > 0 ? a->most * 1.3 : 1;
    script_margins(f, p->left, p->right, p->bottom, p->top);
    put_panel_title(f, p, a->view->workloads[w]);
    fprintf(f, "set xrange [0:%.6g]\nset yrange [%.2f:-0.5]\nunset ytics\n", most,
            (double)a->rows_count - 0.5);
    script_ticks(f, "x", 0, most, false, (p->right - p->left) * 20);
    fputs("$d << EOD\n", f);
    bool drawn = false;
    for (size_t r = 0; r < a->rows_count; r++) {
        const struct load_cell *cell = abort_cell(a, w, r);
        if (cell == NULL || !cell->has_time)
            continue;
        double sum = 0;
        fprintf(f, "%zu 0", r);
        for (size_t c = 0; c < a->causes_count; c++) {
            sum += aborts_per_commit(cell, count_of(cell, a->causes[c]));
            fprintf(f, " %.9g", sum);
        }
        fputc('\n', f);
        drawn = true;
    }
    fputs("EOD\n", f);
    abort_panel_labels(f, a, w, p);
    fputs("plot ", f);
    for (size_t c = 0; drawn && c < a->causes_count; c++) {
        fprintf(f, "$d using %zu:1:%zu:%zu:($1-0.33):($1+0.33) with boxxyerror ", c + 3, c + 2,
                c + 3);
        put_fill(f, c, "lc");
        fputs(", \\\n", f);
    }
    fputs("-1e9 with lines\nunset label\n", f);
}

static void abort_legend(FILE *f, const struct abort_figure *a) {
    double x = 0.02;
    for (size_t c = 0; c < a->causes_count; c++) {
        fprintf(f,
                "set object rectangle from screen %.4f,screen 0.014 to screen %.4f,screen 0.038 ",
                x, x + 0.022);
        put_fill(f, c, "fc");
        fputc('\n', f);
        script_label(f, a->causes[c], "screen", x + 0.028, 0.026, "left", SCRIPT_SMALL_PX,
                     "#000000", false);
        x += 0.05 + script_text_width(a->causes[c], SCRIPT_SMALL_PX);
    }
}

static bool abort_page(const struct abort_figure *a, const char *folder, struct figures *figures,
                       size_t page, size_t pages) {
    const size_t from = page_start(a->workloads_count, pages, page);
    const size_t panels = page_start(a->workloads_count, pages, page + 1) - from;
    char stem[32];
    page_stem(stem, "aborts", page, pages);
    const struct figure *figure =
        add_figure(figures, a->view,
                   page_title("Aborts by cause: executions thrown away per commit", page, pages),
                   "aborts", stem);
    char *name;
    FILE *f = figure != NULL ? script_open(figure->name, folder, &name) : NULL;
    if (f == NULL)
        return false;
    put_page(f, a->view, figure->title,
             "aborts per committed section, stacked by cause; engines, threads and workloads "
             "without any are left out");
    abort_legend(f, a);
    script_page_end(f);
    double names = 0;
    for (size_t r = 0; r < a->rows_count; r++)
        names = fmax(names, script_text_width(a->rows[r].name, SCRIPT_SMALL_PX) + 0.012);
    const struct grid grid = make_grid(panels, names);
    for (size_t i = 0; i < panels; i++) {
        const struct panel panel = grid_panel(&grid, i);
        abort_panel(f, a, a->workloads[from + i], &panel);
    }
    return script_close(f, folder, name);
}

static bool abort_figures(const struct view *view, const char *folder, struct figures *figures) {
    struct abort_figure a = {.view = view};
    size_t causes = 1;
    for (size_t i = 0; i < view->load->cells_count; i++)
        causes += view->load->cells[i].abort_causes;
    a.rows = calloc(view->engines_count * view->threads_count + 1, sizeof *a.rows);
    a.causes = calloc(causes, sizeof *a.causes);
    a.workloads = calloc(view->workloads_count + 1, sizeof *a.workloads);
    bool ok = (a.rows != NULL && a.causes != NULL && a.workloads != NULL) || out_of_memory();
    ok = ok && abort_rows(&a);
    if (ok) {
        abort_workloads(&a);
        const size_t pages = page_count(a.workloads_count);
        for (size_t page = 0; ok && page < pages; page++)
            ok = abort_page(&a, folder, figures, page, pages);
    }
    for (size_t r = 0; a.rows != NULL && r < a.rows_count; r++)
        free(a.rows[r].name);
    free(a.rows);
    free(a.causes);
    free(a.workloads);
    return ok;
}

/* ---- gnuplot ------------------------------------------------------------------------------- */

/* First line of a file that gnuplot wrote its complaints to, into text. */
static void first_complaint(const char *path, char *text, size_t size) {
    FILE *f = fopen(path, "re");
    text[0] = '\0';
    char line[512];
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *start = line + strspn(line, " \t^");
        if (*start != '\0' && (text[0] == '\0' || strstr(start, "line ") != NULL)) {
            snprintf(text, size, "%s", start);
            if (strstr(start, "line ") != NULL)
                break;
        }
    }
    if (f != NULL)
        fclose(f);
}

/* Runs one script in its folder, with `before` as the commands that choose terminal and output. */
static bool run_gnuplot(const char *folder, const char *before, const char *script) {
    static const char errors_name[] = ".gnuplot-errors";
    char *const argv[] = {(char *)"gnuplot", (char *)"-d",   (char *)"-e",
                          (char *)before,    (char *)script, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    int status = 0;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, errors_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int failed = posix_spawnp(&pid, "gnuplot", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    bool ok = failed == 0;
    if (failed == ENOENT)
        cli_error("report", "gnuplot is not installed; the pictures need it (Debian and "
                            "Ubuntu: package gnuplot-nox)");
    else if (failed != 0)
        cli_error("report", "gnuplot cannot be started: %s", strerror(failed));
    while (ok && waitpid(pid, &status, 0) < 0)
        ok = errno == EINTR;
    char *errors = NULL;
    if (asprintf(&errors, "%s/%s", folder, errors_name) < 0)
        return out_of_memory();
    if (ok && status != 0) {
        char complaint[512];
        first_complaint(errors, complaint, sizeof complaint);
        cli_error("report", "gnuplot could not draw %s: %s", script,
                  complaint[0] != '\0' ? complaint : "it said nothing");
        ok = false;
    }
    unlink(errors);
    free(errors);
    return ok;
}

/* A form that figures are drawn in.  SVG's markers grow with its font, hence their own scale. */
struct form {
    const char *terminal, *extension;
    double marker;
};

/* Draws one figure in one form. */
static bool draw(const char *folder, const char *name, const struct form *form) {
    char *before = NULL, *script = NULL;
    if (asprintf(&script, "%s.gp", name) < 0)
        return out_of_memory();
    bool ok = asprintf(&before,
                       "set terminal %s size %d,%d font '%s,%d' background rgb 'white'; marker = "
                       "%g; set output '%s.%s'",
                       form->terminal, SCRIPT_WIDTH_PX, SCRIPT_HEIGHT_PX, FONT, SCRIPT_SMALL_PX,
                       form->marker, name, form->extension) >= 0;
    if (ok) {
        ok = run_gnuplot(folder, before, script);
        free(before);
    } else {
        out_of_memory();
    }
    free(script);
    return ok;
}

bool figure_render(const char *folder, const char *name) {
    static const struct form svg = {"svg enhanced", "svg", 0.5};
    static const struct form png = {"pngcairo enhanced fontscale 0.75", "png", 1.1};
    return draw(folder, name, &svg) && draw(folder, name, &png);
}

bool figures_draw(const struct view *view, const char *folder, struct figures *figures) {
    const size_t first = figures->count;
    bool ok = slowdown_figures(view, folder, figures);
    for (size_t w = 0; ok && w < view->workloads_count; w++)
        ok = curve_figure(view, folder, figures, view->workloads[w]);
    ok = ok && abort_figures(view, folder, figures);
    for (size_t i = first; ok && i < figures->count; i++)
        ok = figure_render(folder, figures->list[i].name);
    return ok;
}
