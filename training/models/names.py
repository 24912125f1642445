"""Names of backbones and detectors, and what each can do, known without importing a library.

An adapter registers its builders under names (`backbones.base.register`, `detectors.base.register`). Those of
the shipped adapters stand here too, so that a config is checked without importing torch or any model library;
a test holds the two equal.
"""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cluster.errors import UserError, nearest

Family = Literal["cnn", "vit"]
Part = Literal["backbone", "neck", "head", "classes"]
Freeze = Literal["none", "backbone", "backbone+neck"] | Annotated[int, Field(ge=1, le=16)]
Masks = Literal["none", "boxes"]
Flip = Literal["lr", "ud"]


def _each_once(flips: tuple[Flip, ...]) -> tuple[Flip, ...]:
    if len(set(flips)) != len(flips):
        raise ValueError("flips are lr (left to right) and ud (upside down), each once")
    return tuple(sorted(flips))


Flips = Annotated[tuple[Flip, ...], AfterValidator(_each_once)]
LookPrecision = Literal["fp32", "bf16"]
Resize = Literal["letterbox", "square"]

_BACKBONES, _DETECTORS = "training.models.backbones", "training.models.detectors"
_SEGMENTERS = "training.models.segmenters"
_REGISTRY = f"{_BACKBONES}.base"  # where an adapter of the user's own registers, too
YOLO_FAMILIES, YOLO_SCALES = ("yolov8", "yolo11", "yolo12", "yolo26"), "nsmlx"
YOLO = tuple(family + scale for family, scale in product(YOLO_FAMILIES, YOLO_SCALES))
SLF_YOLO = ("slf-yolo", "slf-yolo-n")
RTDETR, RTDETR_RESNET = ("rtdetr-l", "rtdetr-x"), ("rtdetr-resnet50", "rtdetr-resnet101")
YOLO_RTDETR = tuple(f"yolov8{scale}-rtdetr" for scale in YOLO_SCALES)
TIMM = (
    "resnet18",
    "resnet50",
    "swin_base_patch4_window7_224",
    "convnext_tiny.fb_in1k",
    "convnext_tiny.dinov3_lvd1689m",
)
TRANSFORMERS = ("rt-detr-v2", "rt-detr-v2-s", "d-fine", "d-fine-s")
DEIMV2 = ("deimv2", "deimv2-s")
DINO = ("dino", "dino-s")
LW_DETR = tuple(f"lw-detr-{size}" for size in ("tiny", "small", "medium", "large", "xlarge"))
RF_DETR = tuple(f"rf-detr-{size}" for size in ("nano", "small", "medium", "base"))
TORCHVISION = ("faster-rcnn", "mask-rcnn")


@dataclass(frozen=True)
class Adapter:
    """Where a name's builder is registered, and what its models can do.

    Attributes:
        module: the module whose import registers the builder.
        weighs_boxes: whether its detectors can be trained with weighted boxes.
        by_queries: whether its detectors answer by queries, as DETR's family does.
    """

    module: str
    weighs_boxes: bool = False
    by_queries: bool = False


def _adapters(
    names: Iterable[str], module: str, *, weighs_boxes: bool = False, by_queries: bool = False
) -> dict[str, Adapter]:
    return dict.fromkeys(names, Adapter(module, weighs_boxes, by_queries))


backbone_adapters: dict[str, Adapter] = {
    **_adapters(TIMM, f"{_BACKBONES}.timm"),
    **_adapters(YOLO, f"{_BACKBONES}.ultralytics"),
}
# These are asked for unlisted names, as their libraries have many models.
OPEN_ADAPTERS = (f"{_BACKBONES}.timm",)
detector_adapters: dict[str, Adapter] = {
    **_adapters(YOLO, f"{_DETECTORS}.ultralytics", weighs_boxes=True),
    **_adapters(SLF_YOLO, f"{_DETECTORS}.slf_yolo", weighs_boxes=True),
    **_adapters((*RTDETR, *RTDETR_RESNET, *YOLO_RTDETR), f"{_DETECTORS}.ultralytics_rtdetr", by_queries=True),
    **_adapters(LW_DETR, f"{_DETECTORS}.lw_detr", by_queries=True),
    **_adapters(RF_DETR, f"{_DETECTORS}.rf_detr", by_queries=True),
}
on_backbone_adapters: dict[str, Adapter] = {
    **_adapters(YOLO, f"{_DETECTORS}.ultralytics", weighs_boxes=True),
    **_adapters(RTDETR, f"{_DETECTORS}.ultralytics_rtdetr", by_queries=True),
    **_adapters(TORCHVISION, f"{_DETECTORS}.torchvision", weighs_boxes=True),
    **_adapters(TRANSFORMERS, f"{_DETECTORS}.transformers", by_queries=True),
    **_adapters(DEIMV2, f"{_DETECTORS}.deimv2", by_queries=True),
    **_adapters(DINO, f"{_DETECTORS}.dino", by_queries=True),
    **_adapters(("lw-detr",), f"{_DETECTORS}.lw_detr", by_queries=True),
    **_adapters(("rf-detr",), f"{_DETECTORS}.rf_detr", by_queries=True),
}
segmenter_adapters: dict[str, Adapter] = {
    **_adapters(("mask2former", "mask2former-s"), f"{_SEGMENTERS}.mask2former"),
    "semantic-fpn": Adapter(f"{_SEGMENTERS}.semantic_fpn"),
}


