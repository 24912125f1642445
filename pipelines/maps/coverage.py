"""What of the images the encoder will not see: said in a line before the maps are made."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from cluster.progress import say
from pipelines.maps.section import MapsSection
from pipelines.maps.tile_plan import EncoderInput, tile_plan

MOST_SQUASHED = 2.0  # sides' ratio above which a whole image is said to be squashed
MOST_PIXELS = 48  # of an image in a patch's side: a defect of that size is one patch, or half of two


def say_coverage(section: MapsSection, manifest: pa.Table, encoder: EncoderInput) -> None:
    """Say how coarsely the images of a manifest (`uri`, `width`, `height`) are seen, if at all coarse."""
    note = coverage(section, manifest.select(["uri", "width", "height"]).to_pylist(), encoder)
    if note:
        say(f"maps: {note}")


def coverage(section: MapsSection, rows: Sequence[Mapping[str, Any]], encoder: EncoderInput) -> str | None:
    """One line: how many tiles there are, and how many images are seen so coarsely that defects are lost.

    Args:
        section: the stage's config.
        rows: every image's `uri`, `width` and `height`.
        encoder: the method's input.
    """
    coarse = []
    tiles = 0
    for row in rows:
        width, height = row["width"], row["height"]
        plan = tile_plan(width, height, section, encoder)
        across, down = width / plan.columns, height / plan.rows
        tiles += len(plan.corners)
        if max(across, down) > MOST_PIXELS or max(across / down, down / across) > MOST_SQUASHED:
            coarse.append((max(across, down), f"{row['uri']}: {across:.0f}×{down:.0f} pixels a patch"))
    told = f"{tiles:,} tiles of {len(rows):,} images" if section.tiles != "off" else None
    if not coarse:
        return told
    remedy = "maps.tiles=auto cuts them into tiles"
    if section.tiles != "off":
        remedy = "take smaller maps.tiles or a higher maps.grid_limit"
    worst = max(coarse)[1]
    lost = (
        f"{len(coarse):,} of {len(rows):,} images are squashed by more than {MOST_SQUASHED:g}:1 or have "
        f"patches of more than {MOST_PIXELS} pixels, so that small defects vanish ({worst}); {remedy}"
    )
    return f"{told}; {lost}" if told else lost
