"""The model registry: named models, their versions, aliases and whole lineage."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cluster import tracking_entries
from cluster.errors import UserError, nearest
from cluster.tracking import Run, Tracker
from cluster.tracking_run import client_of
from cluster.tracking_server import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

FINGERPRINT = "fingerprint"  # the tag that tells whether a stage's result is registered already


@dataclass(frozen=True)
class ModelRow:
    """A registered model, in short.

    Attributes:
        name: of the model.
        versions: how many there are.
        latest: number of the newest; None while there is none.
        aliases: version by alias.
        description: what it is.
    """

    name: str
    versions: int
    latest: int | None
    aliases: Mapping[str, int]
    description: str


@dataclass(frozen=True)
class ModelDetails:
    """One version of a registered model.

    Attributes:
        name, version: what identifies it.
        aliases: those that point at it.
        created: ISO 8601, UTC.
        description: of the version.
        run_id: MLflow's run that made it.
        source: where its files are.
        lineage: the version's tags: fingerprints of the stages behind it, code version and the like.
        metrics: of the run.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    created: str
    description: str
    run_id: str
    source: str
    lineage: Mapping[str, str]
    metrics: Mapping[str, float]


def register(
    run: Run,
    *,
    name: str,
    folder: str,
    tags: Mapping[str, str],
    alias: str = "candidate",
    description: str,
) -> int:
    """Register a run's weights as a new version, unless that stage's result is registered already.

    Args:
        run: the run that holds the weights.
        name: of the model, e.g. `surfaces-detector-yolov8n`.
        folder: of the run's artifacts, with the weights in it.
        tags: the lineage; `fingerprint` is the stage's and decides whether it is the same.
        alias: that points at the version afterwards.
        description: of the version.

    Returns:
        The version's number.

    Raises:
        UserError: the run isn't in this tracking database or server.
        ValueError: the folder holds nothing, or there is no fingerprint.
    """
    from mlflow.exceptions import MlflowException

    if not tags.get(FINGERPRINT):
        raise ValueError("the tags of a registered model need the stage's fingerprint")
    client = client_of(run.tracking_uri)
    try:
        artifacts = client.get_run(run.id).info.artifact_uri
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise UserError(
            f"The run {run.id} behind {name} is not in {masked(run.tracking_uri)}; "
            "set tracking.uri to the one it was made with."
        ) from None
    if not client.list_artifacts(run.id, folder):
        raise ValueError(f"run {run.id} has no artifacts in {folder!r}")
    version = _registered(client, name, tags[FINGERPRINT])
    if version is None:
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = client.create_model_version(
            name,
            source=f"{artifacts}/{folder}",
            run_id=run.id,
            tags=tracking_entries.tags(tags),
            description=description,
        )
        version = int(made.version)
    client.set_registered_model_alias(name, alias, str(version))
    return version


def list_models(tracker: Tracker) -> list[ModelRow]:
    """All registered models by name."""
    if tracker.is_empty:
        return []
    client, rows, token = client_of(tracker.uri), [], None
    while True:
        page = client.search_registered_models(max_results=100, order_by=["name"], page_token=token)
        for model in page:
            numbers = [int(version.version) for version in _versions(client, model.name)]
            aliases = {alias: int(version) for alias, version in sorted(model.aliases.items())}
            latest = max(numbers, default=None)
            rows.append(ModelRow(model.name, len(numbers), latest, aliases, model.description or ""))
        token = page.token
        if not token:
            return rows


def show_model(tracker: Tracker, name: str, which: int | str | None) -> ModelDetails:
    """One version with its lineage.

    Args:
        tracker: whose registry is asked.
        name: of the model.
        which: a version's number, an alias, or None for the newest.

    Raises:
        UserError: no such model, version or alias.
    """
    models = {row.name: row for row in list_models(tracker)}
    if name not in models:
        hint = nearest(name, models) if models else "none is registered yet; agssp run registers one."
        raise UserError(f'There is no registered model "{name}"; {hint}')
    aliases = models[name].aliases
    client = client_of(tracker.uri)
    versions = {int(version.version): version for version in _versions(client, name)}
    wanted = str(which if which is not None else models[name].latest)
    number = aliases.get(wanted) or (int(wanted) if wanted.isdecimal() else None)
    if number not in versions:
        valid = nearest(wanted, [*aliases, *map(str, versions)])
        raise UserError(f'Model "{name}" has no version or alias "{wanted}"; {valid}')
    version = versions[number]
    created = datetime.fromtimestamp((version.creation_timestamp or 0) / 1000, UTC)
    return ModelDetails(
        name=name,
        version=number,
        aliases=tuple(alias for alias, target in aliases.items() if target == number),
        created=created.isoformat(timespec="seconds"),
        description=version.description or "",
        run_id=version.run_id or "",
        source=version.source or "",
        lineage=dict(version.tags),
        metrics=dict(client.get_run(version.run_id).data.metrics) if version.run_id else {},
    )


def _registered(client: "MlflowClient", name: str, fingerprint: str) -> int | None:
    """The version made from the same stage fingerprint."""
    for version in _versions(client, name):
        if version.tags.get(FINGERPRINT) == fingerprint:
            return int(version.version)
    return None


def _versions(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name='{name}'", max_results=200, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
