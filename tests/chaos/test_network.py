"""A cluster of three nodes with addresses of their own; one dies or is cut off while a submitted job runs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.storage.storage import Storage
from tests.network_nodes import Node, network_cluster
from tests.repository import ROOT

AGSSP = [sys.executable, "-m", "agssp"]
EPOCHS = 20  # long enough that the training still runs when a node of it is lost
PROJECT = """
name: chaos
generate: {{seed: 1, images_per_category: 80, size: 96, categories: [rail, casting]}}
workspace: {workspace}
maps: {{actors: 4, batch_size: 4, kead: {{shots: 2}}}}
backbone: {{image_size: 64, loop: {{epochs: {epochs}, batch_size: 16, seed: 0}}}}
scaling: {{workers: 2, cpus_per_worker: 2, gpu: false}}
"""
# Where Ray would wait a minute for a node to come back, a test does not.
ENVIRONMENT = {
    # A job's `python` is that of the nodes.
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "20",
    "RAY_AUTH_MODE": "disabled",
    # This machine's name is 127.0.0.1 in every namespace; a real node's is its address.
    "GLOO_SOCKET_IFNAME": "eth0",
}

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        "AGSSP_CHAOS_NETWORK" not in os.environ,
        reason="four nodes and two jobs on two cores take seven minutes each; set AGSSP_CHAOS_NETWORK=1",
    ),
]


class Job:
    """`agssp submit pretrain backbone` in a process of its own; its log and result are files."""

    def __init__(self, address: str, folder: Path, workspace: Path) -> None:
        config = folder / f"{workspace.name}.yaml"
        config.write_text(PROJECT.format(workspace=workspace, epochs=EPOCHS))
        self.log, self.told = folder / f"{workspace.name}.log", folder / f"{workspace.name}.json"
        with self.log.open("wb") as log, self.told.open("wb") as told:
            self.process = subprocess.Popen(
                [*AGSSP, "submit", "--json", "--address", address, "pretrain", "backbone", str(config)],
                env={**os.environ, **ENVIRONMENT},
                stdout=told,
                stderr=log,
            )

    def wait_for(self, happened: Callable[[], bool], seconds: float = 300) -> None:
        """Until it has happened, while the job runs."""
        deadline = time.monotonic() + seconds
        while not happened():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.2)

    def text(self) -> str:
        """The end of its log, and its result."""
        return self.log.read_text()[-5000:] + self.told.read_text()[-1000:]

    def succeed(self) -> None:
        """Wait for its end."""
        assert self.process.wait(600) == 0, self.text()
        assert json.loads(self.told.read_text().strip().splitlines()[-1])["status"] == "SUCCEEDED"


def losses(workspace: Path) -> list[float]:
    (backbone,) = Storage.open(str(workspace)).at("backbone").children()
    history = Storage.open(str(workspace)).at("backbone", backbone).read_table("history.parquet").to_pylist()
    assert [row["epoch"] for row in history if row["loss"] is not None] == list(range(1, EPOCHS + 1))
    return [row["loss"] for row in history if row["loss"] is not None]


def check_maps(workspace: Path) -> None:
    storage = Storage.open(str(workspace))
    (corpus,), (maps,) = storage.at("corpus").children(), storage.at("maps").children()
    manifest = storage.at("corpus", corpus).read_table("manifest").column("image_id").to_pylist()
    mapped = storage.at("maps", maps).read_table("maps", ["image_id"]).column("image_id").to_pylist()
    assert sorted(mapped) == sorted(manifest)
    assert storage.at("maps", maps).read_table("quarantine.parquet").num_rows == 0


def lose(node: Node, how: str) -> None:
    (node.kill if how == "killed" else node.cut)()


@pytest.mark.parametrize(("in_maps", "in_training"), [("cut", "killed"), ("killed", "cut")])
def test_a_node_is_lost_in_maps_and_another_in_training(
    in_maps: str, in_training: str, tmp_path: Path
) -> None:
    with network_cluster([2, 2, 2, 2], {**os.environ, **ENVIRONMENT}) as (address, nodes):
        lost = tmp_path / "lost"
        job = Job(address, tmp_path, lost)
        job.wait_for(lambda: any((lost / "maps").glob("*/maps/*.parquet")))
        lose(nodes[3], in_maps)
        job.wait_for(lambda: any((lost / "backbone").glob("*/training/state-*.pt")), 600)
        training_nodes = [node for node in nodes[1:3] if node.runs("RayTrainWorker")]
        assert training_nodes, f"no worker of the training is beside the head: {job.text()}"
        lose(training_nodes[0], in_training)
        job.succeed()
        check_maps(lost)
        unbroken = Job(address, tmp_path, tmp_path / "unbroken")
        unbroken.succeed()
    assert losses(tmp_path / "lost") == pytest.approx(losses(tmp_path / "unbroken"), abs=1e-4)
