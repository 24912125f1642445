"""What a combination of settings is worth on stored maps."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.boxes import PseudoBoxSettings, category_threshold
from tuning.thresholds import metrics as threshold_metrics
from tuning.thresholds.component_table import ComponentTable, component_table
from tuning.thresholds.judged_maps import CategoryMaps
from tuning.thresholds.metrics import METRICS, PLAUSIBILITY
from tuning.thresholds.resampling import Selection
from tuning.thresholds.rule import check_rule

FEW_WEIGHT = "maps.kead.few_weight"
NUDGE = 0.02  # change of T to either side, in units of M, by which stability is measured
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One tried combination: values by key, the objective, and the other figures."""

    values: dict[str, Any]
    value: float
    figures: dict[str, float]


class ThresholdObjective:
    """Measures settings on stored maps; the components at a threshold are found once and kept.

    Args:
        categories: maps and truth of each category.
        settings: settings under a trial's values.
        metric: name of the metric, one of `METRICS`.
        score_share: share of max M in the image score, see `CategoryMaps.fused`.
        few_weight: weight of M_few in the stored maps.
        pool: threads that share the work.

    Raises:
        UserError: see `check_rule`.
    """

    def __init__(
        self,
        categories: Sequence[CategoryMaps],
        settings: PseudoBoxSettings,
        metric: str,
        *,
        score_share: float,
        few_weight: float,
        pool: Executor,
    ) -> None:
        check_rule(settings)
        self.categories, self.settings, self.metric = categories, settings, metric
        self.score_share, self.few_weight, self.pool = score_share, few_weight, pool
        self._fused: dict[float, tuple[CategoryMaps, ...]] = {few_weight: tuple(categories)}
        self._tables: dict[tuple[float, str, bool, float], ComponentTable] = {}

    def trial(self, values: Values) -> Trial:
        """Measure a combination on the judged images."""
        figures = self.measure(values)
        return Trial(dict(values), figures[self.metric], figures)

    def measure(
        self, values: Values, *, fixed: float | Mapping[str, float] | None = None, held_out: bool = False
    ) -> dict[str, float]:
        """Means over categories of all figures that the truth allows.

        Args:
            values: values by config key, laid over the settings.
            fixed: thresholds in the place of T_c, one for all or by category.
            held_out: whether to measure on the test split's images instead.
        """
        return threshold_metrics.mean_of(
            list(self.by_category(values, fixed=fixed, held_out=held_out).values())
        )

    def by_category(
        self, values: Values, *, fixed: float | Mapping[str, float] | None = None, held_out: bool = False
    ) -> dict[str, dict[str, float]]:
        """As `measure`, by category; a category without the truth that the metric needs is left out."""
        weight, settings = self._settings(values)
        rows = {}
        for maps in self._categories(weight):
            level, delta = _limits(maps, settings)
            if fixed is not None:
                level = fixed if isinstance(fixed, float) else fixed[maps.category]
            row = self._row(maps, weight, level, delta, settings, held_out)
            if self.metric in row:
                rows[maps.category] = row
        return rows

    def selections(self, values: Values, *, held_out: bool = False) -> dict[str, Selection]:
        """The selected components by category; categories without an image to judge are left out."""
        weight, settings = self._settings(values)
        rows = {}
        for maps in self._categories(weight):
            if len(maps.held_out if held_out else maps.judged):
                rows[maps.category] = self._selection(
                    maps, weight, *_limits(maps, settings), settings, held_out
                )
        return rows

    def _settings(self, values: Values) -> tuple[float, PseudoBoxSettings]:
        """The weight of M_few, and the settings of the boxes."""
        box_values = {key.removeprefix("boxes."): value for key, value in values.items() if key != FEW_WEIGHT}
        return float(values.get(FEW_WEIGHT, self.few_weight)), self.settings.model_copy(update=box_values)

    def _row(
        self,
        maps: CategoryMaps,
        weight: float,
        level: float,
        delta: float,
        settings: PseudoBoxSettings,
        held_out: bool,
    ) -> dict[str, float]:
        judged = maps.held_out if held_out else maps.judged
        if not len(judged):
            return {}
        selection = self._selection(maps, weight, level, delta, settings, held_out)
        table, selected = selection.table, selection.selected
        row = threshold_metrics.counts(table, selected, judged)
        if selection.above is not None and selection.below is not None:
            above, below = (float(each.area.sum()) for each in (selection.above, selection.below))
            return row | threshold_metrics.plausibility(table, selected, judged, above, below)
        measures = {
            name: getattr(threshold_metrics, name)(table, selected, judged) for name in METRICS["masks"]
        }
        return row | {name: value for name, value in measures.items() if value is not None}

    def _selection(
        self,
        maps: CategoryMaps,
        weight: float,
        level: float,
        delta: float,
        settings: PseudoBoxSettings,
        held_out: bool,
    ) -> Selection:
        judged = maps.held_out if held_out else maps.judged
        table = self._table(maps, weight, held_out, level)
        selected = table.selected(
            judged,
            delta=delta,
            top_k=settings.top_k,
            nms_iou=settings.nms_iou,
            min_area=settings.min_area,
        )
        if self.metric != PLAUSIBILITY:
            return Selection(table, selected, judged)
        above, below = (self._table(maps, weight, held_out, level + nudge) for nudge in (NUDGE, -NUDGE))
        return Selection(table, selected, judged, above, below)

    def _categories(self, weight: float) -> tuple[CategoryMaps, ...]:
        if weight not in self._fused:
            self._fused[weight] = tuple(maps.fused(weight, self.score_share) for maps in self.categories)
        return self._fused[weight]

    def _table(self, maps: CategoryMaps, weight: float, held_out: bool, level: float) -> ComponentTable:
        key = (weight, maps.category, held_out, float(np.float32(level)))
        if key not in self._tables:
            self._tables[key] = component_table(maps.held_out if held_out else maps.judged, level, self.pool)
        return self._tables[key]


def _limits(maps: CategoryMaps, settings: PseudoBoxSettings) -> tuple[float, float]:
    """T_c and δ."""
    both = category_threshold(maps.category, maps.maxima.tolist(), maps.scores.tolist(), settings)
    return both.threshold, both.delta
