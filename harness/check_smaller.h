/*
 * check_smaller.h - a failure of `allcores check` in fewer transactions and with fewer preemptions.
 */
#ifndef ALLCORES_CHECK_SMALLER_H
#define ALLCORES_CHECK_SMALLER_H

#include "check_run.h"

/*
 * Given a program and a schedule under which it fails: looks for ones that fail, too (perhaps in
 * another way), with transactions left out, then with fewer preemptions, and takes out of the
 * schedule what the failure does not need.  The search is a fixed number of runs from fixed seeds,
 * eight times as many where more than four preemptions are left, so it ends, and ends in the same
 * place each time; that nothing smaller exists it does not say. Returns the number of runs.
 */
unsigned check_smaller(const struct check_subject *subject, struct check_program *program,
                       struct check_schedule *schedule, struct check_outcome *outcome);

#endif
