/*
 * figure_script.h - pieces of the gnuplot scripts that figures are drawn by, shared by all of them
 * so that they look alike.
 *
 * A script is written from top to bottom: script_open, script_page, labels that belong to the whole
 * page, script_page_end, then for each panel its margins, ranges, ticks, labels and one plot
 * command, script_close.  Positions are shares of the page from its lower left corner.
 */
#ifndef ALLCORES_FIGURE_SCRIPT_H
#define ALLCORES_FIGURE_SCRIPT_H

#include <stdbool.h>
#include <stdio.h>

enum {
    SCRIPT_WIDTH_PX = 1600,
    SCRIPT_HEIGHT_PX = 900,
    SCRIPT_TEXT_PX = 24,
    SCRIPT_SMALL_PX = 20,
    SCRIPT_TITLE_PX = 36
};
#define SCRIPT_FONT "sans-serif"

/* FIGURE.gp in the folder; *name is its name, for script_close to free.  NULL and false when one
 * line on stderr has said why not. */
FILE *script_open(const char *figure, const char *folder, char **name);
bool script_close(FILE *f, const char *folder, char *name);

/* Opens the page: title above, a line on how to read it, the machine below (a simulated one above).
 */
void script_page(FILE *f, const char *title, const char *reading, const char *machine,
                 bool simulated);
/* Draws what was set so far, then clears it for the next panel. */
void script_page_end(FILE *f);

/* A double-quoted string of gnuplot, whatever is in it. */
void script_string(FILE *f, const char *s);
/* `system`: of the coordinates, "screen" or "first"; `align`: left, center or right. */
void script_label(FILE *f, const char *text, const char *system, double x, double y,
                  const char *align, int size_px, const char *colour, bool bold);
void script_margins(FILE *f, double left, double right, double bottom, double top);
/* Ticks of an axis at 1, 2, 5 times the powers of ten (only the powers when there are many).
 * `room`: about how many there may be. */
void script_ticks(FILE *f, const char *axis, double low, double high, bool logarithmic,
                  double room);

/* Ticks at these values. */
void script_ticks_at(FILE *f, const char *axis, const double *tick, unsigned ticks);
/* A text across the page at the foot, in two lines where one would be too small to read.  `y`: of
 * its last line. */
void script_paragraph(FILE *f, const char *text, double y);

/* What an axis has to show; empty at first. */
struct script_range {
    double low, high;
    bool logarithmic; /* for who draws it */
    bool any;         /* there was a value */
};
void script_include(struct script_range *range, double value);

/* About how much of the page's width a text takes. */
double script_text_width(const char *text, int size_px);
/* The largest size up to `size_px` at which the text fits into a share of the page's width. */
int script_fit(const char *text, int size_px, double width);

#endif
