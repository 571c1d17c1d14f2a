/*
 * pages.c - the memory map of c7: one reservation, segments at equal distances, frames in one
 * memfd.
 *
 * README.md has the picture.  A page of a segment is in one of three states: inaccessible
 * (commit=log: not held), shared (mapped read-only to segment 0's frame), or private (mapped to a
 * frame of its own).
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

#define NEEDS_LESS "fewer c7:segments=N, or threads, or a smaller c7:heap_mb=N need less"

/* What the world can get wrong behind the start, in one line. */
static _Noreturn TM_COLD void map_failed(const char *what) {
    const int error = errno;
    tm_fatal("c7: %s failed: %s%s", what, strerror(error),
             error == ENOMEM   ? " (memory, or more mappings than vm.max_map_count)"
             : error == ENOSPC ? " (" NEEDS_LESS ")"
                               : "");
}

static char *page_address(const struct c7_segment *s, uint32_t page) {
    return s->base + ((uintptr_t)page << C7_PAGE_SHIFT);
}

/* Where the segment's frame of the page stands in the file. */
static uint64_t frame(const struct c7_segment *s, uint32_t page) {
    return (uint64_t)s->number * tm_c7.heap_bytes +
           ((uint64_t)(page - tm_c7.first_page) << C7_PAGE_SHIFT);
}

static void map_frames(const struct c7_segment *s, uint32_t page, uint32_t count, bool own) {
    if (!machine_map(page_address(s, page), (size_t)count << C7_PAGE_SHIFT, tm_c7.fd,
                     frame(own ? s : &tm_c7.segment[0], page),
                     own ? MACHINE_READ_WRITE : MACHINE_READ_ONLY, count <= 4 * C7_BATCH_PAGES))
        map_failed("mmap of pages");
}

/* The contents of segment 0's pages go into the segment's frames. */
static void fill_frames(const struct c7_segment *s, uint32_t page, uint32_t count) {
    if (!machine_object_write(tm_c7.fd, frame(s, page), page_address(&tm_c7.segment[0], page),
                              (size_t)count << C7_PAGE_SHIFT))
        map_failed("copying pages");
}

static void set_private(struct c7_segment *s, uint32_t page, uint32_t count) {
    for (uint32_t p = page; p < page + count; p++)
        /* Release: pairs with the load of a committer that has stopped us, or has our inbox lock;
         * the copy is complete. */
        atomic_fetch_or_explicit(&tm_c7.privates[p], s->bit, memory_order_release);
    atomic_fetch_add_explicit(&s->private_pages, count, memory_order_relaxed);
}

static bool has(const _Atomic uint64_t *mask, uint32_t page, const struct c7_segment *s) {
    return (atomic_load_explicit(&mask[page], memory_order_relaxed) & s->bit) != 0;
}

static bool logging(void) { return tm_c7.commit == C7_LOG && !tm_c7.alone; }

static bool is_shared(const struct c7_segment *s, uint32_t page) {
    return !has(tm_c7.privates, page, s) && (!logging() || has(tm_c7.holders, page, s));
}

/* ---- how many mappings there are
 *
 * Pages in different states are different mappings, of which the kernel allows a process some ten
 * thousands.  A segment whose pages lie mixed counts the borders between states; when it comes near
 * its share, whole windows of pages become private at a time, so large that it cannot get there.
 */

static unsigned state_of(const struct c7_segment *s, uint32_t page) {
    if (page < tm_c7.first_page || page >= tm_c7.end_page)
        return 3;
    return has(tm_c7.privates, page, s) ? 2 : is_shared(s, page) ? 1 : 0;
}

/* Borders between the pages from low-1 to high. */
static int32_t borders(const struct c7_segment *s, uint32_t low, uint32_t high) {
    int32_t n = 0;
    unsigned before = state_of(s, low - 1);
    for (uint32_t p = low; p <= high; p++) {
        const unsigned state = state_of(s, p);
        n += state != before;
        before = state;
    }
    return n;
}

static void count_borders(struct c7_segment *s, int32_t change) {
    /* Its thread and committers may count at the same time. */
    atomic_fetch_add_explicit(&s->borders, change, memory_order_relaxed);
}

/* Pages to treat as one, a power of two. */
static uint32_t window_pages(const struct c7_segment *s, uint32_t otherwise) {
    if (atomic_load_explicit(&s->borders, memory_order_relaxed) < tm_c7.borders_max / 2)
        return otherwise;
    const uint32_t used =
        atomic_load_explicit(&tm_c7.used_end, memory_order_relaxed) - tm_c7.first_page;
    uint32_t pages = C7_BATCH_PAGES;
    while ((int32_t)(used / pages) > tm_c7.borders_max / 8)
        pages *= 2;
    return pages;
}

