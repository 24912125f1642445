"""Paths of a config: absolute where it is read, as they were written in what is kept."""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from cluster.config import Section, validate
from cluster.config_paths import Located, Location, as_written
from cluster.errors import UserError
from cluster.tracking.places import sqlite_file
from cluster.tracking.section import TrackingSection


class Places(Section):
    root: Location = "here"
    files: tuple[Location, ...] = ()


def root_of(document: dict[str, Any], folder: str | None = None) -> str:
    return validate(Places, document, "Config", folder).root


def test_relative_paths_start_at_the_working_directory_or_at_the_folder_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert root_of({"root": "a/b"}) == f"{tmp_path}/a/b"
    assert root_of({}) == f"{tmp_path}/here"  # a default too
    assert root_of({"root": "../b"}) == f"{tmp_path}/../b"  # as the system reads it, links and all
    assert root_of({"root": "a/b"}, "/elsewhere") == "/elsewhere/a/b"
    assert root_of({"root": "/a/b"}, "/elsewhere") == "/a/b"
    assert validate(Places, {"files": ["x.yaml", "/y.yaml"]}, "").files == (f"{tmp_path}/x.yaml", "/y.yaml")


def test_homes_are_entered_and_uris_and_the_empty_text_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert root_of({"root": "~/photos"}) == "/home/me/photos"
    for text in ("", "s3://bucket/a", "file:///a/b", "gs://b"):
        assert root_of({"root": text}) == text


@given(st.text(st.characters(exclude_characters="\0/~", codec="utf-8"), min_size=1))
def test_what_is_kept_is_what_was_written(name: str) -> None:
    places = validate(Places, {"root": name, "files": [name]}, "", "/somewhere")
    document = {"root": name, "files": [name]}
    assert places.model_dump(mode="json") == json.loads(places.model_dump_json()) == document
    assert str(places.root) == (name if "://" in name else str(Path("/somewhere", name)))


def test_a_path_stays_what_it_is_on_its_way_to_other_configs_and_processes() -> None:
    places = validate(Places, {"root": "a"}, "", "/first")
    again = validate(Places, places.model_dump(), "", "/second")
    for each in (again, pickle.loads(pickle.dumps(places)), copy.deepcopy(places)):
        assert each.root == "/first/a"
        assert as_written(each.root) == "a"
    assert as_written("b") == "b"
    assert Located("/a").written == "/a"


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"root": "a\0b"}, '"root": a path can\'t hold a NUL character'),
        ({"root": "~nobody-of-this-name/x"}, '"root": there is no such home folder; write the full path'),
        ({"root": 3}, '"root": must be text (given'),
        ({"files": ["a", "b\0"]}, '"files.1": a path can\'t hold a NUL character'),
    ],
)
def test_what_is_no_path_is_told(document: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says.replace("(", r"\(")):
        validate(Places, document, "Config")


def test_a_working_directory_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert root_of({"root": "/a"}) == "/a"
    with pytest.raises(UserError, match="the folder that this command runs in is gone"):
        root_of({"root": "a"})


def test_an_sqlite_file_is_a_path_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def uri_of(uri: str, folder: str | None = None) -> str | None:
        return validate(TrackingSection, {"uri": uri}, "", folder).uri

    assert sqlite_file(str(uri_of("sqlite:///runs/a b.db"))) == tmp_path / "runs/a b.db"
    assert sqlite_file(str(uri_of("sqlite:///a%3Fb.db", "/x"))) == Path("/x/a?b.db")
    for uri in ("sqlite:////full/path.db", "sqlite://", "sqlite:///", "sqlite:///a?b", "http://host:5000"):
        assert uri_of(uri) == uri
