"""Weights that a detector's library publishes."""

from urllib.error import URLError

from torch import Tensor
from torchvision.models.detection import (
    FasterRCNN_ResNet50_FPN_Weights,
    MaskRCNN_ResNet50_FPN_Weights,
)

from cluster.errors import UserError
from cluster.progress import say
from training.models import LW_DETR, RF_DETR, SLF_YOLO, backbone_of
from training.models.backbones import published_backbone
from training.models.ultralytics_weights import ultralytics_weights

ULTRALYTICS = ("rtdetr-l", "rtdetr-x", "rtdetr-resnet50", "rtdetr-resnet101")  # on backbones of their own
# timm's ResNet-50 is torchvision's, layer by layer and key by key.
TORCHVISION = {
    "faster-rcnn+resnet50": FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
    "mask-rcnn+resnet50": MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
}


def published_weights(name: str, start: str) -> dict[str, Tensor]:
    """Published weights of a detector or backbone, downloaded on first use.

    Args:
        name: a detector's or a backbone's name.
        start: `coco`, the whole detector; or `imagenet`, its backbone, in the keys of the backbone's library.

    Raises:
        UserError: there are none, or they can't be downloaded.
    """
    if name in ULTRALYTICS:
        return ultralytics_weights(name, start)
    if name in (*LW_DETR, *RF_DETR):
        raise UserError(
            f"{name}'s {start} weights are not downloaded; fetch the model.safetensors that transformers "
            "reads and give its path as the start, or take scratch."
        )
    if name in SLF_YOLO:
        raise UserError(f"{name} has no published {start} weights; take scratch, or a start of your own.")
    weights = TORCHVISION.get(name)
    if start != "coco" or weights is None:
        return published_backbone(backbone_of(name), start)
    say(f"downloading {weights.url} unless it is in PyTorch's cache")
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False)
    except (URLError, OSError) as error:
        raise UserError(
            f"{weights.url} can't be downloaded ({error}); without a network, give a local file of weights."
        ) from None
    return state
