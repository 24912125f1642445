"""A detector as one safetensors file that says what it is: architecture, classes, preprocessing, lineage."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cluster.errors import UserError
from cluster.storage import Storage
from pipelines.encoder import LICENCES, written_licences
from pipelines.images import Levels
from training.models import DetectorTiles, Preprocessing
from training.models.detectors import Detector, build_detector
from training.weights import StateDict, check_whole, load_weights, save_weights

WEIGHTS_FILE = "detector.safetensors"


MAX_CLASSES = 10_000
MAX_SIDE = 4096


def save_detector(detector: Detector, directory: Storage, name: str, lineage: Mapping[str, str]) -> None:
    """Write the detector's weights, in its library's keys, with metadata.

    Args:
        detector: the detector, on any device.
        directory: target.
        name: the file's name.
        lineage: fingerprints of its sources, by name.
    """
    metadata: dict[str, Any] = {
        "kind": "detector",
        "architecture": detector.architecture,
        "classes": list(detector.classes),
        "preprocessing": {"size": detector.preprocessing.size, "resize": detector.preprocessing.resize},
        "lineage": dict(lineage),
        LICENCES: dict(detector.licences),
    }
    if detector.levels is not None:
        metadata["levels"] = list(detector.levels)
    metadata |= {"tiles": tiles} if (tiles := detector.cut.deciding_tiles) else {}
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / WEIGHTS_FILE  # `name` may hold folders
        save_weights(local, detector.state_dict(), metadata)
        directory.put(local, name)


def load_detector(path: Path) -> Detector:
    """Rebuild a detector from a file of `save_detector`, on the CPU, in eval mode.

    Raises:
        UserError: no such file, not safetensors, not a detector of ours, or weights that don't fit what the
            file says of itself.
    """
    state, metadata = load_weights(path)
    detector = _build(path, metadata, state)
    check_whole(
        path,
        state,
        detector.state_dict(),
        name=detector.architecture,
        remedy="export it again",
        classes=len(detector.classes),
    )
    detector.load_state_dict(state)
    detector.levels = _levels(metadata.get("levels"))
    detector.cut = _cut(path, metadata.get("tiles", {}))
    detector.licences = written_licences(metadata, "weights")
    return detector.eval()


def _levels(written: object) -> Levels | None:
    """Two rising finite numbers; anything else was not written here."""
    if not isinstance(written, list) or len(written) != 2:
        return None
    black, white = written
    if not all(isinstance(end, int | float) and math.isfinite(end) for end in written) or black >= white:
        return None
    return float(black), float(white)


def _cut(path: Path, written: object) -> DetectorTiles:
    """How the training cut images; a file that says nothing is of whole images, or older than this word."""
    try:
        return DetectorTiles.model_validate(written)
    except ValidationError:
        raise UserError(
            f"Weights file {path} does not tell how its training cut images into tiles: its metadata `tiles` "
            f"is {str(written)[:80]!r}; finetune it again, or take another file."
        ) from None


def _build(path: Path, metadata: Mapping[str, Any], state: StateDict) -> Detector:
    name, classes, shape = (metadata.get(key) for key in ("architecture", "classes", "preprocessing"))
    written, resize = (shape.get("size"), shape.get("resize")) if isinstance(shape, dict) else (None, None)
    size = _size(written)
    if (
        metadata.get("kind") == "detector"
        and isinstance(name, str)
        and isinstance(classes, list)
        and 0 < len(classes) <= MAX_CLASSES
        and all(isinstance(label, str) for label in classes)
        and size is not None
        and (resize == "letterbox" or resize == "square")
    ):
        return build_detector(name, tuple(classes), Preprocessing(size, resize), like=state)
    raise UserError(
        f"Weights file {path} is not a detector made here (its metadata does not name architecture, classes "
        "and preprocessing); use the detector.safetensors of a finetune stage, or finetune from it."
    )


def _size(written: Any) -> int | tuple[int, int] | None:
    """The side, or height and width, of an input that detectors take; None for anything else."""
    sides = written if isinstance(written, list) and len(written) == 2 else [written]
    if not all(isinstance(side, int) and 32 <= side <= MAX_SIDE and side % 32 == 0 for side in sides):
        return None
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])
