/*
 * loops - loops over elements that a compiler would like to vectorise, unswitch, reverse or turn
 * into a library call: strides, both directions, every element size, constants and values of the
 * index, copies within and between arrays, in objects that this block has made and in older ones.
 *
 * The barriers are inline, so the optimiser sees through them; what it makes of the loops must do
 * the same as one access after the other.  (gcc 12.2 drops the segment prefix of `%gs` accesses in
 * vectorised loops with a stride.)  Words between those that a loop writes must stay as they were.
 */
#include "probe.h"

enum { ELEMENTS = 6400, STRIDES = 6 };

#ifdef TM_SIMULATED
#define OPS "1" /* each takes long there */
#else
#define OPS "4"
#endif

static const struct tm_param conformance_loops_params[] = {PROBE_OPS(OPS), PROBE_BLOCKS("6"),
                                                           PROBE_END};

struct bytes {
    TM_HEADER;
    uint8_t at[];
};
struct halves {
    TM_HEADER;
    uint16_t at[];
};
struct words {
    TM_HEADER;
    uint32_t at[];
};
struct longs {
    TM_HEADER;
    uint64_t at[];
};
struct reals {
    TM_HEADER;
    double at[];
};

struct holder {
    TM_HEADER;
    TM_REF(struct bytes) bytes;
    TM_REF(struct halves) halves;
    TM_REF(struct words) words;
    TM_REF(struct longs) longs;
    TM_REF(struct reals) reals;
};
typedef TM_REF(struct holder) holder_ref;

struct world {
    struct probe probe;
    holder_ref *holder; /* [threads] */
};

/* Loops of one element type.  The strides are constants: only then does the compiler try hard. */
#define FILL(type, stride_)                                                                        \
    for (size_t i = 0; i < ELEMENTS; i += (stride_))                                               \
        tm_set_at(a, at, i, (type)(first + i));
#define SUM(stride_)                                                                               \
    for (size_t i = 0; i < ELEMENTS; i += (stride_))                                               \
        sum += (uint64_t)tm_get_at(a, at, i) * (i + 1);
