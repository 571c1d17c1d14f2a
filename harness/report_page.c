/*
 * report_page.c - the tables of a report, in Markdown and in one page that needs nothing else.
 *
 * Both are rendered from the same tables.  In the page every number is a link to its cell, where
 * its samples, the command that measures it again and what it was divided by are found.  Text that
 * came from a file is escaped on its way out, whatever it says.
 */
#include "report_view.h"

#include "cli.h"
#include "escape.h"
#include "runner.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- escaping ------------------------------------------------------------------------------ */

/* A name that may be broken behind its colons, to keep a table narrow. */
static void put_html_name(FILE *f, const char *s) {
    for (const char *colon; (colon = strchr(s, ':')) != NULL; s = colon + 1) {
        char *part = strndup(s, (size_t)(colon - s) + 1);
        put_html(f, part != NULL ? part : "");
        fputs("<wbr>", f);
        free(part);
    }
    put_html(f, s);
}

/* A word of a command line, quoted where a shell would read it otherwise. */
static void put_word(FILE *html, const char *s) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-.,:=/+@%";
    if (s[0] != '\0' && s[strspn(s, plain)] == '\0') {
        fputs(s, html);
        return;
    }
    fputc('\'', html);
    for (; *s != '\0'; s++) {
        const char one[2] = {*s, '\0'};
        if (*s == '\'')
            fputs("'\\''", html);
        else
            put_html(html, one);
    }
    fputc('\'', html);
}

/* ---- tables -------------------------------------------------------------------------------- */

enum quantity { SLOWDOWN, SPEEDUP, SCALING, TIME, QUANTITIES };

static const struct {
    const char *title, *note;
} quantities[QUANTITIES] = {
    [SLOWDOWN] = {"Slowdown", "Time per operation on one thread, as a multiple of seq's."},
    [SPEEDUP] = {"Speed-up over the GIL",
                 "Throughput as a multiple of that under gil (mode=switch) on one thread."},
    [SCALING] = {"Scaling", "Throughput as a multiple of the same engine's on one thread."},
    [TIME] = {"Time", "Nanoseconds per committed operation, all threads together (median)."},
};

/* A number and its interval; `text` alone when there is no number to show. */
struct entry {
    const struct load_cell *cell; /* NULL: not measured */
    bool has_value, has_interval;
    double value, low, high;
    char text[64];
};

static struct entry ratio_entry(const struct load_cell *cell, const struct load_ratio *r) {
    return (struct entry){.cell = cell,
                          .has_value = r->present,
                          .has_interval = r->has_interval,
                          .value = r->value,
                          .low = r->low,
                          .high = r->high};
}

static struct entry entry_of(const struct load_cell *cell, enum quantity quantity) {
    struct entry e = {.cell = cell};
    if (cell == NULL)
        return e;
    if (!cell->has_time) {
        view_no_time(cell, e.text, sizeof e.text);
        return e;
    }
    switch (quantity) {
    case SLOWDOWN:
        return ratio_entry(cell, &cell->slowdown);
    case SPEEDUP:
        return ratio_entry(cell, &cell->speedup);
    case SCALING:
        return ratio_entry(cell, &cell->scaling);
    default:
        return (struct entry){.cell = cell,
                              .has_value = true,
                              .has_interval = cell->has_interval,
                              .value = cell->median_ns,
                              .low = cell->low_ns,
                              .high = cell->high_ns};
    }
}

/* Has this row of the table any entry that says something? */
static bool row_counts(const struct view *view, enum quantity quantity, const char *workload,
                       unsigned threads) {
    if ((quantity == SLOWDOWN && threads != 1) || (quantity == SCALING && threads == 1))
        return false;
    for (size_t e = 0; e < view->engines_count; e++) {
        const struct entry entry =
            entry_of(view_cell(view, workload, view->engines[e], threads), quantity);
        if (entry.has_value)
            return true;
    }
    return false;
}

static bool table_counts(const struct view *view, enum quantity quantity) {
    for (size_t w = 0; w < view->workloads_count; w++)
        for (size_t t = 0; t < view->threads_count; t++)
            if (row_counts(view, quantity, view->workloads[w], view->threads[t]))
                return true;
    return false;
}

