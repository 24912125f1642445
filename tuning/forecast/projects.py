"""The projects of a forecast: one for the data set, and one for each of its trainings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.config import merge, validate
from cluster.errors import UserError
from pipelines.corpus import Listing, list_labelled
from training.inputs import check_inputs
from training.project import Project
from tuning.forecast.section import ForecastPreset, ForecastSection
from tuning.image_counts import annotated_to_learn
from tuning.start_words import finetuned_from


@dataclass(frozen=True)
class ForecastSet:
    """The data set of a forecast.

    Attributes:
        config: settings of its projects, a training's own left out.
        annotated: number of images with a file or row of labels; None where they are yet to be generated.
        to_learn: those of them that are not held out, about.
    """

    config: Mapping[str, Any]
    annotated: int | None
    to_learn: float | None = None

    @property
    def project(self) -> Project:
        """Its settings as a project."""
        return validate(Project, self.config, "Config")

    def cell(self, section: ForecastSection, start: str, size: int, seed: int) -> Project:
        """The project of one training.

        Args:
            section: the forecast.
            start: name of one of its starts.
            size: labelled images with objects.
            seed: seed of the subset and the training; a larger subset of the same seed holds the smaller.

        Raises:
            UserError: settings that don't fit each other.
        """
        finetune = {"limit": size, **finetuned_from(section.starts[start])}
        # The finetuning's seed alone: what comes before it is made once, and serves all.
        changes: dict[str, Any] = {"finetune": {**finetune, "loop": {"seed": seed}}}
        return validate(Project, merge(self.config, changes), "Config")


def forecast_set(
    preset: ForecastPreset, folders: list[str], words: Mapping[str, Any], section: ForecastSection
) -> ForecastSet:
    """The data set, checked as far as it can be without reading a pixel.

    Args:
        preset: preset whose project settings lie under the user's.
        folders: a folder of images and labels, local or by URI; none where the words name the images.
        words: the user's own settings.
        section: settings of the forecast.

    Raises:
        UserError: there are no images, more than one folder, no labels, or settings at fault.
    """
    base = merge(preset.project, words)
    project = validate(Project, base, "Config")
    if len(folders) > 1:
        raise UserError("A forecast is of one data set; name one folder, or corpus.sources in the config.")
    if folders:
        if project.corpus.root or project.corpus.sources or project.generate is not None:
            raise UserError(
                "Name the images once: as a folder, or in the config by corpus.root, corpus.sources or "
                "generate, not both."
            )
        base = merge(base, {"corpus": {"root": folders[0]}})
        project = validate(Project, base, "Config")
    elif not (project.corpus.root or project.corpus.sources or project.generate or project.finetune.data):
        raise UserError("Name a folder of labelled images, e.g. agssp forecast ../tiles.")
    annotated = to_learn = None
    data = project.finetune.data
    if data is not None or project.generate is None:
        listing = list_labelled(data) if data is not None else Listing(project.corpus)
        annotated = sum(entry.annotation is not None for entry in listing.entries)
        if not annotated:
            raise UserError(
                f"There are no labels that the layout {listing.layout} knows; set corpus.layout, or give the "
                "folder of images and labels together."
            )
        to_learn = annotated_to_learn(project, listing)
    made = ForecastSet(base, annotated, to_learn)
    for start in section.starts:
        check_inputs(made.cell(section, start, 1, section.seeds[0]), "finetune")
    return made
