"""The table's rows: what each finetuning starts from, and what that start cost."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from cluster.stages import Artifact, Workbench, ensure
from training.backbone_file import BACKBONE_FILE
from training.backbone_stage import HISTORY_FILE
from training.finetune import AGBP, AGSSP, SCRATCH
from training.pipeline import Pipeline
from training.starts import resolve_start
from training.weights import load_weights, save_weights

Kind = Literal["none", "pretext", "agbp", "agssp", "lightly"]
WEIGHTS = "weights"  # the name of a start that is a file


@dataclass(frozen=True)
class Start:
    """A row.

    Attributes:
        kind: what pretrained it.
        coco: whether that began from COCO weights instead of random ones.
    """

    kind: Kind
    coco: bool

    @property
    def name(self) -> str:
        """As the table calls it."""
        first = "COCO" if self.coco else "scratch"
        more = {"pretext": "pretext alone", "agbp": "AGBP", "agssp": "AGSSP", "lightly": "lightly-train"}
        return first if self.kind == "none" else f"{first} + {more[self.kind]}"

    @property
    def finetuned_from(self) -> str:
        """The start's word in a project."""
        if self.kind == "none" and not self.coco:
            return SCRATCH
        return {"pretext": AGBP, "agbp": AGBP, "agssp": AGSSP}.get(self.kind, WEIGHTS)

    def changes(self, coco: Path, rival: Path | None) -> dict[str, Any]:
        """Of the project's sections.

        Args:
            coco: weights trained on COCO.
            rival: what lightly-train left, for its rows.
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


class WholeStart(Pipeline):
    """A pipeline whose backbone starts from a whole detector, and keeps that detector's neck and head.

    The backbone stage leaves the backbone alone; beside weights that fill neck and head too, rows that begin
    with a fresh neck would show what that costs, and nothing of the pretraining.
    """

    @cached_property
    def backbone(self) -> Artifact:
        """The pretrained backbone within the detector it was taken from."""
        made: Artifact = super().backbone
        section = self.project.backbone
        start = resolve_start(section.start, section.name, lambda: self.run.tracker)

        def body(bench: Workbench) -> Mapping[str, Any]:
            with made.directory.local_copy(BACKBONE_FILE) as path:
                state, metadata = load_weights(path)
            rest = {key: value for key, value in start.state.items() if key not in state}
            save_weights(Path(bench.directory.path) / BACKBONE_FILE, state | rest, metadata)
            bench.directory.write_table(HISTORY_FILE, made.directory.read_table(HISTORY_FILE))
            return {"start": made.results["start"], "backbone": len(state), "rest": len(rest)}

        return ensure(
            "whole_backbone",
            workspace=self.workspace,
            pipeline=self.run,
            config={},
            inputs={"backbone": made},
            extra={"start": start.digest},
            body=body,
        )


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
    """Of a training's artifact."""
    column = training.directory.read_table(HISTORY_FILE)["seconds"].to_pylist()
    return float(sum(value for value in column if value is not None))
