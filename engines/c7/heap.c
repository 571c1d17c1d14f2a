/*
 * heap.c - allocation: objects are bumped out of blocks of private pages; freed memory of small
 * objects is used again by length, longer objects have runs of whole pages.
 *
 * Runs come from a buddy system (K. Knowlton, "A fast storage allocator", 1965) whose lists live
 * beside the heap, because a free page may be mapped by nobody.  What a block allocates is private
 * to its segment until it commits, and what it frees is free when it has committed: nobody else can
 * have a reference then but blocks that are bound to abort, and see I2 and I6 (commit=log: they
 * keep their own view of the memory) or I5 (commit=pause: they have been told).
 */
#include "internal.h"

#include <string.h>

enum {
    SLOTS_KEPT = 1024, /* free slots of one length that a segment keeps for itself */
    SLOTS_MOVED = 256, /* so many at once go to, or come from, all segments' */
};

void *tm_c7_memory(size_t bytes, const char *what) {
    void *p = machine_alloc(bytes);
    if (p == NULL)
        tm_fatal("out of memory: %s, %zu bytes", what, bytes);
    return p;
}

TM_COLD void tm_c7_grow(struct c7_chunks *list) {
    const size_t count = tm_c7_count(list), capacity = count == 0 ? 64 : 2 * count;
    struct c7_chunk *larger = tm_c7_memory(capacity * sizeof *larger, "list of written objects");
    if (count > 0)
        memcpy(larger, list->at, count * sizeof *larger);
    machine_free(list->at);
    list->at = larger;
    list->next = larger + count;
    list->end = larger + capacity;
}

static void push_slot(struct c7_slots *slots, uint32_t unit) {
    if (slots->count == slots->capacity) {
        const uint32_t capacity = slots->capacity == 0 ? 16 : 2 * slots->capacity;
        uint32_t *larger = tm_c7_memory(capacity * sizeof *larger, "list of free memory");
        if (slots->count > 0)
            memcpy(larger, slots->unit, slots->count * sizeof *larger);
        machine_free(slots->unit);
        slots->unit = larger;
        slots->capacity = capacity;
    }
    slots->unit[slots->count++] = unit;
}

static void lock_heap(void) {
    while (atomic_exchange_explicit(&tm_c7.heap_lock, 1, memory_order_acquire) != 0)
        machine_yield();
}
static void unlock_heap(void) { atomic_store_explicit(&tm_c7.heap_lock, 0, memory_order_release); }

/* ---- runs of pages
 * -------------------------------------------------------------------------------- */

/* Indices are those of pages from the heap's first on.  Under heap_lock. */
static void list_run(uint32_t run, unsigned order) {
    const uint32_t first = tm_c7.run_free[order];
    tm_c7.run_order[run] = (uint8_t)(order + 1);
    tm_c7.run_next[run] = first;
    tm_c7.run_prev[run] = C7_NO_RUN;
    if (first != C7_NO_RUN)
        tm_c7.run_prev[first] = run;
    tm_c7.run_free[order] = run;
}

static void unlist_run(uint32_t run) {
    const unsigned order = tm_c7.run_order[run] - 1U;
    const uint32_t next = tm_c7.run_next[run], prev = tm_c7.run_prev[run];
    if (prev == C7_NO_RUN)
        tm_c7.run_free[order] = next;
    else
        tm_c7.run_next[prev] = next;
    if (next != C7_NO_RUN)
        tm_c7.run_prev[next] = prev;
    tm_c7.run_order[run] = 0;
}

static void give_run(uint32_t page, unsigned order) {
    lock_heap();
    const uint32_t pages = tm_c7.end_page - tm_c7.first_page;
    uint32_t run = page - tm_c7.first_page;
    for (; order + 1 < C7_ORDERS; order++) {
        const uint32_t buddy = run ^ (1U << order);
        if (buddy >= pages || tm_c7.run_order[buddy] != order + 1)
            break;
        unlist_run(buddy);
        run &= ~(1U << order);
    }
    list_run(run, order);
    unlock_heap();
}

