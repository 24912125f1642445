"""What every backbone offers, whatever library it comes from, and the registry of their names."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from torch import Tensor, nn

from cluster.errors import UserError, nearest


class Stage(NamedTuple):
    """A resolution level: input pixels per cell, and channels."""

    stride: int
    channels: int


class Backbone(nn.Module, ABC):
    """A convolutional or transformer trunk seen as stages of falling resolution.

    Attributes:
        name: as registered.
        stages: lowest (finest) first.
        mean, std: of the normalisation that follows scaling pixels to [0, 1], per RGB channel.
    """

    name: str
    stages: tuple[Stage, ...]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self._frozen: tuple[nn.Module, ...] = ()

    @abstractmethod
    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps of all stages, each (B, channels, H/stride, W/stride), of normalised (B, 3, H, W)."""

    @abstractmethod
    def stage_modules(self, stages: int) -> list[nn.Module]:
        """The modules that make up the lowest `stages` stages, stem included."""

    @abstractmethod
    def library_state_dict(self) -> dict[str, Tensor]:
        """The state dict in the keys of the library's own full model."""

    def freeze(self, stages: int) -> None:
        """Stop the lowest stages from learning; their batch norms keep their statistics, in train mode too.

        Args:
            stages: 0 (none) to all.
        """
        if not 0 <= stages <= len(self.stages):
            raise UserError(f"{self.name} has {len(self.stages)} stages; freeze_stages can't be {stages}.")
        self._frozen = tuple(self.stage_modules(stages))
        for module in self._frozen:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        """As `nn.Module.train`, save that frozen stages stay in eval mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


Builder = Callable[[str], Backbone]
BuilderT = TypeVar("BuilderT", bound=Builder)
_BUILDERS: dict[str, Builder] = {}


def register(*names: str) -> Callable[[BuilderT], BuilderT]:
    """Decorator: the function (or class) builds the backbones of these names, with random weights."""

    def add(builder: BuilderT) -> BuilderT:
        for name in names:
            if name in _BUILDERS:
                raise ValueError(f"two backbones are named {name}")
            _BUILDERS[name] = builder
        return builder

    return add


def names() -> list[str]:
    """All registered names, sorted."""
    return sorted(_BUILDERS)


def build(name: str) -> Backbone:
    """A backbone with random weights.

    Raises:
        UserError: no backbone has that name; the message tells the nearest.
    """
    if name not in _BUILDERS:
        raise UserError(f'There is no backbone "{name}"; {nearest(name, _BUILDERS)}')
    return _BUILDERS[name](name)
