/*
 * journal.h - finished samples on disk, one JSON line each.
 *
 * The file begins with a header line: which plan it belongs to and the environment in which the run
 * began.  Each further line is one record, synced to the disk before journal_append returns.  A
 * crash can therefore tear only the last line, which journal_open drops; anything else that is not
 * readable means that somebody wrote into the file, and it is refused.  While a journal is open it
 * is locked against other runs (flock(2)).
 *
 * Owned and used by one thread.
 */
#ifndef ALLCORES_JOURNAL_H
#define ALLCORES_JOURNAL_H

#include "record.h"

enum { JOURNAL_WHY_SIZE = 512 };

struct journal;

enum journal_result {
    JOURNAL_OPEN,   /* opened; *journal is to be closed */
    JOURNAL_REFUSED /* bad input or an output that cannot be written; `why` says it in one line */
};

/*
 * Opens or creates the journal `path` of the plan with this identity.
 *
 * With `resume`, an existing journal's records go into `data` and *context (owned by the caller) is
 * replaced by the one in its header; *dropped says whether a torn last line was cut off.  Without
 * `resume`, an existing journal with records is renamed to PATH.old, and *moved says so.
 */
enum journal_result journal_open(const char *path, const json_t *identity, json_t **context,
                                 bool resume, struct run_data *data, struct journal **journal,
                                 bool *dropped, bool *moved, char why[JOURNAL_WHY_SIZE]);

/* Appends one record and waits until it is on the disk.  On failure (a full disk) the file is cut
 * back to its last whole line and `why` says what happened. */
bool journal_append(struct journal *journal, const struct record *record,
                    char why[JOURNAL_WHY_SIZE]);

/* Closes it; `remove` also deletes the file.  NULL is allowed. */
void journal_close(struct journal *journal, bool remove);

/* Syncs the folder that `path` lies in, so that a file created or renamed there survives a crash.
 */
void journal_sync_folder(const char *path);

#endif
