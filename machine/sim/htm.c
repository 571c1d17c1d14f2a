/*
 * htm.c - hardware transactions: machine_tx_* of machine.h for simulated machines.
 *
 * Semantics after Intel SDM vol. 1, "Programming with Intel TSX"; the store cache after Jacobi,
 * Slegel and Greiner, "Transactional Memory Architecture and Implementation for IBM System z"
 * (MICRO 2012).  What the two leave open is in the profile (htm.*).
 *
 * Guarantee: strong isolation.  What a transaction stores is seen by nobody before its commit, and
 * by nobody at all when it aborts; no access of anybody, in a transaction or not, finds or changes
 * what a transaction has read or written, without that one aborting first.
 *
 * The model
 *  - Read and write sets are lines, and live in the modelled caches: the first access of a
 *    transaction to a line puts a mark on it, and when the caches of memory.c evict the line from
 *    the level that the profile names (htm.write_level, htm.read_level), the transaction aborts.
 *    Capacity, associativity, what an SMT sibling takes of the L1 and what other cores take of the
 *    L3 come out of that.
 *  - A store cache (htm.write_entries) counts the entries that the stores of the transaction touch.
 *  - Conflicts: an access to a line that another's mark forbids.  htm.policy says which of two
 *    transactions aborts; an access from outside of transactions is never refused.
 *  - Aborts by interrupts, system calls, page faults, PAUSE: where those happen (sched.c).  An
 *    interrupt is taken behind the abort, a system call is not made, a page is not touched.
 *  - Accesses to what lies outside of all regions of memory.c (constants, the harness's memory) are
 *    undone, but have no capacity, and conflicts are noticed only between transactions.
 *
 * Rollback.  Between a hook and the program's access nothing else runs, and between two accesses of
 * the whole simulation only one thing happens.  So a transaction is undone at once, in the hook of
 * the access that it conflicts with and before that is made, though its thread may be suspended
 * anywhere in a hook: its lines get their bytes back (a copy of the whole line made before the
 * first store: from then on the line is nobody else's); its stack, from the begin's stack pointer
 * to the end, is copied back from a copy made at the begin; and its fiber is made to return from
 * machine_tx_begin when it is switched to next.  The frame of the begin on the stack is one of
 * sim_fiber_exchange, so it makes no difference who switches.  A thread that aborts itself copies
 * its stack back in assembly, with nothing on that stack.
 *
 * The filter.  While a hardware thread is in a transaction its filter (memory.h) starts empty and
 * only takes lines of its sets, with no more rights than they give: so a hit needs no look at
 * marks, and the first access to a line always comes here.  Others may hit on what they could hit
 * on before, because coherence takes the line from them when the transaction gets it; SMT siblings,
 * who share its L1, have their filter cut.  What enters anybody's filter is limited by marks.
 *
 * The stack.  Accesses to it that the compiler has not instrumented (spilled registers) are in no
 * set, and the copy would undo what another thread stores into it meanwhile.  So another thread's
 * store to the live stack of a transaction is a conflict.  The filters of others are cut of it at
 * the begin once any thread has been seen to use another one's stack, which hardly any program
 * does.
 *
 * Memory that the simulator keeps its own things in (free lists of the arena) is written without
 * hooks; sim_htm_keep puts such bytes into the copies of lines as well.
 *
 * Invariants
 *  H1 a hardware thread has `tx` exactly while its transaction runs, and it is then counted in
 *     sim_htm_running; a thread that is switched away from its hardware thread is in none;
 *  H2 a line that was written has marks of one transaction only;
 *  H3 every mark is in the bucket of its line and in the list of its transaction.
 */
#include "htm.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { NO_MARK = UINT32_MAX, ENTRIES_A_LINE = 128 };

/* A line in the sets of a transaction. */
struct mark {
    uint64_t line;     /* as sim_memory_line */
    uintptr_t address; /* of the first access */
    uint32_t next;     /* in the bucket, or of the free ones */
    uint32_t of_tx;    /* the transaction's next */
    uint32_t undo;     /* its bytes begin there in the transaction's copies; NO_MARK: no copy */
    uint16_t cpu;
    bool read, written;
    uint16_t first, end; /* the bytes of it that are known to have been used lie in between */
    uint64_t entries[ENTRIES_A_LINE / 64]; /* of the store cache, a bit each */
};

struct allocation {
    void *p;
    bool freed; /* at the commit; otherwise allocated */
};

struct buffer {
    char *bytes;
    size_t used, room;
};

