/*
 * memory.c - caches, directory and page table of the simulated machine.  See memory.h.
 *
 * The model
 *  - Each core has an L1 and an L2; the L2 includes the L1.  Cores of a group share an L3, which
 *    includes all their L2s: a line that leaves the L3 leaves the whole group.  (True of Haswell;
 *    Cascade Lake's and Zen's L3 hold victims instead.  One rule for all, so that profiles differ
 * in numbers only.)
 *  - A line in a private cache is shared or exclusive.  MESI's E and M are one state here: writing
 *    back costs nothing, so nobody can see the difference.
 *  - The directory knows for each line which cores hold it, which one exclusively, and which groups
 *    have it in their L3.  With more than 64 cores (groups) one bit stands for several: then it
 * means "perhaps", and their tags are looked at.
 *  - Requests that move a line between cores or take rights from others occupy the line until they
 *    are served; the next such request queues behind.  Reads that L3 or memory serves do not queue.
 *  - Latencies are those of the profile.  A write to a line that others share takes the longest of
 *    what fetching it and telling the farthest holder takes.
 *
 * Invariants
 *  M1 a line in a core's L1 is in its L2, and in its group's L3;
 *  M2 if a core holds a line exclusively, no other core holds it, and `owner` names that core;
 *  M3 (F in memory.h) a filter entry with a right implies its line in this core's L1, exclusively
 * if the right is to write; M4 a holder's bit is set (for up to 64 cores: exactly when it holds the
 * line).
 */
#include "memory.h"

#include <stdlib.h>
#include <string.h>

enum { NO_CORE = 0xffff, TLB_SIZE = 4096, REGIONS_MAX = 64 };

#define NO_FRAME UINT32_MAX

/* A set-associative cache.  A tag is a physical line + 1; 0 is an empty way. */
struct cache {
    uint32_t *tag;   /* [set * ways + way] */
    uint32_t *stamp; /* likewise: when it was used last (LRU) */
    uint8_t *right;  /* likewise: enum sim_right; private caches only */
    uint64_t *tree;  /* [set] tree-PLRU: one bit for each inner node */
    uint32_t now;
    uint32_t sets, ways;
    uint32_t mask; /* sets - 1 where that is a power of two, else 0 */
    enum sim_replacement replacement;
};

struct core {
    struct cache l1, l2;
    uint16_t *back; /* [L1 way * smt + sibling] index of its filter entry + 1, 0: none */
    unsigned group, socket;
};

/* The directory's entry of a line. */
struct line {
    uint64_t holders;    /* cores, one bit for core_step of them */
    uint64_t groups;     /* L3s, one bit for group_step of them */
    uint64_t busy_until; /* ticks */
    uint16_t owner;      /* the core that holds it exclusively, or NO_CORE */
};

struct region {
    uintptr_t start, end;
    bool resident;
    sim_page_resolver *resolve; /* NULL: anonymous */
};

/* Open addressing; a key that is there stays, with frame NO_FRAME when it was forgotten. */
struct map {
    uint64_t *key; /* 0: free */
    uint32_t *frame;
    uint64_t mask, used;
};

struct sim_memory {
    struct sim_profile profile;
    unsigned cores, groups, threads, smt;
    unsigned line_shift, page_shift, lines_shift; /* lines a page, as a shift */
    unsigned core_step, group_step;
    struct core *core;
    struct cache *l3; /* [group] */
    struct sim_port *port;
    struct line **frame; /* [frame] its lines */
    uint8_t *anonymous;  /* [frame] belongs to no object */
    uint32_t frames, frames_room;
    struct map pages, objects;
    struct {
        uint64_t page; /* + 1 */
        uint32_t frame;
    } tlb[TLB_SIZE];
    struct region region[REGIONS_MAX];
    unsigned regions;
    uint64_t random;
    uint64_t ticks_per_fault;
    sim_line_event *event;
    void *event_context;
};

