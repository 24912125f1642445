"""CSP backbones of ultralytics: the backbone part of its `DetectionModel`, in that model's own keys."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from training.models import YOLO, DetectionModel
from training.models.backbones.base import Backbone, Stage, register
from training.models.ultralytics_weights import ultralytics_weights

STRIDES = (4, 8, 16, 32)  # P2 to P5
PROBE = 64  # pixels: the smallest square that all of them halve five times


@register(*YOLO, published=ultralytics_weights)
class UltralyticsBackbone(Backbone):
    """Layers 0 to SPPF (or C2PSA) of an ultralytics detector; a stage ends with the last layer of its stride.

    Args:
        name: `yolov8n` … `yolo26x`.
    """

    family = "cnn"

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        # The whole detector, since its constructor also sets the batch norms' eps and momentum.
        detector = DetectionModel(f"{name}.yaml", ch=3, nc=80, verbose=False)
        count = len(detector.yaml["backbone"])
        self.model = nn.Sequential(*detector.model[:count])  # this name gives it the detector's keys
        ends: dict[int, tuple[int, int]] = {}
        self.eval()
        with torch.inference_mode():
            x = torch.zeros(1, 3, PROBE, PROBE)
            for index, layer in enumerate(self.model):
                x = layer(x)
                ends[PROBE // x.shape[-1]] = (index, x.shape[1])
        self.train()
        self.ends = [ends[stride][0] for stride in STRIDES]
        self.stages = tuple(Stage(stride, ends[stride][1]) for stride in STRIDES)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See `Backbone.forward`; H and W are multiples of 32."""
        feature_maps = []
        for index, layer in enumerate(self.model):
            x = layer(x)
            if index in self.ends:
                feature_maps.append(x)
        return feature_maps

    def stage_modules(self, stages: int) -> list[nn.Module]:
        """See `Backbone.stage_modules`."""
        return list(self.model[: self.ends[stages - 1] + 1]) if stages else []

    @property
    def library(self) -> nn.Module:
        """Itself: `DetectionModel.load_state_dict(…, strict=False)` takes its keys `model.0.conv.weight` …"""
        return self

    def beyond(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The layers of the library's detector that follow the trunk's."""
        later = re.compile(r"model\.(\d+)\.")
        matches = {key: later.match(key) for key in state}
        return {
            key: state[key] for key, match in matches.items() if match and int(match[1]) >= len(self.model)
        }

    def loading(self, file: str) -> str:
        """Neck and head, where the file has none, stay as they are."""
        weights = f'safetensors.torch.load_file("{file}")'
        return f'ultralytics.YOLO("{self.name}.yaml").model.load_state_dict({weights}, strict=False)'
