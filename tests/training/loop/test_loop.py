"""The loop: seeds, resuming, averages, splitting over workers, stopping."""

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from cluster.errors import UserError
from training.loop.batches import epoch_batches, split
from training.loop.ema import EMA
from training.loop.loop import train
from training.loop.optimiser import learning_rate, optimizer
from training.loop.reports import EpochReport, NonFiniteLoss, Notice, StepReport, Trained
from training.loop.section import LoopSettings
from training.loop.state import State, finished, kept_of
from training.loop.task import Batch, SeededDataset, Task

CPU = torch.device("cpu")


class Points(SeededDataset):
    """Noisy points, other noise each epoch."""

    def __len__(self) -> int:
        return 22

    def __getitem__(self, index: int) -> Batch:
        noise = torch.tensor(self.rng(index).normal(size=4), dtype=torch.float32)
        return {"x": noise + index / 10, "image_id": f"image-{index}"}


class Sum(Task):
    """Learn the sum of four numbers through batch norm and dropout.

    Args:
        seed: of the first weights.
        nan_epoch: in which the loss is NaN.
        scores: what `evaluate` gives as `score`, in turn.
    """

    def __init__(
        self, seed: int = 0, nan_epoch: int | None = None, scores: Sequence[float] = (), dropout: float = 0.3
    ) -> None:
        torch.manual_seed(seed)
        self.model = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(dropout), nn.ReLU(), nn.Linear(8, 1)
        )
        self.dataset = Points(seed=0)
        self.nan_epoch, self.scores, self.calls = nan_epoch, list(scores), 0

    def collate(self, items: Sequence[Batch]) -> Batch:
        return {
            "x": torch.stack([item["x"] for item in items]),
            "image_ids": [item["image_id"] for item in items],
        }

    def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss = (model(batch["x"]) - batch["x"].sum(dim=1, keepdim=True)).square().mean()
        if self.dataset.epoch == self.nan_epoch:
            loss = loss * float("nan")
        return loss, {"square": loss.detach()}

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        model.eval()
        with torch.no_grad():
            value = float(model(torch.ones(1, 4, device=device)).sum())
        if self.scores:
            value = self.scores.pop(0)
        return {"score": value}

    def state(self) -> Mapping[str, Any]:
        self.calls += 1
        return {"calls": self.calls}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.calls = state["calls"]


def settings(**changes: Any) -> LoopSettings:
    values = {"epochs": 5, "batch_size": 5, "lr": 0.02, "ema_decay": 0.95, "seed": 3}
    return LoopSettings.model_validate(values | changes)


def run(task: Task, chosen: LoopSettings, resume: State | None = None) -> tuple[Trained, list[EpochReport]]:
    reports: list[EpochReport] = []
    return train(task, chosen, device=CPU, on_epoch=reports.append, resume=resume), reports


