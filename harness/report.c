/*
 * report.c - allcores report: results files in, a folder of pictures and tables out.
 *
 * Everything is made in a new folder inside the target and renamed into it at the end, so that a
 * report that fails on the way leaves what was there as it was.
 */
#include "report.h"

#include "cli.h"
#include "experiment.h"
#include "report_view.h"
#include "runner.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OUT, OPTIONS };

static const struct cli_option options[] = {
    [OUT] = {"out", "DIR",
             "folder for the report; made when it is missing, and files of the\n"
             "same names are replaced"},
    [OPTIONS] = {NULL, NULL, NULL},
};

static const struct cli_command command = {
    .name = "report",
    .usage = "report FILE.json... --out DIR",
    .about =
        "Draws results files that `allcores run` wrote: slowdown, speed-up over the GIL, scaling\n"
        "and aborts, as SVG and PNG; tables.md with the numbers; index.html, one page that needs\n"
        "nothing else, in which every number leads to its samples and to the command that\n"
        "measures it again.  Several files are merged; a cell may be in only one of them for each\n"
        "machine.  Beside each picture is the gnuplot script that drew it, with its data\n"
        "(NAME.gp).  Results of `allcores run --experiment` have its figure first.\n",
    .options = options,
    .more =
        "example:\n"
        "  allcores report results/local/latest.json --out report\n"
        "\n"
        "exit status: 0 all drawn; 2 wrong usage, a file that is not a whole results file, or a\n"
        "folder that cannot be written (one line on stderr).\n",
    .operands_max = UINT_MAX,
};

static char *join(const char *folder, const char *name) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) >= 0)
        return path;
    cli_error(command.name, "out of memory");
    return NULL;
}

FILE *report_open(const char *folder, const char *name) {
    char *path = join(folder, name);
    FILE *f = path != NULL ? fopen(path, "we") : NULL;
    if (path != NULL && f == NULL)
        cli_error(command.name, "%s cannot be written: %s", path, strerror(errno));
    free(path);
    return f;
}

bool report_close(FILE *file, const char *folder, const char *name) {
    errno = 0;
    bool ok = fflush(file) == 0 && !ferror(file) && fsync(fileno(file)) == 0;
    ok = fclose(file) == 0 && ok;
    if (!ok)
        cli_error(command.name, "%s/%s cannot be written: %s", folder, name,
                  errno != 0 ? strerror(errno) : "output error");
    return ok;
}

/* What to do with each file of a folder; returns false to stop. */
typedef bool file_action(const char *folder, const char *name, const char *target);

static bool for_each_file(const char *folder, file_action *action, const char *target) {
    DIR *dir = opendir(folder);
    bool ok = dir != NULL;
    const struct dirent *entry;
    while (ok && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = action(folder, entry->d_name, target);
    if (dir != NULL)
        closedir(dir);
    return ok;
}

static bool remove_file(const char *folder, const char *name, const char *target) {
    (void)target;
    char *path = join(folder, name);
    if (path != NULL)
        unlink(path);
    free(path);
    return path != NULL;
}

/* A folder of that name is in the way: told before anything is moved. */
static bool can_move(const char *folder, const char *name, const char *target) {
    (void)folder;
    struct stat status;
    char *path = join(target, name);
    const bool ok = path != NULL && (stat(path, &status) != 0 || !S_ISDIR(status.st_mode));
    if (path != NULL && !ok)
        cli_error(command.name, "%s is a folder, must be a file or absent", path);
    free(path);
    return ok;
}

static bool move_file(const char *folder, const char *name, const char *target) {
    char *from = join(folder, name), *to = join(target, name);
    const bool ok = from != NULL && to != NULL && rename(from, to) == 0;
    if (from != NULL && to != NULL && !ok)
        cli_error(command.name, "%s cannot be written: %s", to, strerror(errno));
    free(from);
    free(to);
    return ok;
}

/* Makes the folder and those above it, as mkdir -p does. */
static bool make_folder(const char *path) {
    char *copy = strdup(path);
    bool ok = copy != NULL;
    for (char *c = copy; ok && *c != '\0'; c++)
        if (*c == '/' && c != copy) {
            *c = '\0';
            ok = mkdir(copy, 0777) == 0 || errno == EEXIST || errno == EROFS || errno == EACCES;
            *c = '/';
        }
    struct stat status;
    if (ok)
        ok = mkdir(path, 0777) == 0 || errno == EEXIST;
    if (ok && (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))) {
        errno = ENOTDIR;
        ok = false;
    }
    if (!ok)
        cli_error(command.name, "--out %s: %s; must be a folder that can be written", path,
                  strerror(errno));
    free(copy);
    return ok;
}

