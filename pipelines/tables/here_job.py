"""A table job in the command's own process, without Ray: the same steps, rows and files, resumable."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cluster.on_ray import record_standing
from cluster.progress import Bar, progress, say
from cluster.stages import digest
from cluster.storage import Storage
from pipelines.tables.steps import ROWS_PER_FILE, Step
from pipelines.tables.threads import threads_kept


class _BarCounter:
    """The steps' end of the progress bar."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def add(self, amount: int) -> None:
        """`amount` more rows are done."""
        self._bar.advance(amount)
        record_standing(self._bar.standing())


def run_here(title: str, *, source: Storage, target: Storage, steps: Sequence[Step], id_column: str) -> None:
    """Read Parquet, apply the steps, write Parquet into `target`; the next call resumes a killed one.

    A file is written whole with the rows of at most `ROWS_PER_FILE` of the listing's, so the ids that
    `target` holds are the checkpoint.

    Args:
        title, source, target, steps, id_column: see `run_table_job`.
    """
    left = _left(source, target, id_column)
    if not left.num_rows:
        return
    say(f"{title}: {left.num_rows} images in this process, without Ray")
    with threads_kept(), progress(title, left.num_rows) as bar:
        counter = _BarCounter(bar)
        calls = [(_call(step, counter), step.batch_size) for step in steps]
        for start in range(0, left.num_rows, ROWS_PER_FILE):
            batches: Iterator[pa.Table] = iter([left.slice(start, ROWS_PER_FILE)])
            for call, batch_size in calls:
                batches = _applied(call, batches, batch_size)
            finished = pa.concat_tables(batches)
            if finished.num_rows:
                target.write_table(f"{digest(finished.column(id_column).to_pylist())}.parquet", finished)


def _left(source: Storage, target: Storage, id_column: str) -> pa.Table:
    """The rows that are not done, in order; of a job that is all but done the others are never held."""
    if not target.children():
        return source.read_table("")
    done = target.read_table("", columns=[id_column]).column(id_column)
    ids = source.read_table("", columns=[id_column]).column(id_column)
    wanted = ids.filter(pc.invert(pc.is_in(ids, value_set=done)))
    if not len(wanted):
        return pa.table({id_column: wanted})
    rows = source.read_table("")
    return rows.filter(pc.is_in(rows.column(id_column), value_set=wanted))


def _call(step: Step, counter: _BarCounter) -> Callable[[pa.Table], pa.Table]:
    """The step as a function of a batch alone; an actor's class is built."""
    keywords: dict[str, Any] = {**step.arguments, "counter": counter} if step.counted else step.arguments
    if isinstance(step.function, type):
        built: Callable[[pa.Table], pa.Table] = step.function(**keywords)
        return built
    return lambda rows: step.function(rows, **keywords)


def _applied(
    call: Callable[[pa.Table], pa.Table], batches: Iterator[pa.Table], batch_size: int
) -> Iterator[pa.Table]:
    for rows in batches:
        for start in range(0, rows.num_rows, batch_size):
            yield call(rows.slice(start, batch_size))
