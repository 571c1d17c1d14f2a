/*
 * conflict.c - contention management of c7: who wins, who waits, and how an execution is given up.
 *
 * The older block wins and the other one is told to abort; an irrevocable block always wins.  A
 * block's age is the value of a clock that conflicts advance, taken when its first execution begins
 * and kept over the others, so that whoever has lost becomes the oldest in time; equal ages are
 * decided by the segment's number.
 */
#include "internal.h"

enum {
    SPINS = 200,       /* turns with a pause, */
    YIELDS = 20,       /* then so many that give the processor up, then naps */
    LOSER_WAITS = 400, /* turns that a loser waits for its winner at most */
    BACKOFF_DOUBLINGS = 10
};

void tm_c7_spin(struct tm_thread *self, unsigned n) {
    if (n < SPINS)
        machine_cpu_relax();
    else if (n < SPINS + YIELDS || self == NULL)
        machine_yield();
    else
        machine_wait(&self->nap, 0, C7_NAP_NS);
}

bool tm_c7_wins(const struct c7_segment *a, const struct c7_segment *b) {
    if (atomic_load(&a->irrevocable))
        return true;
    if (atomic_load(&b->irrevocable))
        return false;
    const uint64_t age_a = atomic_load_explicit(&a->age, memory_order_relaxed);
    const uint64_t age_b = atomic_load_explicit(&b->age, memory_order_relaxed);
    return age_a != age_b ? age_a < age_b : a->number < b->number;
}

void tm_c7_doom(struct c7_segment *victim, uint32_t serial, const struct c7_segment *winner,
                enum tm_cause cause, uint32_t unit) {
    atomic_store_explicit(&victim->doomed_cause, cause, memory_order_relaxed);
    atomic_store_explicit(&victim->doomed_by, winner->number, memory_order_relaxed);
    atomic_store_explicit(&victim->doomed_object, unit, memory_order_relaxed);
    /* A doom of an earlier execution may come late, and must not undo that of the current one. (The
     * numbers cannot be compared by size: they wrap, and the last doom may be hours old.) */
    uint32_t before = atomic_load(&victim->doomed);
    while (before != atomic_load(&victim->serial) &&
           !atomic_compare_exchange_weak(&victim->doomed, &before, serial))
        ;
    tm_c7_signal(victim);
    if (atomic_load(&victim->retrying))
        machine_wake(&victim->doomed, 1);
}

bool tm_c7_is_doomed(const struct c7_segment *s) {
    return atomic_load(&s->doomed) == atomic_load_explicit(&s->serial, memory_order_relaxed) &&
           !atomic_load_explicit(&s->irrevocable, memory_order_relaxed);
}

void tm_c7_obey(struct tm_thread *self) {
    const struct c7_segment *s = self->segment;
    if (tm_c7_running(s) && tm_c7_is_doomed(s))
        tm_c7_abort(self,
                    (enum tm_cause)atomic_load_explicit(&s->doomed_cause, memory_order_relaxed),
                    atomic_load_explicit(&s->doomed_by, memory_order_relaxed),
                    atomic_load_explicit(&s->doomed_object, memory_order_relaxed));
}

TM_COLD void tm_c7_contend(struct tm_thread *self, uint32_t object, uint32_t unit) {
    const uint32_t owner = atomic_load(&tm_c7.owner[unit]);
    struct c7_segment *s = self->segment, *other = &tm_c7.segment[owner];
    if (owner == 0 || owner == s->number)
        return;
    const uint32_t serial = atomic_load(&other->serial);
    if (atomic_load(&tm_c7.owner[unit]) != owner)
        return;
    if (!tm_c7_wins(s, other))
        tm_c7_abort(self, TM_WRITE_WRITE, owner, object);
    if ((serial & 1) != 0)
        tm_c7_doom(other, serial, s, TM_WRITE_WRITE, object);
    tm_c7_stand(s);
    bool lost = false;
    for (unsigned n = 0; !lost && atomic_load(&tm_c7.owner[unit]) == owner; n++) {
        tm_c7_spin(self, n);
        /* The doom came too late, or the owner runs its next execution: it may have become older in
         * the order of things, so decide again. */
        lost = tm_c7_is_doomed(s) || !tm_c7_wins(s, other);
        const uint32_t now = atomic_load(&other->serial);
        if (!lost && now != serial && (now & 1) != 0)
            break;
    }
    tm_c7_run(s);
    tm_c7_obey(self);
    if (lost)
        tm_c7_abort(self, TM_WRITE_WRITE, owner, object);
}

/* ---- giving up
 * ------------------------------------------------------------------------------------- */

