/*
 * cell.c - one measurement of one cell: setup, threads, verification.  See cell.h.
 *
 * Every thread warms up, then runs whole operations until the interval is over, in chunks of about
 * 20 us, so that looking at the clock costs next to nothing and the operation itself is called
 * directly by the compiled loop.  The warm-up ends at the same moment for all threads, counted from
 * the opening of the start barrier: threads that get their first turn late (behind a GIL, or
 * because there are more of them than processors) would otherwise spend the others' interval on a
 * warm-up that nobody counts.  The interval begins for all with the first thread that has left its
 * warm-up, so a computer that stood still in the warm-up does not shorten it.  Time is that from
 * the first thread's start to the last one's end: what a thread does while others have stopped
 * counts as time, never as free throughput.
 *
 * On a simulated machine the same happens in virtual time.  This file is not instrumented: what it
 * does between operations takes no virtual time, and nothing in it may spin, since no other thread
 * would get on meanwhile.  A look at the clock costs nanoseconds and a chunk lasts
 * about two microseconds, so intervals may be short, too.  An interval may then be shorter than a
 * GIL's switch interval, and threads get their first turn when it is over; they do nothing, and
 * neither the time that they need for it nor that of their wake-up counts.
 */
#include "cell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CHUNK_NS_MIN = 10000,
    CHUNK_NS_MAX = 40000,
    SIMULATED_CHUNK_NS_MIN = 1000,
    SIMULATED_CHUNK_NS_MAX = 4000,
    BARRIER_SPINS = 20000
};

/* A start barrier: the last to arrive opens it for all. */
struct barrier {
    _Atomic uint32_t arrived; /* written by all, counts up to `threads` */
    _Atomic uint32_t open;    /* written by the last to arrive */
    uint64_t opened_ns;       /* the clock at that moment; read behind `open` */
};

struct run {
    const struct cell_request *request;
    void *world;
    struct barrier barrier;
    _Atomic bool failed; /* a thread could not attach: nobody runs */
    /* When the interval began, or 0; set once, by the first thread that gets there, read by all. */
    _Atomic uint64_t begun_ns;
};

struct worker {
    struct run *run;
    unsigned index;
    struct machine_thread *thread;
    /* Written by the worker, read after it was joined. */
    bool attached;
    uint64_t start_ns, end_ns;
    uint64_t cpu_ns;  /* of this thread in the interval */
    uint64_t ops;     /* in the interval */
    uint64_t ops_all; /* warm-up included */
    struct tm_stats stats;
    uint64_t *latency; /* [CELL_LATENCY_SAMPLES], a uniform sample of the operations' times */
    uint64_t latencies, latency_max;
};

static void barrier_wait(struct barrier *b, unsigned threads, const struct machine *machine) {
    if (atomic_fetch_add(&b->arrived, 1) + 1 == threads) {
        b->opened_ns = machine->now_ns();
        atomic_store(&b->open, 1);
        machine->wake(&b->open, UINT32_MAX);
        return;
    }
    for (int i = 0; !machine->simulated && i < BARRIER_SPINS && !atomic_load(&b->open); i++)
        machine_cpu_relax();
    while (!atomic_load(&b->open))
        machine->wait(&b->open, 0, UINT64_MAX);
}

