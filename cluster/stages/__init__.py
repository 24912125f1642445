"""content-keyed artifacts: claimed, made once, found again."""
