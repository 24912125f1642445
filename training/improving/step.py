"""The next step of a loop, and where it stands."""

from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import UserError
from cluster.stages import claimed
from cluster.storage import Storage
from pipelines.corpus import find_images
from training.active_learning import (
    ASKED,
    DECISION,
    LABELS,
    PAGE_FILE,
    STAGE,
    Standing,
    read_rounds,
    render_page,
    standing_of,
)
from training.improving.asking import ask
from training.improving.deciding import decide, take_back
from training.improving.sight import Sight, model_name
from training.pipeline import Pipeline
from training.project import Project

if TYPE_CHECKING:
    from cluster.tracking import Tracker


def loop_folder(project: Project, workspace: Storage) -> Storage:
    """Where a loop's rounds and its page are."""
    return workspace.at(STAGE, model_name(project))


def standing(project: Project, workspace: Storage) -> Standing:
    """Where a project's loop stands, by its records alone.

    Raises:
        UserError: a record can't be read.
    """
    folder = loop_folder(project, workspace)
    page = folder.uri_of(PAGE_FILE)
    return standing_of(read_rounds(folder), model_name(project), project.loop.alias, page)


def refuse_unready(project: Project) -> None:
    """Refuse folders that can't be meant, before anything is opened.

    Raises:
        UserError: no folder of new images, no image in it, or rounds that would lie among images.
    """
    if not project.loop.images:
        raise UserError("loop.images is not set; give the folder of new images, e.g. loop.images=photos/new.")
    find_images(project.loop.images)
    roots = {"loop.images": project.loop.images}
    roots |= {f"{key}.root": source.root for key, source in project.corpus.keyed_sources() if source.root}
    out = Path(project.loop.out).resolve()
    for key, root in roots.items():
        if "://" not in root and out.is_relative_to(Path(root).resolve()):
            raise UserError(
                f"loop.out={project.loop.out} lies in {key}={root}, which would take the rounds' links for "
                "images of its own; choose another folder."
            )


def take_step(pipeline: Pipeline, tracker: "Tracker", despite: Set[str] = frozenset()) -> Standing:
    """Go on with the round that is open, or open the next: as far as it goes without a person.

    Args:
        pipeline: the project's stages; those that are read are made where they are not complete.
        tracker: where models are registered.
        despite: of `DESPITE`, what is not to stop it.

    Raises:
        UserError: no such model or one that can't be compared, drift, labels or images that can't be used,
            an alias that others moved.
    """
    project, workspace = pipeline.project, pipeline.site.workspace
    folder = loop_folder(project, workspace)
    folder.create()
    with claimed(STAGE, folder, lambda: False):  # of two calls the second waits, then finds the step done
        try:
            _take(Sight(pipeline, tracker, folder, despite))
        finally:  # the page tells of a refusal too
            stands = standing(project, workspace)
            folder.write(PAGE_FILE, render_page(stands).encode("utf-8", "backslashreplace"))
    return stands


def _take(sight: Sight) -> None:
    rounds = read_rounds(sight.folder)
    done = [each for each in rounds if each.has(DECISION)]
    current = next((each for each in rounds if not each.has(DECISION)), None)
    if current is None or not current.has(ASKED):
        ask(sight, done)
        return
    if not current.has(LABELS):
        current = take_back(sight, current)
    if current.has(LABELS):
        decide(sight, done, current)
