"""Generated surfaces as backbone pretraining reads them, with KeAD's maps and the true masks."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from pipelines.encoder import SHIPPED, load_encoder, load_library
from pipelines.maps import KeAD, KeadSettings
from pipelines.surfaces import CATEGORIES, NORMAL, generate
from training.agbp import PretrainImages

SHOTS = 4
BATCH = 32


def generated_corpus(
    folder: Path, *, categories: int, per_category: int, size: int, seed: int = 0
) -> tuple[PretrainImages, dict[str, npt.NDArray[np.bool_]]]:
    """Surfaces of the first categories, half of them with a defect, in random order.

    Args:
        folder: gets the images.
        categories, per_category: numbers of categories and of images in each.
        size: the side of images and masks, pixels.
        seed: the production line's random seed.

    Returns:
        The images with the shipped encoder's few-shot maps, and the masks of the defective ones by id.
    """
    names = tuple(sorted(list(CATEGORIES)[:categories]))
    kead = KeAD(load_encoder(SHIPPED), KeadSettings(shots=SHOTS))
    library = load_library()
    rows: list[tuple[str, int, npt.NDArray[np.float16]]] = []
    masks = {}
    for number, category in enumerate(names):
        references = [
            generate(seed, 10_000 + n, size=size, category=category, defect=NORMAL) for n in range(SHOTS)
        ]
        state = kead.category_state(
            library.category(category), _inputs(kead, [sample.image for sample in references])
        )
        samples = [generate(seed, index, size=size, category=category) for index in range(per_category)]
        for start in range(0, per_category, BATCH):
            part = samples[start : start + BATCH]
            maps = kead(_inputs(kead, [sample.image for sample in part]), [state] * len(part)).maps
            for offset, (sample, grid_map) in enumerate(zip(part, maps.numpy(), strict=True)):
                image_id = f"{category}-{start + offset:04d}"
                cv2.imwrite(str(folder / f"{image_id}.png"), sample.image[..., ::-1])
                rows.append((image_id, number, grid_map.astype(np.float16)))
                if sample.mask.any():
                    masks[image_id] = sample.mask
    order = np.random.default_rng(seed).permutation(len(rows))
    ids, numbers, grids = zip(*(rows[index] for index in order), strict=True)
    uris = tuple(str(folder / f"{image_id}.png") for image_id in ids)
    return PretrainImages(ids, uris, np.array(numbers, np.int64), names, np.stack(grids)), masks


def _inputs(kead: KeAD, images: list[npt.NDArray[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(np.stack([kead.preprocess(image) for image in images]))
