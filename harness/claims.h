/*
 * claims.h - the subcommand `claims`: from the claims' data to experiments, figures and verdicts.
 */
#ifndef ALLCORES_CLAIMS_H
#define ALLCORES_CLAIMS_H

#include "claim.h"

#include <jansson.h>

/* argv[0] is the subcommand's name.  Returns an exit status (runner.h). */
int claims_main(int argc, char **argv);

/* A claim with what was found; values[] is parallel to claim.quantity[]. */
struct judged_claim {
    struct claim claim;
    struct claim_value values[CLAIM_QUANTITIES_MAX];
    enum claim_verdict verdict;
    const char *figure; /* file name without .svg, beside the page; NULL: none */
};

/* " (a part is pending)", behind a verdict, or "". */
const char *claims_pending_text(const struct judged_claim *claim);

/* "2.45 [2.31, 2.60]", "2.45 (one sample)", a count without an interval, or "-". */
void claims_value_text(const struct claim_value *value, char *text, size_t size);

/*
 * Explores schedules as the claim says, a process for itself, into FOLDER/NAME.json, with what it
 * tells of failing ones in NAME.txt; what is there already with as many schedules
 * of this build is kept.  *summary: what `check` wrote, or {"why", "crashed"}, for
 * claim_measure_explored; the caller's, NULL when there is none. EXIT_DONE; EXIT_FAILED, one line
 * on stderr having said why, when an engine that promises something broke it or the exploration did
 * not end; or what else `check` exits with.
 */
int claims_explore(const struct claim_exploration *exploration, const char *folder, bool quick,
                   json_t **summary);

/* claims.json, claims.md and index.html in the folder, whole or not at all each.  `context`: the
 * environment, as in results files (borrowed, may be NULL).  False when one line on stderr has said
 * why not. */
bool claims_write(const struct judged_claim *claims, size_t count, const json_t *context,
                  bool quick, const char *folder);

/*
 * The signature picture: speed-up over the GIL on one thread against the probability of conflict, a
 * column of panels for each size of transaction and a row for each number of threads among the
 * cells of workload txsize; the line at 1, below which an engine is not worth it, and a mark where
 * its curve crosses that line.  Draws STEM.gp, STEM.svg, STEM.png in the folder.
 */
bool claims_chart(const struct experiment *experiment, const struct load *load, size_t file,
                  const char *folder, const char *stem);

/*
 * The figure of a property: for each engine and machine, how many runs there were and what share of
 * them was wrong.  Of `count` experiments, in this order: loads[i] (NULL: it has no results) or the
 * summary explored[i] of an exploration (NULL: it is none).  Draws STEM.gp, STEM.svg, STEM.png in
 * the folder.  False when one line on stderr has said why not.
 */
bool claims_runs(const char *title, const struct load *const *loads, const json_t *const *explored,
                 size_t count, const char *folder, const char *stem);

#endif
