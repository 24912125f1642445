"""A real PostgreSQL of the test's own: a fresh cluster in a temporary folder, on a free port."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DEBIAN = Path("/usr/lib/postgresql")
USER = "agssp"


@dataclass(frozen=True)
class Postgres:
    """A running server.

    Attributes:
        port: on 127.0.0.1.
        password: of the user `agssp`, who owns the database `mlflow`.
    """

    port: int
    password: str

    @property
    def uri(self) -> str:
        """Without the password, which goes by PGPASSWORD."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/mlflow"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _program(name: str) -> Path:
    found = shutil.which(name)
    if found:
        return Path(found)
    for folder in sorted(DEBIAN.glob("*/bin"), reverse=True):
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"PostgreSQL's {name} is not installed (apt-get install postgresql)")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Make, start and in the end remove a cluster; as root by another user, as PostgreSQL wants it."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    port, password = free_port(), f"pg-{secrets.token_hex(8)}"
    as_whom: dict[str, Any] = {}
    if os.getuid() == 0:
        import pwd

        nobody = pwd.getpwnam("nobody")
        as_whom = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    folder = Path(tempfile.mkdtemp(prefix="agssp-postgres-"))
    login = folder / "password"
    login.write_text(password)

    def call(*words: object) -> None:
        # Files, not pipes: the server keeps what it inherits open.
        with (folder / "calls.log").open("ab") as log:
            subprocess.run(
                [str(word) for word in words], check=True, stdout=log, stderr=log, cwd=folder, **as_whom
            )

    if as_whom:
        for path in (folder, login):
            os.chown(path, as_whom["user"], as_whom["group"])
        (folder / "calls.log").touch()
    data = folder / "data"
    try:
        call(initdb, "-D", data, "-U", USER, "-A", "scram-sha-256", "--pwfile", login, "--no-sync")
        options = f"-p {port} -k '{folder}' -c listen_addresses=127.0.0.1 -c fsync=off"
        call(pg_ctl, "-D", data, "-w", "-t", "60", "-l", folder / "server.log", "-o", options, "start")
        try:
            _create_database(port, password)
            yield Postgres(port, password)
        finally:
            call(pg_ctl, "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create_database(port: int, password: str) -> None:
    import sqlalchemy

    uri = f"postgresql+psycopg2://{USER}:{password}@127.0.0.1:{port}/postgres"
    engine = sqlalchemy.create_engine(uri, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE mlflow"))
    engine.dispose()
