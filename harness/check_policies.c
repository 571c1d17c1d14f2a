/*
 * check_policies.c - random walk and PCT.  See check_policies.h.
 */
#include "check_policies.h"

#include "machine.h"
#include "splitmix.h"

static uint64_t below(uint64_t *state, uint64_t n) { return (splitmix64(state) >> 32) * n >> 32; }

/* Bit number `n` of those that are set. */
static unsigned nth(uint32_t mask, unsigned n) {
    while (n-- > 0)
        mask &= mask - 1;
    return (unsigned)__builtin_ctz(mask);
}

static uint32_t with_stores(const struct explore_view *view) {
    uint32_t mask = 0;
    for (unsigned t = 0; t < view->threads; t++)
        mask |= (uint32_t)(view->buffered[t] > 0) << t;
    return mask;
}

/* ---- random walk ---------------------------------------------------------------------------- */

enum { ABORTS = 200 };

static void aborts_begin(struct check_aborts *a, uint64_t seed) {
    a->state = ~seed;
    a->chance = a->never = 0;
    a->left = ABORTS;
    a->status =
        below(&a->state, 2) == 0 ? MACHINE_TX_CONFLICT | MACHINE_TX_RETRY : MACHINE_TX_CAPACITY;
    switch (below(&a->state, 8)) {
    case 0:
    case 1:
        a->chance = UINT32_MAX >> (1 + below(&a->state, 6));
        break;
    case 2:
        a->never = UINT32_MAX;
        break;
    case 3:
        a->never = (uint32_t)splitmix64(&a->state);
        break;
    default:
        break;
    }
}

/* Shall a transaction be aborted now?  Then *choice says which, and with what status. */
static bool aborts(struct check_aborts *a, const struct explore_view *view,
                   struct explore_choice *choice) {
    static const unsigned statuses[] = {MACHINE_TX_CONFLICT | MACHINE_TX_RETRY, MACHINE_TX_RETRY,
                                        MACHINE_TX_CAPACITY, 0, MACHINE_TX_DEBUG};
    if (view->transactions == 0 || a->left == 0)
        return false;
    const uint32_t never = view->transactions & a->never;
    if (never != 0) {
        *choice =
            (struct explore_choice){EXPLORE_ABORT, (uint8_t)nth(never, 0), MACHINE_TX_CAPACITY};
        return true;
    }
    if (a->chance == 0 || (uint32_t)(splitmix64(&a->state) >> 32) >= a->chance)
        return false;
    a->left--;
    const uint64_t n = (uint64_t)__builtin_popcount(view->transactions);
    *choice = (struct explore_choice){
        EXPLORE_ABORT, (uint8_t)nth(view->transactions, (unsigned)below(&a->state, n)),
        statuses[below(&a->state, sizeof statuses / sizeof *statuses)]};
    return true;
}

void check_random_begin(struct check_random *r, uint64_t seed) {
    aborts_begin(&r->aborts, seed);
    r->state = seed;
    (void)splitmix64(&r->state);
    /* From "about every second event" to "now and then". */
    r->switch_chance = UINT32_MAX >> (1 + below(&r->state, 5));
    r->drain_chance = UINT32_MAX >> (1 + below(&r->state, 5));
    r->timeout_chance = below(&r->state, 2) ? UINT32_MAX >> 3 : 0;
}

struct explore_choice check_random_choose(void *context, const struct explore_view *view) {
    struct check_random *r = context;
    struct explore_choice choice = explore_default(view);
    const uint32_t buffers = with_stores(view);
    if (aborts(&r->aborts, view, &choice))
        return choice;
    if (buffers != 0 && (uint32_t)(splitmix64(&r->state) >> 32) < r->drain_chance) {
        choice.what = EXPLORE_DRAIN;
        choice.thread = (uint8_t)nth(
            buffers, (unsigned)below(&r->state, (uint64_t)__builtin_popcount(buffers)));
        choice.detail = view->oldest[choice.thread];
        return choice;
    }
    if ((uint32_t)(splitmix64(&r->state) >> 32) >= r->switch_chance)
        return choice;
    uint32_t set = view->enabled;
    if (view->timeouts != 0 &&
        (set == 0 || (uint32_t)(splitmix64(&r->state) >> 32) < r->timeout_chance))
        set |= view->timeouts;
    if (set != 0)
        choice.thread =
            (uint8_t)nth(set, (unsigned)below(&r->state, (uint64_t)__builtin_popcount(set)));
    return choice;
}

/* ---- PCT ------------------------------------------------------------------------------------ */

void check_pct_begin(struct check_pct *p, uint64_t seed, unsigned depth, uint64_t decisions) {
    aborts_begin(&p->aborts, seed);
    p->state = seed;
    (void)splitmix64(&p->state);
    p->lowest = 0;
    p->asked = 0;
    for (unsigned i = 0; i < 2 * EXPLORE_THREADS; i++)
        p->priority[i] = 1 + (int64_t)(splitmix64(&p->state) >> 2);
    p->changes = depth - 1 < CHECK_CHANGES_MAX ? depth - 1 : CHECK_CHANGES_MAX;
    for (unsigned i = 0; i < p->changes; i++)
        p->change[i] = 1 + below(&p->state, decisions > 0 ? decisions : 1);
    p->impatient = below(&p->state, 4) == 0;
}

struct explore_choice check_pct_choose(void *context, const struct explore_view *view) {
    struct check_pct *p = context;
    struct explore_choice choice = {0};
    if (aborts(&p->aborts, view, &choice))
        return choice;
    p->asked++;
    for (unsigned i = 0; i < p->changes; i++)
        if (p->change[i] == p->asked)
            p->priority[view->current] = --p->lowest;
    if (view->yielding >> view->current & 1)
        p->priority[view->current] = --p->lowest;
    uint32_t set = view->enabled;
    if (set == 0 || p->impatient)
        set |= view->timeouts;
    const uint32_t buffers = with_stores(view);
    int64_t best = INT64_MIN;
    for (unsigned t = 0; t < view->threads; t++) {
        if (set >> t & 1 && p->priority[t] > best) {
            best = p->priority[t];
            choice = (struct explore_choice){.thread = (uint8_t)t};
        }
        if (buffers >> t & 1 && p->priority[EXPLORE_THREADS + t] > best) {
            best = p->priority[EXPLORE_THREADS + t];
            choice = (struct explore_choice){EXPLORE_DRAIN, (uint8_t)t, view->oldest[t]};
        }
    }
    /* A sleeper whose time is up went on: next time it is somebody else's turn. */
    if (choice.what == EXPLORE_GO_ON && view->timeouts >> choice.thread & 1)
        p->priority[choice.thread] = --p->lowest;
    return choice;
}
