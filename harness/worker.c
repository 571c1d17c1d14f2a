/*
 * worker.c - the process that measures.  Started by the runner, never by users.
 *
 * It reads one request a line from standard input and answers each with one line, so the next
 * sample does not start before the runner has put the last one on disk.  It ends when its input
 * does.
 */
#include "runner.h"

#include "gbench.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct job {
    const struct cell_request *request;
    struct cell_sample sample;
    double ns_per_op;
};

static bool measure(void *argument, double *seconds_per_op, char *why, size_t why_size) {
    struct job *job = argument;
    if (!cell_measure(job->request, &job->sample)) {
        snprintf(why, why_size, "%s", job->sample.why);
        return false;
    }
    if (job->sample.ops == 0 || job->sample.elapsed_ns == 0) {
        snprintf(why, why_size, "no operation was completed");
        return false;
    }
    job->ns_per_op = (double)job->sample.elapsed_ns / (double)job->sample.ops;
    *seconds_per_op = job->ns_per_op * 1e-9;
    return true;
}

/* One sample through Google Benchmark, which must report the time that it was given. */
static void run(const struct parsed_request *parsed, struct cell_sample *sample) {
    struct job job = {.request = &parsed->request};
    char why[CELL_WHY_SIZE] = "";
    double real_ns = 0;
    malloc_trim(0); /* what earlier samples left behind is not this one's memory */
    bool ok = gbench_run(parsed->name, measure, &job, &real_ns, why, sizeof why);
    if (ok && !(fabs(real_ns - job.ns_per_op) <= 1e-9 * job.ns_per_op)) {
        ok = false;
        snprintf(why, sizeof why, "Google Benchmark reports %.17g ns, measured were %.17g", real_ns,
                 job.ns_per_op);
    }
    *sample = job.sample;
    sample->ok = ok;
    if (!ok)
        snprintf(sample->why, sizeof sample->why, "%s", why);
}

static bool answer(int fd, const struct cell_sample *sample) {
    json_t *json = sample_to_json(sample);
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text == NULL)
        return false;
    const size_t length = strlen(text);
    text[length] = '\n'; /* in place of the terminator: one write, one line */
    size_t done = 0;
    while (done <= length) {
        const ssize_t n = write(fd, text + done, length + 1 - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    free(text);
    return done == length + 1;
}

/* Racing code may allocate without end, or leave a core file for every crash. */
static void contain(void) {
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0) {
        const struct rlimit all = {(rlim_t)pages * (rlim_t)page, (rlim_t)pages * (rlim_t)page};
        (void)setrlimit(RLIMIT_AS, &all);
    }
    /* Should memory run out all the same, the kernel ends this process and not the runner. */
    const int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "1000", 4);
        close(fd);
    }
}

int worker_main(int argc, char **argv) {
    const bool contained = argc > 1 && strcmp(argv[argc - 1], "contained") == 0;
    if (contained)
        contain();
    /* A workload that prints must not be able to talk into the answers. */
    const int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        fprintf(stderr, "allcores: worker: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    char *line = NULL;
    size_t size = 0;
    int status = EXIT_DONE;
    while (status == EXIT_DONE && getline(&line, &size, stdin) > 0) {
        struct parsed_request parsed;
        struct cell_sample sample = {.ok = false};
        json_t *json = json_loads(line, 0, NULL);
        if (json == NULL || !request_from_json(json, &parsed, sample.why, sizeof sample.why)) {
            fprintf(stderr,
                    "allcores: \"worker\" is a part of \"run\" and reads its requests: %s\n",
                    json == NULL ? "this is no request" : sample.why);
            status = EXIT_BAD_INPUT;
        } else {
            run(&parsed, &sample);
            if (!answer(out, &sample))
                status = EXIT_FAILED;
        }
        json_decref(json);
    }
    free(line);
    close(out);
    return status;
}
