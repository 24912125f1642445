"""AGBP: a backbone learns a pretext task while its attention is drawn to the anomaly maps (Eq. 6-8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from cluster.config import Section
from cluster.errors import UserError
from cluster.storage import Storage
from training.attention import Distance, DistillationLoss, correlation, similarity
from training.augment import AugmentSection
from training.backbones import SCRATCH, Backbone, build, canonical, load_start
from training.loop import LoopSettings
from training.pretext.cls import ClsHead, cls_loss
from training.pretrain_data import (
    PretrainDataset,
    PretrainImages,
    collate,
    held_out_count,
    read_pretrain_images,
)
from training.task import Batch, Task
from training.weights import StateDict

START_FILE = "start.safetensors"
EVALUATION_BATCH = 32


class BackboneLoop(LoopSettings):
    """`LoopSettings` with this stage's defaults (METHOD.md, Table 1: SGD, 0.01, 200 epochs)."""

    epochs: int = Field(default=200, ge=1, le=100_000)
    batch_size: int = Field(default=64, ge=1, le=1 << 16)
    warmup_epochs: float = Field(default=3.0, ge=0)
    eval_every: int = Field(default=10, ge=1)
    eval_at_start: bool = True
    checkpoint_every: int = Field(default=10, ge=1)


class BackboneSection(Section):
    """How the backbone is pretrained.

    Attributes:
        name: of the architecture.
        start: `scratch`, or a local safetensors file in the library's keys.
        image_size: pixels; images are stretched to this square.
        freeze_stages: the lowest ones that keep their start; None: 2 of a start, 0 from scratch.
        distilled_stages: how many of the highest learn from the anomaly maps.
        distance: of attention and anomaly map: `cosine`, `l2`, or `auto`: cosine, since every backbone here
            is a CNN (Eq. 7's L2 is for backbones of the ViT family).
        lam: weight of the distillation (Eq. 8); `auto` measures it on the first batch, 0 trains the pretext
            task alone.
        augment: of images and maps.
        loop: how long and how it is trained.
    """

    name: str = "yolov8n"
    start: str = SCRATCH
    image_size: int = Field(default=224, ge=64, le=2048, multiple_of=32)
    freeze_stages: int | None = Field(default=None, ge=0)
    distilled_stages: int = Field(default=2, ge=1)
    distance: Literal["auto", "cosine", "l2"] = "auto"
    lam: Literal["auto"] | float = "auto"
    augment: AugmentSection = AugmentSection()
    loop: BackboneLoop = BackboneLoop()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return canonical(name)
        except UserError as error:
            raise ValueError(str(error)) from None

    @property
    def frozen_stages(self) -> int:
        """`freeze_stages`, or what it stands for."""
        if self.freeze_stages is not None:
            return self.freeze_stages
        return 0 if self.start == SCRATCH else 2

    @property
    def measure(self) -> Distance:
        """`distance`, or what it stands for."""
        return "cosine" if self.distance == "auto" else self.distance


class PretrainModel(nn.Module):
    """Backbone and Cls head, from uint8 pixels.

    Args:
        backbone: trained in place.
        categories: of objects.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone, categories: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = ClsHead(backbone.stages[-1].channels, categories)
        self.register_buffer("mean", torch.tensor(backbone.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Feature maps of all stages and the categories' logits, of (B, 3, S, S) uint8 RGB."""
        features = self.backbone((images.float() / 255 - self.mean) / self.std)
        return features, self.head(features[-1])


class AgbpTask(Task):
    """L = L_task + λ·L_AM over the corpus' images and maps, the held-out slice apart.

    Args:
        section: the config.
        backbone: with its start's weights.
        images: that pretraining may see; the first `held_out_count` are measured and never trained on.
        seed: of the head and the augmentation.
    """

    def __init__(
        self, section: BackboneSection, backbone: Backbone, images: PretrainImages, seed: int
    ) -> None:
        count = len(backbone.stages)
        if section.distilled_stages > count or section.frozen_stages > count:
            raise UserError(
                f"{section.name} has {count} stages; lower backbone.distilled_stages or "
                "backbone.freeze_stages."
            )
        held = held_out_count(len(images))
        self.dataset = PretrainDataset(
            images, range(held, len(images)), section.image_size, section.augment, seed
        )
        self.held_out = PretrainDataset(images, range(held), section.image_size, None, seed)
        self.distilled = section.distilled_stages
        self.strides = [stage.stride for stage in backbone.stages]
        self.distillation = DistillationLoss(section.measure, None if section.lam == "auto" else section.lam)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = PretrainModel(backbone, len(images.names))
        backbone.freeze(section.frozen_stages)
        self.model: nn.Module = model

    def collate(self, items: Sequence[Batch]) -> Batch:
        """See `pretrain_data.collate`."""
        return collate(items)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 8 and its two parts, `task` and `attention`."""
        features, logits = model(batch["images"])
        task = cls_loss(logits, batch["categories"])
        attention = self.distillation.attention_loss(features[-self.distilled :], batch["maps"])
        parts = {"task": task.detach(), "attention": attention.detach()}
        return self.distillation.total(task, attention), parts

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """How attention lies over the maps of the held-out images, means over images.

        Returns:
            `similarity_<stride>` (the cosine of Eq. 7, in [0, 1]; high already for even attention where a map
            is nearly even) and `correlation_<stride>` (Pearson's, in [−1, 1]; 0 for even attention) of each
            stage, and `similarity` and `correlation`, their means over the distilled stages.
        """
        model.eval()
        sums = torch.zeros(2, len(self.strides), dtype=torch.float64)
        for start in range(0, len(self.held_out), EVALUATION_BATCH):
            stop = min(start + EVALUATION_BATCH, len(self.held_out))
            batch = collate([self.held_out[index] for index in range(start, stop)])
            features, _ = model(batch["images"].to(device))
            maps = batch["maps"].to(device)
            for stage, layer in enumerate(features):
                sums[0, stage] += similarity(layer, maps).sum().item()
                sums[1, stage] += correlation(layer, maps).sum().item()
        metrics: dict[str, float] = {}
        for name, means in zip(
            ("similarity", "correlation"), (sums / len(self.held_out)).tolist(), strict=True
        ):
            metrics |= {f"{name}_{stride}": mean for stride, mean in zip(self.strides, means, strict=True)}
            metrics[name] = sum(means[-self.distilled :]) / self.distilled
        return metrics

    def state(self) -> Mapping[str, Any]:
        """λ."""
        return self.distillation.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take back λ."""
        self.distillation.load_state(state)


@dataclass(frozen=True)
class PretrainPlan:
    """What a worker needs to build the task.

    Attributes:
        section: the config.
        corpus, maps: artifact directories.
        start: directory that holds `START_FILE`, the backbone's first weights.
        seed: of the whole training.
    """

    section: BackboneSection
    corpus: Storage
    maps: Storage
    start: Storage
    seed: int


def build_pretrain_task(payload: Mapping[str, Any]) -> AgbpTask:
    """The task of `payload["plan"]`, a `PretrainPlan`."""
    plan: PretrainPlan = payload["plan"]
    backbone = build(plan.section.name)
    with plan.start.local_copy(START_FILE) as path:
        load_start(backbone, path)
    images = read_pretrain_images(plan.corpus, plan.maps)
    return AgbpTask(plan.section, backbone, images, plan.seed)


def backbone_weights(state_dict: StateDict, backbone: Backbone) -> StateDict:
    """The backbone's part of a `PretrainModel`'s state dict, in the library's keys; `backbone` is filled."""
    prefix = "backbone."
    own = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
    backbone.load_state_dict(own)
    return backbone.library_state_dict()
