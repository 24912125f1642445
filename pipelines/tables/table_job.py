"""One Ray Data job: a Parquet listing mapped to Parquet rows, resumable row by row, with progress."""

import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.on_ray import Sender, stall_seconds
from cluster.progress import say
from cluster.storage import Storage
from pipelines.tables.here_job import run_here
from pipelines.tables.pools import LISTING_CPUS, room
from pipelines.tables.steps import ROWS_PER_FILE, Step

if TYPE_CHECKING:  # importing Ray takes seconds, which a skipped stage saves
    from ray.data import DataContext, Dataset

LOST_NODE_SECONDS = 60.0  # time without a row after a lost node, until the job starts anew on the others


class StalledJobError(RuntimeError):
    """A job that made no progress for `ray.stall_minutes`: its actors are dead, or never got resources."""


@contextmanager
def data_context() -> Iterator["DataContext"]:
    """A quiet Ray Data context for the block, the former one afterwards; the context is global to Ray."""
    from ray.data import DataContext

    before = DataContext.get_current()
    context = before.copy()
    context.enable_progress_bars = False
    context.execution_options.verbose_progress = False
    # The newer reader packs small files into blocks of 128 MiB, whatever `override_num_blocks` says.
    context.use_datasource_v2 = False
    context.execution_no_progress_timeout_s = -1  # `ray.stall_minutes` alone says when a job is stalled
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    DataContext._set_current(context)
    try:
        yield context
    finally:
        DataContext._set_current(before)


@contextmanager
def unresumable_is_an_error() -> Iterator[None]:
    """Fail where a plan can't be checkpointed; Ray would only warn and go on without checkpoints."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="You've enabled checkpointing, but")
        yield


def run_table_job(
    title: str,
    *,
    source: Storage,
    work: Storage,
    target: Storage,
    steps: Sequence[Step],
    id_column: str,
    total: int,
    block_rows: int = ROWS_PER_FILE,
    here: bool = False,
) -> None:
    """Read Parquet, apply the steps, write Parquet into `target`; a killed job resumes.

    Ray Data's job checkpoint below `work` keeps finished ids, which are not computed again.

    If a node is lost and the others can't hold all actors, Ray waits for ever. Then the job is given up and
    resumes with as many actors as fit.

    Args:
        title: text beside the progress.
        source: directory of Parquet files of about `ROWS_PER_FILE` rows each, e.g. from `write_listing`.
        work: directory for the checkpoint.
        target: directory of the result's Parquet files.
        steps: steps in the order they are applied.
        id_column: column that is unique per row; every step keeps it.
        total: number of rows expected.
        block_rows: approximate rows read, mapped, written and checkpointed together; take more where a row
            takes so little time that Ray's work around a block would outweigh it.
        here: whether this process runs it, without Ray (see `job_place`).

    Raises:
        StalledJobError: no row was finished for `ray.stall_minutes`.
        Exception: error of a step.
    """
    if here:
        run_here(title, source=source, target=target, steps=steps, id_column=id_column)
        return
    from cluster.on_ray import Attempt, RowCounter, alive_nodes

    limit = stall_seconds()
    with RowCounter(title, total) as counter:

        def attempt() -> Attempt:
            blocks = max(1, min(len(source.children()), -(-total // block_rows)))
            return Attempt(
                _write_rows, source, blocks, work, target, tuple(steps), id_column, counter.sender()
            )

        current = attempt()
        try:
            seen, changed = -1, time.monotonic()
            while True:
                ended = current.wait(0.2)
                if ended and not (current.failed and current.lost_nodes()):
                    current.result()
                    return
                done = counter.done
                if done != seen:
                    seen, changed = done, time.monotonic()
                idle = time.monotonic() - changed
                if ended or (idle > LOST_NODE_SECONDS and current.lost_nodes()):
                    lost = current.lost_nodes()
                    current.give_up()
                    steps = [fitting(step, list(alive_nodes().values())) for step in steps]
                    say(f"{title}: {lost} of the cluster's nodes lost; going on with those that are left")
                    current, changed = attempt(), time.monotonic()
                elif idle > limit:
                    raise StalledJobError(
                        f"{title}: no row in {limit / 60:g} minutes; Ray's actors keep dying (too little "
                        "memory?) or wait for CPUs or GPUs it does not have: lower their number or "
                        "resources, add nodes, or raise ray.stall_minutes; run again to go on."
                    )
        finally:  # stalled, interrupted or failed: nothing uses Ray any more when the command ends it
            current.give_up()


def _write_rows(
    source: Storage,
    blocks: int,
    work: Storage,
    target: Storage,
    steps: Sequence[Step],
    id_column: str,
    counter: Sender,
) -> None:
    """The job itself, on one Ray Data execution."""
    import ray.data
    from ray.data.checkpoint import CheckpointConfig

    from pipelines.tables.giving_up import EndsWithAttempt

    with data_context() as context, unresumable_is_an_error():
        context.checkpoint_config = CheckpointConfig(
            id_column=id_column,
            checkpoint_path=work.at("checkpoint").path,
            override_filesystem=work.filesystem,
            delete_checkpoint_on_success=False,
        )
        context.custom_execution_callback_classes = [EndsWithAttempt]
        data = ray.data.read_parquet(
            source.path,
            filesystem=source.filesystem,
            override_num_blocks=blocks,
            num_cpus=LISTING_CPUS,
        )
        for step in steps:
            data = _mapped(data, step, counter)
        data.write_parquet(
            target.path, filesystem=target.filesystem, ray_remote_args={"num_cpus": LISTING_CPUS}
        )


def fitting(step: Step, nodes: Sequence[Mapping[str, float]]) -> Step:
    """The step with no more actors than the nodes have `room` for, but at least one.

    Args:
        step: step with the pool asked for; the pool must not grow again, or nothing could be read any more.
        nodes: resources of each node.
    """
    if step.actors is None:
        return step
    least, most = step.actors if isinstance(step.actors, tuple) else (step.actors, step.actors)
    places = room(step.cpus, nodes)
    if step.gpus:
        places = min(places, sum(int(node.get("GPU", 0.0) / step.gpus + 1e-6) for node in nodes))
    least, most = max(1, min(least, places)), max(1, min(most, places))
    return replace(step, actors=(least, most) if least < most else most)


def _mapped(data: "Dataset", step: Step, counter: Sender) -> "Dataset":
    """The data set with one more step."""
    from ray.data import ActorPoolStrategy, TaskPoolStrategy

    strategy: ActorPoolStrategy | TaskPoolStrategy
    if isinstance(step.actors, tuple):
        least, most = step.actors
        strategy = ActorPoolStrategy(min_size=least, max_size=most)
    else:
        strategy = ActorPoolStrategy(size=step.actors) if step.actors else TaskPoolStrategy(step.tasks)
    keywords = {**step.arguments, "counter": counter} if step.counted else step.arguments
    built = isinstance(step.function, type)
    return data.map_batches(
        step.function,
        batch_format="pyarrow",
        batch_size=step.batch_size,
        num_cpus=step.cpus,
        num_gpus=step.gpus or None,
        compute=strategy,
        fn_kwargs=None if built else keywords,
        fn_constructor_kwargs=keywords if built else None,
    )