/* First page of a run of 2^order pages; *fresh: nobody has ever used them.  C7_NO_RUN when there is
 * none. */
static uint32_t take_run(unsigned order, bool *fresh) {
    lock_heap();
    unsigned from = order;
    while (from < C7_ORDERS && tm_c7.run_free[from] == C7_NO_RUN)
        from++;
    if (from >= C7_ORDERS) {
        unlock_heap();
        return C7_NO_RUN;
    }
    const uint32_t run = tm_c7.run_free[from];
    unlist_run(run);
    while (from > order) {
        from--;
        list_run(run + (1U << from), from);
    }
    const uint32_t page = run + tm_c7.first_page, end = page + (1U << order);
    const uint32_t used = atomic_load_explicit(&tm_c7.used_end, memory_order_relaxed);
    *fresh = page >= used;
    if (end > used)
        /* Release: pairs with the acquire in tm_c7_next_version. */
        atomic_store_explicit(&tm_c7.used_end, end, memory_order_release);
    unlock_heap();
    return page;
}

static unsigned order_of(uint32_t units) {
    const uint32_t pages = (uint32_t)(((uint64_t)units * C7_UNIT + C7_PAGE - 1) >> C7_PAGE_SHIFT);
    return pages <= 1 ? 0 : 32U - (unsigned)__builtin_clz(pages - 1);
}

static _Noreturn TM_COLD void heap_is_full(size_t bytes) {
    const size_t heap_mb = tm_c7.heap_bytes >> 20;
    tm_fatal("c7: the heap of %zu MiB is full (tm_new of %zu bytes); try c7:heap_mb=%zu", heap_mb,
             bytes, 2 * heap_mb);
}

/* ---- allocation
 * ----------------------------------------------------------------------------------- */

/* Messages about the earlier life of memory that comes from other segments must not be applied to
 * the new object: they were sent before that memory was free, so they are here now. */
static void settle(struct tm_thread *self) {
    if (!self->direct && tm_c7.commit == C7_LOG && !tm_c7.alone)
        tm_c7_import(self);
}

/* Pages for this segment; kept in s->taken meanwhile, for an abort in between. */
static uint32_t new_pages(struct tm_thread *self, unsigned order, size_t bytes,
                          enum c7_kind *kind) {
    struct c7_segment *s = self->segment;
    bool fresh = false;
    const uint32_t page = take_run(order, &fresh);
    if (page == C7_NO_RUN)
        heap_is_full(bytes);
    *kind = fresh ? C7_FRESH : C7_REUSED;
    if (self->direct)
        return page;
    s->taken = page;
    s->taken_order = order;
    if (!fresh)
        settle(self);
    tm_c7_take_pages(s, page, 1U << order);
    s->taken = C7_NO_RUN;
    return page;
}

static void set_block(struct c7_segment *s, uintptr_t next, uintptr_t end) {
    const uintptr_t old = s->block_end;
    s->next = next;
    s->block_end = end;
    uintptr_t expected = old;
    /* A 0 stays: whoever wrote it wants something. */
    atomic_compare_exchange_strong(&s->signal.limit, &expected, end);
}

static uint32_t new_block(struct tm_thread *self, uint32_t units, size_t bytes) {
    struct c7_segment *s = self->segment;
    enum c7_kind kind;
    const uint32_t page = new_pages(self, C7_BLOCK_ORDER, bytes, &kind);
    const uint32_t rest = (uint32_t)((s->block_end - s->next) >> C7_UNIT_SHIFT);
    if (rest > 0)
        push_slot(&s->slots[rest], tm_c7_unit(s->next));
    const uintptr_t start = (uintptr_t)page << C7_PAGE_SHIFT;
    s->block_kind = kind;
    set_block(s, start + (uintptr_t)units * C7_UNIT,
              start + ((uintptr_t)C7_PAGE << C7_BLOCK_ORDER));
    return tm_c7_unit(start);
}

