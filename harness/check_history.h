/*
 * check_history.h - histories of the programs of `allcores check`, and whether they are correct.
 *
 * Criterion.  Opacity (R. Guerraoui, M. Kapalka, "On the correctness of transactional memory",
 * PPoPP 2008): there is one order of all executions of blocks, committed and aborted ones, that
 * keeps the order of those that did not overlap and in which each reads what the committed ones
 * before it wrote last; and this for every prefix of the history.  Committed executions alone: this
 * is strict serialisability (C. Papadimitriou, JACM 1979).
 *
 * An aborted execution has ended when its thread begins the block again.
 *
 * Every prefix.  Where all writes are unique, opacity equals du-opacity (H. Attiya, S. Hans,
 * P. Kuznetsov, S. Ravi, "Safety of deferred update in transactional memory", ICDCS 2013), and so
 * two checks make one of the whole history enough: no execution reads what a block has written that
 * had not asked to commit yet, and the whole history has such an order (whose restriction to a
 * prefix then serves the prefix).  The items of a queue are unique, too: none may be taken out by
 * others before its block has asked to commit.  Of what is not unique (references in slots, tokens,
 * keys of lists, trees and keyed tables, sessions of the reactor) the whole history alone is
 * judged, so a read of such a write whose block commits later passes.
 *
 * The order is searched for depth first, one execution of one thread after the other, with the
 * states remembered from which the rest cannot be ordered (as G. Lowe, "Testing for
 * linearizability", 2017, does after J. Wing and C. Gong 1993).  Executions that write nothing are
 * put into the order as soon as they fit, which never hurts the others.
 *
 * Plain accesses to privatised data are blocks of one access: privatisation and publication safety
 * are part of the criterion.
 *
 * Under TSO a block's effects reach the others when its thread's buffer is drained, so a block has
 * ended for the order of real time when its last store has left it.
 */
#ifndef ALLCORES_CHECK_HISTORY_H
#define ALLCORES_CHECK_HISTORY_H

#include "check/record.h"
#include "explore.h"

enum {
    CHECK_NOTES = 8192,
    CHECK_LANES = EXPLORE_THREADS + 1, /* the host's is the last one */
    CHECK_NODES = CHECK_VARIABLES - CHECK_NODE - 1,
    CHECK_QUEUE = 128 /* items that a queue has, at most: of programs without loops */
};

struct check_noted {
    uint8_t kind, thread;
    uint16_t variable;
    uint64_t value;   /* CHECK_RETURN: index of the note from which on others see the block */
    uint64_t event;   /* of the thread, when it was noted */
    uint64_t visible; /* under TSO: see above */
};

struct check_history {
    struct check_noted note[CHECK_NOTES];
    unsigned notes;
    bool overflow; /* too many notes, nodes or executions: not judged */
    uint64_t unique;
    unsigned nodes;
    /* Set by who runs the program; NULL: everything is visible at once. */
    const struct machine_explorer *explorer;
    unsigned undrained; /* CHECK_RETURN notes whose effects wait in a buffer */
};

void check_history_reset(struct check_history *h, const struct machine_explorer *explorer);

enum check_failure {
    CHECK_OK,
    CHECK_NOT_SERIALISABLE,
    CHECK_DIRTY_READ,
    CHECK_OWN_WRITE_LOST,
    CHECK_IRREVOCABLE_ABORTED,
    CHECK_IRREVOCABLE_TWICE,
    /* of the run */
    CHECK_DEADLOCK,
    CHECK_NO_PROGRESS,
    CHECK_USE_AFTER_FREE,
    CHECK_WILD_ACCESS,
    CHECK_CRASH,
    CHECK_LEAK,
    CHECK_FAILURES
};
extern const char *const check_failure_names[CHECK_FAILURES];

/* Fills `why` with one or more lines on failure.  A history that is not finished (an execution that
 * neither returned nor began again) is judged as if that execution had aborted.  One that is too
 * long for it counts as correct, and gets `overflow`. */
enum check_failure check_history_judge(struct check_history *h, char *why, size_t why_size);

/* "x0", "node 3": of a variable. */
void check_variable_name(unsigned variable, char *text, size_t size);
/* "reads x0 = 5": of a note. */
void check_note_text(const struct check_noted *n, char *text, size_t size);

#endif
