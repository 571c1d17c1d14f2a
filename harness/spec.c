/*
 * spec.c - parses lists of engines, workloads and threads and multiplies them out.  See spec.h.
 */
#include "spec.h"

#include "suggest.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of what the user typed, at most this many bytes are repeated in a message. */
#define SHOWN "%.60s"

static const char OUT_OF_MEMORY[] = "out of memory";

#define REFUSE(...) (snprintf(why, why_size, __VA_ARGS__), false)

/* ---- what was linked ----------------------------------------------------------------------- */

static size_t add_name(const char **names, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return n;
    if (n < SPEC_NAMES_MAX)
        names[n++] = name;
    return n;
}

size_t spec_engine_names(const char *names[SPEC_NAMES_MAX + 1]) {
    size_t n = 0;
    for (const struct tm_engine *const *e = engines_all(); *e != NULL; e++)
        n = add_name(names, n, (*e)->name);
    names[n] = NULL;
    return n;
}

size_t spec_workload_names(const char *names[SPEC_NAMES_MAX + 1]) {
    size_t n = 0;
    for (const struct tm_cell *const *c = cells_all(); *c != NULL; c++)
        n = add_name(names, n, (*c)->workload->name);
    names[n] = NULL;
    return n;
}

const struct tm_workload *spec_workload(const char *name) {
    for (const struct tm_cell *const *c = cells_all(); *c != NULL; c++)
        if (strcmp((*c)->workload->name, name) == 0)
            return (*c)->workload;
    return NULL;
}

static bool same_variant(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Of a cell's engine, where its machine can run.  An engine that needs hardware transactions knows
 * of a simulated machine only once that is open. */
static const char *engine_unavailable(const struct tm_engine *engine, const struct machine *machine,
                                      const char *htm) {
    if (engine->transactional_hardware && (htm != NULL || machine->simulated))
        return htm;
    return engine->unavailable != NULL ? engine->unavailable() : NULL;
}

const char *spec_unavailable(const struct tm_engine *engine, const struct machine *machine,
                             const char *htm) {
    const char *reason = machine->unavailable != NULL ? machine->unavailable() : NULL;
    if (reason != NULL)
        return reason;
    for (const struct tm_cell *const *c = cells_all(); *c != NULL; c++)
        if (strcmp((*c)->machine, machine->name) == 0 &&
            strcmp((*c)->engine->name, engine->name) == 0 &&
            same_variant((*c)->engine->variant, engine->variant))
            return engine_unavailable((*c)->engine, machine, htm);
    if (machine->simulated && engine->not_simulated != NULL)
        return engine->not_simulated;
    return "not compiled for this machine";
}

const char *spec_htm_unavailable(const struct machine_description *description) {
    return description->htm_unavailable[0] != '\0' ? "the profile has no hardware transactions"
                                                   : NULL;
}

/* ---- numbers ------------------------------------------------------------------------------- */

bool spec_whole(const char *text, uint64_t low, uint64_t high, uint64_t *value) {
    uint64_t sum = 0;
    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(*text - '0'), &sum))
            return false;
    }
    if (sum < low || sum > high)
        return false;
    *value = sum;
    return true;
}

bool spec_real(const char *text, double low, double high, double *value) {
    char *end = NULL;
    if (text[0] == '\0' || text[strspn(text, "0123456789.eE+-")] != '\0' ||
        strchr("+-eE", text[0]) != NULL)
        return false;
    const double r = strtod(text, &end);
    if (*end != '\0' || !isfinite(r) || r < low || r > high)
        return false;
    *value = r;
    return true;
}

/* ---- threads ------------------------------------------------------------------------------- */

unsigned spec_processors(void) {
    cpu_set_t allowed;
    const long processors = sched_getaffinity(0, sizeof allowed, &allowed) == 0
                                ? CPU_COUNT(&allowed)
                                : sysconf(_SC_NPROCESSORS_ONLN);
    return processors < 1 ? 1 : (unsigned)processors;
}

