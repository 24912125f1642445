"""What LW-DETR and RF-DETR share: a plain ViT, one joined map, and groups of queries in training.

Each of 13 groups of queries learns alone from the whole truth (Chen et al., Group DETR, arXiv 2207.13085);
the first alone answers afterwards.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cluster.errors import UserError
from training.models import Preprocessing, Stages, Targets, backbone_of
from training.models.backbones import build
from training.models.detectors.query_detector import QueryDetector, by_xavier
from training.models.detectors.trunk import Trunk, TrunkEncoder

STRIDE = 16  # of the joined map on a backbone by name
FINER_TO_COARSER = (8, 16, 32)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the library's own ViTs: ImageNet's
# Beyond it the library's log(1 − p) is infinite in float32, while the loss grows by 1 a logit and no more.
STEEPEST = 16.0
GROUPED = ("model.reference_point_embed.weight", "model.query_feat.weight")


class GroupDetr(QueryDetector):
    """One `LwDetrForObjectDetection` or `RfDetrForObjectDetection`, in the library's keys.

    Args:
        name: `lw-detr-tiny`, with the library's own ViT, or `lw-detr+BACKBONE`.
        classes: names in label order.
        preprocessing: how images become its input; where the joined map has fewer places than there are
            queries, there are as many as places.
    """

    backbone_prefix = "model.backbone.backbone."
    neck_layers = ("model.backbone.",)
    class_layers = ("class_embed.", "model.enc_out_class_embed.")

    def __init__(self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing) -> None:
        super().__init__(name, classes, preprocessing)
        self.own = "+" not in name

    def joined(self) -> Trunk:
        """The trunk of a backbone by name, whose maps the network reads as one."""
        trunk = _joined_trunk(self.architecture, self.preprocessing.shape)
        self.backbone_prefix = "model.backbone.backbone.trunk.body."
        return trunk

    def finish(self, network: Any, trunk: Trunk | None) -> None:
        """Take the library's network; its own ViT gives way to a trunk where there is one."""
        if trunk is not None:
            network.model.backbone.backbone = TrunkEncoder(trunk, joined_map)
        network.loss_function = _steady(network.loss_function)
        _begin_as_published(network.model)
        self.keep(network)
        self.class_embed, self.bbox_embed = network.class_embed, network.bbox_embed

    def coloured(self, images: Tensor) -> Tensor:
        """Images normalised for the library's ViT; a trunk does that itself."""
        if not self.own:
            return images
        return (images - images.new_tensor(MEAN)[:, None, None]) / images.new_tensor(STD)[:, None, None]

    def forward(self, images: Tensor, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Detector.forward`; parts of the last decoder layer, and `encoder`, of the proposals."""
        output = self.output(images, targets)
        terms: dict[str, Tensor] = output.loss_dict
        parts = {name: terms[f"loss_{name}"] for name in ("ce", "bbox", "giou")}
        parts["encoder"] = torch.stack([terms[f"loss_{name}_enc"] for name in ("ce", "bbox", "giou")]).sum()
        return output.loss, {name: value.detach() for name, value in parts.items()}

    def stages(self, count: int) -> Stages:
        """See `Detector.stages`; a stage of the library's ViT ends with a block that is read."""
        if not self.own:
            return super().stages(count)
        vit = self.model.backbone.backbone
        ends = list(vit.config.out_indices)
        if count > len(ends):
            raise UserError(f"{self.architecture} has {len(ends)} stages; {count} can't be frozen.")
        return Stages([vit.embeddings, *vit.encoder.layer[: ends[count - 1] if count else 0]], [])

    def backbone_layers(self) -> list[list[nn.Parameter]]:
        """See `PartedModel.backbone_layers`."""
        if not self.own:
            return super().backbone_layers()
        vit = self.model.backbone.backbone
        modules = [vit.embeddings, *vit.encoder.layer]
        rest = getattr(vit, "layernorm", None)
        return [list(module.parameters()) for module in (*modules, *([rest] if rest is not None else []))]

    def own_keys(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """See `PartedModel.own_keys`; published files write some keys otherwise, and have more queries."""
        keys = self.state_dict()
        named = {self.own_key(key): tensor for key, tensor in state.items()}
        moved = {key if key in keys else f"model.{key}": tensor for key, tensor in named.items()}
        named = moved if len(keys.keys() & moved.keys()) > len(keys.keys() & named.keys()) else named
        groups = self.network.config.group_detr
        for key in GROUPED:
            if key in named:
                named[key] = _first_of_each(named[key], groups, len(keys[key]) // groups)
        return super().own_keys(named)

    def own_key(self, key: str) -> str:
        """The present spelling of a key of a published file."""
        return key


def check_sides(name: str, shape: tuple[int, int], multiple: int) -> None:
    """Prove that the library's ViT can cut an input of this height and width into its windows.

    Raises:
        UserError: it can't; the message tells which it can.
    """
    for side in shape:
        if side % multiple:
            raise UserError(
                f"{name} cuts its input into windows; its sides are multiples of {multiple} px, not {side}."
            )


def joined_map(maps: list[Tensor]) -> SimpleNamespace:
    """One map of stride 16, (B, all channels, H/16, W/16), of maps of strides 8, 16, 32, or 16 alone."""
    height, width = maps[len(maps) // 2].shape[2:]
    at_once = [
        one
        if one.shape[2:] == (height, width)
        else F.avg_pool2d(one, 2)
        if one.shape[2] > height
        else F.interpolate(one, scale_factor=2.0, mode="nearest")
        for one in maps
    ]
    return SimpleNamespace(feature_maps=[torch.cat(at_once, 1)])


def _joined_trunk(name: str, shape: tuple[int, int]) -> Trunk:
    backbone = build(backbone_of(name))
    if {stage.stride for stage in backbone.stages} != {STRIDE}:
        return Trunk(backbone, FINER_TO_COARSER, shape)
    trunk = Trunk(backbone, (STRIDE,), shape)
    trunk.levels = list(range(len(backbone.stages)))  # a ViT's quarters
    trunk.channels = [stage.channels for stage in backbone.stages]
    return trunk


def _begin_as_published(model: Any) -> None:
    """Draw the decoder's fresh weights as the authors do.

    The library draws all of deviation 0.02, contents of queries too, and looks for the references by a name
    that they don't have: its queries are nearly one and the same, and take long to part.
    """
    by_xavier(model.decoder)
    by_xavier(model.enc_output)
    nn.init.normal_(model.query_feat.weight)
    nn.init.zeros_(model.reference_point_embed.weight)


def _first_of_each(tensor: Tensor, groups: int, count: int) -> Tensor:
    """The first rows of each group, where a file has more queries; all of it where it has no such groups."""
    rows = len(tensor) // groups
    if len(tensor) % groups or rows <= count:
        return tensor
    return tensor.reshape(groups, rows, -1)[:, :count].reshape(groups * count, -1)


def _steady(loss_function: Callable[..., Any]) -> Callable[..., Any]:
    """The library's loss, finite for every logit: above 16 its slope stays as it is."""

    def steady(
        logits: Tensor, labels: Any, device: Any, boxes: Tensor, config: Any, *more: Tensor | None
    ) -> Any:
        classes, coordinates, encoder_classes, encoder_boxes = more
        return loss_function(
            _bounded(logits),
            labels,
            device,
            boxes,
            config,
            None if classes is None else _bounded(classes),
            coordinates,
            None if encoder_classes is None else _bounded(encoder_classes),
            encoder_boxes,
        )

    return steady


def _bounded(logits: Tensor) -> Tensor:
    """Logits within ±16, whose gradients go on as at the bound."""
    return logits + (logits.clamp(-STEEPEST, STEEPEST) - logits).detach()
