/*
 * probe.c - `machine probe`: measures this computer and writes a profile of it.
 *
 * One table names the micro-benchmarks (probe_kernels.h), another says how each value of a profile
 * comes from them.  Samples go through Google Benchmark one at a time, in rounds: each round takes
 * one sample of every quantity, so that a quantity in cycles is divided by the length of a cycle of
 * the same round, and drift of the clock cancels.
 *
 * What cannot be measured gets a default, whose source says so and why; the same is told on stderr.
 * The file is checked by the profile reader before it is put in its place by rename.
 */
#include "probe.h"

#include "cli.h"
#include "gbench.h"
#include "machine_command.h"
#include "probe_kernels.h"
#include "runner.h"
#include "stats.h"

#include "../machine/sim/profile.h"

#include <ctype.h>
#include <errno.h>
#include <hwloc.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OUT, QUICK, OPTIONS };

static const struct cli_option options[] = {
    [OUT] = {"out", "FILE.json",
             "profile to write; what is there must be a profile and is replaced", false},
    [QUICK] = {"quick", NULL, "shorter samples and fewer of them: a trial, not for publication",
               false},
    [OPTIONS] = {NULL, NULL, NULL, false},
};

static const struct cli_command command = {
    .name = "machine probe",
    .usage = "machine probe --out FILE.json [--quick]",
    .about =
        "Measures this computer with micro-benchmarks and writes a profile of it, which `run\n"
        "--machine sim:FILE.json` simulates: topology and caches (hwloc), latencies, atomic\n"
        "operations, fences, transfers between cores, system calls, wake-ups, page faults, timer.\n"
        "Each value's source says how it was measured, with a 95 % interval, or which default\n"
        "was taken and why; the defaults are told on stderr too.  Takes less than a minute;\n"
        "nothing else should run.\n",
    .options = options,
    .more = "example:\n"
            "  allcores machine probe --out this.json && allcores machine show ./this.json\n"
            "\n"
            "exit status: 0 done; 1 nothing could be measured or written; 2 wrong usage (one line\n"
            "on stderr).\n",
    .operands_max = 0,
};

/* ---- the micro-benchmarks ------------------------------------------------------------------ */

enum quantity {
    CYCLE,
    MULTIPLY,
    STREAMS,
    STREAMS_HELPER,
    STREAMS_SIBLING,
    MIX,
    MIX_REGISTERS,
    MIX_SIBLING,
    BRANCH,
    BRANCH_RANDOM,
    L1,
    L2,
    L2_SMALL_PAGES,
    L2_INDEPENDENT,
    L2_STORES,
    L3,
    DRAM,
    DRAM_SMALL_PAGES,
    LOCKED_ADD,
    XCHG,
    CAS,
    FENCE,
    MFENCE,
    PAUSE,
    TRANSFER_GROUP,
    TRANSFER_SOCKET,
    TRANSFER_REMOTE,
    UPGRADE,
    PING_PONG,
    SYSCALL,
    PAGE_FAULT,
    MAP_PAGE,
    HANDOFF,
    WAKE,
    WAKE_DEEP,
    QUANTITIES
};

/* A sample is the median of several calls where a call is short: one in which another program ran
 * does not count.  The others take care of that themselves. */
enum { CALLS = 5 };

static const struct {
    const char *name;
    probe_kernel *kernel;
    unsigned calls;
} quantities[QUANTITIES] = {
    [CYCLE] = {"cycle", probe_add_chain, CALLS},
    [MULTIPLY] = {"multiply", probe_mul_chain, CALLS},
    [STREAMS] = {"streams", probe_add_streams, CALLS},
    [STREAMS_HELPER] = {"streams/helper", probe_add_streams_helper, 1},
    [STREAMS_SIBLING] = {"streams/sibling", probe_add_streams_sibling, 1},
    [MIX] = {"mix", probe_mix, CALLS},
    [MIX_REGISTERS] = {"mix/registers", probe_mix_registers, CALLS},
    [MIX_SIBLING] = {"mix/sibling", probe_mix_sibling, 1},
    [BRANCH] = {"branch", probe_branch, CALLS},
    [BRANCH_RANDOM] = {"branch/random", probe_branch_random, CALLS},
    [L1] = {"l1", probe_l1, 1},
    [L2] = {"l2", probe_l2, 1},
    [L2_SMALL_PAGES] = {"l2/small_pages", probe_l2_small_pages, 1},
    [L2_INDEPENDENT] = {"l2/independent", probe_l2_independent, CALLS},
    [L2_STORES] = {"l2/stores", probe_l2_stores, CALLS},
    [L3] = {"l3", probe_l3, 1},
    [DRAM] = {"dram", probe_dram, 1},
    [DRAM_SMALL_PAGES] = {"dram/small_pages", probe_dram_small_pages, 1},
    [LOCKED_ADD] = {"locked_add", probe_locked_add, CALLS},
    [XCHG] = {"xchg", probe_xchg, CALLS},
    [CAS] = {"cas", probe_cas, CALLS},
    [FENCE] = {"fence", probe_fence, CALLS},
    [MFENCE] = {"mfence", probe_mfence, CALLS},
    [PAUSE] = {"pause", probe_pause, CALLS},
    [TRANSFER_GROUP] = {"transfer/group", probe_transfer_group, 1},
    [TRANSFER_SOCKET] = {"transfer/socket", probe_transfer_socket, 1},
    [TRANSFER_REMOTE] = {"transfer/remote", probe_transfer_remote, 1},
    [UPGRADE] = {"upgrade", probe_upgrade, 1},
    [PING_PONG] = {"ping_pong", probe_ping_pong, CALLS},
    [SYSCALL] = {"syscall", probe_syscall, CALLS},
    [PAGE_FAULT] = {"page_fault", probe_page_fault, CALLS},
    [MAP_PAGE] = {"map_page", probe_map_page, CALLS},
    [HANDOFF] = {"handoff", probe_handoff, CALLS},
    [WAKE] = {"wake", probe_wake, 1},
    [WAKE_DEEP] = {"wake_deep", probe_wake_deep, 1},
};

