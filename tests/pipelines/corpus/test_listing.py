"""Several sources make one corpus: categories, references, copies, and what is refused."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.config import validate
from cluster.errors import UserError
from pipelines.corpus.inspection import inspect
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection, ReferenceNeed, Source
from pipelines.corpus.sorting import Corpus
from tests.pipelines.layouts.published_trees import TREES, draw, paint, voc_xml, write


def corpus_of(section: CorpusSection) -> Corpus:
    listing = Listing(section)
    return Corpus(inspect(listing.table()), section, listing.reference_candidates(section))


def chosen(corpus: Corpus) -> list[str]:
    return sorted(row["uri"] for row in corpus.manifest if row["role"] == "reference")


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Photographs without labels, NEU-DET and MVTec trees, side by side."""
    for name in ("1.jpg", "2.jpg", "references/3.jpg"):
        paint(tmp_path / "photos" / name)
    for name in ("neu_det", "mvtec"):
        TREES[name][1](tmp_path / name)
    return tmp_path


def test_sources_make_one_corpus(three: Path) -> None:
    section = CorpusSection(
        sources=(
            Source(root=str(three / "photos"), category="rail"),
            Source(root=str(three / "neu_det"), layout="neu_det"),
            Source(root=str(three / "mvtec"), categories={"screw": "bolt", "box": "rail"}),
        )
    )
    listing = Listing(section)
    assert listing.layout == "folder, neu_det, mvtec"
    corpus = Corpus(inspect(listing.table()), section, listing.reference_candidates(section))
    found = {(row["uri"].removeprefix(f"{three}/").split("/")[0], row["category"]) for row in corpus.manifest}
    assert found == {
        ("photos", "rail"),
        ("neu_det", "steel_strip"),
        ("mvtec", "bolt"),
        ("mvtec", "rail"),
        ("mvtec", "candle"),
    }
    assert corpus.counts()["images"] == 3 + 2 + 6
    assert chosen(corpus) == sorted(
        f"{three}/{name}"
        for name in (
            "photos/references/3.jpg",
            "mvtec/screw/train/good/000.png",
            "mvtec/screw/test/good/000.png",
            "mvtec/box/validation/good/001.png",
        )
    )


def test_references_are_named_by_source(three: Path) -> None:
    section = CorpusSection(
        sources=(
            Source(root=str(three / "photos"), category="rail", references={"rail": ("1.jpg",)}),
            Source(root=str(three / "mvtec"), categories={"box": "rail"}),
        )
    )
    listing = Listing(section)
    candidates = listing.reference_candidates(section)
    assert candidates["rail"].uris.to_pylist() == [f"{three}/photos/1.jpg"]
    assert len(candidates["screw"].uris) == 2
    with pytest.raises(UserError, match=r'"candle" has 0 normal .*corpus\.sources\.1\.references\.candle'):
        listing.require_references(section, ReferenceNeed(1, "maps.kead.shots"))
    assert f"{three}/photos/1.jpg" in chosen(corpus_of(section))


def test_the_simple_form_takes_a_category_too(three: Path) -> None:
    listing = Listing(CorpusSection(root=str(three / "neu_det"), category="hot_strip"))
    assert {entry.category for entry in listing.entries} == {"hot_strip"}


def test_an_image_that_an_empty_mask_calls_normal_is_a_reference(tmp_path: Path) -> None:
    TREES["kolektor_sdd"][1](tmp_path)
    section = CorpusSection(root=str(tmp_path))
    Listing(section).require_references(
        section, ReferenceNeed(2, "maps.kead.shots")
    )  # both may turn out normal
    corpus = corpus_of(section)
    assert chosen(corpus) == [f"{tmp_path}/kos01/Part0.jpg"]
    assert corpus.counts()["labelled_with_defects"] == 1
    assert corpus.empty_masks == 0


def test_of_two_copies_the_labelled_one_is_kept(three: Path) -> None:
    copy = three / "all" / "0.jpg"  # first by its name
    copy.parent.mkdir()
    shutil.copy(three / "neu_det/IMAGES/crazing_1.jpg", copy)
    section = CorpusSection(
        sources=(Source(root=str(copy.parent)), Source(root=str(three / "neu_det"))), test_share=0
    )
    corpus = corpus_of(section)
    assert [row["uri"] for row in corpus.duplicates.to_pylist()] == [str(copy)]
    assert corpus.counts()["labelled_with_defects"] == 2


