"""The steps of a table job, and the listing that they are applied to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.storage import Storage

ROWS_PER_FILE = 64  # a file is a block, and a block is what a checkpoint saves


@dataclass(frozen=True)
class Step:
    """One mapping of batches.

    Attributes:
        function: a function of a `pyarrow.Table`, or a class of such callables (loaded once per actor).
        arguments: keyword arguments of the function's call, or of the class's constructor.
        actors: actors of a class' pool, or (least, most) of one that grows with the work; None for tasks.
        tasks: most tasks of a function at once; None: as many as there are CPUs for.
        cpus: logical CPUs of each task or actor.
        gpus: GPUs of each task or actor; a fraction shares one.
        batch_size: most rows in a call.
        counted: whether call or constructor takes a keyword `counter`, a `Sender` that counts finished rows.
    """

    function: Callable[..., Any]
    arguments: dict[str, Any] = field(default_factory=dict)
    actors: int | tuple[int, int] | None = None
    tasks: int | None = None
    cpus: float = 0.5
    gpus: float = 0.0
    batch_size: int = 32
    counted: bool = False


def write_listing(listing: Storage, rows: pa.Table) -> Storage:
    """Write the table that a job reads, in files small enough for its checkpoints; complete or absent.

    Returns:
        The directory of its files.
    """
    if listing.exists("complete"):
        return listing.at("rows")
    files = max(1, -(-rows.num_rows // ROWS_PER_FILE))
    for number, start in enumerate(np.linspace(0, rows.num_rows, files, endpoint=False).astype(int)):
        stop = int((number + 1) * rows.num_rows / files)
        listing.write_table(f"rows/part-{number:06d}.parquet", rows.slice(int(start), stop - int(start)))
    listing.write("complete", b"")
    return listing.at("rows")
