"""The whole project's config: one YAML file, one frozen model, checked before anything starts."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from cluster.config import DEFAULT_WORKSPACE, Section, load_words
from cluster.config_paths import Location
from cluster.on_ray import RaySection
from cluster.tracking import TrackingSection
from pipelines.audit import AuditSection
from pipelines.boxes import BoxesSection
from pipelines.choice import NextSection
from pipelines.corpus import CorpusSection
from pipelines.drift import DriftSection
from pipelines.maps import MapsSection
from pipelines.painting import PaintSection
from pipelines.surfaces import GenerateSection
from training.active_learning import ActiveLearningSection
from training.agbp import BackboneSection
from training.certificate import CertifySection
from training.detection import DetectorSection, FinetuneSection
from training.evaluation import EvaluateSection
from training.export import ExportSection
from training.heads import HeadsSection
from training.loop import ScalingSection
from training.models import backbone_of
from training.prediction import PredictSection
from training.report import ReportSection
from training.serving import ServeSection
from training.starts import AGBP, AGSSP


class Project(Section):
    """All settings of a run.

    Attributes:
        name: the project's name, part of the registered model's name.
        workspace: directory or URI of all artifacts. This path and all others of a config start at the folder
            that the command runs in, where they are relative.
        seed: seed of every stage.
        generate: generated surfaces that replace `corpus.root` and `corpus.sources`.
        ray, tracking, scaling: where and how it runs; they change no result.
        corpus, heads, maps, audit, boxes, next, drift, paint, backbone, detector, finetune, evaluate,
            predict, certify, report: the stages.
        export: further files that a detector is exported as.
        active_learning: rounds of labelling and promotion.
        serve: how a registered detector is served.
    """

    name: str = Field(default="surfaces", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    workspace: Location = Field(default=DEFAULT_WORKSPACE, min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    generate: GenerateSection | None = None
    ray: RaySection = RaySection()
    tracking: TrackingSection = TrackingSection()
    scaling: ScalingSection = ScalingSection()
    corpus: CorpusSection = CorpusSection()
    heads: HeadsSection = HeadsSection()
    maps: MapsSection = MapsSection()
    audit: AuditSection = AuditSection()
    boxes: BoxesSection = BoxesSection()
    next: NextSection = NextSection()
    drift: DriftSection = DriftSection()
    paint: PaintSection = PaintSection()
    backbone: BackboneSection = BackboneSection()
    detector: DetectorSection = DetectorSection()
    finetune: FinetuneSection = FinetuneSection()
    evaluate: EvaluateSection = EvaluateSection()
    predict: PredictSection = PredictSection()
    certify: CertifySection = CertifySection()
    report: ReportSection = ReportSection()
    export: ExportSection = ExportSection()
    active_learning: ActiveLearningSection = ActiveLearningSection()
    serve: ServeSection = ServeSection()

    @property
    def names_images(self) -> bool:
        """Whether it says where images with labels may be."""
        return any((self.generate, self.corpus.root, self.corpus.sources, self.finetune.data))

    def seeded(self) -> "Project":
        """This project with its seed in every loop without one; trainings take their sections from it."""
        return self.model_copy(
            update={
                "audit": self.audit.seeded(self.seed),
                "paint": self.paint.seeded(self.seed),
                "certify": self.certify.seeded(self.seed),
                "heads": self.heads.seeded(self.seed),
                "backbone": self.backbone.model_copy(update={"loop": self.backbone.loop.seeded(self.seed)}),
                "detector": self.detector.model_copy(update={"loop": self.detector.loop.seeded(self.seed)}),
                "finetune": self.finetune.model_copy(update={"loop": self.finetune.loop.seeded(self.seed)}),
            }
        )

    def model_post_init(self, context: Any, /) -> None:
        """Check what spans sections."""
        if self.generate is not None and (self.corpus.root or self.corpus.sources):
            raise ValueError("give either generate or corpus.root or corpus.sources, not both")
        if self.detector.needs_backbone and backbone_of(self.detector.name) != self.backbone.name:
            raise ValueError(
                f"detector.name={self.detector.name} must stand on backbone.name={self.backbone.name}, "
                "whose weights it takes"
            )
        starts = self.finetune.starts
        if AGSSP in starts and self.finetune.name != self.detector.name:
            raise ValueError(
                f"finetune.name={self.finetune.name} must be detector.name={self.detector.name}, "
                "whose weights the start agssp takes"
            )
        if AGBP in starts and backbone_of(self.finetune.name) != self.backbone.name:
            raise ValueError(
                f"finetune.name={self.finetune.name} must stand on backbone.name={self.backbone.name}, "
                "whose weights the start agbp takes"
            )


def read_project(words: list[str] | None, base: Mapping[str, Any] | None = None) -> Project:
    """The project that a command line describes.

    Args:
        words: configs (paths or `recipe:NAME`; a later one wins) and `section.key=value` overrides.
        base: values under everything else.

    Raises:
        UserError: the config is at fault.
    """
    return load_words(Project, words, base or {})
