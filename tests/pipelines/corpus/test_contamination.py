"""Evaluation images found in pretraining: the same bytes, the same look, nothing else."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.corpus.contamination import HashedImage, contamination, hash_images
from pipelines.corpus.section import DEFAULT_DISTANCE
from pipelines.surfaces.generator import generate


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Two surfaces; the first again darker and as JPEG, and byte for byte; a text file."""
    one, two = (Image.fromarray(generate(3, index, size=128, category="billet").image) for index in (0, 1))
    one.save(tmp_path / "one.png")
    two.save(tmp_path / "two.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "one.png").read_bytes())
    Image.fromarray((np.asarray(one) * 0.7).astype(np.uint8)).resize((200, 200)).save(tmp_path / "dark.jpg")
    (tmp_path / "text.png").write_text("no image")
    return {path.stem: str(path) for path in tmp_path.iterdir()}


def hashed(files: dict[str, str], *names: str) -> list[HashedImage]:
    found, unreadable = hash_images([files[name] for name in names])
    assert not unreadable
    return found


def test_exact_and_near_matches(files: dict[str, str]) -> None:
    pretraining = hashed(files, "one")
    matches = contamination(hashed(files, "dark", "two", "copy"), pretraining, DEFAULT_DISTANCE)
    assert [(match.uri, match.kind) for match in matches] == [
        (files["copy"], "exact"),
        (files["dark"], "near"),
    ]
    assert {match.pretraining_uri for match in matches} == {files["one"]}
    assert matches[0].distance == 0
    assert 0 < matches[1].distance <= DEFAULT_DISTANCE
    assert [match.kind for match in contamination(hashed(files, "dark", "copy"), pretraining, 0)] == ["exact"]


def test_nothing_to_compare(files: dict[str, str]) -> None:
    assert contamination([], hashed(files, "one"), 64) == []
    assert contamination(hashed(files, "one"), [], 64) == []


def test_unreadable_images_are_named_with_the_reason(files: dict[str, str], tmp_path: Path) -> None:
    found, unreadable = hash_images([files["text"], files["two"], str(tmp_path / "none.png")])
    assert [image.uri for image in found] == [files["two"]]
    reasons = {Path(row["uri"]).name: row["reason"] for row in unreadable}
    assert reasons == {"text.png": "not an image in a supported format", "none.png": "file is missing"}
