/*
 * bytecode - an interpreter of a dynamic language on several threads: the program that global
 * interpreter locks are there for.
 *
 * Each thread runs the same program over objects of its own on a stack machine: boxed and counted
 * values (lib/box.h), classes with dictionaries of methods and of attributes that are searched from
 * a class up to its ancestors (an attribute is one that no method hides), global names that are
 * looked up in a module and then among the built-in ones, operators that are method calls, type
 * checks and coercions, frames, strings as keys.  Dictionaries (lib/table.h) and code are shared by
 * all threads and, but for one dictionary of totals, only read; frames, objects and boxes belong to
 * one thread.
 *
 * An operation executes `bytecodes` bytecodes: the time of one is real_time / bytecodes.  They are
 * done in blocks of `span` bytecodes, or with span=0 until tm_should_break says so, which is asked
 * behind each bytecode; the operation's end ends a block, too.  Between blocks nothing is kept but
 * in transactional objects: registers are loaded when a block begins and saved when it ends.
 *
 * What hurts hardware transactions in a virtual machine, and had to be removed from CRuby (Odaira,
 * Castanos, Tomari, "Eliminating global interpreter locks in Ruby through hardware transactional
 * memory", PPoPP 2014), are parameters, all of them off by default:
 *   freelist=global     every allocation and release of a box writes one list's head
 *   inline_cache=miss   each use of a name has a cache in the shared code, written when it misses;
 *                       classes alternate, so it does.  =always: counted at each use, too, as
 *                       interpreters do that specialise themselves (PEP 659).  =fill is the cure:
 *                       written once
 *   counters=shared     calls and loops are counted in the function, for a compiler that wants to
 *                       know what is hot; =local: by each thread for itself
 * updates is the share of the program's loops that add to one of the TOTALS shared totals.
 *
 * What a bytecode costs, with the defaults under gil on one thread: 16.4 ns simulated on i7-4770,
 * and a median of 21 ns measured on a shared EPYC at 2.4 GHz.  The scale is CPython, which takes on
 * that EPYC, for a program with the same steps (scripts/python-bytecode), 24 ns a bytecode as
 * version 3.7 (14 to 28 in nine samples), 28 as 3.8 (14 to 34), 15 as 3.10 and 9 as 3.11, which
 * specialises itself; inline_cache=fill stands for the latter (8.9 ns simulated).
 *
 * Invariants: each thread is where a plain machine without boxes, dictionaries and blocks (the
 * model below) gets with as many bytecodes: registers, frames, every value on the stack and in
 * every object.  The shared totals are what all programs added, exactly; so are the counters and
 * the uses of the inline caches, and what a cache holds is right.  Every box is free and on a list,
 * or has as many references as there are.
 */
#include "tm.h"

#include "lib/box.h"
#include "lib/plain.h"
#include "lib/table.h"

#include <inttypes.h>
#include <string.h>

enum { BYTECODES, SPAN, UPDATES, FREELIST, INLINE_CACHE, COUNTERS };
enum { FREELIST_LOCAL, FREELIST_GLOBAL, FREELIST_ENGINE };
enum { CACHE_NONE, CACHE_FILL, CACHE_MISS, CACHE_ALWAYS };
enum { COUNTERS_NONE, COUNTERS_LOCAL, COUNTERS_SHARED };

static const struct tm_param bytecode_params[] = {
    [BYTECODES] = {"bytecodes", "bytecodes that an operation executes", TM_INT, "256", 1, 1000000,
                   NULL},
    [SPAN] = {"span", "bytecodes of a block; 0: until the engine wants it to end", TM_INT, "0", 0,
              1000000, NULL},
    [UPDATES] = {"updates", "percentage of the program's loops that update shared state", TM_REAL,
                 "1", 0, 100, NULL},
    [FREELIST] = {"freelist",
                  "where boxes come from: a list of each thread, one of all, the engine's "
                  "allocator",
                  TM_CHOICE, "local", .choices = "local|global|engine"},
    [INLINE_CACHE] = {"inline_cache",
                      "caches in the shared code: none, written once, at a miss, at each use",
                      TM_CHOICE, "none", .choices = "none|fill|miss|always"},
    [COUNTERS] = {"counters", "calls and loops are counted: not, by each thread, by all in one",
                  TM_CHOICE, "none", .choices = "none|local|shared"},
    {NULL, NULL, TM_INT, NULL, 0, 0, NULL},
};

/* ---- the language ----------------------------------------------------------------------------
 */

enum opcode {
    OP_LOCAL,     /* push local x */
    OP_SET_LOCAL, /* pop into local x */
    OP_INT,       /* push c */
    OP_FLOAT,     /* push c / 16 */
    OP_STRING,    /* push string c */
    OP_GLOBAL,    /* push the value of the global name x */
    OP_GET,       /* push attribute x of self, which is local 0 */
    OP_SET,       /* pop into attribute x of self */
    OP_OBJECT,    /* pop a number, push the thread's object of that number */
    OP_INDEX,     /* pop a string, push what method x of the settings, a map, finds for it */
    OP_BINARY,    /* pop right and left operand, push what method x of the left one says */
    OP_CALL,      /* method x of the receiver under c arguments */
    OP_RETURN,    /* pop the result, leave the frame, push it */
    OP_UNLESS,    /* pop; continue at c when it is false */
    OP_JUMP,      /* continue at c, which is the start of a loop of function x */
    OP_UPDATE     /* pop amount and number, add to the shared total of that number */
};

/* An instruction: opcode in bits 7:0, x in 31:8, c in 63:32. */
static inline uint64_t instruction(enum opcode opcode, unsigned x, uint32_t c) {
    return (uint64_t)c << 32 | (uint64_t)x << 8 | (uint64_t)opcode;
}
TM_PURE_FN static inline enum opcode opcode_of(uint64_t i) { return (enum opcode)(i & 0xff); }
TM_PURE_FN static inline unsigned x_of(uint64_t i) { return (unsigned)(i >> 8 & 0xffffff); }
TM_PURE_FN static inline uint32_t c_of(uint64_t i) { return (uint32_t)(i >> 32); }

/* Ruby's hierarchy, as far as this program needs it. */
enum class_number {
    ROOT,
    KERNEL,
    OBJECT,
    COMPARABLE,
    NUMERIC,
    INT,
    FLOAT,
    STRING,
    MAP,
    SHAPE,
    CIRCLE,
    SQUARE,
    CLASSES,
    NO_CLASS = CLASSES
};
static const uint8_t parent_of[CLASSES] = {
    [ROOT] = NO_CLASS,      [KERNEL] = ROOT,  [OBJECT] = KERNEL, [COMPARABLE] = OBJECT,
    [NUMERIC] = COMPARABLE, [INT] = NUMERIC,  [FLOAT] = NUMERIC, [STRING] = COMPARABLE,
    [MAP] = OBJECT,         [SHAPE] = OBJECT, [CIRCLE] = SHAPE,  [SQUARE] = SHAPE,
};

enum name {
    /* methods */
    ADD,
    MULTIPLY,
    SCALE, /* a number below the right operand, from the upper half of the left one */
    LESS,
    AT, /* what a map has for a key */
    STEP,
    MIX,
    /* attributes */
    X,
    Y,
    COUNT,
    TOTAL,
    /* globals */
    FACTOR,
    TERM,
    LIMIT,
    NAMES,
    FILLERS = 1000 /* names that nobody looks up begin here */
};

/* What a method's name leads to: an operation that is built in, or a function. */
enum method { DO_ADD, DO_MULTIPLY, DO_SCALE, DO_LESS, DO_AT, FUNCTION };
enum function { MAIN, CIRCLE_STEP, SQUARE_STEP, KERNEL_MIX, FUNCTIONS };

