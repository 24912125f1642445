"""The projects of a gain study: one for each data set, and one for each of its trainings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from cluster.config import merge, section_of, validate
from cluster.errors import UserError
from pipelines.corpus import Listing
from training.inputs import check_inputs
from training.project import Project
from training.starts import AGBP, AGSSP
from tuning.gain.section import Arm, GainPreset, GainSection
from tuning.start_words import finetuned_from


@dataclass(frozen=True)
class GainSet:
    """One data set of a study.

    Attributes:
        name: name as it is shown.
        config: settings of its projects, an arm's own left out.
        images, labelled, annotated: number of listed images, of those whose truth is known, and of those with
            a file or row of labels; None where the images are yet to be generated.
        not_run: by what arms would learn from (`Arm.learnt`), the reason why none can.
    """

    name: str
    config: Mapping[str, Any]
    images: int | None = None
    labelled: int | None = None
    annotated: int | None = None
    not_run: Mapping[str | None, str] = field(default_factory=dict)

    @property
    def project(self) -> Project:
        """Its settings as a project."""
        return validate(Project, self.config, "Config")

    def cell(self, section: GainSection, arm: Arm, seed: int) -> Project:
        """The project of one training.

        Args:
            section: the study.
            arm: one of the section's arms.
            seed: seed of pretraining and finetuning.

        Raises:
            UserError: settings that don't fit each other.
        """
        word = section.starts[arm.start]
        finetune: dict[str, Any] = {"limit": arm.limit, "rounds": arm.finetune_rounds}
        finetune["loop"] = {"epochs": arm.epochs}
        changes: dict[str, Any] = {"seed": seed, "finetune": finetune}
        if arm.source is None:
            finetune |= finetuned_from(word)
        else:
            finetune["starts"] = [AGSSP]
            detector: dict[str, Any] = {"boxes": arm.source, "start": word, "rounds": arm.rounds}
            if arm.source != "painted":
                detector["ignore"] = "nothing"  # pseudo-boxes can be hidden beside painted defects alone
            if section.pretrains_backbone(arm):
                changes["backbone"], detector["start"] = {"start": word}, AGBP
            changes["detector"] = detector
        # One set of painted images serves all seeds.
        paint = {"seed": section.seeds[0], **section_of(self.config, "paint")}
        return validate(Project, merge({**self.config, "paint": paint}, changes), "Config")


def gain_sets(
    preset: GainPreset, folders: Sequence[str], words: Mapping[str, Any], section: GainSection
) -> list[GainSet]:
    """Every data set, checked as far as it can be without reading a pixel.

    Args:
        preset: preset whose project settings lie under the user's.
        folders: folders of images and labels, local or by URI; none where the words name the images.
        words: the user's own settings.
        section: settings of the study.

    Raises:
        UserError: there are no images, a folder is named twice or has no labels, or settings are at fault.
    """
    base = merge(preset.project, words)
    project = validate(Project, base, "Config")
    if folders and (project.corpus.sources or project.generate is not None):
        raise UserError(
            "Name the images once: as folders, or in the config by corpus.sources or generate, not both."
        )
    if len(set(folders)) < len(folders):
        raise UserError("A data set is named twice; name each once.")
    if not folders:
        if not (project.corpus.root or project.corpus.sources or project.generate is not None):
            raise UserError("Name one or more folders of labelled images, e.g. agssp study gain ../tiles.")
        return [_checked(GainSet(project.name, base), section)]
    names = [PurePosixPath(folder.rstrip("/")).name or folder for folder in folders]
    return [
        _checked(
            GainSet(name if names.count(name) == 1 else folder, merge(base, {"corpus": {"root": folder}})),
            section,
        )
        for folder, name in zip(folders, names, strict=True)
    ]


def _checked(data: GainSet, section: GainSection) -> GainSet:
    """The data set with its counts, and the reasons why some sources of boxes can't be learnt from."""
    project = data.project
    images = labelled = annotated = None
    if project.generate is None:
        listing = Listing(project.corpus)
        images = len(listing.entries)
        labelled = sum(entry.labelled for entry in listing.entries)
        annotated = sum(entry.annotation is not None for entry in listing.entries)
        if not annotated and project.finetune.data is None:
            raise UserError(
                f"{data.name} has no labels that the layout {listing.layout} knows; set corpus.layout, or "
                "give the folder of images and labels together."
            )
    not_run: dict[str | None, str] = {}
    for arm in {(arm.start, arm.learnt): arm for arm in section.arms}.values():
        cell = data.cell(section, arm, section.seeds[0])
        try:
            check_inputs(cell, "finetune")
        except UserError as error:
            if arm.source is None:
                raise
            not_run[arm.learnt] = str(error)
    return GainSet(data.name, data.config, images, labelled, annotated, not_run)
