"""KeAD as its authors released it: a float64 walk that stores and overwrites layers as their code does."""

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.maps.kead import KeAD
from pipelines.maps.section import KeadSettings, MapsSection
from tests.pipelines.maps.test_kead_reference import ANOMALOUS, NORMAL, TILE, Known, known, s, text, unit

Array = npt.NDArray[np.float64]
DEPTH, LAYERS, FIRST = 12, (3, 6, 9, 12), 4  # surgery in the last nine blocks

# Zero-shot maps of the tiny model's first image by that walk, rounded.
GOLDEN = {
    True: [0.6098, 0.4989, 0.4737, 0.4954, 0.7065, 0.5404, 0.2655, 0.8091, 0.7315],
    False: [0.5511, 0.4997, 0.493, 0.5422, 0.5493, 0.4997, 0.3508, 0.5507, 0.546],
}


def stored_layers(inputs: list[Array], vv: list[Array], residual: bool) -> list[Array]:
    """What is in the list of chosen layers when the last block is through: the stream itself, no copies.

    Args:
        inputs: every block's input, and the last one's output.
        vv: V-V attention of every block's input.
        residual: whether V-V attention is summed up.
    """
    stored: list[Array] = []
    stream: Array | None = None
    for block in range(1, DEPTH + 1):
        if block < FIRST:
            output = inputs[block]
        else:
            if not residual:
                stream = vv[block - 1].copy()
            elif stream is None:
                stream = inputs[block - 1] + vv[block - 1]
            else:
                stream += vv[block - 1]  # the array that is stored already changes with it
            output = stream
        if block in LAYERS:
            stored.append(output)
    return stored


@pytest.fixture(scope="module")
def case() -> Known:
    return known(DEPTH)


def reference(case: Known, residual: bool) -> Array:
    """Zero-shot maps (2, 9)."""
    t_n, t_a = (text(case.exact, case.encoder, states) for states in (NORMAL, ANOMALOUS))
    maps = []
    for _, inputs, vv in case.passes(case.images):
        layers = stored_layers(inputs, vv, residual)
        embedded = [unit(case.vit.norm("ln_post", y[1:]) @ case.vit.w["proj"]) for y in layers]
        maps.append(np.mean([s(layer, t_n, t_a) for layer in embedded], axis=0))
    return np.stack(maps)


def maps_of(case: Known, **options: Any) -> Array:
    kead = KeAD(case.encoder, KeadSettings(shots=0, defect_features=False, **options))
    maps = kead(case.images, [kead.category_state(TILE, None)] * 2).maps
    return np.asarray(maps.flatten(1).double().numpy())


@pytest.mark.parametrize("residual", [True, False])
def test_released_maps_are_what_the_released_code_makes(case: Known, residual: bool) -> None:
    wanted = reference(case, residual)
    np.testing.assert_allclose(wanted[0], GOLDEN[residual], atol=1e-4)
    np.testing.assert_allclose(maps_of(case, residual=residual, released_layers=True), wanted, atol=1e-4)
    # Only where something is summed up is anything overwritten.
    own = maps_of(case, residual=residual)
    assert bool(np.abs(own - wanted).max() > 0.01) is residual


def test_only_the_maps_that_changed_are_made_anew() -> None:
    for vv, residual, released in product((True, False), repeat=3):
        section = MapsSection.model_validate(
            {"kead": {"vv": vv, "residual": residual, "released_layers": released}}
        )
        assert section.kead.revision == (2 if (vv, residual, released) == (True, False, True) else 1)
