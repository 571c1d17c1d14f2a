/*
 * outfile.c - checks of the results file's path.  See outfile.h.
 *
 * The checks try instead of asking: access(2) says yes to root on a read-only file system and knows
 * nothing of names that are too long.
 */
#include "outfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Of a path, at most this many bytes are repeated in a message. */
#define SHOWN "%.200s"

#define REFUSE(...) (snprintf(why, why_size, __VA_ARGS__), false)

enum { PROBE_BYTES = 65536 };

/* Makes OUTFILE_FOLDER and the folders above it. */
static bool make_folder(char *why, size_t why_size) {
    char path[] = OUTFILE_FOLDER;
    for (char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return REFUSE("cannot make the folder %s here: %s; give --out FILE.json",
                          OUTFILE_FOLDER, strerror(errno));
        if (slash == NULL)
            return true;
        *slash = '/';
    }
}

/* OUTFILE_FOLDER/20250131-235959Z.json, or with -2, -3, ... when that is taken.  NULL: no memory.
 */
static char *name_by_time(void) {
    const time_t now = time(NULL);
    struct tm utc;
    char stamp[32];
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%SZ", &utc);
    for (unsigned n = 1;; n++) {
        char suffix[16] = "", *path = NULL, *journal = NULL;
        if (n > 1)
            snprintf(suffix, sizeof suffix, "-%u", n);
        if (asprintf(&path, "%s/%s%s.json", OUTFILE_FOLDER, stamp, suffix) < 0)
            return NULL;
        if (asprintf(&journal, "%s%s", path, OUTFILE_JOURNAL_SUFFIX) < 0) {
            free(path);
            return NULL;
        }
        const bool taken = access(path, F_OK) == 0 || access(journal, F_OK) == 0;
        free(journal);
        if (!taken)
            return path;
        free(path);
    }
}

/* The results file in OUTFILE_FOLDER whose journal was written to last: the run that was
 * interrupted. NULL and `why` when there is none. */
static char *newest_interrupted(char *why, size_t why_size) {
    char *newest = NULL;
    struct timespec newest_time = {0, 0};
    DIR *folder = opendir(OUTFILE_FOLDER);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        const size_t length = strlen(entry->d_name);
        const size_t suffix = strlen(OUTFILE_JOURNAL_SUFFIX);
        struct stat at;
        if (length <= suffix ||
            strcmp(entry->d_name + length - suffix, OUTFILE_JOURNAL_SUFFIX) != 0 ||
            fstatat(dirfd(folder), entry->d_name, &at, 0) != 0 || !S_ISREG(at.st_mode) ||
            at.st_mtim.tv_sec < newest_time.tv_sec ||
            (at.st_mtim.tv_sec == newest_time.tv_sec && at.st_mtim.tv_nsec < newest_time.tv_nsec))
            continue;
        char *path;
        if (asprintf(&path, "%s/%.*s", OUTFILE_FOLDER, (int)(length - suffix), entry->d_name) < 0)
            continue;
        free(newest);
        newest = path;
        newest_time = at.st_mtim;
    }
    if (folder != NULL)
        closedir(folder);
    if (newest == NULL)
        snprintf(
            why, why_size,
            "--resume: no interrupted run in %s; give --out FILE.json, the file to be completed",
            OUTFILE_FOLDER);
    return newest;
}

/* Does the file begin like one of ours?  A results file is an object with a "context"; what exactly
 * is in it is for the runner to check. */
static bool looks_like_results(const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    char *text = calloc(1, PROBE_BYTES + 1);
    const size_t n = text != NULL ? fread(text, 1, PROBE_BYTES, file) : 0;
    fclose(file);
    const bool ours =
        n > 0 && text[strspn(text, " \t\r\n")] == '{' && strstr(text, "\"context\"") != NULL;
    free(text);
    return ours;
}

/* What is at the path now: nothing that a run would destroy? */
static bool check_existing(const char *path, const char *journal, bool resume, char *why,
                           size_t why_size) {
    struct stat at, at_journal;
    const bool exists = stat(path, &at) == 0;
    if (!exists && errno != ENOENT)
        return REFUSE("--out " SHOWN ": %s", path, strerror(errno));
    if (exists && S_ISDIR(at.st_mode))
        return REFUSE("--out " SHOWN " is a folder; give a file in it, for example %.150s/run.json",
                      path, path);
    if (exists && !S_ISREG(at.st_mode))
        return REFUSE("--out " SHOWN " is not a regular file; give the path of a new file", path);
    const bool has_journal = stat(journal, &at_journal) == 0;
    if (has_journal && !S_ISREG(at_journal.st_mode))
        return REFUSE("--out " SHOWN ": its journal, the same with %s, is not a regular file", path,
                      OUTFILE_JOURNAL_SUFFIX);
    if (exists && at.st_size > 0 && !looks_like_results(path))
        return REFUSE("--out " SHOWN
                      " exists and is not a results file of allcores; give another path",
                      path);
    if (!resume && ((exists && at.st_size > 0) || (has_journal && at_journal.st_size > 0)))
        return REFUSE("--out " SHOWN " has samples already%s; add --resume to continue it, or give "
                      "another path",
                      path, exists ? "" : " (in its journal)");
    return true;
}

/* Creates what will be created, and removes it again if it was not there. */
static bool try_to_write(const char *out, const char *path, char *why, size_t why_size) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
        close(fd);
        unlink(path);
        return true;
    }
    if (errno == EEXIST)
        fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        return true;
    }
    if (errno == ENOENT)
        return REFUSE("--out " SHOWN ": its folder does not exist; make it first", out);
    return REFUSE("--out " SHOWN ": cannot be written: %s; give a path that can", out,
                  strerror(errno));
}

static bool check(const char *path, bool resume, char *why, size_t why_size) {
    char *journal = NULL;
    if (asprintf(&journal, "%s%s", path, OUTFILE_JOURNAL_SUFFIX) < 0)
        return REFUSE("out of memory");
    const bool good = check_existing(path, journal, resume, why, why_size) &&
                      try_to_write(path, path, why, why_size) &&
                      try_to_write(path, journal, why, why_size);
    free(journal);
    return good;
}

char *outfile_choose(const char *given, bool resume, char *why, size_t why_size) {
    char *path = NULL;
    if (given != NULL && given[0] == '\0') {
        snprintf(why, why_size, "--out is empty; give a file, for example --out run.json");
        return NULL;
    }
    if (given == NULL && resume) {
        path = newest_interrupted(why, why_size);
        if (path == NULL)
            return NULL;
    } else {
        if (given == NULL && !make_folder(why, why_size))
            return NULL;
        path = given != NULL ? strdup(given) : name_by_time();
    }
    if (path == NULL) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    if (!check(path, resume, why, why_size)) {
        free(path);
        return NULL;
    }
    return path;
}
