"""Formats of labelling tools by name, read shape by shape."""

from pipelines.annotations.base import Annotation, AnnotationError, Truth
from pipelines.annotations.cvat_shapes import read_cvat_shapes
from pipelines.annotations.datumaro_shapes import read_datumaro_shapes
from pipelines.annotations.faults import Faults
from pipelines.annotations.label_studio_regions import read_label_studio_shapes
from pipelines.annotations.labelme_json import read_labelme_shapes
from pipelines.annotations.shapes import ShapeReader, truth_of_shapes
from pipelines.annotations.supervisely_json import read_supervisely_shapes
from pipelines.annotations.via_regions import read_via_shapes

SHAPE_READERS: dict[str, ShapeReader] = {
    "cvat": read_cvat_shapes,
    "datumaro": read_datumaro_shapes,
    "label_studio": read_label_studio_shapes,
    "labelme": read_labelme_shapes,
    "supervisely": read_supervisely_shapes,
    "via": read_via_shapes,
}


def read_tool(annotation: Annotation, width: int, height: int, faults: Faults) -> Truth:
    """The shapes of a labelling tool's annotation: their boxes, and a mask where every shape has an inside.

    Raises:
        AnnotationError: see the tool's reader; the message names the file.
    """
    start = f"its annotation {annotation.files[0]}: "
    try:
        shapes = SHAPE_READERS[annotation.format](annotation, width, height, faults)
    except AnnotationError as error:
        raise AnnotationError(start + str(error).removeprefix(start)) from None
    return truth_of_shapes(shapes, width, height)
