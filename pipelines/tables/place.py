"""Where a job runs: on Ray, or, where it is small and no cluster is named, in the command's own process.

Ray takes ten seconds and more to start and to load its workers, longer than a few hundred images take. The
steps, the rows and their files are the same in both.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import pyarrow as pa

from cluster.on_ray import machine_cpus, small_here, start_ray
from cluster.storage import Storage
from pipelines.tables.threads import threads_kept

BEGUN_HERE = "here"  # beside the listing: a job goes on as it began, so that no row is done twice


class Shared(Protocol):
    """A value that is kept once and read by whoever runs a step."""

    def get(self) -> Any:
        """The value."""


class Place(Protocol):
    """What a stage needs of the place of its job."""

    @property
    def here(self) -> bool:
        """Whether the job runs in this process."""

    @property
    def nodes(self) -> int:
        """Machines."""

    def resources(self) -> Mapping[str, float]:
        """CPUs and GPUs, as Ray counts them."""

    def share(self, value: Any) -> Shared:
        """Keep a value for all workers."""

    def run(
        self, function: Callable[..., Sequence[Any]], *arguments: Any, results: int, cpus: float, gpus: float
    ) -> list[Shared]:
        """Results of a function that needs so much of a machine; each is kept for all workers."""

    def read_columns(self, source: Storage, columns: Sequence[str]) -> pa.Table:
        """Some columns of a directory of Parquet files; small enough for one machine."""


def job_place(
    work: Storage, target: Storage, rows: int, *, actors: int | tuple[int, int] | None = 1
) -> Place:
    """Where a job of so many rows runs; starts Ray if that is there.

    Args:
        work: directory of the job's own files.
        target: directory of the job's result; a job that began on Ray goes on there.
        rows: rows of the listing.
        actors: actors that the config asks for; more than one need Ray.
    """
    begun = work.exists(BEGUN_HERE)
    if begun or (actors in (None, 1) and small_here(rows) and not target.children()):
        if not begun:
            work.write(BEGUN_HERE, b"")
        return _Here()
    start_ray()
    return _OnRay()


class _Value:
    def __init__(self, value: Any) -> None:
        self._value = value

    def get(self) -> Any:
        return self._value


class _Here:
    here, nodes = True, 1

    def resources(self) -> Mapping[str, float]:
        import torch

        return {"CPU": float(machine_cpus()), "GPU": float(torch.cuda.device_count())}

    def share(self, value: Any) -> Shared:
        return _Value(value)

    def run(
        self, function: Callable[..., Sequence[Any]], *arguments: Any, results: int, cpus: float, gpus: float
    ) -> list[Shared]:
        with threads_kept():
            return [_Value(value) for value in function(*arguments)]

    def read_columns(self, source: Storage, columns: Sequence[str]) -> pa.Table:
        return source.read_table("", columns=list(columns))


class _Reference:
    """An object of Ray's store; as an attribute, or Ray would put the value itself into every task."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    def get(self) -> Any:
        import ray

        return ray.get(self._reference)


class _OnRay:
    here = False

    @property
    def nodes(self) -> int:
        import ray

        return len(ray.nodes())  # type: ignore[no-untyped-call]

    def resources(self) -> Mapping[str, float]:
        import ray

        return cast(Mapping[str, float], ray.cluster_resources())  # type: ignore[no-untyped-call]

    def share(self, value: Any) -> Shared:
        import ray

        return _Reference(ray.put(value))

    def run(
        self, function: Callable[..., Sequence[Any]], *arguments: Any, results: int, cpus: float, gpus: float
    ) -> list[Shared]:
        import ray

        task: Any = ray.remote(num_gpus=gpus, num_cpus=cpus, num_returns=results)(function)
        return [_Reference(reference) for reference in task.remote(*arguments)]

    def read_columns(self, source: Storage, columns: Sequence[str]) -> pa.Table:
        import ray
        import ray.data

        from pipelines.tables.table_job import data_context

        with data_context():
            data = ray.data.read_parquet(source.path, filesystem=source.filesystem, columns=list(columns))
            return pa.concat_tables(ray.get(data.to_arrow_refs())).select(list(columns))
