"""The config of the audit of pseudo-boxes."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from cluster.config import Section
from pipelines.painting import KINDS, DefectKind, PaintSettings, Strength

Kinds = Annotated[tuple[DefectKind, ...], Field(min_length=1)]


class AuditSection(Section):
    """How rules of boxes are tried on painted defects.

    Attributes:
        images: painted images of each category; fewer where it has too few images to paint on.
        kinds: kinds of defects that are painted, each as often as the others; see `paint.kinds`.
        categories: kinds by category, in the place of `kinds`.
        strength: least and greatest contrast, see `paint.strength`.
        seed: random seed; None takes the project's.
    """

    images: int = Field(default=112, ge=1, le=10_000)
    kinds: Kinds = KINDS
    categories: dict[str, Kinds] = Field(default={})
    strength: tuple[Strength, Strength] = (1.0, 1.0)
    seed: int | None = Field(default=None, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _paintable(self) -> Self:
        for kinds in (self.kinds, *self.categories.values()):
            PaintSettings(kinds=kinds, strength=self.strength)  # its own checks
        return self

    def kinds_of(self, category: str) -> tuple[DefectKind, ...]:
        """The kinds painted onto images of a category."""
        return self.categories.get(category, self.kinds)

    def painted(self, kind: DefectKind) -> PaintSettings:
        """How one defect of a kind is painted."""
        return PaintSettings(kinds=(kind,), strength=self.strength, defects=(1, 1), share=1)

    def seeded(self, seed: int) -> Self:
        """This section with the seed, where it has none."""
        return self if self.seed is not None else self.model_copy(update={"seed": seed})