/* ---- caches -------------------------------------------------------------------------------- */

static bool cache_open(struct cache *c, const struct sim_cache_profile *p, unsigned line_bytes,
                       bool rights) {
    c->ways = p->ways;
    c->sets = (uint32_t)(p->size_bytes / line_bytes / p->ways);
    if (c->sets == 0)
        c->sets = 1;
    c->mask = (c->sets & (c->sets - 1)) == 0 ? c->sets - 1 : 0;
    c->replacement = p->replacement;
    const size_t n = (size_t)c->sets * c->ways;
    c->tag = calloc(n, sizeof *c->tag);
    c->stamp = calloc(n + 1, sizeof *c->stamp); /* one more: of hits outside of all regions */
    c->right = rights ? calloc(n, sizeof *c->right) : NULL;
    c->tree = p->replacement == SIM_TREE_PLRU ? calloc(c->sets, sizeof *c->tree) : NULL;
    return c->tag != NULL && c->stamp != NULL && (!rights || c->right != NULL) &&
           (p->replacement != SIM_TREE_PLRU || c->tree != NULL);
}

static void cache_close(struct cache *c) {
    free(c->tag);
    free(c->stamp);
    free(c->right);
    free(c->tree);
}

static uint32_t set_of(const struct cache *c, uint32_t line) {
    return c->sets == 1 ? 0 : c->mask != 0 ? line & c->mask : line % c->sets;
}

enum { NO_WAY = UINT32_MAX };

/* Index of the way that has the line, or NO_WAY. */
static uint32_t cache_find(const struct cache *c, uint32_t line) {
    const uint32_t first = set_of(c, line) * c->ways;
    for (uint32_t w = first; w < first + c->ways; w++)
        if (c->tag[w] == line + 1)
            return w;
    return NO_WAY;
}

/* Tree-PLRU over the next power of two of ways: every node on the way to it points elsewhere. */
static void tree_touch(struct cache *c, uint32_t way) {
    const uint32_t set = way / c->ways, w = way % c->ways;
    unsigned leaves = 1;
    while (leaves < c->ways)
        leaves *= 2;
    unsigned node = 1;
    for (unsigned half = leaves / 2; half > 0; half /= 2) {
        const bool upper = (w & half) != 0;
        if (upper)
            c->tree[set] &= ~(UINT64_C(1) << node);
        else
            c->tree[set] |= UINT64_C(1) << node;
        node = 2 * node + upper;
    }
}

static uint32_t tree_victim(const struct cache *c, uint32_t set) {
    unsigned leaves = 1;
    while (leaves < c->ways)
        leaves *= 2;
    unsigned node = 1, w = 0;
    for (unsigned half = leaves / 2; half > 0; half /= 2) {
        /* Not into a half that has no ways. */
        const bool upper = (c->tree[set] >> node & 1) != 0 && w + half < c->ways;
        w += upper ? half : 0;
        node = 2 * node + upper;
    }
    return w;
}

static void cache_touch(struct cache *c, uint32_t way) {
    c->stamp[way] = ++c->now;
    if (c->tree != NULL)
        tree_touch(c, way);
}

