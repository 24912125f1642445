"""Further rounds of AGDP: which detections are learnt, which are hidden, and what each round reads."""

import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from cluster.errors import UserError
from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from pipelines.review.decisions import Change, save_changes
from pipelines.surfaces.generator import write_corpus
from pipelines.tables.schemas import BOXES, LABELS, MANIFEST, PAINTED
from tests.silent_tracking import SilentPipeline
from training.detection.defect_boxes import DefectBoxes
from training.detection.proposals_stage import propose_boxes
from training.detection.rounds import clear_of_painted, corrected
from training.detection.section import DetectorSection
from training.inputs import Needs
from training.models.letterbox import Preprocessing
from training.opening import open_pipeline
from training.pipeline import Pipeline
from training.prediction.section import PredictSection
from training.project import Project
from training.starts.detector_file import save_detector
from training.starts.filling import fresh_detector

Box = dict[str, float]


def box(x0: float, y0: float, x1: float, y1: float, score: float = 1.0) -> Box:
    return {"x0": x0, "y0": y0, "x1": x1, "y1": y1, "score": score}


def row(number: int, boxes: list[Box], category: str = "tile", **more: Any) -> dict[str, Any]:
    identity = {"image_id": f"{number:032x}", "uri": f"/{number}.png", "category": category}
    return {**identity, "width": 64, "height": 64, "boxes": boxes, **more}


def iou(one: Box, other: Box) -> float:
    width = min(one["x1"], other["x1"]) - max(one["x0"], other["x0"])
    height = min(one["y1"], other["y1"]) - max(one["y0"], other["y0"])
    shared = max(width, 0) * max(height, 0)
    areas = ((each["x1"] - each["x0"]) * (each["y1"] - each["y0"]) for each in (one, other))
    return shared / (sum(areas) - shared)


MAP, OTHER_MAP = box(0, 0, 20, 20, 0.9), box(40, 40, 60, 60, 0.8)
AGREEING, ALONE, WEAK = box(2, 2, 20, 20, 0.2), box(30, 0, 38, 8, 0.7), box(50, 0, 60, 9, 0.15)


def test_beside_painted_defects_what_the_maps_agree_with_is_learnt_and_the_rest_hidden() -> None:
    proposals = {f"{0:032x}": [ALONE, AGREEING, WEAK]}
    made = corrected([row(0, [MAP, OTHER_MAP]), row(1, [MAP])], proposals, agreeing=True)
    assert [one["boxes"] for one in made.rows] == [[AGREEING], []]
    assert [one["ignored"] for one in made.rows] == [[ALONE, WEAK, OTHER_MAP], [MAP]]
    assert (made.learnt, made.hidden) == (1, 4)


def test_the_surest_detections_stand_for_the_maps_boxes() -> None:
    """Of a category's six pseudo-boxes a fifth, rounded up, is two; the other category has its own count."""
    pseudo = [row(0, [MAP, OTHER_MAP]), row(1, [MAP] * 4), row(2, [MAP], "rail"), row(3, [], "clean")]
    proposals = {
        f"{0:032x}": [ALONE, AGREEING],
        f"{1:032x}": [WEAK],
        f"{2:032x}": [box(0, 0, 9, 9, 0.11)],
        f"{3:032x}": [ALONE],  # nothing is learnt where the maps have no box at all
    }
    made = corrected(pseudo, proposals, agreeing=False)
    assert [one["boxes"] for one in made.rows] == [[ALONE, AGREEING], [], [box(0, 0, 9, 9, 0.11)], []]
    assert [one["ignored"] for one in made.rows] == [[OTHER_MAP], [WEAK, *[MAP] * 4], [MAP], [ALONE]]


side = st.integers(0, 50)
drawn = st.builds(
    lambda x, y, w, h, score: box(x, y, x + w, y + h, score / 100),
    side, side, st.integers(1, 14), st.integers(1, 14), st.integers(10, 99),
)  # fmt: skip
image = st.tuples(st.sampled_from("ab"), st.lists(drawn, max_size=4), st.lists(drawn, max_size=4))


