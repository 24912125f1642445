"""What is served: said once, sent to every process."""

from dataclasses import dataclass

from cluster.tracking import Tracker
from training.serving.section import ServeSection


@dataclass(frozen=True)
class Settings:
    """What is served.

    Attributes:
        tracker: the tracker whose registry is followed; every replica reaches it.
        reference: `NAME`, `NAME@VERSION` or `NAME@ALIAS`.
        section: the config.
    """

    tracker: Tracker
    reference: str
    section: ServeSection
