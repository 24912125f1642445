from .base import Entry, LostLabel
from .catalogue import find_layout
from .files import Files
from .names import AUTO, LAYOUT_NAMES, check_layout
from .published import stated_splits
from .roots import refuse_missing_root
from .tree import LABEL_SUFFIXES, Tree, foreign_text, list_tree

__all__ = [
    "AUTO",
    "LABEL_SUFFIXES",
    "LAYOUT_NAMES",
    "Entry",
    "Files",
    "LostLabel",
    "Tree",
    "check_layout",
    "find_layout",
    "foreign_text",
    "list_tree",
    "refuse_missing_root",
    "stated_splits",
]
