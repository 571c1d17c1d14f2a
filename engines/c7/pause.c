/*
 * pause.c - commit=pause, the protocol of the original: a commit stops all other threads.
 *
 * The handshake.  `group` is not 0 while somebody has stopped the others.  A committer enters it.
 * Whoever finds it empty overwrites the allocation limits of all segments that run.  Then each
 * member waits until nobody is in C7_RUNNING.  A thread publishes C7_RUNNING by an exchange and
 * looks at `group` behind that; of the two sides at least one sees the other (Dekker; all
 * sequentially consistent).  A thread that sees its limit gone sets it back first and looks at
 * `group` then: whoever signals after that overwrites it again, so no signal is lost.
 *
 * Group commit.  A thread that comes to its own commit while the others are stopped enters the
 * group, too, instead of waiting for a stop of its own, and all members look for readers and copy
 * at the same time: what they have written is disjoint, because of the owner bytes.  (Databases
 * write the log records of several transactions at once for the same reason: D. DeWitt et al.,
 * "Implementation techniques for main memory database systems", SIGMOD 1984.)  A member whose
 * objects nobody has read disturbs nobody's check, in whatever order the members are thought to
 * commit.  One that finds readers is `disputed`: it waits until all members that are not have left,
 * and then until it is the first of the others.  So it decides about its readers alone, and those
 * that were members have committed before it.  The last one to leave lets the world go.
 *
 * No member begins another block before that, so each thread is in the group once, and the world is
 * not stopped for longer than it takes all threads to come to a safe point and to commit once.
 * Members do not wait for a safe point of each other: nobody waits for a waiter.
 */
#include "internal.h"

enum {                    /* turns with a pause, some ten nanoseconds each */
       SOON_SPINS = 50,   /* at least so many until the others are signalled, */
       STAND_SPINS = 200, /* and so many more until they are signalled again */
       PHASE_TURNS = 8,   /* one look at another thread's phase */
       STOP_SPINS = 1000  /* before a thread yields, or sleeps */
};

static bool pausing(void) { return tm_c7.commit == C7_PAUSE && !tm_c7.alone; }

static bool stopped(void) { return atomic_load(&tm_c7.group) != 0; }

/* Waits while somebody has stopped us. */
static void wait_for_go(void) {
    for (unsigned n = 0; stopped(); n++) {
        if (n < machine_batch(STOP_SPINS)) {
            machine_cpu_relax();
            continue;
        }
        const uint32_t wakes = atomic_load(&tm_c7.stop_wakes);
        atomic_fetch_add(&tm_c7.stop_sleepers, 1);
        /* Whoever empties the group behind this look sees a sleeper. */
        if (stopped())
            machine_wait(&tm_c7.stop_wakes, wakes, UINT64_MAX);
        atomic_fetch_sub(&tm_c7.stop_sleepers, 1);
    }
}

void tm_c7_stand(struct c7_segment *s) {
    if (!pausing())
        return;
    /* Release: the committer sees the markers.  It naps when it has waited for long, and needs no
     * wake-up. */
    atomic_store_explicit(&s->phase, tm_c7_running(s) ? C7_PAUSED : C7_OUTSIDE,
                          memory_order_release);
}

void tm_c7_leave(struct c7_segment *s) {
    if (pausing())
        atomic_store_explicit(&s->phase, C7_OUTSIDE, memory_order_release);
}

void tm_c7_run(struct c7_segment *s) {
    if (!pausing())
        return;
    for (;;) {
        atomic_exchange(&s->phase, C7_RUNNING);
        if (tm_likely(!stopped()))
            return;
        tm_c7_stand(s);
        wait_for_go();
    }
}

/* ---- the group ------------------------------------------------------------------------------- */

/* The last one to leave wakes those who sleep. */
static void leave_group(const struct c7_segment *s) {
    if (atomic_fetch_sub(&tm_c7.group, s->bit) != s->bit)
        return;
    if (tm_unlikely(atomic_load(&tm_c7.stop_sleepers) > 0)) {
        atomic_fetch_add(&tm_c7.stop_wakes, 1);
        machine_wake(&tm_c7.stop_wakes, UINT32_MAX);
    }
}