static void interval_text(const struct entry *e, char *text, size_t size) {
    char low[VIEW_NUMBER_SIZE], high[VIEW_NUMBER_SIZE];
    view_number(e->low, low);
    view_number(e->high, high);
    snprintf(text, size, "[%s, %s]", low, high);
}

static void markdown_entry(FILE *f, const struct entry *e) {
    char value[VIEW_NUMBER_SIZE], interval[80];
    if (e->has_value) {
        view_number(e->value, value);
        interval_text(e, interval, sizeof interval);
        fprintf(f, " %s %s |", value, e->has_interval ? interval : "(no interval)");
    } else {
        fprintf(f, " %s |", e->text[0] != '\0' ? e->text : "-");
    }
}

static void markdown_table(FILE *f, const struct view *view, enum quantity quantity) {
    fprintf(f, "### %s\n\n%s In brackets: the 95 %% interval%s.\n\n| workload |%s",
            quantities[quantity].title, quantities[quantity].note, view_over(view),
            quantity == SLOWDOWN ? "" : " threads |");
    for (size_t e = 0; e < view->engines_count; e++) {
        fputc(' ', f);
        put_markdown(f, view->engines[e]);
        fputs(" |", f);
    }
    fprintf(f, "\n|---|%s", quantity == SLOWDOWN ? "" : "--:|");
    for (size_t e = 0; e < view->engines_count; e++)
        fputs("--:|", f);
    fputc('\n', f);
    for (size_t w = 0; w < view->workloads_count; w++)
        for (size_t t = 0; t < view->threads_count; t++) {
            if (!row_counts(view, quantity, view->workloads[w], view->threads[t]))
                continue;
            fputs("| ", f);
            put_markdown(f, view->workloads[w]);
            fputs(" |", f);
            if (quantity != SLOWDOWN)
                fprintf(f, " %u |", view->threads[t]);
            for (size_t e = 0; e < view->engines_count; e++) {
                const struct entry entry = entry_of(
                    view_cell(view, view->workloads[w], view->engines[e], view->threads[t]),
                    quantity);
                markdown_entry(f, &entry);
            }
            fputc('\n', f);
        }
    fputc('\n', f);
}

static void html_entry(FILE *f, const struct load *load, const struct entry *e) {
    char value[VIEW_NUMBER_SIZE], interval[80];
    if (e->cell == NULL || (!e->has_value && e->text[0] == '\0')) {
        fputs("<td class=none>–</td>", f);
        return;
    }
    const size_t index = (size_t)(e->cell - load->cells);
    if (!e->has_value) {
        fprintf(f, "<td class=wrong><a href=\"#cell-%zu\">%s</a></td>", index, e->text);
        return;
    }
    view_number(e->value, value);
    interval_text(e, interval, sizeof interval);
    fprintf(f, "<td><a href=\"#cell-%zu\">%s<small>%s</small></a></td>", index, value,
            e->has_interval ? interval : "no interval");
}

/* The threads of a workload stand below each other, its name only beside the first. */
static void html_table(FILE *f, const struct view *view, enum quantity quantity) {
    fprintf(
        f,
        "<h3>%s</h3><p>%s In brackets: the 95&nbsp;%% interval%s.</p><div class=wide><table><tr>"
        "<th class=name>workload</th>%s",
        quantities[quantity].title, quantities[quantity].note, view_over(view),
        quantity == SLOWDOWN ? "" : "<th>threads</th>");
    for (size_t e = 0; e < view->engines_count; e++) {
        fputs("<th>", f);
        put_html_name(f, view->engines[e]);
        fputs("</th>", f);
    }
    fputs("</tr>\n", f);
    for (size_t w = 0; w < view->workloads_count; w++) {
        bool named = false;
        for (size_t t = 0; t < view->threads_count; t++) {
            if (!row_counts(view, quantity, view->workloads[w], view->threads[t]))
                continue;
            fprintf(f, "<tr%s><th class=name>", named ? "" : " class=first");
            if (!named)
                put_html_name(f, view->workloads[w]);
            fputs("</th>", f);
            if (quantity != SLOWDOWN)
                fprintf(f, "<th>%u</th>", view->threads[t]);
            for (size_t e = 0; e < view->engines_count; e++) {
                const struct entry entry = entry_of(
                    view_cell(view, view->workloads[w], view->engines[e], view->threads[t]),
                    quantity);
                html_entry(f, view->load, &entry);
            }
            fputs("</tr>\n", f);
            named = true;
        }
    }
    fputs("</table></div>\n", f);
}

