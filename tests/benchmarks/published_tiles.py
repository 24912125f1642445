"""A small tree of magnetic tiles as they are published."""

from pathlib import Path

import cv2
import numpy as np


def write_tiles(root: Path, parts: int = 12) -> Path:
    """Parts at several exposures, half of them with a defect."""
    for part in range(parts):
        rng = np.random.default_rng(part)
        grey = cv2.resize(
            rng.uniform(60, 190, (9, 9)).astype(np.float32), (96, 96), interpolation=cv2.INTER_CUBIC
        )
        mask = np.zeros((96, 96), np.uint8)
        defective = part % 2 == 0
        if defective:
            mask[20:40, 30:60] = 255
            grey[mask > 0] *= 0.4
        folder = root / ("MT_Crack" if defective else "MT_Free") / "Imgs"
        folder.mkdir(parents=True, exist_ok=True)
        for exposure in (0.8, 0.9, 1.0):
            stem = folder / f"part{part}_{exposure * 10:.0f}"
            cv2.imwrite(f"{stem}.jpg", np.clip(grey * exposure, 0, 255).astype(np.uint8))
            cv2.imwrite(f"{stem}.png", mask)
    return root
