"""The boxes stage: statistics over all maps, then pseudo-boxes, COCO and YOLO exports."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.on_ray import Sender
from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.storage import Storage
from pipelines.boxes.choice import RULES_FILE, chosen_settings
from pipelines.boxes.export import write_coco, write_yolo
from pipelines.boxes.pseudo_boxes import CategoryThreshold
from pipelines.boxes.rows import (
    MASKED,
    OUTLINES,
    STATISTICS,
    Settings,
    box_rows,
    category_thresholds,
    packed_ids,
    without,
)
from pipelines.boxes.section import BoxesSection
from pipelines.tables import (
    BOXES,
    THRESHOLDS,
    CorpusTables,
    Shared,
    Step,
    job_place,
    run_table_job,
    write_sorted,
)

BLOCK_ROWS = 2048  # a second's work
PIECE = 1 << 16  # rows of a table that are written at once
SORTED = "sorted.parquet"  # in the stage's work


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
        work = bench.directory.at("work")
        thresholds, images = find_boxes(
            maps.directory.at("maps"),
            held_out,
            settings,
            work,
            images=int(maps.results["images"]),
            masks=section.masks != "none",
        )

        def rows() -> Iterator[Mapping[str, Any]]:
            return (row for piece in work.read_pieces(SORTED) for row in piece.to_pylist())

        bench.directory.write_pieces(
            "boxes.parquet", BOXES, (piece.select(BOXES.names) for piece in work.read_pieces(SORTED, PIECE))
        )
        if section.masks != "none":
            outlines = (piece.select(OUTLINES.names) for piece in work.read_pieces(SORTED, PIECE))
            bench.directory.write_pieces("masks.parquet", OUTLINES, outlines)
        bench.directory.write_table(
            "thresholds.parquet",
            pa.Table.from_pylist([asdict(t) for t in thresholds.values()], schema=THRESHOLDS),
        )
        write_coco(bench.directory, "coco.json", rows, section.masks)
        if section.export_yolo:
            write_yolo(bench.directory.at("yolo"), rows)
        licences = maps.results.get("licences")
        counts = [pc.list_value_length(piece.column("boxes")) for piece in work.read_pieces(SORTED, PIECE)]
        bench.directory.delete("work")
        return {
            "images": images,
            "with_boxes": sum(int(np.count_nonzero(some)) for some in counts),
            "boxes": sum(int(np.sum(some)) for some in counts),
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
) -> tuple[dict[str, CategoryThreshold], int]:
    """Run both passes over the maps table, statistics, then boxes; resumable.

    Leaves the rows of the boxes table by `image_id` in the file `SORTED` of `work`.

    Args:
        source: directory of the maps table's files.
        held_out: ids of images to leave out.
        settings: the method's knobs, for all categories or by category.
        work: directory for checkpoint and partial output.
        images: number of the table's rows.
        masks: see `box_rows`.

    Returns:
        Thresholds by category, and the number of rows.
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
    found = write_sorted(output, work, SORTED, schema=MASKED if masks else BOXES, column="image_id")
    if found != statistics.num_rows:
        raise RuntimeError(
            f"{output.uri} holds {found} rows for {statistics.num_rows} maps; delete {work.uri} and "
            "run again."
        )
    return thresholds, found


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
