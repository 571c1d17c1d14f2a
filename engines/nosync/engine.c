/*
 * nosync - the rare half is that of seq, under another name.
 */
#define SEQ_NAME "nosync"
#define SEQ_MAX_THREADS 1024
#define SEQ_UNSAFE true
#define SEQ_HELP                                                                                   \
    "no synchronisation, several threads: its failed verifications are counted, its times not"
#define SEQ_STANDS_FOR "plain threads: always fast, and the races are yours"
#include "../seq/engine.c"
