"""The config of backbone pretraining."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from cluster.config import Section
from cluster.errors import UserError
from training.loop import LoopSettings
from training.models import Family, canonical
from training.starts import SCRATCH, StartWord

Distance = Literal["cosine", "l2"]


class BackboneLoop(LoopSettings):
    """`LoopSettings` with this stage's defaults (docs/method.md#settings, Table 1: SGD, 0.01, 200 epochs)."""

    epochs: int = Field(default=200, ge=1, le=100_000)
    batch_size: int = Field(default=64, ge=1, le=1 << 16)
    warmup_epochs: float = Field(default=3.0, ge=0)
    eval_every: int = Field(default=10, ge=1)
    eval_at_start: bool = True
    checkpoint_every: int = Field(default=10, ge=1)


class ViewAugment(Section):
    """How far a pretraining image may be changed.

    Attributes:
        min_crop: smallest share of the area that a random resized crop keeps; 1 never crops.
        aspect: largest stretch of a crop's sides, either way; 1 keeps the shape.
        flip: probability of a horizontal, and apart from it of a vertical, flip.
        brightness: largest shift, as a share of the full range.
        contrast: largest change of the factor about the image's mean.
    """

    min_crop: float = Field(default=0.6, gt=0, le=1)
    aspect: float = Field(default=1.25, ge=1, le=4)
    flip: float = Field(default=0.5, ge=0, le=1)
    brightness: float = Field(default=0.15, ge=0, le=1)
    contrast: float = Field(default=0.25, ge=0, lt=1)


PretextName = Literal["cls", "mocov3", "simmim", "none"]


class MocoSection(Section):
    """Settings of MoCo v3, as its authors trained ResNet-50.

    Attributes:
        temperature: softmax temperature over similarities; its authors took 1 for ResNet-50 and 0.2 for ViT.
        momentum: first momentum of the momentum encoder; it rises along a cosine to 1.
        hidden: width of the heads' hidden layer.
        embedding: width of the vectors that are compared.
    """

    temperature: float = Field(default=1.0, gt=0, le=10)
    momentum: float = Field(default=0.99, ge=0, le=1)
    hidden: int = Field(default=4096, ge=8, le=65_536)
    embedding: int = Field(default=256, ge=2, le=65_536)


class SimmimSection(Section):
    """Settings of SimMIM, as its authors trained Swin.

    Attributes:
        mask_patch: side of the squares that are hidden, pixels.
        mask_ratio: share of them that is hidden.
    """

    mask_patch: int = Field(default=32, ge=4, le=512)
    mask_ratio: float = Field(default=0.6, gt=0, lt=1)


class BackboneSection(Section):
    """How the backbone is pretrained.

    Attributes:
        name: the architecture's name.
        start: `scratch`, or what `starts.resolve_start` takes: `imagenet`, `coco`, a file, a stage's
            directory, a registered model; in the library's keys.
        image_size: pixels; images are stretched to this square.
        freeze_stages: number of lowest stages that keep their start; None: 2 with a start, 0 from scratch.
        pretext: what it learns beside the anomaly maps: `cls`, the object categories; `mocov3` and `simmim`,
            which need none; `none`, nothing.
        moco, simmim: settings of those two.
        distilled_stages: stages that learn from the anomaly maps: so many of the highest, or a list of
            numbers, the lowest being 1.
        distance: measure between attention and anomaly map: `cosine`, `l2`, or `auto`: L2 for the ViT family,
            to which the maps' encoder belongs, cosine for CNNs (Eq. 7).
        lam: weight of the distillation (Eq. 8); `auto` measures it on the first batch of all workers (the
            first part of it, with accumulation), 0 trains the pretext task alone.
        augment: augmentation of images and maps.
        loop: how long and how it is trained.
    """

    name: str = "yolov8n"
    start: StartWord = SCRATCH
    image_size: int = Field(default=224, ge=64, le=2048, multiple_of=32)
    freeze_stages: int | None = Field(default=None, ge=0)
    pretext: PretextName = "cls"
    moco: MocoSection = MocoSection()
    simmim: SimmimSection = SimmimSection()
    distilled_stages: Annotated[int, Field(ge=1)] | tuple[Annotated[int, Field(ge=1)], ...] = 2
    distance: Literal["auto", "cosine", "l2"] = "auto"
    lam: Literal["auto"] | Annotated[float, Field(ge=0, le=1e9)] = "auto"
    augment: ViewAugment = ViewAugment()
    loop: BackboneLoop = BackboneLoop()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return canonical(name)
        except UserError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _patches_fill_the_image(self) -> "BackboneSection":
        if self.pretext == "simmim" and self.image_size % self.simmim.mask_patch:
            raise ValueError(
                f"simmim.mask_patch={self.simmim.mask_patch} doesn't divide image_size={self.image_size}; "
                "make one fit the other"
            )
        if self.pretext == "none" and self.lam == 0:
            raise ValueError("pretext=none with lam=0 leaves nothing to learn; set lam=auto")
        return self

    @property
    def frozen_stages(self) -> int:
        """`freeze_stages`, or what None means."""
        if self.freeze_stages is not None:
            return self.freeze_stages
        return 0 if self.start == SCRATCH else 2

    def distilled(self, count: int) -> tuple[int, ...]:
        """`distilled_stages` of a backbone of `count` stages, numbered from 0.

        Raises:
            UserError: it has fewer, or none is named.
        """
        asked = self.distilled_stages
        numbers = range(count - asked, count) if isinstance(asked, int) else [n - 1 for n in asked]
        if not numbers or len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(count)):
            raise UserError(
                f"backbone.distilled_stages={asked} doesn't fit {self.name}, which has {count} stages; give "
                f"how many of the highest, or a list of different numbers from 1 to {count}."
            )
        return tuple(sorted(numbers))

    def measure(self, family: Family) -> Distance:
        """`distance`, or what `auto` means for a backbone of that family."""
        if self.distance != "auto":
            return self.distance
        return "l2" if family == "vit" else "cosine"
