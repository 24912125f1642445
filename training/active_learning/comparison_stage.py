"""The stage that compares two versions on the held-out images: paired, with an interval and a p."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.choice import groups_of
from pipelines.device import best_device
from pipelines.tables import CorpusTables
from training.active_learning.section import ActiveLearningSection
from training.detection import Sample, labelled_samples
from training.evaluation import EvaluateSection, predictions_of
from training.metrics import Detections, MatchedDetections, difference_interval, swapped_p, true_objects
from training.models.detectors import Detector
from training.starts import WEIGHTS_FILE, ModelSource, load_detector

THRESHOLDS = {"map50": 1, "map50_95": 10}  # IoU thresholds of a metric, see `ClassMatches.precision`


def compare_versions(
    section: ActiveLearningSection,
    evaluate: EvaluateSection,
    *,
    seed: int,
    site: Site,
    labelled: Artifact,
    in_use: ModelSource,
    candidate: Artifact,
) -> Artifact:
    """Judge a candidate against the version in use, on the same held-out images.

    Near-duplicates count as one: they are drawn and swapped together. See `swapped_p` for the test and
    `difference_interval` for the interval.

    Args:
        section: metric and number of draws.
        evaluate: how images are cut.
        seed: seed of the draws.
        site: workspace and tracking run.
        labelled: artifact whose test split is held out from both.
        in_use: weights of the version in use.
        candidate: artifact of the finetuned candidate.

    Raises:
        UserError: an image is gone or can't be read any more.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        device = torch.device(best_device())
        with candidate.directory.local_copy(WEIGHTS_FILE) as path:
            detectors = (load_detector(in_use.path), load_detector(path))
        tables = CorpusTables(labelled.directory)
        labels, ignored, rows = tables.boxes(), tables.ignored(), tables.manifest(split="test")
        ids = {row["image_id"] for row in rows}
        truth = {box["label"] for one in (labels, ignored) for image in ids for box in one.get(image, ())}
        classes = sorted(truth.union(*(detector.classes for detector in detectors)))
        samples = labelled_samples(rows, labels, classes, ignored)
        first, second = (_matched(one, samples, classes, evaluate, device) for one in detectors)
        near = groups_of(tables)
        names = [near.get(sample.image_id, sample.image_id) for sample in samples]
        groups = np.unique(names, return_inverse=True)[1].astype(np.int64)
        thresholds, count = THRESHOLDS[section.metric], len(samples)
        say(f"compare: drawing {section.draws} swaps of what the two found, and images for the interval")
        ends = difference_interval(second, first, count, seed=seed, groups=groups, thresholds=thresholds)
        one = np.ones(count, np.int64)
        figures = [float(each.precision(one, thresholds)) for each in (first, second)]
        p = swapped_p(first, second, groups, draws=section.draws, seed=seed, thresholds=thresholds)
        results: dict[str, Any] = {
            "metric": section.metric,
            "in_use": figures[0],
            "candidate": figures[1],
            "difference": figures[1] - figures[0],
            "low": None if ends is None else ends[0],
            "high": None if ends is None else ends[1],
            "p": p,
            "images": count,
            "groups": int(groups.max()) + 1,
        }
        bench.run.log_metrics(
            {key: float(results[key]) for key in ("in_use", "candidate", "difference", "p")}
        )
        return results

    return ensure(
        "compare",
        site=site,
        config={"metric": section.metric, "draws": section.draws, "seed": seed, **evaluate.deciding},
        inputs={"labels": labelled, "candidate": candidate},
        extra={"in_use": in_use.digest},
        revision=2,  # no interval of few images, and none without a width
        body=body,
    )


def _matched(
    detector: Detector,
    samples: Sequence[Sample],
    classes: Sequence[str],
    section: EvaluateSection,
    device: torch.device,
) -> MatchedDetections:
    """A detector's boxes on the images, matched with what is there; labels are places in `classes`."""
    found = {one.image_id: one for one in predictions_of(detector, samples, section, device, "compare")}
    places = np.array([classes.index(name) for name in detector.classes], np.int64)
    ordered = [found[sample.image_id] for sample in samples]
    return MatchedDetections.of(
        [true_objects(one.boxes, one.labels, one.ignored, one.ignored_labels) for one in samples],
        [Detections(one.boxes, one.scores, places[one.labels]) for one in ordered],
        len(classes),
    )
