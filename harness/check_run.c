/*
 * check_run.c - programs and schedules of `allcores check`.  See check_run.h.
 */
#include "check_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check_history check_history;

static const struct explore_limits limits = {.fair_after = 20000, .steps_max = 200000};

/* ---- programs ------------------------------------------------------------------------------- */

static unsigned catalogue_size(const struct check_catalogue *catalogue) {
    unsigned n = 0;
    while (catalogue->transactions[n].name != NULL)
        n++;
    return n;
}

bool check_program_parse(const struct check_catalogue *catalogue, const char *text,
                         struct check_program *p, char *why, size_t why_size) {
    *p = (struct check_program){.threads = 1};
    for (const char *at = text;; at++) {
        const size_t length = strcspn(at, "+,");
        unsigned i = 0;
        while (catalogue->transactions[i].name != NULL &&
               (strlen(catalogue->transactions[i].name) != length ||
                strncmp(catalogue->transactions[i].name, at, length) != 0))
            i++;
        if (i == catalogue_size(catalogue)) {
            snprintf(why, why_size, "'%.*s' is no transaction of the catalogue",
                     (int)(length < 60 ? length : 60), at);
            return false;
        }
        unsigned *const n = &p->length[p->threads - 1];
        if (*n == CHECK_TX_MAX) {
            snprintf(why, why_size, "a thread has at most %d transactions", CHECK_TX_MAX);
            return false;
        }
        p->tx[p->threads - 1][(*n)++] = (uint8_t)i;
        at += length;
        if (*at == '\0')
            return true;
        if (*at == ',' && p->threads++ == EXPLORE_THREADS) {
            snprintf(why, why_size, "a program has at most %d threads", EXPLORE_THREADS);
            return false;
        }
    }
}

void check_program_text(const struct check_catalogue *catalogue, const struct check_program *p,
                        char *text, size_t size) {
    size_t n = 0;
    for (unsigned t = 0; t < p->threads; t++)
        for (unsigned i = 0; i < p->length[t]; i++) {
            const int more = snprintf(text + n, size - n, "%s%s",
                                      i > 0   ? "+"
                                      : t > 0 ? ","
                                              : "",
                                      catalogue->transactions[p->tx[t][i]].name);
            n += (size_t)more < size - n ? (size_t)more : size - n - 1;
        }
}

static unsigned needs_of(const struct check_catalogue *catalogue, const struct check_program *p) {
    unsigned needs = 0;
    for (unsigned t = 0; t < p->threads; t++)
        for (unsigned i = 0; i < p->length[t]; i++)
            needs |= catalogue->transactions[p->tx[t][i]].needs;
    return needs;
}

bool check_program_sensible(const struct check_catalogue *catalogue,
                            const struct check_program *p) {
    unsigned gets = 0, free_puts = 0;
    for (unsigned t = 0; t < p->threads; t++) {
        unsigned puts = 0, own_gets = 0;
        for (unsigned i = 0; i < p->length[t]; i++) {
            const unsigned needs = catalogue->transactions[p->tx[t][i]].needs;
            puts += (needs & CHECK_PUTS) != 0;
            own_gets += (needs & CHECK_GETS) != 0;
        }
        gets += own_gets;
        free_puts += own_gets == 0 ? puts : 0;
    }
    if (gets > free_puts)
        return false;
    /* Transactions on different containers never meet, but for one kind each. */
    const unsigned needs = needs_of(catalogue, p) & CHECK_CONTAINERS;
    if ((needs & (needs - 1)) != 0)
        return false;
    if (needs != 0)
        for (unsigned t = 0; t < p->threads; t++)
            for (unsigned i = 0; i < p->length[t]; i++)
                if ((catalogue->transactions[p->tx[t][i]].needs & CHECK_CONTAINERS) == 0)
                    return false;
    return true;
}

/* ---- schedules as text ---------------------------------------------------------------------- */

unsigned check_preemptions(const struct check_schedule *s) {
    unsigned n = 0;
    for (unsigned i = 0; i < s->deviations; i++)
        n += s->deviation[i].what == EXPLORE_GO_ON && s->deviation[i].preempts;
    return n;
}

