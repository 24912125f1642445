"""The config of a detector's certificate."""

from typing import Literal

from pydantic import Field

from cluster.config import Section

SizeOf = Literal["longer_side", "root_area"]


class CertifySection(Section):
    """How a registered detector is certified. Which boxes count is told by `predict` (score, tiles).

    Attributes:
        iou: least overlap (intersection over union) of a box with a defect that it finds.
        size: size of a defect: its box's longer side, or the root of the box's area; pixels of the image.
        pixel_mm: millimetres of a pixel, for sizes in both; None leaves them in pixels.
        least_defects: fewest defects for a curve of the probability of detection.
        robust_images: most test images that are blurred, exposed, tilted and compressed, drawn by the seed.
        latency_images: test images that one is timed on after the other.
        seed: random seed; None takes the project's.
    """

    iou: float = Field(default=0.5, gt=0, le=1)
    size: SizeOf = "longer_side"
    pixel_mm: float | None = Field(default=None, gt=0, le=1000)
    least_defects: int = Field(default=60, ge=20, le=100_000)
    robust_images: int = Field(default=200, ge=10, le=100_000)
    latency_images: int = Field(default=30, ge=3, le=1000)
    seed: int | None = Field(default=None, ge=0, lt=2**31)

    def seeded(self, seed: int) -> "CertifySection":
        """This section with the seed, where it has none."""
        return self if self.seed is not None else self.model_copy(update={"seed": seed})
