/*
 * executor.c - measures samples in worker processes.  See executor.h.
 *
 * A process start is a fresh execution of this program, one for each environment that an engine
 * needs; those that are not measuring sleep in read(2).  Cells whose crashes are expected get a
 * process for every sample, and so have simulated ones: nothing that one sample leaves behind in a
 * process can then reach the next, whichever ran before it.  A worker that dies or overruns its
 * limit is an outcome of its sample, and the next sample gets a new one.
 */
#include "executor.h"

#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 64, ANSWER_SIZE = 65536, ENVIRONMENT_SIZE = 192, END_WAIT_MS = 10000 };

struct child {
    pid_t pid;                          /* 0: none */
    int to, from;                       /* its standard input and output */
    char environment[ENVIRONMENT_SIZE]; /* "VAR=value" or "" */
    bool contained;
    size_t got;
    char answer[ANSWER_SIZE]; /* what has arrived of the next line */
};

/* A process that simulates beside others. */
struct lane {
    struct child child;
    uint64_t began_ns, limit_ns;
};

struct process_executor {
    unsigned lanes_count;
    struct lane *lanes; /* [lanes_count]; free while its child's pid is 0 */
    struct pollfd *fds; /* [lanes_count + 1] */
    int signals;        /* signalfd */
    int caught;         /* the signal that came, or 0 */
    sigset_t before, taken;
    void (*before_pipe)(int);
    void (*before_child)(int);
    char complaint[CELL_WHY_SIZE]; /* how a worker ended that should have ended well */
    unsigned count;
    struct child *children[WORKERS_MAX]; /* one an environment, reused over starts */
    struct child single;                 /* for contained samples */
};

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* ---- children ------------------------------------------------------------------------------ */

/* In the new process: never returns. */
static _Noreturn void become_worker(const struct process_executor *p, const struct child *c, int in,
                                    int out, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above */
        _exit(EXIT_FAILED);
    /* The runner decides when a worker ends: a Ctrl-C reaches the whole process group. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    sigprocmask(SIG_SETMASK, &p->before, NULL);
    if (c->contained) { /* the C library's last words on a broken heap are no news */
        const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0)
            dup2(null, STDERR_FILENO);
    }
    char environment[ENVIRONMENT_SIZE];
    memcpy(environment, c->environment, sizeof environment);
    char *equals = strchr(environment, '=');
    if (equals != NULL) {
        *equals = '\0';
        setenv(environment, equals + 1, 1);
    }
    /* Above the standard ones first: with those closed, a pipe may have taken their place. */
    in = fcntl(in, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    out = fcntl(out, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0) {
        char name[] = "allcores", worker[] = "worker", contained[] = "contained";
        char *const argv[] = {name, worker, c->contained ? contained : NULL, NULL};
        execv("/proc/self/exe", argv);
    }
    _exit(EXIT_FAILED);
}

static bool child_start(const struct process_executor *p, struct child *c) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0)
        return false;
    if (pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        return false;
    }
    const pid_t parent = getpid();
    c->pid = fork();
    if (c->pid == 0)
        become_worker(p, c, in[0], out[1], parent);
    close(in[0]);
    close(out[1]);
    if (c->pid < 0) {
        c->pid = 0;
        close(in[1]);
        close(out[0]);
        return false;
    }
    c->to = in[1];
    c->from = out[0];
    c->got = 0;
    return true;
}

