/*
 * claim.c - reads claims, finds their figures among results and judges them.  See claim.h.
 */
#include "claim.h"

#include "stats.h"
#include "suggest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The files, compiled in (scripts/embed); ended by NULL. */
extern const char *const claim_builtin_names[];
extern const char *const claim_builtin_texts[];

const char *const claim_verdict_names[CLAIM_VERDICTS] = {
    [CLAIM_REPRODUCED] = "reproduced",
    [CLAIM_PARTLY] = "partly",
    [CLAIM_NOT_REPRODUCED] = "not reproduced",
    [CLAIM_INCONCLUSIVE] = "inconclusive",
    [CLAIM_PENDING] = "pending",
    [CLAIM_NOT_TESTABLE] = "not testable",
};

static const char *const measure_names[CLAIM_MEASURES + 1] = {
    [CLAIM_TIME] = "time",       [CLAIM_SLOWDOWN] = "slowdown", [CLAIM_SCALING] = "scaling",
    [CLAIM_SPEEDUP] = "speedup", [CLAIM_ABORTS] = "aborts",     [CLAIM_WRONG] = "wrong",
    [CLAIM_SAMPLES] = "samples", [CLAIM_MEASURES] = NULL,
};
static const char *const take_names[CLAIM_TAKES + 1] = {
    [CLAIM_MEDIAN] = "median",   [CLAIM_MIN] = "min",  [CLAIM_MAX] = "max",
    [CLAIM_GEOMEAN] = "geomean", [CLAIM_TAKES] = NULL,
};

/* ---- reading --------------------------------------------------------------------------------- */

struct reader {
    const char *where;
    char *why;
    size_t size;
};

static bool refuse(const struct reader *r, const char *place, const char *what) {
    snprintf(r->why, r->size, "%s: %s: %s", r->where, place, what);
    return false;
}

/* A word among `names`; *index is left as it is when `word` is NULL. */
static bool choose(const struct reader *r, const char *place, const char *word,
                   const char *const *names, unsigned *index) {
    char phrase[128], what[256];
    if (word == NULL)
        return true;
    for (unsigned i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], word) == 0) {
            *index = i;
            return true;
        }
    snprintf(what, sizeof what, "unknown word '%.40s'; %s", word,
             suggest_phrase(word, names, phrase, sizeof phrase));
    return refuse(r, place, what);
}

/* [low, high], null for no end. */
static bool get_range(const struct reader *r, const char *place, const json_t *json,
                      struct claim_range *range) {
    const json_t *low = json_array_get(json, 0), *high = json_array_get(json, 1);
    if (json_array_size(json) != 2 || !(json_is_number(low) || json_is_null(low)) ||
        !(json_is_number(high) || json_is_null(high)))
        return refuse(r, place, "must be [LOW, HIGH], each a number or null");
    range->low = json_is_null(low) ? -INFINITY : json_number_value(low);
    range->high = json_is_null(high) ? INFINITY : json_number_value(high);
    if (range->low > range->high)
        return refuse(r, place, "must not end before it begins");
    return true;
}

static bool get_cells(const struct reader *r, const char *place, json_t *json,
                      struct claim_cells *cells, unsigned *take) {
    json_t *threads = NULL;
    const char *word = NULL;
    json_error_t error;
    if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:s, s?s, s?o}", "engine", &cells->engine,
                       "workload", &cells->workload, "take", &word, "threads", &threads) != 0)
        return refuse(r, place, error.text);
    if (threads != NULL && (!json_is_array(threads) || json_array_size(threads) == 0 ||
                            json_array_size(threads) > CLAIM_THREADS_MAX))
        return refuse(r, place, "threads must be an array of 1 to 8 numbers");
    for (size_t i = 0; i < json_array_size(threads); i++) {
        const json_int_t n = json_integer_value(json_array_get(threads, i));
        if (n < 1 || n > 1024)
            return refuse(r, place, "threads must be whole numbers from 1 to 1024");
        cells->threads[cells->threads_count++] = (unsigned)n;
    }
    return choose(r, place, word, take_names, take);
}

