/*
 * log.c - commit=log: commits that stop nobody and, where nobody looks, tell nobody.
 *
 * A directory says which segments hold a page: as in a distributed shared memory with lazy release
 * consistency (P. Keleher, A. Cox, W. Zwaenepoel, "Lazy release consistency for software
 * distributed shared memory", ISCA 1992) a page is inaccessible to a segment until its thread
 * touches it; the fault makes the segment a holder.  A commit locks its own inbox and those of the
 * other holders of the pages it has written, checks that its own inbox has nothing that it has
 * read, copies its objects to segment 0, and leaves in the other inboxes a note for each object.
 * Whoever finds notes copies these objects from segment 0, if he has read none of them; otherwise
 * his snapshot cannot be extended (T. Riegel, P. Felber, C. Fetzer, "A lazy snapshot algorithm with
 * eager validation", DISC 2006) and he starts again.  So two blocks that touch different pages
 * share no word at all, and a commit costs what actual sharing costs, by page.  c8, the successor
 * of C7, validates against one global commit log instead.
 *
 * Why it is serializable.  A block that writes takes place while it holds the locks: its reads are
 * valid then (nothing it holds can change, I6, and its inbox is empty), and its writes appear.  One
 * that only reads took place when its inbox was empty last (I7).  Real time: a commit that ended
 * before a block began has left its note.
 */
#include "internal.h"

enum { LOCK_SPINS = 300, FETCHED = 8 };

/* ---- locks
 * ------------------------------------------------------------------------------------------ */

/*
 * The bias.  While nobody else comes to a segment's inbox its thread does not need an atomic
 * instruction, which would wait until all stores of the block have left the processor: for a block
 * of twenty operations, a fifth of its time.  So after some commits in peace the lock becomes
 * biased to that thread: it stores `unlocked_commit` and looks at `biased` behind that.  Whoever
 * else takes the lock resets `biased`, has all processors execute a barrier, and waits for
 * `unlocked_commit` (M. Herlihy, D. Dice et al., "Asymmetric Dekker synchronization"; K. Kawachiya,
 * A. Koseki, T. Onodera, "Lock reservation", OOPSLA 2002).
 */
static TM_COLD void revoke_bias(struct c7_segment *s) {
    atomic_store_explicit(&s->biased, false, memory_order_relaxed);
    machine_heavy_barrier(); /* pairs with the light one in try_biased */
    for (unsigned n = 0; atomic_load_explicit(&s->unlocked_commit, memory_order_acquire); n++)
        tm_c7_spin(NULL, n);
    if (s->quiet_wanted < C7_BIAS_MAX)
        s->quiet_wanted *= 2;
}

