/*
 * block.c - instructions per basic block, decoded from the instrumented machine code with Zydis.
 *
 * gcc's hooks make the code longer than the program: a call needs its arguments in registers, and
 * it clobbers others.  What is not the program's own is left out by these rules, the same for all
 * engines and workloads:
 *  - calls of hooks, except that a call for an atomic operation is that operation: one instruction;
 *  - what a register that passes an argument to a hook was last set by (moves, address and other
 *    arithmetic without access to memory): the register is dead behind the call, so nobody else
 *    wanted the value;
 *  - moves between registers, and between registers and the stack frame: calls force values into
 *    registers that survive them, or to the stack;
 *  - no-operations and branch targets (nop, endbr).
 * Moves that the native code has too are left out with them, and registers that calls keep from
 * being used can make arithmetic be done twice, so a block can come out too short or too long.
 *
 * Why Zydis: it decodes into a plain structure without allocation, several times as fast as
 * capstone, and says for each operand whether it is read or written.
 */
#include "block.h"

#include <Zydis/Zydis.h>

#include <stdlib.h>
#include <sys/mman.h>

uint8_t *sim_block_table;
uintptr_t sim_block_text;
size_t sim_block_text_bytes;

/* ---- hooks --------------------------------------------------------------------------------- */

/* Every name that gcc 12 may call (gcc/sanitizer.def).  Weak: not all have to be there. */
#define PLAIN_HOOKS(X)                                                                             \
    X(read1)                                                                                       \
    X(read2)                                                                                       \
    X(read4) X(read8) X(read16) X(write1) X(write2) X(write4) X(write8) X(write16)                 \
        X(volatile_read1) X(volatile_read2) X(volatile_read4) X(volatile_read8) X(volatile_read16) \
            X(volatile_write1) X(volatile_write2) X(volatile_write4) X(volatile_write8)            \
                X(volatile_write16) X(unaligned_read2) X(unaligned_read4) X(unaligned_read8)       \
                    X(unaligned_read16) X(unaligned_write2) X(unaligned_write4)                    \
                        X(unaligned_write8) X(unaligned_write16) X(unaligned_volatile_read2)       \
                            X(unaligned_volatile_read4) X(unaligned_volatile_read8)                \
                                X(unaligned_volatile_read16) X(unaligned_volatile_write2)          \
                                    X(unaligned_volatile_write4) X(unaligned_volatile_write8)      \
                                        X(unaligned_volatile_write16) X(read_range) X(write_range) \
                                            X(vptr_update) X(vptr_read) X(init) X(func_entry)      \
                                                X(func_exit) X(atomic_signal_fence)
