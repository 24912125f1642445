"""The published split of a corpus: taken as it is, but with near-duplicates and copies on one side."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageFilter
from pydantic import ValidationError

from cluster.config import validate
from cluster.errors import UserError
from pipelines.corpus.inspection import inspect
from pipelines.corpus.labelled_listing import list_labelled
from pipelines.corpus.listing import Listing
from pipelines.corpus.published import PublishedSplit, moved_sentence, published_ids
from pipelines.corpus.section import CorpusSection, LabelledDataSection, Source
from pipelines.corpus.sorting import Corpus
from pipelines.corpus.stage import CorpusImages

BOX = "0 0.5 0.5 0.5 0.5\n"


def paint(path: Path, seed: int) -> Path:
    """A smooth picture: a little noise leaves its perceptual hash as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2)).save(path)
    return path


def near_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.asarray(Image.open(source)).astype(int) + 3, 0, 255).astype(np.uint8)).save(
        target
    )


def label(root: Path, name: str, text: str = BOX) -> None:
    path = root / f"labels/{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Six training and four test images of YOLO, all different."""
    for number in range(10):
        name = f"{'train' if number < 6 else 'test'}/{number}"
        paint(tmp_path / f"images/{name}.png", number)
        label(tmp_path, name)
    (tmp_path / "data.yaml").write_text("train: images/train\ntest: images/test\nnames: [dent]\n")
    return tmp_path


def corpus_of(section: CorpusSection) -> Corpus:
    listing = Listing(section)
    candidates = listing.reference_candidates(section)
    return Corpus(inspect(listing.table()), section, candidates, published=listing.published)


def section_of(root: Path, **more: Any) -> CorpusSection:
    return CorpusSection(root=str(root), split="published", **more)


def sides(corpus: Corpus) -> dict[str, str]:
    return {Path(row["uri"]).stem: row["split"] for row in corpus.manifest}


def moved(corpus: Corpus) -> dict[str, tuple[str | None, str, str]]:
    return {
        "/".join(Path(row["uri"]).parts[-2:]): (row["published"], row["split"], row["reason"])
        for row in corpus.moved
    }


def test_the_published_split_is_taken_as_it_is(halves: Path) -> None:
    corpus = corpus_of(section_of(halves))
    assert sides(corpus) == {str(number): "train" if number < 6 else "test" for number in range(10)}
    assert (corpus.moved, corpus.counts()["moved"]) == ([], 0)
    assert corpus.tables()["moved"].num_rows == 0


def test_a_near_duplicate_in_the_training_part_is_moved_and_listed(halves: Path) -> None:
    near_copy(halves / "images/test/7.png", halves / "images/train/again.png")
    label(halves, "train/again")
    corpus = corpus_of(section_of(halves))
    assert sides(corpus)["again"] == sides(corpus)["7"] == "test"
    assert corpus.counts()["moved"] == 1
    published, split, reason = moved(corpus)["train/again.png"]
    assert (published, split) == ("train", "test")
    assert f"near-duplicates with {halves}/images/test/7.png" in reason
    assert corpus.tables()["moved"].column("uri").to_pylist() == [f"{halves}/images/train/again.png"]


def test_a_copy_in_the_training_part_counts_once_and_is_listed(halves: Path) -> None:
    shutil.copy(halves / "images/test/7.png", halves / "images/train/0copy.png")
    label(halves, "train/0copy")
    corpus = corpus_of(section_of(halves))
    assert len(corpus.manifest) == 10
    assert sides(corpus)["7"] == "test"
    published, split, reason = moved(corpus)["train/0copy.png"]
    assert (published, split) == ("train", "test")
    assert f"the same content as {halves}/images/test/7.png" in reason


def test_a_labelled_copy_is_not_lost_to_an_unlabelled_one_in_the_test_part(halves: Path) -> None:
    shutil.copy(halves / "images/train/1.png", halves / "images/test/bare.png")
    corpus = corpus_of(section_of(halves))
    assert sides(corpus)["1"] == "train"
    assert {row["uri"].rpartition("/")[2] for row in corpus.labels} >= {"1.png"}


def test_a_group_with_an_unlabelled_image_stays_in_pretraining(halves: Path) -> None:
    near_copy(halves / "images/test/7.png", halves / "images/more/bare.png")
    corpus = corpus_of(section_of(halves))
    assert (sides(corpus)["7"], sides(corpus)["bare"]) == ("train", "unlabelled")
    published, split, reason = moved(corpus)["test/7.png"]
    assert (published, split) == ("test", "train")
    assert f"with {halves}/images/more/bare.png, an image without labels" in reason


def test_references_are_not_taken_from_the_test_part_unless_named(tmp_path: Path) -> None:
    for number in range(8):
        name = f"{'train' if number < 3 else 'test'}/{number}"
        paint(tmp_path / f"images/{name}.png", number)
        label(tmp_path, name, "")
    corpus = corpus_of(section_of(tmp_path, reference_count=5))
    references = {Path(row["uri"]).stem for row in corpus.manifest if row["role"] == "reference"}
    assert references == {"0", "1", "2"}
    assert [row["split"] for row in corpus.manifest].count("test") == 5
    named = corpus_of(section_of(tmp_path, references={"surface": ("images/test/4.png",)}))
    assert moved(named)["test/4.png"] == ("test", "train", "it is a normal reference")


