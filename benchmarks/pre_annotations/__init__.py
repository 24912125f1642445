"""Pseudo-boxes written for a labelling tool, corrected there, and read back."""
