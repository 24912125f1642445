"""Frees what the workers of a lost Ray Train controller held, where there is no dashboard too."""

import threading
import time
from typing import Any

import ray
from ray import PlacementGroupID
from ray._private import state
from ray.core.generated import gcs_pb2
from ray.util.placement_group import PlacementGroup, remove_placement_group

FREE_SECONDS = 0.5  # between two looks at what a dead controller still holds


class Cleaner:
    """In the place of Ray's actor that outlives a controller and frees its placement groups.

    A group lives as long as the job, not the controller (ray-project/ray#54305): one that Ray Tune stopped
    would keep its CPUs from all later trials. Four things of Ray's own cleaner are done otherwise:

    - It asks the dashboard whether the controller lives, and where there is none, for ever.
    - It watches once the controller has asked it to: one that dies while this process starts never does.
    - It frees the group that was named to it, and the controller names one when all its workers have
      started. One that was stopped in the seconds between left a group that no one knew of. Here the GCS
      tells which groups the controller made.
    - Its process imports all of Ray Train, and a training's end waits for its look at the controller.

    Args:
        controller_actor_id: the controller's id, hex.
        check_interval_s: seconds between two looks at it.
        get_actor_timeout_s, stop_timeout: unused; Ray gives them.
    """

    def __init__(
        self,
        controller_actor_id: str,
        check_interval_s: float,
        get_actor_timeout_s: float,
        stop_timeout: float | None,
    ) -> None:
        self._controller, self._interval = controller_actor_id, check_interval_s
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, name="cleaner", daemon=True).start()

    def start_monitoring(self) -> None:
        """Asked by the controller; it watches already."""

    def register_placement_group(self, placement_group: PlacementGroup) -> None:
        """Told by the controller; the GCS knows it."""

    def stop(self) -> None:
        """End: the controller ends well, and frees what it holds by itself."""
        self._stopped.set()
        ray.actor.exit_actor()  # type: ignore[no-untyped-call]

    def _watch(self) -> None:
        while is_alive(self._controller):
            if self._stopped.wait(self._interval):
                return
        free_groups_of(self._controller)
        ray.kill(ray.get_runtime_context().current_actor)


def free_groups_of(actor_id: str) -> None:
    """Free all groups that a dead actor made; a request that it sent last may still be on its way.

    Args:
        actor_id: the actor's id, hex.
    """
    while held := groups_of(actor_id):
        for group in held:
            remove_placement_group(group)
        time.sleep(FREE_SECONDS)


def groups_of(actor_id: str) -> list[PlacementGroup]:
    """The placement groups that an actor made and that are not removed; Ray's public table names no maker.

    Args:
        actor_id: the actor's id, hex.
    """
    accessor: Any = state.state._connect_and_get_accessor()
    kind: Any = vars(gcs_pb2)["PlacementGroupTableData"]
    rows = [kind.FromString(row) for row in accessor.get_placement_group_table()]
    return [
        PlacementGroup(PlacementGroupID(row.placement_group_id))
        for row in rows
        if row.creator_actor_id.hex() == actor_id and row.state != kind.REMOVED
    ]


def is_alive(actor_id: str) -> bool:
    """Whether an actor lives, asked of the GCS.

    Args:
        actor_id: the actor's id, hex.
    """
    known: dict[str, Any] = state.actors(actor_id)
    return bool(known) and known["State"] != "DEAD"
