"""Names of images relative to what holds them all."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given, strategies as st

from cluster.errors import UserError
from pipelines.labelling.image_names import ImageNames

PART = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=5).filter(
    lambda part: part not in {".", ".."}
)


def test_names_begin_at_the_root() -> None:
    names = ImageNames(["/photos"], ["/photos/rail/a.jpg", "/photos/rail/b.jpg"])
    assert names.folder == "/photos"
    assert names.name("/photos/rail/a.jpg") == "rail/a.jpg"


def test_several_roots_share_the_folder_that_holds_them_all() -> None:
    names = ImageNames(["/data/one", "/data/two"], ["/data/one/a.jpg", "/data/two/a.jpg"])
    assert [names.name(f"/data/{part}/a.jpg") for part in ("one", "two")] == ["one/a.jpg", "two/a.jpg"]


def test_references_from_elsewhere_move_the_folder_up() -> None:
    names = ImageNames(["/data/photos"], ["/data/photos/a.jpg", "/data/golden/r.jpg"])
    assert names.folder == "/data"
    assert names.name("/data/golden/r.jpg") == "golden/r.jpg"


def test_object_stores_have_the_bucket_and_the_unquoted_key() -> None:
    uris = ["s3://bucket/lines/a%20b%25.jpg", "/local/a.jpg"]
    assert ImageNames(["s3://bucket/lines"], uris[:1]).name(uris[0]) == "a b%.jpg"
    mixed = ImageNames(["s3://bucket/lines", "/local"], uris)
    assert [mixed.name(uri) for uri in uris] == ["s3/bucket/lines/a b%.jpg", "local/a.jpg"]


def test_a_name_never_leads_out() -> None:
    with pytest.raises(UserError, match="leads out of its folder"):
        ImageNames(["s3://bucket"], ["s3://bucket/a/../../b.jpg"])


@given(st.lists(st.lists(PART, min_size=1, max_size=4), min_size=1, max_size=8, unique_by=tuple))
def test_names_and_folder_make_the_paths_again(files: list[list[str]]) -> None:
    uris = ["/root/" + "/".join(parts) for parts in files]
    names = ImageNames(["/root"], uris)
    assert [str(PurePosixPath(names.folder) / names.name(uri)) for uri in uris] == uris
    assert len({names.name(uri) for uri in uris}) == len(uris)
