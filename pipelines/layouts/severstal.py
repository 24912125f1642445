"""`severstal`: Severstal's steel defect detection, as its competition publishes it.

train.csv            `ImageId,ClassId,EncodedPixels`: images without a row are normal; or
                     `ImageId_ClassId,EncodedPixels`: images with four rows without pixels are normal
train_images/*.jpg   the images that it names
test_images/*.jpg    unlabelled
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.csv

from cluster.errors import UserError
from pipelines.annotations import Annotation
from pipelines.layouts.base import Entry, annotated, doubt_of, layout, normal_unless
from pipelines.layouts.tree import Tree

CATEGORY = "severstal"
TABLE, TRAIN = PurePosixPath("train.csv"), "train_images"
CLASSES = ("1", "2", "3", "4")


@dataclass
class _Rows:
    """An image's rows: run lengths by defect class, and the classes that have a row without pixels."""

    runs: dict[str, str] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)


@layout(fits=lambda tree: TABLE in tree.files and any(path.parts[0] == TRAIN for path in tree.images))
def severstal(tree: Tree) -> Iterable[Entry]:
    """One category, `severstal`; defect classes `class_1` … `class_4`, as the competition numbers them.

    A row of an image that is not there is a fault, and images without a row are unlabelled then.

    Raises:
        UserError: `train.csv` is missing, no table of these columns, or names a class of an image twice.
    """
    rows, complete = _read_table(tree)
    where = tree.uri(TABLE)
    train: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in tree.images:
        if path.parts[0] == TRAIN:
            train[path.name].append(path)
        else:
            yield Entry(str(path), CATEGORY)
    gone = sorted(name for name in rows.keys() - train.keys() if rows[name].runs)
    for name in gone:
        yield Entry(f"{TRAIN}/{name}", CATEGORY, fault=f"{where} names it, but there is no such image")
    doubt = doubt_of(where, gone)
    for name, paths in train.items():
        some = rows.get(name, _Rows())
        for path in paths:
            if len(paths) > 1:
                yield Entry(str(path), CATEGORY, fault=f"{where} may mean several images of its name")
            elif some.runs:
                content = json.dumps(some.runs)
                yield annotated(path, CATEGORY, Annotation("class_runs", (str(TABLE),), content=content))
            elif complete and 0 < len(some.empty) < len(CLASSES):
                missing = f"{where} has only {len(some.empty)} of its {len(CLASSES)} rows"
                yield Entry(str(path), CATEGORY, doubt=missing)
            elif complete and not some.empty:
                yield Entry(str(path), CATEGORY)
            else:
                yield normal_unless(None if some.empty else doubt, path, CATEGORY)


def _read_table(tree: Tree) -> tuple[dict[str, _Rows], bool]:
    """The rows by image name, and whether the table has a row for every class of an image."""
    where = tree.uri(TABLE)
    if TABLE not in tree.files:
        raise UserError(
            f"The layout severstal needs {where}, which does not exist; add it or set another layout."
        )
    data = tree.read(TABLE)
    try:
        header = data.split(b"\n", 1)[0].decode("utf-8-sig").strip()
        columns = [name.strip('"') for name in header.split(",")]
        types = {name: pa.string() for name in columns}
        options = pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
        table = pa.csv.read_csv(pa.BufferReader(data), convert_options=options)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{where} is no CSV table ({reason}); correct it.") from None
    complete = "ImageId_ClassId" in table.column_names
    if "EncodedPixels" not in columns or not (complete or {"ImageId", "ClassId"} <= set(columns)):
        raise UserError(
            f"{where} does not begin with ImageId,ClassId,EncodedPixels or ImageId_ClassId,EncodedPixels; "
            "correct it."
        )
    rows: dict[str, _Rows] = defaultdict(_Rows)
    listed = table.to_pylist()
    if listed and listed[-1]["EncodedPixels"] is None and not data.endswith((b"\n", b"\r")):
        raise UserError(f"{where} ends within a row; get the whole file.")
    for row in listed:
        if "ImageId_ClassId" in row:
            image, _, number = str(row["ImageId_ClassId"] or "").rpartition("_")
        else:
            image, number = str(row["ImageId"] or ""), str(row["ClassId"])
        number = number.removesuffix(".0")  # as pandas writes a column with gaps
        if not image or number not in CLASSES:
            raise UserError(
                f"{where} has a row without image, class 1–4 and EncodedPixels ({str(row)[:80]}); correct it."
            )
        label, pixels = f"class_{number}", row["EncodedPixels"]
        if label in rows[image].runs or label in rows[image].empty:
            raise UserError(f"{where} names class {number} of {image[:80]} twice; correct it.")
        if pixels is None:
            rows[image].empty.add(label)
        else:
            rows[image].runs[label] = pixels
    return dict(rows), complete
