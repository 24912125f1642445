"""What every format's writer takes: images with scored boxes, read again for every pass."""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cluster.errors import UserError


@dataclass(frozen=True)
class ScoredBox:
    """A box with an area, in pixels of the original image, x1 and y1 exclusive, with its score and class."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float
    label: str

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1."""
        return self.x0, self.y0, self.x1, self.y1


@dataclass(frozen=True)
class BoxedImage:
    """One image with its boxes.

    Attributes:
        name: its path below the images' common folder, with `/`.
        uri: its path or URI.
        width, height: its size in pixels, turned as its EXIF orientation says.
        category: object category; None where none is known.
        boxes: the boxes, best first.
    """

    name: str
    uri: str
    width: int
    height: int
    category: str | None
    boxes: tuple[ScoredBox, ...]


@dataclass(frozen=True)
class Boxes:
    """All images of an export.

    Attributes:
        images: function that yields the images from the first one, as often as it is called.
        count: the number of images.
        classes: class names in the order of their numbers.
        model: what found the boxes, for tools that show it.
    """

    images: Callable[[], Iterator[BoxedImage]]
    count: int
    classes: tuple[str, ...]
    model: str


def check_xml(text: str, what: str) -> None:
    """Refuse what XML can't hold or would change: control characters and characters that are none.

    Args:
        text: a name that is to be written.
        what: the noun for the message, e.g. `The image name`.

    Raises:
        UserError: it holds such a character.
    """
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff":
            raise UserError(
                f"{what} {text!r} has a character that XML can't hold ({character!r}); rename it, or choose "
                "--to coco or --to label-studio."
            )
