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
 * _ITM_beginTransaction returns once, and once more for each restart.  To count that, this function
 * takes the return address off the stack, keeps it, and calls the runtime, which then takes *our*
 * address for the place to restart from.  Whose block it is, only a thread-local variable can tell
 * here; simulated threads, which share one host thread, do not run this engine.  The variable is
 * NULL where nothing has to be counted: one thread cannot conflict.  A nested block (`begun` is
 * set) goes straight to the runtime, because restarts go to the outermost one.
 *
 * pr_hasNoAbort, bit 3 of the properties, is cleared: gcc promises that no block without a
 * __transaction_cancel of its own is cancelled, but tm_block_restart cancels them.
 */
__thread struct libitm_block *tm_counted __attribute__((tls_model("initial-exec")));

_Static_assert(offsetof(struct libitm_block, begun) == 0 &&
                   offsetof(struct libitm_block, executions) == 8,
               "the code below has these offsets");
__asm__(".text\n"
        ".p2align 4\n"
        ".globl tm_begin_counted\n"
        ".type tm_begin_counted, @function\n"
        "tm_begin_counted:\n"
        "    andl $~8, %edi\n"
        "    movq tm_counted@gottpoff(%rip), %rdx\n"
        "    movq %fs:(%rdx), %rdx\n"
        "    testq %rdx, %rdx\n"
        "    jz 1f\n"
        "    cmpq $0, (%rdx)\n"
        "    jne 1f\n"
        "    popq (%rdx)\n"
        "    call *_ITM_beginTransaction@GOTPCREL(%rip)\n"
        "    movq tm_counted@gottpoff(%rip), %rdx\n"
        "    movq %fs:(%rdx), %rdx\n"
        "    addq $1, 8(%rdx)\n"
        "    pushq (%rdx)\n"
        "    ret\n"
        "1:  jmp *_ITM_beginTransaction@GOTPCREL(%rip)\n"
        ".size tm_begin_counted, .-tm_begin_counted\n");

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

/* The end of a block about which something is to be said; called outside of transactions. */
int tm_end_slow(struct tm_thread *self) {
    struct tm_stats *stats = &self->common.stats;
    /* All but the last execution were restarted by the runtime. */
    if (self->block.executions > 1) {
        stats->aborts[TM_UNKNOWN] += self->block.executions - 1;
        self->common.last_abort =
            (struct tm_event){.cause = TM_UNKNOWN, .site = self->block.begun, .peer = -1};
    }
    self->block.executions = 0;
    const enum libitm_cancel cancelled = self->cancelled;
    self->cancelled = LIBITM_RUNNING;
    if (cancelled != LIBITM_RUNNING) {
        if (cancelled == LIBITM_RETRY) {
            stats->retries++;
            wait_in_retry(self);
        } else {
            stats->aborts[TM_EXPLICIT]++;
            self->common.last_abort =
                (struct tm_event){.cause = TM_EXPLICIT, .site = self->block.begun, .peer = -1};
        }
        self->block.begun = NULL;
        return 0;
    }
    if (self->irrevocable) {
        stats->irrevocable++;
        self->irrevocable = false;
    }
    self->block.begun = NULL;
    self->waits = 0;
    self->common.depth = 0;
    stats->commits++;
    return 1;
}

/* The runtime undoes the writes and continues behind the outermost block, where tm_end looks at
 * `cancelled`. */
static _Noreturn void cancel(struct tm_thread *self, enum libitm_cancel why, const char *what) {
    if (self->common.depth == 0)
        tm_fatal("%s outside of a block", what);
    if (self->irrevocable)
        tm_fatal("%s in an irrevocable block", what);
    self->cancelled = why;
    _ITM_abortTransaction(USER_ABORT | OUTER_ABORT);
}

_Noreturn void tm_block_retry(struct tm_thread *self) { cancel(self, LIBITM_RETRY, "tm_retry"); }

_Noreturn void tm_block_restart(struct tm_thread *self) {
    cancel(self, LIBITM_RESTART, "tm_abort_restart");
}

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
    tm_counted = libitm_threads > 1 && !direct ? &self->block : NULL;
    return self;
}

static void libitm_detach(struct tm_thread *self) {
    tm_counted = NULL;
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
