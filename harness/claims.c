/*
 * claims.c - the subcommand `claims`.  See claims.h.
 *
 * Experiments go through `run` with --resume, each into a file of its own in the folder, so an
 * interrupted run goes on where it was, and claims that share an experiment share its results.
 */
#include "claims.h"

#include "cli.h"
#include "load.h"
#include "outfile.h"
#include "run.h"
#include "runner.h"
#include "stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUICK, OUT, OPTIONS };
enum {
    CLAIMS_MAX = 64,
    WHY_SIZE = EXPERIMENT_WHY_SIZE,
    QUICK_REPETITIONS = STATS_SAMPLES_MIN /* the fewest that have an interval */
};

static const struct cli_option options[] = {
    [QUICK] = {"quick", NULL,
               "fewer and shorter samples: within 10 minutes on two processors;\n"
               "intervals are wider, so more verdicts are inconclusive"},
    [OUT] = {"out", "DIR",
             "folder for claims.json, claims.md, index.html, the figures, and the\n"
             "results of each experiment and exploration; made when it is missing.\n"
             "Results that are there already are kept, and what is missing is added;\n"
             "default: results/local/claims, with -quick and -ID as they are given"},
    [OPTIONS] = {NULL, NULL, NULL},
};

static const struct cli_command command = {
    .name = "claims",
    .usage = "claims [ID...] [--quick] [--out DIR]",
    .about =
        "Puts a number on each claim of the talk: runs the experiments that belong to it, on this\n"
        "computer or on a simulated one, and applies a rule that was written before: reproduced,\n"
        "partly, not reproduced, inconclusive (an interval straddles the rule), pending (a\n"
        "capability is missing) or not testable (on this machine).  Without ID: all of them\n"
        "(`allcores list claims`).\n",
    .options = options,
    .more =
        "examples:\n"
        "  allcores claims --quick --out claims\n"
        "  allcores claims gil-flat\n"
        "\n"
        "exit status: 0 judged, whatever the verdicts are; 1 an experiment failed, or an engine\n"
        "other than nosync gave a wrong result; 2 wrong usage, or a folder that cannot be written\n"
        "(one line on stderr).\n",
    .operands_max = CLAIMS_MAX,
};

void claims_value_text(const struct claim_value *v, char *text, size_t size) {
    if (!v->present)
        snprintf(text, size, "-");
    else if (v->guessed)
        snprintf(text, size, "%.3g (one sample)", v->value);
    else if (v->low == v->high)
        snprintf(text, size, v->value >= 1000 ? "%.0f" : "%.3g", v->value);
    else
        snprintf(text, size, "%.3g [%.3g, %.3g]", v->value, v->low, v->high);
}

const char *claims_pending_text(const struct judged_claim *claim) {
    return claim->claim.pending != NULL && claim->verdict != CLAIM_PENDING ? " (a part is pending)"
                                                                           : "";
}

/* ---- experiments ------------------------------------------------------------------------------
 */

/* Runs an experiment into DIR/NAME.json; what is there already is not run again. */
static int run_experiment(const char *name, const char *folder, bool quick) {
    struct experiment experiment;
    char why[WHY_SIZE], shortest[32], repetitions[16];
    if (!experiment_load(name, &experiment, why, sizeof why))
        return cli_error(command.name, "%s", why);
    snprintf(shortest, sizeof shortest, "%g", experiment.quick_min_time_s);
    snprintf(repetitions, sizeof repetitions, "%u",
             experiment.quick_repetitions > 0 ? experiment.quick_repetitions : QUICK_REPETITIONS);
    const bool shorter = quick && experiment.quick_min_time_s > 0;
    experiment_free(&experiment);
    char *out = NULL;
    if (asprintf(&out, "%s/%s.json", folder, name) < 0)
        return cli_error(command.name, "out of memory");
    const char *words[RUN_WORDS_MAX] = {"run", "--experiment", name, "--quiet", "--out",
                                        out,   "--resume"};
    int count = 7;
    if (quick) {
        words[count++] = "--repetitions";
        words[count++] = repetitions;
    }
    if (shorter) {
        words[count++] = "--min-time";
        words[count++] = shortest;
    }
    const int status = run_words(command.name, words, count);
    free(out);
    return status;
}

/* ---- the results of one experiment --------------------------------------------------------------
 */

struct results {
    const char *name;
    const struct claim_exploration *exploration; /* NULL: an experiment */
    json_t *explored;                            /* its summary, or NULL */
    char *path;                                  /* which the load borrows */
    struct load load;
    bool loaded;
    bool is_chart;
};