def backbone_names() -> list[str]:
    """The listed names of backbones, sorted."""
    return sorted(backbone_adapters)


def detector_names() -> list[str]:
    """All names of detectors, sorted; `NAME+BACKBONE` stands for one on any of `backbone_names()`."""
    return sorted([*detector_adapters, *(f"{name}+BACKBONE" for name in on_backbone_adapters)])


def canonical(name: str) -> str:
    """The spelling of a backbone's name in configs and files: `timm/NAME`, as model hubs write it, is NAME.

    Raises:
        UserError: no backbone has that name; the message tells the nearest.
    """
    plain = name.removeprefix("timm/")
    if plain not in backbone_adapters and not _accepted(plain):
        raise UserError(f'There is no backbone "{plain}"; {nearest(plain, backbone_adapters)}')
    return plain


def _accepted(name: str) -> bool:
    """Whether a library of many models builds a backbone of a name that isn't listed; imports them.

    Nothing is imported for a slip of the pen: a word that timm's sources never mention is none of its models.
    """
    if _REGISTRY not in sys.modules and not _mentioned_by_timm(name.partition(".")[0]):
        return False
    return bool(import_module(_REGISTRY).accepts(name))


@cache
def _mentioned_by_timm(word: str) -> bool:
    """Whether timm's model files have the word, read as text: importing them takes seconds."""
    timm = find_spec("timm")
    folders = timm.submodule_search_locations if timm else None
    mention = re.compile(rf"\b{re.escape(word)}\b")
    files = (file for folder in folders or () for file in Path(folder, "models").glob("*.py"))
    return any(mention.search(file.read_text("utf-8")) for file in files)


def backbone_of(name: str) -> str:
    """The backbone in a detector: what follows the `+` of its name; else that of its own name.

    `yolov8n-rtdetr` stands on the backbone of `yolov8n`. For a detector with a backbone that is none of
    `training.models.backbones`, as `rtdetr-l`, the result is no backbone's name.
    """
    return name.partition("+")[2] or name.removesuffix("-rtdetr")


def published_origin(name: str, start: str) -> str:
    """Whose weights the start `imagenet` or `coco` of a detector or backbone are: `LIBRARY/NAME`."""
    family, plus, _ = name.partition("+")
    if plus and start == "coco" and family in TORCHVISION:
        return f"torchvision/{name}"
    plain = backbone_of(name).removeprefix("timm/")
    if plain in (*LW_DETR, *RF_DETR):
        return f"transformers/{plain}"
    own = plain in (*YOLO, *RTDETR, *RTDETR_RESNET)
    return f"{'ultralytics' if own else 'timm'}/{plain}"


def detector_adapter(name: str) -> Adapter:
    """The adapter that builds the detector of a name.

    Raises:
        UserError: no detector has that name; the message tells the nearest.
    """
    family, plus, backbone = name.partition("+")
    adapters = on_backbone_adapters if plus else detector_adapters
    if family not in adapters:
        if not plus and name in on_backbone_adapters:
            raise UserError(f'Detector "{name}" needs a backbone; name it too, e.g. {name}+resnet50.')
        raise UserError(
            f'There is no detector "{name}"; '
            f"{nearest(name, [f'{key}+{backbone}' for key in adapters] if plus else adapters)}"
        )
    if plus:
        canonical(backbone)
    return adapters[family]


def check_detector_name(name: str) -> str:
    """Prove that a detector of that name exists; returns its spelling in configs, see `canonical`.

    Raises:
        UserError: it doesn't; the message tells the nearest.
    """
    detector_adapter(name)
    family, plus, backbone = name.partition("+")
    return f"{family}+{canonical(backbone)}" if plus else name


def weighs_boxes(name: str) -> bool:
    """Whether the detector of that name can be trained with weighted boxes."""
    return detector_adapter(name).weighs_boxes


def learns_by_queries(name: str) -> bool:
    """Whether the detector of that name answers by queries, as DETR's family does."""
    return detector_adapter(name).by_queries


def check_masks(name: str, masks: Masks) -> None:
    """Prove that a detector can learn such masks.

    Raises:
        ValueError: it has no mask head.
    """
    if masks != "none" and not name.startswith("mask-"):
        raise ValueError(f"{name} has no masks to learn; set masks=none, or take a mask-rcnn")


def check_segmenter_name(name: str) -> None:
    """Prove that a segmenter of that name exists.

    Raises:
        UserError: it doesn't; the message tells the nearest.
    """
    family, plus, backbone = name.partition("+")
    if family not in segmenter_adapters or not plus:
        valid = [f"{known}+{backbone or 'resnet50'}" for known in segmenter_adapters]
        raise UserError(f'There is no segmenter "{name}"; {nearest(name, valid)}')
    canonical(backbone)