struct sim_tx {
    struct sim_cpu *c;
    unsigned depth;
    uint64_t began;      /* clock */
    uint64_t number;     /* of the begin, in the order of their making */
    uintptr_t gs;        /* base of %gs at the begin */
    char *sp;            /* of the begin's frame */
    char *low, *high;    /* of the stack */
    struct buffer stack; /* from sp to high */
    struct buffer lines; /* copies of lines, before the first store */
    uint32_t marks;      /* the first one */
    uint32_t written;    /* lines */
    uint32_t entries;    /* of the store cache */
    struct allocation *allocation;
    size_t allocations, allocations_room;
    bool doomed; /* aborts as soon as the access that made it so is over */
    struct sim_abort why;
    struct sim_tx *next_doomed;
};

unsigned sim_htm_running;
bool sim_htm_stacks_shared;

static struct htm {
    struct sim_tx *tx; /* [cpus] */
    unsigned cpus, cores, cores_per_group;
    struct mark *mark;
    uint32_t marks_room, free_mark, marks;                       /* `marks`: in use */
    uint32_t *bucket;                                            /* [buckets]: the first mark */
    uint32_t buckets;                                            /* a power of two */
    uint32_t written;                                            /* marks of lines that were */
    struct sim_tx *doomed;                                       /* list */
    uint64_t begins, commits, aborts[MACHINE_TX_CAUSES], wasted; /* wasted: ticks */
} htm;

static const struct sim_tx_injector *injector;
static sim_abort_listener *listener;
static void *listener_context;

void sim_tx_inject(const struct sim_tx_injector *i) { injector = i; }

void sim_htm_listen(sim_abort_listener *l, void *context) {
    listener = l;
    listener_context = context;
}

static const struct sim_htm_profile *rules(void) { return &sim_session.profile.htm; }

static uint64_t to_ticks(unsigned cycles) { return (uint64_t)cycles * SIM_TICKS; }

/* ---- buffers -------------------------------------------------------------------------------- */

static _Noreturn void no_memory(void) { sim_fatal("out of memory for hardware transactions"); }

/* Room for `bytes` more; returns where. */
static char *extend(struct buffer *b, size_t bytes) {
    if (b->room - b->used < bytes) {
        const size_t room = 2 * (b->used + bytes);
        char *larger = realloc(b->bytes, room);
        if (larger == NULL)
            no_memory();
        b->bytes = larger;
        b->room = room;
    }
    char *p = b->bytes + b->used;
    b->used += bytes;
    return p;
}

/* ---- marks ---------------------------------------------------------------------------------- */

