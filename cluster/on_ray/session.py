"""A Ray session for as long as a command needs one.

The config is of the caller's context, so that two threads of the Python API may have different ones. Ray
itself is one a process: the first that needs it decides how it is started, and the last that leaves ends it.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import psutil

from cluster.errors import UserError
from cluster.on_ray.core_lines import core_lines_sieved
from cluster.on_ray.section import RaySection
from cluster.privacy import QUIET_ENVIRONMENT
from cluster.progress import say

JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray's name; set in the process of a submitted job
GCS_OPTION = "--gcs-address="  # of a raylet, whose child's child a job is
NICENESS = "RAY_worker_niceness"  # Ray's name; its raylet reads it as it starts
# Ray's name. Else it starts a process for each CPU at once, of which a training could use none: its processes
# have an environment of their own.
PRESTART = "RAY_prestart_worker_first_driver"
TOO_SLOW = "timed out during startup"  # of Ray's message, a bare Exception


def machine_cpus() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_section: ContextVar[RaySection | None] = ContextVar("ray_section", default=None)


class _Ray:
    """This process' Ray, under a lock: how many sessions are open, whether one of them started or joined
    it, whether it is this machine's alone, and what ends with it."""

    lock = threading.RLock()
    sessions = 0
    ours = False
    local = False
    ends = ExitStack()


@contextmanager
def ray_session(section: RaySection) -> Iterator[None]:
    """Within the block, `start_ray` goes by `section`; Ray ends with the last block of this process."""
    token = _section.set(section)
    with _Ray.lock:
        _Ray.sessions += 1
    try:
        yield
    finally:
        _section.reset(token)
        with _Ray.lock:
            _Ray.sessions -= 1
            if _Ray.ours and not _Ray.sessions:
                import ray

                _Ray.ours = _Ray.local = False
                ray.shutdown()
                _Ray.ends.close()


def stall_seconds() -> float:
    """How long a data job may go without a finished row, by the running command's config."""
    return (_section.get() or RaySection()).stall_minutes * 60


def small_here(rows: int) -> bool:
    """Whether a job of so many rows is done in this process sooner than Ray would be ready for it.

    Never where a cluster is named, in a submitted job, or where this process has Ray already.
    """
    section = _section.get() or RaySection()
    return not _cluster_named() and not _running() and rows <= section.small_job


def own_machine() -> bool:
    """Whether a training of one process may do without Ray: all is this machine's, and nothing shapes Ray.

    Never where a cluster is named, in a submitted job, or where this process has a Ray that no command of
    ours started, as a worker has. What the config says of the local one's CPUs, GPUs and niceness would
    have no hold on this process, so it needs Ray too.
    """
    section = _section.get() or RaySection()
    shaped = section.cpus is not None or section.gpus is not None or section.niceness > 0
    return not shaped and not _cluster_named() and (_Ray.local or not _running())


def local_session() -> bool:
    """Whether this process has a Ray that a command of ours started on this machine alone."""
    return _Ray.local


def _cluster_named() -> bool:
    section = _section.get() or RaySection()
    return bool(section.address or JOB_CONFIG in os.environ or os.environ.get("RAY_ADDRESS"))


def _running() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def start_ray(*, dashboard: bool = False) -> str | None:
    """Start or join Ray, unless this process has it already; a skipped stage never pays for it.

    In a job that was submitted to a cluster, and wherever `RAY_ADDRESS` is set, that cluster is joined.

    Args:
        dashboard: whether a session that is started gets a dashboard, with its jobs server.

    Returns:
        `host:port` of the dashboard of a session started here.

    Raises:
        UserError: the configured cluster can't be reached, or this machine is too busy to start a session.
    """
    with _Ray.lock:
        return _started(_section.get() or RaySection(), dashboard)


def _started(section: RaySection, dashboard: bool) -> str | None:
    import ray

    if ray.is_initialized():
        return None
    _Ray.ours = True
    _Ray.ends.enter_context(core_lines_sieved())
    with _own_end():
        return _initialised(section, dashboard)


