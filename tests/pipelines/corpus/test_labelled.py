"""Labels of a finetuning's own: three formats alike, every bad label listed, three policies, few shots."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from cluster.errors import UserError
from pipelines.corpus.inspection import inspect
from pipelines.corpus.labelled import check_unseen
from pipelines.corpus.labelled_listing import list_labelled
from pipelines.corpus.section import KEY, BadLabels, LabelledDataSection, Source
from pipelines.corpus.sorting import Corpus
from training.detection.data import Sample
from training.detection.finetune import select
from training.detection.section import FinetuneLoop, FinetuneSection
from training.detection.selection import few_shot

SIZE = 40
BOXES = {0: [("crack", (4, 5, 20, 25))], 1: [("hole", (1, 2, 11, 12)), ("crack", (20, 20, 38, 39))], 2: []}


def paint(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8))


def write_yolo(root: Path, seed: int = 0) -> None:
    (root / "labels").mkdir(parents=True)
    (root / "data.yaml").write_text("names: [crack, hole]\n")
    for number, boxes in BOXES.items():
        paint(root / f"images/{number}.png", seed + number)
        lines = [
            f"{int(label == 'hole')} {(x0 + x1) / 2 / SIZE} {(y0 + y1) / 2 / SIZE} "
            f"{(x1 - x0) / SIZE} {(y1 - y0) / SIZE}\n"
            for label, (x0, y0, x1, y1) in boxes
        ]
        (root / f"labels/{number}.txt").write_text("".join(lines))


def write_voc(root: Path, seed: int = 0) -> None:
    (root / "Annotations").mkdir(parents=True)
    for number, boxes in BOXES.items():
        paint(root / f"JPEGImages/{number}.png", seed + number)
        objects = "\n".join(
            f"<object><name>{label}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
            for label, (x0, y0, x1, y1) in boxes
        )
        (root / f"Annotations/{number}.xml").write_text(f"<annotation>\n{objects}\n</annotation>\n")


def write_coco(root: Path, seed: int = 0, **change: Any) -> None:
    (root / "annotations").mkdir(parents=True)
    annotations: list[dict[str, Any]] = []
    for number, boxes in BOXES.items():
        paint(root / f"images/{number}.png", seed + number)
        for label, (x0, y0, x1, y1) in boxes:
            box = [x0, y0, x1 - x0, y1 - y0]
            kind = 1 + (label == "hole")
            item = {"id": len(annotations), "image_id": number, "category_id": kind, "bbox": box}
            annotations.append(item)
    document = {
        "images": [{"id": number, "file_name": f"images/{number}.png"} for number in BOXES],
        "categories": [{"id": 1, "name": "crack"}, {"id": 2, "name": "hole"}],
        "annotations": annotations,
    } | change
    (root / "annotations/all.json").write_text(json.dumps(document))


WRITERS = {"yolo": write_yolo, "voc": write_voc, "coco": write_coco}


def data(root: Path, policy: BadLabels = "clip", **more: Any) -> LabelledDataSection:
    return LabelledDataSection(train=Source(root=str(root)), bad_labels=policy, max_bad_share=1, **more)


def built(section: LabelledDataSection, test: frozenset[str] | None = None) -> Corpus:
    """The labels stage's tables, without Ray."""
    listing, corpus = list_labelled(section), section.as_corpus()
    inspected = inspect(listing.table(), clip=section.bad_labels != "drop")
    candidates = listing.reference_candidates(corpus)
    sorted_corpus = Corpus(inspected, corpus, candidates, test, KEY, listing.label_faults())
    sorted_corpus.refuse_unusable()
    return sorted_corpus


def labels_of(corpus: Corpus) -> dict[str, list[tuple[str, list[float]]]]:
    sides = ("x0", "y0", "x1", "y1")
    return {
        Path(row["uri"]).stem: sorted((box["label"], [box[side] for side in sides]) for box in row["boxes"])
        for row in corpus.labels
    }


@pytest.mark.parametrize("form", WRITERS)
def test_three_formats_say_the_same(form: str, tmp_path: Path) -> None:
    WRITERS[form](tmp_path)
    corpus = built(data(tmp_path))
    found = labels_of(corpus)
    assert set(found) == {"0", "1", "2"}
    for number, boxes in BOXES.items():
        wanted = sorted((label, pytest.approx(box)) for label, box in boxes)
        assert [label for label, _ in found[str(number)]] == [label for label, _ in wanted]
        assert [box for _, box in found[str(number)]] == [box for _, box in wanted]
    assert corpus.bad_labels == []


