"""A team's MLflow server: PostgreSQL behind it, an artifact store, and a login for everyone."""

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import requests

from cluster.errors import UserError
from cluster.progress import say
from cluster.storage import masked, refuse_secrets
from cluster.tracking.http import ask
from cluster.tracking.places import with_driver

ADMIN_NAME, ADMIN_PASSWORD = "MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD"
SESSION_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"
LEAST_PASSWORD = 12  # MLflow's own minimum
START_SECONDS = 180
STORES = ("s3", "gs", "wasbs", "abfss", "hdfs", "file")

# Everyone who has a login may log runs and register models; only the admin makes users. Without the cache
# every request pays for a slow hash of its password; with it an old password is taken for a minute more.
AUTHENTICATION = """[mlflow]
default_permission = EDIT
database_uri = {uri}
admin_username = {admin}
auth_cache_ttl_seconds = 60
"""


def serve(
    backend: str, artifacts: str, *, host: str, port: int, workers: int, allowed_hosts: str | None
) -> int:
    """Run the server until it is told to end (SIGINT, SIGTERM).

    Secrets come from the environment alone: the database's password as `PGPASSWORD` (or in `~/.pgpass`), the
    administrator's as `MLFLOW_AUTH_ADMIN_PASSWORD`, keys of the artifact store as its own client reads them
    (`AWS_ACCESS_KEY_ID` …). None is put into an argument, where every user of the machine could read it.

    Args:
        backend: `postgresql://USER@HOST:PORT/DATABASE`.
        artifacts: URI or local folder of the files; clients reach them through the server.
        host, port: the address to listen on.
        workers: the number of processes.
        allowed_hosts: names, with commas, by which clients may call the server; None: MLflow's default
            (localhost and private addresses).

    Returns:
        Exit code of the server.

    Raises:
        UserError: a secret in a URI, no password for the administrator, a database that can't be used, a port
            in use, or a server that doesn't start.
    """
    refuse_secrets(backend, "--backend")
    refuse_secrets(artifacts, "--artifacts")
    if not backend.startswith("postgresql"):
        raise UserError(
            f"--backend {masked(backend)} must read postgresql://USER@HOST:PORT/DATABASE; for one person no "
            "server is needed (leave tracking.uri out)."
        )
    database = with_driver(backend)
    environment = _environment(database)
    check_database(database)
    store = _artifact_store(artifacts)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "authentication.ini"
        admin = environment[ADMIN_NAME]
        # MLflow's parser reads % as its own.
        file.write_text(
            AUTHENTICATION.format(uri=database.replace("%", "%%"), admin=admin.replace("%", "%%"))
        )
        environment["MLFLOW_AUTH_CONFIG_PATH"] = str(file)
        words = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
        words += ["--host", host, "--port", str(port), "--workers", str(workers)]
        words += ["--artifacts-destination", store]
        if allowed_hosts is not None:
            words += ["--allowed-hosts", allowed_hosts]
        say(f"Tracking server: starting on {host}:{port} (10-30 s)")
        with subprocess.Popen(words, env=environment, start_new_session=True) as server:
            return _watch(server, f"http://{_reachable(host)}:{port}")


def check_database(uri: str) -> None:
    """Open a PostgreSQL database once.

    Raises:
        UserError: it can't be opened; the sentence has no password in it.
    """
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = sqlalchemy.create_engine(uri, connect_args={"connect_timeout": 10})
        engine.connect().close()
        engine.dispose()
    except (SQLAlchemyError, ValueError) as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise UserError(
            f"The database {masked(uri)} can't be opened ({reason}); create it (createdb), and give its "
            "password as PGPASSWORD."
        ) from None


def add_user(uri: str, name: str, password: str) -> Mapping[str, Any]:
    """Make a login on a team's server, as its administrator (`MLFLOW_TRACKING_USERNAME` and `…_PASSWORD`).

    Raises:
        UserError: a password that is too short, a name that is taken, or no administrator.
    """
    if len(password) < LEAST_PASSWORD:
        raise UserError(f"The password of {name} needs at least {LEAST_PASSWORD} characters.")
    ask(uri, "/api/2.0/mlflow/users/create", body={"username": name, "password": password})
    return {"user": name, "server": uri}


def _artifact_store(artifacts: str) -> str:
    """The URI of the artifact store; a local folder is made."""
    scheme, separator, _ = artifacts.partition("://")
    if separator and scheme not in STORES:
        raise UserError(f"--artifacts {artifacts} is of no known kind; use {', '.join(STORES)} or a folder.")
    if scheme == "s3" and find_spec("boto3") is None:
        raise UserError("MLflow reaches s3:// by boto3, which is not installed; pip install boto3.")
    if separator and scheme != "file":
        return artifacts
    folder = Path(urllib.parse.unquote(urllib.parse.urlsplit(artifacts).path) if separator else artifacts)
    folder = folder.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--artifacts {folder} can't be made ({error.strerror}); give another.") from None
    return folder.as_uri()


def _environment(database: str) -> dict[str, str]:
    password = os.environ.get(ADMIN_PASSWORD, "")
    if len(password) < LEAST_PASSWORD:
        state = "is not set" if not password else "is too short"
        raise UserError(
            f"The administrator's password {state}; set the environment variable {ADMIN_PASSWORD} "
            f"({LEAST_PASSWORD} characters at least)."
        )
    return {
        ADMIN_NAME: "admin",
        # Signs the pages' forms; a new one each start only means that open pages must be loaded again.
        SESSION_KEY: secrets.token_hex(32),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": database,
    }


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)


def _watch(server: "subprocess.Popen[bytes]", uri: str) -> int:
    """Wait for the first answer, say where the server is, and pass the end on to it."""

    def end(number: int, frame: FrameType | None) -> None:
        _signal(server, signal.SIGTERM)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if _answers(server, uri):
            say(f"Tracking server: ready at {uri}; stop it with Ctrl-C. For every user:")
            say(f"  export MLFLOW_TRACKING_USERNAME=NAME MLFLOW_TRACKING_PASSWORD=…; set tracking.uri={uri}")
        code = server.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if server.poll() is None:
            _signal(server, signal.SIGKILL)
    return 0 if code in (0, -signal.SIGTERM) else code


def _signal(server: "subprocess.Popen[bytes]", number: int) -> None:
    if server.poll() is None:
        os.killpg(server.pid, number)  # a session of its own: its workers are in it


def _answers(server: "subprocess.Popen[bytes]", uri: str) -> bool:
    began = time.monotonic()
    while server.poll() is None:
        try:
            if requests.get(f"{uri}/health", timeout=2).ok:
                return True
        except requests.RequestException:
            pass
        if time.monotonic() - began > START_SECONDS:
            _signal(server, signal.SIGKILL)
            raise UserError(f"The tracking server gave no answer in {START_SECONDS} s; see its lines above.")
        time.sleep(0.3)
    if server.returncode in (0, -signal.SIGTERM):  # told to end meanwhile
        return False
    raise UserError(f"The tracking server ended at once (code {server.returncode}); see its lines above.")
