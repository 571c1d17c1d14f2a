/*
 * check_explain.c - see check_explain.h.  Lines come from the debugging information of this very
 * program, through elfutils' libdwfl.
 */
#include "check_explain.h"

#include <stdlib.h>
#include <string.h>

#include <elfutils/libdwfl.h>
#include <unistd.h>

/* ---- places --------------------------------------------------------------------------------- */

static Dwfl *dwfl;

static bool open_places(void) {
    static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_linux_proc_find_elf,
                                             .find_debuginfo = dwfl_standard_find_debuginfo};
    static bool tried;
    if (tried)
        return dwfl != NULL;
    tried = true;
    dwfl = dwfl_begin(&callbacks);
    if (dwfl != NULL &&
        (dwfl_linux_proc_report(dwfl, getpid()) != 0 || dwfl_report_end(dwfl, NULL, NULL) != 0)) {
        dwfl_end(dwfl);
        dwfl = NULL;
    }
    return dwfl != NULL;
}

void check_place(const void *pc, char *text, size_t size) {
    snprintf(text, size, "?");
    if (pc == NULL || !open_places())
        return;
    Dwfl_Line *line = dwfl_getsrc(dwfl, (Dwarf_Addr)(uintptr_t)pc - 1);
    int number = 0;
    const char *file = line != NULL ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) : NULL;
    if (file == NULL)
        return;
    /* The folder tells one engine.c from another. */
    const char *name = strrchr(file, '/');
    while (name != NULL && name > file && name[-1] != '/')
        name--;
    snprintf(text, size, "%s:%d", name != NULL ? name : file, number);
}

extern const char __executable_start[], _end[]; /* of this program: by the linker */

/* Addresses of data by symbol, without what the build has appended; others by object. */
static void address_name(const struct machine_explorer *x, uintptr_t address, char *text,
                         size_t size) {
    GElf_Off offset = 0;
    GElf_Sym symbol;
    /* Data that are zero at first lie behind what is mapped from the file. */
    const uintptr_t start = (uintptr_t)__executable_start;
    const bool ours = address >= start && address < (uintptr_t)_end;
    Dwfl_Module *module = open_places() ? dwfl_addrmodule(dwfl, ours ? start : address) : NULL;
    const char *name =
        module != NULL ? dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL)
                       : NULL;
    if (name == NULL && ours) { /* the same wherever the program was loaded */
        snprintf(text, size, "data+%#lx", (unsigned long)(address - start));
        return;
    }
    if (name == NULL) {
        x->name(address, text, size);
        return;
    }
    const char *end = strstr(name, "__");
    const int length = end != NULL ? (int)(end - name) : (int)strlen(name);
    if (offset != 0)
        snprintf(text, size, "%.*s+%lu", length, name, (unsigned long)offset);
    else
        snprintf(text, size, "%.*s", length, name);
}

/* ---- the story ------------------------------------------------------------------------------ */

struct line {
    unsigned thread;
    uint64_t event;
    struct explore_op op;
    unsigned notes; /* of the history when it happened */
};

struct story {
    const struct machine_explorer *x;
    struct line *line;
    size_t lines, room;
};

static void happened(void *context, unsigned thread, uint64_t event, const struct explore_op *op) {
    struct story *s = context;
    if (op->kind <= EXPLORE_WRITE && op->bytes > 0 && !s->x->is_shared(op->address, op->bytes))
        return;
    if (s->lines == s->room) {
        s->room = s->room == 0 ? 256 : 2 * s->room;
        struct line *larger = realloc(s->line, s->room * sizeof *larger);
        if (larger == NULL)
            abort();
        s->line = larger;
    }
    s->line[s->lines++] = (struct line){thread, event, *op, check_history.notes};
}