GOOD = "0 0.5 0.5 0.25 0.25"
# A line, its fault by `clip` and by `drop`, and the box that it becomes by `clip`.
YOLO_FAULTS: dict[str, tuple[str, str, str, list[float] | None]] = {
    "box outside the image": ("0 1.5 0.5 0.2 0.2", "lies outside the image", "lies outside the image", None),
    "box sticking out": (
        "0 0.9 0.5 0.4 0.2",
        "sticks out of the image",
        "lies outside the image",
        [28, 16, 40, 24],
    ),
    "class out of range": (
        "7 0.5 0.5 0.2 0.2",
        "class 7 has no name; there are 2",
        "class 7 has no name",
        None,
    ),
    "NaN": ("0 nan 0.5 0.2 0.2", "'nan' is no finite number", "'nan' is no finite number", None),
    "empty box": ("0 0.5 0.5 0 0", "is empty", "is empty", None),
    "hairline": ("0 0.5 0.5 0 0.2", "is a line", "is empty", [20, 16, 21, 24]),
}


@pytest.mark.parametrize("policy", ["clip", "drop", "fail"])
@pytest.mark.parametrize("name", YOLO_FAULTS)
def test_a_bad_line_is_listed_by_file_and_line(name: str, policy: BadLabels, tmp_path: Path) -> None:
    line, clipped, dropped, wanted = YOLO_FAULTS[name]
    write_yolo(tmp_path)
    file = tmp_path / "labels/0.txt"
    file.write_text(f"{GOOD}\n\n{line}\n{line}\n")
    if policy == "fail":
        with pytest.raises(UserError, match=rf"2 labels are at fault: {file} line 3: .*finetune\.data\.bad"):
            built(data(tmp_path, policy))
        return
    corpus = built(data(tmp_path, policy))
    faults = [fault for fault in corpus.bad_labels if fault["file"] == str(file)]
    reason = clipped if policy == "clip" else dropped
    assert [fault["line"] for fault in faults] == [3, 4]  # not the first alone
    assert all(reason in fault["reason"] for fault in faults)
    mended = wanted is not None and policy == "clip"
    assert {fault["action"] for fault in faults} == {"used" if mended else "image left out"}
    assert ("0" in labels_of(corpus)) is mended
    assert [Path(row["uri"]).stem for row in corpus.quarantine.to_pylist()] == ([] if mended else ["0"])
    if mended:
        boxes = [box for label, box in labels_of(corpus)["0"] if label == "crack"]
        assert any(box == pytest.approx(wanted) for box in boxes)


@pytest.mark.parametrize("policy", ["clip", "drop", "fail"])
def test_an_empty_file_is_background_and_no_fault(policy: BadLabels, tmp_path: Path) -> None:
    write_yolo(tmp_path)
    corpus = built(data(tmp_path, policy))
    assert corpus.bad_labels == []
    assert labels_of(corpus)["2"] == []
    counts = corpus.counts()
    assert (counts["labelled_with_defects"], counts["labelled_normal"], counts["bad_labels"]) == (2, 1, 0)


@pytest.mark.parametrize("form", WRITERS)
def test_a_missing_image_is_listed(form: str, tmp_path: Path) -> None:
    WRITERS[form](tmp_path)
    (gone,) = tmp_path.glob("*/1.png")
    gone.unlink()
    corpus = built(data(tmp_path))
    faults = [fault for fault in corpus.bad_labels if "empty" not in fault["reason"]]
    (fault,) = faults
    assert fault["action"] == "image left out"
    assert "1." in fault["file"]
    with pytest.raises(UserError, match="at fault"):
        built(data(tmp_path, "fail"))


def test_a_voc_object_is_listed_by_its_line(tmp_path: Path) -> None:
    write_voc(tmp_path)
    file = tmp_path / "Annotations/1.xml"
    text = file.read_text().replace("<ymax>39</ymax>", "<ymax>nan</ymax>")
    file.write_text(text)
    (fault,) = built(data(tmp_path)).bad_labels
    assert (fault["file"], fault["line"]) == (str(file), 3)
    assert "no finite number" in fault["reason"]


