"""Pixels of a data set's images: read with one message for a lost file, cached if all of them fit."""

from collections.abc import Callable

from cluster.errors import UserError
from pipelines.images import ImageError, Levels, read_image
from training.models import Image


def read_pixels(uri: str, levels: Levels | None = None) -> Image:
    """(height, width, 3) uint8 RGB of an image that was readable before.

    Args:
        uri: local path or URI of the file.
        levels: grey levels for deep images, see `read_image`.

    Raises:
        UserError: the image can't be read any more.
    """
    try:
        return read_image(uri, levels)
    except ImageError as error:
        raise lost_image(uri, str(error)) from None


def lost_image(uri: str, reason: str) -> UserError:
    """What is raised for an image that was readable before.

    Args:
        uri: local path or URI of the file.
        reason: why it can't be read any more.
    """
    return UserError(f"Image {uri} can't be read any more ({reason}); restore it, or make the corpus anew.")


class PixelCache:
    """Images by their index, each read once if all of them fit into memory together, else at every access.

    It keeps all or nothing: every loading process has its own cache, and a part of a large data set would
    take memory in each of them and still leave most images to be read anew. Nothing is evicted, so users
    must not write into the arrays.

    Args:
        read: function from index to pixels; picklable. A method of the cache's owner would make a circle of
            references, which frees the pixels late.
        whole_bytes: size of all images together.
        limit_bytes: most memory of one process's cache.
    """

    def __init__(self, read: Callable[[int], Image], *, whole_bytes: int, limit_bytes: int) -> None:
        self._read = read
        self._kept: dict[int, Image] | None = {} if whole_bytes <= limit_bytes else None

    def __getitem__(self, index: int) -> Image:
        """The pixels of one image; errors of `read` pass through, and nothing is cached then."""
        if self._kept is None:
            return self._read(index)
        if index not in self._kept:
            self._kept[index] = self._read(index)
        return self._kept[index]
