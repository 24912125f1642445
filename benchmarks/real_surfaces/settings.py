"""The proof's settings: data sets, and the comparisons to make on each of them."""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from benchmarks.registry import SHARED_DATA
from cluster.config import Section, merge, validate
from cluster.yaml_files import read_config_file
from tuning.gain import GainSection, GainSet, gain_preset, gain_section, gain_sets

OWN = Path(__file__).with_name("settings.yaml")
SETTINGS, WORKSPACE, LIGHTLY = "AGSSP_BENCH_SETTINGS", "AGSSP_BENCH_WORKSPACE", "AGSSP_BENCH_LIGHTLY"
SHARED_COCO = SHARED_DATA.parent / "weights" / "yolov8n_coco_int8.safetensors"
COCO = "coco"


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


class Comparison(Section):
    """What `agssp study gain` is asked for.

    Attributes:
        gain: its own settings over the preset's; the start `coco` is the proof's file.
        project: those of the project.
    """

    gain: dict[str, Any] = Field(default={})
    project: dict[str, Any] = Field(default={})


class Settings(Section):
    """The whole proof.

    Attributes:
        preset: preset of the gain study that all settings lie over.
        seeds: seeds of every comparison.
        data: folder of each data set; empty is that of its name in the shared data.
        coco: weights of the detector trained on COCO, .safetensors or .pt; empty is those of the shared data.
        comparisons: by name, in the order in which they are made.
        beside: the starts named here are also pretrained by AGBP alone and by the rival, and these starts
            are finetuned as they are; None leaves that out.
        lightly: the rival.
    """

    preset: str = "quick"
    seeds: tuple[int, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    data: dict[str, str] = Field(min_length=1)
    coco: str = ""
    comparisons: dict[str, Comparison] = Field(min_length=1)
    beside: Comparison | None = None
    lightly: LightlySection = LightlySection()

    def root(self, name: str) -> Path:
        """The folder of a data set."""
        return Path(self.data[name] or SHARED_DATA / name)

    @property
    def coco_file(self) -> Path:
        """Weights trained on COCO; they may be absent."""
        return Path(self.coco or SHARED_COCO)

    @property
    def present(self) -> list[str]:
        """The data sets whose folders are there."""
        return [name for name in self.data if self.root(name).is_dir()]

    @property
    def summary(self) -> str:
        """The preset in one sentence."""
        return gain_preset(self.preset).summary

    def section(self, comparison: Comparison) -> GainSection | None:
        """The study of a comparison; None where all its starts are COCO's and that file is absent.

        Raises:
            UserError: a setting is wrong.
        """
        section = gain_section(gain_preset(self.preset), {"seeds": list(self.seeds), **comparison.gain})
        starts = {
            name: str(self.coco_file) if word == COCO else word
            for name, word in section.starts.items()
            if word != COCO or self.coco_file.is_file()
        }
        return section.model_copy(update={"starts": starts}) if starts else None

    def sets(
        self, comparison: Comparison, section: GainSection, names: list[str], folder: Path
    ) -> list[GainSet]:
        """The data sets of a comparison, all in one workspace.

        Args:
            comparison, section: comparison and its study.
            names: data sets.
            folder: workspace.
        """
        words = merge({"name": "real-surfaces", "workspace": str(folder)}, comparison.project)
        roots = [str(self.root(name)) for name in names]
        return gain_sets(gain_preset(self.preset), roots, words, section)


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