/* Who has what.  The dictionaries are filled from these lists, and the model reads them. */
struct definition {
    uint8_t class, name, target;
};
static const struct definition methods[] = {
    {INT, ADD, DO_ADD},
    {INT, MULTIPLY, DO_MULTIPLY},
    {INT, SCALE, DO_SCALE},
    {FLOAT, ADD, DO_ADD},
    {FLOAT, MULTIPLY, DO_MULTIPLY},
    {COMPARABLE, LESS, DO_LESS},
    {MAP, AT, DO_AT},
    {CIRCLE, STEP, FUNCTION + CIRCLE_STEP},
    {SQUARE, STEP, FUNCTION + SQUARE_STEP},
    {KERNEL, MIX, FUNCTION + KERNEL_MIX},
};
static const struct definition attributes[] = {
    {CIRCLE, X, 0}, {CIRCLE, COUNT, 1}, {CIRCLE, TOTAL, 2}, {SQUARE, COUNT, 0},
    {SQUARE, Y, 1}, {SQUARE, X, 2},     {SQUARE, TOTAL, 3},
};
enum { METHODS = sizeof methods / sizeof *methods };
enum { ATTRIBUTES = sizeof attributes / sizeof *attributes };

/* Globals; all are built in, none is the module's. */
static const struct {
    uint8_t name;
    uint64_t value;
} globals[] = {
    {FACTOR, UINT64_C(6364136223846793005)}, {TERM, UINT64_C(1442695040888963407)}, {LIMIT, 3}};
enum { GLOBALS = sizeof globals / sizeof *globals };

enum {
    OBJECTS = 16,       /* of each thread, its classes alternate */
    OBJECT_SLOTS = 4,   /* attributes of one */
    STACK_MAX = 64,     /* of a thread: locals and operands of all frames */
    DEPTH_MAX = 8,      /* frames */
    CODE_MAX = 128,     /* bytecodes */
    STRINGS = 64,       /* keys of the settings */
    STRING_SIZE = 24,   /* of one, with its terminator */
    TOTALS = 64,        /* shared totals */
    METHODS_EACH = 24,  /* entries of a class's dictionary, about: fillers are added */
    MODULE_NAMES = 32,  /* entries of the module's */
    BUILT_IN_NAMES = 96 /* of the built-in names' */
};

/* Main's locals. */
enum { MAIN_SELF, MAIN_RANDOM, MAIN_OBJECT, MAIN_RESULT, MAIN_LOCALS };

/* Locals of a function, self and arguments included. */
static const uint8_t locals_of[FUNCTIONS] = {MAIN_LOCALS, 2, 3, 3};

/* ---- the program ------------------------------------------------------------------------------
 */

struct assembler {
    uint64_t *code; /* [CODE_MAX] */
    uint32_t length;
};

static void emit(struct assembler *a, enum opcode opcode, unsigned x, uint32_t c) {
    if (a->length < CODE_MAX)
        a->code[a->length] = instruction(opcode, x, c);
    a->length++;
}

/* random = random * FACTOR + TERM; object = objects[SCALE(random, OBJECTS)]
 * result = object.step(random); and now and then totals[SCALE(random, TOTALS)] += result
 * `chance` of 2^20. */
static void emit_main(struct assembler *a, uint32_t chance) {
    const uint32_t loop = a->length;
    emit(a, OP_LOCAL, MAIN_RANDOM, 0);
    emit(a, OP_GLOBAL, FACTOR, 0);
    emit(a, OP_BINARY, MULTIPLY, 0);
    emit(a, OP_GLOBAL, TERM, 0);
    emit(a, OP_BINARY, ADD, 0);
    emit(a, OP_SET_LOCAL, MAIN_RANDOM, 0);
    emit(a, OP_LOCAL, MAIN_RANDOM, 0);
    emit(a, OP_INT, 0, OBJECTS);
    emit(a, OP_BINARY, SCALE, 0);
    emit(a, OP_OBJECT, 0, 0);
    emit(a, OP_SET_LOCAL, MAIN_OBJECT, 0);
    emit(a, OP_LOCAL, MAIN_OBJECT, 0);
    emit(a, OP_LOCAL, MAIN_RANDOM, 0);
    emit(a, OP_CALL, STEP, 1);
    emit(a, OP_SET_LOCAL, MAIN_RESULT, 0);
    /* Another number, so that updates do not go with some objects only. */
    emit(a, OP_LOCAL, MAIN_RANDOM, 0);
    emit(a, OP_GLOBAL, FACTOR, 0);
    emit(a, OP_BINARY, MULTIPLY, 0);
    emit(a, OP_INT, 0, 1 << 20);
    emit(a, OP_BINARY, SCALE, 0);
    emit(a, OP_INT, 0, chance);
    emit(a, OP_BINARY, LESS, 0);
    const uint32_t unless = a->length;
    emit(a, OP_UNLESS, 0, 0);
    emit(a, OP_LOCAL, MAIN_RANDOM, 0);
    emit(a, OP_INT, 0, TOTALS);
    emit(a, OP_BINARY, SCALE, 0);
    emit(a, OP_LOCAL, MAIN_RESULT, 0);
    emit(a, OP_UPDATE, 0, 0);
    a->code[unless] = instruction(OP_UNLESS, 0, a->length);
    emit(a, OP_JUMP, MAIN, loop);
}

/* x = x * 0.5 + count; count = count + 1; return mix(argument) + settings["..."] */
static void emit_circle_step(struct assembler *a) {
    emit(a, OP_GET, X, 0);
    emit(a, OP_FLOAT, 0, 8);
    emit(a, OP_BINARY, MULTIPLY, 0);
    emit(a, OP_GET, COUNT, 0);
    emit(a, OP_BINARY, ADD, 0);
    emit(a, OP_SET, X, 0);
    emit(a, OP_GET, COUNT, 0);
    emit(a, OP_INT, 0, 1);
    emit(a, OP_BINARY, ADD, 0);
    emit(a, OP_SET, COUNT, 0);
    emit(a, OP_LOCAL, 0, 0);
    emit(a, OP_LOCAL, 1, 0);
    emit(a, OP_CALL, MIX, 1);
    emit(a, OP_STRING, 0, 7);
    emit(a, OP_INDEX, AT, 0);
    emit(a, OP_BINARY, ADD, 0);
    emit(a, OP_RETURN, 0, 0);
}

/* for i from 0 below LIMIT: y = y * 1.5 + i, x = settings["..."] * count (for its own sake)
 * count = count + 1; return mix(argument * count) */
static void emit_square_step(struct assembler *a) {
    emit(a, OP_INT, 0, 0);
    emit(a, OP_SET_LOCAL, 2, 0);
    const uint32_t loop = a->length;
    emit(a, OP_LOCAL, 2, 0);
    emit(a, OP_GLOBAL, LIMIT, 0);
    emit(a, OP_BINARY, LESS, 0);
    const uint32_t unless = a->length;
    emit(a, OP_UNLESS, 0, 0);
    emit(a, OP_GET, Y, 0);
    emit(a, OP_FLOAT, 0, 12);
    emit(a, OP_BINARY, MULTIPLY, 0);
    emit(a, OP_LOCAL, 2, 0);
    emit(a, OP_BINARY, ADD, 0);
    emit(a, OP_SET, Y, 0);
    emit(a, OP_STRING, 0, 41);
    emit(a, OP_INDEX, AT, 0);
    emit(a, OP_GET, COUNT, 0);
    emit(a, OP_BINARY, MULTIPLY, 0);
    emit(a, OP_SET, X, 0);
    emit(a, OP_LOCAL, 2, 0);
    emit(a, OP_INT, 0, 1);
    emit(a, OP_BINARY, ADD, 0);
    emit(a, OP_SET_LOCAL, 2, 0);
    emit(a, OP_JUMP, SQUARE_STEP, loop);
    a->code[unless] = instruction(OP_UNLESS, 0, a->length);
    emit(a, OP_GET, COUNT, 0);
    emit(a, OP_INT, 0, 1);
    emit(a, OP_BINARY, ADD, 0);
    emit(a, OP_SET, COUNT, 0);
    emit(a, OP_LOCAL, 0, 0);
    emit(a, OP_LOCAL, 1, 0);
    emit(a, OP_GET, COUNT, 0);
    emit(a, OP_BINARY, MULTIPLY, 0);
    emit(a, OP_CALL, MIX, 1);
    emit(a, OP_RETURN, 0, 0);
}