static bool has_experiment(const struct claim *claim, const char *name) {
    for (unsigned i = 0; i < claim->experiments_count; i++)
        if (strcmp(claim->experiments[i], name) == 0)
            return true;
    return false;
}

static bool has_exploration(const struct claim *claim, const char *name) {
    for (unsigned i = 0; i < claim->explorations; i++)
        if (strcmp(claim->exploration[i].name, name) == 0)
            return true;
    return false;
}

static bool get_exploration(const struct reader *r, const char *place, json_t *json,
                            const struct claim *claim, struct claim_exploration *x) {
    json_int_t schedules = 0, quick = 0;
    json_error_t error;
    if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s?s, s?s, s:I, s:I}", "name", &x->name,
                       "engines", &x->engines, "program", &x->program, "schedules", &schedules,
                       "quick_schedules", &quick) != 0)
        return refuse(r, place, error.text);
    if (quick < 1 || schedules < quick)
        return refuse(r, place, "must have 1 or more quick_schedules, and as many schedules");
    if (has_experiment(claim, x->name) || has_exploration(claim, x->name))
        return refuse(r, place, "its name is that of another experiment of the claim");
    x->schedules = (uint64_t)schedules;
    x->quick_schedules = (uint64_t)quick;
    return true;
}

/* Of an exploration only what its summary has can be counted. */
static bool explorable(const struct reader *r, const char *place, const struct claim_quantity *q) {
    if (q->measure != CLAIM_WRONG && q->measure != CLAIM_SAMPLES)
        return refuse(r, place, "the measure of an exploration is wrong or samples");
    if (q->is_ratio || q->cells.threads_count > 0 || strcmp(q->cells.workload, "*") != 0)
        return refuse(r, place, "an exploration has engines, no workloads, threads and ratios");
    return true;
}

static bool get_quantity(const struct reader *r, const char *place, json_t *json,
                         const struct claim *claim, struct claim_quantity *q) {
    json_t *of = NULL, *against = NULL, *reproduced = NULL, *partly = NULL;
    const char *measure = NULL;
    unsigned m = 0, take = CLAIM_MEDIAN, against_take = CLAIM_MEDIAN;
    json_error_t error;
    int decides = 0;
    if (json_unpack_ex(json, &error, JSON_STRICT, "{s:s, s:s, s:s, s:o, s?o, s:o, s:o, s?b}",
                       "name", &q->name, "experiment", &q->experiment, "measure", &measure, "of",
                       &of, "against", &against, "reproduced", &reproduced, "partly", &partly,
                       "decides", &decides) != 0)
        return refuse(r, place, error.text);
    q->decides = decides;
    q->explored = has_exploration(claim, q->experiment);
    if (!q->explored && !has_experiment(claim, q->experiment))
        return refuse(r, place, "its experiment is not among those of the claim");
    if (!choose(r, place, measure, measure_names, &m) ||
        !get_cells(r, place, of, &q->cells, &take) ||
        !get_range(r, place, reproduced, &q->reproduced) ||
        !get_range(r, place, partly, &q->partly))
        return false;
    if (q->reproduced.low < q->partly.low || q->reproduced.high > q->partly.high)
        return refuse(r, place, "what counts as reproduced must lie within what counts as partly");
    q->measure = (enum claim_measure)m;
    q->take = (enum claim_take)take;
    q->is_ratio = against != NULL;
    if (q->explored && !explorable(r, place, q))
        return false;
    if (!q->is_ratio)
        return true;
    if (!get_cells(r, place, against, &q->against, &against_take))
        return false;
    q->against_take = (enum claim_take)against_take;
    return true;
}

