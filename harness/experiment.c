/*
 * experiment.c - reads named experiments and multiplies their groups out into cells.  See
 * experiment.h.
 *
 * The shape of a file is checked here, key by key, and what is not known is refused.  Whether its
 * engines, workloads, parameters and values exist is for spec.c to say when it is run: an
 * experiment may be there before its engine is.
 */
#include "experiment.h"

#include "spec.h"
#include "suggest.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The files, compiled in (scripts/embed); ended by NULL. */
extern const char *const experiment_builtin_names[];
extern const char *const experiment_builtin_texts[];

enum { NAME_LENGTH_MAX = 40, EXPECT_LENGTH_MAX = 300 };

/* Where we are in which experiment, and what was wrong. */
struct reader {
    const char *where;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 3, 4))) static bool refuse(const struct reader *r, const char *path,
                                                         const char *format, ...) {
    char message[EXPERIMENT_WHY_SIZE / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    snprintf(r->why, r->why_size, "%s: %s%s%s", r->where, path, path[0] != '\0' ? ": " : "",
             message);
    return false;
}

static const char *type_name(const json_t *value) {
    return value == NULL           ? "missing"
           : json_is_object(value) ? "an object"
           : json_is_array(value)  ? "an array"
           : json_is_string(value) ? "a string"
           : json_is_number(value) ? "a number"
           : json_is_null(value)   ? "null"
                                   : "true or false";
}

/* "path.key", or just one of them. */
struct path {
    char text[96];
};
static struct path inside(const char *path, const char *key) {
    struct path p;
    snprintf(p.text, sizeof p.text, "%.52s%s%.40s", path, path[0] != '\0' ? "." : "", key);
    return p;
}
static struct path element(const char *path, size_t index) {
    struct path p;
    snprintf(p.text, sizeof p.text, "%.72s[%u]", path, (unsigned)index);
    return p;
}

/* An object that has no other keys than these (ended by NULL). */
static bool is_object(const struct reader *r, const char *path, json_t *value,
                      const char *const *keys) {
    if (!json_is_object(value))
        return refuse(r, path, "is %s, must be an object", type_name(value));
    const char *key;
    json_t *member;
    json_object_foreach(value, key, member) {
        size_t i = 0;
        while (keys[i] != NULL && strcmp(keys[i], key) != 0)
            i++;
        char phrase[EXPERIMENT_WHY_SIZE / 3];
        if (keys[i] == NULL)
            return refuse(r, path, "unknown key '%.40s'; %s", key,
                          suggest_phrase(key, keys, phrase, sizeof phrase));
    }
    return true;
}

/* One line of text without control characters, at object[key]. */
static bool get_text(const struct reader *r, const char *path, const json_t *object,
                     const char *key, const char *fallback, const char **text) {
    const struct path at = inside(path, key);
    const json_t *value = json_object_get(object, key);
    *text = fallback;
    if (value == NULL && fallback != NULL)
        return true;
    if (!json_is_string(value))
        return refuse(r, at.text, "is %s, must be a string", type_name(value));
    *text = json_string_value(value);
    if ((*text)[0] == '\0')
        return refuse(r, at.text, "is empty, must be a line of text");
    for (const char *c = *text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return refuse(r, at.text, "has a control character, must be one line of text");
    return true;
}

static bool get_number(const struct reader *r, const char *path, const json_t *object,
                       const char *key, double min, double max, double fallback, double *number) {
    const struct path at = inside(path, key);
    const json_t *value = json_object_get(object, key);
    *number = fallback;
    if (value == NULL)
        return true;
    if (!json_is_number(value))
        return refuse(r, at.text, "is %s, must be a number", type_name(value));
    *number = json_number_value(value);
    if (!(*number >= min && *number <= max))
        return refuse(r, at.text, "is %g, must be from %g to %g", *number, min, max);
    return true;
}

/* An array of at least one string.  Its strings, at most `max`, go to list. */
static bool get_list(const struct reader *r, const char *path, const json_t *object,
                     const char *key, unsigned max, const char **list, unsigned *count) {
    const struct path at = inside(path, key);
    const json_t *value = json_object_get(object, key);
    if (!json_is_array(value))
        return refuse(r, at.text, "is %s, must be an array of strings", type_name(value));
    if (json_array_size(value) == 0 || json_array_size(value) > max)
        return refuse(r, at.text, "has %zu elements, must have 1 to %u", json_array_size(value),
                      max);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const struct path item_at = element(at.text, i);
        if (!json_is_string(item) || json_string_value(item)[0] == '\0')
            return refuse(r, item_at.text, "is %s, must be a string that says something",
                          json_is_string(item) ? "empty" : type_name(item));
        list[i] = json_string_value(item);
    }
    *count = (unsigned)json_array_size(value);
    return true;
}

/* "threads", "workload.PARAMETER", "engine.OPTION" or "set.KEY". */
static bool get_variable(const struct reader *r, const char *path, const json_t *object,
                         const char *key, struct experiment_variable *variable) {
    static const struct {
        const char *prefix;
        enum experiment_part part;
    } parts[] = {{"workload.", PART_WORKLOAD}, {"engine.", PART_ENGINE}, {"set.", PART_SET}};
    const char *text;
    if (!get_text(r, path, object, key, NULL, &text))
        return false;
    if (strcmp(text, "threads") == 0) {
        *variable = (struct experiment_variable){PART_THREADS, ""};
        return true;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const size_t n = strlen(parts[i].prefix);
        if (strncmp(text, parts[i].prefix, n) == 0 && text[n] != '\0') {
            *variable = (struct experiment_variable){parts[i].part, text + n};
            return true;
        }
    }
    const struct path at = inside(path, key);
    return refuse(r, at.text,
                  "is '%.40s', must be threads, workload.PARAMETER, engine.OPTION or set.KEY",
                  text);
}

/* ---- the parts of a file ---------------------------------------------------------------------
 */

static bool get_sweep(const struct reader *r, const char *path, json_t *json,
                      struct experiment_sweep *sweep) {
    static const char *const keys[] = {"of", "values", NULL};
    if (!is_object(r, path, json, keys) || !get_variable(r, path, json, "of", &sweep->of) ||
        !get_list(r, path, json, "values", EXPERIMENT_VALUES_MAX, sweep->values, &sweep->count))
        return false;
    const struct path at = inside(path, "of");
    if (sweep->of.part == PART_THREADS)
        return refuse(r, at.text, "is threads, which a group lists under \"threads\"");
    return true;
}

static bool get_group(const struct reader *r, const char *path, json_t *json,
                      struct experiment_group *group) {
    static const char *const keys[] = {"engines", "workloads", "threads", "sweep", NULL};
    if (!is_object(r, path, json, keys) ||
        !get_text(r, path, json, "engines", NULL, &group->engines) ||
        !get_text(r, path, json, "workloads", NULL, &group->workloads) ||
        !get_text(r, path, json, "threads", "1", &group->threads))
        return false;
    json_t *sweeps = json_object_get(json, "sweep");
    const struct path at = inside(path, "sweep");
    if (sweeps != NULL && !json_is_array(sweeps))
        return refuse(r, at.text, "is %s, must be an array of {of, values}", type_name(sweeps));
    if (json_array_size(sweeps) > EXPERIMENT_SWEEPS_MAX)
        return refuse(r, at.text, "has %zu elements, must have at most %d", json_array_size(sweeps),
                      EXPERIMENT_SWEEPS_MAX);
    for (size_t i = 0; i < json_array_size(sweeps); i++) {
        const struct path item = element(at.text, i);
        if (!get_sweep(r, item.text, json_array_get(sweeps, i), &group->sweep[group->sweeps]))
            return false;
        group->sweeps++;
    }
    return true;
}

/* "label", "scale" and "factor". */
static bool get_axis(const struct reader *r, const char *path, json_t *json,
                     struct experiment_axis *axis) {
    const char *scale;
    if (!get_text(r, path, json, "label", NULL, &axis->label) ||
        !get_text(r, path, json, "scale", "linear", &scale) ||
        !get_number(r, path, json, "factor", 1e-12, 1e12, 1, &axis->factor))
        return false;
    axis->logarithmic = strcmp(scale, "log") == 0;
    const struct path at = inside(path, "scale");
    if (!axis->logarithmic && strcmp(scale, "linear") != 0)
        return refuse(r, at.text, "is '%.40s', must be linear or log", scale);
    return true;
}

static const char *const quantity_names[QUANTITIES + 1] = {
    [QUANTITY_TIME] = "time",
    [QUANTITY_THROUGHPUT] = "throughput",
    [QUANTITY_SLOWDOWN] = "slowdown",
    [QUANTITY_SCALING] = "scaling",
    [QUANTITY_SPEEDUP] = "speedup",
    [QUANTITY_ABORTS] = "aborts",
    [QUANTITY_ABORT_RATIO] = "abort_ratio",
    [QUANTITY_COMMITS] = "commits",
    [QUANTITY_WASTED] = "wasted",
    [QUANTITIES] = NULL,
};

static bool get_panel(const struct reader *r, const char *path, json_t *json,
                      struct experiment_panel *panel) {
    static const char *const keys[] = {"y",      "title",  "label", "scale",
                                       "factor", "causes", "bars",  NULL};
    const char *quantity;
    if (!is_object(r, path, json, keys) || !get_text(r, path, json, "y", NULL, &quantity) ||
        !get_text(r, path, json, "title", NULL, &panel->title) ||
        !get_axis(r, path, json, &panel->y))
        return false;
    unsigned q = 0;
    while (q < QUANTITIES && strcmp(quantity, quantity_names[q]) != 0)
        q++;
    char phrase[EXPERIMENT_WHY_SIZE / 3];
    const struct path y_at = inside(path, "y"), causes_at = inside(path, "causes");
    if (q == QUANTITIES)
        return refuse(r, y_at.text, "unknown quantity '%.40s'; %s", quantity,
                      suggest_phrase(quantity, quantity_names, phrase, sizeof phrase));
    panel->quantity = (enum experiment_quantity)q;
    const json_t *bars = json_object_get(json, "bars"), *causes = json_object_get(json, "causes");
    const bool of_aborts = q == QUANTITY_ABORTS || q == QUANTITY_ABORT_RATIO;
    if (bars != NULL) {
        const struct path bars_at = inside(path, "bars");
        if (!json_is_boolean(bars))
            return refuse(r, bars_at.text, "is %s, must be true or false", type_name(bars));
        panel->bars = json_is_true(bars);
        if (panel->bars && (!of_aborts || causes != NULL || panel->y.logarithmic))
            return refuse(r, bars_at.text,
                          "go with y = aborts or abort_ratio, a linear scale and no causes");
    }
    if (causes == NULL)
        return true;
    if (!of_aborts)
        return refuse(r, causes_at.text, "go with y = aborts or abort_ratio only");
    return get_list(r, path, json, "causes", EXPERIMENT_CAUSES_MAX, panel->causes,
                    &panel->cause_count);
}

static bool get_names(const struct reader *r, json_t *json, struct experiment *e) {
    if (!json_is_object(json) || json_object_size(json) > EXPERIMENT_NAMES_MAX)
        return refuse(r, "figure.names", "is %s, must be an object of up to %d texts",
                      json_is_object(json) ? "too long" : type_name(json), EXPERIMENT_NAMES_MAX);
    const char *of;
    json_t *name;
    json_object_foreach(json, of, name) {
        struct experiment_name *n = &e->names[e->name_count++];
        n->of = of;
        if (!get_text(r, "figure.names", json, of, NULL, &n->name))
            return false;
        const struct path at = inside("figure.names", of);
        if (strlen(n->name) > NAME_LENGTH_MAX)
            return refuse(r, at.text, "has more than %d characters", NAME_LENGTH_MAX);
    }
    return true;
}

static bool get_figure(const struct reader *r, json_t *json, struct experiment *e) {
    static const char *const keys[] = {"x", "panels", "names", NULL};
    static const char *const x_keys[] = {"parameter", "label", "scale", "factor", NULL};
    if (!is_object(r, "figure", json, keys))
        return false;
    json_t *x = json_object_get(json, "x"), *panels = json_object_get(json, "panels"),
           *names = json_object_get(json, "names");
    if (names != NULL && !get_names(r, names, e))
        return false;
    if (!is_object(r, "figure.x", x, x_keys) ||
        !get_variable(r, "figure.x", x, "parameter", &e->x) ||
        !get_axis(r, "figure.x", x, &e->x_axis))
        return false;
    if (!json_is_array(panels) || json_array_size(panels) == 0 ||
        json_array_size(panels) > EXPERIMENT_PANELS_MAX)
        return refuse(r, "figure.panels", "is %s, must be an array of 1 to %d objects",
                      json_is_array(panels) ? "of another length" : type_name(panels),
                      EXPERIMENT_PANELS_MAX);
    for (size_t i = 0; i < json_array_size(panels); i++) {
        const struct path item = element("figure.panels", i);
        if (!get_panel(r, item.text, json_array_get(panels, i), &e->panel[e->panels]))
            return false;
        e->panels++;
    }
    if (e->panel[0].bars)
        return refuse(r, "figure.panels[0].bars",
                      "go in the second panel, beside the curves that they are of");
    return true;
}

bool experiment_number(const char *text, double *number) {
    char *end;
    *number = strtod(text, &end);
    const double unit = *end == 'K' ? 1024 : *end == 'M' ? 1048576 : *end == 'G' ? 1073741824 : 1;
    *number *= unit;
    return end != text && isfinite(*number);
}

bool experiment_take_out(const char *text, const char *key, char rest[EXPERIMENT_TEXT_SIZE],
                         double *x) {
    bool found = false;
    size_t used = 0;
    rest[0] = '\0';
    for (const char *item = text; item != NULL;) {
        const size_t length = strcspn(item, ":"), n = strlen(key);
        if (n > 0 && length > n && strncmp(item, key, n) == 0 && item[n] == '=') {
            found = experiment_number(item + n + 1, x);
        } else if (used < EXPERIMENT_TEXT_SIZE) {
            used += (size_t)snprintf(rest + used, EXPERIMENT_TEXT_SIZE - used, "%s%.*s",
                                     used > 0 ? ":" : "", (int)length, item);
        }
        item = item[length] == ':' ? item + length + 1 : NULL;
    }
    return found;
}

/* Does any group vary what the figure has as x? */
static bool varies_x(const struct experiment *e) {
    for (unsigned g = 0; g < e->groups; g++) {
        if (e->x.part == PART_THREADS && strpbrk(e->group[g].threads, ",-") != NULL)
            return true;
        for (unsigned s = 0; s < e->group[g].sweeps; s++)
            if (e->group[g].sweep[s].of.part == e->x.part &&
                strcmp(e->group[g].sweep[s].of.key, e->x.key) == 0)
                return true;
    }
    return false;
}

static bool get_all(const struct reader *r, struct experiment *e) {
    static const char *const keys[] = {
        "name",       "title", "question", "expect", "machine",          "repetitions",
        "min_time_s", "set",   "groups",   "figure", "quick_min_time_s", "quick_repetitions",
        "warmup_s",   NULL};
    json_t *json = e->json;
    double repetitions, quick_repetitions;
    if (!is_object(r, "", json, keys) || !get_text(r, "", json, "name", NULL, &e->name) ||
        !get_text(r, "", json, "title", NULL, &e->title) ||
        !get_text(r, "", json, "question", NULL, &e->question) ||
        !get_text(r, "", json, "expect", NULL, &e->expect) ||
        !get_text(r, "", json, "machine", NULL, &e->machine) ||
        !get_number(r, "", json, "repetitions", 1, 100000, 0, &repetitions) ||
        !get_number(r, "", json, "min_time_s", 1e-6, 3600, 0, &e->min_time_s) ||
        !get_number(r, "", json, "warmup_s", 1e-6, PLAN_WARM_UP_MAX_S, 0, &e->warmup_s) ||
        !get_number(r, "", json, "quick_min_time_s", 1e-6, 3600, 0, &e->quick_min_time_s) ||
        !get_number(r, "", json, "quick_repetitions", 1, 100000, 0, &quick_repetitions) ||
        (json_object_get(json, "set") != NULL &&
         !get_list(r, "", json, "set", PLAN_OVERRIDES_MAX / 2, e->overrides, &e->override_count)))
        return false;
    if (strlen(e->expect) > EXPECT_LENGTH_MAX)
        return refuse(r, "expect", "has more than %d characters, must be a sentence",
                      EXPECT_LENGTH_MAX);
    if (repetitions != floor(repetitions))
        return refuse(r, "repetitions", "is %g, must be a whole number", repetitions);
    if (quick_repetitions != floor(quick_repetitions))
        return refuse(r, "quick_repetitions", "is %g, must be a whole number", quick_repetitions);
    e->repetitions = (unsigned)repetitions;
    e->quick_repetitions = (unsigned)quick_repetitions;
    if (e->name[strspn(e->name, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0')
        return refuse(r, "name", "is '%.40s', must be of a-z, 0-9 and -", e->name);
    if (strchr(e->machine, ',') != NULL)
        return refuse(r, "machine", "is '%.40s', must be one machine: native or sim:PROFILE",
                      e->machine);
    const json_t *groups = json_object_get(json, "groups");
    if (!json_is_array(groups) || json_array_size(groups) == 0 ||
        json_array_size(groups) > EXPERIMENT_GROUPS_MAX)
        return refuse(r, "groups", "is %s, must be an array of 1 to %d objects",
                      json_is_array(groups) ? "of another length" : type_name(groups),
                      EXPERIMENT_GROUPS_MAX);
    for (size_t i = 0; i < json_array_size(groups); i++) {
        const struct path item = element("groups", i);
        if (!get_group(r, item.text, json_array_get(groups, i), &e->group[e->groups]))
            return false;
        e->groups++;
    }
    if (json_object_get(json, "figure") == NULL)
        return true;
    if (!get_figure(r, json_object_get(json, "figure"), e))
        return false;
    return varies_x(e) || refuse(r, "figure.x.parameter", "is varied by none of the groups");
}

bool experiment_parse(const char *where, json_t *json, struct experiment *experiment, char *why,
                      size_t why_size) {
    const struct reader r = {where, why, why_size};
    *experiment = (struct experiment){.json = json_incref(json)};
    if (get_all(&r, experiment))
        return true;
    experiment_free(experiment);
    return false;
}

bool experiment_parse_text(const char *where, const char *text, struct experiment *experiment,
                           char *why, size_t why_size) {
    json_error_t error;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    *experiment = (struct experiment){.json = NULL};
    if (json == NULL) {
        snprintf(why, why_size, "%s:%d:%d: %s", where, error.line, error.column, error.text);
        return false;
    }
    const bool ok = experiment_parse(where, json, experiment, why, why_size);
    json_decref(json);
    return ok;
}

void experiment_free(struct experiment *experiment) {
    json_decref(experiment->json);
    *experiment = (struct experiment){.json = NULL};
}

const char *const *experiment_names(void) { return experiment_builtin_names; }

bool experiment_load(const char *name, struct experiment *experiment, char *why, size_t why_size) {
    *experiment = (struct experiment){.json = NULL};
    for (size_t i = 0; experiment_builtin_names[i] != NULL; i++)
        if (strcmp(experiment_builtin_names[i], name) == 0) {
            char where[96];
            snprintf(where, sizeof where, "experiment %.60s", name);
            return experiment_parse_text(where, experiment_builtin_texts[i], experiment, why,
                                         why_size);
        }
    char phrase[EXPERIMENT_WHY_SIZE / 2];
    snprintf(why, why_size, "--experiment: unknown experiment '%.60s'; %s", name,
             suggest_phrase(name, experiment_builtin_names, phrase, sizeof phrase));
    return false;
}

/* ---- cells -----------------------------------------------------------------------------------
 */

/* A list of items with ":suffix" behind each; NULL when memory is out. */
static char *with_suffix(const char *list, const char *suffix) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL)
        return NULL;
    for (const char *c = list; *c != '\0'; c++) {
        if (*c == ',')
            fputs(suffix, f);
        fputc(*c, f);
    }
    fputs(suffix, f);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

/* One combination of a group's sweeps, in the words of the command line. */
struct combination {
    char engines[256], workloads[256]; /* ":k=v" for each sweep of that part */
    const char *set[EXPERIMENT_SWEEPS_MAX];
    char set_text[EXPERIMENT_SWEEPS_MAX][96];
    unsigned sets;
};

static struct combination combine(const struct experiment_group *group, size_t number) {
    struct combination c = {.engines = "", .sets = 0};
    for (unsigned s = 0; s < group->sweeps; s++) {
        const struct experiment_sweep *sweep = &group->sweep[s];
        const char *value = sweep->values[number % sweep->count];
        char *to = sweep->of.part == PART_ENGINE ? c.engines : c.workloads;
        const size_t used = strlen(to);
        number /= sweep->count;
        if (sweep->of.part == PART_SET) {
            snprintf(c.set_text[c.sets], sizeof c.set_text[0], "%s=%s", sweep->of.key, value);
            c.sets++;
        } else {
            snprintf(to + used, sizeof c.engines - used, ":%s=%s", sweep->of.key, value);
        }
    }
    return c;
}

static bool cell_is_there(const struct plan *plan, const char *name) {
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->cells[i].name, name) == 0)
            return true;
    return false;
}

/* The values of the plan and those of the combination, each a copy, as the cell's own. */
static bool own_overrides(struct plan_cell *cell, const struct plan *plan,
                          const struct combination *c) {
    const size_t n = plan->override_count + c->sets;
    cell->overrides = NULL;
    cell->override_count = 0;
    cell->own_overrides = calloc(n + 1, sizeof *cell->own_overrides);
    cell->overrides = (const char *const *)cell->own_overrides;
    for (size_t i = 0; cell->own_overrides != NULL && i < n; i++) {
        cell->own_overrides[i] = strdup(
            i < plan->override_count ? plan->overrides[i] : c->set_text[i - plan->override_count]);
        if (cell->own_overrides[i] == NULL)
            return false;
        cell->override_count++;
    }
    return cell->own_overrides != NULL;
}

/* The name says what was swept, or two cells would have the same one. */
static bool name_overrides(struct plan_cell *cell, const struct combination *c) {
    for (unsigned i = 0; i < c->sets; i++) {
        char *longer = NULL;
        if (asprintf(&longer, "%s:%s", cell->name, c->set_text[i]) < 0)
            return false;
        free(cell->name);
        cell->name = longer;
    }
    return true;
}

/* Moves the cells of `part` behind those of the plan, but for those that are there. */
static bool append_cells(struct plan *plan, struct plan *part, const struct combination *c) {
    struct plan_cell *more =
        realloc(plan->cells, (plan->count + part->count + 1) * sizeof *plan->cells);
    if (more == NULL)
        return false;
    plan->cells = more;
    for (size_t i = 0; i < part->count; i++) {
        struct plan_cell *cell = &part->cells[i];
        if (cell->machine->simulated && (!own_overrides(cell, plan, c) || !name_overrides(cell, c)))
            return false;
        if (cell_is_there(plan, cell->name))
            continue;
        plan->cells[plan->count++] = *cell;
        *cell = (struct plan_cell){.name = NULL}; /* moved */
    }
    return true;
}

static bool add_combination(const struct experiment *e, unsigned group, size_t number,
                            struct plan *plan, char *why, size_t why_size) {
    const struct experiment_group *g = &e->group[group];
    const struct combination c = combine(g, number);
    struct plan part = {.cells = NULL};
    char *engines = with_suffix(g->engines, c.engines);
    char *workloads = with_suffix(g->workloads, c.workloads);
    char detail[SPEC_WHY_SIZE] = "out of memory";
    const struct spec spec = {engines, workloads, g->threads, e->machine};
    part.overrides = calloc(plan->override_count + EXPERIMENT_SWEEPS_MAX, sizeof *part.overrides);
    bool ok = engines != NULL && workloads != NULL && part.overrides != NULL;
    for (size_t i = 0; ok && i < plan->override_count + c.sets; i++) {
        part.overrides[i] = strdup(i < plan->override_count ? plan->overrides[i]
                                                            : c.set_text[i - plan->override_count]);
        ok = part.overrides[i] != NULL;
        part.override_count += ok;
    }
    ok = ok && spec_cells(&spec, &part, detail, sizeof detail);
    if (ok && !append_cells(plan, &part, &c)) {
        ok = false;
        snprintf(detail, sizeof detail, "out of memory");
    }
    if (!ok)
        snprintf(why, why_size, "experiment %s: groups[%u]: %s", e->name, group, detail);
    free(engines);
    free(workloads);
    plan_free(&part);
    return ok;
}

bool experiment_overrides(const struct experiment *experiment, struct plan *plan, char *why,
                          size_t why_size) {
    const size_t own = experiment->override_count;
    if (own + plan->override_count > PLAN_OVERRIDES_MAX) {
        snprintf(why, why_size, "--set: at most %d values can be set", PLAN_OVERRIDES_MAX);
        return false;
    }
    memmove(plan->overrides + own, plan->overrides, plan->override_count * sizeof *plan->overrides);
    memset((void *)plan->overrides, 0, own * sizeof *plan->overrides);
    plan->override_count += own;
    for (size_t i = 0; i < own; i++) {
        plan->overrides[i] = strdup(experiment->overrides[i]);
        if (plan->overrides[i] == NULL) {
            snprintf(why, why_size, "out of memory");
            return false;
        }
    }
    return true;
}

/* A name that is of nothing would otherwise go unnoticed. */
static bool names_are_known(const struct experiment *e, const struct plan *plan, char *why,
                            size_t why_size) {
    const char *workload_x = e->x.part == PART_WORKLOAD ? e->x.key : "";
    const char *engine_x = e->x.part == PART_ENGINE ? e->x.key : "";
    for (unsigned n = 0; n < e->name_count; n++) {
        bool known = false;
        for (size_t i = 0; i < plan->count && !known; i++) {
            char rest[EXPERIMENT_TEXT_SIZE];
            double x;
            (void)experiment_take_out(plan->cells[i].workload, workload_x, rest, &x);
            known = strcmp(rest, e->names[n].of) == 0;
            (void)experiment_take_out(plan->cells[i].engine, engine_x, rest, &x);
            known = known || strcmp(rest, e->names[n].of) == 0;
        }
        if (!known) {
            snprintf(why, why_size,
                     "experiment %s: figure.names: '%.80s' is no workload and no engine of its "
                     "cells, as results name them",
                     e->name, e->names[n].of);
            return false;
        }
    }
    return true;
}

bool experiment_cells(const struct experiment *experiment, struct plan *plan, char *why,
                      size_t why_size) {
    for (unsigned g = 0; g < experiment->groups; g++) {
        size_t combinations = 1;
        for (unsigned s = 0; s < experiment->group[g].sweeps; s++)
            combinations *= experiment->group[g].sweep[s].count;
        for (size_t i = 0; i < combinations; i++)
            if (!add_combination(experiment, g, i, plan, why, why_size))
                return false;
    }
    return names_are_known(experiment, plan, why, why_size);
}
