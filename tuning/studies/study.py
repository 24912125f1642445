"""A declared study: rows of settings, datasets, seeds, and the paper's figures beside them."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

from pydantic import Field, model_validator

from cluster.config import Section, merge, validate
from cluster.yaml_files import parse_yaml
from tuning.outcomes import OUTCOMES


class StudyRow(Section):
    """One row.

    Attributes:
        names: its cells under the study's `columns`.
        model: key of the preset's `models`; None takes the base alone.
        config: project settings of this row.
        start: start of the finetuning; None where the row can't be run here.
        not_run: reason why the row can't be run here.
        by_preset: further project settings, by preset.
        paper: printed figures: for each of `paper_datasets` one for each of `paper_metrics`; None where the
            paper prints none.
    """

    names: tuple[str, ...]
    model: str | None = None
    config: dict[str, Any] = Field(default={})
    by_preset: dict[str, dict[str, Any]] = Field(default={})
    start: str | None = None
    not_run: str | None = None
    paper: tuple[tuple[float | None, ...], ...] = ()


class Preset(Section):
    """How large a study is run.

    Attributes:
        summary: one sentence that describes the preset.
        seeds: seeds of the project; each makes a cell.
        base: project settings under the user's own.
        datasets: project settings for the finetuning's images, by name. Where they are None, or `corpus` has
            no images, the user must give them. A dataset with a `corpus` or `generate` of its own is
            finetuned on that and pretrained on the base's.
        models: project settings by `StudyRow.model`.
        starts: starts that this preset takes in the place of a row's.
    """

    summary: str
    seeds: tuple[int, ...] = (0,)
    base: dict[str, Any] = Field(default={})
    datasets: dict[str, dict[str, Any] | None]
    models: dict[str, dict[str, Any]] = Field(default={})
    starts: dict[str, str] = Field(default={})


class Study(Section):
    """A study as its YAML declares it.

    Attributes:
        title: title with the paper's number.
        source: source of the paper's figures.
        says: the paper's finding in words, where it prints no figures.
        columns: heads of the rows' names.
        picture: how `figure.png` shows the rows: as bars, or as points of lines where they are steps of one
            setting.
        metrics: measured outcomes, see `tuning/outcomes.py`.
        paper_datasets, paper_metrics: datasets and metrics of the paper's figures.
        notes: remarks that belong to the table.
        presets: presets by name.
        rows: rows in order.
    """

    title: str
    source: str
    says: str | None = None
    columns: tuple[str, ...]
    picture: Literal["bars", "lines"] = "bars"
    metrics: tuple[str, ...]
    paper_datasets: tuple[str, ...] = ()
    paper_metrics: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    presets: dict[str, Preset]
    rows: tuple[StudyRow, ...]

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        for row in self.rows:
            shape = [len(figures) for figures in row.paper]
            if len(row.names) != len(self.columns):
                raise ValueError(f"row {row.names} has not the columns {self.columns}")
            if row.paper and shape != [len(self.paper_metrics)] * len(self.paper_datasets):
                raise ValueError(f"row {row.names}: the paper's figures are not {self.paper_datasets}")
            if (row.start is None) == (row.not_run is None):
                raise ValueError(f"row {row.names} needs either a start or the reason for having none")
        if unknown := set(self.metrics) - set(OUTCOMES):
            raise ValueError(f"no stage produces {sorted(unknown)}")
        return self


def studies() -> dict[str, str]:
    """Declared studies: name to YAML text."""
    folder = resources.files("tuning.studies") / "declared"
    return {
        entry.name.removesuffix(".yaml"): entry.read_text("utf-8")
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".yaml")
    }


def shared_presets() -> dict[str, Any]:
    """Settings that the presets of all studies share: `base` and `models` by preset."""
    text = (resources.files("tuning.studies") / "presets.yaml").read_text("utf-8")
    return parse_yaml(text, "study_presets.yaml")


def load_study(name: str) -> Study:
    """The study of a name from `studies`; its presets are laid over `shared_presets`."""
    shared = shared_presets()
    declared = parse_yaml(studies()[name], name)
    presets = {key: merge(shared.get(key, {}), preset) for key, preset in declared["presets"].items()}
    return validate(Study, {**declared, "presets": presets}, f"Study {name}")


@dataclass
class CellResult:
    """A row on a dataset: figures of each seed, or why there are none.

    Attributes:
        row: place of the row.
        dataset: name of the dataset.
        seeds: figures by seed; a figure is None where its stage didn't give it.
        not_run: reason, where a cell could not be run.
    """

    row: int
    dataset: str
    seeds: dict[int, dict[str, float | None]] = field(default_factory=dict)
    not_run: str | None = None

    def mean(self, metric: str) -> tuple[float, float | None] | None:
        """Mean over the seeds, and their standard deviation (n − 1; None for a single seed)."""
        values = [figures[metric] for figures in self.seeds.values()]
        known = [value for value in values if value is not None]
        if not known:
            return None
        return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None

    def document(self, study: Study) -> dict[str, Any]:
        """The result as JSON-able data."""
        means = {name: self.mean(name) for name in study.metrics}
        return {
            "row": dict(zip(study.columns, study.rows[self.row].names, strict=True)),
            "dataset": self.dataset,
            "seeds": {str(seed): figures for seed, figures in self.seeds.items()},
            "mean": {name: value[0] for name, value in means.items() if value},
            "deviation": {name: value[1] for name, value in means.items() if value},
            "not_run": self.not_run,
        }


def selected_rows(study: Study, only: Iterable[str]) -> Sequence[int]:
    """Places of the rows whose names have every word of `only`, ignoring case; all rows without a word."""
    words = [word.lower() for word in only]
    return [
        place
        for place, row in enumerate(study.rows)
        if all(any(word in name.lower() for name in row.names) for word in words)
    ]


def with_data(preset: Preset, data: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any] | None]:
    """The preset's datasets with the user's own laid over them; new names are added."""
    datasets: dict[str, dict[str, Any] | None] = dict(preset.datasets)
    for name, config in data.items():
        datasets[name] = merge(datasets.get(name) or {}, config)
    return datasets
