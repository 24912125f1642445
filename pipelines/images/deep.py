"""Images of more than 8 bits a channel: their values as stored, and how these become 8 bits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.images.limits import ImageError

Levels = tuple[float, float]  # black and white
STRIP_PIXELS = 1 << 20  # scaled at once


@dataclass(frozen=True)
class Deep:
    """An image of more than 8 bits (or signed, or float), before it is scaled.

    Attributes:
        values: (H, W) grey or (H, W, 3) RGB of any number type, as stored; the brighter, the larger.
        alpha: (H, W) float64, 0 clear to 1 opaque; None where all is opaque.
        window: black and white that the file itself asks for (DICOM); None where it doesn't.

    NaN stands for "nothing measured here".
    """

    values: npt.NDArray[Any]
    alpha: npt.NDArray[np.float64] | None = None
    window: Levels | None = None

    def measured(self) -> npt.NDArray[np.float64]:
        """All finite values of pixels that are not clear, (N,)."""
        known = np.isfinite(self.values)
        if self.alpha is not None:
            seen = self.alpha > 0
            known &= seen if known.ndim == 2 else seen[..., None]
        values: npt.NDArray[np.float64] = self.values[known].astype(np.float64)
        return values

    def scaled(self, levels: Levels | None) -> npt.NDArray[np.uint8]:
        """RGB of 8 bits, (H, W, 3).

        One black and one white for all channels, so that colours keep their hue. A value that is no number or
        was not measured becomes black, an infinite one black or white. Transparency is laid over black.

        Args:
            levels: values that become 0 and 255; None takes the file's own window, else the least and the
                greatest finite value.

        Raises:
            ImageError: no value is finite, or they are too large to be told apart.
        """
        black, white = levels or self.window or self._extremes()
        span = white - black
        if not np.isfinite(span):
            raise ImageError(f"its values from {black:g} to {white:g} are too far apart to be grey levels")
        height, width = self.values.shape[:2]
        scaled = np.empty((height, width, 3), np.uint8)
        # Strip by strip: as float64 a line scan of 48 million pixels would take gigabytes.
        for top in range(0, height, rows := max(1, STRIP_PIXELS // max(1, width))):
            scaled[top : top + rows] = self._strip(slice(top, top + rows), black, span)
        return scaled

    def _strip(self, rows: slice, black: float, span: float) -> npt.NDArray[np.float64]:
        """Rows of the scaled image, (h, W, 3) or (h, W, 1), whole numbers from 0 to 255."""
        values = self.values[rows].astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            shares = (values - black) * (255.0 / span) if span > 0 else np.zeros(values.shape)
        shares = np.nan_to_num(shares, nan=0.0, posinf=255.0, neginf=0.0).round().clip(0, 255)
        if shares.ndim == 2:
            shares = shares[..., None]
        if self.alpha is not None:
            shares = (shares * self.alpha[rows][..., None]).round()
        return shares

    def _extremes(self) -> Levels:
        measured = self.measured()
        if not measured.size:
            if self.alpha is not None and np.isfinite(self.values).any():
                return 0.0, 0.0  # all of it is clear
            raise ImageError("no pixel of it holds a finite number")
        return float(measured.min()), float(measured.max())
