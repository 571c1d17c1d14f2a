/*
 * probe.h - the pure parts of `machine probe`, for its tests.
 */
#ifndef ALLCORES_PROBE_H
#define ALLCORES_PROBE_H

#include <stdint.h>

enum { PROBE_NAME_SIZE = 48 };

/* The name of a profile that is written to this path: the file's without folder and ending, what is
 * not allowed in names replaced by '-'. */
void probe_name(const char *path, char name[PROBE_NAME_SIZE]);

/* The associativity nearest to `ways` with which a cache of these bytes has a power of two of sets;
 * of two that are as near the lower one; 0 when there is none from 1 to 256. */
unsigned probe_ways(uint64_t bytes, unsigned line, unsigned ways);

#endif
