"""IoU against torchmetrics and a plain loop; mask AP against torchmetrics' pycocotools."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from pycocotools import mask as reference_mask
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.detection import MeanAveragePrecision

from training.dense.inference import encoded
from training.metrics.coco import Detections, TrueObjects, average_precision
from training.metrics.semantic import PixelCounts

IGNORED = 255


def maps(seed: int, images: int, classes: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Random maps that agree in about half of their pixels, some of the truth ignored."""
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for _ in range(images):
        shape = tuple(rng.integers(5, 30, 2))
        truth = rng.integers(0, classes + 1, shape).astype(np.uint8)
        guess = np.where(rng.random(shape) < 0.5, truth, rng.integers(0, classes + 1, shape)).astype(np.uint8)
        truth[rng.random(shape) < 0.1] = IGNORED
        truths.append(truth)
        found.append(guess)
    return truths, found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**20), classes=st.integers(1, 5))
def test_iou_is_torchmetrics(seed: int, classes: int) -> None:
    truths, found = maps(seed, 3, classes)
    counts = PixelCounts([f"c{number}" for number in range(classes)])
    metric = MulticlassJaccardIndex(classes + 1, average=None, ignore_index=IGNORED)
    for truth, guess in zip(truths, found, strict=True):
        counts.add(truth, guess)
        metric.update(
            torch.from_numpy(guess.astype(np.int64)).ravel(), torch.from_numpy(truth.astype(np.int64)).ravel()
        )
    expected = metric.compute().double().numpy()
    np.testing.assert_allclose(np.nan_to_num(counts.iou()), expected, atol=1e-6)


def test_iou_is_a_plain_loop_and_absent_classes_have_no_part() -> None:
    truths, found = maps(7, 4, 2)
    counts = PixelCounts(["a", "b", "never"])
    both, either = np.zeros(4), np.zeros(4)
    for truth, guess in zip(truths, found, strict=True):
        counts.add(truth, guess)
        for t, g in zip(truth.ravel().tolist(), guess.ravel().tolist(), strict=True):
            if t == IGNORED:
                continue
            for label in range(4):
                both[label] += t == label and g == label
                either[label] += t == label or g == label
    figures = counts.figures()
    ious = both[:3] / either[:3]
    assert figures["iou_background"] == pytest.approx(ious[0], abs=1e-12)
    assert figures["miou"] == pytest.approx(ious.mean(), abs=1e-12)
    assert figures["miou_defects"] == pytest.approx(ious[1:].mean(), abs=1e-12)
    assert "iou_never" not in figures


def discs(
    seed: int,
) -> tuple[list[TrueObjects], list[Detections], list[dict[str, torch.Tensor]], list[dict[str, torch.Tensor]]]:
    """Discs, and the same ones moved, resized and joined by false ones; ours and torchmetrics' forms."""
    rng = np.random.default_rng(seed)
    truths, found, targets, guesses = [], [], [], []
    for _ in range(6):
        height, width = (int(side) for side in rng.integers(60, 130, 2))
        y, x = np.mgrid[0:height, 0:width]
        kept: list[list[np.ndarray]] = [[], []]
        for _ in range(int(rng.integers(1, 5))):
            cx, cy, r = rng.uniform(15, width - 15), rng.uniform(15, height - 15), rng.uniform(4, 14)
            kept[0].append((x - cx) ** 2 + (y - cy) ** 2 <= r**2)
            cx, cy, r = cx + rng.normal() * 2, cy + rng.normal() * 2, max(3.0, r + rng.normal() * 1.5)
            kept[1].append((x - cx) ** 2 + (y - cy) ** 2 <= r**2)
        sides = []
        for masks in kept:
            boxes = np.array(
                [
                    (
                        m.nonzero()[1].min(),
                        m.nonzero()[0].min(),
                        m.nonzero()[1].max() + 1,
                        m.nonzero()[0].max() + 1,
                    )
                    for m in masks
                ],
                dtype=np.float64,
            )
            sides.append((np.stack(masks), boxes, rng.integers(0, 2, len(masks))))
        labels = sides[0][2]
        guessed = np.where(rng.random(len(labels)) < 0.8, labels, 1 - labels)
        scores = rng.permutation(len(labels)) / 10 + 0.1
        truths.append(TrueObjects(sides[0][1], labels, [encoded(m.astype(np.uint8)) for m in kept[0]]))
        found.append(Detections(sides[1][1], scores, guessed, [encoded(m.astype(np.uint8)) for m in kept[1]]))
        targets.append({"masks": torch.from_numpy(sides[0][0]), "labels": torch.from_numpy(labels)})
        guesses.append(
            {
                "masks": torch.from_numpy(sides[1][0]),
                "labels": torch.from_numpy(guessed),
                "scores": torch.from_numpy(scores),
            }
        )
    return truths, found, targets, guesses


@pytest.mark.parametrize("seed", range(3))
def test_mask_ap_is_pycocotools(seed: int) -> None:
    truths, found, targets, guesses = discs(seed)
    ours = average_precision(truths, found, ("a", "b"), masks=True)
    metric = MeanAveragePrecision(iou_type="segm", backend="pycocotools")
    metric.update(guesses, targets)
    theirs = metric.compute()
    assert 0.05 < ours.map50_95 < 0.95
    assert ours.map50 == pytest.approx(float(theirs["map_50"]), abs=1e-6)
    assert ours.map50_95 == pytest.approx(float(theirs["map"]), abs=1e-6)
    assert ours.recall == pytest.approx(float(theirs["mar_100"]), abs=1e-6)


def test_mask_ap_is_not_box_ap() -> None:
    """A ring's box is its disc's: boxes agree wholly, masks do not."""
    y, x = np.mgrid[0:60, 0:60]
    radius = (x - 30) ** 2 + (y - 30) ** 2
    disc, ring = (radius <= 400).astype(np.uint8), ((radius <= 400) & (radius >= 250)).astype(np.uint8)
    box, label = np.array([[10.0, 10.0, 51.0, 51.0]]), np.array([0])
    truth = [TrueObjects(box, label, [encoded(disc)])]
    found = [Detections(box, np.array([0.9]), label, [encoded(ring)])]
    assert average_precision(truth, found, ("a",)).map50_95 == pytest.approx(1)
    assert average_precision(truth, found, ("a",), masks=True).map50 == 0
    assert reference_mask.area(encoded(ring)) == ring.sum()
