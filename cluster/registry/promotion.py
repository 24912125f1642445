"""Promotion: an alias such as `champion` goes to a version that was proved better than the one it leaves."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cluster import json_text
from cluster.errors import UserError, nearest
from cluster.registry.ranking import JudgedVersion, judged
from cluster.registry.reader import API, registry_reader
from cluster.registry.registry import ModelVersion, Registry
from cluster.storage import masked
from cluster.tracking import ALIAS, RefusedError, Tracker, ask, entries as tracking_entries, is_server
from cluster.verdicts import finds_nothing

PROMOTED = "promoted."  # tag of a version, followed by the alias
TRIES = 20  # of promotions that others forestall; each of them is theirs that got through
# In MLflow's own tables, as its client would write. An alias moves only from the holder that was judged.
TAKEN = "INSERT INTO registered_model_aliases (name, alias, version) VALUES (:name, :alias, :version)"
MOVED = (
    "UPDATE registered_model_aliases SET version = :version "
    "WHERE name = :name AND alias = :alias AND version = :previous"
)
TAGGED = (
    'DELETE FROM model_version_tags WHERE name = :name AND version = :version AND "key" = :key',
    'INSERT INTO model_version_tags (name, version, "key", value) VALUES (:name, :version, :key, :value)',
)


class _OtherHolder(Exception):  # noqa: N818, within this file
    """Another promotion moved the alias since its holder was judged."""


def promote(
    tracker: Tracker,
    registry: Registry,
    version: ModelVersion,
    *,
    dataset: str,
    metric: str,
    alias: str = "champion",
    force: bool = False,
    instead_of: int | None = None,
) -> Mapping[str, Any]:
    """Point an alias at a version, and leave a tag on it that says on what grounds.

    Args:
        tracker: the tracker whose registry is changed.
        registry: that registry's content.
        version: the version to promote.
        dataset: name, or the digest's first digits, of the dataset it must have been evaluated on.
        metric: the deciding metric; larger is better.
        alias: the alias to move.
        force: promote even where the version finds nothing, or the holder is better or can't be compared; an
            evaluation with a figure is needed anyhow.
        instead_of: the version that the alias must point at until then; None takes whichever it is.

    Returns:
        `name`, `version`, `alias`, `dataset`, `metric`, `value`, `previous` (number or None),
        `previous_value`, `forced` (whether it was needed).

    Raises:
        UserError: no evaluation on that dataset, an alias MLflow does not take, or (unless forced) a figure
            of 0, or a holder that is better or can't be compared; the alias points elsewhere than at
            `instead_of`.
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
    for _ in range(TRIES):
        number = next((row.aliases.get(alias) for row in registry.models if row.name == version.name), None)
        if instead_of is not None and number != instead_of:
            now = "at no version" if number is None else f"at version {number}"
            raise UserError(
                f"{version.name}@{alias} points {now} by now and no more at version {instead_of}, "
                f"against which {version.reference} was judged; nothing was promoted."
            )
        result = _judgement(mine, registry, number, metric=metric, dataset=dataset, alias=alias, force=force)
        grounds = json_text.dumps(result | {"at": datetime.now(UTC).isoformat(timespec="seconds")})
        try:
            _point(tracker, version, alias, grounds, number)
        except _OtherHolder:
            registry = Registry.open(tracker)
            continue
        return result
    raise UserError(f"Others move the alias {alias} of {version.name} all the time; try again.")


