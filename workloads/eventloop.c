/*
 * eventloop - a reactor after Twisted and Tornado whose callbacks run on several threads, each in
 * an atomic section: the talk's promise that an event-driven program gets parallel without being
 * rewritten.
 *
 * A closed loop of sessions.  A session carries out requests 0, 1, 2, ...; a request is four
 * events, PARSE, QUERY, WAKE (fired by a timer) and RESPOND, and at any time a session has one
 * event outstanding.  One operation is one event: a short block takes it (from the thread's own
 * ready queue or timers, otherwise from another thread's), a second block runs its callback, which
 * does `work` steps of arithmetic and schedules the session's next event on the thread's own queue.
 *
 *   independent  sessions share nothing: what does not scale is the engine
 *   counter      every event also increments one global counter
 *   sharded      every event increments one of `shards` counters
 *   chained      request k of a session needs the result of request k-1 of its left neighbour
 *
 * style=callback: the event carries the function to call.  style=coroutine: the session is a state
 * machine that is resumed, and what it does between two yields is one block (Eventlet, Stackless).
 *
 * The end state must be that of a one-threaded reactor.  A session's events are ordered (each
 * schedules the next), so all but `chained` are deterministic by construction.  In `chained` the
 * sessions form a Kahn process network (G. Kahn, "The semantics of a simple language for parallel
 * programming", 1974): each channel has one writer and one reader, results are taken in the order
 * in which they were put, and nobody asks whether one is there except to wait for it; so what is
 * sent and computed does not depend on the interleaving.  It never stops either: as a marked graph,
 * every edge between sessions holds a token at the start (the first request needs no input,
 * channels have room), so no cycle is without one (Commoner et al., 1971).  A session that has to
 * wait has no event outstanding; its neighbour's event schedules it.
 *
 * verify finishes the requests that are under way on one thread, then computes the end state anew,
 * from plain arrays and by other means (`work` steps of the generator in one jump), and compares
 * every session, counter and channel.
 */
#define TM_RESTARTS
#include "tm.h"

#include "lib/plain.h"

#include <inttypes.h>

enum { INDEPENDENT, COUNTER, SHARDED, CHAINED };
enum { CALLBACK, COROUTINE };
enum { MODE, STYLE, POOL, WORK, SESSIONS, SHARDS };

