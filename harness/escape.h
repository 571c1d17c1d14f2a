/*
 * escape.h - text on its way into a page, whatever it says.  Thread-safe as far as the stream is.
 */
#ifndef ALLCORES_ESCAPE_H
#define ALLCORES_ESCAPE_H

#include <stdio.h>

/* HTML, also within double quotes. */
void put_html(FILE *f, const char *s);

/* Markdown: what would end a table's field or start markup gets a backslash. */
void put_markdown(FILE *f, const char *s);

#endif
