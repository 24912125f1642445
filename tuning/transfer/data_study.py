"""One data set of a transfer study: its corpus, its objects, its starts, and what it looks like to them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from cluster.errors import UserError
from cluster.progress import say
from cluster.stages import Artifact, Site
from pipelines.corpus import CorpusImages, build_corpus
from pipelines.device import best_device
from training.dense import DenseTask, Window, dead_leaves, feature_shift, pooled_features
from training.models.backbones import build, fill
from training.pipeline import Pipeline
from training.starts import AGBP, BACKBONE_FILE, SCRATCH, Start, resolve_start, start_of_artifact
from tuning.transfer.objects import list_objects
from tuning.transfer.projects import DataSet, listing_of
from tuning.transfer.section import TransferSection
from tuning.transfer.stage import TransferCell, chosen_samples, dataset_look, transfer
from tuning.transfer.text import Look

SHIFT_IMAGES = 64


class DataStudy:
    """One data set's artifacts and starts, each made when it is first asked for."""

    def __init__(self, data: DataSet, section: TransferSection, site: Site) -> None:
        self.data, self.section = data, section
        project = data.project
        self.pipeline = Pipeline(project, site)
        listing = listing_of(project, section)
        self.corpus = (
            self.pipeline.corpus
            if section.pretrains
            else build_corpus(project.corpus, CorpusImages(listing), site=site)
        )
        self.objects = list_objects(section.levels, listing, site=site, corpus=self.corpus)
        self._starts: dict[str, Start | None] = {}

    def start(self, name: str) -> Start | None:
        """The weights of a start; None is scratch."""
        if name not in self._starts:
            wanted = self.section.starts[name]
            if wanted.weights == SCRATCH:
                self._starts[name] = None
            elif wanted.weights == AGBP:
                self._starts[name] = start_of_artifact(self.pipeline.backbone, BACKBONE_FILE)
            else:
                self._starts[name] = resolve_start(
                    wanted.weights, wanted.backbone, lambda: self.pipeline.site.run.tracker
                )
        return self._starts[name]

    def lacking(self) -> dict[DenseTask, str]:
        """The tasks that it has nothing for, with the reason: boxes alone, and the task needs masks."""
        reasons: dict[DenseTask, str] = {}
        for task in self.section.tasks:
            try:
                chosen_samples(self.section, task, self.objects)
            except UserError as error:
                reasons[task] = str(error)
        return reasons

    def train(self, cell: TransferCell) -> Artifact:
        """Run one training."""
        return transfer(
            self.section,
            cell,
            start=self.start(cell.start),
            objects=self.objects,
            site=self.pipeline.site,
        )

    def look(self) -> Look:
        """Saturation and depth of the data set, and its shift for every pretrained start."""
        levels, _, saturation = dataset_look(self.objects)
        side = self.section.crop.side
        images = list(self._crops(side))
        device = torch.device(best_device())
        shifts = {}
        for name, wanted in self.section.starts.items():
            try:
                start = self.start(name)
            except UserError as error:  # its cells say it too, and are not run
                say(f"transfer: the shift of {name} was not measured: {error}")
                continue
            if start is None or len(images) < 2:
                continue
            backbone = build(wanted.backbone)
            fill(backbone, start.state, start.source, whole=start.whole)
            reference = pooled_features(backbone, dead_leaves(SHIFT_IMAGES, side), device)
            shifts[name] = feature_shift(pooled_features(backbone, images, device), reference)
        labelled = int(self.objects.results["images"])
        return Look(self.data.name, labelled, saturation, levels is not None, shifts)

    def _crops(self, side: int) -> Iterator[Any]:
        """One crop each of up to 64 training images."""
        levels, _, _ = dataset_look(self.objects)
        _, train, _ = chosen_samples(self.section, "detection", self.objects)
        for number, sample in enumerate(train[:SHIFT_IMAGES]):
            window = Window.anywhere((sample.width, sample.height), side, np.random.default_rng(number))
            yield window.image(sample.pixels(levels))
