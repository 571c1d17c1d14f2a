/*
 * locals - the rule for locals of tm.h, on every engine, behind explicit restarts and real
 * conflicts.
 *
 *   - a local declared outside and not changed inside keeps its value, also when many of them
 * compete for registers and the block calls functions that use all of them;
 *   - a local declared outside and assigned inside before it is read has, behind the block, the
 * value that the committed execution assigned: integers, doubles, references, on every path;
 *   - a local declared inside starts anew in each execution.
 */
#define TM_RESTARTS
#include "probe.h"

static const struct tm_param conformance_locals_params[] = {PROBE_OPS("1500"), PROBE_BLOCKS("7"),
                                                            PROBE_RESTARTS("1"), PROBE_END};

struct hot {
    TM_HEADER;
    uint64_t ticket;
    uint64_t other;
    double real;
};
typedef TM_REF(struct hot) hot_ref;

struct world {
    struct probe probe;
    hot_ref hot[3]; /* constant after setup */
};

static void *conformance_locals_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                      size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    for (unsigned i = 0; w != NULL && i < 3; i++)
        w->hot[i] = tm_new(self, struct hot);
    return w;
}

/* Uses every callee-saved register and many floating-point ones, in a way that the compiler cannot
 * see through. */
TM_FN TM_NOINLINE static uint64_t clobber(TM_SELF, hot_ref h, uint64_t seed) {
    uint64_t a = seed, b = a * 3, c = b ^ 5, d = c + 7, e = d * 11, f = e ^ 13, g = f + 17;
    double x = (double)(seed & 0xffff), y = x + 1, z = y * 2;
    for (unsigned i = 0; i < 6; i++) {
        a += b ^ tm_get(h, other);
        b = c * a;
        c = d + (b >> 3);
        d = e ^ c;
        e = f + d;
        f = g * 3 + e;
        g = a ^ f;
        x = x * y + z;
        y = z - x;
        z = z * 0.5 + (double)(g & 0xff);
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ (uint64_t)(z > y);
}

/* Assigned inside: the committed execution's values, whatever aborted ones had assigned. */
static void assigned_inside(TM_SELF, struct world *w, struct slot *slot, uint64_t n) {
    const uint64_t restarts = 1 + n % 3;
    uint64_t number = 77;
    uint32_t narrow = 7;
    double real = -1.0;
    hot_ref ref = NULL;
    unsigned path = 9;
    slot->attempts = 0;
    atomic (self) {
        const uint64_t attempt = slot_attempt(slot);
        uint64_t inside = 5;
        inside += attempt; /* starts from 5 in each execution */
        number = n + attempt;
        narrow = (uint32_t)(n ^ attempt);
        real = (double)(n & 0xffff) * 0.5 + (double)attempt;
        ref = attempt % 2 == 1 ? w->hot[1] : w->hot[2];
        if (attempt % 2 == 1)
            path = 1;
        else
            path = 2;
        EXPECT(slot, "a local of the block kept its value over a restart", inside, 5 + attempt);
        if (attempt <= restarts)
            tm_abort_restart(self);
        tm_set(ref, other, tm_get(ref, other) + 1);
    }
    const uint64_t last = slot->attempts;
    EXPECT(slot, "integer assigned inside", number, n + last);
    EXPECT(slot, "narrow integer assigned inside", narrow, (uint32_t)(n ^ last));
    EXPECT(slot, "double assigned inside", real == (double)(n & 0xffff) * 0.5 + (double)last, true);
    EXPECT(slot, "reference assigned inside", ref == (last % 2 == 1 ? w->hot[1] : w->hot[2]), true);
    EXPECT(slot, "path assigned inside", path, last % 2 == 1 ? 1 : 2);
    if (last <= restarts)
        slot_note(slot, "a restart was ignored", last, restarts + 1);
}

/* Unchanged: sixteen integers and eight doubles live across a block that restarts. */
static void unchanged(TM_SELF, struct world *w, struct slot *slot, struct tm_rand *rng) {
    const uint64_t a = tm_random(rng), b = tm_random(rng), c = tm_random(rng), d = tm_random(rng),
                   e = tm_random(rng), f = tm_random(rng), g = tm_random(rng), h = tm_random(rng),
                   i = tm_random(rng), j = tm_random(rng), k = tm_random(rng), l = tm_random(rng);
    const double p = (double)(a >> 40), q = (double)(b >> 40), r = (double)(c >> 40),
                 s = (double)(d >> 40), t = (double)(e >> 40), u = (double)(f >> 40);
    slot->count[0] = a ^ b * 3 ^ c * 5 ^ d * 7 ^ e * 9 ^ f * 11 ^ g * 13 ^ h * 15 ^ i * 17 ^
                     j * 19 ^ k * 21 ^ l * 23;
    slot->count[1] = (uint64_t)(p + 2 * q + 3 * r + 4 * s + 5 * t + 6 * u);
    slot->attempts = 0;
    uint64_t sum = 0;
    atomic (self) {
        const uint64_t attempt = slot_attempt(slot);
        const uint64_t v = clobber(self, w->hot[0], a + attempt) + (b ^ c ^ d ^ e ^ f ^ g);
        sum = v & 1;
        if (attempt <= 2)
            tm_abort_restart(self);
        tm_set(w->hot[0], other, tm_get(w->hot[0], other) + (v & 1));
    }
    slot->count[2] += sum;
    EXPECT(slot, "unchanged integers",
           (a ^ b * 3 ^ c * 5 ^ d * 7 ^ e * 9 ^ f * 11 ^ g * 13 ^ h * 15 ^ i * 17 ^ j * 19 ^
            k * 21 ^ l * 23),
           slot->count[0]);
    EXPECT(slot, "unchanged doubles", (uint64_t)(p + 2 * q + 3 * r + 4 * s + 5 * t + 6 * u),
           slot->count[1]);
}

/* Real conflicts: every ticket goes to exactly one committed block. */
static void contended(TM_SELF, struct world *w, struct slot *slot) {
    uint64_t ticket = 0;
    double real = 0;
    atomic (self) {
        ticket = tm_get(w->hot[0], ticket);
        real = tm_get(w->hot[0], real);
        clobber(self, w->hot[1], ticket); /* time for others to interfere */
        tm_set(w->hot[0], ticket, ticket + 1);
        tm_set(w->hot[0], real, real + 0.5);
    }
    EXPECT(slot, "integer and double of one execution", (uint64_t)(real * 2), ticket);
    slot->count[3] += ticket;
    slot->count[4] += ticket * ticket;
    slot->count[5]++;
}

/* A loop around the block: its counter is an unchanged local. */
static void looped(TM_SELF, struct world *w, struct slot *slot, uint64_t n) {
    const uint64_t rounds = 4;
    uint64_t total = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t got = 0;
        slot->attempts = 0;
        atomic (self) {
            const uint64_t attempt = slot_attempt(slot);
            got = i + n + tm_get(w->hot[2], ticket);
            if (attempt <= i % 2)
                tm_abort_restart(self);
        }
        total += got;
    }
    EXPECT(slot, "loop around a block", total, 6 + rounds * n);
}

