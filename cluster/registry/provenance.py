"""What a registered version says of itself in MLflow tags: how it was made, how it was judged, its files."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cluster import json_text
from cluster.tracking import MAX_TAG

EVALUATION, FILE = "evaluation.", "sha256."
CORPUS, PROMPTS, THRESHOLDS, PARENTS = "corpus", "prompts", "thresholds", "parents"
CODE_VERSION, SEEDS = "code_version", "seeds"
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Provenance:
    """What made a version; None and empty where it doesn't apply (a detector from scratch has no prompts).

    Attributes:
        corpus: fingerprint of the corpus.
        prompts: digest of the prompts its anomaly maps were made with.
        thresholds: the pseudo-boxes' thresholds by category, in units of the anomaly map; or, where they
            are too many for a tag, `{"categories": …, "digest": …}` (the version's `model.json` has them).
        parents: `NAME@VERSION` of the registered models it was started from, by stage.
        code_version: the program's version.
        seeds: random seeds by stage.
    """

    corpus: str | None = None
    prompts: str | None = None
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    code_version: str | None = None
    seeds: Mapping[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    def tags(self) -> dict[str, str]:
        """The same as tags; None and empty values have none."""
        plain = {CORPUS: self.corpus, PROMPTS: self.prompts, CODE_VERSION: self.code_version}
        mappings = {THRESHOLDS: self.thresholds, PARENTS: self.parents, SEEDS: self.seeds}
        return {name: value for name, value in plain.items() if value is not None} | {
            name: _fitting(value) for name, value in mappings.items() if value
        }

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "Provenance":
        """Read back from tags; what was never said, or isn't ours, is None or empty."""
        return cls(
            corpus=tags.get(CORPUS),
            prompts=tags.get(PROMPTS),
            thresholds=_mapping(tags.get(THRESHOLDS)),
            parents={name: str(value) for name, value in _mapping(tags.get(PARENTS)).items()},
            code_version=tags.get(CODE_VERSION),
            seeds={
                name: value for name, value in _mapping(tags.get(SEEDS)).items() if isinstance(value, int)
            },
        )


@dataclass(frozen=True)
class Evaluation:
    """How a version did on a dataset it never learnt from.

    Attributes:
        dataset: its name.
        digest: the digest of its images and labels; two versions' figures compare only where it is the same.
        images: the number of images.
        metrics: values by name; larger is better. NaN where nothing could be measured.
    """

    dataset: str
    digest: str
    images: int
    metrics: Mapping[str, float]

    def tags(self) -> dict[str, str]:
        """The same as one tag."""
        # With the name, which a tag's key may not be able to hold.
        content = {
            "dataset": self.dataset,
            "digest": self.digest,
            "images": self.images,
            "metrics": dict(self.metrics),
        }
        return {f"{EVALUATION}{self.dataset}": json_text.dumps(content)}


def evaluations(tags: Mapping[str, str]) -> dict[str, Evaluation]:
    """Evaluations by dataset; a tag that isn't ours is left out."""
    by_dataset = {}
    for key, text in tags.items():
        content = _mapping(text) if key.startswith(EVALUATION) else {}
        metrics = content.get("metrics")
        if isinstance(metrics, dict) and isinstance(content.get("digest"), str):
            named = content.get("dataset")
            name = named if isinstance(named, str) else key.removeprefix(EVALUATION)
            figures = {str(metric): _figure(value) for metric, value in metrics.items()}
            images = content.get("images")
            count = images if isinstance(images, int) else 0
            by_dataset[name] = Evaluation(name, content["digest"], count, figures)
    return dict(sorted(by_dataset.items()))


def _figure(value: Any) -> float:
    """A finite figure, else NaN: JSON has null in the place of what was measured as no number."""
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer of hundreds of digits
        return math.nan
    return number if math.isfinite(number) else math.nan


def file_tags(digests: Mapping[str, str]) -> dict[str, str]:
    """Tags of sha256 (hex) by file name."""
    return {f"{FILE}{name}": digest for name, digest in digests.items()}


def file_digests(tags: Mapping[str, str]) -> dict[str, str]:
    """Sha256 (hex) by file name; names that could lead out of a folder are left out."""
    digests = {key.removeprefix(FILE): value for key, value in tags.items() if key.startswith(FILE)}
    return {
        name: digest
        for name, digest in sorted(digests.items())
        if PLAIN_NAME.fullmatch(name) and SHA256.fullmatch(digest)
    }


def _fitting(value: Mapping[str, Any]) -> str:
    from cluster.stages import digest

    text = json_text.dumps(value)
    if len(text) <= MAX_TAG:
        return text
    return json_text.dumps({"categories": len(value), "digest": digest(dict(value))})


def _mapping(text: str | None) -> dict[str, Any]:
    try:
        content = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
