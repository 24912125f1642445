"""Evaluation of the anomaly maps on held-out labelled images."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.annotations import decode_mask
from pipelines.maps.metrics import Masks, aupro, image_auroc, pixel_auroc
from pipelines.maps.reading import map_rows
from pipelines.tables import CorpusTables, has_defect


def evaluate_maps(*, site: Site, corpus: Artifact, maps: Artifact) -> Artifact:
    """Image and pixel AUROC and AUPRO of the stored maps over the test split, in all and by category.

    A figure is null where the split has only one class (no defect, or no normal image). Pixel figures are
    also null where a defective image has boxes but no mask. Writes `metrics.json`.
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
        results = {
            "images": len(everything),
            "defective": sum(sample.defective for sample in everything),
            **_figures(everything),
        }
        by_category = {name: _figures(group) for name, group in sorted(samples.items())}
        metrics = {**results, "categories": by_category}
        bench.directory.write_json("metrics.json", metrics)
        bench.run.log_metrics(
            {name: value for name, value in _figures(everything).items() if value is not None}
        )
        return metrics

    return ensure(
        "evaluate_maps",
        site=site,
        config={},
        inputs={"corpus": corpus, "maps": maps},
        revision=2,
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
        figures |= {"pixel_auroc": pixel_auroc(maps, masks), "aupro": aupro(maps, masks)}
    return figures
