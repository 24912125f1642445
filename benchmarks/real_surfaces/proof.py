"""The benchmark `real_surfaces`: every start on every data set, as tasks of Ray, one resumable run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Any

from benchmarks.real_surfaces.box_ceiling import ceiling
from benchmarks.real_surfaces.box_quality import labelled_half, stage_quality
from benchmarks.real_surfaces.cells import Column, Pretrained, Proof, evaluate_start, pretrain_start
from benchmarks.real_surfaces.halves import COUNTS, write_halves
from benchmarks.real_surfaces.lightly import MISSING, lightly_python
from benchmarks.real_surfaces.rows import KINDS, ProofStart
from benchmarks.real_surfaces.settings import Settings, read_settings, workspace
from benchmarks.real_surfaces.table import Cell, document, gain, markdown
from benchmarks.registry import Row, at_least
from cluster.errors import UserError, nearest
from cluster.on_ray import start_ray
from cluster.progress import Bar, progress
from training.opening import check_project

if TYPE_CHECKING:
    from ray import ObjectRef

GOALS = (
    ("scratch + AGSSP", "scratch"),
    ("scratch + AGSSP", "scratch + lightly-train"),
    ("scratch + AGSSP", "scratch + pretext alone"),
    ("COCO + AGSSP", "COCO"),
    ("COCO + AGSSP", "COCO + lightly-train"),
)
NAME = "real_surfaces"
Job = tuple[ProofStart, Column | None]  # a pretraining has no column
IOU = 0.5  # as in mAP@0.5


def run() -> Iterator[Row]:
    """Each finetuning's mAP@0.5 as it ends, then each start's mean gain; `real_surfaces.md` and `.json`.

    Each seed is finished before the next begins, so the table is whole, if noisier, after a third.
    """
    settings, folder = read_settings(), workspace()
    names = settings.present()
    for name in settings.data:
        if name not in names:
            yield Row(f"{name}: mAP@0.5", None, f"skipped, {settings.root(name)} is absent")
    if not names:
        return
    if not settings.coco_file.is_file():
        yield Row("starts from COCO weights: mAP@0.5", None, f"skipped, {settings.coco_file} is absent")
    python = lightly_python()
    if python is None:
        yield Row("lightly-train: mAP@0.5", None, MISSING)
    proof = Proof(settings, folder, write_halves(settings, folder), python)
    starts = compared(settings, rival=python is not None)
    check_project(proof.project(starts[0], proof.first))
    with proof.opened(NAME) as stages:
        pipeline = stages(ProofStart("agssp", coco=False), proof.first)
        for name, section in names.items():
            # A Ray Data job, as maps and boxes are: in a task that holds a CPU it might wait for one forever.
            _ = stages(
                ProofStart("none", coco=False), Column(name, section.runs[0], settings.seeds[0])
            ).labelled
            truth = labelled_half(proof.data / name / "train", section.layout)
            by_config = stage_quality(pipeline.boxes, truth, IOU)
            best = ceiling(pipeline.maps, truth, IOU)
            for which, quality in (("", by_config), (", C and δ by the labels", best)):
                what = f"pseudo-boxes, percent IoU ≥ {IOU:g} with a defect"
                yield Row(f"{name}{which}: of {quality.boxes} {what}", quality.precision * 100)
                what = "defects, percent so met"
                yield Row(f"{name}{which}: of {quality.defects} {what}", quality.recall * 100)
        cells: list[Cell] = []
        minutes: dict[str, float] = {}
        with tasks_of(proof, starts) as tasks:
            for result in tasks:
                if isinstance(result, Cell):
                    cells.append(result)
                    what = f"{result.data}, {result.labels} labels, seed {result.seed}, {result.row}"
                    yield Row(f"{what}: mAP@0.5, percent", result.map50 * 100)
                else:
                    start, pretrained = result
                    minutes[start.name] = pretrained.seconds / 60
                    yield Row(f"{start.name}: minutes of pretraining", minutes[start.name])
                write(proof, starts, cells, minutes)
    for row, over in GOALS:
        won = gain(cells, row, over)
        if won is not None:
            yield at_least(f"{row} less {over}, points of mAP@0.5", won.mean * 100, 0)
            if won.deviation is not None:
                yield Row("deviation of that difference over the seeds", won.deviation * 100)


def compared(settings: Settings, *, rival: bool) -> list[ProofStart]:
    """The table's rows, as far as weights and rival are there.

    Raises:
        UserError: an unknown row is asked for.
    """
    every = {
        start.name: start for start in (ProofStart(kind, coco) for coco in (False, True) for kind in KINDS)
    }
    wanted = settings.rows or tuple(every)
    for name in wanted:
        if name not in every:
            raise UserError(f'The proof has no row "{name}"; {nearest(name, every)}')
    absent = {"lightly"} if not rival else set()
    return [
        start
        for name, start in every.items()
        if name in wanted and start.kind not in absent and (settings.coco_file.is_file() or not start.coco)
    ]


@contextmanager
def tasks_of(
    proof: Proof, starts: Sequence[ProofStart]
) -> Iterator[Iterator[Cell | tuple[ProofStart, Pretrained]]]:
    """Everything that follows maps and boxes, a task of Ray each, one CPU (and a GPU, if there are any) each.

    Yields:
        Results as they come, finetunings as cells, pretrainings with their start. Finetunings wait for
        their pretraining alone; those of earlier seeds begin first. What runs when the block is left is
        cancelled.
    """
    import ray

    start_ray()
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    place = {"num_cpus": 1, "num_gpus": min(1, int(resources.get("GPU", 0)))}
    pretrain = ray.remote(pretrain_start).options(**place, max_retries=0)
    evaluate = ray.remote(evaluate_start).options(**place, max_retries=0)
    left: list[Job] = [(start, None) for start in needed(starts)]
    for seed, (name, data) in product(proof.settings.seeds, proof.settings.present().items()):
        left += [(start, Column(name, labels, seed)) for labels, start in product(data.runs, starts)]
    running: dict[ObjectRef[Any], Job] = {}

    def results(bar: Bar) -> Iterator[Cell | tuple[ProofStart, Pretrained]]:
        done: dict[ProofStart | None, Pretrained | None] = {None: None}
        total = len(left)
        while left or running:
            # Start only as many as can run at once: Ray would begin all seeds' cells that wait for nothing.
            ready = [job for job in left if waits_for(*job) in done]
            for job in ready[: max(0, int(resources["CPU"]) - len(running))]:
                start, column = job
                before = done[waits_for(*job)]
                if column is None:
                    running[pretrain.remote(proof, start, before)] = job
                else:
                    running[evaluate.remote(proof, start, column, before)] = job
                left.remove(job)
            ref = ray.wait(list(running))[0][0]
            result = ray.get(ref)
            start, column = running.pop(ref)
            bar.to(total - len(left) - len(running), "")
            if column is None:
                done[start] = result
            yield (start, result) if column is None else result

    try:
        with progress(NAME, len(left)) as bar:
            yield results(bar)
    finally:
        for ref in running:
            ray.cancel(ref, force=True)


def waits_for(start: ProofStart, column: Column | None) -> ProofStart | None:
    """The start whose pretraining must come before this start's own (no column) or its finetuning."""
    if column is None:
        return start.stands_on
    return start if start.kind != "none" else None


