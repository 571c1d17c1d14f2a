/*
 * list.c - engines, workloads and machines with their options and where they can run; profiles of
 * simulated machines; experiments; claims.
 *
 * JSON is built first and the table is printed from it, so that both always say the same.
 */
#include "list.h"

#include "claim.h"
#include "cli.h"
#include "runner.h"
#include "spec.h"
#include "suggest.h"

#include "../machine/sim/profile.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON, OPTIONS };

static const struct cli_option options[] = {
    [JSON] = {"json", NULL, "one JSON object instead of the table, with one list for each part"},
    [OPTIONS] = {NULL, NULL, NULL},
};

static const struct cli_command command = {
    .name = "list",
    .usage = "list [engines|workloads|machines|profiles|experiments|claims] [--json]",
    .about = "Shows what this program can run: engines with their options, workloads with their\n"
             "parameters (both are given behind the name: counter:mode=private), machines, why\n"
             "something is not available here, profiles of simulated machines (`allcores machine\n"
             "show PROFILE` prints one), experiments: prepared studies for `run --experiment "
             "NAME`,\n"
             "and the claims of the talk that `allcores claims` judges.\n"
             "Without an argument: all of these.\n",
    .options = options,
    .more =
        "examples:\n"
        "  allcores list\n"
        "  allcores list workloads\n"
        "  allcores list engines --json | jq -r '.engines[].name'\n"
        "\n"
        "JSON: {\"engines\": [{\"name\", \"help\", \"stands_for\",\n"
        "  \"available\": {MACHINE: true or the reason why not; sim:PROFILE likewise where "
        "profiles\n"
        "  differ},\n"
        "  \"options\": [{\"name\", \"help\", \"type\", \"default\", \"min\", \"max\" or "
        "\"choices\"}]}]};\n"
        "workloads likewise; machines have \"available\", \"htm\" (true or the reason why not),\n"
        "\"max_threads\" and \"simulated\"; simulated ones have \"profiles\": run takes "
        "sim:PROFILE.\n"
        "profiles have \"name\", \"title\", \"threads\" (hardware threads), \"hypothetical\" "
        "and \"htm\".\n"
        "experiments have \"name\", \"title\", \"question\", \"expect\" (what one should see), "
        "\"machine\",\n"
        "\"cells\" (how many) and \"available\" (true or the reason why it cannot run).\n"
        "claims have \"name\", \"statement\", \"source\", \"published\", "
        "\"experiments\",\n"
        "\"explorations\" (names) and \"pending\" (the capability that is missing, or null).\n"
        "\n"
        "exit status: 0 done; 2 wrong usage (one line on stderr).\n",
    .operands_max = 1,
};

/* ---- JSON ---------------------------------------------------------------------------------- */

/* Takes over `value`; false when it is NULL or memory is out. */
static bool put(json_t *object, const char *key, json_t *value) {
    return json_object_set_new(object, key, value) == 0;
}

/* A text that a descriptor may have left out. */
static json_t *text_json(const char *text) { return json_string(text != NULL ? text : ""); }

static json_t *true_or_reason(const char *reason) {
    return reason == NULL ? json_true() : json_string(reason);
}

static json_t *choices_json(const char *choices) {
    json_t *list = json_array();
    for (const char *c = choices; list != NULL && c != NULL;) {
        const size_t n = strcspn(c, "|");
        if (json_array_append_new(list, json_stringn(c, n)) != 0) {
            json_decref(list);
            return NULL;
        }
        c = c[n] == '|' ? c + n + 1 : NULL;
    }
    return list;
}

static bool put_param(json_t *object, const struct tm_param *param) {
    union tm_value def[1];
    const struct tm_param alone[] = {*param, {NULL, NULL, TM_INT, NULL, 0, 0, NULL}};
    params_default(alone, def);
    if (!put(object, "name", text_json(param->name)) ||
        !put(object, "help", text_json(param->help)))
        return false;
    switch (param->type) {
    case TM_INT:
        return put(object, "type", json_string("int")) &&
               put(object, "default", json_integer(def[0].i)) &&
               put(object, "min", json_integer((json_int_t)param->min)) &&
               put(object, "max",
                   param->max >= 0x1p63 ? json_integer(INT64_MAX)
                                        : json_integer((json_int_t)param->max));
    case TM_REAL:
        return put(object, "type", json_string("real")) &&
               put(object, "default", json_real(def[0].r)) &&
               put(object, "min", json_real(param->min)) &&
               put(object, "max", json_real(param->max));
    case TM_CHOICE:
        return put(object, "type", json_string("choice")) &&
               put(object, "default", json_string(param->def)) &&
               put(object, "choices", choices_json(param->choices));
    }
    return false;
}

