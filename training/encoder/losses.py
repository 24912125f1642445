"""The losses of surface-clip: captions, image scores, dense maps, few-shot matching."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.encoder import DenseEmbeddings
from training.encoder.production_line import SAMPLES_PER_LINE
from training.encoder.text import Captions

TEMPERATURE = 0.07  # KeAD's τ
FULL_COVER = 0.25  # share of defective pixels at which a patch is fully anomalous
FEW_MARGIN, FEW_WIDTH = 0.2, 0.05  # distance to the nearest normal patch that tells normal from anomalous


@dataclass(frozen=True)
class Losses:
    """The terms of one step, scalars."""

    contrastive: Tensor
    image: Tensor
    dense: Tensor
    few: Tensor

    def total(self) -> Tensor:
        return 0.5 * self.contrastive + 0.5 * self.image + self.dense + 0.5 * self.few


def dense_loss(patches: list[Tensor], t_n: Tensor, t_a: Tensor, cover: Tensor) -> Tensor:
    """Aligns every layer's patches with the category's text: cross-entropy of eq. 1 per layer, dice of eq. 3.

    Args:
        patches: (B, N, D) per layer, L2-normalised.
        t_n, t_a: (B, D), text embeddings of each image's category.
        cover: (B, N), defective share of each patch, 0…1.
    """
    target = (cover / FULL_COVER).clamp(max=1)
    # Defects are rare; without weights the small ones would be lost.
    weight = torch.where(target > 0, 1 + 3 * target, 1.0)
    direction = ((t_a - t_n) / TEMPERATURE).unsqueeze(-1)
    logits = [torch.bmm(layer.float(), direction).squeeze(-1) for layer in patches]
    entropy = torch.stack(
        [F.binary_cross_entropy_with_logits(layer, target, weight=weight) for layer in logits]
    ).mean()
    zero = torch.stack([layer.sigmoid() for layer in logits]).mean(0)
    dice = 1 - (2 * (zero * target).sum() + 1) / (zero.sum() + target.sum() + 1)
    return entropy + 0.5 * dice


def few_shot_loss(patches: list[Tensor], cover: Tensor) -> Tensor:
    """Makes eq. 5 work: a normal patch lies near those of the look's other images, an anomalous one far.

    Args:
        patches: (B, N, D) per layer, L2-normalised; every `SAMPLES_PER_LINE` rows are one look.
        cover: (B, N), defective share of each patch, 0…1.
    """
    looks, size = len(cover) // SAMPLES_PER_LINE, cover.shape[1] * SAMPLES_PER_LINE
    cover = cover.view(looks, size)
    image = torch.arange(SAMPLES_PER_LINE).repeat_interleave(size // SAMPLES_PER_LINE)
    usable = (image[:, None] != image[None, :]) & (cover == 0)[:, None, :]
    compared = usable.any(-1)
    target = (cover / FULL_COVER).clamp(max=1)[compared]
    terms = []
    for layer in patches:
        embeddings = layer.float().reshape(looks, size, -1)
        similarity = (embeddings @ embeddings.mT).masked_fill(~usable, -1.0).amax(-1)[compared]
        logits = (0.5 * (1 - similarity) - FEW_MARGIN) / FEW_WIDTH
        terms.append(F.binary_cross_entropy_with_logits(logits, target, weight=1 + 3 * target))
    return torch.stack(terms).mean()


def step_losses(
    embedded: DenseEmbeddings,
    cover: Tensor,
    category: Tensor,
    defect: Tensor,
    captions: Captions,
    logit_scale: Tensor,
) -> Losses:
    """All terms for one embedded batch of looks.

    Args:
        embedded: embeddings of rows from `draw_looks`.
        cover: (B, N), as in `SurfacePool`.
        category, defect: (B,), as in `SurfacePool`.
        captions: embeddings by the locked text tower.
        logit_scale: scalar, the learnt log of the inverse temperature.
    """
    t_n, t_a = captions.t_n[category], captions.t_a[category]
    matches = (captions.classes[None, :, 0] == category[:, None]) & (
        captions.classes[None, :, 1] == defect[:, None]
    )
    cls = embedded.cls.float()
    similarity = logit_scale.exp().clamp(max=50) * cls @ captions.captions.T
    present = matches.any(0)
    share = matches[:, present].float().T / matches[:, present].sum(0).unsqueeze(1)
    to_image = -(share * F.log_softmax(similarity[:, present].T, dim=1)).sum(1).mean()
    to_text = F.cross_entropy(similarity, matches.float().argmax(1))
    image_logit = (cls * (t_a - t_n)).sum(-1) / TEMPERATURE
    return Losses(
        contrastive=(to_text + to_image) / 2,
        image=F.binary_cross_entropy_with_logits(image_logit, (defect >= 0).float()),
        dense=dense_loss(embedded.patches, t_n, t_a, cover),
        few=few_shot_loss(embedded.patches, cover),
    )