def test_a_listing_survives_parquet(tmp_path: Path) -> None:
    """As the stage hands it to the workers."""
    for name in ("coco", "yolo", "severstal", "kolektor_sdd", "voc", "folder"):
        TREES[name][1](tmp_path / name)
    section = CorpusSection(sources=tuple(Source(root=str(folder)) for folder in sorted(tmp_path.iterdir())))
    table = Listing(section).table()
    pq.write_table(table, tmp_path / "listing.parquet")
    again = pq.read_table(tmp_path / "listing.parquet")
    assert inspect(again).equals(inspect(table))


def test_digest_changes_with_an_annotation_alone(tmp_path: Path) -> None:
    TREES["voc"][1](tmp_path)
    section = CorpusSection(root=str(tmp_path))
    before = Listing(section).digest()
    write(tmp_path / "notes.txt", "no annotation")
    assert Listing(section).digest() == before
    write(tmp_path / "beside/1.xml", voc_xml(("pit", 1, 1, 2, 2), ("pit", 3, 3, 4, 4)))
    assert Listing(section).digest() != before


def test_digest_changes_with_a_table(tmp_path: Path) -> None:
    TREES["coco"][1](tmp_path)
    section = CorpusSection(root=str(tmp_path))
    before = Listing(section).digest()
    file = tmp_path / "annotations/instances_val2017.json"
    file.write_text(file.read_text().replace("3.25", "3.50"))
    assert Listing(section).digest() != before


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"root": "a", "sources": [{"root": "b"}]}, "belong into each source"),
        ({"category": "x", "sources": [{"root": "b"}]}, "belong into each source"),
        ({"sources": [{"root": "b"}, {"layout": "voc"}]}, "corpus.sources.1.root is not set"),
        ({"sources": [{"root": "b", "layout": "vocc"}]}, '"sources.0.layout": no such dataset layout'),
        (
            {"sources": [{"root": "b", "layuot": "voc"}]},
            'unknown key "sources.0.layuot"; did you mean "layout"?',
        ),
        ({"root": "b", "category": " x"}, "printable text without space around it"),
        ({"root": "b", "categories": {"a": ""}}, "printable text without space around it"),
        ({"sources": [{"root": "b"}] * 1001}, "at most 1000 entries"),
    ],
)
def test_mistakes_in_the_config(document: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        validate(CorpusSection, document, "Config")
    assert says in str(caught.value)


def test_sources_that_share_files_are_refused(three: Path) -> None:
    section = CorpusSection(
        sources=(Source(root=str(three / "photos")), Source(root=str(three), layout="folder"))
    )
    with pytest.raises(
        UserError, match=r"photos/1\.jpg belongs to corpus\.sources\.0 and to corpus\.sources\.1"
    ):
        Listing(section)


def test_renaming_what_is_not_there_is_refused(three: Path) -> None:
    root = str(three / "mvtec")
    with pytest.raises(UserError, match=r'corpus\.categories names "scrow".*did you mean "screw"'):
        Listing(CorpusSection(root=root, categories={"scrow": "bolt"}))
    with pytest.raises(UserError, match="either category or categories"):
        Listing(CorpusSection(root=root, category="x", categories={"screw": "bolt"}))
    sources = (Source(root=root), Source(root=str(three / "none")))
    with pytest.raises(UserError, match=r"none does not exist; set corpus\.sources\.1\.root"):
        Listing(CorpusSection(sources=sources))


def test_a_broken_annotation_costs_its_image_only(tmp_path: Path) -> None:
    TREES["kolektor_sdd2"][1](tmp_path)
    paint(tmp_path / "train/3.png")
    draw(tmp_path / "train/3_GT.png")
    (tmp_path / "train/3_GT.png").write_bytes(b"no image")
    corpus = corpus_of(CorpusSection(root=str(tmp_path)))
    assert [(row["uri"], row["reason"]) for row in corpus.quarantine.to_pylist()] == [
        (f"{tmp_path}/train/3.png", f"its mask {tmp_path}/train/3_GT.png: not an image in a supported format")
    ]
    assert corpus.counts()["images"] == 2
