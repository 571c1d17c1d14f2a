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

/* Is measured by the passes, one at a time. */
static bool measured(const struct plan_cell *cell) {
    return runs(cell) && !plan_cell_simulated(cell);
}

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

static uint64_t in_ns(double seconds) { return (uint64_t)(seconds * (double)second_ns + 0.5); }

static uint64_t interval_ns(const struct plan *plan, const struct plan_cell *cell) {
    const double seconds = plan_cell_simulated(cell) ? plan->sim_time_s : plan->min_time_s;
    return in_ns(seconds);
}

/*
 * Long enough for caches, page faults and the adaptation of the clock chunks.  On a simulated
 * machine memory is cold at first, for setting up is not simulated: half as long as the interval,
 * up to the time in which a core fetches all of its caches' lines from memory.  A policy that
 * learns needs longer: plan->warmup_s.
 */
static uint64_t warmup_ns(const struct plan *plan, const struct plan_cell *cell) {
    enum { WARMUP_NS_MIN = 2000000, SIMULATED_WARMUP_NS_MIN = 50000 };
    const uint64_t interval = interval_ns(plan, cell);
    if (plan->warmup_s > 0)
        return in_ns(plan->warmup_s);
    if (plan_cell_simulated(cell)) {
        const uint64_t half = interval / 2;
        return half < SIMULATED_WARMUP_NS_MIN ? SIMULATED_WARMUP_NS_MIN
               : half > WARMUP_NS_MIN         ? WARMUP_NS_MIN
                                              : half;
    }
    const uint64_t share = interval / 6;
    return share > WARMUP_NS_MIN ? share : WARMUP_NS_MIN;
}

/*
 * When a sample counts as hung.  Racing code that has hung once is likely to do so again, and every
 * time would cost the whole limit: later samples of such a cell get a shorter one, which is still
 * several times what the sample asks for.
 */
static uint64_t limit_ns(const struct carry *c, size_t cell) {
    const struct plan_cell *plan_cell = &c->plan->cells[cell];
    const uint64_t interval = interval_ns(c->plan, plan_cell);
    const uint64_t asked = interval + warmup_ns(c->plan, plan_cell);
    if (plan_cell_simulated(plan_cell)) /* a virtual second of a thread takes far less than 1000 */
        return 1000 * asked * plan_cell->threads + 300 * second_ns;
    if (!plan_cell_contained(plan_cell))
        return 20 * asked + 60 * second_ns;
    for (unsigned pass = 0; pass < c->plan->repetitions; pass++)
        if (run_data_slot(c->data, cell, pass, RECORD_TIMED)->outcome == RECORD_HUNG)
            return 4 * asked + second_ns;
    /* A warm-up that was asked for may be long. */
    return 20 * (interval + in_ns(c->plan->warmup_s)) + 5 * second_ns;
}

static struct request make_request(const struct carry *c, size_t cell, unsigned seed_pass,
                                   enum record_kind kind) {
    const struct plan_cell *plan_cell = &c->plan->cells[cell];
    return (struct request){.cell = plan_cell,
                            .kind = kind,
                            .seed = schedule_sample_seed(c->plan->seed, seed_pass),
                            .warmup_ns = warmup_ns(c->plan, plan_cell),
                            .interval_ns = interval_ns(c->plan, plan_cell)};
}

static enum carry_result finish(struct carry *c, const struct record *record) {
    if (!run_data_put(c->data, record))
        abort(); /* the schedule names every slot once */
    c->done++;
    return c->observer->keep(c->observer->state, record) ? CARRY_DONE : CARRY_NOT_KEPT;
}

