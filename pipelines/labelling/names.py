"""The names of the formats and choices, for command lines that are checked without any library."""

FORMATS = ("label-studio", "cvat", "labelme", "coco", "yolo", "voc")
LINK, COPY, NONE = "link", "copy", "none"
IMAGE_MODES = (LINK, COPY, NONE)  # how the images come into the folder
DEFAULT_URL = "/data/local-files/?d="  # where Label Studio serves the files below its document root
