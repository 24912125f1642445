"""The exports of pseudo-boxes, read by the tools they are for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.storage.storage import Storage
from pipelines.annotations.mask_boxes import boxes_of_mask
from pipelines.boxes.export import coco_document, write_coco, write_yolo


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    found = []
    for number, boxes in enumerate([[(2, 4, 12, 24, 0.9), (20, 10, 40, 20, 0.7)], []]):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(path)
        named = [dict(zip(("x0", "y0", "x1", "y1", "score"), map(float, box), strict=True)) for box in boxes]
        found.append(
            {
                "image_id": f"{number:032x}",
                "uri": str(path),
                "category": "rail",
                "width": 48,
                "height": 32,
                "boxes": named,
            }
        )
    return found


def test_coco_json_opens_in_pycocotools(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    from pycocotools.coco import COCO

    path = tmp_path / "coco.json"
    path.write_text(json.dumps(coco_document(rows)))
    coco = COCO(str(path))
    assert len(coco.getImgIds()) == 2
    assert [a["bbox"] for a in coco.loadAnns(coco.getAnnIds())] == [[2, 4, 10, 20], [20, 10, 20, 10]]
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["anomaly"]


def test_coco_written_in_pieces_is_the_document(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path))
    for some in (rows, rows[1:], []):
        write_coco(storage, "pieces.json", lambda some=some: iter(some))  # type: ignore[misc]
        storage.write_json("whole.json", coco_document(some))
        assert storage.read("pieces.json") == storage.read("whole.json")


def test_ultralytics_reads_the_yolo_data_set(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.data.utils import check_det_dataset

    import training.models.ultralytics_library  # noqa: F401 - takes back what ultralytics does to PIL

    target = Storage.open(str(tmp_path / "yolo"))
    write_yolo(target, lambda: rows)
    data = check_det_dataset(str(tmp_path / "yolo" / "data.yaml"), autodownload=False)
    labels = YOLODataset(data["train"], data=data, augment=False, imgsz=64).labels
    assert [len(label["cls"]) for label in labels] == [2, 0]
    expected = [[7 / 48, 14 / 32, 10 / 48, 20 / 32], [30 / 48, 15 / 32, 20 / 48, 10 / 32]]
    np.testing.assert_allclose(labels[0]["bboxes"], expected, atol=1e-5)


def test_boxes_of_a_mask_enclose_its_regions() -> None:
    mask = np.zeros((40, 60), bool)
    mask[3:9, 10:30] = True
    mask[30:33, 50:54] = True
    mask[20, 20] = True  # a stray pixel
    assert boxes_of_mask(mask) == [(10, 3, 30, 9), (50, 30, 54, 33)]
    lone = np.zeros((10, 10), bool)
    lone[4, 5] = True
    assert boxes_of_mask(lone) == [(5, 4, 6, 5)]
    assert boxes_of_mask(np.zeros((5, 5), bool)) == []
