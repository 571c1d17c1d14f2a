/*
 * overtaken - a long block ends though short ones overtake it all the time.
 *
 * The first thread sums up and writes an array of its own, larger than what hardware can keep in a
 * transaction, while all others increment counters of their own.  Nobody conflicts with it; but
 * each commit may make it look at everything again (validation), and a new one comes before it has.
 */
#include "progress.h"

enum { LINES = 1536, WORDS_PER_LINE = 8 }; /* three times the L1 of what is simulated */

static const struct tm_param conformance_overtaken_params[] = {PROBE_INTERVAL_MS("200"),
                                                               PROBE_BLOCKS("1"), PROBE_END};

struct cell {
    TM_HEADER;
    uint64_t value;
    char padding[TM_APART - 16]; /* so that threads share no line */
};
typedef TM_REF(struct cell) cell_ref;

struct array {
    TM_HEADER;
    uint64_t word[];
};
typedef TM_REF(struct array) array_ref;

struct world {
    struct probe probe;
    array_ref array; /* constant after setup; its words are the first thread's */
    cell_ref *cell;  /* [threads], constant after setup; each is its thread's */
    struct progress_of_all progress;
};

static void conformance_overtaken_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->array);
    for (unsigned i = 0; i < w->probe.threads; i++)
        tm_free(self, w->cell[i]);
    machine_free(w->cell);
    machine_free(w->progress.thread);
    probe_free(w);
}

static void *conformance_overtaken_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                         size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->cell = machine_alloc(setup->threads * sizeof *w->cell);
    if (w->cell == NULL || !progress_begin(&w->progress, setup->threads, why, why_size)) {
        snprintf(why, why_size, "out of memory");
        machine_free(w->cell);
        probe_free(w);
        return NULL;
    }
    w->array = tm_new_array(self, struct array, word, LINES * WORDS_PER_LINE);
    for (unsigned i = 0; i < setup->threads; i++)
        w->cell[i] = tm_new(self, struct cell);
    return w;
}

static inline void conformance_overtaken_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng;
    const unsigned me = tm_index(self);
    if (me == 0) {
        const array_ref a = w->array;
        atomic (self) {
            uint64_t sum = 0;
            for (size_t i = 0; i < LINES; i++)
                sum += tm_get_at(a, word, i * WORDS_PER_LINE);
            for (size_t i = 0; i < LINES; i++)
                tm_set_at(a, word, i * WORDS_PER_LINE, sum / LINES + 1);
        }
    } else {
        const cell_ref cell = w->cell[me];
        atomic (self) {
            tm_set(cell, value, tm_get(cell, value) + 1);
        }
    }
    progress_made(&w->progress, me);
}

static void conformance_overtaken_leave(TM_SELF, void *world) {
    struct world *w = world;
    progress_left(&w->progress, w->probe.threads);
}

static bool conformance_overtaken_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                         size_t why_size) {
    struct world *w = world;
    uint64_t done = tm_get_at(w->array, word, 0);
    for (size_t i = 0; i < LINES; i++)
        if (!probe_equal("a word at the end", tm_get_at(w->array, word, i * WORDS_PER_LINE), done,
                         why, why_size))
            return false;
    for (unsigned i = 1; i < w->probe.threads; i++)
        done += tm_get(w->cell[i], value);
    if (!probe_equal("blocks", done, ops, why, why_size))
        return false;
#if defined(TM_SIMULATED) && !defined(TM_MAY_BARGE)
    return progress_of_each(&w->progress, why, why_size);
#else
    return true; /* a processor that is taken away may keep the first thread out of a lock */
#endif
}

TM_WORKLOAD(conformance_overtaken, .help = "a long block ends beside short ones",
            .params = conformance_overtaken_params, .setup = conformance_overtaken_setup,
            .leave = conformance_overtaken_leave, .verify = conformance_overtaken_verify,
            .teardown = conformance_overtaken_teardown);
