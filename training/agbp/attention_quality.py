"""How attention lies over anomaly maps and true defects, on held-out images."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.maps import pixel_auroc
from training.agbp.attention import attention_map, correlation, normalise, similarity
from training.agbp.data import PretrainDataset, collate
from training.agbp.model import PretrainModel
from training.loop import Batch
from training.models.backbones import Backbone

BATCH = 32


@torch.no_grad()
def attention_quality(
    model: PretrainModel,
    images: PretrainDataset,
    masks: Mapping[str, npt.NDArray[np.bool_]],
    distilled: Sequence[int],
    device: torch.device,
) -> dict[str, float]:
    """Similarity of attention and anomaly map, and the attention's pixel AUROC; `model` is left in eval mode.

    Args:
        model: the model, on `device`.
        images: images without augmentation.
        masks: true defects by image id, (S, S) bool each with at least one True; may be empty.
        distilled: the stages, from 0, to average over.
        device: the device to compute on.

    Returns:
        Figures of each stage, as `<figure>_<stage_names>`, and their means over the distilled stages:
        `similarity`: the cosine of Eq. 7, mean over images, in [0, 1]; high already for even attention where
        a map is nearly even. `correlation`: Pearson's, mean over images, in [−1, 1]; 0 for even attention.
        `auroc`, where any image has a mask: over the pixels of these images together, of attention that is
        normalised per image as in Eq. 7, in [0, 1]; 0.5 for even attention.
    """
    names = stage_names(model.backbone)
    sums = torch.zeros(2, len(names), dtype=torch.float64)
    attentions: list[list[npt.NDArray[np.float32]]] = [[] for _ in names]
    truths: list[npt.NDArray[np.bool_]] = []
    for batch, features in held_out_features(model, images, range(len(images)), device):
        maps = batch["maps"].to(device)
        masked = [row for row, name in enumerate(batch["image_ids"]) if name in masks]
        truths += [masks[batch["image_ids"][row]] for row in masked]
        for stage, layer in enumerate(features):
            sums[0, stage] += similarity(layer, maps).sum().item()
            sums[1, stage] += correlation(layer, maps).sum().item()
            attentions[stage] += list(normalised_attention(layer[masked]))
    means = dict(zip(("similarity", "correlation"), (sums / len(images)).tolist(), strict=True))
    if any(not mask.all() for mask in truths):
        means["auroc"] = [pixel_auroc(attention, truths) for attention in attentions]
    metrics: dict[str, float] = {}
    for figure, values in means.items():
        metrics |= {f"{figure}_{name}": value for name, value in zip(names, values, strict=True)}
        metrics[figure] = sum(values[stage] for stage in distilled) / len(distilled)
    return metrics


def stage_names(backbone: Backbone) -> list[str]:
    """Stages as figures name them: by stride, or where strides repeat (ViT) by number from 1."""
    strides = [str(stage.stride) for stage in backbone.stages]
    if len(set(strides)) == len(strides):
        return strides
    return [f"stage{number}" for number in range(1, len(strides) + 1)]


def normalised_attention(features: Tensor) -> npt.NDArray[np.float32]:
    """F̂ of Eq. 7 in its shape, (B, H, W), on the CPU."""
    attention = attention_map(features)
    return normalise(attention).reshape(attention.shape).float().cpu().numpy()


def held_out_features(
    model: PretrainModel, images: PretrainDataset, indices: Sequence[int], device: torch.device
) -> Iterator[tuple[Batch, list[Tensor]]]:
    """Batches of images that are not augmented, and the feature maps of all stages, in eval mode."""
    model.eval()
    for start in range(0, len(indices), BATCH):
        batch = collate([images[index] for index in indices[start : start + BATCH]])
        yield batch, model.features(batch["images"].to(device))
