"""New files come all together or not at all, and nothing of the user's is overwritten unasked."""
# ruff: noqa: PT012, SIM117 - the fault is raised at the end of the inner block

from pathlib import Path

import pytest

from cluster.errors import UserError
from pipelines.labelling.names import COPY, LINK, NONE
from pipelines.labelling.new_files import NewFiles


def content(folder: Path) -> dict[str, str]:
    """All files below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("exists", [False, True])
def test_files_appear_at_the_end(exists: bool, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    if exists:
        folder.mkdir(parents=True)
        (folder / "mine.txt").write_text("mine")
    with NewFiles(folder, force=False) as target:
        target.write("a/b.txt", "small")
        with target.text("big.txt") as file:
            file.write("big")
        assert not (folder / "a/b.txt").exists()
    assert content(folder) == {"a/b.txt": "small", "big.txt": "big"} | (
        {"mine.txt": "mine"} if exists else {}
    )
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    made = tmp_path / "made"
    made.mkdir()
    assert folder.stat().st_mode == made.stat().st_mode  # others may read it, as any folder of this user's


@pytest.mark.parametrize("exists", [False, True])
def test_an_interrupted_export_leaves_nothing(exists: bool, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    if exists:
        folder.mkdir()
    with pytest.raises(KeyboardInterrupt), NewFiles(folder, force=False) as target:
        target.write("a.txt", "a")
        raise KeyboardInterrupt
    assert content(tmp_path) == {}
    assert folder.exists() == exists


def test_an_existing_file_is_replaced_by_force_alone(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    with (
        pytest.raises(UserError, match=r"a\.json exists already; .*--force"),
        NewFiles(tmp_path, force=False) as target,
    ):
        target.write("0.json", "new")
        target.write("a.json", "new")
    assert content(tmp_path) == {"a.json": "mine"}
    with NewFiles(tmp_path, force=True) as target:
        target.write("0.json", "new")
        target.write("a.json", "new")
    assert content(tmp_path) == {"0.json": "new", "a.json": "new"}


def test_a_failure_on_the_way_brings_the_former_files_back(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(UserError, match="Nothing was written into"), NewFiles(tmp_path, force=True) as target:
        target.write("0.json", "new")
        target.write("a.json", "new")
        target.write("b/c.json", "new")
        (tmp_path / "b").write_text("in the way of the folder")
    assert content(tmp_path) == {"a.json": "mine", "b": "in the way of the folder"}


def test_a_folder_in_a_files_place_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(UserError, match="exists already"), NewFiles(tmp_path, force=True) as target:
        target.write("a.json", "new")


def test_a_folder_that_cant_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Nothing was written into .*file/out"):
        NewFiles(tmp_path / "file" / "out", force=False).__enter__()


def test_two_images_never_share_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x/a\.jpg and x/a\.png would share the file x/a\.json"):
        with NewFiles(tmp_path / "out", force=True) as target:
            target.write("x/a.json", "{}", "x/a.jpg")
            target.write("x/a.json", "{}", "x/a.png")
    assert not (tmp_path / "out").exists()


def test_images_are_linked_copied_or_left_out(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_text("pixels")
    for mode in (LINK, COPY, NONE):
        with NewFiles(tmp_path / mode, force=False) as target:
            target.write("a.json", "{}")
            target.image("sub/photo.jpg", str(photo), mode)
    linked = tmp_path / LINK / "sub/photo.jpg"
    assert linked.is_symlink()
    assert linked.resolve() == photo
    assert not (tmp_path / COPY / "sub/photo.jpg").is_symlink()
    assert (tmp_path / COPY / "sub/photo.jpg").read_text() == "pixels"
    assert content(tmp_path / NONE) == {"a.json": "{}"}
    with NewFiles(tmp_path / LINK, force=True) as target:  # again
        target.write("a.json", "{}")
        target.image("sub/photo.jpg", str(photo), LINK)
    assert linked.resolve() == photo
    with pytest.raises(UserError, match="is no local file and can't be linked; give --images copy"):
        with NewFiles(tmp_path / "remote", force=False) as target:
            target.image("a.jpg", "s3://bucket/a.jpg", LINK)


@pytest.mark.parametrize("mode", [LINK, COPY])
def test_an_image_that_is_there_is_never_touched(mode: str, tmp_path: Path) -> None:
    photo, other = tmp_path / "photo.jpg", tmp_path / "out" / "photo.jpg"
    photo.write_text("pixels")
    other.parent.mkdir()
    other.write_text("others")
    with pytest.raises(UserError, match=r"out/photo\.jpg exists already and is another file"):
        with NewFiles(tmp_path / "out", force=True) as target:
            target.image("photo.jpg", str(photo), mode)
    assert other.read_text() == "others"
    with NewFiles(tmp_path, force=True) as target:  # into the images' own folder
        target.image("photo.jpg", str(photo), mode)
    assert not photo.is_symlink()
    assert photo.read_text() == "pixels"