/* Appends an object to `list` and returns it, borrowed; NULL when memory is out. */
static json_t *append_object(json_t *list) {
    json_t *object = json_object();
    return json_array_append_new(list, object) == 0 ? object : NULL;
}

static bool put_params(json_t *object, const struct tm_param *params) {
    json_t *list = json_array();
    if (!put(object, "options", list))
        return false;
    for (; params != NULL && params->name != NULL; params++) {
        json_t *param = append_object(list);
        if (param == NULL || !put_param(param, params))
            return false;
    }
    return true;
}

/* Of an engine that needs hardware transactions, each profile of a simulated machine by itself. */
static bool put_profile_availability(json_t *available, const struct tm_engine *engine,
                                     const struct machine *machine) {
    if (!machine->simulated || !engine->transactional_hardware)
        return true;
    for (const char *const *p = machine->profiles(); *p != NULL; p++) {
        struct machine_description description;
        char why[SPEC_WHY_SIZE], place[SPEC_WHY_SIZE];
        snprintf(place, sizeof place, "%s:%s", machine->name, *p);
        if (!machine->describe(*p, NULL, 0, &description, why, sizeof why) ||
            !put(available, place,
                 true_or_reason(
                     spec_unavailable(engine, machine, spec_htm_unavailable(&description)))))
            return false;
    }
    return true;
}

static bool put_engines(json_t *list) {
    const char *names[SPEC_NAMES_MAX + 1];
    spec_engine_names(names);
    for (const char **n = names; *n != NULL; n++) {
        const struct tm_engine *engine = engine_variant(*n, NULL);
        json_t *object = append_object(list), *available = json_object();
        if (object == NULL || !put(object, "name", text_json(engine->name)) ||
            !put(object, "help", text_json(engine->help)) ||
            !put(object, "stands_for", text_json(engine->stands_for)) ||
            !put(object, "available", available))
            return false;
        for (const struct machine *const *m = machines_all(); *m != NULL; m++)
            if (!put(available, (*m)->name,
                     true_or_reason(spec_unavailable(engine, *m, (*m)->htm_unavailable()))) ||
                !put_profile_availability(available, engine, *m))
                return false;
        if (!put_params(object, engine->options))
            return false;
    }
    return true;
}

static bool put_workloads(json_t *list) {
    const char *names[SPEC_NAMES_MAX + 1];
    spec_workload_names(names);
    for (const char **n = names; *n != NULL; n++) {
        const struct tm_workload *workload = spec_workload(*n);
        json_t *object = append_object(list);
        if (object == NULL || !put(object, "name", text_json(workload->name)) ||
            !put(object, "help", text_json(workload->help)) ||
            !put_params(object, workload->params))
            return false;
    }
    return true;
}

/* Of a simulated machine: the names that stand behind "sim:". */
static bool put_profiles(json_t *object, const struct machine *machine) {
    if (!put(object, "simulated", json_boolean(machine->simulated)))
        return false;
    json_t *list = machine->simulated ? json_array() : NULL;
    if (!machine->simulated)
        return true;
    if (!put(object, "profiles", list))
        return false;
    for (const char *const *p = machine->profiles(); *p != NULL; p++)
        if (json_array_append_new(list, json_string(*p)) != 0)
            return false;
    return true;
}

static bool put_machines(json_t *list) {
    for (const struct machine *const *m = machines_all(); *m != NULL; m++) {
        json_t *object = append_object(list);
        if (object == NULL || !put(object, "name", text_json((*m)->name)) ||
            !put(object, "help", text_json((*m)->help)) ||
            !put(object, "available", true_or_reason((*m)->unavailable())) ||
            !put(object, "htm", true_or_reason((*m)->htm_unavailable())) ||
            !put(object, "max_threads", json_integer((*m)->max_threads())) ||
            !put_profiles(object, *m))
            return false;
    }
    return true;
}

static bool put_profiles_of_machines(json_t *list) {
    for (const char *const *n = sim_profile_names(); *n != NULL; n++) {
        struct sim_profile profile;
        char why[SPEC_WHY_SIZE];
        struct machine_description description = {.htm_unavailable = ""};
        const struct machine *machine = machine_find("sim");
        json_t *object = append_object(list);
        if (machine != NULL)
            (void)machine->describe(*n, NULL, 0, &description, why, sizeof why);
        /* They are compiled in, and a test loads each of them. */
        if (object == NULL || !sim_profile_load(*n, NULL, 0, &profile, why, sizeof why) ||
            !put(object, "name", json_string(profile.name)) ||
            !put(object, "title", json_string(profile.title)) ||
            !put(object, "threads", json_integer(sim_profile_threads(&profile))) ||
            !put(object, "hypothetical", json_boolean(profile.hypothetical)) ||
            !put(object, "htm",
                 true_or_reason(machine == NULL ? "no simulated machine is built"
                                : description.htm_unavailable[0] != '\0'
                                    ? description.htm_unavailable
                                    : NULL)))
            return false;
    }
    return true;
}

