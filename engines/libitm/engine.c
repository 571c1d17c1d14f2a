/*
 * libitm - the rare half: counting executions, cancelling, irrevocability, the choice of a method.
 */
#define LIBITM_ENGINE_C
#include "tm.h"

#include "../lib/fatal.h"

#include <string.h>

/* The runtime's interface (the ABI document, sections 5.2, 5.6 and 5.11); gcc has no header. */
enum { USER_ABORT = 1, OUTER_ABORT = 16, MODE_SERIAL_IRREVOCABLE = 0 };
void _ITM_abortTransaction(int) __attribute__((transaction_pure, noreturn, regparm(2)));
void _ITM_changeTransactionMode(int) __attribute__((transaction_pure, regparm(2)));

enum {
    WAIT_SPINS = 4,         /* tm_retry: times of pausing in place, */
    WAIT_YIELDS = 16,       /* of giving the processor up, up to this count, */
    WAIT_NAP_NS = 50000,    /* then of sleeping this long, */
    WAIT_NAP_DOUBLINGS = 4, /* and up to this often twice as long */
};

/*
 * _ITM_beginTransaction returns once, and once more for each restart (bit 3 of the result: restore
 * the locals) and for a cancelled block (bit 4).  tm_begin_may_cancel takes the return address off
 * the stack, keeps it, and calls the runtime, which then takes *our* address for the place to
 * return to.  So returns can be counted, and after a cancellation the block begins anew, for its
 * own code like after a restart: the locals it saved in the first place (bit 2) are restored.
 *
 * Whose block it is, only a thread-local variable can tell here; simulated threads, which share one
 * host thread, do not run this engine.  A nested block (`begun` is set) goes straight to the
 * runtime: it is flattened, and all returns go to the outermost one.
 *
 * pr_hasNoAbort, bit 3 of the properties, is cleared: gcc promises that a block without a
 * __transaction_cancel of its own is not cancelled, but tm_block_restart does it.
 */
__thread struct libitm_block *tm_current __attribute__((tls_model("initial-exec")));
uint32_t tm_cancelled(struct libitm_block *block);

_Static_assert(offsetof(struct libitm_block, begun) == 0 &&
                   offsetof(struct libitm_block, executions) == 8 &&
                   offsetof(struct libitm_block, properties) == 16 &&
                   offsetof(struct libitm_block, cancelled) == 20 &&
                   offsetof(struct libitm_block, counted) == 24,
               "the code below has these offsets");
__asm__(".text\n"
        ".p2align 4\n"
        ".globl tm_begin_counted\n"
        ".type tm_begin_counted, @function\n"
        "tm_begin_counted:\n" /* files that never cancel: nothing to do when nothing can restart */
        "    movq tm_current@gottpoff(%rip), %rdx\n"
        "    movq %fs:(%rdx), %rdx\n"
        "    cmpl $0, 24(%rdx)\n"
        "    je 9f\n"
        ".globl tm_begin_may_cancel\n"
        ".type tm_begin_may_cancel, @function\n"
        "tm_begin_may_cancel:\n"
        "    movq tm_current@gottpoff(%rip), %rdx\n"
        "    movq %fs:(%rdx), %rdx\n"
        "    cmpq $0, (%rdx)\n"
        "    jne 9f\n"
        "    andl $~8, %edi\n"
        "    movl %edi, 16(%rdx)\n"
        "    popq (%rdx)\n"
        "1:  call *_ITM_beginTransaction@GOTPCREL(%rip)\n"
        "    movq tm_current@gottpoff(%rip), %rdx\n"
        "    movq %fs:(%rdx), %rdx\n"
        "    testl $16, %eax\n"
        "    jne 3f\n"
        "    addq $1, 8(%rdx)\n"
        "    cmpl $0, 20(%rdx)\n"
        "    jne 4f\n"
        "2:  pushq (%rdx)\n"
        "    ret\n"
        "3:  movq %rdx, %rdi\n"
        "    call tm_cancelled\n"
        "    movl %eax, %edi\n"
        "    jmp 1b\n"
        "4:  andl $~4, %eax\n"
        "    orl $8, %eax\n"
        "    jmp 2b\n"
        "9:  jmp *_ITM_beginTransaction@GOTPCREL(%rip)\n"
        ".size tm_begin_counted, .-tm_begin_counted\n");

/* All executions but the last were restarted by the runtime. */
static void count_restarts(struct tm_thread *self) {
    if (self->block.executions > 1) {
        self->common.stats.aborts[TM_UNKNOWN] += self->block.executions - 1;
        self->common.last_abort =
            (struct tm_event){.cause = TM_UNKNOWN, .site = self->block.begun, .peer = -1};
    }
    self->block.executions = 0;
}

/* ---- blocks --------------------------------------------------------------------------------- */

static void wait_in_retry(struct tm_thread *self) {
    const unsigned n = self->waits++;
    if (n < WAIT_SPINS)
        for (unsigned i = 16U << n; i > 0; i--)
            machine_cpu_relax();
    else if (n < WAIT_YIELDS)
        machine_yield();
    else {
        const unsigned doublings = n - WAIT_YIELDS;
        machine_wait(&self->nap, 0,
                     (uint64_t)WAIT_NAP_NS
                         << (doublings < WAIT_NAP_DOUBLINGS ? doublings : WAIT_NAP_DOUBLINGS));
    }
}

