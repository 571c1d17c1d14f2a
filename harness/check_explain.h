/*
 * check_explain.h - a failing schedule, told: the accesses of each thread in order, side by side.
 */
#ifndef ALLCORES_CHECK_EXPLAIN_H
#define ALLCORES_CHECK_EXPLAIN_H

#include "check_run.h"

#include <stdio.h>

/* Runs it once more and prints what happened to `out`; the schedule is one that was replayed. */
void check_explain(const struct check_subject *subject, const struct check_program *program,
                   struct check_schedule *schedule, FILE *out);

/* "engine.c:123" of a code address (behind a call); "?" when nobody knows. */
void check_place(const void *pc, char *text, size_t size);

#endif