/* Whether it can run shows when its cells are made. */
static bool put_experiment(json_t *object, const char *name) {
    struct experiment experiment;
    struct plan plan = {.cells = NULL};
    char why[EXPERIMENT_WHY_SIZE];
    /* They are compiled in, and a test loads each of them. */
    if (!experiment_load(name, &experiment, why, sizeof why))
        return false;
    plan.overrides = calloc(PLAN_OVERRIDES_MAX, sizeof *plan.overrides);
    bool ok = plan.overrides != NULL && experiment_overrides(&experiment, &plan, why, sizeof why);
    const bool runs = ok && experiment_cells(&experiment, &plan, why, sizeof why);
    ok = ok && put(object, "name", json_string(experiment.name)) &&
         put(object, "title", json_string(experiment.title)) &&
         put(object, "question", json_string(experiment.question)) &&
         put(object, "expect", json_string(experiment.expect)) &&
         put(object, "machine", json_string(experiment.machine)) &&
         put(object, "cells", json_integer(runs ? (json_int_t)plan.count : 0)) &&
         put(object, "available", true_or_reason(runs ? NULL : why));
    plan_free(&plan);
    experiment_free(&experiment);
    return ok;
}

static bool put_experiments(json_t *list) {
    for (const char *const *n = experiment_names(); *n != NULL; n++) {
        json_t *object = append_object(list);
        if (object == NULL || !put_experiment(object, *n))
            return false;
    }
    return true;
}

static json_t *explorations_of(const struct claim *claim) {
    json_t *names = json_array();
    for (unsigned i = 0; i < claim->explorations; i++)
        json_array_append_new(names, json_string(claim->exploration[i].name));
    return names;
}

static bool put_claims(json_t *list) {
    for (const char *const *id = claim_ids(); *id != NULL; id++) {
        struct claim claim;
        char why[EXPERIMENT_WHY_SIZE];
        json_t *object = append_object(list);
        if (object == NULL || !claim_load(*id, &claim, why, sizeof why))
            return false;
        const bool ok =
            put(object, "name", json_string(claim.id)) &&
            put(object, "statement", json_string(claim.statement)) &&
            put(object, "source", json_string(claim.source)) &&
            put(object, "published", json_string(claim.published)) &&
            put(object, "experiments", json_incref(json_object_get(claim.json, "experiments"))) &&
            put(object, "explorations", explorations_of(&claim)) &&
            put(object, "pending",
                claim.pending != NULL ? json_string(claim.pending) : json_null());
        claim_free(&claim);
        if (!ok)
            return false;
    }
    return true;
}

/* ---- the table ----------------------------------------------------------------------------- */

static const char *string_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

/* "available" or "not available: reason", for a value made by true_or_reason. */
static void print_availability(const char *what, const json_t *value) {
    if (json_is_true(value))
        printf("      %s: available\n", what);
    else
        printf("      %s: not available: %s\n", what, json_string_value(value));
}

static void print_param(const json_t *param) {
    const char *type = string_of(param, "type");
    const json_t *def = json_object_get(param, "default");
    printf("      :%s=", string_of(param, "name"));
    if (strcmp(type, "choice") == 0) {
        const json_t *choices = json_object_get(param, "choices");
        for (size_t i = 0; i < json_array_size(choices); i++)
            printf("%s%s", i > 0 ? "|" : "", json_string_value(json_array_get(choices, i)));
        printf("  (default %s)", json_string_value(def));
    } else if (strcmp(type, "int") == 0) {
        printf("N  (%" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT
               ", default %" JSON_INTEGER_FORMAT ")",
               json_integer_value(json_object_get(param, "min")),
               json_integer_value(json_object_get(param, "max")), json_integer_value(def));
    } else {
        printf("X  (%g to %g, default %g)", json_real_value(json_object_get(param, "min")),
               json_real_value(json_object_get(param, "max")), json_real_value(def));
    }
    printf("\n          %s\n", string_of(param, "help"));
}

static void print_profile(const json_t *entry) {
    printf("  %s\n      %s\n      %" JSON_INTEGER_FORMAT " hardware threads%s\n",
           string_of(entry, "name"), string_of(entry, "title"),
           json_integer_value(json_object_get(entry, "threads")),
           json_is_true(json_object_get(entry, "hypothetical")) ? ", hypothetical machine" : "");
    print_availability("hardware transactions", json_object_get(entry, "htm"));
}

