/*
 * run.c - the subcommand `run`.  Everything the user can get wrong is refused here, before the
 * first measurement and before a file is written.
 */
#include "run.h"

#include "cli.h"
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
#define RUN_SEED_DEFAULT 1
#define RUN_SEED_MAX INT64_MAX /* the largest whole number of a results file */

#define STRING_(x) #x
#define STRING(x) STRING_(x)

enum {
    ENGINE,
    WORKLOAD,
    THREADS,
    MACHINE,
    REPETITIONS,
    MIN_TIME,
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
    [MACHINE] = {"machine", "M", "where to run; default: native, this computer"},
    [REPETITIONS] = {"repetitions", "N",
                     "samples of each cell, 1 to " STRING(RUN_REPETITIONS_MAX) "; default: " STRING(
                         RUN_REPETITIONS_DEFAULT) ".  Fewer\n"
                                                  "than 6 give no confidence interval"},
    [MIN_TIME] = {"min-time", "S",
                  "seconds that one sample measures, " STRING(
                      RUN_MIN_TIME_MIN_S) " to 3600;\n"
                                          "default: " STRING(RUN_MIN_TIME_DEFAULT_S)},
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

static const char *const planned[] = {"conflicts", "strict", "set", "experiment", NULL};

static const struct cli_command command = {
    .name = "run",
    .usage = "run [options]",
    .about =
        "Measures every combination (cell) of the engines, workloads and thread counts and writes\n"
        "the results as JSON.  Each cell is a name in it: WORKLOAD[:k=v]/ENGINE[:k=v]/threads:N.\n"
        "Samples of all cells are interleaved at random; every sample is verified, and one that\n"
        "fails is reported and never becomes a number.  Finished samples are on disk at once:\n"
        "after an interruption, --resume takes what is missing.\n",
    .options = options,
    .more = "examples:\n"
            "  allcores run\n"
            "      everything with default parameters\n"
            "  allcores run --engine seq,gil --workload counter:mode=private --threads 1,2\n"
            "      two engines, one workload, what two threads gain\n"
            "  allcores run --engine gil:mode=section --repetitions 20 --out long.json\n"
            "      one engine with an option, 20 samples a cell; when it was interrupted:\n"
            "  allcores run --engine gil:mode=section --repetitions 20 --out long.json --resume\n"
            "\n"
            "`allcores list` shows engines and workloads with their options and parameters.\n"
            "\n"
            "exit status: 0 all done and verified; 1 a sample failed its verification, or nothing\n"
            "could run; 2 wrong usage, or the results cannot be written (one line on stderr).\n",
    .planned = planned,
};

/* The numbers among the options.  False and `why` when one is not right. */
static bool parse_numbers(const char **values, struct plan *plan, char *why, size_t why_size) {
    uint64_t repetitions = RUN_REPETITIONS_DEFAULT;
    plan->seed = RUN_SEED_DEFAULT;
    plan->min_time_s = RUN_MIN_TIME_DEFAULT_S;
    if (values[REPETITIONS] != NULL &&
        !spec_whole(values[REPETITIONS], 1, RUN_REPETITIONS_MAX, &repetitions)) {
        snprintf(why, why_size, "--repetitions '%.60s': must be a whole number from 1 to %d",
                 values[REPETITIONS], RUN_REPETITIONS_MAX);
        return false;
    }
    plan->repetitions = (unsigned)repetitions;
    if (values[MIN_TIME] != NULL &&
        !spec_real(values[MIN_TIME], RUN_MIN_TIME_MIN_S, RUN_MIN_TIME_MAX_S, &plan->min_time_s)) {
        snprintf(why, why_size,
                 "--min-time '%.60s': must be a number of seconds from %g to %g, such as 0.05",
                 values[MIN_TIME], RUN_MIN_TIME_MIN_S, RUN_MIN_TIME_MAX_S);
        return false;
    }
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

static bool make_plan(int argc, char **argv, const char **values, struct plan *plan, char *why,
                      size_t why_size) {
    const struct spec spec = {
        .engines = values[ENGINE],
        .workloads = values[WORKLOAD],
        .threads = values[THREADS],
        .machine = values[MACHINE],
    };
    plan->resume = values[RESUME] != NULL;
    plan->quiet = values[QUIET] != NULL;
    plan->latency = values[LATENCY] != NULL;
    if (!parse_numbers(values, plan, why, why_size) || !spec_cells(&spec, plan, why, why_size))
        return false;
    if (!keep_command_line(argc, argv, plan)) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    /* Last: nothing is created for a command line that is refused. */
    plan->out = outfile_choose(values[OUT], plan->resume, why, why_size);
    return plan->out != NULL;
}

int run_main(int argc, char **argv) {
    const char *values[OPTIONS];
    char why[SPEC_WHY_SIZE];
    int status;
    if (!cli_parse(&command, argc, argv, values, NULL, &status))
        return status;
    struct plan plan = {.cells = NULL};
    if (!make_plan(argc, argv, values, &plan, why, sizeof why)) {
        plan_free(&plan);
        return cli_error(command.name, "%s", why);
    }
    status = runner_run(&plan);
    plan_free(&plan);
    return status;
}
