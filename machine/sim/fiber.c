/*
 * fiber.c - stacks, and the switch from one to another.
 *
 * A switch saves what the System V x86-64 ABI calls callee-saved: rbx, rbp, r12 to r15, the stack
 * pointer, and the control words of SSE and x87.  Everything else is dead across a call.
 *
 * Stacks have fixed addresses, so that a simulation does not depend on where the host's kernel puts
 * things, and a guard page below each: overflow is a fault, not damage.
 */
#include "internal.h"

#include <errno.h>
#include <sys/mman.h>

#define STACKS ((char *)SIM_STACKS_START)

__asm__(".text\n"
        ".p2align 4\n"
        ".globl sim_fiber_exchange\n"
        ".type sim_fiber_exchange, @function\n"
        "sim_fiber_exchange:\n" /* (void **save, void *sp, uint64_t returns) */
        "    movq %rdx, %rax\n" SIM_SAVE_REGISTERS "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n" SIM_RESTORE_REGISTERS "    ret\n"
        ".size sim_fiber_exchange, .-sim_fiber_exchange\n"
        ".p2align 4\n"
        ".globl sim_fiber_start\n"
        ".type sim_fiber_start, @function\n"
        "sim_fiber_start:\n" /* the first switch to a fiber returns here */
        "    movq %r12, %rdi\n"
        "    xorl %ebp, %ebp\n" /* the end of the chain of frames */
        "    call *%r13\n"
        "    ud2\n"
        ".size sim_fiber_start, .-sim_fiber_start\n");

void sim_fiber_exchange(void **save, void *sp, uint64_t returns);
extern const char sim_fiber_start[];

static bool mapped;       /* the area of the stacks; for the life of the process */
static unsigned prepared; /* stacks that are accessible: 0 .. prepared-1 */

static bool map_area(void) {
    if (mapped)
        return true;
    const size_t bytes = (size_t)SIM_STACKS * SIM_STACK_BYTES;
    void *p = mmap(STACKS, bytes, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    if (p != STACKS) { /* kernels before 4.17 take the address for a hint */
        munmap(p, bytes);
        errno = EEXIST;
        return false;
    }
    mapped = true;
    return true;
}

bool sim_fiber_area(uintptr_t *start, size_t *bytes) {
    *start = (uintptr_t)STACKS;
    *bytes = (size_t)SIM_STACKS * SIM_STACK_BYTES;
    return map_area();
}

bool sim_fiber_create(struct sim_fiber *fiber, unsigned index, void (*fn)(void *), void *argument) {
    if (!map_area())
        return false;
    if (index >= SIM_STACKS) {
        errno = EAGAIN;
        return false;
    }
    for (; prepared <= index; prepared++) {
        char *base = STACKS + (size_t)prepared * SIM_STACK_BYTES;
        if (mprotect(base + SIM_PAGE, SIM_STACK_BYTES - SIM_PAGE, PROT_READ | PROT_WRITE) != 0)
            return false;
    }
    fiber->low = STACKS + (size_t)index * SIM_STACK_BYTES + SIM_PAGE;
    fiber->high = fiber->low - SIM_PAGE + SIM_STACK_BYTES;
    /* Control words, r15, r14, r13, r12, rbx, rbp, return address; behind the return the stack
     * pointer must be a multiple of 16, as in front of every call. */
    uint64_t *sp = (uint64_t *)(void *)fiber->high - 10;
    uint32_t mxcsr;
    uint16_t control;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(control));
    sp[0] = mxcsr | (uint64_t)control << 32;
    sp[1] = sp[2] = 0;
    sp[3] = (uint64_t)(uintptr_t)fn;
    sp[4] = (uint64_t)(uintptr_t)argument;
    sp[5] = sp[6] = 0;
    sp[7] = (uint64_t)(uintptr_t)sim_fiber_start;
    fiber->sp = sp;
    return true;
}

void sim_fiber_switch(struct sim_fiber *from, const struct sim_fiber *to) {
    sim_fiber_exchange(&from->sp, to->sp, to->returns);
}

void sim_fiber_reset(void) {
    if (prepared > 0)
        (void)madvise(STACKS, (size_t)prepared * SIM_STACK_BYTES, MADV_DONTNEED);
}
