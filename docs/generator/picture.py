"""The README's picture, of generated surfaces and their maps: `python -m docs.generator.picture`."""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from cluster.config import validate
from training.opening import open_pipeline
from training.pictures import Picture
from training.project import Project
from training.report import GalleryItem, boxed, gallery, map_range, masked, overlay

TARGET = Path(__file__).parents[1] / "pictures" / "maps.jpg"
PROJECT = {
    "name": "picture",
    "generate": {
        "seed": 11,
        "images_per_category": 24,
        "size": 240,
        "defect_share": 0.7,
        "categories": ["magnetic_tile", "rail", "casting"],
    },
}
HEADS = ("image", "anomaly map", "true defect, not used", "pseudo-boxes")
MARGIN, HEAD = 8, 26  # pixels


def main() -> None:
    """One row a category: the first image that has a defect, in the order of content hashes."""
    with tempfile.TemporaryDirectory() as workspace:
        project = validate(Project, {**PROJECT, "workspace": workspace}, "The picture's project")
        with open_pipeline(project, "picture") as pipeline:
            items = gallery(pipeline.corpus, pipeline.maps, pipeline.boxes, 12)
    TARGET.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(TARGET), sheet(items)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def sheet(items: list[GalleryItem]) -> Picture:
    """Headings, then a row for the first defective image of each category."""
    firsts = {item.category: item for item in reversed(items) if item.defective}
    rows = [heads(next(iter(firsts.values())).image.shape[1])]
    for category, item in sorted(firsts.items()):
        scale = map_range([other for other in items if other.category == category])
        mask = masked(item)
        assert mask is not None, category  # generated surfaces have masks
        row = [item.image, overlay(item, *scale), mask, boxed(item.image, item.boxes)]
        rows.append(np.hstack([padded(picture) for picture in row]))
    return np.vstack(rows)


def padded(picture: Picture) -> Picture:
    """The picture with a white margin."""
    white = (255, 255, 255)
    return np.asarray(cv2.copyMakeBorder(picture, *(MARGIN // 2,) * 4, cv2.BORDER_CONSTANT, value=white))


def heads(width: int) -> Picture:
    """The columns' headings, dark on white."""
    width += MARGIN
    line = np.full((HEAD, width * len(HEADS), 3), 255, np.uint8)
    for index, head in enumerate(HEADS):
        place = (index * width + MARGIN // 2, HEAD - 8)
        cv2.putText(line, head, place, cv2.FONT_HERSHEY_SIMPLEX, 0.52, (40, 40, 40), 1, cv2.LINE_AA)
    return line


if __name__ == "__main__":
    main()
