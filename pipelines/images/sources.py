"""Images as a Python caller gives them: paths, URIs, or pixels."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cluster.errors import UserError
from pipelines.images.limits import MIN_SIDE
from pipelines.images.reading import ImageError, Levels, read_image

ImageSource = str | Path | npt.NDArray[np.uint8]


def several(images: Iterable[ImageSource], what: str) -> list[ImageSource]:
    """The images of a list (or of one array of shape (n, H, W, 3)).

    Args:
        images: the caller's argument.
        what: its name, for the message.

    Raises:
        UserError: one image in the place of a list, whose letters or rows would be taken for images.
    """
    if isinstance(images, str | Path) or (isinstance(images, np.ndarray) and images.ndim != 4):
        raise UserError(f"{what} must be a list of images; give [image] for a single one.")
    return list(images)


def named_pixels(
    image: ImageSource, name: str, levels: Levels | None = None
) -> tuple[str, npt.NDArray[np.uint8]]:
    """An image's path or URI (`name` for pixels), and its (H, W, 3) uint8 RGB pixels.

    Args:
        image: path, URI or pixels.
        name: name of pixels, for messages.
        levels: black and white of a file of more than 8 bits; None takes its own.

    Raises:
        ImageError: it can't be read; the message names it.
        ValueError: pixels of another shape or type.
    """
    if isinstance(image, str | Path):
        try:
            return str(image), read_image(str(image), levels)
        except ImageError as error:
            raise ImageError(f"{image}: {error}") from None
    pixels = np.asarray(image)
    coloured = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8
    if not coloured or min(pixels.shape[:2]) < MIN_SIDE:
        wanted = f"(H, W, 3) uint8 RGB pixels, {MIN_SIDE} a side at least"
        raise ValueError(f"{name} is {pixels.dtype} {pixels.shape}; give {wanted}")
    return name, pixels
