"""The projects of a transfer study, one for every folder of images, checked without reading a pixel."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from cluster.config import merge, validate
from cluster.errors import UserError
from pipelines.corpus import Listing
from training.inputs import read_listing
from training.project import Project
from training.starts import AGBP
from tuning.transfer.config import TransferPreset, TransferSection


@dataclass(frozen=True)
class DataSet:
    """One data set of a study.

    Attributes:
        name: shown.
        project: makes its corpus, and the AGBP start.
    """

    name: str
    project: Project


def data_sets(
    preset: TransferPreset, folders: Sequence[str], words: Mapping[str, Any], section: TransferSection
) -> list[DataSet]:
    """A project for every folder, checked as far as it can be without reading a pixel.

    Args:
        preset: its project settings lie under the user's.
        folders: of images and labels, local or by URI.
        words: the user's own settings.
        section: the study.

    Raises:
        UserError: no folder, one twice, no labels in one, or settings at fault.
    """
    if not folders:
        raise UserError("Name one or more folders of labelled images, e.g. agssp study transfer ../tiles.")
    if len(set(folders)) < len(folders):
        raise UserError("A data set is named twice; name each once.")
    names = [PurePosixPath(folder.rstrip("/")).name or folder for folder in folders]
    found = []
    for folder, name in zip(folders, names, strict=True):
        shown = name if names.count(name) == 1 else folder
        config = merge(merge(preset.project, words), {"corpus": {"root": folder}})
        project = validate(Project, config, "Config")
        listing = _listing(project, section)
        if not any(entry.annotation is not None for entry in listing.entries):
            raise UserError(
                f"{folder} has no labels that the layout {listing.layout} knows; set corpus.layout, or give "
                "the folder of images and labels together."
            )
        for start in section.starts.values():
            if start.weights == AGBP and start.backbone != project.backbone.name:
                raise UserError(
                    f"The start agbp is pretrained as backbone.name={project.backbone.name}, and the study "
                    f"wants {start.backbone}; set both alike."
                )
        found.append(DataSet(shown, project))
    return found


def _listing(project: Project, section: TransferSection) -> Listing:
    """Normal references are needed by anomaly maps alone, so by the AGBP start alone."""
    if section.pretrains:
        return read_listing(project.corpus, project.maps.reference_need)
    return Listing(project.corpus)


def cell_count(section: TransferSection, sets: Sequence[DataSet]) -> int:
    """Trainings of a study."""
    sizes = (sets, section.tasks, section.starts, section.regimes, section.seeds)
    return math.prod(len(each) for each in sizes)
