"""What front and replicas say to each other: plain data, whatever the network between them."""

from dataclasses import dataclass, field
from typing import Any

Identity = tuple[int, str]  # number and weights' sha256; a number may come back


@dataclass(frozen=True)
class Asked:
    """One image to look at.

    Attributes:
        name: how messages and answers call it.
        data: its encoded bytes; empty where `uri` names it.
        uri: its address below `serve.roots`; empty where the bytes are here.
        min_score: least score of a box.
        drawn: whether the image with its boxes is asked for as PNG.
    """

    name: str
    data: bytes = b""
    uri: str = ""
    min_score: float = 0.0
    drawn: bool = False


@dataclass(frozen=True)
class Answer:
    """The boxes of one image.

    Attributes:
        model, version: the registered model that was asked.
        width, height: the image's sides, pixels, upright (turned as its EXIF says).
        boxes: `x0`, `y0`, `x1`, `y1` in these pixels, `score` and `label` of each, best first.
        picture: PNG of the image with its boxes, if it was asked for.
    """

    model: str
    version: int
    width: int
    height: int
    boxes: list[dict[str, Any]]
    picture: bytes = b""

    def document(self, name: str) -> dict[str, Any]:
        """JSON-able."""
        return {
            "name": name,
            "width": self.width,
            "height": self.height,
            "boxes": self.boxes,
            "model": {"name": self.model, "version": self.version},
        }


@dataclass(frozen=True)
class Fault:
    """An image that gets no boxes.

    Attributes:
        status: HTTP status.
        reason: half a sentence that says why.
    """

    status: int
    reason: str


@dataclass(frozen=True)
class Standing:
    """What one replica says of itself.

    Attributes:
        replica: its name.
        pid: its process.
        model: the model's name.
        identity: the version it serves.
        grounds: why that version was taken.
        refused: number of the version that the alias means and that was refused; None where there is none.
        reason: why it was refused, or why the registry can't be read.
        refusals: refusals since it began.
        registry: whether the registry was readable at the last look.
        images, batches: looked at since it began.
        seconds: time spent on batches.
    """

    replica: str
    pid: int
    model: str
    identity: Identity
    grounds: str = ""
    refused: int | None = None
    reason: str = ""
    refusals: int = 0
    registry: bool = True
    images: int = 0
    batches: int = 0
    seconds: float = 0.0

    @property
    def version(self) -> int:
        """Number of the version it serves."""
        return self.identity[0]


@dataclass(frozen=True)
class Report:
    """A replica's message to the board.

    Attributes:
        standing: what it says of itself.
        instead_of: the version that it left for its own by its own judgement; None where it took none.
    """

    standing: Standing
    instead_of: Identity | None = field(default=None)
