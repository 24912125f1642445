"""What a declared study's cells are, as params of their runs in MLflow."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuning.studies.plan import Cell
from tuning.studies.study import Study

Scalar = str | int | float | bool | None
LEFT_OUT = {"workspace", "ray", "tracking", "scaling", "name", "seed", "corpus", "generate"}


def cell_params(study: Study, cells: Sequence[Cell]) -> list[dict[str, Scalar]]:
    """Each cell's row names, data set and seed, and by dotted key the settings that differ among the cells.

    A chart of runs (parallel coordinates) has an axis for each: epochs and rates as numbers, not as names.

    Args:
        study: the study.
        cells: its cells; those that can't be run have their names alone.
    """
    settings = [dict(_settings(cell)) for cell in cells]
    known = [each for each in settings if each]
    differing = {
        key
        for each in known
        for key in each
        if any(other.get(key) != each[key] or key not in other for other in known)
    }
    return [
        {
            **dict(zip(study.columns, study.rows[cell.row].names, strict=True)),
            "dataset": cell.dataset,
            "seed": cell.seed,
            **{key: value for key, value in each.items() if key in differing},
        }
        for cell, each in zip(cells, settings, strict=True)
    ]


def _settings(cell: Cell) -> Iterator[tuple[str, Scalar]]:
    """The scalar settings of a cell's projects: of the pretraining, but of finetuning those of its target."""
    if cell.pretraining is None or cell.target is None:
        return
    for project, only_finetuning in ((cell.pretraining, False), (cell.target, True)):
        document = project.model_dump(mode="json", exclude=LEFT_OUT)
        for section, content in document.items():
            if (section == "finetune") == only_finetuning:
                yield from _flat(content, section)


def _flat(content: Any, prefix: str) -> Iterator[tuple[str, Scalar]]:
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _flat(value, f"{prefix}.{key}")
    elif not isinstance(content, list):
        yield prefix, content
    elif all(isinstance(value, str | int | float) for value in content):
        yield prefix, ", ".join(map(str, content))
