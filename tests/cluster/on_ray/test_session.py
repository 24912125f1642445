"""Which cluster a process belongs to."""

import os
import subprocess
import sys

from cluster.on_ray.session import GCS_OPTION, JOB_CONFIG, job_cluster
from tests.repository import ROOT

# A raylet's child is Ray's supervisor of the job, whose child is the job's shell.
CHILD = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1].split('|')).returncode)"
SUPERVISOR = (
    "import subprocess, sys; sys.exit(subprocess.run(['sh', '-c', sys.argv[1] + '; true']).returncode)"
)


def told(raylet: list[str], **environment: str) -> str:
    """What a job's process says below a process with a raylet's options."""
    job = f"{sys.executable} -c 'from cluster.on_ray.session import job_cluster; print(job_cluster())'"
    supervisor = "|".join([sys.executable, "-c", SUPERVISOR, job])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, supervisor, *raylet],
        cwd=ROOT,
        env={**os.environ, "RAY_ADDRESS": "10.0.0.1:1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_job_belongs_to_the_cluster_of_its_raylet_whatever_the_environment_says() -> None:
    raylet = ["--node_ip_address=10.0.0.2", f"{GCS_OPTION}10.0.0.2:6379", "--session-name=s"]
    assert told(raylet, **{JOB_CONFIG: "{}"}) == "10.0.0.2:6379"


def test_without_a_raylet_above_nothing_is_known() -> None:
    assert told([], **{JOB_CONFIG: "{}"}) == "None"


def test_a_process_that_is_no_job_belongs_to_none() -> None:
    assert JOB_CONFIG not in os.environ
    assert told([f"{GCS_OPTION}10.0.0.2:6379"]) == "None"
    assert job_cluster() is None
