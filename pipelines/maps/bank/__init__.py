"""The memory bank of any encoder's features: of references, or of the corpus itself."""
