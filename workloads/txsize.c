/*
 * txsize - the microscope: blocks of a given number of reads and writes, and nothing else.
 *
 * Each thread has a pool of objects of its own, and with `conflict` > 0 there is one more pool that
 * all threads share; `conflict` is the probability that an access goes there.  Operands are drawn
 * in setup into one stream of references per thread, in the order of access, so that a block
 * holds nothing but a sequential load of the reference and the barrier.  The stream repeats after
 * at least STREAM_BLOCKS blocks.  The operands of a block are distinct as long as the pools hold
 * enough objects, so a block has exactly `reads` + `writes` objects in its sets.
 *
 * Order: the writes are spread evenly.  With q = reads / writes, q/2 reads come before the first
 * write and q between two writes (the first `reads % writes` gaps take one more), the rest comes
 * behind the last write.
 *
 * `write=blind` stores a stamp (thread, operation) without reading; `write=add` adds 1, so each
 * write is also a read of the same word.  Verification: with `blind` the stream is replayed; each
 * object of a private pool must hold the stamp of the last block that wrote it, each shared object
 * that of one thread's last block that wrote it.  With `add` the same holds of the number of writes
 * of each private object and of the sum over the shared pool, so lost updates show.
 *
 * Stride: an object asks for `stride` - 8 bytes.  From an allocator that works in units of 16 bytes
 * and keeps no or 8 bytes per block (bump allocation; glibc's malloc) consecutive objects then lie
 * exactly `stride` apart, at least while memory is fresh.
 */
#include "tm.h"

#include "lib/plain.h"

#include <inttypes.h>

enum { READS, WRITES, OBJECTS, CONFLICT, STRIDE, WRITE };
enum { BLIND, ADD };

