"""What a transfer study compares, and how: tasks, starts, regimes, seeds, crops, schedule."""

from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

from pydantic import Field, model_validator

from cluster.config import Section, validate
from cluster.yaml_files import parse_yaml
from pipelines.images import LevelsSection
from training.dense import CropSection, DenseTask, LoraSection, Regime, check_dense_name
from training.detection import ColourSection
from training.loop import LoopSettings
from training.models import backbone_of, canonical
from training.starts import AGBP, SCRATCH, StartWord
from tuning.presets import over_preset, shipped_preset


class TransferLoop(LoopSettings):
    """`LoopSettings` with the study's defaults; the last epoch is judged, which all starts reach alike."""

    epochs: int = Field(default=50, ge=1, le=100_000)
    batch_size: int = Field(default=16, ge=1, le=1 << 16)
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = Field(default=1e-4, gt=0, le=100)
    weight_decay: float = Field(default=0.05, ge=0, le=1)
    clip_norm: float | None = Field(default=1.0, gt=0)
    eval_every: int = Field(default=5, ge=1)
    eval_at_start: bool = False


class StartSection(Section):
    """One start.

    Attributes:
        backbone: of our adapters, e.g. `resnet18`, or any timm tag, e.g. `convnext_tiny.dinov3_lvd1689m`.
        weights: `scratch`; `agbp`, pretrained here on the data set's own training images; `imagenet`, what
            timm publishes for the tag; or a file, stage directory or registered model, see `resolve_start`.
    """

    backbone: str
    weights: StartWord = SCRATCH


