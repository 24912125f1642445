"""which images there are: listed, inspected, split, near-duplicates, checked."""
