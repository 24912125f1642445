"""KeAD: training-free anomaly maps from a vision-language encoder (METHOD.md, "KeAD"; paper eq. 1–5)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import Field
from torch import Tensor

from cluster.config import Section
from cluster.errors import UserError
from pipelines.encoder import LoadedEncoder
from pipelines.prompts import TEMPLATES, CategoryPrompts, sentences
from pipelines.surgery import DenseEmbeddings, DenseEncoder

TEXT_BATCH = 256


class KeadSettings(Section):
    """KeAD's options; the defaults are the paper's."""

    defect_features: bool = Field(True, description="describe each defect type in the prompts (DF)")
    vv: bool = Field(True, description="patch embeddings by V-V attention")
    residual: bool = Field(True, description="accumulate V-V attention over the blocks")
    released_layers: bool = Field(False, description="the released code's layers: the last one, repeated")
    redundant_text: bool = Field(False, description="subtract the embedding of the empty prompt")
    temperature: float = Field(0.07, gt=0, description="τ of eq. 1")
    score: Literal["paper", "released"] = Field("paper", description="s(c) + max M, or half of it")
    layers: tuple[int, ...] | None = Field(None, description="blocks read, from 1; by depth when left out")
    shots: int = Field(4, ge=0, description="normal references per category; 0 is zero-shot")


@dataclass(frozen=True)
class CategoryState:
    """What KeAD knows of one category; plain tensors on the CPU, made once and shared.

    Attributes:
        t_n, t_a: (D,), L2-normalised text embeddings, normal and anomalous.
        banks: per layer (k·N, D) L2-normalised patch embeddings of the references; empty when zero-shot.
    """

    t_n: Tensor
    t_a: Tensor
    banks: tuple[Tensor, ...]


@dataclass(frozen=True)
class KeadOutput:
    """One batch's result, float32.

    Attributes:
        score: (B,), A = s(c) + max M; in 0…3 (half of it when released).
        image_text_score: (B,), s(c) in 0…1 (eq. 2).
        maps: (B, g, g), M = M_zero + M_few in 0…2 on the patch grid (eq. 3–5); upsample when reading.
    """

    score: Tensor
    image_text_score: Tensor
    maps: Tensor


def anomaly_probability(embeddings: Tensor, t_n: Tensor, t_a: Tensor, temperature: float) -> Tensor:
    """Eq. 1: `s(f) = exp(f·t_a/τ) / (exp(f·t_n/τ) + exp(f·t_a/τ))`, as the sigmoid it equals.

    Args:
        embeddings: (…, D) L2-normalised.
        t_n, t_a: (D,) or broadcastable, L2-normalised.

    Returns:
        (…), 0…1.
    """
    return torch.sigmoid((embeddings * (t_a - t_n)).sum(-1) / temperature)


def zero_shot_map(patches: list[Tensor], t_n: Tensor, t_a: Tensor, temperature: float) -> Tensor:
    """Eq. 3–4: mean over layers of `s(p)`; (B, N) in 0…1 from (B, N, D) per layer."""
    return torch.stack([anomaly_probability(layer, t_n, t_a, temperature) for layer in patches]).mean(0)


def few_shot_map(patches: list[Tensor], banks: tuple[Tensor, ...]) -> Tensor:
    """Eq. 5: mean over layers of `min_r ½(1 − p·r)`; (B, N) in 0…1 from (B, N, D) and (R, D) per layer."""
    nearest = [(layer @ bank.T).amax(-1) for layer, bank in zip(patches, banks, strict=True)]
    return torch.stack([0.5 * (1 - similarity) for similarity in nearest]).mean(0)


def preprocess(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Resize to the encoder's square input directly, not cropped: bicubic, antialiased.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: pixels of the side.

    Returns:
        (3, size, size) uint8.
    """
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))


