"""The objects of every layout one by one: together they are the image's truth."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.annotations.base import Annotation, AnnotationError
from pipelines.annotations.instances import read_instances
from pipelines.annotations.reading import read_truth
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from tests.pipelines.layouts.published_trees import HEIGHT, WIDTH
from tests.pipelines.layouts.tool_trees import ALL_TREES


@pytest.mark.parametrize("name", ALL_TREES)
def test_the_objects_together_are_the_truth(name: str, tmp_path: Path) -> None:
    ALL_TREES[name][1](tmp_path)
    listing = Listing(CorpusSection(root=str(tmp_path)))
    for source in listing.sources:
        for entry in source.entries:
            annotation = source.truth(entry)
            if annotation is None:
                continue
            truth = read_truth(annotation, WIDTH, HEIGHT)
            found = read_instances(annotation, WIDTH, HEIGHT)
            assert sorted(map(str, (one.box for one in found))) == sorted(map(str, truth.boxes))
            whole = np.zeros((HEIGHT, WIDTH), np.bool_)
            for one in found:
                if one.runs is not None:
                    whole[one.top : one.top + one.height, one.left : one.left + one.width] |= one.mask()
                    for edge in (one.mask()[[0, -1]].T, one.mask()[:, [0, -1]]):
                        assert edge.any(axis=0).all()  # the rectangle is the smallest
            if truth.mask is not None:
                np.testing.assert_array_equal(whole, truth.mask)


def test_pixels_in_no_box_of_a_boxed_mask_are_of_no_object(tmp_path: Path) -> None:
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[3:8, 2:9] = pixels[1:6, 12:16] = 1
    Image.fromarray(pixels).save(tmp_path / "m.png")
    text = tmp_path / "m.txt"
    text.write_text("1 0.275 0.34375 0.35 0.3125")
    files = (str(text), str(tmp_path / "m.png"))
    annotation = Annotation("boxed_mask", files, content='["a", "b"]', empty_is_normal=True)
    found = read_instances(annotation, WIDTH, HEIGHT)
    assert [(one.box.label, one.stray, int(one.mask().sum())) for one in found] == [
        ("b", False, 35),
        ("", True, 20),
    ]
    text.write_text("")
    with pytest.raises(AnnotationError, match="it names 0 boxes where its mask"):
        read_truth(annotation, WIDTH, HEIGHT)


def test_specks_are_pixels_and_no_objects() -> None:
    runs = {"class_1": "36 5 52 5 68 5 84 5 100 5 116 5 132 5 300 2"}
    found = read_instances(Annotation("class_runs", content=json.dumps(runs)), WIDTH, HEIGHT)
    assert [(one.stray, int(one.mask().sum())) for one in found] == [(False, 35), (True, 2)]


def test_a_crowd_is_pixels_and_no_object() -> None:
    polygon = [[2, 3, 9, 3, 9, 8, 2, 8]]
    items = [
        {"bbox": [2, 3, 7, 5], "segmentation": polygon, "label": "dent", "iscrowd": 1},
        {"bbox": [2, 3, 7, 5], "segmentation": polygon, "label": "dent"},
    ]
    note = Annotation("coco", content=json.dumps({"size": None, "objects": items}))
    assert [one.stray for one in read_instances(note, WIDTH, HEIGHT)] == [True, False]


def test_many_large_masks_are_refused() -> None:
    items = [{"bbox": [0, 0, 1, 1], "label": "dent"}] * 200
    note = Annotation("coco", content=json.dumps({"size": None, "objects": items}))
    with pytest.raises(AnnotationError, match="200 masks are more"):
        read_instances(note, 10_000, 10_000)