void spec_default_threads(unsigned processors, char *text, size_t text_size) {
    if (processors > CELL_THREADS_MAX)
        processors = CELL_THREADS_MAX;
    size_t used = (size_t)snprintf(text, text_size, "1");
    for (unsigned n = 2; n / 2 < processors && used < text_size; n *= 2)
        used +=
            (size_t)snprintf(text + used, text_size - used, ",%u", n < processors ? n : processors);
}

/* One count of a list or one end of a range. */
static bool parse_count(const char *text, size_t length, unsigned limit, unsigned *count,
                        const char *list, char *why, size_t why_size) {
    char digits[16];
    uint64_t value;
    snprintf(digits, sizeof digits, "%.*s", (int)(length < 15 ? length : 15), text);
    if (length == 0)
        return REFUSE("--threads '" SHOWN "': a count is missing; write 1,2,4 or 1-8", list);
    if (strspn(digits, "0123456789") != strlen(digits))
        return REFUSE("--threads '" SHOWN "': '%s' is not a count; write 1,2,4 or 1-8", list,
                      digits);
    if (!spec_whole(digits, 1, limit, &value))
        return REFUSE("--threads '" SHOWN "': %s%s must be from 1 to %u", list, digits,
                      length > 15 ? "..." : "", limit);
    *count = (unsigned)value;
    return true;
}

bool spec_threads(const char *text, unsigned limit, unsigned **threads, size_t *count, char *why,
                  size_t why_size) {
    if (limit > CELL_THREADS_MAX)
        limit = CELL_THREADS_MAX;
    unsigned counts[CELL_THREADS_MAX];
    bool seen[CELL_THREADS_MAX + 1] = {false};
    size_t n = 0;
    if (text[0] == '\0')
        return REFUSE("--threads is empty; write 1,2,4 or 1-8");
    for (const char *entry = text; entry != NULL;) {
        const size_t length = strcspn(entry, ",");
        const char *dash = memchr(entry, '-', length);
        const size_t first_length = dash != NULL ? (size_t)(dash - entry) : length;
        unsigned first, last;
        if (!parse_count(entry, first_length, limit, &first, text, why, why_size))
            return false;
        last = first;
        if (dash != NULL &&
            !parse_count(dash + 1, length - first_length - 1, limit, &last, text, why, why_size))
            return false;
        if (last < first)
            return REFUSE("--threads '" SHOWN "': %u-%u runs backwards; write %u-%u", text, first,
                          last, last, first);
        for (unsigned t = first; t <= last; t++) {
            if (seen[t])
                return REFUSE("--threads '" SHOWN "': %u is there twice; give each count once",
                              text, t);
            seen[t] = true;
            counts[n++] = t;
        }
        entry = entry[length] == ',' ? entry + length + 1 : NULL;
    }
    unsigned *copy = malloc(n * sizeof *copy);
    if (copy == NULL)
        return REFUSE("%s", OUT_OF_MEMORY);
    memcpy(copy, counts, n * sizeof *copy);
    *threads = copy;
    *count = n;
    return true;
}

/* ---- engines and workloads ----------------------------------------------------------------- */

/* What distinguishes the two kinds of lists. */
struct kind {
    const char *option;
    const char *noun;
    size_t (*names)(const char **names);
    const struct kind *other; /* "counter is a workload" when asked for as an engine */
};
static const struct kind engine_kind, workload_kind;
static const struct kind engine_kind = {"--engine", "engine", spec_engine_names, &workload_kind};
static const struct kind workload_kind = {"--workload", "workload", spec_workload_names,
                                          &engine_kind};

struct item {
    char *text; /* as given; owned */
    const char *name;
    const struct tm_param *params;
    union tm_value values[PLAN_VALUES_MAX];
};

struct items {
    struct item *item;
    size_t count;
};

static void items_free(struct items *items) {
    for (size_t i = 0; i < items->count; i++)
        free(items->item[i].text);
    free(items->item);
}

