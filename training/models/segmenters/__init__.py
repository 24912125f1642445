"""Segmenters by name; a new library is one adapter file that registers its names."""
