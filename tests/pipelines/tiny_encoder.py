"""A tiny, randomly initialised open_clip model, built from its config as any other."""

from functools import cache
from typing import Any

import open_clip
import torch

from pipelines.encoder.loading import LoadedEncoder

IMAGE, PATCH, LAYERS, WIDTH, HEADS, DIM = 24, 8, 5, 32, 4, 16


def tiny_clip(layers: int = LAYERS, quick_gelu: bool = False, **vision: Any) -> open_clip.CLIP:
    """Float64 CLIP in evaluation mode; weights are spread so that attention is far from uniform."""
    torch.manual_seed(3)
    settings = {
        "image_size": IMAGE,
        "layers": layers,
        "width": WIDTH,
        "head_width": WIDTH // HEADS,
        "patch_size": PATCH,
    }
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    model = open_clip.CLIP(embed_dim=DIM, vision_cfg=settings | vision, text_cfg=text, quick_gelu=quick_gelu)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "in_proj" in name or "ls_" in name:
                parameter.normal_(std=0.5)
            elif parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.double().eval()


@cache
def clip_tokenizer() -> Any:
    """CLIP's own, made once, as it reads 48,894 merges each time; never to be changed."""
    return open_clip.get_tokenizer("ViT-B-32")


def tiny_encoder(model: open_clip.CLIP | None = None) -> LoadedEncoder:
    """The tiny model as KeAD takes it, float32."""
    return LoadedEncoder(
        model=(model or tiny_clip()).float(),
        tokenizer=clip_tokenizer(),
        image_size=IMAGE,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.25),
        name="tiny",
        digest="sha256:0",
    )
