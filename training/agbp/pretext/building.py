"""The pretext task of a name."""

from collections.abc import Callable
from typing import get_args

from training.agbp import MocoSection, PretextName, SimmimSection
from training.agbp.pretext.alone import DistillationAlone
from training.agbp.pretext.base import Pretext
from training.agbp.pretext.cls import Cls
from training.agbp.pretext.mocov3 import MoCoV3
from training.agbp.pretext.simmim import SimMIM
from training.models.backbones import Backbone


def build_pretext(
    name: PretextName, backbone: Backbone, categories: int, moco: MocoSection, simmim: SimmimSection
) -> Pretext:
    """The pretext task of a name, with random heads.

    Args:
        name: see `pretext_names`.
        backbone: the backbone with its start's weights and frozen stages; MoCo v3 copies it.
        categories: number of object categories in the corpus, for `cls`.
        moco, simmim: the tasks' own settings.
    """
    builders: dict[PretextName, Callable[[], Pretext]] = {
        "cls": lambda: Cls(backbone, categories),
        "mocov3": lambda: MoCoV3(backbone, moco),
        "simmim": lambda: SimMIM(backbone, simmim),
        "none": DistillationAlone,
    }
    return builders[name]()


def pretext_names() -> tuple[str, ...]:
    """All tasks' names."""
    return get_args(PretextName)
