/*
 * check_history.c - the recorder, and the judgement.  See check_history.h.
 */
#include "check_history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const check_failure_names[CHECK_FAILURES] = {
    [CHECK_OK] = "ok",
    [CHECK_NOT_SERIALISABLE] = "not serialisable",
    [CHECK_DIRTY_READ] = "dirty read",
    [CHECK_OWN_WRITE_LOST] = "own write lost",
    [CHECK_IRREVOCABLE_ABORTED] = "irrevocable block aborted",
    [CHECK_IRREVOCABLE_TWICE] = "two irrevocable blocks at a time",
    [CHECK_DEADLOCK] = "deadlock",
    [CHECK_NO_PROGRESS] = "no progress",
    [CHECK_USE_AFTER_FREE] = "use after free",
    [CHECK_WILD_ACCESS] = "wild access",
    [CHECK_CRASH] = "crash",
    [CHECK_LEAK] = "leak",
};

/* ---- the recorder --------------------------------------------------------------------------- */

void check_history_reset(struct check_history *h, const struct machine_explorer *explorer) {
    h->notes = 0;
    h->overflow = false;
    h->unique = 0;
    h->nodes = 0;
    h->explorer = explorer;
    h->undrained = 0;
}

/* Blocks whose last store has left its thread's buffer since the last note. */
static void look_at_buffers(struct check_history *h) {
    uint64_t events[EXPLORE_STORES];
    for (unsigned i = h->notes; i-- > 0 && h->undrained > 0;) {
        struct check_noted *n = &h->note[i];
        if (n->kind != CHECK_RETURN || n->visible != UINT64_MAX)
            continue;
        const unsigned stores = h->explorer->stores(n->thread, events);
        if (stores == 0 || events[0] > n->event) {
            n->visible = h->notes;
            h->undrained--;
        }
    }
}

void check_note(struct check_me *me, enum check_kind kind, unsigned variable, uint64_t value) {
    struct check_history *h = me->history;
    if (h->notes == CHECK_NOTES) {
        h->overflow = true;
        return;
    }
    if (h->undrained > 0)
        look_at_buffers(h);
    const bool thread = h->explorer != NULL && me->thread < EXPLORE_THREADS;
    struct check_noted *n = &h->note[h->notes];
    *n = (struct check_noted){(uint8_t)kind,
                              (uint8_t)me->thread,
                              (uint16_t)variable,
                              value,
                              thread ? h->explorer->events(me->thread) : 0,
                              h->notes};
    if (kind == CHECK_RETURN && thread) {
        uint64_t events[EXPLORE_STORES];
        if (h->explorer->stores(me->thread, events) > 0) {
            n->visible = UINT64_MAX;
            h->undrained++;
        }
    }
    h->notes++;
}

uint64_t check_unique(struct check_me *me) { return ++me->history->unique; }

unsigned check_new_node(struct check_me *me) {
    struct check_history *h = me->history;
    if (h->nodes == CHECK_NODES)
        h->overflow = true;
    else
        h->nodes++;
    return h->nodes;
}

/* ---- texts ---------------------------------------------------------------------------------- */

