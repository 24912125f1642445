"""The whole project's config: one YAML file, one frozen model, checked before anything starts."""

from typing import Any

from pydantic import Field

from cluster.config import Section
from cluster.errors import UserError
from cluster.ground import DEFAULT_WORKSPACE
from cluster.session import RaySection
from cluster.tracking import TrackingSection
from pipelines.boxes_stage import BoxesSection
from pipelines.corpus import CorpusSection
from pipelines.listing import Listing
from pipelines.maps import MapsSection
from pipelines.surfaces_stage import GenerateSection
from training.agbp import BackboneSection
from training.agdp import DetectorSection
from training.evaluate_stage import EvaluateSection
from training.finetune import FinetuneSection
from training.report_stage import ReportSection
from training.scaling import ScalingSection


class Project(Section):
    """Everything a run is decided by.

    Attributes:
        name: of the project; part of the registered model's name.
        workspace: directory or URI of all artifacts.
        seed: of every stage.
        generate: make a corpus of generated surfaces instead of reading `corpus.root` or `corpus.sources`.
        ray, tracking, scaling: where and how it runs; they change no result.
        corpus, maps, boxes, backbone, detector, finetune, evaluate, report: the stages.
    """

    name: str = Field(default="surfaces", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    workspace: str = Field(default=DEFAULT_WORKSPACE, min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    generate: GenerateSection | None = None
    ray: RaySection = RaySection()
    tracking: TrackingSection = TrackingSection()
    scaling: ScalingSection = ScalingSection()
    corpus: CorpusSection = CorpusSection()
    maps: MapsSection = MapsSection()
    boxes: BoxesSection = BoxesSection()
    backbone: BackboneSection = BackboneSection()
    detector: DetectorSection = DetectorSection()
    finetune: FinetuneSection = FinetuneSection()
    evaluate: EvaluateSection = EvaluateSection()
    report: ReportSection = ReportSection()

    def model_post_init(self, context: Any, /) -> None:
        """Check what spans sections."""
        if self.generate is not None and (self.corpus.root or self.corpus.sources):
            raise ValueError("give either generate or corpus.root or corpus.sources, not both")
        if self.detector.name != self.backbone.name:
            raise ValueError(
                f"detector.name={self.detector.name} must be backbone.name={self.backbone.name}, "
                "whose weights it takes"
            )
        if self.finetune.name != self.detector.name:
            raise ValueError(
                f"finetune.name={self.finetune.name} must be detector.name={self.detector.name}, "
                "whose weights it takes"
            )


def read_listing(corpus: CorpusSection, maps: MapsSection) -> Listing:
    """List the corpus and check it against the config, without Ray and without reading a pixel.

    Raises:
        UserError: no root, no image, categories without references.
    """
    if not corpus.root and not corpus.sources:
        raise UserError(
            "corpus.root is not set; give a folder of images, e.g. corpus.root=photos, or several in "
            "corpus.sources."
        )
    listing = Listing(corpus)
    if maps.shots:
        listing.require_references(corpus, maps.shots, maps.shots_setting)
    return listing