@settings(max_examples=60, deadline=None)
@given(images=st.lists(image, min_size=1, max_size=5), agreeing=st.booleans())
def test_rounds_agree_with_a_plain_reference(images: list[Any], agreeing: bool) -> None:
    pseudo = [row(n, boxes, category) for n, (category, boxes, _) in enumerate(images)]
    proposals = {f"{n:032x}": found for n, (_, _, found) in enumerate(images)}
    made = corrected(pseudo, proposals, agreeing=agreeing)
    scores: dict[str, list[float]] = defaultdict(list)
    count: dict[str, int] = defaultdict(int)
    for category, boxes, found in images:
        scores[category] += [each["score"] for each in found]
        count[category] += len(boxes)
    learnt_number = 0
    for (category, boxes, found), one in zip(images, made.rows, strict=True):
        wanted = math.ceil(count[category] / 5)
        if agreeing:
            learnt = [each for each in found if any(iou(each, other) >= 0.3 for other in boxes)]
        else:
            better = [sum(score > each["score"] for score in scores[category]) for each in found]
            learnt = [each for each, above in zip(found, better, strict=True) if above < wanted]
        hidden = [each for each in found if each not in learnt]
        hidden += [each for each in boxes if not any(iou(each, other) >= 0.3 for other in learnt)]
        assert one["boxes"] == learnt
        assert one["ignored"] == hidden
        learnt_number += len(learnt)
    assert made.learnt == learnt_number


def test_where_a_defect_is_painted_over_a_real_one_the_painted_one_stands() -> None:
    rows = [row(0, [MAP, OTHER_MAP], ignored=[WEAK]), row(1, [MAP])]
    clear = clear_of_painted(rows, [row(0, [box(19, 19, 30, 30)]), row(1, [box(20, 0, 30, 30)])])
    assert [one["boxes"] for one in clear] == [[OTHER_MAP], [MAP]]  # sides that touch share nothing
    assert clear[0]["ignored"] == [WEAK]


@pytest.fixture
def stages(tmp_path: Path) -> dict[str, Artifact]:
    """Image 0: two pseudo-boxes, a painted defect; 1: detections alone, painted; 2: nothing; 3: held out."""
    data = Storage.open(str(tmp_path / "data"))
    pseudo = [row(0, [MAP, OTHER_MAP]), row(1, []), row(2, []), row(3, [MAP])]
    data.write_table("boxes.parquet", pa.Table.from_pylist(pseudo, schema=BOXES))
    proposals = [row(0, [AGREEING, ALONE]), row(1, [WEAK]), row(2, [])]
    data.write_table("proposals.parquet", pa.Table.from_pylist(proposals, schema=BOXES))
    painted = [row(0, [box(30, 30, 36, 36)], painted="images/0.png"), row(1, [MAP], painted="images/1.png")]
    painted += [row(n, [], painted=None) for n in (2, 3)]
    data.write_table("painted.parquet", pa.Table.from_pylist(painted, schema=PAINTED))
    manifest = [
        one | {"split": "test" if n == 3 else "train", "role": "train"} for n, one in enumerate(pseudo)
    ]
    data.write_table("manifest/part-0.parquet", pa.Table.from_pylist(manifest, schema=MANIFEST))
    data.write_table("labels.parquet", pa.Table.from_pylist([], schema=LABELS))
    names = ("corpus", "boxes", "painted", "proposals")
    return {name: Artifact(name, name * 8, data, {"results": {}}, reused=True) for name in names}


def learnt(inputs: DefectBoxes, section: DetectorSection) -> dict[str, tuple[str, Any, Any]]:
    samples = [sample for part in ("train", "held_out") for sample in getattr(inputs.training(section), part)]
    return {
        sample.image_id[-1]: (Path(sample.uri).name, sample.boxes.tolist(), sample.ignored.tolist())
        for sample in samples
    }


def corners(*boxes: Box) -> list[list[float]]:
    return [[each[side] for side in ("x0", "y0", "x1", "y1")] for each in boxes]


