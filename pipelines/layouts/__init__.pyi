from .base import Entry, LostLabel
from .catalogue import find_layout
from .names import AUTO, LAYOUT_NAMES
from .published import stated_splits
from .roots import refuse_missing_root
from .tree import LABEL_SUFFIXES, Tree, list_tree

__all__ = [
    "AUTO",
    "LABEL_SUFFIXES",
    "LAYOUT_NAMES",
    "Entry",
    "LostLabel",
    "Tree",
    "find_layout",
    "list_tree",
    "refuse_missing_root",
    "stated_splits",
]
