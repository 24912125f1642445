"""A pretrained backbone as the file that its own library opens."""

import shutil
from pathlib import Path

import torch
from torch import nn

from cluster.errors import UserError
from training.models import DetectionModel
from training.models.backbones import UltralyticsBackbone
from training.starts import BACKBONE_FILE, load_backbone


def export_backbone(source: Path, folder: Path) -> tuple[Path, str]:
    """Write what `yolo detect train model=NAME.yaml pretrained=FILE` takes, or a plain state dict for timm.

    Args:
        source: the `backbone.safetensors` of a backbone stage.
        folder: place for `backbone.pt` (a backbone of ultralytics) or `backbone.safetensors`.

    Returns:
        The file, and the line of Python that loads it.

    Raises:
        UserError: see `load_backbone`; the folder can't be written.
    """
    backbone = load_backbone(source)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(backbone, UltralyticsBackbone):
            path = folder / Path(BACKBONE_FILE).with_suffix(".pt")
            torch.save({"model": trunk(backbone), "train_args": {"task": "detect"}}, path)
            return path, f'ultralytics.YOLO("{backbone.name}.yaml").load("{path}")'
        path = folder / BACKBONE_FILE
        if not (path.exists() and path.samefile(source)):
            shutil.copyfile(source, path)
        return path, backbone.loading(str(path))
    except OSError as error:
        raise UserError(f"{folder} can't be written ({error.strerror}); choose another folder.") from None


def trunk(backbone: UltralyticsBackbone) -> nn.Module:
    """The library's detector with the backbone's layers alone; it holds no random neck and head."""
    model: nn.Module = DetectionModel(f"{backbone.name}.yaml", ch=3, nc=80, verbose=False)
    model.model = backbone.model
    model.requires_grad_(False)
    return model.eval()
