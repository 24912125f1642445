"""The choice of `tune thresholds`: request, stored maps, search and report. No Ray here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from cluster.errors import UserError
from cluster.on_ray import machine_cpus
from cluster.progress import progress, say
from cluster.storage import Storage
from cluster.verdicts import Verdict, chosen_settings
from pipelines.boxes import PseudoBoxSettings
from pipelines.maps import PARTS
from training.project import Project
from tuning.space import Dimension
from tuning.thresholds.curves import Shown, summit, threshold_curves
from tuning.thresholds.judged_maps import CategoryMaps, TruthKind, read_stored_maps
from tuning.thresholds.objective import FEW_WEIGHT, ThresholdObjective, Trial
from tuning.thresholds.picture import threshold_picture
from tuning.thresholds.resampling import gain_interval
from tuning.thresholds.search import check_metric, default_space, own_values, search


@dataclass(frozen=True)
class ThresholdSearch:
    """The request for a search of thresholds.

    Attributes:
        space: searched keys; empty takes `default_space`.
        metric: metric to maximise; None takes the first that the truth allows.
        trials, exhaustive: number and kind of trials, see `search`.
    """

    space: tuple[Dimension, ...]
    metric: str | None
    trials: int
    exhaustive: bool


@dataclass(frozen=True)
class StoredMaps:
    """The stored maps of a search, with their truth.

    Attributes:
        categories: maps and truth of each category.
        truth: kind of truth to judge by.
    """

    categories: tuple[CategoryMaps, ...]
    truth: TruthKind

    @classmethod
    def read(cls, corpus: Storage, maps: Storage) -> "StoredMaps":
        """Read the maps of a corpus from the directories of both artifacts."""
        categories, truth = read_stored_maps(corpus, maps)
        return cls(tuple(categories), truth)

    @property
    def images(self) -> int:
        """Number of images to choose values by."""
        return sum(len(each.judged) for each in self.categories)

    @property
    def parts(self) -> bool:
        """Whether M_zero and M_few are stored."""
        return all(each.part_maps is not None for each in self.categories)

    @property
    def held_out(self) -> bool:
        """Whether the test split has images to judge by."""
        return any(len(each.held_out) for each in self.categories)


@dataclass(frozen=True)
class Chosen:
    """What a search found.

    Attributes:
        report: the stage's results, JSON-able.
        trials: all trials in order: the search's, then those of the curves around the best.
        best: the best of the trials.
        curves: Fig. 7 and the sensitivity of every knob, JSON-able.
        picture: the curves as PNG.
    """

    report: Mapping[str, Any]
    trials: Sequence[Trial]
    best: Trial
    curves: Mapping[str, Any]
    picture: bytes


def choose(project: Project, request: ThresholdSearch, stored: StoredMaps) -> Chosen:
    """Search on the stored maps, and judge the best trial.

    Args:
        project: project whose `boxes`, `maps.kead`, `seed` are read.
        request: what is searched, and how long.
        stored: the maps with their truth.

    Raises:
        UserError: the truth doesn't give the metric, or fusion weights are searched without stored parts.
    """
    metric = check_metric(request.metric, stored.truth)
    if any(dimension.key == FEW_WEIGHT for dimension in request.space) and not stored.parts:
        raise UserError(
            f"The stored maps don't hold {' and '.join(PARTS)}, which {FEW_WEIGHT} weighs; set "
            "maps.store_parts=true, or leave it out of the search."
        )
    kead = project.maps.kead
    settings = PseudoBoxSettings(**project.boxes.model_dump(include=set(PseudoBoxSettings.model_fields)))
    with ThreadPoolExecutor(machine_cpus()) as pool:
        objective = ThresholdObjective(
            stored.categories,
            settings,
            metric,
            score_share=0.5 if kead.score == "released" else 1.0,
            few_weight=kead.few_weight,
            pool=pool,
        )
        space = request.space or default_space(stored.categories, settings)
        say(_told(stored, metric))
        asked = prod(len(each.points()) for each in space) if request.exhaustive else request.trials
        with progress("thresholds: trying", asked) as bar:
            searched = search(
                objective,
                space,
                trials=request.trials,
                seed=project.seed,
                exhaustive=request.exhaustive,
                on_trial=lambda trial: bar.advance(note=f"{metric} {trial.value:.4f}"),
            )
        say(_tried(len(searched), asked))
        project_values = own_values(objective, space) or {}
        shown = _shown("one setting at a time around the best")
        around = summit(objective, searched, space, project_values, shown=shown)
        trials, best = around.trials, around.best
        curves = threshold_curves(objective, {}, shown=_shown("adaptive and fixed curves"))
        before = objective.trial(project_values).figures
        held_out = (
            {
                "project": objective.measure(project_values, held_out=True),
                "best": objective.measure(best.values, held_out=True),
            }
            if stored.held_out
            else None
        )
        interval = gain_interval(
            metric,
            *(
                objective.selections(values, held_out=stored.held_out)
                for values in (best.values, project_values)
            ),
            seed=project.seed,
        )
        verdict = _verdict(stored.truth, metric, best, before, held_out, interval)
        report = {
            "truth": stored.truth,
            "metric": metric,
            "images": stored.images,
            "categories": len(stored.categories),
            "trials": len(trials),
            "searched": len(searched),
            "fusion_searched": any(dimension.key == FEW_WEIGHT for dimension in space),
            "space": [dimension.text() for dimension in space],
            "project": before,
            "chosen": best.values,
            "best": best.figures,
            "fig7": curves.best(),
            "held_out": held_out,
            "gain_interval": interval,
            "worth_taking": verdict is None,
            "verdicts": [] if verdict is None else [verdict.document()],
            "notes": notes(stored.truth, stored.parts),
        }
    return Chosen(
        report,
        trials,
        best,
        {"fig7": curves.document(), "sensitivity": around.knobs},
        threshold_picture(curves, around.knobs, best.values),
    )


def _verdict(
    truth: TruthKind,
    metric: str,
    best: Trial,
    before: Mapping[str, float],
    held_out: Mapping[str, Mapping[str, float]] | None,
    interval: tuple[float, float] | None,
) -> Verdict | None:
    """What must be said of the best trial."""
    return chosen_settings(
        metric,
        best.value,
        before.get(metric),
        held_out=(
            None if held_out is None else (held_out["best"].get(metric), held_out["project"].get(metric))
        ),
        interval=interval,
        too_few=interval is None,
        measured=truth != "none",
    )


def notes(kind: str, parts: bool) -> list[str]:
    """Remarks that belong to the result."""
    sentences = ["Chosen on labelled images of the training split; the test split only judges."]
    if kind == "none":
        sentences = [
            "No labelled defect: the values are chosen by plausibility (masks that change little with T, no "
            "boxes on normal references, not too many pixels), which knows nothing of what is right. Look at "
            "the boxes before you use them."
        ]
    if not parts:
        sentences.append(
            f"{FEW_WEIGHT} was not searched: these maps are stored without their parts "
            "(maps.store_parts=true keeps them)."
        )
    return sentences


def _tried(count: int, asked: int) -> str:
    rest = "" if count >= asked else f" of {asked}: the others would have repeated some"
    return f"thresholds: {count} combinations tried{rest}; the curves of the picture follow"


def _shown(title: str) -> Shown:
    """Progress of the points of some curves."""

    @contextmanager
    def shown(points: int) -> Iterator[Callable[[], object]]:
        with progress(f"thresholds: {title}", points) as bar:
            yield bar.advance

    return shown


def _told(stored: StoredMaps, metric: str) -> str:
    truth = {"masks": "pixel masks", "boxes": "boxes", "none": "no truth"}[stored.truth]
    parts = ", with parts" if stored.parts else ""
    return f"thresholds: {stored.images} stored maps against {truth} by {metric}{parts}"