static bool get_all(const struct reader *r, struct claim *c) {
    json_t *experiments = NULL, *charts = NULL, *explorations = NULL, *quantities = NULL;
    json_error_t error;
    if (json_unpack_ex(c->json, &error, JSON_STRICT,
                       "{s:s, s:s, s:s, s:s, s:s, s:s, s?s, s?s, s?s, s:o, s?o, s?o, s:o}", "id",
                       &c->id, "statement", &c->statement, "source", &c->source, "published",
                       &c->published, "false_if", &c->false_if, "explanation", &c->explanation,
                       "pending", &c->pending, "changed", &c->changed, "figure", &c->figure,
                       "experiments", &experiments, "charts", &charts, "explorations",
                       &explorations, "quantities", &quantities) != 0)
        return refuse(r, "file", error.text);
    if (!json_is_array(experiments) || json_array_size(experiments) > CLAIM_EXPERIMENTS_MAX)
        return refuse(r, "experiments", "must be an array of at most 4 names");
    for (size_t i = 0; i < json_array_size(experiments); i++) {
        const char *name = json_string_value(json_array_get(experiments, i));
        if (name == NULL)
            return refuse(r, "experiments", "must be an array of names");
        c->experiments[c->experiments_count++] = name;
    }
    if (charts != NULL &&
        (!json_is_array(charts) || json_array_size(charts) > c->experiments_count))
        return refuse(r, "charts", "must be an array of names among the experiments");
    for (size_t i = 0; i < json_array_size(charts); i++) {
        const char *name = json_string_value(json_array_get(charts, i));
        if (name == NULL || !has_experiment(c, name))
            return refuse(r, "charts", "must be an array of names among the experiments");
        c->charts[c->charts_count++] = name;
    }
    if (explorations != NULL &&
        (!json_is_array(explorations) || json_array_size(explorations) > CLAIM_EXPLORATIONS_MAX))
        return refuse(r, "explorations", "must be an array of at most 2 objects");
    for (size_t i = 0; i < json_array_size(explorations); i++) {
        char place[48];
        snprintf(place, sizeof place, "explorations[%zu]", i);
        if (!get_exploration(r, place, json_array_get(explorations, i), c, &c->exploration[i]))
            return false;
        c->explorations++;
    }
    if (c->figure != NULL && strcmp(c->figure, CLAIM_FIGURE_RUNS) != 0 &&
        !has_experiment(c, c->figure))
        return refuse(r, "figure", "must be one of the experiments, or runs");
    if (!json_is_array(quantities) || json_array_size(quantities) > CLAIM_QUANTITIES_MAX)
        return refuse(r, "quantities", "must be an array of at most 12 objects");
    if (json_array_size(quantities) == 0 && c->pending == NULL)
        return refuse(r, "quantities", "must not be empty unless the claim is pending");
    for (size_t i = 0; i < json_array_size(quantities); i++) {
        char place[48];
        snprintf(place, sizeof place, "quantities[%zu]", i);
        if (!get_quantity(r, place, json_array_get(quantities, i), c, &c->quantity[i]))
            return false;
        c->quantities++;
    }
    return true;
}

bool claim_parse_text(const char *where, const char *text, struct claim *claim, char *why,
                      size_t why_size) {
    const struct reader r = {where, why, why_size};
    json_error_t error;
    *claim = (struct claim){.json = json_loads(text, JSON_REJECT_DUPLICATES, &error)};
    if (claim->json == NULL) {
        snprintf(why, why_size, "%s:%d:%d: %s", where, error.line, error.column, error.text);
        return false;
    }
    if (get_all(&r, claim))
        return true;
    claim_free(claim);
    return false;
}

void claim_free(struct claim *claim) {
    json_decref(claim->json);
    *claim = (struct claim){.json = NULL};
}

const char *const *claim_ids(void) { return claim_builtin_names; }

bool claim_load(const char *id, struct claim *claim, char *why, size_t why_size) {
    *claim = (struct claim){.json = NULL};
    for (size_t i = 0; claim_builtin_names[i] != NULL; i++)
        if (strcmp(claim_builtin_names[i], id) == 0) {
            char where[96];
            snprintf(where, sizeof where, "claim %.60s", id);
            return claim_parse_text(where, claim_builtin_texts[i], claim, why, why_size);
        }
    char phrase[512];
    snprintf(why, why_size, "unknown claim '%.60s'; %s", id,
             suggest_phrase(id, claim_builtin_names, phrase, sizeof phrase));
    return false;
}

