"""A start's word: as settings of the one finetuning that begins with it, and whether its file is there."""

from pathlib import Path
from typing import Any

from training.starts import OWN_STARTS, PUBLISHED, SUFFIXES

WEIGHTS = "weights"  # what a start that is a file is called in every project, whatever its name here


def finetuned_from(word: str) -> dict[str, Any]:
    """The settings `starts` and `weights` of `finetune`.

    Args:
        word: `scratch`, `agbp`, `agssp`, `coco`, `imagenet`, or what `starts.resolve_start` takes.
    """
    if word in (*OWN_STARTS, *PUBLISHED):
        return {"starts": [word], "weights": {}}
    return {"starts": [WEIGHTS], "weights": {WEIGHTS: word}}


def missing_file(word: str) -> bool:
    """Whether a start's word is a local file of weights that isn't there; registry and URIs are not asked."""
    return word.endswith(SUFFIXES) and "://" not in word and not Path(word).expanduser().exists()
