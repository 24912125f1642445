from .base import Entry
from .catalogue import find_layout
from .names import AUTO, LAYOUT_NAMES
from .tree import Tree, list_tree

__all__ = ["AUTO", "LAYOUT_NAMES", "Entry", "Tree", "find_layout", "list_tree"]