def needed(starts: Sequence[ProofStart]) -> list[ProofStart]:
    """The starts that are pretrained, and those they stand on, each after what it stands on."""
    ordered: list[ProofStart] = []
    for start in starts:
        chain = [start]
        while (before := chain[0].stands_on) is not None:
            chain.insert(0, before)
        ordered += [one for one in chain if one.kind != "none" and one not in ordered]
    return ordered


def write(
    proof: Proof, starts: Sequence[ProofStart], cells: Sequence[Cell], minutes: Mapping[str, float]
) -> None:
    """The tables as they stand, in the order of the rows and columns."""
    rows = [start.name for start in starts]
    columns = [(name, one.name) for name, data in proof.settings.present().items() for one in data.runs]
    ordered = sorted(
        cells, key=lambda cell: (rows.index(cell.row), columns.index((cell.data, cell.labels)), cell.seed)
    )
    counts = json.loads((proof.data / COUNTS).read_text())
    settings = proof.settings.model_dump(mode="json")
    whole = {**document(ordered, minutes), "images": counts, "settings": settings}
    (proof.folder / f"{NAME}.json").write_text(json.dumps(whole, indent=1))
    tables = [
        f"{title}, percent, on the held-out half\n\n{markdown(ordered, minutes, metric)}"
        for title, metric in (("mAP@0.5", "map50"), ("mAP@0.5:0.95", "map50_95"))
    ]
    (proof.folder / f"{NAME}.md").write_text("\n".join(tables))
