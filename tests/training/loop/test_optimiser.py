"""An optimizer that is never compiled: PyTorch's own numbers, without its compiler."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.repository import ROOT
from training.loop.optimiser import eager


def trained(kind: type[torch.optim.Optimizer], settings: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
    """The weights after a few steps, with the state taken out and put back amid them, and that state."""
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    optimizer = kind(model.parameters(), **settings)
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.linspace(-1, 1, 10).reshape(2, 5)).square().sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    return model.weight.detach(), optimizer.state_dict()


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.1, "fused": True}),
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ],
)
def test_its_numbers_and_its_state_are_pytorchs_own(
    kind: type[torch.optim.Optimizer], settings: dict[str, Any]
) -> None:
    (ours, state), (theirs, expected) = trained(eager(kind), settings), trained(kind, settings)
    assert torch.equal(ours, theirs)
    assert state["param_groups"] == expected["param_groups"]
    for key, values in expected["state"].items():
        for name, value in values.items():
            assert torch.equal(torch.as_tensor(state["state"][key][name]), torch.as_tensor(value))


def test_a_training_does_without_pytorchs_compiler() -> None:
    """Its import takes seconds in each process that trains; a newer PyTorch may want it elsewhere."""
    code = (
        "import sys, torch\n"
        "from tests.training.loop.line import Line\n"
        "from training.loop.loop import train\n"
        "from training.loop.section import LoopSettings\n"
        "for name in ('adamw', 'sgd'):\n"
        "    settings = LoopSettings(epochs=2, batch_size=8, lr=0.05, ema_decay=0.9, optimizer=name)\n"
        "    train(Line({}), settings, device=torch.device('cpu'), on_epoch=lambda report: None)\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == "False", done.stderr[-2000:]
