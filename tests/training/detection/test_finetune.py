"""Which images are learnt from, what a start fills, and that learning works."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cluster.errors import UserError
from cluster.storage.storage import Storage
from training.detection.agdp import pseudo_samples
from training.detection.augment_section import BoxAugment
from training.detection.data import DetectionDataset, Sample, collate
from training.detection.finetune import Selection, select
from training.detection.section import DetectorSection, FinetuneLoop, FinetuneSection
from training.detection.selection import few_shot, hold_out, with_backgrounds
from training.detection.task import (
    DetectionPlan,
    DetectionTask,
    build_detection_task,
    filled,
)
from training.loop.files import START_FILE
from training.models.letterbox import Preprocessing
from training.starts.detector_file import save_detector
from training.starts.filling import filled_detector, fresh_detector, report_json

SQUARE = Preprocessing(64, "square")
KEEP_LAST = FinetuneLoop(best_metric=None)


def sample(number: int, label: int | None) -> Sample:
    boxes = np.zeros((0, 4)) if label is None else np.array([[1.0, 2, 30, 40]])
    labels = np.zeros(0, dtype=np.int64) if label is None else np.array([label])
    return Sample(f"{number:032x}", f"{number}.png", 64, 64, boxes, labels)


def corpus(images: int = 40) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """A manifest whose every 4th image is for testing, 3rd normal and 10th unlabelled; two classes, and one
    that only the test split has."""
    manifest, labels = [], {}
    for number in range(images):
        image_id = f"{number:032x}"
        split = "unlabelled" if number % 10 == 9 else "test" if number % 4 == 0 else "train"
        manifest.append(
            {"image_id": image_id, "uri": f"{number}.png", "width": 64, "height": 64, "split": split}
        )
        if split == "unlabelled":
            continue
        box = {"x0": 1.0, "y0": 2.0, "x1": 30.0, "y1": 40.0, "label": "crack" if number % 2 else "blowhole"}
        if number == 0:
            box["label"] = "rare"
        labels[image_id] = [] if number % 3 == 1 else [box]
    return manifest, labels


def chosen(**change: Any) -> Selection:
    return select(FinetuneSection(**change), *corpus())


def test_only_the_training_split_is_learnt_from_and_validated_on() -> None:
    manifest, _ = corpus()
    split = {row["image_id"]: row["split"] for row in manifest}
    selection = chosen()
    assert selection.classes == ("blowhole", "crack")
    assert {split[s.image_id] for s in (*selection.train, *selection.validation)} == {"train"}
    assert not {s.image_id for s in selection.train} & {s.image_id for s in selection.validation}
    assert any(len(s.labels) for s in selection.validation)


def test_few_shots_are_nested_and_take_classes_in_turn() -> None:
    samples = [sample(number, 0 if number < 30 else 1) for number in range(33)]
    four, eight = few_shot(samples, 4, seed=1), few_shot(samples, 8, seed=1)
    assert [s.image_id for s in eight[:4]] == [s.image_id for s in four]
    assert Counter(int(s.labels[0]) for s in four) == {0: 2, 1: 2}
    assert Counter(int(s.labels[0]) for s in eight) == {0: 5, 1: 3}
    assert [s.image_id for s in few_shot(samples, 4, seed=2)] != [s.image_id for s in four]
    assert len(few_shot(samples, None, seed=1)) == len(few_shot(samples, 99, seed=1)) == 33


def test_backgrounds_stay_below_their_share() -> None:
    boxed, empty = [sample(n, 0) for n in range(8)], [sample(100 + n, None) for n in range(50)]
    assert len(with_backgrounds(boxed, empty, 0.2, seed=0)) == 10
    assert len(with_backgrounds(boxed, empty, 0, seed=0)) == 8
    assert len(with_backgrounds(boxed, empty[:1], 0.5, seed=0)) == 9


@pytest.mark.parametrize(("share", "boxed"), [(0.0, 0), (0.01, 1), (0.5, 1), (0.99, 1)])
def test_both_sides_of_a_held_out_slice_have_boxes(share: float, boxed: int) -> None:
    train, held = hold_out([sample(n, 0 if n < 2 else None) for n in range(10)], share, seed=0)
    assert sum(bool(len(s.labels)) for s in held) == boxed
    assert sum(bool(len(s.labels)) for s in train) == 2 - boxed
    assert len(train) + len(held) == 10


def test_the_order_of_the_manifest_does_not_matter() -> None:
    manifest, labels = corpus()
    forward = select(FinetuneSection(), manifest, labels)
    backward = select(FinetuneSection(), manifest[::-1], labels)
    assert [s.image_id for s in forward.train] == [s.image_id for s in backward.train]


def test_no_labels_is_the_users_fault() -> None:
    manifest, _ = corpus()
    with pytest.raises(UserError, match="no labelled boxes in its train split"):
        select(FinetuneSection(), manifest, {})


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(UserError, match=r"finetune\.limit"):
        chosen(limit=1)
    assert len(chosen(limit=1, background_share=0, validation_share=0, loop=KEEP_LAST).train) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": ("cocoa",)}, 'there is no start "cocoa"'),
        ({"starts": ()}, "one or more starts"),
        ({"starts": ("agbp", "agbp")}, "all different"),
        ({"weights": {"agssp": "x.safetensors"}}, "a start of its own"),
        ({"validation_share": 0}, r"loop\.best_metric=null"),
        ({"image_size": 250}, "multiple of 32"),
    ],
)
def test_config_mistakes_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FinetuneSection(**change)


def test_a_pseudo_box_is_an_anomaly_and_held_out_images_are_dropped() -> None:
    box = {"x0": 1.0, "y0": 2.0, "x1": 3.0, "y1": 4.0, "score": 0.7}
    rows = [
        {"image_id": name, "uri": f"{name}.png", "width": 9, "height": 9, "boxes": boxes}
        for name, boxes in (("a", [box, box]), ("b", []), ("test", [box]))
    ]
    first, second = pseudo_samples(rows, frozenset({"test"}))
    assert first.boxes.tolist() == [[1, 2, 3, 4]] * 2
    assert first.labels.tolist() == [0, 0]
    assert second.boxes.shape == (0, 4)


def test_a_pseudo_boxs_weight_is_its_score_over_the_mean() -> None:
    scored = [{"x0": 1.0, "y0": 2.0, "x1": 3.0, "y1": 4.0, "score": score} for score in (0.5, 1.0, 1.5, 9.0)]
    rows = [
        {"image_id": name, "uri": f"{name}.png", "width": 9, "height": 9, "boxes": boxes}
        for name, boxes in (("a", scored[:2]), ("b", []), ("c", scored[2:3]), ("test", scored[3:]))
    ]
    samples = pseudo_samples(rows, frozenset({"test"}), weighted=True)
    assert [[] if s.weights is None else s.weights.tolist() for s in samples] == [[0.5, 1.0], [], [1.5]]


def test_weights_stay_with_their_boxes_through_augmentation(squares: list[Sample]) -> None:
    weighted = [replace(s, weights=np.full(len(s.labels), 1 + i, np.float32)) for i, s in enumerate(squares)]
    dataset = DetectionDataset(
        weighted, preprocessing=SQUARE, augment=BoxAugment(mosaic=1, close_mosaic=0), epochs=9
    )
    for epoch in range(1, 4):
        dataset.set_epoch(epoch)
        batch = collate([dataset[index] for index in range(9)])
        assert len(batch["weights"]) == len(batch["labels"]) == len(batch["boxes"])
        assert set(batch["weights"].tolist()) <= set(range(1, 9))
        assert batch["labels"].dtype == torch.int64
    plain = DetectionDataset(weighted, preprocessing=SQUARE)
    assert collate([plain[index] for index in range(9)])["weights"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "d-fine-s+resnet18", "confidence_weighted": True}, "confidence_weighted"),
        ({"name": "yolov8n", "masks": "boxes"}, "no masks to learn"),
        ({"name": "faster-rcnn"}, "needs a backbone"),
        ({"name": "yolov8n+resnet1"}, "no backbone"),
    ],
)
def test_what_a_detector_cannot_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises((ValidationError, UserError), match=message):
        DetectorSection(**change)


@pytest.mark.parametrize("regime", ["none", "backbone", "backbone+neck", 1, 4])
def test_freeze_regimes_are_read(regime: str | int) -> None:
    assert FinetuneSection.model_validate({"freeze": regime}).freeze == regime


def test_a_filled_box_is_as_large_as_the_box() -> None:
    boxes = torch.tensor([[2.0, 3.0, 10.0, 7.0], [0.0, 0.0, 16.0, 8.0]])
    masks = filled(boxes, (8, 16))
    assert masks.shape == (2, 8, 16)
    assert masks.sum((1, 2)).tolist() == [32, 128]
    assert masks[0, 3:7, 2:10].all()


def test_part_of_a_section_given_keeps_its_other_defaults() -> None:
    section = FinetuneSection.model_validate({"loop": {"epochs": 3}, "augment": {"mosaic": 0}})
    assert (section.loop.epochs, section.loop.optimizer, section.loop.lr) == (3, "adamw", 1e-3)
    assert DetectorSection.model_validate({"augment": {"mosaic": 0}}).augment.close_mosaic == 2


def test_a_pretrained_detector_fills_all_but_the_class_layers() -> None:
    source = fresh_detector("yolov8n", ("anomaly",), SQUARE, seed=1)
    state = dict(source.state_dict())
    target, report = filled_detector(
        "yolov8n", ("a", "b"), SQUARE, 0, state=state, metadata={"classes": ["anomaly"]}, source="s"
    )
    assert set(report_json(report)["parts"]) == {"backbone", "neck", "head"}
    own = target.state_dict()
    assert all(own[key].equal(state[key]) for key in own if target.part_of(key) != "classes")


def test_one_class_of_another_name_is_made_anew_and_the_same_name_kept() -> None:
    state = dict(fresh_detector("yolov8n", ("anomaly",), SQUARE, seed=1).state_dict())
    key = "model.22.cv3.0.2.weight"
    for name, kept in (("anomaly", True), ("scratch", False)):
        target, _ = filled_detector(
            "yolov8n", (name,), SQUARE, 0, state=state, metadata={"classes": ["anomaly"]}, source="s"
        )
        assert target.state_dict()[key].equal(state[key]) is kept


def test_a_backbone_alone_fills_the_backbone() -> None:
    source = fresh_detector("yolov8n", ("a",), SQUARE, seed=1)
    state = {key: value for key, value in source.state_dict().items() if source.part_of(key) == "backbone"}
    target, report = filled_detector("yolov8n", ("a", "b"), SQUARE, 0, state=state, metadata={}, source="s")
    assert report.parts["backbone"].tensors == report.parts["backbone"].of_tensors == len(state)
    assert report.parts["neck"].parameters == 0
    fresh = fresh_detector("yolov8n", ("a", "b"), SQUARE, seed=0).state_dict()
    own = target.state_dict()
    assert all(own[key].equal(fresh[key]) for key in own if target.part_of(key) != "backbone")


def test_weights_of_another_architecture_are_refused() -> None:
    state = dict(fresh_detector("yolov8s", ("a",), SQUARE, seed=1).state_dict())
    with pytest.raises(UserError, match="give weights of yolov8n"):
        filled_detector("yolov8n", ("a",), SQUARE, 0, state=state, metadata={}, source="Start x")


def task(squares: list[Sample], folder: Path, *, freeze: bool = False) -> DetectionTask:
    directory = Storage.open(str(folder))
    save_detector(fresh_detector("yolov8n", ("square",), SQUARE, seed=0), directory, START_FILE, {})
    plan = DetectionPlan(
        directory=directory,
        freeze="backbone" if freeze else "none",
        masks="none",
        train=tuple(squares),
        held_out=tuple(squares[:2]),
        augment=BoxAugment(mosaic=0, scale=0, shift=0),
        epochs=1,
        seed=0,
    )
    return build_detection_task(plan)


def test_a_few_steps_lower_the_loss(squares: list[Sample], tmp_path: Path) -> None:
    learning = task(squares, tmp_path)
    optimiser = torch.optim.AdamW(learning.model.parameters(), lr=2e-3)
    learning.train_mode(learning.model)
    losses = []
    for epoch in range(30):
        learning.dataset.set_epoch(epoch)
        batch = learning.collate([learning.dataset[index] for index in range(9)])
        loss, parts = learning.loss(learning.model, batch)
        assert set(parts) == {"box", "cls", "dfl"}
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    # It rises first: only boxes that have come near the truth count in full.
    assert losses[-1] < 0.5 * max(losses)
    assert losses[-1] < losses[0]


def test_evaluation_gives_ap_of_the_held_out_images(squares: list[Sample], tmp_path: Path) -> None:
    learning = task(squares, tmp_path, freeze=True)
    assert set(learning.evaluate(learning.model, torch.device("cpu"))) == {"map50", "map50_95"}
    assert all(not module.training for module in learning.model.stages(4).modules)  # type: ignore[operator]
    none = DetectionTask(learning.model, learning.dataset, squares[8:])  # type: ignore[arg-type]
    assert none.evaluate(learning.model, torch.device("cpu")) == {}