static void print_experiment(const json_t *entry) {
    const json_t *available = json_object_get(entry, "available");
    printf("  %s\n      %s\n      shows: %s\n", string_of(entry, "name"),
           string_of(entry, "question"), string_of(entry, "expect"));
    if (json_is_true(available))
        printf("      %" JSON_INTEGER_FORMAT " cells on %s\n",
               json_integer_value(json_object_get(entry, "cells")), string_of(entry, "machine"));
    else
        printf("      on %s; cannot run: %s\n", string_of(entry, "machine"),
               json_string_value(available));
}

static void print_entry(json_t *entry) {
    if (string_of(entry, "published") != NULL) {
        printf("  %s\n      %s\n      published: %s\n", string_of(entry, "name"),
               string_of(entry, "statement"), string_of(entry, "published"));
        if (string_of(entry, "pending") != NULL)
            printf("      pending: %s\n", string_of(entry, "pending"));
        return;
    }
    if (string_of(entry, "question") != NULL) {
        print_experiment(entry);
        return;
    }
    if (string_of(entry, "title") != NULL) {
        print_profile(entry);
        return;
    }
    printf("  %s\n      %s\n", string_of(entry, "name"), string_of(entry, "help"));
    if (string_of(entry, "stands_for") != NULL)
        printf("      stands for: %s\n", string_of(entry, "stands_for"));
    json_t *available = json_object_get(entry, "available");
    if (json_is_object(available)) {
        for (void *i = json_object_iter(available); i != NULL;
             i = json_object_iter_next(available, i))
            print_availability(json_object_iter_key(i), json_object_iter_value(i));
    } else if (available != NULL) { /* a machine */
        print_availability("threads", available);
        if (json_object_get(entry, "profiles") == NULL)
            print_availability("hardware transactions", json_object_get(entry, "htm"));
        else
            printf("      hardware transactions: as the profile says (list profiles)\n");
        printf("      at most %" JSON_INTEGER_FORMAT " threads\n",
               json_integer_value(json_object_get(entry, "max_threads")));
        const json_t *profiles = json_object_get(entry, "profiles");
        for (size_t i = 0; i < json_array_size(profiles); i++)
            printf("      %s:%s\n", string_of(entry, "name"),
                   json_string_value(json_array_get(profiles, i)));
    }
    const json_t *options_list = json_object_get(entry, "options");
    for (size_t i = 0; i < json_array_size(options_list); i++)
        print_param(json_array_get(options_list, i));
}

/* ---- the subcommand ------------------------------------------------------------------------ */

static const struct part {
    const char *name;
    bool (*put)(json_t *list);
} parts[] = {{"engines", put_engines},         {"workloads", put_workloads},
             {"machines", put_machines},       {"profiles", put_profiles_of_machines},
             {"experiments", put_experiments}, {"claims", put_claims}};
enum { PARTS = sizeof parts / sizeof *parts };

static int unknown_part(const char *name) {
    const char *names[PARTS + 1];
    char phrase[SPEC_WHY_SIZE];
    for (unsigned i = 0; i < PARTS; i++)
        names[i] = parts[i].name;
    names[PARTS] = NULL;
    return cli_error(command.name, "there is no list of '%.60s'; %s", name,
                     suggest_phrase(name, names, phrase, sizeof phrase));
}

/* All parts (only == NULL) or one; NULL when memory is out.  The caller owns the object. */
static json_t *make_json(const char *only) {
    json_t *all = json_object();
    for (unsigned i = 0; i < PARTS && all != NULL; i++) {
        if (only != NULL && strcmp(parts[i].name, only) != 0)
            continue;
        json_t *list = json_array();
        if (!put(all, parts[i].name, list) || !parts[i].put(list)) {
            json_decref(all);
            all = NULL;
        }
    }
    return all;
}

static void print_table(const json_t *all) {
    const char *separator = "";
    for (unsigned i = 0; i < PARTS; i++) {
        const json_t *list = json_object_get(all, parts[i].name);
        if (list == NULL)
            continue;
        printf("%s%s\n", separator, parts[i].name);
        for (size_t j = 0; j < json_array_size(list); j++)
            print_entry(json_array_get(list, j));
        separator = "\n";
    }
}

int list_main(int argc, char **argv) {
    const char *values[OPTIONS], *only = NULL;
    int status;
    if (!cli_parse(&command, argc, argv, values, &only, &status))
        return status;
    bool known = only == NULL;
    for (unsigned i = 0; i < PARTS && !known; i++)
        known = strcmp(only, parts[i].name) == 0;
    if (!known)
        return unknown_part(only);
    json_t *all = make_json(only);
    if (all == NULL) {
        cli_error(command.name, "out of memory");
        return EXIT_FAILED;
    }
    if (values[JSON] != NULL) {
        json_dumpf(all, stdout, JSON_INDENT(2)); /* main looks whether stdout could be written */
        printf("\n");
    } else {
        print_table(all);
    }
    json_decref(all);
    return EXIT_DONE;
}
