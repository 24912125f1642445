"""The inspection stage: every image of a listing decoded and hashed once, its label read.

It is apart from the corpus, so that another split, other references or categories read no image again.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from cluster.stages import Artifact, Site, Workbench, digest, ensure, list_digest
from pipelines.corpus.entries import table_of
from pipelines.corpus.inspected import TO_READ
from pipelines.corpus.inspection import read_images
from pipelines.corpus.known_images import INSPECTION, READ, TAKEN, KnownImages, inspected_images
from pipelines.corpus.listing import Listing
from pipelines.corpus.thumbnails import THUMBNAILS, shown, thumbnail_table
from pipelines.tables import Step, job_place, run_table_job, write_listing

# Raised, with the corpus' own, when images or labels of the same files are read otherwise: what another
# revision has read is not taken over. 2: packed big-endian TIFFs of floats and signed numbers, planes of deep
# colours; turned boxes in VOC. 3: shapes of one group are one object; DICOM plates of other bits are refused.
# 4: whether an image has more than 8 bits is kept.
REVISION = 4


def inspect_images(listing: Listing, *, clip: bool, site: Site, inputs: Mapping[str, Artifact]) -> Artifact:
    """Read every image and label of a listing, but for those that an earlier inspection has read.

    Writes `read/` and `taken.parquet` (schema `INSPECTED`) and `thumbnails.parquet`.

    Args:
        listing: the images.
        clip: whether boxes are cut to the image, see `Faults`.
        site: workspace and tracking run.
        inputs: the stage that made the images, by name.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        work, known = bench.directory.at("listing"), KnownImages(site.workspace, REVISION)
        if not work.exists("complete"):  # a killed inspection goes on with the rows that it began with
            taken, unknown = known.among(_to_read(listing, clip))
            bench.directory.write_table(TAKEN, taken)
            write_listing(work, unknown)
        rows = work.at("rows")
        looks = rows.read_table("", columns=["looks"]).column("looks")
        total = len(looks)
        target = bench.directory.at(READ)
        if total:
            run_table_job(
                f"{INSPECTION}: hashing and decoding",
                source=rows,
                work=work,
                target=target,
                steps=[Step(_read_counted, {"clip": clip}, counted=True)],
                id_column="uri",
                total=total,
                here=job_place(work, target, total).here,
            )
        images = inspected_images(bench.directory)
        pictured = shown(listing, images)
        table = thumbnail_table(pictured, known.thumbnails(pictured))
        bench.directory.write_table(THUMBNAILS, table)
        return {
            "images": images.num_rows,
            "decoded": looks.null_count,
            "unusable": images.num_rows - images.column("error").null_count,
        }

    return ensure(
        INSPECTION,
        site=site,
        config={"clip": clip, "levels": _levels(listing)},
        inputs=inputs,
        extra={"files": _files_digest(listing)},
        revision=REVISION,
        body=body,
    )


def _levels(listing: Listing) -> dict[str, Any]:
    """The config of the levels by the place of the source; of those alone that have one."""
    places = {place: listing.section.levels_source(place) for place in range(len(listing.sources))}
    sections = {place: listing.sources[own].source.levels for place, own in places.items()}
    return {
        str(place): {"of": places[place], **section.model_dump(mode="json")}
        for place, section in sections.items()
        if section is not None
    }


def _files(listing: Listing) -> Iterator[tuple[int, dict[str, Any], Any, Any]]:
    """Of each image: the place of its source, its row, the states of its file and of its label's files."""
    for place, source in enumerate(listing.sources):
        for row, states in source.rows():
            if row["fault"] is None:
                yield place, row, [states[0], _open_to_us(str(row["uri"]))], states[1:]


def _open_to_us(uri: str) -> bool:
    """Whether a local file may be read; rights can change without its size or time."""
    return "://" in uri or os.access(uri, os.R_OK, effective_ids=True)


def _files_digest(listing: Listing) -> str:
    """Changes when an image or a label is added, removed or changed (by name, size, time and rights)."""
    levelled = _levels(listing)
    return list_digest(
        [place if str(place) in levelled else None, row["uri"], row["annotation"], image, label]
        for place, row, image, label in _files(listing)
    )


def _to_read(listing: Listing, clip: bool) -> pa.Table:
    """The images to read, schema `TO_READ`, their looks unknown."""
    return table_of(_rows_to_read(listing, clip), TO_READ)


def _rows_to_read(listing: Listing, clip: bool) -> Iterator[dict[str, Any]]:
    for place, row, image, label in _files(listing):
        about = {"uri": row["uri"], "annotation": row["annotation"], "levels": listing.levels[place]}
        looks_key = digest([row["uri"], image, about["levels"]])
        label_key = digest([row["uri"], image, row["annotation"], label, clip])
        yield {**about, "looks_key": looks_key, "label_key": label_key, "looks": None}


def _read_counted(rows: pa.Table, clip: bool, counter: Any) -> pa.Table:
    done = read_images(rows, clip=clip)
    counter.add(rows.num_rows)
    return done
