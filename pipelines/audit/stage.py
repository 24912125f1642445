"""The audit stage: rules of boxes on painted images, against what was painted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.errors import UserError
from cluster.on_ray import Sender, start_ray
from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.audit.candidates import candidates
from pipelines.audit.choice import Choice, choose
from pipelines.audit.figures import CategoryTally
from pipelines.audit.judging import JUDGED, Thresholds, judge_rows
from pipelines.audit.painting_stage import PAINTED_FILE, paint_for_audit
from pipelines.audit.rows import rows_to_judge
from pipelines.audit.section import AuditSection
from pipelines.audit.sheet import audit_sheet
from pipelines.audit.table import audit_rows
from pipelines.audit.truth import agreement
from pipelines.boxes import CHOICE_FILE, PseudoBoxSettings, category_thresholds
from pipelines.maps import MapsSection, make_maps
from pipelines.tables import AUDIT, CorpusTables, Step, run_table_job, write_listing

AUDIT_FILE, SHEET_FILE = "audit.parquet", "sheet.png"


@dataclass(frozen=True)
class AuditInputs:
    """What an audit reads of a project.

    Attributes:
        section: the audit's config, with its seed.
        boxes: the user's settings of boxes.
        maps: config of the user's maps.
    """

    section: AuditSection
    boxes: PseudoBoxSettings
    maps: MapsSection


def audit_boxes(inputs: AuditInputs, *, site: Site, corpus: Artifact, maps: Artifact) -> Artifact:
    """Paint defects, map the painted images by the user's own method, and judge every rule's boxes.

    Two stages come before its own: `audit_images`, and `maps` of those images. Writes `audit.parquet`,
    `choice.json` and `sheet.png`.

    Args:
        inputs: the configs.
        site: workspace and tracking run.
        corpus, maps: the stages' artifacts.

    Raises:
        UserError: nothing to paint on; see `make_maps`.
    """
    section = inputs.section
    painted = paint_for_audit(
        section, site=site, corpus=corpus, maps=maps, references_are_compared=inputs.maps.shots > 0
    )
    painted_maps = make_maps(inputs.maps, site=site, corpus=painted)
    tried = candidates(inputs.boxes, probabilities=inputs.maps.method == "painted")

    def body(bench: Workbench) -> Mapping[str, Any]:
        rows = painted.directory.read_table(PAINTED_FILE).to_pylist()
        listing = rows_to_judge(rows, painted_maps, corpus, maps, seed=section.seed or 0)
        judged = _judged(bench, listing, tried, _thresholds(corpus, maps, tried))
        listed = listing.drop_columns(["map", "plain_map"]).to_pylist()
        patches = int(np.prod(listing.schema.field("map").type.shape))
        tallies = _tallies(listed, judged, len(tried), patches, painted=True)
        if not tallies:
            raise UserError("No painted image could be mapped, so there is nothing to audit.")
        truths = _tallies(listed, judged, len(tried), patches, painted=False)
        seed = section.seed or 0
        choices: dict[str, Choice] = {}
        table: list[dict[str, Any]] = []
        for category, tally in tallies.items():
            figures = {name: tally.figures(*group, seed=seed) for name, group in tally.groups().items()}
            choices[category] = choose(category, tally, figures["all"], tried)
            truth = truths.get(category)
            table += audit_rows(category, tally, figures, tried, choices[category].place, truth)
        _add_missing(choices, corpus)
        bench.directory.write_table(AUDIT_FILE, pa.Table.from_pylist(table, schema=AUDIT))
        document = {
            category: {
                "settings": None if choice.place is None else tried[choice.place].deciding(),
                "sentence": choice.sentence,
            }
            for category, choice in choices.items()
        }
        bench.directory.write_json(CHOICE_FILE, document)
        settings = {name: None if each.place is None else tried[each.place] for name, each in choices.items()}
        thresholds = _thresholds(corpus, maps, tried)
        sheet = audit_sheet(rows, painted.directory, listing, settings, tried, thresholds)
        bench.directory.write(SHEET_FILE, sheet)
        bench.directory.delete("work")
        return {
            "painted": sum(len(tally.kinds) for tally in tallies.values()),
            "rules": len(tried),
            "chosen": sum(choice.place is not None for choice in choices.values()),
            "verdicts": [
                {"kind": "audit", "sentence": choice.sentence} for _, choice in sorted(choices.items())
            ],
            **agreement(table, truths),
        }

    return ensure(
        "audit",
        site=site,
        config={"candidates": [settings.deciding() for settings in tried], "seed": section.seed or 0},
        inputs={"corpus": corpus, "maps": maps, "audit_images": painted, "painted_maps": painted_maps},
        revision=2,  # intervals where no image or every one speaks for a share have a width
        body=body,
    )


def _thresholds(corpus: Artifact, maps: Artifact, tried: Sequence[PseudoBoxSettings]) -> Thresholds:
    """Thresholds of every category, one a candidate, from the maps that the boxes stage reads."""
    held_out = CorpusTables(corpus.directory).held_out()
    statistics = maps.directory.read_table("maps", columns=["image_id", "category", "score", "map_max"])
    kept = pa.array([image not in held_out for image in statistics.column("image_id").to_pylist()])
    statistics = statistics.filter(kept)
    known: dict[tuple[Any, Any], Any] = {}
    for settings in tried:
        if (settings.c, settings.delta) not in known:
            known[settings.c, settings.delta] = category_thresholds(statistics, settings)
    by_candidate = [known[settings.c, settings.delta] for settings in tried]
    return {name: [each[name] for each in by_candidate] for name in by_candidate[0]}


def _judged(
    bench: Workbench, listing: pa.Table, tried: Sequence[PseudoBoxSettings], thresholds: Thresholds
) -> dict[str, dict[str, Any]]:
    """Rows of `JUDGED` by their ids; the job resumes."""
    work = bench.directory.at("work")
    source = write_listing(work.at("listing"), listing)
    start_ray()
    run_table_job(
        "audit: judging boxes",
        source=source,
        work=work,
        target=work.at("judged"),
        steps=[Step(_judge, {"tried": tried, "thresholds": thresholds}, batch_size=8, counted=True)],
        id_column="image_id",
        total=listing.num_rows,
    )
    rows = work.at("judged").read_table("").select(JUDGED.names).to_pylist()
    judged = {row["image_id"]: row for row in rows}
    if len(rows) != listing.num_rows or len(judged) != len(rows):
        raise RuntimeError(
            f"{work.uri} holds {len(rows)} rows for {listing.num_rows} images; delete it and run again."
        )
    return judged


def _judge(
    rows: pa.Table, tried: Sequence[PseudoBoxSettings], thresholds: Thresholds, counter: Sender
) -> pa.Table:
    done = judge_rows(rows, tried, thresholds)
    counter.add(rows.num_rows)
    return done


def _tallies(
    listed: Sequence[Mapping[str, Any]],
    judged: Mapping[str, Mapping[str, Any]],
    count: int,
    patches: int,
    *,
    painted: bool,
) -> dict[str, CategoryTally]:
    """The counts of each category's painted (or labelled) images."""
    members: dict[str, list[Mapping[str, Any]]] = {}
    for row in listed:
        if (row["kind"] is not None) == painted:
            members.setdefault(row["category"], []).append(row)
    return {
        name: CategoryTally(rows, [judged[row["image_id"]] for row in rows], count, patches)
        for name, rows in sorted(members.items())
    }


def _add_missing(choices: dict[str, Choice], corpus: Artifact) -> None:
    """A reason for every category that nothing was painted for."""
    for category in CorpusTables(corpus.directory).references():
        if category not in choices:
            reason = (
                f'Nothing could be painted for "{category}": it has no image outside the test split that is '
                "known to be normal or quiet enough somewhere."
            )
            choices[category] = Choice(None, reason)
