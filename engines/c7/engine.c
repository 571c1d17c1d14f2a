/*
 * engine.c - threads, blocks and the write barrier of c7, and its descriptor.  See engine.h and
 * internal.h.
 */
#include "internal.h"

#include <string.h>

TM_CHECKPOINT_DEFINITION

struct c7_global tm_c7 = {.fd = -1};

/* ---- %gs
 * ---------------------------------------------------------------------------------------------- */

#if !defined(C7_PLAIN)
void tm_c7_enter(const struct tm_thread *self) {
    if (!machine_set_gs(self->base))
        tm_fatal(
            "c7: neither FSGSBASE nor arch_prctl(ARCH_SET_GS) works here; use c7:addressing=plain");
}
#else
void tm_c7_enter(const struct tm_thread *self) { (void)self; }
#endif

static void set_segment(struct tm_thread *self, struct c7_segment *s) {
    self->segment = s;
    self->base = s == &tm_c7.nobody ? tm_c7.segment[0].base : s->base;
    tm_c7_enter(self);
}

/* ---- more threads than segments
 * ------------------------------------------------------------------------ */

static void lock_queue(void) {
    while (atomic_exchange_explicit(&tm_c7.queue_lock, 1, memory_order_acquire) != 0)
        machine_yield();
}
static void unlock_queue(void) {
    atomic_store_explicit(&tm_c7.queue_lock, 0, memory_order_release);
}

/* First come, first served. */
static void get_segment(struct tm_thread *self) {
    unsigned number = 0;
    lock_queue();
    if (tm_c7.free_segments != 0) {
        number = (unsigned)__builtin_ctzll(tm_c7.free_segments) + 1;
        tm_c7.free_segments &= tm_c7.free_segments - 1;
    } else {
        atomic_store(&self->given, 0);
        self->next = NULL;
        if (tm_c7.queue == NULL)
            tm_c7.queue = self;
        else
            tm_c7.queue_end->next = self;
        tm_c7.queue_end = self;
    }
    unlock_queue();
    while (number == 0) {
        machine_wait(&self->given, 0, UINT64_MAX);
        number = atomic_load(&self->given);
    }
    struct c7_segment *s = &tm_c7.segment[number];
    atomic_store_explicit(&s->thread, self, memory_order_relaxed);
    set_segment(self, s);
}

static void put_segment(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    set_segment(self, &tm_c7.nobody);
    lock_queue();
    struct tm_thread *first = tm_c7.queue;
    if (first == NULL)
        tm_c7.free_segments |= s->bit;
    else
        tm_c7.queue = first->next;
    unlock_queue();
    if (first != NULL) {
        atomic_store(&first->given, s->number);
        machine_wake(&first->given, 1);
    }
}

/* ---- blocks
 * --------------------------------------------------------------------------------------------- */

/* The inbox stays locked for this execution: nobody can invalidate it. */
static TM_COLD void take_priority(struct tm_thread *self) {
    tm_c7_take_token(self);
    tm_c7_hold_inbox(self);
    self->common.stats.fallbacks++;
}

static TM_COLD void reshare(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    s->commits = 0;
    if (atomic_load_explicit(&s->private_pages, memory_order_relaxed) <= C7_RESHARE_PAGES)
        return;
    if (tm_c7.commit == C7_LOG && !tm_c7.alone) {
        const uint64_t locked = tm_c7_lock_all(self);
        tm_c7_reshare(s); /* messages about pages that it does not hold any more are ignored */
        tm_c7_unlock_all(locked);
    } else {
        tm_c7_reshare(s);
    }
}

