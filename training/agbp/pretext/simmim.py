"""SimMIM: the hidden patches of an image are painted from the rest (docs/method.md#agbp, c).

Xie et al.: SimMIM, a Simple Framework for Masked Image Modeling, CVPR 2022, section 3.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from lightly.models.utils import mask_bool
from torch import Tensor, nn

from cluster.errors import UserError
from training.agbp import SimmimSection
from training.agbp.pretext.base import Pretext, PretextOutput
from training.models.backbones import Backbone


class SimMIM(Pretext):
    """A mask token in the place of hidden patches, and a linear layer that paints pixels from the last stage.

    Transformers get a learnt token in the place of the embeddings of hidden patches, ConvNets, which embed no
    patches, a learnt colour in the place of hidden pixels. Distilled feature maps are those of the unmasked
    image, a second pass through the backbone.

    Args:
        backbone: the backbone from whose last stage pixels are painted.
        section: see `SimmimSection`.

    Raises:
        UserError: squares hide parts of the transformer's patches.
    """

    def __init__(self, backbone: Backbone, section: SimmimSection) -> None:
        super().__init__()
        self.mask_patch, self.mask_ratio = section.mask_patch, section.mask_ratio
        stride, channels = backbone.stages[-1]
        embedding = patch_embedding(backbone)
        width = 3
        if embedding is not None:
            patch, width = _patch_of(embedding)
            if section.mask_patch % patch:
                raise UserError(
                    f"backbone.simmim.mask_patch={section.mask_patch} cuts the {patch}-pixel patches of "
                    f"{backbone.name}; make it a multiple of {patch}."
                )
        self.token = nn.Parameter(torch.zeros(width))
        nn.init.trunc_normal_(self.token, std=0.02)
        self.painter = nn.Sequential(nn.Conv2d(channels, stride**2 * 3, 1), nn.PixelShuffle(stride))

    def forward(
        self, backbone: Backbone, images: Tensor, batch: Mapping[str, Tensor], stages: Sequence[int]
    ) -> PretextOutput:
        """See `Pretext.forward`."""
        masks = batch["masks"]
        pixels = F.interpolate(masks[:, None].float(), size=images.shape[2:], mode="nearest")
        embedding = patch_embedding(backbone)
        if embedding is None:
            painted = self.painter(backbone(torch.lerp(images, self.token.view(3, 1, 1), pixels))[-1])
        else:
            with self._hidden(embedding, masks):
                painted = self.painter(backbone(images)[-1])
        loss = painting_loss(painted, images, pixels)
        features = backbone(images) if stages else []
        return PretextOutput(loss, [features[stage] for stage in stages])

    @contextmanager
    def _hidden(self, embedding: nn.Module, masks: Tensor) -> Iterator[None]:
        """Replace the embeddings of hidden patches by the token within the block."""

        def hide(module: nn.Module, inputs: object, tokens: Tensor) -> Tensor:
            """Tokens (B, h, w, C) or (B, h·w, C)."""
            shape = tokens.shape
            sides = tuple(shape[1:3]) if tokens.ndim == 4 else (round(shape[1] ** 0.5),) * 2
            grid = F.interpolate(masks[:, None].float(), size=sides, mode="nearest").flatten(1) > 0.5
            flat = tokens.reshape(shape[0], -1, shape[-1])
            hidden: Tensor = mask_bool(flat, grid, self.token.to(tokens.dtype))
            return hidden.reshape(shape)

        handle = embedding.register_forward_hook(hide)
        try:
            yield
        finally:
            handle.remove()


def painting_loss(painted: Tensor, images: Tensor, pixels: Tensor) -> Tensor:
    """Mean absolute error over the hidden pixels, in float32.

    Args:
        painted, images: (B, 3, S, S).
        pixels: (B, 1, S, S), 1 where hidden; at least one is.
    """
    error = (painted.float() - images).abs() * pixels
    return error.sum() / (pixels.sum() * images.shape[1])


def patch_embedding(backbone: Backbone) -> nn.Module | None:
    """The module that makes a transformer's patch embeddings; None for a ConvNet."""
    if backbone.family != "vit":
        return None
    embedding = getattr(backbone.library, "patch_embed", None)
    return embedding if isinstance(embedding, nn.Module) else None


def _patch_of(embedding: nn.Module) -> tuple[int, int]:
    """Side of its patches in pixels, and width of its embeddings."""
    projection = embedding.get_submodule("proj")
    if not isinstance(projection, nn.Conv2d):
        raise UserError("backbone.pretext=simmim needs a transformer whose patches are embedded one by one.")
    return int(projection.stride[0]), projection.out_channels
