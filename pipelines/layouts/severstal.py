"""`severstal`: Severstal's steel defect detection, as its competition publishes it.

train.csv            `ImageId,ClassId,EncodedPixels`, or `ImageId_ClassId,EncodedPixels`
train_images/*.jpg   images without a row, or without pixels in any, are normal
test_images/*.jpg    unlabelled
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.csv

from cluster.errors import UserError
from pipelines.annotations import Annotation
from pipelines.layouts.base import Entry, annotated, layout, normal
from pipelines.layouts.tree import Tree

CATEGORY = "severstal"
TABLE, TRAIN = PurePosixPath("train.csv"), "train_images"


@layout(fits=lambda tree: TABLE in tree.files and any(path.parts[0] == TRAIN for path in tree.images))
def severstal(tree: Tree) -> Iterable[Entry]:
    """One category, `severstal`; defect classes `class_1` … `class_4`, as the competition numbers them.

    Raises:
        UserError: `train.csv` is missing, no table of these columns, or names a class of an image twice.
    """
    runs = _read_table(tree)
    for path in tree.images:
        if path.parts[0] != TRAIN:
            yield Entry(str(path), CATEGORY)
        elif path.name in runs:
            yield annotated(path, CATEGORY, Annotation("class_runs", content=json.dumps(runs.pop(path.name))))
        else:
            yield normal(path, CATEGORY)
    for name in runs:
        yield Entry(
            f"{TRAIN}/{name}", CATEGORY, fault=f"{tree.uri(TABLE)} names it, but there is no such image"
        )


def _read_table(tree: Tree) -> dict[str, dict[str, str]]:
    """Image name → defect class → run lengths; rows without pixels are left out."""
    where = tree.uri(TABLE)
    if TABLE not in tree.files:
        raise UserError(
            f"The layout severstal needs {where}, which does not exist; add it or set another layout."
        )
    data = tree.read(TABLE)
    try:
        columns = data.split(b"\n", 1)[0].decode("utf-8-sig").strip().split(",")
        types = {name: pa.string() for name in columns}
        options = pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
        table = pa.csv.read_csv(pa.BufferReader(data), convert_options=options)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{where} is no CSV table ({reason}); correct it.") from None
    runs: dict[str, dict[str, str]] = defaultdict(dict)
    for row in table.to_pylist():
        if "ImageId_ClassId" in row:
            image, _, number = str(row["ImageId_ClassId"]).rpartition("_")
        else:
            image, number = str(row.get("ImageId")), str(row.get("ClassId"))
        if "EncodedPixels" not in row or not image or number not in {"1", "2", "3", "4"}:
            raise UserError(
                f"{where} has a row without image, class 1–4 and EncodedPixels ({str(row)[:80]}); correct it."
            )
        label, pixels = f"class_{number}", row["EncodedPixels"]
        if pixels is None:
            continue
        if label in runs[image]:
            raise UserError(f"{where} names class {number} of {image[:80]} twice; correct it.")
        runs[image][label] = pixels
    return dict(runs)
