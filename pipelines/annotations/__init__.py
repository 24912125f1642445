"""Annotation formats, one file each: from what is written of an image to boxes and a mask."""
