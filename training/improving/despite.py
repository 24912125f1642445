"""What a person may have a loop go on despite of."""

DRIFT, MISSING, MOVED = "drift", "missing", "moved"
DESPITE = (DRIFT, MISSING, MOVED)
