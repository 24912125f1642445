"""`cvat`: CVAT for images 1.1, an XML file for all images of a task or project.

    annotations.xml, or XML files of any name, with `<annotations>` of `<image name=…>`
    images at the only path that ends as `name` does; at …/SUBSET/NAME where the image has a subset, which is
    its published split where it is called so (`Train`, `Validation`, `Test`)

CVAT lists every image of a task, whether somebody has looked at it or not, so an image without shapes is
unlabelled. One whose tags all are `good`, `normal`, `ok` or `free` is normal.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from cluster.errors import UserError
from pipelines.annotations import Annotation
from pipelines.layouts.base import Entry, LostLabel, is_normal, layout
from pipelines.layouts.listed_images import Listed, image_name, listed_entries
from pipelines.layouts.outline import LIST
from pipelines.layouts.tree import Tree

ROOT = "annotations"
PARTS = ("version", "meta", "image")  # of a table
# A project's classes as CVAT's constructor of labels takes them: no label of an image.
CONSTRUCTOR = frozenset({(LIST, "name"), (LIST, "attributes")})
IMAGES = "images"  # beside the table, where an export has its images with it


def _files(tree: Tree) -> list[PurePosixPath]:
    return [path for path in tree.ending(".xml") if tree.xml_root(path) == ROOT]


@layout(fits=lambda tree: any(tree.xml_root(path) == ROOT for path in tree.samples(".xml")))
def cvat(tree: Tree) -> Iterable[Entry | LostLabel]:
    """One category, `surface` unless the source names another; what lies in no image is a lost label.

    Raises:
        UserError: a file that is no XML, has a DTD or entities, or was exported for video.
    """
    lost: list[LostLabel] = []
    files = _files(tree)
    beside = {path.parent for path in files}
    tree.tables.update(
        path for path in tree.ending(".json") if path.parent in beside and tree.json_keys(path) >= CONSTRUCTOR
    )
    yield from listed_entries(tree, (one for path in files for one in _listed(tree, path, lost)))
    yield from lost


def _root(tree: Tree, path: PurePosixPath) -> Element:
    where = tree.uri(path)
    try:
        root = fromstring(tree.read(path), forbid_dtd=True)
    except DefusedXmlException:
        raise UserError(f"{where} declares a DTD or entities, which are refused; remove them.") from None
    except (ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        raise UserError(f"{where} is no XML ({error}); correct or remove it.") from None
    if root.find("track") is not None:
        raise UserError(f'{where} is "CVAT for video"; export the task as "CVAT for images 1.1".')
    return root


def _listed(tree: Tree, path: PurePosixPath, lost: list[LostLabel]) -> Iterator[Listed]:
    """The images of a table; what lies in none of them is added to `lost`."""
    where, root = tree.uri(path), _root(tree, path)
    for place, part in enumerate(root, start=1):
        if part.tag not in PARTS:
            lost.append(LostLabel(str(path), f"{str(part.tag)[:40]!r} at place {place} is no image"))
    for image in root.iter("image"):
        name = image_name(image.get("name"), f"image {image.get('id', '')[:20]}", where)
        subset = image.get("subset")
        names = (f"{subset}/{name}", name) if subset else (name,)
        places = tuple(f"{IMAGES}/{name}" for name in names)
        shapes = [shape for shape in image if shape.tag != "tag"]
        if shapes:
            note = Annotation("cvat", (str(path),), content=_content(image, shapes, name))
            yield Listed(path, names, note, places=places, subset=subset)
        else:
            tags = [tag.get("label", "") for tag in image]
            free = bool(tags) and all(map(is_normal, tags))
            yield Listed(path, names, normal=free, places=places, subset=subset)


def _content(image: Element, shapes: list[Element], name: str) -> str:
    objects = [{"kind": str(shape.tag), "attributes": dict(shape.attrib)} for shape in shapes]
    return json.dumps({"name": name, "size": [image.get("width"), image.get("height")], "objects": objects})
