"""ultralytics' detection loss with a factor for each box of the truth."""

from typing import Any

import torch
from torch import Tensor

from training.models import v8DetectionLoss


class WeightedDetectionLoss(v8DetectionLoss):  # type: ignore[misc]
    """`v8DetectionLoss` with each anchor's terms multiplied by the weight of its box.

    Box, DFL (or L1) and class terms of the anchors that a box of weight w is assigned to count w times;
    anchors of the background and the normaliser stay. A batch without `weights` gives the library's loss bit
    by bit.
    """

    def __init__(self, model: Any, tal_topk: int = 10, tal_topk2: int | None = None) -> None:
        self.assigner: Any
        self.bbox_loss: Any
        self.class_weights: Tensor | None  # factors of the class terms, in any shape that goes with them
        super().__init__(model, tal_topk, tal_topk2)
        self._library_assigner: Any = self.assigner
        self._library_bbox_loss: Any = self.bbox_loss
        self.assigner, self.bbox_loss = self._assign, self._weighted_bbox_loss
        self._weights: Tensor | None = None

    def loss(self, preds: dict[str, Any], batch: dict[str, Tensor]) -> Any:
        """See the library's; `batch["weights"]` (N,) is optional."""
        self._weights, self.class_weights = None, None
        if "weights" in batch and len(batch["weights"]):
            columns = [batch["batch_idx"].view(-1, 1), batch["weights"].view(-1, 1), batch["bboxes"]]
            unit = torch.ones(4, device=self.device)
            self._weights = self.preprocess(torch.cat(columns, 1), len(preds["boxes"]), unit)[..., 0]
        return super().loss(preds, batch)

    def _assign(self, *arguments: Any, **more: Any) -> Any:
        assigned = self._library_assigner(*arguments, **more)
        if self._weights is not None:
            foreground, box = assigned[3:5]
            weights = torch.where(foreground, self._weights.gather(1, box.long()), 1.0)
            self.class_weights = weights[..., None]
        return assigned

    def _weighted_bbox_loss(self, *arguments: Any) -> Any:
        distances, boxes, points, truth, scores, *rest = arguments
        if self.class_weights is not None:
            scores = scores * self.class_weights
        return self._library_bbox_loss(distances, boxes, points, truth, scores, *rest)
