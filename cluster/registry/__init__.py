"""registered models: look up, register, rank, promote, pull."""
