"""Items of the dense tasks, and whole images put together of windows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.images.reading import read_image
from tests.training.dense.dense_scene import CLASSES, scene
from training.dense.cropping import IGNORED
from training.dense.data import CropDataset, collate
from training.dense.inference import detect_windows, segment, windows_of
from training.dense.section import CropSection
from training.detection.augment_section import ColourSection
from training.models.detectors.base import build_detector
from training.models.detectors.suppression import Predictions
from training.models.letterbox import Preprocessing

PLAIN = ColourSection(flip_lr=0.5, flip_ud=0.5, hue=0, saturation=0, brightness=0)


def data(folder: Path, *, semantic: bool, side: int = 64, seed: int = 3) -> CropDataset:
    samples = [scene(folder, number, normal=number == 3) for number in range(4)]
    samples.append(scene(folder, 9, width=50, height=40))  # smaller than a crop
    return CropDataset(
        samples,
        crop=CropSection(side=side, defect_share=1),
        augment=PLAIN,
        levels=None,
        semantic=semantic,
        seed=seed,
    )


def test_semantic_items_lie_over_their_pixels(tmp_path: Path) -> None:
    """Bars are the only dark pixels and discs the only bright ones, so the image itself tells the truth."""
    dataset = data(tmp_path, semantic=True)
    for epoch in range(6):
        dataset.set_epoch(epoch)
        for index in range(len(dataset)):
            item = dataset[index]
            grey, labels = item["image"].float().mean(dim=0), item["semantic"]
            known = labels != IGNORED
            assert known.sum() == (2000 if index == 4 else 64 * 64)
            assert torch.equal((grey < 50) & known, labels == 1)
            assert torch.equal((grey > 200) & known, labels == 2)
            assert (labels[known] > 0).any() == (index != 3)


def test_objects_of_items_lie_over_their_pixels(tmp_path: Path) -> None:
    dataset = data(tmp_path, semantic=False)
    for epoch in range(6):
        dataset.set_epoch(epoch)
        for index in range(len(dataset)):
            item = dataset[index]
            grey = item["image"].float().mean(dim=0)
            assert item["masks"].shape == (len(item["labels"]), 64, 64)
            for box, label, mask in zip(item["boxes"], item["labels"], item["masks"], strict=True):
                inside = mask.bool()
                colour = grey[inside]
                own = colour < 50 if label == 0 else colour > 200
                assert own.float().mean() > 0.5  # where they overlap, the disc lies over the bar
                rows, columns = inside.any(1).nonzero(), inside.any(0).nonzero()
                tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                assert box.tolist() == [float(side) for side in tight]


def test_objects_are_learnt_without_the_pixels_of_ignored_regions(tmp_path: Path) -> None:
    """The disc is a region: no bright pixel is left outside of the bar's own; the map of classes keeps it."""
    samples = [scene(tmp_path, number) for number in range(3)]
    samples = [
        replace(one, objects=(one.objects[0], replace(one.objects[1], stray=True, ignored=True)))
        for one in samples
    ]

    def items(*, semantic: bool) -> Any:
        crop = CropSection(side=64, defect_share=1)
        made = CropDataset(samples, crop=crop, augment=PLAIN, levels=None, semantic=semantic, seed=1)
        return [made[index] for index in range(3)]

    for learnt, mapped in zip(items(semantic=False), items(semantic=True), strict=True):
        assert set(learnt["labels"].tolist()) <= {0}
        bright = learnt["image"].float().mean(dim=0) > 200
        own = learnt["masks"].any(dim=0)
        assert not (bright & ~own).any()
        whole = mapped["image"].float().mean(dim=0) > 200
        assert torch.equal(whole & (mapped["semantic"] != IGNORED), mapped["semantic"] == 2)


def test_items_depend_on_seed_epoch_and_index_alone(tmp_path: Path) -> None:
    one, two = data(tmp_path, semantic=True), data(tmp_path, semantic=True)
    for dataset in (one, two):
        dataset.set_epoch(2)
    _ = two[0], two[3]
    assert torch.equal(one[1]["image"], two[1]["image"])
    two.set_epoch(3)
    assert not torch.equal(one[1]["image"], two[1]["image"])