/* ---- measuring ---------------------------------------------------------------------------------
 */

static bool is_engine(const struct claim_cells *cells, const char *engine) {
    const size_t length = strlen(engine);
    for (const char *at = cells->engine; *at != '\0'; at += strcspn(at, ",")) {
        at += *at == ',';
        if (strcspn(at, ",") == length && strncmp(at, engine, length) == 0)
            return true;
    }
    return strcmp(cells->engine, "*") == 0;
}

static bool matches(const struct claim_cells *cells, const char *engine, const char *workload,
                    unsigned threads) {
    if (!is_engine(cells, engine))
        return false;
    if (strcmp(cells->workload, "*") != 0 && strcmp(cells->workload, workload) != 0)
        return false;
    for (unsigned i = 0; i < cells->threads_count; i++)
        if (cells->threads[i] == threads)
            return true;
    return cells->threads_count == 0;
}

/* A single sample has no interval.  It is judged as if it had one of this width on both sides,
 * which is more than medians of such runs have differed by. */
#define SINGLE_SAMPLE 0.1

static void bound(struct claim_value *v, double value, bool has_interval, double low, double high) {
    v->value = value;
    v->guessed = !has_interval;
    v->low = has_interval ? low : value * (1 - SINGLE_SAMPLE);
    v->high = has_interval ? high : value * (1 + SINGLE_SAMPLE);
}

static bool of_ratio(const struct load_ratio *ratio, struct claim_value *v) {
    bound(v, ratio->value, ratio->has_interval, ratio->low, ratio->high);
    return ratio->present;
}

/* False: the cell has no such figure. */
static bool of_cell(const struct load_cell *cell, enum claim_measure measure,
                    struct claim_value *v) {
    switch (measure) {
    case CLAIM_TIME:
        bound(v, cell->median_ns, cell->has_interval, cell->low_ns, cell->high_ns);
        return cell->has_time;
    case CLAIM_SLOWDOWN:
        return of_ratio(&cell->slowdown, v);
    case CLAIM_SCALING:
        return of_ratio(&cell->scaling, v);
    case CLAIM_SPEEDUP:
        return of_ratio(&cell->speedup, v);
    case CLAIM_ABORTS:
        v->value = v->low = v->high = cell->aborts_total / cell->commits;
        return cell->commits > 0;
    case CLAIM_WRONG:
        v->value = v->low = v->high = cell->verify_failed > 0;
        return true;
    case CLAIM_SAMPLES:
        v->value = v->low = v->high = cell->samples;
        return true;
    case CLAIM_MEASURES:
        break;
    }
    return false;
}

static int by_value(const void *a, const void *b) {
    const struct claim_value *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

static double sum(const struct claim_value *list, size_t n) {
    double all = 0;
    for (size_t i = 0; i < n; i++)
        all += list[i].value;
    return all;
}

/* Of the engine with the fewest in all. */
static double fewest(const struct claim_value *list, const char *const *engines, size_t n) {
    double least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        double of_engine = 0;
        for (size_t k = 0; k < n; k++)
            of_engine += strcmp(engines[k], engines[i]) == 0 ? list[k].value : 0;
        least = fmin(least, of_engine);
    }
    return least;
}

