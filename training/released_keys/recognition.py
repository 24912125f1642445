"""Which family a published checkpoint is of, told by its keys alone."""

from collections.abc import Callable, Mapping

from torch import Tensor

from training.released_keys.resnet import resnet
from training.released_keys.swin import swin
from training.released_keys.translation import Translation
from training.released_keys.yolov8 import yolov8

Family = Callable[[Mapping[str, Tensor], str], Translation | None]
FAMILIES: tuple[Family, ...] = (yolov8, swin, resnet)


def in_our_keys(source: Mapping[str, Tensor], name: str) -> Translation | None:
    """A published checkpoint in our keys; None for keys of no family here, among them ours.

    Args:
        source: the file's tensors, of any shapes and dtypes.
        name: the backbone or detector that they are to fill.
    """
    return next((found for family in FAMILIES if (found := family(source, name)) is not None), None)
