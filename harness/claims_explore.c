/*
 * claims_explore.c - explorations of claims: `check` into a file of the folder, and what is
 * counted in it.  See claims.h.
 */
#include "claims.h"

#include "buildinfo.h"
#include "check.h"
#include "cli.h"
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that takes longer hangs. */
enum { TIME_MAX_S = 3600 };

/* The summary, when it is there, of this build, and has at least as many schedules of each engine.
 * Which engines, this build and the program decide. */
static json_t *load_enough(const char *path, const struct claim_exploration *x,
                           uint64_t schedules) {
    json_t *summary = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    json_t *engines = json_object_get(summary, "check");
    const char *revision = json_string_value(json_object_get(summary, "git_revision"));
    bool enough = json_array_size(engines) > 0 && revision != NULL &&
                  strcmp(revision, buildinfo.git_revision) == 0 &&
                  json_is_true(json_object_get(summary, "git_dirty")) == buildinfo.git_dirty;
    struct claim_explored e;
    size_t readable = 0;
    for (size_t i = 0; enough && claim_explored_next(summary, &i, &e); readable++)
        enough = (uint64_t)e.asked >= schedules &&
                 strcmp(e.program, x->program != NULL ? x->program : "") == 0;
    enough = enough && readable == json_array_size(engines);
    if (enough)
        return summary;
    json_decref(summary);
    return NULL;
}

static _Noreturn void explore(const char *const *words, int count, const char *story,
                              pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_FAILED); /* it ended before it could be told */
    alarm(TIME_MAX_S);
    char *copies[16] = {NULL};
    for (int i = 0; i < count; i++)
        if ((copies[i] = strdup(words[i])) == NULL)
            _exit(cli_error("claims", "out of memory"));
    const int fd = open(story, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
        _exit(cli_error("claims", "%s cannot be written: %s", story, strerror(errno)));
    const int status = check_main(count, copies);
    if (fflush(stdout) != 0 || ferror(stdout))
        _exit(cli_error("claims", "%s cannot be written: %s", story, strerror(errno)));
    _exit(status);
}

/* In a process of its own: under some schedule a wrong engine could take its process with it.  Then
 * `why` says so. */
static int run_check(const struct claim_exploration *x, uint64_t schedules, const char *path,
                     const char *story, char *why, size_t why_size) {
    char number[24];
    const char *words[16] = {"check", "--quiet", "--schedules", number, "--out", path};
    int count = 6, status = 0;
    snprintf(number, sizeof number, "%llu", (unsigned long long)schedules);
    if (x->engines != NULL) {
        words[count++] = "--engine";
        words[count++] = x->engines;
    }
    if (x->program != NULL) {
        words[count++] = "--program";
        words[count++] = x->program;
    }
    fflush(NULL);
    void (*const before)(int) =
        signal(SIGCHLD, SIG_DFL); /* where it is ignored, so is the status */
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        explore(words, count, story, parent);
    pid_t ended = pid;
    while (pid > 0 && (ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    const int error = errno;
    signal(SIGCHLD, before);
    if (ended < 0)
        return cli_error("claims", "exploration %s: %s", x->name, strerror(error));
    if (WIFSIGNALED(status)) {
        snprintf(why, why_size, "exploration %s was ended by signal %d, %s", x->name,
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
        fprintf(stderr, "allcores claims: %s\n", why);
        return EXIT_FAILED;
    }
    return WEXITSTATUS(status);
}

int claims_explore(const struct claim_exploration *exploration, const char *folder, bool quick,
                   json_t **summary) {
    const uint64_t schedules = quick ? exploration->quick_schedules : exploration->schedules;
    char *path = NULL, *story = NULL, why[160] = "";
    int status = EXIT_DONE;
    if (asprintf(&path, "%s/%s.json", folder, exploration->name) < 0 ||
        asprintf(&story, "%s/%s.txt", folder, exploration->name) < 0) {
        free(path);
        return cli_error("claims", "out of memory");
    }
    *summary = load_enough(path, exploration, schedules);
    if (*summary == NULL) {
        status = run_check(exploration, schedules, path, story, why, sizeof why);
        if (status == EXIT_FAILED || status == EXIT_DONE)
            *summary = load_enough(path, exploration, schedules);
        if (status == EXIT_FAILED && *summary != NULL)
            status = EXIT_DONE; /* what failed is in the summary */
        if (*summary == NULL && why[0] != '\0')
            *summary = json_pack("{s:s, s:b}", "why", why, "crashed", true);
    }
    struct claim_explored e;
    for (size_t i = 0; claim_explored_next(*summary, &i, &e);)
        if (e.failed && !e.unsafe) {
            fprintf(stderr, "allcores claims: %s under a chosen schedule: %s; %s tells how\n",
                    e.engine, e.result, story);
            status = EXIT_FAILED;
        }
    free(path);
    free(story);
    return status;
}
