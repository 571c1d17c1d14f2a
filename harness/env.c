/*
 * env.c - the environment of a run.  See env.h.
 *
 * Sources: proc(5), the kernel's Documentation/admin-guide/pm/cpufreq.rst and cgroup-v2.rst,
 * hwloc's manual, CPUID leaf 0x40000000 (the hypervisors' convention), Google Benchmark's JSON
 * reporter.
 */
#include "env.h"

#include "buildinfo.h"
#include "gbench.h"
#include "record.h"

#include <cpuid.h>
#include <gnu/libc-version.h>
#include <hwloc.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* First line of a file as a string without its end; null when it cannot be read. */
static json_t *first_line(const char *path) {
    char line[512];
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return json_null();
    const bool got = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    if (!got)
        return json_null();
    line[strcspn(line, "\n")] = '\0';
    json_t *text = json_string(line);
    return text != NULL ? text : json_null(); /* not UTF-8 */
}

/* The same for a file that holds a whole number. */
static json_t *first_number(const char *path) {
    json_t *text = first_line(path);
    json_t *number = json_null();
    char *end;
    if (json_is_string(text)) {
        const long long value = strtoll(json_string_value(text), &end, 10);
        if (end != json_string_value(text) && *end == '\0')
            number = json_integer(value);
    }
    json_decref(text);
    return number;
}

static json_t *cpu_model(void) {
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (f == NULL)
        return json_null();
    json_t *model = NULL;
    while (model == NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "model name", 10) != 0)
            continue;
        const char *colon = strchr(line, ':');
        line[strcspn(line, "\n")] = '\0';
        if (colon != NULL)
            model = json_string(colon + 1 + strspn(colon + 1, " \t"));
    }
    fclose(f);
    return model != NULL ? model : json_null();
}

static json_t *kernel(void) {
    struct utsname u;
    char text[sizeof u.sysname + sizeof u.release + sizeof u.machine + 3];
    if (uname(&u) != 0)
        return json_null();
    snprintf(text, sizeof text, "%s %s %s", u.sysname, u.release, u.machine);
    return json_string(text);
}

/* "KVMKVMKVM" and the like; null on bare metal. */
static json_t *hypervisor(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1U << 31)))
        return json_null();
    char name[13] = {0};
    __cpuid(0x40000000, a, b, c, d);
    memcpy(name, &b, 4);
    memcpy(name + 4, &c, 4);
    memcpy(name + 8, &d, 4);
    json_t *text = json_string(name);
    return text != NULL ? text : json_string("unknown");
}

/* What one look at the clock costs, and the smallest step that it shows; medians would be zero
 * where the step is coarse, so: total over many, and least nonzero difference. */
static bool put_clock(json_t *context) {
    enum { LOOKS = 20000 };
    const struct machine *machine = machine_find("native");
    if (machine == NULL)
        return json_put(context, "clock_cost_ns", json_null()) &&
               json_put(context, "clock_resolution_ns", json_null());
    uint64_t step = UINT64_MAX;
    const uint64_t start = machine->now_ns();
    uint64_t before = start;
    for (int i = 0; i < LOOKS; i++) {
        const uint64_t now = machine->now_ns();
        if (now != before && now - before < step)
            step = now - before;
        before = now;
    }
    return json_put(context, "clock", json_string("CLOCK_MONOTONIC")) &&
           json_put(context, "clock_cost_ns", json_real((double)(before - start) / LOOKS)) &&
           json_put(context, "clock_resolution_ns",
                    step == UINT64_MAX ? json_null() : json_u64(step));
}

/* Which hardware threads belong together, and which of them this process may use. */
static json_t *topology(void) {
    hwloc_topology_t t;
    if (hwloc_topology_init(&t) != 0)
        return json_null();
    if (hwloc_topology_load(t) != 0) {
        hwloc_topology_destroy(t);
        return json_null();
    }
    const int cores = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_CORE);
    const int threads = hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_PU);
    json_t *obj = json_object();
    const bool ok =
        obj != NULL &&
        json_put(obj, "packages", json_integer(hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_PACKAGE))) &&
        json_put(obj, "numa_nodes",
                 json_integer(hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_NUMANODE))) &&
        json_put(obj, "cores", json_integer(cores)) &&
        json_put(obj, "hardware_threads", json_integer(threads)) &&
        json_put(obj, "smt", cores > 0 ? json_boolean(threads > cores) : json_null());
    hwloc_topology_destroy(t);
    if (!ok) {
        json_decref(obj);
        return NULL;
    }
    return obj;
}

