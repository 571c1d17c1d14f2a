/*
 * report.h - from results files to pictures, tables and one page.
 */
#ifndef ALLCORES_REPORT_H
#define ALLCORES_REPORT_H

/*
 * allcores report FILE.json... --out DIR.  argv[0] is "report".  Returns an exit status of
 * runner.h; problems have been told on stderr, one line each.  Either every file of the report is
 * in DIR afterwards, or DIR is as it was.
 */
int report_main(int argc, char **argv);

#endif
