"""A jobs server that is gone: whoever asks learns that a local cluster has ended, and where its logs are."""

import socket
from pathlib import Path

import pytest

from cluster.errors import UserError
from cluster.jobs.jobs import connect


def sentence(host: str) -> str:
    """What is said of a port where nothing listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(UserError) as caught:
        connect(f"http://{host}:{port}")
    return str(caught.value)


def test_the_logs_of_a_local_cluster_that_has_ended_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert "ends with its command" not in sentence("127.0.0.1")  # none ever was here
    logs = tmp_path / "ray" / "session_latest" / "logs"
    logs.mkdir(parents=True)
    said = sentence("127.0.0.1")
    assert "ends with its command" in said
    assert f"{logs}, in job-driver-JOB.log" in said
    assert said.endswith("correct --address or start it.")
    assert "ends with its command" not in sentence("127.1.2.3")
