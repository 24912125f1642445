"""What this machine, the workspace, the tracking server and Ray can do, checked one by one."""

import os
import re
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from cluster.cli.projects import Ground
from cluster.cpu_products import bf16_products
from cluster.errors import UserError
from cluster.on_ray import RaySection, machine_cpus, ray_session, start_ray
from cluster.privacy import TELEMETRY_OFF
from cluster.stages import RECORD
from cluster.storage import Storage, masked
from cluster.tracking import Tracker, client_of, server_version

GIB = 2**30
LEAST_MEMORY_GIB, LEAST_DISK_GIB = 2.0, 2.0  # below: a demo run doesn't fit
BUSY = 0.75  # share of the cores that others use; above, a run gets less than it would alone
STAGE_DIRECTORY = re.compile(r"[0-9a-f]{16}")

Probe = tuple[str, bool, str]  # what, whether it is all right, one sentence


@dataclass(frozen=True)
class Check:
    """One finding; `remedy` says what to do where it isn't ok."""

    what: str
    ok: bool
    detail: str
    remedy: str = ""


def doctor(ground: Ground, weights: Iterable[Probe] = ()) -> Mapping[str, Any]:
    """Check everything a run needs; changes nothing but a probe file in an existing workspace.

    Args:
        ground: the project's config.
        weights: findings on weights, made by the caller.

    Returns:
        `ok`, whether nothing is broken, and `rows` of `what`, `ok`, `detail`, `remedy`.
    """
    checks: list[tuple[str, Callable[[], list[Check]]]] = [
        ("machine", machine),
        ("workspace", lambda: workspace(ground.workspace)),
        ("tracking", lambda: tracking(ground)),
        ("Ray", lambda: ray_cluster(ground.ray, ground.tracking.timeout_s)),
    ]
    rows: list[Check] = []
    for what, check in checks:
        try:
            rows += check()
        except UserError as error:
            rows.append(Check(what, False, *_split(str(error))))
    rows += [
        Check(f"weights {name}", ok, *(_split(text) if not ok else (text,))) for name, ok, text in weights
    ]
    rows.append(telemetry())
    return {"ok": all(row.ok for row in rows), "rows": [asdict(row) for row in rows]}


def _split(sentence: str) -> tuple[str, str]:
    """A UserError's `fault; remedy` in its two halves."""
    fault, _, remedy = sentence.partition("; ")
    return fault, remedy


def machine() -> list[Check]:
    """CPUs, memory, GPUs and bf16."""
    import torch

    memory = _free_memory_gib()
    rows = [
        Check("CPUs", True, f"{machine_cpus()} for this process"),
        load(),
        Check(
            "memory",
            memory >= LEAST_MEMORY_GIB,
            f"{memory:.1f} GiB free",
            "" if memory >= LEAST_MEMORY_GIB else f"free {LEAST_MEMORY_GIB:g} GiB: close other programs.",
        ),
    ]
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    driver = Path("/proc/driver/nvidia/version").exists()
    if driver and not names:
        rows.append(
            Check(
                "GPUs",
                False,
                f"an NVIDIA driver is here, but torch {torch.__version__} sees no GPU",
                "install the CUDA build of torch that fits the driver.",
            )
        )
    else:
        rows.append(Check("GPUs", True, ", ".join(names) or "none; everything runs on the CPU"))
    sets = ", ".join(bf16_products())
    native = f"native ({sets}): precision=bf16 speeds up trainings, predictions and large encoders' maps"
    rows.append(Check("bf16 on CPU", True, native if sets else "emulated; float32 is as fast or faster"))
    return rows


def load() -> Check:
    """How many programs want this machine's cores, and how many cores are left; a busy one is only slow."""
    wanted, cores = os.getloadavg()[0], os.cpu_count() or 1
    free = max(0, min(machine_cpus(), int(cores - wanted + 0.5)))
    busy = f"{wanted:.1f} of {cores} cores were in use in the last minute, about {free} free"
    if wanted < cores * BUSY:
        return Check("load", True, busy)
    return Check("load", True, f"{busy}: this machine is busy, so expect runs to be slow until others end")


