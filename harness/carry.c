/*
 * carry.c - the order of a run.  See carry.h.
 */
#include "carry.h"

#include "schedule.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t second_ns = 1000000000U;

struct carry {
    const struct plan *plan;
    struct run_data *data;
    const struct executor *executor;
    const struct observer *observer;
    char *why;
    size_t done, total;
    unsigned start; /* number of the current process start */
};

static bool runs(const struct plan_cell *cell) { return cell->unavailable == NULL; }

/* A cell that has failed without being expected to. */
static bool given_up(const struct carry *c, size_t cell) {
    return !plan_cell_contained(&c->plan->cells[cell]) && run_data_failure(c->data, cell) != NULL;
}

size_t carry_total(const struct plan *plan, const struct run_data *data, size_t *done) {
    size_t total = 0;
    *done = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (!runs(&plan->cells[i]))
            continue;
        total += plan->repetitions;
        for (unsigned pass = 0; pass < plan->repetitions; pass++)
            if (run_data_slot(data, i, pass, RECORD_TIMED)->outcome != RECORD_MISSING)
                ++*done;
    }
    return total;
}

static uint64_t interval_ns(const struct plan *plan) {
    return (uint64_t)(plan->min_time_s * (double)second_ns);
}

/* Long enough for caches, page faults and the adaptation of the clock chunks. */
static uint64_t warmup_ns(const struct plan *plan) {
    enum { WARMUP_NS_MIN = 2000000 };
    const uint64_t share = interval_ns(plan) / 6;
    return share > WARMUP_NS_MIN ? share : WARMUP_NS_MIN;
}

/*
 * When a sample counts as hung.  Racing code that has hung once is likely to do so again, and every
 * time would cost the whole limit: later samples of such a cell get a shorter one, which is still
 * several times what the sample asks for.
 */
static uint64_t limit_ns(const struct carry *c, size_t cell) {
    const uint64_t asked = interval_ns(c->plan) + warmup_ns(c->plan);
    if (!plan_cell_contained(&c->plan->cells[cell]))
        return 20 * asked + 60 * second_ns;
    for (unsigned pass = 0; pass < c->plan->repetitions; pass++)
        if (run_data_slot(c->data, cell, pass, RECORD_TIMED)->outcome == RECORD_HUNG)
            return 4 * asked + second_ns;
    return 20 * interval_ns(c->plan) + 5 * second_ns;
}

static enum carry_result one(struct carry *c, size_t cell, unsigned pass, unsigned seed_pass,
                             enum record_kind kind) {
    const struct plan_cell *plan_cell = &c->plan->cells[cell];
    const struct request request = {.cell = plan_cell,
                                    .kind = kind,
                                    .seed = schedule_sample_seed(c->plan->seed, seed_pass),
                                    .warmup_ns = warmup_ns(c->plan),
                                    .interval_ns = interval_ns(c->plan)};
    struct record record = {.cell = cell, .pass = pass, .kind = kind, .start = c->start};
    c->observer->progress(c->observer->state, c->done, c->total, plan_cell);
    switch (c->executor->measure(c->executor->state, &request, limit_ns(c, cell), &record.outcome,
                                 &record.sample)) {
    case EXECUTOR_INTERRUPTED:
        return CARRY_INTERRUPTED;
    case EXECUTOR_BROKEN:
        memcpy(c->why, record.sample.why, CELL_WHY_SIZE);
        return CARRY_BROKEN;
    case EXECUTOR_DONE:
        break;
    }
    if (!run_data_put(c->data, &record))
        abort(); /* the schedule names every slot once */
    c->done++;
    return c->observer->keep(c->observer->state, &record) ? CARRY_DONE : CARRY_NOT_KEPT;
}

static void begin(struct carry *c) {
    c->start = c->data->starts;
    c->executor->start(c->executor->state);
}

static enum carry_result timed_passes(struct carry *c, size_t *order) {
    const struct plan *plan = c->plan;
    unsigned current = UINT32_MAX;
    for (unsigned pass = 0; pass < plan->repetitions; pass++) {
        schedule_order(plan->seed, pass, order, plan->count);
        for (size_t i = 0; i < plan->count; i++) {
            const size_t cell = order[i];
            if (!runs(&plan->cells[cell]) ||
                run_data_slot(c->data, cell, pass, RECORD_TIMED)->outcome != RECORD_MISSING)
                continue;
            if (given_up(c, cell)) {
                c->total--;
                continue;
            }
            if (schedule_start_of(pass, plan->repetitions) != current) {
                current = schedule_start_of(pass, plan->repetitions);
                begin(c);
            }
            const enum carry_result result = one(c, cell, pass, pass, RECORD_TIMED);
            if (result != CARRY_DONE)
                return result;
        }
    }
    return CARRY_DONE;
}

static bool aborted(const struct carry *c, size_t cell) {
    for (unsigned pass = 0; pass < c->plan->repetitions; pass++) {
        const struct record *r = run_data_slot(c->data, cell, pass, RECORD_TIMED);
        for (int cause = 0; cause < TM_CAUSES; cause++)
            if (r->outcome == RECORD_OK && r->sample.stats.aborts[cause] > 0)
                return true;
    }
    return false;
}

/* A diagnostic pass is wanted of this cell and not there yet. */
static bool wanted(const struct carry *c, size_t cell, enum record_kind kind) {
    return runs(&c->plan->cells[cell]) && !plan_cell_contained(&c->plan->cells[cell]) &&
           !given_up(c, cell) && run_data_slot(c->data, cell, 0, kind)->outcome == RECORD_MISSING &&
           (kind == RECORD_LATENCY ? c->plan->latency : aborted(c, cell));
}

/* In a process start of their own, so that nothing of them is near a timed sample. */
static enum carry_result diagnostic_passes(struct carry *c) {
    static const enum record_kind kinds[] = {RECORD_WASTED, RECORD_LATENCY};
    for (size_t k = 0; k < 2; k++)
        for (size_t cell = 0; cell < c->plan->count; cell++)
            c->total += wanted(c, cell, kinds[k]);
    bool begun = false;
    for (size_t k = 0; k < 2; k++)
        for (size_t cell = 0; cell < c->plan->count; cell++) {
            if (!wanted(c, cell, kinds[k]))
                continue;
            if (!begun)
                begin(c);
            begun = true;
            const enum carry_result result =
                one(c, cell, 0, c->plan->repetitions + (unsigned)k, kinds[k]);
            if (result != CARRY_DONE)
                return result;
        }
    return CARRY_DONE;
}

enum carry_result carry_out(const struct plan *plan, struct run_data *data,
                            const struct executor *executor, const struct observer *observer,
                            char why[CELL_WHY_SIZE]) {
    struct carry c = {
        .plan = plan, .data = data, .executor = executor, .observer = observer, .why = why};
    c.total = carry_total(plan, data, &c.done);
    size_t *order = calloc(plan->count > 0 ? plan->count : 1, sizeof *order);
    if (order == NULL) {
        memcpy(why, "out of memory", sizeof "out of memory");
        return CARRY_BROKEN;
    }
    enum carry_result result = timed_passes(&c, order);
    free(order);
    if (result == CARRY_DONE)
        result = diagnostic_passes(&c);
    return result;
}
