"""The corpus stage: inspected images sorted into splits, references and duplicates, its tables written."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache
from typing import Any

from cluster.on_ray import record
from cluster.progress import say
from cluster.stages import Artifact, Site, Workbench, digest, ensure
from pipelines.corpus.alike_classes import alike_classes, alike_sentence, alike_text
from pipelines.corpus.bad_labels import first_names
from pipelines.corpus.contact_sheet import SHEETS, contact_sheets
from pipelines.corpus.inspection_stage import inspect_images
from pipelines.corpus.known_images import INSPECTION, joined_inspection
from pipelines.corpus.listing import Listing
from pipelines.corpus.mixed_depths import mixed_depths, mixed_depths_sentence
from pipelines.corpus.near_duplicates import both_sides_sentence
from pipelines.corpus.one_sided_classes import one_sided, one_sided_sentence
from pipelines.corpus.published import moved_sentence
from pipelines.corpus.section import CorpusSection
from pipelines.corpus.sorting import Corpus
from pipelines.corpus.thumbnails import THUMBNAILS, TILES, by_key
from pipelines.tables import tables_digests


@dataclass(frozen=True)
class CorpusImages:
    """The files that a corpus is made of.

    Attributes:
        listing: the files of the corpus' section, checked before a cluster is touched.
        test: URIs of the held-out images; None chooses them by content.
        made_by: the artifact that holds the images; None where no stage made them.
        apart: whether near-duplicates of the images in `test` are left out, see `Corpus`.
    """

    listing: Listing
    test: Set[str] | None = None
    made_by: Artifact | None = None
    apart: bool = False

    @property
    def inputs(self) -> dict[str, Artifact]:
        """The stage that made the images, by name."""
        return {} if self.made_by is None else {self.made_by.stage: self.made_by}

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the files, which decide the corpus."""
        chosen = {} if self.test is None else {"test": digest(sorted(self.test))}
        if self.apart:
            chosen["apart"] = "near-duplicates of test images"
        published = self.listing.published
        if published is not None:
            splits = {uri: published.words(uri) for uri in published.stated}
            chosen["published"] = digest([sorted(published.held_out), splits])
        return {"listing": self.listing.digest(), **chosen}


def build_corpus(
    section: CorpusSection,
    images: CorpusImages,
    *,
    site: Site,
    stage: str = "corpus",
    key: str = "corpus",
) -> Artifact:
    """Split the images of all sources, after their inspection (a stage of its own, see `inspect_images`).

    Writes `manifest/`, `labels.parquet`, `quarantine.parquet`, `duplicates.parquet`,
    `near_duplicates.parquet`, `hashes.parquet`, `bad_labels.parquet`, `statistics.parquet`,
    `contact_sheets/CATEGORY.png`, with `split: published` `moved.parquet`, and with `images.apart`
    `left_out.parquet`.

    Args:
        section: the corpus' config.
        images: the corpus' files.
        site: workspace and tracking run.
        stage: name of the stage; `labels` for a finetuning's labelled images.
        key: dotted path of `section`, for messages.

    Raises:
        UserError: too many bad images; faults in labels where `section.bad_labels` is `fail`.
    """
    listing = images.listing

    @cache
    def inspection() -> Artifact:
        return inspect_images(listing, clip=section.bad_labels != "drop", site=site, inputs=images.inputs)

    def body(bench: Workbench) -> Mapping[str, Any]:
        inspected = joined_inspection(inspection().directory, listing.batches(), listing.uris)
        candidates = listing.reference_candidates(section)
        faults = listing.label_faults()
        corpus = Corpus(
            inspected, section, candidates, images.test, key, faults, listing.published, apart=images.apart
        )
        record("agssp_quarantined", len(corpus.quarantine), stage=key)
        for name, table in corpus.unusable_tables().items():
            bench.directory.write_table(f"{name}.parquet", table)
        corpus.refuse_unusable(bench.directory.uri)
        for name, (schema, pieces) in corpus.pieces().items():
            folder = "manifest/part-0.parquet" if name == "manifest" else f"{name}.parquet"
            bench.directory.write_pieces(folder, schema, pieces)
        sheets = 0
        thumbnails = by_key(inspection().directory.read_table(THUMBNAILS))
        statistics = corpus.statistics().to_pylist()
        pictured = corpus.sample(TILES, [str(row["category"]) for row in statistics[:SHEETS]])
        defects = {row["image_id"]: row["boxes"] for row in pictured}
        for file, picture in contact_sheets(pictured, statistics, defects, thumbnails):
            bench.directory.write(f"contact_sheets/{file}", picture)
            sheets += 1
        passed_over = [path for source in listing.sources for path in source.passed_over]
        told: dict[str, Any] = {"passed_over_files": first_names(passed_over)} if passed_over else {}
        if corpus.both_sides is not None:
            number, first, second = corpus.both_sides
            told |= {"both_sides": number, "both_sides_first": f"{first} and {second}"}
        classes = corpus.classes
        if alike := alike_classes(set().union(*classes.values())):
            told["alike_classes"] = alike_text(alike)
        if (text := one_sided(classes["train"], classes["test"])) is not None:
            told["one_sided_classes"] = text
        if (mixed := mixed_depths(inspected)) is not None:
            told["mixed_depths"] = mixed
        return {
            **corpus.counts(),
            "passed_over": len(passed_over),
            **told,
            "contact_sheets": sheets,
            "layout": listing.layout,
        }

    for warning in listing.warnings():
        say(warning)
    done = ensure(
        stage,
        site=site,
        config=section.dump(),
        inputs=images.inputs,
        extra=images.digests,
        # Masks by one rule; levels; ids given twice; all pairs; defects on the sheets; other TIFFs; groups.
        revision=8,
        prepare=lambda: {INSPECTION: inspection()},
        content=lambda directory: digest([section.dump(), tables_digests(directory)]),
        body=body,
    )
    if moved := done.results.get("moved"):
        say(moved_sentence(moved, done.results["test"], section.key, f"{done.directory.uri}/moved.parquet"))
    if both := done.results.get("both_sides"):
        say(both_sides_sentence(both, done.results["both_sides_first"], key))
    if alike := done.results.get("alike_classes"):
        say(alike_sentence(alike, stage))
    if text := done.results.get("one_sided_classes"):
        say(one_sided_sentence(text, stage))
    if text := done.results.get("mixed_depths"):
        say(mixed_depths_sentence(text, stage))
    return done
