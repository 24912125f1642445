"""The benchmark `real_surfaces`: every start on every data set, one resumable run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.real_surfaces.box_quality import BoxQuality, half_quality
from benchmarks.real_surfaces.halves import CORPUS, COUNTS, write_halves
from benchmarks.real_surfaces.lightly import FILE, MISSING, lightly_python, pretrain_lightly
from benchmarks.real_surfaces.rows import KINDS, Start, seconds_spent
from benchmarks.real_surfaces.settings import Labels, Settings, project, read_settings, workspace
from benchmarks.real_surfaces.table import Cell, document, gain, markdown
from benchmarks.registry import Row, at_least
from cluster.storage import Storage
from cluster.tracking import PipelineRun
from training.pipeline import Pipeline, check_project
from training.project import Project, open_run

GOALS = (
    ("scratch + AGSSP", "scratch"),
    ("scratch + AGSSP", "scratch + lightly-train"),
    ("scratch + AGSSP", "scratch + pretext alone"),
    ("COCO + AGSSP", "COCO"),
    ("COCO + AGSSP", "COCO + lightly-train"),
)
NAME = "real_surfaces"
IOU = 0.5  # as in mAP@0.5


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
    proof = Proof(settings, folder, python)
    with proof.opened():
        for start in proof.starts:
            if start.kind != "none":
                yield Row(f"{start.name}: minutes of pretraining", proof.pretrained(start) / 60)
        for name in names:
            quality = proof.pseudo_boxes(name)
            what = f"IoU ≥ {IOU:g} with a defect"
            yield Row(f"{name}: of {quality.boxes} pseudo-boxes, percent {what}", quality.precision * 100)
            yield Row(f"{name}: of {quality.defects} defects, percent so met", quality.recall * 100)
        for seed in settings.seeds:
            for name, section in names.items():
                for labels in section.runs:
                    for start in proof.starts:
                        cell = proof.finetuned(start, name, labels, seed)
                        what = f"{name}, {labels.name} labels, seed {seed}, {start.name}"
                        yield Row(f"{what}: mAP@0.5, percent", cell.map50 * 100)
    for row, over in GOALS:
        found = gain(proof.cells, row, over)
        if found is not None:
            yield at_least(f"{row} less {over}, points of mAP@0.5", found.mean * 100, 0)
            if found.deviation is not None:
                yield Row("deviation of that difference over the seeds", found.deviation * 100)


class Proof:
    """The table in the making.

    Args:
        settings: of the proof.
        folder: the workspace.
        python: that has lightly-train; None leaves the rival out.
    """

    def __init__(self, settings: Settings, folder: Path, python: str | None) -> None:
        self.settings, self.folder, self.python = settings, folder, python
        self.data = write_halves(settings, folder)
        firsts = (False, True) if settings.coco_file.is_file() else (False,)
        kinds = [kind for kind in KINDS if kind != "lightly" or python is not None]
        self.starts = [Start(kind, coco) for coco in firsts for kind in kinds]
        self.cells: list[Cell] = []
        self.minutes: dict[str, float] = {}
        self._rival: dict[bool, Path] = {}
        self._workspace: Storage
        self._run: PipelineRun

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Check the config, then hold workspace, tracking and Ray for the block.

        Raises:
            UserError: a fault in settings or data.
        """
        first = self.project(self.starts[0], *self._first())
        check_project(first)
        with open_run(first, NAME) as (self._workspace, self._run):
            yield

    def pretrained(self, start: Start) -> float:
        """Pretrain, or find it done; seconds spent. The rival has as long as AGSSP from the same weights."""
        pipeline = self.pipeline(start, *self._first())
        if start.kind == "lightly":
            made = pretrain_lightly(
                self.settings.lightly,
                python=str(self.python),
                images=self.data / CORPUS,
                start=self.settings.coco_file if start.coco else None,
                seconds=self.minutes[Start("agssp", start.coco).name] * 60,
                seed=self.settings.seeds[0],
                workspace=self._workspace,
                run=self._run,
                corpus=pipeline.corpus,
            )
            self._rival[start.coco] = Path(made.directory.path) / FILE
            seconds = float(made.results["seconds"])
        else:
            seconds = seconds_spent(pipeline, start.kind)
        self.minutes[start.name] = seconds / 60
        return seconds

    def pseudo_boxes(self, name: str) -> BoxQuality:
        """What AGDP learnt from, of one data set's training half, against its labels."""
        boxes = self.pipeline(Start("agssp", coco=False), *self._first()).boxes
        return half_quality(boxes, self.data / name / "train", self.settings.data[name].layout, IOU)

    def finetuned(self, start: Start, name: str, labels: Labels, seed: int) -> Cell:
        """Finetune and evaluate, or find it done; the table is written anew."""
        pipeline = self.pipeline(start, name, labels, seed)
        results = pipeline.evaluated(start.finetuned_from).results
        cell = Cell(start.name, name, labels.name, seed, float(results["map50"]), float(results["map50_95"]))
        self.cells.append(cell)
        self._write()
        return cell

    def pipeline(self, start: Start, name: str, labels: Labels, seed: int) -> Pipeline:
        """The stages of one cell; those of pretraining are the same for all cells of a row."""
        return Pipeline(self.project(start, name, labels, seed), self._workspace, self._run)

    def project(self, start: Start, name: str, labels: Labels, seed: int) -> Project:
        """The config of one cell."""
        return project(
            self.settings,
            folder=self.folder,
            corpus=self.data / CORPUS,
            halves=self.data / name,
            layout=self.settings.data[name].layout,
            labels=labels,
            seed=seed,
            changes=start.changes(
                self.settings.coco_file, self._rival.get(start.coco) if start.kind == "lightly" else None
            ),
        )

    def _first(self) -> tuple[str, Labels, int]:
        """Any data set, labels and seed, for what all share."""
        name, section = next(iter(self.settings.present().items()))
        return name, section.runs[0], self.settings.seeds[0]

    def _write(self) -> None:
        counts = json.loads((self.data / COUNTS).read_text())
        whole = {**document(self.cells, self.minutes), "images": counts}
        (self.folder / f"{NAME}.json").write_text(json.dumps(whole, indent=1))
        tables = [
            f"{title}, percent, on the held-out half\n\n{markdown(self.cells, self.minutes, metric)}"
            for title, metric in (("mAP@0.5", "map50"), ("mAP@0.5:0.95", "map50_95"))
        ]
        (self.folder / f"{NAME}.md").write_text("\n".join(tables))
