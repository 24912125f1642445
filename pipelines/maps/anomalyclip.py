"""AnomalyCLIP: two learnt prompts without an object's name, against V-V patch embeddings."""

from torch import Tensor

from pipelines.encoder import CategoryPrompts, DenseEmbeddings, DenseEncoder, LoadedEncoder
from pipelines.heads import (
    AnomalyClipSettings,
    PromptPair,
    fill,
    patch_identity,
    read_head,
    require_features,
    required_head,
)
from pipelines.maps.kead import zero_shot_map
from pipelines.maps.method import CategoryState, MapMethod, MapOutput, anomaly_probability, plain_state
from pipelines.maps.section import Precision


class AnomalyClip(MapMethod):
    """Maps in 0…1: eq. 3–4 of KeAD with learnt prompts; scores s(c) (Zhou et al., arXiv 2310.18961).

    Args:
        encoder: the vision-language encoder that the prompts were learnt for.
        settings: the method's options, with its head.
        precision: see `MapMethod`.

    Raises:
        UserError: no head, or one of another encoder or other layers.
    """

    def __init__(
        self, encoder: LoadedEncoder, settings: AnomalyClipSettings, precision: Precision = "fp32"
    ) -> None:
        location = required_head("anomalyclip", settings.head)
        self.settings = settings
        self.dense = DenseEncoder(encoder.visual, layers=settings.layers)
        record, state = read_head(location, "anomalyclip")
        self.trained_on = record.images
        require_features(location, record, patch_identity(encoder, self.dense.layers, settings.temperature))
        self.head = PromptPair(int(self.dense.visual.proj.shape[1]))
        fill(location, self.head, state)
        super().__init__(encoder, 0, self.dense.grid, precision)
        self.head.to(self.device)

    @property
    def describes(self) -> bool:
        """See `MapMethod.describes`."""
        return False

    def category_state(self, prompts: CategoryPrompts, references: Tensor | None) -> CategoryState:
        """A state of nothing: the prompts are those of all categories."""
        return plain_state()

    def text_embeddings(self, prompts: CategoryPrompts) -> tuple[Tensor, Tensor]:
        """The learnt ones, whatever the category is."""
        return self.head.t_n, self.head.t_a

    def embed_normalised(self, images: Tensor) -> DenseEmbeddings:
        """Image embedding, and V-V patch embeddings of each layer."""
        embedded: DenseEmbeddings = self.dense(images)
        return embedded

    def match(self, embedded: DenseEmbeddings, state: CategoryState) -> MapOutput:
        """The map and s(c), both by the learnt prompts."""
        tau, t_n, t_a = self.settings.temperature, self.head.t_n, self.head.t_a
        text_score = anomaly_probability(embedded.cls, t_n, t_a, tau)
        return MapOutput(text_score, text_score, zero_shot_map(embedded.patches, t_n, t_a, tau))
