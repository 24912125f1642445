"""Maps whose right rule is known: a bright blob above noise, at a level of each image's own."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.audit.judging import judged_schema

SIDE = 32  # patches and pixels of an image
IMAGES = 12
KINDS = ("crack", "pit")


def blob_rows(
    *, levels: bool, normal: bool = True, own: bool = False, seed: int = 3, images: int = IMAGES
) -> pa.Table:
    """Painted images with a blob of 6 × 6 in the map exactly where the defect is.

    Args:
        levels: whether every map stands at a level of its own, which no common threshold suits.
        normal: whether the images are known to be normal.
        own: whether every image has something bright of its own, painted or not.
        seed: seed of noise and places.
        images: number of images, two copies of each of which are painted.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    maps: list[npt.NDArray[np.float64]] = []
    plain: list[npt.NDArray[np.float64]] = []
    for number in range(images):
        before = rng.normal(number if levels else 0, 0.1, (SIDE, SIDE))
        if own:
            before[1:6, 1:6] += 2.0
        for kind in KINDS:
            after = before.copy()
            y, x = (int(value) for value in rng.integers(8, 20, 2))
            after[y : y + 6, x : x + 6] += 3.0
            box = {"x0": x, "y0": y, "x1": x + 6, "y1": y + 6, "score": 1.0}
            name = f"{number:032x}"
            rows.append(
                {
                    "image_id": f"{name}-{kind}",
                    "uri": f"/nowhere/{name}.png",
                    "category": "plate",
                    "width": SIDE,
                    "height": SIDE,
                    "boxes": [box],
                    "painted": f"images/{name}-{kind}.png",
                    "original": name,
                    "kind": kind,
                    "normal": normal,
                    "ignored": [],
                    "score": float(after.max()),
                    "plain_score": float(before.max()),
                }
            )
            maps.append(after)
            plain.append(before)
    schema = judged_schema((SIDE, SIDE))
    stacks = {"map": maps, "plain_map": plain}
    columns = {
        name: pa.FixedShapeTensorArray.from_numpy_ndarray(np.stack(stack).astype(np.float16))
        for name, stack in stacks.items()
    }
    for name in schema.names:
        if name not in columns:
            columns[name] = pa.array([row[name] for row in rows], schema.field(name).type)
    return pa.table([columns[name] for name in schema.names], schema=schema)
