"""The model registry: named models, their versions, aliases, evaluations and whole lineage."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from cluster.errors import UserError, nearest
from cluster.registry.provenance import EVALUATION, Evaluation, Provenance, evaluations, file_digests
from cluster.registry.reader import VersionRecord, registry_reader
from cluster.registry.stored_files import are_sound
from cluster.storage import masked
from cluster.tracking import Run, Tracker, client_of, entries as tracking_entries, is_server, outbox_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST_SHOWN = 200  # characters of a mistyped word in a message
FINGERPRINT = "fingerprint"  # this tag tells whether a stage's result is registered


@dataclass(frozen=True)
class ModelRow:
    """A registered model, in short.

    Attributes:
        name: the model's name.
        versions: the number of versions.
        latest: number of the newest; None while there is none.
        aliases: version by alias.
        description: the model's description.
    """

    name: str
    versions: int
    latest: int | None
    aliases: Mapping[str, int]
    description: str


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    Attributes:
        name, version: the version's identity.
        aliases: the aliases that point at it.
        created: ISO 8601, UTC.
        description: the version's description.
        run_id: MLflow's run that made it.
        source: URI of the folder of its files.
        tags: all of them: `fingerprint`, those of every stage behind it, and what the properties read.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    created: str
    description: str
    run_id: str
    source: str
    tags: Mapping[str, str]

    @property
    def reference(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.name}@{self.version}"

    @property
    def provenance(self) -> Provenance:
        """Corpus, prompts, thresholds, parents, code and seeds that made it."""
        return Provenance.of(self.tags)

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        """How it was judged, by dataset."""
        return evaluations(self.tags)

    @property
    def files(self) -> dict[str, str]:
        """Sha256 (hex) by file name."""
        return file_digests(self.tags)

    def document(self) -> dict[str, Any]:
        """JSON-able, without what `tags` would say twice."""
        lineage = {
            key: text for key, text in self.tags.items() if not key.startswith((EVALUATION, "sha256."))
        }
        return {
            **{name: value for name, value in asdict(self).items() if name != "tags"},
            "provenance": self.provenance.document(),
            "evaluations": {name: asdict(evaluation) for name, evaluation in self.evaluations.items()},
            "files": self.files,
            "lineage": {key: text for key, text in lineage.items() if key not in _IN_PROVENANCE},
        }


_IN_PROVENANCE = frozenset({"prompts", "thresholds", "parents", "code_version", "seeds"})


class Registry:
    """A registry's content when it was opened, read in a handful of requests; never changed.

    Args:
        models: short rows, by name.
        versions: all, by name and number.
    """

    def __init__(self, models: list[ModelRow], versions: list[ModelVersion]) -> None:
        self.models = models
        self._versions = versions

    @classmethod
    def open(cls, tracker: Tracker) -> "Registry":
        """Read a tracker's registry; an empty one where nothing was ever recorded.

        Raises:
            UserError: it can't be reached or read.
        """
        if tracker.is_empty:
            return cls([], [])
        reader = registry_reader(tracker)
        models, records = reader.models(), reader.versions()
        aliases: dict[tuple[str, int], list[str]] = {}
        for model in models:
            for alias, number in model.aliases.items():
                aliases.setdefault((model.name, number), []).append(alias)
        versions = [_version(record, aliases.get((record.name, record.version), [])) for record in records]
        numbers: dict[str, list[int]] = {}
        for version in versions:
            numbers.setdefault(version.name, []).append(version.version)
        rows = [
            ModelRow(
                model.name,
                len(numbers.get(model.name, ())),
                max(numbers.get(model.name, ()), default=None),
                model.aliases,
                model.description,
            )
            for model in models
        ]
        return cls(rows, versions)

    def version(self, reference: str) -> ModelVersion:
        """One version.

        Args:
            reference: `NAME` (the newest), `NAME@VERSION` or `NAME@ALIAS`.

        Raises:
            UserError: no such model, version or alias.
        """
        name, at, which = reference.partition("@")
        if at and not which:  # `NAME@$ALIAS` of a script in which nothing set it
            raise UserError(
                f'"{reference}" names no version or alias after "@"; give one, or {name} for the newest.'
            )
        rows = {row.name: row for row in self.models}
        if name not in rows:
            hint = nearest(name, rows) if rows else "none is registered yet; agssp run registers one."
            raise UserError(f'There is no registered model "{name}"; {hint}')
        if not which and rows[name].latest is None:
            raise UserError(f'Model "{name}" has no version, or all were deleted; register it again.')
        wanted = which or str(rows[name].latest)
        aliases = rows[name].aliases
        # A number as MLflow writes it: int() would take other scripts' digits, and not more than 4,300.
        versions = {str(version.version): version for version in self._versions if version.name == name}
        number = str(aliases.get(wanted, wanted))
        if number not in versions:
            valid = nearest(wanted, [*aliases, *versions])
            raise UserError(f'Model "{name}" has no version or alias "{wanted[:LONGEST_SHOWN]}"; {valid}')
        return versions[number]

    def versions(
        self, name: str = "*", *, alias: str | None = None, tags: Mapping[str, str] | None = None
    ) -> list[ModelVersion]:
        """Versions by name and number.

        Args:
            name: the model's name, or a pattern (`demo-*`).
            alias: restricts to the version it points at.
            tags: restricts to versions that have these tags; values may be patterns (`3fa9*`).

        Raises:
            UserError: no model has that name.
        """
        if self.models and not any(fnmatchcase(row.name, name) for row in self.models):
            hint = nearest(name, [row.name for row in self.models])
            raise UserError(f'There is no registered model "{name}"; {hint}')
        return [
            version
            for version in self._versions
            if fnmatchcase(version.name, name)
            and (alias is None or alias in version.aliases)
            and all(
                key in version.tags and fnmatchcase(version.tags[key], value)
                for key, value in (tags or {}).items()
            )
        ]

    def parents(self, version: ModelVersion) -> list[ModelVersion]:
        """The registered versions it was started from; one that was deleted since is left out."""
        wanted = set(version.provenance.parents.values())
        return [other for other in self._versions if other.reference in wanted]

    def children(self, version: ModelVersion) -> list[ModelVersion]:
        """The registered versions that were started from it."""
        return [other for other in self._versions if version.reference in other.provenance.parents.values()]


def _version(record: VersionRecord, aliases: list[str]) -> ModelVersion:
    return ModelVersion(
        name=record.name,
        version=record.version,
        aliases=tuple(aliases),
        created=datetime.fromtimestamp(record.created / 1000, UTC).isoformat(timespec="seconds"),
        description=record.description,
        run_id=record.run_id,
        source=record.source,
        tags=record.tags,
    )


def register(
    run: Run,
    *,
    name: str,
    folder: str,
    tags: Mapping[str, str],
    alias: str = "candidate",
    description: str,
) -> int:
    """Register a run's weights as a new version, unless that stage's result is registered already and whole.

    Args:
        run: the run that holds the weights.
        name: the model's name, e.g. `surfaces-detector-yolov8n`.
        folder: the folder of the run's artifacts that holds the weights.
        tags: the lineage; `fingerprint` is the stage's and decides whether it is the same. Evaluations among
            them are added to a version that exists.
        alias: the alias that points at the version afterwards.
        description: the version's description.

    Returns:
        The version's number.

    Raises:
        UserError: the run isn't in this tracking database or server.
        ValueError: the folder holds nothing, or there is no fingerprint.
    """
    if not tags.get(FINGERPRINT):
        raise ValueError("the tags of a registered model need the stage's fingerprint")

    def act() -> int:
        return _register(run, name, folder, tags, alias, description)

    if not is_server(run.tracking_uri):
        return act()
    box = outbox_of(run.tracking_uri)
    box.settle(f"register {name}")
    return box.insist(act, f"register {name}")


def _register(run: Run, name: str, folder: str, tags: Mapping[str, str], alias: str, description: str) -> int:
    from mlflow.exceptions import MlflowException

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
    entries = tracking_entries.tags(tags)
    version = _registered(client, name, tags[FINGERPRINT])
    if version is None:
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        record = client.create_model_version(
            name,
            source=f"{artifacts}/{folder}",
            run_id=run.id,
            tags=entries,
            description=description,
        )
        version = int(record.version)
    else:
        for key, text in entries.items():
            if key.startswith(EVALUATION):
                client.set_model_version_tag(name, str(version), key, text)
    point_alias(client, name, alias, version)
    return version


def point_alias(client: "MlflowClient", name: str, alias: str, version: int) -> None:
    """Let an alias point at a version, whoever else adds it at the same moment; the last one counts."""
    from mlflow.exceptions import MlflowException

    try:
        client.set_registered_model_alias(name, alias, str(version))
    except MlflowException as error:
        # When two add it, the database refuses one, which then finds it there.
        if error.error_code != "BAD_REQUEST":
            raise
        client.set_registered_model_alias(name, alias, str(version))


def _registered(client: "MlflowClient", name: str, fingerprint: str) -> int | None:
    """The newest version made from the same stage fingerprint whose files are sound."""
    versions = client.search_model_versions(f"name='{name}' and tags.{FINGERPRINT}='{fingerprint}'")
    sound = [one for one in versions if are_sound(str(one.source), file_digests(one.tags))]
    return max((int(one.version) for one in sound), default=None)