def stored(state: State | None) -> State:
    """Through a checkpoint file, as plain as weights_only demands."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: State = torch.load(file, weights_only=True)
    return loaded


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "adamw"},
        {"ema_decay": None, "best_metric": "score"},
        {"precision": "fp16", "accumulate": 2},
        {"schedule": "multistep", "milestones": (2, 4), "best_metric": "score", "keep_best": 3},
    ],
)
def test_a_resumed_run_is_the_unbroken_one(changes: dict[str, Any]) -> None:
    chosen = settings(**changes)
    whole, reports = run(Sum(), chosen)
    for stop in (1, 3):
        state = stored(reports[stop - 1].state)
        again, rest = run(Sum(seed=99), chosen, state)
        assert [report.epoch for report in rest] == list(range(stop + 1, 6))
        for before, after in zip(whole.history, again.history, strict=True):
            assert after["loss"] == pytest.approx(before["loss"], abs=1e-6)
            assert after["score"] == pytest.approx(before["score"], abs=1e-6)
            assert after["lr"] == before["lr"]
        assert all(torch.equal(whole.weights[key], again.weights[key]) for key in whole.weights)


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9, "accumulate": 2}])
def test_a_notice_amid_an_epoch_costs_no_step(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.loop.loop.NOTICE_STEPS", 2)
    chosen = settings(epochs=3, batch_size=4, checkpoint_every=3, **changes)
    whole, _ = run(Sum(), chosen)
    taken: list[tuple[int, State]] = []
    answers = iter([False, False, True])  # after steps 2 and 4 of the first epoch, 2 of the second
    notice = Notice(lambda: next(answers), lambda epoch, state: taken.append((epoch, stored(state))))
    warned = train(Sum(), chosen, device=CPU, on_epoch=lambda report: None, notice=notice)
    assert taken[0][0] == 2
    assert taken[0][1]["progress"]["step"] == 5 + 2
    assert not finished(taken[0][1], 2)  # the second epoch isn't over
    other = Sum(seed=9)
    resumed, reports = run(other, chosen, taken[0][1])
    assert [report.epoch for report in reports] == [2, 3]
    for trained in (warned, resumed):
        assert trained.weights.keys() == whole.weights.keys()
        for name, tensor in trained.weights.items():
            assert torch.equal(tensor, whole.weights[name]), name
        for row, expected in zip(trained.history, whole.history, strict=True):
            for name in ("epoch", "step", "lr", "loss", "loss_square"):
                assert row[name] == pytest.approx(expected[name], rel=1e-6), name


def test_a_finished_run_resumes_to_nothing() -> None:
    whole, reports = run(Sum(), settings())
    again, rest = run(Sum(), settings(), stored(reports[-1].state))
    assert rest == []
    assert again.history == whole.history


def test_seeds_decide_and_loaders_do_not() -> None:
    def losses(task: Task, chosen: LoopSettings) -> list[float]:
        return [row["loss"] for row in run(task, chosen)[0].history]

    first = losses(Sum(), settings(epochs=2))
    assert losses(Sum(), settings(epochs=2)) == first
    assert losses(Sum(), settings(epochs=2, seed=4)) != first
    assert losses(Sum(), settings(epochs=2, loaders=1)) == first
    assert settings(seed=None).seeded(7).seed == 7
    assert settings(seed=3).seeded(7).seed == 3


def test_history_rows_and_checkpoints_when_due() -> None:
    trained, reports = run(Sum(), settings(eval_every=2, checkpoint_every=3, eval_at_start=True))
    assert [row["epoch"] for row in trained.history] == [0, 1, 2, 3, 4, 5]
    assert [row["epoch"] for row in trained.history if "score" in row] == [0, 2, 4, 5]
    assert [report.epoch for report in reports if report.due] == [3, 5]
    assert [report.epoch for report in reports if report.state] == [3, 5]
    last = trained.history[-1]
    assert last["step"] == 5 * 4  # 22 images make 4 whole batches of 5
    assert {"lr", "loss", "loss_square", "images_per_s", "seconds"} < last.keys()


def test_best_epoch_is_kept_and_patience_stops() -> None:
    scores = [0.1, 0.5, 0.3, 0.2, 0.9]
    trained, reports = run(Sum(scores=scores), settings(best_metric="score", patience=2))
    assert len(trained.history) == 4
    assert reports[-1].due
    two, _ = run(Sum(scores=scores), settings(epochs=2, warmup_epochs=1, schedule="constant"))
    same, _ = run(
        Sum(scores=scores), settings(best_metric="score", patience=2, warmup_epochs=1, schedule="constant")
    )
    assert all(torch.equal(two.weights[key], same.weights[key]) for key in two.weights)
    again, rest = run(Sum(), settings(best_metric="score", patience=2), stored(reports[-1].state))
    assert rest == []
    assert torch.equal(again.weights["0.weight"], trained.weights["0.weight"])


def test_unknown_best_metric_and_lone_patience_are_told() -> None:
    with pytest.raises(UserError, match=r"best_metric=map is not among this task's values: .*score"):
        run(Sum(), settings(best_metric="map"))
    with pytest.raises(ValueError, match="patience needs best_metric"):
        settings(patience=3)


def test_the_best_epochs_and_the_last_are_kept() -> None:
    scores = [0.1, 0.5, float("nan"), 0.5, 0.2]
    trained, reports = run(Sum(scores=scores), settings(best_metric="score", keep_best=3))
    assert reports[-1].state is not None
    kept = kept_of(stored(reports[-1].state))
    assert [(entry.epoch, entry.value) for entry in kept] == [(2, 0.5), (4, 0.5), (5, 0.2), (5, None)]
    assert all(torch.equal(kept[0].weights[key], trained.weights[key]) for key in trained.weights)
    flat = {"schedule": "constant", "warmup_epochs": 0}
    _, late = run(Sum(scores=scores), settings(**flat, best_metric="score", keep_best=3))
    assert late[-1].state is not None
    for epoch, _, weights in kept_of(late[-1].state)[:3]:
        shorter, _ = run(Sum(), settings(**flat, epochs=epoch))
        assert all(torch.equal(shorter.weights[key], weights[key]) for key in weights)
    none, _ = run(Sum(scores=[float("nan")] * 2), settings(epochs=2, best_metric="score"))
    plain, _ = run(Sum(), settings(epochs=2))
    assert torch.equal(none.weights["0.weight"], plain.weights["0.weight"])
    with pytest.raises(ValueError, match="keep_best needs best_metric"):
        settings(keep_best=2)


@pytest.mark.parametrize("parts", [2, 3, 5, 9])
def test_accumulated_parts_make_the_same_steps(parts: int) -> None:
    changes = {"ema_decay": None, "batch_size": 7, "clip_norm": 0.5}
    whole, _ = run(Plain(), settings(**changes))
    split_up, _ = run(Plain(), settings(**changes, accumulate=parts))
    for one, other in zip(whole.history, split_up.history, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert other["step"] == one["step"]
    torch.testing.assert_close(split_up.weights, whole.weights, rtol=1e-5, atol=1e-6)


def test_batches_split_evenly() -> None:
    for length in range(1, 12):
        for parts in range(1, 14):
            runs = split(list(range(length)), parts)
            assert [image for part in runs for image in part] == list(range(length))
            assert len(runs) == min(parts, length)
            assert max(map(len, runs)) - min(map(len, runs)) <= 1


def test_a_gradient_that_is_not_finite_stops_before_it_spoils_the_weights() -> None:
    class Steep(Plain):
        """A finite loss whose gradient is infinite in epoch 2: √ at 0."""

        def loss(self, model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            loss, parts = super().loss(model, batch)
            steep = (0 * model(batch["x"]).sum()).sqrt() if self.dataset.epoch == 2 else 0
            return loss + steep, parts

    task = Steep()
    with pytest.raises(NonFiniteLoss, match="norm of the gradients became nan in epoch 2, step 5") as caught:
        run(task, settings())
    assert len(caught.value.image_ids) == 5
    assert all(bool(torch.isfinite(parameter).all()) for parameter in task.model.parameters())


def test_the_rate_follows_the_total_batch_and_the_milestones() -> None:
    chosen = settings(lr=0.4, lr_batch=8, batch_size=5, schedule="constant", warmup_epochs=0)
    assert {row["lr"] for row in run(Plain(), chosen)[0].history} == {0.4 * 5 / 8}
    chosen = chosen.model_copy(update={"batch_size": 100})  # all 22 images are one batch
    assert {row["lr"] for row in run(Plain(), chosen)[0].history} == {0.4 * 22 / 8}
    steps = settings(lr=1.0, schedule="multistep", milestones=(2, 4), gamma=0.5, warmup_epochs=0)
    rates = [learning_rate(steps, step, 3) for step in range(15)]
    assert rates == [1.0] * 6 + [0.5] * 6 + [0.25] * 3
    for wrong in (
        {"schedule": "multistep"},
        {"milestones": (3,)},
        {"schedule": "multistep", "milestones": (4, 2)},
    ):
        with pytest.raises(ValueError, match="milestones"):
            settings(**wrong)


def test_an_epoch_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.loop.loop.STEP_SECONDS", 0.0)
    told: list[StepReport] = []
    trained = train(Sum(), settings(epochs=2), device=CPU, on_epoch=lambda report: None, on_step=told.append)
    assert [(report.epoch, report.step, report.steps) for report in told] == [
        (epoch, step, 4) for epoch in (1, 2) for step in (1, 2, 3, 4)
    ]
    assert sum(report.loss for report in told[:4]) / 4 == pytest.approx(trained.history[0]["loss"], rel=1e-5)


def test_non_finite_loss_stops_with_the_images() -> None:
    with pytest.raises(NonFiniteLoss, match="nan in epoch 2, step 5") as caught:
        run(Sum(nan_epoch=2), settings())
    assert len(caught.value.image_ids) == 5
    assert all(name.startswith("image-") for name in caught.value.image_ids)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns(precision: str) -> None:
    trained, _ = run(Sum(dropout=0), settings(precision=precision, epochs=20, lr=0.05))
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] / 2
    assert trained.weights["0.weight"].dtype == torch.float32


def test_ema_follows_with_a_ramp() -> None:
    model = nn.BatchNorm1d(2)
    ema = EMA(model, decay=0.9)
    expected = torch.ones(2, dtype=torch.float64)
    for update in range(1, 6):
        with torch.no_grad():
            model.weight.fill_(float(update))
        ema.update(model)
        d = 0.9 * (1 - math.exp(-update / 2000))
        expected = d * expected + (1 - d) * update
    torch.testing.assert_close(ema.model.state_dict()["weight"].double(), expected, rtol=1e-6, atol=0)
    assert not next(ema.model.parameters()).requires_grad


def test_ema_moves_a_tied_tensor_once() -> None:
    """As the heads of DETR's decoder layers are: one tensor under two keys."""
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    nn.init.zeros_(first.weight)
    ema = EMA(model, decay=0.9)
    nn.init.ones_(first.weight)
    ema.update(model)
    moved = 1 - 0.9 * (1 - math.exp(-1 / 2000))
    torch.testing.assert_close(ema.model.state_dict()["1.weight"], torch.full((2, 2), moved))


