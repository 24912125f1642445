"""The next step of a loop."""

from collections.abc import Set
from typing import TYPE_CHECKING

from cluster.stages import claimed
from training.active_learning import (
    ASKED,
    DECISION,
    LABELS,
    PAGE_FILE,
    STAGE,
    Standing,
    read_rounds,
    render_page,
)
from training.improving.asking import ask
from training.improving.deciding import decide, take_back
from training.improving.place import loop_folder, standing
from training.improving.sight import Sight
from training.pipeline import Pipeline

if TYPE_CHECKING:
    from cluster.tracking import Tracker


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
