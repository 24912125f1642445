"""The config of the pseudo-boxes."""

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from cluster.config import Section


class RegionSettings(Section):
    """Which regions of the map become boxes where each map is measured by itself.

    Attributes:
        most_regions: regions kept in an image.
        keep: which of them stay when there are more: the `largest`, or those with the `highest` maximum.
        least_share: share of the image's pixels below which a region is dropped.
        border_limit: share of the image's outermost pixels above which a region that covers them is dropped,
            such as a frame or the background; 1 drops none.
        gap: most pixels between regions that become one, as a share of the image's shorter side.
    """

    most_regions: int = Field(default=3, ge=1, le=1000)
    keep: Literal["largest", "highest"] = "largest"
    least_share: float = Field(default=0.02, ge=0, le=1)
    border_limit: float = Field(default=1.0, ge=0, le=1)
    gap: float = Field(default=0.0, ge=0, le=0.25)


class StandardisedSettings(RegionSettings):
    """One cut of the map, which every image's own median and deviation scale.

    Attributes:
        cut: standard deviations above the image's median from which a pixel belongs to a region.
    """

    cut: float = Field(default=1.5, gt=0, le=100)


class HysteresisSettings(RegionSettings):
    """Two cuts of the same map: the lower one draws regions, the higher one says which are meant.

    Attributes:
        low: standard deviations above the image's median from which a pixel belongs to a region.
        high: standard deviations that at least one pixel of a region must reach.
    """

    low: float = Field(default=1.5, gt=0, le=100)
    high: float = Field(default=3.0, gt=0, le=100)
    most_regions: int = Field(default=1, ge=1, le=1000)
    keep: Literal["largest", "highest"] = "highest"
    least_share: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _rising(self) -> "HysteresisSettings":
        if self.low > self.high:
            raise ValueError(f"low, {self.low:g}, is above high, {self.high:g}")
        return self


AUDITED = {"c", "delta", "top_k", "nms_iou", "min_area"}  # settings that an audit's choice brings along


class PseudoBoxSettings(Section):
    """How pseudo-boxes are cut out of the maps: the knobs of Eq. 9–11, and rules beside the paper's.

    Attributes:
        c: constant C that the threshold lies below the category's mean maximum (Eq. 9).
        delta: image score below which an image is normal and gets no box; `auto` splits each
            category's scores by Otsu's method (the paper gives no value).
        top_k: boxes kept by score before NMS.
        nms_iou: overlap above which the lower-scored box goes (0.8 in the released code).
        min_area: component area in pixels below which it is dropped; `released` is the released code's
            max((h//100)·(w//100), 10).
        rule: what cuts regions out of a map: the category's threshold of the `paper` (`c`, `top_k`,
            `min_area`), or one (`standardised`) or two (`hysteresis`) cuts of the map in standard deviations
            above each image's own median, which read their own settings instead; `delta` and `nms_iou` hold
            for all. `auto` takes for each category the rule and settings, `delta` among them, that find
            painted defects best (the `audit` section).
        standardised, hysteresis: each rule's own settings; only the chosen rule's count.
    """

    c: float = Field(default=0.1, ge=0, le=2)
    delta: float | Literal["auto"] = "auto"
    top_k: int = Field(default=10, ge=1, le=1000)
    nms_iou: float = Field(default=0.8, gt=0, le=1)
    min_area: int | Literal["released"] = "released"
    rule: Literal["paper", "standardised", "hysteresis", "auto"] = "paper"
    standardised: StandardisedSettings = StandardisedSettings()
    hysteresis: HysteresisSettings = HysteresisSettings()

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the boxes, JSON-able, without those of rules that are not chosen.

        Of `auto` without any that an audit chooses or is made with: its artifact is the stage's input.
        """
        others: set[str] = {"standardised", "hysteresis"} - {self.rule}
        return self.model_dump(mode="json", exclude=others | (AUDITED if self.rule == "auto" else set()))

    # Artifacts that were made when there was one rule, and no masks, are found: their fingerprints have no
    # such keys.
    @model_serializer(mode="wrap")
    def _named_where_changed(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        for name in ({"rule", "standardised", "hysteresis", "masks"} - {self.rule}) & set(fields):
            if getattr(self, name) == fields[name].default:
                document.pop(name, None)
        return document


class BoxesSection(PseudoBoxSettings):
    """The boxes stage's config: the method's knobs and the exports.

    Attributes:
        export_yolo: also write a YOLO data set (links to the images).
        masks: how each box's region of the map goes into `coco.json` as its `segmentation`, for Mask R-CNN
            and segmenters: `none`, not at all; `runs`, COCO's run lengths, to the pixel; or `polygons`
            along the pixels' edges, holes filled.
    """

    export_yolo: bool = True
    masks: Literal["none", "runs", "polygons"] = "none"

    @property
    def settings(self) -> PseudoBoxSettings:
        """The method's knobs alone."""
        return PseudoBoxSettings(**self.model_dump(include=set(PseudoBoxSettings.model_fields)))