static bool load_results(struct results *r, const char *folder) {
    if (asprintf(&r->path, "%s/%s.json", folder, r->name) < 0)
        return cli_error(command.name, "out of memory"), false;
    const char *const paths[] = {r->path};
    r->loaded = access(r->path, R_OK) == 0 && load_files(&r->load, paths, 1);
    bool ok = r->loaded;
    if (ok && r->is_chart) {
        struct experiment experiment;
        char why[WHY_SIZE];
        ok = experiment_load(r->name, &experiment, why, sizeof why) &&
             claims_chart(&experiment, &r->load, 0, folder, r->name);
        experiment_free(&experiment);
    }
    return ok;
}

static struct results *find_results(struct results *list, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

struct work {
    struct judged_claim *claims; /* [count] */
    size_t count;
    struct results *results; /* [results_count], one for each experiment */
    size_t results_count;
};

static bool choose_claims(const char *const *ids, struct work *w) {
    char why[WHY_SIZE];
    if (ids[0] == NULL)
        ids = claim_ids();
    for (; ids[w->count] != NULL; w->count++)
        ;
    w->claims = calloc(w->count + 1, sizeof *w->claims);
    w->results =
        calloc(w->count * (CLAIM_EXPERIMENTS_MAX + CLAIM_EXPLORATIONS_MAX) + 1, sizeof *w->results);
    if (w->claims == NULL || w->results == NULL)
        return cli_error(command.name, "out of memory"), false;
    for (size_t i = 0; i < w->count; i++) {
        for (size_t k = 0; k < i; k++)
            if (strcmp(ids[k], ids[i]) == 0)
                return cli_error(command.name, "claim %.60s is named twice", ids[i]), false;
        struct claim *c = &w->claims[i].claim;
        if (!claim_load(ids[i], c, why, sizeof why))
            return cli_error(command.name, "%s", why), false;
        for (unsigned e = 0; e < c->experiments_count; e++)
            if (find_results(w->results, w->results_count, c->experiments[e]) == NULL)
                w->results[w->results_count++].name = c->experiments[e];
        for (size_t r = 0; r < w->results_count; r++)
            for (unsigned e = 0; e < c->charts_count; e++)
                w->results[r].is_chart |= strcmp(w->results[r].name, c->charts[e]) == 0;
        for (unsigned e = 0; e < c->explorations; e++)
            if (find_results(w->results, w->results_count, c->exploration[e].name) == NULL)
                w->results[w->results_count++] = (struct results){
                    .name = c->exploration[e].name, .exploration = &c->exploration[e]};
    }
    return true;
}

/* Runs what is missing.  EXIT_DONE, EXIT_FAILED (a result failed, the others are there), or a
 * status to stop with. */
static int run_all(const struct work *w, const char *folder, bool quick) {
    int worst = EXIT_DONE;
    for (size_t i = 0; i < w->results_count; i++) {
        fprintf(stderr, "allcores claims: experiment %zu of %zu: %s\n", i + 1, w->results_count,
                w->results[i].name);
        struct results *r = &w->results[i];
        const int status = r->exploration == NULL
                               ? run_experiment(r->name, folder, quick)
                               : claims_explore(r->exploration, folder, quick, &r->explored);
        if (status != EXIT_DONE && status != EXIT_FAILED)
            return status;
        if (status == EXIT_FAILED)
            worst = EXIT_FAILED;
    }
    return worst;
}

/* Of a claim's own experiments, under its own name. */
static bool draw_runs(const struct work *w, const struct claim *c, const char *folder) {
    const struct load *loads[CLAIM_EXPERIMENTS_MAX + CLAIM_EXPLORATIONS_MAX];
    const json_t *explored[CLAIM_EXPERIMENTS_MAX + CLAIM_EXPLORATIONS_MAX];
    size_t n = 0;
    for (unsigned e = 0; e < c->experiments_count + c->explorations; e++, n++) {
        const char *name = e < c->experiments_count ? c->experiments[e]
                                                    : c->exploration[e - c->experiments_count].name;
        const struct results *r = find_results(w->results, w->results_count, name);
        loads[n] = r != NULL && r->loaded ? &r->load : NULL;
        explored[n] = r != NULL ? r->explored : NULL;
    }
    return claims_runs(c->statement, loads, explored, n, folder, c->id);
}

/* False: a figure could not be drawn. */
static bool judge_all(struct work *w, const char *folder) {
    bool ok = true;
    for (size_t i = 0; i < w->count; i++) {
        struct judged_claim *j = &w->claims[i];
        for (unsigned q = 0; q < j->claim.quantities; q++) {
            const struct claim_quantity *quantity = &j->claim.quantity[q];
            const struct results *r =
                find_results(w->results, w->results_count, quantity->experiment);
            if (quantity->explored)
                claim_measure_explored(quantity, r == NULL ? NULL : r->explored, &j->values[q]);
            else if (r != NULL && r->loaded)
                claim_measure(quantity, &r->load, &j->values[q]);
            else
                snprintf(j->values[q].why, sizeof j->values[q].why,
                         "experiment %s has no results: nothing of it could run",
                         quantity->experiment);
        }
        j->verdict = claim_judge(&j->claim, j->values);
        if (j->claim.figure != NULL && strcmp(j->claim.figure, CLAIM_FIGURE_RUNS) == 0) {
            const bool drawn = draw_runs(w, &j->claim, folder);
            j->figure = drawn ? j->claim.id : NULL;
            ok = ok && drawn;
            continue;
        }
        const struct results *r = j->claim.figure != NULL
                                      ? find_results(w->results, w->results_count, j->claim.figure)
                                      : NULL;
        j->figure = r != NULL && r->loaded ? j->claim.figure : NULL;
    }
    return ok;
}

static void print_summary(const struct work *w, const char *folder) {
    for (size_t i = 0; i < w->count; i++) {
        const struct judged_claim *j = &w->claims[i];
        printf("%-22s%s%s\n", j->claim.id, claim_verdict_names[j->verdict], claims_pending_text(j));
        for (unsigned q = 0; q < j->claim.quantities; q++) {
            char text[96];
            const struct claim_value *v = &j->values[q];
            claims_value_text(v, text, sizeof text);
            printf("    %-58s %s; %s\n", j->claim.quantity[q].name, text,
                   v->present ? v->machine : v->why);
        }
        if (j->claim.pending != NULL)
            printf("    pending: %s\n", j->claim.pending);
        if (j->claim.changed != NULL)
            printf("    rules that were changed: %s\n", j->claim.changed);
    }
    printf("%s/index.html, %s/claims.md, %s/claims.json\n", folder, folder, folder);
}

static int run_claims(const char *const *ids, const char *folder, bool quick) {
    struct work w = {.count = 0};
    int status = EXIT_BAD_INPUT;
    if (!choose_claims(ids, &w))
        goto done;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        cli_error(command.name, "--out %s: %s; must be a folder that can be written", folder,
                  strerror(errno));
        goto done;
    }
    status = run_all(&w, folder, quick);
    if (status != EXIT_DONE && status != EXIT_FAILED)
        goto done;
    const json_t *context = NULL;
    for (size_t i = 0; i < w.results_count; i++) {
        if (w.results[i].exploration == NULL && !load_results(&w.results[i], folder) &&
            status == EXIT_DONE)
            status = EXIT_FAILED;
        if (w.results[i].loaded && context == NULL)
            context = w.results[i].load.files[0].context;
    }
    if (!judge_all(&w, folder) && status == EXIT_DONE)
        status = EXIT_FAILED;
    if (!claims_write(w.claims, w.count, context, quick, folder))
        status = EXIT_BAD_INPUT;
    else
        print_summary(&w, folder);
done:
    for (size_t i = 0; i < w.results_count; i++) {
        load_free(&w.results[i].load);
        json_decref(w.results[i].explored);
        free(w.results[i].path);
    }
    for (size_t i = 0; w.claims != NULL && i < w.count; i++)
        claim_free(&w.claims[i].claim);
    free(w.results);
    free(w.claims);
    return status;
}

