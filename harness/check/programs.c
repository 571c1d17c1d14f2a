/*
 * programs.c - the transactions that `allcores check` makes its programs of, compiled once per
 * engine on machine sim as workloads are.
 *
 * Each notes what it reads and writes (record.h).  What is noted is what tm.h promises: a read is
 * noted when its value is there, a write before it is made.  Between a block and the notes around
 * it nothing happens that another thread could see.
 */
#define TM_RESTARTS
#include "record.h"
#include "tm.h"

#include "lib/keyed.h"
#include "lib/list.h"
#include "lib/table.h"
#include "lib/tree.h"

struct node;
typedef TM_REF(struct node) node_ref;
struct node {
    TM_HEADER;
    uint64_t value;
    uint64_t name; /* its number, constant: an address may become that of another node (c7) */
    node_ref next; /* in the queue */
    uint64_t number, due;
};
#define QUEUE_ITEM struct node
#include "lib/queue.h"

enum { XS = 4, WORDS = 6, SLOTS = 2, KEYS = 8, INITIALLY = 5 };
enum { SESSIONS = 2, STEPS = 3 }; /* of the reactor */
/* Items between two words of the array: c7 treats pieces of a long object (cards of 256 bytes) as
 * objects of their own. */
enum { WORD_STRIDE = 64, ITEMS = (WORDS - 1) * WORD_STRIDE + 1 };

struct word {
    TM_HEADER;
    uint64_t value;
};
typedef TM_REF(struct word) word_ref;

struct words {
    TM_HEADER;
    uint64_t word[];
};
typedef TM_REF(struct words) words_ref;

struct small {
    TM_HEADER;
    uint8_t a, b;
    uint16_t c;
    uint32_t d;
};
typedef TM_REF(struct small) small_ref;

struct slot {
    TM_HEADER;
    node_ref node;
};
typedef TM_REF(struct slot) slot_ref;

/* Plain memory, constant after setup. */
struct world {
    unsigned needs;
    word_ref x[XS];
    words_ref words;
    small_ref small;
    slot_ref slot[SLOTS];
    word_ref tokens;
    list_ref list;
    tree_ref tree;
    table_ref table;
    keyed_ref keyed;
    queue_ref queue;
    word_ref session[SESSIONS];
};

/* ---- notes ---------------------------------------------------------------------------------- */

#define GET(variable, ref, field)                                                                  \
    ({                                                                                             \
        const __auto_type got_ = tm_get(ref, field);                                               \
        check_note(me, CHECK_READ, (variable), (uint64_t)got_);                                    \
        got_;                                                                                      \
    })
#define SET(variable, ref, field, v)                                                               \
    do {                                                                                           \
        const __typeof__(tm_get(ref, field)) set_ = (__typeof__(set_))(v);                         \
        check_note(me, CHECK_WRITE, (variable), (uint64_t)set_);                                   \
        tm_set(ref, field, set_);                                                                  \
    } while (0)

/* `restrict` blocks: what a block notes first and last. */
#define BLOCK_BEGINS check_note(me, CHECK_BEGIN, 0, 0)
#define BLOCK_ENDS check_note(me, CHECK_ASK, 0, 0)
#define INVOKE check_note(me, CHECK_INVOKE, 0, 0)
#define RETURN check_note(me, CHECK_RETURN, 0, 0)

#define TRANSACTION(name)                                                                          \
    static TM_NOINLINE void name(TM_SELF, struct world *w, struct check_me *me);                   \
    static void name##_entry(TM_SELF, void *world, struct check_me *me) { name(self, world, me); } \
    static TM_NOINLINE void name(TM_SELF, struct world *w, struct check_me *me)

static uint64_t x_get(TM_SELF, struct world *w, struct check_me *me, unsigned i) {
    return GET(CHECK_X + i, w->x[i], value);
}
static void x_set(TM_SELF, struct world *w, struct check_me *me, unsigned i) {
    SET(CHECK_X + i, w->x[i], value, check_unique(me));
}

