"""All faults in an image's labels, by file and line, listed before anything is decided."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipelines.annotations.base import AnnotationError


@dataclass(frozen=True)
class LabelFault:
    """One fault.

    Attributes:
        file: URI of the annotation, or of the image where there is no annotation file.
        line: counted from 1; None where the format has no lines (COCO: the reason names the annotation).
        reason: the fault in words.
        mended: whether the labels are used all the same: a box cut to the image. Otherwise the whole image is
            left out: a defect without box is learnt as none.
        whole: whether it is about all that is said of the image; the reason then names no object.
    """

    file: str
    line: int | None
    reason: str
    mended: bool = False
    whole: bool = False


@dataclass
class Faults:
    """Gathers faults while an annotation is read.

    Attributes:
        clip: whether boxes and polygons that stick out of the image are cut to it (a mended fault); otherwise
            they are unusable.
        found: the faults so far.
    """

    clip: bool = False
    found: list[LabelFault] = field(default_factory=list)

    @contextmanager
    def at(self, file: str, line: int | None = None, place: str = "") -> Iterator["Spot"]:
        """Read one object: note its faults and go on after it.

        Args:
            file: URI of the annotation.
            line: the object's line, counted from 1.
            place: the object's name in the reason, e.g. `annotation 7`.
        """
        spot = Spot(self.clip)
        start = f"{place}: " if place else ""
        try:
            yield spot
        except AnnotationError as error:
            self.found.append(LabelFault(file, line, f"{start}{error}"))
            return
        self.found += [LabelFault(file, line, f"{start}{reason}", mended=True) for reason in spot.mended]


@dataclass
class Spot:
    """Where a box is read: whether it may be cut to its image, and what was mended."""

    clip: bool = False
    mended: list[str] = field(default_factory=list)
