"""ResNets of mmpretrain and mmdet, and MoCo v3's own, in timm's keys.

Layers and values are those of torchvision's ResNet in all of them; only what stands before the keys differs.
mmdet's files of the `caffe` style have the same keys but want BGR images and no deviation, which no key
tells.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from training.released_keys.translation import Translation, prefix_before, translated

# The trained encoder of MoCo v3 (Chen et al. 2021) is its base encoder, as its own evaluation takes it; the
# momentum encoder follows it.
FAMILIES = {
    "backbone.": "a ResNet in the keys of mmpretrain and mmdet",
    "module.backbone.": "a ResNet in the keys of mmpretrain and mmdet",
    "module.base_encoder.": "the base encoder of MoCo v3's authors, a ResNet",
    "base_encoder.": "the base encoder of MoCo v3's authors, a ResNet",
}
MARKS = ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight")
BODY = re.compile(r"(conv1|bn1|layer[1-4])\.")


def resnet(source: Mapping[str, Tensor], name: str) -> Translation | None:
    """The trunk in timm's keys; None where the keys are of something else.

    Args:
        source: the file's tensors.
        name: the model to fill; it decides nothing here.
    """
    prefix = prefix_before(source, tuple(FAMILIES), MARKS)
    if prefix is None:
        return None
    ours = {key: key.removeprefix(prefix) for key in source if key.startswith(prefix)}
    return translated(FAMILIES[prefix], source, {key: new for key, new in ours.items() if BODY.match(new)})
