/*
 * htm.h - hardware transactions of the simulated machine, as its other parts see them (htm.c).
 *
 * A hardware thread is in a transaction while its sim_cpu has `tx`.  While any is, sim_htm_running
 * is not 0, and every access that does not hit the own filter goes through sim_htm_before and
 * sim_htm_after; at all other times nothing of this costs anything.
 *
 * Thread-safety: none (one host thread simulates).
 */
#ifndef ALLCORES_SIM_HTM_H
#define ALLCORES_SIM_HTM_H

#include "internal.h"

/* Hardware threads in transactions. */
extern unsigned sim_htm_running;

/* Some thread has used another one's stack: see begin in htm.c. */
extern bool sim_htm_stacks_shared;

/* For the profile of sim_session.  False when memory is out. */
bool sim_htm_open(void);
void sim_htm_close(void);
/* Adds the transactions' part. */
void sim_htm_counters(struct machine_counters *sum);

/*
 * Around an access of `bytes` within a line, which is made between the two: conflicts are settled,
 * and the line joins the transaction's set; then whoever lost a line by the access aborts.  Either
 * returns only if the transaction of the thread itself, if there is one, goes on.
 */
void sim_htm_before(struct sim_cpu *c, uintptr_t address, size_t bytes, enum sim_right right);
void sim_htm_after(struct sim_cpu *c, uintptr_t address, enum sim_right right);

/* Code outside of transactions is about to use these bytes, whose accesses were or will be charged
 * elsewhere: whoever has them in a transaction aborts.  Nothing inside of one. */
void sim_htm_claim(uintptr_t start, size_t bytes, enum sim_right right);

/* The simulator has changed bytes of its own that lie within simulated memory: they keep their
 * value whatever aborts. */
void sim_htm_keep(const void *start, size_t bytes);

/* machine_alloc has taken `p` for the thread's transaction, machine_free shall free it: undone by
 * an abort, done at the commit. */
void sim_htm_allocated(struct sim_cpu *c, void *p);
void sim_htm_freed(struct sim_cpu *c, void *p);

/* The transaction of the running thread aborts: it goes on at its begin, with the status that
 * belongs to the cause. */
_Noreturn void sim_htm_abort(struct sim_cpu *c, enum machine_tx_cause cause);
/* Another one's aborts, because of an interrupt. */
void sim_htm_interrupt(struct sim_cpu *c);
/* All but the running one's do: their processors are told of a change of mappings.  Before it is
 * made. */
void sim_htm_interrupt_all(void);
/* The mappings of these addresses are about to change: whoever has used them in a transaction is
 * told at once, others when the caller interrupts all (sim_interrupt_others). */
void sim_htm_unmap(uintptr_t start, size_t bytes);

/* ---- what happened, for reports of conflicts ------------------------------------------------- */

struct sim_abort {
    enum machine_tx_cause cause;
    unsigned status;
    unsigned victim, aggressor; /* hardware threads; the same one when nobody else is to blame */
    uintptr_t address;     /* of the victim's first access to the line; 0: no line is to blame */
    uintptr_t by_address;  /* of the access that caused it; 0: none did */
    uint64_t began, ended; /* clock of the victim, ticks */
};
/* Called at each abort, when the transaction is undone.  NULL: not any more.  Until it is changed.
 */
typedef void sim_abort_listener(void *context, const struct sim_abort *abort);
void sim_htm_listen(sim_abort_listener *listener, void *context);

#endif