static unsigned number_of(TM_SELF, node_ref node) {
    return node == NULL ? 0 : check_node(tm_get(node, name));
}

static node_ref slot_get(TM_SELF, struct world *w, struct check_me *me, unsigned i) {
    const node_ref node = tm_get(w->slot[i], node);
    check_note(me, CHECK_READ, CHECK_SLOT + i, number_of(self, node));
    return node;
}
static void slot_set(TM_SELF, struct world *w, struct check_me *me, unsigned i, node_ref node) {
    check_note(me, CHECK_WRITE, CHECK_SLOT + i, number_of(self, node));
    tm_set(w->slot[i], node, node);
}
static uint64_t node_get(TM_SELF, struct check_me *me, node_ref node) {
    return GET(CHECK_NODE + number_of(self, node), node, value);
}
static void node_set(TM_SELF, struct check_me *me, node_ref node) {
    SET(CHECK_NODE + number_of(self, node), node, value, check_unique(me));
}
static node_ref node_new(TM_SELF, struct check_me *me) {
    const node_ref node = tm_new(self, struct node);
    tm_set(node, name, check_new_node(me));
    return node;
}

/* ---- words ---------------------------------------------------------------------------------- */

TRANSACTION(read_only) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        (void)x_get(self, w, me, 0);
        (void)x_get(self, w, me, 1);
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(write_only) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        x_set(self, w, me, 0);
        x_set(self, w, me, 1);
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(read_modify_write) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        (void)x_get(self, w, me, 0);
        x_set(self, w, me, 0);
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(skew_left) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        (void)x_get(self, w, me, 0);
        (void)x_get(self, w, me, 1);
        x_set(self, w, me, 0);
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(skew_right) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        (void)x_get(self, w, me, 0);
        (void)x_get(self, w, me, 1);
        x_set(self, w, me, 1);
        BLOCK_ENDS;
    }
    RETURN;
}

/* Reads its own writes, and what it has read before. */
TRANSACTION(again) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        (void)x_get(self, w, me, 1);
        x_set(self, w, me, 0);
        (void)x_get(self, w, me, 0);
        (void)x_get(self, w, me, 1);
        x_set(self, w, me, 0);
        (void)x_get(self, w, me, 0);
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(scan) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        for (unsigned i = 0; i < WORDS; i++) {
            const uint64_t v = tm_get_at(w->words, word, i * WORD_STRIDE);
            check_note(me, CHECK_READ, CHECK_WORD + i, v);
        }
        x_set(self, w, me, 0);
        BLOCK_ENDS;
    }
    RETURN;
}

/* Two words of those that scan reads, the first and the last. */
TRANSACTION(ends) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        for (unsigned i = 0; i < WORDS; i += WORDS - 1) {
            const uint64_t v = check_unique(me);
            check_note(me, CHECK_WRITE, CHECK_WORD + i, v);
            tm_set_at(w->words, word, i * WORD_STRIDE, v);
        }
        BLOCK_ENDS;
    }
    RETURN;
}

/* Neighbours in one word: each block leaves the others' bytes alone. */
TRANSACTION(small_left) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        (void)GET(CHECK_SMALL + 1, w->small, b);
        SET(CHECK_SMALL, w->small, a, check_unique(me));
        SET(CHECK_SMALL + 2, w->small, c, check_unique(me));
        (void)GET(CHECK_SMALL + 2, w->small, c);
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(small_right) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        (void)GET(CHECK_SMALL + 3, w->small, d);
        SET(CHECK_SMALL + 1, w->small, b, check_unique(me));
        SET(CHECK_SMALL + 3, w->small, d, check_unique(me));
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(nested) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        (void)x_get(self, w, me, 0);
        atomic (self) {
            x_set(self, w, me, 1);
        }
        (void)x_get(self, w, me, 1);
        atomic (self) {
            (void)x_get(self, w, me, 2);
        }
        x_set(self, w, me, 0);
        BLOCK_ENDS;
    }
    RETURN;
}

