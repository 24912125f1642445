"""`label_studio`: Label Studio's own exports "JSON", a list of tasks, and "JSON-MIN".

    JSON files of any name: [{"annotations": […], "data": {"image": "/data/upload/4/1a2b3c4d-NAME.jpg"}}]
    images of these names, with or without the eight digits that an upload puts before them, anywhere

A task without a completed annotation is unlabelled: drafts, predictions and cancelled annotations don't
count. An annotation without regions means normal, unless it says something else of the image than `good`,
`normal`, `ok` or `free`, which leaves it unlabelled. Of several annotations the ground truth counts, else the
one that was changed last; where only some of them have regions, the image is a fault.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cluster.errors import UserError
from pipelines.annotations import Annotation
from pipelines.images import IMAGE_SUFFIXES
from pipelines.layouts import label_studio_min
from pipelines.layouts.base import Entry, is_normal, layout
from pipelines.layouts.listed_images import Listed, image_name, listed_entries, objects_in, read_json_table
from pipelines.layouts.outline import LIST
from pipelines.layouts.tree import Tree

TASK = (LIST, "annotations")
SIGNS = frozenset(
    {(*TASK, LIST, name) for name in ("result", "completed_by", "was_cancelled")}
    | {(LIST, name) for name in ("drafts", "file_upload", "predictions", "total_annotations")}
)
INTERFACE = (
    "View"  # first tag of a labelling interface, which lies beside what was made for it and has no label
)
SERVED = "/data/local-files/"
UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
SAYING = ("choices", "taxonomy", "rating", "pairwise", "number", "text")  # results about the whole image


def _is_export(tree: Tree, path: PurePosixPath) -> bool:
    keys = tree.json_keys(path)
    return (TASK in keys and bool(SIGNS & keys)) or keys >= label_studio_min.SIGNS


@layout(fits=lambda tree: any(_is_export(tree, path) for path in tree.samples(".json")))
def label_studio(tree: Tree) -> Iterable[Entry]:
    """One category, `surface` unless the source names another.

    Raises:
        UserError: a file that is no list of tasks, a task without an image's name.
    """
    files = [path for path in tree.ending(".json") if _is_export(tree, path)]
    beside = {path.parent for path in files}
    tree.tables.update(
        path for path in tree.ending(".xml") if path.parent in beside and tree.xml_root(path) == INTERFACE
    )
    return listed_entries(tree, (one for path in files for one in _listed(tree, path)))


def _listed(tree: Tree, path: PurePosixPath) -> Iterator[Listed]:
    where = tree.uri(path)
    tasks: Sequence[Mapping[str, Any]] = objects_in(read_json_table(tree, path), "the export", where)
    if tree.json_keys(path) >= label_studio_min.SIGNS:
        tasks = label_studio_min.tasks_of(tasks, _names_image)
    for place, task in enumerate(tasks, start=1):
        number = str(task.get("id", f"at place {place}"))[:20]
        names = _names(task.get("data"), f"task {number}", where)
        if "annotations" not in task:  # an export has the key even where the list is empty
            yield Listed(path, names, fault=f"task {number}: it has no annotations, not even an empty list")
            continue
        rows = objects_in(task["annotations"] or [], f"annotations of task {number}", where)
        done = [row for row in rows if not row.get("was_cancelled")]
        if not done:
            yield Listed(path, names)
            continue
        results = [objects_in(row.get("result"), f"the result of task {number}", where) for row in done]
        chosen, fault = _chosen(done, [_regions(result) for result in results])
        if fault:
            yield Listed(path, names, fault=f"task {number}: {fault}")
        elif regions := _regions(results[chosen]):
            content = json.dumps({"task": number, "regions": regions})
            yield Listed(path, names, Annotation("label_studio", (str(path),), content=content))
        else:
            yield Listed(path, names, normal=_says_nothing_else(results[chosen]))


def _chosen(done: list[Mapping[str, Any]], regions: list[list[Any]]) -> tuple[int, str]:
    """Which annotation counts, and why none does."""
    places = [place for place, row in enumerate(done) if row.get("ground_truth") is True] or list(
        range(len(done))
    )
    if len({bool(regions[place]) for place in places}) > 1:
        return (
            0,
            f"its {len(places)} annotations differ on whether there is anything; mark one as ground truth",
        )
    return max(places, key=lambda place: (_time(done[place]), place)), ""


def _time(row: Mapping[str, Any]) -> str:
    return str(row.get("updated_at") or row.get("created_at") or "")


def _regions(results: list[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The results that draw something, those of one region together."""
    regions: dict[str, list[Mapping[str, Any]]] = {}
    for place, result in enumerate(results):
        value = result.get("value")
        about_image = isinstance(value, dict) and bool(value) and set(value) <= {*SAYING, "end", "start"}
        if result.get("type") != "relation" and not about_image:
            own = result.get("id")
            regions.setdefault(f"at place {place + 1}" if own is None else str(own), []).append(result)
    return list(regions.values())


def _says_nothing_else(results: list[Mapping[str, Any]]) -> bool:
    said = [result["value"] for result in results if isinstance(result.get("value"), dict)]
    choices = [choice for value in said for choice in _texts(value.get("choices"))]
    others = [name for value in said for name in value if name in SAYING and name != "choices"]
    return not others and all(map(is_normal, choices))


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _names(data: object, what: str, where: str) -> tuple[str, ...]:
    """What the task's image may be called here."""
    values = data if isinstance(data, dict) else {}
    found = {
        key: str(value) for key, value in values.items() if isinstance(value, str) and _names_image(value)
    }
    if len(found) > 1 and "image" not in found:
        raise UserError(
            f"{where}: {what} has several images ({', '.join(sorted(found))[:100]}); export one each."
        )
    value = found.get("image") or next(iter(found.values()), None)
    if value is None:
        raise UserError(f"{where}: {what} has no image's name in its data; correct it.")
    name = image_name(_path(value), what, where)
    home, _, last = name.rpartition("/")
    plain = UPLOAD.sub("", last)
    names = (name,) if plain == last else (name, f"{home}/{plain}" if home else plain)
    # A path that is served from a disk may be the one below the root.
    return (*names, *(one.lstrip("/") for one in names)) if value.startswith(SERVED) else names


def _path(value: str) -> str:
    """The path in an address: `/data/local-files/?d=a%20b.jpg`, `s3://bucket/a.jpg`, `https://host/a.jpg?x=y`."""
    if value.startswith(SERVED):
        return "/" + (parse_qs(urlsplit(value).query).get("d") or [""])[0].lstrip("/")
    if "://" in value:
        return "/" + unquote(urlsplit(value).path).lstrip("/")
    return unquote(value) if value.startswith("/data/") else value


def _names_image(value: str) -> bool:
    try:
        return PurePosixPath(_path(value).replace("\\", "/")).suffix.lower() in IMAGE_SUFFIXES
    except ValueError:  # no address
        return False
