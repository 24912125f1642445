"""The config of the memory bank: whose features, of which images, and how they meet the text's map."""

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cluster.config import Section
from cluster.config_paths import Location

CLIP, LITE0, TIMM = "clip", "efficientnet-lite0", "timm/"
LARGEST_LEVEL = 1000
TEXT_WEIGHT = 0.25  # t of another encoder than clip: the best of six on generated surfaces (benchmarks)
_TIMM_NAME = re.compile(r"timm/[A-Za-z0-9_]+(\.[A-Za-z0-9_-]+)?")


def _known(encoder: str) -> str:
    if encoder not in (CLIP, LITE0) and not _TIMM_NAME.fullmatch(encoder):
        raise ValueError(
            f'"{encoder:.80}" is no bank\'s encoder: give clip, {LITE0}, or timm/NAME as in timm/resnet18'
        )
    return encoder


Level = Annotated[int, Field(ge=0, le=LARGEST_LEVEL)]


class FeatureSettings(Section):
    """Whose features of an image are read.

    Attributes:
        encoder: `clip` (the maps' own encoder and its layers), `efficientnet-lite0` (ImageNet's, of the extra
            `features`), or `timm/NAME`, any backbone of timm.
        weights: local weights file of `timm/NAME` (.safetensors, or .pt, .pth, .bin of plain tensors);
            None takes what timm publishes, downloaded once.
        levels: feature maps by timm's number, from 0: stages of a ConvNet, blocks of a ViT. None takes
            those of strides 8 and 16, of a ViT the blocks at a half and three quarters of its depth.
        size: side in pixels that images have for the encoder.
    """

    key: ClassVar[str] = "maps.bank"  # where these settings stand in a config

    encoder: Annotated[str, AfterValidator(_known)] = CLIP
    weights: Location | None = None
    levels: Annotated[tuple[Level, ...], Field(min_length=1, max_length=64)] | None = None
    size: int = Field(default=288, ge=32, le=2048)

    @model_validator(mode="after")
    def _of_this_encoder(self) -> Self:
        if self.weights is not None and not self.encoder.startswith(TIMM):
            raise ValueError(f"weights belong to an encoder timm/NAME; {self.encoder} brings its own")
        if self.encoder == CLIP and (self.levels is not None or self.size != 288):
            raise ValueError("levels and size are for other encoders than clip: see kead.layers")
        if self.levels is not None and len(set(self.levels)) < len(self.levels):
            raise ValueError("a level stands twice in levels")
        return self


class BankSection(FeatureSettings):
    """The memory bank that patches are compared with; the defaults are KeAD's own bank.

    What another encoder, mode or view is set for holds for `maps.method=kead` alone: the map is
    `2(t·M_zero + (1 − t)·M_bank)` with t the `text_weight`, the score `2t·s(c) + max M`. Patches are means
    of 3×3 neighbours, L2-normalised; M_bank is the mean over levels of `½(1 − p·r)` to the nearest.

    Attributes:
        encoder: whose features are kept: `clip` (the maps' own encoder and its layers), `efficientnet-lite0`
            (ImageNet's, of the extra `features`), or `timm/NAME`, any backbone of timm.
        weights: local weights file of `timm/NAME` (.safetensors, or .pt, .pth, .bin of plain tensors); None
            takes what timm publishes, downloaded once.
        levels: feature maps by timm's number, from 0: stages of a ConvNet, blocks of a ViT. None takes the
            levels of strides 8 and 16, of a ViT the blocks at a half and three quarters of its depth.
        size: side in pixels that images have for the encoder.
        text_weight: t; 0 is the bank alone. None takes a quarter,
            the best on generated surfaces; of `clip` what `kead.few_weight` leaves.
        mode: `references` compares patches with those of each category's normal references; `mutual` needs
            none: with those of other images of the category, of which most patches are normal.
        sample: images of each category that judge all others where the mode is `mutual`.
        lowest: share of these images whose distances count, the lowest ones.
        views: what is kept of each reference: the image, with its `flips` (4 views), or with `turns` by
            quarters too (8).
        most: patches a category keeps of each level of its references; None keeps all, of tiles
            `maps.bank_limit`.
        coreset: which patches stay: the farthest from one another (`greedy`), or any (`random`).
        seed: seed of the sample and of the coreset.
    """

    text_weight: float | None = Field(default=None, ge=0, le=1)
    mode: Literal["references", "mutual"] = "references"
    sample: int = Field(default=64, ge=2, le=4096)
    lowest: float = Field(default=0.3, gt=0, le=1)
    views: Literal["image", "flips", "turns"] = "image"
    most: int | None = Field(default=None, ge=1)
    coreset: Literal["greedy", "random"] = "greedy"
    seed: int = Field(default=0, ge=0)

    @property
    def own(self) -> bool:
        """Whether the method makes its own bank, as it did before there was a choice."""
        return self == BankSection()

    def weight_of_text(self, few_weight: float) -> float:
        """The weight t of the text's map; the maps' own encoder keeps KeAD's.

        Args:
            few_weight: `kead.few_weight`.
        """
        if self.text_weight is not None:
            return self.text_weight
        return 1 - few_weight if self.encoder == CLIP else TEXT_WEIGHT

    def deciding(self, tiled: bool) -> dict[str, Any]:
        """The settings that decide the maps, JSON-able.

        Args:
            tiled: whether images are cut into tiles, of which a judging image keeps a coreset.
        """
        others = {"sample", "lowest"} if self.mode == "references" else {"views", "most"}
        if self.mode == "mutual" and not tiled:
            others.add("coreset")
        return self.model_dump(mode="json", exclude=others)
