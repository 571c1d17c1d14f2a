/*
 * random_programs - blocks drawn from a seed, and afterwards a plain sequential model that agrees.
 *
 * A small pool of objects (in slots, in linked lists, and arrays of all element sizes) is divided
 * into groups, each with a transactional counter, its ticket.  A block draws the groups that it
 * touches and, for each, whether it may write there; it takes the next ticket of those that it may
 * write and reads that of the others, so its tickets are its place in the serial order.  With one
 * group that is a total order and every block meets every other; with several, blocks of different
 * groups share nothing.
 *
 * What a block does is a function of the seed, its thread, its number and what it reads; what it
 * reads goes to a log in plain memory.  verify replays all blocks in an order that the tickets and
 * the program order of each thread allow (there must be one) on plain arrays, compares every value
 * that was read, in the order in which it was read, and at last the whole state.  So a lost write,
 * a stale or torn read, an object that was reused too early, memory that was not zero, a nested
 * block that committed alone and an execution that was half undone all show as the first value that
 * differs.
 *
 * A failure names thread, block and operation.  The programs follow from the seed, the number of
 * threads and the test, and can be run again (conformance --one NAME --seed N); how the threads
 * meet is up to the machine.
 */
#define TM_RESTARTS
#include "probe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUPS = 4,
    SLOTS = 5,
    ARRAYS = 4,        /* of elements with 1, 2, 4 and 8 bytes */
    OPERATIONS = 24,   /* of a block, at most */
    VALUES = 400,      /* that one block logs, at most: see OPERATION_VALUES */
    STRETCH = 80,      /* elements that one operation writes or sums up, at most */
    WALK = 8,          /* nodes of a list that one operation visits, at most */
    NEVER = OPERATIONS /* an operation that no block has */
};
enum { OPERATION_VALUES = 3 + WALK }; /* that one operation logs, at most */
_Static_assert(VALUES >= OPERATIONS * OPERATION_VALUES + GROUPS, "a block's values fit");

static const struct tm_param conformance_random_programs_params[] = {
    PROBE_OPS("120"),
    PROBE_BLOCKS("1"),
    PROBE_SEEDS("300"),
    {"irrevocable", "some blocks are, nobody counts them here", TM_INT, "-1", -1, 0, NULL},
    PROBE_END};

/* ---- objects ------------------------------------------------------------------------------- */

struct node;
typedef TM_REF(struct node) node_ref;

/* Fields of every size between others, so that neighbours show. */
struct node {
    TM_HEADER;
    uint64_t id;     /* who made it; never written again */
    uint64_t length; /* of item[]; never written again */
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    uint8_t byte[5];
    uint16_t half[3];
    uint32_t word[3];
    node_ref next;
    uint64_t item[];
};

enum field { U8, U16, U32, U64, BYTE, HALF, WORD, ITEM, FIELDS };

struct slots {
    TM_HEADER;
    node_ref node[SLOTS];
};
struct list {
    TM_HEADER;
    node_ref first;
};
struct ticket {
    TM_HEADER;
    uint64_t next;
};
struct bytes {
    TM_HEADER;
    uint8_t at[];
};
struct halves {
    TM_HEADER;
    uint16_t at[];
};
struct words {
    TM_HEADER;
    uint32_t at[];
};
struct items {
    TM_HEADER;
    uint64_t at[];
};

struct group {
    TM_REF(struct ticket) ticket;
    TM_REF(struct slots) slots;
    TM_REF(struct list) list;
    TM_REF(struct bytes) bytes;
    TM_REF(struct halves) halves;
    TM_REF(struct words) words;
    TM_REF(struct items) items;
    uint64_t length[ARRAYS];
};

/* One value that a block has read: in which operation, what it was, and the value. */
struct entry {
    uint16_t operation, what;
    uint64_t value;
};

/* One thread's log; written by that thread only, read by verify. */
struct log {
    struct entry *entry;
    size_t count, capacity; /* of the blocks that have committed, and of the one that runs */
    size_t begin;           /* of the block that runs */
    size_t *end;            /* [blocks] where each block's values end */
    size_t blocks, blocks_capacity;
    char padding[128];
};

/* Constant after setup. */
struct world {
    struct probe probe;
    uint64_t seed;
    unsigned groups;
    unsigned operations; /* of a block, at most */
    unsigned pauses;     /* of 64 operations, so many give the processor up */
    struct group group[GROUPS];
    struct log *log; /* [threads] */
    bool verified;   /* by verify: the objects are what the model says, so teardown can free them */
};

/* ---- what is drawn ------------------------------------------------------------------------- */

