/*
 * test_htm_injected.c - engines of hardware transactions in the simulator, with aborts injected at
 * their begins, at every access and at their ends: every status, once at each point of a run and
 * again and again.  Workloads verify themselves; commits must be counted exactly.
 */
#include "cell.h"
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simulated_only.h"

#ifndef NO_SIMULATED_MACHINE

enum { VALUES_MAX = 16 };

static const unsigned statuses[] = {
    0,
    MACHINE_TX_RETRY,
    MACHINE_TX_CONFLICT,
    MACHINE_TX_CONFLICT | MACHINE_TX_RETRY,
    MACHINE_TX_CAPACITY,
    MACHINE_TX_CAPACITY | MACHINE_TX_CONFLICT,
    MACHINE_TX_DEBUG,
};
enum { STATUSES = sizeof statuses / sizeof *statuses };

struct injection {
    uint64_t asked, injected;
    uint64_t at;     /* that point only; or, when it is UINT64_MAX, */
    unsigned one_in; /* one in so many, by chance */
    unsigned status; /* index; the next one is another */
    uint64_t random;
};

static bool inject(void *context, const struct sim_cpu *c, enum sim_tx_point point,
                   uintptr_t address, unsigned *status) {
    struct injection *in = context;
    (void)c, (void)point, (void)address;
    in->random = in->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    const uint64_t n = in->asked++;
    if (in->at != UINT64_MAX ? n != in->at : (in->random >> 33) % in->one_in != 0)
        return false;
    *status = statuses[in->status++ % STATUSES];
    in->injected++;
    return true;
}

static void set_options(const struct tm_param *params, const char *text, union tm_value *values) {
    char copy[128], why[CELL_WHY_SIZE];
    params_default(params, values);
    snprintf(copy, sizeof copy, "%s", text);
    char *rest = NULL;
    for (char *word = strtok_r(copy, ":", &rest); word != NULL; word = strtok_r(NULL, ":", &rest)) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        unsigned i = 0;
        while (params[i].name != NULL && strcmp(params[i].name, word) != 0)
            i++;
        if (params[i].name == NULL || !param_parse(&params[i], value, &values[i], why, sizeof why))
            fail_msg("%s: no such option", word);
    }
}

/* Runs so many operations; the run must verify, and count as many commits as it made blocks. */
static void run_with(const char *workload, const char *arguments, const char *engine,
                     const char *options, unsigned threads, uint64_t ops, struct injection *in) {
    union tm_value args[VALUES_MAX], values[VALUES_MAX];
    const struct tm_cell *cell = cell_find(workload, engine, NULL, "sim");
    assert_non_null(cell);
    set_options(cell->workload->params, arguments, args);
    set_options(cell->engine->options, options, values);
    const struct cell_request request = {
        .cell = cell,
        .machine = machine_find("sim"),
        .profile = "i7-4770",
        .args = args,
        .options = values,
        .threads = threads,
        .seed = 7,
        .ops_per_thread = ops,
    };
    struct cell_sample sample;
    const struct sim_tx_injector injector = {inject, in};
    sim_tx_inject(&injector);
    const bool ok = cell_measure(&request, &sample);
    sim_tx_inject(NULL);
    if (!ok)
        fail_msg("%s%s/%s:%s, point %lld: %s", workload, arguments, engine, options,
                 (long long)in->at, sample.why);
    assert_int_equal(sample.stats.commits, ops * threads);
}

static const struct {
    const char *engine, *options;
} ways[] = {
    {"htm", "policy=glibc"},
    {"htm", "policy=wait"},
    {"htm", "policy=odaira:retries=8"},
    {"htm", "policy=c7"},
    {"htm", "policy=fixed:length=4"},
    {"hybrid", "slow=norec"},
    {"hybrid", "slow=rh"},
    {"hybrid", "slow=norec:contended=software"},
    {"hybrid", "slow=rh:contended=software"},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* One abort, at each point that the run comes to, with every status in turn. */
static void one_abort_at_every_point(void **state) {
    (void)state;
    uint64_t points = 0;
    for (unsigned w = 0; w < WAYS; w++) {
        struct injection count = {.at = UINT64_MAX - 1};
        run_with("bank", "accounts=8:audits=20", ways[w].engine, ways[w].options, 2, 6, &count);
        assert_true(count.asked > 50);
        for (uint64_t at = 0; at < count.asked; at++) {
            struct injection in = {.at = at, .status = (unsigned)at};
            run_with("bank", "accounts=8:audits=20", ways[w].engine, ways[w].options, 2, 6, &in);
            assert_int_equal(in.injected, 1);
            points++;
        }
    }
    print_message("           %llu points\n", (unsigned long long)points);
}

/* Many of them, and four threads that fall back while others run. */
static void aborts_again_and_again(void **state) {
    (void)state;
    static const unsigned one_in[] = {3, 20, 200};
    uint64_t injected = 0;
    for (unsigned w = 0; w < WAYS; w++)
        for (unsigned i = 0; i < sizeof one_in / sizeof *one_in; i++) {
            struct injection in = {.at = UINT64_MAX, .one_in = one_in[i], .random = w};
            run_with("bank", "accounts=16", ways[w].engine, ways[w].options, 4, 150, &in);
            run_with("intset", "kind=list:range=32:updates=60", ways[w].engine, ways[w].options, 4,
                     100, &in);
            run_with("counter", "", ways[w].engine, ways[w].options, 4, 300, &in);
            injected += in.injected;
        }
    print_message("           %llu aborts\n", (unsigned long long)injected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_abort_at_every_point),
        cmocka_unit_test(aborts_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
