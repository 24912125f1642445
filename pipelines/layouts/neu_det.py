"""`neu_det`: NEU surface defect database (Song and Yan): hot-rolled steel strip, 6 defects, Pascal VOC boxes.

    IMAGES/crazing_1.jpg with ANNOTATIONS/crazing_1.xml, Validation_Images with Validation_Annotations; or
    {train,validation}/images/crazing/crazing_1.jpg with {train,validation}/annotations/crazing_1.xml

No image is normal, so it has no references: use `maps.kead.shots=0`. A box has its annotation's class,
which differs from the file name's for 123 images.
"""

import re
from collections.abc import Iterable

from pipelines.layouts.base import Entry, layout
from pipelines.layouts.tree import Tree
from pipelines.layouts.voc import pairs, voc_entries

CATEGORY = "steel_strip"
NAME = re.compile(r"(crazing|inclusion|patches|pitted_surface|rolled-in_scale|scratches)_\d+")


@layout(
    fits=lambda tree: all(NAME.fullmatch(path.stem) for path in tree.images) and any(pairs(tree).values())
)
def neu_det(tree: Tree) -> Iterable[Entry]:
    """One category, `steel_strip`."""
    return voc_entries(tree, CATEGORY, empty_is_normal=False)
