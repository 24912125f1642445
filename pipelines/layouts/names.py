"""The names of all layouts, for configs that are checked without reading a folder."""

AUTO = "auto"
# `auto` takes the first that fits: data sets, labelling tools' own formats (found by their content), formats
# of many tools, then the layout that fits everything.
LAYOUT_NAMES = (
    "magnetic_tile",
    "neu_det",
    "gc10_det",
    "fssd_12",
    "cr7_det",
    "mvia_metal",
    "severstal",
    "dagm",
    "visa",
    "mvtec",
    "kolektor_sdd",
    "kolektor_sdd2",
    "gdxray",
    "rareplanes",
    "labelme",
    "cvat",
    "cvat_yolo",
    "label_studio",
    "via",
    "supervisely",
    "datumaro",
    "coco",
    "voc",
    "yolo",
    "mask_folders",
    "masks",
    "folder",
)


def check_layout(name: str) -> str:
    """The name of a layout, or `auto`, as it is.

    Raises:
        ValueError: no layout has it.
    """
    if name != AUTO and name not in LAYOUT_NAMES:
        raise ValueError(f"no such dataset layout; valid: {AUTO}, {', '.join(sorted(LAYOUT_NAMES))}")
    return name
