/*
 * validate.c - `machine validate`: the simulator's predictions against this computer.
 *
 * Runs a matrix natively and simulated (run.c, one results file), or reads such a file, compares
 * (validation.c), prints the tables and writes them as Markdown, JSON and a scatter plot.  All
 * files but the results are made in a folder of their own beside the target and renamed at the end,
 * the JSON last.
 */
#include "machine_command.h"
#include "validate.h"

#include "cell.h"
#include "cli.h"
#include "figure_script.h"
#include "load.h"
#include "outfile.h"
#include "report_view.h"
#include "run.h"
#include "runner.h"
#include "validation.h"

#include "../machine/sim/profile.h"

#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALIDATE_ENGINES "seq,gil,gil:mode=section,norec"
#define VALIDATE_WORKLOADS "null,counter,bank,dict,txsize,intset,eventloop"
#define VALIDATE_THREADS "1,2"

enum { PROFILE, RESULTS, OUT, HTM, ENGINE, WORKLOAD, THREADS, REPETITIONS, MIN_TIME, OPTIONS };

static const struct cli_option options[] = {
    [PROFILE] = {"profile", "FILE.json|NAME",
                 "the profile that predicts; default: this computer is probed first\n"
                 "(with --results: the only simulated machine in the file)",
                 false},
    [RESULTS] = {"results", "FILE.json", "compare what is in this results file; nothing is run",
                 false},
    [OUT] = {"out", "FILE.json",
             "comparison to write, with FILE.md, FILE.gp, FILE.svg and FILE.png beside\n"
             "it, and FILE.results.json when it is run;\n"
             "default: " OUTFILE_FOLDER "/<UTC time>.json, with --results: none",
             false},
    [HTM] = {"htm", NULL,
             "instead, kernels that find the limits of hardware transactions: on the\n"
             "simulated profile (default: " VALIDATE_HTM_PROFILE "), and here if this CPU has RTM",
             false},
    [ENGINE] = {"engine", "E[:k=v]...[,...]",
                "default: " VALIDATE_ENGINES ",\nand c7 where it can be simulated", false},
    [WORKLOAD] = {"workload", "W[:k=v]...[,...]", "default: " VALIDATE_WORKLOADS, false},
    [THREADS] = {"threads", "1,2,4", "default: " VALIDATE_THREADS, false},
    [REPETITIONS] = {"repetitions", "N", "samples of each cell; default: 10", false},
    [MIN_TIME] =
        {"min-time", "S",
         "seconds of a sample, on this computer and in virtual time: long enough for what a\n"
         "program does once (such as the pages that c7 makes private); default: 0.005",
         false},
    [OPTIONS] = {NULL, NULL, NULL, false},
};

static const struct cli_command command = {
    .name = "machine validate",
    .usage = "machine validate [--profile FILE.json|NAME] [--results FILE.json | --htm] [--out "
             "FILE.json]",
    .about =
        "Runs engines and workloads on this computer and on a simulated one, and compares what "
        "the\n"
        "simulator predicts with what was measured: slowdown on one thread, scaling and speed-up\n"
        "over the GIL on more, cell by cell with their intervals; median, mean and worst relative\n"
        "error; and how often the simulator ranks two engines as they were measured, of the pairs\n"
        "whose measured intervals do not overlap.  Not judged, and so in no median and no rank:\n"
        "null and counter, with which a profile may be calibrated, and the GIL on one thread.\n",
    .options = options,
    .more = "examples:\n"
            "  allcores machine probe --out this.json\n"
            "  allcores machine validate --profile this.json --out validation.json\n"
            "  allcores machine validate --results validation.results.json\n"
            "  allcores machine validate --htm --profile i7-4770 --out htm.json\n"
            "\n"
            "exit status: 0 compared, whatever the errors are; 1 a run failed or there is nothing\n"
            "to compare; 2 wrong usage or bad input (one line on stderr).\n",
    .operands_max = 0,
};

/* ---- tables -------------------------------------------------------------------------------- */

static const char *const metric_titles[VALIDATION_METRICS] = {
    "Slowdown on one thread (time / time of seq)", "Scaling (throughput / that of one thread)",
    "Speed-up over the GIL (throughput / that of gil on one thread)"};

