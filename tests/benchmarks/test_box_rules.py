"""How the settings of a rule are chosen, on maps whose best settings are known."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.box_rules.choice import SPACES, chosen, f1, quality, settings_of
from benchmarks.box_rules.labelled_maps import LabelledMaps
from benchmarks.real_surfaces.box_quality import BoxQuality
from pipelines.maps import map_schema


@pytest.fixture(scope="module")
def maps() -> LabelledMaps:
    """Maps of their image's size at levels of their own, each with a defect of 6 × 6 and a hotter speck."""
    rng = np.random.default_rng(3)
    grids, truth = [], {}
    for number in range(6):
        grid = rng.normal(number, 0.1, (32, 32))
        y, x = (int(value) for value in rng.integers(8, 20, 2))
        grid[y : y + 6, x : x + 6] += 3.0
        grid[2, 2] += 5.0
        grids.append(grid)
        truth[f"{number:032x}"] = [{"x0": x, "y0": y, "x1": x + 6, "y1": y + 6}]
    stack = np.stack(grids).astype(np.float32)
    peaks = stack.reshape(len(stack), -1).max(1).astype(np.float64)
    columns = {
        "image_id": list(truth),
        "uri": [f"/nowhere/{image}.png" for image in truth],
        "category": ["plate"] * len(truth),
        "width": [32] * len(truth),
        "height": [32] * len(truth),
        "score": peaks,
        "map_max": peaks,
        "map": pa.FixedShapeTensorArray.from_numpy_ndarray(stack.astype(np.float16)),
    }
    schema = map_schema(32)
    return LabelledMaps(pa.table([columns[name] for name in schema.names], schema=schema), truth)


def test_each_image_measured_by_itself_meets_every_defect(maps: LabelledMaps) -> None:
    values = chosen("standardised", maps, same_scores=False)
    assert values["delta"] == 0.0  # Otsu's would leave half of the images out
    assert f1(quality(settings_of("standardised", values), maps)) == 1.0
    both = chosen("hysteresis", maps, same_scores=False)
    assert f1(quality(settings_of("hysteresis", both), maps)) == 1.0


def test_one_threshold_for_all_levels_does_not(maps: LabelledMaps) -> None:
    values = chosen("paper", maps, same_scores=True)
    best = quality(settings_of("paper", values), maps)
    assert 0 < best.recall <= 1 / 3  # of the six levels those at the top alone


@pytest.mark.parametrize("rule", SPACES)
def test_what_is_chosen_is_no_worse_than_the_defaults(maps: LabelledMaps, rule: str) -> None:
    values = chosen(rule, maps, same_scores=True)
    assert f1(quality(settings_of(rule, values), maps)) >= f1(quality(settings_of(rule, {}), maps))


def test_f1_is_the_harmonic_mean() -> None:
    assert f1(BoxQuality(4, 4, 0.5, 0.25)) == pytest.approx(1 / 3)
    assert f1(BoxQuality(0, 4, float("nan"), 0.0)) == 0.0
    assert f1(BoxQuality(3, 4, 0.0, 0.0)) == 0.0
