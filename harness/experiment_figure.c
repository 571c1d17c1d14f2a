/*
 * experiment_figure.c - the figure of a named experiment: a curve for each engine, thread count,
 * workload and abort cause over whatever the experiment varies.  See experiment.h.
 *
 * A cell's place on x is read from how it was written ("txsize:conflict=0.1"); curves are what
 * remains of its description without that.  A cell that does not have x, such as a baseline, is a
 * line across the panel.
 */
#include "experiment_drawing.h"

#include "cli.h"
#include "figure_script.h"
#include "report_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TICKS_MAX = 24 };

/* ---- cells on the axes -----------------------------------------------------------------------
 */

/* The profile's values that not all cells share, without x. */
static bool take_out_set(const struct experiment *e, const struct load_cell *cell,
                         char rest[TEXT_SIZE], double *x) {
    bool found = false;
    size_t used = 0;
    rest[0] = '\0';
    for (size_t i = e->override_count; i < json_array_size(cell->overrides); i++) {
        const char *text = json_string_value(json_array_get(cell->overrides, i));
        const size_t n = strlen(e->x.key);
        if (e->x.part == PART_SET && strncmp(text, e->x.key, n) == 0 && text[n] == '=')
            found = experiment_number(text + n + 1, x);
        else if (used < TEXT_SIZE)
            used +=
                (size_t)snprintf(rest + used, TEXT_SIZE - used, "%s%s", used > 0 ? " " : "", text);
    }
    return found;
}

static bool too_many(const struct drawing *d) {
    cli_error(NULL, "experiment %s: its figure has more than %d curves", d->e->name, CURVES_MAX);
    return false;
}

/* The curve of these names, new or known; CURVES_MAX when there are too many. */
static unsigned find_curve(struct drawing *d, const struct curve *names) {
    for (unsigned i = 0; i < d->curves; i++)
        if (memcmp(d->curve[i].name, names->name, sizeof names->name) == 0)
            return i;
    if (d->curves < CURVES_MAX)
        d->curve[d->curves++] = *names;
    else
        return CURVES_MAX;
    return d->curves - 1;
}

static double aborted(const struct load_cell *cell, const char *cause) {
    if (cause == NULL)
        return cell->aborts_total;
    for (size_t i = 0; i < cell->abort_causes; i++)
        if (strcmp(cell->aborts[i].name, cause) == 0)
            return cell->aborts[i].count;
    return 0;
}

static bool of_ratio(struct point *p, const struct load_ratio *ratio, bool time_above) {
    p->value = ratio->value;
    p->low = ratio->low;
    p->high = ratio->high;
    p->has_interval = ratio->has_interval;
    p->sample_inverse = !time_above;
    p->sample_factor =
        time_above ? ratio->value / p->cell->median_ns : ratio->value * p->cell->median_ns;
    return ratio->present;
}

/* The quantity of a cell; false when it has none. */
static bool quantity_of(const struct experiment_panel *panel, const char *cause, struct point *p) {
    const struct load_cell *cell = p->cell;
    const double aborts = aborted(cell, cause);
    switch (panel->quantity) {
    case QUANTITY_TIME:
        p->value = cell->median_ns;
        p->low = cell->low_ns;
        p->high = cell->high_ns;
        p->has_interval = cell->has_interval;
        p->sample_factor = 1;
        break;
    case QUANTITY_THROUGHPUT:
        p->value = 1e3 / cell->median_ns;
        p->has_interval = cell->has_interval;
        p->low = p->has_interval ? 1e3 / cell->high_ns : 0;
        p->high = p->has_interval ? 1e3 / cell->low_ns : 0;
        p->sample_factor = 1e3;
        p->sample_inverse = true;
        break;
    case QUANTITY_SLOWDOWN:
        return of_ratio(p, &cell->slowdown, true);
    case QUANTITY_SCALING:
        return of_ratio(p, &cell->scaling, false);
    case QUANTITY_SPEEDUP:
        return of_ratio(p, &cell->speedup, false);
    case QUANTITY_ABORTS:
        p->value = aborts / cell->commits;
        return cell->commits > 0;
    case QUANTITY_ABORT_RATIO:
        p->value = aborts / (cell->aborts_total + cell->commits);
        return cell->aborts_total + cell->commits > 0 && cell->commits >= 0;
    case QUANTITY_COMMITS:
        p->value = cell->commits;
        return cell->commits >= 0;
    case QUANTITY_WASTED:
        p->value = cell->wasted_ratio;
        return cell->wasted_ratio >= 0;
    case QUANTITIES:
        return false;
    }
    return true;
}

