"""AnomalyCLIP's learnt prompts: vectors in the place of words, through the frozen text tower."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cluster.errors import UserError
from pipelines.encoder import LoadedEncoder

WORDS = 12  # learnt vectors of each prompt
NORMAL, ANOMALOUS = "object", "damaged object"
SPREAD = 0.02  # deviation of the vectors at the start


class LearntPrompts(nn.Module):
    """`[V₁]…[V₁₂] object` and `[W₁]…[W₁₂] damaged object`; only V and W learn.

    Source: Zhou et al., AnomalyCLIP (arXiv 2310.18961), section 3.2, without the further learnt tokens in the
    text tower's blocks.

    Args:
        encoder: the frozen encoder.
        seed: seed of the vectors at the start.

    Raises:
        UserError: a text tower whose words have no embeddings of their own.
    """

    def __init__(self, encoder: LoadedEncoder, seed: int) -> None:
        super().__init__()
        clip: Any = encoder.model
        if not hasattr(clip, "token_embedding") or not hasattr(clip, "attn_mask"):
            raise UserError(
                f"AnomalyCLIP's prompts can't be learnt for {encoder.name}: its text tower is not that of "
                "open_clip's CLIP; take another encoder, or maps.method=aprilgan."
            )
        width = int(clip.token_embedding.weight.shape[1])
        generator = torch.Generator().manual_seed(seed)
        self.vectors = nn.Parameter(SPREAD * torch.randn(2, WORDS, width, generator=generator))
        # In a tuple, so that the frozen tower is no part of the state that is kept.
        self._frozen = (clip,)
        fillers = " ".join(["x"] * WORDS)
        self.tokens = encoder.tokenizer([f"{fillers} {words}" for words in (NORMAL, ANOMALOUS)])
        if bool((self.tokens[:, 1 : 1 + WORDS] != self.tokens[:1, 1:2]).any()):
            raise UserError(f"The tokenizer of {encoder.name} has no token for a single word; take another.")

    def forward(self) -> tuple[Tensor, Tensor]:
        """(D,) L2-normalised embeddings, normal and anomalous."""
        clip = self._frozen[0].to(self.vectors.device)
        tokens = self.tokens.to(self.vectors.device)
        words = clip.token_embedding(tokens)
        words = torch.cat([words[:, :1], self.vectors, words[:, 1 + WORDS :]], dim=1)
        t_n, t_a = encoded(clip, tokens, words)
        return t_n, t_a


def encoded(clip: Any, tokens: Tensor, words: Tensor) -> Tensor:
    """(n, D) L2-normalised: open_clip's `encode_text`, from token embeddings in the place of tokens.

    Args:
        clip: open_clip's CLIP.
        tokens: (n, context), by which the end of a text is known.
        words: (n, context, width) embeddings of the tokens.
    """
    from open_clip.transformer import text_global_pool

    x = clip.transformer(words + clip.positional_embedding, attn_mask=clip.attn_mask)
    x = clip.ln_final(x)
    x = text_global_pool(x, tokens, clip.text_pool_type, eos_token_id=getattr(clip, "text_eos_id", None))
    if clip.text_projection is not None:
        whole = isinstance(clip.text_projection, nn.Linear)
        x = clip.text_projection(x) if whole else x @ clip.text_projection
    return F.normalize(x, dim=-1)
