"""References by file, folder, glob and from elsewhere; every wrong item is told."""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from cluster.config import validate
from cluster.errors import UserError
from pipelines.corpus.inspection import inspect
from pipelines.corpus.listing import Listing
from pipelines.corpus.named_references import ReferenceCandidates, glob_matches
from pipelines.corpus.section import CorpusSection, ReferenceNeed
from pipelines.corpus.sorting import Corpus
from tests.pipelines.corpus.test_corpus import paint


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two categories of the `folder` layout, none with normal images by name."""
    root = tmp_path / "photos"
    for number in range(6):
        paint(root / "Rail-Head" / "day" / f"{number}.png", number)
    paint(root / "Rail-Head" / "golden" / "shift_1" / "6.png", 6)
    paint(root / "Rail-Head" / "golden" / "7[x].png", 7)
    paint(root / "pipe" / "8.png", 8)
    return root


def section(root: Path, rail: object, **more: object) -> CorpusSection:
    given = {"root": str(root), "references": {"rail_head": rail}, **more}
    return validate(CorpusSection, given, "c")


def references(chosen: CorpusSection) -> list[str]:
    """Names of the images whose role is reference, once the corpus is made."""
    listing = Listing(chosen)
    corpus = Corpus(inspect(listing.table()), chosen, listing.reference_candidates(chosen))
    rows = [row for row in corpus.manifest if row["role"] == "reference"]
    assert {row["category"] for row in rows} <= {"Rail-Head"}
    return sorted(row["uri"].rsplit("/", 1)[1] for row in rows)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("Rail-Head/golden/", ["6.png", "7[x].png"]),
        ("Rail-Head/golden", ["6.png", "7[x].png"]),
        ("./Rail-Head/golden", ["6.png", "7[x].png"]),
        ("Rail-Head/golden/7[x].png", ["7[x].png"]),  # a file of that name, though it reads as a glob too
        ("Rail-Head/day/[0-2].png", ["0.png", "1.png", "2.png"]),
        ("**/[0-2].png", ["0.png", "1.png", "2.png"]),
        ("Rail-Head/*/*.png", None),
        ("**/8.png", UserError),  # of another category
        (["Rail-Head/day/0.png", "Rail-Head/golden"], ["0.png", "6.png", "7[x].png"]),
        ([], []),
    ],
)
def test_items_below_the_root(photos: Path, given: object, names: object) -> None:
    if names is UserError:
        with pytest.raises(UserError, match=r'references\.rail_head names "\*\*/8\.png", which is no image'):
            references(section(photos, given))
        return
    found = references(section(photos, given))
    if names is None:  # more than reference_count: the first of them by hash
        assert len(found) == 4
        assert set(found) <= {f"{number}.png" for number in range(6)} | {"7[x].png"}
        names = references(section(photos, given, reference_count=2))
        assert len(found) > len(names) == 2
        assert set(names) < set(found)
    else:
        assert found == names


def test_what_is_named_one_by_one_is_kept_whole(photos: Path) -> None:
    given = [f"Rail-Head/day/{number}.png" for number in range(6)]
    assert len(references(section(photos, given, reference_count=2))) == 6
    assert len(references(section(photos, "Rail-Head/day", reference_count=2))) == 2


def test_full_paths_below_the_root_are_the_same_images(photos: Path) -> None:
    full = f"{photos}/Rail-Head/golden"
    assert references(section(photos, full)) == references(section(photos, f"file://{full}"))
    listing = Listing(section(photos, full))
    assert len(listing.entries) == 9


def test_a_folder_elsewhere(photos: Path, tmp_path: Path) -> None:
    for number in range(3):
        paint(tmp_path / "golden" / f"g{number}.png", 50 + number)
    before = Listing(CorpusSection(root=str(photos)))
    chosen = section(photos, str(tmp_path / "golden"))
    listing = Listing(chosen)
    assert references(chosen) == ["g0.png", "g1.png", "g2.png"]
    assert references(section(photos, f"{tmp_path}/golden/g1.png")) == ["g1.png"]
    assert references(section(photos, [f"file://{tmp_path}/golden", "Rail-Head/day/1.png"])) == [
        "1.png", "g0.png", "g1.png", "g2.png",
    ]  # fmt: skip
    listing.require_references(
        CorpusSection(references=chosen.references), ReferenceNeed(0, "maps.kead.shots")
    )
    with pytest.raises(UserError, match=r'"Rail-Head" has 3 normal .*"agssp references CONFIG" propose'):
        listing.require_references(chosen, ReferenceNeed(4, "maps.kead.shots"))
    assert listing.digest() != before.digest()
    digest = listing.digest()
    paint(tmp_path / "golden" / "g3.png", 77)
    assert Listing(chosen).digest() != digest


def test_a_copy_elsewhere_leaves_the_label_and_is_not_held_out(tmp_path: Path) -> None:
    root = tmp_path / "a_root_sorted_after_the_copy"
    for number in range(4):
        paint(root / "tile" / "good" / f"{number}.png", number)
    paint(root / "tile" / "pit" / "9.png", 9)
    shutil.copy(root / "tile/good/1.png", root / "tile/pit/9_mask.png")
    shutil.copytree(root / "tile" / "good", tmp_path / "a_copy")
    given = CorpusSection(
        root=str(root), layout="masks", references={"tile": (f"{tmp_path}/a_copy",)}, test_share=0.99
    )
    listing = Listing(given)
    corpus = Corpus(inspect(listing.table()), given, listing.reference_candidates(given))
    kept = [row for row in corpus.manifest if row["role"] == "reference"]
    assert len(kept) == 4
    assert all(row["labelled"] and row["split"] == "train" for row in kept)
    assert all(row["uri"].startswith(f"{tmp_path}/a_copy") for row in corpus.duplicates.to_pylist())


def test_a_named_copy_stands_for_the_first(photos: Path) -> None:
    shutil.copy(photos / "Rail-Head/day/0.png", photos / "Rail-Head/day/z.png")
    assert references(section(photos, ["Rail-Head/day/z.png"])) == ["0.png"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nowhere/", 'names "nowhere/", which is no image, folder or glob'),
        ("../secret", r'names "\.\./secret"'),
        ("pipe/8.png", "which is no image"),
        ("/does/not/exist", "neither an image nor a folder"),
        ("/dev/null", "neither an image nor a folder"),
        ("ftp-of-old://x/y", "not a storage location"),
        ("auto", r'"auto" is not used unseen; run "agssp references CONFIG"'),
        (["auto"], "is not used unseen"),
        (3, "references"),
        ([3], "references"),
        ({"a": 1}, "references"),
    ],
)
def test_wrong_items_are_told(photos: Path, given: object, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Listing(section(photos, given))


def test_a_folder_without_images_elsewhere_is_told(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"rail_head|Rail-Head.*empty can't be read or holds no image"):
        Listing(section(photos, str(tmp_path / "empty")))


def test_categories_are_found_by_key(photos: Path, tmp_path: Path) -> None:
    def listing(names: dict[str, tuple[str, ...]]) -> dict[str, ReferenceCandidates]:
        chosen = CorpusSection(root=str(photos), references=names)
        return Listing(chosen).reference_candidates(chosen)

    item = ("Rail-Head/day/0.png",)
    none = pa.array([], pa.large_string())
    uris = pa.array([f"{photos}/{path}" for path in item], pa.large_string())
    assert listing({"RAIL HEAD": item})["Rail-Head"] == ReferenceCandidates(uris, None, named=True)
    assert listing({})["pipe"] == ReferenceCandidates(none, 4)
    with pytest.raises(UserError, match='several entries for the category "Rail-Head"'):
        listing({"rail_head": item, "Rail-Head": item})
    with pytest.raises(UserError, match=r'the category "rails", which .* it has: Rail-Head, pipe'):
        listing({"rails": item})
    paint(photos / "rail_head" / "9.png", 9)
    with pytest.raises(UserError, match='"rail head" is ambiguous; write "Rail-Head" or "rail_head"'):
        listing({"rail head": item})
    assert listing({"Rail-Head": item})["rail_head"] == ReferenceCandidates(none, 4)
    outside = paint(tmp_path / "one" / "1.png", 1)
    with pytest.raises(UserError, match='named for the category "Rail-Head" too'):
        listing({"Rail-Head": (str(outside),), "pipe": (str(outside),)})


PIECES = st.sampled_from(["a", "b", "ab", "*", "?", "a*", "**", "[ab]", "*b", "x.png", "*.png"])


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=4))
def test_globs_match_as_pathlib_does(tmp_path_factory: pytest.TempPathFactory, pieces: list[str]) -> None:
    root = _tree(tmp_path_factory)
    pattern = "/".join([*pieces, "x.png"] if pieces[-1] == "**" else pieces)
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    expected = {path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file()}
    assert {path for path in files if glob_matches(path, pattern)} == expected


_TREES: list[Path] = []


def _tree(factory: pytest.TempPathFactory) -> Path:
    if not _TREES:
        root = factory.mktemp("tree")
        for folder in ("", "a", "b", "ab", "a/b", "a/a/b", "b/ab/a"):
            for name in ("x.png", "b", "y.png") if folder != "a" and folder else ("x.png",):
                if not (root / folder / name).is_dir():
                    (root / folder).mkdir(parents=True, exist_ok=True)
                    (root / folder / name).write_text("")
        _TREES.append(root)
    return _TREES[0]


def test_a_hostile_glob_takes_no_time() -> None:
    assert not glob_matches("/".join(["a" * 200] * 50), "/".join(["**", "*a" * 50 + "b"] * 50))
