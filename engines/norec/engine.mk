# Every access to shared data is an atomic one, so the thread sanitizer has something to say.
RACE_FREE += norec
