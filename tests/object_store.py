"""OpenStack Swift behind its S3 API: a real object store, whole, in one process on this machine.

`python -W ignore -m tests.object_store FOLDER PORT` serves until it is ended.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from tests.repository import ROOT

BUCKET = "plant"
SERVERS = ("account", "container", "object")
READY_SECONDS = 120

COMMON = """[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
log_level = CRITICAL
"""
STORE = """[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
PROXY = """[pipeline:main]
pipeline = catch_errors gatekeeper remembered listing_formats s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:remembered]
paste.filter_factory = tests.object_store:remembered
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = hush-of-the-tester .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
"""


class Memory:
    """In the place of a real cluster's memcached, without which each request asks for its bucket anew."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[float, str]] = {}

    def get(self, key: str, **_: Any) -> Any:
        """What is kept under a key, or None."""
        until, text = self.kept.get(key, (0.0, "null"))
        return json.loads(text) if monotonic() < until else None

    def set(self, key: str, value: Any, time: float = 0, **_: Any) -> None:
        """Keep a value for some seconds; as text, so that who changes what it got changes nothing here."""
        self.kept[key] = (monotonic() + time, json.dumps(value))

    def delete(self, key: str, **_: Any) -> None:
        """Forget what is kept under a key."""
        self.kept.pop(key, None)


def remembered(_config: Mapping[str, str], **_: str) -> Any:
    """Swift's middleware `cache` with a `Memory`."""
    memory = Memory()

    def over(app: Any) -> Any:
        def answer(environment: dict[str, Any], start: Any) -> Any:
            environment["swift.cache"] = memory
            return app(environment, start)

        return answer

    return over


@contextmanager
def object_store() -> Iterator[Mapping[str, str]]:
    """Serve an empty bucket `plant` while the block runs.

    Returns:
        The environment by which every client finds it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="swift-", dir=os.environ.get("TMPDIR")))
    command = [sys.executable, "-W", "ignore", "-m", "tests.object_store", str(folder), str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test:tester",
        "AWS_SECRET_ACCESS_KEY": "hush-of-the-tester",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        assert server.stdout is not None
        began = monotonic()
        assert server.stdout.readline() == "ready\n", "Swift did not start"
        assert monotonic() - began < READY_SECONDS
        _make_bucket(environment)
        yield environment
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _make_bucket(environment: Mapping[str, str]) -> None:
    import boto3

    boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    ).create_bucket(Bucket=BUCKET)


def serve(folder: Path, port: int) -> None:
    """Run proxy, account, container and object server in this process."""
    import eventlet

    eventlet.monkey_patch(thread=False)
    import eventlet.wsgi

    sockets = {name: eventlet.listen(("127.0.0.1", 0)) for name in SERVERS}
    sockets["proxy"] = eventlet.listen(("127.0.0.1", port))
    _configure(folder, {name: listener.getsockname()[1] for name, listener in sockets.items()})
    from swift.common.wsgi import loadapp

    with Path(os.devnull).open("w") as nowhere:
        servers = [
            eventlet.spawn(
                eventlet.wsgi.server,
                listener,
                loadapp(str(folder / f"{name}.conf"), global_conf={}),
                log=nowhere,
                log_output=False,
            )
            for name, listener in sockets.items()
        ]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for server in servers:
            server.wait()


def _configure(folder: Path, ports: Mapping[str, int]) -> None:
    """One ring of one device each, and the servers' files; Swift looks for its own in /etc otherwise."""
    from swift.common import ring, storage_policy, utils
    from swift.common.utils import config

    main = folder / "swift.conf"
    main.write_text(
        "[swift-hash]\nswift_hash_path_suffix = test\n[storage-policy:0]\nname = only\ndefault = yes\n"
    )
    for module in (utils, config, storage_policy):
        module.SWIFT_CONF_FILE = str(main)
    storage_policy.reload_storage_policies()
    utils.validate_hash_conf()
    (folder / "devices" / "disk").mkdir(parents=True)
    for name in SERVERS:
        builder = ring.RingBuilder(2, 1, 0)
        place = {"ip": "127.0.0.1", "port": ports[name]}
        replication = {f"replication_{key}": value for key, value in place.items()}
        builder.add_dev(
            {"id": 0, "region": 1, "zone": 1, "device": "disk", "weight": 1.0, **place, **replication}
        )
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{name}.ring.gz"))
        (folder / f"{name}.conf").write_text(COMMON.format(folder=folder) + STORE.format(name=name))
    (folder / "proxy.conf").write_text(COMMON.format(folder=folder) + PROXY)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
