"""Swin Transformers of mmpretrain and mmdet, of Swin's authors and of SimMIM's, in timm's keys.

Three things differ beyond names:

- timm counts the patch merging to the stage that it leads to, the others to the stage that it ends;
- mmpretrain and mmdet merge patches with `nn.Unfold`, whose channels come as (C, row, column) where timm's
  come as (column, row, C): the norm and the matrix behind are turned;
- SimMIM's pretraining has windows of 6: tables of position biases are resampled to the model's windows by
  timm, in geometric steps as SimMIM does before it finetunes, but linearly where SimMIM's splines are cubic.

mmdet's own Swin shifts windows in its last stage too, where timm's and mmpretrain's hold the whole image at
their own size; weights don't show it.
"""

import math
import re
import warnings
from collections.abc import Callable, Mapping

import torch
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table
from torch import Tensor

from training.released_keys.translation import Translation, prefix_before

TABLE = ".relative_position_bias_table"
OPENMMLAB, AUTHORS = f"stages.0.blocks.0.attn.w_msa{TABLE}", f"layers.0.blocks.0.attn{TABLE}"
OWN_MERGE = "layers.0.downsample.reduction.weight"  # timm's first merging is that of layers.1
WORDS = (
    (re.compile(r"^patch_embed\.projection\."), "patch_embed.proj."),
    (re.compile(r"^stages\."), "layers."),
    (re.compile(r"\.attn\.w_msa\."), ".attn."),
    (re.compile(r"\.ffn\.layers\.0\.0\."), ".mlp.fc1."),
    (re.compile(r"\.ffn\.layers\.1\."), ".mlp.fc2."),
    (re.compile(r"^norm3\."), "norm."),  # of the last stage; mmdet has one after each, which timm lacks
)
# Made from the window anew, or of the pretext task and the classifier.
BODY = re.compile(r"(patch_embed|layers|norm)\.")
MADE_ANEW = re.compile(r"\.(relative_position_index|attn_mask)$")
MERGE = re.compile(r"^layers\.(\d+)\.downsample\.(.+)$")
WINDOW = re.compile(r"swin\w*_window(\d+)")


def swin(source: Mapping[str, Tensor], name: str) -> Translation | None:
    """The trunk in timm's keys; None where the keys are of something else, or timm's already.

    Args:
        source: the file's tensors.
        name: the model to fill, e.g. `yolov8s+swin_base_patch4_window7_224`; it tells the windows.
    """
    found = prefix_before(source, ("backbone.", "module.backbone.", "", "module."), (OPENMMLAB,))
    if found is not None:
        return _translation(
            "a Swin Transformer in the keys of mmpretrain and mmdet", source, found, name, _turned
        )
    found = prefix_before(source, ("encoder.", "module.encoder."), (AUTHORS, OWN_MERGE))
    if found is not None:
        return _translation(
            "the encoder of SimMIM's authors, a Swin Transformer", source, found, name, _as_it_is
        )
    found = prefix_before(source, ("", "module."), (AUTHORS, OWN_MERGE))
    if found is not None:
        return _translation("a Swin Transformer in the keys of its authors", source, found, name, _as_it_is)
    return None


def _translation(
    family: str, source: Mapping[str, Tensor], prefix: str, name: str, turn: Callable[[str, Tensor], Tensor]
) -> Translation:
    window = WINDOW.search(name)
    side = 2 * int(window[1]) - 1 if window else None
    state: dict[str, Tensor] = {}
    left, resampled = [], 0
    for key, tensor in source.items():
        ours = _renamed(key.removeprefix(prefix)) if key.startswith(prefix) else ""
        if not BODY.match(ours) or MADE_ANEW.search(ours):
            left.append(key)
        elif ours.endswith(TABLE) and side is not None and _other_square(tensor, side):
            state[ours] = _resampled(tensor, side)
            resampled += 1
        else:
            state[ours] = turn(ours, tensor)
    changed = f"{resampled} tables of position biases resampled to its windows" if resampled else ""
    return Translation(family, state, tuple(left), changed)


def _renamed(key: str) -> str:
    for pattern, ours in WORDS:
        key = pattern.sub(ours, key)
    merge = MERGE.match(key)
    return f"layers.{int(merge[1]) + 1}.downsample.{merge[2]}" if merge else key


def _other_square(table: Tensor, side: int) -> bool:
    """Whether it is the table of a square window of another size."""
    rows = math.isqrt(len(table)) if table.ndim == 2 else 0
    return rows > 1 and rows != side and rows % 2 == 1 and rows**2 == len(table)


def _resampled(table: Tensor, side: int) -> Tensor:
    """(side · side, heads) of a square table."""
    window = ((side + 1) // 2,) * 2
    with warnings.catch_warnings():  # of PyTorch, on how timm indexes; they say nothing of the table
        warnings.simplefilter("ignore", UserWarning)
        table = resize_rel_pos_bias_table(table.float(), window, (side**2, table.shape[1]))
    return table


def _as_it_is(key: str, tensor: Tensor) -> Tensor:
    return tensor


def _turned(key: str, tensor: Tensor) -> Tensor:
    """Channels of a patch merging from (C, row, column) to (column, row, C)."""
    if not MERGE.match(key) or tensor.ndim == 0 or tensor.shape[-1] % 4:
        return tensor
    blocks = tensor.reshape(*tensor.shape[:-1], tensor.shape[-1] // 4, 2, 2)
    return torch.movedim(blocks, (-3, -2, -1), (-1, -2, -3)).flatten(-3).contiguous()
