"""Crowds of a labelled set: objects or ignored regions, in the tables and in what is learnt from."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.errors import UserError
from pipelines.annotations.names import Crowds
from pipelines.annotations.rle import decode_mask
from pipelines.corpus.inspection import inspect
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from pipelines.corpus.sorting import Corpus
from tests.pipelines.corpus.test_labelled import SIZE, built, data, labels_of, write_coco
from training.detection.finetune import select
from training.detection.section import FinetuneLoop, FinetuneSection


def brush(number: int, image: int, **change: Any) -> dict[str, Any]:
    """A ring as CVAT's brush, supervision and V7 write it: run lengths with `iscrowd` 1."""
    mask = np.zeros((SIZE, SIZE), np.bool_)
    mask[5:25, 4:20] = True
    mask[10:20, 8:16] = False
    edges = np.flatnonzero(np.diff(mask.T.ravel().astype(int), prepend=0, append=0))
    counts = np.diff(edges, prepend=0, append=SIZE * SIZE).tolist()
    item = {"id": number, "image_id": image, "category_id": 1, "iscrowd": 1, "bbox": [4, 5, 16, 20]}
    return {**item, "segmentation": {"size": [SIZE, SIZE], "counts": counts}, **change}


RING_PIXELS = 16 * 20 - 8 * 10


def test_brush_masks_alone_are_objects_and_the_table_says_so(tmp_path: Path) -> None:
    write_coco(tmp_path, annotations=[brush(1, 0), brush(2, 1), brush(3, 2)])
    corpus = built(data(tmp_path, "drop"))
    assert labels_of(corpus) == {str(image): [("crack", [4, 5, 20, 25])] for image in range(3)}
    assert [row["ignored"] for row in corpus.labels] == [[], [], []]
    assert [decode_mask(row["mask"], SIZE, SIZE).sum() for row in corpus.labels] == [RING_PIXELS] * 3
    told = "iscrowd 1: taken as an object of its own (the source's key crowds decides)"
    assert [(row["reason"], row["action"]) for row in corpus.bad_labels] == [
        (f"annotation {number}: {told}", "used") for number in (1, 2, 3)
    ]
    with pytest.raises(UserError, match=rf"3 labels are at fault: .*annotation 1: {re.escape(told)}"):
        built(data(tmp_path, "fail"))


@pytest.mark.parametrize("crowds", ["auto", "ignored", "objects"])
def test_a_crowd_among_objects_is_no_normal_image_and_no_reference(crowds: Crowds, tmp_path: Path) -> None:
    single = {"id": 9, "image_id": 1, "category_id": 2, "bbox": [1, 2, 10, 10]}
    write_coco(tmp_path, annotations=[single, brush(1, 0)])
    section = CorpusSection(root=str(tmp_path), crowds=crowds, reference_count=4, test_share=0)
    listing = Listing(section)
    corpus = Corpus(inspect(listing.table()), section, listing.reference_candidates(section))
    rows = {Path(row["uri"]).stem: row for row in corpus.labels}
    assert set(rows) == {"0", "1", "2"}
    boxes, ignored = rows["0"]["boxes"], rows["0"]["ignored"]
    region = {"x0": 4, "y0": 5, "x1": 20, "y1": 25, "label": "crack"}
    assert (boxes, ignored) == (([region], []) if crowds == "objects" else ([], [region]))
    assert decode_mask(rows["0"]["mask"], SIZE, SIZE).sum() == RING_PIXELS
    assert len(corpus.bad_labels) == (crowds == "auto")
    references = [Path(row["uri"]).stem for row in corpus.manifest if row["role"] == "reference"]
    assert references == ["2"]
    counts = corpus.counts()
    assert (counts["labelled_with_defects"], counts["empty_masks"]) == (2, 0)
    assert counts["ignored_regions"] == len(ignored)


def test_finetuning_leaves_images_of_regions_alone_out(tmp_path: Path) -> None:
    single = [{"id": 9 + n, "image_id": n, "category_id": 2, "bbox": [1, 2, 10, 10]} for n in (1, 2)]
    write_coco(tmp_path, annotations=[*single, brush(1, 0), brush(2, 1, category_id=1)])
    corpus = built(data(tmp_path, test_share=1e-9))
    labels = {row["image_id"]: row["boxes"] for row in corpus.labels}
    ignored = {row["image_id"]: row["ignored"] for row in corpus.labels}
    loop = FinetuneLoop(best_metric=None)
    section = FinetuneSection(validation_share=0, background_share=0.5, loop=loop)
    selection = select(section, corpus.manifest, labels, ignored)
    assert selection.classes == ("hole",)
    assert sorted(Path(sample.uri).stem for sample in selection.train) == ["1", "2"]
    assert sorted(sample.ignored_labels.tolist() for sample in selection.train) == [[], [-1]]
    counts = selection.counts()
    assert (counts["train_ignored"], counts["only_ignored_images"], counts["train_backgrounds"]) == (1, 1, 0)


@pytest.mark.parametrize("trace", [{"attributes": {"occluded": False}}, {"extra": {}}, {}])
def test_brush_masks_beside_boxes_are_told_by_what_the_tool_leaves(
    trace: dict[str, Any], tmp_path: Path
) -> None:
    single = {"id": 9, "image_id": 0, "category_id": 2, "bbox": [21, 2, 10, 10], "iscrowd": 0, **trace}
    write_coco(tmp_path, annotations=[single, brush(1, 0, **trace)])
    corpus = built(data(tmp_path, "drop"))
    boxes = labels_of(corpus)["0"]
    assert boxes == [("crack", [4, 5, 20, 25])] * bool(trace) + [("hole", [21, 2, 31, 12])]
    (row,) = (row for row in corpus.labels if Path(row["uri"]).stem == "0")
    assert len(row["ignored"]) == (not trace)
    assert row["mask"] is None  # the box has none
