/*
 * block.c - instructions per basic block, decoded from the instrumented machine code with Zydis.
 *
 * gcc's hooks make the code longer than the program: a call needs its arguments in registers, and
 * it clobbers others.  What is not the program's own is left out by these rules, the same for all
 * engines and workloads:
 *  1. Calls of hooks, except that a call for an atomic operation is that operation: one
 *     instruction.
 *  2. What only a hook wanted to know.  A hook call reads no register, except the value that an
 *     atomic operation stores, and the caller-saved registers and the flags are dead behind it
 *     (System V ABI); an instruction whose results are all dead then, and that does not touch
 *     memory, is left out, and so is what only it needed (liveness, backwards through the block).
 *  3. LEA of an address that is given to a hook and used for nothing else in the block but as the
 *     plain base of accesses: without the hook it is part of the access's addressing mode.
 *  4. Moves between registers and the stack frame: calls force values there.  (Moves between
 *     registers stay, unless rule 2 finds them: calls force those as well, but the native code has
 *     its own.)
 *  5. No-operations and branch targets (nop, endbr).
 *
 * A block begins behind a trace_pc call and ends with the next one or the first jump or return.
 * Code that a fall-through reaches without a trace_pc call in between (gcc split the block after
 * it was instrumented) is counted only when no jump lies before it.  A function that does nothing
 * else jumps to trace_pc, whose return address then is its caller's: that block is the function's
 * return, one instruction.
 *
 * Limits.  Rule 4 leaves out what the native code spills too, and a block's count may be too low by
 * that; moves between registers, pushes and pops of registers that only hook calls made necessary,
 * arithmetic done twice because no register was free, and functions no longer inlined make it too
 * high.  A count ends at 254.  scripts/inflation measures what remains, per workload and engine.
 *
 * Why Zydis and not capstone: it decodes into a structure of the caller's without allocation, two
 * to three times as fast (with operands, over the text of build/allcores), and says of every
 * operand, hidden ones included, whether it is read or written, and of flags which, which rule 2
 * rests on.
 */
#include "block.h"

#include <Zydis/Zydis.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

uint8_t *sim_block_table, *sim_block_rounds;
uintptr_t sim_block_text;
size_t sim_block_text_bytes;

/* ---- hooks --------------------------------------------------------------------------------- */

/* Every name that gcc 12 may call (gcc/sanitizer.def).  Weak: not all have to be there. */
/* It never agrees with itself about these. */
/* clang-format off */
#define PLAIN_HOOKS(X)                                                                             \
    X(read1)                                                                                       \
    X(read2)                                                                                       \
    X(read4)                                                                                       \
    X(read8)                                                                                       \
    X(read16)                                                                                      \
    X(write1)                                                                                      \
    X(write2)                                                                                      \
    X(write4) X(write8) X(write16) X(volatile_read1) X(volatile_read2) X(volatile_read4)           \
        X(volatile_read8) X(volatile_read16) X(volatile_write1) X(volatile_write2)                 \
            X(volatile_write4) X(volatile_write8) X(volatile_write16) X(unaligned_read2)           \
                X(unaligned_read4) X(unaligned_read8) X(unaligned_read16) X(unaligned_write2)      \
                    X(unaligned_write4) X(unaligned_write8) X(unaligned_write16)                   \
                        X(unaligned_volatile_read2) X(unaligned_volatile_read4)                    \
                            X(unaligned_volatile_read8) X(unaligned_volatile_read16)               \
                                X(unaligned_volatile_write2) X(unaligned_volatile_write4)          \
                                    X(unaligned_volatile_write8) X(unaligned_volatile_write16)     \
                                        X(read_range) X(write_range) X(vptr_update) X(vptr_read)   \
                                            X(init) X(func_entry) X(func_exit)                     \
                                                X(atomic_signal_fence)
