/*
 * record.c - records and what is known of a run.  See record.h.
 */
#include "record.h"

#include "buildinfo.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[RECORD_KINDS] = {"timed", "wasted", "latency"};
static const char *const outcome_names[RECORD_OUTCOMES] = {"missing", "ok", "wrong", "crashed",
                                                           "hung"};
static const char *const cause_names[TM_CAUSES] = TM_CAUSE_NAMES;

const char *record_kind_name(enum record_kind kind) { return kind_names[kind]; }
const char *record_outcome_name(enum record_outcome outcome) { return outcome_names[outcome]; }

/* ---- run data ------------------------------------------------------------------------------ */

bool run_data_init(struct run_data *data, const struct plan *plan) {
    *data = (struct run_data){.cells = plan->count, .repetitions = plan->repetitions};
    const size_t cells = plan->count > 0 ? plan->count : 1;
    const size_t samples = cells * (plan->repetitions > 0 ? plan->repetitions : 1);
    data->timed = calloc(samples, sizeof *data->timed);
    data->wasted = calloc(cells, sizeof *data->wasted);
    data->latency = calloc(cells, sizeof *data->latency);
    data->failed = calloc(cells, sizeof *data->failed);
    return data->timed != NULL && data->wasted != NULL && data->latency != NULL &&
           data->failed != NULL;
}

void run_data_free(struct run_data *data) {
    free(data->timed);
    free(data->wasted);
    free(data->latency);
    free((void *)data->failed);
    *data = (struct run_data){0};
}

static bool inside(const struct run_data *data, size_t cell, unsigned pass, enum record_kind kind) {
    return cell < data->cells && kind < RECORD_KINDS &&
           pass < (kind == RECORD_TIMED ? data->repetitions : 1);
}

struct record *run_data_slot(const struct run_data *data, size_t cell, unsigned pass,
                             enum record_kind kind) {
    if (!inside(data, cell, pass, kind))
        abort(); /* only a programmer can ask for it */
    return kind == RECORD_TIMED    ? &data->timed[cell * data->repetitions + pass]
           : kind == RECORD_WASTED ? &data->wasted[cell]
                                   : &data->latency[cell];
}

bool run_data_put(struct run_data *data, const struct record *record) {
    if (!inside(data, record->cell, record->pass, record->kind))
        return false;
    struct record *slot = run_data_slot(data, record->cell, record->pass, record->kind);
    if (slot->outcome != RECORD_MISSING)
        return false;
    *slot = *record;
    if (record->kind == RECORD_TIMED && record->outcome != RECORD_OK &&
        data->failed[record->cell] == NULL)
        data->failed[record->cell] = slot;
    if (record->start >= data->starts)
        data->starts = record->start + 1;
    return true;
}

const struct record *run_data_failure(const struct run_data *data, size_t cell) {
    return data->failed[cell];
}

/* ---- plan cells ---------------------------------------------------------------------------- */

bool plan_cell_contained(const struct plan_cell *cell) {
    return cell->engine_plugin->unsafe && cell->threads > 1;
}

bool plan_cell_simulated(const struct plan_cell *cell) { return cell->machine->simulated; }

/* The value as it would be written on the command line. */
static void format_value(const struct tm_param *param, union tm_value value, char *text,
                         size_t text_size) {
    switch (param->type) {
    case TM_INT:
        snprintf(text, text_size, "%" PRId64, value.i);
        return;
    case TM_REAL:
        snprintf(text, text_size, "%.17g", value.r);
        return;
    case TM_CHOICE: {
        const char *c = param->choices;
        for (unsigned i = 0; i < value.choice && c != NULL; i++) {
            c = strchr(c, '|');
            c = c != NULL ? c + 1 : NULL;
        }
        snprintf(text, text_size, "%.*s", c != NULL ? (int)strcspn(c, "|") : 0, c != NULL ? c : "");
        return;
    }
    }
}