void tm_c7_begin(struct tm_thread *self) {
    if (tm_unlikely(!self->bound)) {
        self->changes_begin = atomic_load(&tm_c7.changes);
        get_segment(self);
    }
    struct c7_segment *s = self->segment;
    if (!tm_c7.alone) {
        if (tm_unlikely(atomic_load_explicit(&s->signal.limit, memory_order_relaxed) == 0))
            tm_c7_unsignal(s);
        s->hurried = false;
        if (tm_c7.commit == C7_PAUSE)
            tm_c7_run(s);
        else
            tm_c7_import(self); /* also what the execution before could not */
    }
    if (tm_unlikely(s->commits >= C7_RESHARE_COMMITS))
        reshare(self);
    if (self->age == UINT64_MAX)
        self->age = atomic_load_explicit(&tm_c7.clock, memory_order_relaxed);
    atomic_store_explicit(&s->age, self->age, memory_order_relaxed);
    /* Release: whoever sees the execution running sees its age. */
    atomic_store_explicit(&s->serial, atomic_load_explicit(&s->serial, memory_order_relaxed) + 1,
                          memory_order_release);
    s->begin_next = s->next;
    s->begin_end = s->block_end;
    s->signal.budget = self->length;
    if (tm_unlikely(self->common.timed))
        self->start_ns = machine_now_ns();
    if (tm_unlikely(self->losses >= C7_LOSSES_PRIORITY) && tm_c7.commit == C7_LOG && !tm_c7.alone)
        take_priority(self);
}

void tm_c7_end_execution(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    tm_c7_next_version(s);
    if (tm_unlikely(s->holds_lock))
        tm_c7_release_inbox(s);
    /* Release: whoever sees it over sees what it has done. */
    atomic_store_explicit(&s->serial, atomic_load_explicit(&s->serial, memory_order_relaxed) + 1,
                          memory_order_release);
    if (tm_unlikely(s->holds_token))
        tm_c7_drop_token(s);
    tm_c7_leave(s);
    if (tm_unlikely(!self->bound))
        put_segment(self);
}

static void commit_alone(struct c7_segment *s) {
    for (const struct c7_chunk *c = s->written.at; c < s->written.next; c++) {
        tm_c7_publish(s, c);
        tm_c7_disown(c);
    }
}

void tm_c7_commit(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    struct tm_stats *stats = &self->common.stats;
    const size_t written = tm_c7_count(&s->written);
    if ((written | tm_c7_count(&s->freed)) != 0) {
        self->common.depth = 1; /* an abort from here starts the block again */
        if (tm_c7.alone)
            commit_alone(s);
        else if (tm_c7.commit == C7_PAUSE)
            tm_c7_commit_pause(self);
        else
            tm_c7_commit_log(self);
        self->common.depth = 0;
        stats->writes += written;
        if (written > stats->write_set_max)
            stats->write_set_max = written;
        tm_c7_heap_commit(s);
        s->commits++;
        if (tm_unlikely(!self->bound)) {
            atomic_fetch_add(&tm_c7.changes, 1);
            if (atomic_load(&tm_c7.change_sleepers) > 0)
                machine_wake(&tm_c7.changes, UINT32_MAX);
        }
    }
    stats->commits++;
    self->age = UINT64_MAX;
    self->losses = 0;
    self->length += self->length >> 4;
    if (self->length > C7_LENGTH_MAX)
        self->length = C7_LENGTH_MAX;
    tm_c7_end_execution(self);
}

void tm_c7_attention(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    if (!tm_c7_running(s)) /* outside of blocks there is nothing to do; the next begin looks */
        return;
    tm_c7_unsignal(s);
    if (tm_c7.commit == C7_PAUSE)
        tm_c7_run(s);
    tm_c7_obey(self);
    if (tm_c7.commit == C7_LOG)
        tm_c7_import(self);
}

