$(call variant,gil,gc,-DGIL_BARRIER_GC)
RACE_FREE += gil gil-gc
