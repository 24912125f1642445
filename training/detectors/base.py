"""What every detector offers, whatever library it comes from, and the registry of their names."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Self, TypeVar

from torch import Tensor, nn

from cluster.errors import UserError, nearest
from training.letterbox import Preprocessing

Part = Literal["backbone", "neck", "head", "classes"]
Targets = dict[str, Tensor]

MIN_SCORE = 0.001  # COCO AP integrates over all scores; this is the field's usual floor
MAX_BOXES = 300


@dataclass(frozen=True)
class Predictions:
    """The boxes found in one image, best first.

    Attributes:
        boxes: (N, 4) float32, x0 y0 x1 y1 in pixels of the network's input.
        scores: (N,) float32 in [0, 1].
        labels: (N,) int64, index into the detector's `classes`.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


class Detector(nn.Module, ABC):
    """A detector; its state dict is the library's own, key by key.

    Attributes:
        architecture: the name it is built by.
        classes: names in label order.
        preprocessing: how images become its input.
        backbone_frozen: see `freeze_backbone`.
    """

    architecture: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing

    def __init__(self) -> None:
        super().__init__()
        self.backbone_frozen = False

    @abstractmethod
    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """The training loss; it is `forward` so that DDP synchronises its gradients.

        Args:
            images: (B, 3, S, S) float RGB in [0, 1].
            targets: of N boxes in all: `image` (N,) int64 index in the batch, `labels` (N,) int64, `boxes`
                (N, 4) float32 x0 y0 x1 y1 in input pixels; N may be 0.

        Returns:
            The scalar loss (mean over the batch) and its detached parts by name.
        """

    @abstractmethod
    def predict(
        self, images: Tensor, *, min_score: float = MIN_SCORE, max_boxes: int = MAX_BOXES
    ) -> list[Predictions]:
        """Boxes of each image, after the library's own suppression; in eval mode, without gradients.

        Args:
            images: (B, 3, S, S) float RGB in [0, 1].
            min_score: lower boxes are dropped.
            max_boxes: kept per image.
        """

    @abstractmethod
    def part_of(self, key: str) -> Part:
        """Which part an entry of the state dict belongs to; `classes` are the last layers of the head, which
        alone depend on the classes."""

    @abstractmethod
    def backbone_modules(self) -> list[nn.Module]:
        """The modules of the backbone."""

    def freeze_backbone(self) -> None:
        """Stop the backbone from changing: no gradients, and batch norms stay with their statistics."""
        self.backbone_frozen = True
        for module in self.backbone_modules():
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode for all that is not frozen."""
        super().train(mode)
        if self.backbone_frozen:
            for module in self.backbone_modules():
                module.eval()
        return self


Builder = Callable[[str, tuple[str, ...], Preprocessing, Mapping[str, Tensor]], Detector]
BuilderT = TypeVar("BuilderT", bound=Builder)
_BUILDERS: dict[str, Builder] = {}


def register(*names: str) -> Callable[[BuilderT], BuilderT]:
    """Decorator: the function (or class), a `Builder`, builds the detectors of these names."""

    def add(builder: BuilderT) -> BuilderT:
        for name in names:
            if name in _BUILDERS:
                raise ValueError(f"two detectors are named {name}")
            _BUILDERS[name] = builder
        return builder

    return add


def detector_names() -> list[str]:
    """All registered names, sorted."""
    return sorted(_BUILDERS)


def check_detector_name(name: str) -> None:
    """Prove that a detector of that name exists.

    Raises:
        UserError: it doesn't; the message tells the nearest.
    """
    if name not in _BUILDERS:
        raise UserError(f'There is no detector "{name}"; {nearest(name, _BUILDERS)}')


def build_detector(
    name: str,
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
    like: Mapping[str, Tensor] | None = None,
) -> Detector:
    """A detector with random weights, drawn from torch's global state.

    Args:
        name: one of `detector_names()`, e.g. `yolov8n`.
        classes: names in label order, at least one, all different.
        preprocessing: how images will become its input; the side is a multiple of 32.
        like: a state dict of this architecture, for any classes. Widths of hidden layers that followed its
            number of classes are taken from it, so that all but the `classes` part can be filled from it.

    Raises:
        UserError: see `check_detector_name`; no class, or a class twice.
    """
    check_detector_name(name)
    if not classes or len(set(classes)) != len(classes):
        raise UserError(f"Detector {name} needs one or more classes, all different, not {list(classes)}.")
    return _BUILDERS[name](name, classes, preprocessing, like or {})