/* local = total + argument; total = local; return local */
static void emit_mix(struct assembler *a) {
    emit(a, OP_GET, TOTAL, 0);
    emit(a, OP_LOCAL, 1, 0);
    emit(a, OP_BINARY, ADD, 0);
    emit(a, OP_SET_LOCAL, 2, 0);
    emit(a, OP_LOCAL, 2, 0);
    emit(a, OP_SET, TOTAL, 0);
    emit(a, OP_LOCAL, 2, 0);
    emit(a, OP_RETURN, 0, 0);
}

/* ---- the machine ------------------------------------------------------------------------------
 */

struct class {
    TM_HEADER;
    uint64_t parent; /* NO_CLASS: none */
    table_ref methods, attributes;
};
typedef TM_REF(struct class) class_ref;

/* In the code, one for each instruction that looks a name up; as close to each other as there. */
struct cache {
    TM_HEADER;
    uint64_t class; /* that was looked up, plus 1; 0: empty */
    uint64_t target;
    uint64_t uses; /* inline_cache=always */
};
typedef TM_REF(struct cache) cache_ref;

/* What interrupts a program: looked at behind each bytecode, as interpreters do. */
struct pending {
    TM_HEADER;
    uint64_t signals; /* always 0 here */
    char padding[TM_APART - 16];
};
typedef TM_REF(struct pending) pending_ref;

struct counter {
    TM_HEADER;
    uint64_t calls; /* and loops */
    char padding[TM_APART - 16];
};
typedef TM_REF(struct counter) counter_ref;

struct instance {
    TM_HEADER;
    uint64_t class;
    box_ref attribute[OBJECT_SLOTS];
};
typedef TM_REF(struct instance) instance_ref;

/* A thread's registers between two blocks. */
struct context {
    TM_HEADER;
    uint64_t pc;
    uint64_t sp;    /* the first free slot of the stack */
    uint64_t base;  /* of the frame: where its locals begin */
    uint64_t depth; /* frames below it */
    uint64_t saved_pc[DEPTH_MAX], saved_base[DEPTH_MAX];
};
typedef TM_REF(struct context) context_ref;

struct stack {
    TM_HEADER;
    box_ref slot[STACK_MAX];
};
typedef TM_REF(struct stack) stack_ref;

/* Keeps what belongs to two threads on different lines. */
struct spacer {
    TM_HEADER;
    char bytes[2 * TM_APART];
};
typedef TM_REF(struct spacer) spacer_ref;

/* One thread's.  Constant after setup, but for `ops`, which it writes outside of blocks. */
struct bytecode_thread {
    context_ref context;
    stack_ref stack;
    box_list_ref boxes;
    instance_ref object[OBJECTS];
    counter_ref counter[FUNCTIONS]; /* counters=local: its own; otherwise those of all */
    spacer_ref spacer[2];
    uint64_t ops;
} __attribute__((aligned(TM_APART)));

/* Plain memory, constant after setup. */
struct world {
    uint64_t bytecodes, span;
    uint64_t seed;
    unsigned threads;
    unsigned freelist, caching, counting;
    uint64_t code[CODE_MAX];
    uint32_t code_length;
    uint32_t entry[FUNCTIONS];
    cache_ref cache[CODE_MAX]; /* NULL where nothing is looked up */
    class_ref class[CLASSES];
    table_ref module, built_in; /* name -> number of a global */
    table_ref settings;         /* hash of a string -> number */
    table_ref totals;           /* key of a number -> total: the only one that is written */
    pending_ref pending;
    box_ref global[GLOBALS]; /* immortal, as are these */
    box_ref none, truth[2];
    spacer_ref spacer[2];
    char string[STRINGS][STRING_SIZE];
    struct bytecode_thread *thread; /* [threads] */
};

/* Constants need no barrier. */
TM_PURE_FN static inline uint64_t bytecode_at(const struct world *w, uint64_t pc) {
    return w->code[pc];
}
TM_PURE_FN static inline uint64_t bytecode_entry(const struct world *w, uint64_t function) {
    return w->entry[function];
}
TM_PURE_FN static inline uint64_t bytecode_locals(uint64_t function) { return locals_of[function]; }
TM_PURE_FN static inline cache_ref bytecode_cache(const struct world *w, uint64_t pc) {
    return w->cache[pc];
}
TM_PURE_FN static inline class_ref bytecode_class(const struct world *w, uint64_t class) {
    return w->class[class];
}
TM_PURE_FN static inline box_ref bytecode_global(const struct world *w, uint64_t global) {
    return w->global[global];
}
TM_PURE_FN static inline box_ref bytecode_none(const struct world *w) { return w->none; }
TM_PURE_FN static inline box_ref bytecode_truth(const struct world *w, bool value) {
    return w->truth[value];
}
TM_PURE_FN static inline table_ref bytecode_module(const struct world *w) { return w->module; }
TM_PURE_FN static inline table_ref bytecode_built_in(const struct world *w) { return w->built_in; }
TM_PURE_FN static inline table_ref bytecode_settings(const struct world *w) { return w->settings; }
TM_PURE_FN static inline table_ref bytecode_totals(const struct world *w) { return w->totals; }
TM_PURE_FN static inline pending_ref bytecode_pending(const struct world *w) { return w->pending; }
TM_PURE_FN static inline unsigned bytecode_caching(const struct world *w) { return w->caching; }
TM_PURE_FN static inline bool bytecode_pooled(const struct world *w) {
    return w->freelist != FREELIST_ENGINE;
}
TM_PURE_FN static inline bool bytecode_counts(const struct world *w) {
    return w->counting != COUNTERS_NONE;
}
TM_PURE_FN static inline instance_ref bytecode_object(const struct bytecode_thread *thread,
                                                      uint64_t number) {
    return thread->object[number];
}
TM_PURE_FN static inline counter_ref bytecode_counter(const struct bytecode_thread *thread,
                                                      uint64_t function) {
    return thread->counter[function];
}

/* The key of a name: names are interned, so it is like an address. */
TM_PURE_FN static inline uint64_t key_of(uint64_t name) { return (name + 1) * 48; }

/* The hash of a string that is not interned (FNV-1a). */
TM_PURE_FN static inline uint64_t string_hash(const struct world *w, uint64_t number) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const char *c = w->string[number]; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    return hash;
}

TM_PURE_FN static inline double double_of(uint64_t bits) { return TM_FROM_BITS(double, bits); }
TM_PURE_FN static inline uint64_t bits_of(double value) { return TM_TO_BITS(double, value); }

/* What the built-in operations compute.  *kind: of the result; BOX_NONE: the operands' kinds do not
 * go together, which a correct execution never sees. */
