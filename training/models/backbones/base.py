"""What every backbone offers, whatever library it comes from, and the registry of their names."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import NamedTuple, TypeVar

from torch import Tensor, nn

from cluster.errors import UserError
from training.models import OPEN_ADAPTERS, Family, adding, backbone_adapters, builder_of, canonical


class Stage(NamedTuple):
    """A resolution level: input pixels per cell, and channels."""

    stride: int
    channels: int


class Backbone(nn.Module, ABC):
    """A convolutional or transformer trunk seen as stages of falling resolution.

    Attributes:
        name: the registered name.
        stages: its resolution levels, lowest (finest) first.
        family: `vit` if its stages attend (ViT, Swin), else `cnn`; it decides how anomaly maps are distilled.
        mean, std: mean and deviation that normalise pixels in [0, 1], per RGB channel.
        size_multiple: pixels that height and width of its input must be multiples of.
        fixed_size: the only side it takes, pixels; None takes any multiple.
    """

    name: str
    stages: tuple[Stage, ...]
    family: Family
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    size_multiple: int = 32
    fixed_size: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self._frozen: tuple[nn.Module, ...] = ()

    @abstractmethod
    def loading(self, file: str) -> str:
        """The line of Python that puts a file of `library_state_dict` into the library's own model."""

    @abstractmethod
    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps of all stages, each (B, channels, H/stride, W/stride), of normalised (B, 3, H, W)."""

    @abstractmethod
    def stage_modules(self, stages: int) -> list[nn.Module]:
        """The modules that make up the lowest `stages` stages, stem included."""

    @property
    @abstractmethod
    def library(self) -> nn.Module:
        """What starts are filled into: its state dict has the keys of the library's own full model."""

    def library_state_dict(self) -> dict[str, Tensor]:
        """The state dict in the keys of the library's own full model."""
        return dict(self.library.state_dict())

    def beyond(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The neck and head that a start's state dict holds beside this backbone; here none."""
        return {}

    def stage_parameters(self, stages: int) -> list[nn.Parameter]:
        """The parameters of the lowest `stages` stages."""
        return [parameter for module in self.stage_modules(stages) for parameter in module.parameters()]

    def layers(self) -> list[list[nn.Parameter]]:
        """All parameters from the image on, in groups that share a learning rate: here its stages."""
        groups: list[list[nn.Parameter]] = []
        seen: set[int] = set()
        for count in range(1, len(self.stages) + 1):
            every = self.stage_parameters(count)
            groups.append([parameter for parameter in every if id(parameter) not in seen])
            seen.update(map(id, every))
        return groups

    def check_size(self, side: int) -> None:
        """Prove that square images of this side, in pixels, can be put in.

        Raises:
            UserError: they can't; the message tells which can.
        """
        if self.fixed_size is not None and side != self.fixed_size:
            raise UserError(f"{self.name} takes images of {self.fixed_size} px alone, not {side}.")
        if side % self.size_multiple:
            raise UserError(f"{self.name} takes images of multiples of {self.size_multiple} px, not {side}.")

    def freeze(self, stages: int) -> None:
        """Stop the lowest stages from learning; their batch norms keep their statistics, in train mode too.

        Args:
            stages: 0 (none) to all.
        """
        if not 0 <= stages <= len(self.stages):
            raise UserError(f"{self.name} has {len(self.stages)} stages; freeze_stages can't be {stages}.")
        self._frozen = tuple(self.stage_modules(stages))
        for parameter in self.stage_parameters(stages):
            parameter.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        """As `nn.Module.train`, save that frozen stages stay in eval mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self


Builder = Callable[[str], Backbone]
BuilderT = TypeVar("BuilderT", bound=Builder)
Published = Callable[[str, str], dict[str, Tensor]]


class _Library(NamedTuple):
    """How the backbones of one library are made, and where its weights come from."""

    builder: Builder
    accepts: Callable[[str], bool]
    published: Published


_LISTED: dict[str, _Library] = {}
_LIBRARIES: list[_Library] = []


def register(
    *names: str, published: Published, accepts: Callable[[str], bool] = lambda name: False
) -> Callable[[BuilderT], BuilderT]:
    """Decorator: the function (or class) builds the backbones of these names, with random weights.

    Args:
        names: the listed names.
        published: gives the weights that the library publishes; see the function of that name.
        accepts: whether it builds a name that isn't listed, of a library of many models.

    Raises:
        ValueError: by the decorator, a name is taken.
    """

    def add(builder: BuilderT) -> BuilderT:
        library = _Library(builder, accepts, published)
        adding(_LISTED, backbone_adapters, names, "backbones")(builder)
        _LISTED.update(dict.fromkeys(names, library))
        _LIBRARIES.append(library)
        return builder

    return add


def accepts(name: str) -> bool:
    """Whether a library of many models builds a backbone of this name, which isn't listed."""
    return _open_library(name) is not None


def build(name: str) -> Backbone:
    """A backbone with random weights.

    Raises:
        UserError: see `names.canonical`.
    """
    plain = canonical(name)
    return _library(plain).builder(plain)


def published_backbone(name: str, start: str) -> dict[str, Tensor]:
    """The weights that its library publishes, in the keys of its full model; downloaded on first use.

    Args:
        name: the backbone's name.
        start: `imagenet` or `coco`.

    Raises:
        UserError: see `names.canonical`; there are none, or they can't be downloaded.
    """
    plain = canonical(name)
    return _library(plain).published(plain, start)


def _library(name: str) -> _Library:
    """The library of a name that `canonical` has let pass."""
    if adapter := backbone_adapters.get(name):
        library: _Library = builder_of(_LISTED, name, adapter)
        return library
    accepting = _open_library(name)
    assert accepting is not None
    return accepting


def _open_library(name: str) -> _Library | None:
    for module in OPEN_ADAPTERS:
        import_module(module)
    return next((library for library in _LIBRARIES if library.accepts(name)), None)
