"""All stages in order, each asking for its inputs; the one place that knows the whole run.

A stage's code is imported when the stage is asked for: the corpus needs no PyTorch, no map needs a detector.
"""

from functools import cached_property
from typing import TYPE_CHECKING

from cluster.stages import Artifact, Site
from pipelines.corpus import build_labelled, check_unseen
from training.data_pipeline import DataPipeline
from training.project import Project
from training.starts import AGBP, AGSSP

if TYPE_CHECKING:
    from training.detection import DetectorSection
    from training.report import Pretraining, RunArtifacts

# Where and how it runs, which may name hosts, and checks that are no part of the run: not in the report.
NOT_SHOWN = {
    *("workspace", "ray", "tracking", "scaling", "drift", "certify", "export", "active_learning", "serve")
}


class Pipeline(DataPipeline):
    """All stages of one project; each property makes its artifact (and those it reads) or finds it complete.

    Args:
        project: the config.
        site: workspace and tracking run; the project says which workers train there.
        labelled: images and labels in the place of the project's own, in the tables of a corpus.
    """

    def __init__(self, project: Project, site: Site, labelled: Artifact | None = None) -> None:
        super().__init__(project, site)
        self._labelled = labelled
        self._finetuned: dict[str, Artifact] = {}
        self._evaluated: dict[str, Artifact] = {}

    @cached_property
    def paint(self) -> Artifact:
        """Defects painted onto the pretraining images; beside pseudo-boxes where these are asked for."""
        from pipelines.painting import paint_images

        boxes = self.boxes if self.detector_section.paints_beside_boxes else None
        return paint_images(self.seeded.paint, site=self.site, corpus=self.corpus, boxes=boxes)

    @cached_property
    def backbone(self) -> Artifact:
        """The backbone pretrained with anomaly maps (AGBP)."""
        from training.agbp import pretrain_backbone

        return pretrain_backbone(
            self.seeded.backbone,
            site=self.site,
            corpus=self.corpus,
            maps=self.maps,
        )

    @cached_property
    def detector_section(self) -> "DetectorSection":
        """The detector's config; where its boxes are left to the labels, these have chosen."""
        section = self.seeded.detector
        if section.boxes != "auto":
            return section
        from training.detection import choosing_images, with_chosen_boxes

        elsewhere = self.project.finetune.data is not None or self._labelled is not None
        labelled = frozenset() if elsewhere else choosing_images(self.seeded.finetune, self.corpus)
        return with_chosen_boxes(section, labelled, self.corpus, lambda: self.boxes)

    @cached_property
    def detector(self) -> Artifact:
        """The detector pretrained on pseudo-boxes (AGDP) over that backbone, or as its section says."""
        return self.rounds[-1]

    @cached_property
    def rounds(self) -> tuple[Artifact, ...]:
        """The detector of each round; what one finds corrects the boxes of the next."""
        from training.detection import pretrain_detector, propose_boxes

        section, predict = self.detector_section, self.project.predict
        made: list[Artifact] = []
        for number in range(1, section.rounds + 1):
            proposals = None
            if made:
                proposals = propose_boxes(
                    predict, site=self.site, corpus=self.corpus, detector=made[-1], cut=section
                )
            detector = pretrain_detector(
                section,
                site=self.site,
                corpus=self.corpus,
                boxes=self.boxes if section.reads_pseudo_boxes(number) else None,
                painted=self.paint if section.needs_painted else None,
                backbone=self.backbone if section.needs_backbone else None,
                proposals=proposals,
                number=number,
            )
            made.append(detector)
        return tuple(made)

    def source_names(self, start: str) -> tuple[str, ...]:
        """Names of the stages that the start `agbp` or `agssp` comes from, in order."""
        if start != AGSSP:
            return ("corpus", "maps", "backbone")
        section = self.detector_section
        read = {
            "corpus": True,
            "maps": section.needs_maps,
            "boxes": section.needs_pseudo_boxes,
            "paint": section.needs_painted,
            "backbone": section.needs_backbone,
            "detector": True,
        }
        return tuple(name for name, needed in read.items() if needed)

    def sources(self, start: str) -> dict[str, Artifact]:
        """Artifacts of the stages of `source_names`, by name."""
        return {name: getattr(self, name) for name in self.source_names(start)}

    @cached_property
    def labelled(self) -> Artifact:
        """The images and labels of finetuning and evaluation: `finetune.data`, or the corpus itself."""
        artifact = self.own_labelled
        elsewhere = self.project.finetune.data is not None or self._labelled is not None
        if elsewhere and (set(self.starts) & {AGBP, AGSSP} or self.project.finetune.rounds > 1):
            check_unseen(artifact, self.corpus)
        return artifact

    @cached_property
    def own_labelled(self) -> Artifact:
        """The same, not compared with what pretraining saw: for a detector that is there."""
        if self._labelled is not None:
            return self._labelled
        data = self.project.finetune.data
        return self.corpus if data is None else build_labelled(data, site=self.site)

    def finetuned(self, start: str) -> Artifact:
        """The detector finetuned from one start; only the pretraining that the start names is run."""
        from training.detection import finetune_in_rounds

        if start in self._finetuned:
            return self._finetuned[start]
        self._finetuned[start] = finetune_in_rounds(
            self.seeded.finetune,
            self.project.predict,
            start=start,
            site=self.site,
            labelled=self.labelled,
            corpus=self.corpus if self.project.finetune.rounds > 1 else None,
            backbone=self.backbone if start == AGBP else None,
            detector=self.detector if start == AGSSP else None,
        )
        return self._finetuned[start]

    def evaluated(self, start: str) -> Artifact:
        """COCO AP of the detector finetuned from one start, on the held-out images."""
        from training.evaluation import evaluate_detector

        if start not in self._evaluated:
            self._evaluated[start] = evaluate_detector(
                self.project.evaluate, site=self.site, corpus=self.labelled, finetuned=self.finetuned(start)
            )
        return self._evaluated[start]

    @cached_property
    def registered(self) -> Artifact:
        """The product's detector as a version in the model registry; no pretraining is made beside it."""
        from training.export import register_detector

        start = self.project.finetune.product
        return register_detector(
            self.project.name,
            site=self.site,
            detector_name=self.project.finetune.name,
            finetuned=self.finetuned(start),
            evaluated=self.evaluated(start),
            ancestors=self.ancestors(start),
        )

    def ancestors(self, start: str) -> dict[str, Artifact]:
        """The stages before the finetuning from a start, by name: none that it has no part in.

        Of AGSSP those of a whole run, so that `agssp run` and `agssp register` enter one version.
        """
        if start == AGSSP:
            return self.pretraining().named()
        labels = {} if self.project.finetune.data is None else {"labels": self.labelled}
        seen = {} if labels and self.project.finetune.rounds == 1 else {"corpus": self.corpus}
        made = (self.sources(AGBP) if start == AGBP else seen) | labels
        surfaces = self.surfaces if "corpus" in made else None
        return made if surfaces is None else {"surfaces": surfaces, **made}

    def pretraining(self) -> "Pretraining":
        """The stages up to the pretrained detector, and of a start `agbp`; none that neither is made of."""
        from training.report import Pretraining

        read = {*self.source_names(AGSSP), *(self.source_names(AGBP) if AGBP in self.starts else ())}
        chosen = self.project.detector.boxes == "auto"  # the maps' boxes have a say, learnt or not
        maps, boxes = chosen or "maps" in read, chosen or "boxes" in read
        return Pretraining(
            surfaces=self.surfaces,
            corpus=self.corpus,
            maps=self.maps if maps else None,
            map_quality=self.map_quality if maps else None,
            boxes=self.boxes if boxes else None,
            backbone=self.backbone if "backbone" in read else None,
            detector=self.detector,
            audit=self.audit if boxes and self.project.boxes.rule == "auto" else None,
            painted=self.paint if self.detector_section.needs_painted else None,
            labels=None if self.labelled is self.corpus else self.labelled,
        )

    def made(self) -> "RunArtifacts":
        """Every stage but the report."""
        from training.report import RunArtifacts, StartOutcome

        return RunArtifacts(
            pretraining=self.pretraining(),
            starts={
                start: StartOutcome(self.finetuned(start), self.evaluated(start)) for start in self.starts
            },
            registered=self.registered,
        )

    def artifacts(self) -> dict[str, Artifact]:
        """Every stage's artifact by name, in order; those of one start carry its name."""
        return {**self.made().named(), "report": self.report}

    @cached_property
    def report(self) -> Artifact:
        """The self-contained HTML report."""
        from training.report import write_report

        return write_report(
            self.project.report,
            title=self.project.name,
            config=self.project.model_dump(mode="json", exclude=NOT_SHOWN, exclude_none=True),
            site=self.site,
            made=self.made(),
        )

    @property
    def starts(self) -> tuple[str, ...]:
        """The starts that are compared, in order."""
        return self.project.finetune.starts
