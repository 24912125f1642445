"""a detector judged on held-out labels."""
