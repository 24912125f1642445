"""The config of the loop from new images to a better version."""

from typing import Literal

from pydantic import Field, field_validator

from cluster.config import Section
from cluster.config_paths import Location
from pipelines.labelling import DEFAULT_URL, FORMATS
from pipelines.layouts import AUTO, check_layout


class ActiveLearningSection(Section):
    """How rounds of labelling are asked for, and when a version is promoted. `next.count` images a round.

    Attributes:
        images: folder of new images, local or by URI; those in folders below it too.
        category: category of the new images, where the corpus has several.
        to: format of the pre-annotations, as `agssp next` has them.
        out: local folder of the rounds. Pre-annotations go out to `round-001/to-label`, what a person made of
            them comes back into `round-001/labelled`.
        layout: dataset layout of what comes back, or `auto`.
        classes: further classes for the person to choose; others than these and the model's are refused.
        image_url: Label Studio: what stands before each image's relative name.
        alias: alias of the version in use, which a better one takes over.
        metric: figure that decides; `map50_95` or `map50`.
        false_promotions: most p of the paired test for a promotion, and so the share of promotions where both
            versions are equal.
        draws: swaps that the paired test draws.
    """

    images: Location = ""
    category: str | None = Field(default=None, min_length=1, max_length=100)
    to: str = "label-studio"
    out: Location = Field(default="to-label", min_length=1)
    layout: str = AUTO
    classes: tuple[str, ...] = Field(default=(), max_length=1000)
    image_url: str = DEFAULT_URL
    alias: str = Field(default="champion", pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
    metric: Literal["map50_95", "map50"] = "map50_95"
    false_promotions: float = Field(default=0.025, gt=0, le=0.2)
    draws: int = Field(default=999, ge=99, le=100_000)

    @field_validator("to")
    @classmethod
    def _written(cls, name: str) -> str:
        if name not in FORMATS:
            raise ValueError(f"no such format; valid: {', '.join(FORMATS)}")
        return name

    @field_validator("layout")
    @classmethod
    def _read(cls, name: str) -> str:
        return check_layout(name)

    @field_validator("out")
    @classmethod
    def _local(cls, folder: str) -> str:
        if "://" in folder:
            raise ValueError("labelling tools need a local folder")
        return folder
