"""The words for starts: what a finetuning may begin with."""

import os
from pathlib import Path
from typing import Annotated

from cluster.config_paths import WRITTEN, location_if

SCRATCH, AGBP, AGSSP = "scratch", "agbp", "agssp"


OWN_STARTS = (SCRATCH, AGBP, AGSSP)


PUBLISHED = ("imagenet", "coco")  # published by the model's own library


SUFFIXES = (".safetensors", ".pt", ".pth", ".pth.tar")  # files of weights that are read


SURFACE = "surface"  # made of generated surfaces alone, see `shipped`; a YOLOv8n


def _is_path(word: str, path: Path) -> bool:
    """Whether `resolve_start` would look for a file or folder before it asks the registry."""
    if word in (*OWN_STARTS, *PUBLISHED, SURFACE) or word.startswith("models:/"):
        return False
    named = "/" in word or word.endswith(SUFFIXES)
    return named or os.path.exists(path)  # noqa: PTH110 - Path's raises where a word is too long


# Of a config: a start's name, a registered model, or the path of weights.
StartWord = Annotated[str, location_if(_is_path), WRITTEN]