/* Finalizer of splitmix64 over two numbers. */
TM_PURE_FN static inline uint64_t draw(uint64_t a, uint64_t b) {
    uint64_t z = a + (b + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

enum kind {
    READ,
    WRITE,
    CHANGE,
    ARRAY_READ,
    ARRAY_SUM,
    ARRAY_WRITE,
    ARRAY_CHANGE,
    ARRAY_FILL,
    WALK_LIST,
    NEW_IN_SLOT,
    NEW_IN_LIST,
    DROP_SLOT,
    DROP_FROM_LIST,
    SWAP,
    PAUSE,
    KINDS
};
static const char *const kind_names[KINDS] = {
    "read of a field",         "write of a field",     "change of a field",
    "read of an element",      "sum of elements",      "write of an element",
    "change of an element",    "write of elements",    "walk over a list",
    "new object in a slot",    "new object in a list", "free of a slot's object",
    "free of a list's object", "swap of slots",        "pause"};

/* What a logged value is. */
enum what { OBJECT, VALUE, ZEROS, TICKET };
static const char *const what_names[] = {"identity of the object", "value", "new object", "ticket"};

/* One operation: everything that does not depend on what is read. */
struct operation {
    enum kind kind;
    unsigned group;
    bool listed; /* the object is one of the list, otherwise of the slots */
    unsigned place, other;
    enum field field;
    unsigned array;
    uint64_t index, value, length;
};

/* A block. */
struct plan {
    uint64_t program; /* what its operations are drawn from */
    unsigned operations;
    unsigned touched, written; /* bit per group */
    bool ticket_first;
    unsigned nested_begin, inner_begin, nested_end; /* operations of the nested blocks */
    unsigned restart_at, irrevocable_at;            /* NEVER, or an operation */
};

static struct plan plan_of(const struct world *w, unsigned thread, uint64_t block) {
    struct plan p = {.program = draw(draw(w->seed, thread), block)};
    const uint64_t a = draw(p.program, 1000), b = draw(p.program, 1001);
    p.operations = 1 + (unsigned)((a & 0xff) % w->operations);
    const unsigned first = (unsigned)(a >> 8) % w->groups, second = (unsigned)(a >> 12) % w->groups;
    p.touched = 1U << first | ((a >> 16 & 3) == 0 ? 1U << second : 0);
    p.written = p.touched;
    if ((a >> 18 & 3) == 0)
        p.written = 0;
    else if ((a >> 20 & 3) == 0)
        p.written &= 1U << first;
    p.ticket_first = (a >> 24 & 7) == 0;
    p.nested_begin = p.nested_end = p.inner_begin = NEVER;
    if ((a >> 28 & 3) == 0) {
        p.nested_begin = (unsigned)(b & 0xff) % p.operations;
        p.nested_end =
            p.nested_begin + 1 + (unsigned)(b >> 8 & 0xff) % (p.operations - p.nested_begin);
        p.inner_begin =
            p.nested_begin + (unsigned)(b >> 16 & 0xff) % (p.nested_end - p.nested_begin);
    }
    p.irrevocable_at = (b >> 24 & 15) == 0 ? (unsigned)(b >> 32 & 0xff) % p.operations : NEVER;
    p.restart_at = NEVER;
    if ((b >> 28 & 7) == 0 && p.irrevocable_at == NEVER)
        p.restart_at =
            tm_engine_descriptor.rollback ? (unsigned)(b >> 40 & 0xff) % p.operations : 0;
    return p;
}

TM_PURE_FN static uint64_t length_of(uint64_t dice) {
    const uint64_t size = dice & 63, n = dice >> 8;
    return size < 40 ? n % 8 : size < 56 ? n % 64 : size < 63 ? 150 + n % 500 : 2000 + n % 3000;
}

/* Operation number `i` of the block. */
TM_PURE_FN static struct operation operation_of(const struct world *w, const struct plan *p,
                                                unsigned i) {
    static const uint8_t kinds[] = {
        READ,        READ,         READ,         WRITE,          WRITE,     WRITE,
        CHANGE,      CHANGE,       ARRAY_READ,   ARRAY_READ,     ARRAY_SUM, ARRAY_WRITE,
        ARRAY_WRITE, ARRAY_CHANGE, ARRAY_CHANGE, ARRAY_FILL,     WALK_LIST, NEW_IN_SLOT,
        NEW_IN_SLOT, NEW_IN_LIST,  NEW_IN_LIST,  DROP_FROM_LIST, DROP_SLOT, SWAP};
    static const uint8_t reading[] = {READ,       READ,      READ,     ARRAY_READ,
                                      ARRAY_READ, ARRAY_SUM, WALK_LIST};
    const uint64_t a = draw(p->program, 4 * i), b = draw(p->program, 4 * i + 1);
    struct operation op = {.group = (unsigned)(a & 0xff) % w->groups};
    while ((p->touched >> op.group & 1) == 0)
        op.group = (op.group + 1) % w->groups;
    if ((p->written >> op.group & 1) != 0)
        op.kind = kinds[(a >> 8 & 0xff) % sizeof kinds];
    else
        op.kind = reading[(a >> 8 & 0xff) % sizeof reading];
    if ((a >> 16 & 63) < w->pauses)
        op.kind = PAUSE;
    op.listed = (a >> 22 & 1) != 0;
    op.place = (unsigned)(a >> 24 & 0xff) % SLOTS;
    op.other = (unsigned)(a >> 32 & 0xff) % SLOTS;
    op.field = (enum field)((a >> 40 & 0xff) % FIELDS);
    op.array = (unsigned)(a >> 48 & 3);
    op.index = b >> 20;
    op.value = draw(p->program, 4 * i + 2);
    op.length = op.kind == ARRAY_SUM || op.kind == ARRAY_FILL
                    ? 1 + (b & 0xff) % STRETCH
                    : length_of(draw(p->program, 4 * i + 3));
    return op;
}

/* ---- the log ------------------------------------------------------------------------------- */

static void *larger(void *old, size_t used, size_t bytes) {
    void *p = machine_alloc(bytes);
    if (p == NULL) {
        fprintf(stderr, "random_programs: out of memory\n");
        abort();
    }
    if (used > 0)
        memcpy(p, old, used);
    machine_free(old);
    return p;
}

/* Outside of blocks: room for one more block. */
static void log_prepare(struct log *log) {
    if (log->count + VALUES > log->capacity) {
        log->capacity = 2 * log->capacity + 4 * (size_t)VALUES;
        log->entry =
            larger(log->entry, log->count * sizeof *log->entry, log->capacity * sizeof *log->entry);
    }
    if (log->blocks == log->blocks_capacity) {
        log->blocks_capacity = 2 * log->blocks_capacity + 64;
        log->end = larger(log->end, log->blocks * sizeof *log->end,
                          log->blocks_capacity * sizeof *log->end);
    }
    log->begin = log->count;
}

/* An execution begins: what an earlier one has logged goes. */
TM_PURE_FN TM_NOINLINE static void log_again(struct log *log) { log->count = log->begin; }

TM_PURE_FN TM_NOINLINE static void log_value(struct log *log, unsigned operation, enum what what,
                                             uint64_t value) {
    if (log->count < log->begin + VALUES)
        log->entry[log->count++] = (struct entry){(uint16_t)operation, (uint16_t)what, value};
}

TM_PURE_FN TM_NOINLINE static void give_way(void) { machine_yield(); }

/* ---- the blocks ---------------------------------------------------------------------------- */

TM_FN static uint64_t field_get(TM_SELF, node_ref n, enum field field, uint64_t i) {
    switch (field) {
    case U8:
        return tm_get(n, u8);
    case U16:
        return tm_get(n, u16);
    case U32:
        return tm_get(n, u32);
    case U64:
        return tm_get(n, u64);
    case BYTE:
        return tm_get_at(n, byte, i % 5);
    case HALF:
        return tm_get_at(n, half, i % 3);
    case WORD:
        return tm_get_at(n, word, i % 3);
    default: {
        const uint64_t length = tm_get(n, length);
        return length > 0 ? tm_get_at(n, item, i % length) : 0;
    }
    }
}

TM_FN static void field_set(TM_SELF, node_ref n, enum field field, uint64_t i, uint64_t value) {
    switch (field) {
    case U8:
        tm_set(n, u8, (uint8_t)value);
        break;
    case U16:
        tm_set(n, u16, (uint16_t)value);
        break;
    case U32:
        tm_set(n, u32, (uint32_t)value);
        break;
    case U64:
        tm_set(n, u64, value);
        break;
    case BYTE:
        tm_set_at(n, byte, i % 5, (uint8_t)value);
        break;
    case HALF:
        tm_set_at(n, half, i % 3, (uint16_t)value);
        break;
    case WORD:
        tm_set_at(n, word, i % 3, (uint32_t)value);
        break;
    default: {
        const uint64_t length = tm_get(n, length);
        if (length > 0)
            tm_set_at(n, item, i % length, value);
    }
    }
}

TM_FN static uint64_t element_get(TM_SELF, const struct group *g, unsigned array, uint64_t i) {
    i %= g->length[array];
    switch (array) {
    case 0:
        return tm_get_at(g->bytes, at, i);
    case 1:
        return tm_get_at(g->halves, at, i);
    case 2:
        return tm_get_at(g->words, at, i);
    default:
        return tm_get_at(g->items, at, i);
    }
}

TM_FN static void element_set(TM_SELF, const struct group *g, unsigned array, uint64_t i,
                              uint64_t value) {
    i %= g->length[array];
    switch (array) {
    case 0:
        tm_set_at(g->bytes, at, i, (uint8_t)value);
        break;
    case 1:
        tm_set_at(g->halves, at, i, (uint16_t)value);
        break;
    case 2:
        tm_set_at(g->words, at, i, (uint32_t)value);
        break;
    default:
        tm_set_at(g->items, at, i, value);
    }
}

/* The node before place `place` of the list, NULL: the list itself; *node is the one there. */
TM_FN static node_ref list_before_place(TM_SELF, const struct group *g, unsigned place,
                                        node_ref *node) {
    node_ref before = NULL, at = tm_get(g->list, first);
    for (unsigned i = 0; i < place && at != NULL; i++) {
        before = at;
        at = tm_get(at, next);
    }
    *node = at;
    return before;
}

TM_FN static node_ref pick(TM_SELF, const struct group *g, const struct operation *op) {
    node_ref node = NULL;
    if (op->listed)
        (void)list_before_place(self, g, op->place, &node);
    else
        node = tm_get_at(g->slots, node, op->place);
    return node;
}

TM_FN static uint64_t identity(TM_SELF, node_ref node) {
    return node != NULL ? tm_get(node, id) : 0;
}

TM_FN static node_ref make(TM_SELF, const struct operation *op, unsigned i, struct log *log) {
    const node_ref node = tm_new_array(self, struct node, item, op->length);
    uint64_t zeros = tm_get(node, id) | tm_get(node, length) | tm_get(node, u8) |
                     tm_get(node, u16) | tm_get(node, u32) | tm_get(node, u64) |
                     (uint64_t)(tm_get(node, next) != NULL);
    for (unsigned k = 0; k < 3; k++)
        zeros |= tm_get_at(node, byte, k) | tm_get_at(node, half, k) | tm_get_at(node, word, k);
    for (uint64_t k = 0; k < op->length; k++)
        zeros |= tm_get_at(node, item, k);
    log_value(log, i, ZEROS, zeros);
    tm_set(node, id, op->value | 1);
    tm_set(node, length, op->length);
    if (op->length > 0) {
        tm_set_at(node, item, 0, op->value);
        tm_set_at(node, item, op->length - 1, ~op->value);
    }
    return node;
}

TM_FN static void on_objects(TM_SELF, const struct group *g, const struct operation *op, unsigned i,
                             struct log *log) {
    const node_ref node = pick(self, g, op);
    log_value(log, i, OBJECT, identity(self, node));
    if (node == NULL)
        return;
    if (op->kind == WRITE) {
        field_set(self, node, op->field, op->index, op->value);
        return;
    }
    const uint64_t value = field_get(self, node, op->field, op->index);
    log_value(log, i, VALUE, value);
    if (op->kind == CHANGE)
        field_set(self, node, op->field, op->index, value * 5 + op->value);
}

TM_FN static void on_arrays(TM_SELF, const struct group *g, const struct operation *op, unsigned i,
                            struct log *log) {
    uint64_t value = 0;
    switch (op->kind) {
    case ARRAY_WRITE:
        element_set(self, g, op->array, op->index, op->value);
        return;
    case ARRAY_FILL:
        for (uint64_t k = 0; k < op->length; k++)
            element_set(self, g, op->array, op->index + k, op->value + k);
        return;
    case ARRAY_SUM:
        for (uint64_t k = 0; k < op->length; k++)
            value = value * 31 + element_get(self, g, op->array, op->index + k);
        break;
    default:
        value = element_get(self, g, op->array, op->index);
        if (op->kind == ARRAY_CHANGE)
            element_set(self, g, op->array, op->index, value * 5 + op->value);
    }
    log_value(log, i, VALUE, value);
}

TM_FN static void on_slots(TM_SELF, const struct group *g, const struct operation *op, unsigned i,
                           struct log *log) {
    const node_ref old = tm_get_at(g->slots, node, op->place);
    log_value(log, i, OBJECT, identity(self, old));
    if (op->kind == SWAP) {
        tm_set_at(g->slots, node, op->place, tm_get_at(g->slots, node, op->other));
        tm_set_at(g->slots, node, op->other, old);
        return;
    }
    node_ref node = NULL;
    if (op->kind == NEW_IN_SLOT)
        node = make(self, op, i, log);
    tm_set_at(g->slots, node, op->place, node);
    if (old != NULL)
        tm_free(self, old);
}

TM_FN static void on_list(TM_SELF, const struct group *g, const struct operation *op, unsigned i,
                          struct log *log) {
    if (op->kind == WALK_LIST) {
        node_ref node = tm_get(g->list, first);
        for (unsigned k = 0; k < WALK && node != NULL; k++) {
            log_value(log, i, OBJECT, tm_get(node, id));
            node = tm_get(node, next);
        }
    } else if (op->kind == NEW_IN_LIST) {
        const node_ref node = make(self, op, i, log);
        tm_set(node, next, tm_get(g->list, first));
        tm_set(g->list, first, node);
    } else {
        node_ref node = NULL;
        const node_ref before = list_before_place(self, g, op->place, &node);
        log_value(log, i, OBJECT, identity(self, node));
        if (node == NULL)
            return;
        const node_ref next = tm_get(node, next);
        if (before != NULL)
            tm_set(before, next, next);
        else
            tm_set(g->list, first, next);
        tm_free(self, node);
    }
}

TM_FN static void operate(TM_SELF, const struct world *w, const struct operation *op, unsigned i,
                          struct log *log) {
    const struct group *g = &w->group[op->group];
    switch (op->kind) {
    case READ:
    case WRITE:
    case CHANGE:
        on_objects(self, g, op, i, log);
        break;
    case NEW_IN_SLOT:
    case DROP_SLOT:
    case SWAP:
        on_slots(self, g, op, i, log);
        break;
    case WALK_LIST:
    case NEW_IN_LIST:
    case DROP_FROM_LIST:
        on_list(self, g, op, i, log);
        break;
    case PAUSE:
        tm_safepoint(self);
        give_way();
        break;
    default:
        on_arrays(self, g, op, i, log);
    }
}

TM_FN static void operations(TM_SELF, const struct world *w, const struct plan *p, unsigned begin,
                             unsigned end, uint64_t attempt, struct log *log) {
    for (unsigned i = begin; i < end; i++) {
        if (i == p->restart_at && attempt == 1)
            tm_abort_restart(self);
        if (i == p->irrevocable_at)
            tm_irrevocable(self);
        const struct operation op = operation_of(w, p, i);
        operate(self, w, &op, i, log);
    }
}

TM_FN static void take_tickets(TM_SELF, const struct world *w, const struct plan *p,
                               struct log *log) {
    for (unsigned g = 0; g < w->groups; g++) {
        if ((p->touched >> g & 1) == 0)
            continue;
        const uint64_t ticket = tm_get(w->group[g].ticket, next);
        log_value(log, g, TICKET, ticket);
        if ((p->written >> g & 1) != 0)
            tm_set(w->group[g].ticket, next, ticket + 1);
    }
}

static inline void conformance_random_programs_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng; /* everything follows from the seed of the sample */
    struct slot *slot = probe_slot(self, w);
    struct log *log = &w->log[tm_index(self)];
    const struct plan p = plan_of(w, tm_index(self), log->blocks);
    const bool nested = p.nested_begin != NEVER;
    log_prepare(log);
    slot->attempts = 0;
    atomic (self) {
        const uint64_t attempt = slot_attempt(slot);
        log_again(log);
        if (p.restart_at == 0 && attempt == 1)
            tm_abort_restart(self);
        if (p.ticket_first)
            take_tickets(self, w, &p, log);
        operations(self, w, &p, 0, nested ? p.nested_begin : p.operations, attempt, log);
        if (nested) {
            atomic (self) {
                operations(self, w, &p, p.nested_begin, p.inner_begin, attempt, log);
                atomic (self) {
                    operations(self, w, &p, p.inner_begin, p.nested_end, attempt, log);
                }
            }
            operations(self, w, &p, p.nested_end, p.operations, attempt, log);
        }
        if (!p.ticket_first)
            take_tickets(self, w, &p, log);
    }
    log->end[log->blocks++] = log->count;
}

/* ---- setup --------------------------------------------------------------------------------- */

static void *conformance_random_programs_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                               size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->log = machine_alloc_aligned(setup->threads * sizeof *w->log, 128);
    if (w->log == NULL) {
        probe_free(w);
        return NULL;
    }
    const uint64_t dice = draw(setup->seed, 77);
    w->seed = setup->seed;
    w->groups = 1 + (unsigned)(dice & 0xff) % GROUPS;
    w->operations =
        (dice >> 8 & 3) == 0 ? OPERATIONS : 1 + (unsigned)(dice >> 16 & 0xff) % OPERATIONS;
    w->pauses = (dice >> 24 & 1) != 0 ? 0 : 1 + (unsigned)(dice >> 25 & 7);
    for (unsigned i = 0; i < w->groups; i++) {
        struct group *g = &w->group[i];
        for (unsigned a = 0; a < ARRAYS; a++)
            g->length[a] = 1 + length_of(draw(dice, 4 * i + a));
        g->ticket = tm_new(self, struct ticket);
        g->slots = tm_new(self, struct slots);
        g->list = tm_new(self, struct list);
        g->bytes = tm_new_array(self, struct bytes, at, g->length[0]);
        g->halves = tm_new_array(self, struct halves, at, g->length[1]);
        g->words = tm_new_array(self, struct words, at, g->length[2]);
        g->items = tm_new_array(self, struct items, at, g->length[3]);
    }
    return w;
}

