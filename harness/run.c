/*
 * run.c - the subcommand `run`.  Everything the user can get wrong is refused here, before the
 * first measurement and before a file is written.
 */
#include "run.h"

#include "cli.h"
#include "experiment.h"
#include "outfile.h"
#include "runner.h"
#include "spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN_REPETITIONS_DEFAULT 10
#define RUN_REPETITIONS_MAX 100000
#define RUN_MIN_TIME_DEFAULT_S 0.05
#define RUN_MIN_TIME_MIN_S 0.0001
#define RUN_MIN_TIME_MAX_S 3600.0
#define RUN_SIM_TIME_DEFAULT_S 0.0005
#define RUN_SIM_TIME_MIN_S 0.000001
#define RUN_SIM_TIME_MAX_S 10.0
#define RUN_JOBS_MAX 256
#define RUN_SEED_DEFAULT 1
#define RUN_SEED_MAX INT64_MAX /* the largest whole number of a results file */

#define STRING_(x) #x
#define STRING(x) STRING_(x)

enum {
    ENGINE,
    WORKLOAD,
    THREADS,
    MACHINE,
    SET,
    EXPERIMENT,
    JOBS,
    REPETITIONS,
    MIN_TIME,
    WARM_UP,
    SEED,
    OUT,
    RESUME,
    LATENCY,
    QUIET,
    OPTIONS
};

static const struct cli_option options[] = {
    [ENGINE] = {"engine", "E[:k=v]...[,...]",
                "engines to run, separated by commas, each with its options\n"
                "behind colons; default: every engine with its default options"},
    [WORKLOAD] = {"workload", "W[:k=v]...[,...]",
                  "workloads to run, written likewise; default: every workload\n"
                  "with its default parameters"},
    [THREADS] = {"threads", "1,2,4",
                 "thread counts: a list (1,2,4), a range (1-8), or both (1,4-6);\n"
                 "default: 1, 2, 4, ... up to the processors of this computer"},
    [MACHINE] = {"machine", "M[,...]",
                 "where to run: native, this computer (the default), or\n"
                 "sim:PROFILE, a simulated one (`allcores list machines`)"},
    [SET] = {"set", "KEY=VALUE",
             "changes a value of the simulated profiles (l1.size=48K); may be\n"
             "given several times",
             true},
    [EXPERIMENT] = {"experiment", "NAME",
                    "a prepared study (`allcores list experiments`) instead of engines,\n"
                    "workloads, threads and machine; its figure is drawn beside the\n"
                    "results file, as SVG and PNG"},
    [JOBS] = {"jobs", "N",
              "simulated samples at a time, 1 to " STRING(
                  RUN_JOBS_MAX) "; default: the processors\n"
                                "of this computer.  Changes no result"},
    [REPETITIONS] = {"repetitions", "N",
                     "samples of each cell, 1 to " STRING(RUN_REPETITIONS_MAX) "; default: " STRING(
                         RUN_REPETITIONS_DEFAULT) ".  Fewer\n"
                                                  "than 6 give no confidence interval.  Samples "
                                                  "of a simulated\ncell are seeds"},
    [MIN_TIME] =
        {
            "min-time", "S",
            "seconds that one sample measures, " STRING(
                RUN_MIN_TIME_MIN_S) " to 3600;\n"
                                    "default: " STRING(
                                        RUN_MIN_TIME_DEFAULT_S) ".  "
                                                                "Simulated: virtual time, "
                                                                "from\n" STRING(RUN_SIM_TIME_MIN_S) " to 10, default: " STRING(
                                                                    RUN_SIM_TIME_DEFAULT_S)},
    [WARM_UP] = {"warm-up", "S",
                 "seconds that threads run before a sample measures, up to 10 (virtual\n"
                 "ones of a simulated machine); default: 0, which is what caches need.\n"
                 "For engines that learn while they run"},
    [SEED] = {"seed", "N",
              "decides what operations the threads execute and in what order\n"
              "the samples are taken; default: " STRING(RUN_SEED_DEFAULT)},
    [OUT] = {"out", "FILE.json",
             "results file; default: " OUTFILE_FOLDER "/<UTC time>.json.  Its folder\n"
             "must exist; a file with samples in it is not overwritten"},
    [RESUME] = {"resume", NULL,
                "keep the samples that --out FILE.json has already and take only\n"
                "those that are missing; give the same options as before.  Without\n"
                "--out: the run in " OUTFILE_FOLDER " that was interrupted last"},
    [LATENCY] = {"latency", NULL,
                 "time single operations too, in a pass of its own (p50, p99 and\n"
                 "maximum in nanoseconds)"},
    [QUIET] = {"quiet", NULL, "no progress, problems only"},
    [OPTIONS] = {NULL, NULL, NULL},
};

