"""Runs a forecast training by training; each is a fingerprinted stage, so the same command goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from cluster.errors import UserError
from cluster.stages import Site
from cluster.storage import Storage
from pipelines.tables import CorpusTables
from training.pipeline import Pipeline
from training.project import Project
from tuning.forecast.images import moved_by_images
from tuning.forecast.picture import curves_picture
from tuning.forecast.projects import ForecastSet
from tuning.forecast.results import Run, StartResult
from tuning.forecast.section import ForecastSection
from tuning.forecast.text import csv_text, document, markdown
from tuning.study_folder import Refused, open_study, track_table, unless_refused

FILES = ("table.md", "runs.csv", "curves.svg")


@dataclass(frozen=True)
class ForecastResult:
    """Where a forecast lies, and what is in it."""

    directory: Storage
    table: Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """What one training gave.

    Attributes:
        figure: share of the metric on the held-out half, 0–1.
        test_boxes: true boxes it was measured on.
        test_images: images that have any; None where that is not known.
        images: (B,) how the figure moves with the test images; None where that is not known.
    """

    figure: float
    test_boxes: int
    test_images: int | None = None
    images: npt.NDArray[np.float64] | None = None


Measure = Callable[[Project, Site, str], Measured]


def measured(project: Project, site: Site, metric: str) -> Measured:
    """Finetune and evaluate the one start of a project, or find it done.

    Raises:
        UserError: a stage refuses.
    """
    pipeline = Pipeline(project, site)
    (start,) = project.finetune.starts
    evaluated = pipeline.evaluated(start)
    moved = moved_by_images(evaluated, pipeline.labelled, metric)
    tables = CorpusTables(pipeline.labelled.directory)
    boxes, held_out = tables.boxes(), tables.held_out()
    images = sum(bool(each) for one, each in boxes.items() if one in held_out)
    return Measured(float(evaluated.results[metric]), int(evaluated.results["boxes"]), images, moved)


def at_hand(project: Project, site: Site) -> int:
    """Labelled images with objects in the training half."""
    tables = CorpusTables(Pipeline(project, site).labelled.directory)
    boxes = tables.boxes()
    return sum(bool(boxes.get(row["image_id"])) for row in tables.manifest(split="train"))


def run_forecast(
    preset: str,
    summary: str,
    section: ForecastSection,
    data: ForecastSet,
    measure: Measure = measured,
    count: Callable[[Project, Site], int] = at_hand,
) -> ForecastResult:
    """Run every training; the table is written anew after each, so a killed forecast shows its part.

    Writes `table.json`, `table.md`, `runs.csv` (a line a training) and `curves.svg`.

    Args:
        preset, summary: name of the preset, and what it is.
        section, data: the forecast and its data set.
        measure: function that gives a training's figures.
        count: function that gives the number of labelled images with objects.

    Raises:
        UserError: too few labels, the workspace or the tracking server is at fault, or nothing could be run.
    """
    results = {start: StartResult(start) for start in section.starts}
    with open_study("forecast", preset, section.model_dump(mode="json"), [data.project]) as study:

        def write() -> dict[str, Any]:
            shown = list(results.values())
            table = document(shown, section, preset, summary)
            contents = (markdown(table).encode(), csv_text(shown).encode(), curves_picture(shown, section))
            study.write(table, dict(zip(FILES, contents, strict=True)))
            return table

        first = data.cell(section, next(iter(section.starts)), 1, section.seeds[0])
        sizes = section.sizes_of(count(first, study.site))
        cells = list(product(section.seeds, sizes, section.starts))
        for number, (seed, size, start) in enumerate(cells, start=1):
            result = results[start]
            if result.not_run is not None:
                continue
            title = f"forecast: {number} of {len(cells)}: {start}, {size} labels, seed {seed}"
            cell = data.cell(section, start, size, seed)
            got = unless_refused(title, partial(measure, cell, study.site, section.metric))
            if isinstance(got, Refused):
                result.not_run = got.reason
            else:
                result.runs.append(Run(size, seed, got.figure, got.images))
                result.test_boxes, result.test_images = got.test_boxes, got.test_images
            write()
        table = write()
        reasons = [result.not_run for result in results.values() if result.not_run]
        if reasons and not any(result.runs for result in results.values()):
            raise UserError(f"No training of the forecast could be run: {reasons[0]}")
        track_table(study, table, FILES)
    return ForecastResult(study.directory, table)
