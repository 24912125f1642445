"""A model of parts, backbone, neck, head, that can be frozen by part or stage and learn at rates by layer."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import NamedTuple, Self

from torch import Tensor, nn

from cluster.errors import UserError
from training.models.names import Freeze, Part

Targets = dict[str, Tensor]


class Stages(NamedTuple):
    """Some stages of a backbone: their modules, and those of their parameters that lie in no such module."""

    modules: list[nn.Module]
    parameters: list[nn.Parameter]


class PartedModel(nn.Module, ABC):
    """What detectors and segmenters have in common; the state dict is the library's own, key by key.

    Attributes:
        architecture: the name it is built by.
        classes: names in label order, without the background.
        backbone_prefix: what its state dict puts before the keys of the backbone library.
    """

    architecture: str
    classes: tuple[str, ...]
    backbone_prefix: str = ""

    def __init__(self) -> None:
        super().__init__()
        self._frozen: tuple[nn.Module, ...] = ()
        self._stopped: tuple[nn.Parameter, ...] = ()  # that `freeze` has stopped

    @abstractmethod
    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """The training loss; it is `forward` so that DDP synchronises its gradients.

        Args:
            images: (B, 3, H, W) float RGB in [0, 1]; sides are multiples of 32.
            targets: see `Detector` and `Segmenter`.

        Returns:
            The scalar loss (mean over the batch) and its detached parts by name.
        """

    @abstractmethod
    def part_of(self, key: str) -> Part:
        """Which part an entry of the state dict belongs to; `classes` are the last layers of the head, which
        alone depend on the classes."""

    @abstractmethod
    def stages(self, count: int) -> Stages:
        """The backbone's first `count` stages, stem included.

        Raises:
            UserError: it has fewer.
        """

    def backbone_layers(self) -> list[list[nn.Parameter]]:
        """The backbone's parameters from the image on, in groups that share a learning rate.

        They are its stages, unless the adapter knows finer ones.
        """
        groups: list[list[nn.Parameter]] = []
        seen: set[int] = set()
        while True:
            try:
                modules, parameters = self.stages(len(groups) + 1)
            except UserError:  # how every adapter says that there are no more
                return groups
            every = [*(p for module in modules for p in module.parameters()), *parameters]
            groups.append([p for p in dict.fromkeys(every) if id(p) not in seen])
            seen.update(map(id, every))

    def own_keys(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A state dict of its backbone's library in its own keys; one of a whole model stays as it is."""
        moved = {f"{self.backbone_prefix}{key}": tensor for key, tensor in state.items()}
        model_keys = self.state_dict().keys()
        # By count: a library may name layers of its own necks as it names those of its backbones.
        return moved if len(model_keys & moved.keys()) > len(model_keys & state.keys()) else state

    def freeze(self, regime: Freeze) -> None:
        """Stop parts from changing: no gradients, batch norms keep their statistics, dropout is off.

        Args:
            regime: `none`, `backbone`, `backbone+neck`, or the first so many stages of the backbone. What an
                earlier call has frozen stays frozen, until `thaw`.

        Raises:
            UserError: more stages than the backbone has.
        """
        if isinstance(regime, int):
            frozen, parameters = self.stages(regime)
        else:
            frozen, parameters = self._modules_of(regime.split("+")), []
        every = [*(p for module in frozen for p in module.parameters()), *parameters]
        stopped = [parameter for parameter in dict.fromkeys(every) if parameter.requires_grad]
        for parameter in stopped:
            parameter.requires_grad_(False)
        self._frozen += tuple(frozen)
        self._stopped += tuple(stopped)
        self.train(self.training)

    def thaw(self) -> None:
        """Let all learn that `freeze` has stopped."""
        for parameter in self._stopped:
            parameter.requires_grad_(True)
        self._frozen, self._stopped = (), ()
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Training mode for all that is not frozen."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def _modules_of(self, parts: Collection[str]) -> list[nn.Module]:
        """The largest modules whose entries all belong to these parts."""
        part = {key: self.part_of(key) for key in self.state_dict()}
        modules: list[nn.Module] = []

        def visit(module: nn.Module, prefix: str) -> None:
            module_parts = {part[key] for key in part if key.startswith(prefix)}
            if module_parts and module_parts <= set(parts):
                modules.append(module)
            elif module_parts & set(parts):
                for name, child in module.named_children():
                    visit(child, f"{prefix}{name}.")

        visit(self, "")
        return modules
