"""How a training's figure moves with the test images: the same detections on images drawn anew."""

import numpy as np
import numpy.typing as npt

from cluster.stages import Artifact
from cluster.verdicts import drawn_counts
from pipelines.tables import CorpusTables, box_array
from training.metrics import Detections, MatchedDetections, true_objects

DRAWS = 200  # of the drawn sets of images; each measures every training


def moved_by_images(evaluated: Artifact, labelled: Artifact, metric: str) -> npt.NDArray[np.float64]:
    """A training's figure on drawn test images minus its own, (DRAWS,); paired over trainings.

    Args:
        evaluated: artifact of its evaluation, whose predictions are read.
        labelled: artifact of the labels.
        metric: `map50` or `map50_95`.
    """
    tables = CorpusTables(labelled.directory)
    labels = tables.labels()
    rows = evaluated.directory.read_table("predictions.parquet", columns=["image_id", "boxes"]).to_pylist()
    predicted = {row["image_id"]: row["boxes"] for row in rows}
    ids = sorted(image for image in predicted if image in labels)
    # A region that no class is known of is none of the detections'.
    names = {box["label"] for image in ids for box in labels[image]["boxes"]}
    number = {name: place for place, name in enumerate(sorted(names))}
    truths, detections = [], []
    for image in ids:
        row, boxes = labels[image], [box for box in predicted[image] if box["label"] in number]
        truths.append(
            true_objects(
                box_array(row["boxes"]),
                np.array([number[box["label"]] for box in row["boxes"]], np.int64),
                box_array(row["ignored"]),
                np.array([number.get(box["label"], -1) for box in row["ignored"]], np.int64),
            )
        )
        detections.append(
            Detections(
                box_array(boxes),
                np.array([box["score"] for box in boxes], np.float64),
                np.array([number[box["label"]] for box in boxes], np.int64),
            )
        )
    matches = MatchedDetections.of(truths, detections, len(number))
    thresholds = 1 if metric == "map50" else 10
    own = matches.precision(np.ones(len(ids), np.int64), thresholds)
    drawn = np.array([matches.precision(each, thresholds) for each in drawn_counts(len(ids))[:DRAWS]])
    return np.where(np.isnan(drawn), 0.0, drawn - own)
