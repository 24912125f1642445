"""Every formula of KeAD (docs/method.md#kead, eq. 1–5) against plain float64 loops on a tiny encoder."""

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from cluster.errors import UserError
from pipelines.encoder.prompts import ANOMALOUS_STATES, TEMPLATES, CategoryPrompts, DefectPrompt
from pipelines.maps.kead import KeAD, few_shot_map, zero_shot_map
from pipelines.maps.method import CategoryState, anomaly_probability, preprocess
from pipelines.maps.section import KeadSettings
from tests.pipelines.tiny_encoder import IMAGE, tiny_encoder

Array = npt.NDArray[np.float64]
TILE = CategoryPrompts(
    object="magnetic tile",
    defects=(
        DefectPrompt(type="crack", features="a thin dark line"),
        DefectPrompt(type="fray", features="wear"),
    ),
)
RAIL = CategoryPrompts(object="rail")


def loop_s(f: Array, t_n: Array, t_a: Array, tau: float) -> float:
    """Eq. 1 as printed."""
    normal, anomalous = np.exp(f @ t_n / tau), np.exp(f @ t_a / tau)
    return float(anomalous / (normal + anomalous))


def loop_few(patches: list[Array], banks: list[Array]) -> Array:
    """Eq. 5 as printed."""
    total = np.zeros(len(patches[0]))
    for layer, bank in zip(patches, banks, strict=True):
        for i, p in enumerate(layer):
            total[i] += min(0.5 * (1 - float(p @ r)) for r in bank)
    return total / len(patches)


def loop_text(kead: KeAD, texts: list[str]) -> Array:
    """Each prompt encoded alone and normalised, the set averaged, the mean normalised again."""
    model: Any = kead.encoder.model
    total = np.zeros(16)
    for text in texts:
        with torch.no_grad():
            embedding = model.encode_text(kead.encoder.tokenizer([text]))[0].double().numpy()
        total += embedding / np.linalg.norm(embedding)
    mean = total / len(texts)
    return np.asarray(mean / np.linalg.norm(mean), np.float64)


def filled(states: list[str]) -> list[str]:
    return [template.format(state) for state in states for template in TEMPLATES]


def units(rng: np.random.Generator, *shape: int) -> Array:
    values = rng.normal(size=shape)
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float64)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, IMAGE, IMAGE), dtype=np.uint8))


@pytest.fixture(scope="module")
def references() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (5, 3, IMAGE, IMAGE), dtype=np.uint8))


@pytest.mark.parametrize("tau", [0.07, 0.5])
def test_equation_1(tau: float) -> None:
    rng = np.random.default_rng(0)
    f, t_n, t_a = units(rng, 7, 16), units(rng, 16), units(rng, 16)
    expected = [loop_s(row, t_n, t_a, tau) for row in f]
    result = anomaly_probability(torch.from_numpy(f), torch.from_numpy(t_n), torch.from_numpy(t_a), tau)
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-12)


def test_equation_1_does_not_overflow() -> None:
    direction = torch.eye(4)
    assert anomaly_probability(direction[:1], direction[1], direction[0], 1e-4).item() == 1.0


def test_equations_3_and_4() -> None:
    rng = np.random.default_rng(1)
    patches, t_n, t_a = [units(rng, 2, 9, 16) for _ in range(4)], units(rng, 16), units(rng, 16)
    result = zero_shot_map(
        [torch.from_numpy(layer) for layer in patches], torch.from_numpy(t_n), torch.from_numpy(t_a), 0.07
    )
    for row in range(2):
        for i in range(9):
            expected = sum(loop_s(layer[row, i], t_n, t_a, 0.07) for layer in patches) / 4
            assert result[row, i].item() == pytest.approx(expected, abs=1e-12)


def test_equation_5() -> None:
    rng = np.random.default_rng(2)
    patches, banks = [units(rng, 2, 9, 16) for _ in range(3)], [units(rng, 11, 16) for _ in range(3)]
    result = few_shot_map(
        [torch.from_numpy(layer) for layer in patches], tuple(torch.from_numpy(bank) for bank in banks)
    )
    for row in range(2):
        np.testing.assert_allclose(
            result[row].numpy(), loop_few([p[row] for p in patches], banks), atol=1e-12
        )


@pytest.mark.parametrize("redundant", [False, True])
@pytest.mark.parametrize("features", [False, True])
def test_text_embeddings(features: bool, redundant: bool) -> None:
    kead = KeAD(tiny_encoder(), KeadSettings(shots=0, defect_features=features, redundant_text=redundant))
    state = kead.category_state(TILE, None)
    normal = filled(
        [
            "magnetic tile",
            "flawless magnetic tile",
            "perfect magnetic tile",
            "unblemished magnetic tile",
            "magnetic tile without any flaw",
            "magnetic tile without any defect",
            "magnetic tile without any damage",
        ]
    )
    states = [
        "damaged magnetic tile",
        "magnetic tile with flaw",
        "magnetic tile with defect",
        "magnetic tile with damage",
    ]
    if features:
        states.append("magnetic tile with crack defect, it appears as a thin dark line")
        states.append("magnetic tile with fray defect, it appears as wear")
    t_n, t_a = loop_text(kead, normal), loop_text(kead, filled(states))
    if redundant:
        empty = loop_text(kead, filled([""]))
        t_n, t_a = t_n - empty, t_a - empty
        t_n, t_a = t_n / np.linalg.norm(t_n), t_a / np.linalg.norm(t_a)
    np.testing.assert_allclose(state.t_n.numpy(), t_n, atol=2e-6)
    np.testing.assert_allclose(state.t_a.numpy(), t_a, atol=2e-6)
    assert state.banks == ()
    assert len(ANOMALOUS_STATES) == 4


