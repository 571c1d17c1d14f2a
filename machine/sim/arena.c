/*
 * arena.c - the simulated program's heap: machine_alloc and machine_free at fixed addresses.
 *
 * Model: the layout of glibc's malloc (malloc/malloc.c, "tcache"), because where objects lie
 * decides which share a line: each has 8 bytes of its own in front, lies on 16 bytes, and takes a
 * multiple of 16, at least 32.  Each thread has free lists of its own, last in first out; what it
 * frees beyond a limit goes to lists that all share.  New memory comes in slabs of whole pages that
 * belong to one thread.  Large blocks have pages of their own.  A call is charged as a number of
 * instructions and one access to the word in front of the object; the lists that all share are free
 * of charge.
 *
 * Guarantee: addresses are a function of the calls since the last reset, and of nothing else.
 * Invariants: a chunk is in use, or in exactly one list; the word in front of an object says its
 * class and how far behind its chunk's start it lies.
 */
#include "htm.h"
#include "internal.h"

#include <string.h>
#include <sys/mman.h>

#define ARENA ((char *)UINT64_C(0x200000000000))
#define ARENA_BYTES (UINT64_C(64) << 30)

enum {
    HEADER = 8,
    SMALL_MAX = 16 << 10, /* a chunk up to this size comes out of a slab */
    SLAB_BYTES = 64 << 10,
    SMALL_CLASSES = 64, /* 16 bytes apart, up to 1024 */
    CLASSES = SMALL_CLASSES + 4 * 30,
    OWN_LIMIT = 64, /* chunks of a class in a thread's own list */
    HEAPS = SIM_STACKS + 1,
    ALLOC_INSTRUCTIONS = 60, /* glibc's path through the thread's cache and its callers */
    FREE_INSTRUCTIONS = 40,
};

/* In front of an object. */
struct header {
    uint32_t class, offset;
};
_Static_assert(sizeof(struct header) == HEADER, "objects lie on 16 bytes");

/* A free chunk, at the place of its object. */
struct chunk {
    struct chunk *next;
};

struct heap {
    struct chunk *list[CLASSES];
    uint32_t count[SMALL_CLASSES + 20]; /* chunks in the list, for classes of slabs */
    char *slab, *slab_end;
};

static bool mapped;
static char *top;                     /* from here on, nothing was ever in use */
static struct chunk *shared[CLASSES]; /* what no thread keeps for itself */
static struct heap *heaps[HEAPS];     /* made when first attached, then kept */
static unsigned attached;             /* heaps ever attached since the reset, 0 included */
static unsigned idle[HEAPS], idles;   /* heaps of threads that have ended */

/* Chunk sizes: 16, 32, .. 1024, then four to a doubling: 1280, 1536, 1792, 2048, 2560, ... */
static unsigned class_of(size_t bytes) {
    if (bytes <= 1024)
        return (unsigned)((bytes + 15) / 16) - 1;
    const unsigned shift = 61 - (unsigned)__builtin_clzl(bytes - 1); /* quarter of the octave */
    return SMALL_CLASSES + 4 * (shift - 8) + (unsigned)((bytes - 1) >> shift) - 4;
}

static size_t class_bytes(unsigned class) {
    if (class < SMALL_CLASSES)
        return (size_t)(class + 1) * 16;
    const unsigned octave = (class - SMALL_CLASSES) / 4, quarter = (class - SMALL_CLASSES) % 4;
    return (size_t)(quarter + 5) << (octave + 8);
}