enum { ROUNDS = 21, ROUNDS_QUICK = 6, WHY_SIZE = 256, SOURCE_SIZE = 900 };

/* What this computer consists of, as far as this program may use it. */
struct layout {
    unsigned sockets, groups, cores, smt; /* groups a socket, cores a group */
    struct {
        uint64_t bytes;
        unsigned ways; /* 0: unknown */
        bool ways_from_sysfs;
    } cache[3];
    unsigned line;
    char model[64];
};

struct probe {
    struct probe_rig rig;
    struct layout layout;
    unsigned rounds;
    double ns[QUANTITIES][ROUNDS];      /* samples; all rounds or none */
    char missing[QUANTITIES][WHY_SIZE]; /* why there are none; "" when there are */
    struct estimate ns_of[QUANTITIES], cycles_of[QUANTITIES];
    json_t *profile;
    bool failed; /* memory is out */
};

struct sample {
    enum quantity quantity;
    struct probe_rig *rig;
};

static bool sample_body(void *argument, double *seconds_per_op, char *why, size_t why_size) {
    const struct sample *sample = argument;
    double seconds[CALLS];
    for (unsigned i = 0; i < quantities[sample->quantity].calls; i++) {
        seconds[i] = quantities[sample->quantity].kernel(sample->rig, why, why_size);
        if (seconds[i] <= 0)
            return false;
    }
    *seconds_per_op = stats_median(seconds, quantities[sample->quantity].calls);
    return true;
}

static void take_samples(struct probe *probe, bool progress) {
    for (unsigned round = 0; round < probe->rounds; round++)
        for (unsigned q = 0; q < QUANTITIES; q++) {
            struct sample sample = {q, &probe->rig};
            if (probe->missing[q][0] != '\0')
                continue;
            if (progress)
                fprintf(stderr, "\rprobe: round %u of %u, %-16s", round + 1, probe->rounds,
                        quantities[q].name);
            char why[WHY_SIZE] = "no time passed";
            if (!gbench_run(quantities[q].name, sample_body, &sample, &probe->ns[q][round], why,
                            sizeof why))
                snprintf(probe->missing[q], WHY_SIZE, "%s", why);
        }
    if (progress)
        fprintf(stderr, "\r%60s\r", "");
    for (unsigned q = 0; q < QUANTITIES; q++)
        if (probe->missing[q][0] == '\0') {
            probe->ns_of[q] = stats_median_ci95(probe->ns[q], probe->rounds, 1);
            if (probe->missing[CYCLE][0] == '\0')
                probe->cycles_of[q] =
                    stats_ratio_ci95(probe->ns[q], probe->ns[CYCLE], probe->rounds, 1);
        }
}

static bool has(const struct probe *probe, enum quantity q) { return probe->missing[q][0] == '\0'; }

/* ---- topology ------------------------------------------------------------------------------ */

/* Ways of the data cache of this level by sysfs; 0 when it does not say. */
static unsigned sysfs_ways(int cpu, unsigned level) {
    for (unsigned index = 0; index < 8; index++) {
        static const char *const names[] = {"level", "type", "ways_of_associativity"};
        char text[3][32] = {"", "", ""};
        for (unsigned n = 0; n < 3; n++) {
            char path[128];
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cache/index%u/%s", cpu,
                     index, names[n]);
            FILE *f = fopen(path, "re");
            if (f != NULL && fgets(text[n], sizeof text[n], f) == NULL)
                text[n][0] = '\0';
            if (f != NULL)
                fclose(f);
        }
        if ((unsigned)atoi(text[0]) == level && strncmp(text[1], "Instruction", 11) != 0)
            return (unsigned)atoi(text[2]);
    }
    return 0;
}

static int first_processor(hwloc_const_bitmap_t set) { return hwloc_bitmap_first(set); }

/* A processor that is on another core than `pu`, under `inside` and not under `outside` (each may
 * be NULL); -1 when there is none. */
static int other_core(hwloc_topology_t topology, hwloc_obj_t pu, hwloc_obj_t inside,
                      hwloc_obj_t outside) {
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    for (hwloc_obj_t o = NULL;
         (o = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PU, o)) != NULL;) {
        const int cpu = (int)o->os_index;
        if (o == pu || (core != NULL && hwloc_bitmap_isset(core->cpuset, (unsigned)cpu)) ||
            (inside != NULL && !hwloc_bitmap_isset(inside->cpuset, (unsigned)cpu)) ||
            (outside != NULL && hwloc_bitmap_isset(outside->cpuset, (unsigned)cpu)))
            continue;
        return cpu;
    }
    return -1;
}

static unsigned count_of(hwloc_topology_t topology, hwloc_obj_type_t type) {
    const int n = hwloc_get_nbobjs_by_type(topology, type);
    return n > 0 ? (unsigned)n : 1;
}

