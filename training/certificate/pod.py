"""Probability of detection over defect size: the hit/miss model of MIL-HDBK-1823A (2009).

log(POD / (1 - POD)) = intercept + slope · ln(size), by maximum likelihood. a90 is the size of which 90 % are
found; a90/95 the size at which the lower 95 % confidence bound of the curve reaches 90 %. Plain arrays.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit
from scipy.stats import chi2, norm

from cluster.verdicts import FEWEST_DRAWN

Floats = npt.NDArray[np.float64]
BOUND = float(norm.ppf(0.95))  # one-sided
SLOPE_P, FIT_P = 0.05, 0.01  # a slope above chance; a curve that the defects contradict
GROUPS = 10


@dataclass(frozen=True)
class PodCurve:
    """A fitted curve.

    Attributes:
        intercept, slope: of the logit over ln(size).
        covariances: one or two (2, 2) of these: by the model (Wald), and, where images hold several defects,
            one that lets those of an image depend on one another (clustered by image).
        least, most: sizes of the smallest and the largest defect.
        slope_p: p of a slope of 0, by likelihood ratio.
        fit_p: p of the curve by Hosmer and Lemeshow's test (Comm. Stat. A9, 1980) in groups by size.
    """

    intercept: float
    slope: float
    covariances: tuple[Floats, ...]
    least: float
    most: float
    slope_p: float
    fit_p: float

    def at(self, sizes: Floats) -> Floats:
        """POD at sizes, 0–1."""
        return np.asarray(expit(self.intercept + self.slope * np.log(sizes)))

    def lower(self, sizes: Floats) -> Floats:
        """Lower 95 % confidence bound (one-sided, Wald) of the POD at sizes, by the wider covariance."""
        x = np.stack([np.ones_like(sizes), np.log(sizes)], axis=-1)
        widths = [np.einsum("...i,ij,...j->...", x, each, x) for each in self.covariances]
        deviation = np.sqrt(np.maximum(np.max(widths, axis=0), 0))
        return np.asarray(expit(x @ [self.intercept, self.slope] - BOUND * deviation))

    def size_of(self, share: float) -> float:
        """The size of which so many are found, 0–1; may lie outside the data."""
        with np.errstate(over="ignore"):
            return float(np.exp((logit(share) - self.intercept) / self.slope))

    def size_of_lower(self, share: float) -> float | None:
        """The size at which the lower bound reaches a share; None where it doesn't within the data."""
        first = max(self.size_of(share), self.least)
        if first >= self.most or self.lower(np.array([self.most]))[0] < share:
            return None

        def above(log_size: float) -> float:
            return float(self.lower(np.exp(np.array([log_size])))[0]) - share

        begin, end = np.log(first), np.log(self.most)
        return float(np.exp(brentq(above, begin, end))) if above(begin) < 0 else first


@dataclass(frozen=True)
class Pod:
    """What is known of the probability of detection.

    Attributes:
        defects, hits: number of defects, and of those that were found.
        curve: the fitted curve; None where `why_not` says why there is none.
        why_not: one sentence; empty with a curve.
        sizes: `a50`, `a90` and `a90_95`; None where one is not told.
        reasons: name of a size that is not told → why, in a sentence.
    """

    defects: int
    hits: int
    curve: PodCurve | None
    why_not: str
    sizes: dict[str, float | None]
    reasons: dict[str, str]

    def document(self) -> dict[str, Any]:
        """JSON-able."""
        curve = self.curve
        fitted = None if curve is None else {
            "intercept": curve.intercept,
            "slope": curve.slope,
            "covariances": [each.tolist() for each in curve.covariances],
            "least": curve.least,
            "most": curve.most,
            "slope_p": curve.slope_p,
            "fit_p": curve.fit_p,
        }  # fmt: skip
        about = {"defects": self.defects, "hits": self.hits, "why_not": self.why_not}
        return {**about, "curve": fitted, "sizes": self.sizes, "reasons": self.reasons}


def probability_of_detection(
    sizes: Floats, found: npt.NDArray[np.bool_], images: npt.NDArray[np.int64], *, least_defects: int
) -> Pod:
    """Fit the curve, or say why there is none.

    Args:
        sizes: (N,) sizes of the defects, above 0.
        found: (N,) which were found.
        images: (N,) number of each defect's image.
        least_defects: fewest defects for a curve.
    """
    why_not = unfit(sizes, found, images, least_defects)
    curve = None
    if not why_not:
        curve = fitted_curve(sizes, found, images)
        why_not = _contradicted(curve)
    count, hits = len(sizes), int(found.sum())
    if why_not:
        return Pod(count, hits, None, why_not, dict.fromkeys(("a50", "a90", "a90_95")), {})
    assert curve is not None
    told: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name, share in (("a50", 0.5), ("a90", 0.9)):
        size = curve.size_of(share)
        told[name] = size if curve.least <= size <= curve.most else None
        if told[name] is None:
            side = "smallest" if size < curve.least else "largest"
            reasons[name] = (
                f"not told: the curve reaches {share:.0%} beyond the {side} defect of the test part, where "
                "nothing was measured."
            )
    told["a90_95"] = None if told["a90"] is None else curve.size_of_lower(0.9)
    if told["a90_95"] is None:
        reasons["a90_95"] = (
            reasons["a90"]
            if told["a90"] is None
            else "not told: the lower 95 % bound of the curve doesn't reach 90 % within the sizes of the "
            "test part; more defects of the larger sizes are needed."
        )
    return Pod(count, hits, curve, "", told, reasons)


