"""Tracking: the embedded default, statuses, what MLflow would refuse, and servers that don't answer."""

import json
import math
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs
import pytest
from hypothesis import given, settings, strategies as st

from cluster.errors import UserError
from cluster.storage.secret_uris import masked
from cluster.storage.storage import Storage
from cluster.tracking import entries as tracking_entries
from cluster.tracking.places import sqlite_file
from cluster.tracking.run import Run, attach, client_of
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import PipelineRun, Tracker


def test_a_pipeline_without_stages_leaves_nothing(workspace: Storage) -> None:
    tracker = Tracker.open(TrackingSection(), workspace)
    with tracker.pipeline("p", {}) as pipeline:
        assert pipeline.id is None
    assert tracker.is_empty
    assert workspace.children() == []


def test_opening_does_not_import_mlflow() -> None:
    code = (
        "import sys; from cluster.storage import Storage; from cluster.tracking import *\n"
        "with Tracker.open(TrackingSection(), Storage.open('/tmp')).pipeline('p', {}): pass\n"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stages_are_nested_and_end_as_they_ended(tracker: Tracker) -> None:
    runs: dict[str, Run] = {}

    def interrupted(pipeline: PipelineRun) -> None:
        with pipeline.stage("maps", config={"kead": {"shots": 4}}, tags={"fingerprint": "f"}) as runs["maps"]:
            pass
        with pytest.raises(ZeroDivisionError), pipeline.stage("boxes", config={}, tags={}) as runs["boxes"]:
            _ = 1 / 0
        with pipeline.stage("backbone", config={}, tags={}) as runs["backbone"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), tracker.pipeline("p", {"agssp.project": "x"}) as pipeline:
        interrupted(pipeline)
    assert pipeline.id is not None
    client = client_of(tracker.uri)
    stages = {name: client.get_run(run.id) for name, run in runs.items()}
    assert {name: run.info.status for name, run in stages.items()} == {
        "maps": "FINISHED",
        "boxes": "FAILED",
        "backbone": "KILLED",
    }
    assert client.get_run(pipeline.id).info.status == "KILLED"
    assert {run.data.tags["mlflow.parentRunId"] for run in stages.values()} == {pipeline.id}
    assert stages["maps"].data.params == {"kead.shots": "4"}
    assert stages["maps"].data.tags["fingerprint"] == "f"


def test_a_run_keeps_figures_files_and_pictures(tracker: Tracker, tmp_path: Path) -> None:
    run = tracker.create_run("r", {})
    run.log_metrics({"mAP@0.5": 0.5, "odd": math.nan}, step=3)
    run.log_history([{"epoch": epoch, "loss": 1.0 if epoch else math.inf} for epoch in range(1200)])
    run.log_json({"nan": math.nan, "array": np.arange(2), "path": Path("x")}, "a/record.json")
    run.log_picture(np.zeros((2, 3, 3), np.uint8), "gallery/one.png")
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"w")
    pickle.loads(pickle.dumps(run)).log_file(weights, "weights")
    client = client_of(tracker.uri)
    stored = client.get_run(run.id)
    assert stored.data.metrics == {"mAP_0.5 b4a73ec0": 0.5, "loss": 1.0}
    assert stored.data.tags["nonfinite.odd"] == "nan at step 3"
    assert stored.data.tags["nonfinite.loss"] == "inf at step 0"
    assert len(client.get_metric_history(run.id, "loss")) == 1199
    root = sqlite_file(tracker.uri)
    assert root is not None
    artifacts = root.parent / "mlartifacts" / run.id / "artifacts"
    assert json.loads((artifacts / "a/record.json").read_text()) == {
        "nan": None,
        "array": [0, 1],
        "path": "x",
    }
    assert (artifacts / "weights/weights.bin").read_bytes() == b"w"
    assert (artifacts / "gallery/one.png").exists()
    with pytest.raises(ValueError, match="uint8"):
        run.log_picture(np.zeros((2, 3, 3), np.float32), "x.png")


def test_configs_larger_than_mlflow_allows_are_clipped(tracker: Tracker) -> None:
    run = tracker.create_run("r", {"long": "t" * 9000})
    run.log_params({"prompts": "p" * 9000, "empty": "", "none": None} | {f"key {n}": n for n in range(250)})
    params = client_of(tracker.uri).get_run(run.id).data.params
    assert len(params) == 253
    assert params["none"] == "null"
    assert params["prompts"].endswith("…")


