"""What `agssp finetune` and `agssp evaluate detectors` print for a person: the starts side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from cluster.cli.command import out

Results = Mapping[str, Any]
Figure = tuple[str, Callable[[Results], Any]]


def _percent(name: str) -> Callable[[Results], str]:
    def text(results: Results) -> str:
        from training.report import percent

        return percent(results.get(name))

    return text


EVALUATED: Sequence[Figure] = (
    ("mAP@0.5", _percent("map50")),
    ("mAP@0.5:0.95", _percent("map50_95")),
    ("recall", _percent("recall")),
    ("small", _percent("small")),
    ("medium", _percent("medium")),
    ("large", _percent("large")),
    ("parameters", lambda results: f"{results['parameters'] / 1e6:.2f} M"),
    ("GFLOPs", lambda results: f"{results['gflops']:.3g}"),
    ("images/s", lambda results: f"{results['fps']:.3g}"),
)
FINETUNED: Sequence[Figure] = (
    ("images", lambda results: results["train_images"]),
    ("boxes", lambda results: results["train_boxes"]),
    ("epochs", lambda results: results["epochs"]),
    ("loss", lambda results: f"{results['loss']:.3f}"),
    ("validation mAP@0.5", _percent("map50")),
    ("validation mAP@0.5:0.95", _percent("map50_95")),
    ("seconds", lambda results: f"{results['training_seconds']:.0f}"),
)


def render_finetuned(result: Mapping[str, Any]) -> None:
    """The figures of each start's training, and where its weights lie."""
    from training.starts import WEIGHTS_FILE

    out.print(_table(result, FINETUNED))
    for start, stage in result["starts"].items():
        out.print(f"{start}: {stage['directory']}/{WEIGHTS_FILE}", markup=False, soft_wrap=True)


def render_evaluated(result: Mapping[str, Any]) -> None:
    """COCO AP in percent of each start on held-out images, then of each class, and what may be said of it."""
    out.print(_table(result, EVALUATED))
    starts = result["starts"]
    classes = list(dict.fromkeys(name for stage in starts.values() for name in stage["results"]["classes"]))
    table = Table("mAP@0.5 by class", *map(escape, starts))
    for name in classes:
        rows = [stage["results"]["classes"].get(name, {}) for stage in starts.values()]
        table.add_row(escape(name), *map(_percent("map50"), rows))
    out.print(table)
    headline = result["headline"]
    out.print(f"{headline['sentence']}.", markup=False, soft_wrap=True)
    if headline["interval"] is not None:
        low, high = (end * 100 for end in headline["interval"])
        out.print(
            f"95 % interval of the difference: {low:+.1f} to {high:+.1f} points, by drawing the test images "
            "anew; other seeds of the training are not in it.",
            markup=False,
            soft_wrap=True,
        )
    for start, stage in starts.items():
        results = stage["results"]
        out.print(
            f"{start}: {results['images']} images, {results['boxes']} boxes; curves and confusion in "
            f"{stage['directory']}",
            markup=False,
            soft_wrap=True,
        )


def _table(result: Mapping[str, Any], figures: Sequence[Figure]) -> Table:
    """A column per start, a line per figure."""
    starts = result["starts"]
    table = Table("start", *map(escape, starts))
    for name, value in figures:
        table.add_row(name, *(str(value(stage["results"])) for stage in starts.values()))
    return table