static const struct tm_param eventloop_params[] = {
    [MODE] = {"mode", "what events share", TM_CHOICE, "independent",
              .choices = "independent|counter|sharded|chained"},
    [STYLE] = {"style", "how an event finds its code", TM_CHOICE, "callback",
               .choices = "callback|coroutine"},
    [POOL] = {"pool",
              "threads that may run callbacks at a time, others wait; 0: all threads of the cell",
              TM_INT, "0", 0, 1024, NULL},
    [WORK] = {"work", "steps of arithmetic in an event (about 1.5 ns each)", TM_INT, "100", 0,
              100000000, NULL},
    [SESSIONS] = {"sessions", "sessions, each with one event outstanding", TM_INT, "64", 1, 1 << 20,
                  NULL},
    [SHARDS] = {"shards", "counters in mode=sharded", TM_INT, "16", 1, 65536, NULL},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

/* The events of a request, in order. */
enum { PARSE, QUERY, WAKE, RESPOND, STEPS };

/* Why a session has no event outstanding (chained only). */
enum { RUNNING, NEEDS_INPUT, NEEDS_ROOM };

enum { CHANNEL = 4, DELAY_MAX = 8 }; /* results a channel holds; ticks until a timer fires */

struct world;
struct event;
struct session;
typedef TM_REF(struct session) session_ref;

/* A callback: its session, and the place (queue and timers) where it schedules what follows. */
typedef TM_FN void (*event_fn)(TM_SELF, const struct world *w, session_ref s, unsigned place);

/* One for each session, used again and again. */
struct event {
    TM_HEADER;
    TM_REF(struct event) next;
    uint64_t due;
    event_fn fn; /* style=callback */
    session_ref session;
};
typedef TM_REF(struct event) event_ref;

#define QUEUE_ITEM struct event
#include "lib/queue.h"

struct session {
    TM_HEADER;
    event_ref event;
    session_ref left, right;
    uint64_t id;
    uint64_t hash;    /* of all that it has done, in order */
    uint64_t request; /* under way, from 0 */
    uint64_t step;    /* of it: the event that comes next */
    /* mode=chained */
    uint64_t waiting;
    uint64_t put, taken;       /* results that the left neighbour has handed over, and used ones */
    uint64_t channel[CHANNEL]; /* result i is in channel[i % CHANNEL] */
    char padding[TM_APART];
};

struct counter {
    TM_HEADER;
    uint64_t value;
    char padding[TM_APART - 16];
};
typedef TM_REF(struct counter) counter_ref;

struct seat {
    TM_HEADER;
    uint64_t taken;
    char padding[TM_APART - 16];
};
typedef TM_REF(struct seat) seat_ref;

/* Plain memory, constant after setup. */
struct world {
    unsigned mode, style;
    unsigned places; /* queues: as many as threads that run callbacks at a time */
    bool seated;     /* there are more threads than places: they take turns */
    uint64_t seed, work, sessions, shards;
    queue_ref *ready;     /* [places] */
    timers_ref *timers;   /* [places] */
    seat_ref *seat;       /* [places] */
    session_ref *session; /* [sessions] */
    counter_ref *counter; /* [shards]; counter[0] in mode=counter */
};

/* Constants of the world need no barrier. */
TM_PURE_FN static inline unsigned world_mode(const struct world *w) { return w->mode; }
TM_PURE_FN static inline unsigned world_style(const struct world *w) { return w->style; }
TM_PURE_FN static inline unsigned world_places(const struct world *w) { return w->places; }
TM_PURE_FN static inline uint64_t world_seed(const struct world *w) { return w->seed; }
TM_PURE_FN static inline uint64_t world_work(const struct world *w) { return w->work; }
TM_PURE_FN static inline uint64_t world_shards(const struct world *w) { return w->shards; }
TM_PURE_FN static inline queue_ref world_ready(const struct world *w, unsigned place) {
    return w->ready[place];
}
TM_PURE_FN static inline timers_ref world_timers(const struct world *w, unsigned place) {
    return w->timers[place];
}
TM_PURE_FN static inline seat_ref world_seat(const struct world *w, unsigned place) {
    return w->seat[place];
}
TM_PURE_FN static inline counter_ref world_counter(const struct world *w, uint64_t i) {
    return w->counter[i];
}

/* ---- what an event computes ---------------------------------------------------------------- */

/* Knuth's MMIX generator: each step needs the one before. */
#define WORK_FACTOR UINT64_C(6364136223846793005)
#define WORK_TERM UINT64_C(1442695040888963407)

/* What (seed, session, request, step) decides (splitmix64). */
TM_PURE_FN static inline uint64_t draw(uint64_t seed, uint64_t id, uint64_t request,
                                       uint64_t step) {
    uint64_t z = seed + (id << 40) + (request * STEPS + step + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

TM_PURE_FN static inline uint64_t work_through(uint64_t x, uint64_t steps) {
    for (uint64_t i = 0; i < steps; i++)
        x = x * WORK_FACTOR + WORK_TERM;
    return x;
}

/* Adds a result to a session's hash; the order matters. */
TM_PURE_FN static inline uint64_t absorb(uint64_t hash, uint64_t result) {
    hash ^= result;
    return ((hash << 23) | (hash >> 41)) * UINT64_C(0x9fb21c651e98df25) + 1;
}

TM_PURE_FN static inline uint64_t delay_of(uint64_t drawn) { return 1 + (drawn >> 7) % DELAY_MAX; }

/* ---- scheduling ---------------------------------------------------------------------------- */

TM_FN static void on_parse(TM_SELF, const struct world *w, session_ref s, unsigned place);
TM_FN static void on_query(TM_SELF, const struct world *w, session_ref s, unsigned place);
TM_FN static void on_wake(TM_SELF, const struct world *w, session_ref s, unsigned place);
TM_FN static void on_respond(TM_SELF, const struct world *w, session_ref s, unsigned place);

/* The session's next event is `step`, of the function `fn`; it becomes ready now. */
TM_FN static inline void schedule(TM_SELF, const struct world *w, session_ref s, unsigned place) {
    queue_push(self, world_ready(w, place), tm_get(s, event));
}

TM_FN static inline void goes_on_with(TM_SELF, const struct world *w, session_ref s, uint64_t step,
                                      event_fn fn) {
    tm_set(s, step, step);
    if (world_style(w) == CALLBACK)
        tm_set(tm_get(s, event), fn, fn);
}

/* A neighbour may have what the session has been waiting for. */
TM_FN static inline void release(TM_SELF, const struct world *w, session_ref s, uint64_t reason,
                                 unsigned place) {
    if (tm_get(s, waiting) != reason)
        return;
    tm_set(s, waiting, RUNNING);
    schedule(self, w, s, place);
}

/* ---- the four events ----------------------------------------------------------------------- */

/* What all events do; returns what was drawn for this one. */
TM_FN static inline uint64_t step_work(TM_SELF, const struct world *w, session_ref s, uint64_t step,
                                       uint64_t input) {
    const uint64_t drawn = draw(world_seed(w), tm_get(s, id), tm_get(s, request), step);
    tm_set(s, hash, absorb(tm_get(s, hash), work_through(drawn ^ input, world_work(w))));
    if (world_mode(w) == COUNTER || world_mode(w) == SHARDED) {
        const counter_ref c =
            world_counter(w, world_mode(w) == COUNTER ? 0 : drawn % world_shards(w));
        tm_set(c, value, tm_get(c, value) + 1);
    }
    return drawn;
}

TM_FN static void on_parse(TM_SELF, const struct world *w, session_ref s, unsigned place) {
    step_work(self, w, s, PARSE, 0);
    goes_on_with(self, w, s, QUERY, on_query);
    if (world_mode(w) == CHAINED && tm_get(s, request) > 0 && tm_get(s, put) == tm_get(s, taken))
        tm_set(s, waiting, NEEDS_INPUT);
    else
        schedule(self, w, s, place);
}

TM_FN static void on_query(TM_SELF, const struct world *w, session_ref s, unsigned place) {
    uint64_t input = 0;
    if (world_mode(w) == CHAINED && tm_get(s, request) > 0) {
        const uint64_t taken = tm_get(s, taken);
        input = tm_get_at(s, channel, taken % CHANNEL);
        tm_set(s, taken, taken + 1);
        release(self, w, tm_get(s, left), NEEDS_ROOM, place);
    }
    const uint64_t drawn = step_work(self, w, s, QUERY, input);
    goes_on_with(self, w, s, WAKE, on_wake);
    timers_add(self, world_timers(w, place), tm_get(s, event), delay_of(drawn));
}

TM_FN static void on_wake(TM_SELF, const struct world *w, session_ref s, unsigned place) {
    step_work(self, w, s, WAKE, 0);
    goes_on_with(self, w, s, RESPOND, on_respond);
    bool room = true;
    if (world_mode(w) == CHAINED) {
        const session_ref right = tm_get(s, right);
        room = tm_get(right, put) - tm_get(right, taken) < CHANNEL;
    }
    if (room)
        schedule(self, w, s, place);
    else
        tm_set(s, waiting, NEEDS_ROOM);
}

TM_FN static void on_respond(TM_SELF, const struct world *w, session_ref s, unsigned place) {
    step_work(self, w, s, RESPOND, 0);
    tm_set(s, request, tm_get(s, request) + 1);
    goes_on_with(self, w, s, PARSE, on_parse);
    schedule(self, w, s, place);
    if (world_mode(w) == CHAINED) {
        const session_ref right = tm_get(s, right);
        const uint64_t put = tm_get(right, put);
        tm_set_at(right, channel, put % CHANNEL, tm_get(s, hash));
        tm_set(right, put, put + 1);
        release(self, w, right, NEEDS_INPUT, place);
    }
}

/* style=coroutine: goes on where the session has yielded. */
TM_FN static inline void resume(TM_SELF, const struct world *w, session_ref s, unsigned place) {
    switch (tm_get(s, step)) {
    case PARSE:
        on_parse(self, w, s, place);
        break;
    case QUERY:
        on_query(self, w, s, place);
        break;
    case WAKE:
        on_wake(self, w, s, place);
        break;
    default:
        on_respond(self, w, s, place);
        break;
    }
}

TM_FN static inline void dispatch(TM_SELF, const struct world *w, event_ref event, unsigned place) {
    const session_ref s = tm_get(event, session);
    if (world_style(w) == CALLBACK) {
        const event_fn fn = tm_get(event, fn);
        fn(self, w, s, place);
    } else {
        resume(self, w, s, place);
    }
}

/* ---- the loop ------------------------------------------------------------------------------ */

/* Takes an event: a timer of this place that is due, the oldest ready one, the next timer (nothing
 * is left to do until then), or one of another place's.  NULL, and nothing written, if all are
 * empty. */
TM_FN static event_ref take_event(TM_SELF, const struct world *w, unsigned place) {
    const timers_ref timers = world_timers(w, place);
    event_ref event = timers_take(self, timers, false);
    if (event == NULL)
        event = queue_pop(self, world_ready(w, place));
    if (event == NULL)
        event = timers_take(self, timers, true);
    if (event != NULL) {
        timers_tick(self, timers);
        return event;
    }
    const unsigned places = world_places(w);
    for (unsigned i = 1; i < places && event == NULL; i++) {
        const unsigned victim = place + i < places ? place + i : place + i - places;
        event = queue_pop(self, world_ready(w, victim));
        if (event == NULL)
            event = timers_take(self, world_timers(w, victim), true);
    }
    return event;
}

/* With more threads than places: waits for a free one. */
static unsigned take_seat(TM_SELF, const struct world *w) {
    unsigned place = 0;
    atomic (self) {
        unsigned found = world_places(w);
        for (unsigned i = 0; i < world_places(w) && found == world_places(w); i++)
            if (tm_get(world_seat(w, i), taken) == 0)
                found = i;
        if (found == world_places(w))
            tm_retry(self);
        tm_set(world_seat(w, found), taken, 1);
        place = found;
    }
    return place;
}

static void leave_seat(TM_SELF, const struct world *w, unsigned place) {
    atomic (self) {
        tm_set(world_seat(w, place), taken, 0);
    }
}

/* Whoever waits in tm_retry is woken when another thread's event schedules one: as long as nobody
 * runs an event, one is outstanding in a queue or heap, so a thread that is alone never waits. */
static inline void eventloop_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng; /* everything follows from the seed of the sample */
    const unsigned place = w->seated ? take_seat(self, w) : tm_index(self);
    event_ref event = NULL;
    atomic (self) {
        event = take_event(self, w, place);
        if (event == NULL)
            tm_retry(self);
    }
    atomic (self) {
        dispatch(self, w, event, place);
    }
    if (w->seated)
        leave_seat(self, w, place);
}

/* ---- setup --------------------------------------------------------------------------------- */

static void *eventloop_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    struct world *w = machine_alloc_aligned(sizeof *w, TM_APART);
    if (w == NULL)
        goto out_of_memory;
    const unsigned pool = (unsigned)setup->args[POOL].i;
    w->mode = setup->args[MODE].choice;
    w->style = setup->args[STYLE].choice;
    w->places = pool == 0 || pool > setup->threads ? setup->threads : pool;
    if (w->places == 0) {
        snprintf(why, why_size, "at least one thread is needed");
        machine_free(w);
        return NULL;
    }
    w->seated = w->places < setup->threads;
    w->seed = setup->seed;
    w->work = (uint64_t)setup->args[WORK].i;
    w->sessions = (uint64_t)setup->args[SESSIONS].i;
    w->shards = w->mode == SHARDED ? (uint64_t)setup->args[SHARDS].i : 1;
    w->ready = machine_alloc(w->places * sizeof *w->ready);
    w->timers = machine_alloc(w->places * sizeof *w->timers);
    w->seat = machine_alloc(w->places * sizeof *w->seat);
    w->session = machine_alloc(w->sessions * sizeof *w->session);
    w->counter = machine_alloc(w->shards * sizeof *w->counter);
    if (w->ready == NULL || w->timers == NULL || w->seat == NULL || w->session == NULL ||
        w->counter == NULL)
        goto out_of_memory_inside;
    for (unsigned i = 0; i < w->places; i++) {
        w->ready[i] = tm_new(self, struct queue);
        w->timers[i] = timers_new(self, w->sessions);
        w->seat[i] = tm_new(self, struct seat);
    }
    for (uint64_t i = 0; i < w->shards; i++)
        w->counter[i] = tm_new(self, struct counter);
    for (uint64_t i = 0; i < w->sessions; i++)
        w->session[i] = tm_new(self, struct session);
    unsigned place = 0;
    for (uint64_t i = 0; i < w->sessions; i++) {
        const session_ref s = w->session[i];
        const event_ref event = tm_new(self, struct event);
        tm_set(event, session, s);
        tm_set(s, event, event);
        tm_set(s, id, i);
        tm_set(s, right, w->session[(i + 1) % w->sessions]);
        tm_set(s, left, w->session[(i + w->sessions - 1) % w->sessions]);
        goes_on_with(self, w, s, PARSE, on_parse);
        schedule(self, w, s, place);
        place = place + 1 < w->places ? place + 1 : 0;
    }
    return w;
out_of_memory_inside:
    machine_free(w->ready);
    machine_free(w->timers);
    machine_free(w->seat);
    machine_free(w->session);
    machine_free(w->counter);
    machine_free(w);
out_of_memory:
    snprintf(why, why_size, "out of memory");
    return NULL;
}

/* ---- verification -------------------------------------------------------------------------- */

static bool equal(const char *what, uint64_t where, uint64_t found, uint64_t expected, char *why,
                  size_t why_size) {
    if (found == expected)
        return true;
    snprintf(why, why_size, "%s %" PRIu64 ": found %" PRIu64 ", expected %" PRIu64, what, where,
             found, expected);
    return false;
}

/* As many events as operations, and one outstanding for each session that does not wait. */
static bool check_stopped(TM_SELF, const struct world *w, uint64_t ops, char *why,
                          size_t why_size) {
    uint64_t events = 0, running = 0, outstanding = 0;
    for (uint64_t i = 0; i < w->sessions; i++) {
        const session_ref s = w->session[i];
        events += tm_get(s, request) * STEPS + tm_get(s, step);
        running += tm_get(s, waiting) == RUNNING;
    }
    for (unsigned i = 0; i < w->places; i++) {
        outstanding += tm_get(w->timers[i], size);
        event_ref e = tm_get(w->ready[i], head);
        for (; e != NULL && outstanding <= w->sessions; e = tm_get(e, next))
            outstanding++;
        if (!equal("occupied seat", i, tm_get(w->seat[i], taken), 0, why, why_size))
            return false;
    }
    return equal("events executed by sessions, of which there are", w->sessions, events, ops, why,
                 why_size) &&
           equal("events outstanding for sessions, of which there are", w->sessions, outstanding,
                 running, why, why_size);
}

/* Carries out what is outstanding until every session has completed goal[i] requests.  Sessions at
 * their goal are taken from the queues. */
static bool finish(TM_SELF, const struct world *w, const uint64_t *goal, char *why,
                   size_t why_size) {
    for (;;) {
        const event_ref event = take_event(self, w, 0);
        if (event == NULL)
            break;
        const session_ref s = tm_get(event, session);
        if (tm_get(s, request) < goal[tm_get(s, id)])
            dispatch(self, w, event, 0);
    }
    for (uint64_t i = 0; i < w->sessions; i++)
        if (!equal("requests completed by session", i, tm_get(w->session[i], request), goal[i], why,
                   why_size) ||
            !equal("step of session", i, tm_get(w->session[i], step), PARSE, why, why_size))
            return false;
    return true;
}

/* The reference: one session of the model, without queues, timers or barriers. */
struct model {
    uint64_t hash, request;
    uint64_t result[CHANNEL]; /* hash behind its latest requests */
};

/* `work` steps at once: x -> factor * x + term. */
struct jump {
    uint64_t factor, term;
};

static struct jump jump_of(uint64_t steps) {
    struct jump all = {1, 0}, power = {WORK_FACTOR, WORK_TERM};
    for (; steps > 0; steps >>= 1) {
        if (steps & 1)
            all = (struct jump){all.factor * power.factor, all.term * power.factor + power.term};
        power = (struct jump){power.factor * power.factor, power.term * power.factor + power.term};
    }
    return all;
}

static void model_request(const struct world *w, struct jump jump, struct model *model, uint64_t id,
                          uint64_t input, uint64_t *counted) {
    struct model *m = &model[id];
    for (uint64_t step = PARSE; step < STEPS; step++) {
        const uint64_t drawn = draw(w->seed, id, m->request, step);
        const uint64_t x = step == QUERY ? drawn ^ input : drawn;
        m->hash = absorb(m->hash, jump.factor * x + jump.term);
        counted[w->mode == SHARDED ? drawn % w->shards : 0]++;
    }
    m->result[m->request % CHANNEL] = m->hash;
    m->request++;
}

static void model_run(const struct world *w, const uint64_t *goal, struct model *model,
                      uint64_t *counted) {
    const struct jump jump = jump_of(w->work);
    if (w->mode != CHAINED) {
        for (uint64_t i = 0; i < w->sessions; i++)
            while (model[i].request < goal[i])
                model_request(w, jump, model, i, 0, counted);
        return;
    }
    for (uint64_t k = 0; k < goal[0]; k++) { /* all goals are equal */
        const uint64_t last = w->sessions - 1;
        uint64_t input = k > 0 ? model[last].result[(k - 1) % CHANNEL] : 0;
        for (uint64_t i = 0; i <= last; i++) {
            const uint64_t next = k > 0 ? model[i].result[(k - 1) % CHANNEL] : 0;
            model_request(w, jump, model, i, input, counted);
            input = next;
        }
    }
}

static bool compare(TM_SELF, const struct world *w, const struct model *model,
                    const uint64_t *counted, char *why, size_t why_size) {
    for (uint64_t i = 0; i < w->sessions; i++) {
        const session_ref s = w->session[i];
        if (!equal("hash of session", i, tm_get(s, hash), model[i].hash, why, why_size))
            return false;
        if (w->mode != CHAINED)
            continue;
        const struct model *left = &model[(i + w->sessions - 1) % w->sessions];
        const uint64_t put = left->request;
        if (!equal("results handed to session", i, tm_get(s, put), put, why, why_size) ||
            !equal("results used by session", i, tm_get(s, taken), put > 0 ? put - 1 : 0, why,
                   why_size) ||
            !equal("waiting state of session", i, tm_get(s, waiting), RUNNING, why, why_size))
            return false;
        for (uint64_t r = put > CHANNEL ? put - CHANNEL : 0; r < put; r++)
            if (!equal("result in the channel of session", i, tm_get_at(s, channel, r % CHANNEL),
                       left->result[r % CHANNEL], why, why_size))
                return false;
    }
    for (uint64_t i = 0; i < w->shards && (w->mode == COUNTER || w->mode == SHARDED); i++)
        if (!equal("counter", i, tm_get(w->counter[i], value), counted[i], why, why_size))
            return false;
    return true;
}

static bool eventloop_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    const struct world *w = world;
    bool ok = false;
    uint64_t *goal = machine_alloc(w->sessions * sizeof *goal);
    struct model *model = machine_alloc_aligned(w->sessions * sizeof *model, TM_APART);
    uint64_t *counted = machine_alloc_aligned(w->shards * sizeof *counted, TM_APART);
    if (goal == NULL || model == NULL || counted == NULL) {
        snprintf(why, why_size, "out of memory");
    } else if (check_stopped(self, w, ops, why, why_size)) {
        /* Requests under way are finished.  In a chain everybody has to come as far as the first:
         * channels are bounded, so that is not far. */
        uint64_t furthest = 0;
        for (uint64_t i = 0; i < w->sessions; i++) {
            goal[i] = tm_get(w->session[i], request) + (tm_get(w->session[i], step) != PARSE);
            furthest = goal[i] > furthest ? goal[i] : furthest;
        }
        for (uint64_t i = 0; i < w->sessions && w->mode == CHAINED; i++)
            goal[i] = furthest;
        if (finish(self, w, goal, why, why_size)) {
            model_run(w, goal, model, counted);
            ok = compare(self, w, model, counted, why, why_size);
        }
    }
    machine_free(goal);
    machine_free(model);
    machine_free(counted);
    return ok;
}

static void eventloop_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (uint64_t i = 0; i < w->sessions; i++) {
        tm_free(self, tm_get(w->session[i], event));
        tm_free(self, w->session[i]);
    }
    for (uint64_t i = 0; i < w->shards; i++)
        tm_free(self, w->counter[i]);
    for (unsigned i = 0; i < w->places; i++) {
        tm_free(self, w->ready[i]);
        tm_free(self, w->timers[i]);
        tm_free(self, w->seat[i]);
    }
    machine_free(w->ready);
    machine_free(w->timers);
    machine_free(w->seat);
    machine_free(w->session);
    machine_free(w->counter);
    machine_free(w);
}

TM_WORKLOAD(eventloop, .help = "a reactor whose callbacks run on several threads",
            .params = eventloop_params, .setup = eventloop_setup, .verify = eventloop_verify,
            .teardown = eventloop_teardown);
