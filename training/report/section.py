"""The config of the report."""

from pydantic import Field

from cluster.config import Section


class ReportSection(Section):
    """What the report shows.

    Attributes:
        gallery: number of images with map, mask and pseudo-boxes, over all categories.
        examples: number of test images with detections of every start.
        cases: number of test images that pretraining helps most, and of those that it harms most, shown with
            the features and detections without and with it; 0 shows none.
        min_score: least score of a drawn detection.
    """

    gallery: int = Field(default=16, ge=0, le=100)
    examples: int = Field(default=4, ge=0, le=50)
    cases: int = Field(default=3, ge=0, le=20)
    min_score: float = Field(default=0.25, ge=0, le=1)
