"""The config of tracking: where runs and models are recorded."""

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from cluster.config import Section
from cluster.config_paths import folder_of, locate_from
from cluster.tracking.places import sqlite_file, sqlite_uri


class TrackingSection(Section):
    """Where runs and models are recorded; changes no result.

    Attributes:
        uri: the URI of an MLflow server (`http://host:5000`) or database; None keeps a SQLite file in the
            workspace.
        experiment: MLflow's name for a group of runs.
        timeout_s: seconds to wait for a server's first answer.
        outage_minutes: minutes to wait for a server that goes away: where a stage starts or a model is
            registered, and at the end for what was logged meanwhile.
    """

    uri: str | None = None
    experiment: str = Field(default="agssp", min_length=1, max_length=250)
    timeout_s: float = Field(default=10, gt=0, le=600)
    outage_minutes: float = Field(default=10, ge=0, le=10_080)

    @field_validator("uri")
    @classmethod
    def _absolute(cls, uri: str | None, info: ValidationInfo) -> str | None:
        """An SQLite file's path is made absolute, as the other paths of a config are."""
        file = sqlite_file(uri) if uri is not None and "?" not in uri else None
        if file is None or not file.name or file.is_absolute():
            return uri
        return sqlite_uri(Path(locate_from(folder_of(info), str(file))))
