/*
 * run.h - the subcommand `run`: from its options to a plan that is carried out.
 */
#ifndef ALLCORES_RUN_H
#define ALLCORES_RUN_H

/* argv[0] is the subcommand's name.  Returns an exit status (runner.h). */
int run_main(int argc, char **argv);

enum { RUN_WORDS_MAX = 32 };
/* `run` for another subcommand, `where` in messages: count <= RUN_WORDS_MAX words, the first of
 * which is "run"; they stay the caller's.  Returns what run_main does. */
int run_words(const char *where, const char *const *words, int count);

#endif