bool sim_arena_open(void) {
    if (!mapped) {
        void *p = mmap(ARENA, ARENA_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (p == MAP_FAILED)
            return false;
        if (p != ARENA) { /* kernels before 4.17 take the address for a hint */
            munmap(p, ARENA_BYTES);
            return false;
        }
        mapped = true;
        top = ARENA;
    }
    if (heaps[0] == NULL && (heaps[0] = calloc(1, sizeof *heaps[0])) == NULL)
        return false;
    if (attached == 0)
        attached = 1;
    return true;
}

void sim_arena_reset(void) {
    if (top > ARENA)
        (void)madvise(ARENA, (size_t)(top - ARENA), MADV_DONTNEED);
    top = ARENA;
    memset(shared, 0, sizeof shared);
    for (unsigned i = 0; i < attached; i++)
        memset(heaps[i], 0, sizeof *heaps[i]);
    attached = 1;
    idles = 0;
}

void sim_arena_area(uintptr_t *start, size_t *bytes) {
    *start = (uintptr_t)ARENA;
    *bytes = ARENA_BYTES;
}

size_t sim_arena_used(void) { return mapped ? (size_t)(top - ARENA) : 0; }

unsigned sim_arena_attach(void) {
    if (idles > 0)
        return idle[--idles];
    if (attached == HEAPS)
        return 0;
    if (heaps[attached] == NULL && (heaps[attached] = calloc(1, sizeof(struct heap))) == NULL)
        return 0; /* shares the host's */
    return attached++;
}

void sim_arena_detach(unsigned heap) {
    if (heap != 0)
        idle[idles++] = heap;
}

/* Whole pages that nobody has used yet; NULL when the arena is full. */
static char *fresh(size_t bytes) {
    bytes = (bytes + SIM_PAGE - 1) & ~(size_t)(SIM_PAGE - 1);
    if (bytes > ARENA_BYTES - (size_t)(top - ARENA))
        return NULL;
    char *p = top;
    top += bytes;
    return p;
}

static char *take(struct chunk **list) {
    struct chunk *c = *list;
    if (c != NULL)
        *list = c->next;
    return (char *)c;
}

static char *take_small(struct heap *heap, unsigned class, size_t bytes) {
    char *p = take(&heap->list[class]);
    if (p != NULL) {
        heap->count[class]--;
        return p;
    }
    if ((p = take(&shared[class])) != NULL)
        return p;
    if ((size_t)(heap->slab_end - heap->slab) < bytes) {
        char *slab = fresh(SLAB_BYTES);
        if (slab == NULL)
            return NULL;
        heap->slab = slab + HEADER; /* the first object lies on 16 bytes */
        heap->slab_end = slab + SLAB_BYTES;
    }
    p = heap->slab + HEADER;
    heap->slab += bytes;
    return p;
}

/* An object of `bytes` on a multiple of `align`, its header in place. */
static void *allocate(size_t bytes, size_t align) {
    if (!sim_arena_open() || bytes > ARENA_BYTES / 2)
        return NULL;
    const size_t extra = align > 16 ? align - 16 : 0;
    const size_t wanted = bytes + extra + HEADER;
    const unsigned class = class_of(wanted < 32 ? 32 : wanted);
    const size_t size = class_bytes(class);
    char *p;
    if (size <= SMALL_MAX) {
        p = take_small(heaps[sim_thread_heap()], class, size);
    } else {
        p = take(&shared[class]);
        if (p == NULL && (p = fresh(size + HEADER)) != NULL)
            p += 2 * HEADER;
    }
    if (p == NULL)
        return NULL;
    const uintptr_t at = (uintptr_t)p;
    const uint32_t offset = (uint32_t)(((at + align - 1) & ~(align - 1)) - at);
    p += offset;
    /* First what an abort needs, then the access, which may abort, then what it is for. */
    struct sim_cpu *c = sim_cpu_now;
    const struct header header = {class, offset};
    if (c->tx != NULL) {
        ((struct header *)(void *)p)[-1] = header;
        sim_htm_keep(p - HEADER, HEADER);
        sim_htm_allocated(c, p);
    }
    sim_instructions(c, ALLOC_INSTRUCTIONS);
    sim_access(c, (uintptr_t)p - HEADER, HEADER, SIM_WRITE);
    ((struct header *)(void *)p)[-1] = header;
    return p;
}

void *machine_alloc(size_t bytes) {
    if (sim_exploring)
        return sim_explore_alloc(bytes, 16, __builtin_return_address(0));
    return allocate(bytes, 16);
}

void *machine_alloc_aligned(size_t bytes, size_t align) {
    if (sim_exploring) {
        void *zeroed = sim_explore_alloc(bytes, align, __builtin_return_address(0));
        return zeroed == NULL ? NULL : memset(zeroed, 0, bytes);
    }
    void *p = allocate(bytes, align);
    if (p == NULL)
        return NULL;
    sim_instructions(sim_cpu_now, bytes / 16);
    sim_access(sim_cpu_now, (uintptr_t)p, bytes, SIM_WRITE);
    return memset(p, 0, bytes);
}

void machine_free(void *p) {
    if (p == NULL)
        return;
    if (sim_exploring) {
        sim_explore_pc = __builtin_return_address(0);
        sim_explore_free(p);
        return;
    }
    struct sim_cpu *c = sim_cpu_now;
    sim_instructions(c, FREE_INSTRUCTIONS);
    sim_access(c, (uintptr_t)p - HEADER, HEADER, SIM_WRITE);
    if (sim_cpu_now->tx != NULL)
        sim_htm_freed(sim_cpu_now, p);
    else
        sim_arena_give_back(p, sim_thread_heap());
}

void sim_arena_give_back(void *p, unsigned number) {
    const struct header header = ((const struct header *)p)[-1];
    struct chunk *chunk = (struct chunk *)(void *)((char *)p - header.offset);
    struct heap *heap = heaps[number];
    if (class_bytes(header.class) <= SMALL_MAX && heap->count[header.class] < OWN_LIMIT) {
        chunk->next = heap->list[header.class];
        heap->list[header.class] = chunk;
        heap->count[header.class]++;
    } else {
        chunk->next = shared[header.class];
        shared[header.class] = chunk;
    }
    sim_htm_keep(chunk, sizeof *chunk);
}
