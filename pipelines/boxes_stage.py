"""The boxes stage: statistics over all maps, then pseudo-boxes, COCO and YOLO exports."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.progress import progress
from cluster.stages import Artifact, Workbench, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from pipelines.box_export import coco_document, write_yolo
from pipelines.pseudo_boxes import PseudoBoxSettings, category_threshold, pseudo_boxes
from pipelines.tables import BOXES, THRESHOLDS


class BoxesSection(PseudoBoxSettings):
    """The boxes stage's config: the method's knobs and the exports.

    Attributes:
        export_yolo: also write a YOLO data set (links to the images).
    """

    export_yolo: bool = True


def derive_boxes(
    section: BoxesSection, *, workspace: Storage, pipeline: PipelineRun, corpus: Artifact, maps: Artifact
) -> Artifact:
    """Turn the stored maps of the pretraining images into pseudo-boxes; held-out images take no part.

    Writes `thresholds.parquet`, `boxes.parquet`, `coco.json` and, if asked, `yolo/`.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        held_out = held_out_ids(corpus)
        statistics: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
        table = maps.directory.read_table("maps", columns=["image_id", "category", "score", "map_max"])
        for row in table.to_pylist():
            if row["image_id"] not in held_out:
                maxima, scores = statistics[row["category"]]
                maxima.append(row["map_max"])
                scores.append(row["score"])
        thresholds = {
            name: category_threshold(name, maxima, scores, section)
            for name, (maxima, scores) in sorted(statistics.items())
        }
        rows = []
        with progress("boxes: thresholding maps", sum(len(m) for m, _ in statistics.values())) as bar:
            for row, anomaly_map in map_rows(maps):
                if row["image_id"] in held_out:
                    continue
                boxes = pseudo_boxes(
                    anomaly_map,
                    row["score"],
                    width=row["width"],
                    height=row["height"],
                    threshold=thresholds[row["category"]],
                    settings=section,
                )
                rows.append({**row, "boxes": [asdict(box) for box in boxes]})
                bar.advance()
        rows.sort(key=lambda row: str(row["image_id"]))
        kept = [{name: row[name] for name in BOXES.names} for row in rows]
        bench.directory.write_table("boxes.parquet", pa.Table.from_pylist(kept, schema=BOXES))
        bench.directory.write_table(
            "thresholds.parquet",
            pa.Table.from_pylist([asdict(t) for t in thresholds.values()], schema=THRESHOLDS),
        )
        bench.directory.write_json("coco.json", coco_document(kept))
        if section.export_yolo:
            write_yolo(bench.directory.at("yolo"), kept)
        found = [len(row["boxes"]) for row in kept]
        return {
            "images": len(kept),
            "with_boxes": int(np.count_nonzero(found)),
            "boxes": int(sum(found)),
            "thresholds": {t.category: round(t.threshold, 6) for t in thresholds.values()},
        }

    return ensure(
        "boxes",
        workspace=workspace,
        pipeline=pipeline,
        config=section.model_dump(mode="json"),
        inputs={"corpus": corpus, "maps": maps},
        body=body,
    )


def held_out_ids(corpus: Artifact) -> frozenset[str]:
    """Ids of the test split, which pretraining must never see."""
    table = corpus.directory.read_table("manifest", columns=["image_id", "split"])
    return frozenset(row["image_id"] for row in table.to_pylist() if row["split"] == "test")


def map_rows(maps: Artifact) -> Iterator[tuple[dict[str, Any], npt.NDArray[np.float32]]]:
    """Rows of the maps table with their map as float32 (g, g), file by file, so that memory stays small."""
    folder = maps.directory.at("maps")
    for name in folder.children():
        with folder.filesystem.open_input_file(f"{folder.path}/{name}") as file:
            table = pq.read_table(file)
        if table.num_rows == 0:
            continue
        stack = table.column("map").combine_chunks().to_numpy_ndarray().astype(np.float32)
        yield from zip(table.drop_columns(["map"]).to_pylist(), stack, strict=True)
