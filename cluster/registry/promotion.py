"""Promotion: an alias such as `champion` goes to a version that was proved better than the one it leaves."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cluster import json_text
from cluster.errors import UserError, nearest
from cluster.registry.ranking import JudgedVersion, judged
from cluster.registry.reader import API
from cluster.registry.registry import ModelVersion, Registry
from cluster.storage import masked
from cluster.tracking import ALIAS, Tracker, ask, is_server

PROMOTED = "promoted."  # tag of a version, followed by the alias
# In MLflow's own tables, as its client would.
REPLACEMENTS = (
    'DELETE FROM model_version_tags WHERE name = :name AND version = :version AND "key" = :key',
    'INSERT INTO model_version_tags (name, version, "key", value) VALUES (:name, :version, :key, :value)',
    "DELETE FROM registered_model_aliases WHERE name = :name AND alias = :alias",
    "INSERT INTO registered_model_aliases (name, alias, version) VALUES (:name, :alias, :version)",
)


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
        tracker: the tracker whose registry is changed.
        registry: that registry's content.
        version: the version to promote.
        dataset: name, or the digest's first digits, of the dataset it must have been evaluated on.
        metric: the deciding metric; larger is better.
        alias: the alias to move.
        force: promote even where the holder is better or can't be compared; an evaluation is needed anyhow.

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
    grounds = json_text.dumps(result | {"at": datetime.now(UTC).isoformat(timespec="seconds")})
    _point(tracker, version, alias, grounds)
    return result


def _point(tracker: Tracker, version: ModelVersion, alias: str, grounds: str) -> None:
    """Set the tag and the alias, without MLflow, whose import takes longer than all the rest."""
    name, number, key = version.name, str(version.version), f"{PROMOTED}{alias}"
    if is_server(tracker.uri):
        tag = {"name": name, "version": number, "key": key, "value": grounds}
        ask(tracker.uri, f"{API}/model-versions/set-tag", body=tag)
        pointed = {"name": name, "alias": alias, "version": number}
        ask(tracker.uri, f"{API}/registered-models/alias", body=pointed)
        return
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    values = {"name": name, "version": version.version, "key": key, "value": grounds, "alias": alias}
    try:
        engine = sqlalchemy.create_engine(tracker.uri)
        with engine.begin() as connection:  # both or neither
            for statement in REPLACEMENTS:
                connection.execute(sqlalchemy.text(statement), values)
        engine.dispose()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise UserError(f"{masked(tracker.uri)} can't be written ({reason}); try again.") from None


def _objection(
    mine: JudgedVersion, holder: ModelVersion, metric: str, dataset: str
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
