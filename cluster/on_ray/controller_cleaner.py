"""Frees what the workers of a lost Ray Train controller held, where there is no dashboard too."""

from typing import TYPE_CHECKING, Any

from ray._private import state
from ray.train.v2._internal.callbacks import placement_group_callback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.controller import placement_group_cleaner
from ray.train.v2._internal.execution.controller.placement_group_cleaner import PlacementGroupCleaner

if TYPE_CHECKING:
    from ray.train.v2._internal.execution.context import TrainRunContext


class Cleaner(PlacementGroupCleaner):
    """Ray's actor that outlives a controller and frees its placement group.

    A group lives as long as the job, not the controller (ray-project/ray#54305): one that Ray Tune stopped
    would keep its CPUs from all later trials. Ray's own cleaner asks the dashboard whether the controller
    lives, and where there is none, for ever.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        vars(placement_group_cleaner)["is_actor_alive"] = _is_alive  # in this actor's own process


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