def unfit(
    sizes: Floats, found: npt.NDArray[np.bool_], images: npt.NDArray[np.int64], least_defects: int
) -> str:
    """Why no curve can be fitted; empty where one can."""
    if len(sizes) < least_defects:
        return (
            f"{len(sizes)} defects are too few for a curve: MIL-HDBK-1823A asks for 60 in a hit/miss trial, "
            f"certify.least_defects for {least_defects}."
        )
    if (shown := len(np.unique(images))) < FEWEST_DRAWN:
        return (
            f"the {len(sizes)} defects lie in {shown} image{'s' * (shown > 1)}, and defects of one image may "
            f"share their fate: at least {FEWEST_DRAWN} images with a defect are needed."
        )
    if found.all() or not found.any():
        what = "every defect was found" if found.all() else "no defect was found"
        return f"{what}, so nothing tells at which size detection begins to fail or to succeed."
    if sizes.min() == sizes.max():
        return "every defect has the same size, so nothing tells how detection grows with it."
    if sizes[found].min() >= sizes[~found].max():
        return (
            "every found defect is larger than every missed one, and the likelihood of ever steeper curves "
            "has no maximum; defects of sizes between are needed."
        )
    if sizes[found].max() <= sizes[~found].min():
        return "every found defect is smaller than every missed one: detection does not grow with size."
    return ""


def _contradicted(curve: PodCurve) -> str:
    """Why a fitted curve doesn't hold; empty where it does."""
    if curve.slope <= 0 or curve.slope_p >= SLOPE_P:
        return (
            f"detection does not grow with size (slope {curve.slope:.2f}, p {curve.slope_p:.2g} of none), so "
            "no size can be named above which defects are found."
        )
    if curve.fit_p < FIT_P:
        return (
            f"the logistic curve does not hold: shares found in groups by size differ from it by more than "
            f"chance (Hosmer and Lemeshow, p {curve.fit_p:.2g}); look at the recall by size."
        )
    return ""


def fitted_curve(sizes: Floats, found: npt.NDArray[np.bool_], images: npt.NDArray[np.int64]) -> PodCurve:
    """The curve by maximum likelihood; `unfit` must have nothing against it."""
    logs, truth = np.log(sizes), found.astype(np.float64)
    centre, spread = logs.mean(), logs.std()
    x = np.stack([np.ones_like(logs), (logs - centre) / spread], axis=1)

    def loss(beta: Floats) -> float:
        line = x @ beta
        return float(np.logaddexp(0, line).sum() - truth @ line)

    def gradient(beta: Floats) -> Floats:
        return np.asarray(x.T @ (expit(x @ beta) - truth))

    def information(beta: Floats) -> Floats:
        share = expit(x @ beta)
        return np.asarray((x * (share * (1 - share))[:, None]).T @ x)

    start = np.array([logit(truth.mean()), 0.0])
    best = minimize(loss, start, method="trust-exact", jac=gradient, hess=information, options={"gtol": 1e-8})
    inverse = np.linalg.inv(information(best.x))
    # Back from standardised to plain ln(size).
    turn = np.array([[1, -centre / spread], [0, 1 / spread]])
    covariances = [turn @ inverse @ turn.T]
    groups, number = np.unique(images, return_inverse=True)
    if len(groups) < len(images):
        scores = np.zeros((len(groups), 2))
        np.add.at(scores, number, x * (truth - expit(x @ best.x))[:, None])
        meat = scores.T @ scores * len(groups) / (len(groups) - 1)
        covariances.append(turn @ inverse @ meat @ inverse @ turn.T)
    intercept, slope = turn @ best.x
    ratio = 2 * (loss(start) - loss(best.x))
    return PodCurve(
        intercept=float(intercept),
        slope=float(slope),
        covariances=tuple(covariances),
        least=float(sizes.min()),
        most=float(sizes.max()),
        slope_p=float(chi2.sf(max(ratio, 0), 1)),
        fit_p=hosmer_lemeshow(sizes, truth, np.asarray(expit(x @ best.x))),
    )


def hosmer_lemeshow(sizes: Floats, truth: Floats, expected: Floats) -> float:
    """p of the fitted shares in groups of equal numbers of defects by size, with two degrees spent."""
    parts = np.array_split(np.argsort(sizes, kind="stable"), GROUPS)
    total = 0.0
    for part in parts:
        seen, foretold = truth[part].sum(), expected[part].sum()
        variance = foretold * (1 - foretold / len(part))
        total += (seen - foretold) ** 2 / max(variance, 1e-12)
    return float(chi2.sf(total, GROUPS - 2))
