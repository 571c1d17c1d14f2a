/*
 * suggest.c - edit distance and the phrase made of it.  See suggest.h.
 */
#include "suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { COMPARED_MAX = 63 };

static unsigned min2(unsigned a, unsigned b) { return a < b ? a : b; }

static bool same_letter(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

unsigned suggest_distance(const char *a, const char *b) {
    const size_t n = strnlen(a, COMPARED_MAX), m = strnlen(b, COMPARED_MAX);
    unsigned d[COMPARED_MAX + 1][COMPARED_MAX + 1]; /* d[i][j]: first i letters to first j */
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            const unsigned replace = d[i - 1][j - 1] + !same_letter(a[i - 1], b[j - 1]);
            d[i][j] = min2(replace, min2(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                d[i][j] = min2(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[n][m];
}

static const char *only_completion(const char *word, const char *const *candidates) {
    const char *found = NULL;
    for (; word[0] != '\0' && *candidates != NULL; candidates++)
        if (strncasecmp(word, *candidates, strlen(word)) == 0) {
            if (found != NULL)
                return NULL;
            found = *candidates;
        }
    return found;
}

const char *suggest_nearest(const char *word, const char *const *candidates) {
    const char *nearest = only_completion(word, candidates);
    if (nearest != NULL)
        return nearest;
    const size_t length = strlen(word);
    unsigned best = length > COMPARED_MAX ? 0 : (unsigned)(length + 2) / 3;
    for (; *candidates != NULL; candidates++) {
        const unsigned d = suggest_distance(word, *candidates);
        /* All letters wrong is no resemblance, however short the word. */
        if (d < min2((unsigned)length, (unsigned)strlen(*candidates)) &&
            (d < best || (d == best && nearest == NULL))) {
            best = d;
            nearest = *candidates;
        }
    }
    return nearest;
}

const char *suggest_phrase(const char *word, const char *const *candidates, char *text,
                           size_t text_size) {
    const char *nearest = suggest_nearest(word, candidates);
    if (nearest != NULL) {
        snprintf(text, text_size, "did you mean %s?", nearest);
        return text;
    }
    int used = snprintf(text, text_size, "there %s", *candidates == NULL ? "are none" : "are:");
    for (; *candidates != NULL; candidates++) {
        const char *comma = candidates[1] != NULL ? "," : "";
        if ((size_t)used + strlen(*candidates) + sizeof " , ..." > text_size) {
            snprintf(text + used, text_size - (size_t)used, " ...");
            break;
        }
        used += snprintf(text + used, text_size - (size_t)used, " %s%s", *candidates, comma);
    }
    return text;
}
