/*
 * htm_kernels.h - kernels that find the limits of hardware transactions: one function a kernel,
 * each call one point of a curve, on this computer or on a simulated one.
 *
 * The same code on both, through struct machine_transactions; what a simulated machine must be told
 * of accesses it is told by hand, as the harness is not instrumented.
 *
 * Not thread-safe: one point at a time.
 */
#ifndef ALLCORES_HTM_KERNELS_H
#define ALLCORES_HTM_KERNELS_H

#include "cell.h"

/* Where a point is measured. */
struct htm_rig {
    const struct machine *machine; /* with `transactions` */
    const char *profile;           /* of a simulated machine; NULL on a real one */
    size_t line_bytes;
    unsigned sibling; /* thread index that shares the core of thread 0; 0: there is none */
};

enum htm_pattern { HTM_DENSE, HTM_STRIDED, HTM_RANDOM, HTM_PATTERNS };
extern const char *const htm_pattern_names[HTM_PATTERNS];

/* What a point is about.  Fields that a kernel does not use are 0. */
struct htm_question {
    size_t lines;      /* of the footprint, each accessed once by a transaction */
    size_t unit_bytes; /* what stands for a line, such as an entry of the store cache; 0: a line */
    size_t stride_bytes; /* between them; 0: by pattern */
    /* Dense: one after the other; strided: every second one; random: any of a region that is four
     * times as large. */
    enum htm_pattern pattern;
    bool write;
    bool warm;    /* they have been read just before; otherwise by nobody */
    bool sibling; /* that one goes round and round in as large a footprint of its own */
    unsigned tries;
};

struct htm_answer {
    uint64_t tries, commits;
    double ns;                          /* each try, or each commit, as the kernel says */
    uint64_t aborts[MACHINE_TX_CAUSES]; /* simulated only */
};

/*
 * False and one line in `why` (CELL_WHY_SIZE bytes) when the machine or memory cannot be had. Timer
 * interrupts of a simulated machine are off but in htm_duration.
 */
typedef bool htm_kernel(const struct htm_rig *rig, const struct htm_question *q,
                        struct htm_answer *a, char *why);

htm_kernel htm_footprint; /* a transaction accesses `lines` lines */
htm_kernel htm_empty;     /* begin, end; `ns`: both */
htm_kernel htm_aborted;   /* begin, explicit abort; `ns`: both */
/* Two threads add to a word each in transactions, tried until they commit; in lines of their own
 * (stride_bytes a line or more), or in one.  `ns`: a commit, over both threads' time. */
htm_kernel htm_sharing;
/* Computes for `ns` nanoseconds in a transaction, and between them for a random time of up to
 * `between_ns`, so that they keep no step with the timer. */
bool htm_duration(const struct htm_rig *rig, double ns, double between_ns, unsigned tries,
                  struct htm_answer *a, char *why);

#endif
