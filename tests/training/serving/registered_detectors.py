"""Tiny detectors in a real registry, and images for them."""

import hashlib
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cluster.registry.provenance import Evaluation, file_tags
from cluster.registry.registry import register
from cluster.storage.storage import Storage
from cluster.tracking.section import TrackingSection
from cluster.tracking.tracker import Tracker
from training.models.detectors.base import Detector, build_detector
from training.models.letterbox import Preprocessing
from training.starts.detector_file import WEIGHTS_FILE, save_detector

NAME, ALIAS = "line-finetune-yolov8n", "champion"
REFERENCE = f"{NAME}@{ALIAS}"
CLASSES = ("crack", "hole")
DIGEST = "d" * 64


def tracker_in(folder: Path) -> Tracker:
    """The tracker of a workspace."""
    return Tracker.open(TrackingSection(), Storage.open(str(folder)))


def random_detector(seed: int) -> Detector:
    """A detector of random weights, two classes, 64 pixels a side."""
    torch.manual_seed(seed)
    return build_detector("yolov8n", CLASSES, Preprocessing(64, "letterbox"))


def registered(
    tracker: Tracker,
    folder: Path,
    seed: int,
    *,
    alias: str = ALIAS,
    map50: float | None = None,
    digest: str = DIGEST,
    broken: bool = False,
) -> Path:
    """Register a random detector as a new version and let an alias point at it.

    Args:
        folder: a scratch folder.
        seed: seed of its weights.
        map50: its figure on the data set `line`; None where it was not evaluated.
        digest: digest of that data set.
        broken: whether its first layer is no numbers.

    Returns:
        The weights' file.
    """
    folder.mkdir()
    detector = random_detector(seed)
    if broken:
        next(iter(detector.state_dict().values())).fill_(float("nan"))
    save_detector(detector, Storage.open(str(folder)), WEIGHTS_FILE, {})
    file = folder / WEIGHTS_FILE
    run = tracker.create_run("detector", {})
    run.log_file(file, "weights")
    evaluation = Evaluation("line", digest, 12, {"map50": map50}) if map50 is not None else None
    tags = {
        "fingerprint": f"{seed}-{map50}-{digest}-{broken}",
        **file_tags({WEIGHTS_FILE: hashlib.sha256(file.read_bytes()).hexdigest()}),
        **(evaluation.tags() if evaluation else {}),
    }
    register(run, name=NAME, folder="weights", tags=tags, alias=alias, description="a detector")
    return file


def png(width: int = 90, height: int = 70, seed: int = 0) -> bytes:
    """An image of noise, encoded."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