/* ---- the model ----------------------------------------------------------------------------- */

/* Plain memory, one element a word; values are cut to the width of the field when written. */
struct model_node {
    uint64_t id, length;
    struct model_node *next;
    uint64_t single[4], byte[5], half[3], word[3];
    uint64_t item[];
};

struct model_group {
    uint64_t ticket;
    struct model_node *slot[SLOTS];
    struct model_node *first;
    uint64_t *array[ARRAYS];
    uint64_t *readers; /* [ticket] blocks to come that have read this ticket */
    uint64_t tickets;  /* length of readers */
};

struct model {
    struct model_group group[GROUPS];
    size_t *next; /* [thread] block to replay */
};

/* The comparison of one block: its log, and the first value that differs. */
struct replay {
    const struct entry *entry, *end;
    unsigned operation;
    bool differs;
    struct entry found; /* what the log says */
    struct entry expected;
    bool missing; /* the log ends before */
};

static void expect(struct replay *r, enum what what, uint64_t value) {
    const struct entry expected = {(uint16_t)r->operation, (uint16_t)what, value};
    if (r->differs)
        return;
    r->missing = r->entry == r->end;
    if (!r->missing && r->entry->operation == expected.operation &&
        r->entry->what == expected.what && r->entry->value == expected.value) {
        r->entry++;
        return;
    }
    r->differs = true;
    r->expected = expected;
    if (!r->missing)
        r->found = *r->entry;
}