/* Does an engine never abort in this way, whatever varies?  Its curve would be the axis. */
static bool never_aborts(const struct drawing *d, const struct load_cell *cell, const char *cause) {
    for (size_t i = 0; i < d->load->cells_count; i++) {
        const struct load_cell *other = &d->load->cells[i];
        if (other->file == d->file && other->threads == cell->threads &&
            strcmp(other->engine, cell->engine) == 0 && aborted(other, cause) > 0)
            return false;
    }
    return true;
}

/* One cell, under one cause or all, into a panel. */
static bool add_point(struct drawing *d, unsigned panel, const struct load_cell *cell,
                      const char *cause) {
    const struct experiment *e = d->e;
    const struct experiment_panel *what = &e->panel[panel];
    struct point p = {.cell = cell};
    struct curve names;
    memset(&names, 0, sizeof names); /* compared as a whole */
    double x = 0;
    const char *workload_x = e->x.part == PART_WORKLOAD ? e->x.key : "";
    const char *engine_x = e->x.part == PART_ENGINE ? e->x.key : "";
    p.has_x = experiment_take_out(cell->workload, workload_x, names.name[NAME_WORKLOAD], &x);
    p.has_x |= experiment_take_out(cell->engine, engine_x, names.name[NAME_ENGINE], &x);
    p.has_x |= take_out_set(e, cell, names.name[NAME_SET], &x);
    if (e->x.part == PART_THREADS) {
        p.has_x = true;
        x = cell->threads;
    } else {
        snprintf(names.name[NAME_THREADS], TEXT_SIZE, "%u thread%s", cell->threads,
                 cell->threads == 1 ? "" : "s");
    }
    if (cause != NULL && what->cause_count > 1) /* a single one is the panel's subject */
        snprintf(names.name[NAME_CAUSE], TEXT_SIZE, "%s", cause);
    p.x = x * e->x_axis.factor;
    if (p.has_x && e->x_axis.logarithmic && p.x <= 0)
        return true; /* has no place */
    if (!cell->has_time || !quantity_of(what, cause, &p) ||
        (cause != NULL && never_aborts(d, cell, cause)))
        return true;
    p.value *= what->y.factor;
    p.low *= what->y.factor;
    p.high *= what->y.factor;
    p.sample_factor *= what->y.factor;
    p.curve = find_curve(d, &names);
    if (p.curve == CURVES_MAX)
        return too_many(d);
    d->point[panel][d->points[panel]++] = p;
    return true;
}

static bool known_cause(const struct drawing *d, const char *cause) {
    for (size_t i = 0; i < d->load->cells_count; i++)
        for (size_t k = 0; k < d->load->cells[i].abort_causes; k++)
            if (strcmp(d->load->cells[i].aborts[k].name, cause) == 0)
                return true;
    cli_error(NULL, "experiment %s: no cell knows the abort cause '%.40s'", d->e->name, cause);
    return false;
}

static int by_curve_and_x(const void *a, const void *b) {
    const struct point *p = a, *q = b;
    if (p->curve != q->curve)
        return p->curve < q->curve ? -1 : 1;
    return p->x < q->x ? -1 : p->x > q->x;
}

static bool add_points(struct drawing *d, unsigned panel) {
    const struct experiment_panel *what = &d->e->panel[panel];
    const unsigned causes = what->cause_count > 0 ? what->cause_count : 1;
    d->point[panel] = calloc(d->load->cells_count * causes + 1, sizeof *d->point[panel]);
    if (d->point[panel] == NULL) {
        cli_error(NULL, "out of memory");
        return false;
    }
    for (unsigned c = 0; c < what->cause_count; c++)
        if (!known_cause(d, what->causes[c]))
            return false;
    for (size_t i = 0; i < d->load->cells_count; i++)
        for (unsigned c = 0; c < causes && d->load->cells[i].file == d->file; c++)
            if (!add_point(d, panel, &d->load->cells[i],
                           what->cause_count > 0 ? what->causes[c] : NULL))
                return false;
    qsort(d->point[panel], d->points[panel], sizeof *d->point[panel], by_curve_and_x);
    return true;
}

