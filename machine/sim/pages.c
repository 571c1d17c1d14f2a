/*
 * pages.c - pages that are mapped at several addresses, faults, and %gs, on the simulated machine.
 *
 * Model
 * - The host's mmap(2) and memfd_create(2) give the program its data; what a page names, and who
 *   may do what with it, stands in a table of our own, as a kernel's list of areas: sorted, without
 *   overlap, neighbours that continue each other merged.  memory.c asks it once for each page that
 *   is touched for the first time, and sched.c for each access that leaves the fast path.
 * - Reservations lie at fixed addresses, one behind the other, and objects are numbered from 1, so
 *   nothing depends on the host.
 * - A call that changes mappings is a system call in the order of the clocks.  It takes map_page
 *   (one page, mapped and accessible); each further page that had to be let go, or that `populate`
 *   makes accessible, a quarter of a page fault; each page that has no memory yet, a page fault,
 *   which clears it.  If a page had been touched under its old mapping, other processors may have
 *   its translation: all that run something are interrupted (as in membarrier(2)), and the caller
 *   waits for them.
 * - machine_object_write copies through the caches of the caller: the kernel has all memory mapped
 *   once more, at addresses of its own (WINDOW).
 * - An access that its page does not allow costs a page fault and two system calls, for the
 *   delivery of the signal and the way back; the handler runs in the hook, on the program's fiber,
 *   before the access.  It may leave by a jump: nothing of the simulator is half done then.
 *
 * Invariants
 * - A page of the area has a frame in memory.c only while its mapping allows reading; a page that
 *   must not be written is known there as such (sim_page_name.read_only).
 * - The host's mapping of a page allows what the table says.
 */
#include "gs.h"
#include "htm.h"
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

enum {
    OBJECTS_MAX = 16,
    RECENT = 1024,            /* a power of two */
    ENTRIES_A_FAULT = 4,      /* a quarter of a page fault, see above */
    OBJECT_SHIFT = 44,        /* bytes of an object in the window, as a shift */
    SET_GS_INSTRUCTIONS = 10, /* the call, and WRGSBASE */
    RESERVE_ALIGN = 2 << 20,
    MAPPINGS_MAX = 65530, /* Linux's default of vm.max_map_count */
};

/* Never mapped, and beyond what a program can address: the kernel's own view of all objects. */
#define WINDOW (UINT64_C(1) << 48)
_Static_assert(SIM_PAGES + SIM_PAGES_BYTES <= WINDOW, "the window lies behind");

struct mapping {
    uintptr_t start, end;
    unsigned object; /* 0: anonymous */
    uint64_t from;   /* byte of the object at `start` */
    enum machine_access access;
};

static struct {
    bool reserved;         /* the area; for the life of the process */
    uintptr_t top;         /* reservations end here */
    struct mapping *map;   /* accessible ones, sorted */
    size_t mappings, room; /* in use, allocated */
    int file[OBJECTS_MAX]; /* of object i + 1; -1: closed */
    unsigned objects;      /* ever opened */
    machine_fault_handler *handler;
    /* Answers of access_of; emptied where mappings change. */
    struct {
        uintptr_t page; /* its address; 0: none */
        enum machine_access access;
    } recent[RECENT];
} pages;

/* ---- the table ------------------------------------------------------------------------------ */

