"""pseudo-boxes of maps: method, stage, exports."""
