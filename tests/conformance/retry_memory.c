/*
 * retry_memory - a thread that sleeps in tm_retry does not keep the memory that others free.
 *
 * The last thread's first operation waits until all others have done their work; these exchange and
 * free large objects all the while, and none of what they commit is anything that it has read, and
 * nothing is random, so one seed will do.  An engine that lets the sleeper hold on to its read set
 * keeps every object that is freed meanwhile: more than 900 megabytes behind a run of four threads.
 * The limit is well above what piles up for a thread that loses its processor inside of a block for
 * some time slices, as on a busy machine.
 * A simulated machine is never busy with anything else, and one seed means there that each thread
 * has a processor: less is enough.  With fewer processors, what piles up in one time slice would be
 * half of everything.  Objects are small beside the limit, because some hundreds of them wait for
 * their epoch in each thread.
 */
#define TM_RESTARTS
#include "probe.h"

#ifdef TM_SIMULATED
#define OPS 6000 /* of each thread; more than 140 megabytes */
#define LIMIT_MB 70
#else
#define OPS 40000
#define LIMIT_MB 500
#endif
enum { WORDS = 1024 };

static const struct tm_param conformance_retry_memory_params[] = {
    PROBE_OPS(TM_STRING(OPS)), PROBE_BLOCKS("1"), PROBE_SEEDS("1"),
    PROBE_RSS_MB(TM_STRING(LIMIT_MB)), PROBE_END};

struct chunk {
    TM_HEADER;
    uint64_t word[WORDS];
};
typedef TM_REF(struct chunk) chunk_ref;

struct holder {
    TM_HEADER;
    chunk_ref chunk; /* written by one thread only */
    char padding[112];
};
typedef TM_REF(struct holder) holder_ref;

struct finish {
    TM_HEADER;
    uint64_t threads; /* that have done their work */
};
typedef TM_REF(struct finish) finish_ref;

struct world {
    struct probe probe;
    finish_ref finish;  /* constant after setup, like the next two */
    holder_ref *holder; /* [threads] */
    unsigned threads;
};

static void *conformance_retry_memory_setup(TM_SELF, const struct tm_setup *setup, char *why,
                                            size_t why_size) {
    struct world *w = probe_world(sizeof *w, setup, why, why_size);
    if (w == NULL)
        return NULL;
    w->threads = setup->threads;
    w->holder = machine_alloc(w->threads * sizeof *w->holder);
    if (w->holder == NULL) {
        snprintf(why, why_size, "out of memory");
        probe_free(w);
        return NULL;
    }
    for (unsigned i = 0; i < w->threads; i++)
        w->holder[i] = tm_new(self, struct holder);
    w->finish = tm_new(self, struct finish);
    return w;
}

static inline void conformance_retry_memory_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng;
    struct slot *slot = probe_slot(self, w);
    const finish_ref finish = w->finish;
    const holder_ref holder = w->holder[tm_index(self)];
    const uint64_t others = w->threads - 1;
    const bool sleeper = others > 0 && tm_index(self) == others;
    const bool last = ++slot->count[0] == OPS;
    if (sleeper) {
        atomic (self) {
            if (tm_get(finish, threads) < others)
                tm_retry(self);
        }
        return;
    }
    atomic (self) {
        const chunk_ref old = tm_get(holder, chunk);
        tm_set(holder, chunk, tm_new(self, struct chunk));
        if (old != NULL)
            tm_free(self, old);
        if (last)
            tm_set(finish, threads, tm_get(finish, threads) + 1);
    }
}

static bool conformance_retry_memory_verify(TM_SELF, void *world, uint64_t ops, char *why,
                                            size_t why_size) {
    struct world *w = world;
    return probe_clean(w, why, why_size) &&
           probe_equal("operations", probe_sum(w, 0), ops, why, why_size) &&
           probe_equal("threads done", tm_get(w->finish, threads),
                       w->threads > 1 ? w->threads - 1 : 1, why, why_size);
}

static void conformance_retry_memory_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (unsigned i = 0; i < w->threads; i++) {
        const chunk_ref chunk = tm_get(w->holder[i], chunk);
        if (chunk != NULL)
            tm_free(self, chunk);
        tm_free(self, w->holder[i]);
    }
    tm_free(self, w->finish);
    machine_free(w->holder);
    probe_free(w);
}

TM_WORKLOAD(conformance_retry_memory, .help = "sleepers do not keep what others free",
            .params = conformance_retry_memory_params, .setup = conformance_retry_memory_setup,
            .verify = conformance_retry_memory_verify,
            .teardown = conformance_retry_memory_teardown);
