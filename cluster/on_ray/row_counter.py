"""Rows done, counted across Ray workers and shown in the terminal of the command that waits."""

import threading
from types import TracebackType
from typing import Any, Self

import ray
from ray.exceptions import RayActorError

from cluster.on_ray.attempt import on_this_node
from cluster.on_ray.metrics import record_standing
from cluster.on_ray.sender import Sender
from cluster.on_ray.waiting import Patience, unmet_demand
from cluster.progress import progress

POLL_SECONDS = 0.5


class _Count:
    """The actor's state."""

    def __init__(self) -> None:
        self.done = 0

    def add(self, amount: int) -> None:
        self.done += amount

    def read(self) -> int:
        return self.done

    def unmet(self) -> str:
        return unmet_demand()


class _ActorSender:
    """The workers' end; sending never waits."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def add(self, amount: int) -> None:
        self._actor.add.remote(amount)


class RowCounter:
    """Shows the sum of what workers send while the block runs; needs a started Ray.

    Args:
        title: the name of the step.
        total: rows in all.
    """

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0
        # Takes no CPU: on a small machine Ray must never wait for it. On this node: a job whose rows
        # are no longer counted looks stalled.
        counter: Any = ray.remote(num_cpus=0)(_Count)
        self._actor = counter.options(scheduling_strategy=on_this_node()).remote()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def sender(self) -> Sender:
        """The end to hand to workers."""
        return _ActorSender(self._actor)

    def _show(self) -> None:
        with progress(self.title, self.total) as bar:
            patience = Patience(self.title, lambda: str(ray.get(self._actor.unmet.remote())))
            last = False
            while not last:
                last = self._stop.wait(POLL_SECONDS)
                try:
                    self.done = ray.get(self._actor.read.remote())
                    patience.look(begun=self.done > 0 or last)
                except RayActorError:  # a lost counter costs the display alone
                    return
                bar.to(min(self.done, self.total))  # rows lost with a node are counted again
                record_standing(bar.standing())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        ray.kill(self._actor)