def _initialised(section: RaySection, dashboard: bool) -> str | None:
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    address = section.address or job_cluster() or os.environ.get("RAY_ADDRESS")
    if address:
        if JOB_CONFIG not in os.environ:  # a job's environment came with it, and Ray lets no one add to it
            quiet["runtime_env"] = {"env_vars": QUIET_ENVIRONMENT}
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"No Ray cluster answers at ray.address={address}: {reason}.") from None
        return None
    say("Ray: starting a local session (5-15 s)")
    try:
        with _our_parameters(dashboard), _environment({NICENESS: str(section.niceness), PRESTART: "0"}):
            context = ray.init(
                address="local",  # never a cluster that somebody happens to run on this machine
                num_cpus=section.cpus or max(2, machine_cpus()),  # one for an actor, one for Ray Data's tasks
                num_gpus=section.gpus,
                object_store_memory=int(section.object_store_gb * 2**30),
                include_dashboard=dashboard,
                **quiet,
            )
    except Exception as error:
        if TOO_SLOW not in str(error):
            raise
        raise UserError(
            "Ray did not start on this machine in the half minute that it gives itself; run the command "
            "again when less runs here, or start a head node of Ray once and set ray.address=auto."
        ) from None
    _Ray.local = True
    url = context.dashboard_url if dashboard else None
    return str(url) if url else None


def job_cluster() -> str | None:
    """`host:port` of the cluster that runs this process as a submitted job, by its raylet's command line.

    `RAY_ADDRESS` is a guess of Ray's: where several clusters run on a machine it names any one of them, and
    the job's work would be done there, without the environment and code that came with the job.
    """
    if JOB_CONFIG not in os.environ:
        return None
    for process in psutil.Process().parents():
        try:
            words: list[str] = process.cmdline()
        except psutil.Error:  # ended, or another user's
            continue
        for word in words:
            if word.startswith(GCS_OPTION):
                return word.removeprefix(GCS_OPTION)
    return None


@contextmanager
def _our_parameters(dashboard: bool) -> Iterator[None]:
    """Within the block, `ray.init` starts its agent on any free port, and no process that has nothing to do.

    The agent of a second Ray on a machine finds its fixed port taken and goes without its server, so that the
    jobs server has "no available agent"; `ray start` has an option for it, `ray.init` has none. The log
    monitor, a process of its own, reads all workers' logs for a driver that shows them, which ours does not.
    Without a dashboard its server is started all the same, and waited for, to tell Ray's makers of the use,
    which is switched off; and the autoscaler's monitor looks after nodes that a session of one has not.
    """
    from ray._private import parameter, services

    params, server = parameter.RayParams, services.start_api_server
    given: dict[str, Any] = {"dashboard_agent_listen_port": 0, "include_log_monitor": False}
    ours = partial(params, **given, no_monitor=not dashboard)
    parameter.RayParams = ours  # type: ignore[assignment, misc]
    if not dashboard:
        services.start_api_server = _no_server  # type: ignore[assignment]
    try:
        yield
    finally:
        parameter.RayParams, services.start_api_server = params, server  # type: ignore[misc]


def _no_server(
    include: bool, raises: bool, host: str, gcs_address: str, cluster_id: str, *_: Any, **__: Any
) -> tuple[str, None]:
    """In the place of Ray's start of a dashboard's server; agents would look for one every second."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    client = GcsClient(address=gcs_address, cluster_id=cluster_id)
    client.internal_kv_put(b"dashboard", f"{host}:0".encode(), True, b"dashboard")
    return "", None


@contextmanager
def _own_end() -> Iterator[None]:
    """After the block SIGTERM does what it did before; Ray's own handler dumps its stack into a job's log."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers; Ray leaves them alone too but for the dump
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:  # None: not set from Python
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Within the block, `ray.init` starts a Ray with these variables, or the user's own.

    All its processes inherit them and the quiet ones: an environment of the job's own would make the start of
    each worker wait for Ray's agent.
    """
    missing = {key: value for key, value in (QUIET_ENVIRONMENT | variables).items() if key not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for key in missing:
            del os.environ[key]
