"""The names of all layouts, for configs that are checked without reading a folder."""

AUTO = "auto"
# `auto` takes the first that fits: data sets, then formats, then the layout that fits everything.
LAYOUT_NAMES = (
    "magnetic_tile",
    "neu_det",
    "gc10_det",
    "severstal",
    "dagm",
    "visa",
    "mvtec",
    "kolektor_sdd",
    "kolektor_sdd2",
    "gdxray",
    "rareplanes",
    "coco",
    "voc",
    "yolo",
    "mask_folders",
    "masks",
    "folder",
)