/* Takes free slots that other segments had too many of. */
static bool take_slots(struct tm_thread *self, uint32_t units) {
    struct c7_slots *mine = &self->segment->slots[units], *all = &tm_c7.slots[units];
    /* A glance without the lock: nothing depends on it. */
    if (atomic_load_explicit(&tm_c7.slot_count[units], memory_order_relaxed) == 0)
        return false;
    lock_heap();
    for (unsigned i = 0; i < SLOTS_MOVED && all->count > 0; i++)
        push_slot(mine, all->unit[--all->count]);
    atomic_store_explicit(&tm_c7.slot_count[units], all->count, memory_order_relaxed);
    unlock_heap();
    settle(self);
    return mine->count > 0;
}

static uint32_t allocate_small(struct tm_thread *self, uint32_t units, size_t bytes,
                               enum c7_kind *kind) {
    struct c7_segment *s = self->segment;
    struct c7_slots *slots = &s->slots[units];
    if (slots->count > 0 ||
        (s->next + (uintptr_t)units * C7_UNIT > s->block_end && take_slots(self, units))) {
        const uint32_t unit = slots->unit[slots->count - 1];
        if (!self->direct) {
            const uint32_t low = tm_c7_page(unit), high = tm_c7_page(unit + units - 1);
            if (!tm_c7_is_private(s, unit))
                tm_c7_privatize(s, low);
            if (high != low && !tm_c7_is_private(s, unit + units - 1))
                tm_c7_privatize(s, high);
        }
        slots->count--;
        *kind = C7_REUSED;
        return unit;
    }
    if (s->next + (uintptr_t)units * C7_UNIT > s->block_end) {
        const uint32_t unit = new_block(self, units, bytes);
        *kind = s->block_kind;
        return unit;
    }
    const uint32_t unit = tm_c7_unit(s->next);
    s->next += (uintptr_t)units * C7_UNIT;
    *kind = s->block_kind;
    return unit;
}

void TM_SEG *tm_alloc(struct tm_thread *self, size_t bytes) {
    struct c7_segment *s = self->segment;
    if (tm_unlikely(self->common.depth == 0))
        tm_fatal("tm_new outside of a block");
    tm_safepoint(self);
    if (bytes > tm_c7.heap_bytes)
        heap_is_full(bytes);
    enum c7_kind kind;
    uintptr_t offset;
    uint32_t units = bytes <= C7_UNIT ? 1 : (uint32_t)((bytes + C7_UNIT - 1) >> C7_UNIT_SHIFT);
    if (units <= C7_SMALL_UNITS) {
        offset = (uintptr_t)allocate_small(self, units, bytes, &kind) << C7_UNIT_SHIFT;
        memset(s->base + offset, 0, (size_t)units * C7_UNIT);
    } else {
        units = (uint32_t)((bytes + C7_LARGE_OFFSET + C7_UNIT - 1) >> C7_UNIT_SHIFT);
        offset = ((uintptr_t)new_pages(self, order_of(units), bytes, &kind) << C7_PAGE_SHIFT) +
                 C7_LARGE_OFFSET;
        if (kind != C7_FRESH) /* fresh pages are zero */
            memset(s->base + offset - C7_LARGE_OFFSET, 0, (size_t)units * C7_UNIT);
    }
    s->signal.budget -= (int64_t)units * C7_UNIT;
    struct c7_object *object = (struct c7_object *)(s->base + offset);
    object->tm_header.units = units;
    const uint32_t unit = tm_c7_unit(offset);
    if (self->direct)
        object->tm_header.flags = C7_WRITE_BARRIER;
    else
        tm_c7_push(&s->written, (struct c7_chunk){unit, unit, units, kind});
    return (void TM_SEG *)offset; /* NOLINT(performance-no-int-to-ptr) */
}

/* ---- giving memory back
 * --------------------------------------------------------------------------- */

static void give_object(struct c7_segment *s, uint32_t unit, uint32_t units) {
    if (units > C7_SMALL_UNITS) {
        give_run(tm_c7_page(unit), order_of(units));
        return;
    }
    struct c7_slots *slots = &s->slots[units];
    push_slot(slots, unit);
    if (slots->count <= SLOTS_KEPT)
        return;
    lock_heap();
    for (unsigned i = 0; i < SLOTS_MOVED; i++)
        push_slot(&tm_c7.slots[units], slots->unit[--slots->count]);
    atomic_store_explicit(&tm_c7.slot_count[units], tm_c7.slots[units].count, memory_order_relaxed);
    unlock_heap();
}

