"""What workers share in a pretext task: MoCo's keys, and λ."""

import json
from pathlib import Path

import pytest
import torch
from torch.multiprocessing.spawn import spawn

from training.agbp.attention import DistillationLoss
from training.agbp.pretext.mocov3 import contrast

TASK, ATTENTION = (1.0, 4.0), (0.3, 0.2)  # of the two workers


def vectors() -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and keys of a whole batch."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 5, generator=generator), torch.randn(6, 5, generator=generator)


def worker(rank: int, folder: str) -> None:
    """One of two processes with half of the batch each."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    queries, keys = (whole.chunk(2)[rank] for whole in vectors())
    queries.requires_grad_()
    loss = contrast(queries, keys, 0.5)
    torch.autograd.backward(loss)
    distillation = DistillationLoss("cosine")
    distillation.total(torch.tensor(TASK[rank]), torch.tensor(ATTENTION[rank]))
    assert queries.grad is not None
    found = {"loss": loss.item(), "gradient": queries.grad.tolist(), **distillation.state()}
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_workers_contrast_and_weigh_as_one(tmp_path: Path) -> None:
    spawn(worker, args=(str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    queries, keys = vectors()
    queries.requires_grad_()
    whole = contrast(queries, keys, 0.5)
    torch.autograd.backward(whole)
    assert sum(part["loss"] for part in found) / 2 == pytest.approx(whole.item(), rel=1e-6)
    gradient = torch.tensor([row for part in found for row in part["gradient"]]) / 2  # as DDP means them
    torch.testing.assert_close(gradient, queries.grad, rtol=1e-5, atol=1e-7)
    assert [part["lam"] for part in found] == [pytest.approx(sum(TASK) / sum(ATTENTION), rel=1e-6)] * 2
