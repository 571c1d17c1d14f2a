/*
 * load.c - results files, read and checked.  See load.h.
 *
 * Nothing in a file is trusted: sizes, types, ranges, and that a stored median is the median of
 * the stored samples.  The first thing that is wrong is told with its JSON path, and the file is
 * refused as a whole.
 */
#include "load.h"

#include "cli.h"
#include "stats.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 256, THREADS_MAX = 1 << 20 };

/* Where we are in which file. */
struct place {
    const char *file;
    char path[PATH_SIZE];
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct place *place,
                                                         const char *format, ...) {
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    cli_error(NULL, "%s: %s%s%s", place->file, place->path, place->path[0] != '\0' ? ": " : "",
              message);
    return false;
}

static struct place inside(const struct place *place, const char *key) {
    struct place p = {.file = place->file};
    if (strlen(place->path) + strlen(key) + 2 > sizeof p.path)
        return *place;
    size_t n = strlen(place->path);
    memcpy(p.path, place->path, n);
    if (n > 0)
        p.path[n++] = '.';
    memcpy(p.path + n, key, strlen(key) + 1);
    return p;
}

static struct place element(const char *file, const char *list, size_t index) {
    struct place p = {.file = file};
    snprintf(p.path, sizeof p.path, "%s[%zu]", list, index);
    return p;
}

static const char *type_name(const json_t *value) {
    if (value == NULL)
        return "missing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_NULL:
        return "null";
    default:
        return "true or false";
    }
}

/* ---- typed members ------------------------------------------------------------------------- */

static bool absent(const json_t *value) { return value == NULL || json_is_null(value); }