static bool read_topology(struct probe *probe, char *why, size_t size) {
    struct layout *l = &probe->layout;
    struct probe_rig *rig = &probe->rig;
    hwloc_topology_t topology;
    cpu_set_t allowed;
    if (hwloc_topology_init(&topology) != 0)
        return snprintf(why, size, "hwloc does not start"), false;
    if (hwloc_topology_set_type_filter(topology, HWLOC_OBJ_L1ICACHE, HWLOC_TYPE_FILTER_KEEP_NONE) !=
            0 ||
        hwloc_topology_load(topology) != 0) {
        hwloc_topology_destroy(topology);
        return snprintf(why, size, "hwloc cannot read the topology"), false;
    }
    /* Only what this program may run on counts: a container has a part of the computer. */
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set != NULL && sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        for (unsigned i = 0; i < CPU_SETSIZE; i++)
            if (CPU_ISSET(i, &allowed))
                hwloc_bitmap_set(set, i);
        hwloc_topology_restrict(topology, set, 0);
    }
    hwloc_bitmap_free(set);
    hwloc_obj_t pu = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, 0);
    const unsigned packages = count_of(topology, HWLOC_OBJ_PACKAGE);
    const unsigned l3s = count_of(topology, HWLOC_OBJ_L3CACHE);
    const unsigned cores = count_of(topology, HWLOC_OBJ_CORE);
    const unsigned pus = count_of(topology, HWLOC_OBJ_PU);
    l->sockets = packages;
    l->groups = l3s > packages ? l3s / packages : 1;
    l->cores = cores / (l->sockets * l->groups) > 0 ? cores / (l->sockets * l->groups) : 1;
    l->smt = pus >= 2 * cores ? 2 : 1;
    static const hwloc_obj_type_t types[3] = {HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE,
                                              HWLOC_OBJ_L3CACHE};
    rig->cpu = first_processor(pu->cpuset);
    for (unsigned i = 0; i < 3; i++) {
        hwloc_obj_t cache = hwloc_get_ancestor_obj_by_type(topology, types[i], pu);
        if (cache == NULL)
            continue;
        l->cache[i].bytes = cache->attr->cache.size;
        if (cache->attr->cache.associativity > 0) {
            l->cache[i].ways = (unsigned)cache->attr->cache.associativity;
        } else {
            l->cache[i].ways = sysfs_ways(rig->cpu, i + 1);
            l->cache[i].ways_from_sysfs = true;
        }
        if (i == 0)
            l->line = cache->attr->cache.linesize;
    }
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    hwloc_obj_t l3 = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_L3CACHE, pu);
    hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, pu);
    rig->sibling = core != NULL ? hwloc_bitmap_next(core->cpuset, rig->cpu) : -1;
    rig->partner[0] = other_core(topology, pu, l3 != NULL ? l3 : package, NULL);
    rig->partner[1] = l3 != NULL ? other_core(topology, pu, package, l3) : -1;
    rig->partner[2] = package != NULL ? other_core(topology, pu, NULL, package) : -1;
    rig->helper = other_core(topology, pu, NULL, NULL);
    for (unsigned i = 0; i < 3; i++)
        if (rig->partner[i] >= 0) {
            rig->helper = rig->partner[i];
            break;
        }
    if (rig->helper < 0)
        rig->helper = rig->sibling;
    const char *model = package != NULL ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    snprintf(l->model, sizeof l->model, "%.50s", model != NULL ? model : "unknown processor");
    hwloc_topology_destroy(topology);
    return true;
}

/* ---- values of the profile ----------------------------------------------------------------- */

/* "l1.size" is "size" in "l1".  Takes over `value`. */
static void put(struct probe *probe, const char *key, json_t *value, const char *unit,
                const char *source) {
    json_t *parent = probe->profile;
    json_t *object = json_pack("{s:o, s:s, s:s}", "value", value, "unit", unit, "source", source);
    const char *dot = strchr(key, '.');
    if (dot != NULL) {
        char outer[16];
        snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
        parent = json_object_get(probe->profile, outer);
        if (parent == NULL && (parent = json_object()) != NULL &&
            json_object_set_new(probe->profile, outer, parent) != 0)
            parent = NULL;
        key = dot + 1;
    }
    if (object == NULL || parent == NULL || json_object_set_new(parent, key, object) != 0)
        probe->failed = true;
}

static void __attribute__((format(printf, 5, 6)))
put_measured(struct probe *probe, const char *key, double value, const char *unit,
             const char *format, ...) {
    char source[SOURCE_SIZE] = "measured: ";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(source + strlen(source), sizeof source - strlen(source), format, arguments);
    va_end(arguments);
    const bool whole = value == floor(value);
    put(probe, key, whole ? json_integer((json_int_t)value) : json_real(value), unit, source);
}

static void __attribute__((format(printf, 5, 6)))
put_default(struct probe *probe, const char *key, double value, const char *unit,
            const char *format, ...) {
    char source[SOURCE_SIZE] = "default: ";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(source + strlen(source), sizeof source - strlen(source), format, arguments);
    va_end(arguments);
    fprintf(stderr, "allcores machine probe: %s = %g %s, %s\n", key, value, unit, source);
    const bool whole = value == floor(value);
    put(probe, key, whole ? json_integer((json_int_t)value) : json_real(value), unit, source);
}

static const char *interval(const struct estimate *e, const char *unit, unsigned n, char text[96]) {
    if (e->has_interval)
        snprintf(text, 96, "median of %u: %.4g %s, 95 %% interval %.4g to %.4g", n, e->value, unit,
                 e->low, e->high);
    else
        snprintf(text, 96, "median of %u: %.4g %s", n, e->value, unit);
    return text;
}

static double value_of(const struct probe *probe, const char *key) {
    const json_t *object = json_object_get(probe->profile, key);
    const char *dot = strchr(key, '.');
    if (dot != NULL) {
        char outer[16];
        snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
        object = json_object_get(json_object_get(probe->profile, outer), dot + 1);
    }
    return json_number_value(json_object_get(object, "value"));
}

/* Key = value in the unit.  `floor_key` (may be NULL): the reader refuses less than that key has.
 * How it was measured, the interval, and what else is worth knowing go into the source. */
