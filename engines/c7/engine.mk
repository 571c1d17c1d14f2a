# Addressing through a base pointer: for sanitizers, and for machines where %gs is not to be had.
$(call variant,c7,plain,-DC7_PLAIN)
# Sanitizers do not know what a %gs access addresses.
NOT_SANITIZED += c7
# One build of it is enough there: two would compile the matrix once more.
NOT_SIMULATED += c7-plain
