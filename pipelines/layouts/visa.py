"""`visa`: Visual Anomaly dataset (Zou et al.) as it is downloaded.

    CATEGORY/Data/Images/Normal/0000.JPG
    CATEGORY/Data/Images/Anomaly/000.JPG
    CATEGORY/Data/Masks/Anomaly/000.png      0, or the number of a kind of defect

It names kinds of defect by image (several for some), not by region, so all have the class `anomaly`.
"""

from collections.abc import Iterable

from pipelines.annotations import Annotation
from pipelines.layouts.base import NO_IMAGE, Entry, LostLabel, annotated, layout, normal, unmarked
from pipelines.layouts.tree import Tree

IMAGES, MASKS = ("Data", "Images"), ("Data", "Masks")


@layout(fits=lambda tree: any(path.parts[1:3] == IMAGES for path in tree.images))
def visa(tree: Tree) -> Iterable[Entry | LostLabel]:
    """Category = first folder."""
    photographs = {path.with_suffix("") for path in tree.images if path.parts[1:3] == IMAGES}
    for path in tree.images:
        if len(path.parts) == 5 and path.parts[1:3] == MASKS:
            photograph = path.parents[2] / "Images" / path.parts[3] / path.stem
            if photograph not in photographs:
                yield LostLabel(str(path), NO_IMAGE)
        if len(path.parts) != 5 or path.parts[1:3] != IMAGES:
            continue
        category, kind = path.parts[0], path.parts[3]
        mask = path.parents[2] / "Masks" / kind / f"{path.stem}.png"
        if kind == "Normal":
            yield normal(path, category)
        elif mask in tree.files:
            yield annotated(path, category, Annotation("index_mask", (str(mask),), "anomaly"))
        else:
            yield unmarked(path, category)
