/*
 * journal.c - finished samples on disk.  See journal.h.
 */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOURNAL_VERSION = 1 };
static const off_t size_max = (off_t)1
                              << 30; /* far above any run; keeps a wrong file out of memory */

struct journal {
    char *path;
    int fd;
    off_t length; /* of the whole lines; nothing valid lies behind */
};

void journal_sync_folder(const char *path) {
    char *copy = strdup(path);
    if (copy == NULL)
        return;
    const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(
            fd); /* some file systems cannot: then the rename is as durable as they make it */
        close(fd);
    }
    free(copy);
}

/* Writes text and a newline at the end and syncs; on failure cuts the file back. */
static bool append_line(struct journal *j, const json_t *json, char why[JOURNAL_WHY_SIZE]) {
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    if (text == NULL) {
        snprintf(why, JOURNAL_WHY_SIZE, "%s: out of memory, or a number that JSON has no form for",
                 j->path);
        return false;
    }
    const size_t length = strlen(text) + 1;
    text[length - 1] = '\n';
    size_t done = 0;
    int error = 0;
    while (done < length && error == 0) {
        const ssize_t n = pwrite(j->fd, text + done, length - done, j->length + (off_t)done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            error = n == 0 ? ENOSPC : errno;
    }
    free(text);
    if (error == 0 && fdatasync(j->fd) != 0)
        error = errno;
    if (error == 0) {
        j->length += (off_t)length;
        return true;
    }
    snprintf(why, JOURNAL_WHY_SIZE, "%s: %s", j->path, strerror(error));
    if (ftruncate(j->fd, j->length) != 0)
        return false; /* a torn last line remains, which the next --resume drops */
    return false;
}

bool journal_append(struct journal *journal, const struct record *record,
                    char why[JOURNAL_WHY_SIZE]) {
    json_t *json = record_to_json(record);
    const bool ok = append_line(journal, json, why);
    json_decref(json);
    return ok;
}

void journal_close(struct journal *journal, bool remove) {
    if (journal == NULL)
        return;
    if (remove) {
        (void)unlink(journal->path);
        journal_sync_folder(journal->path);
    }
    close(journal->fd); /* and with it the lock, after the name is gone */
    free(journal->path);
    free(journal);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* The whole file, with a terminator behind it; owned by the caller. */
static char *read_all(int fd, off_t size, char *why, const char *path) {
    char *text = malloc((size_t)size + 1);
    off_t done = 0;
    while (text != NULL && done < size) {
        const ssize_t n = pread(fd, text + done, (size_t)(size - done), done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            snprintf(why, JOURNAL_WHY_SIZE, "%s: %s", path, n < 0 ? strerror(errno) : "it shrank");
            free(text);
            return NULL;
        }
        done += n;
    }
    if (text == NULL)
        snprintf(why, JOURNAL_WHY_SIZE, "%s: out of memory", path);
    else
        text[size] = '\0';
    return text;
}

/* The first difference that a user can act on. */
static const char *what_differs(const json_t *mine, const json_t *theirs) {
    static const struct {
        const char *key, *text;
    } keys[] = {
        {"cells", "other cells"},
        {"repetitions", "other --repetitions"},
        {"min_time_s", "another --min-time"},
        {"sim_time_s", "another --min-time"},
        {"warmup_s", "another --warm-up"},
        {"overrides", "other values of --set"},
        {"seed", "another --seed"},
        {"latency", "other passes"},
        {"git_revision", "another revision of allcores"},
        {"git_dirty", "another build"},
        {"compiler", "another compiler"},
        {"flags", "other compiler flags"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *a = json_object_get(mine, keys[i].key);
        const json_t *b = json_object_get(theirs, keys[i].key);
        if (a != b && !json_equal(a, b)) /* neither has it: NULL is equal to nothing */
            return keys[i].text;
    }
    return "another plan";
}

static bool read_header(struct journal *j, const char *line, size_t length, const json_t *identity,
                        json_t **context, char why[JOURNAL_WHY_SIZE]) {
    json_t *header = json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL);
    const char *magic = json_string_value(json_object_get(header, "journal"));
    json_t *its_context = json_object_get(header, "context");
    bool ok = false;
    if (magic == NULL || strcmp(magic, "allcores") != 0 || !json_is_object(its_context))
        snprintf(why, JOURNAL_WHY_SIZE, "%s: line 1 is not the header of a journal of allcores",
                 j->path);
    else if (json_integer_value(json_object_get(header, "version")) != JOURNAL_VERSION)
        snprintf(why, JOURNAL_WHY_SIZE, "%s: a journal of another version of allcores", j->path);
    else if (!json_equal(identity, json_object_get(header, "plan")))
        snprintf(why, JOURNAL_WHY_SIZE,
                 "%s: a journal of another run (%s): repeat that run's command line, or remove the "
                 "file to begin anew",
                 j->path, what_differs(identity, json_object_get(header, "plan")));
    else
        ok = true;
    if (ok) {
        json_decref(*context);
        *context = json_incref(its_context);
    }
    json_decref(header);
    return ok;
}

/* All whole lines of an existing journal. */
static bool read_journal(struct journal *j, off_t size, const json_t *identity, json_t **context,
                         struct run_data *data, bool *dropped, char why[JOURNAL_WHY_SIZE]) {
    char *text = read_all(j->fd, size, why, j->path);
    if (text == NULL)
        return false;
    bool ok = true;
    size_t number = 0, from = 0;
    while (ok) {
        const char *end = memchr(text + from, '\n', (size_t)size - from);
        if (end == NULL)
            break;
        const size_t length = (size_t)(end - text) - from;
        number++;
        if (number == 1) {
            ok = read_header(j, text + from, length, identity, context, why);
        } else {
            struct record record;
            char reason[CELL_WHY_SIZE] = "not JSON";
            json_t *json = json_loadb(text + from, length, JSON_REJECT_DUPLICATES, NULL);
            ok = json != NULL && record_from_json(json, &record, reason, sizeof reason);
            if (ok && !run_data_put(data, &record)) {
                ok = false;
                snprintf(reason, sizeof reason, "no such sample in this run, or a second time");
            }
            if (!ok)
                snprintf(why, JOURNAL_WHY_SIZE,
                         "%s: line %zu is damaged (%s): remove the file to begin anew", j->path,
                         number, reason);
            json_decref(json);
        }
        from += length + 1;
    }
    free(text);
    if (!ok)
        return false;
    *dropped = (off_t)from < size;
    j->length = (off_t)from;
    if (*dropped && ftruncate(j->fd, j->length) != 0) {
        snprintf(why, JOURNAL_WHY_SIZE, "%s: %s", j->path, strerror(errno));
        return false;
    }
    return true;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* An existing journal that is not to be resumed keeps its samples under another name. */
static bool move_aside(struct journal *j, off_t size, char why[JOURNAL_WHY_SIZE]) {
    char *old = NULL;
    bool ok = size == 0;
    if (ok)
        return true;
    if (asprintf(&old, "%s.old", j->path) < 0) {
        snprintf(why, JOURNAL_WHY_SIZE, "%s: out of memory", j->path);
        return false;
    }
    ok = rename(j->path, old) == 0;
    if (!ok)
        snprintf(why, JOURNAL_WHY_SIZE, "%s: cannot be renamed to %s: %s", j->path, old,
                 strerror(errno));
    free(old);
    return ok;
}

/* Is the file that is open still the one of that name?  Another run may have removed it between our
 * open and our lock; what is written to it then would be lost with the last descriptor. */
static bool still_there(const struct journal *j, const struct stat *opened) {
    struct stat named;
    return lstat(j->path, &named) == 0 && named.st_dev == opened->st_dev &&
           named.st_ino == opened->st_ino;
}

/* Opens and locks; fills *size, which nobody else changes from then on. */
static bool open_locked(struct journal *j, off_t *size, char why[JOURNAL_WHY_SIZE]) {
    struct stat s;
    do {
        if (j->fd >= 0)
            close(j->fd);
        j->fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
        if (j->fd < 0) {
            snprintf(why, JOURNAL_WHY_SIZE, "%s: %s", j->path, strerror(errno));
            return false;
        }
        if (flock(j->fd, LOCK_EX | LOCK_NB) != 0) {
            snprintf(why, JOURNAL_WHY_SIZE, "%s: %s", j->path,
                     errno == EWOULDBLOCK ? "another run is writing to it" : strerror(errno));
            return false;
        }
        if (fstat(j->fd, &s) != 0) {
            snprintf(why, JOURNAL_WHY_SIZE, "%s: %s", j->path, strerror(errno));
            return false;
        }
    } while (!still_there(j, &s));
    if (!S_ISREG(s.st_mode)) {
        snprintf(why, JOURNAL_WHY_SIZE, "%s: not a regular file", j->path);
        return false;
    }
    if (s.st_size > size_max) {
        snprintf(why, JOURNAL_WHY_SIZE, "%s: larger than a journal can be", j->path);
        return false;
    }
    *size = s.st_size;
    return true;
}

static bool write_header(struct journal *j, const json_t *identity, json_t *context,
                         char why[JOURNAL_WHY_SIZE]) {
    json_t *header = json_pack("{s:s, s:i, s:O, s:O}", "journal", "allcores", "version",
                               JOURNAL_VERSION, "plan", identity, "context", context);
    const bool ok = append_line(j, header, why);
    json_decref(header);
    if (ok)
        journal_sync_folder(j->path);
    return ok;
}

enum journal_result journal_open(const char *path, const json_t *identity, json_t **context,
                                 bool resume, struct run_data *data, struct journal **journal,
                                 bool *dropped, bool *moved, char why[JOURNAL_WHY_SIZE]) {
    *dropped = *moved = false;
    struct journal *j = calloc(1, sizeof *j);
    if (j == NULL || (j->path = strdup(path)) == NULL) {
        free(j);
        snprintf(why, JOURNAL_WHY_SIZE, "%s: out of memory", path);
        return JOURNAL_REFUSED;
    }
    j->fd = -1;
    off_t size = 0;
    bool ok = open_locked(j, &size, why);
    if (ok && !resume && size > 0) {
        ok = move_aside(j, size, why) && open_locked(j, &size, why);
        *moved = ok;
    }
    if (ok && size > 0)
        ok = read_journal(j, size, identity, context, data, dropped, why);
    if (ok && j->length == 0) {
        ok = write_header(j, identity, *context, why);
        if (!ok)
            (void)unlink(path); /* an empty journal is no use to anybody */
    }
    if (!ok) {
        if (j->fd >= 0)
            close(j->fd);
        free(j->path);
        free(j);
        return JOURNAL_REFUSED;
    }
    *journal = j;
    return JOURNAL_OPEN;
}