static void put_quantity(struct probe *probe, const char *key, enum quantity q, const char *unit,
                         double fallback, const char *floor_key, const char *how,
                         const char *note) {
    const struct estimate *e = strcmp(unit, "ns") == 0 ? &probe->ns_of[q] : &probe->cycles_of[q];
    const double least = floor_key != NULL ? value_of(probe, floor_key) : 0;
    char text[96];
    if (!has(probe, q)) {
        put_default(probe, key, fmax(fallback, least), unit, "%s", probe->missing[q]);
        return;
    }
    const double value = round(e->value);
    put_measured(probe, key, fmax(value, least), unit, "%s, %s%s%s%s%s", how,
                 interval(e, unit, probe->rounds, text), note[0] != '\0' ? "; " : "", note,
                 value < least ? "; raised to that of " : "", value < least ? floor_key : "");
}

static void put_topology(struct probe *probe) {
    struct layout *l = &probe->layout;
    const unsigned pus = l->sockets * l->groups * l->cores * l->smt;
    /* Two threads that halve each other's additions, and hand lines over as fast as one core's own
     * L2 gives them, are siblings, whatever the hypervisor says. */
    if (l->smt == 1 && l->cores % 2 == 0 && has(probe, STREAMS_HELPER) &&
        has(probe, TRANSFER_GROUP) &&
        probe->ns_of[STREAMS_HELPER].value > 1.6 * probe->ns_of[STREAMS].value &&
        probe->cycles_of[TRANSFER_GROUP].value < 1.5 * probe->cycles_of[L2].value) {
        l->cores /= 2;
        l->smt = 2;
        put_measured(probe, "smt", 2, "count",
                     "two threads slow each other's additions down by %.2f and hand a line over in "
                     "%.0f cycles: they share a core, though hwloc says otherwise, median of %u",
                     probe->ns_of[STREAMS_HELPER].value / probe->ns_of[STREAMS].value,
                     probe->cycles_of[TRANSFER_GROUP].value, probe->rounds);
    } else {
        put_measured(probe, "smt", l->smt, "count",
                     "hwloc, %u processors that this program may use", pus);
    }
    put_measured(probe, "sockets", l->sockets, "count", "hwloc, packages");
    put_measured(probe, "groups_per_socket", l->groups, "count", "hwloc, L3 caches of a package");
    put_measured(probe, "cores_per_group", l->cores, "count", "hwloc, cores that share an L3%s",
                 l->smt == 2 && pus == l->cores ? ", halved because of smt" : "");
}

static void put_core(struct probe *probe) {
    char text[96], more[96];
    const struct estimate *cycle = &probe->ns_of[CYCLE];
    const struct estimate clock = {1 / cycle->value, 1 / cycle->high, 1 / cycle->low,
                                   cycle->has_interval};
    put_measured(probe, "clock", round(clock.value * 1000) / 1000, "GHz",
                 "64 dependent additions of registers a round, one cycle each, by "
                 "CLOCK_MONOTONIC, %s; check: a dependent multiplication takes %.2f cycles (3 on "
                 "most processors)",
                 interval(&clock, "GHz", probe->rounds, text), probe->cycles_of[MULTIPLY].value);

    /* The model adds (1 - overlap) x latency of L1 for each access to instructions / ipc: ipc is
     * that of the mix without memory, and overlap makes the mix take in the model what it takes. */
    const double bare = probe->cycles_of[MIX_REGISTERS].value * PROBE_MIX_INSTRUCTIONS;
    const double whole = probe->cycles_of[MIX].value * PROBE_MIX_INSTRUCTIONS;
    const double latency = round(probe->cycles_of[L1].value);
    const double exposed = (whole - bare) / ((PROBE_MIX_LOADS + PROBE_MIX_STORES) * latency);
    put_measured(
        probe, "ipc", round(PROBE_MIX_INSTRUCTIONS / bare * 1000) / 1000, "instructions/cycle",
        "a loop of 20 instructions like those of `overlap`, moves between registers in the "
        "place of loads and stores: cycles an instruction, %s",
        interval(&probe->cycles_of[MIX_REGISTERS], "cycles", probe->rounds, text));
    put_measured(
        probe, "overlap", fmin(1, fmax(0, round((1 - exposed) * 1000) / 1000)), "share",
        "%s; of the L1 latency of its 7 accesses, what it does not take longer than the "
        "loop of `ipc`: cycles an instruction, %s; in comparison, of the L2 latency a loop "
        "of independent loads hides %.2f: cycles a load, %s, against dependent %.1f",
        probe_mix_text, interval(&probe->cycles_of[MIX], "cycles", probe->rounds, text),
        1 - probe->cycles_of[L2_INDEPENDENT].value / probe->cycles_of[L2].value,
        interval(&probe->cycles_of[L2_INDEPENDENT], "cycles", probe->rounds, more),
        probe->cycles_of[L2].value);
    const double hidden = 1 - probe->cycles_of[L2_STORES].value / probe->cycles_of[L2].value;
    put_measured(probe, "store_overlap", fmin(1, fmax(0, round(hidden * 1000) / 1000)), "share",
                 "1 - time of a store / time of a dependent load, both hitting L2 in the same "
                 "random order; store, %s",
                 interval(&probe->cycles_of[L2_STORES], "cycles", probe->rounds, text));
    if (has(probe, MIX_SIBLING)) {
        const struct estimate e =
            stats_ratio_ci95(probe->ns[MIX], probe->ns[MIX_SIBLING], probe->rounds, 1);
        put_measured(probe, "smt_ipc", fmin(1, fmax(0.1, round(e.value * 1000) / 1000)), "share",
                     "time of the instruction mix alone / while the sibling runs it too, %s",
                     interval(&e, "share", probe->rounds, text));
    } else {
        put_default(probe, "smt_ipc", probe->layout.smt == 2 ? 0.6 : 1, "share", "%s",
                    probe->layout.smt == 2 ? "siblings are not known to the operating system"
                                           : "a core has one hardware thread here");
    }
    put_default(probe, "reorder", 224, "count",
                "not measured; reorder buffers of the last ten years hold 192 to 512 instructions");
    /* Half of the random ones are predicted rightly by chance. */
    put_measured(probe, "branch_miss",
                 round(fmax(0, 2 * (probe->cycles_of[BRANCH_RANDOM].value -
                                    probe->cycles_of[BRANCH].value))),
                 "cycles",
                 "a loop that branches on a random bit, %s, less the same loop that branches on a "
                 "bit that is always 0 (%.1f cycles), times two",
                 interval(&probe->cycles_of[BRANCH_RANDOM], "cycles", probe->rounds, text),
                 probe->cycles_of[BRANCH].value);
    struct estimate both[3] = {probe->cycles_of[LOCKED_ADD], probe->cycles_of[XCHG],
                               probe->cycles_of[CAS]};
    const double values[3] = {both[0].value, both[1].value, both[2].value};
    put_measured(probe, "atomic", round(stats_median(values, 3)), "cycles",
                 "chains of lock xadd (%.1f cycles), xchg (%.1f), lock cmpxchg (%.1f) on an own "
                 "line, the middle one; xadd, %s",
                 values[0], values[1], values[2],
                 interval(&both[0], "cycles", probe->rounds, text));
    char note[64];
    snprintf(note, sizeof note, "with mfence %.1f cycles", probe->cycles_of[MFENCE].value);
    put_quantity(probe, "fence", FENCE, "cycles", 30, NULL,
                 "store and atomic_thread_fence(memory_order_seq_cst) as compiled", note);
    put_quantity(probe, "pause", PAUSE, "cycles", 40, NULL, "chain of pause", "");
    put(probe, "lead", json_integer(50), "cycles",
        "default: a choice of the simulation, not of the machine: half a transfer of a line");
}

