"""The strip of a line-scan camera: its scratch is lost in the encoder's square, and found in tiles."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pipelines.boxes.pseudo_boxes import PseudoBox
from pipelines.image_maps import anomaly_maps, boxes_of

WIDTH, HEIGHT = 5000, 200
SCRATCH = (3120, 60, 3160, 150)  # 40 × 90 pixels


def strip(seed: int, scratched: bool = False) -> npt.NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    values = 128 + 40 * cv2.GaussianBlur(noise, (0, 0), 3, sigmaY=1.5)
    if scratched:
        x0, y0, x1, y1 = SCRATCH
        values[y0:y1, x0:x1] += 70
    return np.repeat(values.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def iou(box: PseudoBox) -> float:
    x0, y0, x1, y1 = SCRATCH
    width, height = min(box.x1, x1) - max(box.x0, x0), min(box.y1, y1) - max(box.y0, y0)
    shared = max(0.0, width) * max(0.0, height)
    return shared / ((box.x1 - box.x0) * (box.y1 - box.y0) + (x1 - x0) * (y1 - y0) - shared)


@pytest.mark.slow
def test_a_scratch_on_a_strip_gets_its_box_in_tiles_only() -> None:
    references = [strip(seed) for seed in range(2)]
    images = [strip(10, scratched=True), strip(20), strip(21)]
    best = {}
    for tiles in ("off", "auto"):
        maps = {"tiles": tiles, "kead": {"shots": 2}, "bank_limit": 1024}
        found = boxes_of(anomaly_maps(images, "steel_strip", references=references, maps=maps))
        best[tiles] = max(map(iou, found[0]), default=0.0)
    assert best["off"] < 0.1
    assert best["auto"] >= 0.5