TM_PURE_FN static inline uint64_t compute(uint64_t method, uint32_t left_kind, uint64_t left,
                                          uint32_t right_kind, uint64_t right, uint32_t *kind) {
    const bool floats = left_kind == BOX_FLOAT || right_kind == BOX_FLOAT;
    *kind = BOX_NONE;
    if ((left_kind != BOX_INT && left_kind != BOX_FLOAT) ||
        (right_kind != BOX_INT && right_kind != BOX_FLOAT))
        return 0;
    const double a = left_kind == BOX_FLOAT ? double_of(left) : (double)(int64_t)left;
    const double b = right_kind == BOX_FLOAT ? double_of(right) : (double)(int64_t)right;
    *kind = floats ? BOX_FLOAT : BOX_INT;
    switch (method) {
    case DO_ADD:
        return floats ? bits_of(a + b) : left + right;
    case DO_MULTIPLY:
        return floats ? bits_of(a * b) : left * right;
    case DO_SCALE:
        *kind = floats ? BOX_NONE : BOX_INT;
        return ((left >> 32) * right) >> 32;
    default: /* DO_LESS */
        *kind = BOX_INT;
        return floats ? a < b : (int64_t)left < (int64_t)right;
    }
}

TM_FN static inline uint64_t class_of(TM_SELF, const struct bytecode_thread *thread, box_ref box) {
    switch (tm_get(box, kind)) {
    case BOX_INT:
        return INT;
    case BOX_FLOAT:
        return FLOAT;
    case BOX_STRING:
        return STRING;
    case BOX_OBJECT:
        return tm_get(bytecode_object(thread, tm_get(box, value)), class);
    default:
        return OBJECT;
    }
}

/* ---- names ------------------------------------------------------------------------------------
 */

enum { LOOK_METHOD, LOOK_ATTRIBUTE, LOOK_GLOBAL };

/* In the dictionaries.  TABLE_NONE: no such name, which a correct execution never sees. */
TM_FN static inline uint64_t look_up_slowly(TM_SELF, const struct world *w, unsigned what,
                                            uint64_t class, uint64_t name) {
    const uint64_t key = key_of(name);
    uint64_t entry;
    if (what == LOOK_GLOBAL) {
        table_ref table = bytecode_module(w);
        entry = table_find(self, table, key);
        if (entry == TABLE_NONE) {
            table = bytecode_built_in(w);
            entry = table_find(self, table, key);
        }
        return entry == TABLE_NONE ? TABLE_NONE : table_value(self, table, entry);
    }
    /* A method hides an attribute, so that methods can stand for attributes (as data descriptors do
     * in Python). */
    for (uint64_t ancestor = class; ancestor != NO_CLASS;
         ancestor = tm_get(bytecode_class(w, ancestor), parent)) {
        const table_ref table = tm_get(bytecode_class(w, ancestor), methods);
        entry = table_find(self, table, key);
        if (entry != TABLE_NONE)
            return table_value(self, table, entry);
    }
    const table_ref table = tm_get(bytecode_class(w, class), attributes);
    entry = what == LOOK_ATTRIBUTE ? table_find(self, table, key) : TABLE_NONE;
    return entry == TABLE_NONE ? TABLE_NONE : table_value(self, table, entry);
}

/* The same through the cache of the instruction at `pc`. */
TM_FN static inline uint64_t look_up(TM_SELF, const struct world *w, uint64_t pc, unsigned what,
                                     uint64_t class, uint64_t name) {
    const unsigned caching = bytecode_caching(w);
    if (caching == CACHE_NONE)
        return look_up_slowly(self, w, what, class, name);
    const cache_ref cache = bytecode_cache(w, pc);
    const uint64_t cached = tm_get(cache, class);
    uint64_t target;
    if (cached == class + 1) {
        target = tm_get(cache, target);
    } else {
        target = look_up_slowly(self, w, what, class, name);
        if (caching != CACHE_FILL || cached == 0) {
            tm_set(cache, class, class + 1);
            tm_set(cache, target, target);
        }
    }
    if (caching == CACHE_ALWAYS)
        tm_set(cache, uses, tm_get(cache, uses) + 1);
    return target;
}

/* ---- the interpreter --------------------------------------------------------------------------
 */

/* What the interpreter has in registers during a block. */
struct registers {
    const struct world *w;
    const struct bytecode_thread *thread;
    box_list_ref boxes;
    stack_ref stack;
    bool pooled;
    uint64_t pc, sp, base, depth;
};

TM_FN static inline void push(TM_SELF, struct registers *r, box_ref box) {
    tm_set_at(r->stack, slot, r->sp, box);
    r->sp++;
}
TM_FN static inline box_ref pop(TM_SELF, struct registers *r) {
    r->sp--;
    return tm_get_at(r->stack, slot, r->sp);
}
TM_FN static inline void push_new(TM_SELF, struct registers *r, uint32_t kind, uint64_t value) {
    push(self, r, box_new(self, r->boxes, r->pooled, kind, value));
}
TM_FN static inline void drop(TM_SELF, struct registers *r, box_ref box) {
    box_release(self, r->boxes, r->pooled, box);
}
/* Pops a number. */
TM_FN static inline uint64_t pop_value(TM_SELF, struct registers *r) {
    const box_ref box = pop(self, r);
    const uint64_t value = tm_get(box, value);
    drop(self, r, box);
    return value;
}

/* A call or a loop of a function. */
TM_FN static inline void count_call(TM_SELF, const struct registers *r, uint64_t function) {
    if (bytecode_counts(r->w)) {
        const counter_ref counter = bytecode_counter(r->thread, function);
        tm_set(counter, calls, tm_get(counter, calls) + 1);
    }
}

TM_FN static inline void do_binary(TM_SELF, struct registers *r, uint64_t at, unsigned name) {
    const box_ref right = pop(self, r), left = pop(self, r);
    const uint64_t class = class_of(self, r->thread, left);
    const uint64_t method = look_up(self, r->w, at, LOOK_METHOD, class, name);
    uint32_t kind;
    const uint64_t result = compute(method, tm_get(left, kind), tm_get(left, value),
                                    tm_get(right, kind), tm_get(right, value), &kind);
    if (method == DO_LESS)
        push(self, r, bytecode_truth(r->w, result != 0));
    else
        push_new(self, r, kind, result);
    drop(self, r, right);
    drop(self, r, left);
}

TM_FN static inline void do_call(TM_SELF, struct registers *r, context_ref context, uint64_t at,
                                 unsigned name, uint64_t arguments) {
    const uint64_t base = r->sp - arguments - 1;
    const uint64_t class = class_of(self, r->thread, tm_get_at(r->stack, slot, base));
    const uint64_t function = look_up(self, r->w, at, LOOK_METHOD, class, name) - FUNCTION;
    count_call(self, r, function);
    tm_set_at(context, saved_pc, r->depth, r->pc);
    tm_set_at(context, saved_base, r->depth, r->base);
    r->depth++;
    r->base = base;
    r->pc = bytecode_entry(r->w, function);
    for (uint64_t i = arguments + 1; i < bytecode_locals(function); i++)
        push(self, r, bytecode_none(r->w));
}

TM_FN static inline void do_return(TM_SELF, struct registers *r, context_ref context) {
    const box_ref result = pop(self, r);
    while (r->sp > r->base)
        drop(self, r, pop(self, r));
    r->depth--;
    r->pc = tm_get_at(context, saved_pc, r->depth);
    r->base = tm_get_at(context, saved_base, r->depth);
    push(self, r, result);
}

/* Where attribute `name` of self is: its object and *slot. */
TM_FN static inline instance_ref find_attribute(TM_SELF, const struct registers *r, uint64_t at,
                                                unsigned name, uint64_t *slot) {
    const box_ref box = tm_get_at(r->stack, slot, r->base);
    const instance_ref object = bytecode_object(r->thread, tm_get(box, value));
    *slot = look_up(self, r->w, at, LOOK_ATTRIBUTE, tm_get(object, class), name);
    return object;
}