static uint32_t *bucket_of(uint64_t line) {
    return &htm.bucket[(line * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (htm.buckets - 1)];
}

static void more_buckets(void) {
    const uint32_t n = 2 * htm.buckets;
    uint32_t *larger = realloc(htm.bucket, n * sizeof *larger);
    if (larger == NULL)
        no_memory();
    htm.bucket = larger;
    htm.buckets = n;
    memset(htm.bucket, 0xff, n * sizeof *htm.bucket);
    for (unsigned i = 0; i < htm.cpus; i++)
        for (uint32_t k = htm.tx[i].marks; k != NO_MARK; k = htm.mark[k].of_tx) {
            uint32_t *bucket = bucket_of(htm.mark[k].line);
            htm.mark[k].next = *bucket;
            *bucket = k;
        }
}

static uint32_t new_mark(void) {
    if (htm.free_mark == NO_MARK) {
        const uint32_t room = htm.marks_room == 0 ? 1024 : 2 * htm.marks_room;
        struct mark *larger = realloc(htm.mark, room * sizeof *larger);
        if (larger == NULL)
            no_memory();
        htm.mark = larger;
        for (uint32_t k = room; k-- > htm.marks_room;) {
            larger[k].next = htm.free_mark;
            htm.free_mark = k;
        }
        htm.marks_room = room;
    }
    const uint32_t k = htm.free_mark;
    htm.free_mark = htm.mark[k].next;
    htm.marks++;
    return k;
}

static struct mark *mark_of(uint64_t line, unsigned cpu) {
    for (uint32_t k = *bucket_of(line); k != NO_MARK; k = htm.mark[k].next)
        if (htm.mark[k].line == line && htm.mark[k].cpu == cpu)
            return &htm.mark[k];
    return NULL;
}

static struct mark *put_mark(struct sim_tx *tx, uint64_t line, uintptr_t address) {
    if (htm.marks >= htm.buckets)
        more_buckets();
    const uint32_t k = new_mark();
    uint32_t *bucket = bucket_of(line);
    htm.mark[k] = (struct mark){.line = line,
                                .address = address,
                                .next = *bucket,
                                .of_tx = tx->marks,
                                .undo = NO_MARK,
                                .cpu = (uint16_t)tx->c->number,
                                .first = UINT16_MAX};
    *bucket = k;
    tx->marks = k;
    return &htm.mark[k];
}

static void remove_marks(struct sim_tx *tx) {
    for (uint32_t k = tx->marks, next; k != NO_MARK; k = next) {
        struct mark *m = &htm.mark[k];
        next = m->of_tx;
        uint32_t *at = bucket_of(m->line);
        while (*at != k)
            at = &htm.mark[*at].next;
        *at = m->next;
        m->next = htm.free_mark;
        htm.free_mark = k;
        htm.marks--;
    }
    tx->marks = NO_MARK;
    htm.written -= tx->written;
    tx->written = 0;
}

/* ---- the end of a transaction ---------------------------------------------------------------- */

static unsigned core_of(unsigned cpu) { return cpu % htm.cores; }

/* What both ends have in common. */
static void finish(struct sim_tx *tx) {
    remove_marks(tx);
    tx->c->tx = NULL;
    tx->c->alarm = UINT64_MAX;
    if (--sim_htm_running == 0) {
        sim_memory_watch(sim_session.memory, NULL, NULL);
        sim_memory_limit(sim_session.memory, NULL, NULL);
    }
}

/* A whole line of the thread's own stack comes back with the stack, or is dead. */
static bool in_stack(const struct sim_tx *tx, const char *line) {
    return line >= tx->low && line + sim_session.profile.line_bytes <= tx->high;
}

static char *line_start(uintptr_t address) {
    return (char *)(address & ~(uintptr_t)(sim_session.profile.line_bytes - 1));
}

/* Everything but the stack is as it was. */
static void undo(struct sim_tx *tx) {
    for (uint32_t k = tx->marks; k != NO_MARK; k = htm.mark[k].of_tx) {
        const struct mark *m = &htm.mark[k];
        if (m->undo != NO_MARK)
            memcpy(line_start(m->address), tx->lines.bytes + m->undo,
                   sim_session.profile.line_bytes);
        if (m->written)
            sim_memory_discard(sim_session.memory, tx->c->number, m->line);
    }
    const unsigned heap = sim_cpu_heap(tx->c);
    if (tx->c->gs != tx->gs)
        sim_restore_gs(tx->c, tx->gs);
    finish(tx);
    for (size_t i = tx->allocations; i-- > 0;)
        if (!tx->allocation[i].freed)
            sim_arena_give_back(tx->allocation[i].p, heap);
}

static void report(struct sim_tx *tx) {
    struct sim_abort *why = &tx->why;
    why->victim = tx->c->number;
    why->began = tx->began;
    why->ended = tx->c->clock > sim_cpu_now->clock ? tx->c->clock : sim_cpu_now->clock;
    if (tx->depth > 1)
        why->status |= MACHINE_TX_NESTED;
    htm.aborts[why->cause]++;
    htm.wasted += why->ended - why->began;
    if (listener != NULL)
        listener(listener_context, why);
}

/* The transaction of a hardware thread that is not the running one. */
static void roll_back(struct sim_tx *tx) {
    undo(tx);
    report(tx);
    memcpy(tx->sp, tx->stack.bytes, tx->stack.used);
    struct sim_fiber *fiber = sim_cpu_fiber(tx->c);
    fiber->sp = tx->sp;
    fiber->returns = tx->why.status;
    sim_steal(tx->c, to_ticks(rules()->abort_cycles));
}

static _Noreturn void roll_back_own(struct sim_tx *tx) {
    undo(tx);
    report(tx);
    tx->c->clock += to_ticks(rules()->abort_cycles);
    sim_tx_leave(tx->sp, tx->stack.bytes, tx->stack.used, tx->why.status);
}

static unsigned status_of(enum machine_tx_cause cause) {
    switch (cause) {
    case MACHINE_TX_BY_CONFLICT:
    case MACHINE_TX_BY_FALSE_SHARING:
        return MACHINE_TX_CONFLICT | MACHINE_TX_RETRY;
    case MACHINE_TX_BY_READ_CAPACITY:
    case MACHINE_TX_BY_WRITE_CAPACITY:
    case MACHINE_TX_BY_ASSOCIATIVITY:
        return MACHINE_TX_CAPACITY;
    default: /* none of the bits says why */
        return 0;
    }
}

/* Why a transaction aborts; only the first reason counts. */
static void blame(struct sim_tx *tx, enum machine_tx_cause cause, unsigned aggressor,
                  uintptr_t address, uintptr_t by_address) {
    tx->why = (struct sim_abort){.cause = cause,
                                 .status = status_of(cause),
                                 .aggressor = aggressor,
                                 .address = address,
                                 .by_address = by_address};
}

void sim_htm_abort(struct sim_cpu *c, enum machine_tx_cause cause) {
    blame(c->tx, cause, c->number, 0, 0);
    roll_back_own(c->tx);
}

void sim_htm_interrupt(struct sim_cpu *c) {
    if (c->tx == NULL)
        return;
    blame(c->tx, MACHINE_TX_BY_INTERRUPT, sim_cpu_now->dummy ? c->number : sim_cpu_now->number, 0,
          0);
    roll_back(c->tx);
}

void sim_htm_interrupt_all(void) {
    for (unsigned i = 0; i < htm.cpus && sim_htm_running > 0; i++)
        if (htm.tx[i].c->tx != NULL && htm.tx[i].c != sim_cpu_now)
            sim_htm_interrupt(htm.tx[i].c);
}

void sim_htm_unmap(uintptr_t start, size_t bytes) {
    for (unsigned i = 0; i < htm.cpus && sim_htm_running > 0; i++)
        for (uint32_t k = htm.tx[i].marks; k != NO_MARK; k = htm.mark[k].of_tx)
            if (htm.mark[k].address - start < bytes) {
                sim_htm_interrupt(htm.tx[i].c);
                break;
            }
}

/* ---- lines that leave ------------------------------------------------------------------------ */

static void doom(struct sim_tx *tx, enum machine_tx_cause cause, unsigned by, uintptr_t address) {
    if (tx->doomed)
        return;
    tx->doomed = true;
    tx->next_doomed = htm.doomed;
    htm.doomed = tx;
    blame(tx, cause, by, address, 0);
}

static bool is_there(unsigned cpu, enum sim_level level, unsigned place) {
    const unsigned core = core_of(cpu);
    return (level == SIM_L3 ? core / htm.cores_per_group : core) == place;
}

static enum sim_level level_of(enum sim_htm_level level) {
    return level == SIM_HTM_L1 ? SIM_L1 : level == SIM_HTM_L2 ? SIM_L2 : SIM_L3;
}

/* Is it the fault of where its own lines lie: does what the transaction has written fill at most
 * half of the cache that must hold it, and has nobody else evicted the line? */
static bool for_its_places(const struct sim_tx *tx, unsigned by) {
    const struct sim_profile *p = &sim_session.profile;
    const struct sim_cache_profile *cache = p->htm.write_level == SIM_HTM_L1 ? &p->l1 : &p->l2;
    return by == tx->c->number && (uint64_t)tx->written * p->line_bytes <= cache->size_bytes / 2;
}

/* Within an access of the memory (sim_line_event): nothing may be undone here. */
static void line_leaves(void *context, enum sim_level from, unsigned place, uint64_t line,
                        unsigned by, bool evicted, bool for_write) {
    (void)context;
    const bool written = from == level_of(rules()->write_level) && htm.written > 0;
    if (evicted && !written && from != level_of(rules()->read_level))
        return; /* it concerns nobody */
    for (uint32_t k = *bucket_of(line); k != NO_MARK; k = htm.mark[k].next) {
        const struct mark *m = &htm.mark[k];
        if (m->line != line || !is_there(m->cpu, from, place))
            continue;
        struct sim_tx *tx = &htm.tx[m->cpu];
        if (!evicted) { /* by an access whose conflict could not be seen before: a new name */
            if (for_write || m->written)
                doom(tx, MACHINE_TX_BY_CONFLICT, by, m->address);
        } else if (m->written && from == level_of(rules()->write_level)) {
            doom(tx,
                 for_its_places(tx, by) ? MACHINE_TX_BY_ASSOCIATIVITY
                                        : MACHINE_TX_BY_WRITE_CAPACITY,
                 by, m->address);
        } else if (m->read && from == level_of(rules()->read_level)) {
            doom(tx, MACHINE_TX_BY_READ_CAPACITY, by, m->address);
        }
    }
}

static void settle_doomed(struct sim_cpu *c) {
    struct sim_tx *own = NULL;
    while (htm.doomed != NULL) {
        struct sim_tx *tx = htm.doomed;
        htm.doomed = tx->next_doomed;
        tx->doomed = false;
        if (tx->c->tx == NULL)
            continue; /* it has aborted for another reason meanwhile */
        if (tx->c == c)
            own = tx;
        else
            roll_back(tx);
    }
    if (own != NULL)
        roll_back_own(own);
}

/* ---- conflicts ------------------------------------------------------------------------------- */

/* An access to bytes first .. end-1 of a line. */
struct wish {
    struct sim_cpu *c;
    uintptr_t address;
    uint64_t line;
    unsigned first, end;
    enum sim_right right;
};

static struct wish wish_of(struct sim_cpu *c, uintptr_t address, size_t bytes,
                           enum sim_right right) {
    const unsigned line_bytes = sim_session.profile.line_bytes;
    const unsigned first = (unsigned)(address & (line_bytes - 1));
    const unsigned end = bytes < line_bytes - first ? first + (unsigned)bytes : line_bytes;
    return (struct wish){c, address, 0, first, end, right};
}

/* The next mark, from k on, that does not go together with the access. */
static uint32_t conflicting(const struct wish *w, uint32_t k) {
    for (; k != NO_MARK; k = htm.mark[k].next) {
        const struct mark *m = &htm.mark[k];
        if (m->line == w->line && m->cpu != w->c->number && (w->right == SIM_WRITE || m->written))
            break;
    }
    return k;
}

static bool older(const struct sim_tx *a, const struct sim_tx *b) {
    return a->began != b->began ? a->began < b->began : a->number < b->number;
}

static enum machine_tx_cause kind_of(const struct mark *m, const struct wish *w) {
    return w->end <= m->first || w->first >= m->end ? MACHINE_TX_BY_FALSE_SHARING
                                                    : MACHINE_TX_BY_CONFLICT;
}

/* Must the asking transaction give way to the other one? */
static bool gives_way(const struct sim_tx *asking, const struct sim_tx *other) {
    return rules()->policy == SIM_RESPONDER_WINS ||
           (rules()->policy == SIM_OLDEST_WINS && older(other, asking));
}

/* Behind it nobody has a mark on the line that does not go together with the access. */
static void settle_line(const struct wish *w) {
    struct sim_tx *tx = w->c->tx;
    uint32_t k = conflicting(w, *bucket_of(w->line));
    if (__builtin_expect(k == NO_MARK, 1))
        return;
    for (uint32_t j = k; tx != NULL && j != NO_MARK; j = conflicting(w, htm.mark[j].next)) {
        const struct mark *m = &htm.mark[j];
        if (gives_way(tx, &htm.tx[m->cpu])) {
            blame(tx, kind_of(m, w), m->cpu, w->address, m->address);
            roll_back_own(tx);
        }
    }
    for (; k != NO_MARK; k = conflicting(w, *bucket_of(w->line))) {
        const struct mark *m = &htm.mark[k];
        struct sim_tx *victim = &htm.tx[m->cpu];
        blame(victim, kind_of(m, w), w->c->number, m->address, w->address);
        roll_back(victim);
    }
}

/* A store to the live stack of somebody else's transaction. */
static void settle_stack(const struct sim_cpu *c, uintptr_t address) {
    for (unsigned i = 0; i < htm.cpus; i++) {
        struct sim_tx *tx = &htm.tx[i];
        if (tx->c->tx == NULL || tx->c == c || address < (uintptr_t)tx->sp ||
            address >= (uintptr_t)tx->high)
            continue;
        blame(tx, MACHINE_TX_BY_CONFLICT, c->number, address, address);
        roll_back(tx);
    }
}

void sim_htm_claim(uintptr_t start, size_t bytes, enum sim_right right) {
    struct sim_cpu *c = sim_cpu_now;
    if (sim_htm_running == 0 || bytes == 0 || c->dummy || c->tx != NULL)
        return;
    const uintptr_t line_bytes = sim_session.profile.line_bytes;
    for (uintptr_t at = start; at < start + bytes; at = (at / line_bytes + 1) * line_bytes) {
        struct wish w = wish_of(c, at, start + bytes - at, right);
        if (right == SIM_WRITE && sim_fiber_in_stacks(at))
            settle_stack(c, at);
        if (sim_memory_line(sim_session.memory, at, &w.line))
            settle_line(&w);
    }
}

void sim_htm_keep(const void *start, size_t bytes) {
    const char *from = start;
    const size_t line_bytes = sim_session.profile.line_bytes;
    uint64_t line;
    if (sim_htm_running == 0 || !sim_memory_line(sim_session.memory, (uintptr_t)start, &line))
        return;
    const size_t at = (uintptr_t)start & (line_bytes - 1);
    assert(at + bytes <= line_bytes);
    for (uint32_t k = *bucket_of(line); k != NO_MARK; k = htm.mark[k].next)
        if (htm.mark[k].line == line && htm.mark[k].undo != NO_MARK)
            memcpy(htm.tx[htm.mark[k].cpu].lines.bytes + htm.mark[k].undo + at, from, bytes);
}

/* ---- joining the sets ------------------------------------------------------------------------ */

/* The line is about to be stored to for the first time. */
static void save_line(struct sim_tx *tx, struct mark *m) {
    m->written = true;
    tx->written++;
    htm.written++;
    const char *line = line_start(m->address);
    if (in_stack(tx, line))
        return;
    const size_t at = tx->lines.used, bytes = sim_session.profile.line_bytes;
    if (at >= NO_MARK - bytes)
        no_memory();
    memcpy(extend(&tx->lines, bytes), line, bytes);
    m->undo = (uint32_t)at;
}

/* The store takes its places in the store cache.  False: there are no more. */
static bool take_entries(struct sim_tx *tx, struct mark *m, const struct wish *w) {
    const unsigned bytes = rules()->write_entry_bytes;
    for (unsigned e = w->first / bytes; e <= (w->end - 1) / bytes; e++) {
        const uint64_t bit = UINT64_C(1) << e % 64;
        tx->entries += (m->entries[e / 64] & bit) == 0;
        m->entries[e / 64] |= bit;
    }
    return tx->entries <= rules()->write_entries;
}

static void join_set(struct sim_tx *tx, const struct wish *w) {
    struct mark *m = mark_of(w->line, w->c->number);
    if (m == NULL)
        m = put_mark(tx, w->line, w->address);
    m->first = w->first < m->first ? (uint16_t)w->first : m->first;
    m->end = w->end > m->end ? (uint16_t)w->end : m->end;
    if (w->right == SIM_READ) {
        m->read = true;
        return;
    }
    if (!m->written)
        save_line(tx, m);
    if (rules()->write_entries > 0 && !take_entries(tx, m, w)) {
        blame(tx, MACHINE_TX_BY_WRITE_CAPACITY, w->c->number, w->address, w->address);
        roll_back_own(tx);
    }
}

/* Does the injector want an abort here? */
static void ask_injector(struct sim_cpu *c, enum sim_tx_point point, uintptr_t address) {
    unsigned status = 0;
    if (injector == NULL || !injector->ask(injector->context, c, point, address, &status))
        return;
    blame(c->tx, MACHINE_TX_BY_INJECTION, c->number, address, address);
    c->tx->why.status = status;
    roll_back_own(c->tx);
}

/* The present access is the first one to its page, from outside of transactions. */
static bool first_touch;

void sim_htm_before(struct sim_cpu *c, uintptr_t address, size_t bytes, enum sim_right right) {
    struct sim_tx *tx = c->tx;
    struct wish w = wish_of(c, address, bytes, right);
    if (tx != NULL)
        ask_injector(c, right == SIM_WRITE ? SIM_TX_WRITE : SIM_TX_READ, address);
    first_touch = !sim_memory_line(sim_session.memory, address, &w.line);
    if (first_touch) {
        if (tx != NULL)
            sim_htm_abort(c, MACHINE_TX_BY_FAULT);
        return; /* somebody may have the line by another name, which is known behind the access */
    }
    if (right == SIM_WRITE && sim_fiber_in_stacks(address))
        settle_stack(c, address);
    settle_line(&w);
    if (tx != NULL)
        join_set(tx, &w);
}

void sim_htm_after(struct sim_cpu *c, uintptr_t address, enum sim_right right) {
    uint64_t line;
    settle_doomed(c);
    if (first_touch) {
        first_touch = false;
        sim_htm_claim(address, 1, right);
    }
    if (c->tx != NULL && sim_memory_line(sim_session.memory, address, &line))
        sim_memory_cut_siblings(sim_session.memory, c->number, line,
                                right == SIM_WRITE ? SIM_NONE : SIM_READ);
}

/* Of the memory: which right may enter a filter. */
static enum sim_right limit(void *context, unsigned cpu, uint64_t line, enum sim_right right) {
    (void)context;
    if (htm.tx[cpu].c->tx != NULL) {
        const struct mark *m = mark_of(line, cpu);
        if (m == NULL || injector != NULL)
            return SIM_NONE;
        /* A store to another entry of the store cache must be seen. */
        const bool whole =
            m->written && (rules()->write_entries == 0 ||
                           rules()->write_entry_bytes == sim_session.profile.line_bytes);
        return whole ? right : right < SIM_READ ? right : SIM_READ;
    }
    for (uint32_t k = *bucket_of(line); k != NO_MARK; k = htm.mark[k].next)
        if (htm.mark[k].line == line)
            right = htm.mark[k].written ? SIM_NONE : right < SIM_READ ? right : SIM_READ;
    return right;
}

/* ---- allocation ------------------------------------------------------------------------------ */

static void log_allocation(struct sim_tx *tx, void *p, bool freed) {
    if (tx->allocations == tx->allocations_room) {
        const size_t room = tx->allocations_room == 0 ? 64 : 2 * tx->allocations_room;
        struct allocation *larger = realloc(tx->allocation, room * sizeof *larger);
        if (larger == NULL)
            no_memory();
        tx->allocation = larger;
        tx->allocations_room = room;
    }
    tx->allocation[tx->allocations++] = (struct allocation){p, freed};
}

void sim_htm_allocated(struct sim_cpu *c, void *p) { log_allocation(c->tx, p, false); }

void sim_htm_freed(struct sim_cpu *c, void *p) { log_allocation(c->tx, p, true); }

/* ---- machine.h ------------------------------------------------------------------------------- */

/*
 * machine_tx_begin leaves the same frame as sim_fiber_exchange (fiber.c), so that a switch to it
 * returns from the begin; sim_tx_leave(sp, copy, bytes, status) copies the stack back without using
 * it, and does the same.
 */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl machine_tx_begin\n"
        ".type machine_tx_begin, @function\n"
        "machine_tx_begin:\n" SIM_SAVE_REGISTERS "    movq %rsp, %rdi\n"
        "    call sim_tx_start\n"
        "sim_tx_return:\n" SIM_RESTORE_REGISTERS "    ret\n"
        ".size machine_tx_begin, .-machine_tx_begin\n"
        ".p2align 4\n"
        ".globl sim_tx_leave\n"
        ".type sim_tx_leave, @function\n"
        "sim_tx_leave:\n"
        "    movl %ecx, %eax\n"
        "    movq %rdx, %rcx\n"
        "    movq %rdi, %rsp\n" /* a signal may come: it takes what is below */
        "    rep movsb\n"
        "    jmp sim_tx_return\n"
        ".size sim_tx_leave, .-sim_tx_leave\n");

