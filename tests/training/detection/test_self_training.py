"""Self-training: which detections become labels, when images are drawn, and what a further round reads."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from cluster.errors import UserError
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from pipelines.review.decisions import Change, save_changes
from pipelines.surfaces.generator import write_corpus
from pipelines.tables.corpus_tables import CorpusTables
from pipelines.tables.schemas import PSEUDO_LABELS
from training.detection.data import DetectionDataset, Sample
from training.detection.section import DRAWN_EACH, FinetuneSection
from training.detection.self_training import pseudo_labelled, with_normal
from training.inputs import Needs
from training.models.letterbox import Preprocessing
from training.models.look_section import LookSection
from training.models.tile_section import DetectorTiles
from training.opening import open_pipeline
from training.prediction.predict import ImagePrediction, predict
from training.prediction.readiness import look_as, ready
from training.project import Project
from training.starts.detector_file import load_detector, save_detector
from training.starts.filling import fresh_detector

BOTH_WAYS = LookSection(flips=("lr", "ud"))
CLASSES = ("dent", "scratch")


def box(x0: float, score: float, label: str = "scratch") -> dict[str, Any]:
    return {"x0": x0, "y0": 0.0, "x1": x0 + 9, "y1": 9.0, "score": score, "label": label}


def row(name: str, *boxes: dict[str, Any]) -> dict[str, Any]:
    return {"image_id": name, "uri": f"/{name}.png", "width": 64, "height": 32, "boxes": list(boxes)}


def test_sure_detections_are_objects_and_the_others_neither_object_nor_background() -> None:
    rows = [
        row("a", box(0, 0.5), box(10, 0.49), box(20, 0.9, "dent"), box(30, 0.99, "stain")),
        row("labelled", box(0, 0.9)),
        row("b"),
    ]
    made = pseudo_labelled(rows, frozenset({"labelled"}), CLASSES, 0.5)
    first, second = made.samples
    assert (first.image_id, second.image_id) == ("a", "b")
    assert first.boxes[:, 0].tolist() == [0, 20]
    assert first.labels.tolist() == [1, 0]
    assert first.ignored[:, 0].tolist() == [10, 30]
    assert first.ignored_labels.tolist() == [-1, -1]
    assert len(second.boxes) == len(second.ignored) == 0
    assert made.counts() == {
        "pseudo_labelled_images": 2,
        "pseudo_labels": 2,
        "doubtful_detections": 2,
    }


def test_what_a_person_calls_normal_has_no_pseudo_label() -> None:
    marked = with_normal([row("a", box(0, 0.9)), row("b", box(0, 0.9))], frozenset({"b"}))
    assert [(one["normal"], len(one["boxes"])) for one in marked] == [(False, 1), (True, 0)]


def sample(name: str) -> Sample:
    return Sample(name, f"/{name}.png", 8, 8, np.zeros((0, 4)), np.zeros(0, np.int64))


@settings(max_examples=80, deadline=None)
@given(own=st.integers(1, 7), further=st.integers(0, 40), seed=st.integers(0, 5), first=st.integers(0, 9))
def test_every_labelled_image_comes_once_an_epoch_and_the_others_all_in_turn(
    own: int, further: int, seed: int, first: int
) -> None:
    labelled, unlabelled = [f"l{n}" for n in range(own)], [f"u{n}" for n in range(further)]
    data = DetectionDataset(
        [sample(name) for name in labelled],
        preprocessing=Preprocessing(32, "square"),
        seed=seed,
        drawn=[sample(name) for name in unlabelled],
    )
    draws = min(further, DRAWN_EACH * own)
    assert len(data) == own + draws
    seen: Counter[str] = Counter()
    for epoch in range(first, first + 20):
        data.set_epoch(epoch)
        names = [data.samples[data.sample_number(index)].image_id for index in range(len(data))]
        assert names[:own] == labelled
        assert len(set(names)) == len(names)
        seen.update(names[own:])
    assert set(seen) <= set(unlabelled)
    if further:  # no image is drawn twice before each was drawn once
        counts = [seen[name] for name in unlabelled]
        assert max(counts) - min(counts) <= 1


def test_without_further_images_an_epoch_is_what_it_was() -> None:
    data = DetectionDataset([sample("a"), sample("b")], preprocessing=Preprocessing(32, "square"))
    assert [data.sample_number(index) for index in range(len(data))] == [0, 1]


def test_rounds_leave_the_first_training_what_it_is_and_need_the_corpus() -> None:
    plain, several = FinetuneSection(), FinetuneSection(rounds=3, sure=0.7)
    assert plain.deciding == several.deciding
    assert not {"rounds", "sure"} & set(plain.deciding)
    finetune = {"starts": ["coco"], "data": {"train": {"root": "labelled"}}}
    needs = [
        Needs.of(Project.model_validate({"corpus": {"root": "photos"}, "finetune": each}), "finetune")
        for each in (finetune, {**finetune, "rounds": 2})
    ]
    assert [one.corpus for one in needs] == [False, True]


@pytest.fixture
def casting(tracked: Callable[[Path], Path], tmp_path: Path) -> dict[str, Any]:
    """A project with few labels, and a start that detects everywhere."""
    write_corpus(
        tmp_path / "made", seed=1, images_per_category=24, size=64, defect_share=0.6, categories=["casting"]
    )
    config: dict[str, Any] = {
        "workspace": str(tracked(tmp_path / "workspace")),
        "corpus": {"root": str(tmp_path / "made"), "layout": "masks", "reference_count": 2},
        "scaling": {"workers": 0},
        "finetune": {
            "image_size": 32,
            "starts": ["ours"],
            "weights": {"ours": str(tmp_path / "start" / "detector.safetensors")},
            "limit": 4,
            "validation_share": 0,
            "loop": {"epochs": 1, "batch_size": 8, "lr": 1e-9, "best_metric": None, "ema_decay": None},
        },
    }
    with open_pipeline(Project.model_validate(config), "test", "corpus") as pipeline:
        boxes = CorpusTables(pipeline.corpus.directory).boxes()
    classes = tuple(sorted({each["label"] for one in boxes.values() for each in one}))
    detector = fresh_detector("yolov8n", classes, Preprocessing(32, "letterbox"), 0)
    with torch.no_grad():
        for name, values in detector.named_parameters():
            if ".cv3." in name and name.endswith("2.bias"):  # the last layer of the classes
                values.fill_(2.0)
    save_detector(detector, Storage.open(str(tmp_path / "start")), "detector.safetensors", {})
    return config


def finetuned(config: dict[str, Any], **changes: Any) -> tuple[Artifact, CorpusTables]:
    project = Project.model_validate(config | {"finetune": {**config["finetune"], **changes}})
    with open_pipeline(project, "test", "finetune") as pipeline:
        return pipeline.finetuned("ours"), CorpusTables(pipeline.corpus.directory)


def test_a_second_round_learns_sure_detections_on_images_without_labels(
    casting: dict[str, Any], tmp_path: Path
) -> None:
    alone, tables = finetuned(casting)
    labelled = set(alone.results)
    rejected = next(row["image_id"] for row in tables.manifest(split="train") if row["role"] != "reference")
    save_changes(
        Storage.open(casting["workspace"]),
        [Change(image_id=rejected, kind="image", verdict="rejected")],
    )
    second, _ = finetuned(casting, rounds=2)
    assert not second.reused
    assert set(second.record["inputs"]) == {"corpus", "pseudo_labels"}
    assert second.results["round"] == 2
    assert second.results["pseudo_labels"] > 0
    assert set(second.results) - labelled == {
        "round", "pseudo_labelled_images", "pseudo_labels", "doubtful_detections",
    }  # fmt: skip
    directory = f"{casting['workspace']}/pseudo_labels/{second.record['inputs']['pseudo_labels'][:16]}"
    stage = Storage.open(directory)
    assert stage.read_json("stage.json")["inputs"]["finetune"] == alone.fingerprint
    table = stage.read_table("pseudo_labels.parquet")
    assert table.schema.equals(PSEUDO_LABELS)
    rows = {one["image_id"]: one for one in table.to_pylist()}
    images = tables.manifest()
    assert set(rows) == {one["image_id"] for one in images if one["split"] != "test"} - {rejected}
    truth = tables.boxes()
    for one in images:
        if one["image_id"] in rows:
            known = one["role"] == "reference" or truth.get(one["image_id"]) == []
            assert rows[one["image_id"]]["normal"] is known
            assert bool(rows[one["image_id"]]["boxes"]) is not known  # the start detects everywhere
    assert stage.read_json("stage.json")["config"]["flips"] == ["lr", "ud"]  # as learnt from
    with alone.directory.local_copy("detector.safetensors") as path:
        detector = ready(look_as(BOTH_WAYS, load_detector(path)), torch.device("cpu"))
    looked_at = {one: row["uri"] for one, row in rows.items() if not row["normal"]}
    for found in predict(detector, looked_at, device=torch.device("cpu"), min_score=0.1):
        assert isinstance(found, ImagePrediction)
        scores = [box["score"] for box in rows[found.image_id]["boxes"]]
        assert scores == pytest.approx(found.scores.tolist(), abs=1e-5)
    again, _ = finetuned(casting, rounds=2)
    assert (again.fingerprint, again.reused) == (second.fingerprint, True)
    other, _ = finetuned(casting, rounds=2, sure=0.6)
    assert other.fingerprint != second.fingerprint


def test_images_that_were_not_mirrored_in_training_are_not_mirrored_between_rounds(
    casting: dict[str, Any],
) -> None:
    second, _ = finetuned(casting, rounds=2, augment={"flip_lr": 0, "flip_ud": 0})
    key = second.record["inputs"]["pseudo_labels"][:16]
    stage = Storage.open(f"{casting['workspace']}/pseudo_labels/{key}")
    assert stage.read_json("stage.json")["config"]["flips"] == []


def test_between_rounds_images_are_cut_as_in_the_training(casting: dict[str, Any]) -> None:
    """Not as `predict` has it: a detector of tiles sees little in an image that was shrunk to one input."""
    casting["predict"] = {"tiles": "off", "batch_size": 3}
    first, _ = finetuned(casting, tiles=32)
    second, _ = finetuned(casting, rounds=2, tiles=32)
    key = second.record["inputs"]["pseudo_labels"][:16]
    stage = Storage.open(f"{casting['workspace']}/pseudo_labels/{key}")
    config = stage.read_json("stage.json")["config"]
    assert (config["tiles"], config["tile_overlap"]) == (32, 0.25)
    with first.directory.local_copy("detector.safetensors") as path:
        detector = ready(look_as(BOTH_WAYS, load_detector(path)), torch.device("cpu"))
    rows = [row for row in stage.read_table("pseudo_labels.parquet").to_pylist() if not row["normal"]][:3]
    assert rows
    assert detector.cut == DetectorTiles(tiles=32)  # from its file
    for row in rows:
        (found,) = predict(
            detector, {"one": row["uri"]}, device=torch.device("cpu"), min_score=0.1, batch_size=3
        )
        assert isinstance(found, ImagePrediction)
        assert [box["score"] for box in row["boxes"]] == pytest.approx(found.scores.tolist(), abs=1e-5)
        whole = max(box["x1"] - box["x0"] for box in row["boxes"])
        assert whole <= 64  # its pixels, not those of a tile


def test_where_nothing_is_sure_the_next_round_is_refused(casting: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match=r"round 1 finds nothing with a score of 1 or more.*finetune\.rounds=1"
    ):
        finetuned(casting, rounds=2, sure=1.0)


def test_a_score_that_no_detection_is_looked_at_below_is_refused() -> None:
    """Below 0.1 nothing is looked at, so a lower `sure` would be 0.1 without a word."""
    assert FinetuneSection(sure=0.1).sure == 0.1
    with pytest.raises(ValidationError, match=r"greater than or equal to 0\.1"):
        FinetuneSection(sure=0.05)


def test_where_every_image_is_labelled_no_round_is_trained(casting: dict[str, Any]) -> None:
    with pytest.raises(
        UserError, match=r"finetune\.rounds=2 learns from images without labels, and there is none"
    ):
        finetuned(casting, rounds=2, limit=None)
    assert not Storage.open(casting["workspace"]).at("finetune").children()


def test_labels_of_their_own_say_what_is_normal_too(casting: dict[str, Any], tmp_path: Path) -> None:
    """The corpus has no labels at all; an image that `finetune.data` calls normal is learnt as such."""
    made, photos = tmp_path / "made" / "casting", tmp_path / "photos" / "casting"
    photos.mkdir(parents=True)
    for path in sorted(made.rglob("*.png")):
        if "mask" not in path.name and path.parent.name != "references":
            shutil.copy(path, photos / f"{path.parent.name}-{path.name}")
    config = casting | {"corpus": {"root": str(tmp_path / "photos"), "near_duplicate_distance": 0}}
    train = {"root": str(tmp_path / "labelled"), "layout": "masks"}
    shutil.copytree(tmp_path / "made", train["root"])
    # What is measured on may not be in the corpus.
    write_corpus(
        tmp_path / "test", seed=9, images_per_category=6, size=64, defect_share=0.6, categories=["casting"]
    )
    data = {"train": train, "test": {"root": str(tmp_path / "test"), "layout": "masks"}}
    project = Project.model_validate(
        config | {"finetune": {**config["finetune"], "rounds": 2, "data": data, "background_share": 0}}
    )
    with open_pipeline(project, "test", "finetune") as pipeline:
        second = pipeline.finetuned("ours")
        truth = CorpusTables(pipeline.labelled.directory).boxes()
        corpus = {row["image_id"] for row in CorpusTables(pipeline.corpus.directory).manifest()}
    key = second.record["inputs"]["pseudo_labels"][:16]
    stage = Storage.open(f"{config['workspace']}/pseudo_labels/{key}")
    assert set(stage.read_json("stage.json")["inputs"]) == {"corpus", "finetune", "labels"}
    normal = {one for one, boxes in truth.items() if not boxes} & corpus
    assert normal
    rows = {row["image_id"]: row for row in stage.read_table("pseudo_labels.parquet").to_pylist()}
    assert {one for one, row in rows.items() if row["normal"]} == normal
    assert all(bool(row["boxes"]) is not row["normal"] for row in rows.values())
