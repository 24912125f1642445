"""Boxes go out to a tool's files, are corrected there, and come back equal to half a pixel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.pre_annotations.trip import LAYOUT_OF, Picture, boxes_table, there_and_back
from pipelines.labelling.names import FORMATS
from pipelines.layouts.names import LAYOUT_NAMES

ODD = ("a b", "100%", "ü & <x>", "c#1?d=2", "it's", 'say "no"', "[1]", "x+y", "comma, dot.v2", "漢字")


def strips(root: Path) -> list[Picture]:
    """200 grey strips of many sizes, names odd and alike in several folders."""
    pictures = []
    for number in range(200):
        folder = ("", "line 1", "line 2", "line 2/images")[number % 4]
        name = f"{folder}/{ODD[number // 4 % 10]} {number // 40}.png".lstrip("/")
        width, height = 200 + 37 * (number % 9), 64 + 13 * (number % 7)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((height, width), number, np.uint8)).save(path)
        pictures.append(Picture(name, width, height))
    return pictures


def way_back(to: str) -> list[pytest.MarkDecorator]:
    """A format is skipped as long as there is no layout for it."""
    layout = LAYOUT_OF.get(to, to)
    return [pytest.mark.skipif(layout not in LAYOUT_NAMES, reason=f"there is no layout {layout} yet")]


@pytest.mark.parametrize("to", [pytest.param(to, marks=way_back(to)) for to in FORMATS])
def test_corrected_boxes_come_back(to: str, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    pictures = strips(root)
    assert there_and_back(boxes_table(root, pictures, seed=1), root, pictures, tmp_path, to) <= 0.5 + 1e-6
