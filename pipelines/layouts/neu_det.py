"""`neu_det`: NEU surface defect database (Song and Yan): hot-rolled steel strip, 6 defects, Pascal VOC boxes.

    IMAGES/crazing_1.jpg with ANNOTATIONS/crazing_1.xml, Validation_Images with Validation_Annotations; or
    {train,validation}/images/crazing/crazing_1.jpg with {train,validation}/annotations/crazing_1.xml

No image is normal, so there is no reference in it: use `maps.kead.shots=0`. A box has the class that its
annotation says, which for 123 images is another than the file name's.
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
