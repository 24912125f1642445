"""Small annotation files, one an image, read with a limit; errors name the file."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.annotations.base import AnnotationError
from pipelines.images import ImageError, read_bytes

MAX_BYTES = 4 << 20  # one image's annotation; ten thousand boxes of VOC XML fit


@contextmanager
def read_annotation(uri: str) -> Iterator[bytes]:
    """The bytes of an annotation file; errors raised within the block name the file.

    Raises:
        AnnotationError: missing, unreadable, empty where text is needed, larger than 4 MiB.
    """
    try:
        yield read_bytes(uri, limit=MAX_BYTES, may_be_empty=True)
    except ImageError as error:
        raise AnnotationError(f"its annotation {uri}: {error}") from None
