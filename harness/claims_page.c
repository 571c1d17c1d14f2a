/*
 * claims_page.c - what is written of judged claims: claims.json for programs, claims.md for a
 * repository's page, index.html for a reader who has not heard the talk.
 */
#include "claims.h"

#include "cli.h"
#include "escape.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- JSON --------------------------------------------------------------------------------------
 */

static json_t *number_or_null(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *range_json(const struct claim_range *r) {
    return json_pack("[o, o]", number_or_null(r->low), number_or_null(r->high));
}

static json_t *quantity_json(const struct claim_quantity *q, const struct claim_value *v) {
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", q->name, "experiment", q->experiment,
                  "verdict", claim_verdict_names[claim_judge_quantity(q, v)], "reproduced_if",
                  range_json(&q->reproduced), "partly_if", range_json(&q->partly));
    if (json != NULL && v->present)
        json_object_update_new(json, json_pack("{s:f, s:[f, f], s:s}", "value", v->value,
                                               "interval", v->low, v->high, "machine", v->machine));
    else if (json != NULL)
        json_object_set_new(json, "why_not", json_string(v->why));
    return json;
}

/* The machines of a claim, each once, separated by "; ". */
static void machines_of(const struct judged_claim *j, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (unsigned q = 0; q < j->claim.quantities; q++) {
        const struct claim_value *v = &j->values[q];
        if (v->present && strstr(text, v->machine) == NULL && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? "; " : "",
                                     v->machine);
    }
}

static json_t *claim_json(const struct judged_claim *j) {
    const struct claim *c = &j->claim;
    char machines[512];
    machines_of(j, machines, sizeof machines);
    json_t *measured = json_array();
    for (unsigned q = 0; q < c->quantities; q++)
        json_array_append_new(measured, quantity_json(&c->quantity[q], &j->values[q]));
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s}", "id", c->id, "statement",
                  c->statement, "source", c->source, "published", c->published, "measured",
                  measured, "machine", machines, "verdict", claim_verdict_names[j->verdict],
                  "false_if", c->false_if, "explanation", c->explanation);
    if (json != NULL && c->pending != NULL)
        json_object_set_new(json, "pending", json_string(c->pending));
    if (json != NULL && j->figure != NULL)
        json_object_set_new(json, "figure", json_string(j->figure));
    return json;
}

static bool write_json(FILE *f, const struct judged_claim *claims, size_t count,
                       const json_t *context, bool quick) {
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < count; i++)
        ok = json_array_append_new(list, claim_json(&claims[i])) == 0;
    json_t *root =
        json_pack("{s:O?, s:b, s:O}", "context", context, "quick", quick, "claims", list);
    ok = ok && root != NULL && json_dumpf(root, f, JSON_INDENT(2)) == 0 && fputc('\n', f) != EOF;
    json_decref(root);
    json_decref(list);
    return ok;
}

/* ---- Markdown and HTML -------------------------------------------------------------------------
 */

/* "at least 2", "0.9 to 1.1", "anything". */
static void range_text(const struct claim_range *r, char *text, size_t size) {
    if (isfinite(r->low) && isfinite(r->high) && r->low == r->high)
        snprintf(text, size, "%g", r->low);
    else if (isfinite(r->low) && isfinite(r->high))
        snprintf(text, size, "%g to %g", r->low, r->high);
    else if (isfinite(r->low))
        snprintf(text, size, "at least %g", r->low);
    else if (isfinite(r->high))
        snprintf(text, size, "at most %g", r->high);
    else
        snprintf(text, size, "anything");
}

/* Is nothing but what is reproduced acceptable? */
static bool same_range(const struct claim_range *a, const struct claim_range *b) {
    return a->low == b->low && a->high == b->high;
}

static void rule_text(const struct claim_quantity *q, char *text, size_t size) {
    char reproduced[64], partly[64];
    range_text(&q->reproduced, reproduced, sizeof reproduced);
    range_text(&q->partly, partly, sizeof partly);
    if (same_range(&q->reproduced, &q->partly))
        snprintf(text, size, "reproduced: %s", reproduced);
    else
        snprintf(text, size, "reproduced: %s; partly: %s", reproduced, partly);
}

