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
    json_t *json = json_pack("{s:s, s:s, s:b, s:s, s:o, s:o}", "name", q->name, "experiment",
                             q->experiment, "decides", claim_refutes(q), "verdict",
                             claim_verdict_names[claim_judge_quantity(q, v)], "reproduced_if",
                             range_json(&q->reproduced), "partly_if", range_json(&q->partly));
    if (json != NULL && v->present)
        json_object_update_new(json, json_pack("{s:f, s:[f, f], s:b, s:s}", "value", v->value,
                                               "interval", v->low, v->high, "one_sample",
                                               v->guessed, "machine", v->machine));
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
    if (json != NULL && c->changed != NULL)
        json_object_set_new(json, "changed", json_string(c->changed));
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

/* ---- what both pages say ----------------------------------------------------------------------
 */

static const char intervals[] =
    "Every figure says which machine it comes from; what is simulated was not measured. Intervals "
    "are 95 %; where several cells are combined or divided, they are bounds that are at least as "
    "wide. A single sample is judged as if it could be 10 % off.";
static const char verdicts[] =
    "A verdict follows rules that are data. Reproduced: every interval lies where the claim has "
    "it. Partly: some do, or come near. Not reproduced: none does, or a quantity that decides, "
    "which is what would make the claim false, does not. Inconclusive: an interval lies across an "
    "end of its rule. Pending: a capability is missing. Not testable: not on this machine.";
static const char engines[] =
    "Engines run the same blocks: seq (no protection, one thread), nosync (none, several threads), "
    "gil (a global interpreter lock; mode=section: one around each block), norec (software "
    "transactions on words, one lock for commits), libitm (gcc's own), c7 (after PyPy's: "
    "software transactions on objects, a memory segment for each thread; commit=log: commits do "
    "not stop the others), htm (hardware transactions instead of the lock) and hybrid (hardware "
    "and software transactions at a time). A slowdown is over seq, a speed-up over the GIL on one "
    "thread.";

/* The claim's figure, then its charts. */
static unsigned figures_of(const struct judged_claim *j) {
    unsigned n = j->figure != NULL;
    for (unsigned i = 0; j->figure != NULL && i < j->claim.charts_count; i++)
        n += strcmp(j->claim.charts[i], j->figure) != 0;
    return n;
}
static const char *figure_of(const struct judged_claim *j, unsigned index) {
    for (unsigned i = 0; index > 0 && i < j->claim.charts_count; i++)
        if (strcmp(j->claim.charts[i], j->figure) != 0 && --index == 0)
            return j->claim.charts[i];
    return j->figure;
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
    const size_t used = strlen(text);
    if (claim_refutes(q) && used < size)
        snprintf(text + used, size - used, "; decides");
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
    fprintf(f, "%s\n\n%s\n\n%s\n\n", intervals, verdicts, engines);
    fputs("| claim | published | here | machine | verdict |\n|---|---|---|---|---|\n", f);
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
        fprintf(f, " | **%s**%s |\n", claim_verdict_names[j->verdict], claims_pending_text(j));
    }
    for (size_t i = 0; i < count; i++) {
        const struct judged_claim *j = &claims[i];
        const struct claim *c = &j->claim;
        fprintf(f, "\n## %s\n\n", c->id);
        put_markdown(f, c->explanation);
        for (unsigned i = 0; i < figures_of(j); i++)
            fprintf(f, "\n\n![%s](%s.png)", c->id, figure_of(j, i));
        if (c->quantities > 0)
            fputs("\n\n| quantity | value | rule | machine | verdict |\n|---|--:|---|---|---|", f);
        fputs("\n", f);
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
        if (c->changed != NULL) {
            fputs("\nRules that were changed: ", f);
            put_markdown(f, c->changed);
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

static void put_verdict(FILE *f, enum claim_verdict v, const char *more) {
    const char *name = claim_verdict_names[v];
    fprintf(f, "<td class=\"v %.*s\">%s%s</td>", (int)strcspn(name, " "), name, name, more);
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
        put_verdict(f, text.verdict, "");
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
    fprintf(f, "<p>%s</p>\n<p>%s</p>\n<p>%s</p>\n", intervals, verdicts, engines);
    fputs("<table><tr><th>claim<th>what was said<th>published<th>here<th>machine<th>verdict</tr>\n",
          f);
    for (size_t i = 0; i < count; i++) {
        const struct claim *c = &claims[i].claim;
        char machines[512];
        machines_of(&claims[i], machines, sizeof machines);
        fprintf(f, "<tr><td class=n><a href=\"#%s\">%s</a></td><td>", c->id, c->id);
        put_html(f, c->statement);
        fputs("</td><td>", f);
        put_html(f, c->published);
        fputs("</td><td>", f);
        for (unsigned q = 0; q < c->quantities; q++) {
            char text[96];
            claims_value_text(&claims[i].values[q], text, sizeof text);
            put_html(f, c->quantity[q].name);
            fprintf(f, ": <b>%s</b><br>", text);
        }
        fputs("</td><td>", f);
        put_html(f, machines);
        fputs("</td>", f);
        put_verdict(f, claims[i].verdict, claims_pending_text(&claims[i]));
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
        for (unsigned k = 0; k < figures_of(j); k++)
            fprintf(f, "<p><img src=\"%s.svg\" alt=\"%s\"></p>\n", figure_of(j, k), c->id);
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
        if (c->changed != NULL) {
            fputs(" <b>Rules that were changed:</b> ", f);
            put_html(f, c->changed);
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