/* ---- what has no numbers ------------------------------------------------------------------- */

static void markdown_gaps(FILE *f, const char *title, const struct load_gap *gaps, size_t n) {
    fprintf(f, "## %s\n\n", title);
    if (n == 0) {
        fputs("None.\n\n", f);
        return;
    }
    fputs("| workload | engine | machine | threads | reason |\n|---|---|---|--:|---|\n", f);
    for (size_t i = 0; i < n; i++) {
        fputs("| ", f);
        put_markdown(f, gaps[i].workload);
        fputs(" | ", f);
        put_markdown(f, gaps[i].engine);
        fputs(" | ", f);
        put_markdown(f, gaps[i].machine);
        fprintf(f, " | %u | ", gaps[i].threads);
        put_markdown(f, gaps[i].reason);
        fputs(gaps[i].expected ? " (expected) |\n" : " |\n", f);
    }
    fputc('\n', f);
}

static void html_gaps(FILE *f, const char *title, const struct load_gap *gaps, size_t n) {
    fprintf(f, "<h2>%s</h2>\n", title);
    if (n == 0) {
        fputs("<p>None.</p>\n", f);
        return;
    }
    fputs("<div class=wide><table class=text><tr><th>workload</th><th>engine</th><th>machine</th>"
          "<th>threads</th><th>reason</th></tr>\n",
          f);
    for (size_t i = 0; i < n; i++) {
        const char *const fields[] = {gaps[i].workload, gaps[i].engine, gaps[i].machine};
        fputs("<tr>", f);
        for (size_t k = 0; k < 3; k++) {
            fputs("<td>", f);
            put_html(f, fields[k]);
            fputs("</td>", f);
        }
        fprintf(f, "<td>%u</td><td>", gaps[i].threads);
        put_html(f, gaps[i].reason);
        fputs(gaps[i].expected ? " (expected)</td></tr>\n" : "</td></tr>\n", f);
    }
    fputs("</table></div>\n", f);
}

/* ---- one cell ------------------------------------------------------------------------------ */

static void html_number_row(FILE *f, const char *name, double value, const char *unit) {
    char text[VIEW_NUMBER_SIZE];
    if (value < 0)
        return;
    if (value == floor(value) && value < 1e15)
        snprintf(text, sizeof text, "%.0f", value);
    else
        view_number(value, text);
    fprintf(f, "<tr><th>%s</th><td>%s%s</td></tr>", name, text, unit);
}

/* Every sample as a dot on a line, the median as a stroke. */
static void html_strip(FILE *f, const struct load_cell *cell) {
    double low = cell->raw_ns[0], high = cell->raw_ns[0];
    for (size_t i = 1; i < cell->raw_count; i++) {
        low = fmin(low, cell->raw_ns[i]);
        high = fmax(high, cell->raw_ns[i]);
    }
    const double scale = high > low ? 560 / (high - low) : 0;
    fputs("<svg class=strip viewBox=\"0 0 600 40\" role=img aria-label=\"samples\">"
          "<line x1=\"10\" x2=\"590\" y1=\"20\" y2=\"20\" stroke=\"#bbb\"/>",
          f);
    if (cell->has_interval)
        fprintf(f,
                "<rect x=\"%.1f\" width=\"%.1f\" y=\"12\" height=\"16\" fill=\"#0072B2\" "
                "fill-opacity=\".2\"/>",
                20 + (fmax(cell->low_ns, low) - low) * scale,
                fmax(1, (fmin(cell->high_ns, high) - fmax(cell->low_ns, low)) * scale));
    for (size_t i = 0; i < cell->raw_count; i++)
        fprintf(f, "<circle cx=\"%.1f\" cy=\"20\" r=\"4\" fill=\"#333\" fill-opacity=\".45\"/>",
                20 + (cell->raw_ns[i] - low) * scale);
    const double median = 20 + (cell->median_ns - low) * scale;
    fprintf(f,
            "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"6\" y2=\"34\" stroke=\"#0072B2\" "
            "stroke-width=\"3\"/></svg>",
            median, median);
}