/* Does a name NAME:k=v:k=v have this part (`n` characters, no colon in them)? */
static bool has_part(const char *name, const char *part, size_t n) {
    for (const char *p = name;; p += strcspn(p, ":") + 1) {
        if (strcspn(p, ":") == n && strncmp(p, part, n) == 0)
            return true;
        if (p[strcspn(p, ":")] == '\0')
            return false;
    }
}

/* Is it a part of this name of every curve? */
static bool is_common(const struct drawing *d, unsigned name, const char *part, size_t n) {
    for (unsigned i = 0; i < d->curves; i++)
        if (!has_part(d->curve[i].name[name], part, n))
            return false;
    return true;
}

/* The parts of a curve's workload that others do not have; the first one where all are common. */
static void distinct_parts(const struct drawing *d, const char *name, char text[TEXT_SIZE]) {
    size_t used = 0;
    text[0] = '\0';
    for (const char *p = name; *p != '\0';
         p += p[strcspn(p, ":")] == ':' ? strcspn(p, ":") + 1 : strcspn(p, ":")) {
        const size_t n = strcspn(p, ":");
        if (!is_common(d, NAME_WORKLOAD, p, n) && used < TEXT_SIZE)
            used += (size_t)snprintf(text + used, TEXT_SIZE - used, "%s%.*s", used > 0 ? ":" : "",
                                     (int)n, p);
    }
    if (used == 0)
        snprintf(text, TEXT_SIZE, "%.*s", (int)strcspn(name, ":"), name);
}

/* What the experiment calls it, or NULL. */
static const char *plain_words(const struct drawing *d, const char *name) {
    for (unsigned i = 0; i < d->e->name_count; i++)
        if (strcmp(d->e->names[i].of, name) == 0)
            return d->e->names[i].name;
    return NULL;
}

/* Labels say what differs between curves, and the engine in any case. */
static void make_labels(struct drawing *d) {
    for (unsigned n = 0; n < NAMES; n++) {
        d->shown[n] = n == NAME_ENGINE;
        for (unsigned i = 1; i < d->curves; i++)
            d->shown[n] |= strcmp(d->curve[i].name[n], d->curve[0].name[n]) != 0;
    }
    for (unsigned i = 0; i < d->curves; i++) {
        struct curve *curve = &d->curve[i];
        char workload[TEXT_SIZE];
        size_t used = 0;
        distinct_parts(d, curve->name[NAME_WORKLOAD], workload);
        for (unsigned n = 0; n < NAMES && used < TEXT_SIZE; n++) {
            const char *plain =
                n == NAME_ENGINE || n == NAME_WORKLOAD ? plain_words(d, curve->name[n]) : NULL;
            const char *name = plain != NULL        ? plain
                               : n == NAME_WORKLOAD ? workload
                                                    : curve->name[n];
            if (d->shown[n] && name[0] != '\0')
                used += (size_t)snprintf(curve->label + used, TEXT_SIZE - used, "%s%.120s",
                                         used > 0 ? ", " : "", name);
        }
    }
}

/* ---- the script ------------------------------------------------------------------------------
 */

static double sample_of(const struct point *p, size_t i) {
    return p->sample_inverse ? p->sample_factor / p->cell->raw_ns[i]
                             : p->sample_factor * p->cell->raw_ns[i];
}

static struct script_range x_range(const struct drawing *d) {
    struct script_range r = {.any = false};
    for (unsigned panel = 0; panel < d->e->panels; panel++)
        for (size_t i = 0; i < d->points[panel]; i++)
            if (d->point[panel][i].has_x)
                script_include(&r, d->point[panel][i].x);
    if (!r.any)
        script_include(&r, 1);
    const bool one = r.high <= r.low;
    if (d->e->x_axis.logarithmic) {
        const double margin = one ? 2 : pow(r.high / r.low, 0.04);
        r.low /= margin;
        r.high *= margin;
    } else {
        const double margin = one ? 1 : (r.high - r.low) * 0.04;
        r.low -= margin;
        r.high += margin;
    }
    return r;
}

