"""Images by folder, file, glob and URI."""

from pathlib import Path

import pytest

from cluster.errors import UserError
from pipelines.corpus.image_paths import find_images, listing_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.JPG", "sub/c.png", "sub/deep/d[1].png", "notes.txt", ".hidden/e.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "photos"


def names(where: str) -> list[str]:
    return [str(name) for name in find_images(where).column("name").to_pylist()]


def test_a_folder_means_all_images_below(folder: Path) -> None:
    assert names(str(folder)) == ["a.png", "b.JPG", "sub/c.png", "sub/deep/d[1].png"]
    uris = find_images(str(folder)).column("uri").to_pylist()
    assert uris[0] == str(folder / "a.png")
    assert names(folder.as_uri()) == names(str(folder))


def test_a_glob_means_what_fits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(f"{folder}/*.png") == ["a.png"]
    assert names(f"{folder}/**/*.png") == ["a.png", "sub/c.png", "sub/deep/d[1].png"]
    assert names(f"{folder}/sub/*.png") == ["c.png"]
    assert names(f"{folder.as_uri()}/sub/*/*.png") == ["deep/d[1].png"]
    monkeypatch.chdir(folder)
    assert names("*.png") == ["a.png"]
    assert names("sub/*.png") == ["c.png"]


def test_a_file_with_a_wildcard_in_its_name_is_itself(folder: Path) -> None:
    (row,) = find_images(f"{folder}/sub/deep/d[1].png").to_pylist()
    assert (row["name"], row["uri"]) == ("d[1].png", f"{folder}/sub/deep/d[1].png")


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("nowhere", "does not exist"),
        ("notes.txt", "is no image"),
        ("*.tiff", "fits"),
        ("nowhere/*.png", "does not exist"),
        (".hidden", None),
    ],
)
def test_what_holds_no_image_is_refused(folder: Path, where: str, told: str | None) -> None:
    if told is None:
        assert names(f"{folder}/{where}") == ["e.png"]  # named itself, it is not hidden
        return
    with pytest.raises(UserError, match=told):
        find_images(f"{folder}/{where}")


def test_the_digest_follows_the_files(folder: Path) -> None:
    before = listing_digest(find_images(str(folder)))
    assert before == listing_digest(find_images(str(folder)))
    (folder / "a.png").write_bytes(b"longer")
    assert before != listing_digest(find_images(str(folder)))


def test_a_folder_without_any_fitting_image_is_written_as_it_is(folder: Path) -> None:
    with pytest.raises(UserError) as failure:
        find_images(str(folder / "*.nothing"))
    assert str(failure.value) == f'No image below {folder} fits "*.nothing".'