static void html_ratio(FILE *f, const struct load *load, const struct load_cell *cell,
                       const char *name, const struct load_ratio *r) {
    if (!r->present)
        return;
    char value[VIEW_NUMBER_SIZE], interval[80];
    const struct entry e = ratio_entry(cell, r);
    view_number(r->value, value);
    interval_text(&e, interval, sizeof interval);
    fprintf(f, "<tr><th>%s</th><td>%s %s", name, value,
            r->has_interval ? interval : "(no interval)");
    if (r->baseline != NULL) {
        const struct load_cell *baseline = load_find(load, r->baseline, cell);
        fputs(", relative to ", f);
        if (baseline != NULL)
            fprintf(f, "<a href=\"#cell-%zu\">", (size_t)(baseline - load->cells));
        put_html(f, r->baseline);
        if (baseline != NULL)
            fputs("</a>", f);
    }
    fputs("</td></tr>", f);
}

/* What a run is repeated with: the cell itself, then the cells it is compared with. */
struct rerun {
    const struct load_cell *cells[5];
    size_t count;
};

static void add_rerun(struct rerun *rerun, const struct load *load, const struct load_ratio *r) {
    const struct load_cell *cell =
        r->present && r->baseline != NULL ? load_find(load, r->baseline, rerun->cells[0]) : NULL;
    for (size_t i = 0; cell != NULL && i < rerun->count; i++)
        if (rerun->cells[i] == cell)
            cell = NULL;
    if (cell != NULL)
        rerun->cells[rerun->count++] = cell;
}

static void put_context_option(FILE *f, const struct load_file *file, const char *option,
                               const char *key) {
    const json_t *value = json_object_get(file->context, key);
    if (json_is_integer(value))
        fprintf(f, " %s %" JSON_INTEGER_FORMAT, option, json_integer_value(value));
    else if (json_is_real(value))
        fprintf(f, " %s %.9g", option, json_real_value(value));
    else if (json_is_string(value)) {
        fprintf(f, " %s ", option);
        put_word(f, json_string_value(value));
    }
}

/* allcores run ... for these cells, which share workload, machine and file. */
static void html_command(FILE *f, const struct load *load, const struct rerun *rerun) {
    const struct load_cell *cell = rerun->cells[0];
    const struct load_file *file = &load->files[cell->file];
    fputs("<pre>allcores run --workload ", f);
    put_word(f, cell->workload);
    fputs(" --engine ", f);
    for (size_t i = 0; i < rerun->count; i++) {
        bool again = false;
        for (size_t j = 0; j < i; j++)
            again = again || strcmp(rerun->cells[i]->engine, rerun->cells[j]->engine) == 0;
        if (again)
            continue;
        if (i > 0)
            fputc(',', f);
        put_word(f, rerun->cells[i]->engine);
    }
    fputs(" --threads ", f);
    unsigned least = cell->threads, most = cell->threads;
    for (size_t i = 1; i < rerun->count; i++) {
        least = rerun->cells[i]->threads < least ? rerun->cells[i]->threads : least;
        most = rerun->cells[i]->threads > most ? rerun->cells[i]->threads : most;
    }
    if (least == most)
        fprintf(f, "%u", least);
    else
        fprintf(f, "%u,%u", least, most);
    if (strcmp(cell->machine, "native") != 0) {
        fputs(" --machine ", f);
        put_word(f, cell->machine);
    }
    for (size_t i = 0; i < json_array_size(cell->overrides); i++) {
        fputs(" --set ", f);
        put_word(f, json_string_value(json_array_get(cell->overrides, i)));
    }
    put_context_option(f, file, "--repetitions", "repetitions");
    const bool simulated =
        json_object_get(file->context, "sim_time_s") != NULL && load->hosts[cell->host].simulated;
    put_context_option(f, file, "--min-time", simulated ? "sim_time_s" : "min_time_s");
    put_context_option(f, file, "--warm-up", "warmup_s");
    put_context_option(f, file, "--seed", "seed");
    fputs(" --out again.json</pre>", f);
}

static void html_samples(FILE *f, const struct load_cell *cell) {
    if (cell->raw_count == 0)
        return;
    html_strip(f, cell);
    fprintf(f, "<p class=raw><b>%zu samples, ns per operation, in the order of the passes:</b> ",
            cell->raw_count);
    for (size_t i = 0; i < cell->raw_count; i++)
        fprintf(f, "%s%.6g", i > 0 ? ", " : "", cell->raw_ns[i]);
    fputs("</p>", f);
}