void tm_irrevocable(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    if (self->direct || atomic_load_explicit(&s->irrevocable, memory_order_relaxed))
        return;
    if (self->common.depth == 0)
        tm_fatal("tm_irrevocable outside of a block");
    tm_c7_take_token(self);
    if (tm_c7.commit == C7_LOG && !tm_c7.alone) {
        tm_c7_hold_inbox(self);
        atomic_store(&s->irrevocable, 1);
    } else {
        atomic_store(&s->irrevocable, 1);
        /* Who dooms us stores that and then looks at `irrevocable`; we do it the other way round,
         * so one of us sees the other.  A committer, which finds us standing, is obeyed here at the
         * latest. */
        if (atomic_load(&s->doomed) == atomic_load_explicit(&s->serial, memory_order_relaxed)) {
            atomic_store(&s->irrevocable, 0);
            tm_c7_obey(self);
        }
    }
    self->common.stats.irrevocable++;
}

/* Sleeps until a commit has changed something that this execution has read. */
_Noreturn void tm_block_retry(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    if (self->direct || atomic_load_explicit(&s->irrevocable, memory_order_relaxed))
        tm_fatal("tm_retry in %s", self->direct ? "direct mode" : "an irrevocable block");
    self->common.stats.retries++;
    const bool timed = self->common.timed;
    self->common.timed = false; /* time asleep is not wasted in an aborted execution */
    tm_c7_roll_back(self);      /* the markers stay, and tell committers what we wait for */
    if (!self->bound) {
        tm_c7_end_execution(self);
        atomic_fetch_add(&tm_c7.change_sleepers, 1);
        while (atomic_load(&tm_c7.changes) == self->changes_begin)
            machine_wait(&tm_c7.changes, self->changes_begin, UINT64_MAX);
        atomic_fetch_sub(&tm_c7.change_sleepers, 1);
    } else {
        if (s->holds_lock)
            tm_c7_release_inbox(s);
        if (s->holds_token)
            tm_c7_drop_token(s);
        if (tm_c7.commit == C7_LOG && !tm_c7.alone) {
            tm_c7_wait_log(self);
        } else {
            atomic_store(&s->retrying, 1);
            tm_c7_stand(s);
            for (uint32_t doomed; !tm_c7_is_doomed(s);) {
                doomed = atomic_load(&s->doomed);
                if (doomed != atomic_load_explicit(&s->serial, memory_order_relaxed))
                    machine_wait(&s->doomed, doomed, UINT64_MAX);
            }
            atomic_store(&s->retrying, 0);
            tm_c7_run(s);
        }
        tm_c7_end_execution(self);
    }
    self->common.timed = timed;
    self->common.depth = 1;
    tm_checkpoint_resume(&self->checkpoint);
}

_Noreturn void tm_block_restart(struct tm_thread *self) {
    if (self->direct || atomic_load_explicit(&self->segment->irrevocable, memory_order_relaxed))
        tm_fatal("tm_abort_restart in %s", self->direct ? "direct mode" : "an irrevocable block");
    tm_c7_abort(self, TM_EXPLICIT, 0, 0);
}

/* ---- the write barrier
 * ----------------------------------------------------------------------------------- */

static void make_private(struct c7_segment *s, uint32_t unit) {
    if (tm_unlikely(!tm_c7_is_private(s, unit)))
        tm_c7_privatize(s, tm_c7_page(unit));
}

static void mark(const struct c7_segment *s, uint32_t object) {
    *tm_c7_marker(s, object) = *tm_c7_read_version(s);
}

/* The object is ours from here on.  Its owner byte stands in `written` at once, so that an abort in
 * what follows gives it back. */
static TM_COLD void take(struct tm_thread *self, uint32_t object) {
    struct c7_segment *s = self->segment;
    tm_c7_push(&s->written, (struct c7_chunk){object, object, 0, C7_TAKEN});
    if (tm_c7.commit == C7_LOG || s->hurried) {
        tm_safepoint(self);
    } else if (tm_unlikely(atomic_load_explicit(&s->signal.limit, memory_order_relaxed) == 0)) {
        s->hurried = true; /* commits soon, perhaps; at the next signal it stands */
        tm_c7_unsignal(s);
        tm_c7_obey(self);
    }
    /* What was committed of it before is here now, or we abort. */
    if (!tm_c7.alone && tm_c7.commit == C7_LOG)
        tm_c7_import(self);
    mark(s, object);
}

