"""One Ray Data job: a Parquet listing mapped to Parquet rows, resumable row by row, with progress."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.row_counter import RowCounter
from cluster.storage import Storage

STALL_SECONDS = 900.0  # no row in this time: Ray waits for resources it will not get, and says nothing
ROWS_PER_FILE = 64  # a file is a block, and a block is what a checkpoint saves


class StalledJobError(RuntimeError):
    """A job that made no progress for `STALL_SECONDS`."""


@dataclass(frozen=True)
class Step:
    """One mapping of batches.

    Attributes:
        function: a function of a `pyarrow.Table`, or a class whose instances are (loaded once per actor).
        arguments: of the function's call, or of the class's constructor.
        actors: size of the fixed pool of actors for a class; None for tasks.
        cpus: logical CPUs each holds.
        gpus: GPUs each holds; a fraction shares one.
        batch_size: rows a call gets at most.
    """

    function: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    actors: int | None = None
    cpus: float = 0.5
    gpus: float = 0.0
    batch_size: int = 32


def write_listing(listing: Storage, rows: pa.Table) -> None:
    """Write the table that a job reads, in files small enough for its checkpoints; complete or absent."""
    if listing.exists("complete"):
        return
    files = max(1, -(-rows.num_rows // ROWS_PER_FILE))
    for number, start in enumerate(np.linspace(0, rows.num_rows, files, endpoint=False).astype(int)):
        stop = int((number + 1) * rows.num_rows / files)
        listing.write_table(f"rows/part-{number:06d}.parquet", rows.slice(int(start), stop - int(start)))
    listing.write("complete", b"")


def run_table_job(
    title: str, *, listing: Storage, target: Storage, steps: Sequence[Step], id_column: str, total: int
) -> None:
    """Read the listing, apply the steps, write Parquet into `target`; a killed job goes on where it was.

    Finished ids are kept in Ray Data's job checkpoint beside the listing and are not computed again. Each
    step's function gets `counter` as a keyword if its arguments name it None.

    Args:
        title: shown beside the progress.
        listing: from `write_listing`.
        target: directory of the result's Parquet files.
        steps: applied in order.
        id_column: unique per row, kept by every step.
        total: rows expected.

    Raises:
        StalledJobError: nothing happened for `STALL_SECONDS`.
        Exception: what a step raised.
    """
    import ray.data
    from ray.data.checkpoint import CheckpointConfig

    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.execution_options.verbose_progress = False
    # The newer reader packs small files into blocks of 128 MiB, whatever `override_num_blocks` says.
    context.use_datasource_v2 = False
    context.checkpoint_config = CheckpointConfig(
        id_column=id_column,
        checkpoint_path=listing.at("checkpoint").path,
        override_filesystem=listing.filesystem,
        delete_checkpoint_on_success=False,
    )
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    failure: list[BaseException] = []

    def job(counter: RowCounter) -> None:
        try:
            ray.data.DataContext._set_current(context)
            files = len(listing.at("rows").children())
            data = ray.data.read_parquet(
                listing.at("rows").path, filesystem=listing.filesystem, override_num_blocks=files
            )
            for step in steps:
                keywords = {k: counter.sender() if k == "counter" else v for k, v in step.arguments.items()}
                built = isinstance(step.function, type)
                data = data.map_batches(
                    step.function,
                    batch_format="pyarrow",
                    batch_size=step.batch_size,
                    num_cpus=step.cpus,
                    num_gpus=step.gpus or None,
                    compute=ray.data.ActorPoolStrategy(size=step.actors) if step.actors else None,
                    fn_kwargs=None if built else keywords,
                    fn_constructor_kwargs=keywords if built else None,
                )
            data.write_parquet(target.path, filesystem=target.filesystem)
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread below
            failure.append(error)

    with RowCounter(title, total) as counter:
        thread = threading.Thread(target=job, args=(counter,), daemon=True)
        thread.start()
        seen, changed = -1, time.monotonic()
        while thread.is_alive():
            thread.join(0.2)
            done = counter.done
            if done != seen:
                seen, changed = done, time.monotonic()
            elif time.monotonic() - changed > STALL_SECONDS:
                raise StalledJobError(
                    f"{title}: no row in {STALL_SECONDS / 60:.0f} minutes; Ray seems to wait for CPUs or "
                    "GPUs it does not have: lower the actors or their resources, or add nodes, and run again."
                )
    if failure:
        raise failure[0]
