"""Reading MLflow's registry without MLflow, whose import alone takes longer than a look-up may.

A server is asked by its REST API. A database is read by SQL, from the tables of MLflow ≥ 3; tests compare
both with MLflow's own client. Nothing is ever written here.
"""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cluster.errors import UserError
from cluster.storage import masked
from cluster.tracking import Tracker, ask, is_server

API = "/api/2.0/mlflow"
PAGE = 1000
# MLflow keeps prompts of language models in the same tables.
NO_PROMPT = "name NOT IN (SELECT name FROM registered_model_tags WHERE \"key\" = 'mlflow.prompt.is_prompt')"


@dataclass(frozen=True)
class ModelRecord:
    """A registered model as MLflow keeps it; `aliases` gives version by alias."""

    name: str
    description: str
    aliases: Mapping[str, int]


@dataclass(frozen=True)
class VersionRecord:
    """A version as MLflow keeps it.

    Attributes:
        name, version: the version's identity.
        created: milliseconds since 1970, UTC.
        description, run_id, source: empty where there is none; `source` is the folder of its files.
        tags: value by key.
    """

    name: str
    version: int
    created: int
    description: str
    run_id: str
    source: str
    tags: Mapping[str, str] = field(default_factory=dict)


class RegistryReader(Protocol):
    """What a registry is asked."""

    def models(self) -> list[ModelRecord]:
        """All registered models by name."""

    def versions(self) -> list[VersionRecord]:
        """All versions of all models, by name and number."""

    def metrics(self, run_id: str) -> dict[str, float]:
        """The last value of each metric of a run, NaN and infinite ones too; empty for a run that is gone."""


def registry_reader(tracker: Tracker) -> RegistryReader:
    """The reader for a tracker's kind of place.

    Raises:
        UserError: (its methods, too) the place can't be reached, or holds no registry.
    """
    return _ServerReader(tracker.uri) if is_server(tracker.uri) else _DatabaseReader(tracker.uri)


def _metric(value: float) -> float:
    """MLflow's tables hold the largest float in the place of infinity (and 0 and a flag for NaN)."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


class _ServerReader:
    def __init__(self, uri: str) -> None:
        self._uri = uri

    def models(self) -> list[ModelRecord]:
        rows = self._pages("registered-models", "registered_models")
        return sorted((_model(row) for row in rows), key=lambda model: model.name)

    def versions(self) -> list[VersionRecord]:
        rows = self._pages("model-versions", "model_versions")
        return sorted((_version(row) for row in rows), key=lambda version: (version.name, version.version))

    def metrics(self, run_id: str) -> dict[str, float]:
        answer = ask(self._uri, f"{API}/runs/get", query={"run_id": run_id}, absent_ok=True)
        data = answer.get("run", {}).get("data", {})
        return {row["key"]: _metric(float(row["value"])) for row in data.get("metrics", [])}

    def _pages(self, path: str, key: str) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            query = {"max_results": str(PAGE)} | ({"page_token": token} if token else {})
            answer = ask(self._uri, f"{API}/{path}/search", query=query)
            yield from answer.get(key, [])
            token = answer.get("next_page_token", "")
            if not token:
                return


def _model(row: Mapping[str, Any]) -> ModelRecord:
    aliases = {entry["alias"]: int(entry["version"]) for entry in row.get("aliases", [])}
    return ModelRecord(row["name"], row.get("description", ""), dict(sorted(aliases.items())))


def _version(row: Mapping[str, Any]) -> VersionRecord:
    return VersionRecord(
        name=row["name"],
        version=int(row["version"]),
        created=int(row.get("creation_timestamp", 0)),
        description=row.get("description", ""),
        run_id=row.get("run_id", ""),
        source=row.get("source", ""),
        tags={tag["key"]: tag["value"] for tag in row.get("tags", [])},
    )


class _DatabaseReader:
    def __init__(self, uri: str) -> None:
        self._uri = uri

    def models(self) -> list[ModelRecord]:
        aliases: dict[str, dict[str, int]] = {}
        for name, alias, version in self._rows(
            "SELECT name, alias, version FROM registered_model_aliases ORDER BY name, alias"
        ):
            aliases.setdefault(name, {})[alias] = int(version)
        rows = self._rows(f"SELECT name, description FROM registered_models WHERE {NO_PROMPT} ORDER BY name")
        return [ModelRecord(name, text or "", aliases.get(name, {})) for name, text in rows]

    def versions(self) -> list[VersionRecord]:
        tags: dict[tuple[str, int], dict[str, str]] = {}
        for name, version, key, value in self._rows(
            'SELECT name, version, "key", value FROM model_version_tags'
        ):
            tags.setdefault((name, version), {})[key] = value or ""
        rows = self._rows(
            "SELECT name, version, creation_time, description, run_id, source FROM model_versions "
            f"WHERE COALESCE(current_stage, '') <> 'Deleted_Internal' AND {NO_PROMPT} ORDER BY name, version"
        )
        return [
            VersionRecord(
                name,
                int(version),
                created or 0,
                text or "",
                run or "",
                source or "",
                tags.get((name, version), {}),
            )
            for name, version, created, text, run, source in rows
        ]

    def metrics(self, run_id: str) -> dict[str, float]:
        rows = self._rows(
            'SELECT "key", value, is_nan FROM latest_metrics WHERE run_uuid = :run', {"run": run_id}
        )
        return {key: math.nan if is_nan else _metric(float(value)) for key, value, is_nan in rows}

    def _rows(self, statement: str, values: Mapping[str, str] | None = None) -> Sequence[Any]:
        import sqlalchemy
        from sqlalchemy.exc import SQLAlchemyError

        try:
            engine = sqlalchemy.create_engine(self._uri)
            try:
                with engine.connect() as connection:
                    return connection.execute(sqlalchemy.text(statement), values or {}).fetchall()
            finally:
                engine.dispose()
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise UserError(
                f"No model registry can be read from {masked(self._uri)} ({reason}); is it MLflow's database?"
            ) from None
