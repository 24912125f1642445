"""The cells of a study: which trainings can be run, and why others can't. Nothing is started."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.config import merge, section_of, validate
from cluster.errors import UserError, nearest
from training.opening import check_project
from training.project import Project
from training.starts import OWN_STARTS, PUBLISHED, SURFACE
from tuning.studies.lacks import Lack, downloads, large_step, missing_weights
from tuning.studies.study import Preset, Study, selected_rows, with_data

OWN_IMAGES = ("corpus", "generate")  # sections that decide which images there are


@dataclass(frozen=True)
class Cell:
    """One training to run, or the reason for not running it.

    Attributes:
        row, dataset, seed: place of the row, name of the dataset, seed of the project.
        pretraining: project with the corpus of the pretraining; None where there is nothing to run.
        target: project with the corpus of finetuning and evaluation; the same unless the dataset has its own.
        lacks: all that keeps it from being run.
        downloads: published weights that it would fetch on first use, in words.
        large_step: the largest step of its trainings in words, where that is none for CPUs.
    """

    row: int
    dataset: str
    seed: int
    pretraining: Project | None = None
    target: Project | None = None
    lacks: tuple[Lack, ...] = ()
    downloads: tuple[str, ...] = ()
    large_step: str | None = None

    @property
    def not_run(self) -> str | None:
        """Reason for not running it; None where it can be run."""
        return "; ".join(lack.what for lack in self.lacks) or None

    def document(self, study: Study) -> dict[str, Any]:
        """JSON-able, in short."""
        names = study.rows[self.row].names
        settings = dict(zip(study.columns, names, strict=True))
        fixed = {"names": names, "settings": settings, "dataset": self.dataset, "seed": self.seed}
        lacks = [{"kind": lack.kind, "what": lack.what} for lack in self.lacks]
        asks = {"downloads": list(self.downloads), "large_step": self.large_step}
        return {**fixed, "not_run": self.not_run, "lacks": lacks, **asks}


def check_preset(study: Study, name: str) -> Preset:
    """The preset of a name.

    Raises:
        UserError: there is none.
    """
    if name not in study.presets:
        raise UserError(f'The study has no preset "{name}"; {nearest(name, study.presets)}')
    return study.presets[name]


def plan_cells(
    study: Study,
    preset_name: str,
    words: Mapping[str, Any],
    data: Mapping[str, Mapping[str, Any]],
    *,
    seeds: Sequence[int] | None,
    only: Sequence[str],
    check: Callable[[Project], None] = check_project,
) -> list[Cell]:
    """Every cell with its projects, checked, or with the reason why it can't be run. Nothing is started.

    Args:
        study, preset_name: the declared study, and one of its presets.
        words: the user's own settings, over the preset's and under a row's.
        data: the user's datasets by name.
        seeds: seeds in the place of the preset's; None takes the preset's.
        only: words that a row's names must have, see `selected_rows`.
        check: function that proves that a cell's project can be run.

    Raises:
        UserError: no such preset, the user's own settings are at fault, or `only` leaves no row.
    """
    preset = check_preset(study, preset_name)
    validate(Project, _over(preset.base, words), "Config")
    user_images = _has_images(words)
    rows = selected_rows(study, only)
    if not rows:
        raise UserError(f"No row of the study has {' and '.join(only)} in its names; look at --plan.")
    cells = []
    for declared, dataset in with_data(preset, data).items():
        dataset_images = dataset is not None and _has_images(dataset)
        lacking = (
            dataset is None
            or (not dataset_images and "corpus" in dataset)
            or (user_images and dataset_images and declared not in data)
        )
        # The preset's name of its own images would be wrong for the user's.
        name = str(words.get("name", "your images")) if user_images and dataset == {} else declared
        for place in rows:
            for seed in seeds or preset.seeds:
                fixed = (place, name, seed)
                row = study.rows[place]
                if row.start is None:
                    cells.append(Cell(*fixed, lacks=(Lack("model", row.not_run or ""),)))
                    continue
                if row.model is not None and row.model not in preset.models:
                    without = Lack("model", f"the preset has no model for {row.model}")
                    cells.append(Cell(*fixed, lacks=(without,)))
                    continue
                model = preset.models.get(row.model or "", {})
                base = _over(merge(preset.base, model), words)
                start = preset.starts.get(row.start, row.start)
                config = merge(row.config, row.by_preset.get(preset_name, {}))
                config = merge(config, {"seed": seed, "finetune": {"starts": [start]}})
                images = [Lack("images", f'give the images of "{name}" in --data FILE')] * lacking
                cells.append(_cell(fixed, base, config, dataset or {}, images, check))
    return cells


def _cell(
    fixed: tuple[int, str, int],
    base: Mapping[str, Any],
    config: Mapping[str, Any],
    dataset: Mapping[str, Any],
    images: Sequence[Lack],
    check: Callable[[Project], None],
) -> Cell:
    # The dataset's finetuning settings count for both; its images for the target alone.
    dataset_images = _has_images(dataset)
    settings = {
        key: value for key, value in dataset.items() if not ((dataset_images or images) and key in OWN_IMAGES)
    }
    source = merge(merge(base, config), settings)
    unknown = _unknown_starts(source)
    source = merge(source, {"finetune": {"weights": dict.fromkeys(unknown, "FILE")}})
    lacks = [*images, *(Lack("weights", f"give finetune.weights.{start}=FILE") for start in unknown)]
    try:
        pretraining = validate(Project, source, "The cell")
        target = pretraining
        if dataset_images:
            target = validate(Project, _over(source, dataset), "The cell")
    except UserError as error:
        lacks.append(Lack("settings", str(error).removeprefix("The cell: ")))
        return Cell(*fixed, lacks=tuple(lacks))
    projects = [pretraining] if target is pretraining else [pretraining, target]
    for project in projects:
        lacks += [lack for lack in missing_weights(project) if lack not in lacks]
    fetched, step = tuple(downloads(target)), large_step(target)
    try:
        for project in projects if not lacks else ():
            check(project)
    except UserError as error:
        lacks.append(Lack("images", str(error)))
    if lacks:
        return Cell(*fixed, lacks=tuple(lacks), downloads=fetched, large_step=step)
    return Cell(*fixed, pretraining, target, downloads=fetched, large_step=step)


def _unknown_starts(config: Mapping[str, Any]) -> list[str]:
    """Starts with a name of their own of which the config has no weights."""
    section = section_of(config, "finetune")
    starts = section["starts"] if isinstance(section["starts"], list) else []  # validation refuses the rest
    known = {*OWN_STARTS, *PUBLISHED, SURFACE, *section_of(section, "weights")}
    return [start for start in starts if isinstance(start, str) and start not in known]


def _has_images(config: Mapping[str, Any]) -> bool:
    corpus = section_of(config, "corpus")
    return bool(config.get("generate") or corpus.get("root") or corpus.get("sources"))


def _over(base: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Both merged; where `config` names images, those of `base` go."""
    settings = {key: value for key, value in base.items() if not (_has_images(config) and key in OWN_IMAGES)}
    return merge(settings, config)