/* Ways near those of the real cache that give a power of two of sets. */
unsigned probe_ways(uint64_t bytes, unsigned line, unsigned ways) {
    const uint64_t lines = line > 0 ? bytes / line : 0;
    for (unsigned distance = 0; distance < 256; distance++)
        for (int sign = -1; sign <= 1; sign += 2) {
            const int64_t w = (int64_t)ways + sign * (int64_t)distance;
            if (w < 1 || w > 256 || lines % (uint64_t)w != 0)
                continue;
            const uint64_t sets = lines / (uint64_t)w;
            if (sets > 0 && (sets & (sets - 1)) == 0)
                return (unsigned)w;
        }
    return 0;
}

/* How the latency of a level was measured; 4 is memory. */
static const char *ring_text(const struct probe *probe, unsigned level, char text[192]) {
    const struct probe_rig *rig = &probe->rig;
    const struct probe_ring *rings[4] = {&rig->l1, &rig->l2, &rig->l3, &rig->dram};
    const struct probe_ring *ring = rings[level - 1];
    snprintf(text, 192, "dependent loads around a random cycle of %zu KiB in %s%s",
             ring->bytes >> 10,
             ring->huge_gotten ? "huge pages"
             : ring->huge      ? "4 KiB pages (no huge ones to be had)"
                               : "4 KiB pages",
             level == 4 ? ", flushed from all caches before" : "");
    return text;
}

static void put_cache(struct probe *probe, unsigned level, enum quantity q, double fallback,
                      const char *floor_key, const char *note) {
    static const uint64_t usual[3] = {32 << 10, 1 << 20, 32 << 20};
    const struct layout *l = &probe->layout;
    char key[16], how[192];
    uint64_t bytes = l->cache[level - 1].bytes;
    const unsigned ways = l->cache[level - 1].ways;
    snprintf(key, sizeof key, "l%u.size", level);
    if (bytes == 0) {
        bytes = usual[level - 1];
        if (level > 1)
            while ((double)bytes < value_of(probe, level == 2 ? "l1.size" : "l2.size") * 1024)
                bytes *= 2;
        put_default(probe, key, (double)bytes / 1024, "KiB", "hwloc knows of no such cache");
    } else {
        put_measured(probe, key, (double)bytes / 1024, "KiB", "hwloc%s",
                     level == 3 ? "; other guests of a host may use the same cache" : "");
    }
    snprintf(key, sizeof key, "l%u.ways", level);
    const unsigned fitting = probe_ways(bytes, l->line, ways > 0 ? ways : 8);
    if (ways > 0 && fitting == ways)
        put_measured(probe, key, ways, "count", "%s",
                     l->cache[level - 1].ways_from_sysfs ? "sysfs" : "hwloc");
    else if (ways > 0)
        put_default(probe, key, fitting, "count",
                    "nearest to the %u of hwloc that gives a power of two of sets", ways);
    else
        put_default(probe, key, fitting, "count", "neither hwloc nor sysfs says");
    snprintf(key, sizeof key, "l%u.latency", level);
    put_quantity(probe, key, q, "cycles", fallback, floor_key, ring_text(probe, level, how), note);
    snprintf(key, sizeof key, "l%u.replacement", level);
    put(probe, key, json_string("lru"), "policy", "default: not measured; most are close to LRU");
}

