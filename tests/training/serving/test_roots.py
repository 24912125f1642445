"""Addresses: what is below an allowed folder, and all that only looks so."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.images import ImageError
from training.serving.roots import ForbiddenError, read_allowed
from training.serving.section import ServeSection

LIMIT = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "open" / "line").mkdir(parents=True)
    (tmp_path / "open" / "line" / "50% a?#.png").write_bytes(b"mine")
    (tmp_path / "open-too").mkdir()
    (tmp_path / "open-too" / "b.png").write_bytes(b"secret")
    (tmp_path / "open" / "link.png").symlink_to(tmp_path / "open-too" / "b.png")
    (tmp_path / "open" / "away").symlink_to(tmp_path / "open-too")
    (tmp_path / "open" / "round").symlink_to(tmp_path / "open" / "round")
    return tmp_path


def test_a_file_below_a_root_is_read(folder: Path) -> None:
    path = f"{folder}/open/line/50% a?#.png"
    for root in (f"{folder}/open", f"{folder}/open/"):
        assert read_allowed(path, ["s3://bucket", root], LIMIT) == b"mine"


@pytest.mark.parametrize(
    "name",
    [
        "open-too/b.png",
        "open/../open-too/b.png",
        "open/line/../../open-too/b.png",
        "open/./line/50% a?#.png",
        "open//line/50% a?#.png",
        "open/link.png",
        "open/away/b.png",
        "open",
        "open/",
        "open/line/a\nb.png",
        "open/line/a\0b.png",
        "open/" + "a" * 3000,
    ],
)
def test_whatever_leads_elsewhere_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ForbiddenError):
        read_allowed(f"{folder}/{name}", [f"{folder}/open"], LIMIT)


@pytest.mark.parametrize(
    "uri",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://plant.example/a.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "etc/passwd",
        "s3://other/a.png",
        "s3://plantation/a.png",
        "s3://plant/images-of-others/a.png",
        "s3://plant/images/../keys/a.png",
        "s3://plant/images/%2e%2e/keys/a.png",
        "s3://plant/images/a.png?endpoint_override=evil.example",
        "s3://plant/images/a.png#b",
        "s3://plant/images\\a.png",
        "s3://plant/images/a\\..\\b.png",
        "s3://me:key@plant/images/a.png",
        "S3://plant/images/a.png",
        "",
    ],
)
def test_no_other_place_is_asked(uri: str) -> None:
    with pytest.raises(ForbiddenError):
        read_allowed(uri, ["s3://plant/images"], LIMIT)


def test_a_file_that_is_not_there_or_too_large(folder: Path) -> None:
    with pytest.raises(ImageError, match="missing"):
        read_allowed(f"{folder}/open/none.png", [f"{folder}/open"], LIMIT)
    with pytest.raises(ImageError, match="larger"):
        read_allowed(f"{folder}/open/line/50% a?#.png", [f"{folder}/open"], 3)
    with pytest.raises((ImageError, ForbiddenError)):
        read_allowed(f"{folder}/open/round", [f"{folder}/open"], LIMIT)


@pytest.mark.parametrize("root", ["", "file:///data", "s3://plant?region=x"])
def test_roots_that_would_open_too_much_are_no_config(root: str) -> None:
    with pytest.raises(ValidationError):
        ServeSection(roots=(root,))


def test_no_address_is_allowed_by_default() -> None:
    assert ServeSection().roots == ()
