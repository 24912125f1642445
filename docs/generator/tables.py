"""The reference of the Parquet tables, from their schemas."""

from typing import NamedTuple

import pyarrow as pa

from docs.generator.cli import cell
from pipelines.choice import BOXED, CHOSEN, embedding_schema
from pipelines.corpus import INSPECTED, STATISTICS
from pipelines.drift import DRIFT_IMAGES, DRIFT_TABLE, fingerprint_schema
from pipelines.maps import PARTS, map_schema
from pipelines.tables import (
    AUDIT,
    AUDIT_IMAGES,
    BAD_LABELS,
    BOXES,
    CORRECTED,
    DUPLICATES,
    HASHES,
    LABELS,
    MANIFEST,
    MOVED,
    NEAR_DUPLICATES,
    PAINTED,
    PREDICTIONS,
    PSEUDO_LABELS,
    QUARANTINE,
    THRESHOLDS,
)
from training.certificate import DEFECTS
from training.evaluation import CLASS_AP, CONFUSION, CURVES
from tuning.transfer import OBJECTS

INTRO = """# Tables

Made from the schemas by `python -m docs.generator`. Every table is Parquet and read with plain pyarrow or
pandas, without Ray. A stage's files are in `WORKSPACE/STAGE/` and the first 16 digits of its fingerprint.
"""


class Table(NamedTuple):
    """One table: its file, the stages that write it, its schema, and what a row is."""

    file: str
    stages: str
    schema: pa.Schema
    row: str