/* Those of the segments that neither stand nor are in the group. */
static uint64_t running_of(uint64_t segments, bool phases) {
    uint64_t running = segments & ~atomic_load(&tm_c7.group);
    for (uint64_t m = phases ? running : 0; m != 0; m &= m - 1)
        if (atomic_load(&tm_c7.segment[__builtin_ctzll(m) + 1].phase) != C7_RUNNING)
            running &= ~(m & -m);
    return running;
}

static void signal_all(uint64_t segments) {
    for (uint64_t m = segments; m != 0; m &= m - 1)
        tm_c7_signal(&tm_c7.segment[__builtin_ctzll(m) + 1]);
}

/*
 * All other threads stand at safe points, or commit, when this returns.
 *
 * They are not signalled at once, but when we have waited for about as long as our copying will
 * stop them: until then they may come to their own commits, and blocks of equal length fall into
 * step.  The first signal that a thread sees at a write asks it to commit soon, the next one to
 * stand; it has taken back the first, so we signal again and again.
 */
static void stop_others(struct tm_thread *self) {
    const struct c7_segment *s = self->segment;
    const bool first = atomic_fetch_add(&tm_c7.group, s->bit) == 0;
    const unsigned soon = SOON_SPINS + (unsigned)tm_c7_count(&s->written);
    uint64_t running = atomic_load(&tm_c7.live) & ~s->bit;
    for (unsigned n = 0;; n++) {
        /* Phases are not looked at in every turn, because a thread writes there when it commits. */
        running = running_of(running, n % PHASE_TURNS == 0 || n >= STOP_SPINS);
        if (running == 0)
            return;
        if (first && n >= soon && ((n - soon) % STAND_SPINS == 0 || n >= STOP_SPINS))
            signal_all(running);
        if (n < STOP_SPINS)
            machine_cpu_relax();
        else
            tm_c7_spin(self, n - STOP_SPINS);
    }
}

/* ---- readers --------------------------------------------------------------------------------- */

/* The other segments whose blocks stand, or wait in the group.  A thread that comes back from a
 * safe point, or begins, is in C7_RUNNING for a moment, until it sees that it is to wait: so the
 * phase says only who is outside.  It is looked at before `serial`: a member that has committed is
 * outside first and ends its execution then, so it is not taken for a reader. */
static uint64_t standing_segments(const struct c7_segment *s) {
    uint64_t standing = 0;
    for (uint64_t m = atomic_load(&tm_c7.live) & ~s->bit; m != 0; m &= m - 1) {
        const struct c7_segment *other = &tm_c7.segment[__builtin_ctzll(m) + 1];
        if (atomic_load(&other->phase) != C7_OUTSIDE && tm_c7_running(other))
            standing |= m & -m;
    }
    return standing;
}

/* The segments whose running blocks have read the object. */
static uint64_t readers(uint64_t standing, uint32_t object) {
    uint64_t found = 0;
    for (uint64_t m = standing; m != 0; m &= m - 1) {
        const struct c7_segment *other = &tm_c7.segment[__builtin_ctzll(m) + 1];
        if (tm_c7_has_read(other, object))
            found |= m & -m;
    }
    return found;
}

/* Has anybody read what was written?  A thread outside of blocks has not, by its read version. That
 * is looked at only where there is a marker, because its thread changes it with each block. */
static bool is_read(const struct c7_segment *s) {
    const uint64_t others = atomic_load(&tm_c7.live) & ~s->bit;
    for (const struct c7_chunk *c = s->written.at; c < s->written.next; c++)
        for (uint64_t m = c->kind == C7_OLD || c->kind == C7_TAKEN ? others : 0; m != 0;
             m &= m - 1) {
            const struct c7_segment *other = &tm_c7.segment[__builtin_ctzll(m) + 1];
            if (tm_unlikely(*tm_c7_marker(other, c->object) != 0) &&
                tm_c7_has_read(other, c->object))
                return true;
        }
    return false;
}