/* Of a plug-in that is known to exist; NULL when it has none. */
static const struct tm_param *params_of(const struct kind *kind, const char *name) {
    if (kind == &engine_kind) {
        const struct tm_engine *engine = engine_variant(name, NULL);
        return engine != NULL ? engine->options : NULL;
    }
    const struct tm_workload *workload = spec_workload(name);
    return workload != NULL ? workload->params : NULL;
}

static const char *find_name(const struct kind *kind, const char *name) {
    const char *names[SPEC_NAMES_MAX + 1];
    kind->names(names);
    for (const char **n = names; *n != NULL; n++)
        if (strcmp(*n, name) == 0)
            return *n;
    return NULL;
}

static bool unknown_name(const struct kind *kind, const char *name, char *why, size_t why_size) {
    if (name[0] == '\0')
        return REFUSE("%s: an empty name in the list; write NAME[:parameter=value],...",
                      kind->option);
    if (find_name(kind->other, name) != NULL)
        return REFUSE("%s: %s is no %s; write %s %s", kind->option, name, kind->noun,
                      kind->other->option, name);
    const char *names[SPEC_NAMES_MAX + 1];
    char phrase[SPEC_WHY_SIZE / 2];
    kind->names(names);
    return REFUSE("%s: unknown %s '" SHOWN "'; %s", kind->option, kind->noun, name,
                  suggest_phrase(name, names, phrase, sizeof phrase));
}

static bool unknown_param(const struct kind *kind, const struct item *item, const char *name,
                          char *why, size_t why_size) {
    const char *names[PLAN_VALUES_MAX + 1];
    unsigned n = 0;
    for (; item->params != NULL && item->params[n].name != NULL; n++)
        names[n] = item->params[n].name;
    names[n] = NULL;
    if (n == 0)
        return REFUSE("%s %s: '" SHOWN "' is not a parameter; %s has none", kind->option,
                      item->name, name, item->name);
    char phrase[SPEC_WHY_SIZE / 2];
    return REFUSE("%s %s: unknown parameter '" SHOWN "'; %s", kind->option, item->name, name,
                  suggest_phrase(name, names, phrase, sizeof phrase));
}

/* "; did you mean X?" for a mistyped choice, or "". */
static const char *choice_hint(const struct tm_param *param, const char *value, char *hint,
                               size_t hint_size) {
    enum { CHOICES_MAX = 32 };
    const char *names[CHOICES_MAX + 1] = {NULL};
    char copy[SPEC_WHY_SIZE], *rest = copy, *choice;
    snprintf(copy, sizeof copy, "%s", param->choices);
    for (unsigned n = 0; n < CHOICES_MAX && (choice = strsep(&rest, "|")) != NULL; n++)
        names[n] = choice;
    const char *nearest = suggest_nearest(value, names);
    hint[0] = '\0';
    if (nearest != NULL)
        snprintf(hint, hint_size, "; did you mean %s?", nearest);
    return hint;
}

/* One "parameter=value" of an item; `given` marks those that were there before. */
static bool parse_param(const struct kind *kind, struct item *item, char *text, bool *given,
                        char *why, size_t why_size) {
    char *equals = strchr(text, '=');
    if (equals != NULL)
        *equals = '\0';
    unsigned p = 0;
    while (item->params != NULL && item->params[p].name != NULL &&
           strcmp(item->params[p].name, text) != 0)
        p++;
    if (text[0] == '\0')
        return REFUSE("%s %s: a parameter is missing behind ':'; write %s:parameter=value",
                      kind->option, item->name, item->name);
    if (item->params == NULL || item->params[p].name == NULL)
        return unknown_param(kind, item, text, why, why_size);
    const struct tm_param *param = &item->params[p];
    if (equals == NULL)
        return REFUSE("%s %s: parameter %s has no value; write %s=%s", kind->option, item->name,
                      param->name, param->name, param->def);
    const char *value = equals + 1;
    if (given[p])
        return REFUSE("%s %s: parameter %s is there twice; give it once", kind->option, item->name,
                      param->name);
    given[p] = true;
    /* Values become parts of names: what strtol would skip (blanks) or the name could not hold
     * does not get that far. */
    const char *odd = value + strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789._+-");
    char clipped[64], detail[CELL_WHY_SIZE], hint[SPEC_WHY_SIZE / 4] = "";
    snprintf(clipped, sizeof clipped, SHOWN, value);
    if (*odd == '\0' && strlen(value) < sizeof clipped &&
        param_parse(param, value, &item->values[p], detail, sizeof detail))
        return true;
    /* Again with what may be shown, for the sentence that says what would be right. */
    union tm_value ignored;
    if (param_parse(param, clipped, &ignored, detail, sizeof detail))
        snprintf(detail, sizeof detail, "%s=%s: write it with letters, digits and . _ + - only",
                 param->name, clipped);
    if (param->type == TM_CHOICE)
        choice_hint(param, clipped, hint, sizeof hint);
    return REFUSE("%s %s: %s%s", kind->option, item->name, detail, hint);
}

