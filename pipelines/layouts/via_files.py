"""Files of VGG Image Annotator: the regions of every image, in the words of VIA 2."""

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from cluster.errors import UserError
from pipelines.annotations import parse_json
from pipelines.layouts.listed_images import image_name, read_json_table
from pipelines.layouts.tree import Tree

HEADER = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
VIA3 = "Exported using VGG Image Annotator"
ATTRIBUTES = "# ATTRIBUTE = "
# VIA 3 writes a shape as its number and its coordinates.
RECT, CIRCLE, ELLIPSE, LINE, POLYLINE, POLYGON = range(2, 8)
NAMES = {1: "point", LINE: "polyline", POLYLINE: "polyline", POLYGON: "polygon"}
CHOSEN = (2, 3, 4)  # types of VIA 3's attributes whose values are numbers of options


@dataclass(frozen=True)
class Region:
    """One region: VIA 2's `shape_attributes`, and its attributes by name."""

    shape: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)


Images = dict[str, list[Region]]  # by the image's name


def regions_of_json(tree: Tree, path: PurePosixPath) -> Images:
    """A project or an export of annotations.

    Raises:
        UserError: another form.
    """
    where = tree.uri(path)
    document = _object(read_json_table(tree, path), "it", where)
    if "project" in document:
        return _project3(document, where)
    images: Images = {}
    for key, image in _object(
        document.get("_via_img_metadata", document), "_via_img_metadata", where
    ).items():
        record = _object(image, f"image {key[:60]}", where)
        name = image_name(record.get("filename"), f"image {key[:60]}", where)
        rows = record.get("regions")
        listed = list(rows.values()) if isinstance(rows, dict) else rows  # VIA 1 numbers them by text
        if not isinstance(listed, list):
            raise UserError(f"{where}: regions of {name[:100]} must be a list; correct it.")
        _new(images, name, where)
        images[name] = [_region(row, name, where) for row in listed]
    return images


def regions_of_csv(tree: Tree, path: PurePosixPath) -> Images:
    """Annotations as CSV, of VIA 2 or 3.

    Raises:
        UserError: another form; names the line.
    """
    where = tree.uri(path)
    try:
        text = tree.read(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{where} is no UTF-8 text; correct it.") from None
    lines = text.splitlines(keepends=True)
    third = text.lstrip("# ").startswith(VIA3)
    notes = (
        next((place for place, line in enumerate(lines) if not line.startswith("#")), len(lines))
        if third
        else 1
    )
    classes: Mapping[str, Any] = {}
    for number, line in enumerate(lines[:notes], start=1):
        if line.startswith(ATTRIBUTES):
            spot = f"{where} line {number}"
            classes = _object(_json(line[len(ATTRIBUTES) :], spot), "it", spot)
    images: Images = defaultdict(list)
    reader = csv.reader(lines[notes:], strict=True)
    columns = 6 if third else 7
    try:
        for row in reader:
            spot = f"{where} line {notes + reader.line_num}"
            if not row:
                continue
            if len(row) != columns:
                raise UserError(f"{spot} has {len(row)} columns instead of {columns}; correct it.")
            if third:
                name, region = _row3(row, classes, spot)
            else:
                shape, attributes = (_object(_json(cell, spot), "it", spot) for cell in row[5:])
                counted = shape or row[3].strip() not in {"", "0"}  # a shape that got lost is a fault
                name, region = image_name(row[0], "it", spot), Region(shape, attributes) if counted else None
            images[name] += [region] if region else []
    except csv.Error as error:
        raise UserError(f"{where} line {notes + reader.line_num} is no CSV ({error}); correct it.") from None
    return dict(images)


def _region(row: object, name: str, where: str) -> Region:
    record = _object(row, f"a region of {name[:100]}", where)
    shape = _object(record.get("shape_attributes"), f"shape_attributes of {name[:100]}", where)
    return Region(
        shape, _object(record.get("region_attributes") or {}, f"region_attributes of {name[:100]}", where)
    )


def _project3(document: Mapping[str, Any], where: str) -> Images:
    files, views = (_object(document.get(part), part, where) for part in ("file", "view"))
    names: dict[str, str] = {}
    for number, view in views.items():
        ids = _object(view, f"view {number[:20]}", where).get("fid_list")
        if not isinstance(ids, list) or len(ids) != 1 or str(ids[0]) not in files:
            raise UserError(f"{where}: view {number[:20]} does not show one file; correct it.")
        file = _object(files[str(ids[0])], f"file {str(ids[0])[:20]}", where)
        names[number] = image_name(file.get("src") or file.get("fname"), f"file {str(ids[0])[:20]}", where)
    images: Images = {}
    for name in names.values():
        _new(images, name, where)
        images[name] = []
    classes = _object(document.get("attribute") or {}, "attribute", where)
    for number, entry in _object(document.get("metadata"), "metadata", where).items():
        record = _object(entry, f"metadata {number[:20]}", where)
        view = str(record.get("vid"))
        if view not in names:
            raise UserError(
                f"{where}: metadata {number[:20]} is of view {view[:20]}, which is not there; correct it."
            )
        region = _region3(
            record.get("z"), record.get("xy"), record.get("av"), classes, f"{where}: metadata {number[:20]}"
        )
        images[names[view]] += [region] if region else []
    return images


def _row3(row: list[str], classes: Mapping[str, Any], line: str) -> tuple[str, Region | None]:
    files = _json(row[1], line)
    if not isinstance(files, list) or len(files) != 1:
        raise UserError(f"{line} is not about one file; correct it.")
    times, shape, values = (_json(cell, line) for cell in row[3:])
    return image_name(files[0], "it", line), _region3(times, shape, values, classes, line)


def _region3(
    times: object, shape: object, values: object, classes: Mapping[str, Any], place: str
) -> Region | None:
    """A region of VIA 3; None for what is said of a whole file."""
    if times:
        raise UserError(f"{place} is about a moment of a film; export images alone.")
    if not isinstance(shape, list):
        raise UserError(f"{place} has coordinates that are no list; correct it.")
    if not shape:
        return None
    attributes = {}
    for number, value in _object(values or {}, "its values", place).items():
        about = classes.get(number)
        known = about if isinstance(about, dict) else {}
        options = known.get("options")
        name = str(known.get("aname", number))
        if known.get("type") in CHOSEN and isinstance(options, dict):
            chosen = [one for one in str(value).split(",") if one]
            attributes[name] = options.get(chosen[0]) if len(chosen) == 1 else dict.fromkeys(chosen, True)
        else:
            attributes[name] = value
    return Region(_shape3(shape), attributes)


def _shape3(shape: list[Any]) -> Mapping[str, Any]:
    kind, values = shape[0], shape[1:]
    if kind == RECT:
        return {"name": "rect", **dict(zip(("x", "y", "width", "height"), values, strict=False))}
    if kind == CIRCLE:
        return {"name": "circle", **dict(zip(("cx", "cy", "r"), values, strict=False))}
    if kind == ELLIPSE:
        return {"name": "ellipse", **dict(zip(("cx", "cy", "rx", "ry"), values, strict=False))}
    name = NAMES.get(kind) if isinstance(kind, int) else None
    return {"name": name or str(kind)[:20], "all_points_x": values[::2], "all_points_y": values[1::2]}


def _new(images: Images, name: str, where: str) -> None:
    if name in images:
        raise UserError(f"{where} lists {name[:200]} a second time; list every image once.")


def _json(text: str, line: str) -> Any:
    try:
        return parse_json(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{line} holds no JSON ({str(error)[:100]}); correct it.") from None


def _object(value: Any, what: str, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: {what} must be an object; correct it.")
    return value
