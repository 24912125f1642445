"""What of the images the encoder will not see: said in a line before the maps are made."""

import pyarrow as pa

from cluster.progress import say
from pipelines.maps.section import MapsSection
from pipelines.maps.tile_plan import EncoderInput, tile_plan

MOST_SQUASHED = 2.0  # sides' ratio above which a whole image is said to be squashed
MOST_PIXELS = 48  # of an image in a patch's side: a defect of that size is one patch, or half of two


def say_coverage(section: MapsSection, manifest: pa.Table, encoder: EncoderInput) -> None:
    """Say how coarsely the images of a manifest (`uri`, `width`, `height`) are seen, if at all coarse."""
    note = coverage(section, manifest, encoder)
    if note:
        say(f"maps: {note}")


def coverage(section: MapsSection, manifest: pa.Table, encoder: EncoderInput) -> str | None:
    """One line: how many tiles there are, and how many images are seen so coarsely that defects are lost.

    Args:
        section: the stage's config.
        manifest: every image's `uri`, `width` and `height`.
        encoder: the method's input.
    """
    worst = (0.0, "")
    tiles = coarse = 0
    # By size, as a corpus of millions has few of them; of images alike the last by name is told.
    alike = manifest.group_by(["width", "height"]).aggregate([("uri", "max"), ("uri", "count")])
    for row in alike.to_pylist():
        width, height, images = row["width"], row["height"], row["uri_count"]
        plan = tile_plan(width, height, section, encoder)
        across, down = width / plan.columns, height / plan.rows
        tiles += images * len(plan.corners)
        if max(across, down) > MOST_PIXELS or max(across / down, down / across) > MOST_SQUASHED:
            coarse += images
            worst = max(
                worst, (max(across, down), f"{row['uri_max']}: {across:.0f}×{down:.0f} pixels a patch")
            )
    told = f"{tiles:,} tiles of {manifest.num_rows:,} images" if section.tiles != "off" else None
    if not coarse:
        return told
    remedy = "maps.tiles=auto cuts them into tiles"
    if section.tiles != "off":
        remedy = "take smaller maps.tiles or a higher maps.grid_limit"
    lost = (
        f"{coarse:,} of {manifest.num_rows:,} images are squashed by more than {MOST_SQUASHED:g}:1 or have "
        f"patches of more than {MOST_PIXELS} pixels, so that small defects vanish ({worst[1]}); {remedy}"
    )
    return f"{told}; {lost}" if told else lost
