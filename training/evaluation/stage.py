"""The evaluate stage: a finetuned detector on the test split; one process, no Ray."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from cluster.errors import UserError
from cluster.progress import progress, say
from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.corpus import split_advice
from pipelines.device import best_device
from pipelines.tables import PREDICTIONS, CorpusTables
from training.detection import DetectionDataset, Sample, labelled_samples
from training.evaluation.cost import model_cost
from training.evaluation.metrics import measure
from training.evaluation.section import EvaluateSection
from training.models import DetectorTiles
from training.models.detectors import Detector
from training.pictures import lost_image
from training.prediction import ImagePrediction, UnreadableImage, look_as
from training.prediction.predict import predict
from training.starts import WEIGHTS_FILE, load_detector

COST_IMAGES = 16


def evaluate_detector(
    section: EvaluateSection,
    *,
    site: Site,
    corpus: Artifact,
    finetuned: Artifact,
) -> Artifact:
    """Predict the labelled images of the test split, score them by the COCO protocol, measure the cost.

    Writes `predictions.parquet` (every box above the protocol's floor, best first), `classes.parquet`,
    `curves.parquet`, `confusion.parquet` and `metrics.json`.

    Raises:
        UserError: the test split has no box to measure on, or an image is gone.
    """
    told = finetuned.record["config"]
    learnt = DetectorTiles.model_validate(
        {key: told[key] for key in told if key in DetectorTiles.model_fields}
    )
    cut = section.cut(learnt)

    def body(bench: Workbench) -> Mapping[str, Any]:
        with finetuned.directory.local_copy(WEIGHTS_FILE) as path:
            detector = load_detector(path)
        detector.cut = cut  # an older file doesn't say what its stage does
        tables = CorpusTables(corpus.directory)
        labels, ignored, rows = tables.boxes(), tables.ignored(), tables.manifest(split="test")
        names = {box["label"] for row in rows for box in labels.get(row["image_id"], ())}
        if not names:
            raise UserError(
                "There is no labelled box in the test split to evaluate on; "
                f"{split_advice(corpus, 'test')}, or label more images."
            )
        names |= {region["label"] for row in rows for region in ignored.get(row["image_id"], ())}
        # A class that only the test split has can't be found; it counts as AP 0.
        classes = (*detector.classes, *sorted(names - set(detector.classes)))
        samples = labelled_samples(rows, labels, classes, ignored)
        device = torch.device(best_device())
        start = time.monotonic()
        predictions = predictions_of(detector, samples, section, device, "evaluate")
        seconds = time.monotonic() - start
        metrics = measure(samples, predictions, classes, min_score=section.min_score)
        inputs = _inputs(detector, samples[:COST_IMAGES])
        cost = model_cost(look_as(section, detector), inputs, device).figures()
        predicted = [result.row(detector.classes) for result in predictions]
        bench.directory.write_table(
            "predictions.parquet", pa.Table.from_pylist(predicted, schema=PREDICTIONS)
        )
        for name, table in metrics.tables().items():
            bench.directory.write_table(f"{name}.parquet", table)
        figures, by_class = metrics.figures(), metrics.by_class()
        summary = {"architecture": detector.architecture, **figures, "cost": cost, "classes": by_class}
        bench.directory.write_json("metrics.json", summary)
        bench.run.log_json(summary, "metrics.json")
        numbers = figures | {name: value for name, value in cost.items() if name != "device"}
        numbers |= {f"map50_95.{name}": row["map50_95"] for name, row in by_class.items() if row}
        bench.run.log_metrics({name: value for name, value in numbers.items() if value is not None})
        return {
            "start": finetuned.results["start"],
            "images": len(samples),
            "backgrounds": sum(not len(sample.labels) and not len(sample.ignored) for sample in samples),
            "boxes": sum(len(sample.labels) for sample in samples),
            "ignored_regions": sum(len(sample.ignored) for sample in samples),
            **figures,
            **cost,
            "images_per_s": round(len(samples) / seconds, 3),
            "classes": by_class,
        }

    if cut.tiles != learnt.tiles:
        say(
            f"evaluate: the detector learnt with finetune.tiles={learnt.tiles} and is measured with "
            f"evaluate.tiles={cut.tiles}, so defects have another size than it knows: leave it out, or give "
            "both the same."
        )
    return ensure(
        "evaluate",
        site=site,
        config=section.deciding_with(cut),
        # Boxes outside the image take no place among the best; strips are averaged where they shrink.
        revision=4,
        inputs={"corpus": corpus, "finetuned": finetuned},
        body=body,
    )


def predictions_of(
    detector: Detector, samples: Sequence[Sample], section: EvaluateSection, device: torch.device, stage: str
) -> list[ImagePrediction]:
    """Every box above the protocol's floor, an image after the other.

    Args:
        detector: the detector; it is moved to `device`.
        samples: the images.
        section: how it looks at images, and how many are in memory at once.
        device: device to run on.
        stage: name of the stage, for the progress bar.

    Raises:
        UserError: an image is gone or can't be read any more.
    """
    images = {sample.image_id: sample.uri for sample in samples}
    levels = {sample.image_id: sample.levels for sample in samples if sample.levels is not None}
    looking = look_as(section, detector)
    results = predict(looking, images, device=device, batch_size=section.batch_size, levels=levels)
    predictions: list[ImagePrediction] = []
    with progress(f"{stage}: finding defects", len(samples)) as bar:
        for result in results:
            if isinstance(result, UnreadableImage):
                raise lost_image(result.uri, result.reason)
            predictions.append(result)
            bar.advance()
    return predictions


def _inputs(detector: Detector, samples: Sequence[Sample]) -> Tensor:
    """Test images as the detector sees them, (N, 3, S, S) in [0, 1]."""
    dataset = DetectionDataset(samples, preprocessing=detector.preprocessing)
    return torch.stack([dataset[index]["image"] for index in range(len(samples))]).float() / 255