static const struct tm_param txsize_params[] = {
    {"reads", "objects read per transaction", TM_INT, "8", 0, 1 << 18, NULL},
    {"writes", "objects written per transaction", TM_INT, "1", 0, 1 << 18, NULL},
    {"objects", "objects in each pool", TM_INT, "1024", 1, 1 << 22, NULL},
    {"conflict", "probability that an access goes to the pool shared by all threads", TM_REAL, "0",
     0, 1, NULL},
    {"stride", "bytes from one object to the next, a multiple of 16", TM_INT, "64", 32, 65536,
     NULL},
    {"write", "blind: store a stamp; add: read, add 1, store", TM_CHOICE, "blind",
     .choices = "blind|add"},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

/* A stream has at least so many blocks and so many operands. */
enum { STREAM_BLOCKS = 16, STREAM_OPERANDS = 4096 };

struct object {
    TM_HEADER;
    uint64_t value;
    char padding[];
};
typedef TM_REF(struct object) object_ref;

/* One thread's.  Everything is constant after setup but `at`, `ops` and `sink`, which their own
 * thread writes outside of blocks and verify reads. */
struct txsize_thread {
    const object_ref *operand; /* [blocks * (reads + writes)] in order of access */
    const uint32_t *number;    /* the same operands as numbers, for verify: shared ones come behind
                                  the private ones */
    object_ref *pool;          /* [objects] */
    uint64_t at;               /* first operand of the next block */
    uint64_t ops;
    uint64_t sink; /* what was read: the compiler must not drop it */
} __attribute__((aligned(TM_APART)));

struct world {
    uint64_t reads, writes;
    uint64_t lead, gap, extra; /* the order, see above */
    uint64_t objects;
    uint64_t blocks;   /* in a stream */
    uint64_t operands; /* in a stream */
    bool add;
    bool sharing;
    unsigned threads;
    object_ref *shared;           /* [objects], NULL without sharing */
    struct txsize_thread *thread; /* [threads] */
};

static void txsize_free_pool(TM_SELF, object_ref *pool, uint64_t objects) {
    for (uint64_t i = 0; pool != NULL && i < objects; i++)
        tm_free(self, pool[i]);
    machine_free(pool);
}

static void txsize_teardown(TM_SELF, void *world) {
    struct world *w = world;
    txsize_free_pool(self, w->shared, w->objects);
    for (unsigned t = 0; w->thread != NULL && t < w->threads; t++) {
        txsize_free_pool(self, w->thread[t].pool, w->objects);
        machine_free((void *)w->thread[t].operand);
        machine_free((void *)w->thread[t].number);
    }
    machine_free(w->thread);
    machine_free(w);
}

static object_ref *txsize_new_pool(TM_SELF, uint64_t objects, uint64_t stride) {
    object_ref *pool = machine_alloc(objects * sizeof *pool);
    for (uint64_t i = 0; pool != NULL && i < objects; i++)
        pool[i] = tm_new_array(self, struct object, padding, stride - 8 - sizeof(struct object));
    return pool;
}

/* Draws objects without replacement: the first `taken` entries of `order` are used up. */
struct txsize_urn {
    uint32_t *order; /* [objects], a permutation */
    uint64_t taken;
};

static uint32_t txsize_draw(struct txsize_urn *urn, uint64_t objects, struct tm_rand *rng) {
    if (urn->taken == objects)
        urn->taken = 0; /* more accesses than objects: begin again */
    const uint64_t i = urn->taken + tm_random_below(rng, objects - urn->taken);
    const uint32_t drawn = urn->order[i];
    urn->order[i] = urn->order[urn->taken];
    urn->order[urn->taken++] = drawn;
    return drawn;
}

static bool txsize_new_stream(struct world *w, unsigned t, plain_chance conflict, uint64_t seed) {
    struct txsize_thread *thread = &w->thread[t];
    struct tm_rand rng = plain_rand(seed, t);
    object_ref *operand = machine_alloc((w->operands + 1) * sizeof *operand);
    uint32_t *number = machine_alloc((w->operands + 1) * sizeof *number);
    uint32_t *order = machine_alloc(2 * w->objects * sizeof *order);
    thread->operand = operand;
    thread->number = number;
    if (operand == NULL || number == NULL || order == NULL) {
        machine_free(order);
        return false;
    }
    for (uint64_t i = 0; i < 2 * w->objects; i++)
        order[i] = (uint32_t)(i % w->objects);
    uint64_t i = 0;
    for (uint64_t block = 0; block < w->blocks; block++) {
        struct txsize_urn own = {order, 0}, shared = {order + w->objects, 0};
        for (uint64_t k = 0; k < w->reads + w->writes; k++, i++) {
            const bool is_shared = plain_happens(&rng, conflict);
            const uint32_t drawn = txsize_draw(is_shared ? &shared : &own, w->objects, &rng);
            operand[i] = is_shared ? w->shared[drawn] : thread->pool[drawn];
            number[i] = drawn + (is_shared ? (uint32_t)w->objects : 0);
        }
    }
    machine_free(order);
    return true;
}

static void *txsize_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    const union tm_value *args = setup->args;
    const uint64_t stride = (uint64_t)args[STRIDE].i;
    if (stride % 16 != 0 || stride < sizeof(struct object) + 8) {
        snprintf(why, why_size,
                 "stride=%" PRIu64 ": must be a multiple of 16 and at least %zu on this engine",
                 stride, (sizeof(struct object) + 8 + 15) / 16 * 16);
        return NULL;
    }
    struct world *w = machine_alloc_aligned(sizeof *w, TM_CACHE_LINE);
    if (w == NULL) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    w->reads = (uint64_t)args[READS].i;
    w->writes = (uint64_t)args[WRITES].i;
    w->objects = (uint64_t)args[OBJECTS].i;
    w->add = args[WRITE].choice == ADD;
    w->sharing = args[CONFLICT].r > 0;
    w->threads = setup->threads;
    const uint64_t accesses = w->reads + w->writes;
    if (w->writes > 0) {
        w->gap = w->reads / w->writes;
        w->lead = w->gap / 2;
        w->extra = w->reads % w->writes;
    }
    w->blocks = STREAM_BLOCKS;
    if (accesses > 0 && w->blocks * accesses < STREAM_OPERANDS)
        w->blocks = STREAM_OPERANDS / accesses;
    w->operands = w->blocks * accesses;

    w->thread = machine_alloc_aligned(w->threads * sizeof *w->thread, TM_APART);
    if (w->thread == NULL)
        goto out_of_memory;
    if (w->sharing) {
        w->shared = txsize_new_pool(self, w->objects, stride);
        if (w->shared == NULL)
            goto out_of_memory;
    }
    for (unsigned t = 0; t < w->threads; t++) {
        w->thread[t].pool = txsize_new_pool(self, w->objects, stride);
        if (w->thread[t].pool == NULL ||
            !txsize_new_stream(w, t, plain_chance_of(args[CONFLICT].r), setup->seed))
            goto out_of_memory;
    }
    return w;
out_of_memory:
    snprintf(why, why_size, "out of memory");
    txsize_teardown(self, w);
    return NULL;
}

/* The stream never changes after setup: reading it needs no barrier. */
TM_PURE_FN static inline object_ref txsize_operand(const object_ref *operand, uint64_t k) {
    return operand[k];
}

TM_FN static inline void txsize_write(TM_SELF, object_ref object, bool add, uint64_t stamp) {
    tm_set(object, value, add ? tm_get(object, value) + 1 : stamp);
}

/* `n` reads from operand[k] on; returns the sum. */
#define TXSIZE_READ_RUN(sum, n)                                                                    \
    for (const uint64_t end_ = k + (n); k < end_; k++)                                             \
    (sum) += tm_get(txsize_operand(operand, k), value)

