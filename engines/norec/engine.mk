# Every access to shared data is an atomic one, so the thread sanitizer has something to say.
RACE_FREE += norec
# gcc believes that a value from inside of a block may be used behind its second return to the checkpoint,
# as it does for -Wclobbered.  The same sources are compiled with this warning for the other engines.
CELL_FLAGS_norec := -Wno-maybe-uninitialized
