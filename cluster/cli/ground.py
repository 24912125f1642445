"""The part of a project's config that the ground's own commands go by, read without the stages' libraries."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from cluster.config import DEFAULT_WORKSPACE, Section, load_words
from cluster.on_ray import RaySection
from cluster.storage import Storage
from cluster.tracking import Tracker, TrackingSection


class GroundSection(Section):
    """Workspace, tracking and Ray of a project; the stages' sections are left to the commands that read them.

    Attributes:
        workspace: directory or URI of all artifacts.
        tracking, ray: see there.
    """

    model_config = ConfigDict(extra="ignore")

    workspace: str = Field(default=DEFAULT_WORKSPACE, min_length=1)
    ray: RaySection = RaySection()
    tracking: TrackingSection = TrackingSection()

    @model_validator(mode="before")
    @classmethod
    def _no_slips(cls, document: Any) -> Any:
        """Refuse a slip such as `trakcing`, which would be taken for a stage's section and passed over."""
        if isinstance(document, Mapping):
            for key in map(str, document):
                close = difflib.get_close_matches(key, cls.model_fields, n=1, cutoff=0.7)
                if key not in cls.model_fields and close:
                    raise ValueError(f'unknown key "{key}"; did you mean "{close[0]}"')
        return document

    @property
    def tracker(self) -> Tracker:
        """The tracking that the config names.

        Raises:
            UserError: see `Tracker.open`.
        """
        return Tracker.open(self.tracking, Storage.open(self.workspace))


def ground_of(words: Sequence[str] | None) -> GroundSection:
    """The ground of the project that a command line's words describe.

    Raises:
        UserError: see `load_words`.
    """
    return load_words(GroundSection, words, {})
