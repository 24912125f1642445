"""Maps of banks from pixels to scores against plain float64: levels, views, text, mutual scoring."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipelines.banks.section import BankSection
from pipelines.maps.bank_method import BankMethod
from pipelines.maps.section import KeadSettings
from tests.pipelines.banks.tiny_bank import (
    SIDE,
    Array,
    bilinear,
    nearest,
    patches,
    raw_levels,
    weights_of,
)
from tests.pipelines.maps.test_kead_reference import ANOMALOUS, DF, NORMAL, TILE, Known, known, s, text

MODELS = {"test_resnet": (1, 2), "test_convnext": (0, 2), "test_mambaout": (1,), "test_vit": (0, 3)}


def resized(images: torch.Tensor, side: int) -> Array:
    """Float64 pixels in 0…255 as the vision-language encoder sees them."""
    scaled = F.interpolate(images.double() / 255, (side, side), mode="bicubic", antialias=True)
    return np.asarray((scaled.clamp(0, 1) * 255).numpy())


@cache
def words_of(depth: int) -> tuple[Array, Array]:
    """t_n and t_a of the tile."""
    case = known(depth)
    return text(case.exact, case.encoder, NORMAL), text(case.exact, case.encoder, [*ANOMALOUS, DF])


def text_maps(case: Known, images: torch.Tensor) -> tuple[list[float], list[Array]]:
    """s(c) and M_zero of each image, by the reference of KeAD."""
    t_n, t_a = words_of(case.vit.blocks)
    scores, maps = [], []
    for cls, inputs, vv in case.passes(torch.from_numpy(resized(images, case.encoder.image_size))):
        layers = case.vit.patches(inputs, vv, {"vv": True, "residual": True, "released_layers": False})
        zero = np.mean([s(layer, t_n, t_a) for layer in layers], axis=0)
        scores.append(float(s(cls, t_n, t_a)))
        maps.append(zero.reshape(round(len(zero) ** 0.5), -1))
    return scores, maps


@pytest.fixture(scope="module")
def case() -> Known:
    return known(4)


def pictures(count: int, seed: int) -> torch.Tensor:
    values = np.random.default_rng(seed).integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8)
    return torch.from_numpy(values)


def levels_of(name: str, images: torch.Tensor, levels: tuple[int, ...]) -> list[list[Array]]:
    """By level, by image: (h, w, D)."""
    raw = raw_levels(name, images.double().numpy() / 255, levels)
    return [[patches(image) for image in level] for level in raw]


def method_of(case: Known, folder: Path, name: str, **options: Any) -> BankMethod:
    document = {"encoder": f"timm/{name}", "weights": weights_of(name, folder), "size": SIDE, **options}
    return BankMethod(case.encoder, KeadSettings(shots=2), BankSection.model_validate(document))


def check(
    method: BankMethod, case: Known, images: torch.Tensor, states: list[Any], expected: list[list[Array]]
) -> None:
    """Compare maps and scores with M_bank by image and level, before they share a grid."""
    t, output = method.text_weight, method(images, states)
    scores, zeros = text_maps(case, images)
    for row, distances in enumerate(expected):
        bank_map = np.mean([bilinear(one, method.grid) for one in distances], axis=0)
        m = 2 * (t * bilinear(zeros[row], method.grid) + (1 - t) * bank_map)
        np.testing.assert_allclose(output.maps[row].numpy(), m, atol=1e-4, rtol=0)
        assert output.score[row].item() == pytest.approx(2 * t * scores[row] + m.max(), abs=1e-4)
        assert np.ptp(m) > 1e-3


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("name", MODELS)
def test_maps_of_references_at_several_levels_with_and_without_text(
    name: str, weight: float, case: Known, tmp_path: Path
) -> None:
    levels = MODELS[name]
    method = method_of(case, tmp_path, name, levels=levels, text_weight=weight)
    images, references = pictures(2, 1), pictures(2, 2)
    state = method.category_state(TILE, references)
    normal = levels_of(name, references, levels)
    judged = levels_of(name, images, levels)
    expected = [
        [
            nearest(
                judged[level][row], np.concatenate([image.reshape(-1, image.shape[-1]) for image in bank])
            )
            for level, bank in enumerate(normal)
        ]
        for row in range(len(images))
    ]
    assert method.grid == max(len(one) for one in expected[0])
    check(method, case, images, [state, state], expected)


@pytest.mark.parametrize("kind", ["flips", "turns"])
def test_a_banks_views_are_numpys_flips_and_turns(kind: str, case: Known, tmp_path: Path) -> None:
    name, levels = "test_resnet", (1, 2)
    method = method_of(case, tmp_path, name, levels=levels, text_weight=0, views=kind)
    images, references = pictures(1, 3), pictures(2, 4)
    quarters = (0, 2) if kind == "flips" else (0, 1, 2, 3)
    seen = [
        np.rot90(one, turn, (1, 2))
        for image in references.numpy()
        for one in (image, image[:, :, ::-1])
        for turn in quarters
    ]
    normal = levels_of(name, torch.from_numpy(np.stack(seen)), levels)
    judged = levels_of(name, images, levels)
    banks = [np.concatenate([one.reshape(-1, one.shape[-1]) for one in level]) for level in normal]
    expected = [[nearest(judged[level][0], bank) for level, bank in enumerate(banks)]]
    check(method, case, images, [method.category_state(TILE, references)], expected)


@pytest.mark.parametrize(("lowest", "weight"), [(0.3, 0.0), (0.5, 0.25), (1.0, 0.5)])
def test_mutual_scores_are_means_of_the_lowest_distances_without_what_is_barred(
    lowest: float, weight: float, case: Known, tmp_path: Path
) -> None:
    name, levels = "test_convnext", (0, 2)
    method = method_of(case, tmp_path, name, levels=levels, text_weight=weight, mode="mutual", lowest=lowest)
    corpus, near = pictures(6, 5), {"a": (0, 4)}
    banks = tuple(level.flatten(1, 2) for level in method.features(corpus))
    state = replace(method.category_state(TILE, None), banks=banks, barred=near)
    others = levels_of(name, corpus, levels)
    images = torch.stack([corpus[0], pictures(1, 6)[0]])
    judged = levels_of(name, images, levels)
    expected = []
    for row, barred in enumerate([(0, 4), ()]):
        judges = [number for number in range(len(corpus)) if number not in barred]
        count = max(1, round(lowest * len(judges)))
        by_level = []
        for level, every in zip(judged, others, strict=True):
            far = [nearest(level[row], every[n].reshape(-1, every[n].shape[-1])) for n in judges]
            by_level.append(np.sort(far, axis=0)[:count].mean(0))
        expected.append(by_level)
    check(method, case, images, [state.judging("a"), state.judging("b")], expected)


def test_the_maps_own_encoder_can_judge_mutually_too(case: Known) -> None:
    method = BankMethod(case.encoder, KeadSettings(), BankSection(mode="mutual", lowest=1.0))
    assert method.text_weight == 0.5
    corpus = case.references
    banks = tuple(level.flatten(1, 2) for level in method.features(corpus))
    state = replace(method.category_state(TILE, None), banks=banks)
    output = method(case.images, [state, state])
    scores, zeros = text_maps(case, case.images)
    options = {"vv": True, "residual": True, "released_layers": False}
    normal = [case.vit.patches(inputs, vv, options) for _, inputs, vv in case.passes(corpus)]
    for row, (_, inputs, vv) in enumerate(case.passes(case.images)):
        layers = case.vit.patches(inputs, vv, options)
        far = [np.mean([nearest(p, image[n]) for image in normal], axis=0) for n, p in enumerate(layers)]
        m = zeros[row] + np.mean(far, axis=0).reshape(zeros[row].shape)
        np.testing.assert_allclose(output.maps[row].numpy(), m, atol=1e-4, rtol=0)
        assert output.score[row].item() == pytest.approx(scores[row] + m.max(), abs=1e-4)
