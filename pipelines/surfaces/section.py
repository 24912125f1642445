"""The config of generated surfaces."""

from typing import Any

from pydantic import Field, field_validator

from cluster.config import Section
from cluster.errors import nearest
from pipelines.surfaces.categories import CATEGORIES


class GenerateSection(Section):
    """The generated corpus.

    Attributes:
        seed: seed of textures and defects.
        images_per_category: images of each object category, references included.
        size: side in pixels.
        defect_share: share of images with a defect.
        categories: object categories; None takes all.
        lines: production lines, each with a look of its own for every category, that the images of a
            category are spread over evenly. One is what a factory has; many teach a model of all surfaces.
    """

    seed: int = Field(default=7, ge=0, lt=2**31)
    images_per_category: int = Field(default=60, ge=8, le=100_000)
    size: int = Field(default=160, ge=32, le=4096)
    defect_share: float = Field(default=0.5, ge=0, le=1)
    categories: tuple[str, ...] | None = Field(default=None, min_length=1)
    lines: int = Field(default=1, ge=1, le=100_000)

    @field_validator("categories")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if name not in CATEGORIES:
                raise ValueError(f'no generated surface category "{name}"; {nearest(name, CATEGORIES)}')
        return names

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides the images, JSON-able; one line as in former versions, which had no key for it."""
        return self.model_dump(mode="json", exclude={"lines"} if self.lines == 1 else None)
