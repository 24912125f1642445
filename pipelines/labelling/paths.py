"""Where an annotation file lies, and how it names its image."""

import os
from pathlib import Path, PurePosixPath

from cluster.errors import UserError
from pipelines.labelling.base import BoxedImage


def with_suffix(name: str, suffix: str) -> str:
    """The name with another ending."""
    return str(PurePosixPath(name).with_suffix(suffix))


def beside(folder: Path, name: str, image: BoxedImage, *, with_images: bool) -> str:
    """The path from an annotation file to its image, with `/`.

    Args:
        folder: the export's folder.
        name: the file's path below it.
        image: the image.
        with_images: whether the image lies beside the file.

    Raises:
        UserError: a remote image that is not in the folder.
    """
    if with_images:
        return PurePosixPath(image.name).name
    if "://" in image.uri:
        raise UserError(f"{image.uri} is no local file, which the tool needs; give --images copy.")
    # Both real: `..` behind a link leads from where the link points to.
    home = os.path.realpath((folder / name).parent)
    source = Path(image.uri)
    return os.path.relpath(Path(os.path.realpath(source.parent)) / source.name, home)
