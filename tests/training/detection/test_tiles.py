"""Training images in tiles: a tile shows what the image has there; what it hardly shows is no object."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from training.detection.data import DetectionDataset, Sample
from training.detection.section import DetectorSection, FinetuneSection
from training.detection.tiles import MIN_SIDE, MIN_VISIBLE, learnt_tiles, tiled_samples
from training.models.letterbox import Preprocessing
from training.models.tile_section import DetectorTiles

INPUT = Preprocessing(64, "letterbox")


def sample(width: int, height: int, boxes: Sequence[Sequence[float]], **more: Any) -> Sample:
    sides = [dict(zip(("x0", "y0", "x1", "y1"), box, strict=True)) for box in boxes]
    row = {"image_id": "a", "uri": "/a.png", "width": width, "height": height}
    return Sample.of({**row, **more}, sides, list(range(len(boxes))))


@settings(max_examples=150, deadline=None)
@given(
    width=st.integers(64, 400),
    height=st.integers(64, 300),
    overlap=st.floats(0, 0.6),
    seed=st.integers(0, 9999),
)
def test_each_box_lies_where_its_pixels_do(width: int, height: int, overlap: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = []
    for _ in range(5):
        x0, y0 = int(rng.integers(0, width - 4)), int(rng.integers(0, height - 4))
        boxes.append(
            [x0, y0, min(width, x0 + int(rng.integers(3, 120))), min(height, y0 + int(rng.integers(3, 90)))]
        )
    tiles = tiled_samples(
        [sample(width, height, boxes)], DetectorTiles(tiles=64, tile_overlap=overlap), INPUT
    )
    assert len({tile.image_id for tile in tiles}) == len(tiles)
    shown = np.zeros(len(boxes), bool)
    for tile in tiles:
        left, top = tile.corner or (0, 0)
        found = dict(zip(tile.labels.tolist(), tile.boxes.tolist(), strict=True))
        parts = dict(zip(tile.ignored_labels.tolist(), tile.ignored.tolist(), strict=True))
        assert not found.keys() & parts.keys()
        for label, box in enumerate(boxes):
            painted = np.zeros((height, width), bool)  # another way than by corners
            painted[box[1] : box[3], box[0] : box[2]] = True
            inside = painted[top : top + tile.height, left : left + tile.width]
            rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
            if not len(rows):
                assert label not in found
                assert label not in parts
                continue
            wanted = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            thin = min(inside.any(0).sum(), inside.any(1).sum()) < MIN_SIDE
            little = inside.sum() < MIN_VISIBLE * painted.sum() or thin
            assert (parts if little else found)[label] == wanted
            shown[label] |= not little
    assert shown.all()


def test_a_tiles_pixels_are_those_of_its_place(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    whole = sample(200, 64, [[10, 10, 40, 30], [150, 5, 190, 60]], uri=str(tmp_path / "a.png"))
    tiles = tiled_samples([whole], DetectorTiles(tiles="auto", tile_overlap=0.25), INPUT)
    assert [tile.corner for tile in tiles] == [(0, 0), (48, 0), (96, 0), (136, 0)]
    dataset = DetectionDataset(tiles, preprocessing=INPUT)
    for number, tile in enumerate(tiles):
        item = dataset[number]
        assert tile.corner is not None
        left = tile.corner[0]
        np.testing.assert_array_equal(
            item["image"].numpy(), image[:, left : left + 64, ::-1].transpose(2, 0, 1)
        )
        np.testing.assert_allclose(item["boxes"].numpy(), tile.boxes)
    assert [tile.labels.tolist() for tile in tiles] == [[0], [], [1], [1]]


def test_empty_tiles_are_at_most_their_share_and_the_seeds() -> None:
    whole = sample(640, 64, [[10, 10, 40, 30]])
    cut = DetectorTiles(tiles=64, tile_overlap=0)
    drawn = {
        seed: [tile.image_id for tile in learnt_tiles([whole], cut, INPUT, 0.5, seed)] for seed in range(6)
    }
    assert all(len(names) == 2 and names[0] == "a@0,0" for names in drawn.values())
    assert len({names[1] for names in drawn.values()}) > 1
    assert len(learnt_tiles([whole], cut, INPUT, 0, 0)) == 1
    assert learnt_tiles([whole], DetectorTiles(), INPUT, 0, 0) == [whole]
    assert tiled_samples([whole], DetectorTiles(), INPUT) == [whole]


@pytest.mark.parametrize("section", [DetectorSection, FinetuneSection])
def test_without_tiles_fingerprints_are_what_they_were(section: Any) -> None:
    assert "tiles" not in section().model_dump(mode="json")
    assert "tile_overlap" not in section().model_dump(mode="json")
    assert section(tiles=64).model_dump(mode="json")["tiles"] == 64
    assert section.model_validate(section(tiles=64).model_dump()) == section(tiles=64)
