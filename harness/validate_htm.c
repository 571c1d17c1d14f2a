/*
 * validate_htm.c - `machine validate --htm`: where the limits of hardware transactions are, on a
 * simulated machine and, where the CPU has RTM, on this computer beside it.
 *
 * The kernels (htm_kernels.c) ask the machine and not the profile; what the profile and published
 * measurements say stands beside what they find.  Curves are shares of tries that committed.
 */
#include "validate.h"

#include "htm_kernels.h"

#include "cli.h"
#include "figure_script.h"
#include "report_view.h"
#include "runner.h"

#include "../machine/sim/profile.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const where = "machine validate";

enum kernel { SET, WRITES, READS, DURATION, EMPTY, ABORTED, SHARED, APART, KERNELS };
static const char *const kernel_names[KERNELS] = {
    "lines_of_one_set", "write_capacity", "read_capacity", "duration", "empty",
    "aborted",          "false_sharing",  "no_sharing"};

struct point {
    enum kernel kernel;
    struct htm_question q;
    double x; /* lines, bytes of the footprint, or ns */
    struct htm_answer simulated, native;
};

enum { POINTS_MAX = 512, CURVES_MAX = 12 };

struct study {
    struct sim_profile profile;
    const char *native_why; /* why it is not measured here; NULL: it is */
    struct point point[POINTS_MAX];
    size_t points;
};

/* ---- what is asked --------------------------------------------------------------------------- */

static struct point *add(struct study *s, enum kernel kernel, struct htm_question q, double x) {
    if (s->points == POINTS_MAX)
        return NULL; /* the loops below are made for less; a test counts them */
    s->point[s->points] = (struct point){.kernel = kernel, .q = q, .x = x};
    return &s->point[s->points++];
}

static const struct sim_cache_profile *cache_of(const struct sim_profile *p,
                                                enum sim_htm_level level) {
    return level == SIM_HTM_L1 ? &p->l1 : level == SIM_HTM_L2 ? &p->l2 : &p->l3;
}

/* What bounds the write set: the store cache, if there is one, or the cache. */
static uint64_t write_bound(const struct sim_profile *p) {
    const uint64_t cache = cache_of(p, p->htm.write_level)->size_bytes;
    const uint64_t entries = (uint64_t)p->htm.write_entries * p->htm.write_entry_bytes;
    return entries > 0 && entries < cache ? entries : cache;
}

/* Footprints around the bound, for each pattern, warm and cold, alone and with a sibling. */
static void add_curves(struct study *s, enum kernel kernel, uint64_t bound, size_t unit) {
    static const double shares[] = {1. / 16, 1. / 8,   1. / 4, 3. / 8,   1. / 2, 5. / 8, 3. / 4,
                                    7. / 8,  15. / 16, 1,      17. / 16, 5. / 4, 2};
    const bool smt = s->profile.smt == 2;
    for (unsigned variant = 0; variant < HTM_PATTERNS * (smt ? 4 : 2); variant++)
        for (unsigned i = 0; i < sizeof shares / sizeof *shares; i++) {
            const double bytes = shares[i] * (double)bound;
            const bool large = bytes > 2 << 20;
            const enum htm_pattern pattern = variant % HTM_PATTERNS;
            const struct htm_question q = {.lines = (size_t)(bytes / (double)unit),
                                           .unit_bytes = unit,
                                           .pattern = pattern,
                                           .write = kernel == WRITES,
                                           .warm = variant / HTM_PATTERNS % 2 == 0,
                                           .sibling = variant / HTM_PATTERNS / 2 == 1,
                                           .tries = large              ? 2
                                                    : kernel == WRITES ? 20
                                                                       : 4};
            if (q.lines > 0)
                (void)add(s, kernel, q, bytes);
        }
}

