/*
 * fatal.h - what only a programmer can get wrong, told in one line before the process stops.
 */
#ifndef ALLCORES_FATAL_H
#define ALLCORES_FATAL_H

#include <stdio.h>
#include <stdlib.h>

#define tm_fatal(...)                                                                              \
    do {                                                                                           \
        fprintf(stderr, "allcores: fatal: " __VA_ARGS__);                                          \
        fputc('\n', stderr);                                                                       \
        abort();                                                                                   \
    } while (0)

#endif
