"""Label Studio's export "JSON-MIN" as the tasks of its export "JSON": one row an annotation, its values flat.

    [{"id": 1, "image": "/data/upload/4/…", "label": [{"x": 1, …, "rectanglelabels": ["dent"]}],
      "annotation_id": 7, "annotator": 1, "updated_at": "…"}]

A row does not tell the task's own data from what somebody said of the image: a text that names no image
counts as said, so that no image is called normal by mistake.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipelines.layouts.outline import LIST

SIGNS = frozenset({(LIST, "annotation_id"), (LIST, "annotator")})
ABOUT_ROW = frozenset(
    {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "history"}
)
SIZE = ("original_width", "original_height", "image_rotation")


def tasks_of(rows: Iterable[Mapping[str, Any]], names_image: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Tasks with their annotations, as the export "JSON" has them; rows of one id are one task.

    Args:
        rows: the export's.
        names_image: whether a text is an image's name or address.
    """
    tasks: dict[object, dict[str, Any]] = {}
    for place, row in enumerate(rows, start=1):
        said = {name: value for name, value in row.items() if name not in ABOUT_ROW}
        images = {
            name: value for name, value in said.items() if isinstance(value, str) and names_image(value)
        }
        key = str(row.get("id", f"at place {place}"))
        task = tasks.setdefault(key, {"id": key, "data": images, "annotations": []})
        times = {name: row[name] for name in ("created_at", "updated_at") if name in row}
        results = _results({name: value for name, value in said.items() if name not in images})
        task["annotations"].append({"result": list(results), **times})
    return list(tasks.values())


def _results(said: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for name, value in sorted(said.items()):
        if value is None:
            continue
        for place, part in enumerate(value if isinstance(value, list) else [value], start=1):
            if not isinstance(part, Mapping):
                yield {"value": {"choices": [part]}}
            elif set(part) <= {"choices"}:
                yield {"value": dict(part)}
            else:
                drawn = {key: inner for key, inner in part.items() if key not in SIZE}
                size = {key: part[key] for key in SIZE if key in part}
                yield {"id": f"{name} {place}", "value": drawn, **size}
