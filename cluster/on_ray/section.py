"""The config of where Ray runs."""

from pydantic import Field

from cluster.config import Section


class RaySection(Section):
    """Where Ray runs.

    Attributes:
        address: the address of a running cluster (`auto`, `host:port`, `ray://…`); None takes `RAY_ADDRESS`,
            which a submitted job has, or starts a local one that ends with the command.
        cpus: logical CPUs of the local one; None takes the machine's, two at least.
        gpus: GPUs of the local one; None takes what Ray finds.
        object_store_gb: memory of the local object store.
        niceness: how far the local one's workers stand back for other programs, from 0 (not at all, as all
            commands do) to 19: on a busy machine Ray's own default of 15 makes a training ten times slower.
            `RAY_worker_niceness` in the environment wins; a cluster that is joined has its own.
        small_job: where no cluster is named and Ray does not run yet, a data job of at most so many images is
            done in the command's own process, which is ready before Ray would be; 0 takes Ray for all.
        stall_minutes: a data job without one finished row for so long ends in an error.
    """

    address: str | None = None
    cpus: int | None = Field(default=None, ge=1, le=4096)
    gpus: int | None = Field(default=None, ge=0, le=64)
    object_store_gb: float = Field(default=1.0, gt=0.07, le=1024)
    niceness: int = Field(default=0, ge=0, le=19)
    small_job: int = Field(default=512, ge=0, le=1_000_000)
    stall_minutes: float = Field(default=15.0, gt=0, le=10_080)
