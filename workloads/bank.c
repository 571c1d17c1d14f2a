/*
 * bank - transfers between accounts, and audits that read all of them in one block.
 *
 * The classic pair of a short writer and a long reader: a transfer touches two accounts of many, so
 * two of them rarely conflict, but every transfer that commits during an audit invalidates it.
 * Word-based STM pays for the audit per read; a lock makes everybody wait for it.
 *
 * Invariants: money is neither made nor lost, no account is overdrawn, and the total that each
 * audit saw is exact, not merely the total at the end.
 */
#include "tm.h"

#include "lib/plain.h"

#include <inttypes.h>

enum { ACCOUNTS, AUDITS };

static const struct tm_param bank_params[] = {
    {"accounts", "number of accounts", TM_INT, "1024", 2, 1 << 24, NULL},
    {"audits", "percentage of operations that read all accounts", TM_REAL, "2", 0, 100, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

enum { OPENING_BALANCE = 1000, AMOUNT_MAX = 100 };
enum { AUDIT_STEP = 64 }; /* accounts between two safe points */

struct account {
    TM_HEADER;
    uint64_t balance;
};
typedef TM_REF(struct account) account_ref;

/* Written by its own thread, outside of blocks; read by verify. */
struct bank_stats {
    uint64_t ops;
    uint64_t bad_audits; /* audits that saw another total */
    uint64_t bad_total;  /* what the first of them saw */
} __attribute__((aligned(TM_APART)));

struct world {
    uint64_t accounts;
    uint64_t total;
    plain_chance audits;
    account_ref *account;     /* [accounts], plain array of references, constant after setup */
    struct bank_stats *stats; /* [threads] */
    unsigned threads;
};

static void *bank_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    struct world *w = machine_alloc(sizeof *w);
    if (w == NULL)
        goto out_of_memory;
    w->accounts = (uint64_t)setup->args[ACCOUNTS].i;
    w->total = w->accounts * OPENING_BALANCE;
    w->audits = plain_chance_of(setup->args[AUDITS].r / 100);
    w->threads = setup->threads;
    w->stats = machine_alloc_aligned(w->threads * sizeof *w->stats, TM_APART);
    w->account = machine_alloc(w->accounts * sizeof *w->account);
    if (w->stats == NULL || w->account == NULL)
        goto out_of_memory_inside;
    for (uint64_t i = 0; i < w->accounts; i++) {
        w->account[i] = tm_new(self, struct account);
        tm_set(w->account[i], balance, OPENING_BALANCE);
    }
    return w;
out_of_memory_inside:
    machine_free(w->account);
    machine_free(w->stats);
    machine_free(w);
out_of_memory:
    snprintf(why, why_size, "out of memory");
    return NULL;
}

/* The array of references never changes after setup: reading it needs no barrier. */
TM_PURE_FN static inline const account_ref *bank_all(const struct world *w) { return w->account; }
TM_PURE_FN static inline uint64_t bank_accounts(const struct world *w) { return w->accounts; }
TM_PURE_FN static inline account_ref bank_account(const account_ref *all, uint64_t i) {
    return all[i];
}

/* What the loop needs is fetched inside of the block: engines with a checkpoint keep locals from
 * outside in memory, and the loop would load them again for each account. */
static inline uint64_t bank_audit(TM_SELF, const struct world *w) {
    uint64_t total;
    atomic (self) {
        const account_ref *const all = bank_all(w);
        const uint64_t accounts = bank_accounts(w);
        uint64_t sum = 0;
        for (uint64_t i = 0; i < accounts;) {
            const uint64_t end = accounts - i < AUDIT_STEP ? accounts : i + AUDIT_STEP;
            for (; i < end; i++)
                sum += tm_get(bank_account(all, i), balance);
            tm_safepoint(self); /* a long block lets others commit */
        }
        total = sum;
    }
    return total;
}

static inline void bank_transfer(TM_SELF, account_ref from, account_ref to, uint64_t amount) {
    atomic (self) {
        const uint64_t balance = tm_get(from, balance);
        if (balance >= amount) {
            tm_set(from, balance, balance - amount);
            tm_set(to, balance, tm_get(to, balance) + amount);
        }
    }
}

static inline void bank_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct bank_stats *stats = &w->stats[tm_index(self)];
    if (plain_happens(rng, w->audits)) {
        const uint64_t total = bank_audit(self, w);
        if (total != w->total && stats->bad_audits++ == 0)
            stats->bad_total = total;
    } else {
        const uint64_t from = tm_random_below(rng, w->accounts);
        uint64_t to = tm_random_below(rng, w->accounts - 1);
        to += to >= from; /* never the same account */
        const uint64_t amount = 1 + tm_random_below(rng, AMOUNT_MAX);
        bank_transfer(self, w->account[from], w->account[to], amount);
    }
    stats->ops++;
}

static bool bank_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    const struct world *w = world;
    uint64_t done = 0;
    for (unsigned t = 0; t < w->threads; t++) {
        const struct bank_stats *s = &w->stats[t];
        done += s->ops;
        if (s->bad_audits > 0) {
            snprintf(why, why_size,
                     "thread %u: %" PRIu64 " audits saw a wrong total, the first %" PRIu64
                     " instead of %" PRIu64,
                     t, s->bad_audits, s->bad_total, w->total);
            return false;
        }
    }
    if (done != ops) {
        snprintf(why, why_size, "threads counted %" PRIu64 " operations, there were %" PRIu64, done,
                 ops);
        return false;
    }
    uint64_t sum = 0;
    for (uint64_t i = 0; i < w->accounts; i++) {
        const uint64_t balance = tm_get(w->account[i], balance);
        if (balance > w->total) {
            snprintf(why, why_size, "account %" PRIu64 " holds %" PRIu64 " of a total of %" PRIu64,
                     i, balance, w->total);
            return false;
        }
        sum += balance;
    }
    if (sum == w->total)
        return true;
    snprintf(why, why_size, "balances add up to %" PRIu64 ", the total was %" PRIu64, sum,
             w->total);
    return false;
}

static void bank_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (uint64_t i = 0; i < w->accounts; i++)
        tm_free(self, w->account[i]);
    machine_free(w->account);
    machine_free(w->stats);
    machine_free(w);
}

TM_WORKLOAD(bank, .help = "transfers between accounts, and audits that read them all",
            .params = bank_params, .setup = bank_setup, .verify = bank_verify,
            .teardown = bank_teardown);
