"""The config of the pseudo-boxes."""

from typing import Literal

from pydantic import Field

from cluster.config import Section


class PseudoBoxSettings(Section):
    """The knobs of Eq. 9–11.

    Attributes:
        c: constant C that the threshold lies below the category's mean maximum (Eq. 9).
        delta: image score below which an image is normal and gets no box; `auto` splits each
            category's scores by Otsu's method (the paper gives no value).
        top_k: boxes kept by score before NMS.
        nms_iou: overlap above which the lower-scored box goes (0.8 in the released code).
        min_area: component area in pixels below which it is dropped; `released` is the released code's
            max((h//100)·(w//100), 10).
    """

    c: float = Field(default=0.1, ge=0, le=2)
    delta: float | Literal["auto"] = "auto"
    top_k: int = Field(default=10, ge=1, le=1000)
    nms_iou: float = Field(default=0.8, gt=0, le=1)
    min_area: int | Literal["released"] = "released"


class BoxesSection(PseudoBoxSettings):
    """The boxes stage's config: the method's knobs and the exports.

    Attributes:
        export_yolo: also write a YOLO data set (links to the images).
    """

    export_yolo: bool = True

    @property
    def settings(self) -> PseudoBoxSettings:
        """The method's knobs alone."""
        return PseudoBoxSettings(**self.model_dump(include=set(PseudoBoxSettings.model_fields)))
