"""Fig. 7 as a stage: adaptive against fixed thresholds by mask IoU, on stored maps of labelled images."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2

from cluster.config import merge, section_of, validate
from cluster.errors import UserError, nearest
from cluster.on_ray import machine_cpus
from cluster.stages import Artifact, Workbench, ensure
from training.opening import open_pipeline
from training.pipeline import Pipeline
from training.project import Project
from tuning.markdown import bullets, grid
from tuning.studies.study import shared_presets
from tuning.thresholds import (
    MASK_IOU,
    Curves,
    ThresholdObjective,
    check_rule,
    read_stored_maps,
    threshold_curves,
    threshold_picture,
)

TITLE = "Fig. 7: adaptive against fixed thresholds, mask IoU in percent"
HEADER = ("threshold", "value", "chosen on", "test split")
NOTES = (
    "T = mean max − C for each category (Eq. 9, 10) against one T for all images, and against the best T of "
    "each category; all else as boxes.* has it. Means over categories.",
    "C and T are chosen on the labelled images of the training split; the test split's column judges them.",
    "The paper, which prints no figures here: compared with fixed thresholds, which need to be optimised for "
    "each data set, the adaptive one reaches a higher mask IoU on both of its data sets than even the best "
    "fixed ones.",
    "Paper: Advancing Metallic Surface Defect Detection via Anomaly-Guided Pretraining on a Large Industrial "
    "Dataset (arXiv 2509.18919v1), Fig. 7, section 5.3.5.",
)


def fig7_project(document: Mapping[str, Any], preset: str) -> Project:
    """The project: the user's settings laid over the preset's.

    Raises:
        UserError: there is no such preset, the full one has no images, the boxes have another rule than the
            paper's, or settings are at fault.
    """
    presets = shared_presets()
    if preset not in presets:
        raise UserError(f'The study has no preset "{preset}"; {nearest(preset, presets)}')
    base = dict(presets[preset]["base"])
    corpus = section_of(document, "corpus")
    if corpus.get("root") or corpus.get("sources"):
        base.pop("generate", None)
    elif "generate" not in merge(base, document):
        raise UserError(
            "The full preset needs images with masks: name them, e.g. corpus.root=FOLDER (the paper's data "
            "sets are not part of this program)."
        )
    base.pop("backbone", None)  # takes no part, and its start need not be there
    project = validate(Project, merge(base, document), "Config")
    check_rule(project.boxes)
    return project


def run_fig7(project: Project) -> Artifact:
    """Make the table and its curves; writes `table.md`, `table.json`, `curves.json` and `curves.png`.

    Raises:
        UserError: the training split has no defect with a mask.
    """
    with open_pipeline(project, "study fig7-threshold", "maps") as pipeline:
        return _fig7(project, pipeline)


def _fig7(project: Project, pipeline: Pipeline) -> Artifact:
    corpus, maps = pipeline.corpus, pipeline.maps

    def body(bench: Workbench) -> Mapping[str, Any]:
        cv2.setNumThreads(1)
        categories, kind = read_stored_maps(corpus.directory, maps.directory)
        if kind != "masks":
            raise UserError(
                "Fig. 7 is measured by pixel masks, and not every labelled defect here has one; give images "
                "with masks (layouts masks, mvtec, …)."
            )
        settings = project.boxes.settings
        with ThreadPoolExecutor(machine_cpus()) as pool:
            objective = ThresholdObjective(
                categories,
                settings,
                MASK_IOU,
                score_share=1.0,
                few_weight=project.maps.kead.few_weight,
                pool=pool,
            )
            curves = threshold_curves(objective, {})
            table = {
                "title": TITLE,
                "header": list(HEADER),
                "lines": _lines(objective, curves),
                "notes": [*NOTES, f"Here: {_images(categories)}."],
                "best": curves.best(),
            }
        bench.directory.write_json("curves.json", curves.document())
        bench.directory.write("curves.png", threshold_picture(curves, {}, {}))
        bench.directory.write("table.md", _markdown(table).encode())
        bench.directory.write_json("table.json", table)
        for name in ("curves.png", "table.md"):
            with bench.directory.local_copy(name) as path:
                bench.run.log_file(path)
        bench.run.log_metrics({name: row["value"] for name, row in curves.best().items()})
        return table

    return ensure(
        "fig7_threshold",
        site=pipeline.site,
        config={"boxes": project.boxes.deciding()},
        inputs={"corpus": corpus, "maps": maps},
        body=body,
        revision=3,  # boxes that overlap by exactly nms_iou are both kept; C on the grid of tune thresholds
    )


def _lines(objective: ThresholdObjective, curves: Curves) -> list[list[str]]:
    best = curves.best()
    judged = any(len(each.held_out) for each in objective.categories)

    def test(**how: Any) -> str:
        if not judged:
            return "–"
        fixed = how.get("fixed")
        values = {"boxes.c": how["c"]} if "c" in how else {}
        figures = objective.measure(values, fixed=fixed, held_out=True)
        return _percent(figures[MASK_IOU]) if MASK_IOU in figures else "–"

    paper, adaptive = best["adaptive_paper_c"], best["adaptive"]
    one, each = best["fixed_one_for_all"], best["fixed_best_of_each"]
    thresholds = {name: float(value) for name, value in each["thresholds"].items()}
    every = {maps.category: thresholds.get(maps.category, one["threshold"]) for maps in objective.categories}
    return [
        ["adaptive, the paper's C", f"C = {paper['c']:g}", _percent(paper["value"]), test(c=paper["c"])],
        ["adaptive, best C", f"C = {adaptive['c']:g}", _percent(adaptive["value"]), test(c=adaptive["c"])],
        [
            "fixed, best for all",
            f"T = {one['threshold']:g}",
            _percent(one["value"]),
            test(fixed=float(one["threshold"])),
        ],
        ["fixed, best of each category", "a T each", _percent(each["value"]), test(fixed=every)],
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _images(categories: Any) -> str:
    chosen, held = (sum(len(getattr(each, name)) for each in categories) for name in ("judged", "held_out"))
    return f"{len(categories)} categories, {chosen} images to choose on, {held} held out"


def _markdown(table: Mapping[str, Any]) -> str:
    body = grid(table["header"], table["lines"])
    return f"# {table['title']}\n\n{body}\n\n{bullets(table['notes'])}\n"
