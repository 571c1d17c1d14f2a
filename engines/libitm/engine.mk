CELL_FLAGS_libitm := -fgnu-tm
LDLIBS += -litm
