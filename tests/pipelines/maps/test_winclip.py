"""WinCLIP against anomalib's (stored figures, same weights) and against plain float64 loops."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import open_clip
import pytest
import torch
import torch.nn.functional as F

from cluster.errors import UserError
from pipelines.encoder.loading import LoadedEncoder
from pipelines.encoder.prompts import CategoryPrompts, DefectPrompt
from pipelines.maps.build import build_method
from pipelines.maps.method import CategoryState
from pipelines.maps.section import MapsSection, WinclipSettings
from pipelines.maps.winclip import WINDOWS_AT_ONCE, WinCLIP, harmonic_map, window_patches
from tests.pipelines.maps import winclip_reference as reference
from tests.pipelines.tiny_encoder import clip_tokenizer, tiny_clip, tiny_encoder

CASES = json.loads(reference.RESULT.read_text())["cases"]
TILE = CategoryPrompts(object="tile", defects=(DefectPrompt(type="crack", features="a line"),))


def reference_encoder(name: str) -> LoadedEncoder:
    clip = open_clip.CLIP(reference.DIM, text_cfg=reference.TEXT, **reference.MODELS[name])
    reference.fill(clip)
    return LoadedEncoder(
        model=clip.eval(),
        tokenizer=clip_tokenizer(),
        image_size=reference.IMAGE,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        name=name,
        digest="",
    )


def state(method: WinCLIP, shots: int) -> CategoryState:
    t_n, t_a = reference.texts().float()
    banks: tuple[torch.Tensor, ...] = ()
    if shots:
        banks = method.category_state(TILE, reference.images(1, shots)).banks
    return CategoryState(t_n, t_a, banks)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['model']}-{case['shots']}")
def test_agrees_with_anomalib_on_the_same_weights(case: dict[str, Any]) -> None:
    method = WinCLIP(reference_encoder(case["model"]), WinclipSettings(shots=case["shots"]))
    output = method(reference.images(0, 2), [state(method, case["shots"])] * 2)
    full = F.interpolate(output.maps[:, None], size=reference.IMAGE, mode="bilinear")[:, 0]
    np.testing.assert_allclose(output.score.numpy(), case["scores"], atol=1e-5)
    np.testing.assert_allclose(full[:, reference.PIXELS, reference.PIXELS].numpy(), case["maps"], atol=1e-5)


def test_the_stored_figures_tell_cases_apart() -> None:
    maps = np.array([case["maps"] for case in CASES])
    assert len({(case["model"], case["shots"]) for case in CASES}) == 6
    for row, one in enumerate(maps):
        assert np.ptp(one) > 0.01
        assert all(np.abs(one - other).max() > 1e-3 for other in maps[row + 1 :])


@pytest.mark.parametrize(("grid", "side"), [(3, 2), (4, 3), (3, 3), (5, 2)])
def test_windows_and_harmonic_mean_equal_loops(grid: int, side: int) -> None:
    corners = [(y, x) for y in range(grid - side + 1) for x in range(grid - side + 1)]
    covered = [[(y + j) * grid + x + i for j in range(side) for i in range(side)] for y, x in corners]
    assert window_patches(grid, side).tolist() == covered
    scores = np.random.default_rng(grid).random((2, len(corners)))
    scores[1, 0] = 0
    expected = np.zeros((2, grid, grid))
    for row in range(2):
        for patch in range(grid * grid):
            values = [scores[row, number] for number, patches in enumerate(covered) if patch in patches]
            mean = len(values) / sum(1 / value for value in values) if min(values) > 0 else 0.0
            expected[row, patch // grid, patch % grid] = mean
    np.testing.assert_allclose(harmonic_map(torch.from_numpy(scores), grid, side), expected, atol=1e-12)


def test_a_window_is_an_image_of_its_own_patches() -> None:
    """The upper left window of side 2: the class token and four patches, nothing else, block by block."""
    encoder = tiny_encoder(tiny_clip())
    method = WinCLIP(encoder, WinclipSettings(shots=0))
    image = torch.rand(1, 3, 24, 24)
    visual: Any = encoder.visual
    with torch.no_grad():
        x = visual._embeds((image - method._mean) / method._std)[:, [0, 1, 2, 4, 5]]
        for block in visual.transformer.resblocks:
            x = block(x)
        expected = F.normalize(visual.ln_post(x)[:, 0] @ visual.proj, dim=-1)
    torch.testing.assert_close(method.embed(image).patches[1][:, 0], expected, atol=1e-6, rtol=0)


def test_windows_do_not_depend_on_how_many_are_encoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    method = WinCLIP(tiny_encoder(), WinclipSettings(shots=0))
    images = torch.rand(3, 3, 24, 24)
    whole = method.embed(images)
    assert WINDOWS_AT_ONCE > 3 * 4
    monkeypatch.setattr("pipelines.maps.winclip.WINDOWS_AT_ONCE", 5)
    for one, other in zip(method.embed(images).patches, whole.patches, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)


def test_a_reference_is_normal_to_itself() -> None:
    method = WinCLIP(tiny_encoder(), WinclipSettings(shots=2))
    references = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 24, 24), dtype=np.uint8))
    known = method.category_state(TILE, references)
    assert [tuple(bank.shape) for bank in known.banks] == [(2 * 9, 32), (2 * 4, 16), (2 * 1, 16)]
    output = method(references, [known, known])
    bare = method(references, [CategoryState(known.t_n, known.t_a, ())] * 2)
    torch.testing.assert_close(output.score, bare.image_text_score / 2, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.maps, bare.maps / 2, atol=1e-5, rtol=0)


def test_defect_features_are_not_told() -> None:
    method = WinCLIP(tiny_encoder(), WinclipSettings(shots=0))
    plain = method.category_state(CategoryPrompts(object="tile"), None)
    torch.testing.assert_close(method.category_state(TILE, None).t_a, plain.t_a, atol=0, rtol=0)


def test_too_few_patches_for_a_window_are_told() -> None:
    with pytest.raises(UserError, match=r"sees 2×2 patches.*need 3×3"):
        WinCLIP(tiny_encoder(tiny_clip(image_size=16)), WinclipSettings())


def test_the_maps_section_builds_the_method_and_its_fingerprint_names_it() -> None:
    kead, winclip = MapsSection(), MapsSection.model_validate({"method": "winclip", "winclip": {"shots": 1}})
    assert type(build_method(winclip, "cpu")) is WinCLIP
    assert (kead.shots, winclip.shots, winclip.shots_setting) == (4, 1, "maps.winclip.shots")
    assert set(kead.deciding) == {"encoder", "method", "kead"}
    assert winclip.deciding["winclip"] == {"temperature": 0.07, "shots": 1}
    # The other method's options decide nothing.
    assert (
        winclip.deciding
        == winclip.model_copy(update={"kead": kead.kead.model_copy(update={"shots": 0})}).deciding
    )


def harmonic(values: npt.NDArray[np.float64]) -> float:
    return float(len(values) / (1 / values).sum())


def test_zero_shot_map_joins_the_scales_by_the_harmonic_mean() -> None:
    """A 3×3 grid: the centre lies in all four windows of side 2 and the one of side 3."""
    method = WinCLIP(tiny_encoder(), WinclipSettings(shots=0, temperature=0.3))
    known = method.category_state(TILE, None)
    image = torch.rand(1, 3, 24, 24)
    embedded, output = method.embed(image), method(image, [known])
    t_n, t_a = known.t_n.double().numpy(), known.t_a.double().numpy()

    def score(f: torch.Tensor) -> npt.NDArray[np.float64]:
        vectors = f.double().numpy()
        normal, anomalous = np.exp(vectors @ t_n / 0.3), np.exp(vectors @ t_a / 0.3)
        return np.asarray(anomalous / (normal + anomalous))

    whole, twos, threes = (score(f[0]) for f in (embedded.cls[:, None], *embedded.patches[1:]))
    centre = harmonic(np.array([whole[0], harmonic(twos), threes[0]]))
    assert output.maps[0, 1, 1].item() == pytest.approx(centre, abs=1e-6)
    corner = harmonic(np.array([whole[0], twos[0], threes[0]]))
    assert output.maps[0, 0, 0].item() == pytest.approx(corner, abs=1e-6)
    assert output.score[0].item() == pytest.approx(whole[0], abs=1e-6)
