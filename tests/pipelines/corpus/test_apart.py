"""Near-duplicates of images that are held out for good are neither learnt from nor seen."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from cluster.stages.site import Site
from cluster.storage.storage import Storage
from pipelines.corpus.inspection import inspect
from pipelines.corpus.labelled import build_labelled
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection, LabelledDataSection, Source
from pipelines.corpus.sorting import Corpus
from pipelines.tables import QUARANTINE
from tests.silent_tracking import SilentPipeline


def write(path: Path, seed: int, brighter: int = 0, labelled: bool = True) -> None:
    """A picture of soft blobs, which a brighter copy resembles, with one box."""
    noise = np.random.default_rng(seed).normal(0, 1, (8, 8))
    soft = cv2.resize(noise, (64, 64), interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(100 + 30 * soft + brighter, 0, 255).astype(np.uint8))
    if labelled:
        text = path.parent.parent / "labels" / f"{path.stem}.txt"
        text.parent.mkdir(exist_ok=True)
        text.write_text("0 0.5 0.5 0.3 0.3\n")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(Storage.open(str(tmp_path / "w")), SilentPipeline(None, "", {}))  # type: ignore[arg-type]


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    for root in ("old", "new"):
        (tmp_path / root).mkdir()
        (tmp_path / root / "classes.txt").write_text("crack\n")
    write(tmp_path / "old/images/tested.png", 1)
    write(tmp_path / "old/images/learnt.png", 2)
    write(tmp_path / "new/images/again.png", 1, brighter=12)
    write(tmp_path / "new/images/unlabelled.png", 1, brighter=-12, labelled=False)
    write(tmp_path / "new/images/other.png", 3)
    sources = tuple(Source(root=str(tmp_path / root), layout="yolo") for root in ("old", "new"))
    return Listing(CorpusSection(sources=sources, reference_count=0))


def sorted_out(listing: Listing, *, apart: bool) -> Corpus:
    tested = next(listing.sources[0].uri(e) for e in listing.entries if e.path == "images/tested.png")
    return Corpus(inspect(listing.table()), listing.section, {}, frozenset([tested]), apart=apart)


def names(corpus: Corpus) -> dict[str, str]:
    return {Path(row["uri"]).stem: row["split"] for row in corpus.manifest}


def test_they_are_left_out_and_listed(listing: Listing) -> None:
    corpus = sorted_out(listing, apart=True)
    assert names(corpus) == {"tested": "test", "learnt": "train", "other": "train"}
    assert len(corpus.labels) == 3
    assert corpus.counts()["left_out"] == 2
    rows = corpus.tables()["left_out"]
    assert rows.schema == QUARANTINE
    assert {Path(row["uri"]).stem for row in rows.to_pylist()} == {"again", "unlabelled"}
    assert all("tested.png, which is held out" in row["reason"] for row in rows.to_pylist())
    hashes: pa.Table = corpus.tables()["hashes"]
    assert hashes.num_rows == 3


def test_without_it_nothing_changes(listing: Listing) -> None:
    corpus = sorted_out(listing, apart=False)
    assert names(corpus)["again"] == "train"
    assert "left_out" not in corpus.tables()
    assert "left_out" not in corpus.counts()


def test_a_given_split_keeps_its_sides_and_says_what_is_on_both(listing: Listing) -> None:
    corpus = sorted_out(listing, apart=False)
    assert names(corpus)["again"] == "train"
    assert corpus.both_sides is not None
    number, learnt, measured = corpus.both_sides
    assert (number, Path(learnt).stem, Path(measured).stem) == (1, "again", "tested")  # no label, no training
    assert sorted_out(listing, apart=True).both_sides is None
    assert Corpus(inspect(listing.table()), listing.section, {}).both_sides is None  # split by content


def test_near_duplicates_of_a_given_test_folder_are_told(
    listing: Listing, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = (Source(root=str(tmp_path / root), layout="yolo") for root in ("old", "new"))
    labelled = build_labelled(LabelledDataSection(train=new, test=old), site=site)
    assert labelled.results["both_sides"] == 1
    said = capsys.readouterr().err
    assert "finetune.data.test: 1 image to learn from is a near-duplicate of images that are" in said
    assert "new/images/again.png and" in said
    again = build_labelled(LabelledDataSection(train=new, test=old), site=site)
    assert again.reused
    assert "near-duplicate of images" in capsys.readouterr().err
    (tmp_path / "new/images/again.png").unlink()
    (tmp_path / "new/labels/again.txt").unlink()
    assert "both_sides" not in build_labelled(LabelledDataSection(train=new, test=old), site=site).results
