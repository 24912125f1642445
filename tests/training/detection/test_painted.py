"""AGDP learns from maps, painted defects or both: what each reads, learns, and begins with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest
from pydantic import ValidationError

from cluster.errors import UserError
from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from pipelines.review.decisions import Change, save_changes
from pipelines.surfaces.generator import write_corpus
from pipelines.tables.schemas import BOXES, LABELS, MANIFEST, PAINTED
from training.detection.agdp import painted_rows, with_painted
from training.detection.defect_boxes import DefectBoxes
from training.detection.section import DetectorSection
from training.inputs import Goal, Needs
from training.opening import open_pipeline
from training.pipeline import Pipeline
from training.project import Project

SIDES = ("x0", "y0", "x1", "y1")


def boxed(*boxes: tuple[float, float, float, float]) -> list[dict[str, float]]:
    return [dict(zip(SIDES, box, strict=True)) | {"score": 1.0} for box in boxes]


FOUND, DRAWN = boxed((0, 0, 9, 9)), boxed((20, 20, 40, 30), (50, 1, 60, 9))


def row(number: int, boxes: list[dict[str, float]], **more: Any) -> dict[str, Any]:
    identity = {"image_id": f"{number:032x}", "uri": f"/{number}.png", "category": "tile"}
    return {**identity, "width": 64, "height": 64, "boxes": boxes, **more}


@pytest.fixture
def stages(tmp_path: Path) -> dict[str, Artifact]:
    """Image 0: a pseudo-box and painted defects; 1: painted; 2: a pseudo-box; 3: neither; 4: held out."""
    data = Storage.open(str(tmp_path / "data"))
    found = [row(0, FOUND), row(1, []), row(2, FOUND), row(3, []), row(4, FOUND)]
    data.write_table("boxes.parquet", pa.Table.from_pylist(found, schema=BOXES))
    drawn = [
        row(0, DRAWN, painted="images/0.png"),
        row(1, DRAWN[:1], painted="images/1.png"),
        row(2, [], painted=None),
        row(3, [], painted=None),
        row(4, DRAWN, painted="images/4.png"),  # held out all the same
    ]
    data.write_table("painted.parquet", pa.Table.from_pylist(drawn, schema=PAINTED))
    manifest = [
        one | {"split": "test" if n == 4 else "train", "role": "train"} for n, one in enumerate(found)
    ]
    manifest[0]["levels"] = [0.0, 4095.0]
    data.write_table("manifest/part-0.parquet", pa.Table.from_pylist(manifest, schema=MANIFEST))
    return {
        name: Artifact(name, name * 8, data, {"results": {}}, reused=True)
        for name in ("corpus", "boxes", "painted")
    }


def learnt(inputs: DefectBoxes, section: DetectorSection) -> dict[str, tuple[str, list[list[float]]]]:
    training = inputs.training(section)
    samples = [*training.train, *training.held_out]
    return {sample.image_id[-1]: (Path(sample.uri).name, sample.boxes.tolist()) for sample in samples}


def corners(boxes: list[dict[str, float]]) -> list[list[float]]:
    return [[box[side] for side in SIDES] for box in boxes]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("boxes",), {"0": FOUND, "1": [], "2": FOUND, "3": []}),
        (("painted",), {"0": DRAWN, "1": DRAWN[:1], "2": [], "3": []}),
        (("boxes", "painted"), {"0": FOUND + DRAWN, "1": DRAWN[:1], "2": FOUND, "3": []}),
    ],
)
def test_images_carry_the_boxes_of_their_sources(
    stages: dict[str, Artifact], tmp_path: Path, names: tuple[str, ...], expected: dict[str, Any]
) -> None:
    workspace = Storage.open(str(tmp_path / "workspace"))
    sources = {name: stages[name] for name in names}
    inputs = DefectBoxes.reviewed(workspace, corpus=stages["corpus"], **sources)
    found = learnt(inputs, DetectorSection())
    assert {key: boxes for key, (_, boxes) in found.items()} == {
        key: corners(boxes) for key, boxes in expected.items()
    }
    folder = stages["painted"].directory
    training = inputs.training(DetectorSection())
    uris = {sample.image_id[-1]: sample.uri for sample in [*training.train, *training.held_out]}
    shown = {folder.uri_of(f"images/{n}.png") for n in (0, 1)} if "painted" in names else {"/0.png", "/1.png"}
    assert set(uris.values()) == shown | {"/2.png", "/3.png"}
    assert training.freeze == "none"
    assert inputs.training(DetectorSection(freeze_backbone=True)).freeze == "backbone"
    levels = {sample.image_id[-1]: sample.levels for sample in [*training.train, *training.held_out]}
    assert levels["0"] == (0.0, 4095.0)


def test_a_review_takes_out_images_but_no_painted_box(stages: dict[str, Artifact], tmp_path: Path) -> None:
    workspace = Storage.open(str(tmp_path / "workspace"))
    changes = [
        {"image_id": f"{1:032x}", "kind": "image", "verdict": "rejected"},
        {"image_id": f"{0:032x}", "kind": "box", "box": corners(FOUND)[0], "verdict": "rejected"},
        {"image_id": f"{0:032x}", "kind": "box", "box": corners(DRAWN)[0], "verdict": "rejected"},
    ]
    save_changes(workspace, [Change.model_validate(change) for change in changes])
    alone = DefectBoxes.reviewed(workspace, corpus=stages["corpus"], painted=stages["painted"])
    both = DefectBoxes.reviewed(workspace, **stages)
    for inputs in (alone, both):
        found = learnt(inputs, DetectorSection())
        assert found["0"][1] == corners(DRAWN)
        assert "1" not in found


def test_nothing_painted_is_told(stages: dict[str, Artifact], tmp_path: Path) -> None:
    empty = Storage.open(str(tmp_path / "empty"))
    empty.write_table("painted.parquet", pa.Table.from_pylist([row(0, [], painted=None)], schema=PAINTED))
    painted = Artifact("paint", "p" * 16, empty, {"results": {}}, reused=True)
    inputs = DefectBoxes.reviewed(Storage.open(str(tmp_path)), corpus=stages["corpus"], painted=painted)
    with pytest.raises(UserError, match="No defect could be painted onto any image"):
        inputs.training(DetectorSection())


def test_an_image_that_was_not_painted_keeps_its_pseudo_boxes(tmp_path: Path) -> None:
    directory = Storage.open(str(tmp_path))
    painted = painted_rows([row(0, DRAWN, painted="images/a.png"), row(7, DRAWN, painted="b.png")], directory)
    merged = with_painted([row(0, FOUND), row(1, FOUND)], painted)
    assert [one["uri"] for one in merged] == [directory.uri_of("images/a.png"), "/1.png"]
    assert [one["boxes"] for one in merged] == [FOUND + DRAWN, FOUND]


def test_the_methods_own_sources_leave_the_fingerprint_as_it_was() -> None:
    """The keys of the former section, no more; what differs from them is named."""
    plain = DetectorSection().deciding
    later = {"boxes", "start", "ignore", "rounds", "tiles", "tile_overlap"}
    assert later & set(plain) == set()
    assert set(plain) == set(DetectorSection.model_fields) - later
    assert DetectorSection(tiles=256).deciding == plain | {"tiles": 256, "tile_overlap": 0.25}
    assert DetectorSection(rounds=2).deciding == plain  # a later round is told by the proposals that it reads
    assert DetectorSection(start="agbp").deciding == plain
    assert DetectorSection(boxes="both").deciding == plain | {"boxes": "both"}
    painted = plain | {"boxes": "painted", "start": "coco"}
    assert DetectorSection(boxes="painted").deciding == painted
    assert DetectorSection(boxes="painted", start="coco").deciding == painted
    here, there = (DetectorSection(start=f"{folder}/mine.pt").deciding for folder in ("here", "there"))
    assert here == there == plain | {"start": "weights"}  # the stage's fingerprint has the file's digest
    assert DetectorSection(start="scratch").deciding == plain | {"start": "scratch"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"start": "agssp"}, "what this stage makes"),
        ({"boxes": "painted", "confidence_weighted": True}, "painted boxes have no scores"),
        ({"boxes": "none"}, "boxes"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        DetectorSection(**change)


@pytest.mark.parametrize(
    ("detector", "maps", "backbone", "start"),
    [
        ({}, True, True, None),
        ({"start": "scratch"}, True, False, None),
        ({"boxes": "both"}, True, True, None),
        ({"boxes": "both", "start": "coco"}, True, False, "coco"),
        ({"boxes": "painted"}, False, False, "coco"),
        ({"boxes": "painted", "start": "scratch"}, False, False, None),
        ({"boxes": "painted", "start": "agbp"}, True, True, None),
    ],
)
def test_a_command_asks_for_what_the_detector_reads(
    detector: dict[str, Any], maps: bool, backbone: bool, start: str | None
) -> None:
    project = Project.model_validate(
        {"corpus": {"root": "photos"}, "detector": detector, "finetune": {"starts": ["coco", "agssp"]}}
    )
    needs = Needs.of(project, "detector")
    assert (needs.maps, needs.backbone, needs.detector_start, needs.labels) == (maps, backbone, start, False)
    finetune, run = Needs.of(project, "finetune"), Needs.of(project, "run")
    read = Pipeline(project, Site(Storage.open("nowhere"), cast(Any, None))).source_names("agssp")
    assert ("maps" in read, "backbone" in read) == (maps, backbone)
    assert (finetune.maps, finetune.backbone, finetune.detector_start) == (maps, backbone, start)
    assert (run.maps, run.backbone, run.detector_start) == (maps, backbone, start)


@pytest.mark.parametrize("goal", ["detector", "finetune", "run"])
def test_what_labels_may_choose_is_asked_for_beforehand(goal: Goal) -> None:
    detector = {"detector": {"boxes": "auto"}, "finetune": {"starts": ["coco", "agssp"]}}
    needs = Needs.of(Project.model_validate(detector), goal)
    assert (needs.maps, needs.backbone, needs.detector_start) == (True, False, "coco")


def test_a_whole_run_asks_for_maps_where_a_start_of_their_own_reads_them() -> None:
    starts = {"starts": ["scratch", "agbp", "agssp"]}
    project = Project.model_validate({"detector": {"boxes": "painted"}, "finetune": starts})
    needs = Needs.of(project, "run")
    assert (needs.maps, needs.backbone) == (True, True)


def test_a_detector_without_the_backbone_stage_may_stand_on_another_backbone() -> None:
    Project.model_validate(
        {"detector": {"name": "yolov8s", "boxes": "painted"}, "finetune": {"starts": ["scratch"]}}
    )
    with pytest.raises(ValidationError, match="must stand on backbone"):
        Project.model_validate({"detector": {"name": "yolov8s"}, "finetune": {"starts": ["scratch"]}})


@pytest.mark.ray
def test_painted_defects_are_learnt_without_references_prompts_or_maps(
    ray_cluster: None, tracked: Callable[[Path], Path], tmp_path: Path
) -> None:
    """A category that has no prompts and no references: nothing but photographs."""
    photos = tmp_path / "photos" / "widget"
    write_corpus(
        tmp_path / "made", seed=1, images_per_category=12, size=64, defect_share=0, categories=["casting"]
    )
    photos.mkdir(parents=True)
    for path in (tmp_path / "made").rglob("*.png"):
        path.rename(photos / path.name)
    project = Project.model_validate(
        {
            "workspace": str(tracked(tmp_path / "workspace")),
            "seed": 3,
            "corpus": {"root": str(tmp_path / "photos")},
            "paint": {"share": 1.0},
            "scaling": {"workers": 1},  # on Ray Train
            "detector": {
                "boxes": "painted",
                "start": "scratch",
                "image_size": 64,
                "holdout": 0.2,
                "loop": {"epochs": 1, "batch_size": 4},
            },
        }
    )
    with open_pipeline(project, "test", "detector") as pipeline:
        made = pipeline.detector
        painted = pipeline.paint
        assert set(pipeline.sources("agssp")) == {"corpus", "paint", "detector"}
    workspace = Storage.open(project.workspace)
    assert not workspace.exists("maps")
    assert not workspace.exists("boxes")
    assert not workspace.exists("backbone")
    assert made.directory.exists("detector.safetensors")
    assert made.record["inputs"] == {
        "corpus": made.record["inputs"]["corpus"],
        "paint": painted.fingerprint,
    }
    assert painted.record["config"]["seed"] == 3
    assert made.results["with_boxes"] > 0
    assert made.results["images"] + made.results["held_out_images"] == painted.results["images"]
    assert (made.results["backbone_frozen"], made.results["transfer"]) == (False, None)


def test_labels_are_learnt_as_one_class_and_held_out_images_are_not(
    stages: dict[str, Artifact], tmp_path: Path
) -> None:
    """Image 0: two objects and an ignored region; 1: normal; 2: unlabelled; 3: ignored alone; 4: held out."""
    objects = [{**box, "label": name} for box, name in zip(FOUND + DRAWN[:1], ("pit", "crack"), strict=True)]
    region = [{**DRAWN[1], "label": "dust"}]
    known = [(0, objects, region), (1, [], []), (3, [], region), (4, objects, [])]
    labels = [
        {"image_id": f"{n:032x}", "boxes": boxes, "mask": None, "ignored": regions}
        for n, boxes, regions in known
    ]
    corpus = stages["corpus"].directory
    corpus.write_table("labels.parquet", pa.Table.from_pylist(labels, schema=LABELS))
    workspace = Storage.open(str(tmp_path / "workspace"))
    inputs = DefectBoxes.reviewed(workspace, corpus=stages["corpus"])
    assert list(inputs.artifacts) == ["corpus"]
    training = inputs.training(DetectorSection.model_validate({"boxes": "labels"}))
    samples = {sample.image_id[-1]: sample for sample in [*training.train, *training.held_out]}
    assert sorted(samples) == ["0", "1"]
    assert samples["0"].boxes.tolist() == corners(FOUND + DRAWN[:1])
    assert samples["0"].labels.tolist() == [0, 0]
    assert samples["0"].ignored.tolist() == corners(DRAWN[1:])
    assert samples["0"].levels == (0.0, 4095.0)
    assert not len(samples["1"].boxes)

    rejected = {"image_id": f"{0:032x}", "kind": "image", "verdict": "rejected"}
    save_changes(workspace, [Change.model_validate(rejected)])
    with pytest.raises(UserError, match="The review leaves no labelled box in its training split"):
        DefectBoxes.reviewed(workspace, corpus=stages["corpus"]).training(DetectorSection())


@pytest.mark.parametrize(
    ("boxes", "maps", "begins"),
    [("labels", False, "coco"), ("painted", False, "coco"), ("both", True, "agbp")],
)
def test_labels_and_painted_defects_need_no_maps(boxes: str, maps: bool, begins: str) -> None:
    section = DetectorSection.model_validate({"boxes": boxes})
    assert (section.needs_maps, section.begins_with) == (maps, begins)
    assert section.deciding["boxes"] == boxes


def test_pseudo_boxes_may_be_hidden_instead_of_learnt(stages: dict[str, Artifact], tmp_path: Path) -> None:
    workspace = Storage.open(str(tmp_path / "workspace"))
    section = DetectorSection.model_validate({"boxes": "painted", "ignore": "maps"})
    assert (section.begins_with, section.needs_maps, section.paints_beside_boxes) == ("coco", True, True)
    assert section.deciding != DetectorSection.model_validate({"boxes": "painted"}).deciding
    assert "ignore" not in DetectorSection().deciding
    rejected = {"image_id": f"{2:032x}", "kind": "box", "box": corners(FOUND)[0], "verdict": "rejected"}
    save_changes(workspace, [Change.model_validate(rejected)])
    training = DefectBoxes.reviewed(workspace, **stages).training(section)
    samples = {sample.image_id[-1]: sample for sample in [*training.train, *training.held_out]}
    assert {key: sample.boxes.tolist() for key, sample in samples.items()} == {
        "0": corners(DRAWN), "1": corners(DRAWN[:1]), "2": [], "3": [],
    }  # fmt: skip
    hidden = {key: sample.ignored.tolist() for key, sample in samples.items()}
    assert hidden == {"0": corners(FOUND), "1": [], "2": [], "3": []}  # a rejected box hides nothing
    assert samples["0"].ignored_labels.tolist() == [-1]


@pytest.mark.parametrize("boxes", ["maps", "both", "labels"])
def test_boxes_that_are_learnt_can_not_be_hidden(boxes: str) -> None:
    with pytest.raises(ValidationError, match="ignore=maps needs boxes=painted"):
        DetectorSection.model_validate({"boxes": boxes, "ignore": "maps"})
