"""AUROC of surface-clip's maps: held-out generated surfaces, and real magnetic tiles where at hand."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from benchmarks.registry import SHARED_DATA, Row, at_least
from pipelines.encoder import SHIPPED, load_encoder, load_library
from pipelines.maps import KeAD, KeadSettings, image_auroc, pixel_auroc
from pipelines.surfaces import CATEGORIES, NORMAL, generate

HELD_OUT_SEEDS = (77, 78, 79, 80, 81)  # a production line of each category; training seeds start at 10⁹
PER_CATEGORY = 40
SHOTS = 4
BATCH = 32
DEFECT_FOLDERS = ("MT_Blowhole", "MT_Break", "MT_Crack", "MT_Fray", "MT_Uneven")


@dataclass(frozen=True)
class Labelled:
    """Preprocessed images of one category with masks; all False is normal."""

    category: str
    references: torch.Tensor
    images: torch.Tensor
    masks: list[npt.NDArray[np.bool_]]


def run() -> Iterator[Row]:
    """Zero-shot and 4-shot AUROC; the encoder is `$AGSSP_BENCH_ENCODER` (a folder) or the shipped one."""
    encoder = load_encoder(os.environ.get("AGSSP_BENCH_ENCODER", SHIPPED))
    zero, few = KeAD(encoder, KeadSettings(shots=0)), KeAD(encoder, KeadSettings(shots=SHOTS))
    lines = [[generated(few, category, seed) for category in CATEGORIES] for seed in HELD_OUT_SEEDS]
    for kead, shots in ((zero, "zero-shot"), (few, f"{SHOTS}-shot")):
        images, pixels = zip(*(quality(kead, sets) for sets in lines), strict=True)
        goals = (0.97, 0.93) if kead is few else (None, None)
        for what, values, goal in (("image", images, goals[0]), ("pixel", pixels, goals[1])):
            name = f"generated surfaces, {shots}: {what} AUROC"
            yield _row(f"{name}, mean of {len(values)} seeds", sum(values) / len(values), goal)
            yield Row(f"{name}, worst seed", min(values))
    folder = SHARED_DATA / "magnetic_tile"
    if not folder.is_dir():
        yield Row("magnetic tiles: AUROC", None, f"skipped, {folder} is absent")
        return
    tiles = [magnetic_tiles(few, folder)]
    for kead, shots in ((zero, "zero-shot"), (few, f"{SHOTS}-shot")):
        image, pixel = quality(kead, tiles)
        goals = (0.70, 0.70) if kead is few else (None, None)
        yield _row(f"magnetic tiles, {shots}: image AUROC", image, goals[0])
        yield _row(f"magnetic tiles, {shots}: pixel AUROC", pixel, goals[1])


def quality(kead: KeAD, sets: list[Labelled]) -> tuple[float, float]:
    """Image and pixel AUROC over all sets together."""
    library = load_library()
    scores: list[float] = []
    maps: list[npt.NDArray[np.floating]] = []
    masks: list[npt.NDArray[np.bool_]] = []
    for part in sets:
        state = kead.category_state(library.category(part.category), part.references)
        for start in range(0, len(part.images), BATCH):
            images = part.images[start : start + BATCH]
            output = kead(images, [state] * len(images))
            scores += output.score.tolist()
            maps += list(output.maps.numpy())
        masks += part.masks
    return image_auroc(scores, [bool(mask.any()) for mask in masks]), pixel_auroc(maps, masks)


def generated(kead: KeAD, category: str, seed: int) -> Labelled:
    """Half normal, half defective surfaces of a seed that training never saw."""
    size = kead.encoder.image_size
    references = [
        generate(seed, 10_000 + index, size=size, category=category, defect=NORMAL) for index in range(SHOTS)
    ]
    samples = [generate(seed, index, size=size, category=category) for index in range(PER_CATEGORY)]
    return Labelled(
        category,
        _stack(kead, [sample.image for sample in references]),
        _stack(kead, [sample.image for sample in samples]),
        [sample.mask for sample in samples],
    )


def magnetic_tiles(kead: KeAD, folder: Path) -> Labelled:
    """All tiles; 4 of MT_Free, evenly spaced, are the references and not judged. Defective above 127.

    Four tiles of MT_Uneven have empty masks; they are left out, as neither normal nor localised.
    """
    free = sorted((folder / "MT_Free" / "Imgs").glob("*.jpg"))
    references = free[:: len(free) // SHOTS][:SHOTS]
    normal = [path for path in free if path not in references]
    images, masks = [], []
    for path in normal:
        image = _read(path)
        images.append(kead.preprocess(image))
        masks.append(np.zeros(image.shape[:2], np.bool_))
    for name in DEFECT_FOLDERS:
        for path in sorted((folder / name / "Imgs").glob("*.jpg")):
            mask = np.asarray(Image.open(path.with_suffix(".png")).convert("L")) > 127
            if mask.any():
                images.append(kead.preprocess(_read(path)))
                masks.append(mask)
    return Labelled(
        "magnetic_tile", _stack(kead, [_read(path) for path in references]), _tensor(images), masks
    )


def _row(what: str, value: float, goal: float | None) -> Row:
    return Row(what, value) if goal is None else at_least(what, value, goal)


def _read(path: Path) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def _stack(kead: KeAD, images: list[npt.NDArray[np.uint8]]) -> torch.Tensor:
    return _tensor([kead.preprocess(image) for image in images])


def _tensor(images: list[npt.NDArray[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images))
