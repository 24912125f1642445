"""Every exported file beside PyTorch: how far its numbers are off, what mAP it loses, how long it takes."""

import copy
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from training.evaluation import measure
from training.export.trial_images import Picture, TrialImages
from training.models import LookSection
from training.models.detectors import Detector
from training.pictures import lost_image
from training.prediction import ImagePrediction, UnreadableImage, ready
from training.prediction.predict import predict
from training.runtimes import (
    Answer,
    FileDetector,
    answer_of,
    in_turn,
    paired_differences,
    torch_answer,
)

Array = npt.NDArray[np.float32]
METRICS = ("map50", "map50_95")
MOST_POINTS_LOST = 1.0  # of mAP in percent; more is said aloud
USED_SCORE = 0.25  # boxes below are rarely shown to anyone
ROUNDS = 7


@dataclass(frozen=True)
class Trial:
    """One file beside PyTorch.

    Attributes:
        format: the file's format.
        bytes: its size, of all its parts.
        pictures: images on which numbers were compared and times taken.
        max_box_error: largest difference of a box that PyTorch gives a score above 0.25 (and of the best of
            each image), pixels of the input.
        max_score_error: largest difference of any score.
        map50, map50_95: of the file, on the labelled images of the test part; None without any.
        points_lost: what the worse of both lost against PyTorch, percent points; None where PyTorch has none.
        latency_ms: median time of a batch of 1 from input to candidates.
        speed_up: median of PyTorch's time through the file's, taken in turn.
    """

    format: str
    bytes: int
    pictures: int
    max_box_error: float
    max_score_error: float
    map50: float | None
    map50_95: float | None
    points_lost: float | None
    latency_ms: float
    speed_up: float

    def warning(self, file: str) -> str | None:
        """What must be said of a file that finds less than PyTorch, or of which nobody knows."""
        if self.points_lost is None:
            if "int8" not in self.format:
                return None
            return (
                f"{file}: nobody knows what 8 bits cost it, as the test part has no labelled image on which "
                "PyTorch finds anything; label some, or measure it on your own before you use it."
            )
        if not self.points_lost <= MOST_POINTS_LOST:
            return (
                f"{file} LOSES {self.points_lost:.1f} POINTS of mAP against PyTorch on the test part; do not "
                "use it where openvino-fp16 or the plain ONNX file is fast enough."
            )
        return None


@dataclass(frozen=True)
class Standard:
    """What files are measured against.

    Attributes:
        map50, map50_95: PyTorch's, on the same images; None without labelled ones.
        measured_images: number of these.
        latency_ms: PyTorch's median over all rounds, of the detector as `agssp predict` readies it.
        threads: threads of PyTorch and of every runtime.
        held_out: whether the pictures were held-out images; else generated ones.
    """

    map50: float | None
    map50_95: float | None
    measured_images: int
    latency_ms: float
    threads: int
    held_out: bool


def try_files(
    detector: Detector, files: Mapping[str, Sequence[Path]], images: TrialImages, look: LookSection
) -> tuple[Standard, dict[str, Trial]]:
    """Compare, measure and time.

    Args:
        detector: the detector, on the CPU.
        files: a format's files, the one that is opened first.
        images: what they are shown.
        look: how the evaluation cuts images.

    Returns:
        PyTorch's figures, and each file's by format.

    Raises:
        UserError: an image is gone, or the detector answers NaN.
    """
    threads = torch.get_num_threads()
    answers = {name: answer_of(paths[0], threads) for name, paths in files.items()}
    shown = images.shown(detector.preprocessing)
    detector.cut = look.cut(detector.cut)  # mirror images are no part of a file
    own = figures_of(detector, images)
    as_served = ready(copy.deepcopy(detector), torch.device("cpu"))
    inputs = [picture.values for picture in shown]
    times = in_turn({"": torch_answer(as_served), **answers}, inputs, rounds=ROUNDS)
    trials: dict[str, Trial] = {}
    for name, answer in answers.items():
        boxes, scores = differences(detector, answer, shown)
        figures = figures_of(FileDetector(detector, answer), images)
        ratios = [own_time / time for own_time, time in zip(times[""], times[name], strict=True)]
        trials[name] = Trial(
            format=name,
            bytes=sum(path.stat().st_size for path in files[name]),
            pictures=len(shown),
            max_box_error=boxes,
            max_score_error=scores,
            map50=figures["map50"],
            map50_95=figures["map50_95"],
            points_lost=points_lost(own, figures),
            latency_ms=1e3 * statistics.median(times[name]),
            speed_up=statistics.median(ratios),
        )
    standard = Standard(
        map50=own["map50"],
        map50_95=own["map50_95"],
        measured_images=len(images.labelled),
        latency_ms=1e3 * statistics.median(times[""]),
        threads=threads,
        held_out=bool(images.held_out),
    )
    return standard, trials


def figures_of(detector: Detector, images: TrialImages) -> dict[str, float | None]:
    """`map50` and `map50_95` on the labelled images; None without any."""
    if not images.labelled:
        return dict.fromkeys(METRICS)
    results: list[ImagePrediction] = []
    uris = {sample.image_id: sample.uri for sample in images.labelled}
    levels = {sample.image_id: sample.levels for sample in images.labelled if sample.levels is not None}
    for result in predict(detector, uris, device=torch.device("cpu"), batch_size=1, levels=levels):
        if isinstance(result, UnreadableImage):
            raise lost_image(result.uri, result.reason)
        results.append(result)
    figures = measure(images.labelled, results, images.classes, min_score=USED_SCORE).figures()
    return {name: figures[name] for name in METRICS}


def points_lost(own: Mapping[str, float | None], figures: Mapping[str, float | None]) -> float | None:
    """The larger loss of both, percent points; None where PyTorch finds nothing that could be lost."""
    if not own["map50"]:
        return None
    losses = [
        100 * (before - after)
        for name in METRICS
        if (before := own[name]) is not None and (after := figures[name]) is not None
    ]
    return max(losses, default=None)


def differences(detector: Detector, answer: Answer, shown: Sequence[Picture]) -> tuple[float, float]:
    """The largest differences of boxes that count (pixels of the input) and of scores; NaN stays NaN."""
    wanted = torch_answer(detector.eval())
    largest = np.zeros(2)
    for picture in shown:
        one, other = wanted(picture.values), answer(picture.values)
        if detector.ranks:
            side = max(picture.values.shape[2:])
            pair = paired_differences(
                (one[0][0], other[0][0]), (one[1][0], other[1][0]), side=side, min_score=USED_SCORE
            )
        else:
            best = one[1][0].max(axis=1)
            rows = best >= min(USED_SCORE, best.max())
            pair = (
                float(np.abs(one[0][0][rows] - other[0][0][rows]).max()),
                float(np.abs(one[1] - other[1]).max()),
            )
        largest = np.maximum(largest, pair)
    return float(largest[0]), float(largest[1])


def document(standard: Standard, trials: Mapping[str, Trial]) -> dict[str, object]:
    """All figures, JSON-able."""
    return {"pytorch": asdict(standard), "files": {name: asdict(trial) for name, trial in trials.items()}}
