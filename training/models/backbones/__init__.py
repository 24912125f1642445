"""Backbones by name, random or filled; a new library is one adapter file that registers its names."""