#define LOOPS(type, name)                                                                          \
    TM_FN TM_NOINLINE static void name##_fill(TM_SELF, TM_REF(struct name) a, unsigned stride,     \
                                              uint64_t first) {                                    \
        switch (stride) {                                                                          \
        case 1:                                                                                    \
            FILL(type, 1)                                                                          \
            break;                                                                                 \
        case 2:                                                                                    \
            FILL(type, 2)                                                                          \
            break;                                                                                 \
        case 3:                                                                                    \
            FILL(type, 3)                                                                          \
            break;                                                                                 \
        case 4:                                                                                    \
            FILL(type, 8)                                                                          \
            break;                                                                                 \
        case 5:                                                                                    \
            FILL(type, 64)                                                                         \
            break;                                                                                 \
        default:                                                                                   \
            for (size_t i = ELEMENTS; i-- > 0;)                                                    \
                tm_set_at(a, at, i, (type)(first + i));                                            \
        }                                                                                          \
    }                                                                                              \
    TM_FN TM_NOINLINE static void name##_same(TM_SELF, TM_REF(struct name) a, uint64_t value) {    \
        for (size_t i = 0; i < ELEMENTS; i++)                                                      \
            tm_set_at(a, at, i, (type)value);                                                      \
    }                                                                                              \
    /* Every third and every 64th is `value`. */                                                   \
    TM_FN TM_NOINLINE static void name##_dots(TM_SELF, TM_REF(struct name) a, uint64_t value) {    \
        for (size_t i = 0; i < ELEMENTS; i += 3)                                                   \
            tm_set_at(a, at, i, (type)value);                                                      \
        for (size_t i = 0; i < ELEMENTS; i += 64)                                                  \
            tm_set_at(a, at, i, (type)value);                                                      \
    }                                                                                              \
    TM_FN TM_NOINLINE static void name##_copy(TM_SELF, TM_REF(struct name) to,                     \
                                              TM_REF(struct name) from, bool reversed) {           \
        if (reversed)                                                                              \
            for (size_t i = 0; i < ELEMENTS; i++)                                                  \
                tm_set_at(to, at, i, tm_get_at(from, at, ELEMENTS - 1 - i));                       \
        else                                                                                       \
            for (size_t i = 0; i < ELEMENTS; i++)                                                  \
                tm_set_at(to, at, i, tm_get_at(from, at, i));                                      \
    }                                                                                              \
    TM_FN TM_NOINLINE static void name##_shift(TM_SELF, TM_REF(struct name) a) {                   \
        for (size_t i = 1; i < ELEMENTS; i++)                                                      \
            tm_set_at(a, at, i - 1, tm_get_at(a, at, i));                                          \
    }                                                                                              \
    TM_FN TM_NOINLINE static uint64_t name##_sum(TM_SELF, TM_REF(struct name) a,                   \
                                                 unsigned stride) {                                \
        uint64_t sum = 0;                                                                          \
        switch (stride) {                                                                          \
        case 1:                                                                                    \
            SUM(1)                                                                                 \
            break;                                                                                 \
        case 2:                                                                                    \
            SUM(2)                                                                                 \
            break;                                                                                 \
        case 3:                                                                                    \
            SUM(3)                                                                                 \
            break;                                                                                 \
        case 4:                                                                                    \
            SUM(8)                                                                                 \
            break;                                                                                 \
        case 5:                                                                                    \
            SUM(64)                                                                                \
            break;                                                                                 \
        default:                                                                                   \
            for (size_t i = ELEMENTS; i-- > 0;)                                                    \
                sum += (uint64_t)tm_get_at(a, at, i) * (i + 1);                                    \
        }                                                                                          \
        return sum;                                                                                \
    }                                                                                              \
    /* A new object takes the place of the old one, is filled by strides and read back. */         \
    TM_FN static void name##_renew(TM_SELF, holder_ref h, struct slot *slot, uint64_t first,       \
                                   const uint64_t *filled) {                                       \
        TM_REF(struct name) a = tm_new_array(self, struct name, at, ELEMENTS);                     \
        for (unsigned s = 1; s <= STRIDES; s++) {                                                  \
            name##_same(self, a, 0);                                                               \
            name##_fill(self, a, s, first);                                                        \
            EXPECT(slot, "a new array of " #name ", filled with a stride", name##_sum(self, a, 1), \
                   filled[s]);                                                                     \
        }                                                                                          \
        TM_REF(struct name) d = tm_new_array(self, struct name, at, ELEMENTS);                     \
        name##_dots(self, d, 1);                                                                   \
        EXPECT(slot, "a new array of " #name ", with dots", name##_sum(self, d, 1), filled[0]);    \
        name##_copy(self, a, d, false);                                                            \
        EXPECT(slot, "a copy of an array of " #name ", with dots", name##_sum(self, a, 1),         \
               filled[0]);                                                                         \
        name##_fill(self, a, STRIDES, first);                                                      \
        tm_free(self, d);                                                                          \
        tm_free(self, tm_get(h, name));                                                            \
        tm_set(h, name, a);                                                                        \
    }                                                                                              \
    /* The same in an old object, and copies of it. */                                             \
    TM_FN static void name##_change(TM_SELF, holder_ref h, struct slot *slot, uint64_t first,      \
                                    const uint64_t *filled) {                                      \
        TM_REF(struct name) a = tm_get(h, name);                                                   \
        EXPECT(slot, "an array of " #name " that was committed", name##_sum(self, a, 1),           \
               filled[STRIDES]);                                                                   \
        TM_REF(struct name) b = tm_new_array(self, struct name, at, ELEMENTS);                     \
        name##_copy(self, b, a, true);                                                             \
        name##_copy(self, a, b, true);                                                             \
        EXPECT(slot, "an array of " #name ", reversed twice", name##_sum(self, a, STRIDES),        \
               filled[STRIDES]);                                                                   \
        name##_shift(self, a);                                                                     \
        EXPECT(slot, "first of an array of " #name ", shifted", tm_get_at(a, at, 0),               \
               (type)(first + 1));                                                                 \
        EXPECT(slot, "last but one of an array of " #name ", shifted",                             \
               tm_get_at(a, at, ELEMENTS - 2), (type)(first + ELEMENTS - 1));                      \
        for (unsigned s = 1; s <= STRIDES; s++) {                                                  \
            name##_same(self, a, 0);                                                               \
            name##_fill(self, a, s, first);                                                        \
            EXPECT(slot, "an old array of " #name ", filled with a stride",                        \
                   name##_sum(self, a, 1), filled[s]);                                             \
        }                                                                                          \
        name##_same(self, a, 0);                                                                   \
        name##_dots(self, a, 1);                                                                   \
        EXPECT(slot, "an old array of " #name ", with dots", name##_sum(self, a, 1), filled[0]);   \
        name##_fill(self, a, STRIDES, first);                                                      \
        name##_copy(self, b, a, false);                                                            \
        name##_same(self, a, first);                                                               \
        name##_copy(self, a, b, false);                                                            \
        tm_free(self, b);                                                                          \
    }                                                                                              \
    /* Reads only, by every stride. */                                                             \
    TM_FN static void name##_check(TM_SELF, holder_ref h, struct slot *slot,                       \
                                   const uint64_t *filled) {                                       \
        for (unsigned s = 1; s <= STRIDES; s++)                                                    \
            EXPECT(slot, "a sum with a stride over an array of " #name,                            \
                   name##_sum(self, tm_get(h, name), s), filled[STRIDES + s]);                     \
    }

LOOPS(uint8_t, bytes)
LOOPS(uint16_t, halves)
LOOPS(uint32_t, words)
LOOPS(uint64_t, longs)
LOOPS(double, reals)

/* What the sums are: sums[0] of an array with dots, sums[s] of all elements when only every s-th
 * was written, sums[STRIDES + s] of every s-th when all were. */
static void expected_sums(uint64_t first, uint64_t mask, uint64_t *sums) {
    static const size_t steps[STRIDES + 1] = {0, 1, 2, 3, 8, 64, 1};
    sums[0] = 0;
    for (size_t i = 0; i < ELEMENTS; i++)
        sums[0] += i % 3 == 0 || i % 64 == 0 ? i + 1 : 0;
    for (unsigned s = 1; s <= STRIDES; s++) {
        sums[s] = 0;
        for (size_t i = 0; i < ELEMENTS; i += steps[s])
            sums[s] += ((first + i) & mask) * (i + 1);
        sums[STRIDES + s] = sums[s];
    }
}

static void *conformance_loops_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                     size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->holder = machine_alloc(setup->threads * sizeof *w->holder);
    if (w->holder == NULL) {
        probe_free(w);
        return NULL;
    }
    for (unsigned t = 0; t < setup->threads; t++) {
        const holder_ref h = tm_new(self, struct holder);
        tm_set(h, bytes, tm_new_array(self, struct bytes, at, ELEMENTS));
        tm_set(h, halves, tm_new_array(self, struct halves, at, ELEMENTS));
        tm_set(h, words, tm_new_array(self, struct words, at, ELEMENTS));
        tm_set(h, longs, tm_new_array(self, struct longs, at, ELEMENTS));
        tm_set(h, reals, tm_new_array(self, struct reals, at, ELEMENTS));
        w->holder[t] = h;
    }
    return w;
}

static inline void conformance_loops_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct slot *slot = probe_slot(self, w);
    const holder_ref h = w->holder[tm_index(self)];
    const uint64_t first = tm_random_below(rng, 1 << 20); /* exact as a double */
    uint64_t of_bytes[2 * STRIDES + 1], of_halves[2 * STRIDES + 1], of_longs[2 * STRIDES + 1];
    expected_sums(first, UINT8_MAX, of_bytes);
    expected_sums(first, UINT16_MAX, of_halves);
    expected_sums(first, UINT64_MAX, of_longs);
    atomic (self) {
        bytes_renew(self, h, slot, first, of_bytes);
        halves_renew(self, h, slot, first, of_halves);
        words_renew(self, h, slot, first, of_longs);
        longs_renew(self, h, slot, first, of_longs);
        reals_renew(self, h, slot, first, of_longs);
    }
    atomic (self) {
        bytes_change(self, h, slot, first, of_bytes);
        halves_change(self, h, slot, first, of_halves);
        words_change(self, h, slot, first, of_longs);
        longs_change(self, h, slot, first, of_longs);
        reals_change(self, h, slot, first, of_longs);
    }
    atomic (self) {
        bytes_check(self, h, slot, of_bytes);
        halves_check(self, h, slot, of_halves);
        words_check(self, h, slot, of_longs);
        longs_check(self, h, slot, of_longs);
        reals_check(self, h, slot, of_longs);
    }
    /* In the function of the block itself, with a value that lives outside of it, in a new object:
     * here the compiler knows most, and on c7 there is no slow path. */
    for (unsigned round = 0; round < 2; round++) {
        atomic (self) {
            TM_REF(struct longs) a = tm_new_array(self, struct longs, at, ELEMENTS);
            for (unsigned i = 0; i < ELEMENTS; i += 64)
                tm_set_at(a, at, i, round + 1);
            tm_free(self, tm_get(h, longs));
            tm_set(h, longs, a);
        }
    }
    atomic (self) {
        TM_REF(struct longs) a = tm_get(h, longs);
        uint64_t right = 0;
        for (unsigned i = 0; i < ELEMENTS; i++)
            right += tm_get_at(a, at, i) == (i % 64 == 0 ? 2 : 0);
        EXPECT(slot, "elements that were written with a stride, or left alone", right, ELEMENTS);
    }
}

static bool conformance_loops_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                     size_t why_size) {
    (void)ops;
    return probe_clean(world, why, why_size);
}

static void conformance_loops_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (unsigned t = 0; t < w->probe.threads; t++) {
        const holder_ref h = w->holder[t];
        tm_free(self, tm_get(h, bytes));
        tm_free(self, tm_get(h, halves));
        tm_free(self, tm_get(h, words));
        tm_free(self, tm_get(h, longs));
        tm_free(self, tm_get(h, reals));
        tm_free(self, h);
    }
    machine_free(w->holder);
    probe_free(w);
}

TM_WORKLOAD(conformance_loops, .help = "loops that a compiler transforms",
            .params = conformance_loops_params, .setup = conformance_loops_setup,
            .verify = conformance_loops_verify, .teardown = conformance_loops_teardown);
