"""Backbones of timm: any of its models that gives feature maps, in timm's own keys."""

from collections.abc import Iterator
from typing import Any

import timm
import torch
from torch import Tensor, nn

from cluster.errors import UserError
from cluster.progress import say
from pipelines.banks import LITE0_NAME, LITE0_PACKAGE, has_lite0, lite0_file, lite0_state
from training.models import TIMM
from training.models.backbones.base import Backbone, Stage, register

FINEST_STRIDE = 4  # as P2 of the detectors; finer maps belong to the first stage
CLASSIFIER = "classifier."  # of EfficientNet
QUARTERS = 4  # stages of a model that keeps one resolution
# Options with which a model takes other image sizes than its pretraining's, by timm's module.
ANY_SIZE: dict[str, dict[str, Any]] = {
    "swin_transformer": {"strict_img_size": False},
    "swin_transformer_v2": {"strict_img_size": False},
    "swin_transformer_v2_cr": {"strict_img_size": False},
    "vision_transformer": {"dynamic_img_size": True},
    "deit": {"dynamic_img_size": True},
    "eva": {"dynamic_img_size": True},
}


def knows(name: str) -> bool:
    """Whether timm has an architecture of that name and, where a tag is named, weights of that tag."""
    if not timm.is_model(name.partition(".")[0]):
        return False
    try:
        timm.models.get_pretrained_cfg(name)
    except RuntimeError:  # how timm says that it has no such tag
        return False
    return True


def timm_weights(name: str, start: str) -> dict[str, Tensor]:
    """What timm publishes for the name and its tag, DINOv3 weights too, in timm's keys; cached by its hub.

    `tf_efficientnet_lite0` is read from the package of the extra `features` where that is installed: the
    same weights, without a network.

    Raises:
        UserError: `start` isn't `imagenet`, there are none, or they can't be downloaded.
    """
    if start != "imagenet":
        raise UserError(f"timm publishes no {start} weights of {name}; give imagenet, scratch or a file.")
    if name.partition(".")[0] == LITE0_NAME and has_lite0():
        say(f"{name}: weights of the package {LITE0_PACKAGE}")
        return {
            key: tensor for key, tensor in lite0_state(lite0_file()).items() if not key.startswith(CLASSIFIER)
        }
    say(f"{name}: weights of timm, downloaded unless they are in its cache")
    try:
        model = timm.create_model(name, pretrained=True, num_classes=0)
    # OSError: the network or the hub fails; RuntimeError: none are published.
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"timm's weights of {name} can't be had ({reason:.160}); without a network, download the model's "
            "model.safetensors elsewhere and give its path as the start."
        ) from None
    return dict(model.state_dict())


