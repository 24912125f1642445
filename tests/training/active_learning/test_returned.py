"""Labels that come back: which count, which are missing, and what is refused in one sentence."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cluster.errors import UserError
from cluster.stages.site import Site
from cluster.storage.storage import Storage
from pipelines.corpus.section import CorpusSection
from pipelines.images.reading import content_hash
from tests.silent_tracking import SilentPipeline
from training.active_learning.returned import Returned, keep_labels, read_returned

NAMES = ("a", "b", "c")
BOX = "0 0.5 0.5 0.3 0.3\n"


def paint(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (48, 48, 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A round's folder: three images went out as YOLO, linked to where they lie; nothing has come back."""
    for number, name in enumerate(NAMES):
        paint(tmp_path / f"photos/{name}.png", number)
        link = tmp_path / f"round-001/to-label/images/{name}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tmp_path / f"photos/{name}.png")
        text = tmp_path / f"round-001/to-label/labels/{name}.txt"
        text.parent.mkdir(exist_ok=True)
        text.write_text(BOX)
    (tmp_path / "round-001/labelled").mkdir()
    return tmp_path / "round-001"


@pytest.fixture
def asked(folder: Path) -> list[dict[str, str]]:
    files = [folder.parent / f"photos/{name}.png" for name in NAMES]
    return [{"image_id": content_hash(path.read_bytes()), "uri": str(path)} for path in files]


@pytest.fixture
def read(folder: Path, asked: list[dict[str, str]]) -> Callable[[], Returned]:
    def now() -> Returned:
        assert keep_labels(folder)
        return read_returned(
            folder,
            asked,
            layout="auto",
            category="rail",
            base=CorpusSection(root=str(folder.parent / "photos")),
            classes=["crack", "hole"],
            site=Site(Storage.open(str(folder.parent / "w")), SilentPipeline(None, "", {})),  # type: ignore[arg-type]
        )

    return now


def label(folder: Path, **texts: str) -> None:
    """Put YOLO labels where they come back."""
    (folder / "labelled/labels").mkdir(exist_ok=True)
    (folder / "labelled/classes.txt").write_text("crack\nhole\nlime\n")
    for name, text in texts.items():
        (folder / f"labelled/labels/{name}.txt").write_text(text)


def test_an_empty_file_is_normal_and_an_absent_one_is_not_labelled(
    folder: Path, read: Callable[[], Returned]
) -> None:
    assert not keep_labels(folder), "what went out is nobody's label"
    label(folder, a=BOX, b="")
    back = read()
    assert (len(back.labelled), back.boxes, back.normal, back.missing) == (2, 1, 1, ("c.png",))
    label(folder, c=BOX + "1 0.2 0.2 0.1 0.1\n")
    whole = read()
    assert (len(whole.labelled), whole.boxes, whole.normal, whole.missing) == (3, 3, 1, ())
    assert whole.digest != back.digest
    assert read().digest == whole.digest


def test_labels_are_kept_apart_from_the_tools_folder(folder: Path, read: Callable[[], Returned]) -> None:
    label(folder, a=BOX, b=BOX, c=BOX)
    before = read()
    shutil.rmtree(folder / "labelled")
    kept = (folder / "kept/labels/a.txt").read_text()
    assert kept == BOX
    assert before.artifact.directory.exists("labels.parquet")


def test_an_export_with_its_own_images_is_read_as_it_is(folder: Path, read: Callable[[], Returned]) -> None:
    label(folder, a=BOX, b="")
    for name in ("a", "b"):
        (folder / "labelled/images").mkdir(exist_ok=True)
        shutil.copy(folder.parent / f"photos/{name}.png", folder / f"labelled/images/{name}.png")
    back = read()
    assert (len(back.labelled), back.missing) == (2, ("c.png",))
    assert not (folder / "kept/images/a.png").is_symlink(), "the person's copy may go"


def unknown_image(folder: Path) -> None:
    paint(folder / "labelled/images/a.png", 0)
    paint(folder / "labelled/images/z.png", 99)
    label(folder, a=BOX, z=BOX)


def changed_copy(folder: Path) -> None:
    paint(folder / "labelled/images/a.png", 98)
    label(folder, a=BOX)


def changed_original(folder: Path) -> None:
    paint(folder.parent / "photos/b.png", 97)
    label(folder, a=BOX, b=BOX)


def out_of_place(folder: Path) -> None:
    for name in NAMES:
        (folder / f"labelled/{name}.xml").write_text("<annotation/>")


def gone_original(folder: Path) -> None:
    (folder.parent / "photos/b.png").unlink()
    label(folder, a=BOX)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unknown_image, r"1 images that nobody asked for \(z\.png\)"),
        (changed_copy, r"1 images are not what they were when labels were asked for \(a\.png\)"),
        (changed_original, r"1 images are not what they were when labels were asked for \(b\.png\)"),
        (gone_original, r"1 images that labels were asked for are gone \(b\.png\)"),
        (
            out_of_place,
            r"3 files in .*labelled may hold labels \(a\.xml, b\.xml, c\.xml\), but none is where",
        ),
        (lambda folder: label(folder, a=BOX, z=BOX), r"belong to no image that was asked for"),
        (
            lambda folder: label(folder, a="0 0.5 nonsense 0.3 0.3\n"),
            r"^1 labels in .* can't be read \(.*labelled/labels/a\.txt",
        ),
        (
            lambda folder: label(folder, a="2 0.5 0.5 0.3 0.3\n"),
            r'1 boxes in .*labelled have the class "lime" \(.*\), which the model does not know '
            r'\(did you mean "hole"\?\); a new class is added by active_learning\.classes=\[lime\]\.$',
        ),
    ],
)
def test_what_can_not_be_meant_is_refused(
    folder: Path, read: Callable[[], Returned], spoil: Callable[[Path], None], reason: str
) -> None:
    spoil(folder)
    with pytest.raises(UserError, match=reason):
        read()