@settings(deadline=None)  # the first call imports MLflow
@given(st.text(max_size=400))
def test_every_name_becomes_one_that_mlflow_takes(name: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(tracking_entries.key(name))  # type: ignore[no-untyped-call]


NAMES = st.one_of(
    st.text(max_size=12), st.text("ab_ ()[]./", max_size=6), st.text("a(", min_size=248, max_size=260)
)


@given(NAMES, NAMES)
def test_two_names_never_become_one(first: str, second: str) -> None:
    assert (tracking_entries.key(first) == tracking_entries.key(second)) is (first == second)


def test_a_name_that_looks_changed_is_no_other_names_place() -> None:
    changed = tracking_entries.key("crack (A)")
    assert changed.startswith("crack _A_ ")
    assert tracking_entries.key(changed) != changed
    for plain in ("map50", "maps.categories.rail", "sha256.detector.safetensors", "loss/box", "a b", "Riß"):
        assert tracking_entries.key(plain) == plain


def test_classes_that_differ_in_forbidden_characters_alone_stay_two(tracker: Tracker) -> None:
    run = tracker.create_run("r", {"crack (A)": "one", "crack [A]": "two"})
    run.log_metrics({"crack (A)": 0.25, "crack [A]": 0.75})
    run.log_params({"classes": {"crack (A)": 1, "crack [A]": 2}})
    data = client_of(tracker.uri).get_run(run.id).data
    for stored in (data.metrics, data.params, data.tags):
        names = [name for name in stored if "crack _A_" in name]
        assert len({stored[name] for name in names}) == len(names) == 2


def test_attach_is_the_same_run_elsewhere(tracker: Tracker, tmp_path: Path) -> None:
    run = tracker.create_run("r", {})
    assert attach(run.tracking_uri, run.id) == run
    with pytest.raises(UserError, match=r"tracking\.uri"):
        attach(f"sqlite:///{tmp_path}/absent.db", run.id)


def test_a_remote_workspace_needs_a_server() -> None:
    remote = Storage(pafs.SubTreeFileSystem("/tmp", pafs.LocalFileSystem()), "bucket")
    with pytest.raises(UserError, match=r"set tracking\.uri"):
        Tracker.open(TrackingSection(), remote)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("htp://host:5000", "http://"),
        ("mlruns", "neither an MLflow server nor a database"),
        ("file:///tmp/mlruns", "neither"),
        ("sqlite:////no/such/folder/m.db", "does not exist"),
        ("sqlite:///", "must read"),
        ("http://me:secret@host:5000", "MLFLOW_TRACKING_PASSWORD"),
        ("http://127.0.0.1:notaport", "Unreachable"),
    ],
)
def test_wrong_uris_are_one_sentence(workspace: Storage, uri: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        Tracker.open(TrackingSection(uri=uri), workspace)
    assert "secret" not in str(caught.value)


def test_an_unreachable_server_is_told_in_time(workspace: Storage) -> None:
    with socket.socket() as silent:  # accepts, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match="Unreachable tracking server"):
            Tracker.open(TrackingSection(uri=uri, timeout_s=0.2), workspace)
    with pytest.raises(UserError, match="refused"):
        Tracker.open(TrackingSection(uri=uri, timeout_s=0.2), workspace)


@contextmanager
def server(code: int, kind: str) -> Iterator[str]:
    """A server that gives every request one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize(("code", "kind"), [(200, "application/json"), (401, "text/plain")])
def test_servers_that_answer_are_taken(workspace: Storage, code: int, kind: str) -> None:
    with server(code, kind) as uri:
        assert Tracker.open(TrackingSection(uri=uri), workspace).artifact_root is None


@pytest.mark.parametrize(("code", "kind"), [(200, "text/html"), (404, "text/html"), (502, "text/html")])
def test_other_servers_are_refused(workspace: Storage, code: int, kind: str) -> None:
    with server(code, kind) as uri, pytest.raises(UserError, match="MLflow server"):
        Tracker.open(TrackingSection(uri=uri), workspace)


def test_a_file_that_is_no_database_is_told_at_once(workspace: Storage) -> None:
    workspace.write("mlflow.db", b"not a database, but long enough to be looked at" * 50)
    with pytest.raises(UserError, match="can't be opened"):
        Tracker.open(TrackingSection(), workspace).create_run("r", {})


def test_a_moved_workspace_is_noticed(tracker: Tracker, tmp_path: Path) -> None:
    tracker.create_run("r", {})
    database = sqlite_file(tracker.uri)
    assert database is not None
    moved = database.parent.rename(tmp_path / "moved")
    again = Tracker.open(TrackingSection(), Storage.open(str(moved)))
    with pytest.raises(UserError, match="moved"):
        again.create_run("r", {})
    other = Tracker.open(TrackingSection(experiment="other"), Storage.open(str(moved)))
    assert attach(other.uri, other.create_run("r", {}).id)


def test_a_deleted_experiment_is_told(tracker: Tracker) -> None:
    tracker.create_run("r", {})
    client = client_of(tracker.uri)
    found = client.get_experiment_by_name("agssp")
    assert found is not None
    client.delete_experiment(found.experiment_id)
    with pytest.raises(UserError, match="was deleted"):
        tracker.create_run("r", {})


def test_passwords_are_masked() -> None:
    assert masked("postgresql://me:hush@db:5432/x") == "postgresql://me:***@db:5432/x"
    assert masked("http://host:5000") == "http://host:5000"
