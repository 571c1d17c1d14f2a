/*
 * suggest.h - "did you mean X?" for names that were mistyped.  Thread-safe, no state.
 */
#ifndef ALLCORES_SUGGEST_H
#define ALLCORES_SUGGEST_H

#include <stddef.h>

/* Edits (insert, delete, replace, swap neighbours; upper and lower case are the same) that turn `a`
 * into `b`: optimal string alignment distance (Boytsov 2011).  Of names longer than 63 bytes only
 * the first 63 are compared. */
unsigned suggest_distance(const char *a, const char *b);

/* The candidate (array ended by NULL) that `word` most likely stands for, or NULL when none is
 * near: a third of the word may be wrong, or the word is the beginning of exactly one candidate. */
const char *suggest_nearest(const char *word, const char *const *candidates);

/*
 * What would be right, as the end of an error line: "did you mean X?" when a candidate is near,
 * otherwise "there are: a, b, c" (cut with "..." where it does not fit).  Returns `text`.
 */
const char *suggest_phrase(const char *word, const char *const *candidates, char *text,
                           size_t text_size);

#endif
