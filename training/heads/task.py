"""The task of a head: kept features in, focal and dice loss, held-out defects as the judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cluster.storage import Storage
from pipelines.encoder import load_encoder
from pipelines.heads import HeadMethod, cosine_logits
from training.heads.losses import map_losses
from training.heads.prompts import LearntPrompts
from training.heads.quality import PixelQuality
from training.heads.reading import levels_of, new_head
from training.heads.shards import AT_ONCE, Shards, stacked
from training.loop import Batch, SeededDataset, Task


@dataclass(frozen=True)
class HeadPlan:
    """What is needed to build the task.

    Attributes:
        method: the map method.
        directory: the stage's directory, with the kept features.
        train, validation: indices of the kept examples.
        shapes: `FeatureReader.shapes`; nothing for AnomalyCLIP, the blocks read for AA-CLIP.
        temperature: τ of the methods that compare with text.
        encoder: model and weights of the maps' encoder, for the towers of AnomalyCLIP and AA-CLIP.
        seed: seed of the head's first weights and of the order.
        epochs: of the whole training, for AA-CLIP's stages.
        sentences: of AA-CLIP's anchors, by category, normal and anomalous.
    """

    method: HeadMethod
    directory: Storage
    train: tuple[int, ...]
    validation: tuple[int, ...]
    shapes: Any
    temperature: float
    encoder: tuple[str, str | None]
    seed: int
    epochs: int = 0
    sentences: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()


class KeptFeatures(SeededDataset):
    """Examples as they were kept; nothing is drawn anew.

    Args:
        shards: the kept tensors.
        indices: which of them.
        seed: the training's seed.
    """

    def __init__(self, shards: Shards, indices: Sequence[int], seed: int) -> None:
        super().__init__(seed)
        self.shards, self.indices = shards, tuple(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Batch:
        return {**self.shards[self.indices[index]], "image_ids": str(self.indices[index])}


class HeadTask(Task):
    """A head that learns where defects are.

    Args:
        plan: see `HeadPlan`.

    Raises:
        UserError: see `LearntPrompts`.
    """

    def __init__(self, plan: HeadPlan) -> None:
        self.plan = plan
        self.model = self.new_model()
        shards = Shards(plan.directory, len(plan.train) + len(plan.validation))
        self.dataset: SeededDataset = KeptFeatures(shards, plan.train, plan.seed)
        self.held_out = KeptFeatures(shards, plan.validation, plan.seed)

    def new_model(self) -> nn.Module:
        """The model before its first step."""
        if self.plan.method == "anomalyclip":
            return LearntPrompts(load_encoder(*self.plan.encoder), self.plan.seed)
        return new_head(self.plan.method, self.plan.shapes, self.plan.seed)

    def collate(self, items: Sequence[Batch]) -> Batch:
        """See `stacked`."""
        return stacked(items)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Focal plus dice loss; of AnomalyCLIP with the image's cross-entropy too."""
        logits, image_logits = self.logits(model, batch)
        parts = map_losses(logits, target_of(batch), both=self.plan.method == "anomalyclip")
        if image_logits is not None:
            parts["image"] = F.binary_cross_entropy_with_logits(image_logits, batch["defective"].float())
        loss = torch.stack(list(parts.values())).sum()
        return loss, {name: part.detach() for name, part in parts.items()}

    def logits(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """(B, stages, g, g) logits of places, and (B,) of the images where the method learns them."""
        levels, tau = levels_of(batch), self.plan.temperature
        if self.plan.method == "painted":
            return model(levels), None
        if self.plan.method == "aprilgan":
            return model(levels, batch["t_n"].float(), batch["t_a"].float(), tau), None
        t_n, t_a = model()
        stages = [cosine_logits(level.permute(0, 2, 3, 1), t_n[None], t_a[None], tau) for level in levels]
        return torch.stack(stages, 1), (batch["cls"].float() * (t_a - t_n)).sum(-1) / tau

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """`pixel_ap` and `pixel_auroc` of the held-out examples' masks."""
        model.eval()
        quality = PixelQuality()
        for start in range(0, len(self.held_out), AT_ONCE):
            places = range(start, min(start + AT_ONCE, len(self.held_out)))
            batch = on_device(self.collate([self.held_out[place] for place in places]), device)
            probability = self.logits(model, batch)[0].sigmoid().mean(1, keepdim=True)
            target = target_of(batch)
            fine = F.interpolate(probability, target.shape[-1], mode="bilinear", align_corners=False)
            quality.add(fine[:, 0].cpu().numpy(), target.cpu().numpy())
        return {"pixel_ap": quality.average_precision(), "pixel_auroc": quality.auroc()}


def on_device(batch: Batch, device: torch.device) -> Batch:
    """A batch with its tensors moved."""
    return {name: one.to(device) if isinstance(one, Tensor) else one for name, one in batch.items()}


def target_of(batch: Mapping[str, Any]) -> Tensor:
    """(B, M, M) float32, the share of each place that is defective."""
    mask: Tensor = batch["mask"]
    return mask.float() / 255


def build_head_task(plan: HeadPlan) -> HeadTask:
    """The task of a plan."""
    return HeadTask(plan)
