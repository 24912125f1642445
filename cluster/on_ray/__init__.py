"""a Ray session and what crosses its processes: attempts, boards, counters, metrics, the patched trainer."""
