"""Images are read once: what decides split, labels or references finds their inspection again.

Whether a file is read is told by the file: its bytes are exchanged behind the same size and time, so that who
reads it again gets another image, or none.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cluster.errors import UserError
from cluster.stages.site import Site
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage
from pipelines.corpus import inspection_stage
from pipelines.corpus.labelled import build_labelled
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection, LabelledDataSection
from pipelines.corpus.stage import CorpusImages, build_corpus
from tests.silent_tracking import SilentPipeline


def paint(path: Path, value: int, deep: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(value)
    kind = np.uint16 if deep else np.uint8
    Image.fromarray(rng.integers(0, 1000 if deep else 255, (24, 32), dtype=kind)).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve images of YOLO labels, one of which sticks out; normal references beside them."""
    for number in range(12):
        paint(tmp_path / f"photos/images/{number}.png", number)
        box = "0 0.9 0.5 0.3 0.2\n" if number == 3 else "0 0.5 0.5 0.2 0.2\n"
        (tmp_path / "photos/labels").mkdir(exist_ok=True)
        (tmp_path / f"photos/labels/{number}.txt").write_text(box)
    return tmp_path / "photos"


def site_of(workspace: Path) -> Site:
    return Site(Storage.open(str(workspace)), SilentPipeline(None, "", {}))  # type: ignore[arg-type]


def build(root: Path, workspace: Path, **settings: Any) -> Artifact:
    section = CorpusSection.model_validate({"root": str(root), "max_bad_share": 1, **settings})
    return build_corpus(section, CorpusImages(Listing(section)), site=site_of(workspace))


def files_of(corpus: Artifact) -> dict[str, Any]:
    """Every table and picture of a corpus."""
    folder = Path(corpus.directory.path)
    tables = {path.name: pq.read_table(path) for path in folder.rglob("*.parquet")}
    return tables | {path.name: path.read_bytes() for path in folder.rglob("*.png")}


def exchange(path: Path) -> None:
    """Other bytes behind the same size and times."""
    about = path.stat()
    path.write_bytes(b"x" * about.st_size)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def inspections(workspace: Path) -> set[str]:
    return {path.name for path in (workspace / "inspection").iterdir()}


