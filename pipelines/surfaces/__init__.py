"""Procedural photographs of industrial surfaces, with defects and their exact pixel masks."""