static void ask(struct study *s) {
    const struct sim_profile *p = &s->profile;
    static const double ticks[] = {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 1.01, 1.25};
    const struct htm_question none = {0};
    (void)add(s, EMPTY, none, 0);
    (void)add(s, ABORTED, none, 0);
    const unsigned ways = cache_of(p, p->htm.write_level)->ways;
    const size_t stride = cache_of(p, p->htm.write_level)->size_bytes / ways;
    for (unsigned lines = 1; lines <= ways + 4; lines++) {
        const struct htm_question q = {
            .lines = lines, .stride_bytes = stride, .write = true, .warm = true, .tries = 50};
        (void)add(s, SET, q, lines);
    }
    add_curves(s, WRITES, write_bound(p),
               p->htm.write_entries > 0 ? p->htm.write_entry_bytes : p->line_bytes);
    add_curves(s, READS, cache_of(p, p->htm.read_level)->size_bytes, p->line_bytes);
    for (unsigned i = 0; i < sizeof ticks / sizeof *ticks; i++) {
        const struct htm_question q = {.tries = 100};
        (void)add(s, DURATION, q, ticks[i] * (double)p->tick_ns);
    }
    (void)add(s, SHARED, (struct htm_question){.stride_bytes = 8}, 8);
    (void)add(s, APART, (struct htm_question){.stride_bytes = p->line_bytes}, p->line_bytes);
}

/* ---- what is answered ------------------------------------------------------------------------ */

static bool answer(const struct study *s, const struct htm_rig *rig, const struct point *p,
                   struct htm_answer *a, char *why) {
    static htm_kernel *const kernels[KERNELS] = {
        [SET] = htm_footprint, [WRITES] = htm_footprint, [READS] = htm_footprint,
        [EMPTY] = htm_empty,   [ABORTED] = htm_aborted,  [SHARED] = htm_sharing,
        [APART] = htm_sharing};
    return p->kernel == DURATION
               ? htm_duration(rig, p->x, (double)s->profile.tick_ns, p->q.tries, a, why)
               : kernels[p->kernel](rig, &p->q, a, why);
}