/* What a logarithmic axis cannot show, zero, stands at its foot. */
static struct script_range y_range(const struct drawing *d, unsigned panel) {
    const struct experiment_axis *axis = &d->e->panel[panel].y;
    struct script_range r = {.any = false};
    for (size_t i = 0; i < d->points[panel]; i++) {
        const struct point *p = &d->point[panel][i];
        const double all[] = {p->value, p->has_interval ? p->low : p->value,
                              p->has_interval ? p->high : p->value};
        for (unsigned k = 0; k < 3; k++)
            if (!axis->logarithmic || all[k] > 0)
                script_include(&r, all[k]);
        for (size_t k = 0; p->sample_factor > 0 && k < p->cell->raw_count; k++)
            script_include(&r, sample_of(p, k));
    }
    if (!r.any)
        script_include(&r, 1);
    if (axis->logarithmic) {
        r.low /= 1.3;
        r.high *= 1.3;
    } else {
        r.low = 0;
        r.high = r.high > 0 ? r.high * 1.08 : 1;
    }
    return r;
}

static void put_data(FILE *f, const struct drawing *d, unsigned panel, unsigned curve,
                     const struct script_range *x, const struct script_range *y) {
    const struct point *points = d->point[panel];
    const size_t n = d->points[panel];
    fprintf(f, "$m%u << EOD\n", curve);
    for (size_t i = 0; i < n; i++) {
        const struct point *p = &points[i];
        if (p->curve != curve)
            continue;
        const double value = fmax(p->value, y->low);
        const double low = p->has_interval ? fmax(p->low, y->low) : value;
        const double high = p->has_interval ? p->high : value;
        if (p->has_x)
            fprintf(f, "%.9g %.9g %.9g %.9g\n", p->x, value, low, high);
        else /* across */
            fprintf(f, "%.9g %.9g %.9g %.9g\n%.9g %.9g %.9g %.9g\n", x->low, value, low, high,
                    x->high, value, low, high);
    }
    fprintf(f, "EOD\n$r%u << EOD\n", curve);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; points[i].curve == curve && points[i].has_x &&
                           points[i].sample_factor > 0 && k < points[i].cell->raw_count;
             k++)
            fprintf(f, "%.9g %.9g\n", points[i].x, sample_of(&points[i], k));
    fputs("EOD\n", f);
}

static bool has_points(const struct drawing *d, unsigned panel, unsigned curve) {
    for (size_t i = 0; i < d->points[panel]; i++)
        if (d->point[panel][i].curve == curve)
            return true;
    return false;
}

void experiment_frame(FILE *f, const char *title, const char *x_label, double left, double right) {
    const double width = right - left;
    script_margins(f, left, right, 0.175, 0.80);
    script_label(f, title, "screen", left, 0.835, "left",
                 script_fit(title, SCRIPT_TEXT_PX + 1, width), "#000000", true);
    script_label(f, x_label, "screen", (left + right) / 2, 0.105, "center",
                 script_fit(x_label, SCRIPT_TEXT_PX, width), "#333333", false);
}

/* Thread counts are few: each is marked.  False, and nothing done, where there is no room for that.
 */
static bool thread_ticks(FILE *f, const struct drawing *d, const struct script_range *x,
                         double width) {
    double tick[TICKS_MAX];
    unsigned ticks = 0;
    for (unsigned panel = 0; panel < d->e->panels; panel++)
        for (size_t i = 0; i < d->points[panel]; i++) {
            const double value = d->point[panel][i].x;
            unsigned at = 0;
            while (at < ticks && tick[at] < value)
                at++;
            if (at < ticks && tick[at] == value)
                continue;
            if (ticks == TICKS_MAX)
                return false;
            memmove(&tick[at + 1], &tick[at], (ticks - at) * sizeof *tick);
            tick[at] = value;
            ticks++;
        }
    const bool logarithmic = d->e->x_axis.logarithmic;
    const double range = logarithmic ? log(x->high / x->low) : x->high - x->low;
    for (unsigned i = 1; i < ticks; i++) {
        const double gap = logarithmic ? log(tick[i] / tick[i - 1]) : tick[i] - tick[i - 1];
        if (gap / range * width < 0.015)
            return false;
    }
    script_ticks_at(f, "x", tick, ticks);
    return true;
}

