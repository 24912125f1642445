"""What a corpus' images look like: grey levels of one, sizes and shares of a category."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from pipelines.tables import REFERENCE

COUNTED = ("images", "train", "test", "unlabelled", "references", "labelled", "quarantined")
STATISTICS = pa.schema(
    [
        ("category", pa.string()),
        *((name, pa.int64()) for name in COUNTED),
        *(
            (f"{side}_{what}", pa.float64())
            for side in ("width", "height")
            for what in ("min", "median", "max")
        ),
        ("grey_mean", pa.float64()),
        ("grey_deviation", pa.float64()),
        ("labelled_share", pa.float64()),
    ]
)


def grey_levels(image: npt.NDArray[np.uint8]) -> dict[str, float]:
    """`grey_mean` and `grey_deviation` (standard) of an image's luma (ITU-R 601), 0–255.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    grey = np.asarray(Image.fromarray(image).convert("L"))
    return {"grey_mean": float(grey.mean()), "grey_deviation": float(grey.std())}


def category_statistics(rows: pa.Table, quarantined: Mapping[str, int]) -> pa.Table:
    """One row a category, by name, also for a category whose images are all quarantined.

    Sizes are in pixels; grey_mean and grey_deviation are the means of the images' own (see `grey_levels`).

    Args:
        rows: usable images: category, split, role, width, height, grey_mean, grey_deviation, and `labelled`,
            whether the truth is known.
        quarantined: unusable images by category.
    """
    images = rows.to_pandas(strings_to_categorical=True)
    summaries = []
    for category, part in images.groupby("category", observed=True):
        sizes = {
            f"{side}_{what}": float(part[side].agg(what))
            for side in ("width", "height")
            for what in ("min", "median", "max")
        }
        summaries.append(
            {
                "category": category,
                "images": len(part),
                **{split: int((part["split"] == split).sum()) for split in ("train", "test", "unlabelled")},
                "references": int((part["role"] == REFERENCE).sum()),
                "labelled": int(part["labelled"].sum()),
                "quarantined": quarantined.get(str(category), 0),
                **sizes,
                "grey_mean": float(part["grey_mean"].mean()),
                "grey_deviation": float(part["grey_deviation"].mean()),
                "labelled_share": float(part["labelled"].mean()),
            }
        )
    empty = set(quarantined) - {row["category"] for row in summaries}
    summaries += [
        {"category": category, **dict.fromkeys(COUNTED, 0), "quarantined": quarantined[category]}
        for category in empty
    ]
    summaries.sort(key=lambda row: str(row["category"]))
    return pa.Table.from_pylist(summaries, schema=STATISTICS)
