"""A team's tracking server as a user starts it: `agssp tracking serve` on a real PostgreSQL."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import requests

from tests.postgres import Postgres

START_SECONDS = 120


@dataclass
class TeamServer:
    """A server that can be killed and started again on the same port, database and artifact store."""

    postgres: Postgres
    folder: Path
    port: int
    admin_password: str = field(default_factory=lambda: f"admin-{secrets.token_hex(8)}")
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def login(self) -> dict[str, str]:
        """The administrator's, for a client's environment."""
        return {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": self.admin_password}

    def start(self) -> None:
        """Start, and wait for the first answer."""
        environment = {
            **os.environ,
            "PGPASSWORD": self.postgres.password,
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.admin_password,
        }
        words = ["tracking", "serve", "--backend", self.postgres.uri, "--artifacts", str(self.folder / "art")]
        words += ["--port", str(self.port), "--workers", "1"]
        with self.log.open("ab") as log:
            self.process = spawn(words, environment, log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if requests.get(f"{self.uri}/health", timeout=2).ok:
                    return
            except requests.RequestException:
                time.sleep(0.2)
        raise RuntimeError(f"the server did not start: {self.log.read_text()[-3000:]}")

    def processes(self) -> list[int]:
        """The server's process, its children and theirs."""
        found = [self.process.pid] if self.process else []
        for pid in found:  # grows while it is gone through
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found

    def kill(self) -> None:
        """End every process of it at once, as a power failure would."""
        if self.process is None or self.process.poll() is not None:
            return
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it as Ctrl-C does; the exit code."""
        if self.process is None or self.process.poll() is not None:
            return 0
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


def spawn(words: list[str], environment: dict[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start `agssp WORDS`."""
    return subprocess.Popen([sys.executable, "-m", "agssp", *words], env=environment, stdout=log, stderr=log)