def test_an_image_that_both_splits_name_is_held_out_and_listed(halves: Path) -> None:
    (halves / "data.yaml").write_text("train: images\ntest: images/test\nnames: [dent]\n")
    corpus = corpus_of(section_of(halves))
    assert [row["split"] for row in corpus.manifest].count("test") == 4
    assert moved(corpus)["test/6.png"] == ("test, train", "test", "it is published for training too")


def test_by_content_nothing_changes(halves: Path) -> None:
    """Tables and digests with a data.yaml that states a split equal those of a tree that states none."""
    section = CorpusSection(root=str(halves))
    stated = corpus_of(section).tables()
    text = (halves / "data.yaml").read_text()
    (halves / "data.yaml").write_text("names: [dent]\n")
    plain = corpus_of(section).tables()
    assert stated.keys() == plain.keys()
    assert "moved" not in plain
    assert all(stated[name].equals(plain[name]) for name in plain)
    assert "split" not in section.dump()
    assert set(CorpusImages(Listing(section)).digests) == {"listing"}
    (halves / "data.yaml").write_text(text)
    assert section_of(halves).dump()["split"] == "published"


def test_the_digests_follow_what_the_files_state(halves: Path) -> None:
    before = CorpusImages(Listing(section_of(halves))).digests
    (halves / "data.yaml").write_text("train: images/train\nval: images/test\nnames: [dent]\n")
    after = CorpusImages(Listing(section_of(halves))).digests
    assert before["listing"] == after["listing"]
    assert before["published"] != after["published"]


def test_an_unknown_split_is_told() -> None:
    with pytest.raises(UserError, match=r"split.*content.*published"):
        validate(CorpusSection, {"root": "a", "split": "theirs"}, "Config")


def test_of_several_sources_the_one_without_a_split_is_named(halves: Path, tmp_path: Path) -> None:
    other = tmp_path / "images"  # of the same files, as a folder
    with pytest.raises(UserError, match=rf"{other} \(corpus\.sources\.1\) states no published split"):
        Listing(
            CorpusSection(
                sources=(Source(root=str(halves)), Source(root=str(other), layout="folder")),
                split="published",
            )
        )


def test_finetune_data_of_one_root_with_two_splits(halves: Path) -> None:
    data = LabelledDataSection(train=Source(root=str(halves)), split="published")
    listing = list_labelled(data)
    section = data.as_corpus()
    corpus = Corpus(inspect(listing.table()), section, {}, published=listing.published)
    assert sides(corpus) == {str(number): "train" if number < 6 else "test" for number in range(10)}
    with pytest.raises(ValidationError, match=r"leave out finetune\.data\.test\.root"):
        LabelledDataSection(train=Source(root=str(halves)), test=Source(root="x"), split="published")
    (halves / "data.yaml").write_text("names: [dent]\n")
    shutil.move(halves / "images/train", halves / "images/a")
    shutil.move(halves / "images/test", halves / "images/b")
    shutil.move(halves / "labels/train", halves / "labels/a")
    shutil.move(halves / "labels/test", halves / "labels/b")
    with pytest.raises(UserError, match=r"finetune\.data\.train\).*set finetune\.data\.split=content"):
        list_labelled(data)


IDS = [f"{number:032x}" for number in range(12)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=12, max_size=12),
    st.sets(st.sampled_from(IDS)),
    st.sets(st.sampled_from(IDS)),
    st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(["train", "test", "both", ""])), max_size=30),
)
def test_no_group_is_on_both_sides_and_every_change_is_listed(
    numbers: list[int], labelled: set[str], references: set[str], files: list[tuple[str, str]]
) -> None:
    rows = [{"uri": f"{place}", "image_id": image_id} for place, (image_id, _) in enumerate(files)]
    stated = {
        f"{place}": frozenset({"train", "test"} if side == "both" else {side})
        for place, (_, side) in enumerate(files)
        if side
    }
    published = PublishedSplit(frozenset(u for u, names in stated.items() if "test" in names), stated)
    present = {row["image_id"] for row in rows}
    groups = [
        members
        for number in range(5)
        if (members := [i for i, own in zip(IDS, numbers, strict=True) if own == number and i in present])
    ]
    held_out, listed = published_ids(published, rows, groups, labelled=labelled, references=references)
    assert held_out <= labelled - references
    assert all(held_out >= set(members) or not held_out & set(members) for members in groups)
    wrong = {
        row["uri"]
        for row in rows
        if (row["image_id"] in held_out) != (row["uri"] in published.held_out)
        or (row["image_id"] in held_out and {"train", "test"} <= stated[row["uri"]])
    }
    assert {row["uri"] for row in listed} == wrong
    assert len(listed) == len(wrong)


def test_the_sentence_names_the_table_and_the_remedy() -> None:
    told = moved_sentence(3, 17, "corpus", "w/corpus/1/moved.parquet")
    assert "3 files" in told
    assert "17 images" in told
    assert "w/corpus/1/moved.parquet" in told