static inline void txsize_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng; /* everything was drawn in setup */
    struct txsize_thread *thread = &w->thread[tm_index(self)];
    const object_ref *const operand = thread->operand + thread->at;
    const uint64_t reads = w->reads, writes = w->writes, gap = w->gap, extra = w->extra;
    const uint64_t lead = w->lead, accesses = reads + writes;
    const bool add = w->add;
    const uint64_t stamp = (uint64_t)(tm_index(self) + 1) << 48 | (thread->ops + 1);
    uint64_t seen;
    atomic (self) {
        uint64_t k = 0, sum = 0;
        if (reads == 0) {
            for (; k < writes; k++)
                txsize_write(self, txsize_operand(operand, k), add, stamp);
        } else if (writes > 0) {
            TXSIZE_READ_RUN(sum, lead);
            for (uint64_t i = 0;;) {
                txsize_write(self, txsize_operand(operand, k++), add, stamp);
                if (++i == writes)
                    break;
                TXSIZE_READ_RUN(sum, gap + (i <= extra));
            }
        }
        TXSIZE_READ_RUN(sum, accesses - k);
        seen = sum;
    }
    thread->sink += seen;
    thread->ops++;
    thread->at += accesses;
    if (thread->at == w->operands)
        thread->at = 0;
}

/* Where in a block the i-th write (from 0) stands. */
static uint64_t txsize_write_at(const struct world *w, uint64_t i) {
    return w->lead + i * (w->gap + 1) + (i < w->extra ? i : w->extra);
}

/*
 * Replays a thread's writes.  expected[number]: with `blind` the stamp of the last block that wrote
 * the object, 0 if none did; with `add` the number of writes.
 */
static void txsize_replay(const struct world *w, unsigned t, uint64_t *expected) {
    const struct txsize_thread *thread = &w->thread[t];
    for (uint64_t i = 0; i < 2 * w->objects; i++)
        expected[i] = 0;
    for (uint64_t block = 0; block < w->blocks; block++) {
        if (block >= thread->ops)
            break;
        const uint64_t times = (thread->ops - 1 - block) / w->blocks + 1;
        const uint64_t last = block + (times - 1) * w->blocks + 1;
        const uint64_t stamp = (uint64_t)(t + 1) << 48 | last;
        for (uint64_t i = 0; i < w->writes; i++) {
            uint64_t *e =
                &expected[thread->number[block * (w->reads + w->writes) + txsize_write_at(w, i)]];
            if (w->add)
                *e += times;
            else if (stamp > *e)
                *e = stamp;
        }
    }
}

/* The private pool of a thread against its replay. */
static bool txsize_verify_private(TM_SELF, const struct world *w, unsigned t,
                                  const uint64_t *expected, char *why, size_t why_size) {
    for (uint64_t i = 0; i < w->objects; i++) {
        const uint64_t value = tm_get(w->thread[t].pool[i], value);
        if (value != expected[i]) {
            snprintf(why, why_size,
                     "thread %u, object %" PRIu64 ": holds %#" PRIx64
                     ", last written was %#" PRIx64,
                     t, i, value, expected[i]);
            return false;
        }
    }
    return true;
}

/* Shared objects whose stamp is of this thread: it must be that of its last write there. */
static bool txsize_verify_stamps(TM_SELF, const struct world *w, unsigned t,
                                 const uint64_t *expected, char *why, size_t why_size) {
    for (uint64_t i = 0; i < w->objects; i++) {
        const uint64_t value = tm_get(w->shared[i], value);
        const uint64_t own = expected[w->objects + i];
        if ((value >> 48 == t + 1 && value != own) || (value == 0 && own != 0) ||
            value >> 48 > w->threads) {
            snprintf(why, why_size,
                     "shared object %" PRIu64 ": holds %#" PRIx64 ", thread %u wrote %#" PRIx64
                     " last",
                     i, value, t, own);
            return false;
        }
    }
    return true;
}

static bool txsize_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    const struct world *w = world;
    uint64_t *expected = machine_alloc(2 * w->objects * sizeof *expected);
    if (expected == NULL) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    bool ok = true;
    uint64_t done = 0, shared_writes = 0;
    for (unsigned t = 0; ok && t < w->threads; t++) {
        txsize_replay(w, t, expected);
        ok = txsize_verify_private(self, w, t, expected, why, why_size) &&
             (!w->sharing || w->add || txsize_verify_stamps(self, w, t, expected, why, why_size));
        for (uint64_t i = 0; i < w->objects; i++)
            shared_writes += expected[w->objects + i];
        done += w->thread[t].ops;
    }
    machine_free(expected);
    if (ok && done != ops) {
        snprintf(why, why_size, "threads counted %" PRIu64 " operations, there were %" PRIu64, done,
                 ops);
        ok = false;
    }
    if (ok && w->sharing && w->add) {
        uint64_t sum = 0;
        for (uint64_t i = 0; i < w->objects; i++)
            sum += tm_get(w->shared[i], value);
        if (sum != shared_writes) {
            snprintf(why, why_size, "shared objects count %" PRIu64 " writes, there were %" PRIu64,
                     sum, shared_writes);
            ok = false;
        }
    }
    return ok;
}

TM_WORKLOAD(txsize, .help = "reads and writes per transaction and nothing else: the microscope",
            .params = txsize_params, .setup = txsize_setup, .verify = txsize_verify,
            .teardown = txsize_teardown);
