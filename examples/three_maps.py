"""Maps of three images, without Ray and without a workspace: `python examples/three_maps.py FOLDER CATEGORY`.

FOLDER/references has a few normal images, FOLDER any others. The maps are drawn beside them as NAME.map.png.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

import agssp

SUFFIXES = {".png", ".jpg", ".jpeg"}


def pictures(folder: Path) -> list[Path]:
    """The images right in a folder, by name; drawn maps left out."""
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and ".map" not in path.name)


def main(folder: Path, category: str) -> None:
    """Map the first three images of a folder, print their scores and draw the maps."""
    references, images = pictures(folder / "references")[:4], pictures(folder)[:3]
    maps = agssp.anomaly_maps(images, category, references=references)
    for image, found, boxes in zip(images, maps, agssp.boxes_of(maps, {"delta": 0.0}), strict=True):
        print(f"{image.name}: score {found.score:.3f}, {len(boxes)} boxes")
        heat = np.clip(found.upsampled() / max(one.map.max() for one in maps), 0, 1)
        colours = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO)
        cv2.imwrite(str(image.with_suffix(".map.png")), colours)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
