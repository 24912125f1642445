"""KeAD: training-free anomaly maps from a vision-language encoder (docs/method.md#kead, eq. 1–5)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.encoder import (
    TEMPLATES,
    CategoryPrompts,
    DenseEmbeddings,
    DenseEncoder,
    LoadedEncoder,
)
from pipelines.maps.method import CategoryState, MapMethod, MapOutput, anomaly_probability, nearest_distance
from pipelines.maps.section import KeadSettings, Precision


def zero_shot_map(patches: list[Tensor], t_n: Tensor, t_a: Tensor, temperature: float) -> Tensor:
    """Eq. 3–4: mean over layers of `s(p)`; (B, N) in 0…1 from (B, N, D) per layer."""
    return torch.stack([anomaly_probability(layer, t_n, t_a, temperature) for layer in patches]).mean(0)


def few_shot_map(patches: list[Tensor], banks: tuple[Tensor, ...]) -> Tensor:
    """Eq. 5: mean over layers of `min_r ½(1 − p·r)`; (B, N) in 0…1 from (B, N, D) and (R, D) per layer."""
    return torch.stack(
        [nearest_distance(layer, bank) for layer, bank in zip(patches, banks, strict=True)]
    ).mean(0)


def fused(zero: Tensor, few: Tensor, few_weight: float) -> Tensor:
    """`2((1 − w)·M_zero + w·M_few)`, 0…2: the paper's sum, to the last bit, at its w of a half."""
    return 2 * ((1 - few_weight) * zero + few_weight * few)


class KeAD(MapMethod):
    """KeAD's maps `M = M_zero + M_few` in 0…2 (eq. 3–5) and scores `A = s(c) + max M` in 0…3.

    Args:
        encoder: the vision-language encoder; it stays on its device.
        settings: the method's options.
        precision: see `MapMethod`.

    Raises:
        UserError: settings name layers the encoder lacks.
    """

    def __init__(self, encoder: LoadedEncoder, settings: KeadSettings, precision: Precision = "fp32") -> None:
        self.settings = settings
        self.dense = DenseEncoder(
            encoder.visual,
            layers=settings.layers,
            vv=settings.vv,
            residual=settings.residual,
            released_layers=settings.released_layers,
        )
        super().__init__(encoder, settings.shots, self.dense.grid, precision)

    @property
    def tower(self) -> DenseEncoder:
        """See `MapMethod.tower`."""
        return self.dense

    @property
    def describes(self) -> bool:
        """See `MapMethod.describes`."""
        return self.settings.defect_features

    def text_embeddings(self, prompts: CategoryPrompts) -> tuple[Tensor, Tensor]:
        """Means of a category's normal and anomalous sentences, (D,) each (docs/method.md#prompts)."""
        t_n, t_a = self.sentence_means(prompts)
        if self.settings.redundant_text:
            empty = self.mean_text_embedding([template.format("") for template in TEMPLATES])
            t_n, t_a = F.normalize(t_n - empty, dim=-1), F.normalize(t_a - empty, dim=-1)
        return t_n, t_a

    def embed_normalised(self, images: Tensor) -> DenseEmbeddings:
        """Image embedding, and patch embeddings of each chosen layer."""
        embedded: DenseEmbeddings = self.dense(images)
        return embedded

    def match(self, embedded: DenseEmbeddings, state: CategoryState) -> MapOutput:
        """Eq. 2–5 and the image score."""
        tau = self.settings.temperature
        maps = zero_shot_map(embedded.patches, state.t_n, state.t_a, tau)
        parts = None
        if state.banks:
            parts = torch.stack([maps, few_shot_map(embedded.patches, state.banks)], dim=1)
            maps = fused(parts[:, 0], parts[:, 1], self.settings.few_weight)
        text_score = anomaly_probability(embedded.cls, state.t_n, state.t_a, tau)
        score = text_score + maps.amax(-1)
        if self.settings.score == "released":
            score = score / 2
        return MapOutput(score, text_score, maps, parts)
