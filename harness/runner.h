/*
 * runner.h - carries out a plan: child processes, journal, results file.
 */
#ifndef ALLCORES_RUNNER_H
#define ALLCORES_RUNNER_H

#include "plan.h"

/* Exit statuses of the program; harness functions return them, only main exits. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,     /* a result or check failed */
    EXIT_BAD_INPUT = 2,  /* wrong usage, bad input, output that cannot be written */
    EXIT_REGRESSION = 3, /* compare found a significant one */
    EXIT_REFUSED = 5     /* the environment was refused by --strict */
};

/* Measures every cell of the plan that can run and writes plan->out.  Returns an exit status, or
 * 128 + the signal that interrupted it; problems have been told on stderr, one line each.  Finished
 * samples are in OUT.journal from the moment they are finished until the results file, which holds
 * them too, is on the disk.  Not thread-safe. */
int runner_run(const struct plan *plan);

/* Body of a child process that the runner starts by re-executing this program (hidden subcommand
 * "worker"); never called by users. */
int worker_main(int argc, char **argv);

#endif
