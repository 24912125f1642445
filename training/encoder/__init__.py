"""training surface-clip (moved up from pipelines, which knows no training)."""