static TM_COLD void write_card(struct tm_thread *self, uint32_t object, uint32_t units,
                               uintptr_t field) {
    struct c7_segment *s = self->segment;
    const uint32_t card = (uint32_t)(field >> C7_CARD_SHIFT) << (C7_CARD_SHIFT - C7_UNIT_SHIFT);
    /* The object's owner byte stands at its first unit, that of a card at its second. */
    const bool ours = atomic_load_explicit(&tm_c7.owner[object], memory_order_relaxed) == s->number;
    if (ours && atomic_load_explicit(&tm_c7.owner[card + 1], memory_order_relaxed) == s->number)
        return;
    if (!ours) {
        tm_c7_own(self, object, object);
        take(self, object);
    }
    make_private(s, card);
    const uint32_t end = object + units, card_end = card + (C7_CARD >> C7_UNIT_SHIFT);
    atomic_store_explicit(&tm_c7.owner[card + 1], (uint8_t)s->number, memory_order_relaxed);
    tm_c7_push(&s->written,
               (struct c7_chunk){object, card, (card_end < end ? card_end : end) - card, C7_PIECE});
}

/* The object is ours, but not all of it is private yet, or somebody has signalled, or the list is
 * full. */
static TM_COLD void write_unprepared(struct tm_thread *self, uint32_t object, uint32_t units) {
    struct c7_segment *s = self->segment;
    const size_t i = tm_c7_count(&s->written);
    take(self, object);
    make_private(s, object);
    make_private(s, object + units - 1);
    s->written.at[i].units = units;
    s->written.at[i].kind = C7_OLD;
    *tm_c7_header(s, object) &= ~C7_HEADER_BARRIER;
}

/* Everything but the first write of a short object that nobody else wants. */
static TM_COLD void write_unusual(struct tm_thread *self, uint32_t object, uint32_t units,
                                  uintptr_t field) {
    if (self->direct)
        return;
    if (self->common.depth == 0)
        tm_fatal("tm_set outside of a block");
    if (units > C7_SMALL_UNITS) {
        write_card(self, object, units, field);
        return;
    }
    tm_c7_own(self, object, object);
    write_unprepared(self, object, units);
}

/* The common case calls nothing: see to it that what is rare ends the function. */
void tm_c7_write(struct tm_thread *self, uintptr_t object, uintptr_t field) {
    struct c7_segment *s = self->segment;
    const uint32_t unit = tm_c7_unit(object);
    tm_c7_word *header = (tm_c7_word *)(self->base + object);
    const uint32_t units = (uint32_t)*header;

    /* In direct mode there is no list, so it is full. */
    if (tm_unlikely(units > C7_SMALL_UNITS || s->written.next == s->written.end)) {
        write_unusual(self, unit, units, field);
        return;
    }
    if (tm_unlikely(!tm_c7_try_own(s, unit))) {
        write_unusual(self, unit, units, field);
        return;
    }
    /* A safe point; also, whoever had the object before has left a message, and this signal. */
    if (tm_unlikely(atomic_load_explicit(&s->signal.limit, memory_order_relaxed) == 0)) {
        write_unprepared(self, unit, units);
        return;
    }
    const uint32_t page = tm_c7_page(unit), last = tm_c7_page(unit + units - 1);
    if (tm_unlikely((atomic_load_explicit(&tm_c7.privates[page], memory_order_relaxed) &
                     atomic_load_explicit(&tm_c7.privates[last], memory_order_relaxed) & s->bit) ==
                    0)) {
        write_unprepared(self, unit, units);
        return;
    }
    /* {unit, unit, units, C7_OLD}, by words: gcc would build it in a vector register. */
    tm_c7_word *chunk = (tm_c7_word *)s->written.next++;
    chunk[0] = unit * UINT64_C(0x100000001);
    chunk[1] = units;
    *(uint8_t *)(self->base + unit) = *(const uint8_t *)(self->base + C7_CONTROL);
    *header &= ~C7_HEADER_BARRIER;
}