/* Gives up its first execution, after a write where the engine can undo that. */
TRANSACTION(undo) {
    bool again = false;
    INVOKE;
    bool *given_up = &again;
    atomic (self) {
        BLOCK_BEGINS;
        (void)x_get(self, w, me, 0);
        if (!*given_up) {
            *given_up = true;
            if (me->undo) {
                x_set(self, w, me, 1);
                tm_free(self, node_new(self, me));
            }
            check_note(me, CHECK_GIVE_UP, 0, 0);
            tm_abort_restart(self);
        }
        x_set(self, w, me, 0);
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(irrevocable) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        (void)x_get(self, w, me, 0);
        x_set(self, w, me, 1);
        tm_irrevocable(self);
        check_note(me, CHECK_IRREVOCABLE, 0, 0);
        (void)x_get(self, w, me, 1);
        (void)x_get(self, w, me, 2);
        x_set(self, w, me, 0);
        BLOCK_ENDS;
    }
    RETURN;
}

/* ---- waiting -------------------------------------------------------------------------------- */

TRANSACTION(put_token) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        const uint64_t tokens = GET(CHECK_TOKENS, w->tokens, value);
        SET(CHECK_TOKENS, w->tokens, value, tokens + 1);
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(get_token) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        const uint64_t tokens = GET(CHECK_TOKENS, w->tokens, value);
        if (tokens == 0) {
            check_note(me, CHECK_GIVE_UP, 0, 0);
            tm_retry(self);
        }
        SET(CHECK_TOKENS, w->tokens, value, tokens - 1);
        BLOCK_ENDS;
    }
    RETURN;
}

/* ---- objects that come and go --------------------------------------------------------------- */

TRANSACTION(replace) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        const node_ref old = slot_get(self, w, me, 0);
        const node_ref new = node_new(self, me);
        (void)node_get(self, me, new);
        node_set(self, me, new);
        slot_set(self, w, me, 0, new);
        if (old != NULL)
            tm_free(self, old);
        BLOCK_ENDS;
    }
    RETURN;
}

/* The same in an irrevocable block, which nothing can undo. */
TRANSACTION(irrevocable_replace) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        const node_ref old = slot_get(self, w, me, 0);
        tm_irrevocable(self);
        check_note(me, CHECK_IRREVOCABLE, 0, 0);
        const node_ref new = node_new(self, me);
        node_set(self, me, new);
        slot_set(self, w, me, 0, new);
        if (old != NULL)
            tm_free(self, old);
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(follow) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        const node_ref node = slot_get(self, w, me, 0);
        if (node != NULL) {
            (void)node_get(self, me, node);
            (void)node_get(self, me, node);
        }
        BLOCK_ENDS;
    }
    RETURN;
}

TRANSACTION(bump) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        const node_ref node = slot_get(self, w, me, 0);
        if (node != NULL) {
            (void)node_get(self, me, node);
            node_set(self, me, node);
        }
        BLOCK_ENDS;
    }
    RETURN;
}

/* A block whose object nobody else ever sees. */
TRANSACTION(passing) {
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        const node_ref node = node_new(self, me);
        node_set(self, me, node);
        (void)x_get(self, w, me, 0);
        tm_free(self, node);
        BLOCK_ENDS;
    }
    RETURN;
}

static void plain_get(TM_SELF, struct check_me *me, node_ref node) {
    const uint64_t v = tm_plain_get(node, value);
    check_note(me, CHECK_PLAIN_READ, CHECK_NODE + check_node(tm_plain_get(node, name)), v);
}
static void plain_set(TM_SELF, struct check_me *me, node_ref node) {
    const uint64_t v = check_unique(me);
    check_note(me, CHECK_PLAIN_WRITE, CHECK_NODE + check_node(tm_plain_get(node, name)), v);
    tm_plain_set(node, value, v);
}