static void html_cell(FILE *f, const struct load *load, size_t index) {
    const struct load_cell *cell = &load->cells[index];
    fputs("<details><summary>", f);
    put_html(f, cell->name);
    if (cell->has_time) {
        char median[VIEW_NUMBER_SIZE];
        view_number(cell->median_ns, median);
        fprintf(f, "<span>%s ns</span>", median);
    } else {
        char wrong[64];
        view_no_time(cell, wrong, sizeof wrong);
        fprintf(f, "<span class=wrong>%s</span>", wrong);
    }
    fprintf(f, "</summary><div class=cell id=\"cell-%zu\"><table class=text>", index);
    fputs("<tr><th>machine</th><td>", f);
    put_html(f, load->hosts[cell->host].label);
    fputs("</td></tr><tr><th>file</th><td>", f);
    put_html(f, load->files[cell->file].path);
    fputs("</td></tr>", f);
    if (cell->has_time) {
        const struct entry time = entry_of(cell, TIME);
        char value[VIEW_NUMBER_SIZE], interval[80];
        view_number(time.value, value);
        interval_text(&time, interval, sizeof interval);
        fprintf(f, "<tr><th>median</th><td>%s ns per operation, 95&nbsp;%% interval%s %s</td></tr>",
                value, load->hosts[cell->host].simulated ? " over seeds" : "",
                time.has_interval ? interval : "not given: too few samples");
    }
    if (cell->has_verify_failed)
        fprintf(f, "<tr><th>verification</th><td>failed in %u of %u runs</td></tr>",
                cell->verify_failed, cell->samples);
    html_ratio(f, load, cell, "slowdown", &cell->slowdown);
    html_ratio(f, load, cell, "scaling", &cell->scaling);
    html_ratio(f, load, cell, "speed-up over the GIL", &cell->speedup);
    html_ratio(f, load, cell, "speed-up over gil:mode=section", &cell->to_gil_section);
    html_number_row(f, "commits", cell->commits, "");
    for (size_t i = 0; i < cell->abort_causes; i++)
        if (cell->aborts[i].count > 0) {
            fputs("<tr><th>aborts: ", f);
            put_html(f, cell->aborts[i].name);
            fprintf(f, "</th><td>%.0f</td></tr>", cell->aborts[i].count);
        }
    if (cell->wasted_ratio >= 0)
        html_number_row(f, "time in aborted work", 100 * cell->wasted_ratio, " %");
    html_number_row(f, "operations, slowest thread", cell->ops_min, "");
    html_number_row(f, "operations, fastest thread", cell->ops_max, "");
    html_number_row(f, "latency, median", cell->latency_p50_ns, " ns");
    html_number_row(f, "latency, 99th percentile", cell->latency_p99_ns, " ns");
    html_number_row(f, "latency, maximum", cell->latency_max_ns, " ns");
    if (cell->rss_bytes >= 0)
        html_number_row(f, "resident memory", cell->rss_bytes / 1048576, " MiB");
    fputs("</table>", f);
    html_samples(f, cell);
    struct rerun rerun = {{cell}, 1};
    fputs("<p>Measure this cell again:</p>", f);
    html_command(f, load, &rerun);
    add_rerun(&rerun, load, &cell->slowdown);
    add_rerun(&rerun, load, &cell->scaling);
    add_rerun(&rerun, load, &cell->speedup);
    add_rerun(&rerun, load, &cell->to_gil_section);
    if (rerun.count > 1) {
        fputs("<p>Together with what it is compared with:</p>", f);
        html_command(f, load, &rerun);
    }
    fputs("</div></details>\n", f);
}

/* ---- the environment ----------------------------------------------------------------------- */

static void html_scalar(FILE *f, const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_STRING:
        put_html(f, json_string_value(value));
        break;
    case JSON_INTEGER:
        fprintf(f, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        fprintf(f, "%.6g", json_real_value(value));
        break;
    case JSON_TRUE:
        fputs("yes", f);
        break;
    case JSON_FALSE:
        fputs("no", f);
        break;
    default:
        fputs("unknown", f);
    }
}