static void describe_status(int status, char *why, size_t why_size) {
    if (WIFSIGNALED(status))
        snprintf(why, why_size, "the process was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(why, why_size, "the process ended with status %d", WEXITSTATUS(status));
}

/* Waits for the end of a child whose pipes are of no more use.  Returns its status. */
static int child_reap(struct child *c) {
    int status = 0;
    close(c->to);
    close(c->from);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        ;
    c->pid = 0;
    return status;
}

static void child_kill(struct child *c) {
    if (c->pid == 0)
        return;
    kill(c->pid, SIGKILL);
    (void)child_reap(c);
}

/* Lets a child end by itself: a leak checker then has its say. */
static void child_end(struct process_executor *p, struct child *c) {
    if (c->pid == 0)
        return;
    close(c->to);
    c->to = -1;
    const uint64_t deadline = now_ns() + (uint64_t)END_WAIT_MS * 1000000U;
    siginfo_t info = {0};
    while (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0 && now_ns() < deadline)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    const bool in_time = info.si_pid != 0;
    if (!in_time)
        kill(c->pid, SIGKILL);
    const int status = child_reap(c);
    if (status == 0 || p->complaint[0] != '\0')
        return;
    char how[CELL_WHY_SIZE / 2];
    describe_status(status, how, sizeof how);
    snprintf(p->complaint, sizeof p->complaint,
             "after its last sample a worker did not end well: %s",
             in_time ? how : "it did not end at all");
}

static void start(void *state) {
    struct process_executor *p = state;
    for (unsigned i = 0; i < p->count; i++)
        child_end(p, p->children[i]);
}

/* ---- one sample ---------------------------------------------------------------------------- */

/* Remembers a signal that is waiting. */
static bool interrupted(struct process_executor *p) {
    struct signalfd_siginfo info;
    if (p->caught == 0 && read(p->signals, &info, sizeof info) == (ssize_t)sizeof info)
        p->caught = (int)info.ssi_signo;
    return p->caught != 0;
}

/* The worker for this environment.  Cells that need none use the first, so that they are
 * interleaved with the others in one process.  NULL: no more room. */
static struct child *child_for(struct process_executor *p, const struct plan_cell *cell) {
    char environment[ENVIRONMENT_SIZE] = "";
    const bool needs = plan_cell_environment(cell, environment, sizeof environment);
    for (unsigned i = 0; i < p->count; i++) {
        struct child *c = p->children[i];
        if (!needs || strcmp(c->environment, environment) == 0)
            return c;
        if (c->environment[0] == '\0' && c->pid == 0) {
            memcpy(c->environment, environment, sizeof environment);
            return c;
        }
    }
    if (p->count == WORKERS_MAX)
        return NULL;
    struct child *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    memcpy(c->environment, environment, sizeof environment);
    p->children[p->count++] = c;
    return c;
}

static bool send_request(struct child *c, const struct request *request) {
    json_t *json = request_to_json(request);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text == NULL)
        return false;
    const size_t length = strlen(text);
    text[length] = '\n';
    size_t done = 0;
    while (done <= length) {
        const ssize_t n = write(c->to, text + done, length + 1 - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    free(text);
    return done == length + 1;
}

enum wait_result { WAIT_LINE, WAIT_END, WAIT_SIGNAL, WAIT_LIMIT, WAIT_MORE };

/* Reads what is there.  WAIT_LINE: c->answer is one line, terminated in place of its end. */
static enum wait_result read_part(struct child *c) {
    if (c->got == ANSWER_SIZE)
        return WAIT_END; /* no answer is that long */
    const ssize_t got = read(c->from, c->answer + c->got, ANSWER_SIZE - c->got);
    if (got < 0 && errno == EINTR)
        return WAIT_MORE;
    if (got <= 0)
        return WAIT_END;
    c->got += (size_t)got;
    char *end = memchr(c->answer, '\n', c->got);
    if (end == NULL)
        return WAIT_MORE;
    *end = '\0';
    c->got = 0; /* lock-step: nothing follows an answer */
    return WAIT_LINE;
}

/*
 * One line into c->answer (terminated in place of its end).  The limit is counted in slices, and a
 * slice that took far longer than it should have counts as one: the program was stopped (Ctrl-Z),
 * and the worker with it.
 */
static enum wait_result wait_line(struct process_executor *p, struct child *c, uint64_t limit_ns) {
    enum { SLICE_MS = 500 };
    const uint64_t slice_ns = (uint64_t)SLICE_MS * 1000000U;
    uint64_t before = now_ns(), waited = 0;
    while (waited < limit_ns) {
        struct pollfd fds[2] = {{c->from, POLLIN, 0}, {p->signals, POLLIN, 0}};
        const uint64_t left_ms = (limit_ns - waited) / 1000000U + 1;
        const int n = poll(fds, 2, left_ms < SLICE_MS ? (int)left_ms : SLICE_MS);
        const uint64_t now = now_ns();
        waited += now - before < 4 * slice_ns ? now - before : slice_ns;
        before = now;
        if (n < 0 && errno != EINTR)
            return WAIT_END;
        if (n <= 0)
            continue;
        if (fds[1].revents != 0 && interrupted(p))
            return WAIT_SIGNAL;
        if (fds[0].revents == 0)
            continue;
        const enum wait_result part = read_part(c);
        if (part != WAIT_MORE)
            return part;
    }
    return WAIT_LIMIT;
}

static enum record_outcome read_answer(struct child *c, struct cell_sample *sample) {
    char why[CELL_WHY_SIZE / 2] = "not JSON";
    json_t *json = json_loads(c->answer, 0, NULL);
    const bool readable = json != NULL && sample_from_json(json, sample, why, sizeof why);
    json_decref(json);
    if (readable)
        return sample->ok ? RECORD_OK : RECORD_WRONG;
    memset(sample, 0, sizeof *sample);
    snprintf(sample->why, sizeof sample->why, "the worker's answer is not readable: %s", why);
    child_kill(c);
    return RECORD_CRASHED;
}

/* The worker closed its output before it had answered. */
static void ended(struct child *c, enum record_outcome *outcome, struct cell_sample *sample) {
    *outcome = RECORD_CRASHED;
    kill(c->pid, SIGKILL); /* if it is not dead already */
    describe_status(child_reap(c), sample->why, sizeof sample->why);
}

static void overran(struct child *c, uint64_t limit_ns, enum record_outcome *outcome,
                    struct cell_sample *sample) {
    child_kill(c);
    *outcome = RECORD_HUNG;
    snprintf(sample->why, sizeof sample->why, "no end within the limit of %.1f s",
             (double)limit_ns * 1e-9);
}

static enum executor_result measure(void *state, const struct request *request, uint64_t limit_ns,
                                    enum record_outcome *outcome, struct cell_sample *sample) {
    struct process_executor *p = state;
    memset(sample, 0, sizeof *sample);
    if (interrupted(p))
        return EXECUTOR_INTERRUPTED;
    const bool contained = plan_cell_contained(request->cell);
    struct child *c = contained ? &p->single : child_for(p, request->cell);
    if (contained)
        c->contained = true;
    if (c == NULL || (c->pid == 0 && !child_start(p, c))) {
        snprintf(sample->why, sizeof sample->why, "no worker process could be started: %s",
                 c == NULL ? "out of memory or environments" : strerror(errno));
        return EXECUTOR_BROKEN;
    }
    /* A worker that is already dead shows at once in the wait. */
    (void)send_request(c, request);
    switch (wait_line(p, c, limit_ns)) {
    case WAIT_LINE:
        *outcome = read_answer(c, sample);
        break;
    case WAIT_SIGNAL:
        child_kill(c);
        return EXECUTOR_INTERRUPTED;
    case WAIT_LIMIT:
        overran(c, limit_ns, outcome, sample);
        break;
    case WAIT_END:
    case WAIT_MORE: /* cannot be */
        ended(c, outcome, sample);
        break;
    }
    if (contained)
        child_kill(c); /* whatever the races left of it */
    /* A signal to the whole group may have reached the worker first. */
    return *outcome != RECORD_OK && interrupted(p) ? EXECUTOR_INTERRUPTED : EXECUTOR_DONE;
}

/* ---- side by side -------------------------------------------------------------------------- */

static enum executor_result submit(void *state, unsigned lane, const struct request *request,
                                   uint64_t limit_ns, char why[CELL_WHY_SIZE]) {
    struct process_executor *p = state;
    struct lane *l = &p->lanes[lane];
    struct child *c = &l->child;
    if (interrupted(p))
        return EXECUTOR_INTERRUPTED;
    c->contained = plan_cell_contained(request->cell);
    if (!plan_cell_environment(request->cell, c->environment, sizeof c->environment))
        c->environment[0] = '\0';
    if (!child_start(p, c)) {
        snprintf(why, CELL_WHY_SIZE, "no worker process could be started: %s", strerror(errno));
        return EXECUTOR_BROKEN;
    }
    l->limit_ns = limit_ns;
    l->began_ns = now_ns();
    (void)send_request(c, request);
    return EXECUTOR_DONE;
}

/* Time that passes while the program is stopped (Ctrl-Z) is not the workers' fault. */
static void count_pause(struct process_executor *p, uint64_t before, uint64_t longest_ns) {
    const uint64_t passed = now_ns() - before;
    for (unsigned i = 0; passed > longest_ns && i < p->lanes_count; i++)
        p->lanes[i].began_ns += passed;
}

/* A lane with something to say, WAIT_MORE when there is none yet. */
static enum wait_result look(struct process_executor *p, unsigned *lane) {
    enum { SLICE_MS = 500 };
    const uint64_t slice_ns = (uint64_t)SLICE_MS * 1000000U;
    unsigned n = 0;
    p->fds[n++] = (struct pollfd){p->signals, POLLIN, 0};
    for (unsigned i = 0; i < p->lanes_count; i++)
        p->fds[n++] =
            (struct pollfd){p->lanes[i].child.pid != 0 ? p->lanes[i].child.from : -1, POLLIN, 0};
    const uint64_t before = now_ns();
    const int ready = poll(p->fds, n, SLICE_MS);
    count_pause(p, before, 4 * slice_ns);
    if (ready < 0 && errno != EINTR)
        return WAIT_SIGNAL; /* cannot be: its arguments are right */
    if (ready > 0 && p->fds[0].revents != 0 && interrupted(p))
        return WAIT_SIGNAL;
    for (*lane = 0; ready > 0 && *lane < p->lanes_count; ++*lane)
        if (p->fds[*lane + 1].revents != 0)
            return read_part(&p->lanes[*lane].child);
    const uint64_t now = now_ns();
    for (*lane = 0; *lane < p->lanes_count; ++*lane) {
        const struct lane *l = &p->lanes[*lane];
        if (l->child.pid != 0 && now > l->began_ns && now - l->began_ns > l->limit_ns)
            return WAIT_LIMIT;
    }
    return WAIT_MORE;
}

static enum executor_result collect(void *state, unsigned *lane, enum record_outcome *outcome,
                                    struct cell_sample *sample) {
    struct process_executor *p = state;
    memset(sample, 0, sizeof *sample);
    enum wait_result result;
    while ((result = look(p, lane)) == WAIT_MORE)
        ;
    if (result == WAIT_SIGNAL)
        return EXECUTOR_INTERRUPTED;
    struct child *c = &p->lanes[*lane].child;
    if (result == WAIT_LIMIT) {
        overran(c, p->lanes[*lane].limit_ns, outcome, sample);
    } else if (result == WAIT_END) {
        ended(c, outcome, sample);
    } else {
        *outcome = read_answer(c, sample);
        if (c->contained)
            child_kill(c);
        else
            child_end(p, c);
    }
    return *outcome != RECORD_OK && interrupted(p) ? EXECUTOR_INTERRUPTED : EXECUTOR_DONE;
}

/* ---- opening and closing ------------------------------------------------------------------- */

static void executor_free(struct process_executor *p) {
    if (p != NULL) {
        free(p->lanes);
        free(p->fds);
    }
    free(p);
}

struct process_executor *process_executor_open(unsigned lanes) {
    struct process_executor *p = calloc(1, sizeof *p);
    if (p != NULL) {
        p->lanes_count = lanes < EXECUTOR_LANES_MAX ? lanes : EXECUTOR_LANES_MAX;
        p->lanes = calloc((size_t)p->lanes_count + 1, sizeof *p->lanes);
        p->fds = calloc((size_t)p->lanes_count + 1, sizeof *p->fds);
    }
    if (p == NULL || p->lanes == NULL || p->fds == NULL) {
        executor_free(p);
        errno = ENOMEM;
        return NULL;
    }
    struct sigaction hangup;
    sigemptyset(&p->taken);
    sigaddset(&p->taken, SIGINT);
    sigaddset(&p->taken, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        sigaddset(&p->taken, SIGHUP);
    sigprocmask(SIG_BLOCK, &p->taken, &p->before);
    p->signals = signalfd(-1, &p->taken, SFD_NONBLOCK | SFD_CLOEXEC);
    if (p->signals < 0) {
        const int error = errno;
        sigprocmask(SIG_SETMASK, &p->before, NULL);
        executor_free(p);
        errno = error;
        return NULL;
    }
    p->before_pipe = signal(SIGPIPE, SIG_IGN);  /* a dead worker is found by reading */
    p->before_child = signal(SIGCHLD, SIG_DFL); /* where it is ignored, statuses are lost */
    return p;
}

struct executor process_executor_interface(struct process_executor *p) {
    return (struct executor){.state = p,
                             .start = start,
                             .measure = measure,
                             .lanes = p->lanes_count,
                             .submit = submit,
                             .collect = collect};
}

int process_executor_signal(const struct process_executor *p) { return p->caught; }

bool process_executor_close(struct process_executor *p, char *why, size_t why_size) {
    for (unsigned i = 0; i < p->count; i++) {
        if (p->caught != 0)
            child_kill(p->children[i]);
        else
            child_end(p, p->children[i]);
        free(p->children[i]);
    }
    child_kill(&p->single);
    for (unsigned i = 0; i < p->lanes_count; i++) /* none is busy, unless the run was cut short */
        child_kill(&p->lanes[i].child);
    (void)interrupted(p); /* one that came too late has nothing left to interrupt */
    close(p->signals);
    signal(SIGPIPE, p->before_pipe);
    signal(SIGCHLD, p->before_child);
    sigprocmask(SIG_SETMASK, &p->before, NULL);
    const bool well = p->complaint[0] == '\0';
    if (!well)
        snprintf(why, why_size, "%s", p->complaint);
    executor_free(p);
    return well;
}