static void put_memory(struct probe *probe) {
    char how[192], small[2][96] = {"", ""};
    static const enum quantity in_small_pages[2] = {L2_SMALL_PAGES, DRAM_SMALL_PAGES};
    for (unsigned i = 0; i < 2; i++)
        if (has(probe, in_small_pages[i]))
            snprintf(small[i], sizeof small[i], "in 4 KiB pages, TLB misses included, %.1f cycles",
                     probe->cycles_of[in_small_pages[i]].value);
    put_measured(probe, "line", probe->layout.line, "bytes", "hwloc");
    put_cache(probe, 1, L1, 5, NULL, "");
    put_cache(probe, 2, L2, 14, "l1.latency", small[0]);
    put_cache(probe, 3, L3, 50, "l2.latency", "");
    put_quantity(probe, "dram", DRAM, "cycles", 300, "l3.latency", ring_text(probe, 4, how),
                 small[1]);

    char text[96], note[96] = "";
    if (has(probe, PING_PONG))
        snprintf(note, sizeof note, "a flag stored and seen, one way, takes %.1f ns",
                 probe->ns_of[PING_PONG].value);
    if (has(probe, UPGRADE)) {
        const double all = probe->cycles_of[UPGRADE].value;
        const double atomic = probe->cycles_of[LOCKED_ADD].value;
        put_measured(probe, "upgrade", round(fmax(0, all - atomic)), "cycles",
                     "chain of lock xadd on lines that another core has read, %s, less the %.1f on "
                     "own lines",
                     interval(&probe->cycles_of[UPGRADE], "cycles", probe->rounds, text), atomic);
    } else {
        put_default(probe, "upgrade", value_of(probe, "l3.latency"), "cycles",
                    "as a hit in L3; not measured: %s", probe->missing[UPGRADE]);
    }
    put_quantity(probe, "transfer_group", TRANSFER_GROUP, "cycles",
                 value_of(probe, "l3.latency") * 1.5, NULL,
                 "dependent loads of lines that another core, same L3, has just modified", note);
    put_quantity(probe, "transfer_socket", TRANSFER_SOCKET, "cycles", 0, "transfer_group",
                 "the same, another L3 of the socket", "");
    put_quantity(probe, "transfer_remote", TRANSFER_REMOTE, "cycles", 0, "transfer_socket",
                 "the same, another socket", "");
    put_measured(probe, "page", 4096, "bytes", "the page of x86-64");
}

/* Idle time from which on waking takes longer than halfway between a short and a long sleep. */
static void put_deep_idle(struct probe *probe) {
    enum { TIMES = 12, TIMES_QUICK = 3 };
    char why[WHY_SIZE];
    if (!has(probe, WAKE) || !has(probe, WAKE_DEEP)) {
        put_default(probe, "deep_idle", 1000000, "ns", "wake-ups could not be measured");
        return;
    }
    const double wake = probe->ns_of[WAKE].value, deep = probe->ns_of[WAKE_DEEP].value;
    if (deep < 1.3 * wake) {
        put_default(probe, "deep_idle", 1000000, "ns",
                    "waking takes as long after 10 ms (%.0f ns) as after 30 us (%.0f ns)", deep,
                    wake);
        return;
    }
    for (unsigned i = 0; i < PROBE_IDLES; i++) {
        const double seconds =
            probe_wake_after(&probe->rig, probe_idle_ns[i],
                             probe->rounds == ROUNDS ? TIMES : TIMES_QUICK, why, sizeof why);
        if (seconds * 1e9 > (wake + deep) / 2) {
            put_measured(
                probe, "deep_idle", probe_idle_ns[i], "ns",
                "shortest of %u idle times after which waking takes more than halfway from "
                "wake to wake_deep: %.0f ns, median of %d",
                PROBE_IDLES, seconds * 1e9, probe->rounds == ROUNDS ? TIMES : TIMES_QUICK);
            return;
        }
    }
    put_measured(probe, "deep_idle", 10000000, "ns",
                 "no shorter idle time than 10 ms makes waking slow");
}

/* Leaves out gaps in which another program must have run (the timer takes microseconds), and says
 * how long those were together. */
static struct probe_gaps *without_switches(struct probe_gaps *gaps, double tick_ns,
                                           double *others_ns) {
    size_t n = 0;
    *others_ns = 0;
    for (size_t i = 0; i < gaps->count; i++)
        if (gaps->length_ns[i] < tick_ns / 50) {
            gaps->start_ns[n] = gaps->start_ns[i];
            gaps->length_ns[n++] = gaps->length_ns[i];
        } else {
            *others_ns += gaps->length_ns[i];
        }
    gaps->count = n;
    return gaps;
}

static void put_timer(struct probe *probe) {
    char why[WHY_SIZE] = "";
    struct timespec resolution;
    struct probe_gaps *gaps = malloc(sizeof *gaps);
    double *lengths = malloc(PROBE_GAPS_MAX * sizeof *lengths);
    const bool quick = probe->rounds != ROUNDS;
    if (gaps == NULL || lengths == NULL || clock_getres(CLOCK_MONOTONIC_COARSE, &resolution) != 0) {
        probe->failed = true;
        free(gaps);
        free(lengths);
        return;
    }
    const double watch_s = quick ? 0.4 : 2;
    const double tick = (double)resolution.tv_sec * 1e9 + (double)resolution.tv_nsec;

    /* Two threads on one processor: how long the other one runs. */
    size_t slices = 0;
    if (probe_watch(&probe->rig, watch_s, 200000, true, gaps, why, sizeof why)) {
        slices = gaps->count;
        memcpy(lengths, gaps->length_ns, slices * sizeof *lengths);
    }
    if (slices >= 6) {
        char text[96];
        const struct estimate e = stats_median_ci95(lengths, slices, 1);
        put_measured(probe, "time_slice", round(e.value), "ns",
                     "how long the other one of two busy threads on a processor runs, %s",
                     interval(&e, "ns", (unsigned)slices, text));
    } else {
        put_default(probe, "time_slice", 3000000, "ns", "%zu changes of two threads in %g s%s%s",
                    slices, watch_s, why[0] != '\0' ? ": " : "", why);
    }
    put_measured(probe, "tick", tick, "ns",
                 "resolution of CLOCK_MONOTONIC_COARSE, which is the "
                 "period of the kernel's timer");

    size_t n = 0;
    double others_ns = 0;
    if (probe_watch(&probe->rig, watch_s, 500, false, gaps, why, sizeof why))
        n = probe_periodic(without_switches(gaps, tick, &others_ns), tick, lengths);
    const double expected = fmax(0, watch_s * 1e9 - others_ns) / tick;
    if (n >= 6 && (double)n >= expected / 2) {
        char text[96];
        const struct estimate e = stats_median_ci95(lengths, n, 1);
        put_measured(
            probe, "tick_cost", fmin(round(e.value), tick), "ns",
            "gaps at the timer's period in a loop that looks at the clock, %s; %zu of %.0f "
            "ticks seen, and %zu gaps at other times",
            interval(&e, "ns", (unsigned)n, text), n, expected, gaps->count - n);
    } else {
        put_default(probe, "tick_cost", 2000, "ns",
                    "only %zu gaps at the timer's period of %.0f ns in %g s, %.0f expected", n,
                    tick, watch_s, expected);
    }
    free(gaps);
    free(lengths);
}

