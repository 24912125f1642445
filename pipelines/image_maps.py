"""Anomaly maps of a few images in this process, e.g. for a notebook: no Ray, no workspace."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cluster.config import validate
from cluster.errors import UserError, nearest
from pipelines.boxes import PseudoBox, PseudoBoxSettings, category_threshold
from pipelines.boxes.pseudo_boxes import pseudo_boxes
from pipelines.device import best_device
from pipelines.images import ImageSource, Levels, named_pixels, several
from pipelines.maps import (
    Floats,
    KeadSettings,
    MapsSection,
    build_method,
    category_states,
    check_sentences,
    images_at_once,
    map_batch,
    map_grids,
    tiled_image,
    tiled_maps,
    upsample,
)

MOST_REFERENCES = KeadSettings().shots  # the method uses 1 to 4


@dataclass(frozen=True)
class AnomalyMap:
    """The anomaly map of one image.

    Attributes:
        uri: the image's path or URI; `image 0`, `image 1`, … for images given as pixels.
        category: the object's category.
        width, height: the original's size in pixels.
        score: image score A, 0…3 for KeAD; higher is more anomalous.
        map: M on the patch grid, (rows, columns) float32, 0…2 for KeAD.
    """

    uri: str
    category: str
    width: int
    height: int
    score: float
    map: Floats

    def upsampled(self) -> Floats:
        """M at the image's own size, (height, width) float32: bilinear, as the boxes stage reads it."""
        return upsample(self.map, self.width, self.height)


class Mapper:
    """Holds the encoder and each category's embeddings, for any number of images.

    Args:
        references: normal images by category: paths, URIs, or (H, W, 3) uint8 RGB pixels; every category to
            map has a key. The first `shots` of each are used.
        maps: config as in a project, `MapsSection` or its keys as a mapping.
        device: torch device; None takes a GPU where there is one.
        levels: values that become black and white in files of more than 8 bits; None takes each one's own
            extremes. A corpus names those of its images in the manifest's column `levels`.

    Raises:
        UserError: unknown encoder, missing weights, a category without prompts or with fewer references than
            `shots`, a reference that can't be read, a sentence longer than the encoder reads, mutual scoring,
            which needs a corpus.
        ValueError: pixels of another shape or type.
    """

    def __init__(
        self,
        references: Mapping[str, Iterable[ImageSource]],
        maps: MapsSection | Mapping[str, Any] | None = None,
        *,
        device: str | None = None,
        levels: Levels | None = None,
    ) -> None:
        self.levels = levels
        self.section = maps if isinstance(maps, MapsSection) else validate(MapsSection, maps or {}, "maps")
        listed = {name: several(images, f'references of "{name}"') for name, images in references.items()}
        if self.section.bank.mode == "mutual":
            raise UserError(
                "maps.bank.mode=mutual scores the images of a corpus by one another: run agssp maps, or give "
                "references here, or maps.kead.shots=0."
            )
        check_sentences(self.section, listed)  # refused before the encoder is loaded
        self.method = build_method(self.section, best_device(device))
        self.states = category_states(self.method, self.section, listed, _same(levels, listed))

    def __call__(self, images: Iterable[ImageSource], category: str) -> list[AnomalyMap]:
        """Maps of images of one category, in their order; the numbers are the maps stage's own.

        Args:
            images: paths, URIs, or (H, W, 3) uint8 RGB pixels.
            category: one of the references' keys.

        Raises:
            UserError: no such category, one image in the place of a list.
            ImageError: an image that can't be read; the message names it.
            ValueError: pixels of another shape or type.
        """
        if category not in self.states:
            raise UserError(f'There are no references for "{category}"; {nearest(category, self.states)}')
        listed = several(images, "images")
        at_once = images_at_once(self.section, self.method)
        if self.section.tiles != "off":
            return [self._tiled(image, place, category, at_once) for place, image in enumerate(listed)]
        maps: list[AnomalyMap] = []
        for start in range(0, len(listed), at_once):
            chunk = range(start, min(start + at_once, len(listed)))
            rows = self._rows(
                [named_pixels(listed[place], f"image {place}", self.levels) for place in chunk], category
            )
            done = map_batch(self.method, self.states, rows)
            maps += [
                AnomalyMap(row["uri"], category, row["width"], row["height"], row["score"], anomaly_map)
                for row, anomaly_map in zip(
                    done.drop_columns(["map"]).to_pylist(), map_grids(done), strict=True
                )
            ]
        return maps

    def _tiled(self, image: ImageSource, place: int, category: str, at_once: int) -> AnomalyMap:
        name, pixels = named_pixels(image, f"image {place}", self.levels)
        tiled = tiled_image(self.method, pixels, self.states[category], self.section)
        (made,) = tiled_maps(self.method, [tiled], at_once, self.section.top_tiles)
        stored = made.map.astype(np.float16).astype(np.float32)  # as the table has it
        return AnomalyMap(name, category, pixels.shape[1], pixels.shape[0], made.score, stored)

    def _rows(self, images: list[tuple[str, npt.NDArray[np.uint8]]], category: str) -> pa.Table:
        """Images as the maps stage has them once they are decoded."""
        stack = np.stack([self.method.preprocess(pixels) for _, pixels in images])
        return pa.table(
            {
                "image_id": [uri for uri, _ in images],
                "uri": [uri for uri, _ in images],
                "category": [category] * len(images),
                "width": pa.array([pixels.shape[1] for _, pixels in images], pa.int32()),
                "height": pa.array([pixels.shape[0] for _, pixels in images], pa.int32()),
                "pixels": pa.FixedShapeTensorArray.from_numpy_ndarray(stack),
            }
        )


