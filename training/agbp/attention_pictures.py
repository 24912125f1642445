"""Pictures of a backbone's attention before and after it was pretrained, beside the anomaly maps."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from training.agbp.attention_quality import held_out_features, normalised_attention, stage_names
from training.agbp.data import PretrainDataset
from training.agbp.model import PretrainModel
from training.agbp.pretext import DistillationAlone
from training.models.backbones import Backbone
from training.pictures import Picture, heat_over, mask_over

SHOWN = 6
SIDE, GAP, HEADER = 150, 6, 22  # pixels
INK, PAPER = (60, 60, 60), 255

Values = npt.NDArray[np.float32]


def attention_sheet(
    before: Backbone,
    after: Backbone,
    images: PretrainDataset,
    masks: Mapping[str, npt.NDArray[np.bool_]],
    distilled: Sequence[int],
) -> Picture:
    """One picture: a row an image, with its defect (if any has a mask), its anomaly map and its attention.

    Images with masks come first, else in the order of their hashes: how well one came out plays no part.
    Each map's colours span its own values.

    Args:
        before, after: the backbones, on the CPU; left in eval mode.
        images: images without augmentation; the sheet shows the first few.
        masks: defect masks by image id, (S, S) bool; may be empty.
        distilled: the stages to show, from 0.
    """
    ids = [images.images.image_ids[at] for at in images.indices]
    chosen = sorted(range(len(ids)), key=lambda index: ids[index] not in masks)[:SHOWN]
    items = [images[index] for index in chosen]
    columns: list[tuple[str, list[Picture]]] = []
    pictures = [_fitted(item["images"][0].permute(1, 2, 0).numpy()) for item in items]
    columns.append(("image", pictures))
    if any(item["image_id"] in masks for item in items):
        truths = [masks.get(item["image_id"], np.zeros((1, 1), np.bool_)) for item in items]
        columns.append(("defect", [mask_over(*pair) for pair in zip(pictures, truths, strict=True)]))
    columns.append(("anomaly map", _heated(pictures, [item["maps"][0].numpy() for item in items])))
    names = stage_names(after)
    attentions = [_attention(backbone, images, chosen, distilled) for backbone in (before, after)]
    for place, stage in enumerate(distilled):
        title = f"stride {names[stage]}" if names[stage].isdigit() else names[stage]
        for when, attention in zip(("before", "after"), attentions, strict=True):
            columns.append((f"{title}, {when}", _heated(pictures, attention[place])))
    return _sheet(columns)


def _attention(
    backbone: Backbone, images: PretrainDataset, chosen: Sequence[int], stages: Sequence[int]
) -> list[list[Values]]:
    """The attention of each image, by stage."""
    model = PretrainModel(backbone, DistillationAlone())
    attentions: list[list[Values]] = [[] for _ in stages]
    with torch.no_grad():
        for _, features in held_out_features(model, images, chosen, torch.device("cpu")):
            for place, stage in enumerate(stages):
                attentions[place] += list(normalised_attention(features[stage]))
    return attentions


def _fitted(image: Picture) -> Picture:
    shrinks = image.shape[0] > SIDE
    fitted: Picture = cv2.resize(
        image, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    return fitted


def _heated(pictures: Sequence[Picture], maps: Sequence[Values]) -> list[Picture]:
    heated = []
    for picture, values in zip(pictures, maps, strict=True):
        low, high = float(values.min()), float(values.max())
        smooth = cv2.resize(values, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        heated.append(heat_over(picture, smooth, low, max(high, low + 1e-6)))
    return heated


def _sheet(columns: Sequence[tuple[str, Sequence[Picture]]]) -> Picture:
    rows, step = len(columns[0][1]), SIDE + GAP
    sheet = np.full((HEADER + rows * step, GAP + len(columns) * step, 3), PAPER, np.uint8)
    for column, (title, pictures) in enumerate(columns):
        left = GAP + column * step
        cv2.putText(sheet, title, (left, HEADER - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, INK, 1, cv2.LINE_AA)
        for row, picture in enumerate(pictures):
            top = HEADER + row * step
            sheet[top : top + SIDE, left : left + SIDE] = picture
    return sheet
