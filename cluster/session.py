"""A Ray session for as long as a command needs one."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from cluster.config import Section
from cluster.errors import UserError
from cluster.privacy import QUIET_ENVIRONMENT
from cluster.progress import say


class RaySection(Section):
    """Where Ray runs.

    Attributes:
        address: of a running cluster (`auto`, `host:port`, `ray://…`); None starts a local one that ends with
            the command.
        cpus: logical CPUs of the local one; None takes the machine's, two at least.
        gpus: GPUs of the local one; None takes what Ray finds.
        object_store_gb: memory of the local object store.
        stall_minutes: a data job without one finished row for so long ends in an error.
    """

    address: str | None = None
    cpus: int | None = Field(default=None, ge=1, le=4096)
    gpus: int | None = Field(default=None, ge=0, le=64)
    object_store_gb: float = Field(default=1.0, gt=0.07, le=1024)
    stall_minutes: float = Field(default=15.0, gt=0, le=10_080)


def machine_cpus() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Session:
    """The session that the running command was configured with; Ray has one per process as well."""

    section: RaySection | None = None
    ours = False


@contextmanager
def ray_session(section: RaySection) -> Iterator[None]:
    """Within the block, `start_ray` goes by `section`; a session it started ends with the block."""
    before, _Session.section = _Session.section, section
    try:
        yield
    finally:
        _Session.section = before
        if _Session.ours and before is None:
            import ray

            _Session.ours = False
            ray.shutdown()


def stall_seconds() -> float:
    """How long a data job may go without a finished row, by the running command's config."""
    return (_Session.section or RaySection()).stall_minutes * 60


def start_ray() -> None:
    """Start or join Ray, unless this process has it already; a skipped stage never pays for it.

    Raises:
        UserError: the configured cluster can't be reached.
    """
    import ray

    if ray.is_initialized():
        return
    section = _Session.section or RaySection()
    _Session.ours = True
    quiet: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "runtime_env": {"env_vars": QUIET_ENVIRONMENT},
    }
    if section.address is not None:
        try:
            ray.init(address=section.address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"No Ray cluster answers at ray.address={section.address}: {reason}.") from None
        return
    say("Ray: starting a local session (5-15 s)")
    ray.init(
        address="local",  # never a cluster that somebody happens to run on this machine
        num_cpus=section.cpus or max(2, machine_cpus()),  # one for an actor, one for Ray Data's tasks
        num_gpus=section.gpus,
        object_store_memory=int(section.object_store_gb * 2**30),
        include_dashboard=False,
        **quiet,
    )
