"""Promotion: an alias such as `champion` goes to a version that was proved better than the one it leaves."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cluster import json_text
from cluster.errors import UserError, nearest
from cluster.model_ranking import Judged, judged
from cluster.registry import ModelVersion, Registry
from cluster.tracking import Tracker
from cluster.tracking_entries import ALIAS
from cluster.tracking_run import client_of

PROMOTED = "promoted."  # tag of a version, followed by the alias


def promote(
    tracker: Tracker,
    registry: Registry,
    version: ModelVersion,
    *,
    dataset: str,
    metric: str,
    alias: str = "champion",
    force: bool = False,
) -> Mapping[str, Any]:
    """Point an alias at a version, and leave a tag on it that says on what grounds.

    Args:
        tracker: whose registry is changed.
        registry: what it held.
        version: to promote.
        dataset: name, or first digits of the digest, of the one it must have been evaluated on.
        metric: larger is better.
        alias: that is moved.
        force: also where the present holder is better, or can't be compared; the evaluation is needed anyhow.

    Returns:
        `name`, `version`, `alias`, `dataset`, `metric`, `value`, `previous` (number or None),
        `previous_value`, `forced` (whether it was needed).

    Raises:
        UserError: no evaluation on that dataset, an alias MLflow does not take, or (unless forced) a holder
            that is better or can't be compared.
    """
    if not ALIAS.fullmatch(alias):
        raise UserError(f'"{alias}" can\'t be an alias; use letters, digits, "-" and "_", e.g. champion.')
    mine = judged(version, metric, dataset)
    if mine is None:
        known = list(version.evaluations)
        hint = nearest(dataset, known) if known else "it was evaluated on none; run the evaluation first."
        raise UserError(f'{version.reference} was not evaluated on the dataset "{dataset}"; {hint}')
    if not math.isfinite(mine.value):
        raise UserError(f"{version.reference} has no {mine.metric} on {dataset}; evaluate it again.")
    holder = next((other for other in registry.versions(version.name, alias=alias)), None)
    objection, held = None, None
    if holder is not None and holder.version != version.version:
        objection, held = _objection(mine, holder, metric, dataset)
        if objection and not force:
            raise UserError(f"{objection}; --force promotes {version.reference} all the same.")
    result = {
        "name": version.name,
        "version": version.version,
        "alias": alias,
        "dataset": mine.evaluation.dataset,
        "metric": mine.metric,
        "value": mine.value,
        "previous": holder.version if holder else None,
        "previous_value": held,
        "forced": objection is not None,
    }
    client = client_of(tracker.uri)
    grounds = json_text.dumps(result | {"at": datetime.now(UTC).isoformat(timespec="seconds")})
    client.set_model_version_tag(version.name, str(version.version), f"{PROMOTED}{alias}", grounds)
    client.set_registered_model_alias(version.name, alias, str(version.version))
    return result


def _objection(
    mine: Judged, holder: ModelVersion, metric: str, dataset: str
) -> tuple[str | None, float | None]:
    """Why the holder of the alias should keep it, and its figure."""
    theirs = judged(holder, metric, dataset)
    if theirs is None:
        return f"{holder.reference}, which holds the alias, was not evaluated on {dataset}", None
    if theirs.evaluation.digest != mine.evaluation.digest:
        return f"{holder.reference}, which holds the alias, was evaluated on other images of {dataset}", None
    if theirs.value > mine.value:
        figures = f"{mine.metric} {theirs.value:.4f} on {dataset} against {mine.value:.4f}"
        return f"{holder.reference}, which holds the alias, is better ({figures})", theirs.value
    return None, theirs.value
