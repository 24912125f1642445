"""backbone pretraining: pretext task + attention drawn to the maps."""