/* A string without control characters; NULL in *out when it is absent and optional. */
static bool get_string(const struct place *at, const json_t *object, const char *key, bool optional,
                       const char **out) {
    const struct place place = inside(at, key);
    const json_t *value = json_object_get(object, key);
    *out = NULL;
    if (optional && absent(value))
        return true;
    if (!json_is_string(value))
        return refuse(&place, "is %s, must be a string", type_name(value));
    *out = json_string_value(value);
    if (!optional && (*out)[0] == '\0')
        return refuse(&place, "is empty, must be a name");
    for (const char *c = *out; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            return refuse(&place, "has a control character, must be one line of plain text");
    return true;
}

/* A finite number from min to max; `fallback` when it is absent and optional. */
static bool get_number(const struct place *at, const json_t *object, const char *key, double min,
                       double max, bool optional, double fallback, double *out) {
    const struct place place = inside(at, key);
    const json_t *value = json_object_get(object, key);
    *out = fallback;
    if (optional && absent(value))
        return true;
    if (!json_is_number(value))
        return refuse(&place, "is %s, must be a number", type_name(value));
    *out = json_number_value(value);
    if (!isfinite(*out) || *out < min || *out > max)
        return refuse(&place, "is %g, must be from %g to %g", *out, min, max);
    return true;
}

static bool get_count(const struct place *at, const json_t *object, const char *key, unsigned min,
                      unsigned max, unsigned *out) {
    const struct place place = inside(at, key);
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return refuse(&place, "is %s, must be a whole number",
                      json_is_real(value) ? "a fraction" : type_name(value));
    const json_int_t i = json_integer_value(value);
    if (i < (json_int_t)min || i > (json_int_t)max)
        return refuse(&place, "is %lld, must be from %u to %u", (long long)i, min, max);
    *out = (unsigned)i;
    return true;
}

/* [low, high] or null. */
static bool get_interval(const struct place *at, const json_t *object, const char *key, bool *has,
                         double *low, double *high) {
    const struct place place = inside(at, key);
    const json_t *value = json_object_get(object, key);
    *has = false;
    if (absent(value))
        return true;
    if (!json_is_array(value) || json_array_size(value) != 2 ||
        !json_is_number(json_array_get(value, 0)) || !json_is_number(json_array_get(value, 1)))
        return refuse(&place, "must be [low, high] or null");
    *low = json_number_value(json_array_get(value, 0));
    *high = json_number_value(json_array_get(value, 1));
    if (!isfinite(*low) || !isfinite(*high) || *low > *high || *low < 0)
        return refuse(&place, "is [%g, %g], must be two numbers in ascending order", *low, *high);
    *has = true;
    return true;
}

static bool get_ratio(const struct place *at, const json_t *object, const char *key,
                      struct load_ratio *ratio) {
    const struct place place = inside(at, key);
    const json_t *value = json_object_get(object, key);
    *ratio = (struct load_ratio){0};
    if (absent(value))
        return true;
    if (!json_is_object(value))
        return refuse(&place, "is %s, must be an object {value, ci95, baseline}", type_name(value));
    ratio->present = true;
    return get_number(&place, value, "value", 1e-12, 1e12, false, 0, &ratio->value) &&
           get_interval(&place, value, "ci95", &ratio->has_interval, &ratio->low, &ratio->high) &&
           get_string(&place, value, "baseline", true, &ratio->baseline);
}

/* ---- one cell ------------------------------------------------------------------------------ */

static bool get_raw(const struct place *at, const json_t *object, struct load_cell *cell) {
    const struct place place = inside(at, "raw_ns");
    const json_t *raw = json_object_get(object, "raw_ns");
    if (!json_is_array(raw))
        return refuse(&place, "is %s, must be an array of nanoseconds", type_name(raw));
    cell->raw_ns = calloc(json_array_size(raw) + 1, sizeof *cell->raw_ns);
    if (cell->raw_ns == NULL)
        return refuse(&place, "out of memory");
    for (size_t i = 0; i < json_array_size(raw); i++) {
        const json_t *value = json_array_get(raw, i);
        const double ns = json_is_number(value) ? json_number_value(value) : -1;
        if (!isfinite(ns) || ns <= 0)
            return refuse(&place, "element %zu must be a number of nanoseconds above 0", i);
        cell->raw_ns[cell->raw_count++] = ns;
    }
    return true;
}

static bool get_aborts(const struct place *at, const json_t *object, struct load_cell *cell) {
    const struct place place = inside(at, "aborts");
    json_t *aborts = json_object_get(object, "aborts");
    if (absent(aborts))
        return true;
    if (!json_is_object(aborts))
        return refuse(&place, "is %s, must be an object {cause: count}", type_name(aborts));
    cell->aborts = calloc(json_object_size(aborts) + 1, sizeof *cell->aborts);
    if (cell->aborts == NULL)
        return refuse(&place, "out of memory");
    const char *cause;
    json_t *value;
    json_object_foreach(aborts, cause, value) {
        struct load_cause *c = &cell->aborts[cell->abort_causes];
        c->name = cause;
        if (!get_number(&place, aborts, cause, 0, 1e19, false, 0, &c->count))
            return false;
        cell->aborts_total += c->count;
        cell->abort_causes++;
    }
    return true;
}

/* The stored median must be the median of the stored samples: a picture shows both. */
static bool check_median(const struct place *at, const struct load_cell *cell) {
    const struct place place = inside(at, "median_ns");
    if (cell->raw_count == 0)
        return refuse(&place, "is a time, but raw_ns is empty; must be null or have its samples");
    const double median = stats_median(cell->raw_ns, cell->raw_count);
    if (fabs(median - cell->median_ns) > 1e-3 * median)
        return refuse(&place, "is %.6g, must be the median of raw_ns, %.6g", cell->median_ns,
                      median);
    if (cell->has_interval && (cell->low_ns > cell->median_ns || cell->high_ns < cell->median_ns))
        return refuse(&place, "is %.6g, must lie inside ci95_ns [%.6g, %.6g]", cell->median_ns,
                      cell->low_ns, cell->high_ns);
    return true;
}

static bool get_latency(const struct place *at, const json_t *object, struct load_cell *cell) {
    const struct place place = inside(at, "latency_ns");
    const json_t *latency = json_object_get(object, "latency_ns");
    cell->latency_p50_ns = cell->latency_p99_ns = cell->latency_max_ns = -1;
    if (absent(latency))
        return true;
    if (!json_is_object(latency))
        return refuse(&place, "is %s, must be an object {p50, p99, max} or null",
                      type_name(latency));
    return get_number(&place, latency, "p50", 0, 1e18, true, -1, &cell->latency_p50_ns) &&
           get_number(&place, latency, "p99", 0, 1e18, true, -1, &cell->latency_p99_ns) &&
           get_number(&place, latency, "max", 0, 1e18, true, -1, &cell->latency_max_ns);
}

static bool get_machine(const struct place *at, const json_t *object, const char **machine) {
    const struct place place = inside(at, "machine");
    if (!get_string(at, object, "machine", false, machine))
        return false;
    if (strcmp(*machine, "native") != 0 &&
        (strncmp(*machine, "sim:", 4) != 0 || (*machine)[4] == '\0'))
        return refuse(&place, "is \"%s\", must be \"native\" or \"sim:PROFILE\"", *machine);
    return true;
}

static bool get_profile(const struct place *at, const json_t *object, struct load_cell *cell) {
    const struct place place = inside(at, "overrides");
    const json_t *overrides = json_object_get(object, "overrides");
    cell->hypothetical = json_is_true(json_object_get(object, "hypothetical"));
    if (absent(overrides))
        return true;
    if (!json_is_array(overrides))
        return refuse(&place, "is %s, must be an array of KEY=VALUE", type_name(overrides));
    for (size_t i = 0; i < json_array_size(overrides); i++)
        if (!json_is_string(json_array_get(overrides, i)))
            return refuse(&place, "element %zu is %s, must be KEY=VALUE", i,
                          type_name(json_array_get(overrides, i)));
    cell->overrides = overrides;
    return true;
}

static bool get_verify_failed(const struct place *at, const json_t *object,
                              struct load_cell *cell) {
    if (absent(json_object_get(object, "verify_failed")))
        return true;
    cell->has_verify_failed = true;
    return get_count(at, object, "verify_failed", 0, cell->samples, &cell->verify_failed);
}

static bool get_time(const struct place *at, const json_t *object, struct load_cell *cell) {
    if (cell->verify_failed > 0)
        return true; /* whatever the file says: a wrong run has no time */
    if (absent(json_object_get(object, "median_ns")) && cell->has_verify_failed)
        return true;
    cell->has_time = true;
    return get_number(at, object, "median_ns", 1e-9, 1e18, false, 0, &cell->median_ns) &&
           get_interval(at, object, "ci95_ns", &cell->has_interval, &cell->low_ns,
                        &cell->high_ns) &&
           get_raw(at, object, cell) && check_median(at, cell) &&
           get_ratio(at, object, "slowdown", &cell->slowdown) &&
           get_ratio(at, object, "scaling", &cell->scaling) &&
           get_ratio(at, object, "speedup_over_gil", &cell->speedup) &&
           get_ratio(at, object, "ratio_to_gil_section", &cell->to_gil_section);
}

static bool get_cell(const struct place *at, const json_t *object, struct load_cell *cell) {
    if (!json_is_object(object))
        return refuse(at, "is %s, must be an object that describes a cell", type_name(object));
    const json_t *ops = json_object_get(object, "ops_per_thread");
    const struct place ops_at = inside(at, "ops_per_thread");
    cell->ops_min = cell->ops_max = -1;
    if (!absent(ops) && !json_is_object(ops))
        return refuse(&ops_at, "is %s, must be an object {min, max}", type_name(ops));
    return get_string(at, object, "name", false, &cell->name) &&
           get_string(at, object, "workload", false, &cell->workload) &&
           get_string(at, object, "engine", false, &cell->engine) &&
           get_machine(at, object, &cell->machine) && get_profile(at, object, cell) &&
           get_count(at, object, "threads", 1, THREADS_MAX, &cell->threads) &&
           get_count(at, object, "samples", 0, INT_MAX, &cell->samples) &&
           get_verify_failed(at, object, cell) && get_time(at, object, cell) &&
           get_number(at, object, "commits", 0, 1e19, true, -1, &cell->commits) &&
           get_aborts(at, object, cell) &&
           get_number(at, object, "wasted_ratio", 0, 1e3, true, -1, &cell->wasted_ratio) &&
           get_number(at, object, "rss_bytes", 0, 1e18, true, -1, &cell->rss_bytes) &&
           (ops == NULL || (get_number(&ops_at, ops, "min", 0, 1e19, true, -1, &cell->ops_min) &&
                            get_number(&ops_at, ops, "max", 0, 1e19, true, -1, &cell->ops_max))) &&
           get_latency(at, object, cell);
}

static bool get_gap(const struct place *at, const json_t *object, struct load_gap *gap) {
    if (!json_is_object(object))
        return refuse(at, "is %s, must be an object {workload, engine, machine, threads, reason}",
                      type_name(object));
    gap->expected = json_is_true(json_object_get(object, "expected"));
    gap->lost = (unsigned)(json_integer_value(json_object_get(object, "crashed")) +
                           json_integer_value(json_object_get(object, "hung")));
    return get_string(at, object, "workload", false, &gap->workload) &&
           get_string(at, object, "engine", false, &gap->engine) &&
           get_string(at, object, "machine", false, &gap->machine) &&
           get_string(at, object, "reason", false, &gap->reason) &&
           get_count(at, object, "threads", 1, THREADS_MAX, &gap->threads);
}

/* ---- one file ------------------------------------------------------------------------------ */

/* Parses file->path into file->root; says line and column where it stops being JSON. */
static bool read_json(struct load_file *file) {
    const struct place at = {.file = file->path};
    const int fd =
        open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* no wait for a writer of a pipe */
    struct stat status;
    if (fd < 0)
        return refuse(&at, "cannot be read (%s); must be a results file that `allcores run` wrote",
                      strerror(errno));
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return refuse(&at,
                      "is not a regular file, must be a results file that `allcores run` wrote");
    }
    if (status.st_size > LOAD_BYTES_MAX) {
        close(fd);
        return refuse(&at, "is %lld MiB, must be at most %d MiB", (long long)status.st_size >> 20,
                      LOAD_BYTES_MAX >> 20);
    }
    json_error_t error;
    file->root = json_loadfd(fd, JSON_REJECT_DUPLICATES, &error);
    close(fd);
    if (file->root == NULL) {
        cli_error(NULL, "%s:%d:%d: %s; must be a complete JSON file that `allcores run` wrote",
                  file->path, error.line > 0 ? error.line : 1, error.column > 0 ? error.column : 1,
                  error.text);
        return false;
    }
    if (!json_is_object(file->root))
        return refuse(&at, "is %s at the top, must be an object with context, benchmarks and cells",
                      type_name(file->root));
    file->context = json_object_get(file->root, "context");
    return true;
}

