/*
 * cli.h - options and help of the subcommands, from one table each: what is parsed, what the help
 * says and what a mistyped option is compared with cannot drift apart.
 *
 * Syntax: `--name VALUE`, `--name=VALUE`, `--flag`, `-h`; `--` ends the options; operands may stand
 * between options.  Options are not abbreviated (a later version could make an abbreviation mean
 * something else), and only repeated where the table says so (the first value would be lost without
 * a word).
 */
#ifndef ALLCORES_CLI_H
#define ALLCORES_CLI_H

#include <stdbool.h>

enum { CLI_OPTIONS_MAX = 32 };

struct cli_option {
    const char *name;     /* without the dashes; NULL ends a table */
    const char *argument; /* what the value is called in the help, "N"; NULL: a flag */
    const char *help;     /* units and default included; lines separated by \n */
    bool repeatable;      /* cli_repeated has all its values */
};

struct cli_command {
    const char *name;                 /* "run" */
    const char *usage;                /* what follows "usage: allcores " */
    const char *about;                /* before the options, complete lines */
    const struct cli_option *options; /* without --help, which every command has */
    const char *more;                 /* behind the options: examples, exit statuses */
    const char *const *planned;       /* options of later versions, ended by NULL; may be NULL */
    unsigned operands_max;
};

/*
 * Parses argv[1..argc-1].  values[] is parallel to the command's options: NULL when not given, the
 * value (a flag: "") when given; operands[] gets at most operands_max strings and the rest is not
 * touched.  All strings are argv's.  True: go on.  False: *status is what the program should exit
 * with, and the help (on stdout) or one line (on stderr) has been printed.
 */
bool cli_parse(const struct cli_command *command, int argc, char **argv, const char **values,
               const char **operands, int *status);

/*
 * All values of a repeatable option, in order, of arguments that cli_parse has accepted.  Fills at
 * most `max` of list[] and returns how many there are.
 */
unsigned cli_repeated(const struct cli_command *command, int argc, char **argv,
                      const struct cli_option *option, const char **list, unsigned max);

/* Prints a command's help on stdout. */
void cli_help(const struct cli_command *command);

/*
 * Prints "allcores WHERE: message" (WHERE may be NULL: "allcores: message") as exactly one line on
 * stderr, whatever bytes the message contains: control characters become '?'.  Returns
 * EXIT_BAD_INPUT.
 */
int cli_error(const char *where, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
