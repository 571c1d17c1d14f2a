# The simulator's front end is gcc's instrumentation of the cells; its runtime is machine/sim/hooks.c, so
# nothing of this is passed to the link.
CELL_FLAGS_ON_sim := -DTM_SIMULATED -mstringop-strategy=libcall -fsanitize=thread -fsanitize-coverage=trace-pc \
	--param tsan-instrument-func-entry-exit=0 --param tsan-distinguish-volatile=1 -Wno-tsan \
	$(addprefix -fno-builtin-,memcpy memmove memset memcmp strlen strcmp)
# Library functions whose accesses must be seen: cells call machine/sim's copies, sim_NAME.
HOOKED_ON_sim := memcpy memmove memset memcmp strlen strcmp
# The thread sanitizer's runtime has the same hooks, and none of them knows fibers.
MACHINES_NOT_SANITIZED += sim
NOT_SANITIZED_OF_sim := machine sched fiber hooks arena pipe pages htm explore
# Instructions per block are decoded from the machine code.
LDLIBS += -lZydis