/* One item of a list; its text is a copy that the item owns. */
static bool parse_item(const struct kind *kind, const char *text, struct item *item, char *why,
                       size_t why_size) {
    char *copy = strdup(text), *rest = copy;
    if (copy == NULL)
        return REFUSE("%s", OUT_OF_MEMORY);
    const char *name = strsep(&rest, ":");
    bool given[PLAN_VALUES_MAX] = {false};
    bool good = true;
    item->name = find_name(kind, name);
    if (item->name == NULL) {
        good = unknown_name(kind, name, why, why_size);
    } else {
        item->params = params_of(kind, item->name);
        unsigned n = 0;
        while (item->params != NULL && item->params[n].name != NULL)
            n++;
        if (n > PLAN_VALUES_MAX)
            abort(); /* only the plug-in's author can get that wrong */
        params_default(item->params, item->values);
        while (good && rest != NULL)
            good = parse_param(kind, item, strsep(&rest, ":"), given, why, why_size);
    }
    free(copy);
    return good;
}

/* Do two items mean the same, however they are written? */
static bool same_meaning(const struct item *a, const struct item *b) {
    if (strcmp(a->name, b->name) != 0)
        return false;
    for (unsigned i = 0; a->params != NULL && a->params[i].name != NULL; i++) {
        const union tm_value *x = &a->values[i], *y = &b->values[i];
        if (a->params[i].type == TM_INT    ? x->i != y->i
            : a->params[i].type == TM_REAL ? x->r != y->r
                                           : x->choice != y->choice)
            return false;
    }
    return true;
}

static bool add_item(const struct kind *kind, struct items *items, const char *text, char *why,
                     size_t why_size) {
    struct item *grown = realloc(items->item, (items->count + 1) * sizeof *grown);
    if (grown == NULL)
        return REFUSE("%s", OUT_OF_MEMORY);
    items->item = grown;
    struct item *item = &grown[items->count];
    *item = (struct item){.text = NULL};
    if (!parse_item(kind, text, item, why, why_size))
        return false;
    for (size_t i = 0; i < items->count; i++)
        if (same_meaning(&grown[i], item)) {
            if (strcmp(grown[i].text, text) == 0)
                return REFUSE("%s: " SHOWN " is there twice; give each %s once", kind->option, text,
                              kind->noun);
            return REFUSE("%s: " SHOWN " and " SHOWN " mean the same; give one of them",
                          kind->option, grown[i].text, text);
        }
    item->text = strdup(text);
    if (item->text == NULL)
        return REFUSE("%s", OUT_OF_MEMORY);
    items->count++;
    return true;
}