TM_FN static inline void do_get(TM_SELF, struct registers *r, uint64_t at, unsigned name) {
    uint64_t slot;
    const instance_ref object = find_attribute(self, r, at, name, &slot);
    const box_ref box = tm_get_at(object, attribute, slot);
    box_keep(self, box);
    push(self, r, box);
}

TM_FN static inline void do_set(TM_SELF, struct registers *r, uint64_t at, unsigned name) {
    uint64_t slot;
    const instance_ref object = find_attribute(self, r, at, name, &slot);
    const box_ref old = tm_get_at(object, attribute, slot);
    tm_set_at(object, attribute, slot, pop(self, r));
    drop(self, r, old);
}

TM_FN static inline void do_local(TM_SELF, struct registers *r, unsigned local) {
    const box_ref box = tm_get_at(r->stack, slot, r->base + local);
    box_keep(self, box);
    push(self, r, box);
}

TM_FN static inline void do_set_local(TM_SELF, struct registers *r, unsigned local) {
    const box_ref old = tm_get_at(r->stack, slot, r->base + local);
    tm_set_at(r->stack, slot, r->base + local, pop(self, r));
    drop(self, r, old);
}

TM_FN static inline void do_global(TM_SELF, struct registers *r, uint64_t at, unsigned name) {
    const box_ref box = bytecode_global(r->w, look_up(self, r->w, at, LOOK_GLOBAL, 0, name));
    box_keep(self, box);
    push(self, r, box);
}

TM_FN static inline void do_index(TM_SELF, struct registers *r, uint64_t at, unsigned name) {
    const uint64_t method = look_up(self, r->w, at, LOOK_METHOD, MAP, name);
    const uint64_t hash = string_hash(r->w, pop_value(self, r));
    const table_ref settings = bytecode_settings(r->w);
    const uint64_t entry = method == DO_AT ? table_find(self, settings, hash) : TABLE_NONE;
    push_new(self, r, BOX_INT, entry == TABLE_NONE ? 0 : table_value(self, settings, entry));
}

TM_FN static inline void do_unless(TM_SELF, struct registers *r, uint64_t target) {
    const box_ref box = pop(self, r);
    const uint32_t kind = tm_get(box, kind);
    const bool truth = kind != BOX_NONE && (kind != BOX_INT || tm_get(box, value) != 0);
    drop(self, r, box);
    if (!truth)
        r->pc = target;
}

TM_FN static inline void do_update(TM_SELF, struct registers *r) {
    const table_ref totals = bytecode_totals(r->w);
    const uint64_t amount = pop_value(self, r), key = key_of(pop_value(self, r));
    const uint64_t entry = table_find(self, totals, key);
    if (entry != TABLE_NONE)
        table_set_value(self, totals, entry, table_value(self, totals, entry) + amount);
}

/* Executes one block's bytecodes: at most `limit`, or fewer when `breaks` and the engine wants the
 * block to end.  Returns how many. */
TM_FN static inline uint64_t interpret(TM_SELF, const struct world *w,
                                       const struct bytecode_thread *thread, context_ref context,
                                       stack_ref stack, box_list_ref boxes, uint64_t limit,
                                       bool breaks) {
    struct registers r = {.w = w, .thread = thread, .boxes = boxes, .stack = stack};
    r.pooled = bytecode_pooled(w);
    r.pc = tm_get(context, pc);
    r.sp = tm_get(context, sp);
    r.base = tm_get(context, base);
    r.depth = tm_get(context, depth);
    const pending_ref pending = bytecode_pending(w);
    uint64_t done = 0;
    do {
        const uint64_t at = r.pc++, i = bytecode_at(w, at);
        tm_set(context, pc, at); /* where an exception would say it came from */
        const unsigned x = x_of(i);
        const uint32_t c = c_of(i);
        switch (opcode_of(i)) {
        case OP_LOCAL:
            do_local(self, &r, x);
            break;
        case OP_SET_LOCAL:
            do_set_local(self, &r, x);
            break;
        case OP_INT:
            push_new(self, &r, BOX_INT, c);
            break;
        case OP_FLOAT:
            push_new(self, &r, BOX_FLOAT, bits_of((double)c / 16));
            break;
        case OP_STRING:
            push_new(self, &r, BOX_STRING, c);
            break;
        case OP_GLOBAL:
            do_global(self, &r, at, x);
            break;
        case OP_GET:
            do_get(self, &r, at, x);
            break;
        case OP_SET:
            do_set(self, &r, at, x);
            break;
        case OP_OBJECT: {
            const uint64_t number = pop_value(self, &r);
            push_new(self, &r, BOX_OBJECT, number < OBJECTS ? number : 0);
            break;
        }
        case OP_INDEX:
            do_index(self, &r, at, x);
            break;
        case OP_BINARY:
            do_binary(self, &r, at, x);
            break;
        case OP_CALL:
            do_call(self, &r, context, at, x, c);
            break;
        case OP_RETURN:
            do_return(self, &r, context);
            break;
        case OP_UNLESS:
            do_unless(self, &r, c);
            break;
        case OP_JUMP:
            count_call(self, &r, x);
            r.pc = c;
            break;
        case OP_UPDATE:
            do_update(self, &r);
            break;
        }
        done++;
    } while (done < limit && tm_get(pending, signals) == 0 && !(breaks && tm_should_break(self)));
    tm_set(context, pc, r.pc);
    tm_set(context, sp, r.sp);
    tm_set(context, base, r.base);
    tm_set(context, depth, r.depth);
    return done;
}

static inline void bytecode_run(TM_SELF, struct world *w, struct tm_rand *rng) {
    (void)rng; /* the program draws its numbers itself: verify repeats it */
    struct bytecode_thread *thread = &w->thread[tm_index(self)];
    const context_ref context = thread->context;
    const stack_ref stack = thread->stack;
    const box_list_ref boxes = thread->boxes;
    const bool breaks = w->span == 0;
    for (uint64_t left = w->bytecodes; left > 0;) {
        const uint64_t limit = breaks || w->span > left ? left : w->span;
        uint64_t done;
        atomic (self) {
            done = interpret(self, w, thread, context, stack, boxes, limit, breaks);
        }
        left -= done;
    }
    thread->ops++;
}

/* ---- setup ------------------------------------------------------------------------------------
 */

static bool looks_up(enum opcode opcode) {
    return opcode == OP_GLOBAL || opcode == OP_GET || opcode == OP_SET || opcode == OP_BINARY ||
           opcode == OP_INDEX || opcode == OP_CALL;
}

