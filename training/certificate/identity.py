"""Which detector a certificate is of: version, digests, lineage, licences, seeds."""

from collections.abc import Mapping
from typing import Any

from cluster.registry import ModelVersion
from pipelines.encoder import LICENCES, written_licences
from training.models.detectors import Detector
from training.starts import ModelSource
from training.weights import load_weights

UNSAID = "the registry does not say"


def identity(
    version: ModelVersion, source: ModelSource, making: Mapping[str, Any], detector: Detector
) -> dict[str, Any]:
    """The model's entry, JSON-able.

    Args:
        version: its entry in the registry.
        source: its weights.
        making: its `model.json`; empty where the registry has none.
        detector: the loaded detector.
    """
    known = making.get("stages")
    stages = known if isinstance(known, Mapping) else {}
    provenance = version.provenance
    return {
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "created": version.created,
        "description": version.description,
        "architecture": detector.architecture,
        "classes": list(detector.classes),
        "input": list(detector.preprocessing.shape),
        "resize": detector.preprocessing.resize,
        "weights_sha256": source.digest,
        "files": dict(version.files),
        "code_version": provenance.code_version or UNSAID,
        "seeds": dict(provenance.seeds),
        "parents": dict(provenance.parents),
        "stages": {
            str(name): {
                "fingerprint": stage.get("fingerprint"),
                "config": stage.get("config"),
                "versions": stage.get("versions"),
            }
            for name, stage in stages.items()
            if isinstance(stage, Mapping)
        },
        "licences": _licences(source, making),
    }


def _licences(source: ModelSource, making: Mapping[str, Any]) -> dict[str, str]:
    """Licences of all weights behind it: as they were registered, else what the file says."""
    said = making.get(LICENCES)
    if isinstance(said, Mapping):
        return {str(name): str(licence) for name, licence in said.items()}
    return written_licences(load_weights(source.path)[1], source.name)