/* What both pages say of a quantity. */
struct quantity_text {
    char value[96], rule[192];
    const char *machine; /* or why there is no value */
    enum claim_verdict verdict;
};

static struct quantity_text text_of(const struct claim_quantity *q, const struct claim_value *v) {
    struct quantity_text text = {.machine = v->present ? v->machine : v->why,
                                 .verdict = claim_judge_quantity(q, v)};
    claims_value_text(v, text.value, sizeof text.value);
    rule_text(q, text.rule, sizeof text.rule);
    return text;
}

static bool write_markdown(FILE *f, const struct judged_claim *claims, size_t count, bool quick) {
    fputs("# Claims\n\n", f);
    if (quick)
        fputs("*From `--quick`: fewer and shorter samples, wider intervals.*\n\n", f);
    fputs("Intervals are 95 %. Every figure says which machine it comes from; a simulated one was "
          "not "
          "measured.\n\n"
          "| claim | published | here | machine | verdict |\n|---|---|---|---|---|\n",
          f);
    for (size_t i = 0; i < count; i++) {
        const struct judged_claim *j = &claims[i];
        const struct claim *c = &j->claim;
        char machines[512], text[96];
        machines_of(j, machines, sizeof machines);
        fprintf(f, "| **[%s](#%s)**: ", c->id, c->id);
        put_markdown(f, c->statement);
        fputs(" | ", f);
        put_markdown(f, c->published);
        fputs(" | ", f);
        for (unsigned q = 0; q < c->quantities; q++) {
            claims_value_text(&j->values[q], text, sizeof text);
            fputs(q > 0 ? "<br>" : "", f);
            put_markdown(f, c->quantity[q].name);
            fputs(": ", f);
            put_markdown(f, text);
        }
        fputs(" | ", f);
        put_markdown(f, machines);
        fprintf(f, " | **%s** |\n", claim_verdict_names[j->verdict]);
    }
    for (size_t i = 0; i < count; i++) {
        const struct judged_claim *j = &claims[i];
        const struct claim *c = &j->claim;
        fprintf(f, "\n## %s\n\n", c->id);
        put_markdown(f, c->explanation);
        if (j->figure != NULL)
            fprintf(f, "\n\n![%s](%s.png)", c->id, j->figure);
        fputs("\n\n| quantity | value | rule | machine | verdict |\n|---|--:|---|---|---|\n", f);
        for (unsigned q = 0; q < c->quantities; q++) {
            const struct quantity_text text = text_of(&c->quantity[q], &j->values[q]);
            fputs("| ", f);
            put_markdown(f, c->quantity[q].name);
            fputs(" | ", f);
            put_markdown(f, text.value);
            fprintf(f, " | %s | ", text.rule);
            put_markdown(f, text.machine);
            fprintf(f, " | %s |\n", claim_verdict_names[text.verdict]);
        }
        fputs("\nIt would be false if ", f);
        put_markdown(f, c->false_if);
        fputs(". Source: ", f);
        put_markdown(f, c->source);
        fputs(".\n", f);
        if (c->pending != NULL) {
            fputs("\nPending: ", f);
            put_markdown(f, c->pending);
            fputs(".\n", f);
        }
    }
    return !ferror(f);
}

static const char style[] =
    "body{font:17px/1.5 sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#111}"
    "table{border-collapse:collapse;margin:1em 0}"
    "td,th{border-bottom:1px solid #ccc;padding:.35em .7em;text-align:left;vertical-align:top}"
    "td.n{white-space:nowrap}img{max-width:100%;border:1px solid #ddd}"
    "h2{margin-top:2.5em}.v{font-weight:bold;white-space:nowrap}"
    ".reproduced{color:#006b3c}.not{color:#a8001c}.partly{color:#8a5a00}"
    ".inconclusive,.pending{color:#555}.small{color:#555;font-size:15px}";

static void put_verdict(FILE *f, enum claim_verdict v) {
    const char *name = claim_verdict_names[v];
    fprintf(f, "<td class=\"v %.*s\">%s</td>", (int)strcspn(name, " "), name, name);
}