static void put_system(struct probe *probe) {
    char text[96], more[96];
    put_quantity(probe, "syscall", SYSCALL, "ns", 200, NULL, "getppid by syscall(2)", "");
    put_quantity(probe, "page_fault", PAGE_FAULT, "ns", 500, NULL,
                 "first store to each page of an anonymous mapping of 4 KiB pages", "");
    put_quantity(probe, "map_page", MAP_PAGE, "ns", 1000, NULL,
                 "mmap(MAP_SHARED | MAP_FIXED | MAP_POPULATE) of one page of a memory object over "
                 "another",
                 "");
    if (has(probe, HANDOFF) && has(probe, SYSCALL))
        put_measured(probe, "context_switch",
                     round(fmax(0, probe->ns_of[HANDOFF].value - 2 * probe->ns_of[SYSCALL].value)),
                     "ns",
                     "futex ping-pong on one processor, one way, %s, less two system calls, %s",
                     interval(&probe->ns_of[HANDOFF], "ns", probe->rounds, text),
                     interval(&probe->ns_of[SYSCALL], "ns", probe->rounds, more));
    else
        put_default(probe, "context_switch", 1200, "ns", "%s", probe->missing[HANDOFF]);
    put_quantity(
        probe, "wake", WAKE, "ns", 3000, NULL,
        "from before futex(FUTEX_WAKE) to the woken thread on another core, asleep for 30 us", "");
    put_quantity(probe, "wake_deep", WAKE_DEEP, "ns", 30000, "wake", "the same, asleep for 10 ms",
                 "");
    put_deep_idle(probe);
    put_timer(probe);
    put(probe, "htm", json_false(), "flag",
        "default: not probed; a profile with htm needs the values of hardware transactions too");
}

/* ---- the file ------------------------------------------------------------------------------ */

/* "dir/my machine.json" -> "my-machine" */
void probe_name(const char *path, char name[PROBE_NAME_SIZE]) {
    const char *slash = strrchr(path, '/');
    snprintf(name, PROBE_NAME_SIZE, "%.*s", PROBE_NAME_SIZE - 1, slash != NULL ? slash + 1 : path);
    char *end = strrchr(name, '.');
    if (end != NULL && end != name)
        *end = '\0';
    for (char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("-._", *c) == NULL)
            *c = '-';
}

