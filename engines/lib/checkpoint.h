/*
 * checkpoint.h - return to the start of a block: what setjmp does, without what it costs.
 *
 * `__builtin_setjmp` makes gcc keep every local of the function in memory, which the engine would
 * be blamed for.  A call to an assembly routine declared `returns_twice` leaves locals declared
 * inside the block in registers; only values that live across the call go to the stack.  It saves
 * what the System V x86-64 ABI calls callee-saved (rbx, rbp, r12-r15, rsp) and the return address;
 * the x87 and MXCSR control words are not saved, blocks do not change them.
 */
#ifndef ALLCORES_CHECKPOINT_H
#define ALLCORES_CHECKPOINT_H

#include <stdint.h>

struct tm_checkpoint {
    uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};

/* Returns once when called and once more for each tm_checkpoint_resume.  Must be called directly by
 * the function that holds the block (inlining a wrapper around it is not allowed by gcc). */
void tm_checkpoint(struct tm_checkpoint *checkpoint) __attribute__((returns_twice));

/*
 * What an outermost block begins with, loaded behind its tm_checkpoint call.  gcc models a second
 * return as a second call, so it may set variables to constants in front of the call, where a jump
 * does not come by, and use their places on the stack for something else inside of the block (12.2
 * does so with -O1).  Assembly, so that it cannot know these values.
 */
TM_INLINE struct tm_block tm_behind_checkpoint(void) {
#ifdef __clang_analyzer__ /* which would take a block for one that may be skipped */
    return (struct tm_block){.done = 0, .outermost = 1};
#else
    struct tm_block block;
    __asm__ volatile("movl $0, %0\n\tmovl $1, %1" : "=r"(block.done), "=r"(block.outermost));
    return block;
#endif
}

/* Continues behind the tm_checkpoint call that filled `checkpoint`; the frame of its caller must
 * still be live. */
_Noreturn void tm_checkpoint_resume(const struct tm_checkpoint *checkpoint);

/* Put TM_CHECKPOINT_DEFINITION once into the engine's engine.c. */
#define TM_CHECKPOINT_DEFINITION                                                                   \
    __asm__(".text\n"                                                                              \
            ".p2align 4\n"                                                                         \
            ".globl tm_checkpoint\n"                                                               \
            ".type tm_checkpoint, @function\n"                                                     \
            "tm_checkpoint:\n"                                                                     \
            "    movq (%rsp), %rdx\n"                                                              \
            "    leaq 8(%rsp), %rax\n"                                                             \
            "    movq %rbx, 0(%rdi)\n"                                                             \
            "    movq %rbp, 8(%rdi)\n"                                                             \
            "    movq %r12, 16(%rdi)\n"                                                            \
            "    movq %r13, 24(%rdi)\n"                                                            \
            "    movq %r14, 32(%rdi)\n"                                                            \
            "    movq %r15, 40(%rdi)\n"                                                            \
            "    movq %rax, 48(%rdi)\n"                                                            \
            "    movq %rdx, 56(%rdi)\n"                                                            \
            "    ret\n"                                                                            \
            ".size tm_checkpoint, .-tm_checkpoint\n"                                               \
            ".p2align 4\n"                                                                         \
            ".globl tm_checkpoint_jump\n"                                                          \
            ".type tm_checkpoint_jump, @function\n"                                                \
            "tm_checkpoint_jump:\n"                                                                \
            "    movq 0(%rdi), %rbx\n"                                                             \
            "    movq 8(%rdi), %rbp\n"                                                             \
            "    movq 16(%rdi), %r12\n"                                                            \
            "    movq 24(%rdi), %r13\n"                                                            \
            "    movq 32(%rdi), %r14\n"                                                            \
            "    movq 40(%rdi), %r15\n"                                                            \
            "    movq 48(%rdi), %rsp\n"                                                            \
            "    jmp *56(%rdi)\n"                                                                  \
            ".size tm_checkpoint_jump, .-tm_checkpoint_jump\n");                                   \
    _Noreturn void tm_checkpoint_jump(const struct tm_checkpoint *checkpoint);                     \
    void __asan_handle_no_return(void) __attribute__((weak));                                      \
    _Noreturn void tm_checkpoint_resume(const struct tm_checkpoint *checkpoint) {                  \
        if (__asan_handle_no_return) /* the frames between are left without their epilogues */     \
            __asan_handle_no_return();                                                             \
        tm_checkpoint_jump(checkpoint);                                                            \
    }

#endif