def test_coco_annotations_are_listed_by_their_ids(tmp_path: Path) -> None:
    bad = [
        {"id": 70, "image_id": 0, "category_id": 9, "bbox": [1, 1, 5, 5]},
        {"id": 71, "image_id": 0, "category_id": 1, "bbox": [1, 1, float("nan"), 5]},
        {"id": 72, "image_id": 1, "category_id": 1, "bbox": [30, 30, 20, 5]},
        {"id": 73, "image_id": 99, "category_id": 1, "bbox": [1, 1, 5, 5]},
    ]
    write_coco(tmp_path, annotations=bad)
    corpus = built(data(tmp_path))
    file = str(tmp_path / "annotations/all.json")
    *faults, doubt = corpus.bad_labels
    assert {fault["file"] for fault in faults} == {file}
    reasons = " | ".join(fault["reason"] for fault in faults)
    for told in (
        "annotation 70: its category 9 is not listed",
        "annotation 71: 'nan' is no finite number",
        "annotation 72: box (30, 30, 50, 35) sticks out",
        "annotation 73: its image 99 is not listed",
    ):
        assert told in reasons
    # Annotation 73 may be that of image 2, for which nothing is listed.
    assert labels_of(corpus) == {"1": [("crack", [30, 30, 40, 35])]}
    assert (doubt["file"], doubt["action"]) == (f"{tmp_path}/images/2.png", "image taken as unlabelled")


def test_a_given_test_folder_is_the_test_split(tmp_path: Path) -> None:
    write_yolo(tmp_path / "train")
    write_coco(tmp_path / "test", seed=50)
    # The same picture on both sides counts as a test image alone.
    (tmp_path / "test/images/0.png").write_bytes((tmp_path / "train/images/0.png").read_bytes())
    section = data(tmp_path / "train", test=Source(root=str(tmp_path / "test")))
    listing = list_labelled(section)
    held_out = listing.sources[1]
    corpus = built(section, frozenset(held_out.uri(entry) for entry in held_out.entries))
    sides = {row["uri"]: row["split"] for row in corpus.manifest}
    assert len(sides) == 5
    assert all(("/test/" in uri) is (split == "test") for uri, split in sides.items())
    with pytest.raises(UserError, match=r"finetune\.data\.test"):
        list_labelled(data(tmp_path / "train", test=Source(root=str(tmp_path / "nowhere"))))


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 0)
    with pytest.raises(UserError, match="holds no labels"):
        list_labelled(data(tmp_path))


def test_test_images_that_pretraining_saw_are_refused() -> None:
    class Fixed:
        """An artifact's manifest."""

        def __init__(self, *rows: tuple[str, str]) -> None:
            self.directory, self.rows = self, rows

        def read_table(self, name: str, columns: list[str]) -> pa.Table:
            return pa.table(
                {
                    "image_id": [image for image, _ in self.rows],
                    "uri": [f"{image}.png" for image, _ in self.rows],
                    "split": [split for _, split in self.rows],
                }
            )

    labelled: Any = Fixed(("a", "train"), ("b", "test"))
    check_unseen(labelled, Fixed(("a", "unlabelled"), ("b", "test")))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"1 of the test images \(b\.png is b\.png\)"):
        check_unseen(labelled, Fixed(("b", "unlabelled")))  # type: ignore[arg-type]


def test_classes_come_from_the_training_labels(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    corpus = built(data(tmp_path, test_share=0.01))
    section = FinetuneSection(validation_share=0, loop=FinetuneLoop(best_metric=None))
    labels = {row["image_id"]: row["boxes"] for row in corpus.labels}
    assert select(section, corpus.manifest, labels).classes == ("crack", "hole")


@settings(max_examples=60, deadline=None)
@given(
    shown=st.lists(st.sets(st.integers(0, 4), min_size=1), min_size=1, max_size=40),
    seed=st.integers(0, 9),
    limits=st.tuples(st.integers(1, 45), st.integers(1, 45)),
)
def test_few_shots_are_nested_and_show_every_class(
    shown: list[set[int]], seed: int, limits: tuple[int, int]
) -> None:
    samples = [
        Sample(str(number), "", 9, 9, np.zeros((len(labels), 4)), np.array(sorted(labels), dtype=np.int64))
        for number, labels in enumerate(shown)
    ]
    small, large = sorted(limits)
    few, more = few_shot(samples, small, seed), few_shot(samples, large, seed)
    assert len(few) == min(small, len(samples))
    assert [s.image_id for s in more[: len(few)]] == [s.image_id for s in few]
    assert len({s.image_id for s in more}) == len(more)
    classes = set().union(*shown)
    if small >= len(classes):
        assert {int(label) for s in few for label in s.labels} == classes
    assert few_shot(samples[::-1], small, seed) == few
