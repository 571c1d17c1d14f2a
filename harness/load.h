/*
 * load.h - results files, read and checked.  The format is harness/results.schema.json.
 *
 * A loaded set owns everything it points to; strings live until load_free.  Not thread-safe.
 */
#ifndef ALLCORES_LOAD_H
#define ALLCORES_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

enum { LOAD_BYTES_MAX = 256 << 20 }; /* a larger file is refused */

/* A ratio to another cell; absent when the file does not define it. */
struct load_ratio {
    bool present;
    double value;
    bool has_interval;
    double low, high;
    const char *baseline; /* name of the cell below the line; may be NULL */
};

struct load_cause {
    const char *name;
    double count;
};

struct load_cell {
    const char *name, *workload, *engine, *machine;
    const json_t *overrides; /* of a simulated profile, strings KEY=VALUE; NULL: none are given */
    bool hypothetical;       /* a simulated machine that was never sold */
    unsigned threads;
    unsigned samples;        /* that were taken, right or wrong */
    unsigned samples_wanted; /* by the run; 0 when the file does not say */
    bool has_time; /* false: it failed, is incomplete, or must not be shown as a time (nosync) */
    double median_ns;
    bool has_interval;
    double low_ns, high_ns;
    double *raw_ns; /* [raw_count], in pass order */
    size_t raw_count;
    double commits;            /* negative: not counted */
    struct load_cause *aborts; /* [abort_causes] */
    size_t abort_causes;
    double aborts_total;
    double wasted_ratio;                                   /* negative: not measured */
    double ops_min, ops_max;                               /* negative: not given */
    double rss_bytes;                                      /* negative: not given */
    double latency_p50_ns, latency_p99_ns, latency_max_ns; /* negative: not measured */
    struct load_ratio slowdown, scaling, speedup, to_gil_section;
    bool has_verify_failed;
    unsigned verify_failed; /* of `samples` */
    size_t file;            /* index into files */
    size_t host;            /* index into hosts */
};

/* A cell without numbers: it failed, or cannot run on its machine. */
struct load_gap {
    const char *workload, *engine, *machine, *reason;
    unsigned threads;
    bool expected; /* the failure of an engine that is known to be wrong */
    unsigned lost; /* samples that crashed or were ended at their time limit: in no cell */
    size_t file;
};

struct load_file {
    const char *path; /* as given */
    json_t *root;
    const json_t *context;
};

/* What measured: cells of two hosts are never set beside each other unlabelled. */
struct load_host {
    const char *machine; /* "native" or "sim:PROFILE" */
    bool simulated;      /* then intervals are over seeds */
    char *label;         /* "measured: native, CPU, 2 cores", "simulated: PROFILE" */
    char *slug;          /* "" for the first native one, otherwise fit for a file name */
};

struct load {
    struct load_file *files;
    size_t files_count;
    struct load_host *hosts;
    size_t hosts_count;
    struct load_cell *cells;
    size_t cells_count;
    struct load_gap *failures;
    size_t failures_count;
    struct load_gap *unavailable;
    size_t unavailable_count;
};

/*
 * Reads and checks `count` results files and merges them in the order given.  False when one of
 * them cannot be used; one line on stderr has said which, where and what would be right, and the
 * set is empty.
 */
bool load_files(struct load *load, const char *const *paths, size_t count);

void load_free(struct load *load);

/* The cell of this name on the same host as `like`, or NULL. */
const struct load_cell *load_find(const struct load *load, const char *name,
                                  const struct load_cell *like);

#endif
