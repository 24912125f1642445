"""Jobs as a user submits them: on a local cluster with the workspace in an object store, and on another's."""

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.storage.storage import Storage
from tests.repository import ROOT

AGSSP = [sys.executable, "-m", "agssp"]
# What whoever submits has in the environment and no one else may see.
SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "of-the-tracking-server",
    "PGPASSWORD": "of-the-database",
    "AWS_SESSION_TOKEN": "of-the-session",
}


def environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "RAY_worker_niceness": "0", "PYTHONPATH": str(ROOT), **more}


def jobs_as_ray_tells(address: str) -> str:
    """All that the jobs server says of every job; asked by a process of its own, which has its token."""
    code = (
        "import sys; from cluster.jobs.jobs import connect; "
        "print([job.dict() for job in connect(sys.argv[1]).list_jobs()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, address],
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def last_json(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return found


HEAD = """
import ray, sys
from functools import partial
from ray._private import parameter
# As in cluster.on_ray.session.
parameter.RayParams = partial(parameter.RayParams, dashboard_agent_listen_port=0)
context = ray.init("local", num_cpus=1, num_gpus=0, object_store_memory=100 << 20, include_dashboard=True)
print(context.dashboard_url, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Ray cluster that knows nothing of this code; its address."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    head = subprocess.Popen(
        [sys.executable, "-c", HEAD],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={**variables, "PATH": path, "AWS_SECRET_ACCESS_KEY": "of-the-node"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert head.stdout is not None
    yield f"http://{head.stdout.readline().strip()}"
    head.communicate(timeout=60)


@pytest.mark.slow
def test_stages_in_an_object_store_by_a_job_on_a_local_cluster(
    cluster: str, tmp_path: Path, in_swift: dict[str, str], tracked: Callable[[Path], Path]
) -> None:
    """Beside another cluster on this machine, which has no keys to the store: no work is done there."""
    home = f"s3://plant/{tmp_path.name}/plant%201"
    tracked(tmp_path)
    config = tmp_path / "the 'project'; $(touch pwned).yaml"
    config.write_text(
        textwrap.dedent(
            f"""
            name: tiny
            workspace: {home}
            generate: {{seed: 1, images_per_category: 12, size: 96, categories: [rail]}}
            ray: {{cpus: 2, gpus: 0, object_store_gb: 0.3}}
            tracking: {{uri: "sqlite:///{tmp_path}/mlflow.db"}}
            """
        )
    )
    job = subprocess.Popen(
        [*AGSSP, "submit", "--json", "--env", "PROOF=of purchase", "boxes", config.name],
        cwd=tmp_path,
        env=environment(in_swift),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert job.stderr is not None
    log, address = "", ""
    for line in job.stderr:
        log += line
        if match := re.search(r"--address (http\S+)", line):
            address = match[1]
        if "maps: started" in line:
            break
    assert address, log
    assert "maps: started" in log, log
    top = subprocess.run(
        [*AGSSP, "jobs", "top", "--json", "--address", address],
        env=environment(in_swift),
        capture_output=True,
        text=True,
        check=False,
    )
    assert top.returncode == 0, top.stderr
    standing = last_json(top.stdout)
    assert standing["status"] == "RUNNING"
    assert "PROOF" in standing["environment"]
    assert "of purchase" not in top.stdout  # of a job's environment the names alone
    told = jobs_as_ray_tells(address)
    assert "of purchase" in told
    assert in_swift["AWS_SECRET_ACCESS_KEY"] not in told
    stages = {stage["stage"]: stage["state"] for stage in standing["stages"]}
    done = dict.fromkeys(("surfaces", "inspection", "corpus"), "done")
    assert stages == {**done, "maps": "running"}
    out, err = job.communicate(timeout=500)
    log += err
    result = last_json(out)
    assert (job.returncode, result["status"], result["exit_code"]) == (0, "SUCCEEDED", 0), log[-3000:]
    assert in_swift["AWS_SECRET_ACCESS_KEY"] not in log
    assert not (tmp_path / "pwned").exists()

    workspace = Storage.open(home)
    (inspection,) = workspace.at("inspection").children()
    (corpus,) = workspace.at("corpus").children()
    (maps,) = workspace.at("maps").children()
    (boxes,) = workspace.at("boxes").children()
    manifest = workspace.at("corpus", corpus).read_table("manifest")
    mapped = workspace.at("maps", maps).read_table("maps", ["image_id"]).column("image_id").to_pylist()
    assert sorted(mapped) == sorted(manifest.column("image_id").to_pylist())
    assert len(set(mapped)) == len(mapped) == 12
    assert all(uri.startswith(home) for uri in manifest.column("uri").to_pylist())
    made = workspace.at("boxes", boxes)
    kept = made.read_table("boxes.parquet")
    assert len(made.at("yolo", "labels", "train").children()) == kept.num_rows > 0
    assert len(made.at("yolo", "images", "train").children()) == kept.num_rows
    made_of = {"inspection": inspection, "corpus": corpus, "maps": maps, "boxes": boxes}
    for name, directory in made_of.items():
        record = workspace.at(name, directory).read("stage.json").decode()
        assert in_swift["AWS_SECRET_ACCESS_KEY"] not in record

    again = subprocess.run(
        [*AGSSP, "boxes", config.name, "--json"],
        cwd=tmp_path,
        env=environment(in_swift),
        capture_output=True,
        text=True,
        check=True,
    )
    assert last_json(again.stdout)["reused"]
    assert "Ray: starting" not in again.stderr


def submit(cluster: str, folder: Path, *words: str, code: int) -> tuple[dict[str, Any], str]:
    done = subprocess.run(
        [*AGSSP, "submit", "--json", "--address", cluster, *words],
        cwd=folder,
        env=environment(SECRETS),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return last_json(done.stdout), done.stderr


@pytest.mark.slow
def test_code_and_config_travel_and_the_exit_code_comes_back(cluster: str, tmp_path: Path) -> None:
    (tmp_path / "my project.yaml").write_text(f"workspace: {tmp_path}/ws\nfinetune: {{limt: 3}}\n")
    hostile = ["$(touch pwned)", "; touch pwned", "`touch pwned`", "'\"\n|"]
    result, log = submit(cluster, tmp_path, "recipes", *hostile, code=2)
    assert result["status"] == "FAILED"
    assert "unexpected extra argument" in log.lower()
    assert not list(tmp_path.rglob("pwned"))
    result, log = submit(cluster, tmp_path, "recipes", code=0)
    assert "magnetic-tile" in log
    assert result["status"] == "SUCCEEDED"
    # The fault in the config is told here, before a job is made of it.
    result, log = submit(cluster, tmp_path, "maps", "my project.yaml", code=2)
    assert 'did you mean "limit"' in result["error"]
    listed = subprocess.run(
        [*AGSSP, "jobs", "list", "--json", "--address", cluster],
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
    )
    jobs = last_json(listed.stdout)["jobs"]
    assert [(job["status"], job["exit_code"]) for job in jobs] == [("SUCCEEDED", 0), ("FAILED", 2)]
    for told in (listed.stdout, jobs_as_ray_tells(cluster)):
        assert "recipes" in told
        assert all(secret not in told for secret in ("of-the-node", *SECRETS.values()))


@pytest.mark.slow
def test_a_job_is_stopped_and_its_log_read(cluster: str, tmp_path: Path) -> None:
    config = tmp_path / "p.yaml"
    config.write_text(f"workspace: {tmp_path}/ws\ngenerate: {{images_per_category: 500, size: 512}}\n")
    result, _ = submit(cluster, tmp_path, "--no-wait", "maps", "p.yaml", code=0)

    def jobs(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*AGSSP, "jobs", *words, "--address", cluster],
            env=environment({}),
            capture_output=True,
            text=True,
            check=False,
        )

    deadline = time.monotonic() + 120
    while "surfaces: started" not in jobs("logs", result["id"]).stdout:
        assert time.monotonic() < deadline
        time.sleep(1)  # each look is a process that the job has to wait for
    stopped = last_json(jobs("stop", result["id"], "--json").stdout)
    assert (stopped["stopped"], stopped["status"]) == (True, "STOPPED")
    assert last_json(jobs("show", result["id"], "--json").stdout)["exit_code"] == 130
    lost = jobs("show", result["id"][:-1])
    assert lost.returncode == 2
    assert f'did you mean "{result["id"]}"' in lost.stderr
