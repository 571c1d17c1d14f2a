/*
 * htm_inside.h - an engine of hardware transactions from inside, on a computer that may have none.
 *
 * The engine's source is included with the machine's transactions replaced: each call of
 * machine_tx_begin takes the next entry of a script, which says with what status the execution
 * aborted before its body ran, or that it runs; then the body really runs, as nobody else is there,
 * to machine_tx_end.  So every status can come at every try.  machine_wait, too, is replaced: the
 * test says what has happened when the engine sleeps.
 *
 * A test defines TM_ENGINE and INSIDE_ENGINE (the engine's source) before it includes this file.
 */
#ifndef ALLCORES_HTM_INSIDE_H
#define ALLCORES_HTM_INSIDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define TM_MACHINE native
/* The objects of the matrix carry their machine's name (scripts/qualify). */
#define machine_now_ns machine_now_ns__native
#define machine_wait machine_wait__native
#define machine_wake machine_wake__native
#define machine_yield machine_yield__native
#define machine_heavy_barrier machine_heavy_barrier__native
#define machine_alloc machine_alloc__native
#define machine_alloc_aligned machine_alloc_aligned__native
#define machine_free machine_free__native
#define machine_tx_unavailable machine_tx_unavailable__native
#include "cell.h"

/* ---- the double ----------------------------------------------------------------------------- */

enum { SCRIPT_MAX = 256 };

static struct {
    unsigned status[SCRIPT_MAX];  /* of one try each; beyond `length` they run */
    void (*before)(unsigned try); /* NULL, or called at each try */
    void (*asleep)(void);         /* the engine sleeps: something happens */
    unsigned length;
    unsigned begun, started, ended; /* tries, those that ran, those that committed */
    unsigned sleeps;
    bool running; /* between a begin that ran and its end */
} tx;

static unsigned double_tx_begin(void) {
    assert_false(tx.running); /* nesting is the engine's business, and flat */
    const unsigned try = tx.begun++;
    assert_true(tx.begun < 100000);
    if (tx.before != NULL)
        tx.before(try);
    if (try < tx.length)
        return tx.status[try];
    tx.started++;
    tx.running = true;
    return MACHINE_TX_STARTED;
}

static void double_tx_end(void) {
    assert_true(tx.running);
    tx.running = false;
    tx.ended++;
}

__attribute__((unused)) static void double_tx_abort(unsigned code) {
    fail_msg("abort with code %u from inside of a body: a double cannot undo it", code);
}

__attribute__((unused)) static bool double_tx_test(void) { return tx.running; }

__attribute__((unused)) static bool double_wait(_Atomic uint32_t *word, uint32_t expected,
                                                uint64_t timeout_ns) {
    (void)timeout_ns;
    assert_int_equal(*word, expected); /* else it would not have slept */
    if (tx.sleeps++ > 1000)
        fail_msg("sleeps for ever");
    if (tx.asleep != NULL)
        tx.asleep();
    return true;
}

#undef machine_tx_abort
#undef machine_wait
#define machine_tx_begin double_tx_begin
#define machine_tx_end double_tx_end
#define machine_tx_abort(code) double_tx_abort(code)
#define machine_tx_test double_tx_test
#define machine_wait double_wait

#define TM_RESTARTS
#include INSIDE_ENGINE

/* ---- the engine ----------------------------------------------------------------------------- */

/* Starts the engine with "option=value" strings (NULL-terminated) and attaches one thread. */
__attribute__((unused)) static struct tm_thread *inside_start(const char *const *texts) {
    const struct tm_param *params = tm_engine_descriptor.options;
    union tm_value values[16];
    char why[CELL_WHY_SIZE] = "";
    const unsigned n = params_default(params, values);
    for (; *texts != NULL; texts++) {
        const size_t length = strcspn(*texts, "=");
        unsigned i = 0;
        while (i < n &&
               (strncmp(params[i].name, *texts, length) != 0 || params[i].name[length] != '\0'))
            i++;
        if (i == n || !param_parse(&params[i], *texts + length + 1, &values[i], why, sizeof why))
            fail_msg("option %s: %s", *texts, why);
    }
    memset((void *)&tx, 0, sizeof tx);
    assert_true(tm_engine_descriptor.start(values, 2, why, sizeof why));
    struct tm_thread *self = tm_engine_descriptor.attach(0, false);
    assert_non_null(self);
    return self;
}

__attribute__((unused)) static void inside_stop(struct tm_thread *self) {
    assert_false(tx.running);
    assert_int_equal(tx.started, tx.ended);
    tm_engine_descriptor.detach(self);
    tm_engine_descriptor.stop();
}

/* The next tries abort with these statuses; then they run. */
__attribute__((unused)) static void inside_script(unsigned count, const unsigned *status) {
    assert_true(count <= SCRIPT_MAX);
    memcpy(tx.status, status, count * sizeof *status);
    tx.length = count;
    tx.begun = tx.started = tx.ended = tx.sleeps = 0;
}

__attribute__((unused)) static void inside_repeat(unsigned count, unsigned status) {
    unsigned all[SCRIPT_MAX];
    for (unsigned i = 0; i < count; i++)
        all[i] = status;
    inside_script(count, all);
}

#endif
