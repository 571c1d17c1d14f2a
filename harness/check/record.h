/*
 * record.h - what the programs of `allcores check` share with the checker: the catalogue's
 * descriptor, and the recorder that they report to.
 *
 * The recorder is ordinary code of the harness: machine sim does not see its accesses, so that
 * recording is no event, takes no time and orders nothing.
 *
 * A variable is a number; what a program reads and writes of transactional memory it notes as
 * variables and values.  Within a run every value that is written to one of the first kind
 * (check_unique) is written once, so that each read names its write.
 */
#ifndef ALLCORES_CHECK_RECORD_H
#define ALLCORES_CHECK_RECORD_H

#include "plugin.h"

enum check_variable {
    CHECK_X = 0,      /* four objects of one word */
    CHECK_WORD = 4,   /* six words of an array */
    CHECK_SMALL = 10, /* neighbours of 1, 1, 2 and 4 bytes in one object */
    CHECK_SLOT = 14,  /* two references to nodes */
    CHECK_TOKENS = 16,
    CHECK_LIST = 17, /* eight keys each: in the container or not */
    CHECK_TREE = 25,
    CHECK_TABLE = 33,
    CHECK_KEYED = 41,
    CHECK_SESSION = 49, /* of the reactor */
    CHECK_NODE = 56,    /* the words of node 1, 2, ... begin at CHECK_NODE + 1 */
    CHECK_VARIABLES = 256
};

enum check_kind {
    CHECK_INVOKE, /* before the block */
    CHECK_BEGIN,  /* first in the block: an execution begins */
    CHECK_READ,
    CHECK_WRITE,
    CHECK_PUSH, /* to the queue: the item */
    CHECK_POP,  /* from it: the item, 0 when it was empty */
    CHECK_IRREVOCABLE,
    CHECK_GIVE_UP, /* tm_retry or tm_abort_restart follows */
    CHECK_ASK,     /* last in the block: it tries to commit */
    CHECK_RETURN,  /* behind the block */
    CHECK_PLAIN_READ,
    CHECK_PLAIN_WRITE,
    CHECK_INITIAL, /* by setup: value of a variable; CHECK_PUSH in setup too */
    CHECK_KINDS
};

struct check_history;

struct check_me {
    struct check_history *history;
    unsigned thread;
    bool undo; /* the engine can roll back writes */
};

void check_note(struct check_me *me, enum check_kind kind, unsigned variable, uint64_t value);
/* A value that no other write of this run has: from 1 on. */
uint64_t check_unique(struct check_me *me);
/* The number of a node that has just been allocated: from 1 on.  The program stores it in the node.
 */
unsigned check_new_node(struct check_me *me);
/* What a node says its number is.  What no node has becomes the last number, which no write has. */
static inline unsigned check_node(uint64_t said) {
    const unsigned last = CHECK_VARIABLES - CHECK_NODE - 1;
    return said == 0 || said > last ? last : (unsigned)said;
}

/* What a transaction needs of the world. */
enum check_needs {
    CHECK_NEEDS_NODES = 1,
    CHECK_NEEDS_LIST = 2,
    CHECK_NEEDS_TREE = 4,
    CHECK_NEEDS_TABLE = 8,
    CHECK_NEEDS_KEYED = 16,
    CHECK_NEEDS_QUEUE = 32,
    CHECK_PUTS = 64,  /* a token */
    CHECK_GETS = 128, /* a token, and waits for one */
    CHECK_NEEDS_REACTOR = 256,
    /* Only in programs that name it: what is drawn of the rest stays as it is.  Such transactions
     * are the last ones of the catalogue. */
    CHECK_BY_NAME = 512
};
#define CHECK_CONTAINERS                                                                           \
    (CHECK_NEEDS_LIST | CHECK_NEEDS_TREE | CHECK_NEEDS_TABLE | CHECK_NEEDS_KEYED |                 \
     CHECK_NEEDS_QUEUE | CHECK_NEEDS_REACTOR)

struct check_transaction {
    const char *name; /* NULL ends the catalogue */
    const char *help;
    unsigned needs;
    void (*run)(struct tm_thread *self, void *world, struct check_me *me);
};

/* Compiled once per engine on machine sim. */
struct check_catalogue {
    const struct tm_engine *engine;
    const struct check_transaction *transactions;
    /* The world that programs with these needs work on; its initial values are noted. */
    void *(*setup)(struct tm_thread *self, struct check_me *me, unsigned needs);
    /* Notes the final values as one more transaction. */
    void (*final)(struct tm_thread *self, void *world, struct check_me *me);
    void (*teardown)(struct tm_thread *self, void *world);
};
/* They register as TM_REGISTER(tm_checks, struct check_catalogue, name). */

#endif