static const char *const kind_names[] = {
    [EXPLORE_START] = "starts",
    [EXPLORE_READ] = "load",
    [EXPLORE_WRITE] = "store",
    [EXPLORE_LOCKED] = "locked",
    [EXPLORE_FENCE] = "fence",
    [EXPLORE_PAUSE] = "pause",
    [EXPLORE_WAIT] = "wait",
    [EXPLORE_SLEEP] = "sleep",
    [EXPLORE_WAKE] = "wake",
    [EXPLORE_BARRIER] = "barrier",
    [EXPLORE_TX_BEGIN] = "hardware transaction begins",
    [EXPLORE_TX_COMMIT] = "hardware transaction commits",
    [EXPLORE_TX_ABORT] = "hardware transaction is aborted",
    [EXPLORE_END] = "ends",
};

enum { COLUMN = 46, LINES_MAX = 400 };

static void print_cell(FILE *out, unsigned thread, uint64_t event, const char *text) {
    char label[24] = "";
    if (event > 0)
        snprintf(label, sizeof label, "%lu", (unsigned long)event);
    fprintf(out, "%*s%5s  %s\n", (int)(thread * COLUMN), "", label, text);
}

static void print_notes(FILE *out, unsigned *from, unsigned to) {
    char text[96], marked[128];
    for (; *from < to; ++*from) {
        const struct check_noted *n = &check_history.note[*from];
        if (n->thread >= EXPLORE_THREADS || n->kind == CHECK_INVOKE)
            continue;
        check_note_text(n, text, sizeof text);
        snprintf(marked, sizeof marked, "* %s", text);
        print_cell(out, n->thread, 0, marked);
    }
}

void check_explain(const struct check_subject *subject, const struct check_program *program,
                   struct check_schedule *schedule, FILE *out) {
    struct story story = {.x = subject->explorer};
    struct check_outcome outcome;
    char program_text[256], place[64], address[64], text[192];
    check_replay(subject, program, schedule, &outcome, happened, &story);
    check_program_text(subject->catalogue, program, program_text, sizeof program_text);
    fprintf(out, "%s on %s, %s: %s\n%s\n", subject->text, program_text, subject->tso ? "tso" : "sc",
            check_failure_names[outcome.failure], outcome.why);
    fprintf(out, "\nAccesses to shared memory in order, a column a thread, each with its number "
                 "among all events of its thread;\n* is what the program notes.\n\n");
    for (unsigned t = 0; t < program->threads; t++) {
        char name[16];
        snprintf(name, sizeof name, "T%u", t);
        fprintf(out, "%-*s", COLUMN, name);
    }
    fprintf(out, "\n");
    unsigned noted = 0;
    for (size_t i = 0; i < story.lines; i++) {
        const struct line *l = &story.line[i];
        print_notes(out, &noted, l->notes);
        if (story.lines > LINES_MAX && i >= LINES_MAX / 2 && i < story.lines - LINES_MAX / 2) {
            if (i == LINES_MAX / 2)
                fprintf(out, "... %zu more\n", story.lines - LINES_MAX);
            continue;
        }
        for (unsigned d = 0; d < schedule->deviations; d++) {
            const struct check_deviation *other = &schedule->deviation[d];
            if (other->thread != l->thread || other->event != l->event)
                continue;
            if (other->what == EXPLORE_DRAIN)
                fprintf(out, "%*s-- stores of T%u up to its event %lu reach memory\n", 8, "",
                        other->chosen, (unsigned long)other->detail);
            else if (other->what == EXPLORE_ABORT)
                fprintf(out, "%*s-- the hardware transaction of T%u is aborted, status %#lx\n", 8,
                        "", other->chosen, (unsigned long)other->detail);
        }
        check_place(l->op.pc, place, sizeof place);
        if (l->op.address != 0)
            address_name(subject->explorer, l->op.address, address, sizeof address);
        else
            address[0] = '\0';
        snprintf(text, sizeof text, "%s %s  %s", kind_names[l->op.kind], address,
                 l->op.pc != NULL ? place : "");
        print_cell(out, l->thread, l->event, text);
    }
    print_notes(out, &noted, check_history.notes);
    fprintf(out, "\n%u preemption%s\n", check_preemptions(schedule),
            check_preemptions(schedule) == 1 ? "" : "s");
    free(story.line);
}
