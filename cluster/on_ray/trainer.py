"""Ray Train's trainer for PyTorch, with a cleaner that works and one process less."""

from typing import Any

from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback

from cluster.on_ray.controller_cleaner import CleanerCallback


class Trainer(TorchTrainer):
    """`TorchTrainer`, but what a lost controller held is freed, and no Ray data sets are handed out."""

    def _create_default_callbacks(self) -> list[Any]:
        """Ray's; that for data sets is left out, as it starts an actor and our workers read their own."""
        return [
            CleanerCallback() if isinstance(callback, PlacementGroupCleanerCallback) else callback
            for callback in super()._create_default_callbacks()  # type: ignore[misc]
            if not isinstance(callback, DatasetsCallback)
        ]
