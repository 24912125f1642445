"""Pulling: the right bytes or nothing."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from safetensors.numpy import load_file

from cluster.errors import UserError
from cluster.registry.pull import pull, weights_file
from cluster.registry.registry import ModelVersion, Registry
from cluster.tracking.tracker import Tracker
from tests.cluster.registry.registered_models import NAME, judged, registered, weights_run


@pytest.fixture
def version(tracker: Tracker, tmp_path: Path) -> ModelVersion:
    run, digests = weights_run(tracker, tmp_path / "weights", 0.5)
    registered(run, digests, "a", evaluation=judged(0.5))
    return Registry.open(tracker).version(NAME)


def stored(version: ModelVersion) -> Path:
    """The folder of the registry's own copy."""
    return Path(unquote(urlsplit(version.source).path))


def test_weights_and_json_arrive_in_the_librarys_keys(
    tracker: Tracker, version: ModelVersion, tmp_path: Path
) -> None:
    folder = pull(tracker, version, tmp_path / "new" / "out")
    assert folder == tmp_path / "new" / "out" / f"{NAME}-v1"
    assert sorted(path.name for path in folder.iterdir()) == [
        "detector.safetensors",
        "model.json",
        "registry.json",
    ]
    state = load_file(weights_file(folder, version))
    np.testing.assert_array_equal(state["model.0.conv.weight"], np.full((2, 3), 0.5, np.float32))
    for name, digest in version.files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    told = json.loads((folder / "registry.json").read_text())
    assert (told["name"], told["version"]) == (NAME, 1)
    assert pull(tracker, version, tmp_path / "new" / "out") == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_changed_bytes_are_refused_and_leave_nothing(
    tracker: Tracker, version: ModelVersion, tmp_path: Path
) -> None:
    file = stored(version) / "detector.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"differs from the registry: detector\.safetensors"):
        pull(tracker, version, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_files_that_are_gone_are_told_and_leave_nothing(
    tracker: Tracker, version: ModelVersion, tmp_path: Path
) -> None:
    shutil.rmtree(stored(version))
    with pytest.raises(UserError, match="can't be fetched"):
        pull(tracker, version, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_holds_something_else_is_left_alone(
    tracker: Tracker, version: ModelVersion, tmp_path: Path
) -> None:
    folder = pull(tracker, version, tmp_path)
    (folder / "model.json").write_text("{}")
    with pytest.raises(UserError, match=r"is there already.*give another --out"):
        pull(tracker, version, tmp_path)
    assert (folder / "model.json").read_text() == "{}"


def test_a_file_that_is_no_safetensors_is_refused_even_with_its_digest(
    tracker: Tracker, tmp_path: Path
) -> None:
    run, _ = weights_run(tracker, tmp_path / "weights")
    pickled = tmp_path / "evil.safetensors"
    pickled.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    run.log_file(pickled, "weights")
    registered(run, {pickled.name: hashlib.sha256(pickled.read_bytes()).hexdigest()}, "a")
    with pytest.raises(UserError, match="is damaged"):
        pull(tracker, Registry.open(tracker).version(NAME), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_that_others_put_beside_the_weights_is_not_taken_for_them(
    tracker: Tracker, version: ModelVersion, tmp_path: Path
) -> None:
    folder = pull(tracker, version, tmp_path)
    shutil.copy(folder / "detector.safetensors", folder / "copy.safetensors")
    assert pull(tracker, version, tmp_path) == folder
    assert weights_file(folder, version) == folder / "detector.safetensors"


def test_a_version_of_two_weights_files_is_refused(tracker: Tracker, tmp_path: Path) -> None:
    run, digests = weights_run(tracker, tmp_path / "weights")
    registered(run, {**digests, "other.safetensors": digests["detector.safetensors"]}, "a")
    with pytest.raises(UserError, match=r"holds 2 \.safetensors files"):
        pull(tracker, Registry.open(tracker).version(NAME), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_versions_without_digests_are_refused(tracker: Tracker, tmp_path: Path) -> None:
    run, _ = weights_run(tracker, tmp_path / "weights")
    registered(run, {}, "a")
    with pytest.raises(UserError, match="no weights with a recorded digest"):
        pull(tracker, Registry.open(tracker).version(NAME), tmp_path / "out")


def test_an_out_that_is_a_file_is_told(tracker: Tracker, version: ModelVersion, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        pull(tracker, version, tmp_path / "file")


@pytest.mark.parametrize(
    "name", ["../away", "..", "a/b", "/away", "a\\b", ".hidden", "x" * 300, "a\nb", "a\0b"]
)
def test_a_name_that_leads_elsewhere_writes_nothing(
    tracker: Tracker, version: ModelVersion, tmp_path: Path, name: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="its name is no folder's name"):
        pull(tracker, replace(version, name=name), tmp_path / "out" / "inner")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("step", ["/../..", "/%2e%2e/x", "/a/%252e%252e", "\\..\\x", "/.."])
@pytest.mark.parametrize("scheme", ["", "runs:/0123/weights", "mlflow-artifacts:/0"])
def test_a_source_that_climbs_is_refused(
    tracker: Tracker, version: ModelVersion, tmp_path: Path, step: str, scheme: str
) -> None:
    source = f"{scheme or version.source}{step}"
    with pytest.raises(UserError, match="leads out of where artifacts are kept"):
        pull(tracker, replace(version, source=source), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_with_dots_and_spaces_are_pulled(
    tracker: Tracker, version: ModelVersion, tmp_path: Path
) -> None:
    folder = pull(tracker, replace(version, name="line..2 v1.0+é"), tmp_path / "out")
    assert folder == tmp_path / "out" / "line..2 v1.0+é-v1"