/* n > 0 values, with the engines of each, to one. */
static struct claim_value combine(struct claim_value *list, const char *const *engines, size_t n,
                                  enum claim_measure measure, enum claim_take take) {
    struct claim_value v = {.present = true};
    if (measure == CLAIM_WRONG || measure == CLAIM_SAMPLES) {
        v.value =
            measure == CLAIM_SAMPLES && take == CLAIM_MIN ? fewest(list, engines, n) : sum(list, n);
        v.low = v.high = v.value;
        return v;
    }
    qsort(list, n, sizeof *list, by_value);
    switch (take) {
    case CLAIM_MIN:
        v = list[0];
        break;
    case CLAIM_MAX:
        v = list[n - 1];
        break;
    case CLAIM_GEOMEAN:
        for (size_t i = 0; i < n; i++) {
            v.guessed |= list[i].guessed;
            v.value += log(list[i].value) / (double)n;
            v.low += log(list[i].low) / (double)n;
            v.high += log(list[i].high) / (double)n;
        }
        v.value = exp(v.value);
        v.low = exp(v.low);
        v.high = exp(v.high);
        break;
    default: /* the median cell's own interval; of two, both */
        v.guessed = list[(n - 1) / 2].guessed || list[n / 2].guessed;
        v.value = (list[(n - 1) / 2].value + list[n / 2].value) / 2;
        v.low = fmin(list[(n - 1) / 2].low, list[n / 2].low);
        v.high = fmax(list[(n - 1) / 2].high, list[n / 2].high);
    }
    v.present = true;
    return v;
}

/* Has a cell that failed samples which count as wrong already? */
static bool counted(const struct load *load, const struct load_gap *failure) {
    for (size_t i = 0; i < load->cells_count; i++) {
        const struct load_cell *cell = &load->cells[i];
        if (cell->verify_failed > 0 && cell->file == failure->file &&
            cell->threads == failure->threads && strcmp(cell->engine, failure->engine) == 0 &&
            strcmp(cell->workload, failure->workload) == 0)
            return true;
    }
    return false;
}

static void measure_cells(const struct claim_cells *cells, enum claim_measure measure,
                          enum claim_take take, const struct load *load,
                          struct claim_value *value) {
    const size_t most = load->cells_count + load->failures_count + 1;
    struct claim_value *list = calloc(most, sizeof *list);
    const char **engines = calloc(most, sizeof *engines);
    const char *missing = NULL;
    size_t n = 0;
    *value = (struct claim_value){.present = false};
    if (list == NULL || engines == NULL) {
        snprintf(value->why, sizeof value->why, "out of memory");
        free(list);
        free(engines);
        return;
    }
    for (size_t i = 0; i < load->cells_count; i++) {
        const struct load_cell *cell = &load->cells[i];
        if (matches(cells, cell->engine, cell->workload, cell->threads) &&
            of_cell(cell, measure, &list[n])) {
            snprintf(value->machine, sizeof value->machine, "%s", load->hosts[cell->host].label);
            engines[n++] = cell->engine;
        }
    }
    /* What failed or could not run is missing in what is taken of all. */
    for (size_t i = 0; i < load->failures_count; i++)
        if (measure == CLAIM_WRONG &&
            matches(cells, load->failures[i].engine, load->failures[i].workload,
                    load->failures[i].threads) &&
            !load->failures[i].expected && !counted(load, &load->failures[i])) {
            list[n].value = 1;
            engines[n++] = load->failures[i].engine;
        }
    for (size_t i = 0; i < load->unavailable_count && missing == NULL; i++)
        if (matches(cells, load->unavailable[i].engine, load->unavailable[i].workload,
                    load->unavailable[i].threads))
            missing = load->unavailable[i].reason;
    char machine[sizeof value->machine];
    memcpy(machine, value->machine, sizeof machine);
    if (n > 0)
        *value = combine(list, engines, n, measure, take);
    else
        snprintf(value->why, sizeof value->why, "%s",
                 missing != NULL ? missing : "the results have no such cell");
    memcpy(value->machine, machine, sizeof machine);
    free(list);
    free(engines);
}

void claim_measure(const struct claim_quantity *q, const struct load *load,
                   struct claim_value *value) {
    measure_cells(&q->cells, q->measure, q->take, load, value);
    if (!q->is_ratio || !value->present)
        return;
    struct claim_value below;
    measure_cells(&q->against, q->measure, q->against_take, load, &below);
    if (!below.present || below.low <= 0) {
        value->present = false;
        snprintf(value->why, sizeof value->why, "%s",
                 below.present ? "what it is divided by is 0" : below.why);
        return;
    }
    value->guessed |= below.guessed;
    value->value /= below.value;
    value->low /= below.high;
    value->high /= below.low;
}