static const char *const planned[] = {"conflicts", "strict", NULL};

static const struct cli_command command = {
    .name = "run",
    .usage = "run [options]",
    .about =
        "Measures every combination (cell) of the engines, workloads and thread counts and writes\n"
        "the results as JSON.  Each cell is a name in it: WORKLOAD[:k=v]/ENGINE[:k=v]/threads:N,\n"
        "with /sim:PROFILE behind it when it is simulated.\n"
        "Samples of all cells are interleaved at random; every sample is verified, and one that\n"
        "fails is reported and never becomes a number.  Finished samples are on disk at once:\n"
        "after an interruption, --resume takes what is missing.\n"
        "Simulated cells run in virtual time, several beside each other; equal program, profile,\n"
        "seed and arguments give equal results, and intervals say what other seeds would give.\n",
    .options = options,
    .more =
        "examples:\n"
        "  allcores run\n"
        "      everything with default parameters\n"
        "  allcores run --engine seq,gil --workload counter:mode=private --threads 1,2\n"
        "      two engines, one workload, what two threads gain\n"
        "  allcores run --engine gil:mode=section --repetitions 20 --out long.json\n"
        "      one engine with an option, 20 samples a cell; when it was interrupted:\n"
        "  allcores run --engine gil:mode=section --repetitions 20 --out long.json --resume\n"
        "\n"
        "  allcores run --machine sim:hypothetical-64 --engine seq,gil,norec --workload bank \\\n"
        "        --threads 1,16,64 --set l1.size=48K\n"
        "      simulated: 64 cores that do not exist, with other L1 caches\n"
        "  allcores run --experiment conflict-crossover --out crossover.json\n"
        "      a prepared study: crossover.json, crossover.svg, crossover.png, and what to see\n"
        "\n"
        "`allcores list` shows engines and workloads with their options and parameters.\n"
        "\n"
        "exit status: 0 all done and verified; 1 a sample failed its verification, or nothing\n"
        "could run; 2 wrong usage, or the results cannot be written (one line on stderr).\n",
    .planned = planned,
};

/* The numbers among the options.  False and `why` when one is not right.  The cells are there
 * already: an interval means another time on a simulated machine. */