static enum carry_result one(struct carry *c, size_t cell, unsigned pass, unsigned seed_pass,
                             enum record_kind kind) {
    const struct plan_cell *plan_cell = &c->plan->cells[cell];
    const struct request request = make_request(c, cell, seed_pass, kind);
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
    return finish(c, &record);
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
            if (!measured(&plan->cells[cell]) ||
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
            c->total += measured(&c->plan->cells[cell]) && wanted(c, cell, kinds[k]);
    bool begun = false;
    for (size_t k = 0; k < 2; k++)
        for (size_t cell = 0; cell < c->plan->count; cell++) {
            if (!measured(&c->plan->cells[cell]) || !wanted(c, cell, kinds[k]))
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

/* ---- simulated cells ----------------------------------------------------------------------- */

/* All simulated samples of one kind, in the order in which they are begun: seed by seed. */
struct simulated {
    enum record_kind kind;
    unsigned passes, pass;
    size_t cell; /* the next one to look at */
};

static bool hung(const struct carry *c, size_t cell) {
    const struct record *r = run_data_failure(c->data, cell);
    return r != NULL && r->outcome == RECORD_HUNG;
}

/* A simulated sample that is not there yet. */
static bool simulation_wanted(const struct carry *c, size_t cell, unsigned pass,
                              enum record_kind kind) {
    const struct plan_cell *plan_cell = &c->plan->cells[cell];
    if (!runs(plan_cell) || !plan_cell_simulated(plan_cell))
        return false;
    if (kind != RECORD_TIMED)
        return wanted(c, cell, kind);
    return run_data_slot(c->data, cell, pass, kind)->outcome == RECORD_MISSING;
}

/* The next sample; false when all have been begun. */
static bool next_simulated(struct carry *c, struct simulated *s, struct record *record) {
    for (; s->pass < s->passes; s->pass++, s->cell = 0)
        for (; s->cell < c->plan->count; s->cell++) {
            if (!simulation_wanted(c, s->cell, s->pass, s->kind))
                continue;
            if (hung(c, s->cell)) {
                c->total--;
                continue;
            }
            /* Each is a process start of its own, numbered by what it measures and not by when. */
            const unsigned row = s->kind == RECORD_TIMED
                                     ? s->pass
                                     : c->plan->repetitions + (unsigned)s->kind - RECORD_WASTED;
            *record = (struct record){.cell = s->cell,
                                      .pass = s->pass,
                                      .kind = s->kind,
                                      .start = row * (unsigned)c->plan->count + (unsigned)s->cell};
            s->cell++;
            return true;
        }
    return false;
}

static unsigned seed_pass(const struct carry *c, const struct record *record) {
    return record->kind == RECORD_TIMED
               ? record->pass
               : c->plan->repetitions + (unsigned)record->kind - RECORD_WASTED;
}

/* Keeps all lanes busy until nothing is left; on a problem what has been begun is given up. */
static enum carry_result simulate_kind(struct carry *c, struct simulated *s, struct record *on_lane,
                                       bool *busy) {
    const struct executor *e = c->executor;
    struct record record;
    unsigned running = 0;
    bool more = next_simulated(c, s, &record);
    while (more || running > 0) {
        enum executor_result result = EXECUTOR_DONE;
        unsigned lane = 0;
        while (lane < e->lanes && busy[lane])
            lane++;
        if (more && lane < e->lanes) {
            const struct request request =
                make_request(c, record.cell, seed_pass(c, &record), record.kind);
            c->observer->progress(c->observer->state, c->done, c->total, request.cell);
            result = e->submit(e->state, lane, &request, limit_ns(c, record.cell), c->why);
            on_lane[lane] = record;
            busy[lane] = true;
            running++;
            more = next_simulated(c, s, &record);
        } else {
            enum record_outcome outcome = RECORD_MISSING;
            struct cell_sample sample;
            result = e->collect(e->state, &lane, &outcome, &sample);
            if (result == EXECUTOR_DONE) {
                on_lane[lane].outcome = outcome;
                on_lane[lane].sample = sample;
                busy[lane] = false;
                running--;
                if (finish(c, &on_lane[lane]) != CARRY_DONE)
                    return CARRY_NOT_KEPT;
            }
        }
        if (result == EXECUTOR_INTERRUPTED)
            return CARRY_INTERRUPTED;
        if (result == EXECUTOR_BROKEN)
            return CARRY_BROKEN;
    }
    return CARRY_DONE;
}

/* The same with an executor that measures one at a time. */
static enum carry_result simulate_kind_serially(struct carry *c, struct simulated *s) {
    struct record record;
    enum carry_result result = CARRY_DONE;
    while (result == CARRY_DONE && next_simulated(c, s, &record)) {
        c->start = record.start;
        result = one(c, record.cell, record.pass, seed_pass(c, &record), record.kind);
    }
    return result;
}

static enum carry_result simulated_passes(struct carry *c) {
    const unsigned lanes = c->executor->lanes;
    struct record *on_lane = calloc((size_t)lanes + 1, sizeof *on_lane);
    bool *busy = calloc((size_t)lanes + 1, sizeof *busy);
    enum carry_result result = CARRY_DONE;
    if (on_lane == NULL || busy == NULL) {
        memcpy(c->why, "out of memory", sizeof "out of memory");
        result = CARRY_BROKEN;
    }
    for (int kind = RECORD_TIMED; result == CARRY_DONE && kind < RECORD_KINDS; kind++) {
        struct simulated s = {.kind = (enum record_kind)kind,
                              .passes = kind == RECORD_TIMED ? c->plan->repetitions : 1};
        for (size_t cell = 0; kind != RECORD_TIMED && cell < c->plan->count; cell++)
            c->total += simulation_wanted(c, cell, 0, s.kind);
        result = lanes > 0 ? simulate_kind(c, &s, on_lane, busy) : simulate_kind_serially(c, &s);
    }
    free(on_lane);
    free(busy);
    return result;
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
    if (result == CARRY_DONE && plan_simulates(plan))
        result = simulated_passes(&c);
    return result;
}
