# As for norec: a value from inside of a block is believed to be used behind its second return to the checkpoint.
# And where the compiler makes two functions of one, it warns of what a reference might be in either; where it
# inlines much, of indices that never occur.  The same sources are compiled with these warnings for other engines.
CELL_FLAGS_hybrid := -Wno-maybe-uninitialized -Wno-null-dereference -Wno-array-bounds
# Blocks are compiled twice (copies.h): functions become part of that only where they are inlined.
CELL_FLAGS_hybrid += --param=max-inline-insns-single=2000 --param=large-function-insns=50000 --param=inline-unit-growth=400
