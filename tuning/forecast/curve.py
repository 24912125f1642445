"""Learning curves as power laws: the fit, and what it foretells, with an interval by bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EXPONENTS = np.geomspace(0.05, 2.0, 60)
DRAWS = 500
PERCENTILES = (2.5, 97.5)
FREE = 3  # parameters of the curve


@dataclass(frozen=True)
class Curves:
    """Power laws `a − b·n^(−c)` with a ≤ 1 and b ≥ 0, one a row.

    Attributes:
        a, b, c: (B,) ceiling, height and exponent (0.05–2).
        squares: (B,) sum of the fit's squared residuals.
    """

    a: Floats
    b: Floats
    c: Floats
    squares: Floats

    def at(self, counts: Sequence[float] | Floats) -> Floats:
        """Figures at numbers of labels, (B, N), 0–1."""
        n = np.asarray(counts, np.float64)
        return np.clip(self.a[:, None] - self.b[:, None] * n ** -self.c[:, None], 0, 1)


def fitted(counts: Floats, figures: Floats) -> Curves:
    """Least squares of many sets of figures at once.

    For a given c the law is linear in a and b, so all c of a grid are tried: the best is the global optimum
    of the grid, and no start is needed.

    Args:
        counts: (R,) numbers of labels, above 0, of two or more kinds.
        figures: (B, R) figures of B sets, 0–1.
    """
    best = Curves(*(np.full(len(figures), value) for value in (0.0, 0.0, 1.0, np.inf)))
    mean = figures.mean(1)
    for exponent in EXPONENTS:
        x = counts**-exponent
        centred = x - x.mean()
        slope = np.maximum(0, -(figures @ centred) / (centred @ centred))  # b ≥ 0: else flat
        ceiling = mean + slope * x.mean()
        # The optimum with a ≤ 1 lies on its edge where the free one is beyond.
        edge = np.maximum(0, ((1 - figures) @ x) / (x @ x))
        above = ceiling > 1
        a, b = np.where(above, 1.0, ceiling), np.where(above, edge, slope)
        squares = ((figures - (a[:, None] - b[:, None] * x)) ** 2).sum(1)
        better = squares < best.squares - 1e-15
        best = Curves(
            *(
                np.where(better, new, old)
                for new, old in (
                    (a, best.a),
                    (b, best.b),
                    (np.full(len(a), exponent), best.c),
                    (squares, best.squares),
                )
            )
        )
    return best


@dataclass(frozen=True)
class Forecast:
    """What a curve foretells.

    Attributes:
        expected: (T,) figures, 0–1: the mean of such trainings.
        low, high: (T,) ends of their 95 % intervals.
        draws: (B, T) figures of the drawn curves.
    """

    expected: Floats
    low: Floats
    high: Floats
    draws: Floats


@dataclass(frozen=True)
class DrawnCurve:
    """A fitted power law and how it might have been.

    Attributes:
        curve: the law, one row.
        drawn: the laws of figures drawn anew, `DRAWS` rows.
    """

    curve: Curves
    drawn: Curves

    def at(self, targets: Sequence[float] | Floats) -> Forecast:
        """The forecast at numbers of labels."""
        expected, draws = self.curve.at(targets)[0], self.drawn.at(targets)
        low, high = np.percentile(draws, PERCENTILES, axis=0)
        return Forecast(expected, np.minimum(low, expected), np.maximum(high, expected), draws)


def drawn_curve(
    counts: Floats, figures: Floats, *, seed: int = 0, images: Floats | None = None
) -> DrawnCurve:
    """Fit the law and draw it anew: noise of the runs by their residuals, noise of the images as given.

    Each draw takes a deviation of the runs that the residuals allow (its square is a scaled inverse χ²), adds
    normal noise of it to the fitted curve and fits again. With few runs that is wider than drawing residuals.

    Args:
        counts: (R,) number of labels of each run.
        figures: (R,) its figure, 0–1.
        seed: seed of the draws.
        images: (B, R) each run's figure on drawn test images minus its own; None leaves that out.

    Raises:
        ValueError: no more runs than the law has parameters.
    """
    freedom = len(figures) - FREE
    if freedom < 1:
        raise ValueError("too few runs to fit a power law")
    rng = np.random.default_rng(seed)
    curve = fitted(counts, figures[None])
    deviation = np.sqrt(curve.squares[0] / rng.chisquare(freedom, DRAWS))
    drawn = curve.at(counts) + deviation[:, None] * rng.standard_normal((DRAWS, len(figures)))
    if images is not None:
        drawn = drawn + images[rng.integers(0, len(images), DRAWS)]
    return DrawnCurve(curve, fitted(counts, drawn))