static bool parse_numbers(const char **values, const struct experiment *experiment,
                          struct plan *plan, char *why, size_t why_size) {
    uint64_t repetitions =
        experiment->repetitions > 0 ? experiment->repetitions : RUN_REPETITIONS_DEFAULT;
    plan->seed = RUN_SEED_DEFAULT;
    plan->min_time_s = RUN_MIN_TIME_DEFAULT_S;
    if (values[REPETITIONS] != NULL &&
        !spec_whole(values[REPETITIONS], 1, RUN_REPETITIONS_MAX, &repetitions)) {
        snprintf(why, why_size, "--repetitions '%.60s': must be a whole number from 1 to %d",
                 values[REPETITIONS], RUN_REPETITIONS_MAX);
        return false;
    }
    plan->repetitions = (unsigned)repetitions;
    const bool simulates = plan_simulates(plan), measures = plan_measures(plan);
    const double shortest = measures ? RUN_MIN_TIME_MIN_S : RUN_SIM_TIME_MIN_S;
    const double longest = simulates ? RUN_SIM_TIME_MAX_S : RUN_MIN_TIME_MAX_S;
    plan->sim_time_s = RUN_SIM_TIME_DEFAULT_S;
    if (values[MIN_TIME] != NULL) {
        if (!spec_real(values[MIN_TIME], shortest, longest, &plan->min_time_s)) {
            snprintf(why, why_size,
                     "--min-time '%.60s': must be a number of seconds from %g to %g, such as %s",
                     values[MIN_TIME], shortest, longest, measures ? "0.05" : "0.0005");
            return false;
        }
        plan->sim_time_s = plan->min_time_s;
    } else if (experiment->min_time_s > 0) {
        plan->min_time_s = plan->sim_time_s = experiment->min_time_s;
    } else if (!measures) {
        plan->min_time_s = plan->sim_time_s;
    }
    plan->warmup_s = experiment->warmup_s;
    if (values[WARM_UP] != NULL &&
        !spec_real(values[WARM_UP], 0, PLAN_WARM_UP_MAX_S, &plan->warmup_s)) {
        snprintf(why, why_size,
                 "--warm-up '%.60s': must be a number of seconds from 0 to %g, such as 0.02",
                 values[WARM_UP], PLAN_WARM_UP_MAX_S);
        return false;
    }
    uint64_t jobs = spec_processors();
    if (values[JOBS] != NULL && !simulates) {
        snprintf(why, why_size,
                 "--jobs: is for simulated machines, samples of real ones are taken one at a time: "
                 "leave it out");
        return false;
    }
    if (values[JOBS] != NULL && !spec_whole(values[JOBS], 1, RUN_JOBS_MAX, &jobs)) {
        snprintf(why, why_size, "--jobs '%.60s': must be a whole number from 1 to %d", values[JOBS],
                 RUN_JOBS_MAX);
        return false;
    }
    plan->jobs = !simulates ? 0 : jobs < RUN_JOBS_MAX ? (unsigned)jobs : RUN_JOBS_MAX;
    if (values[SEED] != NULL && !spec_whole(values[SEED], 0, RUN_SEED_MAX, &plan->seed)) {
        snprintf(why, why_size, "--seed '%.60s': must be a whole number from 0 to %" PRId64,
                 values[SEED], RUN_SEED_MAX);
        return false;
    }
    return true;
}

/* The command line as it was, the program's name included, into the plan. */
static bool keep_command_line(int argc, char **argv, struct plan *plan) {
    plan->argv = calloc((size_t)argc + 2, sizeof *plan->argv);
    if (plan->argv == NULL)
        return false;
    for (int i = -1; i < argc; i++) {
        plan->argv[plan->argc] = strdup(i < 0 ? "allcores" : argv[i]);
        if (plan->argv[plan->argc] == NULL)
            return false;
        plan->argc++;
    }
    return true;
}

/* The values of --set into the plan; what they mean is for the machine to say. */
static bool keep_overrides(int argc, char **argv, struct plan *plan, char *why, size_t why_size) {
    const char *list[PLAN_OVERRIDES_MAX];
    const unsigned n = cli_repeated(&command, argc, argv, &options[SET], list, PLAN_OVERRIDES_MAX);
    if (n > PLAN_OVERRIDES_MAX) {
        snprintf(why, why_size, "--set is given %u times: at most %d values can be set", n,
                 PLAN_OVERRIDES_MAX);
        return false;
    }
    plan->overrides = calloc(PLAN_OVERRIDES_MAX, sizeof *plan->overrides);
    for (unsigned i = 0; plan->overrides != NULL && i < n; i++) {
        const char *equals = strchr(list[i], '=');
        if (equals == NULL || equals == list[i] || equals[1] == '\0') {
            snprintf(why, why_size, "--set '%.60s': write KEY=VALUE, such as l1.size=48K", list[i]);
            return false;
        }
        plan->overrides[i] = strdup(list[i]);
        if (plan->overrides[i] == NULL)
            break;
        plan->override_count++;
    }
    if (plan->override_count == n)
        return true;
    snprintf(why, why_size, "out of memory");
    return false;
}

/* The experiment that was asked for, and its own values of the profile before those of --set. */
static bool choose_experiment(const char **values, struct plan *plan, struct experiment *experiment,
                              char *why, size_t why_size) {
    static const unsigned others[] = {ENGINE, WORKLOAD, THREADS, MACHINE};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (values[others[i]] != NULL) {
            snprintf(why, why_size,
                     "--experiment %.60s says itself what runs where: leave --%s out",
                     values[EXPERIMENT], options[others[i]].name);
            return false;
        }
    if (!experiment_load(values[EXPERIMENT], experiment, why, why_size))
        return false;
    if (!experiment_overrides(experiment, plan, why, why_size))
        return false;
    plan->experiment = json_incref(experiment->json);
    return experiment_cells(experiment, plan, why, why_size);
}