static uint64_t width_mask(unsigned size_log2) {
    return size_log2 == 3 ? UINT64_MAX : (UINT64_C(1) << (8U << size_log2)) - 1;
}

/* Where a field of the model is, and its width; NULL: it has none (no items). */
static uint64_t *model_field(struct model_node *n, enum field field, uint64_t i, uint64_t *mask) {
    *mask = width_mask(field < BYTE ? field : field - BYTE);
    switch (field) {
    case BYTE:
        return &n->byte[i % 5];
    case HALF:
        return &n->half[i % 3];
    case WORD:
        return &n->word[i % 3];
    case ITEM:
        return n->length > 0 ? &n->item[i % n->length] : NULL;
    default:
        return &n->single[field];
    }
}

static struct model_node **model_place(struct model_group *g, unsigned place) {
    struct model_node **at = &g->first;
    for (unsigned i = 0; i < place && *at != NULL; i++)
        at = &(*at)->next;
    return at;
}

static uint64_t model_identity(const struct model_node *n) { return n != NULL ? n->id : 0; }

static struct model_node *model_make(const struct operation *op, struct replay *r) {
    struct model_node *n =
        machine_alloc_aligned(sizeof *n + op->length * sizeof n->item[0], TM_CACHE_LINE);
    if (n == NULL) {
        fprintf(stderr, "random_programs: out of memory\n");
        abort();
    }
    expect(r, ZEROS, 0);
    n->id = op->value | 1;
    n->length = op->length;
    if (op->length > 0) {
        n->item[0] = op->value;
        n->item[op->length - 1] = ~op->value;
    }
    return n;
}

