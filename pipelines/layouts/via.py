"""`via`: VGG Image Annotator (Dutta and Zisserman), project or export.

    VIA 1 and 2: a project (`_via_img_metadata`), annotations as JSON or as CSV; VIA 3: a project or its CSV
    images of these names, anywhere below the root

A region's class is its only attribute, or the one called `class`, `label`, `category`, `type`, `name` or
`defect`. Where no region of a file has an attribute, all are of the class `defect`. VIA lists every image
that was opened with a project, so an image without regions is unlabelled.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import Entry, layout
from pipelines.layouts.listed_images import Listed, listed_entries
from pipelines.layouts.outline import LIST
from pipelines.layouts.tree import Tree
from pipelines.layouts.via_files import HEADER, VIA3, Region, regions_of_csv, regions_of_json

PROJECTS = frozenset({("_via_img_metadata",), ("project", "vid_list")})
CLASSES = ("class", "label", "category", "type", "name", "defect")
LABEL = "defect"  # class of regions without attributes


def _is_via(tree: Tree, path: PurePosixPath) -> bool:
    if path.suffix.lower() == ".csv":
        start = tree.head(path).removeprefix(b"\xef\xbb\xbf").lstrip(b"#")
        return start.startswith(HEADER.encode()) or start.lstrip().startswith(VIA3.encode())
    keys = tree.json_keys(path)
    exported = {place[0] for place in keys if place[1:] == ("regions",) and (place[0], "filename") in keys}
    return bool(PROJECTS & keys) or bool(exported - {LIST})


@layout(fits=lambda tree: any(_is_via(tree, path) for path in tree.samples(".json", ".csv")))
def via(tree: Tree) -> Iterable[Entry]:
    """One category, `surface` unless the source names another.

    A project and its exports may lie together: an image that several files annotate alike is read once.

    Raises:
        UserError: a file that has none of these forms, an image without a name.
    """
    files = [path for path in tree.ending(".json", ".csv") if _is_via(tree, path)]
    return listed_entries(tree, (one for path in files for one in _listed(tree, path)))


def _listed(tree: Tree, path: PurePosixPath) -> Iterator[Listed]:
    read = regions_of_csv if path.suffix.lower() == ".csv" else regions_of_json
    images = read(tree, path)
    classless = not any(region.attributes for regions in images.values() for region in regions)
    for name, regions in images.items():
        if not regions:
            yield Listed(path, (name,))
            continue
        objects = []
        for number, region in enumerate(regions, start=1):
            label, fault = (LABEL, "") if classless else _class(region)
            objects.append(
                {"place": f"region {number}", "shape": region.shape, "label": label, "fault": fault}
            )
        content = json.dumps({"name": name, "objects": objects})
        yield Listed(path, (name,), Annotation("via", (str(path),), content=content))


def _class(region: Region) -> tuple[str | None, str]:
    """A region's class, or None and the reason."""
    named = {
        str(name).strip().lower(): value
        for name, value in region.attributes.items()
        if value not in ("", {}, None)
    }
    key = next((name for name in CLASSES if name in named), None)
    if key is None:
        if len(named) != 1:
            kinds = ", ".join(sorted(named))[:80] or "none"
            return None, f"which attribute is its class? It has {kinds}; call one of them class"
        key = next(iter(named))
    value = named[key]
    if isinstance(value, dict):  # check boxes
        chosen = [str(name) for name, on in value.items() if on is True]
        if len(chosen) != 1:
            return None, f"its {key} has {len(chosen)} marks instead of one"
        value = chosen[0]
    return (value, "") if isinstance(value, str) else (None, f"its {key} is no text")
