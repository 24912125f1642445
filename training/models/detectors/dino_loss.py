"""DINO's loss: each layer matched to the truth, and denoising queries that know whose truth they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from transformers.loss.loss_deformable_detr import DeformableDetrHungarianMatcher, DeformableDetrImageLoss
from transformers.loss.loss_rt_detr import RTDetrLoss

from training.models import exactly
from training.models.detectors.dino_network import Decoded, Proposals

WEIGHTS = {"loss_ce": 1.0, "loss_bbox": 5.0, "loss_giou": 2.0}  # of the terms, as published
COSTS = {"class_cost": 2, "bbox_cost": 5, "giou_cost": 2}  # of the matching
FOCAL_ALPHA = 0.25


def dino_loss(
    decoded: Decoded,
    proposals: Proposals,
    labels: Sequence[Mapping[str, Tensor]],
    denoising: Mapping[str, Any] | None,
) -> dict[str, Tensor]:
    """The weighted terms: focal of the classes, L1 and GIoU of the boxes, over the number of true boxes.

    Args:
        decoded: of all queries; denoising ones come first.
        proposals: of the encoder.
        labels: `class_labels` and `boxes` (centre and size in shares) of each image.
        denoising: what the library says of the denoising queries; None where there are none.

    Returns:
        `loss_ce`, `loss_bbox` and `loss_giou` of the last layer; the same with `_aux_0` … of the layers
        before it, `_aux_encoder` of the proposals, and `_dn_0` … of each layer's denoising queries.
    """
    classes = decoded.logits.shape[-1]
    criterion: Any = DeformableDetrImageLoss(
        DeformableDetrHungarianMatcher(**COSTS), classes, FOCAL_ALPHA, ["labels", "boxes"]
    )
    count = max(sum(len(label["boxes"]) for label in labels), 1)
    added = denoising["dn_num_split"][0] if denoising else 0
    terms: dict[str, Tensor] = {}

    def judge(
        logits: Tensor, boxes: Tensor, ending: str, pairs: Any = None, boxes_in_all: int = count
    ) -> None:
        answers = {"logits": logits.float(), "pred_boxes": boxes.float()}
        matched = criterion.matcher(answers, labels) if pairs is None else pairs
        for kind in criterion.losses:
            for name, value in criterion.get_loss(kind, answers, labels, matched, boxes_in_all).items():
                terms[name + ending] = WEIGHTS[name] * value

    with exactly(decoded.logits.device):
        last = len(decoded.logits) - 1
        for layer, (logits, boxes) in enumerate(zip(decoded.logits, decoded.boxes, strict=True)):
            judge(logits[:, added:], boxes[:, added:], "" if layer == last else f"_aux_{layer}")
        judge(*proposals, ending="_aux_encoder")
        if denoising:
            pairs = RTDetrLoss.get_cdn_matched_indices(denoising, labels)
            for layer, (logits, boxes) in enumerate(zip(decoded.logits, decoded.boxes, strict=True)):
                judge(
                    logits[:, :added],
                    boxes[:, :added],
                    f"_dn_{layer}",
                    pairs,
                    count * denoising["dn_num_group"],
                )
    return terms
