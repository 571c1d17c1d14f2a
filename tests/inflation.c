/*
 * inflation.c - runs one cell on one thread for a fixed number of operations, for
 * scripts/inflation.
 *
 *     inflation native|sim:PROFILE ENGINE WORKLOAD OPERATIONS
 *     inflation list
 *
 * The first form prints the instructions that the simulator counted, setup and verification
 * included (0 on the native machine: there valgrind counts from outside), the second one line
 * "ENGINE WORKLOAD" for every cell that the simulated machine has.  Engines that have variants
 * appear with their default build; parameters and options have their defaults.
 *
 * Exit status: 0 verified, 1 not, 2 wrong usage.
 */
#include "cell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMS_MAX = 32 };

static int list(void) {
    for (const struct tm_cell *const *c = cells_all(); *c != NULL; c++)
        if (strcmp((*c)->machine, "sim") == 0 && (*c)->engine->variant == NULL &&
            !(*c)->engine->unsafe)
            printf("%s %s\n", (*c)->engine->name, (*c)->workload->name);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list();
    if (argc != 5) {
        fprintf(stderr, "inflation: usage: inflation native|sim:PROFILE ENGINE WORKLOAD "
                        "OPERATIONS, or inflation list\n");
        return 2;
    }
    const bool simulated = strncmp(argv[1], "sim:", 4) == 0;
    const struct machine *machine = machine_find(simulated ? "sim" : argv[1]);
    const struct tm_cell *cell =
        machine != NULL ? cell_find(argv[3], argv[2], NULL, machine->name) : NULL;
    char *end;
    const uint64_t operations = strtoull(argv[4], &end, 10);
    if (cell == NULL || operations == 0 || *end != '\0') {
        fprintf(stderr,
                "inflation: there is no cell %s/%s on %s, or '%s' is not a number of operations\n",
                argv[3], argv[2], argv[1], argv[4]);
        return 2;
    }
    static union tm_value args[PARAMS_MAX], options[PARAMS_MAX];
    params_default(cell->workload->params, args);
    params_default(cell->engine->options, options);
    const struct cell_request request = {.cell = cell,
                                         .machine = machine,
                                         .args = args,
                                         .options = options,
                                         .profile = simulated ? argv[1] + 4 : NULL,
                                         .threads = 1,
                                         .seed = 1,
                                         .ops_per_thread = operations};
    static struct cell_sample sample;
    if (!cell_measure(&request, &sample)) {
        fprintf(stderr, "inflation: %s/%s on %s: %s\n", argv[3], argv[2], argv[1], sample.why);
        return EXIT_FAILURE;
    }
    printf("%" PRIu64 "\n", sample.instructions);
    return EXIT_SUCCESS;
}