static bool check_top(const struct load_file *file) {
    static const char *const lists[] = {"benchmarks", "cells", "failures", "unavailable"};
    const struct place top = {.file = file->path};
    const struct place context = inside(&top, "context");
    if (!json_is_object(file->context))
        return refuse(&context, "is %s, must be an object: is this a results file?",
                      type_name(file->context));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const struct place at = inside(&top, lists[i]);
        const json_t *list = json_object_get(file->root, lists[i]);
        if (!json_is_array(list))
            return refuse(&at, "is %s, must be an array: is this a results file of `allcores run`?",
                          type_name(list));
    }
    return true;
}

/* ---- hosts --------------------------------------------------------------------------------- */

/* "simulated: PROFILE (hypothetical machine), with l1.size=48K". */
static char *simulated_label(const struct load_cell *cell) {
    const json_t *overrides = cell->overrides;
    char *label = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&label, &size);
    if (f == NULL)
        return NULL;
    fprintf(f, "simulated: %s%s", cell->machine + 4,
            cell->hypothetical ? " (hypothetical machine)" : "");
    for (size_t i = 0; i < json_array_size(overrides); i++)
        fprintf(f, "%s%s", i == 0 ? ", with " : " ",
                json_string_value(json_array_get(overrides, i)));
    if (fclose(f) != 0) {
        free(label);
        return NULL;
    }
    for (char *c = label; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    return label;
}

