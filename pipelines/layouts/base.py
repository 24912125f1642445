"""The contract of a dataset layout."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipelines.annotations import Annotation
from pipelines.layouts.tree import Tree

NORMAL_NAMES = frozenset({"good", "normal", "ok", "free", "references"})
NO_IMAGE = "it is the mask of no image here"
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
        doubt: why it is left unlabelled though nothing is listed for it, see `doubt_of`.
        published: the splits (`train`, `val`, `test`) that the data set's own files name it for: as its table
            says, or see `stated_splits`; empty where none does, or where nobody asked.
    """

    path: str
    category: str
    normal: bool = False
    defective: bool = False
    labelled: bool = False
    annotation: Annotation | None = None
    fault: str | None = None
    doubt: str | None = None
    published: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LostLabel:
    """A label that can be given to no image here: a table's row of an unknown image, a mask without image.

    Attributes:
        file: path of the file that holds it, relative to the source's root.
        reason: what is wrong with it, with its place where the file has no lines.
        line: its line, counted from 1; None where the file has no lines.
    """

    file: str
    reason: str
    line: int | None = None


@dataclass(frozen=True)
class Layout:
    """A named reading of a folder.

    Attributes:
        name: its name in the config.
        fits: whether the files look like this layout, by their names or by the beginning of a few
            (`Tree.samples`, `Tree.json_keys`, `Tree.xml_root`).
        read: function from the files to entries, one a path, and to the labels that belong to none of them.
    """

    name: str
    fits: Callable[[Tree], bool]
    read: Callable[[Tree], Iterable[Entry | LostLabel]]


def layout(
    fits: Callable[[Tree], bool],
) -> Callable[[Callable[[Tree], Iterable[Entry | LostLabel]]], Layout]:
    """Make a layout of a reader, by its function's name."""
    return lambda read: Layout(read.__name__, fits, read)


def is_normal(name: str) -> bool:
    """Whether a folder of that name holds normal images."""
    return name.lower() in NORMAL_NAMES


def normal(path: object, category: str) -> Entry:
    """An image whose layout says that it has no defect."""
    return Entry(str(path), category, normal=True, labelled=True)


def unmarked(path: object, category: str) -> Entry:
    """An image that lies among the defects without the mask or boxes that the others have: unlabelled."""
    doubt = "it lies among the images with defects, but nothing marks where its own is"
    return Entry(str(path), category, defective=True, doubt=doubt)


def doubt_of(where: str, lost: Sequence[object]) -> str | None:
    """Why nothing listed for an image does not make it normal; None where no label is lost.

    Nobody can tell whose label a lost one is, so it may be that of any image for which nothing is listed.

    Args:
        where: the table, or the folder of masks, by URI.
        lost: its labels that can be given to no image.
    """
    if not lost:
        return None
    labels = "1 label that belongs" if len(lost) == 1 else f"{len(lost)} labels that belong"
    return f"nothing is listed for it, but {where} holds {labels} to no image here: one may be its own"


def normal_unless(doubt: str | None, path: object, category: str) -> Entry:
    """An image for which nothing is listed: normal where nothing speaks against it, else unlabelled."""
    return normal(path, category) if doubt is None else Entry(str(path), category, doubt=doubt)


def annotated(path: object, category: str, annotation: Annotation) -> Entry:
    """An image whose truth is written somewhere."""
    return Entry(str(path), category, labelled=True, annotation=annotation)
