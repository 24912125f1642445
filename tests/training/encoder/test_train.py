"""Training of surface-clip: losses against plain loops, a short run that resumes to the same weights."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file
from typer.testing import CliRunner

import training.encoder.train as surface_clip
from cluster.errors import UserError
from pipelines.encoder.loading import load_encoder
from pipelines.encoder.prompts import PromptLibrary, load_library
from pipelines.encoder.sources import WEIGHTS_FILE
from pipelines.surfaces.categories import CATEGORIES
from training.cli.head_commands import app
from training.encoder import state
from training.encoder.data import SurfacePool, augment, draw_looks, make_pool
from training.encoder.losses import FEW_MARGIN, FEW_WIDTH, dense_loss, few_shot_loss
from training.encoder.production_line import CHUNK, FIRST_TRAINING_SEED, MIX, SAMPLES_PER_LINE
from training.encoder.section import SurfaceClipSettings
from training.encoder.state import learning_rate
from training.encoder.text import SentencePlaces
from training.encoder.train import train

SMALL: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 4, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@cache
def drawn(count: int, seed: int, size: int, grid: int) -> SurfacePool:
    """A real pool, drawn once, as it takes seconds; never to be changed."""
    return make_pool(count, seed=seed, size=size, grid=grid, advance=lambda samples: None)


@pytest.fixture
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surface_clip, "MODEL", SMALL)
    monkeypatch.setattr(
        surface_clip,
        "make_pool",
        lambda count, *, advance, **key: advance(count) or drawn(count, **key),
    )


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double(), dim=-1)


def entropy(probability: float, target: float) -> float:
    return float(-(target * np.log(probability) + (1 - target) * np.log(1 - probability)))


def test_dense_loss_equals_loops() -> None:
    patches = [unit(2, 5, 8, seed=seed) for seed in (1, 2)]
    t_n, t_a = unit(2, 8, seed=3), unit(2, 8, seed=4)
    cover = torch.tensor([[0, 0.1, 0.25, 1, 0], [0, 0, 0, 0, 0.05]])
    terms, zero, targets = [], np.zeros((2, 5)), np.zeros((2, 5))
    for layer in patches:
        for row in range(2):
            for i in range(5):
                logit = float(layer[row, i] @ (t_a[row] - t_n[row])) / 0.07
                s = 1 / (1 + np.exp(-logit))
                targets[row, i] = min(1, float(cover[row, i]) / 0.25)
                weight = 1 + 3 * targets[row, i]
                terms.append(weight * entropy(np.clip(s, 1e-15, 1 - 1e-15), targets[row, i]))
                zero[row, i] += s / 2
    dice = 1 - (2 * (zero * targets).sum() + 1) / (zero.sum() + targets.sum() + 1)
    result = dense_loss([layer.float() for layer in patches], t_n.float(), t_a.float(), cover)
    assert result.item() == pytest.approx(np.mean(terms) + 0.5 * dice, rel=1e-4)


def test_few_shot_loss_wants_normal_near_and_anomalous_far() -> None:
    rng = torch.Generator().manual_seed(3)
    looks, count, width = 2, 3, 8
    rows = looks * SAMPLES_PER_LINE
    layer = torch.nn.functional.normalize(torch.randn(rows, count, width, generator=rng), dim=-1)
    cover = (torch.rand(rows, count, generator=rng) > 0.7).float() * 0.2
    cover[5:] = 1  # in the second look only the first image has normal patches
    cover[4, 0] = 0
    loop = []
    for row in range(rows):
        look = range(
            row // SAMPLES_PER_LINE * SAMPLES_PER_LINE, (row // SAMPLES_PER_LINE + 1) * SAMPLES_PER_LINE
        )
        bank = [layer[b, j].double() for b in look for j in range(count) if b != row and cover[b, j] == 0]
        for i in range(count):
            if not bank:
                continue  # nothing to compare with
            distance = min(0.5 * (1 - float(layer[row, i].double() @ other)) for other in bank)
            target = min(1.0, float(cover[row, i]) / 0.25)
            s = 1 / (1 + np.exp(-(distance - FEW_MARGIN) / FEW_WIDTH))
            loop.append((1 + 3 * target) * entropy(s, target))
    assert len(loop) < rows * count
    assert few_shot_loss([layer, layer], cover).item() == pytest.approx(np.mean(loop), rel=1e-4)
    same = layer[:1, :1].expand(rows, count, width).clone()
    clean = torch.zeros(rows, count)
    clean[3, 2] = 1
    found = same.clone()
    found[3, 2] = -same[0, 0]
    assert few_shot_loss([found], clean) < few_shot_loss([same], clean)


def test_looks_are_drawn_whole() -> None:
    lines = 3
    line = torch.arange(lines * CHUNK) // CHUNK
    place = torch.arange(lines * CHUNK) % CHUNK % len(MIX)
    pool = SurfacePool(line, line.float(), place, place)
    drawn = draw_looks(pool, 40, torch.Generator().manual_seed(0)).view(40, SAMPLES_PER_LINE)
    assert (line[drawn] == line[drawn[:, :1]]).all()
    assert (place[drawn] == place[drawn[:, :1]]).all()
    assert all(len(set(rows)) == SAMPLES_PER_LINE for rows in drawn.tolist())
    assert len(set(place[drawn[:, 0]].tolist())) > len(MIX) / 2
    assert set(line[drawn[:, 0]].tolist()) == set(range(lines))


def test_sentences_have_places_by_object_state_and_defect() -> None:
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    places = SentencePlaces(load_library().only(CATEGORIES), tokenizer, 64, seed=0)
    axis = places.axis.double()
    assert axis.norm().item() == pytest.approx(1)
    assert places.places.norm(dim=-1).allclose(torch.ones(len(places.places)))

    def place(sentence: str) -> torch.Tensor:
        rows = (places.tokens == tokenizer([sentence])).all(1).nonzero()
        return places.places[int(rows[0])].double()

    flawless, damaged = place("a photo of a flawless rail."), place("a photo of a damaged rail.")
    crack = place("a photo of a rail with crack defect, it appears as a thin dark jagged line.")
    assert (flawless @ axis).item() == pytest.approx(-(damaged @ axis).item())
    assert (crack @ axis).item() > 0.5
    assert not torch.allclose(crack, damaged)
    assert torch.equal(flawless, place("a close-up photo of the rail without any defect."))


def test_training_is_told_of_the_generated_categories_alone(
    tmp_path: Path, small_model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[set[str]] = []

    def stop(library: PromptLibrary, *rest: Any) -> None:
        told.append(set(library.categories))
        raise KeyboardInterrupt

    monkeypatch.setattr(surface_clip, "SentencePlaces", stop)
    monkeypatch.setattr(surface_clip, "_pool", lambda *given: None)  # images come in only after the text
    monkeypatch.setattr(surface_clip, "initialise", lambda *given: None)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, SurfaceClipSettings(steps=1))
    assert told == [set(CATEGORIES)]
    assert set(load_library().categories) > set(CATEGORIES)


def test_filters_start_as_a_whitening_of_the_patches() -> None:
    model = open_clip.CLIP(**SMALL)
    images = torch.rand(40, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 40
    images = (images + torch.linspace(40, 200, 40).view(40, 1, 1, 1)).expand(-1, 3, -1, -1).to(torch.uint8)
    pool = SurfacePool(images, torch.zeros(40, 4, 4), torch.zeros(40).long(), -torch.ones(40).long())
    surface_clip.initialise(model, pool, torch.Generator().manual_seed(0))
    filters = model.visual.conv1.weight.detach().flatten(1)
    patches = surface_clip.normalised(augment(images, pool.cover, torch.Generator().manual_seed(0))[0])
    patches = patches.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).reshape(-1, 192)
    second_moment = (patches @ filters.T).T @ (patches @ filters.T) / len(patches)
    energy = second_moment.diagonal()
    assert energy[0].item() == pytest.approx(0.49, rel=0.01)  # brightness, once nearly all there was
    off = second_moment - torch.diag(energy)
    assert off.abs().max() < 1e-3


def test_schedule_warms_up_holds_and_ends_at_zero() -> None:
    settings = SurfaceClipSettings(steps=90, warmup=10)
    rates = [learning_rate(step, settings) for step in range(91)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == rates[30] == pytest.approx(1)
    assert rates[60] == pytest.approx(0.5)
    assert rates[90] == pytest.approx(0, abs=1e-9)


def test_augmentation_turns_image_and_cover_alike() -> None:
    cover = (torch.rand(16, 4, 4, generator=torch.Generator().manual_seed(1)) > 0.5).float()
    images = (cover * 200).to(torch.uint8).repeat_interleave(8, 1).repeat_interleave(8, 2)
    pixels, turned = augment(images[:, None].expand(-1, 3, -1, -1), cover, torch.Generator().manual_seed(2))
    assert pixels.shape == (16, 3, 32, 32)
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert not torch.equal(turned, cover)
    patch_means = pixels.mean(1).unfold(1, 8, 8).unfold(2, 8, 8).mean((-1, -2))
    for row in range(16):
        assert patch_means[row][turned[row] == 1].min() > patch_means[row][turned[row] == 0].max()


@pytest.mark.slow
def test_pool_is_reproducible_and_of_training_seeds() -> None:
    told: list[int] = []
    first = make_pool(CHUNK, seed=1, size=32, grid=4, advance=told.append)
    again = make_pool(CHUNK, seed=1, size=32, grid=4, advance=told.append)
    assert torch.equal(first.images, again.images)
    assert told == [CHUNK, CHUNK]
    assert FIRST_TRAINING_SEED >= 10**9
    assert set(first.category.tolist()) == set(range(len(CATEGORIES)))
    assert torch.equal(first.defect >= 0, first.cover.flatten(1).sum(1) > 0)


@pytest.mark.slow
def test_killed_training_resumes_to_the_same_weights(
    tmp_path: Path, small_model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SurfaceClipSettings(steps=4, text_steps=3, looks=2, pool=CHUNK, warmup=1, checkpoint_every=2)
    record = train(tmp_path / "whole", settings)
    assert record["curve"][-1]["step"] == 4
    real = state.learning_rate

    def killed(step: int, given: SurfaceClipSettings) -> float:
        if step == 4:  # asked for after the last update
            raise KeyboardInterrupt
        return real(step, given)

    monkeypatch.setattr(state, "learning_rate", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", settings)
    assert (tmp_path / "killed" / "checkpoint.pt").is_file()
    monkeypatch.setattr(state, "learning_rate", real)
    with pytest.raises(UserError, match="of other settings or another start"):
        train(tmp_path / "killed", SurfaceClipSettings(steps=5, looks=2, pool=CHUNK))
    train(tmp_path / "killed", settings)
    assert not (tmp_path / "killed" / "checkpoint.pt").exists()
    whole, resumed = (load_file(tmp_path / name / WEIGHTS_FILE) for name in ("whole", "killed"))
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


@pytest.mark.slow
def test_training_goes_on_from_a_model_folder(tmp_path: Path, small_model: None) -> None:
    settings = SurfaceClipSettings(steps=2, text_steps=3, looks=1, pool=CHUNK, warmup=1)
    first = train(tmp_path / "first", settings)
    going_on = settings.model_copy(update={"seed": 1, "learning_rate": 1e-9, "weight_decay": 0.0})
    record = train(tmp_path / "second", going_on, tmp_path / "first")
    assert record["start"]["record"] == json.loads(json.dumps(first))
    before, after = (load_file(tmp_path / name / WEIGHTS_FILE) for name in ("first", "second"))
    assert all(torch.allclose(value, after[name], atol=1e-3) for name, value in before.items())
    with pytest.raises(UserError, match="no surface-clip model folder"):
        train(tmp_path / "third", going_on, tmp_path)


@pytest.mark.slow
def test_command_writes_a_model_folder_that_loads(tmp_path: Path, small_model: None) -> None:
    out = tmp_path / "model"
    settings = ["--steps", "1", "--looks", "1", "--pool", "56", "--seed", "3"]
    arguments = ["train", "encoder", "--out", str(out), *settings]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    encoder = load_encoder(str(out))
    assert encoder.image_size == 32
    record = json.loads((out / "training.json").read_text())
    assert (record["settings"]["seed"], record["settings"]["steps"]) == (3, 1)
    with safe_open(out / WEIGHTS_FILE, "pt") as weights:
        assert json.loads(weights.metadata()["training"])["steps"] == 1
        assert weights.get_tensor("visual.proj").dtype == torch.float16


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be made"):
        train(tmp_path / "file" / "model", SurfaceClipSettings(steps=1))
