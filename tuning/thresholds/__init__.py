"""thresholds tried on stored maps."""
