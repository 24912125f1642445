"""The config of detector pretraining and finetuning."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipelines.corpus import LabelledDataSection
from training.detection.augment_section import BoxAugment, DetectorAugment
from training.detection.rates import rated
from training.loop import LoopSettings
from training.models import (
    DetectorTiles,
    Freeze,
    Masks,
    Resize,
    check_detector_name,
    check_masks,
    weighs_boxes,
)
from training.starts import AGBP, AGSSP, OWN_STARTS, PUBLISHED, SCRATCH, SURFACE, StartWord

if TYPE_CHECKING:
    from training.models import Preprocessing

FLOOR = 0.1  # least score of a detection that a further round looks at at all
# In a further round of finetuning, images drawn for each labelled one: a third is labelled by a person.
DRAWN_EACH = 2


class DetectorLoop(LoopSettings):
    """`LoopSettings` with this stage's defaults: 8 epochs of batches of 16 (docs/method.md#settings).

    The paper has 10 epochs. Its SGD (lr 0.01, batch 256) steps on a loss summed over the batch; ours is its
    mean, for which AdamW needs no factor.
    """

    epochs: int = Field(default=8, ge=1, le=100_000)
    batch_size: int = Field(default=16, ge=1, le=1 << 16)
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, le=100)
    weight_decay: float = Field(default=0.01, ge=0, le=1)


class DetectorSection(DetectorTiles):
    """How the detector is pretrained (docs/method.md#agdp).

    With `tiles` images are cut before they become inputs; half of the tiles at most have no box.

    Attributes:
        name: the detector's name; its backbone is that of the backbone stage.
        image_size: side of the input, pixels; images are resized uniformly (stretched to the square).
        boxes: what it learns to find: `maps`, the pseudo-boxes, as in the method; `painted`, defects that
            `paint` draws onto the images, for which neither maps nor references are needed; `both`, where no
            painted box overlaps a pseudo-box; `labels`, the labelled boxes of the corpus' training split as
            one class, which tells how much better boxes could bring; `auto`, `both` where the labels that
            the finetuning learns show that the pseudo-boxes are good, else `painted`.
        ignore: what is hidden in training, neither object nor background: `nothing`; or `maps`, with
            `boxes=painted`, the pseudo-boxes: real defects are then not learnt as background.
        rounds: trainings one after another, each from `start`. From the second on, the detector before
            corrects the boxes (docs/method.md#rounds): its surest detections stand for the maps'
            pseudo-boxes; beside painted defects those that the maps agree with are learnt too. What is
            doubtful is hidden, neither object nor background. Each round takes the time of the first.
        start: weights before the first step: `agbp`, the backbone stage's; `imagenet`, `coco`, `surface`,
            `scratch`, a file, stage directory or registered model, see `starts.resolve_start`. None: `coco`
            for `painted`, `labels` and `auto`, else `agbp`.
        freeze_backbone: keep the backbone, batch-norm statistics included, as it starts; true in the paper.
            False: from COCO's weights true boxes of steel strip gained 9.6 points so, 1.1 frozen at 1e-4.
        confidence_weighted: multiply a pseudo-box's part of the loss by its score over the mean score of all,
            so that the loss keeps its scale. Not offered by the DETR family, nor for painted and labelled
            boxes, which have no scores.
        masks: what a mask-rcnn's mask head learns: `none`, nothing, it stays as it starts; `boxes`, the
            pseudo-boxes filled out, which is coarser than the maps they come from.
        holdout: share of the images kept from training; AP is measured on their pseudo-boxes.
        augment: augmentation of training images.
        loop: the training's settings; of DETR's family `lr` is 1e-4 where none is given.
    """

    name: str = "yolov8n"
    image_size: int = Field(default=224, ge=32, le=4096, multiple_of=32)
    boxes: Literal["maps", "painted", "both", "labels", "auto"] = "maps"
    ignore: Literal["nothing", "maps"] = "nothing"
    rounds: int = Field(default=1, ge=1, le=5)
    start: StartWord | None = None
    freeze_backbone: bool = False
    confidence_weighted: bool = False
    masks: Masks = "none"
    holdout: float = Field(default=0.1, ge=0, lt=1)
    augment: DetectorAugment = DetectorAugment()
    loop: DetectorLoop = DetectorLoop()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return check_detector_name(name)

    @field_validator("loop")
    @classmethod
    def _rate_of_its_kind(cls, loop: DetectorLoop, info: ValidationInfo) -> DetectorLoop:
        return rated(loop, info.data.get("name"))

    @model_validator(mode="after")
    def _detector_can(self) -> "DetectorSection":
        if self.confidence_weighted and not weighs_boxes(self.name):
            raise ValueError(f"{self.name} can't be trained with confidence_weighted=true")
        if self.confidence_weighted and self.boxes != "maps":
            raise ValueError(
                "confidence_weighted=true needs boxes=maps: labelled and painted boxes have no scores"
            )
        if self.ignore == "maps" and self.boxes != "painted":
            raise ValueError("ignore=maps needs boxes=painted; with other boxes nothing is left to hide")
        if self.rounds > 1 and self.boxes == "labels":
            raise ValueError("rounds above 1 correct pseudo-boxes and painted defects, not labels")
        if self.rounds > 1 and self.confidence_weighted:
            raise ValueError(
                "confidence_weighted=true needs rounds=1: a detector's scores have a scale of their own"
            )
        if self.start == AGSSP:
            raise ValueError(f"start={AGSSP} is what this stage makes; it begins with e.g. {AGBP} or coco")
        check_masks(self.name, self.masks)
        return self

    @property
    def begins_with(self) -> str:
        """`start`, or what None means."""
        return self.start or (AGBP if self.boxes in ("maps", "both") else "coco")

    @property
    def needs_pseudo_boxes(self) -> bool:
        """Whether the boxes stage comes first."""
        return self.reads_pseudo_boxes(self.rounds)

    def reads_pseudo_boxes(self, number: int) -> bool:
        """Whether a round, counted from 1, reads the boxes stage's; painted ones do from the second on."""
        later = self.boxes == "painted" and number > 1
        return self.boxes in ("maps", "both", "auto") or self.ignore == "maps" or later

    @property
    def needs_painted(self) -> bool:
        """Whether the paint stage is learnt from."""
        return self.boxes in ("painted", "both", "auto")

    @property
    def paints_beside_boxes(self) -> bool:
        """Whether nothing is painted over pseudo-boxes, as these are learnt too, or hidden."""
        return self.boxes in ("both", "auto") or self.ignore == "maps"

    @property
    def needs_backbone(self) -> bool:
        """Whether the backbone stage comes first."""
        return self.begins_with == AGBP

    @property
    def needs_maps(self) -> bool:
        """Whether any stage before it reads anomaly maps."""
        return self.needs_pseudo_boxes or self.needs_backbone

    def learning(self, boxes: Literal["painted", "both"]) -> "DetectorSection":
        """The section with these boxes in the place of `auto`; it begins with the same weights."""
        return self.model_copy(update={"boxes": boxes, "start": self.begins_with})

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides a detector, JSON-able; without the method's own sources, as in former versions.

        A round is told by what it reads: the first is the same whatever `rounds` is.
        """
        written = self.model_dump(mode="json", exclude={"boxes", "start", "ignore", "rounds"})
        known = self.begins_with in (AGBP, SCRATCH, *PUBLISHED)  # a file counts by its content, not its path
        begins = self.begins_with if known else "weights"
        sources = {"boxes": self.boxes, "start": begins, "ignore": self.ignore}
        plain = {"boxes": "maps", "start": AGBP, "ignore": "nothing"}
        return written | {key: value for key, value in sources.items() if value != plain[key]}


Side = Annotated[int, Field(ge=32, le=4096, multiple_of=32)]


class FinetuneLoop(LoopSettings):
    """`LoopSettings` with this stage's defaults: 500 epochs, batch 32, the best epoch kept.

    AdamW instead of the paper's SGD (lr 0.0025 on a loss summed over the batch; ours is its mean); see
    docs/method.md#settings.
    """

    epochs: int = Field(default=500, ge=1, le=100_000)
    batch_size: int = Field(default=32, ge=1, le=1 << 16)
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0, le=100)
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    warmup_epochs: float = Field(default=3.0, ge=0)
    ema_decay: float | None = Field(default=0.999, gt=0, lt=1)
    eval_every: int = Field(default=5, ge=1)
    best_metric: str | None = "map50_95"


class FinetuneSection(DetectorTiles):
    """How a detector is finetuned, alike from each of several starts.

    With `tiles` images are cut before they become inputs; `background_share` holds for tiles then, too. Give
    `evaluate` and `predict` the same.

    Attributes:
        name: the detector's name.
        image_size: side of the square input, or its height and width (`[256, 1600]` for strips), pixels.
        resize: `letterbox` keeps the aspect, `square` stretches.
        starts: starts to compare: `scratch`, `agbp` (pretrained backbone), `agssp` (pretrained detector),
            `imagenet` and `coco` (published by the library), `surface` (shipped, for YOLOv8n), names of
            `weights`.
        weights: further starts, name → file, stage directory or registered model, in the library's keys; see
            `starts.resolve_start`.
        data: labelled images to learn from and to measure on; None takes the corpus' own labels.
        limit: number of labelled images with boxes that are taken from the training split, chosen by seed,
            classes in turn; None takes all. `validation_share` of them choose the best epoch, images without
            boxes come on top (`background_share`), so that fewer or more may be learnt from.
        background_share: largest share of training images without boxes.
        validation_share: share of the *training* split whose AP chooses the best epoch; the test split is
            never read. 0 trains on all and keeps the last epoch.
        freeze: what stays as it starts, batch-norm statistics included: `none`, `backbone`, `backbone+neck`,
            or a number: so many of the backbone's first stages.
        masks: what a mask-rcnn's mask head learns: `none`, nothing; `boxes`, the boxes filled out.
        rounds: trainings one after another, each from the start. From the second on, what the detector before
            finds on images of the corpus without labels is learnt beside the labels: self-training
            (docs/method.md#self-training). Each further round takes three times the first.
        sure: score from which such a detection is learnt; others are hidden, neither object nor background.
        augment: augmentation of training images.
        loop: the training's settings; `best_metric` is `map50`, `map50_95` or None; of DETR's family `lr` is
            1e-4 where none is given.
    """

    name: str = "yolov8n"
    image_size: Side | tuple[Side, Side] = 640
    resize: Resize = "letterbox"
    starts: tuple[str, ...] = (SCRATCH, AGBP, AGSSP)
    weights: dict[str, StartWord] = Field(default={})
    data: LabelledDataSection | None = None
    limit: int | None = Field(default=None, ge=1)
    background_share: float = Field(default=0.2, ge=0, lt=1)
    validation_share: float = Field(default=0.15, ge=0, lt=1)
    freeze: Freeze = "none"
    masks: Masks = "none"
    rounds: int = Field(default=1, ge=1, le=5)
    sure: float = Field(default=0.5, ge=FLOOR, le=1)
    augment: BoxAugment = BoxAugment()
    loop: FinetuneLoop = FinetuneLoop()

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return check_detector_name(name)

    @field_validator("loop")
    @classmethod
    def _rate_of_its_kind(cls, loop: FinetuneLoop, info: ValidationInfo) -> FinetuneLoop:
        return rated(loop, info.data.get("name"))

    @model_validator(mode="after")
    def _starts_exist(self) -> "FinetuneSection":
        check_masks(self.name, self.masks)
        if not self.starts or len(set(self.starts)) != len(self.starts):
            raise ValueError("starts must name one or more starts, all different")
        if reserved := sorted(set(self.weights) & {*OWN_STARTS, SURFACE}):
            raise ValueError(f'weights can\'t be named "{reserved[0]}", which is a start of its own')
        valid = (*OWN_STARTS, *PUBLISHED, SURFACE, *self.weights)
        if unknown := [start for start in self.starts if start not in valid]:
            raise ValueError(
                f'there is no start "{unknown[0]}"; valid: {", ".join(valid)}, or a name of finetune.weights'
            )
        if self.loop.best_metric is not None and self.validation_share == 0:
            raise ValueError(
                "validation_share=0 leaves nothing to choose the best epoch by; set loop.best_metric=null"
            )
        return self

    @property
    def product(self) -> str:
        """The start whose detector is registered: AGSSP where it is among them, else the last."""
        return AGSSP if AGSSP in self.starts else self.starts[-1]

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides a detector beside its start, JSON-able.

        A round is told by what it reads: the first is the same whatever `rounds` and `sure` are.
        """
        return self.model_dump(mode="json", exclude={"starts", "weights", "data", "rounds", "sure"})

    @property
    def given(self) -> dict[str, str]:
        """The starts that are neither made here nor random, as words for `starts.resolve_start`."""
        words = {start: start for start in self.starts if start in (*PUBLISHED, SURFACE)}
        return {start: word for start, word in {**words, **self.weights}.items() if start in self.starts}

    @property
    def preprocessing(self) -> "Preprocessing":
        """How images become inputs."""
        from training.models import Preprocessing  # brings OpenCV

        return Preprocessing(self.image_size, self.resize)
