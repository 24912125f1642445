"""Table 4 on several data sets with several encoders: which tables are made, told by the config alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.config import merge, section_of, validate
from cluster.errors import UserError, nearest
from pipelines.encoder import PRESETS
from training.project import Project
from tuning.table4.plan import planned_rows

PAPER_SETS = ("Casting Billet", "Steel Pipe")
# Surfaces that the shipped encoder never saw: its training takes seeds from 10⁹ on.
GENERATED = {"generate": {"seed": 77, "images_per_category": 44}}
OWN_IMAGES = ("corpus", "generate")


@dataclass(frozen=True)
class TableRun:
    """One table: a data set by one encoder.

    Attributes:
        dataset: name of the data set.
        encoder: value of `maps.encoder.model`.
        project: project that makes it; None where its images are lacking.
    """

    dataset: str
    encoder: str
    project: Project | None

    def rows(self) -> list[dict[str, Any]]:
        """What `planned_rows` says of each row; without images no row is run."""
        named = {"dataset": self.dataset, "encoder": self.encoder}
        if self.project is None:
            maps = Project().maps
            without = f'give the images of "{self.dataset}" in --data FILE'
            return [{**named, **row, "not_run": without} for row in planned_rows(maps)]
        return [{**named, **row} for row in planned_rows(self.project.maps)]


def table_runs(
    document: Mapping[str, Any],
    preset: str,
    encoders: Sequence[str],
    data: Mapping[str, Mapping[str, Any]],
) -> list[TableRun]:
    """The tables of a study: every data set with every encoder.

    Args:
        document: the user's settings, not yet validated.
        preset: `cpu`, the config's own encoder, on generated surfaces where there are no images; `full`, the
            paper's three encoders on its two data sets.
        encoders: values of `maps.encoder.model` in the place of the preset's.
        data: settings of further or missing data sets by name.

    Raises:
        UserError: there is no such preset, an encoder is named twice, or settings are at fault.
    """
    if preset not in ("cpu", "full"):
        raise UserError(f'The study has no preset "{preset}"; {nearest(preset, ("cpu", "full"))}')
    if len(set(encoders)) < len(encoders):
        raise UserError(f"--encoder must name each encoder once, not {', '.join(encoders)}.")
    project = validate(Project, document, "Config")
    sets: dict[str, Mapping[str, Any] | None] = {}
    if project.corpus.root or project.corpus.sources:
        sets[project.name] = {}
    elif project.generate is not None or (preset == "cpu" and not data):
        sets["generated"], document = {}, merge(GENERATED, document)
    else:
        sets |= dict.fromkeys(PAPER_SETS if preset == "full" else ())
    sets |= data
    own = project.maps.encoder.model
    models = tuple(encoders) or (tuple(PRESETS) if preset == "full" else (own,))
    return [
        TableRun(name, model, None if config is None else _project(name, document, config, model, own))
        for name, config in sets.items()
        for model in models
    ]


def _project(
    name: str, document: Mapping[str, Any], config: Mapping[str, Any], model: str, own: str
) -> Project | None:
    """The settings of a data set over the user's; None where neither names images.

    Weights that the user's settings name are the config's encoder's alone.
    """
    base = {key: value for key, value in document.items() if not (_has_images(config) and key in OWN_IMAGES)}
    settings = merge(base, config)
    if model != own:
        settings = merge(settings, {"maps": {"encoder": {"model": model, "weights": None}}})
    project = validate(Project, settings, f'The data set "{name}"')
    return project if _has_images(settings) else None


def _has_images(config: Mapping[str, Any]) -> bool:
    corpus = section_of(config, "corpus")
    return bool(config.get("generate") or corpus.get("root") or corpus.get("sources"))