void tm_c7_roll_back(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    const struct c7_segment *committed = &tm_c7.segment[0];
    if (self->common.timed)
        self->common.stats.wasted_ns += machine_now_ns() - self->start_ns;
    const bool lock =
        tm_c7_count(&s->written) > 0 && tm_c7.commit == C7_LOG && !tm_c7.alone && !s->holds_lock;
    if (lock) /* somebody may be committing what we believed to own */
        tm_c7_lock_own(self);
    for (const struct c7_chunk *c = s->written.at; c < s->written.next; c++) {
        if (c->kind == C7_OLD || c->kind == C7_PIECE)
            tm_c7_copy(tm_c7_at(s, c->start), tm_c7_at(committed, c->start), c->units);
        tm_c7_disown(c); /* whoever takes it next sees that our view is out of this */
    }
    if (lock)
        tm_c7_unlock(s);
    tm_c7_heap_abort(s);
}

/* Waits until the winner's execution is over, for some time, and otherwise for a random while. */
static void back_off(struct tm_thread *self, uint32_t peer) {
    if (peer != 0 && !tm_c7.oversubscribed) {
        const struct c7_segment *winner = &tm_c7.segment[peer];
        const uint32_t serial = atomic_load_explicit(&winner->serial, memory_order_relaxed);
        for (unsigned n = 0; n < LOSER_WAITS && (serial & 1) != 0 &&
                             atomic_load_explicit(&winner->serial, memory_order_acquire) == serial;
             n++)
            tm_c7_spin(self, n);
    }
    struct tm_rand rng = {self->rng};
    const uint64_t r = tm_random(&rng);
    self->rng = rng.state;
    const unsigned doublings = self->losses < BACKOFF_DOUBLINGS ? self->losses : BACKOFF_DOUBLINGS;
    if (self->losses > BACKOFF_DOUBLINGS)
        machine_yield();
    for (uint64_t i = r & ((UINT64_C(1) << doublings) - 1); i > 0; i--)
        machine_cpu_relax();
}

_Noreturn TM_COLD void tm_c7_abort(struct tm_thread *self, enum tm_cause cause, uint32_t peer,
                                   uint32_t unit) {
    const struct c7_segment *winner = &tm_c7.segment[peer];
    const struct tm_thread *thread = peer != 0 ? winner->thread : NULL;
    self->common.stats.aborts[cause]++;
    self->common.last_abort = (struct tm_event){
        .cause = cause,
        .site = (const void *)self->checkpoint.rip,                  /* NOLINT(*-no-int-to-ptr) */
        .address = (const void *)((uintptr_t)unit << C7_UNIT_SHIFT), /* NOLINT(*-no-int-to-ptr) */
        .peer = thread != NULL && !tm_c7.oversubscribed ? (int)peer - 1 : -1,
    };
    tm_c7_roll_back(self);
    tm_c7_end_execution(self);
    atomic_fetch_add_explicit(&tm_c7.clock, 1, memory_order_relaxed);
    self->losses++;
    self->length = self->length / 2 > C7_LENGTH_MIN ? self->length / 2 : C7_LENGTH_MIN;
    back_off(self, cause == TM_EXPLICIT ? 0 : peer);
    self->common.depth = 1;
    tm_checkpoint_resume(&self->checkpoint);
}

/* ---- the token
 * ------------------------------------------------------------------------------------- */

void tm_c7_take_token(struct tm_thread *self) {
    struct c7_segment *s = self->segment;
    if (s->holds_token)
        return;
    tm_c7_stand(s);
    for (unsigned n = 0;; n++) {
        uint32_t holder = 0;
        if (atomic_compare_exchange_strong(&tm_c7.token, &holder, s->number))
            break;
        if (tm_c7_is_doomed(s) && tm_c7_running(s)) {
            tm_c7_run(s);
            tm_c7_obey(self);
        }
        if (n < machine_batch(SPINS)) {
            machine_cpu_relax();
            continue;
        }
        atomic_fetch_add(&tm_c7.token_sleepers, 1);
        machine_wait(&tm_c7.token, holder, C7_NAP_NS);
        atomic_fetch_sub(&tm_c7.token_sleepers, 1);
    }
    s->holds_token = true;
    tm_c7_run(s);
}

void tm_c7_drop_token(struct c7_segment *s) {
    atomic_store(&s->irrevocable, 0);
    s->holds_token = false;
    atomic_store(&tm_c7.token, 0);
    if (atomic_load(&tm_c7.token_sleepers) > 0)
        machine_wake(&tm_c7.token, 1);
}
