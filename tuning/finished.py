"""What finished stages of a workspace left in their records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError
from cluster.stages import RECORD
from cluster.storage import Storage


@dataclass(frozen=True)
class FinishedTraining:
    """One finished training: its stage's config, its seconds, and its epochs (0 where it tells none)."""

    config: Mapping[str, Any]
    seconds: float
    epochs: int


def finished_trainings(workspace: str, stage: str) -> list[FinishedTraining]:
    """All complete artifacts of a training stage; empty where there is none, or no workspace yet.

    Raises:
        UserError: a record is damaged.
    """
    folder = Storage.open(workspace).at(stage)
    trainings = []
    for name in folder.children():
        directory = folder.at(name)
        if not directory.exists(RECORD):
            continue  # not complete
        try:
            record = directory.read_json(RECORD)
            results = record["results"]
            trainings.append(
                FinishedTraining(
                    dict(record["config"]), float(results["training_seconds"]), int(results.get("epochs", 0))
                )
            )
        except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
            raise UserError(
                f"{directory.uri}/{RECORD} is damaged; delete {directory.uri} and make it anew."
            ) from None
    return trainings
