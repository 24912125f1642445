"""What anomaly-map methods share: category states, batches of mixed categories, input images, prompts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from cluster.errors import UserError
from pipelines.encoder import (
    CategoryPrompts,
    DenseEmbeddings,
    DenseEncoder,
    LoadedEncoder,
    PromptState,
    prompt_states,
    refuse_long,
    sentences,
)
from pipelines.maps.bank_limit import spread_banks
from pipelines.maps.section import Precision

TEXT_BATCH = 256


@dataclass(frozen=True)
class CategoryState:
    """What a method knows of one category; plain tensors on the CPU, made once and shared.

    Attributes:
        t_n, t_a: (D,), L2-normalised text embeddings, normal and anomalous.
        banks: per layer (or window size) (k·N, D) L2-normalised embeddings of the references; (S, N, D) of
            the images of a sample, for mutual scoring; empty when zero-shot.
        barred: image_id → numbers of the sample's images that must not judge it: itself, near-duplicates.
        out: numbers of the sample's images that do not judge, where the state is one image's own.
    """

    t_n: Tensor
    t_a: Tensor
    banks: tuple[Tensor, ...]
    barred: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    out: tuple[int, ...] = ()

    def judging(self, image_id: str) -> "CategoryState":
        """What an image is compared with: this state, without what is barred for it; nothing is copied."""
        out = self.barred.get(image_id)
        return replace(self, out=out, barred={}) if out else self

    def judges(self, layer: int) -> list[Tensor]:
        """The images of the sample that judge, (N, D) each, by one of the layers."""
        return [image for place, image in enumerate(self.banks[layer]) if place not in self.out]


def plain_state() -> CategoryState:
    """The state of a category of which nothing is known."""
    return CategoryState(t_n=torch.zeros(1), t_a=torch.zeros(1), banks=())


@dataclass(frozen=True)
class MapOutput:
    """One batch's result, float32.

    Attributes:
        score: (B,), the method's image score; higher is more anomalous.
        image_text_score: (B,), s(c) in 0…1 (eq. 2), the text's part of the score.
        maps: (B, g, g), the anomaly map on the patch grid; upsample when reading.
        parts: (B, 2, g, g), M_zero and M_few (or M_bank), of which KeAD's map is fused; None elsewhere.
    """

    score: Tensor
    image_text_score: Tensor
    maps: Tensor
    parts: Tensor | None = None


def anomaly_probability(embeddings: Tensor, t_n: Tensor, t_a: Tensor, temperature: float) -> Tensor:
    """Eq. 1: `s(f) = exp(f·t_a/τ) / (exp(f·t_n/τ) + exp(f·t_a/τ))`, as the sigmoid it equals.

    Args:
        embeddings: (…, D) L2-normalised.
        t_n, t_a: (D,) or broadcastable, L2-normalised.

    Returns:
        (…), 0…1.
    """
    return torch.sigmoid((embeddings * (t_a - t_n)).sum(-1) / temperature)


def nearest_distance(embeddings: Tensor, bank: Tensor) -> Tensor:
    """`min_r ½(1 − e·r)` to the references' embeddings (eq. 5's summand); (B, N) in 0…1.

    Args:
        embeddings: (B, N, D) L2-normalised.
        bank: (R, D) L2-normalised.
    """
    # Rounding can lift a cosine above 1; a negative distance would turn a harmonic mean upside down.
    return (0.5 * (1 - (embeddings @ bank.T).amax(-1))).clamp_min(0)


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


class MapMethod(ABC):
    """Anomaly maps of image batches; text and reference embeddings are made once per category.

    Args:
        encoder: the vision-language encoder; it stays on its device.
        shots: normal references per category; 0 is zero-shot.
        grid: patches along one side of a map.
        precision: number format of the image tower's products; all else is float32.

    Attributes:
        trained_on: content ids of the images whose labels the method was trained on.

    Raises:
        UserError: fp16 without a GPU.
    """

    trained_on: frozenset[str] = frozenset()

    def __init__(self, encoder: LoadedEncoder, shots: int, grid: int, precision: Precision = "fp32") -> None:
        self.encoder, self.shots, self.grid = encoder, shots, grid
        self.device = next(encoder.model.parameters()).device
        if precision == "fp16" and self.device.type == "cpu":
            raise UserError("maps.precision=fp16 needs a GPU; on a CPU take bf16 or fp32.")
        self.precision = precision
        self._embed: Callable[[Tensor], DenseEmbeddings] = self.embed_normalised
        self._mean = torch.tensor(encoder.mean, device=self.device).view(3, 1, 1)
        self._std = torch.tensor(encoder.std, device=self.device).view(3, 1, 1)

    @property
    def tower(self) -> DenseEncoder | None:
        """The dense encoder that another runtime may run; None where the method has no such part."""
        return None

    def embed_with(self, tower: Callable[[Tensor], DenseEmbeddings]) -> None:
        """Have another runtime give what `embed_normalised` gives."""
        self._embed = tower

    @property
    def input_side(self) -> int:
        """S, the side in pixels of the images it takes: the encoder's."""
        return self.encoder.image_size

    @property
    def more_bytes(self) -> int:
        """Approximate memory of an image beside the encoder's tower, in bytes."""
        return 0

    def preprocess(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB to (3, S, S) of `input_side`; see the function `preprocess`."""
        return preprocess(image, self.input_side)

    @torch.inference_mode()
    def category_state(self, prompts: CategoryPrompts, references: Tensor | None) -> CategoryState:
        """Text embeddings and memory banks of one category.

        Args:
            prompts: the category's object and defects.
            references: (k, 3, S, S) uint8 (or float in 0…1) normal images, k ≥ `shots`; the first `shots` are
                used. Ignored when `shots` is 0.

        Raises:
            UserError: fewer references than `shots`; a sentence longer than the encoder reads.
        """
        state = self.text_state(prompts)
        banks: tuple[Tensor, ...] = ()
        if self.shots:
            available = 0 if references is None else len(references)
            if references is None or available < self.shots:
                raise UserError(
                    f'Category "{prompts.object}" has {available} normal references, {self.shots} are needed;'
                    " give more, or lower shots (0 needs none)."
                )
            embedded = self.embed(references[: self.shots])
            banks = tuple(layer.flatten(0, 1).cpu() for layer in embedded.patches)
        return replace(state, banks=banks)

    @torch.inference_mode()
    def text_state(self, prompts: CategoryPrompts) -> CategoryState:
        """Text embeddings of one category, without a bank.

        Raises:
            UserError: a sentence longer than the encoder reads.
        """
        refuse_long(prompts.object, self.states(prompts), self.encoder.tokenizer, self.encoder.name)
        t_n, t_a = self.text_embeddings(prompts)
        return CategoryState(t_n=t_n.cpu(), t_a=t_a.cpu(), banks=())

    @torch.inference_mode()
    def __call__(self, images: Tensor, states: list[CategoryState]) -> MapOutput:
        """Maps and scores of one batch.

        Args:
            images: (B, 3, S, S) uint8, or float in 0…1, RGB, resized by `preprocess`.
            states: each image's category; images that share the object are matched together.

        Raises:
            UserError: a map or score is no number, which would be no map without anomaly.
            ValueError: the numbers of states and images differ.
        """
        if len(states) != len(images):
            raise ValueError(f"{len(images)} images but {len(states)} category states")
        embedded = self.embed(images)
        count, grid = len(images), self.grid
        output = MapOutput(torch.empty(count), torch.empty(count), torch.empty(count, grid, grid))
        parts: dict[int, Tensor] = {}
        moved: dict[int, tuple[Tensor, ...]] = {}  # banks on the device; images of a category share them
        for state in {id(state): state for state in states}.values():
            rows = [row for row, other in enumerate(states) if other is state]
            category_embeddings = DenseEmbeddings(
                embedded.cls[rows], [layer[rows] for layer in embedded.patches]
            )
            if id(state.banks) not in moved:
                moved[id(state.banks)] = tuple(bank.to(self.device) for bank in state.banks)
            on_device = replace(
                state,
                t_n=state.t_n.to(self.device),
                t_a=state.t_a.to(self.device),
                banks=moved[id(state.banks)],
            )
            part = self.match(category_embeddings, on_device)
            output.score[rows] = part.score.float().cpu()
            output.image_text_score[rows] = part.image_text_score.float().cpu()
            output.maps[rows] = part.maps.view(-1, grid, grid).float().cpu()
            if part.parts is not None:
                parts |= dict(zip(rows, part.parts.view(-1, 2, grid, grid).float().cpu(), strict=True))
        if not bool(output.maps.isfinite().all() & output.score.isfinite().all()):
            raise UserError(
                f"The encoder {self.encoder.name} gives maps that are no numbers "
                f"(maps.precision={self.precision}): take another precision, or check its weights."
            )
        if len(parts) < count:
            return output
        return replace(output, parts=torch.stack([parts[row] for row in range(count)]))

    @torch.inference_mode()
    def embed(self, images: Tensor) -> DenseEmbeddings:
        """Embeddings of images and their patches, from (B, 3, S, S) uint8, or float in 0…1."""
        scaled = images.to(self.device)
        scaled = scaled.float() / 255 if scaled.dtype == torch.uint8 else scaled.float()
        kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]
        with torch.autocast(self.device.type, kind, enabled=self.precision != "fp32"):
            embedded = self._embed((scaled - self._mean) / self._std)
        return DenseEmbeddings(embedded.cls.float(), [layer.float() for layer in embedded.patches])

    def remembered(self, images: Tensor) -> list[Tensor]:
        """What a bank may keep of normal images as `__call__` takes them: (B, R, D) by layer."""
        return self.embed(images).patches

    @property
    def least_remembered(self) -> int:
        """Patches of a tile and layer that a bank is chosen from, at least; all where it has fewer."""
        return self.grid**2

    def kept(self, banks: Sequence[Tensor], most: int | None, category: str) -> tuple[Tensor, ...]:
        """The patches of each layer, (R, D), that stay in a category's bank: at most `most`, None for all."""
        return tuple(banks) if most is None else spread_banks(banks, most)

    def compile(self) -> None:
        """Let torch.compile compile the image tower at its first batch, which takes a minute or more."""
        self._embed = torch.compile(self.embed_normalised)

    def states(self, prompts: CategoryPrompts) -> list[PromptState]:
        """The states of a category that are encoded, normal and anomalous."""
        normal, anomalous = prompt_states(prompts, self.describes)
        return [*normal, *anomalous]

    @property
    @abstractmethod
    def describes(self) -> bool:
        """Whether the sentences describe each defect type."""

    @abstractmethod
    def text_embeddings(self, prompts: CategoryPrompts) -> tuple[Tensor, Tensor]:
        """(D,) L2-normalised `t_n` and `t_a` of a category, on the encoder's device."""

    @abstractmethod
    def embed_normalised(self, images: Tensor) -> DenseEmbeddings:
        """Like `embed`, for float images normalised by the encoder's mean and standard deviation."""

    @abstractmethod
    def match(self, embedded: DenseEmbeddings, state: CategoryState) -> MapOutput:
        """Scores and maps ((B, N) or (B, g, g)) of images of one category; all on the encoder's device."""

    def sentence_means(self, prompts: CategoryPrompts) -> tuple[Tensor, Tensor]:
        """Means of a category's normal and anomalous sentences, (D,) each (docs/method.md#prompts)."""
        normal, anomalous = sentences(prompts, self.describes)
        return self.mean_text_embedding(normal), self.mean_text_embedding(anomalous)

    def mean_text_embedding(self, texts: list[str]) -> Tensor:
        """The normalised mean of all prompts' normalised embeddings; (D,)."""
        tokens = self.encoder.tokenizer(texts).to(self.device)
        starts = range(0, len(tokens), TEXT_BATCH)
        chunks = [self.encoder.encode_text(tokens[start : start + TEXT_BATCH]) for start in starts]
        return F.normalize(torch.cat(chunks).mean(0), dim=-1)