def test_the_second_round_learns_painted_and_agreed_boxes(
    stages: dict[str, Artifact], tmp_path: Path
) -> None:
    section = DetectorSection(boxes="painted", rounds=2)
    inputs = DefectBoxes.reviewed(Storage.open(str(tmp_path)), **stages)
    assert learnt(inputs, section) == {
        "0": ("0.png", corners(AGREEING, box(30, 30, 36, 36)), corners(ALONE, OTHER_MAP)),
        "1": ("1.png", corners(MAP), corners(WEAK)),
        "2": ("2.png", [], []),
    }
    assert "proposals" in inputs.artifacts  # and so in fingerprint and lineage


def test_the_second_round_of_the_maps_learns_its_surest_detections(
    stages: dict[str, Artifact], tmp_path: Path
) -> None:
    """Two pseudo-boxes are in training images, so one detection is learnt; the test image has no say."""
    section = DetectorSection(rounds=2)
    sources = {name: stages[name] for name in ("corpus", "boxes", "proposals")}
    inputs = DefectBoxes.reviewed(Storage.open(str(tmp_path)), **sources)
    found = learnt(inputs, section)
    assert found["0"][1:] == (corners(ALONE), corners(AGREEING, MAP, OTHER_MAP))
    assert found["1"][1:] == ([], corners(WEAK))


def test_a_rejected_box_rejects_the_detections_that_are_it(
    stages: dict[str, Artifact], tmp_path: Path
) -> None:
    sure = corners(AGREEING)[0]
    changes = [
        {"image_id": f"{0:032x}", "kind": "box", "box": sure, "verdict": "rejected"},
        {"image_id": f"{1:032x}", "kind": "image", "verdict": "rejected"},
    ]
    save_changes(Storage.open(str(tmp_path)), [Change.model_validate(change) for change in changes])
    sources = {name: stages[name] for name in ("corpus", "boxes", "proposals")}
    inputs = DefectBoxes.reviewed(Storage.open(str(tmp_path)), **sources)
    found = learnt(inputs, DetectorSection(rounds=2))
    assert found["0"] == ("0.png", corners(ALONE), corners(OTHER_MAP))  # MAP is the rejected one, too
    assert "1" not in found


def test_a_round_that_finds_nothing_is_told(stages: dict[str, Artifact], tmp_path: Path) -> None:
    empty = Storage.open(str(tmp_path / "empty"))
    empty.write_table("proposals.parquet", pa.Table.from_pylist([row(0, [])], schema=BOXES))
    nothing = Artifact("proposals", "p" * 16, empty, {"results": {}}, reused=True)
    inputs = DefectBoxes(
        stages["corpus"],
        DefectBoxes.reviewed(Storage.open(str(tmp_path)), corpus=stages["corpus"]).review,
        boxes=stages["boxes"],
        proposals=nothing,
    )
    with pytest.raises(UserError, match="The round before finds no defect in any image"):
        inputs.training(DetectorSection(rounds=2))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"boxes": "labels", "rounds": 2}, "not labels"),
        ({"rounds": 2, "confidence_weighted": True}, "needs rounds=1"),
        ({"rounds": 0}, "greater than or equal to 1"),
        ({"rounds": 6}, "less than or equal to 5"),
    ],
)
def test_rounds_that_cannot_be_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        DetectorSection.model_validate(change)


def test_painted_defects_need_maps_from_the_second_round_on() -> None:
    section = DetectorSection(boxes="painted", rounds=2)
    assert [section.reads_pseudo_boxes(number) for number in (1, 2)] == [False, True]
    assert (section.needs_maps, section.needs_backbone) == (True, False)
    assert not section.paints_beside_boxes  # the first round is the same as that of one round alone
    project = Project.model_validate(
        {"corpus": {"root": "photos"}, "detector": {"boxes": "painted", "rounds": 2}}
    )
    assert Needs.of(project, "detector").maps
    read = Pipeline(project, Site(Storage.open("nowhere"), cast(Any, None))).source_names("agssp")
    assert read == ("corpus", "maps", "boxes", "paint", "detector")


