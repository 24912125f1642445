"""Plain second readings of labelling tools' files: whether one says that an image is free of defects."""

import json
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

FREE = frozenset({"good", "normal", "ok", "free", "references"})
WRONG = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def plain_json(data: bytes) -> Any:
    """A document in which no object has a name twice: nobody knows which of the two counts."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name twice")
        return dict(pairs)

    return json.loads(data, object_pairs_hook=unique)


def _last(path: object) -> str:
    return PurePosixPath(str(path).replace("\\", "/")).name


def labelme_free(data: bytes, image: str) -> bool:
    """No shapes, and no flag of another name; of the image beside it, or the one that it names."""
    try:
        document = plain_json(data)
        names = {name.lower() for name, on in (document.get("flags") or {}).items() if on}
        mine = image == "line/2.jpg" or _last(document["imagePath"]) == _last(image)
        return mine and document["shapes"] == [] and names <= FREE
    except WRONG:
        return False


def cvat_free(data: bytes, image: str) -> bool:
    """The image's tags alone, all of them saying so, wherever it is listed."""
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError):
        return False
    own = [part for part in root.iter("image") if _last(part.get("name")) == _last(image)]
    parts = [part for one in own for part in one]
    return (
        all(len(one) for one in own)
        and bool(parts)
        and all(part.tag == "tag" and part.get("label", "").lower() in FREE for part in parts)
    )


def label_studio_free(data: bytes, image: str) -> bool:
    """Every task of the image: annotations that count, none with anything drawn or said of it but that."""
    try:
        tasks = [task for task in plain_json(data) if _shows(task, _last(image))]
        return bool(tasks) and all(map(_task_free, tasks))
    except WRONG:
        return False


def _shows(task: Any, name: str) -> bool:
    shown = [_last(unquote(str(value)).partition("?token")[0]) for value in task["data"].values()]
    return any(one == name or one[9:] == name for one in shown)


def _task_free(task: Any) -> bool:
    done = [one for one in task["annotations"] if not one.get("was_cancelled")]
    counted = [one for one in done if one.get("ground_truth") is True] or done
    rows = [row for one in counted for row in one["result"] if row.get("type") != "relation"]
    said = [str(choice).lower() for row in rows for choice in row["value"]["choices"]]
    return bool(counted) and all(set(row["value"]) == {"choices"} for row in rows) and set(said) <= FREE


def datumaro_free(data: bytes, image: str) -> bool:
    """Labels of the whole item alone, all of them saying so."""
    try:
        document = plain_json(data)
        classes = [label["name"] for label in document["categories"]["label"]["labels"]]
        items = [item for item in document["items"] if _last(_path(item)) == _last(image)]
        notes = [note for item in items for note in item["annotations"]]
        if not items or any(note["type"] not in {"label", "caption"} for note in notes):
            return False
        numbers = [note["label_id"] for note in notes if note["type"] == "label"]
        return bool(numbers) and all(classes[number].lower() in FREE for number in numbers)
    except (*WRONG, IndexError):
        return False


def _path(item: Any) -> str:
    about = item.get("image")
    return (isinstance(about, dict) and about.get("path")) or f"{item['id']}.jpg"
