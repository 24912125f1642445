"""A sheet of painted images: what was painted, and what the chosen rule draws."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.storage import Storage
from pipelines.audit.judging import Thresholds
from pipelines.boxes import PseudoBoxSettings
from pipelines.boxes.pseudo_boxes import pseudo_boxes
from pipelines.painting import painted_sheet

SHOWN = 16


def audit_sheet(
    painted: Sequence[Mapping[str, Any]],
    directory: Storage,
    listing: pa.Table,
    chosen: Mapping[str, PseudoBoxSettings | None],
    tried: Sequence[PseudoBoxSettings],
    thresholds: Thresholds,
) -> bytes:
    """The first painted images of each category in turn, painted boxes red, drawn ones green, as a PNG.

    Args:
        painted: rows of `AUDIT_IMAGES`, at least one.
        directory: the directory of their pictures.
        listing: the judged rows with their maps.
        chosen: settings by category; the user's own where none are chosen.
        tried, thresholds: the candidates, and the thresholds of every category, one a candidate.
    """
    by_category: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(painted, key=lambda row: str(row["image_id"])):
        by_category.setdefault(row["category"], []).append(row)
    share = max(1, SHOWN // len(by_category))
    rows = [row for members in by_category.values() for row in members[:share]][:SHOWN]
    places = {image: place for place, image in enumerate(listing.column("image_id").to_pylist())}
    drawn = {}
    for row in rows:
        if row["image_id"] not in places:
            continue
        one = listing.slice(places[row["image_id"]], 1)
        settings = chosen.get(row["category"]) or tried[0]
        boxes = pseudo_boxes(
            one.column("map").combine_chunks().to_numpy_ndarray()[0].astype(np.float32),
            one.column("score")[0].as_py(),
            width=row["width"],
            height=row["height"],
            threshold=thresholds[row["category"]][list(tried).index(settings)],
            settings=settings,
        )
        corners = [(box.x0, box.y0, box.x1, box.y1) for box in boxes]
        drawn[row["image_id"]] = np.array(corners, np.float64).reshape(-1, 4)
    sheet = painted_sheet(rows, directory, drawn)
    assert sheet is not None  # every row has a picture
    return sheet
