/*
 * atomicity - transfers between accounts, audited while they happen.
 *
 * A transfer changes two words; the sum of all is constant.  An audit that sees another sum, inside
 * of its block or behind it, has seen half a transfer.
 */
#include "probe.h"

enum { ACCOUNTS = 16, START = 1000 };

static const struct tm_param conformance_atomicity_params[] = {PROBE_OPS("4000"), PROBE_BLOCKS("1"),
                                                               PROBE_END};

struct account {
    TM_HEADER;
    int64_t balance;
};
typedef TM_REF(struct account) account_ref;

struct world {
    struct probe probe;
    account_ref account[ACCOUNTS]; /* constant after setup */
};

static void *conformance_atomicity_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                         size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    for (unsigned i = 0; w != NULL && i < ACCOUNTS; i++) {
        w->account[i] = tm_new(self, struct account);
        tm_set(w->account[i], balance, START);
    }
    return w;
}

static inline void conformance_atomicity_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const uint64_t from = tm_random_below(rng, ACCOUNTS);
    const uint64_t to = tm_random_below(rng, ACCOUNTS);
    const int64_t amount = (int64_t)tm_random_below(rng, 100);
    if (tm_random_below(rng, 8) == 0) {
        int64_t total = 0;
        atomic (self) {
            int64_t sum = 0;
            for (unsigned i = 0; i < ACCOUNTS; i++)
                sum += tm_get(w->account[i], balance);
            EXPECT(slot, "an audit inside a block saw half a transfer", sum, ACCOUNTS * START);
            total = sum;
        }
        EXPECT(slot, "a committed audit saw half a transfer", total, ACCOUNTS * START);
        return;
    }
    atomic (self) {
        tm_set(w->account[from], balance, tm_get(w->account[from], balance) - amount);
        tm_set(w->account[to], balance, tm_get(w->account[to], balance) + amount);
    }
}

static bool conformance_atomicity_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                         size_t why_size) {
    (void)ops;
    struct world *w = world;
    int64_t sum = 0;
    for (unsigned i = 0; i < ACCOUNTS; i++)
        sum += tm_get(w->account[i], balance);
    return probe_clean(w, why, why_size) &&
           probe_equal("sum of all accounts", (uint64_t)sum, ACCOUNTS * START, why, why_size);
}

static void conformance_atomicity_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (unsigned i = 0; i < ACCOUNTS; i++)
        tm_free(self, w->account[i]);
    probe_free(w);
}

TM_WORKLOAD(conformance_atomicity, .help = "transfers and audits",
            .params = conformance_atomicity_params, .setup = conformance_atomicity_setup,
            .verify = conformance_atomicity_verify, .teardown = conformance_atomicity_teardown);
