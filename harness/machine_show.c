/*
 * machine_show.c - `machine show`: a profile with its units and sources, as a table or as the file
 * it is.
 *
 * The table is printed from the text that --json prints, so that both always say the same, and that
 * text is a profile file: `machine show P --set ... --json > mine.json` makes one to go on from.
 */
#include "machine_command.h"

#include "cli.h"
#include "runner.h"

#include "../machine/sim/profile.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SET, JSON, OPTIONS, SETS_MAX = 64, WHY_SIZE = 1024 };

static const struct cli_option options[] = {
    [SET] = {"set", "KEY=VALUE",
             "a value instead of the profile's; may be given several times.  Sizes take\n"
             "K and M, latencies ns instead of cycles, times us and ms instead of ns",
             .repeatable = true},
    [JSON] = {"json", NULL, "a profile file (JSON) instead of the table, --set applied"},
    [OPTIONS] = {NULL, NULL, NULL, false},
};

static const struct cli_command command = {
    .name = "machine show",
    .usage = "machine show PROFILE [--set KEY=VALUE]... [--json]",
    .about =
        "Prints the profile of a simulated machine: each key with its value, unit and source.\n"
        "PROFILE is a name (`allcores list profiles`) or the path of a .json file.\n",
    .options = options,
    .more =
        "A cache size that is set without its ways, and would not give a power of two of sets,\n"
        "keeps the sets and changes the ways.  From 1 to 1024 hardware threads:\n"
        "sockets x groups_per_socket x cores_per_group x smt.\n"
        "\n"
        "examples:\n"
        "  allcores machine show i7-4770\n"
        "  allcores machine show i7-4770 --set l1.size=48K --set ipc=2.5 --set lead=0\n"
        "  allcores machine show epyc-7003 --set sockets=2 --json > two-sockets.json\n"
        "\n"
        "exit status: 0 done; 2 wrong usage or bad input (one line on stderr).\n",
    .operands_max = 1,
};

/* "l1.size" is "size" in "l1".  Borrowed. */
static const json_t *at(const json_t *root, const char *key) {
    const char *dot = strchr(key, '.');
    char outer[16];
    if (dot == NULL)
        return json_object_get(root, key);
    snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
    return json_object_get(json_object_get(root, outer), dot + 1);
}

static const char *value_text(const json_t *value, char text[64]) {
    if (json_is_string(value))
        snprintf(text, 64, "%s", json_string_value(value));
    else if (json_is_boolean(value))
        snprintf(text, 64, "%s", json_is_true(value) ? "true" : "false");
    else
        snprintf(text, 64, "%.15g", json_number_value(value));
    return text;
}

static void print_row(const json_t *object, const struct sim_profile_key *key,
                      const struct sim_profile *profile) {
    char value[64], unit[64];
    const char *given = json_string_value(json_object_get(object, "unit"));
    value_text(json_object_get(object, "value"), value);
    snprintf(unit, sizeof unit, "%s", given);
    /* Given in time, held in cycles. */
    if (strncmp(key->units, "cycles", 6) == 0 && strcmp(given, "cycles") != 0)
        snprintf(unit, sizeof unit, "%s = %.15g cycles", given, sim_profile_value(profile, key));
    printf("%-18s %-10s %-18s %s\n", key->key, value, unit,
           json_string_value(json_object_get(object, "source")));
}

static void print_sets(const char *name, const struct sim_cache_profile *c, unsigned line_bytes) {
    printf("%s %llu", name, (unsigned long long)(c->size_bytes / c->ways / line_bytes));
}

static void print_table(const json_t *root, const struct sim_profile *p) {
    size_t count;
    const struct sim_profile_key *keys = sim_profile_keys(&count);
    printf("%s: %s\n", p->name, p->title);
    if (p->hypothetical)
        printf("hypothetical machine: no such machine was ever sold\n");
    printf("%u hardware threads; sets: ", sim_profile_threads(p));
    print_sets("l1", &p->l1, p->line_bytes);
    print_sets(", l2", &p->l2, p->line_bytes);
    print_sets(", l3", &p->l3, p->line_bytes);
    printf("\n\n%-18s %-10s %-18s %s\n", "key", "value", "unit", "source");
    for (size_t k = 0; k < count; k++)
        print_row(at(root, keys[k].key), &keys[k], p);
}

int machine_show_main(int argc, char **argv) {
    const char *values[OPTIONS], *name = NULL, *overrides[SETS_MAX];
    char why[WHY_SIZE];
    struct sim_profile profile;
    int status;
    if (!cli_parse(&command, argc, argv, values, &name, &status))
        return status;
    if (name == NULL)
        return cli_error(command.name, "no profile given; `allcores list profiles` lists them");
    const unsigned sets = cli_repeated(&command, argc, argv, &options[SET], overrides, SETS_MAX);
    if (sets > SETS_MAX)
        return cli_error(command.name, "--set is given %u times, at most %d are possible", sets,
                         SETS_MAX);
    char *text = sim_profile_resolve(name, overrides, sets, why, sizeof why);
    if (text == NULL)
        return cli_error(command.name, "%s", why);
    if (values[JSON] != NULL) {
        printf("%s\n", text);
        free(text);
        return EXIT_DONE;
    }
    json_t *root = json_loads(text, 0, NULL);
    free(text);
    if (root == NULL || !sim_profile_load(name, overrides, sets, &profile, why, sizeof why)) {
        json_decref(root);
        return cli_error(command.name, "out of memory"), EXIT_FAILED;
    }
    print_table(root, &profile);
    json_decref(root);
    return EXIT_DONE;
}
