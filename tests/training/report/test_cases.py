"""Good and bad cases: F1 by hand, the images chosen, what is drawn, and the features as hooks see them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch

from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from pipelines.tables import LABELS, MANIFEST, PREDICTIONS, LabelRow
from training.models.detectors.base import Detector, build_detector
from training.models.letterbox import Preprocessing
from training.report.artifacts import StartOutcome
from training.report.cases import Case, cases, compared_pair, image_f1
from training.report.cases_sheet import GAP, LINE, SIDE, cases_sheet, drawn_sheet
from training.report.features import attention, backbone_in
from training.starts.detector_file import WEIGHTS_FILE, save_detector

LOW = 0.25


def box(left: float, label: str = "dent", score: float | None = None) -> dict[str, Any]:
    """A square of 20 pixels."""
    corners = {"x0": left, "y0": 10.0, "x1": left + 20, "y1": 30.0, "label": label}
    return corners if score is None else {**corners, "score": score}


def label(boxes: list[dict[str, Any]], ignored: list[dict[str, Any]] | None = None) -> LabelRow:
    return {"boxes": boxes, "ignored": ignored or []}  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("truth", "found", "f1"),
    [
        (label([]), [], 1.0),
        (label([]), [box(10, score=0.9)], 0.0),
        (label([box(10)]), [], 0.0),
        (label([box(10)]), [box(10, score=0.9)], 1.0),
        (label([box(10)]), [box(10, score=0.2)], 0.0),  # below the least score
        (label([box(10), box(60)]), [box(11, score=0.9), box(100, score=0.8)], 0.5),
        (label([box(10), box(60)]), [box(11, score=0.9)], 2 / 3),
        (label([box(10)]), [box(10, "fray", score=0.9)], 0.0),  # a miss, and a false one
        (label([box(10)]), [box(10, score=0.9), box(10.5, score=0.8)], 2 / 3),  # found twice
        (label([box(10)], [box(60)]), [box(10, score=0.9), box(61, score=0.9)], 1.0),
    ],
)
def test_f1_of_an_image(truth: LabelRow, found: list[dict[str, Any]], f1: float) -> None:
    assert image_f1(truth, found, LOW) == pytest.approx(f1)


def test_good_and_bad_cases_are_the_ends_of_the_gain() -> None:
    right, missed = [box(10, score=0.9)], list[dict[str, Any]]()
    half = [*right, box(80, score=0.9)]
    labels = {name: label([box(10)]) for name in "abcde"}
    before = {"a": right, "b": missed, "c": half, "d": missed, "e": half}
    after = {"a": right, "b": right, "c": right, "d": half, "e": missed}
    good, bad = cases(labels, before, after, 2, LOW)
    assert [case.image_id for case in good] == ["b", "d"]
    assert [(case.image_id, round(case.gain, 3)) for case in bad] == [("e", -0.667)]
    assert cases(labels, after, after, 2, LOW) == ([], [])


@pytest.mark.parametrize(
    ("starts", "pair"),
    [
        (("scratch", "agbp", "agssp"), ("scratch", "agssp")),
        (("agssp", "scratch"), ("scratch", "agssp")),
        (("coco", "agssp"), ("coco", "agssp")),
        (("scratch", "coco", "imagenet"), ("scratch", "imagenet")),
        (("scratch",), None),
        (("agssp",), None),
        ((), None),
    ],
)
def test_which_starts_are_compared(starts: tuple[str, ...], pair: tuple[str, str] | None) -> None:
    assert compared_pair(starts) == pair


def detector(name: str) -> Detector:
    torch.manual_seed(0)
    return build_detector(name, ("dent", "fray"), Preprocessing(64, "letterbox")).eval()


@pytest.mark.parametrize("name", ["yolov8n", "yolov8n+resnet18"])
def test_features_are_those_of_the_detector_itself(name: str) -> None:
    """Its layer of stride 16, caught by a hook while it predicts, squared and summed over the channels."""
    model = detector(name)
    modules = dict(model.named_modules())
    (layer,) = [
        modules[key]
        for key in modules
        if key.endswith({"yolov8n": "model.6"}.get(name, "layer3")) and not key.endswith("cv1")
    ][:1]
    seen: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda module, given, made: seen.append(made))
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    with torch.no_grad():
        model.candidates(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    handle.remove()
    expected = cv2.resize(seen[0][0].square().sum(0).numpy(), (64, 64), interpolation=cv2.INTER_LINEAR)
    backbone = backbone_in(model)
    assert backbone is not None
    (shown,) = attention(model, backbone, [image])
    assert np.allclose(shown, expected, rtol=1e-4, atol=1e-5)


def test_features_of_a_wide_image_lie_where_the_image_lies() -> None:
    model = detector("yolov8n")
    backbone = backbone_in(model)
    assert backbone is not None
    (shown,) = attention(model, backbone, [np.zeros((30, 90, 3), np.uint8)])
    assert shown.shape == (30, 90)
    model.architecture = "rtdetr-l"  # whose backbone is none that stands alone
    assert backbone_in(model) is None


def stored(folder: Path, **tables: pa.Table) -> Artifact:
    storage = Storage.open(str(folder))
    storage.create()
    for name, table in tables.items():
        storage.write_table(name, table)
    return Artifact(folder.name, folder.name, storage, {}, reused=False)


def outcome(folder: Path, images: dict[str, str], found: dict[str, list[dict[str, Any]]]) -> StartOutcome:
    rows = [{"image_id": name, "uri": uri, "boxes": found[name]} for name, uri in images.items()]
    evaluated = stored(
        folder / "e", **{"predictions.parquet": pa.Table.from_pylist(rows, schema=PREDICTIONS)}
    )
    finetuned = stored(folder / "f")
    save_detector(detector("yolov8n"), finetuned.directory, WEIGHTS_FILE, {})
    return StartOutcome(finetuned, evaluated)


def test_the_sheet_from_stored_tables(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = {}
    for name in "abc":
        images[name] = str(tmp_path / f"{name}.png")
        cv2.imwrite(images[name], rng.integers(0, 255, (60, 120, 3), dtype=np.uint8))
    rows = [{"image_id": name, "boxes": [box(10)]} for name in images]
    manifest = [{"image_id": name, "uri": uri} for name, uri in images.items()]
    labelled = stored(
        tmp_path / "labels",
        **{
            "labels.parquet": pa.Table.from_pylist(rows, schema=LABELS),
            "manifest": pa.Table.from_pylist(manifest, schema=MANIFEST),
        },
    )
    hit, miss = [box(10, score=0.9)], list[dict[str, Any]]()
    starts = {
        "scratch": outcome(tmp_path / "s", images, {"a": miss, "b": hit, "c": hit}),
        "agssp": outcome(tmp_path / "g", images, {"a": hit, "b": miss, "c": hit}),
    }
    sheet = cases_sheet(labelled, starts, 3, LOW)
    assert sheet is not None
    assert (sheet.before, sheet.after, sheet.good, sheet.bad, sheet.features) == (
        "scratch",
        "agssp",
        1,
        1,
        True,
    )
    assert sheet.picture is not None
    step = SIDE + GAP
    assert sheet.picture.shape == (5 * LINE + 2 * step, 5 * step, 3)
    same = cases_sheet(labelled, {"scratch": starts["scratch"], "agssp": starts["scratch"]}, 3, LOW)
    assert same is not None
    assert same.picture is None
    assert cases_sheet(labelled, {"agssp": starts["agssp"]}, 3, LOW) is None
    assert cases_sheet(labelled, starts, 0, LOW) is None


def test_names_of_any_letters_are_drawn() -> None:
    panel = np.zeros((SIDE, 10, 3), np.uint8)
    picture = drawn_sheet(["truth"], [Case("a", 1.0, 0.0)], ["Ä-\n€" * 40], [[panel]], "ß")
    assert picture.shape == (3 * LINE + SIDE + GAP, SIDE + GAP, 3)
