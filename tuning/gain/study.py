"""Runs a gain study training by training; each is a fingerprinted stage, so the same command goes on."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from cluster.errors import UserError
from cluster.stages import Artifact, Site
from cluster.storage import Storage
from pipelines.boxes import pseudo_box_shares
from training.pipeline import Pipeline
from training.project import Project
from tuning.gain.boxes import defective_share
from tuning.gain.picture import gain_picture
from tuning.gain.projects import GainSet
from tuning.gain.results import METRICS, ArmResult, SetResult
from tuning.gain.section import Arm, GainSection
from tuning.gain.text import arm_name, csv_text, document, markdown
from tuning.study_folder import Refused, open_study, track_table, unless_refused

FILES = ("table.md", "cells.csv", "gains.svg")


@dataclass(frozen=True)
class GainResult:
    """Where a study's table lies, what is in it, and the figures behind it."""

    directory: Storage
    table: Mapping[str, Any]
    sets: Sequence[SetResult]


@dataclass(frozen=True)
class Measured:
    """What one training gave.

    Attributes:
        evaluated: artifact of its figures on the held-out half.
        labelled: number of images with objects that it was finetuned on.
        pipeline: stages that it read, all made.
    """

    evaluated: Artifact
    labelled: int
    pipeline: Pipeline


Measure = Callable[[Project, Site], Measured]


def measured(project: Project, site: Site) -> Measured:
    """Pretrain, finetune and evaluate the one start of a project, or find it done.

    Raises:
        UserError: a stage refuses, e.g. no label in the training half.
    """
    pipeline = Pipeline(project, site)
    (start,) = project.finetune.starts
    evaluated = pipeline.evaluated(start)
    learnt = pipeline.finetuned(start).results
    return Measured(evaluated, int(learnt["train_images"]) - int(learnt["train_backgrounds"]), pipeline)


def run_gain(
    preset: str, summary: str, section: GainSection, sets: Sequence[GainSet], measure: Measure = measured
) -> GainResult:
    """Run every training; the table is written anew after each, so a killed study shows its part.

    Writes `table.json`, `table.md`, `cells.csv` (a line a training) and `gains.svg`.

    Args:
        preset, summary: name of the preset, and what it is.
        section, sets: the study and its data sets.
        measure: function that gives a training's figures.

    Raises:
        UserError: the workspace or the tracking server is at fault, or no training could be run.
    """
    results = [SetResult.empty(data.name, section.arms, data.not_run) for data in sets]
    clock = _Clock(len(sets) * len(section.seeds) * len(section.arms))
    with open_study("study gain", preset, section.deciding, [data.project for data in sets]) as study:

        def write() -> dict[str, Any]:
            table = document(results, section, preset, summary)
            contents = (
                markdown(table).encode(),
                csv_text(results).encode(),
                gain_picture(results, section),
            )
            study.write(table, dict(zip(FILES, contents, strict=True)))
            return table

        for (data, result), seed, arm in product(
            zip(sets, results, strict=True), section.seeds, section.arms
        ):
            one = result.arms[arm]
            title = f"gain: {clock.place()}, {data.name}: {arm_name(arm)}, {arm.labels} labels, seed {seed}"
            if one.not_run:
                continue
            cell = data.cell(section, arm, seed)
            got = unless_refused(title, partial(measure, cell, study.site))
            if isinstance(got, Refused):
                result.leave_out(arm, got.reason)
            else:
                clock.note(reused=got.evaluated.reused)
                _note(result, one, arm, seed, got)
            write()
        table = write()
        reasons = [each.not_run for result in results for each in result.arms.values() if each.not_run]
        if reasons and not any(each.figures for result in results for each in result.arms.values()):
            raise UserError(f"No training of the study could be run: {reasons[0]}")
        track_table(study, table, FILES)
    return GainResult(study.directory, table, results)


def _note(result: SetResult, one: ArmResult, arm: Arm, seed: int, got: Measured) -> None:
    """Keep a training's figures, and once a source how good its boxes are."""
    figures = got.evaluated.results
    one.figures[seed] = {metric: float(figures[metric]) for metric in METRICS}
    one.labelled, one.test_boxes = got.labelled, int(figures["boxes"])
    pipeline = got.pipeline
    if pipeline.project.finetune.data is not None or arm.source is None:
        return  # the corpus that pretraining sees has no labels of its own
    if result.defective is None:
        result.defective = defective_share(pipeline.corpus)
    if (arm.rounds > 1 or arm.source in ("maps", "both")) and arm.learnt not in result.shares:
        boxes = pipeline.boxes if arm.rounds == 1 else pipeline.detector
        result.shares[arm.learnt] = pseudo_box_shares(pipeline.corpus, boxes)


class _Clock:
    """Which training it is, and how long the others will take."""

    def __init__(self, total: int) -> None:
        self.total, self.number, self.began = total, 0, time.monotonic()
        self.taken: list[float] = []

    def place(self) -> str:
        """`3 of 12, about 20 min left`, for the training that begins."""
        self.number += 1
        self.began = time.monotonic()
        left = self.total - self.number + 1
        told = f"{self.number} of {self.total}"
        if not self.taken:
            return told
        minutes = left * sum(self.taken) / len(self.taken) / 60
        return f"{told}, about {max(1, round(minutes))} min left"

    def note(self, *, reused: bool) -> None:
        """Count the time of a training that was made and not found."""
        if not reused:
            self.taken.append(time.monotonic() - self.began)
