"""The config of generated surfaces."""

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
    """

    seed: int = Field(default=7, ge=0, lt=2**31)
    images_per_category: int = Field(default=60, ge=8, le=100_000)
    size: int = Field(default=160, ge=32, le=4096)
    defect_share: float = Field(default=0.5, ge=0, le=1)
    categories: tuple[str, ...] | None = Field(default=None, min_length=1)

    @field_validator("categories")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if name not in CATEGORIES:
                raise ValueError(f'no generated surface category "{name}"; {nearest(name, CATEGORIES)}')
        return names
