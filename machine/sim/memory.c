/*
 * memory.c - caches, directory and page table of the simulated machine.  See memory.h.
 *
 * The model
 *  - Each core has an L1 and an L2.  The L2 includes the L1 and, as long as it can, evicts lines
 * that are not in the L1 (it does not see the hits there, and would evict what is used most).
 *  - Cores of a group share an L3, which includes all their L2s: a line that leaves the L3 leaves
 * the whole group.  True of Haswell; Cascade Lake's and Zen's L3 hold victims instead.  One rule
 * for all, so that profiles differ in numbers only.
 *  - A line in a private cache is shared or exclusive.  MESI's E and M are one state here: writing
 *    back costs nothing, so nobody can see the difference.
 *  - The directory knows exactly which cores hold a line, which one exclusively, and which groups
 *    have it in their L3.
 *  - A line that travels (from another core, another group, memory) or whose holders are told to
 *    drop it is busy until it has arrived; whoever needs it from outside of its own L2 meanwhile
 *    queues.  Reads that the L3 serves do not keep others waiting.  A sibling that shares the L1
 *    does not wait.
 *  - Latencies are those of the profile.  A write to a line that others hold takes the longer of
 *    fetching it and telling the farthest holder; in the own group, telling takes upgrade_cycles.
 *  - A page fault clears the page through the caches of the core that takes it: its lines are then
 *    in that core's L2, exclusively.  Lines of pages that were there from the start come from
 * memory.
 *
 * Invariants (sim_memory_check looks at all of them)
 *  M1 a line in a core's L1 is in its L2 with the same right, and in its group's L3;
 *  M2 holders and groups of the directory are exactly those whose L2 and L3 have the line;
 *  M3 `owner` is the core that holds the line exclusively; it is then the only holder, its group
 * the only group; M4 (F in memory.h) a filter entry with a right names a way of this core's L1 that
 * has the line of that address, with at least this right, and the way knows the entry.
 */
#include "memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { HOST_LINE = 64, NO_CORE = 0xffff, TLB_SIZE = 4096, REGIONS_MAX = 64 };

#define NO_FRAME UINT32_MAX
#define READ_ONLY (UINT32_C(1) << 31) /* of a page, beside its frame */
#define NOBODY UINT32_MAX

/*
 * A set-associative cache.  A tag is a physical line + 1; 0 is an empty way.  What belongs to a set
 * lies together, so that the host misses once or twice and not for each array: an index is set *
 * stride
 * + way, and the arrays begin `ways` apart in one block.
 */
struct cache {
    uint32_t *tag;
    uint32_t *stamp; /* when it was used last; L1: also written by sim_memory_hit */
    uint32_t
        *link; /* L1: the line's index in L2.  L2: its index in L1 + 1, 0: not there.  L3: none */
    uint32_t
        *rights; /* L2: enum sim_right.  L1: that, and the filter entries, see back_of.  L3: none */
    uint32_t now; /* the stamps' clock */
    uint32_t sets, ways, stride;
    uint32_t outside; /* an index that is no way's: of hits outside of all regions */
    uint32_t mask;    /* sets - 1; power_of_two only */
    bool power_of_two;
    enum sim_replacement replacement;
    void *block;
};

struct core {
    struct cache l1, l2;
    unsigned group, socket;
};

/*
 * A set of numbers: the cores, or the groups, that have a line.  Machines of up to 64: a bit each.
 * Larger ones: 0 the empty set, number << 1 | 1 a set of one, otherwise a pointer to a wide set of
 * at least two; most lines have one holder, and what counters cost does not depend on the machine's
 * size.
 */
typedef uint64_t members;

struct wide {
    struct wide *made_before; /* chain of all */
    struct wide *free_next;
    uint32_t count;
    uint64_t word[];
};

struct universe {
    unsigned size, words;
    struct wide *made, *free;
};

/* The directory's entry of a line. */
struct line {
    members holders;     /* cores */
    members groups;      /* L3s */
    uint64_t busy_until; /* ticks */
    uint16_t owner;      /* the core that holds it exclusively, or NO_CORE */
};

struct region {
    uintptr_t start, end;
    bool resident;
    sim_page_resolver *resolve; /* NULL: anonymous */
};

/* Open addressing; a key that is there stays, with frame NO_FRAME when it was forgotten.  Frames
 * have fewer than 31 bits. */
struct map {
    uint64_t *key; /* 0: free */
    uint32_t *frame;
    uint64_t mask, used;
};

enum { ANONYMOUS = 1, NAMED = 2 }; /* a frame: of no object; of a region of names */

struct sim_memory {
    struct sim_profile profile;
    unsigned cores, groups, threads, smt;
    unsigned line_shift, page_shift, lines_shift; /* lines a page, as a shift */
    struct universe core_sets, group_sets;
    struct core *core;
    struct cache *l3; /* [group] */
    struct sim_port *port;
    struct line **frame; /* [frame] its lines */
    uint8_t *kind;       /* [frame] set of the bits below */
    uint64_t named;      /* frames with NAMED */
    uint32_t frames, frames_room;
    uint32_t *free_frame; /* frames that are gone, used again last in first out; room as above */
    uint32_t free_frames;
    struct map pages, objects;
    struct {
        uint64_t page; /* + 1 */
        uint32_t frame;
    } tlb[TLB_SIZE];
    struct region region[REGIONS_MAX];
    unsigned regions;
    bool outside; /* a filter may have entries of addresses outside of all regions */
    uint64_t random;
    uint64_t ticks_per_fault;
    sim_line_event *event;
    void *event_context;
};

/* In the middle of a simulated access nobody can take an error. */
static _Noreturn void no_memory(void) {
    fputs("sim: out of memory for the simulated machine's directory and page table\n", stderr);
    abort();
}

/* ---- sets ---------------------------------------------------------------------------------- */

static const struct wide *wide_of(members s) { return (const struct wide *)(uintptr_t)s; }

static bool set_has(const struct universe *u, members s, unsigned i) {
    if (u->size <= 64)
        return (s >> i & 1) != 0;
    if (s == 0 || (s & 1) != 0)
        return s == ((uint64_t)i << 1 | 1);
    return (wide_of(s)->word[i / 64] >> i % 64 & 1) != 0;
}

