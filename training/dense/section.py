"""The config of the dense tasks, and which models they take."""

from typing import Literal

from pydantic import Field

from cluster.config import Section
from cluster.errors import UserError
from training.models import check_detector_name, check_segmenter_name

DenseTask = Literal["semantic", "instance", "detection"]
Regime = Literal["frozen", "full", "layerwise", "norms", "lora", "linear_then_full"]


class LoraSection(Section):
    """Low-rank updates of a ViT's attention (Hu et al., arXiv 2106.09685).

    Attributes:
        rank: of each update; higher learns more.
        alpha: an update counts alpha / rank times.
    """

    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=16, gt=0, le=1e4)


class CropSection(Section):
    """How training crops are cut.

    Attributes:
        side: the crop's side, pixels.
        defect_share: probability that a crop of an image with defects holds a defect pixel.
        overlap: least share of a window that sliding inference has in common with the next.
        inference: `sliding` windows of `side`, or the `full` image at once, filled up to multiples of 32.
    """

    side: int = Field(default=512, ge=32, le=4096, multiple_of=32)
    defect_share: float = Field(default=0.75, ge=0, le=1)
    overlap: float = Field(default=0.25, ge=0, lt=0.95)
    inference: Literal["sliding", "full"] = "sliding"


def check_dense_name(task: DenseTask, name: str) -> None:
    """Prove that a task can use a model of that name.

    Raises:
        UserError: there is none, or it finds no masks where the task needs them.
    """
    if task == "semantic":
        check_segmenter_name(name)
        return
    check_detector_name(name)
    if task == "instance" and not name.startswith("mask-rcnn"):
        raise UserError(f"{name} finds no masks, which the task instance needs; take mask-rcnn+BACKBONE.")
