"""Which objects of a file are regions to ignore: COCO's crowds and VOC's difficult objects.

COCO marks a group of objects that nobody told apart with `iscrowd: 1`, and its protocol counts no detection
on it. CVAT, Datumaro and V7 write the same mark on every single object whose mask is run lengths.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.annotations.base import AnnotationError
from pipelines.annotations.names import Crowds

FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}
OF_ITS_OWN, IGNORED = (
    "taken as an object of its own",
    "taken as a region where detections are neither right nor wrong",
)


def flag(value: Any, what: str) -> bool:
    """A mark of 0 or 1, as number, truth value or text; nothing is 0.

    Raises:
        AnnotationError: anything else; `what` names it.
    """
    text = _mark(value)
    if text not in FLAGS:
        raise AnnotationError(f"its {what} {str(value)[:20]!r} is neither 0 nor 1")
    return FLAGS[text]


def _mark(value: Any) -> str:
    return "" if value is None else str(int(value)) if value in (0, 1) else str(value).strip().lower()


def has_single_objects(objects: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any of a file's objects says that it is no crowd."""
    return any(FLAGS.get(_mark(item.get("iscrowd"))) is False for item in objects)


def is_tagged(item: Mapping[str, Any]) -> bool:
    """Whether an object has the fields of a tool that writes `iscrowd: 1` on every mask of run lengths.

    CVAT's and Datumaro's objects have `attributes`, V7's `extra`; COCO has neither.
    """
    return any(isinstance(item.get(name), Mapping) for name in ("attributes", "extra"))


def is_crowd(item: Mapping[str, Any], crowds: Crowds, among_objects: bool) -> bool:
    """Whether an object that has `iscrowd: 1` is a crowd.

    By `auto` it is one, unless its mask is run lengths and either the object is tagged or no object of the
    whole file has `iscrowd: 0`: then the mark says how the mask is written.

    Args:
        item: `segmentation` as in the file, `tagged` (see `is_tagged`).
        crowds: what the source's config says.
        among_objects: see `has_single_objects`.
    """
    if crowds != "auto":
        return crowds == "ignored"
    return not isinstance(item.get("segmentation"), Mapping) or (
        among_objects and not item.get("tagged", False)
    )


def assumption(mark: str, ignored: bool) -> str:
    """What was made of a mark that no config decides, for the table of label faults."""
    return f"{mark}: {IGNORED if ignored else OF_ITS_OWN} (the source's key crowds decides)"
