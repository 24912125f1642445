"""Frees what the workers of a lost Ray Train controller held, where there is no dashboard too."""

import time
from typing import TYPE_CHECKING, Any

from ray import PlacementGroupID
from ray._private import state
from ray.core.generated import gcs_pb2
from ray.train.v2._internal.callbacks import placement_group_callback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.controller import placement_group_cleaner
from ray.train.v2._internal.execution.controller.placement_group_cleaner import PlacementGroupCleaner
from ray.util.placement_group import PlacementGroup, remove_placement_group

if TYPE_CHECKING:
    from ray.train.v2._internal.execution.context import TrainRunContext


class Cleaner(PlacementGroupCleaner):
    """Ray's actor that outlives a controller and frees its placement groups.

    A group lives as long as the job, not the controller (ray-project/ray#54305): one that Ray Tune stopped
    would keep its CPUs from all later trials. Three things of Ray's own cleaner are done otherwise:

    - It asks the dashboard whether the controller lives, and where there is none, for ever.
    - It watches once the controller has asked it to: one that dies while this process starts never does.
    - It frees the group that was named to it, and the controller names one when all its workers have
      started. One that was stopped in the seconds between left a group that no one knew of. Here the GCS
      tells which groups the controller made.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        vars(placement_group_cleaner)["is_actor_alive"] = _is_alive  # in this actor's own process
        self.start_monitoring()  # type: ignore[no-untyped-call]

    def _cleanup_placement_group(self, placement_group: PlacementGroup | None) -> None:
        """Free all that the dead controller made; a request that it sent last may still be on its way."""
        while held := groups_of(self._controller_actor_id):
            for group in held:
                remove_placement_group(group)
            time.sleep(self._check_interval_s)


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


def _is_alive(actor_id: str, timeout: int) -> bool:
    """What `ray.train.v2._internal.state.util.is_actor_alive` says, asked of the GCS."""
    known: dict[str, Any] = state.actors(actor_id)
    return bool(known) and known["State"] != "DEAD"


class CleanerCallback(PlacementGroupCleanerCallback):
    """Starts `Cleaner` in the place of Ray's own."""

    def after_controller_start(self, train_run_context: "TrainRunContext") -> None:
        """See `PlacementGroupCleanerCallback`."""
        vars(placement_group_callback)["PlacementGroupCleaner"] = Cleaner  # in the controller's own process
        super().after_controller_start(train_run_context)
