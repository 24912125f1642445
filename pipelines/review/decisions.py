"""The review: a person's decisions on images, pseudo-boxes and references, and what these leave out."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from cluster.config import Section
from cluster.errors import UserError
from cluster.fault_words import in_words
from cluster.stages import claimed
from cluster.storage import Storage
from pipelines.tables import sides

FOLDER, FILE = "review", "decisions.json"
MAX_BYTES = 256 << 20
MOST_BOXES = 1000  # decided in one image
SAME_BOX = 0.8  # IoU; the default of boxes.nms_iou, above which no two boxes of an image exist

Verdict = Literal["accepted", "rejected"]
ImageId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Side = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Corners = tuple[Side, Side, Side, Side]


class BoxDecision(Section):
    """A verdict on one pseudo-box.

    Attributes:
        box: x0 y0 x1 y1, pixels of the original image.
        verdict: the person's verdict.
    """

    box: Corners
    verdict: Verdict


class Decisions(Section):
    """All decisions in a workspace by image id. The id is a content hash, so decisions outlive new maps.

    Attributes:
        version: number of this format.
        images: verdicts on whole images.
        references: verdicts on images as normal references.
        boxes: verdicts on pseudo-boxes.
    """

    version: Literal[1] = 1
    images: dict[ImageId, Verdict] = Field(default={})
    references: dict[ImageId, Verdict] = Field(default={})
    boxes: dict[ImageId, Annotated[tuple[BoxDecision, ...], Field(max_length=MOST_BOXES)]] = Field(default={})


class Change(Section):
    """One decision as the page sends it.

    Attributes:
        image_id: id of the image.
        kind: kind of object that is decided on.
        box: corners of the box; None for another kind.
        verdict: None takes a former verdict back.
    """

    image_id: ImageId
    kind: Literal["image", "reference", "box"]
    box: Corners | None = None
    verdict: Verdict | None = None

    def model_post_init(self, context: Any, /) -> None:
        """Check that a box is given exactly where one is decided on."""
        if (self.box is not None) != (self.kind == "box"):
            raise ValueError("corners belong to a decision on a box, and to no other")


def read_decisions(workspace: Storage) -> Decisions | None:
    """The review of a workspace; None where there is none.

    Raises:
        UserError: the file is damaged.
    """
    folder = workspace.at(FOLDER)
    if not folder.exists(FILE):
        return None
    data = folder.read(FILE)
    try:
        if len(data) > MAX_BYTES:
            raise ValueError("it is too large")
        return Decisions.model_validate_json(data)
    except (ValidationError, ValueError) as error:
        faults = error.errors() if isinstance(error, ValidationError) else []
        reason = in_words(faults[0]) if faults else str(error)
        raise UserError(
            f"The review {folder.uri}/{FILE} is damaged ({reason}); restore it from a copy, or move it away "
            "to go on without."
        ) from None


def save_changes(workspace: Storage, changes: Sequence[Change]) -> Decisions:
    """Add changes to the stored review and write it whole.

    Two pages of one workspace, on two machines too, write one after the other: neither loses what the other
    decided.

    Raises:
        UserError: see `read_decisions` and `apply`; a review too large to be read again.
    """
    folder = workspace.at(FOLDER)
    folder.create()
    with claimed(FOLDER, folder, lambda: False):
        return _saved(workspace, changes)


def _saved(workspace: Storage, changes: Sequence[Change]) -> Decisions:
    decisions = apply(read_decisions(workspace) or Decisions(), changes)
    text = json.dumps(decisions.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    data = f"{text}\n".encode()
    if len(data) > MAX_BYTES:
        raise UserError(
            f"The review would grow beyond {MAX_BYTES >> 20} MiB, the most that is read; nothing was "
            "saved: take former decisions back first."
        )
    workspace.at(FOLDER).write(FILE, data)
    return decisions


def apply(decisions: Decisions, changes: Iterable[Change]) -> Decisions:
    """The decisions after the changes, in their order.

    Raises:
        UserError: more than `MOST_BOXES` decided boxes in one image.
    """
    images, references, boxes = dict(decisions.images), dict(decisions.references), dict(decisions.boxes)
    for change in changes:
        key = change.image_id
        if change.box is not None:
            decided = [each for each in boxes.pop(key, ()) if each.box != change.box]
            if change.verdict is not None:
                decided.append(BoxDecision(box=change.box, verdict=change.verdict))
            if decided:
                boxes[key] = tuple(decided)
            continue
        verdicts = images if change.kind == "image" else references
        if change.verdict is None:
            verdicts.pop(key, None)
        else:
            verdicts[key] = change.verdict
    for key, decided_boxes in boxes.items():
        if len(decided_boxes) > MOST_BOXES:
            raise UserError(
                f"At most {MOST_BOXES:,} boxes of one image can be decided on, and {key} would have "
                f"{len(decided_boxes):,}; nothing was saved: reject the image whole, or take decisions back."
            )
    return Decisions(images=images, references=references, boxes=boxes)


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes x0 y0 x1 y1; 0 where either is empty."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def verdict_on(box: Sequence[float], decided: Sequence[BoxDecision]) -> Verdict | None:
    """The verdict on a pseudo-box: that of the decided box it overlaps most, by `SAME_BOX` at least.

    So it lasts when another threshold moves the box's edges a little. The later of equal overlaps counts.
    """
    best, verdict = SAME_BOX, None
    for each in decided:
        iou = overlap(box, each.box)
        if iou >= best:
            best, verdict = iou, each.verdict
    return verdict


@dataclass(frozen=True)
class LeftOut:
    """What a review takes out of a boxes table.

    Attributes:
        images: ids of rejected images.
        boxes: corners of rejected boxes by image id; these images stay without them.
    """

    images: frozenset[str]
    boxes: Mapping[str, tuple[Corners, ...]]

    @property
    def count(self) -> int:
        """Number of rejected boxes, without those of rejected images."""
        return sum(len(boxes) for boxes in self.boxes.values())

    def document(self) -> dict[str, Any]:
        """The same as a JSON-able mapping, sorted."""
        boxes = {key: sorted(map(list, boxes)) for key, boxes in sorted(self.boxes.items())}
        return {"images": sorted(self.images), "boxes": boxes}

    def __bool__(self) -> bool:
        return bool(self.images or self.boxes)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what is left out; acceptances don't change it."""
        return hashlib.sha256(json.dumps(self.document(), sort_keys=True).encode()).hexdigest()

    def kept(self, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The rows of the boxes table without rejected images and boxes."""
        remaining = []
        for row in rows:
            if row["image_id"] in self.images:
                continue
            gone = set(self.boxes.get(row["image_id"], ()))
            remaining.append({**row, "boxes": [box for box in row["boxes"] if sides(box) not in gone]})
        return remaining


def left_out(decisions: Decisions, rows: Iterable[Mapping[str, Any]]) -> LeftOut:
    """What the decisions take out of these rows of the boxes table; decisions on other images don't count."""
    images: set[str] = set()
    boxes: dict[str, tuple[Corners, ...]] = {}
    for row in rows:
        key = row["image_id"]
        if decisions.images.get(key) == "rejected":
            images.add(key)
            continue
        decided = decisions.boxes.get(key, ())
        gone = tuple(each for box in row["boxes"] if verdict_on(each := sides(box), decided) == "rejected")
        if gone:
            boxes[key] = gone
    return LeftOut(frozenset(images), boxes)
