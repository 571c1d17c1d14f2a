/*
 * list.h - the subcommand `list`: what was compiled into this program, for people and as JSON.
 */
#ifndef ALLCORES_LIST_H
#define ALLCORES_LIST_H

/* argv[0] is the subcommand's name.  Returns an exit status (runner.h). */
int list_main(int argc, char **argv);

#endif
