"""Ray nodes with addresses of their own on one machine: network namespaces joined by a bridge."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PREFIX = f"10.77.{os.getpid() % 250}"  # of two tests at once each has its own
PORT, DASHBOARD = 6379, 8265
SECONDS = 120
# A node that is cut off is noticed within half a minute; one that is merely slow isn't given up.
QUICK = {
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "5",
    "RAY_AUTH_MODE": "disabled",
}


def ip(*words: str) -> None:
    """Run iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Node:
    """A Ray node in a network namespace.

    Args:
        number: 0 is the head.
        cpus: logical ones.
        folder: for Ray's files and logs.
        environment: of all its processes.
    """

    def __init__(self, number: int, cpus: int, folder: Path, environment: dict[str, str]) -> None:
        self.number, self.cpus, self.folder, self.environment = number, cpus, folder, environment
        self.namespace, self.wire = (
            f"agssp{os.getpid() % 10000}-{number}",
            f"ag{os.getpid() % 10000}v{number}",
        )
        self.address = f"{PREFIX}.{number + 1}"
        self.process: subprocess.Popen[bytes] | None = None

    def connect(self, bridge: str) -> None:
        """Make the namespace, and a veth pair from it to the bridge."""
        ip("netns", "add", self.namespace)
        ip("link", "add", self.wire, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        ip("link", "set", self.wire, "master", bridge, "up")
        for words in (("addr", "add", f"{self.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            ip("-n", self.namespace, *words)
        ip("-n", self.namespace, "link", "set", "lo", "up")

    def start(self) -> None:
        """Run `ray start --block` in it."""
        role = (
            ["--head", f"--port={PORT}", "--dashboard-host=0.0.0.0", f"--temp-dir={self.folder}/ray"]
            if self.number == 0
            else [f"--address={PREFIX}.1:{PORT}"]
        )
        command = [
            *(
                "ip",
                "netns",
                "exec",
                self.namespace,
                str(Path(sys.executable).parent / "ray"),
                "start",
                "--block",
            ),
            *role,
            f"--node-ip-address={self.address}",
            f"--num-cpus={self.cpus}",
            "--num-gpus=0",
            f"--object-store-memory={80 << 20}",
            "--disable-usage-stats",
        ]
        with (self.folder / f"node-{self.number}.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _processes(self) -> list[int]:
        command = ["ip", "netns", "pids", self.namespace]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        return [int(pid) for pid in told.stdout.split()]

    def runs(self, title: str) -> bool:
        """Whether a process of the node has `title` in its command line, as Ray's workers have their task."""
        for pid in self._processes():
            try:
                if title in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"):
                    return True
            except OSError:
                continue
        return False

    def kill(self) -> None:
        """SIGKILL every process of the node at once, as a power cut does."""
        for pid in self._processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self.process is not None:
            self.process.wait()

    def cut(self) -> None:
        """Pull the cable: packets are lost, and no one is told."""
        ip("link", "set", self.wire, "down")

    def remove(self) -> None:
        """End what runs in it, and the namespace."""
        self.kill()
        ip("netns", "del", self.namespace)


@contextmanager
def network_cluster(cpus: list[int], environment: dict[str, str]) -> Iterator[tuple[str, list[Node]]]:
    """A Ray cluster of nodes with an address each; skips where namespaces aren't permitted.

    Args:
        cpus: of each node, the head's first.
        environment: of all processes.

    Returns:
        The address of its jobs server, and the nodes.
    """
    bridge = f"agbr{os.getpid() % 10000}"
    with tempfile.TemporaryDirectory(prefix="ag", dir="/tmp", ignore_cleanup_errors=True) as folder:
        nodes = [Node(number, count, Path(folder), environment | QUICK) for number, count in enumerate(cpus)]
        try:
            try:
                ip("link", "add", bridge, "type", "bridge")
                ip("addr", "add", f"{PREFIX}.254/24", "dev", bridge)
                ip("link", "set", bridge, "up")
                for node in nodes:
                    node.connect(bridge)
            except (OSError, subprocess.CalledProcessError) as error:
                reason = (getattr(error, "stderr", None) or str(error)).strip()
                pytest.skip(f"network namespaces can't be made here: {reason}")
            address = f"http://{PREFIX}.1:{DASHBOARD}"
            nodes[0].start()
            _wait_for(address, nodes[0])
            for node in nodes[1:]:
                node.start()
            yield address, nodes
        finally:
            for node in nodes:
                if Path(f"/run/netns/{node.namespace}").exists():
                    node.remove()
            subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True)


def _wait_for(address: str, head: Node) -> None:
    import urllib.request

    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{address}/api/version", timeout=2):
                return
        except OSError:
            assert head.process is not None
            log = (head.folder / "node-0.log").read_text()[-2000:]
            assert head.process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.5)
