"""Two commands make the same stage at once: one works, the other uses what it made."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from cluster.stages.stage import RECORD
from cluster.storage.storage import Storage
from tests.repository import ROOT

COMMAND = textwrap.dedent(
    """
    import json, sys, time
    from pathlib import Path
    from cluster.stages import Site, ensure
    from cluster.storage import Storage
    from cluster.tracking import Tracker, TrackingSection
    from tests.silent_tracking import SilentPipeline

    workspace, gate, me = Storage.open(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

    def body(bench):
        for number in range(20):
            bench.directory.write(f"part-{number}", me.encode())
            time.sleep(0.05)
        return {"made_by": me}

    tracker = Tracker("sqlite:///nowhere", "test", None)
    Path(f"{gate}.{me}").touch()
    while not gate.exists():
        time.sleep(0.01)
    made = ensure("maps", site=Site(workspace, SilentPipeline(tracker, "p", {})),
                  config={"k": 1}, inputs={}, body=body)
    print(json.dumps({"reused": made.reused, **made.results}))
    """
)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["disk", "s3"])
def test_two_processes_at_once(where: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    environment: Mapping[str, str] = {}
    workspace = str(tmp_path / "workspace")
    if where == "s3":
        environment = request.getfixturevalue("in_swift")
        workspace = f"s3://plant/{tmp_path.name}/workspace"
    gate = tmp_path / "gate"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, workspace, str(gate), name],
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    while not all(Path(f"{gate}.{name}").exists() for name in ("one", "two")):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.02)
    gate.touch()
    told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    results = [json.loads(out) for out, _ in told]
    assert sorted(result["reused"] for result in results) == [False, True]
    assert results[0]["made_by"] == results[1]["made_by"]
    assert sum("waiting for it" in err for _, err in told) == 1
    (directory,) = (
        Storage.open(workspace).at("maps", n) for n in Storage.open(workspace).at("maps").children()
    )
    assert {directory.read(f"part-{n}").decode() for n in range(20)} == {results[0]["made_by"]}
    assert directory.read_json(RECORD)["results"] == {"made_by": results[0]["made_by"]}
