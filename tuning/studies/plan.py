"""The cells of a study: which trainings can be run, and why others can't. Nothing is started."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.config import merge, section_of, validate
from cluster.errors import UserError, nearest
from training.opening import check_project
from training.project import Project
from tuning.studies.study import Preset, Study, selected_rows, with_data

OWN_IMAGES = ("corpus", "generate")  # sections that decide which images there are


@dataclass(frozen=True)
class Cell:
    """One training to run, or the reason for not running it.

    Attributes:
        row, dataset, seed: place of the row, name of the dataset, seed of the project.
        pretraining: project with the corpus of the pretraining; None where there is nothing to run.
        target: project with the corpus of finetuning and evaluation; the same unless the dataset has its own.
        not_run: reason for not running it.
    """

    row: int
    dataset: str
    seed: int
    pretraining: Project | None = None
    target: Project | None = None
    not_run: str | None = None

    def document(self, study: Study) -> dict[str, Any]:
        """JSON-able, in short."""
        names = study.rows[self.row].names
        settings = dict(zip(study.columns, names, strict=True))
        fixed = {"names": names, "settings": settings, "dataset": self.dataset, "seed": self.seed}
        return {**fixed, "not_run": self.not_run}


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
                    cells.append(Cell(*fixed, not_run=row.not_run))
                elif row.model is not None and row.model not in preset.models:
                    cells.append(Cell(*fixed, not_run=f"the preset has no model for {row.model}"))
                elif dataset is None or lacking:
                    cells.append(Cell(*fixed, not_run=f'give the images of "{name}" in --data FILE'))
                else:
                    model = preset.models.get(row.model or "", {})
                    base = _over(merge(preset.base, model), words)
                    start = preset.starts.get(row.start, row.start)
                    config = merge(row.config, row.by_preset.get(preset_name, {}))
                    config = merge(config, {"seed": seed, "finetune": {"starts": [start]}})
                    cells.append(_cell(fixed, base, config, dataset, check))
    return cells


def _cell(
    fixed: tuple[int, str, int],
    base: Mapping[str, Any],
    config: Mapping[str, Any],
    dataset: Mapping[str, Any],
    check: Callable[[Project], None],
) -> Cell:
    # The dataset's finetuning settings count for both; its images for the target alone.
    dataset_images = _has_images(dataset)
    settings = {key: value for key, value in dataset.items() if not (dataset_images and key in OWN_IMAGES)}
    source = merge(merge(base, config), settings)
    try:
        pretraining = validate(Project, source, "The cell")
        target = pretraining
        if dataset_images:
            target = validate(Project, _over(source, dataset), "The cell")
        for project in {id(each): each for each in (pretraining, target)}.values():
            check(project)
    except UserError as error:
        return Cell(*fixed, not_run=str(error).removeprefix("The cell: "))
    return Cell(*fixed, pretraining=pretraining, target=target)


def _has_images(config: Mapping[str, Any]) -> bool:
    corpus = section_of(config, "corpus")
    return bool(config.get("generate") or corpus.get("root") or corpus.get("sources"))


def _over(base: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Both merged; where `config` names images, those of `base` go."""
    settings = {key: value for key, value in base.items() if not (_has_images(config) and key in OWN_IMAGES)}
    return merge(settings, config)