/* Detaches, works on it with plain accesses, publishes it again. */
TRANSACTION(privatise) {
    node_ref mine = NULL;
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        const node_ref node = slot_get(self, w, me, 0);
        if (node != NULL)
            slot_set(self, w, me, 0, NULL);
        mine = node;
        BLOCK_ENDS;
    }
    RETURN;
    if (mine == NULL)
        return;
    plain_get(self, me, mine);
    plain_set(self, me, mine);
    plain_get(self, me, mine);
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        const node_ref other = slot_get(self, w, me, 0);
        if (other != NULL)
            tm_free(self, other);
        slot_set(self, w, me, 0, mine);
        BLOCK_ENDS;
    }
    RETURN;
}

/* Allocates without a reference to it, fills it in with plain accesses, publishes it. */
TRANSACTION(publish) {
    node_ref mine = NULL;
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        mine = node_new(self, me);
        BLOCK_ENDS;
    }
    RETURN;
    plain_get(self, me, mine);
    plain_set(self, me, mine);
    INVOKE;
    atomic (self) {
        BLOCK_BEGINS;
        const node_ref other = slot_get(self, w, me, 0);
        slot_set(self, w, me, 0, mine);
        if (other != NULL)
            tm_free(self, other);
        BLOCK_ENDS;
    }
    RETURN;
}

/* ---- containers ----------------------------------------------------------------------------- */

/* `done`: the operation said that it has changed something. */
static void noted(struct check_me *me, unsigned variable, bool inserts, bool done) {
    check_note(me, CHECK_READ, variable, inserts != done);
    if (done)
        check_note(me, CHECK_WRITE, variable, inserts);
}

#define CONTAINER(name, ...)                                                                       \
    TRANSACTION(name) {                                                                            \
        INVOKE;                                                                                    \
        atomic (self) {                                                                            \
            BLOCK_BEGINS;                                                                          \
            __VA_ARGS__;                                                                           \
            BLOCK_ENDS;                                                                            \
        }                                                                                          \
        RETURN;                                                                                    \
    }

/* Keys 0, 1, .. 4 are there at first. */
CONTAINER(list_add, noted(me, CHECK_LIST + 5, true, list_insert(self, w->list, 5)))
CONTAINER(list_drop, noted(me, CHECK_LIST + 3, false, list_remove(self, w->list, 3)))
CONTAINER(list_drop_next, noted(me, CHECK_LIST + 4, false, list_remove(self, w->list, 4)))
CONTAINER(list_look,
          for (unsigned key = 3; key < 6; key++)
              check_note(me, CHECK_READ, CHECK_LIST + key, list_contains(self, w->list, key)))
CONTAINER(tree_add, noted(me, CHECK_TREE + 5, true, tree_insert(self, w->tree, 5)))
CONTAINER(tree_drop, noted(me, CHECK_TREE + 1, false, tree_remove(self, w->tree, 1)))
CONTAINER(tree_drop_next, noted(me, CHECK_TREE + 0, false, tree_remove(self, w->tree, 0)))
CONTAINER(tree_look,
          for (unsigned key = 0; key < 7; key += 3)
              check_note(me, CHECK_READ, CHECK_TREE + key, tree_contains(self, w->tree, key)))

static uint64_t table_value_of(TM_SELF, table_ref table, uint64_t key) {
    const uint64_t entry = table_find(self, table, key);
    return entry == TABLE_NONE ? 0 : table_value(self, table, entry);
}

