/*
 * main.c - the program `allcores`: which subcommands there are, and the only place that ends the
 * process with a status.
 */
#include "buildinfo.h"
#include "check.h"
#include "claims.h"
#include "cli.h"
#include "list.h"
#include "machine_command.h"
#include "report.h"
#include "run.h"
#include "runner.h"
#include "suggest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct subcommand {
    const char *name;
    const char *summary; /* NULL: not for users */
    int (*run)(int argc, char **argv);
} subcommands[] = {
    {"list", "show engines, workloads, machines, profiles and experiments", list_main},
    {"run", "measure engines on workloads and write a results file", run_main},
    {"machine", "show profiles of simulated machines", machine_main},
    {"report", "draw plots and tables from results files", report_main},
    {"claims", "judge the claims of the talk by their experiments", claims_main},
    {"check", "explore schedules: is every execution of every engine correct?", check_main},
    {"worker", NULL, worker_main}, /* a child process of `run` */
};
enum { SUBCOMMANDS = sizeof subcommands / sizeof *subcommands };

/* Of later versions. */
static const char *const planned[] = {"compare", "conflicts", NULL};

static int help(void) {
    printf("usage: allcores SUBCOMMAND [options]\n"
           "\n"
           "Measures what it costs, and what it buys, to run a program's atomic sections under a\n"
           "global interpreter lock or under transactional memory.\n"
           "\n"
           "subcommands:\n");
    for (const struct subcommand *s = subcommands; s < subcommands + SUBCOMMANDS; s++)
        if (s->summary != NULL)
            printf("  %-10s%s\n", s->name, s->summary);
    printf(
        "\n"
        "`allcores SUBCOMMAND --help` explains each of them; `allcores --version` says what this\n"
        "program was built from.\n"
        "\n"
        "a first try:\n"
        "  allcores list\n"
        "  allcores run --workload counter --repetitions 3 --out first.json\n"
        "\n"
        "exit status: 0 done and verified; 1 a result or a check failed; 2 wrong usage or bad\n"
        "input (one line on stderr says what, where, and what would be right).\n");
    return EXIT_DONE;
}

static int version(void) {
    printf("allcores %s%s\ncompiler: %s\nflags: %s\n", buildinfo.git_revision,
           buildinfo.git_dirty ? "+dirty" : "", buildinfo.compiler, buildinfo.flags);
    if (buildinfo.sanitizers[0] != '\0')
        printf("sanitizers: %s\n", buildinfo.sanitizers);
    return EXIT_DONE;
}

static int unknown(const char *word) {
    const char *names[SUBCOMMANDS + 1], *const flags[] = {"--help", "--version", NULL};
    char phrase[256];
    unsigned n = 0;
    for (const char *const *p = planned; *p != NULL; p++)
        if (strcmp(word, *p) == 0)
            return cli_error(NULL, "%s is not built yet; `allcores --help` lists what is", word);
    for (const struct subcommand *s = subcommands; s < subcommands + SUBCOMMANDS; s++)
        if (s->summary != NULL)
            names[n++] = s->name;
    names[n] = NULL;
    if (word[0] == '-')
        return cli_error(NULL, "unknown option %.60s; %s", word,
                         suggest_phrase(word, flags, phrase, sizeof phrase));
    return cli_error(NULL, "unknown subcommand '%.60s'; %s", word,
                     suggest_phrase(word, names, phrase, sizeof phrase));
}

static int dispatch(int argc, char **argv) {
    if (argc < 2 || argv[1][0] == '\0')
        return cli_error(NULL, "no subcommand given; `allcores --help` lists them");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help();
    if (strcmp(argv[1], "--version") == 0)
        return version();
    for (const struct subcommand *s = subcommands; s < subcommands + SUBCOMMANDS; s++)
        if (strcmp(argv[1], s->name) == 0)
            return s->run(argc - 1, argv + 1);
    return unknown(argv[1]);
}

int main(int argc, char **argv) {
    /* Large enough that help and lists are written by the flush below, which can tell why not. */
    static char buffer[1 << 16];
    if (isatty(STDOUT_FILENO) == 0)
        (void)setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    const int status = dispatch(argc, argv);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        const int error = cli_error(NULL, "standard output cannot be written: %s",
                                    errno != 0 ? strerror(errno) : "an earlier write failed");
        return status == EXIT_DONE ? error : status;
    }
    return status;
}
