"""AGBP: a backbone learns a pretext task while its attention is drawn to the anomaly maps (Eq. 6-8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from cluster.config import Section
from cluster.errors import UserError
from cluster.storage import Storage
from training.attention import Distance, DistillationLoss
from training.attention_quality import attention_quality
from training.augment import AugmentSection
from training.backbones import SCRATCH, Backbone, Family, build, canonical, load_start
from training.loop import LoopSettings
from training.pretext import MocoSection, PretextName, PretextOutput, SimmimSection, build_pretext
from training.pretrain_data import (
    PretrainDataset,
    PretrainImages,
    collate,
    held_out_count,
    read_masks,
    read_pretrain_images,
)
from training.pretrain_model import PretrainModel
from training.task import Batch, Task
from training.weights import StateDict

START_FILE = "start.safetensors"


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
        start: `scratch`, or what `starts.resolve_start` takes: `imagenet`, `coco`, a file, a stage's
            directory, a registered model; in the library's keys.
        image_size: pixels; images are stretched to this square.
        freeze_stages: the lowest ones that keep their start; None: 2 of a start, 0 from scratch.
        pretext: what it learns beside the anomaly maps: `cls`, the object categories; `mocov3` and `simmim`,
            which need none; `none`, nothing.
        moco, simmim: settings of those two.
        distilled_stages: which learn from the anomaly maps: so many of the highest, or a list of their
            numbers, the lowest being 1.
        distance: of attention and anomaly map: `cosine`, `l2`, or `auto`: L2 within the ViT family, to which
            the maps' encoder belongs, cosine across to CNNs (Eq. 7).
        lam: weight of the distillation (Eq. 8); `auto` measures it on the first batch of all workers (the
            first part of it, with accumulation), 0 trains the pretext task alone.
        augment: of images and maps.
        loop: how long and how it is trained.
    """

    name: str = "yolov8n"
    start: str = SCRATCH
    image_size: int = Field(default=224, ge=64, le=2048, multiple_of=32)
    freeze_stages: int | None = Field(default=None, ge=0)
    pretext: PretextName = "cls"
    moco: MocoSection = MocoSection()
    simmim: SimmimSection = SimmimSection()
    distilled_stages: Annotated[int, Field(ge=1)] | tuple[Annotated[int, Field(ge=1)], ...] = 2
    distance: Literal["auto", "cosine", "l2"] = "auto"
    lam: Literal["auto"] | Annotated[float, Field(ge=0, le=1e9)] = "auto"
    augment: AugmentSection = AugmentSection()
    loop: BackboneLoop = BackboneLoop()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return canonical(name)
        except UserError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _patches_fill_the_image(self) -> "BackboneSection":
        if self.pretext == "simmim" and self.image_size % self.simmim.mask_patch:
            raise ValueError(
                f"simmim.mask_patch={self.simmim.mask_patch} doesn't divide image_size={self.image_size}; "
                "make one fit the other"
            )
        if self.pretext == "none" and self.lam == 0:
            raise ValueError("pretext=none with lam=0 leaves nothing to learn; set lam=auto")
        return self

    @property
    def frozen_stages(self) -> int:
        """`freeze_stages`, or what it stands for."""
        if self.freeze_stages is not None:
            return self.freeze_stages
        return 0 if self.start == SCRATCH else 2

    def distilled(self, count: int) -> tuple[int, ...]:
        """`distilled_stages` of a backbone of `count` stages, numbered from 0.

        Raises:
            UserError: it has not so many, or none is named.
        """
        asked = self.distilled_stages
        numbers = range(count - asked, count) if isinstance(asked, int) else [n - 1 for n in asked]
        if not numbers or len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(count)):
            raise UserError(
                f"backbone.distilled_stages={asked} doesn't fit {self.name}, which has {count} stages; give "
                f"how many of the highest, or a list of different numbers from 1 to {count}."
            )
        return tuple(sorted(numbers))

    def measure(self, family: Family) -> Distance:
        """`distance`, or what it stands for with a backbone of that family."""
        if self.distance != "auto":
            return self.distance
        return "l2" if family == "vit" else "cosine"


class AgbpTask(Task):
    """L = L_task + λ·L_AM over the corpus' images and maps, the held-out slice apart.

    Args:
        section: the config.
        backbone: with its start's weights.
        images: that pretraining may see; the first `held_out_count` are measured and never trained on.
        seed: of the heads and the augmentation.
        masks: of held-out images, by id, where there are any; see `read_masks`.

    Raises:
        UserError: the backbone has not the stages, or can't take the image size, or not this pretext task.
    """

    model: PretrainModel

    def __init__(
        self,
        section: BackboneSection,
        backbone: Backbone,
        images: PretrainImages,
        seed: int,
        masks: Mapping[str, npt.NDArray[np.bool_]] = MappingProxyType({}),
    ) -> None:
        backbone.check_size(section.image_size)
        self.distilled = section.distilled(len(backbone.stages))
        self.masks = masks
        self.distillation = DistillationLoss(
            section.measure(backbone.family), None if section.lam == "auto" else section.lam
        )
        backbone.freeze(section.frozen_stages)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            pretext = build_pretext(
                section.pretext, backbone, len(images.names), section.moco, section.simmim
            )
        self.model = PretrainModel(backbone, pretext)
        held = held_out_count(len(images))
        self.held_out = PretrainDataset(images, range(held), section.image_size, None, seed)
        self.dataset = PretrainDataset(
            images,
            range(held, len(images)),
            section.image_size,
            section.augment,
            seed,
            views=pretext.views,
            mask_patch=pretext.mask_patch,
            mask_ratio=pretext.mask_ratio,
        )

    def collate(self, items: Sequence[Batch]) -> Batch:
        """See `pretrain_data.collate`."""
        return collate(items)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 8 and its two parts, `task` and `attention`; with λ = 0 the task's alone."""
        tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
        distilled = () if self.distillation.lam == 0 else self.distilled
        output: PretextOutput = model(tensors, distilled)
        if not distilled:
            return output.loss, {"task": output.loss.detach()}
        attention = self.distillation.attention_loss(output.features, batch["maps"])
        parts = {"task": output.loss.detach(), "attention": attention.detach()}
        return self.distillation.total(output.loss, attention), parts

    def stepped(self, done: int, total: int) -> None:
        """See `Pretext.stepped`."""
        self.model.pretext.stepped(self.model.backbone, done, total)

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """See `attention_quality`, of the held-out images."""
        assert isinstance(model, PretrainModel)
        return attention_quality(model, self.held_out, self.masks, self.distilled, device)

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
    held_out = images.image_ids[: held_out_count(len(images))]
    masks = read_masks(plan.corpus, held_out, plan.section.image_size)
    return AgbpTask(plan.section, backbone, images, plan.seed, masks)


def backbone_weights(state_dict: StateDict, backbone: Backbone) -> StateDict:
    """The backbone's part of a `PretrainModel`'s state dict, in the library's keys; `backbone` is filled."""
    prefix = "backbone."
    own = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
    backbone.load_state_dict(own)
    return backbone.library_state_dict()
