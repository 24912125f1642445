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
from tuning.finished import finished_trainings
from tuning.image_counts import ImageCounts
from tuning.pace import Learnt, crop_seconds
from tuning.transfer.section import TransferPreset, TransferSection


@dataclass(frozen=True)
class DataSet:
    """One data set of a study.

    Attributes:
        name: name as it is shown.
        project: project that makes its corpus and the AGBP start.
    """

    name: str
    project: Project


def data_sets(
    preset: TransferPreset, folders: Sequence[str], words: Mapping[str, Any], section: TransferSection
) -> list[DataSet]:
    """A project for every folder, checked as far as it can be without reading a pixel.

    Args:
        preset: preset whose project settings lie under the user's.
        folders: folders of images and labels, local or by URI.
        words: the user's own settings.
        section: settings of the study.

    Raises:
        UserError: there is no folder, one is named twice or has no labels, or settings are at fault.
    """
    if not folders:
        raise UserError("Name one or more folders of labelled images, e.g. agssp study transfer ../tiles.")
    if len(set(folders)) < len(folders):
        raise UserError("A data set is named twice; name each once.")
    names = [PurePosixPath(folder.rstrip("/")).name or folder for folder in folders]
    sets = []
    for folder, name in zip(folders, names, strict=True):
        title = name if names.count(name) == 1 else folder
        config = merge(merge(preset.project, words), {"corpus": {"root": folder}})
        project = validate(Project, config, "Config")
        listing = listing_of(project, section)
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
        sets.append(DataSet(title, project))
    return sets


def listing_of(project: Project, section: TransferSection) -> Listing:
    """The project's listing; only the AGBP start needs anomaly maps, and so normal references."""
    if section.pretrains:
        return read_listing(project.corpus, project.maps.reference_need)
    return Listing(project.corpus)


def cell_count(section: TransferSection, sets: Sequence[DataSet]) -> int:
    """Number of trainings of a study."""
    sizes = (sets, section.tasks, section.starts, section.regimes, section.seeds)
    return math.prod(len(each) for each in sizes)


def finished_seconds(workspace: str) -> list[float]:
    """Seconds of every finished training of transfer studies in a workspace."""
    return [training.seconds for training in finished_trainings(workspace, "transfer")]


def estimated_seconds(section: TransferSection, sets: Sequence[DataSet]) -> float | None:
    """Seconds of all trainings on two CPU cores, see `tuning.pace`; None where a model was not measured."""
    counts, total = ImageCounts(), 0.0
    for data in sets:
        images = counts.mixed(data.project, section.train_limit, section.background_share)
        if images is None:
            return None
        learnt = Learnt(images * section.loop.epochs, section.crop.side**2)
        for task in section.tasks:
            for start in section.starts.values():
                seconds = crop_seconds(section.model(task, start), learnt)
                if seconds is None:
                    return None
                total += seconds * len(section.regimes) * len(section.seeds)
    return round(total)