class TransferSection(Section):
    """The study.

    Attributes:
        tasks: `semantic` (mIoU), `instance` (mask AP), `detection` (box AP).
        starts: by name; all learn from the same images, crops, seeds and schedule.
        regimes: `frozen`, the backbone stays; `full`, all learns; `layerwise`, all learns, slower toward the
            image; `norms`, of the backbone only scales and shifts of its norms learn; `lora`, only low-rank
            updates of its attention, for ViT and Swin; `linear_then_full`, first as `frozen`, then as `full`.
        seeds: of heads, order of images and crops: one training each.
        models: of each task, put onto each start's backbone: `mask2former`, `semantic-fpn`, `mask-rcnn`,
            `faster-rcnn`, …; a name with a backbone of its own (`yolov8n`) is for starts of that backbone.
        layer_decay: of `layerwise`.
        lora: of the regime `lora`.
        probe_share: share of the epochs of `linear_then_full` in which the backbone is frozen.
        reach: share of the best start's last score whose first iteration is told for every start.
        crop, augment, levels: see there.
        normalise: images by their `dataset`'s colours, or as the `backbone` was pretrained.
        train_limit, test_limit: most images with defects to learn from, and to be measured on; None takes
            all.
        background_share: largest share of normal images among either.
        loop: of every training; `layer_decay` is the regime's.
    """

    tasks: tuple[DenseTask, ...] = ("semantic", "detection")
    starts: dict[str, StartSection]
    regimes: tuple[Regime, ...] = ("frozen", "full")
    seeds: tuple[int, ...] = (0, 1, 2)
    models: dict[DenseTask, str] = Field(
        default={"semantic": "mask2former", "instance": "mask-rcnn", "detection": "faster-rcnn"}
    )
    layer_decay: float = Field(default=0.7, gt=0, le=1)
    lora: LoraSection = LoraSection()
    probe_share: float = Field(default=0.5, gt=0, lt=1)
    reach: float = Field(default=0.9, gt=0, le=1)
    crop: CropSection = CropSection()
    augment: ColourSection = ColourSection()
    levels: LevelsSection = LevelsSection()
    normalise: Literal["dataset", "backbone"] = "dataset"
    train_limit: int | None = Field(default=None, ge=2)
    test_limit: int | None = Field(default=None, ge=2)
    background_share: float = Field(default=0.2, ge=0, lt=1)
    loop: TransferLoop = TransferLoop()

    @model_validator(mode="after")
    def _consistent(self) -> "TransferSection":
        for name in ("tasks", "starts", "regimes", "seeds"):
            entries = list(getattr(self, name))
            if not entries or len(set(entries)) != len(entries):
                raise ValueError(f"{name} must name one or more, all different")
        if any(seed < 0 or seed >= 2**31 for seed in self.seeds):
            raise ValueError("seeds must be whole numbers from 0 to 2³¹ − 1")
        if self.loop.best_metric is not None or self.loop.layer_decay is not None:
            raise ValueError("loop.best_metric and loop.layer_decay are not the user's in this study")
        if "linear_then_full" in self.regimes and self.loop.epochs < 2:
            raise ValueError("linear_then_full has two phases; set loop.epochs to 2 or more")
        for task in self.tasks:
            if task not in self.models:
                raise ValueError(f"models names none for the task {task}")
            for start in self.starts.values():
                canonical(start.backbone)
                check_dense_name(task, self.model(task, start))
        return self

    def model(self, task: DenseTask, start: StartSection) -> str:
        """The model's name on the start's backbone."""
        family = self.models[task]
        return family if backbone_of(family) == start.backbone else f"{family}+{start.backbone}"

    @property
    def probe_epochs(self) -> int:
        """First epochs of `linear_then_full`, at least one; at least one other follows."""
        return min(self.loop.epochs - 1, max(1, round(self.probe_share * self.loop.epochs)))

    def of_regime(self, regime: Regime) -> dict[str, Any]:
        """The settings that matter to one regime alone, JSON-able; older fingerprints lack them."""
        if regime == "lora":
            return {"lora": self.lora.model_dump(mode="json")}
        return {"probe_epochs": self.probe_epochs} if regime == "linear_then_full" else {}

    def deciding(self) -> dict[str, Any]:
        """All settings but those that no regime looks at, JSON-able: the study's folder is named by them."""
        settings = {"lora": "lora", "probe_share": "linear_then_full"}
        unused = {key for key, regime in settings.items() if regime not in self.regimes}
        return self.model_dump(mode="json", exclude=unused)

    def settings(self, regime: Regime, seed: int) -> LoopSettings:
        """The loop's settings of one training."""
        decay = self.layer_decay if regime == "layerwise" else None
        return self.loop.model_copy(update={"seed": seed, "layer_decay": decay})

    @property
    def pretrains(self) -> bool:
        """Whether a start is pretrained here."""
        return any(start.weights == AGBP for start in self.starts.values())


class TransferPreset(Section):
    """How large a study is run.

    Attributes:
        summary: one sentence that describes the preset.
        project: settings of the `Project` that makes the corpus and the AGBP start.
        transfer: settings of `TransferSection`.
    """

    summary: str
    project: dict[str, Any] = Field(default={})
    transfer: dict[str, Any]


class PaperLine(Section):
    """Printed figures in percent; None where the paper has none."""

    data: str
    metric: str
    start: str
    frozen: float | None = None
    full: float | None = None


class TransferPaper(Section):
    """The second paper: source, figures, findings in words, and where they contradict each other."""

    source: str
    says: tuple[str, ...]
    contradictions: tuple[str, ...] = ()
    lines: tuple[PaperLine, ...]


def transfer_preset(name: str) -> TransferPreset:
    """The preset of a name.

    Raises:
        UserError: there is none.
    """
    return shipped_preset(TransferPreset, name, room="tuning.transfer", study="The transfer study")


def transfer_section(preset: TransferPreset, words: Mapping[str, Any]) -> TransferSection:
    """The preset's study with the user's settings laid over it; the user's `starts` replace the preset's.

    Raises:
        UserError: see `validate`.
    """
    return over_preset(TransferSection, preset.transfer, words, "transfer")


def transfer_paper() -> TransferPaper:
    """The paper's figures."""
    text = (resources.files("tuning.transfer") / "paper.yaml").read_text("utf-8")
    return validate(TransferPaper, parse_yaml(text, "paper.yaml"), "The paper's figures")
