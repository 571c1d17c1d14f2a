RACE_FREE += seq
