"""Registered versions compared by their figures on a dataset: ranked, or side by side."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import UserError, nearest
from cluster.registry.provenance import Evaluation
from cluster.registry.registry import ModelVersion

LEAST_PREFIX = 6  # hex digits of a dataset's digest that stand for it


@dataclass(frozen=True)
class JudgedVersion:
    """A version and its figure; NaN where it has none."""

    version: ModelVersion
    evaluation: Evaluation
    metric: str
    value: float


def same_metric(name: str) -> str:
    """A metric's name without its spelling: `mAP@50_95`, `map50:95` and `map50_95` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def evaluation_on(version: ModelVersion, dataset: str) -> Evaluation | None:
    """The version's evaluation on a dataset, given by name or by the first digits of its digest."""
    evaluations = version.evaluations
    if dataset in evaluations:
        return evaluations[dataset]
    if len(dataset) < LEAST_PREFIX:
        return None
    return next((entry for entry in evaluations.values() if entry.digest.startswith(dataset)), None)


def judged(version: ModelVersion, metric: str, dataset: str) -> JudgedVersion | None:
    """The version's figure; None where it was not evaluated on that dataset.

    Raises:
        UserError: it was, but without that metric.
    """
    evaluation = evaluation_on(version, dataset)
    if evaluation is None:
        return None
    for name, value in evaluation.metrics.items():
        if same_metric(name) == same_metric(metric):
            return JudgedVersion(version, evaluation, name, value)
    hint = nearest(metric, evaluation.metrics) if evaluation.metrics else "it has no figure there at all."
    raise UserError(f'{version.reference} has no metric "{metric}" on "{dataset}"; {hint}')


def ranked(versions: Sequence[ModelVersion], metric: str, dataset: str) -> list[JudgedVersion]:
    """The versions that were evaluated on a dataset, best first; equals newest first.

    Those without the figure (NaN, null or not measured) come last.

    Raises:
        UserError: none was evaluated, none has that metric, or the name stands for different sets of images
            among them.
    """
    evaluated = [
        (version, entry) for version in versions if (entry := evaluation_on(version, dataset)) is not None
    ]
    names = {name for _, entry in evaluated for name in entry.metrics}
    spelling = min((name for name in names if same_metric(name) == same_metric(metric)), default=None)
    if evaluated and spelling is None:
        hint = nearest(metric, sorted(names)) if names else "they have no figure there at all."
        raise UserError(f'There is no metric "{metric}" on "{dataset}"; {hint}')
    entries = [
        JudgedVersion(version, entry, *_figure(entry, metric, spelling or metric))
        for version, entry in evaluated
    ]
    if not entries:
        known = sorted({name for version in versions for name in version.evaluations})
        hint = nearest(dataset, known) if known else "none of them was evaluated on any."
        raise UserError(f'No version was evaluated on the dataset "{dataset}"; {hint}')
    digests = sorted({entry.evaluation.digest for entry in entries})
    if len(digests) > 1:
        choices = ", ".join(digest[:12] for digest in digests)
        raise UserError(
            f'"{dataset}" stands for {len(digests)} different sets of images, whose figures don\'t compare; '
            f"give one by its digest: {choices}."
        )
    return sorted(entries, key=_place)


def best(versions: Sequence[ModelVersion], metric: str, dataset: str) -> ModelVersion:
    """The first of `ranked`.

    Raises:
        UserError: see `ranked`; none of the versions has the figure.
    """
    first = ranked(versions, metric, dataset)[0]
    if math.isnan(first.value):
        raise UserError(
            f'No version has a figure of "{first.metric}" on "{dataset}": nothing could be measured there; '
            "choose another metric or dataset."
        )
    return first.version


def _figure(evaluation: Evaluation, metric: str, spelling: str) -> tuple[str, float]:
    for name, value in evaluation.metrics.items():
        if same_metric(name) == same_metric(metric):
            return name, value
    return spelling, math.nan


def _place(entry: JudgedVersion) -> tuple[bool, float, str, int]:
    """NaN, which is neither above nor below a number, would leave any order."""
    missing = math.isnan(entry.value)
    return missing, 0.0 if missing else -entry.value, entry.version.name, -entry.version.version


def comparison(first: ModelVersion, second: ModelVersion) -> Mapping[str, Any]:
    """Two versions side by side; JSON-able.

    Returns:
        `evaluations`: rows of dataset, metric, both values, `difference` (second minus first; None where the
        images differ or one side is missing); `differences`: what else differs, by dotted name.
    """
    rows = []
    ours, theirs = first.evaluations, second.evaluations
    for dataset in sorted({*ours, *theirs}):
        left, right = ours.get(dataset), theirs.get(dataset)
        same = left is not None and right is not None and left.digest == right.digest
        names = {*(left.metrics if left else ()), *(right.metrics if right else ())}
        for metric in sorted(names):
            pair = [_known(side.metrics.get(metric)) if side else None for side in (left, right)]
            difference = pair[1] - pair[0] if same and pair[0] is not None and pair[1] is not None else None
            rows.append(
                {
                    "dataset": dataset,
                    "metric": metric,
                    "first": pair[0],
                    "second": pair[1],
                    "same_images": same,
                    "difference": difference,
                }
            )
    sides = [_flat(version.document(), "") for version in (first, second)]
    differing = {
        key: {"first": sides[0].get(key), "second": sides[1].get(key)}
        for key in sorted({*sides[0], *sides[1]})
        if sides[0].get(key) != sides[1].get(key) and key.split(".")[0] not in ("evaluations", "files")
    }
    return {
        "first": first.reference,
        "second": second.reference,
        "evaluations": rows,
        "differences": differing,
    }


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _flat(content: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