static void model_objects(struct model_group *g, const struct operation *op, struct replay *r) {
    struct model_node *n = op->listed ? *model_place(g, op->place) : g->slot[op->place];
    expect(r, OBJECT, model_identity(n));
    if (n == NULL)
        return;
    uint64_t mask = 0;
    uint64_t *field = model_field(n, op->field, op->index, &mask);
    const uint64_t value = field != NULL ? *field : 0;
    if (op->kind != WRITE)
        expect(r, VALUE, value);
    if (op->kind != READ && field != NULL)
        *field = (op->kind == WRITE ? op->value : value * 5 + op->value) & mask;
}

static void model_arrays(const struct world *w, struct model_group *g, const struct operation *op,
                         struct replay *r) {
    uint64_t *array = g->array[op->array];
    const uint64_t length = w->group[op->group].length[op->array], mask = width_mask(op->array);
    uint64_t *element = &array[op->index % length];
    uint64_t sum = 0;
    switch (op->kind) {
    case ARRAY_WRITE:
        *element = op->value & mask;
        break;
    case ARRAY_FILL:
        for (uint64_t k = 0; k < op->length; k++)
            array[(op->index + k) % length] = (op->value + k) & mask;
        break;
    case ARRAY_SUM:
        for (uint64_t k = 0; k < op->length; k++)
            sum = sum * 31 + array[(op->index + k) % length];
        expect(r, VALUE, sum);
        break;
    default:
        expect(r, VALUE, *element);
        if (op->kind == ARRAY_CHANGE)
            *element = (*element * 5 + op->value) & mask;
    }
}