/* This execution ends here: the world goes on without its commit. */
static _Noreturn TM_COLD void give_up(struct tm_thread *self, uint32_t peer, uint32_t object) {
    struct c7_segment *s = self->segment;
    leave_group(s);
    tm_c7_run(s);
    tm_c7_obey(self);
    tm_c7_abort(self, TM_WRITE_READ, peer, object);
}

/* Somebody has read what was written.  When we are alone with that, either all those are told to
 * abort, or this execution is given up. */
static TM_COLD void settle_dispute(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    atomic_fetch_or(&tm_c7.disputed, s->bit);
    for (unsigned n = 0;; n++) {
        /* In this order: a member may become disputed meanwhile, but nobody enters. */
        const uint64_t group = atomic_load(&tm_c7.group);
        const uint64_t disputed = atomic_load(&tm_c7.disputed);
        if ((group & ~disputed) == 0 && (disputed & (s->bit - 1)) == 0)
            break;
        tm_c7_spin(self, n);
    }
    const uint64_t standing = standing_segments(s);
    uint64_t victims = 0;
    uint32_t peer = 0, object = 0;
    bool go_on = !tm_c7_is_doomed(s);
    for (const struct c7_chunk *c = s->written.at; go_on && c < s->written.next; c++) {
        if (c->kind != C7_OLD && c->kind != C7_TAKEN)
            continue;
        for (uint64_t m = readers(standing, c->object) & ~victims; m != 0; m &= m - 1) {
            struct c7_segment *other = &tm_c7.segment[__builtin_ctzll(m) + 1];
            if (tm_c7_is_doomed(other))
                continue;
            victims |= m & -m;
            peer = other->number;
            object = c->object;
            if (!atomic_load(&other->retrying) && !tm_c7_wins(s, other)) {
                go_on = false;
                break;
            }
        }
    }
    for (uint64_t m = go_on ? victims : 0; m != 0; m &= m - 1) {
        struct c7_segment *other = &tm_c7.segment[__builtin_ctzll(m) + 1];
        tm_c7_doom(other, atomic_load(&other->serial), s, TM_WRITE_READ, object);
    }
    if (go_on && victims != 0)
        atomic_fetch_add_explicit(&tm_c7.clock, 1, memory_order_relaxed);
    if (!go_on) {
        atomic_fetch_and(&tm_c7.disputed, ~s->bit);
        give_up(self, peer, object);
    }
}

/* ---- commit ---------------------------------------------------------------------------------- */

/* To every private copy of the object's pages but our own. */
static void copy_to_privates(const struct c7_segment *s, const struct c7_chunk *c) {
    for (uint32_t unit = c->start, end = c->start + c->units; unit < end;) {
        const uint32_t page = tm_c7_page(unit);
        uint32_t next = (page + 1) << (C7_PAGE_SHIFT - C7_UNIT_SHIFT);
        next = next < end ? next : end;
        for (uint64_t m =
                 atomic_load_explicit(&tm_c7.privates[page], memory_order_acquire) & ~s->bit;
             m != 0; m &= m - 1)
            tm_c7_copy(tm_c7_at(&tm_c7.segment[__builtin_ctzll(m) + 1], unit), tm_c7_at(s, unit),
                       next - unit);
        unit = next;
    }
}

void tm_c7_commit_pause(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    stop_others(self);
    if (tm_unlikely(tm_c7_is_doomed(s)))
        give_up(self, 0, 0);
    const bool disputed = is_read(s);
    if (tm_unlikely(disputed))
        settle_dispute(self);
    for (const struct c7_chunk *c = s->written.at; c < s->written.next; c++) {
        tm_c7_publish(s, c);
        copy_to_privates(s, c);
        tm_c7_disown(c);
    }
    tm_c7_leave(s);
    if (tm_unlikely(disputed))
        atomic_fetch_and(&tm_c7.disputed, ~s->bit);
    leave_group(s);
}