static void bytecode_teardown(TM_SELF, void *world) {
    struct world *w = world;
    for (unsigned t = 0; t < w->threads; t++) {
        struct bytecode_thread *thread = &w->thread[t];
        const bool pooled = bytecode_pooled(w);
        for (uint64_t i = 0; i < tm_get(thread->context, sp); i++)
            box_release(self, thread->boxes, pooled, tm_get_at(thread->stack, slot, i));
        for (unsigned i = 0; i < OBJECTS; i++) {
            for (unsigned k = 0; k < OBJECT_SLOTS; k++)
                box_release(self, thread->boxes, pooled,
                            tm_get_at(thread->object[i], attribute, k));
            tm_free(self, thread->object[i]);
        }
        for (unsigned f = 0; f < FUNCTIONS && w->counting == COUNTERS_LOCAL; f++)
            tm_free(self, thread->counter[f]);
        tm_free(self, thread->context);
        tm_free(self, thread->stack);
        tm_free(self, thread->spacer[0]);
        tm_free(self, thread->spacer[1]);
    }
    for (unsigned t = 0; t < (w->freelist == FREELIST_GLOBAL ? 1 : w->threads); t++)
        box_list_free(self, w->thread[t].boxes);
    for (unsigned f = 0; f < FUNCTIONS && w->counting != COUNTERS_LOCAL; f++)
        tm_free(self, w->thread[0].counter[f]);
    for (unsigned i = 0; i < CODE_MAX; i++)
        if (w->cache[i] != NULL)
            tm_free(self, w->cache[i]);
    for (unsigned c = 0; c < CLASSES; c++) {
        table_free(self, tm_get(w->class[c], methods));
        table_free(self, tm_get(w->class[c], attributes));
        tm_free(self, w->class[c]);
    }
    table_free(self, w->module);
    table_free(self, w->built_in);
    table_free(self, w->settings);
    table_free(self, w->totals);
    for (unsigned i = 0; i < GLOBALS; i++)
        tm_free(self, w->global[i]);
    tm_free(self, w->spacer[0]);
    tm_free(self, w->spacer[1]);
    tm_free(self, w->pending);
    tm_free(self, w->none);
    tm_free(self, w->truth[0]);
    tm_free(self, w->truth[1]);
    machine_free(w->thread);
    machine_free(w);
}

static box_ref new_immortal(TM_SELF, uint32_t kind, uint64_t value) {
    const box_ref box = tm_new(self, struct box);
    tm_set(box, kind, kind);
    tm_set(box, references, BOX_IMMORTAL);
    tm_set(box, value, value);
    return box;
}

/* A dictionary with `n` names that nobody looks up. */
static table_ref new_names(TM_SELF, unsigned n, unsigned *filler) {
    const table_ref table = table_new(self);
    for (unsigned i = 0; i < n; i++)
        table_add(self, table, key_of(FILLERS + (*filler)++), i);
    return table;
}

static void make_dictionaries(TM_SELF, struct world *w) {
    unsigned filler = 0;
    for (unsigned c = 0; c < CLASSES; c++) {
        w->class[c] = tm_new(self, struct class);
        tm_set(w->class[c], parent, parent_of[c]);
        tm_set(w->class[c], methods, new_names(self, METHODS_EACH, &filler));
        tm_set(w->class[c], attributes, table_new(self));
    }
    for (unsigned i = 0; i < METHODS; i++)
        table_add(self, tm_get(w->class[methods[i].class], methods), key_of(methods[i].name),
                  methods[i].target);
    for (unsigned i = 0; i < ATTRIBUTES; i++)
        table_add(self, tm_get(w->class[attributes[i].class], attributes),
                  key_of(attributes[i].name), attributes[i].target);
    w->module = new_names(self, MODULE_NAMES, &filler);
    w->built_in = new_names(self, BUILT_IN_NAMES, &filler);
    for (unsigned i = 0; i < GLOBALS; i++) {
        w->global[i] = new_immortal(self, BOX_INT, globals[i].value);
        table_add(self, w->built_in, key_of(globals[i].name), i);
    }
    w->settings = table_new(self);
    for (unsigned i = 0; i < STRINGS; i++) {
        snprintf(w->string[i], STRING_SIZE, "setting.%u", i * 7919);
        table_add(self, w->settings, string_hash(w, i), i + 1);
    }
}

/* What everybody looks at all the time, and nobody writes. */
static void make_common(TM_SELF, struct world *w) {
    w->spacer[0] = tm_new(self, struct spacer);
    w->pending = tm_new(self, struct pending);
    w->none = new_immortal(self, BOX_NONE, 0);
    w->truth[0] = new_immortal(self, BOX_INT, 0);
    w->truth[1] = new_immortal(self, BOX_INT, 1);
}

/* What everybody adds to now and then: far from what is only looked at. */
static void make_totals(TM_SELF, struct world *w) {
    w->totals = table_new(self);
    for (unsigned i = 0; i < TOTALS; i++)
        table_add(self, w->totals, key_of(i), 0);
    w->spacer[1] = tm_new(self, struct spacer);
}

/* False: the program is longer than its room, which only its author can get wrong. */
static bool make_code(TM_SELF, struct world *w, double updates) {
    struct assembler a = {w->code, 0};
    w->entry[MAIN] = a.length;
    emit_main(&a, (uint32_t)(updates / 100 * (1 << 20) + 0.5));
    w->entry[CIRCLE_STEP] = a.length;
    emit_circle_step(&a);
    w->entry[SQUARE_STEP] = a.length;
    emit_square_step(&a);
    w->entry[KERNEL_MIX] = a.length;
    emit_mix(&a);
    w->code_length = a.length;
    for (unsigned i = 0; i < a.length && a.length <= CODE_MAX; i++)
        if (w->caching != CACHE_NONE && looks_up(opcode_of(w->code[i])))
            w->cache[i] = tm_new(self, struct cache);
    return a.length <= CODE_MAX;
}

/* What a thread's random numbers begin with. */
static uint64_t first_random(const struct world *w, unsigned t) {
    return plain_rand(w->seed, t).state;
}

static void make_thread(TM_SELF, struct world *w, unsigned t) {
    struct bytecode_thread *thread = &w->thread[t];
    const bool pooled = bytecode_pooled(w);
    thread->spacer[0] = tm_new(self, struct spacer);
    thread->boxes = t > 0 && w->freelist == FREELIST_GLOBAL ? w->thread[0].boxes
                                                            : tm_new(self, struct box_list);
    thread->context = tm_new(self, struct context);
    thread->stack = tm_new(self, struct stack);
    for (unsigned f = 0; f < FUNCTIONS; f++)
        thread->counter[f] = t > 0 && w->counting != COUNTERS_LOCAL ? w->thread[0].counter[f]
                                                                    : tm_new(self, struct counter);
    /* More than the thread ever has in use: a heap that grew long ago. */
    for (unsigned i = 0; i < OBJECTS * OBJECT_SLOTS + STACK_MAX && pooled; i += BOX_BATCH)
        box_refill(self, thread->boxes);
    for (unsigned i = 0; i < OBJECTS; i++) {
        thread->object[i] = tm_new(self, struct instance);
        tm_set(thread->object[i], class, i % 2 == 0 ? CIRCLE : SQUARE);
        for (unsigned k = 0; k < OBJECT_SLOTS; k++)
            tm_set_at(thread->object[i], attribute, k,
                      box_new(self, thread->boxes, pooled, BOX_INT, 0));
    }
    for (unsigned i = 0; i < MAIN_LOCALS; i++)
        tm_set_at(thread->stack, slot, i, w->none);
    tm_set_at(thread->stack, slot, MAIN_RANDOM,
              box_new(self, thread->boxes, pooled, BOX_INT, first_random(w, t)));
    tm_set(thread->context, pc, w->entry[MAIN]);
    tm_set(thread->context, sp, MAIN_LOCALS);
    thread->spacer[1] = tm_new(self, struct spacer);
}

static void *bytecode_setup(TM_SELF, const struct tm_setup *setup, char *why, size_t why_size) {
    const union tm_value *args = setup->args;
    struct world *w = machine_alloc_aligned(sizeof *w, TM_CACHE_LINE);
    struct bytecode_thread *threads =
        machine_alloc_aligned(setup->threads * sizeof *threads, TM_APART);
    if (w == NULL || threads == NULL) {
        snprintf(why, why_size, "out of memory");
        machine_free(threads);
        machine_free(w);
        return NULL;
    }
    w->thread = threads;
    w->threads = setup->threads;
    w->seed = setup->seed;
    w->bytecodes = (uint64_t)args[BYTECODES].i;
    w->span = (uint64_t)args[SPAN].i;
    w->freelist = args[FREELIST].choice;
    w->caching = args[INLINE_CACHE].choice;
    w->counting = args[COUNTERS].choice;
    /* In this order, because what has been freed is used again: dictionaries that grow leave holes,
     * and what fills those lies anywhere, spacers or not. */
    make_common(self, w);
    const bool fits = make_code(self, w, args[UPDATES].r);
    for (unsigned t = 0; t < w->threads; t++)
        make_thread(self, w, t);
    make_totals(self, w);
    make_dictionaries(self, w);
    if (fits)
        return w;
    snprintf(why, why_size, "the program has %u bytecodes: at most %d", w->code_length, CODE_MAX);
    bytecode_teardown(self, w);
    return NULL;
}