bool claim_explored_next(const json_t *summary, size_t *index, struct claim_explored *x) {
    const json_t *engines = json_object_get(summary, "check");
    while (*index < json_array_size(engines)) {
        json_int_t unjudged = 0;
        int unsafe = 0;
        *x = (struct claim_explored){.program = ""};
        if (json_unpack(json_array_get(engines, (*index)++), "{s:s, s?s, s:s, s?I, s:I, s:I, s?b}",
                        "engine", &x->engine, "program", &x->program, "result", &x->result, "asked",
                        &x->asked, "schedules", &x->judged, "unjudged", &unjudged, "unsafe",
                        &unsafe) != 0)
            continue;
        x->judged -= unjudged;
        x->unsafe = unsafe;
        x->failed = strcmp(x->result, "ok") != 0;
        return true;
    }
    return false;
}

void claim_measure_explored(const struct claim_quantity *q, const json_t *summary,
                            struct claim_value *value) {
    struct claim_explored x;
    *value = (struct claim_value){.machine = CLAIM_EXPLORED_MACHINE};
    for (size_t i = 0; claim_explored_next(summary, &i, &x);) {
        const double ran = (double)x.judged;
        if (!is_engine(&q->cells, x.engine))
            continue;
        if (q->measure == CLAIM_WRONG)
            value->value += x.failed;
        else if (q->take != CLAIM_MIN)
            value->value += ran;
        else if (!value->present || ran < value->value)
            value->value = ran;
        value->present = true;
    }
    /* Which engine ended it is not known; one did. */
    if (q->measure == CLAIM_WRONG && json_is_true(json_object_get(summary, "crashed"))) {
        value->present = true;
        value->value += 1;
    }
    value->low = value->high = value->value;
    const char *why = json_string_value(json_object_get(summary, "why"));
    if (!value->present)
        snprintf(value->why, sizeof value->why, "%s",
                 why != NULL ? why : "nothing was explored of it");
}

/* ---- judging --------------------------------------------------------------------------------- */

enum claim_verdict claim_judge_quantity(const struct claim_quantity *q,
                                        const struct claim_value *v) {
    if (!v->present)
        return CLAIM_NOT_TESTABLE;
    if (v->low >= q->reproduced.low && v->high <= q->reproduced.high)
        return CLAIM_REPRODUCED;
    if (v->high < q->partly.low || v->low > q->partly.high)
        return CLAIM_NOT_REPRODUCED;
    if (v->low >= q->partly.low && v->high <= q->partly.high &&
        (v->high < q->reproduced.low || v->low > q->reproduced.high))
        return CLAIM_PARTLY;
    return CLAIM_INCONCLUSIVE;
}

bool claim_refutes(const struct claim_quantity *q) {
    return q->decides || (q->measure == CLAIM_WRONG && q->partly.high == 0);
}

enum claim_verdict claim_judge(const struct claim *claim, const struct claim_value *values) {
    unsigned of[CLAIM_VERDICTS] = {0};
    bool refuted = false;
    for (unsigned i = 0; i < claim->quantities; i++) {
        const enum claim_verdict v = claim_judge_quantity(&claim->quantity[i], &values[i]);
        refuted |= v == CLAIM_NOT_REPRODUCED && claim_refutes(&claim->quantity[i]);
        of[v]++;
    }
    if (refuted)
        return CLAIM_NOT_REPRODUCED;
    if (claim->quantities == 0)
        return CLAIM_PENDING;
    if (of[CLAIM_NOT_TESTABLE] > 0)
        return CLAIM_NOT_TESTABLE;
    if (of[CLAIM_PARTLY] > 0 || (of[CLAIM_REPRODUCED] > 0 && of[CLAIM_NOT_REPRODUCED] > 0))
        return CLAIM_PARTLY;
    if (of[CLAIM_INCONCLUSIVE] > 0)
        return CLAIM_INCONCLUSIVE;
    return of[CLAIM_REPRODUCED] > 0 ? CLAIM_REPRODUCED : CLAIM_NOT_REPRODUCED;
}