/* splitmix64: turns (seed, thread) into well-mixed, nonzero generator states. */
static struct tm_rand thread_rand(uint64_t seed, unsigned thread) {
    uint64_t z = seed + (thread + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (struct tm_rand){z ? z : 1};
}

static void record_latency(struct worker *w, uint64_t ns, struct tm_rand *dice) {
    if (ns > w->latency_max)
        w->latency_max = ns;
    const uint64_t n = w->latencies++;
    uint64_t slot = n;
    if (n >= CELL_LATENCY_SAMPLES) { /* reservoir sampling */
        dice->state ^= dice->state << 13;
        dice->state ^= dice->state >> 7;
        dice->state ^= dice->state << 17;
        slot = dice->state % (n + 1);
    }
    if (slot < CELL_LATENCY_SAMPLES)
        w->latency[slot] = ns;
}

/* Begins the interval if no other thread has done so; returns when it began. */
static uint64_t begin_interval(struct run *run, uint64_t now) {
    uint64_t begun = 0;
    return atomic_compare_exchange_strong(&run->begun_ns, &begun, now) ? now : begun;
}

/* Operations until `deadline`; returns how many.  *chunk adapts to the length of an operation. */
static uint64_t run_until(struct worker *w, struct tm_thread *self, struct tm_rand *rng,
                          struct tm_rand *dice, uint64_t *chunk, uint64_t now, uint64_t deadline) {
    const struct cell_request *r = w->run->request;
    const bool latency = r->latency;
    const struct tm_workload *workload = r->cell->workload;
    const bool simulated = r->machine->simulated;
    const uint64_t chunk_ns_min = simulated ? SIMULATED_CHUNK_NS_MIN : CHUNK_NS_MIN;
    const uint64_t chunk_ns_max = simulated ? SIMULATED_CHUNK_NS_MAX : CHUNK_NS_MAX;
    uint64_t ops = 0;
    if (simulated && now >= deadline)
        return 0; /* its first turn came too late */
    do {
        const uint64_t before = now;
        const uint64_t n = latency ? 1 : *chunk;
        workload->loop(self, w->run->world, rng, n);
        ops += n;
        now = r->machine->now_ns();
        if (latency)
            record_latency(w, now - before, dice);
        else if (now - before < chunk_ns_min)
            *chunk *= 2;
        else if (now - before > chunk_ns_max && *chunk > 1)
            *chunk /= 2;
    } while (now < deadline);
    return ops;
}

static uint64_t cpu_now_ns(const struct machine *machine) {
    return machine->cpu_ns != NULL ? machine->cpu_ns() : 0;
}

static void worker_main(void *argument) {
    struct worker *w = argument;
    struct run *run = w->run;
    const struct cell_request *r = run->request;
    const struct tm_engine *engine = r->cell->engine;
    struct tm_rand rng = thread_rand(r->seed, w->index);
    struct tm_rand dice = thread_rand(~r->seed, w->index);

    struct tm_thread *self = engine->attach(w->index, false);
    if (self == NULL)
        atomic_store(&run->failed, true);
    else
        engine->suspend(self); /* nobody holds a lock while others have yet to arrive */
    barrier_wait(&run->barrier, r->threads, r->machine);
    if (self == NULL || atomic_load(&run->failed)) {
        if (self != NULL) {
            engine->resume(self);
            engine->detach(self);
        }
        return;
    }
    w->attached = true;
    engine->resume(self);
    struct tm_stats *stats = engine->stats(self);

    if (r->ops_per_thread > 0) {
        w->cpu_ns = cpu_now_ns(r->machine);
        w->start_ns = r->machine->now_ns();
        r->cell->workload->loop(self, run->world, &rng, r->ops_per_thread);
        w->ops = r->ops_per_thread;
        w->ops_all = w->ops;
    } else {
        uint64_t chunk = 1;
        uint64_t now = r->machine->now_ns();
        if (r->warmup_ns > 0) {
            w->ops_all =
                run_until(w, self, &rng, &dice, &chunk, now, run->barrier.opened_ns + r->warmup_ns);
            w->latencies = w->latency_max = 0;
            const bool counts = stats->counts_accesses;
            memset(stats, 0, sizeof *stats);
            stats->counts_accesses = counts;
        }
        ((struct tm_common *)self)->timed = r->timed;
        w->cpu_ns = cpu_now_ns(r->machine);
        w->start_ns = now = r->machine->now_ns();
        w->ops =
            run_until(w, self, &rng, &dice, &chunk, now, begin_interval(run, now) + r->interval_ns);
        w->ops_all += w->ops;
    }
    w->end_ns = r->machine->now_ns();
    w->cpu_ns = cpu_now_ns(r->machine) - w->cpu_ns;
    w->stats = *stats;
    if (r->cell->workload->leave != NULL)
        r->cell->workload->leave(self, run->world);
    engine->detach(self);
}

static uint64_t resident_bytes(void) {
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        if (fscanf(f, "%*u %lu", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A time that was kept, and how many operations of its thread it stands for. */
struct kept {
    uint64_t ns;
    double weight;
};

static int compare_kept(const void *a, const void *b) {
    const struct kept *x = a, *y = b;
    return (x->ns > y->ns) - (x->ns < y->ns);
}

/* Of n sorted times, the first at or below which at least this share of the weight lies. */
static uint64_t quantile(const struct kept *all, uint64_t n, double total, double share) {
    double seen = 0;
    for (uint64_t i = 0; i + 1 < n; i++) {
        seen += all[i].weight;
        if (seen >= share * total)
            return all[i].ns;
    }
    return all[n - 1].ns;
}

/* Times of all threads, those of each by the number of its operations: under an unfair lock a
 * thread with few operations, all of them slow, must not count like one with many.  False when
 * memory is out. */
static bool summarise_latency(const struct worker *workers, unsigned threads,
                              struct cell_sample *sample) {
    struct kept *all = calloc((size_t)threads * CELL_LATENCY_SAMPLES, sizeof *all);
    uint64_t n = 0;
    double total = 0;
    if (all == NULL)
        return false;
    for (unsigned i = 0; i < threads; i++) {
        const struct worker *w = &workers[i];
        const uint64_t own =
            w->latencies < CELL_LATENCY_SAMPLES ? w->latencies : CELL_LATENCY_SAMPLES;
        for (uint64_t k = 0; k < own; k++)
            all[n++] = (struct kept){w->latency[k], (double)w->latencies / (double)own};
        total += (double)w->latencies;
    }
    if (n > 0) {
        qsort(all, n, sizeof *all, compare_kept);
        sample->latency_p50_ns = quantile(all, n, total, 0.50);
        sample->latency_p99_ns = quantile(all, n, total, 0.99);
    }
    free(all);
    return true;
}

static void add_stats(struct tm_stats *sum, const struct tm_stats *s) {
    sum->commits += s->commits;
    for (int i = 0; i < TM_CAUSES; i++)
        sum->aborts[i] += s->aborts[i];
    sum->retries += s->retries;
    sum->fallbacks += s->fallbacks;
    sum->irrevocable += s->irrevocable;
    sum->handovers += s->handovers;
    sum->reads += s->reads;
    sum->writes += s->writes;
    if (s->read_set_max > sum->read_set_max)
        sum->read_set_max = s->read_set_max;
    if (s->write_set_max > sum->write_set_max)
        sum->write_set_max = s->write_set_max;
    sum->cascades += s->cascades;
    sum->cascade_blocks += s->cascade_blocks;
    if (s->cascade_blocks_max > sum->cascade_blocks_max)
        sum->cascade_blocks_max = s->cascade_blocks_max;
    sum->wasted_ns += s->wasted_ns;
    sum->lock_ns += s->lock_ns;
    sum->counts_accesses |= s->counts_accesses;
}

/* False when memory is out. */
static bool summarise(const struct worker *workers, unsigned threads, struct cell_sample *sample) {
    uint64_t first = UINT64_MAX, last = 0;
    sample->ops_min = UINT64_MAX;
    for (unsigned i = 0; i < threads; i++) {
        const struct worker *w = &workers[i];
        if (w->ops > 0) {
            first = w->start_ns < first ? w->start_ns : first;
            last = w->end_ns > last ? w->end_ns : last;
        }
        sample->cpu_ns += w->cpu_ns;
        sample->ops += w->ops;
        sample->ops_min = w->ops < sample->ops_min ? w->ops : sample->ops_min;
        sample->ops_max = w->ops > sample->ops_max ? w->ops : sample->ops_max;
        sample->latency_max_ns =
            w->latency_max > sample->latency_max_ns ? w->latency_max : sample->latency_max_ns;
        add_stats(&sample->stats, &w->stats);
    }
    sample->elapsed_ns = last > first ? last - first : 0;
    return workers[0].latency == NULL || summarise_latency(workers, threads, sample);
}

/* The threads of one measurement, from spawn to join.  False and `why` when they could not all run.
 */
static bool run_threads(struct run *run, struct worker *workers, char *why) {
    const struct cell_request *r = run->request;
    unsigned started = 0;
    for (; started < r->threads; started++) {
        struct worker *w = &workers[started];
        *w = (struct worker){.run = run, .index = started};
        if (r->latency) {
            w->latency = malloc(CELL_LATENCY_SAMPLES * sizeof *w->latency);
            if (w->latency == NULL)
                break;
        }
        w->thread = r->machine->spawn(started, worker_main, w);
        if (w->thread == NULL)
            break;
    }
    if (started < r->threads) { /* the others wait at the barrier: let them through, to leave */
        atomic_store(&run->failed, true);
        atomic_store(&run->barrier.open, 1);
        r->machine->wake(&run->barrier.open, UINT32_MAX);
    }
    for (unsigned i = 0; i < started; i++)
        r->machine->join(workers[i].thread);
    if (!atomic_load(&run->failed))
        return true;
    if (started < r->threads)
        snprintf(why, CELL_WHY_SIZE, "could not start thread %u of %u", started + 1, r->threads);
    else
        snprintf(why, CELL_WHY_SIZE, "out of memory: not all of %u threads could join the engine",
                 r->threads);
    return false;
}

/* Everything between start and stop of the engine. */
static void measure_started(const struct cell_request *r, struct cell_sample *sample) {
    const struct tm_engine *engine = r->cell->engine;
    const struct tm_workload *workload = r->cell->workload;
    const struct tm_setup setup = {r->args, r->threads, r->seed};
    struct run run = {.request = r};
    struct tm_thread *self = engine->attach(0, true);
    if (self == NULL) {
        snprintf(sample->why, CELL_WHY_SIZE, "out of memory");
        return;
    }
    run.world = workload->setup(self, &setup, sample->why, CELL_WHY_SIZE);
    engine->detach(self);
    if (run.world == NULL) {
        if (sample->why[0] == '\0')
            snprintf(sample->why, CELL_WHY_SIZE, "setup: out of memory");
        return;
    }
    struct worker *workers = calloc(r->threads, sizeof *workers);
    if (workers == NULL) {
        snprintf(sample->why, CELL_WHY_SIZE, "out of memory");
    } else if (run_threads(&run, workers, sample->why)) {
        uint64_t ops_all = 0;
        for (unsigned i = 0; i < r->threads; i++)
            ops_all += workers[i].ops_all;
        const bool summarised = summarise(workers, r->threads, sample);
        if (!summarised)
            snprintf(sample->why, CELL_WHY_SIZE, "out of memory");
        sample->rss_bytes = r->machine->simulated ? r->machine->resident_bytes() : resident_bytes();
        self = engine->attach(0, true);
        sample->ok = summarised && self != NULL &&
                     workload->verify(self, run.world, ops_all, sample->why, CELL_WHY_SIZE);
        if (self != NULL)
            engine->detach(self);
    }
    self = engine->attach(0, true);
    if (self != NULL) {
        workload->teardown(self, run.world);
        engine->detach(self);
    }
    for (unsigned i = 0; workers != NULL && i < r->threads; i++)
        free(workers[i].latency);
    free(workers);
}

/* Processor time of the process that simulates. */
static uint64_t host_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

const char *const cell_transaction_causes[MACHINE_TX_CAUSES] = {MACHINE_TX_CAUSE_NAMES};

bool cell_measure(const struct cell_request *request, struct cell_sample *sample) {
    const struct tm_engine *engine = request->cell->engine;
    memset(sample, 0, sizeof *sample);
    const char *reason = engine->unavailable();
    if (reason != NULL) {
        snprintf(sample->why, CELL_WHY_SIZE, "%s", reason);
        return false;
    }
    if (request->threads == 0 || request->threads > engine->max_threads) {
        snprintf(sample->why, CELL_WHY_SIZE, "engine %s runs 1 to %u threads, not %u", engine->name,
                 engine->max_threads, request->threads);
        return false;
    }
    const bool simulated = request->machine->simulated;
    const uint64_t host_start_ns = simulated ? host_now_ns() : 0;
    if (simulated &&
        !request->machine->open(request->profile, request->overrides, request->override_count,
                                request->seed, sample->why, CELL_WHY_SIZE))
        return false;
    const bool started =
        engine->start(request->options, request->threads, sample->why, CELL_WHY_SIZE);
    if (started) {
        measure_started(request, sample);
        engine->stop();
    }
    if (simulated) {
        struct machine_counters counters;
        request->machine->counters(&counters);
        sample->accesses = counters.accesses;
        sample->switches = counters.switches;
        sample->instructions = counters.instructions;
        sample->transactions = (struct cell_transactions){.begins = counters.tx_begins,
                                                          .commits = counters.tx_commits,
                                                          .wasted_ns = counters.tx_wasted_ns};
        memcpy(sample->transactions.aborts, counters.tx_aborts, sizeof counters.tx_aborts);
        request->machine->close();
        sample->host_ns = host_now_ns() - host_start_ns;
    }
    if (!started)
        return false;
    if (sample->ok) /* verifiers may have prepared their message */
        sample->why[0] = '\0';
    else if (sample->why[0] == '\0')
        snprintf(sample->why, CELL_WHY_SIZE, "verification failed without a reason");
    return sample->ok;
}
