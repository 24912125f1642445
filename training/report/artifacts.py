"""What a whole run leaves, stage by stage, before its report is written."""

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.stages import Artifact


@dataclass(frozen=True)
class Pretraining:
    """The stages up to the pretrained detector.

    Attributes:
        corpus, detector: the stages' artifacts.
        maps, map_quality, boxes, backbone: likewise; None where no start comes from them.
        audit: the audit of the rules of boxes; None where it chose none of them.
        painted: painted defects; None where the detector learns from maps alone.
        surfaces: the generated images; None where the images are the user's.
        labels: the images and labels of finetuning; None where the corpus' labels serve.
    """

    corpus: Artifact
    detector: Artifact
    maps: Artifact | None = None
    map_quality: Artifact | None = None
    boxes: Artifact | None = None
    backbone: Artifact | None = None
    audit: Artifact | None = None
    painted: Artifact | None = None
    surfaces: Artifact | None = None
    labels: Artifact | None = None

    @property
    def labelled(self) -> Artifact:
        """The images and labels of finetuning and evaluation."""
        return self.corpus if self.labels is None else self.labels

    def named(self) -> dict[str, Artifact]:
        """The artifacts by their stages' names, in order."""
        artifacts = {
            "surfaces": self.surfaces,
            "corpus": self.corpus,
            "maps": self.maps,
            "evaluate_maps": self.map_quality,
            "audit": self.audit,
            "boxes": self.boxes,
            "paint": self.painted,
            "backbone": self.backbone,
            "detector": self.detector,
            "labels": self.labels,
        }
        return {name: artifact for name, artifact in artifacts.items() if artifact is not None}


@dataclass(frozen=True)
class StartOutcome:
    """What came of one start.

    Attributes:
        finetuned, evaluated: artifacts of the detector and of its figures.
    """

    finetuned: Artifact
    evaluated: Artifact


@dataclass(frozen=True)
class RunArtifacts:
    """Every stage that a report covers.

    Attributes:
        pretraining: the stages up to the pretrained detector.
        starts: outcome of each start, by its name.
        registered: the registration.
    """

    pretraining: Pretraining
    starts: Mapping[str, StartOutcome]
    registered: Artifact

    def of_starts(self) -> dict[str, Artifact]:
        """The starts' artifacts, in order; their names carry the start."""
        artifacts = {}
        for start, outcome in self.starts.items():
            artifacts[f"finetune {start}"] = outcome.finetuned
            artifacts[f"evaluate {start}"] = outcome.evaluated
        return artifacts

    def named(self) -> dict[str, Artifact]:
        """All artifacts by name, in order, the registration last."""
        return {**self.pretraining.named(), **self.of_starts(), "register": self.registered}
