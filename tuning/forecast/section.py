"""What a forecast measures: starts, nested subsets of the labels at hand, seeds; and what it foretells."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cluster.config import Section
from cluster.errors import UserError
from training.starts import StartWord
from tuning.presets import over_preset, shipped_preset

LEAST_SIZES = 3  # different sizes, as the curve has three parameters
LEAST_LABELS = 4  # labelled images of the smallest subset

Count = Annotated[int, Field(ge=1, le=10_000_000)]


class ForecastSection(Section):
    """The forecast.

    Attributes:
        starts: by name; each has a curve of its own. `scratch`, `coco` and `imagenet` (published by the
            detector's library), `agbp` and `agssp` (pretrained here), a file, stage directory or registered
            model, see `starts.resolve_start`.
        shares: sizes of the nested subsets, as shares of the labelled images with objects at hand.
        sizes: the same as numbers of images, instead of `shares`; null takes those.
        targets: numbers of labelled images with objects that are asked for.
        seeds: of the subsets, new layers, order and augmentation.
        metric: figure that is foretold, `map50` or `map50_95`.
    """

    starts: dict[str, StartWord] = Field(min_length=1)
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        default=(0.125, 0.25, 0.5, 1.0), min_length=LEAST_SIZES, max_length=16
    )
    sizes: tuple[Count, ...] | None = Field(default=None, min_length=LEAST_SIZES, max_length=16)
    targets: tuple[Count, ...] = Field(default=(50, 100, 300, 1000), min_length=1, max_length=32)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        default=(0, 1, 2), min_length=1, max_length=16
    )
    metric: Literal["map50", "map50_95"] = "map50"

    @model_validator(mode="after")
    def _different(self) -> "ForecastSection":
        for name in ("shares", "sizes", "targets", "seeds"):
            entries = getattr(self, name) or ()
            if len(set(entries)) < len(entries):
                raise ValueError(f"{name} must all be different")
        return self

    def sizes_of(self, at_hand: int) -> tuple[int, ...]:
        """Sizes of the subsets, rising.

        Args:
            at_hand: labelled images with objects in the training half.

        Raises:
            UserError: too few are at hand, or fewer than `sizes` asks for.
        """
        if self.sizes is not None:
            if max(self.sizes) > at_hand:
                raise UserError(
                    f"forecast.sizes asks for {max(self.sizes)} labelled images with objects, and the "
                    f"training half has {at_hand}; lower it, or leave it out."
                )
            sizes = set(self.sizes)
        else:
            sizes = {round(share * at_hand) for share in self.shares}
        fitting = tuple(sorted(size for size in sizes if size >= LEAST_LABELS))
        if len(fitting) < LEAST_SIZES:
            raise UserError(
                f"The training half has {at_hand} labelled images with objects, from which "
                f"{len(fitting)} subsets of {LEAST_LABELS} or more can be taken; a curve needs "
                f"{LEAST_SIZES}: label more images, or hold out fewer (test_share)."
            )
        return fitting


class ForecastPreset(Section):
    """How large a forecast is run.

    Attributes:
        summary: one sentence that describes the preset.
        project: settings of the `Project` under the user's own.
        forecast: settings of `ForecastSection`.
    """

    summary: str
    project: dict[str, Any]
    forecast: dict[str, Any]


def forecast_preset(name: str) -> ForecastPreset:
    """The preset of a name.

    Raises:
        UserError: there is none.
    """
    return shipped_preset(ForecastPreset, name, room="tuning.forecast", study="The forecast")


def forecast_section(preset: ForecastPreset, words: Mapping[str, Any]) -> ForecastSection:
    """The preset's forecast with the user's settings over it; the user's `starts` replace the preset's.

    Raises:
        UserError: see `validate`.
    """
    return over_preset(ForecastSection, preset.forecast, words, "forecast")
