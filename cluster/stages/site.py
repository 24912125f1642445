"""Where stages are made."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.storage import Storage

if TYPE_CHECKING:
    from cluster.tracking import PipelineRun


@dataclass(frozen=True)
class Site:
    """Where stages leave their artifacts and what they tell of themselves.

    Attributes:
        workspace: root of all stages, opened and writable; every worker reaches it.
        run: the tracking run under which each stage's own run is opened.
    """

    workspace: Storage
    run: "PipelineRun"
