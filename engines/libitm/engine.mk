CELL_FLAGS_libitm := -fgnu-tm
LDLIBS += -litm
# gcc: "transactional memory is not supported with -fsanitize=address"; its runtime is not race-free in
# C11's terms either.
NOT_SANITIZED += libitm
# Its runtime is a binary: nothing in it can be simulated.
NOT_SIMULATED += libitm