unsigned sim_tx_start(char *sp);

/* Behind it, it is the turn of the thread; the hardware thread that it is on then. */
static struct sim_cpu *in_order(struct sim_cpu *c) {
    if (c->clock > c->turn)
        sim_order(c);
    return sim_cpu_now;
}

/* Others must not have the right to store to this stack without being seen. */
static void watch_stack(const struct sim_tx *tx) {
    if (sim_htm_stacks_shared)
        sim_memory_cut_others(sim_session.memory, tx->c->number, (uintptr_t)tx->sp,
                              (size_t)(tx->high - tx->sp));
}

/* When the profile's spurious aborts come: at a constant rate, so the next one has no memory. */
static void set_alarm(struct sim_cpu *c) {
    const double rate = rules()->spurious_per_mcycle;
    if (!(rate > 0))
        return;
    const double uniform = ((double)(sim_random() >> 11) + 1) / 9007199254740992.0; /* (0, 1] */
    const double cycles = fmin(-log(uniform) * 1e6 / rate, 1e15);
    c->alarm = c->clock + 1 + (uint64_t)(cycles * SIM_TICKS);
    sim_alarm(c);
}

unsigned sim_tx_start(char *sp) {
    struct sim_cpu *c = sim_cpu_now;
    if (sim_exploring) {
        enum {
            SAVED = 7
        }; /* words of SIM_SAVE_REGISTERS; behind them where the begin returns to */
        sim_explore_pc = ((const void *const *)(const void *)sp)[SAVED];
        return sim_explore_tx_begin(sp);
    }
    if (c->dummy || !sim_session.open)
        return 0; /* setup, verification: nothing is modelled, and this is a legal answer */
    const char *why = machine_tx_unavailable();
    if (why != NULL)
        sim_fatal("a transaction is begun, but %s", why);
    if (c->tx != NULL) {
        ask_injector(c, SIM_TX_BEGIN, 0);
        if (c->tx->depth == rules()->nesting) {
            c->tx->depth++; /* it is a nested begin that aborts */
            sim_htm_abort(c, MACHINE_TX_BY_NESTING);
        }
        c->tx->depth++;
        return MACHINE_TX_STARTED;
    }
    c = in_order(c);
    settle_doomed(c); /* an old one of this hardware thread may still be in the list */
    struct sim_tx *tx = &htm.tx[c->number];
    const struct sim_fiber *fiber = sim_cpu_fiber(c);
    tx->depth = 1;
    tx->began = c->clock;
    tx->number = ++htm.begins;
    tx->gs = c->gs;
    tx->sp = sp;
    tx->low = fiber->low;
    tx->high = fiber->high;
    tx->lines.used = tx->stack.used = 0;
    tx->written = tx->entries = 0;
    tx->allocations = 0;
    const size_t live = (size_t)(fiber->high - sp);
    memcpy(extend(&tx->stack, live), sp, live);
    c->tx = tx;
    if (sim_htm_running++ == 0) {
        sim_memory_watch(sim_session.memory, line_leaves, NULL);
        sim_memory_limit(sim_session.memory, limit, NULL);
    }
    sim_memory_empty_filter(sim_session.memory, c->number);
    watch_stack(tx);
    c->clock += to_ticks(rules()->begin_cycles);
    set_alarm(c);
    ask_injector(c, SIM_TX_BEGIN, 0);
    return MACHINE_TX_STARTED;
}