static bool run(struct study *s, const char *profile) {
    char why[CELL_WHY_SIZE] = "";
    const struct htm_rig simulated = {.machine = machine_find("sim"),
                                      .profile = profile,
                                      .line_bytes = s->profile.line_bytes,
                                      .sibling = sim_profile_threads(&s->profile) / 2};
    const struct htm_rig native = {.machine = machine_find("native"),
                                   .line_bytes = s->profile.line_bytes};
    const bool progress = isatty(STDERR_FILENO) != 0;
    for (size_t i = 0; i < s->points; i++) {
        struct point *p = &s->point[i];
        if (progress)
            fprintf(stderr, "\r%zu of %zu points%s", i + 1, s->points,
                    i + 1 == s->points ? "\r\033[K" : "");
        if (!answer(s, &simulated, p, &p->simulated, why))
            return cli_error(where, "%s", why), false;
        /* Which thread is a sibling is not known here. */
        if (s->native_why == NULL && !p->q.sibling && !answer(s, &native, p, &p->native, why))
            return cli_error(where, "%s", why), false;
    }
    return true;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static double share(const struct htm_answer *a) {
    return a->tries > 0 ? (double)a->commits / (double)a->tries : 0;
}

static const char *size_text(double bytes, char text[32]) {
    if (bytes >= 1 << 20)
        snprintf(text, 32, "%.4g MiB", bytes / (1 << 20));
    else if (bytes >= 1024)
        snprintf(text, 32, "%.4g KiB", bytes / 1024);
    else
        snprintf(text, 32, "%.4g B", bytes);
    return text;
}

static const char *native_share(const struct study *s, const struct point *p, char text[32]) {
    if (s->native_why != NULL || p->native.tries == 0)
        return "-";
    snprintf(text, 32, "%.2f", share(&p->native));
    return text;
}

/* "2 conflict, 1 interrupt", or "" */
static const char *causes_text(const struct htm_answer *a, char text[256]) {
    int used = 0;
    text[0] = '\0';
    for (unsigned c = 0; c < MACHINE_TX_CAUSES; c++)
        if (a->aborts[c] > 0 && used < 200)
            used += snprintf(text + used, 256 - (size_t)used, "%s%llu %s", used > 0 ? ", " : "",
                             (unsigned long long)a->aborts[c], cell_transaction_causes[c]);
    return text;
}

static const char *curve_name(const struct htm_question *q, char text[64]) {
    snprintf(text, 64, "%s, %s%s", htm_pattern_names[q->pattern], q->warm ? "warm" : "cold",
             q->sibling ? ", sibling" : "");
    return text;
}

static bool same_curve(const struct point *a, const struct point *b) {
    return a->kernel == b->kernel && a->q.pattern == b->q.pattern && a->q.warm == b->q.warm &&
           a->q.sibling == b->q.sibling;
}

/* The first points of a kernel's curves, in order; returns how many. */
static size_t curves_of(const struct study *s, enum kernel kernel,
                        const struct point *curve[CURVES_MAX]) {
    size_t n = 0;
    for (size_t i = 0; i < s->points; i++) {
        const struct point *p = &s->point[i];
        if (p->kernel == kernel && n < CURVES_MAX && (n == 0 || !same_curve(curve[n - 1], p)))
            curve[n++] = p;
    }
    return n;
}

static void print_costs(FILE *f, const struct study *s) {
    const struct sim_htm_profile *h = &s->profile.htm;
    fprintf(f, "\n## Cost\n\n| transaction | simulated ns | cycles | the profile says | published, "
               "client Skylake | native ns |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < s->points; i++) {
        const struct point *p = &s->point[i];
        if (p->kernel != EMPTY && p->kernel != ABORTED)
            continue;
        char native[32] = "-";
        if (s->native_why == NULL)
            snprintf(native, sizeof native, "%.1f", p->native.ns);
        fprintf(f, "| %s | %.2f | %.1f | %u | %s | %s |\n",
                p->kernel == EMPTY ? "empty" : "begun and aborted at once", p->simulated.ns,
                p->simulated.ns * s->profile.clock_ghz,
                h->begin_cycles + (p->kernel == EMPTY ? h->commit_cycles : h->abort_cycles),
                p->kernel == EMPTY ? "about 35" : "about 144", native);
    }
    fprintf(f,
            "\nThe published figures are inputs of profiles; that they come out again shows only "
            "that nothing else is charged.\n");
}

static void print_rows(FILE *f, const struct study *s, enum kernel kernel, const char *x_title) {
    fprintf(f,
            "| %s | %s | tries | committed, simulated | native | aborts, simulated "
            "|\n|---|---|---|---|---|---|\n",
            kernel == SET || kernel == DURATION ? "" : "access", x_title);
    for (size_t i = 0; i < s->points; i++) {
        const struct point *p = &s->point[i];
        char curve[64] = "", x[32], native[32], causes[256];
        if (p->kernel != kernel)
            continue;
        if (kernel == WRITES || kernel == READS)
            curve_name(&p->q, curve);
        if (kernel == SET)
            snprintf(x, sizeof x, "%.0f", p->x);
        else if (kernel == DURATION)
            snprintf(x, sizeof x, "%.4g us", p->x / 1000);
        else
            size_text(p->x, x);
        fprintf(f, "| %s | %s | %llu | %.2f | %s | %s |\n", curve, x,
                (unsigned long long)p->simulated.tries, share(&p->simulated),
                native_share(s, p, native), causes_text(&p->simulated, causes));
    }
}

/* Of each curve: up to where everything commits, and from where on nothing does. */
static void print_bounds(FILE *f, const struct study *s, enum kernel kernel) {
    const struct point *curve[CURVES_MAX];
    const size_t n = curves_of(s, kernel, curve);
    fprintf(f, "| access | all commit up to | none commits from |\n|---|---|---|\n");
    for (size_t c = 0; c < n; c++) {
        double all = 0, none = 0;
        bool whole = true;
        for (const struct point *p = curve[c]; p < s->point + s->points && same_curve(p, curve[c]);
             p++) {
            whole = whole && p->simulated.commits == p->simulated.tries;
            all = whole ? p->x : all;
            if (p->simulated.commits > 0)
                none = 0;
            else if (none == 0)
                none = p->x;
        }
        char name[64], from[32], to[32];
        fprintf(f, "| %s | %s | %s |\n", curve_name(&curve[c]->q, name),
                all > 0 ? size_text(all, to) : "-", none > 0 ? size_text(none, from) : "-");
    }
    fputc('\n', f);
}

static void print_sharing(FILE *f, const struct study *s) {
    fprintf(f, "| two threads add to words | transactions a commit, simulated | ns a commit | "
               "native | aborts, simulated |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < s->points; i++) {
        const struct point *p = &s->point[i];
        char native[64] = "-", causes[256];
        if (p->kernel != SHARED && p->kernel != APART)
            continue;
        if (s->native_why == NULL && p->native.commits > 0)
            snprintf(native, sizeof native, "%.2f, %.1f ns",
                     (double)p->native.tries / (double)p->native.commits, p->native.ns);
        fprintf(f, "| %s | %.2f | %.1f | %s | %s |\n",
                p->kernel == SHARED ? "of one line" : "of a line each",
                (double)p->simulated.tries / fmax(1, (double)p->simulated.commits), p->simulated.ns,
                native, causes_text(&p->simulated, causes));
    }
}

static void print_study(FILE *f, const struct study *s) {
    const struct sim_profile *p = &s->profile;
    const struct sim_cache_profile *write_cache = cache_of(p, p->htm.write_level);
    static const char *const levels[] = {"L1", "L2", "L3"};
    char text[32];
    fprintf(f, "# Limits of hardware transactions\n\nsimulated: %s: %s\n\n", p->name, p->title);
    if (s->native_why != NULL)
        fprintf(f, "Not measured on this computer: %s.\n", s->native_why);
    else
        fprintf(f, "Beside it, this computer's (native).\n");
    print_costs(f, s);
    fprintf(f,
            "\n## Lines of one set\n\nWritten lines that fall into one set of the %s, which has %u "
            "ways. Published (Haswell): nine written lines in one 8-way set always abort.\n\n",
            levels[p->htm.write_level], write_cache->ways);
    print_rows(f, s, SET, "lines");
    fprintf(f, "\n## Write capacity\n\nThe profile: what was written must stay in the %s of %s%s",
            levels[p->htm.write_level], size_text((double)write_cache->size_bytes, text),
            p->htm.write_entries > 0 ? "" : ".\n\n");
    if (p->htm.write_entries > 0)
        fprintf(f, " and in a store cache of %u entries of %u bytes.\n\n", p->htm.write_entries,
                p->htm.write_entry_bytes);
    print_bounds(f, s, WRITES);
    print_rows(f, s, WRITES, "footprint");
    fprintf(f,
            "\n## Read capacity\n\nThe profile: what was read must stay in the %s of %s. Published "
            "(Haswell, L3 of 8 MB): 7.5 MB commit, nothing above 8 MB does.\n\n",
            levels[p->htm.read_level],
            size_text((double)cache_of(p, p->htm.read_level)->size_bytes, text));
    print_bounds(f, s, READS);
    print_rows(f, s, READS, "footprint");
    fprintf(f,
            "\n## Duration\n\nThe profile: a timer interrupt every %.4g us. A transaction of d "
            "ns should abort in a share of d / that of the tries.\n\n",
            (double)p->tick_ns / 1000);
    print_rows(f, s, DURATION, "duration");
    fprintf(f, "\n## False sharing\n\n");
    print_sharing(f, s);
    fprintf(f, "\nThe timer is off for everything but duration.\n");
}

/* ---- files ----------------------------------------------------------------------------------- */

static json_t *answer_json(const struct htm_answer *a, bool simulated) {
    json_t *object = json_pack("{s:I, s:I, s:f}", "tries", (json_int_t)a->tries, "commits",
                               (json_int_t)a->commits, "ns", a->ns);
    json_t *aborts = json_object();
    bool ok = object != NULL && aborts != NULL;
    for (unsigned c = 0; ok && c < MACHINE_TX_CAUSES; c++)
        if (a->aborts[c] > 0)
            ok = json_object_set_new(aborts, cell_transaction_causes[c],
                                     json_integer((json_int_t)a->aborts[c])) == 0;
    if (ok && simulated)
        ok = json_object_set(object, "aborts", aborts) == 0;
    json_decref(aborts);
    if (!ok) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *point_json(const struct study *s, const struct point *p) {
    const bool curve = p->kernel == WRITES || p->kernel == READS;
    const bool native = s->native_why == NULL && p->native.tries > 0;
    json_t *object =
        json_pack("{s:s, s:f, s:s?, s:b, s:b, s:o}", "kernel", kernel_names[p->kernel], "x", p->x,
                  "pattern", curve ? htm_pattern_names[p->q.pattern] : NULL, "warm", p->q.warm,
                  "sibling", p->q.sibling, "simulated", answer_json(&p->simulated, true));
    if (object != NULL &&
        json_object_set_new(object, "native",
                            native ? answer_json(&p->native, false) : json_null()) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static bool write_json(const struct study *s, const char *folder, const char *name) {
    json_t *points = json_array();
    bool ok = points != NULL;
    for (size_t i = 0; ok && i < s->points; i++)
        ok = json_array_append_new(points, point_json(s, &s->point[i])) == 0;
    json_t *root = json_pack("{s:s, s:s, s:b, s:o, s:o}", "profile", s->profile.name, "title",
                             s->profile.title, "hypothetical", s->profile.hypothetical, "native",
                             s->native_why == NULL ? json_true() : json_string(s->native_why),
                             "points", points);
    ok = ok && root != NULL;
    if (!ok)
        cli_error(where, "out of memory");
    FILE *f = ok ? report_open(folder, name) : NULL;
    if (f != NULL) {
        json_dumpf(root, f, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        fputc('\n', f);
    }
    json_decref(root);
    return f != NULL && report_close(f, folder, name);
}

static bool write_tables(const struct study *s, const char *folder, const char *name) {
    FILE *f = report_open(folder, name);
    if (f == NULL)
        return false;
    print_study(f, s);
    return report_close(f, folder, name);
}

/* ---- plot ------------------------------------------------------------------------------------ */

/* The data of a kernel's curve as $NAME: x, share. */
static void print_data(FILE *f, const struct study *s, const struct point *first, const char *name,
                       double unit) {
    fprintf(f, "$%s << EOD\n", name);
    for (const struct point *p = first; p < s->point + s->points && same_curve(p, first); p++)
        fprintf(f, "%.9g %.9g\n", p->x / unit, share(&p->simulated));
    fputs("EOD\n", f);
    if (s->native_why != NULL)
        return;
    fprintf(f, "$%s_native << EOD\n", name);
    for (const struct point *p = first; p < s->point + s->points && same_curve(p, first); p++)
        if (p->native.tries > 0)
            fprintf(f, "%.9g %.9g\n", p->x / unit, share(&p->native));
    fputs("EOD\n", f);
}

/* Lines with markers, which tell curves apart in grey too; what was measured here is dots. */
static void print_curve(FILE *f, const struct study *s, const struct point *first, const char *name,
                        size_t i, const char *title) {
    fprintf(f, "%s$%s using 1:2 with linespoints lw 2.5 pt %d ps marker*1.9 dt %s lc rgb '%s' %s",
            i == 0 ? "plot " : ", \\\n ", name, view_marker(i), view_dash(i), view_colour(i),
            title != NULL ? "title " : "notitle");
    if (title != NULL)
        script_string(f, title);
    if (s->native_why == NULL && !first->q.sibling)
        fprintf(f, ", $%s_native using 1:2 with points pt 7 ps marker*1.2 lc rgb '#000000' notitle",
                name);
}

static void print_panel(FILE *f, const char *title, const char *x_title, unsigned column,
                        unsigned row) {
    fprintf(f,
            "set lmargin at screen %.3f\nset rmargin at screen %.3f\nset bmargin at screen %.3f\n"
            "set tmargin at screen %.3f\nset title ",
            column == 0 ? 0.07 : 0.45, column == 0 ? 0.37 : 0.75, row == 0 ? 0.58 : 0.15,
            row == 0 ? 0.82 : 0.39);
    script_string(f, title);
    fputs(" noenhanced\nset xlabel ", f);
    script_string(f, x_title);
    fputs(" noenhanced\n", f);
}

static void print_curves(FILE *f, const struct study *s, enum kernel kernel, double unit,
                         bool key) {
    const struct point *curve[CURVES_MAX];
    const size_t n = curves_of(s, kernel, curve);
    char name[32], title[64];
    for (size_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "c%d_%zu", (int)kernel, i);
        print_data(f, s, curve[i], name, unit);
    }
    /* Strided curves are in the tables: with all twelve nobody could tell them apart. */
    size_t drawn = 0;
    for (size_t i = 0; i < n; i++) {
        if (curve[i]->q.pattern == HTM_STRIDED || (curve[i]->q.sibling && !curve[i]->q.warm))
            continue;
        snprintf(name, sizeof name, "c%d_%zu", (int)kernel, i);
        print_curve(f, s, curve[i], name, drawn++, key ? curve_name(&curve[i]->q, title) : NULL);
    }
    fputc('\n', f);
}

static const struct point *first_of(const struct study *s, enum kernel kernel) {
    const struct point *curve[CURVES_MAX];
    return curves_of(s, kernel, curve) > 0 ? curve[0] : NULL;
}

static void print_script(FILE *f, const struct study *s) {
    const struct sim_profile *p = &s->profile;
    char label[256];
    snprintf(label, sizeof label, "simulated: %s: %s", p->name, p->title);
    fputs("if (!exists(\"marker\")) marker = 1\nset encoding utf8\nset multiplot\n"
          "set label 100 \"Limits of hardware transactions\" at screen 0.02,0.957 left noenhanced "
          "font 'sans-serif,34'\nset label 101 ",
          f);
    script_string(f, label);
    fputs(" at screen 0.02,0.905 left noenhanced font 'sans-serif,19' tc rgb '#B00020'\n"
          "set label 102 \"share of the tries that committed; ",
          f);
    fputs(s->native_why == NULL ? "black dots: this computer" : "not measured on this computer", f);
    fputs("\" at screen 0.02,0.026 left noenhanced font 'sans-serif,18' tc rgb '#333333'\n"
          "set lmargin at screen 0\nset rmargin at screen 1\nset bmargin at screen 0\n"
          "set tmargin at screen 1\nunset border\nunset tics\nset key off\nset xrange [1:2]\n"
          "set yrange [1:2]\nplot -1 with lines\nunset label\n"
          "set border 3\nset tics nomirror out font 'sans-serif,17'\nset xtics nomirror out\nset "
          "ytics "
          "nomirror out 0.5\nset title font "
          "'sans-serif,18'\nset grid lw 0.5 lc rgb '#dddddd'\nset yrange [-0.03:1.05]\n"
          "set ylabel \"committed\"\nset xrange [*:*]\n",
          f);
    print_panel(f, "Write capacity", "footprint, KiB", 0, 0);
    fputs("set logscale x 2\nset key off\n", f);
    print_curves(f, s, WRITES, 1024, false);
    const bool large = cache_of(p, p->htm.read_level)->size_bytes >= 4 << 20;
    print_panel(f, "Read capacity", large ? "footprint, MiB" : "footprint, KiB", 1, 0);
    fputs("set key at screen 0.995, 0.83 right top vertical maxrows 12 noenhanced samplen 4 "
          "spacing 1.4\n",
          f);
    print_curves(f, s, READS, large ? 1 << 20 : 1024, true);
    fputs("set key off\nunset logscale x\n", f);
    const struct point *set = first_of(s, SET), *duration = first_of(s, DURATION);
    print_panel(f, "Written lines of one set", "lines", 0, 1);
    print_data(f, s, set, "set", 1);
    print_curve(f, s, set, "set", 0, NULL);
    fputc('\n', f);
    print_panel(f, "Duration", "ms", 1, 1);
    print_data(f, s, duration, "duration", 1e6);
    print_curve(f, s, duration, "duration", 0, NULL);
    fputs("\nunset multiplot\n", f);
}

static bool write_files(const void *context, const char *folder) {
    const struct study *s = context;
    FILE *f = report_open(folder, "v.gp");
    if (f == NULL)
        return false;
    print_script(f, s);
    return report_close(f, folder, "v.gp") && figure_render(folder, "v") &&
           write_tables(s, folder, "v.md") && write_json(s, folder, "v.json");
}

/* ---- the command ----------------------------------------------------------------------------- */

int validate_htm(const char *profile, const char *out) {
    char why[1024];
    const struct machine *native = machine_find("native");
    if (profile == NULL)
        profile = VALIDATE_HTM_PROFILE;
    if (machine_find("sim") == NULL)
        return cli_error(where, "--htm: no simulated machine is built"), EXIT_FAILED;
    struct study *s = calloc(1, sizeof *s);
    if (s == NULL)
        return cli_error(where, "out of memory"), EXIT_FAILED;
    int status = EXIT_DONE;
    if (!sim_profile_load(profile, NULL, 0, &s->profile, why, sizeof why)) {
        status = cli_error(where, "--profile: %s", why);
    } else if (!s->profile.htm.present) {
        status = cli_error(where, "--profile: %s has no hardware transactions (htm.present)",
                           s->profile.name);
    } else {
        s->native_why = native->htm_unavailable();
        ask(s);
        if (!run(s, profile))
            status = EXIT_FAILED;
    }
    if (status == EXIT_DONE) {
        print_study(stdout, s);
        if (!validate_write(out, write_files, s))
            status = EXIT_FAILED;
    }
    free(s);
    return status;
}
