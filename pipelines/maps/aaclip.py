"""AA-CLIP: patches of an adapted image tower against the anchors of an adapted text tower."""

import torch
from torch import Tensor

from pipelines.encoder import (
    CategoryPrompts,
    DenseEmbeddings,
    LoadedEncoder,
    chosen_blocks,
    require_dense_vit,
)
from pipelines.heads import (
    AaClipAdapters,
    AaClipSettings,
    adapted_anchor,
    adapted_image,
    anchor_sentences,
    fill,
    patch_identity,
    read_head,
    require_features,
    required_head,
)
from pipelines.maps.method import CategoryState, MapMethod, MapOutput, anomaly_probability
from pipelines.maps.section import Precision


class AaClip(MapMethod):
    """Maps in 0…1: the mean over levels of the patches' probability; scores s(c) (arXiv 2503.06661).

    Args:
        encoder: the vision-language encoder that the adapters were learnt for.
        settings: the method's options, with its head.
        precision: see `MapMethod`.

    Raises:
        UserError: no head, one of another encoder or other layers, or a text tower that can't be adapted.
    """

    def __init__(
        self, encoder: LoadedEncoder, settings: AaClipSettings, precision: Precision = "fp32"
    ) -> None:
        location = required_head("aaclip", settings.head)
        self.settings = settings
        self.visual = require_dense_vit(encoder.visual)
        self.layers = chosen_blocks(self.visual, settings.layers)
        record, state = read_head(location, "aaclip")
        self.trained_on = record.images
        require_features(location, record, patch_identity(encoder, self.layers, settings.temperature))
        self.head = AaClipAdapters(encoder, len(self.layers))
        fill(location, self.head, state)
        super().__init__(encoder, 0, int(self.visual.grid_size[0]), precision)
        self.head.eval().requires_grad_(False).to(self.device)

    @property
    def describes(self) -> bool:
        """See `MapMethod.describes`: its paper has generic states alone."""
        return False

    def text_embeddings(self, prompts: CategoryPrompts) -> tuple[Tensor, Tensor]:
        """The anchors of a category."""
        normal, anomalous = (
            adapted_anchor(self.encoder.model, self.head, self.encoder.tokenizer(list(texts)).to(self.device))
            for texts in anchor_sentences(prompts)
        )
        return normal, anomalous

    def embed_normalised(self, images: Tensor) -> DenseEmbeddings:
        """Image embedding, and patch embeddings of each level, by the adapted tower."""
        return adapted_image(self.visual, self.head, images, self.layers)

    def match(self, embedded: DenseEmbeddings, state: CategoryState) -> MapOutput:
        """The map and s(c), both by the category's anchors."""
        tau, t_n, t_a = self.settings.temperature, state.t_n, state.t_a
        levels = [anomaly_probability(level, t_n, t_a, tau) for level in embedded.patches]
        text_score = anomaly_probability(embedded.cls, t_n, t_a, tau)
        return MapOutput(text_score, text_score, torch.stack(levels).mean(0))
