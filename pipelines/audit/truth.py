"""How well an audit predicted what labels say, where there are any."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from pipelines.audit.figures import CategoryTally
from pipelines.audit.table import ALL


def agreement(rows: Iterable[Mapping[str, Any]], truths: Mapping[str, CategoryTally]) -> dict[str, Any]:
    """Spearman's correlation of audited and true F1 over rules and settings, by category.

    Args:
        rows: rows of `AUDIT`.
        truths: counts on labelled images, by category.

    Returns:
        `agreement`: category → `spearman` (None where either F1 is the same for all), `labels_agree`, the
        same of two halves of the labelled images, beyond which little can be expected, `true_f1` of the
        chosen settings and `best_true_f1` of any; nothing at all where there are no labels.
    """
    by_category: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["part"] == ALL and row["true_f1"] is not None and row["f1"] is not None:
            by_category.setdefault(row["category"], []).append(row)
    found = {}
    for category, members in sorted(by_category.items()):
        true = [row["true_f1"] for row in members]
        chosen = [row["true_f1"] for row in members if row["chosen"]]
        found[category] = {
            "spearman": spearman([row["f1"] for row in members], true),
            "labels_agree": _halves(truths[category]),
            "true_f1": chosen[0] if chosen else None,
            "best_true_f1": max(true),
        }
    return {"agreement": found} if found else {}


def _halves(truth: CategoryTally) -> float | None:
    """Spearman's correlation of true F1 on every other labelled image with that on the rest."""
    _, sizes = truth.groups()[ALL]
    first = np.arange(len(truth.kinds)) % 2 == 0
    halves = [truth.figures(images, sizes).values["f1"] for images in (first, ~first)]
    return spearman(*(np.nan_to_num(f1, nan=0.0).tolist() for f1 in halves))


def spearman(first: list[float], second: list[float]) -> float | None:
    """Spearman's rank correlation, ties by mean rank; None where one of both is constant."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(stats.spearmanr(first, second).statistic)
