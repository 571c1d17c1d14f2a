/*
 * copies.h - a block of engine hybrid, compiled twice, as compilers for transactional memory do.
 *
 * One pass through four loops, the outer two and the inner one as norec's.  Only a software block
 * has a checkpoint.  The third loop makes the copies, one for hardware and one for software, of
 * which one runs: it is unrolled, and then the low bit of `self` is known in each.  A break out of
 * a block is found when another engine compiles it.
 *
 * Where a block begins within another one of the same function gcc unrolls nothing, because the
 * inner block's checkpoint is a second way into the outer loop; accesses then ask.
 */
#ifndef ALLCORES_HYBRID_COPIES_H
#define ALLCORES_HYBRID_COPIES_H

/* gcc warns of a loop that it does not unroll as asked, and has no switch for that. */
#pragma GCC system_header

#define TM_ATOMIC(self_)                                                                           \
    for (struct tm_thread *tm_self_ =                                                              \
             (TM_THREAD(self_)->common.depth++ == 0 && !tm_start_hardware(TM_THREAD(self_))        \
                  ? (tm_checkpoint(&TM_THREAD(self_)->checkpoint),                                 \
                     tm_hybrid_software(TM_THREAD(self_)))                                         \
                  : (void)0,                                                                       \
              tm_same(tm_started(TM_THREAD(self_))));                                              \
         tm_self_ != NULL; tm_self_ = NULL)                                                        \
        for (TM_BLOCK = {0, 0}; !tm_block_.done;                                                   \
             tm_block_.done ? (void)0 : __builtin_unreachable())                                   \
    _Pragma("GCC unroll 2") for (unsigned tm_copy_ = 0; tm_copy_ < 2;                              \
                                 tm_copy_++) for (struct tm_thread *self =                         \
                                                      tm_copied(tm_self_, tm_copy_);               \
                                                  (tm_copy_ == 1 || !tm_in_software(tm_self_)) &&  \
                                                  !tm_block_.done;                                 \
                                                  tm_block_.done = tm_end(self))

#endif
