"""One pretraining or one finetuning of the proof, each able to run in a process of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.real_surfaces.halves import CORPUS
from benchmarks.real_surfaces.lightly import FILE, Rival, pretrain_lightly
from benchmarks.real_surfaces.rows import ProofStart, seconds_spent
from benchmarks.real_surfaces.settings import Labels, Settings, project
from benchmarks.real_surfaces.table import Cell
from cluster.config import merge
from training.opening import open_run
from training.pipeline import Pipeline
from training.project import Project


@dataclass(frozen=True)
class Column:
    """Which finetuning of a row.

    Attributes:
        data: the data set.
        labels: the number of labelled images.
        seed: the finetuning's random seed.
    """

    data: str
    labels: Labels
    seed: int


@dataclass(frozen=True)
class Pretrained:
    """What a pretraining cost and left.

    Attributes:
        seconds: time spent, maps and boxes included where they were used.
        weights: lightly-train's weights, safetensors; ours are found by their stage.
    """

    seconds: float
    weights: Path | None = None


class Stages(Protocol):
    """The stages of one finetuning; those of pretraining are the same for all of a row."""

    def __call__(self, start: ProofStart, cell: Column, rival: Path | None = None) -> Pipeline: ...


@dataclass(frozen=True)
class Proof:
    """What every part of the proof needs to know.

    Attributes:
        settings: the proof's settings.
        folder: the workspace.
        data: the folder of halves and corpus that `write_halves` made.
        python: the Python that has lightly-train; None leaves the rival out.
    """

    settings: Settings
    folder: Path
    data: Path
    python: str | None

    @property
    def first(self) -> Column:
        """Any finetuning, for what all share."""
        name, section = next(iter(self.settings.present().items()))
        return Column(name, section.runs[0], self.settings.seeds[0])

    @contextmanager
    def opened(self, title: str) -> Iterator[Stages]:
        """Hold workspace, tracking and (when a stage needs it) Ray for the block.

        Args:
            title: the tracking run's title.
        """
        base = self.project(ProofStart("none", coco=False), self.first)
        with open_run(base, title) as site:

            def stages(start: ProofStart, cell: Column, rival: Path | None = None) -> Pipeline:
                return Pipeline(self.project(start, cell, rival), site)

            yield stages

    def project(self, start: ProofStart, cell: Column, rival: Path | None = None) -> Project:
        """The config of one finetuning.

        Args:
            start: the row.
            cell: the column: data set, labels and seed.
            rival: lightly-train's weights, for its rows.
        """
        changes = start.changes(self.settings.coco_file, rival)
        return project(
            self.settings,
            folder=self.folder,
            corpus=self.data / CORPUS,
            halves=self.data / cell.data,
            layout=self.settings.data[cell.data].layout,
            labels=cell.labels,
            seed=cell.seed,
            changes=merge(self.settings.from_coco, changes) if start.coco else changes,
        )


def pretrain_start(proof: Proof, start: ProofStart, before: Pretrained | None) -> Pretrained:
    """Pretrain, or find it done.

    Args:
        proof: the whole proof.
        start: the row.
        before: the pretraining that this one stands on; lightly-train is given the time of AGSSP's.
    """
    with proof.opened(f"pretraining: {start.name}") as stages:
        pipeline = stages(start, proof.first)
        if start.kind != "lightly":
            return Pretrained(seconds_spent(pipeline, start.kind))
        assert before is not None
        rival = Rival(
            proof.settings.lightly,
            python=str(proof.python),
            images=proof.data / CORPUS,
            start=proof.settings.coco_file if start.coco else None,
            seconds=before.seconds,
            seed=proof.settings.seeds[0],
        )
        trained = pretrain_lightly(rival, site=pipeline.site, corpus=pipeline.corpus)
        return Pretrained(float(trained.results["seconds"]), Path(trained.directory.path) / FILE)


def evaluate_start(proof: Proof, start: ProofStart, cell: Column, pretrained: Pretrained | None) -> Cell:
    """Finetune and measure on the held-out half, or find both done.

    Args:
        proof: the whole proof.
        start: the row.
        cell: the column: data set, labels and seed.
        pretrained: the row's pretraining; None where nothing is pretrained.
    """
    rival = pretrained.weights if pretrained is not None else None
    with proof.opened(f"{cell.data}, {cell.labels.name} labels, seed {cell.seed}, {start.name}") as stages:
        results = stages(start, cell, rival).evaluated(start.finetuned_from).results
    map50, map50_95 = float(results["map50"]), float(results["map50_95"])
    return Cell(start.name, cell.data, cell.labels.name, cell.seed, map50, map50_95)
