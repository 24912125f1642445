"""What heads read: outputs of an encoder's blocks, or levels of a backbone of timm, as (B, C, h, h)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.banks import CLIP, Backbone, FeatureSettings, bank_digest
from pipelines.encoder import LoadedEncoder, block_outputs, chosen_blocks, require_dense_vit


class HeadFeatures:
    """Features for a painted head, of the maps' own encoder or of a backbone of timm.

    Args:
        settings: whose features.
        encoder: the maps' encoder.
        layers: blocks that `clip` reads, from 1; None chooses them by depth.

    Attributes:
        side: pixels of the side that images have.
        channels, grids: of each level.
        image_bytes: approximate memory of an image beside the maps' encoder, in bytes.

    Raises:
        UserError: see `Backbone` and `chosen_blocks`.
    """

    def __init__(
        self, settings: FeatureSettings, encoder: LoadedEncoder, layers: tuple[int, ...] | None = None
    ) -> None:
        self.settings, self.encoder = settings, encoder
        self.device = next(encoder.model.parameters()).device
        self.layers: tuple[int, ...] = ()
        self.backbone: Backbone | None = None
        self.image_bytes = 0
        if settings.encoder == CLIP:
            visual = require_dense_vit(encoder.visual)
            self.layers = chosen_blocks(visual, layers)
            self.side = encoder.image_size
            self.grids = (int(visual.grid_size[0]),) * len(self.layers)
            self.channels = (int(visual.conv1.out_channels),) * len(self.layers)
            self._mean = torch.tensor(encoder.mean, device=self.device).view(3, 1, 1)
            self._std = torch.tensor(encoder.std, device=self.device).view(3, 1, 1)
        else:
            self.backbone = Backbone(settings, self.device)
            self.side, self.grids = self.backbone.size, self.backbone.grids
            self.channels, self.image_bytes = self.backbone.channels, self.backbone.image_bytes

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> list[Tensor]:
        """Each level, (B, C, h, h) float32, of (B, 3, side, side) uint8, or float in 0…1, RGB."""
        scaled = images.to(self.device)
        scaled = scaled.float() / 255 if scaled.dtype == torch.uint8 else scaled.float()
        if self.backbone is not None:
            return self.backbone.plain(scaled)
        normalised = (scaled - self._mean) / self._std
        return tokens_as_maps(block_outputs(self.encoder.visual, normalised, self.layers).patches)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the features, JSON-able: a head fits no others."""
        if self.backbone is None:
            return {"encoder": self.encoder.digest, "layers": list(self.layers)}
        levels = list(self.backbone.levels or ())
        return {"encoder": bank_digest(self.settings), "levels": levels, "size": self.side}


def tokens_as_maps(tokens: list[Tensor]) -> list[Tensor]:
    """(B, N, C) patches in row order each, as (B, C, g, g)."""
    side = round(tokens[0].shape[1] ** 0.5)
    return [each.transpose(1, 2).reshape(len(each), -1, side, side) for each in tokens]


def resized(images: Tensor, side: int) -> Tensor:
    """Images as floats in 0…1 of another side, bicubic with antialiasing; (B, 3, side, side)."""
    scaled = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    if scaled.shape[-1] == side:
        return scaled
    return F.interpolate(scaled, (side, side), mode="bicubic", antialias=True).clamp(0, 1)


def stage_widths(encoder: LoadedEncoder, stages: int) -> tuple[list[int], int]:
    """Widths of the tokens of so many stages, and of the text's space."""
    visual = require_dense_vit(encoder.visual)
    return [int(visual.conv1.out_channels)] * stages, int(visual.proj.shape[1])


def patch_identity(encoder: LoadedEncoder, layers: tuple[int, ...], temperature: float) -> dict[str, Any]:
    """What decides the features of a head that is trained against sentences or prompts, JSON-able."""
    return {"encoder": encoder.digest, "layers": list(layers), "temperature": temperature}
