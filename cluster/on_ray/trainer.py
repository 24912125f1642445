"""Ray Train's trainer for PyTorch, with a cleaner that works and fewer processes that import less."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError
from ray.train import RunConfig, ScalingConfig
from ray.train.v2._internal.callbacks import DatasetsCallback, placement_group_callback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.failure_handling import FailureDecision, FailurePolicy
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from cluster.on_ray.cleaner import Cleaner, free_groups_of
from cluster.on_ray.torch_backend import TorchBackendConfig

if TYPE_CHECKING:
    from ray.train.v2._internal.execution.context import TrainRunContext
    from ray.train.v2.api.exceptions import TrainingFailedError


class Trainer(DataParallelTrainer):
    """What `TorchTrainer` is, but four things:

    - What a lost controller held is freed: by this process if it is the command's own, whose end frees
      everything, else (Ray Tune stops its trials) by an actor that outlives it.
    - No Ray data sets are handed out, for which Ray starts an actor; our workers read their own.
    - What no retry can mend is not tried again.
    - Where the cluster can't grow, no autoscaler is asked for workers, for which Ray starts another actor.

    Args:
        work: what each worker runs.
        scaling_config, run_config: Ray's.
        desk: actor of the board, on which workers leave what no retry can mend.
        grows: whether the cluster may get more nodes.
    """

    def __init__(
        self,
        work: Callable[[], None],
        *,
        scaling_config: ScalingConfig,
        run_config: RunConfig,
        desk: Any,
        grows: bool,
    ) -> None:
        super().__init__(
            work,
            scaling_config=scaling_config,
            run_config=run_config,
            backend_config=TorchBackendConfig(),
        )
        self._desk, self._grows = desk, grows
        self._owned = ray.get_runtime_context().worker.mode == ray.SCRIPT_MODE

    def fit(self) -> Any:
        """Ray's.

        Raises:
            ray.exceptions.RayActorError: the controller was lost; what it held is free again.
        """
        try:
            return super().fit()
        except RayActorError as error:
            if self._owned and error.actor_id is not None:
                free_groups_of(error.actor_id)
            raise

    def _create_default_callbacks(self) -> list[Any]:
        cleaners = [] if self._owned else [CleanerCallback()]
        return cleaners + [
            callback
            for callback in super()._create_default_callbacks()
            if not isinstance(callback, DatasetsCallback | PlacementGroupCleanerCallback)
        ]

    def _initialize_and_run_controller(self, **settings: Any) -> Any:
        settings["failure_policy"] = Policy(settings["failure_policy"], self._desk)
        if not self._grows:
            settings["scaling_policy"] = UnaskedWorkers(settings["scaling_policy"].scaling_config)
        return super()._initialize_and_run_controller(**settings)


class Policy(FailurePolicy):
    """Ray's, but an error on the board ends the training at once."""

    def __init__(self, rays: FailurePolicy, desk: Any) -> None:
        super().__init__(rays.failure_config)
        self._rays, self._desk = rays, desk

    def make_decision(self, training_failed_error: "TrainingFailedError") -> FailureDecision:
        """Whether Ray tries again."""
        if ray.get(self._desk.failure.remote()) is not None:
            return FailureDecision.RAISE
        return self._rays.make_decision(training_failed_error)


class UnaskedWorkers(FixedScalingPolicy):
    """Ray's for a fixed number of workers, but they are not asked for: no autoscaler would hear it."""

    def _send_resource_request(self) -> None:
        pass

    def _maybe_send_resource_request(self) -> None:
        pass

    def _cancel_resource_request(self) -> None:
        pass


class CleanerCallback(PlacementGroupCleanerCallback):
    """Starts `Cleaner` in the place of Ray's own."""

    def after_controller_start(self, train_run_context: "TrainRunContext") -> None:
        """See `PlacementGroupCleanerCallback`."""
        vars(placement_group_callback)["PlacementGroupCleaner"] = Cleaner  # in the controller's own process
        super().after_controller_start(train_run_context)