/* All pages from low to below high become private. */
static void own_pages(struct c7_segment *s, uint32_t low, uint32_t high) {
    for (uint32_t p = low, run; p < high; p = run) {
        run = p + 1;
        if (has(tm_c7.privates, p, s))
            continue;
        while (run < high && !has(tm_c7.privates, run, s))
            run++;
        fill_frames(s, p, run - p);
    }
    map_frames(s, low, high - low, true); /* at once: who reads there sees the same contents */
    for (uint32_t p = low; p < high; p++)
        if (!has(tm_c7.privates, p, s))
            set_private(s, p, 1);
}

/* The page and its neighbours in its window, as far as the segment may access them. */
static void own_around(struct c7_segment *s, uint32_t page, uint32_t window) {
    const uint32_t start = page - (page - tm_c7.first_page) % window;
    const uint32_t used = atomic_load_explicit(&tm_c7.used_end, memory_order_relaxed);
    const uint32_t end = start + window < used ? start + window : used;
    uint32_t low = page, high = page + 1;
    while (low > start && state_of(s, low - 1) != 0)
        low--;
    while (high < end && state_of(s, high) != 0)
        high++;
    while (has(tm_c7.privates, low, s)) /* nothing to do at the ends; the page itself is shared */
        low++;
    while (has(tm_c7.privates, high - 1, s))
        high--;
    const int32_t before = borders(s, low, high);
    own_pages(s, low, high);
    count_borders(s, borders(s, low, high) - before);
}

/* Commits convert pages of the segment under its inbox lock, and neighbours with them: so its
 * thread changes mappings under that lock, too.  Returns whether there is something to unlock. */
static bool lock_mappings(struct c7_segment *s) {
    if (!logging() || s->holds_lock)
        return false;
    for (unsigned n = 0; atomic_exchange_explicit(&s->lock, 1, memory_order_acquire) != 0; n++)
        tm_c7_spin(s->thread, n);
    return true;
}

static void unlock_mappings(struct c7_segment *s, bool locked) {
    if (locked)
        tm_c7_unlock(s);
}

void tm_c7_privatize(struct c7_segment *s, uint32_t page) {
    if (logging() && !has(tm_c7.holders, page, s))
        (void)*(volatile char *)page_address(s, page); /* the fault makes it held */
    const bool locked = lock_mappings(s);
    if (is_shared(s, page))
        own_around(s, page, window_pages(s, C7_BATCH_PAGES));
    unlock_mappings(s, locked);
}

void tm_c7_take_pages(struct c7_segment *s, uint32_t page, uint32_t count) {
    const bool locked = lock_mappings(s);
    const int32_t before = borders(s, page, page + count);
    map_frames(s, page, count, true);
    if (logging())
        for (uint32_t p = page; p < page + count; p++)
            atomic_fetch_or_explicit(&tm_c7.holders[p], s->bit, memory_order_relaxed);
    set_private(s, page, count);
    count_borders(s, borders(s, page, page + count) - before);
    unlock_mappings(s, locked);
}

void tm_c7_convert(struct c7_segment *s, uint32_t page) {
    if (!has(tm_c7.privates, page, s))
        own_around(s, page, window_pages(s, 1));
}

void tm_c7_hold(struct c7_segment *s, uint32_t page) {
    const uint32_t window = window_pages(s, 1);
    /* Somebody writes here: the next commit would convert it. */
    const bool own =
        window > 1 ||
        (atomic_load_explicit(&tm_c7.privates[page], memory_order_relaxed) & ~s->bit) != 0;
    const uint32_t used = atomic_load_explicit(&tm_c7.used_end, memory_order_relaxed);
    const uint32_t low = page - (page - tm_c7.first_page) % window;
    const uint32_t high = low + window < used ? low + window : used;
    const int32_t before = borders(s, low, high);
    if (own)
        own_pages(s, low, high);
    else
        map_frames(s, low, high - low, false);
    for (uint32_t p = low; p < high; p++)
        atomic_fetch_or_explicit(&tm_c7.holders[p], s->bit, memory_order_relaxed);
    count_borders(s, borders(s, low, high) - before);
}

/* Pages from low to below high are shared again (commit=log: not held). */
static void reset_pages(struct c7_segment *s, uint32_t low, uint32_t high) {
    if (low >= high)
        return;
    const size_t bytes = (size_t)(high - low) << C7_PAGE_SHIFT;
    if (!logging())
        map_frames(s, low, high - low, false);
    else if (!machine_map_anonymous(page_address(s, low), bytes, MACHINE_NO_ACCESS))
        map_failed("mmap of no pages");
    for (uint32_t p = low; p < high; p++) {
        if (has(tm_c7.privates, p, s))
            atomic_fetch_and_explicit(&tm_c7.privates[p], ~s->bit, memory_order_relaxed);
        if (has(tm_c7.holders, p, s))
            atomic_fetch_and_explicit(&tm_c7.holders[p], ~s->bit, memory_order_relaxed);
    }
    machine_object_punch(tm_c7.fd, frame(s, low), bytes);
}