/* A full table grows when a key is added. */
static void table_write(TM_SELF, struct world *w, struct check_me *me, uint64_t key) {
    const uint64_t entry = table_find(self, w->table, key), v = check_unique(me);
    check_note(me, CHECK_READ, CHECK_TABLE + (unsigned)key,
               entry == TABLE_NONE ? 0 : table_value(self, w->table, entry));
    check_note(me, CHECK_WRITE, CHECK_TABLE + (unsigned)key, v);
    if (entry == TABLE_NONE)
        table_add(self, w->table, key, v);
    else
        table_set_value(self, w->table, entry, v);
}
CONTAINER(table_put, table_write(self, w, me, 6))
CONTAINER(table_change, table_write(self, w, me, 4))
CONTAINER(table_drop, {
    const uint64_t slot = table_slot(self, w->table, 1);
    check_note(me, CHECK_READ, CHECK_TABLE + 1, table_value_of(self, w->table, 1));
    if (slot != TABLE_NONE) {
        check_note(me, CHECK_WRITE, CHECK_TABLE + 1, 0);
        table_remove(self, w->table, slot);
    }
})
CONTAINER(table_look,
          for (unsigned key = 1; key < 7; key++)
              check_note(me, CHECK_READ, CHECK_TABLE + key, table_value_of(self, w->table, key)))

CONTAINER(keyed_add, {
    const uint64_t v = check_unique(me);
    const bool done = keyed_insert(self, w->keyed, 5, v, me->thread);
    noted(me, CHECK_KEYED + 5, true, done);
})
CONTAINER(keyed_drop, {
    uint64_t v = 0;
    const bool done = keyed_remove(self, w->keyed, 2, me->thread, &v);
    noted(me, CHECK_KEYED + 2, false, done);
})
CONTAINER(keyed_look, {
    uint64_t there = 0;
    for (unsigned key = 0; key < KEYS; key++) {
        const bool is = keyed_find(self, w->keyed, key) != NULL;
        check_note(me, CHECK_READ, CHECK_KEYED + key, is);
        there += is;
    }
    /* Their number is part of the state: a variable that no operation writes would not see it. */
    if (keyed_size(self, w->keyed) != there)
        check_note(me, CHECK_READ, CHECK_KEYED, UINT64_MAX);
})

CONTAINER(queue_in, {
    const node_ref item = node_new(self, me);
    check_note(me, CHECK_PUSH, 0, number_of(self, item));
    queue_push(self, w->queue, item);
})
CONTAINER(queue_out, {
    const node_ref item = queue_pop(self, w->queue);
    check_note(me, CHECK_POP, 0, number_of(self, item));
    if (item != NULL)
        tm_free(self, item);
})

/* ---- a reactor ------------------------------------------------------------------------------ */

/* What the state of a session is when it has been through its first `steps` events in order: a
 * state before them and one of another order are others. */
static uint64_t session_after(uint64_t steps) {
    uint64_t state = 0;
    for (uint64_t step = 0; step < steps; step++)
        state = state * 10 + step + 1;
    return state;
}

static uint64_t session_get(TM_SELF, struct world *w, struct check_me *me, unsigned s) {
    return GET(CHECK_SESSION + s, w->session[s], value);
}

static void event_new(TM_SELF, struct world *w, struct check_me *me, uint64_t session,
                      uint64_t step) {
    const node_ref event = node_new(self, me);
    tm_set(event, value, session * STEPS + step);
    check_note(me, CHECK_PUSH, 0, number_of(self, event));
    queue_push(self, w->queue, event);
}

/* The oldest event, if there is one: changes the state of its session, and the next one follows it
 * at the end of the queue.  False when there is none. */
static bool handle_event(TM_SELF, struct world *w, struct check_me *me) {
    const node_ref event = queue_pop(self, w->queue);
    check_note(me, CHECK_POP, 0, number_of(self, event));
    if (event == NULL)
        return false;
    const uint64_t session = tm_get(event, value) / STEPS % SESSIONS;
    const uint64_t step = tm_get(event, value) % STEPS;
    const uint64_t state = session_get(self, w, me, (unsigned)session);
    SET(CHECK_SESSION + (unsigned)session, w->session[session], value, state * 10 + step + 1);
    if (step + 1 < STEPS)
        event_new(self, w, me, session, step + 1);
    tm_free(self, event);
    return true;
}

CONTAINER(event, (void)handle_event(self, w, me))

/* What is left is done by one thread.  Then every session must be in the state that one thread
 * alone brings it to. */
