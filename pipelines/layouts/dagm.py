"""`dagm`: the DAGM 2007 competition's textures.

ClassN/{Train,Test}/0576.PNG
ClassN/{Train,Test}/Label/0576_label.PNG     an ellipse around the defect; only defective images have one
ClassN/{Train,Test}/Label/Labels.txt         lines of `number 0|1 0576.PNG 0 0576_label.PNG`, 1 for a defect
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import NO_IMAGE, Entry, LostLabel, annotated, doubt_of, layout, normal_unless
from pipelines.layouts.tree import Tree

LABEL, MASK_SUFFIX, TABLE = "Label", "_label", "Labels.txt"


@layout(
    fits=lambda tree: any(
        path.stem.endswith(MASK_SUFFIX)
        and path.parts[-2:-1] == (LABEL,)
        and path.parts[0].startswith("Class")
        for path in tree.images
    )
)
def dagm(tree: Tree) -> Iterable[Entry | LostLabel]:
    """Categories `dagm_class1` … `dagm_class10`: each is a texture with one kind of defect, `defect`.

    An image without mask is normal, unless its folder's table says or may say otherwise, or masks there
    belong to no image.
    """
    images: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    masks: dict[PurePosixPath, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in tree.images:
        if path.parts[-2:-1] == (LABEL,):
            masks[path.parent.parent][path.stem.removesuffix(MASK_SUFFIX)].append(str(path))
        elif len(path.parts) > 1:
            images[path.parent].append(path)
    for home in sorted(images.keys() | masks.keys()):
        stems = {path.stem for path in images[home]}
        lost = [
            LostLabel(file, NO_IMAGE)
            for stem in sorted(masks[home].keys() - stems)
            for file in masks[home][stem]
        ]
        table = home / LABEL / TABLE
        marks: dict[str, bool] = {}
        named = table in tree.files
        if named:
            marks, lines = _read(tree, table)
            lost += [LostLabel(str(table), "the line is no row of an image", line) for line in lines]
            gone = sorted(stem for stem in marks.keys() - stems if marks[stem])
            lost += [LostLabel(str(table), f"{stem[:80]}: there is no such image") for stem in gone]
        yield from lost
        doubt = doubt_of(tree.uri(home / LABEL), lost)
        for path in images[home]:
            category = f"dagm_{path.parts[0].lower()}"
            files, mark = tuple(masks[home].get(path.stem, ())), marks.get(path.stem)
            if files:
                yield annotated(path, category, Annotation("mask", files, "defect"))
            elif mark:
                fault = f"{tree.uri(table)} says that it has a defect, but its mask is not there"
                yield Entry(str(path), category, fault=fault)
            elif mark is None and named:
                yield Entry(str(path), category, doubt=f"{tree.uri(table)} does not name it")
            else:
                yield normal_unless(None if named else doubt, path, category)


def _read(tree: Tree, table: PurePosixPath) -> tuple[dict[str, bool], list[int]]:
    """Whether each image has a defect, by its name without suffix, and the lines that say neither."""
    marks: dict[str, bool] = {}
    lost = []
    for line, text in enumerate(tree.read(table).decode("utf-8", errors="replace").splitlines(), start=1):
        words = text.split()
        if len(words) >= 3 and words[1] in {"0", "1"}:
            stem = PurePosixPath(words[2]).stem
            marks[stem] = marks.get(stem, False) or words[1] == "1"
        elif words and not (line == 1 and len(words) == 1):  # the first line is a number
            lost.append(line)
    return marks, lost
