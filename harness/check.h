/*
 * check.h - the subcommand `check`: correctness by schedule exploration.
 */
#ifndef ALLCORES_CHECK_H
#define ALLCORES_CHECK_H

/* Returns an exit status (runner.h). */
int check_main(int argc, char **argv);

#endif
