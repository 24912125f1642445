"""semantic, instance and box tasks on crops (for the transfer study)."""
