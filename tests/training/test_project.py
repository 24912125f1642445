"""A project: its seed reaches every training, its paths every process; the config stays as it was written."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.config import validate
from training.pipeline import NOT_SHOWN
from training.project import Project


def test_loops_take_the_projects_seed_unless_they_have_their_own() -> None:
    project = Project.model_validate({"seed": 4, "detector": {"loop": {"seed": 9, "epochs": 3}}})
    seeded = project.seeded()
    assert (seeded.backbone.loop.seed, seeded.detector.loop.seed, seeded.finetune.loop.seed) == (4, 9, 4)
    assert type(seeded.backbone.loop) is type(project.backbone.loop)
    # What is reported is the config as written; all but the seeds is the same.
    assert (project.backbone.loop.seed, project.finetune.loop.seed) == (None, None)
    written, taken = project.model_dump(), seeded.model_dump()
    for name in ("backbone", "finetune", "heads"):
        written[name]["loop"]["seed"] = 4
    for name in ("paint", "audit", "certify"):
        written[name]["seed"] = 4
    assert taken == written


def test_another_project_seed_is_not_held_by_loops() -> None:
    """Studies copy a project with other seeds."""
    project = Project(seed=1)
    assert project.model_copy(update={"seed": 2}).seeded().backbone.loop.seed == 2


WRITTEN: dict[str, Any] = {
    "workspace": "runs",
    "corpus": {"root": "photos"},
    "maps": {"prompts": ["p.yaml"], "encoder": {"model": "ViT-B/32", "weights": "w/e.pt"}},
    "backbone": {"start": "starts/b.safetensors"},
    "finetune": {
        "starts": ["scratch", "mine", "stage", "registered", "named", "published"],
        "weights": {
            "mine": "m.pt",
            "stage": "runs/backbone/0123",
            "registered": "models:/a/1",
            "named": "line@candidate",
            "published": "imagenet",
        },
        "data": {"train": {"root": "labelled"}, "test": {"root": "s3://bucket/test"}},
    },
}


def read_at(folder: Path | None, document: dict[str, Any] = WRITTEN) -> Project:
    return validate(Project, document, "Config", None if folder is None else str(folder))


def test_every_path_of_a_config_is_absolute_and_names_stay(tmp_path: Path) -> None:
    (tmp_path / "imagenet").mkdir()  # a folder of a start's name changes no name
    project = read_at(tmp_path)
    data, weights = project.finetune.data, project.finetune.weights
    assert data is not None
    assert project.workspace == f"{tmp_path}/runs"
    assert project.corpus.root == f"{tmp_path}/photos"
    assert project.maps.prompts == (f"{tmp_path}/p.yaml",)
    assert (project.maps.encoder.model, project.maps.encoder.weights) == ("ViT-B/32", f"{tmp_path}/w/e.pt")
    assert project.backbone.start == f"{tmp_path}/starts/b.safetensors"
    assert (data.train.root, data.test.root) == (f"{tmp_path}/labelled", "s3://bucket/test")
    assert dict(weights) == {
        "mine": f"{tmp_path}/m.pt",
        "stage": f"{tmp_path}/runs/backbone/0123",
        "registered": "models:/a/1",
        "named": "line@candidate",
        "published": "imagenet",
    }
    sources = read_at(tmp_path, {"corpus": {"sources": [{"root": "a"}, {"root": "/b"}]}}).corpus.sources
    assert [source.root for source in sources] == [f"{tmp_path}/a", "/b"]


@pytest.mark.parametrize(
    ("section", "value", "is_path"),
    [
        ({"maps": {"encoder": {"model": "base"}}}, "base", False),
        ({"maps": {"encoder": {"model": "surface-clip"}}}, "surface-clip", False),
        ({"maps": {"encoder": {"model": "mine"}}}, "mine", True),  # a folder, made below
        ({"maps": {"encoder": {"model": "mine.json"}}}, "mine.json", True),
        ({"maps": {"encoder": {"model": "base", "weights": "laion2b_e16"}}}, "laion2b_e16", False),
        ({"backbone": {"start": "scratch"}}, "scratch", False),
        ({"backbone": {"start": "mine"}}, "mine", True),
        ({"backbone": {"start": "another"}}, "another", False),  # of the registry
        ({"backbone": {"start": "x" * 300}}, "x" * 300, False),
    ],
)
def test_a_name_is_a_path_where_the_stages_would_look_for_one(
    tmp_path: Path, section: dict[str, Any], value: str, is_path: bool
) -> None:
    for name in ("mine", "scratch", "surface-clip"):
        (tmp_path / name).mkdir()
    read = json.dumps(read_at(tmp_path, section).model_dump(), default=str)
    assert (f'"{tmp_path}/{value}"' in read) == is_path
    assert json.dumps(value) in json.dumps(read_at(tmp_path, section).model_dump(mode="json"))


def test_records_and_fingerprints_hold_the_paths_as_they_were_written(tmp_path: Path) -> None:
    """Where the config was read changes nothing that is kept."""
    here, there = (read_at(tmp_path / name).model_dump(mode="json") for name in ("here", "there"))
    assert here == there
    assert str(tmp_path) not in json.dumps(here)
    for section in ("corpus", "maps", "backbone", "finetune"):
        for key in set(WRITTEN[section]) - {"data", "starts"}:
            kept = here[section][key]
            asked = WRITTEN[section][key]
            assert kept == asked if not isinstance(asked, dict) else asked.items() <= kept.items()


def test_what_the_report_does_not_show_are_sections_of_a_project() -> None:
    assert set(Project.model_fields) >= NOT_SHOWN