static void print_ratio(FILE *f, const struct load_ratio *ratio) {
    char text[3][VIEW_NUMBER_SIZE];
    view_number(ratio->value, text[0]);
    if (!ratio->has_interval) {
        fprintf(f, " %s |", text[0]);
        return;
    }
    view_number(ratio->low, text[1]);
    view_number(ratio->high, text[2]);
    fprintf(f, " %s [%s, %s] |", text[0], text[1], text[2]);
}

static void print_metric(FILE *f, const struct validation *v, enum validation_metric metric) {
    const struct validation_summary *s = &v->summary[metric];
    bool any = false;
    for (size_t i = 0; i < v->points_count; i++) {
        const struct validation_point *p = &v->points[i];
        if (p->metric != metric)
            continue;
        if (!any)
            fprintf(f,
                    "\n## %s\n\n| workload | engine | threads | measured | predicted | error | "
                    "|\n|---|---|---|---|---|---|---|\n",
                    metric_titles[metric]);
        any = true;
        fprintf(f, "| %s | %s | %u |", p->measured_cell->workload, p->measured_cell->engine,
                p->measured_cell->threads);
        print_ratio(f, p->measured);
        print_ratio(f, p->predicted);
        fprintf(f, " %+.0f %% | %s |\n", (p->predicted->value / p->measured->value - 1) * 100,
                p->left_out != NULL ? p->left_out
                : p->error > 0.5    ? "beyond 50 %"
                : p->error > 0.25   ? "beyond 25 %"
                                    : "");
    }
    if (any && s->count > 0)
        fprintf(f,
                "\nJudged: %zu cells; relative error: median %.1f %%, mean %.1f %%, worst %.1f %% "
                "(%s, %s, %u threads); beyond 25 %%: %zu, beyond 50 %%: %zu.\n",
                s->count, s->median * 100, s->mean * 100, s->worst * 100,
                s->worst_point->measured_cell->workload, s->worst_point->measured_cell->engine,
                s->worst_point->measured_cell->threads, s->beyond_25, s->beyond_50);
    else if (any)
        fprintf(f, "\nJudged: no cell.\n");
}

static void print_ranks(FILE *f, const struct validation *v) {
    fprintf(f, "\n## Ranks\n\n");
    if (v->pairs_count == 0) {
        fprintf(f, "No two engines have measured intervals that do not overlap.\n");
        return;
    }
    fprintf(f,
            "Of %zu pairs of engines whose measured intervals do not overlap, %zu are ranked alike "
            "(%.1f %%).\n",
            v->pairs_count, v->pairs_alike,
            100.0 * (double)v->pairs_alike / (double)v->pairs_count);
    if (v->pairs_alike == v->pairs_count)
        return;
    fprintf(f, "\n| workload | threads | faster, as measured | slower | measured ns | predicted ns "
               "|\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < v->pairs_count; i++) {
        const struct validation_pair *p = &v->pairs[i];
        if (!p->alike)
            fprintf(f, "| %s | %u | %s | %s | %.4g < %.4g | %.4g, %.4g |\n", p->faster->workload,
                    p->faster->threads, p->faster->engine, p->slower->engine, p->faster->median_ns,
                    p->slower->median_ns, p->faster_predicted->median_ns,
                    p->slower_predicted->median_ns);
    }
}

