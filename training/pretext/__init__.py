"""Pretext tasks: what a backbone learns beside the anomaly maps."""

from collections.abc import Callable
from typing import Literal, get_args

from training.backbones import Backbone
from training.pretext.alone import DistillationAlone
from training.pretext.base import Pretext, PretextOutput
from training.pretext.cls import Cls
from training.pretext.mocov3 import MocoSection, MoCoV3
from training.pretext.simmim import SimMIM, SimmimSection

__all__ = [
    "MocoSection",
    "Pretext",
    "PretextName",
    "PretextOutput",
    "SimmimSection",
    "build_pretext",
    "pretext_names",
]

PretextName = Literal["cls", "mocov3", "simmim", "none"]


def build_pretext(
    name: PretextName, backbone: Backbone, categories: int, moco: MocoSection, simmim: SimmimSection
) -> Pretext:
    """The pretext task of a name, with random heads.

    Args:
        name: see `pretext_names`.
        backbone: with its start's weights and its frozen stages; MoCo v3 copies it.
        categories: of objects in the corpus, for `cls`.
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