/* The figures of the files that are results of an experiment. */
static bool draw_experiments(const struct load *load, const char *folder, struct figures *figures) {
    for (size_t i = 0; i < load->files_count; i++) {
        json_t *json = json_object_get(load->files[i].root, "experiment");
        struct experiment experiment;
        char why[EXPERIMENT_WHY_SIZE], where[PATH_MAX + 16];
        if (json == NULL)
            continue;
        snprintf(where, sizeof where, "%s: experiment", load->files[i].path);
        if (!experiment_parse(where, json, &experiment, why, sizeof why)) {
            cli_error(NULL, "%s", why);
            return false;
        }
        bool ok = true;
        if (experiment.panels > 0) {
            const char *name = figures_add_experiment(figures, experiment.name, experiment.title,
                                                      experiment.expect);
            ok = name != NULL && experiment_draw(&experiment, load, i, folder, name);
        }
        experiment_free(&experiment);
        if (!ok)
            return false;
    }
    return true;
}

/* Draws and writes everything into `folder`. */
static bool write_all(const struct load *load, const char *folder, size_t *figures_count) {
    struct view *views = calloc(load->hosts_count + 1, sizeof *views);
    struct figures figures = {0};
    bool ok = views != NULL;
    if (!ok)
        cli_error(command.name, "out of memory");
    ok = ok && draw_experiments(load, folder, &figures);
    for (size_t h = 0; ok && h < load->hosts_count; h++)
        ok = view_make(&views[h], load, h) && figures_draw(&views[h], folder, &figures);
    ok = ok && page_write(load, views, &figures, folder);
    *figures_count = figures.count;
    for (size_t h = 0; views != NULL && h < load->hosts_count; h++)
        view_free(&views[h]);
    free(views);
    figures_free(&figures);
    return ok;
}

static int write_report(const struct load *load, const char *out) {
    if (!make_folder(out))
        return EXIT_BAD_INPUT;
    char *folder = join(out, ".report-XXXXXX");
    if (folder == NULL)
        return EXIT_BAD_INPUT;
    if (mkdtemp(folder) == NULL) {
        cli_error(command.name, "--out %s: %s; must be a folder that can be written", out,
                  strerror(errno));
        free(folder);
        return EXIT_BAD_INPUT;
    }
    size_t figures = 0;
    const bool ok = write_all(load, folder, &figures) && for_each_file(folder, can_move, out) &&
                    for_each_file(folder, move_file, out);
    for_each_file(folder, remove_file, NULL);
    rmdir(folder);
    free(folder);
    if (!ok)
        return EXIT_BAD_INPUT;
    printf("%s/index.html: %zu cells, %zu figures, %zu failures\n", out, load->cells_count, figures,
           load->failures_count);
    return EXIT_DONE;
}

int report_main(int argc, char **argv) {
    const char *values[OPTIONS], **files = calloc((size_t)argc + 1, sizeof *files);
    struct load load = {0};
    int status;
    if (files == NULL)
        return cli_error(command.name, "out of memory");
    if (cli_parse(&command, argc, argv, values, files, &status)) {
        size_t count = 0;
        while (files[count] != NULL)
            count++;
        if (count == 0)
            status = cli_error(command.name, "a results file is missing; usage: allcores %s",
                               command.usage);
        else if (values[OUT] == NULL || values[OUT][0] == '\0')
            status = cli_error(command.name, "--out DIR is missing: the folder for the report");
        else
            status =
                load_files(&load, files, count) ? write_report(&load, values[OUT]) : EXIT_BAD_INPUT;
    }
    load_free(&load);
    free((void *)files);
    return status;
}
