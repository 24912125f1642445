"""The corpus stage: the listing inspected by Ray Data, its tables written."""

from collections.abc import Mapping, Set
from typing import Any

import pyarrow as pa

from cluster.on_ray import record, start_ray
from cluster.stages import Artifact, Workbench, digest, ensure
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from pipelines.corpus.contact_sheet import contact_sheets
from pipelines.corpus.inspection import inspect
from pipelines.corpus.listing import Listing
from pipelines.corpus.section import CorpusSection
from pipelines.corpus.sorting import Corpus
from pipelines.tables import REFERENCE, Step, check_bad_share, run_table_job, write_listing


def build_corpus(
    section: CorpusSection,
    *,
    listing: Listing,
    shots: int,
    setting: str,
    workspace: Storage,
    pipeline: PipelineRun,
    stage: str = "corpus",
    key: str = "corpus",
    test: Set[str] | None = None,
    images_from: Artifact | None = None,
) -> Artifact:
    """List, hash, decode and split the images of all sources.

    Writes `manifest/`, `labels.parquet`, `quarantine.parquet`, `duplicates.parquet`,
    `near_duplicates.parquet`, `hashes.parquet`, `bad_labels.parquet`, `statistics.parquet` and
    `contact_sheets/CATEGORY.png`.

    Args:
        section: the corpus' config.
        listing: of the same section (checked before a cluster is touched).
        shots: references the maps stage will ask of every category.
        setting: the config key that asks for them.
        stage: its name; `labels` for the labelled images of a finetuning.
        key: dotted path of `section`, for messages.
        test: URIs of the held-out images; None chooses them by content.
        images_from: the artifact that holds the images, where a stage made them.

    Raises:
        UserError: too many bad images; a category without references once bad ones are gone; faults in labels
            where `section.bad_labels` is `fail`.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        work = bench.directory.at("listing")
        rows = listing.table()
        source = write_listing(work, rows)
        inspected = bench.directory.at("inspected")
        start_ray()
        run_table_job(
            f"{stage}: hashing and decoding",
            source=source,
            work=work,
            target=inspected,
            steps=[Step(_inspect_counted, {"clip": section.bad_labels != "drop"}, counted=True)],
            id_column="uri",
            total=rows.num_rows,
        )
        candidates = listing.reference_candidates(section)
        corpus = Corpus(inspected.read_table(""), section, candidates, test, key)
        bad = corpus.quarantine
        record("agssp_quarantined", len(bad), stage=key)
        check_bad_share(len(bad), rows.num_rows, section.max_bad_share, key, _first(bad))
        _check_shots(corpus, shots, setting)
        for name, table in corpus.tables().items():
            folder = "manifest/part-0.parquet" if name == "manifest" else f"{name}.parquet"
            bench.directory.write_table(folder, table)
        sheets = 0
        for file, picture in contact_sheets(corpus.manifest, corpus.statistics().to_pylist()):
            bench.directory.write(f"contact_sheets/{file}", picture)
            sheets += 1
        return {**corpus.counts(), "contact_sheets": sheets, "layout": listing.layout}

    return ensure(
        stage,
        workspace=workspace,
        pipeline=pipeline,
        config=section.model_dump(mode="json"),
        inputs={} if images_from is None else {images_from.stage: images_from},
        extra={"listing": listing.digest(), **({"test": digest(sorted(test))} if test is not None else {})},
        revision=3,  # bad labels
        body=body,
    )


def _inspect_counted(rows: pa.Table, clip: bool, counter: Any) -> pa.Table:
    done = inspect(rows, clip=clip)
    counter.add(rows.num_rows)
    return done


def _first(quarantine: list[dict[str, Any]]) -> str:
    return f"{quarantine[0]['uri']}: {quarantine[0]['reason']}" if quarantine else ""


def _check_shots(corpus: Corpus, shots: int, setting: str) -> None:
    from cluster.errors import UserError

    have: dict[str, int] = {row["category"]: 0 for row in corpus.manifest}
    for row in corpus.manifest:
        have[row["category"]] += row["role"] == REFERENCE
    for category, count in sorted(have.items()):
        if count < shots:
            raise UserError(
                f'Category "{category}" has only {count} readable, different normal reference images and '
                f"{setting}={shots} needs {shots}; add some."
            )
