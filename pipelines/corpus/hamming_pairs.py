"""All pairs of 256-bit codes that differ in few bits: every pair is compared, on all CPUs. No Ray here.

An index can't do it exactly at 64 of 256 bits. Split in 16 parts, codes so near need only agree in all but
3 or 4 bits of one part (pigeonhole principle), and of random codes every fifth pair does; to look those up
costs more than to compare all. A comparison takes 4 ns on one CPU: 100,000 codes 10 to 20 seconds on two, a
million 20 to 30 minutes. Reading and decoding a million images takes hours, so one process is enough.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from cluster.on_ray import machine_cpus
from cluster.progress import progress

CODE_WORDS = 4
CODE_BITS = 64 * CODE_WORDS

# Pairs of a task: (first codes) × (second codes), at most 50 MB if all are near. Few first codes, so that
# all second codes have been looked at soon.
TASK = (64, 1 << 15)
# Pairs compared at once, of which a task has a whole number; 0.5 MB, which stays in a CPU's cache.
TILE = (16, 1 << 12)
# Tasks ahead of whoever takes the blocks, and most threads: the same on any machine, as `Joined` decides what
# a task leaves out.
AHEAD = 8

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
Block = tuple[Places, Places, Places]


@dataclass(frozen=True)
class Joined:
    """Pairs that need not be told: those of one group that differ in no fewer bits than an end's `step`.

    Attributes:
        group: (N,) int32.
        step: (N,) uint8.
    """

    group: npt.NDArray[np.int32]
    step: npt.NDArray[np.uint8]


def all_pairs(
    first: Words, second: Words | None, limit: int, joined: Callable[[], Joined | None] = lambda: None
) -> Iterator[Block]:
    """All pairs that differ in at most `limit` bits, in blocks of (place in first, in second, distance).

    Threads compare, a few tasks ahead of whoever takes the blocks, so that memory is bounded.

    Args:
        first: (N, 4) uint64.
        second: (M, 4) uint64; None means pairs within `first`, each once, the smaller place first.
        limit: most differing bits, 0–256.
        joined: called before each task, what it leaves out; for pairs within `first`.
    """
    within = second is None
    columns = np.ascontiguousarray((first if second is None else second).T)
    tasks = [
        (top, left)
        for top in range(0, len(first), TASK[0])
        for left in range(top // TASK[1] * TASK[1] if within else 0, columns.shape[1], TASK[1])
    ]

    def compare(task: tuple[int, int], known: Joined | None) -> Block:
        found = [
            _tile(first, columns, top, left, limit, known)
            for top in range(task[0], min(task[0] + TASK[0], len(first)), TILE[0])
            for left in range(task[1], min(task[1] + TASK[1], columns.shape[1]), TILE[1])
            if not within or left + TILE[1] > top
        ]
        row, column, distance = together(found)
        once = row < column if within else np.ones(len(row), np.bool_)
        return row[once], column[once], distance[once]

    with (
        ThreadPoolExecutor(min(machine_cpus(), AHEAD)) as pool,
        progress("comparing hashes", len(tasks)) as bar,
    ):
        waiting = iter(tasks)
        running: deque[Future[Block]] = deque(
            pool.submit(compare, task, joined()) for task in islice(waiting, AHEAD)
        )
        while running:
            block = running.popleft().result()
            bar.advance()
            if len(block[0]):
                yield block
            running.extend(pool.submit(compare, task, joined()) for task in islice(waiting, 1))


def _tile(first: Words, columns: Words, top: int, left: int, limit: int, known: Joined | None) -> Block:
    """The near pairs of one tile. `columns` is (4, M)."""
    rows, part = first[top : top + TILE[0]], columns[:, left : left + TILE[1]]
    differ = np.empty((len(rows), part.shape[1]), np.uint64)
    count, last = np.empty(differ.shape, np.uint8), np.empty(differ.shape, np.uint8)
    # Three of the four words drop nearly all pairs, and differ in at most 192 bits, which a uint8 holds.
    np.bitwise_count(np.bitwise_xor(rows[:, 0, None], part[0], out=differ), out=count)
    for word in range(1, CODE_WORDS - 1):
        count += np.bitwise_count(np.bitwise_xor(rows[:, word, None], part[word], out=differ), out=last)
    near = count <= min(limit, 192)
    if not near.any():
        return no_pairs()
    np.bitwise_count(np.bitwise_xor(rows[:, -1, None], part[-1], out=differ), out=last)
    if known is not None:
        group, step = known.group, known.step
        steps = np.maximum(step[top : top + TILE[0], None], step[left : left + TILE[1]])
        apart = group[top : top + TILE[0], None] != group[left : left + TILE[1]]
        near &= apart | (count + last < steps)  # 256 overflows to 0, which is kept
    row, column = np.nonzero(near)
    distance = count[row, column].astype(np.int64) + last[row, column]
    near = distance <= limit
    return row[near] + top, column[near] + left, distance[near]


def no_pairs() -> Block:
    """A block without a pair."""
    return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)


def together(blocks: Sequence[Block]) -> Block:
    """One block of all pairs of `blocks`, in their order."""
    first, second, distance = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return first, second, distance
