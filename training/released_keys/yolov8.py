"""YOLOv8 of mmyolo, all sizes, in ultralytics' keys: backbone, neck and head.

Both compute the same from the same tensors: the halves of a C2f block come in one order, and both have the
batch norms' eps of 0.001. Neither learns what the box's bins stand for, and mmyolo's files don't hold it.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from training.released_keys.translation import Translation, prefix_before

FAMILY = "a YOLOv8 in the keys of mmyolo"
PREFIXES = ("", "module.")
TRUNK, NECK, HEAD = "backbone.", "neck.", "bbox_head.head_module."
MARKS = tuple(
    TRUNK + key
    for key in ("stem.conv.weight", "stage1.1.main_conv.conv.weight", "stage4.2.conv1.conv.weight")
)
LAYERS = {  # of ultralytics, by where mmyolo has them
    f"{TRUNK}stem.": 0,
    **{f"{TRUNK}stage{stage}.{step}.": 2 * stage - 1 + step for stage in (1, 2, 3, 4) for step in (0, 1)},
    f"{TRUNK}stage4.2.": 9,
    f"{NECK}top_down_layers.0.": 12,
    f"{NECK}top_down_layers.1.": 15,
    f"{NECK}downsample_layers.0.": 16,
    f"{NECK}bottom_up_layers.0.": 18,
    f"{NECK}downsample_layers.1.": 19,
    f"{NECK}bottom_up_layers.1.": 21,
    HEAD: 22,
}
WORDS = (
    (re.compile(r"^blocks\.(\d+)\.conv([12])\."), r"m.\1.cv\2."),
    (re.compile(r"^main_conv\."), "cv1."),
    (re.compile(r"^final_conv\."), "cv2."),
    (re.compile(r"^conv([12])\."), r"cv\1."),  # of SPPF
    (re.compile(r"^reg_preds\."), "cv2."),
    (re.compile(r"^cls_preds\."), "cv3."),
)


def yolov8(source: Mapping[str, Tensor], name: str) -> Translation | None:
    """The detector in ultralytics' keys; None where the keys are of something else.

    Args:
        source: the file's tensors.
        name: the model to fill; it decides nothing here.
    """
    prefix = prefix_before(source, PREFIXES, MARKS)
    if prefix is None:
        return None
    state: dict[str, Tensor] = {}
    left = []
    for key, tensor in source.items():
        plain = key.removeprefix(prefix)
        layer = next((start for start in LAYERS if plain.startswith(start)), None)
        if layer is None:
            left.append(key)
        else:
            state[f"model.{LAYERS[layer]}.{_renamed(plain.removeprefix(layer))}"] = tensor
    return Translation(FAMILY, state, tuple(left))


def _renamed(rest: str) -> str:
    for pattern, ours in WORDS:
        if pattern.match(rest):
            return pattern.sub(ours, rest)
    return rest
