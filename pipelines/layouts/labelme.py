"""`labelme`: LabelMe, a JSON file an image; X-AnyLabeling writes the same form.

    NAME.jpg with NAME.json beside it; or a JSON file elsewhere whose `imagePath` names the image

A file beside an image whose `imagePath` names another one that lies there too is a fault.

An image without a JSON file is unlabelled. A file without shapes means normal, as somebody saved it so; a
flag in it of another name than `good`, `normal`, `ok` or `free` makes that a fault.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import NORMAL_NAMES, SURFACE, Entry, annotated, layout
from pipelines.layouts.listed_images import Listed, ListedImages, image_name, read_json_table
from pipelines.layouts.outline import LIST
from pipelines.layouts.tree import Tree


def _is_labelme(tree: Tree, path: PurePosixPath) -> bool:
    keys = tree.json_keys(path)
    named = ("imagePath",) in keys or ("version",) in keys
    return ("shapes",) in keys and (named or ("shapes", LIST, "points") in keys)


@layout(fits=lambda tree: any(_is_labelme(tree, path) for path in tree.samples(".json")))
def labelme(tree: Tree) -> Iterable[Entry]:
    """One category, `surface` unless the source names another.

    A file of LabelMe without an image, an image with several files and a file that may mean several images
    are faults.

    Raises:
        UserError: a file that is not beside its image is damaged.
    """
    by_stem: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for image in tree.images:
        by_stem[image.with_suffix("")].append(image)
    finder = ListedImages(tree)
    files: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in tree.ending(".json"):
        beside = by_stem.get(path.with_suffix(""), [])
        if len(beside) == 1:
            files[str(beside[0])].append(path)
        elif beside or _is_labelme(tree, path):
            document = read_json_table(tree, path)
            name = document.get("imagePath") if isinstance(document, dict) else None
            listed = Listed(path, (image_name(name, "imagePath", tree.uri(path)),))
            file, reason = finder.find(listed)
            if file is None:
                yield Entry(str(path), SURFACE, fault=f"it is for {listed.names[0][:200]}, but {reason}")
            else:
                files[file].append(path)
    for file, several in files.items():
        if len(several) > 1:
            names = ", ".join(map(str, several[:3]))
            yield Entry(file, SURFACE, fault=f"several files annotate it: {names}")
        else:
            lies_beside = several[0].with_suffix("") == PurePosixPath(file).with_suffix("")
            about = {"normal": sorted(NORMAL_NAMES)} | (
                {"image": PurePosixPath(file).name} if lies_beside else {}
            )
            content = json.dumps(about)
            note = Annotation("labelme", (str(several[0]),), content=content, empty_is_normal=True)
            yield annotated(file, SURFACE, note)
    for image in tree.images:
        if str(image) not in files:
            yield Entry(str(image), SURFACE)
