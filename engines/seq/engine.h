/*
 * seq - no synchronisation at all: the limit, and the template for a new engine.
 *
 * Guarantee: none beyond what one thread has by itself.  Barriers are the plain loads and stores of
 * the program; a block is just a block that is counted.  Every slowdown in the results is relative
 * to this engine, so nothing may be added here that the sequential program would not do.
 */
#ifndef ALLCORES_SEQ_ENGINE_H
#define ALLCORES_SEQ_ENGINE_H

#include "../lib/checkpoint.h"

struct tm_thread {
    struct tm_common common;
    struct tm_checkpoint checkpoint; /* used in files with TM_RESTARTS only */
};

#define TM_SEG     /* references are plain pointers */
#define TM_FN      /* functions need no other code inside of blocks */
#define TM_PURE_FN /* likewise */
#define TM_HEADER                                                                                  \
    struct {                                                                                       \
    } tm_header

#define TM_READ(ref, lvalue) (lvalue)
#define TM_WRITE(ref, lvalue, v) ((void)((lvalue) = (v)))
#define TM_READ_AT(ref, field, i) ((ref)->field[i])
#define TM_WRITE_AT(ref, field, i, v) ((void)((ref)->field[i] = (v)))
#define TM_PLAIN(lvalue) (lvalue)

TM_INLINE struct tm_block tm_begin(struct tm_thread *self) {
    const struct tm_block block = {.outermost = self->common.depth == 0};
    self->common.depth = 1;
    return block;
}

TM_INLINE int tm_end(struct tm_thread *self, const struct tm_block *block) {
    if (block->outermost) {
        self->common.depth = 0;
        self->common.stats.commits++;
    }
    return 1;
}

#if defined(TM_RESTARTS)
#define TM_ATOMIC(self_)                                                                           \
    for (TM_BLOCK = ({                                                                             \
             struct tm_block tm_begun_ = tm_begin(self_);                                          \
             if (tm_begun_.outermost) {                                                            \
                 tm_checkpoint(&(self_)->checkpoint);                                              \
                 tm_begun_ = tm_behind_checkpoint();                                               \
             }                                                                                     \
             tm_begun_;                                                                            \
         });                                                                                       \
         !tm_block_.done; tm_block_.done = tm_end(self_, &tm_block_))
#else
#define TM_ATOMIC(self_)                                                                           \
    for (TM_BLOCK = tm_begin(self_); !tm_block_.done; tm_block_.done = tm_end(self_, &tm_block_))
#endif

void *tm_alloc(struct tm_thread *self, size_t bytes);
void tm_release(struct tm_thread *self, void *object);
_Noreturn void tm_block_retry(struct tm_thread *self);
_Noreturn void tm_block_restart(struct tm_thread *self);

TM_INLINE void tm_irrevocable(struct tm_thread *self) { self->common.stats.irrevocable++; }
TM_INLINE void tm_safepoint(TM_SELF) {}
TM_INLINE bool tm_should_break(TM_SELF) { return false; }
TM_INLINE void tm_blocking_enter(TM_SELF) {}
TM_INLINE void tm_blocking_leave(TM_SELF) {}

#endif
