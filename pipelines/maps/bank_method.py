"""KeAD's text map beside a bank of any encoder's features, of references or of the corpus itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from cluster.errors import UserError
from cluster.progress import say
from pipelines.banks import CLIP, Backbone, BankSection, joined, mutual, nearest, on_grid, thinned, views
from pipelines.encoder import CategoryPrompts, DenseEmbeddings, DenseEncoder, LoadedEncoder
from pipelines.maps.kead import KeAD, zero_shot_map
from pipelines.maps.method import CategoryState, MapMethod, MapOutput, anomaly_probability
from pipelines.maps.section import KeadSettings, Precision

MIB = 2**20
LEAST_OF_TILE = 400


class BankMethod(MapMethod):
    """Maps `2(t·M_zero + (1 − t)·M_bank)` in 0…2, scores `2t·s(c) + max M` in 0…2 + 2t (see `BankSection`).

    M_zero, s(c) and the prompts are KeAD's (eq. 1–4); at t = ½ the two sums have the form of its few-shot
    maps. Maps are on the finest grid of those that join: the bank's levels and, with text, the encoder's.
    An image is decoded once, at the larger of the two encoders' sizes, and resized for the other.

    Args:
        encoder: the vision-language encoder; it stays on its device.
        settings: KeAD's options.
        bank: the bank's options.
        precision: see `MapMethod`; it holds for both image towers.

    Raises:
        UserError: see `KeAD` and `Backbone`.
    """

    def __init__(
        self,
        encoder: LoadedEncoder,
        settings: KeadSettings,
        bank: BankSection,
        precision: Precision = "fp32",
    ) -> None:
        self.bank, self.text_weight = bank, bank.weight_of_text(settings.few_weight)
        self.kead = KeAD(encoder, settings, precision)
        self.backbone = None if bank.encoder == CLIP else Backbone(bank, self.kead.device)
        grids = [self.kead.grid] if self.text_weight or self.backbone is None else []
        grids += self.backbone.grids if self.backbone else ()
        shots = settings.shots if bank.mode == "references" else 0
        super().__init__(encoder, shots, max(grids), precision)
        self.side = max(encoder.image_size, self.backbone.size if self.backbone else 0)

    @property
    def input_side(self) -> int:
        """See `MapMethod.input_side`."""
        return self.side

    @property
    def more_bytes(self) -> int:
        """See `MapMethod.more_bytes`."""
        return self.backbone.image_bytes if self.backbone else 0

    @property
    def tower(self) -> DenseEncoder:
        """See `MapMethod.tower`: KeAD's."""
        return self.kead.tower

    def embed_with(self, tower: Callable[[Tensor], DenseEmbeddings]) -> None:
        """See `MapMethod.embed_with`."""
        self.kead.embed_with(tower)

    @property
    def describes(self) -> bool:
        """See `MapMethod.describes`."""
        return self.kead.describes

    def text_embeddings(self, prompts: CategoryPrompts) -> tuple[Tensor, Tensor]:
        """KeAD's."""
        return self.kead.text_embeddings(prompts)

    def compile(self) -> None:
        """Compile the vision-language encoder's tower alone."""
        self.kead.compile()

    @torch.inference_mode()
    def category_state(self, prompts: CategoryPrompts, references: Tensor | None) -> CategoryState:
        """Text embeddings, and the bank of the references' views; a sample's bank is added later.

        Raises:
            UserError: see `MapMethod.category_state`.
        """
        if not self.shots:
            return super().category_state(prompts, None)
        if references is not None:
            references = references[: self.shots]
        state = self.kead.category_state(prompts, self._resized(references, self.encoder.image_size))
        assert references is not None  # KeAD has refused too few
        whole = [level.flatten(0, 1).cpu() for level in self.remembered(references)]
        return replace(state, banks=self.kept(whole, None, prompts.object))

    def remembered(self, images: Tensor) -> list[Tensor]:
        """See `MapMethod.remembered`: every view of an image counts."""
        seen = [self.features(views(image[None], self.bank.views)) for image in images]  # views are many
        return [torch.stack([view.flatten(0, 2) for view in level]) for level in zip(*seen, strict=True)]

    @property
    def least_remembered(self) -> int:
        """See `MapMethod.least_remembered`: fine levels would fill a bank with few tiles."""
        return min(self.grid**2, LEAST_OF_TILE)

    def kept(self, banks: Sequence[Tensor], most: int | None, category: str) -> tuple[Tensor, ...]:
        """See `MapMethod.kept`; `bank.most` wins over `most`, and what stays is said."""
        limit = self.bank.most or most
        kept = tuple(thinned(level, limit, self.bank.coreset, self.bank.seed) for level in banks)
        numbers = ", ".join(f"{len(few)} of {len(every)}" for few, every in zip(kept, banks, strict=True))
        memory = sum(level.numel() * level.element_size() for level in kept) / MIB
        say(f'bank of "{category}": {numbers} patches by level, {memory:.1f} MiB')
        return kept

    @torch.inference_mode()
    def features(self, images: Tensor) -> list[Tensor]:
        """The bank's features by level, (B, h, w, D) L2-normalised, of images as `__call__` takes them."""
        return self._features(images, None)

    def embed(self, images: Tensor) -> DenseEmbeddings:
        """The image embedding; then patches of KeAD's layers where there is text, then the bank's levels."""
        kead = None
        if self.text_weight or self.backbone is None:
            kead = self.kead.embed(self._resized(images, self.encoder.image_size))
        bank = [level.flatten(1, 2) for level in self._features(images, kead)]
        if kead is None:
            return DenseEmbeddings(torch.zeros(len(images), 1, device=self.device), bank)
        return DenseEmbeddings(kead.cls, [*(kead.patches if self.text_weight else []), *bank])

    def embed_normalised(self, images: Tensor) -> DenseEmbeddings:
        """KeAD's part of `embed`."""
        return self.kead.embed_normalised(images)

    def match(self, embedded: DenseEmbeddings, state: CategoryState) -> MapOutput:
        """Both maps on one grid, and the score.

        Raises:
            UserError: no image of the category is left to compare with.
        """
        if not state.banks or not all(len(bank) > len(state.out) for bank in state.banks):
            raise UserError(
                "maps.bank.mode=mutual needs other images of the category, near-duplicates apart."
            )
        levels = len(state.banks)
        few = self._bank_map(embedded.patches[-levels:], state)
        zero, text_score = torch.zeros_like(few), torch.zeros(len(few), device=few.device)
        tau, t = self.kead.settings.temperature, self.text_weight
        if t:
            zero = zero_shot_map(embedded.patches[:-levels], state.t_n, state.t_a, tau)
            zero = on_grid(zero.view(-1, self.kead.grid, self.kead.grid), self.grid)
            text_score = anomaly_probability(embedded.cls, state.t_n, state.t_a, tau)
        maps = 2 * (t * zero + (1 - t) * few)
        score = 2 * t * text_score + maps.amax((1, 2))
        return MapOutput(score, text_score, maps, torch.stack([zero, few], dim=1))

    def _bank_map(self, patches: Sequence[Tensor], state: CategoryState) -> Tensor:
        """M_bank, (B, g, g) in 0…1."""
        levels = []
        for number, level in enumerate(patches):
            if self.bank.mode == "mutual":
                judges = state.judges(number)
                far = torch.stack([mutual(image, judges, self.bank.lowest) for image in level])
            else:
                far = torch.stack([nearest(image, state.banks[number]) for image in level])
            side = round(far.shape[1] ** 0.5)
            levels.append(far.view(-1, side, side))
        return joined(levels, self.grid)

    def _features(self, images: Tensor, kead: DenseEmbeddings | None) -> list[Tensor]:
        if self.backbone is None:
            kead = kead or self.kead.embed(self._resized(images, self.encoder.image_size))
            side = self.kead.grid
            return [layer.reshape(len(layer), side, side, -1) for layer in kead.patches]
        resized = self._resized(images, self.backbone.size).to(self.device)
        kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[self.precision]
        with torch.autocast(self.device.type, kind, enabled=self.precision != "fp32"):
            return self.backbone(resized)

    def _resized(self, images: Tensor | None, size: int) -> Tensor:
        """Images as floats in 0…1 of another side, bicubic with antialiasing; (B, 3, size, size)."""
        if images is None:
            return torch.empty(0, 3, size, size)
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        if scaled.shape[-1] == size:
            return scaled
        return F.interpolate(scaled, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
