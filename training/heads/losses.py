"""The losses of map heads: focal and dice, on the sum of stages, as April-GAN and AnomalyCLIP have them."""

import torch
import torch.nn.functional as F
from torch import Tensor

GAMMA = 2.0  # of the focal loss
SMOOTH = 1.0  # of dice: a picture without a defect and without a found one has none


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """`mean |y − p|^γ · BCE(p, y)`, γ = 2; of masks of 0 and 1 Lin et al.'s focal loss with α = 1.

    Args:
        logits: any shape.
        target: the share of each place that is defective, 0…1, of the same shape.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return ((target - logits.sigmoid()).abs() ** GAMMA * entropy).mean()


def dice(probability: Tensor, target: Tensor) -> Tensor:
    """`1 − (2·Σ p·y + 1) / (Σ p + Σ y + 1)`, the mean over images.

    Args:
        probability, target: (B, …) in 0…1.
    """
    p, y = probability.flatten(1), target.flatten(1)
    return (1 - (2 * (p * y).sum(1) + SMOOTH) / (p.sum(1) + y.sum(1) + SMOOTH)).mean()


def map_losses(logits: Tensor, target: Tensor, *, both: bool) -> dict[str, Tensor]:
    """Focal and dice loss, each summed over stages.

    Args:
        logits: (B, stages, g, g); they are upsampled to the target's side, bilinearly.
        target: (B, M, M), 0…1.
        both: whether dice is of the normal pixels too, as AnomalyCLIP has it.
    """
    size = (target.shape[-2], target.shape[-1])
    fine = F.interpolate(logits, size, mode="bilinear", align_corners=False)
    focals, dices = [], []
    for stage in fine.unbind(1):
        focals.append(focal(stage, target))
        probability = stage.sigmoid()
        dices.append(dice(probability, target))
        if both:
            dices.append(dice(1 - probability, 1 - target))
    return {"focal": torch.stack(focals).sum(), "dice": torch.stack(dices).sum()}
