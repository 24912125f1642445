"""Stages: content-keyed, resumable, skipped when their artifact is already complete."""

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from cluster.progress import say
from cluster.stages import sentences
from cluster.stages.claim import claimed
from cluster.stages.code_version import code_version
from cluster.stages.site import Site
from cluster.storage import Storage

if TYPE_CHECKING:
    from cluster.tracking import Run

RECORD = "stage.json"
VERSIONS_OF = (
    "agssp",
    "ray",
    "torch",
    "open_clip_torch",
    "timm",
    "ultralytics",
    "opencv-python",
    "pyarrow",
    "mlflow",
)


def digest(content: Any) -> str:
    """Sha256 (hex) of any JSON-able content, independent of key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def list_digest(items: Iterable[Any]) -> str:
    """`digest` of a list that is never held whole."""
    hasher = hashlib.sha256(b"[")
    for place, item in enumerate(items):
        hasher.update(f"{', ' if place else ''}{json.dumps(item, sort_keys=True, default=str)}".encode())
    hasher.update(b"]")
    return hasher.hexdigest()


@dataclass(frozen=True)
class Artifact:
    """What a complete stage left behind.

    Attributes:
        stage: the stage's name.
        fingerprint: hex digest of everything that decided the content.
        directory: the files' directory.
        record: the content of `stage.json`.
        reused: whether it was found complete instead of being made now.
    """

    stage: str
    fingerprint: str
    directory: Storage
    record: Mapping[str, Any]
    reused: bool

    @property
    def results(self) -> Mapping[str, Any]:
        """Counts and figures the stage returned."""
        results: Mapping[str, Any] = self.record["results"]
        return results

    @property
    def identity(self) -> str:
        """What later stages are keyed by: the digest of the content where the stage tells one.

        Two artifacts of one identity differ in nothing that is read of them.
        """
        return str(self.record.get("content") or self.fingerprint)

    @property
    def input_identities(self) -> frozenset[str]:
        """Identities of the artifacts that it was made of."""
        return frozenset(self.record.get("input_identities", self.record["inputs"]).values())


@dataclass(frozen=True)
class Workbench:
    """What a stage's body gets: its own directory and its tracking run."""

    directory: Storage
    run: "Run"


def ensure(
    stage: str,
    *,
    site: Site,
    config: Mapping[str, Any],
    inputs: Mapping[str, Artifact],
    extra: Mapping[str, str] | None = None,
    revision: int = 1,
    prepare: Callable[[], Mapping[str, Artifact]] | None = None,
    content: Callable[[Storage], str] | None = None,
    stands: Callable[[Mapping[str, Any]], bool] | None = None,
    body: Callable[[Workbench], Mapping[str, Any]],
) -> Artifact:
    """The stage's artifact: found complete, or made by `body` (which resumes what it finds half-made).

    Args:
        stage: the stage's name, its directory under the workspace.
        site: the workspace and the tracking run.
        config: the JSON-able config that decides the content.
        inputs: artifacts read, by name.
        extra: further digests that decide the content (weights, prompts, listings).
        revision: raised by the stage's code when its output changes for the same config.
        prepare: makes further artifacts that `body` reads, before the stage is begun and only where it is not
            complete. The record names them among the inputs; they are no part of the fingerprint, as all that
            decides them is.
        content: digest of all that is read of the finished directory. Later stages are then keyed by it, so
            that they are found complete where this stage was made anew and came to the same.
        stands: whether what a complete stage left elsewhere than in its directory is there still, by its
            results; where it is not, the stage is made anew.
        body: makes the artifact and returns JSON-able counts and figures.

    When several runs want the same artifact at once, one makes it; the others wait and use it.

    Raises:
        ClaimLostError: another run took the stage over while this one gave no sign of life.
        RemovedError: the stage's directory was removed meanwhile.
    """
    key: dict[str, Any] = {
        "stage": stage,
        "revision": revision,
        "config": dict(config),
        "inputs": {name: artifact.identity for name, artifact in inputs.items()},
        "extra": dict(extra or {}),
    }
    fingerprint = digest(key)
    directory = site.workspace.at(stage, fingerprint[:16])

    def complete() -> bool:
        there = directory.exists(RECORD)
        return there and (stands is None or stands(directory.read_json(RECORD)["results"]))

    if complete():
        return _reused(stage, fingerprint, directory)
    if directory.exists(RECORD):
        say(sentences.lost(stage))
    read = {**inputs, **({} if prepare is None else prepare())}
    directory.create()
    with claimed(stage, directory, complete) as claim:
        if claim is None:
            return _reused(stage, fingerprint, directory)
        say(sentences.started(stage, directory.uri))
        start, began = time.monotonic(), datetime.now(UTC)
        with site.run.stage(stage, config=dict(config), tags={"fingerprint": fingerprint}) as run:
            results = dict(body(Workbench(directory, run)))
            seconds = round(time.monotonic() - start, 3)
            record = {
                **key,
                "inputs": {name: artifact.fingerprint for name, artifact in read.items()},
                "input_identities": {name: artifact.identity for name, artifact in read.items()},
                "fingerprint": fingerprint,
                "versions": versions(),
                "results": results,
                **({} if content is None else {"content": content(directory)}),
                "started": began.isoformat(timespec="seconds"),
                "seconds": seconds,
                "mlflow_run_id": run.id,
            }
            claim.check()
            run.log_metrics({"seconds": seconds})
            run.log_json(record, RECORD)
            directory.write_json(RECORD, record)  # last: its presence means complete
    say(sentences.done(stage, seconds, results))
    return Artifact(stage, fingerprint, directory, record, reused=False)


def _reused(stage: str, fingerprint: str, directory: Storage) -> Artifact:
    say(sentences.reused(stage, directory.uri))
    return Artifact(stage, fingerprint, directory, directory.read_json(RECORD), reused=True)


def versions() -> dict[str, str]:
    """Versions of Python, of this code and of the libraries that decide results."""
    by_name = {"python": platform.python_version(), "code": code_version()}
    for name in VERSIONS_OF:
        by_name[name] = metadata.version(name)
    return by_name
