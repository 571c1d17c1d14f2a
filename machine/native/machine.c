/*
 * The native machine: this computer.  pthreads pinned through hwloc, futex(2), membarrier(2),
 * malloc.
 *
 * It adds nothing to what engines and workloads do by themselves: loads and stores are the
 * processor's, time is CLOCK_MONOTONIC.
 */
#include "machine.h"

#include "plugin.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <immintrin.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- time ---------------------------------------------------------------------------------- */

uint64_t machine_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* ---- waiting ------------------------------------------------------------------------------- */

bool machine_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns) {
    struct timespec t = {(time_t)(timeout_ns / 1000000000U), (long)(timeout_ns % 1000000000U)};
    const long rc = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
                            timeout_ns == UINT64_MAX ? NULL : &t, NULL, 0);
    return !(rc != 0 && errno == ETIMEDOUT);
}

void machine_wake(_Atomic uint32_t *word, unsigned n) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n > INT_MAX ? INT_MAX : (int)n, NULL, NULL, 0);
}

void machine_yield(void) { sched_yield(); }

static bool expedited; /* written once, before main */

__attribute__((constructor)) static void register_membarrier(void) {
    expedited = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void machine_heavy_barrier(void) {
    if (expedited && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
        return;
    /* Kernels before 4.14, or a sandbox that forbids it: the slow command does the same for the
     * whole system; where that fails too, changing a page's protection interrupts every processor
     * that runs this process (a TLB shootdown), which is a full barrier there. */
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
        return;
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static char *page;
    pthread_mutex_lock(&mutex);
    if (page == NULL && posix_memalign((void **)&page, 4096, 4096) != 0)
        abort();
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
    *(volatile char *)page = 0;
    mprotect(page, 4096, PROT_READ);
    pthread_mutex_unlock(&mutex);
}

/* ---- memory -------------------------------------------------------------------------------- */

void *machine_alloc(size_t bytes) { return malloc(bytes); }

void *machine_alloc_aligned(size_t bytes, size_t align) {
    void *p = NULL;
    if (posix_memalign(&p, align, bytes) != 0)
        return NULL;
    return memset(p, 0, bytes);
}

void machine_free(void *p) { free(p); }

/* ---- blocking calls ------------------------------------------------------------------------ */

int machine_pipe(int fds[2], size_t capacity_bytes, bool nonblocking) {
    if (pipe2(fds, O_CLOEXEC | (nonblocking ? O_NONBLOCK : 0)) != 0)
        return -errno;
    /* Larger than /proc/sys/fs/pipe-max-size is refused to users: the default size serves too. */
    (void)fcntl(fds[1], F_SETPIPE_SZ, (int)capacity_bytes);
    return 0;
}

ssize_t machine_write(int fd, const void *buffer, size_t bytes) {
    ssize_t n;
    do
        n = write(fd, buffer, bytes);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t machine_read(int fd, void *buffer, size_t bytes) {
    ssize_t n;
    do
        n = read(fd, buffer, bytes);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

void machine_close(int fd) { close(fd); }

/* ---- hardware transactions ----------------------------------------------------------------- */

__attribute__((target("rtm"))) static bool one_transaction_commits(void) {
    static volatile unsigned word;
    word = 0; /* the page is mapped before the first try */
    for (int i = 0; i < 1000; i++)
        if (_xbegin() == _XBEGIN_STARTED) {
            word++;
            _xend();
            return true;
        }
    return false;
}

/* Available means that a probe transaction committed: RTM may be absent, switched off by microcode
 * (RTM_ALWAYS_ABORT), or present and aborting for ever (Intel SDM vol. 1, RTM chapter). */
const char *machine_tx_unavailable(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return "the CPU has no CPUID leaf 7, so no RTM";
    if (d & (1U << 11))
        return "RTM is disabled on this CPU (CPUID.7.0.EDX[11], RTM_ALWAYS_ABORT)";
    if (!(b & (1U << 11)))
        return "the CPU has no RTM (CPUID.7.0.EBX[11] is 0)";
    if (!one_transaction_commits())
        return "the CPU announces RTM, but 1000 probe transactions aborted";
    return NULL;
}

/* ---- threads ------------------------------------------------------------------------------- */

struct machine_thread {
    pthread_t thread;
    unsigned index;
    void (*fn)(void *);
    void *argument;
};

static hwloc_topology_t topology; /* loaded once, read-only afterwards */
static pthread_once_t topology_once = PTHREAD_ONCE_INIT;

static void load_topology(void) {
    if (hwloc_topology_init(&topology) != 0 || hwloc_topology_load(topology) != 0) {
        topology = NULL; /* threads then run unpinned */
        return;
    }
    /* A topology holds what a container allows, but not what taskset or numactl leave: binding to
     * another processor would simply succeed. */
    hwloc_cpuset_t mine = hwloc_bitmap_alloc();
    if (mine != NULL && hwloc_get_cpubind(topology, mine, HWLOC_CPUBIND_PROCESS) == 0)
        (void)hwloc_topology_restrict(topology, mine, 0);
    hwloc_bitmap_free(mine);
}

/* Processor for thread `index`: the first hardware thread of each core, then the second of each,
 * and around again; restricted to what this process may use.  NULL when nothing is known. */
static hwloc_obj_t processor(unsigned index) {
    const int processors = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    const int cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
    if (processors <= 0)
        return NULL;
    unsigned left = index % (unsigned)processors;
    if (cores <= 0)
        return hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, left);
    for (unsigned smt = 0; smt < (unsigned)processors; smt++)
        for (int c = 0; c < cores; c++) {
            hwloc_obj_t core = hwloc_get_obj_by_type(topology, HWLOC_OBJ_CORE, (unsigned)c);
            hwloc_obj_t pu = core == NULL ? NULL
                                          : hwloc_get_obj_inside_cpuset_by_type(
                                                topology, core->cpuset, HWLOC_OBJ_PU, smt);
            if (pu != NULL && left-- == 0)
                return pu;
        }
    return NULL;
}

static void *thread_main(void *argument) {
    struct machine_thread *self = argument;
    if (topology != NULL) {
        hwloc_obj_t pu = processor(self->index);
        if (pu != NULL) /* a refusal (a sandbox) leaves the thread unpinned */
            (void)hwloc_set_cpubind(topology, pu->cpuset, HWLOC_CPUBIND_THREAD);
    }
    self->fn(self->argument);
    return NULL;
}

static struct machine_thread *spawn(unsigned index, void (*fn)(void *), void *argument) {
    pthread_once(&topology_once, load_topology);
    struct machine_thread *thread = malloc(sizeof *thread);
    if (thread == NULL)
        return NULL;
    *thread = (struct machine_thread){.index = index, .fn = fn, .argument = argument};
    const int error = pthread_create(&thread->thread, NULL, thread_main, thread);
    if (error != 0) {
        free(thread);
        errno = error;
        return NULL;
    }
    return thread;
}

static void join(struct machine_thread *thread) {
    pthread_join(thread->thread, NULL);
    free(thread);
}

static const char *unavailable(void) { return NULL; }

static uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static unsigned max_threads(void) { return 1024; }

/* When a transaction aborts, the hardware gives back the stack as well: functions that have
 * returned since its begin do no harm. */
static unsigned tx_begin(void) { return machine_tx_begin(); }
static void tx_end(void) { machine_tx_end(); }
static void tx_abort(void) { machine_tx_abort(1); }

static const struct machine_transactions transactions = {
    .begin = tx_begin,
    .end = tx_end,
    .abort = tx_abort,
    .alloc = machine_alloc,
    .free = machine_free,
};

static const struct machine native = {
    .name = "native",
    .help = "this computer: pinned threads, measured time",
    .unavailable = unavailable,
    .max_threads = max_threads,
    .spawn = spawn,
    .join = join,
    .now_ns = machine_now_ns,
    .cpu_ns = cpu_ns,
    .wait = machine_wait,
    .wake = machine_wake,
    .htm_unavailable = machine_tx_unavailable,
    .transactions = &transactions,
};
TM_REGISTER(tm_machines, struct machine, native);
