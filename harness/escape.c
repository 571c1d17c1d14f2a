/*
 * escape.c - see escape.h.
 */
#include "escape.h"

#include <string.h>

void put_html(FILE *f, const char *s) {
    for (; *s != '\0'; s++)
        switch (*s) {
        case '&':
            fputs("&amp;", f);
            break;
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        default:
            fputc(*s, f);
        }
}

void put_markdown(FILE *f, const char *s) {
    for (; *s != '\0'; s++) {
        if (strchr("\\|<>*_`[]", *s) != NULL)
            fputc('\\', f);
        fputc(*s, f);
    }
}
