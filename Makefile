# allcores - build, benchmarks, plots, tests.  `make help` lists the targets.
#
# The matrix is discovered: a file workloads/NAME.c is a workload, a folder engines/NAME with an engine.c
# is an engine, a folder machine/NAME with a machine.c is a machine.  An optional engine.mk or machine.mk
# adds what the engine or machine needs (compiler flags, libraries, variants); no list is edited anywhere.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CC := gcc
CXX := g++
OBJCOPY := objcopy
NM := nm

PREFIX ?= /usr/local
DESTDIR ?=
BENCH ?= default
SIM ?= default

# SAN=address,undefined or SAN=thread builds into a folder of its own.
SAN ?=
comma := ,
B := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))

# Loops and functions begin on a line of their own: where in a line they happen to lie would make one engine half as
# fast as another one with the same instructions.  Under sanitizers nothing is measured, and -O3 takes long.
OPT ?= $(if $(SAN),-O1,-O3 -falign-functions=64 -falign-loops=64)
WARN := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
	-Wvla -Wundef -Wformat=2 -Wnull-dereference -Wno-clobbered
# Optimised less, gcc finds values of a block that would be unset behind a second return to its checkpoint.
WARN += $(if $(findstring -O3,$(OPT)),,-Wno-maybe-uninitialized)
# One compiler and one set of flags for all engines, or a comparison would be confounded.
COMMON_FLAGS := $(OPT) -g -fno-omit-frame-pointer -D_GNU_SOURCE -Iengines -Imachine -Iworkloads
CFLAGS_ALL := -std=gnu17 $(COMMON_FLAGS) $(WARN)
LDLIBS := -lbenchmark -ljansson -lhwloc -ldw -lm -lpthread -lstdc++
LDFLAGS :=
ifneq ($(SAN),)
SAN_FLAGS := -fsanitize=$(SAN) -fno-sanitize-recover=all -Wno-null-dereference
ifneq ($(findstring thread,$(SAN)),)
# Blocks restart by a jump of our own, which the call-stack shadow of TSan would not survive.
SAN_FLAGS += --param tsan-instrument-func-entry-exit=0 -Wno-tsan
endif
CFLAGS_ALL += $(SAN_FLAGS)
LDFLAGS += $(SAN_FLAGS)
else
# Leaving a block by return or break is refused at compile time where the optimiser can see it.
CELL_GUARD := -DTM_GUARD
endif

# ---- the matrix ------------------------------------------------------------------------------