static void model_operate(const struct world *w, struct model *m, const struct operation *op,
                          struct replay *r) {
    struct model_group *g = &m->group[op->group];
    struct model_node **place = &g->slot[op->place];
    struct model_node *n = NULL;
    switch (op->kind) {
    case READ:
    case WRITE:
    case CHANGE:
        model_objects(g, op, r);
        break;
    case NEW_IN_SLOT:
    case DROP_SLOT:
        expect(r, OBJECT, model_identity(*place));
        machine_free(*place);
        *place = op->kind == NEW_IN_SLOT ? model_make(op, r) : NULL;
        break;
    case SWAP:
        expect(r, OBJECT, model_identity(*place));
        n = *place;
        *place = g->slot[op->other];
        g->slot[op->other] = n;
        break;
    case WALK_LIST:
        n = g->first;
        for (unsigned k = 0; k < WALK && n != NULL; k++, n = n->next)
            expect(r, OBJECT, n->id);
        break;
    case NEW_IN_LIST:
        n = model_make(op, r);
        n->next = g->first;
        g->first = n;
        break;
    case DROP_FROM_LIST:
        place = model_place(g, op->place);
        n = *place;
        expect(r, OBJECT, model_identity(n));
        if (n != NULL)
            *place = n->next;
        machine_free(n);
        break;
    case PAUSE:
        break;
    default:
        model_arrays(w, g, op, r);
    }
}

static void model_tickets(const struct world *w, struct model *m, const struct plan *p,
                          struct replay *r) {
    for (unsigned g = 0; g < w->groups; g++) {
        if ((p->touched >> g & 1) == 0)
            continue;
        r->operation = g;
        expect(r, TICKET, m->group[g].ticket);
        if ((p->written >> g & 1) != 0)
            m->group[g].ticket++;
    }
}

static void model_block(const struct world *w, struct model *m, const struct plan *p,
                        struct replay *r) {
    if (p->ticket_first)
        model_tickets(w, m, p, r);
    for (unsigned i = 0; i < p->operations; i++) {
        const struct operation op = operation_of(w, p, i);
        r->operation = i;
        model_operate(w, m, &op, r);
    }
    if (!p->ticket_first)
        model_tickets(w, m, p, r);
}

/* ---- verification -------------------------------------------------------------------------- */

