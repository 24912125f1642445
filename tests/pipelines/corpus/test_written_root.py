"""A corpus is found by its root as it is written, whatever folder the config is read from."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cluster.config import validate
from cluster.stages.site import Site
from cluster.storage.storage import Storage
from pipelines.corpus.labelled import build_labelled
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection, LabelledDataSection
from pipelines.corpus.stage import CorpusImages, build_corpus
from tests.silent_tracking import SilentPipeline

DEFAULTS = {
    "layout": "auto",
    "category": "",
    "categories": {},
    "references": {},
    "crowds": "auto",
    "follow_links": False,
    "levels": None,
}


def complete(workspace: Path, key: dict[str, Any], **results: int) -> str:
    """A finished stage, under the fingerprint of its key."""
    fingerprint = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    folder = workspace / key["stage"] / fingerprint[:16]
    folder.mkdir(parents=True)
    (folder / "stage.json").write_text(json.dumps({**key, "fingerprint": fingerprint, "results": results}))
    return fingerprint


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A workspace; the working directory has a folder `photos` with an image and its label."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos/images").mkdir(parents=True)
    (tmp_path / "photos/labels").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("photos/images/a.png")
    Path("photos/labels/a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    return Site(Storage.open(str(tmp_path / "w")), SilentPipeline(None, "", {}))  # type: ignore[arg-type]


def test_a_corpus_of_a_relative_root(site: Site, tmp_path: Path) -> None:
    section = validate(CorpusSection, {"root": "photos"}, "Config")
    assert section.root == f"{tmp_path}/photos"
    images = CorpusImages(Listing(section))
    config = {
        "root": "photos",
        **DEFAULTS,
        "sources": [],
        "reference_count": 4,
        "test_share": 0.5,
        "near_duplicate_distance": 64,
        "max_bad_share": 0.05,
        "bad_labels": "drop",
    }
    extra = {"listing": images.listing.digest()}
    key = {"stage": "corpus", "revision": 8, "config": config, "inputs": {}, "extra": extra}
    fingerprint = complete(tmp_path / "w", key)
    found = build_corpus(section, images, site=site)
    assert (found.reused, found.fingerprint) == (True, fingerprint)


def test_labels_of_a_relative_root_found_from_another_folder(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a search's trial, which reads the config again where Ray put it."""
    section = validate(LabelledDataSection, {"train": {"root": "photos"}}, "Config")
    config = {
        "root": "",
        **DEFAULTS,
        "sources": [{"root": "photos", **DEFAULTS}],
        "reference_count": 0,
        "test_share": 0.3,
        "near_duplicate_distance": 64,
        "max_bad_share": 0.05,
        "bad_labels": "clip",
    }
    extra = {"listing": Listing(section.as_corpus()).digest()}
    key = {"stage": "labels", "revision": 8, "config": config, "inputs": {}, "extra": extra}
    fingerprint = complete(tmp_path / "w", key)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    again = validate(LabelledDataSection, {"train": {"root": "photos"}}, "The trial", str(tmp_path))
    found = build_labelled(again, site=site)
    assert (found.reused, found.fingerprint) == (True, fingerprint)


def test_a_published_split_is_part_of_the_key_and_moved_files_are_told_each_time(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/data.yaml").write_text("test: images\nnames: [dent]\n")
    section = validate(CorpusSection, {"root": "photos", "split": "published"}, "Config")
    images = CorpusImages(Listing(section))
    assert images.digests.keys() == {"listing", "published"}
    config = {
        "root": "photos",
        **DEFAULTS,
        "sources": [],
        "reference_count": 4,
        "split": "published",
        "test_share": 0.5,
        "near_duplicate_distance": 64,
        "max_bad_share": 0.05,
        "bad_labels": "drop",
    }
    key = {"stage": "corpus", "revision": 8, "config": config, "inputs": {}, "extra": images.digests}
    fingerprint = complete(tmp_path / "w", key, moved=3, test=5)
    assert build_corpus(section, images, site=site).fingerprint == fingerprint
    told = capsys.readouterr().err.replace("\n", "")
    assert "corpus.split=published: 3 files are not on the side" in told
    assert f"{fingerprint[:16]}/moved.parquet" in told