void tm_c7_plain_write(struct tm_thread *self, uintptr_t object, uintptr_t field, size_t bytes,
                       uint64_t bits) {
    const bool outermost = self->common.depth == 0; /* not in setup, and not in a block */
    atomic (self) {
        if ((((const struct c7_object *)(self->base + object))->tm_header.flags &
             C7_WRITE_BARRIER) != 0)
            tm_c7_write(self, object, field);
        memcpy(self->base + field, &bits, bytes);
    }
    if (outermost)
        self->common.stats.commits--; /* it is none of the program's */
}

/* ---- threads
 * ---------------------------------------------------------------------------------------------- */

/* The segment gets, or loses, its thread.  With commit=log nobody commits meanwhile; with
 * commit=pause committers need not care: the thread is outside of blocks, and finds the group when
 * it begins one. */
static void set_live(struct tm_thread *self, bool live) {
    struct c7_segment *s = self->segment;
    const uint64_t locked = tm_c7.commit == C7_LOG ? tm_c7_lock_all(self) : 0;
    s->thread = live ? self : NULL;
    if (live && s->left && tm_c7.commit == C7_LOG &&
        !tm_c7.alone) { /* nobody has sent it anything since */
        s->messages = 0;
        s->overflow = false;
        atomic_store(&s->pending, 0);
        tm_c7_forget_pages(s);
    }
    s->left = !live;
    if (live)
        atomic_fetch_or(&tm_c7.live, s->bit);
    else
        atomic_fetch_and(&tm_c7.live, ~s->bit);
    tm_c7_unlock_all(locked);
}

