"""Which cluster a process belongs to, and whose session is whose."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace

import pytest
import ray

from cluster.errors import UserError
from cluster.on_ray.section import RaySection
from cluster.on_ray.session import (
    GCS_OPTION,
    JOB_CONFIG,
    NICENESS,
    job_cluster,
    ray_session,
    stall_seconds,
    start_ray,
)
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


def test_each_thread_goes_by_its_own_config() -> None:
    both = Barrier(2)

    def patience(minutes: float) -> tuple[float, float]:
        with ray_session(RaySection(stall_minutes=minutes)):
            both.wait(30)
            outer = stall_seconds()
            with ray_session(RaySection(stall_minutes=minutes + 1)):
                both.wait(30)
                inner = stall_seconds()
            assert stall_seconds() == outer
        return outer, inner

    with ray_session(RaySection(stall_minutes=7)), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(patience, (1, 5))) == [(60, 120), (300, 360)]
        assert stall_seconds() == 420
    assert stall_seconds() == RaySection().stall_minutes * 60


def test_ray_ends_with_the_last_session_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[str] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: bool(running))
    monkeypatch.setattr(ray, "init", lambda **options: running.append(options["address"]))
    monkeypatch.setattr(ray, "shutdown", running.clear)
    first_has_left, second_is_in = Barrier(2), Barrier(2)

    def first() -> None:
        with ray_session(RaySection(address="one:1")):
            start_ray()
            second_is_in.wait(30)
        first_has_left.wait(30)

    def second() -> list[str]:
        with ray_session(RaySection(address="two:2")):
            second_is_in.wait(30)
            start_ray()
            first_has_left.wait(30)
            return list(running)

    with ThreadPoolExecutor(2) as pool:
        leaving, staying = pool.submit(first), pool.submit(second)
        leaving.result()
        assert staying.result() == ["one:1"]
    assert running == []


def test_a_machine_too_busy_for_ray_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_node(*options: object) -> None:
        raise RuntimeError("no node yet")

    ticks = iter(range(0, 10_000, 40))  # each look at the clock is past the half minute that Ray waits
    clock = SimpleNamespace(monotonic=lambda: next(ticks), sleep=lambda seconds: None, time=time.time)
    monkeypatch.setattr(ray._private.node, "time", clock)
    monkeypatch.setattr(ray._private.node.Node, "start_head_processes", lambda node: None)
    monkeypatch.setattr(ray._private.node.Node, "start_ray_processes", lambda node: None)
    monkeypatch.setattr(ray._private.node.Node, "gcs_address", "127.0.0.1:1")
    monkeypatch.setattr(ray._private.services, "get_node", no_node)
    with ray_session(RaySection()), pytest.raises(UserError, match=r"did not start.*ray\.address=auto"):
        start_ray()


@pytest.mark.ray
@pytest.mark.parametrize(("own", "niceness"), [(None, 0), ("7", 7)])
def test_workers_of_a_session_started_here_do_not_stand_back_unless_the_user_says_so(
    own: str | None, niceness: int
) -> None:
    code = (
        "import os, psutil, ray\n"
        "from cluster.on_ray.section import RaySection\n"
        "from cluster.on_ray.session import ray_session, start_ray\n"
        "with ray_session(RaySection(cpus=2, gpus=0, object_store_gb=0.1)):\n"
        "    start_ray()\n"
        f"    assert os.environ.get('{NICENESS}') == {own!r}\n"
        "    print(ray.get(ray.remote(lambda: os.nice(0)).remote()))\n"
        "    words = [' '.join(one.cmdline()) for one in psutil.Process().children(recursive=True)]\n"
        "    assert words and not [line for line in words if 'log_monitor' in line], words\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != NICENESS}
    environment |= {NICENESS: own} if own else {}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == str(min(19, os.nice(0) + niceness)), done.stderr[-2000:]


@pytest.mark.ray
def test_a_stopped_job_ends_without_a_stack_in_its_log() -> None:
    code = (
        "import os, signal, time\n"
        "from cluster.on_ray.section import RaySection\n"
        "from cluster.on_ray.session import ray_session, start_ray\n"
        "with ray_session(RaySection(cpus=2, gpus=0, object_store_gb=0.1)):\n"
        "    start_ray()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == -signal.SIGTERM
    assert "SIGTERM" not in done.stderr
    assert "PC: @" not in done.stderr