void check_schedule_text(const struct check_schedule *s, char *text, size_t size) {
    size_t n = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < s->deviations; i++) {
        const struct check_deviation *d = &s->deviation[i];
        char one[80];
        if (d->what == EXPLORE_GO_ON)
            snprintf(one, sizeof one, "%s%u@%lu:%u", i > 0 ? "," : "", d->thread,
                     (unsigned long)d->event, d->chosen);
        else
            snprintf(one, sizeof one, "%s%u@%lu:%c%u.%lu", i > 0 ? "," : "", d->thread,
                     (unsigned long)d->event, d->what == EXPLORE_DRAIN ? 'd' : 'a', d->chosen,
                     (unsigned long)d->detail);
        const int more = snprintf(text + n, size - n, "%s", one);
        n += (size_t)more < size - n ? (size_t)more : size - n - 1;
    }
}

bool check_schedule_parse(const char *text, struct check_schedule *s) {
    s->deviations = 0;
    s->overflow = false;
    for (const char *at = text; *at != '\0';) {
        unsigned thread, chosen;
        unsigned long event, detail = 0;
        int used = 0;
        char kind[2];
        enum explore_what what = EXPLORE_GO_ON;
        if (s->deviations == CHECK_DEVIATIONS)
            return false;
        if (sscanf(at, "%1u@%10lu:%1u%n", &thread, &event, &chosen, &used) !=
            3) { // NOLINT(cert-err34-c)
            if (sscanf(at, "%1u@%10lu:%1[da]%1u.%10lu%n", &thread, &event, kind, &chosen, &detail,
                       &used) != // NOLINT(cert-err34-c)
                5)
                return false;
            what = kind[0] == 'd' ? EXPLORE_DRAIN : EXPLORE_ABORT;
        }
        if (thread >= EXPLORE_THREADS || chosen >= EXPLORE_THREADS)
            return false;
        s->deviation[s->deviations++] = (struct check_deviation){.thread = (uint8_t)thread,
                                                                 .what = (uint8_t)what,
                                                                 .chosen = (uint8_t)chosen,
                                                                 .event = event,
                                                                 .detail = detail};
        at += used;
        if (*at == ',' && at[1] != '\0')
            at++;
        else if (*at != '\0')
            return false;
    }
    return true;
}

/* ---- a run ---------------------------------------------------------------------------------- */

/* What the threads of the running program are told; not on their stacks. */
static struct run {
    const struct check_subject *subject;
    const struct check_program *program;
    struct check_me *me; /* [CHECK_LANES], outside of tracked memory */
    void *world;
    bool started;
} run;

static void thread_runs(void *argument) {
    const unsigned t = (unsigned)(uintptr_t)argument;
    const struct check_catalogue *catalogue = run.subject->catalogue;
    struct tm_thread *self = catalogue->engine->attach(t, false);
    if (self == NULL)
        run.subject->explorer->stop();
    for (unsigned i = 0; i < run.program->length[t]; i++)
        catalogue->transactions[run.program->tx[t][i]].run(self, run.world, &run.me[t]);
    catalogue->engine->detach(self);
}

static void prepare(void *unused) {
    (void)unused;
    char why[160] = "";
    const struct tm_engine *engine = run.subject->catalogue->engine;
    run.started = engine->start(run.subject->options, run.program->threads, why, sizeof why);
    if (!run.started)
        return;
    struct tm_thread *self = engine->attach(0, true);
    if (self == NULL)
        abort();
    run.world = run.subject->catalogue->setup(self, &run.me[EXPLORE_THREADS],
                                              needs_of(run.subject->catalogue, run.program));
    engine->detach(self);
    for (unsigned t = 0; t < run.program->threads; t++)
        run.subject->explorer->spawn(thread_runs, (void *)(uintptr_t)t); // NOLINT
}

static void finish(void *unused) {
    (void)unused;
    const struct check_catalogue *catalogue = run.subject->catalogue;
    struct tm_thread *self = catalogue->engine->attach(0, true);
    if (self == NULL)
        abort();
    catalogue->final(self, run.world, &run.me[EXPLORE_THREADS]);
    catalogue->teardown(self, run.world);
    catalogue->engine->detach(self);
    catalogue->engine->stop();
}

static enum check_failure failure_of(enum explore_verdict verdict) {
    switch (verdict) {
    case EXPLORE_DEADLOCK:
        return CHECK_DEADLOCK;
    case EXPLORE_NO_END:
        return CHECK_NO_PROGRESS;
    case EXPLORE_FREED:
        return CHECK_USE_AFTER_FREE;
    case EXPLORE_WILD:
        return CHECK_WILD_ACCESS;
    case EXPLORE_CRASH:
    case EXPLORE_STOPPED: /* a thread was refused: the engine does not keep its word */
        return CHECK_CRASH;
    default:
        return CHECK_OK;
    }
}