TABLES = (
    Table(
        "read/",
        "inspection",
        INSPECTED,
        "an image that was read; those of earlier ones are in `taken.parquet`",
    ),
    Table("manifest/", "corpus, labels", MANIFEST, "an image that is used"),
    Table("labels.parquet", "corpus, labels", LABELS, "an image whose truth is known"),
    Table(
        "quarantine.parquet",
        "corpus, labels, maps, embeddings, fingerprint, paint, audit_images, predict",
        QUARANTINE,
        "an image that can't be used",
    ),
    Table("bad_labels.parquet", "corpus, labels", BAD_LABELS, "a fault in a label"),
    Table("duplicates.parquet", "corpus, labels", DUPLICATES, "a file of the same bytes as another"),
    Table("near_duplicates.parquet", "corpus, labels", NEAR_DUPLICATES, "a pair that holds a group together"),
    Table("moved.parquet", "corpus, labels", MOVED, "an image that is not on its published side"),
    Table("left_out.parquet", "labels of a loop", QUARANTINE, "a near-duplicate of a held-out image"),
    Table("hashes.parquet", "corpus, labels", HASHES, "an image"),
    Table("statistics.parquet", "corpus, labels", STATISTICS, "a category"),
    Table(
        "maps/", "maps", map_schema(15, parts=True), "an image; `map_zero`, `map_few` with `maps.store_parts`"
    ),
    Table("thresholds.parquet", "boxes", THRESHOLDS, "a category"),
    Table("boxes.parquet", "boxes", BOXES, "a pretraining image"),
    Table("proposals.parquet", "proposals", BOXES, "a pretraining image, with what a round's detector finds"),
    Table(
        "pseudo_labels.parquet",
        "pseudo_labels",
        PSEUDO_LABELS,
        "an image, with what a finetuned detector finds",
    ),
    Table("boxes.parquet", "detector", CORRECTED, "a pretraining image, from the second round on"),
    Table("embeddings/", "embeddings", embedding_schema(128), "an image outside the test split"),
    Table("next.parquet", "next", CHOSEN, "an image to label, the first to label first"),
    Table("boxes.parquet", "next", BOXED, "an image to label, in the same order"),
    Table("fingerprint.parquet", "fingerprint", fingerprint_schema(128), "an image that was looked at"),
    Table("drift.parquet", "drift", DRIFT_TABLE, "a measure, the surest difference first"),
    Table("images.parquet", "drift", DRIFT_IMAGES, "an image that was compared"),
    Table("painted.parquet", "paint", PAINTED, "a pretraining image; its boxes are those of painted defects"),
    Table("painted.parquet", "audit_images", AUDIT_IMAGES, "a painted copy; its box is the defect's"),
    Table("audit.parquet", "audit", AUDIT, "a rule with its settings on painted defects"),
    Table("predictions.parquet", "predict, evaluate", PREDICTIONS, "an image"),
    Table("classes.parquet", "evaluate", CLASS_AP, "a class, or all of them"),
    Table("curves.parquet", "evaluate", CURVES, "a point of a class's precision over recall"),
    Table("confusion.parquet", "evaluate", CONFUSION, "a pair of classes"),
    Table("defects.parquet", "certify", DEFECTS, "a labelled defect of the test part"),
    Table("objects.parquet", "transfer objects", OBJECTS, "a labelled image of a transfer study"),
)
AP = "average precision of the COCO protocol"
MEANINGS = {
    "image_id": "first 32 hex digits of the SHA-256 of the file",
    "uri": "path or URI of the image",
    "category": "what kind of object the image shows",
    "split": "`train`, `test` (held out) or `unlabelled`",
    "published": "the splits that the data set's files name the image for; null where none does",
    "role": "`reference` (a normal image that maps compare with) or `train`",
    "width": "of the original image, pixels",
    "height": "of the original image, pixels",
    "boxes": "pixels of the original image, `x1` and `y1` exclusive; in `classes.parquet`, "
    "`audit.parquet`, `next.parquet` and `images.parquet` a count",
    "painted": "file with the defects, below the stage's directory; null where none was painted",
    "mask": "run-length text as COCO writes it, at the image's size; null where no pixel truth is known",
    "ignored": "as `boxes`: regions with defects that are no objects; what is found there is not counted",
    "stage": "that met it",
    "reason": "one sentence",
    "file": "of the label",
    "line": "in that file; null where files have no lines",
    "levels": "values that become black and white where the image has more than 8 bits; null takes its own",
    "action": "`used` (the label was mended), `image left out` or `image unlabelled` (an empty mask)",
    "looks_key": "digest of what decides the next columns up to the label's: path, size, time, levels",
    "label_key": "digest of what decides the label: its text or its files' sizes and times, the image's too",
    "empty": "whether the label says that there is no defect",
    "error": "why the image can't be used; null where it can",
    "faults": "of the label, as in `bad_labels.parquet`",
    "first": "the file that is kept",
    "group": "of near-duplicates",
    "image_id_a": "one of the pair",
    "image_id_b": "the other",
    "uri_a": "one of the pair",
    "uri_b": "the other",
    "distance": "bits of 256 in which the hashes differ",
    "phash": "perceptual hash, 256 bits as hex digits",
    "images": "how many there are",
    "train": "images to learn from",
    "test": "images held out",
    "unlabelled": "images without a label",
    "references": "normal references",
    "labelled": "images with a label",
    "quarantined": "images that can't be used",
    "width_min": "pixels",
    "width_median": "pixels",
    "width_max": "pixels",
    "height_min": "pixels",
    "height_median": "pixels",
    "height_max": "pixels",
    "grey_mean": "mean of the images' mean luma, 0–255",
    "deep": "whether the file has more than 8 bits",
    "grey_deviation": "mean of the images' standard deviation of luma",
    "labelled_share": "0–1",
    "score": "image score A; in `curves.parquet` that of the detection at this point; in `next.parquet` "
    "anomaly, diversity and disagreement multiplied, each to its exponent; in `defects.parquet` "
    "of the box that finds it, null without",
    "place": "from 1, the first to label",
    "map_score": "image score A",
    "anomaly": "rank of A in the category, above 0 to 1",
    "diversity": "half the distance to the nearest labelled or earlier image, 0–1; 1 where there is none",
    "disagreement": "½ + ½ · share of the boxed area that maps or detector box alone, ½–1; null without one",
    "nearest": "URI of the nearest labelled or earlier image; null where there is none",
    "embedding": "the encoder's, of the whole image, L2-normalised; here of 128 numbers",
    "map_max": "max M",
    "map": "M on the patch grid, here of 15 × 15 patches; upsample when reading; of tiled images a "
    "struct, `cells` row by row and `shape`",
    "map_zero": "M_zero (eq. 3–4)",
    "map_few": "M_few (eq. 5)",
    "mean_max": "mean over images of max M (eq. 10)",
    "threshold": "T_c = mean_max − C (eq. 9)",
    "delta": "δ: an image with a lower score is normal",
    "name": "of the class",
    "map50": f"{AP} at IoU 0.5",
    "map75": f"{AP} at IoU 0.75",
    "map50_95": f"{AP}, mean over IoU 0.5 to 0.95",
    "small": f"{AP} of objects below 32² pixels",
    "medium": f"{AP} of objects of 32² to 96² pixels",
    "large": f"{AP} of larger objects",
    "recall": "in `classes.parquet` COCO's average recall; in `curves.parquet` at this point; in "
    "`audit.parquet` share of the painted defects that are met",
    "precision": "at this recall; in `audit.parquet` share of the boxes that meet a painted defect",
    "truth": "class of the labelled box; `background` where there is none",
    "found": "class of the detection; `background` where there is none; in `defects.parquet` whether a box "
    "finds it",
    "count": "how often",
    "original": "id of the image that was painted on",
    "kind": "of defect that was painted",
    "normal": "whether the image is known to have no defect",
    "settings": "settings of `boxes` as JSON",
    "rule": "as `boxes.rule`",
    "own": "whether they are the configured ones",
    "chosen": "whether `boxes.rule=auto` takes them",
    "part": "what is counted: `all`, a kind of defect, or a size in patches of the map (below 1, from 9)",
    "defects": "how many were painted",
    "left_out": "boxes that are there without the painting too, where the image may have a defect",
    "f1": "harmonic mean of precision and recall",
    "iou": "mean IoU of the right boxes",
    "precision_low": "lower end of its 95 % interval, by drawing images anew",
    "precision_high": "upper end of its 95 % interval, by drawing images anew",
    "recall_low": "lower end of its 95 % interval, by drawing images anew",
    "recall_high": "upper end of its 95 % interval, by drawing images anew",
    "f1_low": "lower end of its 95 % interval, by drawing images anew",
    "f1_high": "upper end of its 95 % interval, by drawing images anew",
    "iou_low": "lower end of its 95 % interval, by drawing images anew",
    "iou_high": "upper end of its 95 % interval, by drawing images anew",
    "plain_boxes": "boxes on an image known to be normal, without painting, mean; null where none is known",
    "true_precision": "the same by the labels of the training half; null without",
    "true_recall": "the same by the labels of the training half; null without",
    "true_f1": "the same by the labels of the training half; null without",
    "brightness": "mean luma, 0–255",
    "contrast": "standard deviation of the luma, 0–255",
    "sharpness": "deviation of the luma's Laplacian over that of the luma",
    "confidence": "best score of a detector's boxes, 0 without one; null without a detector",
    "side": "`new` or `corpus`",
    "measure": "what was compared",
    "moved": "whether it differs by more than chance",
    "statistic": "largest gap of the two cumulative distributions; of embeddings the energy coefficient, 0–1",
    "by_chance": "the statistic that random parts of the corpus rarely pass",
    "p": "probability of such a difference between random parts of one set",
    "new_median": "of the new images; null of embeddings",
    "corpus_median": "of the corpus; null of embeddings",
    "shift": "difference of the medians in deviations of the corpus (interquartile range over 1.349)",
    "beyond": "share of the new images outside the middle 95 % of the corpus",
    "label": "class",
    **dict.fromkeys(("x0", "y0", "x1", "y1"), "of the box, pixels of the original image"),
    "size": "of the defect, pixels, or millimetres with `certify.pixel_mm`",
    "objects": "labelled objects: box, class, and the mask's place, size and run-length text",
}


def tables_page() -> str:
    """The page, Markdown."""
    return "\n".join([INTRO, *map(_section, TABLES)])


def _section(table: Table) -> str:
    rows = [
        f"| `{field.name}` | {cell(_type(field.type))} | {cell(MEANINGS[field.name])} |"
        for field in table.schema
    ]
    head = [f"## `{table.file}`", "", f"Of {table.stages}. A row is {table.row}.", ""]
    return "\n".join([*head, "| column | type | meaning |", "|---|---|---|", *rows, ""])


def _type(kind: pa.DataType) -> str:
    if isinstance(kind, pa.FixedShapeTensorType):
        return f"{kind.value_type} {' × '.join(map(str, kind.shape))}"
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    if pa.types.is_struct(kind):
        return ", ".join(f"`{part.name}` {part.type}" for part in kind)
    return str(kind)


assert set(MEANINGS) >= {field.name for table in TABLES for field in table.schema}
assert {"map_zero", "map_few"} == set(PARTS)