ENGINES := $(patsubst engines/%/engine.c,%,$(sort $(wildcard engines/*/engine.c)))
MACHINES := $(patsubst machine/%/machine.c,%,$(sort $(wildcard machine/*/machine.c)))
WORKLOADS := $(patsubst workloads/%.c,%,$(sort $(wildcard workloads/*.c)))
CONFORMANCE := $(patsubst tests/conformance/%.c,%,$(sort $(wildcard tests/conformance/*.c)))

# A group is one build of an engine: its default build, or a variant that engine.mk declares with
#   $(call variant,ENGINE,NAME,FLAGS)
# What else an engine.mk may set: CELL_FLAGS_<group>, LDLIBS, NOT_SANITIZED, RACE_FREE, NOT_SIMULATED (no
# cells on machine sim).  What a machine.mk may set: CELL_FLAGS_ON_<machine>, HOOKED_ON_<machine> (library
# functions that its cells call as <machine>_NAME), LDLIBS, MACHINES_NOT_SANITIZED (no cells on them in
# sanitizer builds), NOT_SANITIZED_OF_<machine> (its files that are left out there too).
variant = $(eval VARIANTS += $(1)-$(2))$(eval ENGINE_$(1)-$(2) := $(1))$(eval CELL_FLAGS_$(1)-$(2) := $(3))
NOT_SANITIZED :=
RACE_FREE :=
NOT_SIMULATED :=
MACHINES_NOT_SANITIZED :=
VARIANTS :=
include $(wildcard engines/*/engine.mk machine/*/machine.mk)
$(foreach e,$(ENGINES),$(eval ENGINE_$(e) := $(e)))

GROUPS_ALL := $(ENGINES) $(VARIANTS)
ifeq ($(SAN),)
GROUPS := $(GROUPS_ALL)
else ifneq ($(findstring thread,$(SAN)),)
GROUPS := $(filter $(RACE_FREE),$(GROUPS_ALL))
else
GROUPS := $(filter-out $(NOT_SANITIZED),$(GROUPS_ALL))
endif
MACHINE_FILES := $(foreach m,$(MACHINES),$(filter-out $(if $(SAN),$(NOT_SANITIZED_OF_$(m):%=machine/$(m)/%.c)),$(wildcard machine/$(m)/*.c)))
ALL_MACHINES := $(MACHINES)
ifneq ($(SAN),)
MACHINES := $(filter-out $(MACHINES_NOT_SANITIZED),$(MACHINES))
endif
# groups of machine $(1)
groups_on = $(if $(filter sim,$(1)),$(filter-out $(NOT_SIMULATED),$(GROUPS)),$(GROUPS))

# cells of group $(1) on machine $(2): engine sources and workloads
engine_objects = $(patsubst engines/$(ENGINE_$(1))/%.c,$(B)/cells/$(1)__$(2)/engine/%.o,$(wildcard engines/$(ENGINE_$(1))/*.c))
workload_objects = $(patsubst %,$(B)/cells/$(1)__$(2)/workload/%.o,$(WORKLOADS))
conformance_objects = $(patsubst %,$(B)/cells/$(1)__$(2)/conformance/%.o,$(CONFORMANCE))

ENGINE_OBJECTS := $(foreach m,$(MACHINES),$(foreach g,$(call groups_on,$(m)),$(call engine_objects,$(g),$(m))))
WORKLOAD_OBJECTS := $(foreach m,$(MACHINES),$(foreach g,$(call groups_on,$(m)),$(call workload_objects,$(g),$(m))))
# Programs of `allcores check`, on machines that can explore schedules: every harness/check/NAME.c.
CHECKS := $(patsubst harness/check/%.c,%,$(sort $(wildcard harness/check/*.c)))
CHECK_OBJECTS := $(foreach m,$(filter sim,$(MACHINES)),$(foreach g,$(call groups_on,$(m)),$(patsubst %,$(B)/cells/$(g)__$(m)/check/%.o,$(CHECKS))))
CONFORMANCE_OBJECTS := $(foreach m,$(MACHINES),$(foreach g,$(call groups_on,$(m)),$(call conformance_objects,$(g),$(m))))
MACHINE_OBJECTS := $(MACHINE_FILES:%.c=$(B)/%.o)

HARNESS_C := $(patsubst harness/%.c,$(B)/harness/%.o,$(sort $(wildcard harness/*.c)))
HARNESS_CC := $(patsubst harness/%.cc,$(B)/harness/%.o,$(sort $(wildcard harness/*.cc)))
# Named experiments: every harness/experiments/NAME.json is compiled in.
EXPERIMENTS := $(sort $(wildcard harness/experiments/*.json))
# The claims of the talk, likewise.
CLAIMS := $(sort $(wildcard harness/claims/*.json))
HARNESS_OBJECTS := $(HARNESS_C) $(HARNESS_CC) $(B)/harness/buildinfo.o $(B)/experiments.o $(B)/claims.o
HARNESS_LIBRARY := $(filter-out $(B)/harness/main.o,$(HARNESS_OBJECTS))
# Profiles of simulated machines: every machine/profiles/NAME.json is compiled in.
PROFILES := $(filter-out %.schema.json,$(sort $(wildcard machine/profiles/*.json)))
MACHINE_OBJECTS += $(B)/profiles.o

# Linked as objects: an archive would drop those of which only the registry section is wanted.
MATRIX := $(ENGINE_OBJECTS) $(WORKLOAD_OBJECTS) $(CHECK_OBJECTS) $(MACHINE_OBJECTS)

UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(sort $(wildcard tests/unit/test_*.c)))

# ---- targets ---------------------------------------------------------------------------------

.DEFAULT_GOAL := all
.PHONY: all help setup bench sim claims plots test lint install clean test-programs lint-list mutants check-long FORCE

all: $(B)/allcores ## everything

# Targets that build before they run something use all processors, unless -j says otherwise.
PARALLEL = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
BUILD = +@$(MAKE) --no-print-directory $(PARALLEL)

setup: ## install what is missing to build, test and lint (Debian, Ubuntu)
	@scripts/setup

bench: ## the default matrix, plots and report; says where to look
	@scripts/setup --quiet build
	$(BUILD) all
	@scripts/bench '$(BENCH)'

sim: ## the default simulated matrix at 1 to 64 cores, plots and report
	@scripts/setup --quiet build
	$(BUILD) all
	@scripts/sim '$(SIM)'

claims: ## the claims of the talk, judged; CLAIMS_FORM=quick: within 10 minutes
	@scripts/setup --quiet build
	$(BUILD) all
	@scripts/claims $(if $(filter quick,$(CLAIMS_FORM)),--quick)

plots: ## draw the newest results once more
	@scripts/setup --quiet build
	$(BUILD) all
	@scripts/plots

# Sanitizer builds run what runs threads and memory hardest; their engines and workloads are the same sources.
test: ## all tests: unit, conformance, end to end, then under sanitizers
	@scripts/setup --quiet build test
	$(BUILD) test-programs
	$(BUILD) SAN=address,undefined test-programs
	$(BUILD) SAN=thread test-programs
	@tests/run TEST_TIMEOUT_S=1800 $(call programs,build) $(sort $(wildcard tests/e2e/test_*.sh)) \
		ASAN_OPTIONS=abort_on_error=0:detect_stack_use_after_return=0 \
		UBSAN_OPTIONS=print_stacktrace=1 $(call programs,build/san-address-undefined) \
		TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 $(call programs,build/san-thread)

programs = $(patsubst $(B)/%,$(1)/%,$(sort $(UNIT_TESTS)) $(CONFORMANCE_PROGRAM))

lint: ## format and static analysis: clang-format, clang-tidy, cppcheck, shellcheck
	@scripts/setup --quiet build lint
	$(BUILD) lint-list
	@scripts/lint build/lint.list

# A file and its flags a line.  Workloads are read as one engine compiles them; engines that need what only
# gcc has (-fgnu-tm) are left to gcc's own warnings.
LINT_GROUPS := $(foreach g,$(ENGINES),$(if $(findstring -fgnu-tm,$(CELL_FLAGS_$(g))),,$(g)))
LINT_CELL = -DTM_ENGINE=$(1) -DTM_MACHINE=native
lint_line = $(file >>build/lint.list,$(1) $(2))
lint-list: $(B)/flags
	$(file >build/lint.list)
	$(foreach f,$(wildcard harness/*.c tests/unit/*.c tests/*.c),$(call lint_line,$(f),$(CFLAGS_ALL) -Iharness -Itests))
	$(foreach f,$(wildcard harness/*.cc),$(call lint_line,$(f),-std=c++17 $(COMMON_FLAGS) -Wall -Wextra -Iharness))
	$(foreach f,$(wildcard machine/*/*.c),$(call lint_line,$(f),$(CFLAGS_ALL)))
	$(foreach g,$(LINT_GROUPS),$(foreach f,$(wildcard engines/$(g)/*.c),$(call lint_line,$(f),$(CFLAGS_ALL) $(filter-out --param=%,$(CELL_FLAGS_$(g))) $(call LINT_CELL,$(g)))))
	$(foreach f,$(wildcard workloads/*.c tests/conformance/*.c),$(call lint_line,$(f),$(CFLAGS_ALL) $(call LINT_CELL,seq)))
	@sed -i '/^$$/d' build/lint.list

install: all ## copy the program into PREFIX
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/doc/allcores/engines'
	install -m 755 $(B)/allcores '$(DESTDIR)$(PREFIX)/bin/allcores'
	install -m 644 $(wildcard LICENSE README.md harness/results.schema.json machine/profiles/profile.schema.json) '$(DESTDIR)$(PREFIX)/share/doc/allcores'
	$(if $(wildcard engines/README.md),install -m 644 engines/README.md '$(DESTDIR)$(PREFIX)/share/doc/allcores/engines')

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "Variables: BENCH=full | short                 the form of make bench: for publication | a quick look"
	@echo "           SIM=full | short                   the same of make sim"
	@echo "           SAN=address,undefined | thread     a sanitizer build, in build/san-..."
	@echo "           PREFIX=/usr/local DESTDIR=         where make install puts things"


# Programs depend on this file, which changes when a workload, an engine or a library comes or goes: an
# object that is no longer wanted would not be missed otherwise.
LINKED = $(HARNESS_OBJECTS) $(MATRIX) $(CONFORMANCE_OBJECTS) | $(CXX) $(LDFLAGS) $(LDLIBS)
$(B)/linked: FORCE | $(B)/tools
	@mkdir -p $(B)
	@printf '%s\n' '$(LINKED)' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

link = $(CXX) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LDLIBS)
$(B)/allcores: $(HARNESS_OBJECTS) $(MATRIX) $(B)/linked
	$(link)

CONFORMANCE_PROGRAM := $(if $(wildcard tests/conformance.c),$(B)/tests/conformance)
test-programs: $(B)/allcores $(CONFORMANCE_PROGRAM) $(UNIT_TESTS)

$(B)/tests/conformance: $(B)/tests/driver/conformance.o $(HARNESS_LIBRARY) $(MATRIX) $(CONFORMANCE_OBJECTS) $(B)/linked
	$(link) -lcmocka

# For scripts/inflation; no test, so only built when asked for.
$(B)/tests/inflation: $(B)/tests/driver/inflation.o $(HARNESS_LIBRARY) $(MATRIX) $(B)/linked
	$(link)

$(UNIT_TESTS): $(B)/tests/unit/%: $(B)/tests/unit/%.o $(HARNESS_LIBRARY) $(MATRIX) $(B)/linked
	$(link) -lcmocka

# ---- mutants ---------------------------------------------------------------------------------

# Each tests/mutants/GROUP.NAME.patch is a seeded bug in the sources of an engine or container.  Its program
# holds the harness and the patched cells of this group alone (containers and lib/reclaim.h: norec's) on
# machine sim; tests/mutants/run asks `check` to find the bug.
MUTANTS := $(patsubst tests/mutants/%.patch,%,$(sort $(wildcard tests/mutants/*.patch)))
MUTANT_SOURCES := $(wildcard engines/*.h engines/*/*.[ch] machine/*.h workloads/null.c workloads/lib/*.h harness/check/*.[ch])
mutant_group = $(patsubst containers,norec,$(patsubst reclaim,norec,$(firstword $(subst ., ,$(1)))))
# A variant is chosen by an option of its engine, which has to be there for that.
mutant_base = $(if $(filter-out $(ENGINE_$(1)),$(1)),$(call engine_objects,$(ENGINE_$(1)),sim) $(B)/cells/$(ENGINE_$(1))__sim/workload/null.o $(CHECKS:%=$(B)/cells/$(ENGINE_$(1))__sim/check/%.o))
define mutant_rules
$(B)/mutants/$(1)/cells: tests/mutants/$(1).patch tests/mutants/build $(MUTANT_SOURCES) $(call engine_objects,$(2),sim) $(B)/cells/$(2)__sim/workload/null.o $(CHECKS:%=$(B)/cells/$(2)__sim/check/%.o)
	@tests/mutants/build $$< $(2) $(ENGINE_$(2)) $$(@D) $(B)/cells/$(2)__sim '$(HOOKED_ON_sim)' $$(CC) $$(CFLAGS_ALL) -Wno-unused $$(CELL_FLAGS_$(2)) $(CELL_FLAGS_ON_sim) -DTM_ENGINE=$(ENGINE_$(2)) -DTM_MACHINE=sim
	@touch $$@
$(B)/mutants/$(1)/allcores: $(B)/mutants/$(1)/cells $(HARNESS_OBJECTS) $(MACHINE_OBJECTS) $(B)/linked
	@$(CXX) $(LDFLAGS) -o $$@ $(B)/mutants/$(1)/*.o $(call mutant_base,$(2)) $(HARNESS_OBJECTS) $(MACHINE_OBJECTS) $(LDLIBS)
endef
$(foreach m,$(MUTANTS),$(eval $(call mutant_rules,$(m),$(call mutant_group,$(m)))))
mutants: $(MUTANTS:%=$(B)/mutants/%/allcores)

check-long: all ## correctness by schedule exploration, an hour; then all mutants
	@tests/mutants/long

# ---- compilation -----------------------------------------------------------------------------

# Once a build folder: what is missing is told by name before a compiler complains about it.
$(B)/tools: scripts/setup
	@scripts/setup --check --quiet build
	@mkdir -p $(@D) && touch $@

# Objects depend on this file, which changes when the flags do.
$(B)/flags: FORCE | $(B)/tools
	@mkdir -p $(B)
	@printf '%s\n' '$(CC) $(CXX) $(CFLAGS_ALL) | $(foreach g,$(GROUPS),$(g): $(CELL_FLAGS_$(g))) $(foreach m,$(MACHINES),$(m): $(CELL_FLAGS_ON_$(m)) $(HOOKED_ON_$(m)))' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# Compiler, flags and revision, baked into the binary and so into every result.
$(B)/buildinfo.c: FORCE $(B)/flags
	@scripts/buildinfo '$(CC)' '$(CFLAGS_ALL)' '$(SAN)' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# $(call embedded,NAME,PREFIX,FILES): NAME.c changes when a file comes or goes; the object also depends on what
# is in them.
define embedded
$(B)/$(1).c: FORCE scripts/embed | $(B)/tools
	@mkdir -p $$(@D)
	@scripts/embed $(2) $(3) >$$@.new
	@cmp -s $$@.new $$@ && rm $$@.new || mv $$@.new $$@

$(B)/$(1).o: $(B)/$(1).c $(3) $(B)/flags
	$$(CC) $$(CFLAGS_ALL) -c -o $$@ $$<
endef
$(eval $(call embedded,profiles,sim_profile,$(PROFILES)))
$(eval $(call embedded,experiments,experiment,$(EXPERIMENTS)))
$(eval $(call embedded,claims,claim,$(CLAIMS)))

$(B)/harness/buildinfo.o: $(B)/buildinfo.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -Iharness -c -o $@ $<

$(B)/harness/%.o: harness/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -Iharness -MMD -MP -c -o $@ $<

$(B)/harness/%.o: harness/%.cc $(B)/flags
	@mkdir -p $(@D)
	$(CXX) -std=c++17 $(COMMON_FLAGS) $(SAN_FLAGS) -Wall -Wextra -Werror -Iharness -MMD -MP -c -o $@ $<

$(B)/tests/unit/%.o: tests/unit/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -Iharness -Itests -MMD -MP -c -o $@ $<

$(B)/tests/driver/%.o: tests/%.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -Iharness -Itests -MMD -MP -c -o $@ $<

# Symbols of a machine get its name appended, those of a cell its group's and machine's
# (counter_loop__norec__native), so that profiles and stack traces tell them apart and engines need no
# name-spaces of their own.
define machine_rules
$(B)/machine/$(1)/%.o: machine/$(1)/%.c $(B)/flags scripts/qualify
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS_ALL) -MMD -MP -MT $$@ -MF $$(@:.o=.d) -c -o $$@.raw $$<
	scripts/qualify $$@.raw $$@ '' $(1)
endef
$(foreach m,$(ALL_MACHINES),$(eval $(call machine_rules,$(m))))

define cell_compile
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS_ALL) $$(CELL_GUARD) $$(CELL_FLAGS_$(1)) $(CELL_FLAGS_ON_$(2)) -DTM_ENGINE=$(ENGINE_$(1)) -DTM_MACHINE=$(2) -MMD -MP -MT $$@ -MF $$(@:.o=.d) -c -o $$@.raw $$<
	scripts/qualify $$@.raw $$@ $(1) $(2) '$(HOOKED_ON_$(2))'
endef
define cell_rules
$(B)/cells/$(1)__$(2)/engine/%.o: engines/$(ENGINE_$(1))/%.c $(B)/flags scripts/qualify
$(call cell_compile,$(1),$(2))
$(B)/cells/$(1)__$(2)/workload/%.o: workloads/%.c $(B)/flags scripts/qualify
$(call cell_compile,$(1),$(2))
$(B)/cells/$(1)__$(2)/check/%.o: harness/check/%.c $(B)/flags scripts/qualify
$(call cell_compile,$(1),$(2))
$(B)/cells/$(1)__$(2)/conformance/%.o: tests/conformance/%.c $(B)/flags scripts/qualify
$(call cell_compile,$(1),$(2))
endef
$(foreach m,$(MACHINES),$(foreach g,$(call groups_on,$(m)),$(eval $(call cell_rules,$(g),$(m)))))

clean: ## remove what was built
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