void machine_tx_end(void) {
    struct sim_cpu *c = sim_cpu_now;
    struct sim_tx *tx = c->tx;
    if (sim_exploring) {
        sim_explore_pc = __builtin_return_address(0);
        sim_explore_tx_end();
        return;
    }
    if (tx == NULL)
        sim_fatal("a transaction is ended outside of any");
    ask_injector(c, SIM_TX_END, 0);
    if (tx->depth > 1) {
        tx->depth--;
        return;
    }
    c = in_order(c); /* the same one, as whoever is moved aborts */
    assert(c->tx == tx);
    settle_doomed(c);
    c->clock += to_ticks(rules()->commit_cycles);
    htm.commits++;
    const unsigned heap = sim_cpu_heap(c);
    finish(tx);
    for (size_t i = 0; i < tx->allocations; i++)
        if (tx->allocation[i].freed)
            sim_arena_give_back(tx->allocation[i].p, heap);
}

void machine_tx_abort(unsigned code) {
    struct sim_cpu *c = sim_cpu_now;
    if (sim_exploring) {
        sim_explore_pc = __builtin_return_address(0);
        sim_explore_tx_abort(code);
    }
    if (c->tx == NULL)
        return;
    blame(c->tx, MACHINE_TX_BY_EXPLICIT, c->number, 0, 0);
    c->tx->why.status = MACHINE_TX_EXPLICIT | (code & 0xff) << MACHINE_TX_CODE_SHIFT;
    roll_back_own(c->tx);
}

