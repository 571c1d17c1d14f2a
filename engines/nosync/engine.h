/*
 * nosync - seq with several threads: "always fast, but you fix the races".
 *
 * Guarantee: none.  Wrong results, crashes and endless loops are its expected outcomes; the harness
 * runs several threads of it in a child process with a time limit and reports the outcome, never a
 * time.
 */
#include "../seq/engine.h"
