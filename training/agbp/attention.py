"""Attention maps and their distillation from anomaly maps (docs/method.md#agbp, eq. 6–8)."""

from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from training.agbp.section import Distance


def attention_map(features: Tensor) -> Tensor:
    """Eq. 6: the sum of squares over the channels.

    Args:
        features: (B, C, H, W), any float dtype.

    Returns:
        (B, H, W), float32 at least (squares lose too much in half precision), ≥ 0.
    """
    wide = features if features.dtype == torch.float64 else features.float()
    return wide.square().sum(dim=1)


def resize_map(anomaly_map: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize anomaly maps (B, h, w) to (B, H, W), bilinear with pixel centres at the half."""
    return F.interpolate(anomaly_map[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def normalise(maps: Tensor) -> Tensor:
    """Flatten (B, H, W) to (B, H·W) and divide each image's map by its L2 norm.

    A map that is zero everywhere stays zero: it is similar to nothing, adds a constant to either loss and
    sends no gradient. A constant map above zero is an ordinary target: attention spread evenly.
    """
    return F.normalize(maps.flatten(1), dim=1)


def similarity(features: Tensor, anomaly_map: Tensor) -> Tensor:
    """Cosine similarity of the attention map and the resized anomaly map of each image: (B,), in [0, 1].

    Args:
        features: (B, C, H, W).
        anomaly_map: (B, h, w), ≥ 0.
    """
    attention = attention_map(features)
    target = resize_map(anomaly_map.to(attention.dtype), (features.shape[2], features.shape[3]))
    return (normalise(attention) * normalise(target)).sum(dim=1)


def correlation(features: Tensor, anomaly_map: Tensor) -> Tensor:
    """Pearson's correlation, over cells, of what `similarity` compares: (B,), −1…1; 0 if either is even."""
    attention = attention_map(features).flatten(1)
    target = resize_map(anomaly_map, (features.shape[2], features.shape[3])).to(attention.dtype).flatten(1)
    centred = [F.normalize(x - x.mean(dim=1, keepdim=True), dim=1) for x in (attention, target)]
    return (centred[0] * centred[1]).sum(dim=1)


def layer_loss(features: Tensor, anomaly_map: Tensor, distance: Distance) -> Tensor:
    """Eq. 7 for one layer: how far the attention map is from the anomaly map, mean over the batch.

    Args:
        features: (B, C, H, W).
        anomaly_map: (B, h, w), ≥ 0; it gets no gradient.
        distance: `cosine`, 1 − F̂·M̂ in [0, 1]; or `l2`, ‖F̂ − M̂‖₂ in [0, √2].
    """
    anomaly_map = anomaly_map.detach()
    if distance == "cosine":
        return (1 - similarity(features, anomaly_map)).mean()
    attention = attention_map(features)
    target = resize_map(anomaly_map.to(attention.dtype), (features.shape[2], features.shape[3]))
    distances: Tensor = torch.linalg.vector_norm(normalise(attention) - normalise(target), dim=1)
    return distances.mean()


class DistillationLoss:
    """Eq. 7-8: L_AM, the sum over the distilled layers, and the total L_task + λ·L_AM.

    λ is fixed, or measured once as L_task / L_AM on the first batch (the mean over all workers of each, when
    torch.distributed is initialised) and kept. Where either is zero then (a task with nothing to learn, such
    as classifying one category, or attention already perfect) the ratio says nothing and λ is 1.

    Args:
        distance: see `layer_loss`.
        lam: λ, or None to measure it.
    """

    def __init__(self, distance: Distance, lam: float | None = None) -> None:
        self.distance: Distance = distance
        self.lam = lam

    def attention_loss(self, features: Sequence[Tensor], anomaly_map: Tensor) -> Tensor:
        """L_AM of layers, each (B, C, H, W), against maps (B, h, w)."""
        losses = [layer_loss(layer, anomaly_map, self.distance) for layer in features]
        return torch.stack(losses).sum()

    def total(self, task_loss: Tensor, attention_loss: Tensor) -> Tensor:
        """Eq. 8; the first call measures λ unless it is fixed."""
        if self.lam is None:
            self.lam = _ratio(task_loss, attention_loss)
        return task_loss + self.lam * attention_loss

    def state(self) -> dict[str, float]:
        """λ, once it is known."""
        return {} if self.lam is None else {"lam": self.lam}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Take back what `state` gave."""
        self.lam = state.get("lam", self.lam)


def _ratio(task_loss: Tensor, attention_loss: Tensor) -> float:
    both = torch.stack([task_loss.detach().float(), attention_loss.detach().float()])
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(both)  # the ratio of sums is that of means
    task, attention = both.tolist()
    return task / attention if task > 0 and attention > 0 else 1.0
