"""The doctor: what is broken is named with a remedy, what isn't is left as it was."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from cluster.cli import doctor as checks
from cluster.cli.doctor import Check, doctor
from cluster.config import Section
from cluster.on_ray.section import RaySection
from cluster.stages.stage import RECORD
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker


class Ground(Section):
    """The least a project's config has for these commands."""

    workspace: str
    tracking: TrackingSection = TrackingSection()
    ray: RaySection = RaySection()


def found(result: Any, what: str) -> Any:
    """The row of that name."""
    return next(row for row in result["rows"] if row["what"] == what)


def test_a_fresh_place_is_well_and_stays_untouched(tmp_path: Path) -> None:
    result = doctor(Ground(workspace=str(tmp_path / "a" / "w")))
    assert {row["what"] for row in result["rows"] if not row["ok"]} <= {"memory", "disk"}
    assert "not there yet" in found(result, "workspace")["detail"]
    assert "made by the first stage" in found(result, "tracking")["detail"]
    assert found(result, "telemetry")["detail"].startswith("off")
    assert "local session" in found(result, "Ray")["detail"]
    assert list(tmp_path.iterdir()) == []


def test_stages_are_counted(workspace: Storage, tracker: Tracker) -> None:
    workspace.write(f"maps/{'a' * 16}/{RECORD}", b"{}")
    workspace.write(f"maps/{'b' * 16}/half", b"")
    workspace.write(f"corpus/{'c' * 16}/{RECORD}", b"{}")
    tracker.create_run("r", {})
    result = doctor(Ground(workspace=workspace.path))
    assert found(result, "stages")["detail"] == "corpus 1 complete, maps 1 complete and 1 incomplete"
    assert "experiments: Default, agssp" in found(result, "tracking")["detail"]


def test_what_is_broken_has_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    ground = Ground(
        workspace=str(tmp_path / "file"),
        tracking=TrackingSection(uri=f"http://127.0.0.1:{port}", timeout_s=1),
        ray=RaySection(address=f"ray://127.0.0.1:{port}"),
    )
    result = doctor(
        ground, [("encoder", False, "the file is gone; copy it again."), ("detector", True, "found")]
    )
    assert not result["ok"]
    broken = {row["what"]: row["remedy"] for row in result["rows"] if not row["ok"]}
    assert {"workspace", "tracking", "Ray", "weights encoder"} <= set(broken)
    assert all(broken.values())
    assert found(result, "weights encoder")["detail"] == "the file is gone"
    assert found(result, "weights detector") == {
        "what": "weights detector",
        "ok": True,
        "detail": "found",
        "remedy": "",
    }


def test_a_file_above_the_workspace_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (row, *_) = checks.workspace(str(tmp_path / "file" / "w"))
    assert not row.ok
    assert "workspace=DIR" in row.remedy


def test_too_little_memory_or_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LEAST_MEMORY_GIB", 1e9)
    monkeypatch.setattr(checks, "LEAST_DISK_GIB", 1e9)
    result = doctor(Ground(workspace=str(tmp_path)))
    assert "close other programs" in found(result, "memory")["remedy"]
    assert "workspace=DIR" in found(result, "disk")["remedy"]


def test_telemetry_the_user_turned_on_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "RAY_USAGE_STATS_ENABLED", "1")
    assert checks.telemetry() == Check("telemetry", True, "off, except as you set: RAY_USAGE_STATS_ENABLED=1")


@pytest.mark.parametrize(
    ("load", "free", "slow"), [(0.2, 8, False), (3.0, 5, False), (6.0, 2, True), (41.0, 0, True)]
)
def test_a_busy_machine_is_told_and_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, load: float, free: int, slow: bool
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(checks, "machine_cpus", lambda: 8)
    row = checks.load()
    assert row.ok
    assert f"{load:.1f} of 8 cores" in row.detail
    assert f"about {free} free" in row.detail
    assert ("slow" in row.detail) == slow
