"""What is kept of an example: the features that each method's head reads, and the mask."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cluster.errors import UserError
from pipelines.encoder import (
    DenseEncoder,
    LoadedEncoder,
    block_outputs,
    chosen_blocks,
    require_dense_vit,
)
from pipelines.heads import (
    FusedHead,
    HeadFeatures,
    StageLinears,
    patch_identity,
    stage_widths,
    tokens_as_maps,
)
from pipelines.maps import KeAD, KeadSettings, MapsSection, preprocess
from training.heads.examples import Example, pixels_and_mask, shrunk
from training.heads.section import HeadsSection

Levels = Callable[[Tensor], dict[str, Tensor]]


class FeatureReader:
    """Reads examples for one method's head over a loaded encoder.

    Args:
        maps: the maps' config, with the method.
        heads: the training's config.
        encoder: the maps' encoder.
        categories: names of all categories, for AA-CLIP.

    Attributes:
        identity: what decides the features, JSON-able.

    Raises:
        UserError: features that can't be had; see `HeadFeatures` and `chosen_blocks`.
    """

    def __init__(
        self,
        maps: MapsSection,
        heads: HeadsSection,
        encoder: LoadedEncoder,
        categories: Sequence[str] = (),
    ) -> None:
        self.heads, self.encoder, self.categories = heads, encoder, tuple(categories)
        self.side = encoder.image_size
        self._device = next(encoder.model.parameters()).device
        self._mean = torch.tensor(encoder.mean, device=self._device).view(3, 1, 1)
        self._std = torch.tensor(encoder.std, device=self._device).view(3, 1, 1)
        self._levels: Levels
        self.shapes: Any = ()
        self._texts: Callable[[str], tuple[Tensor, Tensor]] | None = None
        self.identity: dict[str, Any]
        if maps.method == "painted":
            features = HeadFeatures(maps.painted, encoder)
            self.side, self.identity = features.side, features.identity
            self.shapes = (features.channels, features.grids)
            self._levels = lambda images: numbered(features(images))
        elif maps.method == "aprilgan":
            visual = require_dense_vit(encoder.visual)
            layers = chosen_blocks(visual, maps.aprilgan.layers)
            self.identity = patch_identity(encoder, layers, maps.aprilgan.temperature)
            self.shapes = stage_widths(encoder, len(layers))
            self._levels = lambda images: numbered(
                tokens_as_maps(block_outputs(visual, self._normalised(images), layers).patches)
            )
            self._texts = _texts(maps, encoder)
        elif maps.method == "aaclip":
            layers = chosen_blocks(require_dense_vit(encoder.visual), maps.aaclip.layers)
            dense = DenseEncoder(encoder.visual, layers=layers)
            self.identity = patch_identity(encoder, layers, maps.aaclip.temperature)
            self.shapes = layers
            # Its image tower learns, so the pixels are kept too.
            self._levels = lambda images: {**_with_cls(dense, self._normalised(images)), "pixels": images}
        else:
            dense = DenseEncoder(encoder.visual, layers=maps.anomalyclip.layers)
            self.identity = patch_identity(encoder, dense.layers, maps.anomalyclip.temperature)
            self._levels = lambda images: _with_cls(dense, self._normalised(images))

    @torch.inference_mode()
    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """What is kept of some examples.

        Returns:
            `level0`, … (n, C, h, h) float16, `mask` (n, M, M) uint8 and `defective` (n,) bool; for
            AnomalyCLIP and AA-CLIP `cls` (n, D), for April-GAN the category's `t_n` and `t_a` (n, D), for
            AA-CLIP `pixels` (n, 3, S, S) uint8 and `category` (n,), its number among `categories`.

        Raises:
            UserError: an image can't be read any more; features that are no numbers.
        """
        images, masks = [], []
        for example in examples:
            pixels, mask = pixels_and_mask(example, self.heads.paint, self.heads.loop.resolved_seed)
            images.append(preprocess(pixels, self.side))
            masks.append(mask)
        kept = self._levels(torch.from_numpy(np.stack(images)))
        if not all(bool(level.isfinite().all()) for level in kept.values()):
            raise UserError(f"The features of {self.encoder.name} are no numbers in half precision.")
        if self._texts is not None:
            texts = [self._texts(example.row["category"]) for example in examples]
            kept["t_n"], kept["t_a"] = (torch.stack(side) for side in zip(*texts, strict=True))
        kept["mask"] = torch.from_numpy(np.stack([shrunk(mask) for mask in masks]))
        kept["defective"] = torch.tensor([bool(mask.any()) for mask in masks])
        if self.categories:
            numbers = [self.categories.index(example.row["category"]) for example in examples]
            kept["category"] = torch.tensor(numbers)
        return kept

    def _normalised(self, images: Tensor) -> Tensor:
        return (images.to(self._device).float() / 255 - self._mean) / self._std


def numbered(levels: Sequence[Tensor]) -> dict[str, Tensor]:
    """Levels by the names under which they are kept, float16."""
    return {f"level{number}": level.half() for number, level in enumerate(levels)}


def levels_of(batch: Mapping[str, Any]) -> list[Tensor]:
    """The levels of a batch, in their order."""
    return [batch[f"level{number}"] for number in range(sum(name.startswith("level") for name in batch))]


def _texts(maps: MapsSection, encoder: LoadedEncoder) -> Callable[[str], tuple[Tensor, Tensor]]:
    """Embeddings of a category's generic states, as KeAD without defect features has them."""
    library, kead = maps.library(), KeAD(encoder, KeadSettings(defect_features=False))

    @cache
    def embedded(category: str) -> tuple[Tensor, Tensor]:
        return kead.text_embeddings(library.category(category))

    return embedded


def _with_cls(dense: nn.Module, images: Tensor) -> dict[str, Tensor]:
    embedded = dense(images)
    return {**numbered(tokens_as_maps(embedded.patches)), "cls": embedded.cls}


def new_head(method: str, shapes: Any, seed: int) -> nn.Module:
    """The head of a method before its first step.

    Args:
        method: `painted` or `aprilgan`.
        shapes: `FeatureReader.shapes`.
        seed: seed of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FusedHead(*shapes) if method == "painted" else StageLinears(*shapes)