/* Index of the first mapping that ends behind the address. */
static size_t first_behind(uintptr_t address) {
    size_t low = 0, high = pages.mappings;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (pages.map[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static const struct mapping *mapping_of(uintptr_t address) {
    const size_t i = first_behind(address);
    return i < pages.mappings && pages.map[i].start <= address ? &pages.map[i] : NULL;
}

static enum machine_access access_of(uintptr_t address) {
    const uintptr_t page = address & ~(uintptr_t)(SIM_PAGE - 1);
    const size_t slot = page / SIM_PAGE % RECENT;
    if (pages.recent[slot].page != page) {
        const struct mapping *m = mapping_of(address);
        pages.recent[slot].page = page;
        pages.recent[slot].access = m != NULL ? m->access : MACHINE_NO_ACCESS;
    }
    return pages.recent[slot].access;
}

static void forget_recent(uintptr_t start, uintptr_t end) {
    if (end - start >= (uintptr_t)RECENT * SIM_PAGE) {
        memset(pages.recent, 0, sizeof pages.recent);
        return;
    }
    for (uintptr_t page = start; page < end; page += SIM_PAGE)
        pages.recent[page / SIM_PAGE % RECENT].page = 0;
}

/* Room for two more: a change in the middle of a mapping makes three of it. */
static bool make_room(void) {
    if (pages.mappings + 2 <= pages.room)
        return true;
    const size_t room = pages.room == 0 ? 256 : 2 * pages.room;
    struct mapping *larger = realloc(pages.map, room * sizeof *larger);
    if (larger == NULL)
        return false;
    pages.map = larger;
    pages.room = room;
    return true;
}

static void insert(size_t at, struct mapping m) {
    memmove(&pages.map[at + 1], &pages.map[at], (pages.mappings - at) * sizeof m);
    pages.map[at] = m;
    pages.mappings++;
}

static void take_out(size_t at, size_t n) {
    memmove(&pages.map[at], &pages.map[at + n], (pages.mappings - at - n) * sizeof *pages.map);
    pages.mappings -= n;
}

/* A border between mappings at this address, if it lies within one.  Returns the index behind it.
 */
static size_t split(uintptr_t address) {
    const size_t i = first_behind(address);
    if (i == pages.mappings || pages.map[i].start >= address)
        return i;
    struct mapping behind = pages.map[i];
    behind.from += behind.object != 0 ? address - behind.start : 0;
    behind.start = address;
    pages.map[i].end = address;
    insert(i + 1, behind);
    return i + 1;
}

/* Mapping number `i` goes on where the one in front of it ends. */
static void merge(size_t i) {
    if (i == 0 || i >= pages.mappings)
        return;
    const struct mapping *b = &pages.map[i];
    struct mapping *a = &pages.map[i - 1];
    if (a->end == b->start && a->object == b->object && a->access == b->access &&
        (a->object == 0 || a->from + (a->end - a->start) == b->from)) {
        a->end = b->end;
        take_out(i, 1);
    }
}

/* What [new.start, new.end) was before is gone.  There is room. */
static void replace(struct mapping new) {
    const size_t first = split(new.start), end = split(new.end);
    take_out(first, end - first);
    forget_recent(new.start, new.end);
    if (new.access == MACHINE_NO_ACCESS) /* not in the table at all */
        return;
    insert(first, new);
    merge(first + 1);
    merge(first);
}

static uintptr_t window(unsigned object, uint64_t at) {
    return WINDOW + ((uintptr_t)object << OBJECT_SHIFT) + at;
}

uint64_t sim_pages_byte(uintptr_t address) {
    const struct mapping *m = mapping_of(address);
    if (m == NULL)
        return 0;
    return m->object == 0 ? address : window(m->object, m->from + (address - m->start));
}

/* ---- names (memory.c asks) ------------------------------------------------------------------- */

/* Setup takes no time, so no faults are counted there. */
static struct sim_page_name name_of(uintptr_t address) {
    const struct mapping *m = mapping_of(address);
    struct sim_page_name name = {.resident = sim_cpu_now->dummy};
    if (m == NULL)
        return name;
    name.object = m->object;
    name.page = m->object != 0 ? (m->from + (address - m->start)) / SIM_PAGE : 0;
    name.read_only = m->access != MACHINE_READ_WRITE;
    return name;
}

static struct sim_page_name name_in_window(uintptr_t address) {
    const uintptr_t at = address - WINDOW;
    return (struct sim_page_name){
        .object = (unsigned)(at >> OBJECT_SHIFT),
        .page = (at & ((UINT64_C(1) << OBJECT_SHIFT) - 1)) / SIM_PAGE,
        .resident = true,
    };
}

bool sim_pages_declare(struct sim_memory *m) {
    return sim_memory_region_of_names(m, SIM_PAGES, SIM_PAGES_BYTES, name_of) &&
           sim_memory_region_of_names(m, WINDOW, (size_t)(OBJECTS_MAX + 1) << OBJECT_SHIFT,
                                      name_in_window);
}

/* ---- what it costs --------------------------------------------------------------------------- */

static void charge(uint64_t ticks) {
    struct sim_cpu *c = sim_cpu_now;
    if (!c->dummy)
        c->clock += ticks;
}

static void charge_entries(size_t n) { charge(n * sim_session.costs.page_fault / ENTRIES_A_FAULT); }

/* Other processors may know the translation of pages that are something else now. */
static void shoot_down(void) {
    const struct sim_costs *costs = &sim_session.costs;
    if (!sim_cpu_now->dummy && sim_interrupt_others(costs->syscall) > 0)
        charge(costs->context_switch);
}

/* Behind the system call that mapped something: `gone` pages had been touched, `entries` are
 * accessible at once. */
static void charge_mapping(size_t gone, size_t entries) {
    const struct sim_costs *costs = &sim_session.costs;
    charge(costs->map_page > costs->syscall ? costs->map_page - costs->syscall : 0);
    charge_entries(gone + entries > 0 ? gone + entries - 1 : 0);
    if (gone > 0)
        shoot_down();
}

static size_t forget(uintptr_t start, size_t bytes) {
    return sim_session.memory != NULL ? sim_memory_forget(sim_session.memory, start, bytes) : 0;
}

/* ---- the area -------------------------------------------------------------------------------- */

enum { RESERVED = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };

static bool open_area(void) {
    if (pages.reserved)
        return true;
    void *p =
        mmap((void *)SIM_PAGES, SIM_PAGES_BYTES, PROT_NONE, RESERVED | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    if (p != (void *)SIM_PAGES) { /* kernels before 4.17 take the address for a hint */
        munmap(p, SIM_PAGES_BYTES);
        errno = EEXIST;
        return false;
    }
    pages.reserved = true;
    pages.top = SIM_PAGES;
    return true;
}

/* Pages of the area from `start` on are nobody's. */
static void release(uintptr_t start, size_t bytes) {
    if (mmap((void *)start, bytes, PROT_NONE, RESERVED | MAP_FIXED, -1, 0) == MAP_FAILED)
        sim_fatal("the address space for pages is lost: %s", strerror(errno));
}

void sim_pages_reset(void) {
    if (pages.top == 0 || (pages.top == SIM_PAGES && pages.objects == 0))
        return; /* nothing was ever taken */
    if (pages.reserved && pages.top > SIM_PAGES)
        release(SIM_PAGES, pages.top - SIM_PAGES);
    for (unsigned i = 0; i < pages.objects; i++)
        if (pages.file[i] >= 0)
            close(pages.file[i]);
    pages.top = SIM_PAGES;
    pages.mappings = 0;
    pages.objects = 0;
    pages.handler = NULL;
    memset(pages.recent, 0, sizeof pages.recent);
}

/* ---- objects --------------------------------------------------------------------------------- */

static bool is_object(int object) {
    return object >= 1 && (unsigned)object <= pages.objects && pages.file[object - 1] >= 0;
}

int machine_object_open(const char *name, size_t bytes) {
    (void)sim_syscall();
    if (pages.objects == OBJECTS_MAX)
        return -EMFILE;
    if (bytes > UINT64_C(1) << OBJECT_SHIFT)
        return -EFBIG;
    const int file = memfd_create(name, MFD_CLOEXEC);
    if (file < 0)
        return -errno;
    if (ftruncate(file, (off_t)bytes) != 0) {
        const int error = errno;
        close(file);
        return -error;
    }
    pages.file[pages.objects] = file;
    return (int)++pages.objects;
}

void machine_object_close(int object) {
    (void)sim_syscall();
    if (!is_object(object))
        return;
    close(pages.file[object - 1]); /* what is mapped stays, as natively */
    pages.file[object - 1] = -1;
}

bool machine_object_write(int object, uint64_t at, const void *from, size_t bytes) {
    (void)sim_syscall();
    if (!is_object(object)) {
        errno = EBADF;
        return false;
    }
    size_t n = 0;
    for (size_t done = 0; done < bytes; done += n) {
        const uintptr_t to = window((unsigned)object, at + done);
        n = SIM_PAGE - to % SIM_PAGE < bytes - done ? SIM_PAGE - to % SIM_PAGE : bytes - done;
        if (!sim_cpu_now->dummy && !sim_exploring &&
            !sim_memory_is_resident(sim_session.memory, to))
            charge(sim_session.costs.page_fault); /* a page for it is found */
        sim_access(sim_cpu_now, (uintptr_t)from + done, n, SIM_READ);
        sim_access(sim_cpu_now, to, n, SIM_WRITE);
    }
    /* In one go, behind the last access: nobody else runs any more until we return. */
    sim_htm_claim((uintptr_t)from, bytes, SIM_READ);
    sim_htm_claim(window((unsigned)object, at), bytes, SIM_WRITE);
    for (size_t done = 0; done < bytes;) {
        const ssize_t written = pwrite(pages.file[object - 1], (const char *)from + done,
                                       bytes - done, (off_t)(at + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        done += (size_t)written;
    }
    return true;
}

/* No page names the object's bytes from `at` on any more; returns how many did. */
static size_t forget_names(unsigned object, uint64_t at, size_t bytes) {
    size_t n = 0;
    for (size_t i = 0; i < pages.mappings; i++) {
        const struct mapping *m = &pages.map[i];
        const uint64_t end = m->from + (m->end - m->start);
        if (m->object != object || m->from >= at + bytes || end <= at)
            continue;
        const uint64_t low = m->from > at ? m->from : at;
        const uint64_t high = end < at + bytes ? end : at + bytes;
        n += forget(m->start + (low - m->from), high - low);
    }
    return n;
}

void machine_object_punch(int object, uint64_t at, size_t bytes) {
    (void)sim_syscall();
    sim_htm_interrupt_all();
    if (!is_object(object) ||
        fallocate(pages.file[object - 1], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at,
                  (off_t)bytes) != 0)
        return;
    /* Whole pages only: the rest of one is zeroed in its place. */
    const uint64_t first = (at + SIM_PAGE - 1) / SIM_PAGE, end = (at + bytes) / SIM_PAGE;
    if (sim_session.memory == NULL || first >= end)
        return;
    const size_t pages_bytes = (end - first) * SIM_PAGE;
    const size_t names = forget_names((unsigned)object, first * SIM_PAGE, pages_bytes);
    (void)forget(window((unsigned)object, first * SIM_PAGE), pages_bytes);
    const size_t gone = sim_memory_drop(sim_session.memory, (unsigned)object, first, end - first);
    charge_entries(gone + names);
    if (names > 0)
        shoot_down();
}

/* ---- mappings -------------------------------------------------------------------------------- */

static int protection(enum machine_access access) {
    return access == MACHINE_READ_WRITE  ? PROT_READ | PROT_WRITE
           : access == MACHINE_READ_ONLY ? PROT_READ
                                         : PROT_NONE;
}

/* Maps what `new` says; `object` 0: anonymous. */
static bool map(struct mapping new, bool populate) {
    sim_flow_cut(sim_cpu_now);
    (void)sim_syscall();
    if (new.object != 0 && !is_object((int)new.object)) {
        errno = EBADF;
        return false;
    }
    if (!make_room()) {
        errno = ENOMEM;
        return false;
    }
    const size_t bytes = new.end - new.start;
    sim_htm_unmap(new.start, bytes);
    const int flags = new.object != 0 ? MAP_SHARED | MAP_NORESERVE : RESERVED;
    if (mmap((void *)new.start, bytes, protection(new.access), flags | MAP_FIXED,
             new.object != 0 ? pages.file[new.object - 1] : -1, (off_t) new.from) == MAP_FAILED)
        return false;
    const size_t gone = forget(new.start, bytes);
    replace(new);
    size_t entries = 0;
    if (populate && new.access != MACHINE_NO_ACCESS && sim_session.memory != NULL &&
        !sim_cpu_now->dummy) {
        const size_t cleared = sim_memory_populate(sim_session.memory, sim_cpu_now->number,
                                                   new.start, bytes, &entries);
        charge(cleared * sim_session.costs.page_fault);
    }
    charge_mapping(gone, entries);
    return true;
}

/* The ends of the pages with [at, at + bytes). */
static uintptr_t page_end(uintptr_t at, size_t bytes) {
    return (at + bytes + SIM_PAGE - 1) & ~(uintptr_t)(SIM_PAGE - 1);
}

void *machine_reserve(size_t bytes, enum machine_access access) {
    const size_t room = ((bytes + RESERVE_ALIGN) / RESERVE_ALIGN) * RESERVE_ALIGN;
    if (!open_area())
        return NULL;
    if (room > SIM_PAGES + SIM_PAGES_BYTES - pages.top) {
        errno = ENOMEM;
        return NULL;
    }
    const uintptr_t start = pages.top;
    if (!map((struct mapping){start, page_end(start, bytes), 0, 0, access}, false))
        return NULL;
    pages.top += room;
    return (void *)start;
}

void machine_unreserve(void *start, size_t bytes) {
    const uintptr_t at = (uintptr_t)start, end = page_end(at, bytes);
    if (!map((struct mapping){at, end, 0, 0, MACHINE_NO_ACCESS}, false))
        sim_fatal("munmap: %s", strerror(errno));
    if (((end - 1) / RESERVE_ALIGN + 1) * RESERVE_ALIGN >= pages.top)
        pages.top = at; /* it was the last one */
}

bool machine_map(void *at, size_t bytes, int object, uint64_t from, enum machine_access access,
                 bool populate) {
    const uintptr_t start = (uintptr_t)at;
    if (object <= 0) {
        errno = EBADF;
        return false;
    }
    return map((struct mapping){start, page_end(start, bytes), (unsigned)object, from, access},
               populate);
}

bool machine_map_anonymous(void *at, size_t bytes, enum machine_access access) {
    const uintptr_t start = (uintptr_t)at;
    return map((struct mapping){start, page_end(start, bytes), 0, 0, access}, false);
}

bool machine_zero_pages(void *at, size_t bytes) {
    sim_flow_cut(sim_cpu_now);
    (void)sim_syscall();
    sim_htm_unmap((uintptr_t)at, bytes);
    if (madvise(at, bytes, MADV_DONTNEED) != 0)
        return false;
    const size_t gone = forget((uintptr_t)at, bytes);
    charge_entries(gone);
    if (gone > 0)
        shoot_down();
    return true;
}

/* A page has memory when the program has touched it, or its object's page has some. */
bool machine_resident_pages(void *at, size_t bytes, unsigned char *resident) {
    (void)sim_syscall();
    sim_htm_claim((uintptr_t)resident, bytes / SIM_PAGE, SIM_WRITE);
    for (size_t i = 0; i < (bytes + SIM_PAGE - 1) / SIM_PAGE; i++) {
        const uintptr_t page = (uintptr_t)at + i * SIM_PAGE;
        resident[i] = sim_exploring || (sim_session.memory != NULL &&
                                        sim_memory_is_resident(sim_session.memory, page));
    }
    sim_access(sim_cpu_now, (uintptr_t)resident, bytes / SIM_PAGE, SIM_WRITE);
    return true;
}

/* The simulated machine always has memory; when the host has none, the host's word for it stands.
 */
void machine_explain_no_memory(const void *start, size_t bytes, const char *line) {
    (void)start, (void)bytes, (void)line;
}

long machine_mappings_max(void) { return MAPPINGS_MAX; }

/* ---- faults ---------------------------------------------------------------------------------- */

bool sim_pages_allow(uintptr_t address, enum sim_right right) {
    return access_of(address) >= (right == SIM_WRITE ? MACHINE_READ_WRITE : MACHINE_READ_ONLY);
}

void sim_pages_fault(uintptr_t address, enum sim_right right) {
    struct sim_cpu *c = sim_cpu_now;
    if (sim_exploring) {
        (void)sim_syscall();
    } else if (!c->dummy) {
        c->port->page_faults++;
        c->clock += sim_session.costs.page_fault + 2 * sim_session.costs.syscall;
        if (c->clock > c->turn)
            sim_order(c);
    }
    if (pages.handler != NULL && pages.handler(address))
        return;
    if (sim_exploring)
        sim_explore_refused(address, right);
    else
        sim_fatal("the program %s address %#jx, whose page does not allow that",
                  right == SIM_WRITE ? "writes to" : "reads", (uintmax_t)address);
}

static void set_handler(machine_fault_handler *handler) {
    (void)sim_syscall();
    pages.handler = handler;
}

void machine_catch_faults(machine_fault_handler *handler) { set_handler(handler); }

void machine_ignore_faults(void) { set_handler(NULL); }

/* ---- %gs ------------------------------------------------------------------------------------- */

/* Hooks get the offset only and tell it from an address by its size (sim.h). */
bool machine_set_gs(const void *base) {
    static const char here;
    if ((uintptr_t)&here >> SIM_GS_BITS == 0)
        sim_fatal("the program is not position-independent: addresses of its data look like "
                  "offsets of %%gs");
    sim_instructions(sim_cpu_now, SET_GS_INSTRUCTIONS);
    return sim_set_gs((uintptr_t)base);
}
