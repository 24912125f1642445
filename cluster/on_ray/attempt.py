"""A long piece of work that can be given up whole when the cluster changes under it."""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

END_SECONDS = 30.0  # time that what was given up is waited for

_given_up: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)


def given_up() -> threading.Event | None:
    """Set once the attempt whose thread this is was given up; None outside such a thread."""
    return _given_up.get()


def alive_nodes() -> dict[str, dict[str, float]]:
    """Resources of the cluster's nodes that are alive, by node id."""
    known: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return {node["NodeID"]: node["Resources"] for node in known if node["Alive"]}


def on_this_node() -> NodeAffinitySchedulingStrategy:
    """Keeps an actor or task on this node, so that it is lost only with the command itself."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


class Attempt:
    """`function(*arguments)`, started at once: in a thread on a single node, else in a process of its own.

    Ray ends the tasks and actors of a process that is gone, so ending a process ends everything it started.
    A single node saves the seconds for one: when the node is lost, nothing is left to go on with. There
    the function is to end when `given_up` is set: a thread that still uses Ray while Ray is shut down
    takes the process with it, before its command has said a word.

    Args:
        function: importable by workers.
        arguments: picklable.
    """

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        self._nodes = set(alive_nodes())
        self._failure: BaseException | None = None
        self._done, self._given_up = threading.Event(), threading.Event()
        self._task: Any = None
        if len(self._nodes) > 1:
            remote: Any = ray.remote(num_cpus=0, max_retries=0)(function)
            self._task = remote.options(scheduling_strategy=on_this_node()).remote(*arguments)
            work: Callable[[], Any] = lambda: ray.get(self._task)  # noqa: E731
        else:
            work = lambda: function(*arguments)  # noqa: E731
        threading.Thread(target=self._run, args=(work,), name="attempt", daemon=True).start()

    def _run(self, work: Callable[[], Any]) -> None:
        _given_up.set(self._given_up)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised by `result` in the caller's thread
            self._failure = error
        finally:
            self._done.set()

    def wait(self, seconds: float) -> bool:
        """Wait so long at most; whether it has ended."""
        return self._done.wait(seconds)

    def lost_nodes(self) -> int:
        """How many of the nodes it began with are gone."""
        return len(self._nodes - set(alive_nodes()))

    def result(self) -> None:
        """Raise what the function raised."""
        if self._failure is not None:
            raise self._failure

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return isinstance(self._failure, Exception)

    def give_up(self) -> None:
        """End it and everything it started, and wait until it has ended, `END_SECONDS` at most.

        What has ended is left alone: Ray may take the process down where a finished task is cancelled.
        """
        if self._done.is_set():
            return
        self._given_up.set()
        if self._task is not None:
            ray.cancel(self._task, force=True, recursive=True)
        self._done.wait(END_SECONDS)