static void finish_reactor(TM_SELF, struct world *w, struct check_me *me) {
    INVOKE;
    BLOCK_BEGINS;
    unsigned events = 0; /* of a reactor that is in order: no more than there are */
    while (events < SESSIONS * STEPS && handle_event(self, w, me))
        events++;
    BLOCK_ENDS;
    RETURN;
    INVOKE;
    BLOCK_BEGINS;
    for (unsigned s = 0; s < SESSIONS; s++)
        if (session_get(self, w, me, s) != session_after(STEPS))
            check_note(me, CHECK_READ, CHECK_SESSION + s, UINT64_MAX); /* that nobody wrote */
    BLOCK_ENDS;
    RETURN;
}

/* ---- the world ------------------------------------------------------------------------------ */

static void *setup(TM_SELF, struct check_me *me, unsigned needs) {
    struct world *w = machine_alloc_aligned(sizeof *w, TM_CACHE_LINE);
    if (w == NULL)
        return NULL;
    w->needs = needs;
    for (unsigned i = 0; i < XS; i++) {
        w->x[i] = tm_new(self, struct word);
        check_note(me, CHECK_INITIAL, CHECK_X + i, 0);
    }
    w->words = tm_new_array(self, struct words, word, ITEMS);
    w->small = tm_new(self, struct small);
    w->tokens = tm_new(self, struct word);
    for (unsigned i = 0; i < SLOTS; i++)
        w->slot[i] = tm_new(self, struct slot);
    if (needs & CHECK_NEEDS_NODES) {
        const node_ref node = node_new(self, me);
        tm_set(w->slot[0], node, node);
        check_note(me, CHECK_INITIAL, CHECK_SLOT, number_of(self, node));
    }
    if (needs & CHECK_NEEDS_LIST)
        w->list = list_new(self);
    if (needs & CHECK_NEEDS_TREE)
        w->tree = tree_new(self);
    if (needs & CHECK_NEEDS_TABLE)
        w->table = table_new(self);
    if (needs & CHECK_NEEDS_KEYED)
        w->keyed = keyed_new(self, 1, 8);
    if (needs & (CHECK_NEEDS_QUEUE | CHECK_NEEDS_REACTOR))
        w->queue = tm_new(self, struct queue);
    for (unsigned s = 0; s < SESSIONS && (needs & CHECK_NEEDS_REACTOR); s++) {
        w->session[s] = tm_new(self, struct word);
        event_new(self, w, me, s, 0);
    }
    if (needs & CHECK_NEEDS_QUEUE) {
        const node_ref item = node_new(self, me);
        check_note(me, CHECK_PUSH, 0, number_of(self, item));
        queue_push(self, w->queue, item);
    }
    for (unsigned key = 0; key < INITIALLY; key++) {
        if (needs & CHECK_NEEDS_LIST) {
            (void)list_insert(self, w->list, key);
            check_note(me, CHECK_INITIAL, CHECK_LIST + key, 1);
        }
        if (needs & CHECK_NEEDS_TREE) {
            (void)tree_insert(self, w->tree, key);
            check_note(me, CHECK_INITIAL, CHECK_TREE + key, 1);
        }
        if (needs & CHECK_NEEDS_TABLE) {
            const uint64_t v = check_unique(me);
            table_add(self, w->table, key, v);
            check_note(me, CHECK_INITIAL, CHECK_TABLE + key, v);
        }
        if (needs & CHECK_NEEDS_KEYED) {
            (void)keyed_insert(self, w->keyed, key, 1, 0);
            check_note(me, CHECK_INITIAL, CHECK_KEYED + key, 1);
        }
    }
    return w;
}

/* Is it a red-black tree?  The number of black nodes on each path, 0 if it is none. */
static unsigned black_height(TM_SELF, tree_node_ref node) {
    if (node == NULL)
        return 1;
    for (unsigned side = 0; side < 2; side++) {
        const tree_node_ref child = tm_get_at(node, child, side);
        if (child != NULL && (tm_get(child, parent) != node ||
                              (tree_is_red(self, node) && tree_is_red(self, child))))
            return 0;
    }
    const unsigned left = black_height(self, tm_get_at(node, child, 0));
    const unsigned right = black_height(self, tm_get_at(node, child, 1));
    return left == 0 || left != right ? 0 : left + !tree_is_red(self, node);
}

