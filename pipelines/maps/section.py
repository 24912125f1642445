"""The config of the anomaly maps: method, encoder, pool."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from cluster.config import Section
from cluster.config_paths import WRITTEN, Location, location_if
from pipelines.banks import CLIP, BankSection
from pipelines.corpus import ReferenceNeed
from pipelines.encoder import CategoryPrompts, PromptLibrary, load_library
from pipelines.heads import (
    HEAD_METHODS,
    AaClipSettings,
    AnomalyClipSettings,
    AprilGanSettings,
    HeadMethod,
    PaintedSettings,
    Undescribed,
)
from pipelines.maps.tile_section import TileSettings

Precision = Literal["fp32", "bf16", "fp16"]
NO_TEXT = ("painted", "anomalyclip")  # methods that read no sentence of a category


class KeadSettings(Section):
    """KeAD's options; the defaults are the paper's."""

    defect_features: bool = Field(True, description="describe each defect type in the prompts (DF)")
    vv: bool = Field(True, description="patch embeddings by V-V attention")
    residual: bool = Field(True, description="accumulate V-V attention over the blocks")
    released_layers: bool = Field(
        False, description="the released code's layers: with residual the last one, repeated"
    )
    redundant_text: bool = Field(False, description="subtract the embedding of the empty prompt")
    temperature: float = Field(0.07, gt=0, description="τ of eq. 1")
    score: Literal["paper", "released"] = Field("paper", description="s(c) + max M, or half of it")
    layers: tuple[int, ...] | None = Field(None, description="blocks read, from 1; by depth when left out")
    shots: int = Field(4, ge=0, description="normal references per category; 0 is zero-shot")
    few_weight: float = Field(0.5, ge=0, le=1, description="w of M = 2((1 − w)·M_zero + w·M_few)")

    @property
    def describes(self) -> bool:
        """Whether the sentences describe each defect type."""
        return self.defect_features

    @property
    def subtracts(self) -> bool:
        """Whether the templates around nothing are subtracted."""
        return self.redundant_text

    @property
    def revision(self) -> int:
        """The revision of maps made by these settings; see `ensure`."""
        # 2: without the residual, released_layers leaves each layer its own map.
        return 2 if self.vv and self.released_layers and not self.residual else 1


def _is_model_path(name: str, path: Path) -> bool:
    return path.suffix == ".json" or (name != "surface-clip" and os.path.isdir(path))  # noqa: PTH112 - Path's raises


def _is_weights_path(name: str, path: Path) -> bool:
    return path.suffix in (".safetensors", ".pt", ".pth", ".bin")  # no pretrained tag ends so


Pool = Annotated[int, Field(ge=1, le=4096)]


class EncoderSection(Section):
    """The vision-language encoder.

    Attributes:
        model: `surface-clip` (shipped), one of the paper's three (`base`, `large`, `huge`), an open_clip
            name, an open_clip model JSON, or a model folder.
        weights: pretrained tag (downloaded; the paper's is implied by its names) or a local weights file.
    """

    model: Annotated[str, location_if(_is_model_path), WRITTEN] = "surface-clip"
    weights: Annotated[str, location_if(_is_weights_path), WRITTEN] | None = None


class WinclipSettings(Undescribed, Section):
    """WinCLIP's options; the defaults are its paper's."""

    temperature: float = Field(0.07, gt=0, description="τ of the class score")
    shots: int = Field(4, ge=0, description="normal references per category; 0 is zero-shot")


MethodSettings = (
    KeadSettings | WinclipSettings | PaintedSettings | AprilGanSettings | AnomalyClipSettings | AaClipSettings
)


class MapsSection(TileSettings):
    """How anomaly maps are made.

    Attributes:
        encoder: the encoder's config.
        method: the method that makes the maps: `kead` or `winclip`, which are not trained; `painted`, learnt
            from defects painted onto the images themselves; `aprilgan`, `anomalyclip` or `aaclip`, trained
            on labelled images of other surfaces.
        kead, winclip, painted, aprilgan, anomalyclip, aaclip: each method's options; only the chosen
            method's count.
        bank: whose features patches are compared with, and of which images; see `BankSection`.
        prompts: YAML files laid over the shipped prompt library.
        categories: prompts by category; they win over the files.
        precision: number format of the image tower's products: `fp32`, or autocast to `bf16` (GPUs, and CPUs
            that have it) or `fp16` (GPUs); KeAD's maps stay within 0.01 of fp32's, WinCLIP's within 0.02.
        compile: whether to torch.compile the image tower: each actor starts a minute or more later, then runs
            faster.
        runtime: what runs the image tower: `torch`; `onnx` (onnxruntime: KeAD on CPUs); `auto`, which takes
            onnxruntime for towers of 20 million weights or more on a CPU. It is proven at the start, on a
            batch, to 1e-4 of PyTorch's embeddings; where it is not taken `auto` says so in a line.
        actors: KeAD actors, or `[least, most]` for a pool that grows with the work; None: one per GPU, or
            one on the CPU.
        gpus_per_actor: GPUs of each actor, fractions too; None: one where there is one.
        batch_size: images in a forward pass; `auto`: as many as fit, see `images_at_once`.
        decode_workers: most tasks that read and decode images at once; None: as many as Ray has CPUs for.
        max_bad_share: share of unreadable images above which the stage fails.
        store_parts: whether to keep M_zero and M_few of KeAD's few-shot maps too, so that `tune thresholds`
            can try other weights of the two (`kead.few_weight`); three times the space.
    """

    encoder: EncoderSection = EncoderSection()
    method: Literal["kead", "winclip", "painted", "aprilgan", "anomalyclip", "aaclip"] = "kead"
    kead: KeadSettings = KeadSettings()
    winclip: WinclipSettings = WinclipSettings()
    painted: PaintedSettings = PaintedSettings()
    aprilgan: AprilGanSettings = AprilGanSettings()
    anomalyclip: AnomalyClipSettings = AnomalyClipSettings()
    aaclip: AaClipSettings = AaClipSettings()
    bank: BankSection = BankSection()
    prompts: tuple[Location, ...] = ()
    categories: dict[str, CategoryPrompts] = Field(default={})
    precision: Precision = "fp32"
    compile: bool = False
    runtime: Literal["auto", "torch", "onnx"] = "auto"
    actors: Pool | tuple[Pool, Pool] | None = None
    gpus_per_actor: float | None = Field(default=None, ge=0, le=8)
    batch_size: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = "auto"
    decode_workers: Pool | None = None
    max_bad_share: float = Field(default=0.05, ge=0, le=1)
    store_parts: bool = False

    @model_validator(mode="after")
    def _has_parts(self) -> "MapsSection":
        if self.store_parts and not (self.method == "kead" and self.kead.shots):
            raise ValueError("store_parts needs method=kead and kead.shots above 0: other maps have no parts")
        if self.store_parts and self.tiles != "off":
            raise ValueError(
                "store_parts needs tiles=off: a tiled image's score can't be told from its parts"
            )
        return self

    @model_validator(mode="after")
    def _has_runtime(self) -> "MapsSection":
        if self.runtime == "onnx":
            if self.method != "kead":
                raise ValueError("runtime=onnx is of method=kead; winclip runs on PyTorch alone")
            if self.precision != "fp32" or self.compile:
                raise ValueError("runtime=onnx needs precision=fp32 and compile=false")
        return self

    @model_validator(mode="after")
    def _has_bank(self) -> "MapsSection":
        if self.bank.own:
            return self
        if self.method != "kead":
            raise ValueError(f"bank is of method=kead; {self.method} does not read it")
        if self.store_parts:
            raise ValueError("store_parts is of KeAD's own bank; leave bank out, or store_parts")
        if self.bank.mode == "references" and not self.kead.shots:
            raise ValueError("bank.mode=references needs kead.shots above 0; without references take mutual")
        if self.bank.encoder != CLIP and self.kead.few_weight != KeadSettings().few_weight:
            raise ValueError("kead.few_weight is of KeAD's own bank; with another give bank.text_weight")
        return self

    @model_validator(mode="after")
    def _has_head(self) -> "MapsSection":
        if self.trained and self.tiles != "off":
            raise ValueError(f"{self.method} needs tiles=off: its head is trained on whole images")
        return self

    @field_validator("actors")
    @classmethod
    def _rising(cls, actors: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
        if isinstance(actors, tuple) and actors[0] > actors[1]:
            raise ValueError(f"the least of a pool, {actors[0]}, is above the most, {actors[1]}")
        return actors

    @property
    def chosen(self) -> MethodSettings:
        """The chosen method's options."""
        options: dict[str, MethodSettings] = {
            "kead": self.kead,
            "winclip": self.winclip,
            "painted": self.painted,
            "aprilgan": self.aprilgan,
            "anomalyclip": self.anomalyclip,
            "aaclip": self.aaclip,
        }
        return options[self.method]

    @property
    def head_method(self) -> HeadMethod | None:
        """The chosen method, where it has a trained head."""
        return next((method for method in HEAD_METHODS if method == self.method), None)

    @property
    def trained(self) -> bool:
        """Whether the chosen method has a trained head."""
        return self.head_method is not None

    @property
    def head(self) -> str | None:
        """The file of the chosen method's head, where one is named."""
        chosen = self.chosen
        return None if isinstance(chosen, KeadSettings | WinclipSettings) else chosen.head

    def with_head(self, file: str) -> "MapsSection":
        """This section, whose chosen method reads the head of that file."""
        return self.model_copy(update={self.method: self.chosen.model_copy(update={"head": file})})

    @property
    def temperature(self) -> float:
        """τ of the chosen method; 1 where it compares with no text."""
        chosen = self.chosen
        return 1.0 if isinstance(chosen, PaintedSettings) else chosen.temperature

    @property
    def reads_text(self) -> bool:
        """Whether the chosen method reads the sentences of a category."""
        return self.method not in NO_TEXT

    @property
    def shots(self) -> int:
        """Normal references that the chosen method needs of every category."""
        return 0 if self.bank.mode == "mutual" else self.chosen.shots

    @property
    def shots_setting(self) -> str:
        """The config key of `shots`."""
        return f"maps.{self.method}.shots"

    @property
    def reference_need(self) -> ReferenceNeed | None:
        """The references that the chosen method needs; None where it needs none."""
        return ReferenceNeed(self.shots, self.shots_setting) if self.shots else None

    @property
    def revision(self) -> int:
        """The revision of maps made by these settings; see `ensure`."""
        if self.method != "kead":
            return 1
        # 2 more: levels that a bank's encoder chooses itself are those of strides 8 and 16, as documented.
        chooses = self.bank.encoder != CLIP and self.bank.levels is None
        return self.kead.revision + (2 if chooses else 0)

    @property
    def deciding(self) -> dict[str, Any]:
        """The settings that decide the maps: encoder, method, its options and precision, JSON-able."""
        deciding = {"encoder", "method", self.method}
        if self.precision != "fp32":  # fp32 is left out: maps made before the choice existed stay valid
            deciding.add("precision")
        if self.store_parts:
            deciding.add("store_parts")
        deciding |= self.deciding_tiles  # none where tiles are off: maps made before they existed stay valid
        document = self.model_dump(mode="json", include=deciding)
        if self.trained:
            document[self.method].pop("head")  # its content counts, not its path
        # KeAD's own bank is left out: maps made before there was another stay valid.
        return document if self.bank.own else {**document, "bank": self.bank.deciding(self.tiles != "off")}

    def library(self) -> PromptLibrary:
        """Shipped prompts, then the files, then those given in the config.

        Raises:
            UserError: a file can't be used, two names of one category.
        """
        return load_library(*self.prompts).overlaid(self.categories, "maps.categories")

    def prompts_of(self, categories: Iterable[str]) -> dict[str, CategoryPrompts]:
        """The prompts of each category.

        Raises:
            UserError: see `library`; a category has none.
        """
        library = self.library()
        return {name: library.category(name) for name in sorted(categories)}