void tm_release(struct tm_thread *self, const void TM_SEG *object) {
    struct c7_segment *s = self->segment;
    if (object == NULL)
        return;
    const uint32_t unit = tm_c7_unit((uintptr_t)object);
    const uint32_t units =
        ((const struct c7_object *)(s->base + (uintptr_t)object))->tm_header.units;
    if (self->direct)
        give_object(s, unit, units);
    else
        tm_c7_push(&s->freed, (struct c7_chunk){unit, unit, units, C7_OLD});
}

void tm_c7_heap_commit(struct c7_segment *s) {
    for (const struct c7_chunk *c = s->freed.at; c < s->freed.next; c++)
        give_object(s, c->start, c->units);
    s->freed.next = s->freed.at;
    s->written.next = s->written.at;
}

void tm_c7_heap_abort(struct c7_segment *s) {
    const bool same_block = s->block_end == s->begin_end;
    for (size_t i = tm_c7_count(&s->written); i-- > 0;) {
        const struct c7_chunk *c = &s->written.at[i];
        if (c->kind != C7_FRESH && c->kind != C7_REUSED)
            continue;
        const uintptr_t offset = (uintptr_t)c->start << C7_UNIT_SHIFT;
        /* What was bumped out of the block that is still in use goes back by setting `next` back.
         */
        if (same_block && offset >= s->begin_next && offset < s->begin_end)
            continue;
        give_object(s, c->start, c->units);
    }
    if (same_block)
        s->next = s->begin_next;
    if (s->taken != C7_NO_RUN)
        give_run(s->taken, s->taken_order);
    s->taken = C7_NO_RUN;
    s->freed.next = s->freed.at;
    s->written.next = s->written.at;
}

/* ---- start and stop
 * ------------------------------------------------------------------------------- */

void tm_c7_heap_start(void) {
    const uint32_t pages = tm_c7.end_page - tm_c7.first_page;
    tm_c7.run_next = tm_c7_memory(pages * sizeof *tm_c7.run_next, "page lists");
    tm_c7.run_prev = tm_c7_memory(pages * sizeof *tm_c7.run_prev, "page lists");
    tm_c7.run_order = tm_c7_memory(pages, "page lists");
    memset(tm_c7.run_order, 0, pages);
    for (unsigned i = 0; i < C7_ORDERS; i++)
        tm_c7.run_free[i] = C7_NO_RUN;
    for (uint32_t run = 0; run < pages;) {
        unsigned order = run == 0 ? C7_ORDERS - 1 : (unsigned)__builtin_ctz(run);
        while (order > 0 && (UINT64_C(1) << order) > pages - run)
            order--;
        list_run(run, order);
        run += 1U << order;
    }
    for (unsigned i = 0; i <= tm_c7.segments; i++) {
        struct c7_segment *s = &tm_c7.segment[i];
        s->next = s->block_end = tm_c7.heap;
        s->taken = C7_NO_RUN;
        atomic_store(&s->signal.limit, s->block_end);
        atomic_store(&s->serial, -C7_SERIALS_TO_WRAP); /* so every test goes over the wrap */
    }
}

static void free_slots(struct c7_slots *slots) {
    for (unsigned i = 0; i <= C7_SMALL_UNITS; i++)
        machine_free(slots[i].unit);
}

void tm_c7_heap_stop(void) {
    for (unsigned i = 0; i <= tm_c7.segments; i++) {
        struct c7_segment *s = &tm_c7.segment[i];
        free_slots(s->slots);
        machine_free(s->written.at);
        machine_free(s->freed.at);
    }
    free_slots(tm_c7.slots);
    machine_free(tm_c7.run_next);
    machine_free(tm_c7.run_prev);
    machine_free(tm_c7.run_order);
}
