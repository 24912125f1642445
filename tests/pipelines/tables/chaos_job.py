"""A table job on a cluster of several nodes of this machine, for tests that kill parts of it.

`python -m tests.pipelines.tables.chaos_job FOLDER ACTORS CPUS_OF_HEAD [CPUS_OF_A_NODE]...` writes the
process ids of
what can be killed below FOLDER. While FOLDER/hold exists, tasks of the second half of the rows don't end.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster.storage.storage import Storage
from pipelines.tables import table_job
from pipelines.tables.steps import Step, write_listing
from pipelines.tables.table_job import run_table_job

ROWS, BATCH = 400, 16


class Slow:
    """An actor that doubles `value`, and says who it is."""

    def __init__(self, folder: str, counter: Any) -> None:
        self.counter = counter
        Path(folder, "actors", str(os.getpid())).touch()

    def __call__(self, rows: pa.Table) -> pa.Table:
        time.sleep(0.6)
        self.counter.add(rows.num_rows)
        return rows.set_column(1, "value", pa.array([2 * v for v in rows.column("value").to_pylist()]))


def signed(rows: pa.Table, folder: str) -> pa.Table:
    """A task that says who it is."""
    Path(folder, "tasks", str(os.getpid())).touch()
    time.sleep(0.3)
    while rows.column("value")[0].as_py() >= ROWS // 2 and Path(folder, "hold").exists():
        time.sleep(0.1)
    return rows


def main(folder: Path, actors: int, cpus: list[int]) -> None:
    """Start the nodes, run the job."""
    import ray
    from ray.cluster_utils import Cluster

    for name in ("actors", "tasks", "nodes"):
        (folder / name).mkdir(parents=True)
    options: dict[str, Any] = {"num_gpus": 0, "object_store_memory": 80 << 20}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": cpus[0], "include_dashboard": False, **options}
    )
    for count in cpus[1:]:
        node = cluster.add_node(num_cpus=count, **options)
        for name, processes in node.all_processes.items():
            if name == "raylet":
                (folder / "nodes" / str(processes[0].process.pid)).touch()
    ray.init(address=cluster.address, log_to_driver=False)
    table_job.LOST_NODE_SECONDS = 10.0
    listing, target = Storage.open(str(folder / "listing")), Storage.open(str(folder / "out"))
    ids = [f"{number:04d}" for number in range(ROWS)]
    source = write_listing(listing, pa.table({"image_id": ids, "value": list(range(ROWS))}))
    run_table_job(
        "chaos",
        source=source,
        work=listing,
        target=target,
        steps=[
            Step(signed, {"folder": str(folder)}, batch_size=BATCH),
            Step(Slow, {"folder": str(folder)}, actors=actors, batch_size=BATCH, counted=True),
        ],
        id_column="image_id",
        total=ROWS,
    )
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [int(word) for word in sys.argv[3:]])
