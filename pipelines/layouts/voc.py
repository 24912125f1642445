"""`voc`: Pascal VOC, an XML file an image.

…/JPEGImages/NAME.jpg with …/Annotations/NAME.xml
…/IMAGES/NAME.jpg with …/ANNOTATIONS/NAME.xml, and likewise for every folder with `images` in its name;
    subfolders of the images may be missing beside the annotations
NAME.jpg with NAME.xml beside it
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import SURFACE, Entry, annotated, layout
from pipelines.layouts.tree import Tree

Place = tuple[tuple[str, ...], str]  # folders in lower case, stem


def _places(image: PurePosixPath) -> Iterator[Place]:
    """Where the annotation of an image may be."""
    folders = tuple(part.lower() for part in image.parent.parts)
    yield folders, image.stem
    for last in reversed([place for place, part in enumerate(folders) if "images" in part]):
        home = folders[last].replace("jpegimages", "images").replace("images", "annotations")
        yield (*folders[:last], home, *folders[last + 1 :]), image.stem
        yield (*folders[:last], home), image.stem


def pairs(tree: Tree) -> dict[PurePosixPath, list[PurePosixPath]]:
    """Annotation → its images, in order: usually one, none or several where the tree is at fault.

    Folders that differ in upper and lower case alone may hold several annotations of one image.
    """
    by_place: dict[Place, list[PurePosixPath]] = defaultdict(list)
    for path in tree.ending(".xml"):
        by_place[tuple(part.lower() for part in path.parent.parts), path.stem].append(path)
    images_by_annotation: dict[PurePosixPath, list[PurePosixPath]] = {
        path: [] for paths in by_place.values() for path in paths
    }
    for image in tree.images:
        for path in next((by_place[place] for place in _places(image) if place in by_place), []):
            images_by_annotation[path].append(image)
    return images_by_annotation


def voc_entries(tree: Tree, category: str, *, empty_is_normal: bool) -> Iterator[Entry]:
    """Entries of all images; those without an XML file are unlabelled.

    An annotation without an image, or with several, is a fault, as is an image with several.
    """
    of_image: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for path, images in pairs(tree).items():
        if len(images) == 1:
            of_image[images[0]].append(path)
        elif images:
            names = ", ".join(str(image) for image in images[:3])
            yield Entry(str(path), category, fault=f"it would be the annotation of several images: {names}")
        else:
            yield Entry(str(path), category, fault="it is the annotation of no image here")
    for image in tree.images:
        files = of_image.get(image, [])
        if len(files) == 1:
            annotation = Annotation("voc", (str(files[0]),), empty_is_normal=empty_is_normal)
            yield annotated(image, category, annotation)
        elif files:
            several = ", ".join(str(file) for file in files[:3])
            yield Entry(str(image), category, fault=f"several annotations may be its own: {several}")
        else:
            yield Entry(str(image), category)


@layout(fits=lambda tree: any(pairs(tree).values()))
def voc(tree: Tree) -> Iterable[Entry]:
    """One category, `surface` unless the source names another; an annotation of no object means normal."""
    return voc_entries(tree, SURFACE, empty_is_normal=True)
