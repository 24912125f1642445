"""AGBP: a backbone learns a pretext task while its attention is drawn to the anomaly maps (Eq. 6-8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cluster.storage import Storage
from training.agbp.attention import DistillationLoss
from training.agbp.attention_quality import attention_quality
from training.agbp.data import (
    PretrainDataset,
    PretrainImages,
    collate,
    held_out_count,
    read_masks,
    read_pretrain_images,
)
from training.agbp.model import PretrainModel
from training.agbp.pretext import PretextOutput, build_pretext
from training.agbp.section import BackboneSection
from training.loop import START_FILE, Batch, Task
from training.models.backbones import Backbone, build, load_start
from training.weights import StateDict


class AgbpTask(Task):
    """L = L_task + λ·L_AM over the corpus' images and maps, without the held-out slice.

    Args:
        section: the config.
        backbone: the backbone with its start's weights.
        images: images that pretraining may see; the first `held_out_count` are measured, never trained on.
        seed: random seed of the heads and the augmentation.
        masks: masks of held-out images, by id, where there are any; see `read_masks`.

    Raises:
        UserError: the backbone lacks the stages, or can't take the image size or this pretext task.
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
        seed: the training's random seed.
    """

    section: BackboneSection
    corpus: Storage
    maps: Storage
    start: Storage
    seed: int


def build_pretrain_task(plan: PretrainPlan) -> AgbpTask:
    """The task of a plan; called in every worker."""
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
    backbone_state = {
        key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)
    }
    backbone.load_state_dict(backbone_state)
    return backbone.library_state_dict()
