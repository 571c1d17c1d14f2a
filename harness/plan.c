/*
 * plan.c - what can be asked of a plan, and giving back what it owns.  See plan.h.
 */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

const char *plan_cell_place(const struct plan_cell *cell) {
    return cell->place != NULL ? cell->place : cell->machine->name;
}

const char *plan_cell_profile(const struct plan_cell *cell) {
    const char *colon = cell->place != NULL ? strchr(cell->place, ':') : NULL;
    return colon != NULL ? colon + 1 : NULL;
}

static bool has_machine(const struct plan *plan, bool simulated) {
    for (size_t i = 0; i < plan->count; i++)
        if (plan->cells[i].machine->simulated == simulated)
            return true;
    return false;
}

bool plan_simulates(const struct plan *plan) { return has_machine(plan, true); }
bool plan_measures(const struct plan *plan) { return has_machine(plan, false); }

void plan_free(struct plan *plan) {
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->cells[i].name);
        free(plan->cells[i].workload);
        free(plan->cells[i].engine);
        free(plan->cells[i].place);
        for (size_t k = 0;
             plan->cells[i].own_overrides != NULL && k < plan->cells[i].override_count; k++)
            free(plan->cells[i].own_overrides[k]);
        free((void *)plan->cells[i].own_overrides);
    }
    for (size_t i = 0; i < plan->override_count; i++)
        free(plan->overrides[i]);
    free((void *)plan->overrides);
    free(plan->cells);
    for (int i = 0; i < plan->argc; i++)
        free(plan->argv[i]);
    free((void *)plan->argv);
    free((void *)plan->out);
    json_decref(plan->experiment);
    *plan = (struct plan){.cells = NULL};
}
