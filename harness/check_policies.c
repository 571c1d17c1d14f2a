/*
 * check_policies.c - random walk and PCT.  See check_policies.h.
 */
#include "check_policies.h"

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

void check_random_begin(struct check_random *r, uint64_t seed) {
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
    if (buffers != 0 && (uint32_t)(splitmix64(&r->state) >> 32) < r->drain_chance) {
        choice.drain = 1;
        choice.thread = (uint8_t)nth(
            buffers, (unsigned)below(&r->state, (uint64_t)__builtin_popcount(buffers)));
        choice.store = view->oldest[choice.thread];
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
    struct explore_choice choice = {0};
    for (unsigned t = 0; t < view->threads; t++) {
        if (set >> t & 1 && p->priority[t] > best) {
            best = p->priority[t];
            choice = (struct explore_choice){.thread = (uint8_t)t};
        }
        if (buffers >> t & 1 && p->priority[EXPLORE_THREADS + t] > best) {
            best = p->priority[EXPLORE_THREADS + t];
            choice = (struct explore_choice){1, (uint8_t)t, view->oldest[t]};
        }
    }
    /* A sleeper whose time is up went on: next time it is somebody else's turn. */
    if (!choice.drain && view->timeouts >> choice.thread & 1)
        p->priority[choice.thread] = --p->lowest;
    return choice;
}
