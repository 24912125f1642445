"""The drift stage: new images against the corpus, a verdict, and the page that shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.errors import UserError
from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.drift.calibration import Calibration, calibrate
from pipelines.drift.comparison import Sample, compare
from pipelines.drift.findings import DRIFT_TABLE, far_images, findings, verdict_of
from pipelines.drift.fingerprint_stage import FINGERPRINT_FILE, NUMBERS
from pipelines.drift.listing import Corpus, independent
from pipelines.drift.measures import EMBEDDING
from pipelines.drift.page import Shown, picture, render_page
from pipelines.drift.section import DriftSection

TABLE_FILE, IMAGES_FILE, PAGE_FILE, JSON_FILE = (
    "drift.parquet",
    "images.parquet",
    "drift.html",
    "verdict.json",
)
DETECTOR_NUMBERS = ("boxes", "confidence")


class NoVerdictError(UserError):
    """Too few images of a side for a verdict."""


DRIFT_IMAGES = pa.schema(
    [
        ("side", pa.string()),
        ("image_id", pa.string()),
        ("uri", pa.string()),
        *((name, pa.float64()) for name in (*NUMBERS, *DETECTOR_NUMBERS)),
    ]
)


@dataclass(frozen=True)
class DriftSources:
    """What is compared.

    Attributes:
        compared: the corpus' images.
        corpus, new: fingerprints of the corpus' images and of the new ones.
        predictions: a detector's predictions of all of them; None without a detector.
        limit: most differing bits of near-duplicates.
        seed: seed of what is drawn.
    """

    compared: Corpus
    corpus: Artifact
    new: Artifact
    predictions: Artifact | None
    limit: int
    seed: int

    @cached_property
    def old_rows(self) -> list[dict[str, Any]]:
        """Rows of the corpus, drawn; one of each group of near-duplicates."""
        return self._with_boxes(_rows(self.corpus))

    @cached_property
    def new_rows(self) -> list[dict[str, Any]]:
        """Rows of the new images, drawn; none of the corpus' own, one of each group of near-duplicates."""
        rows = {row["image_id"]: row for row in self._with_boxes(_rows(self.new))}
        fresh = [row for one, row in sorted(rows.items()) if one not in self.compared.known]
        by_id = {row["image_id"]: row for row in fresh}
        return [by_id[one] for one in independent(fresh, self.limit, self.seed)] if fresh else []

    @property
    def same(self) -> int:
        """New images that are the corpus' own, byte for byte."""
        return len({row["image_id"] for row in _rows(self.new)} & self.compared.known)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures that every image has."""
        scored = all(row["score"] is not None for row in (*self.old_rows, *self.new_rows))
        names = NUMBERS if scored else tuple(name for name in NUMBERS if name != "score")
        return names if self.predictions is None else (*names, *DETECTOR_NUMBERS)

    def sample(self, rows: list[dict[str, Any]]) -> Sample:
        """Rows as arrays."""
        values = {name: np.array([row[name] for row in rows], np.float64) for name in self.measures}
        return Sample(values, np.array([row[EMBEDDING] for row in rows], np.float32))

    def refuse_few(self, section: DriftSection) -> int:
        """The number of new images that are compared: all, or as many as half of the corpus' are.

        Raises:
            NoVerdictError: too few images of a side.
        """
        new, old = len(self.new_rows), len(self.old_rows)
        if new < section.least:
            same = f", {self.same} are the corpus' own" if self.same else ""
            raise NoVerdictError(
                f"No verdict: of {self.new.results['images']} readable new images {new} count "
                f"(near-duplicates are one{same}), and drift.least={section.least} are needed; "
                "give more images."
            )
        if old < 2 * section.least:
            raise NoVerdictError(
                f'No verdict: the corpus has {old} images of "{self.compared.category}" to compare with '
                "(near-duplicates are one; normal references don't count, nor what the detector or the maps' "
                f"head has learnt from), and {2 * section.least} are needed, twice drift.least."
            )
        return min(new, old // 2)

    def _with_boxes(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows with `boxes` and `confidence`; what the detector could not read is left out."""
        if self.predictions is None:
            return rows
        table = self.predictions.directory.read_table("predictions.parquet", columns=["image_id", "boxes"])
        found = {row["image_id"]: row["boxes"] for row in table.to_pylist()}
        return [
            {
                **row,
                "boxes": len(found[row["image_id"]]),
                "confidence": max((box["score"] for box in found[row["image_id"]]), default=0.0),
            }
            for row in rows
            if row["image_id"] in found
        ]


def _rows(artifact: Artifact) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = artifact.directory.read_table(FINGERPRINT_FILE).to_pylist()
    return rows


