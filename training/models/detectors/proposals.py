"""Faster R-CNN's region proposals in fixed numbers, so that whole batches can be traced."""

import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms
from torchvision.ops.boxes import clip_boxes_to_image

SMALLEST = 1e-3  # pixels; torchvision drops proposals with a smaller side


def choose_proposals(
    boxes: Tensor,
    logits: Tensor,
    per_level: list[int],
    *,
    size: tuple[int, int],
    before: int,
    after: int,
    iou: float,
) -> tuple[Tensor, Tensor]:
    """What `RegionProposalNetwork.filter_proposals` chooses, padded to one number of proposals per image.

    Args:
        boxes: (B, A, 4) x0 y0 x1 y1 pixels.
        logits: (B, A), that the box holds an object.
        per_level: how many of the A each level of the pyramid has, in order.
        size: height and width of the images.
        before, after: number of best boxes that suppression compares per level, and keeps per image.
        iou: overlap above which suppression drops the worse of two boxes of a level.

    Returns:
        Proposals (B, P, 4), best first, and whether each is one (B, P) or padding.
    """
    best, levels, offset = [], [], 0
    for level, count in enumerate(per_level):
        best_count = min(before, count)
        best.append(logits[:, offset : offset + count].topk(best_count, dim=1).indices + offset)
        levels.append(torch.full((best_count,), level, device=boxes.device))
        offset += count
    index, level_of = torch.cat(best, dim=1), torch.cat(levels)
    scores = logits.gather(1, index).sigmoid()
    chosen = clip_boxes_to_image(boxes.gather(1, index[..., None].expand(-1, -1, 4)), size)
    seen = ((chosen[..., 2:] - chosen[..., :2]) >= SMALLEST).all(-1)
    kept_mask = seen & _unsuppressed(chosen, torch.where(seen, scores, -1.0), level_of, iou)
    # Scores are in [0, 1], so all that was dropped comes last.
    order = torch.where(kept_mask, scores, -1.0).topk(min(after, scores.shape[1]), dim=1).indices
    return chosen.gather(1, order[..., None].expand(-1, -1, 4)), kept_mask.gather(1, order)


def _unsuppressed(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Which of (B, N) boxes NMS keeps, image by image and group by group."""
    images, count = scores.shape
    if torch.compiler.is_exporting():
        # One suppression over the batch, whatever its size: each group moved to a place of its own.
        apart = groups[None] + torch.arange(images, device=boxes.device)[:, None] * (groups[-1] + 1)
        moved = boxes + (apart * (boxes.max() + 1))[..., None]
        survivors = nms(moved.reshape(-1, 4), scores.reshape(-1), iou)
        flat = torch.zeros_like(scores, dtype=torch.bool).reshape(-1)
        return flat.index_fill(0, survivors, True).reshape(images, count)
    mask = torch.zeros_like(scores, dtype=torch.bool)
    for image in range(images):  # the same, much faster: NMS grows with the square of its boxes
        mask[image, batched_nms(boxes[image], scores[image], groups, iou)] = True
    return mask