static void print_tables(FILE *f, const struct validation *v) {
    fprintf(f,
            "# Predicted against measured\n\n%s\n\n%s (intervals: over seeds)\n\n"
            "Intervals are 95 %%; the error is predicted / measured - 1.\n",
            v->measured_host->label, v->predicting_host->label);
    for (unsigned m = 0; m < VALIDATION_METRICS; m++)
        print_metric(f, v, m);
    print_ranks(f, v);
    if (v->gaps_count > 0)
        fprintf(f, "\n## Missing\n\n| workload | engine | threads | missing on | reason "
                   "|\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < v->gaps_count; i++)
        fprintf(f, "| %s | %s | %u | %s | %s |\n", v->gaps[i].cell->workload,
                v->gaps[i].cell->engine, v->gaps[i].cell->threads, v->gaps[i].machine,
                v->gaps[i].reason);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *ratio_json(const struct load_ratio *ratio) {
    return ratio->has_interval
               ? json_pack("{s:f, s:[f,f]}", "value", ratio->value, "ci95", ratio->low, ratio->high)
               : json_pack("{s:f, s:n}", "value", ratio->value, "ci95");
}

/* Takes over `item`. */
static bool append(json_t *list, json_t *item) { return json_array_append_new(list, item) == 0; }

static json_t *cell_json(const struct load_cell *cell) {
    return json_pack("{s:s, s:s, s:i}", "workload", cell->workload, "engine", cell->engine,
                     "threads", (int)cell->threads);
}

static json_t *points_json(const struct validation *v) {
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < v->points_count; i++) {
        const struct validation_point *p = &v->points[i];
        json_t *object = cell_json(p->measured_cell);
        json_t *more = json_pack(
            "{s:s, s:o, s:o, s:f, s:b, s:s?}", "metric", validation_metric_names[p->metric],
            "measured", ratio_json(p->measured), "predicted", ratio_json(p->predicted), "error",
            p->error, "judged", p->left_out == NULL, "left_out", p->left_out);
        const bool ok = object != NULL && more != NULL && json_object_update(object, more) == 0;
        json_decref(more);
        if (!ok || !append(list, object)) {
            if (!ok)
                json_decref(object);
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *summary_json(const struct validation *v) {
    json_t *object = json_object();
    for (unsigned m = 0; object != NULL && m < VALIDATION_METRICS; m++) {
        const struct validation_summary *s = &v->summary[m];
        json_t *one =
            s->count == 0
                ? json_pack("{s:i, s:n, s:n, s:n, s:i, s:i}", "count", 0, "median", "mean", "worst",
                            "beyond_25", 0, "beyond_50", 0)
                : json_pack("{s:I, s:f, s:f, s:f, s:I, s:I}", "count", (json_int_t)s->count,
                            "median", s->median, "mean", s->mean, "worst", s->worst, "beyond_25",
                            (json_int_t)s->beyond_25, "beyond_50", (json_int_t)s->beyond_50);
        if (json_object_set_new(object, validation_metric_names[m], one) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *ranks_json(const struct validation *v) {
    json_t *unlike = json_array();
    for (size_t i = 0; unlike != NULL && i < v->pairs_count; i++) {
        const struct validation_pair *p = &v->pairs[i];
        if (!p->alike &&
            !append(unlike, json_pack("{s:s, s:i, s:s, s:s}", "workload", p->faster->workload,
                                      "threads", (int)p->faster->threads, "faster",
                                      p->faster->engine, "slower", p->slower->engine))) {
            json_decref(unlike);
            return NULL;
        }
    }
    return json_pack("{s:I, s:I, s:o}", "pairs", (json_int_t)v->pairs_count, "alike",
                     (json_int_t)v->pairs_alike, "unlike", unlike);
}

static json_t *gaps_json(const struct validation *v) {
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < v->gaps_count; i++) {
        const struct validation_gap *g = &v->gaps[i];
        if (!append(list, json_pack("{s:s, s:s, s:i, s:s, s:s}", "workload", g->cell->workload,
                                    "engine", g->cell->engine, "threads", (int)g->cell->threads,
                                    "machine", g->machine, "reason", g->reason))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static bool write_json(const struct validation *v, const char *folder, const char *name) {
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "measured_on", v->measured_host->label,
        "predicted_by", v->predicting, "predicted_label", v->predicting_host->label, "summary",
        summary_json(v), "ranks", ranks_json(v), "cells", points_json(v), "missing", gaps_json(v));
    FILE *f = root != NULL ? report_open(folder, name) : NULL;
    bool ok = f != NULL;
    if (root == NULL)
        cli_error(command.name, "out of memory");
    if (ok) {
        json_dumpf(root, f, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        fputc('\n', f);
        ok = report_close(f, folder, name);
    }
    json_decref(root);
    return ok;
}

/* ---- plot ---------------------------------------------------------------------------------- */

/* Bounds of an axis that both machines' values fit into, interval ends included. */
static void bounds(const struct validation *v, enum validation_metric metric, double *low,
                   double *high) {
    *low = INFINITY;
    *high = 0;
    for (size_t i = 0; i < v->points_count; i++) {
        const struct validation_point *p = &v->points[i];
        const struct load_ratio *ratios[2] = {p->measured, p->predicted};
        for (unsigned r = 0; p->metric == metric && r < 2; r++) {
            const double a = ratios[r]->has_interval ? ratios[r]->low : ratios[r]->value;
            const double b = ratios[r]->has_interval ? ratios[r]->high : ratios[r]->value;
            if (a > 0)
                *low = fmin(*low, a);
            *high = fmax(*high, b);
        }
    }
    if (!(*low < *high)) {
        *low = 0.5;
        *high = 2;
    }
    *low /= 1.25;
    *high *= 1.6; /* room for names */
}

/* Engines in order of first appearance among the points. */
static size_t engines_of(const struct validation *v, const char **engines) {
    size_t n = 0;
    for (size_t i = 0; i < v->points_count; i++) {
        const char *engine = v->points[i].measured_cell->engine;
        size_t e = 0;
        while (e < n && strcmp(engines[e], engine) != 0)
            e++;
        if (e == n)
            engines[n++] = engine;
    }
    return n;
}

static void print_panel(FILE *f, const struct validation *v, enum validation_metric metric,
                        unsigned panel, const char *const *engines, size_t engines_count) {
    double low, high;
    bounds(v, metric, &low, &high);
    for (size_t e = 0; e < engines_count; e++) {
        fprintf(f, "$d%u_%zu << EOD\n", panel, e);
        for (size_t i = 0; i < v->points_count; i++) {
            const struct validation_point *p = &v->points[i];
            const struct load_ratio *a = p->measured, *b = p->predicted;
            if (p->metric == metric && strcmp(p->measured_cell->engine, engines[e]) == 0)
                fprintf(f, "%.9g %.9g %.9g %.9g %.9g %.9g %ld\n", a->value, b->value,
                        a->has_interval ? a->low : a->value, a->has_interval ? a->high : a->value,
                        b->has_interval ? b->low : b->value, b->has_interval ? b->high : b->value,
                        p->left_out != NULL ? 0xbbbbbbL : strtol(view_colour(e) + 1, NULL, 16));
        }
        fputs("EOD\n", f);
    }
    fprintf(f,
            "set lmargin at screen %.3f\nset rmargin at screen %.3f\nset bmargin at screen 0.17\n"
            "set tmargin at screen 0.80\nset xrange [%.6g:%.6g]\nset yrange [%.6g:%.6g]\n",
            panel == 0 ? 0.075 : 0.475, panel == 0 ? 0.405 : 0.805, low, high, low, high);
    fputs("set title ", f);
    script_string(f, metric_titles[metric]);
    fputs(" noenhanced\n", f);
    for (const char *axis = "xy"; *axis != '\0'; axis++) {
        fprintf(f, "set %ctics nomirror out (", *axis);
        const bool dense = log10(high / low) < 0.8;
        for (int e = -3; e <= 4; e++)
            for (unsigned m = 1; m <= 9; m++)
                if (dense ? m != 7 && m != 9 : m == 1 || m == 2 || m == 5)
                    fprintf(f, "%s%g", e == -3 && m == 1 ? "" : ",", m * pow(10, e));
        fputs(")\n", f);
    }
    fputs("set xlabel \"measured\"\nset ylabel \"predicted\"\nunset label\n", f);
    for (size_t i = 0; i < v->points_count; i++) {
        const struct validation_point *p = &v->points[i];
        if (p->metric != metric || p->error <= 0.25 || p->left_out != NULL)
            continue;
        fputs("set label ", f);
        char workload[32];
        snprintf(workload, sizeof workload, "%.*s",
                 (int)strcspn(p->measured_cell->workload, ":") < 30
                     ? (int)strcspn(p->measured_cell->workload, ":")
                     : 30,
                 p->measured_cell->workload);
        script_string(f, workload);
        fprintf(f,
                " at first %.9g,%.9g left offset character 0.7,-0.4 noenhanced font "
                "'sans-serif,15'\n",
                p->measured->value, p->predicted->value);
    }
    if (panel == 0) {
        fputs("set key off\n", f);
    } else {
        fputs("set key at screen 0.99, 0.80 right top vertical maxrows 12 noenhanced samplen 2 "
              "spacing 1.3\n",
              f);
    }
    fputs("plot x with lines lw 2 lc rgb '#000000' dt 1 title 'equal', "
          "1.25*x with lines lw 2 lc rgb '#555555' dt (12,6) title 'within 25 %', "
          "0.75*x with lines lw 2 lc rgb '#555555' dt (12,6) notitle, "
          "1.5*x with lines lw 2 lc rgb '#888888' dt (3,5) title 'within 50 %', "
          "0.5*x with lines lw 2 lc rgb '#888888' dt (3,5) notitle",
          f);
    for (size_t e = 0; e < engines_count; e++) {
        fprintf(f,
                ", \\\n $d%u_%zu using 1:2:3:4:5:6:7 with xyerrorbars pt %d ps marker*2.2 lw 1.5 "
                "lc rgb variable notitle, NaN with points pt %d ps marker*2.2 lc rgb '%s' title ",
                panel, e, view_marker(e), view_marker(e), view_colour(e));
        script_string(f, engines[e]);
    }
    fputc('\n', f);
}

static bool write_plot(const struct validation *v, const char *folder, const char *name) {
    const char **engines = calloc(v->points_count + 1, sizeof *engines);
    char *script = NULL;
    bool ok = engines != NULL && asprintf(&script, "%s.gp", name) >= 0;
    if (!ok)
        cli_error(command.name, "out of memory");
    FILE *f = ok ? report_open(folder, script) : NULL;
    if (f != NULL) {
        const size_t n = engines_of(v, engines);
        fputs("if (!exists(\"marker\")) marker = 1\nset encoding utf8\nset multiplot\n"
              "set logscale xy\nset border 3\nset tics nomirror out\nset grid lw 0.5 lc rgb "
              "'#dddddd'\nset tics font 'sans-serif,17'\nset title font 'sans-serif,18'\n",
              f);
        fputs("set label 100 \"Predicted against measured\" at screen 0.02,0.957 left noenhanced "
              "font 'sans-serif,34'\nset label 101 ",
              f);
        script_string(f, v->predicting_host->label);
        fputs(" at screen 0.02,0.905 left noenhanced font 'sans-serif,19' tc rgb '#B00020'\n"
              "set label 102 ",
              f);
        script_string(f, v->measured_host->label);
        fputs(" at screen 0.98,0.026 right noenhanced font 'sans-serif,18' tc rgb '#333333'\n"
              "set label 103 \"whiskers: 95 % intervals; named: beyond 25 %; grey: not judged\" at "
              "screen 0.02,0.026 "
              "left noenhanced font 'sans-serif,18' tc rgb '#333333'\n"
              "unset xlabel\nset lmargin at screen 0\nset rmargin at screen 1\n"
              "set bmargin at screen 0\nset tmargin at screen 1\nunset border\nunset tics\n"
              "set key off\nset xrange [1:2]\nset yrange [1:2]\nunset grid\n"
              "plot -1 with lines\nunset label\n"
              "set border 3\nset tics nomirror out font 'sans-serif,17'\nset grid lw 0.5 lc rgb "
              "'#dddddd'\n",
              f);
        print_panel(f, v, VALIDATION_SLOWDOWN, 0, engines, n);
        print_panel(f, v, VALIDATION_SCALING, 1, engines, n);
        fputs("unset multiplot\n", f);
    }
    ok = f != NULL && report_close(f, folder, script) && figure_render(folder, name);
    free(script);
    free((void *)engines);
    return ok;
}

/* ---- files --------------------------------------------------------------------------------- */

/* "dir/x.json" -> "dir/x"; the caller frees. */
static char *stem_of(const char *path) {
    const size_t n = strlen(path);
    const bool json = n > 5 && strcmp(path + n - 5, ".json") == 0 && path[n - 6] != '/';
    return strndup(path, json ? n - 5 : n);
}

static bool write_tables(const struct validation *v, const char *folder, const char *name) {
    FILE *f = report_open(folder, name);
    if (f == NULL)
        return false;
    print_tables(f, v);
    return report_close(f, folder, name);
}

static bool move(const char *folder, const char *from, const char *stem, const char *extension) {
    char *source = NULL, *target = NULL;
    bool ok = asprintf(&source, "%s/%s", folder, from) >= 0;
    if (!ok)
        source = NULL;
    if (ok && asprintf(&target, "%s%s", stem, extension) < 0) {
        target = NULL;
        ok = false;
    }
    if (!ok) {
        cli_error(command.name, "out of memory");
    } else if (rename(source, target) != 0) {
        cli_error(command.name, "%.300s cannot be written: %s", target, strerror(errno));
        ok = false;
    }
    free(source);
    free(target);
    return ok;
}

bool validate_write(const char *out, bool (*write)(const void *context, const char *folder),
                    const void *context) {
    static const char *const extensions[] = {".gp", ".svg", ".png", ".md",
                                             ".json"}; /* last: .json */
    char *stem = stem_of(out), *folder = NULL;
    bool ok = stem != NULL && asprintf(&folder, "%s.XXXXXX", stem) >= 0;
    if (!ok) {
        free(stem);
        return cli_error(command.name, "out of memory"), false;
    }
    if (mkdtemp(folder) == NULL) {
        cli_error(command.name, "--out %.200s: cannot be written: %s", out, strerror(errno));
        free(folder);
        free(stem);
        return false;
    }
    ok = write(context, folder);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%s", extensions[i]);
        ok = ok && move(folder, name, stem,
                        i + 1 < sizeof extensions / sizeof *extensions ? extensions[i]
                                                                       : out + strlen(stem));
        if (!ok) {
            char *left = NULL;
            if (asprintf(&left, "%s/%s", folder, name) >= 0)
                unlink(left);
            free(left);
        }
    }
    rmdir(folder);
    free(folder);
    free(stem);
    return ok;
}

static bool write_files(const void *context, const char *folder) {
    const struct validation *v = context;
    return write_tables(v, folder, "v.md") && write_plot(v, folder, "v") &&
           write_json(v, folder, "v.json");
}

/* ---- the run ------------------------------------------------------------------------------- */

/* A path is told from a built-in name by its '/'. */
static char *profile_argument(const char *profile) {
    const size_t n = strlen(profile);
    const bool file = n > 5 && strcmp(profile + n - 5, ".json") == 0;
    char *text = NULL;
    return asprintf(&text, "%s%s", file && strchr(profile, '/') == NULL ? "./" : "", profile) < 0
               ? NULL
               : text;
}

/* Runs the matrix into `results`. */
static int run_matrix(const char **values, const char *profile, const char *results) {
    char machines[1024];
    const char *engines = values[ENGINE];
    if (engines == NULL)
        engines = cell_find("bank", "c7", NULL, "sim") != NULL ? VALIDATE_ENGINES ",c7"
                                                               : VALIDATE_ENGINES;
    if ((size_t)snprintf(machines, sizeof machines, "native,sim:%s", profile) >= sizeof machines)
        return cli_error(command.name, "--profile: the path is too long");
    const char *const arguments[] = {"run",
                                     "--machine",
                                     machines,
                                     "--engine",
                                     engines,
                                     "--workload",
                                     values[WORKLOAD] != NULL ? values[WORKLOAD]
                                                              : VALIDATE_WORKLOADS,
                                     "--threads",
                                     values[THREADS] != NULL ? values[THREADS] : VALIDATE_THREADS,
                                     "--repetitions",
                                     values[REPETITIONS] != NULL ? values[REPETITIONS] : "10",
                                     "--min-time",
                                     values[MIN_TIME] != NULL ? values[MIN_TIME] : "0.005",
                                     "--out",
                                     results};
    return run_words(command.name, arguments, sizeof arguments / sizeof *arguments);
}

/* Measures this computer first. */
static int probe_to(const char *path) {
    char name[] = "probe", option[] = "--out", *file = strdup(path);
    char *arguments[] = {name, option, file, NULL};
    const int status =
        file != NULL ? machine_probe_main(3, arguments) : cli_error(command.name, "out of memory");
    free(file);
    return status;
}

/* Can the profile be read?  One line on stderr if not. */
static bool readable(const char *profile, char name[64]) {
    struct sim_profile p;
    char why[1024];
    if (!sim_profile_load(profile, NULL, 0, &p, why, sizeof why))
        return cli_error(command.name, "--profile: %s", why), false;
    snprintf(name, 64, "%s", p.name);
    return true;
}

/* A profile (NULL: whichever there is) as the results call it: as it was given to the run, or by
 * the name that is written in it.  The caller frees. */
static char *machine_in(const struct load *load, const char *profile) {
    char name[64], *machine = NULL;
    if (profile == NULL || !readable(profile, name))
        return NULL;
    if (asprintf(&machine, "sim:%s", profile) < 0)
        return NULL;
    for (size_t h = 0; h < load->hosts_count; h++)
        if (strcmp(load->hosts[h].machine, machine) == 0)
            return machine;
    free(machine);
    return asprintf(&machine, "sim:%s", name) < 0 ? NULL : machine;
}

static int compare(const char *results, const char *profile, const char *out) {
    struct load load;
    struct validation v = {0};
    char why[512];
    if (!load_files(&load, &results, 1))
        return EXIT_BAD_INPUT;
    int status = EXIT_DONE;
    char *machine = machine_in(&load, profile);
    if (!validation_make(&v, &load, machine, why, sizeof why)) {
        cli_error(command.name, "%.300s: %s", results, why);
        status = EXIT_FAILED;
    } else {
        print_tables(stdout, &v);
        if (out != NULL && !validate_write(out, write_files, &v))
            status = EXIT_FAILED;
    }
    free(machine);
    validation_free(&v);
    load_free(&load);
    return status;
}

static int run_and_compare(const char **values, const char *given_profile, const char *out) {
    char *stem = stem_of(out), *results = NULL, *profile = NULL, name[64];
    int status = EXIT_DONE;
    if (stem == NULL || asprintf(&results, "%s.results.json", stem) < 0) {
        results = NULL;
        status = cli_error(command.name, "out of memory");
    }
    if (status == EXIT_DONE && given_profile != NULL) {
        profile = strdup(given_profile);
    } else if (status == EXIT_DONE) {
        char *named = NULL;
        if (asprintf(&named, "%s.profile.json", stem) >= 0) {
            profile = profile_argument(named);
            free(named);
        }
        if (profile != NULL)
            status = probe_to(profile);
    }
    if (status == EXIT_DONE && profile == NULL)
        status = cli_error(command.name, "out of memory");
    if (status == EXIT_DONE && !readable(profile, name))
        status = EXIT_BAD_INPUT;
    if (status == EXIT_DONE)
        status = run_matrix(values, profile, results);
    /* Cells that failed are in the file with their reasons: the others can be compared. */
    if (results != NULL &&
        (status == EXIT_DONE || (status == EXIT_FAILED && access(results, R_OK) == 0))) {
        const int compared = compare(results, profile, out);
        status = status == EXIT_DONE ? compared : status;
    }
    free(profile);
    free(results);
    free(stem);
    return status;
}

int machine_validate_main(int argc, char **argv) {
    const char *values[OPTIONS], *operands[1];
    char why[1024], *profile = NULL, *out = NULL, name[64];
    int status;
    if (!cli_parse(&command, argc, argv, values, operands, &status))
        return status;
    if (values[HTM] != NULL)
        for (unsigned o = RESULTS; o < OPTIONS; o++)
            if (o != OUT && o != HTM && values[o] != NULL)
                return cli_error(command.name, "--%s has no meaning with --htm; leave it out",
                                 options[o].name);
    if (values[RESULTS] != NULL)
        for (unsigned o = ENGINE; o < OPTIONS; o++)
            if (values[o] != NULL)
                return cli_error(command.name, "--%s: nothing is run with --results; leave it out",
                                 options[o].name);
    if (values[PROFILE] != NULL) {
        profile = profile_argument(values[PROFILE]);
        if (profile == NULL || !readable(profile, name)) {
            free(profile);
            return EXIT_BAD_INPUT;
        }
    }
    if (values[OUT] != NULL || values[RESULTS] == NULL) {
        out = outfile_choose(values[OUT], false, why, sizeof why);
        if (out == NULL) {
            free(profile);
            return cli_error(command.name, "%s", why);
        }
    }
    status = values[HTM] != NULL       ? validate_htm(profile, out)
             : values[RESULTS] != NULL ? compare(values[RESULTS], profile, out)
                                       : run_and_compare(values, profile, out);
    free(out);
    free(profile);
    return status;
}
