"""Tracking URIs, checked before anything starts: known scheme, no open password, a server that answers."""

import contextlib
import http.client
import re
import sqlite3
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from cluster.errors import UserError, nearest
from cluster.storage import masked, refuse_secrets

DATABASES = ("sqlite", "postgresql", "postgres", "mysql", "mssql")
SERVERS = ("http", "https")
# Every MLflow server has it, whatever stands in front; it asks for nothing but one name.
PROBE = "/api/2.0/mlflow/experiments/search?max_results=1"


def is_server(uri: str) -> bool:
    """Whether the URI is that of an MLflow server, which keeps artifacts itself."""
    return uri.partition("://")[0] in SERVERS


def sqlite_uri(file: Path) -> str:
    """The tracking URI of an SQLite file; `%` and `?` in its path are quoted, as SQLAlchemy unquotes them."""
    return f"sqlite:///{urllib.parse.quote(str(file))}"


def sqlite_file(uri: str) -> Path | None:
    """The file of a `sqlite:///` URI; None for other URIs."""
    return Path(urllib.parse.unquote(uri[len("sqlite:///") :])) if uri.startswith("sqlite:///") else None


def check_sqlite(file: Path) -> None:
    """Open an SQLite file, made if absent, before MLflow, which retries a hopeless one for minutes.

    Raises:
        UserError: it can't be opened, or is no database.
    """
    try:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        remedy = "move it away or set tracking.uri."
        raise UserError(f"MLflow's database {file} can't be opened ({error}); {remedy}") from None


def with_driver(uri: str) -> str:
    """The URI of a database with the driver that is installed here: psycopg2 for PostgreSQL."""
    for scheme in ("postgresql://", "postgres://"):  # SQLAlchemy 2.1 takes psycopg 3 for the first
        if uri.startswith(scheme):
            return f"postgresql+psycopg2://{uri.removeprefix(scheme)}"
    return uri


def check_tracking_uri(uri: str, timeout_s: float) -> None:
    """Refuse what can't work, without importing MLflow.

    Args:
        uri: the URI as the user wrote it.
        timeout_s: the time for a server's first answer, in seconds.

    Raises:
        UserError: a secret in it, unknown scheme, unreachable server, not an MLflow server, missing folder.
    """
    refuse_secrets(uri, "tracking.uri")
    scheme = uri.partition("://")[0].partition("+")[0] if "://" in uri else ""
    if scheme in SERVERS:
        _check_server(uri, timeout_s)
    elif scheme not in DATABASES:
        hint = nearest(scheme, [f"{name}://" for name in SERVERS + DATABASES])
        raise UserError(f'tracking.uri="{masked(uri)}" is neither an MLflow server nor a database; {hint}')
    elif scheme == "sqlite":
        database = sqlite_file(uri)
        if database is None or "?" in uri or not database.name:
            raise UserError(
                f'tracking.uri="{uri}" must read sqlite:////absolute/path/mlflow.db (without a "?").'
            )
        if not database.absolute().parent.is_dir():
            raise UserError(
                f"tracking.uri: the folder {database.parent} does not exist; make it or choose another."
            )


def _check_server(uri: str, timeout_s: float) -> None:
    remedy = "start it, correct tracking.uri, or leave tracking.uri out to record in the workspace."
    try:
        with urllib.request.urlopen(uri.rstrip("/") + PROBE, timeout=timeout_s) as answer:
            kind = answer.headers.get_content_type()
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):  # alive, and MLflow has the credentials
            return
        raise UserError(
            f"What answers at {uri} is no working MLflow server (HTTP {error.code}); {remedy}"
        ) from None
    except urllib.error.URLError as error:
        if isinstance(
            error.reason, ssl.SSLError
        ):  # alive, and MLflow has settings of its own for certificates
            return
        raise UserError(f"Unreachable tracking server {uri} ({_reason(error.reason)}); {remedy}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UserError(f"Unreachable tracking server {uri} ({_reason(error)}); {remedy}") from None
    if kind != "application/json":
        raise UserError(f"No MLflow server at {uri} (what answers sends {kind}); {remedy}")


def server_version(uri: str, timeout_s: float) -> str | None:
    """The version an MLflow server tells; None for a database, or where it is told to no one."""
    if not is_server(uri):
        return None
    try:
        with urllib.request.urlopen(uri.rstrip("/") + "/version", timeout=timeout_s) as answer:
            text = answer.read(100).decode("ascii", "replace").strip()
    except (OSError, http.client.HTTPException):
        return None
    return text if re.fullmatch(r"\d+\.\d+[\w.]*", text) else None


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]
