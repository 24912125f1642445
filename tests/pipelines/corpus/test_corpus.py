"""Listing, layouts, references, split, duplicates and quarantine of a corpus."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cluster.errors import UserError
from pipelines.corpus.inspection import inspect
from pipelines.corpus.listing import Listing
from pipelines.corpus.near_duplicates import group_images, perceptual_hash
from pipelines.corpus.section import DEFAULT_DISTANCE, CorpusSection, ReferenceNeed
from pipelines.corpus.sorting import Corpus
from pipelines.corpus.split import is_test
from pipelines.images.reading import read_image
from pipelines.tables.quarantine import check_bad_share
from tests.repository import shared


def paint(path: Path, value: int, size: tuple[int, int] = (20, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(value)
    Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(path)
    return path


def paint_mask(path: Path, box: tuple[int, int, int, int] | None, size: tuple[int, int] = (20, 16)) -> None:
    mask = np.zeros((size[1], size[0]), np.uint8)
    if box is not None:
        x0, y0, x1, y1 = box
        mask[y0:y1, x0:x1] = 255
    Image.fromarray(mask).save(path)


def corpus_of(section: CorpusSection) -> Corpus:
    listing = Listing(section)
    return Corpus(inspect(listing.table()), section, listing.reference_candidates(section))


@pytest.fixture
def tiles(tmp_path: Path) -> Path:
    """Ten normal and six defect images in the `masks` layout."""
    for number in range(10):
        paint(tmp_path / "tile" / "good" / f"{number}.png", number)
    for number in range(6):
        paint(tmp_path / "tile" / "pit" / f"{number}.png", 100 + number)
        paint_mask(tmp_path / "tile" / "pit" / f"{number}_mask.png", (2, 3, 9, 8))
    return tmp_path


def test_masks_layout(tiles: Path) -> None:
    corpus = corpus_of(CorpusSection(root=str(tiles), reference_count=3))
    counts = corpus.counts()
    assert counts["images"] == 16
    assert counts["references"] == 3
    assert counts["labelled"] == 16
    assert counts["labelled_with_defects"] == 6
    assert counts["train"] + counts["test"] == 16
    boxes = [row["boxes"] for row in corpus.labels if row["boxes"]]
    assert boxes == [[{"x0": 2.0, "y0": 3.0, "x1": 9.0, "y1": 8.0, "label": "pit"}]] * 6


def test_split_and_ids_come_from_the_content(tiles: Path) -> None:
    rows = corpus_of(CorpusSection(root=str(tiles), reference_count=0)).manifest
    for row in rows:
        digest = hashlib.sha256(Path(row["uri"]).read_bytes()).hexdigest()
        assert row["image_id"] == digest[:32]
        assert row["split"] == ("test" if int(digest[:12], 16) / 16**12 < 0.5 else "train")
    moved = tiles.parent / "moved"
    shutil.copytree(tiles, moved)
    again = corpus_of(CorpusSection(root=str(moved), reference_count=0)).manifest
    assert {r["image_id"]: r["split"] for r in again} == {r["image_id"]: r["split"] for r in rows}


def test_references_are_never_held_out(tiles: Path) -> None:
    corpus = corpus_of(CorpusSection(root=str(tiles), reference_count=10, test_share=0.99))
    roles = {row["split"] for row in corpus.manifest if row["role"] == "reference"}
    assert roles == {"train"}
    assert corpus.counts()["references"] == 10


def test_duplicates_are_listed_once(tiles: Path) -> None:
    shutil.copy(tiles / "tile/good/0.png", tiles / "tile/good/copy.png")
    corpus = corpus_of(CorpusSection(root=str(tiles)))
    assert [row["uri"].rsplit("/", 1)[1] for row in corpus.duplicates.to_pylist()] == ["copy.png"]
    assert corpus.counts()["images"] == 16


def test_bad_files_are_quarantined_with_reasons(tiles: Path) -> None:
    (tiles / "tile/good/empty.png").write_bytes(b"")
    (tiles / "tile/good/text.jpg").write_text("no image")
    whole = (tiles / "tile/good/1.png").read_bytes()
    (tiles / "tile/good/cut.png").write_bytes(whole[: len(whole) // 2])
    paint(tiles / "tile/pit/odd.png", 300)
    paint_mask(tiles / "tile/pit/odd_mask.png", (0, 0, 3, 3), size=(5, 40))
    corpus = corpus_of(CorpusSection(root=str(tiles)))
    reasons = {row["uri"].rsplit("/", 1)[1]: row["reason"] for row in corpus.quarantine.to_pylist()}
    assert sorted(reasons) == ["cut.png", "empty.png", "odd.png", "text.jpg"]
    assert reasons["empty.png"] == "file is empty"
    assert "mask" in reasons["odd.png"]
    assert corpus.counts()["images"] == 16


def test_an_empty_mask_is_no_label(tiles: Path) -> None:
    paint(tiles / "tile/pit/none.png", 400)
    paint_mask(tiles / "tile/pit/none_mask.png", None)
    paint(tiles / "tile/pit/unmasked.png", 401)
    corpus = corpus_of(CorpusSection(root=str(tiles)))
    splits = {row["uri"].rsplit("/", 1)[1]: row["split"] for row in corpus.manifest}
    assert splits["none.png"] == splits["unmasked.png"] == "unlabelled"
    assert corpus.empty_masks == 1
    (row,) = corpus.bad_labels
    assert row["file"] == str(tiles / "tile/pit/none_mask.png")
    assert row["action"] == "image unlabelled"
    assert "marks no defect" in row["reason"]


def test_a_mask_that_can_not_be_told_leaves_its_image_out(tiles: Path) -> None:
    paint(tiles / "tile/pit/white.png", 400)
    Image.new("L", (64, 48), 255).save(tiles / "tile/pit/white_mask.png")
    corpus = corpus_of(CorpusSection(root=str(tiles)))
    assert corpus.empty_masks == 0
    assert "white.png" not in {row["uri"].rsplit("/", 1)[1] for row in corpus.manifest}
    (row,) = corpus.bad_labels
    assert (row["file"], row["action"]) == (str(tiles / "tile/pit/white_mask.png"), "image left out")
    assert "all of it is marked" in row["reason"]


def test_folder_layout_and_its_references(tmp_path: Path) -> None:
    paint(tmp_path / "rail" / "a" / "1.jpg", 1)
    paint(tmp_path / "rail" / "references" / "2.jpg", 2)
    paint(tmp_path / "pipe" / "3.jpg", 3)
    paint(tmp_path / "4.jpg", 4)
    section = CorpusSection(root=str(tmp_path))
    corpus = corpus_of(section)
    roles = {
        row["uri"].rsplit("/", 1)[1]: (row["category"], row["role"], row["split"]) for row in corpus.manifest
    }
    assert roles == {
        "1.jpg": ("rail", "train", "unlabelled"),
        "2.jpg": ("rail", "reference", "unlabelled"),
        "3.jpg": ("pipe", "train", "unlabelled"),
        "4.jpg": ("surface", "train", "unlabelled"),
    }
    with pytest.raises(UserError, match=r'Category "pipe" has 0 normal reference.*corpus\.references\.pipe'):
        Listing(section).require_references(section, ReferenceNeed(1, "maps.kead.shots"))


def test_named_references(tiles: Path) -> None:
    section = CorpusSection(root=str(tiles), references={"tile": ("tile/good/7.png",)})
    corpus = corpus_of(section)
    chosen = [row["uri"] for row in corpus.manifest if row["role"] == "reference"]
    assert [uri.rsplit("/", 1)[1] for uri in chosen] == ["7.png"]
    Listing(section).require_references(section, ReferenceNeed(1, "maps.kead.shots"))
    with pytest.raises(UserError, match="shots=2 needs 2"):
        Listing(section).require_references(section, ReferenceNeed(2, "maps.kead.shots"))
    with pytest.raises(UserError, match=r'names "tile/good/77\.png"'):
        Listing(CorpusSection(root=str(tiles), references={"tile": ("tile/good/77.png",)}))
    with pytest.raises(UserError, match='category "tiles"'):
        Listing(CorpusSection(root=str(tiles), references={"tiles": ("x.png",)}))


def test_missing_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        Listing(CorpusSection(root=str(tmp_path / "none")))
    with pytest.raises(UserError, match="holds no image"):
        Listing(CorpusSection(root=str(tmp_path)))
    paint(tmp_path / "loose.png", 1)
    with pytest.raises(UserError, match="none where the layout masks expects"):
        Listing(CorpusSection(root=str(tmp_path), layout="masks"))


def test_listing_digest_changes_with_any_file(tiles: Path) -> None:
    section = CorpusSection(root=str(tiles))
    before = Listing(section).digest()
    assert Listing(section).digest() == before
    paint(tiles / "tile/good/new.png", 77)
    assert Listing(section).digest() != before


def test_too_many_bad_images_fail() -> None:
    check_bad_share(5, 100, 0.05, "corpus", "")
    with pytest.raises(UserError, match=r"6 of 100 images .*corpus\.max_bad_share=0\.05"):
        check_bad_share(6, 100, 0.05, "corpus", "x.png: file is empty")


def test_split_share_is_about_what_was_asked() -> None:
    ids = [hashlib.sha256(str(n).encode()).hexdigest()[:32] for n in range(4000)]
    assert sum(is_test(i, 0.3) for i in ids) / 4000 == pytest.approx(0.3, abs=0.03)
    assert not any(is_test(i, 0.0) for i in ids)


def darker(source: Path, target: Path) -> None:
    """The same surface at another exposure."""
    pixels = np.asarray(Image.open(source)).astype(np.float64) * 0.8
    Image.fromarray(pixels.astype(np.uint8)).save(target)


def test_near_duplicates_are_listed_with_their_uris(tiles: Path) -> None:
    darker(tiles / "tile/good/3.png", tiles / "tile/good/dark.png")
    corpus = corpus_of(CorpusSection(root=str(tiles)))
    (pair,) = corpus.tables()["near_duplicates"].to_pylist()
    assert {Path(pair["uri_a"]).name, Path(pair["uri_b"]).name} == {"3.png", "dark.png"}
    assert pair["group"] == pair["image_id_a"] < pair["image_id_b"]
    assert 0 <= pair["distance"] <= 64
    counts = corpus.counts()
    assert (counts["near_duplicates"], counts["near_duplicate_groups"]) == (2, 1)
    assert (counts["duplicates"], counts["images"]) == (0, 17)
    hashes = corpus.tables()["hashes"].to_pylist()
    assert {row["image_id"] for row in hashes} == {row["image_id"] for row in corpus.manifest}
    assert {len(bytes.fromhex(row["phash"])) for row in hashes} == {32}


def test_near_duplicates_are_on_one_side_of_the_split(tiles: Path) -> None:
    for number in range(10):
        darker(tiles / f"tile/good/{number}.png", tiles / f"tile/good/{number}_dark.png")
    for number in range(3):  # unlabelled: no mask beside it
        darker(tiles / f"tile/pit/{number}.png", tiles / f"tile/pit/{number}_dark.png")
    corpus = corpus_of(CorpusSection(root=str(tiles), reference_count=2, test_share=0.6))
    split = {Path(row["uri"]).relative_to(tiles).as_posix(): row["split"] for row in corpus.manifest}
    role = {Path(row["uri"]).relative_to(tiles).as_posix(): row["role"] for row in corpus.manifest}
    assert corpus.counts()["near_duplicate_groups"] == 13
    sides = set()
    for number in range(10):
        pair = [f"tile/good/{number}.png", f"tile/good/{number}_dark.png"]
        assert len({split[name] for name in pair}) == 1
        sides.add(split[pair[0]])
        if "reference" in {role[name] for name in pair}:
            assert split[pair[0]] == "train"
    assert sides == {"train", "test"}
    # The unlabelled copy takes part in pretraining; the labelled original must not be asked for in the test.
    for number in range(3):
        assert split[f"tile/pit/{number}_dark.png"] == "unlabelled"
        assert split[f"tile/pit/{number}.png"] == "train"


def test_distance_zero_tells_exposures_apart(tiles: Path) -> None:
    for number in range(10):
        darker(tiles / f"tile/good/{number}.png", tiles / f"tile/good/{number}_dark.png")
    assert (
        corpus_of(CorpusSection(root=str(tiles), near_duplicate_distance=0)).counts()["near_duplicates"] < 20
    )


def test_statistics_count_what_the_manifest_holds(tiles: Path) -> None:
    (tiles / "tile/good/empty.png").write_bytes(b"")
    corpus = corpus_of(CorpusSection(root=str(tiles), reference_count=3))
    (row,) = corpus.tables()["statistics"].to_pylist()
    assert (row["category"], row["images"], row["references"], row["quarantined"]) == ("tile", 16, 3, 1)
    assert (row["width_min"], row["height_max"], row["labelled_share"]) == (20, 16, 1.0)
    levels = [np.asarray(Image.open(Path(r["uri"])).convert("L")).mean() for r in corpus.manifest]
    assert row["grey_mean"] == pytest.approx(np.mean(levels))


@pytest.mark.data
def test_parts_at_several_exposures_stay_together() -> None:
    magnetic_tile = shared("data/magnetic_tile")
    names = [f"MT_Blowhole/Imgs/exp{e}_num_{n}.jpg" for e, n in ((1, 6984), (2, 7009), (5, 7054), (6, 7102))]
    other = [f"MT_Free/Imgs/exp{e}_num_{n}.jpg" for e, n in ((4, 351088), (3, 320833))]
    uris = [str(magnetic_tile / name) for name in names + other]
    hashes = [perceptual_hash(read_image(uri)) for uri in uris]
    images = {f"{i}": {"phash": phash, "uri": uris[i]} for i, phash in enumerate(hashes)}
    rows, groups = group_images(images, DEFAULT_DISTANCE)
    assert sorted(groups) == [["0", "1", "2", "3"], ["4"], ["5"]]
    assert len(rows) == 3