@register(*TIMM, accepts=knows, published=timm_weights)
class TimmBackbone(Backbone):
    """A timm model without its classifier; a stage ends with the last feature map of its stride.

    Strides finer than 4 belong to the first stage; a model of one resolution (ViT) is cut into quarters.
    The maps are those of timm's `forward_intermediates`, before a final norm, which would even out
    the attention. Weights that no map depends on (of that norm, the head's) never learn and keep their start.

    Image sizes: multiples of the coarsest stride. Swin pads the grid to whole windows (of 7 cells: nothing to
    pad at 224 and 448 px) and shifts windows in the stages where it does at its own size; ViT resamples
    its position embedding; a model of timm's that can neither keeps its `fixed_size`.

    Args:
        name: timm's name of it, with or without a tag: `resnet50`, `convnext_tiny.dinov3_lvd1689m`. The tag
            decides mean and std, and what the start `imagenet` downloads.

    Raises:
        UserError: timm gives no feature maps of this model.
    """

    model: Any

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        module = timm.models.model_entrypoint(name.partition(".")[0]).__module__.rpartition(".")[2]
        self.options = ANY_SIZE.get(module, {})
        self.model = timm.create_model(name, num_classes=0, **self.options)
        config = self.model.pretrained_cfg
        self.mean, self.std = tuple(config["mean"]), tuple(config["std"])
        if config.get("fixed_input_size") and module not in ANY_SIZE:
            self.fixed_size = int(config["input_size"][-1])
        probe = self._probe()
        strides = [side for side, _, _ in probe]
        self.taps = [tap for tap in _ends(strides) if strides[tap] >= FINEST_STRIDE]
        self.stages = tuple(Stage(*probe[tap][:2]) for tap in self.taps)
        self.size_multiple = max(strides)
        self._reached = [probe[tap][2] for tap in self.taps]
        for key, parameter in self.model.named_parameters():
            parameter.requires_grad_(key in self._reached[-1])
        heads = (part for module in self.stage_modules(len(self.stages)) for part in module.modules())
        self.family = "vit" if any(hasattr(part, "num_heads") for part in heads) else "cnn"

    @property
    def library(self) -> nn.Module:
        """The timm model."""
        model: nn.Module = self.model
        return model

    def loading(self, file: str) -> str:
        """Every key is taken; a classifier is made anew by `reset_classifier`."""
        options = "".join(f", {key}={value}" for key, value in self.options.items())
        return f'timm.create_model("{self.name}", num_classes=0{options}, checkpoint_path="{file}")'

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `Backbone.forward`."""
        feature_maps = self.model.forward_intermediates(x, indices=self.taps, intermediates_only=True)
        return list(feature_maps)

    def stage_modules(self, stages: int) -> list[nn.Module]:
        """The largest modules whose parameters all feed the maps of the lowest stages."""
        return list(_within(self.model, "", self._reached[stages - 1])) if stages else []

    def stage_parameters(self, stages: int) -> list[nn.Parameter]:
        """Also those that lie in no module of a stage: class tokens, position embeddings."""
        reached = self._reached[stages - 1] if stages else set()
        return [parameter for key, parameter in self.model.named_parameters() if key in reached]

    def layers(self) -> list[list[nn.Parameter]]:
        """Blocks, as timm groups them for layer-wise decay."""
        groups = timm.models.group_parameters(self.model, self.model.group_matcher(coarse=False))
        named = dict(self.model.named_parameters())
        return [[named[key] for key in groups[number]] for number in sorted(groups)]

    def _probe(self) -> list[tuple[int, int, set[str]]]:
        """Stride and channels of every feature map, and the names of the parameters that it depends on."""
        info = getattr(self.model, "feature_info", None) or [{"reduction": 32}]
        side = self.fixed_size or 2 * max(entry["reduction"] for entry in info)
        self.eval()
        try:
            with torch.enable_grad():
                maps = self.model.forward_intermediates(
                    torch.zeros(1, 3, side, side), intermediates_only=True
                )
            if not all(x.ndim == 4 and side == x.shape[2] * (side // x.shape[2]) for x in maps):
                raise ValueError
        # timm's models raise these if they have no such maps, or if their grids fit other sizes only.
        except (AttributeError, AssertionError, RuntimeError, ValueError):
            raise UserError(
                f"timm's {self.name} gives no feature maps whose sides divide {side} px; choose another, "
                f"e.g. one of {', '.join(TIMM)}."
            ) from None
        self.train()
        keys = {id(parameter): key for key, parameter in self.model.named_parameters()}
        return [
            (side // x.shape[-1], x.shape[1], {keys[leaf] for leaf in _leaves(x) if leaf in keys})
            for x in maps
        ]


def _ends(strides: list[int]) -> list[int]:
    """The index of each stride's last map; if all strides are equal, the ends of the quarters."""
    count = len(strides)
    if len(set(strides)) > 1:
        return [index for index in range(count) if strides[index] not in strides[index + 1 :]]
    quarters = min(QUARTERS, count)
    return [round(count * (quarter + 1) / quarters) - 1 for quarter in range(quarters)]


def _leaves(x: Tensor) -> set[int]:
    """Ids of the tensors at the ends of the graph that made `x`."""
    leaves: set[int] = set()
    seen, waiting = set(), [x.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        waiting += [following for following, _ in node.next_functions]
    return leaves


def _within(module: nn.Module, prefix: str, keys: set[str]) -> Iterator[nn.Module]:
    """The largest modules, `module` (at `prefix`) or below, whose parameters are all among `keys`."""
    names = [f"{prefix}{key}" for key, _ in module.named_parameters()]
    if names and keys.issuperset(names):
        yield module
        return
    for name, child in module.named_children():
        yield from _within(child, f"{prefix}{name}.", keys)
