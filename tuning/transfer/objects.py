"""The `objects` stage: the objects of every labelled image, and the colours of the training images."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from cluster.errors import UserError
from cluster.progress import progress
from cluster.stages import Artifact, Site, Workbench, ensure
from pipelines.annotations import Annotation, Instance, read_instances
from pipelines.corpus import Listing, split_advice
from pipelines.images import ImageError, LevelsSection, dataset_colours
from pipelines.tables import LABELLED_BOX, CorpusTables, ManifestRow
from training.pictures import read_pixels

OBJECTS_FILE = "objects.parquet"
COLOURS_FILE = "colours.json"
THREADS = 8

OBJECT = pa.struct(
    [
        *LABELLED_BOX,
        *(pa.field(name, pa.int32()) for name in ("left", "top", "width", "height")),
        pa.field("runs", pa.string()),
        pa.field("stray", pa.bool_()),
        pa.field("ignored", pa.bool_()),
    ]
)
OBJECTS = pa.schema(
    [
        ("image_id", pa.string()),
        ("uri", pa.string()),
        ("split", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("objects", pa.list_(OBJECT)),
    ]
)


def list_objects(levels: LevelsSection, listing: Listing, *, site: Site, corpus: Artifact) -> Artifact:
    """Write `objects.parquet` (labelled images of the corpus) and `colours.json` (of its training images).

    Args:
        levels: scaling of images of more than 8 bits.
        listing: listing of the corpus, which knows where the annotations are.
        corpus: artifact whose manifest names the images and their split.

    Raises:
        UserError: an annotation or image changed since the corpus was made, or no training image is labelled.
    """

    def body(bench: Workbench) -> Mapping[str, Any]:
        notes = {
            source.uri(entry): source.truth(entry)
            for source in listing.sources
            for entry in source.entries
            if entry.labelled
        }
        tables = CorpusTables(corpus.directory)
        labelled = tables.labelled()
        manifest = [row for row in tables.manifest() if row["image_id"] in labelled and row["uri"] in notes]
        with progress("reading objects", len(manifest)) as bar, ThreadPoolExecutor(THREADS) as pool:
            rows = []
            for row in pool.map(lambda row: _row(row, notes[row["uri"]]), manifest):
                rows.append(row)
                bar.advance(1)
        bench.directory.write_table(OBJECTS_FILE, pa.Table.from_pylist(rows, schema=OBJECTS))
        train = [row["uri"] for row in rows if row["split"] == "train"]
        if not train:
            raise UserError(
                f"The data set has no labelled image in its training split; {split_advice(corpus, 'train')}."
            )
        try:
            colours = dataset_colours(train, levels)
        except ImageError:
            for uri in train:
                read_pixels(uri)  # tells which one it is
            raise UserError(
                "A training image couldn't be read for a moment; run the same command again."
            ) from None
        bench.directory.write_json(COLOURS_FILE, asdict(colours))
        objects = [one for row in rows for one in row["objects"] if not one["stray"]]
        return {
            "images": len(rows),
            "train": len(train),
            "test": sum(row["split"] == "test" for row in rows),
            "objects": len(objects),
            "with_mask": sum(one["runs"] is not None for one in objects),
            "saturation": round(colours.saturation, 6),
            "classes": sorted({one["label"] for one in objects}),
        }

    return ensure(
        "objects",
        site=site,
        config={"levels": levels.model_dump(mode="json", exclude_none=True)},
        revision=3,  # ignored regions; shapes of one group are one object
        inputs={"corpus": corpus},
        body=body,
    )


def _row(row: ManifestRow, note: Annotation | None) -> dict[str, Any]:
    instances: list[Instance] = []
    if note is not None:
        try:
            instances = read_instances(note, row["width"], row["height"], clip=True)
        except ImageError as error:
            raise UserError(
                f"The labels of {row['uri']} have changed since the corpus was made ({error}); make it anew."
            ) from None
    fields = ("left", "top", "width", "height", "runs", "stray", "ignored")
    objects = [vars(one.box) | {name: getattr(one, name) for name in fields} for one in instances]
    columns = ("image_id", "uri", "split", "width", "height")
    return {name: value for name, value in row.items() if name in columns} | {"objects": objects}