def _judgement(
    mine: JudgedVersion,
    registry: Registry,
    number: int | None,
    *,
    metric: str,
    dataset: str,
    alias: str,
    force: bool,
) -> dict[str, Any]:
    """What `promote` returns, before anything is written.

    Args:
        mine: the version and its figure.
        registry: content in which the alias's holder is found.
        number: the holder's version; None where the alias points at none.

    Raises:
        UserError: see `promote`.
    """
    version = mine.version
    versions = (other for other in registry.versions() if other.name == version.name)
    holder = next((other for other in versions if other.version == number), None)
    objection, held = None, None
    if holder is not None and holder.version != version.version:
        objection, held = _objection(mine, holder, metric, dataset)
    nothing = finds_nothing(mine.metric, mine.value, mine.evaluation.dataset)
    if nothing is not None:
        objection = f"{version.reference} {nothing.sentence}"
    if objection and not force:
        raise UserError(f"{objection}; --force promotes {version.reference} all the same.")
    return {
        "name": version.name,
        "version": version.version,
        "alias": alias,
        "dataset": mine.evaluation.dataset,
        "metric": mine.metric,
        "value": mine.value,
        "previous": number,
        "previous_value": held,
        "forced": objection is not None,
    }


def _point(tracker: Tracker, version: ModelVersion, alias: str, grounds: str, previous: int | None) -> None:
    """Set alias and tag, without MLflow, whose import takes longer than all the rest.

    Args:
        previous: the version that the alias is to be taken from; None where it points at none.

    Raises:
        _OtherHolder: the alias points elsewhere by now; nothing was written.
        UserError: the database or server can't be written.
    """
    name, key = version.name, tracking_entries.key(f"{PROMOTED}{alias}")
    if is_server(tracker.uri):
        holders = {model.name: model.aliases.get(alias) for model in registry_reader(tracker).models()}
        if holders.get(name) != previous:  # a server can't compare and write at once
            raise _OtherHolder
        number = str(version.version)
        tag = {"name": name, "version": number, "key": key, "value": grounds}
        _insist(tracker, f"{API}/model-versions/set-tag", tag)
        pointed = {"name": name, "alias": alias, "version": number}
        _insist(tracker, f"{API}/registered-models/alias", pointed)
        return
    import sqlalchemy
    from sqlalchemy.exc import IntegrityError, SQLAlchemyError

    values: dict[str, Any] = {
        "name": name,
        "version": version.version,
        "key": key,
        "value": grounds,
        "alias": alias,
        "previous": previous,
    }
    try:
        engine = sqlalchemy.create_engine(tracker.uri)
        try:
            with engine.begin() as connection:  # all or nothing
                moved = connection.execute(sqlalchemy.text(TAKEN if previous is None else MOVED), values)
                if moved.rowcount != 1:
                    raise _OtherHolder
                for statement in TAGGED:
                    connection.execute(sqlalchemy.text(statement), values)
        finally:
            engine.dispose()
    except IntegrityError:  # the same row, from another promotion
        raise _OtherHolder from None
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise UserError(f"{masked(tracker.uri)} can't be written ({reason}); try again.") from None


def _insist(tracker: Tracker, path: str, body: Mapping[str, str]) -> None:
    """Ask again where the server's database refused a row that another added in the same moment."""
    try:
        ask(tracker.uri, path, body=body)
    except RefusedError as error:
        if error.code != "BAD_REQUEST":
            raise
        ask(tracker.uri, path, body=body)


def _objection(
    mine: JudgedVersion, holder: ModelVersion, metric: str, dataset: str
) -> tuple[str | None, float | None]:
    """Why the holder of the alias should keep it, and its figure."""
    theirs = judged(holder, metric, dataset)
    if theirs is None:
        return f"{holder.reference}, which holds the alias, was not evaluated on {dataset}", None
    if theirs.evaluation.digest != mine.evaluation.digest:
        return f"{holder.reference}, which holds the alias, was evaluated on other images of {dataset}", None
    if math.isnan(theirs.value):
        return f"{holder.reference}, which holds the alias, has no {theirs.metric} on {dataset}", None
    if theirs.value > mine.value:
        figures = f"{mine.metric} {theirs.value:.4f} on {dataset} against {mine.value:.4f}"
        return f"{holder.reference}, which holds the alias, is better ({figures})", theirs.value
    return None, theirs.value