static char *host_label(const struct load_file *file, const struct load_cell *cell) {
    char *label = NULL;
    if (strncmp(cell->machine, "sim:", 4) == 0)
        return simulated_label(cell);
    const json_t *cpu = json_object_get(file->context, "cpu_model");
    const json_t *cores = json_object_get(json_object_get(file->context, "topology"), "cores");
    if (!json_is_integer(cores))
        cores = json_object_get(file->context, "num_cpus");
    const int n = (int)(json_is_integer(cores) ? json_integer_value(cores) : 0);
    char count[48] = "";
    if (n > 0)
        snprintf(count, sizeof count, ", %d core%s", n, n == 1 ? "" : "s");
    const int made =
        asprintf(&label, "measured: native, %s%s",
                 json_is_string(cpu) ? json_string_value(cpu) : "unnamed processor", count);
    for (char *c = label; made >= 0 && *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    return made >= 0 ? label : NULL;
}

static bool out_of_memory(void) {
    cli_error(NULL, "out of memory");
    return false;
}

static bool find_host(struct load *load, const struct load_file *file, struct load_cell *cell) {
    char *label = host_label(file, cell);
    const char *machine = cell->machine;
    if (label == NULL)
        return out_of_memory();
    for (size_t i = 0; i < load->hosts_count; i++)
        if (strcmp(load->hosts[i].label, label) == 0) {
            free(label);
            cell->host = i;
            return true;
        }
    char *slug = NULL;
    const bool plain = load->hosts_count == 0 && strcmp(machine, "native") == 0;
    const int made = plain ? asprintf(&slug, "%s", "")
                           : asprintf(&slug, "-%s-%zu", machine, load->hosts_count + 1);
    struct load_host *more = realloc(load->hosts, (load->hosts_count + 1) * sizeof *load->hosts);
    if (more != NULL)
        load->hosts = more;
    if (more == NULL || made < 0) {
        free(label);
        if (made >= 0)
            free(slug);
        return out_of_memory();
    }
    for (char *c = slug; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c))
            *c = '-';
    cell->host = load->hosts_count++;
    load->hosts[cell->host] =
        (struct load_host){machine, strcmp(machine, "native") != 0, label, slug};
    return true;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static bool append_gaps(const struct load_file *file, size_t index, const char *key,
                        struct load_gap **gaps, size_t *count) {
    const json_t *list = json_object_get(file->root, key);
    const size_t n = json_array_size(list);
    struct load_gap *more = realloc(*gaps, (*count + n + 1) * sizeof **gaps);
    if (more == NULL)
        return out_of_memory();
    *gaps = more;
    for (size_t i = 0; i < n; i++) {
        const struct place at = element(file->path, key, i);
        struct load_gap *gap = &(*gaps)[*count];
        *gap = (struct load_gap){.file = index};
        if (!get_gap(&at, json_array_get(list, i), gap))
            return false;
        ++*count;
    }
    return true;
}

/* Notes that cells[index] is there.  False with a message when its name is taken on that host. */
static bool note_name(const struct load *load, const struct place *at, size_t index, json_t *seen) {
    const struct load_cell *cell = &load->cells[index];
    char *key = NULL;
    if (asprintf(&key, "%zu %s", cell->host, cell->name) < 0)
        return out_of_memory();
    const json_t *other = json_object_get(seen, key);
    bool ok = false;
    if (other != NULL)
        refuse(at, "%s is already in %s; must be there once for each machine", cell->name,
               load->files[load->cells[json_integer_value(other)].file].path);
    else
        ok =
            json_object_set_new(seen, key, json_integer((json_int_t)index)) == 0 || out_of_memory();
    free(key);
    return ok;
}

/* `seen` maps host and name to the index of the cell. */
static bool append_cells(struct load *load, size_t index, json_t *seen) {
    const struct load_file *file = &load->files[index];
    const json_t *list = json_object_get(file->root, "cells");
    const size_t n = json_array_size(list);
    const json_int_t repetitions =
        json_integer_value(json_object_get(file->context, "repetitions"));
    const unsigned wanted = repetitions > 0 && repetitions <= INT_MAX ? (unsigned)repetitions : 0;
    struct load_cell *more = realloc(load->cells, (load->cells_count + n + 1) * sizeof *more);
    if (more == NULL)
        return out_of_memory();
    load->cells = more;
    for (size_t i = 0; i < n; i++) {
        const struct place at = element(file->path, "cells", i);
        struct load_cell *cell = &load->cells[load->cells_count];
        *cell = (struct load_cell){.file = index, .samples_wanted = wanted};
        load->cells_count++; /* before it is complete: load_free frees what it has */
        if (!get_cell(&at, json_array_get(list, i), cell) || cell->machine == NULL ||
            !find_host(load, file, cell) || !note_name(load, &at, load->cells_count - 1, seen))
            return false;
    }
    return true;
}

static bool append_file(struct load *load, const char *path, json_t *seen) {
    const size_t index = load->files_count++;
    struct load_file *file = &load->files[index];
    file->path = path;
    return read_json(file) && check_top(file) && append_cells(load, index, seen) &&
           append_gaps(file, index, "failures", &load->failures, &load->failures_count) &&
           append_gaps(file, index, "unavailable", &load->unavailable, &load->unavailable_count);
}

bool load_files(struct load *load, const char *const *paths, size_t count) {
    *load = (struct load){0};
    load->files = calloc(count + 1, sizeof *load->files);
    json_t *seen = json_object();
    bool ok = load->files != NULL && seen != NULL;
    if (!ok)
        out_of_memory();
    for (size_t i = 0; ok && i < count; i++)
        ok = append_file(load, paths[i], seen);
    json_decref(seen);
    if (!ok)
        load_free(load);
    return ok;
}

void load_free(struct load *load) {
    for (size_t i = 0; i < load->cells_count; i++) {
        free(load->cells[i].raw_ns);
        free(load->cells[i].aborts);
    }
    for (size_t i = 0; i < load->hosts_count; i++) {
        free(load->hosts[i].label);
        free(load->hosts[i].slug);
    }
    for (size_t i = 0; i < load->files_count; i++)
        json_decref(load->files[i].root);
    free(load->cells);
    free(load->hosts);
    free(load->files);
    free(load->failures);
    free(load->unavailable);
    *load = (struct load){0};
}

const struct load_cell *load_find(const struct load *load, const char *name,
                                  const struct load_cell *like) {
    for (size_t i = 0; i < load->cells_count; i++)
        if (load->cells[i].host == like->host && strcmp(load->cells[i].name, name) == 0)
            return &load->cells[i];
    return NULL;
}