/* The list, or everything there is when it is NULL.  The caller frees items, also on failure. */
static bool parse_items(const struct kind *kind, const char *list, struct items *items, char *why,
                        size_t why_size) {
    if (list == NULL) {
        const char *names[SPEC_NAMES_MAX + 1];
        kind->names(names);
        for (const char **n = names; *n != NULL; n++)
            if (!add_item(kind, items, *n, why, why_size))
                return false;
        return true;
    }
    if (list[0] == '\0')
        return REFUSE("%s is empty; `allcores list` shows what there is", kind->option);
    char *copy = strdup(list), *rest = copy;
    if (copy == NULL)
        return REFUSE("%s", OUT_OF_MEMORY);
    bool good = true;
    while (good && rest != NULL)
        good = add_item(kind, items, strsep(&rest, ","), why, why_size);
    free(copy);
    return good;
}

/* ---- cells --------------------------------------------------------------------------------- */

/* The build of an engine that these options select; when this program has none (a sanitizer build
 * may lack the default one), any build of it, for its description, and *missing is set. */
static const struct tm_engine *build_of(const struct item *engine, bool *missing) {
    const struct tm_engine *found = engine_variant(engine->name, engine->values);
    *missing = found == NULL;
    for (const struct tm_engine *const *e = engines_all(); found == NULL && *e != NULL; e++)
        if (strcmp((*e)->name, engine->name) == 0)
            found = *e;
    return found;
}

/* A machine of the list, and how many threads it runs. */
struct place {
    const struct machine *machine;
    char *name; /* "native" or "sim:PROFILE"; owned */
    bool hypothetical;
    const char *htm_unavailable; /* why it has no hardware transactions, or NULL */
    unsigned *threads;
    size_t thread_counts;
};

struct places {
    struct place *place;
    size_t count;
};

static void places_free(struct places *places) {
    for (size_t i = 0; i < places->count; i++) {
        free(places->place[i].name);
        free(places->place[i].threads);
    }
    free(places->place);
}

/* Fills one cell; false when out of memory (what it owns by then is freed by plan_free). */
static bool make_cell(struct plan_cell *cell, const struct item *workload,
                      const struct item *engine, unsigned threads, const struct place *place) {
    bool missing;
    const struct machine *machine = place->machine;
    const struct tm_engine *build = build_of(engine, &missing);
    if (build == NULL) /* cannot be: the name was found among the builds */
        return false;
    *cell = (struct plan_cell){
        .workload = strdup(workload->text),
        .engine = strdup(engine->text),
        .workload_plugin = spec_workload(workload->name),
        .engine_plugin = build,
        .machine = machine,
        .place = strdup(place->name),
        .hypothetical = place->hypothetical,
        .threads = threads,
    };
    memcpy(cell->args, workload->values, sizeof cell->args);
    memcpy(cell->options, engine->values, sizeof cell->options);
    cell->cell =
        missing ? NULL : cell_find(workload->name, engine->name, build->variant, machine->name);
    if (cell->cell != NULL) { /* the copies that were compiled together */
        cell->workload_plugin = cell->cell->workload;
        cell->engine_plugin = cell->cell->engine;
    }
    cell->unavailable = spec_unavailable(cell->engine_plugin, machine, place->htm_unavailable);
    if (cell->unavailable == NULL && missing)
        cell->unavailable = "this build of allcores has no engine with these options";
    if (cell->unavailable == NULL && cell->cell == NULL)
        cell->unavailable = "not compiled for this machine";
    if (cell->unavailable == NULL && threads > cell->engine_plugin->max_threads)
        cell->unavailable = cell->engine_plugin->max_threads == 1
                                ? "the engine has no synchronisation: it runs one thread only"
                                : "more threads than the engine can have";
    if (cell->workload == NULL || cell->engine == NULL || cell->place == NULL ||
        asprintf(&cell->name, "%s/%s/threads:%u%s%s", cell->workload, cell->engine, threads,
                 machine->simulated ? "/" : "", machine->simulated ? place->name : "") < 0) {
        cell->name = NULL;
        return false;
    }
    return true;
}

