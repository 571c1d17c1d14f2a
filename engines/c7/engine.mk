# Addressing through a base pointer: for sanitizers, and for machines where %gs is not to be had.
$(call variant,c7,plain,-DC7_PLAIN)
# Sanitizers do not know what a %gs access addresses.
NOT_SANITIZED += c7
# Segments are remapped pages, which the simulated machine does not have yet.
NOT_SIMULATED += c7 c7-plain