/* The least member that is at least `from`, or NOBODY. */
static unsigned set_next(const struct universe *u, members s, unsigned from) {
    if (from >= u->size)
        return NOBODY;
    if (u->size <= 64) {
        s = s >> from << from;
        return s == 0 ? NOBODY : (unsigned)__builtin_ctzll(s);
    }
    if (s == 0)
        return NOBODY;
    if ((s & 1) != 0)
        return s >> 1 >= from ? (unsigned)(s >> 1) : NOBODY;
    const struct wide *w = wide_of(s);
    unsigned i = from / 64;
    uint64_t bits = w->word[i] >> from % 64 << from % 64;
    while (bits == 0)
        if (++i == u->words)
            return NOBODY;
        else
            bits = w->word[i];
    return i * 64 + (unsigned)__builtin_ctzll(bits);
}

/* Has the set a member other than `i`? */
static bool set_has_other(const struct universe *u, members s, unsigned i) {
    if (u->size <= 64)
        return (s & ~(UINT64_C(1) << i)) != 0;
    if (s == 0 || (s & 1) != 0)
        return s != 0 && s != ((uint64_t)i << 1 | 1);
    return true; /* wide: at least two */
}

static struct wide *wide_take(struct universe *u) {
    struct wide *w = u->free;
    if (w != NULL) {
        u->free = w->free_next;
    } else {
        w = malloc(sizeof *w + u->words * sizeof w->word[0]);
        if (w == NULL)
            no_memory();
        w->made_before = u->made;
        u->made = w;
    }
    memset(w->word, 0, u->words * sizeof w->word[0]);
    w->count = 0;
    return w;
}

static void wide_give(struct universe *u, struct wide *w) {
    w->free_next = u->free;
    u->free = w;
}

static void set_add(struct universe *u, members *s, unsigned i) {
    if (u->size <= 64) {
        *s |= UINT64_C(1) << i;
    } else if (*s == 0) {
        *s = (uint64_t)i << 1 | 1;
    } else if (*s != ((uint64_t)i << 1 | 1)) {
        if ((*s & 1) != 0) {
            struct wide *w = wide_take(u);
            w->word[(*s >> 1) / 64] |= UINT64_C(1) << (*s >> 1) % 64;
            w->count = 1;
            *s = (uintptr_t)w;
        }
        struct wide *w = (struct wide *)(uintptr_t)*s;
        const uint64_t bit = UINT64_C(1) << i % 64;
        w->count += (w->word[i / 64] & bit) == 0;
        w->word[i / 64] |= bit;
    }
}

static void set_remove(struct universe *u, members *s, unsigned i) {
    if (u->size <= 64) {
        *s &= ~(UINT64_C(1) << i);
    } else if (*s == 0 || (*s & 1) != 0) {
        if (*s == ((uint64_t)i << 1 | 1))
            *s = 0;
    } else {
        struct wide *w = (struct wide *)(uintptr_t)*s;
        const uint64_t bit = UINT64_C(1) << i % 64;
        w->count -= (w->word[i / 64] & bit) != 0;
        w->word[i / 64] &= ~bit;
        if (w->count == 1) {
            *s = (uint64_t)set_next(u, *s, 0) << 1 | 1;
            wide_give(u, w);
        }
    }
}

static void universe_open(struct universe *u, unsigned size) {
    *u = (struct universe){.size = size, .words = (size + 63) / 64};
}

static void universe_close(struct universe *u) {
    while (u->made != NULL) {
        struct wide *w = u->made;
        u->made = w->made_before;
        free(w);
    }
}

/* ---- caches -------------------------------------------------------------------------------- */

static bool cache_open(struct cache *c, const struct sim_cache_profile *p, unsigned line_bytes,
                       bool private) {
    c->ways = p->ways > 0 ? p->ways : 1;
    c->sets = (uint32_t)(p->size_bytes / line_bytes / c->ways);
    if (c->sets == 0)
        c->sets = 1;
    c->stride = (private ? 4 : 2) * c->ways;
    c->outside = c->sets * c->stride;
    c->power_of_two = (c->sets & (c->sets - 1)) == 0;
    c->mask = c->sets - 1;
    c->replacement = p->replacement;
    /* Zeroed by the host's kernel when it is touched, which the larger part may never be. */
    c->block = calloc((size_t)c->sets * c->stride + c->ways + 1 + HOST_LINE / sizeof *c->tag,
                      sizeof *c->tag);
    if (c->block == NULL)
        return false;
    c->tag = (uint32_t *)(((uintptr_t)c->block + HOST_LINE - 1) & ~(uintptr_t)(HOST_LINE - 1));
    c->stamp = c->tag + c->ways;
    c->link = private ? c->tag + (size_t)2 * c->ways : NULL;
    c->rights = private ? c->tag + (size_t)3 * c->ways : NULL;
    return true;
}

static void cache_close(struct cache *c) { free(c->block); }

/* Index of the first way of the line's set. */
static inline uint32_t set_of(const struct cache *c, uint32_t line) {
    return (c->power_of_two ? line & c->mask : line % c->sets) * c->stride;
}

/* The host begins to fetch what an access to the line's set will need. */
static void prefetch_set(const struct cache *c, uint32_t line) {
    const uint32_t *set = &c->tag[set_of(c, line)];
    for (uint32_t i = 0; i < c->stride; i += HOST_LINE / sizeof *set)
        __builtin_prefetch(&set[i]);
}

enum { NO_WAY = UINT32_MAX };

/* Index of the way that has the line, or NO_WAY. */
static inline uint32_t cache_find(const struct cache *c, uint32_t line) {
    const uint32_t first = set_of(c, line);
#ifdef __SSE2__
    if (c->ways % 8 == 0) { /* without branches that nobody could predict */
        const __m128i wanted = _mm_set1_epi32((int)(line + 1));
        for (uint32_t w = first; w < first + c->ways; w += 8) {
            const __m128i low = _mm_load_si128((const __m128i *)(const void *)&c->tag[w]);
            const __m128i high = _mm_load_si128((const __m128i *)(const void *)&c->tag[w + 4]);
            const __m128i found =
                _mm_packs_epi32(_mm_cmpeq_epi32(low, wanted), _mm_cmpeq_epi32(high, wanted));
            const unsigned bits = (unsigned)_mm_movemask_epi8(_mm_packs_epi16(found, found)) & 0xff;
            if (bits != 0)
                return w + (unsigned)__builtin_ctz(bits);
        }
        return NO_WAY;
    }
#endif
    for (uint32_t w = first; w < first + c->ways; w++)
        if (c->tag[w] == line + 1)
            return w;
    return NO_WAY;
}

static void cache_touch(struct cache *c, uint32_t way) { c->stamp[way] = ++c->now; }

