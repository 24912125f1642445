"""proposing normal references."""
