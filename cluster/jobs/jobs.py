"""Ray jobs of a cluster: submitted, listed, followed, stopped."""

import asyncio
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cluster.errors import UserError, nearest

if TYPE_CHECKING:  # Ray takes seconds to import
    from ray.job_submission import JobDetails, JobSubmissionClient

ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")  # as Ray's own command reads them
LOCAL_DASHBOARD = "http://127.0.0.1:8265"
TOKEN_FILE = Path("~/.ray/auth_token")
POLL_SECONDS = 1.0
RETRIES = 30  # s that a head may be away while a job is followed
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
STOPPED_EXIT_CODE = 130


def named_address(address: str | None) -> str | None:
    """A jobs server's URL from an option, else from the environment; None when there is neither.

    Raises:
        UserError: not the address of a jobs server.
    """
    text = address or next((os.environ[name] for name in ADDRESS_VARIABLES if os.environ.get(name)), None)
    if text is None or text == "auto":
        return LOCAL_DASHBOARD if text else None
    if re.fullmatch(r"https?://[^\s/@]+(/[^\s@]*)?", text):
        return text.rstrip("/")
    if re.fullmatch(r"[^\s/@:]+:\d{1,5}", text):
        return f"http://{text}"
    raise UserError(
        f'"{text}" is not the address of a Ray jobs server; give http://HOST:8265, the dashboard of the head.'
    )


def connect(address: str) -> "JobSubmissionClient":
    """A client of the jobs server; it sends the token of this machine, where there is one.

    Raises:
        UserError: nothing answers, or the token is wrong.
    """
    from ray._private.authentication.authentication_token_setup import (
        maybe_enable_token_auth_if_token_available,
    )
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for name in ("dashboard_sdk", "job.sdk"):  # they tell of every upload and socket
        logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    # As Ray's own command does; a variable set here comes too late once Ray is imported.
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    try:
        return JobSubmissionClient(address)
    except AuthenticationError:
        raise UserError(
            f"The Ray cluster at {address} wants another token; put its own into RAY_AUTH_TOKEN or "
            f"{TOKEN_FILE}."
        ) from None
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        more = _ended_here(address)
        raise UserError(
            f"No Ray jobs server answers at {address}: {reason[:200]}; {more}correct --address or start it."
        ) from None


def _ended_here(address: str) -> str:
    """What to know of a local cluster that has ended, where one was on this machine; else empty."""
    logs = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "session_latest", "logs")
    if (urlsplit(address).hostname or "") not in ("127.0.0.1", "localhost", "::1") or not logs.is_dir():
        return ""
    return (
        "a cluster that agssp submit starts here ends with its command, and its jobs are listed no "
        f"more: logs of the last one are in {logs}, in job-driver-JOB.log; else "
    )


AGENT_SECONDS = 120  # a head that has just started answers before its agent can take a job


@dataclass(frozen=True)
class Resources:
    """What the job's own process (not its workers) reserves; None leaves it to Ray.

    Attributes:
        cpus, gpus: logical CPUs and GPUs.
        memory_gb: memory in GiB.
        custom: amounts of custom resources by name.
    """

    cpus: float | None = None
    gpus: float | None = None
    memory_gb: float | None = None
    custom: Mapping[str, float] | None = None


