"""Dataset layouts, one file each: what a folder of images means, as it was published."""

from cluster.errors import UserError, nearest
from pipelines.layouts.base import Entry, Layout
from pipelines.layouts.coco import coco
from pipelines.layouts.dagm import dagm
from pipelines.layouts.folder import folder
from pipelines.layouts.gc10_det import gc10_det
from pipelines.layouts.gdxray import gdxray
from pipelines.layouts.kolektor_sdd import kolektor_sdd
from pipelines.layouts.kolektor_sdd2 import kolektor_sdd2
from pipelines.layouts.magnetic_tile import magnetic_tile
from pipelines.layouts.mask_folders import mask_folders
from pipelines.layouts.masks import masks
from pipelines.layouts.mvtec import mvtec
from pipelines.layouts.neu_det import neu_det
from pipelines.layouts.rareplanes import rareplanes
from pipelines.layouts.severstal import severstal
from pipelines.layouts.tree import Tree
from pipelines.layouts.visa import visa
from pipelines.layouts.voc import voc
from pipelines.layouts.yolo import yolo

__all__ = ["AUTO", "LAYOUTS", "Entry", "find_layout"]

AUTO = "auto"
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    # `auto` takes the first that fits: data sets first, then formats, and last what fits everything.
    for layout in (
        magnetic_tile,
        neu_det,
        gc10_det,
        severstal,
        dagm,
        visa,
        mvtec,
        kolektor_sdd,
        kolektor_sdd2,
        gdxray,
        rareplanes,
        coco,
        voc,
        yolo,
        mask_folders,
        masks,
        folder,
    )
}


def find_layout(name: str, tree: Tree) -> Layout:
    """The layout of that name, or for `auto` the most specific one that fits the files.

    Raises:
        UserError: no layout has that name.
    """
    if name == AUTO:
        return next(layout for layout in LAYOUTS.values() if layout.fits(tree))
    if name not in LAYOUTS:
        raise UserError(f'There is no dataset layout "{name}"; {nearest(name, LAYOUTS)}')
    return LAYOUTS[name]
