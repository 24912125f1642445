"""Where a loop stands: a row a round, and the next step in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.active_learning.rounds import ASKED, DECISION, LABELS, Round

STOPPED = "stopped"
TOOLS = {
    "label-studio": "Label Studio",
    "cvat": "CVAT",
    "labelme": "LabelMe",
    "coco": "a tool that takes COCO",
    "yolo": "a tool that takes YOLO",
    "voc": "a tool that takes Pascal VOC",
}
DRIFT_WORDS = {"drift": "drifted", "no_drift": "none found", "no_verdict": "no verdict"}


@dataclass(frozen=True)
class Standing:
    """Where a loop stands.

    Attributes:
        model: the registered model's name.
        alias: alias of the version in use.
        in_use: `NAME@VERSION` of it, as the last round left it; None before the first one.
        rounds: a row a round, see `row_of`.
        state: `begin`, `stopped`, `label`, `train` or `decided`.
        next: the next step in one sentence.
        page: path or URI of the page.
    """

    model: str
    alias: str
    in_use: str | None
    rounds: Sequence[Mapping[str, Any]]
    state: str
    next: str
    page: str

    def document(self) -> dict[str, Any]:
        """JSON-able."""
        return {**vars(self), "rounds": list(self.rounds)}


def standing_of(rounds: Sequence[Round], model: str, alias: str, page: str) -> Standing:
    """Where the loop of these rounds stands."""
    state, sentence = _next_step(rounds[-1] if rounds else None)
    in_use = None
    if rounds:
        last = rounds[-1].record
        promoted = last.get(DECISION, {}).get("promoted")
        in_use = str(last["candidate"] if promoted else last["model"])
    return Standing(model, alias, in_use, [row_of(each) for each in rounds], state, sentence, page)


def row_of(one: Round) -> dict[str, Any]:
    """A round in short: images, drift, labels, figures of both versions and the decision; None is unknown."""
    record = one.record
    asked, back = record.get(ASKED, {}), record.get("back", {})
    compared, decision = record.get("compared", {}), record.get(DECISION, {})
    figures = ("metric", "in_use", "candidate", "difference", "low", "high", "p")
    return {
        "round": one.number,
        "opened": record["opened"],
        "model": record["model"],
        "candidate_model": record.get("candidate"),
        "new_images": record.get("new", {}).get("images"),
        "with_boxes": record.get("new", {}).get("with_boxes"),
        "drift": DRIFT_WORDS.get(record.get("drift", {}).get("kind", "")),
        "drift_sentence": record.get("drift", {}).get("sentence"),
        "asked": asked.get("count"),
        "labelled": back.get("labelled", 0) if asked else None,
        "missing": back.get("missing", asked.get("count")) if asked else None,
        "boxes": back.get("boxes"),
        "normal": back.get("normal"),
        **{name: compared.get(name) for name in figures},
        "promoted": decision.get("promoted"),
        "decision": decision.get("why"),
        "decided": decision.get("at"),
        "lineage": record,
    }


def _next_step(last: Round | None) -> tuple[str, str]:
    if last is None:
        return "begin", "Run agssp loop: it looks at the new images and chooses those to label first."
    record = last.record
    if last.has(DECISION):
        return "decided", (
            f"Round {last.number} is decided: {record[DECISION]['why']} Put further images into "
            f"{record['new']['where']} and run the same command again to begin round {last.number + 1}."
        )
    if last.has(LABELS):
        return "train", "Run the same command again: training and comparison go on where they stand."
    if last.has(ASKED):
        asked, back = record[ASKED], record.get("back")
        tool, folder = TOOLS[asked["to"]], asked["folder"]
        if back is None or not back["labelled"]:
            return "label", (
                f"Label the {asked['count']} images in {folder} with {tool}, put what it exports into "
                f"{asked['labelled']}, then run the same command again."
            )
        few = ", ".join(back["first_missing"])
        more = ", …" if back["missing"] > len(back["first_missing"]) else ""
        return "label", (
            f"{back['labelled']} of {asked['count']} images are labelled; label the other {back['missing']} "
            f"({few}{more}) of {folder} with {tool}, put what it exports into {asked['labelled']} and run "
            "the same command again, or leave them out by --despite missing."
        )
    return STOPPED, (
        f"The new images have drifted: look at {record['drift']['page']}; run again with --despite drift "
        "where that is meant, or with other images."
    )