static void final(TM_SELF, void *world, struct check_me *me) {
    struct world *w = world;
    if (w->needs & CHECK_NEEDS_REACTOR)
        finish_reactor(self, w, me);
    INVOKE;
    BLOCK_BEGINS;
    for (unsigned i = 0; i < XS; i++)
        (void)x_get(self, w, me, i);
    for (unsigned i = 0; i < WORDS; i++)
        check_note(me, CHECK_READ, CHECK_WORD + i, tm_get_at(w->words, word, i * WORD_STRIDE));
    (void)GET(CHECK_SMALL, w->small, a);
    (void)GET(CHECK_SMALL + 1, w->small, b);
    (void)GET(CHECK_SMALL + 2, w->small, c);
    (void)GET(CHECK_SMALL + 3, w->small, d);
    (void)GET(CHECK_TOKENS, w->tokens, value);
    for (unsigned i = 0; i < SLOTS; i++) {
        const node_ref node = slot_get(self, w, me, i);
        if (node != NULL)
            (void)node_get(self, me, node);
    }
    for (unsigned key = 0; key < KEYS; key++) {
        if (w->needs & CHECK_NEEDS_LIST)
            check_note(me, CHECK_READ, CHECK_LIST + key, list_contains(self, w->list, key));
        if (w->needs & CHECK_NEEDS_TREE)
            check_note(me, CHECK_READ, CHECK_TREE + key, tree_contains(self, w->tree, key));
        if (w->needs & CHECK_NEEDS_TABLE)
            check_note(me, CHECK_READ, CHECK_TABLE + key, table_value_of(self, w->table, key));
        if (w->needs & CHECK_NEEDS_KEYED)
            check_note(me, CHECK_READ, CHECK_KEYED + key, keyed_find(self, w->keyed, key) != NULL);
    }
    if (w->needs & CHECK_NEEDS_TREE) {
        const tree_node_ref root = tm_get(w->tree, root);
        if (black_height(self, root) == 0 || tree_is_red(self, root))
            check_note(me, CHECK_READ, CHECK_TREE, UINT64_MAX); /* a value that nobody wrote */
    }
    if (w->needs & CHECK_NEEDS_QUEUE)
        for (;;) {
            const node_ref item = queue_pop(self, w->queue);
            check_note(me, CHECK_POP, 0, number_of(self, item));
            if (item == NULL)
                break;
            tm_free(self, item);
        }
    BLOCK_ENDS;
    RETURN;
}

static void teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (unsigned i = 0; i < XS; i++)
        tm_free(self, w->x[i]);
    tm_free(self, w->words);
    tm_free(self, w->small);
    tm_free(self, w->tokens);
    for (unsigned i = 0; i < SLOTS; i++) {
        const node_ref node = tm_get(w->slot[i], node);
        if (node != NULL)
            tm_free(self, node);
        tm_free(self, w->slot[i]);
    }
    if (w->list != NULL)
        list_free(self, w->list);
    if (w->tree != NULL)
        tree_free(self, w->tree);
    if (w->table != NULL)
        table_free(self, w->table);
    if (w->keyed != NULL)
        keyed_free(self, w->keyed);
    if (w->queue != NULL)
        tm_free(self, w->queue);
    for (unsigned s = 0; s < SESSIONS; s++)
        if (w->session[s] != NULL)
            tm_free(self, w->session[s]);
    machine_free(w);
}

/* ---- the catalogue -------------------------------------------------------------------------- */

