"""Whether the detector has seen the images that it is judged on, or near-duplicates of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.stages import RECORD, Artifact
from cluster.storage import Storage
from pipelines.corpus import EXACT, HashedImage
from pipelines.corpus.contamination import contamination
from pipelines.tables import CorpusTables
from training.starts import PUBLISHED, SCRATCH, SURFACE, surface_digest

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
# Stages that may begin with weights of the user's own, and what of their record is the weights' digest.
BEGAN_WITH = {"backbone": "start", "detector": "weights", "finetune": "weights"}
LEARNT_FROM = ("corpus", "labels")  # stages whose images a detector, or what it began with, has seen


@dataclass(frozen=True)
class Leak:
    """The check of the test part.

    Attributes:
        seen: ids of test images that were learnt from, or are near-duplicates of such.
        exact, near: their numbers by kind.
        compared: images that were learnt from.
        sources: name of each stage that was learnt from → its fingerprint.
        missing: those whose images are not in this workspace.
        untold: stages that began with weights of which nobody knows what they had learnt from, each with
            the weights' digest.
    """

    seen: frozenset[str]
    exact: int
    near: int
    compared: int
    sources: Mapping[str, str]
    missing: tuple[str, ...]
    untold: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether all images that were learnt from are known."""
        return bool(self.sources) and not self.missing and not self.untold

    def sentence(self, test: int) -> str:
        """The result in words; `test` is the number of test images."""
        if not self.sources:
            return (
                "NOT checked: the registry does not say which images this detector has learnt from, so "
                "nobody knows whether it has seen the test part."
            )
        told = (
            f"None of {test} test images, and no near-duplicate of one, is among the {self.compared} that "
            "were learnt from."
        )
        if self.seen:
            told = (
                f"{self.exact} of {test} test images were learnt from and {self.near} more are "
                f"near-duplicates of such ({self.compared} were learnt from); these are in no figure below."
            )
        if self.missing:
            told += (
                f" NOT checked: images of {', '.join(self.missing)}, which are not in this workspace; it may "
                "have seen more."
            )
        if self.untold:
            told += (
                f" NOT checked: what the weights that it began with ({', '.join(self.untold)}) had learnt "
                "from, as they were given as a file or a model; it may have seen more."
            )
        return told

    def document(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "known": self.known,
            "exact": self.exact,
            "near": self.near,
            "compared": self.compared,
            "sources": dict(self.sources),
            "missing": list(self.missing),
            "untold": list(self.untold),
        }


def find_leak(making: Mapping[str, Any], labelled: Artifact, workspace: Storage, limit: int) -> Leak:
    """Compare the test part with all images that a version has learnt from.

    Args:
        making: the version's `model.json`.
        labelled: artifact of the labelled images.
        workspace: root of all stages, where those of the version are looked for.
        limit: most differing bits of near-duplicates.
    """
    known = making.get("stages")
    stages = {
        str(name): stage
        for name, stage in (known.items() if isinstance(known, Mapping) else ())
        if isinstance(stage, Mapping)
    }
    sources = {
        name: str(stage["fingerprint"])
        for name, stage in stages.items()
        if name in LEARNT_FROM and "fingerprint" in stage
    }
    learnt: dict[str, HashedImage] = {}
    missing = []
    for name, fingerprint in sources.items():
        directory = _directory(name, fingerprint, labelled, workspace)
        if directory is None:
            missing.append(f"{name} {fingerprint[:16]}")
            continue
        tables = CorpusTables(directory)
        learnt |= {one.image_id: one for one in _hashed(tables, "seen")}
    # An image may be held out here and learnt from elsewhere: the test part here decides.
    test = _hashed(CorpusTables(labelled.directory), "test")
    matches = contamination(test, list(learnt.values()), limit)
    by_uri = {image.uri: image.image_id for image in test}
    exact = sum(match.kind == EXACT for match in matches)
    return Leak(
        seen=frozenset(by_uri[match.uri] for match in matches),
        exact=exact,
        near=len(matches) - exact,
        compared=len(learnt),
        sources=sources,
        missing=tuple(missing),
        untold=untold_starts(stages),
    )


def untold_starts(stages: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Stages that began with given weights, and their digests; no published ones, nor the shipped start.

    Args:
        stages: name → its record in `model.json`.
    """
    told = []
    for name, stage in stages.items():
        extra, config = (stage.get(key) for key in ("extra", "config"))
        given = extra.get(BEGAN_WITH.get(name, "")) if isinstance(extra, Mapping) else None
        start = config.get("start") if isinstance(config, Mapping) else None
        if given is None or start == SURFACE or _is_public(str(given)):
            continue
        told.append(f"{name}: SHA-256 {str(given)[:16]}")
    return tuple(told)


def _is_public(digest: str) -> bool:
    return digest == SCRATCH or digest.partition(":")[0] in PUBLISHED or digest == surface_digest()


def _directory(name: str, fingerprint: str, labelled: Artifact, workspace: Storage) -> Storage | None:
    """Where a stage's artifact lies; None where it is gone or another."""
    if fingerprint == labelled.fingerprint:
        return labelled.directory
    if not FINGERPRINT.fullmatch(fingerprint):  # a registry may hold any text, and this one names a folder
        return None
    directory = workspace.at(name, fingerprint[:16])
    if not directory.exists(RECORD) or directory.read_json(RECORD).get("fingerprint") != fingerprint:
        return None
    return directory


def _hashed(tables: CorpusTables, part: str) -> list[HashedImage]:
    """Images of the test split, or all others, which may have been seen."""
    hashes = tables.hashes()
    return [
        HashedImage(row["uri"], row["image_id"], hashes[row["image_id"]])
        for row in tables.manifest(columns=("image_id", "uri", "split"))
        if (row["split"] == "test") == (part == "test")
    ]