/* The members of an object on one line, or the elements of an array. */
static void html_value(FILE *f, json_t *value, int depth) {
    const char *key;
    json_t *member;
    size_t i;
    const char *separator = "";
    if (json_is_object(value) && depth < 4) {
        json_object_foreach(value, key, member) {
            fputs(separator, f);
            put_html(f, key);
            fputs(": ", f);
            html_value(f, member, depth + 1);
            separator = ", ";
        }
    } else if (json_is_array(value) && depth < 4) {
        json_array_foreach(value, i, member) {
            fputs(separator, f);
            html_value(f, member, depth + 1);
            separator = depth == 0 ? "<br>" : ", ";
        }
    } else {
        html_scalar(f, value);
    }
}

static void html_environment(FILE *f, const struct load_file *file) {
    fputs("<h3>", f);
    put_html(f, file->path);
    fputs("</h3><div class=wide><table class=text>\n", f);
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(file->root, "context"), key, value) {
        fputs("<tr><th>", f);
        put_html(f, key);
        fputs("</th><td>", f);
        html_value(f, value, 0);
        fputs("</td></tr>\n", f);
    }
    fputs("</table></div>\n", f);
}

/* ---- pictures in the page ------------------------------------------------------------------ */

static bool html_base64(FILE *out, const char *folder, const char *name) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *path = NULL;
    if (asprintf(&path, "%s/%s.svg", folder, name) < 0)
        return false;
    FILE *in = fopen(path, "re");
    if (in == NULL)
        cli_error("report", "%s: %s", path, strerror(errno));
    free(path);
    if (in == NULL)
        return false;
    unsigned char b[3];
    size_t n;
    while ((n = fread(b, 1, 3, in)) > 0) {
        const unsigned v =
            (unsigned)b[0] << 16 | (n > 1 ? (unsigned)b[1] << 8 : 0) | (n > 2 ? (unsigned)b[2] : 0);
        fputc(digits[v >> 18], out);
        fputc(digits[v >> 12 & 63], out);
        fputc(n > 1 ? digits[v >> 6 & 63] : '=', out);
        fputc(n > 2 ? digits[v & 63] : '=', out);
    }
    const bool ok = !ferror(in);
    fclose(in);
    return ok;
}

static bool html_figure(FILE *f, const struct figure *figure, const char *folder) {
    fputs("<figure><img alt=\"", f);
    put_html(f, figure->title);
    fputs("\" src=\"data:image/svg+xml;base64,", f);
    if (!html_base64(f, folder, figure->name))
        return false;
    fputs("\">", f);
    if (figure->caption != NULL) {
        fputs("<figcaption>", f);
        put_html(f, figure->caption);
        fputs("</figcaption>", f);
    }
    fputs("</figure>\n", f);
    return true;
}

static bool html_figures(FILE *f, const struct view *view, const struct figures *figures,
                         const char *section, const char *folder) {
    for (size_t i = 0; i < figures->count; i++) {
        const struct figure *figure = &figures->list[i];
        if (figure->host == view->host && strcmp(figure->section, section) == 0 &&
            !html_figure(f, figure, folder))
            return false;
    }
    return true;
}

static bool html_experiments(FILE *f, const struct figures *figures, const char *folder) {
    for (size_t i = 0; i < figures->count; i++)
        if (strcmp(figures->list[i].section, "experiment") == 0 &&
            !html_figure(f, &figures->list[i], folder))
            return false;
    return true;
}

/* ---- the files ----------------------------------------------------------------------------- */

static bool write_markdown(const struct load *load, const struct view *views, const char *folder) {
    FILE *f = report_open(folder, "tables.md");
    if (f == NULL)
        return false;
    fputs("# Results\n\n", f);
    for (size_t h = 0; h < load->hosts_count; h++) {
        fputs("## ", f);
        put_markdown(f, load->hosts[h].label);
        fputs("\n\n", f);
        for (int q = 0; q < QUANTITIES; q++)
            if (table_counts(&views[h], (enum quantity)q))
                markdown_table(f, &views[h], (enum quantity)q);
    }
    markdown_gaps(f, "Failures", load->failures, load->failures_count);
    markdown_gaps(f, "Unavailable", load->unavailable, load->unavailable_count);
    return report_close(f, folder, "tables.md");
}