def _same(levels: Levels | None, references: Mapping[str, Sequence[ImageSource]]) -> dict[str, Levels]:
    """The same levels for every file."""
    if levels is None:
        return {}
    listed = [image for images in references.values() for image in images]
    return {str(image): levels for image in listed if isinstance(image, str | Path)}


def anomaly_maps(
    images: Iterable[ImageSource],
    category: str,
    *,
    references: Iterable[ImageSource] = (),
    maps: MapsSection | Mapping[str, Any] | None = None,
    device: str | None = None,
    levels: Levels | None = None,
) -> list[AnomalyMap]:
    """Anomaly maps of images of one category, in their order; for many calls keep a `Mapper`.

    Args:
        images: paths, URIs, or (H, W, 3) uint8 RGB pixels.
        category: a key of the prompt library or of `maps["categories"]`.
        references: normal images: paths, URIs, or pixels as in `images`.
        maps: config as in a project, `MapsSection` or its keys as a mapping. Without it, KeAD with all
            `references` (four at most), zero-shot where there is none.
        device: torch device; None takes a GPU where there is one.
        levels: see `Mapper`.

    Raises:
        UserError: see `Mapper`; one image in the place of a list.
        ImageError: an image that can't be read; the message names it.
        ValueError: pixels of another shape or type.
    """
    images, normal = several(images, "images"), several(references, "references")
    if maps is None:
        maps = {"kead": {"shots": min(len(normal), MOST_REFERENCES)}}
    return Mapper({category: normal}, maps, device=device, levels=levels)(images, category)


@overload
def boxes_of(
    maps: AnomalyMap, boxes: PseudoBoxSettings | Mapping[str, Any] | None = None
) -> list[PseudoBox]: ...


@overload
def boxes_of(
    maps: Iterable[AnomalyMap], boxes: PseudoBoxSettings | Mapping[str, Any] | None = None
) -> list[list[PseudoBox]]: ...


def boxes_of(
    maps: AnomalyMap | Iterable[AnomalyMap], boxes: PseudoBoxSettings | Mapping[str, Any] | None = None
) -> list[PseudoBox] | list[list[PseudoBox]]:
    """Pseudo-boxes of maps, in pixels of each image, best first; none for an image that looks normal.

    Threshold and δ of a category are statistics of all its maps. From three images they say little; from all
    images of a line they equal the boxes stage's.

    Args:
        maps: maps of any categories; or one map.
        boxes: config as in a project, `PseudoBoxSettings` or its keys as a mapping.

    Returns:
        A list for each map, in their order; the boxes themselves of one map.

    Raises:
        UserError: a setting that is at fault.
    """
    if isinstance(maps, AnomalyMap):
        return boxes_of([maps], boxes)[0]
    maps = list(maps)
    settings = (
        boxes if isinstance(boxes, PseudoBoxSettings) else validate(PseudoBoxSettings, boxes or {}, "boxes")
    )
    thresholds = {}
    for category in {one.category for one in maps}:
        category_maps = [one for one in maps if one.category == category]
        maxima = [float(one.map.max()) for one in category_maps]
        thresholds[category] = category_threshold(
            category, maxima, [one.score for one in category_maps], settings
        )
    return [
        pseudo_boxes(
            one.map,
            one.score,
            width=one.width,
            height=one.height,
            threshold=thresholds[one.category],
            settings=settings,
        )
        for one in maps
    ]
