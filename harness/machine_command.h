/*
 * machine_command.h - the subcommand `machine`: profiles of simulated machines.
 */
#ifndef ALLCORES_MACHINE_COMMAND_H
#define ALLCORES_MACHINE_COMMAND_H

/* argv[0] is the subcommand's name.  All return an exit status (runner.h). */
int machine_main(int argc, char **argv);

/* The actions behind it; argv[0] is the action's name. */
int machine_show_main(int argc, char **argv);
int machine_probe_main(int argc, char **argv);
int machine_validate_main(int argc, char **argv);

#endif