static uint64_t next_random(struct sim_memory *m) {
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

/* How long ago the most recently used of `n` ways was used. */
static uint32_t age_of_newest(const struct cache *c, uint32_t first, uint32_t n) {
    uint32_t age = UINT32_MAX;
    for (uint32_t w = first; w < first + n; w++)
        age = c->now - c->stamp[w] < age ? c->now - c->stamp[w] : age;
    return age;
}

/*
 * Tree-PLRU, exactly, from the stamps: an inner node of the tree points away from the half that was
 * used last, and that is the half which has the newest stamp.  So hits need not know about trees.
 * The lower half is the larger one where ways are no power of two.
 */
static uint32_t tree_victim(const struct cache *c, uint32_t first) {
    uint32_t n = c->ways;
    while (n > 1) {
        const uint32_t low = (n + 1) / 2;
        if (age_of_newest(c, first, low) >= age_of_newest(c, first + low, n - low)) {
            n = low;
        } else {
            first += low;
            n -= low;
        }
    }
    return first;
}

/*
 * The way that a new line takes: the first empty one, or the victim's.  An L2 spares what is in the
 * L1 while it can.  One pass without branches: the way of the largest rank, which is whether it is
 * empty, whether it need not be spared, and how long ago it was used.
 */
static uint32_t cache_place(struct sim_memory *m, const struct cache *c, uint32_t line,
                            bool spare_linked) {
    enum { WAY_BITS = 16 };
    const uint64_t empty = UINT64_C(1) << 63, unlinked = UINT64_C(1) << 62;
    const uint32_t first = set_of(c, line);
    uint64_t largest = 0;
    for (uint32_t i = 0; i < c->ways; i++) {
        const uint32_t w = first + i;
        /* Ages are right when the stamps have wrapped around, too. */
        uint64_t rank = (uint64_t)(c->now - c->stamp[w]) << WAY_BITS | i;
        if (spare_linked)
            rank |= c->link[w] == 0 ? unlinked : 0;
        rank = c->tag[w] == 0 ? empty | (c->ways - i) : rank;
        largest = rank > largest ? rank : largest;
    }
    if ((largest & empty) != 0)
        return first + c->ways - (uint32_t)(largest & ~empty);
    const uint32_t oldest = first + (uint32_t)(largest & ((1U << WAY_BITS) - 1));
    if (c->replacement == SIM_LRU)
        return oldest;
    assert(c->ways > 0);
    const uint32_t victim = c->replacement == SIM_RANDOM
                                ? first + (uint32_t)(next_random(m) % c->ways)
                                : tree_victim(c, first);
    return (largest & unlinked) != 0 && c->link[victim] != 0 ? oldest : victim;
}

/* ---- the directory ------------------------------------------------------------------------- */

static struct line *line_of(const struct sim_memory *m, uint32_t line) {
    return &m->frame[line >> m->lines_shift][line & ((1U << m->lines_shift) - 1)];
}

/* An L1's `rights` hold the right and, for each of two siblings, the index of the filter entry that
 * names the way + 1, or 0. */
enum { RIGHT_BITS = 4, BACK_BITS = 12 };
_Static_assert((enum sim_right)(1 << RIGHT_BITS) > SIM_WRITE && SIM_FILTER_SIZE < 1 << BACK_BITS &&
                   RIGHT_BITS + 2 * BACK_BITS <= 32,
               "a right and two filter entries fit");

static enum sim_right right_of(uint32_t rights) {
    return (enum sim_right)(rights & ((1U << RIGHT_BITS) - 1));
}

static void set_right(uint32_t *rights, enum sim_right right) {
    *rights = *rights >> RIGHT_BITS << RIGHT_BITS | (uint32_t)right;
}

static unsigned back_shift(unsigned sibling) { return RIGHT_BITS + sibling * BACK_BITS; }

static unsigned back_of(uint32_t rights, unsigned sibling) {
    return rights >> back_shift(sibling) & ((1U << BACK_BITS) - 1);
}

/* The filter entries of an L1 way lose what is above `keep`. */
static void clear_filters(struct sim_memory *m, unsigned core, uint32_t way, enum sim_right keep) {
    const uint32_t rights = m->core[core].l1.rights[way];
    for (unsigned s = 0; s < m->smt; s++) {
        const unsigned back = back_of(rights, s);
        if (back == 0)
            continue;
        struct sim_filter_entry *e = &m->port[core + s * m->cores].filter[back - 1];
        if (e->way == way && e->right > (uint32_t)keep)
            e->right = keep;
    }
}

static void tell(struct sim_memory *m, unsigned core, uint32_t line, unsigned by, bool evicted,
                 bool for_write) {
    if (m->event != NULL)
        m->event(m->event_context, core, line, by, evicted, for_write);
}

static void drop_from_l1(struct sim_memory *m, unsigned core, uint32_t way, unsigned by,
                         bool evicted, bool for_write) {
    struct core *c = &m->core[core];
    tell(m, core, c->l1.tag[way] - 1, by, evicted, for_write);
    clear_filters(m, core, way, SIM_NONE);
    c->l1.rights[way] = 0;
    c->l2.link[c->l1.link[way]] = 0;
    c->l1.tag[way] = 0;
}

/* The line leaves this way of the core's L2, and with it the core. */
static void drop_from_l2(struct sim_memory *m, unsigned core, uint32_t way, struct line *entry,
                         unsigned by, bool evicted, bool for_write) {
    struct core *c = &m->core[core];
    if (c->l2.link[way] != 0)
        drop_from_l1(m, core, c->l2.link[way] - 1, by, evicted, for_write);
    c->l2.tag[way] = 0;
    set_remove(&m->core_sets, &entry->holders, core);
    if (entry->owner == core)
        entry->owner = NO_CORE;
}

/* The holder has the line no more. */
static void drop_from_core(struct sim_memory *m, unsigned core, uint32_t line, struct line *entry,
                           unsigned by, bool evicted, bool for_write) {
    drop_from_l2(m, core, cache_find(&m->core[core].l2, line), entry, by, evicted, for_write);
}

static void drop_from_l3(struct sim_memory *m, unsigned group, uint32_t line, struct line *entry) {
    struct cache *l3 = &m->l3[group];
    l3->tag[cache_find(l3, line)] = 0;
    set_remove(&m->group_sets, &entry->groups, group);
}

/* The exclusive owner keeps a shared copy. */
static void downgrade(struct sim_memory *m, unsigned core, uint32_t line, struct line *entry,
                      unsigned by) {
    struct core *c = &m->core[core];
    const uint32_t way = cache_find(&c->l2, line);
    if (c->l2.link[way] != 0) {
        tell(m, core, line, by, false, false);
        set_right(&c->l1.rights[c->l2.link[way] - 1], SIM_READ);
        clear_filters(m, core, c->l2.link[way] - 1, SIM_READ);
    }
    c->l2.rights[way] = SIM_READ;
    entry->owner = NO_CORE;
}

/* Cycles of a transfer from another core's cache, or another group's L3. */
static unsigned distance(const struct sim_memory *m, unsigned core, unsigned group) {
    const struct core *c = &m->core[core], *there = &m->core[group * m->profile.cores_per_group];
    return c->group == group            ? m->profile.transfer_group_cycles
           : c->socket == there->socket ? m->profile.transfer_socket_cycles
                                        : m->profile.transfer_remote_cycles;
}

/* Nobody else has the line any more.  Returns the cycles that telling the farthest takes, 0: nobody
 * was told. */
static unsigned invalidate_others(struct sim_memory *m, unsigned core, uint32_t line,
                                  struct line *entry, unsigned by) {
    const unsigned own = m->core[core].group;
    unsigned farthest = 0;
    for (unsigned c = 0; (c = set_next(&m->core_sets, entry->holders, c)) != NOBODY; c++) {
        if (c == core)
            continue;
        if (m->core[c].group == own && farthest < m->profile.upgrade_cycles)
            farthest = m->profile.upgrade_cycles;
        m->port[by].invalidated++;
        drop_from_core(m, c, line, entry, by, false, true);
    }
    /* Cores of other groups are told through their L3s, which have all that they have. */
    for (unsigned g = 0; (g = set_next(&m->group_sets, entry->groups, g)) != NOBODY; g++) {
        if (g == own)
            continue;
        const unsigned cycles = distance(m, core, g);
        farthest = cycles > farthest ? cycles : farthest;
        drop_from_l3(m, g, line, entry);
    }
    return farthest;
}

/* Has anybody but this core the line, or another group's L3? */
static bool others_hold(const struct sim_memory *m, unsigned core, const struct line *entry) {
    return set_has_other(&m->core_sets, entry->holders, core) ||
           set_has_other(&m->group_sets, entry->groups, m->core[core].group);
}

/* The nearest other group that has the line in its L3, in cycles; 0: none. */
static unsigned nearest_group(const struct sim_memory *m, unsigned core, const struct line *entry) {
    const unsigned n = m->profile.groups_per_socket, first = m->core[core].socket * n;
    const unsigned g = set_next(&m->group_sets, entry->groups, first);
    if (g != NOBODY && g < first + n)
        return distance(m, core, g);
    return entry->groups == 0 ? 0 : m->profile.transfer_remote_cycles;
}

/* ---- filling ------------------------------------------------------------------------------- */

static void fill_l3(struct sim_memory *m, unsigned group, uint32_t line, struct line *entry,
                    unsigned by) {
    struct cache *l3 = &m->l3[group];
    const uint32_t way = cache_place(m, l3, line, false);
    if (l3->tag[way] != 0) {
        const uint32_t victim = l3->tag[way] - 1;
        struct line *left = line_of(m, victim);
        const unsigned first = group * m->profile.cores_per_group;
        const unsigned end = first + m->profile.cores_per_group;
        for (unsigned c = first;
             (c = set_next(&m->core_sets, left->holders, c)) != NOBODY && c < end; c++)
            drop_from_core(m, c, victim, left, by, true, false);
        set_remove(&m->group_sets, &left->groups, group);
    }
    l3->tag[way] = line + 1;
    set_add(&m->group_sets, &entry->groups, group);
    cache_touch(l3, way);
}

static uint32_t fill_l2(struct sim_memory *m, unsigned core, uint32_t line, struct line *entry,
                        enum sim_right right, unsigned by) {
    struct cache *l2 = &m->core[core].l2;
    const uint32_t way = cache_place(m, l2, line, true);
    if (l2->tag[way] != 0)
        drop_from_l2(m, core, way, line_of(m, l2->tag[way] - 1), by, true, false);
    l2->tag[way] = line + 1;
    l2->rights[way] = right;
    l2->link[way] = 0;
    cache_touch(l2, way);
    set_add(&m->core_sets, &entry->holders, core);
    if (right == SIM_WRITE)
        entry->owner = (uint16_t)core;
    return way;
}

/* An empty way of the L1 for the line. */
static uint32_t make_room_in_l1(struct sim_memory *m, unsigned core, uint32_t line, unsigned by) {
    struct cache *l1 = &m->core[core].l1;
    const uint32_t way = cache_place(m, l1, line, false);
    if (l1->tag[way] != 0)
        drop_from_l1(m, core, way, by, true, false);
    return way;
}

/* The filter knows that this virtual line, of a page with this entry, is in the way. */
static void enter_filter(struct sim_memory *m, unsigned thread, unsigned core, uintptr_t address,
                         uint32_t page, uint32_t way) {
    uint32_t *rights = &m->core[core].l1.rights[way];
    struct sim_port *p = &m->port[thread];
    const uintptr_t virtual_line = address >> m->line_shift;
    const unsigned index = virtual_line & (SIM_FILTER_SIZE - 1);
    const unsigned sibling = thread != core, back = back_of(*rights, sibling);
    if (back != 0 && back != index + 1) { /* a second name of the line */
        struct sim_filter_entry *e = &p->filter[back - 1];
        if (e->way == way)
            e->right = SIM_NONE;
    }
    *rights ^= (back ^ (index + 1)) << back_shift(sibling);
    uint32_t right = right_of(*rights);
    if ((page & READ_ONLY) != 0 && right > SIM_READ)
        right = SIM_READ;
    p->filter[index] = (struct sim_filter_entry){virtual_line, right, way};
}

/* ---- translation --------------------------------------------------------------------------- */

static bool map_open(struct map *t, uint64_t size) {
    *t = (struct map){calloc(size, sizeof *t->key), calloc(size, sizeof *t->frame), size - 1, 0};
    return t->key != NULL && t->frame != NULL;
}

static void map_close(struct map *t) {
    free(t->key);
    free(t->frame);
}

/* Slot of the key, or of the free place where it would go. */
static uint64_t map_find(const struct map *t, uint64_t key) {
    uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 20 & t->mask;
    while (t->key[at] != 0 && t->key[at] != key)
        at = (at + 1) & t->mask;
    return at;
}

static void map_put(struct map *t, uint64_t key, uint32_t frame) {
    if (2 * t->used > t->mask) {
        struct map grown;
        if (!map_open(&grown, 2 * (t->mask + 1)))
            no_memory();
        for (uint64_t i = 0; i <= t->mask; i++)
            if (t->key[i] != 0 && t->frame[i] != NO_FRAME) {
                const uint64_t at = map_find(&grown, t->key[i]);
                grown.key[at] = t->key[i];
                grown.frame[at] = t->frame[i];
                grown.used++;
            }
        map_close(t);
        *t = grown;
    }
    const uint64_t at = map_find(t, key);
    t->used += t->key[at] == 0;
    t->key[at] = key;
    t->frame[at] = frame;
}

static uint32_t map_get(const struct map *t, uint64_t key) {
    const uint64_t at = map_find(t, key);
    return t->key[at] == 0 ? NO_FRAME : t->frame[at];
}

static const struct region *region_of(const struct sim_memory *m, uintptr_t address) {
    for (unsigned i = 0; i < m->regions; i++)
        if (address >= m->region[i].start && address < m->region[i].end)
            return &m->region[i];
    return NULL;
}

static uint32_t new_frame(struct sim_memory *m, uint8_t kind) {
    m->named += (kind & NAMED) != 0;
    if (m->free_frames > 0) {
        const uint32_t frame = m->free_frame[--m->free_frames];
        m->kind[frame] = kind;
        return frame;
    }
    if (m->frames == m->frames_room) {
        const uint32_t room = m->frames_room == 0 ? 4096 : 2 * m->frames_room;
        struct line **frames = realloc(m->frame, room * sizeof(struct line *));
        uint8_t *kinds = realloc(m->kind, room);
        uint32_t *unused = realloc(m->free_frame, room * sizeof(uint32_t));
        if (frames == NULL || kinds == NULL || unused == NULL)
            no_memory();
        m->frame = frames;
        m->kind = kinds;
        m->free_frame = unused;
        m->frames_room = room;
    }
    struct line *lines = calloc((size_t)1 << m->lines_shift, sizeof *lines);
    if (lines == NULL || m->frames == UINT32_MAX >> m->lines_shift) /* of 32-bit line numbers */
        no_memory();
    for (uint32_t i = 0; i < 1U << m->lines_shift; i++)
        lines[i].owner = NO_CORE;
    m->frame[m->frames] = lines;
    m->kind[m->frames] = kind;
    return m->frames++;
}

enum { OBJECT_BITS = 44 };

static uint64_t object_key(const struct sim_page_name *name) {
    return (uint64_t)name->object << OBJECT_BITS | (name->page + 1);
}

/* The page's frame, given one now if it has none; *fault says whether that takes a page fault,
 * *new whether the frame is new. */
static uint32_t touch_page(struct sim_memory *m, const struct region *r, uint64_t page, bool *fault,
                           bool *new) {
    struct sim_page_name name = {.resident = r->resident};
    if (r->resolve != NULL)
        name = r->resolve((uintptr_t)page << m->page_shift);
    *fault = !name.resident;
    *new = true;
    uint32_t frame = NO_FRAME;
    if (name.object == 0) {
        frame = new_frame(m, r->resolve != NULL ? ANONYMOUS | NAMED : ANONYMOUS);
    } else {
        const uint64_t key = object_key(&name);
        frame = map_get(&m->objects, key);
        *new = frame == NO_FRAME;
        if (*new) {
            frame = new_frame(m, NAMED);
            map_put(&m->objects, key, frame);
        }
    }
    frame |= name.read_only ? READ_ONLY : 0;
    map_put(&m->pages, page + 1, frame);
    return frame;
}

/* The frame of a page that has one, with READ_ONLY where that is so, else NO_FRAME. */
static uint32_t frame_of(struct sim_memory *m, uint64_t page) {
    const unsigned slot = page & (TLB_SIZE - 1);
    if (m->tlb[slot].page == page + 1)
        return m->tlb[slot].frame;
    const uint32_t frame = map_get(&m->pages, page + 1);
    if (frame != NO_FRAME) {
        m->tlb[slot].page = page + 1;
        m->tlb[slot].frame = frame;
    }
    return frame;
}

/* `page`: what frame_of says. */
static uint32_t physical_line(const struct sim_memory *m, uint32_t page, uintptr_t address) {
    return (page & ~READ_ONLY) << m->lines_shift |
           (uint32_t)(address >> m->line_shift & ((1U << m->lines_shift) - 1));
}

static bool add_region(struct sim_memory *m, struct region r) {
    if (m->regions == REGIONS_MAX)
        return false;
    m->region[m->regions++] = r;
    if (m->outside) { /* some of them may be inside now */
        for (unsigned t = 0; t < m->threads; t++) {
            const struct cache *l1 = &m->core[t % m->cores].l1;
            for (unsigned i = 0; i < SIM_FILTER_SIZE; i++)
                if (m->port[t].filter[i].way == l1->outside)
                    m->port[t].filter[i].right = SIM_NONE;
        }
        m->outside = false;
    }
    return true;
}

bool sim_memory_region(struct sim_memory *m, uintptr_t start, size_t bytes, bool resident) {
    return add_region(m, (struct region){start, start + bytes, resident, NULL});
}

bool sim_memory_region_of_names(struct sim_memory *m, uintptr_t start, size_t bytes,
                                sim_page_resolver *resolve) {
    return add_region(m, (struct region){start, start + bytes, false, resolve});
}

/* A frame's lines leave all caches, and it may be used again. */
static void drop_frame(struct sim_memory *m, uint32_t frame) {
    for (uint32_t i = 0; i < 1U << m->lines_shift; i++) {
        struct line *entry = &m->frame[frame][i];
        const uint32_t line = frame << m->lines_shift | i;
        unsigned n;
        while ((n = set_next(&m->core_sets, entry->holders, 0)) != NOBODY)
            drop_from_core(m, n, line, entry, n, false, true);
        while ((n = set_next(&m->group_sets, entry->groups, 0)) != NOBODY)
            drop_from_l3(m, n, line, entry);
        entry->busy_until = 0;
    }
    m->named -= (m->kind[frame] & NAMED) != 0;
    m->free_frame[m->free_frames++] = frame;
}

/* Filter entries that name the page's lines; only cores that hold a line can have one. */
static void forget_names(struct sim_memory *m, uint64_t page, uint32_t frame) {
    for (uint32_t i = 0; i < 1U << m->lines_shift; i++) {
        const members holders = m->frame[frame][i].holders;
        const uintptr_t virtual_line = (uintptr_t)page << m->lines_shift | i;
        for (unsigned c = 0; (c = set_next(&m->core_sets, holders, c)) != NOBODY; c++)
            for (unsigned t = c; t < m->threads; t += m->cores) {
                struct sim_filter_entry *e =
                    &m->port[t].filter[virtual_line & (SIM_FILTER_SIZE - 1)];
                if (e->line == virtual_line)
                    e->right = SIM_NONE;
            }
    }
}

/* Had the page been touched? */
static bool forget_page(struct sim_memory *m, uint64_t page) {
    const uint64_t at = map_find(&m->pages, page + 1);
    if (m->pages.key[at] == 0 || m->pages.frame[at] == NO_FRAME)
        return false;
    const uint32_t frame = m->pages.frame[at] & ~READ_ONLY;
    m->pages.frame[at] = NO_FRAME;
    if (m->tlb[page & (TLB_SIZE - 1)].page == page + 1)
        m->tlb[page & (TLB_SIZE - 1)].page = 0;
    if ((m->kind[frame] & ANONYMOUS) != 0)
        drop_frame(m, frame);
    else
        forget_names(m, page, frame);
    return true;
}

size_t sim_memory_forget(struct sim_memory *m, uintptr_t start, size_t bytes) {
    size_t n = 0;
    if (bytes == 0)
        return 0;
    const uint64_t first = start >> m->page_shift, last = (start + bytes - 1) >> m->page_shift;
    if (last - first <= m->pages.mask) {
        for (uint64_t page = first; page <= last; page++)
            n += forget_page(m, page);
    } else {
        for (uint64_t i = 0; i <= m->pages.mask; i++)
            if (m->pages.key[i] > first && m->pages.key[i] <= last + 1)
                n += forget_page(m, m->pages.key[i] - 1);
    }
    return n;
}

size_t sim_memory_drop(struct sim_memory *m, unsigned object, uint64_t first, uint64_t pages) {
    size_t n = 0;
    for (uint64_t page = first; page < first + pages; page++) {
        const uint64_t at = map_find(&m->objects, (uint64_t)object << OBJECT_BITS | (page + 1));
        if (m->objects.key[at] == 0 || m->objects.frame[at] == NO_FRAME)
            continue;
        drop_frame(m, m->objects.frame[at]);
        m->objects.frame[at] = NO_FRAME;
        n++;
    }
    return n;
}

bool sim_memory_is_touched(struct sim_memory *m, uintptr_t address) {
    return frame_of(m, address >> m->page_shift) != NO_FRAME;
}

bool sim_memory_is_resident(struct sim_memory *m, uintptr_t address) {
    const uint64_t page = address >> m->page_shift;
    if (sim_memory_is_touched(m, address))
        return true;
    const struct region *r = region_of(m, address);
    if (r == NULL || r->resolve == NULL)
        return false;
    const struct sim_page_name name = r->resolve((uintptr_t)page << m->page_shift);
    return name.object != 0 && map_get(&m->objects, object_key(&name)) != NO_FRAME;
}

uint64_t sim_memory_named_frames(const struct sim_memory *m) { return m->named; }

/* ---- accesses ------------------------------------------------------------------------------ */

static unsigned core_of(const struct sim_memory *m, unsigned thread) {
    return thread < m->cores ? thread : thread - m->cores; /* at most two siblings */
}

/* Outside of every region: always a hit, of the spare way that nobody evicts. */
static void enter_outside(struct sim_memory *m, unsigned thread, uintptr_t address) {
    const struct cache *l1 = &m->core[core_of(m, thread)].l1;
    const uintptr_t line = address >> m->line_shift;
    m->outside = true;
    m->port[thread].filter[line & (SIM_FILTER_SIZE - 1)] =
        (struct sim_filter_entry){line, SIM_WRITE, l1->outside};
}

bool sim_memory_is_local(struct sim_memory *m, unsigned thread, uintptr_t address,
                         enum sim_right right) {
    const uint32_t frame = frame_of(m, address >> m->page_shift);
    if (frame == NO_FRAME) {
        if (region_of(m, address) != NULL)
            return false;
        enter_outside(m, thread, address);
        return true;
    }
    const unsigned core = core_of(m, thread);
    const struct core *c = &m->core[core];
    const uint32_t line = physical_line(m, frame, address), way = cache_find(&c->l1, line);
    if (way == NO_WAY || right_of(c->l1.rights[way]) < right) {
        prefetch_set(&c->l2, line); /* the next question will be for it */
        return false;
    }
    enter_filter(m, thread, core, address, frame, way);
    return true;
}

bool sim_memory_is_private(struct sim_memory *m, unsigned thread, uintptr_t address,
                           enum sim_right right) {
    const uint32_t frame = frame_of(m, address >> m->page_shift);
    if (frame == NO_FRAME)
        return false;
    const struct core *c = &m->core[core_of(m, thread)];
    const uint32_t line = physical_line(m, frame, address), way = cache_find(&c->l2, line);
    if (way != NO_WAY && c->l2.rights[way] >= (uint32_t)right)
        return true;
    __builtin_prefetch(
        line_of(m, line)); /* the access itself comes when others have had their turn */
    prefetch_set(&m->l3[c->group], line);
    return false;
}

static uint64_t to_ticks(unsigned cycles) { return (uint64_t)cycles * SIM_TICKS; }

static unsigned larger(unsigned a, unsigned b) { return a > b ? a : b; }

/* A line that the core does not hold comes to its group's L3, and is the core's to have with the
 * right *got.  Returns cycles. */
static unsigned fetch(struct sim_memory *m, unsigned thread, unsigned core, uint32_t line,
                      struct line *entry, enum sim_right wanted, enum sim_level *level,
                      enum sim_right *got) {
    const unsigned group = m->core[core].group;
    const struct sim_profile *p = &m->profile;
    struct sim_port *port = &m->port[thread];
    const bool here = set_has(&m->group_sets, entry->groups, group);
    unsigned cycles;
    if (!here)
        port->l3_misses++;
    if (entry->owner != NO_CORE) {
        const unsigned owner = entry->owner;
        cycles = distance(m, core, m->core[owner].group);
        *level = SIM_TRANSFER;
        port->transfers++;
        if (wanted == SIM_READ) {
            downgrade(m, owner, line, entry, thread);
        } else { /* what it takes to tell the owner is in the transfer */
            (void)invalidate_others(m, core, line, entry, thread);
        }
    } else {
        const unsigned nearest = here ? 0 : nearest_group(m, core, entry);
        cycles = here ? p->l3.latency_cycles : nearest != 0 ? nearest : p->dram_cycles;
        *level = here ? SIM_L3 : nearest != 0 ? SIM_TRANSFER : SIM_DRAM;
        port->transfers += *level == SIM_TRANSFER;
        if (wanted == SIM_WRITE)
            cycles = larger(cycles, invalidate_others(m, core, line, entry, thread));
    }
    *got = wanted == SIM_WRITE || !others_hold(m, core, entry) ? SIM_WRITE : SIM_READ;
    if (here)
        cache_touch(&m->l3[group], cache_find(&m->l3[group], line));
    else
        fill_l3(m, group, line, entry, thread);
    return cycles;
}

/* What the kernel does in a page fault: it clears the page, a new one that nobody has yet. */
static void clear_page(struct sim_memory *m, unsigned thread, unsigned core, uint32_t frame) {
    for (uint32_t i = 0; i < 1U << m->lines_shift; i++) {
        const uint32_t line = frame << m->lines_shift | i;
        struct line *entry = &m->frame[frame][i];
        fill_l3(m, m->core[core].group, line, entry, thread);
        (void)fill_l2(m, core, line, entry, SIM_WRITE, thread);
    }
}

uint64_t sim_memory_access(struct sim_memory *m, unsigned thread, uintptr_t address,
                           enum sim_right right, uint64_t now, enum sim_level *level) {
    const unsigned core = core_of(m, thread);
    struct core *c = &m->core[core];
    struct sim_port *port = &m->port[thread];
    const struct sim_profile *p = &m->profile;
    uint64_t fault_ticks = 0;
    *level = SIM_L1;
    port->accesses++;
    uint32_t frame = frame_of(m, address >> m->page_shift);
    if (__builtin_expect(frame == NO_FRAME, 0)) {
        const struct region *r = region_of(m, address);
        if (r == NULL) {
            enter_outside(m, thread, address);
            return to_ticks(p->l1.latency_cycles);
        }
        bool fault = false, new = false;
        frame = touch_page(m, r, address >> m->page_shift, &fault, &new);
        if (fault) {
            fault_ticks = m->ticks_per_fault;
            port->page_faults++;
            if (new)
                clear_page(m, thread, core, frame & ~READ_ONLY);
        }
    }
    const uint32_t line = physical_line(m, frame, address);
    uint32_t way = cache_find(&c->l1, line);
    if (way != NO_WAY && right_of(c->l1.rights[way]) >= right) {
        cache_touch(&c->l1, way);
        enter_filter(m, thread, core, address, frame, way);
        return fault_ticks + to_ticks(p->l1.latency_cycles);
    }
    uint32_t l2_way = way != NO_WAY ? c->l1.link[way] : cache_find(&c->l2, line);
    if (way == NO_WAY) {
        port->l1_misses++;
        /* Before the L2 looks for a victim, which shall not be in the L1. */
        way = make_room_in_l1(m, core, line, thread);
    }
    uint64_t latency = fault_ticks;
    enum sim_right got = right;
    if (l2_way != NO_WAY && c->l2.rights[l2_way] >= (uint32_t)right) {
        *level = SIM_L2;
        latency += to_ticks(p->l2.latency_cycles);
        got = (enum sim_right)c->l2.rights[l2_way];
        cache_touch(&c->l2, l2_way);
    } else {
        struct line *entry = line_of(m, line);
        unsigned cycles;
        if (l2_way != NO_WAY) {
            *level = SIM_UPGRADE;
            port->upgrades++;
            cycles = larger(p->upgrade_cycles, invalidate_others(m, core, line, entry, thread));
            c->l2.rights[l2_way] = SIM_WRITE;
            entry->owner = (uint16_t)core;
            cache_touch(&c->l2, l2_way);
        } else {
            port->l2_misses++;
            cycles = fetch(m, thread, core, line, entry, right, level, &got);
            l2_way = fill_l2(m, core, line, entry, got, thread);
        }
        if (entry->busy_until > now + latency)
            latency = entry->busy_until - now;
        latency += to_ticks(cycles);
        if (right == SIM_WRITE || *level != SIM_L3)
            entry->busy_until = now + latency;
    }
    c->l1.tag[way] = line + 1;
    set_right(&c->l1.rights[way], got);
    c->l1.link[way] = l2_way;
    c->l2.link[l2_way] = way + 1;
    cache_touch(&c->l1, way);
    enter_filter(m, thread, core, address, frame, way);
    return latency;
}

size_t sim_memory_populate(struct sim_memory *m, unsigned thread, uintptr_t start, size_t bytes,
                           size_t *entries) {
    const struct region *r = region_of(m, start);
    size_t cleared = 0;
    *entries = 0;
    for (uint64_t page = start >> m->page_shift; page << m->page_shift < start + bytes; page++) {
        bool fault = false, new = false;
        if (r == NULL || frame_of(m, page) != NO_FRAME)
            continue;
        const uint32_t frame = touch_page(m, r, page, &fault, &new) & ~READ_ONLY;
        ++*entries;
        if (new)
            clear_page(m, thread, core_of(m, thread), frame);
        cleared += new;
    }
    return cleared;
}

/* ---- life ---------------------------------------------------------------------------------- */

static unsigned shift_of(unsigned n) {
    unsigned shift = 0;
    while (1U << (shift + 1) <= n)
        shift++;
    return shift;
}

struct sim_memory *sim_memory_create(const struct sim_profile *profile, uint64_t seed) {
    struct sim_memory *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    const struct sim_profile *p = &m->profile;
    assert(profile->smt <= 2);
    m->profile = *profile;
    m->smt = p->smt;
    m->groups = p->sockets * p->groups_per_socket;
    m->cores = m->groups * p->cores_per_group;
    m->threads = m->cores * m->smt;
    universe_open(&m->core_sets, m->cores);
    universe_open(&m->group_sets, m->groups);
    m->line_shift = shift_of(p->line_bytes);
    m->page_shift = shift_of(p->page_bytes);
    m->lines_shift = m->page_shift - m->line_shift;
    m->random = seed * 2 + 1;
    m->ticks_per_fault = (uint64_t)((double)p->page_fault_ns * p->clock_ghz * SIM_TICKS);
    m->core = calloc(m->cores, sizeof *m->core);
    m->l3 = calloc(m->groups, sizeof *m->l3);
    m->port = calloc(m->threads, sizeof *m->port);
    bool ok = m->core != NULL && m->l3 != NULL && m->port != NULL && map_open(&m->pages, 1 << 14) &&
              map_open(&m->objects, 1 << 10);
    for (unsigned g = 0; ok && g < m->groups; g++)
        ok = cache_open(&m->l3[g], &p->l3, p->line_bytes, false);
    for (unsigned i = 0; ok && i < m->cores; i++) {
        struct core *c = &m->core[i];
        c->group = i / p->cores_per_group;
        c->socket = c->group / p->groups_per_socket;
        ok = cache_open(&c->l1, &p->l1, p->line_bytes, true) &&
             cache_open(&c->l2, &p->l2, p->line_bytes, true);
    }
    if (!ok) {
        sim_memory_destroy(m);
        return NULL;
    }
    for (unsigned t = 0; t < m->threads; t++) {
        struct core *c = &m->core[t % m->cores];
        m->port[t].stamp = c->l1.stamp;
        m->port[t].stamp_now = &c->l1.now;
        m->port[t].line_shift = m->line_shift;
        m->port[t].thread = t;
    }
    return m;
}

void sim_memory_destroy(struct sim_memory *m) {
    if (m == NULL)
        return;
    for (unsigned g = 0; m->l3 != NULL && g < m->groups; g++)
        cache_close(&m->l3[g]);
    for (unsigned i = 0; m->core != NULL && i < m->cores; i++) {
        cache_close(&m->core[i].l1);
        cache_close(&m->core[i].l2);
    }
    for (uint32_t f = 0; f < m->frames; f++)
        free(m->frame[f]);
    free(m->frame);
    free(m->kind);
    free(m->free_frame);
    universe_close(&m->core_sets);
    universe_close(&m->group_sets);
    free(m->core);
    free(m->l3);
    free(m->port);
    map_close(&m->pages);
    map_close(&m->objects);
    free(m);
}

struct sim_port *sim_memory_port(struct sim_memory *m, unsigned thread) {
    return &m->port[thread];
}

void sim_memory_watch(struct sim_memory *m, sim_line_event *event, void *context) {
    m->event = event;
    m->event_context = context;
}

/* ---- check --------------------------------------------------------------------------------- */

/* The next index of a line in the cache, from `at` on; NO_WAY behind the last. */
static uint32_t next_line(const struct cache *c, uint32_t at) {
    for (; at < c->outside; at++)
        if (at % c->stride < c->ways && c->tag[at] != 0)
            return at;
    return NO_WAY;
}

static const char *check_core(const struct sim_memory *m, unsigned core) {
    const struct core *c = &m->core[core];
    for (uint32_t w = 0; (w = next_line(&c->l1, w)) != NO_WAY; w++) {
        const uint32_t line = c->l1.tag[w] - 1, l2 = c->l1.link[w];
        if (cache_find(&c->l1, line) != w)
            return "an L1 has a line twice, or in a wrong set";
        if (c->l2.tag[l2] != line + 1 || c->l2.link[l2] != w + 1 ||
            c->l2.rights[l2] != right_of(c->l1.rights[w]))
            return "a line of an L1 is not in its L2, or with another right";
    }
    for (uint32_t w = 0; (w = next_line(&c->l2, w)) != NO_WAY; w++) {
        const uint32_t line = c->l2.tag[w] - 1;
        const struct line *entry = line_of(m, line);
        if (cache_find(&c->l2, line) != w)
            return "an L2 has a line twice, or in a wrong set";
        if (c->l2.link[w] != 0 && c->l1.tag[c->l2.link[w] - 1] != line + 1)
            return "an L2 says wrongly that the L1 has a line";
        if (cache_find(&m->l3[c->group], line) == NO_WAY)
            return "a line of an L2 is not in its group's L3";
        if (!set_has(&m->core_sets, entry->holders, core))
            return "the directory does not know a holder";
        if ((c->l2.rights[w] == SIM_WRITE) != (entry->owner == core) || c->l2.rights[w] == SIM_NONE)
            return "a right to write and the directory's owner differ";
    }
    return NULL;
}

static const char *check_line(const struct sim_memory *m, uint32_t line) {
    const struct line *entry = line_of(m, line);
    for (unsigned c = 0; (c = set_next(&m->core_sets, entry->holders, c)) != NOBODY; c++)
        if (cache_find(&m->core[c].l2, line) == NO_WAY)
            return "the directory names a holder that has not the line";
    for (unsigned g = 0; (g = set_next(&m->group_sets, entry->groups, g)) != NOBODY; g++)
        if (cache_find(&m->l3[g], line) == NO_WAY)
            return "the directory names a group that has not the line";
    if (entry->owner != NO_CORE && (!set_has(&m->core_sets, entry->holders, entry->owner) ||
                                    others_hold(m, entry->owner, entry)))
        return "a line has an owner and other holders";
    return NULL;
}

static const char *check_filter(const struct sim_memory *m, unsigned thread) {
    const unsigned core = core_of(m, thread);
    const struct core *c = &m->core[core];
    for (unsigned i = 0; i < SIM_FILTER_SIZE; i++) {
        const struct sim_filter_entry *e = &m->port[thread].filter[i];
        const uintptr_t address = e->line << m->line_shift;
        if (e->right == SIM_NONE)
            continue;
        const uint32_t frame = map_get(&m->pages, (address >> m->page_shift) + 1);
        if (e->way == c->l1.outside) {
            if (frame != NO_FRAME || region_of(m, address) != NULL)
                return "a filter takes an address of a region for one outside";
            continue;
        }
        if (frame == NO_FRAME)
            return "a filter names a page that was forgotten";
        if (c->l1.tag[e->way] != physical_line(m, frame, address) + 1)
            return "a filter names a way that has another line";
        if ((uint32_t)right_of(c->l1.rights[e->way]) < e->right)
            return "a filter has a right that the L1 has not";
        if ((frame & READ_ONLY) != 0 && e->right > SIM_READ)
            return "a filter has the right to write to a page that must not be written";
        if (back_of(c->l1.rights[e->way], thread != core) != i + 1)
            return "a way does not know its filter entry";
    }
    return NULL;
}

const char *sim_memory_check(const struct sim_memory *m) {
    const char *wrong = NULL;
    for (unsigned c = 0; c < m->cores && wrong == NULL; c++)
        wrong = check_core(m, c);
    for (unsigned g = 0; g < m->groups && wrong == NULL; g++)
        for (uint32_t w = 0; wrong == NULL && (w = next_line(&m->l3[g], w)) != NO_WAY; w++) {
            const uint32_t line = m->l3[g].tag[w] - 1;
            if (cache_find(&m->l3[g], line) != w)
                wrong = "an L3 has a line twice, or in a wrong set";
            else if (!set_has(&m->group_sets, line_of(m, line)->groups, g))
                wrong = "the directory does not know that a group has a line";
        }
    for (uint32_t f = 0; f < m->frames && wrong == NULL; f++)
        for (uint32_t i = 0; i < 1U << m->lines_shift && wrong == NULL; i++)
            wrong = check_line(m, f << m->lines_shift | i);
    for (uint32_t f = 0; f < m->free_frames && wrong == NULL; f++)
        for (uint32_t i = 0; i < 1U << m->lines_shift; i++)
            if (m->frame[m->free_frame[f]][i].groups != 0)
                wrong = "a free frame has lines";
    for (unsigned t = 0; t < m->threads && wrong == NULL; t++)
        wrong = check_filter(m, t);
    return wrong;
}
