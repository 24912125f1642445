"""Files of a detector beside the plain ONNX one: made, tried, and what must be said of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact
from training.evaluation import EvaluateSection
from training.export.formats import refuse_missing, write_format
from training.export.nms_file import FORMAT as NMS, write_nms
from training.export.section import QUANTISED, ExportSection
from training.export.trial_images import TrialImages, calibration_pictures, trial_images
from training.export.trials import Trial, document, try_files
from training.models import DetectorTiles
from training.models.detectors import Detector
from training.prediction import PredictSection
from training.runtimes import MOST_BOX_ERROR, MOST_SCORE_ERROR

NMS_FILE = "detector-nms.onnx"
PLAIN = "onnx"


@dataclass(frozen=True)
class Conditions:
    """What further files are made and tried with.

    Attributes:
        corpus: a `corpus` or `labels` artifact; None where the config names no images.
        predict: its score floor is that of the file with suppression, which sees no tiles.
        evaluate: how images are cut where figures are measured.
    """

    corpus: Artifact | None
    predict: PredictSection
    evaluate: EvaluateSection

    @property
    def deciding(self) -> dict[str, Any]:
        """The settings that decide the result, JSON-able."""
        return {"min_score": self.predict.min_score, **self.evaluate.deciding_tiles}


@dataclass(frozen=True)
class FurtherFiles:
    """What was written.

    Attributes:
        paths: the files.
        names: names of the files by format, the one that is opened first.
        document: their figures, for `contract.json` and the record.
        figures: the same for the tracking run.
        warnings: what must be said aloud.
    """

    paths: Sequence[Path]
    names: Mapping[str, Sequence[str]]
    document: Mapping[str, Any]
    figures: Mapping[str, float]
    warnings: Sequence[str]


def refuse_further(section: ExportSection, predict: PredictSection, *, images: bool) -> None:
    """Refuse files that can't be made, before anything is.

    Args:
        section: the config.
        predict: how `agssp predict` is set.
        images: whether the config names images.

    Raises:
        UserError: a package is missing; images to calibrate on are; `predict` cuts images into tiles.
    """
    refuse_missing(section)
    if section.quantised and not images:
        raise UserError(
            f"export.formats={','.join(section.formats)}: files of 8 bits are calibrated on images of the "
            "training part, and the config names none; give corpus.root or finetune.data."
        )
    refuse_seams(section, predict, DetectorTiles())


def refuse_seams(section: ExportSection, predict: PredictSection, learnt: DetectorTiles) -> None:
    """Refuse the file with suppression where predictions are joined of tiles.

    Args:
        section: the config.
        predict: how `agssp predict` is set.
        learnt: how the detector's training cut images.

    Raises:
        UserError: they are.
    """
    if section.nms and (cut := predict.cut(learnt)).tiles != "off":
        told = ", as the detector learnt," if predict.tiles == "learnt" else ""
        raise UserError(
            f"predict.tiles={cut.tiles}{told} joins boxes over seams; no file does. Set export.nms=false, "
            "or predict.tiles=off if whole images are what the file will see."
        )


def write_further(
    section: ExportSection,
    conditions: Conditions,
    detector: Detector,
    *,
    source: Path,
    contract: Mapping[str, Any],
) -> FurtherFiles:
    """Write the files that the config asks for beside `source`, and try each beside PyTorch.

    Args:
        section: the config.
        conditions: what they are made and tried with.
        detector: the detector, on the CPU.
        source: its ONNX file.
        contract: that of `source`, which travels in each file.

    Raises:
        UserError: no image to calibrate on, an image is gone, or the detector answers NaN.
        RuntimeError: a file of float32 differs by more than rounding; see `write_nms`.
    """
    images = TrialImages()
    if conditions.corpus is not None:
        images = trial_images(
            conditions.corpus,
            detector.classes,
            calibration=section.calibration_images,
            measured=section.measured_images,
        )
    files: dict[str, Sequence[Path]] = {PLAIN: [source]}
    pictures = calibration_pictures(images, detector.preprocessing) if section.quantised else []
    for name in section.formats:
        say(f"export: {name}")
        eight = {"calibration_images": len(pictures)} if name in QUANTISED else {}
        told = {**contract, "format": name, **eight}
        files[name] = write_format(name, source, source.parent, told, pictures)
    say("export: every file beside PyTorch")
    standard, trials = try_files(detector, files, images, conditions.evaluate)
    _refuse_another_network(trials)
    made: dict[str, Any] = document(standard, trials)
    unproven: list[str] = []
    if section.nms:
        files[NMS] = [source.parent / NMS_FILE]
        check = write_nms(
            detector,
            source,
            files[NMS][0],
            contract={**contract, "format": NMS},
            min_score=conditions.predict.min_score,
            pictures=images.shown(detector.preprocessing),
        )
        made[NMS] = asdict(check)
        if not check.detections:
            unproven.append(
                f"{NMS_FILE}: no image that it was compared on shows a box above predict.min_score="
                f"{conditions.predict.min_score:g}, so this proves little; export with images that have some."
            )
    warnings = [
        *(sentence for name, trial in trials.items() if (sentence := trial.warning(files[name][0].name))),
        *unproven,
    ]
    return FurtherFiles(
        paths=[path for name, paths in files.items() if name != PLAIN for path in paths],
        names={name: [path.name for path in paths] for name, paths in files.items() if name != PLAIN},
        document={**made, "warnings": warnings},
        figures=_figures(made),
        warnings=warnings,
    )


def _refuse_another_network(trials: Mapping[str, Trial]) -> None:
    for name in (PLAIN, "openvino-fp32"):
        trial = trials.get(name)
        if trial is None:
            continue
        if not (trial.max_box_error <= MOST_BOX_ERROR and trial.max_score_error <= MOST_SCORE_ERROR):
            raise RuntimeError(
                f"The {name} file does not give what PyTorch gives: boxes differ by {trial.max_box_error:g} "
                f"pixels, scores by {trial.max_score_error:g}"
            )


def _figures(made: Mapping[str, Any]) -> dict[str, float]:
    """All numbers by `FORMAT.NAME`."""
    sides = {"pytorch": made["pytorch"], **made["files"], **({NMS: made[NMS]} if NMS in made else {})}
    return {
        f"{side}.{name}": float(value)
        for side, values in sides.items()
        for name, value in values.items()
        if isinstance(value, int | float)
    }
