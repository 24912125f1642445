"""The stage that paints known defects for an audit; the maps stage reads its result like a corpus."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from cluster.errors import UserError, nearest
from cluster.on_ray import Sender, start_ray
from cluster.stages import Artifact, Site, Workbench, ensure
from cluster.storage import Storage
from pipelines.audit.canvases import Canvas, assigned, choose_canvases, loud_boxes
from pipelines.audit.section import AuditSection
from pipelines.maps import map_rows
from pipelines.painting import TO_PAINT, DefectKind, paint_rows
from pipelines.tables import (
    AUDIT_IMAGES,
    MANIFEST,
    PAINTED,
    QUARANTINE,
    REFERENCE,
    SIDES,
    CorpusTables,
    Step,
    box_array,
    read_errors,
    run_table_job,
    write_listing,
)

PAINTED_FILE = "painted.parquet"
NOTHING = (
    "There is nothing to paint on: no image outside the test split has a map and is either known to be "
    "normal or quiet enough somewhere; add normal images beside the references that maps are compared with."
)


def paint_for_audit(
    section: AuditSection, *, site: Site, corpus: Artifact, maps: Artifact, references_are_compared: bool
) -> Artifact:
    """Paint one defect of a known kind onto each of some copies; the user's files are only read.

    Writes `manifest/`, of the painted images and the references, `painted.parquet` and `images/`.

    Args:
        section: the config, with its seed.
        site: workspace and tracking run.
        corpus, maps: the stages' artifacts.
        references_are_compared: whether the maps' method reads the references, which then aren't painted on.

    Raises:
        UserError: nothing to paint on, or nowhere a defect could be placed; kinds of an unknown category.
    """
    seed = section.seed or 0

    def body(bench: Workbench) -> Mapping[str, Any]:
        tables = CorpusTables(corpus.directory)
        manifest = tables.manifest()
        known = {row["category"] for row in manifest}
        for category in section.categories:
            if category not in known:
                raise UserError(
                    f'audit.categories names "{category}", which the corpus has not; '
                    f"{nearest(category, known)}"
                )
        mapped = maps.directory.read_table("maps", columns=["image_id"]).column("image_id").to_pylist()
        canvases = choose_canvases(
            manifest,
            tables.labels(),
            frozenset(mapped),
            references_are_compared=references_are_compared,
            images=section.images,
            seed=seed,
        )
        pairs = {
            canvas.name(kind): (canvas, kind)
            for category, members in canvases.items()
            for canvas, kind in assigned(members, section.kinds_of(category), section.images)
        }
        if not pairs:
            raise UserError(NOTHING)
        painted = _painted_rows(bench, section, seed, pairs, maps)
        found = {row["image_id"] for row in painted if row["painted"] is not None}
        if not found:
            raise UserError(NOTHING)
        rows = [_audited(row, *pairs[row["image_id"]]) for row in painted if row["image_id"] in found]
        bench.directory.write_table(PAINTED_FILE, pa.Table.from_pylist(rows, schema=AUDIT_IMAGES))
        categories = {row["category"] for row in rows}
        references = [row for row in manifest if row["role"] == REFERENCE and row["category"] in categories]
        listed = [*references, *(_listed(row, bench.directory) for row in rows)]
        bench.directory.write_table("manifest/part-0.parquet", pa.Table.from_pylist(listed, schema=MANIFEST))
        return {
            "painted": len(rows),
            "images": len({row["original"] for row in rows}),
            "known_normal": len({row["original"] for row in rows if row["normal"]}),
            "without_room": len(painted) - len(rows),
        }

    return ensure(
        "audit_images",
        site=site,
        config={**section.model_dump(mode="json"), "seed": seed, "references": not references_are_compared},
        inputs={"corpus": corpus, "maps": maps},
        body=body,
    )


def _painted_rows(
    bench: Workbench,
    section: AuditSection,
    seed: int,
    pairs: Mapping[str, tuple[Canvas, DefectKind]],
    maps: Artifact,
) -> list[dict[str, Any]]:
    """Rows of `PAINTED`, by their ids; which images can't be read any more is written beside."""
    work = bench.directory.at("work")
    careful = {canvas.row["image_id"] for canvas, _ in pairs.values() if not canvas.normal}
    avoid = {
        row["image_id"]: [
            dict(zip(SIDES, box, strict=True))
            for box in loud_boxes(anomaly_map, row["width"], row["height"]).tolist()
        ]
        for row, anomaly_map in map_rows(maps)
        if row["image_id"] in careful
    }
    listing = [
        {
            **{column: canvas.row.get(column) for column in TO_PAINT.names},
            "image_id": name,
            "avoid": avoid.get(canvas.row["image_id"], []),
            "kind": kind,
        }
        for name, (canvas, kind) in sorted(pairs.items())
    ]
    schema = pa.schema([*TO_PAINT, ("kind", pa.string())])
    source = write_listing(work.at("listing"), pa.Table.from_pylist(listing, schema=schema))
    start_ray()
    run_table_job(
        "audit: painting defects",
        source=source,
        work=work,
        target=work.at("painted"),
        steps=[
            Step(
                _paint,
                {"section": section, "seed": seed, "target": bench.directory, "errors": work.at("errors")},
                counted=True,
            )
        ],
        id_column="image_id",
        total=len(listing),
    )
    output = work.at("painted")
    table = output.read_table("") if output.children() else PAINTED.empty_table()
    rows: list[dict[str, Any]] = table.select(PAINTED.names).sort_by("image_id").to_pylist()
    errors = read_errors(work.at("errors"))
    bad = {
        pairs[name][0].row["uri"]: error
        for name, error in errors.items()
        if name not in {row["image_id"] for row in rows}
    }
    faults = [{"uri": uri, "stage": "audit", "reason": reason} for uri, reason in sorted(bad.items())]
    bench.directory.write_table("quarantine.parquet", pa.Table.from_pylist(faults, schema=QUARANTINE))
    bench.directory.delete("work")
    return rows


def _paint(
    rows: pa.Table, section: AuditSection, seed: int, target: Storage, errors: Storage, counter: Sender
) -> pa.Table:
    done = [PAINTED.empty_table()]
    for place, kind in enumerate(rows.column("kind").to_pylist()):
        row = rows.slice(place, 1)
        done.append(paint_rows(row, section.painted(kind), seed, target=target, errors=errors))
    counter.add(rows.num_rows)
    return pa.concat_tables(done)


def _audited(row: Mapping[str, Any], canvas: Canvas, kind: DefectKind) -> dict[str, Any]:
    """A row of `AUDIT_IMAGES`: what was painted is one defect with one box, however many parts it has."""
    parts = box_array(row["boxes"])
    corners = [*parts[:, :2].min(axis=0).tolist(), *parts[:, 2:].max(axis=0).tolist()]
    whole = {**dict(zip(SIDES, corners, strict=True)), "score": 1.0}
    known = {"original": canvas.row["image_id"], "kind": kind, "normal": canvas.normal}
    return {**row, "boxes": [whole], **known}


def _listed(row: Mapping[str, Any], directory: Storage) -> dict[str, Any]:
    """A painted image as a corpus lists it."""
    named = {name: row[name] for name in ("image_id", "category", "width", "height")}
    uri = directory.uri_of(row["painted"])
    return {**named, "uri": uri, "split": "unlabelled", "role": "train", "levels": None}
