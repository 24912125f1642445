"""The certify stage: a registered detector judged on the test part, as one page and the JSON behind it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from cluster import json_text
from cluster.errors import UserError
from cluster.registry import ModelVersion
from cluster.stages import Artifact, Site, Workbench, digest, ensure, versions
from pipelines.choice import groups_of
from pipelines.corpus import split_advice
from pipelines.device import best_device
from pipelines.tables import CorpusTables
from training.certificate.figures import Judged, false_calls, recall_by_size, share, size_of
from training.certificate.identity import UNSAID, identity
from training.certificate.latency import latency, machine_name
from training.certificate.leak import Leak, find_leak
from training.certificate.measuring import Looking, judged_images, robustness, sizes_and_hits
from training.certificate.page import render_page
from training.certificate.pod import probability_of_detection
from training.certificate.pod_picture import pod_picture
from training.certificate.section import CertifySection
from training.certificate.words import not_measured, verdicts
from training.detection import Sample, labelled_samples, shuffled
from training.prediction import PredictSection, look_as, ready
from training.starts import ModelSource, load_detector

PAGE_FILE, JSON_FILE, DEFECTS_FILE = "certificate.html", "certificate.json", "defects.parquet"
DEFECTS = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("label", pa.string()),
        *((side, pa.float64()) for side in ("x0", "y0", "x1", "y1")),
        ("size", pa.float64()),
        ("found", pa.bool_()),
        ("score", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Certified:
    """The version that is certified.

    Attributes:
        version: its entry in the registry.
        source: its weights.
        making: its `model.json`.
    """

    version: ModelVersion
    source: ModelSource
    making: Mapping[str, Any]


@dataclass(frozen=True)
class HeldOut:
    """The images that the figures are of: unseen ones, one of each group of near-duplicates.

    Attributes:
        samples: the images.
        classes: names of their labels.
        total: labelled images of the test split.
        leak: which of them the detector has seen.
        seen, near: how many were left out for that, and as near-duplicates of others.
    """

    samples: Sequence[Sample]
    classes: Sequence[str]
    total: int
    leak: Leak
    seen: int
    near: int


def held_out_part(labelled: Artifact, leak: Leak, seed: int) -> HeldOut:
    """The labelled images of the test split that count, in drawn order.

    Args:
        labelled: artifact of the labelled images.
        leak: what the detector has seen.
        seed: seed of the order, and so of which of a group counts.

    Raises:
        UserError: no labelled defect among them.
    """
    tables = CorpusTables(labelled.directory)
    labels, ignored = tables.boxes(), tables.ignored()
    rows = tables.manifest(split="test")
    names = {box["label"] for one in (labels, ignored) for boxes in one.values() for box in boxes}
    classes = sorted(names)
    every = labelled_samples(rows, labels, classes, ignored)
    unseen = [sample for sample in every if sample.image_id not in leak.seen]
    groups, taken = groups_of(tables), dict[str, Sample]()
    for sample in shuffled(unseen, seed):
        taken.setdefault(groups.get(sample.image_id, sample.image_id), sample)
    samples = list(taken.values())
    if not any(len(sample.labels) for sample in samples):
        gone = f" that the detector has not seen (of {len(every)} images)" if leak.seen else ""
        raise UserError(
            f"There is no labelled defect in the test part{gone}, so nothing can be certified; "
            f"{split_advice(labelled, 'test')}, or label more images."
        )
    near = len(unseen) - len(samples)
    return HeldOut(samples, classes, len(every), leak, len(every) - len(unseen), near)


def certify_detector(
    section: CertifySection,
    predict: PredictSection,
    certified: Certified,
    *,
    site: Site,
    labelled: Artifact,
    limit: int,
) -> Artifact:
    """Judge a registered detector on the test part.

    Writes `certificate.html`, `certificate.json` and `defects.parquet` (a defect a row).

    Args:
        section: the config, seeded.
        predict: which boxes count, and how images are cut.
        certified: the version.
        site: workspace and tracking run.
        labelled: artifact of the labelled images.
        limit: most differing bits of near-duplicates.

    Raises:
        UserError: no labelled defect in the test part, no detector's file, an image that is gone.
    """
    seed, device = section.seed or 0, torch.device(best_device())

    def body(bench: Workbench) -> Mapping[str, Any]:
        detector = load_detector(certified.source.path)
        about = identity(certified.version, certified.source, certified.making, detector)
        leak = find_leak(certified.making, labelled, site.workspace, limit)
        part = held_out_part(labelled, leak, seed)
        as_served = ready(look_as(predict, detector), device)
        looking = Looking(as_served, device, predict, section.iou)
        samples = part.samples
        judged = judged_images(looking, samples)
        unit, factor = ("pixels", 1.0) if section.pixel_mm is None else ("mm", section.pixel_mm)
        sizes = [factor * size_of(sample.boxes, section.size) for sample in samples]
        every, found, images = sizes_and_hits(sizes, judged)
        pod = probability_of_detection(every, found, images, least_defects=section.least_defects)
        bins = recall_by_size(every, found)
        some = samples[: section.robust_images]
        document: dict[str, Any] = {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "unsaid": UNSAID,
            "settings": {
                **section.model_dump(mode="json"),
                **predict.deciding,
                **as_served.cut.deciding_tiles,
            },
            "unit": unit,
            "model": about,
            "leak": leak.document(),
            "data": {**_counts(part, judged), "fingerprint": labelled.fingerprint},
            "recall": {"all": share(int(found.sum()), len(found)), "by_size": bins},
            "pod": pod.document(),
            "false_calls": {
                "all": false_calls(judged, seed),
                "normal": false_calls(
                    [
                        one
                        for one, sample in zip(judged, samples, strict=True)
                        if not len(sample.labels) and not len(sample.ignored)
                    ],
                    seed,
                ),
            },
            "robustness": robustness(looking, some, judged[: len(some)], seed),
            "latency": latency(
                as_served,
                [sample.pixels() for sample in samples[: section.latency_images]],
                device=device,
                min_score=predict.min_score,
            ),
        }
        document["verdicts"] = [one.document() for one in verdicts(document, leak, pod, unit)]
        document["not_measured"] = list(not_measured(document, leak, pod))
        content = (json_text.dumps(document, indent=2) + "\n").encode("utf-8", "backslashreplace")
        picture = pod_picture(pod, every, found.astype(np.float64), bins, unit)
        page = render_page(document, picture, hashlib.sha256(content).hexdigest())
        rows = _rows(part, judged, sizes)
        bench.directory.write_table(DEFECTS_FILE, pa.Table.from_pylist(rows, schema=DEFECTS))
        bench.directory.write(JSON_FILE, content)
        bench.directory.write(PAGE_FILE, page.encode("utf-8", "backslashreplace"))
        bench.run.log_json(document, JSON_FILE)
        figures = {
            "recall": document["recall"]["all"]["share"],
            "false_calls": document["false_calls"]["all"]["mean"],
            "latency_ms": document["latency"]["median_ms"],
            **pod.sizes,
        }
        bench.run.log_metrics({name: value for name, value in figures.items() if value is not None})
        return {
            "model": certified.version.reference,
            "images": len(samples),
            "defects": pod.defects,
            "found": pod.hits,
            **figures,
            "leaked": len(leak.seen),
            "leak_known": leak.known,
            "unit": unit,
            "verdicts": document["verdicts"],
        }

    return ensure(
        "certify",
        site=site,
        config={**section.model_dump(mode="json"), "predict": predict.deciding, "limit": limit},
        inputs={"labels": labelled},
        extra={
            "model": certified.source.digest,
            "version": digest(certified.version.document()),
            "machine": machine_name(device),
        },
        # Given weights, of which nobody knows what they had learnt from, are told; no interval and no curve
        # of few images.
        revision=4,
        body=body,
    )


def _counts(part: HeldOut, judged: Sequence[Judged]) -> dict[str, int]:
    return {
        "test_images": part.total,
        "images": len(part.samples),
        "seen": part.seen,
        "near_duplicates": part.near,
        "defects": sum(len(one.found) for one in judged),
        "with_defects": sum(bool(len(one.found)) for one in judged),
    }


def _rows(
    part: HeldOut, judged: Sequence[Judged], sizes: Sequence[np.ndarray[Any, Any]]
) -> list[dict[str, Any]]:
    """Rows of `DEFECTS`."""
    rows = []
    for sample, one, mine in zip(part.samples, judged, sizes, strict=True):
        for place, box in enumerate(sample.boxes.tolist()):
            about = {"image_id": sample.image_id, "uri": sample.uri, "size": float(mine[place])}
            sides = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
            score = float(one.scores[place])
            rows.append(
                {
                    **about,
                    **sides,
                    "label": part.classes[int(sample.labels[place])],
                    "found": bool(one.found[place]),
                    "score": score if one.found[place] else None,
                }
            )
    return rows
