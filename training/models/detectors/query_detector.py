"""What detectors of transformers' DETR family have in common: queries, each with one box, found once."""

import os
import sys
from typing import Any

import torch
from torch import Tensor, nn

from training.models import Part, Preprocessing, Stages, Targets, in_float32
from training.models.detectors.base import Detector

# Its models' checks of their own shapes become operators that ONNX lacks.
os.environ.setdefault("TRANSFORMERS_DISABLE_TORCH_CHECK", "1")

PRIOR = 0.01  # probability of a class at a fresh query; the library's 1 / (classes + 1) floods one class


class QueryDetector(Detector):
    """A detector of transformers: boxes as centre and size in shares of the input, a sigmoid for each class.

    Args:
        name, classes, preprocessing: attributes of `Detector`: architecture, classes and preprocessing.

    Attributes:
        network: the library's `…ForObjectDetection`, past nn.Module's registry: what it holds is registered
            by the adapter, key by key as the library has it.
        model: its part of that name.
        neck_layers, class_layers: beginnings of the keys of these parts.
    """

    network: Any
    model: Any
    neck_layers: tuple[str, ...]
    class_layers: tuple[str, ...]
    ranks = True
    nms_iou = None

    def __init__(self, name: str, classes: tuple[str, ...], preprocessing: Preprocessing) -> None:
        super().__init__()
        self.architecture, self.classes, self.preprocessing = name, classes, preprocessing

    def part_of(self, key: str) -> Part:
        """By module; a hybrid or deformable encoder, a projector and a ViT's pyramid are the neck."""
        if key.startswith(self.backbone_prefix):
            return "backbone"
        if key.startswith(self.neck_layers):
            return "neck"
        return "classes" if key.startswith(self.class_layers) else "head"

    def keep(self, network: Any) -> None:
        """Take the library's network, whose parts the adapter registers."""
        network.loss_function = in_float32(network.loss_function)
        self.model = network.model
        self.__dict__["network"] = network

    def output(self, images: Tensor, targets: Targets) -> Any:
        """The library's output in training, with `loss` and `loss_dict`."""
        self.network.training = self.training  # it decides on queries of training
        counts = targets["image"].bincount(minlength=len(images)).tolist()
        height, width = images.shape[-2:]
        boxes = targets["boxes"] / targets["boxes"].new_tensor([width, height, width, height])
        relative = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], dim=1)
        truth = zip(torch.split(targets["labels"], counts), torch.split(relative, counts), strict=True)
        return self.network(self.coloured(images), labels=[{"class_labels": c, "boxes": b} for c, b in truth])

    def coloured(self, images: Tensor) -> Tensor:
        """Images as the network takes them; here as they are, for a trunk that normalises them."""
        return images

    def candidates(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See `Detector.candidates`: the queries of the last decoder layer."""
        self.network.training = False
        output = self.network(self.coloured(images))
        height, width = images.shape[-2:]
        logits, places = output.logits.float(), output.pred_boxes.float()
        centres, sizes = places[..., :2], places[..., 2:]
        corners = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=-1)
        scale = corners.new_tensor([width, height, width, height])
        return (corners * scale)[:, :, None], logits.sigmoid()

    def export_module(self) -> nn.Module:
        """See `Detector.export_module`.

        The library's `len(tensor)` makes a number of a batch that is to stay free: the exporter's quick way
        would find that out at its end, and the slow one, Dynamo's, would do all of it again.
        """
        for kind in type(self.network).__mro__:
            if kind.__module__.startswith("transformers.models."):
                vars(sys.modules[kind.__module__])["len"] = _length
        return super().export_module()

    @property
    def trunk(self) -> Any:
        """The trunk of one on a backbone by name."""
        return self.model.get_submodule(self.backbone_prefix.removeprefix("model.").removesuffix(".body."))

    def stages(self, count: int) -> Stages:
        """See `Detector.stages`."""
        stages: Stages = self.trunk.stages(count)
        return stages

    def backbone_layers(self) -> list[list[nn.Parameter]]:
        """See `PartedModel.backbone_layers`."""
        layers: list[list[nn.Parameter]] = self.trunk.backbone.layers()
        return layers


def _length(of: Any) -> Any:
    """Python's `len`, but a tensor's is of its shape, where an exporter knows it as free."""
    return of.shape[0] if isinstance(of, Tensor) else len(of)


def denoising_loss(output: Any, embedding: nn.Embedding) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss with contrastive denoising, and its parts: of the last decoder layer, and `denoising`, of all.

    Args:
        output: the library's.
        embedding: the denoising queries' classes.
    """
    terms: dict[str, Tensor] = output.loss_dict
    parts = {
        key.removeprefix("loss_"): value
        for key, value in terms.items()
        if "_aux_" not in key and "_dn_" not in key
    }
    parts["denoising"] = output.loss.new_zeros(()) + sum(v for key, v in terms.items() if "_dn_" in key)
    # A batch without boxes has no denoising queries; DDP wants every parameter in the graph.
    loss = output.loss + 0 * embedding.weight.sum()
    return loss, {name: value.detach() for name, value in parts.items()}


def by_xavier(module: nn.Module) -> None:
    """Weights of linear layers as DETR draws them; the library's are of deviation 0.02, and learn slowly.

    Where attention samples stays a star of fixed points, as Deformable DETR starts.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear) and not name.endswith(("sampling_offsets", "attention_weights")):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