static const char style[] =
    "body{font:17px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:#1a1a1a;"
    "background:#fff;max-width:1240px;margin:0 auto;padding:24px}"
    "h1{font-size:34px;margin:0 0 4px}h2{font-size:26px;margin:48px 0 8px;border-bottom:2px solid "
    "#1a1a1a}h3{font-size:20px;margin:32px 0 4px}p{margin:6px 0 12px;max-width:75ch}"
    "figure{margin:20px 0}img{width:100%;height:auto;border:1px solid #ddd}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:4px 9px;text-align:right;vertical-align:top;font-size:15px}"
    "td{white-space:nowrap}"
    "tr:first-child th{border-bottom:1px solid #1a1a1a}tr.first td,tr.first th{border-top:1px "
    "solid "
    "#ddd}th{font-weight:600}th.name,.text th,.text td{text-align:left}"
    ".text td{white-space:normal;overflow-wrap:anywhere}.text tr:first-child th{border:0}"
    "td small{display:block;color:#555;font-size:13px}a{color:#004b87}td a{text-decoration:none}"
    "td a:hover,td a:focus{text-decoration:underline}.none{color:#888}"
    ".wrong,.wrong a{color:#b00020;white-space:normal;max-width:9em}"
    "details{border-top:1px solid #ddd}summary{cursor:pointer;padding:6px 0;overflow-wrap:anywhere}"
    "summary span{float:right;padding-left:1em;max-width:none}.cell{padding:0 0 16px 20px}"
    ".cell:target{background:#fff6d6}.strip{display:block;width:600px;max-width:100%}"
    ".raw{font-size:14px;max-width:none}pre{background:#f3f3f3;padding:8px 12px;"
    "white-space:pre-wrap;overflow-wrap:anywhere;font-size:14px;margin:4px 0 12px}";

/* A link into a folded cell unfolds it; browsers that do so themselves lose nothing. */
static const char script[] =
    "function u(){var e=document.getElementById(location.hash.slice(1));"
    "if(e&&e.parentNode.tagName==='DETAILS'){e.parentNode.open=true;e.parentNode.scrollIntoView()}}"
    "addEventListener('hashchange',u);addEventListener('load',u);"
    "document.addEventListener('click',function(e){var a=e.target.closest('a');"
    "if(a&&a.hash&&a.hash===location.hash)u()})";

static bool html_host(FILE *f, const struct view *view, const struct figures *figures,
                      const char *folder) {
    fputs("<h2>", f);
    put_html(f, view->load->hosts[view->host].label);
    fputs("</h2>\n", f);
    bool ok = html_figures(f, view, figures, "slowdown", folder);
    if (table_counts(view, SLOWDOWN))
        html_table(f, view, SLOWDOWN);
    ok = ok && html_figures(f, view, figures, "speedup", folder);
    for (int q = SPEEDUP; q < QUANTITIES; q++)
        if (table_counts(view, (enum quantity)q))
            html_table(f, view, (enum quantity)q);
    return ok && html_figures(f, view, figures, "aborts", folder);
}

static bool write_html(const struct load *load, const struct view *views,
                       const struct figures *figures, const char *folder) {
    FILE *f = report_open(folder, "index.html");
    if (f == NULL)
        return false;
    fprintf(
        f,
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content=\"width=device-width\"><title>allcores: results</title>"
        "<style>%s</style></head><body>\n<h1>Atomic sections: what they cost, what they buy</h1>"
        "<p>Every number is a link to its cell: the raw samples, the command that measures it "
        "again, and what it was divided by.</p>\n",
        style);
    bool ok = html_experiments(f, figures, folder);
    for (size_t h = 0; ok && h < load->hosts_count; h++)
        ok = html_host(f, &views[h], figures, folder);
    html_gaps(f, "Failures", load->failures, load->failures_count);
    html_gaps(f, "Unavailable", load->unavailable, load->unavailable_count);
    fputs("<h2>Cells</h2>\n", f);
    for (size_t i = 0; i < load->cells_count; i++)
        html_cell(f, load, i);
    fputs("<h2>Environment</h2>\n", f);
    for (size_t i = 0; i < load->files_count; i++)
        html_environment(f, &load->files[i]);
    fprintf(f, "<script>%s</script></body></html>\n", script);
    return report_close(f, folder, "index.html") && ok;
}

bool page_write(const struct load *load, const struct view *views, const struct figures *figures,
                const char *folder) {
    return write_markdown(load, views, folder) && write_html(load, views, figures, folder);
}
