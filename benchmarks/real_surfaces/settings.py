"""The proof's settings: data sets, label counts, seeds, and the stages' config."""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from benchmarks.registry import SHARED_DATA
from cluster.config import Section, merge, validate
from cluster.yaml_files import read_config_file
from pipelines.surfaces import GenerateSection
from training.project import Project

OWN = Path(__file__).with_name("settings.yaml")
SETTINGS, WORKSPACE, LIGHTLY = "AGSSP_BENCH_SETTINGS", "AGSSP_BENCH_WORKSPACE", "AGSSP_BENCH_LIGHTLY"
SHARED_COCO = SHARED_DATA.parent / "weights" / "yolov8n_coco_int8.safetensors"
DETECTOR = "yolov8n"


class Labels(Section):
    """One column of the table.

    Attributes:
        limit: labelled images with boxes; None takes all of the training half.
        epochs: the finetuning's epochs.
    """

    limit: int | None = Field(ge=1)
    epochs: int = Field(ge=1)

    @property
    def name(self) -> str:
        """The column's name in the table."""
        return "all" if self.limit is None else str(self.limit)


class DataSection(Section):
    """One data set.

    Attributes:
        root: its folder; empty is that of its name in the shared data.
        layout: the layout it is published in.
        runs: the label counts to run with.
    """

    root: str = ""
    layout: str
    runs: tuple[Labels, ...] = Field(min_length=1)


class LightlySection(Section):
    """The rival's settings that are not its own defaults.

    Attributes:
        method: lightly-train's method. Its default, distillation, downloads a teacher; two methods
            need none, and its documentation says that DINO, one of these, works out of the box.
        image_size: the side of global views, pixels.
        batch_size: images a step.
        precision: PyTorch Lightning's word.
    """

    method: Literal["dino", "simclr"] = "dino"
    image_size: int = Field(default=224, ge=32)
    batch_size: int = Field(default=64, ge=2)
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"


class Settings(Section):
    """The whole proof.

    Attributes:
        seeds: the finetunings' seeds: few-shot choice, order, augmentation, new layers; the first is also
            that of every pretraining.
        rows: the table's rows by name; None takes all.
        test_share: the share of each data set held out by content, near-duplicates on one side.
        data: data sets by name.
        coco: weights of a YOLOv8n trained on COCO, .safetensors or .pt; empty is those of the shared data.
        generated: surfaces that join the corpus; their masks do not.
        project: sections of a project, as far as they differ from its defaults.
        from_coco: further sections for the rows that begin from COCO weights.
        lightly: the rival.
    """

    seeds: tuple[int, ...] = Field(default=(1, 2, 3), min_length=1)
    rows: tuple[str, ...] | None = Field(default=None, min_length=1)
    test_share: float = Field(default=0.5, gt=0, lt=1)
    data: dict[str, DataSection] = Field(min_length=1)
    coco: str = ""
    generated: GenerateSection
    project: dict[str, Any] = Field(default={})
    from_coco: dict[str, Any] = Field(default={})
    lightly: LightlySection = LightlySection()

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds must all be different")
        return seeds

    def root(self, name: str) -> Path:
        """The folder of a data set."""
        return Path(self.data[name].root or SHARED_DATA / name)

    @property
    def coco_file(self) -> Path:
        """Weights trained on COCO; they may be absent."""
        return Path(self.coco or SHARED_COCO)

    def present(self) -> dict[str, DataSection]:
        """The data sets whose folders are there."""
        return {name: section for name, section in self.data.items() if self.root(name).is_dir()}


def read_settings() -> Settings:
    """The shipped settings, or those of the file that `$AGSSP_BENCH_SETTINGS` names.

    Raises:
        UserError: it can't be read, or holds an unknown key or a wrong value.
    """
    path = Path(os.environ.get(SETTINGS) or OWN)
    return validate(Settings, read_config_file(path), str(path))


def workspace() -> Path:
    """Where everything is kept: `$AGSSP_BENCH_WORKSPACE`, or a folder of the working directory."""
    return Path(os.environ.get(WORKSPACE) or "workspace/real_surfaces").resolve()


def project(
    settings: Settings,
    *,
    folder: Path,
    corpus: Path,
    halves: Path,
    layout: str,
    labels: Labels,
    seed: int,
    changes: dict[str, Any],
) -> Project:
    """The project of one cell of the table.

    Args:
        settings: the proof's settings.
        folder: the workspace.
        corpus: images that pretraining sees, by category.
        halves: the data set's `train` and `test`.
        layout: the layout of both.
        labels: the column's label count.
        seed: the finetuning's random seed.
        changes: a row's changes: backbone and starts.
    """
    fixed = {"loop": {"seed": settings.seeds[0]}}
    rows = {"train": {"root": str(halves / "train"), "layout": layout}}
    rows["test"] = {"root": str(halves / "test"), "layout": layout}
    document: dict[str, Any] = {
        "name": "real-surfaces",
        "workspace": str(folder),
        "seed": seed,
        "scaling": {"workers": 0},
        "corpus": {"root": str(corpus), "layout": "folder", "test_share": 0},
        "backbone": {"name": DETECTOR, **fixed},
        "detector": {"name": DETECTOR, **fixed},
        "finetune": {
            "name": DETECTOR,
            "data": rows,
            "limit": labels.limit,
            "loop": {"epochs": labels.epochs},
        },
    }
    return validate(Project, merge(merge(settings.project, document), changes), "The proof's settings")