#define ATOMIC_HOOKS_OF(X, bits)                                                                   \
    X(atomic##bits##_load)                                                                         \
    X(atomic##bits##_store)                                                                        \
    X(atomic##bits##_exchange) X(atomic##bits##_fetch_add) X(atomic##bits##_fetch_sub)             \
        X(atomic##bits##_fetch_and) X(atomic##bits##_fetch_or) X(atomic##bits##_fetch_xor)         \
            X(atomic##bits##_fetch_nand) X(atomic##bits##_compare_exchange_strong)                 \
                X(atomic##bits##_compare_exchange_weak) X(atomic##bits##_compare_exchange_val)
#define ATOMIC_HOOKS(X)                                                                            \
    ATOMIC_HOOKS_OF(X, 8)                                                                          \
    ATOMIC_HOOKS_OF(X, 16)                                                                         \
    ATOMIC_HOOKS_OF(X, 32) ATOMIC_HOOKS_OF(X, 64) ATOMIC_HOOKS_OF(X, 128) X(atomic_thread_fence)

#define DECLARE(name)                                                                              \
    extern const char tsan_##name[] __asm__("__tsan_" #name) __attribute__((weak));
PLAIN_HOOKS(DECLARE)
ATOMIC_HOOKS(DECLARE)
extern const char trace_pc[] __asm__("__sanitizer_cov_trace_pc");
extern const char text_start[] __asm__("__executable_start"), text_end[] __asm__("etext");

enum hook { NO_HOOK, PLAIN_HOOK, ATOMIC_HOOK, TRACE_PC };

struct hook_address {
    uintptr_t address;
    enum hook kind;
};

#define PLAIN_ADDRESS(name) {(uintptr_t)tsan_##name, PLAIN_HOOK},
#define ATOMIC_ADDRESS(name) {(uintptr_t)tsan_##name, ATOMIC_HOOK},
static struct hook_address hooks[128];
static size_t hook_count;

static int compare_hooks(const void *a, const void *b) {
    const struct hook_address *x = a, *y = b;
    return (x->address > y->address) - (x->address < y->address);
}

static enum hook hook_at(uintptr_t address) {
    const struct hook_address key = {address, NO_HOOK};
    const struct hook_address *found =
        bsearch(&key, hooks, hook_count, sizeof *hooks, compare_hooks);
    return found != NULL ? found->kind : NO_HOOK;
}

static void collect_hooks(void) {
    const struct hook_address all[] = {
        PLAIN_HOOKS(PLAIN_ADDRESS) ATOMIC_HOOKS(ATOMIC_ADDRESS){(uintptr_t)trace_pc, TRACE_PC}};
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
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED)
        return false;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    collect_hooks();
    sim_block_text = start;
    sim_block_text_bytes = bytes;
    sim_block_table = table;
    return true;
}

enum { BLOCK_MAX = 254, REGISTERS = 16 };

/* General registers by number; -1: none. */
static int general(ZydisRegister r) {
    const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
    return whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15
               ? (int)(whole - ZYDIS_REGISTER_RAX)
               : -1;
}

/* rdi, rsi, rdx, rcx, r8: what hooks get their arguments in (System V ABI, x86-64). */
static const unsigned argument_registers = 1U << (ZYDIS_REGISTER_RDI - ZYDIS_REGISTER_RAX) |
                                           1U << (ZYDIS_REGISTER_RSI - ZYDIS_REGISTER_RAX) |
                                           1U << (ZYDIS_REGISTER_RDX - ZYDIS_REGISTER_RAX) |
                                           1U << (ZYDIS_REGISTER_RCX - ZYDIS_REGISTER_RAX) |
                                           1U << (ZYDIS_REGISTER_R8 - ZYDIS_REGISTER_RAX);

/* What the count needs to know of an instruction. */
struct step {
    bool counts; /* as the program's own, as far as it alone tells */
    bool call;
    bool hook;              /* a call of a hook */
    bool pure;              /* writes general registers and flags only, and reads no memory */
    uint16_t reads, writes; /* general registers */
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

static struct step describe(const ZydisDecodedInstruction *i, const ZydisDecodedOperand *o) {
    struct step s = {.counts = true, .pure = true};
    for (unsigned k = 0; k < i->operand_count; k++) {
        const bool writes = (o[k].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
        const bool reads = (o[k].actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
        if (o[k].type == ZYDIS_OPERAND_TYPE_MEMORY) {
            if (o[k].mem.type == ZYDIS_MEMOP_TYPE_MEM)
                s.pure = false;
            const int base = general(o[k].mem.base), index = general(o[k].mem.index);
            s.reads |= (uint16_t)((base >= 0 ? 1U << base : 0) | (index >= 0 ? 1U << index : 0));
        } else if (o[k].type == ZYDIS_OPERAND_TYPE_REGISTER) {
            const int r = general(o[k].reg.value);
            if (r >= 0) {
                s.writes |= (uint16_t)(writes ? 1U << r : 0);
                s.reads |= (uint16_t)(reads ? 1U << r : 0);
            } else if (writes && o[k].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
                s.pure = false;
            }
        }
    }
    if (i->mnemonic == ZYDIS_MNEMONIC_NOP || i->mnemonic == ZYDIS_MNEMONIC_ENDBR64)
        s.counts = false;
    if (is_move(i->mnemonic) && i->operand_count >= 2) {
        const bool registers =
            o[0].type == ZYDIS_OPERAND_TYPE_REGISTER && o[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
        if (registers || is_frame(&o[0]) || is_frame(&o[1]))
            s.counts = false;
    }
    return s;
}

/* Leaves out what only feeds the hook call at `call`. */
static void leave_out_arguments(struct step *step, unsigned call) {
    unsigned wanted = argument_registers;
    for (unsigned i = call; i-- > 0 && wanted != 0;) {
        if (step[i].call)
            break;
        const unsigned hit = step[i].writes & wanted;
        if (hit != 0 && step[i].pure && step[i].writes == hit) {
            step[i].counts = false;
            if ((step[i].reads & hit) == 0)
                wanted &= ~hit; /* set anew here: what it held before is another value */
        } else {
            wanted &= ~(unsigned)(step[i].writes | step[i].reads); /* the program's own value */
        }
    }
}

unsigned sim_block_decode(uintptr_t pc) {
    static struct step step[BLOCK_MAX];
    if (pc < sim_block_text || pc >= sim_block_text + sim_block_text_bytes)
        return 0; /* before sim_block_open (constructors), or code of a library */
    const uintptr_t end = sim_block_text + sim_block_text_bytes;
    unsigned n = 0;
    for (uintptr_t at = pc; n < BLOCK_MAX;) {
        ZydisDecodedInstruction i;
        ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
        if (at >= end ||
            !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, (const void *)at, end - at, &i, o)))
            break;
        step[n] = describe(&i, o);
        bool last = i.meta.category == ZYDIS_CATEGORY_RET ||
                    i.meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
                    i.meta.category == ZYDIS_CATEGORY_COND_BR;
        if (i.meta.category == ZYDIS_CATEGORY_CALL ||
            i.meta.category == ZYDIS_CATEGORY_UNCOND_BR) { /* a hook may be called last of all */
            ZyanU64 target = 0;
            enum hook hook = NO_HOOK;
            if (o[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
                ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&i, &o[0], at, &target)))
                hook = hook_at((uintptr_t)target);
            if (hook == TRACE_PC)
                break;
            step[n].call = i.meta.category == ZYDIS_CATEGORY_CALL;
            step[n].hook = hook != NO_HOOK;
            if (hook == PLAIN_HOOK)
                step[n].counts = false;
            if (hook != NO_HOOK)
                leave_out_arguments(step, n);
        }
        n++;
        at += i.length;
        if (last)
            break;
    }
    unsigned count = 0;
    for (unsigned k = 0; k < n; k++)
        count += step[k].counts;
    sim_block_table[pc - sim_block_text] = (uint8_t)(count + 1);
    return count;
}
