/*
 * gs.h - the base of %gs of the host's calling thread: WRGSBASE where Linux lets programs use it
 * (FSGSBASE, Intel SDM vol. 2), otherwise arch_prctl(2).  For machines; engines call
 * machine_set_gs.
 */
#ifndef ALLCORES_MACHINE_GS_H
#define ALLCORES_MACHINE_GS_H

#include <asm/prctl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux has enabled the instructions for user code.  A look at what the kernel told the process. */
static inline bool gs_has_fsgsbase(void) {
    enum { HWCAP2_FSGSBASE_BIT = 2 };
    return (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT) != 0;
}

__attribute__((target("fsgsbase"))) static inline void gs_write_base(uintptr_t base) {
    __builtin_ia32_wrgsbase64(base);
}

/* `fsgsbase`: what gs_has_fsgsbase says.  False: neither way works. */
static inline bool gs_set_base(uintptr_t base, bool fsgsbase) {
    if (!fsgsbase)
        return syscall(SYS_arch_prctl, ARCH_SET_GS, base) == 0;
    gs_write_base(base);
    return true;
}

#endif