/* The cells of one machine, appended. */
static bool multiply(const struct items *workloads, const struct items *engines,
                     const struct place *place, bool threads_given, struct plan *plan) {
    for (size_t w = 0; w < workloads->count; w++)
        for (size_t e = 0; e < engines->count; e++) {
            const struct item *engine = &engines->item[e];
            bool missing;
            const struct tm_engine *build = build_of(engine, &missing);
            const unsigned engine_max = build == NULL ? 0 : build->max_threads;
            for (size_t t = 0; t < place->thread_counts; t++) {
                if (place->threads[t] > engine_max && !threads_given)
                    continue;
                struct plan_cell *cell = &plan->cells[plan->count++];
                if (!make_cell(cell, &workloads->item[w], engine, place->threads[t], place))
                    return false;
            }
        }
    return true;
}

/* The cells of all machines. */
static bool multiply_all(const struct items *workloads, const struct items *engines,
                         const struct places *places, bool threads_given, struct plan *plan) {
    size_t most = 1;
    for (size_t p = 0; p < places->count; p++)
        most += workloads->count * engines->count * places->place[p].thread_counts;
    plan->count = 0;
    plan->cells = calloc(most, sizeof *plan->cells);
    for (size_t p = 0; plan->cells != NULL && p < places->count; p++)
        if (!multiply(workloads, engines, &places->place[p], threads_given, plan))
            return false;
    return plan->cells != NULL;
}

/* ---- machines ------------------------------------------------------------------------------ */

static const struct machine *simulator(void) {
    for (const struct machine *const *m = machines_all(); *m != NULL; m++)
        if ((*m)->simulated)
            return *m;
    return NULL;
}

/* What may stand in the list: real machines by name, simulated ones with each of their profiles.
 * Texts[] holds those that had to be made; returns how many names there are. */
static size_t place_names(const char *names[SPEC_NAMES_MAX + 1], char texts[SPEC_NAMES_MAX][96]) {
    size_t n = 0;
    for (const struct machine *const *m = machines_all(); *m != NULL; m++) {
        const char *const *profile = (*m)->simulated ? (*m)->profiles() : NULL;
        if (profile == NULL && n < SPEC_NAMES_MAX)
            names[n++] = (*m)->name;
        for (; profile != NULL && *profile != NULL && n < SPEC_NAMES_MAX; profile++) {
            snprintf(texts[n], sizeof texts[n], "%s:%s", (*m)->name, *profile);
            names[n] = texts[n];
            n++;
        }
    }
    names[n] = NULL;
    return n;
}

static bool unknown_place(const char *name, char *why, size_t why_size) {
    static char texts[SPEC_NAMES_MAX][96];
    const char *names[SPEC_NAMES_MAX + 1];
    char phrase[SPEC_WHY_SIZE / 2];
    place_names(names, texts);
    if (strncmp(name, "sim:", 4) == 0 && simulator() == NULL)
        return REFUSE("--machine: " SHOWN ": this build of allcores has no simulated machines; "
                      "there are: native",
                      name);
    return REFUSE("--machine: unknown machine '" SHOWN "'; %s", name,
                  suggest_phrase(name, names, phrase, sizeof phrase));
}

/* A profile that is a file has a name that says so; others are compiled in. */
static bool is_file(const char *profile) {
    const size_t n = strlen(profile);
    return strchr(profile, '/') != NULL || (n > 5 && strcmp(profile + n - 5, ".json") == 0);
}

static bool is_built_in(const struct machine *machine, const char *profile) {
    for (const char *const *p = machine->profiles(); *p != NULL; p++)
        if (strcmp(*p, profile) == 0)
            return true;
    return false;
}