def test_two_rounds_share_their_first_with_one_and_go_on_when_repeated(
    tracked: Callable[[Path], Path], tmp_path: Path
) -> None:
    write_corpus(
        tmp_path / "made", seed=1, images_per_category=12, size=64, defect_share=1, categories=["casting"]
    )
    settings = {
        "workspace": str(tracked(tmp_path / "workspace")),
        "corpus": {"root": str(tmp_path / "made"), "layout": "masks"},
        "scaling": {"workers": 0},
        "paint": {"share": 1.0},
        "detector": {
            "boxes": "painted",
            "start": "scratch",
            "image_size": 32,
            "holdout": 0,
            "loop": {"epochs": 1, "batch_size": 8},
        },
    }
    twice = {**settings, "detector": {**cast(dict[str, Any], settings["detector"]), "rounds": 2}}
    with open_pipeline(Project.model_validate(settings), "test", "detector") as pipeline:
        alone = pipeline.detector
    with open_pipeline(Project.model_validate(twice), "test", "detector") as pipeline:
        found = [
            {key: one[key] for key in ("image_id", "uri", "category", "width", "height")} | {"boxes": [MAP]}
            for one in pipeline.corpus.directory.read_table("manifest").to_pylist()
        ]
        data = Storage.open(str(tmp_path / "boxes"))
        data.write_table("boxes.parquet", pa.Table.from_pylist(found, schema=BOXES))
        pipeline.__dict__["boxes"] = Artifact("boxes", "b" * 64, data, {"results": {}}, reused=True)
        first, second = pipeline.rounds
        assert pipeline.detector is second
    assert (first.fingerprint, first.reused) == (alone.fingerprint, True)
    inputs = second.record["inputs"]
    assert set(inputs) == {"corpus", "boxes", "paint", "proposals"}
    assert second.results["round"] == 2
    assert second.results["corrected"]["hidden"] > 0
    record = Storage.open(f"{tmp_path}/workspace/proposals/{inputs['proposals'][:16]}").read_json(
        "stage.json"
    )
    assert record["inputs"] == {"corpus": inputs["corpus"], "detector": first.fingerprint}
    tables = pipeline.corpus.directory.read_table("manifest").to_pylist()
    assert record["results"]["images"] == sum(one["split"] != "test" for one in tables)


def test_every_image_outside_the_test_split_is_looked_at_and_a_lost_one_is_named(
    tmp_path: Path,
) -> None:
    rng, rows = np.random.default_rng(0), []
    for number in range(5):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 255, (40, 64, 3), dtype=np.uint8))
        split = "test" if number == 4 else "train"
        more = {"split": split, "role": "train", "width": 64, "height": 40, "uri": str(path)}
        rows.append(row(number, []) | more)
    corpus = Storage.open(str(tmp_path / "corpus"))
    corpus.write_table("manifest/part-0.parquet", pa.Table.from_pylist(rows, schema=MANIFEST))
    weights = Storage.open(str(tmp_path / "weights"))
    detector = fresh_detector("yolov8n", ("anomaly",), Preprocessing(64, "square"), 0)
    save_detector(detector, weights, "detector.safetensors", {})
    artifacts = {
        "corpus": Artifact("corpus", "c" * 64, corpus, {}, reused=True),
        "detector": Artifact("detector", "d" * 64, weights, {}, reused=True),
    }
    site = Site(Storage.open(str(tmp_path / "w")), SilentPipeline(None, "", {}))  # type: ignore[arg-type]
    gone = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").unlink()
    with pytest.raises(UserError, match=r"2\.png can't be read any more"):
        propose_boxes(PredictSection(), site=site, cut=DetectorSection(), **artifacts)
    (tmp_path / "2.png").write_bytes(gone)
    made = propose_boxes(PredictSection(), site=site, cut=DetectorSection(), **artifacts)
    table = made.directory.read_table("proposals.parquet")
    assert table.schema.equals(BOXES)
    assert [int(one, 16) for one in table.column("image_id").to_pylist()] == [0, 1, 2, 3]
    assert all(each["score"] >= 0.1 for one in table.column("boxes").to_pylist() for each in one)
    assert not made.directory.exists("detecting")