@pytest.mark.parametrize("score", ["paper", "released"])
@pytest.mark.parametrize("shots", [0, 1, 4])
def test_whole_output(images: torch.Tensor, references: torch.Tensor, shots: int, score: str) -> None:
    settings = KeadSettings.model_validate({"shots": shots, "score": score, "temperature": 0.2})
    kead = KeAD(tiny_encoder(), settings)
    states = [kead.category_state(prompts, references) for prompts in (TILE, RAIL)]
    order = [states[0], states[1], states[0]]
    output = kead(images, order)
    assert output.maps.shape == (3, 3, 3)
    assert output.maps.dtype == output.score.dtype == torch.float32
    scaled = (images.float() / 255 - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / torch.tensor(
        [0.2, 0.3, 0.25]
    ).view(3, 1, 1)
    embedded = kead.dense(scaled)
    banks = kead.embed(references[:shots]).patches if shots else []
    for row, state in enumerate(order):
        t_n, t_a = state.t_n.double().numpy(), state.t_a.double().numpy()
        patches = [layer[row].detach().double().numpy() for layer in embedded.patches]
        expected = np.array(
            [np.mean([loop_s(layer[i], t_n, t_a, 0.2) for layer in patches]) for i in range(9)]
        )
        if shots:
            expected += loop_few(patches, [bank.flatten(0, 1).double().numpy() for bank in banks])
        np.testing.assert_allclose(output.maps[row].flatten().numpy(), expected, atol=2e-6)
        text = loop_s(embedded.cls[row].detach().double().numpy(), t_n, t_a, 0.2)
        assert output.image_text_score[row].item() == pytest.approx(text, abs=2e-6)
        total = (text + expected.max()) / (2 if score == "released" else 1)
        assert output.score[row].item() == pytest.approx(total, abs=4e-6)


def test_bank_holds_the_first_shots_of_every_layer(references: torch.Tensor) -> None:
    kead = KeAD(tiny_encoder(), KeadSettings(shots=2))
    state = kead.category_state(TILE, references)
    assert [tuple(bank.shape) for bank in state.banks] == [(2 * 9, 16)] * 4
    again = pickle.loads(pickle.dumps(state))
    assert isinstance(again, CategoryState)
    assert torch.equal(again.banks[0], state.banks[0])
    output = kead(references[:2], [state, state])
    zero = KeAD(tiny_encoder(), KeadSettings(shots=0))
    bare = zero(references[:2], [zero.category_state(TILE, None)] * 2)
    # A reference matches itself, so its few-shot part is nothing.
    torch.testing.assert_close(output.maps, bare.maps, atol=1e-6, rtol=0)


def test_batch_and_single_images_agree(images: torch.Tensor, references: torch.Tensor) -> None:
    kead = KeAD(tiny_encoder(), KeadSettings())
    states = [kead.category_state(prompts, references) for prompts in (TILE, RAIL)]
    order = [states[1], states[0], states[1]]
    whole = kead(images, order)
    for row in range(3):
        alone = kead(images[row : row + 1], [order[row]])
        torch.testing.assert_close(alone.maps[0], whole.maps[row], atol=1e-6, rtol=0)
        torch.testing.assert_close(alone.score[0], whole.score[row], atol=1e-6, rtol=0)
    torch.testing.assert_close(kead(images.float() / 255, order).maps, whole.maps, atol=1e-6, rtol=0)


def test_too_few_references_are_named(references: torch.Tensor) -> None:
    kead = KeAD(tiny_encoder(), KeadSettings(shots=4))
    with pytest.raises(UserError, match='"rail" has 3 normal references, 4 are needed'):
        kead.category_state(RAIL, references[:3])
    with pytest.raises(UserError, match="has 0 normal references"):
        kead.category_state(RAIL, None)


def test_states_must_match_images(images: torch.Tensor) -> None:
    kead = KeAD(tiny_encoder(), KeadSettings(shots=0))
    with pytest.raises(ValueError, match="3 images but 1 category"):
        kead(images, [kead.category_state(RAIL, None)])


def test_preprocess_squashes_with_antialiased_bicubic() -> None:
    image = np.random.default_rng(3).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    result = preprocess(image, 24)
    expected = np.asarray(Image.fromarray(image).resize((24, 24), Image.Resampling.BICUBIC))
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result.transpose(1, 2, 0), expected)
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(preprocess(stripes, 24)[:, :, 2:-2].astype(int)) < 12  # without antialiasing it would alias


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 1.0])
def test_fusion_weighs_the_two_parts_and_a_half_is_the_papers_sum(weight: float) -> None:
    images = torch.rand(3, 3, IMAGE, IMAGE)
    outputs = {}
    for shots in (0, 2):
        kead = KeAD(tiny_encoder(), KeadSettings(shots=shots, few_weight=weight))
        state = kead.category_state(RAIL, images[:2] if shots else None)
        outputs[shots] = kead(images, [state] * 3)
    assert outputs[0].parts is None
    parts = outputs[2].parts
    assert parts is not None
    assert torch.equal(parts[:, 0], outputs[0].maps)
    expected = 2 * (1 - weight) * parts[:, 0].double() + 2 * weight * parts[:, 1].double()
    torch.testing.assert_close(outputs[2].maps.double(), expected, rtol=0, atol=1e-6)
    if weight == 0.5:
        assert torch.equal(outputs[2].maps, parts.sum(1))


def test_maps_of_no_numbers_are_refused(images: torch.Tensor) -> None:
    encoder = tiny_encoder()
    kead = KeAD(encoder, KeadSettings(shots=0))
    state = kead.category_state(RAIL, None)
    with torch.no_grad():
        encoder.visual.proj[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"tiny gives maps that are no numbers \(maps\.precision=fp32\)"):
        kead(images, [state] * 3)
