"""The config of the painted defects."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cluster.config import Section

# The keys of `pipelines.surfaces.DEFECTS`, which brings OpenCV; a test holds the two together.
DefectKind = Literal[
    "crack",
    "scratches",
    "pit",
    "blowhole",
    "inclusion",
    "stain",
    "patches",
    "pitted_surface",
    "rolled-in_scale",
    "break",
    "fray",
    "uneven",
    "crazing",
    "dent",
]
KINDS: tuple[DefectKind, ...] = DefectKind.__args__  # type: ignore[attr-defined]
Strength = Annotated[float, Field(ge=0.25, le=4, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=20)]


class PaintSettings(Section):
    """How defects are painted.

    Attributes:
        kinds: kinds of defects, each as likely as the others.
        strength: least and greatest factor on the contrast at which a defect is just seen against the
            texture around it; at most 0.8 of full scale comes of it.
        defects: least and greatest number of defects in a painted image; each may have several parts.
        share: share of the images that are painted; the others are learnt as they are.
    """

    kinds: tuple[DefectKind, ...] = Field(default=KINDS, min_length=1)
    strength: tuple[Strength, Strength] = (1.0, 1.0)
    defects: tuple[Count, Count] = (1, 2)
    share: float = Field(default=0.8, gt=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if len(set(self.kinds)) != len(self.kinds):
            raise ValueError("kinds must name every kind once")
        for name in ("strength", "defects"):
            least, greatest = getattr(self, name)
            if least > greatest:
                raise ValueError(f"{name} must give the least first: [{greatest}, {least}]")
        return self


class PaintSection(PaintSettings):
    """The paint stage's config: `PaintSettings`, the seed and what may be unreadable.

    Attributes:
        seed: random seed; None takes the project's.
        max_bad_share: share of unreadable images above which the stage fails.
    """

    seed: int | None = Field(default=None, ge=0, lt=2**31)
    max_bad_share: float = Field(default=0.05, ge=0, le=1)

    def seeded(self, seed: int) -> Self:
        """This section with the seed, where it has none."""
        return self if self.seed is not None else self.model_copy(update={"seed": seed})

    @property
    def settings(self) -> PaintSettings:
        """How defects are painted, alone."""
        return PaintSettings(**self.model_dump(include=set(PaintSettings.model_fields)))
