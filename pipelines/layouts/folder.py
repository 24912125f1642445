"""`folder`: unlabelled images; category = first folder, normal samples in `references` or `good` below it."""

from collections.abc import Iterable

from pipelines.layouts.base import SURFACE, Entry, is_normal, layout
from pipelines.layouts.tree import Tree


@layout(fits=lambda tree: True)
def folder(tree: Tree) -> Iterable[Entry]:
    """Images of `CATEGORY/**`; images directly in the root belong to the category `surface`."""
    for path in tree.images:
        category = path.parts[0] if len(path.parts) > 1 else SURFACE
        within = path.parts[1:-1]
        if len(path.parts) == 2 and is_normal(category):  # ROOT/references/x.jpg beside images in ROOT
            category, within = SURFACE, path.parts[:1]
        yield Entry(str(path), category, normal=any(is_normal(part) for part in within))