#define ATOMIC_HOOKS_OF(X, bits)                                                                   \
    X(atomic##bits##_load)                                                                         \
    X(atomic##bits##_store)                                                                        \
    X(atomic##bits##_exchange)                                                                     \
    X(atomic##bits##_fetch_add)                                                                    \
    X(atomic##bits##_fetch_sub)                                                                    \
    X(atomic##bits##_fetch_and)                                                                    \
    X(atomic##bits##_fetch_or)                                                                     \
    X(atomic##bits##_fetch_xor) X(atomic##bits##_fetch_nand)                                       \
        X(atomic##bits##_compare_exchange_strong) X(atomic##bits##_compare_exchange_weak)          \
            X(atomic##bits##_compare_exchange_val)
#define ATOMIC_HOOKS(X)                                                                            \
    ATOMIC_HOOKS_OF(X, 8)                                                                          \
    ATOMIC_HOOKS_OF(X, 16)                                                                         \
    ATOMIC_HOOKS_OF(X, 32) ATOMIC_HOOKS_OF(X, 64) ATOMIC_HOOKS_OF(X, 128) X(atomic_thread_fence)
/* clang-format on */

#define DECLARE(name)                                                                              \
    extern const char tsan_##name[] __asm__("__tsan_" #name) __attribute__((weak));
PLAIN_HOOKS(DECLARE)
ATOMIC_HOOKS(DECLARE)
/* Weak: sanitizer builds have no such hook. */
extern const char trace_pc[] __asm__("__sanitizer_cov_trace_pc") __attribute__((weak));
extern const char text_start[] __asm__("__executable_start"), text_end[] __asm__("etext");

enum hook { NO_HOOK, PLAIN_HOOK, ATOMIC_HOOK, TRACE_PC };

struct hook_address {
    uintptr_t address;
    enum hook kind;
    uint16_t values; /* registers that hold what is stored, compared or added */
};

/* Registers by number; the flags are one more. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, FLAGS = 16, REGISTERS };
#define BIT(r) (1U << (r))
enum {
    CALLER_SAVED = BIT(RAX) | BIT(RCX) | BIT(RDX) | BIT(RSI) | BIT(RDI) | BIT(R8) | BIT(R9) |
                   BIT(R10) | BIT(R11) | BIT(FLAGS),
    CALL_READS = BIT(RAX) | BIT(RDI) | BIT(RSI) | BIT(RDX) | BIT(RCX) | BIT(R8) | BIT(R9),
    ALL = BIT(REGISTERS) - 1
};

/* (object, value, order), (object, order) or (object, expected *, value, order, order) */
static uint16_t values_of(const char *name) {
    if (strstr(name, "_load") != NULL || strstr(name, "fence") != NULL)
        return 0;
    if (strstr(name, "exchange_val") != NULL)
        return BIT(RSI) | BIT(RDX);
    return strstr(name, "compare") != NULL ? BIT(RDX) : BIT(RSI);
}

#define PLAIN_ADDRESS(name) {(uintptr_t)tsan_##name, PLAIN_HOOK, 0},
#define ATOMIC_ADDRESS(name) {(uintptr_t)tsan_##name, ATOMIC_HOOK, values_of(#name)},
static struct hook_address hooks[128];
static size_t hook_count;

static int compare_hooks(const void *a, const void *b) {
    const struct hook_address *x = a, *y = b;
    return (x->address > y->address) - (x->address < y->address);
}

static struct hook_address hook_at(uintptr_t address) {
    const struct hook_address key = {address, NO_HOOK, 0};
    const struct hook_address *found =
        bsearch(&key, hooks, hook_count, sizeof *hooks, compare_hooks);
    return found != NULL ? *found : key;
}

static void collect_hooks(void) {
    const struct hook_address all[] = {
        PLAIN_HOOKS(PLAIN_ADDRESS) ATOMIC_HOOKS(ATOMIC_ADDRESS){(uintptr_t)trace_pc, TRACE_PC, 0}};
    _Static_assert(sizeof all <= sizeof hooks, "room for all hooks");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].address != 0)
            hooks[hook_count++] = all[i];
    qsort(hooks, hook_count, sizeof *hooks, compare_hooks);
}

/* ---- decoding ------------------------------------------------------------------------------ */

static ZydisDecoder decoder;

bool sim_block_open(void) {
    if (sim_block_table != NULL)
        return true;
    const uintptr_t start = (uintptr_t)text_start;
    const size_t bytes = (uintptr_t)text_end - start;
    void *table = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED)
        return false;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    collect_hooks();
    sim_block_text = start;
    sim_block_text_bytes = bytes;
    sim_block_table = table;
    sim_block_rounds = sim_block_table + bytes;
    return true;
}

enum { COUNT_MAX = 254, STEPS_MAX = 4096 };

/* General registers by number; -1: none. */
static int general(ZydisRegister r) {
    const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
    return whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15
               ? (int)(whole - ZYDIS_REGISTER_RAX)
               : -1;
}

static uint32_t general_bit(ZydisRegister r) {
    const int number = general(r);
    return number >= 0 ? BIT(number) : 0;
}

/* What the count needs to know of an instruction; registers are sets, flags included. */
struct step {
    bool counts;      /* as the program's own */
    bool call;        /* or a jump to another function */
    bool pure;        /* writes registers and flags only, and does not touch memory */
    bool lea;         /* computes an address */
    enum hook hook;   /* of a call */
    uint32_t reads;   /* what a call reads included */
    uint32_t writes;  /* wholly or in part */
    uint32_t kills;   /* wholly: what was there before is gone */
    uint32_t bases;   /* of `reads`, those that are read only as the plain base of an access */
    uint32_t copy_of; /* a move between general registers: its source */
    unsigned latency; /* cycles from its operands to its result */
};

static bool is_frame(const ZydisDecodedOperand *o) {
    return o->type == ZYDIS_OPERAND_TYPE_MEMORY &&
           (o->mem.base == ZYDIS_REGISTER_RSP || o->mem.base == ZYDIS_REGISTER_RBP) &&
           o->mem.index == ZYDIS_REGISTER_NONE;
}

static bool is_move(ZydisMnemonic m) {
    switch (m) {
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVAPS:
    case ZYDIS_MNEMONIC_MOVAPD:
    case ZYDIS_MNEMONIC_MOVDQA:
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_MOVQ:
    case ZYDIS_MNEMONIC_MOVSD:
        return true;
    default:
        return false;
    }
}

static bool is_register(const ZydisDecodedOperand *o) {
    return o->type == ZYDIS_OPERAND_TYPE_REGISTER;
}

/* `xor r, r` and its like: the old value does not matter. */
static bool is_zeroing(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *o) {
    return (i->mnemonic == ZYDIS_MNEMONIC_XOR || i->mnemonic == ZYDIS_MNEMONIC_SUB) &&
           is_register(&o[0]) && is_register(&o[1]) && o[0].reg.value == o[1].reg.value;
}

/* Latencies that Intel's and AMD's cores of the last ten years have in common (Agner Fog,
 * Instruction tables).  Loads count nothing here: their hooks know what they wait for. */
static unsigned latency_of(ZydisMnemonic m) {
    switch (m) {
    case ZYDIS_MNEMONIC_MOV:
        return 0; /* renamed */
    case ZYDIS_MNEMONIC_IMUL:
    case ZYDIS_MNEMONIC_MUL:
    case ZYDIS_MNEMONIC_MULX:
    case ZYDIS_MNEMONIC_POPCNT:
    case ZYDIS_MNEMONIC_LZCNT:
    case ZYDIS_MNEMONIC_TZCNT:
    case ZYDIS_MNEMONIC_BSF:
    case ZYDIS_MNEMONIC_BSR:
        return 3;
    case ZYDIS_MNEMONIC_DIV:
    case ZYDIS_MNEMONIC_IDIV:
        return 20;
    default:
        return 1;
    }
}

static struct step describe(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *o) {
    struct step s = {.counts = true,
                     .pure = true,
                     .lea = i->mnemonic == ZYDIS_MNEMONIC_LEA,
                     .latency = latency_of(i->mnemonic)};
    uint32_t otherwise = 0; /* read in another way than as a plain base */
    for (unsigned k = 0; k < i->operand_count; k++) {
        const bool writes = (o[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        const bool reads = (o[k].actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
        if (o[k].type == ZYDIS_OPERAND_TYPE_MEMORY) {
            const bool access = o[k].mem.type == ZYDIS_MEMOP_TYPE_MEM;
            const uint32_t base = general_bit(o[k].mem.base), index = general_bit(o[k].mem.index);
            s.pure = s.pure && !access;
            s.reads |= base | index;
            otherwise |= index;
            if (access && index == 0)
                s.bases |= base;
            else
                otherwise |= base;
        } else if (is_register(&o[k])) {
            const uint32_t r = general_bit(o[k].reg.value);
            if (r != 0) {
                s.writes |= writes ? r : 0;
                s.reads |= reads ? r : 0;
                otherwise |= reads ? r : 0;
                /* writing 32 bits clears the others; a conditional move may leave all */
                if ((o[k].actions & ZYDIS_OPERAND_ACTION_WRITE) != 0 && o[k].size >= 32)
                    s.kills |= r;
            } else if (writes && o[k].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
                s.pure = false;
            }
        }
    }
    s.bases &= ~otherwise;
    if (i->cpu_flags != NULL) {
        const ZyanU32 changed = i->cpu_flags->modified | i->cpu_flags->set_0 | i->cpu_flags->set_1 |
                                i->cpu_flags->undefined;
        s.reads |= i->cpu_flags->tested != 0 ? BIT(FLAGS) : 0;
        s.writes |= changed != 0 ? BIT(FLAGS) : 0;
    }
    if (is_zeroing(i, o))
        s.reads = 0;
    if (i->mnemonic == ZYDIS_MNEMONIC_NOP || i->mnemonic == ZYDIS_MNEMONIC_ENDBR64)
        s.counts = s.pure = false;
    if (is_move(i->mnemonic) && i->operand_count >= 2) {
        const bool registers = is_register(&o[0]) && is_register(&o[1]);
        if (is_frame(&o[0]) || is_frame(&o[1]))
            s.counts = false;
        if (registers)
            s.copy_of = general_bit(o[1].reg.value);
    }
    return s;
}

/* Is the address that step[at] computes used for nothing but accesses and hooks (rule 3)? */
static bool only_addresses(const struct step *step, unsigned n, unsigned at) {
    uint32_t holds = step[at].writes & ~BIT(FLAGS);
    for (unsigned k = at + 1; k < n && holds != 0; k++) {
        const struct step *s = &step[k];
        if (s->hook == NO_HOOK && (s->reads & holds & ~s->bases) != 0 && (s->copy_of & holds) == 0)
            return false;
        if (s->hook != NO_HOOK && (s->reads & holds) != 0)
            return false; /* the value of an atomic operation */
        holds = (s->copy_of & holds) != 0 ? holds | (s->writes & ALL) : holds & ~s->writes;
    }
    return true;
}

/* Rules 1 to 3, backwards through the block. */
static void leave_out(struct step *step, unsigned n) {
    uint32_t live = ALL;    /* what is wanted behind the present step by other than hooks */
    uint32_t addresses = 0; /* what hooks are given as an address */
    for (unsigned k = n; k-- > 0;) {
        struct step *s = &step[k];
        if (s->call) {
            if (s->hook == PLAIN_HOOK)
                s->counts = false;
            live = (live & ~(uint32_t)CALLER_SAVED) | s->reads;
            addresses &= ~(uint32_t)CALLER_SAVED;
            addresses |= s->hook != NO_HOOK ? BIT(RDI) : 0;
            continue;
        }
        if (s->pure && s->writes != 0 && (s->writes & live) == 0) {
            s->counts = false;
        } else {
            if (s->lea && (s->writes & addresses) != 0 && only_addresses(step, n, k))
                s->counts = false;
            live = (live & ~s->kills & ~(s->writes & BIT(FLAGS))) | s->reads;
        }
        if ((s->writes & addresses) != 0)
            addresses = (addresses & ~s->writes) | s->copy_of;
    }
}

/* Is there a call that ends at `pc` and goes to trace_pc? */
static bool behind_trace_pc(uintptr_t pc) {
    const uint8_t *call = (const uint8_t *)pc - 5;
    int32_t distance;
    if ((uintptr_t)call < sim_block_text || call[0] != 0xe8)
        return false;
    memcpy(&distance, call + 1, sizeof distance);
    return hook_at(pc + (uintptr_t)(intptr_t)distance).kind == TRACE_PC;
}

/* Decodes the block into `step`; returns its length. */
static unsigned decode(uintptr_t pc, struct step *step) {
    const uintptr_t end = sim_block_text + sim_block_text_bytes;
    unsigned n = 0;
    for (uintptr_t at = pc; n < STEPS_MAX && at < end;) {
        ZydisDecodedInstruction i;
        ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, (const void *)at, end - at, &i, o)))
            break;
        struct step *s = &step[n];
        *s = describe(&i, o);
        const ZydisInstructionCategory kind = i.meta.category;
        if (kind == ZYDIS_CATEGORY_CALL || kind == ZYDIS_CATEGORY_UNCOND_BR) {
            ZyanU64 target = 0; /* a hook may be jumped to, last of all */
            struct hook_address hook = {0, NO_HOOK, 0};
            if (o[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
                ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&i, &o[0], at, &target)))
                hook = hook_at((uintptr_t)target);
            if (hook.kind == TRACE_PC)
                break;
            s->hook = hook.kind;
            s->call = kind == ZYDIS_CATEGORY_CALL || hook.kind != NO_HOOK;
            if (s->call)
                s->reads = hook.kind != NO_HOOK ? hook.values : s->reads | CALL_READS;
        }
        n++;
        at += i.length;
        if (kind == ZYDIS_CATEGORY_RET || kind == ZYDIS_CATEGORY_UNCOND_BR ||
            kind == ZYDIS_CATEGORY_COND_BR)
            break;
    }
    return n;
}

/* By how much the values of a round come later than those of the round before: the longest chain
 * through general registers. */
static unsigned round_of(const struct step *step, unsigned n) {
    enum { ROUNDS = 4 }; /* values may wander through some registers before they come back */
    unsigned known[REGISTERS] = {0}, before[REGISTERS] = {0}, longest = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        memcpy(before, known, sizeof before);
        for (unsigned k = 0; k < n; k++) {
            const struct step *s = &step[k];
            unsigned start = 0;
            for (unsigned r = 0; r < REGISTERS; r++)
                if ((s->reads & BIT(r)) != 0 && known[r] > start)
                    start = known[r];
            const uint32_t writes = s->call ? (uint32_t)CALLER_SAVED : s->writes;
            for (unsigned r = 0; r < REGISTERS; r++)
                if ((writes & BIT(r)) != 0)
                    known[r] = s->call ? 0 : start + (s->counts ? s->latency : 0);
        }
    }
    for (unsigned r = 0; r < REGISTERS; r++)
        if (known[r] > before[r] && known[r] - before[r] > longest)
            longest = known[r] - before[r];
    return longest;
}

unsigned sim_block_decode(uintptr_t pc) {
    static struct step step[STEPS_MAX];
    if (pc - sim_block_text >= sim_block_text_bytes)
        return 0; /* before sim_block_open (constructors), or code of a library */
    if (!behind_trace_pc(pc))
        return 1; /* not kept: this place may be the start of a block of its own */
    const unsigned n = decode(pc, step);
    leave_out(step, n);
    unsigned count = 0;
    for (unsigned k = 0; k < n; k++)
        count += step[k].counts;
    if (count > COUNT_MAX)
        count = COUNT_MAX;
    const unsigned round = round_of(step, n);
    sim_block_rounds[pc - sim_block_text] = (uint8_t)(round < COUNT_MAX ? round : COUNT_MAX);
    sim_block_table[pc - sim_block_text] = (uint8_t)(count + 1);
    return count;
}