def _free_memory_gib() -> float:
    """Memory this process may still take: the machine's, or what its container has left if that is less."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        available = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text())
        free = int(available.group(1)) / 2**20 if available else 0.0
    else:
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and (text := limit.read_text().strip()).isdecimal():
        free = min(free, (int(text) - int(used.read_text())) / GIB)
    return free


def workspace(uri: str) -> list[Check]:
    """Whether it can be written, its free disk, and its stages."""
    storage = Storage.open(uri)
    if storage.is_local and not storage.exists():
        above = next(parent for parent in Path(storage.path).parents if parent.exists())
        usable = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
        remedy = "" if usable else "choose another with workspace=DIR."
        detail = f"{storage.uri} is not there yet; " + (
            "a run makes it" if usable else f"{above} can't be written"
        )
        rows = [Check("workspace", usable, detail, remedy)]
    else:
        above = Path(storage.path)
        storage.create()
        rows = [
            Check("workspace", True, f"{storage.uri} can be written"),
            Check("stages", True, _stages(storage)),
        ]
    if storage.is_local:
        free = shutil.disk_usage(above).free / GIB
        enough = free >= LEAST_DISK_GIB
        remedy = "" if enough else f"free {LEAST_DISK_GIB:g} GiB or choose another disk with workspace=DIR."
        rows.append(Check("disk", enough, f"{free:.1f} GiB free", remedy))
    return rows


def _stages(storage: Storage) -> str:
    """`corpus 1 complete, maps 1 complete and 1 incomplete`."""
    counts = []
    entries = storage.filesystem.get_file_info(pafs.FileSelector(storage.path))
    for stage in sorted(entry.base_name for entry in entries if entry.type == pafs.FileType.Directory):
        folders = [name for name in storage.at(stage).children() if STAGE_DIRECTORY.fullmatch(name)]
        done = sum(storage.at(stage, name).exists(RECORD) for name in folders)
        halves = [f"{done} complete"] * bool(done) + [f"{len(folders) - done} incomplete"] * (
            done < len(folders)
        )
        if folders:
            counts.append(f"{stage} {' and '.join(halves)}")
    return ", ".join(counts) or "none yet"


def tracking(ground: Ground) -> list[Check]:
    """Whether runs can be recorded, by which MLflow, and which experiments there are."""
    tracker = Tracker.open(ground.tracking, Storage.open(ground.workspace))
    place = masked(tracker.uri)
    if tracker.is_empty:
        return [
            Check("tracking", True, f"{place}, made by the first stage (MLflow {metadata.version('mlflow')})")
        ]
    version = server_version(tracker.uri, ground.tracking.timeout_s) or metadata.version("mlflow")
    names = sorted(experiment.name for experiment in client_of(tracker.uri).search_experiments())
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return [Check("tracking", True, f"{place} (MLflow {version}), experiments: {listed or 'none yet'}")]


def ray_cluster(section: RaySection, timeout_s: float) -> list[Check]:
    """Ray's version and, where an address is configured, the cluster that answers there."""
    version = metadata.version("ray")
    if section.address is None:
        return [Check("Ray", True, f"{version}; a local session is started when a stage needs one")]
    host, colon, port = section.address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        try:  # Ray itself would try for a minute
            socket.create_connection((host.strip("[]"), int(port)), timeout_s).close()
        except OSError as error:
            reason = error.strerror or str(error) or "no answer in time"
            detail = f"no Ray cluster answers at ray.address={section.address} ({reason})"
            return [
                Check("Ray", False, detail, "start it, correct ray.address, or leave it out to run locally.")
            ]
    with ray_session(section):
        start_ray()
        import ray

        total: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus, gpus = total.get("CPU", 0), total.get("GPU", 0)
    return [Check("Ray", True, f"{version}; {section.address} has {cpus:g} CPUs and {gpus:g} GPUs")]


def telemetry() -> Check:
    """Whether every dependency's telemetry is off."""
    changed: Sequence[str] = [
        f"{name}={os.environ.get(name)}"
        for name, quiet in TELEMETRY_OFF.items()
        if os.environ.get(name) != quiet
    ]
    return Check("telemetry", True, f"off, except as you set: {', '.join(changed)}" if changed else "off")