static bool choose_cells(const char **values, struct plan *plan, struct experiment *experiment,
                         char *why, size_t why_size) {
    if (values[EXPERIMENT] != NULL)
        return choose_experiment(values, plan, experiment, why, why_size);
    const struct spec spec = {
        .engines = values[ENGINE],
        .workloads = values[WORKLOAD],
        .threads = values[THREADS],
        .machine = values[MACHINE],
    };
    return spec_cells(&spec, plan, why, why_size);
}

static bool make_plan(int argc, char **argv, const char **values, struct plan *plan,
                      struct experiment *experiment, char *why, size_t why_size) {
    plan->resume = values[RESUME] != NULL;
    plan->quiet = values[QUIET] != NULL;
    plan->latency = values[LATENCY] != NULL;
    if (!keep_overrides(argc, argv, plan, why, why_size) ||
        !choose_cells(values, plan, experiment, why, why_size) ||
        !parse_numbers(values, experiment, plan, why, why_size))
        return false;
    if (!keep_command_line(argc, argv, plan)) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    /* Last: nothing is created for a command line that is refused. */
    plan->out = outfile_choose(values[OUT], plan->resume, why, why_size);
    return plan->out != NULL;
}

/* DIR and STEM of DIR/STEM.json. */
static bool split_path(const char *path, char **folder, char **stem) {
    const char *slash = strrchr(path, '/');
    const char *file = slash != NULL ? slash + 1 : path;
    const size_t n = strlen(file);
    const bool json = n > 5 && strcmp(file + n - 5, ".json") == 0;
    *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + (slash == path));
    *stem = strndup(file, json ? n - 5 : n);
    return *folder != NULL && *stem != NULL;
}

/* The figure of an experiment beside its results, and what one should see.  Returns a status. */
static int show_experiment(const struct experiment *experiment, const struct plan *plan) {
    const char *const paths[] = {plan->out};
    char *folder = NULL, *stem = NULL;
    struct load load = {0};
    bool ok = split_path(plan->out, &folder, &stem);
    if (!ok)
        cli_error(command.name, "out of memory");
    ok = ok && load_files(&load, paths, 1) && experiment_draw(experiment, &load, 0, folder, stem);
    if (ok && !plan->quiet) {
        puts(experiment->question);
        if (experiment->panels > 0)
            printf("%s/%s.svg, %s/%s.png\n", folder, stem, folder, stem);
        puts(experiment->expect);
    }
    load_free(&load);
    free(folder);
    free(stem);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

/* Is there anything to draw?  A run that was interrupted has no results yet. */
static bool has_results(const struct plan *plan, int status) {
    bool runs = false;
    for (size_t i = 0; i < plan->count; i++)
        runs |= plan->cells[i].unavailable == NULL;
    return runs && (status == EXIT_DONE || status == EXIT_FAILED);
}

int run_main(int argc, char **argv) {
    const char *values[OPTIONS];
    char why[EXPERIMENT_WHY_SIZE];
    int status;
    if (!cli_parse(&command, argc, argv, values, NULL, &status))
        return status;
    struct plan plan = {.cells = NULL};
    struct experiment experiment = {.json = NULL};
    if (!make_plan(argc, argv, values, &plan, &experiment, why, sizeof why)) {
        plan_free(&plan);
        experiment_free(&experiment);
        return cli_error(command.name, "%s", why);
    }
    status = runner_run(&plan);
    if (experiment.json != NULL && has_results(&plan, status)) {
        const int shown = show_experiment(&experiment, &plan);
        status = status == EXIT_DONE ? shown : status;
    }
    plan_free(&plan);
    experiment_free(&experiment);
    return status;
}

int run_words(const char *where, const char *const *words, int count) {
    char *copies[RUN_WORDS_MAX + 1] = {NULL};
    int status = EXIT_DONE;
    for (int i = 0; i < count; i++)
        if ((copies[i] = strdup(words[i])) == NULL)
            status = cli_error(where, "out of memory");
    if (status == EXIT_DONE)
        status = run_main(count, copies);
    for (int i = 0; i < count; i++)
        free(copies[i]);
    return status;
}