def find_drift(section: DriftSection, sources: DriftSources, *, site: Site) -> Artifact:
    """Compare new images with the corpus.

    Writes `drift.parquet` (a measure a row), `images.parquet` (an image that was compared), `verdict.json`
    and `drift.html`.

    Args:
        section: the config.
        sources: the images.
        site: workspace and tracking run.

    Raises:
        NoVerdictError: too few images for a verdict.
    """
    count = sources.refuse_few(section)

    def body(bench: Workbench) -> Mapping[str, Any]:
        rng = np.random.default_rng(sources.seed)
        every = sources.sample(sources.old_rows)
        calibration = calibrate(
            every, count, splits=section.splits, false_alarms=section.false_alarms, rng=rng
        )
        # As many of each side as in the splits: both are in drawn order already.
        new_rows, old_rows = sources.new_rows[:count], sources.old_rows[: calibration.old]
        new, old = sources.sample(new_rows), sources.sample(old_rows)
        tested = compare(new, old, rng)
        found = findings(new, old, tested, calibration)
        verdict = verdict_of(found, calibration)
        document = {
            "verdict": verdict.document(),
            "category": sources.compared.category,
            "notes": _notes(sources, count, calibration),
            "measures": [finding.row() for finding in found],
            "false_alarms": _alarms(calibration, section),
        }
        shown = []
        for finding in [one for one in found if one.moved] or found[:1]:
            here, there = far_images(finding.measure, new, old)
            name, most, levels = finding.measure, section.examples, sources.compared.levels
            shown.append(
                Shown(
                    finding,
                    [picture(new_rows[place], name, levels) for place in here[:most]],
                    [picture(old_rows[place], name, levels) for place in there[:most]],
                )
            )
        table = pa.Table.from_pylist([finding.row() for finding in found], schema=DRIFT_TABLE)
        bench.directory.write_table(TABLE_FILE, table)
        images = [
            {"side": side, **{name: row.get(name) for name in DRIFT_IMAGES.names[1:]}}
            for side, rows in (("new", new_rows), ("corpus", old_rows))
            for row in rows
        ]
        bench.directory.write_table(IMAGES_FILE, pa.Table.from_pylist(images, schema=DRIFT_IMAGES))
        page = render_page(document, found, shown)
        bench.directory.write(PAGE_FILE, page.encode("utf-8", "backslashreplace"))
        bench.directory.write_json(JSON_FILE, document)
        bench.run.log_json(document, JSON_FILE)
        bench.run.log_metrics(
            {
                "drift": float(verdict.kind == "drift"),
                "false_alarm_share": calibration.share,
                **{f"p.{name}": one.p for name, one in tested.items()},
                **{f"statistic.{name}": one.statistic for name, one in tested.items()},
            }
        )
        return {
            "drift": verdict.kind == "drift",
            "moved": [finding.measure for finding in found if finding.moved],
            "new": count,
            "corpus": calibration.old,
            "unreadable": sources.new.results["quarantined"],
            "false_alarms": document["false_alarms"],
            "verdicts": [verdict.document()],
        }

    extra = {} if sources.predictions is None else {"predictions": sources.predictions.fingerprint}
    return ensure(
        "drift",
        site=site,
        config={**section.model_dump(mode="json"), "seed": sources.seed, "limit": sources.limit},
        inputs={"fingerprint": sources.corpus, "new": sources.new},
        extra=extra,
        body=body,
    )


def _alarms(calibration: Calibration, section: DriftSection) -> dict[str, Any]:
    return {
        "accepted": section.false_alarms,
        "threshold": calibration.threshold,
        "chosen_by": calibration.chosen_by,
        "splits": calibration.splits,
        "alarms": calibration.alarms,
        "share": calibration.share,
        "interval": [calibration.low, calibration.high],
    }


def _notes(sources: DriftSources, count: int, calibration: Calibration) -> list[str]:
    """What was left out, and what the verdict holds for."""
    told = [
        f"Compared: {count} of {len(sources.new_rows)} new images that count (near-duplicates are one), and "
        f"{calibration.old} of {len(sources.old_rows)} of the corpus, drawn by seed {sources.seed}."
    ]
    if sources.same:
        told.append(f"{sources.same} new images are the corpus' own, byte for byte, and were left out.")
    if lost := sources.new.results["quarantined"]:
        told.append(
            f"{lost} new images can't be read: {sources.new.directory.uri_of('quarantine.parquet')} says why."
        )
    if "score" not in sources.measures:
        told.append("Map scores were not compared: mutual scoring has none for an image alone.")
    if sources.predictions is None:
        told.append("No detector was asked (--model).")
    told.append(
        f"The threshold was chosen by {calibration.chosen_by} random parts of the corpus and the false "
        f"alarms were counted on {calibration.splits} others. They hold for new images drawn as the corpus "
        "was: another day, shift or part mix differs by nature, and is reported as the difference that it is."
    )
    return told
