"""Table 4 measured: WinCLIP and KeAD ± DF ± V-V, zero- and few-shot, on labelled images. No Ray here."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cluster.errors import UserError
from cluster.progress import progress
from pipelines.encoder import LoadedEncoder
from pipelines.maps import (
    CategoryState,
    MapMethod,
    MapsSection,
    Masks,
    image_auroc,
    images_at_once,
    method_over,
    pixel_figures,
)
from training.pictures import read_pixels
from tuning.table4.grid import ROWS as ROWS, MethodRow as MethodRow
from tuning.table4.labelled_set import LabelledImage, LabelledSet


@dataclass(frozen=True)
class Measured:
    """One row's figures, or why there are none.

    Attributes:
        shots: normal references used per category.
        image_auroc, pixel_auroc, aupro: 0…1 over all images together; None where the labels don't allow it.
        seconds_per_image: time of encoder and maps, without decoding and metrics.
        not_run: the reason, where the row could not be run; the figures are None then.
    """

    row: MethodRow
    shots: int
    image_auroc: float | None = None
    pixel_auroc: float | None = None
    aupro: float | None = None
    seconds_per_image: float | None = None
    not_run: str | None = None

    def document(self) -> dict[str, Any]:
        """The figures as they are stored; `read` is the inverse."""
        return asdict(self)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "Measured":
        """The figures of a stored document."""
        return cls(**{**document, "row": MethodRow(**document["row"])})


def measure(row: MethodRow, base: MapsSection, encoder: LoadedEncoder, labelled: LabelledSet) -> Measured:
    """Run one row over all labelled images.

    Args:
        row: row to run.
        base: encoder, prompts, batch size and the options that rows don't set.
        encoder: loaded encoder on its device.
        labelled: images to judge, and references.

    Raises:
        UserError: an image can't be read any more; a category without prompts.
    """
    section = row.section(base)
    method = _method(row, section, encoder, labelled)
    if isinstance(method, str):
        return Measured(row, section.shots, not_run=method)
    seen = sum(image.image_id in method.trained_on for image in labelled.images)
    if seen:
        told = f"its head was trained on the labels of {seen} of these images; train it on others"
        return Measured(row, section.shots, not_run=told)
    states = _states(method, section, labelled)
    scores: list[float] = []
    maps: list[npt.NDArray[np.float32]] = []
    seconds = 0.0
    together = images_at_once(section, method)
    with progress(f"table4: {row.key}", len(labelled.images)) as bar:
        for start in range(0, len(labelled.images), together):
            batch = labelled.images[start : start + together]
            pixels = _preprocessed(method, [image.pixels() for image in batch])
            if start == 0:  # the first call pays for the device's start
                method(pixels[:1], [states[batch[0].category]])
            began = time.perf_counter()
            output = method(pixels, [states[image.category] for image in batch])  # on the CPU when it returns
            seconds += time.perf_counter() - began
            scores += output.score.double().tolist()
            maps += list(output.maps.numpy())
            bar.advance(len(batch))
    image, pixel, region = judge(labelled, scores, maps)
    return Measured(row, section.shots, image, pixel, region, seconds / len(labelled.images))


def maps_of(
    row: MethodRow,
    base: MapsSection,
    encoder: LoadedEncoder,
    labelled: LabelledSet,
    images: Sequence[LabelledImage],
) -> list[npt.NDArray[np.float32]] | None:
    """Maps of some of the images on the patch grid; None where the row can't be run.

    Raises:
        UserError: see `measure`.
    """
    section = row.section(base)
    method = _method(row, section, encoder, labelled)
    if isinstance(method, str):
        return None
    states = _states(method, section, labelled)
    together, maps = images_at_once(section, method), list[npt.NDArray[np.float32]]()
    for start in range(0, len(images), together):
        batch = images[start : start + together]
        pixels = _preprocessed(method, [image.pixels() for image in batch])
        maps += list(method(pixels, [states[image.category] for image in batch]).maps.numpy())
    return maps


def _method(
    row: MethodRow, section: MapsSection, encoder: LoadedEncoder, labelled: LabelledSet
) -> MapMethod | str:
    """The row's method, or why it can't be run."""
    missing = _missing_references(section, labelled) if row.mode == "few" else None
    if missing:
        return missing
    try:
        return method_over(encoder, section)
    except UserError as error:  # e.g. fewer patches than WinCLIP's window, or no trained head
        return str(error)


def judge(
    labelled: LabelledSet, scores: Sequence[float], maps: Sequence[npt.NDArray[np.floating]]
) -> tuple[float | None, float | None, float | None]:
    """Image AUROC, pixel AUROC and AUPRO over all images; None with one class (of pixels: all defective) or
    unknown places."""
    defective = [image.defective for image in labelled.images]
    if not any(defective):
        return None, None, None
    image = None if all(defective) else image_auroc(scores, defective)
    if not labelled.has_places:
        return image, None, None
    masks = Masks(labelled.images)
    pixels = pixel_figures(maps, masks)
    return image, pixels["pixel_auroc"], pixels["aupro"]


def _missing_references(section: MapsSection, labelled: LabelledSet) -> str | None:
    if not section.shots:
        return f"{section.shots_setting} is 0"
    for category in labelled.categories:
        have = len(labelled.references[category])
        if have < section.shots:
            return f'category "{category}" has {have} normal references, {section.shots} are needed'
    return None


def _states(method: MapMethod, section: MapsSection, labelled: LabelledSet) -> dict[str, CategoryState]:
    library = section.library()
    states = {}
    for category in labelled.categories:
        uris = labelled.references[category][: section.shots]
        references = (
            _preprocessed(method, [read_pixels(uri, labelled.levels.get(uri)) for uri in uris])
            if uris
            else None
        )
        states[category] = method.category_state(library.category(category), references)
    return states


def _preprocessed(method: MapMethod, images: list[npt.NDArray[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(np.stack([method.preprocess(image) for image in images]))