/* The arguments, quoted for a shell where they need it. */
static json_t *command_line(const struct plan *plan) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL)
        return NULL;
    for (int i = 0; i < plan->argc; i++) {
        const char *a = plan->argv[i];
        if (i > 0)
            fputc(' ', f);
        if (a[0] != '\0' && a[strspn(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                        "0123456789-_=:,./+@%")] == '\0') {
            fputs(a, f);
            continue;
        }
        fputc('\'', f);
        for (; *a != '\0'; a++)
            fputs(*a == '\'' ? "'\\''" : (char[]){*a, '\0'}, f);
        fputc('\'', f);
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    json_t *json = json_string(text);
    if (json == NULL) /* bytes that are not UTF-8 have no JSON form */
        json = json_null();
    free(text);
    return json;
}

static bool put_build(json_t *context) {
    return json_put(context, "compiler", json_string(buildinfo.compiler)) &&
           json_put(context, "flags", json_string(buildinfo.flags)) &&
           json_put(context, "sanitizers", json_string(buildinfo.sanitizers)) &&
           json_put(context, "git_revision", json_string(buildinfo.git_revision)) &&
           json_put(context, "git_dirty", json_boolean(buildinfo.git_dirty)) &&
           json_put(context, "libc", json_string(gnu_get_libc_version()));
}

static bool put_system(json_t *context) {
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return json_put(context, "cpu_model", cpu_model()) && json_put(context, "kernel", kernel()) &&
           json_put(context, "hypervisor", hypervisor()) &&
           json_put(context, "governor",
                    first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")) &&
           json_put(context, "aslr", first_number("/proc/sys/kernel/randomize_va_space")) &&
           json_put(context, "transparent_hugepage",
                    first_line("/sys/kernel/mm/transparent_hugepage/enabled")) &&
           json_put(context, "cgroup_cpu_max", first_line("/sys/fs/cgroup/cpu.max")) &&
           json_put(context, "memory_bytes",
                    pages > 0 ? json_u64((uint64_t)pages * (uint64_t)page) : json_null()) &&
           json_put(context, "topology", topology()) && put_clock(context);
}

/* "native", "sim:PROFILE", or several of them separated by commas; in the order of the cells. */
static json_t *machines(const struct plan *plan) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL)
        return NULL;
    for (size_t i = 0; i < plan->count; i++) {
        bool told = false;
        for (size_t j = 0; j < i && !told; j++)
            told = strcmp(plan_cell_place(&plan->cells[i]), plan_cell_place(&plan->cells[j])) == 0;
        if (!told)
            fprintf(f, "%s%s", i > 0 ? "," : "", plan_cell_place(&plan->cells[i]));
    }
    const bool written = fclose(f) == 0;
    json_t *json = written ? json_string(text[0] != '\0' ? text : "native") : NULL;
    free(text);
    return json;
}

static bool put_simulation(json_t *context, const struct plan *plan) {
    return !plan_simulates(plan) || (json_put(context, "sim_time_s", json_real(plan->sim_time_s)) &&
                                     json_put(context, "overrides", plan_overrides_to_json(plan)) &&
                                     json_put(context, "jobs", json_u64(plan->jobs)));
}

static bool put_plan(json_t *context, const struct plan *plan) {
    char seed[24];
    snprintf(seed, sizeof seed, "%" PRIu64, plan->seed);
    return json_put(context, "machine", machines(plan)) && put_simulation(context, plan) &&
           json_put(context, "seed",
                    plan->seed <= INT64_MAX ? json_u64(plan->seed) : json_string(seed)) &&
           json_put(context, "repetitions", json_u64(plan->repetitions)) &&
           json_put(context, "min_time_s", json_real(plan->min_time_s)) &&
           (plan->warmup_s == 0 || json_put(context, "warmup_s", json_real(plan->warmup_s))) &&
           json_put(context, "command_line", command_line(plan));
}

json_t *env_capture(const struct plan *plan) {
    char *text = gbench_context();
    json_t *context = text != NULL ? json_loads(text, 0, NULL) : NULL;
    free(text);
    if (context == NULL)
        context = json_object();
    json_object_del(context, "host_name"); /* says nothing about speed, and is nobody's business */
    const char *executable = plan->argc > 0 ? plan->argv[0] : "allcores";
    if (!json_put(context, "executable", json_string(executable)) || !put_plan(context, plan) ||
        !put_system(context) || !put_build(context)) {
        json_decref(context);
        return NULL;
    }
    return context;
}
