"""The sheet shows painted images alone, each with its boxes where they are."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cluster.storage.storage import Storage
from pipelines.painting.sheet import FRAME, GAP, SIDE, painted_sheet


def test_boxes_are_drawn_around_what_was_painted(tmp_path: Path) -> None:
    directory = Storage.open(str(tmp_path))
    rows = []
    for number in range(3):
        picture = np.full((80, 160, 3), 90, np.uint8)
        picture[20:40, 60:100] = 10
        name = None if number == 1 else f"images/{number}.png"
        if name is not None:
            (tmp_path / "images").mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name), picture)
        rows.append({"painted": name, "boxes": [{"x0": 60, "y0": 20, "x1": 100, "y1": 40, "score": 1.0}]})
    data = painted_sheet(rows, directory)
    assert data is not None
    sheet = np.asarray(Image.open(io.BytesIO(data)))
    assert sheet.shape == (SIDE, 2 * SIDE + GAP, 3)
    for left in (0, SIDE + GAP):
        tile = sheet[SIDE // 4 : SIDE // 4 + SIDE // 2, left : left + SIDE]
        frame = np.argwhere((tile == FRAME).all(axis=2))
        # Twice as large; the frame lies one pixel outside.
        assert frame.min(axis=0).tolist() == [39, 119]
        assert frame.max(axis=0).tolist() == [80, 200]
        assert (tile[42:78, 122:198] < 40).all()


def test_nothing_painted_has_no_sheet(tmp_path: Path) -> None:
    assert painted_sheet([{"painted": None, "boxes": []}], Storage.open(str(tmp_path))) is None
