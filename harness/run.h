/*
 * run.h - the subcommand `run`: from its options to a plan that is carried out.
 */
#ifndef ALLCORES_RUN_H
#define ALLCORES_RUN_H

/* argv[0] is the subcommand's name.  Returns an exit status (runner.h). */
int run_main(int argc, char **argv);

#endif