@pytest.mark.parametrize(
    "settings",
    [
        {"test_share": 0.2},
        {"reference_count": 1},
        {"near_duplicate_distance": 0},
        {"category": "plate"},
        {"references": {"surface": ["images/1.png"]}},
        {"bad_labels": "clip"},
        {"crowds": "ignored"},
    ],
)
def test_no_image_is_read_for_another_split_label_or_reference(
    photos: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    build(photos, tmp_path / "w")
    expected = files_of(build(photos, tmp_path / "fresh", **settings))
    for image in photos.rglob("*.png"):
        exchange(image)
    again = build(photos, tmp_path / "w", **settings)
    assert not again.reused
    assert files_of(again) == expected


def test_only_new_images_are_read(photos: Path, tmp_path: Path) -> None:
    first = build(photos, tmp_path / "w")
    for image in photos.rglob("*.png"):
        exchange(image)
    paint(photos / "images/new.png", 99)
    (photos / "labels/new.txt").write_text("")
    (photos / "images/11.png").unlink()
    (photos / "labels/11.txt").unlink()
    second = build(photos, tmp_path / "w")
    (added,) = inspections(tmp_path / "w") - {first.record["inputs"]["inspection"][:16]}
    assert second.record["inputs"]["inspection"].startswith(added)
    record = Storage.open(str(tmp_path / "w/inspection")).at(added).read_json("stage.json")
    assert record["results"] == {"images": 12, "decoded": 1, "unusable": 1}  # the label that sticks out
    uris = second.directory.read_table("manifest").column("uri").to_pylist()
    assert sorted(Path(uri).name for uri in uris) == sorted(
        [*(f"{number}.png" for number in range(11) if number != 3), "new.png"]
    )


def test_copied_files_of_the_same_content_keep_what_was_made_of_them(photos: Path, tmp_path: Path) -> None:
    first = build(photos, tmp_path / "w")
    for file in photos.rglob("*"):
        os.utime(file, (1, 1))  # as of a copy, or of a data set that was mounted anew
    copied = build(photos, tmp_path / "w")
    assert not copied.reused  # nobody can know before all were read
    assert copied.fingerprint != first.fingerprint
    assert copied.identity == first.identity
    (photos / "labels/5.txt").write_text("0 0.5 0.5 0.2 0.3\n")
    assert build(photos, tmp_path / "w").identity != first.identity
    paint(photos / "images/5.png", 99)
    other = build(photos, tmp_path / "w")
    assert other.identity not in (first.identity, first.fingerprint)


def test_a_changed_label_is_read_without_its_image(photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "w")
    for image in photos.rglob("*.png"):
        exchange(image)
    (photos / "labels/3.txt").write_text("0 0.5 0.5 0.25 0.5\n0 0.25 0.25 0.25 0.25\n")
    labels = build(photos, tmp_path / "w").directory.read_table("labels.parquet").to_pylist()
    assert sorted(len(row["boxes"]) for row in labels) == [1] * 11 + [2]


def test_a_changed_image_is_read_again(photos: Path, tmp_path: Path) -> None:
    before = build(photos, tmp_path / "w").directory.read_table("manifest").column("image_id").to_pylist()
    paint(photos / "images/5.png", 500)
    after = build(photos, tmp_path / "w")
    ids = after.directory.read_table("manifest").column("image_id").to_pylist()
    assert len(set(ids) - set(before)) == 1
    assert len(set(before) - set(ids)) == 1


def test_the_labels_of_finetuning_share_the_inspection(photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "w", bad_labels="clip")
    for image in photos.rglob("*.png"):
        exchange(image)
    section = LabelledDataSection.model_validate({"train": {"root": str(photos)}, "max_bad_share": 1})
    labelled = build_labelled(section, site=site_of(tmp_path / "w"))
    assert labelled.results["images"] == 12
    assert inspections(tmp_path / "w") == {labelled.record["inputs"]["inspection"][:16]}


def test_a_killed_inspection_goes_on_with_what_it_read(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(photos, tmp_path / "w", bad_labels="clip")
    for number in range(20, 23):
        paint(photos / f"images/{number}.png", number)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(inspection_stage, "thumbnail_table", killed)
        with pytest.raises(KeyboardInterrupt):
            build(photos, tmp_path / "w", bad_labels="clip")
    expected = files_of(build(photos, tmp_path / "fresh", bad_labels="clip"))
    for number in range(12):  # the new ones are read for the sheet yet
        exchange(photos / f"images/{number}.png")
    again = build(photos, tmp_path / "w", bad_labels="clip")
    assert files_of(again) == expected
    folder = tmp_path / "w/inspection" / again.record["inputs"]["inspection"][:16]
    assert pq.read_table(folder / "read").num_rows == 3
    assert pq.read_table(folder / "taken.parquet").num_rows == 12


def test_a_complete_corpus_needs_no_inspection(photos: Path, tmp_path: Path) -> None:
    first = build(photos, tmp_path / "w")
    shutil.rmtree(tmp_path / "w/inspection")
    again = build(photos, tmp_path / "w")
    assert (again.reused, again.fingerprint) == (True, first.fingerprint)
    assert not (tmp_path / "w/inspection").exists()


def test_a_damaged_inspection_is_named(photos: Path, tmp_path: Path) -> None:
    first = build(photos, tmp_path / "w")
    folder = tmp_path / "w/inspection" / first.record["inputs"]["inspection"][:16]
    (folder / "taken.parquet").write_bytes(b"PAR1")
    paint(photos / "images/new.png", 99)
    with pytest.raises(UserError, match=f"{folder} is damaged; delete that folder"):
        build(photos, tmp_path / "w")


def test_deep_images_are_read_again_where_others_change_their_levels(tmp_path: Path) -> None:
    root, levels = tmp_path / "plates", {"scaling": "percentile"}
    for number in range(6):
        paint(root / f"{number}.png", number, deep=True)
    build(root, tmp_path / "w", levels=levels)
    Image.fromarray(np.full((24, 32), 60_000, np.uint16)).save(root / "bright.png")
    expected = files_of(build(root, tmp_path / "fresh", levels=levels))
    assert files_of(build(root, tmp_path / "w", levels=levels)) == expected
    for number in range(6):
        exchange(root / f"{number}.png")
    split = build(root, tmp_path / "w", levels=levels, near_duplicate_distance=1)
    assert split.results["images"] == 7


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_an_image_is_read_again_once_it_may_be(open_folder: Path) -> None:
    for number in range(4):
        paint(open_folder / f"photos/{number}.png", number)
    closed = open_folder / "photos/2.png"
    closed.chmod(0o600)
    os.seteuid(65534)
    try:
        first = build(open_folder / "photos", open_folder / "w")
    finally:
        os.seteuid(0)
    assert first.results["quarantined"] == 1
    closed.chmod(0o644)
    os.seteuid(65534)
    try:
        second = build(open_folder / "photos", open_folder / "w", test_share=0.3)
    finally:
        os.seteuid(0)
    assert (second.results["images"], second.results["quarantined"]) == (4, 0)
