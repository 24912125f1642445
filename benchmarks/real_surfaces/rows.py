"""The table's rows: what each finetuning starts from, and what that start cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cluster.stages import Artifact
from training.loop import HISTORY_FILE
from training.pipeline import Pipeline
from training.starts import AGBP, AGSSP, SCRATCH

Kind = Literal["none", "pretext", "agbp", "agssp", "lightly"]
WEIGHTS = "weights"  # the name of a start that is a file


@dataclass(frozen=True)
class ProofStart:
    """A row.

    Attributes:
        kind: the kind of pretraining.
        coco: whether that began from COCO weights instead of random ones.
    """

    kind: Kind
    coco: bool

    @property
    def name(self) -> str:
        """The row's name in the table."""
        first = "COCO" if self.coco else "scratch"
        more = {"pretext": "pretext alone", "agbp": "AGBP", "agssp": "AGSSP", "lightly": "lightly-train"}
        return first if self.kind == "none" else f"{first} + {more[self.kind]}"

    @property
    def stands_on(self) -> "ProofStart | None":
        """The start whose pretraining must come first: the rival gets the time that AGSSP took."""
        before: dict[Kind, Kind] = {"agssp": "agbp", "lightly": "agssp"}
        return ProofStart(before[self.kind], self.coco) if self.kind in before else None

    @property
    def finetuned_from(self) -> str:
        """The start's word in a project."""
        if self.kind == "none" and not self.coco:
            return SCRATCH
        return {"pretext": AGBP, "agbp": AGBP, "agssp": AGSSP}.get(self.kind, WEIGHTS)

    def changes(self, coco: Path, rival: Path | None) -> dict[str, Any]:
        """The changes to the project's sections.

        Args:
            coco: weights trained on COCO.
            rival: lightly-train's weights, for its rows.
        """
        backbone: dict[str, Any] = {"start": str(coco)} if self.coco else {}
        if self.kind == "pretext":
            backbone["lam"] = 0
        start = self.finetuned_from
        finetune: dict[str, Any] = {"starts": [start]}
        if start == WEIGHTS:
            finetune["weights"] = {WEIGHTS: str(rival or coco)}
        return {"backbone": backbone, "finetune": finetune}


KINDS: tuple[Kind, ...] = ("none", "pretext", "agbp", "agssp", "lightly")


def seconds_spent(pipeline: Pipeline, kind: Kind) -> float:
    """What AGBP, AGSSP or the pretext task cost: maps and boxes, where used, and all epochs.

    Epochs are summed, so that a training that was killed and resumed counts whole.
    """
    backbone = epochs_seconds(pipeline.backbone)
    if kind == "pretext":
        return backbone
    maps = float(pipeline.maps.record["seconds"])
    if kind == "agbp":
        return maps + backbone
    return maps + float(pipeline.boxes.record["seconds"]) + backbone + epochs_seconds(pipeline.detector)


def epochs_seconds(training: Artifact) -> float:
    """Seconds of all epochs of a training's artifact."""
    column = training.directory.read_table(HISTORY_FILE)["seconds"].to_pylist()
    return float(sum(value for value in column if value is not None))
