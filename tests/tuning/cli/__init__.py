"""Tests of tuning.cli."""
