"""`folder`: unlabelled images; category = first folder, normal samples in `references` or `good` below it."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.layouts.base import Entry, is_normal, layout


@layout(fits=lambda paths: True)
def folder(paths: list[PurePosixPath]) -> Iterable[Entry]:
    """Images of `CATEGORY/**`; images directly in the root belong to the category `surface`."""
    for path in paths:
        category = path.parts[0] if len(path.parts) > 1 else "surface"
        within = path.parts[1:-1]
        if len(path.parts) == 2 and is_normal(category):  # ROOT/references/x.jpg beside images in ROOT
            category, within = "surface", path.parts[:1]
        yield Entry(str(path), category, normal=any(is_normal(part) for part in within))
