"""`gc10_det`: GC10-DET (Lv et al.), 10 defects of steel sheet, Pascal VOC boxes.

    {1 … 10}/NAME.jpg    a folder a defect; some images lie in several
    lable/NAME.xml       (spelled so), for the images of all folders

Its defects are named in Pinyin (`1_chongkong`); the classes here are the paper's English names.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from pipelines.annotations import Annotation
from pipelines.layouts.base import Entry, annotated, layout, unmarked
from pipelines.layouts.tree import Tree

CATEGORY, FOLDER = "gc10", "lable"
NAMES = {
    "1_chongkong": "punching_hole",
    "2_hanfeng": "welding_line",
    "3_yueyawan": "crescent_gap",
    "4_shuiban": "water_spot",
    "5_youban": "oil_spot",
    "6_siban": "silk_spot",
    "7_yiwu": "inclusion",
    "8_yahen": "rolled_pit",
    "9_zhehen": "crease",
    "10_yaozhe": "waist_folding",
    "10_yaozhed": "waist_folding",  # spelled so in the published files
}


@layout(fits=lambda tree: any(path.parts[-2:-1] == (FOLDER,) for path in tree.ending(".xml")))
def gc10_det(tree: Tree) -> Iterable[Entry]:
    """One category, `gc10`; images without an annotation are unlabelled.

    Copies of an image share its annotation and fall out as duplicates. An annotation without an image is a
    fault, as are several of one name.
    """
    files: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in tree.ending(".xml"):
        if path.parts[-2:-1] == (FOLDER,):
            files[path.stem].append(path)
    names, used = json.dumps(NAMES), set()
    for path in tree.images:
        own = files.get(path.stem, [])
        if not own:
            yield unmarked(path, CATEGORY)
            continue
        used.add(path.stem)
        if len(own) > 1:
            several = ", ".join(str(file) for file in own[:3])
            yield Entry(str(path), CATEGORY, fault=f"several annotations may be its own: {several}")
        else:
            yield annotated(path, CATEGORY, Annotation("voc", (str(own[0]),), content=names))
    for stem in sorted(files.keys() - used):
        for file in files[stem]:
            yield Entry(str(file), CATEGORY, fault="it is the annotation of no image here")
