"""The maps table: settings, rows and the per-batch work around KeAD or WinCLIP. No Ray here."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pydantic import Field, field_validator, model_validator

from cluster.config import Section
from pipelines.encoder import LoadedEncoder, load_encoder
from pipelines.images import ImageError, read_image
from pipelines.kead import KeAD, KeadSettings
from pipelines.map_method import CategoryState, MapMethod, Precision, preprocess
from pipelines.prompts import CategoryPrompts, PromptLibrary, load_library
from pipelines.tables import IDENTITY, SIZE
from pipelines.winclip import WinCLIP, WinclipSettings

Pool = Annotated[int, Field(ge=1, le=4096)]


class EncoderSection(Section):
    """The vision-language encoder.

    Attributes:
        model: `surface-clip` (shipped), one of the paper's three (`base`, `large`, `huge`), an open_clip
            name, an open_clip model JSON, or a model folder.
        weights: pretrained tag (downloaded; the paper's is implied by its names) or a local weights file.
    """

    model: str = "surface-clip"
    weights: str | None = None


class MapsSection(Section):
    """How anomaly maps are made.

    Attributes:
        encoder: which encoder.
        method: which of the two below makes the maps.
        kead, winclip: each method's options; only the chosen one's decide anything.
        prompts: YAML files laid over the shipped prompt library.
        categories: prompts given right here, by category; they win over the files.
        precision: of the image tower's products: `fp32`, or autocast to `bf16` (GPUs, and CPUs that have it)
            or `fp16` (GPUs); KeAD's maps stay within 0.01 of fp32's, WinCLIP's within 0.02.
        compile: torch.compile the image tower: a minute or more at the start of each actor, faster after.
        actors: KeAD actors, or `[least, most]` for a pool that grows with the work; None: one per GPU, or
            one on the CPU.
        gpus_per_actor: GPUs each holds, fractions too; None: one where there is one.
        batch_size: images a forward pass gets; `auto`: as many as fit, see `map_resources`.
        decode_workers: at most so many tasks read and decode images at once; None: as many as Ray has CPUs
            for.
        max_bad_share: share of unreadable images above which the stage fails.
        store_parts: keep M_zero and M_few of KeAD's few-shot maps too, so that `tune thresholds` can try
            other weights of the two (`kead.few_weight`); three times the space.
    """

    encoder: EncoderSection = EncoderSection()
    method: Literal["kead", "winclip"] = "kead"
    kead: KeadSettings = KeadSettings()
    winclip: WinclipSettings = WinclipSettings()
    prompts: tuple[str, ...] = ()
    categories: dict[str, CategoryPrompts] = Field(default={})
    precision: Precision = "fp32"
    compile: bool = False
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
        return self

    @field_validator("actors")
    @classmethod
    def _rising(cls, actors: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
        if isinstance(actors, tuple) and actors[0] > actors[1]:
            raise ValueError(f"the least of a pool, {actors[0]}, is above the most, {actors[1]}")
        return actors

    @property
    def shots(self) -> int:
        """Normal references that the chosen method needs of every category."""
        return self.kead.shots if self.method == "kead" else self.winclip.shots

    @property
    def shots_setting(self) -> str:
        """The config key of `shots`."""
        return f"maps.{self.method}.shots"

    @property
    def deciding(self) -> dict[str, Any]:
        """What of this section decides the maps: encoder, method, its options and precision, JSON-able."""
        deciding = {"encoder", "method", self.method}
        if self.precision != "fp32":  # left out, so that maps made before it could be chosen stay valid
            deciding.add("precision")
        if self.store_parts:
            deciding.add("store_parts")
        return self.model_dump(mode="json", include=deciding)

    def build(self, device: str) -> MapMethod:
        """The chosen method over the encoder, loaded onto a torch device.

        Raises:
            UserError: see `load_encoder`, `KeAD` and `WinCLIP`.
        """
        return self.over(load_encoder(self.encoder.model, self.encoder.weights, device=device))

    def over(self, encoder: LoadedEncoder) -> MapMethod:
        """The chosen method over a loaded encoder.

        Raises:
            UserError: see `KeAD` and `WinCLIP`.
        """
        method: MapMethod
        if self.method == "kead":
            method = KeAD(encoder, self.kead, self.precision)
        else:
            method = WinCLIP(encoder, self.winclip, self.precision)
        if self.compile:
            method.compile()
        return method

    def library(self) -> PromptLibrary:
        """Shipped prompts, then the files, then those given in the config.

        Raises:
            UserError: a file can't be used, two names of one category.
        """
        return load_library(*self.prompts).overlaid(self.categories, "maps.categories")


PARTS = ("map_zero", "map_few")


def map_schema(grid: int, parts: bool = False) -> pa.Schema:
    """Schema of the maps table; `map` is M (float16) on the patch grid, readable with plain pyarrow.

    Args:
        grid: patches along one side.
        parts: with the columns `PARTS` too, M_zero and M_few, like `map`.
    """
    tensor = pa.fixed_shape_tensor(pa.float16(), (grid, grid))
    return pa.schema(
        [
            *IDENTITY,
            *SIZE,
            ("score", pa.float64()),
            ("map_max", pa.float64()),
            ("map", tensor),
            *((name, tensor) for name in PARTS if parts),
        ]
    )


def decode_rows(rows: pa.Table, size: int) -> pa.Table:
    """Read and resize each row's image; rows whose image can't be read are left out.

    Args:
        rows: with `uri`.
        size: side of the encoder's input in pixels.

    Returns:
        The readable rows with `pixels`, uint8 (3, size, size).
    """
    good: list[int] = []
    images: list[npt.NDArray[np.uint8]] = []
    for index, uri in enumerate(rows.column("uri").to_pylist()):
        try:
            images.append(preprocess(read_image(uri), size))
        except ImageError:
            continue  # found missing, and its reason asked for again, when the stage ends
        good.append(index)
    stack = np.stack(images) if images else np.zeros((0, 3, size, size), np.uint8)
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(stack) if images else _empty_pixels(size)
    return rows.take(pa.array(good, pa.int64())).append_column("pixels", column)


def _empty_pixels(size: int) -> pa.Array:
    kind = pa.fixed_shape_tensor(pa.uint8(), (3, size, size))
    return pa.ExtensionArray.from_storage(kind, pa.array([], kind.storage_type))


def map_batch(
    method: MapMethod, states: Mapping[str, CategoryState], rows: pa.Table, parts: bool = False
) -> pa.Table:
    """Anomaly maps of decoded rows, in the schema of the maps table; `parts` as in `map_schema`."""
    schema = map_schema(method.grid, parts)
    if rows.num_rows == 0:
        return schema.empty_table()
    pixels = torch.from_numpy(rows.column("pixels").combine_chunks().to_numpy_ndarray().copy())
    out = method(pixels, [states[name] for name in rows.column("category").to_pylist()])
    maps = out.maps.numpy().astype(np.float16)
    columns: dict[str, Any] = {name: rows.column(name) for name, _ in [*IDENTITY, *SIZE]}
    columns["score"] = pa.array(out.score.double().numpy())
    columns["map_max"] = pa.array(maps.reshape(len(maps), -1).max(1).astype(np.float64))
    columns["map"] = pa.FixedShapeTensorArray.from_numpy_ndarray(maps)
    if parts and out.parts is not None:
        for place, name in enumerate(PARTS):
            part = np.ascontiguousarray(out.parts[:, place].numpy().astype(np.float16))
            columns[name] = pa.FixedShapeTensorArray.from_numpy_ndarray(part)
    return pa.table([columns[name] for name in schema.names], schema=schema)


def category_states(
    method: MapMethod, section: MapsSection, references: Mapping[str, list[str]]
) -> dict[str, CategoryState]:
    """Text embeddings and memory banks of every category, computed once.

    Args:
        method: `section.build(…)`.
        section: the stage's config.
        references: URIs of normal images by category (every category has a key).
    """
    library = section.library()
    states = {}
    for category, uris in references.items():
        images = [torch.from_numpy(method.preprocess(read_image(uri))) for uri in uris[: section.shots]]
        states[category] = method.category_state(
            library.category(category), torch.stack(images) if images else None
        )
    return states
