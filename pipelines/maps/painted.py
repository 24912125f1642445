"""Maps of a head that learnt from defects painted onto the user's own images: no text, no references."""

import torch
from torch import Tensor

from pipelines.encoder import CategoryPrompts, DenseEmbeddings, LoadedEncoder
from pipelines.heads import (
    FusedHead,
    HeadFeatures,
    PaintedSettings,
    fill,
    read_head,
    require_features,
    required_head,
    resized,
)
from pipelines.maps.method import CategoryState, MapMethod, MapOutput, plain_state
from pipelines.maps.section import Precision

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class PaintedMethod(MapMethod):
    """Maps in 0…1: the probability, as the head has learnt it, that a place was painted; scores in 0…1.

    The score is the mean of the highest `top` of a map's cells, at least of one.

    Args:
        encoder: the maps' encoder; read where the settings say `clip`.
        settings: features, head and score.
        precision: see `MapMethod`; the head itself is float32.

    Raises:
        UserError: no head, or one that was trained on other features; see `HeadFeatures`.
    """

    def __init__(
        self, encoder: LoadedEncoder, settings: PaintedSettings, precision: Precision = "fp32"
    ) -> None:
        location = required_head("painted", settings.head)
        self.settings = settings
        self.features = HeadFeatures(settings, encoder)
        record, state = read_head(location, "painted")
        require_features(location, record, self.features.identity)
        self.head = FusedHead(self.features.channels, self.features.grids)
        fill(location, self.head, state)
        super().__init__(encoder, 0, self.head.grid, precision)
        self.head.eval().requires_grad_(False).to(self.device)

    @property
    def input_side(self) -> int:
        """See `MapMethod.input_side`."""
        return self.features.side

    @property
    def more_bytes(self) -> int:
        """See `MapMethod.more_bytes`: the features' and the head's."""
        return self.features.image_bytes + 4 * 4 * self.head.width * self.grid**2

    @property
    def describes(self) -> bool:
        """See `MapMethod.describes`."""
        return False

    def compile(self) -> None:
        """Nothing: the head is small, and its features are compiled by no one."""

    @torch.inference_mode()
    def category_state(self, prompts: CategoryPrompts, references: Tensor | None) -> CategoryState:
        """A state of nothing: all categories are looked at alike."""
        return plain_state()

    def embed(self, images: Tensor) -> DenseEmbeddings:
        """The head's probabilities by place, (B, g², 1), as the only layer."""
        with torch.autocast(self.device.type, KINDS[self.precision], enabled=self.precision != "fp32"):
            levels = self.features(resized(images, self.features.side))
        logits = self.head([level.float() for level in levels])
        return DenseEmbeddings(
            torch.zeros(len(images), 1, device=self.device), [logits.sigmoid().flatten(1)[..., None]]
        )

    def embed_normalised(self, images: Tensor) -> DenseEmbeddings:
        """Not asked for, as `embed` is the whole."""
        raise NotImplementedError

    def text_embeddings(self, prompts: CategoryPrompts) -> tuple[Tensor, Tensor]:
        """Nothing: no sentence is read."""
        return torch.zeros(1), torch.zeros(1)

    def match(self, embedded: DenseEmbeddings, state: CategoryState) -> MapOutput:
        """The maps, and the mean of their highest cells."""
        maps = embedded.patches[0][..., 0]
        count = max(1, round(self.settings.top * maps.shape[1]))
        return MapOutput(maps.topk(count, dim=1).values.mean(1), torch.zeros(len(maps)), maps)
