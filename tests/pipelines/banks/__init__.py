"""Tests of the memory bank of any encoder."""