def submit(
    client: "JobSubmissionClient", line: str, runtime_env: Mapping[str, Any], needs: Resources, name: str
) -> str:
    """Start a job; its id.

    Raises:
        UserError: the cluster refuses it.
    """
    label = re.sub(r"[^A-Za-z0-9-]+", "-", name)[:40].strip("-") or "job"
    deadline = time.monotonic() + AGENT_SECONDS
    while True:
        try:
            return client.submit_job(
                entrypoint=line,
                submission_id=f"agssp-{label}-{secrets.token_hex(4)}",
                runtime_env=dict(runtime_env),
                entrypoint_num_cpus=needs.cpus,
                entrypoint_num_gpus=needs.gpus,
                entrypoint_memory=int(needs.memory_gb * 2**30) if needs.memory_gb else None,
                entrypoint_resources=dict(needs.custom) if needs.custom else None,
            )
        except (RuntimeError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            if "No available agent" not in reason or time.monotonic() > deadline:
                raise UserError(f"The cluster refuses the job: {reason[:300]}") from None
        time.sleep(1)


def all_jobs(client: "JobSubmissionClient") -> list["JobDetails"]:
    """Submitted jobs, the newest first."""
    submitted = [job for job in client.list_jobs() if job.submission_id]
    return sorted(submitted, key=lambda job: job.start_time or 0, reverse=True)


def find_job(client: "JobSubmissionClient", job_id: str | None) -> "JobDetails":
    """A job by id; without one the newest that runs, else the newest.

    Raises:
        UserError: there is none.
    """
    submitted = all_jobs(client)
    if job_id is None:
        running = [job for job in submitted if str(job.status) not in ENDED]
        if not submitted:
            raise UserError("No job was submitted to this cluster yet; agssp submit COMMAND starts one.")
        return (running or submitted)[0]
    by_id = {str(job.submission_id): job for job in submitted}
    if job_id not in by_id:
        hint = nearest(job_id, by_id) if by_id else "none was submitted yet."
        raise UserError(f'There is no job "{job_id[:100]}" on this cluster; {hint}')
    return by_id[job_id]


def follow(client: "JobSubmissionClient", job_id: str) -> Iterator[str]:
    """A job's log from its beginning, as it grows, until the job ends; survives a head that is away a while.

    Raises:
        UserError: the head stayed away.
    """
    sent, failures = 0, 0
    while True:
        skip = sent
        try:
            for piece in _tail(client, job_id):
                fresh, skip = piece[skip:], max(0, skip - len(piece))
                if fresh:
                    sent, failures = sent + len(fresh), 0
                    yield fresh
            if str(client.get_job_status(job_id)) in ENDED:
                return
        except (RuntimeError, OSError) as error:  # aiohttp's and requests' errors are OSErrors
            failures += 1
            if failures > RETRIES:
                raise UserError(
                    f"The cluster stopped answering ({type(error).__name__}); the job may go on: agssp jobs "
                    f"show {job_id} tells."
                ) from None
        time.sleep(POLL_SECONDS)


def _tail(client: "JobSubmissionClient", job_id: str) -> Iterator[str]:
    """`tail_job_logs` without its event loop."""
    loop = asyncio.new_event_loop()
    pieces = client.tail_job_logs(job_id)
    try:
        while True:
            try:
                yield loop.run_until_complete(anext(pieces))
            except StopAsyncIteration:
                return
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def exit_code(job: "JobDetails") -> int:
    """What the job's command exited with; 130 when it was stopped, 1 when Ray never ran it to its end."""
    status = str(job.status)
    if status == "STOPPED":
        return STOPPED_EXIT_CODE
    if job.driver_exit_code is not None:
        return int(job.driver_exit_code)
    return 0 if status == "SUCCEEDED" else 1


def job_json(job: "JobDetails") -> dict[str, Any]:
    """A job as commands report it; of its environment the names alone."""
    runtime_env = job.runtime_env or {}
    return {
        "id": job.submission_id,
        "status": str(job.status),
        "command": job.entrypoint,
        "message": job.message,
        "exit_code": exit_code(job) if str(job.status) in ENDED else None,
        "started": _seconds(job.start_time),
        "ended": _seconds(job.end_time),
        "node": job.driver_node_id,
        "environment": sorted(runtime_env.get("env_vars") or {}),
        "packages": len((runtime_env.get("uv") or {}).get("packages") or []),
    }


def _seconds(milliseconds: int | None) -> float | None:
    return milliseconds / 1000 if milliseconds else None


@contextmanager
def local_cluster() -> Iterator[str]:
    """A cluster of this machine alone for the block; the URL of its jobs server."""
    import ray

    from cluster.on_ray import start_ray

    url = start_ray(dashboard=True)
    if url is None:
        raise UserError("This process is in a Ray cluster already; give its --address.")
    try:
        yield f"http://{url}"
    finally:
        ray.shutdown()