static void put_panel(FILE *f, const struct drawing *d, unsigned panel, double left, double right) {
    const struct experiment *e = d->e;
    const struct experiment_panel *what = &e->panel[panel];
    if (what->bars) {
        experiment_bars(f, d, panel, left, right);
        return;
    }
    const struct script_range x = x_range(d), y = y_range(d, panel);
    experiment_frame(f, what->title, e->x_axis.label, left, right);
    fputs("set label ", f);
    script_string(f, what->y.label);
    fprintf(f,
            " at screen %.4f,screen 0.4875 center rotate by 90 noenhanced font '%s,%d' tc rgb "
            "'#333333'\n",
            left - 0.043, SCRIPT_FONT, SCRIPT_SMALL_PX);
    fprintf(f, "unset logscale\n%s%sset xrange [%.9g:%.9g]\nset yrange [%.9g:%.9g]\n",
            e->x_axis.logarithmic ? "set logscale x\n" : "",
            what->y.logarithmic ? "set logscale y\n" : "", x.low, x.high, y.low, y.high);
    const double room = (right - left) * 24;
    if (e->x.part != PART_THREADS || !thread_ticks(f, d, &x, right - left))
        script_ticks(f, "x", x.low, x.high, e->x_axis.logarithmic, room);
    script_ticks(f, "y", y.low, y.high, what->y.logarithmic, 9);
    fputs("set grid ytics lc rgb '#DDDDDD' lw 1\n", f);
    for (unsigned c = 0; c < d->curves; c++)
        put_data(f, d, panel, c, &x, &y);
    fputs("plot ", f);
    for (unsigned c = 0; c < d->curves; c++)
        if (has_points(d, panel, c))
            fprintf(f, "$r%u using 1:2 with points pt 7 ps 0.6*marker lc rgb '#A0%s', \\\n", c,
                    view_colour(c) + 1);
    for (unsigned c = 0; c < d->curves; c++)
        if (has_points(d, panel, c))
            fprintf(f,
                    "$m%u using 1:2 with lines lw 2.5 dt %s lc rgb '%s', \\\n"
                    "$m%u using 1:2:3:4 with yerrorbars lw 2 pt %d ps 1.9*marker lc rgb '%s', \\\n",
                    c, view_dash(c), view_colour(c), c, view_marker(c), view_colour(c));
    fputs("-1e9 with lines\nunset label\nunset arrow\nunset grid\nunset logscale\n", f);
}

/* The name of a curve; in two lines, at a comma, where one line would be too small to read. */
static void put_name(FILE *f, const char *name, double x, double y) {
    enum { LONG = 28 };
    const double line = 0.011, width = 0.17;
    const char *comma = strlen(name) > LONG ? strrchr(name, ',') : NULL;
    if (comma == NULL) {
        script_label(f, name, "screen", x, y, "left", script_fit(name, SCRIPT_SMALL_PX, width),
                     "#000000", false);
        return;
    }
    char first[TEXT_SIZE + 1];
    snprintf(first, sizeof first, "%.*s,", (int)(comma - name), name);
    const char *second = comma + 1 + strspn(comma + 1, " ");
    const char *longer = strlen(first) > strlen(second) ? first : second;
    const int size = script_fit(longer, SCRIPT_SMALL_PX - 3, width);
    script_label(f, first, "screen", x, y + line, "left", size, "#000000", false);
    script_label(f, second, "screen", x, y - line, "left", size, "#000000", false);
}

/* Is there a quantity that has samples, or one (a count) that has none? */
static bool draws(const struct drawing *d, bool samples) {
    for (unsigned p = 0; p < d->e->panels; p++)
        for (size_t i = 0; i < d->points[p]; i++)
            if ((d->point[p][i].sample_factor > 0) == samples)
                return true;
    return false;
}