static void put_quantities(FILE *f, const struct judged_claim *j) {
    const struct claim *c = &j->claim;
    fputs("<table><tr><th>quantity<th>value [95 %]<th>rule<th>machine<th>verdict</tr>\n", f);
    for (unsigned q = 0; q < c->quantities; q++) {
        const struct quantity_text text = text_of(&c->quantity[q], &j->values[q]);
        fputs("<tr><td>", f);
        put_html(f, c->quantity[q].name);
        fprintf(f, "</td><td class=n>%s</td><td>%s</td><td>", text.value, text.rule);
        put_html(f, text.machine);
        fputs("</td>", f);
        put_verdict(f, text.verdict);
        fputs("</tr>\n", f);
    }
    fputs("</table>\n", f);
}

static bool write_html(FILE *f, const struct judged_claim *claims, size_t count, bool quick) {
    fprintf(
        f,
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>allcores: claims</title>"
        "<meta name=viewport content=\"width=device-width\"><style>%s</style>\n"
        "<h1>Using all these cores: what holds</h1>\n"
        "<p>A talk of 2014 said what transactional memory would do for programs behind a global "
        "interpreter lock (GIL). Here is each of its claims with a number. Every figure says "
        "which machine it comes from: <i>measured</i> on this computer, or <i>simulated</i>, "
        "which is what a model says about a machine that is not here.%s</p>\n",
        style, quick ? " These are quick runs: intervals are wide." : "");
    fputs("<table><tr><th>claim<th>what was said<th>published<th>verdict</tr>\n", f);
    for (size_t i = 0; i < count; i++) {
        const struct claim *c = &claims[i].claim;
        fprintf(f, "<tr><td class=n><a href=\"#%s\">%s</a></td><td>", c->id, c->id);
        put_html(f, c->statement);
        fputs("</td><td>", f);
        put_html(f, c->published);
        fputs("</td>", f);
        put_verdict(f, claims[i].verdict);
        fputs("</tr>\n", f);
    }
    fputs("</table>\n", f);
    for (size_t i = 0; i < count; i++) {
        const struct judged_claim *j = &claims[i];
        const struct claim *c = &j->claim;
        fprintf(f, "<h2 id=\"%s\">%s</h2>\n<p><b>", c->id, c->id);
        put_html(f, c->statement);
        fputs("</b></p>\n<p>", f);
        put_html(f, c->explanation);
        fputs("</p>\n", f);
        if (j->figure != NULL)
            fprintf(f, "<p><img src=\"%s.svg\" alt=\"%s\"></p>\n", j->figure, c->id);
        if (c->quantities > 0)
            put_quantities(f, j);
        fputs("<p class=small>It would be false if ", f);
        put_html(f, c->false_if);
        fputs(". Source: ", f);
        put_html(f, c->source);
        fputs(".", f);
        if (c->pending != NULL) {
            fputs(" <b>Pending:</b> ", f);
            put_html(f, c->pending);
            fputs(".", f);
        }
        fputs("</p>\n", f);
    }
    fputs("</html>\n", f);
    return !ferror(f);
}

/* ---- files -------------------------------------------------------------------------------------
 */

bool claims_write(const struct judged_claim *claims, size_t count, const json_t *context,
                  bool quick, const char *folder) {
    static const char *const names[] = {"claims.json", "claims.md", "index.html"};
    bool ok = true;
    for (unsigned i = 0; ok && i < sizeof names / sizeof *names; i++) {
        char *path = NULL, *fresh = NULL;
        FILE *f = NULL;
        ok = asprintf(&path, "%s/%s", folder, names[i]) >= 0 &&
             asprintf(&fresh, "%s.new", path) >= 0 && (f = fopen(fresh, "we")) != NULL;
        if (ok)
            ok = i == 0   ? write_json(f, claims, count, context, quick)
                 : i == 1 ? write_markdown(f, claims, count, quick)
                          : write_html(f, claims, count, quick);
        if (f != NULL) {
            ok = fflush(f) == 0 && fsync(fileno(f)) == 0 && ok;
            ok = fclose(f) == 0 && ok;
        }
        ok = ok && rename(fresh, path) == 0;
        if (!ok) {
            cli_error("claims", "%s/%s cannot be written: %s", folder, names[i], strerror(errno));
            if (fresh != NULL)
                unlink(fresh);
        }
        free(path);
        free(fresh);
    }
    return ok;
}
