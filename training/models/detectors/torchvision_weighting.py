"""torchvision's two-stage losses with a factor for each box of the truth; factors of 1 give the library's."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BETA = 1 / 9  # the library's, of its smooth L1


def proposal_loss(
    rpn: Any,
    logits: Tensor,
    deltas: Tensor,
    labels: list[Tensor],
    regression: Sequence[Tensor],
    factors: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Objectness and box loss of a `RegionProposalNetwork`, after its `compute_loss`.

    Args:
        rpn: samples the anchors.
        logits: (B, A).
        deltas: (B·A, 4).
        labels: (A,) for each image: 1 object, 0 background, −1 neither.
        regression: (A, 4) for each image.
        factors: (B·A,), used for anchors that are objects; None gives the library's own loss.
    """
    if factors is None:
        plain: tuple[Tensor, Tensor] = rpn.compute_loss(logits, deltas, labels, regression)
        return plain
    positive, negative = (torch.where(torch.cat(chosen))[0] for chosen in rpn.fg_bg_sampler(labels))
    sampled = torch.cat([positive, negative])
    weight = torch.where(torch.cat(labels) > 0, factors, 1.0)
    objectness = F.binary_cross_entropy_with_logits(
        logits.flatten()[sampled], torch.cat(labels)[sampled], weight[sampled]
    )
    distance = F.smooth_l1_loss(
        deltas[positive], torch.cat(list(regression))[positive], beta=BETA, reduction="none"
    )
    return objectness, (distance.sum(1) * weight[positive]).sum() / sampled.numel()


def head_loss(
    logits: Tensor,
    deltas: Tensor,
    labels: list[Tensor],
    regression: Sequence[Tensor],
    factors: Sequence[Tensor] | None,
) -> tuple[Tensor, Tensor]:
    """Class and box loss of the box head, after `fastrcnn_loss`.

    Args:
        logits: (N, 1 + C).
        deltas: (N, 4 + 4·C).
        labels: classes of each image's samples; 0 is the background.
        regression: (…, 4) for each image's samples.
        factors: weights of each image's samples, used where they are objects.
    """
    label = torch.cat(labels)
    weight = torch.ones_like(logits[:, 0])
    if factors is not None:
        weight = torch.where(label > 0, torch.cat(list(factors)), weight)
    positive = torch.where(label > 0)[0]
    classes = (F.cross_entropy(logits, label, reduction="none") * weight).mean()
    predicted = deltas.reshape(len(label), -1, 4)[positive, label[positive]]
    distance = F.smooth_l1_loss(predicted, torch.cat(list(regression))[positive], beta=BETA, reduction="none")
    return classes, (distance.sum(1) * weight[positive]).sum() / label.numel()


def anchor_factors(labels: list[Tensor], matched: list[Tensor], truths: list[dict[str, Tensor]]) -> Tensor:
    """The weight of the box that each anchor of all images was matched with, 1 without one.

    Args:
        labels, matched: results of `RegionProposalNetwork.assign_targets_to_anchors`.
        truths: each image's targets with `boxes` and `weights`.
    """
    factors = []
    for label, box, truth in zip(labels, matched, truths, strict=True):
        factor = torch.ones_like(label)
        positive = torch.where(label > 0)[0]
        if len(positive):
            same = (box[positive][:, None] == truth["boxes"][None]).all(-1)
            factor[positive] = truth["weights"][same.int().argmax(1)]
        factors.append(factor)
    return torch.cat(factors)