/* ---- the model: the same program without boxes, dictionaries and blocks -----------------------
 */

struct model_value {
    uint32_t kind;
    uint64_t value;
};

struct model {
    const struct world *w;
    uint64_t pc, sp, base, depth;
    uint64_t saved_pc[DEPTH_MAX], saved_base[DEPTH_MAX];
    struct model_value slot[STACK_MAX];
    struct model_value attribute[OBJECTS][OBJECT_SLOTS];
    uint64_t calls[FUNCTIONS], uses[CODE_MAX], totals[TOTALS]; /* added up over all threads */
};

static uint64_t model_find(const struct definition *list, unsigned n, unsigned class,
                           unsigned name) {
    for (; class != NO_CLASS; class = parent_of[class])
        for (unsigned i = 0; i < n; i++)
            if (list[i].class == class && list[i].name == name)
                return list[i].target;
    return TABLE_NONE;
}

static unsigned model_class(const struct model_value *v) {
    return v->kind == BOX_INT      ? INT
           : v->kind == BOX_FLOAT  ? FLOAT
           : v->kind == BOX_STRING ? STRING
           : v->kind == BOX_OBJECT ? (v->value % 2 == 0 ? CIRCLE : SQUARE)
                                   : OBJECT;
}

static struct model_value *model_attribute(struct model *m, unsigned name) {
    const struct model_value *self_value = &m->slot[m->base];
    return &m->attribute[self_value->value]
                        [model_find(attributes, ATTRIBUTES, model_class(self_value), name)];
}

static void model_push(struct model *m, uint32_t kind, uint64_t value) {
    m->slot[m->sp++] = (struct model_value){kind, value};
}

static uint64_t model_global(unsigned name) {
    for (unsigned i = 0; i < GLOBALS; i++)
        if (globals[i].name == name)
            return globals[i].value;
    return 0;
}

static void model_call(struct model *m, unsigned name, uint64_t arguments) {
    const uint64_t base = m->sp - arguments - 1;
    const uint64_t function =
        model_find(methods, METHODS, model_class(&m->slot[base]), name) - FUNCTION;
    m->calls[function]++;
    m->saved_pc[m->depth] = m->pc;
    m->saved_base[m->depth] = m->base;
    m->depth++;
    m->base = base;
    m->pc = m->w->entry[function];
    for (uint64_t i = arguments + 1; i < locals_of[function]; i++)
        model_push(m, BOX_NONE, 0);
}

static void model_binary(struct model *m, unsigned name) {
    const struct model_value right = m->slot[--m->sp], left = m->slot[--m->sp];
    uint32_t kind;
    const uint64_t result = compute(model_find(methods, METHODS, model_class(&left), name),
                                    left.kind, left.value, right.kind, right.value, &kind);
    model_push(m, kind, result);
}

static void model_step(struct model *m) {
    const uint64_t i = m->w->code[m->pc];
    const unsigned x = x_of(i);
    const uint32_t c = c_of(i);
    struct model_value v;
    m->uses[m->pc++] += looks_up(opcode_of(i));
    switch (opcode_of(i)) {
    case OP_LOCAL:
        m->slot[m->sp++] = m->slot[m->base + x];
        break;
    case OP_SET_LOCAL:
        m->slot[m->base + x] = m->slot[--m->sp];
        break;
    case OP_INT:
        model_push(m, BOX_INT, c);
        break;
    case OP_FLOAT:
        model_push(m, BOX_FLOAT, bits_of((double)c / 16));
        break;
    case OP_STRING:
        model_push(m, BOX_STRING, c);
        break;
    case OP_GLOBAL:
        model_push(m, BOX_INT, model_global(x));
        break;
    case OP_GET:
        m->slot[m->sp++] = *model_attribute(m, x);
        break;
    case OP_SET:
        *model_attribute(m, x) = m->slot[--m->sp];
        break;
    case OP_OBJECT:
        m->slot[m->sp - 1].kind = BOX_OBJECT;
        break;
    case OP_INDEX:
        m->slot[m->sp - 1] = (struct model_value){BOX_INT, m->slot[m->sp - 1].value + 1};
        break;
    case OP_BINARY:
        model_binary(m, x);
        break;
    case OP_CALL:
        model_call(m, x, c);
        break;
    case OP_RETURN:
        v = m->slot[m->sp - 1];
        m->sp = m->base;
        m->depth--;
        m->pc = m->saved_pc[m->depth];
        m->base = m->saved_base[m->depth];
        m->slot[m->sp++] = v;
        break;
    case OP_UNLESS:
        v = m->slot[--m->sp];
        if (v.kind == BOX_NONE || (v.kind == BOX_INT && v.value == 0))
            m->pc = c;
        break;
    case OP_JUMP:
        m->calls[x]++;
        m->pc = c;
        break;
    case OP_UPDATE:
        m->sp -= 2;
        m->totals[m->slot[m->sp].value] += m->slot[m->sp + 1].value;
        break;
    }
}

/* One thread's program from its start; totals, calls and uses go on. */
static void model_run(struct model *m, unsigned t) {
    m->pc = m->w->entry[MAIN];
    m->sp = m->base = m->depth = 0;
    memset(m->attribute, 0, sizeof m->attribute);
    for (unsigned i = 0; i < OBJECTS; i++)
        for (unsigned k = 0; k < OBJECT_SLOTS; k++)
            m->attribute[i][k].kind = BOX_INT;
    for (unsigned i = 0; i < MAIN_LOCALS; i++)
        model_push(m, BOX_NONE, 0);
    m->slot[MAIN_RANDOM] = (struct model_value){BOX_INT, first_random(m->w, t)};
    for (uint64_t n = m->w->thread[t].ops * m->w->bytecodes; n > 0; n--)
        model_step(m);
}

/* ---- verify -----------------------------------------------------------------------------------
 */

static bool same_value(TM_SELF, box_ref box, const struct model_value *expected) {
    return box != NULL && tm_get(box, kind) == expected->kind &&
           tm_get(box, value) == expected->value;
}

static bool verify_registers(TM_SELF, const struct model *m, context_ref context) {
    bool ok = tm_get(context, pc) == m->pc && tm_get(context, sp) == m->sp &&
              tm_get(context, base) == m->base && tm_get(context, depth) == m->depth;
    for (unsigned i = 0; ok && i < m->depth; i++)
        ok = tm_get_at(context, saved_pc, i) == m->saved_pc[i] &&
             tm_get_at(context, saved_base, i) == m->saved_base[i];
    return ok;
}

