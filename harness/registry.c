/*
 * registry.c - what was linked: walks the sections in which plug-ins registered.  See cell.h.
 */
#include "cell.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct tm_cell *const __start_tm_cells[], *const __stop_tm_cells[];
extern const struct tm_engine *const __start_tm_engines[], *const __stop_tm_engines[];
extern const struct machine *const __start_tm_machines[], *const __stop_tm_machines[];

enum { REGISTRY_MAX = 4096 };

static int compare_cells(const void *a, const void *b) {
    const struct tm_cell *x = *(const struct tm_cell *const *)a;
    const struct tm_cell *y = *(const struct tm_cell *const *)b;
    int c = strcmp(x->workload->name, y->workload->name);
    if (c == 0)
        c = strcmp(x->engine->name, y->engine->name);
    if (c == 0)
        c = strcmp(x->engine->variant ? x->engine->variant : "",
                   y->engine->variant ? y->engine->variant : "");
    return c != 0 ? c : strcmp(x->machine, y->machine);
}

static int compare_engines(const void *a, const void *b) {
    const struct tm_engine *x = *(const struct tm_engine *const *)a;
    const struct tm_engine *y = *(const struct tm_engine *const *)b;
    const int c = strcmp(x->name, y->name);
    return c != 0 ? c : strcmp(x->variant ? x->variant : "", y->variant ? y->variant : "");
}

/* Copies a section into `sorted` (room for REGISTRY_MAX + 1, zero-initialised) on the first call.
 */
#define SORTED(sorted, start, stop, compare)                                                       \
    do {                                                                                           \
        if ((sorted)[0] == NULL) {                                                                 \
            size_t n_ = (size_t)((stop) - (start));                                                \
            if (n_ > REGISTRY_MAX)                                                                 \
                abort();                                                                           \
            memcpy((void *)(sorted), (const void *)(start), n_ * sizeof *(sorted));                \
            qsort((void *)(sorted), n_, sizeof *(sorted), compare);                                \
        }                                                                                          \
    } while (0)

const struct tm_cell *const *cells_all(void) {
    static const struct tm_cell *sorted[REGISTRY_MAX + 1];
    SORTED(sorted, __start_tm_cells, __stop_tm_cells, compare_cells);
    return sorted;
}

const struct tm_engine *const *engines_all(void) {
    static const struct tm_engine *sorted[REGISTRY_MAX + 1];
    SORTED(sorted, __start_tm_engines, __stop_tm_engines, compare_engines);
    return sorted;
}

const struct machine *const *machines_all(void) {
    static const struct machine *all[REGISTRY_MAX + 1];
    if (all[0] == NULL)
        memcpy((void *)all, (const void *)__start_tm_machines,
               (size_t)(__stop_tm_machines - __start_tm_machines) * sizeof *all);
    return all;
}

static bool same(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

const struct tm_cell *cell_find(const char *workload, const char *engine, const char *variant,
                                const char *machine) {
    for (const struct tm_cell *const *c = cells_all(); *c != NULL; c++)
        if (same((*c)->workload->name, workload) && same((*c)->engine->name, engine) &&
            same((*c)->engine->variant, variant) && same((*c)->machine, machine))
            return *c;
    return NULL;
}

const struct machine *machine_find(const char *name) {
    for (const struct machine *const *m = __start_tm_machines; m < __stop_tm_machines; m++)
        if (same((*m)->name, name))
            return *m;
    return NULL;
}

/* Does "option=choice" hold for these values? */
static bool selects(const struct tm_engine *engine, const union tm_value *options) {
    for (unsigned i = 0; engine->options != NULL && engine->options[i].name != NULL; i++) {
        const struct tm_param *p = &engine->options[i];
        const size_t name_length = strlen(p->name);
        if (p->type != TM_CHOICE || strncmp(engine->variant, p->name, name_length) != 0 ||
            engine->variant[name_length] != '=')
            continue;
        union tm_value wanted;
        char why[CELL_WHY_SIZE];
        return param_parse(p, engine->variant + name_length + 1, &wanted, why, sizeof why) &&
               wanted.choice == options[i].choice;
    }
    return false;
}

const struct tm_engine *engine_variant(const char *engine, const union tm_value *options) {
    const struct tm_engine *found = NULL;
    for (const struct tm_engine *const *e = engines_all(); *e != NULL; e++) {
        if (!same((*e)->name, engine))
            continue;
        if ((*e)->variant == NULL) {
            if (found == NULL)
                found = *e;
        } else if (options != NULL && selects(*e, options)) {
            found = *e;
        }
    }
    return found;
}

unsigned params_default(const struct tm_param *params, union tm_value *values) {
    unsigned n = 0;
    for (; params != NULL && params[n].name != NULL; n++) {
        char why[CELL_WHY_SIZE];
        if (!param_parse(&params[n], params[n].def, &values[n], why, sizeof why)) {
            fprintf(stderr, "allcores: default of parameter %s: %s\n", params[n].name, why);
            abort(); /* only a programmer can get that wrong */
        }
    }
    return n;
}

static bool parse_choice(const struct tm_param *param, const char *text, union tm_value *value) {
    const size_t length = strlen(text);
    unsigned index = 0;
    for (const char *c = param->choices; length > 0 && c != NULL; index++) {
        const char *bar = strchr(c, '|');
        const size_t n = bar != NULL ? (size_t)(bar - c) : strlen(c);
        if (n == length && strncmp(c, text, n) == 0) {
            value->choice = index;
            return true;
        }
        c = bar != NULL ? bar + 1 : NULL;
    }
    return false;
}

bool param_parse(const struct tm_param *param, const char *text, union tm_value *value, char *why,
                 size_t why_size) {
    char *end = NULL;
    errno = 0;
    switch (param->type) {
    case TM_CHOICE:
        if (parse_choice(param, text, value))
            return true;
        snprintf(why, why_size, "%s=%s: must be one of %s", param->name, text, param->choices);
        return false;
    case TM_INT: {
        const long long i = strtoll(text, &end, 10);
        if (text[0] != '\0' && *end == '\0' && errno == 0 && (double)i >= param->min &&
            (double)i <= param->max) {
            value->i = i;
            return true;
        }
        snprintf(why, why_size, "%s=%s: must be a whole number from %.0f to %.0f", param->name,
                 text, param->min, param->max);
        return false;
    }
    case TM_REAL: {
        const double r = strtod(text, &end);
        if (text[0] != '\0' && *end == '\0' && errno == 0 && isfinite(r) && r >= param->min &&
            r <= param->max) {
            value->r = r;
            return true;
        }
        snprintf(why, why_size, "%s=%s: must be a number from %g to %g", param->name, text,
                 param->min, param->max);
        return false;
    }
    }
    return false;
}
