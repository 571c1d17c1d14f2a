/*
 * pause.c - commit=pause, the protocol of the original: a commit stops all other threads.
 *
 * The handshake.  `stop` is odd while somebody has stopped the others.  The committer makes it odd,
 * then overwrites all other segments' allocation limits, then waits until none of them is in
 * C7_RUNNING.  A thread publishes C7_RUNNING by an exchange and looks at its limit behind that; of
 * the two sides at least one sees the other (Dekker; all sequentially consistent).  A thread that
 * sees its limit gone sets it back first and looks at `stop` then: whoever signals after that
 * overwrites it again, so no signal is lost.
 *
 * Committers that come too late stand at a safe point like everybody else, so nobody waits for a
 * waiter.
 */
#include "internal.h"

enum { STOP_SPINS = 400 };

static bool pausing(void) { return tm_c7.commit == C7_PAUSE && !tm_c7.alone; }

/* Waits while somebody has stopped us; returns the even value of `stop`. */
static uint32_t wait_for_go(void) {
    for (unsigned n = 0;; n++) {
        const uint32_t stop = atomic_load(&tm_c7.stop);
        if ((stop & 1) == 0)
            return stop;
        if (n < STOP_SPINS) {
            machine_cpu_relax();
            continue;
        }
        atomic_fetch_add(&tm_c7.stop_sleepers, 1);
        machine_wait(&tm_c7.stop, stop, UINT64_MAX);
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
        if (tm_likely(atomic_load(&s->signal.limit) != 0))
            return;
        tm_c7_unsignal(s);
        if ((atomic_load(&tm_c7.stop) & 1) == 0) {
            /* The limit may have been about something else. */
            if (tm_c7_running(s) && tm_c7_is_doomed(s))
                tm_c7_signal(s);
            return;
        }
        tm_c7_stand(s);
        wait_for_go();
    }
}

/* All other threads stand at safe points when this returns; false: this execution has been told to
 * abort. */
static bool stop_others(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    tm_c7_stand(s);
    for (;;) {
        uint32_t stop = wait_for_go();
        if (atomic_compare_exchange_strong(&tm_c7.stop, &stop, stop + 1))
            break;
        machine_cpu_relax();
    }
    if (tm_c7_is_doomed(s))
        return false;
    const uint64_t live = atomic_load(&tm_c7.live);
    for (uint64_t m = live & ~s->bit; m != 0; m &= m - 1)
        tm_c7_signal(&tm_c7.segment[__builtin_ctzll(m) + 1]);
    for (uint64_t m = live & ~s->bit; m != 0; m &= m - 1) {
        struct c7_segment *other = &tm_c7.segment[__builtin_ctzll(m) + 1];
        for (unsigned n = 0; atomic_load(&other->phase) == C7_RUNNING; n++)
            tm_c7_spin(self, n);
    }
    return true;
}

static void release_others(void) {
    atomic_fetch_add(&tm_c7.stop, 1);
    if (atomic_load(&tm_c7.stop_sleepers) > 0)
        machine_wake(&tm_c7.stop, UINT32_MAX);
}

/* The segments whose running blocks have read the object. */
static uint64_t readers(uint64_t paused, uint32_t object) {
    uint64_t found = 0;
    for (uint64_t m = paused; m != 0; m &= m - 1) {
        const struct c7_segment *other = &tm_c7.segment[__builtin_ctzll(m) + 1];
        if (tm_c7_has_read(other, object))
            found |= m & -m;
    }
    return found;
}

/* The other segments whose blocks stand at safe points.  A thread that comes back from one is in
 * C7_RUNNING for a moment, until it sees that it is to wait: so the phase says only who is outside.
 */
static uint64_t paused_segments(const struct c7_segment *s) {
    uint64_t paused = 0;
    for (uint64_t m = atomic_load(&tm_c7.live) & ~s->bit; m != 0; m &= m - 1) {
        const struct c7_segment *other = &tm_c7.segment[__builtin_ctzll(m) + 1];
        if (tm_c7_running(other) && atomic_load(&other->phase) != C7_OUTSIDE)
            paused |= m & -m;
    }
    return paused;
}

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
    bool go_on = stop_others(self);
    const uint64_t paused = paused_segments(s);
    uint64_t victims = 0;
    uint32_t peer = 0, object = 0;
    for (const struct c7_chunk *c = s->written.at; go_on && paused != 0 && c < s->written.next;
         c++) {
        if (c->kind != C7_OLD && c->kind != C7_TAKEN)
            continue;
        for (uint64_t m = readers(paused, c->object) & ~victims; m != 0; m &= m - 1) {
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
    if (!go_on) {
        release_others();
        tm_c7_run(s);
        tm_c7_obey(self);
        tm_c7_abort(self, TM_WRITE_READ, peer, object);
    }
    for (uint64_t m = victims; m != 0; m &= m - 1) {
        struct c7_segment *other = &tm_c7.segment[__builtin_ctzll(m) + 1];
        tm_c7_doom(other, atomic_load(&other->serial), s, TM_WRITE_READ, object);
    }
    if (victims != 0)
        atomic_fetch_add_explicit(&tm_c7.clock, 1, memory_order_relaxed);
    for (const struct c7_chunk *c = s->written.at; c < s->written.next; c++) {
        tm_c7_publish(s, c);
        copy_to_privates(s, c);
        tm_c7_disown(c);
    }
    tm_c7_leave(s);
    release_others();
}
