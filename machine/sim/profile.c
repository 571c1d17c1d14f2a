/*
 * profile.c - profiles of simulated machines, read and checked.  See profile.h.
 *
 * A table says for each key which member it fills, in which units it may be given and from where to
 * where; parser, overrides, `machine show` and the refusals all follow it.  The JSON is kept beside
 * the struct while overrides are applied, so that sources survive, and is decoded twice: the file
 * as it is (what is wrong in it is the file's fault), then with the overrides.
 *
 * Depends on jansson and on the "did you mean" of harness/suggest.h (a leaf without state), and on
 * nothing else of the simulator, so that the harness uses it in every build.
 */
#include "profile.h"

#include "../../harness/suggest.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The files of machine/profiles, compiled in (scripts/embed); ended by NULL. */
extern const char *const sim_profile_builtin_names[];
extern const char *const sim_profile_builtin_texts[];

/* ---- the keys ------------------------------------------------------------------------------ */

enum kind { COUNT, BYTES, CYCLES, NANOSECONDS, REAL, POLICY, FLAG };

struct unit {
    const char *name;   /* in a file */
    const char *suffix; /* behind a number on the command line */
    double scale;       /* to the first unit of the kind; 0: nanoseconds to cycles */
};

static const struct unit units_of_bytes[] = {
    {"bytes", "", 1},     {"bytes", "B", 1},      {"KiB", "K", 1024}, {"KiB", "KiB", 1024},
    {"MiB", "M", 0x1p20}, {"MiB", "MiB", 0x1p20}, {NULL, NULL, 0},
};
static const struct unit units_of_cycles[] = {
    {"cycles", "", 1}, {"cycles", "cycles", 1}, {"ns", "ns", 0}, {NULL, NULL, 0}};
static const struct unit units_of_ns[] = {
    {"ns", "", 1}, {"ns", "ns", 1}, {"us", "us", 1e3}, {"ms", "ms", 1e6}, {NULL, NULL, 0}};
static const struct unit units_of_counts[] = {{"count", "", 1}, {NULL, NULL, 0}};
static const struct unit units_of_clocks[] = {{"GHz", "", 1}, {"GHz", "GHz", 1}, {NULL, NULL, 0}};
static const struct unit units_of_ipc[] = {{"instructions/cycle", "", 1}, {NULL, NULL, 0}};
static const struct unit units_of_shares[] = {{"share", "", 1}, {NULL, NULL, 0}};
static const struct unit units_of_policies[] = {{"policy", "", 1}, {NULL, NULL, 0}};
static const struct unit units_of_flags[] = {{"flag", "", 1}, {NULL, NULL, 0}};

struct field {
    struct sim_profile_key face;
    enum kind kind;
    const struct unit *units;
    size_t offset, bytes; /* of the member */
    double min, max;      /* in the first unit */
};

#define FIELD(name, kind, units, accepted, member, low, high, help)                                \
    {                                                                                              \
        {name, accepted, help}, kind, units, offsetof(struct sim_profile, member),                 \
            sizeof(((struct sim_profile *)0)->member), low, high                                   \
    }
#define COUNTED(name, member, low, high, help)                                                     \
    FIELD(name, COUNT, units_of_counts, "count", member, low, high, help)
#define SIZED(name, member, low, high, help)                                                       \
    FIELD(name, BYTES, units_of_bytes, "bytes|KiB|MiB", member, low, high, help)
#define IN_CYCLES(name, member, low, high, help)                                                   \
    FIELD(name, CYCLES, units_of_cycles, "cycles|ns", member, low, high, help)
#define IN_NS(name, member, low, high, help)                                                       \
    FIELD(name, NANOSECONDS, units_of_ns, "ns|us|ms", member, low, high, help)
#define SHARE(name, member, low, help)                                                             \
    FIELD(name, REAL, units_of_shares, "share", member, low, 1, help)
