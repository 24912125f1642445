"""AA-CLIP's two stages: what learns in which, the loss by its formula, and that the encoder stays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cluster.storage.storage import Storage
from tests.pipelines.tiny_encoder import tiny_encoder
from training.heads import aaclip_task
from training.heads.aaclip_task import AaClip, AaClipTask, disentangle
from training.heads.examples import MASK_SIDE
from training.heads.task import HeadPlan

SENTENCES = (
    (("a photo of a rail.",), ("a photo of a damaged rail.", "a photo of a rail with flaw.")),
    (("a photo of a tile.",), ("a photo of a damaged tile.",)),
)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AaClipTask:
    # The tiny encoder has no files of its own.
    encoder = tiny_encoder()
    encoder.model.requires_grad_(False)  # as loaded ones are
    monkeypatch.setattr(aaclip_task, "load_encoder", lambda model, weights: encoder)
    plan = HeadPlan(
        method="aaclip",
        directory=Storage.open(str(tmp_path)),
        train=(0, 1, 2),
        validation=(3,),
        shapes=(2, 5),
        temperature=0.05,
        encoder=("tiny", None),
        seed=0,
        epochs=10,
        sentences=SENTENCES,
    )
    return AaClipTask(plan)


def batch_of() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    levels = {
        f"level{number}": torch.nn.functional.normalize(
            torch.from_numpy(rng.normal(size=(3, 16, 3, 3))).float(), dim=1
        )
        for number in range(2)
    }
    return {
        **levels,
        "cls": torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(3, 16))).float(), dim=1),
        "pixels": torch.from_numpy(rng.integers(0, 256, (3, 3, 24, 24), np.uint8)),
        "mask": torch.from_numpy((rng.random((3, MASK_SIDE, MASK_SIDE)) < 0.2) * np.uint8(255)),
        "defective": torch.tensor([True, False, True]),
        "category": torch.tensor([1, 0, 1]),
    }


def learning(task: AaClipTask, epoch: int) -> set[str]:
    """The names of what gets a gradient in an epoch."""
    task.dataset.set_epoch(epoch)
    assert isinstance(task.model, AaClip)
    task.model.zero_grad()
    loss, parts = task.loss(task.model, batch_of())
    assert not any(part.requires_grad for part in parts.values())
    assert torch.isclose(loss, torch.stack(list(parts.values())).sum())
    torch.autograd.backward(loss)
    assert all(parameter.grad is None for parameter in task.model._frozen[0].parameters())
    return {
        name.removeprefix("adapters.")
        for name, parameter in task.model.named_parameters()
        if parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
    }


def test_the_text_learns_first_and_the_image_tower_afterwards(task: AaClipTask) -> None:
    text = {"text.0.weight", "text_projection"}
    image = {"image.0.weight", "image_projections.0", "image_projections.1"}
    assert [learning(task, epoch) for epoch in (1, 2, 3, 10)] == [text, text, image, image]
    assert set(task.model.state_dict()) == {f"adapters.{name}" for name in text | image}


def test_the_first_stages_loss_is_its_formula(task: AaClipTask) -> None:
    batch, model = batch_of(), task.model
    assert isinstance(model, AaClip)
    task.dataset.set_epoch(1)
    with torch.no_grad():
        _, parts = task.loss(model, batch)
        t_n, t_a = model.anchors(batch["category"]).double().unbind(1)
    assert np.allclose(t_n.norm(dim=1), 1)
    assert t_n[0].equal(t_n[2])
    assert not t_n[0].equal(t_n[1])
    # γ·⟨t_n, t_a⟩², the mean over the batch's images.
    dots = [float(np.dot(n, a)) for n, a in zip(t_n.numpy(), t_a.numpy(), strict=True)]
    assert parts["disentangle"].item() == pytest.approx(0.1 * np.mean(np.square(dots)), rel=1e-5)
    # Cross-entropy of s(c) = softmax over both cosines over τ.
    entropies = []
    for embedding, n, a, defective in zip(
        batch["cls"].double().numpy(), t_n.numpy(), t_a.numpy(), batch["defective"].tolist(), strict=True
    ):
        normal, anomalous = np.exp(embedding @ n / 0.05), np.exp(embedding @ a / 0.05)
        share = anomalous / (normal + anomalous)
        entropies.append(-np.log(share if defective else 1 - share))
    assert parts["image"].item() == pytest.approx(np.mean(entropies), rel=1e-4)


def test_orthogonal_anchors_have_no_disentangling_loss() -> None:
    basis = torch.eye(4)
    assert disentangle(torch.stack([basis[:2], basis[2:]])).item() == 0
    assert disentangle(basis[:1].expand(3, 2, 4)).item() == 1
    askew = torch.tensor([[[1.0, 0], [0.6, 0.8]], [[1.0, 0], [0, 1]]])
    assert disentangle(askew).item() == pytest.approx(0.18)