static struct tm_thread *c7_attach(unsigned index, bool direct) {
    struct tm_thread *self = machine_alloc_aligned(sizeof *self, TM_CACHE_LINE);
    if (self == NULL)
        return NULL;
    self->common.index = index;
    self->common.last_abort.peer = -1;
    self->direct = direct;
    self->age = UINT64_MAX;
    self->length = C7_LENGTH_MAX;
    self->rng = (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    if (direct) { /* inside of an outermost block that never ends, so to speak */
        self->bound = true;
        self->common.depth = 1;
        set_segment(self, &tm_c7.segment[0]);
    } else if (tm_c7.oversubscribed) {
        set_segment(self, &tm_c7.nobody);
    } else {
        self->bound = true;
        set_segment(self, &tm_c7.segment[index + 1]);
        set_live(self, true);
    }
    return self;
}

static void c7_detach(struct tm_thread *self) {
    if (self->bound && !self->direct)
        set_live(self, false);
    machine_free(self);
}

/* Outside of blocks a thread holds nothing. */
static void c7_pause(struct tm_thread *self) { (void)self; }

static struct tm_stats *c7_stats(struct tm_thread *self) { return &self->common.stats; }

/* ---- descriptor
 * --------------------------------------------------------------------------------------------- */

static const char *c7_unavailable(void) { return NULL; }

enum { HEAP_MB_MIN = 16 };
enum { OPTION_SEGMENTS, OPTION_COMMIT, OPTION_ADDRESSING, OPTION_HEAP_MB };

/* A sanitizer build has the plain variant only. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ADDRESSING_DEFAULT "plain"
#else
#define ADDRESSING_DEFAULT "gs"
#endif

static const struct tm_param c7_params[] = {
    [OPTION_SEGMENTS] = {"segments",
                         "memory segments at most; as many threads run blocks at a time", TM_INT,
                         "64", 1, C7_SEGMENTS_MAX, NULL},
    [OPTION_COMMIT] = {"commit",
                       "pause: a commit stops the other threads; log: it tells those concerned",
                       TM_CHOICE, "pause", .choices = "pause|log"},
    [OPTION_ADDRESSING] = {"addressing", "gs: segments through %gs; plain: a base pointer is added",
                           TM_CHOICE, ADDRESSING_DEFAULT, .choices = "gs|plain"},
    [OPTION_HEAP_MB] = {"heap_mb", "size of the heap in MiB", TM_INT, "1024", HEAP_MB_MIN, 32768,
                        NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

static void c7_stop(void) {
    if (tm_c7.commit == C7_LOG && !tm_c7.alone)
        machine_ignore_faults();
    tm_c7_heap_stop();
    for (unsigned i = 0; i <= tm_c7.segments; i++) {
        machine_free(tm_c7.segment[i].message);
        machine_free(tm_c7.segment[i].dirty_pages);
    }
    tm_c7_unmap();
}

static bool c7_start(const union tm_value *options, unsigned threads, char *why, size_t why_size) {
    memset((void *)&tm_c7, 0, sizeof tm_c7);
    tm_c7.fd = -1;
    const unsigned most = (unsigned)options[OPTION_SEGMENTS].i;
    tm_c7.threads = threads;
    tm_c7.segments = threads < most ? threads : most;
    tm_c7.commit = options[OPTION_COMMIT].choice == 1 ? C7_LOG : C7_PAUSE;
    tm_c7.alone = tm_c7.segments == 1;
    tm_c7.oversubscribed = threads > tm_c7.segments;
    atomic_store(&tm_c7.nobody.signal.limit, UINTPTR_MAX);
    tm_c7.nobody.block_end = UINTPTR_MAX;
    /* Where schedules are explored, most of each would go into starting a large heap. */
    const unsigned heap_mb = machine_batch((unsigned)options[OPTION_HEAP_MB].i);
    if (!tm_c7_map(heap_mb < HEAP_MB_MIN ? HEAP_MB_MIN : heap_mb, why, why_size))
        return false;
    tm_c7_heap_start();
    if (tm_c7.commit == C7_LOG && !tm_c7.alone) {
        for (unsigned i = 1; i <= tm_c7.segments; i++) {
            struct c7_segment *s = &tm_c7.segment[i];
            s->quiet_wanted = C7_BIAS_MIN;
            s->message = machine_alloc(C7_INBOX_ENTRIES * sizeof *s->message);
            s->dirty_pages =
                machine_alloc_aligned((tm_c7.end_page / 64 + 1) * sizeof *s->dirty_pages, 64);
            if (s->message == NULL || s->dirty_pages == NULL) {
                snprintf(why, why_size, "out of memory");
                c7_stop();
                return false;
            }
        }
        machine_catch_faults(tm_c7_fault);
    }
    if (tm_c7.oversubscribed) {
        const uint64_t all =
            tm_c7.segments == 64 ? UINT64_MAX : (UINT64_C(1) << tm_c7.segments) - 1;
        tm_c7.free_segments = all;
        atomic_store(&tm_c7.live, all);
    }
    return true;
}

const struct tm_engine tm_engine_descriptor = {
    .name = "c7",
#if defined(C7_PLAIN)
    .variant = "addressing=plain",
    .not_simulated = "only addressing=gs is built for simulated machines, to save compiling",
#endif
    .help = "object-based STM with a memory segment per thread, reached through %gs (PyPy's C7)",
    .stands_for = "PyPy-STM: Python without a GIL",
    .options = c7_params,
    .max_threads = 1024,
    .rollback = true,
    .unavailable = c7_unavailable,
    .start = c7_start,
    .attach = c7_attach,
    .detach = c7_detach,
    .suspend = c7_pause,
    .resume = c7_pause,
    .stop = c7_stop,
    .stats = c7_stats,
};
TM_REGISTER(tm_engines, struct tm_engine, tm_engine_descriptor);