bool machine_tx_test(void) {
    return sim_exploring ? sim_explore_tx_test() : sim_cpu_now->tx != NULL;
}

const char *machine_tx_unavailable(void) {
    static char why[sizeof sim_session.profile.name + 64];
    if (!sim_session.open || rules()->present)
        return NULL;
    snprintf(why, sizeof why, "profile %s has no hardware transactions (htm.present)",
             sim_session.profile.name);
    return why;
}

/* ---- opening and closing --------------------------------------------------------------------- */

bool sim_htm_open(void) {
    enum { BUCKETS = 1 << 12 };
    const struct sim_profile *p = &sim_session.profile;
    htm = (struct htm){.cpus = sim_session.cpus,
                       .cores = sim_session.cpus / p->smt,
                       .cores_per_group = p->cores_per_group,
                       .free_mark = NO_MARK,
                       .buckets = BUCKETS};
    sim_htm_running = 0;
    sim_htm_stacks_shared = false;
    htm.tx = calloc(htm.cpus, sizeof *htm.tx);
    htm.bucket = malloc(BUCKETS * sizeof *htm.bucket);
    if (htm.tx == NULL || htm.bucket == NULL) {
        sim_htm_close();
        return false;
    }
    memset(htm.bucket, 0xff, BUCKETS * sizeof *htm.bucket);
    for (unsigned i = 0; i < htm.cpus; i++) {
        htm.tx[i].c = sim_sched_cpu(i);
        htm.tx[i].marks = NO_MARK;
    }
    return true;
}

void sim_htm_close(void) {
    for (unsigned i = 0; htm.tx != NULL && i < htm.cpus; i++) {
        free(htm.tx[i].stack.bytes);
        free(htm.tx[i].lines.bytes);
        free(htm.tx[i].allocation);
    }
    free(htm.tx);
    free(htm.mark);
    free(htm.bucket);
    htm = (struct htm){0};
    sim_htm_running = 0;
}

void sim_htm_counters(struct machine_counters *sum) {
    sum->tx_begins = htm.begins;
    sum->tx_commits = htm.commits;
    memcpy(sum->tx_aborts, htm.aborts, sizeof sum->tx_aborts);
    sum->tx_wasted_ns = (uint64_t)((double)htm.wasted / sim_session.costs.ticks_per_ns);
}
