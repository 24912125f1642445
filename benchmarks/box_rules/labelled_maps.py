"""Stored maps of labelled images, in two halves, made by the stages of ordinary projects."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.real_surfaces.box_quality import Box
from benchmarks.registry import SHARED_DATA
from cluster.config import validate
from cluster.stages import Artifact
from pipelines.tables import REFERENCE, CorpusTables
from training.opening import open_pipeline
from training.project import Project

WORKSPACE = "AGSSP_BENCH_WORKSPACE"
SEED = 81  # training seeds of the shipped encoder start at 10⁹


@dataclass(frozen=True)
class LabelledMaps:
    """Maps and labelled boxes of some images.

    Attributes:
        rows: rows of the maps table.
        truth: labelled boxes by image; a normal one has none.
    """

    rows: pa.Table
    truth: Mapping[str, Sequence[Box]]


def workspace() -> Path:
    """Where the stages are kept: `$AGSSP_BENCH_WORKSPACE`, or a folder of the working directory."""
    return Path(os.environ.get(WORKSPACE) or "workspace/box_rules").resolve()


def generated(folder: Path, shots: int) -> LabelledMaps:
    """Generated surfaces of every category, half of them with a defect; no image is held out."""
    corpus = {"test_share": 0, "reference_count": shots}
    surfaces = {"generate": {"seed": SEED, "images_per_category": 60}, "corpus": corpus}
    return _halves(_project(folder, surfaces, shots))["train"]


def real(folder: Path, name: str, shots: int) -> Mapping[str, LabelledMaps]:
    """The `train` and the `test` half of a set at `../shared/data`, near-duplicates on one side."""
    return _halves(real_project(folder, name, shots))


def real_project(folder: Path, name: str, shots: int) -> Project:
    """The project of those halves."""
    corpus = {
        "root": str(SHARED_DATA / name),
        "layout": name,
        "test_share": 0.5,
        "reference_count": shots,
    }
    return _project(folder, {"corpus": corpus}, shots)


def _project(folder: Path, document: Mapping[str, Any], shots: int) -> Project:
    whole = {
        "name": "box-rules",
        "workspace": str(folder),
        "maps": {"kead": {"shots": shots}},
        **document,
    }
    return validate(Project, whole, "The benchmark's project")


def _halves(project: Project) -> dict[str, LabelledMaps]:
    with open_pipeline(project, "box rules", "maps") as pipeline:
        corpus, maps = pipeline.corpus, pipeline.maps
    return halves_of(corpus, maps)


def halves_of(corpus: Artifact, maps: Artifact) -> dict[str, LabelledMaps]:
    """The `train` and the `test` half of two stages' artifacts."""
    tables = CorpusTables(corpus.directory)
    manifest, boxes = tables.manifest(), tables.boxes()
    rows = maps.directory.read_table("maps")
    halves = {}
    for half in ("train", "test"):
        # References are what the maps were made with: they are not judged.
        truth = {
            row["image_id"]: boxes[row["image_id"]]
            for row in manifest
            if row["split"] == half and row["role"] != REFERENCE and row["image_id"] in boxes
        }
        inside = pa.array([image in truth for image in rows.column("image_id").to_pylist()])
        halves[half] = LabelledMaps(rows.filter(inside), truth)
    return halves
