/*
 * validate.h - what the two kinds of `machine validate` share: the comparison of cells
 * (validate.c), and the kernels of hardware transactions (validate_htm.c).
 */
#ifndef ALLCORES_VALIDATE_H
#define ALLCORES_VALIDATE_H

#include <stdbool.h>

#define VALIDATE_HTM_PROFILE "i7-4770"

/* Runs the kernels on the profile (NULL: VALIDATE_HTM_PROFILE), prints the tables, and writes them
 * to `out` and beside it.  Returns the exit status; one line on stderr unless it is 0. */
int validate_htm(const char *profile, const char *out);

/*
 * `write` makes v.gp, v.svg, v.png, v.md and v.json in a folder; they are then renamed to what is
 * beside `out`, which the JSON becomes, last.  False when one line on stderr has said why not.
 */
bool validate_write(const char *out, bool (*write)(const void *context, const char *folder),
                    const void *context);

#endif