bool plan_cell_environment(const struct plan_cell *cell, char *text, size_t text_size) {
    const char *need = cell->engine_plugin->process_env;
    const char *colon = need != NULL ? strchr(need, ':') : NULL;
    if (colon == NULL)
        return false;
    const struct tm_param *options = cell->engine_plugin->options;
    for (unsigned i = 0; options != NULL && options[i].name != NULL; i++)
        if (strcmp(options[i].name, colon + 1) == 0) {
            char value[128];
            format_value(&options[i], cell->options[i], value, sizeof value);
            snprintf(text, text_size, "%.*s=%s", (int)(colon - need), need, value);
            return true;
        }
    return false;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

bool json_put(json_t *obj, const char *key, json_t *value) {
    return json_object_set_new(obj, key, value) == 0;
}

json_t *json_u64(uint64_t value) {
    return value <= INT64_MAX ? json_integer((json_int_t)value) : NULL;
}

/* The object when all of it could be put in, otherwise NULL. */
static json_t *complete(json_t *obj, bool ok) {
    if (!ok) {
        json_decref(obj);
        return NULL;
    }
    return obj;
}

json_t *params_to_json(const struct tm_param *params, const union tm_value *values) {
    json_t *obj = json_object();
    bool ok = obj != NULL;
    for (unsigned i = 0; ok && params != NULL && params[i].name != NULL; i++) {
        char text[128];
        switch (params[i].type) {
        case TM_INT:
            ok = json_put(obj, params[i].name, json_integer(values[i].i));
            break;
        case TM_REAL:
            ok = json_put(obj, params[i].name, json_real(values[i].r));
            break;
        case TM_CHOICE:
            format_value(&params[i], values[i], text, sizeof text);
            ok = json_put(obj, params[i].name, json_string(text));
            break;
        }
    }
    return complete(obj, ok);
}

/* values[] from what params_to_json made; every parameter must be there. */
static bool params_from_json(const struct tm_param *params, const json_t *obj,
                             union tm_value *values, char *why, size_t why_size) {
    for (unsigned i = 0; params != NULL && params[i].name != NULL; i++) {
        const json_t *v = json_object_get(obj, params[i].name);
        if (i >= PLAN_VALUES_MAX || v == NULL) {
            snprintf(why, why_size, "parameter %s is missing", params[i].name);
            return false;
        }
        if (params[i].type == TM_INT && json_is_integer(v))
            values[i].i = json_integer_value(v);
        else if (params[i].type == TM_REAL && json_is_number(v))
            values[i].r = json_number_value(v);
        else if (params[i].type != TM_CHOICE || !json_is_string(v) ||
                 !param_parse(&params[i], json_string_value(v), &values[i], why, why_size)) {
            snprintf(why, why_size, "parameter %s has the wrong type", params[i].name);
            return false;
        }
    }
    return true;
}

/* The counters of a sample by name; one table serves both directions. */
struct field {
    const char *name;
    size_t offset;
    bool optional; /* left out when it is zero */
};
#define FIELD(name_, member)                                                                       \
    { name_, offsetof(struct cell_sample, member), false }
#define OPTIONAL_FIELD(name_, member)                                                              \
    { name_, offsetof(struct cell_sample, member), true }
static const struct field fields[] = {
    FIELD("elapsed_ns", elapsed_ns),
    FIELD("cpu_ns", cpu_ns),
    FIELD("ops", ops),
    FIELD("ops_min", ops_min),
    FIELD("ops_max", ops_max),
    FIELD("rss_bytes", rss_bytes),
    FIELD("latency_p50_ns", latency_p50_ns),
    FIELD("latency_p99_ns", latency_p99_ns),
    FIELD("latency_max_ns", latency_max_ns),
    FIELD("commits", stats.commits),
    FIELD("retries", stats.retries),
    FIELD("fallbacks", stats.fallbacks),
    FIELD("irrevocable", stats.irrevocable),
    FIELD("handovers", stats.handovers),
    FIELD("reads", stats.reads),
    FIELD("writes", stats.writes),
    FIELD("read_set_max", stats.read_set_max),
    FIELD("write_set_max", stats.write_set_max),
    FIELD("wasted_ns", stats.wasted_ns),
    OPTIONAL_FIELD("cascades", stats.cascades),
    OPTIONAL_FIELD("cascade_blocks", stats.cascade_blocks),
    OPTIONAL_FIELD("cascade_blocks_max", stats.cascade_blocks_max),
    OPTIONAL_FIELD("lock_ns", stats.lock_ns),
    OPTIONAL_FIELD("host_ns", host_ns),
    OPTIONAL_FIELD("accesses", accesses),
    OPTIONAL_FIELD("switches", switches),
    OPTIONAL_FIELD("tx_begins", transactions.begins),
    OPTIONAL_FIELD("tx_commits", transactions.commits),
    OPTIONAL_FIELD("tx_wasted_ns", transactions.wasted_ns),
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

json_t *transaction_aborts_to_json(const struct cell_transactions *t) {
    json_t *obj = json_object();
    bool ok = obj != NULL;
    for (int c = 0; ok && c < MACHINE_TX_CAUSES; c++)
        if (t->aborts[c] > 0)
            ok = json_put(obj, cell_transaction_causes[c], json_u64(t->aborts[c]));
    return complete(obj, ok);
}

/* Fills obj, which the caller owns. */
static bool put_sample(json_t *obj, const struct cell_sample *s) {
    if (!s->ok)
        return json_put(obj, "why", json_string(s->why));
    bool ok = true;
    for (unsigned i = 0; ok && i < FIELDS; i++) {
        uint64_t value;
        memcpy(&value, (const char *)s + fields[i].offset, sizeof value);
        if (value == 0 && fields[i].optional)
            continue;
        ok = json_put(obj, fields[i].name, json_u64(value));
    }
    json_t *aborts = json_object();
    ok = ok && aborts != NULL;
    for (int c = 0; ok && c < TM_CAUSES; c++)
        ok = json_put(aborts, cause_names[c], json_u64(s->stats.aborts[c]));
    ok = ok && json_object_set(obj, "aborts", aborts) == 0;
    json_decref(aborts);
    if (ok && s->transactions.begins > 0)
        ok = json_put(obj, "tx_aborts", transaction_aborts_to_json(&s->transactions));
    return ok && json_put(obj, "counts_accesses", json_boolean(s->stats.counts_accesses));
}

static bool get_u64(const json_t *obj, const char *key, uint64_t *value, char *why,
                    size_t why_size) {
    const json_t *v = json_object_get(obj, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0) {
        snprintf(why, why_size, "\"%s\" must be a whole number from 0", key);
        return false;
    }
    *value = (uint64_t)json_integer_value(v);
    return true;
}

json_t *sample_to_json(const struct cell_sample *sample) {
    json_t *obj = json_object();
    return complete(obj, obj != NULL && json_put(obj, "ok", json_boolean(sample->ok)) &&
                             put_sample(obj, sample));
}

/* Everything but `ok`, which the caller has set. */
static bool get_sample(const json_t *json, struct cell_sample *s, char *why, size_t why_size) {
    if (!s->ok) {
        const char *text = json_string_value(json_object_get(json, "why"));
        if (text == NULL) {
            snprintf(why, why_size, "\"why\" must say what failed");
            return false;
        }
        snprintf(s->why, sizeof s->why, "%s", text);
        return true;
    }
    for (unsigned i = 0; i < FIELDS; i++) {
        uint64_t value;
        if (fields[i].optional && json_object_get(json, fields[i].name) == NULL)
            continue;
        if (!get_u64(json, fields[i].name, &value, why, why_size))
            return false;
        memcpy((char *)s + fields[i].offset, &value, sizeof value);
    }
    if (s->ops == 0 || s->elapsed_ns == 0) {
        snprintf(why, why_size, "\"ops\" and \"elapsed_ns\" must be above 0");
        return false;
    }
    const json_t *aborts = json_object_get(json, "aborts");
    for (int c = 0; c < TM_CAUSES; c++)
        if (!get_u64(aborts, cause_names[c], &s->stats.aborts[c], why, why_size))
            return false;
    const json_t *by_hardware = json_object_get(json, "tx_aborts");
    for (int c = 0; by_hardware != NULL && c < MACHINE_TX_CAUSES; c++)
        if (json_object_get(by_hardware, cell_transaction_causes[c]) != NULL &&
            !get_u64(by_hardware, cell_transaction_causes[c], &s->transactions.aborts[c], why,
                     why_size))
            return false;
    const json_t *counts = json_object_get(json, "counts_accesses");
    if (!json_is_boolean(counts)) {
        snprintf(why, why_size, "\"counts_accesses\" must be true or false");
        return false;
    }
    s->stats.counts_accesses = json_is_true(counts);
    return true;
}

bool sample_from_json(const json_t *json, struct cell_sample *sample, char *why, size_t why_size) {
    memset(sample, 0, sizeof *sample);
    const json_t *ok = json_object_get(json, "ok");
    if (!json_is_boolean(ok)) {
        snprintf(why, why_size, "\"ok\" must be true or false");
        return false;
    }
    sample->ok = json_is_true(ok);
    return get_sample(json, sample, why, why_size);
}

json_t *record_to_json(const struct record *r) {
    json_t *obj = json_object();
    return complete(obj, obj != NULL && json_put(obj, "cell", json_u64(r->cell)) &&
                             json_put(obj, "pass", json_u64(r->pass)) &&
                             json_put(obj, "kind", json_string(kind_names[r->kind])) &&
                             json_put(obj, "start", json_u64(r->start)) &&
                             json_put(obj, "outcome", json_string(outcome_names[r->outcome])) &&
                             put_sample(obj, &r->sample));
}

/* Index of the name in names[n], from `first` on; -1 when it is not there. */
static int find_name(const json_t *value, const char *const *names, int first, int n) {
    const char *text = json_string_value(value);
    for (int i = first; text != NULL && i < n; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    return -1;
}

bool record_from_json(const json_t *json, struct record *r, char *why, size_t why_size) {
    memset(r, 0, sizeof *r);
    uint64_t cell, pass, start;
    if (!json_is_object(json)) {
        snprintf(why, why_size, "not a JSON object");
        return false;
    }
    if (!get_u64(json, "cell", &cell, why, why_size) ||
        !get_u64(json, "pass", &pass, why, why_size) ||
        !get_u64(json, "start", &start, why, why_size))
        return false;
    const int kind = find_name(json_object_get(json, "kind"), kind_names, 0, RECORD_KINDS);
    const int outcome =
        find_name(json_object_get(json, "outcome"), outcome_names, RECORD_OK, RECORD_OUTCOMES);
    if (kind < 0 || outcome < 0 || pass > UINT_MAX || start >= UINT_MAX) {
        snprintf(why, why_size, "\"kind\" or \"outcome\" has no known value");
        return false;
    }
    r->cell = cell;
    r->pass = (unsigned)pass;
    r->start = (unsigned)start;
    r->kind = (enum record_kind)kind;
    r->outcome = (enum record_outcome)outcome;
    r->sample.ok = outcome == RECORD_OK;
    return get_sample(json, &r->sample, why, why_size);
}

/* ---- requests ------------------------------------------------------------------------------ */

static json_t *strings_to_json(const char *const *strings, size_t n) {
    json_t *list = json_array();
    bool ok = list != NULL;
    for (size_t i = 0; ok && i < n; i++)
        ok = json_array_append_new(list, json_string(strings[i])) == 0;
    return complete(list, ok);
}

json_t *overrides_to_json(const struct plan_cell *cell) {
    return strings_to_json(cell->overrides, cell->override_count);
}

json_t *plan_overrides_to_json(const struct plan *plan) {
    return strings_to_json((const char *const *)plan->overrides, plan->override_count);
}

/* The strings stay those of the JSON. */
static bool overrides_from_json(const json_t *json, struct parsed_request *p, char *why,
                                size_t why_size) {
    const json_t *list = json_object_get(json, "overrides");
    size_t i;
    json_t *text;
    if (json_array_size(list) > PLAN_OVERRIDES_MAX) {
        snprintf(why, why_size, "\"overrides\" must be at most %d", PLAN_OVERRIDES_MAX);
        return false;
    }
    json_array_foreach(list, i, text) {
        p->overrides[i] = json_string_value(text);
        if (p->overrides[i] == NULL) {
            snprintf(why, why_size, "\"overrides\" must be strings");
            return false;
        }
    }
    p->request.overrides = p->overrides;
    p->request.override_count = json_array_size(list);
    return true;
}

json_t *request_to_json(const struct request *q) {
    const struct plan_cell *c = q->cell;
    json_t *obj = json_object();
    const char *variant = c->engine_plugin->variant, *profile = plan_cell_profile(c);
    return complete(
        obj, obj != NULL && json_put(obj, "name", json_string(c->name)) &&
                 json_put(obj, "workload", json_string(c->workload_plugin->name)) &&
                 json_put(obj, "engine", json_string(c->engine_plugin->name)) &&
                 json_put(obj, "variant", variant != NULL ? json_string(variant) : json_null()) &&
                 json_put(obj, "machine", json_string(c->machine->name)) &&
                 json_put(obj, "profile", profile != NULL ? json_string(profile) : json_null()) &&
                 json_put(obj, "overrides", overrides_to_json(c)) &&
                 json_put(obj, "args", params_to_json(c->workload_plugin->params, c->args)) &&
                 json_put(obj, "options", params_to_json(c->engine_plugin->options, c->options)) &&
                 json_put(obj, "threads", json_u64(c->threads)) &&
                 json_put(obj, "kind", json_string(kind_names[q->kind])) &&
                 json_put(obj, "seed", json_u64(q->seed)) &&
                 json_put(obj, "warmup_ns", json_u64(q->warmup_ns)) &&
                 json_put(obj, "interval_ns", json_u64(q->interval_ns)));
}

bool request_from_json(const json_t *json, struct parsed_request *p, char *why, size_t why_size) {
    memset(p, 0, sizeof *p);
    struct cell_request *q = &p->request;
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *workload = json_string_value(json_object_get(json, "workload"));
    const char *engine = json_string_value(json_object_get(json, "engine"));
    const char *machine = json_string_value(json_object_get(json, "machine"));
    const char *variant = json_string_value(json_object_get(json, "variant"));
    const int kind = find_name(json_object_get(json, "kind"), kind_names, 0, RECORD_KINDS);
    uint64_t threads;
    if (name == NULL || workload == NULL || engine == NULL || machine == NULL || kind < 0) {
        snprintf(why, why_size, "a name is missing");
        return false;
    }
    snprintf(p->name, sizeof p->name, "%s", name);
    q->cell = cell_find(workload, engine, variant, machine);
    q->machine = machine_find(machine);
    if (q->cell == NULL || q->machine == NULL) {
        snprintf(why, why_size, "%s/%s is not in this binary", workload, engine);
        return false;
    }
    q->profile = json_string_value(json_object_get(json, "profile"));
    if (q->machine->simulated != (q->profile != NULL)) {
        snprintf(why, why_size, "\"profile\" must be there for a simulated machine, and only then");
        return false;
    }
    if (!overrides_from_json(json, p, why, why_size) ||
        !get_u64(json, "threads", &threads, why, why_size) ||
        !get_u64(json, "seed", &q->seed, why, why_size) ||
        !get_u64(json, "warmup_ns", &q->warmup_ns, why, why_size) ||
        !get_u64(json, "interval_ns", &q->interval_ns, why, why_size) ||
        !params_from_json(q->cell->workload->params, json_object_get(json, "args"), p->args, why,
                          why_size) ||
        !params_from_json(q->cell->engine->options, json_object_get(json, "options"), p->options,
                          why, why_size))
        return false;
    if (threads == 0 || threads > CELL_THREADS_MAX) {
        snprintf(why, why_size, "\"threads\" must be from 1 to %d", CELL_THREADS_MAX);
        return false;
    }
    q->threads = (unsigned)threads;
    q->args = p->args;
    q->options = p->options;
    q->timed = kind == RECORD_WASTED;
    q->latency = kind == RECORD_LATENCY;
    return true;
}

/* ---- identity ------------------------------------------------------------------------------ */

static json_t *cell_identity(const struct plan_cell *c) {
    json_t *obj = json_object();
    return complete(
        obj, obj != NULL && json_put(obj, "name", json_string(c->name)) &&
                 json_put(obj, "machine", json_string(plan_cell_place(c))) &&
                 json_put(obj, "params", params_to_json(c->workload_plugin->params, c->args)) &&
                 json_put(obj, "options", params_to_json(c->engine_plugin->options, c->options)) &&
                 json_put(obj, "runs", json_boolean(c->unavailable == NULL)));
}

json_t *plan_identity(const struct plan *plan) {
    char seed[24];
    snprintf(seed, sizeof seed, "%" PRIu64, plan->seed);
    json_t *cells = json_array();
    bool ok = cells != NULL;
    for (size_t i = 0; ok && i < plan->count; i++)
        ok = json_array_append_new(cells, cell_identity(&plan->cells[i])) == 0;
    json_t *obj = json_object();
    ok = ok && obj != NULL && json_put(obj, "repetitions", json_u64(plan->repetitions)) &&
         json_put(obj, "min_time_s", json_real(plan->min_time_s)) &&
         (!plan_simulates(plan) || (json_put(obj, "sim_time_s", json_real(plan->sim_time_s)) &&
                                    json_put(obj, "overrides", plan_overrides_to_json(plan)))) &&
         (plan->warmup_s == 0 || json_put(obj, "warmup_s", json_real(plan->warmup_s))) &&
         json_put(obj, "seed", json_string(seed)) &&
         json_put(obj, "latency", json_boolean(plan->latency)) &&
         json_put(obj, "git_revision", json_string(buildinfo.git_revision)) &&
         json_put(obj, "git_dirty", json_boolean(buildinfo.git_dirty)) &&
         json_put(obj, "compiler", json_string(buildinfo.compiler)) &&
         json_put(obj, "flags", json_string(buildinfo.flags)) &&
         json_object_set(obj, "cells", cells) == 0;
    json_decref(cells);
    return complete(obj, ok);
}
