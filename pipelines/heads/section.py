"""The config of map methods with a trained head: whose features it reads, and which head it is."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cluster.config import Section
from cluster.config_paths import Location
from pipelines.banks import FeatureSettings

HeadMethod = Literal["painted", "aprilgan", "anomalyclip", "aaclip"]
HEAD_METHODS: tuple[HeadMethod, ...] = HeadMethod.__args__  # type: ignore[attr-defined]
Blocks = Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(min_length=1, max_length=64)]


class Undescribed:
    """Settings of a method whose sentences, if it reads any, are generic states alone."""

    @property
    def describes(self) -> bool:
        """Whether the sentences describe each defect type."""
        return False

    @property
    def subtracts(self) -> bool:
        """Whether the templates around nothing are subtracted."""
        return False


class PaintedSettings(Undescribed, FeatureSettings):
    """Maps learnt from defects painted onto the user's own images; no label and no prompt is read.

    Attributes:
        encoder, weights, levels, size: whose features the head reads, as in `maps.bank`; of `clip` the
            outputs of the blocks that KeAD would read.
        head: file of a trained head (`head.safetensors`); None trains one on the corpus first, see the
            `heads` section.
        top: share of a map's cells, the highest, whose mean is the image's score; of 0 the one highest.
    """

    key: ClassVar[str] = "maps.painted"

    head: Location | None = None
    top: float = Field(default=0.0, ge=0, le=1)

    @property
    def shots(self) -> int:
        """It needs no references."""
        return 0


class AprilGanSettings(Undescribed, Section):
    """April-GAN's options: a linear layer for each stage, trained on labelled auxiliary images.

    Attributes:
        head: file of a trained head, which `agssp train maps --method aprilgan` writes; it must be given.
        layers: blocks read, from 1; by depth when left out. They must be those that the head was trained on.
        temperature: τ of the cosine between patches and sentences (the paper's code has 0.01).
        shots: normal references per category; 0 is zero-shot.
    """

    head: Location | None = None
    layers: Blocks | None = None
    temperature: float = Field(default=0.01, gt=0, le=10)
    shots: int = Field(default=4, ge=0)


class AnomalyClipSettings(Undescribed, Section):
    """AnomalyCLIP's options: two prompts without an object's name, learnt on labelled auxiliary images.

    Attributes:
        head: file of trained prompts, which `agssp train maps --method anomalyclip` writes; it must be given.
        layers: blocks read, from 1; by depth when left out. They must be those of the training.
        temperature: τ of the cosine between patches and prompts.
    """

    head: Location | None = None
    layers: Blocks | None = None
    temperature: float = Field(default=0.07, gt=0, le=10)

    @property
    def shots(self) -> int:
        """It needs no references."""
        return 0


class AaClipSettings(Undescribed, Section):
    """AA-CLIP's options: adapters in both towers, learnt on labelled auxiliary images in two stages.

    Attributes:
        head: file of trained adapters, which `agssp train maps --method aaclip` writes; it must be given.
        layers: blocks read, from 1; by depth when left out. They must be those of the training.
        temperature: τ of the cosine between patches and anchors (the paper's code has 0.01).
    """

    head: Location | None = None
    layers: Blocks | None = None
    temperature: float = Field(default=0.01, gt=0, le=10)

    @property
    def shots(self) -> int:
        """It needs no references."""
        return 0
