/*
 * cli.c - the option parser, the help printer and the error line.  See cli.h.
 */
#include "cli.h"

#include "runner.h"
#include "suggest.h"

#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Of what the user typed, at most this many bytes are repeated in a message. */
#define SHOWN "%.60s"

int cli_error(const char *where, const char *format, ...) {
    char line[PATH_MAX + 1024]; /* a message may have a whole path in it */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (char *c = line; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    fprintf(stderr, "allcores%s%s: %s\n", where != NULL ? " " : "", where != NULL ? where : "",
            line);
    return EXIT_BAD_INPUT;
}

static void print_indented(const char *text, int first_indent, int indent) {
    for (const char *line = text; line != NULL;) {
        const char *end = strchr(line, '\n');
        const int length = end != NULL ? (int)(end - line) : (int)strlen(line);
        printf("%*s%.*s\n", first_indent, "", length, line);
        first_indent = indent;
        line = end != NULL ? end + 1 : NULL;
    }
}

void cli_help(const struct cli_command *command) {
    enum { COLUMN = 24 };
    printf("usage: allcores %s\n\n%s\n", command->usage, command->about);
    printf("options:\n");
    for (const struct cli_option *o = command->options; o->name != NULL; o++) {
        const int used = printf("  --%s%s%s", o->name, o->argument != NULL ? " " : "",
                                o->argument != NULL ? o->argument : "");
        if (used >= COLUMN)
            printf("\n");
        print_indented(o->help, used >= COLUMN ? COLUMN : COLUMN - used, COLUMN);
    }
    printf("  %-*s%s\n", COLUMN - 2, "--help", "this text");
    if (command->more != NULL)
        printf("\n%s", command->more);
}

static int unknown_option(const struct cli_command *command, const char *name) {
    for (const char *const *p = command->planned; p != NULL && *p != NULL; p++)
        if (strcmp(name, *p) == 0)
            return cli_error(command->name, "--%s is not built yet: leave it out", name);
    const char *names[CLI_OPTIONS_MAX + 2];
    unsigned n = 0;
    for (const struct cli_option *o = command->options; o->name != NULL; o++)
        names[n++] = o->name;
    names[n++] = "help";
    names[n] = NULL;
    const char *nearest = suggest_nearest(name, names);
    if (nearest != NULL)
        return cli_error(command->name, "unknown option --" SHOWN "; did you mean --%s?", name,
                         nearest);
    return cli_error(command->name, "unknown option --" SHOWN "; `allcores %s --help` lists them",
                     name, command->name);
}

/* The option `--name` or `--name=value`; values[] gets its value.  *i is the index of the last
 * argument that was used. */
static int parse_option(const struct cli_command *command, int argc, char **argv, int *i,
                        const char **values) {
    const char *text = argv[*i] + 2;
    const char *equals = strchr(text, '=');
    const size_t length = equals != NULL ? (size_t)(equals - text) : strlen(text);
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name), text);
    unsigned o = 0;
    while (command->options[o].name != NULL && strcmp(command->options[o].name, name) != 0)
        o++;
    const struct cli_option *option = &command->options[o];
    if (option->name == NULL)
        return unknown_option(command, name);
    if (values[o] != NULL && !option->repeatable)
        return cli_error(command->name, "--%s is given twice: give it once%s", name,
                         option->argument != NULL && strstr(option->argument, ",...") != NULL
                             ? ", its values separated by commas"
                             : "");
    if (option->argument == NULL) {
        if (equals != NULL)
            return cli_error(command->name, "--%s takes no value: write just --%s", name, name);
        values[o] = "";
        return EXIT_DONE;
    }
    if (equals != NULL) {
        values[o] = equals + 1;
        return EXIT_DONE;
    }
    if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
        return cli_error(command->name, "--%s has no value: write --%s %s", name, name,
                         option->argument);
    values[o] = argv[++*i];
    return EXIT_DONE;
}

bool cli_parse(const struct cli_command *command, int argc, char **argv, const char **values,
               const char **operands, int *status) {
    unsigned operand_count = 0;
    bool options_ended = false;
    for (unsigned o = 0; command->options[o].name != NULL; o++)
        values[o] = NULL;
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];
        if (!options_ended && strcmp(text, "--") == 0) {
            options_ended = true;
        } else if (!options_ended && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
            cli_help(command);
            *status = EXIT_DONE;
            return false;
        } else if (!options_ended && strncmp(text, "--", 2) == 0) {
            *status = parse_option(command, argc, argv, &i, values);
            if (*status != EXIT_DONE)
                return false;
        } else if (!options_ended && text[0] == '-' && text[1] != '\0') {
            *status =
                cli_error(command->name,
                          "unknown option " SHOWN "; options are written out, as --help", text);
            return false;
        } else if (operand_count == command->operands_max) {
            *status =
                cli_error(command->name, "unexpected argument '" SHOWN "'; usage: allcores %s",
                          text, command->usage);
            return false;
        } else {
            operands[operand_count++] = text;
        }
    }
    return true;
}

unsigned cli_repeated(const struct cli_command *command, int argc, char **argv,
                      const struct cli_option *option, const char **list, unsigned max) {
    const ptrdiff_t index = option - command->options;
    unsigned n = 0;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *values[CLI_OPTIONS_MAX] = {NULL};
        if (strncmp(argv[i], "--", 2) != 0)
            continue;
        (void)parse_option(command, argc, argv, &i, values);
        if (values[index] != NULL && n++ < max)
            list[n - 1] = values[index];
    }
    return n;
}