class KeAD:
    """Anomaly maps of image batches; text and reference embeddings are made once per category.

    Args:
        encoder: the vision-language encoder; it stays on its device.
        settings: the method's options.

    Raises:
        UserError: settings name layers the encoder lacks.
    """

    def __init__(self, encoder: LoadedEncoder, settings: KeadSettings) -> None:
        self.encoder, self.settings = encoder, settings
        self.dense = DenseEncoder(
            encoder.visual,
            layers=settings.layers,
            vv=settings.vv,
            residual=settings.residual,
            released_layers=settings.released_layers,
        )
        self.device = next(encoder.model.parameters()).device
        self._mean = torch.tensor(encoder.mean, device=self.device).view(3, 1, 1)
        self._std = torch.tensor(encoder.std, device=self.device).view(3, 1, 1)

    def preprocess(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB to the encoder's (3, S, S); see the function `preprocess`."""
        return preprocess(image, self.encoder.image_size)

    @torch.inference_mode()
    def category_state(self, prompts: CategoryPrompts, references: Tensor | None) -> CategoryState:
        """Text embeddings and memory banks of one category.

        Args:
            prompts: the category's object and defects.
            references: (k, 3, S, S) uint8 (or float in 0…1) normal images, k ≥ `shots`, the first `shots` are
                used; ignored when `shots` is 0.

        Raises:
            UserError: fewer references than `shots`.
        """
        normal, anomalous = sentences(prompts, self.settings.defect_features)
        t_n, t_a = self._text(normal), self._text(anomalous)
        if self.settings.redundant_text:
            empty = self._text([template.format("") for template in TEMPLATES])
            t_n, t_a = F.normalize(t_n - empty, dim=-1), F.normalize(t_a - empty, dim=-1)
        banks: tuple[Tensor, ...] = ()
        shots = self.settings.shots
        if shots:
            given = 0 if references is None else len(references)
            if references is None or given < shots:
                raise UserError(
                    f'Category "{prompts.object}" has {given} normal references, {shots} are needed;'
                    " give more, or lower shots (0 needs none)."
                )
            embedded = self.embed(references[:shots])
            banks = tuple(layer.flatten(0, 1).cpu() for layer in embedded.patches)
        return CategoryState(t_n=t_n.cpu(), t_a=t_a.cpu(), banks=banks)

    @torch.inference_mode()
    def __call__(self, images: Tensor, states: list[CategoryState]) -> KeadOutput:
        """Maps and scores of one batch.

        Args:
            images: (B, 3, S, S) uint8, or float in 0…1, RGB, resized by `preprocess`.
            states: each image's category; images that share the object are matched together.

        Raises:
            ValueError: as many states as images are needed.
        """
        if len(states) != len(images):
            raise ValueError(f"{len(images)} images but {len(states)} category states")
        embedded = self.embed(images)
        count, grid = len(images), self.dense.grid
        text_score = torch.empty(count)
        maps = torch.empty(count, grid * grid)
        for state in {id(state): state for state in states}.values():
            rows = [row for row, other in enumerate(states) if other is state]
            cls, patches = embedded.cls[rows], [layer[rows] for layer in embedded.patches]
            t_n, t_a = state.t_n.to(self.device), state.t_a.to(self.device)
            tau = self.settings.temperature
            merged = zero_shot_map(patches, t_n, t_a, tau)
            if state.banks:
                merged = merged + few_shot_map(patches, tuple(bank.to(self.device) for bank in state.banks))
            maps[rows] = merged.float().cpu()
            text_score[rows] = anomaly_probability(cls, t_n, t_a, tau).float().cpu()
        score = text_score + maps.amax(-1)
        if self.settings.score == "released":
            score = score / 2
        return KeadOutput(score=score, image_text_score=text_score, maps=maps.view(count, grid, grid))

    @torch.inference_mode()
    def embed(self, images: Tensor) -> DenseEmbeddings:
        """CLS and patch embeddings of (B, 3, S, S) uint8, or float in 0…1, images."""
        scaled = images.to(self.device)
        scaled = scaled.float() / 255 if scaled.dtype == torch.uint8 else scaled.float()
        embedded: DenseEmbeddings = self.dense((scaled - self._mean) / self._std)
        return embedded

    def _text(self, texts: list[str]) -> Tensor:
        """Every prompt encoded and normalised, the set averaged, the mean normalised again; (D,)."""
        tokens = self.encoder.tokenizer(texts).to(self.device)
        starts = range(0, len(tokens), TEXT_BATCH)
        chunks = [self.encoder.encode_text(tokens[start : start + TEXT_BATCH]) for start in starts]
        return F.normalize(torch.cat(chunks).mean(0), dim=-1)
