/*
 * claims_explore.c - explorations of claims: `check` into a file of the folder, and what is
 * counted in it.  See claims.h.
 */
#include "claims.h"

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

/* Of one engine, in a summary of `check`; false when it is none. */
struct explored {
    const char *engine, *program, *result;
    json_int_t asked;
    int unsafe;
};
static bool unpack(json_t *json, struct explored *e) {
    return json_unpack(json, "{s:s, s:s, s:s, s:I, s:b}", "engine", &e->engine, "program",
                       &e->program, "result", &e->result, "asked", &e->asked, "unsafe",
                       &e->unsafe) == 0;
}

/* The summary, when it is there and has at least as many schedules of each engine. */
static json_t *load_enough(const char *path, const struct claim_exploration *x,
                           uint64_t schedules) {
    json_t *summary = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    json_t *engines = json_object_get(summary, "check");
    bool enough = json_array_size(engines) > 0;
    for (size_t i = 0; enough && i < json_array_size(engines); i++) {
        struct explored e;
        enough = unpack(json_array_get(engines, i), &e) && (uint64_t)e.asked >= schedules &&
                 strcmp(e.program, x->program != NULL ? x->program : "") == 0;
    }
    if (enough)
        return summary;
    json_decref(summary);
    return NULL;
}

static _Noreturn void explore(const char *const *words, int count, const char *story) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char *copies[16] = {NULL};
    for (int i = 0; i < count; i++)
        if ((copies[i] = strdup(words[i])) == NULL)
            _exit(cli_error("claims", "out of memory"));
    const int fd = open(story, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
        _exit(cli_error("claims", "%s cannot be written: %s", story, strerror(errno)));
    const int status = check_main(count, copies);
    fflush(NULL);
    _exit(status);
}

/* In a process of its own: under some schedule a wrong engine takes its process with it. */
static int run_check(const struct claim_exploration *x, uint64_t schedules, const char *path,
                     const char *story) {
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
    const pid_t pid = fork();
    if (pid == 0)
        explore(words, count, story);
    while (pid > 0 && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return cli_error("claims", "exploration %s: %s", x->name, strerror(errno));
    if (pid < 0)
        return cli_error("claims", "exploration %s: %s", x->name, strerror(errno));
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "allcores claims: exploration %s was ended by signal %d\n", x->name,
                WTERMSIG(status));
        return EXIT_FAILED;
    }
    return WEXITSTATUS(status);
}

int claims_explore(const struct claim_exploration *x, const char *folder, bool quick,
                   json_t **summary) {
    const uint64_t schedules = quick ? x->quick_schedules : x->schedules;
    char *path = NULL, *story = NULL;
    int status = EXIT_DONE;
    if (asprintf(&path, "%s/%s.json", folder, x->name) < 0 ||
        asprintf(&story, "%s/%s.txt", folder, x->name) < 0) {
        free(path);
        return cli_error("claims", "out of memory");
    }
    *summary = load_enough(path, x, schedules);
    if (*summary == NULL) {
        status = run_check(x, schedules, path, story);
        if (status == EXIT_FAILED || status == EXIT_DONE)
            *summary = load_enough(path, x, schedules);
        if (status == EXIT_FAILED && *summary != NULL)
            status = EXIT_DONE; /* what failed is in the summary */
    }
    for (size_t i = 0; i < json_array_size(json_object_get(*summary, "check")); i++) {
        struct explored e;
        if (unpack(json_array_get(json_object_get(*summary, "check"), i), &e) && !e.unsafe &&
            strcmp(e.result, "ok") != 0) {
            fprintf(stderr, "allcores claims: %s under a chosen schedule: %s; %s tells how\n",
                    e.engine, e.result, story);
            status = EXIT_FAILED;
        }
    }
    free(path);
    free(story);
    return status;
}
