"""Evaluation of the anomaly maps on held-out labelled images."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.verdicts import Verdict, chance_level
from pipelines.annotations import decode_mask
from pipelines.maps.metrics import Masks, image_auroc, pixel_figures
from pipelines.maps.reading import map_rows
from pipelines.tables import CorpusTables, has_defect


def evaluate_maps(*, site: Site, corpus: Artifact, maps: Artifact) -> Artifact:
    """Image and pixel AUROC and AUPRO of the stored maps over the test split, in all and by category.

    A figure is null where the split has only one class (no defect, or no normal image). Pixel figures are
    also null where a defective image has boxes but no mask. `verdicts` says where the maps are no better than
    chance, over all images and, if the whole passes, by category. Writes `metrics.json`.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        tables = CorpusTables(corpus.directory)
        test = tables.held_out()
        truth = {image_id: row for image_id, row in tables.labels().items() if image_id in test}
        samples: dict[str, list[_Sample]] = defaultdict(list)
        for row, anomaly_map in map_rows(maps):
            label = truth.get(row["image_id"])
            if label is not None:
                size = (row["height"], row["width"])
                samples[row["category"]].append(
                    _Sample(row["score"], anomaly_map, has_defect(label), label["mask"], size)
                )
        everything = [sample for group in samples.values() for sample in group]
        figures = _figures(everything)
        by_category = {name: _figures(group) for name, group in sorted(samples.items())}
        verdicts = _verdicts("", everything, figures)
        if not verdicts and len(samples) > 1:
            for name, group_figures in by_category.items():
                verdicts += _verdicts(f" of {name}", samples[name], group_figures)
        results = {
            "images": len(everything),
            "defective": sum(sample.defective for sample in everything),
            **figures,
            "verdicts": [verdict.document() for verdict in verdicts],
        }
        metrics = {**results, "categories": by_category}
        bench.directory.write_json("metrics.json", metrics)
        bench.run.log_metrics({name: value for name, value in figures.items() if value is not None})
        for verdict in verdicts:
            say(f"evaluate maps: {verdict.sentence}")
        return metrics

    return ensure(
        "evaluate_maps",
        site=site,
        config={},
        inputs={"corpus": corpus, "maps": maps},
        revision=3,  # verdicts
        body=body,
    )


class _Sample:
    """One held-out image: its score, its map, and where its truth is."""

    def __init__(
        self, score: float, anomaly_map: Any, defective: bool, runs: str | None, size: tuple[int, int]
    ) -> None:
        self.score, self.map, self.defective = score, anomaly_map, defective
        self.runs, self.size = runs, size

    def mask(self) -> Any:
        """Bool (H, W); normal images have no mask."""
        height, width = self.size
        return np.zeros(self.size, np.bool_) if self.runs is None else decode_mask(self.runs, width, height)


def _figures(samples: list[_Sample]) -> dict[str, float | None]:
    defective = [sample.defective for sample in samples]
    figures: dict[str, float | None] = {"image_auroc": None, "pixel_auroc": None, "aupro": None}
    if not any(defective):
        return figures
    if not all(defective):
        figures["image_auroc"] = image_auroc([sample.score for sample in samples], defective)
    if all(sample.runs is not None for sample in samples if sample.defective):
        maps, masks = [sample.map for sample in samples], Masks(samples)
        figures |= pixel_figures(maps, masks)
    return figures


def _verdicts(whose: str, samples: list[_Sample], figures: Mapping[str, float | None]) -> list[Verdict]:
    """What must be said of the two AUROC."""
    defective = sum(sample.defective for sample in samples)
    normal = len(samples) - defective
    # A defective image has normal pixels too.
    told = (
        chance_level(f"image AUROC{whose}", figures["image_auroc"], defective=defective, normal=normal),
        chance_level(f"pixel AUROC{whose}", figures["pixel_auroc"], defective=defective, normal=len(samples)),
    )
    return [verdict for verdict in told if verdict is not None]
