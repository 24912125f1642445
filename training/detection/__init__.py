"""training a detector on boxes: AGDP and finetuning."""
