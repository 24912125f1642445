"""The evaluate stage: a finetuned detector on the test split; one process, no Ray."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import torch
from pydantic import Field

from cluster.config import Section
from cluster.errors import UserError
from cluster.progress import progress
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from pipelines.tables import BOX, SIZE
from training.coco import AveragePrecision, Detections, Truth, average_precision
from training.detection_data import Sample
from training.detector_file import load_detector
from training.detector_training import WEIGHTS_FILE
from training.finetune import labelled_samples
from training.finetune_stage import read_labels
from training.predict import ImagePrediction, UnreadableImage, predict

PREDICTIONS = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        *SIZE,
        (
            "boxes",
            pa.list_(pa.struct([*BOX, pa.field("score", pa.float64()), pa.field("label", pa.string())])),
        ),
    ]
)
CLASS_AP = pa.schema(
    [("name", pa.string()), ("boxes", pa.int64()), ("map50", pa.float64()), ("map50_95", pa.float64())]
)


class EvaluateSection(Section):
    """How a finetuned detector is measured.

    Attributes:
        batch_size: images at once; decides memory and speed alone.
    """

    batch_size: int = Field(default=16, ge=1, le=4096)


def evaluate_detector(
    section: EvaluateSection,
    *,
    workspace: Storage,
    pipeline: PipelineRun,
    corpus: Artifact,
    finetuned: Artifact,
) -> Artifact:
    """Predict the labelled images of the test split and score them by the COCO protocol.

    Writes `predictions.parquet` (every box above the protocol's floor, best first) and `classes.parquet`.

    Raises:
        UserError: the test split has no box to measure on, or an image is gone.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        with finetuned.directory.local_copy(WEIGHTS_FILE) as path:
            detector = load_detector(path)
        labels = read_labels(corpus)
        rows = [row for row in corpus.directory.read_table("manifest").to_pylist() if row["split"] == "test"]
        names = {box["label"] for row in rows for box in labels.get(row["image_id"], ())}
        if not names:
            raise UserError(
                "The corpus has no labelled box in its test split to evaluate on; raise corpus.test_share or "
                "label more images."
            )
        # A class that only the test split has can't be found; it counts as AP 0.
        classes = (*detector.classes, *sorted(names - set(detector.classes)))
        samples = labelled_samples(rows, labels, classes)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        found: list[ImagePrediction] = []
        start = time.monotonic()
        with progress("evaluate: finding defects", len(samples)) as bar:
            images = {sample.image_id: sample.uri for sample in samples}
            for result in predict(detector, images, device=device, batch_size=section.batch_size):
                if isinstance(result, UnreadableImage):
                    raise UserError(
                        f"Test image {result.uri} can't be read any more ({result.reason}); restore it."
                    )
                found.append(result)
                bar.advance()
        seconds = time.monotonic() - start
        scores = score(samples, found, classes)
        predicted = [result.row(detector.classes) for result in found]
        bench.directory.write_table(
            "predictions.parquet", pa.Table.from_pylist(predicted, schema=PREDICTIONS)
        )
        per_class = [asdict(row) for row in scores.classes]
        bench.directory.write_table("classes.parquet", pa.Table.from_pylist(per_class, schema=CLASS_AP))
        bench.run.log_metrics({"map50": scores.map50, "map50_95": scores.map50_95})
        return {
            "start": finetuned.results["start"],
            "images": len(samples),
            "backgrounds": sum(not len(sample.labels) for sample in samples),
            "boxes": sum(len(sample.labels) for sample in samples),
            "map50": scores.map50,
            "map50_95": scores.map50_95,
            "images_per_s": round(len(samples) / seconds, 3),
            "parameters": sum(parameter.numel() for parameter in detector.parameters()),
            # JSON has no NaN: a class without a box in the test split has no AP.
            "classes": {row["name"]: row if row["boxes"] else None for row in per_class},
        }

    return ensure(
        "evaluate",
        workspace=workspace,
        pipeline=pipeline,
        config={},
        inputs={"corpus": corpus, "finetuned": finetuned},
        body=body,
    )


def score(
    samples: Sequence[Sample], found: Sequence[ImagePrediction], classes: Sequence[str]
) -> AveragePrecision:
    """COCO AP of predictions against labelled images, in pixels of the originals.

    Args:
        samples: the truth; at least one box.
        found: one per sample, in any order.
        classes: names in label order.
    """
    by_id = {result.image_id: result for result in found}
    ordered = [by_id[sample.image_id] for sample in samples]
    return average_precision(
        [Truth(sample.boxes, sample.labels) for sample in samples],
        [Detections(result.boxes, result.scores, result.labels) for result in ordered],
        classes,
    )
