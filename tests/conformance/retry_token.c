/*
 * retry_token - a token goes round: each thread sleeps in tm_retry until it is its turn.
 *
 * Exactly one thread can go on at any time, so a single lost wake-up stops all of them.  Words that
 * nobody waits for change meanwhile, so that sleepers are woken for nothing, too.
 */
#define TM_RESTARTS
#include "probe.h"

static const struct tm_param conformance_retry_token_params[] = {PROBE_OPS("300"),
                                                                 PROBE_BLOCKS("2"), PROBE_END};

struct token {
    TM_HEADER;
    uint64_t turn;
    uint64_t noise;
};
typedef TM_REF(struct token) token_ref;

struct world {
    struct probe probe;
    token_ref token; /* constant after setup */
};

static void *conformance_retry_token_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                           size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w != NULL)
        w->token = tm_new(self, struct token);
    return w;
}

static inline void conformance_retry_token_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng;
    struct slot *slot = probe_slot(self, w);
    const uint64_t threads = w->probe.threads, index = tm_index(self);
    uint64_t round = 0;
    atomic (self) {
        const uint64_t turn = tm_get(w->token, turn);
        if (turn % threads != index)
            tm_retry(self);
        tm_set(w->token, turn, turn + 1);
        round = turn / threads;
    }
    EXPECT(slot, "a turn was taken twice or left out", round, slot->count[0]);
    slot->count[0]++;
    atomic (self) {
        tm_set(w->token, noise, tm_get(w->token, noise) + 1);
    }
}

static bool conformance_retry_token_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                           size_t why_size) {
    struct world *w = world;
    return probe_clean(w, why, why_size) &&
           probe_equal("turns", tm_get(w->token, turn), ops, why, why_size) &&
           probe_equal("noise", tm_get(w->token, noise), ops, why, why_size);
}

static void conformance_retry_token_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->token);
    probe_free(w);
}

TM_WORKLOAD(conformance_retry_token, .help = "a token goes round, no wake-up is lost",
            .params = conformance_retry_token_params, .setup = conformance_retry_token_setup,
            .verify = conformance_retry_token_verify, .teardown = conformance_retry_token_teardown);
