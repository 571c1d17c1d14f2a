/*
 * profile.h - the description of a simulated machine: what machine/profiles/NAME.json holds.
 *
 * A profile file is JSON (schema: machine/profiles/profile.schema.json).  Every value is an object
 * {"value": ..., "unit": ..., "source": ...}; a value from memory or by assumption says so in its
 * source.  Everything is in cycles of the profile's clock unless the name says otherwise.
 *
 * Thread-safety: loading is for one thread; a loaded profile is read-only.
 */
#ifndef ALLCORES_SIM_PROFILE_H
#define ALLCORES_SIM_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_replacement { SIM_LRU, SIM_TREE_PLRU, SIM_RANDOM };

/* Hardware transactions: who aborts when two want the same line.  An access from outside of
 * transactions always wins. */
enum sim_htm_policy {
    SIM_REQUESTER_WINS, /* whoever has the line already aborts */
    SIM_RESPONDER_WINS, /* whoever asks for it aborts */
    SIM_OLDEST_WINS     /* whoever began later aborts */
};

/* The cache that a transaction's line must not leave. */
enum sim_htm_level { SIM_HTM_L1, SIM_HTM_L2, SIM_HTM_L3 };

struct sim_htm_profile {
    bool present; /* without it the rest has no effect */
    enum sim_htm_policy policy;
    enum sim_htm_level read_level, write_level;
    unsigned write_entries;     /* of the store cache; 0: none, so no limit */
    unsigned write_entry_bytes; /* of one of them; a power of two, at most a line */
    unsigned nesting;           /* begins inside of each other, the outermost included */
    unsigned begin_cycles, commit_cycles, abort_cycles;
    bool pause_aborts;
    double spurious_per_mcycle; /* aborts with status 0 in a million cycles of transactions */
};

struct sim_cache_profile {
    uint64_t size_bytes;
    unsigned ways;
    unsigned latency_cycles; /* load to use, counted from the core */
    enum sim_replacement replacement;
};

struct sim_profile {
    char name[64];
    char title[128];
    bool hypothetical; /* no such machine was ever sold: every label says so */

    /* topology: hardware thread t = (socket, group, core, smt), smt slowest: threads 0 to cores-1
     * are the first hardware threads of all cores, then the second ones */
    unsigned sockets;
    unsigned groups_per_socket; /* groups of cores that share an L3 */
    unsigned cores_per_group;
    unsigned smt; /* hardware threads per core, 1 or 2 */
    double clock_ghz;

    /* core */
    double ipc;     /* instructions per cycle when all accesses hit L1, one thread on the core */
    double overlap; /* share of the latency of hits (L1, L2, L3) hidden behind execution, 0 to 1 */
    double smt_ipc; /* ipc of each of two busy SMT siblings, as a share of `ipc` */
    double store_overlap;          /* share of a store's miss latency that the store buffer hides */
    unsigned reorder_instructions; /* entries of the reorder buffer */
    unsigned branch_miss_cycles;   /* from a wrongly predicted branch to the right instructions; 0:
                                      all   branches are predicted */
    unsigned atomic_cycles;        /* a locked operation on a line held exclusively in L1 */
    unsigned fence_cycles;         /* a full fence */
    unsigned pause_cycles;         /* PAUSE */
    unsigned lead_cycles; /* how far L1 hits may run ahead of other cores; 0: all in order */

    /* memory; a line is the unit of coherence */
    unsigned line_bytes;
    struct sim_cache_profile l1, l2, l3; /* l1, l2 per core; l3 per group */
    unsigned dram_cycles;
    unsigned upgrade_cycles;         /* shared to exclusive, no other holder outside of the group */
    unsigned transfer_group_cycles;  /* from another core's cache, same L3 */
    unsigned transfer_socket_cycles; /* from another group of the same socket */
    unsigned transfer_remote_cycles; /* from another socket */
    unsigned page_bytes;             /* 4096 */

    /* operating system, nanoseconds */
    uint64_t syscall_ns;
    uint64_t page_fault_ns; /* first touch of an anonymous page */
    uint64_t map_page_ns;   /* mmap(MAP_FIXED) of one page */
    uint64_t context_switch_ns;
    uint64_t wake_ns;      /* from the wake-up call to the woken thread running, idle core */
    uint64_t wake_deep_ns; /* the same when the core has idled for longer than deep_idle_ns */
    uint64_t deep_idle_ns;
    uint64_t time_slice_ns;
    uint64_t tick_ns;      /* period of the timer interrupt on each busy core */
    uint64_t tick_cost_ns; /* what it takes from the program */

    struct sim_htm_profile htm; /* hardware transactions */
};

/* Hardware threads of the profile. */
static inline unsigned sim_profile_threads(const struct sim_profile *p) {
    return p->sockets * p->groups_per_socket * p->cores_per_group * p->smt;
}

/*
 * Reads the profile `name` (one that is built in) or, when the name contains a '/' or ends in
 * .json, that file, then applies the overrides "key=value" in order (keys as in the file, dotted:
 * "l1.size=48K"; a later one of the same key wins).  A size that is overridden alone and would not
 * give a power of two of sets keeps the sets and changes the ways (48K of a 32K 8-way L1: 12 ways,
 * as real ones have).  What was overridden stands in the title.  False and one line in `why` (what,
 * where, what would be right) when it is unknown, unreadable, does not fit the schema or is
 * inconsistent (sets not a power of two, ...); *profile is then as it was.
 */
bool sim_profile_load(const char *name, const char *const *overrides, size_t override_count,
                      struct sim_profile *profile, char *why, size_t why_size);

/*
 * The same as the text of a profile file, which sim_profile_load accepts and gives the same profile
 * for: a value that was overridden says so in its source.  The caller frees it; NULL and `why` as
 * above.
 */
char *sim_profile_resolve(const char *name, const char *const *overrides, size_t override_count,
                          char *why, size_t why_size);

/* A key of a profile file, dotted. */
struct sim_profile_key {
    const char *key;
    const char
        *units; /* accepted in a file, separated by '|'; the first is the one it is held in */
    const char *help;
};

/* All keys that hold a value, in the order of the documentation.  Static. */
const struct sim_profile_key *sim_profile_keys(size_t *count);

/* The value of a key in the first of its units (a policy: its enum; a flag: 0 or 1). */
double sim_profile_value(const struct sim_profile *profile, const struct sim_profile_key *key);

/* Names of the built-in profiles, NULL-terminated, in the order of the files. */
const char *const *sim_profile_names(void);

/* The text of a built-in profile's JSON file, with sources; NULL when there is none of that name.
 * The built-in profiles are compiled in from machine/profiles (by objcopy or .incbin), so that the
 * binary needs no data files. */
const char *sim_profile_text(const char *name);

#endif