/* How to read the marks, in the column of the legend. */
static void put_notes(FILE *f, const struct drawing *d, bool simulated, double x, double y) {
    const double line = 0.032;
    const char *notes[4];
    unsigned count = 0;
    if (draws(d, true)) {
        notes[count++] = "marker: median with its";
        notes[count++] = simulated ? "95 % interval over seeds" : "95 % interval";
        notes[count++] = simulated ? "dots: every seed" : "dots: every sample";
    }
    if (draws(d, false))
        notes[count++] = simulated ? "counts: all seeds together" : "counts: all samples together";
    for (unsigned i = 0; i < count; i++, y -= line)
        script_label(f, notes[i], "screen", x, y, "left", SCRIPT_SMALL_PX - 2, "#333333", false);
}

static void put_legend(FILE *f, const struct drawing *d, bool simulated) {
    const double left = 0.775;
    double y = 0.80;
    const double step = d->curves > 12 ? 0.56 / d->curves : 0.045;
    for (unsigned c = 0; c < d->curves; c++, y -= step) {
        fprintf(f,
                "set arrow from screen %.4f,screen %.4f to screen %.4f,screen %.4f nohead lw 2.5 "
                "dt %s lc rgb '%s'\n"
                "set label '' at screen %.4f,screen %.4f point pt %d ps 1.9*marker lc rgb '%s'\n",
                left, y, left + 0.04, y, view_dash(c), view_colour(c), left + 0.02, y,
                view_marker(c), view_colour(c));
        put_name(f, d->curve[c].label, left + 0.048, y);
    }
    put_notes(f, d, simulated, left, y - 0.02);
}

/* "simulated: PROFILE (hypothetical machine), with a=1; l1.size varies", or the host's label. */
static void machine_label(const struct drawing *d, char *text, size_t size) {
    const struct load_cell *first = NULL;
    bool one = true;
    for (size_t i = 0; i < d->load->cells_count; i++) {
        const struct load_cell *cell = &d->load->cells[i];
        if (cell->file != d->file)
            continue;
        first = first == NULL ? cell : first;
        one = one && cell->host == first->host;
    }
    if (first == NULL || one) {
        snprintf(text, size, "%s", first != NULL ? d->load->hosts[first->host].label : "");
        return;
    }
    size_t used = (size_t)snprintf(text, size, "simulated: %s%s", first->machine + 4,
                                   first->hypothetical ? " (hypothetical machine)" : "");
    for (unsigned i = 0; i < d->e->override_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? ", with " : " ",
                                 d->e->overrides[i]);
    if (used < size)
        snprintf(text + used, size - used, ", values of the profile vary");
}

static bool draw(const struct drawing *d, const char *folder, const char *stem) {
    char *name, machine[512];
    FILE *f = script_open(stem, folder, &name);
    if (f == NULL)
        return false;
    machine_label(d, machine, sizeof machine);
    const bool simulated = strncmp(machine, "simulated", 9) == 0;
    script_page(f, d->e->title, d->e->question, machine, simulated);
    put_legend(f, d, simulated);
    script_paragraph(f, d->e->expect, simulated ? 0.026 : 0.048);
    script_page_end(f);
    if (d->e->panels == 1) {
        put_panel(f, d, 0, 0.075, 0.755);
    } else {
        put_panel(f, d, 0, 0.075, 0.385);
        put_panel(f, d, 1, 0.445, 0.755);
    }
    return script_close(f, folder, name) && figure_render(folder, stem);
}

bool experiment_draw(const struct experiment *experiment, const struct load *load, size_t file,
                     const char *folder, const char *stem) {
    if (experiment->panels == 0)
        return true;
    struct drawing *d = calloc(1, sizeof *d);
    if (d == NULL) {
        cli_error(NULL, "out of memory");
        return false;
    }
    d->e = experiment;
    d->load = load;
    d->file = file;
    bool ok = true;
    for (unsigned p = 0; ok && p < experiment->panels; p++)
        ok = add_points(d, p);
    if (ok) {
        make_labels(d);
        ok = (experiment->panels < 2 || !experiment->panel[1].bars || experiment_bars_fit(d, 1)) &&
             draw(d, folder, stem);
    }
    for (unsigned p = 0; p < EXPERIMENT_PANELS_MAX; p++)
        free(d->point[p]);
    free(d);
    return ok;
}
