/*
 * io - sections that do input and output, among sections that do not: every `every`-th operation of
 * a thread becomes irrevocable and writes a record to a real pipe; the others are small
 * transactions on an array that all threads share.
 *
 * A system call cannot be undone, so an optimistic engine has to let its block run alone, or at
 * least without a rival that could abort it; a lock has nothing to do.  The question is what that
 * costs, and what it costs the others.
 *
 * A record carries the value of a transactional sequence counter that its block has read and
 * incremented.  In the pipe these must come out as 0, 1, 2, ..., none missing and none twice, each
 * thread's own count in order, and every byte as it was written.  There is no reader thread: when
 * the pipe is nearly full the writer itself, who is alone while it is irrevocable, empties it into
 * the checker; verify reads the rest.
 */
#include "tm.h"

#include "lib/plain.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { EVERY, CELLS };

static const struct tm_param io_params[] = {
    [EVERY] = {"every", "of so many operations of a thread, one writes to the pipe", TM_INT, "16",
               1, 1000000000, NULL},
    [CELLS] = {"cells", "words of the array that the other operations work on", TM_INT, "1024", 2,
               1 << 24, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

struct array {
    TM_HEADER;
    uint64_t at[];
};
typedef TM_REF(struct array) array_ref;

struct sequence {
    TM_HEADER;
    uint64_t next;
    char padding[TM_APART - 16];
};
typedef TM_REF(struct sequence) sequence_ref;

/* What goes through the pipe. */
struct record {
    uint64_t sequence;
    uint32_t thread;
    uint32_t count; /* records of this thread before this one, modulo 2^32 */
    uint64_t check; /* over the fields above and the seed */
    uint64_t again; /* ~check: the record is whole to its last byte */
};

enum {
    BATCH = 128,                         /* records read at a time */
    PIPE_BYTES = 65536,                  /* asked for; the system may give less */
    FULL_BYTES = PIPE_BYTES - BATCH * 32 /* so many waiting: time to empty it */
};
_Static_assert(sizeof(struct record) == 32, "records divide the pages of a pipe");

/* Plain memory.  Written by the one irrevocable block of the moment, and by verify. */
struct channel {
    int fds[2];
    uint64_t seed;
    unsigned threads;
    uint64_t waiting_bytes; /* in the pipe */
    uint64_t received;      /* records that the checker has seen */
    uint32_t *count;        /* [threads], of them */
    char problem[160];      /* the first thing that was wrong, or "" */
    size_t kept; /* bytes at the start of `batch`: a record of which the end is to come */
    struct record batch[BATCH];
};

/* Written by its own thread, outside of blocks; read by verify. */
struct io_stats {
    uint64_t ops, writes;
} __attribute__((aligned(TM_APART)));

/* Plain memory, constant after setup. */
struct world {
    uint64_t every, cells;
    unsigned threads;
    array_ref array;
    sequence_ref sequence;
    struct channel *channel;
    struct io_stats *stats; /* [threads] */
};

static uint64_t record_check(const struct channel *c, const struct record *r) {
    uint64_t z = c->seed ^ r->sequence * UINT64_C(0x9e3779b97f4a7c15) ^
                 (((uint64_t)r->thread << 32) | r->count) * UINT64_C(0xd1342543de82ef95);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 27);
}

/* ---- the reader's side --------------------------------------------------------------------- */

static void channel_check(struct channel *c, const struct record *r) {
    if (c->problem[0] != '\0')
        return;
    if (r->sequence != c->received) {
        snprintf(c->problem, sizeof c->problem,
                 "record %" PRIu64 " came out of the pipe where %" PRIu64 " was due", r->sequence,
                 c->received);
    } else if (r->check != record_check(c, r) || r->again != ~r->check || r->thread >= c->threads) {
        snprintf(c->problem, sizeof c->problem, "record %" PRIu64 " is damaged", r->sequence);
    } else if (r->count != c->count[r->thread]) {
        snprintf(c->problem, sizeof c->problem,
                 "record %" PRIu64 " is number %" PRIu32 " of thread %" PRIu32
                 ", expected %" PRIu32,
                 r->sequence, r->count, r->thread, c->count[r->thread]);
    } else {
        c->count[r->thread]++;
    }
    c->received++;
}

/* Reads what is in the pipe. */
static void channel_empty(struct channel *c) {
    while (c->waiting_bytes > 0) {
        const ssize_t n =
            machine_read(c->fds[0], (char *)c->batch + c->kept, sizeof c->batch - c->kept);
        if (n <= 0 || (size_t)n > c->waiting_bytes) {
            if (c->problem[0] == '\0')
                snprintf(c->problem, sizeof c->problem,
                         "the pipe gave %zd (negative: errno) with %" PRIu64 " bytes in it", n,
                         c->waiting_bytes);
            c->waiting_bytes = 0;
            return;
        }
        c->waiting_bytes -= (size_t)n;
        const size_t bytes = c->kept + (size_t)n;
        const size_t whole = bytes / sizeof(struct record);
        for (size_t i = 0; i < whole; i++)
            channel_check(c, &c->batch[i]);
        c->kept = bytes % sizeof(struct record);
        memmove(c->batch, &c->batch[whole], c->kept);
    }
}

/* ---- the writer's side --------------------------------------------------------------------- */

/* Called in an irrevocable block.  A write of at most PIPE_BUF bytes is all or nothing (pipe(7)).
 */
TM_PURE_FN TM_NOINLINE static void channel_write(struct channel *c, uint64_t sequence,
                                                 unsigned thread, uint64_t count) {
    struct record r = {.sequence = sequence, .thread = thread, .count = (uint32_t)count};
    r.check = record_check(c, &r);
    r.again = ~r.check;
    if (c->waiting_bytes >= FULL_BYTES)
        channel_empty(c);
    ssize_t n = machine_write(c->fds[1], &r, sizeof r);
    if (n == -EAGAIN) { /* the system gave a smaller pipe */
        channel_empty(c);
        n = machine_write(c->fds[1], &r, sizeof r);
    }
    if (n == (ssize_t)sizeof r)
        c->waiting_bytes += sizeof r;
    else if (c->problem[0] == '\0')
        snprintf(c->problem, sizeof c->problem,
                 "writing record %" PRIu64 " to the pipe gave %zd (negative: errno)", sequence, n);
}

static inline void io_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    struct io_stats *stats = &w->stats[tm_index(self)];
    const array_ref array = w->array;
    const uint64_t i = tm_random_below(rng, w->cells), j = tm_random_below(rng, w->cells);
    if (++stats->ops % w->every != 0) {
        atomic (self) {
            tm_set_at(array, at, i, tm_get_at(array, at, i) + 1);
            tm_set_at(array, at, j, tm_get_at(array, at, j) + 1);
        }
        return;
    }
    const sequence_ref sequence = w->sequence;
    struct channel *channel = w->channel;
    const unsigned thread = tm_index(self);
    const uint64_t count = stats->writes;
    atomic (self) {
        tm_set_at(array, at, i, tm_get_at(array, at, i) + 1);
        const uint64_t next = tm_get(sequence, next);
        tm_set(sequence, next, next + 1);
        tm_irrevocable(self);
        channel_write(channel, next, thread, count);
        tm_set_at(array, at, j, tm_get_at(array, at, j) + 1);
    }
    stats->writes++;
}