#define CACHE(level, whose)                                                                        \
    SIZED(#level ".size", level.size_bytes, 1 << 10, 1 << 30, "size of the " whose),               \
        COUNTED(#level ".ways", level.ways, 1, 256, "associativity"),                              \
        IN_CYCLES(#level ".latency", level.latency_cycles, 1, 10000,                               \
                  "load to use, counted from the core"),                                           \
        FIELD(#level ".replacement", POLICY, units_of_policies, "policy", level.replacement, 0, 2, \
              "which line of a set leaves: lru, tree-plru or random")

/* The clock stands before everything that may be given in nanoseconds instead of cycles. */
static const struct field fields[] = {
    COUNTED("sockets", sockets, 1, 64, "sockets"),
    COUNTED("groups_per_socket", groups_per_socket, 1, 1024,
            "groups of cores that share an L3, per socket"),
    COUNTED("cores_per_group", cores_per_group, 1, 1024, "cores that share an L3"),
    COUNTED("smt", smt, 1, 2, "hardware threads per core"),
    FIELD("clock", REAL, units_of_clocks, "GHz", clock_ghz, 0.1, 20, "clock of the cores"),
    FIELD("ipc", REAL, units_of_ipc, "instructions/cycle", ipc, 0.05, 16,
          "instructions per cycle when all accesses hit L1, one thread on the core"),
    SHARE("overlap", overlap, 0, "share of the latency of cache hits hidden behind execution"),
    SHARE("smt_ipc", smt_ipc, 0.1, "ipc of each of two busy SMT siblings, as a share of ipc"),
    SHARE("store_overlap", store_overlap, 0,
          "share of a store's miss latency that the store buffer hides"),
    IN_CYCLES("atomic", atomic_cycles, 0, 10000, "locked operation on a line owned in L1"),
    IN_CYCLES("fence", fence_cycles, 0, 10000, "full fence"),
    IN_CYCLES("pause", pause_cycles, 0, 100000, "pause instruction of a spin loop"),
    IN_CYCLES("lead", lead_cycles, 0, 1e6,
              "how far L1 hits may run ahead of other cores; 0: everything in order"),
    SIZED("line", line_bytes, 16, 1024, "cache line, the unit of coherence"),
    CACHE(l1, "L1 data cache of a core"),
    CACHE(l2, "L2 cache of a core"),
    CACHE(l3, "L3 cache of a group"),
    IN_CYCLES("dram", dram_cycles, 1, 100000, "load from memory"),
    IN_CYCLES("upgrade", upgrade_cycles, 0, 100000,
              "from shared to exclusive, no holder outside of the group"),
    IN_CYCLES("transfer_group", transfer_group_cycles, 1, 100000,
              "line from another core's cache, same L3"),
    IN_CYCLES("transfer_socket", transfer_socket_cycles, 1, 100000,
              "line from another group of the same socket"),
    IN_CYCLES("transfer_remote", transfer_remote_cycles, 1, 100000, "line from another socket"),
    SIZED("page", page_bytes, 4096, 4096, "page"),
    IN_NS("syscall", syscall_ns, 0, 1e6, "system call that does nothing"),
    IN_NS("page_fault", page_fault_ns, 0, 1e9, "first touch of an anonymous page"),
    IN_NS("map_page", map_page_ns, 0, 1e9, "mmap(MAP_FIXED) of one page"),
    IN_NS("context_switch", context_switch_ns, 0, 1e9, "from one software thread to another"),
    IN_NS("wake", wake_ns, 0, 1e9, "from the wake-up call to the woken thread running, idle core"),
    IN_NS("wake_deep", wake_deep_ns, 0, 1e9, "the same after more than deep_idle"),
    IN_NS("deep_idle", deep_idle_ns, 0, 1e12, "idle time after which a core sleeps deeply"),
    IN_NS("time_slice", time_slice_ns, 1e3, 1e10, "time slice of the scheduler"),
    IN_NS("tick", tick_ns, 1e3, 1e10, "period of the timer interrupt of a busy core"),
    IN_NS("tick_cost", tick_cost_ns, 0, 1e9, "what a timer interrupt takes from the program"),
    FIELD("htm", FLAG, units_of_flags, "flag", htm, 0, 1, "the machine has hardware transactions"),
};
enum { FIELDS = sizeof fields / sizeof *fields, THREADS_MAX = 1024 };
enum { TREE_WAYS_MAX = 64 }; /* the tree of a set is a word, memory.c */

static const char *const policies[] = {
    [SIM_LRU] = "lru", [SIM_TREE_PLRU] = "tree-plru", [SIM_RANDOM] = "random", NULL};

static struct sim_profile_key faces[FIELDS];

const struct sim_profile_key *sim_profile_keys(size_t *count) {
    for (unsigned f = 0; f < FIELDS; f++)
        faces[f] = fields[f].face;
    *count = FIELDS;
    return faces;
}

static const struct field *field_named(const char *key) {
    for (const struct field *f = fields; f < fields + FIELDS; f++)
        if (strcmp(f->face.key, key) == 0)
            return f;
    return NULL;
}

static double get(const struct sim_profile *p, const struct field *f) {
    const void *member = (const char *)p + f->offset;
    switch (f->kind) {
    case REAL:
        return *(const double *)member;
    case FLAG:
        return *(const bool *)member;
    default:
        return f->bytes == sizeof(uint64_t) ? (double)*(const uint64_t *)member
                                            : *(const unsigned *)member;
    }
}

static void set(struct sim_profile *p, const struct field *f, double value) {
    void *member = (char *)p + f->offset;
    if (f->kind == REAL)
        *(double *)member = value;
    else if (f->kind == FLAG)
        *(bool *)member = value != 0;
    else if (f->kind == POLICY)
        *(enum sim_replacement *)member = (enum sim_replacement)value;
    else if (f->bytes == sizeof(uint64_t))
        *(uint64_t *)member = (uint64_t)value;
    else
        *(unsigned *)member = (unsigned)value;
}

double sim_profile_value(const struct sim_profile *profile, const struct sim_profile_key *key) {
    const struct field *f = field_named(key->key);
    return f != NULL ? get(profile, f) : NAN;
}

/* ---- refusals ------------------------------------------------------------------------------ */

/* What is being read. */
struct reading {
    char file[192];                 /* "profile i7-4770" or the path */
    const char *overridden[FIELDS]; /* "l1.size=48K" where the value comes from an override */
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct reading *r,
                                                         const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(r->why, r->why_size, format, args);
    va_end(args);
    for (char *c = r->why; *c != '\0'; c++) /* one line, whatever a file holds */
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    return false;
}

/* Where the value of a key comes from, as the beginning of a refusal. */
static const char *place(const struct reading *r, const char *key, char text[320]) {
    const struct field *f = field_named(key);
    if (f != NULL && r->overridden[f - fields] != NULL)
        snprintf(text, 320, "--set %.100s", r->overridden[f - fields]);
    else
        snprintf(text, 320, "%s: %.100s", r->file, key);
    return text;
}

/* "48K" for bytes that are whole KiB; otherwise the number. */
static const char *bytes_text(double bytes, char text[32]) {
    if (bytes >= 0x1p20 && fmod(bytes, 0x1p20) == 0)
        snprintf(text, 32, "%.15gM", bytes / 0x1p20);
    else if (bytes >= 1024 && fmod(bytes, 1024) == 0)
        snprintf(text, 32, "%.15gK", bytes / 1024);
    else
        snprintf(text, 32, "%.15g", bytes);
    return text;
}

static const char *range_text(const struct field *f, char text[128]) {
    char low[32], high[32];
    if (f->kind == BYTES) {
        bytes_text(f->min, low);
        bytes_text(f->max, high);
    } else {
        snprintf(low, sizeof low, "%.15g", f->min);
        snprintf(high, sizeof high, "%.15g", f->max);
    }
    const char *unit = f->kind == COUNT || f->kind == REAL ? "" : f->units[0].name;
    const char *space = unit[0] != '\0' ? " " : "";
    if (f->min >= f->max)
        snprintf(text, 128, "%s%s%s", low, space, unit);
    else
        snprintf(text, 128, "from %s to %s%s%s", low, high, space, unit);
    return text;
}

static const char *type_name(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
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

/* ---- decoding ------------------------------------------------------------------------------ */

static const char *const value_keys[] = {"value", "unit", "source", NULL};

static bool among(const char *word, const char *const *words) {
    for (; *words != NULL; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static bool plain_text(const char *text) {
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            return false;
    return true;
}

/* No key but `known`; `path` is what stands before a key ("l1."). */
static bool only_known(const struct reading *r, const json_t *object, const char *path,
                       const char *const *known) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        (void)value;
        char phrase[256];
        if (!among(key, known))
            return refuse(r, "%s: unknown key '%s%.60s'; %s", r->file, path, key,
                          suggest_phrase(key, known, phrase, sizeof phrase));
    }
    return true;
}

/* Borrowed; NULL when it is not there.  "l1.size" is "size" in "l1". */
static json_t *at(const json_t *root, const char *key) {
    const char *dot = strchr(key, '.');
    if (dot == NULL)
        return json_object_get(root, key);
    char outer[16];
    snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
    return json_object_get(json_object_get(root, outer), dot + 1);
}

/* One line of 1 to `max` bytes; NULL and a refusal otherwise.  Borrowed. */
static const char *get_string(const struct reading *r, const json_t *object, const char *path,
                              const char *key, size_t max) {
    const char *dot = path[0] != '\0' ? "." : "";
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    if (text == NULL)
        refuse(r, "%s: %s%s%s is %s, must be a string", r->file, path, dot, key,
               value != NULL ? type_name(value) : "missing");
    else if (text[0] == '\0' || strlen(text) > max || !plain_text(text))
        refuse(r, "%s: %s%s%s is '%.60s', must be one line of 1 to %zu bytes", r->file, path, dot,
               key, text, max);
    else
        return text;
    return NULL;
}

/* The number of a value in the first unit of its field. */
static bool number_of(const struct reading *r, const struct field *f, const json_t *value,
                      const struct unit *unit, double clock_ghz, double *out) {
    char where[320], range[128], shown[64];
    place(r, f->face.key, where);
    range_text(f, range);
    if (!json_is_number(value))
        return refuse(r, "%s: value is %s, must be a number %s", where, type_name(value), range);
    const double given = json_number_value(value);
    snprintf(shown, sizeof shown, "%.15g%s%s", given,
             f->kind == COUNT || f->kind == REAL ? "" : " ",
             f->kind == COUNT || f->kind == REAL ? "" : unit->name);
    double number = given * (unit->scale != 0 ? unit->scale : clock_ghz);
    if (unit->scale == 0) { /* measured in time: the nearest number of cycles */
        number = round(number);
        if (given > 0 && number == 0)
            number = f->min;
    } else if (f->kind != REAL && fabs(number - round(number)) <= 1e-9 * number) {
        number = round(number); /* 1.1 us are 1100 ns, which the product misses by a hair */
    }
    if (!(number >= f->min && number <= f->max))
        return refuse(r, "%s: is %s, must be %s", where, shown, range);
    if (f->kind != REAL && number != floor(number))
        return refuse(r, "%s: is %s, must be whole, %s", where, shown, range);
    *out = number;
    return true;
}

static bool decode_field(const struct reading *r, const struct field *f, const json_t *root,
                         struct sim_profile *p) {
    const char *key = f->face.key;
    char where[320];
    const json_t *object = at(root, key);
    if (object == NULL)
        return refuse(r, "%s: %s is missing, must be {\"value\", \"unit\": \"%s\", \"source\"}: %s",
                      r->file, key, f->units[0].name, f->face.help);
    if (!json_is_object(object))
        return refuse(r, "%s: %s is %s, must be {\"value\", \"unit\": \"%s\", \"source\"}", r->file,
                      key, type_name(object), f->units[0].name);
    char inner[32];
    snprintf(inner, sizeof inner, "%s.", key);
    if (!only_known(r, object, inner, value_keys))
        return false;
    const char *unit_name = get_string(r, object, key, "unit", 64);
    if (unit_name == NULL || get_string(r, object, key, "source", 1000) == NULL)
        return false;
    const struct unit *unit = f->units;
    while (unit->name != NULL && strcmp(unit->name, unit_name) != 0)
        unit++;
    if (unit->name == NULL) {
        char accepted[64];
        snprintf(accepted, sizeof accepted, "%s", f->face.units);
        for (char *c = accepted; *c != '\0'; c++)
            if (*c == '|')
                *c = ' ';
        return refuse(r, "%s: %s.unit is '%.60s', must be %s%s", r->file, key, unit_name,
                      strchr(accepted, ' ') != NULL ? "one of: " : "", accepted);
    }
    const json_t *value = json_object_get(object, "value");
    if (value == NULL)
        return refuse(r, "%s: %s.value is missing", r->file, key);
    place(r, key, where);
    double number = 0;
    if (f->kind == FLAG) {
        if (!json_is_boolean(value))
            return refuse(r, "%s: value is %s, must be true or false", where, type_name(value));
        number = json_is_true(value);
    } else if (f->kind == POLICY) {
        if (!json_is_string(value))
            return refuse(r, "%s: value is %s, must be lru, tree-plru or random", where,
                          type_name(value));
        while (number < 3 && strcmp(policies[(int)number], json_string_value(value)) != 0)
            number++;
        if (number == 3)
            return refuse(r, "%s: is '%.60s', must be lru, tree-plru or random", where,
                          json_string_value(value));
    } else if (!number_of(r, f, value, unit, p->clock_ghz, &number)) {
        return false;
    }
    set(p, f, number);
    return true;
}

/* No key at the top or in a cache that the table does not have. */
static bool known_keys(const struct reading *r, const json_t *root) {
    static const char *const caches[] = {"l1", "l2", "l3", NULL};
    static const char *const cache_keys[] = {"size", "ways", "latency", "replacement", NULL};
    const char *known[FIELDS + 8];
    unsigned n = 0;
    known[n++] = "name";
    known[n++] = "title";
    known[n++] = "hypothetical";
    for (unsigned f = 0; f < FIELDS; f++)
        if (strchr(fields[f].face.key, '.') == NULL)
            known[n++] = fields[f].face.key;
    for (const char *const *c = caches; *c != NULL; c++)
        known[n++] = *c;
    known[n] = NULL;
    if (!only_known(r, root, "", known))
        return false;
    for (const char *const *c = caches; *c != NULL; c++) {
        char inner[8];
        snprintf(inner, sizeof inner, "%s.", *c);
        const json_t *cache = json_object_get(root, *c);
        if (cache == NULL)
            return refuse(r,
                          "%s: %s is missing, must be an object of size, ways, latency and "
                          "replacement",
                          r->file, *c);
        if (!json_is_object(cache))
            return refuse(r,
                          "%s: %s is %s, must be an object of size, ways, latency and "
                          "replacement",
                          r->file, *c, type_name(cache));
        if (!only_known(r, cache, inner, cache_keys))
            return false;
    }
    return true;
}

static bool decode_heading(const struct reading *r, const json_t *root, struct sim_profile *p) {
    const char *name = get_string(r, root, "", "name", sizeof p->name - 1);
    const char *title = name != NULL ? get_string(r, root, "", "title", sizeof p->title - 1) : NULL;
    if (title == NULL)
        return false;
    for (const char *c = name; *c != '\0'; c++) /* it becomes a part of cells' names */
        if (!isalnum((unsigned char)*c) && strchr("-._", *c) == NULL)
            return refuse(r, "%s: name is '%s', must be of letters, digits, '-', '.' and '_'",
                          r->file, name);
    const json_t *hypothetical = json_object_get(root, "hypothetical");
    if (!json_is_boolean(hypothetical))
        return refuse(r, "%s: hypothetical is %s, must be true or false", r->file,
                      hypothetical != NULL ? type_name(hypothetical) : "missing");
    p->hypothetical = json_is_true(hypothetical);
    if (p->hypothetical && strstr(title, "hypothetical machine") == NULL)
        return refuse(r, "%s: title is '%s', must say 'hypothetical machine' as the machine is one",
                      r->file, title);
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->title, sizeof p->title, "%s", title);
    return true;
}

/* ---- consistency --------------------------------------------------------------------------- */

static bool power_of_two(uint64_t n) { return n != 0 && (n & (n - 1)) == 0; }

static uint64_t power_below(uint64_t n) {
    uint64_t p = 1;
    while (p <= n / 2)
        p *= 2;
    return p;
}

static bool check_cache(const struct reading *r, const struct sim_profile *p, const char *level,
                        const struct sim_cache_profile *c) {
    char key[32], where[320], size[32], low[32], high[32];
    const uint64_t way = (uint64_t)c->ways * p->line_bytes; /* bytes of one set */
    static const char *const parts[] = {".size", ".ways"};
    /* To blame is the size, unless only something else was overridden. */
    snprintf(key, sizeof key, "%s.size", level);
    for (unsigned i = 0; i < 3; i++) {
        char other[32];
        snprintf(other, sizeof other, "%s%s", i < 2 ? level : "line", i < 2 ? parts[i] : "");
        if (r->overridden[field_named(other) - fields] != NULL) {
            memcpy(key, other, sizeof key);
            break;
        }
    }
    place(r, key, where);
    bytes_text((double)c->size_bytes, size);
    const uint64_t sets = c->size_bytes / way;
    if (c->size_bytes % way != 0 || !power_of_two(sets)) {
        const uint64_t below = sets == 0 ? 1 : power_below(sets);
        return refuse(r,
                      "%s: %s of %u ways and %u-byte lines are %.10g sets, must be a power of two: "
                      "%s%s%s, or other %s.ways",
                      where, size, c->ways, p->line_bytes, (double)c->size_bytes / (double)way,
                      bytes_text((double)(below * way), low), sets == 0 ? "" : " or ",
                      sets == 0 ? "" : bytes_text((double)(2 * below * way), high), level);
    }
    snprintf(key, sizeof key, "%s.ways", level);
    if (c->replacement == SIM_TREE_PLRU && c->ways > TREE_WAYS_MAX)
        return refuse(r, "%s: is %u, must be at most %d with %s.replacement tree-plru",
                      place(r, key, where), c->ways, TREE_WAYS_MAX, level);
    return true;
}

/* a <= b, both in the same unit. */
static bool check_order(const struct reading *r, const struct sim_profile *p, const char *a,
                        const char *b) {
    char where[320];
    const struct field *fa = field_named(a), *fb = field_named(b);
    const double va = get(p, fa), vb = get(p, fb);
    if (va <= vb)
        return true;
    /* The one that was overridden is to blame. */
    if (r->overridden[fa - fields] != NULL && r->overridden[fb - fields] == NULL)
        return refuse(r, "%s: is %.15g %s, must be at most %s, which is %.15g", place(r, a, where),
                      va, fa->units[0].name, b, vb);
    return refuse(r, "%s: is %.15g %s, must be at least %s, which is %.15g", place(r, b, where), vb,
                  fb->units[0].name, a, va);
}

static bool check(const struct reading *r, const struct sim_profile *p) {
    char where[320];
    static const char *const ordered[][2] = {
        {"l1.size", "l2.size"},
        {"l2.size", "l3.size"},
        {"l1.latency", "l2.latency"},
        {"l2.latency", "l3.latency"},
        {"l3.latency", "dram"},
        {"transfer_group", "transfer_socket"},
        {"wake", "wake_deep"},
        {"tick_cost", "tick"},
        {"transfer_socket", "transfer_remote"},
    };
    static const char *const topology[] = {"smt", "cores_per_group", "groups_per_socket",
                                           "sockets"};
    const uint64_t threads =
        (uint64_t)p->sockets * p->groups_per_socket * p->cores_per_group * p->smt;
    if (threads > THREADS_MAX) {
        const char *blamed = "cores_per_group";
        for (unsigned i = 0; i < 4; i++)
            if (r->overridden[field_named(topology[i]) - fields] != NULL)
                blamed = topology[i];
        return refuse(
            r,
            "%s: %u sockets x %u groups_per_socket x %u cores_per_group x %u smt are %llu "
            "hardware threads, must be from 1 to %d",
            place(r, blamed, where), p->sockets, p->groups_per_socket, p->cores_per_group, p->smt,
            (unsigned long long)threads, THREADS_MAX);
    }
    if (!power_of_two(p->line_bytes)) {
        const unsigned below = (unsigned)power_below(p->line_bytes);
        return refuse(r, "%s: is %u bytes, must be a power of two: %u or %u",
                      place(r, "line", where), p->line_bytes, below, 2 * below);
    }
    if (!check_cache(r, p, "l1", &p->l1) || !check_cache(r, p, "l2", &p->l2) ||
        !check_cache(r, p, "l3", &p->l3))
        return false;
    for (unsigned i = 0; i < sizeof ordered / sizeof *ordered; i++)
        if (!check_order(r, p, ordered[i][0], ordered[i][1]))
            return false;
    return true;
}

static bool decode(const struct reading *r, const json_t *root, struct sim_profile *p) {
    memset(p, 0, sizeof *p);
    if (!json_is_object(root))
        return refuse(r, "%s: is %s, must be an object", r->file, type_name(root));
    if (!known_keys(r, root) || !decode_heading(r, root, p))
        return false;
    const struct field *clock = field_named("clock");
    if (!decode_field(r, clock, root, p))
        return false;
    for (const struct field *f = fields; f < fields + FIELDS; f++)
        if (!decode_field(r, f, root, p))
            return false;
    return check(r, p);
}

/* ---- overrides ----------------------------------------------------------------------------- */

/* "48K" as a JSON value and the unit of it; NULL (and a refusal) when it does not fit. */
static json_t *parse_value(const struct reading *r, const struct field *f, const char *override,
                           const char *text, const char **unit_name) {
    char range[128], phrase[256];
    *unit_name = f->units[0].name;
    if (f->kind == FLAG) {
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
            return json_boolean(text[0] == 't');
        refuse(r, "--set %.100s: must be true or false", override);
        return NULL;
    }
    if (f->kind == POLICY) {
        if (among(text, policies))
            return json_string(text);
        refuse(r, "--set %.100s: must be lru, tree-plru or random", override);
        return NULL;
    }
    range_text(f, range);
    /* No sign, no blanks, neither hexadecimal nor "inf": what strtod takes beyond these. */
    const size_t digits = strspn(text, "0123456789.");
    char *end = NULL, number_text[64];
    snprintf(number_text, sizeof number_text, "%.*s", (int)(digits < 63 ? digits : 63), text);
    const double number = strtod(number_text, &end);
    if (digits == 0 || digits > 30 || *end != '\0' || number_text[0] == '.') {
        refuse(r, "--set %.100s: must be a number %s", override, range);
        return NULL;
    }
    const struct unit *unit = f->units;
    while (unit->name != NULL && strcmp(unit->suffix, text + digits) != 0)
        unit++;
    if (unit->name == NULL) {
        int used = snprintf(phrase, sizeof phrase, "a plain number of %s", f->units[0].name);
        for (const struct unit *u = f->units + 1; u->name != NULL && used < 200; u++)
            used += snprintf(phrase + used, sizeof phrase - (size_t)used, "%s %s",
                             u == f->units + 1 ? " or one with" : ",", u->suffix);
        refuse(r, "--set %.100s: '%.20s' is no unit of it, must be %s", override, text + digits,
               phrase);
        return NULL;
    }
    *unit_name = unit->name;
    return number == floor(number) && number < 0x1p53 ? json_integer((json_int_t)number)
                                                      : json_real(number);
}

static bool put_value(json_t *root, const char *key, json_t *value, const char *unit,
                      const char *source) {
    json_t *object = json_pack("{s:o, s:s, s:s}", "value", value, "unit", unit, "source", source);
    const char *dot = strchr(key, '.');
    if (dot == NULL)
        return json_object_set_new(root, key, object) == 0;
    char outer[16];
    snprintf(outer, sizeof outer, "%.*s", (int)(dot - key), key);
    return json_object_set_new(json_object_get(root, outer), dot + 1, object) == 0;
}

static bool apply_override(struct reading *r, json_t *root, const char *override) {
    char key[64], phrase[256], source[256];
    const char *names[FIELDS + 1];
    const char *equals = strchr(override, '=');
    if (equals == NULL || equals == override || equals[1] == '\0')
        return refuse(r, "--set %.60s: must be KEY=VALUE, for example l1.size=48K", override);
    snprintf(key, sizeof key, "%.*s", (int)(equals - override < 63 ? equals - override : 63),
             override);
    const struct field *f = field_named(key);
    if (f == NULL) {
        for (unsigned i = 0; i < FIELDS; i++)
            names[i] = fields[i].face.key;
        names[FIELDS] = NULL;
        if (strcmp(key, "name") == 0 || strcmp(key, "title") == 0 ||
            strcmp(key, "hypothetical") == 0)
            return refuse(r, "--set %.60s: %s cannot be set; write a profile file instead",
                          override, key);
        return refuse(r, "--set %.60s: there is no key '%s'; %s", override, key,
                      suggest_phrase(key, names, phrase, sizeof phrase));
    }
    const char *unit;
    json_t *value = parse_value(r, f, override, equals + 1, &unit);
    if (value == NULL)
        return false;
    r->overridden[f - fields] = override;
    snprintf(source, sizeof source, "command line: --set %.100s", override);
    if (!put_value(root, key, value, unit, source))
        return refuse(r, "out of memory");
    return true;
}

/* A size that was overridden without its ways: the number of sets of the file is kept when the
 * file's ways would not give a power of two of sets. */
static bool adapt_ways(struct reading *r, json_t *root, const struct sim_profile *file,
                       const char *level, const struct sim_cache_profile *was) {
    char size_key[16], ways_key[16], source[256], scratch[256];
    snprintf(size_key, sizeof size_key, "%s.size", level);
    snprintf(ways_key, sizeof ways_key, "%s.ways", level);
    const struct field *size = field_named(size_key), *ways = field_named(ways_key);
    if (r->overridden[size - fields] == NULL || r->overridden[ways - fields] != NULL ||
        r->overridden[field_named("line") - fields] != NULL)
        return true;
    struct sim_profile now = *file;
    struct reading quiet = *r;
    quiet.why = scratch;
    quiet.why_size = sizeof scratch;
    if (!decode_field(&quiet, size, root, &now))
        return true; /* the decoder will say what is wrong */
    const uint64_t bytes = (uint64_t)get(&now, size);
    const uint64_t set_bytes = (uint64_t)was->ways * file->line_bytes;
    if (set_bytes == 0 || (bytes % set_bytes == 0 && power_of_two(bytes / set_bytes)))
        return true;
    const uint64_t sets = was->size_bytes / set_bytes, way_bytes = sets * file->line_bytes;
    if (way_bytes == 0 || bytes % way_bytes != 0 || bytes / way_bytes > (uint64_t)ways->max)
        return true;
    snprintf(source, sizeof source, "follows from %.60s: the %llu sets are kept",
             r->overridden[size - fields], (unsigned long long)sets);
    return put_value(root, ways_key, json_integer((json_int_t)(bytes / way_bytes)), "count",
                     source) ||
           refuse(r, "out of memory");
}

/* "TITLE, changed: l1.size=48K, ipc=2" */
static bool change_title(const struct reading *r, json_t *root, const struct sim_profile *file) {
    char title[sizeof file->title];
    /* However long the title is, that it was changed has a place behind it. */
    const char *separator = ", changed: ";
    size_t used =
        (size_t)snprintf(title, sizeof title - strlen(", changed: ..."), "%s", file->title);
    if (used > sizeof title - sizeof ", changed: ...")
        used = sizeof title - sizeof ", changed: ...";
    for (unsigned f = 0; f < FIELDS; f++) {
        if (r->overridden[f] == NULL)
            continue;
        const size_t more = strlen(separator) + strlen(r->overridden[f]);
        if (used + more + strlen(", ...") >= sizeof title) {
            snprintf(title + used, sizeof title - used, "%s...", separator);
            break;
        }
        used += (size_t)snprintf(title + used, sizeof title - used, "%s%s", separator,
                                 r->overridden[f]);
        separator = ", ";
    }
    return json_object_set_new(root, "title", json_string(title)) == 0 ||
           refuse(r, "out of memory");
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool is_file_name(const char *name) {
    const size_t n = strlen(name);
    return strchr(name, '/') != NULL || (n >= 5 && strcmp(name + n - 5, ".json") == 0);
}

static json_t *read_json(struct reading *r, const char *name) {
    json_error_t error;
    json_t *root = NULL;
    char phrase[256];
    if (!is_file_name(name)) {
        const char *text = sim_profile_text(name);
        snprintf(r->file, sizeof r->file, "profile %.60s", name);
        if (text == NULL) {
            refuse(r, "there is no profile '%.60s'; %s (or the path of a .json file)", name,
                   suggest_phrase(name, sim_profile_builtin_names, phrase, sizeof phrase));
            return NULL;
        }
        root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    } else {
        snprintf(r->file, sizeof r->file, "%.190s", name);
        FILE *file = fopen(name, "r");
        if (file == NULL) {
            refuse(r, "%s: cannot be opened: %s", r->file, strerror(errno));
            return NULL;
        }
        errno = 0;
        root = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
        const int failed = ferror(file) ? errno : 0;
        fclose(file);
        if (failed != 0) {
            json_decref(root);
            refuse(r, "%s: cannot be read: %s", r->file, strerror(failed));
            return NULL;
        }
    }
    if (root == NULL)
        refuse(r, "%s:%d:%d: %.200s", r->file, error.line, error.column, error.text);
    return root;
}

/* The checked profile with the overrides applied, and its JSON; the caller owns that.  NULL and a
 * refusal otherwise. */
static json_t *read_profile(const char *name, const char *const *overrides, size_t override_count,
                            struct sim_profile *profile, char *why, size_t why_size) {
    struct reading r = {.why = why, .why_size = why_size};
    struct sim_profile read;
    json_t *root = read_json(&r, name);
    if (root == NULL)
        return NULL;
    bool good = decode(&r, root, &read);
    if (good && override_count > 0) {
        const struct sim_profile file = read;
        for (size_t i = 0; i < override_count && good; i++)
            good = apply_override(&r, root, overrides[i]);
        good = good && adapt_ways(&r, root, &file, "l1", &file.l1) &&
               adapt_ways(&r, root, &file, "l2", &file.l2) &&
               adapt_ways(&r, root, &file, "l3", &file.l3) && change_title(&r, root, &file) &&
               decode(&r, root, &read);
    }
    if (!good) {
        json_decref(root);
        return NULL;
    }
    *profile = read;
    return root;
}

bool sim_profile_load(const char *name, const char *const *overrides, size_t override_count,
                      struct sim_profile *profile, char *why, size_t why_size) {
    json_t *root = read_profile(name, overrides, override_count, profile, why, why_size);
    json_decref(root);
    return root != NULL;
}

char *sim_profile_resolve(const char *name, const char *const *overrides, size_t override_count,
                          char *why, size_t why_size) {
    struct sim_profile profile;
    json_t *root = read_profile(name, overrides, override_count, &profile, why, why_size);
    if (root == NULL)
        return NULL;
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(root);
    if (text == NULL)
        snprintf(why, why_size, "out of memory");
    return text;
}

const char *const *sim_profile_names(void) { return sim_profile_builtin_names; }

const char *sim_profile_text(const char *name) {
    for (size_t i = 0; sim_profile_builtin_names[i] != NULL; i++)
        if (strcmp(sim_profile_builtin_names[i], name) == 0)
            return sim_profile_builtin_texts[i];
    return NULL;
}
