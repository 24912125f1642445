"""The review server over a project's stored maps."""

from typing import Protocol

from cluster.errors import UserError
from cluster.progress import say
from cluster.storage import Storage
from pipelines.boxes import PseudoBoxSettings
from pipelines.choice import newest_choice
from pipelines.corpus import CorpusSection
from pipelines.maps import MapsSection
from pipelines.references import references_patch
from pipelines.review.decisions import FILE, FOLDER
from pipelines.review.gallery import Gallery
from pipelines.review.server import ReviewServer
from pipelines.review.stored_maps import find_maps


class Reviewed(Protocol):
    """The part of a project's config that the review needs."""

    @property
    def name(self) -> str:
        """The project's name."""

    @property
    def workspace(self) -> str:
        """Directory or URI of all artifacts."""

    @property
    def corpus(self) -> CorpusSection:
        """The corpus' config."""

    @property
    def maps(self) -> MapsSection:
        """The maps' config."""

    @property
    def boxes(self) -> PseudoBoxSettings:
        """The settings that the page starts with."""


def review_server(project: Reviewed, maps: str | None = None, port: int = 0) -> ReviewServer:
    """The server over a project's stored maps, listening but not yet answering.

    Raises:
        UserError: boxes of another rule than the paper's, no maps, damaged tables or review, a port that is
            taken.
    """
    if project.boxes.rule != "paper":
        raise UserError(
            f"The page draws boxes by boxes.rule=paper alone, and here boxes.rule={project.boxes.rule}: give "
            "boxes.rule=paper to look at the maps, and open the COCO export of the boxes in a labelling tool."
        )
    workspace = Storage.open(project.workspace)
    stored = find_maps(workspace, project.maps, project.corpus, maps)
    to_label = newest_choice(workspace, str(stored.record["fingerprint"]))
    gallery = Gallery(stored.maps, stored.corpus, project.boxes, to_label)
    about = {
        "project": project.name,
        "workspace": workspace.uri,
        "maps": str(stored.record["fingerprint"])[:16],
    }
    server = ReviewServer(
        gallery, workspace, about, lambda chosen: references_patch(chosen, project.corpus), port
    )
    say(f"view: {len(gallery)} images of {stored.maps.uri}; decisions go to {workspace.uri}/{FOLDER}/{FILE}")
    say("Open this address in a browser on this machine; whoever has it may decide. Ctrl+C ends it.")
    return server