static char *profile_text(struct probe *probe, const char *path) {
    char name[PROBE_NAME_SIZE], title[80];
    probe_name(path, name);
    snprintf(title, sizeof title, "%.60s, measured by probe", probe->layout.model);
    probe->profile = json_pack("{s:s, s:s, s:b}", "name", name, "title", title, "hypothetical", 0);
    if (probe->profile == NULL)
        return NULL;
    put_topology(probe);
    put_core(probe);
    put_memory(probe);
    put_system(probe);
    return probe->failed ? NULL
                         : json_dumps(probe->profile, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
}

static bool writes(int fd, const char *text, size_t n) {
    while (n > 0) {
        const ssize_t written = write(fd, text, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        text += written;
        n -= (size_t)written;
    }
    return true;
}

/* The temporary file beside `path`, which holds the text and is a profile that can be read; the
 * caller frees the name.  NULL after one line on stderr. */
static char *write_beside(const char *path, const char *text) {
    struct sim_profile profile;
    char why[1024], *temporary = NULL;
    if (asprintf(&temporary, "%s.XXXXXX.json", path) < 0)
        return cli_error(command.name, "out of memory"), NULL;
    const int fd = mkstemps(temporary, 5);
    bool good = fd >= 0 && fchmod(fd, 0644) == 0 && writes(fd, text, strlen(text)) &&
                writes(fd, "\n", 1) && fsync(fd) == 0;
    const int error = errno;
    if (fd >= 0)
        good = close(fd) == 0 && good;
    if (!good) {
        cli_error(command.name, "--out %.200s: cannot be written: %s", path, strerror(error));
    } else if (!sim_profile_load(temporary, NULL, 0, &profile, why, sizeof why)) {
        cli_error(command.name, "what was measured makes no profile: %s", why);
        good = false;
    }
    if (!good) {
        if (fd >= 0)
            unlink(temporary);
        free(temporary);
        return NULL;
    }
    return temporary;
}

/* What is at the path now is nothing or a profile, and a file can be made beside it. */
static bool check_out(const char *path) {
    struct stat at;
    struct sim_profile old;
    char why[1024], *temporary = NULL;
    const size_t n = strlen(path);
    if (n < 5 || strcmp(path + n - 5, ".json") != 0)
        return cli_error(command.name, "--out %.200s: must end in .json, as profiles do", path),
               false;
    if (stat(path, &at) == 0) {
        if (S_ISDIR(at.st_mode))
            return cli_error(command.name, "--out %.200s is a folder; give a file in it", path),
                   false;
        if (!S_ISREG(at.st_mode))
            return cli_error(command.name, "--out %.200s is not a regular file; give another path",
                             path),
                   false;
        char *slashed = NULL; /* never a built-in name */
        const bool known =
            asprintf(&slashed, "%s%s", strchr(path, '/') == NULL ? "./" : "", path) > 0 &&
            sim_profile_load(slashed, NULL, 0, &old, why, sizeof why);
        free(slashed);
        if (at.st_size > 0 && !known)
            return cli_error(command.name,
                             "--out %.200s exists and is no profile; give another path", path),
                   false;
    } else if (errno != ENOENT) {
        return cli_error(command.name, "--out %.200s: %s; give a path that can be written", path,
                         strerror(errno)),
               false;
    }
    if (asprintf(&temporary, "%s.XXXXXX.json", path) < 0)
        return cli_error(command.name, "out of memory"), false;
    const int fd = mkstemps(temporary, 5), error = errno;
    if (fd >= 0) {
        close(fd);
        unlink(temporary);
    } else if (error == ENOENT) {
        cli_error(command.name, "--out %.200s: its folder does not exist; make it first", path);
    } else {
        cli_error(command.name, "--out %.200s: cannot be written: %s; give a path that can", path,
                  strerror(error));
    }
    free(temporary);
    return fd >= 0;
}

static int measure_and_write(struct probe *probe, const char *path) {
    char why[WHY_SIZE];
    if (!read_topology(probe, why, sizeof why))
        return cli_error(command.name, "%s", why), EXIT_FAILED;
    struct layout *l = &probe->layout;
    if (l->line < 16 || l->line > PROBE_LINE_MAX || (l->line & (l->line - 1)) != 0)
        l->line = 64;
    probe->rig.line = l->line;
    const size_t l1 = l->cache[0].bytes > 0 ? l->cache[0].bytes : 32 << 10;
    const size_t l2 = l->cache[1].bytes > 0 ? l->cache[1].bytes : 1 << 20;
    size_t footprints[4] = {l1 / 2, l2 / 2, 4 * l2, 64 << 20};
    if (l->cache[2].bytes == 0) {
        snprintf(probe->missing[L3], WHY_SIZE, "hwloc knows of no L3");
    } else if (footprints[2] > (l2 + l->cache[2].bytes) / 2) {
        footprints[2] = (l2 + l->cache[2].bytes) / 2;
    }
    if (probe->rig.partner[0] < 0) {
        snprintf(probe->missing[TRANSFER_GROUP], WHY_SIZE, "one core has an L3 for itself");
        snprintf(probe->missing[UPGRADE], WHY_SIZE, "one core has an L3 for itself");
    }
    if (probe->rig.partner[1] < 0)
        snprintf(probe->missing[TRANSFER_SOCKET], WHY_SIZE,
                 "a socket has one L3 here; as transfer_group");
    if (probe->rig.partner[2] < 0)
        snprintf(probe->missing[TRANSFER_REMOTE], WHY_SIZE,
                 "there is one socket here; as transfer_socket");
    double load;
    if (getloadavg(&load, 1) == 1 && load > 0.5)
        fprintf(stderr,
                "allcores machine probe: the load average is %.1f: other programs run, and what is "
                "measured beside them may be wrong\n",
                load);
    if (!probe_rig_make(&probe->rig, footprints, why, sizeof why))
        return cli_error(command.name, "%s", why), EXIT_FAILED;
    take_samples(probe, isatty(STDERR_FILENO) == 1);
    for (unsigned q = 0; q <= MIX; q++)
        if (q != STREAMS_HELPER && q != STREAMS_SIBLING && !has(probe, q))
            return cli_error(command.name, "%s: %s", quantities[q].name, probe->missing[q]),
                   EXIT_FAILED;
    char *text = profile_text(probe, path);
    if (text == NULL)
        return cli_error(command.name, "out of memory"), EXIT_FAILED;
    char *temporary = write_beside(path, text);
    free(text);
    if (temporary == NULL)
        return EXIT_FAILED;
    int status = EXIT_DONE;
    if (rename(temporary, path) != 0) {
        cli_error(command.name, "--out %.200s: cannot be written: %s", path, strerror(errno));
        unlink(temporary);
        status = EXIT_FAILED;
    }
    free(temporary);
    return status;
}

int machine_probe_main(int argc, char **argv) {
    const char *values[OPTIONS], *operands[1];
    int status;
    if (!cli_parse(&command, argc, argv, values, operands, &status))
        return status;
    if (values[OUT] == NULL || values[OUT][0] == '\0')
        return cli_error(command.name, "--out FILE.json is missing: the profile to write");
    if (!check_out(values[OUT]))
        return EXIT_BAD_INPUT;
    struct probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL)
        return cli_error(command.name, "out of memory"), EXIT_FAILED;
    probe->rounds = values[QUICK] != NULL ? ROUNDS_QUICK : ROUNDS;
    probe->rig.scale = values[QUICK] != NULL ? 20 : 100;
    const time_t start = time(NULL);
    status = measure_and_write(probe, values[OUT]);
    if (status == EXIT_DONE)
        printf("%s: %u hardware threads at %.2f GHz, measured in %.0f s; `allcores machine show "
               "%s%s` prints it\n",
               values[OUT],
               probe->layout.sockets * probe->layout.groups * probe->layout.cores *
                   probe->layout.smt,
               value_of(probe, "clock"), difftime(time(NULL), start),
               strchr(values[OUT], '/') == NULL ? "./" : "", values[OUT]);
    json_decref(probe->profile);
    probe_rig_free(&probe->rig);
    free(probe);
    return status;
}
