"""The benchmark `real_surfaces`: every start on every data set, as tasks of Ray, one resumable run."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Any

from benchmarks.real_surfaces.box_quality import half_quality
from benchmarks.real_surfaces.cells import Column, Pretrained, Proof, evaluate_start, pretrain_start
from benchmarks.real_surfaces.halves import COUNTS, write_halves
from benchmarks.real_surfaces.lightly import MISSING, lightly_python
from benchmarks.real_surfaces.rows import KINDS, Kind, Start
from benchmarks.real_surfaces.settings import Settings, read_settings, workspace
from benchmarks.real_surfaces.table import Cell, document, gain, markdown
from benchmarks.registry import Row, at_least
from cluster.errors import UserError, nearest
from cluster.progress import Bar, progress
from cluster.session import start_ray
from training.pipeline import check_project

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
IOU = 0.5  # as in mAP@0.5
STANDS_ON: dict[Kind, Kind] = {"agssp": "agbp", "lightly": "agssp"}  # the rival has the time that AGSSP took


def run() -> Iterator[Row]:
    """Each finetuning's mAP@0.5 as it ends, then each start's mean gain; `real_surfaces.md` and `.json`.

    All of a seed come before the next seed's, so that the table is whole, if noisier, after a third.
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
        pipeline = stages(Start("agssp", coco=False), proof.first)
        for name in names:
            half = proof.data / name / "train"
            quality = half_quality(pipeline.boxes, half, settings.data[name].layout, IOU)
            what = f"IoU ≥ {IOU:g} with a defect"
            yield Row(f"{name}: of {quality.boxes} pseudo-boxes, percent {what}", quality.precision * 100)
            yield Row(f"{name}: of {quality.defects} defects, percent so met", quality.recall * 100)
        cells: list[Cell] = []
        minutes: dict[str, float] = {}
        with tasks_of(proof, starts) as tasks:
            for made in tasks:
                if isinstance(made, Cell):
                    cells.append(made)
                    what = f"{made.data}, {made.labels} labels, seed {made.seed}, {made.row}"
                    yield Row(f"{what}: mAP@0.5, percent", made.map50 * 100)
                else:
                    start, pretrained = made
                    minutes[start.name] = pretrained.seconds / 60
                    yield Row(f"{start.name}: minutes of pretraining", minutes[start.name])
                write(proof, starts, cells, minutes)
    for row, over in GOALS:
        found = gain(cells, row, over)
        if found is not None:
            yield at_least(f"{row} less {over}, points of mAP@0.5", found.mean * 100, 0)
            if found.deviation is not None:
                yield Row("deviation of that difference over the seeds", found.deviation * 100)


def compared(settings: Settings, *, rival: bool) -> list[Start]:
    """The table's rows, as far as weights and rival are there.

    Raises:
        UserError: a row is asked for that there isn't.
    """
    every = {start.name: start for start in (Start(kind, coco) for coco in (False, True) for kind in KINDS)}
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
def tasks_of(proof: Proof, starts: Sequence[Start]) -> Iterator[Iterator[Cell | tuple[Start, Pretrained]]]:
    """Everything that follows maps and boxes, a task of Ray each, one CPU (and a GPU, if there are any) each.

    Yields:
        Results as they come, finetunings as cells, pretrainings with their start. Finetunings wait
        for their pretraining alone; earlier seeds come first. What runs when the block is left is cancelled.
    """
    import ray

    start_ray()
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    place = {"num_cpus": 1, "num_gpus": min(1, int(resources.get("GPU", 0)))}
    pretrain = ray.remote(pretrain_start).options(**place, max_retries=0)
    evaluate = ray.remote(evaluate_start).options(**place, max_retries=0)
    pretrained: dict[Start, ObjectRef[Any]] = {}

    def pretraining(start: Start) -> "ObjectRef[Any] | None":
        if start.kind == "none":
            return None
        if start not in pretrained:
            before = STANDS_ON.get(start.kind)
            earlier = pretraining(Start(before, start.coco)) if before else None
            pretrained[start] = pretrain.remote(proof, start, earlier)
        return pretrained[start]

    for start in starts:
        pretraining(start)
    refs = list(pretrained.values())
    for seed, (name, section) in product(proof.settings.seeds, proof.settings.present().items()):
        for labels, start in product(section.runs, starts):
            refs.append(evaluate.remote(proof, start, Column(name, labels, seed), pretraining(start)))

    def results(bar: Bar) -> Iterator[Cell | tuple[Start, Pretrained]]:
        waiting, known = list(refs), {ref: start for start, ref in pretrained.items()}
        while waiting:
            ready, waiting = ray.wait(waiting)
            for ref in ready:
                made = ray.get(ref)
                bar.to(len(refs) - len(waiting), "")
                yield made if isinstance(made, Cell) else (known[ref], made)

    try:
        with progress(NAME, len(refs)) as bar:
            yield results(bar)
    finally:
        for ref in refs:
            ray.cancel(ref, force=True)


def write(proof: Proof, starts: Sequence[Start], cells: Sequence[Cell], minutes: Mapping[str, float]) -> None:
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