/* ---- setup and verification ---------------------------------------------------------------- */

static void channel_free(struct channel *c) {
    if (c == NULL)
        return;
    if (c->fds[0] >= 0)
        machine_close(c->fds[0]);
    if (c->fds[1] >= 0)
        machine_close(c->fds[1]);
    machine_free(c->count);
    machine_free(c);
}

static struct channel *channel_new(uint64_t seed, unsigned threads, char *why, size_t why_size) {
    struct channel *c = machine_alloc_aligned(sizeof *c, TM_APART);
    if (c == NULL) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    c->fds[0] = c->fds[1] = -1;
    c->seed = seed;
    c->threads = threads;
    c->count = machine_alloc_aligned(threads * sizeof *c->count, TM_APART);
    if (c->count == NULL) {
        snprintf(why, why_size, "out of memory");
    } else {
        const int error = machine_pipe(c->fds, PIPE_BYTES, true);
        if (error == 0)
            return c;
        snprintf(why, why_size, "cannot create a pipe: errno %d", -error);
    }
    channel_free(c);
    return NULL;
}

static void *io_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    struct world *w = machine_alloc_aligned(sizeof *w, TM_APART);
    struct io_stats *stats = machine_alloc_aligned(setup->threads * sizeof *stats, TM_APART);
    if (w == NULL || stats == NULL) {
        snprintf(why, why_size, "out of memory");
        goto failed;
    }
    w->every = (uint64_t)setup->args[EVERY].i;
    w->cells = (uint64_t)setup->args[CELLS].i;
    w->threads = setup->threads;
    w->stats = stats;
    w->channel = channel_new(setup->seed, setup->threads, why, why_size);
    if (w->channel == NULL)
        goto failed;
    w->array = tm_new_array(self, struct array, at, w->cells);
    w->sequence = tm_new(self, struct sequence);
    return w;
failed:
    machine_free(stats);
    machine_free(w);
    return NULL;
}

static bool equal(const char *what, uint64_t found, uint64_t expected, char *why, size_t why_size) {
    if (found == expected)
        return true;
    snprintf(why, why_size, "%s: found %" PRIu64 ", expected %" PRIu64, what, found, expected);
    return false;
}

static bool io_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    struct world *w = world;
    struct channel *c = w->channel;
    channel_empty(c);
    if (c->problem[0] != '\0') {
        snprintf(why, why_size, "%s", c->problem);
        return false;
    }
    uint64_t done = 0, writes = 0, sum = 0;
    for (unsigned t = 0; t < w->threads; t++) {
        done += w->stats[t].ops;
        writes += w->stats[t].writes;
        if (!equal("records of a thread", c->count[t], (uint32_t)w->stats[t].writes, why, why_size))
            return false;
    }
    for (uint64_t i = 0; i < w->cells; i++)
        sum += tm_get_at(w->array, at, i);
    return equal("operations counted by threads", done, ops, why, why_size) &&
           equal("increments", sum, 2 * ops, why, why_size) &&
           equal("bytes left over", c->kept, 0, why, why_size) &&
           equal("records out of the pipe", c->received, writes, why, why_size) &&
           equal("sequence counter", tm_get(w->sequence, next), writes, why, why_size);
}

static void io_teardown(TM_SELF, void *world) {
    struct world *w = world;
    tm_free(self, w->array);
    tm_free(self, w->sequence);
    channel_free(w->channel);
    machine_free(w->stats);
    machine_free(w);
}

TM_WORKLOAD(io, .help = "every N-th section writes to a pipe and cannot be undone",
            .params = io_params, .setup = io_setup, .verify = io_verify, .teardown = io_teardown);