static uint64_t next_random(struct sim_memory *m) {
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

/* The way that a new line takes: an empty one, or the victim's. */
static uint32_t cache_place(struct sim_memory *m, const struct cache *c, uint32_t line) {
    const uint32_t set = set_of(c, line), first = set * c->ways;
    for (uint32_t w = first; w < first + c->ways; w++)
        if (c->tag[w] == 0)
            return w;
    if (c->replacement == SIM_RANDOM)
        return first + (uint32_t)(next_random(m) % c->ways);
    if (c->replacement == SIM_TREE_PLRU)
        return first + tree_victim(c, set);
    uint32_t oldest = first;
    for (uint32_t w = first + 1; w < first + c->ways; w++)
        if ((int32_t)(c->stamp[w] - c->stamp[oldest]) < 0)
            oldest = w;
    return oldest;
}

/* ---- the directory ------------------------------------------------------------------------- */

static struct line *line_of(const struct sim_memory *m, uint32_t line) {
    return &m->frame[line >> m->lines_shift][line & ((1U << m->lines_shift) - 1)];
}

static uint64_t core_bit(const struct sim_memory *m, unsigned core) {
    return UINT64_C(1) << core / m->core_step;
}
static uint64_t group_bit(const struct sim_memory *m, unsigned group) {
    return UINT64_C(1) << group / m->group_step;
}

/* The filter entries of an L1 way lose their right, or what is above `keep`. */
static void clear_filters(struct sim_memory *m, unsigned core, uint32_t way, enum sim_right keep) {
    struct core *c = &m->core[core];
    for (unsigned s = 0; s < m->smt; s++) {
        uint16_t *back = &c->back[way * m->smt + s];
        if (*back == 0)
            continue;
        struct sim_filter_entry *e = &m->port[core + s * m->cores].filter[*back - 1];
        if (e->way == way && e->right > (uint32_t)keep)
            e->right = keep;
        if (keep == SIM_NONE)
            *back = 0;
    }
}

static void tell(struct sim_memory *m, unsigned core, uint32_t line, unsigned by, bool evicted,
                 bool for_write) {
    if (m->event != NULL)
        m->event(m->event_context, core, line, by, evicted, for_write);
}

static void drop_from_l1(struct sim_memory *m, unsigned core, uint32_t way, unsigned by,
                         bool evicted, bool for_write) {
    struct cache *l1 = &m->core[core].l1;
    tell(m, core, l1->tag[way] - 1, by, evicted, for_write);
    clear_filters(m, core, way, SIM_NONE);
    l1->tag[way] = 0;
}

/* The core has the line no more.  `entry`: the line's, which forgets the core. */
static void drop_from_core(struct sim_memory *m, unsigned core, uint32_t line, struct line *entry,
                           unsigned by, bool evicted, bool for_write) {
    struct core *c = &m->core[core];
    uint32_t way = cache_find(&c->l2, line);
    if (way == NO_WAY)
        return;
    c->l2.tag[way] = 0;
    way = cache_find(&c->l1, line);
    if (way != NO_WAY)
        drop_from_l1(m, core, way, by, evicted, for_write);
    if (m->core_step == 1)
        entry->holders &= ~core_bit(m, core);
    if (entry->owner == core)
        entry->owner = NO_CORE;
}

/* The exclusive owner keeps a shared copy. */
static void downgrade(struct sim_memory *m, unsigned core, uint32_t line, unsigned by) {
    struct core *c = &m->core[core];
    uint32_t way = cache_find(&c->l2, line);
    if (way != NO_WAY)
        c->l2.right[way] = SIM_READ;
    way = cache_find(&c->l1, line);
    if (way != NO_WAY) {
        tell(m, core, line, by, false, false);
        c->l1.right[way] = SIM_READ;
        clear_filters(m, core, way, SIM_READ);
    }
}

static unsigned distance(const struct sim_memory *m, unsigned core, unsigned group) {
    const struct core *c = &m->core[core];
    const struct sim_profile *p = &m->profile;
    return c->group == group                           ? p->transfer_group_cycles
           : c->socket == group / p->groups_per_socket ? p->transfer_socket_cycles
                                                       : p->transfer_remote_cycles;
}

/* All other cores lose the line.  Returns the cycles that telling the farthest takes, 0: nobody. */
static unsigned invalidate_others(struct sim_memory *m, unsigned core, uint32_t line,
                                  struct line *entry, unsigned by) {
    unsigned farthest = 0;
    const uint64_t before = entry->holders;
    for (uint64_t bits = before; bits != 0; bits &= bits - 1) {
        const unsigned first = (unsigned)__builtin_ctzll(bits) * m->core_step;
        for (unsigned c = first; c < first + m->core_step && c < m->cores; c++) {
            if (c == core || (m->core_step > 1 && cache_find(&m->core[c].l2, line) == NO_WAY))
                continue;
            const unsigned cycles = m->core[c].group == m->core[core].group
                                        ? m->profile.upgrade_cycles
                                        : distance(m, core, m->core[c].group);
            farthest = cycles > farthest ? cycles : farthest;
            m->port[by].invalidated++;
            drop_from_core(m, c, line, entry, by, false, true);
        }
    }
    entry->holders &= core_bit(m, core);
    return farthest;
}

/* The other groups' L3s lose the line. */
static unsigned invalidate_groups(struct sim_memory *m, unsigned core, uint32_t line,
                                  struct line *entry) {
    const unsigned own = m->core[core].group;
    unsigned farthest = 0;
    for (uint64_t bits = entry->groups; bits != 0; bits &= bits - 1) {
        const unsigned first = (unsigned)__builtin_ctzll(bits) * m->group_step;
        for (unsigned g = first; g < first + m->group_step && g < m->groups; g++) {
            const uint32_t way = g == own ? NO_WAY : cache_find(&m->l3[g], line);
            if (way == NO_WAY)
                continue;
            m->l3[g].tag[way] = 0;
            const unsigned cycles = distance(m, core, g);
            farthest = cycles > farthest ? cycles : farthest;
        }
    }
    entry->groups &= group_bit(m, own);
    return farthest;
}

/* Does anybody but this core hold the line, or another group's L3? */
static bool others_hold(const struct sim_memory *m, unsigned core, uint32_t line,
                        const struct line *entry) {
    const unsigned own = m->core[core].group;
    if ((entry->groups & ~(m->group_step == 1 ? group_bit(m, own) : 0)) != 0)
        for (unsigned g = 0; g < m->groups; g++)
            if (g != own && (entry->groups & group_bit(m, g)) != 0 &&
                cache_find(&m->l3[g], line) != NO_WAY)
                return true;
    if (m->core_step == 1)
        return (entry->holders & ~core_bit(m, core)) != 0;
    for (uint64_t bits = entry->holders; bits != 0; bits &= bits - 1) {
        const unsigned first = (unsigned)__builtin_ctzll(bits) * m->core_step;
        for (unsigned c = first; c < first + m->core_step && c < m->cores; c++)
            if (c != core && cache_find(&m->core[c].l2, line) != NO_WAY)
                return true;
    }
    return false;
}

/* ---- filling ------------------------------------------------------------------------------- */

static void fill_l3(struct sim_memory *m, unsigned group, uint32_t line, unsigned by) {
    struct cache *l3 = &m->l3[group];
    uint32_t way = cache_find(l3, line);
    if (way == NO_WAY) {
        way = cache_place(m, l3, line);
        if (l3->tag[way] != 0) {
            const uint32_t victim = l3->tag[way] - 1;
            struct line *entry = line_of(m, victim);
            const unsigned cores = m->profile.cores_per_group;
            for (unsigned c = group * cores; c < (group + 1) * cores; c++)
                if ((entry->holders & core_bit(m, c)) != 0)
                    drop_from_core(m, c, victim, entry, by, true, false);
            if (m->group_step == 1)
                entry->groups &= ~group_bit(m, group);
        }
        l3->tag[way] = line + 1;
        line_of(m, line)->groups |= group_bit(m, group);
    }
    cache_touch(l3, way);
}

static void fill_l2(struct sim_memory *m, unsigned core, uint32_t line, enum sim_right right,
                    unsigned by) {
    struct cache *l2 = &m->core[core].l2;
    const uint32_t way = cache_place(m, l2, line);
    if (l2->tag[way] != 0) {
        const uint32_t victim = l2->tag[way] - 1;
        drop_from_core(m, core, victim, line_of(m, victim), by, true, false);
    }
    l2->tag[way] = line + 1;
    l2->right[way] = (uint8_t)right;
    cache_touch(l2, way);
    line_of(m, line)->holders |= core_bit(m, core);
}

static uint32_t fill_l1(struct sim_memory *m, unsigned core, uint32_t line, enum sim_right right,
                        unsigned by) {
    struct cache *l1 = &m->core[core].l1;
    const uint32_t way = cache_place(m, l1, line);
    if (l1->tag[way] != 0)
        drop_from_l1(m, core, way, by, true, false);
    l1->tag[way] = line + 1;
    l1->right[way] = (uint8_t)right;
    cache_touch(l1, way);
    return way;
}

/* The filter knows that this virtual line is in the way. */
static void enter_filter(struct sim_memory *m, unsigned thread, uintptr_t address, uint32_t way,
                         enum sim_right right) {
    struct core *c = &m->core[thread % m->cores];
    struct sim_port *p = &m->port[thread];
    const uintptr_t virtual_line = address >> m->line_shift;
    const unsigned index = virtual_line & (SIM_FILTER_SIZE - 1);
    uint16_t *back = &c->back[way * m->smt + thread / m->cores];
    if (*back != 0 && *back != index + 1) { /* a second name of the line */
        struct sim_filter_entry *e = &p->filter[*back - 1];
        if (e->way == way)
            e->right = SIM_NONE;
    }
    *back = (uint16_t)(index + 1);
    p->filter[index] = (struct sim_filter_entry){virtual_line, (uint32_t)right, way};
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
        struct map larger;
        if (!map_open(&larger, 2 * (t->mask + 1)))
            abort(); /* the simulated machine's own memory: nothing sensible can be done */
        for (uint64_t i = 0; i <= t->mask; i++)
            if (t->key[i] != 0 && t->frame[i] != NO_FRAME) {
                const uint64_t at = map_find(&larger, t->key[i]);
                larger.key[at] = t->key[i];
                larger.frame[at] = t->frame[i];
                larger.used++;
            }
        map_close(t);
        *t = larger;
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

static uint32_t new_frame(struct sim_memory *m, bool anonymous) {
    if (m->frames == m->frames_room) {
        const uint32_t room = m->frames_room == 0 ? 4096 : 2 * m->frames_room;
        struct line **frames = realloc(m->frame, room * sizeof(struct line *));
        uint8_t *kinds = frames != NULL ? realloc(m->anonymous, room) : NULL;
        if (kinds == NULL)
            abort(); /* as above */
        m->frame = frames;
        m->anonymous = kinds;
        m->frames_room = room;
    }
    struct line *lines = calloc((size_t)1 << m->lines_shift, sizeof *lines);
    if (lines == NULL)
        abort();
    for (uint32_t i = 0; i < 1U << m->lines_shift; i++)
        lines[i].owner = NO_CORE;
    m->frame[m->frames] = lines;
    m->anonymous[m->frames] = anonymous;
    return m->frames++;
}

enum { OBJECT_BITS = 44 };

/* The page's frame, given one now if it has none; *fault says whether that takes a page fault. */
static uint32_t touch_page(struct sim_memory *m, const struct region *r, uint64_t page,
                           bool *fault) {
    struct sim_page_name name = {0, 0, r->resident};
    if (r->resolve != NULL)
        name = r->resolve((uintptr_t)page << m->page_shift);
    *fault = !name.resident;
    uint32_t frame = NO_FRAME;
    if (name.object == 0) {
        frame = new_frame(m, true);
    } else {
        const uint64_t key = (uint64_t)name.object << OBJECT_BITS | (name.page + 1);
        frame = map_get(&m->objects, key);
        if (frame == NO_FRAME) {
            frame = new_frame(m, false);
            map_put(&m->objects, key, frame);
        }
    }
    map_put(&m->pages, page + 1, frame);
    return frame;
}

/* The frame of a page that has one, else NO_FRAME. */
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

static uint32_t physical_line(const struct sim_memory *m, uint32_t frame, uintptr_t address) {
    return frame << m->lines_shift |
           (uint32_t)(address >> m->line_shift & ((1U << m->lines_shift) - 1));
}

static bool add_region(struct sim_memory *m, struct region r) {
    if (m->regions == REGIONS_MAX)
        return false;
    m->region[m->regions++] = r;
    return true;
}

bool sim_memory_region(struct sim_memory *m, uintptr_t start, size_t bytes, bool resident) {
    return add_region(m, (struct region){start, start + bytes, resident, NULL});
}

bool sim_memory_region_of_names(struct sim_memory *m, uintptr_t start, size_t bytes,
                                sim_page_resolver *resolve) {
    return add_region(m, (struct region){start, start + bytes, false, resolve});
}

/* A frame's lines leave all caches. */
static void drop_frame(struct sim_memory *m, uint32_t frame) {
    for (uint32_t i = 0; i < 1U << m->lines_shift; i++) {
        struct line *entry = &m->frame[frame][i];
        const uint32_t line = frame << m->lines_shift | i;
        for (uint64_t bits = entry->holders; bits != 0; bits &= bits - 1) {
            const unsigned first = (unsigned)__builtin_ctzll(bits) * m->core_step;
            for (unsigned c = first; c < first + m->core_step && c < m->cores; c++)
                drop_from_core(m, c, line, entry, c, false, true);
        }
        entry->holders = 0;
        for (uint64_t bits = entry->groups; bits != 0; bits &= bits - 1) {
            const unsigned first = (unsigned)__builtin_ctzll(bits) * m->group_step;
            for (unsigned g = first; g < first + m->group_step && g < m->groups; g++) {
                const uint32_t way = cache_find(&m->l3[g], line);
                if (way != NO_WAY)
                    m->l3[g].tag[way] = 0;
            }
        }
        entry->groups = 0;
    }
}

static void forget_page(struct sim_memory *m, uint64_t page) {
    const uint64_t at = map_find(&m->pages, page + 1);
    if (m->pages.key[at] == 0 || m->pages.frame[at] == NO_FRAME)
        return;
    const uint32_t frame = m->pages.frame[at];
    m->pages.frame[at] = NO_FRAME;
    if (m->anonymous[frame])
        drop_frame(m, frame);
}

void sim_memory_forget(struct sim_memory *m, uintptr_t start, size_t bytes) {
    if (bytes == 0)
        return;
    const uint64_t first = start >> m->page_shift, last = (start + bytes - 1) >> m->page_shift;
    memset(m->tlb, 0, sizeof m->tlb);
    if (last - first <= m->pages.mask) {
        for (uint64_t page = first; page <= last; page++)
            forget_page(m, page);
    } else {
        for (uint64_t i = 0; i <= m->pages.mask; i++)
            if (m->pages.key[i] > first && m->pages.key[i] <= last + 1)
                forget_page(m, m->pages.key[i] - 1);
    }
    const uintptr_t low = start >> m->line_shift, high = (start + bytes - 1) >> m->line_shift;
    const bool few = high - low < SIM_FILTER_SIZE;
    for (unsigned t = 0; t < m->threads; t++) {
        struct sim_filter_entry *filter = m->port[t].filter;
        for (uintptr_t i = 0, n = few ? high - low + 1 : SIM_FILTER_SIZE; i < n; i++) {
            struct sim_filter_entry *e = &filter[(few ? low + i : i) & (SIM_FILTER_SIZE - 1)];
            if (e->line >= low && e->line <= high)
                e->right = SIM_NONE;
        }
    }
}

void sim_memory_drop(struct sim_memory *m, unsigned object, uint64_t first, uint64_t pages) {
    for (uint64_t page = first; page < first + pages; page++) {
        const uint64_t at = map_find(&m->objects, (uint64_t)object << OBJECT_BITS | (page + 1));
        if (m->objects.key[at] == 0 || m->objects.frame[at] == NO_FRAME)
            continue;
        drop_frame(m, m->objects.frame[at]);
        m->objects.frame[at] = NO_FRAME;
    }
}

/* ---- accesses ------------------------------------------------------------------------------ */

/* Outside of every region: always a hit, of the spare way that nobody evicts. */
static void enter_outside(struct sim_memory *m, unsigned thread, uintptr_t address) {
    const struct cache *l1 = &m->core[thread % m->cores].l1;
    const uintptr_t line = address >> m->line_shift;
    m->port[thread].filter[line & (SIM_FILTER_SIZE - 1)] =
        (struct sim_filter_entry){line, SIM_WRITE, l1->sets * l1->ways};
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
    const struct core *c = &m->core[thread % m->cores];
    const uint32_t way = cache_find(&c->l1, physical_line(m, frame, address));
    if (way == NO_WAY || c->l1.right[way] < (uint8_t)right)
        return false;
    enter_filter(m, thread, address, way, (enum sim_right)c->l1.right[way]);
    return true;
}

bool sim_memory_is_private(struct sim_memory *m, unsigned thread, uintptr_t address,
                           enum sim_right right) {
    const uint32_t frame = frame_of(m, address >> m->page_shift);
    if (frame == NO_FRAME)
        return false;
    const struct cache *l2 = &m->core[thread % m->cores].l2;
    const uint32_t way = cache_find(l2, physical_line(m, frame, address));
    return way != NO_WAY && l2->right[way] >= (uint8_t)right;
}

static uint64_t to_ticks(unsigned cycles) { return (uint64_t)cycles * SIM_TICKS; }

/* Rights to write for a line that the core holds shared.  Returns cycles. */
static unsigned upgrade(struct sim_memory *m, unsigned thread, uint32_t line, struct line *entry) {
    const unsigned core = thread % m->cores;
    unsigned cycles = m->profile.upgrade_cycles;
    const unsigned others = invalidate_others(m, core, line, entry, thread);
    const unsigned groups = invalidate_groups(m, core, line, entry);
    cycles = others > cycles ? others : cycles;
    cycles = groups > cycles ? groups : cycles;
    entry->owner = (uint16_t)core;
    m->port[thread].upgrades++;
    return cycles;
}

/* A line that the core does not hold comes in.  Returns cycles. */
static unsigned fetch(struct sim_memory *m, unsigned thread, uint32_t line, struct line *entry,
                      enum sim_right wanted, enum sim_level *level, enum sim_right *got) {
    const unsigned core = thread % m->cores, group = m->core[core].group;
    const struct sim_profile *p = &m->profile;
    unsigned cycles;
    if (entry->owner != NO_CORE) {
        const unsigned owner = entry->owner;
        cycles = distance(m, core, m->core[owner].group);
        *level = SIM_TRANSFER;
        m->port[thread].transfers++;
        if (wanted == SIM_READ) {
            downgrade(m, owner, line, thread);
            entry->owner = NO_CORE;
        }
    } else if (cache_find(&m->l3[group], line) != NO_WAY) {
        cycles = p->l3.latency_cycles;
        *level = SIM_L3;
    } else if (entry->groups != 0 && others_hold(m, core, line, entry)) {
        cycles = p->transfer_remote_cycles;
        for (unsigned g = 0; g < m->groups; g++)
            if ((entry->groups & group_bit(m, g)) != 0 && cache_find(&m->l3[g], line) != NO_WAY) {
                const unsigned from = distance(m, core, g);
                cycles = from < cycles ? from : cycles;
            }
        *level = SIM_TRANSFER;
        m->port[thread].transfers++;
        m->port[thread].l3_misses++;
    } else {
        cycles = p->dram_cycles;
        *level = SIM_DRAM;
        m->port[thread].l3_misses++;
    }
    if (wanted == SIM_WRITE) {
        const unsigned others = invalidate_others(m, core, line, entry, thread);
        const unsigned groups = invalidate_groups(m, core, line, entry);
        cycles = others > cycles ? others : cycles;
        cycles = groups > cycles ? groups : cycles;
        *got = SIM_WRITE;
    } else {
        *got = others_hold(m, core, line, entry) ? SIM_READ : SIM_WRITE;
    }
    fill_l3(m, group, line, thread);
    entry->owner = *got == SIM_WRITE ? (uint16_t)core : NO_CORE;
    return cycles;
}

uint64_t sim_memory_access(struct sim_memory *m, unsigned thread, uintptr_t address,
                           enum sim_right right, uint64_t now, enum sim_level *level) {
    const unsigned core = thread % m->cores;
    struct core *c = &m->core[core];
    struct sim_port *port = &m->port[thread];
    const struct sim_profile *p = &m->profile;
    uint64_t fault_ticks = 0;
    *level = SIM_L1;
    uint32_t frame = frame_of(m, address >> m->page_shift);
    if (frame == NO_FRAME) {
        const struct region *r = region_of(m, address);
        if (r == NULL) {
            enter_outside(m, thread, address);
            return to_ticks(p->l1.latency_cycles);
        }
        bool fault = false;
        frame = touch_page(m, r, address >> m->page_shift, &fault);
        if (fault) {
            fault_ticks = m->ticks_per_fault;
            port->page_faults++;
        }
    }
    const uint32_t line = physical_line(m, frame, address);
    uint32_t way = cache_find(&c->l1, line);
    if (way != NO_WAY && c->l1.right[way] >= (uint8_t)right) {
        cache_touch(&c->l1, way);
        enter_filter(m, thread, address, way, (enum sim_right)c->l1.right[way]);
        return fault_ticks + to_ticks(p->l1.latency_cycles);
    }
    struct line *entry = line_of(m, line);
    const uint32_t l2_way = cache_find(&c->l2, line);
    unsigned cycles;
    bool queues = true;
    enum sim_right got = right;
    if (way == NO_WAY)
        port->l1_misses++;
    if (l2_way != NO_WAY && c->l2.right[l2_way] >= (uint8_t)right) {
        *level = SIM_L2;
        cycles = p->l2.latency_cycles;
        got = (enum sim_right)c->l2.right[l2_way];
        queues = false;
    } else if (l2_way != NO_WAY) {
        *level = SIM_UPGRADE;
        cycles = upgrade(m, thread, line, entry);
    } else {
        port->l2_misses++;
        cycles = fetch(m, thread, line, entry, right, level, &got);
        queues = *level == SIM_TRANSFER || right == SIM_WRITE;
    }
    if (l2_way == NO_WAY) {
        fill_l2(m, core, line, got, thread);
    } else {
        c->l2.right[l2_way] = (uint8_t)got;
        cache_touch(&c->l2, l2_way);
    }
    if (way == NO_WAY) {
        way = fill_l1(m, core, line, got, thread);
    } else {
        c->l1.right[way] = (uint8_t)got;
        cache_touch(&c->l1, way);
    }
    enter_filter(m, thread, address, way, got);
    uint64_t latency = to_ticks(cycles);
    if (queues) {
        now += fault_ticks;
        if (entry->busy_until > now)
            latency += entry->busy_until - now;
        entry->busy_until = now + latency;
    }
    return fault_ticks + latency;
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
    m->profile = *profile;
    m->smt = p->smt;
    m->groups = p->sockets * p->groups_per_socket;
    m->cores = m->groups * p->cores_per_group;
    m->threads = m->cores * m->smt;
    m->core_step = (m->cores + 63) / 64;
    m->group_step = (m->groups + 63) / 64;
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
        if (ok)
            c->back = calloc((size_t)(c->l1.sets * c->l1.ways) * m->smt, sizeof *c->back);
        ok = ok && c->back != NULL;
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
        free(m->core[i].back);
    }
    for (uint32_t f = 0; f < m->frames; f++)
        free(m->frame[f]);
    free(m->frame);
    free(m->anonymous);
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
