/*
 * pages.c - pages of this computer: memfd_create(2), mmap(2), SIGSEGV, and %gs by FSGSBASE.
 */
#include "gs.h"
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- objects ------------------------------------------------------------------------------- */

int machine_object_open(const char *name, size_t bytes) {
    const int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)bytes) != 0) {
        const int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

void machine_object_close(int object) { close(object); }

bool machine_object_write(int object, uint64_t at, const void *from, size_t bytes) {
    const char *next = from;
    while (bytes > 0) {
        const ssize_t n = pwrite(object, next, bytes, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        next += n;
        at += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return true;
}

void machine_object_punch(int object, uint64_t at, size_t bytes) {
    (void)fallocate(object, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)bytes);
}

/* ---- mappings ------------------------------------------------------------------------------ */

static int protection(enum machine_access access) {
    return access == MACHINE_READ_WRITE  ? PROT_READ | PROT_WRITE
           : access == MACHINE_READ_ONLY ? PROT_READ
                                         : PROT_NONE;
}

void *machine_reserve(size_t bytes, enum machine_access access) {
    void *p =
        mmap(NULL, bytes, protection(access), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void machine_unreserve(void *start, size_t bytes) { munmap(start, bytes); }

bool machine_map(void *at, size_t bytes, int object, uint64_t from, enum machine_access access,
                 bool populate) {
    return mmap(at, bytes, protection(access),
                MAP_SHARED | MAP_FIXED | MAP_NORESERVE | (populate ? MAP_POPULATE : 0), object,
                (off_t)from) != MAP_FAILED;
}

bool machine_map_anonymous(void *at, size_t bytes, enum machine_access access) {
    return mmap(at, bytes, protection(access),
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

bool machine_zero_pages(void *at, size_t bytes) { return madvise(at, bytes, MADV_DONTNEED) == 0; }

bool machine_resident_pages(void *at, size_t bytes, unsigned char *resident) {
    if (mincore(at, bytes, resident) != 0)
        return false;
    for (size_t i = 0; i < bytes / 4096; i++)
        resident[i] &= 1;
    return true;
}

/* Set while no thread of an engine runs. */
static struct {
    uintptr_t start;
    size_t bytes;
    const char *line; /* NULL: nobody is interested */
    struct sigaction previous;
} no_memory;

static void on_bus_error(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    if ((uintptr_t)info->si_addr - no_memory.start < no_memory.bytes) {
        (void)!write(STDERR_FILENO, no_memory.line, strlen(no_memory.line));
        abort();
    }
    sigaction(SIGBUS, &no_memory.previous, NULL); /* the access is repeated and ends there */
}

void machine_explain_no_memory(const void *start, size_t bytes, const char *line) {
    if (no_memory.line != NULL)
        sigaction(SIGBUS, &no_memory.previous, NULL);
    no_memory.start = (uintptr_t)start;
    no_memory.bytes = bytes;
    no_memory.line = line;
    if (line == NULL)
        return;
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &no_memory.previous);
}

long machine_mappings_max(void) {
    long most = 65530; /* the kernel's default */
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    if (f != NULL) {
        char line[32];
        if (fgets(line, sizeof line, f) != NULL) {
            const long said = strtol(line, NULL, 10);
            most = said > 0 ? said : most;
        }
        fclose(f);
    }
    return most;
}

/* ---- faults -------------------------------------------------------------------------------- */

static machine_fault_handler *handler; /* set while no thread of an engine runs */
static struct sigaction previous;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    const int saved = errno; /* the load that faulted may stand between a call and its errno */
    if (!handler((uintptr_t)info->si_addr))
        sigaction(SIGSEGV, &previous, NULL); /* the access is repeated and ends there */
    errno = saved;
}

void machine_catch_faults(machine_fault_handler *h) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    handler = h;
    sigaction(SIGSEGV, &action, &previous);
}

void machine_ignore_faults(void) { sigaction(SIGSEGV, &previous, NULL); }

/* ---- %gs ----------------------------------------------------------------------------------- */

static bool fsgsbase; /* written once, before main */

__attribute__((constructor)) static void look_for_fsgsbase(void) { fsgsbase = gs_has_fsgsbase(); }

bool machine_set_gs(const void *base) { return gs_set_base((uintptr_t)base, fsgsbase); }
