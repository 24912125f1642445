"""The boxes stage: statistics over all maps, then pseudo-boxes, COCO and YOLO exports."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.on_ray import Sender
from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.storage import Storage
from pipelines.boxes.choice import RULES_FILE, chosen_settings
from pipelines.boxes.export import coco_document, write_yolo
from pipelines.boxes.pseudo_boxes import CategoryThreshold
from pipelines.boxes.rows import (
    MASKED,
    STATISTICS,
    Settings,
    box_rows,
    category_thresholds,
    packed_ids,
    without,
)
from pipelines.boxes.section import BoxesSection
from pipelines.tables import BOXES, THRESHOLDS, CorpusTables, Shared, Step, job_place, run_table_job

BLOCK_ROWS = 2048  # a second's work


def derive_boxes(
    section: BoxesSection, *, site: Site, corpus: Artifact, maps: Artifact, audit: Artifact | None = None
) -> Artifact:
    """Turn the stored maps of the pretraining images into pseudo-boxes, without held-out images.

    Writes `thresholds.parquet`, `boxes.parquet`, `coco.json`, of `auto` `rules.json` and, if asked, `yolo/`
    and `masks.parquet` (run-length text of each box's region, in the boxes' order).

    Args:
        section: the config.
        site: workspace and tracking run.
        corpus, maps: the stages' artifacts.
        audit: the audit's, which `boxes.rule=auto` takes each category's rule from; of other rules None.

    Raises:
        UserError: the audit could choose no rule for a category.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        tables = CorpusTables(corpus.directory)
        held_out = sorted(tables.held_out())
        settings: Settings = section.settings
        rules: dict[str, Any] = {}
        if section.rule == "auto":
            assert audit is not None
            settings, rules = chosen_settings(audit, tables.references().keys())
            bench.directory.write_json(RULES_FILE, rules)
        thresholds, table = find_boxes(
            maps.directory.at("maps"),
            held_out,
            settings,
            bench.directory.at("work"),
            images=int(maps.results["images"]),
            masks=section.masks != "none",
        )
        bench.directory.write_table("boxes.parquet", table.select(BOXES.names))
        if section.masks != "none":
            bench.directory.write_table("masks.parquet", table.select(["image_id", "masks"]))
        bench.directory.delete("work")
        rows = table.to_pylist()
        bench.directory.write_table(
            "thresholds.parquet",
            pa.Table.from_pylist([asdict(t) for t in thresholds.values()], schema=THRESHOLDS),
        )
        bench.directory.write_json("coco.json", coco_document(rows, masks=section.masks))
        if section.export_yolo:
            write_yolo(bench.directory.at("yolo"), rows)
        licences = maps.results.get("licences")
        box_counts = [len(row["boxes"]) for row in rows]
        return {
            "images": len(rows),
            "with_boxes": int(np.count_nonzero(box_counts)),
            "boxes": int(sum(box_counts)),
            "thresholds": {t.category: round(t.threshold, 6) for t in thresholds.values()},
            **({"rules": rules} if rules else {}),
            **({"licences": licences} if licences else {}),
        }

    return ensure(
        "boxes",
        site=site,
        config=section.deciding(),
        inputs={"corpus": corpus, "maps": maps} | ({} if audit is None else {"audit": audit}),
        body=body,
        revision=2,  # boxes that overlap by exactly nms_iou are both kept
    )


def find_boxes(
    source: Storage,
    held_out: list[str],
    settings: Settings,
    work: Storage,
    *,
    images: int,
    masks: bool = False,
) -> tuple[dict[str, CategoryThreshold], pa.Table]:
    """Run both passes over the maps table, statistics, then boxes; resumable.

    Args:
        source: directory of the maps table's files.
        held_out: ids of images to leave out.
        settings: the method's knobs, for all categories or by category.
        work: directory for checkpoint and partial output.
        images: number of the table's rows.
        masks: see `box_rows`.

    Returns:
        Thresholds by category, and rows of the boxes table by `image_id`.
    """
    output = work.at("found")
    place = job_place(work, output, images)
    left_out = packed_ids(held_out)
    statistics = without(place.read_columns(source, STATISTICS), left_out)
    thresholds = category_thresholds(statistics, settings)
    arguments = {
        "held_out": place.share(left_out),
        "thresholds": thresholds,
        "settings": settings,
        "masks": masks,
    }
    run_table_job(
        "boxes: thresholding maps",
        source=source,
        work=work,
        target=output,
        steps=[Step(_found, arguments, batch_size=256, counted=True)],
        id_column="image_id",
        total=statistics.num_rows,
        block_rows=BLOCK_ROWS,
        here=place.here,
    )
    names = (MASKED if masks else BOXES).names
    table = output.read_table("").select(names).sort_by("image_id")
    if table.num_rows != statistics.num_rows:
        raise RuntimeError(
            f"{output.uri} holds {table.num_rows} rows for {statistics.num_rows} maps; delete {work.uri} and "
            "run again."
        )
    return thresholds, table


def _found(
    rows: pa.Table,
    held_out: Shared,
    thresholds: Mapping[str, CategoryThreshold],
    settings: Settings,
    masks: bool,
    counter: Sender,
) -> pa.Table:
    rows = without(rows, held_out.get())
    counter.add(rows.num_rows)
    return box_rows(rows, thresholds, settings, masks)