def test_collate_counts_the_objects_of_every_image(tmp_path: Path) -> None:
    dataset = data(tmp_path, semantic=False)
    items = [dataset[index] for index in range(4)]
    batch = collate(items)
    assert batch["images"].shape == (4, 3, 64, 64)
    assert batch["image"].tolist() == [i for i, item in enumerate(items) for _ in item["labels"]]
    assert batch["masks"].shape[0] == len(batch["labels"])


class BySight:
    """Stands for a segmenter and a detector: tells classes by brightness, boxes around what it sees."""

    classes, nms_iou = CLASSES, 0.5

    def probabilities(self, images: Tensor) -> Tensor:
        grey = images.mean(dim=1)
        dark, bright = (grey < 0.2).float(), (grey > 0.8).float()
        return torch.stack([1 - dark - bright, dark, bright], dim=1)

    def _seen(self, images: Tensor) -> list[list[tuple[list[float], int, Tensor]]]:
        found = []
        for labels in self.probabilities(images).argmax(dim=1):
            own = []
            for label in (1, 2):
                rows, columns = torch.nonzero(labels == label, as_tuple=True)
                if len(rows):
                    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                    own.append(([float(side) for side in box], label - 1, (labels == label).float()))
            found.append(own)
        return found

    def predict(self, images: Tensor, max_boxes: int, areas: Any) -> list[Predictions]:
        return [
            Predictions(
                torch.tensor([box for box, _, _ in own]).reshape(-1, 4),
                torch.tensor([mask.sum() / 1e4 for _, _, mask in own]),
                torch.tensor([label for _, label, _ in own], dtype=torch.int64),
            )
            for own in self._seen(images)
        ]

    def predict_masks(self, images: Tensor, found: Any) -> list[Tensor]:
        return [
            torch.stack([mask for _, _, mask in own]) if own else torch.zeros(0, *images.shape[-2:])
            for own in self._seen(images)
        ]


@pytest.mark.parametrize("inference", ["sliding", "full"])
@pytest.mark.parametrize("number", range(3))
def test_windows_put_the_whole_image_together(tmp_path: Path, number: int, inference: Any) -> None:
    sample = scene(tmp_path, number, width=150, height=101)
    image = read_image(sample.uri)
    crop = CropSection(side=64, inference=inference, overlap=0.5)
    model: Any = BySight()
    grey = image.astype(float).mean(axis=2) / 255
    expected = np.where(grey < 0.2, 1, np.where(grey > 0.8, 2, 0))
    device = torch.device("cpu")
    np.testing.assert_array_equal(segment(model, image, crop, device), expected)
    found = detect_windows(model, image, crop, device, masks=True)
    assert found.masks is not None
    whole = {one.label: one.box for one in sample.objects}
    for label in set(found.labels.tolist()):
        best = int(np.flatnonzero(found.labels == label)[0])  # best first: where it was seen whole
        covered = expected == label + 1
        rows, columns = np.nonzero(covered)
        assert found.boxes[best].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert found.masks[best]["size"] == [101, 150]
    assert set(found.labels.tolist()) == set(whole)


def test_boxes_beyond_the_image_take_no_place_in_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = build_detector("yolov8n", ("crack",), Preprocessing(64, "square"))
    # The image ends at x = 40 and y = 30 of its only window.
    beyond = [[float(x % 20 + 41), float(x // 20 + 31), 63.0, 63.0] for x in range(150)]
    boxes = torch.tensor([*beyond, [30.0, 10, 60, 50], [2.0, 2, 12, 12]])[None, :, None]
    scores = torch.tensor([0.9] * 150 + [0.5, 0.4])[None, :, None]
    monkeypatch.setattr(detector, "candidates", lambda images: (boxes, scores))
    image = np.zeros((30, 40, 3), np.uint8)
    for inference in ("sliding", "full"):
        crop = CropSection(side=64, inference=inference)
        found = detect_windows(detector, image, crop, torch.device("cpu"))
        assert found.boxes.tolist() == [[30, 10, 40, 30], [2, 2, 12, 12]]


def test_a_4k_image_is_looked_at_in_few_windows() -> None:
    windows = windows_of(4096, 3000, CropSection(side=512))
    assert len(windows) == 11 * 8
    assert windows_of(100, 50, CropSection(side=512, inference="full"))[0].width == 128
