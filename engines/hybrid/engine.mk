# As for norec: a value from inside of a block is believed to be used behind its second return to the checkpoint.
# And where the compiler makes two functions of one, it warns of what a reference might be in either.
CELL_FLAGS_hybrid := -Wno-maybe-uninitialized -Wno-null-dereference
