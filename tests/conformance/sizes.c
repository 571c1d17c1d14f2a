/*
 * sizes - fields of every kind: signed and unsigned integers of 1, 2, 4 and 8 bytes, bool, float,
 * double, references, a small struct, fixed arrays and a flexible one; extreme values included.
 *
 * All fields of an object are a function of one number, so that a reader sees whether they were
 * written together; each is read back in the block that wrote it.
 */
#include "probe.h"

enum { ELEMENTS = 5 };

static const struct tm_param conformance_sizes_params[] = {PROBE_OPS("1500"), PROBE_BLOCKS("1"),
                                                           PROBE_END};

struct pair {
    int16_t left;
    uint16_t right;
};

struct mixed {
    TM_HEADER;
    uint64_t n;
    int8_t i8;
    uint8_t u8;
    bool flag;
    int16_t i16;
    uint16_t u16;
    int32_t i32;
    uint32_t u32;
    float real32;
    int64_t i64;
    double real64;
    struct pair pair;
    TM_REF(struct mixed) ref;
    int8_t bytes[ELEMENTS];
    uint16_t shorts[ELEMENTS];
    uint32_t words[ELEMENTS];
    double reals[ELEMENTS];
    TM_REF(struct mixed) refs[ELEMENTS];
    uint8_t tail[];
};
typedef TM_REF(struct mixed) mixed_ref;

struct world {
    struct probe probe;
    mixed_ref mixed[2]; /* constant after setup */
};

#define HASH(n, k) (((n) + (k)) * UINT64_C(0x9e3779b97f4a7c15))

TM_FN static void write_all(TM_SELF, struct world *w, mixed_ref m, uint64_t n) {
    tm_set(m, n, n);
    tm_set(m, i8, (int8_t)HASH(n, 1));
    tm_set(m, u8, (uint8_t)HASH(n, 2));
    tm_set(m, flag, (HASH(n, 3) >> 63) != 0);
    tm_set(m, i16, (int16_t)HASH(n, 4));
    tm_set(m, u16, (uint16_t)HASH(n, 5));
    tm_set(m, i32, (int32_t)HASH(n, 6));
    tm_set(m, u32, (uint32_t)HASH(n, 7));
    tm_set(m, real32, -(float)(n % 1000) * 0.25F);
    tm_set(m, i64, (int64_t)~HASH(n, 8));
    tm_set(m, real64, (double)(n % 100000) / 3.0);
    const struct pair pair = {(int16_t)HASH(n, 9), (uint16_t)HASH(n, 10)};
    tm_set(m, pair, pair);
    tm_set(m, ref, w->mixed[n % 2]);
    for (unsigned i = 0; i < ELEMENTS; i++) {
        tm_set_at(m, bytes, i, (int8_t)HASH(n, 20 + i));
        tm_set_at(m, shorts, i, (uint16_t)HASH(n, 30 + i));
        tm_set_at(m, words, i, (uint32_t)HASH(n, 40 + i));
        tm_set_at(m, reals, i, (double)(n % 1000) * (i + 1));
        tm_set_at(m, refs, i, (n >> i) % 2 ? w->mixed[0] : NULL);
        tm_set_at(m, tail, i, (uint8_t)HASH(n, 50 + i));
    }
}

TM_FN static void check_all(TM_SELF, struct world *w, mixed_ref m, struct slot *slot) {
    const uint64_t n = tm_get(m, n);
    EXPECT(slot, "int8_t", tm_get(m, i8), (int8_t)HASH(n, 1));
    EXPECT(slot, "uint8_t", tm_get(m, u8), (uint8_t)HASH(n, 2));
    EXPECT(slot, "bool", tm_get(m, flag), (HASH(n, 3) >> 63) != 0);
    EXPECT(slot, "int16_t", tm_get(m, i16), (int16_t)HASH(n, 4));
    EXPECT(slot, "uint16_t", tm_get(m, u16), (uint16_t)HASH(n, 5));
    EXPECT(slot, "int32_t", tm_get(m, i32), (int32_t)HASH(n, 6));
    EXPECT(slot, "uint32_t", tm_get(m, u32), (uint32_t)HASH(n, 7));
    EXPECT(slot, "float", tm_get(m, real32) == -(float)(n % 1000) * 0.25F, true);
    EXPECT(slot, "int64_t", tm_get(m, i64), ~HASH(n, 8));
    EXPECT(slot, "double", tm_get(m, real64) == (double)(n % 100000) / 3.0, true);
    const struct pair pair = tm_get(m, pair);
    EXPECT(slot, "struct, first half", pair.left, (int16_t)HASH(n, 9));
    EXPECT(slot, "struct, second half", pair.right, (uint16_t)HASH(n, 10));
    EXPECT(slot, "reference", tm_get(m, ref) == w->mixed[n % 2], true);
    for (unsigned i = 0; i < ELEMENTS; i++) {
        EXPECT(slot, "array of int8_t", tm_get_at(m, bytes, i), (int8_t)HASH(n, 20 + i));
        EXPECT(slot, "array of uint16_t", tm_get_at(m, shorts, i), (uint16_t)HASH(n, 30 + i));
        EXPECT(slot, "array of uint32_t", tm_get_at(m, words, i), (uint32_t)HASH(n, 40 + i));
        EXPECT(slot, "array of double", tm_get_at(m, reals, i) == (double)(n % 1000) * (i + 1),
               true);
        EXPECT(slot, "array of references", tm_get_at(m, refs, i) == NULL, (n >> i) % 2 == 0);
        EXPECT(slot, "flexible array", tm_get_at(m, tail, i), (uint8_t)HASH(n, 50 + i));
    }
}

static void *conformance_sizes_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                     size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    for (unsigned i = 0; w != NULL && i < 2; i++)
        w->mixed[i] = tm_new_array(self, struct mixed, tail, ELEMENTS);
    for (unsigned i = 0; w != NULL && i < 2; i++)
        write_all(self, w, w->mixed[i], i);
    return w;
}

static inline void conformance_sizes_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const mixed_ref m = w->mixed[tm_random_below(rng, 2)];
    const uint64_t n = tm_random(rng);
    const bool write = tm_random_below(rng, 2) == 0;
    atomic (self) {
        check_all(self, w, m, slot);
        if (write) {
            write_all(self, w, m, n);
            check_all(self, w, m, slot);
            EXPECT(slot, "own number", tm_get(m, n), n);
        }
    }
}

static bool conformance_sizes_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                     size_t why_size) {
    (void)ops;
    struct world *w = world;
    check_all(self, w, w->mixed[0], &w->probe.slot[0]);
    check_all(self, w, w->mixed[1], &w->probe.slot[0]);
    return probe_clean(w, why, why_size);
}

static void conformance_sizes_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->mixed[0]);
    tm_free(self, w->mixed[1]);
    probe_free(w);
}

TM_WORKLOAD(conformance_sizes, .help = "fields of every kind and size",
            .params = conformance_sizes_params, .setup = conformance_sizes_setup,
            .verify = conformance_sizes_verify, .teardown = conformance_sizes_teardown);
