"""Pretext tasks: what a backbone learns beside the anomaly maps."""
