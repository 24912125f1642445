"""The whole project's config: one YAML file, one frozen model, checked before anything starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from cluster.config import Section
from cluster.errors import UserError
from cluster.ground import DEFAULT_WORKSPACE
from cluster.locations import check_uri
from cluster.session import RaySection, ray_session
from cluster.storage import Storage
from cluster.tracking import PipelineRun, Tracker, TrackingSection
from pipelines.boxes_stage import BoxesSection
from pipelines.corpus import CorpusSection
from pipelines.listing import Listing
from pipelines.maps import MapsSection
from pipelines.surfaces_stage import GenerateSection
from training.agbp import BackboneSection
from training.agdp import DetectorSection
from training.detectors import backbone_of
from training.evaluate_stage import EvaluateSection
from training.finetune import AGBP, AGSSP, FinetuneSection
from training.predict_rows import PredictSection
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
        corpus, maps, boxes, backbone, detector, finetune, evaluate, predict, report: the stages.
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
    predict: PredictSection = PredictSection()
    report: ReportSection = ReportSection()

    def model_post_init(self, context: Any, /) -> None:
        """Check what spans sections."""
        if self.generate is not None and (self.corpus.root or self.corpus.sources):
            raise ValueError("give either generate or corpus.root or corpus.sources, not both")
        if backbone_of(self.detector.name) != self.backbone.name:
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


@contextmanager
def open_run(project: Project, name: str) -> Iterator[tuple[Storage, PipelineRun]]:
    """The workspace, and the tracking run of a command, with Ray for the stages that need it.

    Args:
        project: the config.
        name: of the command, shown in tracking.

    Raises:
        UserError: workspace or tracking server at fault.
    """
    check_uri(project.workspace, "workspace")
    workspace = Storage.open(project.workspace)
    workspace.create()
    tracker = Tracker.open(project.tracking, workspace)
    tags = {"agssp.project": project.name, "agssp.command": name}
    with ray_session(project.ray), tracker.pipeline(f"{project.name}: {name}", tags) as run:
        yield workspace, run


def open_tracker(project: Project) -> Tracker:
    """Where the project's runs and models are recorded, for asking only.

    Raises:
        UserError: see `Tracker.open`.
    """
    return Tracker.open(project.tracking, Storage.open(project.workspace))


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
