"""April-GAN: patch tokens of several stages, each through a trained linear layer, against the sentences."""

import torch.nn.functional as F
from torch import Tensor

from pipelines.encoder import (
    CategoryPrompts,
    DenseEmbeddings,
    LoadedEncoder,
    block_outputs,
    chosen_blocks,
    require_dense_vit,
)
from pipelines.heads import (
    AprilGanSettings,
    StageLinears,
    fill,
    patch_identity,
    read_head,
    require_features,
    required_head,
    stage_widths,
    tokens_as_maps,
)
from pipelines.maps.kead import few_shot_map
from pipelines.maps.method import CategoryState, MapMethod, MapOutput, anomaly_probability
from pipelines.maps.section import Precision


class AprilGan(MapMethod):
    """Maps: the mean over stages of the patches' probability; scores s(c) (Chen et al., arXiv 2305.17382).

    With references M_few (eq. 5 of KeAD on the stages' own tokens, which no layer changes) is added to the
    map and its maximum to the score, so maps are in 0…2 and scores in 0…2 then.

    Args:
        encoder: the vision-language encoder that the head was trained on.
        settings: the method's options, with its head.
        precision: see `MapMethod`; the head is float32.

    Raises:
        UserError: no head, or one of another encoder or other layers.
    """

    def __init__(
        self, encoder: LoadedEncoder, settings: AprilGanSettings, precision: Precision = "fp32"
    ) -> None:
        location = required_head("aprilgan", settings.head)
        self.settings = settings
        self.visual = require_dense_vit(encoder.visual)
        self.layers = chosen_blocks(self.visual, settings.layers)
        record, state = read_head(location, "aprilgan")
        self.trained_on = record.images
        require_features(location, record, patch_identity(encoder, self.layers, settings.temperature))
        self.head = StageLinears(*stage_widths(encoder, len(self.layers)))
        fill(location, self.head, state)
        super().__init__(encoder, settings.shots, int(self.visual.grid_size[0]), precision)
        self.head.eval().requires_grad_(False).to(self.device)

    @property
    def describes(self) -> bool:
        """See `MapMethod.describes`: its paper has generic states alone."""
        return False

    def text_embeddings(self, prompts: CategoryPrompts) -> tuple[Tensor, Tensor]:
        """The compositional prompt ensemble of generic states."""
        return self.sentence_means(prompts)

    def embed_normalised(self, images: Tensor) -> DenseEmbeddings:
        """Image embedding, and each stage's tokens, (B, N, width)."""
        outputs = block_outputs(self.visual, images, self.layers)
        return DenseEmbeddings(cls=outputs.cls, patches=outputs.patches)

    def category_state(self, prompts: CategoryPrompts, references: Tensor | None) -> CategoryState:
        """See `MapMethod.category_state`; the bank's tokens are L2-normalised."""
        state = super().category_state(prompts, references)
        return CategoryState(state.t_n, state.t_a, tuple(F.normalize(bank, dim=-1) for bank in state.banks))

    def match(self, embedded: DenseEmbeddings, state: CategoryState) -> MapOutput:
        """The head's map and s(c); with references M_few and its maximum too."""
        tau = self.settings.temperature
        logits = self.head(tokens_as_maps(embedded.patches), state.t_n[None], state.t_a[None], tau)
        maps = logits.sigmoid().mean(1).flatten(1)
        text_score = anomaly_probability(embedded.cls, state.t_n, state.t_a, tau)
        if not state.banks:
            return MapOutput(text_score, text_score, maps)
        few = few_shot_map([F.normalize(level, dim=-1) for level in embedded.patches], state.banks)
        return MapOutput(text_score + few.amax(-1), text_score, maps + few)
