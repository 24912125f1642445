"""AA-CLIP's residual adapters in both towers of an encoder, whose own weights stay as they are."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cluster.errors import UserError
from pipelines.encoder import (
    CategoryPrompts,
    DenseEmbeddings,
    LoadedEncoder,
    exact,
    prompt_states,
    require_dense_vit,
)

SHARE = 0.1  # λ, of the adapted token in the token that goes on
QUARTER = 4  # adapters stand after the first quarter of a tower's blocks: 6 of 24 and 3 of 12 in the paper


class ResidualAdapter(nn.Module):
    """`λ·r·|x|/|r| + (1 − λ)·x` with `r = LeakyReLU(W x)`; W begins as the identity.

    Args:
        width: width of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (…, width) as they go on."""
        adapted = F.leaky_relu(tokens @ self.weight.T)
        length: Tensor = tokens.norm(dim=-1, keepdim=True)
        return SHARE * F.normalize(adapted, dim=-1) * length + (1 - SHARE) * tokens


class AaClipAdapters(nn.Module):
    """All that AA-CLIP learns: adapters and projections of the text tower and of the image tower.

    Source: Ma et al., AA-CLIP (arXiv 2503.06661), section 3; docs/method.md says what is not theirs. At the
    start all of it is the identity, or the tower's own projection, save for the adapters' LeakyReLU.

    Args:
        encoder: the frozen encoder, which is not part of it.
        levels: number of blocks whose patches are read.

    Raises:
        UserError: a text tower whose blocks can't be reached.
    """

    def __init__(self, encoder: LoadedEncoder, levels: int) -> None:
        super().__init__()
        clip, visual = require_text_blocks(encoder), encoder.visual
        require_dense_vit(visual)
        own = visual.proj.detach().float().cpu()
        width, embedding = own.shape
        words = int(clip.token_embedding.weight.shape[1])
        self.text = adapters_of(clip.transformer.resblocks, words)
        self.text_projection = nn.Parameter(torch.eye(embedding))
        self.image = adapters_of(visual.transformer.resblocks, width)
        self.image_projections = nn.ParameterList(nn.Parameter(own.clone()) for _ in range(levels))


def adapters_of(blocks: nn.ModuleList, width: int) -> nn.ModuleList:
    """An adapter for each of the first quarter of a tower's blocks, one at least."""
    return nn.ModuleList(ResidualAdapter(width) for _ in range(max(1, len(blocks) // QUARTER)))


def require_text_blocks(encoder: LoadedEncoder) -> Any:
    """The encoder's CLIP, if the blocks of its text tower can be adapted.

    Raises:
        UserError: they can't: it is no text tower of open_clip's CLIP.
    """
    clip: Any = encoder.model
    if not hasattr(clip, "token_embedding") or not hasattr(clip, "attn_mask"):
        raise UserError(
            f"AA-CLIP can't adapt {encoder.name}: its text tower is not that of open_clip's CLIP; take "
            "another encoder, or maps.method=aprilgan."
        )
    return clip


def anchor_sentences(prompts: CategoryPrompts) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The sentences of both anchors of a category: each generic state in the first template."""
    normal, anomalous = (
        tuple(state.sentences[0] for state in states) for states in prompt_states(prompts, False)
    )
    return normal, anomalous


def adapted_text(clip: Any, adapters: AaClipAdapters, tokens: Tensor) -> Tensor:
    """(n, D) L2-normalised embeddings of (n, context) tokens, by the adapted text tower."""
    from open_clip.transformer import text_global_pool

    batch_first = clip.transformer.batch_first
    x = clip.token_embedding(tokens) + clip.positional_embedding
    x = x if batch_first else x.transpose(0, 1)
    for number, block in enumerate(clip.transformer.resblocks):
        x = block(x, attn_mask=clip.attn_mask)
        x = adapters.text[number](x) if number < len(adapters.text) else x
    x = clip.ln_final(x if batch_first else x.transpose(0, 1))
    x = text_global_pool(x, tokens, clip.text_pool_type, eos_token_id=getattr(clip, "text_eos_id", None))
    if clip.text_projection is not None:
        whole = isinstance(clip.text_projection, nn.Linear)
        x = clip.text_projection(x) if whole else x @ clip.text_projection
    return F.normalize(x @ adapters.text_projection, dim=-1)


def adapted_anchor(clip: Any, adapters: AaClipAdapters, tokens: Tensor) -> Tensor:
    """(D,) L2-normalised mean of the adapted embeddings of (n, context) tokens."""
    return F.normalize(adapted_text(clip, adapters, tokens).mean(0), dim=-1)


def adapted_image(
    visual: Any, adapters: AaClipAdapters, images: Tensor, layers: tuple[int, ...]
) -> DenseEmbeddings:
    """The image's embedding and the patches of each chosen block, by the adapted image tower.

    Args:
        visual: result of `require_dense_vit`.
        adapters: what was learnt.
        images: (B, 3, S, S) float, normalised by the encoder's mean and standard deviation.
        layers: blocks, from 1, rising.
    """
    with exact(images):
        x = visual._embeds(images)
    patches: list[Tensor] = []
    for number, block in enumerate(visual.transformer.resblocks):
        x = block(x)
        x = adapters.image[number](x) if number < len(adapters.image) else x
        if number + 1 in layers:
            projection = adapters.image_projections[len(patches)]
            patches.append(F.normalize(visual.ln_post(x[:, 1:]) @ projection, dim=-1))
    pooled, _ = visual._pool(x)
    return DenseEmbeddings(cls=F.normalize(pooled @ visual.proj, dim=-1), patches=patches)