void check_variable_name(unsigned v, char *text, size_t size) {
    static const struct {
        unsigned first;
        const char *name;
    } ranges[] = {{CHECK_NODE, "node"},
                  {CHECK_SESSION, "session"},
                  {CHECK_KEYED, "keyed"},
                  {CHECK_TABLE, "table"},
                  {CHECK_TREE, "tree"},
                  {CHECK_LIST, "list"},
                  {CHECK_TOKENS, "tokens"},
                  {CHECK_SLOT, "slot"},
                  {CHECK_SMALL, "small"},
                  {CHECK_WORD, "word"},
                  {CHECK_X, "x"}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (v >= ranges[i].first) {
            snprintf(text, size, "%s%u", ranges[i].name, v - ranges[i].first);
            return;
        }
}

void check_note_text(const struct check_noted *n, char *text, size_t size) {
    char name[32];
    check_variable_name(n->variable, name, sizeof name);
    const unsigned long v = (unsigned long)n->value;
    switch ((enum check_kind)n->kind) {
    case CHECK_INVOKE:
        snprintf(text, size, "block");
        break;
    case CHECK_BEGIN:
        snprintf(text, size, "begins");
        break;
    case CHECK_READ:
        snprintf(text, size, "reads %s = %lu", name, v);
        break;
    case CHECK_WRITE:
        snprintf(text, size, "writes %s = %lu", name, v);
        break;
    case CHECK_PUSH:
        snprintf(text, size, "pushes %lu", v);
        break;
    case CHECK_POP:
        snprintf(text, size, "pops %lu", v);
        break;
    case CHECK_IRREVOCABLE:
        snprintf(text, size, "is irrevocable");
        break;
    case CHECK_GIVE_UP:
        snprintf(text, size, "gives up");
        break;
    case CHECK_ASK:
        snprintf(text, size, "asks to commit");
        break;
    case CHECK_RETURN:
        snprintf(text, size, "has committed");
        break;
    case CHECK_PLAIN_READ:
        snprintf(text, size, "plain read %s = %lu", name, v);
        break;
    case CHECK_PLAIN_WRITE:
        snprintf(text, size, "plain write %s = %lu", name, v);
        break;
    default:
        snprintf(text, size, "initially %s = %lu", name, v);
        break;
    }
}

/* ---- executions ----------------------------------------------------------------------------- */

struct access {
    uint16_t variable;
    bool write;
    uint64_t value;
    unsigned time;
};

struct execution {
    unsigned first, count;  /* of its accesses: reads of others' writes, and its last writes */
    unsigned queue, queued; /* notes CHECK_PUSH and CHECK_POP: where they start, how many */
    uint64_t begin, end;    /* in notes; end UINT64_MAX: never */
    uint64_t asked;         /* UINT64_MAX: did not */
    unsigned note;          /* of its beginning */
    uint8_t lane;
    bool committed, writes;
};

enum { EXECUTIONS = 2048, MEMO = 1 << 14 };

/* Of one judgement; one host thread judges. */
static struct judge {
    struct check_history *h;
    struct access access[CHECK_NOTES];
    unsigned accesses;
    uint64_t queue[CHECK_NOTES]; /* item << 1 | pop */
    unsigned queue_time[CHECK_NOTES];
    unsigned queued;
    struct execution execution[EXECUTIONS];
    unsigned executions;
    unsigned *lane[CHECK_LANES], in_lane[CHECK_LANES]; /* executions of each thread, in order */
    unsigned lanes[EXECUTIONS];
    uint64_t value[CHECK_VARIABLES];
    uint64_t items[CHECK_QUEUE]; /* a ring */
    unsigned head, tail;
    unsigned next[CHECK_LANES];
    unsigned placed;
    uint64_t dead[MEMO]; /* hashes of states from which there is no order; 0: free */
    unsigned remembered;
    char *why;
    size_t why_size;
} j;

/* The value that this execution has written to the variable; NULL: none. */
static struct access *own_write(const struct execution *e, unsigned variable) {
    for (unsigned i = e->first; i < e->first + e->count; i++)
        if (j.access[i].write && j.access[i].variable == variable)
            return &j.access[i];
    return NULL;
}

static struct execution *new_execution(uint8_t lane, unsigned note, uint64_t begin) {
    struct execution *e = &j.execution[j.executions++];
    *e = (struct execution){.first = j.accesses,
                            .queue = j.queued,
                            .begin = begin,
                            .end = UINT64_MAX,
                            .asked = UINT64_MAX,
                            .note = note,
                            .lane = lane};
    return e;
}

static void add_access(struct execution *e, const struct check_noted *n, unsigned time,
                       bool write) {
    j.access[j.accesses++] = (struct access){n->variable, write, n->value, time};
    e->count++;
    e->writes |= write;
}

/* When the thread's last block before or at note `from` is visible: for plain writes. */
static uint64_t visible_behind(const struct check_history *h, unsigned from) {
    for (unsigned i = from; i < h->notes; i++)
        if (h->note[i].thread == h->note[from].thread && h->note[i].kind == CHECK_RETURN)
            return h->note[i].visible;
    return UINT64_MAX;
}

static enum check_failure own_write_lost(const struct check_noted *n, uint64_t expected) {
    char name[32];
    check_variable_name(n->variable, name, sizeof name);
    snprintf(j.why, j.why_size, "thread %u wrote %s = %lu and then read %lu in the same block",
             n->thread, name, (unsigned long)expected, (unsigned long)n->value);
    return CHECK_OWN_WRITE_LOST;
}

/* One thread's notes become executions. */
static enum check_failure read_lane(uint8_t lane) {
    const struct check_history *h = j.h;
    struct execution *e = NULL;
    uint64_t last = 0; /* index of the thread's note before */
    bool irrevocable = false, invoked = false;
    uint64_t invoke = 0;
    for (unsigned i = 0; i < h->notes; i++) {
        const struct check_noted *n = &h->note[i];
        if (n->thread != lane || n->kind == CHECK_INITIAL)
            continue;
        if (j.executions + 2 > EXECUTIONS) {
            j.h->overflow = true;
            return CHECK_OK;
        }
        switch ((enum check_kind)n->kind) {
        case CHECK_INVOKE:
            invoke = i;
            invoked = true;
            break;
        case CHECK_BEGIN:
            if (e != NULL && irrevocable) {
                snprintf(j.why, j.why_size, "thread %u became irrevocable, and began again", lane);
                return CHECK_IRREVOCABLE_ABORTED;
            }
            if (e != NULL) /* an aborted one: no longer does it read anything */
                e->end = i;
            e = new_execution(lane, i, invoked ? invoke : last);
            invoked = irrevocable = false;
            break;
        case CHECK_READ: {
            if (e == NULL)
                break;
            const struct access *own = own_write(e, n->variable);
            if (own == NULL)
                add_access(e, n, i, false);
            else if (own->value != n->value)
                return own_write_lost(n, own->value);
            break;
        }
        case CHECK_WRITE: {
            if (e == NULL)
                break;
            struct access *own = own_write(e, n->variable);
            if (own == NULL)
                add_access(e, n, i, true);
            else
                own->value = n->value;
            break;
        }
        case CHECK_PUSH:
        case CHECK_POP:
            if (e == NULL)
                break; /* setup: initial items, below */
            j.queue_time[j.queued] = i;
            j.queue[j.queued++] = n->value << 1 | (n->kind == CHECK_POP);
            e->queued++;
            e->writes = true;
            break;
        case CHECK_IRREVOCABLE:
            irrevocable = true;
            break;
        case CHECK_ASK:
            if (e != NULL)
                e->asked = i;
            break;
        case CHECK_RETURN:
            if (e != NULL) {
                e->committed = true;
                e->end = n->visible;
            }
            e = NULL;
            irrevocable = false;
            break;
        case CHECK_PLAIN_READ:
        case CHECK_PLAIN_WRITE: {
            const bool write = n->kind == CHECK_PLAIN_WRITE;
            struct execution *plain = new_execution(lane, i, last);
            add_access(plain, n, i, write);
            plain->committed = true;
            plain->asked = last;
            plain->end = write ? visible_behind(h, i) : i;
            break;
        }
        default:
            break;
        }
        last = i;
    }
    return CHECK_OK;
}

/* Two blocks that were irrevocable at the same time. */
static enum check_failure irrevocable_twice(void) {
    unsigned inside = CHECK_LANES;
    for (unsigned i = 0; i < j.h->notes; i++) {
        const struct check_noted *n = &j.h->note[i];
        if (n->kind == CHECK_IRREVOCABLE) {
            if (inside != CHECK_LANES && inside != n->thread) {
                snprintf(j.why, j.why_size, "thread %u became irrevocable while thread %u was",
                         n->thread, inside);
                return CHECK_IRREVOCABLE_TWICE;
            }
            inside = n->thread;
        } else if (n->kind == CHECK_ASK && n->thread == inside) {
            inside = CHECK_LANES;
        }
    }
    return CHECK_OK;
}

/* ---- reads of unfinished blocks ------------------------------------------------------------- */

static bool unique_values(unsigned variable) {
    return variable < CHECK_SLOT || variable > CHECK_NODE ||
           (variable >= CHECK_TABLE && variable < CHECK_KEYED);
}

/* Who wrote this value (its last one to the variable); NULL: nobody, or setup. */
static const struct execution *writer_of(unsigned variable, uint64_t value) {
    for (unsigned i = 0; i < j.executions; i++) {
        const struct access *own = own_write(&j.execution[i], variable);
        if (own != NULL && own->value == value)
            return &j.execution[i];
    }
    return NULL;
}

/* Who pushed this item; NULL: nobody, or setup. */
static const struct execution *pusher_of(uint64_t item) {
    for (unsigned k = 0; k < j.executions; k++) {
        const struct execution *e = &j.execution[k];
        for (unsigned i = e->queue; i < e->queue + e->queued; i++)
            if (j.queue[i] == item << 1)
                return e;
    }
    return NULL;
}

static bool too_early(const struct execution *r, const struct execution *w, unsigned time) {
    return w != NULL && w != r && time < w->asked;
}

/* `r` did this to what `w` had done, too early. */
static enum check_failure dirty(const struct execution *r, const char *what,
                                const struct execution *w, const char *done) {
    snprintf(j.why, j.why_size, "thread %u %s, which thread %u had %s in a block that %s", r->lane,
             what, w->lane, done, w->committed ? "had not tried to commit yet" : "never committed");
    return CHECK_DIRTY_READ;
}

static enum check_failure dirty_reads(void) {
    char what[80], name[32];
    for (unsigned k = 0; k < j.executions; k++) {
        const struct execution *e = &j.execution[k], *w;
        for (unsigned a = e->first; a < e->first + e->count; a++) {
            const struct access *r = &j.access[a];
            if (r->write || !unique_values(r->variable) || r->value == 0 ||
                !too_early(e, w = writer_of(r->variable, r->value), r->time))
                continue;
            check_variable_name(r->variable, name, sizeof name);
            snprintf(what, sizeof what, "read %s = %lu", name, (unsigned long)r->value);
            return dirty(e, what, w, "written");
        }
        for (unsigned i = e->queue; i < e->queue + e->queued; i++) {
            const uint64_t item = j.queue[i] >> 1;
            if (!(j.queue[i] & 1) || item == 0 ||
                !too_early(e, w = pusher_of(item), j.queue_time[i]))
                continue;
            snprintf(what, sizeof what, "took item %lu", (unsigned long)item);
            return dirty(e, what, w, "pushed");
        }
    }
    return CHECK_OK;
}

/* ---- the search for an order ---------------------------------------------------------------- */

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t state_hash(void) {
    uint64_t hash = 1;
    for (unsigned l = 0; l < CHECK_LANES; l++)
        hash = mix(hash + j.next[l] + 1);
    for (unsigned v = 0; v < CHECK_VARIABLES; v++)
        if (j.value[v] != 0)
            hash ^= mix((uint64_t)v << 48 ^ j.value[v]);
    for (unsigned i = j.head; i != j.tail; i++)
        hash = mix(hash + j.items[i % CHECK_QUEUE]);
    return hash != 0 ? hash : 1;
}

/* Nobody that is not in the order yet ended before it began. */
static bool may_come_now(const struct execution *e) {
    for (unsigned l = 0; l < CHECK_LANES; l++)
        if (l != e->lane && j.next[l] < j.in_lane[l] &&
            j.execution[j.lane[l][j.next[l]]].end < e->begin)
            return false;
    return true;
}

static bool reads_fit(const struct execution *e) {
    for (unsigned i = e->first; i < e->first + e->count; i++)
        if (!j.access[i].write && j.value[j.access[i].variable] != j.access[i].value)
            return false;
    unsigned head = j.head, tail = j.tail;
    uint64_t items[CHECK_QUEUE];
    if (e->queued > 0)
        memcpy(items, j.items, sizeof items);
    for (unsigned i = e->queue; i < e->queue + e->queued; i++) {
        const uint64_t item = j.queue[i] >> 1;
        if (!(j.queue[i] & 1))
            items[tail++ % CHECK_QUEUE] = item;
        else if (head == tail ? item != 0 : items[head++ % CHECK_QUEUE] != item)
            return false;
    }
    return true;
}

static void apply(const struct execution *e) {
    for (unsigned i = e->first; i < e->first + e->count; i++)
        if (j.access[i].write)
            j.value[j.access[i].variable] = j.access[i].value;
    for (unsigned i = e->queue; i < e->queue + e->queued; i++)
        if (!(j.queue[i] & 1))
            j.items[j.tail++ % CHECK_QUEUE] = j.queue[i] >> 1;
        else if (j.head != j.tail)
            j.head++;
}

struct saved {
    uint64_t value[CHECK_VARIABLES], items[CHECK_QUEUE];
    unsigned head, tail, next[CHECK_LANES], placed;
};

static void save(struct saved *s) {
    memcpy(s->value, j.value, sizeof s->value);
    memcpy(s->items, j.items, sizeof s->items);
    memcpy(s->next, j.next, sizeof s->next);
    s->head = j.head, s->tail = j.tail, s->placed = j.placed;
}

static void restore(const struct saved *s) {
    memcpy(j.value, s->value, sizeof s->value);
    memcpy(j.items, s->items, sizeof s->items);
    memcpy(j.next, s->next, sizeof s->next);
    j.head = s->head, j.tail = s->tail, j.placed = s->placed;
}

/* Executions without an effect on others, as far as they fit. */
static void place_readers(void) {
    bool again = true;
    while (again) {
        again = false;
        for (unsigned l = 0; l < CHECK_LANES; l++)
            while (j.next[l] < j.in_lane[l]) {
                const struct execution *e = &j.execution[j.lane[l][j.next[l]]];
                if ((e->committed && e->writes) || !may_come_now(e) || !reads_fit(e))
                    break;
                j.next[l]++;
                j.placed++;
                again = true;
            }
    }
}

static bool find_order(void) {
    place_readers();
    if (j.placed == j.executions)
        return true;
    unsigned lanes[CHECK_LANES], n = 0;
    for (unsigned l = 0; l < CHECK_LANES; l++) {
        if (j.next[l] == j.in_lane[l])
            continue;
        const struct execution *e = &j.execution[j.lane[l][j.next[l]]];
        if (!e->committed || !e->writes || !may_come_now(e) || !reads_fit(e))
            continue;
        unsigned at = n++; /* the first to ask first: mostly that is the order */
        for (; at > 0 && j.execution[j.lane[lanes[at - 1]][j.next[lanes[at - 1]]]].asked > e->asked;
             at--)
            lanes[at] = lanes[at - 1];
        lanes[at] = l;
    }
    if (n == 0)
        return false;
    uint64_t *slot = NULL;
    struct saved *saved = NULL;
    bool found = false;
    if (n > 1) {
        const uint64_t hash = state_hash();
        for (uint64_t i = hash;; i++) {
            slot = &j.dead[i % MEMO];
            if (*slot == hash)
                return false;
            if (*slot == 0)
                break;
        }
        saved = malloc(sizeof *saved);
        if (saved == NULL)
            abort();
        save(saved);
        for (unsigned i = 0; i < n && !found; i++) {
            if (i > 0)
                restore(saved);
            apply(&j.execution[j.lane[lanes[i]][j.next[lanes[i]]]]);
            j.next[lanes[i]]++;
            j.placed++;
            found = find_order();
        }
        if (!found) {
            restore(saved);
            if (j.remembered < MEMO / 2) { /* the slot may have been taken meanwhile: look again */
                uint64_t i = hash;
                while (j.dead[i % MEMO] != 0)
                    i++;
                j.dead[i % MEMO] = hash;
                j.remembered++;
            }
        }
        free(saved);
        return found;
    }
    apply(&j.execution[j.lane[lanes[0]][j.next[lanes[0]]]]);
    j.next[lanes[0]]++;
    j.placed++;
    return find_order();
}

/* ---- why not -------------------------------------------------------------------------------- */

static void execution_name(const struct execution *e, char *text, size_t size) {
    unsigned n = 0;
    for (unsigned i = 0; i < j.in_lane[e->lane]; i++)
        if (&j.execution[j.lane[e->lane][i]] == e)
            n = i + 1;
    if (e->lane == EXPLORE_THREADS)
        snprintf(text, size, "the final state");
    else
        snprintf(text, size, "T%u.%u%s", e->lane, n, e->committed ? "" : " (aborted)");
}

/* Why `a` comes before `b` in every order that takes versions as they were committed; NULL: it need
 * not. */
static const char *edge(unsigned a, unsigned b, char *text, size_t size) {
    const struct execution *x = &j.execution[a], *y = &j.execution[b];
    char name[32];
    if (x->end < y->begin) {
        snprintf(text, size, "ended before it began");
        return text;
    }
    if (x->lane == y->lane)
        return NULL;
    for (unsigned i = x->first; i < x->first + x->count; i++)
        for (unsigned k = y->first; k < y->first + y->count; k++) {
            const struct access *p = &j.access[i], *q = &j.access[k];
            if (p->variable != q->variable)
                continue;
            check_variable_name(p->variable, name, sizeof name);
            if (p->write && x->committed && !q->write && p->value == q->value) {
                snprintf(text, size, "wrote %s = %lu, which it read", name,
                         (unsigned long)p->value);
                return text;
            }
            if (p->write && q->write && x->committed && y->committed && x->asked < y->asked) {
                snprintf(text, size, "wrote %s before it did", name);
                return text;
            }
            if (!p->write && q->write && y->committed && p->value != q->value) {
                const struct execution *w = writer_of(p->variable, p->value);
                if (w == NULL ? p->value == 0 : w->asked < y->asked && w != y) {
                    snprintf(text, size, "read %s = %lu, which it overwrote with %lu", name,
                             (unsigned long)p->value, (unsigned long)q->value);
                    return text;
                }
            }
        }
    return NULL;
}

/* The shortest cycle of such edges. */
static void explain_cycle(void) {
    static unsigned from[EXECUTIONS], queue[EXECUTIONS], best[EXECUTIONS];
    unsigned best_length = 0;
    char text[128], name[48];
    const unsigned n = j.executions < 64 ? j.executions : 64;
    for (unsigned start = 0; start < n; start++) {
        unsigned head = 0, tail = 0;
        for (unsigned i = 0; i < n; i++)
            from[i] = UINT32_MAX;
        queue[tail++] = start;
        bool closed = false;
        while (head < tail && !closed) {
            const unsigned at = queue[head++];
            for (unsigned to = 0; to < n && !closed; to++) {
                if (to == at || (from[to] != UINT32_MAX && to != start) ||
                    edge(at, to, text, sizeof text) == NULL)
                    continue;
                from[to] = at;
                if (to == start)
                    closed = true;
                else
                    queue[tail++] = to;
            }
        }
        if (!closed)
            continue;
        unsigned length = 0;
        for (unsigned at = from[start];; at = from[at]) {
            length++;
            if (at == start)
                break;
        }
        if (best_length == 0 || length < best_length) {
            best_length = length;
            unsigned at = start;
            for (unsigned i = length; i-- > 0;)
                best[i] = at = from[at];
        }
    }
    size_t used =
        (size_t)snprintf(j.why, j.why_size, "no order of the blocks explains what they read");
    if (best_length == 0)
        return;
    used += (size_t)snprintf(j.why + used, j.why_size - used, "; the cycle:");
    for (unsigned i = 0; i < best_length && used < j.why_size; i++) {
        const unsigned next = best[(i + 1) % best_length];
        execution_name(&j.execution[best[i]], name, sizeof name);
        used += (size_t)snprintf(j.why + used, j.why_size - used, "\n  %s ", name);
        if (used >= j.why_size)
            break;
        (void)edge(best[i], next, text, sizeof text);
        execution_name(&j.execution[next], name, sizeof name);
        used += (size_t)snprintf(j.why + used, j.why_size - used, "%s: %s", text, name);
    }
}

_Static_assert(CHECK_QUEUE > EXPLORE_THREADS * 8 + 8, "what all transactions push fits");

enum check_failure check_history_judge(struct check_history *h, char *why, size_t why_size) {
    if (h->overflow)
        return CHECK_OK;
    j.h = h;
    j.why = why;
    j.why_size = why_size;
    j.accesses = j.queued = j.executions = 0;
    j.head = j.tail = j.placed = 0;
    if (j.remembered > 0)
        memset(j.dead, 0, sizeof j.dead);
    j.remembered = 0;
    memset(j.value, 0, sizeof j.value);
    enum check_failure failure = irrevocable_twice();
    unsigned at = 0;
    for (unsigned l = 0; l < CHECK_LANES && failure == CHECK_OK; l++) {
        const unsigned first = j.executions;
        failure = read_lane((uint8_t)l);
        j.lane[l] = &j.lanes[at];
        j.in_lane[l] = j.executions - first;
        j.next[l] = 0;
        for (unsigned i = first; i < j.executions; i++)
            j.lanes[at++] = i;
    }
    if (h->overflow)
        return CHECK_OK;
    if (failure == CHECK_OK)
        failure = dirty_reads();
    if (failure != CHECK_OK)
        return failure;
    bool running = false;
    for (unsigned i = 0; i < h->notes; i++) {
        const struct check_noted *n = &h->note[i];
        if (n->kind == CHECK_INITIAL)
            j.value[n->variable] = n->value;
        running |= n->kind == CHECK_INVOKE;
        if (n->kind == CHECK_PUSH && !running)
            j.items[j.tail++ % CHECK_QUEUE] = n->value;
    }
    if (find_order())
        return CHECK_OK;
    explain_cycle();
    return CHECK_NOT_SERIALISABLE;
}
