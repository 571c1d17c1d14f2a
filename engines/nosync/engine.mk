# Races are what it is for.
NOT_SANITIZED += nosync
