"""Links below a corpus' root: none leads out of it unseen, and none round in circles."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from cluster.errors import UserError
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from pipelines.layouts.tree import list_tree


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with an image, and a secret beside it."""
    for file in ("photos/rail/1.png", "secret/2.png"):
        path = tmp_path / file
        path.parent.mkdir(parents=True)
        Image.new("RGB", (40, 40)).save(path)
    (tmp_path / "secret/labels.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    return tmp_path / "photos"


def names(root: Path, *, follow_links: bool = False) -> list[str]:
    return [str(path) for path in list_tree(str(root), "corpus.root", follow_links=follow_links).files]


@pytest.mark.parametrize("target", ["secret/2.png", "secret/labels.txt", "secret", ".", "/"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_link_out_of_the_corpus_is_refused(photos: Path, target: str, relative: bool) -> None:
    outside = photos.parent / target
    link = photos / "rail" / f"0{outside.suffix}"
    link.symlink_to(os.path.relpath(outside, link.parent) if relative else outside)
    with pytest.raises(UserError, match=r"0\S* is a link that leads out of .*corpus\.follow_links=true"):
        Listing(CorpusSection(root=str(photos)))


@pytest.mark.parametrize("chain", [1, 3])
def test_a_link_by_way_of_others_is_refused(photos: Path, chain: int) -> None:
    (photos / ".hop0").symlink_to(photos.parent / "secret/2.png")
    for hop in range(chain):
        (photos / f".hop{hop + 1}").symlink_to(photos / f".hop{hop}")
    (photos / "rail/2.png").symlink_to(photos / f".hop{chain}")
    with pytest.raises(UserError, match="leads out of"):
        names(photos)


def test_links_are_followed_where_they_are_trusted(photos: Path) -> None:
    (photos / "farm").symlink_to(photos.parent / "secret")
    (photos / "rail/3.png").symlink_to(photos.parent / "secret/2.png")
    section = CorpusSection(root=str(photos), follow_links=True)
    assert sorted(entry.path for entry in Listing(section).entries) == [
        "farm/2.png",
        "rail/1.png",
        "rail/3.png",
    ]


def test_links_within_the_corpus_are_its_own(photos: Path, tmp_path: Path) -> None:
    (photos / "rail/again.png").symlink_to("1.png")
    (photos / "all").symlink_to("rail")
    (tmp_path / "way").symlink_to(photos)
    assert names(photos) == names(tmp_path / "way") == ["rail/1.png", "rail/again.png"]


@pytest.mark.parametrize("follow_links", [False, True])
def test_circles_end(photos: Path, follow_links: bool) -> None:
    for number in range(12):  # followed naively, 12^40 folders
        (photos / f"round{number}").symlink_to(photos)
    (photos / "itself.png").symlink_to("itself.png")
    (photos / "nothing.png").symlink_to("nowhere.png")
    assert names(photos, follow_links=follow_links) == ["rail/1.png"]


def test_a_circle_through_the_outside_ends(photos: Path) -> None:
    (photos / "out").symlink_to(photos.parent / "secret")
    (photos.parent / "secret" / "back").symlink_to(photos)
    (photos.parent / "secret" / "up").symlink_to(photos.parent)
    assert names(photos, follow_links=True) == ["out/2.png", "out/labels.txt", "rail/1.png"]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [pipe, device])
def test_what_is_no_file_is_not_listed(photos: Path, make: Callable[[Path], None]) -> None:
    make(photos / "endless.png")
    assert names(photos, follow_links=True) == ["rail/1.png"]


def test_a_name_that_is_no_text_is_told(photos: Path) -> None:
    Path(os.fsdecode(os.fsencode(photos) + b"/\xff.png")).write_bytes(b"")
    with pytest.raises(UserError, match="UTF-8; rename it"):
        names(photos)
