/*
 * outfile.h - where a run writes to, decided and tried before anything is measured.
 */
#ifndef ALLCORES_OUTFILE_H
#define ALLCORES_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>

#define OUTFILE_FOLDER "results/local"
#define OUTFILE_JOURNAL_SUFFIX ".journal" /* the journal of OUT is OUT.journal */

/*
 * The path to write to: a copy of `given` (may be NULL: then OUTFILE_FOLDER/<UTC time>.json, the
 * folder being made where it is missing; to `resume` without a path means the run in that folder
 * that was interrupted last).  Checked: a file can be created there and nothing would be lost, that
 * is, nothing is there yet, or an empty file, or `resume` is set and what is there is a results
 * file or a journal.  Nothing is left behind by the checks but that folder.
 *
 * NULL and one line in `why` (what, where, what would be right) otherwise.  The caller frees.
 */
char *outfile_choose(const char *given, bool resume, char *why, size_t why_size);

#endif
