"""AA-CLIP's two stages: text anchors against frozen patches, then patches against the anchors."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cluster.errors import UserError
from pipelines.encoder import LoadedEncoder, load_encoder, require_dense_vit
from pipelines.heads import (
    AaClipAdapters,
    adapted_anchor,
    adapted_image,
    cosine_logits,
    require_text_blocks,
    tokens_as_maps,
)
from training.heads.losses import map_losses
from training.heads.reading import levels_of
from training.heads.task import HeadPlan, HeadTask, target_of
from training.loop import Batch

FEWEST_EPOCHS = 2  # one of each stage
TEXT_SHARE = 5  # the first stage has a fifth of the epochs: 5 of 25 in the paper's code
DISENTANGLE = 0.1  # γ, weight of the anchors' squared cosine

Sentences = tuple[tuple[str, ...], tuple[str, ...]]  # of the normal and of the anomalous anchor


class AaClip(nn.Module):
    """The frozen encoder with its adapters; the adapters alone are its state.

    Args:
        encoder: the frozen encoder.
        layers: blocks whose patches are read, from 1.
        sentences: those of each category's anchors.

    Raises:
        UserError: see `require_text_blocks`.
    """

    def __init__(
        self, encoder: LoadedEncoder, layers: tuple[int, ...], sentences: tuple[Sentences, ...]
    ) -> None:
        super().__init__()
        self.adapters = AaClipAdapters(encoder, len(layers))
        self.layers = layers
        # In a tuple, so that the frozen towers are no part of the state that is kept.
        self._frozen = (require_text_blocks(encoder),)
        self._tokens = [tuple(encoder.tokenizer(list(texts)) for texts in both) for both in sentences]
        self._colours = [torch.tensor(each).view(3, 1, 1) for each in (encoder.mean, encoder.std)]

    def anchors(self, categories: Tensor) -> Tensor:
        """(B, 2, D) L2-normalised anchors, normal and anomalous, of (B,) numbers of categories."""
        clip, device = self._clip(), self.adapters.text_projection.device
        given = categories.tolist()
        numbers = sorted(set(given))
        pairs = [
            torch.stack(
                [adapted_anchor(clip, self.adapters, each.to(device)) for each in self._tokens[number]]
            )
            for number in numbers
        ]
        return torch.stack(pairs)[[numbers.index(number) for number in given]]

    def embedded(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, D) image embeddings and (B, g, g, D) patches of each level, of (B, 3, S, S) uint8 images."""
        mean, std = (each.to(pixels.device) for each in self._colours)
        visual = require_dense_vit(self._clip().visual)
        dense = adapted_image(visual, self.adapters, (pixels.float() / 255 - mean) / std, self.layers)
        return dense.cls, [level.permute(0, 2, 3, 1) for level in tokens_as_maps(dense.patches)]

    def _clip(self) -> Any:
        return self._frozen[0].to(self.adapters.text_projection.device)


class AaClipTask(HeadTask):
    """Adapters that learn where defects are, the text's first.

    Args:
        plan: see `HeadPlan`; `shapes` are the blocks read.

    Raises:
        UserError: fewer than two epochs; see `AaClip`.
    """

    model: AaClip

    def new_model(self) -> nn.Module:
        """The adapters before the first step."""
        if self.plan.epochs < FEWEST_EPOCHS:
            raise UserError(
                "AA-CLIP learns in two stages, of an epoch each at least: heads.loop.epochs must be "
                f"{FEWEST_EPOCHS} or more, not {self.plan.epochs}."
            )
        encoder = load_encoder(*self.plan.encoder)
        return AaClip(encoder, tuple(self.plan.shapes), self.plan.sentences)

    @property
    def adapts_text(self) -> bool:
        """Whether the epoch is one of the first stage."""
        return self.dataset.epoch <= max(1, self.plan.epochs // TEXT_SHARE)

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Focal, dice and the image's cross-entropy; in the first stage `disentangle` too."""
        assert isinstance(model, AaClip)
        if self.adapts_text:
            anchors = model.anchors(batch["category"])
            cls, levels = batch["cls"].float(), [each.permute(0, 2, 3, 1) for each in levels_of(batch)]
        else:
            with torch.no_grad():
                anchors = model.anchors(batch["category"])
            cls, levels = model.embedded(batch["pixels"])
        logits, image_logits = self._compared(anchors, cls, levels)
        parts = map_losses(logits, target_of(batch), both=False)
        parts["image"] = F.binary_cross_entropy_with_logits(image_logits, batch["defective"].float())
        if self.adapts_text:
            parts["disentangle"] = DISENTANGLE * disentangle(anchors)
        loss = torch.stack(list(parts.values())).sum()
        return loss, {name: part.detach() for name, part in parts.items()}

    def logits(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """See `HeadTask.logits`; those of the maps, whatever the stage is."""
        assert isinstance(model, AaClip)
        cls, levels = model.embedded(batch["pixels"])
        return self._compared(model.anchors(batch["category"]), cls, levels)

    def _compared(self, anchors: Tensor, cls: Tensor, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        t_n, t_a, tau = anchors[:, 0], anchors[:, 1], self.plan.temperature
        stages = [cosine_logits(level, t_n, t_a, tau) for level in levels]
        return torch.stack(stages, 1), (cls * (t_a - t_n)).sum(-1) / tau


def disentangle(anchors: Tensor) -> Tensor:
    """`mean ⟨t_n, t_a⟩²`, 0 where the anchors are orthogonal.

    Args:
        anchors: (B, 2, D) L2-normalised.
    """
    return ((anchors[:, 0] * anchors[:, 1]).sum(-1) ** 2).mean()


def build_aaclip_task(plan: HeadPlan) -> AaClipTask:
    """The task of a plan."""
    return AaClipTask(plan)
