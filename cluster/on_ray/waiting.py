"""What Ray has no room for, said once by a step in which nothing is done yet."""

import time
from collections import Counter
from collections.abc import Callable, Mapping

import ray
from ray.exceptions import RpcError

from cluster.progress import say

PATIENCE_SECONDS = 7.0  # with the poll and the answer, the user reads it within 10 s


def unmet_demand() -> str:
    """What tasks, actors and placement groups of this cluster wait for; empty where nothing waits for room.

    Run where Ray is, in an actor. Tells of all jobs of the cluster: Ray keeps no account by job.
    """
    from ray.autoscaler.v2.sdk import get_cluster_status

    try:
        status = get_cluster_status(ray.get_runtime_context().gcs_address)
    except RpcError:  # a head that does not answer costs this line alone
        return ""
    free = [
        {usage.resource_name: usage.total - usage.used for usage in node.resource_usage.usage}
        for node in [*status.active_nodes, *status.idle_nodes]
        if node.resource_usage
    ]
    waiting: Counter[str] = Counter()
    for demand in status.resource_demands.ray_task_actor_demand:
        for request in demand.bundles_by_count:  # what fits waits for its process alone
            if not any(_fits(request.bundle, node) for node in free):
                waiting[_shape(request.bundle)] += request.count
    for group in status.resource_demands.placement_group_demand:
        for request in group.bundles_by_count:
            waiting[_shape(request.bundle)] += request.count
    if not waiting:
        return ""
    wanted = ", ".join(f"{count} × {shape}" for shape, count in sorted(waiting.items()))
    usages = {usage.resource_name: usage for usage in status.cluster_resource_usage}
    room = " and ".join(
        f"{usages[name].total - usages[name].used:g} of {usages[name].total:g} {name}s"
        for name in ("CPU", "GPU")
        if name in usages
    )
    return f"{wanted} asked for, {room or 'no CPUs'} free"


def _fits(bundle: Mapping[str, float], free: Mapping[str, float]) -> bool:
    return all(free.get(name, 0.0) >= amount - 1e-6 for name, amount in bundle.items())


def _shape(bundle: Mapping[str, float]) -> str:
    """`0.5 CPU + 1 GPU`."""
    return " + ".join(f"{amount:g} {name}" for name, amount in sorted(bundle.items()) if amount) or "nothing"


class Patience:
    """Says once what a step waits for, if nothing of it is done within `PATIENCE_SECONDS`.

    Args:
        title: the name of the step.
        unmet: `unmet_demand`, where Ray is.
    """

    def __init__(self, title: str, unmet: Callable[[], str]) -> None:
        self._title, self._unmet = title, unmet
        self._until: float | None = time.monotonic() + PATIENCE_SECONDS

    def look(self, begun: bool) -> None:
        """Called at every poll; `begun`: whether anything is done."""
        if begun:
            self._until = None
        if self._until is None or time.monotonic() < self._until:
            return
        if wait := self._unmet():
            self._until = None
            say(f"{self._title}: waits until Ray has room ({wait}); it begins by itself as others end")
