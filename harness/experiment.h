/*
 * experiment.h - named experiments: a prepared question, the cells that answer it, its figure.
 *
 * An experiment is a file harness/experiments/NAME.json, compiled in; README.md beside them
 * documents the keys.  Its cells go through the same runner as any others; the results file holds
 * the experiment itself under the key of that name, so that it can be drawn without this program's
 * having it.
 *
 * A parsed experiment owns its JSON, into which its strings point.  Not thread-safe.
 */
#ifndef ALLCORES_EXPERIMENT_H
#define ALLCORES_EXPERIMENT_H

#include "load.h"
#include "plan.h"

enum {
    EXPERIMENT_WHY_SIZE = 768,
    EXPERIMENT_SWEEPS_MAX = 3, /* that are multiplied in one group */
    EXPERIMENT_VALUES_MAX = 64,
    EXPERIMENT_GROUPS_MAX = 16,
    EXPERIMENT_PANELS_MAX = 2,
    EXPERIMENT_CAUSES_MAX = 8,
    EXPERIMENT_NAMES_MAX = 16,
    EXPERIMENT_TEXT_SIZE = 256
};

/* What is varied: a parameter of the workloads, an option of the engines, a value of the profile,
 * or the thread count. */
enum experiment_part { PART_WORKLOAD, PART_ENGINE, PART_SET, PART_THREADS };
struct experiment_variable {
    enum experiment_part part;
    const char *key; /* the parameter, option or key; "" of PART_THREADS */
};

struct experiment_sweep {
    struct experiment_variable of;
    const char *values[EXPERIMENT_VALUES_MAX]; /* as on the command line */
    unsigned count;
};

/* Engines x workloads x threads x the values of all sweeps. */
struct experiment_group {
    const char *engines, *workloads, *threads; /* as --engine, --workload and --threads take them */
    struct experiment_sweep sweep[EXPERIMENT_SWEEPS_MAX];
    unsigned sweeps;
};

enum experiment_quantity {
    QUANTITY_TIME,       /* ns per operation */
    QUANTITY_THROUGHPUT, /* million operations a second */
    QUANTITY_SLOWDOWN,
    QUANTITY_SCALING,
    QUANTITY_SPEEDUP,     /* over gil:mode=switch on one thread */
    QUANTITY_ABORTS,      /* per commit */
    QUANTITY_ABORT_RATIO, /* aborted executions of all, 0 to 1 */
    QUANTITY_COMMITS,     /* in all samples together */
    QUANTITY_WASTED,      /* share of the time in aborted executions */
    QUANTITIES
};

struct experiment_axis {
    const char *label;
    bool logarithmic;
    double factor; /* what is drawn is the value times this */
};

struct experiment_panel {
    enum experiment_quantity quantity;
    const char *title;
    struct experiment_axis y;
    const char *causes[EXPERIMENT_CAUSES_MAX]; /* a curve of each; none: all causes together */
    unsigned cause_count;
    bool bars; /* instead of curves: a bar for each at its largest x, split by cause of abort */
};

/* What the figure calls a workload or an engine. */
struct experiment_name {
    const char *of;   /* that workload or engine, with its parameters but without x */
    const char *name; /* in plain words */
};

struct experiment {
    json_t *json;
    const char *name, *title, *question, *expect;
    const char *machine;
    const char *overrides[PLAN_OVERRIDES_MAX]; /* of the profile, for all cells */
    unsigned override_count;
    unsigned repetitions;       /* 0: run's default */
    double min_time_s;          /* 0: run's default */
    double warmup_s;            /* 0: run's default */
    double quick_min_time_s;    /* of `claims --quick`; 0: as min_time_s */
    unsigned quick_repetitions; /* likewise; 0: 6 */
    struct experiment_group group[EXPERIMENT_GROUPS_MAX];
    unsigned groups;
    struct experiment_variable x;
    struct experiment_axis x_axis;
    struct experiment_panel panel[EXPERIMENT_PANELS_MAX];
    unsigned panels; /* 0: it has no figure */
    struct experiment_name names[EXPERIMENT_NAMES_MAX];
    unsigned name_count;
};

/* Names of the experiments that are compiled in, ended by NULL, sorted. */
const char *const *experiment_names(void);

/*
 * All of these return false and one line in `why` (where, what, what would be right) when something
 * is not right; *experiment is then empty.  experiment_free is allowed after both.
 */
/* The experiment of that name, which is compiled in. */
bool experiment_load(const char *name, struct experiment *experiment, char *why, size_t why_size);
/* From JSON, of which a reference is kept.  `where` names it in messages. */
bool experiment_parse(const char *where, json_t *json, struct experiment *experiment, char *why,
                      size_t why_size);
/* From the text of a file. */
bool experiment_parse_text(const char *where, const char *text, struct experiment *experiment,
                           char *why, size_t why_size);
void experiment_free(struct experiment *experiment);

/*
 * Puts the experiment's own values of the profile before those of plan->overrides, which has room
 * for PLAN_OVERRIDES_MAX; the plan owns them.  False and `why` when they are too many, or memory is
 * out.
 */
bool experiment_overrides(const struct experiment *experiment, struct plan *plan, char *why,
                          size_t why_size);

/*
 * Fills plan->cells and plan->count.  plan->overrides is there already: the experiment's own, and
 * others that shall hold for all cells.  A cell that two groups have in common is there once.
 */
bool experiment_cells(const struct experiment *experiment, struct plan *plan, char *why,
                      size_t why_size);

/* A number, perhaps with a binary unit behind it: "32K". */
bool experiment_number(const char *text, double *number);
/* "NAME:a=1:b=2" without parameter `key` ("": none), whose value goes to *x.  True when it was
 * there. */
bool experiment_take_out(const char *text, const char *key, char rest[EXPERIMENT_TEXT_SIZE],
                         double *x);

/*
 * Draws the experiment's figure of one file of the load, as STEM.gp, STEM.svg and STEM.png in the
 * folder; nothing where it has none.  False when one line on stderr has said why not.
 */
bool experiment_draw(const struct experiment *experiment, const struct load *load, size_t file,
                     const char *folder, const char *stem);

#endif
