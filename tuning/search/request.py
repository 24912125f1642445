"""The request for a training search: stage, space, metric, limits. What is at fault is refused beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError
from training.project import Project
from tuning.outcomes import check_outcome
from tuning.search.ledger import Budget
from tuning.space import Dimension, check_space, parse_space

ORDER = ("generate", "corpus", "heads", "maps", "boxes", "paint", "backbone", "detector", "finetune")
WHERE = {"workspace", "ray", "tracking", "scaling"}  # decides no value
DEFAULTS = {
    "backbone": (
        "backbone.correlation",
        ("backbone.loop.lr=1e-4..1e-1:log", "backbone.distilled_stages=[1, 2]"),
    ),
    "finetune": (
        "finetune.map50_95",
        ("finetune.loop.lr=1e-4..1e-2:log", "finetune.freeze=[none, backbone]"),
    ),
}
DEEPER = {"backbone": ("backbone", "detector", "finetune"), "finetune": ("finetune",)}


@dataclass(frozen=True)
class Request:
    """The request for a training search.

    Attributes:
        stage: `backbone` or `finetune`.
        name: name of the search, and of its directory under `tune/`.
        project, document: the checked config, and the same as nested mappings.
        space: searched keys.
        metric: outcome to maximise.
        trials, exhaustive: number and kind of trials, see `Proposals`.
        scheduler: `asha` or `none`.
        grace_epochs: epochs before a trial may be stopped.
        concurrent: trials at a time; None takes what fits.
        max_failures: failures that a trial survives.
        budget: limits after which no trial starts.
    """

    stage: str
    name: str
    project: Project
    document: dict[str, Any]
    space: tuple[Dimension, ...]
    metric: str
    trials: int
    exhaustive: bool
    scheduler: str
    grace_epochs: int
    concurrent: int | None
    max_failures: int
    budget: Budget

    def question(self) -> dict[str, Any]:
        """Everything that decides the trials' values; two searches with the same question are one search."""
        settings = self.project.model_dump(mode="json", exclude=WHERE)
        return {
            "search space": [dimension.text() for dimension in self.space],
            "metric": self.metric,
            "scheduler": [self.scheduler, self.grace_epochs],
            "exhaustive": self.exhaustive,
            "settings": settings,
        }


def check_search(
    stage: str,
    project: Project,
    document: Mapping[str, Any],
    words: Sequence[str],
    metric: str | None,
    start: str | None,
) -> tuple[dict[str, Any], tuple[Dimension, ...], str]:
    """Refuse what is at fault before anything is written; returns document, space and metric.

    Raises:
        UserError: space, metric or start at fault.
    """
    default_metric, default_words = DEFAULTS[stage]
    metric = metric or default_metric
    check_outcome(metric, DEEPER[stage])
    space = parse_space(words or default_words)
    chosen = start or project.finetune.product
    fixed = {**document, "finetune": {**(document.get("finetune") or {}), "starts": [chosen]}}
    space = check_space(space, Project, fixed)
    measured = metric.partition(".")[0]
    late = [d.key for d in space if place_of(d.key) > ORDER.index(measured)]
    if late:
        raise UserError(
            f"{late[0]} can't change {metric}, whose stage comes before it; choose another --metric or leave "
            "it out."
        )
    return fixed, space, metric


def place_of(key: str) -> int:
    """Place in `ORDER` of the first stage that a config key decides."""
    section = key.split(".")[0]
    return ORDER.index(section) if section in ORDER else 0  # e.g. seed, which decides everything