static bool verify_values(TM_SELF, const struct model *m, unsigned t, char *why, size_t why_size) {
    const struct bytecode_thread *thread = &m->w->thread[t];
    if (!verify_registers(self, m, thread->context)) {
        snprintf(why, why_size,
                 "thread %u is at bytecode %" PRIu64 ", %" PRIu64
                 " frames deep; the model is at %" PRIu64 ", %" PRIu64 " deep",
                 t, tm_get(thread->context, pc), tm_get(thread->context, depth), m->pc, m->depth);
        return false;
    }
    for (uint64_t i = 0; i < m->sp; i++)
        if (!same_value(self, tm_get_at(thread->stack, slot, i), &m->slot[i])) {
            snprintf(why, why_size,
                     "thread %u: slot %" PRIu64 " of the stack is not the model's (kind %u, value "
                     "%" PRIu64 ")",
                     t, i, m->slot[i].kind, m->slot[i].value);
            return false;
        }
    for (unsigned i = 0; i < OBJECTS; i++)
        for (unsigned k = 0; k < OBJECT_SLOTS; k++)
            if (!same_value(self, tm_get_at(thread->object[i], attribute, k),
                            &m->attribute[i][k])) {
                snprintf(why, why_size,
                         "thread %u: attribute %u of object %u is not the model's (kind %u, value "
                         "%" PRIu64 ")",
                         t, k, i, m->attribute[i][k].kind, m->attribute[i][k].value);
                return false;
            }
    return true;
}

/* The boxes that a thread's frames and objects hold. */
struct holders {
    box_ref box[STACK_MAX + OBJECTS * OBJECT_SLOTS];
    unsigned count;
};

static void hold(TM_SELF, struct holders *h, box_ref box) {
    if (tm_get(box, references) != BOX_IMMORTAL)
        h->box[h->count++] = box;
}

/* References against holders.  *live: distinct boxes, added up. */
static bool verify_references(TM_SELF, const struct world *w, unsigned t, uint64_t *live, char *why,
                              size_t why_size) {
    const struct bytecode_thread *thread = &w->thread[t];
    struct holders h = {.count = 0};
    for (uint64_t i = 0; i < tm_get(thread->context, sp); i++)
        hold(self, &h, tm_get_at(thread->stack, slot, i));
    for (unsigned i = 0; i < OBJECTS; i++)
        for (unsigned k = 0; k < OBJECT_SLOTS; k++)
            hold(self, &h, tm_get_at(thread->object[i], attribute, k));
    for (unsigned i = 0; i < h.count; i++) {
        unsigned same = 0, before = 0;
        for (unsigned k = 0; k < h.count; k++) {
            same += h.box[k] == h.box[i];
            before += k < i && h.box[k] == h.box[i];
        }
        *live += before == 0;
        if (tm_get(h.box[i], references) != same) {
            snprintf(why, why_size, "thread %u: a box has %u references, there are %u", t,
                     tm_get(h.box[i], references), same);
            return false;
        }
    }
    return true;
}

/* A list: as long as it says, all of it free, and the rest of what was made is in use. */
static bool verify_list(TM_SELF, box_list_ref list, uint64_t live, char *why, size_t why_size) {
    const uint64_t length = tm_get(list, length), made = tm_get(list, made);
    uint64_t found = 0;
    for (box_ref box = tm_get(list, first); box != NULL && found <= length;
         box = tm_get(box, next), found++)
        if (tm_get(box, kind) != BOX_FREE || tm_get(box, references) != 0) {
            snprintf(why, why_size, "box %" PRIu64 " of a free list is in use", found);
            return false;
        }
    if (found == length && made == length + live)
        return true;
    snprintf(why, why_size,
             "free list: %" PRIu64 " boxes of %" PRIu64 ", %" PRIu64 " made, %" PRIu64 " in use",
             found, length, made, live);
    return false;
}

static bool verify_boxes(TM_SELF, const struct world *w, char *why, size_t why_size) {
    uint64_t live = 0;
    for (unsigned t = 0; t < w->threads; t++) {
        if (!verify_references(self, w, t, &live, why, why_size))
            return false;
        if (w->freelist == FREELIST_GLOBAL && t + 1 < w->threads)
            continue;
        if (!verify_list(self, w->thread[t].boxes, live, why, why_size))
            return false;
        live = 0;
    }
    return true;
}

static bool verify_totals(TM_SELF, const struct model *m, char *why, size_t why_size) {
    for (unsigned i = 0; i < TOTALS; i++) {
        const uint64_t entry = table_find(self, m->w->totals, key_of(i));
        if (entry == TABLE_NONE || table_value(self, m->w->totals, entry) != m->totals[i]) {
            snprintf(why, why_size, "total %u is not %" PRIu64 ", what the programs added", i,
                     m->totals[i]);
            return false;
        }
    }
    return true;
}

static bool verify_counters(TM_SELF, const struct model *m, char *why, size_t why_size) {
    const struct world *w = m->w;
    for (unsigned f = 0; f < FUNCTIONS; f++) {
        uint64_t calls = 0;
        for (unsigned t = 0; t < (w->counting == COUNTERS_LOCAL ? w->threads : 1); t++)
            calls += tm_get(w->thread[t].counter[f], calls);
        if (calls != (w->counting == COUNTERS_NONE ? 0 : m->calls[f])) {
            snprintf(why, why_size,
                     "function %u: %" PRIu64 " calls and loops counted, there were %" PRIu64, f,
                     calls, m->calls[f]);
            return false;
        }
    }
    return true;
}

/* What the cache of an instruction must lead to. */
static uint64_t expected_target(uint64_t i, uint64_t class) {
    if (opcode_of(i) == OP_GLOBAL) {
        for (unsigned g = 0; g < GLOBALS; g++)
            if (globals[g].name == x_of(i))
                return g;
        return TABLE_NONE;
    }
    return opcode_of(i) == OP_GET || opcode_of(i) == OP_SET
               ? model_find(attributes, ATTRIBUTES, (unsigned)class, x_of(i))
               : model_find(methods, METHODS, (unsigned)class, x_of(i));
}

static bool verify_caches(TM_SELF, const struct model *m, char *why, size_t why_size) {
    const struct world *w = m->w;
    for (unsigned i = 0; i < CODE_MAX; i++) {
        if (w->cache[i] == NULL)
            continue;
        const uint64_t class = tm_get(w->cache[i], class), uses = tm_get(w->cache[i], uses);
        const uint64_t wanted = w->caching == CACHE_ALWAYS ? m->uses[i] : 0;
        if (class > CLASSES || (class == 0) != (m->uses[i] == 0) || uses != wanted ||
            (class != 0 && tm_get(w->cache[i], target) != expected_target(w->code[i], class - 1))) {
            snprintf(why, why_size,
                     "inline cache of bytecode %u: class %" PRIu64 ", target %" PRIu64 ", %" PRIu64
                     " uses; there were %" PRIu64,
                     i, class, tm_get(w->cache[i], target), uses, m->uses[i]);
            return false;
        }
    }
    return true;
}

static bool bytecode_verify(TM_SELF, void *world, uint64_t ops, char *why, size_t why_size) {
    const struct world *w = world;
    struct model *m = machine_alloc_aligned(sizeof *m, TM_CACHE_LINE);
    if (m == NULL) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    m->w = w;
    bool ok = true;
    uint64_t done = 0;
    for (unsigned t = 0; ok && t < w->threads; t++) {
        model_run(m, t);
        ok = verify_values(self, m, t, why, why_size);
        done += w->thread[t].ops;
    }
    ok = ok && verify_totals(self, m, why, why_size) && verify_counters(self, m, why, why_size) &&
         verify_caches(self, m, why, why_size) && verify_boxes(self, w, why, why_size);
    machine_free(m);
    if (ok && done != ops) {
        snprintf(why, why_size, "threads counted %" PRIu64 " operations, there were %" PRIu64, done,
                 ops);
        ok = false;
    }
    return ok;
}

TM_WORKLOAD(bytecode,
            .help =
                "an interpreter: boxed values, dictionaries of names, frames; ns per bytecode = "
                "time / bytecodes",
            .params = bytecode_params, .setup = bytecode_setup, .verify = bytecode_verify,
            .teardown = bytecode_teardown);
