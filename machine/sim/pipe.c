/*
 * pipe.c - pipes of the simulated operating system, after pipe(7).
 *
 * A call costs a system call, and its bytes are copied between the caller's buffer and the pipe's
 * own, both simulated memory.  A write of at most PIPE_BUF bytes is all or nothing.  Capacity is
 * rounded up to whole pages; unlike Linux's, it is not used up by the number of writes.
 *
 * In setup and verification nothing takes time, and nobody could end a wait: a call that would have
 * to wait for ever is fatal.
 */
#include "htm.h"
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum { PIPES = 256, FIRST_FD = 1000 }; /* pipe i has the descriptors FIRST_FD + 2i and the next */

struct pipe {
    char *ring;                 /* of the arena; NULL: not in use */
    size_t capacity, at, bytes; /* `bytes` wait to be read, from `at` on */
    bool reading, writing;      /* the end is open */
    bool nonblocking;
};

static struct pipe pipes[PIPES];

void sim_pipe_reset(void) { memset(pipes, 0, sizeof pipes); }

/* The pipe of which `fd` is the given end, if that is open; otherwise NULL. */
static struct pipe *find(int fd, bool write_end) {
    const unsigned i = (unsigned)(fd - FIRST_FD);
    if (fd < FIRST_FD || i >= 2 * PIPES || (i % 2 == 1) != write_end)
        return NULL;
    struct pipe *p = &pipes[i / 2];
    return p->ring != NULL && (write_end ? p->writing : p->reading) ? p : NULL;
}

int machine_pipe(int fds[2], size_t capacity_bytes, bool nonblocking) {
    (void)sim_syscall();
    unsigned i = 0;
    while (i < PIPES && pipes[i].ring != NULL)
        i++;
    if (i == PIPES)
        return -EMFILE;
    const size_t capacity =
        capacity_bytes == 0 ? SIM_PAGE : (capacity_bytes + SIM_PAGE - 1) / SIM_PAGE * SIM_PAGE;
    char *ring = machine_alloc(capacity);
    if (ring == NULL)
        return -ENOMEM;
    pipes[i] = (struct pipe){ring, capacity, 0, 0, true, true, nonblocking};
    fds[0] = FIRST_FD + (int)(2 * i);
    fds[1] = fds[0] + 1;
    return 0;
}

/* Of `bytes` from the ring's byte `at` on, how many come before its end. */
static size_t straight(const struct pipe *p, size_t at, size_t bytes) {
    const size_t place = at % p->capacity;
    return bytes < p->capacity - place ? bytes : p->capacity - place;
}

static void put(const struct pipe *p, size_t at, const char *from, size_t bytes) {
    const size_t first = straight(p, at, bytes);
    sim_htm_claim((uintptr_t)from, bytes, SIM_READ);
    memcpy(p->ring + at % p->capacity, from, first);
    memcpy(p->ring, from + first, bytes - first);
}

static void get(const struct pipe *p, size_t at, char *to, size_t bytes) {
    const size_t first = straight(p, at, bytes);
    sim_htm_claim((uintptr_t)to, bytes, SIM_WRITE);
    memcpy(to, p->ring + at % p->capacity, first);
    memcpy(to + first, p->ring, bytes - first);
}

/* What that costs.  Others may run meanwhile, so it comes behind the move: the kernel's lock on the
 * pipe, which would keep them out, is not modelled. */
static void charge(const struct pipe *p, size_t at, const void *buffer, bool write, size_t bytes) {
    const uintptr_t ring = (uintptr_t)p->ring, place = at % p->capacity;
    const size_t first = straight(p, at, bytes);
    const enum sim_right right = write ? SIM_WRITE : SIM_READ;
    sim_instructions(sim_cpu_now, bytes / 16);
    sim_access(sim_cpu_now, (uintptr_t)buffer, bytes, write ? SIM_READ : SIM_WRITE);
    sim_access(sim_cpu_now, ring + place, first, right);
    sim_access(sim_cpu_now, ring, bytes - first, right);
}

/* The two ends wait for different things. */
static const void *readable(const struct pipe *p) { return &p->reading; }
static const void *writable(const struct pipe *p) { return &p->writing; }

ssize_t machine_write(int fd, const void *buffer, size_t bytes) {
    (void)sim_syscall();
    size_t done = 0;
    if (find(fd, true) == NULL)
        return -EBADF;
    while (done < bytes) {
        struct pipe *p = find(fd, true);
        if (p == NULL || !p->reading)
            return done > 0 ? (ssize_t)done : -EPIPE;
        const size_t room = p->capacity - p->bytes;
        const size_t left = bytes - done;
        if (room == 0 || (bytes <= PIPE_BUF && room < left)) {
            if (p->nonblocking)
                return done > 0 ? (ssize_t)done : -EAGAIN;
            (void)sim_sleep(writable(p), UINT64_MAX);
            continue;
        }
        const size_t n = left < room ? left : room;
        const size_t at = p->at + p->bytes;
        const char *from = (const char *)buffer + done;
        put(p, at, from, n);
        p->bytes += n;
        done += n;
        sim_wake(readable(p), UINT_MAX);
        charge(p, at, from, true, n);
    }
    return (ssize_t)done;
}

ssize_t machine_read(int fd, void *buffer, size_t bytes) {
    (void)sim_syscall();
    for (;;) {
        struct pipe *p = find(fd, false);
        if (p == NULL)
            return -EBADF;
        if (bytes == 0)
            return 0;
        if (p->bytes > 0) {
            const size_t n = bytes < p->bytes ? bytes : p->bytes;
            const size_t at = p->at;
            get(p, at, buffer, n);
            p->at = (at + n) % p->capacity;
            p->bytes -= n;
            sim_wake(writable(p), UINT_MAX);
            charge(p, at, buffer, false, n);
            return (ssize_t)n;
        }
        if (!p->writing)
            return 0;
        if (p->nonblocking)
            return -EAGAIN;
        (void)sim_sleep(readable(p), UINT64_MAX);
    }
}

void machine_close(int fd) {
    (void)sim_syscall();
    struct pipe *p = find(fd, false);
    if (p != NULL) {
        p->reading = false;
    } else {
        p = find(fd, true);
        if (p == NULL)
            return;
        p->writing = false;
    }
    sim_wake(readable(p), UINT_MAX);
    sim_wake(writable(p), UINT_MAX);
    if (!p->reading && !p->writing) {
        machine_free(p->ring);
        p->ring = NULL;
    }
}
