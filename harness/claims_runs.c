/*
 * claims_runs.c - the figure of a property: for each engine, how many runs were verified on each
 * machine and what share of them was wrong.  See claims.h.
 */
#include "claims.h"

#include "cli.h"
#include "figure_script.h"
#include "report_view.h"

#include <stdlib.h>
#include <string.h>

enum { PANELS_MAX = 4, ENGINES_MAX = 32 };

struct bar {
    double runs, wrong;
};

struct runs {
    const char *label[PANELS_MAX]; /* of the machine */
    bool simulated[PANELS_MAX];
    bool explored[PANELS_MAX]; /* runs are schedules, and the last one of an engine may fail */
    unsigned panels;
    const char *engine[ENGINES_MAX];
    unsigned engines;
    struct bar bar[PANELS_MAX][ENGINES_MAX];
    bool overflow;
};

/* The bar of this engine in the panel of this machine. */
static struct bar *bar_of(struct runs *r, const char *label, bool simulated, bool explored,
                          const char *engine) {
    unsigned p = 0, e = 0;
    while (p < r->panels && strcmp(r->label[p], label) != 0)
        p++;
    while (e < r->engines && strcmp(r->engine[e], engine) != 0)
        e++;
    if (p == PANELS_MAX || e == ENGINES_MAX) {
        static struct bar nowhere;
        r->overflow = true;
        return &nowhere;
    }
    r->label[p] = label;
    r->simulated[p] = simulated;
    r->explored[p] = explored;
    r->engine[e] = engine;
    r->panels += p == r->panels;
    r->engines += e == r->engines;
    return &r->bar[p][e];
}

/* Any host of a results file is where its failures were: a file of an experiment has one. */
static void add_lost(struct runs *r, const struct load *load) {
    for (size_t i = 0; i < load->failures_count && load->hosts_count > 0; i++) {
        const struct load_gap *gap = &load->failures[i];
        struct bar *bar =
            bar_of(r, load->hosts[0].label, load->hosts[0].simulated, false, gap->engine);
        bar->runs += gap->lost;
        bar->wrong += gap->lost;
    }
}

static void add_load(struct runs *r, const struct load *load) {
    for (size_t i = 0; i < load->cells_count; i++) {
        const struct load_cell *c = &load->cells[i];
        const struct load_host *host = &load->hosts[c->host];
        struct bar *bar = bar_of(r, host->label, host->simulated, false, c->engine);
        bar->runs += c->samples;
        bar->wrong += c->verify_failed;
    }
    add_lost(r, load);
}

static void add_explored(struct runs *r, const json_t *summary) {
    struct claim_explored x;
    for (size_t i = 0; claim_explored_next(summary, &i, &x);) {
        struct bar *bar = bar_of(r, CLAIM_EXPLORED_MACHINE, true, true, x.engine);
        bar->runs += (double)x.judged;
        bar->wrong += x.failed;
    }
}

static void put_rectangle(FILE *f, double from, double to, unsigned row, const char *colour) {
    if (to > from)
        fprintf(f,
                "set object rectangle from first %.5f,first %.3f to first %.5f,first %.3f "
                "fc rgb '%s' fs solid noborder\n",
                from, row - 0.33, to, row + 0.33, colour);
}

static void put_panel(FILE *f, const struct runs *r, unsigned p) {
    const double left = 0.19, right = 0.985, top = 0.80, bottom = 0.05, gap = 0.02;
    const double width = (right - left - gap * (r->panels - 1)) / r->panels;
    const double x = left + p * (width + gap);
    const int size_px = r->engines > 14 ? SCRIPT_SMALL_PX - 3 : SCRIPT_SMALL_PX;
    script_margins(f, x, x + width, bottom, top);
    /* Room for a text behind the bars. */
    fprintf(f, "set xrange [0:1.75]\nset yrange [%.1f:-0.6]\nunset tics\nunset border\n",
            r->engines - 0.4);
    script_label(f, r->label[p], "screen", x, top + 0.035, "left",
                 script_fit(r->label[p], SCRIPT_SMALL_PX, 0.93 * width),
                 r->simulated[p] ? "#B00020" : "#000000", true);
    for (unsigned e = 0; e < r->engines; e++) {
        const struct bar *b = &r->bar[p][e];
        char text[64];
        if (p == 0)
            script_label(f, r->engine[e], "screen", left - 0.01,
                         top - (top - bottom) * (e + 0.6) / (r->engines + 0.2), "right", size_px,
                         "#000000", false);
        if (b->runs == 0)
            continue;
        /* Of schedules nothing behind the failing one was tried. */
        const double wrong = r->explored[p] ? b->wrong > 0 : b->wrong / b->runs;
        put_rectangle(f, 0, 1 - wrong, e, "#56B4E9");
        put_rectangle(f, 1 - wrong, 1, e, "#D55E00");
        if (b->wrong == 0)
            snprintf(text, sizeof text, r->explored[p] ? "%.0f schedules" : "%.0f runs", b->runs);
        else if (r->explored[p])
            snprintf(text, sizeof text, "fails at no. %.0f", b->runs);
        else
            snprintf(text, sizeof text, "%.0f of %.0f wrong", b->wrong, b->runs);
        script_label(f, text, "first", 1.04, e, "left", script_fit(text, size_px, 0.41 * width),
                     b->wrong > 0 ? "#B00020" : "#333333", b->wrong > 0);
    }
    fputs("plot 1e9 with lines\nunset label\nunset arrow\nunset object\n", f);
}

bool claims_runs(const char *title, const struct load *const *loads, const json_t *const *explored,
                 size_t count, const char *folder, const char *stem) {
    struct runs *r = calloc(1, sizeof *r);
    if (r == NULL) {
        cli_error("claims", "out of memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (loads[i] != NULL)
            add_load(r, loads[i]);
        add_explored(r, explored[i]);
    }
    bool ok = r->panels > 0;
    char *name = NULL;
    FILE *f = ok ? script_open(stem, folder, &name) : NULL;
    if (!ok)
        cli_error("claims", "%s/%s: no runs to draw", folder, stem);
    ok = f != NULL;
    if (ok) {
        script_page(
            f, title,
            "Blue: the share of runs whose result was right; orange: wrong (of chosen schedules "
            "the first one that fails ends it); no bar: not run there",
            r->overflow ? "more engines or machines than fit are left out" : "", false);
        script_page_end(f);
        for (unsigned p = 0; p < r->panels; p++)
            put_panel(f, r, p);
        ok = script_close(f, folder, name) && figure_render(folder, stem);
    }
    free(r);
    return ok;
}
