"""The detector stage: AGDP on Ray Train, from a start and the boxes of maps, painted defects or labels."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from cluster.progress import say
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from pipelines.encoder import LICENCES
from pipelines.tables import CORRECTED
from training.detection.agdp import CLASSES
from training.detection.defect_boxes import DefectBoxes
from training.detection.judged_boxes import judged_by_labels
from training.detection.section import DetectorSection
from training.detection.training import BoxTraining, train_detector, training_results
from training.loop import ScalingSection, TrainingSite
from training.models import Preprocessing
from training.models.detectors import Detector
from training.starts import (
    BACKBONE_FILE,
    SCRATCH,
    Start,
    filled_detector,
    fresh_detector,
    report_json,
    resolve_start,
    start_of_artifact,
)
from training.weights import TransferReport

# A later round's boxes before painting; its name and columns are the boxes stage's.
CORRECTED_FILE = "boxes.parquet"
LEARNT = {
    "maps": "pseudo-boxes",
    "painted": "painted defects",
    "both": "pseudo-boxes and painted defects",
    "labels": "labelled boxes as one class",
}


def pretrain_detector(
    section: DetectorSection,
    *,
    site: TrainingSite,
    corpus: Artifact,
    boxes: Artifact | None = None,
    painted: Artifact | None = None,
    backbone: Artifact | None = None,
    proposals: Artifact | None = None,
    number: int = 1,
) -> Artifact:
    """Train backbone, neck and head to find the boxes that the section names, one class `anomaly`.

    The test split is never read. Images and boxes that the workspace's review rejects are left out, and are
    part of the fingerprint. Writes `detector.safetensors`, `history.parquet`; with a review `review.json`; in
    later rounds `boxes.parquet`, with the boxes that are learnt (but painted ones) and the `ignored` regions.

    Args:
        section: the config.
        site: workspace, tracking run and workers.
        corpus: the corpus stage's artifact.
        boxes, painted: those of the boxes and the paint stage, as `section.boxes` needs them.
        backbone: the backbone stage's; None where the section names another start.
        proposals: what the detector of the round before finds; None in the first round.
        number: the round, from 1.

    Raises:
        UserError: no box, a damaged review, or weights that are not those of `section.name`.
    """
    inputs = DefectBoxes.reviewed(
        site.workspace, corpus=corpus, boxes=boxes, painted=painted, backbone=backbone, proposals=proposals
    )
    review = inputs.review
    start, extra = None, {"review": review.digest} if review else {}
    if backbone is None and section.begins_with != SCRATCH:
        start = resolve_start(section.begins_with, section.name, lambda: site.run.tracker)
        extra["weights"] = start.digest
    if review:
        say(f"detector: the review leaves out {len(review.images)} images and {review.count} boxes of others")
    return ensure(
        "detector",
        site=site,
        config=section.deciding,
        inputs=inputs.artifacts,
        extra=extra,
        body=lambda bench: _learn(section, inputs, start, bench, site.scaling, number),
        # Metrics: boxes outside the image take no place among the best; strips are averaged.
        revision=3,
    )


def prepared(
    section: DetectorSection, inputs: DefectBoxes, directory: Storage, start: Start | None = None
) -> tuple[BoxTraining, Detector, TransferReport | None]:
    """Images and detector before the first step, and a report of what the start filled, None from scratch.

    Args:
        section: the config.
        inputs: artifacts and review.
        directory: gets `review.json` where the review leaves something out.
        start: weights to begin with where there is no backbone stage; None begins from scratch.

    Raises:
        UserError: no box, or weights that are not those of `section.name`.
    """
    if inputs.review:
        directory.write_json("review.json", inputs.review.document())
    training = inputs.training(section)
    preprocessing, seed = Preprocessing(section.image_size, "square"), section.loop.resolved_seed
    said = "start"
    if inputs.backbone is not None:
        start, said = start_of_artifact(inputs.backbone, BACKBONE_FILE), "backbone"
    if start is None:
        return training, fresh_detector(section.name, CLASSES, preprocessing, seed), None
    detector, report = filled_detector(
        section.name,
        CLASSES,
        preprocessing,
        seed,
        state=start.state,
        metadata=start.metadata,
        source=f"The {said} {start.source}",
        whole=start.whole,
    )
    return training, detector, report


def _learn(
    section: DetectorSection,
    inputs: DefectBoxes,
    start: Start | None,
    bench: Workbench,
    scaling: ScalingSection,
    number: int,
) -> Mapping[str, Any]:
    """The stage's body: from the start to a detector of boxes."""
    training, detector, report = prepared(section, inputs, bench.directory, start)
    if inputs.boxes is not None:  # boxes made before licences were kept name none
        detector.licences = {**detector.licences, **inputs.boxes.results.get(LICENCES, {})}
    weights = {} if start is None else {"weights": start.digest}
    about: dict[str, Any] = {}
    if inputs.boxes is not None and number == 1:
        about = judged_by_labels(inputs.corpus, inputs.boxes)
    title = f"detector: learning {LEARNT[section.boxes]}"
    if inputs.proposals is not None:
        correction = inputs.correction(section)
        about |= {"round": number, "corrected": {"learnt": correction.learnt, "hidden": correction.hidden}}
        say(
            f"detector: of what round {number - 1} finds, {correction.learnt} boxes are learnt and "
            f"{correction.hidden} doubtful regions hidden"
        )
        bench.directory.write_table(CORRECTED_FILE, pa.Table.from_pylist(correction.rows, schema=CORRECTED))
        title = f"detector, round {number} of {section.rounds}: learning {LEARNT[section.boxes]}"
    result = train_detector(
        detector,
        bench,
        training,
        scaling=scaling,
        lineage={name: artifact.fingerprint for name, artifact in inputs.artifacts.items()} | weights,
        title=title,
    )
    review = inputs.review
    return {
        "images": len(training.train),
        "with_boxes": sum(bool(len(sample.labels)) for sample in training.train),
        "boxes": sum(len(sample.labels) for sample in training.train),
        "held_out_images": len(training.held_out),
        "backbone_frozen": training.freeze == "backbone",
        **({"rejected": {"images": len(review.images), "boxes": review.count}} if review else {}),
        **about,
        "masks": section.masks,
        **training_results(result),
        "transfer": None if report is None else report_json(report),
    }