/* One machine of the list.  *processors: what it has to run threads. */
static bool parse_place(const char *name, const struct plan *plan, struct place *place,
                        unsigned *processors, char *why, size_t why_size) {
    const char *colon = strchr(name, ':');
    char kind[64];
    snprintf(kind, sizeof kind, "%.*s", colon != NULL ? (int)(colon - name) : 63, name);
    const struct machine *machine = machine_find(kind);
    if (machine == NULL || machine->simulated != (colon != NULL))
        return unknown_place(name, why, why_size);
    place->machine = machine;
    *processors = spec_processors();
    if (!machine->simulated) {
        place->htm_unavailable = machine->htm_unavailable();
        return true;
    }
    struct machine_description description;
    char detail[SPEC_WHY_SIZE / 2];
    if (!is_file(colon + 1) && !is_built_in(machine, colon + 1))
        return unknown_place(name, why, why_size);
    /* What only a list could not hold, or a name. */
    if (strpbrk(colon + 1, " \t\r\n\"\\") != NULL)
        return REFUSE("--machine: " SHOWN ": a profile's name has no blanks, quotes or backslashes",
                      name);
    if (!machine->describe(colon + 1, (const char *const *)plan->overrides, plan->override_count,
                           &description, detail, sizeof detail))
        return REFUSE("--machine " SHOWN ": %s", name, detail);
    *processors = description.hardware_threads;
    place->hypothetical = description.hypothetical;
    place->htm_unavailable = spec_htm_unavailable(&description);
    return true;
}

/* One item of the list, appended. */
static bool add_place(const struct spec *spec, const struct plan *plan, const char *name,
                      struct places *places, char *why, size_t why_size) {
    struct place *grown = realloc(places->place, (places->count + 1) * sizeof *grown);
    if (grown == NULL)
        return REFUSE("%s", OUT_OF_MEMORY);
    places->place = grown;
    struct place *place = &grown[places->count];
    *place = (struct place){.machine = NULL};
    unsigned processors = 1;
    if (!parse_place(name, plan, place, &processors, why, why_size))
        return false;
    for (size_t i = 0; i < places->count; i++)
        if (strcmp(grown[i].name, name) == 0)
            return REFUSE("--machine: " SHOWN " is there twice; give each machine once", name);
    char default_threads[128];
    spec_default_threads(processors, default_threads, sizeof default_threads);
    if (!spec_threads(spec->threads != NULL ? spec->threads : default_threads,
                      place->machine->max_threads(), &place->threads, &place->thread_counts, why,
                      why_size))
        return false;
    place->name = strdup(name);
    places->count++;
    return place->name != NULL || REFUSE("%s", OUT_OF_MEMORY);
}

static bool parse_places(const struct spec *spec, const struct plan *plan, struct places *places,
                         char *why, size_t why_size) {
    char *copy = strdup(spec->machine != NULL ? spec->machine : "native"), *rest = copy;
    if (copy == NULL)
        return REFUSE("%s", OUT_OF_MEMORY);
    bool good = true, simulated = false;
    while (good && rest != NULL)
        good = add_place(spec, plan, strsep(&rest, ","), places, why, why_size);
    free(copy);
    for (size_t i = 0; i < places->count; i++)
        simulated |= places->place[i].machine->simulated;
    if (good && plan->override_count > 0 && !simulated)
        return REFUSE("--set " SHOWN ": sets a value of a simulated machine, and there is none: "
                      "add --machine sim:PROFILE",
                      plan->overrides[0]);
    return good;
}

bool spec_cells(const struct spec *spec, struct plan *plan, char *why, size_t why_size) {
    struct items workloads = {NULL, 0}, engines = {NULL, 0};
    struct places places = {NULL, 0};
    struct plan cells = {.cells = NULL};
    bool good = parse_places(spec, plan, &places, why, why_size) &&
                parse_items(&engine_kind, spec->engines, &engines, why, why_size) &&
                parse_items(&workload_kind, spec->workloads, &workloads, why, why_size);
    if (good && !multiply_all(&workloads, &engines, &places, spec->threads != NULL, &cells)) {
        good = REFUSE("%s", OUT_OF_MEMORY);
        plan_free(&cells);
    }
    if (good) {
        plan->cells = cells.cells;
        plan->count = cells.count;
    }
    for (size_t i = 0; good && i < plan->count; i++)
        if (plan->cells[i].machine->simulated) {
            plan->cells[i].overrides = (const char *const *)plan->overrides;
            plan->cells[i].override_count = plan->override_count;
        }
    items_free(&workloads);
    items_free(&engines);
    places_free(&places);
    return good;
}
