/*
 * claim.h - a claim of the talk as data: what was said, what others measured, which cells measure
 * it here, and the rule that turns figures into a verdict, written before they existed.
 *
 * A claim is a file harness/claims/ID.json, compiled in; README.md beside them documents the keys.
 * A parsed claim owns its JSON, into which its strings point.  Judging is a pure function of
 * values; measuring, of a loaded results file.  Not thread-safe.
 */
#ifndef ALLCORES_CLAIM_H
#define ALLCORES_CLAIM_H

#include "experiment.h"

enum {
    CLAIM_QUANTITIES_MAX = 12,
    CLAIM_EXPERIMENTS_MAX = 4,
    CLAIM_EXPLORATIONS_MAX = 2,
    CLAIM_THREADS_MAX = 8
};

enum claim_verdict {
    CLAIM_REPRODUCED,
    CLAIM_PARTLY,
    CLAIM_NOT_REPRODUCED,
    CLAIM_INCONCLUSIVE, /* an interval straddles the rule */
    CLAIM_PENDING,      /* a capability is missing */
    CLAIM_NOT_TESTABLE, /* on this machine */
    CLAIM_VERDICTS
};
extern const char *const claim_verdict_names[CLAIM_VERDICTS]; /* "not reproduced" */

/* From low to high, both included; -INFINITY and INFINITY where there is no end. */
struct claim_range {
    double low, high;
};

/* Which cells: names as in results files, "*" for any; engines may be several, separated by commas.
 */
struct claim_cells {
    const char *engine, *workload;
    unsigned threads[CLAIM_THREADS_MAX], threads_count; /* none: any */
};

enum claim_measure {
    CLAIM_TIME,
    CLAIM_SLOWDOWN,
    CLAIM_SCALING,
    CLAIM_SPEEDUP,
    CLAIM_ABORTS,  /* per commit */
    CLAIM_WRONG,   /* cells with a sample that failed its verification; always a sum */
    CLAIM_SAMPLES, /* that were taken, right or wrong: a sum, or (min) that of the engine with the
                      fewest */
    CLAIM_MEASURES
};
enum claim_take { CLAIM_MEDIAN, CLAIM_MIN, CLAIM_MAX, CLAIM_GEOMEAN, CLAIM_TAKES };

/* Schedules that `allcores check` chooses on the simulated machine (check.h). */
struct claim_exploration {
    const char *name;                    /* quantities call it their experiment */
    const char *engines, *program;       /* as --engine and --program; NULL: all */
    uint64_t schedules, quick_schedules; /* of each engine */
};

struct claim_quantity {
    const char *name, *experiment;
    bool explored; /* the experiment is an exploration */
    enum claim_measure measure;
    enum claim_take take; /* of several cells */
    struct claim_cells cells;
    bool is_ratio; /* then the quantity is that of `cells` divided by that of `against` */
    enum claim_take against_take;
    struct claim_cells against;
    struct claim_range reproduced, partly; /* the first lies within the second */
    bool decides;                          /* what makes the claim false: see claim_refutes */
};

struct claim {
    json_t *json;
    const char *id, *statement, *source, *published, *false_if, *explanation;
    const char *pending; /* the capability that is missing, for all or a part of it; or NULL */
    const char *changed; /* which rules were changed after a first run, when and why; or NULL */
    const char *figure;  /* the experiment whose figure stands for it, or "runs"; NULL: none */
    const char *experiments[CLAIM_EXPERIMENTS_MAX];
    unsigned experiments_count;
    const char *charts[CLAIM_EXPERIMENTS_MAX]; /* those of them that are a chart (claims.h) */
    unsigned charts_count;
    struct claim_exploration exploration[CLAIM_EXPLORATIONS_MAX];
    unsigned explorations;
    struct claim_quantity quantity[CLAIM_QUANTITIES_MAX];
    unsigned quantities;
};

/* What was found for a quantity. */
struct claim_value {
    bool present;
    double value, low, high; /* the interval is 95 %; of counts both are the value */
    bool guessed;            /* a single sample: the interval is what claim.c takes it for */
    char machine[128];       /* "measured: native, CPU, 2 cores"; "simulated: PROFILE" */
    char why[256];           /* not present: why */
};

/* Identifiers of the claims that are compiled in, in the order of the talk's table, ended by NULL.
 */
const char *const *claim_ids(void);
/* False and one line in `why` when there is none of that id, or its file is not right. */
bool claim_load(const char *id, struct claim *claim, char *why, size_t why_size);
/* From the text of a file; `where` names it in messages. */
bool claim_parse_text(const char *where, const char *text, struct claim *claim, char *why,
                      size_t why_size);
void claim_free(struct claim *claim);

/* The quantity from the results of its experiment.  A ratio's interval is that of the least
 * favourable ends, so at least as wide as it should be; likewise a geometric mean's. */
void claim_measure(const struct claim_quantity *quantity, const struct load *load,
                   struct claim_value *value);

/* What explored schedules run on, as machines are named in tables and figures. */
#define CLAIM_EXPLORED_MACHINE "simulated: chosen schedules, x86-TSO"
/* A claim's figure that is drawn from the runs of all its experiments (claims.h). */
#define CLAIM_FIGURE_RUNS "runs"

/* What `check` writes of one engine. */
struct claim_explored {
    const char *engine, *program,
        *result;              /* borrowed from the summary; result "ok": nothing failed */
    json_int_t asked, judged; /* schedules: that were wanted; that ran and were judged */
    bool unsafe;              /* the engine promises nothing */
    bool failed;
};
/* The engines of a summary, one call each from *index 0 on; false behind the last one. */
bool claim_explored_next(const json_t *summary, size_t *index, struct claim_explored *explored);

/* The same of an exploration, from the summary that `check` writes (borrowed; NULL: there is none):
 * in how many engines a schedule failed, or how many schedules ran and were judged.  A summary
 * without engines may say in "why" what went wrong. */
void claim_measure_explored(const struct claim_quantity *quantity, const json_t *summary,
                            struct claim_value *value);

/* Whole interval within `reproduced`: reproduced; outside of `partly`: not reproduced; within
 * `partly` and outside of `reproduced`: partly; otherwise inconclusive. */
enum claim_verdict claim_judge_quantity(const struct claim_quantity *quantity,
                                        const struct claim_value *value);
/*
 * Of all quantities, values[] parallel to claim->quantity[]: one that refutes (see below) makes the
 * claim not reproduced whatever the others are; one that is not present makes it not testable.  One
 * that is partly so, or one that is reproduced beside one that is not, makes it partly: what else
 * is inconclusive cannot change that.  Then one that is inconclusive makes it so, and all that are
 * left are alike.  A claim without quantities is pending.
 */
enum claim_verdict claim_judge(const struct claim *claim, const struct claim_value *values);

/* Does the quantity refute its claim by itself when it is not reproduced?  So do those that stand
 * for what would make the claim false ("decides"), and a wrong result where there must be none. */
bool claim_refutes(const struct claim_quantity *quantity);

#endif
