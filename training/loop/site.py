"""The site of stages that train."""

from dataclasses import dataclass

from cluster.stages import Site
from training.loop.section import ScalingSection


@dataclass(frozen=True)
class TrainingSite(Site):
    """A site with the workers that train there.

    Attributes:
        scaling: number and size of the workers; changes no result.
    """

    scaling: ScalingSection
