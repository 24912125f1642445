"""The paint stage: defects painted onto the pretraining images by Ray Data, each image once."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from cluster.errors import UserError
from cluster.on_ray import Sender, record
from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.storage import Storage
from pipelines.painting.rows import TO_PAINT, paint_rows
from pipelines.painting.section import PaintSection, PaintSettings
from pipelines.painting.sheet import SHEET_FILE, painted_sheet
from pipelines.tables import (
    PAINTED,
    QUARANTINE,
    CorpusTables,
    Step,
    check_bad_share,
    job_place,
    read_errors,
    run_table_job,
    write_listing,
)


def paint_images(
    section: PaintSection, *, site: Site, corpus: Artifact, boxes: Artifact | None = None
) -> Artifact:
    """Paint defects onto the images outside the test split; the user's files are only read.

    Writes `painted.parquet`, a row for each readable image, `images/`, `sheet.png` with the first of them and
    `quarantine.parquet`.

    Args:
        section: the config, with its seed.
        site: workspace and tracking run.
        corpus: the corpus stage's artifact.
        boxes: the boxes stage's, whose pseudo-boxes no painted box may overlap; None avoids nothing.

    Raises:
        UserError: no image outside the test split; too many that can't be read any more.
    """
    inputs = {"corpus": corpus} | ({} if boxes is None else {"boxes": boxes})
    seed = section.seed or 0

    def body(bench: Workbench) -> Mapping[str, Any]:
        images = _images(corpus, boxes)
        if not images.num_rows:
            raise UserError(
                "The corpus has no image outside its test split, so there is nothing to paint on."
            )
        work = bench.directory.at("work")
        source = write_listing(work.at("listing"), images)
        painted = work.at("painted")
        run_table_job(
            "paint: painting defects",
            source=source,
            work=work,
            target=painted,
            steps=[
                Step(
                    _painted,
                    {
                        "settings": section.settings,
                        "seed": seed,
                        "target": bench.directory,
                        "errors": work.at("errors"),
                    },
                    counted=True,
                )
            ],
            id_column="image_id",
            total=images.num_rows,
            here=job_place(work, painted, images.num_rows).here,
        )
        return _finish(bench, images, section.max_bad_share)

    return ensure(
        "paint",
        site=site,
        config=section.model_dump(mode="json", exclude={"max_bad_share"}) | {"seed": seed},
        inputs=inputs,
        body=body,
    )


def _images(corpus: Artifact, boxes: Artifact | None) -> pa.Table:
    """The images outside the test split, with what is to be avoided in each; schema `TO_PAINT`."""
    tables = CorpusTables(corpus.directory)
    levels = tables.levels()
    avoid: dict[str, Any] = {}
    if boxes is not None:
        table = boxes.directory.read_table("boxes.parquet", columns=["image_id", "boxes"])
        avoid = {row["image_id"]: row["boxes"] for row in table.to_pylist()}
    rows = [
        {**row, "levels": levels.get(row["image_id"]), "avoid": avoid.get(row["image_id"], [])}
        for row in tables.manifest(columns=[*TO_PAINT.names[:-2], "split"])
        if row["split"] != "test"
    ]
    return pa.Table.from_pylist(rows, schema=TO_PAINT)


def _painted(
    rows: pa.Table, settings: PaintSettings, seed: int, target: Storage, errors: Storage, counter: Sender
) -> pa.Table:
    done = paint_rows(rows, settings, seed, target=target, errors=errors)
    counter.add(rows.num_rows)
    return done


def _finish(bench: Workbench, images: pa.Table, max_bad_share: float) -> Mapping[str, Any]:
    """Write one table of all rows and which images couldn't be read; return the counts."""
    work = bench.directory.at("work")
    errors = read_errors(work.at("errors"))
    output = work.at("painted")
    table = output.read_table("") if output.children() else PAINTED.empty_table()
    table = table.select(PAINTED.names).sort_by("image_id")
    ids = table.column("image_id").to_pylist()
    done = set(ids)
    missing = [row for row in images.to_pylist() if row["image_id"] not in done]
    if len(done) != len(ids) or any(row["image_id"] not in errors for row in missing):
        raise RuntimeError(
            f"{output.uri} holds {len(ids)} rows for {images.num_rows} images, {len(errors)} of them "
            f"unreadable; delete {work.uri} and run again."
        )
    bad = [{"uri": row["uri"], "stage": "paint", "reason": errors[row["image_id"]]} for row in missing]
    record("agssp_quarantined", len(bad), stage="paint")
    bench.directory.write_table("quarantine.parquet", pa.Table.from_pylist(bad, schema=QUARANTINE))
    first = f"{bad[0]['uri']}: {bad[0]['reason']}" if bad else ""
    where = bench.directory.uri_of("quarantine.parquet")
    check_bad_share(len(bad), images.num_rows, max_bad_share, "paint", first, tables=where)
    bench.directory.write_table("painted.parquet", table)
    bench.directory.delete("work")
    sheet = painted_sheet(table.to_pylist(), bench.directory)
    if sheet is not None:
        bench.directory.write(SHEET_FILE, sheet)
    rows = table.column("boxes").to_pylist()
    return {
        "images": len(rows),
        "painted": sum(bool(boxes) for boxes in rows),
        "boxes": sum(len(boxes) for boxes in rows),
        "quarantined": len(bad),
    }
