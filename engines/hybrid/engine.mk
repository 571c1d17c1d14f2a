# As for norec: a value from inside of a block is believed to be used behind its second return to the checkpoint.
CELL_FLAGS_hybrid := -Wno-maybe-uninitialized
