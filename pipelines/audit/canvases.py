"""Images to paint on: those known to be normal, or quiet areas of others."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.boxes import RegionSettings, outstanding_regions
from pipelines.maps import Floats, upsample
from pipelines.painting import DefectKind
from pipelines.tables import REFERENCE, LabelRow, ManifestRow, has_defect

ENOUGH = 12  # normal images of a category; with fewer, quiet areas of others are painted on too
QUIET_BELOW = 1.0  # deviations above an image's own median, from which nothing is painted

EVERY_REGION = RegionSettings(most_regions=1000, keep="highest", least_share=0)


@dataclass(frozen=True)
class Canvas:
    """An image to paint on.

    Attributes:
        row: its row of the manifest.
        normal: whether it is known to have no defect; of others only quiet areas are painted on.
    """

    row: ManifestRow
    normal: bool

    def name(self, kind: DefectKind) -> str:
        """The id of this image with a defect of a kind."""
        return f"{self.row['image_id']}-{kind}"


def choose_canvases(
    manifest: Sequence[ManifestRow],
    labels: Mapping[str, LabelRow],
    mapped: Collection[str],
    *,
    references_are_compared: bool,
    images: int,
    seed: int,
) -> dict[str, list[Canvas]]:
    """The images of each category that are painted on, normal ones first; every category has a key.

    No held-out image is among them, and no reference that maps are compared with: its own patches are in the
    memory, so nothing but what was painted could stand out.

    Args:
        manifest, labels: of the corpus; of the labels only those that call an image normal are read.
        mapped: ids of the images that have a map.
        references_are_compared: whether the maps' method reads the references.
        images: most images of a category.
        seed: seed of the choice.
    """
    rng = np.random.default_rng(seed)
    canvases: dict[str, list[Canvas]] = {row["category"]: [] for row in manifest}
    usable = sorted(
        (row for row in manifest if row["split"] != "test" and row["image_id"] in mapped),
        key=lambda row: row["image_id"],
    )
    shuffled = [usable[place] for place in rng.permutation(len(usable))]
    for row in shuffled:
        reference = row["role"] == REFERENCE
        label = labels.get(row["image_id"])
        normal = reference or (label is not None and not has_defect(label))
        if not (reference and references_are_compared):
            canvases[row["category"]].append(Canvas(row, normal))
    chosen = {}
    for category, members in sorted(canvases.items()):
        normal = [canvas for canvas in members if canvas.normal]
        others = [canvas for canvas in members if not canvas.normal]
        chosen[category] = (normal if len(normal) >= ENOUGH else normal + others)[:images]
    return chosen


def assigned(
    canvases: Sequence[Canvas], kinds: Sequence[DefectKind], count: int
) -> list[tuple[Canvas, DefectKind]]:
    """Which image gets a defect of which kind: every image as often, no pair twice, kinds nearly as often.

    Where no image is used twice, two of K kinds differ by one at most, else by K / 2 + 1.

    Args:
        canvases: images of a category, at least one.
        kinds: kinds of defects.
        count: most pairs.
    """
    pairs = []
    for place in range(min(count, len(canvases) * len(kinds))):
        turn, image = divmod(place, len(canvases))
        pairs.append((canvases[image], kinds[(image + turn) % len(kinds)]))
    return pairs


def loud_boxes(anomaly_map: Floats, width: int, height: int) -> npt.NDArray[np.float64]:
    """Boxes of an image that nothing may be painted into, since a defect of its own may be there.

    Args:
        anomaly_map: its map on the patch grid, (g, g).
        width, height: the image's sides in pixels.

    Returns:
        (N, 4) x0 y0 x1 y1, all that stands out of the image's own map by `QUIET_BELOW` or more.

    Raises:
        UserError: a value of the map is no number.
    """
    full = upsample(anomaly_map, width, height)
    loud = outstanding_regions(anomaly_map, full, EVERY_REGION, low=QUIET_BELOW, high=QUIET_BELOW)
    return np.array([region.corners for region in loud], np.float64).reshape(-1, 4)
