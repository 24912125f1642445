"""What a command asks for before it starts is what its own stages read, and no more."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.errors import UserError
from cluster.stages import Artifact
from cluster.storage.storage import Storage
from pipelines.cli.corpus_check import check_listing
from pipelines.corpus.stage import CorpusImages
from pipelines.maps.section import MapsSection
from pipelines.maps.stage import make_maps
from pipelines.tables.schemas import MANIFEST
from training.inputs import Goal, check_inputs, read_listing
from training.opening import check_project
from training.project import Project

LATER: tuple[Goal, ...] = ("maps", "backbone", "run")


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(path)))
    Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two images of `part`, a category that has neither prompts nor references; one of a known category."""
    for name in ("part/1.png", "part/2.png", "casting/1.png", "casting/references/2.png"):
        picture(tmp_path / "photos" / name)
    return tmp_path / "photos"


def project(photos: Path, **more: Any) -> Project:
    return Project.model_validate({"corpus": {"root": str(photos)}, **more})


def test_the_corpus_asks_for_neither_references_nor_prompts(photos: Path) -> None:
    check_project(project(photos), "corpus")
    listing = read_listing(project(photos).corpus, None)
    assert {entry.category for entry in listing.entries} == {"part", "casting"}
    assert CorpusImages(listing).inputs == {}
    for goal in LATER:
        with pytest.raises(UserError, match=r'Category "casting" has 1 normal reference images'):
            check_inputs(project(photos), goal)
        with pytest.raises(UserError, match='no prompts for category "part"'):
            check_inputs(project(photos, maps={"kead": {"shots": 0}}), goal)


@pytest.mark.parametrize(
    ("settings", "goals", "others", "told"),
    [
        ({"maps": {"encoder": {"model": "nowhere.json"}}}, LATER, ("corpus",), "does not exist"),
        ({"backbone": {"start": "none.pt"}}, ("backbone", "run"), ("corpus", "maps"), "none.pt"),
        (
            {"finetune": {"weights": {"mine": "none.pt"}, "starts": ["mine"]}},
            ("finetune", "run"),
            ("corpus", "maps", "backbone"),
            "none.pt",
        ),
        (
            {"finetune": {"data": {"train": {"root": "none"}}}},
            ("finetune", "run"),
            ("corpus", "maps", "backbone"),
            "none",
        ),
    ],
)
def test_what_later_stages_read_may_be_at_fault(
    photos: Path, settings: dict[str, Any], goals: tuple[Goal, ...], others: tuple[Goal, ...], told: str
) -> None:
    zero = {"kead": {"shots": 0}, "categories": {"part": {"object": "part"}}}
    whole = project(photos, **(settings | {"maps": zero | settings.get("maps", {})}))
    for goal in others:
        check_project(whole, goal)
    for goal in goals:
        with pytest.raises(UserError, match=told):
            check_project(whole, goal)


def test_finetuning_from_scratch_asks_for_nothing_of_the_maps(photos: Path) -> None:
    maps = {"encoder": {"model": "nowhere.json"}}
    check_project(project(photos, maps=maps, finetune={"starts": ["scratch"]}), "finetune")
    for start in ("agbp", "agssp"):
        with pytest.raises(UserError, match=r"normal reference images"):
            check_project(project(photos, maps=maps, finetune={"starts": ["scratch", start]}), "finetune")


def test_maps_refuse_references_that_went_bad_in_the_corpus(tmp_path: Path) -> None:
    directory = Storage.open(str(tmp_path))
    row = {"image_id": "a" * 32, "uri": "a.png", "category": "casting", "role": "reference"}
    rows = [{name: row.get(name) for name in MANIFEST.names}]
    directory.write_table(
        "manifest/part-0.parquet", MANIFEST.empty_table().from_pylist(rows, schema=MANIFEST)
    )
    corpus = Artifact("corpus", "f" * 64, directory, {}, reused=True)
    section = MapsSection.model_validate({"kead": {"shots": 2}})
    with pytest.raises(UserError, match=r"has only 1 readable, different .* and maps\.kead\.shots=2 needs 2"):
        make_maps(section, site=None, corpus=corpus)  # type: ignore[arg-type]


def test_an_evaluation_folder_is_told_by_the_options_that_name_it(photos: Path, tmp_path: Path) -> None:
    assert len(check_listing(str(photos), "folder")) == 4
    with pytest.raises(
        UserError, match=r"set --layout to another one, correct the labels or move the images"
    ) as caught:
        check_listing(str(photos), "visa")
    assert "corpus." not in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"set --against to one that does\.$"):
        check_listing(str(tmp_path / "empty"), "auto")
    picture(tmp_path / "out.png")
    (photos / "part/link.png").symlink_to(tmp_path / "out.png")
    with pytest.raises(UserError, match=r"leads out .* set corpus\.follow_links=true"):
        check_listing(str(photos), "folder")
    assert len(check_listing(str(photos), "folder", follow_links=True)) == 5