/* The run under this very policy. */
static void run_under(const struct check_subject *subject, const struct check_program *program,
                      const struct explore_policy *policy, struct check_outcome *outcome) {
    const struct machine_explorer *x = subject->explorer;
    outcome->failure = CHECK_OK;
    outcome->why[0] = '\0';
    outcome->unjudged = false;
    if (run.me == NULL && (run.me = calloc(CHECK_LANES, sizeof *run.me)) == NULL)
        abort();
    run.subject = subject;
    run.program = program;
    run.world = NULL;
    for (unsigned l = 0; l < CHECK_LANES; l++)
        run.me[l] = (struct check_me){&check_history, l, subject->catalogue->engine->rollback};
    x->reset(subject->tso);
    check_history_reset(&check_history, subject->tso ? x : NULL);
    check_history.explorer = x;
    if (!x->guard(prepare, NULL) || !run.started) {
        outcome->failure = CHECK_CRASH;
        x->explain(outcome->why, sizeof outcome->why);
        if (outcome->why[0] == '\0')
            snprintf(outcome->why, sizeof outcome->why, "the engine does not start");
        return;
    }
    const enum explore_verdict verdict = x->run(policy, &limits);
    outcome->steps = x->steps();
    outcome->failure = failure_of(verdict);
    if (outcome->failure != CHECK_OK) {
        x->explain(outcome->why, sizeof outcome->why);
        if (verdict == EXPLORE_STOPPED)
            snprintf(outcome->why, sizeof outcome->why, "the engine has refused a thread");
        return;
    }
    if (!x->guard(finish, NULL)) {
        x->explain(outcome->why, sizeof outcome->why);
        /* A history that is wrong already says more than what it has left behind. */
        char why[CHECK_WHY];
        const enum check_failure failure = check_history_judge(&check_history, why, sizeof why);
        outcome->failure = failure != CHECK_OK ? failure : CHECK_WILD_ACCESS;
        if (failure != CHECK_OK)
            memcpy(outcome->why, why, sizeof why);
        return;
    }
    outcome->failure = check_history_judge(&check_history, outcome->why, sizeof outcome->why);
    outcome->unjudged = check_history.overflow;
    if (outcome->failure != CHECK_OK)
        return;
    size_t bytes = 0;
    const void *pc = NULL;
    const size_t leaks = x->leaks(&bytes, &pc);
    if (leaks > 0) {
        outcome->failure = CHECK_LEAK;
        snprintf(outcome->why, sizeof outcome->why,
                 "%zu objects were never freed, the first one has %zu bytes", leaks, bytes);
    }
}

/* ---- writing down --------------------------------------------------------------------------- */

struct writer {
    const struct explore_policy *inner;
    struct check_schedule *schedule;
};

/* Would it be a preemption to let another thread go on? */
static bool could_go_on(const struct explore_view *view) {
    return ((view->enabled & ~view->yielding) >> view->current & 1) != 0 &&
           view->pending[view->current]->kind != EXPLORE_START;
}

static void write_down(struct check_schedule *s, const struct explore_view *view,
                       const struct explore_choice *c) {
    if (s->deviations == CHECK_DEVIATIONS) {
        s->overflow = true;
        return;
    }
    s->deviation[s->deviations++] = (struct check_deviation){
        .thread = (uint8_t)view->current,
        .what = c->what,
        .chosen = c->thread,
        .preempts = could_go_on(view),
        .event = view->event,
        .detail = c->detail,
    };
}

static struct explore_choice choose_and_write(void *context, const struct explore_view *view) {
    const struct writer *w = context;
    const struct explore_choice choice = w->inner->choose(w->inner->context, view);
    const struct explore_choice usual = explore_default(view);
    if (choice.what != EXPLORE_GO_ON || choice.thread != usual.thread)
        write_down(w->schedule, view, &choice);
    return choice;
}

static void pass_on(void *context, unsigned thread, uint64_t event, const struct explore_op *op) {
    const struct writer *w = context;
    w->inner->happened(w->inner->context, thread, event, op);
}