/* The ticket of the group that the block has logged. */
static uint64_t logged_ticket(const struct log *log, size_t block, unsigned group) {
    for (size_t i = block > 0 ? log->end[block - 1] : 0; i < log->end[block]; i++)
        if (log->entry[i].what == TICKET && log->entry[i].operation == group)
            return log->entry[i].value;
    return UINT64_MAX;
}

/* May this block come next?  Of its groups it has the current tickets, and where it writes nobody
 * has still to read the state before. */
static bool may_come(const struct world *w, const struct model *m, const struct plan *p,
                     const struct log *log, size_t block) {
    for (unsigned i = 0; i < w->groups; i++) {
        const struct model_group *g = &m->group[i];
        if ((p->touched >> i & 1) == 0)
            continue;
        if (logged_ticket(log, block, i) != g->ticket)
            return false;
        if ((p->written >> i & 1) != 0 && g->ticket < g->tickets && g->readers[g->ticket] > 0)
            return false;
    }
    return true;
}

/* Counts, or counts down, the block among the readers of tickets. */
static void count_reader(const struct world *w, struct model *m, const struct plan *p,
                         const struct log *log, size_t block, uint64_t by) {
    for (unsigned i = 0; i < w->groups; i++) {
        struct model_group *g = &m->group[i];
        if (((p->touched & ~p->written) >> i & 1) == 0)
            continue;
        const uint64_t ticket = logged_ticket(log, block, i);
        if (ticket < g->tickets)
            g->readers[ticket] += by;
    }
}

static void tell_difference(const struct replay *r, const struct world *w, const struct plan *p,
                            unsigned thread, size_t block, char *why, size_t why_size) {
    const struct entry *e = &r->expected;
    const char *kind =
        e->what == TICKET ? "ticket" : kind_names[operation_of(w, p, e->operation).kind];
    if (r->missing)
        snprintf(why, why_size, "thread %u block %zu operation %u (%s): no %s was logged", thread,
                 block, e->operation, kind, what_names[e->what]);
    else
        snprintf(why, why_size,
                 "thread %u block %zu operation %u (%s): read %#" PRIx64
                 " (%s of operation %u), the "
                 "serial order gives %#" PRIx64 " (%s)",
                 thread, block, e->operation, kind, r->found.value, what_names[r->found.what],
                 r->found.operation, e->value, what_names[e->what]);
}

/* Replays one block; false and why when a value differs. */
static bool replay_block(const struct world *w, struct model *m, unsigned thread, char *why,
                         size_t why_size) {
    const struct log *log = &w->log[thread];
    const size_t block = m->next[thread]++;
    const struct plan p = plan_of(w, thread, block);
    struct replay r = {.entry = &log->entry[block > 0 ? log->end[block - 1] : 0],
                       .end = &log->entry[log->end[block]]};
    count_reader(w, m, &p, log, block, UINT64_MAX);
    model_block(w, m, &p, &r);
    if (!r.differs && r.entry == r.end)
        return true;
    if (r.differs)
        tell_difference(&r, w, &p, thread, block, why, why_size);
    else
        snprintf(why, why_size, "thread %u block %zu read more than the serial order gives", thread,
                 block);
    return false;
}

static bool replay_all(const struct world *w, struct model *m, uint64_t blocks, char *why,
                       size_t why_size) {
    const unsigned threads = w->probe.threads;
    for (uint64_t done = 0; done < blocks; done++) {
        unsigned next = threads, waiting = threads;
        for (unsigned t = 0; t < threads && next == threads; t++) {
            if (m->next[t] == w->log[t].blocks)
                continue;
            const struct plan p = plan_of(w, t, m->next[t]);
            waiting = t;
            if (may_come(w, m, &p, &w->log[t], m->next[t]))
                next = t;
        }
        if (next == threads) {
            const unsigned group =
                (unsigned)__builtin_ctz(plan_of(w, waiting, m->next[waiting]).touched);
            snprintf(why, why_size,
                     "no serial order behind %" PRIu64 " of %" PRIu64
                     " blocks: thread %u block %zu "
                     "has ticket %" PRIu64 " of group %u, the next is %" PRIu64,
                     done, blocks, waiting, m->next[waiting],
                     logged_ticket(&w->log[waiting], m->next[waiting], group), group,
                     m->group[group].ticket);
            return false;
        }
        if (!replay_block(w, m, next, why, why_size))
            return false;
    }
    return true;
}

static bool same(const char *what, unsigned group, uint64_t found, uint64_t expected, char *why,
                 size_t why_size) {
    if (found == expected)
        return true;
    snprintf(why, why_size, "end state, group %u: %s is %#" PRIx64 ", expected %#" PRIx64, group,
             what, found, expected);
    return false;
}

static bool same_node(TM_SELF, unsigned group, node_ref node, struct model_node *n, char *why,
                      size_t why_size) {
    if (!same("identity of an object", group, identity(self, node), model_identity(n), why,
              why_size))
        return false;
    if (n == NULL)
        return true;
    if (!same("length of an object", group, tm_get(node, length), n->length, why, why_size))
        return false;
    for (unsigned f = 0; f < FIELDS; f++)
        for (uint64_t i = 0; i < (f == ITEM ? n->length : f < BYTE ? 1 : f == BYTE ? 5 : 3); i++) {
            uint64_t mask = 0;
            const uint64_t *value = model_field(n, (enum field)f, i, &mask);
            if (!same("field of an object", group, field_get(self, node, (enum field)f, i),
                      value != NULL ? *value : 0, why, why_size))
                return false;
        }
    return true;
}