def test_learning_rate_rises_falls_and_ends() -> None:
    chosen = settings(epochs=10, warmup_epochs=2, lr=1.0, lr_final=0.1)
    rates = [learning_rate(chosen, step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates == [*rates[:10], *sorted(rates[10:], reverse=True)]
    assert 0.1 <= rates[-1] < 0.11
    flat = settings(epochs=10, warmup_epochs=0, lr=1.0, schedule="constant")
    assert [learning_rate(flat, step, 5) for step in range(50)] == [1.0] * 50


def test_biases_and_norms_do_not_decay() -> None:
    groups = optimizer(Sum().model, settings()).param_groups
    assert [len(group["params"]) for group in groups] == [2, 4]
    assert [group["weight_decay"] for group in groups] == [5e-4, 0.0]


@pytest.mark.parametrize("world", [1, 2, 4])
def test_workers_share_each_global_batch(world: int) -> None:
    whole = epoch_batches(50, 12, seed=1, epoch=2, rank=0, world=1)
    shares = [epoch_batches(50, 12, seed=1, epoch=2, rank=rank, world=world) for rank in range(world)]
    for index, batch in enumerate(whole):
        assert [image for share in shares for image in share[index]] == batch
    used = [image for share in shares for batch in share for image in batch]
    assert len(used) == len(set(used)) == 48
    assert epoch_batches(50, 12, seed=1, epoch=3, rank=0, world=1) != whole


def test_small_sets_and_impossible_splits() -> None:
    assert sorted(epoch_batches(5, 12, seed=1, epoch=1, rank=0, world=1)[0]) == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match="batch_size=5 can't be split evenly over 2 workers"):
        epoch_batches(50, 5, seed=1, epoch=1, rank=0, world=2)
    with pytest.raises(UserError, match="1 training images for 2 workers"):
        epoch_batches(1, 4, seed=1, epoch=1, rank=0, world=2)


def two_workers(rank: int, folder: str, waking: bool) -> None:
    """One of two processes that train together."""
    torch.set_num_threads(1)
    address = f"file://{folder}/rendezvous"
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    task = Waking() if waking else Plain()
    chosen = settings(batch_size=4, best_metric="score", patience=50)
    trained = train(
        task,
        chosen,
        device=CPU,
        on_epoch=lambda report: None,
        rank=rank,
        world=2,
        wrap=DistributedDataParallel,
    )
    losses = [row["loss"] for row in trained.history]
    (Path(folder) / f"{rank}.json").write_text(json.dumps(losses))
    torch.distributed.destroy_process_group()


class Plain(Sum):
    """Without what depends on the batch's split: batch statistics and dropout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


class Waking(Plain):
    """Its first layer learns from the second epoch on."""

    def train_mode(self, model: nn.Module) -> None:
        self.model.get_submodule("0").requires_grad_(self.dataset.epoch > 1)
        model.train()


def test_what_learns_may_change_with_the_epoch() -> None:
    task = Waking()
    before = [parameter.detach().clone() for parameter in task.model.parameters()]
    after: list[list[Tensor]] = []
    train(
        task,
        settings(epochs=2, optimizer="adamw", weight_decay=0.1),
        device=CPU,
        on_epoch=lambda report: after.append([p.detach().clone() for p in task.model.parameters()]),
    )
    first, second = after
    assert [torch.equal(*pair) for pair in zip(before, first, strict=True)] == [True, True, False, False]
    assert not any(torch.equal(*pair) for pair in zip(first, second, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("waking", [False, True])
def test_two_workers_train_as_one(waking: bool, tmp_path: Path) -> None:
    single, _ = run(Waking() if waking else Plain(), settings(batch_size=4, best_metric="score"))
    spawn(two_workers, args=(str(tmp_path), waking), nprocs=2)  # type: ignore[no-untyped-call]
    both = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert both[0] == both[1]
    assert both[0] == pytest.approx([row["loss"] for row in single.history], abs=1e-5)
