"""What a benchmark is, and the list of them."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from cluster.errors import UserError, nearest

# Name to module; a module has `run() -> Iterator[Row]`. Imported only when asked for.
BENCHMARKS: dict[str, str] = {
    "small_jobs": "benchmarks.small_jobs",
    "start_up": "benchmarks.start_up",
    "encoder_quality": "benchmarks.encoder_quality",
    "kead": "benchmarks.kead",
    "kead_precision": "benchmarks.kead_precision",
    "maps_job": "benchmarks.maps_job",
    "corpus_scale": "benchmarks.corpus_scale",
    "boxes": "benchmarks.boxes",
    "box_rules": "benchmarks.box_rules.measure",
    "banks": "benchmarks.banks",
    "trained_maps": "benchmarks.trained_maps",
    "box_audit": "benchmarks.box_rules.audit",
    "backbone_step": "benchmarks.backbone_step",
    "train_scaling": "benchmarks.train_scaling",
    "attention_gain": "benchmarks.attention_gain",
    "finetune_epoch": "benchmarks.finetune_epoch",
    "fewshot_gain": "benchmarks.fewshot_gain",
    "threshold_trials": "benchmarks.threshold_trials",
    "near_duplicates": "benchmarks.near_duplicates",
    "predict_speed": "benchmarks.predict_speed",
    "serve_load": "benchmarks.serve_load",
    "registry_lookup": "benchmarks.registry_lookup",
    "review_page": "benchmarks.review_page",
    "pre_annotations": "benchmarks.pre_annotations.measure",
    "label_choice": "benchmarks.label_choice",
    "rivals": "benchmarks.rivals",
    "real_surfaces": "benchmarks.real_surfaces.proof",
}
# Not among `all`: it takes hours.
ALONE = frozenset({"real_surfaces"})
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        what: the measured quantity, with its unit.
        value: the figure; None when it was skipped, `goal` then says why.
        goal: the goal in words, empty when there is none.
        ok: whether the goal is met; None without a goal.
    """

    what: str
    value: float | None
    goal: str = ""
    ok: bool | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)


def at_least(what: str, value: float, goal: float) -> Row:
    """A figure that should reach `goal`."""
    return Row(what, value, f"≥ {goal:g}", value >= goal)


def at_most(what: str, value: float, goal: float) -> Row:
    """A figure that should not exceed `goal`."""
    return Row(what, value, f"≤ {goal:g}", value <= goal)


def find(name: str) -> Callable[[], Iterator[Row]]:
    """The benchmark of a name.

    Raises:
        UserError: there is none; names the nearest.
    """
    if name not in BENCHMARKS:
        raise UserError(f'There is no benchmark "{name}"; {nearest(name, ["all", *BENCHMARKS])}')
    run: Callable[[], Iterator[Row]] = import_module(BENCHMARKS[name]).run
    return run
