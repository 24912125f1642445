"""The config of generated surfaces."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from cluster.config import Section
from cluster.errors import nearest
from pipelines.surfaces.categories import CATEGORIES, KINDS


class GenerateSection(Section):
    """The generated corpus.

    Attributes:
        seed: seed of textures and defects.
        images_per_category: images of each object category, references included.
        size: side in pixels.
        defect_share: share of images with a defect.
        categories: object categories; None takes all.
        defects: kinds of defects that are drawn; each category has those of them that it may have, and must
            have one. None takes all.
        lines: production lines, each with a look of its own for every category, that the images of a
            category are spread over evenly. One is what a factory has; many teach a model of all surfaces.
    """

    seed: int = Field(default=7, ge=0, lt=2**31)
    images_per_category: int = Field(default=60, ge=8, le=100_000)
    size: int = Field(default=160, ge=32, le=4096)
    defect_share: float = Field(default=0.5, ge=0, le=1)
    categories: tuple[str, ...] | None = Field(default=None, min_length=1)
    defects: tuple[str, ...] | None = Field(default=None, min_length=1)
    lines: int = Field(default=1, ge=1, le=100_000)

    @field_validator("categories")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            if name not in CATEGORIES:
                raise ValueError(f'no generated surface category "{name}"; {nearest(name, CATEGORIES)}')
        return names

    @field_validator("defects")
    @classmethod
    def _drawn(cls, kinds: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for kind in kinds or ():
            if kind not in KINDS:
                raise ValueError(f'no generated defect "{kind}"; {nearest(kind, KINDS)}')
        if kinds is not None and len(set(kinds)) < len(kinds):
            raise ValueError("defects must all be different")
        return kinds

    @model_validator(mode="after")
    def _each_has_one(self) -> "GenerateSection":
        if self.defects is None:
            return self
        for name in self.categories or tuple(CATEGORIES):
            if not set(self.defects) & set(CATEGORIES[name].defects):
                raise ValueError(
                    f"{name} has none of the defects {', '.join(self.defects)}; add one of its own "
                    f"({', '.join(CATEGORIES[name].defects)}) or leave it out of categories"
                )
        return self

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides the images, JSON-able; defaults of later keys as in versions that had none of them."""
        later = {"lines": 1, "defects": None}
        written = self.model_dump(mode="json")
        return {key: value for key, value in written.items() if key not in later or value != later[key]}
