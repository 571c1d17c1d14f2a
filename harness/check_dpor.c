/*
 * check_dpor.c - the search of check_dpor.h.
 *
 * A run leaves its steps in d->step.  check_dpor_next computes vector clocks over them, finds for
 * each step the last earlier one that it races with (dependent, not ordered by what is between),
 * and asks there for the later one's thread to be tried first.  Then the deepest step with
 * something untried gives the next run's prefix.
 */
#include "check_dpor.h"

#include <string.h>

void check_dpor_begin(struct check_dpor *d, unsigned bound) {
    d->depth = d->prefix = 0;
    d->bound = bound;
    d->cut = d->redundant = d->bounded = false;
}

static bool writes(const struct explore_op *op) {
    return op->kind == EXPLORE_WRITE || op->kind == EXPLORE_LOCKED;
}
static bool accesses(const struct explore_op *op) {
    return op->bytes > 0 && op->kind != EXPLORE_SLEEP && op->kind != EXPLORE_WAKE;
}
static bool sleeps(const struct explore_op *op) {
    return op->kind == EXPLORE_WAIT || op->kind == EXPLORE_SLEEP || op->kind == EXPLORE_WAKE;
}

static bool dependent(const struct explore_op *a, const struct explore_op *b) {
    if (sleeps(a) && sleeps(b) && a->address == b->address)
        return true;
    /* A commit makes visible what its thread has stored, wherever that was. */
    if ((a->kind == EXPLORE_TX_COMMIT && (accesses(b) || b->kind == EXPLORE_TX_COMMIT)) ||
        (b->kind == EXPLORE_TX_COMMIT && accesses(a)))
        return true;
    if (!accesses(a) || !accesses(b) || (!writes(a) && !writes(b)))
        return false;
    return a->address < b->address + b->bytes && b->address < a->address + a->bytes;
}

struct explore_choice check_dpor_choose(void *context, const struct explore_view *view) {
    struct check_dpor *d = context;
    const struct explore_choice usual = explore_default(view);
    if (d->depth == CHECK_DPOR_DEPTH || d->redundant) {
        d->cut |= !d->redundant;
        return usual;
    }
    struct check_dpor_step *s = &d->step[d->depth];
    const bool given = d->depth < d->prefix;
    if (!given)
        *s = (struct check_dpor_step){.sleep = d->depth > 0 ? s->sleep : 0};
    s->enabled = view->enabled & ~view->yielding;
    if (s->enabled == 0)
        s->enabled = view->enabled;
    if (s->enabled == 0)
        s->enabled = view->timeouts;
    for (unsigned t = 0; t < view->threads; t++)
        s->pending[t] = *view->pending[t];
    s->before = (uint8_t)view->current;
    s->free = d->depth == 0 || (s->enabled >> view->current & 1) == 0;
    if (d->depth > 0) {
        const struct check_dpor_step *last = s - 1;
        s->preemptions =
            (uint16_t)(last->preemptions + (!last->free && last->chosen != last->before));
        if (!given) { /* whoever slept goes on sleeping unless this step woke it up */
            uint32_t sleep = (last->sleep | last->done) & ~(1U << last->chosen);
            for (unsigned t = 0; t < view->threads; t++)
                if (sleep >> t & 1 && (dependent(&last->pending[t], &last->op) ||
                                       last->pending[t].kind != s->pending[t].kind)) /* doomed */
                    sleep &= ~(1U << t);
            s->sleep = sleep;
        }
    }
    if (!given) {
        const uint32_t awake = s->enabled & ~s->sleep;
        if (awake == 0) { /* all that is possible here was seen elsewhere */
            d->redundant = true;
            return usual;
        }
        s->chosen = awake >> usual.thread & 1 ? usual.thread : (uint8_t)__builtin_ctz(awake);
        s->backtrack = 1U << s->chosen;
        s->done = 0;
    }
    s->op = s->pending[s->chosen];
    d->depth++;
    return (struct explore_choice){.thread = s->chosen};
}

static void try_at(struct check_dpor_step *s, unsigned t) {
    s->backtrack |= s->enabled >> t & 1 ? 1U << t : s->enabled;
}

/* Thread t is to go first at step k.  With a bound this may be one preemption too many, so also
 * where the thread that was running there had begun to run, which takes none (K. Coons et al.). */
static void try_there(struct check_dpor *d, unsigned k, unsigned t) {
    try_at(&d->step[k], t);
    if (d->bound == UINT32_MAX)
        return;
    while (d->step[k].chosen == d->step[k].before && k > 0)
        k--;
    try_at(&d->step[k], t);
}

static void find_races(struct check_dpor *d) {
    uint32_t clock[EXPLORE_THREADS][EXPLORE_THREADS] = {{0}};
    uint32_t steps[EXPLORE_THREADS] = {0};
    for (unsigned i = 0; i < d->depth; i++) {
        struct check_dpor_step *s = &d->step[i];
        const unsigned p = s->chosen;
        s->index = ++steps[p];
        uint32_t *mine = clock[p];
        bool found = false;
        for (unsigned k = i; k-- > 0;) {
            struct check_dpor_step *e = &d->step[k];
            if (e->chosen == p || !dependent(&e->op, &s->op))
                continue;
            if (mine[e->chosen] < e->index && !found) {
                try_there(d, k, p);
                found = true; /* the last one; earlier ones are found from there */
            }
            for (unsigned q = 0; q < EXPLORE_THREADS; q++)
                if (e->clock[q] > mine[q])
                    mine[q] = e->clock[q];
        }
        mine[p] = s->index;
        memcpy(s->clock, mine, sizeof s->clock);
    }
}

bool check_dpor_next(struct check_dpor *d) {
    find_races(d);
    d->bounded |= d->cut;
    for (unsigned i = d->depth; i-- > 0;) {
        struct check_dpor_step *s = &d->step[i];
        s->done |= 1U << s->chosen;
        uint32_t left = s->backtrack & s->enabled & ~s->done & ~s->sleep;
        while (left != 0) {
            const unsigned t = (unsigned)__builtin_ctz(left);
            const bool preempts = !s->free && t != s->before;
            if (s->preemptions + (unsigned)preempts <= d->bound) {
                s->chosen = (uint8_t)t;
                d->prefix = i + 1;
                d->depth = 0;
                d->cut = d->redundant = false;
                return true;
            }
            d->bounded = true;
            s->done |= 1U << t;
            left &= left - 1;
        }
    }
    return false;
}
