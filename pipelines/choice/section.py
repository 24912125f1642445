"""The config of the choice of images to label next."""

from typing import Annotated

from pydantic import Field, model_validator

from cluster.config import Section

Exponent = Annotated[float, Field(ge=0, le=8)]


class NextSection(Section):
    """Which images are labelled first: those of the highest `anomaly^a · diversity^d · disagreement^u`.

    Attributes:
        count: number of images.
        anomaly: exponent a of the map score's rank within the image's category, above 0 to 1.
        diversity: exponent d of the distance to the nearest image that is labelled or chosen already, 0–1.
        disagreement: exponent u of ½ + ½·(share of the area boxed by map or detector, but not by both), ½–1;
            only where a detector is given.

    An exponent of 0 leaves its part out.
    """

    count: int = Field(default=50, ge=1, le=10_000)
    anomaly: Exponent = 1.0
    diversity: Exponent = 1.0
    disagreement: Exponent = 1.0

    @model_validator(mode="after")
    def _chooses(self) -> "NextSection":
        if not (self.anomaly or self.diversity or self.disagreement):
            raise ValueError("with all three exponents 0 nothing is chosen by; leave one above 0")
        return self