void check_run(const struct check_subject *subject, const struct check_program *program,
               const struct explore_policy *policy, struct check_schedule *schedule,
               struct check_outcome *outcome) {
    struct writer writer = {policy, schedule};
    const struct explore_policy outer = {.choose = choose_and_write,
                                         .happened = policy->happened != NULL ? pass_on : NULL,
                                         .context = &writer,
                                         .every = policy->every};
    schedule->deviations = 0;
    schedule->overflow = false;
    run_under(subject, program, &outer, outcome);
}

/* ---- replay --------------------------------------------------------------------------------- */

struct reader {
    struct check_schedule *schedule;
    bool used[CHECK_DEVIATIONS];
    void (*happened)(void *, unsigned, uint64_t, const struct explore_op *);
    void *context;
};

static struct explore_choice choose_as_written(void *context, const struct explore_view *view) {
    struct reader *r = context;
    for (unsigned i = 0; i < r->schedule->deviations; i++) {
        struct check_deviation *d = &r->schedule->deviation[i];
        if (r->used[i] || d->thread != view->current || d->event != view->event)
            continue;
        r->used[i] = true;
        /* Of a schedule that was cut, a choice may be none any more. */
        if (d->chosen >= view->threads ||
            (d->what == EXPLORE_GO_ON && ((view->enabled | view->timeouts) >> d->chosen & 1) == 0))
            continue;
        d->preempts = could_go_on(view);
        return (struct explore_choice){d->what, d->chosen, d->detail};
    }
    return explore_default(view);
}

static void happened_in_replay(void *context, unsigned thread, uint64_t event,
                               const struct explore_op *op) {
    const struct reader *r = context;
    r->happened(r->context, thread, event, op);
}

void check_replay(const struct check_subject *subject, const struct check_program *program,
                  struct check_schedule *schedule, struct check_outcome *outcome,
                  void (*happened)(void *, unsigned, uint64_t, const struct explore_op *),
                  void *context) {
    static struct reader reader;
    reader.schedule = schedule;
    reader.happened = happened;
    reader.context = context;
    memset(reader.used, 0, sizeof reader.used);
    for (unsigned i = 0; i < schedule->deviations; i++)
        schedule->deviation[i].preempts = false;
    const struct explore_policy policy = {.choose = choose_as_written,
                                          .happened = happened != NULL ? happened_in_replay : NULL,
                                          .context = &reader,
                                          .every = true};
    run_under(subject, program, &policy, outcome);
    /* What was never reached says nothing. */
    unsigned n = 0;
    for (unsigned i = 0; i < schedule->deviations; i++)
        if (reader.used[i])
            schedule->deviation[n++] = schedule->deviation[i];
    schedule->deviations = n;
}

/* ---- making it smaller ---------------------------------------------------------------------- */

static struct check_schedule trial;
static struct check_outcome trial_outcome;

/* Does it still fail without the `n` deviations from `at` on?  Then it is made so. */
static bool without(const struct check_subject *subject, const struct check_program *program,
                    struct check_schedule *s, unsigned at, unsigned n,
                    struct check_outcome *outcome) {
    memcpy(trial.deviation, s->deviation, at * sizeof *s->deviation);
    memcpy(trial.deviation + at, s->deviation + at + n,
           (s->deviations - at - n) * sizeof *s->deviation);
    trial.deviations = s->deviations - n;
    check_replay(subject, program, &trial, &trial_outcome, NULL, NULL);
    if (trial_outcome.failure != outcome->failure)
        return false;
    memcpy(s->deviation, trial.deviation, trial.deviations * sizeof *s->deviation);
    s->deviations = trial.deviations;
    *outcome = trial_outcome;
    return true;
}

static void minimise_by_deleting(const struct check_subject *subject,
                                 const struct check_program *program, struct check_schedule *s,
                                 struct check_outcome *outcome, unsigned *runs) {
    for (bool again = true; again;) {
        again = false;
        unsigned n = 1;
        while (2 * n <= s->deviations)
            n *= 2;
        for (; n > 0; n /= 2)
            for (unsigned at = 0; at + n <= s->deviations;) {
                ++*runs;
                if (without(subject, program, s, at, n, outcome))
                    again = true;
                else
                    at += n;
            }
    }
}

unsigned check_minimise(const struct check_subject *subject, const struct check_program *program,
                        struct check_schedule *s, struct check_outcome *outcome) {
    unsigned runs = 0;
    minimise_by_deleting(subject, program, s, outcome, &runs);
    return runs;
}
