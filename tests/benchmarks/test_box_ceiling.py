"""The best threshold by the labels, on maps whose best one is known."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.real_surfaces.box_ceiling import ceiling
from cluster.stages.stage import Artifact
from cluster.storage.storage import Storage

SIDE, GRID = 120, 12  # pixels, patches
DEFECT = {"x0": 20.0, "y0": 20.0, "x1": 60.0, "y1": 60.0}


def grid(*blobs: tuple[int, int, int, float]) -> npt.NDArray[np.float16]:
    """Zero but for squares (x, y, side, value), in patches."""
    made = np.zeros((GRID, GRID), np.float16)
    for x, y, side, value in blobs:
        made[y : y + side, x : x + side] = value
    return made


def artifact(folder: Path, maps: dict[str, tuple[float, npt.NDArray[np.float16]]]) -> Artifact:
    """A maps stage's table, of images by name: score and map."""
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack([one for _, one in maps.values()]))
    columns = {"image_id": list(maps), "score": [score for score, _ in maps.values()], "map": tensors}
    sides = {side: [SIDE] * len(maps) for side in ("width", "height")}
    stage = Storage.open(str(folder))
    stage.write_table("maps", pa.table({**columns, **sides}))
    return Artifact("maps", "made", stage, {}, reused=False)


def test_the_threshold_that_spares_the_false_blob_is_found(tmp_path: Path) -> None:
    # Means of maxima 1.0: at C = 0.5 and 0.3 the blob of 0.75 is a box too, below 0.25 it is not.
    maps = artifact(
        tmp_path,
        {
            "a": (1.9, grid((2, 2, 4, 1.0), (8, 8, 3, 0.75))),
            "b": (1.8, grid((2, 2, 4, 1.0))),
            "of no data set": (2.5, grid((0, 0, 12, 2.0))),
        },
    )
    found = ceiling(maps, {"a": [DEFECT], "b": [DEFECT]}, 0.5)
    assert (found.boxes, found.defects, found.precision, found.recall) == (2, 2, 1.0, 1.0)


def test_a_normal_image_is_spared_by_its_low_score(tmp_path: Path) -> None:
    normal = {f"normal{n}": (1.0, grid((6, 6, 3, 1.0))) for n in range(3)}
    maps = artifact(tmp_path, {"a": (1.9, grid((2, 2, 4, 1.0))), **normal})
    found = ceiling(maps, {"a": [DEFECT], **{name: [] for name in normal}}, 0.5)
    assert (found.boxes, found.precision, found.recall) == (1, 1.0, 1.0)


def test_maps_without_a_usable_box(tmp_path: Path) -> None:
    maps = artifact(tmp_path, {"a": (1.9, grid((9, 9, 3, 1.0)))})
    found = ceiling(maps, {"a": [DEFECT]}, 0.5)
    assert (found.precision, found.recall) == (0.0, 0.0)
