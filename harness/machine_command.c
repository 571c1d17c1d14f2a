/*
 * machine_command.c - the subcommand `machine`: which actions there are.  Each has a file of its
 * own (machine_show.c, ...) and a line in the table.
 */
#include "machine_command.h"

#include "cli.h"
#include "runner.h"
#include "suggest.h"

#include <stdio.h>
#include <string.h>

static const struct action {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} actions[] = {
    {"show", "print a profile: each value with its unit and source", machine_show_main},
    {"probe", "measure this computer and write a profile of it", machine_probe_main},
    {"validate", "compare what is predicted with what is measured here", machine_validate_main},
};
enum { ACTIONS = sizeof actions / sizeof *actions };

static int help(void) {
    printf("usage: allcores machine ACTION [options]\n"
           "\n"
           "Profiles of simulated machines: topology, caches, latencies, operating system.\n"
           "\n"
           "actions:\n");
    for (const struct action *a = actions; a < actions + ACTIONS; a++)
        printf("  %-10s%s\n", a->name, a->summary);
    printf("\n"
           "`allcores machine ACTION --help` explains each of them.\n"
           "\n"
           "exit status: 0 done; 2 wrong usage or bad input (one line on stderr).\n");
    return EXIT_DONE;
}

int machine_main(int argc, char **argv) {
    const char *names[ACTIONS + 1];
    char phrase[256];
    if (argc < 2 || argv[1][0] == '\0')
        return cli_error("machine", "no action given; `allcores machine --help` lists them");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help();
    for (unsigned a = 0; a < ACTIONS; a++) {
        names[a] = actions[a].name;
        if (strcmp(argv[1], actions[a].name) == 0)
            return actions[a].run(argc - 1, argv + 1);
    }
    names[ACTIONS] = NULL;
    return cli_error("machine", "unknown action '%.60s'; %s", argv[1],
                     suggest_phrase(argv[1], names, phrase, sizeof phrase));
}
