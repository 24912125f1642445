"""The contract of a dataset layout."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipelines.annotations import Annotation
from pipelines.layouts.tree import Tree

NORMAL_NAMES = frozenset({"good", "normal", "ok", "free", "references"})
SURFACE = "surface"  # category of images whose folder names none


@dataclass(frozen=True)
class Entry:
    """One image of a source, before its file is read.

    Attributes:
        path: path relative to the source's root, with `/`.
        category: object category.
        normal: whether the layout says that the image is free of defects (a candidate reference).
        defective: whether the layout says that the image has a defect, though not where.
        labelled: whether the truth is known, from an annotation or because a layout with labels says normal.
        annotation: where the truth is written, paths relative to the source's root.
        fault: why it can't be used, if listing shows that, e.g. an annotation without an image.
    """

    path: str
    category: str
    normal: bool = False
    defective: bool = False
    labelled: bool = False
    annotation: Annotation | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Layout:
    """A named reading of a folder.

    Attributes:
        name: its name in the config.
        fits: whether the files look like this layout, by their names or by the beginning of a few
            (`Tree.samples`, `Tree.json_keys`, `Tree.xml_root`).
        read: function from the files to entries, one a path.
    """

    name: str
    fits: Callable[[Tree], bool]
    read: Callable[[Tree], Iterable[Entry]]


def layout(fits: Callable[[Tree], bool]) -> Callable[[Callable[[Tree], Iterable[Entry]]], Layout]:
    """Make a layout of a reader, by its function's name."""
    return lambda read: Layout(read.__name__, fits, read)


def is_normal(name: str) -> bool:
    """Whether a folder of that name holds normal images."""
    return name.lower() in NORMAL_NAMES


def normal(path: object, category: str) -> Entry:
    """An image whose layout says that it has no defect."""
    return Entry(str(path), category, normal=True, labelled=True)


def annotated(path: object, category: str, annotation: Annotation) -> Entry:
    """An image whose truth is written somewhere."""
    return Entry(str(path), category, labelled=True, annotation=annotation)