static inline void conformance_locals_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const uint64_t n = tm_random(rng) >> 8;
    assigned_inside(self, w, slot, n);
    unchanged(self, w, slot, rng);
    contended(self, w, slot);
    looped(self, w, slot, n);
}

static bool conformance_locals_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                      size_t why_size) {
    struct world *w = world;
    uint64_t squares = 0;
    for (uint64_t i = 0; i < ops; i++)
        squares += i * i;
    return probe_clean(w, why, why_size) &&
           probe_equal("tickets", tm_get(w->hot[0], ticket), ops, why, why_size) &&
           probe_equal("tickets drawn", probe_sum(w, 5), ops, why, why_size) &&
           probe_equal("sum of the tickets drawn", probe_sum(w, 3), ops * (ops - 1) / 2, why,
                       why_size) &&
           probe_equal("sum of their squares", probe_sum(w, 4), squares, why, why_size) &&
           probe_equal("odd results", tm_get(w->hot[0], other), probe_sum(w, 2), why, why_size) &&
           probe_equal("assigned", tm_get(w->hot[1], other) + tm_get(w->hot[2], other), ops, why,
                       why_size);
}

static void conformance_locals_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (unsigned i = 0; i < 3; i++)
        tm_free(self, w->hot[i]);
    probe_free(w);
}

TM_WORKLOAD(conformance_locals, .help = "the rule for locals", .params = conformance_locals_params,
            .setup = conformance_locals_setup, .verify = conformance_locals_verify,
            .teardown = conformance_locals_teardown);
