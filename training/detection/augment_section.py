"""The config of augmentation."""

from pydantic import Field

from cluster.config import Section
from training.models import Flip, Flips


class ColourSection(Section):
    """How training images are varied without moving pixels apart.

    Attributes:
        flip_lr, flip_ud: probability; surfaces have neither a left nor a top.
        hue, saturation, brightness: largest relative change of each, in HSV.
    """

    flip_lr: float = Field(default=0.5, ge=0, le=1)
    flip_ud: float = Field(default=0.5, ge=0, le=1)
    hue: float = Field(default=0.015, ge=0, le=0.5)
    saturation: float = Field(default=0.4, ge=0, le=1)
    brightness: float = Field(default=0.3, ge=0, le=1)

    @property
    def flips(self) -> Flips:
        """The mirror images that are learnt from."""
        shares: dict[Flip, float] = {"lr": self.flip_lr, "ud": self.flip_ud}
        return tuple(flip for flip, share in shares.items() if share > 0)


class BoxAugment(ColourSection):
    """How training images are varied: `ColourSection`, scale, place and mosaic.

    Attributes:
        scale: largest relative change of size.
        shift: largest shift, as a share of the side.
        mosaic: probability of laying four images into one.
        close_mosaic: number of last epochs without mosaic.
    """

    scale: float = Field(default=0.25, ge=0, lt=1)
    shift: float = Field(default=0.1, ge=0, le=0.5)
    mosaic: float = Field(default=0.5, ge=0, le=1)
    close_mosaic: int = Field(default=10, ge=0)


class DetectorAugment(BoxAugment):
    """`BoxAugment` for few epochs."""

    close_mosaic: int = Field(default=2, ge=0)
