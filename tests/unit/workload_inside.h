/*
 * workload_inside.h - lets a unit test include the source of a workload, built for seq, so that it
 * can look into the world and damage it.
 *
 * The objects of the matrix carry the names of their cell (scripts/qualify); the source that is
 * included here must call the engine and the machine by those names.
 */
#ifndef ALLCORES_WORKLOAD_INSIDE_H
#define ALLCORES_WORKLOAD_INSIDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define TM_ENGINE seq
#define TM_MACHINE native
#define tm_alloc tm_alloc__seq__native
#define tm_release tm_release__seq__native
#define tm_block_retry tm_block_retry__seq__native
#define tm_block_restart tm_block_restart__seq__native
#define tm_engine_descriptor tm_engine_descriptor__seq__native
#define machine_alloc machine_alloc__native
#define machine_alloc_aligned machine_alloc_aligned__native
#define machine_free machine_free__native

#include "cell.h"
#include "tm.h"

/* A world after setup and some operations of thread 0. */
struct inside {
    const struct tm_workload *workload;
    struct tm_thread *self;
    struct world *world;
    uint64_t ops;
};

/* `settings`: "name=value" texts, the last one NULL.  The test fails when setup does. */
static struct inside inside_build(const struct tm_workload *workload, const char *const *settings,
                                  unsigned threads, uint64_t seed, uint64_t ops) {
    union tm_value args[16];
    char why[CELL_WHY_SIZE] = "";
    params_default(workload->params, args);
    for (; *settings != NULL; settings++) {
        const char *equals = strchr(*settings, '=');
        assert_non_null(equals);
        const size_t length = (size_t)(equals - *settings);
        unsigned i = 0;
        while (workload->params[i].name != NULL &&
               (strlen(workload->params[i].name) != length ||
                strncmp(workload->params[i].name, *settings, length) != 0))
            i++;
        assert_non_null(workload->params[i].name);
        assert_true(param_parse(&workload->params[i], equals + 1, &args[i], why, sizeof why));
    }
    const struct tm_setup setup = {args, threads, seed};
    struct tm_rand rng = {seed | 1};
    struct inside inside = {.workload = workload, .ops = ops};
    inside.self = tm_engine_descriptor.attach(0, true);
    assert_non_null(inside.self);
    inside.world = workload->setup(inside.self, &setup, why, sizeof why);
    if (inside.world == NULL)
        fail_msg("setup: %s", why);
    workload->loop(inside.self, inside.world, &rng, ops);
    return inside;
}

static bool inside_verifies(const struct inside *inside, uint64_t ops) {
    char why[CELL_WHY_SIZE] = "";
    const bool ok = inside->workload->verify(inside->self, inside->world, ops, why, sizeof why);
    assert_true(ok == (why[0] == '\0')); /* a reason, and only when something is wrong */
    return ok;
}

static void inside_free(const struct inside *inside) {
    inside->workload->teardown(inside->self, inside->world);
    tm_engine_descriptor.detach(inside->self);
}

/* Damages one property of the world.  Calling it again must undo the damage. */
typedef void (*inside_damage)(TM_SELF, struct world *w);

/* The world is accepted before and after the damage, not while it lasts. */
static void inside_expect_refusal(const struct inside *inside, inside_damage damage) {
    assert_true(inside_verifies(inside, inside->ops));
    damage(inside->self, inside->world);
    assert_false(inside_verifies(inside, inside->ops));
    damage(inside->self, inside->world);
    assert_true(inside_verifies(inside, inside->ops));
}

/* FNV-1a over 64-bit words: for comparing states. */
static uint64_t inside_mix(uint64_t digest, uint64_t word) {
    return (digest ^ word) * UINT64_C(0x100000001b3);
}

/* Equal seeds give equal states, and another seed another one. */
static void inside_check_seeds(const struct tm_workload *workload, const char *const *settings,
                               uint64_t ops, uint64_t (*digest)(TM_SELF, struct world *w)) {
    uint64_t digests[3];
    for (unsigned i = 0; i < 3; i++) {
        const struct inside inside = inside_build(workload, settings, 1, i < 2 ? 77 : 78, ops);
        digests[i] = digest(inside.self, inside.world);
        inside_free(&inside);
    }
    assert_true(digests[0] == digests[1]);
    assert_true(digests[0] != digests[2]);
}

/* Verification counts the operations. */
static void inside_check_ops(const struct tm_workload *workload, const char *const *settings) {
    const struct inside inside = inside_build(workload, settings, 1, 5, 1000);
    assert_true(inside_verifies(&inside, 1000));
    assert_false(inside_verifies(&inside, 1001));
    assert_false(inside_verifies(&inside, 999));
    inside_free(&inside);
}

#define INSIDE_SETTINGS(...)                                                                       \
    (const char *const[]) { __VA_ARGS__, NULL }

#endif