static bool same_state(TM_SELF, const struct world *w, const struct model *m, char *why,
                       size_t why_size) {
    for (unsigned i = 0; i < w->groups; i++) {
        const struct group *g = &w->group[i];
        const struct model_group *mg = &m->group[i];
        if (!same("ticket", i, tm_get(g->ticket, next), mg->ticket, why, why_size))
            return false;
        for (unsigned s = 0; s < SLOTS; s++)
            if (!same_node(self, i, tm_get_at(g->slots, node, s), mg->slot[s], why, why_size))
                return false;
        node_ref node = tm_get(g->list, first);
        struct model_node *n = mg->first;
        for (; n != NULL; n = n->next, node = tm_get(node, next))
            if (!same_node(self, i, node, n, why, why_size))
                return false;
        if (!same("identity behind the end of the list", i, identity(self, node), 0, why, why_size))
            return false;
        for (unsigned a = 0; a < ARRAYS; a++)
            for (uint64_t k = 0; k < g->length[a]; k++)
                if (!same("element of an array", i, element_get(self, g, a, k), mg->array[a][k],
                          why, why_size))
                    return false;
    }
    return true;
}

static void model_free(const struct world *w, struct model *m) {
    for (unsigned i = 0; i < w->groups; i++) {
        struct model_group *g = &m->group[i];
        for (unsigned s = 0; s < SLOTS; s++)
            machine_free(g->slot[s]);
        for (struct model_node *n = g->first, *next = NULL; n != NULL; n = next) {
            next = n->next;
            machine_free(n);
        }
        for (unsigned a = 0; a < ARRAYS; a++)
            machine_free(g->array[a]);
        machine_free(g->readers);
    }
    machine_free(m->next);
}

static bool model_build(const struct world *w, struct model *m, uint64_t blocks) {
    m->next = machine_alloc_aligned(w->probe.threads * sizeof *m->next, TM_CACHE_LINE);
    bool ok = m->next != NULL;
    for (unsigned i = 0; i < w->groups; i++) {
        struct model_group *g = &m->group[i];
        g->tickets = blocks + 1;
        g->readers = machine_alloc_aligned(g->tickets * sizeof *g->readers, TM_CACHE_LINE);
        ok = ok && g->readers != NULL;
        for (unsigned a = 0; a < ARRAYS; a++) {
            g->array[a] =
                machine_alloc_aligned(w->group[i].length[a] * sizeof *g->array[a], TM_CACHE_LINE);
            ok = ok && g->array[a] != NULL;
        }
    }
    for (unsigned t = 0; ok && t < w->probe.threads; t++)
        for (size_t b = 0; b < w->log[t].blocks; b++) {
            const struct plan p = plan_of(w, t, b);
            count_reader(w, m, &p, &w->log[t], b, 1);
        }
    return ok;
}

static bool conformance_random_programs_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                               size_t why_size) {
    struct world *w = world;
    uint64_t blocks = 0;
    for (unsigned t = 0; t < w->probe.threads; t++)
        blocks += w->log[t].blocks;
    if (!probe_equal("blocks", blocks, ops, why, why_size))
        return false;
    struct model m;
    memset(&m, 0, sizeof m);
    bool ok = model_build(w, &m, blocks);
    if (!ok)
        snprintf(why, why_size, "out of memory");
    ok = ok && replay_all(w, &m, blocks, why, why_size) && same_state(self, w, &m, why, why_size);
    model_free(w, &m);
    w->verified = ok;
    return ok;
}

static void conformance_random_programs_teardown(TM_SELF, void *world) {
    struct world *w = world;
    /* Behind a failure lists may be endless, and freed objects in them. */
    for (unsigned i = 0; i < w->groups && w->verified; i++) {
        const struct group *g = &w->group[i];
        for (unsigned s = 0; s < SLOTS; s++)
            if (tm_get_at(g->slots, node, s) != NULL)
                tm_free(self, tm_get_at(g->slots, node, s));
        for (node_ref n = tm_get(g->list, first), next = NULL; n != NULL; n = next) {
            next = tm_get(n, next);
            tm_free(self, n);
        }
        tm_free(self, g->ticket);
        tm_free(self, g->slots);
        tm_free(self, g->list);
        tm_free(self, g->bytes);
        tm_free(self, g->halves);
        tm_free(self, g->words);
        tm_free(self, g->items);
    }
    for (unsigned t = 0; t < w->probe.threads; t++) {
        machine_free(w->log[t].entry);
        machine_free(w->log[t].end);
    }
    machine_free(w->log);
    probe_free(w);
}

TM_WORKLOAD(conformance_random_programs, .help = "random blocks agree with a sequential model",
            .params = conformance_random_programs_params,
            .setup = conformance_random_programs_setup,
            .verify = conformance_random_programs_verify,
            .teardown = conformance_random_programs_teardown);