/* results/local/claims-quick-ID-ID, for example; the caller frees.  NULL: out of memory. */
static char *default_folder(const char *const *ids, bool quick) {
    char *folder = NULL;
    if (asprintf(&folder, OUTFILE_FOLDER "/claims%s", quick ? "-quick" : "") < 0)
        return NULL;
    for (unsigned i = 0; ids[i] != NULL; i++) {
        char *longer = NULL;
        const int length = asprintf(&longer, "%s-%.60s", folder, ids[i]);
        free(folder);
        if (length < 0)
            return NULL;
        folder = longer;
    }
    for (char *slash = strchr(folder, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(folder, 0777); /* what cannot be made is told about the last one */
        *slash = '/';
    }
    return folder;
}

int claims_main(int argc, char **argv) {
    const char *values[OPTIONS], *ids[CLAIMS_MAX + 1] = {NULL};
    int status;
    if (!cli_parse(&command, argc, argv, values, ids, &status))
        return status;
    if (values[OUT] != NULL && values[OUT][0] == '\0')
        return cli_error(command.name, "--out is empty: a folder for what is found");
    if (values[OUT] != NULL)
        return run_claims(ids, values[OUT], values[QUICK] != NULL);
    char *folder = default_folder(ids, values[QUICK] != NULL);
    if (folder == NULL)
        return cli_error(command.name, "out of memory");
    status = run_claims(ids, folder, values[QUICK] != NULL);
    free(folder);
    return status;
}