static const struct check_transaction transactions[] = {
    {"ro", "reads two words", 0, read_only_entry},
    {"wo", "writes two words", 0, write_only_entry},
    {"rmw", "reads and writes a word", 0, read_modify_write_entry},
    {"skewl", "reads two words, writes the first", 0, skew_left_entry},
    {"skewr", "reads two words, writes the second", 0, skew_right_entry},
    {"again", "reads what it has read and written", 0, again_entry},
    {"scan", "reads an array, writes a word", 0, scan_entry},
    {"ends", "writes both ends of the array", 0, ends_entry},
    {"smalll", "bytes of a word", 0, small_left_entry},
    {"smallr", "other bytes of the word", 0, small_right_entry},
    {"nest", "nested blocks", 0, nested_entry},
    {"undo", "gives up its first execution", 0, undo_entry},
    {"irr", "becomes irrevocable", 0, irrevocable_entry},
    {"put", "puts a token", CHECK_PUTS, put_token_entry},
    {"get", "waits for a token and takes it", CHECK_GETS, get_token_entry},
    {"replace", "allocates an object and frees the one before", CHECK_NEEDS_NODES, replace_entry},
    {"follow", "reads through a reference", CHECK_NEEDS_NODES, follow_entry},
    {"bump", "writes through a reference", CHECK_NEEDS_NODES, bump_entry},
    {"passing", "allocates and frees in one block", CHECK_NEEDS_NODES, passing_entry},
    {"priv", "detaches an object, plain accesses, publishes it", CHECK_NEEDS_NODES,
     privatise_entry},
    {"pub", "fills a new object in with plain accesses, publishes it", CHECK_NEEDS_NODES,
     publish_entry},
    {"ladd", "list: inserts behind the last key", CHECK_NEEDS_LIST, list_add_entry},
    {"ldrop", "list: removes a key", CHECK_NEEDS_LIST, list_drop_entry},
    {"ldrop2", "list: removes the next one", CHECK_NEEDS_LIST, list_drop_next_entry},
    {"llook", "list: looks keys up", CHECK_NEEDS_LIST, list_look_entry},
    {"tadd", "tree: inserts a key", CHECK_NEEDS_TREE, tree_add_entry},
    {"tdrop", "tree: removes a key", CHECK_NEEDS_TREE, tree_drop_entry},
    {"tdrop2", "tree: removes a neighbour", CHECK_NEEDS_TREE, tree_drop_next_entry},
    {"tlook", "tree: looks keys up", CHECK_NEEDS_TREE, tree_look_entry},
    {"dput", "table: inserts into a full one", CHECK_NEEDS_TABLE, table_put_entry},
    {"dset", "table: changes a value", CHECK_NEEDS_TABLE, table_change_entry},
    {"ddrop", "table: removes a key", CHECK_NEEDS_TABLE, table_drop_entry},
    {"dlook", "table: looks keys up", CHECK_NEEDS_TABLE, table_look_entry},
    {"kadd", "keyed: inserts a key", CHECK_NEEDS_KEYED, keyed_add_entry},
    {"kdrop", "keyed: removes a key", CHECK_NEEDS_KEYED, keyed_drop_entry},
    {"klook", "keyed: looks keys up, and counts", CHECK_NEEDS_KEYED, keyed_look_entry},
    {"qin", "queue: appends an item", CHECK_NEEDS_QUEUE, queue_in_entry},
    {"qout", "queue: takes the oldest", CHECK_NEEDS_QUEUE, queue_out_entry},
    {"event", "reactor: handles the oldest event", CHECK_NEEDS_REACTOR | CHECK_BY_NAME,
     event_entry},
    {"ireplace", "replaces an object in an irrevocable block", CHECK_NEEDS_NODES | CHECK_BY_NAME,
     irrevocable_replace_entry},
    {NULL, NULL, 0, NULL},
};

static const struct check_catalogue catalogue = {
    .engine = &tm_engine_descriptor,
    .transactions = transactions,
    .setup = setup,
    .final = final,
    .teardown = teardown,
};
TM_REGISTER(tm_checks, struct check_catalogue, catalogue);
