"""Which row of a study is ahead on each data set, and whether seeds and test boxes are enough to say so."""

from collections.abc import Mapping, Sequence

from cluster.verdicts import FEWEST_BOXES
from tuning.outcomes import OUTCOMES
from tuning.paired import Paired, paired
from tuning.studies.study import CellResult, Study

LEADING = ("evaluate.map50_95", "evaluate.map50")  # the first that a study measures decides
TEST_BOXES = "evaluate.boxes"


def comparisons(study: Study, cells: Sequence[CellResult]) -> list[str]:
    """A sentence for each data set with figures of at least two rows, by the test split."""
    metric = next((name for name in LEADING if name in study.metrics), None)
    if metric is None:
        return []
    sentences = []
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        rows = {cell.row: _known(cell, metric) for cell in cells if cell.dataset == dataset}
        figures = {row: seeds for row, seeds in rows.items() if seeds}
        boxes = _fewest_boxes([cell for cell in cells if cell.dataset == dataset])
        if len(figures) < 2 or all(value <= 0 for seeds in figures.values() for value in seeds.values()):
            continue
        if boxes is not None and boxes < FEWEST_BOXES:
            count = "1 box" if boxes == 1 else f"{boxes} boxes"
            sentences.append(
                f"{dataset}: too few test boxes for a claim: {count}, at least {FEWEST_BOXES} are needed."
            )
            continue
        sentences.append(f"{dataset}: {_told(study, figures, metric)}")
    return sentences


def _told(study: Study, figures: Mapping[int, Mapping[int, float]], metric: str) -> str:
    """The two best rows, compared over the seeds that both have."""
    first, second = sorted(figures, key=lambda row: -sum(figures[row].values()) / len(figures[row]))[:2]
    one, other = _name(study, first), _name(study, second)
    title = OUTCOMES[metric].title
    pairs = paired(figures[first], figures[second])
    if pairs is None:
        return f"{one} and {other} share no seed, so nothing can be said of their difference in {title}."
    points = f"{abs(pairs.difference) * 100:.1f} points of {title}"
    if round(pairs.difference, 4) == 0:
        return f"{one} and {other} end level in {title}."
    ahead, behind = (one, other) if pairs.difference > 0 else (other, one)
    text = f"{ahead} is ahead of {behind} by {points}"
    if pairs.certain:
        return f"{text} (paired t test over {pairs.seeds} seeds, p = {pairs.p:.2g})."
    return f"{text}, which chance may explain ({_why(pairs)})."


def _why(pairs: Paired) -> str:
    if pairs.seeds < 2:
        return "one seed alone says nothing of chance"
    if pairs.p is None:
        return f"{pairs.seeds} seeds with one and the same difference"
    return f"paired t test over {pairs.seeds} seeds, p = {pairs.p:.2g}"


def _name(study: Study, row: int) -> str:
    return f'"{" ".join(name for name in study.rows[row].names if name != "-")}"'


def _known(cell: CellResult, metric: str) -> dict[int, float]:
    values = {seed: figures.get(metric) for seed, figures in cell.seeds.items()}
    return {seed: value for seed, value in values.items() if value is not None}


def _fewest_boxes(cells: Sequence[CellResult]) -> int | None:
    """True boxes of the test split, the fewest over seeds and rows; None where unknown."""
    counts = [figures.get(TEST_BOXES) for cell in cells for figures in cell.seeds.values()]
    return min((int(count) for count in counts if count is not None), default=None)