/* The own lock, if it is biased, without taking it. */
static bool try_biased(struct c7_segment *s) {
    if (!atomic_load_explicit(&s->biased, memory_order_relaxed))
        return false;
    atomic_store_explicit(&s->unlocked_commit, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* pairs with the barrier in revoke_bias */
    if (tm_likely(atomic_load_explicit(&s->biased, memory_order_acquire)))
        return true;
    atomic_store_explicit(&s->unlocked_commit, false, memory_order_release);
    return false;
}

static void leave_biased(struct c7_segment *s) {
    atomic_store_explicit(&s->unlocked_commit, false, memory_order_release);
}

/* Under the own lock, in a commit that concerns nobody else. */
static void count_quiet(struct c7_segment *s) {
    if (++s->quiet_commits < s->quiet_wanted)
        return;
    s->quiet_commits = 0;
    atomic_store_explicit(&s->biased, true, memory_order_relaxed);
}

/* `me` wants the lock of `s`. */
static bool try_lock(struct c7_segment *s, const struct c7_segment *me) {
    for (unsigned n = 0; n < machine_batch(LOCK_SPINS); n++) {
        if (atomic_load_explicit(&s->lock, memory_order_relaxed) == 0 &&
            atomic_exchange_explicit(&s->lock, 1, memory_order_acquire) == 0) {
            if (s != me) {
                s->quiet_commits = 0;
                if (tm_unlikely(atomic_load_explicit(&s->biased, memory_order_relaxed)))
                    revoke_bias(s);
            }
            return true;
        }
        machine_cpu_relax();
    }
    return false;
}

void tm_c7_unlock(struct c7_segment *s) {
    atomic_store_explicit(&s->lock, 0, memory_order_release);
}

/* Nobody keeps it for long: only its own thread does, and that is us. */
void tm_c7_lock_own(struct tm_thread *self) {
    for (unsigned n = 0; !try_lock(self->segment, self->segment); n++)
        tm_c7_spin(self, n);
}

static void unlock_segments(uint64_t segments) {
    for (uint64_t m = segments; m != 0; m &= m - 1)
        tm_c7_unlock(&tm_c7.segment[__builtin_ctzll(m) + 1]);
}

/* For `me`, in ascending order, all or none.  An irrevocable block keeps its own lock until it
 * ends, and may be waiting for us: so whoever fails gives back what he has. */
static bool lock_segments(uint64_t segments, const struct c7_segment *me) {
    for (uint64_t m = segments; m != 0; m &= m - 1)
        machine_expect_store(&tm_c7.segment[__builtin_ctzll(m) + 1]);
    for (uint64_t m = segments; m != 0; m &= m - 1)
        if (!try_lock(&tm_c7.segment[__builtin_ctzll(m) + 1], me)) {
            unlock_segments(segments & ((m & -m) - 1));
            return false;
        }
    return true;
}

uint64_t tm_c7_lock_all(struct tm_thread *self) {
    const struct c7_segment *s = self->segment;
    const uint64_t own = s->holds_lock ? 0 : s->bit;
    for (unsigned n = 0;; n++) {
        const uint64_t live = atomic_load(&tm_c7.live);
        const uint64_t all = (live & ~s->bit) | own;
        if (lock_segments(all, s)) {
            if (atomic_load(&tm_c7.live) == live)
                return all;
            unlock_segments(all);
        }
        tm_c7_spin(self, n);
        tm_c7_obey(self);
    }
}

void tm_c7_unlock_all(uint64_t locked) { unlock_segments(locked); }

/* ---- the inbox, under its lock
 * ----------------------------------------------------------------------- */

/* Segment 0's state of the piece goes to where the segment has private pages. */
static void refresh(const struct c7_segment *s, uint32_t start, uint32_t units) {
    for (uint32_t unit = start, end = start + units; unit < end;) {
        uint32_t next = (tm_c7_page(unit) + 1) << (C7_PAGE_SHIFT - C7_UNIT_SHIFT);
        next = next < end ? next : end;
        if (tm_c7_is_private(s, unit))
            tm_c7_copy(tm_c7_at(s, unit), tm_c7_at(&tm_c7.segment[0], unit), next - unit);
        unit = next;
    }
}

static void refresh_pages(struct c7_segment *s) {
    const uint32_t units = 1U << (C7_PAGE_SHIFT - C7_UNIT_SHIFT);
    for (uint32_t page = s->dirty_low; page < s->dirty_high; page++)
        if ((s->dirty_pages[page / 64] >> (page % 64) & 1) != 0) {
            s->dirty_pages[page / 64] &= ~(UINT64_C(1) << (page % 64));
            refresh(s, page * units, units);
        }
    s->overflow = false;
}

/* Brings the view up to date.  In a block: NULL, or the message that tells of an object that was
 * read; then nothing has been changed. */
static const struct c7_message *apply(struct c7_segment *s) {
    static const struct c7_message unknown = {0, 0, 0, 0};
    if (tm_c7_running(s)) {
        if (s->overflow)
            return &unknown;
        for (uint32_t i = 0; i < s->messages; i++)
            if (tm_c7_has_read(s, s->message[i].object))
                return &s->message[i];
    }
    for (uint32_t i = 0; i < s->messages; i++)
        refresh(s, s->message[i].start, s->message[i].units);
    if (s->overflow)
        refresh_pages(s);
    s->messages = 0;
    atomic_store_explicit(&s->pending, 0, memory_order_relaxed);
    return NULL;
}

static _Noreturn void abort_for(struct tm_thread *self, const struct c7_message *message) {
    const uint32_t peer = message->sender;
    tm_c7_abort(self, peer == 0 ? TM_VALIDATION : TM_WRITE_READ, peer, message->object);
}

static void post(struct c7_segment *to, const struct c7_segment *from, const struct c7_chunk *c) {
    if (!to->overflow && to->messages < C7_INBOX_ENTRIES) {
        to->message[to->messages++] =
            (struct c7_message){c->object, c->start, c->units, from->number};
        return;
    }
    const uint32_t low = tm_c7_page(c->start), high = tm_c7_page(c->start + c->units - 1) + 1;
    if (!to->overflow) {
        to->overflow = true;
        to->dirty_low = low;
        to->dirty_high = high;
    }
    to->dirty_low = low < to->dirty_low ? low : to->dirty_low;
    to->dirty_high = high > to->dirty_high ? high : to->dirty_high;
    for (uint32_t page = low; page < high; page++)
        to->dirty_pages[page / 64] |= UINT64_C(1) << (page % 64);
}

/* What the messages are about is on its way while we wait for the lock, so that nobody waits for us
 * that long.  Without the lock: another one may be adding to them. */
static void fetch_news(const struct c7_segment *s) {
    const struct c7_message *message = s->message;
    for (unsigned i = 0; i < FETCHED && i < s->messages; i++)
        machine_expect_load(tm_c7_at(&tm_c7.segment[0], message[i].start));
}

void tm_c7_import(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    machine_expect_store(&s->pending);
    /* Acquire: pairs with the release of the sender. */
    if (s->holds_lock || atomic_load_explicit(&s->pending, memory_order_acquire) == 0)
        return;
    fetch_news(s);
    tm_c7_lock_own(self);
    const struct c7_message *conflict = apply(s);
    const struct c7_message copy = conflict != NULL ? *conflict : (struct c7_message){0, 0, 0, 0};
    tm_c7_unlock(s);
    if (conflict != NULL)
        abort_for(self, &copy);
}

void tm_c7_hold_inbox(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    if (s->holds_lock)
        return;
    tm_c7_lock_own(self);
    const struct c7_message *conflict = apply(s);
    if (conflict != NULL) {
        const struct c7_message copy = *conflict;
        tm_c7_unlock(s);
        abort_for(self, &copy);
    }
    s->holds_lock = true;
}

void tm_c7_release_inbox(struct c7_segment *s) {
    s->holds_lock = false;
    tm_c7_unlock(s);
}

void tm_c7_wait_log(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    for (;;) {
        tm_c7_lock_own(self);
        const bool changed = apply(s) != NULL;
        atomic_store(&s->sleeping, !changed);
        tm_c7_unlock(s);
        if (changed)
            return;
        machine_wait(&s->pending, 0, UINT64_MAX);
        atomic_store(&s->sleeping, 0);
    }
}

/* ---- commit
 * ------------------------------------------------------------------------------------------ */

/* The other segments that hold pages of the chunk. */
static uint64_t holders_of(const struct c7_segment *s, const struct c7_chunk *c) {
    if (c->units == 0)
        return 0;
    uint64_t found = 0;
    for (uint32_t page = tm_c7_page(c->start), last = tm_c7_page(c->start + c->units - 1);
         page <= last; page++)
        found |= atomic_load_explicit(&tm_c7.holders[page], memory_order_relaxed);
    return found & ~s->bit;
}

static uint64_t all_holders(const struct c7_segment *s) {
    uint64_t found = 0;
    for (const struct c7_chunk *c = s->written.at; c < s->written.next; c++)
        found |= holders_of(s, c);
    return found & atomic_load_explicit(&tm_c7.live, memory_order_relaxed);
}

/* What a commit with other holders is about to write, while it does not have the locks yet. */
static void fetch_lines(const struct c7_segment *s) {
    const struct c7_chunk *c = s->written.at;
    for (unsigned n = 0; n < FETCHED && c < s->written.next; c++, n++)
        machine_expect_store(tm_c7_at(&tm_c7.segment[0], c->start));
}

/* Own lock and those of all other holders of what was written; returns the others. */
static uint64_t lock_for_commit(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    uint64_t others = all_holders(s); /* may change until we have our own lock */
    if (others != 0)
        fetch_lines(s);
    for (unsigned n = 0;; n++) {
        if (!s->holds_lock && (others & (s->bit - 1)) != 0) {
            /* Locks are taken in ascending order. */
            const uint64_t wanted = others | s->bit;
            if (lock_segments(wanted, s)) {
                others = all_holders(s);
                if ((others & ~wanted) == 0)
                    return wanted & ~s->bit;
                unlock_segments(wanted);
            }
        } else {
            for (uint64_t m = others; m != 0; m &= m - 1)
                machine_expect_store(&tm_c7.segment[__builtin_ctzll(m) + 1]);
            if (!s->holds_lock)
                tm_c7_lock_own(self);
            /* Nobody becomes a holder while we have our own lock (I6). */
            others = all_holders(s);
            if (others == 0) {
                if (!s->holds_lock)
                    count_quiet(s);
                return 0;
            }
            if ((s->holds_lock || (others & (s->bit - 1)) == 0) && lock_segments(others, s))
                return others;
            if (!s->holds_lock)
                tm_c7_unlock(s);
        }
        if (n > 0 || s->holds_lock) {
            tm_c7_spin(self, n);
            tm_c7_obey(self);
        }
    }
}

/* Those who read the pages through the shared frame keep what they see: it becomes their own. */
static void convert_readers(const struct c7_segment *s, const struct c7_chunk *c, uint64_t others) {
    if (c->units == 0 || c->kind == C7_FRESH)
        return; /* nobody has a reference to a new object */
    for (uint32_t page = tm_c7_page(c->start), last = tm_c7_page(c->start + c->units - 1);
         page <= last; page++) {
        const uint64_t holders = atomic_load_explicit(&tm_c7.holders[page], memory_order_relaxed);
        const uint64_t privates = atomic_load_explicit(&tm_c7.privates[page], memory_order_relaxed);
        for (uint64_t m = holders & others & ~privates & ~s->bit; m != 0; m &= m - 1)
            tm_c7_convert(&tm_c7.segment[__builtin_ctzll(m) + 1], page);
    }
}

static void notify(const struct c7_segment *s, const struct c7_chunk *c, uint64_t others) {
    for (uint64_t m = holders_of(s, c) & others; m != 0; m &= m - 1)
        post(&tm_c7.segment[__builtin_ctzll(m) + 1], s, c);
}

static void check_inbox(struct tm_thread *self, uint64_t locked) {
    const struct c7_message *conflict = apply(self->segment);
    if (conflict == NULL)
        return;
    const struct c7_message copy = *conflict;
    unlock_segments(locked);
    abort_for(self, &copy);
}

/* What was written is on pages that nobody else holds, and the own lock is biased. */
static bool commit_biased(struct c7_segment *s) {
    if (s->holds_lock || !try_biased(s))
        return false;
    if (all_holders(s) != 0 || atomic_load_explicit(&s->pending, memory_order_relaxed) != 0) {
        leave_biased(s);
        return false;
    }
    for (const struct c7_chunk *c = s->written.at; c < s->written.next; c++) {
        tm_c7_publish(s, c);
        tm_c7_disown(c);
    }
    leave_biased(s);
    return true;
}

void tm_c7_commit_log(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    if (tm_likely(commit_biased(s)))
        return;
    const uint64_t others = lock_for_commit(self);
    const uint64_t locked = others | (s->holds_lock ? 0 : s->bit);
    if (!s->holds_lock && atomic_load_explicit(&s->pending, memory_order_relaxed) != 0)
        check_inbox(self, locked);
    if (others != 0)
        for (const struct c7_chunk *c = s->written.at; c < s->written.next; c++)
            convert_readers(s, c, others);
    for (const struct c7_chunk *c = s->written.at; c < s->written.next; c++) {
        tm_c7_publish(s, c);
        if (others != 0)
            notify(s, c, others);
    }
    for (uint64_t m = others; m != 0; m &= m - 1) {
        struct c7_segment *other = &tm_c7.segment[__builtin_ctzll(m) + 1];
        if (other->messages == 0 && !other->overflow)
            continue;
        /* Release: pairs with the acquire in tm_c7_import. */
        atomic_store_explicit(&other->pending, 1, memory_order_release);
        /* Release will do for this signal: who takes it back reads it, and `pending` then. */
        atomic_store_explicit(&other->signal.limit, 0, memory_order_release);
        if (atomic_load_explicit(&other->sleeping, memory_order_relaxed))
            machine_wake(&other->pending, 1);
    }
    for (const struct c7_chunk *c = s->written.at; c < s->written.next; c++)
        tm_c7_disown(c);
    unlock_segments(locked);
}

/* ---- first touch
 * -------------------------------------------------------------------------------------- */

bool tm_c7_fault(uintptr_t address) {
    if (tm_c7.reserve == NULL || tm_c7.commit != C7_LOG || tm_c7.alone ||
        address - (uintptr_t)tm_c7.reserve >= (tm_c7.segments + 1) * tm_c7.stride)
        return false;
    const uintptr_t number = (address - (uintptr_t)tm_c7.reserve) / tm_c7.stride;
    const uint32_t page =
        (uint32_t)(((address - (uintptr_t)tm_c7.reserve) % tm_c7.stride) >> C7_PAGE_SHIFT);
    struct c7_segment *s = &tm_c7.segment[number];
    if (number == 0 || page < tm_c7.first_page || page >= tm_c7.end_page || s->thread == NULL ||
        (atomic_load_explicit(&tm_c7.holders[page], memory_order_relaxed) & s->bit) != 0)
        return false;
    struct tm_thread *self = s->thread;
    const uint64_t locked = tm_c7_lock_all(self);
    /* What the page shows is the state of now, so the rest of the view must be, too.  The compiler
     * may not have stored the markers of the loop that we come from, so a block cannot find out
     * whether it may go on. */
    const bool stale = atomic_load_explicit(&s->pending, memory_order_relaxed) != 0;
    const bool running = tm_c7_running(s);
    if (stale && !running)
        (void)apply(s);
    tm_c7_hold(s, page);
    tm_c7_unlock_all(locked);
    if (stale && running)
        tm_c7_abort(self, TM_VALIDATION, 0, page << (C7_PAGE_SHIFT - C7_UNIT_SHIFT));
    return true;
}