void tm_c7_reshare(struct c7_segment *s) {
    const uint32_t used = atomic_load_explicit(&tm_c7.used_end, memory_order_relaxed);
    /* The block that objects are being allocated from stays. */
    const uint32_t block_end = (uint32_t)((s->block_end + C7_PAGE - 1) >> C7_PAGE_SHIFT);
    uint32_t block = (uint32_t)(s->next >> C7_PAGE_SHIFT);
    block = block < tm_c7.first_page ? tm_c7.first_page : block;
    reset_pages(s, tm_c7.first_page, block < used ? block : used);
    reset_pages(s, block_end > tm_c7.first_page ? block_end : tm_c7.first_page, used);
    atomic_store_explicit(&s->private_pages, 0, memory_order_relaxed);
    atomic_store_explicit(&s->borders, borders(s, tm_c7.first_page, used), memory_order_relaxed);
}

void tm_c7_forget_pages(struct c7_segment *s) {
    reset_pages(s, tm_c7.first_page, tm_c7.end_page);
    atomic_store_explicit(&s->private_pages, 0, memory_order_relaxed);
    atomic_store_explicit(&s->borders, 0, memory_order_relaxed);
    s->next = s->block_end = tm_c7.heap;
    atomic_store(&s->signal.limit, s->block_end);
}

/* ---- read versions
 *
 * After 255 executions all markers are zeroed.  Those of a small heap by a loop.  Of a large heap
 * most pages of markers may never have been touched, and have no memory; those that have are zeroed
 * one by one, because giving them back costs a page fault each when they are touched again, which
 * takes as long as zeroing several.  Only when next to none of them has been touched in this round
 * are all given back: the program has moved on, and would pay for its past in each round.
 */

enum {
    MARKERS_LOOP_MAX = 1 << 18, /* bytes: up to here they are zeroed without looking */
    MARKERS_LOOK_PAGES = 1024,  /* looked at together */
    MARKERS_KEPT = 8,           /* they are kept as long as one of so many is touched */
    MARKERS_FEW = 64,           /* pages that are kept in any case */
};

/* Returns whether there was a marker on the page.  From the first one on all is written: to look
 * for the next one costs a misprediction each. */
static bool zero_page(char *page) {
    enum { PART = 32 };
    uint64_t *word = (uint64_t *)page, *const end = (uint64_t *)(page + C7_PAGE);
    for (uint64_t any = 0; word < end; word += PART) {
        for (unsigned i = 0; i < PART; i++)
            any |= word[i];
        if (any != 0) {
            memset(word, 0, (size_t)((char *)end - (char *)word));
            return true;
        }
    }
    return false;
}

/* `low` is the start of a page.  Out of line: a page of stack would be paid for by every block. */
static TM_NOINLINE void zero_large(char *low, size_t bytes) {
    unsigned char resident[MARKERS_LOOK_PAGES];
    const size_t pages = (bytes + C7_PAGE - 1) >> C7_PAGE_SHIFT;
    size_t kept = 0, touched = 0;
    for (size_t p = 0; p < pages; p += MARKERS_LOOK_PAGES) {
        const size_t n = pages - p < MARKERS_LOOK_PAGES ? pages - p : MARKERS_LOOK_PAGES;
        char *at = low + (p << C7_PAGE_SHIFT);
        if (!machine_resident_pages(at, n << C7_PAGE_SHIFT, resident))
            map_failed("looking for markers");
        for (size_t i = 0; i < n; i++) {
            if (resident[i] == 0)
                continue;
            kept++;
            touched += zero_page(at + (i << C7_PAGE_SHIFT));
        }
    }
    if (kept > MARKERS_FEW && touched * MARKERS_KEPT < kept &&
        !machine_zero_pages(low, pages << C7_PAGE_SHIFT))
        map_failed("giving markers back");
}

void tm_c7_next_version(struct c7_segment *s) {
    uint8_t *version = tm_c7_read_version(s);
    if (*version < C7_VERSION_MAX) {
        ++*version;
        return;
    }
    char *low = s->base + (tm_c7.heap >> C7_UNIT_SHIFT);
    /* Acquire: what this execution has read was allocated before. */
    const uintptr_t used = (uintptr_t)atomic_load_explicit(&tm_c7.used_end, memory_order_acquire)
                           << C7_PAGE_SHIFT;
    const size_t bytes = (used - tm_c7.heap) >> C7_UNIT_SHIFT;
    if (bytes <= MARKERS_LOOP_MAX)
        memset(low, 0, bytes);
    else
        zero_large(low, bytes);
    *version = 1;
}