/* The runtime has undone the block.  Returns its properties, with which it begins again. */
uint32_t tm_cancelled(struct libitm_block *block) {
    struct tm_thread *self =
        (struct tm_thread *)((char *)block - offsetof(struct tm_thread, block));
    count_restarts(self);
    block->cancelled = 1;
    if (self->waiting) {
        self->common.stats.retries++;
        wait_in_retry(self);
    } else {
        self->common.stats.aborts[TM_EXPLICIT]++;
        self->common.last_abort =
            (struct tm_event){.cause = TM_EXPLICIT, .site = block->begun, .peer = -1};
    }
    return block->properties;
}

/* The end of a block about which there is more to say than that it has committed. */
void tm_end_slow(struct tm_thread *self) {
    count_restarts(self);
    self->block.begun = NULL;
    self->block.cancelled = 0;
    self->waits = 0;
    if (self->irrevocable) {
        self->common.stats.irrevocable++;
        self->irrevocable = false;
    }
}

static _Noreturn void cancel(struct tm_thread *self, bool waiting, const char *what) {
    if (self->common.depth == 0)
        tm_fatal("%s outside of a block", what);
    if (self->irrevocable)
        tm_fatal("%s in an irrevocable block", what);
    self->waiting = waiting;
    _ITM_abortTransaction(USER_ABORT | OUTER_ABORT);
}

_Noreturn void tm_block_retry(struct tm_thread *self) { cancel(self, true, "tm_retry"); }

_Noreturn void tm_block_restart(struct tm_thread *self) { cancel(self, false, "tm_abort_restart"); }

/* The runtime may restart the block in serial mode for this. */
void tm_irrevocable(struct tm_thread *self) {
    if (self->common.depth == 0)
        tm_fatal("tm_irrevocable outside of a block");
    _ITM_changeTransactionMode(MODE_SERIAL_IRREVOCABLE);
    self->irrevocable = true;
}

_Noreturn void tm_out_of_memory(size_t bytes) {
    tm_fatal("out of memory: tm_new asked for %zu bytes", bytes);
}

/* ---- descriptor ----------------------------------------------------------------------------- */

static const char *const methods[] = {"ml_wt", "gl_wt"};

static const struct tm_param libitm_options[] = {
    {"method", "the runtime's algorithm: ownership records or one versioned lock", TM_CHOICE,
     "ml_wt", .choices = "ml_wt|gl_wt"},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

static const char *libitm_unavailable(void) {
    return strcmp(TM_STRING(TM_MACHINE), "native") == 0
               ? NULL
               : "gcc's runtime is a binary: it runs on the native machine only";
}

static unsigned libitm_threads; /* of this measurement; constant between start and stop */

static bool libitm_start(const union tm_value *options, unsigned threads, char *why,
                         size_t why_size) {
    const char *wanted = methods[options == NULL ? 0 : options[0].choice];
    /* The runtime reads it once, before the first transaction of the process. */
    const char *chosen = getenv("ITM_DEFAULT_METHOD");
    libitm_threads = threads;
    if (chosen != NULL && strcmp(chosen, wanted) == 0)
        return true;
    snprintf(why, why_size,
             "method=%s needs a process started with ITM_DEFAULT_METHOD=%s; it is %s", wanted,
             wanted, chosen == NULL ? "not set" : chosen);
    return false;
}

static void libitm_stop(void) {}

static struct tm_thread *libitm_attach(unsigned index, bool direct) {
    struct tm_thread *self = machine_alloc_aligned(sizeof *self, TM_CACHE_LINE);
    if (self == NULL)
        return NULL;
    self->common.index = index;
    self->common.last_abort.peer = -1;
    self->block.counted = libitm_threads > 1 && !direct;
    tm_current = &self->block;
    return self;
}

static void libitm_detach(struct tm_thread *self) {
    tm_current = NULL;
    machine_free(self);
}

/* Outside of blocks a thread holds nothing. */
static void libitm_pause(struct tm_thread *self) { (void)self; }

static struct tm_stats *libitm_stats(struct tm_thread *self) { return &self->common.stats; }

const struct tm_engine tm_engine_descriptor = {
    .name = "libitm",
    .help = "gcc's own transactional memory: -fgnu-tm and its runtime",
    .stands_for = "what a C programmer has today",
    .options = libitm_options,
    .max_threads = 1024,
    .rollback = true,
    .process_env = "ITM_DEFAULT_METHOD:method",
    .not_simulated = "its runtime is a binary library: the simulator cannot see what it accesses",
    .unavailable = libitm_unavailable,
    .start = libitm_start,
    .attach = libitm_attach,
    .detach = libitm_detach,
    .suspend = libitm_pause,
    .resume = libitm_pause,
    .stop = libitm_stop,
    .stats = libitm_stats,
};
TM_REGISTER(tm_engines, struct tm_engine, tm_engine_descriptor);
