/*
 * plan.c - gives back what a plan owns.  See plan.h.
 */
#include "plan.h"

#include <stdlib.h>

void plan_free(struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->cells[i].name);
        free(plan->cells[i].workload);
        free(plan->cells[i].engine);
    }
    free(plan->cells);
    for (int i = 0; i < plan->argc; i++)
        free(plan->argv[i]);
    free((void *)plan->argv);
    free((void *)plan->out);
    *plan = (struct plan){.cells = NULL};
}