/* ---- start and stop
 * ------------------------------------------------------------------------------- */

/* Control page, markers and heap of segment i. */
static bool map_segment(unsigned i) {
    struct c7_segment *s = &tm_c7.segment[i];
    s->number = i;
    s->bit = i == 0 ? 0 : UINT64_C(1) << (i - 1);
    s->base = tm_c7.reserve + i * tm_c7.stride;
    const size_t markers = (tm_c7.heap_bytes >> C7_UNIT_SHIFT) + C7_PAGE;
    if (!machine_map_anonymous(s->base + C7_CONTROL, C7_PAGE, MACHINE_READ_WRITE) ||
        !machine_map_anonymous(s->base + (tm_c7.heap >> C7_UNIT_SHIFT), markers,
                               MACHINE_READ_WRITE))
        return false;
    *tm_c7_read_version(s) = 1;
    if (i > 0 && logging())
        return true;
    return machine_map(s->base + tm_c7.heap, tm_c7.heap_bytes, tm_c7.fd, 0,
                       i == 0 ? MACHINE_READ_WRITE : MACHINE_READ_ONLY, false);
}

/* A segment's share of the mappings that the kernel allows, some left to the rest of the program.
 */
static int32_t share_of_mappings(void) {
    const long share = machine_mappings_max() / 4 * 3 / (long)tm_c7.segments;
    return share < 64 ? 64 : share > INT32_MAX ? INT32_MAX : (int32_t)share;
}

bool tm_c7_map(size_t heap_mb, char *why, size_t why_size) {
    tm_c7.heap_bytes = heap_mb << 20;
    tm_c7.borders_max = share_of_mappings();
    /* Markers of the heap, at its offset / 16, must lie behind the control page and end before the
     * heap. */
    tm_c7.heap = tm_c7.heap_bytes / 8 < (1U << 20) ? 1U << 20 : tm_c7.heap_bytes / 8;
    const size_t end = tm_c7.heap + tm_c7.heap_bytes;
    tm_c7.first_page = (uint32_t)(tm_c7.heap >> C7_PAGE_SHIFT);
    tm_c7.end_page = (uint32_t)(end >> C7_PAGE_SHIFT);
    atomic_store(&tm_c7.used_end, tm_c7.first_page);
    tm_c7.stride = (end + (4U << 20)) >> 21 << 21;
    const size_t count = tm_c7.segments + 1;
    tm_c7.owner_bytes = end >> C7_UNIT_SHIFT;
    tm_c7.mask_bytes = (size_t)tm_c7.end_page * sizeof *tm_c7.holders;
    tm_c7.fd = machine_object_open("allcores-c7", count * tm_c7.heap_bytes);
    if (tm_c7.fd < 0) {
        errno = -tm_c7.fd;
        goto failed;
    }
    tm_c7.reserve = machine_reserve(count * tm_c7.stride, MACHINE_NO_ACCESS);
    tm_c7.owner = machine_reserve(tm_c7.owner_bytes, MACHINE_READ_WRITE);
    tm_c7.holders = machine_reserve(tm_c7.mask_bytes, MACHINE_READ_WRITE);
    tm_c7.privates = machine_reserve(tm_c7.mask_bytes, MACHINE_READ_WRITE);
    if (tm_c7.reserve == NULL || tm_c7.owner == NULL || tm_c7.holders == NULL ||
        tm_c7.privates == NULL)
        goto failed;
    for (unsigned i = 0; i < count; i++)
        if (!map_segment(i))
            goto failed;
    machine_explain_no_memory(tm_c7.reserve, count * tm_c7.stride,
                              "allcores: fatal: c7: the system has no memory for a page of the "
                              "heap (" NEEDS_LESS ")\n");
    return true;
failed:
    snprintf(why, why_size, "cannot map %u segments of %zu MiB: %s", tm_c7.segments, heap_mb,
             strerror(errno));
    tm_c7_unmap();
    return false;
}

static void unmap(void *p, size_t bytes) {
    if (p != NULL)
        machine_unreserve(p, bytes);
}

void tm_c7_unmap(void) {
    machine_explain_no_memory(NULL, 0, NULL);
    unmap(tm_c7.reserve, (tm_c7.segments + 1) * tm_c7.stride);
    unmap((void *)tm_c7.owner, tm_c7.owner_bytes);
    unmap((void *)tm_c7.holders, tm_c7.mask_bytes);
    unmap((void *)tm_c7.privates, tm_c7.mask_bytes);
    tm_c7.reserve = NULL;
    tm_c7.owner = NULL;
    tm_c7.holders = NULL;
    tm_c7.privates = NULL;
    if (tm_c7.fd >= 0)
        machine_object_close(tm_c7.fd);
    tm_c7.fd = -1;
}
